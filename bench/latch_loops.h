/* latch_loops.h - the loops of bench_latch for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_T                       type of the latch
       PEER_INIT(l)                 make it ready, with a count of 1; it may have been used before
       PEER_DONE(l), PEER_WAIT(l)   take one from the count; wait until it is 0

   and get add_PEER(). C and C++. */
#ifndef BENCH_LATCH_ROWS_INCLUDED
#define BENCH_LATCH_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_ALONE,
    ROW_WAIT_OPEN,
    ROW_PING_PONG,
    ROW_PING_PONG_ONE_CPU,
    ROW_IDLE,
    ROW_SIZE,
    ROW_COUNT,
};
#endif

#ifdef PEER
static struct {
    struct {
        alignas(BENCH_LINE) PEER_T latch;
    } ping[4], pong[4];
    alignas(BENCH_LINE) int quit;
} BENCH_FN(shared);

static bench_sample BENCH_FN(alone)(const bench_row *row) {
    bench_sample sample = {0, 0};
    BENCH_LOOP(sample.value, row, 2048, {
        PEER_INIT(&BENCH_FN(shared).ping[0].latch);
        PEER_DONE(&BENCH_FN(shared).ping[0].latch);
        PEER_WAIT(&BENCH_FN(shared).ping[0].latch);
    });
    return sample;
}

static bench_sample BENCH_FN(wait_open)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_T *latch = &BENCH_FN(shared).ping[0].latch;
    PEER_INIT(latch);
    PEER_DONE(latch);
    BENCH_LOOP(sample.value, row, 8192, { BENCH_X8(PEER_WAIT(latch)); });
    sample.value /= 8;
    return sample;
}

/* Thread 0 makes a pair of latches anew two round trips before its turn comes, when the calls of
   two round trips ago have all returned. */
static void BENCH_FN(ping_body)(const bench_row *row, int i) {
    uint64_t count = 0;
    (void)row;
    if (i == 0) {
        const double start = bench_now();
        bool stop = false;
        do {
            stop = bench_stopped();
            for (int trip = 0; trip < BENCH_TRIPS; trip++) {
                const uint64_t now = count % 4, later = (count + 2) % 4;
                PEER_INIT(&BENCH_FN(shared).ping[later].latch);
                PEER_INIT(&BENCH_FN(shared).pong[later].latch);
                if (stop && trip == BENCH_TRIPS - 1) {
                    __atomic_store_n(&BENCH_FN(shared).quit, 1, __ATOMIC_RELAXED);
                }
                PEER_DONE(&BENCH_FN(shared).ping[now].latch);
                PEER_WAIT(&BENCH_FN(shared).pong[now].latch);
                count++;
            }
        } while (!stop);
        bench_slots[0].ns = bench_now() - start;
    } else {
        bool stop = false;
        while (!stop) {
            PEER_WAIT(&BENCH_FN(shared).ping[count % 4].latch);
            stop = __atomic_load_n(&BENCH_FN(shared).quit, __ATOMIC_RELAXED) != 0;
            PEER_DONE(&BENCH_FN(shared).pong[count % 4].latch);
            count++;
        }
    }
    bench_slots[i].count = count;
}

static bench_sample BENCH_FN(ping_pong)(const bench_row *row) {
    bench_sample sample = {0, 0};
    for (int i = 0; i < 2; i++) {
        PEER_INIT(&BENCH_FN(shared).ping[i].latch);
        PEER_INIT(&BENCH_FN(shared).pong[i].latch);
    }
    BENCH_FN(shared).quit = 0;
    bench_team(row, BENCH_FN(ping_body));
    if (bench_slots[0].count == 0 || bench_slots[0].count != bench_slots[1].count) {
        bench_fail("the two threads did not take turns");
    }
    sample.value = bench_slots[0].ns / (double)bench_slots[0].count;
    return sample;
}

static void BENCH_FN(idle_body)(void) {
    PEER_WAIT(&BENCH_FN(shared).ping[0].latch);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).ping[0].latch);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_DONE(&BENCH_FN(shared).ping[0].latch);
    sample.value = bench_idle_end(row);
    return sample;
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_T), 0};
    (void)row;
    return sample;
}

static void BENCH_FN(add)(void) {
    bench_add(ROW_ALONE, PEER_NAME, PEER_KIND, BENCH_FN(alone));
    bench_add(ROW_WAIT_OPEN, PEER_NAME, PEER_KIND, BENCH_FN(wait_open));
    bench_add(ROW_PING_PONG, PEER_NAME, PEER_KIND, BENCH_FN(ping_pong));
    bench_add(ROW_PING_PONG_ONE_CPU, PEER_NAME, PEER_KIND, BENCH_FN(ping_pong));
    bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_INIT
#undef PEER_DONE
#undef PEER_WAIT
#endif
