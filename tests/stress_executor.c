/* stress_executor.c - executors and futures used in every way at the same time.

       stress_executor [--seconds N] [--seed S] [--threads T]

   The run is cut into rounds of some milliseconds, each with a fresh executor of random options. In
   a round each thread submits, runs, maps, cancels, chains, waits, adds callbacks and releases at
   random, over futures of its own; in some rounds one of them shuts the executor down meanwhile, or
   a worker fails to get ready. Between the rounds everything must add up: each task that was taken
   ended exactly once, each callback was called once, and the executor counts the same.

   The seed decides the options and each thread's choices, not the schedule.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _DEFAULT_SOURCE // _SC_NPROCESSORS_ONLN
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "stress.h"
#include "test.h"
#include "test_help.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MAX_THREADS = 64, HELD = 12, STEPS = 60 };

/* `ended` adds up to `taken`, `called` to `callbacks`. */
typedef struct tally {
    atomic_uint taken, ran, failed, ended, callbacks, called;
} tally;

static cth_executor *pool;
static tally round_tally;
static unsigned long long all_taken, all_ran, all_callbacks;
static bool breaks, shuts;

typedef struct player {
    cth_rng rng;
    cth_future *held[HELD];
    unsigned number;
} player;

static player players[MAX_THREADS];

static uint64_t pick(player *p, uint64_t n) {
    return cth_rng_below(&p->rng, n);
}

static cth_time soon(player *p) {
    return pick(p, 3) == 0 ? 0 : cth_after((cth_time)pick(p, CTH_US(200)));
}

static cth_status works(void *arg, void *result) {
    const uint32_t n = *(const uint32_t *)arg;
    for (volatile uint32_t i = 0; i < n % 512;) {
        i = i + 1;
    }
    *(uint32_t *)result = n + 1;
    atomic_fetch_add(&round_tally.ran, 1);
    if (n % 16 == 0) {
        atomic_fetch_add(&round_tally.failed, 1);
        return cth_fail(CTH_FAILED, "%u", (unsigned)n);
    }
    return CTH_OK;
}

/* Submits another one, and waits for it. */
static cth_status nests(void *arg, void *result) {
    cth_future *future = NULL;
    uint32_t got = 0;
    if (cth_submit(pool, &future, works, arg, sizeof got, sizeof got) == CTH_OK) {
        atomic_fetch_add(&round_tally.taken, 1);
        const cth_status status = cth_future_result(future, &got);
        CHECK(status == CTH_OK || status == CTH_FAILED || status == CTH_SHUTDOWN ||
              status == CTH_BROKEN);
        CHECK(status != CTH_OK || got == *(uint32_t *)arg + 1);
        atomic_fetch_add(&round_tally.ended, 1);
        cth_future_release(future);
    }
    return works(arg, result);
}

/* Each future has one of these, so it counts the ends. */
static void ends(cth_future *future, void *arg) {
    const cth_status status = cth_future_try_result(future, NULL);
    CHECK(status == CTH_OK || status == CTH_FAILED || status == CTH_CANCELLED ||
          status == CTH_SHUTDOWN || status == CTH_BROKEN);
    CHECK((status == CTH_OK) == (cth_future_error(future)[0] == '\0'));
    atomic_fetch_add(&round_tally.ended, 1);
    atomic_fetch_add((atomic_uint *)arg, 1);
    cth_future_release(future); // a reference of its own
}

static void take(player *p, cth_future *future) {
    cth_future **place = &p->held[pick(p, HELD)];
    atomic_fetch_add(&round_tally.taken, 1);
    atomic_fetch_add(&round_tally.callbacks, 1);
    CHECK_STATUS(cth_future_add_done_callback(cth_future_retain(future), ends, &round_tally.called),
                 CTH_OK);
    cth_future_release(*place);
    *place = future;
}

static void submit(player *p) {
    const uint32_t n = (uint32_t)pick(p, UINT32_MAX - 1);
    const cth_task_fn fn = pick(p, 4) == 0 ? nests : works;
    cth_future *future = NULL;
    cth_status status;
    switch (pick(p, 3)) {
    case 0: status = cth_submit(pool, &future, fn, &n, sizeof n, sizeof n); break;
    case 1: status = cth_try_submit(pool, &future, fn, &n, sizeof n, sizeof n); break;
    default: status = cth_submit_until(pool, &future, fn, &n, sizeof n, sizeof n, soon(p)); break;
    }
    CHECK((status == CTH_OK) == (future != NULL));
    if (status == CTH_OK) {
        take(p, future);
    } else {
        CHECK(status == CTH_FULL || status == CTH_TIMEDOUT || (status == CTH_SHUTDOWN && shuts) ||
              (status == CTH_BROKEN && breaks));
    }
}

static void map_some(player *p) {
    uint32_t args[20], results[20];
    const size_t n = (size_t)pick(p, 20);
    for (size_t i = 0; i < n; i++) {
        args[i] = (uint32_t)pick(p, 1000) * 16 + 1;
    }
    const cth_status status = cth_map(pool, works, args, sizeof *args, results, sizeof *results, n);
    for (size_t i = 0; i < n && status == CTH_OK; i++) {
        CHECK_EQ(results[i], args[i] + 1);
    }
    CHECK(status == CTH_OK || ((shuts || breaks) && status != CTH_FAILED) || status == CTH_FULL);
}

static void step(player *p) {
    cth_future *future = p->held[pick(p, HELD)], *next = NULL;
    size_t done = 0;
    uint32_t got;
    cth_status status;
    const uint64_t what = pick(p, 16);
    if (what < 5 || (future == NULL && what < 12)) {
        submit(p);
        return;
    }
    switch (what) {
    case 5: (void)cth_future_result(future, &got); break;
    case 6: (void)!cth_future_result_until(future, &got, soon(p)); break;
    case 7:
    case 8: (void)cth_future_cancel(future); break;
    case 9:
    case 10:
        status = cth_future_then(future, &next, works, sizeof(uint32_t));
        CHECK(status == CTH_OK || status == CTH_SHUTDOWN || status == CTH_BROKEN);
        if (status == CTH_OK) {
            take(p, next);
        }
        break;
    case 11: (void)!cth_select_until(&CTH_ON_FUTURE(future), 1, NULL, soon(p)); break;
    case 12: (void)!cth_future_wait_until(p->held, HELD, (cth_wait_for)pick(p, 3), soon(p)); break;
    case 13: (void)cth_future_wait(p->held, HELD, (cth_wait_for)pick(p, 3)); break;
    case 14: (void)!cth_future_next_done_until(p->held, HELD, &done, soon(p)); break;
    default: map_some(p); break;
    }
}

static cth_status play(void *arg) {
    player *p = (player *)arg;
    for (int i = 0; i < STEPS; i++) {
        step(p);
        if (shuts && p->number == 0 && i == STEPS / 2) {
            const cth_shutdown how = pick(p, 2) == 0 ? CTH_DRAIN : CTH_NOW;
            (void)!cth_executor_shutdown_until(pool, how, soon(p));
        }
    }
    for (int i = 0; i < HELD; i++) {
        if (p->held[i] != NULL && pick(p, 2) == 0) {
            (void)cth_future_cancel(p->held[i]);
        }
        cth_future_release(p->held[i]);
        p->held[i] = NULL;
    }
    return CTH_OK;
}

static cth_status starts(void *arg) {
    (void)arg;
    static atomic_uint starts_so_far;
    return breaks && atomic_fetch_add(&starts_so_far, 1) % 3 == 2 ? CTH_FAILED : CTH_OK;
}

static void play_round(player *p) {
    cth_executor_counts c;
    breaks = pick(p, 8) == 0;
    shuts = pick(p, 3) == 0;
    memset(&round_tally, 0, sizeof round_tally);
    const cth_executor_desc desc = {.workers = 1 + (uint32_t)pick(p, 4),
                                    .capacity = pick(p, 2) == 0 ? 0 : (size_t)(1 + pick(p, 6)),
                                    .policy = (cth_full_policy)pick(p, 3),
                                    .on_start = breaks || pick(p, 4) == 0 ? starts : NULL};
    CHECK_STATUS(cth_executor_create(&pool, &desc), CTH_OK);
    cth_thread *threads[MAX_THREADS];
    for (unsigned i = 0; i < n_threads; i++) {
        players[i].number = i;
        cth_rng_seed(&players[i].rng, pick(p, UINT64_MAX));
        threads[i] = test_spawn(play, &players[i]);
    }
    for (unsigned i = 0; i < n_threads; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
    CHECK_EQ(c.alive + c.running + c.queued + c.waiting, 0);
    CHECK_EQ(c.submitted, c.completed + c.failed + c.cancelled + c.dropped);
    CHECK(desc.capacity == 0 || desc.policy == CTH_FULL_BLOCKS ||
          c.peak_queued <= desc.capacity + (uint64_t)round_tally.callbacks); // `then` adds
    CHECK_EQ(round_tally.ended, round_tally.taken);
    CHECK_EQ(round_tally.called, round_tally.callbacks);
    CHECK(c.submitted >= round_tally.taken); // those of maps are not in the tally
    cth_executor_release(pool);
    all_taken += round_tally.taken;
    all_ran += round_tally.ran;
    all_callbacks += round_tally.callbacks;
}

int main(int argc, char **argv) {
    const double seconds = stress_options(argc, argv, "stress_executor", 2, MAX_THREADS);
    static player main_player;
    static pthread_t watchdog;
    static long limit = 600; // tenths of a second that a round may take
    CHECK(pthread_create(&watchdog, NULL, test_watch, &limit) == 0);
    pthread_detach(watchdog);
    atomic_store(&test_name, "stress_executor");
    cth_rng_seed(&main_player.rng, seed);
    const cth_time deadline = cth_after((cth_time)(seconds * 1e9));
    unsigned long rounds = 0;
    do {
        atomic_fetch_add(&test_number, 1);
        play_round(&main_player);
        rounds++;
    } while (cth_now() < deadline);
    printf("stress_executor: %lu rounds, %llu tasks, %llu runs, %llu callbacks\n", rounds,
           all_taken, all_ran, all_callbacks);
    return EXIT_SUCCESS;
}
