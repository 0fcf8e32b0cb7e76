/* e9_barrier.c - nobody goes on before all have come.

   Article : Python Threading and Synchronization, "Barrier"
   Python  : barrier = threading.Barrier(3)
             print("Thread waiting at barrier"); barrier.wait(); print("Thread proceeding")
   Shows   : CTH_BARRIER_INIT, cth_barrier_wait
   Look at : all lines of the first kind stand before all of the second, in every run.
   Build   : cc -std=c11 -I../.. e9_barrier.c -pthread
   Prints  :
     Thread waiting at barrier
     Thread waiting at barrier
     Thread waiting at barrier
     Thread proceeding
     Thread proceeding
     Thread proceeding */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { PARTIES = 3 };

static cth_barrier barrier = CTH_BARRIER_INIT(PARTIES);

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    (void)arg;
    puts("Thread waiting at barrier");
    check(cth_barrier_wait(&barrier, NULL));
    puts("Thread proceeding");
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        check(cth_thread_spawn(&threads[i], worker, NULL, NULL));
    }
    for (int i = 0; i < PARTIES; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
