/* openmp_peers.c - OpenMP as a peer of bench_executor and bench_parallel; compiled once by gcc and
   once by clang, see openmp_peers.h. */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE // nanosleep
#endif
#include "executor.h"
#include "parallel.h"

#include <omp.h>
#include <time.h>

#ifdef __clang__
#  define NAME "OpenMP, clang's libomp"
// Its threads go on spinning for 200 ms, in case there is more to do.
enum { REST_MS = 250 };
#else
#  define NAME "OpenMP, gcc's libgomp"
enum { REST_MS = 20 };
#endif

static int team = 1;

static void start(int workers) {
    team = workers;
}

/* Let the threads fall asleep, for the sake of the next peer. */
static void stop(void) {
    nanosleep(&(struct timespec){0, REST_MS * 1000000L}, NULL);
}

/* ---- the executor ---- */

static void flood(exec_load *load, size_t tasks) {
#pragma omp parallel num_threads(team)
#pragma omp single
    for (size_t i = 0; i < tasks; i++) {
#pragma omp task
        exec_task(load);
    }
}

static uint64_t helped(uint64_t n) {
    uint64_t sum = 0;
#pragma omp parallel num_threads(team)
#pragma omp single
    for (uint64_t i = 0; i < n; i++) {
        uint64_t answer = 0;
#pragma omp task shared(answer)
        answer = exec_answer(i);
#pragma omp taskwait
        sum += answer;
    }
    return sum;
}

extern const exec_peer openmp_executor;
const exec_peer openmp_executor = {
    .name = NAME,
    .kind = BENCH_PEER,
    .start = start,
    .stop = stop,
    .flood = flood,
    .helped = helped,
};

/* ---- parallel ---- */

static uint64_t fib_task(int n) {
    uint64_t a = 0, b = 0;
    if (n < 2) {
        return (uint64_t)n;
    }
#pragma omp task shared(a)
    a = fib_task(n - 1);
    b = fib_task(n - 2);
#pragma omp taskwait
    return a + b;
}

static uint64_t fib(int n) {
    uint64_t result = 0;
#pragma omp parallel num_threads(team)
#pragma omp single
    result = fib_task(n);
    return result;
}

static uint64_t queens_task(par_board board) {
    uint64_t found[PAR_QUEENS] = {0}, sum = 0;
    if (board.rows == PAR_QUEENS) {
        return 1;
    }
    for (int column = 0; column < PAR_QUEENS; column++) {
        par_board next = board;
        if (par_place(&next, column)) {
#pragma omp task shared(found) firstprivate(next)
            found[column] = queens_task(next);
        }
    }
#pragma omp taskwait
    for (int column = 0; column < PAR_QUEENS; column++) {
        sum += found[column];
    }
    return sum;
}

static uint64_t queens(par_board board) {
    uint64_t result = 0;
#pragma omp parallel num_threads(team)
#pragma omp single
    result = queens_task(board);
    return result;
}

static uint64_t sum(const uint64_t *items, size_t n) {
    uint64_t total = 0;
#pragma omp parallel for num_threads(team) reduction(+ : total) schedule(static)
    for (size_t i = 0; i < n; i++) {
        total += items[i];
    }
    return total;
}

static void in_place(uint64_t *items, size_t n) {
#pragma omp parallel for num_threads(team) schedule(static)
    for (size_t i = 0; i < n; i++) {
        items[i] = par_step(items[i]);
    }
}

static double reduce(const double *items, size_t n) {
    double total = 0;
#pragma omp parallel for num_threads(team) reduction(+ : total) schedule(static)
    for (size_t i = 0; i < n; i++) {
        total += items[i];
    }
    return total;
}

// By hand: what the compilers make of `reduction(inscan, ...)` wants room for n values, clang's on
// the stack. Each thread sums up its part; then it knows what stands before it.
static void scan(const uint64_t *items, uint64_t *to, size_t n) {
    enum { MOST = 256 };
    static uint64_t sums[MOST];
#pragma omp parallel num_threads(team < MOST ? team : MOST)
    {
        const size_t threads = (size_t)omp_get_num_threads(), i = (size_t)omp_get_thread_num();
        const size_t from = n / threads * i, end = i + 1 == threads ? n : from + n / threads;
        uint64_t total = 0;
        sums[i] = par_sum(items + from, end - from);
#pragma omp barrier
        for (size_t before = 0; before < i; before++) {
            total += sums[before];
        }
        for (size_t at = from; at < end; at++) {
            total += items[at];
            to[at] = total;
        }
    }
}

#ifdef BENCH_HAVE_SORT
void openmp_sort(int *items, size_t n, int workers); // openmp_sort.cpp
static void sort(int *items, size_t n) {
    openmp_sort(items, n, team);
}
#endif

extern const par_peer openmp_parallel;
const par_peer openmp_parallel = {
    .name = NAME,
    .kind = BENCH_PEER,
    .start = start,
    .stop = stop,
    .fib = fib,
    .queens = queens,
    .sum = sum,
    .in_place = in_place,
    .reduce = reduce,
    .scan = scan,
#ifdef BENCH_HAVE_SORT
    .sort = sort,
#endif
};
