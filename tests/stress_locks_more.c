/* stress_locks_more.c - recursion, run-once, meetings that fail, and memory given back at once

       stress_locks_more [--seconds N] [--seed S]

   One round after the other, of a kind chosen at random, with four fresh threads each. A wake-up
   that is lost leaves a round that never ends, which the watchdog reports; memory that is used too
   late is seen by AddressSanitizer, and often by the allocator; an order that is missing, by
   ThreadSanitizer. The seed decides kinds and choices, not the schedule.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "stress.h"
#include "test.h"

#include <inttypes.h>

enum { PLAYERS = 4, STEPS = 100 };

typedef struct player {
    unsigned number;
    cth_rng rng;
} player;

static player players[PLAYERS];

static uint64_t pick(player *p, uint64_t n) {
    return cth_rng_below(&p->rng, n);
}

/* A deadline some microseconds away, sometimes long enough. */
static cth_time soon(player *p) {
    static const uint64_t spans[] = {1, 2000, 20000, 100000, 4000000};
    return cth_after((cth_time)pick(p, spans[pick(p, sizeof spans / sizeof *spans)]));
}

/* Run `fn` on all players, each in a fresh thread. */
static void together(cth_thread_fn fn) {
    cth_thread *threads[PLAYERS];
    for (int i = 0; i < PLAYERS; i++) {
        CHECK_STATUS(cth_thread_spawn(&threads[i], fn, &players[i], NULL), CTH_OK);
    }
    for (int i = 0; i < PLAYERS; i++) {
        cth_status result = CTH_BROKEN;
        CHECK_STATUS(cth_thread_join(threads[i], &result), CTH_OK);
        CHECK_STATUS(result, CTH_OK);
        cth_thread_release(threads[i]);
    }
}

/* -- the recursive mutex, alone and with a condition ------------------------------------------- */

static cth_rmutex rmutex;
static cth_cond changed;
static int64_t left, right; // under `rmutex`; equal when it is free
static int items;           // the same
static uint64_t lost;       // the same: waits that timed out, meetings that failed

static uint64_t enter(player *p) {
    const uint64_t levels = 1 + pick(p, 3);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    for (uint64_t i = 1; i < levels; i++) {
        CHECK_STATUS(pick(p, 2) == 0 ? cth_rmutex_try_lock(&rmutex) : cth_rmutex_lock(&rmutex),
                     CTH_OK);
    }
    CHECK_EQ(left, right);
    return levels;
}

static void leave(uint64_t levels) {
    for (uint64_t i = 0; i < levels; i++) {
        CHECK_EQ(left, right);
        left++;
        right++;
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    }
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
}

static cth_status recursion(void *arg) {
    player *p = (player *)arg;
    for (int step = 0; step < STEPS; step++) {
        const cth_status status = cth_rmutex_lock_until(&rmutex, soon(p));
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
        } else {
            left++;
            right++;
        }
        const uint64_t levels = enter(p);
        lost += status != CTH_OK;
        leave(levels + (status == CTH_OK));
    }
    return CTH_OK;
}

/* Two give what the two others take, each at a depth of its own. */
static cth_status givers_and_takers(void *arg) {
    player *p = (player *)arg;
    for (int step = 0; step < STEPS; step++) {
        const uint64_t levels = enter(p);
        if (p->number % 2 == 0) {
            items++;
            CHECK_STATUS(cth_cond_notify(&changed, 1), CTH_OK);
        } else {
            while (items == 0) {
                cth_status status = CTH_OK;
                if (pick(p, 2) == 0) {
                    status = cth_cond_wait_rmutex(&changed, &rmutex);
                } else {
                    status = cth_cond_wait_rmutex_until(&changed, &rmutex, soon(p));
                }
                CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
                lost += status == CTH_TIMEDOUT;
                CHECK_EQ(left, right);
            }
            items--;
        }
        leave(levels);
    }
    return CTH_OK;
}

/* -- run-once ---------------------------------------------------------------------------------- */

typedef struct lazy {
    cth_once once;
    unsigned failing, runs; // the once orders them
    int made;
    atomic_uint failures;
} lazy;

static lazy lazies[STEPS];

static cth_status make(void *arg) {
    lazy *l = (lazy *)arg;
    CHECK_EQ(l->made, 0);
    l->runs++;
    cth_yield();
    if (l->runs <= l->failing) {
        return CTH_FAILED;
    }
    l->made = 42;
    return CTH_OK;
}

static cth_status makers(void *arg) {
    (void)arg;
    for (int i = 0; i < STEPS; i++) {
        cth_status status;
        while ((status = cth_once_call(&lazies[i].once, make, &lazies[i])) != CTH_OK) {
            CHECK_STATUS(status, CTH_FAILED);
            atomic_fetch_add(&lazies[i].failures, 1);
        }
        CHECK(cth_once_is_done(&lazies[i].once));
        CHECK_EQ(lazies[i].made, 42);
    }
    return CTH_OK;
}

static void once_round(player *p) {
    memset(lazies, 0, sizeof lazies);
    for (int i = 0; i < STEPS; i++) {
        lazies[i].failing = (unsigned)pick(p, 3);
    }
    together(makers);
    for (int i = 0; i < STEPS; i++) {
        CHECK_EQ(lazies[i].runs, lazies[i].failing + 1);
        CHECK_EQ(atomic_load(&lazies[i].failures), lazies[i].failing);
    }
}

/* -- meetings that may fail: for all or for none ----------------------------------------------- */

static cth_barrier meeting, between;
static atomic_int met, acted;

static cth_status act(void *arg) {
    (void)arg;
    atomic_fetch_add(&acted, 1);
    return CTH_OK;
}

static cth_status meetings(void *arg) {
    player *p = (player *)arg;
    for (int step = 0; step < STEPS; step++) {
        cth_status status;
        if (pick(p, 16) == 0) {
            CHECK_STATUS(cth_barrier_abort(&meeting), CTH_OK);
        }
        if (pick(p, 2) == 0) {
            status = cth_barrier_wait(&meeting, NULL);
        } else {
            status = cth_barrier_wait_until(&meeting, NULL, soon(p));
        }
        CHECK(status == CTH_OK || status == CTH_TIMEDOUT || status == CTH_BROKEN);
        atomic_fetch_add(&met, status == CTH_OK);
        uint32_t place = PLAYERS;
        CHECK_STATUS(cth_barrier_wait(&between, &place), CTH_OK);
        if (place == 0) {
            const int n = atomic_load(&met);
            CHECK(n == 0 || n == PLAYERS);
            CHECK_EQ(atomic_load(&acted), n == PLAYERS);
            CHECK(n == PLAYERS || cth_barrier_is_broken(&meeting));
            lost += n == 0;
            atomic_store(&met, 0);
            atomic_store(&acted, 0);
            CHECK_STATUS(cth_barrier_reset(&meeting), CTH_OK);
        }
        CHECK_STATUS(cth_barrier_wait(&between, NULL), CTH_OK);
    }
    return CTH_OK;
}

static void meeting_round(void) {
    const cth_barrier_desc desc = {.action = act};
    CHECK_STATUS(cth_barrier_init(&meeting, PLAYERS, &desc), CTH_OK);
    CHECK_STATUS(cth_barrier_init(&between, PLAYERS, NULL), CTH_OK);
    together(meetings);
    CHECK_STATUS(cth_barrier_destroy(&meeting), CTH_OK);
    CHECK_STATUS(cth_barrier_destroy(&between), CTH_OK);
}

/* -- memory given back by the last user -------------------------------------------------------- */

typedef struct shared {
    cth_rwlock rwlock;
    cth_rmutex rmutex;
    cth_latch latch;
    cth_barrier barrier;
    int users;
    int notes[PLAYERS]; // each player's own, read by the last one
} shared;

static shared *objects[STEPS][4];

/* Give the memory back, and overwrite it before: whoever still looks at it finds nonsense. */
static void give_back(shared *s) {
    memset(s, 0xdd, sizeof *s);
    free(s);
}

static cth_status users(void *arg) {
    player *p = (player *)arg;
    for (int i = 0; i < STEPS; i++) {
        shared *s = objects[i][0];
        if (pick(p, 2) == 0) {
            CHECK_STATUS(cth_rwlock_read_lock(&s->rwlock), CTH_OK);
            CHECK(s->users > 0);
            cth_yield();
            CHECK_STATUS(cth_rwlock_read_unlock(&s->rwlock), CTH_OK);
        }
        CHECK_STATUS(cth_rwlock_write_lock(&s->rwlock), CTH_OK);
        bool last = --s->users == 0;
        CHECK_STATUS(cth_rwlock_write_unlock(&s->rwlock), CTH_OK);
        if (last) {
            give_back(s);
        }
        s = objects[i][1];
        CHECK_STATUS(cth_rmutex_lock(&s->rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_lock(&s->rmutex), CTH_OK);
        last = --s->users == 0;
        CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_OK);
        if (last) {
            give_back(s);
        }
        s = objects[i][2];
        if (p->number == 0) {
            CHECK_STATUS(cth_latch_wait(&s->latch), CTH_OK);
            CHECK_EQ(s->notes[1] + s->notes[2] + s->notes[3], PLAYERS - 1);
            give_back(s);
        } else {
            s->notes[p->number] = 1;
            CHECK_STATUS(cth_latch_done(&s->latch), CTH_OK);
        }
        s = objects[i][3];
        s->notes[p->number] = 1;
        uint32_t place = PLAYERS;
        CHECK_STATUS(cth_barrier_wait(&s->barrier, &place), CTH_OK);
        if (place == (uint32_t)i % PLAYERS) {
            CHECK_EQ(s->notes[0] + s->notes[1] + s->notes[2] + s->notes[3], PLAYERS);
            give_back(s);
        }
    }
    return CTH_OK;
}

static void memory_round(void) {
    for (int i = 0; i < STEPS; i++) {
        for (int k = 0; k < 4; k++) {
            shared *s = (shared *)calloc(1, sizeof *s);
            CHECK(s != NULL);
            s->users = PLAYERS;
            CHECK_STATUS(cth_latch_add(&s->latch, PLAYERS - 1), CTH_OK);
            CHECK_STATUS(cth_barrier_init(&s->barrier, PLAYERS, NULL), CTH_OK);
            objects[i][k] = s;
        }
    }
    together(users);
}

/* ---------------------------------------------------------------------------------------------- */

static void stress(double seconds) {
    static const char *const names[] = {"recursion", "conditions", "once", "meetings", "memory"};
    uint64_t rounds[5] = {0};
    player chooser = {PLAYERS, {0}};
    cth_rng_seed(&chooser.rng, seed);
    const cth_time end = cth_after(CTH_S(seconds));
    uint64_t n = 0;
    do {
        const uint64_t kind = n < 5 ? n : pick(&chooser, 5); // each at least once
        atomic_store(&test_name, names[kind]);
        atomic_fetch_add(&test_number, 1);
        for (unsigned i = 0; i < PLAYERS; i++) {
            players[i].number = i;
            cth_rng_seed(&players[i].rng, cth_rng_next(&chooser.rng));
        }
        switch (kind) {
        case 0: together(recursion); break;
        case 1: together(givers_and_takers); break;
        case 2: once_round(&chooser); break;
        case 3: meeting_round(); break;
        default: memory_round(); break;
        }
        CHECK_EQ(items, 0);
        CHECK_EQ(left, right);
        CHECK(!cth_rmutex_is_locked(&rmutex));
        rounds[kind]++;
        n++;
    } while (cth_now() < end);
    CHECK_STATUS(cth_cond_destroy(&changed), CTH_OK);
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK);
    printf("stress_locks_more: seed %" PRIu64 ", rounds:", seed);
    for (int i = 0; i < 5; i++) {
        printf(" %" PRIu64 " %s,", rounds[i], names[i]);
    }
    printf(" %" PRIu64 " waits that failed\n", lost);
}

int main(int argc, char **argv) {
    static long limit = 600; // tenths of a second for one round
    const double seconds = stress_options(argc, argv, "stress_locks_more", 0, 0);
    pthread_t watchdog;
    CHECK_EQ(pthread_create(&watchdog, NULL, test_watch, &limit), 0);
    CHECK_EQ(pthread_detach(watchdog), 0);
    stress(seconds);
    return EXIT_SUCCESS;
}
