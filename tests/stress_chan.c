/* stress_chan.c - channels of all kinds, queues, selects and timers at the same time, four threads
   for each processor.

       stress_chan [--seconds N] [--seed S] [--threads T]

   The run is cut into rounds of some milliseconds. In each round the threads form groups at random:
   streams, streams that are closed, single streams, queues, selects, meetings, timers, timed
   channels, cancelled waits, duels, channels freed at once. What the givers of a group send is
   exactly what its takers receive, timeouts and all, so a wake-up that is lost leaves a round that
   never ends; the watchdog then says who waits for what. Between the rounds everything must add up:
   each value received once, sums, order, nothing left in a channel.

   The seed decides the groups and each thread's choices, not the schedule.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _DEFAULT_SOURCE // _SC_NPROCESSORS_ONLN
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "stress.h"
#include "test.h"
#include "test_help.h"

#include <inttypes.h>
#include <sched.h>

enum { MAX_THREADS = 256, MEMBERS = 6, LANES = 3, STEPS = 60, BATCH = 8, HANG_SECONDS = 60 };

typedef struct item {
    uint32_t giver, number;
} item;

typedef struct tally {
    uint64_t values, timeouts, selects, cancels, closes, meetings, runs, duels, freed;
} tally;

struct group;

/* One thread's part in a round. */
typedef struct player {
    struct group *group;
    cth_status (*play)(struct player *p);
    unsigned part; // its index among the takers or givers of its group
    cth_rng rng;
    uint32_t next[MEMBERS]; // the least number that may come from each giver
    tally seen;
    cth_cancel token;             // of a cancelled wait
    _Atomic(const char *) doing;  // for the watchdog
    _Atomic(const void *) object; // the same
    atomic_uint steps;            // the same: grows while the thread gets on
} player;

/* A group's own objects; each kind uses some. */
typedef struct group {
    unsigned givers, takers;
    cth_chan lane[LANES];
    cth_queue queue;
    cth_event never;
    bool in_order;
    atomic_uint givers_left;
    atomic_ullong sent, received; // how many values
    atomic_ullong sum;            // of the numbers sent, less those received
    cth_time deadline;            // of a duel's timed waiter
    bool got_in_time;             // what that one saw
    atomic_uint begun, timed, untimed;
    _Atomic(cth_chan *) gift; // a channel to use once
    atomic_uint gift_size;    // how many values it wants
    player *members[MEMBERS];
    unsigned n_members;
} group;

static player players[MAX_THREADS];
static group groups[MAX_THREADS];

static void at(player *p, const char *doing, const void *object) {
    atomic_store_explicit(&p->doing, doing, memory_order_relaxed);
    atomic_store_explicit(&p->object, object, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->steps, 1, memory_order_relaxed);
}

static uint64_t pick(player *p, uint64_t n) {
    return cth_rng_below(&p->rng, n);
}

/* A deadline within 4 ms; often much nearer, for that is where the races are. */
static cth_time soon(player *p) {
    static const uint64_t spans[] = {1, 2000, 20000, 200000, 4000000};
    return cth_after((cth_time)pick(p, spans[pick(p, TEST_COUNT(spans))]));
}

static void dawdle(player *p) {
    switch (pick(p, 16)) {
    case 0:
        at(p, "sleep", NULL);
        CHECK_STATUS(cth_sleep((cth_time)pick(p, 100000)), CTH_OK);
        break;
    case 1: cth_yield(); break;
    case 2: sched_yield(); break;
    default: break;
    }
}

/* What a call in vain may return; `deadline`: of the form with a deadline, else 0. */
static void in_vain(player *p, cth_status status, cth_status other, cth_time deadline) {
    if (status == other) {
        cth_yield();
        return;
    }
    CHECK_STATUS(status, CTH_TIMEDOUT);
    CHECK(cth_now() >= deadline);
    p->seen.timeouts++;
}

static void note_sent(player *p, const item *items, size_t n) {
    group *g = p->group;
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_add(&g->sum, items[i].number);
    }
    atomic_fetch_add(&g->sent, n);
}

static void note_received(player *p, const item *items, size_t n) {
    group *g = p->group;
    for (size_t i = 0; i < n; i++) {
        CHECK(items[i].giver < MEMBERS);
        if (g->in_order) {
            CHECK(items[i].number >= p->next[items[i].giver]);
        }
        p->next[items[i].giver] = items[i].number + 1;
        atomic_fetch_sub(&g->sum, items[i].number);
    }
    atomic_fetch_add(&g->received, n);
    p->seen.values += n;
}

/* ------------------------------------------------------------------------------------------------
   Streams through one channel.
   ------------------------------------------------------------------------------------------------
 */

/* Send some of up to `n` items in one call; returns how many went, and the status. */
static size_t send_some(player *p,
                        cth_chan *chan,
                        const item *items,
                        size_t n,
                        cth_status *status) {
    size_t sent = 0;
    cth_time deadline = 0;
    const uint64_t form = pick(p, 8);
    if (form < 3) {
        at(p, form == 0 ? "send n" : form == 1 ? "send n until" : "try send n", chan);
        deadline = form == 0 ? CTH_FOREVER : form == 1 ? soon(p) : 0;
        *status = form == 2   ? cth_chan_try_send_n(chan, items, n, &sent)
                  : form == 1 ? cth_chan_send_n_until(chan, items, n, &sent, deadline)
                              : cth_chan_send_n(chan, items, n, &sent);
        CHECK(*status == CTH_OK ? sent == n : sent < n);
    } else if (form == 3) {
        deadline = soon(p);
        at(p, "select to send", chan);
        cth_case cases[] = {CTH_SEND(chan, items), CTH_ON_EVENT(&p->group->never)};
        size_t index = 9;
        *status = cth_select_until(cases, 2, &index, deadline);
        CHECK_EQ(index, *status == CTH_OK || *status == CTH_CLOSED ? 0 : 2);
        sent = *status == CTH_OK;
        p->seen.selects++;
    } else {
        at(p, form == 4 ? "try send" : form == 5 ? "send until" : "send", chan);
        deadline = form == 5 ? soon(p) : 0;
        *status = form == 4   ? cth_chan_try_send(chan, items)
                  : form == 5 ? cth_chan_send_until(chan, items, deadline)
                              : cth_chan_send(chan, items);
        sent = *status == CTH_OK;
    }
    if (*status != CTH_OK && *status != CTH_CLOSED) {
        in_vain(p, *status, CTH_FULL, deadline);
        *status = CTH_OK;
    }
    return sent;
}

static size_t recv_some(player *p, cth_chan *chan, item *items, size_t n, cth_status *status) {
    size_t received = 0;
    cth_time deadline = 0;
    const uint64_t form = pick(p, 8);
    if (form < 3) {
        at(p, form == 0 ? "recv n" : form == 1 ? "recv n until" : "try recv n", chan);
        deadline = form == 1 ? soon(p) : 0;
        *status = form == 2   ? cth_chan_try_recv_n(chan, items, n, &received)
                  : form == 1 ? cth_chan_recv_n_until(chan, items, n, &received, deadline)
                              : cth_chan_recv_n(chan, items, n, &received);
        CHECK(*status == CTH_OK ? received >= 1 && received <= n : received == 0);
    } else if (form == 3) {
        deadline = soon(p);
        at(p, "select to recv", chan);
        cth_case cases[] = {CTH_ON_EVENT(&p->group->never), CTH_RECV(chan, items),
                            CTH_ON_TIME(deadline)};
        size_t index = 9;
        *status = cth_select(cases, 3, &index);
        CHECK(index == 1 || (index == 2 && *status == CTH_OK));
        *status = index == 2 ? CTH_TIMEDOUT : *status;
        received = *status == CTH_OK;
        p->seen.selects++;
    } else {
        at(p, form == 4 ? "try recv" : form == 5 ? "recv until" : "recv", chan);
        deadline = form == 5 ? soon(p) : 0;
        *status = form == 4   ? cth_chan_try_recv(chan, items)
                  : form == 5 ? cth_chan_recv_until(chan, items, deadline)
                              : cth_chan_recv(chan, items);
        received = *status == CTH_OK;
    }
    if (*status != CTH_OK && *status != CTH_CLOSED) {
        in_vain(p, *status, CTH_EMPTY, deadline);
        *status = CTH_OK;
    }
    return received;
}

static void next_items(const player *p, item *items, size_t n, uint64_t first) {
    for (size_t i = 0; i < n; i++) {
        items[i] = (item){p->part, (uint32_t)(first + i)};
    }
}

static cth_status give_stream(player *p) {
    item items[BATCH];
    const uint64_t all = (uint64_t)p->group->takers * STEPS; // its share of each taker's needs
    for (uint64_t done = 0; done < all;) {
        cth_status status;
        size_t n = 1 + pick(p, BATCH);
        n = n < all - done ? n : all - done;
        next_items(p, items, n, done);
        n = send_some(p, &p->group->lane[0], items, n, &status);
        CHECK_STATUS(status, CTH_OK);
        note_sent(p, items, n);
        done += n;
        dawdle(p);
    }
    return CTH_OK;
}

static cth_status take_stream(player *p) {
    item items[BATCH];
    for (uint64_t left = (uint64_t)p->group->givers * STEPS; left > 0;) {
        cth_status status;
        const size_t n = left < BATCH ? left : BATCH;
        const size_t got = recv_some(p, &p->group->lane[0], items, n, &status);
        CHECK_STATUS(status, CTH_OK);
        note_received(p, items, got);
        left -= got;
        dawdle(p);
    }
    return CTH_OK;
}

/* The same until somebody closes, which may be at any moment. */
static cth_status give_until_closed(player *p) {
    item items[BATCH];
    const unsigned closer = (unsigned)pick(p, 4); // what the first giver does
    const uint64_t most = p->part == 0 ? pick(p, 2 * STEPS) : 4 * STEPS;
    cth_status status = CTH_OK;
    for (uint64_t done = 0; done < most && status == CTH_OK;) {
        next_items(p, items, BATCH, done);
        const size_t n = send_some(p, &p->group->lane[0], items, 1 + pick(p, BATCH), &status);
        note_sent(p, items, n);
        done += n;
        dawdle(p);
    }
    // The last giver closes, if it was not the first one that did so among the others' sends.
    const bool last = atomic_fetch_sub(&p->group->givers_left, 1) == 1;
    if (last || (p->part == 0 && closer != 0)) {
        at(p, "close", &p->group->lane[0]);
        status = cth_chan_close(&p->group->lane[0]);
        CHECK(status == CTH_OK || status == CTH_CLOSED);
        p->seen.closes += status == CTH_OK;
        CHECK(cth_chan_is_closed(&p->group->lane[0]));
        CHECK_STATUS(cth_chan_try_send(&p->group->lane[0], items), CTH_CLOSED);
    }
    return CTH_OK;
}

static cth_status take_until_closed(player *p) {
    item items[BATCH];
    for (;;) {
        cth_status status;
        const size_t n = recv_some(p, &p->group->lane[0], items, BATCH, &status);
        if (status == CTH_CLOSED) {
            return CTH_OK;
        }
        note_received(p, items, n);
        dawdle(p);
    }
}

/* ------------------------------------------------------------------------------------------------
   Queues: what is put is got and done; then the first giver shuts the queue down.
   ------------------------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b, void *arg) {
    const item *x = (const item *)a, *y = (const item *)b;
    (void)arg;
    return x->number < y->number ? -1 : x->number > y->number;
}

static cth_status give_queue(player *p) {
    cth_queue *queue = &p->group->queue;
    for (uint32_t done = 0; done < STEPS;) {
        const item it = {p->part, done};
        const uint64_t form = pick(p, 4);
        const cth_time deadline = form == 1 ? soon(p) : 0;
        at(p, form == 0 ? "try put" : form == 1 ? "put until" : "put", queue);
        const cth_status status = form == 0   ? cth_queue_try_put(queue, &it)
                                  : form == 1 ? cth_queue_put_until(queue, &it, deadline)
                                              : cth_queue_put(queue, &it);
        if (status == CTH_OK) {
            note_sent(p, &it, 1);
            done++;
        } else {
            in_vain(p, status, CTH_FULL, deadline);
        }
        dawdle(p);
    }
    if (atomic_fetch_sub(&p->group->givers_left, 1) == 1) {
        at(p, "queue join", queue);
        CHECK_STATUS(cth_queue_join(queue), CTH_OK);
        CHECK(cth_queue_is_empty(queue));
        at(p, "queue shutdown", queue);
        CHECK_STATUS(cth_queue_shutdown(queue, pick(p, 2) == 0 ? CTH_DRAIN : CTH_NOW), CTH_OK);
    }
    return CTH_OK;
}

static cth_status take_queue(player *p) {
    cth_queue *queue = &p->group->queue;
    for (;;) {
        item it = {MEMBERS, 0};
        const uint64_t form = pick(p, 5);
        const cth_time deadline = form == 1 || form == 2 ? soon(p) : 0;
        cth_case cases[] = {CTH_GET(queue, &it), CTH_ON_EVENT(&p->group->never)};
        at(p,
           form == 0   ? "try get"
           : form == 1 ? "get until"
           : form == 2 ? "select"
                       : "get",
           queue);
        const cth_status status = form == 0   ? cth_queue_try_get(queue, &it)
                                  : form == 1 ? cth_queue_get_until(queue, &it, deadline)
                                  : form == 2 ? cth_select_until(cases, 2, NULL, deadline)
                                              : cth_queue_get(queue, &it);
        if (status == CTH_SHUTDOWN) {
            return CTH_OK;
        }
        if (status == CTH_OK) {
            note_received(p, &it, 1);
            dawdle(p);
            at(p, "task done", queue);
            CHECK_STATUS(cth_queue_task_done(queue), CTH_OK);
        } else {
            in_vain(p, status, CTH_EMPTY, deadline);
        }
    }
}

/* ------------------------------------------------------------------------------------------------
   Selects over several channels: each value goes into any of them, and is taken out of any.
   ------------------------------------------------------------------------------------------------
 */

static cth_status give_select(player *p) {
    group *g = p->group;
    const uint64_t all = (uint64_t)g->takers * STEPS;
    for (uint64_t done = 0; done < all;) {
        item items[LANES];
        cth_case cases[LANES + 2];
        size_t index = 99;
        for (size_t i = 0; i < LANES; i++) {
            next_items(p, &items[i], 1, done);
            cases[i] = CTH_SEND(&g->lane[i], &items[i]);
        }
        cases[LANES] = CTH_ON_EVENT(&g->never);
        cases[LANES + 1] = CTH_SEND(NULL, NULL);
        const uint64_t form = pick(p, 4);
        const cth_time deadline = form == 0 ? soon(p) : 0;
        at(p, "select to send", g);
        const cth_status status = form == 0   ? cth_select_until(cases, LANES + 2, &index, deadline)
                                  : form == 1 ? cth_try_select(cases, LANES + 2, &index)
                                              : cth_select(cases, LANES + 2, &index);
        p->seen.selects++;
        if (status != CTH_OK) {
            CHECK_EQ(index, LANES + 2);
            in_vain(p, status, CTH_BROKEN, deadline);
        } else {
            CHECK(index < LANES);
            note_sent(p, items, 1);
            done++;
        }
        dawdle(p);
    }
    return CTH_OK;
}

static cth_status take_select(player *p) {
    group *g = p->group;
    for (uint64_t left = (uint64_t)g->givers * STEPS; left > 0;) {
        item items[LANES];
        cth_case cases[LANES + 1];
        size_t index = 99;
        for (size_t i = 0; i < LANES; i++) {
            items[i] = (item){MEMBERS, 0};
            cases[i] = CTH_RECV(&g->lane[i], &items[i]);
        }
        cases[LANES] = CTH_ON_EVENT(&g->never);
        const uint64_t form = pick(p, 5);
        const cth_time deadline = form == 0 || form == 1 ? soon(p) : 0;
        at(p, "select to recv", g);
        cth_status status = form == 0   ? cth_select_until(cases, LANES + 1, &index, deadline)
                            : form == 1 ? cth_select_ready_until(cases, LANES + 1, &index, deadline)
                            : form == 2 ? cth_try_select(cases, LANES + 1, &index)
                                        : cth_select(cases, LANES + 1, &index);
        p->seen.selects++;
        if (form == 1 && status == CTH_OK) {
            CHECK(index < LANES); // another one may be faster
            status = cth_chan_try_recv(&g->lane[index], &items[index]);
        }
        for (size_t i = 0; i < LANES; i++) {
            CHECK((items[i].giver != MEMBERS) == (status == CTH_OK && i == index));
        }
        if (status == CTH_OK) {
            note_received(p, &items[index], 1);
            left--;
        } else {
            in_vain(p, status, CTH_EMPTY, deadline);
        }
        dawdle(p);
    }
    return CTH_OK;
}

/* All at one rendezvous, each ready to send and to receive, until there were enough meetings. */
static cth_status meet(player *p) {
    group *g = p->group;
    cth_chan *chan = &g->lane[0];
    for (uint32_t n = 0; atomic_load(&g->received) < (uint64_t)STEPS * g->n_members; n++) {
        const item mine = {p->part, n};
        item its = {MEMBERS, 0};
        cth_case cases[] = {CTH_SEND(chan, &mine), CTH_RECV(chan, &its), CTH_RECV(NULL, NULL)};
        if (n % 2 == 0) {
            cases[2] = cases[0];
            cases[0] = CTH_ON_EVENT(&g->never);
        }
        size_t index = 99;
        const cth_time deadline = soon(p); // the last one would find nobody
        at(p, "meeting", chan);
        const cth_status status = cth_select_until(cases, 3, &index, deadline);
        if (status != CTH_OK) {
            in_vain(p, status, CTH_BROKEN, deadline);
        } else if (index == 1) {
            CHECK(its.giver != p->part);
            note_received(p, &its, 1);
            p->seen.meetings++;
        } else {
            note_sent(p, &mine, 1);
        }
        CHECK((its.giver != MEMBERS) == (status == CTH_OK && index == 1));
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Timers whose functions send into a channel: as many values as runs. Timed channels.
   ------------------------------------------------------------------------------------------------
 */

static cth_status send_a_run(void *arg) {
    return cth_chan_send((cth_chan *)arg, &(item){0, 1});
}

static cth_status use_timers(player *p) {
    enum { TIMERS = 4 };
    for (int i = 0; i < STEPS / 10; i++) {
        static const cth_timer idle = CTH_TIMER_INIT;
        cth_timer timers[TIMERS];
        cth_chan chan;
        item it;
        uint64_t runs = 0, got = 0;
        CHECK_STATUS(cth_chan_init(&chan, sizeof(item), CTH_UNBOUNDED, NULL), CTH_OK);
        for (size_t k = 0; k < TIMERS; k++) {
            const cth_time span = 1 + (cth_time)pick(p, 300000);
            const bool again = pick(p, 2) == 0;
            timers[k] = idle;
            at(p, "set a timer", &timers[k]);
            CHECK_STATUS(again ? cth_timer_every(&timers[k], CTH_US(20) + span, send_a_run, &chan)
                               : cth_timer_after(&timers[k], span, send_a_run, &chan),
                         CTH_OK);
            if (again) {
                CHECK_STATUS(cth_timer_after(&timers[k], span, send_a_run, &chan), CTH_BUSY);
            }
        }
        for (uint64_t n = pick(p, 6); n > 0; n--) {
            const cth_time deadline = soon(p);
            at(p, "recv from timers", &chan);
            const cth_status status = cth_chan_recv_until(&chan, &it, deadline);
            got += status == CTH_OK;
            if (status != CTH_OK) {
                in_vain(p, status, CTH_TIMEDOUT, deadline);
            }
        }
        for (size_t k = 0; k < TIMERS; k++) {
            uint64_t n = 0;
            at(p, "cancel a timer", &timers[k]);
            CHECK_STATUS(cth_timer_cancel(&timers[k], &n), CTH_OK);
            runs += n;
        }
        while (cth_chan_try_recv(&chan, &it) == CTH_OK) {
            got++;
        }
        CHECK_EQ(got, runs);
        p->seen.runs += runs;
        CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
    }
    return CTH_OK;
}

static cth_status use_timed_channels(player *p) {
    for (int i = 0; i < STEPS / 10; i++) {
        cth_chan once, ticks;
        const cth_time period = 1 + (cth_time)pick(p, 100000);
        const cth_time before = cth_now();
        cth_time due = 0, last = 0, once_due = 0;
        CHECK_STATUS(cth_chan_after(&once, (cth_time)pick(p, 300000)), CTH_OK);
        CHECK_STATUS(cth_chan_tick(&ticks, period), CTH_OK);
        for (int n = 0; n < 6;) {
            cth_case cases[] = {CTH_RECV(&once, &once_due), CTH_RECV(&ticks, &due)};
            const cth_time deadline = soon(p);
            size_t index = 1;
            at(p, "timed channels", &ticks);
            const cth_status status = pick(p, 3) == 0
                                          ? cth_chan_recv_until(&ticks, &due, deadline)
                                          : cth_select_until(cases, 2, &index, deadline);
            if (status != CTH_OK) {
                in_vain(p, status, CTH_BROKEN, deadline);
                continue;
            }
            n++;
            if (index == 0) {
                CHECK(cth_now() >= once_due && once_due >= before);
                CHECK_STATUS(cth_chan_try_recv(&once, &once_due), CTH_EMPTY);
                continue;
            }
            CHECK(cth_now() >= due && due >= before + period);
            CHECK(last == 0 || (due > last && (due - last) % period == 0));
            last = due;
            p->seen.values++;
        }
        CHECK_STATUS(cth_chan_destroy(&once), CTH_OK);
        CHECK_STATUS(cth_chan_destroy(&ticks), CTH_OK);
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Cancelled waits: each taker waits for something that never comes, until the giver cancels it.
   Lanes: a rendezvous, an empty channel, a full one.
   ------------------------------------------------------------------------------------------------
 */

static cth_status cancel_takers(player *p) {
    group *g = p->group;
    for (unsigned i = 0; i < g->n_members; i++) {
        if (g->members[i] != p) {
            dawdle(p);
            at(p, "cancel request", &g->members[i]->token);
            CHECK_STATUS(cth_cancel_request(&g->members[i]->token, "its turn"), CTH_OK);
        }
    }
    return CTH_OK;
}

static cth_status be_cancelled(player *p) {
    group *g = p->group;
    cth_status status = CTH_OK;
    CTH_UNDER(&p->token) {
        while (status != CTH_CANCELLED) {
            const cth_time deadline = pick(p, 2) == 0 ? CTH_FOREVER : soon(p);
            item items[2] = {{MEMBERS, 0}, {MEMBERS, 0}};
            cth_case cases[] = {CTH_RECV(&g->lane[0], items), CTH_RECV(&g->lane[1], items),
                                CTH_SEND(&g->lane[2], items), CTH_GET(&g->queue, items)};
            size_t n = 0;
            at(p, "wait to be cancelled", &p->token);
            switch (pick(p, 6)) {
            case 0: status = cth_chan_recv_until(&g->lane[0], items, deadline); break;
            case 1: status = cth_chan_recv_n_until(&g->lane[1], items, 2, &n, deadline); break;
            case 2: status = cth_chan_send_until(&g->lane[2], items, deadline); break;
            case 3: status = cth_chan_send_n_until(&g->lane[2], items, 2, &n, deadline); break;
            case 4: status = cth_queue_get_until(&g->queue, items, deadline); break;
            default: status = cth_select_until(cases, 4, NULL, deadline); break;
            }
            CHECK(n == 0 && items[0].giver == MEMBERS);
            if (status != CTH_CANCELLED) {
                CHECK(deadline != CTH_FOREVER);
                in_vain(p, status, CTH_BROKEN, deadline);
            }
        }
    }
    p->seen.cancels++;
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Duels: one value (or place), at about the moment when the deadline of one waiter passes while
   another waits with none. If the first gets it, a second one follows; if not, the one must reach
   the other, and nothing comes later to make up for a wake-up that went to the wrong one.
   Lanes: a rendezvous, an empty channel, a full one.
   ------------------------------------------------------------------------------------------------
 */

enum { AT_RENDEZVOUS, AT_EMPTY, AT_FULL, AT_QUEUE, BY_SELECT, DUELS };

static void await_step(player *p, atomic_uint *word, unsigned step) {
    at(p, "wait for a duel", word);
    while (atomic_load(word) < step) {
        cth_yield();
    }
}

static void duel_give(player *p, unsigned object) {
    group *g = p->group;
    item it = {0, 0};
    at(p, "give in a duel", g);
    switch (object) {
    case AT_RENDEZVOUS: CHECK_STATUS(cth_chan_send(&g->lane[0], &it), CTH_OK); break;
    case AT_FULL: CHECK_STATUS(cth_chan_recv(&g->lane[2], &it), CTH_OK); break;
    case AT_QUEUE: CHECK_STATUS(cth_queue_put(&g->queue, &it), CTH_OK); break;
    default: CHECK_STATUS(cth_chan_send(&g->lane[1], &it), CTH_OK); break;
    }
}

static bool duel_take(player *p, unsigned object, cth_time deadline) {
    group *g = p->group;
    item it = {0, 0};
    cth_status status;
    cth_case cases[] = {CTH_RECV(&g->lane[0], &it), CTH_RECV(&g->lane[1], &it)};
    at(p, deadline == CTH_FOREVER ? "take in a duel" : "take in a duel until", g);
    switch (object) {
    case AT_RENDEZVOUS: status = cth_chan_recv_until(&g->lane[0], &it, deadline); break;
    case AT_FULL: status = cth_chan_send_until(&g->lane[2], &it, deadline); break;
    case AT_QUEUE: status = cth_queue_get_until(&g->queue, &it, deadline); break;
    case BY_SELECT: status = cth_select_until(cases, 2, NULL, deadline); break;
    default: status = cth_chan_recv_until(&g->lane[1], &it, deadline); break;
    }
    if (status != CTH_OK) {
        CHECK(deadline != CTH_FOREVER);
        in_vain(p, status, CTH_BROKEN, deadline);
    }
    return status == CTH_OK;
}

static cth_status give_in_duels(player *p) {
    group *g = p->group;
    for (unsigned step = 1; step <= STEPS; step++) {
        const cth_time deadline = cth_after(CTH_US(20) + (cth_time)pick(p, 100000));
        // The system wakes a sleeper some 50 us after its deadline.
        const cth_time moment = deadline + (cth_time)pick(p, pick(p, 2) == 0 ? 120000 : 10000);
        g->deadline = deadline;
        atomic_store(&g->begun, step);
        at(p, "await the moment of a duel", NULL);
        while (cth_now() < moment) {
            if (step % 4 == 0) {
                cth_yield();
            }
        }
        duel_give(p, step % DUELS);
        await_step(p, &g->timed, step);
        if (g->got_in_time) {
            duel_give(p, step % DUELS);
        }
        await_step(p, &g->untimed, step);
    }
    return CTH_OK;
}

static cth_status take_in_duels(player *p) {
    group *g = p->group;
    for (unsigned step = 1; step <= STEPS; step++) {
        await_step(p, &g->begun, step);
        if (p->part == 0) {
            g->got_in_time = duel_take(p, step % DUELS, g->deadline);
            p->seen.duels++;
            atomic_store(&g->timed, step);
        } else {
            CHECK(duel_take(p, step % DUELS, CTH_FOREVER));
            atomic_store(&g->untimed, step);
        }
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Freed at once: the taker destroys each channel as soon as it has the last value (or "closed"),
   whatever the giver is still about to do with it.
   ------------------------------------------------------------------------------------------------
 */

static size_t any_capacity(player *p) {
    static const size_t capacities[] = {0, 1, 2, 3, 16, 128, CTH_UNBOUNDED};
    return capacities[pick(p, TEST_COUNT(capacities))];
}

enum { CLOSES_TOO = 100 };

static cth_status give_to_freed(player *p) {
    group *g = p->group;
    item items[BATCH];
    next_items(p, items, BATCH, 0);
    for (unsigned i = 0; i < STEPS; i++) {
        cth_chan *chan;
        at(p, "wait for a channel", g);
        while ((chan = atomic_exchange(&g->gift, NULL)) == NULL) {
            cth_yield();
        }
        const unsigned wanted = atomic_load(&g->gift_size), n = wanted % CLOSES_TOO;
        at(p, "send to what is freed", chan);
        for (unsigned k = 0; k < n;) {
            const size_t goes = n - k > 1 && pick(p, 2) == 0 ? 2 : 1;
            CHECK_STATUS(cth_chan_send_n(chan, items + k, goes, NULL), CTH_OK);
            k += (unsigned)goes;
        }
        if (wanted >= CLOSES_TOO) {
            CHECK_STATUS(cth_chan_close(chan), CTH_OK);
        }
    }
    return CTH_OK;
}

static cth_status take_and_free(player *p) {
    group *g = p->group;
    for (unsigned i = 0; i < STEPS; i++) {
        const size_t capacity = any_capacity(p);
        const cth_chan_desc desc = {.single = capacity != 0 && pick(p, 2) == 0};
        const unsigned n = 1 + (unsigned)pick(p, 3);
        const bool closes = pick(p, 3) == 0;
        cth_chan *chan = (cth_chan *)malloc(sizeof *chan);
        item it;
        CHECK(chan != NULL);
        CHECK_STATUS(cth_chan_init(chan, sizeof(item), capacity, &desc), CTH_OK);
        at(p, "recv, then free", chan);
        atomic_store(&g->gift_size, n + (closes ? CLOSES_TOO : 0));
        atomic_store(&g->gift, chan);
        for (unsigned k = 0; k < n; k++) {
            CHECK_STATUS(cth_chan_recv(chan, &it), CTH_OK);
            CHECK_EQ(it.number, k);
        }
        if (closes) {
            CHECK_STATUS(cth_chan_recv(chan, &it), CTH_CLOSED);
        }
        CHECK_STATUS(cth_chan_destroy(chan), CTH_OK);
        memset(chan, 0xEE, sizeof *chan);
        free(chan);
        p->seen.freed++;
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Rounds.
   ------------------------------------------------------------------------------------------------
 */

typedef enum kind {
    STREAM,
    CLOSED,
    SINGLE,
    SINGLE_CLOSED,
    QUEUE,
    SELECT,
    MEETING,
    TIMERS,
    TIMED,
    CANCELLED,
    DUEL,
    FREED,
    KINDS
} kind;

static const struct {
    unsigned least, most; // members
    bool one_giver, one_taker;
    cth_status (*gives)(player *), (*takes)(player *);
} parts[KINDS] = {
    [STREAM] = {2, MEMBERS, false, false, give_stream, take_stream},
    [CLOSED] = {2, MEMBERS, false, false, give_until_closed, take_until_closed},
    [SINGLE] = {2, 2, true, true, give_stream, take_stream},
    [SINGLE_CLOSED] = {2, 2, true, true, give_until_closed, take_until_closed},
    [QUEUE] = {2, MEMBERS, false, false, give_queue, take_queue},
    [SELECT] = {2, MEMBERS, false, false, give_select, take_select},
    [MEETING] = {2, MEMBERS, false, false, meet, meet},
    [TIMERS] = {1, 1, true, false, use_timers, use_timers},
    [TIMED] = {1, 1, true, false, use_timed_channels, use_timed_channels},
    [CANCELLED] = {2, MEMBERS, true, false, cancel_takers, be_cancelled},
    [DUEL] = {3, 3, true, false, give_in_duels, take_in_duels},
    [FREED] = {2, 2, true, true, give_to_freed, take_and_free},
};

static cth_status play(void *arg) {
    player *p = (player *)arg;
    const cth_status status = p->play(p);
    at(p, NULL, NULL);
    return status;
}

/* Positions count in 29 bits: some channels begin where they are about to wrap. */
static void near_the_wrap(cth_chan *chan, player *p) {
    const uint32_t position = 0u - 8 * (uint32_t)pick(p, 100);
    if (cth_chan_cap(chan) != 0 && pick(p, 2) == 0) {
        cth__store(&chan->rear.at, position, relaxed);
        cth__store(&chan->rear.till, position + chan->rear.room, relaxed);
        cth__store(&chan->front.at, position, relaxed);
        cth__store(&chan->front.till, position, relaxed);
    }
}

static void make_objects(group *g, kind k, player *p) {
    static const cth_queue_order orders[] = {CTH_FIFO, CTH_LIFO, CTH_PRIORITY};
    static const size_t bounds[] = {0, 1, 2, 16};
    const cth_chan_desc single = {.single = k == SINGLE || k == SINGLE_CLOSED};
    const cth_queue_desc desc = {.order = orders[pick(p, 3)], .compare = compare};
    const bool fixed = k == DUEL || k == CANCELLED;
    g->in_order = k <= SINGLE_CLOSED;
    for (size_t i = 0; i < LANES; i++) {
        size_t capacity = fixed ? i != 0 : k == MEETING ? 0 : any_capacity(p);
        capacity = single.single && capacity == 0 ? 1 : capacity;
        CHECK_STATUS(cth_chan_init(&g->lane[i], sizeof(item), capacity, &single), CTH_OK);
        near_the_wrap(&g->lane[i], p);
    }
    if (fixed) {
        CHECK_STATUS(cth_chan_send(&g->lane[2], &(item){0, 0}), CTH_OK);
    }
    CHECK_STATUS(cth_queue_init(&g->queue, sizeof(item), bounds[pick(p, 4)], &desc), CTH_OK);
    atomic_store(&g->givers_left, g->givers);
}

/* Make a group of kind `k` out of players[first ..]; returns how many it took, at most `n`. */
static unsigned make_group(group *g, kind k, unsigned first, unsigned n, cth_rng *rng) {
    if (n < parts[k].least) {
        return 0;
    }
    unsigned size = parts[k].least;
    size += (unsigned)cth_rng_below(rng, parts[k].most - size + 1);
    size = size < n ? size : n;
    memset(g, 0, sizeof *g);
    g->givers = parts[k].one_giver ? 1 : 1 + (unsigned)cth_rng_below(rng, size - 1);
    g->takers = size - g->givers;
    g->n_members = size;
    for (unsigned i = 0; i < size; i++) {
        player *p = &players[first + i];
        const bool giver = i < g->givers;
        p->group = g;
        p->play = giver ? parts[k].gives : parts[k].takes;
        p->part = k == MEETING || giver ? i : i - g->givers;
        memset(p->next, 0, sizeof p->next);
        g->members[i] = p;
        CHECK_STATUS(cth_cancel_init(&p->token, NULL, CTH_FOREVER), CTH_OK);
        cth_rng_seed(&p->rng, cth_rng_next(rng));
    }
    make_objects(g, k, g->members[0]);
    return size;
}

/* After a round nobody uses the group any more, and nothing is left over. */
static void check_group(group *g, kind k) {
    const bool fixed = k == DUEL || k == CANCELLED;
    CHECK_EQ(atomic_load(&g->sent), atomic_load(&g->received));
    CHECK_EQ(atomic_load(&g->sum), 0);
    for (size_t i = 0; i < LANES; i++) {
        CHECK_EQ(cth_chan_len(&g->lane[i]), fixed && i == 2);
        CHECK_EQ(cth_chan_is_closed(&g->lane[i]), i == 0 && (k == CLOSED || k == SINGLE_CLOSED));
        CHECK_STATUS(cth_chan_destroy(&g->lane[i]), CTH_OK);
    }
    CHECK_EQ(cth_queue_size(&g->queue), 0);
    CHECK_STATUS(cth_queue_destroy(&g->queue), CTH_OK);
    CHECK_STATUS(cth_event_destroy(&g->never), CTH_OK);
    for (unsigned i = 0; i < g->n_members; i++) {
        CHECK_STATUS(cth_cancel_destroy(&g->members[i]->token), CTH_OK);
    }
}

static void run_round(unsigned threads, cth_rng *rng) {
    static cth_thread *started[MAX_THREADS];
    kind kinds[MAX_THREADS];
    unsigned n_groups = 0;
    for (unsigned used = 0; used < threads;) {
        const kind k = (kind)cth_rng_below(rng, KINDS);
        const unsigned n = make_group(&groups[n_groups], k, used, threads - used, rng);
        kinds[n_groups] = k;
        n_groups += n > 0;
        used += n;
    }
    for (unsigned i = 0; i < threads; i++) {
        started[i] = test_spawn(play, &players[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        CHECK_STATUS(test_join(started[i]), CTH_OK);
    }
    for (unsigned i = 0; i < n_groups; i++) {
        check_group(&groups[i], kinds[i]);
    }
}

/* ------------------------------------------------------------------------------------------------
   The watchdog, a plain thread that calls nothing of the kit.
   ------------------------------------------------------------------------------------------------
 */

static atomic_uint n_rounds;

static void *watch(void *arg) {
    (void)arg;
    unsigned seen = 0;
    for (int idle = 0; idle < HANG_SECONDS * 10; idle++) {
        poll(NULL, 0, 100);
        if (atomic_load(&n_rounds) != seen) {
            seen = atomic_load(&n_rounds);
            idle = 0;
        }
    }
    fprintf(stderr, "stress_chan: seed %" PRIu64 ": round %u does not end\n", seed, seen);
    for (unsigned i = 0; i < n_threads; i++) {
        const char *doing = atomic_load(&players[i].doing);
        if (doing != NULL) {
            fprintf(stderr, "  player %u, step %u: %s %p\n", i, atomic_load(&players[i].steps),
                    doing, atomic_load(&players[i].object));
        }
    }
    fflush(stderr);
    _Exit(3);
}

static void stress(double seconds) {
    cth_rng rng;
    cth_rng_seed(&rng, seed);
    pthread_t watchdog;
    CHECK_EQ(pthread_create(&watchdog, NULL, watch, NULL), 0);
    CHECK_EQ(pthread_detach(watchdog), 0);
    const size_t before = cth_thread_count();
    const cth_time end = cth_after(CTH_S(seconds));
    do {
        run_round(n_threads, &rng);
        atomic_fetch_add(&n_rounds, 1);
    } while (cth_now() < end);
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    while (cth_thread_count() != before) {
        cth_yield(); // the timers' thread is on its way out
    }
    tally all;
    memset(&all, 0, sizeof all);
    for (unsigned i = 0; i < n_threads; i++) {
        const tally *t = &players[i].seen;
        all.values += t->values;
        all.timeouts += t->timeouts;
        all.selects += t->selects;
        all.cancels += t->cancels;
        all.closes += t->closes;
        all.meetings += t->meetings;
        all.runs += t->runs;
        all.duels += t->duels;
        all.freed += t->freed;
    }
    printf("stress_chan: seed %" PRIu64 ", %u threads, %u rounds: %" PRIu64 " values, %" PRIu64
           " selects, %" PRIu64 " meetings, %" PRIu64 " closes, %" PRIu64 " timer runs, %" PRIu64
           " duels, %" PRIu64 " channels freed, %" PRIu64 " timeouts, %" PRIu64 " cancels\n",
           seed, n_threads, atomic_load(&n_rounds), all.values, all.selects, all.meetings,
           all.closes, all.runs, all.duels, all.freed, all.timeouts, all.cancels);
    CHECK(all.values + all.cancels + all.runs + all.duels + all.freed > 0);
}

int main(int argc, char **argv) {
    stress(stress_options(argc, argv, "stress_chan", 4, MAX_THREADS));
    return EXIT_SUCCESS;
}
