/* d6_bounded_executor.c - fifty requests, three threads, and never more than eight in the house.

   Article : Python Threading, "Advice: a bounded executor instead of unbounded threads"
   Python  : places = BoundedSemaphore(8)
             places.acquire(); pool.submit(f).add_done_callback(lambda _: places.release())
   Shows   : cth_sem in front of cth_submit
   Look at : a thread for each request would be fifty threads; a pool alone would be three threads
             and a queue without end. Who brings a ninth request waits: that is back-pressure.
   Build   : cc -std=c11 -I../.. d6_bounded_executor.c -pthread
   Prints  :
     50 requests, never more than 8 at a time */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { REQUESTS = 50, PLACES = 8 };

static cth_sem places = CTH_SEM_INIT_BOUNDED(PLACES);
static cth_mutex lock;
static int inside, most, handled; // under the lock

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status handle(void *arg, void *result) {
    (void)arg, (void)result;
    check(cth_sleep(CTH_MS(10)));
    CTH_WITH(&lock) {
        inside--;
        handled++;
    }
    return cth_sem_release(&places);
}

int main(void) {
    cth_executor *pool;
    check(cth_executor_create(&pool, &(cth_executor_desc){.workers = 3}));
    for (int i = 0; i < REQUESTS; i++) {
        check(cth_sem_acquire(&places));
        CTH_WITH(&lock) {
            inside++;
            most = inside > most ? inside : most;
        }
        check(cth_submit(pool, NULL, handle, NULL, 0, 0));
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    printf("%d requests, never more than %d at a time\n", handled, most);
    return 0;
}
