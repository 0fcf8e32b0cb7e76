/* test_executor.c - executors of threads: tasks, map, shutdown, workers

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _XOPEN_SOURCE 700 // mkdtemp
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <stdlib.h>
#include <sys/stat.h>

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

typedef struct note {
    char *text; // what is noted, in order
    char letter;
} note;

static cth_status notes(void *arg, void *result) {
    const note *n = arg;
    strncat(n->text, &n->letter, 1);
    *(note *)result = (note){n->text, 'z'};
    return CTH_OK;
}

/* The only worker is busy: tasks need not be seen by anybody until it looks for more. */
static void submits_to_a_busy_worker(void) {
    cth_executor *pool = pool_of(1);
    cth_executor_counts c;
    gate g = {.open = CTH_EVENT_INIT};
    char text[16] = "";
    cth_future *ended, *after;
    CHECK_STATUS(cth_submit(pool, &ended, notes, &(note){text, 'a'}, sizeof(note), sizeof(note)),
                 CTH_OK);
    CHECK_STATUS(cth_future_wait(&ended, 1, CTH_ALL_DONE), CTH_OK);
    CHECK_STATUS(cth_submit(pool, NULL, waits, &(void *){&g}, sizeof(void *), 0), CTH_OK);
    test_reach(&g.entered, 1);
    cth_future *futures[4];
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(cth_submit(pool, &futures[i], notes, &(note){text, (char)('b' + i)},
                                sizeof(note), sizeof(note)),
                     CTH_OK);
    }
    CHECK_STATUS(cth_future_cancel(futures[1]), CTH_OK);
    CHECK_STATUS(cth_future_result(futures[2], NULL), CTH_OK); // runs here
    CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
    CHECK_EQ(c.queued, 2);
    CHECK_STATUS(cth_submit(pool, NULL, notes, &(note){text, 'f'}, sizeof(note), sizeof(note)),
                 CTH_OK);
    CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
    CHECK_EQ(c.queued, 3);
    CHECK_STATUS(cth_submit(pool, NULL, notes, &(note){text, 'g'}, sizeof(note), sizeof(note)),
                 CTH_OK);
    CHECK_STATUS(cth_future_then(ended, &after, notes, sizeof(note)), CTH_OK); // after all these
    CHECK_STATUS(cth_submit(pool, NULL, notes, &(note){text, 'h'}, sizeof(note), sizeof(note)),
                 CTH_OK);
    CHECK_STATUS(cth_executor_shutdown_until(pool, CTH_DRAIN, 0), CTH_TIMEDOUT);
    CHECK_STATUS(cth_submit(pool, NULL, notes, &(note){text, 'i'}, sizeof(note), sizeof(note)),
                 CTH_SHUTDOWN);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    CHECK_STR(text, "adbefgzh");
    cth_executor_release(pool);
    for (int i = 0; i < 4; i++) {
        cth_future_release(futures[i]);
    }
    cth_future_release(ended);
    cth_future_release(after);
}

static void peak_of_a_busy_worker(void) {
    cth_executor *pool = pool_of(1);
    cth_executor_counts c;
    gate g = {.open = CTH_EVENT_INIT};
    atomic_int ran = 0;
    CHECK_STATUS(cth_submit(pool, NULL, waits, &(void *){&g}, sizeof(void *), 0), CTH_OK);
    test_reach(&g.entered, 1);
    for (int i = 0; i < 10; i++) {
        CHECK_STATUS(cth_submit(pool, NULL, counts, &(void *){&ran}, sizeof(void *), 0), CTH_OK);
    }
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    test_reach(&ran, 10);
    CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
    CHECK_EQ(c.peak_queued, 10);
    pool_end(pool);
}

static cth_status dirties(void *arg, void *result) {
    unsigned char *bytes = result;
    for (size_t i = 0; i < *(size_t *)arg; i++) {
        if (bytes[i] != 0) {
            return cth_fail(CTH_FAILED, "byte %d is not 0", (int)i);
        }
        bytes[i] = 0xFF;
    }
    return CTH_OK;
}

/* Blocks of tasks are used again. */
static void results_begin_as_zero(void) {
    cth_executor *pool = pool_of(1);
    const size_t sizes[] = {8, 100, 40, 1000, 64, 112, 113, 100};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
            cth_future *future, *failed;
            CHECK_STATUS(cth_submit(pool, &future, dirties, &sizes[i], sizeof sizes[i], sizes[i]),
                         CTH_OK);
            CHECK_STATUS(cth_submit(pool, &failed, fails, &(int){2}, sizeof(int), 0), CTH_OK);
            CHECK_STATUS(cth_future_result(future, NULL), CTH_OK);
            CHECK_STR(cth_future_error(future), "");
            cth_future_release(future);
            CHECK(cth_future_result(failed, NULL) != CTH_OK); // has left its text
            cth_future_release(failed);
        }
    }
    pool_end(pool);
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

/* -- a bounded queue -----------------------------------------------------------------------------
 */

/* A pool of one worker, which is busy, with a full queue. */
typedef struct full {
    cth_executor *pool;
    gate busy;
    atomic_int ran;
    cth_future *first, *queued;
} full;

static void full_begin(full *f, cth_full_policy policy) {
    memset(f, 0, sizeof *f);
    const cth_executor_desc desc = {.workers = 1, .capacity = 1, .policy = policy};
    CHECK_STATUS(cth_executor_create(&f->pool, &desc), CTH_OK);
    f->first = submit(f->pool, waits, &f->busy);
    test_reach(&f->busy.entered, 1);
    f->queued = submit(f->pool, counts, &f->ran);
}

static void full_end(full *f) {
    CHECK_STATUS(cth_event_set(&f->busy.open), CTH_OK);
    cth_future_release(f->first);
    cth_future_release(f->queued);
    pool_end(f->pool);
}

static cth_status submit_one_until(void *object, cth_time deadline) {
    full *f = (full *)object;
    void *arg = &f->ran;
    return cth_submit_until(f->pool, NULL, counts, &arg, sizeof arg, 0, deadline);
}

static void full_queue_fails(void) {
    full f;
    void *arg = &f.ran;
    cth_executor *pool = NULL;
    const cth_executor_desc desc = {.policy = (cth_full_policy)3};
    CHECK_STATUS(cth_executor_create(&pool, &desc), CTH_INVALID);
    for (int policy = CTH_FULL_BLOCKS; policy <= CTH_FULL_CALLER_RUNS; policy++) {
        cth_future *out = NULL;
        full_begin(&f, (cth_full_policy)policy);
        CHECK_STATUS(cth_try_submit(f.pool, &out, counts, &arg, sizeof arg, 0), CTH_FULL);
        if (policy == CTH_FULL_FAILS) {
            CHECK_STATUS(cth_submit(f.pool, &out, counts, &arg, sizeof arg, 0), CTH_FULL);
            CHECK_STATUS(submit_one_until(&f, cth_after(CTH_MS(1))), CTH_FULL);
        }
        CHECK(out == NULL);
        full_end(&f);
        CHECK_EQ(atomic_load(&f.ran), 1);
    }
}

static void full_queue_blocks(void) {
    full f;
    full_begin(&f, CTH_FULL_BLOCKS);
    test_times_out(submit_one_until, &f);
    test_refuses_negative(submit_one_until, &f);
    CHECK_EQ(atomic_load(&f.ran), 0);
    test_waiter w[3];
    memset(w, 0, sizeof w);
    for (int i = 0; i < 3; i++) { // each gets in when the one before is taken out
        test_waiter_start(&w[i], submit_one_until, &f, CTH_FOREVER);
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    CHECK_STATUS(cth_future_cancel(f.queued), CTH_OK);
    while (atomic_load(&w[0].done) + atomic_load(&w[1].done) + atomic_load(&w[2].done) == 0) {
        cth_yield();
    }
    CHECK_STATUS(cth_event_set(&f.busy.open), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    full_end(&f);
    CHECK_EQ(atomic_load(&f.ran), 3);
}

static void blocked_submit_is_cancelled(void) {
    full f;
    cth_cancel token = CTH_CANCEL_INIT;
    test_waiter w = {.token = &token};
    full_begin(&f, CTH_FULL_BLOCKS);
    test_waiter_start(&w, submit_one_until, &f, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_cancel_request(&token, "test"), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
    for (int how = CTH_DRAIN; how <= CTH_NOW; how++) {
        test_waiter late = {0};
        test_waiter_start(&late, submit_one_until, &f, CTH_FOREVER);
        if (how == CTH_DRAIN) {
            test_waiter_asleep(&late);
        }
        CHECK_STATUS(cth_executor_shutdown_until(f.pool, (cth_shutdown)how, 0), CTH_TIMEDOUT);
        CHECK_STATUS(test_waiter_end(&late), CTH_SHUTDOWN);
    }
    CHECK_STATUS(cth_future_result(f.queued, NULL), CTH_SHUTDOWN);
    full_end(&f);
    CHECK_EQ(atomic_load(&f.ran), 0);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static cth_status tells_thread(void *arg, void *result) {
    (void)arg;
    *(cth_thread **)result = cth_thread_current();
    return cth_fail(CTH_FAILED, "by the caller");
}

static void caller_runs(void) {
    full f;
    cth_future *future = NULL;
    full_begin(&f, CTH_FULL_CALLER_RUNS);
    (void)cth_fail(CTH_FAILED, "my own");
    CHECK_STATUS(cth_submit(f.pool, &future, tells_thread, NULL, 0, sizeof(void *)), CTH_OK);
    CHECK(cth_future_is_done(future)); // in this thread
    CHECK_STATUS(cth_future_result(future, NULL), CTH_FAILED);
    CHECK_STR(cth_future_error(future), "by the caller");
    CHECK_STR(cth_error_text(), "my own");
    cth_future_release(future);
    full_end(&f);
}

/* From within, a submit to a full queue runs the task at once: nobody else could. */
static cth_status submits_many(void *arg, void *result) {
    full *f = *(full **)arg;
    (void)result;
    test_reach(&f->busy.entered, 1);
    for (int i = 0; i < 10; i++) {
        CHECK_STATUS(submit_one_until(f, CTH_FOREVER), CTH_OK);
    }
    return CTH_OK;
}

static void full_queue_from_within(void) {
    full f;
    memset(&f, 0, sizeof f);
    const cth_executor_desc desc = {.workers = 1, .capacity = 2};
    CHECK_STATUS(cth_executor_create(&f.pool, &desc), CTH_OK);
    f.first = submit(f.pool, submits_many, &f);
    atomic_store(&f.busy.entered, 1);
    CHECK_STATUS(cth_future_result_until(f.first, NULL, cth_after(CTH_S(500))), CTH_OK);
    cth_executor_counts counts_;
    CHECK_STATUS(cth_executor_count(f.pool, &counts_), CTH_OK);
    CHECK_EQ(counts_.peak_queued, 2);
    CHECK(atomic_load(&f.ran) >= 8);
    full_end(&f);
    CHECK_EQ(atomic_load(&f.ran), 10);
}

/* A map does not need room in the queue. */
static void maps_with_a_full_queue(void) {
    full f;
    int args[50], n = 0;
    long squares[50] = {0};
    full_begin(&f, CTH_FULL_BLOCKS);
    for (; n < 50; n++) {
        args[n] = n;
    }
    CHECK_STATUS(cth_map(f.pool, square, args, sizeof(int), squares, sizeof(long), 50), CTH_OK);
    CHECK_EQ(squares[49], 49 * 49);
    full_end(&f);
}

/* -- on_start and on_end -------------------------------------------------------------------------
 */

typedef struct ends {
    atomic_int begun, ended;
    int fails_from; // which on_start fails first
    gate fails_at;
} ends;

static _Thread_local int is_worker;

static cth_status starts(void *arg) {
    ends *e = (ends *)arg;
    if (atomic_fetch_add(&e->begun, 1) >= e->fails_from) {
        atomic_fetch_add(&e->fails_at.entered, 1);
        CHECK_STATUS(cth_event_wait(&e->fails_at.open), CTH_OK);
        return cth_fail(CTH_NOMEM, "no luck");
    }
    is_worker = 1;
    return CTH_OK;
}

static void stops(void *arg) {
    CHECK_EQ(is_worker, 1);
    atomic_fetch_add(&((ends *)arg)->ended, 1);
}

static cth_status in_worker(void *arg, void *result) {
    (void)arg;
    if (result != NULL) {
        *(long *)result = 1;
    }
    return is_worker == 1 ? CTH_OK : CTH_FAILED;
}

static cth_status maps_in_worker(void *arg, void *result) {
    return cth_map(*(cth_executor **)arg, in_worker, NULL, 0, result, sizeof(long), 1);
}

static void workers_are_prepared(void) {
    ends e = {.fails_from = 100};
    cth_executor *pool = NULL;
    long got[100] = {0};
    const cth_executor_desc desc = {.workers = 2, .on_start = starts, .on_end = stops, .arg = &e};
    CHECK_STATUS(cth_executor_create(&pool, &desc), CTH_OK);
    CHECK_EQ(atomic_load(&e.begun), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_STATUS(cth_run(pool, in_worker, NULL, 0, got, sizeof(long)), CTH_OK);
    }
    memset(got, 0, sizeof got);
    CHECK_STATUS(cth_map(pool, in_worker, NULL, 0, got, sizeof(long), 100), CTH_OK);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(got[i], 1);
    }
    // A worker that waits helps, so maps in more tasks than there are workers go well.
    cth_future *futures[20];
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(
            cth_submit(pool, &futures[i], maps_in_worker, &pool, sizeof pool, sizeof(long)),
            CTH_OK);
    }
    CHECK_STATUS(cth_future_wait(futures, 20, CTH_ALL_DONE), CTH_OK);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(cth_future_result(futures[i], NULL), CTH_OK);
        cth_future_release(futures[i]);
    }
    pool_end(pool);
    CHECK(atomic_load(&e.begun) >= 1 && atomic_load(&e.begun) <= 2);
    CHECK_EQ(atomic_load(&e.begun), atomic_load(&e.ended));
}

static void failing_start_breaks(void) {
    ends e = {.fails_from = 1};
    full f;
    memset(&f, 0, sizeof f);
    const cth_executor_desc desc = {
        .workers = 2, .capacity = 1, .on_start = starts, .on_end = stops, .arg = &e};
    CHECK_STATUS(cth_executor_create(&f.pool, &desc), CTH_OK);
    f.first = submit(f.pool, waits, &f.busy);
    test_reach(&f.busy.entered, 1);
    f.queued = submit(f.pool, counts, &f.ran);
    test_reach(&e.fails_at.entered, 1);
    test_waiter w = {0};
    test_waiter_start(&w, submit_one_until, &f, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_event_set(&e.fails_at.open), CTH_OK);
    CHECK_STATUS(cth_future_result(f.queued, NULL), CTH_BROKEN);
    CHECK_STR(cth_future_error(f.queued), "on_start of a worker: no luck");
    CHECK_STATUS(test_waiter_end(&w), CTH_BROKEN);
    cth_future *late = NULL;
    void *arg = &f.ran;
    CHECK_STATUS(cth_submit(f.pool, &late, counts, &arg, sizeof arg, 0), CTH_BROKEN);
    CHECK_STR(cth_error_text(), "on_start of a worker: no luck");
    CHECK_STATUS(cth_map(f.pool, square, NULL, 0, NULL, 0, 5), CTH_BROKEN);
    CHECK(late == NULL);
    CHECK(!cth_future_is_done(f.first)); // goes on
    CHECK_STATUS(cth_event_set(&f.busy.open), CTH_OK);
    CHECK_STATUS(cth_future_result(f.first, NULL), CTH_OK);
    full_end(&f);
    CHECK_EQ(atomic_load(&f.ran), 0);
    CHECK_EQ(atomic_load(&e.ended), 1);
}

static void first_start_breaks_a_map(void) {
    ends e = {.fails_from = 0};
    cth_executor *pool = NULL;
    const cth_executor_desc desc = {.workers = 2, .on_start = starts, .arg = &e};
    CHECK_STATUS(cth_event_set(&e.fails_at.open), CTH_OK);
    CHECK_STATUS(cth_executor_create(&pool, &desc), CTH_OK);
    CHECK_STATUS(cth_map(pool, square, NULL, 0, NULL, 0, 5), CTH_BROKEN);
    CHECK_STR(cth_error_text(), "on_start of a worker: no luck");
    pool_end(pool);
}

/* -- short forms and the lazy map ----------------------------------------------------------------
 */

static void run_is_submit_and_result(void) {
    cth_executor *pool = pool_of(1);
    int n = 9;
    long got = 0;
    CHECK_STATUS(cth_run(pool, square, &n, sizeof n, &got, sizeof got), CTH_OK);
    CHECK_EQ(got, 81);
    n = 2;
    CHECK_STATUS(cth_run(pool, fails, &n, sizeof n, NULL, 0), CTH_FAILED);
    CHECK_STR(cth_error_text(), "no 2");
    CHECK_STATUS(cth_run(pool, NULL, NULL, 0, NULL, 0), CTH_INVALID);
    pool_end(pool);
}

static int square_within(int n, bool leave) {
    cth_status status = CTH_FAILED;
    long got = -1;
    CTH_WITH_EXECUTOR(pool, &status, &(cth_executor_desc){.workers = 2, .name = "block"}) {
        CHECK_STATUS(status, CTH_OK);
        CHECK_STATUS(cth_run(pool, square, &n, sizeof n, &got, sizeof got), CTH_OK);
        if (leave) {
            return (int)got;
        }
    }
    return (int)got + 1;
}

static void executor_with_a_block(void) {
    static atomic_int ran;
    cth_status status = CTH_OK;
    CHECK_EQ(square_within(5, true), 25);
    CHECK_EQ(square_within(5, false), 26);
    atomic_store(&ran, 0);
    CTH_WITH_EXECUTOR(pool, &status, NULL) {
        for (int i = 0; i < 100; i++) {
            CHECK_STATUS(cth_submit(pool, NULL, counts, &(void *){&ran}, sizeof(void *), 0),
                         CTH_OK);
        }
        break;
    }
    CHECK_EQ(atomic_load(&ran), 100); // joined
    CTH_WITH_EXECUTOR(pool, &status, &(cth_executor_desc){.workers = 65537}) {
        CHECK(pool == NULL); // does not run
    }
    CHECK_STATUS(status, CTH_INVALID);
}

typedef struct stream {
    cth_executor *pool;
    int next, n, given, most; // `most`: pulled and not yet given
    int stop_at, fail_at;
} stream;

static bool pulls(void *arg, void *context) {
    stream *s = (stream *)context;
    CHECK_EQ(*(int *)arg, 0);
    if (s->next == s->n) {
        return false;
    }
    *(int *)arg = s->next++;
    s->most = s->next - s->given > s->most ? s->next - s->given : s->most;
    return true;
}

static cth_status gives(void *result, void *context) {
    stream *s = (stream *)context;
    CHECK_EQ(*(long *)result, (long)s->given * s->given);
    s->given++;
    return s->given == s->stop_at ? cth_fail(CTH_CLOSED, "enough") : CTH_OK;
}

static cth_status maps_each(stream *s, size_t buffer) {
    s->next = s->given = s->most = 0;
    return cth_map_each(s->pool, square, sizeof(int), sizeof(long), buffer, pulls, gives, s);
}

static void maps_lazily(void) {
    for (int policy = CTH_FULL_BLOCKS; policy <= CTH_FULL_CALLER_RUNS; policy++) {
        stream s = {.n = 500};
        const cth_executor_desc desc = {
            .workers = 2, .capacity = 3, .policy = (cth_full_policy)policy};
        CHECK_STATUS(cth_executor_create(&s.pool, &desc), CTH_OK);
        for (size_t buffer = 0; buffer < 8; buffer++) {
            CHECK_STATUS(maps_each(&s, buffer), CTH_OK);
            CHECK_EQ(s.given, 500);
            CHECK_EQ(s.next, 500);
            CHECK(s.most <= (buffer != 0 ? (int)buffer : 4) + (buffer > 3 || buffer == 0));
        }
        s.stop_at = 100;
        CHECK_STATUS(maps_each(&s, 4), CTH_CLOSED);
        CHECK_STR(cth_error_text(), "enough");
        CHECK_EQ(s.given, 100);
        CHECK(s.next <= 105);
        s.n = 0;
        CHECK_STATUS(maps_each(&s, 4), CTH_OK);
        CHECK_STATUS(cth_map_each(s.pool, square, 4, 8, 1, NULL, gives, &s), CTH_INVALID);
        CHECK_STATUS(cth_map_each(s.pool, NULL, 4, 8, 1, pulls, gives, &s), CTH_INVALID);
        pool_end(s.pool);
    }
}

static cth_status fails_at_seven(void *arg, void *result) {
    *(long *)result = (long)*(int *)arg * *(int *)arg;
    return *(int *)arg == 7 ? cth_fail(CTH_FAILED, "no 7") : CTH_OK;
}

static void lazy_map_ends_early(void) {
    stream s = {.n = 500};
    cth_cancel token = CTH_CANCEL_INIT;
    s.pool = pool_of(2);
    CHECK_STATUS(
        cth_map_each(s.pool, fails_at_seven, sizeof(int), sizeof(long), 5, pulls, gives, &s),
        CTH_FAILED);
    CHECK_STR(cth_error_text(), "no 7");
    CHECK_EQ(s.given, 7);
    CHECK_STATUS(cth_cancel_request(&token, "test"), CTH_OK);
    CTH_UNDER(&token) {
        const cth_status status = maps_each(&s, 3);
        CHECK(status == CTH_OK || status == CTH_CANCELLED); // as far as it had to wait
        CHECK(status == CTH_CANCELLED || s.given == s.n);
    }
    CHECK_STATUS(cth_executor_shutdown(s.pool, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(maps_each(&s, 2), CTH_SHUTDOWN);
    cth_executor_release(s.pool);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* -- what it counts ------------------------------------------------------------------------------
 */

static void counts_add_up(void) {
    full f;
    cth_executor_counts c;
    full_begin(&f, CTH_FULL_CALLER_RUNS);
    cth_future *after = NULL, *failed = NULL;
    CHECK_STATUS(cth_future_then(f.queued, &after, counts, 0), CTH_OK);
    CHECK_STATUS(cth_submit(f.pool, &failed, fails, &(int){2}, sizeof(int), 0), CTH_OK);
    CHECK_STATUS(cth_executor_count(f.pool, NULL), CTH_INVALID);
    CHECK_STATUS(cth_executor_count(f.pool, &c), CTH_OK);
    CHECK_EQ(c.workers, 1);
    CHECK_EQ(c.alive, 1);
    CHECK_EQ(c.started, 1);
    CHECK_EQ(c.idle, 0);
    CHECK_EQ(c.start_error, CTH_OK);
    CHECK_EQ(c.queued, 1);
    CHECK_EQ(c.peak_queued, 1);
    CHECK_EQ(c.running, 1);
    CHECK_EQ(c.waiting, 1);
    CHECK_EQ(c.failed, 1); // by the caller
    CHECK_EQ(c.submitted, 4);
    CHECK_STATUS(cth_future_cancel(f.queued), CTH_OK);
    CHECK_STATUS(cth_executor_count(f.pool, &c), CTH_OK);
    CHECK_EQ(c.cancelled, 2); // what waited for it too
    CHECK_STATUS(cth_submit(f.pool, NULL, counts, &(void *){&f.ran}, sizeof(void *), 0), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown_until(f.pool, CTH_NOW, 0), CTH_TIMEDOUT);
    CHECK_STATUS(cth_event_set(&f.busy.open), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(f.pool, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(cth_executor_count(f.pool, &c), CTH_OK);
    CHECK_EQ(c.dropped, 1);
    CHECK_EQ(c.completed, 1);
    CHECK_EQ(c.alive + c.queued + c.running + c.waiting, 0);
    CHECK_EQ(c.submitted, 5);
    cth_future_release(after);
    cth_future_release(failed);
    full_end(&f);
}

static void put_file(const char *root, const char *path, const char *text) {
    char name[300];
    snprintf(name, sizeof name, "%s/%s", root, path);
    for (char *slash = strchr(name + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        CHECK(mkdir(name, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
}

/* The quota of the cgroup, from files made for the test. */
static void quota_of_the_cgroup(void) {
    static const struct {
        const char *groups, *path, *text, *period; // of version 1, if there is a period
        uint32_t cpus;
    } cases[] = {
        {"0::/", "cpu.max", "max 100000\n", NULL, UINT32_MAX},
        {"0::/\n", "cpu.max", "100000 100000\n", NULL, 1},
        {"0::/a/b\n", "a/b/cpu.max", "250000 100000\n", NULL, 3},
        {"0::/a/b\n", "a/cpu.max", "1000 100000\n", NULL, 1}, // of a group above
        {"0::/a/b\n", "cpu.max", "200000 100000\n", NULL, 2}, // seen from a container
        {"0::/a/b\n", "a/b/cpu.max", "nonsense\n", NULL, UINT32_MAX},
        {"0::/a/b\n", "a/b/cpu.max", "5 0\n", NULL, UINT32_MAX},
        {"0::/a/b\n", "a/b/cpu.max", "", NULL, UINT32_MAX},
        {"", "cpu.max", "100000 100000\n", NULL, UINT32_MAX},
        {"nothing\n0:", "cpu.max", "100000 100000\n", NULL, UINT32_MAX},
        {"2:cpuset:/x\n1:cpu,cpuacct:/x\n", "cpu/x/cpu.cfs_quota_us", "150000\n", "100000\n", 2},
        {"1:cpuacct,cpu:/x\n", "cpu/x/cpu.cfs_quota_us", "400000\n", "100000\n", 4},
        {"1:cpu:/x\n", "cpu/x/cpu.cfs_quota_us", "-1\n", "100000\n", UINT32_MAX},
        {"1:cpu:/x\n", "cpu/cpu.cfs_quota_us", "50000\n", "100000\n", 1}, // from a container
        {"3:cpuset:/x\n2:cpuacct:/x\n", "cpu/x/cpu.cfs_quota_us", "1\n", "1\n", UINT32_MAX},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char root[] = "/tmp/cth_quota_XXXXXX", path[200], command[64];
        CHECK(mkdtemp(root) != NULL);
        put_file(root, "proc/self/cgroup", cases[i].groups);
        snprintf(path, sizeof path, "sys/fs/cgroup/%s", cases[i].path);
        put_file(root, path, cases[i].text);
        if (cases[i].period != NULL) {
            snprintf(strstr(path, "cpu.cfs_quota_us"), 20, "cpu.cfs_period_us");
            put_file(root, path, cases[i].period);
        }
        errno = 77;
        const uint32_t cpus = cth__os_cpu_quota(root);
        CHECK_EQ(errno, 77);
        if (cpus != cases[i].cpus) {
            fprintf(stderr, "case %zu\n", i);
        }
        CHECK_EQ(cpus, cases[i].cpus);
        snprintf(command, sizeof command, "rm -r %s", root);
        CHECK(system(command) == 0);
    }
    CHECK_EQ(cth__os_cpu_quota("/nowhere"), UINT32_MAX);
    CHECK(cth__cpus_granted() >= 1);
}

/* -- forks ---------------------------------------------------------------------------------------
 */

static cth_status spins(void *arg, void *result) {
    (void)result;
    return atomic_load(*(atomic_int **)arg) >= 0 ? CTH_OK : CTH_FAILED;
}

static cth_status nothing(void *arg, void *result) {
    (void)arg;
    (void)result;
    return CTH_OK;
}

static atomic_int stop;

static cth_status keeps_busy(void *arg) {
    cth_executor *pool = (cth_executor *)arg;
    void *number = &stop;
    while (atomic_load(&stop) == 0) {
        cth_future *future, *after;
        CHECK_STATUS(cth_submit(pool, &future, spins, &number, sizeof number, 0), CTH_OK);
        CHECK_STATUS(cth_future_then(future, &after, nothing, 0), CTH_OK);
        const cth_status status = cth_future_cancel(after);
        CHECK(status == CTH_OK || status == CTH_BUSY);
        CHECK_STATUS(cth_future_result(future, NULL), CTH_OK);
        cth_future_release(future);
        cth_future_release(after);
    }
    return CTH_OK;
}

/* In the child of a fork ThreadSanitizer starts no threads, and AddressSanitizer's allocator may
   hang. */
#if defined(__SANITIZE_ADDRESS__)
#  define SANITIZED 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define SANITIZED 1
#  endif
#endif
#ifndef SANITIZED
#  define SANITIZED TEST_TSAN
#endif

static void forks_while_busy(void) {
    cth_executor *pool = pool_of(2);
    gate g = {.open = CTH_EVENT_INIT};
    atomic_store(&stop, 0);
    cth_future *future = submit(pool, waits, &g);
    cth_thread *threads[2] = {test_spawn(keeps_busy, pool), test_spawn(keeps_busy, pool)};
    test_reach(&g.entered, 1);
    fflush(stdout);
    for (int i = 0; i < (TEST_TSAN ? 20 : 200); i++) {
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            cth_executor *fresh = NULL;
            cth_executor_counts c;
            int n = 6;
            long got = 0;
            bool good = cth_submit(pool, NULL, square, NULL, 0, 0) == CTH_FORKED;
            good &= cth_run(pool, square, &n, sizeof n, &got, sizeof got) == CTH_FORKED;
            good &= cth_map_each(pool, square, 4, 8, 0, pulls, gives, NULL) == CTH_FORKED;
            good &= cth_executor_count(pool, &c) == CTH_FORKED;
            good &= cth_future_result(future, NULL) == CTH_FORKED;
            good &= cth_executor_shutdown(pool, CTH_NOW) == CTH_FORKED;
            cth_future_release(future);
            cth_executor_release(pool);
            if (!SANITIZED) {
                good &= cth_executor_create(&fresh, NULL) == CTH_OK;
                good &= cth_run(fresh, square, &n, sizeof n, &got, sizeof got) == CTH_OK;
                good &= cth_executor_shutdown(fresh, CTH_DRAIN) == CTH_OK && got == 36;
                cth_executor_release(fresh);
            }
            _exit(good ? 0 : 1);
        }
        int status = 0;
        while (waitpid(pid, &status, 0) < 0) {
            CHECK_EQ(errno, EINTR);
        }
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
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
    TEST(submits_to_a_busy_worker),
    TEST(peak_of_a_busy_worker),
    TEST(results_begin_as_zero),
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
    TEST(full_queue_fails),
    TEST(full_queue_blocks),
    TEST(blocked_submit_is_cancelled),
    TEST(caller_runs),
    TEST(full_queue_from_within),
    TEST(maps_with_a_full_queue),
    TEST(workers_are_prepared),
    TEST(failing_start_breaks),
    TEST(first_start_breaks_a_map),
    TEST(run_is_submit_and_result),
    TEST(executor_with_a_block),
    TEST(maps_lazily),
    TEST(lazy_map_ends_early),
    TEST(counts_add_up),
    TEST(quota_of_the_cgroup),
    TEST(forks_while_busy),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
