/* e16_timeouts.c - every wait with a deadline.

   Article : Python Threading and Synchronization, "Best practices: timeouts"
   Python  : lock.acquire(timeout=0.1); event.wait(0.1); cond.wait_for(p, 0.1); t.join(0.1)
   Shows   : every *_until form, cth_after, CTH_WAIT_WHILE with a deadline
   Look at : a call that ran out of time has changed nothing and may be made again: the second
             join succeeds. Unlike Python's join, no second question is needed to know what
             happened.
   Build   : cc -std=c11 -I../.. e16_timeouts.c -pthread
   Prints  : "join" anywhere among the lines of the thread
     lock: the deadline passed
     semaphore: the deadline passed
     condition: the deadline passed
     event: the deadline passed
     join: the deadline passed
     join again: success */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_mutex held, mine;
static cth_sem none;
static cth_cond cond;
static cth_event never, go;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static void tell(const char *what, cth_status status) {
    printf("%s: %s\n", what, cth_status_text(status));
}

static cth_status impatient(void *arg) {
    (void)arg;
    tell("lock", cth_mutex_lock_until(&held, cth_after(CTH_MS(100))));
    tell("semaphore", cth_sem_acquire_until(&none, cth_after(CTH_MS(100))));
    CTH_WITH(&mine) {
        tell("condition", CTH_WAIT_WHILE(&cond, &mine, true, cth_after(CTH_MS(100))));
    }
    tell("event", cth_event_wait_until(&never, cth_after(CTH_MS(100))));
    return cth_event_wait_until(&go, cth_after(CTH_S(60)));
}

int main(void) {
    cth_thread *thread = NULL;
    cth_status result = CTH_OK;
    check(cth_mutex_lock(&held));
    check(cth_thread_spawn(&thread, impatient, NULL, NULL));
    tell("join", cth_thread_join_until(thread, NULL, cth_after(CTH_MS(100))));
    check(cth_event_set(&go));
    tell("join again", cth_thread_join_until(thread, &result, cth_after(CTH_S(60))));
    check(result);
    check(cth_mutex_unlock(&held)); // only here: so the thread's wait for it had to time out
    cth_thread_release(thread);
    return 0;
}
