/* e13_producer_consumer_fixed.c - a producer that says when it is done.

   Article : Python Threading and Synchronization, "Producer-consumer"
   Python  : q.shutdown()            # Python 3.13; before that: q.put(None)
   Shows   : cth_queue_shutdown, CTH_FOREACH_GET
   Look at : what was wrong with e13_producer_consumer.c: its consumer waits for a sentinel that
             nobody sends. A shutdown closes the queue: no sentinel, any number of consumers, and
             what was put before is still got.
   Build   : cc -std=c11 -I../.. e13_producer_consumer_fixed.c -pthread
   Prints  : each pair in either order, since it prints after the put
     Produced: 0
     Consumed: 0
     ...
     Consumed: 4 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_queue queue = CTH_QUEUE_INIT(sizeof(int));

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status producer(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) {
        check(cth_queue_put(&queue, &i));
        printf("Produced: %d\n", i);
        check(cth_sleep(CTH_MS(100)));
    }
    return cth_queue_shutdown(&queue, CTH_DRAIN);
}

static cth_status consumer(void *arg) {
    (void)arg;
    CTH_FOREACH_GET(int, item, &queue) {
        printf("Consumed: %d\n", item);
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[2];
    check(cth_thread_spawn(&threads[0], producer, NULL, NULL));
    check(cth_thread_spawn(&threads[1], consumer, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return cth_queue_destroy(&queue) != CTH_OK;
}
