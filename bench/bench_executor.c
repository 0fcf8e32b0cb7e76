/* bench_executor.c - what a task costs that is given to other threads: many at once, one after the
   other, tasks of several lengths; a pool's whole life, and the memory it takes. */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE // mallinfo2
#endif
#include "executor.h"
#include "cthreads.h"
#include "openmp_peers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef __GLIBC__
#  include <malloc.h>
#endif
#ifdef BENCH_HAVE_GLIB
#  include <glib.h>
#endif
#ifdef BENCH_HAVE_APR
#  include <apr_general.h>
#  include <apr_thread_pool.h>
#endif
#ifdef BENCH_HAVE_UV
#  include <uv.h>
#endif

enum {
    ROW_FLOOD,
    ROW_HELPED,
    ROW_AWAY,
    ROW_LIFE,
    ROW_MEMORY,
    ROW_IDLE,
    ROW_SIZES,
    SIZES = 6,
    ROW_COUNT = ROW_SIZES + SIZES,
};

enum { WORKERS = 2, FLOOD = 1000000, CHECKED = 10000, TRIPS = 256 };

static bench_row rows[ROW_COUNT] = {
    [ROW_FLOOD] = {.name = "1e6 empty tasks, per task", .unit = "ns"},
    [ROW_HELPED] = {.name = "a task's result, the waiter may run it", .unit = "ns", .seconds = 0.3},
    [ROW_AWAY] = {.name = "a task's result, a worker runs it", .unit = "ns", .seconds = 0.3},
    [ROW_LIFE] = {.name = "start a pool, one task, stop it", .unit = "ns", .seconds = 0.3},
    [ROW_MEMORY] = {.name = "memory of an idle pool, without stacks",
                    .unit = "bytes",
                    .once = true},
    [ROW_IDLE] = {.name = "CPU time of an idle pool, in the second after its last task",
                  .unit = "us",
                  .seconds = 1,
                  .once = true},
    [ROW_SIZES] = {.name = "tasks of 10 ns each", .work_ns = 10},
    {.name = "tasks of 100 ns each", .work_ns = 100},
    {.name = "tasks of 1 us each", .work_ns = 1000},
    {.name = "tasks of 10 us each", .work_ns = 10000},
    {.name = "tasks of 100 us each", .work_ns = 100000},
    {.name = "tasks of 1 ms each", .work_ns = 1000000},
};

/* ---- measuring ---- */

static void flood(const exec_peer *peer, exec_load *load, size_t tasks) {
    load->left = tasks;
    peer->flood(load, tasks);
}

/* Do the tasks run, each of them once? Also starts the workers. */
static void check_flood(const exec_peer *peer, exec_load *load, size_t tasks) {
    load->counted = true;
    load->ran = 0;
    flood(peer, load, tasks);
    load->counted = false;
    if (load->ran != tasks) {
        bench_fail("tasks were lost or run twice");
    }
}

static void ask(uint64_t (*trips)(uint64_t n), uint64_t n) {
    if (trips(n) != 3 * (n * (n - 1) / 2) + n) {
        bench_fail("a wrong result");
    }
}

static bench_sample measure_life(const exec_peer *peer, const bench_row *row) {
    bench_sample sample = {0, 0};
    BENCH_LOOP(sample.value, row, 4, {
        peer->start(WORKERS);
        ask(peer->away, 1);
        peer->stop();
    });
    return sample;
}

/* Bytes the process has from malloc; 0 where that cannot be told. */
static size_t memory_used(void) {
#ifdef __GLIBC__
#  if __GLIBC_PREREQ(2, 33)
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#  endif
#endif
    return 0;
}

/* Has the pool twice: what stays after its first life is not its own. */
static double measure_memory(const exec_peer *peer, exec_load *load) {
    double used = 0;
    load->steps = bench_work_steps(&rows[ROW_SIZES + 4]);
    for (int life = 0; life < 2; life++) {
        const size_t before = memory_used();
        peer->start(WORKERS);
        check_flood(peer, load, 64); // enough for all workers to start
        bench_sleep(0.01);
        used = (double)memory_used() - (double)before;
        peer->stop();
        bench_sleep(0.01);
    }
    return used;
}

/* Microseconds for each second. */
static double measure_idle(const exec_peer *peer, exec_load *load, const bench_row *row) {
    struct timespec before, after;
    load->steps = bench_work_steps(&rows[ROW_SIZES + 4]);
    check_flood(peer, load, 64);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    bench_sleep(bench_seconds(row));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    return ((double)(after.tv_sec - before.tv_sec) * 1e6 +
            (double)(after.tv_nsec - before.tv_nsec) / 1e3) /
           bench_seconds(row);
}

bench_sample exec_measure(const exec_peer *peer, const bench_row *row) {
    static exec_load load;
    bench_sample sample = {0, 0};
    const ptrdiff_t i = row - rows;
    if (i == ROW_LIFE) {
        return measure_life(peer, row);
    }
    sem_init(&load.over, 0, 0);
    load.steps = 0;
    if (i == ROW_MEMORY) {
        sample.value = measure_memory(peer, &load);
        sem_destroy(&load.over);
        return sample;
    }
    peer->start(WORKERS);
    if (i == ROW_HELPED || i == ROW_AWAY) {
        uint64_t (*trips)(uint64_t) = i == ROW_HELPED ? peer->helped : peer->away;
        ask(trips, TRIPS);
        BENCH_LOOP(sample.value, row, 1, ask(trips, TRIPS));
        sample.value /= TRIPS;
    } else if (i == ROW_IDLE) {
        sample.value = measure_idle(peer, &load, row);
    } else {
        const size_t most = (size_t)1e8 / (row->work_ns + 1000);
        const size_t tasks = i == ROW_FLOOD ? FLOOD : most;
        load.steps = bench_work_steps(row);
        check_flood(peer, &load, tasks < CHECKED ? tasks : CHECKED);
        const double start = bench_now();
        flood(peer, &load, tasks);
        sample.value = (bench_now() - start) / (double)tasks;
    }
    peer->stop();
    sem_destroy(&load.over);
    return sample;
}

void exec_add(const exec_peer *peer, bench_fn fn) {
    for (int i = 0; i < ROW_COUNT; i++) {
        const bool can = i == ROW_HELPED ? peer->helped != NULL
                         : i == ROW_AWAY ? peer->away != NULL
                         : i == ROW_LIFE ? peer->owns_threads && peer->away != NULL
                         : i == ROW_MEMORY
                             ? peer->uses_malloc && peer->flood != NULL && memory_used() != 0
                             : peer->flood != NULL;
        if (can) {
            bench_add(i, peer->name, peer->kind, fn);
        }
    }
}

/* ---- cthreads ---- */

static void must(cth_status status) {
    if (__builtin_expect(status != CTH_OK, 0)) {
        bench_fail(cth_status_name(status));
    }
}

static struct {
    cth_executor *pool;
    cth_future **futures; // of a flood
    cth_latch left;
} kit;

static void kit_start(int workers) {
    must(cth_executor_create(&kit.pool, &(cth_executor_desc){.workers = (uint32_t)workers}));
}

static void kit_stop(void) {
    must(cth_executor_shutdown(kit.pool, CTH_DRAIN));
    cth_executor_release(kit.pool);
}

static cth_status kit_task(void *arg, void *result) {
    (void)result;
    exec_task(*(exec_load **)arg);
    return CTH_OK;
}

/* Wait for each result. */
static void kit_flood(exec_load *load, size_t tasks) {
    if (kit.futures == NULL) {
        kit.futures = malloc(FLOOD * sizeof *kit.futures);
    }
    if (kit.futures == NULL) {
        bench_fail("no memory");
    }
    for (size_t i = 0; i < tasks; i++) {
        must(cth_submit(kit.pool, &kit.futures[i], kit_task, &load, sizeof load, 0));
    }
    for (size_t i = 0; i < tasks; i++) {
        must(cth_future_result(kit.futures[i], NULL));
        cth_future_release(kit.futures[i]);
    }
}

static cth_status kit_latch_task(void *arg, void *result) {
    (void)result;
    exec_task(*(exec_load **)arg);
    return cth_latch_done(&kit.left);
}

/* Ask for no results; a latch tells when all have ended. */
static void kit_flood_latch(exec_load *load, size_t tasks) {
    must(cth_latch_add(&kit.left, (int)tasks));
    for (size_t i = 0; i < tasks; i++) {
        must(cth_submit(kit.pool, NULL, kit_latch_task, &load, sizeof load, 0));
    }
    must(cth_latch_wait(&kit.left));
}

static cth_status kit_answer(void *arg, void *result) {
    *(uint64_t *)result = exec_answer(*(uint64_t *)arg);
    return CTH_OK;
}

static uint64_t kit_trips(uint64_t n, cth_time deadline) {
    uint64_t sum = 0, answer = 0;
    cth_future *future = NULL;
    for (uint64_t i = 0; i < n; i++) {
        must(cth_submit(kit.pool, &future, kit_answer, &i, sizeof i, sizeof answer));
        must(cth_future_result_until(future, &answer, deadline));
        cth_future_release(future);
        sum += answer;
    }
    return sum;
}

static uint64_t kit_helped(uint64_t n) {
    return kit_trips(n, CTH_FOREVER);
}

/* Who waits until a deadline does not run the task. */
static uint64_t kit_away(uint64_t n) {
    return kit_trips(n, CTH_FOREVER - 1);
}

static const exec_peer cthreads = {
    .name = "cthreads cth_submit",
    .kind = BENCH_KIT,
    .owns_threads = true,
    .uses_malloc = true,
    .start = kit_start,
    .stop = kit_stop,
    .flood = kit_flood,
    .helped = kit_helped,
    .away = kit_away,
};
EXEC_PEER(cthreads)

static const exec_peer cthreads_latch = {
    .name = "cthreads cth_submit, no futures",
    .kind = BENCH_KIT,
    .start = kit_start,
    .stop = kit_stop,
    .flood = kit_flood_latch,
};
EXEC_PEER(cthreads_latch)

/* ---- a pool as in a textbook: a list under a mutex, two conditions ---- */

typedef struct pool_task {
    struct pool_task *next;
    void (*fn)(void *arg);
    void *arg;
} pool_task;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    pool_task *first, **last;
    int running, workers;
    bool quit;
    pthread_t threads[BENCH_THREADS];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .work = PTHREAD_COND_INITIALIZER,
          .idle = PTHREAD_COND_INITIALIZER};

static void *pool_worker(void *arg) {
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (pool.first == NULL && !pool.quit) {
            pthread_cond_wait(&pool.work, &pool.lock);
        }
        pool_task *task = pool.first;
        if (task == NULL) {
            break;
        }
        pool.first = task->next;
        if (pool.first == NULL) {
            pool.last = &pool.first;
        }
        pool.running++;
        pthread_mutex_unlock(&pool.lock);
        task->fn(task->arg);
        free(task);
        pthread_mutex_lock(&pool.lock);
        if (--pool.running == 0 && pool.first == NULL) {
            pthread_cond_signal(&pool.idle);
        }
    }
    pthread_mutex_unlock(&pool.lock);
    return arg;
}

static void pool_start(int workers) {
    pool.last = &pool.first;
    pool.quit = false;
    pool.workers = workers;
    for (int i = 0; i < workers; i++) {
        if (pthread_create(&pool.threads[i], NULL, pool_worker, NULL) != 0) {
            bench_fail("cannot start a thread");
        }
    }
}

static void pool_stop(void) {
    pthread_mutex_lock(&pool.lock);
    pool.quit = true;
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    for (int i = 0; i < pool.workers; i++) {
        pthread_join(pool.threads[i], NULL);
    }
}

static void pool_submit(void (*fn)(void *arg), void *arg) {
    pool_task *task = malloc(sizeof *task);
    if (task == NULL) {
        bench_fail("no memory");
    }
    *task = (pool_task){.fn = fn, .arg = arg};
    pthread_mutex_lock(&pool.lock);
    *pool.last = task;
    pool.last = &task->next;
    pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.lock);
}

static void pool_run(void *arg) {
    exec_task(arg);
}

static void pool_flood(exec_load *load, size_t tasks) {
    for (size_t i = 0; i < tasks; i++) {
        pool_submit(pool_run, load);
    }
    pthread_mutex_lock(&pool.lock);
    while (pool.first != NULL || pool.running != 0) {
        pthread_cond_wait(&pool.idle, &pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
}

static void pool_reply(void *arg) {
    exec_reply(arg);
}

/* The results of one question after the other, for pools without results. */
#define EXEC_TRIPS(n, submit)            \
  do {                                   \
    exec_question question;              \
    uint64_t sum = 0;                    \
    sem_init(&question.answered, 0, 0);  \
    for (uint64_t i = 0; i < (n); i++) { \
      question.value = i;                \
      submit;                            \
      exec_wait(&question.answered);     \
      sum += question.value;             \
    }                                    \
    sem_destroy(&question.answered);     \
    return sum;                          \
  } while (0)

static uint64_t pool_away(uint64_t n) {
    EXEC_TRIPS(n, pool_submit(pool_reply, &question));
}

static const exec_peer textbook = {
    .name = "pthread mutex + conds",
    .kind = BENCH_PEER,
    .owns_threads = true,
    .uses_malloc = true,
    .start = pool_start,
    .stop = pool_stop,
    .flood = pool_flood,
    .away = pool_away,
};
EXEC_PEER(textbook)

/* ---- GLib ---- */

#ifdef BENCH_HAVE_GLIB
static struct {
    GThreadPool *pool;
    bool asks; // what a task is
} glib;

static void glib_run(gpointer data, gpointer user) {
    (void)user;
    if (glib.asks) {
        exec_reply((exec_question *)data);
    } else {
        exec_counted_task((exec_load *)data);
    }
}

static void glib_start(int workers) {
    glib.pool = g_thread_pool_new(glib_run, NULL, workers, TRUE, NULL);
}

static void glib_stop(void) {
    g_thread_pool_free(glib.pool, FALSE, TRUE);
}

static void glib_flood(exec_load *load, size_t tasks) {
    glib.asks = false;
    for (size_t i = 0; i < tasks; i++) {
        g_thread_pool_push(glib.pool, load, NULL);
    }
    exec_wait(&load->over);
}

static uint64_t glib_away(uint64_t n) {
    glib.asks = true;
    EXEC_TRIPS(n, g_thread_pool_push(glib.pool, &question, NULL));
}

static const exec_peer glib_pool = {
    .name = "GLib GThreadPool",
    .kind = BENCH_PEER,
    .owns_threads = true,
    .uses_malloc = true,
    .start = glib_start,
    .stop = glib_stop,
    .flood = glib_flood,
    .away = glib_away,
};
EXEC_PEER(glib_pool)
#endif

/* ---- APR ---- */

#ifdef BENCH_HAVE_APR
static struct {
    apr_pool_t *memory;
    apr_thread_pool_t *pool;
} apr;

static void apr_must(apr_status_t status) {
    if (status != APR_SUCCESS) {
        bench_fail("APR failed");
    }
}

static void *APR_THREAD_FUNC apr_run(apr_thread_t *thread, void *arg) {
    (void)thread;
    exec_counted_task(arg);
    return NULL;
}

static void *APR_THREAD_FUNC apr_reply(apr_thread_t *thread, void *arg) {
    (void)thread;
    exec_reply(arg);
    return NULL;
}

static void apr_start(int workers) {
    // An allocator of its own: the common one keeps what earlier pools had.
    apr_allocator_t *allocator;
    apr_must(apr_allocator_create(&allocator));
    apr_must(apr_pool_create_ex(&apr.memory, NULL, NULL, allocator));
    apr_allocator_owner_set(allocator, apr.memory);
    apr_must(
        apr_thread_pool_create(&apr.pool, (apr_size_t)workers, (apr_size_t)workers, apr.memory));
}

static void apr_stop(void) {
    apr_must(apr_thread_pool_destroy(apr.pool));
    apr_pool_destroy(apr.memory);
}

static void apr_flood(exec_load *load, size_t tasks) {
    for (size_t i = 0; i < tasks; i++) {
        apr_must(
            apr_thread_pool_push(apr.pool, apr_run, load, APR_THREAD_TASK_PRIORITY_NORMAL, NULL));
    }
    exec_wait(&load->over);
}

static uint64_t apr_away(uint64_t n) {
    EXEC_TRIPS(n, apr_must(apr_thread_pool_push(apr.pool, apr_reply, &question,
                                                APR_THREAD_TASK_PRIORITY_NORMAL, NULL)));
}

static const exec_peer apr_pool_peer = {
    .name = "APR apr_thread_pool",
    .kind = BENCH_PEER,
    .owns_threads = true,
    .start = apr_start,
    .stop = apr_stop,
    .flood = apr_flood,
    .away = apr_away,
};
EXEC_PEER(apr_pool_peer)
#endif

/* ---- libuv: one pool a process, and results come to the thread that runs the loop ---- */

#ifdef BENCH_HAVE_UV
static struct {
    uv_loop_t loop;
    uv_work_t *works;
} uv;

static void uv_start(int workers) {
    (void)workers; // UV_THREADPOOL_SIZE, before the pool is first used
    if (uv_loop_init(&uv.loop) != 0) {
        bench_fail("libuv failed");
    }
    if (uv.works == NULL) {
        uv.works = malloc(FLOOD * sizeof *uv.works);
    }
}

static void uv_stop_loop(void) {
    if (uv_loop_close(&uv.loop) != 0) {
        bench_fail("libuv failed");
    }
}

static void uv_submit(uv_work_t *work, void *arg, uv_work_cb fn) {
    work->data = arg;
    if (uv_queue_work(&uv.loop, work, fn, NULL) != 0) {
        bench_fail("libuv failed");
    }
}

static void uv_task(uv_work_t *work) {
    exec_task(work->data);
}

static void uv_flood(exec_load *load, size_t tasks) {
    if (uv.works == NULL) {
        bench_fail("no memory");
    }
    for (size_t i = 0; i < tasks; i++) {
        uv_submit(&uv.works[i], load, uv_task);
    }
    uv_run(&uv.loop, UV_RUN_DEFAULT);
}

static void uv_answer(uv_work_t *work) {
    *(uint64_t *)work->data = exec_answer(*(uint64_t *)work->data);
}

static uint64_t uv_away(uint64_t n) {
    uv_work_t work;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t value = i;
        uv_submit(&work, &value, uv_answer);
        uv_run(&uv.loop, UV_RUN_DEFAULT);
        sum += value;
    }
    return sum;
}

static const exec_peer uv_peer = {
    .name = "libuv uv_queue_work",
    .kind = BENCH_PEER,
    .start = uv_start,
    .stop = uv_stop_loop,
    .flood = uv_flood,
    .away = uv_away,
};
EXEC_PEER(uv_peer)
#endif

/* ---- OpenMP ---- */

static exec_peer gcc_openmp, clang_openmp;
EXEC_PEER(gcc_openmp)
EXEC_PEER(clang_openmp)

#ifdef BENCH_HAVE_CXX
void add_cxx_executors(void);
#endif

int main(int argc, char **argv) {
    for (int i = ROW_SIZES; i < ROW_COUNT; i++) {
        rows[i].unit = "ns";
        rows[i].plot = "Task size";
        rows[i].x = rows[i].work_ns;
    }
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    bench_start(argc, argv, "executor", rows, ROW_COUNT);
    add_cthreads();
    add_cthreads_latch();
    add_textbook();
#ifdef BENCH_HAVE_GLIB
    add_glib_pool();
#else
    bench_skip("GLib", "not found (Debian: pkg-config libglib2.0-dev)");
#endif
#ifdef BENCH_HAVE_APR
    apr_initialize();
    add_apr_pool_peer();
#else
    bench_skip("APR", "not found (Debian: pkg-config libaprutil1-dev)");
#endif
#ifdef BENCH_HAVE_UV
    add_uv_peer();
#else
    bench_skip("libuv", "not found (Debian: pkg-config libuv1-dev)");
#endif
    if (openmp_peer(BENCH_OPENMP_GCC, "openmp_executor", &gcc_openmp, sizeof gcc_openmp)) {
        add_gcc_openmp();
    } else {
        bench_skip("OpenMP of gcc", "not found (Debian: gcc)");
    }
    if (openmp_peer(BENCH_OPENMP_CLANG, "openmp_executor", &clang_openmp, sizeof clang_openmp)) {
        add_clang_openmp();
    } else {
        bench_skip("OpenMP of clang", "not found (Debian: clang libomp-dev)");
    }
#ifdef BENCH_HAVE_CXX
    add_cxx_executors();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
