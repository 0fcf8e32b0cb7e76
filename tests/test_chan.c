/* test_chan.c - channels: rendezvous, bounded, unbounded

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _DEFAULT_SOURCE // fork, alarm: headers of the system come before the kit
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *counted_malloc(size_t size);
static void counted_free(void *block);
#define CTH_MALLOC(size) counted_malloc(size)
#define CTH_FREE(block)  counted_free(block)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <time.h>

// Sanitizers make what counts rounds slower.
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

enum { THREADS = 5, BIGGEST = 1000, GUARD = 8, NOTHING = 0xEE };

/* Counts, and refuses what no machine has: an allocator may take it for a mistake. */
static atomic_int allocations, live_blocks;

static void *counted_malloc(size_t size) {
    if (size > (size_t)1 << 32) {
        return NULL;
    }
    void *block = malloc(size);
    if (block != NULL) {
        memset(block, 0xA5, size); // nobody may count on zeroes
        atomic_fetch_add(&allocations, 1);
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

static void counted_free(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
        free(block);
    }
}

static const size_t capacities[] = {0, 1, 2, 3, 5, 7, 100, CTH_UNBOUNDED};
static const size_t sizes[] = {0, 1, 3, 8, 24, BIGGEST};

/* Positions are counted in 29 bits, from here on. The tests run as if so many values had gone
   through before: none, nearly as many as make the highest bit change, or the count begin anew. */
static const uint32_t positions[] = {0, 0x80000000 - 8 * 4, 0u - 8 * 4, 0u - 8 * 700};
static uint32_t position;

static void at_each_position(void (*fn)(void)) {
    for (size_t i = 0; i < TEST_COUNT(positions); i++) {
        position = positions[i];
        fn();
    }
    position = 0;
}

static void chan_init_as(cth_chan *chan, size_t size, size_t capacity, bool single) {
    const cth_chan_desc desc = {.single = single};
    memset(chan, 0xAA, sizeof *chan); // init does not depend on what was there
    CHECK_STATUS(cth_chan_init(chan, size, capacity, single ? &desc : NULL), CTH_OK);
    if (capacity != 0) {
        cth__store(&chan->rear.at, position, relaxed);
        cth__store(&chan->rear.till, position + chan->rear.room, relaxed);
        cth__store(&chan->front.at, position, relaxed);
        cth__store(&chan->front.till, position, relaxed);
    }
}

/* A channel of ints. */
static void chan_init(cth_chan *chan, size_t capacity) {
    chan_init_as(chan, sizeof(int), capacity, false);
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

static void close_it(cth_chan *chan) {
    CHECK_STATUS(cth_chan_close(chan), CTH_OK);
}

/* -- every form of a call ------------------------------------------------------------------------
 */

enum { PLAIN, TRY, PAST, FAR, PLAIN_N, TRY_N, PAST_N, FAR_N, FORMS };

static bool form_waits(int form) {
    return form == PLAIN || form == FAR || form == PLAIN_N || form == FAR_N;
}

static cth_status send_by(int form, cth_chan *chan, const void *value) {
    size_t sent = 12345;
    cth_status status = CTH_BROKEN;
    switch (form) {
    case PLAIN: return cth_chan_send(chan, value);
    case TRY: return cth_chan_try_send(chan, value);
    case PAST: return cth_chan_send_until(chan, value, cth_now());
    case FAR: return cth_chan_send_until(chan, value, cth_after(CTH_S(3600)));
    case PLAIN_N: status = cth_chan_send_n(chan, value, 1, &sent); break;
    case TRY_N: status = cth_chan_try_send_n(chan, value, 1, &sent); break;
    case PAST_N: status = cth_chan_send_n_until(chan, value, 1, &sent, 0); break;
    default: status = cth_chan_send_n_until(chan, value, 1, &sent, CTH_FOREVER); break;
    }
    CHECK_EQ(sent, status == CTH_OK ? 1 : 0);
    return status;
}

static cth_status recv_by(int form, cth_chan *chan, void *value) {
    size_t received = 12345;
    cth_status status = CTH_BROKEN;
    switch (form) {
    case PLAIN: return cth_chan_recv(chan, value);
    case TRY: return cth_chan_try_recv(chan, value);
    case PAST: return cth_chan_recv_until(chan, value, cth_now());
    case FAR: return cth_chan_recv_until(chan, value, cth_after(CTH_S(3600)));
    case PLAIN_N: status = cth_chan_recv_n(chan, value, 1, &received); break;
    case TRY_N: status = cth_chan_try_recv_n(chan, value, 1, &received); break;
    case PAST_N: status = cth_chan_recv_n_until(chan, value, 1, &received, 0); break;
    default: status = cth_chan_recv_n_until(chan, value, 1, &received, CTH_FOREVER); break;
    }
    CHECK_EQ(received, status == CTH_OK ? 1 : 0);
    return status;
}

/* The n-th value of any size. */
static void make_value(unsigned char *value, size_t size, unsigned n) {
    for (size_t i = 0; i < size; i++) {
        value[i] = (unsigned char)(n * 7 + (n >> 8) + i * 13);
    }
}

static cth_status send_number(int form, cth_chan *chan, size_t size, unsigned n) {
    unsigned char value[BIGGEST + GUARD], before[BIGGEST + GUARD];
    memset(value, NOTHING, sizeof value);
    make_value(value, size, n);
    memcpy(before, value, sizeof value);
    const cth_status status = send_by(form, chan, value);
    CHECK(memcmp(value, before, sizeof value) == 0);
    return status;
}

/* Receive what must be the n-th value; nothing but that is written, and nothing without CTH_OK. */
static cth_status recv_number(int form, cth_chan *chan, size_t size, unsigned n) {
    unsigned char value[BIGGEST + GUARD], want[BIGGEST + GUARD];
    memset(value, NOTHING, sizeof value);
    memset(want, NOTHING, sizeof want);
    const cth_status status = recv_by(form, chan, value);
    if (status == CTH_OK) {
        make_value(want, size, n);
    }
    CHECK(memcmp(value, want, sizeof value) == 0);
    return status;
}

/* No form that does not wait gets a value in (or out). */
static void must_wait(cth_chan *chan, size_t size, bool sends) {
    const size_t len = cth_chan_len(chan);
    for (int form = 0; form < FORMS; form++) {
        if (!form_waits(form)) {
            const cth_status status =
                sends ? send_number(form, chan, size, 99) : recv_number(form, chan, size, 0);
            CHECK_STATUS(status, form == PAST || form == PAST_N ? CTH_TIMEDOUT
                                 : sends                        ? CTH_FULL
                                                                : CTH_EMPTY);
        }
    }
    CHECK_EQ(cth_chan_len(chan), len);
}

static void must_be_closed(cth_chan *chan, size_t size, bool sends) {
    for (int form = 0; form < FORMS; form++) {
        CHECK_STATUS(sends ? send_number(form, chan, size, 99) : recv_number(form, chan, size, 0),
                     CTH_CLOSED);
    }
}

/* -- init ----------------------------------------------------------------------------------------
 */

static cth_chan static_zero;

static void zeroed_is_a_rendezvous(void) {
    CHECK_EQ(cth_chan_cap(&static_zero), 0);
    CHECK_EQ(cth_chan_len(&static_zero), 0);
    CHECK(!cth_chan_is_closed(&static_zero));
    must_wait(&static_zero, 0, true);
    must_wait(&static_zero, 0, false);
    close_it(&static_zero);
    CHECK(cth_chan_is_closed(&static_zero));
    chan_end(&static_zero);
    CHECK(!cth_chan_is_closed(&static_zero));
}

static void init_all(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        for (size_t k = 0; k < TEST_COUNT(sizes); k++) {
            for (int single = 0; single < (capacities[i] != 0 ? 2 : 1); single++) {
                cth_chan chan;
                const int before = atomic_load(&live_blocks);
                chan_init_as(&chan, sizes[k], capacities[i], single != 0);
                CHECK_EQ(cth_chan_cap(&chan), capacities[i]);
                CHECK_EQ(cth_chan_len(&chan), 0);
                CHECK(!cth_chan_is_closed(&chan));
                CHECK_EQ(atomic_load(&live_blocks) - before, capacities[i] != 0);
                chan_end(&chan);
                CHECK_EQ(atomic_load(&live_blocks), before);
            }
        }
    }
}

static void init_refuses_what_is_too_large(void) {
    static const struct {
        size_t size, capacity;
        bool single;
        cth_status status;
    } bad[] = {
        {(size_t)INT32_MAX + 1, 0, false, CTH_INVALID},
        {(size_t)INT32_MAX + 1, 1, false, CTH_INVALID},
        {SIZE_MAX, 1, false, CTH_INVALID},
        {SIZE_MAX, CTH_UNBOUNDED, false, CTH_INVALID},
        {1, CTH_CHAN_MAX + 1, false, CTH_INVALID},
        {0, CTH_CHAN_MAX + 1, false, CTH_INVALID},
        {1, SIZE_MAX - 1, false, CTH_INVALID},
        {1, SIZE_MAX / 2, false, CTH_INVALID},
        {1, 0, true, CTH_INVALID},
        {0, 0, true, CTH_INVALID},
#if SIZE_MAX > UINT32_MAX
        {INT32_MAX, CTH_CHAN_MAX, false, CTH_NOMEM},
        {INT32_MAX, CTH_UNBOUNDED, false, CTH_NOMEM},
#else
        {INT32_MAX, CTH_CHAN_MAX, false, CTH_INVALID},
        {INT32_MAX, CTH_UNBOUNDED, false, CTH_INVALID},
        {16, CTH_CHAN_MAX, false, CTH_INVALID},
#endif
    };
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        cth_chan chan, before;
        const cth_chan_desc desc = {.single = bad[i].single};
        memset(&chan, 0xAA, sizeof chan);
        memset(&before, 0xAA, sizeof before);
        const int blocks = atomic_load(&live_blocks);
        CHECK_STATUS(cth_chan_init(&chan, bad[i].size, bad[i].capacity, &desc), bad[i].status);
        CHECK(memcmp(&chan, &before, sizeof chan) == 0); // nothing changed
        CHECK_EQ(atomic_load(&live_blocks), blocks);
    }
    CHECK_STATUS(cth_chan_init(NULL, 1, 1, NULL), CTH_INVALID);
    cth_chan chan;
    CHECK_STATUS(cth_chan_init(&chan, INT32_MAX, 0, NULL), CTH_OK); // needs no memory
    chan_end(&chan);
}

/* -- values in and out, one thread ---------------------------------------------------------------
 */

static void fill_and_drain(size_t size, size_t capacity, bool single) {
    cth_chan chan;
    unsigned put = 0, got = 0;
    const size_t block = CTH__BLOCK_LEN(size != 0 ? size : 1);
    const size_t most = capacity == CTH_UNBOUNDED ? 3 * block + 1 : capacity;
    chan_init_as(&chan, size, capacity, single);
    must_wait(&chan, size, false);
    const unsigned rounds = size * most > 10000 ? 2 : 6;
    for (unsigned round = 0; round < rounds; round++) {
        while (put - got < most) {
            CHECK_STATUS(send_number((int)(put % FORMS), &chan, size, put), CTH_OK);
            put++;
            CHECK_EQ(cth_chan_len(&chan), put - got);
        }
        if (capacity != CTH_UNBOUNDED) {
            must_wait(&chan, size, true);
        }
        const size_t left = round % 2 == 0 ? 0 : round % most; // so that it wraps at any place
        while (put - got > left) {
            CHECK_STATUS(recv_number((int)((got + round) % FORMS), &chan, size, got), CTH_OK);
            got++;
            CHECK_EQ(cth_chan_len(&chan), put - got);
        }
        if (left == 0) {
            must_wait(&chan, size, false);
        }
    }
    CHECK(!cth_chan_is_closed(&chan));
    chan_end(&chan);
}

static void fill_and_drain_all(void) {
    for (size_t i = 1; i < TEST_COUNT(capacities); i++) {
        for (size_t k = 0; k < (position == 0 ? TEST_COUNT(sizes) : 3); k++) {
            fill_and_drain(sizes[k], capacities[i], false);
            fill_and_drain(sizes[k], capacities[i], true);
        }
    }
}

static void fills_and_drains(void) {
    at_each_position(fill_and_drain_all);
}

/* Batches of all lengths, over the ends of the ring and of blocks. */
static void batches_of_all_lengths(size_t size, size_t capacity, bool single) {
    enum { MOST = 2100 };
    cth_chan chan;
    unsigned put = 0, got = 0;
    const size_t block = CTH__BLOCK_LEN(size != 0 ? size : 1);
    const bool bounded = capacity != CTH_UNBOUNDED;
    const size_t most = bounded ? capacity + 2 : 2 * block + 3;
    const size_t step = most > 40 ? most / 13 : 1;
    unsigned char *values = (unsigned char *)malloc(MOST * (size != 0 ? size : 1) + GUARD);
    unsigned char *want = (unsigned char *)malloc(size + 1);
    CHECK(values != NULL && want != NULL && most <= MOST);
    chan_init_as(&chan, size, capacity, single);
    for (size_t n = 0; n <= most; n += step) {
        size_t sent = 12345, received = 12345;
        for (size_t i = 0; i < n; i++) {
            make_value(values + i * size, size, put + (unsigned)i);
        }
        const size_t room = bounded ? capacity - (put - got) : n;
        const size_t goes = n < room ? n : room;
        if (goes == n && n % 3 != 0) {
            CHECK_STATUS(n % 3 == 1 ? cth_chan_send_n(&chan, values, n, &sent)
                                    : cth_chan_send_n_until(&chan, values, n, &sent, CTH_FOREVER),
                         CTH_OK);
        } else if (n % 2 == 0) {
            CHECK_STATUS(cth_chan_try_send_n(&chan, values, n, &sent),
                         goes == n ? CTH_OK : CTH_FULL);
        } else {
            CHECK_STATUS(cth_chan_send_n_until(&chan, values, n, &sent, cth_after(CTH_US(10))),
                         goes == n ? CTH_OK : CTH_TIMEDOUT);
        }
        CHECK_EQ(sent, goes);
        put += (unsigned)goes;
        CHECK_EQ(cth_chan_len(&chan), put - got);
        // One value stays from time to time.
        const size_t there = put - got;
        const size_t asked = n % 5 == 4 && there > 1 ? there - 1 : n % 5 == 3 ? there + 7 : there;
        if (there == 0) {
            continue;
        }
        const size_t comes = asked < there ? asked : there;
        memset(values, NOTHING, comes * size + GUARD);
        CHECK_STATUS(n % 3 == 0   ? cth_chan_recv_n(&chan, values, asked, &received)
                     : n % 3 == 1 ? cth_chan_try_recv_n(&chan, values, asked, &received)
                                  : cth_chan_recv_n_until(&chan, values, asked, &received, 0),
                     CTH_OK);
        CHECK_EQ(received, comes);
        for (size_t i = 0; i < comes; i++) {
            make_value(want, size, got + (unsigned)i);
            CHECK(memcmp(values + i * size, want, size) == 0);
        }
        for (size_t i = 0; i < GUARD; i++) {
            CHECK_EQ(values[comes * size + i], NOTHING);
        }
        got += (unsigned)comes;
        CHECK_EQ(cth_chan_len(&chan), put - got);
    }
    free(values);
    free(want);
    chan_end(&chan);
}

static void batches_all(void) {
    for (size_t i = 1; i < TEST_COUNT(capacities); i++) {
        for (size_t k = 0; k < (position == 0 ? TEST_COUNT(sizes) : 3); k++) {
            batches_of_all_lengths(sizes[k], capacities[i], false);
            batches_of_all_lengths(sizes[k], capacities[i], true);
        }
    }
}

static void batches_over_the_ends(void) {
    at_each_position(batches_all);
}

static void batches_of_none(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        chan_init(&chan, capacities[i]);
        for (int closed = 0; closed < 2; closed++) {
            size_t n = 12345;
            CHECK_STATUS(cth_chan_recv_n(&chan, NULL, 0, &n), CTH_OK); // at once
            CHECK_EQ(n, 0);
            CHECK_STATUS(cth_chan_try_recv_n(&chan, NULL, 0, NULL), CTH_OK);
            CHECK_STATUS(cth_chan_recv_n_until(&chan, NULL, 0, NULL, CTH_FOREVER), CTH_OK);
            n = 12345;
            CHECK_STATUS(cth_chan_send_n(&chan, NULL, 0, &n), CTH_OK);
            CHECK_EQ(n, 0);
            CHECK_STATUS(cth_chan_try_send_n(&chan, NULL, 0, NULL), CTH_OK);
            CHECK_STATUS(cth_chan_send_n_until(&chan, NULL, 0, NULL, CTH_FOREVER), CTH_OK);
            CHECK_STATUS(cth_chan_close(&chan), closed == 0 ? CTH_OK : CTH_CLOSED);
        }
        chan_end(&chan);
    }
}

/* -- deadlines -----------------------------------------------------------------------------------
 */

enum { FIVE = 5 };

static cth_status send_waits(void *object, cth_time deadline) {
    const int value = FIVE;
    cth_chan *chan = (cth_chan *)object;
    return deadline == CTH_FOREVER ? cth_chan_send(chan, &value)
                                   : cth_chan_send_until(chan, &value, deadline);
}

static cth_status recv_waits(void *object, cth_time deadline) {
    int value = -1;
    cth_chan *chan = (cth_chan *)object;
    const cth_status status = deadline == CTH_FOREVER ? cth_chan_recv(chan, &value)
                                                      : cth_chan_recv_until(chan, &value, deadline);
    CHECK_EQ(value, status == CTH_OK ? FIVE : -1);
    return status;
}

static cth_status send_two_wait(void *object, cth_time deadline) {
    const int values[] = {FIVE, FIVE};
    size_t sent = 12345;
    cth_chan *chan = (cth_chan *)object;
    const cth_status status = deadline == CTH_FOREVER
                                  ? cth_chan_send_n(chan, values, 2, &sent)
                                  : cth_chan_send_n_until(chan, values, 2, &sent, deadline);
    CHECK_EQ(sent, status == CTH_OK ? 2 : 0);
    return status;
}

static cth_status recv_two_wait(void *object, cth_time deadline) {
    int values[] = {-1, -1};
    size_t received = 12345;
    cth_chan *chan = (cth_chan *)object;
    const cth_status status = deadline == CTH_FOREVER
                                  ? cth_chan_recv_n(chan, values, 2, &received)
                                  : cth_chan_recv_n_until(chan, values, 2, &received, deadline);
    CHECK(status == CTH_OK ? received == 1 || received == 2 : received == 0);
    CHECK_EQ(values[0], received > 0 ? FIVE : -1);
    CHECK_EQ(values[1], received > 1 ? FIVE : -1);
    return status;
}

static const test_wait_fn waits[] = {send_waits, send_two_wait, recv_waits, recv_two_wait};

static void fill(void *object) {
    while (cth_chan_try_send((cth_chan *)object, &(int){FIVE}) == CTH_OK) {
    }
}

static void drain(void *object) {
    while (cth_chan_try_recv((cth_chan *)object, &(int){0}) == CTH_OK) {
    }
}

static void put_one(void *object) {
    give((cth_chan *)object, FIVE);
}

static void take_two(void *object) {
    CHECK_EQ(take((cth_chan *)object), FIVE);
    CHECK_EQ(take((cth_chan *)object), FIVE);
}

static void take_one(void *object) {
    CHECK_EQ(take((cth_chan *)object), FIVE);
}

static void refuses_negative_deadlines(void) {
    static const size_t some[] = {0, 2, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(some); i++) {
        cth_chan chan;
        chan_init(&chan, some[i]);
        for (int state = 0; state < 4; state++) { // empty, with a value, full, closed
            if (state == 3) {
                close_it(&chan);
            } else if (state > 0 && some[i] != 0) {
                give(&chan, FIVE);
            }
            const size_t len = cth_chan_len(&chan);
            for (size_t k = 0; k < TEST_COUNT(waits); k++) {
                test_refuses_negative(waits[k], &chan);
            }
            CHECK_EQ(cth_chan_len(&chan), len);
        }
        chan_end(&chan);
    }
}

typedef struct sleeper {
    test_wait_fn wait;
    size_t capacity;
    cth_chan chan;
} sleeper;

static cth_status times_out(void *arg) {
    sleeper *p = (sleeper *)arg;
    chan_init(&p->chan, p->capacity);
    if (p->wait == send_waits || p->wait == send_two_wait) {
        fill(&p->chan);
    }
    const size_t len = cth_chan_len(&p->chan);
    test_times_out(p->wait, &p->chan);
    CHECK_EQ(cth_chan_len(&p->chan), len);
    chan_end(&p->chan);
    return CTH_OK;
}

static void waits_time_out(void) {
    static sleeper all[] = {
        {.wait = send_waits, .capacity = 0},    {.wait = recv_waits, .capacity = 0},
        {.wait = send_two_wait, .capacity = 0}, {.wait = recv_two_wait, .capacity = 0},
        {.wait = send_waits, .capacity = 3},    {.wait = recv_waits, .capacity = 3},
        {.wait = send_two_wait, .capacity = 3}, {.wait = recv_waits, .capacity = CTH_UNBOUNDED},
    };
    cth_thread *threads[TEST_COUNT(all)]; // side by side, since each takes a second
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        threads[i] = test_spawn(times_out, &all[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
}

static void waits_succeed_at_once(void) {
    static const size_t some[] = {2, 100, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(some); i++) {
        cth_chan chan;
        chan_init(&chan, some[i]);
        test_succeeds(send_waits, &chan, drain);
        test_succeeds(send_two_wait, &chan, drain);
        drain(&chan);
        test_succeeds(recv_waits, &chan, put_one);
        CHECK_EQ(cth_chan_len(&chan), 0);
        test_succeeds(recv_two_wait, &chan, put_one);
        CHECK_EQ(cth_chan_len(&chan), 0);
        chan_end(&chan);
    }
}

static void waits_last_long(void) {
    static const size_t some[] = {0, 2, CTH_UNBOUNDED};
    for (size_t i = 0; i < TEST_COUNT(some); i++) {
        cth_chan chan;
        chan_init(&chan, some[i]);
        test_waits_long(recv_waits, &chan, test_nothing, put_one);
        test_waits_long(recv_two_wait, &chan, test_nothing, put_one);
        if (some[i] != CTH_UNBOUNDED) {
            fill(&chan);
            test_waits_long(send_waits, &chan, test_nothing, take_one);
            test_waits_long(send_two_wait, &chan, test_nothing, take_two);
        }
        chan_end(&chan);
    }
}

static void a_sleeper_uses_no_cpu(void) {
    cth_chan meeting, other, empty, full, endless, single, full_single;
    chan_init(&meeting, 0);
    chan_init(&other, 0);
    chan_init(&empty, 1);
    chan_init(&full, 1);
    chan_init(&endless, CTH_UNBOUNDED);
    chan_init_as(&single, sizeof(int), 1, true);
    chan_init_as(&full_single, sizeof(int), 1, true);
    give(&full, 0);
    give(&full_single, 0);
    struct {
        test_wait_fn wait;
        cth_chan *chan;
    } const calls[] = {{send_waits, &meeting}, {recv_waits, &other},    {recv_waits, &empty},
                       {send_waits, &full},    {recv_two_wait, &empty}, {send_two_wait, &full},
                       {recv_waits, &endless}, {recv_waits, &single},   {send_waits, &full_single}};
    test_waiter w[TEST_COUNT(calls)];
    memset(w, 0, sizeof w);
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        test_waiter_start(&w[i], calls[i].wait, calls[i].chan,
                          i % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
    }
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    const clock_t before = clock();
    CHECK_STATUS(cth_sleep(CTH_MS(700)), CTH_OK);
    CHECK(clock() - before < CLOCKS_PER_SEC * 35 / 100);
    cth_chan *all[] = {&meeting, &other, &empty, &full, &endless, &single, &full_single};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        close_it(all[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_CLOSED);
    }
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        chan_end(all[i]);
    }
}

/* -- waiters and wakes ---------------------------------------------------------------------------
 */

/* A thread that sends or receives up to `n` values in one call. */
typedef struct party {
    cth_chan *chan;
    bool sends;
    size_t n; // 1: not as a batch
    int values[16];
    size_t moved; // what the call said
    test_waiter w;
} party;

static cth_status party_call(void *object, cth_time deadline) {
    party *p = (party *)object;
    const bool forever = deadline == CTH_FOREVER;
    cth_status status;
    p->moved = 12345;
    if (p->n == 1) {
        status = p->sends ? send_by(forever ? PLAIN : FAR_N, p->chan, p->values)
                          : recv_by(forever ? PLAIN : FAR_N, p->chan, p->values);
        p->moved = status == CTH_OK;
    } else if (p->sends) {
        status = forever ? cth_chan_send_n(p->chan, p->values, p->n, &p->moved)
                         : cth_chan_send_n_until(p->chan, p->values, p->n, &p->moved, deadline);
    } else {
        status = forever ? cth_chan_recv_n(p->chan, p->values, p->n, &p->moved)
                         : cth_chan_recv_n_until(p->chan, p->values, p->n, &p->moved, deadline);
    }
    return status;
}

/* Start one that sends `first` and the numbers after it, or receives. */
static void party_start(party *p, cth_chan *chan, bool sends, size_t n, int first, cth_time until) {
    memset(p, 0, sizeof *p);
    p->chan = chan;
    p->sends = sends;
    p->n = n;
    for (size_t i = 0; i < TEST_COUNT(p->values); i++) {
        p->values[i] = sends ? first + (int)i : -1;
    }
    test_waiter_start(&p->w, party_call, p, until);
}

static void party_under(party *p, cth_chan *chan, bool sends, size_t n, int first, cth_cancel *t) {
    memset(p, 0, sizeof *p);
    p->w.token = t;
    p->chan = chan;
    p->sends = sends;
    p->n = n;
    for (size_t i = 0; i < TEST_COUNT(p->values); i++) {
        p->values[i] = sends ? first + (int)i : -1;
    }
    test_waiter_start(&p->w, party_call, p, CTH_FOREVER);
}

static void party_asleep(party *p) {
    test_waiter_asleep(&p->w);
    CHECK_EQ(atomic_load(&p->w.done), 0);
}

/* The call has returned `status` and moved so many values. */
static void party_end(party *p, cth_status status, size_t moved) {
    CHECK_STATUS(test_waiter_end(&p->w), status);
    CHECK_EQ(p->moved, moved);
    for (size_t i = p->sends ? TEST_COUNT(p->values) : moved; i < TEST_COUNT(p->values); i++) {
        CHECK_EQ(p->values[i], -1);
    }
}

static int parties_done(party *p, int n) {
    int done = 0;
    for (int i = 0; i < n; i++) {
        done += atomic_load(&p[i].w.done);
    }
    return done;
}

/* So many have come back, and the others sleep on. */
static void parties_reach(party *p, int n, int done) {
    while (parties_done(p, n) < done) {
        cth_yield();
    }
    for (int i = 0; i < n; i++) {
        if (atomic_load(&p[i].w.done) == 0) {
            test_waiter_asleep(&p[i].w);
        }
    }
    CHECK_EQ(parties_done(p, n), done);
}

static void five_asleep(party *p, cth_chan *chan, bool sends) {
    for (int i = 0; i < THREADS; i++) {
        party_start(&p[i], chan, sends, 1, 100 + i,
                    i % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
        party_asleep(&p[i]); // one after the other, so that they queue in this order
    }
}

static void each_send_frees_one(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        party p[THREADS];
        int seen = 0;
        chan_init(&chan, capacities[i]);
        five_asleep(p, &chan, false);
        for (int k = 0; k < THREADS; k++) {
            CHECK_STATUS(send_by(k % FORMS, &chan, &(int){k}), CTH_OK);
            parties_reach(p, THREADS, k + 1);
            CHECK_EQ(cth_chan_len(&chan), 0);
        }
        for (int k = 0; k < THREADS; k++) {
            party_end(&p[k], CTH_OK, 1);
            seen |= 1 << p[k].values[0];
        }
        CHECK_EQ(seen, (1 << THREADS) - 1);
        must_wait(&chan, sizeof(int), false);
        chan_end(&chan);
    }
}

static void each_recv_frees_one(void) {
    for (size_t i = 0; i + 2 < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        party p[THREADS];
        const int capacity = (int)capacities[i];
        int seen = 0, value = -1;
        chan_init(&chan, capacities[i]);
        for (int k = 0; k < capacity; k++) {
            give(&chan, k);
        }
        five_asleep(p, &chan, true);
        for (int k = 0; k < capacity + THREADS; k++) {
            CHECK_STATUS(recv_by(k % FORMS, &chan, &value), CTH_OK);
            if (k < capacity) {
                CHECK_EQ(value, k);
            } else {
                CHECK(value >= 100 && value < 100 + THREADS);
                seen |= 1 << (value - 100);
            }
            parties_reach(p, THREADS, k < THREADS ? k + 1 : THREADS);
            CHECK_EQ(cth_chan_len(&chan), k < THREADS ? capacity : capacity + THREADS - 1 - k);
        }
        for (int k = 0; k < THREADS; k++) {
            party_end(&p[k], CTH_OK, 1);
        }
        CHECK_EQ(seen, (1 << THREADS) - 1);
        chan_end(&chan);
    }
}

static void a_batch_frees_as_many(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        party p[THREADS];
        const int values[] = {0, 1, 2};
        size_t n = 0;
        int got[3] = {-1, -1, -1};
        chan_init(&chan, capacities[i]);
        five_asleep(p, &chan, false);
        CHECK_STATUS(cth_chan_send_n(&chan, values, 3, &n), CTH_OK);
        CHECK_EQ(n, 3);
        parties_reach(p, THREADS, 3);
        give(&chan, 3);
        give(&chan, 4);
        for (int k = 0; k < THREADS; k++) {
            party_end(&p[k], CTH_OK, 1);
        }
        if (capacities[i] >= 3 && capacities[i] < 100) {
            fill(&chan);
            five_asleep(p, &chan, true);
            CHECK_STATUS(cth_chan_recv_n(&chan, got, 3, &n), CTH_OK);
            CHECK_EQ(n, 3);
            parties_reach(p, THREADS, 3);
            CHECK_EQ(cth_chan_len(&chan), capacities[i]);
            (void)take(&chan);
            (void)take(&chan);
            for (int k = 0; k < THREADS; k++) {
                party_end(&p[k], CTH_OK, 1);
            }
        }
        chan_end(&chan);
    }
}

static void a_timeout_leaves_the_others(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        for (int sends = 0; sends < (capacities[i] < 100 ? 2 : 1); sends++) {
            cth_chan chan;
            party patient[2], hasty[2];
            chan_init(&chan, capacities[i]);
            if (sends != 0) {
                fill(&chan);
            }
            const size_t len = cth_chan_len(&chan);
            for (int k = 0; k < 2; k++) {
                party_start(&hasty[k], &chan, sends != 0, 2, 0, cth_after(CTH_MS(3)));
                party_start(&patient[k], &chan, sends != 0, 1, FIVE, CTH_FOREVER);
            }
            for (int k = 0; k < 2; k++) {
                party_end(&hasty[k], CTH_TIMEDOUT, 0);
            }
            parties_reach(patient, 2, 0);
            CHECK_EQ(cth_chan_len(&chan), len);
            for (int k = 0; k < 2; k++) {
                if (sends != 0) {
                    CHECK_EQ(take(&chan), FIVE);
                } else {
                    give(&chan, FIVE);
                }
                parties_reach(patient, 2, k + 1);
            }
            for (int k = 0; k < 2; k++) {
                party_end(&patient[k], CTH_OK, 1);
            }
            CHECK_EQ(cth_chan_len(&chan), len);
            chan_end(&chan);
        }
    }
}

/* A send that times out is not there for the receiver that comes next, and the other way round. */
static void state_after_a_timeout(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        chan_init(&chan, capacities[i]);
        for (int k = 0; k < 10; k++) {
            CHECK_STATUS(recv_waits(&chan, cth_after(CTH_US(50))), CTH_TIMEDOUT);
            must_wait(&chan, sizeof(int), false);
            if (capacities[i] == 0) {
                must_wait(&chan, sizeof(int), true);
                CHECK_STATUS(send_waits(&chan, cth_after(CTH_US(50))), CTH_TIMEDOUT);
                must_wait(&chan, sizeof(int), false);
                must_wait(&chan, sizeof(int), true);
                continue;
            }
            give(&chan, FIVE);
            CHECK_EQ(take(&chan), FIVE);
            if (capacities[i] < 100) {
                fill(&chan);
                CHECK_STATUS(send_waits(&chan, cth_after(CTH_US(50))), CTH_TIMEDOUT);
                must_wait(&chan, sizeof(int), true);
                for (size_t n = capacities[i]; n > 0; n--) {
                    CHECK_EQ(take(&chan), FIVE);
                }
                must_wait(&chan, sizeof(int), false);
            }
        }
        chan_end(&chan);
    }
}

static void sleepers_by_turns(void) {
    // One thread at a time waits, now to send, now to receive, on the same channel.
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        chan_init(&chan, capacities[i]);
        for (int k = 0; k < 6; k++) {
            party p;
            party_start(&p, &chan, false, 1 + (size_t)k % 2, 0, CTH_FOREVER);
            party_asleep(&p);
            give(&chan, k);
            party_end(&p, CTH_OK, 1);
            CHECK_EQ(p.values[0], k);
            if (capacities[i] < 100) {
                fill(&chan);
                party_start(&p, &chan, true, 1, k, CTH_FOREVER);
                party_asleep(&p);
                for (size_t n = capacities[i]; n > 0; n--) {
                    CHECK_EQ(take(&chan), FIVE);
                }
                CHECK_EQ(take(&chan), k);
                party_end(&p, CTH_OK, 1);
            }
        }
        chan_end(&chan);
    }
}

/* -- batches that wait ---------------------------------------------------------------------------
 */

static void a_long_batch_goes_through(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        party p;
        chan_init(&chan, capacities[i]);
        party_start(&p, &chan, true, 16, 0, i % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
        for (int k = 0; k < 16;) {
            int got[5];
            size_t n = 12345;
            CHECK_STATUS(cth_chan_recv_n(&chan, got, 1 + (size_t)k % 5, &n), CTH_OK);
            CHECK(n >= 1 && n <= 1 + (size_t)k % 5 && n <= (capacities[i] != 0 ? 5 : 1));
            for (size_t m = 0; m < n; m++) {
                CHECK_EQ(got[m], k + (int)m);
            }
            k += (int)n;
        }
        party_end(&p, CTH_OK, 16);
        chan_end(&chan);
    }
}

enum { BY_TIME, BY_CLOSE, BY_CANCEL };

/* A batch of 16 that is ended when `gone` of its values have been received: it says how many went,
   and it is these that are received. */
static void end_a_batch(size_t capacity, size_t gone, int how) {
    cth_chan chan;
    cth_cancel token;
    party p;
    size_t got = 0;
    const size_t went = gone + capacity;
    chan_init(&chan, capacity);
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    if (how == BY_CANCEL) {
        party_under(&p, &chan, true, 16, 0, &token);
    } else {
        party_start(&p, &chan, true, 16, 0,
                    how == BY_TIME ? cth_after(CTH_MS(30)) : cth_after(CTH_S(3600)));
    }
    while (got < gone) {
        int value = -1;
        const cth_status status = cth_chan_recv_until(&chan, &value, cth_after(CTH_MS(200)));
        if (how == BY_TIME && status == CTH_TIMEDOUT) {
            break; // it was slow to come here
        }
        CHECK_STATUS(status, CTH_OK);
        CHECK_EQ(value, (int)got);
        got++;
    }
    if (how != BY_TIME) {
        while (cth_chan_len(&chan) < capacity) {
            cth_yield(); // it has yet to use the last place
        }
        party_asleep(&p);
        if (how == BY_CLOSE) {
            close_it(&chan);
        } else {
            CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
        }
        party_end(&p, how == BY_CLOSE ? CTH_CLOSED : CTH_CANCELLED, went);
    } else {
        CHECK_STATUS(test_waiter_end(&p.w), CTH_TIMEDOUT);
        CHECK(p.w.ended >= p.w.deadline);
        CHECK(p.moved <= went && p.moved >= got);
    }
    CHECK_EQ(cth_chan_len(&chan), p.moved - got);
    while (got < p.moved) {
        CHECK_EQ(take(&chan), (int)got);
        got++;
    }
    if (how == BY_CLOSE) {
        must_be_closed(&chan, sizeof(int), false);
    } else {
        must_wait(&chan, sizeof(int), false);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    chan_end(&chan);
}

static void a_batch_says_how_many_went(void) {
    static const size_t some[] = {0, 1, 3, 7};
    for (size_t i = 0; i < TEST_COUNT(some); i++) {
        for (size_t gone = 0; gone < 3; gone++) {
            end_a_batch(some[i], gone, BY_CLOSE);
            end_a_batch(some[i], gone, BY_CANCEL);
        }
        end_a_batch(some[i], 1, BY_TIME);
    }
}

static void a_batch_of_receives_ends(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        cth_cancel token;
        party p;
        chan_init(&chan, capacities[i]);
        CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
        party_start(&p, &chan, false, 4, 0, cth_after(CTH_MS(2)));
        party_end(&p, CTH_TIMEDOUT, 0);
        CHECK(p.w.ended >= p.w.deadline);
        party_under(&p, &chan, false, 4, 0, &token);
        party_asleep(&p);
        CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
        party_end(&p, CTH_CANCELLED, 0);
        party_start(&p, &chan, false, 4, 0, CTH_FOREVER);
        party_asleep(&p);
        close_it(&chan);
        party_end(&p, CTH_CLOSED, 0);
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
        chan_end(&chan);
    }
}

/* -- close ---------------------------------------------------------------------------------------
 */

static void close_leaves_what_is_there(size_t capacity, bool single) {
    cth_chan chan;
    chan_init_as(&chan, sizeof(int), capacity, single);
    const unsigned n = (unsigned)(capacity < 100 ? capacity : 150 % capacity);
    for (unsigned k = 0; k < n; k++) {
        CHECK_STATUS(send_number(TRY, &chan, sizeof(int), k), CTH_OK);
    }
    close_it(&chan);
    CHECK(cth_chan_is_closed(&chan));
    CHECK_EQ(cth_chan_len(&chan), n);
    CHECK_EQ(cth_chan_cap(&chan), capacity);
    must_be_closed(&chan, sizeof(int), true);
    CHECK_STATUS(cth_chan_close(&chan), CTH_CLOSED);
    for (unsigned k = 0; k < n; k++) {
        CHECK_STATUS(recv_number((int)(k % FORMS), &chan, sizeof(int), k), CTH_OK);
        CHECK_EQ(cth_chan_len(&chan), n - k - 1);
        CHECK(cth_chan_is_closed(&chan));
    }
    must_be_closed(&chan, sizeof(int), false);
    must_be_closed(&chan, sizeof(int), true);
    CHECK_STATUS(cth_chan_close(&chan), CTH_CLOSED);
    chan_end(&chan);

    // A batch takes the rest.
    if (n > 1) {
        int got[200];
        size_t received = 12345;
        chan_init_as(&chan, sizeof(int), capacity, single);
        for (unsigned k = 0; k < n; k++) {
            give(&chan, (int)k);
        }
        close_it(&chan);
        CHECK_EQ(take(&chan), 0);
        CHECK_STATUS(cth_chan_recv_n(&chan, got, 200, &received), CTH_OK);
        CHECK_EQ(received, n - 1);
        for (size_t k = 0; k < received; k++) {
            CHECK_EQ(got[k], k + 1);
        }
        CHECK_STATUS(cth_chan_recv_n(&chan, got, 200, &received), CTH_CLOSED);
        CHECK_EQ(received, 0);
        chan_end(&chan);
    }
}

static void close_all(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        close_leaves_what_is_there(capacities[i], false);
        if (capacities[i] != 0) {
            close_leaves_what_is_there(capacities[i], true);
        }
    }
}

static void closed_channels(void) {
    at_each_position(close_all);
}

static cth_status closes(void *arg) {
    close_it((cth_chan *)arg);
    return CTH_OK;
}

static void close_frees_the_waiting(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        for (int sends = 0; sends < (capacities[i] < 100 ? 2 : 1); sends++) {
            cth_chan chan;
            party p[THREADS];
            chan_init(&chan, capacities[i]);
            if (sends != 0) {
                fill(&chan);
            }
            const size_t len = cth_chan_len(&chan);
            five_asleep(p, &chan, sends != 0);
            if (i % 2 == 0) {
                close_it(&chan);
            } else {
                CHECK_STATUS(test_join(test_spawn(closes, &chan)), CTH_OK);
            }
            for (int k = 0; k < THREADS; k++) {
                party_end(&p[k], CTH_CLOSED, 0);
            }
            CHECK_EQ(cth_chan_len(&chan), len);
            for (size_t n = 0; n < len; n++) {
                CHECK_EQ(take(&chan), FIVE); // nothing of those that waited
            }
            must_be_closed(&chan, sizeof(int), false);
            CHECK_STATUS(cth_chan_close(&chan), CTH_CLOSED);
            chan_end(&chan);
        }
    }
}

static void single_waiters(void) {
    // The waits of the side without a lock: value, close, timeout, cancel.
    cth_chan chan;
    cth_cancel token;
    party p;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    chan_init_as(&chan, sizeof(int), 2, true);
    for (int k = 0; k < 10; k++) {
        party_start(&p, &chan, false, 1, 0, CTH_FOREVER);
        party_asleep(&p);
        give(&chan, k);
        party_end(&p, CTH_OK, 1);
        CHECK_EQ(p.values[0], k);
        fill(&chan);
        party_start(&p, &chan, true, 2, 50, CTH_FOREVER);
        party_asleep(&p);
        take_two(&chan);
        party_end(&p, CTH_OK, 2);
        CHECK_EQ(take(&chan), 50);
        CHECK_EQ(take(&chan), 51);
        party_start(&p, &chan, false, 2, 0, cth_after(CTH_US(100)));
        party_end(&p, CTH_TIMEDOUT, 0);
    }
    party_under(&p, &chan, false, 1, 0, &token);
    party_asleep(&p);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    party_end(&p, CTH_CANCELLED, 0);
    party_start(&p, &chan, false, 1, 0, CTH_FOREVER);
    party_asleep(&p);
    close_it(&chan);
    party_end(&p, CTH_CLOSED, 0);
    chan_end(&chan);
    chan_init_as(&chan, sizeof(int), 2, true);
    fill(&chan);
    party_start(&p, &chan, true, 4, 50, CTH_FOREVER);
    party_asleep(&p);
    close_it(&chan);
    party_end(&p, CTH_CLOSED, 0);
    CHECK_EQ(cth_chan_len(&chan), 2);
    chan_end(&chan);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* -- cancelled waits -----------------------------------------------------------------------------
 */

static void cancelled_waits(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        for (int sends = 0; sends < (capacities[i] < 100 ? 2 : 1); sends++) {
            cth_chan chan;
            cth_cancel token;
            party under[2], free_one;
            chan_init(&chan, capacities[i]);
            CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
            if (sends != 0) {
                fill(&chan);
            }
            const size_t len = cth_chan_len(&chan);
            party_under(&under[0], &chan, sends != 0, 1, 100, &token);
            party_under(&under[1], &chan, sends != 0, 3, 100, &token);
            party_start(&free_one, &chan, sends != 0, 1, FIVE, CTH_FOREVER);
            party_asleep(&under[0]);
            party_asleep(&under[1]);
            party_asleep(&free_one);
            CHECK_STATUS(cth_cancel_request(&token, "enough"), CTH_OK);
            party_end(&under[0], CTH_CANCELLED, 0);
            party_end(&under[1], CTH_CANCELLED, 0);
            parties_reach(&free_one, 1, 0);
            CHECK_EQ(cth_chan_len(&chan), len);
            if (sends != 0) {
                CHECK_EQ(take(&chan), FIVE);
            } else {
                give(&chan, FIVE);
            }
            party_end(&free_one, CTH_OK, 1);
            CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
            chan_end(&chan);
        }
    }
}

static void under_a_cancelled_token(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        cth_cancel token;
        chan_init(&chan, capacities[i]);
        CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
        CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
        CTH_UNDER(&token) {
            for (int form = 0; form < FORMS; form++) {
                if (form_waits(form)) {
                    CHECK_STATUS(recv_number(form, &chan, sizeof(int), 0), CTH_CANCELLED);
                }
            }
            must_wait(&chan, sizeof(int), false);
            for (int form = 0; capacities[i] != 0 && form < FORMS; form++) {
                // What need not wait succeeds all the same.
                CHECK_STATUS(send_number(form, &chan, sizeof(int), 7), CTH_OK);
                CHECK_STATUS(recv_number(form, &chan, sizeof(int), 7), CTH_OK);
            }
            if (capacities[i] < 100) {
                fill(&chan);
                for (int form = 0; form < FORMS; form++) {
                    if (form_waits(form)) {
                        CHECK_STATUS(send_number(form, &chan, sizeof(int), 0), CTH_CANCELLED);
                    }
                }
                must_wait(&chan, sizeof(int), true);
            }
            close_it(&chan);
            drain(&chan);
            must_be_closed(&chan, sizeof(int), true);
            must_be_closed(&chan, sizeof(int), false);
        }
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
        chan_end(&chan);
    }
}

static void a_token_with_a_deadline(void) {
    cth_chan chan;
    cth_cancel token;
    chan_init(&chan, 1);
    const cth_time soon = cth_after(CTH_MS(2));
    CHECK_STATUS(cth_cancel_init(&token, NULL, soon), CTH_OK);
    CTH_UNDER(&token) {
        int value = -1;
        CHECK_STATUS(cth_chan_recv(&chan, &value), CTH_CANCELLED);
        CHECK(cth_now() >= soon);
        CHECK_EQ(value, -1);
        give(&chan, 3);
        CHECK_STATUS(cth_chan_send_until(&chan, &value, cth_after(CTH_S(3600))), CTH_CANCELLED);
        CHECK_EQ(take(&chan), 3);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    chan_end(&chan);
}

/* -- the typed layer, and the loop ---------------------------------------------------------------
 */

typedef struct point {
    double x, y;
    short tag;
} point;

CTH_CHAN_OF(int, int_chan);
CTH_CHAN_OF(point, point_chan);
CTH_CHAN_OF(const char *, text_chan);

static void typed_in_one_thread(void) {
    for (size_t i = 1; i < TEST_COUNT(capacities); i++) {
        for (int single = 0; single < 2; single++) {
            int_chan ints;
            const cth_chan_desc desc = {.single = single != 0};
            CHECK_STATUS(int_chan_init(&ints, capacities[i], &desc), CTH_OK);
            CHECK_EQ(cth_chan_cap(&ints.chan), capacities[i]);
            const int n = capacities[i] < 100 ? (int)capacities[i] : 100;
            int value = -1;
            for (int round = 0; round < 25; round++) {
                for (int k = 0; k < n; k++) {
                    CHECK_STATUS(k % 3 == 0   ? int_chan_send(&ints, k)
                                 : k % 3 == 1 ? int_chan_try_send(&ints, k)
                                              : int_chan_send_until(&ints, k, 0),
                                 CTH_OK);
                }
                if (capacities[i] != CTH_UNBOUNDED) {
                    CHECK_STATUS(int_chan_try_send(&ints, 9), CTH_FULL);
                    CHECK_STATUS(int_chan_send_until(&ints, 9, 1), CTH_TIMEDOUT);
                }
                for (int k = 0; k < n; k++) {
                    CHECK_STATUS(k % 3 == 0   ? int_chan_recv(&ints, &value)
                                 : k % 3 == 1 ? int_chan_try_recv(&ints, &value)
                                              : int_chan_recv_until(&ints, &value, 0),
                                 CTH_OK);
                    CHECK_EQ(value, k);
                }
                value = -1;
                CHECK_STATUS(int_chan_try_recv(&ints, &value), CTH_EMPTY);
                CHECK_STATUS(int_chan_recv_until(&ints, &value, 1), CTH_TIMEDOUT);
                CHECK_STATUS(int_chan_recv_until(&ints, &value, -1), CTH_INVALID);
                CHECK_STATUS(int_chan_send_until(&ints, 9, -1), CTH_INVALID);
                CHECK_EQ(value, -1);
            }
            CHECK_STATUS(int_chan_close(&ints), CTH_OK);
            CHECK_STATUS(int_chan_close(&ints), CTH_CLOSED);
            CHECK_STATUS(int_chan_send(&ints, 1), CTH_CLOSED);
            CHECK_STATUS(int_chan_recv(&ints, &value), CTH_CLOSED);
            CHECK_EQ(value, -1);
            chan_end(&ints.chan);
        }
    }
}

static void typed_beside_the_general_form(void) {
    // The functions of the general form see the same channel.
    text_chan texts;
    const char *text = NULL;
    CHECK_STATUS(text_chan_init(&texts, 2, NULL), CTH_OK);
    CHECK_STATUS(text_chan_send(&texts, "one"), CTH_OK);
    CHECK_STATUS(cth_chan_send(&texts.chan, &(const char *){"two"}), CTH_OK);
    CHECK_STATUS(cth_chan_recv(&texts.chan, &text), CTH_OK);
    CHECK_STR(text, "one");
    CHECK_STATUS(text_chan_recv(&texts, &text), CTH_OK);
    CHECK_STR(text, "two");
    chan_end(&texts.chan);
}

static cth_status sends_points(void *arg) {
    for (int i = 0; i < 500; i++) {
        const point p = {i, -i, (short)(i % 7)};
        CHECK_STATUS(point_chan_send((point_chan *)arg, p), CTH_OK);
    }
    CHECK_STATUS(point_chan_close((point_chan *)arg), CTH_OK);
    return CTH_OK;
}

static void typed_between_threads(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        point_chan points;
        point p;
        int n = 0;
        CHECK_STATUS(point_chan_init(&points, capacities[i], NULL), CTH_OK);
        cth_thread *thread = test_spawn(sends_points, &points);
        while (point_chan_recv(&points, &p) == CTH_OK) {
            CHECK(p.x == n && p.y == -n && p.tag == n % 7);
            n++;
        }
        CHECK_EQ(n, 500);
        CHECK_STATUS(test_join(thread), CTH_OK);
        chan_end(&points.chan);
    }
}

static cth_status sends_to_a_hundred(void *arg) {
    for (int i = 1; i <= 100; i++) {
        give((cth_chan *)arg, i);
    }
    close_it((cth_chan *)arg);
    return CTH_OK;
}

static void the_loop_ends_with_the_channel(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        int sum = 0, n = 0;
        chan_init(&chan, capacities[i]);
        cth_thread *thread = test_spawn(sends_to_a_hundred, &chan);
        CTH_FOREACH_RECV(int, value, &chan) {
            if (value == 50) {
                continue;
            }
            sum += value;
            n++;
        }
        CHECK_EQ(n, 99);
        CHECK_EQ(sum, 5000);
        CHECK_STATUS(test_join(thread), CTH_OK);
        chan_end(&chan);
    }
}

static void the_loop_ends_when_cancelled(void) {
    cth_chan chan;
    cth_cancel token;
    int n = 0;
    chan_init(&chan, 3);
    fill(&chan);
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    CTH_UNDER(&token) {
        CTH_FOREACH_RECV(int, value, &chan) {
            CHECK_EQ(value, FIVE);
            n++;
            if (n == 1) {
                CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
            }
        }
    }
    CHECK_EQ(n, 3); // what needs no waiting goes on
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    chan_end(&chan);
}

/* -- many threads --------------------------------------------------------------------------------
 */

enum { MOST_PRODUCERS = 4 };

/* Producers send their numbers in order, consumers receive until the channel is closed: each number
   arrives once, and no consumer sees those of one producer out of order. */
typedef struct flow {
    cth_chan chan;
    int producers;
    uint32_t each; // values of each producer
} flow;

static bool hasty;          // with deadlines that often pass
static atomic_int timedout; // how often

typedef struct worker {
    flow *f;
    uint32_t number;
    uint32_t luck;
    unsigned char *seen; // a consumer's: f->each for each producer
    cth_thread *thread;
} worker;

static uint32_t pick(worker *w, uint32_t n) {
    w->luck = w->luck * 1664525 + 1013904223;
    return (w->luck >> 16) % n;
}

static cth_time deadline_of(worker *w) {
    return hasty && pick(w, 2) == 0 ? cth_after((cth_time)pick(w, 20000)) : cth_after(CTH_S(3600));
}

static bool in_vain(cth_status status) {
    if (status != CTH_TIMEDOUT && status != CTH_FULL && status != CTH_EMPTY) {
        CHECK_STATUS(status, CTH_OK);
        return false;
    }
    atomic_fetch_add(&timedout, status == CTH_TIMEDOUT);
    if (status != CTH_TIMEDOUT) {
        cth_yield();
    }
    return true;
}

static cth_status produce(void *arg) {
    worker *w = (worker *)arg;
    cth_chan *chan = &w->f->chan;
    for (uint32_t i = 0; i < w->f->each;) {
        uint32_t values[7];
        size_t sent = 12345;
        const uint32_t left = w->f->each - i;
        const uint32_t n = 1 + pick(w, left < 7 ? left : 7);
        for (uint32_t k = 0; k < n; k++) {
            values[k] = w->number << 24 | (i + k);
        }
        switch (pick(w, 8)) {
        case 0: (void)in_vain(cth_chan_send_n(chan, values, n, &sent)); break;
        case 1: (void)in_vain(cth_chan_try_send_n(chan, values, n, &sent)); break;
        case 2: (void)in_vain(cth_chan_send_n_until(chan, values, n, &sent, deadline_of(w))); break;
        case 3: sent = !in_vain(cth_chan_try_send(chan, values)); break;
        case 4: sent = !in_vain(cth_chan_send_until(chan, values, deadline_of(w))); break;
        default: sent = !in_vain(cth_chan_send(chan, values)); break;
        }
        CHECK(sent <= n);
        i += (uint32_t)sent;
    }
    return CTH_OK;
}

static cth_status consume(void *arg) {
    worker *w = (worker *)arg;
    cth_chan *chan = &w->f->chan;
    uint32_t next[MOST_PRODUCERS] = {0};
    for (;;) {
        uint32_t values[5];
        size_t n = 1;
        cth_status status;
        switch (pick(w, 8)) {
        case 0: status = cth_chan_recv_n(chan, values, 5, &n); break;
        case 1: status = cth_chan_try_recv_n(chan, values, 5, &n); break;
        case 2: status = cth_chan_recv_n_until(chan, values, 5, &n, deadline_of(w)); break;
        case 3: status = cth_chan_try_recv(chan, values); break;
        case 4: status = cth_chan_recv_until(chan, values, deadline_of(w)); break;
        default: status = cth_chan_recv(chan, values); break;
        }
        if (status == CTH_CLOSED) {
            return CTH_OK;
        }
        if (in_vain(status)) {
            continue;
        }
        CHECK(n >= 1 && n <= 5);
        for (size_t i = 0; i < n; i++) {
            const uint32_t producer = values[i] >> 24, at = values[i] & 0xffffff;
            CHECK(producer < (uint32_t)w->f->producers && at < w->f->each);
            CHECK(at >= next[producer]);
            next[producer] = at + 1;
            w->seen[producer * w->f->each + at]++;
        }
    }
}

static void flow_through(size_t capacity,
                         int producers,
                         int consumers,
                         uint32_t each,
                         bool single) {
    static flow f;
    worker p[MOST_PRODUCERS], c[MOST_PRODUCERS];
    f.producers = producers;
    f.each = each;
    chan_init_as(&f.chan, sizeof(uint32_t), capacity, single);
    for (int i = 0; i < consumers; i++) {
        unsigned char *seen = (unsigned char *)calloc((size_t)producers, each);
        CHECK(seen != NULL);
        c[i] = (worker){.f = &f, .luck = (uint32_t)(i + 77), .seen = seen};
        c[i].thread = test_spawn(consume, &c[i]);
    }
    for (int i = 0; i < producers; i++) {
        p[i] = (worker){.f = &f, .number = (uint32_t)i, .luck = (uint32_t)i};
        p[i].thread = test_spawn(produce, &p[i]);
    }
    for (int i = 0; i < producers; i++) {
        CHECK_STATUS(test_join(p[i].thread), CTH_OK);
    }
    close_it(&f.chan);
    for (int i = 0; i < consumers; i++) {
        CHECK_STATUS(test_join(c[i].thread), CTH_OK);
    }
    for (size_t k = 0; k < (size_t)producers * each; k++) {
        int times = 0;
        for (int i = 0; i < consumers; i++) {
            times += c[i].seen[k];
        }
        CHECK_EQ(times, 1);
    }
    for (int i = 0; i < consumers; i++) {
        free(c[i].seen);
    }
    CHECK_EQ(cth_chan_len(&f.chan), 0);
    chan_end(&f.chan);
}

static const struct { int producers, consumers; } crowds[] = {{1, 1}, {2, 2}, {4, 1}, {1, 4}};
static const size_t rings[] = {0, 1, 3, 128, CTH_UNBOUNDED};
static uint32_t amount;

static void flows_all(void) {
    for (size_t i = 0; i < TEST_COUNT(rings); i++) {
        for (size_t k = 0; k < TEST_COUNT(crowds); k++) {
            flow_through(rings[i], crowds[k].producers, crowds[k].consumers,
                         amount / (uint32_t)crowds[k].producers, false);
        }
        if (rings[i] != 0) {
            flow_through(rings[i], 1, 1, amount, true);
        }
    }
}

static void nothing_lost_or_out_of_order(void) {
    amount = 4000 / SLOW;
    flows_all();
}

static void nothing_lost_at_the_wrap(void) {
    amount = 1200;
    for (size_t i = 1; i < TEST_COUNT(positions); i++) {
        position = positions[i];
        flows_all();
    }
    position = 0;
}

static void nothing_lost_with_deadlines(void) {
    amount = 1200;
    hasty = true;
    atomic_store(&timedout, 0);
    flows_all();
    hasty = false;
    CHECK(atomic_load(&timedout) > 0);
}

/* Senders and receivers at work when the channel is closed: what is received is what was sent. */
typedef struct party_line {
    cth_chan chan;
    cth_cancel token;
    bool under;
    atomic_int at_work;
    atomic_llong sum, n; // of what was sent, less what was received
} party_line;

static cth_status sends_until_it_ends(void *arg) {
    party_line *l = (party_line *)arg;
    cth_status status = CTH_OK;
    int values[3] = {1, 2, 3};
    atomic_fetch_add(&l->at_work, 1);
    for (int i = 0; status != CTH_CLOSED && status != CTH_CANCELLED; i++) {
        size_t sent = 0;
        if (i % 3 == 0) {
            status = cth_chan_send_n(&l->chan, values, 3, &sent);
        } else if (i % 3 == 1) {
            status = cth_chan_send_until(&l->chan, values, cth_after(CTH_US(5)));
            sent = status == CTH_OK;
        } else {
            status = cth_chan_send(&l->chan, values);
            sent = status == CTH_OK;
        }
        for (size_t k = 0; k < sent; k++) {
            atomic_fetch_add(&l->sum, values[k]);
            atomic_fetch_add(&l->n, 1);
            values[k] += 3;
        }
        CHECK(status == CTH_OK || status == CTH_TIMEDOUT || status == CTH_CLOSED ||
              (l->under && status == CTH_CANCELLED));
    }
    return CTH_OK;
}

static cth_status receives_until_it_ends(void *arg) {
    party_line *l = (party_line *)arg;
    cth_status status = CTH_OK;
    atomic_fetch_add(&l->at_work, 1);
    for (int i = 0; status != CTH_CLOSED && status != CTH_CANCELLED; i++) {
        int values[2] = {-1, -1};
        size_t received = 0;
        if (i % 3 == 0) {
            status = cth_chan_recv_n(&l->chan, values, 2, &received);
        } else if (i % 3 == 1) {
            status = cth_chan_recv_until(&l->chan, values, cth_after(CTH_US(5)));
            received = status == CTH_OK;
        } else {
            status = cth_chan_recv(&l->chan, values);
            received = status == CTH_OK;
        }
        for (size_t k = 0; k < 2; k++) {
            CHECK((values[k] != -1) == (k < received));
            if (k < received) {
                atomic_fetch_sub(&l->sum, values[k]);
                atomic_fetch_sub(&l->n, 1);
            }
        }
        CHECK(status == CTH_OK || status == CTH_TIMEDOUT || status == CTH_CLOSED ||
              (l->under && status == CTH_CANCELLED));
    }
    return CTH_OK;
}

static cth_status sends_under(void *arg) {
    CTH_UNDER(&((party_line *)arg)->token) {
        (void)sends_until_it_ends(arg);
    }
    return CTH_OK;
}

static cth_status receives_under(void *arg) {
    CTH_UNDER(&((party_line *)arg)->token) {
        (void)receives_until_it_ends(arg);
    }
    return CTH_OK;
}

static void end_among(size_t capacity, bool by_close) {
    static party_line l;
    cth_thread *threads[4];
    memset(&l, 0, sizeof l);
    l.under = !by_close;
    chan_init(&l.chan, capacity);
    CHECK_STATUS(cth_cancel_init(&l.token, NULL, CTH_FOREVER), CTH_OK);
    for (int i = 0; i < 4; i++) {
        threads[i] = test_spawn(i % 2 != 0 ? (by_close ? sends_until_it_ends : sends_under)
                                           : (by_close ? receives_until_it_ends : receives_under),
                                &l);
    }
    test_reach(&l.at_work, 4);
    if (by_close) {
        close_it(&l.chan);
    } else {
        CHECK_STATUS(cth_cancel_request(&l.token, NULL), CTH_OK);
        while (atomic_load(&l.at_work) < 4) {
            cth_yield();
        }
        // A thread that never has to wait is not cancelled.
        close_it(&l.chan);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    int value = -1;
    while (cth_chan_try_recv(&l.chan, &value) == CTH_OK) {
        CHECK(!by_close); // receivers stay until it is empty
        atomic_fetch_sub(&l.sum, value);
        atomic_fetch_sub(&l.n, 1);
    }
    CHECK_EQ(atomic_load(&l.n), 0);
    CHECK_EQ(atomic_load(&l.sum), 0);
    CHECK_STATUS(cth_cancel_destroy(&l.token), CTH_OK);
    chan_end(&l.chan);
}

static void ended_among_transfers(void) {
    for (int round = 0; round < 12 / SLOW; round++) {
        for (size_t i = 0; i < TEST_COUNT(rings); i++) {
            end_among(rings[i], true);
            end_among(rings[i], false);
        }
    }
}

/* A channel of one place as a lock: a recv happens before the send that uses its place returns. */
typedef struct turn {
    cth_chan chan;
    int counter; // plain: the place protects it
} turn;

static cth_status counts_in_turn(void *arg) {
    turn *t = (turn *)arg;
    for (int i = 0; i < 2000; i++) {
        give(&t->chan, i);
        t->counter++;
        (void)take(&t->chan);
    }
    return CTH_OK;
}

static void one_place_excludes(void) {
    turn t = {.counter = 0};
    cth_thread *threads[3];
    chan_init(&t.chan, 1);
    for (int i = 0; i < 3; i++) {
        threads[i] = test_spawn(counts_in_turn, &t);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(t.counter, 6000);
    chan_end(&t.chan);
}

/* Plain memory handed on by its address, there and back. */
typedef struct parcel {
    int content;
} parcel;

typedef struct road {
    cth_chan there, back;
} road;

static cth_status sends_parcels_back(void *arg) {
    road *r = (road *)arg;
    CTH_FOREACH_RECV(parcel *, p, &r->there) {
        p->content++;
        CHECK_STATUS(cth_chan_send(&r->back, &p), CTH_OK);
    }
    close_it(&r->back);
    return CTH_OK;
}

static void memory_goes_with_the_value(void) {
    for (size_t i = 0; i < TEST_COUNT(rings); i++) {
        for (int single = 0; single < (rings[i] != 0 ? 2 : 1); single++) {
            road r;
            parcel parcels[2];
            parcel *p = NULL;
            chan_init_as(&r.there, sizeof(parcel *), rings[i], single != 0);
            chan_init_as(&r.back, sizeof(parcel *), rings[i], single != 0);
            cth_thread *thread = test_spawn(sends_parcels_back, &r);
            for (int k = 0; k < 500; k++) {
                p = &parcels[k % 2];
                p->content = k;
                CHECK_STATUS(cth_chan_send(&r.there, &p), CTH_OK);
                CHECK_STATUS(cth_chan_recv(&r.back, &p), CTH_OK);
                CHECK(p == &parcels[k % 2]);
                CHECK_EQ(p->content, k + 1);
            }
            close_it(&r.there);
            CHECK_STATUS(cth_chan_recv(&r.back, &p), CTH_CLOSED);
            CHECK_STATUS(test_join(thread), CTH_OK);
            chan_end(&r.there);
            chan_end(&r.back);
        }
    }
}

/* What was done before close is seen by a receiver that it ends. */
typedef struct report {
    cth_chan chan;
    int text; // plain: written before close
} report;

static cth_status writes_and_closes(void *arg) {
    report *r = (report *)arg;
    r->text = 7;
    close_it(&r->chan);
    return CTH_OK;
}

static void memory_goes_with_close(void) {
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < TEST_COUNT(rings); i++) {
            report r = {.text = 0};
            int value = -1;
            chan_init_as(&r.chan, sizeof(int), rings[i], rings[i] != 0 && round % 2 != 0);
            cth_thread *thread = test_spawn(writes_and_closes, &r);
            if (round % 3 != 0) {
                CHECK_STATUS(cth_chan_recv(&r.chan, &value), CTH_CLOSED);
            } else {
                while (!cth_chan_is_closed(&r.chan)) {
                    cth_yield();
                }
            }
            CHECK_EQ(r.text, 7);
            CHECK_STATUS(test_join(thread), CTH_OK);
            chan_end(&r.chan);
        }
    }
}

/* -- destroy, and memory -------------------------------------------------------------------------
 */

static void destroy_with_waiters_is_busy(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        for (int sends = 0; sends < (capacities[i] < 100 ? 2 : 1); sends++) {
            cth_chan chan;
            party p[2];
            chan_init(&chan, capacities[i]);
            if (sends != 0) {
                fill(&chan);
            }
            const size_t len = cth_chan_len(&chan);
            for (int k = 0; k < 2; k++) {
                party_start(&p[k], &chan, sends != 0, 1, FIVE, CTH_FOREVER);
                party_asleep(&p[k]);
            }
            CHECK_STATUS(cth_chan_destroy(&chan), CTH_BUSY);
            CHECK_STATUS(cth_chan_destroy(&chan), CTH_BUSY);
            parties_reach(p, 2, 0);
            CHECK_EQ(cth_chan_len(&chan), len); // nothing changed
            CHECK_EQ(cth_chan_cap(&chan), capacities[i]);
            CHECK(!cth_chan_is_closed(&chan));
            for (int k = 0; k < 2; k++) {
                if (sends != 0) {
                    CHECK_EQ(take(&chan), FIVE);
                } else {
                    give(&chan, FIVE);
                }
            }
            for (int k = 0; k < 2; k++) {
                party_end(&p[k], CTH_OK, 1);
            }
            CHECK_EQ(cth_chan_len(&chan), len);
            chan_end(&chan);
        }
    }
}

static void destroy_frees_what_is_inside(void) {
    for (size_t k = 0; k < TEST_COUNT(sizes); k++) {
        const size_t block = CTH__BLOCK_LEN(sizes[k] != 0 ? sizes[k] : 1);
        const size_t amounts[] = {0, 1, block - 1, block, block + 1, 5 * block, 5 * block + 1};
        for (size_t i = 0; i < TEST_COUNT(amounts); i++) {
            for (size_t taken = 0; taken < 2 * block && taken <= amounts[i]; taken += block / 2) {
                cth_chan chan;
                const int before = atomic_load(&live_blocks);
                chan_init_as(&chan, sizes[k], CTH_UNBOUNDED, i % 2 != 0);
                for (size_t n = 0; n < amounts[i]; n++) {
                    CHECK_STATUS(send_number(TRY, &chan, sizes[k], (unsigned)n), CTH_OK);
                }
                for (size_t n = 0; n < taken; n++) {
                    CHECK_STATUS(recv_number(TRY, &chan, sizes[k], (unsigned)n), CTH_OK);
                }
                // The last value of a block is received before the block is left.
                const int blocks = atomic_load(&live_blocks) - before;
                const int least = (int)((amounts[i] - taken + block - 1) / block);
                CHECK(blocks >= least && blocks <= least + 3);
                chan_end(&chan);
                CHECK_EQ(atomic_load(&live_blocks), before);
            }
        }
    }
    cth_chan chan;
    const int before = atomic_load(&live_blocks);
    chan_init(&chan, 100);
    fill(&chan);
    chan_end(&chan);
    CHECK_EQ(atomic_load(&live_blocks), before);
}

static void destroy_and_begin_again(void) {
    cth_chan chan;
    memset(&chan, 0, sizeof chan);
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        chan_end(&chan);
#ifdef CTHREADS_DEBUG
        int value = 0;
        CHECK_STATUS(cth_chan_send(&chan, &value), CTH_INVALID);
        CHECK_STATUS(cth_chan_try_recv(&chan, &value), CTH_INVALID);
        CHECK_STATUS(cth_chan_recv_n(&chan, &value, 1, NULL), CTH_INVALID);
        CHECK_STATUS(cth_chan_close(&chan), CTH_INVALID);
#endif
        chan_init(&chan, capacities[i]);
        CHECK(!cth_chan_is_closed(&chan));
        if (capacities[i] != 0) {
            give(&chan, 8);
            CHECK_EQ(cth_chan_len(&chan), 1);
        }
        close_it(&chan);
    }
    chan_end(&chan);
}

typedef struct echo {
    cth_chan there, back;
} echo;

static cth_status echoes(void *arg) {
    echo *e = (echo *)arg;
    CTH_FOREACH_RECV(int, value, &e->there) {
        give(&e->back, value);
    }
    CHECK_STATUS(cth_chan_recv_until(&e->there, &(int){0}, cth_after(CTH_S(1))), CTH_CLOSED);
    return CTH_OK;
}

static void transfers_allocate_nothing(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        for (int single = 0; single < (capacities[i] != 0 ? 2 : 1); single++) {
            echo e;
            chan_init_as(&e.there, sizeof(int), capacities[i], single != 0);
            chan_init_as(&e.back, sizeof(int), capacities[i], single != 0);
            cth_thread *thread = test_spawn(echoes, &e);
            const int warm_up = capacities[i] == CTH_UNBOUNDED ? 3000 : 1;
            int before = 0;
            for (int k = 0; k < warm_up + 2000; k++) {
                if (k == warm_up) {
                    before = atomic_load(&allocations);
                }
                give(&e.there, k);
                CHECK_EQ(take(&e.back), k);
            }
            int values[7] = {0}, got[7];
            for (int k = 0; capacities[i] >= 7 && k < 500; k++) {
                size_t n = 0;
                CHECK_STATUS(cth_chan_send_n(&e.there, values, 7, NULL), CTH_OK);
                for (size_t m = 0; m < 7; m += n) {
                    CHECK_STATUS(cth_chan_recv_n(&e.back, got, 7, &n), CTH_OK);
                }
            }
            CHECK_STATUS(cth_chan_recv_until(&e.back, got, cth_after(CTH_US(50))), CTH_TIMEDOUT);
            close_it(&e.there);
            while (!cth_chan_is_closed(&e.there)) {
            }
            CHECK_EQ(atomic_load(&allocations), before);
            CHECK_STATUS(test_join(thread), CTH_OK);
            chan_end(&e.there);
            chan_end(&e.back);
        }
    }
}

static void blocks_are_used_again(void) {
    // A backlog of any constant length: once the blocks are there, they do.
    const size_t block = CTH__BLOCK_LEN(8);
    const size_t backlogs[] = {0, 1, block / 2, block - 1, block, block + 1, 3 * block + 7};
    for (size_t i = 0; i < TEST_COUNT(backlogs); i++) {
        for (int single = 0; single < 2; single++) {
            cth_chan chan;
            unsigned put = 0, got = 0;
            int before = 0;
            chan_init_as(&chan, 8, CTH_UNBOUNDED, single != 0);
            while (put < backlogs[i]) {
                CHECK_STATUS(send_number(PLAIN, &chan, 8, put++), CTH_OK);
            }
            for (size_t k = 0; k < 9 * block; k++) {
                if (k == 3 * block) {
                    before = atomic_load(&allocations);
                }
                CHECK_STATUS(send_number(PLAIN, &chan, 8, put++), CTH_OK);
                CHECK_STATUS(recv_number(PLAIN, &chan, 8, got++), CTH_OK);
            }
            CHECK_EQ(atomic_load(&allocations), before);
            chan_end(&chan);
        }
    }
}

/* -- freed at once -------------------------------------------------------------------------------
 */

/* A partner that gets one channel after the other, does something with it and never looks at it
   again. What it did lets the main thread destroy the channel and free the memory. */
typedef struct freed {
    _Atomic(cth_chan *) next;
    atomic_int kind;
    atomic_bool stop;
} freed;

enum { SENDS_ONE, SENDS_BATCH, SENDS_AND_CLOSES, CLOSES, RECEIVES, LAST_THINGS };

static cth_status does_the_last_thing(void *arg) {
    freed *f = (freed *)arg;
    const int values[3] = {1, 2, 3};
    int value = -1;
    for (;;) {
        cth_chan *chan;
        while ((chan = atomic_load(&f->next)) == NULL) {
            if (atomic_load(&f->stop)) {
                return CTH_OK;
            }
            cth_yield();
        }
        const int kind = atomic_load(&f->kind);
        atomic_store(&f->next, NULL);
        if (kind == SENDS_ONE || kind == SENDS_AND_CLOSES) {
            CHECK_STATUS(cth_chan_send(chan, values), CTH_OK);
        }
        if (kind == SENDS_BATCH) {
            CHECK_STATUS(cth_chan_send_n(chan, values, 3, NULL), CTH_OK);
        } else if (kind == RECEIVES) {
            CHECK_STATUS(cth_chan_recv(chan, &value), CTH_OK);
            CHECK_EQ(value, 4);
        } else if (kind != SENDS_ONE) {
            close_it(chan);
        }
    }
}

static void freed_after_the_last_use(void) {
    static freed f;
    cth_thread *thread = test_spawn(does_the_last_thing, &f);
    for (unsigned round = 0; round < 8000 / SLOW; round++) {
        const size_t capacity = rings[round % TEST_COUNT(rings)];
        const unsigned half = round / (unsigned)TEST_COUNT(rings);
        int kind = (int)(half % LAST_THINGS);
        if (kind == RECEIVES && capacity != 0) {
            kind = SENDS_ONE; // only at a rendezvous does the sender know that its value is there
        }
        cth_chan *chan = (cth_chan *)malloc(sizeof *chan);
        CHECK(chan != NULL);
        chan_init_as(chan, sizeof(int), capacity, capacity != 0 && half % 2 != 0);
        atomic_store(&f.kind, kind);
        atomic_store(&f.next, chan);
        for (unsigned k = 0; k < half % 7; k++) {
            cth_yield();
        }
        const int n = kind == SENDS_BATCH ? 3 : kind == CLOSES || kind == RECEIVES ? 0 : 1;
        for (int k = 0; k < n; k++) {
            CHECK_EQ(take(chan), k + 1);
        }
        if (kind == RECEIVES) {
            give(chan, 4);
        } else if (kind == CLOSES || kind == SENDS_AND_CLOSES) {
            CHECK_STATUS(cth_chan_recv(chan, &(int){0}), CTH_CLOSED);
        }
        chan_end(chan);
        memset(chan, 0xEE, sizeof *chan);
        free(chan);
        while (atomic_load(&f.next) != NULL) {
            cth_yield();
        }
    }
    atomic_store(&f.stop, true);
    CHECK_STATUS(test_join(thread), CTH_OK);
}

/* -- fork ----------------------------------------------------------------------------------------
 */

enum { FORKED_SIZE = 4 }; // channels that a child looks at

/* In the child: a call gets through at once, or says that it would have to wait. Returns the number
   of the check that failed. */
#define IN_CHILD(condition)  \
  do {                       \
    if (!(condition)) {      \
      return __LINE__ % 251; \
    }                        \
  } while (0)

static int fresh_ones_work(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        cth_chan chan;
        int value = -1;
        IN_CHILD(cth_chan_init(&chan, sizeof(int), capacities[i], NULL) == CTH_OK);
        IN_CHILD(cth_chan_recv_until(&chan, &value, cth_after(CTH_US(10))) == CTH_TIMEDOUT);
        if (capacities[i] != 0) {
            IN_CHILD(cth_chan_send(&chan, &(int){3}) == CTH_OK);
            IN_CHILD(cth_chan_recv(&chan, &value) == CTH_OK && value == 3);
        }
        IN_CHILD(cth_chan_close(&chan) == CTH_OK);
        IN_CHILD(cth_chan_destroy(&chan) == CTH_OK);
    }
    return 0;
}

/* A thread of the parent waits at each: to receive, to send, and so at the two rendezvous. */
static int in_child(cth_chan *empty, cth_chan *full, cth_chan *meeting, cth_chan *other) {
    int value = -1;
    size_t n = 12345;
    for (int form = 0; form < FORMS; form++) {
        IN_CHILD(recv_by(form, empty, &value) == CTH_FORKED && value == -1);
        IN_CHILD(send_by(form, full, &value) == CTH_FORKED);
    }
    IN_CHILD(cth_chan_recv_n(empty, &value, 1, &n) == CTH_FORKED && n == 0);
    IN_CHILD(cth_chan_close(empty) == CTH_FORKED && !cth_chan_is_closed(empty));
    IN_CHILD(cth_chan_close(full) == CTH_FORKED);
    IN_CHILD(cth_chan_len(empty) == 0 && cth_chan_len(full) == cth_chan_cap(full));
    // The threads of the parent that wait at a rendezvous are not there.
    IN_CHILD(cth_chan_try_send(meeting, &value) == CTH_FULL);
    IN_CHILD(cth_chan_send_until(meeting, &value, cth_after(CTH_US(10))) == CTH_TIMEDOUT);
    IN_CHILD(cth_chan_try_recv(other, &value) == CTH_EMPTY && value == -1);
    IN_CHILD(cth_chan_recv_until(other, &value, cth_after(CTH_US(10))) == CTH_TIMEDOUT);
    IN_CHILD(cth_chan_close(meeting) == CTH_OK && cth_chan_close(other) == CTH_OK);
    IN_CHILD(cth_chan_send(meeting, &value) == CTH_CLOSED);
    IN_CHILD(cth_chan_destroy(meeting) == CTH_OK && cth_chan_destroy(other) == CTH_OK);
    IN_CHILD(cth_chan_destroy(empty) == CTH_OK && cth_chan_destroy(full) == CTH_OK);
    return fresh_ones_work();
}

static int child_status(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_child_does_not_wait(void) {
    for (int single = 0; single < 2; single++) {
        cth_chan chans[FORKED_SIZE];
        party p[FORKED_SIZE];
        chan_init_as(&chans[0], sizeof(int), 3, single != 0);
        chan_init_as(&chans[1], sizeof(int), 3, single != 0);
        chan_init(&chans[2], 0);
        chan_init(&chans[3], 0);
        fill(&chans[1]);
        for (int i = 0; i < FORKED_SIZE; i++) {
            party_start(&p[i], &chans[i], i % 2 != 0, 1, FIVE, CTH_FOREVER);
            party_asleep(&p[i]);
        }
        fflush(stdout);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(30);
            _exit(in_child(&chans[0], &chans[1], &chans[2], &chans[3]));
        }
        CHECK_EQ(child_status(pid), 0);
        // In the parent nothing has changed.
        give(&chans[0], FIVE);
        give(&chans[2], FIVE);
        CHECK_EQ(take(&chans[1]), FIVE);
        CHECK_EQ(take(&chans[3]), FIVE);
        for (int i = 0; i < FORKED_SIZE; i++) {
            party_end(&p[i], CTH_OK, 1);
            chan_end(&chans[i]);
        }
    }
}

/* The same when a thread that is not there was in the middle of a transfer: its side stays locked, and
   what stands beside the word may be half changed. */
static int in_child_of_half(cth_chan *to, cth_chan *from) {
    int value = -1;
    for (int form = 0; form < FORMS; form++) {
        IN_CHILD(send_by(form, to, &value) == CTH_FORKED);
        IN_CHILD(recv_by(form, from, &value) == CTH_FORKED && value == -1);
    }
    IN_CHILD(cth_chan_len(to) == 1 && cth_chan_len(from) == 1);
    IN_CHILD(cth_chan_close(to) == CTH_FORKED && cth_chan_close(from) == CTH_FORKED);
    IN_CHILD(cth_chan_destroy(to) == CTH_OK && cth_chan_destroy(from) == CTH_OK);
    return 0;
}

static void a_child_finds_half_a_transfer(void) {
    for (int single = 0; single < 2; single++) {
        cth_chan to, from;
        chan_init_as(&to, sizeof(int), 3, single != 0);
        chan_init_as(&from, sizeof(int), 3, single != 0);
        give(&to, FIVE);
        give(&from, FIVE);
        const uint32_t rear = cth__load(&to.rear.at, relaxed);
        const uint32_t front = cth__load(&from.front.at, relaxed);
        cth__store(&to.rear.at, rear | CTH__CHAN_LOCKED, relaxed);
        cth__store(&from.front.at, front | CTH__CHAN_LOCKED, relaxed);
        fflush(stdout);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(30);
            _exit(in_child_of_half(&to, &from));
        }
        CHECK_EQ(child_status(pid), 0);
        cth__store(&to.rear.at, rear, relaxed);
        cth__store(&from.front.at, front, relaxed);
        take_one(&to);
        take_one(&from);
        chan_end(&to);
        chan_end(&from);
    }
}

/* A fork while other threads are in the middle of a transfer. */
static int child_of_busy_ones(cth_chan *chans, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (int form = 0; form < FORMS; form++) {
            int value = -1;
            const bool meets = cth_chan_cap(&chans[i]) == 0;
            if (meets && form_waits(form)) {
                continue; // a fresh object, and nobody to come
            }
            const cth_status sent = send_by(form, &chans[i], &(int){FIVE});
            const cth_status got = recv_by(form, &chans[i], &value);
            IN_CHILD(sent == CTH_OK ||
                     sent == (meets ? (form == PAST || form == PAST_N ? CTH_TIMEDOUT : CTH_FULL)
                                    : CTH_FORKED));
            IN_CHILD(got == CTH_OK ||
                     got == (meets ? (form == PAST || form == PAST_N ? CTH_TIMEDOUT : CTH_EMPTY)
                                   : CTH_FORKED));
            IN_CHILD(value == (got == CTH_OK ? FIVE : -1));
        }
        IN_CHILD(cth_chan_len(&chans[i]) <= cth_chan_cap(&chans[i]) + 1);
        (void)cth_chan_is_closed(&chans[i]);
        IN_CHILD(cth_chan_close(&chans[i]) == (cth_chan_cap(&chans[i]) == 0 ? CTH_OK : CTH_FORKED));
    }
    return fresh_ones_work();
}

static cth_status sends_for_ever(void *arg) {
    cth_status status = CTH_OK;
    while (status == CTH_OK) {
        status = cth_chan_send((cth_chan *)arg, &(int){FIVE});
    }
    CHECK_STATUS(status, CTH_CLOSED);
    return CTH_OK;
}

static cth_status receives_for_ever(void *arg) {
    CTH_FOREACH_RECV(int, value, (cth_chan *)arg) {
        CHECK_EQ(value, FIVE);
    }
    return CTH_OK;
}

static void a_child_of_busy_threads_does_not_hang(void) {
    static const struct {
        size_t capacity;
        bool single;
    } busy[] = {{0, false}, {1, false}, {100, false}, {1, true}, {100, true}};
    enum { BUSY = TEST_COUNT(busy) };
    static cth_chan chans[BUSY];
    for (int round = 0; round < 4; round++) {
        cth_thread *threads[BUSY][2];
        for (size_t i = 0; i < BUSY; i++) {
            chan_init_as(&chans[i], sizeof(int), busy[i].capacity, busy[i].single);
            threads[i][0] = test_spawn(sends_for_ever, &chans[i]);
            threads[i][1] = test_spawn(receives_for_ever, &chans[i]);
        }
        for (int k = 0; k < 10; k++) {
            fflush(stdout);
            const pid_t pid = fork();
            CHECK(pid >= 0);
            if (pid == 0) {
                alarm(30);
                _exit(child_of_busy_ones(chans, BUSY));
            }
            CHECK_EQ(child_status(pid), 0);
        }
        for (size_t i = 0; i < BUSY; i++) {
            close_it(&chans[i]);
            CHECK_STATUS(test_join(threads[i][0]), CTH_OK);
            CHECK_STATUS(test_join(threads[i][1]), CTH_OK);
            chan_end(&chans[i]);
        }
    }
}

/* -- further --------------------------------------------------------------------------------------
 */

static void *foreign_echoes(void *arg) {
    cth_chan *chan = (cth_chan *)arg;
    for (int i = 0; i < 3; i++) {
        give(chan, i);
    }
    int value = -1;
    CHECK_STATUS(cth_chan_recv(&chan[1], &value), CTH_OK);
    CHECK_EQ(value, 9);
    return NULL;
}

static void foreign_threads_can_use_it(void) {
    for (size_t i = 0; i < 40; i++) {
        cth_chan chans[2];
        pthread_t thread;
        chan_init(&chans[0], capacities[i % TEST_COUNT(capacities)]);
        chan_init(&chans[1], capacities[i % TEST_COUNT(capacities)]);
        CHECK(pthread_create(&thread, NULL, foreign_echoes, chans) == 0);
        for (int k = 0; k < 3; k++) {
            CHECK_EQ(take(&chans[0]), k);
        }
        give(&chans[1], 9);
        CHECK(pthread_join(thread, NULL) == 0);
        chan_end(&chans[0]);
        chan_end(&chans[1]);
    }
}

static cth_status recv_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = recv_waits(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    for (size_t i = 0; i < TEST_COUNT(capacities); i++) {
        for (int single = 0; single < (capacities[i] != 0 ? 2 : 1); single++) {
            cth_chan chan;
            test_waiter a = {0}, b = {0};
            errno = 4242;
            chan_init_as(&chan, sizeof(int), capacities[i], single != 0);
            CHECK_EQ(errno, 4242);
            test_waiter_start(&a, recv_keeps_errno, &chan, cth_after(CTH_MS(1)));
            CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
            test_waiter_start(&b, recv_keeps_errno, &chan, CTH_FOREVER);
            test_waiter_asleep(&b);
            errno = 4242;
            give(&chan, FIVE);
            CHECK_EQ(errno, 4242);
            CHECK_STATUS(test_waiter_end(&b), CTH_OK);
            errno = 4242;
            close_it(&chan);
            chan_end(&chan);
            CHECK_EQ(errno, 4242);
        }
    }
}

static const test_case tests[] = {
    TEST(zeroed_is_a_rendezvous),
    TEST(init_all),
    TEST(init_refuses_what_is_too_large),
    TEST(fills_and_drains),
    TEST(batches_over_the_ends),
    TEST(batches_of_none),
    TEST(refuses_negative_deadlines),
    TEST(waits_time_out),
    TEST(waits_succeed_at_once),
    TEST(waits_last_long),
    TEST(a_sleeper_uses_no_cpu),
    TEST(each_send_frees_one),
    TEST(each_recv_frees_one),
    TEST(a_batch_frees_as_many),
    TEST(a_timeout_leaves_the_others),
    TEST(state_after_a_timeout),
    TEST(sleepers_by_turns),
    TEST(a_long_batch_goes_through),
    TEST(a_batch_says_how_many_went),
    TEST(a_batch_of_receives_ends),
    TEST(closed_channels),
    TEST(close_frees_the_waiting),
    TEST(single_waiters),
    TEST(cancelled_waits),
    TEST(under_a_cancelled_token),
    TEST(a_token_with_a_deadline),
    TEST(typed_in_one_thread),
    TEST(typed_beside_the_general_form),
    TEST(typed_between_threads),
    TEST(the_loop_ends_with_the_channel),
    TEST(the_loop_ends_when_cancelled),
    TEST(nothing_lost_or_out_of_order),
    TEST(nothing_lost_at_the_wrap),
    TEST(nothing_lost_with_deadlines),
    TEST(ended_among_transfers),
    TEST(one_place_excludes),
    TEST(memory_goes_with_the_value),
    TEST(memory_goes_with_close),
    TEST(destroy_with_waiters_is_busy),
    TEST(destroy_frees_what_is_inside),
    TEST(destroy_and_begin_again),
    TEST(transfers_allocate_nothing),
    TEST(blocks_are_used_again),
    TEST(freed_after_the_last_use),
    TEST(a_child_does_not_wait),
    TEST(a_child_finds_half_a_transfer),
    TEST(a_child_of_busy_threads_does_not_hang),
    TEST(foreign_threads_can_use_it),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
