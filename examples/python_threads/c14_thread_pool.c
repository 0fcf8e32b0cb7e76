/* c14_thread_pool.c - a pool of three threads that does one task at a time.

   Article : Python Threads: Concepts and Implementation Examples, "Thread pool"
   Python  : with ThreadPoolExecutor(max_workers=3) as pool:
                 for i in range(5): print(pool.submit(task, i).result())
   Shows   : cth_executor_create, cth_submit, cth_future_result_until
   Look at : the trap: each result is asked for before the next task is submitted, so it takes 5 s.
   Build   : cc -std=c11 -I../.. c14_thread_pool.c -pthread
   Prints  : five times, with a name like ThreadPoolExecutor-0_0
     Task 0 on ThreadPoolExecutor-0_0
     Result 0 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 5 };

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status task(void *arg, void *result) {
    const int n = *(const int *)arg;
    printf("Task %d on %s\n", n, cth_thread_name(cth_thread_current()));
    check(cth_sleep(CTH_S(1)));
    *(int *)result = n * n;
    return CTH_OK;
}

/* cth_future_result would run a task that no worker has started yet in this thread; with a deadline
   it only waits, as Python does. */
static void print_result(cth_future *future) {
    int result;
    check(cth_future_result_until(future, &result, cth_after(CTH_S(60))));
    printf("Result %d\n", result);
    cth_future_release(future);
}

int main(void) {
    cth_executor *pool;
    cth_future *futures[TASKS];
    check(cth_executor_create(&pool, &(cth_executor_desc){.workers = 3}));
    for (int i = 0; i < TASKS; i++) {
        check(cth_submit(pool, &futures[i], task, &i, sizeof i, sizeof(int)));
        print_result(futures[i]);
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    return 0;
}
