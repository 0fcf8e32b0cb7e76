/* e10_race_condition.c - read, pause, write: exact, because of the lock.

   Article : Python Threading and Synchronization, "Race condition"
   Python  : with lock: value = counter; time.sleep(0.1); counter = value + 1
   Shows   : CTH_WITH
   Look at : the pause is inside the lock, so ten threads need 10 x 0.1 s. e10_no_lock.c is
             faster, and wrong.
   Build   : cc -std=c11 -I../.. e10_race_condition.c -pthread
   Prints  :
     Counter: 10 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 10 };

static cth_mutex lock;
static int counter; // under `lock`

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status increment(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        const int value = counter;
        check(cth_sleep(CTH_MS(100)));
        counter = value + 1;
    }
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
    printf("Counter: %d\n", counter);
    return 0;
}
