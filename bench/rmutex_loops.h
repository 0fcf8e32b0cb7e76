/* rmutex_loops.h - the loops of bench_rmutex for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_T                       type of the lock
       PEER_INIT(l)                 make it ready; it is static and may have been used before
       PEER_LOCK(l), PEER_UNLOCK(l)

   and get add_PEER(). C and C++. */
#ifndef BENCH_RMUTEX_ROWS_INCLUDED
#define BENCH_RMUTEX_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_UNCONTENDED,
    ROW_NESTED,
    ROW_WORK_2,
    ROW_WORK_4,
    ROW_SIZE,
    ROW_COUNT,
};
#endif

#ifdef PEER
// The data stands beside its lock, as in most programs.
static struct {
    alignas(BENCH_LINE) PEER_T lock;
    uint64_t counter;
} BENCH_FN(shared);

static bench_sample BENCH_FN(uncontended)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).lock);
    BENCH_LOOP(sample.value, row, 8192, {
        PEER_LOCK(&BENCH_FN(shared).lock);
        PEER_UNLOCK(&BENCH_FN(shared).lock);
    });
    return sample;
}

static bench_sample BENCH_FN(nested)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).lock);
    PEER_LOCK(&BENCH_FN(shared).lock);
    BENCH_LOOP(sample.value, row, 8192, {
        PEER_LOCK(&BENCH_FN(shared).lock);
        PEER_UNLOCK(&BENCH_FN(shared).lock);
    });
    PEER_UNLOCK(&BENCH_FN(shared).lock);
    return sample;
}

static void BENCH_FN(contend_body)(const bench_row *row, int i) {
    const unsigned steps = bench_work_steps(row);
    uintptr_t zero = bench_zero();
    uint32_t random = (uint32_t)i;
    uint64_t count = 0;
    while (!bench_stopped()) {
        PEER_T *lock = (PEER_T *)((uintptr_t)&BENCH_FN(shared).lock + zero);
        PEER_LOCK(lock);
        const uint64_t data = ++BENCH_FN(shared).counter;
        PEER_UNLOCK(lock);
        count++;
        zero = bench_work(bench_vary(&random, steps), zero, data);
    }
    bench_slots[i].count = count;
}

static bench_sample BENCH_FN(contend)(const bench_row *row) {
    PEER_INIT(&BENCH_FN(shared).lock);
    BENCH_FN(shared).counter = 0;
    const double ns = bench_team(row, BENCH_FN(contend_body));
    return bench_team_sample(row, ns, BENCH_FN(shared).counter);
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_T), 0};
    (void)row;
    return sample;
}

static void BENCH_FN(add)(void) {
    bench_add(ROW_UNCONTENDED, PEER_NAME, PEER_KIND, BENCH_FN(uncontended));
    bench_add(ROW_NESTED, PEER_NAME, PEER_KIND, BENCH_FN(nested));
    bench_add(ROW_WORK_2, PEER_NAME, PEER_KIND, BENCH_FN(contend));
    bench_add(ROW_WORK_4, PEER_NAME, PEER_KIND, BENCH_FN(contend));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_INIT
#undef PEER_LOCK
#undef PEER_UNLOCK
#endif
