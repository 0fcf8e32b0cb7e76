/* d6_queue_handover.c - hand work over by queue, instead of sharing a list and a lock.

   Article : Python Threading, "Advice: use a queue to pass data between threads"
   Python  : jobs = queue.Queue(); results = queue.Queue()
             for n in iter(jobs.get, None): results.put(n * n)
   Shows   : CTH_CHAN_OF, two channels, close as the end of the work
   Look at : no lock and no shared variable: a value belongs to one thread at a time. The last
             worker to end closes the results, so main's loop ends by itself.
   Build   : cc -std=c11 -I../.. d6_queue_handover.c -pthread
   Prints  :
     100 squares, sum 328350 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 3, JOBS = 100 };

CTH_CHAN_OF(int, int_chan);

static int_chan jobs, results;
static cth_latch working = CTH_LATCH_INIT(WORKERS);

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    (void)arg;
    CTH_FOREACH_RECV(int, n, &jobs.chan) {
        check(int_chan_send(&results, n * n));
    }
    return cth_latch_done(&working);
}

static cth_status feeder(void *arg) {
    (void)arg;
    for (int n = 0; n < JOBS; n++) {
        check(int_chan_send(&jobs, n));
    }
    check(int_chan_close(&jobs));
    check(cth_latch_wait(&working));
    return int_chan_close(&results);
}

int main(void) {
    cth_thread *threads[WORKERS + 1];
    int count = 0, sum = 0;
    check(int_chan_init(&jobs, 8, NULL));
    check(int_chan_init(&results, 8, NULL));
    for (int i = 0; i <= WORKERS; i++) {
        check(cth_thread_spawn(&threads[i], i < WORKERS ? worker : feeder, NULL, NULL));
    }
    CTH_FOREACH_RECV(int, square, &results.chan) {
        count++;
        sum += square;
    }
    printf("%d squares, sum %d\n", count, sum);
    for (int i = 0; i <= WORKERS; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    check(cth_chan_destroy(&jobs.chan));
    return cth_chan_destroy(&results.chan) != CTH_OK;
}
