/* sim_queue.c - queues under many schedules, histories against a model, and bugs that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_queue queue;
static cth_cancel token;
static int put_sum, got_sum, n_put, n_got; // no two threads run at once

static void fresh(size_t bound) {
    sim_begin();
    put_sum = got_sum = n_put = n_got = 0;
    while (cth_queue_init(&queue, sizeof(int), bound, NULL) != CTH_OK) {
        cth_yield();
    }
}

static void finish(void) {
    CTH_SIM_CHECK(cth_queue_destroy(&queue) == CTH_OK);
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status put_two(void *arg) {
    const int base = *(int *)arg;
    for (int i = 1; i <= 2; i++) {
        const int value = base * i;
        cth_status status;
        do {
            status = cth_queue_put(&queue, &value);
        } while (status == CTH_NOMEM);
        if (status == CTH_SHUTDOWN || status == CTH_CANCELLED) {
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK);
        put_sum += value;
        n_put++;
    }
    return CTH_OK;
}

static cth_status get_all(void *arg) {
    int value;
    (void)arg;
    for (;;) {
        const cth_status status = cth_queue_get(&queue, &value);
        if (status == CTH_SHUTDOWN) {
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK);
        got_sum += value;
        n_got++;
        CTH_SIM_CHECK(cth_queue_task_done(&queue) == CTH_OK);
    }
}

static int one = 1, ten = 10;

/* Two of each: every element is got once; join sees all done; a drain ends the getters. */
static cth_status hand_over(size_t bound) {
    fresh(bound);
    cth_thread *a = sim_spawn(get_all, NULL);
    cth_thread *b = sim_spawn(get_all, NULL);
    cth_thread *c = sim_spawn(put_two, &one);
    CTH_SIM_CHECK(put_two(&ten) == CTH_OK);
    sim_join(c);
    CTH_SIM_CHECK(cth_queue_join(&queue) == CTH_OK);
    CTH_SIM_CHECK(n_got == 4 && got_sum == 33);
    CTH_SIM_CHECK(cth_queue_shutdown(&queue, CTH_DRAIN) == CTH_OK);
    sim_join(a);
    sim_join(b);
    finish();
    return CTH_OK;
}

static cth_status hand_over_1(void *arg) {
    (void)arg;
    return hand_over(1);
}

static cth_status hand_over_unbounded(void *arg) {
    (void)arg;
    return hand_over(0);
}

static cth_status get_until(void *arg) {
    int value = -1;
    (void)arg;
    const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
    const cth_status status = cth_queue_get_until(&queue, &value, deadline);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    CTH_SIM_CHECK(status == CTH_OK ? value == 5 : value == -1 && cth_now() >= deadline);
    n_got += status == CTH_OK;
    return CTH_OK;
}

static cth_status put_until(void *arg) {
    const int five = 5;
    (void)arg;
    const cth_status status = cth_queue_put_until(&queue, &five, sim_soon());
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    n_put += status == CTH_OK;
    return CTH_OK;
}

/* A wake is not lost to one that times out, nor an element: what went in came out or is there. */
static cth_status timeouts(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = sim_spawn(i < 2 ? get_until : put_until, NULL);
    }
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(n_put - n_got == (int)cth_queue_size(&queue));
    finish();
    return CTH_OK;
}

static cth_status put_under(void *arg) {
    CTH_UNDER(&token) {
        CTH_SIM_CHECK(put_two(arg) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status cancelled(void *arg) {
    int value;
    (void)arg;
    fresh(1);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *under = sim_spawn(put_under, &one);
    cth_thread *free_one = sim_spawn(put_two, &ten);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_queue_get(&queue, &value) == CTH_OK);
        got_sum += value;
    }
    sim_join(under);
    while (cth_thread_is_alive(free_one)) {
        if (cth_queue_try_get(&queue, &value) == CTH_OK) {
            got_sum += value;
        }
        cth_yield();
    }
    sim_join(free_one);
    while (cth_queue_try_get(&queue, &value) == CTH_OK) {
        got_sum += value;
    }
    CTH_SIM_CHECK(got_sum == put_sum);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    finish();
    return CTH_OK;
}

static void drop(void *element, void *arg) {
    got_sum += *(int *)element;
    ++*(int *)arg;
}

static cth_status join_all(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_queue_join(&queue) == CTH_OK);
    return CTH_OK;
}

/* Shut down in the middle: every element is got, dropped, or its put failed. */
static cth_status shutdown_meets_all(void *arg) {
    int dropped = 0;
    const cth_queue_desc desc = {.drop = drop, .arg = &dropped};
    (void)arg;
    sim_begin();
    put_sum = got_sum = n_put = n_got = 0;
    CTH_SIM_CHECK(cth_queue_init(&queue, sizeof(int), 1, &desc) == CTH_OK);
    cth_thread *getter = sim_spawn(get_all, NULL);
    cth_thread *putter = sim_spawn(put_two, &one);
    cth_thread *joiner = sim_spawn(join_all, NULL);
    for (uint32_t n = cth_sim_choose(6); n > 0; n--) {
        cth_yield();
    }
    const cth_shutdown how = cth_sim_choose(2) == 0 ? CTH_DRAIN : CTH_NOW;
    CTH_SIM_CHECK(cth_queue_shutdown(&queue, how) == CTH_OK);
    sim_join(putter);
    sim_join(getter);
    sim_join(joiner);
    CTH_SIM_CHECK(n_got + dropped == n_put && got_sum == put_sum);
    CTH_SIM_CHECK(how == CTH_NOW || dropped == 0);
    finish();
    return CTH_OK;
}

static cth_status put_one(void *arg) {
    CTH_SIM_CHECK(cth_queue_put((cth_queue *)arg, &one) == CTH_OK);
    return CTH_OK;
}

/* The getter of the last element destroys the queue while its put may not be back. */
static cth_status freed_at_once(void *arg) {
    static cth_queue gone;
    int value;
    (void)arg;
    sim_begin();
    CTH_SIM_CHECK(cth_queue_init(&gone, sizeof(int), 1, NULL) == CTH_OK);
    cth_thread *putter = sim_spawn(put_one, &gone);
    CTH_SIM_CHECK(cth_queue_get(&gone, &value) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_destroy(&gone) == CTH_OK);
    sim_gone(&gone, sizeof gone);
    sim_join(putter);
    sim_untouched(&gone, sizeof gone);
    return CTH_OK;
}

/* -- small histories against a model ------------------------------------------------------------

   Three threads make random calls on a queue for one or two elements; each call notes when it began
   and ended. A history is right if its calls, put into some order which keeps every call behind
   those that had ended when it began, return what a queue used by one thread would.
 */

enum { TRY_PUT, TRY_GET, PUT_UNTIL, GET_UNTIL, SIZE, CALLS };

typedef struct call {
    int what, value; // put: what; get, size: the result
    cth_status status;
    uint32_t began, ended;
} call;

enum { WORKERS = 3, MOST = 4 };
static call history[WORKERS][MOST];
static int calls_each;
static cth__word ticks; // as an atomic: what ended before another began happened before it
static size_t bound;

static cth_status make_calls(void *arg) {
    call *mine = (call *)arg;
    for (int i = 0; i < calls_each; i++) {
        call *c = &mine[i];
        c->what = (int)cth_sim_choose(CALLS);
        c->value = (int)(mine - history[0]) * 10 + i;
        int got = -1;
        c->began = cth__add(&ticks, 1, acq_rel);
        switch (c->what) {
        case TRY_PUT: c->status = cth_queue_try_put(&queue, &c->value); break;
        case PUT_UNTIL: c->status = cth_queue_put_until(&queue, &c->value, sim_soon()); break;
        case TRY_GET: c->status = cth_queue_try_get(&queue, &got); break;
        case GET_UNTIL: c->status = cth_queue_get_until(&queue, &got, sim_soon()); break;
        default:
            got = (int)cth_queue_size(&queue);
            c->status = CTH_OK;
            break;
        }
        c->ended = cth__add(&ticks, 1, acq_rel);
        if (c->what != TRY_PUT && c->what != PUT_UNTIL) {
            c->value = got;
        }
    }
    return CTH_OK;
}

/* Whether the calls not yet in `at` can go on from this state of the model. */
static bool explains(const int at[WORKERS], const int *content, size_t n) {
    uint32_t first_end = UINT32_MAX;
    bool done = true;
    for (int w = 0; w < WORKERS; w++) {
        if (at[w] < calls_each) {
            done = false;
            first_end = history[w][at[w]].ended < first_end ? history[w][at[w]].ended : first_end;
        }
    }
    if (done) {
        return true;
    }
    for (int w = 0; w < WORKERS; w++) {
        if (at[w] == calls_each || history[w][at[w]].began > first_end) {
            continue;
        }
        const call *c = &history[w][at[w]];
        int next[WORKERS], after[MOST * WORKERS];
        size_t m = n;
        memcpy(next, at, sizeof next);
        if (n > 0) {
            memcpy(after, content, n * sizeof *content);
        }
        next[w]++;
        bool right;
        switch (c->what) {
        case TRY_PUT:
        case PUT_UNTIL:
            right = c->status == CTH_OK
                        ? n < bound
                        : n == bound && c->status == (c->what == TRY_PUT ? CTH_FULL : CTH_TIMEDOUT);
            if (c->status == CTH_OK && right) {
                after[m++] = c->value;
            }
            break;
        case TRY_GET:
        case GET_UNTIL:
            right = c->status == CTH_OK
                        ? n > 0 && content[0] == c->value
                        : n == 0 && c->status == (c->what == TRY_GET ? CTH_EMPTY : CTH_TIMEDOUT);
            if (c->status == CTH_OK && right) {
                m--;
                memmove(after, after + 1, m * sizeof *after);
            }
            break;
        default: right = c->value == (int)n; break;
        }
        if (right && explains(next, after, m)) {
            return true;
        }
    }
    return false;
}

static cth_status linearizable(void *arg) {
    static const int start[WORKERS];
    cth_thread *threads[WORKERS - 1];
    (void)arg;
    bound = 1 + cth_sim_choose(2);
    fresh(bound);
    calls_each = MOST;
    cth__store(&ticks, 0, relaxed);
    for (int w = 1; w < WORKERS; w++) {
        threads[w - 1] = sim_spawn(make_calls, history[w]);
    }
    CTH_SIM_CHECK(make_calls(history[0]) == CTH_OK);
    for (int w = 1; w < WORKERS; w++) {
        sim_join(threads[w - 1]);
    }
    CTH_SIM_CHECK(explains(start, NULL, 0));
    finish();
    return CTH_OK;
}

/* -- complete searches ---------------------------------------------------------------------------
 */

static cth_status get_one(void *arg) {
    (void)arg;
    int value = 0;
    CTH_SIM_CHECK(cth_queue_get(&queue, &value) == CTH_OK && value == 1);
    return CTH_OK;
}

static cth_status pair(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *getter = sim_spawn(get_one, NULL);
    CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_OK);
    sim_join(getter);
    finish();
    return CTH_OK;
}

static cth_status full_pair(void *arg) {
    (void)arg;
    fresh(1);
    CTH_SIM_CHECK(cth_queue_put(&queue, &one) == CTH_OK);
    cth_thread *putter = sim_spawn(put_one, &queue);
    CTH_SIM_CHECK(get_one(NULL) == CTH_OK);
    CTH_SIM_CHECK(get_one(NULL) == CTH_OK);
    sim_join(putter);
    finish();
    return CTH_OK;
}

/* -- bugs that must be found --------------------------------------------------------------------
 */

/* A queue for one element on one condition, on which both sorts of waiters wait and one is woken.
   Planted: the one may be of the wrong sort. */
static struct {
    cth_mutex mutex;
    cth_cond changed;
    int count;
} toy;

static cth_status toy_put(void *arg) {
    (void)arg;
    CTH_WITH(&toy.mutex) {
        CTH_WAIT_WHILE(&toy.changed, &toy.mutex, toy.count == 1);
        toy.count = 1;
        CTH_SIM_CHECK(cth_cond_notify(&toy.changed, planted ? 1 : 9) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status toy_get(void *arg) {
    (void)arg;
    CTH_WITH(&toy.mutex) {
        CTH_WAIT_WHILE(&toy.changed, &toy.mutex, toy.count == 0);
        toy.count = 0;
        CTH_SIM_CHECK(cth_cond_notify(&toy.changed, planted ? 1 : 9) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status one_condition_for_two(void *arg) {
    cth_thread *threads[4];
    (void)arg;
    sim_begin();
    memset(&toy, 0, sizeof toy);
    for (int i = 0; i < 4; i++) {
        threads[i] = sim_spawn(i < 2 ? toy_get : toy_put, NULL);
    }
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* Two waiters, each on a bell of its own; a put rings the one that came first. Planted: a waiter
   whose deadline passed does not look whether it was chosen, and takes the put with it. */
static struct {
    cth_mutex mutex;
    cth_event bells[2];
    bool waits[2], chosen[2];
} office;

static void office_put(void) {
    CTH_WITH(&office.mutex) {
        const int who = office.waits[0] ? 0 : 1;
        office.chosen[who] = true;
        office.waits[who] = false;
        CTH_SIM_CHECK(cth_event_set(&office.bells[who]) == CTH_OK);
    }
}

static cth_status hasty(void *arg) {
    bool *got = (bool *)arg;
    const cth_status status = cth_event_wait_until(&office.bells[0], sim_soon());
    CTH_WITH(&office.mutex) {
        *got = status == CTH_OK || (office.chosen[0] && !planted);
        office.waits[0] = false;
    }
    return CTH_OK;
}

static cth_status patient(void *arg) {
    (void)arg;
    return cth_event_wait(&office.bells[1]);
}

static cth_status timeout_eats_the_wake(void *arg) {
    bool got = false;
    (void)arg;
    sim_begin();
    memset(&office, 0, sizeof office);
    office.waits[0] = office.waits[1] = true;
    cth_thread *first = sim_spawn(hasty, &got);
    cth_thread *second = sim_spawn(patient, NULL);
    office_put();
    sim_join(first);
    if (got) {
        office_put();
    }
    sim_join(second);
    return CTH_OK;
}

static void passing(void) {
    SIM_PASS(hand_over_1, SIM_WAITS, 2500);
    SIM_PASS(hand_over_unbounded, SIM_ALL, 2500);
    SIM_PASS(timeouts, SIM_WAITS, 2500);
    SIM_PASS(cancelled, SIM_WAITS, 2500);
    SIM_PASS(shutdown_meets_all, SIM_WAITS, 2500);
    SIM_PASS(freed_at_once, 0, 2500);
}

static void histories(void) {
    SIM_PASS(linearizable, SIM_WAITS, 50000);
}

static void complete(void) {
    SIM_COMPLETE(pair, 0);
    SIM_COMPLETE(full_pair, 0);
    SIM_COMPLETE(freed_at_once, 0);
}

static void found(void) {
    SIM_FOUND(one_condition_for_two, 0, "deadlock");
    SIM_FOUND(timeout_eats_the_wake, CTH_SIM_TIMEOUTS, "deadlock");
}

static const test_case tests[] = {TEST(passing), TEST(histories), TEST(complete), TEST(found)};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
