/* b6_threads_or_processes.c - one of five tasks crashes: in a process it takes only itself down.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples, "Threads or
             processes"
   Python  : pool = ProcessPoolExecutor(2); future.result() raises BrokenProcessPool, for all tasks
   Shows   : cth_process_main, cth_process_executor_create, cth_future_error
   Look at : the other tasks have their results. With cth_executor_create instead, the same tasks
             run in threads, and abort() ends the program.
   Build   : cc -std=c11 -I../.. b6_threads_or_processes.c -pthread
   Prints  :
     0 squared is 0
     1 squared is 1
     2: CTH_BROKEN, killed by signal 6
     3 squared is 9
     4 squared is 16 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 5 };

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        exit(EXIT_FAILURE);
    }
}

static cth_status square(void *arg, void *result) {
    const int n = *(const int *)arg;
    if (n == 2) {
        abort();
    }
    *(int *)result = n * n;
    return CTH_OK;
}

int main(int argc, char **argv) {
    cth_executor *pool;
    cth_future *futures[TASKS];
    cth_process_main(argc, argv); // a worker process goes no further
    check(cth_process_executor_create(&pool, &(cth_process_desc){.workers = 2}));
    for (int i = 0; i < TASKS; i++) {
        check(cth_submit(pool, &futures[i], square, &i, sizeof i, sizeof(int)));
    }
    for (int i = 0; i < TASKS; i++) {
        int result;
        const cth_status status = cth_future_result(futures[i], &result);
        if (status == CTH_OK) {
            printf("%d squared is %d\n", i, result);
        } else {
            printf("%d: %s, %s\n", i, cth_status_name(status), cth_future_error(futures[i]));
        }
        cth_future_release(futures[i]);
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    return 0;
}
