/* barrier_loops.h - the loops of bench_barrier for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_WAIT(b, n)              meet the others; b is a PEER_T *, n a PEER_NODE_T * of the
                                    calling thread, zeroed at first
       PEER_T                       type of the barrier
       PEER_INIT(b, parties)        make it ready; it may have been used before
       PEER_NODE_T                  only for barriers that keep a state in each thread: its type
       PEER_TEAM(row, body)         only for barriers that belong to a team of threads, instead of
                                    PEER_T and PEER_INIT: have row->threads threads run the body

   and get add_PEER(). C and C++. */
#ifndef BENCH_BARRIER_ROWS_INCLUDED
#define BENCH_BARRIER_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_MEET_2,
    ROW_MEET_4,
    ROW_MEET_2_ONE_CPU,
    ROW_IDLE,
    ROW_SIZE,
    ROW_COUNT,
};
#endif

#ifdef PEER
#ifndef PEER_NODE_T
#  define PEER_NODE_T char
#endif

static struct {
#ifdef PEER_T
    alignas(BENCH_LINE) PEER_T barrier;
#endif
    alignas(BENCH_LINE) int quit;
} BENCH_FN(shared);
#ifdef PEER_T
#  define PEER_OBJECT (&BENCH_FN(shared).barrier)
#else
#  define PEER_OBJECT NULL
#endif

/* Only thread 0 looks at the stop flag, as all have to leave after the same meeting. With the first
   meeting of each batch every thread looks whether another one has come as far as itself. */
static void BENCH_FN(meet_body)(const bench_row *row, int i) {
    const int other = (i + 1) % row->threads;
    PEER_NODE_T node = {0};
    uint64_t count = 0;
    (void)node;
    PEER_WAIT(PEER_OBJECT, &node);
    const double start = bench_now();
    for (;;) {
        count++;
        __atomic_store_n(&bench_slots[i].count, count, __ATOMIC_RELAXED);
        if (i == 0) {
            __atomic_store_n(&BENCH_FN(shared).quit, bench_stopped(), __ATOMIC_RELAXED);
        }
        PEER_WAIT(PEER_OBJECT, &node);
        if (__atomic_load_n(&bench_slots[other].count, __ATOMIC_RELAXED) != count) {
            bench_fail("the barrier let a thread through");
        }
        if (__atomic_load_n(&BENCH_FN(shared).quit, __ATOMIC_RELAXED) != 0) {
            break;
        }
        for (int trip = 1; trip < BENCH_TRIPS; trip++) {
            PEER_WAIT(PEER_OBJECT, &node);
        }
        count += BENCH_TRIPS - 1;
    }
    bench_slots[i].ns = bench_now() - start;
}

static bench_sample BENCH_FN(meet)(const bench_row *row) {
    bench_sample sample = {0, 0};
#ifdef PEER_TEAM
    PEER_TEAM(row, BENCH_FN(meet_body));
#else
    PEER_INIT(PEER_OBJECT, row->threads);
    bench_team(row, BENCH_FN(meet_body));
#endif
    for (int i = 0; i < row->threads; i++) {
        if (bench_slots[i].count == 0 || bench_slots[i].count != bench_slots[0].count) {
            bench_fail("not all threads came to all meetings");
        }
    }
    sample.value = bench_slots[0].ns / (double)bench_slots[0].count;
    return sample;
}

#ifdef PEER_T
static void BENCH_FN(idle_body)(void) {
    PEER_NODE_T node = {0};
    (void)node;
    PEER_WAIT(PEER_OBJECT, &node);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_NODE_T node = {0};
    (void)node;
    PEER_INIT(PEER_OBJECT, 2);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_WAIT(PEER_OBJECT, &node);
    sample.value = bench_idle_end(row);
    return sample;
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_T), 0};
    (void)row;
    return sample;
}
#endif

static void BENCH_FN(add)(void) {
    for (int row = ROW_MEET_2; row <= ROW_MEET_2_ONE_CPU; row++) {
        bench_add(row, PEER_NAME, PEER_KIND, BENCH_FN(meet));
    }
#ifdef PEER_T
    bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
#endif
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_INIT
#undef PEER_WAIT
#undef PEER_NODE_T
#undef PEER_TEAM
#undef PEER_OBJECT
#endif
