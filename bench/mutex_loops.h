/* mutex_loops.h - the loops of bench_mutex for one peer. Before each inclusion define

       PEER               identifier, part of the names of the functions made here
       PEER_NAME          what the table shows
       PEER_KIND          BENCH_KIT, BENCH_PEER or BENCH_SPIN
       PEER_T             type of the lock
       PEER_INIT(l)       make it ready; it is static and zeroed, and it may have been used before
       PEER_LOCK(l, n)    acquire and release; n is a PEER_NODE_T * of the calling thread,
       PEER_UNLOCK(l, n)  the same for both
       PEER_NODE_T        only for locks that want a node of each thread: its type

   and get add_PEER(), which adds all cases. C and C++. */
#ifndef BENCH_MUTEX_ROWS_INCLUDED
#define BENCH_MUTEX_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_UNCONTENDED,
    ROW_WORK_2,
    ROW_WORK_4,
    ROW_BARE_2,
    ROW_BARE_4,
    ROW_IDLE,
    ROW_SIZE,
    ROW_COUNT,
};
#endif

#ifdef PEER
#ifndef PEER_NODE_T
#  define PEER_NODE_T char
#endif

// The data stands beside its lock, as in most programs.
static struct {
    alignas(BENCH_LINE) PEER_T lock;
    uint64_t counter;
} BENCH_FN(shared);

static bench_sample BENCH_FN(uncontended)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_NODE_T node;
    (void)node;
    PEER_INIT(&BENCH_FN(shared).lock);
    BENCH_LOOP(sample.value, row, 8192, {
        PEER_LOCK(&BENCH_FN(shared).lock, &node);
        PEER_UNLOCK(&BENCH_FN(shared).lock, &node);
    });
    return sample;
}

static void BENCH_FN(contend_body)(const bench_row *row, int i) {
    const unsigned steps = bench_work_steps(row);
    uintptr_t zero = bench_zero();
    uint32_t random = (uint32_t)i;
    uint64_t count = 0;
    PEER_NODE_T node;
    (void)node;
    while (!bench_stopped()) {
        PEER_T *lock = (PEER_T *)((uintptr_t)&BENCH_FN(shared).lock + zero);
        PEER_LOCK(lock, &node);
        const uint64_t data = ++BENCH_FN(shared).counter;
        PEER_UNLOCK(lock, &node);
        count++;
        if (steps != 0) {
            zero = bench_work(bench_vary(&random, steps), zero, data);
        }
    }
    bench_slots[i].count = count;
}

static bench_sample BENCH_FN(contend)(const bench_row *row) {
    PEER_INIT(&BENCH_FN(shared).lock);
    BENCH_FN(shared).counter = 0;
    const double ns = bench_team(row, BENCH_FN(contend_body));
    return bench_team_sample(row, ns, BENCH_FN(shared).counter);
}

static void BENCH_FN(idle_body)(void) {
    PEER_NODE_T node;
    (void)node;
    PEER_LOCK(&BENCH_FN(shared).lock, &node);
    PEER_UNLOCK(&BENCH_FN(shared).lock, &node);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_NODE_T node;
    (void)node;
    PEER_INIT(&BENCH_FN(shared).lock);
    PEER_LOCK(&BENCH_FN(shared).lock, &node);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_UNLOCK(&BENCH_FN(shared).lock, &node);
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
    for (int row = ROW_WORK_2; row <= ROW_BARE_4; row++) {
        bench_add(row, PEER_NAME, PEER_KIND, BENCH_FN(contend));
    }
    bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_INIT
#undef PEER_LOCK
#undef PEER_UNLOCK
#undef PEER_NODE_T
#endif
