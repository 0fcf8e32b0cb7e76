/* d2_no_lock.c - what happens to d2_lock.c without its lock.

   Article : Python Threading, "Lock"
   Python  : for _ in range(100000): counter += 1    # read, add, write: three steps
   Shows   : a data race in its tame form
   Look at : increments are lost: two threads read the same value, and both write it plus one.
             The loads and stores are relaxed atomics, so that this is wrong but not undefined:
             with a plain `long` the compiler may do anything. The yields let the loss show on
             one core, too.
   Build   : cc -std=c11 -I../.. d2_no_lock.c -pthread
   Prints  : some number up to 400000, another one each time
     167201 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_long counter;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status increment(void *arg) {
    const long rounds = *(const long *)arg;
    for (long i = 0; i < rounds; i++) {
        const long seen = atomic_load_explicit(&counter, memory_order_relaxed);
        if (i % 100 == 0) {
            cth_yield();
        }
        atomic_store_explicit(&counter, seen + 1, memory_order_relaxed);
    }
    return CTH_OK;
}

int main(int argc, char **argv) {
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        check(cth_thread_spawn(&threads[i], increment, &rounds, NULL));
    }
    for (int i = 0; i < 4; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    printf("%ld\n", atomic_load(&counter));
    return 0;
}
