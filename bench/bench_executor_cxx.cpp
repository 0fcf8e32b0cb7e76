/* bench_executor_cxx.cpp - the C++ peers of bench_executor. */
#include "executor.h"

#include <future>
#include <optional>
#ifdef BENCH_HAVE_TBB
#  include <oneapi/tbb/global_control.h>
#  include <oneapi/tbb/task_arena.h>
#  include <oneapi/tbb/task_group.h>
#endif
#ifdef BENCH_HAVE_TASKFLOW
#  include <taskflow/taskflow.hpp>
#endif

/* ---- std::async: a thread for each task ---- */

static void std_start(int) {}

static void std_stop() {}

static uint64_t std_away(uint64_t n) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        sum += std::async(std::launch::async, exec_answer, i).get();
    }
    return sum;
}

static const exec_peer std_async = {
    .name = "std::async",
    .kind = BENCH_PEER,
    .start = std_start,
    .stop = std_stop,
    .owns_threads = false,
    .uses_malloc = false,
    .flood = nullptr,
    .helped = nullptr,
    .away = std_away,
};
EXEC_PEER(std_async)

/* ---- oneTBB ---- */

#ifdef BENCH_HAVE_TBB
// Of the threads of an arena the calling one is one. The others live on; so there is no life to
// measure.
static std::optional<tbb::global_control> tbb_control;
static std::optional<tbb::task_arena> tbb_arena;

static void tbb_start(int workers) {
    tbb_control.emplace(tbb::global_control::max_allowed_parallelism,
                        static_cast<std::size_t>(workers));
    tbb_arena.emplace(workers);
}

static void tbb_stop() {
    tbb_arena.reset();
    tbb_control.reset();
    bench_sleep(0.02); // until its threads sleep
}

static void tbb_flood(exec_load *load, size_t tasks) {
    tbb_arena->execute([=] {
        tbb::task_group group;
        for (size_t i = 0; i < tasks; i++) {
            group.run([=] { exec_task(load); });
        }
        group.wait();
    });
}

static uint64_t tbb_helped(uint64_t n) {
    uint64_t sum = 0;
    tbb_arena->execute([n, &sum] {
        tbb::task_group group;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t answer = 0;
            group.run([i, &answer] { answer = exec_answer(i); });
            group.wait();
            sum += answer;
        }
    });
    return sum;
}

static uint64_t tbb_away(uint64_t n) {
    exec_question question;
    uint64_t sum = 0;
    sem_init(&question.answered, 0, 0);
    for (uint64_t i = 0; i < n; i++) {
        question.value = i;
        tbb_arena->enqueue([&question] { exec_reply(&question); });
        exec_wait(&question.answered);
        sum += question.value;
    }
    sem_destroy(&question.answered);
    return sum;
}

static const exec_peer tbb_peer = {
    .name = "oneTBB task_arena, task_group",
    .kind = BENCH_PEER,
    .start = tbb_start,
    .stop = tbb_stop,
    .owns_threads = false,
    .uses_malloc = false,
    .flood = tbb_flood,
    .helped = tbb_helped,
    .away = tbb_away,
};
EXEC_PEER(tbb_peer)
#endif

/* ---- Taskflow ---- */

#ifdef BENCH_HAVE_TASKFLOW
static std::optional<tf::Executor> flow;

static void flow_start(int workers) {
    flow.emplace(static_cast<size_t>(workers));
}

static void flow_stop() {
    flow.reset();
}

static void flow_flood(exec_load *load, size_t tasks) {
    for (size_t i = 0; i < tasks; i++) {
        flow->silent_async([=] { exec_task(load); });
    }
    flow->wait_for_all();
}

static uint64_t flow_away(uint64_t n) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        sum += flow->async([i] { return exec_answer(i); }).get();
    }
    return sum;
}

static const exec_peer taskflow = {
    .name = "Taskflow",
    .kind = BENCH_PEER,
    .start = flow_start,
    .stop = flow_stop,
    .owns_threads = true,
    .uses_malloc = true,
    .flood = flow_flood,
    .helped = nullptr,
    .away = flow_away,
};
EXEC_PEER(taskflow)
#endif

extern "C" void add_cxx_executors(void);
extern "C" void add_cxx_executors(void) {
    add_std_async();
#ifdef BENCH_HAVE_TBB
    add_tbb_peer();
#else
    bench_skip("oneTBB", "not found (Debian: libtbb-dev)");
#endif
#ifdef BENCH_HAVE_TASKFLOW
    add_taskflow();
#else
    bench_skip("Taskflow", "not found (taskflow.github.io, -DCTHREADS_BENCH_TASKFLOW_INCLUDE=)");
#endif
}
