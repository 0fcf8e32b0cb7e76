/* e2_arguments_and_name.c - a thread with arguments, and with a name.

   Article : Python Threading and Synchronization, "Arguments and name"
   Python  : t = threading.Thread(target=worker, args=("Thread-1", 5), name="WorkerThread")
   Shows   : a struct as arguments, cth_thread_desc
   Look at : several arguments are one struct, which lives until the join. The thread's name is
             the one in the description; the other is only text to print.
   Build   : cc -std=c11 -I../.. e2_arguments_and_name.c -pthread
   Prints  :
     Thread-1: 0
     Thread-1: 1
     Thread-1: 2
     Thread-1: 3
     Thread-1: 4 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    const char *label;
    int count;
};

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    const struct arguments *arguments = arg;
    for (int i = 0; i < arguments->count; i++) {
        printf("%s: %d\n", arguments->label, i);
    }
    return CTH_OK;
}

int main(void) {
    struct arguments arguments = {"Thread-1", 5};
    const cth_thread_desc desc = {.name = "WorkerThread"};
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, worker, &arguments, &desc));
    check(cth_thread_join(thread, NULL));
    const int odd = strcmp(cth_thread_name(thread), "WorkerThread");
    cth_thread_release(thread);
    return odd == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
