/* d6_daemon.c - the program waits for its threads, but not for daemons.

   Article : Python Threading, "Advice: daemon threads"
   Python  : Thread(target=heartbeat, daemon=True).start()
             Thread(target=save).start()
   Shows   : cth_thread_desc.daemon, the wait at exit
   Look at : main returns at once. The program still waits for "save", and then cuts the daemon
             off in the middle of its endless loop: so a daemon must own nothing that needs an
             orderly end.
   Build   : cc -std=c11 -I../.. d6_daemon.c -pthread
   Prints  : a heartbeat each 0.3 s until the end
     main is done
     heartbeat
     heartbeat
     saved */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status heartbeat(void *arg) {
    (void)arg;
    while (true) {
        const cth_status status = cth_sleep(CTH_MS(300));
        if (status != CTH_OK) {
            return status;
        }
        puts("heartbeat");
    }
}

static cth_status save(void *arg) {
    (void)arg;
    check(cth_sleep(CTH_S(1)));
    puts("saved");
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, heartbeat, NULL, &(cth_thread_desc){.daemon = true}));
    cth_thread_release(thread);
    check(cth_thread_spawn(&thread, save, NULL, NULL));
    cth_thread_release(thread);
    puts("main is done");
    return 0;
}
