/* test_chan_timed.c - channels whose values are due times: cth_chan_after and cth_chan_tick, alone
   and in select

   Nothing here measures how late a value comes. What is known exactly: a value is a due time that
   has passed, and of a tick the latest one at some moment during the call.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _DEFAULT_SOURCE // fork, alarm: headers of the system come before the kit
#include <stdatomic.h>
#include <stdlib.h>

static void *counted_malloc(size_t size);
#define CTH_MALLOC(size) counted_malloc(size)
#define CTH_FREE(block)  free(block)
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

enum { NOTHING = -7 }; // what a variable holds that no value was received into

static atomic_int allocations;

static void *counted_malloc(size_t size) {
    atomic_fetch_add(&allocations, 1);
    return malloc(size);
}

static void make_after(cth_chan *chan, cth_time span) {
    memset(chan, 0xAA, sizeof *chan); // what was there does not matter
    CHECK_STATUS(cth_chan_after(chan, span), CTH_OK);
}

static void make_tick(cth_chan *chan, cth_time period) {
    memset(chan, 0xAA, sizeof *chan);
    CHECK_STATUS(cth_chan_tick(chan, period), CTH_OK);
}

static void close_it(cth_chan *chan) {
    CHECK_STATUS(cth_chan_close(chan), CTH_OK);
}

static void sleep_for(cth_time span) {
    CHECK_STATUS(cth_sleep(span), CTH_OK);
}

static cth_status timed_recv(void *object, cth_time deadline) {
    cth_time value = NOTHING;
    const cth_status status = cth_chan_recv_until((cth_chan *)object, &value, deadline);
    CHECK((status == CTH_OK) == (value != NOTHING));
    return status;
}

static cth_status timed_select(void *object, cth_time deadline) {
    cth_time value = NOTHING;
    size_t index = 99;
    cth_case cases[] = {CTH_RECV((cth_chan *)object, &value)};
    const cth_status status = cth_select_until(cases, 1, &index, deadline);
    CHECK((status == CTH_OK) == (value != NOTHING));
    CHECK_EQ(index, status == CTH_OK || status == CTH_CLOSED ? 0 : 1);
    return status;
}

static const test_wait_fn waits[] = {timed_recv, timed_select};

/* Every way to receive one value; the last four ask again and again. */
enum { PLAIN, FAR, N, N_FAR, SELECT, SELECT_FAR, TRY, PAST, TRY_N, TRY_SELECT, FORMS };

static cth_status recv_once(int form, cth_chan *chan, cth_time *value) {
    const cth_time far = cth_after(CTH_S(3600));
    cth_time values[3] = {NOTHING, NOTHING, NOTHING};
    cth_case cases[] = {CTH_RECV(chan, values)};
    size_t n = 1, index = 0;
    cth_status status = CTH_OK;
    switch (form) {
    case PLAIN: status = cth_chan_recv(chan, values); break;
    case FAR: status = cth_chan_recv_until(chan, values, far); break;
    case N: status = cth_chan_recv_n(chan, values, 3, &n); break;
    case N_FAR: status = cth_chan_recv_n_until(chan, values, 3, &n, far); break;
    case SELECT: status = cth_select(cases, 1, &index); break;
    case SELECT_FAR: status = cth_select_until(cases, 1, &index, far); break;
    case TRY: status = cth_chan_try_recv(chan, values); break;
    case PAST: status = cth_chan_recv_until(chan, values, 0); break;
    case TRY_N: status = cth_chan_try_recv_n(chan, values, 3, &n); break;
    default: status = cth_try_select(cases, 1, &index); break;
    }
    const bool ok = status == CTH_OK;
    CHECK((values[0] != NOTHING) == ok && values[1] == NOTHING && values[2] == NOTHING);
    CHECK_EQ(n, ok || (form != N && form != N_FAR && form != TRY_N) ? 1 : 0);
    CHECK_EQ(index, status == CTH_TIMEDOUT && form == TRY_SELECT ? 1 : 0);
    *value = ok ? values[0] : *value;
    return status;
}

static bool says_not_yet(int form, cth_status status) {
    const bool empties = form == TRY || form == TRY_N;
    return form >= TRY && status == (empties ? CTH_EMPTY : CTH_TIMEDOUT);
}

static cth_status recv_by(int form, cth_chan *chan, cth_time *value) {
    for (;;) {
        const cth_status status = recv_once(form, chan, value);
        if (!says_not_yet(form, status)) {
            return status;
        }
        cth_yield();
    }
}

static cth_time take_by(int form, cth_chan *chan) {
    cth_time value = NOTHING;
    CHECK_STATUS(recv_by(form, chan, &value), CTH_OK);
    CHECK(cth_now() >= value); // never early
    return value;
}

/* Nothing is there in any form that does not wait. */
static void is_empty(cth_chan *chan, cth_status status) {
    for (int form = TRY; form < FORMS; form++) {
        cth_time value = NOTHING;
        const cth_status got = recv_once(form, chan, &value);
        CHECK_EQ(value, NOTHING);
        if (status == CTH_EMPTY) {
            CHECK(says_not_yet(form, got));
        } else {
            CHECK_STATUS(got, status);
        }
    }
    CHECK_EQ(cth_chan_len(chan), 0);
}

/* -- after --------------------------------------------------------------------------------------
 */

static const cth_time spans[] = {0, 1, 999, 1000, 50000, 999999, 1000000, 1000001, 5000000};

static void its_value_is_its_due_time(void) {
    for (int form = 0; form < FORMS; form++) {
        for (size_t i = 0; i < TEST_COUNT(spans); i++) {
            cth_chan chan;
            const cth_time before = cth_now();
            make_after(&chan, spans[i]);
            const cth_time behind = cth_now();
            CHECK_EQ(cth_chan_cap(&chan), 1);
            CHECK(!cth_chan_is_closed(&chan));
            const cth_time value = take_by(form, &chan);
            CHECK(value >= before + spans[i] && value <= behind + spans[i]);
            is_empty(&chan, CTH_EMPTY);
            CHECK(!cth_chan_is_closed(&chan));
            CHECK_STATUS(timed_recv(&chan, cth_after(CTH_US(20))), CTH_TIMEDOUT); // no more
            CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
        }
    }
}

static void many_waits_in_turn(void) {
    for (cth_time span = 1; span < CTH_MS(2); span += span / 2 + 1) {
        for (int form = 0; form < FORMS; form++) {
            cth_chan chan;
            const cth_time earliest = cth_after(span);
            make_after(&chan, span);
            CHECK(take_by(form, &chan) >= earliest);
        }
    }
}

static void empty_until_due(void) {
    cth_chan chan;
    make_after(&chan, CTH_S(3600));
    is_empty(&chan, CTH_EMPTY);
    make_after(&chan, CTH_MS(3));
    while (cth_chan_len(&chan) == 0) {
        cth_yield();
    }
    CHECK(cth_now() >= chan.due);
    CHECK_EQ(cth_chan_len(&chan), 1);
    (void)take_by(TRY, &chan); // it is there now
    is_empty(&chan, CTH_EMPTY);
}

/* A value that is due is taken by every deadline. */
static void past_deadlines_take_it(void) {
    const cth_time deadlines[] = {0, 1, cth_now(), CTH_FOREVER, cth_after(CTH_S(1))};
    for (size_t i = 0; i < TEST_COUNT(deadlines); i++) {
        for (size_t k = 0; k < TEST_COUNT(waits); k++) {
            cth_chan chan;
            make_after(&chan, 0);
            CHECK_STATUS(waits[k](&chan, deadlines[i]), CTH_OK);
            is_empty(&chan, CTH_EMPTY);
        }
    }
}

static void waits_time_out(void) {
    cth_chan chan;
    make_after(&chan, CTH_S(3600));
    test_times_out(timed_recv, &chan);
    make_tick(&chan, CTH_S(3600));
    test_times_out(timed_select, &chan);
    CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
}

static void refuses_negative_deadlines(void) {
    for (size_t k = 0; k < TEST_COUNT(waits); k++) {
        for (cth_time span = 0; span <= CTH_S(3600); span += CTH_S(3600)) {
            cth_chan chan;
            make_after(&chan, span);
            test_refuses_negative(waits[k], &chan);
            CHECK_EQ(cth_chan_len(&chan), span == 0); // nothing was taken
        }
    }
}

/* Spans that the clock cannot reach do not overflow into near ones. */
static void far_ones_are_never_due(void) {
    static const cth_time far[] = {CTH_S(3600),   CTH_S(4294967296), INT64_C(1) << 62,
                                   INT64_MAX / 2, INT64_MAX - 1,     CTH_FOREVER};
    for (size_t i = 0; i < TEST_COUNT(far); i++) {
        for (int ticks = 0; ticks < 2; ticks++) {
            for (size_t k = 0; k < TEST_COUNT(waits); k++) {
                cth_chan chan;
                test_waiter w = {0};
                if (ticks != 0) {
                    make_tick(&chan, far[i]);
                } else {
                    make_after(&chan, far[i]);
                }
                is_empty(&chan, CTH_EMPTY);
                test_waiter_start(&w, waits[k], &chan, CTH_FOREVER);
                test_waiter_asleep(&w);
                CHECK_EQ(atomic_load(&w.done), 0);
                close_it(&chan);
                CHECK_STATUS(test_waiter_end(&w), CTH_CLOSED);
                is_empty(&chan, CTH_CLOSED);
            }
        }
    }
}

/* -- tick ---------------------------------------------------------------------------------------
 */

/* Receive by `form`; the value is a multiple, later than the one before, and the latest one. */
static cth_time next_tick(int form,
                          cth_chan *chan,
                          cth_time period,
                          cth_time first,
                          cth_time last) {
    const cth_time before = cth_now();
    const cth_time value = take_by(form, chan);
    CHECK(value > last);
    CHECK(value >= first);
    CHECK_EQ((value - first) % period, 0);
    CHECK(value > before - period);
    return value;
}

static void multiples_of_the_period(void) {
    static const cth_time periods[] = {CTH_MS(1), CTH_US(200), 1, 7};
    for (size_t i = 0; i < TEST_COUNT(periods); i++) {
        const cth_time period = periods[i];
        cth_chan chan;
        const cth_time before = cth_now();
        make_tick(&chan, period);
        const cth_time behind = cth_now(), first = chan.due;
        CHECK(first >= before + period && first <= behind + period);
        CHECK_EQ(cth_chan_cap(&chan), 1);
        cth_time last = 0;
        for (int n = 0; n < 3 * FORMS; n++) {
            last = next_tick(n % FORMS, &chan, period, first, last);
        }
        CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
    }
}

/* Who comes late finds one value, the latest. */
static void a_slow_reader_gets_the_latest(void) {
    const cth_time period = CTH_MS(1);
    for (int form = 0; form < FORMS; form++) {
        cth_chan chan;
        make_tick(&chan, period);
        const cth_time first = chan.due;
        cth_time last = 0;
        for (int n = 0; n < 3; n++) {
            sleep_for(CTH_US(2500));
            CHECK_EQ(cth_chan_len(&chan), 1);
            const cth_time value = next_tick(form, &chan, period, first, last);
            CHECK(n == 0 || value >= last + 2 * period);
            last = value;
            // What there is now has become due since.
            cth_time more = NOTHING;
            if (cth_chan_try_recv(&chan, &more) == CTH_OK) {
                CHECK(more > last && more <= cth_now() && (more - first) % period == 0);
                last = more;
            }
        }
    }
}

/* -- several readers ----------------------------------------------------------------------------
 */

enum { READERS = 4, TICKS = 300, ROOM = 4 * TICKS };

typedef struct reader {
    cth_chan *chan;
    atomic_int *total;
    int form, n;
    cth_time values[ROOM];
} reader;

static cth_status read_ticks(void *arg) {
    reader *r = (reader *)arg;
    for (;;) {
        cth_time value = NOTHING;
        const cth_status status = recv_by(r->form, r->chan, &value);
        if (status == CTH_CLOSED) {
            return CTH_OK;
        }
        CHECK_STATUS(status, CTH_OK);
        CHECK(cth_now() >= value && (r->n == 0 || value > r->values[r->n - 1]));
        CHECK(r->n < ROOM);
        r->values[r->n++] = value;
        atomic_fetch_add(r->total, 1);
    }
}

static int by_value(const void *a, const void *b) {
    const cth_time *const x = (const cth_time *)a, *const y = (const cth_time *)b;
    return (*x > *y) - (*x < *y);
}

/* Each tick goes to one of them. */
static void each_tick_goes_to_one(void) {
    const cth_time period = CTH_US(100);
    for (int form = 0; form < FORMS; form++) {
        static reader readers[READERS];
        static cth_time all[READERS * ROOM];
        cth_thread *threads[READERS];
        cth_chan chan;
        atomic_int total = 0;
        memset(readers, 0, sizeof readers);
        make_tick(&chan, period);
        const cth_time first = chan.due;
        for (int i = 0; i < READERS; i++) {
            readers[i].chan = &chan;
            readers[i].total = &total;
            readers[i].form = i == 0 ? PLAIN : form;
            threads[i] = test_spawn(read_ticks, &readers[i]);
        }
        test_reach(&total, TICKS / SLOW);
        close_it(&chan);
        size_t n = 0;
        for (int i = 0; i < READERS; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
            memcpy(all + n, readers[i].values, (size_t)readers[i].n * sizeof *all);
            n += (size_t)readers[i].n;
        }
        CHECK_EQ(n, atomic_load(&total));
        qsort(all, n, sizeof *all, by_value);
        for (size_t i = 0; i < n; i++) {
            CHECK_EQ((all[i] - first) % period, 0);
            CHECK(i == 0 ? all[0] >= first : all[i] > all[i - 1]);
        }
        CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
    }
}

static void one_of_several_gets_the_value(void) {
    for (size_t k = 0; k < 2 * TEST_COUNT(waits); k++) {
        cth_chan chan;
        test_waiter w[READERS];
        memset(w, 0, sizeof w);
        make_after(&chan, CTH_MS(2));
        for (size_t i = 0; i < READERS; i++) {
            test_waiter_start(&w[i], waits[k < 2 ? k : i % 2], &chan, CTH_FOREVER);
        }
        int done = 0;
        while (done == 0) {
            cth_yield();
            for (size_t i = 0; i < READERS; i++) {
                done += atomic_load(&w[i].done);
            }
        }
        CHECK_EQ(done, 1);
        for (size_t i = 0; i < READERS; i++) {
            test_waiter_asleep(&w[i]);
        }
        close_it(&chan); // the others would wait for ever
        int got = 0;
        for (size_t i = 0; i < READERS; i++) {
            const cth_status status = test_waiter_end(&w[i]);
            CHECK(status == CTH_OK || status == CTH_CLOSED);
            got += status == CTH_OK;
        }
        CHECK_EQ(got, 1);
    }
}

/* -- close --------------------------------------------------------------------------------------
 */

static void closed_before_it_is_due(void) {
    for (int ticks = 0; ticks < 2; ticks++) {
        cth_chan chan;
        if (ticks != 0) {
            make_tick(&chan, CTH_MS(20));
        } else {
            make_after(&chan, CTH_MS(20));
        }
        const cth_time due = chan.due;
        close_it(&chan);
        const bool early = cth_now() < due; // else this thread was held up, and the value is there
        CHECK(cth_chan_is_closed(&chan));
        CHECK_STATUS(cth_chan_close(&chan), CTH_CLOSED);
        if (early) {
            CHECK_STATUS(cth_sleep_until(due), CTH_OK);
            is_empty(&chan, CTH_CLOSED); // not even then
            for (int form = 0; form < TRY; form++) {
                cth_time value = NOTHING;
                CHECK_STATUS(recv_once(form, &chan, &value), CTH_CLOSED);
            }
        }
        CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
    }
}

/* What was due is still received. */
static void closed_after_it_was_due(void) {
    for (int form = 0; form < FORMS; form++) {
        cth_chan chan;
        make_after(&chan, 0);
        const cth_time due = chan.due;
        close_it(&chan);
        CHECK(cth_chan_is_closed(&chan));
        CHECK_EQ(cth_chan_len(&chan), 1);
        CHECK_EQ(take_by(form, &chan), due);
        is_empty(&chan, CTH_CLOSED);
        CHECK_STATUS(cth_chan_close(&chan), CTH_CLOSED);
    }
}

/* Of a tick that is the latest due time when it was closed; the time since does not count. */
static void a_closed_tick_keeps_the_latest(void) {
    const cth_time period = CTH_MS(1);
    for (int form = 0; form < FORMS; form++) {
        cth_chan chan;
        make_tick(&chan, period);
        const cth_time first = chan.due;
        sleep_for(CTH_US(3500));
        const cth_time before = cth_now();
        close_it(&chan);
        const cth_time behind = cth_now();
        sleep_for(CTH_MS(2));
        CHECK_EQ(cth_chan_len(&chan), 1);
        const cth_time value = take_by(form, &chan);
        CHECK_EQ((value - first) % period, 0);
        CHECK(value > before - period && value <= behind);
        is_empty(&chan, CTH_CLOSED);
    }
}

static void close_frees_the_waiting(void) {
    for (int ticks = 0; ticks < 2; ticks++) {
        cth_chan chan;
        test_waiter w[READERS];
        memset(w, 0, sizeof w);
        if (ticks != 0) {
            make_tick(&chan, CTH_S(3600));
        } else {
            make_after(&chan, CTH_S(3600));
        }
        for (size_t i = 0; i < READERS; i++) {
            test_waiter_start(&w[i], waits[i % 2], &chan,
                              i < 2 ? CTH_FOREVER : cth_after(CTH_S(3600)));
        }
        for (size_t i = 0; i < READERS; i++) {
            test_waiter_asleep(&w[i]);
            CHECK_EQ(atomic_load(&w[i].done), 0);
        }
        CHECK_STATUS(cth_chan_destroy(&chan), CTH_BUSY);
        close_it(&chan);
        for (size_t i = 0; i < READERS; i++) {
            CHECK_STATUS(test_waiter_end(&w[i]), CTH_CLOSED);
        }
        CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
    }
}

static void the_loop_ends_when_closed(void) {
    cth_chan chan;
    int rounds = 0;
    make_tick(&chan, CTH_US(50));
    CTH_FOREACH_RECV(cth_time, due, &chan) {
        CHECK(cth_now() >= due);
        if (++rounds == 10) {
            close_it(&chan);
        }
    }
    CHECK(rounds == 10 || rounds == 11); // one may have been due at the close
    CHECK_STATUS(cth_chan_recv(&chan, &(cth_time){0}), CTH_CLOSED);
}

/* -- cancelled ----------------------------------------------------------------------------------
 */

static void cancelled_waits(void) {
    for (size_t k = 0; k < TEST_COUNT(waits); k++) {
        cth_chan chan;
        cth_cancel token;
        test_waiter under = {.token = &token}, other = {0};
        make_after(&chan, CTH_S(3600));
        CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
        test_waiter_start(&under, waits[k], &chan, CTH_FOREVER);
        test_waiter_start(&other, waits[k], &chan, CTH_FOREVER);
        test_waiter_asleep(&under);
        test_waiter_asleep(&other);
        CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
        CHECK_STATUS(test_waiter_end(&under), CTH_CANCELLED);
        CHECK_EQ(atomic_load(&other.done), 0);
        close_it(&chan);
        CHECK_STATUS(test_waiter_end(&other), CTH_CLOSED);
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    }
}

/* What is due, or closed, needs no wait. */
static void under_a_cancelled_token(void) {
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    CTH_UNDER(&token) {
        for (int form = 0; form < FORMS; form++) {
            cth_chan chan;
            cth_time value = NOTHING;
            make_after(&chan, 0);
            CHECK_STATUS(recv_once(form, &chan, &value), CTH_OK);
            make_after(&chan, CTH_S(3600));
            if (form < SELECT) {
                CHECK_STATUS(recv_once(form, &chan, &value), CTH_CANCELLED);
            } else if (form >= TRY) {
                CHECK(says_not_yet(form, recv_once(form, &chan, &value)));
            } else {
                CHECK_STATUS(waits[1](&chan, CTH_FOREVER), CTH_CANCELLED);
            }
            close_it(&chan);
            CHECK_STATUS(recv_once(form, &chan, &value), CTH_CLOSED);
        }
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* -- refused ------------------------------------------------------------------------------------
 */

static void refuses_bad_spans(void) {
    static const cth_time bad[] = {-1, -CTH_S(1), INT64_MIN, INT64_MIN + 1};
    cth_chan chan, before;
    CHECK_STATUS(cth_chan_after(NULL, 0), CTH_INVALID);
    CHECK_STATUS(cth_chan_tick(NULL, 1), CTH_INVALID);
    memset(&chan, 0x55, sizeof chan);
    before = chan;
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        CHECK_STATUS(cth_chan_after(&chan, bad[i]), CTH_INVALID);
        CHECK_STATUS(cth_chan_tick(&chan, bad[i]), CTH_INVALID);
    }
    CHECK_STATUS(cth_chan_tick(&chan, 0), CTH_INVALID);
    CHECK_EQ(memcmp(&chan, &before, sizeof chan), 0);
}

static void nothing_can_be_sent(void) {
    const cth_time far = cth_after(CTH_S(3600)), value = 5;
    for (int state = 0; state < 4; state++) {
        cth_chan chan;
        size_t sent = 99, index = 99;
        if (state == 3) {
            make_tick(&chan, 1);
        } else {
            make_after(&chan, state == 0 ? 0 : CTH_S(3600));
        }
        if (state == 2) {
            close_it(&chan);
        }
        CHECK_STATUS(cth_chan_send(&chan, &value), CTH_INVALID);
        CHECK_STATUS(cth_chan_try_send(&chan, &value), CTH_INVALID);
        CHECK_STATUS(cth_chan_send_until(&chan, &value, far), CTH_INVALID);
        CHECK_STATUS(cth_chan_send_until(&chan, &value, 0), CTH_INVALID);
        CHECK_STATUS(cth_chan_send_n(&chan, &value, 1, &sent), CTH_INVALID);
        CHECK_EQ(sent, 0);
        CHECK_STATUS(cth_chan_try_send_n(&chan, &value, 1, &sent), CTH_INVALID);
        CHECK_STATUS(cth_chan_send_n_until(&chan, &value, 1, &sent, far), CTH_INVALID);
        CHECK_EQ(sent, 0);
        // Nor is anything else done by a select with such a case.
        cth_chan due;
        cth_time got = NOTHING;
        make_after(&due, 0);
        cth_case cases[] = {CTH_RECV(&due, &got), CTH_SEND(&chan, &value)};
        CHECK_STATUS(cth_select(cases, 2, &index), CTH_INVALID);
        CHECK_EQ(index, 2);
        CHECK_STATUS(cth_try_select(cases, 2, &index), CTH_INVALID);
        CHECK_STATUS(cth_select_ready(cases, 2, &index), CTH_INVALID);
        CHECK_EQ(index, 2);
        CHECK_EQ(got, NOTHING);
        CHECK_EQ(cth_chan_len(&due), 1);
        CHECK_EQ(cth_chan_len(&chan), state == 0 || state == 3); // it is as it was
    }
}

static void receives_of_none(void) {
    cth_chan chan;
    size_t n = 99;
    make_after(&chan, 0);
    CHECK_STATUS(cth_chan_recv_n(&chan, NULL, 0, &n), CTH_OK);
    CHECK_EQ(n, 0);
    CHECK_STATUS(cth_chan_try_recv_n(&chan, NULL, 0, NULL), CTH_OK);
    CHECK_EQ(cth_chan_len(&chan), 1);
}

static cth_status recv_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = timed_recv(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_chan chan;
    errno = 4242;
    make_after(&chan, CTH_US(500));
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(recv_keeps_errno(&chan, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(recv_keeps_errno(&chan, cth_after(CTH_US(100))), CTH_TIMEDOUT);
    errno = 4242;
    CHECK_EQ(cth_chan_len(&chan), 0);
    close_it(&chan);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(recv_keeps_errno(&chan, CTH_FOREVER), CTH_CLOSED);
}

/* -- made and dropped ---------------------------------------------------------------------------
 */

enum { MANY = 10000 };

static void made_and_dropped(void) {
    cth_chan *chans = (cth_chan *)malloc(MANY * sizeof *chans);
    CHECK(chans != NULL);
    const size_t threads = cth_thread_count();
    const int seen = atomic_load(&allocations);
    int due = 0;
    for (int i = 0; i < MANY; i++) {
        if (i % 2 == 0) {
            make_after(&chans[i], CTH_US(i % 50));
        } else {
            make_tick(&chans[i], CTH_US(1 + i % 50));
        }
        due += (int)cth_chan_len(&chans[i / 2]);
    }
    // Some are read, some closed, most are dropped as they are.
    for (int i = 0; i < MANY; i += 3) {
        CHECK_STATUS(cth_chan_recv(&chans[i], &(cth_time){0}), CTH_OK);
        if (i % 2 == 0) {
            CHECK_STATUS(cth_chan_close(&chans[i]), CTH_OK);
        }
    }
    CHECK(due > 0);
    CHECK_EQ(cth_thread_count(), threads);
    CHECK_EQ(atomic_load(&allocations), seen);
    memset(chans, 0xEE, MANY * sizeof *chans);
    free(chans);
    sleep_for(CTH_MS(1)); // what was pending in them is due now
    CHECK_EQ(cth_thread_count(), threads);
}

/* The same object again and again, with no destroy in between. */
static void made_again(void) {
    cth_chan chan;
    memset(&chan, 0, sizeof chan);
    for (int i = 0; i < 1000; i++) {
        const cth_time earliest = cth_after(i % 7);
        CHECK_STATUS(cth_chan_after(&chan, i % 7), CTH_OK);
        CHECK(take_by(i % FORMS, &chan) >= earliest);
        if (i % 3 == 0) {
            close_it(&chan);
        }
        CHECK_STATUS(cth_chan_tick(&chan, 1 + i % 7), CTH_OK);
        CHECK(!cth_chan_is_closed(&chan));
        (void)take_by(i % FORMS, &chan);
    }
    CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
    CHECK_EQ(cth_chan_cap(&chan), 0); // zeroed
    CHECK_STATUS(cth_chan_init(&chan, sizeof(int), 2, NULL), CTH_OK);
    CHECK_STATUS(cth_chan_send(&chan, &(int){3}), CTH_OK);
    CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
}

/* The reader's last use is the last use: who has its answer may free the channel, while another
   thread's close is on its way out. */
static cth_status close_given(void *arg) {
    return cth_chan_close((cth_chan *)arg);
}

static void freed_after_the_last_use(void) {
    for (int i = 0; i < 400 / SLOW; i++) {
        cth_chan *chan = (cth_chan *)malloc(sizeof *chan);
        CHECK(chan != NULL);
        make_after(chan, i % 2 == 0 ? CTH_S(3600) : CTH_US(20));
        cth_thread *thread = test_spawn(close_given, chan);
        cth_status status;
        do {
            status = waits[i / 2 % 2](chan, CTH_FOREVER);
        } while (status == CTH_OK);
        CHECK_STATUS(status, CTH_CLOSED);
        memset(chan, 0xEE, sizeof *chan);
        free(chan);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

/* -- select -------------------------------------------------------------------------------------
 */

static void as_the_timeout_of_a_select(void) {
    cth_chan jobs, timeout;
    cth_event event = CTH_EVENT_INIT;
    CHECK_STATUS(cth_chan_init(&jobs, sizeof(int), 1, NULL), CTH_OK);
    for (int i = 0; i < 20; i++) {
        int job = 0;
        cth_time due = NOTHING;
        cth_status status = CTH_BROKEN;
        make_after(&timeout, i % 2 == 0 ? CTH_US(200) : CTH_S(3600));
        const cth_time want = timeout.due;
        if (i % 2 != 0) {
            CHECK_STATUS(cth_chan_send(&jobs, &i), CTH_OK);
        }
        const int index = CTH_SELECT(&status, CTH_RECV(&jobs, &job), CTH_RECV(&timeout, &due),
                                     CTH_ON_EVENT(&event), CTH_ON_TIME(cth_after(CTH_S(3600))));
        CHECK_STATUS(status, CTH_OK);
        CHECK_EQ(index, i % 2 == 0 ? 1 : 0);
        CHECK_EQ(job, i % 2 == 0 ? 0 : i);
        CHECK_EQ(due, i % 2 == 0 ? want : NOTHING);
        CHECK(i % 2 != 0 || cth_now() >= want);
    }
    CHECK_STATUS(cth_chan_destroy(&jobs), CTH_OK);
}

static void the_earlier_one_is_selected(void) {
    for (int i = 0; i < 20; i++) {
        cth_chan soon, late, closed;
        cth_time value = NOTHING;
        size_t index = 99;
        make_after(&soon, CTH_US(10 * i));
        make_after(&late, CTH_S(3600));
        make_after(&closed, CTH_S(3600));
        cth_case cases[] = {CTH_RECV(&late, &value), CTH_RECV(NULL, &value),
                            CTH_RECV(&soon, &value), CTH_RECV(&closed, &value)};
        const cth_time due = soon.due;
        CHECK_STATUS(cth_select(cases, 4, &index), CTH_OK);
        CHECK_EQ(index, 2);
        CHECK_EQ(value, due);
        CHECK_STATUS(cth_try_select(cases, 4, &index), CTH_TIMEDOUT);
        CHECK_EQ(index, 4);
        value = NOTHING;
        close_it(&closed);
        CHECK_STATUS(cth_select(cases, 4, &index), CTH_CLOSED);
        CHECK_EQ(index, 3);
        CHECK_EQ(value, NOTHING);
    }
}

static void ready_takes_nothing(void) {
    for (int ticks = 0; ticks < 2; ticks++) {
        cth_chan chan;
        cth_time value = NOTHING;
        size_t index = 99;
        if (ticks != 0) {
            make_tick(&chan, CTH_MS(2));
        } else {
            make_after(&chan, CTH_MS(2));
        }
        const cth_time due = chan.due;
        cth_case cases[] = {CTH_RECV(&chan, &value)};
        const cth_status status = cth_select_ready_until(cases, 1, &index, 0);
        CHECK(status == CTH_TIMEDOUT || cth_now() >= due);
        CHECK_STATUS(cth_select_ready(cases, 1, &index), CTH_OK);
        CHECK_EQ(index, 0);
        CHECK_EQ(value, NOTHING);
        CHECK(cth_now() >= due);
        CHECK_EQ(cth_chan_len(&chan), 1);
        CHECK_STATUS(cth_select_ready_until(cases, 1, &index, 0), CTH_OK);
        (void)take_by(TRY, &chan);
    }
    cth_chan chan;
    size_t index = 99;
    cth_time value = NOTHING;
    make_after(&chan, CTH_S(3600));
    close_it(&chan);
    cth_case cases[] = {CTH_RECV(&chan, &value)};
    CHECK_STATUS(cth_select_ready(cases, 1, &index), CTH_OK); // to find it closed
    CHECK_EQ(index, 0);
}

/* One channel in several cases: one of them gets the value. */
static void twice_in_one_select(void) {
    for (int i = 0; i < 40; i++) {
        cth_chan chan;
        cth_time values[3] = {NOTHING, NOTHING, NOTHING};
        size_t index = 99;
        make_after(&chan, CTH_US(i % 2 * 100));
        const cth_time due = chan.due;
        cth_case cases[] = {CTH_RECV(&chan, &values[0]), CTH_RECV(&chan, &values[1]),
                            CTH_RECV(&chan, &values[2])};
        CHECK_STATUS(cth_select(cases, 3, &index), CTH_OK);
        CHECK(index < 3);
        for (size_t k = 0; k < 3; k++) {
            CHECK_EQ(values[k], k == index ? due : NOTHING);
        }
        CHECK_STATUS(cth_select_until(cases, 3, &index, cth_after(CTH_US(50))), CTH_TIMEDOUT);
    }
}

enum { HUNDREDS = 300 };

static cth_chan hundreds[HUNDREDS];
static cth_time dues[HUNDREDS], values[HUNDREDS];
static cth_case all_cases[HUNDREDS];

static void hundreds_of_times(void) {
    cth_rng rng;
    cth_rng_seed(&rng, 11);
    for (size_t i = 0; i < HUNDREDS; i++) {
        make_after(&hundreds[i], (cth_time)cth_rng_below(&rng, 10000000));
        dues[i] = hundreds[i].due;
        values[i] = NOTHING;
        all_cases[i] = CTH_RECV(&hundreds[i], &values[i]);
    }
    for (int n = 0; n < HUNDREDS; n++) {
        size_t index = HUNDREDS;
        CHECK_STATUS(n % 2 == 0
                         ? cth_select(all_cases, HUNDREDS, &index)
                         : cth_select_until(all_cases, HUNDREDS, &index, cth_after(CTH_S(3600))),
                     CTH_OK);
        CHECK(index < HUNDREDS && dues[index] != 0); // each once
        CHECK_EQ(values[index], dues[index]);
        CHECK(cth_now() >= dues[index]);
        dues[index] = 0;
    }
    CHECK_STATUS(cth_try_select(all_cases, HUNDREDS, NULL), CTH_TIMEDOUT);
}

static void hundreds_of_ticks(void) {
    cth_rng rng;
    cth_rng_seed(&rng, 12);
    static cth_time periods[HUNDREDS];
    for (size_t i = 0; i < HUNDREDS; i++) {
        periods[i] = 1 + (cth_time)cth_rng_below(&rng, 5000000);
        make_tick(&hundreds[i], periods[i]);
        dues[i] = hundreds[i].due;
        values[i] = NOTHING;
        all_cases[i] = CTH_RECV(&hundreds[i], &values[i]);
    }
    for (int n = 0; n < 1000 / SLOW; n++) {
        size_t index = HUNDREDS;
        CHECK_STATUS(cth_select(all_cases, HUNDREDS, &index), CTH_OK);
        CHECK(index < HUNDREDS);
        CHECK(cth_now() >= values[index]);
        CHECK(values[index] >= dues[index]); // the first, or the one behind the last
        CHECK_EQ((values[index] - dues[index]) % periods[index], 0);
        dues[index] = values[index] + periods[index];
    }
    for (size_t i = 0; i < HUNDREDS; i++) {
        close_it(&hundreds[i]);
        while (cth_chan_try_recv(&hundreds[i], &values[i]) == CTH_OK) {
            CHECK(values[i] >= dues[i]);
            dues[i] = values[i] + 1;
        }
    }
    CHECK_STATUS(cth_select(all_cases, HUNDREDS, NULL), CTH_CLOSED);
}

/* Threads that select among the same channels get each value once. */
enum { SHARED = 40 };

typedef struct share {
    cth_chan *chans;
    atomic_int *total;
    int got[SHARED];
} share;

static cth_status take_shares(void *arg) {
    share *s = (share *)arg;
    cth_time value = NOTHING;
    cth_case cases[SHARED];
    for (size_t i = 0; i < SHARED; i++) {
        cases[i] = CTH_RECV(&s->chans[i], &value);
    }
    for (;;) {
        size_t index = SHARED;
        const cth_status status = cth_select(cases, SHARED, &index);
        CHECK(index < SHARED);
        if (status == CTH_CLOSED) {
            CHECK_EQ(index, SHARED - 1);
            return CTH_OK;
        }
        CHECK_STATUS(status, CTH_OK);
        CHECK(cth_now() >= value);
        s->got[index]++;
        atomic_fetch_add(s->total, 1);
    }
}

static void shared_by_selects(void) {
    static cth_chan chans[SHARED];
    share shares[3];
    cth_thread *threads[3];
    atomic_int total = 0;
    memset(shares, 0, sizeof shares);
    for (size_t i = 0; i < SHARED; i++) {
        make_after(&chans[i], i == SHARED - 1 ? CTH_S(3600) : CTH_US(i * 50));
    }
    for (size_t i = 0; i < 3; i++) {
        shares[i].chans = chans;
        shares[i].total = &total;
        threads[i] = test_spawn(take_shares, &shares[i]);
    }
    test_reach(&total, SHARED - 1);
    close_it(&chans[SHARED - 1]);
    for (size_t i = 0; i < 3; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    for (size_t i = 0; i < SHARED; i++) {
        const int got = shares[0].got[i] + shares[1].got[i] + shares[2].got[i];
        CHECK_EQ(got, i < SHARED - 1);
    }
}

/* -- fork ---------------------------------------------------------------------------------------
 */

/* In the child: the number of the check that failed. */
#define IN_CHILD(condition)  \
  do {                       \
    if (!(condition)) {      \
      return __LINE__ % 251; \
    }                        \
  } while (0)

static int in_child(cth_chan *far, cth_chan *tick) {
    cth_chan fresh;
    cth_time value = NOTHING;
    IN_CHILD(cth_chan_try_recv(far, &value) == CTH_EMPTY);
    IN_CHILD(cth_chan_recv_until(far, &value, cth_after(CTH_US(10))) == CTH_TIMEDOUT);
    IN_CHILD(cth_chan_recv(tick, &value) == CTH_OK && value <= cth_now());
    IN_CHILD(cth_chan_after(&fresh, CTH_US(10)) == CTH_OK);
    IN_CHILD(cth_chan_recv(&fresh, &value) == CTH_OK && value <= cth_now());
    size_t index = 9;
    cth_case cases[] = {CTH_RECV(far, &value), CTH_RECV(tick, &value)};
    IN_CHILD(cth_select(cases, 2, &index) == CTH_OK && index == 1);
    IN_CHILD(cth_chan_close(far) == CTH_OK);
    IN_CHILD(cth_chan_recv(far, &value) == CTH_CLOSED);
    IN_CHILD(cth_chan_destroy(far) == CTH_OK); // nobody waits in this process
    IN_CHILD(cth_chan_destroy(tick) == CTH_OK);
    return 0;
}

static void a_child_can_use_them(void) {
    cth_chan far, tick;
    test_waiter w = {0};
    make_after(&far, CTH_S(3600));
    make_tick(&tick, CTH_US(100));
    test_waiter_start(&w, timed_recv, &far, CTH_FOREVER);
    test_waiter_asleep(&w);
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60);
        _exit(in_child(&far, &tick));
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    (void)take_by(PLAIN, &tick);
    close_it(&far);
    CHECK_STATUS(test_waiter_end(&w), CTH_CLOSED);
}

static const test_case tests[] = {
    TEST(its_value_is_its_due_time),
    TEST(many_waits_in_turn),
    TEST(empty_until_due),
    TEST(past_deadlines_take_it),
    TEST(waits_time_out),
    TEST(refuses_negative_deadlines),
    TEST(far_ones_are_never_due),
    TEST(multiples_of_the_period),
    TEST(a_slow_reader_gets_the_latest),
    TEST(each_tick_goes_to_one),
    TEST(one_of_several_gets_the_value),
    TEST(closed_before_it_is_due),
    TEST(closed_after_it_was_due),
    TEST(a_closed_tick_keeps_the_latest),
    TEST(close_frees_the_waiting),
    TEST(the_loop_ends_when_closed),
    TEST(cancelled_waits),
    TEST(under_a_cancelled_token),
    TEST(refuses_bad_spans),
    TEST(nothing_can_be_sent),
    TEST(receives_of_none),
    TEST(errno_is_preserved),
    TEST(made_and_dropped),
    TEST(made_again),
    TEST(freed_after_the_last_use),
    TEST(as_the_timeout_of_a_select),
    TEST(the_earlier_one_is_selected),
    TEST(ready_takes_nothing),
    TEST(twice_in_one_select),
    TEST(hundreds_of_times),
    TEST(hundreds_of_ticks),
    TEST(shared_by_selects),
    TEST(a_child_can_use_them),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
