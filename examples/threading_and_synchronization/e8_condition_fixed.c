/* e8_condition_fixed.c - a condition variable with its condition.

   Article : Python Threading and Synchronization, "Condition"
   Python  : def consumer(): with cond: cond.wait_for(lambda: ready)
             def producer(): with cond: ready = True; cond.notify()
   Shows   : CTH_WAIT_WHILE
   Look at : what was wrong with e8_condition.c: it waits for the notify itself, which is not
             kept. The thing to wait for is a variable under the lock, the notify only says
             "look again". Now either thread may be first, and a wake-up for no reason does no
             harm.
   Build   : cc -std=c11 -I../.. e8_condition_fixed.c -pthread
   Prints  : the first two lines in either order
     Consumer waiting
     Producer notifying
     Consumer notified */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_mutex lock;
static cth_cond cond;
static bool ready; // under `lock`

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status consumer(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        puts("Consumer waiting");
        check(CTH_WAIT_WHILE(&cond, &lock, !ready));
        puts("Consumer notified");
    }
    return CTH_OK;
}

static cth_status producer(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        puts("Producer notifying");
        ready = true;
        check(cth_cond_notify(&cond, 1));
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[2];
    check(cth_thread_spawn(&threads[0], consumer, NULL, NULL));
    check(cth_thread_spawn(&threads[1], producer, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
