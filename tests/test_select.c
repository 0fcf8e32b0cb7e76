/* test_select.c - select: which case happens, that it happens once, and what the others leave

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <time.h>

static void chan_init(cth_chan *chan, size_t capacity) {
    CHECK_STATUS(cth_chan_init(chan, sizeof(int), capacity, NULL), CTH_OK);
}

static void chan_end(cth_chan *chan) {
    CHECK_STATUS(cth_chan_destroy(chan), CTH_OK);
}

static void give(cth_chan *chan, int value) {
    CHECK_STATUS(cth_chan_send(chan, &value), CTH_OK);
}

static int take(cth_chan *chan) {
    int value = -1;
    CHECK_STATUS(cth_chan_recv(chan, &value), CTH_OK);
    return value;
}

static void set(cth_event *event) {
    CHECK_STATUS(cth_event_set(event), CTH_OK);
}

static void clear(cth_event *event) {
    CHECK_STATUS(cth_event_clear(event), CTH_OK);
}

/* A call of select, for the helpers with waiters. Each call works on a copy of the cases. */
typedef struct call {
    const cth_case *cases;
    size_t n;
    bool in_place; // ... but with this
    size_t index;  // what the latest call said
} call;

static cth_status call_with(call *c,
                            cth_status (*fn)(cth_case *, size_t, size_t *, cth_time),
                            cth_time deadline) {
    cth_case copy[16];
    size_t index = 12345;
    if (c->in_place) {
        const cth_status status = fn((cth_case *)(uintptr_t)c->cases, c->n, &index, deadline);
        c->index = index;
        return status;
    }
    CHECK(c->n <= TEST_COUNT(copy));
    for (size_t i = 0; i < c->n; i++) {
        copy[i] = c->cases[i];
    }
    const cth_status status = fn(copy, c->n, &index, deadline);
    CHECK(index <= c->n);
    CHECK(status != CTH_TIMEDOUT || index == c->n);
    return status;
}

static cth_status select_until(void *object, cth_time deadline) {
    return call_with((call *)object, cth_select_until, deadline);
}

static cth_status ready_until(void *object, cth_time deadline) {
    return call_with((call *)object, cth_select_ready_until, deadline);
}

static cth_status forever(cth_case *cases, size_t n, size_t *index, cth_time deadline) {
    (void)deadline;
    return cth_select(cases, n, index);
}

static cth_status ready_forever(cth_case *cases, size_t n, size_t *index, cth_time deadline) {
    (void)deadline;
    return cth_select_ready(cases, n, index);
}

static cth_status try_it(cth_case *cases, size_t n, size_t *index, cth_time deadline) {
    (void)deadline;
    return cth_try_select(cases, n, index);
}

static cth_status far_off(cth_case *cases, size_t n, size_t *index, cth_time deadline) {
    (void)deadline;
    return cth_select_until(cases, n, index, cth_after(CTH_S(3600)));
}

static cth_status until_past(cth_case *cases, size_t n, size_t *index, cth_time deadline) {
    (void)deadline;
    return cth_select_until(cases, n, index, 1);
}

/* The forms that let a case happen. */
static cth_status (*const forms[])(cth_case *, size_t, size_t *, cth_time) = {forever, try_it,
                                                                              far_off, until_past};

/* A waiter that sleeps in a select of its own. */
typedef struct sleeper {
    test_waiter w;
    call c;
} sleeper;

static cth_status sleep_in_select(void *object, cth_time deadline) {
    return call_with((call *)object, deadline == CTH_FOREVER ? forever : cth_select_until,
                     deadline);
}

static cth_status sleep_in_ready(void *object, cth_time deadline) {
    return call_with((call *)object,
                     deadline == CTH_FOREVER ? ready_forever : cth_select_ready_until, deadline);
}

static void sleeper_start(sleeper *s, cth_case *cases, size_t n, bool watches) {
    memset(s, 0, sizeof *s);
    s->c.cases = cases;
    s->c.n = n;
    s->c.in_place = true;
    test_waiter_start(&s->w, watches ? sleep_in_ready : sleep_in_select, &s->c, CTH_FOREVER);
}

static void sleeper_asleep(sleeper *s) {
    test_waiter_asleep(&s->w);
    CHECK_EQ(atomic_load(&s->w.done), 0);
}

/* Start one, and return when it sleeps. */
static void sleeper_ready(sleeper *s, cth_case *cases, size_t n, bool watches) {
    sleeper_start(s, cases, n, watches);
    sleeper_asleep(s);
}

static void sleeper_says(sleeper *s, cth_status status, size_t index) {
    CHECK_STATUS(test_waiter_end(&s->w), status);
    CHECK_EQ(s->c.index, index);
}

/* cth_try_select must say this. */
static void tries(cth_case *cases, size_t n, cth_status status, size_t index) {
    size_t got = 12345;
    CHECK_STATUS(cth_try_select(cases, n, &got), status);
    CHECK_EQ(got, index);
}

/* ... and cth_select_ready_until without waiting. */
static void looks(cth_case *cases, size_t n, cth_status status, size_t index) {
    size_t got = 12345;
    CHECK_STATUS(cth_select_ready_until(cases, n, &got, 0), status);
    CHECK_EQ(got, index);
}

/* -- chance --------------------------------------------------------------------------------------
 */

/* Counts that are all equally likely: a value that exceeds the limit below once in 10^8 times. */
static double chi_square(const int *counts, size_t n) {
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        sum += counts[i];
    }
    const double expected = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        square += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return square;
}

static void check_even(const char *what, const int *counts, size_t n) {
    // By degrees of freedom: n - 1.
    static const double limits[] = {0,    32.8, 36.8, 40.1, 43.1, 45.8, 48.4, 50.8, 53.2,
                                    55.4, 57.7, 59.8, 61.9, 64.0, 66.0, 68.0, 70.0, 71.9,
                                    73.8, 75.7, 77.6, 79.4, 81.3, 83.1, 84.9, 86.6};
    CHECK(n - 1 < TEST_COUNT(limits));
    if (chi_square(counts, n) > limits[n - 1]) {
        printf("     %s:", what);
        for (size_t i = 0; i < n; i++) {
            printf(" %d", counts[i]);
        }
        printf("\n");
        CHECK(chi_square(counts, n) <= limits[n - 1]);
    }
}

/* -- each kind of case ---------------------------------------------------------------------------
 */

enum { RECV, SEND, GET, EVENT, LATCH, CANCEL, TIME, TIMED, KINDS };

/* One object for each kind of case, none of them ready. */
typedef struct scene {
    cth_chan from, to, timed;
    cth_queue queue;
    cth_event event;
    cth_latch latch;
    cth_cancel token;
    cth_time deadline;
    int received, sent, got;
    cth_time due;
} scene;

static void scene_init(scene *s) {
    memset(s, 0, sizeof *s);
    chan_init(&s->from, 2);
    chan_init(&s->to, 1);
    give(&s->to, 1);
    CHECK_STATUS(cth_chan_after(&s->timed, CTH_S(3600)), CTH_OK);
    CHECK_STATUS(cth_queue_init(&s->queue, sizeof(int), 0, NULL), CTH_OK);
    CHECK_STATUS(cth_latch_add(&s->latch, 1), CTH_OK);
    CHECK_STATUS(cth_cancel_init(&s->token, NULL, CTH_FOREVER), CTH_OK);
    s->deadline = cth_after(CTH_S(3600));
    s->received = s->got = -1;
    s->sent = 2;
    s->due = -1;
}

static void scene_end(scene *s) {
    chan_end(&s->from);
    chan_end(&s->to);
    chan_end(&s->timed);
    CHECK_STATUS(cth_queue_destroy(&s->queue), CTH_OK);
    CHECK_STATUS(cth_event_destroy(&s->event), CTH_OK);
    CHECK_STATUS(cth_latch_destroy(&s->latch), CTH_OK);
    CHECK_STATUS(cth_cancel_destroy(&s->token), CTH_OK);
}

static cth_case scene_case(scene *s, int kind) {
    switch (kind) {
    case RECV: return CTH_RECV(&s->from, &s->received);
    case SEND: return CTH_SEND(&s->to, &s->sent);
    case GET: return CTH_GET(&s->queue, &s->got);
    case EVENT: return CTH_ON_EVENT(&s->event);
    case LATCH: return CTH_ON_LATCH(&s->latch);
    case CANCEL: return CTH_ON_CANCEL(&s->token);
    case TIME: return CTH_ON_TIME(s->deadline);
    default: return CTH_RECV(&s->timed, &s->due);
    }
}

static void scene_cases(scene *s, cth_case *cases) {
    for (int kind = 0; kind < KINDS; kind++) {
        cases[kind] = scene_case(s, kind);
    }
}

/* Before the cases are made: those that become ready by themselves do so at `deadline`. */
static void scene_due(scene *s, int kind, cth_time deadline) {
    if (kind == TIME) {
        s->deadline = deadline;
    } else if (kind == TIMED) {
        const cth_time span = deadline - cth_now();
        CHECK_STATUS(cth_chan_after(&s->timed, span > 0 ? span : 0), CTH_OK);
    }
}

static void scene_make_ready(scene *s, int kind) {
    const int element = 33;
    switch (kind) {
    case RECV: give(&s->from, 11); break;
    case SEND: CHECK_EQ(take(&s->to), 1); break;
    case GET: CHECK_STATUS(cth_queue_put(&s->queue, &element), CTH_OK); break;
    case EVENT: set(&s->event); break;
    case LATCH: CHECK_STATUS(cth_latch_done(&s->latch), CTH_OK); break;
    case CANCEL: CHECK_STATUS(cth_cancel_request(&s->token, "test"), CTH_OK); break;
    default: break;
    }
}

/* The values are as they were, but for that of the case that happened (KINDS: none). */
static void scene_check(scene *s, int happened) {
    CHECK_EQ(s->received, happened == RECV ? 11 : -1);
    CHECK_EQ(s->got, happened == GET ? 33 : -1);
    CHECK_EQ(s->sent, 2);
    CHECK((s->due != -1) == (happened == TIMED));
    if (happened == SEND) {
        CHECK_EQ(take(&s->to), 2);
        give(&s->to, 1);
    }
}

static void each_kind_alone(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t form = 0; form < TEST_COUNT(forms); form++) {
            scene s;
            size_t index = 12345;
            scene_init(&s);
            cth_case c = scene_case(&s, kind);
            tries(&c, 1, CTH_TIMEDOUT, 1);
            looks(&c, 1, CTH_TIMEDOUT, 1);
            CHECK_STATUS(cth_select_until(&c, 1, &index, cth_after(CTH_US(100))), CTH_TIMEDOUT);
            CHECK_EQ(index, 1);
            CHECK_STATUS(cth_select_ready_until(&c, 1, NULL, cth_after(CTH_US(100))), CTH_TIMEDOUT);
            scene_check(&s, KINDS);
            scene_due(&s, kind, cth_now());
            scene_make_ready(&s, kind);
            c = scene_case(&s, kind);
            for (int i = 0; i < 3; i++) { // a look changes nothing
                looks(&c, 1, CTH_OK, 0);
                CHECK_STATUS(cth_select_ready(&c, 1, &index), CTH_OK);
                CHECK_EQ(index, 0);
                scene_check(&s, KINDS);
            }
            index = 12345;
            CHECK_STATUS(forms[form](&c, 1, &index, 0), CTH_OK);
            CHECK_EQ(index, 0);
            scene_check(&s, kind);
            // What is taken is gone; what is only looked at stays.
            const bool stays = kind == EVENT || kind == LATCH || kind == CANCEL || kind == TIME;
            tries(&c, 1, stays ? CTH_OK : CTH_TIMEDOUT, stays ? 0 : 1);
            scene_end(&s);
        }
    }
}

static void one_of_all_kinds(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t form = 0; form < TEST_COUNT(forms); form++) {
            scene s;
            cth_case cases[KINDS];
            size_t index = 12345;
            scene_init(&s);
            scene_cases(&s, cases);
            tries(cases, KINDS, CTH_TIMEDOUT, KINDS);
            scene_due(&s, kind, cth_now());
            scene_make_ready(&s, kind);
            scene_cases(&s, cases);
            looks(cases, KINDS, CTH_OK, (size_t)kind);
            scene_check(&s, KINDS);
            CHECK_STATUS(forms[form](cases, KINDS, &index, 0), CTH_OK);
            CHECK_EQ(index, kind);
            scene_check(&s, kind);
            scene_end(&s);
        }
    }
}

/* A thread sleeps, and a case becomes ready; alone, and among all kinds. */
static void wakes_by_each_kind(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (int among = 0; among < 2; among++) {
            scene s;
            cth_case cases[KINDS];
            sleeper sl;
            scene_init(&s);
            const bool by_itself = kind == TIME || kind == TIMED;
            scene_due(&s, kind, cth_after(CTH_MS(5)));
            scene_cases(&s, cases);
            sleeper_start(&sl, among != 0 ? cases : &cases[kind], among != 0 ? KINDS : 1, false);
            if (!by_itself) {
                sleeper_asleep(&sl);
                scene_make_ready(&s, kind);
            }
            sleeper_says(&sl, CTH_OK, among != 0 ? (size_t)kind : 0);
            CHECK(kind != TIME || sl.w.ended >= s.deadline);
            CHECK(kind != TIMED || sl.w.ended >= s.due);
            scene_check(&s, kind);
            scene_end(&s);
        }
    }
}

/* The same with a call that only looks: then it is ready, and nothing has happened. */
static void a_watcher_is_woken_by_each_kind(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (int among = 0; among < 2; among++) {
            scene s;
            cth_case cases[KINDS];
            sleeper sl;
            scene_init(&s);
            const bool by_itself = kind == TIME || kind == TIMED;
            scene_due(&s, kind, cth_after(CTH_MS(5)));
            scene_cases(&s, cases);
            cth_case *first = among != 0 ? cases : &cases[kind];
            const size_t n = among != 0 ? KINDS : 1;
            sleeper_start(&sl, first, n, true);
            if (!by_itself) {
                sleeper_asleep(&sl);
                scene_make_ready(&s, kind);
            }
            sleeper_says(&sl, CTH_OK, among != 0 ? (size_t)kind : 0);
            scene_check(&s, KINDS);
            tries(first, n, CTH_OK, among != 0 ? (size_t)kind : 0);
            scene_check(&s, kind);
            scene_end(&s);
        }
    }
}

static void timed_channels(void) {
    cth_chan after, tick;
    cth_time due = -1, last = 0;
    size_t index;
    CHECK_STATUS(cth_chan_after(&after, CTH_MS(3)), CTH_OK);
    CHECK_STATUS(cth_chan_tick(&tick, CTH_MS(1)), CTH_OK);
    cth_case cases[] = {CTH_RECV(&after, &due), CTH_RECV(&tick, &due)};
    int ticks = 0, afters = 0;
    while (ticks < 10 || afters < 1) {
        CHECK_STATUS(cth_select(cases, 2, &index), CTH_OK);
        CHECK(due <= cth_now());
        if (index == 1) {
            CHECK(due > last);
            last = due;
            ticks++;
        } else {
            CHECK_EQ(index, 0);
            afters++;
        }
    }
    CHECK_EQ(afters, 1);
    chan_end(&after);
    chan_end(&tick);
}

CTH_CHAN_OF(int, ints);
CTH_QUEUE_OF(int, int_queue);

static void typed_objects(void) {
    ints c;
    int_queue q;
    int value = 0;
    CHECK_STATUS(ints_init(&c, 1, NULL), CTH_OK);
    CHECK_STATUS(int_queue_init(&q, 0, NULL), CTH_OK);
    cth_case cases[] = {CTH_RECV(&c.chan, &value), CTH_GET(&q.queue, &value)};
    CHECK_STATUS(ints_send(&c, 5), CTH_OK);
    tries(cases, 2, CTH_OK, 0);
    CHECK_EQ(value, 5);
    CHECK_STATUS(int_queue_put(&q, 6), CTH_OK);
    tries(cases, 2, CTH_OK, 1);
    CHECK_EQ(value, 6);
    chan_end(&c.chan);
    CHECK_STATUS(cth_queue_destroy(&q.queue), CTH_OK);
}

static int by_value(const void *a, const void *b, void *arg) {
    (void)arg;
    return *(const int *)a - *(const int *)b;
}

static void gets_in_the_queue_s_order(void) {
    cth_queue queue;
    const cth_queue_desc desc = {.order = CTH_PRIORITY, .compare = by_value};
    int element = 0;
    CHECK_STATUS(cth_queue_init(&queue, sizeof element, 0, &desc), CTH_OK);
    for (int i = 5; i > 0; i--) {
        CHECK_STATUS(cth_queue_put(&queue, &i), CTH_OK);
    }
    cth_case c = CTH_GET(&queue, &element);
    for (int i = 1; i <= 5; i++) {
        tries(&c, 1, CTH_OK, 0);
        CHECK_EQ(element, i);
    }
    tries(&c, 1, CTH_TIMEDOUT, 1);
    CHECK_STATUS(cth_queue_destroy(&queue), CTH_OK);
}

/* -- no case, and bad ones -----------------------------------------------------------------------
 */

static void objects_that_are_null(void) {
    int value = 7;
    size_t index = 12345;
    cth_case cases[] = {CTH_RECV(NULL, &value),  CTH_SEND(NULL, &value),  CTH_GET(NULL, &value),
                        CTH_ON_EVENT(NULL),      CTH_ON_LATCH(NULL),      CTH_ON_CANCEL(NULL),
                        {.kind = CTH_CASE_NONE}, CTH_ON_TIME(CTH_FOREVER)};
    const size_t n = TEST_COUNT(cases);
    for (size_t i = 0; i < n; i++) {
        tries(&cases[i], 1, CTH_TIMEDOUT, 1);
        looks(&cases[i], 1, CTH_TIMEDOUT, 1);
    }
    tries(cases, n, CTH_TIMEDOUT, n);
    const cth_time deadline = cth_after(CTH_MS(2));
    CHECK_STATUS(cth_select_until(cases, n, &index, deadline), CTH_TIMEDOUT);
    CHECK(cth_now() >= deadline);
    CHECK_EQ(index, n);
    cases[6] = CTH_ON_TIME(0);
    tries(cases, n, CTH_OK, 6);
    CHECK_EQ(value, 7);
}

/* A thread that waits for cases that cannot become ready, or for none, until it is cancelled. */
static void no_case_at_all(void) {
    cth_case null = CTH_RECV(NULL, NULL);
    for (size_t n = 0; n < 2; n++) {
        cth_case *cases = n != 0 ? &null : NULL;
        cth_cancel token = CTH_CANCEL_INIT;
        size_t index = 12345;
        tries(cases, n, CTH_TIMEDOUT, n);
        looks(cases, n, CTH_TIMEDOUT, n);
        CHECK_STATUS(cth_try_select(cases, n, NULL), CTH_TIMEDOUT);
        const cth_time deadline = cth_after(CTH_MS(2));
        CHECK_STATUS(cth_select_until(cases, n, &index, deadline), CTH_TIMEDOUT);
        CHECK(cth_now() >= deadline);
        CHECK_EQ(index, n);
        for (int watches = 0; watches < 2; watches++) {
            sleeper s = {.c = {.cases = cases, .n = n, .in_place = true}};
            CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
            s.w.token = &token;
            test_waiter_start(&s.w, watches != 0 ? sleep_in_ready : sleep_in_select, &s.c,
                              CTH_FOREVER);
            sleeper_asleep(&s);
            CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
            sleeper_says(&s, CTH_CANCELLED, n);
            CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
        }
        CHECK_STATUS(cth_cancel_init(&token, NULL, cth_after(CTH_MS(2))), CTH_OK);
        CTH_UNDER(&token) {
            CHECK_STATUS(cth_select(cases, n, &index), CTH_CANCELLED);
            CHECK_EQ(index, n);
        }
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    }
}

/* `bad` makes the call invalid, wherever it stands and whatever else is ready. */
static void refuses(cth_case bad) {
    cth_chan chan;
    int value = 5;
    size_t index;
    chan_init(&chan, 1);
    give(&chan, 9);
    for (int first = 0; first < 2; first++) {
        cth_case cases[] = {bad, CTH_RECV(&chan, &value), CTH_ON_TIME(0)};
        if (first != 0) {
            cases[0] = cases[2];
            cases[2] = bad;
        }
        for (size_t form = 0; form < TEST_COUNT(forms); form++) {
            index = 12345;
            CHECK_STATUS(forms[form](cases, 3, &index, 0), CTH_INVALID);
            CHECK_EQ(index, 3);
        }
        looks(cases, 3, CTH_INVALID, 3);
        CHECK_STATUS(cth_select_ready(cases, 3, NULL), CTH_INVALID);
        CHECK_STATUS(cth_select(cases, 3, NULL), CTH_INVALID);
    }
    CHECK_STATUS(cth_select(&bad, 1, &index), CTH_INVALID);
    CHECK_EQ(index, 1);
    CHECK_EQ(value, 5);
    CHECK_EQ(take(&chan), 9);
    chan_end(&chan);
}

static void bad_cases(void) {
    cth_chan timed, ticks;
    const int unknown[] = {CTH_CASE_TIME + 1, CTH_CASE_TIME + 2, 1000, INT32_MAX, -1};
    cth_event event = CTH_EVENT_INIT;
    set(&event);
    for (size_t i = 0; i < TEST_COUNT(unknown); i++) {
        refuses((cth_case){.kind = (cth_case_kind)unknown[i], .object = &event});
        refuses((cth_case){.kind = (cth_case_kind)unknown[i]});
    }
    refuses(CTH_ON_TIME(-1));
    refuses(CTH_ON_TIME(INT64_MIN));
    refuses(CTH_ON_TIME(cth_after(-1)));
    cth_time due = 0;
    CHECK_STATUS(cth_chan_after(&timed, 0), CTH_OK);
    CHECK_STATUS(cth_chan_tick(&ticks, CTH_S(1)), CTH_OK);
    refuses(CTH_SEND(&timed, &due));
    refuses(CTH_SEND(&ticks, &due));
#ifdef CTHREADS_DEBUG
    cth_chan gone;
    chan_init(&gone, 1);
    chan_end(&gone);
    refuses(CTH_RECV(&gone, &due));
    refuses(CTH_SEND(&gone, &due));
#endif
    CHECK_STATUS(cth_chan_recv(&timed, &due), CTH_OK); // it is still there
}

static void refuses_negative_deadlines(void) {
    cth_event event = CTH_EVENT_INIT;
    cth_case c = CTH_ON_EVENT(&event);
    call alone = {&c, 1, false, 0}, none = {NULL, 0, false, 0};
    for (int is_set = 0; is_set < 2; is_set++) {
        test_refuses_negative(select_until, &alone);
        test_refuses_negative(ready_until, &alone);
        set(&event);
    }
    test_refuses_negative(select_until, &none);
    test_refuses_negative(ready_until, &none);
    size_t index = 12345;
    CHECK_STATUS(cth_select_until(&c, 1, &index, -1), CTH_INVALID);
    CHECK_EQ(index, 1);
}

/* -- deadlines -----------------------------------------------------------------------------------
 */

static void times_out(void) {
    cth_event event = CTH_EVENT_INIT;
    cth_latch latch = CTH_LATCH_INIT(1);
    cth_chan empty, met;
    int value = 3;
    chan_init(&empty, 1);
    chan_init(&met, 0);
    cth_case cases[] = {CTH_ON_EVENT(&event), CTH_ON_LATCH(&latch), CTH_RECV(&empty, &value),
                        CTH_SEND(&met, &value), CTH_ON_TIME(CTH_FOREVER)};
    call c = {cases, TEST_COUNT(cases), false, 0};
    test_times_out(select_until, &c);
    test_times_out(ready_until, &c);
    CHECK_EQ(value, 3);
    chan_end(&empty);
    chan_end(&met);
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
    CHECK_STATUS(cth_latch_destroy(&latch), CTH_OK);
}

static cth_event flag = CTH_EVENT_INIT;

static void set_flag(void *object) {
    (void)object;
    set(&flag);
}

static void clear_flag(void *object) {
    (void)object;
    clear(&flag);
}

static void succeeds_and_waits_long(void) {
    cth_case cases[] = {CTH_RECV(NULL, NULL), CTH_ON_EVENT(&flag)};
    call c = {cases, 2, false, 0};
    test_succeeds(select_until, &c, set_flag);
    test_succeeds(ready_until, &c, set_flag);
    test_waits_long(select_until, &c, clear_flag, set_flag);
    test_waits_long(ready_until, &c, clear_flag, set_flag);
}

/* The time of a case, of its token, of a timed channel, of the call: the earliest counts. */
static void the_earliest_time_counts(void) {
    enum { CASE, TOKEN, CHANNEL, CALL, WAYS };
    for (int first = 0; first < WAYS; first++) {
        cth_cancel token;
        cth_chan after;
        cth_time due = -1;
        size_t index = 12345;
        const cth_time soon = cth_after(CTH_MS(3));
        const cth_time late = cth_after(CTH_S(3600));
        CHECK_STATUS(cth_cancel_init(&token, NULL, first == TOKEN ? soon : late), CTH_OK);
        CHECK_STATUS(cth_chan_after(&after, first == CHANNEL ? CTH_MS(3) : CTH_S(3600)), CTH_OK);
        cth_case cases[] = {CTH_ON_TIME(first == CASE ? soon : late), CTH_ON_CANCEL(&token),
                            CTH_RECV(&after, &due)};
        const cth_status status = cth_select_until(cases, 3, &index, first == CALL ? soon : late);
        CHECK_STATUS(status, first == CALL ? CTH_TIMEDOUT : CTH_OK);
        CHECK_EQ(index, first);
        CHECK(cth_now() >= soon);
        CHECK((due != -1) == (first == CHANNEL));
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
        chan_end(&after);
    }
}

/* It sleeps: no loop that asks again and again. */
static void a_sleeping_select_uses_no_cpu(void) {
    scene s;
    cth_case cases[KINDS];
    scene_init(&s);
    s.deadline = cth_after(CTH_MS(700));
    scene_cases(&s, cases);
    size_t index = 12345;
    const clock_t before = clock();
    CHECK_STATUS(cth_select(cases, KINDS, &index), CTH_OK);
    CHECK(clock() - before < CLOCKS_PER_SEC * 35 / 100);
    CHECK_EQ(index, TIME);
    scene_end(&s);
}

/* -- the macros ----------------------------------------------------------------------------------
 */

static void in_a_switch(void) {
    cth_chan from, to;
    cth_event event = CTH_EVENT_INIT;
    int value = 0, steps = 0;
    const int out = 4;
    cth_status status = CTH_BROKEN;
    chan_init(&from, 1);
    chan_init(&to, 1);
    give(&to, 0);
    for (;;) {
        switch (CTH_TRY_SELECT(&status, CTH_RECV(&from, &value), CTH_SEND(&to, &out),
                               CTH_ON_EVENT(&event))) {
        case 0:
            CHECK_EQ(steps, 1);
            CHECK_STATUS(status, CTH_OK);
            CHECK_EQ(value, 3);
            CHECK_EQ(take(&to), 0);
            break;
        case 1:
            CHECK_EQ(steps, 2);
            CHECK_STATUS(status, CTH_OK);
            CHECK_EQ(take(&to), 4);
            give(&to, 0);
            set(&event);
            break;
        case 2:
            CHECK_EQ(steps, 3);
            CHECK_STATUS(status, CTH_OK);
            clear(&event);
            CHECK_STATUS(cth_chan_close(&from), CTH_OK);
            goto closed;
        default:
            CHECK_EQ(steps, 0);
            CHECK_STATUS(status, CTH_TIMEDOUT);
            give(&from, 3);
            break;
        }
        steps++;
    }
closed:
    switch (CTH_SELECT(&status, CTH_SEND(&to, &out), CTH_RECV(&from, &value))) {
    case 0: CHECK(false); break;
    case 1: CHECK_STATUS(status, CTH_CLOSED); break;
    default: CHECK(false); break;
    }
    CHECK_EQ(CTH_SELECT(&status, CTH_ON_TIME(-1)), -1);
    CHECK_STATUS(status, CTH_INVALID);
    CHECK_EQ(CTH_TRY_SELECT(&status, CTH_ON_TIME(0)), 0);
    CHECK_STATUS(status, CTH_OK);
    CHECK_EQ(CTH_SELECT(&status, CTH_RECV(&to, &value)), 0);
    CHECK_EQ(value, 0);
    cth_cancel token = CTH_CANCEL_INIT;
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_EQ(CTH_SELECT(&status, CTH_ON_EVENT(&event)), -1);
        CHECK_STATUS(status, CTH_CANCELLED);
    }
    chan_end(&from);
    chan_end(&to);
}

static void the_macros_evaluate_once(void) {
    cth_chan chans[3];
    int values[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) {
        chan_init(&chans[i], 1);
    }
    give(&chans[2], 8);
    int i = 0, k = 0;
    cth_status status[2] = {CTH_BROKEN, CTH_BROKEN}, *s = status;
    CHECK_EQ(CTH_TRY_SELECT(s++, CTH_RECV(&chans[i++], &values[k++]), CTH_ON_EVENT(NULL)), -1);
    CHECK(i == 1 && k == 1 && s == status + 1);
    i = k = 2;
    CHECK_EQ(CTH_SELECT(s++, CTH_RECV(&chans[i++], &values[k++])), 0);
    CHECK(i == 3 && k == 3 && s == status + 2);
    CHECK_EQ(values[2], 8);
    CHECK_STATUS(status[0], CTH_TIMEDOUT);
    CHECK_STATUS(status[1], CTH_OK);
    for (i = 0; i < 3; i++) {
        chan_end(&chans[i]);
    }
}

/* -- closed and shut down ------------------------------------------------------------------------
 */

static void closed_is_ready(void) {
    static const size_t capacities[] = {0, 1, 3, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        int value = 6;
        chan_init(&chan, capacities[i]);
        cth_case recv = CTH_RECV(&chan, &value), send = CTH_SEND(&chan, &value);
        const bool memory = capacities[i] != 0;
        if (memory) {
            give(&chan, 1);
        }
        CHECK_STATUS(cth_chan_close(&chan), CTH_OK);
        tries(&send, 1, CTH_CLOSED, 0);
        looks(&send, 1, CTH_OK, 0);
        if (memory) { // what is in it comes first
            looks(&recv, 1, CTH_OK, 0);
            tries(&recv, 1, CTH_OK, 0);
            CHECK_EQ(value, 1);
        }
        value = 6;
        for (int k = 0; k < 3; k++) {
            tries(&recv, 1, CTH_CLOSED, 0);
            looks(&recv, 1, CTH_OK, 0);
            CHECK_EQ(value, 6);
        }
        chan_end(&chan);
    }
    cth_chan after;
    cth_time due = -1;
    CHECK_STATUS(cth_chan_after(&after, CTH_S(3600)), CTH_OK);
    cth_case recv = CTH_RECV(&after, &due);
    CHECK_STATUS(cth_chan_close(&after), CTH_OK);
    tries(&recv, 1, CTH_CLOSED, 0);
    CHECK_EQ(due, -1);
    chan_end(&after);
}

static void shut_down_is_ready(void) {
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    int value = 1;
    cth_case get = CTH_GET(&queue, &value);
    CHECK_STATUS(cth_queue_put(&queue, &(int){2}), CTH_OK);
    CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
    tries(&get, 1, CTH_OK, 0);
    CHECK_EQ(value, 2);
    tries(&get, 1, CTH_SHUTDOWN, 0);
    looks(&get, 1, CTH_OK, 0);
    CHECK_STATUS(cth_select(&get, 1, NULL), CTH_SHUTDOWN);
    CHECK_EQ(value, 2);
    CHECK_STATUS(cth_queue_destroy(&queue), CTH_OK);
}

/* Closing and shutting down wake threads that sleep in a select, all of them. */
static void close_wakes_all(void) {
    for (size_t capacity = 0; capacity < 2; capacity++) {
        for (int sends = 0; sends < 2; sends++) {
            cth_chan chan, never;
            int value = 1;
            sleeper s[3];
            cth_case cases[3][2];
            chan_init(&chan, capacity);
            chan_init(&never, 1);
            if (sends != 0 && capacity != 0) {
                give(&chan, 0);
            }
            for (int i = 0; i < 3; i++) {
                cases[i][0] = CTH_RECV(&never, &value);
                cases[i][1] = sends != 0 ? CTH_SEND(&chan, &value) : CTH_RECV(&chan, &value);
                sleeper_ready(&s[i], cases[i], 2, i == 2);
            }
            CHECK_STATUS(cth_chan_close(&chan), CTH_OK);
            for (int i = 0; i < 3; i++) {
                sleeper_says(&s[i], i == 2 ? CTH_OK : CTH_CLOSED, 1);
            }
            CHECK_EQ(value, 1);
            chan_end(&chan);
            chan_end(&never);
        }
    }
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    int value = 1;
    sleeper s[2];
    cth_case gets[2] = {CTH_GET(&queue, &value), CTH_GET(&queue, &value)};
    for (int i = 0; i < 2; i++) {
        sleeper_ready(&s[i], &gets[i], 1, i == 1);
    }
    CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
    sleeper_says(&s[0], CTH_SHUTDOWN, 0);
    sleeper_says(&s[1], CTH_OK, 0);
    CHECK_STATUS(cth_queue_destroy(&queue), CTH_OK);
    cth_chan tick;
    cth_time due = -1;
    CHECK_STATUS(cth_chan_tick(&tick, CTH_S(3600)), CTH_OK);
    cth_case recv = CTH_RECV(&tick, &due);
    sleeper_ready(&s[0], &recv, 1, false);
    CHECK_STATUS(cth_chan_close(&tick), CTH_OK);
    sleeper_says(&s[0], CTH_CLOSED, 0);
    CHECK_EQ(due, -1);
    chan_end(&tick);
}

static void all_closed(void) {
    enum { N = 4 };
    cth_chan chans[N];
    cth_case cases[N];
    int value = 2, counts[N] = {0};
    size_t index;
    for (size_t i = 0; i < N; i++) {
        chan_init(&chans[i], i);
        CHECK_STATUS(cth_chan_close(&chans[i]), CTH_OK);
        cases[i] = i % 2 == 0 ? CTH_RECV(&chans[i], &value) : CTH_SEND(&chans[i], &value);
    }
    for (int i = 0; i < 4000; i++) {
        CHECK_STATUS(cth_select(cases, N, &index), CTH_CLOSED);
        counts[index]++;
    }
    check_even("all closed", counts, N);
    CHECK_EQ(value, 2);
    for (size_t i = 0; i < N; i++) {
        chan_end(&chans[i]);
    }
}

/* -- one channel in several cases ----------------------------------------------------------------
 */

static void the_same_channel_twice(void) {
    static const size_t capacities[] = {1, 3, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        int a = 0, b = 0, seen[2] = {0, 0};
        chan_init(&chan, capacities[i]);
        cth_case cases[] = {CTH_RECV(&chan, &a), CTH_RECV(&chan, &b)};
        tries(cases, 2, CTH_TIMEDOUT, 2);
        for (int k = 1; k <= 200; k++) {
            size_t index;
            give(&chan, k);
            CHECK_STATUS(cth_select(cases, 2, &index), CTH_OK);
            CHECK_EQ(index == 0 ? a : b, k);
            CHECK((index == 0 ? b : a) != k);
            CHECK_EQ(cth_chan_len(&chan), 0);
            seen[index]++;
        }
        CHECK(seen[0] > 0 && seen[1] > 0);
        // Asleep in both, woken for one value; then by close.
        for (int closes = 0; closes < 2; closes++) {
            sleeper s;
            a = b = 0;
            sleeper_ready(&s, cases, 2, false);
            if (closes != 0) {
                CHECK_STATUS(cth_chan_close(&chan), CTH_OK);
            } else {
                give(&chan, 77);
            }
            CHECK_STATUS(test_waiter_end(&s.w), closes != 0 ? CTH_CLOSED : CTH_OK);
            CHECK(s.c.index < 2);
            CHECK_EQ(a + b, closes != 0 ? 0 : 77);
        }
        chan_end(&chan);
    }
}

/* Two threads sleep with the same channel twice each: as many values as threads do for both. */
static void two_with_the_same_channel_twice(void) {
    static const size_t capacities[] = {0, 2, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        sleeper s[2];
        cth_case cases[2][2];
        int values[4] = {0};
        const int sent[] = {5, 6};
        size_t n = 0;
        chan_init(&chan, capacities[i]);
        for (int k = 0; k < 2; k++) {
            cases[k][0] = CTH_RECV(&chan, &values[2 * k]);
            cases[k][1] = CTH_RECV(&chan, &values[2 * k + 1]);
            sleeper_ready(&s[k], cases[k], 2, false);
        }
        CHECK_STATUS(cth_chan_send_n(&chan, sent, 2, &n), CTH_OK);
        for (int k = 0; k < 2; k++) {
            CHECK_STATUS(test_waiter_end(&s[k].w), CTH_OK);
            CHECK_EQ(values[2 * k] + values[2 * k + 1], values[2 * k + (int)s[k].c.index]);
        }
        CHECK_EQ(values[0] + values[1] + values[2] + values[3], 11);
        CHECK_EQ(cth_chan_len(&chan), 0);
        chan_end(&chan);
    }
}

static void send_and_recv_on_one_channel(void) {
    static const size_t capacities[] = {1, 3, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        int in = -1, out = 0, expected = 0;
        size_t len = 0, most = 0;
        chan_init(&chan, capacities[i]);
        cth_case cases[] = {CTH_RECV(&chan, &in), CTH_SEND(&chan, &out)};
        for (int k = 0; k < 2000; k++) {
            size_t index;
            CHECK_STATUS(cth_select(cases, 2, &index), CTH_OK);
            if (index == 0) {
                CHECK(len > 0);
                CHECK_EQ(in, expected++);
                len--;
            } else {
                CHECK(len < cth_chan_cap(&chan));
                out++;
                len++;
            }
            CHECK_EQ(cth_chan_len(&chan), len);
            most = len > most ? len : most;
        }
        CHECK_EQ(most < 3 ? most : 3, capacities[i] == 1 ? 1 : 3);
        chan_end(&chan);
    }
}

/* One thread at a time at each end of a channel, by select. */
enum { STREAM = 20000 };

static cth_status stream(void *arg) {
    for (int i = 0; i < STREAM; i++) {
        cth_case cases[] = {CTH_ON_EVENT(NULL), CTH_SEND((cth_chan *)arg, &i)};
        CHECK_STATUS(cth_select(cases, 2, NULL), CTH_OK);
    }
    CHECK_STATUS(cth_chan_close((cth_chan *)arg), CTH_OK);
    return CTH_OK;
}

static void channels_for_single_threads(void) {
    static const size_t capacities[] = {1, 5, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        const cth_chan_desc desc = {.single = true};
        cth_status status = CTH_OK;
        int next = 0, value = -1;
        CHECK_STATUS(cth_chan_init(&chan, sizeof value, capacities[i], &desc), CTH_OK);
        cth_case cases[] = {CTH_RECV(&chan, &value), CTH_ON_LATCH(NULL)};
        cth_thread *thread = test_spawn(stream, &chan);
        while ((status = cth_select(cases, 2, NULL)) == CTH_OK) {
            CHECK_EQ(value, next);
            next++;
        }
        CHECK_STATUS(status, CTH_CLOSED);
        CHECK_EQ(next, STREAM);
        CHECK_STATUS(test_join(thread), CTH_OK);
        chan_end(&chan);
    }
}

/* A rendezvous needs two threads: a select never meets itself. */
static void never_meets_itself(void) {
    cth_chan chan;
    int in = -1, other = -1;
    const int out = 4;
    size_t index = 12345;
    chan_init(&chan, 0);
    cth_case cases[] = {CTH_SEND(&chan, &out), CTH_RECV(&chan, &in), CTH_SEND(&chan, &out)};
    for (int i = 0; i < 3; i++) {
        tries(cases, 3, CTH_TIMEDOUT, 3);
        looks(cases, 3, CTH_TIMEDOUT, 3);
        CHECK_STATUS(cth_select_until(cases, 3, &index, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK_EQ(index, 3);
    }
    CHECK_EQ(in, -1);
    // Another thread is a partner for either.
    sleeper s;
    sleeper_ready(&s, cases, 3, false);
    cth_case receives = CTH_RECV(&chan, &other);
    tries(&receives, 1, CTH_OK, 0);
    CHECK_STATUS(test_waiter_end(&s.w), CTH_OK);
    CHECK(s.c.index == 0 || s.c.index == 2);
    CHECK(in == -1 && other == 4);
    sleeper_ready(&s, cases, 3, false);
    CHECK_STATUS(cth_chan_try_send(&chan, &(int){9}), CTH_OK);
    sleeper_says(&s, CTH_OK, 1);
    CHECK_EQ(in, 9);
    chan_end(&chan);
}

/* Each of a few threads sends its number or receives another's, on one rendezvous. */
typedef struct dancer {
    cth_chan *chan;
    int number;
    int rounds;
    int sent, received;
    long sum; // of what was received, minus what was sent
} dancer;

static cth_status dance(void *arg) {
    dancer *d = (dancer *)arg;
    for (int i = 0; i < d->rounds; i++) {
        int other = -1;
        cth_status status = CTH_BROKEN;
        switch (CTH_SELECT(&status, CTH_SEND(d->chan, &d->number), CTH_RECV(d->chan, &other))) {
        case 0:
            CHECK_STATUS(status, CTH_OK);
            CHECK_EQ(other, -1);
            d->sent++;
            d->sum -= d->number;
            break;
        case 1:
            CHECK_STATUS(status, CTH_OK);
            CHECK(other >= 0 && other != d->number);
            d->received++;
            d->sum += other;
            break;
        default: CHECK(false);
        }
    }
    return CTH_OK;
}

static void dance_with(int dancers, int rounds) {
    cth_chan chan;
    dancer d[4];
    cth_thread *thread[4];
    chan_init(&chan, 0);
    for (int i = 0; i < dancers; i++) {
        d[i] = (dancer){.chan = &chan, .number = i + 1, .rounds = rounds};
        thread[i] = test_spawn(dance, &d[i]);
    }
    int sent = 0, received = 0;
    long sum = 0;
    for (int i = 0; i < dancers; i++) {
        if (dancers == 2) {
            CHECK_STATUS(test_join(thread[i]), CTH_OK);
        } else {
            // With more than two the last one may be alone: then this thread is its partner.
            while (cth_thread_is_alive(thread[i])) {
                int value = 0;
                if (cth_chan_try_recv(&chan, &value) == CTH_OK) {
                    received++;
                    sum += value;
                }
                cth_yield();
            }
            CHECK_STATUS(test_join(thread[i]), CTH_OK);
        }
        sent += d[i].sent;
        received += d[i].received;
        sum += d[i].sum;
    }
    CHECK_EQ(sent, received);
    CHECK_EQ(sum, 0);
    chan_end(&chan);
}

static void selects_meet_each_other(void) {
    dance_with(2, 3000);
    dance_with(4, 1000);
}

/* Two threads, two rendezvous, each with both ends in the other order. */
typedef struct crossed {
    cth_chan *out, *in;
    int number, rounds;
    int sent, received;
} crossed;

static cth_status cross(void *arg) {
    crossed *c = (crossed *)arg;
    for (int i = 0; i < c->rounds; i++) {
        int other = -1;
        cth_case cases[] = {CTH_SEND(c->out, &c->number), CTH_RECV(c->in, &other)};
        size_t index;
        CHECK_STATUS(cth_select(cases, 2, &index), CTH_OK);
        CHECK_EQ(other, index == 0 ? -1 : 1 - c->number);
        c->sent += index == 0;
        c->received += index == 1;
    }
    return CTH_OK;
}

static void crossed_selects_meet(void) {
    cth_chan a, b;
    chan_init(&a, 0);
    chan_init(&b, 0);
    crossed one = {&a, &b, 0, 3000, 0, 0}, two = {&b, &a, 1, 3000, 0, 0};
    cth_thread *t = test_spawn(cross, &one), *u = test_spawn(cross, &two);
    CHECK_STATUS(test_join(t), CTH_OK);
    CHECK_STATUS(test_join(u), CTH_OK);
    CHECK(one.sent == two.received && one.received == two.sent);
    CHECK(one.sent > 0 && one.received > 0);
    chan_end(&a);
    chan_end(&b);
}

/* -- many cases ----------------------------------------------------------------------------------
 */

static void hundreds_of_channels(void) {
    enum { N = 400 };
    static cth_chan chans[N];
    static cth_case cases[N];
    static int values[N];
    for (size_t i = 0; i < N; i++) {
        chan_init(&chans[i], i % 4 == 0 ? CTH_UNBOUNDED : i % 4);
        values[i] = -1;
        cases[i] = CTH_RECV(&chans[i], &values[i]);
    }
    tries(cases, N, CTH_TIMEDOUT, N);
    for (size_t i = 0; i < N; i += 7) {
        size_t index = 12345;
        give(&chans[i], (int)i);
        CHECK_STATUS(cth_select(cases, N, &index), CTH_OK);
        CHECK_EQ(index, i);
        CHECK_EQ(values[i], i);
        values[i] = -1;
        CHECK_STATUS(cth_select_until(cases, N, &index, cth_after(CTH_US(50))), CTH_TIMEDOUT);
    }
    for (size_t i = 3; i < N; i += 59) { // the same array, asleep
        sleeper s;
        sleeper_ready(&s, cases, N, false);
        give(&chans[i], (int)i);
        sleeper_says(&s, CTH_OK, i);
        CHECK_EQ(values[i], i);
        values[i] = -1;
    }
    for (size_t i = 0; i < N; i++) {
        CHECK_EQ(values[i], -1);
        chan_end(&chans[i]);
    }
}

/* Two threads with hundreds of the same channels in opposite orders: their locks are taken in one
   order all the same. */
enum { BUSY = 300, BUSY_ROUNDS = 150 };
static cth_chan busy[BUSY];

static cth_status take_from_busy(void *arg) {
    cth_case cases[BUSY];
    int value = 0;
    for (size_t i = 0; i < BUSY; i++) {
        cases[i] = CTH_RECV(&busy[arg != NULL ? BUSY - 1 - i : i], &value);
    }
    for (int i = 0; i < BUSY_ROUNDS; i++) {
        size_t index;
        CHECK_STATUS(cth_select(cases, BUSY, &index), CTH_OK);
        CHECK(cases[index].object == &busy[value]);
    }
    return CTH_OK;
}

static void opposite_orders(void) {
    cth_rng rng;
    cth_rng_seed(&rng, 5);
    for (size_t i = 0; i < BUSY; i++) {
        chan_init(&busy[i], CTH_UNBOUNDED);
    }
    cth_thread *t = test_spawn(take_from_busy, NULL), *u = test_spawn(take_from_busy, &rng);
    for (int i = 0; i < 2 * BUSY_ROUNDS; i++) {
        const int at = (int)cth_rng_below(&rng, BUSY);
        give(&busy[at], at);
        if (i % 3 == 0) {
            cth_yield();
        }
    }
    CHECK_STATUS(test_join(t), CTH_OK);
    CHECK_STATUS(test_join(u), CTH_OK);
    for (size_t i = 0; i < BUSY; i++) {
        CHECK_EQ(cth_chan_len(&busy[i]), 0);
        chan_end(&busy[i]);
    }
}

/* An array goes through all forms again and again, with changes in between. */
static void an_array_is_used_again(void) {
    scene s;
    cth_case cases[KINDS];
    scene_init(&s);
    scene_cases(&s, cases);
    for (int i = 0; i < 50; i++) {
        size_t index = 12345;
        sleeper sl;
        tries(cases, KINDS, CTH_TIMEDOUT, KINDS);
        CHECK_STATUS(cth_select_until(cases, KINDS, &index, cth_after(CTH_US(20))), CTH_TIMEDOUT);
        CHECK_STATUS(cth_select_ready_until(cases, KINDS, &index, cth_after(CTH_US(20))),
                     CTH_TIMEDOUT);
        sleeper_start(&sl, cases, KINDS, false);
        scene_make_ready(&s, i % 2 == 0 ? RECV : GET);
        sleeper_says(&sl, CTH_OK, i % 2 == 0 ? RECV : GET);
        scene_check(&s, i % 2 == 0 ? RECV : GET);
        s.received = s.got = -1;
        cases[EVENT].object = i % 2 == 0 ? NULL : (void *)&s.event;
    }
    scene_end(&s);
}

/* -- chance --------------------------------------------------------------------------------------
 */

/* One case of each of five kinds; `ready` says which of them are. */
static void odds_of(scene *s, cth_case *cases, unsigned ready, bool watches, int draws) {
    int counts[5] = {0}, of_ready[5], n = 0;
    for (int i = 0; i < draws; i++) {
        size_t index = 12345;
        CHECK_STATUS((watches ? cth_select_ready : cth_select)(cases, 5, &index), CTH_OK);
        CHECK(index < 5 && (ready >> index & 1) != 0);
        counts[index]++;
        if (!watches) {
            const int element = 33;
            switch (index) {
            case RECV: give(&s->from, 11); break;
            case SEND: CHECK_EQ(take(&s->to), 2); break;
            case GET: CHECK_STATUS(cth_queue_put(&s->queue, &element), CTH_OK); break;
            default: break;
            }
        }
    }
    for (int i = 0; i < 5; i++) {
        if ((ready >> i & 1) != 0) {
            of_ready[n++] = counts[i];
        }
    }
    char what[40];
    snprintf(what, sizeof what, "ready cases %x%s", ready, watches ? ", only looked at" : "");
    check_even(what, of_ready, (size_t)n);
}

static void ready_cases_are_equally_likely(void) {
    for (unsigned ready = 1; ready < 32; ready++) {
        scene s;
        cth_case cases[KINDS];
        scene_init(&s);
        for (int kind = 0; kind < 5; kind++) {
            if ((ready >> kind & 1) != 0) {
                scene_make_ready(&s, kind);
            }
        }
        scene_cases(&s, cases);
        odds_of(&s, cases, ready, false, ready == 31 ? 50000 : 3000);
        odds_of(&s, cases, ready, true, 3000);
        scene_end(&s);
    }
}

/* ... and the next choice does not depend on the one before. */
static void choices_are_independent(void) {
    enum { N = 5 };
    cth_event event = CTH_EVENT_INIT;
    cth_case cases[N];
    int pairs[N * N] = {0}, apart[N * N] = {0};
    size_t index, last = 0, before = 0;
    set(&event);
    for (int i = 0; i < N; i++) {
        cases[i] = CTH_ON_EVENT(&event);
    }
    for (int i = 0; i < 50000; i++) {
        CHECK_STATUS(cth_try_select(cases, N, &index), CTH_OK);
        pairs[last * N + index]++;
        apart[before * N + index]++;
        before = last;
        last = index;
    }
    check_even("pairs of choices", pairs, TEST_COUNT(pairs));
    check_even("every second choice", apart, TEST_COUNT(apart));
}

/* The first choice of a thread is as much by chance as any other. All alive at once, so that each
   has a record of its own; comes first in the list, so that these are fresh. The chance that all 30
   agree is 2^-29. */
static atomic_int choosers, chosen[2];

static cth_status choose_once(void *arg) {
    cth_event *event = (cth_event *)arg;
    cth_case cases[] = {CTH_ON_EVENT(event), CTH_ON_EVENT(event)};
    size_t index;
    CHECK_STATUS(cth_try_select(cases, 2, &index), CTH_OK);
    atomic_fetch_add(&chosen[index], 1);
    atomic_fetch_add(&choosers, 1);
    test_reach(&choosers, 30);
    return CTH_OK;
}

static void threads_choose_differently(void) {
    cth_event event = CTH_EVENT_INIT;
    cth_thread *threads[30];
    atomic_store(&choosers, 0);
    set(&event);
    for (int i = 0; i < 30; i++) {
        threads[i] = test_spawn(choose_once, &event);
    }
    for (int i = 0; i < 30; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(atomic_load(&chosen[0]) + atomic_load(&chosen[1]), 30);
    CHECK(atomic_load(&chosen[0]) > 0 && atomic_load(&chosen[1]) > 0);
}

/* A helper makes two cases ready, one right after the other, in any order; a thread that waits, or
   looks again and again, takes one of them, which gets a point, and then the other. No place in the
   array is favoured. */
enum { SIDES = 5, ROUNDS = 8000 };
typedef struct pair_game {
    cth_chan chans[SIDES];
    cth_chan next;
    bool one; // make ready only one
} pair_game;

static cth_status make_pairs(void *arg) {
    pair_game *game = (pair_game *)arg;
    cth_rng rng;
    cth_rng_seed(&rng, 7);
    for (int i = 0; i < ROUNDS; i++) {
        const int first = (int)cth_rng_below(&rng, SIDES);
        const int second = (first + 1 + (int)cth_rng_below(&rng, SIDES - 1)) % SIDES;
        give(&game->chans[first], first);
        if (!game->one) {
            give(&game->chans[second], second);
        }
        (void)take(&game->next);
    }
    return CTH_OK;
}

static void play(const char *what, bool one, bool polls) {
    pair_game game = {.one = one};
    cth_case cases[SIDES];
    cth_rng rng;
    int value = -1, counts[SIDES] = {0};
    cth_rng_seed(&rng, 8);
    chan_init(&game.next, 0);
    for (int i = 0; i < SIDES; i++) {
        chan_init(&game.chans[i], 1);
        cases[i] = CTH_RECV(&game.chans[i], &value);
    }
    cth_thread *helper = test_spawn(make_pairs, &game);
    for (int i = 0; i < ROUNDS; i++) {
        size_t first, second;
        cth_status status;
        for (int misses = 1;; misses++) {
            status = (polls ? cth_try_select : cth_select)(cases, SIDES, &first);
            if (status != CTH_TIMEDOUT) {
                break;
            }
            if (misses % 100 == 0) {
                cth_yield(); // the helper may need this CPU
            }
        }
        CHECK_STATUS(status, CTH_OK);
        CHECK(cases[first].object == &game.chans[value]);
        counts[first]++;
        if (!one) {
            CHECK_STATUS(cth_select(cases, SIDES, &second), CTH_OK);
            CHECK(cases[second].object == &game.chans[value]);
            CHECK(second != first);
        }
        // Each channel comes to each place: some are slower than others, as memory has it.
        for (size_t k = SIDES - 1; k > 0; k--) {
            const size_t at = (size_t)cth_rng_below(&rng, k + 1);
            void *object = cases[k].object;
            cases[k].object = cases[at].object;
            cases[at].object = object;
        }
        give(&game.next, 0);
    }
    CHECK_STATUS(test_join(helper), CTH_OK);
    check_even(what, counts, SIDES);
    for (int i = 0; i < SIDES; i++) {
        chan_end(&game.chans[i]);
    }
    chan_end(&game.next);
}

static void no_place_is_favoured(void) {
    play("one at a time", true, false);
    play("two, waited for", false, false);
    play("two, looked for", false, true);
}

/* Cases that become ready at the very same moment, while their thread sleeps: those of one object.
   Each wins now and then; the chance of this not happening in 60 rounds is 2^-59. */
static void cases_of_one_object_are_equally_likely(void) {
    enum { OF_EVENT, OF_CHANNEL, OF_RENDEZVOUS, WAYS };
    for (int way = 0; way < WAYS; way++) {
        cth_event event = CTH_EVENT_INIT;
        cth_chan chan;
        int counts[2] = {0}, value = 0;
        chan_init(&chan, way == OF_CHANNEL);
        for (int i = 0; i < 60; i++) {
            cth_case cases[2];
            sleeper s;
            for (int k = 0; k < 2; k++) {
                cases[k] = way == OF_EVENT ? CTH_ON_EVENT(&event) : CTH_RECV(&chan, &value);
            }
            sleeper_ready(&s, cases, 2, false);
            if (way == OF_EVENT) {
                set(&event);
                clear(&event);
            } else {
                give(&chan, i);
            }
            CHECK_STATUS(test_waiter_end(&s.w), CTH_OK);
            counts[s.c.index]++;
        }
        chan_end(&chan);
        if (counts[0] == 0 || counts[1] == 0) {
            printf("     way %d: %d, %d\n", way, counts[0], counts[1]);
        }
        CHECK(counts[0] > 0 && counts[1] > 0);
    }
}

/* -- exactly one case happens --------------------------------------------------------------------
 */

enum { MIXERS = 4, VALUES = 4096 };
static const size_t mixed_capacities[] = {0, 1, 3, CTH_UNBOUNDED};
enum { CHANS = TEST_COUNT(mixed_capacities) };

typedef struct mix {
    cth_chan chans[CHANS];
    atomic_int sent[MIXERS][VALUES], received[MIXERS][VALUES];
} mix;

static mix mixed;

typedef struct mixer {
    int number, rounds;
} mixer;

static void mix_received(int value) {
    CHECK(value >= 0 && value < MIXERS * VALUES);
    CHECK_EQ(atomic_fetch_add(&mixed.received[value / VALUES][value % VALUES], 1), 0);
}

/* Sends and receives at random, alone or by selects over some of the channels, and waits a moment
   for it or not at all. */
static cth_status mix_up(void *arg) {
    const mixer *m = (const mixer *)arg;
    cth_rng rng;
    int next = 0;
    cth_rng_seed(&rng, (uint64_t)m->number + 40);
    for (int i = 0; i < m->rounds; i++) {
        const int out = m->number * VALUES + next;
        int in[6];
        cth_case cases[6];
        const size_t n = 1 + (size_t)cth_rng_below(&rng, 6);
        for (size_t k = 0; k < n; k++) {
            cth_chan *chan = &mixed.chans[cth_rng_below(&rng, CHANS)];
            in[k] = -1;
            cases[k] = cth_rng_below(&rng, 2) == 0 ? CTH_SEND(chan, &out) : CTH_RECV(chan, &in[k]);
        }
        const cth_time deadline =
            cth_rng_below(&rng, 3) == 0 ? 0 : cth_after((cth_time)cth_rng_below(&rng, 100000));
        size_t index = n;
        cth_status status;
        if (n > 1) {
            status = cth_select_until(cases, n, &index, deadline);
        } else if (cases[0].kind == CTH_CASE_SEND) {
            status = cth_chan_send_until((cth_chan *)cases[0].object, &out, deadline);
        } else {
            status = cth_chan_recv_until((cth_chan *)cases[0].object, &in[0], deadline);
        }
        index = n == 1 && status == CTH_OK ? 0 : index;
        CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        CHECK((status == CTH_OK) == (index < n));
        for (size_t k = 0; k < n; k++) {
            if (k == index && cases[k].kind == CTH_CASE_RECV) {
                mix_received(in[k]);
            } else {
                CHECK_EQ(in[k], -1);
            }
        }
        if (index < n && cases[index].kind == CTH_CASE_SEND) {
            atomic_store(&mixed.sent[m->number][next], 1);
            next++;
        }
    }
    return CTH_OK;
}

static void no_value_is_lost_or_doubled(void) {
    mixer m[MIXERS];
    cth_thread *thread[MIXERS];
    int count = 0;
    memset(&mixed, 0, sizeof mixed);
    for (size_t i = 0; i < CHANS; i++) {
        chan_init(&mixed.chans[i], mixed_capacities[i]);
    }
    for (int i = 0; i < MIXERS; i++) {
        m[i] = (mixer){i, VALUES};
        thread[i] = test_spawn(mix_up, &m[i]);
    }
    for (int i = 0; i < MIXERS; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    for (size_t i = 0; i < CHANS; i++) {
        int value = -1;
        while (cth_chan_try_recv(&mixed.chans[i], &value) == CTH_OK) {
            mix_received(value);
        }
        chan_end(&mixed.chans[i]);
    }
    for (int i = 0; i < MIXERS; i++) {
        for (int k = 0; k < VALUES; k++) {
            CHECK_EQ(atomic_load(&mixed.sent[i][k]), atomic_load(&mixed.received[i][k]));
            count += atomic_load(&mixed.sent[i][k]);
        }
    }
    CHECK(count > VALUES / 4);
}

/* The same without deadlines: senders by select over all channels, receivers by select until all
   are closed, and plain ones beside them. */
enum { SENT = 1500 };

static cth_status send_all(void *arg) {
    const mixer *m = (const mixer *)arg;
    for (int i = 0; i < SENT; i++) {
        const int out = m->number * VALUES + i;
        if (m->number == 0) {
            CHECK_STATUS(cth_chan_send(&mixed.chans[i % CHANS], &out), CTH_OK);
            continue;
        }
        cth_case cases[CHANS];
        for (size_t k = 0; k < CHANS; k++) {
            cases[k] = CTH_SEND(&mixed.chans[k], &out);
        }
        CHECK_STATUS(cth_select(cases, CHANS, NULL), CTH_OK);
    }
    return CTH_OK;
}

static cth_status receive_all(void *arg) {
    cth_case cases[CHANS];
    int value = -1;
    (void)arg;
    for (size_t k = 0; k < CHANS; k++) {
        cases[k] = CTH_RECV(&mixed.chans[k], &value);
    }
    for (size_t open = CHANS; open > 0;) {
        size_t index;
        const cth_status status = cth_select(cases, CHANS, &index);
        if (status == CTH_CLOSED) {
            cases[index].object = NULL;
            open--;
        } else {
            CHECK_STATUS(status, CTH_OK);
            mix_received(value);
        }
    }
    return CTH_OK;
}

static cth_status receive_from_one(void *arg) {
    CTH_FOREACH_RECV(int, value, (cth_chan *)arg) {
        mix_received(value);
    }
    return CTH_OK;
}

static void values_of_blocking_selects(void) {
    enum { SENDERS = 3, RECEIVERS = 2 };
    mixer m[SENDERS];
    cth_thread *senders[SENDERS], *receivers[RECEIVERS], *plain[CHANS];
    memset(&mixed, 0, sizeof mixed);
    for (size_t i = 0; i < CHANS; i++) {
        chan_init(&mixed.chans[i], mixed_capacities[i]);
    }
    for (int i = 0; i < RECEIVERS; i++) {
        receivers[i] = test_spawn(receive_all, NULL);
    }
    for (size_t i = 0; i < CHANS; i++) {
        plain[i] = test_spawn(receive_from_one, &mixed.chans[i]);
    }
    for (int i = 0; i < SENDERS; i++) {
        m[i] = (mixer){i, SENT};
        senders[i] = test_spawn(send_all, &m[i]);
    }
    for (int i = 0; i < SENDERS; i++) {
        CHECK_STATUS(test_join(senders[i]), CTH_OK);
    }
    for (size_t i = 0; i < CHANS; i++) {
        CHECK_STATUS(cth_chan_close(&mixed.chans[i]), CTH_OK);
    }
    for (int i = 0; i < RECEIVERS; i++) {
        CHECK_STATUS(test_join(receivers[i]), CTH_OK);
    }
    for (size_t i = 0; i < CHANS; i++) {
        CHECK_STATUS(test_join(plain[i]), CTH_OK);
        chan_end(&mixed.chans[i]);
    }
    for (int i = 0; i < SENDERS; i++) {
        for (int k = 0; k < SENT; k++) {
            CHECK_EQ(atomic_load(&mixed.received[i][k]), 1);
        }
    }
}

/* Elements of queues by select, against plain gets. */
static cth_queue queues[2];

static cth_status get_by_select(void *arg) {
    int element = -1;
    cth_case cases[] = {CTH_GET(&queues[0], &element), CTH_GET(&queues[1], &element)};
    (void)arg;
    for (int open = 2; open > 0;) {
        size_t index;
        const cth_status status = cth_select(cases, 2, &index);
        if (status == CTH_SHUTDOWN) {
            cases[index].object = NULL;
            open--;
        } else {
            CHECK_STATUS(status, CTH_OK);
            mix_received(element);
        }
    }
    return CTH_OK;
}

static cth_status get_from_one(void *arg) {
    CTH_FOREACH_GET(int, element, (cth_queue *)arg) {
        mix_received(element);
    }
    return CTH_OK;
}

static void elements_of_queues(void) {
    cth_thread *threads[4];
    memset(&mixed, 0, sizeof mixed);
    for (size_t i = 0; i < 2; i++) {
        CHECK_STATUS(cth_queue_init(&queues[i], sizeof(int), i * 3, NULL), CTH_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        threads[i] = test_spawn(get_by_select, NULL);
        threads[2 + i] = test_spawn(get_from_one, &queues[i]);
    }
    for (int i = 0; i < 4000; i++) {
        CHECK_STATUS(cth_queue_put(&queues[i % 2], &i), CTH_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        CHECK_STATUS(cth_queue_shutdown(&queues[i], CTH_DRAIN), CTH_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    for (int i = 0; i < 4000; i++) {
        CHECK_EQ(atomic_load(&mixed.received[i / VALUES][i % VALUES]), 1);
    }
    for (size_t i = 0; i < 2; i++) {
        CHECK_STATUS(cth_queue_destroy(&queues[i]), CTH_OK);
    }
}

/* -- only looking --------------------------------------------------------------------------------
 */

static cth_status plain_recv(void *object, cth_time deadline) {
    (void)deadline;
    int value = -1;
    CHECK_STATUS(cth_chan_recv((cth_chan *)object, &value), CTH_OK);
    CHECK_EQ(value, 5);
    return CTH_OK;
}

static cth_status plain_send(void *object, cth_time deadline) {
    (void)deadline;
    const int value = 5;
    return cth_chan_send((cth_chan *)object, &value);
}

static cth_status plain_get(void *object, cth_time deadline) {
    (void)deadline;
    int value = -1;
    CHECK_STATUS(cth_queue_get((cth_queue *)object, &value), CTH_OK);
    CHECK_EQ(value, 5);
    return CTH_OK;
}

/* Watchers before and behind a thread that waits for the same: one value wakes them all, and that
   thread has it. */
static void a_watcher_takes_no_wake(void) {
    enum { OF_ONE, OF_ANY, OF_FULL, OF_QUEUE, WAYS };
    for (int way = 0; way < WAYS; way++) {
        cth_chan chan;
        cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
        sleeper s[2];
        test_waiter w = {0};
        int value = -1;
        const int five = 5;
        chan_init(&chan, way == OF_ANY ? CTH_UNBOUNDED : 1);
        if (way == OF_FULL) {
            give(&chan, 1);
        }
        cth_case cases[2];
        for (int i = 0; i < 2; i++) {
            cases[i] = way == OF_FULL    ? CTH_SEND(&chan, &value)
                       : way == OF_QUEUE ? CTH_GET(&queue, &value)
                                         : CTH_RECV(&chan, &value);
        }
        sleeper_ready(&s[0], &cases[0], 1, true);
        test_waiter_start(&w,
                          way == OF_FULL    ? plain_send
                          : way == OF_QUEUE ? plain_get
                                            : plain_recv,
                          way == OF_QUEUE ? (void *)&queue : (void *)&chan, CTH_FOREVER);
        test_waiter_asleep(&w);
        sleeper_ready(&s[1], &cases[1], 1, true);
        if (way == OF_FULL) {
            CHECK_EQ(take(&chan), 1);
        } else if (way == OF_QUEUE) {
            CHECK_STATUS(cth_queue_put(&queue, &five), CTH_OK);
        } else {
            give(&chan, five);
        }
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
        sleeper_says(&s[0], CTH_OK, 0);
        sleeper_says(&s[1], CTH_OK, 0);
        CHECK_EQ(value, -1);
        CHECK_EQ(cth_chan_len(&chan), way == OF_FULL);
        CHECK(cth_queue_is_empty(&queue));
        chan_end(&chan);
        CHECK_STATUS(cth_queue_destroy(&queue), CTH_OK);
    }
}

/* A rendezvous is ready for a watcher when a partner waits, and watchers are no partners. */
static void watchers_at_a_rendezvous(void) {
    cth_chan chan;
    int in = -1;
    const int out = 5;
    sleeper s[2];
    test_waiter w = {0};
    chan_init(&chan, 0);
    cth_case sends = CTH_SEND(&chan, &out), receives = CTH_RECV(&chan, &in);
    sleeper_ready(&s[0], &sends, 1, true);
    sleeper_ready(&s[1], &receives, 1, true);
    CHECK_STATUS(cth_chan_try_send(&chan, &out), CTH_FULL);
    CHECK_STATUS(cth_chan_try_recv(&chan, &in), CTH_EMPTY);
    tries(&(cth_case){.kind = CTH_CASE_SEND, .object = &chan, .value = &in}, 1, CTH_TIMEDOUT, 1);
    CHECK(atomic_load(&s[0].w.done) == 0 && atomic_load(&s[1].w.done) == 0);
    test_waiter_start(&w, plain_send, &chan, CTH_FOREVER);
    sleeper_says(&s[1], CTH_OK, 0);
    CHECK_EQ(in, -1);
    CHECK_EQ(atomic_load(&s[0].w.done), 0);
    CHECK_EQ(take(&chan), 5);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    cth_case again = CTH_RECV(&chan, &in);
    sleeper_ready(&s[1], &again, 1, false); // one that means it
    sleeper_says(&s[0], CTH_OK, 0);
    give(&chan, 6);
    sleeper_says(&s[1], CTH_OK, 0);
    CHECK_EQ(in, 6);
    chan_end(&chan);
}

static cth_status recv_until(void *object, cth_time deadline) {
    int value;
    return cth_chan_recv_until((cth_chan *)object, &value, deadline);
}

/* A partner that has given up is none any more, for those who look as well. */
static void a_partner_that_gave_up(void) {
    cth_chan chan, other;
    cth_event event = CTH_EVENT_INIT;
    int in = -1;
    const int out = 5;
    chan_init(&chan, 0);
    chan_init(&other, 1);
    cth_case sends = CTH_SEND(&chan, &out), receives = CTH_RECV(&chan, &in);
    cth_case both[] = {CTH_RECV(&chan, &in), CTH_SEND(&chan, &out), CTH_ON_EVENT(&event)};
    for (int way = 0; way < 2; way++) {
        if (way == 0) {
            test_waiter w = {0};
            test_waiter_start(&w, recv_until, &chan, cth_after(CTH_MS(2)));
            CHECK_STATUS(test_waiter_end(&w), CTH_TIMEDOUT);
        } else { // its other case was ready
            sleeper s;
            sleeper_ready(&s, both, 3, false);
            set(&event);
            sleeper_says(&s, CTH_OK, 2);
            clear(&event);
        }
        looks(&sends, 1, CTH_TIMEDOUT, 1);
        looks(&receives, 1, CTH_TIMEDOUT, 1);
        tries(&sends, 1, CTH_TIMEDOUT, 1);
        tries(&receives, 1, CTH_TIMEDOUT, 1);
    }
    chan_end(&chan);
    chan_end(&other);
}

/* -- events --------------------------------------------------------------------------------------
 */

static void set_and_clear_at_once(void) {
    for (int watches = 0; watches < 2; watches++) {
        cth_event events[3] = {CTH_EVENT_INIT, CTH_EVENT_INIT, CTH_EVENT_INIT};
        cth_case cases[] = {CTH_ON_EVENT(&events[0]), CTH_ON_EVENT(&events[1]),
                            CTH_ON_EVENT(&events[2])};
        for (size_t i = 0; i < 3; i++) {
            sleeper s;
            sleeper_ready(&s, cases, 3, watches != 0);
            set(&events[i]);
            clear(&events[i]);
            sleeper_says(&s, CTH_OK, i);
            tries(cases, 3, CTH_TIMEDOUT, 3);
        }
    }
}

/* -- cancelling ----------------------------------------------------------------------------------
 */

/* The thread's own token ends the call; the token of a case is a case, also if it is the same. */
static void own_token_and_token_of_a_case(void) {
    cth_cancel own = CTH_CANCEL_INIT, other = CTH_CANCEL_INIT;
    cth_event event = CTH_EVENT_INIT;
    size_t index = 12345;
    cth_case cases[] = {CTH_ON_EVENT(&event), CTH_ON_CANCEL(&other)};
    cth_case with_own[] = {CTH_ON_EVENT(&event), CTH_ON_CANCEL(&own)};
    sleeper s;
    for (int watches = 0; watches < 2; watches++) {
        for (int way = 0; way < 3; way++) {
            CHECK_STATUS(cth_cancel_init(&own, NULL, CTH_FOREVER), CTH_OK);
            CHECK_STATUS(cth_cancel_init(&other, NULL, CTH_FOREVER), CTH_OK);
            memset(&s, 0, sizeof s);
            s.w.token = &own;
            s.c = (call){way == 2 ? with_own : cases, 2, true, 0};
            test_waiter_start(&s.w, watches != 0 ? sleep_in_ready : sleep_in_select, &s.c,
                              CTH_FOREVER);
            sleeper_asleep(&s);
            CHECK_STATUS(cth_cancel_destroy(&own), CTH_BUSY);
            CHECK_STATUS(cth_cancel_destroy(&other), way == 2 ? CTH_OK : CTH_BUSY);
            CHECK_STATUS(cth_cancel_request(way == 1 ? &other : &own, NULL), CTH_OK);
            sleeper_says(&s, way == 0 ? CTH_CANCELLED : CTH_OK, way == 0 ? 2 : 1);
            CHECK_STATUS(cth_cancel_destroy(&own), CTH_OK);
            CHECK_STATUS(cth_cancel_destroy(&other), CTH_OK);
        }
    }
    // Cancelled before: what need not wait goes on.
    CHECK_STATUS(cth_cancel_init(&own, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_init(&other, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&own, NULL), CTH_OK);
    CTH_UNDER(&own) {
        CHECK_STATUS(cth_select(cases, 2, &index), CTH_CANCELLED);
        CHECK_EQ(index, 2);
        CHECK_STATUS(cth_select_ready(cases, 2, &index), CTH_CANCELLED);
        CHECK_STATUS(cth_select_until(cases, 2, &index, cth_after(CTH_S(3600))), CTH_CANCELLED);
        CHECK_STATUS(cth_select_until(cases, 2, &index, 1), CTH_TIMEDOUT);
        tries(cases, 2, CTH_TIMEDOUT, 2); // it does not wait, so it is not cancelled
        looks(cases, 2, CTH_TIMEDOUT, 2);
        tries(with_own, 2, CTH_OK, 1);
        CHECK_STATUS(cth_select(with_own, 2, &index), CTH_OK);
        CHECK_EQ(index, 1);
        set(&event);
        CHECK_STATUS(cth_select(cases, 2, &index), CTH_OK);
        CHECK_EQ(index, 0);
    }
    CHECK_STATUS(cth_cancel_destroy(&own), CTH_OK);
    CHECK_STATUS(cth_cancel_destroy(&other), CTH_OK);
}

static void deadlines_of_tokens(void) {
    cth_cancel own, other;
    cth_event event = CTH_EVENT_INIT;
    cth_case cases[2] = {CTH_ON_EVENT(&event), CTH_ON_CANCEL(&other)};
    cth_case with_own[2] = {CTH_ON_EVENT(&event), CTH_ON_CANCEL(&own)};
    size_t index = 12345;
    for (int way = 0; way < 3; way++) {
        const cth_time soon = cth_after(CTH_MS(2));
        CHECK_STATUS(cth_cancel_init(&own, NULL, way == 1 ? CTH_FOREVER : soon), CTH_OK);
        CHECK_STATUS(cth_cancel_init(&other, NULL, way == 1 ? soon : CTH_FOREVER), CTH_OK);
        CTH_UNDER(&own) {
            const cth_status status = cth_select(way == 2 ? with_own : cases, 2, &index);
            CHECK_STATUS(status, way == 0 ? CTH_CANCELLED : CTH_OK);
            CHECK_EQ(index, way == 0 ? 2 : 1);
            CHECK(cth_now() >= soon);
        }
        CHECK_STATUS(cth_cancel_destroy(&own), CTH_OK);
        CHECK_STATUS(cth_cancel_destroy(&other), CTH_OK);
    }
}

/* A token below the one that is cancelled. */
static void a_token_below(void) {
    cth_cancel root, below;
    CHECK_STATUS(cth_cancel_init(&root, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_init(&below, &root, CTH_FOREVER), CTH_OK);
    cth_case c = CTH_ON_CANCEL(&below);
    sleeper s;
    sleeper_ready(&s, &c, 1, false);
    CHECK_STATUS(cth_cancel_request(&root, NULL), CTH_OK);
    sleeper_says(&s, CTH_OK, 0);
    tries(&c, 1, CTH_OK, 0);
    CHECK_STATUS(cth_cancel_destroy(&below), CTH_OK);
    CHECK_STATUS(cth_cancel_destroy(&root), CTH_OK);
}

/* -- the rest ------------------------------------------------------------------------------------
 */

/* Whatever a thread waits for cannot be destroyed; afterwards it can. */
static void destroy_is_busy(void) {
    for (int watches = 0; watches < 2; watches++) {
        scene s;
        cth_case cases[KINDS];
        sleeper sl;
        scene_init(&s);
        scene_cases(&s, cases);
        sleeper_ready(&sl, cases, KINDS, watches != 0);
        CHECK_STATUS(cth_chan_destroy(&s.from), CTH_BUSY);
        CHECK_STATUS(cth_chan_destroy(&s.to), CTH_BUSY);
        CHECK_STATUS(cth_chan_destroy(&s.timed), CTH_BUSY);
        CHECK_STATUS(cth_queue_destroy(&s.queue), CTH_BUSY);
        CHECK_STATUS(cth_event_destroy(&s.event), CTH_BUSY);
        CHECK_STATUS(cth_latch_destroy(&s.latch), CTH_BUSY);
        CHECK_STATUS(cth_cancel_destroy(&s.token), CTH_BUSY);
        set(&s.event);
        sleeper_says(&sl, CTH_OK, EVENT);
        scene_end(&s);
    }
}

/* The thread that received may free the channel, while the sender is still on its way out. */
static cth_status give_one(void *arg) {
    give((cth_chan *)arg, 1);
    return CTH_OK;
}

static void the_receiver_may_free_it(void) {
    cth_event never = CTH_EVENT_INIT;
    for (int i = 0; i < 600; i++) {
        cth_chan *chan = (cth_chan *)malloc(sizeof *chan);
        cth_case *cases = (cth_case *)malloc(2 * sizeof *cases);
        int value = 0;
        CHECK(chan != NULL && cases != NULL);
        chan_init(chan, (size_t)i % 3);
        cth_thread *thread = test_spawn(give_one, chan);
        for (int k = 0; k < i % 8; k++) {
            cth_yield();
        }
        cases[0] = CTH_RECV(chan, &value);
        cases[1] = CTH_ON_EVENT(&never);
        CHECK_STATUS(cth_select(cases, 2, NULL), CTH_OK);
        CHECK_EQ(value, 1);
        chan_end(chan);
        memset(chan, 0xEE, sizeof *chan);
        free(chan);
        memset(cases, 0xEE, 2 * sizeof *cases);
        free(cases);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

/* In the child of a fork the memory of a channel or queue may be half changed, so it is refused. */
static int in_child(cth_chan *chan, cth_queue *queue, cth_event *event) {
    int value = -1;
    size_t index = 12345;
    cth_case cases[] = {CTH_ON_EVENT(event), CTH_RECV(chan, &value), CTH_GET(queue, &value)};
    const cth_case send = CTH_SEND(chan, &value);
    if (cth_try_select(cases, 1, &index) != CTH_OK || index != 0) {
        return 1; // the event is fine
    }
    if (cth_try_select(cases, 2, &index) != CTH_FORKED || index != 2) {
        return 2;
    }
    cases[1] = send;
    if (cth_select(cases, 2, &index) != CTH_FORKED || index != 2) {
        return 3;
    }
    cases[1] = cases[2];
    if (cth_try_select(cases, 2, &index) != CTH_FORKED || index != 2) {
        return 4;
    }
    cases[0].object = NULL;
    if (cth_select_until(cases, 2, &index, cth_after(CTH_MS(1))) != CTH_FORKED || index != 2) {
        return 5;
    }
    if (cth_select_ready_until(cases, 2, &index, 0) != CTH_FORKED || index != 2) {
        return 6;
    }
    cth_chan fresh;
    if (cth_chan_init(&fresh, sizeof value, 1, NULL) != CTH_OK ||
        cth_chan_send(&fresh, &(int){8}) != CTH_OK) {
        return 7;
    }
    cases[1] = CTH_RECV(&fresh, &value);
    if (cth_select(cases, 2, &index) != CTH_OK || index != 1 || value != 8) {
        return 8;
    }
    if (cth_select_until(cases, 2, &index, cth_after(CTH_MS(1))) != CTH_TIMEDOUT) {
        return 9;
    }
    return cth_chan_destroy(&fresh) == CTH_OK ? 0 : 10;
}

static void refuses_what_is_from_before_a_fork(void) {
    for (int filled = 0; filled < 2; filled++) {
        cth_chan chan;
        cth_queue queue;
        cth_event event = CTH_EVENT_INIT;
        chan_init(&chan, 2);
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 0, NULL), CTH_OK);
        set(&event);
        if (filled != 0) {
            give(&chan, 1);
            CHECK_STATUS(cth_queue_put(&queue, &(int){1}), CTH_OK);
        }
        fflush(stdout);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            _exit(in_child(&chan, &queue, &event));
        }
        int status = 0;
        while (waitpid(pid, &status, 0) < 0) {
            CHECK_EQ(errno, EINTR);
        }
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
        chan_end(&chan);
        CHECK_STATUS(cth_queue_destroy(&queue), CTH_OK);
    }
}

static void *foreign_selects(void *arg) {
    int value = 0;
    cth_case cases[] = {CTH_ON_EVENT(NULL), CTH_RECV((cth_chan *)arg, &value)};
    CHECK_STATUS(cth_select(cases, 2, NULL), CTH_OK);
    CHECK_EQ(value, 3);
    return NULL;
}

static void foreign_threads_can_select(void) {
    for (size_t i = 0; i < 50; i++) {
        cth_chan chan;
        pthread_t thread;
        chan_init(&chan, i % 3);
        CHECK(pthread_create(&thread, NULL, foreign_selects, &chan) == 0);
        give(&chan, 3);
        CHECK(pthread_join(thread, NULL) == 0);
        chan_end(&chan);
    }
}

static void errno_is_preserved(void) {
    cth_event event = CTH_EVENT_INIT;
    cth_case c = CTH_ON_EVENT(&event);
    errno = 4242;
    CHECK_STATUS(cth_select_until(&c, 1, NULL, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_EQ(errno, 4242);
    tries(&c, 1, CTH_TIMEDOUT, 1);
    CHECK_EQ(errno, 4242);
}

static const test_case tests[] = {
    TEST(threads_choose_differently),
    TEST(each_kind_alone),
    TEST(one_of_all_kinds),
    TEST(wakes_by_each_kind),
    TEST(a_watcher_is_woken_by_each_kind),
    TEST(timed_channels),
    TEST(typed_objects),
    TEST(gets_in_the_queue_s_order),
    TEST(objects_that_are_null),
    TEST(no_case_at_all),
    TEST(bad_cases),
    TEST(refuses_negative_deadlines),
    TEST(times_out),
    TEST(succeeds_and_waits_long),
    TEST(the_earliest_time_counts),
    TEST(a_sleeping_select_uses_no_cpu),
    TEST(in_a_switch),
    TEST(the_macros_evaluate_once),
    TEST(closed_is_ready),
    TEST(shut_down_is_ready),
    TEST(close_wakes_all),
    TEST(all_closed),
    TEST(the_same_channel_twice),
    TEST(two_with_the_same_channel_twice),
    TEST(send_and_recv_on_one_channel),
    TEST(channels_for_single_threads),
    TEST(never_meets_itself),
    TEST(selects_meet_each_other),
    TEST(crossed_selects_meet),
    TEST(hundreds_of_channels),
    TEST(opposite_orders),
    TEST(an_array_is_used_again),
    TEST(ready_cases_are_equally_likely),
    TEST(choices_are_independent),
    TEST(no_place_is_favoured),
    TEST(cases_of_one_object_are_equally_likely),
    TEST(no_value_is_lost_or_doubled),
    TEST(values_of_blocking_selects),
    TEST(elements_of_queues),
    TEST(a_watcher_takes_no_wake),
    TEST(watchers_at_a_rendezvous),
    TEST(a_partner_that_gave_up),
    TEST(set_and_clear_at_once),
    TEST(own_token_and_token_of_a_case),
    TEST(deadlines_of_tokens),
    TEST(a_token_below),
    TEST(destroy_is_busy),
    TEST(the_receiver_may_free_it),
    TEST(refuses_what_is_from_before_a_fork),
    TEST(foreign_threads_can_select),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
