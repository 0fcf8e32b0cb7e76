/* c6_same_process.c - threads live in one process.

   Article : Python Threads: Concepts and Implementation Examples, "Same process"
   Python  : def task(): print("Thread PID:", os.getpid())
             t.start(); print("Main thread PID:", os.getpid())
   Shows   : cth_thread_spawn beside getpid
   Look at : both lines show the same number.
   Build   : cc -std=c11 -I../.. c6_same_process.c -pthread
   Prints  : in either order
     Thread PID: 4711
     Main thread PID: 4711 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status task(void *arg) {
    (void)arg;
    printf("Thread PID: %ld\n", (long)getpid());
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, task, NULL, NULL));
    printf("Main thread PID: %ld\n", (long)getpid());
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    return 0;
}
