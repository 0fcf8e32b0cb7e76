/* c11_deadlock_with_all.c - both locks at once, in any order, without a deadlock.

   Article : Python Threads: Concepts and Implementation Examples, "Deadlock"
   Python  : def thread1(): with lock_a: ...; with lock_b: ...
             def thread2(): with lock_b: ...; with lock_a: ...
   Shows   : CTH_WITH_ALL
   Look at : the threads name the locks in opposite orders, as in c11_deadlock_timed.c; nested
             CTH_WITH would end in a deadlock. CTH_WITH_ALL takes them in the order of their
             addresses, whatever the order they are written in.
   Build   : cc -std=c11 -I../.. c11_deadlock_with_all.c -pthread
   Prints  : either thread first
     Thread-1 acquired Lock A and Lock B
     Thread-2 acquired Lock B and Lock A */
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

static cth_status thread_1(void *arg) {
    (void)arg;
    CTH_WITH_ALL(&lock_a, &lock_b) {
        check(cth_sleep(CTH_S(1)));
        puts("Thread-1 acquired Lock A and Lock B");
    }
    return CTH_OK;
}

static cth_status thread_2(void *arg) {
    (void)arg;
    CTH_WITH_ALL(&lock_b, &lock_a) {
        check(cth_sleep(CTH_S(1)));
        puts("Thread-2 acquired Lock B and Lock A");
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[2];
    check(cth_thread_spawn(&threads[0], thread_1, NULL, NULL));
    check(cth_thread_spawn(&threads[1], thread_2, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
