/* c11_deadlock_simulator.c - a deadlock that shows only now and then, found and reported.

   Article : Python Threads: Concepts and Implementation Examples, "Deadlock"
   Python  : thread 1: with a: with b: ...   thread 2: with b: with a: ...   (nothing finds it)
   Shows   : cth_sim_run, CTH_SIM_NAME
   Look at : no sleeps to provoke it: the simulator tries schedules until one hangs, and reports who
             waits for which lock, who holds it, and the seed that repeats the schedule. The same
             two threads with CTH_WITH_ALL pass them all.
   Build   : cc -std=c11 -DCTHREADS_SIM -I../.. c11_deadlock_simulator.c -pthread
   Prints  : that report, and
     A-B and B-A: deadlock
     CTH_WITH_ALL: 1000 schedules pass */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct locks {
    cth_mutex a, b;
} locks;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status a_then_b(void *arg) {
    locks *l = arg;
    CTH_WITH(&l->a) {
        CTH_WITH(&l->b) {
        }
    }
    return CTH_OK;
}

static cth_status b_then_a(void *arg) {
    locks *l = arg;
    CTH_WITH(&l->b) {
        CTH_WITH(&l->a) {
        }
    }
    return CTH_OK;
}

static cth_status both(void *arg) {
    locks *l = arg;
    CTH_WITH_ALL(&l->b, &l->a) {
    }
    return CTH_OK;
}

/* One run of two threads, with fresh locks; `arg` points to the two functions. */
static cth_status scenario(void *arg) {
    const cth_thread_fn *fns = arg;
    cth_thread *threads[2];
    locks l = {0};
    CTH_SIM_NAME(l.a, "Lock A");
    CTH_SIM_NAME(l.b, "Lock B");
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], fns[i], &l, NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return CTH_OK;
}

int main(void) {
    static cth_thread_fn crossed[] = {a_then_b, b_then_a}, all[] = {both, both};
    static cth_sim_report report;
    const cth_sim_desc desc = {.name = "deadlock", .report = &report, .quiet = true};
    if (cth_sim_run(&desc, scenario, crossed) == CTH_OK) {
        return EXIT_FAILURE; // not found
    }
    printf("%sA-B and B-A: %s\n", report.text, report.kind);
    check(cth_sim_run(&desc, scenario, all));
    printf("CTH_WITH_ALL: %llu schedules pass\n", (unsigned long long)report.schedules);
    return 0;
}
