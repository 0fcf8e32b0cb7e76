/* a5_queue_family.c - the same five numbers through a FIFO, a LIFO and a priority queue.

   Article : Master Python Threading: From Basics to Advanced Synchronization,
             "Queue" (its list of Queue, LifoQueue and PriorityQueue, and of their methods)
   Python  : q = queue.PriorityQueue(5); q.put(3); q.get(timeout=0.1); q.task_done(); q.join()
   Shows   : cth_queue_init with each order, CTH_QUEUE_OF, size, is_empty, is_full, try_put,
             get_until, task_done, join
   Look at : join waits until every element that was put is done, not until the queue is empty.
   Build   : cc -std=c11 -I../.. a5_queue_family.c -pthread
   Prints  :
     FIFO: 3 1 4 1 5
     LIFO: 5 1 4 1 3
     priority: 1 1 3 4 5 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

CTH_QUEUE_OF(int, int_queue);

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static int ascending(const void *a, const void *b, void *arg) {
    const int x = *(const int *)a, y = *(const int *)b;
    (void)arg;
    return (x > y) - (x < y);
}

/* Takes numbers out until the queue is shut down. */
static cth_status worker(void *arg) {
    int_queue *queue = arg;
    CTH_FOREACH_GET(int, number, &queue->queue) {
        printf(" %d", number);
        check(cth_queue_task_done(&queue->queue));
    }
    return CTH_OK;
}

static void show(const char *name, const cth_queue_desc *desc) {
    static const int numbers[5] = {3, 1, 4, 1, 5};
    int_queue queue;
    cth_thread *thread;
    int number;
    check(int_queue_init(&queue, 5, desc));
    if (!cth_queue_is_empty(&queue.queue) || int_queue_try_get(&queue, &number) != CTH_EMPTY ||
        int_queue_get_until(&queue, &number, cth_after(CTH_MS(10))) != CTH_TIMEDOUT) {
        check(CTH_FAILED);
    }
    for (int i = 0; i < 5; i++) {
        check(int_queue_put(&queue, numbers[i]));
    }
    if (!cth_queue_is_full(&queue.queue) || int_queue_try_put(&queue, 9) != CTH_FULL ||
        cth_queue_size(&queue.queue) != 5) {
        check(CTH_FAILED);
    }
    printf("%s:", name);
    check(cth_thread_spawn(&thread, worker, &queue, NULL));
    check(cth_queue_join(&queue.queue)); // all five are done
    puts("");
    check(cth_queue_shutdown(&queue.queue, CTH_DRAIN));
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    check(cth_queue_destroy(&queue.queue));
}

int main(void) {
    show("FIFO", NULL);
    show("LIFO", &(cth_queue_desc){.order = CTH_LIFO});
    show("priority", &(cth_queue_desc){.order = CTH_PRIORITY, .compare = ascending});
    return 0;
}
