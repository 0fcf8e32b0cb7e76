/* bench_parallel.c - fork and join, loops over arrays, sorting and scanning on several CPUs, against
   the same work in one thread. */
#include "parallel.h"
#include "openmp_peers.h"
#include "parallel_kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIB = 32, ITEMS = 10000000, FEW = 1000, MAX_ROWS = 64, MAX_WORKERS = 64 };

/* What a row does: prepare the data, outside of the time; run; check what came out. */
typedef struct work {
    const char *name;
    const char *unit;
    double per;     // nanoseconds of the unit, or operations of a batch: the value is ns / per
    double seconds; // of a measurement
    int batch;      // runs between two looks at the clock
    bool plotted;   // for all numbers of workers
    bool (*can)(const par_peer *peer);
    void (*prepare)(void);
    void (*run)(const par_peer *peer);
    bool (*right)(void);
} work;

/* The data; allocated with the first measurement that needs it. */
static struct {
    uint64_t *items, *to;
    double *reals;
    int *unsorted, *sorted;
    uint64_t answer;
    double real_answer;
} data;

static void *array_of(size_t size) {
    void *array = malloc(ITEMS * size);
    if (array == NULL) {
        bench_fail("no memory");
    }
    return array;
}

/* ---- fork and join ---- */

static bool can_fib(const par_peer *peer) {
    return peer->fib != NULL;
}

static void run_fib(const par_peer *peer) {
    data.answer = peer->fib(FIB);
}

static bool right_fib(void) {
    return data.answer == 2178309;
}

static bool can_queens(const par_peer *peer) {
    return peer->queens != NULL;
}

static void run_queens(const par_peer *peer) {
    data.answer = peer->queens((par_board){0});
}

static bool right_queens(void) {
    return data.answer == 2680;
}

/* ---- loops ---- */

static void make_items(void) {
    if (data.items == NULL) {
        data.items = array_of(sizeof *data.items);
        data.to = array_of(sizeof *data.to);
        for (size_t i = 0; i < ITEMS; i++) {
            data.items[i] = i;
            data.to[i] = i; // also to have the memory, before time is measured
        }
    }
}

static bool can_sum(const par_peer *peer) {
    return peer->sum != NULL;
}

static void run_sum(const par_peer *peer) {
    data.answer = peer->sum(data.items, ITEMS);
}

static bool right_sum(void) {
    return data.answer == (uint64_t)ITEMS * (ITEMS - 1) / 2;
}

static bool can_in_place(const par_peer *peer) {
    return peer->in_place != NULL;
}

static void prepare_in_place(void) {
    make_items();
    memcpy(data.to, data.items, ITEMS * sizeof *data.to);
}

static void run_in_place(const par_peer *peer) {
    peer->in_place(data.to, ITEMS);
}

static bool stepped(size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (data.to[i] != par_step(data.items[i])) {
            return false;
        }
    }
    return true;
}

static bool right_in_place(void) {
    return stepped(ITEMS);
}

static void prepare_few(void) {
    make_items();
    memcpy(data.to, data.items, FEW * sizeof *data.to);
}

static void run_few(const par_peer *peer) {
    peer->in_place(data.to, FEW);
}

static bool right_few(void) {
    return stepped(FEW);
}

static bool can_reduce(const par_peer *peer) {
    return peer->reduce != NULL;
}

static void prepare_reduce(void) {
    if (data.reals == NULL) {
        data.reals = array_of(sizeof *data.reals);
        for (size_t i = 0; i < ITEMS; i++) {
            data.reals[i] = (double)(i % 1000) / 7;
        }
    }
}

static void run_reduce(const par_peer *peer) {
    data.real_answer = peer->reduce(data.reals, ITEMS);
}

static bool right_reduce(void) {
    const double sum = (double)ITEMS / 1000 * (999.0 * 1000 / 2) / 7;
    return fabs(data.real_answer - sum) < sum * 1e-9;
}

/* ---- sort and scan ---- */

static bool can_sort(const par_peer *peer) {
    return peer->sort != NULL;
}

static void prepare_sort(void) {
    if (data.unsorted == NULL) {
        uint64_t random = 1;
        data.unsorted = array_of(sizeof *data.unsorted);
        data.sorted = array_of(sizeof *data.sorted);
        for (size_t i = 0; i < ITEMS; i++) {
            random = random * 6364136223846793005U + 1442695040888963407U;
            data.unsorted[i] = (int)(random >> 33);
        }
    }
    memcpy(data.sorted, data.unsorted, ITEMS * sizeof *data.sorted);
}

static void run_sort(const par_peer *peer) {
    peer->sort(data.sorted, ITEMS);
}

/* In order, and the same numbers: their sum and the sum of a function of each. */
static bool right_sort(void) {
    uint64_t sums[2] = {0}, squares[2] = {0};
    bool right = true;
    for (size_t i = 0; i < ITEMS; i++) {
        const uint64_t before = (uint64_t)data.unsorted[i], after = (uint64_t)data.sorted[i];
        right = right && (i == 0 || data.sorted[i - 1] <= data.sorted[i]);
        sums[0] += before;
        sums[1] += after;
        squares[0] += before * before;
        squares[1] += after * after;
    }
    return right && sums[0] == sums[1] && squares[0] == squares[1];
}

static bool can_scan(const par_peer *peer) {
    return peer->scan != NULL;
}

static void prepare_scan(void) {
    make_items();
    data.to[ITEMS - 1] = 0;
}

static void run_scan(const par_peer *peer) {
    peer->scan(data.items, data.to, ITEMS);
}

static bool right_scan(void) {
    for (uint64_t i = 0; i < ITEMS; i++) {
        if (data.to[i] != i * (i + 1) / 2) {
            return false;
        }
    }
    return true;
}

static void nothing(void) {}

static const work works[] = {
    // 2 * fib(33) - 1 calls
    {"fib(32), per call", "ns", 7049155, 0.3, 1, true, can_fib, nothing, run_fib, right_fib},
    {"n-queens 11", "ms", 1e6, 0.3, 1, true, can_queens, nothing, run_queens, right_queens},
    {"sum of 1e7 items", "ms", 1e6, 0.3, 1, true, can_sum, make_items, run_sum, right_sum},
    {"1e7 items in place", "ms", 1e6, 0.3, 1, false, can_in_place, prepare_in_place, run_in_place,
     right_in_place},
    {"1000 items in place", "ns", 64, 0.2, 64, false, can_in_place, prepare_few, run_few,
     right_few},
    {"reduce 1e7 doubles", "ms", 1e6, 0.3, 1, false, can_reduce, prepare_reduce, run_reduce,
     right_reduce},
    {"sort 1e7 ints", "ms", 1e6, 0.3, 1, true, can_sort, prepare_sort, run_sort, right_sort},
    {"scan 1e7 items", "ms", 1e6, 0.3, 1, false, can_scan, prepare_scan, run_scan, right_scan},
};
enum { WORKS = sizeof works / sizeof *works };

static bench_row rows[MAX_ROWS];
static const work *row_work[MAX_ROWS];
static char row_names[MAX_ROWS][64];
static int row_count;

bench_sample par_measure(const par_peer *peer, const bench_row *row) {
    static bench_batches batches;
    const work *w = row_work[row - rows];
    bench_sample sample = {0, 0};
    peer->start(row->threads);
    w->prepare();
    w->run(peer);
    if (!w->right()) {
        bench_fail("a wrong result");
    }
    bench_batches_open(&batches, row);
    do {
        w->prepare();
        batches.start = bench_now();
        for (int i = 0; i < w->batch; i++) {
            w->run(peer);
        }
    } while (bench_batches_next(&batches));
    sample.value = bench_batches_median(&batches) / w->per;
    peer->stop();
    return sample;
}

void par_add(const par_peer *peer, bench_fn fn) {
    for (int i = 0; i < row_count; i++) {
        if (row_work[i]->can(peer)) {
            bench_add(i, peer->name, peer->kind, fn);
        }
    }
}

static void add_row(const work *w, int workers) {
    if (row_count == MAX_ROWS) {
        return;
    }
    char *name = row_names[row_count];
    snprintf(name, sizeof row_names[0], "%s, %d worker%s", w->name, workers,
             workers == 1 ? "" : "s");
    rows[row_count] = (bench_row){.name = name,
                                  .unit = w->unit,
                                  .seconds = w->seconds,
                                  .threads = workers,
                                  .plot = w->plotted ? w->name : NULL,
                                  .x = workers};
    row_work[row_count++] = w;
}

/* With 1, 2, 4, ... workers up to the number of CPUs, and with twice as many as CPUs; or with one a
   CPU, but two at least. */
static void add_rows(const work *w) {
    const int cpus = bench_cpus() < MAX_WORKERS ? bench_cpus() : MAX_WORKERS;
    if (!w->plotted) {
        add_row(w, cpus < 2 ? 2 : cpus);
        return;
    }
    for (int workers = 1; workers < cpus; workers *= 2) {
        add_row(w, workers);
    }
    add_row(w, cpus);
    add_row(w, 2 * cpus);
}

/* ---- one thread ---- */

static void serial_start(int workers) {
    (void)workers;
}

static void serial_stop(void) {}

static uint64_t serial_fib_call(int n) {
    return n < 2 ? (uint64_t)n : serial_fib_call(n - 1) + serial_fib_call(n - 2);
}

static uint64_t serial_fib(int n) {
    return serial_fib_call(n + (int)bench_zero());
}

static uint64_t serial_queens(par_board board) {
    uint64_t sum = 0;
    if (board.rows == PAR_QUEENS) {
        return 1;
    }
    for (int column = 0; column < PAR_QUEENS; column++) {
        par_board next = board;
        if (par_place(&next, column)) {
            sum += serial_queens(next);
        }
    }
    return sum;
}

static double serial_reduce(const double *items, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += items[i];
    }
    return sum;
}

static int compare_ints(const void *a, const void *b) {
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void serial_sort(int *items, size_t n) {
    qsort(items, n, sizeof *items, compare_ints);
}

static void serial_scan(const uint64_t *items, uint64_t *to, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += items[i];
        to[i] = sum;
    }
}

static const par_peer serial = {
    .name = "one thread, C",
    .kind = BENCH_FLOOR,
    .start = serial_start,
    .stop = serial_stop,
    .fib = serial_fib,
    .queens = serial_queens,
    .sum = par_sum,
    .in_place = par_in_place,
    .reduce = serial_reduce,
    .sort = serial_sort,
    .scan = serial_scan,
};
PAR_PEER(serial)

/* ---- OpenMP ---- */

static par_peer gcc_openmp, clang_openmp;
PAR_PEER(gcc_openmp)
PAR_PEER(clang_openmp)

#ifdef BENCH_HAVE_CXX
void add_cxx_parallel(void);
#endif

int main(int argc, char **argv) {
    // The rows depend on the CPUs, which bench_start looks up.
    bench_start(argc, argv, "parallel", rows, MAX_ROWS);
    for (int i = 0; i < WORKS; i++) {
        add_rows(&works[i]);
    }
    add_kit();
    add_serial();
    if (openmp_peer(BENCH_OPENMP_GCC, "openmp_parallel", &gcc_openmp, sizeof gcc_openmp)) {
        add_gcc_openmp();
    } else {
        bench_skip("OpenMP of gcc", "not found (Debian: gcc)");
    }
    if (openmp_peer(BENCH_OPENMP_CLANG, "openmp_parallel", &clang_openmp, sizeof clang_openmp)) {
        add_clang_openmp();
    } else {
        bench_skip("OpenMP of clang", "not found (Debian: clang libomp-dev)");
    }
#ifdef BENCH_HAVE_CXX
    add_cxx_parallel();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
