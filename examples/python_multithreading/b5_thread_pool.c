/* b5_thread_pool.c - a pool of four threads computes squares, in the order of the numbers.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples, "Thread pool"
   Python  : pool = ThreadPool(4); results = pool.map(square, range(10)); print(results)
   Shows   : cth_executor_create, cth_map
   Look at : the results stand in the order of the arguments, whichever thread computed them.
   Build   : cc -std=c11 -I../.. b5_thread_pool.c -pthread
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
    int numbers[NUMBERS], squares[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = i;
    }
    check(cth_executor_create(&pool, &(cth_executor_desc){.workers = 4}));
    check(cth_map(pool, square, numbers, sizeof(int), squares, sizeof(int), NUMBERS));
    for (int i = 0; i < NUMBERS; i++) {
        printf("%s%d", i == 0 ? "[" : ", ", squares[i]);
    }
    printf("]\n");
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    return 0;
}
