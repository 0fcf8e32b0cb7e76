/* e5_rlock.c - a lock that its owner may lock again.

   Article : Python Threading and Synchronization, "RLock"
   Python  : lock = threading.RLock()
             def recursive(n):
                 with lock:
                     print("Lock acquired")
                     if n > 0: recursive(n - 1)
   Shows   : cth_rmutex, CTH_WITH with one
   Look at : three levels, no deadlock with oneself. With a cth_mutex the second level would be
             CTH_DEADLOCK. The lock is free only when the outermost block has ended; the threads
             look for themselves whether the other one came in between.
   Build   : cc -std=c11 -I../.. e5_rlock.c -pthread
   Prints  : one line for each level of two threads
     Lock acquired */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_rmutex lock;
static const char *holder; // under `lock`

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static void recursive(const char *name, int n) {
    CTH_WITH(&lock) {
        puts("Lock acquired");
        holder = name;
        if (n > 0) {
            recursive(name, n - 1);
        }
        cth_yield(); // every chance for the other thread to come in
        check(holder == name ? CTH_OK : CTH_FAILED);
    }
}

static cth_status worker(void *arg) {
    recursive(arg, 2);
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
