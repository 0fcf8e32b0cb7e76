/* sim_select.c - select under many schedules, and bugs of selects that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_chan a, b, never; // nothing is ever sent to the last one
static cth_event stop;       // never set unless a scenario does
static cth_cancel token;

static void chan_init(cth_chan *chan, size_t capacity) {
    cth_status status;
    while ((status = cth_chan_init(chan, sizeof(int), capacity, NULL)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
}

static void chan_end(cth_chan *chan) {
    CTH_SIM_CHECK(cth_chan_destroy(chan) == CTH_OK);
}

static void give(cth_chan *chan, int value) {
    CTH_SIM_CHECK(cth_chan_send(chan, &value) == CTH_OK);
}

static int take(cth_chan *chan) {
    int value = -1;
    CTH_SIM_CHECK(cth_chan_recv(chan, &value) == CTH_OK);
    return value;
}

/* Both channels with this capacity. */
static void fresh(size_t capacity) {
    sim_begin();
    chan_init(&a, capacity);
    chan_init(&b, capacity);
    chan_init(&never, 0);
    memset(&stop, 0, sizeof stop);
}

static cth_status done(void) {
    chan_end(&a);
    chan_end(&b);
    chan_end(&never);
    return CTH_OK;
}

static size_t any_capacity(void) {
    static const size_t capacities[] = {0, 1, CTH_UNBOUNDED};
    return capacities[cth_sim_choose(3)];
}

static void any_moment(uint32_t n) {
    for (n = cth_sim_choose(n); n > 0; n--) {
        cth_yield();
    }
}

/* How many records stand in the table under `key`, in the bucket of `object`. */
static size_t queued(const void *object, const void *key) {
    size_t n = 0;
    cth__bucket *bucket = cth__bucket_lock(object, cth__self_get());
    for (cth__waiter *w = cth__next(bucket, NULL, key); w != NULL; w = cth__next(bucket, w, key)) {
        n++;
    }
    cth__unlock(&bucket->lock);
    return n;
}

static void wait_until_queued(const void *object, const void *key, size_t n) {
    while (queued(object, key) < n) {
        cth_yield();
    }
}

static cth_status gives_a(void *arg) {
    (void)arg;
    give(&a, 1);
    return CTH_OK;
}

static cth_status gives_b(void *arg) {
    (void)arg;
    give(&b, 2);
    return CTH_OK;
}

static cth_status closes_a(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_chan_close(&a) == CTH_OK);
    return CTH_OK;
}

static cth_status closes_b(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_chan_close(&b) == CTH_OK);
    return CTH_OK;
}

static cth_status takes(void *arg) {
    int *value = (int *)arg;
    *value = take(&a);
    return CTH_OK;
}

static int arrived[8]; // how often each value did

/* A select whose thread says what came of it. */
typedef struct result {
    cth_status status;
    size_t index;
    int value;
} result;

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status selects_a_or_b(void *arg) {
    result *r = (result *)arg;
    cth_case cases[] = {CTH_RECV(&a, &r->value), CTH_RECV(&b, &r->value)};
    r->status = cth_select(cases, 2, &r->index);
    CTH_SIM_CHECK(r->status == CTH_OK);
    CTH_SIM_CHECK(r->value == (int)r->index + 1);
    return CTH_OK;
}

static cth_status takes_b(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(take(&b) == 2);
    return CTH_OK;
}

/* A select over two channels beside a thread that waits for one of them, and a value for each: a
   select that is woken by the first value must not keep the wake of the second for itself. */
static cth_status both_delivered(void *arg) {
    result r = {CTH_BROKEN, 9, -1};
    (void)arg;
    fresh(any_capacity());
    cth_thread *s = sim_spawn(selects_a_or_b, &r);
    cth_thread *p = sim_spawn(takes_b, NULL);
    cth_thread *x = sim_spawn(gives_a, NULL);
    cth_thread *y = sim_spawn(gives_b, NULL);
    sim_join(s);
    if (r.index == 1) {
        CTH_SIM_CHECK(take(&a) == 1);
        give(&b, 2);
    }
    sim_join(p);
    sim_join(x);
    sim_join(y);
    CTH_SIM_CHECK(cth_chan_len(&a) == 0 && cth_chan_len(&b) == 0);
    return done();
}

static cth_case *frame; // an array of two cases that is gone after the call

static cth_status selects_in_frame(void *arg) {
    result *r = (result *)arg;
    frame[0] = CTH_RECV(&a, &r->value);
    frame[1] = CTH_RECV(&b, &r->value);
    const cth_time deadline = cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon();
    r->status = cth_select_until(frame, 2, &r->index, deadline);
    sim_gone(frame, 2 * sizeof *frame);
    return CTH_OK;
}

/* A close finds the record of a select that another case has ended; its array goes at once. */
static cth_status claims_meet_a_gone_frame(void *arg) {
    result r = {CTH_BROKEN, 9, -1};
    (void)arg;
    fresh(any_capacity());
    frame = (cth_case *)malloc(2 * sizeof *frame);
    cth_thread *s = sim_spawn(selects_in_frame, &r);
    cth_thread *x = sim_spawn(gives_a, NULL);
    cth_thread *y = sim_spawn(closes_b, NULL);
    sim_join(s);
    CTH_SIM_CHECK(r.index == 0   ? r.status == CTH_OK && r.value == 1
                  : r.index == 1 ? r.status == CTH_CLOSED && r.value == -1
                                 : r.status == CTH_TIMEDOUT && r.value == -1);
    if (r.index != 0) {
        CTH_SIM_CHECK(take(&a) == 1);
    }
    sim_join(x);
    sim_join(y);
    sim_untouched(frame, 2 * sizeof *frame);
    free(frame);
    return done();
}

static cth_status selects_a_twice(void *arg) {
    result *r = (result *)arg;
    int values[2] = {-1, -1};
    cth_case cases[] = {CTH_RECV(&a, &values[0]), CTH_RECV(&never, &values[1]),
                        CTH_RECV(&a, &values[1])};
    r->status = cth_select(cases, 3, &r->index);
    CTH_SIM_CHECK(r->index == 0 || r->index == 2);
    CTH_SIM_CHECK(values[r->index == 0] == -1);
    r->value = values[r->index != 0];
    return CTH_OK;
}

/* The same channel in two cases, beside a plain receiver, woken by its close. */
static cth_status closed_in_two_cases(void *arg) {
    result r = {CTH_BROKEN, 9, -1}, q = r;
    (void)arg;
    fresh(any_capacity());
    cth_thread *s = sim_spawn(selects_a_twice, &r);
    cth_thread *t = sim_spawn(selects_a_twice, &q);
    cth_thread *x = sim_spawn(closes_a, NULL);
    int value = -1;
    CTH_SIM_CHECK(cth_chan_recv(&a, &value) == CTH_CLOSED);
    sim_join(s);
    sim_join(t);
    sim_join(x);
    CTH_SIM_CHECK(r.status == CTH_CLOSED && r.value == -1);
    CTH_SIM_CHECK(q.status == CTH_CLOSED && q.value == -1);
    CTH_SIM_CHECK(queued(&a, &a.rear) == 0 && value == -1);
    return done();
}

/* ... and by values: one claim each, so that the second value finds the other thread. */
static cth_status values_for_two_cases(void *arg) {
    result r = {CTH_BROKEN, 9, -1};
    int value = -1;
    (void)arg;
    fresh(any_capacity());
    cth_thread *s = sim_spawn(selects_a_twice, &r);
    cth_thread *t = sim_spawn(takes, &value);
    cth_thread *x = sim_spawn(gives_a, NULL);
    give(&a, 2);
    sim_join(s);
    sim_join(t);
    sim_join(x);
    CTH_SIM_CHECK(r.status == CTH_OK && value + r.value == 3 && value != r.value);
    return done();
}

/* One that sends its number or receives another's, on one rendezvous. */
static int balance, meetings;

static cth_status meets(void *arg) {
    const int number = *(int *)arg;
    for (int i = 0; i < 2; i++) {
        int other = -1;
        cth_case cases[] = {CTH_SEND(&a, &number), CTH_RECV(&never, &other), CTH_RECV(&a, &other)};
        size_t index;
        if (number % 2 != 0) {
            cases[0] = cases[2];
            cases[2] = CTH_SEND(&a, &number);
        }
        CTH_SIM_CHECK(cth_select(cases, 3, &index) == CTH_OK);
        CTH_SIM_CHECK(index != 1 && other != number);
        CTH_SIM_CHECK((other == -1) == (cases[index].kind == CTH_CASE_SEND));
        balance += other == -1 ? -number : other;
        meetings++;
    }
    return CTH_OK;
}

static cth_status selects_meet(void *arg) {
    int numbers[] = {4, 5};
    (void)arg;
    fresh(0);
    balance = meetings = 0;
    cth_thread *s = sim_spawn(meets, &numbers[0]);
    cth_thread *t = sim_spawn(meets, &numbers[1]);
    sim_join(s);
    sim_join(t);
    CTH_SIM_CHECK(balance == 0 && meetings == 4);
    return done();
}

/* Two ends of two rendezvous, taken up in opposite order. */
static cth_status crosses(void *arg) {
    const int number = *(int *)arg;
    cth_chan *out = number == 0 ? &a : &b, *in = number == 0 ? &b : &a;
    int other = -1;
    cth_case cases[] = {CTH_SEND(out, &number), CTH_RECV(in, &other)};
    size_t index;
    CTH_SIM_CHECK(cth_select(cases, 2, &index) == CTH_OK);
    CTH_SIM_CHECK(other == (index == 0 ? -1 : 1 - number));
    meetings += index == 0 ? 1 : 10;
    return CTH_OK;
}

static cth_status crossed_selects(void *arg) {
    int numbers[] = {0, 1};
    (void)arg;
    fresh(0);
    meetings = 0;
    cth_thread *s = sim_spawn(crosses, &numbers[0]);
    cth_thread *t = sim_spawn(crosses, &numbers[1]);
    sim_join(s);
    sim_join(t);
    CTH_SIM_CHECK(meetings == 11);
    return done();
}

/* A select with a deadline or token, a sender with a deadline, and a patient receiver: the value is
   received exactly if it was sent, and if the patient one has not got it, it gets the next. */
static bool sent;

static cth_status sends_a_until(void *arg) {
    const int value = 1;
    cth_case cases[] = {CTH_SEND(&a, &value), CTH_ON_EVENT(&stop)};
    (void)arg;
    const cth_status status = cth_sim_choose(2) == 0 ? cth_chan_send_until(&a, &value, sim_soon())
                                                     : cth_select_until(cases, 2, NULL, sim_soon());
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    sent = status == CTH_OK;
    return CTH_OK;
}

static cth_status selects_until(void *arg) {
    result *r = (result *)arg;
    cth_case cases[] = {CTH_RECV(&b, &r->value), CTH_RECV(&a, &r->value)};
    r->status = cth_select_until(cases, 2, &r->index, sim_soon());
    CTH_SIM_CHECK(r->status == CTH_OK || r->status == CTH_TIMEDOUT);
    return CTH_OK;
}

static cth_status selects_under(void *arg) {
    result *r = (result *)arg;
    cth_case cases[] = {CTH_RECV(&b, &r->value), CTH_RECV(&a, &r->value)};
    CTH_UNDER(&token) {
        r->status = cth_select(cases, 2, &r->index);
    }
    CTH_SIM_CHECK(r->status == CTH_OK || r->status == CTH_CANCELLED);
    return CTH_OK;
}

static cth_status selects_with_token(void *arg) {
    result *r = (result *)arg;
    cth_case cases[] = {CTH_ON_CANCEL(&token), CTH_RECV(&a, &r->value)};
    r->status = cth_select(cases, 2, &r->index);
    CTH_SIM_CHECK(r->status == CTH_OK);
    return CTH_OK;
}

static cth_status hand_over_meets(sim_fn how, bool cancels) {
    result r = {CTH_BROKEN, 9, -1};
    int patient = -1;
    fresh(0);
    sent = false;
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *p = cth_sim_choose(2) == 0 ? sim_spawn(takes, &patient) : NULL;
    cth_thread *s = sim_spawn(how, &r);
    cth_thread *x = sim_spawn(sends_a_until, NULL);
    if (cancels) {
        any_moment(6);
        CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    }
    sim_join(s);
    sim_join(x);
    const bool received = r.status == CTH_OK && r.index == 1;
    CTH_SIM_CHECK(r.value == (received ? 1 : -1));
    if (p != NULL) {
        if (!sent || received) {
            give(&a, 7);
        }
        sim_join(p);
        CTH_SIM_CHECK(patient == (!sent || received ? 7 : 1));
    } else {
        CTH_SIM_CHECK(sent == received);
    }
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return done();
}

static cth_status hand_over_meets_timeout(void *arg) {
    (void)arg;
    return hand_over_meets(selects_until, false);
}

static cth_status hand_over_meets_cancel(void *arg) {
    (void)arg;
    return hand_over_meets(selects_under, true);
}

static cth_status hand_over_meets_token(void *arg) {
    (void)arg;
    return hand_over_meets(selects_with_token, true);
}

/* A select over queues, which wait under rules of their own, while elements come and a service
   ends. */
static cth_queue queue, second_queue;

static cth_status gets_any(void *arg) {
    int element = -1;
    cth_case cases[] = {CTH_GET(&queue, &element), CTH_GET(&second_queue, &element)};
    (void)arg;
    for (int open = 2; open > 0;) {
        size_t index;
        const cth_status status = cth_select(cases, 2, &index);
        if (status == CTH_SHUTDOWN) {
            cases[index].object = NULL;
            open--;
        } else {
            CTH_SIM_CHECK(status == CTH_OK && element >= 0 && element < 2);
            arrived[element]++;
        }
    }
    return CTH_OK;
}

static cth_status selects_over_queues(void *arg) {
    (void)arg;
    sim_begin();
    memset(arrived, 0, sizeof arrived);
    CTH_SIM_CHECK(cth_queue_init(&queue, sizeof(int), 1, NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_init(&second_queue, sizeof(int), 0, NULL) == CTH_OK);
    cth_thread *s = sim_spawn(gets_any, NULL);
    cth_thread *t = sim_spawn(gets_any, NULL);
    CTH_SIM_CHECK(cth_queue_put(&second_queue, &(int){0}) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_put(&queue, &(int){1}) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_shutdown(&queue, CTH_DRAIN) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_shutdown(&second_queue, CTH_DRAIN) == CTH_OK);
    sim_join(s);
    sim_join(t);
    CTH_SIM_CHECK(arrived[0] == 1 && arrived[1] == 1);
    CTH_SIM_CHECK(cth_queue_destroy(&queue) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_destroy(&second_queue) == CTH_OK);
    return CTH_OK;
}

/* Two threads that lock the same buckets, with the channels in opposite orders. */
static cth_status selects_b_or_a(void *arg) {
    int value = -1;
    cth_case cases[] = {CTH_RECV(&b, &value), CTH_ON_EVENT(&stop), CTH_RECV(&a, &value)};
    size_t index;
    (void)arg;
    CTH_SIM_CHECK(cth_select(cases, 3, &index) == CTH_OK);
    CTH_SIM_CHECK(value == (index == 0 ? 2 : 1));
    return CTH_OK;
}

static cth_status opposite_orders(void *arg) {
    result r = {CTH_BROKEN, 9, -1};
    (void)arg;
    fresh(any_capacity());
    cth_thread *s = sim_spawn(selects_a_or_b, &r);
    cth_thread *t = sim_spawn(selects_b_or_a, NULL);
    give(&a, 1);
    give(&b, 2);
    sim_join(s);
    sim_join(t);
    return done();
}

/* Senders and receivers by select over both channels: each value arrives once. */

static cth_status sends_two(void *arg) {
    for (int i = 0; i < 2; i++) {
        const int value = *(int *)arg + i;
        cth_case cases[] = {CTH_SEND(&a, &value), CTH_SEND(&b, &value)};
        CTH_SIM_CHECK(cth_select(cases, 2, NULL) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status receives_two(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int values[2] = {-1, -1};
        cth_case cases[] = {CTH_RECV(&a, &values[0]), CTH_RECV(&b, &values[1])};
        size_t index;
        CTH_SIM_CHECK(cth_select(cases, 2, &index) == CTH_OK);
        CTH_SIM_CHECK(values[1 - index] == -1 && values[index] >= 0 && values[index] < 4);
        arrived[values[index]]++;
    }
    return CTH_OK;
}

static cth_status each_value_once(void *arg) {
    int first[] = {0, 2};
    cth_thread *threads[4];
    (void)arg;
    fresh(any_capacity());
    memset(arrived, 0, sizeof arrived);
    for (int i = 0; i < 4; i++) {
        threads[i] = sim_spawn(i < 2 ? receives_two : sends_two, &first[i % 2]);
    }
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    for (int i = 0; i < 4; i++) {
        CTH_SIM_CHECK(arrived[i] == 1);
    }
    CTH_SIM_CHECK(cth_chan_len(&a) == 0 && cth_chan_len(&b) == 0);
    return done();
}

/* -- only looking --------------------------------------------------------------------------------
 */

static cth_status watches_a(void *arg) {
    int value = -1;
    cth_case cases[] = {CTH_ON_EVENT(&stop), CTH_RECV(&a, &value)};
    size_t index;
    (void)arg;
    CTH_SIM_CHECK(cth_select_ready(cases, 2, &index) == CTH_OK);
    CTH_SIM_CHECK(index == 1 && value == -1);
    return CTH_OK;
}

/* A receiver and two watchers sleep, and one value is sent: all go on, the receiver with it. */
static cth_status watchers_take_no_wake(void *arg) {
    int value = -1;
    (void)arg;
    fresh(cth_sim_choose(2) == 0 ? 1 : CTH_UNBOUNDED);
    cth_thread *v = sim_spawn(watches_a, NULL);
    cth_thread *r = sim_spawn(takes, &value);
    cth_thread *w = sim_spawn(watches_a, NULL);
    wait_until_queued(&a, &a.rear, 3);
    give(&a, 5);
    sim_join(v);
    sim_join(r);
    sim_join(w);
    CTH_SIM_CHECK(value == 5);
    return done();
}

static cth_status gets(void *arg) {
    CTH_SIM_CHECK(cth_queue_get(&queue, arg) == CTH_OK);
    return CTH_OK;
}

static cth_status watches_queue(void *arg) {
    int element = -1;
    cth_case c = CTH_GET(&queue, &element);
    (void)arg;
    CTH_SIM_CHECK(cth_select_ready(&c, 1, NULL) == CTH_OK);
    CTH_SIM_CHECK(element == -1);
    return CTH_OK;
}

static cth_status watchers_of_a_queue(void *arg) {
    int element = -1;
    (void)arg;
    sim_begin();
    CTH_SIM_CHECK(cth_queue_init(&queue, sizeof(int), 0, NULL) == CTH_OK);
    cth_thread *w = sim_spawn(watches_queue, NULL);
    cth_thread *r = sim_spawn(gets, &element);
    wait_until_queued(&queue, &queue.word, 2);
    CTH_SIM_CHECK(cth_queue_put(&queue, &(int){5}) == CTH_OK);
    sim_join(w);
    sim_join(r);
    CTH_SIM_CHECK(element == 5);
    CTH_SIM_CHECK(cth_queue_destroy(&queue) == CTH_OK);
    return CTH_OK;
}

/* A watcher sees a partner at a rendezvous, and leaves it to the receiver. */
static cth_status watcher_at_a_rendezvous(void *arg) {
    int value = -1;
    (void)arg;
    fresh(0);
    cth_thread *w = sim_spawn(watches_a, NULL);
    cth_thread *x = sim_spawn(gives_a, NULL);
    sim_join(w);
    cth_thread *r = sim_spawn(takes, &value);
    sim_join(x);
    sim_join(r);
    CTH_SIM_CHECK(value == 1);
    return done();
}

static cth_status waits_for_stop(void *arg) {
    int value = -1;
    cth_case cases[] = {CTH_RECV(&a, &value), CTH_ON_EVENT(&stop)};
    (void)arg;
    CTH_SIM_CHECK(cth_select(cases, 2, NULL) == CTH_OK);
    return CTH_OK;
}

/* set and clear in one breath free a select that waits, though the event is not set afterwards. */
static cth_status pulse(void *arg) {
    (void)arg;
    fresh(any_capacity());
    cth_thread *s = sim_spawn(waits_for_stop, NULL);
    wait_until_queued(&stop, &stop, 1);
    CTH_SIM_CHECK(cth_event_destroy(&stop) == CTH_BUSY);
    CTH_SIM_CHECK(cth_event_set(&stop) == CTH_OK);
    CTH_SIM_CHECK(cth_event_clear(&stop) == CTH_OK);
    sim_join(s);
    CTH_SIM_CHECK(cth_event_destroy(&stop) == CTH_OK);
    return done();
}

/* -- "nothing ready" -----------------------------------------------------------------------------
 */

/* Things that a thread makes ready, and some of them not ready again. */
enum { VALUE, ROOM, ELEMENT, EVENT, BOTH_WAYS, CLOSED = BOTH_WAYS, SHUT, LATCH, TOKEN, THINGS };
typedef struct thing {
    int kind;
    cth_chan chan;
    cth_queue queue;
    cth_event event;
    cth_latch latch;
    cth_cancel token;
} thing;

static thing things[2];
static int ignored[2];

static void thing_init(thing *t, int kind) {
    memset(t, 0, sizeof *t);
    t->kind = kind;
    chan_init(&t->chan, 1);
    if (kind == ROOM) {
        give(&t->chan, 0);
    }
    CTH_SIM_CHECK(cth_queue_init(&t->queue, sizeof(int), 0, NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_add(&t->latch, 1) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_init(&t->token, NULL, CTH_FOREVER) == CTH_OK);
}

static void thing_end(thing *t) {
    chan_end(&t->chan);
    CTH_SIM_CHECK(cth_queue_destroy(&t->queue) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_destroy(&t->token) == CTH_OK);
}

static void thing_on(thing *t) {
    const int element = 3;
    switch (t->kind) {
    case VALUE: give(&t->chan, 3); break;
    case ROOM: (void)take(&t->chan); break;
    case ELEMENT: CTH_SIM_CHECK(cth_queue_put(&t->queue, &element) == CTH_OK); break;
    case EVENT: CTH_SIM_CHECK(cth_event_set(&t->event) == CTH_OK); break;
    case CLOSED: CTH_SIM_CHECK(cth_chan_close(&t->chan) == CTH_OK); break;
    case SHUT: CTH_SIM_CHECK(cth_queue_shutdown(&t->queue, CTH_NOW) == CTH_OK); break;
    case LATCH: CTH_SIM_CHECK(cth_latch_done(&t->latch) == CTH_OK); break;
    default: CTH_SIM_CHECK(cth_cancel_request(&t->token, NULL) == CTH_OK);
    }
}

static void thing_off(thing *t) {
    int element;
    switch (t->kind) {
    case VALUE: (void)take(&t->chan); break;
    case ROOM: give(&t->chan, 0); break;
    case ELEMENT: CTH_SIM_CHECK(cth_queue_get(&t->queue, &element) == CTH_OK); break;
    default: CTH_SIM_CHECK(cth_event_clear(&t->event) == CTH_OK);
    }
}

static cth_case thing_case(thing *t, int *value) {
    switch (t->kind) {
    case VALUE:
    case CLOSED: return CTH_RECV(&t->chan, value);
    case ROOM: return CTH_SEND(&t->chan, value);
    case ELEMENT:
    case SHUT: return CTH_GET(&t->queue, value);
    case EVENT: return CTH_ON_EVENT(&t->event);
    case LATCH: return CTH_ON_LATCH(&t->latch);
    default: return CTH_ON_CANCEL(&t->token);
    }
}

/* Each of two threads makes its own thing ready, and then looks at the other's: not both may find
   nothing, or neither would go on. */
static bool found[2];

static cth_status makes_ready_and_looks(void *arg) {
    const int me = *(int *)arg;
    cth_case cases[] = {thing_case(&things[1 - me], &ignored[me]), CTH_RECV(&never, &ignored[me])};
    size_t index;
    thing_on(&things[me]);
    const cth_status status = cth_try_select(cases, 2, &index);
    found[me] = status != CTH_TIMEDOUT;
    CTH_SIM_CHECK(index == (found[me] ? 0 : 2));
    return CTH_OK;
}

static cth_status not_both_nothing(void *arg) {
    int numbers[] = {0, 1};
    (void)arg;
    sim_begin();
    chan_init(&never, 0);
    for (int i = 0; i < 2; i++) {
        thing_init(&things[i], (int)cth_sim_choose(THINGS));
    }
    cth_thread *s = sim_spawn(makes_ready_and_looks, &numbers[0]);
    cth_thread *t = sim_spawn(makes_ready_and_looks, &numbers[1]);
    sim_join(s);
    sim_join(t);
    CTH_SIM_CHECK(found[0] || found[1]);
    for (int i = 0; i < 2; i++) {
        thing_end(&things[i]);
    }
    chan_end(&never);
    return CTH_OK;
}

/* One thread makes the second thing ready before the first one ceases to be, and perhaps the other
   way round, and once more. At every moment one of them is, so nobody who looks may find that none
   is. */
static cth_status moves(void *arg) {
    (void)arg;
    thing_on(&things[1]);
    thing_off(&things[0]);
    for (int i = 0; i < 2 && things[1].kind < BOTH_WAYS; i++) {
        thing_on(&things[i]);
        thing_off(&things[1 - i]);
    }
    return CTH_OK;
}

static cth_status one_is_always_ready_of(int first, int second, bool watches) {
    sim_begin();
    thing_init(&things[0], first);
    thing_init(&things[1], second);
    thing_on(&things[0]);
    const size_t at = cth_sim_choose(2);
    cth_case cases[2];
    cases[at] = thing_case(&things[0], &ignored[0]);
    cases[1 - at] = thing_case(&things[1], &ignored[1]);
    cth_thread *m = sim_spawn(moves, NULL);
    size_t index;
    if (watches) {
        for (int i = 0; i < 2; i++) {
            CTH_SIM_CHECK(cth_select_ready_until(cases, 2, &index, 0) == CTH_OK);
        }
    } else {
        CTH_SIM_CHECK(cth_try_select(cases, 2, &index) == CTH_OK);
        give((cth_chan *)cases[index].object, 3); // for the mover
    }
    sim_join(m);
    thing_end(&things[0]);
    thing_end(&things[1]);
    return CTH_OK;
}

static cth_status one_is_always_ready(void *arg) {
    (void)arg;
    const int first = (int)cth_sim_choose(BOTH_WAYS);
    return one_is_always_ready_of(first, (int)cth_sim_choose(THINGS), true);
}

static cth_status one_can_always_be_taken(void *arg) {
    (void)arg;
    return one_is_always_ready_of(VALUE, VALUE, false);
}

/* The same with a time: the value is taken out only when it has come. */
static cth_status takes_at(void *arg) {
    CTH_SIM_CHECK(cth_sleep_until(*(cth_time *)arg) == CTH_OK);
    CTH_SIM_CHECK(take(&a) == 1);
    return CTH_OK;
}

static cth_status a_value_until_its_time(void *arg) {
    int value = -1;
    cth_chan timed;
    cth_time due = -1;
    (void)arg;
    fresh(1);
    give(&a, 1);
    cth_time deadline = cth_after(CTH_MS(2));
    CTH_SIM_CHECK(cth_chan_after(&timed, CTH_MS(2)) == CTH_OK);
    cth_case cases[] = {CTH_RECV(&timed, &due), CTH_RECV(&a, &value)};
    if (cth_sim_choose(2) == 0) {
        cases[0] = CTH_ON_TIME(deadline);
    }
    cth_thread *t = sim_spawn(takes_at, &deadline);
    for (int i = 0; i < 3; i++) {
        CTH_SIM_CHECK(cth_select_ready_until(cases, 2, NULL, 0) == CTH_OK);
    }
    sim_join(t);
    chan_end(&timed);
    return done();
}

/* ... and with a partner at a rendezvous, who is met when something else has become ready. */
static cth_status meets_partner(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_set(&stop) == CTH_OK);
    give(&a, 1);
    return CTH_OK;
}

static cth_status a_partner_until_another(void *arg) {
    int value = -1;
    const int unsent = 2;
    (void)arg;
    fresh(0);
    cth_thread *p = sim_spawn(takes, &value);
    wait_until_queued(&a, &a.rear, 1);
    cth_case cases[] = {CTH_SEND(&a, &unsent), CTH_ON_EVENT(&stop)};
    if (cth_sim_choose(2) == 0) {
        cases[1] = cases[0];
        cases[0] = CTH_ON_EVENT(&stop);
    }
    cth_thread *m = sim_spawn(meets_partner, NULL);
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_select_ready_until(cases, 2, NULL, 0) == CTH_OK);
    }
    sim_join(p);
    sim_join(m);
    CTH_SIM_CHECK(value == 1);
    return done();
}

/* -- timed channels ------------------------------------------------------------------------------
 */

static cth_chan timed;

static cth_status selects_timed(void *arg) {
    result *r = (result *)arg;
    cth_time due = -1;
    cth_case cases[] = {CTH_ON_EVENT(&stop), CTH_RECV(&timed, &due)};
    r->status = cth_select_until(cases, 2, &r->index, cth_after(CTH_MS(5)));
    CTH_SIM_CHECK((due != -1) == (r->status == CTH_OK));
    CTH_SIM_CHECK(due <= cth_now());
    return CTH_OK;
}

/* Two selects for one due time: one has it. */
static cth_status one_due_time_for_two(void *arg) {
    result r = {CTH_BROKEN, 9, -1}, q = r;
    (void)arg;
    sim_begin();
    memset(&stop, 0, sizeof stop);
    CTH_SIM_CHECK(cth_chan_after(&timed, CTH_MS(2)) == CTH_OK);
    cth_thread *s = sim_spawn(selects_timed, &r);
    cth_thread *t = sim_spawn(selects_timed, &q);
    sim_join(s);
    sim_join(t);
    CTH_SIM_CHECK((r.status == CTH_OK) != (q.status == CTH_OK));
    CTH_SIM_CHECK(r.status == CTH_TIMEDOUT || q.status == CTH_TIMEDOUT);
    chan_end(&timed);
    return CTH_OK;
}

static cth_status waits_for_close(void *arg) {
    cth_time due = -1;
    cth_case cases[] = {CTH_ON_EVENT(&stop), CTH_RECV(&timed, &due)};
    size_t index;
    (void)arg;
    CTH_SIM_CHECK(cth_select(cases, 2, &index) == CTH_CLOSED);
    CTH_SIM_CHECK(index == 1 && due == -1);
    return CTH_OK;
}

/* A timed channel whose time has been taken ends a select by its close only. */
static cth_status timed_channel_closes(void *arg) {
    cth_time due = -1;
    (void)arg;
    sim_begin();
    memset(&stop, 0, sizeof stop);
    CTH_SIM_CHECK(cth_chan_after(&timed, 0) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_recv(&timed, &due) == CTH_OK);
    cth_thread *s = sim_spawn(waits_for_close, NULL);
    CTH_SIM_CHECK(cth_chan_close(&timed) == CTH_OK);
    sim_join(s);
    chan_end(&timed);
    return CTH_OK;
}

/* -- freed after the last use --------------------------------------------------------------------
 */

static union object {
    cth_chan chan;
    cth_event event;
    cth_latch latch;
} * own;

static cth_status selects_and_frees_chan(void *arg) {
    result *r = (result *)arg;
    cth_case cases[] = {CTH_RECV(&own->chan, &r->value), CTH_ON_EVENT(&stop),
                        CTH_RECV(&own->chan, &r->value)};
    r->status = CTH_TIMEDOUT;
    while (r->status == CTH_TIMEDOUT) {
        const cth_time deadline = cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon();
        r->status = cth_select_until(cases, 3, &r->index, deadline);
    }
    chan_end(&own->chan);
    sim_gone(own, sizeof *own);
    return CTH_OK;
}

static cth_status selects_and_frees_flag(void *arg) {
    result *r = (result *)arg;
    cth_case cases[] = {r->value == 0 ? CTH_ON_EVENT(&own->event) : CTH_ON_LATCH(&own->latch),
                        CTH_ON_EVENT(&stop)};
    r->status = CTH_TIMEDOUT;
    while (r->status == CTH_TIMEDOUT) {
        const cth_time deadline = cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon();
        r->status = cth_select_until(cases, 2, &r->index, deadline);
    }
    sim_gone(own, sizeof *own);
    return CTH_OK;
}

static cth_status sends_to_own(void *arg) {
    const int value = 4;
    cth_case cases[] = {CTH_SEND(&own->chan, &value), CTH_ON_EVENT(&stop)};
    (void)arg;
    if (cth_sim_choose(2) == 0) {
        give(&own->chan, value);
    } else {
        CTH_SIM_CHECK(cth_select(cases, 2, NULL) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status sets_own(void *arg) {
    CTH_SIM_CHECK((*(int *)arg == 0 ? cth_event_set(&own->event) : cth_latch_done(&own->latch)) ==
                  CTH_OK);
    return CTH_OK;
}

/* The select's thread gives the object's memory away while the other is still on its way out. */
static cth_status freed_after_select(void *arg) {
    result r = {CTH_BROKEN, 9, -1};
    int kind = (int)cth_sim_choose(3);
    (void)arg;
    sim_begin();
    memset(&stop, 0, sizeof stop);
    own = (union object *)calloc(1, sizeof *own);
    cth_thread *s, *x;
    if (kind == 2) {
        chan_init(&own->chan, any_capacity());
        s = sim_spawn(selects_and_frees_chan, &r);
        x = sim_spawn(sends_to_own, NULL);
    } else {
        r.value = kind;
        CTH_SIM_CHECK(kind == 0 || cth_latch_add(&own->latch, 1) == CTH_OK);
        s = sim_spawn(selects_and_frees_flag, &r);
        x = sim_spawn(sets_own, &kind);
    }
    sim_join(s);
    sim_join(x);
    CTH_SIM_CHECK(r.status == CTH_OK && r.index != 1 && r.value == (kind == 2 ? 4 : kind));
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

static void passes_both_delivered(void) {
    SIM_PASS(both_delivered, SIM_WAITS, 3000);
    SIM_PASS(both_delivered, SIM_ALL, 700);
}
static void passes_gone_frame(void) {
    SIM_PASS(claims_meet_a_gone_frame, SIM_WAITS, 3000);
}
static void passes_two_cases(void) {
    SIM_PASS(closed_in_two_cases, SIM_WAITS, 2000);
    SIM_PASS(values_for_two_cases, SIM_WAITS, 3000);
}
static void passes_selects_meet(void) {
    SIM_PASS(selects_meet, SIM_WAITS, 3000);
    SIM_PASS(crossed_selects, SIM_WAITS, 2000);
}
static void passes_hand_over_meets(void) {
    SIM_PASS(hand_over_meets_timeout, SIM_WAITS, 3000);
    SIM_PASS(hand_over_meets_cancel, SIM_WAITS, 2000);
    SIM_PASS(hand_over_meets_token, SIM_WAITS, 2000);
}
static void passes_opposite_orders(void) {
    SIM_PASS(opposite_orders, SIM_WAITS, 2000);
}
static void passes_each_value_once(void) {
    SIM_PASS(each_value_once, SIM_WAITS, 2000);
    SIM_PASS(selects_over_queues, SIM_WAITS, 2000);
}
static void passes_watchers(void) {
    SIM_PASS(watchers_take_no_wake, SIM_WAITS, 2000);
    SIM_PASS(watchers_of_a_queue, SIM_WAITS, 1500);
    SIM_PASS(watcher_at_a_rendezvous, SIM_WAITS, 1500);
}
static void passes_pulse(void) {
    SIM_PASS(pulse, SIM_WAITS, 1500);
}
static void passes_nothing_ready(void) {
    SIM_PASS(not_both_nothing, SIM_WAITS, 6000);
    SIM_PASS(one_is_always_ready, SIM_WAITS, 8000);
    SIM_PASS(one_can_always_be_taken, SIM_WAITS, 3000);
    SIM_PASS(a_value_until_its_time, SIM_WAITS, 2000);
    SIM_PASS(a_partner_until_another, SIM_WAITS, 3000);
}
static void passes_timed(void) {
    SIM_PASS(one_due_time_for_two, SIM_WAITS, 2000);
    SIM_PASS(timed_channel_closes, SIM_WAITS, 2000);
}
static void passes_freed_after_select(void) {
    SIM_PASS(freed_after_select, SIM_WAITS, 4000);
    SIM_PASS(freed_after_select, SIM_ALL, 1000);
}

/* -- searched completely -------------------------------------------------------------------------
 */

static cth_status select_or_send(void *arg) {
    result r = {CTH_BROKEN, 9, -1};
    (void)arg;
    fresh(1);
    cth_thread *s = sim_spawn(selects_a_or_b, &r);
    cth_thread *x = sim_spawn(gives_a, NULL);
    sim_join(s);
    sim_join(x);
    CTH_SIM_CHECK(r.index == 0);
    return done();
}

static cth_status searched_ready(void *arg) {
    int numbers[] = {0, 1};
    (void)arg;
    sim_begin();
    chan_init(&never, 0);
    thing_init(&things[0], VALUE);
    thing_init(&things[1], EVENT);
    cth_thread *s = sim_spawn(makes_ready_and_looks, &numbers[0]);
    cth_thread *t = sim_spawn(makes_ready_and_looks, &numbers[1]);
    sim_join(s);
    sim_join(t);
    CTH_SIM_CHECK(found[0] || found[1]);
    thing_end(&things[0]);
    thing_end(&things[1]);
    chan_end(&never);
    return CTH_OK;
}

static cth_status selects_a_moment(void *arg) {
    result *r = (result *)arg;
    cth_case cases[] = {CTH_ON_EVENT(&stop), CTH_RECV(&a, &r->value)};
    r->status = cth_select_until(cases, 2, &r->index, cth_after(CTH_MS(1)));
    return CTH_OK;
}

static cth_status searched_timeout(void *arg) {
    result r = {CTH_BROKEN, 9, -1};
    (void)arg;
    fresh(0);
    cth_thread *s = sim_spawn(selects_a_moment, &r);
    cth_thread *x = sim_spawn(gives_a, NULL);
    sim_join(s);
    CTH_SIM_CHECK(r.status == CTH_OK ? r.index == 1 && r.value == 1
                                     : r.status == CTH_TIMEDOUT && r.index == 2 && r.value == -1);
    if (r.status == CTH_TIMEDOUT) {
        CTH_SIM_CHECK(take(&a) == 1);
    }
    sim_join(x);
    return done();
}

static void searches_two_threads(void) {
    SIM_COMPLETE(searched_timeout, CTH_SIM_TIMEOUTS);
    SIM_COMPLETE(select_or_send, 0);
    SIM_COMPLETE(crossed_selects, 0);
    SIM_COMPLETE(searched_ready, 0);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

/* Bug: a watcher stands in the table as an ordinary receiver, so the one wake that a value gives
   may go to it, and the receiver behind it sleeps on. Stands for a poll that steals wake-ups. */
static cth_status watches_by_hand(void *arg) {
    cth__self *self = cth__self_get();
    cth__waiter w;
    (void)arg;
    cth__bucket *bucket = cth__bucket_lock(&a, self);
    const bool waits = cth__chan_must_wait(&a, false, self, bucket);
    if (waits) {
        cth__enqueue(bucket, &w, &a.rear, self, 0);
        w.watch = !planted;
    }
    cth__unlock(&bucket->lock);
    const cth__wait_desc desc = {.deadline = CTH_FOREVER, .what = "watch", .object = &a};
    CTH_SIM_CHECK(!waits || cth__park(self, &w, 1, &desc, NULL) == CTH_OK);
    return CTH_OK;
}

static cth_status watcher_takes_a_wake(void *arg) {
    int value = -1;
    (void)arg;
    fresh(1);
    cth_thread *w = sim_spawn(watches_by_hand, NULL);
    cth_thread *r = sim_spawn(takes, &value);
    wait_until_queued(&a, &a.rear, 2);
    give(&a, 5);
    sim_join(w);
    sim_join(r);
    CTH_SIM_CHECK(value == 5);
    return done();
}

/* Bug: "nothing ready" by a look at one channel after the other: the value may go from the second
   to the first in between. Stands for a default case taken though there was always work. */
static cth_status moves_a_value(void *arg) {
    (void)arg;
    give(&b, 1);
    (void)take(&a);
    give(&a, 1);
    (void)take(&b);
    return CTH_OK;
}

static cth_status looks_one_by_one(void *arg) {
    int value;
    (void)arg;
    fresh(1);
    give(&a, 1);
    cth_case cases[] = {CTH_RECV(&b, &value), CTH_RECV(&a, &value)};
    cth_thread *m = sim_spawn(moves_a_value, NULL);
    const bool nothing = planted ? cth_chan_len(&b) == 0 && cth_chan_len(&a) == 0
                                 : cth_select_ready_until(cases, 2, NULL, 0) == CTH_TIMEDOUT;
    CTH_SIM_CHECK(!nothing);
    sim_join(m);
    return done();
}

/* Bug: the select looks at its cases, and then sets the flags that say that it sleeps. A value that
   comes in between wakes nobody. Right: the flags first, or a second look after them. */
static cth__word filled[2], sleeps[2], woken;

static cth_status fills(void *arg) {
    const int i = *(int *)arg;
    cth__store(&filled[i], 1, release);
    cth__fence(seq_cst);
    if (cth__load(&sleeps[i], relaxed) != 0) {
        cth__store(&woken, 1, release);
        cth__wake_on(NULL, &woken);
    }
    return CTH_OK;
}

static bool any_filled(void) {
    return cth__load(&filled[0], acquire) != 0 || cth__load(&filled[1], acquire) != 0;
}

static cth_status waits_for_any(void *arg) {
    (void)arg;
    if (any_filled()) {
        return CTH_OK;
    }
    cth__store(&sleeps[0], 1, relaxed);
    cth__store(&sleeps[1], 1, relaxed);
    cth__fence(seq_cst);
    if (!planted && any_filled()) {
        return CTH_OK;
    }
    while (cth__load(&woken, acquire) == 0) {
        cth__wait_on(NULL, &woken, 0, CTH_FOREVER);
    }
    CTH_SIM_CHECK(any_filled());
    return CTH_OK;
}

static cth_status flag_after_the_look(void *arg) {
    int which = (int)cth_sim_choose(2);
    (void)arg;
    sim_begin();
    for (int i = 0; i < 2; i++) {
        atomic_init(&filled[i], 0);
        atomic_init(&sleeps[i], 0);
    }
    atomic_init(&woken, 0);
    cth_thread *s = sim_spawn(waits_for_any, NULL);
    cth_thread *x = sim_spawn(fills, &which);
    sim_join(s);
    sim_join(x);
    return CTH_OK;
}

/* Bug: the select is claimed by a look and a store. The wakers of two cases both take it for
   theirs, and one of the two values is overwritten. Right is a compare-and-swap. */
static cth__word claim, handed;

static cth_status hands_over(void *arg) {
    const uint32_t value = *(uint32_t *)arg;
    uint32_t open = 0;
    bool mine;
    if (planted) {
        mine = cth__load(&claim, relaxed) == 0;
        if (mine) {
            cth__store(&claim, value, release);
        }
    } else {
        mine = cth__cas(&claim, &open, value, release, relaxed);
    }
    if (mine) {
        (void)cth__add(&handed, value, relaxed);
        cth__wake_on(NULL, &claim);
    }
    return CTH_OK;
}

static cth_status claimed_by_two(void *arg) {
    uint32_t values[] = {1, 2};
    (void)arg;
    sim_begin();
    atomic_init(&claim, 0);
    atomic_init(&handed, 0);
    cth_thread *x = sim_spawn(hands_over, &values[0]);
    cth_thread *y = sim_spawn(hands_over, &values[1]);
    uint32_t winner;
    while ((winner = cth__load(&claim, acquire)) == 0) {
        cth__wait_on(NULL, &claim, 0, CTH_FOREVER);
    }
    sim_join(x);
    sim_join(y);
    CTH_SIM_CHECK(cth__load(&handed, relaxed) == winner);
    return CTH_OK;
}

/* Bug: the waker claims the select, and then copies the value into its frame, which may be gone by
   then. Right: copy, then claim; or claim in two steps. */
static struct {
    cth__word claim;
    cth__word value;
} record;

static cth_status copies_late(void *arg) {
    (void)arg;
    if (!planted) {
        cth__store(&record.value, 9, relaxed);
    }
    cth__store(&record.claim, 1, release);
    if (planted) {
        cth__store(&record.value, 9, relaxed);
    }
    return CTH_OK;
}

static cth_status copy_into_a_gone_frame(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&record.claim, 0);
    atomic_init(&record.value, 0);
    cth_thread *t = sim_spawn(copies_late, NULL);
    while (cth__load(&record.claim, acquire) == 0) {
        cth_yield();
    }
    memset(&record, 0xdd, sizeof record);
    sim_join(t);
    CTH_SIM_CHECK(atomic_load(&record.value) == 0xdddddddd);
    return CTH_OK;
}

/* Bug: a select that sends and receives on one rendezvous shows both, looks for a partner once
   more, and takes its own other end for one. */
static cth_mutex lock;
static int sender, receiver; // who shows that end; 0: nobody
static int partner[3];

static cth_status shows_both_ends(void *arg) {
    const int me = *(int *)arg;
    while (partner[me] == 0) {
        CTH_WITH(&lock) {
            sender = sender == 0 ? me : sender;
            receiver = receiver == 0 ? me : receiver;
            const int other = sender != me ? sender : receiver;
            if (partner[me] == 0 && (other != me || planted)) {
                partner[me] = other;
                partner[other] = me;
                sender = receiver = 0;
            }
        }
        cth_yield();
    }
    CTH_SIM_CHECK(partner[me] != me && partner[partner[me]] == me);
    return CTH_OK;
}

static cth_status meets_itself(void *arg) {
    int numbers[] = {1, 2};
    (void)arg;
    sim_begin();
    memset(&lock, 0, sizeof lock);
    memset(partner, 0, sizeof partner);
    sender = receiver = 0;
    cth_thread *s = sim_spawn(shows_both_ends, &numbers[0]);
    cth_thread *t = sim_spawn(shows_both_ends, &numbers[1]);
    sim_join(s);
    sim_join(t);
    return CTH_OK;
}

static void finds_watcher_that_takes(void) {
    SIM_FOUND(watcher_takes_a_wake, 0, "deadlock");
}
static void finds_looks_one_by_one(void) {
    SIM_FOUND(looks_one_by_one, 0, "check");
}
static void finds_flag_after_the_look(void) {
    SIM_FOUND(flag_after_the_look, 0, "deadlock");
}
static void finds_claim_by_two(void) {
    SIM_FOUND(claimed_by_two, 0, "check");
}
static void finds_copy_into_a_gone_frame(void) {
    SIM_FOUND(copy_into_a_gone_frame, 0, "check");
}
static void finds_meeting_itself(void) {
    SIM_FOUND(meets_itself, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_both_delivered),  TEST(passes_gone_frame),
    TEST(passes_two_cases),       TEST(passes_selects_meet),
    TEST(passes_hand_over_meets), TEST(passes_opposite_orders),
    TEST(passes_each_value_once), TEST(passes_watchers),
    TEST(passes_pulse),           TEST(passes_nothing_ready),
    TEST(passes_timed),           TEST(passes_freed_after_select),
    TEST(searches_two_threads),   TEST(finds_watcher_that_takes),
    TEST(finds_looks_one_by_one), TEST(finds_flag_after_the_look),
    TEST(finds_claim_by_two),     TEST(finds_copy_into_a_gone_frame),
    TEST(finds_meeting_itself),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
