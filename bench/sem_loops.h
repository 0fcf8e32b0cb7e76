/* sem_loops.h - the loops of bench_sem for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_T                       type of the semaphore
       PEER_INIT(s)                 make it ready, with a count of 0
       PEER_POST(s), PEER_WAIT(s)   raise and lower it

   and get add_PEER(). C and C++. */
#ifndef BENCH_SEM_ROWS_INCLUDED
#define BENCH_SEM_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_UNCONTENDED,
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
        alignas(BENCH_LINE) PEER_T sem;
    } ping, pong;
    alignas(BENCH_LINE) int quit;
} BENCH_FN(shared);

static bench_sample BENCH_FN(uncontended)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).ping.sem);
    BENCH_LOOP(sample.value, row, 8192, {
        PEER_POST(&BENCH_FN(shared).ping.sem);
        PEER_WAIT(&BENCH_FN(shared).ping.sem);
    });
    return sample;
}

static void BENCH_FN(ping_body)(const bench_row *row, int i) {
    (void)row;
    if (i == 0) {
        uint64_t count = 0;
        const double start = bench_now();
        while (!bench_stopped()) {
            for (int trip = 0; trip < BENCH_TRIPS; trip++) {
                PEER_POST(&BENCH_FN(shared).ping.sem);
                PEER_WAIT(&BENCH_FN(shared).pong.sem);
            }
            count += BENCH_TRIPS;
        }
        bench_slots[0].ns = bench_now() - start;
        bench_slots[0].count = count;
        __atomic_store_n(&BENCH_FN(shared).quit, 1, __ATOMIC_RELAXED);
        PEER_POST(&BENCH_FN(shared).ping.sem);
    } else {
        uint64_t count = 0;
        for (;;) {
            PEER_WAIT(&BENCH_FN(shared).ping.sem);
            if (__atomic_load_n(&BENCH_FN(shared).quit, __ATOMIC_RELAXED) != 0) {
                break;
            }
            PEER_POST(&BENCH_FN(shared).pong.sem);
            count++;
        }
        bench_slots[i].count = count;
    }
}

static bench_sample BENCH_FN(ping_pong)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).ping.sem);
    PEER_INIT(&BENCH_FN(shared).pong.sem);
    BENCH_FN(shared).quit = 0;
    bench_team(row, BENCH_FN(ping_body));
    if (bench_slots[0].count == 0 || bench_slots[0].count != bench_slots[1].count) {
        bench_fail("the two threads did not take turns");
    }
    sample.value = bench_slots[0].ns / (double)bench_slots[0].count;
    return sample;
}

static void BENCH_FN(idle_body)(void) {
    PEER_WAIT(&BENCH_FN(shared).ping.sem);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).ping.sem);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_POST(&BENCH_FN(shared).ping.sem);
    sample.value = bench_idle_end(row);
    return sample;
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_T), 0};
    (void)row;
    return sample;
}

static void BENCH_FN(add)(void) {
    bench_add(ROW_UNCONTENDED, PEER_NAME, PEER_KIND, BENCH_FN(uncontended));
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
#undef PEER_POST
#undef PEER_WAIT
#endif
