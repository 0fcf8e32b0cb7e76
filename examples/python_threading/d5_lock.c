/* d5_lock.c - a hundred threads, one increment each.

   Article : Python Threading, "Lock" around a shared counter
   Python  : def increment():
                 global counter
                 with lock: counter += 1
   Shows   : CTH_WITH, many threads
   Look at : the read and the write are one step for everybody else; the yield between them lets
             every other thread try to come between.
   Build   : cc -std=c11 -I../.. d5_lock.c -pthread
   Prints  :
     100 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 100 };

static cth_mutex lock;
static int counter;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status increment(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        const int seen = counter;
        cth_yield();
        counter = seen + 1;
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_spawn(&threads[i], increment, NULL, NULL));
    }
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    printf("%d\n", counter);
    return 0;
}
