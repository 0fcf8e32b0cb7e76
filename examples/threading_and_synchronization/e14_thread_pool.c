/* e14_thread_pool.c - squares from an executor that ends with its block.

   Article : Python Threading and Synchronization, "Thread pool"
   Python  : with ThreadPoolExecutor(4) as pool: print(list(pool.map(square, range(10))))
   Shows   : CTH_WITH_EXECUTOR, cth_map
   Look at : no shutdown and no release: they come with the end of the block, however it is left.
             b5_thread_pool.c has them.
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
    int numbers[NUMBERS], squares[NUMBERS];
    cth_status status;
    for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = i;
    }
    CTH_WITH_EXECUTOR(pool, &status, &(cth_executor_desc){.workers = 4}) {
        status = cth_map(pool, square, numbers, sizeof(int), squares, sizeof(int), NUMBERS);
    }
    check(status);
    for (int i = 0; i < NUMBERS; i++) {
        printf("%s%d", i == 0 ? "[" : ", ", squares[i]);
    }
    printf("]\n");
    return 0;
}
