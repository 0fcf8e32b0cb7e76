/* thread_loops.h - the loops of bench_thread for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_T                       what stands for a thread
       PEER_START(t)                start one that does nothing
       PEER_START_WAITING(t)        start one that waits for bench_gate_wait
       PEER_JOIN(t)                 wait for its end and give back what it used

   and get add_PEER(). C and C++. */
#ifndef BENCH_THREAD_ROWS_INCLUDED
#define BENCH_THREAD_ROWS_INCLUDED
#include "bench.h"

#include <semaphore.h>

enum {
    ROW_ONE,
    ROW_ONE_ONE_CPU,
    ROW_FOUR,
    ROW_IDLE,
    ROW_COUNT,
};

// Defined in bench_thread.c.
#ifdef __cplusplus
extern "C" sem_t bench_gate;
#else
extern sem_t bench_gate;
#endif
static inline void bench_gate_wait(void) {
    while (sem_wait(&bench_gate) != 0) {
    }
}
#endif

#ifdef PEER
static PEER_T BENCH_FN(threads)[4];

static bench_sample BENCH_FN(one)(const bench_row *row) {
    bench_sample sample = {0, 0};
    bench_pin(row->place, 0);
    BENCH_LOOP(sample.value, row, 16, {
        PEER_START(&BENCH_FN(threads)[0]);
        PEER_JOIN(&BENCH_FN(threads)[0]);
    });
    bench_unpin();
    return sample;
}

static bench_sample BENCH_FN(four)(const bench_row *row) {
    bench_sample sample = {0, 0};
    BENCH_LOOP(sample.value, row, 4, {
        for (int i = 0; i < 4; i++) {
            PEER_START(&BENCH_FN(threads)[i]);
        }
        for (int i = 0; i < 4; i++) {
            PEER_JOIN(&BENCH_FN(threads)[i]);
        }
    });
    return sample;
}

static void BENCH_FN(idle_body)(void) {
    PEER_JOIN(&BENCH_FN(threads)[0]);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_START_WAITING(&BENCH_FN(threads)[0]);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    sem_post(&bench_gate);
    sample.value = bench_idle_end(row);
    return sample;
}

static void BENCH_FN(add)(void) {
    bench_add(ROW_ONE, PEER_NAME, PEER_KIND, BENCH_FN(one));
    bench_add(ROW_ONE_ONE_CPU, PEER_NAME, PEER_KIND, BENCH_FN(one));
    bench_add(ROW_FOUR, PEER_NAME, PEER_KIND, BENCH_FN(four));
    bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_START
#undef PEER_START_WAITING
#undef PEER_JOIN
#endif
