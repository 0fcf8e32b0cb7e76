/* e7_event.c - one thread waits until another says "now".

   Article : Python Threading and Synchronization, "Event"
   Python  : def waiter(): print("Waiting for event..."); event.wait(); print("Event has been set")
             time.sleep(1); print("Setting event"); event.set()
   Shows   : cth_event_wait, cth_event_set
   Look at : nothing gets lost when the event is set first: it stays set.
   Build   : cc -std=c11 -I../.. e7_event.c -pthread
   Prints  : the second line after 1 s
     Waiting for event...
     Setting event
     Event has been set */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_event event = CTH_EVENT_INIT;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status waiter(void *arg) {
    (void)arg;
    puts("Waiting for event...");
    check(cth_event_wait(&event));
    puts("Event has been set");
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, waiter, NULL, NULL));
    check(cth_sleep(CTH_S(1)));
    puts("Setting event");
    check(cth_event_set(&event));
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    return 0;
}
