/* c12_semaphore.c - ten tasks, at most three at a time.

   Article : Python Threads: Concepts and Implementation Examples, "Semaphore"
   Python  : sem = Semaphore(3)
             with sem: print(f"Task {i} is working"); time.sleep(random.uniform(1, 2)); ...
   Shows   : cth_sem, CTH_WITH on a semaphore, cth_rng
   Look at : never more than three tasks between "is working" and "finished".
   Build   : cc -std=c11 -I../.. c12_semaphore.c -pthread
   Prints  : ten pairs, in any order
     Task 0 is working
     Task 0 finished */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 10 };

struct task {
    int number;
    cth_time delay;
    cth_thread *thread;
};

static cth_sem sem = CTH_SEM_INIT(3);

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status run(void *arg) {
    const struct task *task = arg;
    CTH_WITH(&sem) {
        printf("Task %d is working\n", task->number);
        check(cth_sleep(task->delay));
        printf("Task %d finished\n", task->number);
    }
    return CTH_OK;
}

int main(void) {
    struct task tasks[TASKS];
    cth_rng rng;
    cth_rng_seed(&rng, cth_rng_entropy());
    for (int i = 0; i < TASKS; i++) {
        tasks[i].number = i;
        tasks[i].delay = CTH_S(1 + cth_rng_unit(&rng));
        check(cth_thread_spawn(&tasks[i].thread, run, &tasks[i], NULL));
    }
    for (int i = 0; i < TASKS; i++) {
        check(cth_thread_join(tasks[i].thread, NULL));
        cth_thread_release(tasks[i].thread);
    }
    return 0;
}
