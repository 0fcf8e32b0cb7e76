/* b7_cpu_or_io.c - how many workers help: for work that computes, and for work that waits.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples, "CPU-bound or
             I/O-bound"
   Python  : with ThreadPoolExecutor(n) as pool: list(pool.map(work, range(16)))
   Shows   : cth_executor_desc.workers, cth_submit, cth_executor_shutdown
   Look at : computing gains up to one worker for each CPU (in Python not even that), waiting gains
             beyond that.
   Build   : cc -std=c11 -O2 -I../.. b7_cpu_or_io.c -pthread
   Prints  : on two CPUs
     workers  computing   waiting
           1     0.41 s    0.80 s
           2     0.21 s    0.40 s
           8     0.21 s    0.10 s */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TASKS = 16 };

static uint64_t rounds = 10000000;
static atomic_int done;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status compute(void *arg, void *result) {
    cth_rng rng = {0};
    uint64_t odd = 0;
    (void)arg, (void)result;
    for (uint64_t i = 0; i < rounds; i++) {
        odd += cth_rng_next(&rng) & 1;
    }
    // Uses the number, so that it is computed.
    atomic_fetch_add(&done, odd <= rounds);
    return CTH_OK;
}

static cth_status waits(void *arg, void *result) {
    (void)arg, (void)result;
    check(cth_sleep(CTH_MS(50)));
    atomic_fetch_add(&done, 1);
    return CTH_OK;
}

/* The seconds that so many workers take for all tasks. */
static double seconds(uint32_t workers, cth_task_fn task) {
    cth_executor *pool;
    const cth_time start = cth_now();
    check(cth_executor_create(&pool, &(cth_executor_desc){.workers = workers}));
    for (int i = 0; i < TASKS; i++) {
        check(cth_submit(pool, NULL, task, NULL, 0, 0));
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    return (double)(cth_now() - start) / 1e9;
}

int main(int argc, char **argv) {
    const long found = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t cpus = found > 1 ? (uint32_t)found : 2;
    const uint32_t workers[] = {1, cpus, 4 * cpus};
    rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : rounds;
    puts("workers  computing   waiting");
    for (int i = 0; i < 3; i++) {
        const double computing = seconds(workers[i], compute);
        const double waiting = seconds(workers[i], waits);
        printf("%7u   %6.2f s  %6.2f s\n", (unsigned)workers[i], computing, waiting);
    }
    return atomic_load(&done) == 2 * 3 * TASKS ? EXIT_SUCCESS : EXIT_FAILURE;
}
