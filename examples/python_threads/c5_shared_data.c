/* c5_shared_data.c - threads of one program see the same variables.

   Article : Python Threads: Concepts and Implementation Examples, "Shared data"
   Python  : def task(): global name; name = "Eve_modified"; print(f"{name} (thread)")
             t.start(); t.join(); print(f"{name} (main thread)")
   Shows   : what join orders
   Look at : no lock is needed: all that a thread did happens before join returns. Reading
             `name` without the join would be a data race.
   Build   : cc -std=c11 -I../.. c5_shared_data.c -pthread
   Prints  :
     Eve_modified (thread)
     Eve_modified (main thread) */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static const char *name = "Eve";

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status task(void *arg) {
    (void)arg;
    name = "Eve_modified";
    printf("%s (thread)\n", name);
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, task, NULL, NULL));
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    printf("%s (main thread)\n", name);
    return 0;
}
