/* e10_no_lock.c - read, pause, write, without the lock: lost updates.

   Article : Python Threading and Synchronization, "Race condition"
   Python  : value = counter; time.sleep(0.1); counter = value + 1
   Shows   : a race without undefined behaviour
   Look at : all threads read before the first one writes. Relaxed atomics keep this defined in
             C, where a race on a plain int is not; e10_race_condition.c is the right way.
   Build   : cc -std=c11 -I../.. e10_no_lock.c -pthread
   Prints  : nearly always
     Counter: 1 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 10 };

static atomic_int counter;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status increment(void *arg) {
    (void)arg;
    const int value = atomic_load_explicit(&counter, memory_order_relaxed);
    check(cth_sleep(CTH_MS(100)));
    atomic_store_explicit(&counter, value + 1, memory_order_relaxed);
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_spawn(&threads[i], increment, NULL, NULL));
    }
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    printf("Counter: %d\n", atomic_load(&counter));
    return 0;
}
