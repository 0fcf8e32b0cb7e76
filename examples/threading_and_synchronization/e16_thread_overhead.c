/* e16_thread_overhead.c - what a thread costs, and what a task in a pool costs.

   Article : Python Threading and Synchronization, "Best practices: mind the overhead of threads"
   Python  : for _ in range(n): t = Thread(target=f); t.start(); t.join()
             for _ in range(n): pool.submit(f)
   Shows   : cth_thread_spawn beside cth_submit and cth_executor_shutdown
   Look at : the second number is the smaller one by far; both are of this machine, at this time.
   Build   : cc -std=c11 -O2 -I../.. e16_thread_overhead.c -pthread
   Prints  :
     a thread, started and joined: 21.5 us
     a task, submitted and run: 0.4 us
     400 of 400 calls */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALLS = 200 };

static atomic_int calls;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status thread(void *arg) {
    (void)arg;
    atomic_fetch_add(&calls, 1);
    return CTH_OK;
}

static cth_status task(void *arg, void *result) {
    (void)result;
    return thread(arg);
}

static void print_each(const char *what, cth_time start) {
    printf("%s: %.1f us\n", what, (double)(cth_now() - start) / CALLS / 1000);
}

int main(void) {
    cth_time start = cth_now();
    for (int i = 0; i < CALLS; i++) {
        cth_thread *t;
        check(cth_thread_spawn(&t, thread, NULL, NULL));
        check(cth_thread_join(t, NULL));
        cth_thread_release(t);
    }
    print_each("a thread, started and joined", start);

    cth_executor *pool;
    start = cth_now();
    check(cth_executor_create(&pool, NULL));
    for (int i = 0; i < CALLS; i++) {
        check(cth_submit(pool, NULL, task, NULL, 0, 0));
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    print_each("a task, submitted and run", start);
    printf("%d of %d calls\n", atomic_load(&calls), 2 * CALLS);
    return 0;
}
