/* parallel_kit.h - cthreads as a peer of bench_parallel. */
#ifndef BENCH_PARALLEL_KIT_INCLUDED
#define BENCH_PARALLEL_KIT_INCLUDED
#include "parallel.h"
#include "cthreads.h"

static cth_team *kit_team;

static void kit_must(cth_status status) {
    if (status != CTH_OK) {
        bench_fail(cth_status_name(status));
    }
}

/* The calling thread is one of them. */
static void kit_start(int workers) {
    kit_must(cth_team_create(&kit_team, &(cth_team_desc){.workers = (uint32_t)workers}));
}

static void kit_stop(void) {
    cth_team_release(kit_team);
}

static uint64_t kit_fib_task(cth_forks forks, int n);
CTH_FORK_OF(uint64_t, int, kit_fib_task);

static uint64_t kit_fib_task(cth_forks forks, int n) {
    if (n < 2) {
        return (uint64_t)n;
    }
    kit_fib_task_fork(&forks, n - 1);
    const uint64_t other = kit_fib_task(forks, n - 2);
    return kit_fib_task_join(&forks) + other;
}

typedef struct kit_fib_call {
    int n;
    uint64_t result;
} kit_fib_call;

static cth_status kit_fib_root(cth_forks forks, void *arg) {
    kit_fib_call *call = (kit_fib_call *)arg;
    call->result = kit_fib_task(forks, call->n);
    return CTH_OK;
}

static uint64_t kit_fib(int n) {
    kit_fib_call call = {n, 0};
    kit_must(cth_parallel(kit_team, kit_fib_root, &call));
    return call.result;
}

static uint64_t kit_queens_task(cth_forks forks, par_board board);
CTH_FORK_OF(uint64_t, par_board, kit_queens_task);

static uint64_t kit_queens_task(cth_forks forks, par_board board) {
    uint64_t sum = 0;
    int open = 0;
    if (board.rows == PAR_QUEENS) {
        return 1;
    }
    for (int column = 0; column < PAR_QUEENS; column++) {
        par_board next = board;
        if (par_place(&next, column)) {
            kit_queens_task_fork(&forks, next);
            open++;
        }
    }
    while (open-- > 0) {
        sum += kit_queens_task_join(&forks);
    }
    return sum;
}

typedef struct kit_queens_call {
    par_board board;
    uint64_t result;
} kit_queens_call;

static cth_status kit_queens_root(cth_forks forks, void *arg) {
    kit_queens_call *call = (kit_queens_call *)arg;
    call->result = kit_queens_task(forks, call->board);
    return CTH_OK;
}

static uint64_t kit_queens(par_board board) {
    kit_queens_call call = {board, 0};
    kit_must(cth_parallel(kit_team, kit_queens_root, &call));
    return call.result;
}

static cth_status kit_sum_range(void *arg, size_t from, size_t to, void *acc) {
    *(uint64_t *)acc += par_sum((const uint64_t *)arg + from, to - from);
    return CTH_OK;
}

static void kit_sum_join(void *arg, void *left, const void *right) {
    (void)arg;
    *(uint64_t *)left += *(const uint64_t *)right;
}

static uint64_t kit_sum(const uint64_t *items, size_t n) {
    static const cth_reduction add = {
        .size = sizeof(uint64_t), .range = kit_sum_range, .join = kit_sum_join};
    uint64_t sum = 0;
    kit_must(cth_reduce(kit_team, n, &add, (void *)(uintptr_t)items, &sum));
    return sum;
}

static cth_status kit_in_place_range(void *arg, size_t from, size_t to) {
    par_in_place((uint64_t *)arg + from, to - from);
    return CTH_OK;
}

static void kit_in_place(uint64_t *items, size_t n) {
    kit_must(cth_parallel_for(kit_team, n, 0, kit_in_place_range, items));
}

static cth_status kit_reduce_range(void *arg, size_t from, size_t to, void *acc) {
    const double *items = (const double *)arg;
    double sum = 0;
    for (size_t i = from; i < to; i++) {
        sum += items[i];
    }
    *(double *)acc += sum;
    return CTH_OK;
}

static void kit_reduce_join(void *arg, void *left, const void *right) {
    (void)arg;
    *(double *)left += *(const double *)right;
}

static double kit_reduce(const double *items, size_t n) {
    static const cth_reduction add = {
        .size = sizeof(double), .range = kit_reduce_range, .join = kit_reduce_join};
    double sum = 0;
    kit_must(cth_reduce(kit_team, n, &add, (void *)(uintptr_t)items, &sum));
    return sum;
}

static int kit_compare(const void *a, const void *b) {
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* With a comparison function, as qsort. */
static void kit_sort(int *items, size_t n) {
    kit_must(cth_sort(kit_team, items, n, sizeof *items, kit_compare));
}

static void kit_stable_sort(int *items, size_t n) {
    kit_must(cth_stable_sort(kit_team, items, n, sizeof *items, kit_compare));
}

CTH_SORT_OF(int, kit_ints, *a < *b);

/* Typed: the comparison is inlined. */
static void kit_sort_typed(int *items, size_t n) {
    kit_must(kit_ints(kit_team, items, n));
}

static void kit_stable_typed(int *items, size_t n) {
    kit_must(kit_ints_stable(kit_team, items, n));
}

typedef struct kit_scan_arg {
    const uint64_t *items;
    uint64_t *to;
} kit_scan_arg;

static cth_status kit_scan_range(void *arg, size_t from, size_t to, void *acc) {
    const kit_scan_arg *scan = (const kit_scan_arg *)arg;
    *(uint64_t *)acc += par_sum(scan->items + from, to - from);
    return CTH_OK;
}

static cth_status kit_scan_write(void *arg, size_t from, size_t to, void *before) {
    const kit_scan_arg *scan = (const kit_scan_arg *)arg;
    uint64_t sum = *(uint64_t *)before;
    for (size_t i = from; i < to; i++) {
        sum += scan->items[i];
        scan->to[i] = sum;
    }
    return CTH_OK;
}

static void kit_scan(const uint64_t *items, uint64_t *to, size_t n) {
    static const cth_reduction add = {
        .size = sizeof(uint64_t), .range = kit_scan_range, .join = kit_sum_join};
    kit_scan_arg arg = {items, to};
    kit_must(cth_scan(kit_team, n, &add, kit_scan_write, &arg));
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

static const par_peer cthreads_stable = {
    .name = "cthreads, stable",
    .kind = BENCH_KIT,
    .start = kit_start,
    .stop = kit_stop,
    .sort = kit_stable_sort,
};
PAR_PEER(cthreads_stable)

static const par_peer cthreads_stable_typed = {
    .name = "cthreads, stable, typed",
    .kind = BENCH_KIT,
    .start = kit_start,
    .stop = kit_stop,
    .sort = kit_stable_typed,
};
PAR_PEER(cthreads_stable_typed)

static void add_kit(void) {
    add_cthreads();
    add_cthreads_typed();
    add_cthreads_stable();
    add_cthreads_stable_typed();
}
#endif
