/* parallel.h - what bench_parallel asks of a peer, and the work it is given. C and C++. */
#ifndef BENCH_PARALLEL_INCLUDED
#define BENCH_PARALLEL_INCLUDED
#include "bench.h"

/* A board of n-queens: one queen in each of the first `rows` rows. Small, so that a task takes it
   along by value. */
enum { PAR_QUEENS = 11 };
typedef struct par_board {
    signed char rows;
    signed char queen[15];
} par_board;

/* A peer. What it cannot do is NULL. */
typedef struct par_peer {
    const char *name;
    bench_kind kind;
    void (*start)(int workers); /* so many threads work, the calling one among them or not */
    void (*stop)(void);

    /* The Fibonacci number: each call whose n is 2 or more forks one of its two, and joins it. */
    uint64_t (*fib)(int n);

    /* Solutions from this board on: a task for each place where the next queen fits. */
    uint64_t (*queens)(par_board board);

    uint64_t (*sum)(const uint64_t *items, size_t n);
    void (*in_place)(uint64_t *items, size_t n); /* par_step for each */
    double (*reduce)(const double *items, size_t n);
    void (*sort)(int *items, size_t n);
    void (*scan)(const uint64_t *items, uint64_t *to, size_t n); /* inclusive sums */
} par_peer;

/* Put a queen into the next row. Does it fit? */
static inline bool par_place(par_board *board, int column) {
    const int row = board->rows++;
    board->queen[row] = (signed char)column;
    for (int i = 0; i < row; i++) {
        const int aside = board->queen[i] - column;
        if (aside == 0 || aside == row - i || aside == i - row) {
            return false;
        }
    }
    return true;
}

static inline uint64_t par_step(uint64_t item) {
    return item * 5 + 1;
}

static inline uint64_t par_sum(const uint64_t *items, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += items[i];
    }
    return sum;
}

static inline void par_in_place(uint64_t *items, size_t n) {
    for (size_t i = 0; i < n; i++) {
        items[i] = par_step(items[i]);
    }
}

#ifdef __cplusplus
extern "C"
#endif
    bench_sample
    par_measure(const par_peer *peer, const bench_row *row);

#ifdef __cplusplus
extern "C"
#endif
    void
    par_add(const par_peer *peer, bench_fn fn);

/* add_PEER() for the par_peer of that name. */
#define PAR_PEER(peer)                                                 \
  static bench_sample BENCH_CAT(measure, peer)(const bench_row *row) { \
    return par_measure(&(peer), row);                                  \
  }                                                                    \
  static void BENCH_CAT(add, peer)(void) {                             \
    par_add(&(peer), measure_##peer);                                  \
  }

#endif
