/* c11_deadlock.c - the article's deadlock, which is none.

   Article : Python Threads: Concepts and Implementation Examples, "Deadlock"
   Python  : def thread1(): with lock_a: ...; with lock_b: ...
             def thread2(): with lock_a: ...; with lock_b: ...
   Shows   : CTH_WITH, nested
   Look at : the trap. The text promises a deadlock, but both threads take A first and then B,
             and one order for all is exactly what prevents it. c11_deadlock_timed.c has a real
             one, and gets out of it.
   Build   : cc -std=c11 -I../.. c11_deadlock.c -pthread
   Prints  : the pair of either thread first, never mixed
     Thread-1 acquired Lock A
     Thread-1 acquired Lock B
     Thread-2 acquired Lock A
     Thread-2 acquired Lock B */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_mutex lock_a;
static cth_mutex lock_b;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status run(void *arg) {
    const char *name = arg;
    CTH_WITH(&lock_a) {
        printf("%s acquired Lock A\n", name);
        check(cth_sleep(CTH_S(1)));
        CTH_WITH(&lock_b) {
            printf("%s acquired Lock B\n", name);
        }
    }
    return CTH_OK;
}

int main(void) {
    char names[2][16] = {"Thread-1", "Thread-2"};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], run, names[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
