/* sim_chan_timed.c - channels whose values are due times, under many schedules, and bugs of such
   channels that must be found

   Computing takes no virtual time, so without faults each value is known beforehand, and when it is
   received: a receive that waits ends exactly when it is due.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

enum { PERIOD = 1000000, NOTHING = -7, MOST = 24, ENOUGH = 20 };

static cth_chan chan, other;
static cth_event event;
static cth_cancel token;
static cth_time started;      // when the scenario did
static cth_time values[MOST]; // received by anybody
static int n_values;
static int n_over; // readers that have found it closed, or ENOUGH values

static void fresh(void) {
    static const cth_event unset = CTH_EVENT_INIT;
    event = unset;
    n_values = n_over = 0;
    sim_begin();
    started = cth_now();
}

static cth_time quarters(uint32_t n) {
    return PERIOD / 4 * (cth_time)cth_sim_choose(n);
}

static void nap(cth_time span) {
    CTH_SIM_CHECK(cth_sleep(span) == CTH_OK);
}

static void close_it(cth_chan *c) {
    CTH_SIM_CHECK(cth_chan_close(c) == CTH_OK);
}

/* Receive alone or by a select; `*value` only with CTH_OK. */
static cth_status recv_until(cth_chan *c, cth_time *value, cth_time deadline) {
    cth_time got = NOTHING;
    cth_status status;
    if (cth_sim_choose(2) == 0) {
        status = cth_chan_recv_until(c, &got, deadline);
    } else {
        size_t index = 99;
        cth_case cases[] = {CTH_RECV(c, &got)};
        status = cth_select_until(cases, 1, &index, deadline);
        CTH_SIM_CHECK(index == (status == CTH_OK || status == CTH_CLOSED ? 0 : 1));
    }
    CTH_SIM_CHECK((status == CTH_OK) == (got != NOTHING));
    CTH_SIM_CHECK(status != CTH_OK || got <= cth_now());
    *value = got;
    return status;
}

static bool received(cth_time value) {
    for (int i = 0; i < n_values; i++) {
        if (values[i] == value) {
            return true;
        }
    }
    return false;
}

static void keep(cth_time value) {
    CTH_SIM_CHECK(n_values < MOST);
    CTH_SIM_CHECK(!received(value)); // each goes to one reader
    values[n_values++] = value;
}

/* -- exact --------------------------------------------------------------------------------------
 */

/* A receive with a deadline before, at and after the due time. */
static cth_status after_or_deadline(void *arg) {
    cth_time value;
    (void)arg;
    fresh();
    const cth_time due = started + quarters(4);
    CTH_SIM_CHECK(cth_chan_after(&chan, due - started) == CTH_OK);
    const cth_time deadline = cth_sim_choose(5) == 0 ? CTH_FOREVER : started + quarters(5);
    nap(quarters(3));
    const cth_time before = cth_now();
    CTH_SIM_CHECK(cth_chan_len(&chan) == (before >= due));
    const cth_status status = recv_until(&chan, &value, deadline);
    const cth_time limit = before > deadline ? before : deadline;
    CTH_SIM_CHECK(status == (due <= limit ? CTH_OK : CTH_TIMEDOUT));
    CTH_SIM_CHECK(status != CTH_OK || value == due);
    const cth_time end = due < deadline ? due : deadline;
    CTH_SIM_CHECK(cth_now() == (before > end ? before : end));
    CTH_SIM_CHECK(recv_until(&chan, &value, 0) == CTH_TIMEDOUT);
    CTH_SIM_CHECK(recv_until(&chan, &value, cth_after(PERIOD)) ==
                  (status == CTH_OK || due > end + PERIOD ? CTH_TIMEDOUT : CTH_OK));
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

/* A reader that is sometimes slow gets the latest due time, and no other. */
static cth_status tick_by_tick(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_chan_tick(&chan, PERIOD) == CTH_OK);
    cth_time next = started + PERIOD;
    for (int i = 0; i < 5; i++) {
        cth_time value;
        if (cth_sim_choose(2) != 0) {
            nap(quarters(14));
        }
        const cth_time now = cth_now();
        CTH_SIM_CHECK(cth_chan_len(&chan) == (now >= next));
        CTH_SIM_CHECK(recv_until(&chan, &value, CTH_FOREVER) == CTH_OK);
        const cth_time want = now < next ? next : started + (now - started) / PERIOD * PERIOD;
        CTH_SIM_CHECK(value == want);
        CTH_SIM_CHECK(cth_now() == (now < next ? next : now));
        next = value + PERIOD;
    }
    return CTH_OK;
}

/* -- several readers ----------------------------------------------------------------------------
 */

static cth_status reads(void *arg) {
    const bool exact = arg != NULL; // no time passes but when all wait
    cth_time value, last = 0;
    for (;;) {
        const cth_time before = cth_now();
        const cth_status status = recv_until(&chan, &value, CTH_FOREVER);
        if (status == CTH_CLOSED || n_values >= ENOUGH) {
            n_over++;
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK && value > last);
        CTH_SIM_CHECK((value - started) % (PERIOD / 4) == 0);
        if (exact && cth__load(&chan.flags, relaxed) == 0) {
            CTH_SIM_CHECK(value > before - PERIOD);
            CTH_SIM_CHECK(cth_now() == value || cth_now() == before);
        }
        keep(value);
        last = value;
        if (cth_sim_choose(4) == 0) {
            nap(quarters(6));
        }
    }
}

static cth_status ticks_of(bool exact) {
    fresh();
    CTH_SIM_CHECK(cth_chan_tick(&chan, PERIOD) == CTH_OK);
    cth_thread *a = sim_spawn(reads, exact ? &chan : NULL);
    cth_thread *b = sim_spawn(reads, exact ? &chan : NULL);
    nap(3 * PERIOD + quarters(6));
    const cth_time before = cth_now();
    close_it(&chan);
    const cth_time closed = cth_now();
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(n_over == 2 && n_values > 0);
    cth_time latest = 0;
    for (int i = 0; i < n_values; i++) {
        CTH_SIM_CHECK(values[i] <= closed && (values[i] - started) % PERIOD == 0);
        latest = values[i] > latest ? values[i] : latest;
    }
    // The latest one at the close was received before it, or is after it.
    CTH_SIM_CHECK(n_values >= ENOUGH || latest >= (before - started) / PERIOD * PERIOD + started);
    CTH_SIM_CHECK(!exact || before == closed);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

static cth_status ticks_shared(void *arg) {
    (void)arg;
    return ticks_of(true);
}

static cth_status ticks_with_faults(void *arg) {
    (void)arg;
    return ticks_of(false);
}

/* Three readers of one value: one gets it, at its time; the others wait until it is closed. */
static cth_status one_of_three(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    const cth_time due = started + quarters(3);
    CTH_SIM_CHECK(cth_chan_after(&chan, due - started) == CTH_OK);
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(reads, NULL);
    }
    nap(PERIOD);
    CTH_SIM_CHECK(n_values == 1 && values[0] == due && n_over == 0);
    close_it(&chan);
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(n_values == 1 && n_over == 3);
    return CTH_OK;
}

/* -- close --------------------------------------------------------------------------------------
 */

typedef struct answer {
    cth_status status;
    cth_time value, at;
} answer;

static cth_status asks(void *arg) {
    answer *a = (answer *)arg;
    a->status = recv_until(&chan, &a->value, CTH_FOREVER);
    a->at = cth_now();
    return CTH_OK;
}

/* Closed before it is due: it never comes. At that time or later: it comes, at its time. */
static cth_status close_meets_due(void *arg) {
    answer a = {CTH_BROKEN, NOTHING, 0};
    cth_time value;
    (void)arg;
    fresh();
    const cth_time due = started + quarters(4), closes = started + quarters(4);
    CTH_SIM_CHECK(cth_chan_after(&chan, due - started) == CTH_OK);
    cth_thread *t = sim_spawn(asks, &a);
    nap(closes - started);
    close_it(&chan);
    CTH_SIM_CHECK(cth_chan_is_closed(&chan) && cth_chan_close(&chan) == CTH_CLOSED);
    sim_join(t);
    CTH_SIM_CHECK(a.status == (due <= closes ? CTH_OK : CTH_CLOSED));
    CTH_SIM_CHECK(a.value == (due <= closes ? due : NOTHING));
    CTH_SIM_CHECK(a.at == (due <= closes ? due : closes));
    nap(PERIOD);
    CTH_SIM_CHECK(recv_until(&chan, &value, CTH_FOREVER) == CTH_CLOSED);
    CTH_SIM_CHECK(cth_chan_len(&chan) == 0);
    return CTH_OK;
}

/* A tick keeps the due time that was the latest when it was closed. */
static cth_status closed_tick(void *arg) {
    cth_time value;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_chan_tick(&chan, PERIOD) == CTH_OK);
    cth_time next = started + PERIOD;
    if (cth_sim_choose(2) != 0) {
        nap(quarters(12));
        if (recv_until(&chan, &value, 0) == CTH_OK) {
            next = value + PERIOD;
        }
    }
    nap(quarters(12));
    const cth_time closed = cth_now();
    close_it(&chan);
    nap(quarters(12));
    CTH_SIM_CHECK(cth_chan_len(&chan) == (closed >= next));
    if (closed >= next) {
        CTH_SIM_CHECK(recv_until(&chan, &value, CTH_FOREVER) == CTH_OK);
        CTH_SIM_CHECK(value == started + (closed - started) / PERIOD * PERIOD);
    }
    CTH_SIM_CHECK(recv_until(&chan, &value, CTH_FOREVER) == CTH_CLOSED);
    return CTH_OK;
}

/* Whoever has been told that it is closed may free it, while the close is on its way out. */
static cth_status asks_and_frees(void *arg) {
    cth_chan *own = (cth_chan *)arg;
    cth_time value;
    cth_status status;
    do {
        status = recv_until(own, &value, cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon());
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_CLOSED || status == CTH_TIMEDOUT);
    } while (status != CTH_CLOSED);
    sim_gone(own, sizeof *own);
    return CTH_OK;
}

static cth_status closes(void *arg) {
    close_it((cth_chan *)arg);
    return CTH_OK;
}

static cth_status freed_after_close(void *arg) {
    (void)arg;
    fresh();
    cth_chan *own = (cth_chan *)malloc(sizeof *own);
    CTH_SIM_FRESH(*own);
    CTH_SIM_CHECK(cth_chan_after(own, cth_sim_choose(2) == 0 ? 0 : CTH_FOREVER) == CTH_OK);
    cth_thread *a = sim_spawn(asks_and_frees, own);
    cth_thread *b = sim_spawn(closes, own);
    sim_join(a);
    sim_join(b);
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

/* -- cancel -------------------------------------------------------------------------------------
 */

static cth_status asks_under(void *arg) {
    CTH_UNDER(&token) {
        CTH_SIM_CHECK(asks(arg) == CTH_OK);
    }
    return CTH_OK;
}

/* A receive that is cancelled has consumed nothing, and another reader is not disturbed. */
static cth_status cancel_meets_due(void *arg) {
    answer a = {CTH_BROKEN, NOTHING, 0};
    cth_time value;
    (void)arg;
    fresh();
    const cth_time due = started + quarters(3);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_after(&chan, due - started) == CTH_OK);
    cth_thread *t = sim_spawn(asks_under, &a);
    nap(quarters(3));
    const cth_time asked = cth_now();
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    sim_join(t);
    CTH_SIM_CHECK(a.status == CTH_OK || a.status == CTH_CANCELLED);
    CTH_SIM_CHECK(a.at <= (due < asked ? asked : due));
    if (a.status == CTH_CANCELLED) {
        CTH_SIM_CHECK(a.at >= asked);
        CTH_SIM_CHECK(recv_until(&chan, &value, CTH_FOREVER) == CTH_OK);
        CTH_SIM_CHECK(value == due && cth_now() == (a.at > due ? a.at : due));
    } else {
        CTH_SIM_CHECK(a.value == due && a.at >= due);
    }
    CTH_SIM_CHECK(recv_until(&chan, &value, 0) == CTH_TIMEDOUT);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

/* The same with a second reader, not under the token, and time that passes early. */
static cth_status cancel_and_another(void *arg) {
    answer a = {CTH_BROKEN, NOTHING, 0}, b = a;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_after(&chan, PERIOD) == CTH_OK);
    cth_thread *under = sim_spawn(asks_under, &a);
    cth_thread *patient = sim_spawn(asks, &b);
    nap(quarters(7));
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    sim_join(under);
    nap(2 * PERIOD);
    close_it(&chan);
    sim_join(patient);
    CTH_SIM_CHECK(b.status == (a.status == CTH_OK ? CTH_CLOSED : CTH_OK));
    CTH_SIM_CHECK(a.status == CTH_OK || a.status == CTH_CANCELLED);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

/* -- select -------------------------------------------------------------------------------------
 */

/* The first of two that is due; when both are at once, either. */
static cth_status first_of_two(void *arg) {
    cth_time got[2] = {NOTHING, NOTHING};
    size_t index = 99;
    (void)arg;
    fresh();
    const cth_time due[2] = {started + quarters(3), started + quarters(3)};
    CTH_SIM_CHECK(cth_chan_after(&chan, due[0] - started) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_after(&other, due[1] - started) == CTH_OK);
    cth_case cases[] = {CTH_RECV(&chan, &got[0]), CTH_RECV(&other, &got[1]), CTH_ON_EVENT(&event),
                        CTH_ON_TIME(started + 10 * PERIOD)};
    const bool watch = cth_sim_choose(3) == 0;
    CTH_SIM_CHECK((watch ? cth_select_ready(cases, 4, &index) : cth_select(cases, 4, &index)) ==
                  CTH_OK);
    CTH_SIM_CHECK(index < 2);
    CTH_SIM_CHECK(due[index] <= due[1 - index]);
    CTH_SIM_CHECK(cth_now() == due[index]);
    CTH_SIM_CHECK(got[index] == (watch ? NOTHING : due[index]));
    CTH_SIM_CHECK(got[1 - index] == NOTHING);
    if (!watch) {
        CTH_SIM_CHECK(cth_select(cases, 4, &index) == CTH_OK);
        CTH_SIM_CHECK(got[0] == due[0] && got[1] == due[1]);
        CTH_SIM_CHECK(cth_now() == (due[0] > due[1] ? due[0] : due[1]));
        CTH_SIM_CHECK(cth_select(cases, 4, &index) == CTH_OK);
        CTH_SIM_CHECK(index == 3 && cth_now() == started + 10 * PERIOD);
    }
    return CTH_OK;
}

static cth_status selects_both(void *arg) {
    cth_time value = NOTHING;
    (void)arg;
    cth_case cases[] = {CTH_RECV(&chan, &value), CTH_RECV(&other, &value)};
    for (;;) {
        size_t index = 99;
        const cth_status status = cth_select(cases, 2, &index);
        CTH_SIM_CHECK(index < 2);
        if (status == CTH_CLOSED || n_values >= ENOUGH) {
            CTH_SIM_CHECK(status == CTH_OK || index == 1);
            n_over++;
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK && index == 0 && value <= cth_now());
        keep(value);
    }
}

/* Two who select and one who receives share the values of a tick; a second channel, closed at some
   time, ends the selects, also when they sleep for a tick. */
static cth_status shared_with_selects(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_chan_tick(&chan, PERIOD) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_after(&other, CTH_FOREVER) == CTH_OK);
    cth_thread *a = sim_spawn(selects_both, NULL);
    cth_thread *b = sim_spawn(selects_both, NULL);
    cth_thread *c = sim_spawn(reads, NULL);
    nap(quarters(9));
    close_it(&other);
    sim_join(a);
    sim_join(b);
    close_it(&chan);
    sim_join(c);
    CTH_SIM_CHECK(n_over == 3);
    for (int i = 0; i < n_values; i++) {
        CTH_SIM_CHECK((values[i] - started) % PERIOD == 0 && values[i] > started);
    }
    return CTH_OK;
}

static cth_status makes_ready(void *arg) {
    const uint32_t how = *(uint32_t *)arg;
    nap(quarters(3));
    if (how == 0) {
        CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    } else if (how == 1) {
        close_it(&chan);
    } else {
        cth_time value; // takes the value away
        const cth_status status = recv_until(&chan, &value, 0);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    }
    return CTH_OK;
}

/* A select on a timed channel and an event, while another thread sets the event, closes the
   channel, or takes its value and sets the event then. */
static cth_status select_meets_others(void *arg) {
    cth_time value = NOTHING;
    size_t index = 99;
    (void)arg;
    fresh();
    uint32_t how = cth_sim_choose(3);
    const cth_time due = started + quarters(3);
    CTH_SIM_CHECK(cth_chan_after(&chan, due - started) == CTH_OK);
    cth_thread *t = sim_spawn(makes_ready, &how);
    cth_case cases[] = {CTH_RECV(&chan, &value), CTH_ON_EVENT(&event)};
    const cth_status status = cth_select(cases, 2, &index);
    CTH_SIM_CHECK(index < 2);
    if (index == 1) {
        CTH_SIM_CHECK(status == CTH_OK && cth_event_is_set(&event) && value == NOTHING);
    } else if (status == CTH_OK) {
        CTH_SIM_CHECK(value == due && cth_now() >= due);
    } else {
        CTH_SIM_CHECK(status == CTH_CLOSED && value == NOTHING && cth_chan_is_closed(&chan));
    }
    sim_join(t);
    return CTH_OK;
}

/* At every moment one is ready: the value is taken only after the event was set. */
static cth_status takes_after_set(void *arg) {
    cth_time value;
    (void)arg;
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_try_recv(&chan, &value) == CTH_OK);
    return CTH_OK;
}

static cth_status one_is_always_ready(void *arg) {
    cth_time value = NOTHING;
    size_t index = 99;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_chan_after(&chan, 0) == CTH_OK);
    cth_thread *t = sim_spawn(takes_after_set, NULL);
    cth_case cases[] = {CTH_ON_EVENT(&event), CTH_RECV(&chan, &value)};
    CTH_SIM_CHECK(cth_select_ready_until(cases, 2, &index, 0) == CTH_OK && index < 2);
    sim_join(t);
    return CTH_OK;
}

/* Two ticks of which one is taken only when the other one's value is there: so at every moment
   there is one, and a look at both must not miss it. */
static cth_status takes_by_turns(void *arg) {
    cth_chan *const both[] = {&chan, &other};
    (void)arg;
    for (int i = 0; i < 4; i++) {
        cth_time value;
        cth_case cases[] = {CTH_RECV(both[1 - i % 2], &value)};
        CTH_SIM_CHECK(cth_select_ready(cases, 1, NULL) == CTH_OK);
        CTH_SIM_CHECK(cth_chan_try_recv(both[i % 2], &value) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status one_tick_is_always_ready(void *arg) {
    cth_time value = NOTHING;
    cth_case cases[] = {CTH_RECV(&chan, &value), CTH_RECV(&other, &value)};
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_chan_tick(&chan, 2 * PERIOD) == CTH_OK);
    nap(PERIOD);
    CTH_SIM_CHECK(cth_chan_tick(&other, 2 * PERIOD) == CTH_OK);
    CTH_SIM_CHECK(cth_select_ready(cases, 1, NULL) == CTH_OK);
    cth_thread *t = sim_spawn(takes_by_turns, NULL);
    for (int i = 0; i < 3; i++) {
        size_t index = 99;
        CTH_SIM_CHECK(cth_select_ready_until(cases, 2, &index, 0) == CTH_OK && index < 2);
    }
    sim_join(t);
    return CTH_OK;
}

static void passes_exact(void) {
    SIM_PASS(after_or_deadline, 0, 3000);
    SIM_PASS(after_or_deadline, CTH_SIM_SPURIOUS, 1000);
    SIM_PASS(tick_by_tick, 0, 2500);
    SIM_PASS(tick_by_tick, CTH_SIM_SPURIOUS, 1000);
}
static void passes_several_readers(void) {
    SIM_PASS(ticks_shared, 0, 2500);
    SIM_PASS(ticks_with_faults, SIM_ALL, 2500);
    SIM_PASS(one_of_three, 0, 2000);
    SIM_PASS(one_of_three, CTH_SIM_SPURIOUS, 1000);
}
static void passes_close(void) {
    SIM_PASS(close_meets_due, 0, 4000);
    SIM_PASS(close_meets_due, CTH_SIM_SPURIOUS | CTH_SIM_THREADS | CTH_SIM_ALLOC, 1000);
    SIM_PASS(closed_tick, 0, 2000);
    SIM_PASS(freed_after_close, SIM_WAITS, 4000);
    SIM_PASS(freed_after_close, SIM_ALL, 1000);
}
static void passes_cancel(void) {
    SIM_PASS(cancel_meets_due, 0, 3000);
    SIM_PASS(cancel_and_another, SIM_WAITS, 3000);
}
static void passes_select(void) {
    SIM_PASS(first_of_two, 0, 3000);
    SIM_PASS(shared_with_selects, 0, 1500);
    SIM_PASS(shared_with_selects, SIM_ALL, 1500);
    SIM_PASS(select_meets_others, 0, 4000);
    SIM_PASS(select_meets_others, SIM_ALL, 3000);
    SIM_PASS(one_is_always_ready, 0, 4000);
    SIM_PASS(one_tick_is_always_ready, SIM_WAITS, 5000);
}

/* -- complete -----------------------------------------------------------------------------------
 */

static cth_status closes_now(void *arg) {
    (void)arg;
    close_it(&chan);
    return CTH_OK;
}

static cth_status recv_or_close(void *arg) {
    answer a = {CTH_BROKEN, NOTHING, 0};
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_chan_after(&chan, PERIOD) == CTH_OK);
    cth_thread *reader = sim_spawn(asks, &a);
    cth_thread *closer = sim_spawn(closes_now, NULL);
    sim_join(reader);
    sim_join(closer);
    // Nothing holds the closer up but the explorer: time passes only when it has closed.
    CTH_SIM_CHECK(a.status == CTH_CLOSED && a.value == NOTHING && a.at == started);
    return CTH_OK;
}

static cth_status takes_it(void *arg) {
    cth_time value = NOTHING;
    (void)arg;
    const cth_status status = cth_chan_try_recv(&chan, &value);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_EMPTY);
    if (status == CTH_OK) {
        keep(value);
    }
    return CTH_OK;
}

static cth_status two_take(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_chan_after(&chan, 0) == CTH_OK);
    cth_thread *a = sim_spawn(takes_it, NULL);
    cth_thread *b = sim_spawn(takes_it, NULL);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(n_values == 1 && values[0] == started);
    return CTH_OK;
}

static void complete(void) {
    SIM_COMPLETE(recv_or_close, 0);
    SIM_COMPLETE(two_take, 0);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

static struct {
    cth_mutex lock;
    cth_cond changed;
    bool closed;
    cth_time due;
} toy;

static void toy_fresh(cth_time span) {
    memset(&toy, 0, sizeof toy);
    fresh();
    toy.due = started + span;
}

/* Bug: whether it is due is looked at before the lock is taken and not again, so one value goes to
   two readers. */
static cth_status toy_take(void *arg) {
    bool is_due = false;
    (void)arg;
    CTH_WITH(&toy.lock) {
        is_due = cth_now() >= toy.due;
    }
    CTH_WITH(&toy.lock) {
        if (planted ? is_due : cth_now() >= toy.due) {
            keep(toy.due);
            toy.due = CTH_FOREVER;
        }
    }
    return CTH_OK;
}

static cth_status taken_twice(void *arg) {
    (void)arg;
    toy_fresh(0);
    sim_together(toy_take, NULL, 2);
    CTH_SIM_CHECK(n_values == 1 && values[0] == started);
    return CTH_OK;
}

/* Bug: a close is looked for before the reader is counted as waiting, and not again, so it sleeps
   until the due time, or for ever. */
static cth_status toy_reader(void *arg) {
    bool closed = false;
    (void)arg;
    if (planted) {
        CTH_WITH(&toy.lock) {
            closed = toy.closed;
        }
    }
    CTH_WITH(&toy.lock) {
        closed = planted ? closed : toy.closed;
        if (!closed) {
            (void)!cth_cond_wait_until(&toy.changed, &toy.lock, toy.due);
        }
    }
    CTH_SIM_CHECK(cth_now() == started);
    return CTH_OK;
}

static cth_status close_overlooked(void *arg) {
    (void)arg;
    toy_fresh(PERIOD);
    cth_thread *t = sim_spawn(toy_reader, NULL);
    CTH_WITH(&toy.lock) {
        toy.closed = true;
    }
    CTH_SIM_CHECK(cth_cond_notify_all(&toy.changed) == CTH_OK);
    sim_join(t);
    return CTH_OK;
}

/* Bug: the next due time is a period from now, not from the last one: a reader that comes late
   makes all later times wrong. */
static cth_status toy_ticks(void *arg) {
    (void)arg;
    toy_fresh(PERIOD);
    for (int i = 0; i < 3; i++) {
        nap(quarters(6));
        CTH_SIM_CHECK(cth_sleep_until(toy.due) == CTH_OK);
        const cth_time late = cth_now() - toy.due;
        CTH_SIM_CHECK((toy.due - started) % PERIOD == 0);
        toy.due = planted ? cth_after(PERIOD) : toy.due + (late / PERIOD + 1) * PERIOD;
    }
    return CTH_OK;
}

static void finds_taken_twice(void) {
    SIM_FOUND(taken_twice, 0, "check");
}
static void finds_overlooked_close(void) {
    SIM_FOUND(close_overlooked, 0, "check");
}
static void finds_drift(void) {
    SIM_FOUND(toy_ticks, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_exact),      TEST(passes_several_readers), TEST(passes_close),
    TEST(passes_cancel),     TEST(passes_select),          TEST(complete),
    TEST(finds_taken_twice), TEST(finds_overlooked_close), TEST(finds_drift),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
