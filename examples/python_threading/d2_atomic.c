/* d2_atomic.c - the count of d2_lock.c with an atomic number instead of a lock.

   Article : Python Threading, "Lock"
   Python  : none: it has no atomic integers
   Shows   : C11 <stdatomic.h> beside the kit
   Look at : one indivisible step reads, adds and writes. That is all an atomic can do: as soon
             as two variables belong together, take a lock.
   Build   : cc -std=c11 -I../.. d2_atomic.c -pthread
   Prints  :
     400000 */
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
        atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
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
