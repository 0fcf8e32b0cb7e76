/* cond_loops.h - the loops of bench_cond for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_MUTEX, PEER_COND        types
       PEER_INIT(m, c)              make both ready
       PEER_LOCK(m), PEER_UNLOCK(m), PEER_WAIT(c, m), PEER_SIGNAL(c)

   and get add_PEER(). C and C++. */
#ifndef BENCH_COND_ROWS_INCLUDED
#define BENCH_COND_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_SIGNAL_NOBODY,
    ROW_PING_PONG,
    ROW_PING_PONG_ONE_CPU,
    ROW_IDLE,
    ROW_SIZE,
    ROW_COUNT,
};
#endif

#ifdef PEER
static struct {
    alignas(BENCH_LINE) PEER_MUTEX mutex;
    PEER_COND cond[2];
    int turn; // the thread that may go on; 2: the end
} BENCH_FN(shared);

static void BENCH_FN(init)(void) {
    PEER_INIT(&BENCH_FN(shared).mutex, &BENCH_FN(shared).cond[0]);
    PEER_INIT(&BENCH_FN(shared).mutex, &BENCH_FN(shared).cond[1]);
    BENCH_FN(shared).turn = 0;
}

static bench_sample BENCH_FN(signal_nobody)(const bench_row *row) {
    bench_sample sample = {0, 0};
    BENCH_FN(init)();
    BENCH_LOOP(sample.value, row, 8192, { PEER_SIGNAL(&BENCH_FN(shared).cond[0]); });
    return sample;
}

static void BENCH_FN(ping_body)(const bench_row *row, int i) {
    uint64_t count = 0;
    (void)row;
    if (i == 0) {
        const double start = bench_now();
        while (!bench_stopped()) {
            for (int trip = 0; trip < BENCH_TRIPS; trip++) {
                PEER_LOCK(&BENCH_FN(shared).mutex);
                BENCH_FN(shared).turn = 1;
                PEER_SIGNAL(&BENCH_FN(shared).cond[1]);
                while (BENCH_FN(shared).turn != 0) {
                    PEER_WAIT(&BENCH_FN(shared).cond[0], &BENCH_FN(shared).mutex);
                }
                PEER_UNLOCK(&BENCH_FN(shared).mutex);
            }
            count += BENCH_TRIPS;
        }
        bench_slots[0].ns = bench_now() - start;
        PEER_LOCK(&BENCH_FN(shared).mutex);
        BENCH_FN(shared).turn = 2;
        PEER_SIGNAL(&BENCH_FN(shared).cond[1]);
        PEER_UNLOCK(&BENCH_FN(shared).mutex);
    } else {
        bool more = true;
        while (more) {
            PEER_LOCK(&BENCH_FN(shared).mutex);
            while (BENCH_FN(shared).turn == 0) {
                PEER_WAIT(&BENCH_FN(shared).cond[1], &BENCH_FN(shared).mutex);
            }
            if (BENCH_FN(shared).turn == 2) {
                more = false;
            } else {
                BENCH_FN(shared).turn = 0;
                PEER_SIGNAL(&BENCH_FN(shared).cond[0]);
                count++;
            }
            PEER_UNLOCK(&BENCH_FN(shared).mutex);
        }
    }
    bench_slots[i].count = count;
}

static bench_sample BENCH_FN(ping_pong)(const bench_row *row) {
    bench_sample sample = {0, 0};
    BENCH_FN(init)();
    bench_team(row, BENCH_FN(ping_body));
    if (bench_slots[0].count == 0 || bench_slots[0].count != bench_slots[1].count) {
        bench_fail("the two threads did not take turns");
    }
    sample.value = bench_slots[0].ns / (double)bench_slots[0].count;
    return sample;
}

static void BENCH_FN(idle_body)(void) {
    PEER_LOCK(&BENCH_FN(shared).mutex);
    while (BENCH_FN(shared).turn == 0) {
        PEER_WAIT(&BENCH_FN(shared).cond[0], &BENCH_FN(shared).mutex);
    }
    PEER_UNLOCK(&BENCH_FN(shared).mutex);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    BENCH_FN(init)();
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_LOCK(&BENCH_FN(shared).mutex);
    BENCH_FN(shared).turn = 1;
    PEER_SIGNAL(&BENCH_FN(shared).cond[0]);
    PEER_UNLOCK(&BENCH_FN(shared).mutex);
    sample.value = bench_idle_end(row);
    return sample;
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_COND), 0};
    (void)row;
    return sample;
}

static void BENCH_FN(add)(void) {
    bench_add(ROW_SIGNAL_NOBODY, PEER_NAME, PEER_KIND, BENCH_FN(signal_nobody));
    bench_add(ROW_PING_PONG, PEER_NAME, PEER_KIND, BENCH_FN(ping_pong));
    bench_add(ROW_PING_PONG_ONE_CPU, PEER_NAME, PEER_KIND, BENCH_FN(ping_pong));
    bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_MUTEX
#undef PEER_COND
#undef PEER_INIT
#undef PEER_LOCK
#undef PEER_UNLOCK
#undef PEER_WAIT
#undef PEER_SIGNAL
#endif
