/* e14_thread_pool.c - squares from an executor, each asked for by its future.

   Article : Python Threading and Synchronization, "Thread pool"
   Python  : with ThreadPoolExecutor(4) as pool: print(list(pool.map(square, range(10))))
   Shows   : cth_executor_create, cth_submit, cth_future_result, cth_executor_shutdown
   Look at : each task has a copy of its argument, so `i` may go on changing.
   Build   : cc -std=c11 -I../.. e14_thread_pool.c -pthread
   Prints  :
     [0, 1, 4, 9, 16, 25, 36, 49, 64, 81] */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { NUMBERS = 10 };

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        exit(EXIT_FAILURE);
    }
}

static cth_status square(void *arg, void *result) {
    const int n = *(const int *)arg;
    *(int *)result = n * n;
    return CTH_OK;
}

int main(void) {
    cth_executor *pool;
    cth_future *futures[NUMBERS];
    check(cth_executor_create(&pool, &(cth_executor_desc){.workers = 4}));
    for (int i = 0; i < NUMBERS; i++) {
        check(cth_submit(pool, &futures[i], square, &i, sizeof i, sizeof(int)));
    }
    for (int i = 0; i < NUMBERS; i++) {
        int result;
        check(cth_future_result(futures[i], &result));
        printf("%s%d", i == 0 ? "[" : ", ", result);
        cth_future_release(futures[i]);
    }
    printf("]\n");
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    return 0;
}
