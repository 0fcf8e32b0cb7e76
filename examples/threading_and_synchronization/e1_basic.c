/* e1_basic.c - the smallest program with a thread.

   Article : Python Threading and Synchronization, "Basic thread"
   Python  : t = threading.Thread(target=worker); t.start(); t.join()
   Shows   : cth_thread_spawn, cth_thread_join, cth_thread_release
   Look at : the four calls that every program with threads has.
   Build   : cc -std=c11 -I../.. e1_basic.c -pthread
   Prints  :
     Worker thread running */
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

static cth_status worker(void *arg) {
    (void)arg;
    puts("Worker thread running");
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, worker, NULL, NULL));
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    return 0;
}
