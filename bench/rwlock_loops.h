/* rwlock_loops.h - the loops of bench_rwlock for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND             as in mutex_loops.h
       PEER_T                                 type of the lock
       PEER_INIT(l)                           make it ready; it is static and zeroed, and it may
                                              have been used before
       PEER_READ_LOCK(l), PEER_READ_UNLOCK(l)
       PEER_WRITE_LOCK(l), PEER_WRITE_UNLOCK(l)

   and get add_PEER(). C and C++. */
#ifndef BENCH_RWLOCK_ROWS_INCLUDED
#define BENCH_RWLOCK_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_READ,
    ROW_WRITE,
    ROW_READ_2,
    ROW_90_2,
    ROW_90_4,
    ROW_50_2,
    ROW_50_4,
    ROW_IDLE,
    ROW_SIZE,
    ROW_COUNT,
};
#endif

#ifdef PEER
// The data stands beside its lock, as in most programs; a reader must find the two values equal.
static struct {
    alignas(BENCH_LINE) PEER_T lock;
    uint64_t left, right;
    alignas(BENCH_LINE) uint64_t reads;
    uint64_t writes;
    unsigned percent; // how many of 100 operations write
} BENCH_FN(shared);

static bench_sample BENCH_FN(read_alone)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).lock);
    BENCH_LOOP(sample.value, row, 8192, {
        PEER_READ_LOCK(&BENCH_FN(shared).lock);
        PEER_READ_UNLOCK(&BENCH_FN(shared).lock);
    });
    return sample;
}

static bench_sample BENCH_FN(write_alone)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).lock);
    BENCH_LOOP(sample.value, row, 8192, {
        PEER_WRITE_LOCK(&BENCH_FN(shared).lock);
        PEER_WRITE_UNLOCK(&BENCH_FN(shared).lock);
    });
    return sample;
}

static void BENCH_FN(mix_body)(const bench_row *row, int i) {
    const unsigned steps = bench_work_steps(row);
    const unsigned percent = BENCH_FN(shared).percent;
    uintptr_t zero = bench_zero();
    uint32_t random = (uint32_t)i;
    uint64_t reads = 0, writes = 0;
    while (!bench_stopped()) {
        PEER_T *lock = (PEER_T *)((uintptr_t)&BENCH_FN(shared).lock + zero);
        uint64_t data;
        if (percent != 0 && bench_vary(&random, 50) < percent) {
            PEER_WRITE_LOCK(lock);
            data = ++BENCH_FN(shared).left;
            BENCH_FN(shared).right++;
            PEER_WRITE_UNLOCK(lock);
            writes++;
        } else {
            PEER_READ_LOCK(lock);
            data = BENCH_FN(shared).left;
            const uint64_t right = BENCH_FN(shared).right;
            PEER_READ_UNLOCK(lock);
            if (data != right) {
                bench_fail("a reader was let in beside a writer");
            }
            reads++;
        }
        if (steps != 0) {
            zero = bench_work(bench_vary(&random, steps), zero, data);
        }
    }
    bench_slots[i].count = reads + writes;
    __atomic_fetch_add(&BENCH_FN(shared).reads, reads, __ATOMIC_RELAXED);
    __atomic_fetch_add(&BENCH_FN(shared).writes, writes, __ATOMIC_RELAXED);
}

static bench_sample BENCH_FN(mix)(const bench_row *row, unsigned percent) {
    PEER_INIT(&BENCH_FN(shared).lock);
    BENCH_FN(shared).left = BENCH_FN(shared).right = 0;
    BENCH_FN(shared).reads = BENCH_FN(shared).writes = 0;
    BENCH_FN(shared).percent = percent;
    const double ns = bench_team(row, BENCH_FN(mix_body));
    if (BENCH_FN(shared).left != BENCH_FN(shared).writes) {
        bench_fail("the lock let two writers in");
    }
    return bench_team_sample(row, ns, BENCH_FN(shared).reads + BENCH_FN(shared).writes);
}

static bench_sample BENCH_FN(read_only)(const bench_row *row) {
    return BENCH_FN(mix)(row, 0);
}

static bench_sample BENCH_FN(mix_90)(const bench_row *row) {
    return BENCH_FN(mix)(row, 10);
}

static bench_sample BENCH_FN(mix_50)(const bench_row *row) {
    return BENCH_FN(mix)(row, 50);
}

static void BENCH_FN(idle_body)(void) {
    PEER_READ_LOCK(&BENCH_FN(shared).lock);
    PEER_READ_UNLOCK(&BENCH_FN(shared).lock);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).lock);
    PEER_WRITE_LOCK(&BENCH_FN(shared).lock);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_WRITE_UNLOCK(&BENCH_FN(shared).lock);
    sample.value = bench_idle_end(row);
    return sample;
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_T), 0};
    (void)row;
    return sample;
}

static void BENCH_FN(add)(void) {
    bench_add(ROW_READ, PEER_NAME, PEER_KIND, BENCH_FN(read_alone));
    bench_add(ROW_WRITE, PEER_NAME, PEER_KIND, BENCH_FN(write_alone));
    bench_add(ROW_READ_2, PEER_NAME, PEER_KIND, BENCH_FN(read_only));
    bench_add(ROW_90_2, PEER_NAME, PEER_KIND, BENCH_FN(mix_90));
    bench_add(ROW_90_4, PEER_NAME, PEER_KIND, BENCH_FN(mix_90));
    bench_add(ROW_50_2, PEER_NAME, PEER_KIND, BENCH_FN(mix_50));
    bench_add(ROW_50_4, PEER_NAME, PEER_KIND, BENCH_FN(mix_50));
    bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_INIT
#undef PEER_READ_LOCK
#undef PEER_READ_UNLOCK
#undef PEER_WRITE_LOCK
#undef PEER_WRITE_UNLOCK
#endif
