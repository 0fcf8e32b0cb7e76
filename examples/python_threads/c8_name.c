/* c8_name.c - every thread has a name.

   Article : Python Threads: Concepts and Implementation Examples, "Name"
   Python  : def task(): time.sleep(1); print(current_thread().name)
             t.start(); print("Main thread", current_thread().name)
   Shows   : cth_thread_current, cth_thread_name
   Look at : nobody named these threads: the main thread is "MainThread", the others are
             numbered.
   Build   : cc -std=c11 -I../.. c8_name.c -pthread
   Prints  : the second line after 1 s
     Main thread MainThread
     Thread-1 */
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

static cth_status task(void *arg) {
    (void)arg;
    check(cth_sleep(CTH_S(1)));
    puts(cth_thread_name(cth_thread_current()));
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, task, NULL, NULL));
    printf("Main thread %s\n", cth_thread_name(cth_thread_current()));
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    return 0;
}
