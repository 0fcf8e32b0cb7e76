/* c11_deadlock_timed.c - a real deadlock, and the way out of it: a lock with a deadline.

   Article : Python Threads: Concepts and Implementation Examples, "Deadlock"
   Python  : with first:
                 if second.acquire(timeout=0.1): ...   # else let go of `first` and try again
   Shows   : cth_mutex_lock_until, cth_after, cth_rng
   Look at : the events make sure that each thread holds its first lock before either tries its
             second: A-B against B-A, a deadlock in every run. Whoever runs out of time lets go.
             The random pause keeps the two from colliding in step for ever.
   Build   : cc -std=c11 -I../.. c11_deadlock_timed.c -pthread
   Prints  : one thread, or both, gives up, once or more often; then both get through
     Thread-1 gave up Lock A
     Thread-2 acquired both locks
     Thread-1 acquired both locks */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct job {
    const char *name;
    const char *first_name;
    cth_mutex *first;
    cth_mutex *second;
    cth_event *ready; // this thread holds its first lock
    cth_event *other; // so does the other one
};

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status run(void *arg) {
    const struct job *job = arg;
    cth_rng rng;
    cth_rng_seed(&rng, cth_rng_entropy());
    for (;;) {
        check(cth_mutex_lock(job->first));
        check(cth_event_set(job->ready));
        check(cth_event_wait(job->other));
        const cth_status status = cth_mutex_lock_until(job->second, cth_after(CTH_MS(100)));
        if (status == CTH_OK) {
            printf("%s acquired both locks\n", job->name);
            check(cth_mutex_unlock(job->second));
            check(cth_mutex_unlock(job->first));
            return CTH_OK;
        }
        check(status == CTH_TIMEDOUT ? CTH_OK : status);
        printf("%s gave up %s\n", job->name, job->first_name);
        check(cth_mutex_unlock(job->first));
        check(cth_sleep(CTH_MS(200 * cth_rng_unit(&rng))));
    }
}

int main(void) {
    cth_mutex a = CTH_MUTEX_INIT;
    cth_mutex b = CTH_MUTEX_INIT;
    cth_event ready[2] = {CTH_EVENT_INIT, CTH_EVENT_INIT};
    struct job jobs[2] = {{"Thread-1", "Lock A", &a, &b, &ready[0], &ready[1]},
                          {"Thread-2", "Lock B", &b, &a, &ready[1], &ready[0]}};
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
