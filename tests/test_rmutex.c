/* test_rmutex.c - the recursive mutex: levels, owners, waiters

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 32 };

/* A thread that holds an rmutex, `levels` deep, from holder_start to holder_end. */
typedef struct holder {
    cth_rmutex *rmutex;
    int levels;
    cth_event held, let_go;
    cth_thread *thread;
} holder;

static cth_status holder_main(void *arg) {
    holder *h = (holder *)arg;
    for (int i = 0; i < h->levels; i++) {
        CHECK_STATUS(cth_rmutex_lock(h->rmutex), CTH_OK);
    }
    cth_event_set(&h->held);
    CHECK_STATUS(cth_event_wait(&h->let_go), CTH_OK);
    for (int i = 0; i < h->levels; i++) {
        CHECK_STATUS(cth_rmutex_unlock(h->rmutex), CTH_OK);
    }
    return CTH_OK;
}

static void holder_start(holder *h, cth_rmutex *rmutex, int levels) {
    memset(h, 0, sizeof *h);
    h->rmutex = rmutex;
    h->levels = levels;
    h->thread = test_spawn(holder_main, h);
    CHECK_STATUS(cth_event_wait(&h->held), CTH_OK);
}

static void holder_end(holder *h) {
    cth_event_set(&h->let_go);
    CHECK_STATUS(test_join(h->thread), CTH_OK);
}

/* Run a check in another thread, where the rmutex is not held. */
static void elsewhere(cth_thread_fn fn, void *arg) {
    CHECK_STATUS(test_join(test_spawn(fn, arg)), CTH_OK);
}

static cth_status try_is_busy(void *arg) {
    CHECK_STATUS(cth_rmutex_try_lock((cth_rmutex *)arg), CTH_BUSY);
    CHECK_STATUS(cth_rmutex_lock_until((cth_rmutex *)arg, 0), CTH_TIMEDOUT);
    return CTH_OK;
}

static cth_status lock_and_unlock(void *arg) {
    CHECK_STATUS(cth_rmutex_lock((cth_rmutex *)arg), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock((cth_rmutex *)arg), CTH_OK);
    return CTH_OK;
}

static cth_status unlock_is_refused(void *arg) {
    CHECK_STATUS(cth_rmutex_unlock((cth_rmutex *)arg), CTH_NOT_OWNER);
    return CTH_OK;
}

static cth_status timed_lock(void *object, cth_time deadline) {
    cth_rmutex *rmutex = (cth_rmutex *)object;
    const cth_status status = cth_rmutex_lock_until(rmutex, deadline);
    if (status == CTH_OK) {
        CHECK(cth_rmutex_is_locked(rmutex));
        CHECK_STATUS(cth_rmutex_unlock(rmutex), CTH_OK);
    }
    return status;
}

static cth_status plain_lock(void *object, cth_time deadline) {
    (void)deadline;
    return lock_and_unlock(object);
}

static cth_rmutex static_rmutex = CTH_RMUTEX_INIT;
static cth_rmutex zeroed_rmutex;

static void starts_free(void) {
    cth_rmutex automatic = CTH_RMUTEX_INIT, cleared;
    memset(&cleared, 0, sizeof cleared);
    cth_rmutex *all[] = {&static_rmutex, &zeroed_rmutex, &automatic, &cleared};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK(!cth_rmutex_is_locked(all[i]));
        CHECK_STATUS(lock_and_unlock(all[i]), CTH_OK);
        CHECK_STATUS(cth_rmutex_destroy(all[i]), CTH_OK);
    }
}

static void is_eight_bytes(void) {
    CHECK_EQ(sizeof(cth_rmutex), 8);
}

static void uncontended(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    for (int levels = 1; levels <= 100; levels++) {
        for (int i = 0; i < levels; i++) {
            CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
            CHECK(cth_rmutex_is_locked(&rmutex));
        }
        for (int i = 0; i < levels; i++) {
            CHECK(cth_rmutex_is_locked(&rmutex));
            CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
        }
        CHECK(!cth_rmutex_is_locked(&rmutex));
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
    }
}

static void only_the_last_unlock_frees_it(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    }
    for (int i = 0; i < 4; i++) {
        elsewhere(try_is_busy, &rmutex);
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    }
    elsewhere(lock_and_unlock, &rmutex);
}

static void every_form_counts_a_level(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock_until(&rmutex, 0), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock_until(&rmutex, 1), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock_until(&rmutex, cth_after(CTH_S(3600))), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock_until(&rmutex, CTH_FOREVER), CTH_OK);
    for (int i = 0; i < 7; i++) {
        CHECK(cth_rmutex_is_locked(&rmutex));
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    }
    CHECK(!cth_rmutex_is_locked(&rmutex));
}

static void levels_with_waiters(void) {
    // The mark of the sleepers is in the word beside the owner: levels must not mind it.
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    test_waiter w = {0};
    test_waiter_start(&w, plain_lock, &rmutex, CTH_FOREVER);
    test_waiter_asleep(&w);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_OK);
    }
    for (int i = 0; i < 6; i++) {
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
        CHECK_EQ(atomic_load(&w.done), 0);
    }
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK(!cth_rmutex_is_locked(&rmutex));
}

static void another_s_levels_are_not_mine(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    holder h;
    holder_start(&h, &rmutex, 3);
    CHECK(cth_rmutex_is_locked(&rmutex));
    for (int i = 0; i < 10; i++) {
        CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_BUSY);
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
    }
    holder_end(&h); // its three unlocks are CTH_OK
    CHECK(!cth_rmutex_is_locked(&rmutex));
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK(!cth_rmutex_is_locked(&rmutex)); // and none was left over
}

/* ---- deadlines ---- */

static void timed_lock_of_a_free_one(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    test_succeeds(timed_lock, &rmutex, test_nothing);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    test_succeeds(timed_lock, &rmutex, test_nothing); // one level more
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK(!cth_rmutex_is_locked(&rmutex));
}

static void timed_lock_of_a_held_one(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    holder h;
    holder_start(&h, &rmutex, 2);
    test_times_out(timed_lock, &rmutex);
    CHECK(cth_rmutex_is_locked(&rmutex));
    holder_end(&h);
    CHECK(!cth_rmutex_is_locked(&rmutex));
}

static void timed_lock_refuses_negative_deadlines(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    test_refuses_negative(timed_lock, &rmutex);
    CHECK(!cth_rmutex_is_locked(&rmutex));
    holder h;
    holder_start(&h, &rmutex, 1);
    test_refuses_negative(timed_lock, &rmutex);
    holder_end(&h);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    test_refuses_negative(timed_lock, &rmutex); // although it need not wait
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK(!cth_rmutex_is_locked(&rmutex)); // no level was counted
}

static void main_locks(void *rmutex) {
    CHECK_STATUS(cth_rmutex_lock((cth_rmutex *)rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock((cth_rmutex *)rmutex), CTH_OK);
}

static void main_unlocks(void *rmutex) {
    CHECK_STATUS(cth_rmutex_unlock((cth_rmutex *)rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock((cth_rmutex *)rmutex), CTH_OK);
}

static void timed_lock_waits_long(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    test_waits_long(timed_lock, &rmutex, main_locks, main_unlocks);
}

static void state_after_a_timeout(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    holder h;
    for (int round = 0; round < 20; round++) {
        holder_start(&h, &rmutex, 1 + round % 3);
        CHECK_STATUS(cth_rmutex_lock_until(&rmutex, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK(cth_rmutex_is_locked(&rmutex));
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
        holder_end(&h);
        CHECK(!cth_rmutex_is_locked(&rmutex));
        CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
        elsewhere(try_is_busy, &rmutex);
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
        elsewhere(try_is_busy, &rmutex);
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    }
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK); // no waiter is left behind
}

static void a_timeout_leaves_the_other_waiters(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    test_waiter patient[3], hasty[3];
    memset(patient, 0, sizeof patient);
    memset(hasty, 0, sizeof hasty);
    for (int i = 0; i < 3; i++) {
        test_waiter_start(&patient[i], timed_lock, &rmutex, CTH_FOREVER);
        test_waiter_asleep(&patient[i]);
        test_waiter_start(&hasty[i], timed_lock, &rmutex, cth_after(CTH_MS(5)));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&hasty[i]), CTH_TIMEDOUT);
        CHECK_EQ(atomic_load(&patient[i].done), 0);
    }
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&patient[i]), CTH_OK);
    }
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK);
}

/* ---- misuse, and the end of the counter ---- */

static void unlock_of_a_free_one(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
    CHECK_STATUS(lock_and_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
    CHECK(!cth_rmutex_is_locked(&rmutex));
    elsewhere(lock_and_unlock, &rmutex);
}

static void unlock_of_another_s(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    test_waiter w = {0};
    test_waiter_start(&w, plain_lock, &rmutex, CTH_FOREVER);
    test_waiter_asleep(&w);
    for (int i = 0; i < 3; i++) {
        elsewhere(unlock_is_refused, &rmutex); // takes no level either
    }
    CHECK_EQ(atomic_load(&w.done), 0);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    elsewhere(unlock_is_refused, &rmutex);
    CHECK_EQ(atomic_load(&w.done), 0);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

static cth_status lock_twice_and_end(void *arg) {
    CHECK_STATUS(cth_rmutex_lock((cth_rmutex *)arg), CTH_OK);
    return cth_rmutex_lock((cth_rmutex *)arg);
}

static void a_lock_outlives_its_owner(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    elsewhere(lock_twice_and_end, &rmutex);
    CHECK_STATUS(try_is_busy(&rmutex), CTH_OK);
    CHECK_STATUS(unlock_is_refused(&rmutex), CTH_OK);
    for (int i = 0; i < 3; i++) {
        // A new thread is not mistaken for the one that ended.
        elsewhere(try_is_busy, &rmutex);
        elsewhere(unlock_is_refused, &rmutex);
    }
    CHECK_STATUS(cth_rmutex_lock_until(&rmutex, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_BUSY);
}

static void the_last_level_overflows(void) {
    // Kind of bug: a hold count that wraps around (seen in the reader counts of JDK's
    // ReentrantReadWriteLock and in several RTOS mutexes).
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    rmutex.depth = INT32_MAX - 2;
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OVERFLOW);
        CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_OVERFLOW);
        CHECK_STATUS(cth_rmutex_lock_until(&rmutex, cth_after(CTH_S(3600))), CTH_OVERFLOW);
        CHECK_STATUS(cth_rmutex_lock_until(&rmutex, -1), CTH_INVALID);
        CHECK_EQ(rmutex.depth, INT32_MAX);
    }
    elsewhere(try_is_busy, &rmutex);
    elsewhere(unlock_is_refused, &rmutex);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK); // there is room for one again
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OVERFLOW);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_EQ(rmutex.depth, INT32_MAX - 2);
    rmutex.depth = 1;
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK(!cth_rmutex_is_locked(&rmutex));
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK);
}

static cth_rmutex asserted;

static void assert_held_ends_the_program(void) {
    CHECK_STATUS(cth_rmutex_lock(&asserted), CTH_OK);
    cth_rmutex_assert_held(&asserted);
    CHECK_STATUS(cth_rmutex_lock(&asserted), CTH_OK);
    cth_rmutex_assert_held(&asserted);
    CHECK_STATUS(cth_rmutex_unlock(&asserted), CTH_OK);
    cth_rmutex_assert_held(&asserted);
    CHECK_STATUS(cth_rmutex_unlock(&asserted), CTH_OK);
    static const char *const modes[] = {"free", "held by another", "no thread yet"};
    for (size_t i = 0; i < TEST_COUNT(modes); i++) {
        char text[2048];
        CHECK_EQ(test_child(modes[i], text, sizeof text), -SIGABRT);
        CHECK(strstr(text, "cth_rmutex_assert_held") != NULL);
        CHECK(strstr(text, "still here") == NULL);
    }
}

static void *assert_in_a_foreign_thread(void *arg) {
    cth_rmutex_assert_held((cth_rmutex *)arg);
    return NULL;
}

static int child_main(const char *mode) {
    if (strcmp(mode, "free") == 0) {
        cth_rmutex_assert_held(&asserted);
    } else if (strcmp(mode, "held by another") == 0) {
        holder h;
        holder_start(&h, &asserted, 2);
        cth_rmutex_assert_held(&asserted);
    } else if (strcmp(mode, "no thread yet") == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, assert_in_a_foreign_thread, &asserted) == 0);
        pthread_join(thread, NULL);
    }
    printf("still here\n");
    fflush(stdout);
    return 0;
}

/* ---- in company ---- */

typedef struct shared {
    cth_rmutex rmutex;
    int rounds;
    bool tries;  // take it by try_lock
    int inside;  // plain: the rmutex protects it
    long passes; // plain
} shared;

/* Count at every level, `depth` more of them, and come back. */
static void dive(shared *s, int depth) {
    CHECK_EQ(s->inside, 1);
    s->passes++;
    if (depth > 0) {
        CHECK_STATUS(cth_rmutex_lock(&s->rmutex), CTH_OK);
        dive(s, depth - 1);
        CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_OK);
    }
}

static cth_status contend(void *arg) {
    shared *s = (shared *)arg;
    for (int i = 0; i < s->rounds; i++) {
        if (s->tries) {
            while (cth_rmutex_try_lock(&s->rmutex) != CTH_OK) {
                cth_yield();
            }
        } else {
            CHECK_STATUS(cth_rmutex_lock(&s->rmutex), CTH_OK);
        }
        CHECK_EQ(s->inside, 0);
        s->inside++;
        dive(s, i % 4);
        if (i % 64 == 0) {
            cth_yield(); // lets the others run into the held lock
        }
        CHECK_EQ(s->inside, 1); // the inner unlocks let nobody in
        s->inside--;
        CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_OK);
    }
    return CTH_OK;
}

static void contend_by(int threads, int rounds, bool tries) {
    cth_thread *thread[MANY];
    shared s = {.rounds = rounds, .tries = tries};
    for (int i = 0; i < threads; i++) {
        thread[i] = test_spawn(contend, &s);
    }
    for (int i = 0; i < threads; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    CHECK_EQ(s.passes, (long)threads * rounds / 4 * (1 + 2 + 3 + 4));
    CHECK_STATUS(cth_rmutex_destroy(&s.rmutex), CTH_OK);
}

static void contended_by_five(void) {
    contend_by(THREADS, 8000, false);
}

static void try_contended_by_five(void) {
    contend_by(THREADS, 800, true);
}

static void contended_by_many(void) {
    contend_by(MANY, 400, false);
}

static void relocked_by_three(void) {
    // Kind of bug: a woken waiter takes the lock without the "somebody sleeps" mark, and the next
    // sleeper is never woken (seen in musl's lock of FILE). It needs a third thread.
    for (int i = 0; i < 100; i++) {
        contend_by(3, 8, false);
    }
}

static void many_waiters_all_pass(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    test_waiter w[MANY];
    memset(w, 0, sizeof w);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    for (int i = 0; i < MANY; i++) {
        test_waiter_start(&w[i], timed_lock, &rmutex,
                          i % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
    }
    for (int i = 0; i < MANY; i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    for (int i = 0; i < MANY; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK);
}

/* ---- fairness, shown by counting ---- */

typedef struct turns {
    cth_rmutex rmutex;
    int n; // plain: how many waiters have had it
} turns;

static cth_status take_a_turn(void *object, cth_time deadline) {
    turns *t = (turns *)object;
    CHECK_STATUS(cth_rmutex_lock_until(&t->rmutex, deadline), CTH_OK);
    t->n++;
    CHECK_STATUS(cth_rmutex_unlock(&t->rmutex), CTH_OK);
    return CTH_OK;
}

static void waiters_are_passed_by_for_1_ms_only(void) {
    // Kind of bug: whoever runs takes the lock again before the sleeper can, for ever (seen in
    // parking_lot 29). The waiters have been at it for longer than the kit lets them be passed by:
    // so one unlock serves all of them before this thread can have the lock again.
    for (int round = 0; round < 10; round++) {
        turns t = {.rmutex = CTH_RMUTEX_INIT};
        test_waiter w[THREADS];
        memset(w, 0, sizeof w);
        CHECK_STATUS(cth_rmutex_lock(&t.rmutex), CTH_OK);
        for (int i = 0; i < THREADS; i++) {
            test_waiter_start(&w[i], take_a_turn, &t, CTH_FOREVER);
        }
        for (int i = 0; i < THREADS; i++) {
            test_waiter_asleep(&w[i]);
        }
        CHECK_STATUS(cth_sleep(CTH_MS(2)), CTH_OK);
        CHECK_EQ(t.n, 0);
        CHECK_STATUS(cth_rmutex_unlock(&t.rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_lock(&t.rmutex), CTH_OK);
        CHECK_EQ(t.n, THREADS);
        CHECK_STATUS(cth_rmutex_unlock(&t.rmutex), CTH_OK);
        for (int i = 0; i < THREADS; i++) {
            CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
        }
    }
}

typedef struct greed {
    cth_rmutex rmutex;
    atomic_int enough;
} greed;

static cth_status holds_nearly_always(void *arg) {
    greed *g = (greed *)arg;
    while (atomic_load(&g->enough) == 0) {
        CHECK_STATUS(cth_rmutex_lock(&g->rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_unlock(&g->rmutex), CTH_OK);
    }
    return CTH_OK;
}

static void the_greedy_do_not_starve_a_waiter(void) {
    greed g = {.rmutex = CTH_RMUTEX_INIT};
    cth_thread *greedy[2];
    for (int i = 0; i < 2; i++) {
        greedy[i] = test_spawn(holds_nearly_always, &g);
    }
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(lock_and_unlock(&g.rmutex), CTH_OK);
    }
    atomic_store(&g.enough, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_join(greedy[i]), CTH_OK);
    }
}

/* ---- the end of its life ---- */

static void destroy_while_used_is_busy(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_BUSY);
    elsewhere(try_is_busy, &rmutex);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_BUSY); // one level is left
    test_waiter w = {0};
    test_waiter_start(&w, plain_lock, &rmutex, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_BUSY);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    holder h;
    holder_start(&h, &rmutex, 2);
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_BUSY);
    holder_end(&h);
    CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK);
}

static void destroy_and_begin_again(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(lock_and_unlock(&rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK);
#ifdef CTHREADS_DEBUG
        CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_INVALID);
        CHECK_STATUS(cth_rmutex_try_lock(&rmutex), CTH_INVALID);
        CHECK_STATUS(cth_rmutex_lock_until(&rmutex, cth_after(CTH_S(3600))), CTH_INVALID);
        CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_NOT_OWNER);
#endif
        memset(&rmutex, 0, sizeof rmutex);
    }
}

static cth_status lock_and_free(void *arg) {
    cth_rmutex *rmutex = (cth_rmutex *)arg;
    CHECK_STATUS(cth_rmutex_lock(rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_destroy(rmutex), CTH_OK);
    memset(rmutex, 0xEE, sizeof *rmutex);
    free(rmutex);
    return CTH_OK;
}

static void the_next_owner_may_free_it(void) {
    // Kind of bug: unlock looks at the lock, or wakes on its address, after another thread could
    // have freed it (inherent in futexes; seen in glibc's and musl's semaphores).
    for (int i = 0; i < 500; i++) {
        cth_rmutex *rmutex = (cth_rmutex *)calloc(1, sizeof *rmutex);
        CHECK(rmutex != NULL);
        CHECK_STATUS(cth_rmutex_lock(rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_lock(rmutex), CTH_OK);
        cth_thread *thread = test_spawn(lock_and_free, rmutex);
        for (int k = 0; k < i % 8; k++) {
            cth_yield();
        }
        CHECK_STATUS(cth_rmutex_unlock(rmutex), CTH_OK);
        CHECK_STATUS(cth_rmutex_unlock(rmutex), CTH_OK);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static void *foreign_user(void *arg) {
    shared *s = (shared *)arg;
    // The very first call of this thread is the one under test.
    CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_NOT_OWNER);
    CHECK_STATUS(contend(s), CTH_OK);
    return NULL;
}

static void *foreign_first_lock(void *arg) {
    shared *s = (shared *)arg;
    CHECK_STATUS(cth_rmutex_lock(&s->rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock(&s->rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_OK);
    return NULL;
}

static void *foreign_first_try(void *arg) {
    shared *s = (shared *)arg;
    while (cth_rmutex_try_lock(&s->rmutex) != CTH_OK) {
        cth_yield();
    }
    CHECK_STATUS(cth_rmutex_unlock(&s->rmutex), CTH_OK);
    return NULL;
}

static void foreign_threads_can_lock(void) {
    void *(*const fns[3])(void *) = {foreign_user, foreign_first_lock, foreign_first_try};
    shared s = {.rounds = 1000};
    pthread_t thread[6];
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_create(&thread[i], NULL, fns[i % 3], &s) == 0);
    }
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    CHECK_EQ(s.passes, 2 * 1000 / 4 * (1 + 2 + 3 + 4));
    CHECK(!cth_rmutex_is_locked(&s.rmutex));
}

static void is_never_cancelled(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    cth_cancel token = CTH_CANCEL_INIT;
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    test_waiter w = {.token = &token};
    test_waiter_start(&w, timed_lock, &rmutex, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    test_waiter_asleep(&w);
    CHECK_EQ(atomic_load(&w.done), 0);
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static cth_status lock_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = timed_lock(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_rmutex rmutex = CTH_RMUTEX_INIT;
    test_waiter a = {0}, b = {0};
    CHECK_STATUS(cth_rmutex_lock(&rmutex), CTH_OK);
    test_waiter_start(&a, lock_keeps_errno, &rmutex, cth_after(CTH_MS(2)));
    test_waiter_start(&b, lock_keeps_errno, &rmutex, CTH_FOREVER);
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    test_waiter_asleep(&b);
    errno = 4242;
    CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&b), CTH_OK);
}

static const test_case tests[] = {
    TEST(starts_free),
    TEST(is_eight_bytes),
    TEST(uncontended),
    TEST(only_the_last_unlock_frees_it),
    TEST(every_form_counts_a_level),
    TEST(levels_with_waiters),
    TEST(another_s_levels_are_not_mine),
    TEST(timed_lock_of_a_free_one),
    TEST(timed_lock_of_a_held_one),
    TEST(timed_lock_refuses_negative_deadlines),
    TEST(timed_lock_waits_long),
    TEST(state_after_a_timeout),
    TEST(a_timeout_leaves_the_other_waiters),
    TEST(unlock_of_a_free_one),
    TEST(unlock_of_another_s),
    TEST(a_lock_outlives_its_owner),
    TEST(the_last_level_overflows),
    TEST(assert_held_ends_the_program),
    TEST(contended_by_five),
    TEST(try_contended_by_five),
    TEST(contended_by_many),
    TEST(relocked_by_three),
    TEST(many_waiters_all_pass),
    TEST(waiters_are_passed_by_for_1_ms_only),
    TEST(the_greedy_do_not_starve_a_waiter),
    TEST(destroy_while_used_is_busy),
    TEST(destroy_and_begin_again),
    TEST(the_next_owner_may_free_it),
    TEST(foreign_threads_can_lock),
    TEST(is_never_cancelled),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    if (mode != NULL) {
        return child_main(mode);
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
