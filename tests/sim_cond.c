/* sim_cond.c - condition variables under many schedules, and bugs of conditions that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_mutex lock;
static cth_cond changed;
static int waiting; // threads that have begun to wait, under the lock
static int woken;   // threads that came back with CTH_OK, under the lock
static int timed;   // threads that came back with CTH_TIMEDOUT, under the lock
static int cancelled;
static int items;

static void fresh(void) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_cond no_cond = CTH_COND_INIT;
    lock = no_mutex;
    changed = no_cond;
    waiting = woken = timed = cancelled = items = 0;
    sim_begin();
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

/* One wait with no loop: the scenarios that count wake-ups run without CTH_SIM_SPURIOUS, and then
   no wait ends without a reason. */
static cth_status waits_once(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        waiting++;
        CTH_SIM_CHECK(cth_cond_wait(&changed, &lock) == CTH_OK);
        CTH_SIM_CHECK(cth_mutex_is_locked(&lock));
        woken++;
    }
    return CTH_OK;
}

static void until_waiting(int n) {
    for (;;) {
        int seen = 0;
        CTH_WITH(&lock) {
            seen = waiting;
        }
        if (seen == n) {
            return;
        }
        cth_yield();
    }
}

/* Every notify after a wait has begun wakes one thread: three of them wake three. */
static cth_status notify_each(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(waits_once, NULL);
    }
    until_waiting(3);
    for (int i = 0; i < 3; i++) {
        if (cth_sim_choose(2) == 0) {
            CTH_WITH(&lock) {
                CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
            }
        } else {
            CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
        }
    }
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(woken == 3);
    CTH_SIM_CHECK(cth_cond_destroy(&changed) == CTH_OK);
    return CTH_OK;
}

/* notify(2) wakes two of three, not one and not three; notify_all wakes the rest. */
static cth_status notify_some(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(waits_once, NULL);
    }
    until_waiting(3);
    CTH_SIM_CHECK(cth_cond_destroy(&changed) == CTH_BUSY);
    CTH_SIM_CHECK(cth_cond_notify(&changed, 2) == CTH_OK);
    int seen = 0;
    while (seen < 2) {
        cth_yield();
        CTH_WITH(&lock) {
            seen = woken;
        }
    }
    for (int i = 0; i < 20; i++) {
        cth_yield();
    }
    CTH_WITH(&lock) {
        CTH_SIM_CHECK(woken == 2);
    }
    CTH_SIM_CHECK(cth_cond_notify_all(&changed) == CTH_OK);
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

static cth_status notify_everyone(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(waits_once, NULL);
    }
    until_waiting(3);
    CTH_SIM_CHECK(cth_cond_notify_all(&changed) == CTH_OK);
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(woken == 3);
    return CTH_OK;
}

static cth_status waits_until(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        waiting++;
        const cth_time deadline = sim_soon();
        const cth_status status = cth_cond_wait_until(&changed, &lock, deadline);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        CTH_SIM_CHECK(status == CTH_OK || cth_now() >= deadline);
        woken += status == CTH_OK;
        timed += status == CTH_TIMEDOUT;
        waiting--;
    }
    return CTH_OK;
}

/* A timed and a patient waiter, one notify. Whoever it chose does not report a timeout, and a
   waiter that timed out did not use it up: so the patient one is woken unless the other one was. */
static cth_status notify_or_timeout(void *arg) {
    (void)arg;
    fresh();
    cth_thread *patient = sim_spawn(waits_once, NULL);
    cth_thread *hasty = sim_spawn(waits_until, NULL);
    int seen = 0;
    while (seen == 0) { // the patient one waits; the other one may, or may be done
        cth_yield();
        CTH_WITH(&lock) {
            seen = waiting + timed >= 2 || (timed == 1 && waiting == 1);
        }
    }
    CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
    sim_join(hasty);
    CTH_WITH(&lock) {
        CTH_SIM_CHECK(woken + timed >= 1);
    }
    if (timed == 0) { // the notify went to the timed one: the other needs its own
        CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
    }
    sim_join(patient);
    CTH_SIM_CHECK(woken + timed == 2 && timed <= 1);
    return CTH_OK;
}

static cth_status takes_items(void *arg) {
    const int n = *(int *)arg;
    for (int i = 0; i < n; i++) {
        CTH_WITH(&lock) {
            CTH_SIM_CHECK(CTH_WAIT_WHILE(&changed, &lock, items == 0) == CTH_OK);
            CTH_SIM_CHECK(items > 0);
            items--;
        }
    }
    return CTH_OK;
}

static cth_status takes_if_soon(void *arg) {
    int *got = (int *)arg;
    CTH_WITH(&lock) {
        const cth_status status = CTH_WAIT_WHILE(&changed, &lock, items == 0, sim_soon());
        CTH_SIM_CHECK(status == (items > 0 ? CTH_OK : CTH_TIMEDOUT));
        if (status == CTH_OK) {
            items--;
            ++*got;
        }
    }
    return CTH_OK;
}

/* Producers and consumers with one notify an item, while a third consumer times out at any point.
 */
static cth_status producer_consumer(void *arg) {
    int two = 2;
    int got = 0;
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(takes_items, &two);
    cth_thread *b = sim_spawn(takes_items, &two);
    cth_thread *c = sim_spawn(takes_if_soon, &got);
    for (int i = 0; i < 4; i++) {
        CTH_WITH(&lock) {
            items++;
            CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
        }
    }
    sim_join(c);
    if (got == 1) {
        CTH_WITH(&lock) {
            items++;
        }
        CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
    }
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(items == 0);
    return CTH_OK;
}

static cth_cancel token;

static cth_status waits_under_token(void *arg) {
    (void)arg;
    CTH_UNDER(&token) {
        CTH_WITH(&lock) {
            waiting++;
            const cth_status status = cth_cond_wait(&changed, &lock);
            CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED);
            woken += status == CTH_OK;
            cancelled += status == CTH_CANCELLED;
        }
    }
    return CTH_OK;
}

static cth_status requests(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    return CTH_OK;
}

/* A cancelled waiter and one that is not: the one notify is never lost to the cancelled one. */
static cth_status notify_or_cancel(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *patient = sim_spawn(waits_once, NULL);
    cth_thread *under = sim_spawn(waits_under_token, NULL);
    until_waiting(2);
    cth_thread *requester = sim_spawn(requests, NULL);
    CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
    sim_join(under);
    sim_join(requester);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    if (cancelled == 0) {
        CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
    }
    sim_join(patient);
    CTH_SIM_CHECK(woken + cancelled == 2 && cancelled <= 1);
    return CTH_OK;
}

struct monitor {
    cth_mutex lock;
    cth_cond changed;
    bool done;
    int users;
};

static void leave_monitor(struct monitor *m) {
    const bool last = --m->users == 0;
    CTH_SIM_CHECK(cth_mutex_unlock(&m->lock) == CTH_OK);
    if (last) {
        sim_gone(m, sizeof *m);
    }
}

static cth_status monitor_waiter(void *arg) {
    struct monitor *m = (struct monitor *)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&m->lock) == CTH_OK);
    while (!m->done) {
        CTH_SIM_CHECK(cth_cond_wait(&m->changed, &m->lock) == CTH_OK);
    }
    leave_monitor(m);
    return CTH_OK;
}

static cth_status monitor_notifier(void *arg) {
    struct monitor *m = (struct monitor *)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&m->lock) == CTH_OK);
    m->done = true;
    CTH_SIM_CHECK(cth_cond_notify_all(&m->changed) == CTH_OK);
    leave_monitor(m);
    return CTH_OK;
}

/* Whoever is last, waiter or notifier, gives away the memory of both mutex and condition. */
static cth_status freed_after_use(void *arg) {
    (void)arg;
    fresh();
    struct monitor *m = (struct monitor *)calloc(1, sizeof *m);
    m->users = 3;
    cth_thread *a = sim_spawn(monitor_waiter, m);
    cth_thread *b = sim_spawn(monitor_waiter, m);
    cth_thread *c = sim_spawn(monitor_notifier, m);
    sim_join(a);
    sim_join(b);
    sim_join(c);
    sim_untouched(m, sizeof *m);
    free(m);
    return CTH_OK;
}

static cth_status notified_waiter_frees(void *arg) {
    struct monitor *m = (struct monitor *)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&m->lock) == CTH_OK);
    m->users = 1;
    CTH_SIM_CHECK(cth_cond_wait(&m->changed, &m->lock) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_unlock(&m->lock) == CTH_OK);
    sim_gone(m, sizeof *m);
    return CTH_OK;
}

/* A notify without the mutex is the last call on the condition: the only waiter may free it while
   the notify is still on its way out. */
static cth_status freed_by_notified(void *arg) {
    (void)arg;
    fresh();
    struct monitor *m = (struct monitor *)calloc(1, sizeof *m);
    cth_thread *waiter = sim_spawn(notified_waiter_frees, m);
    for (bool begun = false; !begun; cth_yield()) {
        CTH_SIM_CHECK(cth_mutex_lock(&m->lock) == CTH_OK);
        begun = m->users == 1;
        CTH_SIM_CHECK(cth_mutex_unlock(&m->lock) == CTH_OK);
    }
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_cond_notify(&m->changed, 1) == CTH_OK);
    } else {
        CTH_SIM_CHECK(cth_cond_notify_all(&m->changed) == CTH_OK);
    }
    sim_join(waiter);
    sim_untouched(m, sizeof *m);
    free(m);
    return CTH_OK;
}

static void passes_notify_each(void) {
    SIM_PASS(notify_each, CTH_SIM_TIMEOUTS, 1500);
    SIM_PASS(notify_each, SIM_ALL & ~(unsigned)CTH_SIM_SPURIOUS, 700);
}
static void passes_notify_some(void) {
    SIM_PASS(notify_some, CTH_SIM_TIMEOUTS, 1000);
}
static void passes_notify_everyone(void) {
    SIM_PASS(notify_everyone, CTH_SIM_TIMEOUTS, 1000);
}
static void passes_notify_or_timeout(void) {
    SIM_PASS(notify_or_timeout, CTH_SIM_TIMEOUTS, 2500);
}
static void passes_producer_consumer(void) {
    SIM_PASS(producer_consumer, SIM_WAITS, 1500);
    SIM_PASS(producer_consumer, SIM_ALL, 700);
}
static void passes_notify_or_cancel(void) {
    SIM_PASS(notify_or_cancel, CTH_SIM_TIMEOUTS, 2000);
}
static void passes_freed_after_use(void) {
    SIM_PASS(freed_after_use, SIM_WAITS, 1500);
    SIM_PASS(freed_by_notified, CTH_SIM_TIMEOUTS, 2000);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

// A condition made of a sequence number: a waiter sleeps until it has changed.
static cth__word sequence;

/* Bug: the waiter reads the sequence after it has unlocked: a notify in between is lost. Stands for
   lost wake-ups in condition variables. */
static cth_status sequence_waiter(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    while (items == 0) {
        uint32_t seen = cth__load(&sequence, relaxed);
        CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
        if (planted) {
            seen = cth__load(&sequence, relaxed);
        }
        while (cth__load(&sequence, relaxed) == seen) {
            cth__wait_on(NULL, &sequence, seen, CTH_FOREVER);
        }
        CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    }
    items--;
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    return CTH_OK;
}

static cth_status reads_sequence_late(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&sequence, 0);
    cth_thread *waiter = sim_spawn(sequence_waiter, NULL);
    CTH_WITH(&lock) {
        items++;
    }
    (void)cth__add(&sequence, 1, relaxed);
    cth__wake_on(NULL, &sequence);
    sim_join(waiter);
    return CTH_OK;
}

/* Bug: a wait with no predicate around it: it sleeps for a notify that has been. */
static cth_status no_predicate_waiter(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        while (planted || items == 0) {
            (void)cth_cond_wait(&changed, &lock);
            if (planted) {
                break;
            }
        }
        items--;
    }
    return CTH_OK;
}

static cth_status waits_without_predicate(void *arg) {
    (void)arg;
    fresh();
    cth_thread *waiter = sim_spawn(no_predicate_waiter, NULL);
    CTH_WITH(&lock) {
        items++;
        CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
    }
    sim_join(waiter);
    return CTH_OK;
}

/* Bug: `if` where a `while` belongs: another consumer was faster. */
static cth_status if_for_while_taker(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        if (items == 0) {
            (void)cth_cond_wait(&changed, &lock);
        }
        while (!planted && items == 0) {
            (void)cth_cond_wait(&changed, &lock);
        }
        CTH_SIM_CHECK(items > 0);
        items--;
    }
    return CTH_OK;
}

static cth_status if_for_while(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(if_for_while_taker, NULL);
    cth_thread *b = sim_spawn(if_for_while_taker, NULL);
    for (int i = 0; i < 2; i++) {
        CTH_WITH(&lock) {
            items++;
        }
        CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
    }
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: a wait without a loop, which works until a wait ends for no reason. */
static cth_status waits_without_loop(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(waits_once, NULL);
    until_waiting(1);
    for (int i = 0; i < 10; i++) {
        cth_yield();
    }
    CTH_WITH(&lock) {
        CTH_SIM_CHECK(!planted || woken == 0);
        (void)cth_cond_notify(&changed, 1);
    }
    sim_join(t);
    return CTH_OK;
}

/* Bug: one condition for two reasons to wait, and notify(1): it wakes a thread of the wrong sort,
   which goes back to sleep. Stands for bounded buffers with one condition. */
static cth_status buffer_put(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        (void)CTH_WAIT_WHILE(&changed, &lock, items == 1);
        items++;
        (void)cth_cond_notify(&changed, planted ? 1 : SIZE_MAX);
    }
    return CTH_OK;
}

static cth_status buffer_take(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        (void)CTH_WAIT_WHILE(&changed, &lock, items == 0);
        items--;
        (void)cth_cond_notify(&changed, planted ? 1 : SIZE_MAX);
    }
    return CTH_OK;
}

static cth_status wakes_the_wrong_one(void *arg) {
    cth_thread *threads[6];
    (void)arg;
    fresh();
    for (int i = 0; i < 6; i++) {
        threads[i] = sim_spawn(i < 3 ? buffer_take : buffer_put, NULL);
    }
    for (int i = 0; i < 6; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

// One thing a thread waits for, with the implementation's own table of waiters.
static cth__word ready;

/* Bug: a waiter whose deadline passes reports a timeout although a waker had chosen it: the wake-up
   is lost for the one who would have waited on. Stands for timed waits that look at the clock last.
 */
static cth_status claimed_waiter(void *arg) {
    const bool hasty = *(bool *)arg;
    cth__self *self = cth__self_get();
    cth__waiter w;
    cth__bucket *bucket = cth__bucket_lock(&ready, self);
    cth__enqueue(bucket, &w, &ready, self, 0);
    (void)cth__add(&ready, 1, relaxed);
    cth__unlock(&bucket->lock);
    const cth__wait_desc desc = {.deadline = hasty ? sim_soon() : CTH_FOREVER, .what = "turn"};
    cth_status status = cth__park(self, &w, 1, &desc, NULL);
    if (planted && cth__passed(desc.deadline)) {
        status = CTH_TIMEDOUT;
    }
    CTH_WITH(&lock) {
        woken += status == CTH_OK;
        timed += status == CTH_TIMEDOUT;
    }
    return CTH_OK;
}

static cth_status wake_one(void *arg) {
    (void)arg;
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(&ready, cth__self_get());
    cth__waiter *w;
    while ((w = cth__first(bucket, &ready)) != NULL && !cth__claim(bucket, w, 0, &wakes)) {
    }
    cth__bucket_close(bucket, &wakes);
    return CTH_OK;
}

static cth_status reports_timeout_when_claimed(void *arg) {
    bool hasty[] = {true, false};
    (void)arg;
    fresh();
    atomic_init(&ready, 0);
    cth_thread *a = sim_spawn(claimed_waiter, &hasty[0]);
    cth_thread *b = sim_spawn(claimed_waiter, &hasty[1]);
    while (cth__load(&ready, relaxed) < 2) {
        cth_yield();
    }
    (void)wake_one(NULL);
    sim_join(a);
    if (timed == 0) {
        (void)wake_one(NULL);
    }
    sim_join(b);
    return CTH_OK;
}

static void finds_late_sequence(void) {
    SIM_FOUND(reads_sequence_late, 0, "deadlock");
}
static void finds_wait_without_predicate(void) {
    SIM_FOUND(waits_without_predicate, 0, "deadlock");
}
static void finds_if_for_while(void) {
    SIM_FOUND(if_for_while, 0, "check");
}
static void finds_missing_loop(void) {
    SIM_FOUND(waits_without_loop, CTH_SIM_SPURIOUS, "check");
}
static void finds_wrong_one_woken(void) {
    SIM_FOUND(wakes_the_wrong_one, 0, "deadlock");
}
static void finds_timeout_of_the_claimed(void) {
    SIM_FOUND(reports_timeout_when_claimed, CTH_SIM_TIMEOUTS, "deadlock");
}

static const test_case tests[] = {
    TEST(passes_notify_each),           TEST(passes_notify_some),
    TEST(passes_notify_everyone),       TEST(passes_notify_or_timeout),
    TEST(passes_producer_consumer),     TEST(passes_notify_or_cancel),
    TEST(passes_freed_after_use),       TEST(finds_late_sequence),
    TEST(finds_wait_without_predicate), TEST(finds_if_for_while),
    TEST(finds_missing_loop),           TEST(finds_wrong_one_woken),
    TEST(finds_timeout_of_the_claimed),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
