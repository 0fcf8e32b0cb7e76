/* a3_lock.c - two threads take turns: each prints its whole block under one lock.

   Article : Master Python Threading: From Basics to Advanced Synchronization,
             "Lock"
   Python  : threadLock.acquire()
             print_time(self.name, self.counter, 3)
             threadLock.release()
   Shows   : cth_mutex (valid when zeroed), CTH_WITH
   Look at : the lock is held while the thread sleeps, so the blocks never interleave, and the
             time is the sum, 3 x 1 s + 3 x 2 s, not the maximum. Either thread may be first.
   Build   : cc -std=c11 -I../.. a3_lock.c -pthread
   Prints  : two blocks of three lines; 9 s in all
     Thread-1: Thu Jan  1 00:00:01 2026 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct job {
    const char *name;
    cth_time delay;
};

static cth_mutex lock;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status run(void *arg) {
    const struct job *job = arg;
    CTH_WITH(&lock) {
        for (int count = 0; count < 3; count++) {
            char text[CTH_WALL_TEXT_SIZE];
            check(cth_sleep(job->delay));
            printf("%s: %s\n", job->name, cth_wall_text(cth_wall_now(), text));
        }
    }
    return CTH_OK;
}

int main(void) {
    struct job jobs[2] = {{"Thread-1", CTH_S(1)}, {"Thread-2", CTH_S(2)}};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], run, &jobs[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
