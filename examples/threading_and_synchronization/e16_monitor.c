/* e16_monitor.c - what the threads use, while they run.

   Article : Python Threading and Synchronization, "Best practices: monitor thread resources"
   Python  : threading.active_count(), q.qsize(), time.thread_time(), resource.getrusage(...)
   Shows   : cth_thread_count, cth_queue_size, beside CLOCK_THREAD_CPUTIME_ID and getrusage
   Look at : the time on a CPU of each worker is far below the time that went by: they sleep.
   Build   : cc -std=c11 -I../.. e16_monitor.c -pthread
   Prints  : the state each 0.1 s; what each worker used; the state at the end
     3 threads, 28 in the queue, 9 switches
     worker-0: 20 items, 0.42 ms on a CPU
     1 threads, 0 in the queue, 48 switches */
#define _DEFAULT_SOURCE
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { WORKERS = 2, ITEMS = 40 };

typedef struct worker {
    cth_thread *thread;
    int items;
    double cpu; // milliseconds
} worker;

static cth_queue queue = CTH_QUEUE_INIT(sizeof(int));

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status work(void *arg) {
    worker *mine = arg;
    struct timespec cpu;
    CTH_FOREACH_GET(int, item, &queue) {
        mine->items += item;
        check(cth_sleep(CTH_MS(20)));
    }
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) != 0) {
        return cth_fail(CTH_UNSUPPORTED, "no clock for a thread");
    }
    mine->cpu = 1e3 * (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e6;
    return CTH_OK;
}

static void print_state(void) {
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    printf("%zu threads, %zu in the queue, %ld switches\n", cth_thread_count(),
           cth_queue_size(&queue), used.ru_nvcsw + used.ru_nivcsw);
}

int main(void) {
    worker workers[WORKERS] = {{0}};
    for (int i = 0; i < ITEMS; i++) {
        check(cth_queue_put(&queue, &(int){1}));
    }
    check(cth_queue_shutdown(&queue, CTH_DRAIN)); // this was all
    for (int i = 0; i < WORKERS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "worker-%d", i);
        check(cth_thread_spawn(&workers[i].thread, work, &workers[i],
                               &(cth_thread_desc){.name = name}));
    }
    for (int i = 0; i < 3; i++) {
        check(cth_sleep(CTH_MS(100)));
        print_state();
    }
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &workers[i];
        check(cth_thread_join(w->thread, NULL));
        printf("%s: %d items, %.2f ms on a CPU\n", cth_thread_name(w->thread), w->items, w->cpu);
        cth_thread_release(w->thread);
    }
    print_state();
    return cth_queue_destroy(&queue) == CTH_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
