/* fault_executor.c - every allocation, and every start of a thread, that an executor asks for fails
   in turn.

   A scenario is one call. It is made in a process of its own in which the k-th allocation (or
   start of a thread) of that call fails, or all from the k-th on: k = 0, 1, ... until the call meets
   no failure. Then it must return CTH_NOMEM (or CTH_AGAIN), change nothing, and succeed when it is
   made again; or succeed at once where the kit can do without. What was allocated is freed.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#include <stdatomic.h>
#include <stdlib.h>

enum { NEVER = -1 };

static atomic_int countdown = NEVER; // what may still succeed
static atomic_bool fails_rest, fails_starts;
static atomic_int failures, live_blocks;

static inline int fault(int start) {
    if ((start != 0) != atomic_load(&fails_starts) || atomic_load(&countdown) == NEVER) {
        return 0;
    }
    const int left = atomic_load(&countdown);
    if (left == 0) {
        atomic_fetch_add(&failures, 1);
        atomic_store(&countdown, atomic_load(&fails_rest) ? 0 : NEVER);
        return 1;
    }
    atomic_store(&countdown, left - 1);
    return 0;
}

static inline void *fault_malloc(size_t size) {
    void *block = fault(0) ? NULL : malloc(size);
    if (block != NULL) {
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

static inline void fault_free(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
    }
    free(block);
}

#define CTH_THREAD_START_HOOK() fault(1)
#define CTH_MALLOC(size)        fault_malloc(size)
#define CTH_FREE(block)         fault_free(block)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static cth_executor *pool;
static cth_future *future, *after;
static atomic_int ran, called;
static cth_event open_;

static cth_status runs(void *arg, void *result) {
    atomic_fetch_add(&ran, 1);
    if (result != NULL) {
        *(int *)result = *(int *)arg + 1;
    }
    return CTH_OK;
}

static cth_status waits(void *arg, void *result) {
    (void)arg;
    *(int *)result = 1;
    return cth_event_wait(&open_);
}

static void calls(cth_future *f, void *arg) {
    (void)f;
    (void)arg;
    atomic_fetch_add(&called, 1);
}

static bool next(void *arg, void *context) {
    *(int *)arg = 1;
    return ++*(int *)context <= 5;
}

static void make(void) {
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.workers = 2}), CTH_OK);
}

static void make_waiting(void) {
    make();
    CHECK_STATUS(cth_submit(pool, &future, waits, NULL, 0, sizeof(int)), CTH_OK);
}

static void make_capacity(void) {
    const cth_executor_desc desc = {.workers = 1, .capacity = 1, .policy = CTH_FULL_CALLER_RUNS};
    CHECK_STATUS(cth_executor_create(&pool, &desc), CTH_OK);
}

static cth_status create(void) {
    return cth_executor_create(&pool, &(cth_executor_desc){.workers = 2});
}

static cth_status submit(void) {
    return cth_submit(pool, &future, runs, &(int){1}, sizeof(int), sizeof(int));
}

static cth_status run(void) {
    int got = 0;
    const cth_status status = cth_run(pool, runs, &(int){1}, sizeof(int), &got, sizeof got);
    CHECK(status != CTH_OK || got == 2);
    return status;
}

static cth_status map(void) {
    int args[9] = {0}, got[9] = {0};
    const cth_status status = cth_map(pool, runs, args, sizeof(int), got, sizeof(int), 9);
    CHECK(status != CTH_OK || got[8] == 1);
    return status;
}

static cth_status map_each(void) {
    int n = 0;
    return cth_map_each(pool, runs, sizeof(int), sizeof(int), 3, next, NULL, &n);
}

static cth_status then(void) {
    return cth_future_then(future, &after, runs, sizeof(int));
}

static cth_status add(void) {
    return cth_future_add_done_callback(future, calls, NULL);
}

/* These need nothing. */
static cth_status others(void) {
    cth_executor_counts c;
    size_t done = 0;
    CHECK_STATUS(cth_future_wait_until(&future, 1, CTH_FIRST_DONE, 0), CTH_TIMEDOUT);
    CHECK_STATUS(cth_future_next_done_until(&future, 1, &done, cth_after(1)), CTH_TIMEDOUT);
    CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
    return cth_future_cancel(future) == CTH_BUSY || !cth_future_is_running(future) ? CTH_OK
                                                                                   : CTH_FAILED;
}

/* After everything: as if the failing call had not been made. */
static void end(bool created) {
    CHECK_STATUS(cth_event_set(&open_), CTH_OK);
    if (created) {
        CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    }
    CHECK(after == NULL || cth_future_is_done(after));
    cth_future_release(after);
    cth_future_release(future);
    cth_executor_release(pool);
}

static const struct scenario {
    const char *name;
    void (*prepare)(void);
    cth_status (*act)(void);
    int allocations, starts; // at least so many can fail
} scenarios[] = {
    {"create", NULL, create, 1, 0},
    {"submit", make, submit, 2, 1},
    {"submit, full", make_capacity, submit, 2, 1},
    {"run", make, run, 2, 1},
    {"map", make, map, 2, 1},
    {"map each", make, map_each, 3, 1},
    {"then", make_waiting, then, 2, 0},
    {"add callback", make_waiting, add, 1, 0},
    {"others", make_waiting, others, 0, 0},
};

static void in_child(const struct scenario *s, int k, bool rest, bool starts) {
    CHECK(cth_thread_current() != NULL);
    if (s->prepare != NULL) {
        s->prepare();
        for (cth_executor_counts c = {0}; future != NULL && c.running == 0;) {
            CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
        }
    }
    cth_future *const before = future;
    cth_executor *const pool_before = pool;
    const int blocks = atomic_load(&live_blocks);
    atomic_store(&fails_starts, starts);
    atomic_store(&fails_rest, rest);
    atomic_store(&countdown, k);
    cth_status status = s->act();
    atomic_store(&countdown, NEVER);
    const bool met = atomic_load(&failures) != 0;
    if (status != CTH_OK) {
        CHECK(met);
        CHECK_STATUS(status, starts ? CTH_AGAIN : CTH_NOMEM);
        CHECK(future == before && after == NULL && pool == pool_before);
        if (s->act != map_each) { // which has made some of its calls
            CHECK_EQ(atomic_load(&ran), 0);
            CHECK(atomic_load(&live_blocks) <= blocks + 2); // records of threads are kept
        }
        CHECK_STATUS(s->act(), CTH_OK);
    } else if (met) { // one worker does it
        cth_executor_counts c;
        CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
        CHECK(c.start_error == CTH_OK || c.start_error == (starts ? CTH_AGAIN : CTH_NOMEM));
    }
    end(true);
    CHECK_EQ(atomic_load(&called), s->act == add ? 1 : 0);
    exit(met ? 7 : 0);
}

/* Returns how many k met a failure. */
static int all_of(const struct scenario *s, bool rest, bool starts) {
    for (int k = 0;; k++) {
        int status = 0;
        fflush(stdout);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            in_child(s, k, rest, starts);
        }
        while (waitpid(pid, &status, 0) < 0) {
            CHECK_EQ(errno, EINTR);
        }
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != 7 && WEXITSTATUS(status) != 0)) {
            fprintf(stderr, "%s: %s %d%s: status %x\n", s->name, starts ? "start" : "allocation", k,
                    rest ? " and later ones" : "", (unsigned)status);
            CHECK(false);
        }
        if (WEXITSTATUS(status) == 0) {
            return k;
        }
    }
}

/* An executor keeps blocks of tasks that have ended: no large ones, and few while it is idle. */
static void keeps_few_blocks(void) {
    enum { KEPT = 8, TASKS = 100, LARGE = 1000 };
    static char large[LARGE];
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.workers = 1}), CTH_OK);
    CHECK_STATUS(cth_submit(pool, &future, waits, NULL, 0, sizeof(int)), CTH_OK);
    for (cth_executor_counts c = {0}; c.running == 0;) {
        CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
    }
    const int blocks = atomic_load(&live_blocks);
    cth_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        CHECK_STATUS(cth_submit(pool, &futures[i], runs, large, LARGE, sizeof(int)), CTH_OK);
    }
    for (int i = 0; i < TASKS; i++) {
        CHECK_STATUS(cth_future_result(futures[i], NULL), CTH_OK);
        cth_future_release(futures[i]);
    }
    CHECK_EQ(atomic_load(&live_blocks), blocks);
    CHECK_STATUS(cth_event_set(&open_), CTH_OK);
    CHECK_STATUS(cth_future_result(future, NULL), CTH_OK);
    CHECK_STATUS(cth_event_clear(&open_), CTH_OK);
    for (int i = 0; i < TASKS; i++) {
        CHECK_STATUS(cth_submit(pool, NULL, runs, large, i % 2 != 0 ? LARGE : 8, sizeof(int)),
                     CTH_OK);
    }
    CHECK_STATUS(cth_submit(pool, &after, waits, NULL, 0, sizeof(int)), CTH_OK);
    while (!cth_future_is_running(after)) {
        cth_yield();
    }
    CHECK(atomic_load(&live_blocks) <= blocks + 1 + TASKS / 2);
    CHECK_STATUS(cth_event_set(&open_), CTH_OK);
    while (atomic_load(&live_blocks) > blocks + 1 + KEPT) {
        cth_yield(); // until it is idle
    }
    for (int i = 0; i < TASKS; i++) {
        CHECK_STATUS(cth_submit(pool, &futures[i], runs, large, 8, sizeof(int)), CTH_OK);
    }
    cth_executor_counts c = {0};
    while (c.idle == 0 || c.queued != 0) {
        CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
    }
    for (int i = 0; i < TASKS; i++) {
        cth_future_release(futures[i]); // while nobody is awake to free their blocks
    }
    while (atomic_load(&live_blocks) > blocks + 1 + KEPT) {
        cth_yield(); // until it sleeps, if it did not yet
    }
    end(true);
}

int main(void) {
    for (size_t i = 0; i < TEST_COUNT(scenarios); i++) {
        const struct scenario *s = &scenarios[i];
        int met[4];
        for (int way = 0; way < 4; way++) {
            met[way] = all_of(s, way % 2 == 1, way >= 2);
        }
        printf("ok   %s: %d allocations, %d starts\n", s->name, met[0], met[2]);
        CHECK(met[0] >= s->allocations && met[2] >= s->starts);
    }
    keeps_few_blocks();
    return EXIT_SUCCESS;
}
