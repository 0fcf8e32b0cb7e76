/* test_cond_rmutex.c - waiting on a condition with a recursive mutex: all levels go and come back

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 24 };

/* A condition, its rmutex, and what they protect. */
typedef struct room {
    cth_rmutex rmutex;
    cth_cond cond;
    int levels;        // that a visitor takes
    int permits;       // plain
    int inside;        // plain: visitors that are about to wait, or wait
    long taken, given; // plain
} room;

static void take_levels(room *r, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_STATUS(cth_rmutex_lock(&r->rmutex), CTH_OK);
    }
}

/* Give them back: as many as there should be, and no more. */
static void give_levels(room *r, int n) {
    for (int i = 0; i < n; i++) {
        cth_rmutex_assert_held(&r->rmutex);
        CHECK_STATUS(cth_rmutex_unlock(&r->rmutex), CTH_OK);
    }
    CHECK_STATUS(cth_rmutex_unlock(&r->rmutex), CTH_NOT_OWNER);
}

/* One wait for a permit: what the first wait that is not CTH_OK returned, or CTH_OK. */
static cth_status visit(void *object, cth_time deadline) {
    room *r = (room *)object;
    cth_status status = CTH_OK;
    take_levels(r, r->levels);
    const int levels = r->levels;
    r->inside++;
    while (r->permits == 0 && status == CTH_OK) {
        status = cth_cond_wait_rmutex_until(&r->cond, &r->rmutex, deadline);
    }
    r->inside--;
    if (status == CTH_OK) {
        r->permits--;
        r->taken++;
    }
    give_levels(r, levels);
    return status;
}

static cth_status visit_for_ever(void *object, cth_time deadline) {
    room *r = (room *)object;
    (void)deadline;
    take_levels(r, 3);
    r->inside++;
    while (r->permits == 0) {
        CHECK_STATUS(cth_cond_wait_rmutex(&r->cond, &r->rmutex), CTH_OK);
    }
    r->inside--;
    r->permits--;
    give_levels(r, 3);
    return CTH_OK;
}

/* Return once `n` visitors wait. */
static void full(room *r, int n) {
    for (int inside = -1; inside < n;) {
        CTH_WITH(&r->rmutex) {
            inside = r->inside; // they let go of the rmutex only by waiting
        }
        cth_yield();
    }
}

static void permit(void *object) {
    room *r = (room *)object;
    full(r, 1);
    CTH_WITH(&r->rmutex) {
        r->permits++;
        CHECK_STATUS(cth_cond_notify(&r->cond, 1), CTH_OK);
    }
}

static void all_levels_go_and_come_back(void) {
    for (int levels = 1; levels <= 10; levels++) {
        room r = {.levels = levels};
        test_waiter w = {0};
        test_waiter_start(&w, levels == 3 ? visit_for_ever : visit, &r, CTH_FOREVER);
        permit(&r); // locks it: no level was kept
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
        CHECK(!cth_rmutex_is_locked(&r.rmutex));
        CHECK_STATUS(cth_cond_destroy(&r.cond), CTH_OK);
        CHECK_STATUS(cth_rmutex_destroy(&r.rmutex), CTH_OK);
    }
}

static void others_have_their_own_levels_meanwhile(void) {
    room r = {.levels = 4};
    test_waiter w = {0};
    test_waiter_start(&w, visit, &r, CTH_FOREVER);
    full(&r, 1);
    take_levels(&r, 2);
    CHECK_EQ(r.rmutex.depth, 1); // it starts at none, not at those of the one who waits
    r.permits = 1;
    CHECK_STATUS(cth_cond_notify(&r.cond, 1), CTH_OK);
    take_levels(&r, 1);
    CHECK_EQ(atomic_load(&w.done), 0); // it must wait for the rmutex now
    give_levels(&r, 3);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK_EQ(r.rmutex.depth, 0);
}

static void the_deepest_level_is_restored(void) {
    room r = {.levels = 1};
    CHECK_STATUS(cth_rmutex_lock(&r.rmutex), CTH_OK);
    r.rmutex.depth = INT32_MAX;
    CHECK_STATUS(cth_cond_wait_rmutex_until(&r.cond, &r.rmutex, cth_after(CTH_MS(1))),
                 CTH_TIMEDOUT);
    CHECK_EQ(r.rmutex.depth, INT32_MAX);
    CHECK_STATUS(cth_rmutex_lock(&r.rmutex), CTH_OVERFLOW);
    r.rmutex.depth = 0;
    give_levels(&r, 1);
}

/* ---- deadlines ---- */

static void timed_waits(void) {
    room r = {.levels = 3};
    test_times_out(visit, &r);
    CHECK_EQ(r.inside, 0);
    CHECK(!cth_rmutex_is_locked(&r.rmutex));
    CHECK_STATUS(cth_cond_destroy(&r.cond), CTH_OK);
}

static void negative_deadlines_are_refused(void) {
    room r = {.levels = 3};
    test_refuses_negative(visit, &r); // give_levels shows that it was never let go of
    CHECK_STATUS(cth_cond_wait_rmutex_until(&r.cond, &r.rmutex, -1), CTH_INVALID);
}

static void timed_waits_wait_long(void) {
    room r = {.levels = 2};
    test_waits_long(visit, &r, test_nothing, permit);
}

static void it_is_held_after_a_timeout(void) {
    room r = {.levels = 3};
    for (int i = 0; i < 20; i++) {
        take_levels(&r, 3);
        CHECK_STATUS(cth_cond_wait_rmutex_until(&r.cond, &r.rmutex, cth_after(CTH_US(100))),
                     CTH_TIMEDOUT);
        CHECK_STATUS(cth_cond_wait_rmutex_until(&r.cond, &r.rmutex, 0), CTH_TIMEDOUT);
        give_levels(&r, 3);
    }
}

/* ---- misuse ---- */

static void not_the_owner(void) {
    room r = {.levels = 3};
    CHECK_STATUS(cth_cond_wait_rmutex(&r.cond, &r.rmutex), CTH_NOT_OWNER);
    CHECK_STATUS(cth_cond_wait_rmutex_until(&r.cond, &r.rmutex, CTH_FOREVER), CTH_NOT_OWNER);
    CHECK_STATUS(cth_cond_wait_rmutex_until(&r.cond, &r.rmutex, 0), CTH_NOT_OWNER);
    CHECK(!cth_rmutex_is_locked(&r.rmutex));
}

static cth_status wait_is_refused(void *arg) {
    room *r = (room *)arg;
    CHECK_STATUS(cth_cond_wait_rmutex(&r->cond, &r->rmutex), CTH_NOT_OWNER);
    return CTH_OK;
}

static void another_is_the_owner(void) {
    room r = {.levels = 3};
    take_levels(&r, 3);
    CHECK_STATUS(test_join(test_spawn(wait_is_refused, &r)), CTH_OK);
    CHECK_EQ(r.rmutex.depth, 2); // untouched
    give_levels(&r, 3);
}

static void two_mutexes_at_one_condition(void) {
    room r = {.levels = 2};
    cth_rmutex other = CTH_RMUTEX_INIT;
    cth_mutex plain = CTH_MUTEX_INIT;
    test_waiter w = {0};
    test_waiter_start(&w, visit, &r, CTH_FOREVER);
    full(&r, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_rmutex_lock(&other), CTH_OK);
    }
    CHECK_STATUS(cth_cond_wait_rmutex(&r.cond, &other), CTH_INVALID);
    CHECK_STATUS(cth_cond_wait_rmutex_until(&r.cond, &other, cth_after(CTH_MS(1))), CTH_INVALID);
    for (int i = 0; i < 3; i++) {
        cth_rmutex_assert_held(&other);
        CHECK_STATUS(cth_rmutex_unlock(&other), CTH_OK);
    }
    CHECK(!cth_rmutex_is_locked(&other)); // no level was lost or added
    CHECK_STATUS(cth_mutex_lock(&plain), CTH_OK);
    CHECK_STATUS(cth_cond_wait(&r.cond, &plain), CTH_INVALID);
    CHECK_STATUS(cth_mutex_unlock(&plain), CTH_OK);
    permit(&r);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

/* ---- cancelling ---- */

static void it_is_held_after_cancelling(void) {
    room r = {.levels = 3};
    cth_cancel token = CTH_CANCEL_INIT;
    test_waiter w = {.token = &token}, patient = {0};
    test_waiter_start(&w, visit, &r, CTH_FOREVER);
    test_waiter_start(&patient, visit, &r, CTH_FOREVER);
    full(&r, 2);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED); // visit checks its levels
    CHECK_EQ(atomic_load(&patient.done), 0);
    permit(&r);
    CHECK_STATUS(test_waiter_end(&patient), CTH_OK);
    CTH_UNDER(&token) {
        take_levels(&r, 3);
        CHECK_STATUS(cth_cond_wait_rmutex(&r.cond, &r.rmutex), CTH_CANCELLED);
        give_levels(&r, 3);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* ---- notifying ---- */

static void notify_wakes_as_many(void) {
    room r = {.levels = 2};
    test_waiter w[MANY];
    memset(w, 0, sizeof w);
    for (int i = 0; i < MANY; i++) {
        test_waiter_start(&w[i], visit, &r, CTH_FOREVER);
    }
    full(&r, MANY);
    int left = MANY;
    for (int n = 1; left > 0; n++) {
        const int next = n < left ? n : left;
        CTH_WITH(&r.rmutex) {
            r.permits = next;
            CHECK_STATUS(cth_cond_notify(&r.cond, (size_t)next), CTH_OK);
        }
        left -= next;
        for (long taken = 0; taken != MANY - left;) { // exactly the woken ones take them
            CTH_WITH(&r.rmutex) {
                taken = r.taken;
            }
            cth_yield();
        }
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    CHECK_STATUS(cth_cond_notify(&r.cond, 1), CTH_OK); // nobody waits
    CHECK_STATUS(cth_cond_notify_all(&r.cond), CTH_OK);
}

/* Waiters with and without deadlines against notifiers that wake one for each permit. */
typedef struct market {
    room r;
    int rounds;
    atomic_int number;
    long timeouts; // plain
} market;

static cth_status consume(void *arg) {
    market *m = (market *)arg;
    const int number = atomic_fetch_add(&m->number, 1);
    cth_rng rng;
    cth_rng_seed(&rng, (uint64_t)number);
    for (int i = 0; i < m->rounds;) {
        // Every other one waits without a deadline: a lost wake-up would leave it asleep.
        const cth_time deadline =
            number % 2 == 0 ? CTH_FOREVER : cth_after((cth_time)cth_rng_below(&rng, 200000));
        const cth_status status = visit(&m->r, deadline);
        if (status == CTH_OK) {
            i++;
        } else {
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CTH_WITH(&m->r.rmutex) {
                m->timeouts++;
            }
        }
    }
    return CTH_OK;
}

static cth_status produce(void *arg) {
    market *m = (market *)arg;
    for (int i = 0; i < m->rounds; i++) {
        CTH_WITH(&m->r.rmutex) {
            CTH_WITH(&m->r.rmutex) {
                m->r.permits++;
                m->r.given++;
            }
            if (i % 2 == 0) {
                CHECK_STATUS(cth_cond_notify(&m->r.cond, 1), CTH_OK);
            }
        }
        if (i % 2 != 0) { // without the lock
            CHECK_STATUS(cth_cond_notify(&m->r.cond, 1), CTH_OK);
        }
        if (i % 16 == 0) {
            cth_yield();
        }
    }
    return CTH_OK;
}

static void no_notify_is_lost(void) {
    // Kinds of bug: a notify that wakes nobody although somebody waits (seen in glibc's condition,
    // bug 25847), and one eaten by a waiter which then reports a timeout (glibc 12875): then a
    // permit is left, and a waiter without a deadline sleeps beside it.
    market m = {.r.levels = 2, .rounds = 2000};
    cth_thread *threads[2 * THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(consume, &m);
        threads[THREADS + i] = test_spawn(produce, &m);
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(m.r.given, THREADS * 2000);
    CHECK_EQ(m.r.taken, THREADS * 2000);
    CHECK_EQ(m.r.permits, 0);
    CHECK_EQ(m.r.inside, 0);
    CHECK_STATUS(cth_cond_destroy(&m.r.cond), CTH_OK);
    CHECK_STATUS(cth_rmutex_destroy(&m.r.rmutex), CTH_OK);
}

/* ---- CTH_WAIT_WHILE ---- */

#ifdef CTH_WAIT_WHILE
static cth_status visit_by_macro(void *object, cth_time deadline) {
    room *r = (room *)object;
    cth_status status = CTH_OK;
    take_levels(r, 2);
    r->inside++;
    if (deadline == CTH_FOREVER) {
        status = CTH_WAIT_WHILE(&r->cond, &r->rmutex, r->permits == 0);
    } else {
        status = CTH_WAIT_WHILE(&r->cond, &r->rmutex, r->permits == 0, deadline);
    }
    r->inside--;
    if (status == CTH_OK) {
        r->permits--;
    }
    give_levels(r, 2);
    return status;
}

static void wait_while_takes_an_rmutex(void) {
    room r = {0};
    test_waiter w[2];
    memset(w, 0, sizeof w);
    test_waiter_start(&w[0], visit_by_macro, &r, CTH_FOREVER);
    test_waiter_start(&w[1], visit_by_macro, &r, cth_after(CTH_S(3600)));
    full(&r, 2);
    CHECK_STATUS(cth_cond_notify_all(&r.cond), CTH_OK); // for nothing: they wait on
    CTH_WITH(&r.rmutex) {
        CHECK_EQ(r.inside, 2);
        r.permits = 2;
    }
    CHECK_STATUS(cth_cond_notify_all(&r.cond), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w[0]), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w[1]), CTH_OK);
    test_times_out(visit_by_macro, &r);
    test_refuses_negative(visit_by_macro, &r);
    r.permits = 1;
    CHECK_STATUS(visit_by_macro(&r, 0), CTH_OK); // the predicate decides
}
#endif

static cth_status visit_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = visit(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    room r = {.levels = 2};
    test_waiter a = {0}, b = {0};
    test_waiter_start(&a, visit_keeps_errno, &r, cth_after(CTH_MS(2)));
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    test_waiter_start(&b, visit_keeps_errno, &r, CTH_FOREVER);
    permit(&r);
    CHECK_STATUS(test_waiter_end(&b), CTH_OK);
}

static const test_case tests[] = {
    TEST(all_levels_go_and_come_back),
    TEST(others_have_their_own_levels_meanwhile),
    TEST(the_deepest_level_is_restored),
    TEST(timed_waits),
    TEST(negative_deadlines_are_refused),
    TEST(timed_waits_wait_long),
    TEST(it_is_held_after_a_timeout),
    TEST(not_the_owner),
    TEST(another_is_the_owner),
    TEST(two_mutexes_at_one_condition),
    TEST(it_is_held_after_cancelling),
    TEST(notify_wakes_as_many),
    TEST(no_notify_is_lost),
#ifdef CTH_WAIT_WHILE
    TEST(wait_while_takes_an_rmutex),
#endif
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
