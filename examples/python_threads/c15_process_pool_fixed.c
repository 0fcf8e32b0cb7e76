/* c15_process_pool_fixed.c - a pool of two processes that does two tasks at a time.

   Article : Python Threads: Concepts and Implementation Examples, "Process pool"
   Python  : with ProcessPoolExecutor(max_workers=2) as pool:
                 futures = [pool.submit(task, i) for i in range(5)]
                 for f in futures: print(f.result())
   Shows   : cth_process_main, cth_process_executor_create, cth_submit, cth_future_result
   Look at : all are submitted first: it takes 3 s, and the results still come in order.
   Build   : cc -std=c11 -I../.. c15_process_pool_fixed.c -pthread
   Prints  : from two processes, in any order; and 0, 2, 4, 6, 8
     Task 0 (PID: 4711)
     Result 0 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TASKS = 5 };

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        exit(EXIT_FAILURE);
    }
}

static cth_status task(void *arg, void *result) {
    const int n = *(const int *)arg;
    printf("Task %d (PID: %ld)\n", n, (long)getpid());
    check(cth_sleep(CTH_S(1)));
    *(int *)result = 2 * n;
    return CTH_OK;
}

static void print_result(cth_future *future) {
    int result;
    check(cth_future_result(future, &result));
    printf("Result %d\n", result);
    (void)fflush(stdout); // the workers write to the same place
    cth_future_release(future);
}

int main(int argc, char **argv) {
    cth_executor *pool;
    cth_future *futures[TASKS];
    cth_process_main(argc, argv); // a worker process goes no further
    check(cth_process_executor_create(&pool, &(cth_process_desc){.workers = 2}));
    for (int i = 0; i < TASKS; i++) {
        check(cth_submit(pool, &futures[i], task, &i, sizeof i, sizeof(int)));
    }
    for (int i = 0; i < TASKS; i++) {
        print_result(futures[i]);
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    return 0;
}
