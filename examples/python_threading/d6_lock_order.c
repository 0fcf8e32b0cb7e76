/* d6_lock_order.c - one order for all locks, and no deadlock can happen.

   Article : Python Threading, "Advice: one global lock order"
   Python  : # config before cache before log, everywhere
             with config_lock:
                 with cache_lock: ...
   Shows   : CTH_WITH, nested
   Look at : three threads take the three pairs of three locks: in another order they would
             sooner or later stand in a ring, each waiting for the next. Write the order down
             where the locks are declared. Where the locks come as arguments:
             e11_transfer_money.c.
   Build   : cc -std=c11 -I../.. d6_lock_order.c -pthread
   Prints  :
     config 2000, cache 2000, log 2000 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct part {
    cth_mutex lock;
    int changes;
};

// Lock order: config, cache, log. Whoever needs several takes them in this order.
static struct part config, cache, log_file;

struct job {
    struct part *outer;
    struct part *inner;
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
    for (int i = 0; i < 1000; i++) {
        CTH_WITH(&job->outer->lock) {
            CTH_WITH(&job->inner->lock) {
                job->outer->changes++;
                job->inner->changes++;
            }
        }
    }
    return CTH_OK;
}

int main(void) {
    struct job jobs[3] = {{&config, &cache}, {&cache, &log_file}, {&config, &log_file}};
    cth_thread *threads[3];
    for (int i = 0; i < 3; i++) {
        check(cth_thread_spawn(&threads[i], run, &jobs[i], NULL));
    }
    for (int i = 0; i < 3; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    printf("config %d, cache %d, log %d\n", config.changes, cache.changes, log_file.changes);
    return 0;
}
