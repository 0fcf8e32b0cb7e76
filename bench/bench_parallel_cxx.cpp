/* bench_parallel_cxx.cpp - the C++ peers of bench_parallel. */
#include "parallel.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#ifdef BENCH_HAVE_TBB
#  include <execution>
#  include <oneapi/tbb/blocked_range.h>
#  include <oneapi/tbb/global_control.h>
#  include <oneapi/tbb/parallel_for.h>
#  include <oneapi/tbb/parallel_reduce.h>
#  include <oneapi/tbb/parallel_scan.h>
#  include <oneapi/tbb/parallel_sort.h>
#  include <oneapi/tbb/task_arena.h>
#  include <oneapi/tbb/task_group.h>
#endif
#ifdef BENCH_HAVE_TASKFLOW
#  include <taskflow/algorithm/for_each.hpp>
#  include <taskflow/algorithm/reduce.hpp>
#  include <taskflow/algorithm/scan.hpp>
#  include <taskflow/algorithm/sort.hpp>
#  include <taskflow/taskflow.hpp>
#endif

namespace {

/* ---- one thread ---- */

void std_start(int) {}

void std_stop() {}

void std_sort(int *items, size_t n) {
    std::sort(items, items + n);
}

const par_peer std_serial = {
    .name = "one thread, std::sort",
    .kind = BENCH_FLOOR,
    .start = std_start,
    .stop = std_stop,
    .fib = nullptr,
    .queens = nullptr,
    .sum = nullptr,
    .in_place = nullptr,
    .reduce = nullptr,
    .sort = std_sort,
    .scan = nullptr,
};
PAR_PEER(std_serial)

#ifdef BENCH_HAVE_TBB

/* ---- oneTBB ---- */

std::optional<tbb::global_control> tbb_control;
std::optional<tbb::task_arena> tbb_arena;

void tbb_start(int workers) {
    tbb_control.emplace(tbb::global_control::max_allowed_parallelism,
                        static_cast<std::size_t>(workers));
    tbb_arena.emplace(workers);
}

void tbb_stop() {
    tbb_arena.reset();
    tbb_control.reset();
    bench_sleep(0.02); // until its threads sleep
}

uint64_t tbb_fib_task(int n) {
    uint64_t a = 0, b = 0;
    if (n < 2) {
        return static_cast<uint64_t>(n);
    }
    tbb::task_group group;
    group.run([n, &a] { a = tbb_fib_task(n - 1); });
    b = tbb_fib_task(n - 2);
    group.wait();
    return a + b;
}

uint64_t tbb_fib(int n) {
    return tbb_arena->execute([n] { return tbb_fib_task(n); });
}

uint64_t tbb_queens_task(par_board board) {
    uint64_t found[PAR_QUEENS] = {};
    if (board.rows == PAR_QUEENS) {
        return 1;
    }
    tbb::task_group group;
    for (int column = 0; column < PAR_QUEENS; column++) {
        par_board next = board;
        if (par_place(&next, column)) {
            group.run([next, to = &found[column]] { *to = tbb_queens_task(next); });
        }
    }
    group.wait();
    return std::accumulate(std::begin(found), std::end(found), uint64_t{0});
}

uint64_t tbb_queens(par_board board) {
    return tbb_arena->execute([board] { return tbb_queens_task(board); });
}

using tbb_range = tbb::blocked_range<size_t>;

uint64_t tbb_sum(const uint64_t *items, size_t n) {
    return tbb_arena->execute([=] {
        return tbb::parallel_reduce(
            tbb_range(0, n), uint64_t{0},
            [=](const tbb_range &r, uint64_t sum) {
                return sum + par_sum(items + r.begin(), r.size());
            },
            std::plus<>());
    });
}

void tbb_in_place(uint64_t *items, size_t n) {
    tbb_arena->execute([=] {
        tbb::parallel_for(tbb_range(0, n),
                          [=](const tbb_range &r) { par_in_place(items + r.begin(), r.size()); });
    });
}

auto tbb_sum_reals(const double *items) {
    return [=](const tbb_range &r, double sum) {
        return std::accumulate(items + r.begin(), items + r.end(), sum);
    };
}

double tbb_reduce(const double *items, size_t n) {
    return tbb_arena->execute([=] {
        return tbb::parallel_reduce(tbb_range(0, n), 0.0, tbb_sum_reals(items), std::plus<>());
    });
}

double tbb_reduce_same(const double *items, size_t n) {
    return tbb_arena->execute([=] {
        return tbb::parallel_deterministic_reduce(tbb_range(0, n, 16384), 0.0, tbb_sum_reals(items),
                                                  std::plus<>());
    });
}

void tbb_sort(int *items, size_t n) {
    tbb_arena->execute([=] { tbb::parallel_sort(items, items + n); });
}

void tbb_scan(const uint64_t *items, uint64_t *to, size_t n) {
    tbb_arena->execute([=] {
        tbb::parallel_scan(
            tbb_range(0, n), uint64_t{0},
            [=](const tbb_range &r, uint64_t sum, bool last) {
                for (size_t i = r.begin(); i < r.end(); i++) {
                    sum += items[i];
                    if (last) {
                        to[i] = sum;
                    }
                }
                return sum;
            },
            std::plus<>());
    });
}

const par_peer tbb_peer = {
    .name = "oneTBB",
    .kind = BENCH_PEER,
    .start = tbb_start,
    .stop = tbb_stop,
    .fib = tbb_fib,
    .queens = tbb_queens,
    .sum = tbb_sum,
    .in_place = tbb_in_place,
    .reduce = tbb_reduce,
    .sort = tbb_sort,
    .scan = tbb_scan,
};
PAR_PEER(tbb_peer)

const par_peer tbb_same = {
    .name = "oneTBB, deterministic",
    .kind = BENCH_PEER,
    .start = tbb_start,
    .stop = tbb_stop,
    .fib = nullptr,
    .queens = nullptr,
    .sum = nullptr,
    .in_place = nullptr,
    .reduce = tbb_reduce_same,
    .sort = nullptr,
    .scan = nullptr,
};
PAR_PEER(tbb_same)

/* ---- std::execution::par, which is oneTBB below ---- */

uint64_t par_std_sum(const uint64_t *items, size_t n) {
    return tbb_arena->execute(
        [=] { return std::reduce(std::execution::par, items, items + n, uint64_t{0}); });
}

void par_std_in_place(uint64_t *items, size_t n) {
    tbb_arena->execute([=] {
        std::for_each(std::execution::par, items, items + n,
                      [](uint64_t &item) { item = par_step(item); });
    });
}

double par_std_reduce(const double *items, size_t n) {
    return tbb_arena->execute(
        [=] { return std::reduce(std::execution::par, items, items + n, 0.0); });
}

void par_std_sort(int *items, size_t n) {
    tbb_arena->execute([=] { std::sort(std::execution::par, items, items + n); });
}

void par_std_scan(const uint64_t *items, uint64_t *to, size_t n) {
    tbb_arena->execute([=] { std::inclusive_scan(std::execution::par, items, items + n, to); });
}

const par_peer std_par = {
    .name = "std::execution::par",
    .kind = BENCH_PEER,
    .start = tbb_start,
    .stop = tbb_stop,
    .fib = nullptr,
    .queens = nullptr,
    .sum = par_std_sum,
    .in_place = par_std_in_place,
    .reduce = par_std_reduce,
    .sort = par_std_sort,
    .scan = par_std_scan,
};
PAR_PEER(std_par)
#endif

#ifdef BENCH_HAVE_TASKFLOW

/* ---- Taskflow ---- */

std::optional<tf::Executor> flow;

void flow_start(int workers) {
    flow.emplace(static_cast<size_t>(workers));
}

void flow_stop() {
    flow.reset();
}

uint64_t flow_fib_task(int n) {
    uint64_t a = 0, b = 0;
    if (n < 2) {
        return static_cast<uint64_t>(n);
    }
    tf::TaskGroup group = flow->task_group();
    group.silent_async([n, &a] { a = flow_fib_task(n - 1); });
    b = flow_fib_task(n - 2);
    group.corun();
    return a + b;
}

uint64_t flow_fib(int n) {
    return flow->async([n] { return flow_fib_task(n); }).get();
}

uint64_t flow_queens_task(par_board board) {
    uint64_t found[PAR_QUEENS] = {};
    if (board.rows == PAR_QUEENS) {
        return 1;
    }
    tf::TaskGroup group = flow->task_group();
    for (int column = 0; column < PAR_QUEENS; column++) {
        par_board next = board;
        if (par_place(&next, column)) {
            group.silent_async([next, to = &found[column]] { *to = flow_queens_task(next); });
        }
    }
    group.corun();
    return std::accumulate(std::begin(found), std::end(found), uint64_t{0});
}

uint64_t flow_queens(par_board board) {
    return flow->async([board] { return flow_queens_task(board); }).get();
}

uint64_t flow_sum(const uint64_t *items, size_t n) {
    tf::Taskflow taskflow;
    uint64_t sum = 0;
    taskflow.reduce(items, items + n, sum, std::plus<>());
    flow->run(taskflow).wait();
    return sum;
}

void flow_in_place(uint64_t *items, size_t n) {
    tf::Taskflow taskflow;
    taskflow.for_each_index(size_t{0}, n, size_t{1},
                            [=](size_t i) { items[i] = par_step(items[i]); });
    flow->run(taskflow).wait();
}

double flow_reduce(const double *items, size_t n) {
    tf::Taskflow taskflow;
    double sum = 0;
    taskflow.reduce(items, items + n, sum, std::plus<>());
    flow->run(taskflow).wait();
    return sum;
}

void flow_sort(int *items, size_t n) {
    tf::Taskflow taskflow;
    taskflow.sort(items, items + n);
    flow->run(taskflow).wait();
}

void flow_scan(const uint64_t *items, uint64_t *to, size_t n) {
    tf::Taskflow taskflow;
    taskflow.inclusive_scan(items, items + n, to, std::plus<>());
    flow->run(taskflow).wait();
}

const par_peer taskflow_peer = {
    .name = "Taskflow",
    .kind = BENCH_PEER,
    .start = flow_start,
    .stop = flow_stop,
    .fib = flow_fib,
    .queens = flow_queens,
    .sum = flow_sum,
    .in_place = flow_in_place,
    .reduce = flow_reduce,
    .sort = flow_sort,
    .scan = flow_scan,
};
PAR_PEER(taskflow_peer)
#endif

} // namespace

extern "C" void add_cxx_parallel(void);
extern "C" void add_cxx_parallel(void) {
    add_std_serial();
#ifdef BENCH_HAVE_TBB
    add_tbb_peer();
    add_tbb_same();
    add_std_par();
#else
    bench_skip("oneTBB", "not found (Debian: libtbb-dev)");
#endif
#ifdef BENCH_HAVE_TASKFLOW
    add_taskflow_peer();
#else
    bench_skip("Taskflow", "not found (taskflow.github.io, -DCTHREADS_BENCH_TASKFLOW_INCLUDE=)");
#endif
}
