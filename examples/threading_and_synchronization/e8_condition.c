/* e8_condition.c - a condition variable without a condition.

   Article : Python Threading and Synchronization, "Condition"
   Python  : def consumer(): with cond: print("Consumer waiting"); cond.wait(); print(...)
             def producer(): with cond: print("Producer notifying"); cond.notify()
   Shows   : cth_cond_wait_until, cth_cond_notify
   Look at : the trap. A notify that nobody waits for is gone: if the producer is first, the
             original's consumer waits for ever. This one gives up after 2 s and says so.
             e8_condition_fixed.c shows the right way.
   Build   : cc -std=c11 -I../.. e8_condition.c -pthread
   Prints  :
     Consumer waiting
     Producer notifying
     Consumer notified
             or, with the producer first, as the last line
     Consumer gave up: no notify while it waited */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_mutex lock;
static cth_cond cond;

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
        const cth_status status = cth_cond_wait_until(&cond, &lock, cth_after(CTH_S(2)));
        if (status == CTH_TIMEDOUT) {
            puts("Consumer gave up: no notify while it waited");
        } else {
            check(status);
            puts("Consumer notified");
        }
    }
    return CTH_OK;
}

static cth_status producer(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        puts("Producer notifying");
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
