/* select_loops.h - the loops of bench_select for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND  as in mutex_loops.h
       PEER_T                      type of four channels
       PEER_CAN                    CHAN_BOUNDED, CHAN_CAP1, CHAN_RENDEZVOUS
       PEER_INIT(s, capacity)      make them ready, for 8-byte values that are not 0
       PEER_DESTROY(s)             give back what they hold
       PEER_SEND(s, i, value)      send into channel i
       PEER_SELECT(s, to)          receive from any; to is a uint64_t *
       PEER_TRY_SELECT(s, to)      true: received one; false: all are empty

   and get add_PEER(). C and C++. */
#ifndef BENCH_SELECT_ROWS_INCLUDED
#define BENCH_SELECT_ROWS_INCLUDED
#include "bench.h"
#include "channels.h"

enum {
    ROW_EMPTY,
    ROW_ALONE,
    ROW_128,
    ROW_CAP1,
    ROW_RENDEZVOUS,
    ROW_IDLE,
    ROW_COUNT,
};

/* Channels, and senders: one for each. */
enum { SELECT_CHANS = 4 };
#endif

#ifdef PEER
static struct {
    alignas(BENCH_LINE) PEER_T chans;
    alignas(BENCH_LINE) chan_tally tally[BENCH_THREADS];
} BENCH_FN(shared);

#define PEER_CHANS (&BENCH_FN(shared).chans)

static bench_sample BENCH_FN(empty)(const bench_row *row) {
    bench_sample sample = {0, 0};
    uint64_t got = 0;
    PEER_INIT(PEER_CHANS, row->capacity);
    BENCH_LOOP(sample.value, row, 2048, {
        if (PEER_TRY_SELECT(PEER_CHANS, &got)) {
            bench_fail("a value that nobody sent");
        }
    });
    PEER_DESTROY(PEER_CHANS);
    return sample;
}

static bench_sample BENCH_FN(alone)(const bench_row *row) {
    bench_sample sample = {0, 0};
    uint64_t value = CHAN_FIRST, got = 0;
    PEER_INIT(PEER_CHANS, row->capacity);
    BENCH_LOOP(sample.value, row, 2048, {
        PEER_SEND(PEER_CHANS, (unsigned)(value % SELECT_CHANS), value);
        PEER_SELECT(PEER_CHANS, &got);
        if (got != value++) {
            bench_fail("another value came out than went in");
        }
    });
    PEER_DESTROY(PEER_CHANS);
    return sample;
}

static void BENCH_FN(body)(const bench_row *row, int i) {
    chan_tally mine = {0, 0};
    if (i < row->senders) {
        uint64_t value = CHAN_FIRST + (uint64_t)i;
        for (; !bench_stopped(); mine.count += BENCH_TRIPS) {
            for (int trip = 0; trip < BENCH_TRIPS; trip++) {
                PEER_SEND(PEER_CHANS, (unsigned)i, value);
                mine.sum += value;
                value += BENCH_THREADS;
            }
        }
        PEER_SEND(PEER_CHANS, (unsigned)i, (uint64_t)CHAN_END);
    } else {
        for (int ended = 0; ended < row->senders;) {
            uint64_t value = 0;
            PEER_SELECT(PEER_CHANS, &value);
            if (value == CHAN_END) {
                ended++;
                continue;
            }
            mine.count++;
            mine.sum += value;
        }
    }
    BENCH_FN(shared).tally[i] = mine;
}

static bench_sample BENCH_FN(run)(const bench_row *row) {
    PEER_INIT(PEER_CHANS, row->capacity);
    bench_team(row, BENCH_FN(body));
    PEER_DESTROY(PEER_CHANS);
    return chan_sample(row, BENCH_FN(shared).tally);
}

static void BENCH_FN(idle_body)(void) {
    uint64_t value = 0;
    PEER_SELECT(PEER_CHANS, &value);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(PEER_CHANS, row->capacity);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_SEND(PEER_CHANS, 0U, (uint64_t)CHAN_END);
    sample.value = bench_idle_end(row);
    PEER_DESTROY(PEER_CHANS);
    return sample;
}

static void BENCH_FN(add)(void) {
    if (((PEER_CAN)&CHAN_BOUNDED) != 0) {
        bench_add(ROW_EMPTY, PEER_NAME, PEER_KIND, BENCH_FN(empty));
        bench_add(ROW_ALONE, PEER_NAME, PEER_KIND, BENCH_FN(alone));
        bench_add(ROW_128, PEER_NAME, PEER_KIND, BENCH_FN(run));
        bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    }
    if (((PEER_CAN)&CHAN_CAP1) != 0) {
        bench_add(ROW_CAP1, PEER_NAME, PEER_KIND, BENCH_FN(run));
    }
    if (((PEER_CAN)&CHAN_RENDEZVOUS) != 0) {
        bench_add(ROW_RENDEZVOUS, PEER_NAME, PEER_KIND, BENCH_FN(run));
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
#undef PEER_SELECT
#undef PEER_TRY_SELECT
#undef PEER_CHANS
#endif
