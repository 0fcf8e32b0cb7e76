/* test_cond.c - condition variables and CTH_WAIT_WHILE

   That a thread waits on a condition is known without looking inside: it counts itself under the
   mutex, and the wait lets go of the mutex in the same step as it begins.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 32 };

typedef struct gate {
    cth_mutex mutex;
    cth_cond cond;
    int tokens;  // a waiter takes one
    int waiting; // threads between beginning to wait and having the mutex again
    int wakes;   // times that a wait ended
    int passed;  // waiters that got a token
} gate;

static bool holds(cth_mutex *mutex) {
    // Only the owner gets DEADLOCK; the deadline is past, so nobody waits.
    const cth_status status = cth_mutex_lock_until(mutex, 0);
    if (status == CTH_OK) {
        cth_mutex_unlock(mutex);
    }
    return status == CTH_DEADLOCK;
}

/* Wait for a token; the plain form, written out. */
static cth_status pass(void *object, cth_time deadline) {
    gate *g = (gate *)object;
    cth_status status = CTH_OK;
    CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
    g->waiting++;
    while (g->tokens == 0 && status == CTH_OK) {
        status = deadline == CTH_FOREVER ? cth_cond_wait(&g->cond, &g->mutex)
                                         : cth_cond_wait_until(&g->cond, &g->mutex, deadline);
        CHECK(holds(&g->mutex));
        g->wakes++;
    }
    g->waiting--;
    if (g->tokens > 0) {
        g->tokens--;
        g->passed++;
        status = CTH_OK;
    }
    CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
    return status;
}

/* The same by the macro. */
static cth_status pass_by_macro(void *object, cth_time deadline) {
    gate *g = (gate *)object;
    CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
    g->waiting++;
    const cth_status status = CTH_WAIT_WHILE(&g->cond, &g->mutex, g->tokens == 0, deadline);
    CHECK(holds(&g->mutex));
    g->waiting--;
    if (status == CTH_OK) {
        CHECK(g->tokens > 0);
        g->tokens--;
        g->passed++;
    }
    CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
    return status;
}

/* Return, with the mutex held, once `n` threads wait. */
static void lock_when_waiting(gate *g, int n) {
    for (;;) {
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
        if (g->waiting == n) {
            return;
        }
        CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
        cth_yield();
    }
}

static void give(gate *g, int tokens) {
    CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
    g->tokens += tokens;
    CHECK_STATUS(cth_cond_notify(&g->cond, (size_t)tokens), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
}

static void give_one(void *object) {
    give((gate *)object, 1);
}

static void put_one(void *object) {
    ((gate *)object)->tokens = 1;
}

static void reach_passed(gate *g, int n) {
    for (int passed = -1; passed < n; cth_yield()) {
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
        passed = g->passed;
        CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
    }
}

static void waiters_start(test_waiter *w, int n, gate *g) {
    memset(w, 0, (size_t)n * sizeof *w);
    for (int i = 0; i < n; i++) {
        test_waiter_start(&w[i], i % 2 == 0 ? pass : pass_by_macro, g,
                          i % 3 == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
    }
    lock_when_waiting(g, n);
    CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
}

static void waiters_end(test_waiter *w, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
}

static cth_cond static_cond = CTH_COND_INIT;
static cth_cond zeroed_cond;

static void starts_without_waiters(void) {
    cth_cond automatic = CTH_COND_INIT, cleared;
    memset(&cleared, 0, sizeof cleared);
    cth_cond *all[] = {&static_cond, &zeroed_cond, &automatic, &cleared};
    cth_mutex mutex = CTH_MUTEX_INIT;
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
        CHECK_STATUS(cth_cond_wait_until(all[i], &mutex, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
        CHECK_STATUS(cth_cond_destroy(all[i]), CTH_OK);
    }
}

static void notify_without_waiters_is_forgotten(void) {
    gate g = {0};
    CHECK_STATUS(cth_cond_notify(&g.cond, 1), CTH_OK);
    CHECK_STATUS(cth_cond_notify(&g.cond, 0), CTH_OK);
    CHECK_STATUS(cth_cond_notify(&g.cond, SIZE_MAX), CTH_OK);
    CHECK_STATUS(cth_cond_notify_all(&g.cond), CTH_OK);
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    CHECK_STATUS(cth_cond_notify_all(&g.cond), CTH_OK);
    CHECK_STATUS(cth_cond_wait_until(&g.cond, &g.mutex, 0), CTH_TIMEDOUT);
    CHECK_STATUS(cth_cond_wait_until(&g.cond, &g.mutex, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

static void wait_without_the_mutex(void) {
    gate g = {0};
    CHECK_STATUS(cth_cond_wait(&g.cond, &g.mutex), CTH_NOT_OWNER);
    CHECK_STATUS(cth_cond_wait_until(&g.cond, &g.mutex, cth_after(CTH_S(3600))), CTH_NOT_OWNER);
    CHECK_STATUS(CTH_WAIT_WHILE(&g.cond, &g.mutex, true), CTH_NOT_OWNER);
    CHECK(!cth_mutex_is_locked(&g.mutex));
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

static cth_status wait_is_refused(void *arg) {
    gate *g = (gate *)arg;
    CHECK_STATUS(cth_cond_wait(&g->cond, &g->mutex), CTH_NOT_OWNER);
    CHECK_STATUS(cth_cond_wait_until(&g->cond, &g->mutex, 0), CTH_NOT_OWNER);
    return CTH_OK;
}

static void wait_with_another_s_mutex(void) {
    gate g = {0};
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    CHECK_STATUS(test_join(test_spawn(wait_is_refused, &g)), CTH_OK);
    CHECK(holds(&g.mutex));
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
}

static void one_condition_one_mutex(void) {
    gate g = {0};
    cth_mutex other = CTH_MUTEX_INIT;
    test_waiter w[2];
    waiters_start(w, 2, &g);
    CHECK_STATUS(cth_mutex_lock(&other), CTH_OK);
    CHECK_STATUS(cth_cond_wait(&g.cond, &other), CTH_INVALID);
    CHECK_STATUS(cth_cond_wait_until(&g.cond, &other, cth_after(CTH_S(3600))), CTH_INVALID);
    CHECK_STATUS(CTH_WAIT_WHILE(&g.cond, &other, true), CTH_INVALID);
    CHECK(holds(&other));
    CHECK_EQ(atomic_load(&w[0].done) + atomic_load(&w[1].done), 0);
    give(&g, 2);
    waiters_end(w, 2);
    // With nobody waiting it takes another mutex.
    CHECK_STATUS(cth_cond_wait_until(&g.cond, &other, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_mutex_unlock(&other), CTH_OK);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

static void wait_times_out(void) {
    gate g = {0};
    test_times_out(pass, &g);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
    CHECK_STATUS(cth_mutex_destroy(&g.mutex), CTH_OK);
}

static void wait_while_times_out(void) {
    gate g = {0};
    test_times_out(pass_by_macro, &g);
    CHECK_EQ(g.waiting, 0);
}

static void wait_while_need_not_wait(void) {
    gate g = {0};
    test_succeeds(pass_by_macro, &g, put_one);
    // Not even the mutex is needed when there is nothing to wait for.
    CHECK_STATUS(CTH_WAIT_WHILE(&g.cond, &g.mutex, false), CTH_OK);
    CHECK_STATUS(CTH_WAIT_WHILE(&g.cond, &g.mutex, false, 0), CTH_OK);
}

static void wait_refuses_negative_deadlines(void) {
    gate g = {0};
    test_refuses_negative(pass, &g);
    test_refuses_negative(pass_by_macro, &g);
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    CHECK_STATUS(cth_cond_wait_until(&g.cond, &g.mutex, -1), CTH_INVALID);
    CHECK(holds(&g.mutex));
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
}

static void wait_waits_long(void) {
    gate g = {0};
    test_waits_long(pass, &g, test_nothing, give_one);
    test_waits_long(pass_by_macro, &g, test_nothing, give_one);
}

static void a_timeout_holds_the_mutex(void) {
    gate g = {0};
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
        CHECK_STATUS(cth_cond_wait_until(&g.cond, &g.mutex, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK(holds(&g.mutex));
        CHECK_STATUS(cth_cond_wait_until(&g.cond, &g.mutex, 0), CTH_TIMEDOUT);
        CHECK(holds(&g.mutex));
        CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
        CHECK(!cth_mutex_is_locked(&g.mutex));
    }
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

/* Start a timed wait and return, with the mutex held, after its deadline: the wait is over, but it
   cannot return yet. When the waiter was quicker than this thread, try again with more time. */
static void outlast(gate *g, test_waiter *w, test_wait_fn wait) {
    for (cth_time span = CTH_MS(10);; span *= 2) {
        memset(w, 0, sizeof *w);
        test_waiter_start(w, wait, g, cth_after(span));
        while (atomic_load(&w->done) == 0) {
            CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
            if (g->waiting == 1) {
                while (cth_now() < w->deadline) {
                    cth_yield();
                }
                return;
            }
            CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
            cth_yield();
        }
        CHECK_STATUS(test_waiter_end(w), CTH_TIMEDOUT);
    }
}

static void a_timeout_waits_for_the_mutex(void) {
    gate g = {0};
    test_waiter w;
    outlast(&g, &w, pass);
    test_waiter_asleep(&w);
    CHECK_EQ(atomic_load(&w.done), 0);
    CHECK(holds(&g.mutex));
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_TIMEDOUT);
}

static void at_the_deadline_the_predicate_decides(void) {
    gate g = {0};
    test_waiter w;
    outlast(&g, &w, pass_by_macro);
    g.tokens = 1; // after the deadline, without a notify
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

static void notify_n_frees_n(void) {
    static const int parts[] = {1, 3, 4, 7, 1};
    gate g = {0};
    test_waiter w[16];
    waiters_start(w, 16, &g);
    int sum = 0;
    for (size_t i = 0; i < TEST_COUNT(parts); i++) {
        sum += parts[i];
        give(&g, parts[i]);
        reach_passed(&g, sum);
    }
    CHECK_EQ(sum, 16);
    waiters_end(w, 16);
    CHECK_EQ(g.passed, 16);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

static void notify_does_not_wake_the_herd(void) {
    // One at a time: 16 wake-ups, or a few more, for a wait may end for no reason. If each notify
    // woke all, it would be 16 + 15 + ... + 1 = 136.
    gate g = {0};
    test_waiter w[16];
    memset(w, 0, sizeof w);
    for (int i = 0; i < 16; i++) {
        test_waiter_start(&w[i], pass, &g, CTH_FOREVER);
    }
    lock_when_waiting(&g, 16);
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    for (int i = 1; i <= 16; i++) {
        give(&g, 1);
        reach_passed(&g, i);
    }
    waiters_end(w, 16);
    CHECK(g.wakes >= 16 && g.wakes < 32);
}

static void notify_of_zero_wakes_nobody(void) {
    gate g = {0};
    test_waiter w[3];
    memset(w, 0, sizeof w);
    for (int i = 0; i < 3; i++) {
        test_waiter_start(&w[i], pass, &g, CTH_FOREVER);
    }
    lock_when_waiting(&g, 3);
    CHECK_STATUS(cth_cond_notify(&g.cond, 0), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    CHECK_STATUS(cth_cond_notify(&g.cond, 0), CTH_OK);
    for (int i = 0; i < 3; i++) {
        test_waiter_asleep(&w[i]); // one that was woken has counted that before it sleeps again
    }
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    CHECK_EQ(g.wakes, 0);
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    give(&g, 3);
    waiters_end(w, 3);
}

static void notify_of_more_than_wait(void) {
    gate g = {0};
    test_waiter w[THREADS];
    waiters_start(w, THREADS, &g);
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    g.tokens = THREADS;
    CHECK_STATUS(cth_cond_notify(&g.cond, SIZE_MAX), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    waiters_end(w, THREADS);
}

static void notify_all_frees_all(void) {
    gate g = {0};
    test_waiter w[MANY];
    waiters_start(w, MANY, &g);
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    g.tokens = MANY;
    CHECK_STATUS(cth_cond_notify_all(&g.cond), CTH_OK);
    CHECK_EQ(g.passed, 0); // they need the mutex first
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    waiters_end(w, MANY);
    CHECK_EQ(g.passed, MANY);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
    CHECK_STATUS(cth_mutex_destroy(&g.mutex), CTH_OK);
}

static void notify_without_the_mutex(void) {
    gate g = {0};
    test_waiter w[THREADS];
    waiters_start(w, THREADS, &g);
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    g.tokens = THREADS;
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(cth_cond_notify(&g.cond, 1), CTH_OK);
    }
    reach_passed(&g, 2);
    CHECK_STATUS(cth_cond_notify_all(&g.cond), CTH_OK);
    waiters_end(w, THREADS);
}

static void evaluates_its_arguments_as_promised(void) {
    gate g = {0};
    int deadlines = 0, predicates = 0;
    CHECK_STATUS(cth_mutex_lock(&g.mutex), CTH_OK);
    CHECK_STATUS(CTH_WAIT_WHILE(&g.cond, &g.mutex, (predicates++, true),
                                (deadlines++, cth_after(CTH_MS(1)))),
                 CTH_TIMEDOUT);
    CHECK_EQ(deadlines, 1);
    CHECK(predicates >= 2); // before the wait, and once more at the deadline
    CHECK_STATUS(CTH_WAIT_WHILE(&g.cond, &g.mutex, predicates++ < 0), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
}

static cth_status counts_turns(void *arg) {
    gate *g = (gate *)arg;
    for (int i = 0; i < 500; i++) {
        CTH_WITH(&g->mutex) {
            CHECK_STATUS(CTH_WAIT_WHILE(&g->cond, &g->mutex, g->tokens == 0), CTH_OK);
            g->tokens--;
            g->passed++;
        }
        give(g, 1);
    }
    return CTH_OK;
}

static void contended_by_five(void) {
    // Two tokens go round among five threads.
    gate g = {.tokens = 2};
    cth_thread *thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        thread[i] = test_spawn(counts_turns, &g);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    CHECK_EQ(g.passed, THREADS * 500);
    CHECK_EQ(g.tokens, 2);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

typedef struct buffer {
    cth_mutex mutex;
    cth_cond not_empty, not_full;
    int items[3], used;
    long sum;
} buffer;

static cth_status get_items(void *arg) {
    buffer *b = (buffer *)arg;
    for (int i = 0; i < 2000; i++) {
        CTH_WITH(&b->mutex) {
            CHECK_STATUS(CTH_WAIT_WHILE(&b->not_empty, &b->mutex, b->used == 0), CTH_OK);
            b->sum += b->items[--b->used];
            CHECK_STATUS(cth_cond_notify(&b->not_full, 1), CTH_OK);
        }
    }
    return CTH_OK;
}

static cth_status put_items(void *arg) {
    buffer *b = (buffer *)arg;
    for (int i = 0; i < 2000; i++) {
        CTH_WITH(&b->mutex) {
            CHECK_STATUS(CTH_WAIT_WHILE(&b->not_full, &b->mutex, b->used == 3), CTH_OK);
            b->items[b->used++] = i;
            CHECK_STATUS(cth_cond_notify(&b->not_empty, 1), CTH_OK);
        }
    }
    return CTH_OK;
}

static void bounded_buffer(void) {
    buffer b = {0};
    cth_thread *thread[4];
    for (int i = 0; i < 4; i++) {
        thread[i] = test_spawn(i % 2 == 0 ? get_items : put_items, &b);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    CHECK_EQ(b.used, 0);
    CHECK_EQ(b.sum, 2 * 1999000);
}

typedef struct tally {
    cth_mutex mutex;
    cth_cond cond;
    bool over;
    bool patient_waits;
    int sent, received, timeouts;
} tally;

static cth_status waits_patiently(void *arg) {
    tally *t = (tally *)arg;
    CHECK_STATUS(cth_mutex_lock(&t->mutex), CTH_OK);
    while (!t->over) {
        t->patient_waits = true;
        CHECK_STATUS(cth_cond_wait(&t->cond, &t->mutex), CTH_OK);
        t->patient_waits = false;
        t->received++;
    }
    CHECK_STATUS(cth_mutex_unlock(&t->mutex), CTH_OK);
    return CTH_OK;
}

static cth_status waits_hastily(void *arg) {
    tally *t = (tally *)arg;
    cth_rng rng;
    cth_rng_seed(&rng, cth_thread_id(cth_thread_current()));
    CHECK_STATUS(cth_mutex_lock(&t->mutex), CTH_OK);
    while (!t->over) {
        const cth_time deadline = cth_after((cth_time)cth_rng_below(&rng, CTH_US(200)));
        const cth_status status = cth_cond_wait_until(&t->cond, &t->mutex, deadline);
        if (status == CTH_OK) {
            t->received++;
        } else {
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK(cth_now() >= deadline);
            t->timeouts++;
        }
    }
    CHECK_STATUS(cth_mutex_unlock(&t->mutex), CTH_OK);
    return CTH_OK;
}

static void a_chosen_wait_never_reports_a_timeout(void) {
    // One waiter always waits; three more give up after a random moment, often as the notify comes.
    // Each notify is sent when all before it were received and the patient one waits, so it wakes
    // somebody; if a chosen one said TIMEDOUT, that notify would never be received.
    tally t = {0};
    cth_thread *thread[4];
    thread[0] = test_spawn(waits_patiently, &t);
    for (int i = 1; i < 4; i++) {
        thread[i] = test_spawn(waits_hastily, &t);
    }
    for (int sent = 0, timeouts = 0; sent < 3000 || timeouts < 100;) {
        CHECK_STATUS(cth_mutex_lock(&t.mutex), CTH_OK);
        timeouts = t.timeouts;
        if (t.patient_waits && t.received >= t.sent) {
            CHECK_STATUS(cth_cond_notify(&t.cond, 1), CTH_OK);
            t.sent = t.received + 1;
            sent++;
        }
        CHECK_STATUS(cth_mutex_unlock(&t.mutex), CTH_OK);
        cth_yield();
    }
    CHECK_STATUS(cth_mutex_lock(&t.mutex), CTH_OK);
    t.over = true;
    CHECK_STATUS(cth_cond_notify_all(&t.cond), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&t.mutex), CTH_OK);
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    CHECK_STATUS(cth_cond_destroy(&t.cond), CTH_OK);
}

static void state_after_a_timeout(void) {
    gate g = {0};
    test_waiter patient[2], hasty = {0};
    waiters_start(patient, 2, &g);
    test_waiter_start(&hasty, pass, &g, cth_after(CTH_MS(5)));
    CHECK_STATUS(test_waiter_end(&hasty), CTH_TIMEDOUT);
    // The one that gave up takes no notify from the others.
    give(&g, 1);
    reach_passed(&g, 1);
    give(&g, 1);
    waiters_end(patient, 2);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

static void destroy_with_waiters_is_busy(void) {
    gate g = {0};
    test_waiter w[2];
    waiters_start(w, 2, &g);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_BUSY);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_BUSY);
    give(&g, 2);
    waiters_end(w, 2);
    CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
}

static void destroy_and_begin_again(void) {
    gate g = {0};
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_cond_destroy(&g.cond), CTH_OK);
        memset(&g.cond, 0, sizeof g.cond);
        test_waiter w = {0};
        test_waiter_start(&w, pass, &g, CTH_FOREVER);
        give(&g, 1);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    }
}

static cth_status gives_one(void *arg) {
    gate *g = (gate *)arg;
    // The token can only be taken once the mutex is free, so the unlock is the last call.
    give(g, 1);
    return CTH_OK;
}

static void the_waiter_may_free_it(void) {
    for (int i = 0; i < 500; i++) {
        gate *g = (gate *)calloc(1, sizeof *g);
        CHECK(g != NULL);
        cth_thread *thread = test_spawn(gives_one, g);
        for (int k = 0; k < i % 8; k++) {
            cth_yield();
        }
        CHECK_STATUS(pass(g, CTH_FOREVER), CTH_OK);
        memset(g, 0xEE, sizeof *g);
        free(g);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static void *foreign_pass(void *arg) {
    CHECK_STATUS(pass(arg, CTH_FOREVER), CTH_OK);
    return NULL;
}

static void *foreign_notify(void *arg) {
    gate *g = (gate *)arg;
    CHECK_STATUS(cth_cond_notify_all(&g->cond), CTH_OK); // its first call of the kit
    give(g, 1);
    return NULL;
}

static void foreign_threads_can_use_it(void) {
    for (int i = 0; i < 50; i++) {
        gate g = {0};
        pthread_t a, b;
        CHECK(pthread_create(&a, NULL, foreign_pass, &g) == 0);
        CHECK(pthread_create(&b, NULL, foreign_notify, &g) == 0);
        CHECK(pthread_join(a, NULL) == 0);
        CHECK(pthread_join(b, NULL) == 0);
        CHECK_EQ(g.passed, 1);
    }
}

static cth_status pass_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = pass(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    gate g = {0};
    test_waiter a = {0}, b = {0};
    test_waiter_start(&a, pass_keeps_errno, &g, cth_after(CTH_MS(2)));
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    test_waiter_start(&b, pass_keeps_errno, &g, CTH_FOREVER);
    lock_when_waiting(&g, 1);
    CHECK_STATUS(cth_mutex_unlock(&g.mutex), CTH_OK);
    errno = 4242;
    give(&g, 1);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&b), CTH_OK);
}

static const test_case tests[] = {
    TEST(starts_without_waiters),
    TEST(notify_without_waiters_is_forgotten),
    TEST(wait_without_the_mutex),
    TEST(wait_with_another_s_mutex),
    TEST(one_condition_one_mutex),
    TEST(wait_times_out),
    TEST(wait_while_times_out),
    TEST(wait_while_need_not_wait),
    TEST(wait_refuses_negative_deadlines),
    TEST(wait_waits_long),
    TEST(a_timeout_holds_the_mutex),
    TEST(a_timeout_waits_for_the_mutex),
    TEST(at_the_deadline_the_predicate_decides),
    TEST(notify_n_frees_n),
    TEST(notify_does_not_wake_the_herd),
    TEST(notify_of_zero_wakes_nobody),
    TEST(notify_of_more_than_wait),
    TEST(notify_all_frees_all),
    TEST(notify_without_the_mutex),
    TEST(evaluates_its_arguments_as_promised),
    TEST(contended_by_five),
    TEST(bounded_buffer),
    TEST(a_chosen_wait_never_reports_a_timeout),
    TEST(state_after_a_timeout),
    TEST(destroy_with_waiters_is_busy),
    TEST(destroy_and_begin_again),
    TEST(the_waiter_may_free_it),
    TEST(foreign_threads_can_use_it),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
