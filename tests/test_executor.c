/* test_executor.c - executors of threads: tasks, map, shutdown, workers

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static cth_executor *pool_of(uint32_t workers) {
    cth_executor *pool = NULL;
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.workers = workers}), CTH_OK);
    return pool;
}

static void pool_end(cth_executor *pool) {
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    cth_executor_release(pool);
}

static cth_status square(void *arg, void *result) {
    const int n = *(const int *)arg;
    *(long *)result = (long)n * n;
    return CTH_OK;
}

static cth_status counts(void *arg, void *result) {
    (void)result;
    atomic_fetch_add(*(atomic_int **)arg, 1);
    return CTH_OK;
}

typedef struct gate {
    cth_event open;
    atomic_int entered;
} gate;

static cth_status waits(void *arg, void *result) {
    gate *g = *(gate **)arg;
    (void)result;
    atomic_fetch_add(&g->entered, 1);
    return cth_event_wait(&g->open);
}

static cth_future *submit(cth_executor *pool, cth_task_fn fn, void *arg) {
    cth_future *future = NULL;
    CHECK_STATUS(cth_submit(pool, &future, fn, &arg, sizeof arg, 0), CTH_OK);
    return future;
}

static void create_refuses(void) {
    cth_executor *pool = NULL;
    char name[64] = "";
    memset(name, 'x', 41);
    CHECK_STATUS(cth_executor_create(NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.workers = 65537}), CTH_INVALID);
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.name = name}), CTH_INVALID);
    CHECK(pool == NULL);
    name[40] = '\0';
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.name = name}), CTH_OK);
    pool_end(pool);
}

static void submit_refuses(void) {
    cth_executor *pool = pool_of(1);
    cth_future *future = NULL;
    CHECK_STATUS(cth_submit(pool, &future, NULL, NULL, 0, 0), CTH_INVALID);
    CHECK_STATUS(cth_submit(pool, &future, square, NULL, SIZE_MAX, 0), CTH_INVALID);
    CHECK_STATUS(cth_submit(pool, &future, square, NULL, 0, SIZE_MAX / 4 + 1), CTH_INVALID);
    CHECK(future == NULL);
    pool_end(pool);
}

static void results(void) {
    for (uint32_t workers = 0; workers < 4; workers++) {
        cth_executor *pool = pool_of(workers);
        cth_future *futures[200];
        for (int i = 0; i < 200; i++) {
            CHECK_STATUS(cth_submit(pool, &futures[i], square, &i, sizeof i, sizeof(long)), CTH_OK);
        }
        for (int i = 0; i < 200; i++) {
            long got = -1;
            CHECK_STATUS(cth_future_result(futures[i], i % 7 == 0 ? NULL : &got), CTH_OK);
            CHECK_EQ(got, i % 7 == 0 ? -1 : (long)i * i);
            CHECK(cth_future_is_done(futures[i]));
            CHECK_STR(cth_future_error(futures[i]), "");
            cth_future_release(futures[i]);
        }
        pool_end(pool);
    }
}

typedef struct big {
    long double aligned;
    char bytes[3000];
} big;

static cth_status copies(void *arg, void *result) {
    CHECK((uintptr_t)arg % _Alignof(max_align_t) == 0);
    CHECK((uintptr_t)result % _Alignof(max_align_t) == 0);
    for (size_t i = 0; i < sizeof(big); i++) {
        CHECK_EQ(((char *)result)[i], 0);
    }
    memcpy(result, arg, sizeof(big));
    return CTH_OK;
}

static void large_arguments(void) {
    cth_executor *pool = pool_of(2);
    static big from, to;
    memset(&from, 7, sizeof from);
    cth_future *future;
    CHECK_STATUS(cth_submit(pool, &future, copies, &from, sizeof from, sizeof to), CTH_OK);
    CHECK_STATUS(cth_future_result(future, &to), CTH_OK);
    CHECK(memcmp(to.bytes, from.bytes, sizeof to.bytes) == 0);
    cth_future_release(future);
    pool_end(pool);
}

static cth_status fails(void *arg, void *result) {
    (void)result;
    const int n = *(const int *)arg;
    return n % 2 == 0 ? cth_fail(CTH_FAILED, "no %d", n) : CTH_CLOSED;
}

static void errors(void) {
    cth_executor *pool = pool_of(1);
    for (int i = 0; i < 20; i++) {
        cth_future *future;
        (void)cth_fail(CTH_FAILED, "my own");
        CHECK_STATUS(cth_submit(pool, &future, fails, &i, sizeof i, 0), CTH_OK);
        CHECK_STATUS(cth_future_result(future, NULL), i % 2 == 0 ? CTH_FAILED : CTH_CLOSED);
        char text[64];
        snprintf(text, sizeof text, "no %d", i);
        CHECK_STR(cth_future_error(future), i % 2 == 0 ? text : "closed");
        CHECK_STR(cth_error_text(), "my own"); // the caller may have run it
        cth_future_release(future);
    }
    pool_end(pool);
}

static atomic_int hooked;

static void on_error(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread;
    (void)arg;
    CHECK_STATUS(status, CTH_FAILED);
    CHECK_STR(message, "no 2");
    atomic_fetch_add(&hooked, 1);
}

static void unasked_errors_reach_the_hook(void) {
    cth_executor *pool = pool_of(1);
    atomic_store(&hooked, 0);
    cth_thread_set_hook(on_error, NULL);
    CHECK_STATUS(cth_submit(pool, NULL, fails, &(int){2}, sizeof(int), 0), CTH_OK);
    pool_end(pool);
    CHECK_EQ(atomic_load(&hooked), 1);
    cth_thread_set_hook(NULL, NULL);
}

static void waits_time_out(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *first = submit(pool, waits, &g);
    test_reach(&g.entered, 1);
    cth_future *second = submit(pool, waits, &g);
    for (int i = 0; i < 2; i++) {
        cth_future *f = i == 0 ? first : second;
        CHECK_STATUS(cth_future_try_result(f, NULL), CTH_TIMEDOUT);
        CHECK_STATUS(cth_future_result_until(f, NULL, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK_STATUS(cth_future_result_until(f, NULL, -1), CTH_INVALID);
        CHECK(!cth_future_is_done(f));
        CHECK_STR(cth_future_error(f), "");
    }
    size_t index = 9;
    cth_case cases[] = {CTH_ON_EVENT(cth_future_event(first)), CTH_ON_TIME(cth_after(CTH_MS(1)))};
    CHECK_STATUS(cth_select(cases, 2, &index), CTH_OK);
    CHECK_EQ(index, 1);
    CHECK_STATUS(cth_executor_shutdown_until(pool, CTH_DRAIN, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_select(cases, 1, &index), CTH_OK);
    CHECK_EQ(index, 0);
    CHECK_STATUS(cth_future_result(second, NULL), CTH_OK);
    cth_future_release(first);
    cth_future_release(second);
    pool_end(pool);
}

static void cancel_before_the_start(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    atomic_int ran = 0;
    cth_future *first = submit(pool, waits, &g);
    test_reach(&g.entered, 1);
    cth_future *others[3];
    for (int i = 0; i < 3; i++) {
        others[i] = submit(pool, counts, &ran);
    }
    CHECK_STATUS(cth_future_cancel(others[1]), CTH_OK);
    CHECK_STATUS(cth_future_cancel(others[1]), CTH_OK);
    CHECK(cth_future_is_done(others[1]));
    CHECK_STATUS(cth_future_result(others[1], NULL), CTH_CANCELLED);
    CHECK_STR(cth_future_error(others[1]), "cancelled");
    CHECK_STATUS(cth_future_cancel(first), CTH_BUSY);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    pool_end(pool);
    CHECK_EQ(atomic_load(&ran), 2);
    CHECK_STATUS(cth_future_cancel(others[0]), CTH_BUSY);
    for (int i = 0; i < 3; i++) {
        cth_future_release(others[i]);
    }
    cth_future_release(first);
}

static void shutdown_now(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    atomic_int ran = 0;
    cth_future *first = submit(pool, waits, &g);
    test_reach(&g.entered, 1);
    cth_future *second = submit(pool, counts, &ran);
    CHECK_STATUS(cth_submit(pool, NULL, counts, &(void *){&ran}, sizeof(void *), 0), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown_until(pool, CTH_NOW, 0), CTH_TIMEDOUT);
    CHECK_STATUS(cth_future_result(second, NULL), CTH_SHUTDOWN);
    CHECK_STR(cth_future_error(second), "shut down");
    cth_future *late = NULL;
    CHECK_STATUS(cth_submit(pool, &late, counts, &(void *){&ran}, sizeof(void *), 0), CTH_SHUTDOWN);
    CHECK_STATUS(cth_map(pool, square, NULL, 0, NULL, 0, 0), CTH_SHUTDOWN);
    CHECK(late == NULL);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_NOW), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(pool, (cth_shutdown)7), CTH_INVALID);
    CHECK_STATUS(cth_executor_shutdown_until(pool, CTH_NOW, -1), CTH_INVALID);
    CHECK_EQ(atomic_load(&ran), 0);
    CHECK_STATUS(cth_future_result(first, NULL), CTH_OK);
    cth_executor_release(pool); // the futures keep it
    cth_future_release(first);
    cth_future_release(second);
}

static cth_status shuts_down(void *arg, void *result) {
    (void)result;
    return cth_executor_shutdown(*(cth_executor **)arg, CTH_DRAIN);
}

static cth_status waits_for_future(void *arg, void *result) {
    (void)result;
    return cth_future_result(*(cth_future **)arg, NULL);
}

/* Within a task of another executor, which runs in a thread that waits for it. */
static void shutdown_from_a_nested_task(void) {
    cth_executor *outer = pool_of(1), *inner = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *busy = submit(inner, waits, &g); // so that the next one is run by who waits for it
    test_reach(&g.entered, 1);
    cth_future *shuts = submit(inner, shuts_down, outer);
    cth_future *waits_for_it = submit(outer, waits_for_future, shuts);
    CHECK_STATUS(cth_future_result(waits_for_it, NULL), CTH_OK);
    cth_future_release(waits_for_it);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    cth_future_release(busy);
    cth_future_release(shuts);
    pool_end(inner);
    pool_end(outer);
}

static void shutdown_from_a_task(void) {
    cth_executor *pool = pool_of(1);
    CHECK_STATUS(cth_submit(pool, NULL, shuts_down, &pool, sizeof pool, 0), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    cth_executor_release(pool);
}

static void released_without_shutdown(void) {
    cth_executor *pool = pool_of(2);
    static atomic_int ran;
    atomic_store(&ran, 0);
    for (int i = 0; i < 50; i++) {
        CHECK_STATUS(cth_submit(pool, NULL, counts, &(void *){&ran}, sizeof(void *), 0), CTH_OK);
    }
    cth_executor_release(pool);
    cth_executor_release(NULL);
    cth_future_release(NULL);
    test_reach(&ran, 50);
}

typedef struct nested {
    cth_executor *pool;
    int level;
} nested;

static cth_status nests(void *arg, void *result) {
    nested n = *(nested *)arg;
    int below = 0;
    if (n.level > 0) {
        cth_future *future;
        n.level--;
        CHECK_STATUS(cth_submit(n.pool, &future, nests, &n, sizeof n, sizeof below), CTH_OK);
        CHECK_STATUS(cth_future_result(future, &below), CTH_OK);
        cth_future_release(future);
    }
    *(int *)result = below + 1;
    return CTH_OK;
}

/* One worker, a thousand levels: each waiter runs what it waits for. */
static void waits_for_its_own_tasks(void) {
    cth_executor *pool = NULL;
    const cth_executor_desc desc = {.workers = 1, .stack_size = (size_t)16 << 20};
    CHECK_STATUS(cth_executor_create(&pool, &desc), CTH_OK);
    cth_future *future;
    const nested top = {pool, 999};
    int levels = 0;
    CHECK_STATUS(cth_submit(pool, &future, nests, &top, sizeof top, sizeof levels), CTH_OK);
    CHECK_STATUS(cth_future_result_until(future, &levels, cth_after(CTH_S(100))), CTH_OK);
    CHECK_EQ(levels, 1000);
    cth_future_release(future);
    pool_end(pool);
}

static cth_status meets(void *arg, void *result) {
    (void)result;
    return cth_barrier_wait(*(cth_barrier **)arg, NULL);
}

/* Tasks that need each other get a worker each, up to the number asked for. */
static void workers_start_on_demand(void) {
    cth_executor *pool = pool_of(4);
    cth_barrier barrier;
    cth_barrier *p = &barrier;
    while (cth_thread_count() > 1) {
        cth_yield(); // workers of earlier tests are about to end
    }
    CHECK_STATUS(cth_barrier_init(&barrier, 4, NULL), CTH_OK);
    for (int round = 0; round < 100; round++) {
        cth_future *futures[4];
        for (int i = 0; i < 4; i++) {
            CHECK_STATUS(cth_submit(pool, &futures[i], meets, &p, sizeof p, 0), CTH_OK);
        }
        for (int i = 0; i < 4; i++) {
            CHECK_STATUS(cth_future_result_until(futures[i], NULL, cth_after(CTH_S(100))), CTH_OK);
            cth_future_release(futures[i]);
        }
        CHECK_EQ(cth_thread_count(), 1 + 4);
    }
    pool_end(pool);
    CHECK_STATUS(cth_barrier_destroy(&barrier), CTH_OK);
}

static cth_status names(void *arg, void *result) {
    (void)arg;
    snprintf((char *)result, 64, "%s", cth_thread_name(cth_thread_current()));
    return CTH_OK;
}

static void workers_have_names(void) {
    for (int i = 0; i < 2; i++) {
        cth_executor *pool = NULL;
        cth_future *future;
        char name[64] = "";
        const cth_executor_desc desc = {.workers = 1, .name = i == 0 ? "io" : NULL};
        CHECK_STATUS(cth_executor_create(&pool, &desc), CTH_OK);
        CHECK_STATUS(cth_submit(pool, &future, names, NULL, 0, sizeof name), CTH_OK);
        CHECK_STATUS(cth_future_result_until(future, name, cth_after(CTH_S(100))), CTH_OK);
        CHECK(strcmp(name, "io-0") == 0 || strncmp(name, "ThreadPoolExecutor-", 19) == 0);
        CHECK((i == 0) == (strcmp(name, "io-0") == 0));
        cth_future_release(future);
        pool_end(pool);
    }
}

static cth_status asks_token(void *arg, void *result) {
    (void)arg;
    *(cth_cancel **)result = cth_cancel_current();
    return CTH_OK;
}

static void tasks_inherit_the_token(void) {
    cth_executor *pool = pool_of(1);
    cth_cancel token = CTH_CANCEL_INIT;
    cth_cancel *seen = NULL;
    cth_future *future = NULL;
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_submit(pool, &future, asks_token, NULL, 0, sizeof seen), CTH_OK);
    }
    CHECK_STATUS(cth_future_result(future, &seen), CTH_OK);
    CHECK(seen == &token);
    CHECK(cth_cancel_current() == NULL);
    cth_future_release(future);

    gate g = {.open = CTH_EVENT_INIT};
    future = submit(pool, waits, &g);
    test_reach(&g.entered, 1);
    CHECK_STATUS(cth_cancel_request(&token, "test"), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_future_result(future, NULL), CTH_CANCELLED);
        CHECK(!cth_future_is_done(future));
        CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_CANCELLED);
    }
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_future_result(future, NULL), CTH_OK);
    cth_future_release(future);
    pool_end(pool);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static void maps(void) {
    for (uint32_t workers = 1; workers < 4; workers++) {
        cth_executor *pool = pool_of(workers);
        for (size_t n = 0; n < 300; n += n < 5 ? 1 : 59) {
            int args[300];
            long squares[300] = {0};
            for (int i = 0; i < 300; i++) {
                args[i] = i;
            }
            CHECK_STATUS(cth_map(pool, square, args, sizeof(int), squares, sizeof(long), n),
                         CTH_OK);
            for (int i = 0; i < 300; i++) {
                CHECK_EQ(squares[i], (size_t)i < n ? (long)i * i : 0);
            }
        }
        pool_end(pool);
    }
}

static cth_status fails_from(void *arg, void *result) {
    const int n = *(const int *)arg;
    (void)result;
    return n >= 50 ? cth_fail(CTH_FAILED, "no %d", n) : CTH_OK;
}

static atomic_int calls;

static cth_status always_fails(void *arg, void *result) {
    (void)arg;
    (void)result;
    atomic_fetch_add(&calls, 1);
    return CTH_FAILED;
}

static void map_fails(void) {
    cth_executor *pool = pool_of(3);
    int args[100];
    for (int i = 0; i < 100; i++) {
        args[i] = i;
    }
    for (int round = 0; round < 50; round++) {
        CHECK_STATUS(cth_map(pool, fails_from, args, sizeof(int), NULL, 0, 100), CTH_FAILED);
        CHECK_STR(cth_error_text(), "no 50"); // calls begin in order: 50 is always among them
    }
    atomic_store(&calls, 0);
    CHECK_STATUS(cth_map(pool, always_fails, NULL, 0, NULL, 0, 10000), CTH_FAILED);
    CHECK_STR(cth_error_text(), "failed");
    CHECK(atomic_load(&calls) <= 4); // one for each thread: none begins after an error is known
    CHECK_STATUS(cth_map(pool, NULL, NULL, 0, NULL, 0, 1), CTH_INVALID);
    pool_end(pool);
}

static cth_status maps_itself(void *arg, void *result) {
    cth_executor *pool = *(cth_executor **)arg;
    int args[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    long squares[10];
    CHECK_STATUS(cth_map(pool, square, args, sizeof(int), squares, sizeof(long), 10), CTH_OK);
    *(long *)result = squares[9];
    return CTH_OK;
}

static void maps_within_maps(void) {
    cth_executor *pool = pool_of(2);
    cth_executor *pools[20];
    long results_[20] = {0};
    for (int i = 0; i < 20; i++) {
        pools[i] = pool;
    }
    CHECK_STATUS(cth_map(pool, maps_itself, pools, sizeof *pools, results_, sizeof(long), 20),
                 CTH_OK);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(results_[i], 81);
    }
    pool_end(pool);
}

static void refuses_what_is_from_before_a_fork(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *future = submit(pool, waits, &g);
    test_reach(&g.entered, 1);
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60);
        cth_future *other = NULL;
        bool good = cth_submit(pool, &other, waits, NULL, 0, 0) == CTH_FORKED;
        good &= cth_map(pool, waits, NULL, 0, NULL, 0, 3) == CTH_FORKED;
        good &= cth_future_result(future, NULL) == CTH_FORKED;
        good &= cth_future_cancel(future) == CTH_FORKED;
        good &= cth_executor_shutdown(pool, CTH_DRAIN) == CTH_FORKED;
        cth_future_release(cth_future_retain(future));
        cth_future_release(future);
        cth_executor_release(pool);
        _exit(good ? 0 : 1);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_future_result(cth_future_retain(future), NULL), CTH_OK);
    cth_future_release(future);
    cth_future_release(future);
    pool_end(pool);
}

static const test_case tests[] = {
    TEST(create_refuses),
    TEST(submit_refuses),
    TEST(results),
    TEST(large_arguments),
    TEST(errors),
    TEST(unasked_errors_reach_the_hook),
    TEST(waits_time_out),
    TEST(cancel_before_the_start),
    TEST(shutdown_now),
    TEST(shutdown_from_a_task),
    TEST(shutdown_from_a_nested_task),
    TEST(released_without_shutdown),
    TEST(waits_for_its_own_tasks),
    TEST(workers_start_on_demand),
    TEST(workers_have_names),
    TEST(tasks_inherit_the_token),
    TEST(maps),
    TEST(map_fails),
    TEST(maps_within_maps),
    TEST(refuses_what_is_from_before_a_fork),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
