/* e13_producer_consumer.c - a producer and a consumer with a queue between them.

   Article : Python Threading and Synchronization, "Producer-consumer"
   Python  : def producer(): for i in range(5): q.put(i); print(f"Produced: {i}"); sleep(0.1)
             def consumer(): while True: item = q.get(); if item is None: break; ...
   Shows   : cth_queue_put, cth_queue_get_until
   Look at : the trap. The consumer stops at None, which nobody ever puts: the original hangs. Here
             the last get gives up after 1 s, so that the program ends.
             e13_producer_consumer_fixed.c shows the right way.
   Build   : cc -std=c11 -I../.. e13_producer_consumer.c -pthread
   Prints  : each pair in either order, since it prints after the put
     Produced: 0
     Consumed: 0
     ...
     Consumer gave up: nobody said that this was all */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_queue queue = CTH_QUEUE_INIT(sizeof(int)); // without a bound, as Queue()

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
    return CTH_OK;
}

static cth_status consumer(void *arg) {
    (void)arg;
    int item;
    while (cth_queue_get_until(&queue, &item, cth_after(CTH_S(1))) == CTH_OK) {
        printf("Consumed: %d\n", item);
    }
    puts("Consumer gave up: nobody said that this was all");
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
