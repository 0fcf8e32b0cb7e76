/* once_loops.h - the loops of bench_once for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_CALL(o)                 run once_work() unless that is done; o is a PEER_T *
       PEER_T                       only for what is an object of its own: its type
       PEER_INIT(o)                 with PEER_T: make it ready, not yet run

   and get add_PEER(). Without PEER_T only the call of what is done is measured. C and C++. */
#ifndef BENCH_ONCE_ROWS_INCLUDED
#define BENCH_ONCE_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_DONE,
    ROW_FIRST,
    ROW_SIZE,
    ROW_COUNT,
};

// How often the peers have run it, in this file.
static uint64_t once_runs;

static inline void once_work(void) {
    once_runs++;
}
#endif

#ifdef PEER
#ifdef PEER_T
static struct { alignas(BENCH_LINE) PEER_T once; } BENCH_FN(shared);
#  define PEER_OBJECT (&BENCH_FN(shared).once)
#else
#  define PEER_OBJECT NULL
#endif

static bench_sample BENCH_FN(done)(const bench_row *row) {
    bench_sample sample = {0, 0};
#ifdef PEER_T
    PEER_INIT(PEER_OBJECT);
#endif
    PEER_CALL(PEER_OBJECT);
    const uint64_t runs = once_runs;
    BENCH_LOOP(sample.value, row, 8192, { BENCH_X8(PEER_CALL(PEER_OBJECT)); });
    if (runs == 0 || once_runs != runs) {
        bench_fail("it ran again, or never");
    }
    sample.value /= 8;
    return sample;
}

#ifdef PEER_T
static bench_sample BENCH_FN(first)(const bench_row *row) {
    bench_sample sample = {0, 0};
    uint64_t calls = 0;
    const uint64_t runs = once_runs;
    BENCH_LOOP(sample.value, row, 2048, {
        PEER_INIT(PEER_OBJECT);
        PEER_CALL(PEER_OBJECT);
        calls++;
    });
    if (once_runs - runs != calls) {
        bench_fail("it did not run with each first call");
    }
    return sample;
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_T), 0};
    (void)row;
    return sample;
}
#endif

static void BENCH_FN(add)(void) {
    bench_add(ROW_DONE, PEER_NAME, PEER_KIND, BENCH_FN(done));
#ifdef PEER_T
    bench_add(ROW_FIRST, PEER_NAME, PEER_KIND, BENCH_FN(first));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
#endif
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_CALL
#undef PEER_T
#undef PEER_INIT
#undef PEER_OBJECT
#endif
