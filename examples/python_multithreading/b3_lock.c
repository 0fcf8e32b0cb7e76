/* b3_lock.c - both threads start at once, but print one after the other.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples,
             "Lock"
   Python  : print("Starting thread:" + self.name)
             with lock: print_time(self.name, self.delay, 3)
   Shows   : cth_mutex_lock and cth_mutex_unlock, called by hand
   Look at : both start lines come at once, for they are outside the lock. CTH_WITH (see
             a3_lock.c of the first article) is the same with no way to forget the unlock.
   Build   : cc -std=c11 -I../.. b3_lock.c -pthread
   Prints  : the blocks in either order, never interleaved; 9 s in all
     Starting thread:Thread-1
     Starting thread:Thread-2
     Thread-1: Thu Jan  1 00:00:01 2026        (three lines of each thread)
     Main thread exiting */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct job {
    const char *name;
    cth_time delay;
};

static cth_mutex lock = CTH_MUTEX_INIT;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status run(void *arg) {
    const struct job *job = arg;
    printf("Starting thread:%s\n", job->name);
    check(cth_mutex_lock(&lock));
    for (int count = 0; count < 3; count++) {
        char text[CTH_WALL_TEXT_SIZE];
        check(cth_sleep(job->delay));
        printf("%s: %s\n", job->name, cth_wall_text(cth_wall_now(), text));
    }
    check(cth_mutex_unlock(&lock));
    return CTH_OK;
}

int main(void) {
    struct job jobs[2] = {{"Thread-1", CTH_S(1)}, {"Thread-2", CTH_S(2)}};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], run, &jobs[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    puts("Main thread exiting");
    return 0;
}
