/* The declarations used from C++: initialisers, a thread, each kind of object, the macros. */
#include "layout.h"

#include <cstdio>
#include <cstring>

static cth_mutex lock = CTH_MUTEX_INIT;
static cth_rmutex again = CTH_RMUTEX_INIT;
static cth_rwlock shared = CTH_RWLOCK_INIT;
static cth_latch done = CTH_LATCH_INIT(4);
static cth_barrier meeting = CTH_BARRIER_INIT(4);
static cth_once once = CTH_ONCE_INIT;
static cth_sem three = CTH_SEM_INIT(3);
static cth_sem bounded = CTH_SEM_INIT_BOUNDED(2);
static cth_event go = CTH_EVENT_INIT;
static cth_cond changed = CTH_COND_INIT;
static cth_cancel token = CTH_CANCEL_INIT;
static cth_local local = CTH_LOCAL_INIT(sizeof(int), NULL, NULL);
static cth_queue jobs = CTH_QUEUE_INIT(sizeof(int));
static cth_timer timer = CTH_TIMER_INIT;
CTH_CHAN_OF(int, int_chan);
CTH_QUEUE_OF(int, int_queue);
static int total;

static cth_status first(void *arg) {
    (void)arg;
    return CTH_OK;
}

static cth_status work(void *arg) {
    (void)arg;
    if (cth_barrier_wait(&meeting, NULL) != CTH_OK || cth_rmutex_lock(&again) != CTH_OK ||
        cth_rmutex_unlock(&again) != CTH_OK || cth_rwlock_read_lock(&shared) != CTH_OK ||
        cth_rwlock_read_unlock(&shared) != CTH_OK || cth_once_call(&once, first, NULL) != CTH_OK ||
        cth_latch_done(&done) != CTH_OK) {
        return CTH_FAILED;
    }
    CTH_UNDER(&token) {
        if (cth_event_wait(&go) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    for (int i = 0; i < 100; i++) {
        if (cth_mutex_lock(&lock) != CTH_OK) {
            return CTH_FAILED;
        }
        total++;
        if (cth_mutex_unlock(&lock) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    CTH_SHIELDED {
        if (cth_sem_acquire(&three) != CTH_OK || cth_sem_release(&three) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    CTH_SIM_CHECK(total > 0);
    return cth_local_get(&local) == NULL ? CTH_NOMEM : CTH_OK;
}

static cth_status tick(void *arg) {
    return cth_event_set((cth_event *)arg);
}

/* A value through a channel and through a queue, by the typed layers, and a wait for either. */
static bool messages() {
    int_chan chan;
    int_queue queue;
    int got = 0, sum = 0;
    size_t index = 9;
    if (int_chan_init(&chan, 2, NULL) != CTH_OK || int_chan_send(&chan, 3) != CTH_OK ||
        int_chan_try_send(&chan, 4) != CTH_OK || int_chan_recv(&chan, &got) != CTH_OK || got != 3 ||
        int_queue_init(&queue, 0, NULL) != CTH_OK) {
        return false;
    }
    cth_case cases[2] = {};
    cases[0].kind = CTH_CASE_RECV;
    cases[0].object = &chan.chan;
    cases[0].value = &got;
    cases[1].kind = CTH_CASE_GET;
    cases[1].object = &queue.queue;
    cases[1].value = &sum;
    if (cth_select(cases, 2, &index) != CTH_OK || index != 0 || got != 4 ||
        int_queue_put(&queue, 5) != CTH_OK || cth_select(cases, 2, &index) != CTH_OK ||
        index != 1 || sum != 5 || cth_try_select(cases, 2, &index) != CTH_TIMEDOUT) {
        return false;
    }
    sum = 0;
    if (int_chan_send(&chan, 6) != CTH_OK || int_chan_close(&chan) != CTH_OK ||
        cth_queue_put(&jobs, &got) != CTH_OK || cth_queue_shutdown(&jobs, CTH_DRAIN) != CTH_OK) {
        return false;
    }
    CTH_FOREACH_RECV(int, value, &chan.chan) {
        sum += value;
    }
    CTH_FOREACH_GET(int, value, &jobs) {
        sum += value;
    }
    cth_event rung = CTH_EVENT_INIT;
    if (cth_timer_after(&timer, CTH_MS(1), tick, &rung) != CTH_OK ||
        cth_event_wait(&rung) != CTH_OK || cth_timer_cancel(&timer, NULL) != CTH_OK) {
        return false;
    }
    return sum == 10 && cth_chan_destroy(&chan.chan) == CTH_OK &&
           cth_queue_destroy(&queue.queue) == CTH_OK && cth_queue_destroy(&jobs) == CTH_OK;
}

static cth_status doubles(void *arg, void *result) {
    *(int *)result = 2 * *(int *)arg;
    return CTH_OK;
}

/* A task in an executor, and a map. */
static bool tasks() {
    cth_executor *pool;
    cth_future *future;
    cth_executor_desc desc = {};
    int numbers[3] = {1, 2, 3}, twice[3] = {}, got = 0;
    desc.workers = 2;
    if (cth_executor_create(&pool, &desc) != CTH_OK ||
        cth_submit(pool, &future, doubles, &numbers[2], sizeof(int), sizeof(int)) != CTH_OK ||
        cth_future_result(future, &got) != CTH_OK ||
        cth_map(pool, doubles, numbers, sizeof(int), twice, sizeof(int), 3) != CTH_OK ||
        cth_executor_shutdown(pool, CTH_DRAIN) != CTH_OK) {
        return false;
    }
    cth_future_release(future);
    cth_executor_release(pool);
    return got == 6 && twice[0] + twice[1] + twice[2] == 12;
}

static cth_status adds_to_total(void *arg) {
    total += *static_cast<int *>(arg);
    return CTH_OK;
}

/* A task and a thread in a scope, functions posted to this thread, and a progress of it all. */
static bool scoped_work() {
    cth_executor *pool;
    cth_scope scope;
    cth_main ui;
    cth_progress progress;
    cth_progress_desc desc = {};
    cth_future *future = NULL;
    int seven = 7, got = 0, before = total;
    desc.total = 2;
    if (cth_executor_create(&pool, NULL) != CTH_OK || cth_main_init(&ui) != CTH_OK ||
        cth_progress_init(&progress, &desc) != CTH_OK ||
        cth_scope_begin(&scope, pool, CTH_FOREVER) != CTH_OK ||
        cth_scope_submit(&scope, &future, doubles, &seven, sizeof seven, sizeof(int)) != CTH_OK ||
        cth_scope_spawn(&scope, first, NULL, NULL) != CTH_OK || cth_scope_end(&scope) != CTH_OK ||
        cth_future_try_result(future, &got) != CTH_OK || got != 14) {
        return false;
    }
    cth_assert_on(&ui);
    cth_progress_add(&progress, 2);
    cth_progress_finish(&progress);
    if (cth_main_post(&ui, adds_to_total, &seven, sizeof seven) != CTH_OK ||
        cth_main_stop(&ui) != CTH_OK || cth_main_run(&ui) != CTH_OK || total != before + 7 ||
        cth_main_destroy(&ui) != CTH_OK || cth_progress_count(&progress) != 2) {
        return false;
    }
    total = before;
    cth_future_release(future);
    cth_executor_release(pool);
    return true;
}

static cth_status adds(void *, size_t from, size_t to, void *acc) {
    for (size_t i = from; i < to; i++) {
        *static_cast<size_t *>(acc) += i;
    }
    return CTH_OK;
}

static void joins(void *, void *left, const void *right) {
    *static_cast<size_t *>(left) += *static_cast<const size_t *>(right);
}

static cth_status squares(void *arg, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        static_cast<int *>(arg)[i] *= static_cast<int *>(arg)[i];
    }
    return CTH_OK;
}

static cth_status writes_sums(void *arg, size_t from, size_t to, void *before) {
    for (size_t i = from; i < to; i++) {
        *static_cast<size_t *>(before) += i;
        static_cast<int *>(arg)[i] = static_cast<int>(*static_cast<size_t *>(before));
    }
    return CTH_OK;
}

static int compare(const void *a, const void *b) {
    return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

static long fib(cth_forks forks, int n);
CTH_FORK_OF(long, int, fib);

static long fib(cth_forks forks, int n) {
    if (n < 2) {
        return n;
    }
    fib_fork(&forks, n - 1);
    const long other = fib(forks, n - 2);
    return fib_join(&forks) + other;
}

static cth_status forks_fib(cth_forks forks, void *arg) {
    *static_cast<long *>(arg) = fib(forks, 10);
    return CTH_CLOSED;
}

static cth_status forks(cth_forks forks, void *arg) {
    long numbers[2] = {};
    cth_fork(&forks, forks_fib, &numbers[0]);
    if (forks_fib(forks, &numbers[1]) != CTH_CLOSED || cth_join(&forks) != CTH_CLOSED) {
        return CTH_FAILED;
    }
    *static_cast<long *>(arg) = numbers[0] + numbers[1];
    return CTH_OK;
}

/* A loop, a reduction, a scan, sorts, forks. */
static bool parallel() {
    cth_team *team;
    cth_team_desc desc = {};
    cth_reduction how = {};
    const cth_call calls[2] = {{tick, &go}, {tick, &go}};
    int numbers[100] = {}, sums[100] = {};
    size_t sum = 0;
    long got = 0;
    desc.workers = 2;
    how.size = sizeof sum;
    how.range = adds;
    how.join = joins;
    for (int i = 0; i < 100; i++) {
        numbers[i] = 100 - i;
    }
    if (cth_team_create(&team, &desc) != CTH_OK || cth_team_workers(team) != 2 ||
        cth_parallel_for(team, 100, 7, squares, numbers) != CTH_OK ||
        cth_invoke(team, calls, 2) != CTH_OK || cth_event_clear(&go) != CTH_OK ||
        cth_reduce(team, 100, &how, NULL, &sum) != CTH_OK || sum != 4950 ||
        cth_scan(team, 100, &how, writes_sums, sums) != CTH_OK || sums[99] != 4950 ||
        cth_sort(team, numbers, 100, sizeof(int), compare) != CTH_OK || numbers[99] != 10000 ||
        cth_stable_sort(team, numbers, 100, sizeof(int), compare) != CTH_OK || numbers[0] != 1 ||
        cth_parallel(team, forks, &got) != CTH_OK || got != 110) {
        return false;
    }
    cth_team_release(team);
    return true;
}

static void count_end(cth_future *future, void *arg) {
    *(int *)arg += cth_future_is_done(future) && !cth_future_is_running(future);
}

static bool pull(void *arg, void *context) {
    *(int *)arg = ++*(int *)context;
    return *(int *)arg <= 4;
}

static cth_status give(void *result, void *context) {
    (void)context;
    total += *(int *)result;
    return CTH_OK;
}

/* Tasks after tasks, callbacks, waiting for several, a bounded queue. */
static bool more_tasks() {
    cth_executor *pool;
    cth_future *futures[2];
    cth_executor_desc desc = {};
    cth_executor_counts counts = {};
    int number = 5, ends = 0, got = 0, last = 0;
    size_t ended = 0;
    desc.capacity = 4;
    desc.policy = CTH_FULL_CALLER_RUNS;
    const int before = total;
    if (cth_executor_create(&pool, &desc) != CTH_OK ||
        cth_submit_until(pool, &futures[0], doubles, &number, sizeof(int), sizeof(int),
                         cth_after(CTH_S(100))) != CTH_OK ||
        cth_future_then(futures[0], &futures[1], doubles, sizeof(int)) != CTH_OK ||
        cth_future_wait(futures, 2, CTH_ALL_DONE) != CTH_OK ||
        cth_future_add_done_callback(futures[1], count_end, &ends) != CTH_OK ||
        cth_future_next_done_until(futures, 2, &ended, CTH_FOREVER) != CTH_OK ||
        cth_future_wait_until(futures, 2, CTH_FIRST_ERROR, CTH_FOREVER) != CTH_OK ||
        cth_future_try_result(futures[1], &got) != CTH_OK ||
        cth_run(pool, doubles, &number, sizeof(int), &number, sizeof(int)) != CTH_OK ||
        cth_try_submit(pool, NULL, doubles, &number, sizeof(int), sizeof(int)) != CTH_OK ||
        cth_map_each(pool, doubles, sizeof(int), sizeof(int), 2, pull, give, &last) != CTH_OK ||
        cth_executor_shutdown(pool, CTH_DRAIN) != CTH_OK ||
        cth_executor_count(pool, &counts) != CTH_OK) {
        return false;
    }
    cth_future_release(futures[0]);
    cth_future_release(futures[1]);
    cth_executor_release(pool);
    const bool added = total - before == 20;
    total = before;
    return added && got == 20 && ends == 1 && number == 10 && ended == 1 && counts.completed == 8;
}

/* The same in processes. */
static bool processes() {
    cth_executor *pool;
    cth_process_desc desc = {};
    int numbers[3] = {1, 2, 3}, twice[3] = {};
    desc.workers = 2;
    if (cth_process_executor_create(&pool, &desc) != CTH_OK ||
        cth_map(pool, doubles, numbers, sizeof(int), twice, sizeof(int), 3) != CTH_OK ||
        cth_process_executor_terminate(pool) != CTH_OK ||
        cth_process_executor_kill(pool) != CTH_OK) {
        return false;
    }
    cth_executor_release(pool);
    return twice[0] + twice[1] + twice[2] == 12;
}

int main(int argc, char **argv) {
    cth_process_main(argc, argv);
    size_t count_c = 0, count_cxx = 0;
    const size_t *c = layout_c(&count_c), *cxx = layout_cxx(&count_cxx);
    if (count_c != count_cxx || std::memcmp(c, cxx, count_c * sizeof(*c)) != 0) {
        std::puts("the layouts of C and C++ differ");
        return 1;
    }

    if (!messages() || !tasks() || !more_tasks() || !processes() || !parallel() || !scoped_work()) {
        return 10;
    }

    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        if (cth_thread_spawn(&threads[i], work, NULL, NULL) != CTH_OK) {
            return 2;
        }
    }
    if (cth_latch_wait(&done) != CTH_OK || cth_event_set(&go) != CTH_OK) {
        return 3;
    }
    for (int i = 0; i < 4; i++) {
        cth_status result = CTH_FAILED;
        if (cth_thread_join_until(threads[i], &result, CTH_FOREVER) != CTH_OK || result != CTH_OK) {
            return 4;
        }
        cth_thread_release(threads[i]);
    }
    if (cth_sem_release(&bounded) != CTH_OVERFLOW || cth_cond_notify_all(&changed) != CTH_OK ||
        cth_sleep_until(cth_after(CTH_MS(1))) != CTH_OK) {
        return 5;
    }
    std::printf("%d with the same layout\n", total);
    return 0;
}
