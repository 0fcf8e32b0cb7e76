/* e4_lock.c - only one thread at a time is inside.

   Article : Python Threading and Synchronization, "Lock"
   Python  : with lock: print("Accessing critical section")
   Shows   : CTH_WITH, and a thread function that reports a failure
   Look at : `inside` needs no atomics: the lock orders every access. The thread looks for
             itself whether it was alone; the yield gives the others every chance to come in.
   Build   : cc -std=c11 -I../.. e4_lock.c -pthread
   Prints  : one line for each of three threads
     Accessing critical section */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_mutex lock;
static int inside; // under `lock`

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        inside++;
        puts("Accessing critical section");
        cth_yield();
        if (inside != 1) {
            return cth_fail(CTH_FAILED, "not alone"); // the lock is released here too
        }
        inside--;
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[3];
    for (int i = 0; i < 3; i++) {
        check(cth_thread_spawn(&threads[i], worker, NULL, NULL));
    }
    for (int i = 0; i < 3; i++) {
        cth_status result = CTH_OK;
        check(cth_thread_join(threads[i], &result));
        check(result);
        cth_thread_release(threads[i]);
    }
    return 0;
}
