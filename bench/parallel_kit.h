/* parallel_kit.h - cthreads as a peer of bench_parallel. */
#ifndef BENCH_PARALLEL_KIT_INCLUDED
#define BENCH_PARALLEL_KIT_INCLUDED
#include "parallel.h"
#include "cthreads.h"

/* BENCH_HAVE_KIT_PARALLEL: cthreads.h has its parallel section, and these functions call it. Until
   then each gives a wrong answer, which bench_parallel would see. */
#ifdef BENCH_HAVE_KIT_PARALLEL

/* So many threads work: the calling one counts if it does. */
static void kit_start(int workers) {
    (void)workers;
}

static void kit_stop(void) {}

static uint64_t kit_fib(int n) {
    (void)n;
    return 0;
}

static uint64_t kit_queens(par_board board) {
    (void)board;
    return 0;
}

static uint64_t kit_sum(const uint64_t *items, size_t n) {
    (void)items;
    (void)n;
    return 0;
}

static void kit_in_place(uint64_t *items, size_t n) {
    (void)items;
    (void)n;
}

static double kit_reduce(const double *items, size_t n) {
    (void)items;
    (void)n;
    return 0;
}

/* With a comparison function, as qsort. */
static void kit_sort(int *items, size_t n) {
    (void)items;
    (void)n;
}

/* Typed: the comparison is inlined. */
static void kit_sort_typed(int *items, size_t n) {
    (void)items;
    (void)n;
}

static void kit_scan(const uint64_t *items, uint64_t *to, size_t n) {
    (void)items;
    (void)to;
    (void)n;
}

static const par_peer cthreads = {
    .name = "cthreads",
    .kind = BENCH_KIT,
    .start = kit_start,
    .stop = kit_stop,
    .fib = kit_fib,
    .queens = kit_queens,
    .sum = kit_sum,
    .in_place = kit_in_place,
    .reduce = kit_reduce,
    .sort = kit_sort,
    .scan = kit_scan,
};
PAR_PEER(cthreads)

static const par_peer cthreads_typed = {
    .name = "cthreads, typed",
    .kind = BENCH_KIT,
    .start = kit_start,
    .stop = kit_stop,
    .sort = kit_sort_typed,
};
PAR_PEER(cthreads_typed)

static void add_kit(void) {
    add_cthreads();
    add_cthreads_typed();
}

#else
static void add_kit(void) {}
#endif
#endif
