/* d2_lock.c - four threads count to 400000 together, under a lock.

   Article : Python Threading, "Lock"
   Python  : for _ in range(100000):
                 with lock: counter += 1
   Shows   : CTH_WITH
   Look at : the sum is exact, in every run, though other threads run between the read and the
             write (the yield sees to it). d2_no_lock.c leaves the lock out, d2_atomic.c needs
             none.
   Build   : cc -std=c11 -I../.. d2_lock.c -pthread
   Prints  :
     400000 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_mutex lock;
static long counter;

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
        CTH_WITH(&lock) {
            const long seen = counter;
            if (i % 100 == 0) {
                cth_yield();
            }
            counter = seen + 1;
        }
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
    printf("%ld\n", counter);
    return 0;
}
