/* sim_chan.c - channels under many schedules: transfers, close, deadlines, histories against a
   model; and bugs of channels that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

// Where threads are no fibers each schedule is many times slower.
#define MANY(n) (CTH__FIBERS ? (n) : (n) / 6)

enum { VALUES = 16 };

static cth_chan chan, other;
static cth_cancel token;
static int sent[VALUES];    // how often a value was sent
static int arrived[VALUES]; // ... and received

/* Channels begin as if so many values had gone through that positions are about to wrap, or their
   highest bit to change; or with the first one. */
static void chan_init_as(cth_chan *c, size_t capacity, bool single) {
    static const uint32_t positions[] = {0, 0x80000000 - 8, 0u - 8};
    const uint32_t at = positions[sim_calm ? 2 : cth_sim_choose(3)];
    const cth_chan_desc desc = {.single = single};
    cth_status status;
    while ((status = cth_chan_init(c, sizeof(int), capacity, &desc)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
    if (capacity != 0) {
        cth__store(&c->rear.at, at, relaxed);
        cth__store(&c->rear.till, at + c->rear.room, relaxed);
        cth__store(&c->front.at, at, relaxed);
        cth__store(&c->front.till, at, relaxed);
    }
}

static void chan_init(cth_chan *c, size_t capacity) {
    chan_init_as(c, capacity, false);
}

static void chan_end(cth_chan *c) {
    CTH_SIM_CHECK(cth_chan_destroy(c) == CTH_OK);
}

static void fresh(size_t capacity) {
    sim_begin();
    chan_init(&chan, capacity);
    memset(sent, 0, sizeof sent);
    memset(arrived, 0, sizeof arrived);
}

static cth_status done(void) {
    chan_end(&chan);
    return CTH_OK;
}

static size_t any_capacity(void) {
    static const size_t capacities[] = {0, 1, 2, CTH_UNBOUNDED};
    return capacities[cth_sim_choose(4)];
}

static size_t any_bounded(void) {
    return cth_sim_choose(3);
}

static void any_moment(uint32_t n) {
    for (n = cth_sim_choose(n); n > 0; n--) {
        cth_yield();
    }
}

/* Memory may be lacking for the moment. */
static cth_status send_again(cth_chan *c, int value) {
    cth_status status;
    do {
        status = cth_chan_send(c, &value);
    } while (status == CTH_NOMEM);
    return status;
}

static void give(cth_chan *c, int value) {
    CTH_SIM_CHECK(send_again(c, value) == CTH_OK);
}

static int take(cth_chan *c) {
    int value = -1;
    CTH_SIM_CHECK(cth_chan_recv(c, &value) == CTH_OK);
    return value;
}

static void count(int value) {
    CTH_SIM_CHECK(value >= 0 && value < VALUES);
    arrived[value]++;
}

/* What is left in the channel, nobody else at work. */
static void count_the_rest(void) {
    int value = -1;
    while (cth_chan_try_recv(&chan, &value) == CTH_OK) {
        count(value);
    }
    CTH_SIM_CHECK(cth_chan_len(&chan) == 0);
}

static void all_arrived(void) {
    for (int i = 0; i < VALUES; i++) {
        CTH_SIM_CHECK(sent[i] <= 1 && arrived[i] == sent[i]);
    }
}

/* -- transfers ----------------------------------------------------------------------------------
 */

/* Values of one sender are FOUR apart, and received in order. */
enum { FOUR = 4 };
static int bases[] = {0, FOUR, 2 * FOUR};

static cth_status sends_two(void *arg) {
    const int base = *(int *)arg;
    for (int i = 0; i < 2; i++) {
        give(&chan, base + i);
        sent[base + i]++;
    }
    return CTH_OK;
}

static cth_status receives_two(void *arg) {
    int last = -1;
    (void)arg;
    for (int i = 0; i < 2; i++) {
        const int value = take(&chan);
        CTH_SIM_CHECK(last / FOUR != value / FOUR || last < value);
        last = value;
        count(value);
    }
    return CTH_OK;
}

static cth_status transfers(size_t capacity) {
    fresh(capacity);
    cth_thread *threads[] = {sim_spawn(receives_two, NULL), sim_spawn(sends_two, &bases[0]),
                             sim_spawn(receives_two, NULL), sim_spawn(sends_two, &bases[1])};
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(sent[0] + sent[1] + sent[FOUR] + sent[FOUR + 1] == 4);
    all_arrived();
    CTH_SIM_CHECK(cth_chan_len(&chan) == 0);
    return done();
}

static cth_status transfers_0(void *arg) {
    (void)arg;
    return transfers(0);
}

static cth_status transfers_1(void *arg) {
    (void)arg;
    return transfers(1);
}

static cth_status transfers_2(void *arg) {
    (void)arg;
    return transfers(2);
}

static cth_status transfers_unbounded(void *arg) {
    (void)arg;
    return transfers(CTH_UNBOUNDED);
}

static cth_status sends_a_batch(void *arg) {
    const int base = *(int *)arg;
    int values[FOUR];
    for (int i = 0; i < FOUR; i++) {
        values[i] = base + i;
    }
    const int n = 3;
    for (int i = 0; i < n;) {
        size_t went = 99;
        const cth_status status = cth_chan_send_n(&chan, values + i, (size_t)(n - i), &went);
        CTH_SIM_CHECK(went <= (size_t)(n - i));
        CTH_SIM_CHECK(status == CTH_OK ? went == (size_t)(n - i) : status == CTH_NOMEM);
        for (; went > 0; went--) {
            sent[base + i++]++;
        }
    }
    return CTH_OK;
}

static cth_status receives_batches(void *arg) {
    int last[3] = {-1, -1, -1};
    (void)arg;
    for (;;) {
        int values[2] = {-1, -1};
        size_t n = 99;
        const cth_status status = cth_chan_recv_n(&chan, values, 2, &n);
        if (status != CTH_OK) {
            CTH_SIM_CHECK(status == CTH_CLOSED && n == 0 && values[0] == -1);
            return CTH_OK;
        }
        CTH_SIM_CHECK(n == 1 || n == 2);
        CTH_SIM_CHECK((values[1] == -1) == (n == 1));
        for (size_t i = 0; i < n; i++) {
            count(values[i]);
            CTH_SIM_CHECK(last[values[i] / FOUR] < values[i]);
            last[values[i] / FOUR] = values[i];
        }
    }
}

static cth_status batches(void *arg) {
    (void)arg;
    fresh(any_capacity());
    cth_thread *a = sim_spawn(receives_batches, NULL);
    cth_thread *b = sim_spawn(sends_a_batch, &bases[0]);
    cth_thread *c = sim_spawn(sends_a_batch, &bases[1]);
    cth_thread *d = sim_spawn(receives_batches, NULL);
    sim_join(b);
    sim_join(c);
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_OK);
    sim_join(a);
    sim_join(d);
    all_arrived();
    return done();
}

/* Threads asleep on one side, and fewer calls on the other than there are sleepers: each value (or
   place) wakes one. */
static cth_status receives_one(void *arg) {
    (void)arg;
    count(take(&chan));
    return CTH_OK;
}

static cth_status sends_one(void *arg) {
    const int base = *(int *)arg;
    give(&chan, base);
    sent[base]++;
    return CTH_OK;
}

static cth_status receivers_asleep(void *arg) {
    (void)arg;
    fresh(any_capacity());
    cth_thread *threads[5];
    for (int i = 0; i < 4; i++) {
        threads[i] = sim_spawn(receives_one, NULL);
    }
    if (cth_sim_choose(2) == 0) {
        sim_settle();
    }
    threads[4] = sim_spawn(sends_a_batch, &bases[0]);
    CTH_SIM_CHECK(sends_one(&bases[1]) == CTH_OK);
    for (int i = 0; i < 5; i++) {
        sim_join(threads[i]);
    }
    all_arrived();
    return done();
}

static cth_status receives_a_batch(void *arg) {
    (void)arg;
    for (int n = 0; n < 3;) {
        int values[2] = {-1, -1};
        size_t got = 99;
        CTH_SIM_CHECK(cth_chan_recv_n(&chan, values, n == 2 ? 1 : 2, &got) == CTH_OK);
        n += (int)got;
        for (size_t i = 0; i < got; i++) {
            count(values[i]);
        }
    }
    return CTH_OK;
}

static cth_status senders_asleep(void *arg) {
    static int numbers[] = {0, 1, 2};
    (void)arg;
    const int capacity = (int)any_bounded();
    fresh((size_t)capacity);
    for (int i = 0; i < capacity; i++) {
        give(&chan, 8 + i);
        sent[8 + i]++;
    }
    cth_thread *threads[4];
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(sends_one, &numbers[i]);
    }
    if (cth_sim_choose(2) == 0) {
        sim_settle();
    }
    threads[3] = sim_spawn(receives_a_batch, NULL);
    for (int i = 0; i < capacity; i++) {
        CTH_SIM_CHECK(receives_one(NULL) == CTH_OK);
    }
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    all_arrived();
    return done();
}

/* -- deadlines and cancelled waits ---------------------------------------------------------------
 */

static cth_status sends_until(void *arg) {
    const int base = *(int *)arg;
    for (int i = 0; i < 2; i++) {
        const int value = base + i;
        const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
        const cth_status status = cth_chan_send_until(&chan, &value, deadline);
        CTH_SIM_CHECK(status == CTH_OK || (status == CTH_TIMEDOUT && cth_now() >= deadline) ||
                      status == CTH_NOMEM);
        sent[value] += status == CTH_OK;
    }
    return CTH_OK;
}

static cth_status receives_until(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        int values[2] = {-1, -1};
        size_t n = 1;
        const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
        const cth_status status = cth_sim_choose(2) == 0
                                      ? cth_chan_recv_until(&chan, values, deadline)
                                      : cth_chan_recv_n_until(&chan, values, 2, &n, deadline);
        if (status == CTH_OK) {
            for (size_t k = 0; k < n; k++) {
                count(values[k]);
            }
        } else {
            CTH_SIM_CHECK(status == CTH_TIMEDOUT && cth_now() >= deadline);
            CTH_SIM_CHECK(values[0] == -1 && values[1] == -1);
        }
    }
    return CTH_OK;
}

/* Timeouts at any moment: what timed out has moved nothing, what did not has moved. */
static cth_status deadlines(void *arg) {
    (void)arg;
    fresh(any_capacity());
    cth_thread *threads[] = {sim_spawn(receives_until, NULL), sim_spawn(sends_until, &bases[0]),
                             sim_spawn(receives_until, NULL), sim_spawn(sends_until, &bases[1])};
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    count_the_rest();
    all_arrived();
    return done();
}

/* One call that may be ended by its deadline or its token; how many values it moved. */
typedef struct hasty {
    bool sends, batch, under;
    int moved;
} hasty;

static cth_status moves_in_haste(hasty *h) {
    int values[2] = {4, 5};
    const cth_time deadline = h->under ? CTH_FOREVER : sim_soon();
    size_t n = 1;
    cth_status status;
    if (h->sends) {
        status = cth_chan_send_until(&chan, values, deadline);
    } else if (h->batch) {
        status = cth_chan_recv_n_until(&chan, values, 2, &n, deadline);
    } else {
        status = cth_chan_recv_until(&chan, values, deadline);
    }
    CTH_SIM_CHECK(status == CTH_OK || status == (h->under ? CTH_CANCELLED : CTH_TIMEDOUT));
    if (status != CTH_OK) {
        CTH_SIM_CHECK(values[0] == 4 && values[1] == 5);
        return CTH_OK;
    }
    h->moved = (int)n;
    for (size_t i = 0; i < n; i++) {
        if (h->sends) {
            sent[values[i]]++;
        } else {
            count(values[i]);
        }
    }
    return CTH_OK;
}

static cth_status in_haste(void *arg) {
    hasty *h = (hasty *)arg;
    if (h->under) {
        CTH_UNDER(&token) {
            (void)moves_in_haste(h);
        }
        return CTH_OK;
    }
    return moves_in_haste(h);
}

static cth_status requests(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    return CTH_OK;
}

/* A receiver that may give up, a patient one, and one value: if the first has not got it, the other
   has. The wake for it must not go to the first and end there. */
static cth_status hasty_receiver(void *arg) {
    (void)arg;
    hasty h = {.batch = cth_sim_choose(2) == 0, .under = cth_sim_choose(2) == 0};
    fresh(any_capacity());
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *first = sim_spawn(in_haste, &h);
    cth_thread *patient = sim_spawn(receives_one, NULL);
    cth_thread *requester = h.under ? sim_spawn(requests, NULL) : NULL;
    any_moment(6);
    give(&chan, 0);
    sent[0]++;
    sim_join(first);
    if (requester != NULL) {
        sim_join(requester);
    }
    CTH_SIM_CHECK(h.moved <= 1);
    if (h.moved == 1) {
        give(&chan, 1);
        sent[1]++;
    }
    sim_join(patient);
    all_arrived();
    CTH_SIM_CHECK(cth_chan_len(&chan) == 0);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return done();
}

/* The same with senders, and one place. */
static cth_status hasty_sender(void *arg) {
    (void)arg;
    hasty h = {.sends = true, .under = cth_sim_choose(2) == 0};
    const int capacity = (int)any_bounded();
    fresh((size_t)capacity);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    for (int i = 0; i < capacity; i++) {
        give(&chan, 8 + i);
        sent[8 + i]++;
    }
    cth_thread *first = sim_spawn(in_haste, &h);
    cth_thread *patient = sim_spawn(sends_one, &bases[0]);
    cth_thread *requester = h.under ? sim_spawn(requests, NULL) : NULL;
    any_moment(6);
    count(take(&chan));
    sim_join(first);
    if (requester != NULL) {
        sim_join(requester);
    }
    if (h.moved == 1) {
        count(take(&chan));
    }
    sim_join(patient);
    count_the_rest();
    all_arrived();
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return done();
}

/* Sender and receiver that may both give up: they agree on whether they met. */
static cth_status both_in_haste(void *arg) {
    (void)arg;
    hasty s = {.sends = true, .under = cth_sim_choose(2) == 0};
    hasty r = {.batch = cth_sim_choose(2) == 0, .under = cth_sim_choose(2) == 0};
    fresh(any_capacity());
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *first = sim_spawn(in_haste, &s);
    cth_thread *second = sim_spawn(in_haste, &r);
    any_moment(6);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    sim_join(first);
    sim_join(second);
    CTH_SIM_CHECK(r.moved <= s.moved);
    count_the_rest();
    all_arrived();
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return done();
}

/* -- close ---------------------------------------------------------------------------------------
 */

static cth_status sends_until_closed(void *arg) {
    const int base = *(int *)arg;
    for (int i = 0; i < 2; i++) {
        const cth_status status = send_again(&chan, base + i);
        if (status == CTH_CLOSED) {
            CTH_SIM_CHECK(cth_chan_is_closed(&chan));
            CTH_SIM_CHECK(send_again(&chan, base) == CTH_CLOSED);
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK);
        sent[base + i]++;
    }
    return CTH_OK;
}

static cth_status sends_a_batch_until_closed(void *arg) {
    const int base = *(int *)arg;
    const int values[] = {base, base + 1, base + 2};
    for (size_t i = 0; i < 3;) {
        size_t went = 99;
        const cth_status status = cth_chan_send_n(&chan, values + i, 3 - i, &went);
        for (size_t k = 0; k < went; k++) {
            sent[values[i + k]]++;
        }
        i += went;
        if (status == CTH_CLOSED) {
            CTH_SIM_CHECK(i < 3);
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK ? i == 3 : status == CTH_NOMEM);
    }
    return CTH_OK;
}

static cth_status receives_until_closed(void *arg) {
    int value = -1;
    cth_status status;
    (void)arg;
    while ((status = cth_chan_recv(&chan, &value)) == CTH_OK) {
        count(value);
        value = -1;
    }
    CTH_SIM_CHECK(status == CTH_CLOSED && value == -1);
    CTH_SIM_CHECK(cth_chan_is_closed(&chan));
    CTH_SIM_CHECK(cth_chan_try_recv(&chan, &value) == CTH_CLOSED);
    return CTH_OK;
}

/* A close at any moment, among senders and receivers at work and asleep: each value was received, or
   its sender knows that it was not. */
static cth_status close_meets_all(void *arg) {
    (void)arg;
    fresh(any_capacity());
    cth_thread *threads[] = {
        sim_spawn(receives_until_closed, NULL), sim_spawn(sends_until_closed, &bases[0]),
        sim_spawn(sends_a_batch_until_closed, &bases[1]), sim_spawn(receives_until_closed, NULL)};
    any_moment(10);
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_CLOSED);
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    all_arrived();
    return done();
}

/* Without receivers: those that wait to send are freed, and what is inside is still received. */
static cth_status close_meets_senders(void *arg) {
    (void)arg;
    fresh(any_bounded());
    cth_thread *a = sim_spawn(sends_until_closed, &bases[0]);
    cth_thread *b = sim_spawn(sends_a_batch_until_closed, &bases[1]);
    any_moment(10);
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_OK);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(receives_until_closed(NULL) == CTH_OK);
    all_arrived();
    return done();
}

static int closers;

static cth_status closes(void *arg) {
    (void)arg;
    const cth_status status = cth_chan_close(&chan);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_CLOSED);
    closers += status == CTH_OK;
    return CTH_OK;
}

/* Of several that close one is the first. */
static cth_status close_meets_close(void *arg) {
    (void)arg;
    fresh(any_capacity());
    closers = 0;
    cth_thread *r = sim_spawn(receives_until_closed, NULL);
    cth_thread *a = sim_spawn(closes, NULL);
    cth_thread *b = sim_spawn(closes, NULL);
    CTH_SIM_CHECK(sends_until_closed(&bases[0]) == CTH_OK);
    sim_join(a);
    sim_join(b);
    sim_join(r);
    CTH_SIM_CHECK(closers == 1);
    all_arrived();
    return done();
}

/* -- order ---------------------------------------------------------------------------------------
 */

static int before_send, before_recv, before_close; // plain, marked

static cth_status orders_receiver(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        if (i == 0) {
            CTH_SIM_WRITE(before_recv);
            before_recv = 1;
        }
        const int value = take(&chan);
        CTH_SIM_CHECK(value == i);
        CTH_SIM_READ(before_send);
        CTH_SIM_CHECK(before_send == 1);
    }
    CTH_SIM_CHECK(cth_chan_recv(&chan, &(int){0}) == CTH_CLOSED);
    CTH_SIM_READ(before_close);
    CTH_SIM_CHECK(before_close == 1);
    return CTH_OK;
}

static cth_status orders_closer(void *arg) {
    (void)arg;
    CTH_SIM_WRITE(before_close);
    before_close = 1;
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_OK);
    return CTH_OK;
}

static cth_status orders_watcher(void *arg) {
    (void)arg;
    while (!cth_chan_is_closed(&chan)) {
        cth_yield();
    }
    CTH_SIM_READ(before_close);
    CTH_SIM_CHECK(before_close == 1);
    return CTH_OK;
}

/* A send happens before the recv of its value; the recv before the send that uses its place, or that
   it frees, returns; a close before the recv that it ends, and before it is seen to have been. */
static cth_status orders(void *arg) {
    (void)arg;
    const size_t capacity = any_bounded();
    const bool single = capacity != 0 && cth_sim_choose(2) != 0;
    sim_begin();
    chan_init_as(&chan, capacity, single);
    before_send = before_recv = before_close = 0;
    cth_thread *r = sim_spawn(orders_receiver, NULL);
    cth_thread *w = sim_spawn(orders_watcher, NULL);
    CTH_SIM_WRITE(before_send);
    before_send = 1;
    for (size_t i = 0; i < 3; i++) {
        give(&chan, (int)i);
        if (i >= capacity) {
            CTH_SIM_READ(before_recv);
            CTH_SIM_CHECK(before_recv == 1);
        }
    }
    cth_thread *c = sim_spawn(orders_closer, NULL);
    sim_join(r);
    sim_join(w);
    sim_join(c);
    return done();
}

/* The channel has one value or two at any time, and a place or two: whoever looks finds one, and
   "empty" or "full" by an old position at one side and a new one at the other is found out. */
static cth_status puts_and_takes(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        give(&chan, 1);
        CTH_SIM_CHECK(take(&chan) == 1);
    }
    return CTH_OK;
}

static cth_status takes_and_puts(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(take(&chan) == 1);
        give(&chan, 1);
    }
    return CTH_OK;
}

static cth_status never_empty(void *arg) {
    int value = -1;
    (void)arg;
    fresh(cth_sim_choose(2) == 0 ? 2 : CTH_UNBOUNDED);
    give(&chan, 1);
    cth_thread *t = sim_spawn(puts_and_takes, NULL);
    if (cth_sim_choose(4) == 0) {
        const size_t len = cth_chan_len(&chan);
        CTH_SIM_CHECK(len == 1 || len == 2);
    } else {
        // As a batch: without the look of the fast path, which would make the later ones see more.
        CTH_SIM_CHECK(cth_chan_try_recv_n(&chan, &value, 1, NULL) == CTH_OK);
    }
    sim_join(t);
    return done();
}

static cth_status never_full(void *arg) {
    const int value = 1;
    (void)arg;
    fresh(2);
    give(&chan, 1);
    cth_thread *t = sim_spawn(takes_and_puts, NULL);
    if (cth_sim_choose(4) == 0) {
        CTH_SIM_CHECK(cth_chan_len(&chan) <= 1);
    } else {
        CTH_SIM_CHECK(cth_chan_try_send_n(&chan, &value, 1, NULL) == CTH_OK);
    }
    sim_join(t);
    return done();
}

/* Two threads, two channels: each does something at one and then looks at the other. At least one of
   them finds what the other did. */
enum { SENDS, RECEIVES, CLOSES, DEEDS };
static int deed;
static bool found[2];

static cth_status does_and_looks(void *arg) {
    const int me = *(int *)arg;
    cth_chan *mine = me == 0 ? &chan : &other, *its = me == 0 ? &other : &chan;
    int value = 1;
    if (deed == SENDS) {
        CTH_SIM_CHECK(cth_chan_try_send(mine, &value) == CTH_OK);
    } else if (deed == RECEIVES) {
        CTH_SIM_CHECK(cth_chan_try_recv(mine, &value) == CTH_OK);
    } else {
        CTH_SIM_CHECK(cth_chan_close(mine) == CTH_OK);
    }
    const uint32_t how = cth_sim_choose(3);
    const cth_status status = deed == RECEIVES
                                  ? (how == 0   ? cth_chan_try_send(its, &value)
                                     : how == 1 ? cth_chan_send_until(its, &value, 0)
                                                : cth_chan_try_send_n(its, &value, 1, NULL))
                                  : (how == 0   ? cth_chan_try_recv(its, &value)
                                     : how == 1 ? cth_chan_recv_until(its, &value, 0)
                                                : cth_chan_try_recv_n(its, &value, 1, NULL));
    if (status == CTH_OK || status == CTH_CLOSED) {
        CTH_SIM_CHECK((status == CTH_CLOSED) == (deed == CLOSES));
        found[me] = true;
    } else {
        CTH_SIM_CHECK(status == (deed == RECEIVES ? CTH_FULL : CTH_EMPTY) ||
                      status == CTH_TIMEDOUT);
    }
    return CTH_OK;
}

static cth_status not_both_in_vain(size_t capacity, int what) {
    int numbers[] = {0, 1};
    fresh(capacity);
    chan_init(&other, capacity);
    deed = what;
    found[0] = found[1] = false;
    if (deed == RECEIVES) {
        for (size_t i = 0; i < capacity; i++) {
            give(&chan, 0);
            give(&other, 0);
        }
    }
    cth_thread *a = sim_spawn(does_and_looks, &numbers[0]);
    cth_thread *b = sim_spawn(does_and_looks, &numbers[1]);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(found[0] || found[1]);
    chan_end(&other);
    return done();
}

static cth_status one_is_not_in_vain(void *arg) {
    (void)arg;
    const int what = (int)cth_sim_choose(DEEDS);
    return not_both_in_vain(what == RECEIVES ? 1 + cth_sim_choose(2) : any_capacity() | 1, what);
}

/* -- freed at once -------------------------------------------------------------------------------
 */

static cth_chan *gone; // freed by who makes the last use of it
static cth__word uses; // how many receivers have their value

static cth_status sends_to_gone(void *arg) {
    CTH_SIM_CHECK(send_again(gone, *(int *)arg) == CTH_OK);
    return CTH_OK;
}

static cth_status sends_a_batch_to_gone(void *arg) {
    const int values[] = {5, 6};
    (void)arg;
    for (size_t i = 0; i < 2;) {
        size_t went = 99;
        const cth_status status = cth_chan_send_n(gone, values + i, 2 - i, &went);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_NOMEM);
        i += went;
    }
    return CTH_OK;
}

static cth_status closes_gone(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_chan_close(gone) == CTH_OK);
    return CTH_OK;
}

static void free_gone(void) {
    chan_end(gone);
    sim_gone(gone, sizeof *gone);
}

static void begin_gone(size_t capacity) {
    sim_begin();
    gone = (cth_chan *)malloc(sizeof *gone);
    CTH_SIM_CHECK(gone != NULL);
    chan_init(gone, capacity);
    atomic_init(&uses, 0);
}

static cth_status end_gone(void) {
    sim_untouched(gone, sizeof *gone);
    free(gone);
    return CTH_OK;
}

/* The receiver of the last value (or of "closed") frees the channel, whatever its sender (or closer)
   is still about to do. */
static cth_status freed_after_recv(void *arg) {
    static int one = 1;
    int value = -1;
    (void)arg;
    begin_gone(sim_calm ? 1 : any_capacity());
    const uint32_t how = sim_calm ? 0 : cth_sim_choose(3);
    cth_thread *t = how == 0   ? sim_spawn(sends_to_gone, &one)
                    : how == 1 ? sim_spawn(sends_a_batch_to_gone, NULL)
                               : sim_spawn(closes_gone, NULL);
    if (how == 1) {
        CTH_SIM_CHECK(take(gone) == 5 && take(gone) == 6);
    } else if (how == 0) {
        CTH_SIM_CHECK(take(gone) == 1);
    } else {
        CTH_SIM_CHECK(cth_chan_recv(gone, &value) == CTH_CLOSED);
    }
    free_gone();
    sim_join(t);
    return end_gone();
}

static cth_status receives_and_frees(void *arg) {
    (void)arg;
    (void)take(gone);
    if (cth__add(&uses, 1, acq_rel) == 1) {
        free_gone();
    }
    return CTH_OK;
}

/* Two of each: the second receiver that has its value frees, with two sends on their way out. */
static cth_status freed_by_the_second(void *arg) {
    static int numbers[] = {1, 2};
    (void)arg;
    begin_gone(any_capacity());
    cth_thread *threads[] = {
        sim_spawn(receives_and_frees, NULL), sim_spawn(receives_and_frees, NULL),
        sim_spawn(sends_to_gone, &numbers[0]), sim_spawn(sends_to_gone, &numbers[1])};
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    return end_gone();
}

/* At a rendezvous the sender knows that its value is there, and may free as well. */
static cth_status receives_from_gone(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(take(gone) == 3);
    return CTH_OK;
}

static cth_status freed_after_send(void *arg) {
    (void)arg;
    begin_gone(0);
    cth_thread *r = sim_spawn(receives_from_gone, NULL);
    any_moment(4);
    give(gone, 3);
    free_gone();
    sim_join(r);
    return end_gone();
}

static bool waits_in_table(const void *key) {
    cth__bucket *bucket = cth__bucket_lock(&chan, cth__self_get());
    const bool waits = cth__next(bucket, NULL, key) != NULL;
    cth__unlock(&bucket->lock);
    return waits;
}

/* Nobody may destroy while others wait. */
static cth_status destroy_meets_receiver(void *arg) {
    (void)arg;
    fresh(any_capacity());
    cth_thread *r = sim_spawn(receives_one, NULL);
    while (!waits_in_table(&chan.rear)) {
        cth_yield();
    }
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_BUSY);
    give(&chan, 0);
    sim_join(r);
    return done();
}

/* -- histories -----------------------------------------------------------------------------------
   Three threads make four calls each, chosen at random. Each call notes when it began and when it
   returned. There must be an order of all calls, in which a call that returned before another one
   began stands before it, in which a plain queue would have answered the same. At a rendezvous a
   send and its recv are one step.

   The length is held to that only where every load sees the newest store. In the memory model of C11
   it need not fit: one thread may see a send before a recv, another one the recv before the send.
   ---------------------------------------------------------------------------------------------- */

enum { HANDS = 3, STEPS = 4, MOST_STEPS = 16 };

typedef enum op { TRY_SEND, SEND_UNTIL, TRY_RECV, RECV_UNTIL, RECV_TWO, LEN, IS_CLOSED, CLOSE } op;

typedef struct step {
    op op;
    bool waits;    // SEND_UNTIL, RECV_...: until a deadline that lies ahead
    int values[2]; // sent or received
    size_t n;      // received; or the answer of LEN and IS_CLOSED
    cth_status status;
    uint32_t begin, end;
} step;

typedef struct hand {
    step steps[MOST_STEPS];
    int n;
} hand;

static hand hands[HANDS + 1]; // the last one is what is found at the end
static cth__word ticks;
static size_t bound;   // the capacity
static bool exact_len; // every load sees the newest store

static uint32_t tick(void) {
    // acq_rel: what returned before another call began happens before it.
    return cth__add(&ticks, 1, acq_rel);
}

static void make_step(step *s) {
    const cth_time deadline = s->waits ? sim_soon() : 0;
    s->begin = tick();
    switch (s->op) {
    case TRY_SEND: s->status = cth_chan_try_send(&chan, s->values); break;
    case SEND_UNTIL: s->status = cth_chan_send_until(&chan, s->values, deadline); break;
    case TRY_RECV: s->status = cth_chan_try_recv(&chan, s->values); break;
    case RECV_UNTIL: s->status = cth_chan_recv_until(&chan, s->values, deadline); break;
    case RECV_TWO:
        s->status = cth_chan_recv_n_until(&chan, s->values, 2, &s->n, deadline);
        CTH_SIM_CHECK(s->status == CTH_OK ? s->n == 1 || s->n == 2 : s->n == 0);
        break;
    case LEN: s->n = cth_chan_len(&chan); break;
    case IS_CLOSED: s->n = cth_chan_is_closed(&chan); break;
    case CLOSE: s->status = cth_chan_close(&chan); break;
    }
    s->end = tick();
    if (s->op == TRY_RECV || s->op == RECV_UNTIL) {
        s->n = s->status == CTH_OK;
    }
}

static cth_status plays(void *arg) {
    hand *h = (hand *)arg;
    for (int i = 0; i < h->n; i++) {
        make_step(&h->steps[i]);
    }
    return CTH_OK;
}

/* The plain queue. */
typedef struct model {
    int values[MOST_STEPS * HANDS];
    int first, last;
    bool closed;
} model;

static bool sends(const step *s) {
    return s->op == TRY_SEND || s->op == SEND_UNTIL;
}

/* Let the model answer; false when it would have answered something else. */
static bool model_answers(model *m, const step *s) {
    const size_t len = (size_t)(m->last - m->first);
    if (s->op == LEN) {
        return exact_len ? s->n == len : s->n <= bound && s->n <= (size_t)HANDS * STEPS;
    }
    if (s->op == IS_CLOSED) {
        return (s->n != 0) == m->closed;
    }
    if (s->op == CLOSE) {
        const bool was = m->closed;
        m->closed = true;
        return s->status == (was ? CTH_CLOSED : CTH_OK);
    }
    if (sends(s)) {
        if (s->status != CTH_OK) {
            return (s->status == CTH_CLOSED) == m->closed && (m->closed || len == bound);
        }
        m->values[m->last++] = s->values[0];
        return !m->closed && len < bound;
    }
    if (s->status != CTH_OK) {
        return (s->status == CTH_CLOSED) == m->closed && len == 0;
    }
    if (s->n > len) {
        return false;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (m->values[m->first++] != s->values[i]) {
            return false;
        }
    }
    return true;
}

/* The next step of a hand, if no other has one that ended before it began; else NULL. */
static const step *may_be_next(const int *at, int h) {
    if (at[h] == hands[h].n) {
        return NULL;
    }
    const step *s = &hands[h].steps[at[h]];
    for (int g = 0; g <= HANDS; g++) {
        if (at[g] < hands[g].n && (int32_t)(hands[g].steps[at[g]].end - s->begin) < 0) {
            return NULL;
        }
    }
    return s;
}

/* Tell whether there is an order for the steps from `at` on. */
static bool has_order(const int *at, const model *m) {
    bool any = false;
    for (int h = 0; h <= HANDS; h++) {
        any = any || at[h] < hands[h].n;
        const step *s = may_be_next(at, h);
        if (s == NULL) {
            continue;
        }
        int next[HANDS + 1];
        model after = *m;
        memcpy(next, at, sizeof next);
        next[h]++;
        const bool meets = bound == 0 && s->status == CTH_OK && s->op <= RECV_TWO;
        if (!meets && model_answers(&after, s) && has_order(next, &after)) {
            return true;
        }
        for (int g = 0; meets && sends(s) && !m->closed && g <= HANDS; g++) {
            const step *r = g != h ? may_be_next(at, g) : NULL;
            if (r != NULL && r->op >= TRY_RECV && r->op <= RECV_TWO && r->status == CTH_OK &&
                r->n == 1 && r->values[0] == s->values[0]) {
                next[g]++;
                if (has_order(next, &after)) {
                    return true;
                }
                next[g]--;
            }
        }
    }
    return !any;
}

static void fail_with_history(void) {
    static const char *const names[] = {"try_send", "send_until", "try_recv", "recv_until",
                                        "recv_n",   "len",        "closed?",  "close"};
    char text[2048];
    size_t used = 0;
    for (int h = 0; h <= HANDS; h++) {
        for (int i = 0; i < hands[h].n && used < sizeof text - 100; i++) {
            const step *s = &hands[h].steps[i];
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "\n  thread %d, %u to %u: %s (%d %d) %zu %s", h, s->begin,
                                     s->end, names[s->op], s->values[0], s->values[1], s->n,
                                     cth_status_name(s->status));
        }
    }
    cth_sim_fail("history", "no order of these calls explains them:%s", text);
}

/* In a .single channel the first thread sends, the second one receives, the third one looks on and
   closes. */
static op any_op(bool single, int h) {
    static const op all[] = {TRY_SEND, TRY_SEND, SEND_UNTIL, SEND_UNTIL, SEND_UNTIL,
                             TRY_RECV, TRY_RECV, RECV_UNTIL, RECV_UNTIL, RECV_TWO,
                             RECV_TWO, LEN,      LEN,        IS_CLOSED,  CLOSE};
    static const op some[HANDS][5] = {{TRY_SEND, SEND_UNTIL, SEND_UNTIL, TRY_SEND, LEN},
                                      {TRY_RECV, RECV_UNTIL, RECV_TWO, RECV_UNTIL, IS_CLOSED},
                                      {LEN, LEN, LEN, IS_CLOSED, CLOSE}};
    return single ? some[h][cth_sim_choose(5)]
                  : all[cth_sim_choose((uint32_t)(sizeof all / sizeof *all))];
}

static cth_status histories(size_t capacity, bool single) {
    cth_thread *threads[HANDS];
    const int at[HANDS + 1] = {0};
    const model empty = {.closed = false};
    sim_begin();
    chan_init_as(&chan, capacity, single);
    cth__store(&ticks, 0, relaxed);
    bound = capacity;
    memset(hands, 0, sizeof hands);
    for (int h = 0; h < HANDS; h++) {
        hands[h].n = STEPS;
        for (int i = 0; i < STEPS; i++) {
            step *s = &hands[h].steps[i];
            s->op = any_op(single, h);
            s->waits = cth_sim_choose(4) != 0;
            s->values[0] = sends(s) ? h * STEPS + i : -1;
            s->values[1] = -1;
        }
    }
    for (int h = 0; h < HANDS; h++) {
        threads[h] = sim_spawn(plays, &hands[h]);
    }
    for (int h = 0; h < HANDS; h++) {
        sim_join(threads[h]);
    }
    // What is left belongs to it.
    cth_status status = CTH_OK;
    hand *rest = &hands[HANDS];
    while (status == CTH_OK) {
        step *s = &rest->steps[rest->n++];
        *s = (step){.op = TRY_RECV, .values = {-1, -1}};
        make_step(s);
        status = s->status;
    }
    if (!has_order(at, &empty)) {
        fail_with_history();
    }
    return done();
}

static cth_status histories_0(void *arg) {
    (void)arg;
    return histories(0, false);
}

static cth_status histories_1(void *arg) {
    (void)arg;
    return histories(1, false);
}

static cth_status histories_2(void *arg) {
    (void)arg;
    return histories(2, false);
}

static cth_status histories_unbounded(void *arg) {
    (void)arg;
    return histories(CTH_UNBOUNDED, false);
}

static cth_status histories_single(void *arg) {
    (void)arg;
    return histories(1 + cth_sim_choose(2), true);
}

/* -- searched completely -------------------------------------------------------------------------
 */

static cth_status searched(size_t capacity, int n) {
    fresh(capacity);
    cth_thread *t = sim_spawn(n == 1 ? sends_one : sends_two, &bases[0]);
    for (int i = 0; i < n; i++) {
        CTH_SIM_CHECK(take(&chan) == i);
    }
    sim_join(t);
    CTH_SIM_CHECK(cth_chan_len(&chan) == 0);
    return done();
}

static cth_status searched_rendezvous(void *arg) {
    (void)arg;
    return searched(0, 2);
}

static cth_status searched_ring(void *arg) {
    (void)arg;
    return searched(1, 2);
}

static cth_status sends_three(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        give(&chan, i);
    }
    return CTH_OK;
}

/* Over the end of a block, which has two places. */
static cth_status searched_blocks(void *arg) {
    (void)arg;
    fresh(CTH_UNBOUNDED);
    cth_thread *t = sim_spawn(sends_three, NULL);
    for (int i = 0; i < 3; i++) {
        CTH_SIM_CHECK(take(&chan) == i);
    }
    sim_join(t);
    return done();
}

static cth_status searched_close(void *arg) {
    (void)arg;
    fresh(1);
    closers = 0;
    cth_thread *t = sim_spawn(closes, NULL);
    CTH_SIM_CHECK(sends_until_closed(&bases[0]) == CTH_OK);
    sim_join(t);
    CTH_SIM_CHECK(receives_until_closed(NULL) == CTH_OK);
    all_arrived();
    return done();
}

/* A third thread closes while the only sender and the only receiver may be at work. */
static cth_status searched_close_of_single(void *arg) {
    (void)arg;
    sim_begin();
    chan_init_as(&chan, 2, true);
    memset(sent, 0, sizeof sent);
    memset(arrived, 0, sizeof arrived);
    closers = 0;
    cth_thread *r = sim_spawn(receives_until_closed, NULL);
    cth_thread *c = sim_spawn(closes, NULL);
    for (int i = 0; i < 2; i++) {
        const cth_status status = cth_chan_try_send(&chan, &i);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_CLOSED);
        sent[i] += status == CTH_OK;
    }
    sim_join(r);
    sim_join(c);
    all_arrived();
    return done();
}

static cth_status searched_vain(void *arg) {
    (void)arg;
    return not_both_in_vain(1, SENDS);
}

static cth_status receives_in_time(void *arg) {
    int value = -1;
    const cth_status status = cth_chan_recv_until(&chan, &value, cth_after(CTH_MS(1)));
    (void)arg;
    CTH_SIM_CHECK(status == CTH_OK ? value == 0 : status == CTH_TIMEDOUT && value == -1);
    arrived[0] += status == CTH_OK;
    return CTH_OK;
}

/* The value comes when the receiver is about to give up. */
static cth_status searched_timeout(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *t = sim_spawn(receives_in_time, NULL);
    give(&chan, 0);
    sim_join(t);
    CTH_SIM_CHECK(cth_chan_len(&chan) == (size_t)(1 - arrived[0]));
    return done();
}

static void passes_transfers(void) {
    SIM_PASS(transfers_0, SIM_WAITS, 1500);
    SIM_PASS(transfers_1, SIM_WAITS, 2000);
    SIM_PASS(transfers_2, SIM_WAITS, 1500);
    SIM_PASS(transfers_unbounded, SIM_ALL, 2000);
}
static void passes_batches(void) {
    SIM_PASS(batches, SIM_WAITS, 2500);
    SIM_PASS(batches, SIM_ALL, 700);
}
static void passes_sleepers(void) {
    SIM_PASS(receivers_asleep, SIM_WAITS, 2000);
    SIM_PASS(receivers_asleep, SIM_ALL, 500);
    SIM_PASS(senders_asleep, SIM_WAITS, 2000);
}
static void passes_deadlines(void) {
    SIM_PASS(deadlines, SIM_WAITS, 2500);
    SIM_PASS(deadlines, SIM_ALL, 700);
}
static void passes_haste(void) {
    SIM_PASS(hasty_receiver, SIM_WAITS, 4000);
    SIM_PASS(hasty_sender, SIM_WAITS, 4000);
    SIM_PASS(both_in_haste, SIM_WAITS, 3000);
}
static void passes_close(void) {
    SIM_PASS(close_meets_all, SIM_WAITS, 3000);
    SIM_PASS(close_meets_all, SIM_ALL, 700);
    SIM_PASS(close_meets_senders, SIM_WAITS, 2000);
    SIM_PASS(close_meets_close, SIM_WAITS, 2000);
}
static void passes_orders(void) {
    SIM_PASS(orders, SIM_WAITS, 4000);
    SIM_PASS(never_empty, SIM_WAITS, MANY(12000));
    SIM_PASS(never_full, SIM_WAITS, MANY(12000));
    SIM_PASS(one_is_not_in_vain, SIM_WAITS, MANY(8000));
}
static void passes_freed(void) {
    SIM_PASS(freed_after_recv, SIM_WAITS, 5000);
    SIM_PASS(freed_after_recv, SIM_ALL, 1000);
    SIM_PASS(freed_by_the_second, SIM_WAITS, 3000);
    SIM_PASS(freed_after_send, SIM_WAITS, 2000);
    SIM_PASS(destroy_meets_receiver, SIM_WAITS, 1000);
}
static void strong_histories(const char *name, sim_fn fn, uint64_t schedules) {
    exact_len = true;
    for (int strategy = CTH_SIM_RANDOM; strategy <= CTH_SIM_PCT; strategy++) {
        cth_sim_report report;
        const cth_sim_desc desc = {.name = name,
                                   .strategy = (cth_sim_strategy)strategy,
                                   .schedules = sim_scaled(schedules),
                                   .faults = SIM_WAITS,
                                   .strong = true,
                                   .report = &report};
        CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_OK);
        sim_count(&desc);
    }
    exact_len = false;
}
static void passes_histories(void) {
    SIM_PASS(histories_0, SIM_WAITS, MANY(9000));
    SIM_PASS(histories_1, SIM_WAITS, MANY(12000));
    SIM_PASS(histories_2, SIM_WAITS, MANY(8000));
    SIM_PASS(histories_unbounded, SIM_WAITS, MANY(8000));
    SIM_PASS(histories_single, SIM_WAITS, MANY(8000));
}
static void passes_histories_with_lengths(void) {
    strong_histories("strong, 1", histories_1, MANY(3000));
    strong_histories("strong, 2", histories_2, MANY(3000));
    strong_histories("strong, unbounded", histories_unbounded, MANY(2000));
    strong_histories("strong, single", histories_single, MANY(3000));
}

static void searches_two_threads(void) {
    SIM_COMPLETE(searched_rendezvous, 0);
    SIM_COMPLETE(searched_ring, 0);
    if (!CTH__FIBERS) {
        return; // these would not come to their end
    }
    SIM_COMPLETE(searched_blocks, 0);
    SIM_COMPLETE(searched_close, 0);
    SIM_COMPLETE(searched_close_of_single, 0);
    SIM_COMPLETE(searched_vain, 0);
    SIM_COMPLETE(searched_timeout, CTH_SIM_TIMEOUTS);
    SIM_COMPLETE(freed_after_recv, 0);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

// A channel of one place, of its own: full or not, and who sleeps for a value.
static struct {
    cth__word full;
    cth__word asleep;
    int value; // plain, marked
} box;

/* Bug: the receiver looks, finds nothing, and then says that it sleeps, without another look. A value
   that comes in between wakes nobody. */
static cth_status fills_box(void *arg) {
    (void)arg;
    cth__store(&box.full, 1, release);
    cth__fence(seq_cst);
    if (cth__swap(&box.asleep, 0, relaxed) != 0) {
        cth__wake_on(NULL, &box.asleep);
    }
    return CTH_OK;
}

static cth_status flag_after_the_look(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&box.full, 0);
    atomic_init(&box.asleep, 0);
    cth_thread *t = sim_spawn(fills_box, NULL);
    while (cth__load(&box.full, acquire) == 0) {
        cth__store(&box.asleep, 1, relaxed);
        cth__fence(seq_cst);
        if (planted || cth__load(&box.full, relaxed) == 0) {
            while (cth__load(&box.asleep, relaxed) != 0) {
                cth__wait_on(NULL, &box.asleep, 1, CTH_FOREVER);
            }
        }
    }
    sim_join(t);
    return CTH_OK;
}

/* Bug: the sender publishes the value, and then looks into the channel for a sleeper. By then the
   receiver may have the value, and have freed the channel. */
static cth_status looks_after_publishing(void *arg) {
    (void)arg;
    bool wakes = cth__load(&box.asleep, relaxed) != 0;
    cth__store(&box.full, 1, release);
    if (planted) {
        wakes = cth__load(&box.asleep, relaxed) != 0;
    }
    (void)wakes;
    return CTH_OK;
}

static cth_status touched_after_publishing(void *arg) {
    (void)arg;
    sim_begin();
    CTH_SIM_FRESH(box);
    atomic_init(&box.full, 0);
    atomic_init(&box.asleep, 0);
    cth_thread *t = sim_spawn(looks_after_publishing, NULL);
    while (cth__load(&box.full, acquire) == 0) {
        cth_yield();
    }
    CTH_SIM_FREED(box);
    sim_join(t);
    CTH_SIM_FRESH(box);
    return CTH_OK;
}

/* Bug: the position moves on before the value is copied. */
static cth_status publishes_first(void *arg) {
    (void)arg;
    if (planted) {
        cth__store(&box.full, 1, release);
    }
    CTH_SIM_WRITE(box.value);
    box.value = 7;
    if (!planted) {
        cth__store(&box.full, 1, release);
    }
    return CTH_OK;
}

static cth_status published_before_the_copy(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&box.full, 0);
    cth_thread *t = sim_spawn(publishes_first, NULL);
    while (cth__load(&box.full, acquire) == 0) {
        cth_yield();
    }
    CTH_SIM_READ(box.value);
    sim_join(t);
    return CTH_OK;
}

// Values as a number under a lock, sleepers in a queue; the flag spares senders the look there.
enum { SLEEPERS = 2 };
static struct {
    cth_mutex lock;
    cth__word flag;
    int stock;
    int queue[SLEEPERS]; // numbers of sleepers, the first one is woken first
    int queued;
    cth__word chosen[SLEEPERS]; // 1: woken
} shop;

static void shop_open(void) {
    memset(&shop, 0, sizeof shop);
    for (int i = 0; i < SLEEPERS; i++) {
        atomic_init(&shop.chosen[i], 0);
    }
    atomic_init(&shop.flag, 0);
}

static void shop_leave_queue(int me) {
    for (int i = 0; i < shop.queued; i++) {
        if (shop.queue[i] == me) {
            shop.queue[i] = shop.queue[shop.queued - 1];
            shop.queued--;
            return;
        }
    }
}

/* Wake one sleeper; with the lock held. */
static void shop_wake(void) {
    if (shop.queued > 0) {
        const int first = shop.queue[0];
        shop_leave_queue(first);
        cth__store(&shop.chosen[first], 1, release);
        cth__wake_on(NULL, &shop.chosen[first]);
    }
}

static bool clears_too_early, eats_the_wake; // which bug is in it

static void shop_send(void) {
    CTH_WITH(&shop.lock) {
        shop.stock++;
        if (cth__load(&shop.flag, relaxed) != 0) {
            shop_wake();
            if ((planted && clears_too_early) || shop.queued == 0) {
                cth__store(&shop.flag, 0, relaxed);
            }
        }
    }
}

/* Receive one; false at the deadline. */
static bool shop_recv(int me, cth_time deadline) {
    for (;;) {
        bool got = false;
        CTH_WITH(&shop.lock) {
            got = shop.stock > 0;
            if (got) {
                shop.stock--;
            } else {
                cth__store(&shop.flag, 1, relaxed);
                cth__store(&shop.chosen[me], 0, relaxed);
                shop.queue[shop.queued++] = me;
            }
        }
        if (got) {
            return true;
        }
        while (cth__load(&shop.chosen[me], acquire) == 0 && cth_now() < deadline) {
            cth__wait_on(NULL, &shop.chosen[me], 0, deadline);
        }
        if (cth_now() >= deadline) {
            bool chosen = false;
            CTH_WITH(&shop.lock) {
                chosen = cth__load(&shop.chosen[me], relaxed) != 0;
                shop_leave_queue(me);
            }
            if (!chosen || (planted && eats_the_wake)) {
                return false;
            }
        }
    }
}

static int customers[] = {0, 1};

static cth_status buys(void *arg) {
    CTH_SIM_CHECK(shop_recv(*(int *)arg, CTH_FOREVER));
    return CTH_OK;
}

/* Bug: who wakes one sleeper clears the flag, although another one is queued: the next value wakes
   nobody. */
static cth_status flag_cleared_for_all(void *arg) {
    (void)arg;
    sim_begin();
    shop_open();
    clears_too_early = true;
    eats_the_wake = false;
    cth_thread *a = sim_spawn(buys, &customers[0]);
    cth_thread *b = sim_spawn(buys, &customers[1]);
    shop_send();
    shop_send();
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(shop.stock == 0);
    return CTH_OK;
}

/* Bug: a receiver whose deadline has passed leaves, although a sender has chosen it: the value stays
   where it is, and the other receiver sleeps on. */
static bool bought;

static cth_status buys_until(void *arg) {
    bought = shop_recv(*(int *)arg, sim_soon());
    return CTH_OK;
}

static cth_status timeout_eats_the_wake(void *arg) {
    (void)arg;
    sim_begin();
    shop_open();
    clears_too_early = false;
    eats_the_wake = true;
    cth_thread *hasty_one = sim_spawn(buys_until, &customers[0]);
    cth_thread *patient = sim_spawn(buys, &customers[1]);
    any_moment(4);
    shop_send();
    sim_join(hasty_one);
    if (bought) {
        shop_send();
    }
    sim_join(patient);
    CTH_SIM_CHECK(shop.stock == 0);
    return CTH_OK;
}

/* Bug: the length from one look at each side. The front may be old when the rear is read, and there
   seem to be more values than places. */
static cth_status passes_values_through(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        give(&chan, i);
        CTH_SIM_CHECK(take(&chan) == i);
    }
    return CTH_OK;
}

static cth_status length_in_one_look(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *t = sim_spawn(passes_values_through, NULL);
    size_t len;
    if (planted) {
        const uint32_t front = cth__load(&chan.front.at, acquire) & ~CTH__CHAN_FLAGS;
        len = ((cth__load(&chan.rear.at, acquire) & ~CTH__CHAN_FLAGS) - front) / CTH__CHAN_ONE;
    } else {
        len = cth_chan_len(&chan);
    }
    CTH_SIM_CHECK(len <= 1);
    sim_join(t);
    return done();
}

static void finds_flag_after_the_look(void) {
    SIM_FOUND(flag_after_the_look, 0, "deadlock");
}
static void finds_touch_after_publishing(void) {
    SIM_FOUND(touched_after_publishing, 0, "freed");
}
static void finds_publishing_before_the_copy(void) {
    SIM_FOUND(published_before_the_copy, 0, "data race");
}
static void finds_flag_cleared_for_all(void) {
    SIM_FOUND(flag_cleared_for_all, 0, "deadlock");
}
static void finds_timeout_that_eats_the_wake(void) {
    SIM_FOUND(timeout_eats_the_wake, CTH_SIM_TIMEOUTS, "deadlock");
}
static void finds_length_in_one_look(void) {
    SIM_FOUND(length_in_one_look, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_transfers),
    TEST(passes_batches),
    TEST(passes_sleepers),
    TEST(passes_deadlines),
    TEST(passes_haste),
    TEST(passes_close),
    TEST(passes_orders),
    TEST(passes_freed),
    TEST(passes_histories),
    TEST(passes_histories_with_lengths),
    TEST(searches_two_threads),
    TEST(finds_flag_after_the_look),
    TEST(finds_touch_after_publishing),
    TEST(finds_publishing_before_the_copy),
    TEST(finds_flag_cleared_for_all),
    TEST(finds_timeout_that_eats_the_wake),
    TEST(finds_length_in_one_look),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
