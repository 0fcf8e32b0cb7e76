/* e16_clean_shutdown.c - stop in the middle of the work, and lose nothing that was accepted.

   Article : Python Threading and Synchronization, "Best practices: clean shutdown"
   Python  : stop.set(); for t in producers: t.join(); pool.shutdown(wait=True)
   Shows   : cth_cancel_request, CTH_UNDER, cth_executor_shutdown_until
   Look at : the order: those who bring work first, then those who do it. A request wakes a producer
             that waits for a place; a shutdown drains the pool, and has a deadline.
   Build   : cc -std=c11 -I../.. e16_clean_shutdown.c -pthread
   Prints  : some number, both times the same
     accepted 63, finished 63 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PRODUCERS = 3 };

static cth_executor *pool;
static cth_cancel stop;
static cth_sem places = CTH_SEM_INIT_BOUNDED(8);
static atomic_int accepted, finished;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status task(void *arg, void *result) {
    (void)arg, (void)result;
    check(cth_sleep(CTH_MS(10)));
    atomic_fetch_add(&finished, 1);
    return cth_sem_release(&places);
}

static cth_status producer(void *arg) {
    (void)arg;
    for (;;) {
        cth_status status;
        CTH_UNDER(&stop) {
            status = cth_sem_acquire(&places);
        }
        // A call that need not wait succeeds in spite of the token, so it is asked as well.
        if (status != CTH_OK || cth_cancel_status(&stop) != CTH_OK) {
            return CTH_OK;
        }
        check(cth_submit(pool, NULL, task, NULL, 0, 0)); // not under the token: it will be done
        atomic_fetch_add(&accepted, 1);
    }
}

int main(void) {
    cth_thread *producers[PRODUCERS];
    check(cth_executor_create(&pool, &(cth_executor_desc){.workers = 2}));
    for (int i = 0; i < PRODUCERS; i++) {
        check(cth_thread_spawn(&producers[i], producer, NULL, NULL));
    }
    check(cth_sleep(CTH_MS(300)));
    check(cth_cancel_request(&stop, "time to go"));
    for (int i = 0; i < PRODUCERS; i++) {
        check(cth_thread_join(producers[i], NULL));
        cth_thread_release(producers[i]);
    }
    check(cth_executor_shutdown_until(pool, CTH_DRAIN, cth_after(CTH_S(60))));
    cth_executor_release(pool);
    printf("accepted %d, finished %d\n", atomic_load(&accepted), atomic_load(&finished));
    return 0;
}
