/* chan_loops.h - the loops of bench_chan for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND  as in mutex_loops.h
       PEER_T                      type of the channel
       PEER_CAN                    what it can do: CHAN_BOUNDED | ..., see channels.h
       PEER_INIT(c, capacity)      make it ready, for 8-byte values that are not 0
       PEER_DESTROY(c)             give back what it holds
       PEER_SEND(c, value)         wait for room
       PEER_RECV(c, to)            wait for a value; to is a uint64_t *
       PEER_SEND_N(c, values, n)   only where it can: all n, in few steps
       PEER_RECV_N(c, values, n)   the same: up to n, at least one; how many, a size_t

   and get add_PEER(). C and C++. */
#ifndef BENCH_CHAN_ROWS_INCLUDED
#define BENCH_CHAN_ROWS_INCLUDED
#include "bench.h"
#include "channels.h"

/* As row->capacity: no bound. */
#define CHAN_NO_BOUND SIZE_MAX

enum {
    ROW_ALONE,
    ROW_128_1_1,
    ROW_128_2_2,
    ROW_128_4_1,
    ROW_128_1_4,
    ROW_1024_1_1,
    ROW_1024_2_2,
    ROW_1024_4_1,
    ROW_1024_1_4,
    ROW_SINGLE_128,
    ROW_SINGLE_1024,
    ROW_SINGLE_UNBOUNDED,
    ROW_BATCH,
    ROW_CAP1,
    ROW_PING_PONG,
    ROW_PING_PONG_ONE_CPU,
    ROW_RENDEZVOUS_1_1,
    ROW_RENDEZVOUS_2_2,
    ROW_RENDEZVOUS_4_1,
    ROW_UNBOUNDED_1_1,
    ROW_UNBOUNDED_2_2,
    ROW_UNBOUNDED_4_1,
    ROW_UNBOUNDED_1_4,
    ROW_IDLE,
    ROW_COUNT,
};

/* Values in a batch. */
enum { CHAN_BATCH_LEN = 64 };

/* Most values of a measurement without a bound: senders that are faster than the receivers fill the
   memory. */
enum { CHAN_MOST = 1 << 21 };
#endif

#ifdef PEER
static struct {
    struct {
        alignas(BENCH_LINE) PEER_T chan;
    } there, back;
    alignas(BENCH_LINE) int ended; // senders whose last value has been received
    chan_tally tally[BENCH_THREADS];
} BENCH_FN(shared);

#define PEER_THERE (&BENCH_FN(shared).there.chan)
#define PEER_BACK  (&BENCH_FN(shared).back.chan)

static bench_sample BENCH_FN(alone)(const bench_row *row) {
    bench_sample sample = {0, 0};
    uint64_t value = CHAN_FIRST, got = 0;
    PEER_INIT(PEER_THERE, row->capacity);
    BENCH_LOOP(sample.value, row, 4096, {
        PEER_SEND(PEER_THERE, value);
        PEER_RECV(PEER_THERE, &got);
        if (got != value++) {
            bench_fail("another value came out than went in");
        }
    });
    PEER_DESTROY(PEER_THERE);
    return sample;
}

static inline __attribute__((unused)) chan_tally BENCH_FN(send_all)(const bench_row *row, int i) {
    chan_tally mine = {0, 0};
    uint64_t value = CHAN_FIRST + (uint64_t)i;
    uint64_t most = UINT64_MAX;
    if (row->capacity == CHAN_NO_BOUND) {
        most = (uint64_t)CHAN_MOST / (unsigned)row->senders;
    }
    for (; !bench_stopped() && mine.count < most; mine.count += BENCH_TRIPS) {
        for (int trip = 0; trip < BENCH_TRIPS; trip++) {
            PEER_SEND(PEER_THERE, value);
            mine.sum += value;
            value += BENCH_THREADS;
        }
    }
    PEER_SEND(PEER_THERE, (uint64_t)CHAN_END);
    return mine;
}

/* Receive until the last value of each sender has been received, by whomever: a peer keeps the
   values of one sender in order, and so none is left. */
static inline __attribute__((unused)) chan_tally BENCH_FN(recv_all)(const bench_row *row) {
    chan_tally mine = {0, 0};
    for (;;) {
        uint64_t value = 0;
        PEER_RECV(PEER_THERE, &value);
        if (value >= CHAN_FIRST) {
            mine.count++;
            mine.sum += value;
            continue;
        }
        if (value == CHAN_QUIT) {
            break;
        }
        if (value != CHAN_END) {
            bench_fail("a value that nobody sent");
        }
        if (__atomic_add_fetch(&BENCH_FN(shared).ended, 1, __ATOMIC_RELAXED) == row->senders) {
            for (int i = row->senders + 1; i < row->threads; i++) {
                PEER_SEND(PEER_THERE, (uint64_t)CHAN_QUIT);
            }
            break;
        }
    }
    return mine;
}

static bench_sample BENCH_FN(run)(const bench_row *row, void (*body)(const bench_row *row, int i)) {
    PEER_INIT(PEER_THERE, row->capacity);
    BENCH_FN(shared).ended = 0;
    bench_team(row, body);
    PEER_DESTROY(PEER_THERE);
    return chan_sample(row, BENCH_FN(shared).tally);
}

static void BENCH_FN(move_body)(const bench_row *row, int i) {
    BENCH_FN(shared).tally[i] =
        i < row->senders ? BENCH_FN(send_all)(row, i) : BENCH_FN(recv_all)(row);
}

static bench_sample BENCH_FN(move)(const bench_row *row) {
    return BENCH_FN(run)(row, BENCH_FN(move_body));
}

#ifdef PEER_SEND_N
static void BENCH_FN(batch_body)(const bench_row *row, int i) {
    chan_tally mine = {0, 0};
    uint64_t values[CHAN_BATCH_LEN];
    (void)row;
    if (i == 0) {
        uint64_t value = CHAN_FIRST;
        while (!bench_stopped()) {
            for (int k = 0; k < CHAN_BATCH_LEN; k++) {
                values[k] = value;
                mine.sum += value++;
            }
            PEER_SEND_N(PEER_THERE, values, CHAN_BATCH_LEN);
            mine.count += CHAN_BATCH_LEN;
        }
        values[0] = CHAN_END;
        PEER_SEND_N(PEER_THERE, values, 1);
    } else {
        for (bool more = true; more;) {
            const size_t n = PEER_RECV_N(PEER_THERE, values, CHAN_BATCH_LEN);
            for (size_t k = 0; k < n; k++) {
                mine.sum += values[k];
            }
            mine.count += n;
            more = values[n - 1] != CHAN_END;
        }
        mine.sum -= CHAN_END;
        mine.count--;
    }
    BENCH_FN(shared).tally[i] = mine;
}

static bench_sample BENCH_FN(batch)(const bench_row *row) {
    return BENCH_FN(run)(row, BENCH_FN(batch_body));
}
#endif

static void BENCH_FN(ping_body)(const bench_row *row, int i) {
    uint64_t count = 0, value = CHAN_FIRST, got = 0;
    (void)row;
    if (i == 0) {
        const double start = bench_now();
        while (!bench_stopped()) {
            for (int trip = 0; trip < BENCH_TRIPS; trip++) {
                PEER_SEND(PEER_THERE, value);
                PEER_RECV(PEER_BACK, &got);
                if (got != value++) {
                    bench_fail("another value came back");
                }
            }
            count += BENCH_TRIPS;
        }
        bench_slots[0].ns = bench_now() - start;
        PEER_SEND(PEER_THERE, (uint64_t)CHAN_END);
    } else {
        for (;; count++) {
            PEER_RECV(PEER_THERE, &got);
            if (got == CHAN_END) {
                break;
            }
            PEER_SEND(PEER_BACK, got);
        }
    }
    bench_slots[i].count = count;
}

static bench_sample BENCH_FN(ping_pong)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(PEER_THERE, row->capacity);
    PEER_INIT(PEER_BACK, row->capacity);
    bench_team(row, BENCH_FN(ping_body));
    PEER_DESTROY(PEER_BACK);
    PEER_DESTROY(PEER_THERE);
    if (bench_slots[0].count == 0 || bench_slots[0].count != bench_slots[1].count) {
        bench_fail("the two threads did not take turns");
    }
    sample.value = bench_slots[0].ns / (double)bench_slots[0].count;
    return sample;
}

static void BENCH_FN(idle_body)(void) {
    uint64_t value = 0;
    PEER_RECV(PEER_THERE, &value);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(PEER_THERE, row->capacity);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_SEND(PEER_THERE, (uint64_t)CHAN_END);
    sample.value = bench_idle_end(row);
    PEER_DESTROY(PEER_THERE);
    return sample;
}

static void BENCH_FN(add)(void) {
    static const struct {
        int first, last; // rows
        int needs;
    } moves[] = {
        {ROW_128_1_1, ROW_1024_1_4, CHAN_BOUNDED},
        {ROW_SINGLE_128, ROW_SINGLE_1024, CHAN_SINGLE},
        {ROW_SINGLE_UNBOUNDED, ROW_SINGLE_UNBOUNDED, CHAN_SINGLE_UNBOUNDED},
        {ROW_CAP1, ROW_CAP1, CHAN_CAP1},
        {ROW_RENDEZVOUS_1_1, ROW_RENDEZVOUS_4_1, CHAN_RENDEZVOUS},
        {ROW_UNBOUNDED_1_1, ROW_UNBOUNDED_1_4, CHAN_UNBOUNDED},
    };
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        for (int row = moves[i].first; row <= moves[i].last; row++) {
            if (((PEER_CAN)&moves[i].needs) != 0) {
                bench_add(row, PEER_NAME, PEER_KIND, BENCH_FN(move));
            }
        }
    }
    if (((PEER_CAN) & (CHAN_BOUNDED | CHAN_SINGLE)) != 0) {
        bench_add(ROW_ALONE, PEER_NAME, PEER_KIND, BENCH_FN(alone));
    }
    if (((PEER_CAN)&CHAN_CAP1) != 0) {
        bench_add(ROW_PING_PONG, PEER_NAME, PEER_KIND, BENCH_FN(ping_pong));
        bench_add(ROW_PING_PONG_ONE_CPU, PEER_NAME, PEER_KIND, BENCH_FN(ping_pong));
    }
#ifdef PEER_SEND_N
    bench_add(ROW_BATCH, PEER_NAME, PEER_KIND, BENCH_FN(batch));
#endif
    if (((PEER_CAN)&CHAN_RENDEZVOUS) == 0 || ((PEER_CAN)&CHAN_BOUNDED) != 0) {
        bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    }
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_CAN
#undef PEER_INIT
#undef PEER_DESTROY
#undef PEER_SEND
#undef PEER_RECV
#undef PEER_SEND_N
#undef PEER_RECV_N
#undef PEER_THERE
#undef PEER_BACK
#endif
