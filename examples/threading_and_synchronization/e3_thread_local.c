/* e3_thread_local.c - a variable of which every thread has its own.

   Article : Python Threading and Synchronization, "Thread-local data"
   Python  : local = threading.local()
             def worker(name): local.name = name; print(local.name)
   Shows   : C11's _Thread_local beside the kit
   Look at : for a number or a pointer the language itself is enough; for an object that must be
             cleaned up when its thread ends, see cth_local in b4_thread_local.c.
   Build   : cc -std=c11 -I../.. e3_thread_local.c -pthread
   Prints  : each its own, in either order
     Thread-1
     Thread-2 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static _Thread_local const char *name;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    name = arg;
    cth_yield(); // lets the other thread set its own
    puts(name);
    return CTH_OK;
}

int main(void) {
    char names[2][16] = {"Thread-1", "Thread-2"};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], worker, names[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
