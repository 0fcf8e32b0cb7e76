/* sim_event.c - events under many schedules, and bugs of events that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_event event;
static cth_event begun[3]; // set by a waiter just before it waits
static cth_cancel token;
static int data;  // written before the set
static int freed; // waiters that came back with CTH_OK

static void fresh(void) {
    static const cth_event zero = CTH_EVENT_INIT;
    event = begun[0] = begun[1] = begun[2] = zero;
    data = freed = 0;
    sim_begin();
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status waiter(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
    CTH_SIM_CHECK(data == 1);
    freed++;
    return CTH_OK;
}

static cth_status waiter_until(void *arg) {
    bool *timed_out = (bool *)arg;
    const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
    const cth_status status = cth_event_wait_until(&event, deadline);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    if (status == CTH_OK) {
        CTH_SIM_CHECK(data == 1);
        freed++;
    } else {
        CTH_SIM_CHECK(cth_now() >= deadline);
        *timed_out = true;
    }
    return CTH_OK;
}

static cth_status set_frees_all(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(waiter, NULL);
    }
    data = 1;
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    CTH_SIM_CHECK(cth_event_is_set(&event));
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(freed == 3);
    CTH_SIM_CHECK(cth_event_destroy(&event) == CTH_OK);
    return CTH_OK;
}

/* A waiter that does nothing else after it is known to wait: its record is in the table. */
static bool sleeps(cth_event *e) {
    return cth__has_waiters(e, cth__self_get());
}

static cth_status table_waiter(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
    freed++;
    return CTH_OK;
}

/* set and clear in one breath: whoever waited before is freed, and the event is not set after. */
static cth_status set_then_clear(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(table_waiter, NULL);
    cth_thread *b = sim_spawn(table_waiter, NULL);
    size_t queued = 0;
    while (queued < 2) { // until both are queued
        cth_yield();
        queued = 0;
        cth__bucket *bucket = cth__bucket_lock(&event, cth__self_get());
        for (cth__waiter *w = cth__next(bucket, NULL, &event); w != NULL;
             w = cth__next(bucket, w, &event)) {
            queued++;
        }
        cth__unlock(&bucket->lock);
    }
    CTH_SIM_CHECK(cth_event_destroy(&event) == CTH_BUSY);
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    CTH_SIM_CHECK(cth_event_clear(&event) == CTH_OK);
    CTH_SIM_CHECK(!cth_event_is_set(&event));
    CTH_SIM_CHECK(cth_event_wait_until(&event, 0) == CTH_TIMEDOUT);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(freed == 2);
    return CTH_OK;
}

/* A waiter that has begun, but is not in the table yet, is freed by a set and clear too, also when
   another one begins to wait right behind them. */
static cth_status pulse_before_sleep(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(table_waiter, NULL);
    while ((cth__load(&event.word, relaxed) & CTH__EVENT_SLEEPERS) == 0) {
        cth_yield();
    }
    cth_thread *b = sim_spawn(table_waiter, NULL);
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    CTH_SIM_CHECK(cth_event_clear(&event) == CTH_OK);
    sim_join(a);
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    sim_join(b);
    CTH_SIM_CHECK(freed == 2);
    return CTH_OK;
}

static cth_status setter_clearer(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
        CTH_SIM_CHECK(cth_event_clear(&event) == CTH_OK);
    }
    return CTH_OK;
}

/* The same with waiters that may come at any time, spinning or asleep, and two who set and clear. A
   waiter that is in the table when the last set begins must be freed by it. */
static cth_status set_clear_storm(void *arg) {
    (void)arg;
    fresh();
    data = 1;
    cth_thread *a = sim_spawn(waiter, NULL);
    cth_thread *b = sim_spawn(waiter, NULL);
    cth_thread *c = sim_spawn(setter_clearer, NULL);
    CTH_SIM_CHECK(setter_clearer(NULL) == CTH_OK);
    sim_join(c);
    while (freed < 2) {
        if (sleeps(&event)) {
            CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
            CTH_SIM_CHECK(cth_event_clear(&event) == CTH_OK);
            CTH_SIM_CHECK(!sleeps(&event) || freed < 2);
        }
        cth_yield();
    }
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* A deadline passes while the event is set: OK with the data, or TIMEDOUT; the other is freed. */
static cth_status set_meets_timeout(void *arg) {
    bool timed_out = false;
    (void)arg;
    fresh();
    cth_thread *hasty = sim_spawn(waiter_until, &timed_out);
    cth_thread *patient = sim_spawn(waiter, NULL);
    for (uint32_t n = cth_sim_choose(6); n > 0; n--) {
        cth_yield();
    }
    data = 1;
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    sim_join(hasty);
    sim_join(patient);
    CTH_SIM_CHECK(freed == (timed_out ? 1 : 2));
    CTH_SIM_CHECK(cth_event_destroy(&event) == CTH_OK);
    return CTH_OK;
}

static cth_status waiter_under(void *arg) {
    bool *cancelled = (bool *)arg;
    CTH_UNDER(&token) {
        const cth_status status = cth_event_wait(&event);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED);
        CTH_SIM_CHECK(status != CTH_OK || data == 1);
        *cancelled = status == CTH_CANCELLED;
    }
    return CTH_OK;
}

static cth_status set_meets_cancel(void *arg) {
    bool cancelled = false;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *under = sim_spawn(waiter_under, &cancelled);
    cth_thread *patient = sim_spawn(waiter, NULL);
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    }
    data = 1;
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    sim_join(under);
    sim_join(patient);
    CTH_SIM_CHECK(!cancelled || cth_cancel_status(&token) == CTH_CANCELLED);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static cth_status waits_and_frees(void *arg) {
    cth_event *own = (cth_event *)arg;
    cth_status status = CTH_TIMEDOUT;
    while (status != CTH_OK) {
        status = cth_event_wait_until(own, cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon());
    }
    sim_gone(own, sizeof *own);
    return CTH_OK;
}

static cth_status sets(void *arg) {
    CTH_SIM_CHECK(cth_event_set((cth_event *)arg) == CTH_OK);
    return CTH_OK;
}

/* The only waiter gives the event's memory away while the set is still on its way out. */
static cth_status freed_after_wait(void *arg) {
    (void)arg;
    sim_begin();
    cth_event *own = (cth_event *)calloc(1, sizeof *own);
    cth_thread *a = sim_spawn(waits_and_frees, own);
    cth_thread *b = sim_spawn(sets, own);
    sim_join(a);
    sim_join(b);
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

static cth_status ping(void *arg) {
    const int me = *(int *)arg;
    for (int i = 0; i < 3; i++) {
        CTH_SIM_CHECK(cth_event_wait(&begun[me]) == CTH_OK);
        CTH_SIM_CHECK(cth_event_clear(&begun[me]) == CTH_OK);
        data++;
        CTH_SIM_CHECK(cth_event_set(&begun[1 - me]) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status ping_pong(void *arg) {
    int who[] = {0, 1};
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(ping, &who[0]);
    cth_thread *b = sim_spawn(ping, &who[1]);
    CTH_SIM_CHECK(cth_event_set(&begun[0]) == CTH_OK);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(data == 6);
    return CTH_OK;
}

static void passes_set_frees_all(void) {
    SIM_PASS(set_frees_all, SIM_WAITS, 2000);
    SIM_PASS(set_frees_all, SIM_ALL, 700);
}
static void passes_set_then_clear(void) {
    SIM_PASS(set_then_clear, SIM_WAITS, 2500);
    SIM_PASS(pulse_before_sleep, SIM_WAITS, 3000);
    SIM_PASS(set_clear_storm, SIM_WAITS, 2500);
}
static void passes_set_meets_timeout(void) {
    SIM_PASS(set_meets_timeout, SIM_WAITS, 4000);
}
static void passes_set_meets_cancel(void) {
    SIM_PASS(set_meets_cancel, SIM_WAITS, 3000);
}
static void passes_freed_after_wait(void) {
    SIM_PASS(freed_after_wait, SIM_WAITS, 4000);
    SIM_PASS(freed_after_wait, SIM_ALL, 1000);
}
static void passes_ping_pong(void) {
    SIM_PASS(ping_pong, SIM_WAITS, 2000);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

static cth__word word;

/* Bug: a waiter looks only whether the flag is set, so a set with a clear right behind it passes
   unseen. Stands for events that lose a pulse. Right is a count of the sets. */
static cth_status pulse_waiter(void *arg) {
    const uint32_t first = *(uint32_t *)arg;
    for (;;) {
        const uint32_t seen = cth__load(&word, acquire);
        if (planted ? (seen & 1) != 0 : seen / 2 != first) {
            return CTH_OK;
        }
        cth__wait_on(NULL, &word, seen, CTH_FOREVER);
    }
}

static cth_status loses_a_pulse(void *arg) {
    uint32_t first = 0;
    (void)arg;
    sim_begin();
    atomic_init(&word, 0);
    cth_thread *w = sim_spawn(pulse_waiter, &first);
    (void)cth__add(&word, 3, release); // set, and one more set
    cth__wake_on(NULL, &word);
    (void)cth__and(&word, ~UINT32_C(1), relaxed);
    sim_join(w);
    return CTH_OK;
}

/* Bug: "run once" with the states none, runs, runs with waiters, done: the end wakes nobody when it
   saw no waiter, in two steps. Stands for once functions that forget who comes in a short window.
 */
enum { NONE, RUNS, WAITED, DONE };

static cth_status once_user(void *arg) {
    (void)arg;
    uint32_t found = NONE;
    if (cth__cas(&word, &found, RUNS, acquire, acquire)) {
        data++;
        if (planted) {
            const uint32_t seen = cth__load(&word, relaxed);
            cth__store(&word, DONE, release);
            if (seen == WAITED) {
                cth__wake_on(NULL, &word);
            }
        } else if (cth__swap(&word, DONE, release) == WAITED) {
            cth__wake_on(NULL, &word);
        }
        return CTH_OK;
    }
    while (found != DONE) {
        if (found == WAITED || cth__cas(&word, &found, WAITED, acquire, acquire)) {
            cth__wait_on(NULL, &word, WAITED, CTH_FOREVER);
            found = cth__load(&word, acquire);
        }
    }
    CTH_SIM_CHECK(data == 1);
    return CTH_OK;
}

static cth_status once_forgets_waiters(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&word, NONE);
    sim_together(once_user, NULL, 3);
    return CTH_OK;
}

/* Bug: a barrier resets its count after it has opened: a fast thread of the next round is counted
   out. Stands for barriers that cannot be used again at once. */
static cth__word arrived, round_number;

static void meet(uint32_t n) {
    const uint32_t now = cth__load(&round_number, acquire);
    if (cth__add(&arrived, 1, acq_rel) + 1 == n) {
        if (!planted) {
            cth__store(&arrived, 0, relaxed);
        }
        (void)cth__add(&round_number, 1, release);
        if (planted) {
            cth__store(&arrived, 0, relaxed);
        }
        cth__wake_on(NULL, &round_number);
    } else {
        while (cth__load(&round_number, acquire) == now) {
            cth__wait_on(NULL, &round_number, now, CTH_FOREVER);
        }
    }
}

static cth_status barrier_user(void *arg) {
    (void)arg;
    meet(2);
    meet(2);
    return CTH_OK;
}

static cth_status barrier_reused(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&arrived, 0);
    atomic_init(&round_number, 0);
    sim_together(barrier_user, NULL, 2);
    return CTH_OK;
}

/* Bug: the setter marks its work as done in the waiter's memory after the flag that lets the waiter
   free it. Stands for a completion on another thread's stack that is touched too late. */
struct completion {
    cth__word done;
    cth__word setters;
};

static cth_status completer(void *arg) {
    struct completion *c = (struct completion *)arg;
    if (!planted) {
        (void)cth__sub(&c->setters, 1, relaxed);
    }
    cth__store(&c->done, 1, release);
    if (planted) {
        (void)cth__sub(&c->setters, 1, relaxed);
    }
    return CTH_OK;
}

static cth_status completion_touched_late(void *arg) {
    static struct completion c;
    (void)arg;
    sim_begin();
    atomic_init(&c.done, 0);
    atomic_init(&c.setters, 1);
    cth_thread *t = sim_spawn(completer, &c);
    while (cth__load(&c.done, acquire) == 0) {
        cth_yield();
    }
    memset(&c, 0xdd, sizeof c);
    sim_join(t);
    CTH_SIM_CHECK(atomic_load(&c.setters) == 0xdddddddd);
    return CTH_OK;
}

static void finds_lost_pulse(void) {
    SIM_FOUND(loses_a_pulse, 0, "deadlock");
}
static void finds_once_that_forgets(void) {
    SIM_FOUND(once_forgets_waiters, 0, "deadlock");
}
static void finds_barrier_reuse(void) {
    SIM_FOUND(barrier_reused, 0, "deadlock");
}
static void finds_late_completion(void) {
    SIM_FOUND(completion_touched_late, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_set_frees_all),    TEST(passes_set_then_clear),   TEST(passes_set_meets_timeout),
    TEST(passes_set_meets_cancel), TEST(passes_freed_after_wait), TEST(passes_ping_pong),
    TEST(finds_lost_pulse),        TEST(finds_once_that_forgets), TEST(finds_barrier_reuse),
    TEST(finds_late_completion),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
