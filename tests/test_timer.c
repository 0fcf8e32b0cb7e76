/* test_timer.c - timers: once, repeated, cancelled, set again

   Nothing here measures how late a timer runs. Tests look at the private `due` of a timer to know
   in which order, and not before when, its function must run.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#if defined(__SANITIZE_ADDRESS__)
#  define SLOW 2
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define SLOW 2
#  endif
#endif
#ifndef SLOW
#  define SLOW (TEST_TSAN ? 4 : 1)
#endif

static void wait_for(cth_event *event) {
    CHECK_STATUS(cth_event_wait(event), CTH_OK);
}

static void announce(cth_event *event) {
    CHECK_STATUS(cth_event_set(event), CTH_OK);
}

static void set_after(cth_timer *timer, cth_time span, cth_timer_fn fn, void *arg) {
    CHECK_STATUS(cth_timer_after(timer, span, fn, arg), CTH_OK);
}

static void set_every(cth_timer *timer, cth_time period, cth_timer_fn fn, void *arg) {
    CHECK_STATUS(cth_timer_every(timer, period, fn, arg), CTH_OK);
}

static uint64_t cancel(cth_timer *timer) {
    uint64_t runs = UINT64_MAX;
    CHECK_STATUS(cth_timer_cancel(timer, &runs), CTH_OK);
    return runs;
}

static cth_status count(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
    return CTH_OK;
}

static cth_status announces(void *arg) {
    return cth_event_set((cth_event *)arg);
}

static cth_status unexpected(void *arg) {
    (void)arg;
    CHECK(false);
    return CTH_OK;
}

/* Return when all timers that were due before this call have run. */
static void settle(void) {
    cth_timer timer = CTH_TIMER_INIT;
    cth_event passed = CTH_EVENT_INIT;
    set_after(&timer, 0, announces, &passed);
    wait_for(&passed);
    CHECK_EQ(cancel(&timer), 1);
}

/* A timer whose function holds the service thread until it is let go. */
typedef struct gate {
    cth_timer timer;
    cth_event entered, open;
    atomic_int over; // the function is about to return
} gate;

static cth_status hold(void *arg) {
    gate *g = (gate *)arg;
    announce(&g->entered);
    wait_for(&g->open);
    atomic_store(&g->over, 1);
    return CTH_OK;
}

static void gate_close(gate *g) {
    memset(g, 0, sizeof *g);
    set_after(&g->timer, 0, hold, g);
    wait_for(&g->entered);
}

static void gate_open(gate *g) {
    announce(&g->open);
    CHECK_EQ(cancel(&g->timer), 1);
    CHECK_EQ(atomic_load(&g->over), 1);
}

/* How many service threads are in the list; one that has no more to do may be there a while yet. */
static size_t services(void) {
    cth_thread *all[64];
    size_t found = 0;
    const size_t n = cth_thread_enumerate(all, TEST_COUNT(all));
    CHECK(n <= TEST_COUNT(all));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(cth_thread_name(all[i]), "cth-timer") == 0) {
            CHECK(cth_thread_is_daemon(all[i]));
            found++;
        }
        cth_thread_release(all[i]);
    }
    return found;
}

static void wait_until_services(size_t n) {
    while (services() != n) {
        cth_yield();
    }
}

/* Another thread's call of cancel. */
static cth_status cancel_it(void *object, cth_time deadline) {
    uint64_t runs = UINT64_MAX;
    (void)deadline;
    const cth_status status = cth_timer_cancel((cth_timer *)object, &runs);
    CHECK_EQ(runs, 1);
    return status;
}

/* -- once ---------------------------------------------------------------------------------------
 */

static void a_zeroed_timer_is_not_pending(void) {
    cth_timer zeroed, made = CTH_TIMER_INIT;
    memset(&zeroed, 0, sizeof zeroed);
    const size_t threads = cth_thread_count();
    CHECK_EQ(cancel(&zeroed), 0);
    CHECK_EQ(cancel(&made), 0);
    CHECK_STATUS(cth_timer_cancel(&made, NULL), CTH_OK);
    CHECK_EQ(cth_thread_count(), threads); // that starts no thread
}

typedef struct shot {
    cth_timer timer;
    cth_time earliest;
    atomic_int runs;
} shot;

static cth_status shoot(void *arg) {
    shot *s = (shot *)arg;
    const cth_time now = cth_now();
    cth_thread *self = cth_thread_current();
    CHECK(now >= s->earliest);
    CHECK_STR(cth_thread_name(self), "cth-timer");
    CHECK(cth_thread_is_daemon(self));
    CHECK(self != cth_thread_main());
    atomic_fetch_add(&s->runs, 1);
    return CTH_OK;
}

static const cth_time spans[] = {0,       1,       999,      1000,    50000,  999999,
                                 1000000, 1000001, 20000000, 3000000, 400000, 0};

static void runs_once_and_never_early(void) {
    shot s[TEST_COUNT(spans)];
    memset(s, 0, sizeof s);
    for (size_t i = 0; i < TEST_COUNT(s); i++) {
        s[i].earliest = cth_after(spans[i]);
        set_after(&s[i].timer, spans[i], shoot, &s[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(s); i++) {
        test_reach(&s[i].runs, 1);
    }
    settle();
    for (size_t i = 0; i < TEST_COUNT(s); i++) {
        CHECK_EQ(cancel(&s[i].timer), 1);
        CHECK_EQ(atomic_load(&s[i].runs), 1);
    }
    // One at a time: the service thread ends and starts again.
    for (cth_time span = 1; span < CTH_MS(2); span += span / 2 + 1) {
        shot one = {.earliest = cth_after(span)};
        set_after(&one.timer, span, shoot, &one);
        test_reach(&one.runs, 1);
        CHECK_EQ(cancel(&one.timer), 1);
    }
}

/* An earlier timer gets its turn although the service thread sleeps for a later one. */
static void an_earlier_one_goes_first(void) {
    cth_timer late = CTH_TIMER_INIT, later = CTH_TIMER_INIT, soon = CTH_TIMER_INIT;
    atomic_int runs = 0;
    set_after(&later, CTH_S(7200), unexpected, NULL);
    set_after(&late, CTH_S(3600), unexpected, NULL);
    for (int i = 1; i <= 20; i++) {
        set_after(&soon, CTH_US(100), count, &runs);
        test_reach(&runs, i);
        CHECK_EQ(cancel(&soon), 1);
    }
    CHECK_EQ(cancel(&late), 0);
    set_after(&soon, CTH_US(100), count, &runs);
    test_reach(&runs, 21);
    CHECK_EQ(cancel(&later), 0);
    CHECK_EQ(cancel(&soon), 1);
}

/* Spans that the clock cannot reach neither overflow nor stand in the way. */
static void far_timers_do_not_run(void) {
    static const cth_time far[] = {CTH_S(3600),      CTH_S(4294967296), INT64_MAX / 2,
                                   INT64_MAX - 1,    CTH_FOREVER,       INT64_C(1) << 62,
                                   CTH_FOREVER,      INT64_MAX / 3,     INT64_MAX - 2,
                                   INT64_C(1) << 61, CTH_S(86400 * 365)};
    cth_timer once[TEST_COUNT(far)], again[TEST_COUNT(far)];
    memset(once, 0, sizeof once);
    memset(again, 0, sizeof again);
    for (size_t i = 0; i < TEST_COUNT(far); i++) {
        set_after(&once[i], far[i], unexpected, NULL);
        set_every(&again[i], far[i], unexpected, NULL);
        settle();
    }
    for (size_t i = 0; i < TEST_COUNT(far); i++) {
        CHECK_STATUS(cth_timer_after(&once[i], 0, unexpected, NULL), CTH_BUSY);
        CHECK_EQ(cancel(&once[i]), 0);
        CHECK_EQ(cancel(&again[i]), 0);
    }
}

/* -- repeated -----------------------------------------------------------------------------------
 */

enum { TIMES = 12 };

typedef struct series {
    cth_timer timer;
    cth_time nap; // of every other run
    int runs;
    cth_time due[TIMES], ran[TIMES], over[TIMES];
    cth_event done;
} series;

static cth_status record(void *arg) {
    series *s = (series *)arg;
    if (s->runs < TIMES) {
        s->ran[s->runs] = cth_now();
        s->due[s->runs] = s->timer.due;
        if (s->runs % 2 != 0 && s->nap != 0) {
            CHECK_STATUS(cth_sleep(s->nap), CTH_OK);
        }
        s->over[s->runs] = cth_now();
        if (++s->runs == TIMES) {
            announce(&s->done);
        }
    }
    return CTH_OK;
}

/* The due times are multiples of the period, and none was run that had passed when the one before
   it was over. */
static void series_checked(const series *s, cth_time period, cth_time before, cth_time behind) {
    CHECK(s->due[0] >= before + period && s->due[0] <= behind + period);
    for (int i = 0; i < TIMES; i++) {
        CHECK(s->ran[i] >= s->due[i]);
        CHECK_EQ((s->due[i] - s->due[0]) % period, 0);
        if (i > 0) {
            CHECK(s->due[i] > s->due[i - 1]);
            CHECK(s->due[i] > s->over[i - 1]);
            CHECK(s->ran[i] >= s->over[i - 1]);
        }
    }
}

static void series_run(cth_time period, cth_time nap) {
    static series s;
    memset(&s, 0, sizeof s);
    s.nap = nap;
    const cth_time before = cth_now();
    set_every(&s.timer, period, record, &s);
    const cth_time behind = cth_now();
    wait_for(&s.done);
    CHECK(cancel(&s.timer) >= TIMES);
    series_checked(&s, period, before, behind);
}

static void repeats_without_drift(void) {
    series_run(CTH_MS(1), 0);
    series_run(CTH_US(300), 0);
    series_run(1, 0); // always late
}

static void overruns_are_skipped(void) {
    series_run(CTH_MS(1), CTH_US(2500));
    series_run(CTH_MS(2), CTH_MS(4));
    series_run(CTH_US(30), CTH_US(200));
}

/* Held up by another timer for five periods: one run, late, and the next at a time to come. */
static void held_up_ones_are_not_made_up_for(void) {
    static series s;
    gate g;
    memset(&s, 0, sizeof s);
    gate_close(&g);
    set_every(&s.timer, CTH_MS(1), record, &s);
    const cth_time due = s.timer.due;
    CHECK_STATUS(cth_sleep(CTH_MS(5)), CTH_OK);
    gate_open(&g);
    wait_for(&s.done);
    (void)cancel(&s.timer);
    CHECK_EQ(s.due[0], due);
    CHECK(s.due[1] >= due + CTH_MS(5));
    CHECK_EQ((s.due[1] - due) % CTH_MS(1), 0);
}

static void counts_its_runs(void) {
    for (int want = 0; want <= 4; want++) {
        cth_timer timer = CTH_TIMER_INIT;
        atomic_int runs = 0;
        set_every(&timer, want == 0 ? CTH_S(3600) : CTH_US(500), count, &runs);
        test_reach(&runs, want);
        const uint64_t said = cancel(&timer);
        CHECK_EQ(said, atomic_load(&runs));
        settle();
        CHECK_EQ(said, atomic_load(&runs));
        CHECK_EQ(cancel(&timer), said); // as often as one likes
    }
}

/* -- order --------------------------------------------------------------------------------------
 */

enum { MANY = 2000, CHANGES = 20000 };

typedef struct entry {
    cth_timer timer;
    cth_time due;
    int order; // of the latest set
    bool pending;
} entry;

static entry entries[MANY];
static const entry *ran[MANY];
static atomic_int n_ran;

static cth_status note(void *arg) {
    const int at = atomic_load(&n_ran);
    CHECK(at < MANY);
    ran[at] = (const entry *)arg;
    CHECK(cth_now() >= ran[at]->due);
    atomic_store(&n_ran, at + 1);
    return CTH_OK;
}

static bool before(const entry *a, const entry *b) {
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static int by_due(const void *a, const void *b) {
    const entry *const *x = (const entry *const *)a, *const *y = (const entry *const *)b;
    return before(*x, *y) ? -1 : 1;
}

static void entry_set(entry *e, cth_time span, int order) {
    const cth_time earliest = cth_after(span);
    set_after(&e->timer, span, note, e);
    e->due = e->timer.due;
    e->order = order;
    e->pending = true;
    CHECK(e->due >= earliest);
}

static void entry_cancel(entry *e) {
    CHECK_EQ(cancel(&e->timer), 0);
    e->pending = false;
}

static entry *first_pending(void) {
    entry *first = NULL;
    for (size_t i = 0; i < MANY; i++) {
        if (entries[i].pending && (first == NULL || before(&entries[i], first))) {
            first = &entries[i];
        }
    }
    return first;
}

/* What is left then runs in the order of its due times. */
static void entries_run(gate *g) {
    const entry *want[MANY];
    size_t n = 0;
    for (size_t i = 0; i < MANY; i++) {
        if (entries[i].pending) {
            want[n++] = &entries[i];
        }
    }
    qsort(want, n, sizeof *want, by_due);
    CHECK_EQ(atomic_load(&n_ran), 0);
    gate_open(g);
    test_reach(&n_ran, (int)n);
    settle();
    CHECK_EQ(atomic_load(&n_ran), n);
    for (size_t i = 0; i < n; i++) {
        CHECK(ran[i] == want[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        CHECK_EQ(cancel(&entries[i].timer), entries[i].pending);
    }
}

static void entries_fresh(gate *g) {
    memset(entries, 0, sizeof entries);
    atomic_store(&n_ran, 0);
    gate_close(g);
}

static void later_ones_run_later(void) {
    gate g;
    entries_fresh(&g);
    for (int i = 0; i < 100; i++) {
        entry_set(&entries[i], 0, i); // in the order they were set in, whether equal or not
    }
    entries_run(&g);
    entries_fresh(&g);
    for (int i = 0; i < 100; i++) {
        entry_set(&entries[i], CTH_MS(20) - CTH_US(200) * i, i);
    }
    entries_run(&g);
}

/* While the service thread is held up timers are set and cancelled at random; then it runs what is
   left, in the order of a model. */
static void any_of_many(void) {
    gate g;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        cth_rng rng;
        cth_rng_seed(&rng, seed);
        entries_fresh(&g);
        for (int i = 0; i < CHANGES / SLOW; i++) {
            entry *e = &entries[cth_rng_below(&rng, MANY)];
            if (cth_rng_below(&rng, 16) == 0) {
                e = first_pending(); // takes the heap to pieces
            }
            if (e == NULL || !e->pending) {
                e = e != NULL ? e : &entries[0];
                entry_set(e, (cth_time)cth_rng_below(&rng, 16) * CTH_US(200), i);
            } else if (cth_rng_below(&rng, 3) != 0) {
                entry_cancel(e);
            } else {
                CHECK_STATUS(cth_timer_after(&e->timer, 0, unexpected, NULL), CTH_BUSY);
            }
        }
        entries_run(&g);
    }
}

/* -- cancelled ----------------------------------------------------------------------------------
 */

static void cancelled_before(void) {
    cth_timer timer = CTH_TIMER_INIT, again = CTH_TIMER_INIT;
    gate g;
    // Both are due, and wait for the service thread alone.
    gate_close(&g);
    set_after(&timer, 0, unexpected, NULL);
    set_every(&again, 1, unexpected, NULL);
    CHECK_EQ(cancel(&timer), 0);
    CHECK_EQ(cancel(&again), 0);
    gate_open(&g);
    settle();
    CHECK_EQ(cancel(&timer), 0);
    set_after(&timer, CTH_S(3600), unexpected, NULL);
    CHECK_EQ(cancel(&timer), 0);
}

static void cancelled_during_waits_for_the_run(void) {
    gate g;
    test_waiter w[3];
    memset(w, 0, sizeof w);
    gate_close(&g);
    for (size_t i = 0; i < TEST_COUNT(w); i++) {
        test_waiter_start(&w[i], cancel_it, &g.timer, 0);
    }
    for (size_t i = 0; i < TEST_COUNT(w); i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    announce(&g.open);
    for (size_t i = 0; i < TEST_COUNT(w); i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
        CHECK_EQ(atomic_load(&g.over), 1);
    }
    CHECK_EQ(cancel(&g.timer), 1);
}

/* So does that of a repeated timer, and it does not run again. */
typedef struct slow {
    cth_timer timer;
    cth_event entered, go;
    int stop_at;
    atomic_int runs, over;
} slow;

static cth_status run_slowly(void *arg) {
    slow *s = (slow *)arg;
    if (atomic_fetch_add(&s->runs, 1) + 1 == s->stop_at) {
        announce(&s->entered);
        wait_for(&s->go);
        atomic_store(&s->over, 1);
    }
    return CTH_OK;
}

static cth_status cancel_slow(void *object, cth_time deadline) {
    slow *s = (slow *)object;
    (void)deadline;
    CHECK_EQ(cancel(&s->timer), s->stop_at);
    CHECK_EQ(atomic_load(&s->over), 1);
    return CTH_OK;
}

static void a_repeated_one_cancelled_during(void) {
    for (int stop_at = 1; stop_at <= 3; stop_at++) {
        slow s = {.stop_at = stop_at};
        test_waiter w = {0};
        set_every(&s.timer, CTH_US(200), run_slowly, &s);
        wait_for(&s.entered);
        test_waiter_start(&w, cancel_slow, &s, 0);
        test_waiter_asleep(&w);
        CHECK_EQ(atomic_load(&w.done), 0);
        announce(&s.go);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
        settle();
        CHECK_EQ(atomic_load(&s.runs), stop_at);
        CHECK_EQ(cancel(&s.timer), stop_at);
    }
}

/* The wait in cancel is for this timer alone. */
static void another_run_is_not_waited_for(void) {
    gate g;
    cth_timer timer = CTH_TIMER_INIT;
    gate_close(&g);
    CHECK_EQ(cancel(&timer), 0);
    set_after(&timer, 0, unexpected, NULL);
    CHECK_EQ(cancel(&timer), 0);
    CHECK_EQ(atomic_load(&g.over), 0);
    gate_open(&g);
}

typedef struct inner {
    cth_timer timer;
    int runs, stop_at;
    cth_event done, go;
    cth_timer *other; // cancelled too
    atomic_int over;
} inner;

static cth_status cancel_itself(void *arg) {
    inner *in = (inner *)arg;
    if (++in->runs == in->stop_at) {
        CHECK_EQ(cancel(&in->timer), in->stop_at); // does not wait for itself
        CHECK_EQ(cancel(&in->timer), in->stop_at);
        if (in->other != NULL) {
            CHECK_EQ(cancel(in->other), 0);
        }
        announce(&in->done);
    }
    CHECK(in->runs <= in->stop_at);
    return CTH_OK;
}

static void cancelled_by_its_own_function(void) {
    for (int stop_at = 1; stop_at <= 3; stop_at++) {
        cth_timer other = CTH_TIMER_INIT;
        inner in = {.stop_at = stop_at, .other = &other};
        set_after(&other, CTH_S(3600), unexpected, NULL);
        set_every(&in.timer, CTH_US(100), cancel_itself, &in);
        wait_for(&in.done);
        settle();
        CHECK_EQ(in.runs, stop_at);
        CHECK_EQ(cancel(&in.timer), stop_at);
    }
    inner in = {.stop_at = 1};
    set_after(&in.timer, 0, cancel_itself, &in);
    wait_for(&in.done);
    CHECK_EQ(cancel(&in.timer), 1);
}

static void cancelled_after(void) {
    cth_timer timer = CTH_TIMER_INIT;
    atomic_int runs = 0;
    for (int i = 1; i <= 3; i++) {
        set_after(&timer, 0, count, &runs);
        settle();
        CHECK_EQ(cancel(&timer), 1);
        CHECK_EQ(cancel(&timer), 1);
        CHECK_EQ(atomic_load(&runs), i);
    }
}

/* "Never cancelled": the wait in cancel takes no notice of a token. */
static cth_status cancel_under(void *arg) {
    gate *g = (gate *)arg;
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_EQ(cancel(&g->timer), 1);
        CHECK_EQ(atomic_load(&g->over), 1);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    return CTH_OK;
}

static void cancel_is_never_cancelled(void) {
    gate g;
    gate_close(&g);
    cth_thread *thread = test_spawn(cancel_under, &g);
    test_asleep(thread);
    announce(&g.open);
    CHECK_STATUS(test_join(thread), CTH_OK);
}

/* Nor is the function under the token of whoever set the timer. */
static cth_status wait_a_little(void *arg) {
    cth_event *done = (cth_event *)arg;
    cth_event never = CTH_EVENT_INIT;
    CHECK_STATUS(cth_event_wait_until(&never, cth_after(CTH_US(100))), CTH_TIMEDOUT);
    return cth_event_set(done);
}

static void functions_are_under_no_token(void) {
    cth_timer timer = CTH_TIMER_INIT;
    cth_event done = CTH_EVENT_INIT;
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    wait_until_services(0);
    CTH_UNDER(&token) {
        set_after(&timer, CTH_US(100), wait_a_little, &done);
    }
    wait_for(&done);
    CHECK_EQ(cancel(&timer), 1);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* -- set again ----------------------------------------------------------------------------------
 */

typedef struct chain {
    cth_timer timer;
    int runs;
    atomic_int left;
    cth_time earliest;
    cth_event done;
} chain;

static cth_status set_itself(void *arg) {
    chain *c = (chain *)arg;
    CHECK(cth_now() >= c->earliest);
    c->runs++;
    if (atomic_fetch_sub(&c->left, 1) > 1) {
        const cth_time span = c->runs % 3 * CTH_US(150);
        c->earliest = cth_after(span);
        // Of either sort, from either sort.
        if (c->runs % 2 == 0) {
            set_after(&c->timer, span, set_itself, c);
        } else {
            set_every(&c->timer, span + 1, set_itself, c);
        }
        CHECK_STATUS(cth_timer_after(&c->timer, 0, unexpected, NULL), CTH_BUSY);
    } else {
        (void)cancel(&c->timer); // may be one that repeats
        announce(&c->done);
    }
    return CTH_OK;
}

static void set_again_by_its_own_function(void) {
    chain c = {.left = 20};
    set_after(&c.timer, 0, set_itself, &c);
    wait_for(&c.done);
    CHECK_EQ(cancel(&c.timer), 1); // since it was set last
    CHECK_EQ(c.runs, 20);
    settle();
    CHECK_EQ(c.runs, 20);
}

static cth_status cancels_and_sets_itself(void *arg) {
    chain *c = (chain *)arg;
    CHECK_EQ(cancel(&c->timer), 1);
    c->runs++;
    if (atomic_fetch_sub(&c->left, 1) > 1) {
        set_every(&c->timer, CTH_US(100), cancels_and_sets_itself, c);
        CHECK_EQ(cancel(&c->timer), 0);
        set_after(&c->timer, 0, cancels_and_sets_itself, c);
    } else {
        announce(&c->done);
    }
    return CTH_OK;
}

static void cancelled_and_set_by_its_own_function(void) {
    chain c = {.left = 10};
    set_every(&c.timer, CTH_US(100), cancels_and_sets_itself, &c);
    wait_for(&c.done);
    CHECK_EQ(cancel(&c.timer), 1);
    settle();
    CHECK_EQ(c.runs, 10);
}

typedef struct renewal {
    cth_timer timer;
    bool cancels, sets, late; // late: when the other thread waits in cancel already
    cth_time span;
    cth_event entered, go;
    atomic_int runs, over;
} renewal;

static void renew(renewal *a) {
    if (a->cancels) {
        CHECK_EQ(cancel(&a->timer), 1);
    }
    if (a->sets) {
        set_after(&a->timer, a->span, unexpected, NULL); // in vain, if somebody waits in cancel
    }
}

static cth_status change_itself(void *arg) {
    renewal *a = (renewal *)arg;
    atomic_fetch_add(&a->runs, 1);
    if (!a->late) {
        renew(a);
    }
    announce(&a->entered);
    wait_for(&a->go);
    if (a->late) {
        renew(a);
    }
    atomic_store(&a->over, 1);
    return CTH_OK;
}

static cth_status cancel_renewal(void *object, cth_time deadline) {
    renewal *a = (renewal *)object;
    (void)deadline;
    CHECK_STATUS(cth_timer_cancel(&a->timer, NULL), CTH_OK);
    CHECK_EQ(atomic_load(&a->over), 1);
    memset(&a->timer, 0, sizeof a->timer); // may be freed now
    return CTH_OK;
}

/* Another thread cancels while the function runs, which cancels or sets its timer before or after
   that: the cancel waits for the end of the run all the same, and afterwards nothing is pending. */
static void cancelled_while_it_changes_itself(void) {
    static const struct {
        bool cancels, sets, late;
        cth_time span;
    } ways[] = {{true, false, false, 0},
                {false, true, false, 0},
                {false, true, false, CTH_S(3600)},
                {true, true, false, 0},
                {true, true, false, CTH_S(3600)},
                {true, false, true, 0},
                {false, true, true, 0},
                {false, true, true, CTH_S(3600)},
                {true, true, true, 0}};
    for (size_t i = 0; i < 2 * TEST_COUNT(ways); i++) {
        const size_t way = i / 2;
        renewal a = {.cancels = ways[way].cancels,
                     .sets = ways[way].sets,
                     .late = ways[way].late,
                     .span = ways[way].span};
        test_waiter w = {0};
        if (i % 2 == 0) {
            set_after(&a.timer, 0, change_itself, &a);
        } else {
            set_every(&a.timer, CTH_US(100), change_itself, &a);
        }
        wait_for(&a.entered);
        test_waiter_start(&w, cancel_renewal, &a, 0);
        test_waiter_asleep(&w);
        CHECK_EQ(atomic_load(&w.done), 0);
        announce(&a.go);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
        settle();
        CHECK_EQ(atomic_load(&a.runs), 1);
    }
}

/* -- refused ------------------------------------------------------------------------------------
 */

static void busy_while_pending(void) {
    cth_timer timer = CTH_TIMER_INIT;
    atomic_int runs = 0;
    gate g;
    for (int repeats = 0; repeats < 2; repeats++) {
        atomic_store(&runs, 0);
        gate_close(&g);
        if (repeats != 0) {
            set_every(&timer, CTH_MS(1), count, &runs);
        } else {
            set_after(&timer, CTH_MS(1), count, &runs);
        }
        const cth_time due = timer.due;
        CHECK_STATUS(cth_timer_after(&timer, 0, unexpected, NULL), CTH_BUSY);
        CHECK_STATUS(cth_timer_after(&timer, CTH_S(1), unexpected, NULL), CTH_BUSY);
        CHECK_STATUS(cth_timer_every(&timer, 1, unexpected, NULL), CTH_BUSY);
        CHECK_EQ(timer.due, due);
        gate_open(&g);
        test_reach(&runs, 1); // as it was set first
        CHECK_EQ(cancel(&timer), atomic_load(&runs));
    }
}

static void busy_while_it_runs(void) {
    for (int way = 0; way < 3; way++) {
        renewal a = {.cancels = way == 1, .sets = way == 2, .span = CTH_S(3600)};
        if (way == 0) {
            set_every(&a.timer, CTH_US(100), change_itself, &a);
        } else {
            set_after(&a.timer, 0, change_itself, &a);
        }
        wait_for(&a.entered);
        CHECK_STATUS(cth_timer_after(&a.timer, 0, unexpected, NULL), CTH_BUSY);
        CHECK_STATUS(cth_timer_every(&a.timer, 1, unexpected, NULL), CTH_BUSY);
        announce(&a.go);
        CHECK_STATUS(cth_timer_cancel(&a.timer, NULL), CTH_OK);
        CHECK_EQ(atomic_load(&a.over), 1);
        atomic_int runs = 0;
        set_after(&a.timer, 0, count, &runs);
        test_reach(&runs, 1);
        CHECK_EQ(cancel(&a.timer), 1);
    }
}

/* The function of one timer is just another thread for the next one. */
static cth_status set_a_pending_one(void *arg) {
    inner *in = (inner *)arg;
    CHECK_STATUS(cth_timer_after(in->other, 0, unexpected, NULL), CTH_BUSY);
    CHECK_EQ(cancel(in->other), 0);
    set_after(in->other, 0, announces, &in->done);
    return CTH_OK;
}

static void busy_for_other_functions(void) {
    cth_timer other = CTH_TIMER_INIT;
    inner in = {.other = &other};
    set_after(&other, CTH_S(3600), unexpected, NULL);
    set_after(&in.timer, 0, set_a_pending_one, &in);
    wait_for(&in.done);
    CHECK_EQ(cancel(&in.timer), 1);
    CHECK_EQ(cancel(&other), 1);
}

static void refuses_bad_arguments(void) {
    static const cth_time negative[] = {-1, -CTH_S(1), INT64_MIN, INT64_MIN + 1};
    cth_timer timer, as_it_was;
    wait_until_services(0);
    const size_t threads = cth_thread_count();
    memset(&timer, 0, sizeof timer);
    as_it_was = timer;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < TEST_COUNT(negative); i++) {
            CHECK_STATUS(cth_timer_after(&timer, negative[i], unexpected, NULL), CTH_INVALID);
            CHECK_STATUS(cth_timer_every(&timer, negative[i], unexpected, NULL), CTH_INVALID);
        }
        CHECK_STATUS(cth_timer_every(&timer, 0, unexpected, NULL), CTH_INVALID);
        CHECK_STATUS(cth_timer_after(&timer, 0, NULL, &timer), CTH_INVALID);
        CHECK_STATUS(cth_timer_every(&timer, 1, NULL, &timer), CTH_INVALID);
        CHECK_STATUS(cth_timer_after(NULL, 0, unexpected, NULL), CTH_INVALID);
        CHECK_STATUS(cth_timer_every(NULL, 1, unexpected, NULL), CTH_INVALID);
        if (round == 0) {
            CHECK_EQ(memcmp(&timer, &as_it_was, sizeof timer), 0);
            CHECK_EQ(cth_thread_count(), threads);
            set_after(&timer, CTH_S(3600), unexpected, NULL); // the same while it is pending
        }
    }
    CHECK_STATUS(cth_timer_after(&timer, 0, unexpected, NULL), CTH_BUSY);
    CHECK_EQ(cancel(&timer), 0);
}

static cth_status keep_errno(void *arg) {
    errno = 1111;
    return cth_event_set((cth_event *)arg);
}

static void errno_is_preserved(void) {
    cth_timer timer = CTH_TIMER_INIT, far = CTH_TIMER_INIT;
    cth_event done = CTH_EVENT_INIT;
    wait_until_services(0);
    errno = 4242;
    set_after(&timer, CTH_US(10), keep_errno, &done); // starts the thread
    CHECK_EQ(errno, 4242);
    set_every(&far, CTH_S(3600), unexpected, NULL);
    CHECK_STATUS(cth_timer_after(&far, 0, unexpected, NULL), CTH_BUSY);
    CHECK_STATUS(cth_timer_after(&far, -1, unexpected, NULL), CTH_INVALID);
    CHECK_EQ(errno, 4242);
    wait_for(&done);
    CHECK_EQ(cancel(&timer), 1);
    CHECK_EQ(cancel(&far), 0);
    CHECK_EQ(errno, 4242);
}

/* -- freed --------------------------------------------------------------------------------------
 */

/* Memory that is given away is written to at once: a later use of it by the kit goes wrong. */
static void give_away(cth_timer *timer) {
    memset(timer, 0xEE, sizeof *timer);
    free(timer);
}

static void freed_after_cancel(void) {
    cth_rng rng;
    atomic_int runs = 0;
    cth_rng_seed(&rng, 7);
    for (int i = 0; i < 2000 / SLOW; i++) {
        cth_timer *timer = (cth_timer *)calloc(1, sizeof *timer);
        CHECK(timer != NULL);
        const cth_time span = (cth_time)cth_rng_below(&rng, 60000);
        const int seen = atomic_load(&runs);
        if (i % 2 == 0) {
            set_after(timer, span, count, &runs);
        } else {
            set_every(timer, span + 1, count, &runs);
        }
        const cth_time until = cth_after((cth_time)cth_rng_below(&rng, 60000));
        while (cth_now() < until) {
            cth_yield();
        }
        const uint64_t said = cancel(timer);
        give_away(timer);
        CHECK_EQ(atomic_load(&runs) - seen, said);
    }
}

typedef struct owner {
    cth_timer *timer;
    int way;
    cth_event done;
} owner;

static cth_status frees_its_timer(void *arg) {
    owner *o = (owner *)arg;
    if (o->way != 0) {
        CHECK_EQ(cancel(o->timer), 1);
    }
    give_away(o->timer);
    return cth_event_set(&o->done);
}

static cth_status lets_it_be_freed(void *arg) {
    return cth_event_set(&((owner *)arg)->done);
}

/* By its own function: one that runs once as it is, any one after a cancel. Or by another thread
   that the function has told. */
static void freed_by_its_function(void) {
    for (int i = 0; i < 800 / SLOW; i++) {
        owner o = {.timer = (cth_timer *)calloc(1, sizeof *o.timer), .way = i % 4};
        CHECK(o.timer != NULL);
        switch (o.way) {
        case 0:
        case 1: set_after(o.timer, CTH_US(i % 8), frees_its_timer, &o); break;
        case 2: set_every(o.timer, CTH_US(1 + i % 8), frees_its_timer, &o); break;
        default: set_after(o.timer, CTH_US(i % 8), lets_it_be_freed, &o);
        }
        wait_for(&o.done);
        if (o.way == 3) {
            give_away(o.timer);
        }
    }
    settle();
}

/* The next timer at that address may be set while the function still runs, and cancelled without a
   wait for it. */
typedef struct reused {
    cth_timer timer;
    bool cancels;
    cth_event gone, go;
    atomic_int over;
} reused;

static cth_status leaves_its_timer(void *arg) {
    reused *r = (reused *)arg;
    if (r->cancels) {
        CHECK_EQ(cancel(&r->timer), 1);
    }
    memset(&r->timer, 0, sizeof r->timer);
    announce(&r->gone);
    wait_for(&r->go);
    atomic_store(&r->over, 1);
    return CTH_OK;
}

static void the_next_timer_at_its_address(void) {
    for (int way = 0; way < 3; way++) {
        reused r = {.cancels = way != 0};
        atomic_int runs = 0;
        if (way < 2) {
            set_after(&r.timer, 0, leaves_its_timer, &r);
        } else {
            set_every(&r.timer, CTH_US(50), leaves_its_timer, &r);
        }
        wait_for(&r.gone);
        set_after(&r.timer, 0, unexpected, NULL);
        CHECK_EQ(cancel(&r.timer), 0);
        CHECK_EQ(atomic_load(&r.over), 0);
        set_after(&r.timer, 0, count, &runs);
        announce(&r.go);
        test_reach(&runs, 1);
        CHECK_EQ(cancel(&r.timer), 1);
        CHECK_EQ(atomic_load(&runs), 1);
    }
}

/* -- failing functions --------------------------------------------------------------------------
 */

static struct {
    atomic_int calls;
    cth_status status;
    char message[256];
    char thread[CTH_THREAD_NAME_MAX + 1];
} seen;

static void see(cth_thread *thread, cth_status status, const char *message, void *arg) {
    CHECK(arg == &seen);
    CHECK(thread == cth_thread_current());
    CHECK(cth_thread_is_alive(thread));
    seen.status = status;
    snprintf(seen.message, sizeof seen.message, "%s", message);
    snprintf(seen.thread, sizeof seen.thread, "%s", cth_thread_name(thread));
    atomic_fetch_add(&seen.calls, 1);
}

typedef struct failing {
    cth_timer timer;
    cth_status status;
    const char *text; // NULL: none
    int good;         // runs before the failing one
    bool sets;        // sets itself again first
    int runs;
} failing;

static cth_status fails(void *arg) {
    failing *f = (failing *)arg;
    f->runs++;
    if (f->good-- > 0) {
        return f->text != NULL ? cth_fail(CTH_OK, "not a failure") : CTH_OK;
    }
    if (f->sets) {
        set_after(&f->timer, CTH_S(3600), unexpected, NULL);
    }
    return f->text != NULL ? cth_fail(f->status, "%s %d", f->text, 3) : f->status;
}

static void failures_reach_the_hook(void) {
    static const cth_status all[] = {CTH_FAILED, CTH_CANCELLED, CTH_NOMEM, CTH_TIMEDOUT};
    memset(&seen, 0, sizeof seen);
    cth_thread_set_hook(see, &seen);
    cth_timer far = CTH_TIMER_INIT; // so that it is one thread whose texts must not mix
    set_after(&far, CTH_S(3600), unexpected, NULL);
    int calls = 0;
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        for (int way = 0; way < 4; way++) {
            failing f = {.status = all[i], .text = way % 2 == 0 ? "no luck" : NULL, .good = way};
            if (way == 0) {
                set_after(&f.timer, 0, fails, &f);
            } else {
                set_every(&f.timer, CTH_US(50), fails, &f);
            }
            test_reach(&seen.calls, ++calls);
            CHECK_STATUS(cth_sleep(CTH_US(300)), CTH_OK); // time enough to be repeated
            settle();
            CHECK_EQ(atomic_load(&seen.calls), calls);
            CHECK_EQ(f.runs, way + 1);
            CHECK_EQ(cancel(&f.timer), way + 1);
            CHECK_STATUS(seen.status, all[i]);
            CHECK_STR(seen.message, f.text != NULL ? "no luck 3" : cth_status_text(all[i]));
            CHECK_STR(seen.thread, "cth-timer");
        }
    }
    // It may be set again, and what the function itself has set stays.
    failing f = {.status = CTH_BROKEN, .sets = true};
    set_every(&f.timer, CTH_US(50), fails, &f);
    test_reach(&seen.calls, ++calls);
    settle();
    CHECK_STATUS(cth_timer_after(&f.timer, 0, unexpected, NULL), CTH_BUSY);
    CHECK_EQ(cancel(&f.timer), 0);
    CHECK_EQ(cancel(&far), 0);
    CHECK_EQ(atomic_load(&seen.calls), calls);
    cth_thread_set_hook(NULL, NULL);
}

/* -- the service thread -------------------------------------------------------------------------
 */

static uint32_t last_service;

static cth_status note_thread(void *arg) {
    last_service = cth_thread_id(cth_thread_current());
    return cth_event_set((cth_event *)arg);
}

static uint32_t service_id(void) {
    cth_timer timer = CTH_TIMER_INIT;
    cth_event done = CTH_EVENT_INIT;
    set_after(&timer, 0, note_thread, &done);
    wait_for(&done);
    CHECK_EQ(cancel(&timer), 1);
    return last_service;
}

static void one_thread_on_demand(void) {
    cth_timer timers[100];
    memset(timers, 0, sizeof timers);
    wait_until_services(0);
    const size_t threads = cth_thread_count();
    uint32_t first = 0;
    for (size_t i = 0; i < TEST_COUNT(timers); i++) {
        set_after(&timers[i], CTH_S(3600) - (cth_time)i, unexpected, NULL);
        CHECK_EQ(services(), 1);
        CHECK_EQ(cth_thread_count(), threads + 1);
        first = first != 0 ? first : service_id();
        CHECK_EQ(service_id(), first);
    }
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK); // a daemon is not waited for
    for (size_t i = 0; i < TEST_COUNT(timers); i++) {
        CHECK_EQ(services(), 1);
        CHECK_EQ(service_id(), first);
        CHECK_EQ(cancel(&timers[i]), 0);
    }
    wait_until_services(0);
    CHECK_EQ(cth_thread_count(), threads);
    CHECK(service_id() != first);
    wait_until_services(0);
}

static void functions_run_one_after_the_other(void) {
    gate g;
    cth_timer timers[20];
    atomic_int runs = 0;
    memset(timers, 0, sizeof timers);
    gate_close(&g);
    for (size_t i = 0; i < TEST_COUNT(timers); i++) {
        set_after(&timers[i], 0, count, &runs);
    }
    CHECK_EQ(services(), 1);
    CHECK_STATUS(cth_sleep(CTH_MS(3)), CTH_OK);
    CHECK_EQ(atomic_load(&runs), 0);
    gate_open(&g);
    test_reach(&runs, (int)TEST_COUNT(timers));
    for (size_t i = 0; i < TEST_COUNT(timers); i++) {
        CHECK_EQ(cancel(&timers[i]), 1);
    }
}

/* A thread that is new to the kit can set and cancel. */
static void *foreign(void *arg) {
    cth_timer timer = CTH_TIMER_INIT;
    atomic_int runs = 0;
    (void)arg;
    set_after(&timer, 0, count, &runs);
    test_reach(&runs, 1);
    CHECK_EQ(cancel(&timer), 1);
    return NULL;
}

static void *foreign_cancel(void *arg) {
    CHECK_EQ(cancel((cth_timer *)arg), 0);
    return NULL;
}

static void foreign_threads_can_use_it(void) {
    cth_timer timer = CTH_TIMER_INIT;
    pthread_t a, b;
    set_after(&timer, CTH_S(3600), unexpected, NULL);
    CHECK_EQ(pthread_create(&a, NULL, foreign, NULL), 0);
    CHECK_EQ(pthread_create(&b, NULL, foreign_cancel, &timer), 0);
    CHECK_EQ(pthread_join(a, NULL), 0);
    CHECK_EQ(pthread_join(b, NULL), 0);
}

/* -- many threads -------------------------------------------------------------------------------
 */

enum { THREADS = 3, OWN = 32, ROUNDS = 3000 };

typedef struct busy {
    cth_timer timer;
    int way;
    bool set;
    int at_set; // runs before it was set
    atomic_int runs;
    atomic_int inside;
} busy;

static atomic_int inside; // functions

static cth_status be_busy(void *arg) {
    busy *b = (busy *)arg;
    CHECK_EQ(atomic_fetch_add(&inside, 1), 0);
    atomic_store(&b->inside, 1);
    const int runs = atomic_fetch_add(&b->runs, 1);
    if (b->way == 2 && runs % 3 != 0) {
        set_after(&b->timer, CTH_US(runs % 5), be_busy, b);
    }
    if (b->way == 3 && runs % 3 == 0) {
        CHECK(cancel(&b->timer) >= 1);
    }
    if (runs % 4 == 0) {
        cth_yield();
    }
    atomic_store(&b->inside, 0);
    CHECK_EQ(atomic_fetch_sub(&inside, 1), 1);
    return CTH_OK;
}

static cth_status drive(void *arg) {
    busy own[OWN];
    cth_rng rng;
    memset(own, 0, sizeof own);
    cth_rng_seed(&rng, *(uint64_t *)arg);
    for (int i = 0; i < ROUNDS / SLOW + OWN; i++) {
        busy *b = &own[i < ROUNDS / SLOW ? (int)cth_rng_below(&rng, OWN) : i - ROUNDS / SLOW];
        if (b->set) {
            const uint64_t said = cancel(&b->timer);
            const int runs = atomic_load(&b->runs);
            CHECK_EQ(atomic_load(&b->inside), 0);
            if (b->way != 2) { // else its function has set it anew
                CHECK_EQ(said, runs - b->at_set);
            }
            CHECK(b->way != 0 || said <= 1);
            b->at_set = runs;
            b->set = false;
            if (cth_rng_below(&rng, 2) == 0) {
                memset(&b->timer, 0, sizeof b->timer);
            }
        } else if (i < ROUNDS / SLOW) {
            CHECK_EQ(atomic_load(&b->runs), b->at_set); // it has not run since it was cancelled
            const cth_time span = (cth_time)cth_rng_below(&rng, 500000);
            b->way = (int)cth_rng_below(&rng, 4);
            b->set = true;
            if (b->way % 2 == 0) {
                set_after(&b->timer, span, be_busy, b);
            } else {
                set_every(&b->timer, 1000 + span, be_busy, b);
            }
        }
        if (cth_rng_below(&rng, 8) == 0) {
            CHECK_STATUS(cth_sleep((cth_time)cth_rng_below(&rng, 100000)), CTH_OK);
        }
    }
    for (size_t i = 0; i < OWN; i++) {
        CHECK_EQ(atomic_load(&own[i].runs), own[i].at_set);
    }
    return CTH_OK;
}

static void set_and_cancelled_by_many(void) {
    uint64_t seeds[THREADS];
    cth_thread *threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        threads[i] = test_spawn(drive, &seeds[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
}

/* -- fork and exit ------------------------------------------------------------------------------
 */

/* In the child: the number of the check that failed. */
#define IN_CHILD(condition)  \
  do {                       \
    if (!(condition)) {      \
      return __LINE__ % 251; \
    }                        \
  } while (0)

static int child_status(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int in_child(gate *g, cth_timer *once, cth_timer *again, atomic_int *runs) {
    cth_timer fresh = CTH_TIMER_INIT;
    cth_event done = CTH_EVENT_INIT;
    atomic_int others = 0;
    IN_CHILD(services() == 0);
    // Time for those of the parent: they were due before it.
    IN_CHILD(cth_timer_after(&fresh, CTH_MS(5), announces, &done) == CTH_OK);
    IN_CHILD(services() == 1);
    IN_CHILD(cth_event_wait(&done) == CTH_OK);
    IN_CHILD(cth_timer_cancel(&fresh, NULL) == CTH_OK);
    IN_CHILD(atomic_load(runs) == 0);
    // Neither is pending here, nor does that function run here.
    IN_CHILD(cth_timer_cancel(&g->timer, NULL) == CTH_OK);
    IN_CHILD(cth_timer_cancel(again, NULL) == CTH_OK);
    IN_CHILD(cth_timer_after(once, 0, count, &others) == CTH_OK);
    IN_CHILD(cth_timer_every(again, CTH_US(100), count, &others) == CTH_OK);
    IN_CHILD(cth_timer_after(&g->timer, 0, count, &others) == CTH_OK);
    while (atomic_load(&others) < 5) {
        cth_yield();
    }
    uint64_t said[3] = {0};
    IN_CHILD(cth_timer_cancel(once, &said[0]) == CTH_OK);
    IN_CHILD(cth_timer_cancel(again, &said[1]) == CTH_OK);
    IN_CHILD(cth_timer_cancel(&g->timer, &said[2]) == CTH_OK);
    IN_CHILD(said[0] == 1 && said[1] >= 3 && said[2] == 1);
    IN_CHILD(atomic_load(runs) == 0);
    IN_CHILD(atomic_load(&others) == (int)(said[0] + said[1] + said[2]));
    return 0;
}

static void a_child_has_none(void) {
    if (TEST_TSAN) {
        printf("     (no threads in a child under ThreadSanitizer)\n");
        return;
    }
    for (int round = 0; round < 10; round++) {
        cth_timer once = CTH_TIMER_INIT, again = CTH_TIMER_INIT;
        atomic_int runs = 0;
        gate g;
        gate_close(&g); // the function of one of them runs during the fork
        set_after(&once, CTH_MS(1), count, &runs);
        set_every(&again, CTH_MS(1), count, &runs);
        fflush(stdout);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            _exit(in_child(&g, &once, &again, &runs));
        }
        CHECK_EQ(child_status(pid), 0);
        CHECK_EQ(atomic_load(&runs), 0);
        gate_open(&g);
        test_reach(&runs, 2); // in the parent all goes on
        CHECK_EQ(cancel(&once), 1);
        CHECK(cancel(&again) >= 1);
    }
}

/* A function that forks: in the child its thread is the only one, and serves no timer any more. */
typedef struct forks {
    cth_timer timer, next, far;
    cth_event done;
    pid_t pid;
} forks;

static cth_status ends_child(void *arg) {
    (void)arg;
    while (cth_thread_count() != 1) {
        cth_yield(); // the one that forked ends, although a timer is pending
    }
    _exit(services() == 1 ? 0 : 2);
}

static cth_status do_fork(void *arg) {
    forks *f = (forks *)arg;
    fflush(stdout);
    f->pid = fork();
    CHECK(f->pid >= 0);
    if (f->pid != 0) {
        return cth_event_set(&f->done);
    }
    alarm(60);
    if (cth_timer_after(&f->far, CTH_S(3600), unexpected, NULL) != CTH_OK ||
        cth_timer_after(&f->next, CTH_MS(2), ends_child, NULL) != CTH_OK) {
        _exit(3);
    }
    return CTH_OK;
}

static void a_function_that_forks(void) {
    if (TEST_TSAN) {
        printf("     (no threads in a child under ThreadSanitizer)\n");
        return;
    }
    forks f = {0};
    cth_timer far = CTH_TIMER_INIT;
    set_after(&far, CTH_S(3600), unexpected, NULL);
    set_after(&f.timer, 0, do_fork, &f);
    wait_for(&f.done);
    CHECK_EQ(child_status(f.pid), 0);
    CHECK_EQ(cancel(&f.timer), 1);
    CHECK_EQ(cancel(&far), 0);
}

/* Programs that end while timers are pending, or while a function runs. */
enum { ENDED = 7 };

static cth_status wait_for_ever(void *arg) {
    cth_event never = CTH_EVENT_INIT;
    announce((cth_event *)arg);
    return cth_event_wait(&never);
}

static cth_status exits(void *arg) {
    (void)arg;
    exit(ENDED);
}

static cth_status has_no_luck(void *arg) {
    (void)arg;
    return cth_fail(CTH_FAILED, "no luck");
}

static int child_main(const char *mode) {
    static cth_timer once, again;
    static cth_event event;
    if (strcmp(mode, "pending") == 0) {
        set_after(&once, CTH_S(3600), unexpected, NULL);
        set_every(&again, CTH_S(1800), unexpected, NULL);
    } else if (strcmp(mode, "running") == 0) {
        set_after(&once, 0, wait_for_ever, &event);
        wait_for(&event);
    } else if (strcmp(mode, "exits") == 0) {
        set_after(&once, CTH_MS(1), exits, NULL);
        wait_for(&event);
    } else {
        set_after(&once, 0, has_no_luck, NULL);
        while (cancel(&once) == 0) {
            set_after(&once, 0, has_no_luck, NULL);
            cth_yield();
        }
    }
    return ENDED;
}

static void exit_does_not_wait(void) {
    static const char *const modes[] = {"pending", "running", "exits"};
    for (size_t i = 0; i < TEST_COUNT(modes); i++) {
        char text[4096];
        CHECK_EQ(test_child(modes[i], text, sizeof text), ENDED);
        CHECK_STR(text, "");
    }
}

static void the_default_hook_prints(void) {
    char text[4096];
    CHECK_EQ(test_child("fails", text, sizeof text), ENDED);
    CHECK_STR(text, "Exception in thread cth-timer: CTH_FAILED: no luck\n");
}

static const test_case tests[] = {
    TEST(a_zeroed_timer_is_not_pending),
    TEST(runs_once_and_never_early),
    TEST(an_earlier_one_goes_first),
    TEST(far_timers_do_not_run),
    TEST(repeats_without_drift),
    TEST(overruns_are_skipped),
    TEST(held_up_ones_are_not_made_up_for),
    TEST(counts_its_runs),
    TEST(later_ones_run_later),
    TEST(any_of_many),
    TEST(cancelled_before),
    TEST(cancelled_during_waits_for_the_run),
    TEST(a_repeated_one_cancelled_during),
    TEST(another_run_is_not_waited_for),
    TEST(cancelled_by_its_own_function),
    TEST(cancelled_after),
    TEST(cancel_is_never_cancelled),
    TEST(functions_are_under_no_token),
    TEST(set_again_by_its_own_function),
    TEST(cancelled_and_set_by_its_own_function),
    TEST(cancelled_while_it_changes_itself),
    TEST(busy_while_pending),
    TEST(busy_while_it_runs),
    TEST(busy_for_other_functions),
    TEST(refuses_bad_arguments),
    TEST(errno_is_preserved),
    TEST(freed_after_cancel),
    TEST(freed_by_its_function),
    TEST(the_next_timer_at_its_address),
    TEST(failures_reach_the_hook),
    TEST(one_thread_on_demand),
    TEST(functions_run_one_after_the_other),
    TEST(foreign_threads_can_use_it),
    TEST(set_and_cancelled_by_many),
    TEST(a_child_has_none),
    TEST(a_function_that_forks),
    TEST(exit_does_not_wait),
    TEST(the_default_hook_prints),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    if (mode != NULL) {
        return child_main(mode);
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
