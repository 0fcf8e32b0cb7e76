/* fault_alloc_queue.c - every allocation of a queue fails in turn.

   As fault_alloc.c: each scenario is one call. It runs in a process of its own, forked before the
   kit was used, and there the k-th allocation of that call fails (and, in a second pass, all from
   the k-th on). The call must return its documented status, change nothing, and succeed when it is
   made again; made many times it must not make the number of live blocks grow. k = 0, 1, 2, ...
   until the call gets through without meeting the failure.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void *fault_malloc(size_t size);
static void fault_free(void *block);
#define CTH_MALLOC(size) fault_malloc(size)
#define CTH_FREE(block)  fault_free(block)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"

enum { NEVER = -1 };

static atomic_int countdown = NEVER; // allocations that still succeed; NEVER: all of them
static atomic_bool fail_rest;        // after the countdown all fail, not just one
static atomic_int failures;
static atomic_int live_blocks;

static void *fault_malloc(size_t size) {
    int left = atomic_load(&countdown);
    while (left != NEVER) {
        const int next = left > 0 ? left - 1 : atomic_load(&fail_rest) ? 0 : NEVER;
        if (atomic_compare_exchange_strong(&countdown, &left, next)) {
            if (left == 0) {
                atomic_fetch_add(&failures, 1);
                return NULL;
            }
            break;
        }
    }
    void *block = malloc(size);
    if (block != NULL) {
        memset(block, 0xA5, size); // nobody may count on zeroes
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

static void fault_free(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
        free(block);
    }
}

static void arm(int k, bool rest) {
    atomic_store(&failures, 0);
    atomic_store(&fail_rest, rest);
    atomic_store(&countdown, k);
}

/* Let allocations succeed again; returns how many failed since arm. */
static int disarm(void) {
    atomic_store(&countdown, NEVER);
    return atomic_load(&failures);
}

/* ------------------------------------------------------------------------------------------------
   Scenarios. act: the call under test. unchanged: what must hold after it failed. undo: what makes
   the same call possible again after it succeeded. All three run in the same thread; prepare and
   finish in the main one. No allocation fails in any but act.
   ------------------------------------------------------------------------------------------------
 */

enum { IN_MAIN, IN_FOREIGN, IN_KIT };

typedef struct scenario {
    const char *name;
    int where;
    int at_least, at_most; /* allocations that fail in the first pass */
    void (*prepare)(void);
    cth_status (*act)(void);
    void (*unchanged)(void);
    void (*undo)(void);
    void (*finish)(void);
} scenario;

enum { ROOM = CTH__QUEUE_LEAST, VALUE = 7, ELEMENTS = 5 };

CTH_QUEUE_OF(int, int_queue);

static cth_queue queue, before;
static int_queue typed;
static cth_thread *waiter;
static int dropped; // the sum of what was

static void use_kit(void) {
    CHECK(cth_thread_current() != NULL);
}

static int by_value(const void *a, const void *b, void *arg) {
    const int x = *(const int *)a, y = *(const int *)b;
    (void)arg;
    return (x > y) - (x < y);
}

static void drop(void *element, void *arg) {
    (void)arg;
    dropped += *(int *)element;
}

// --- init ---

static cth_status init_as(cth_queue_order order, size_t bound) {
    const cth_queue_desc desc = {.order = order, .compare = by_value, .drop = drop};
    memset(&queue, 0x5A, sizeof queue);
    before = queue;
    dropped = 0;
    return cth_queue_init(&queue, sizeof(int), bound, &desc);
}

static cth_status act_init_bounded(void) {
    return init_as(CTH_FIFO, ELEMENTS);
}

static cth_status act_init_priority(void) {
    return init_as(CTH_PRIORITY, ELEMENTS);
}

static cth_status act_init_unbounded(void) {
    return init_as(CTH_FIFO, 0);
}

static void not_made(void) {
    CHECK(memcmp(&queue, &before, sizeof queue) == 0);
}

static void destroy(void) {
    CHECK_STATUS(cth_queue_destroy(&queue), CTH_OK);
}

// --- a put that needs memory ---

static void put_it(int value) {
    CHECK_STATUS(cth_queue_put(&queue, &value), CTH_OK);
}

static void get_it(int want) {
    int value = -1;
    CHECK_STATUS(cth_queue_get(&queue, &value), CTH_OK);
    CHECK_EQ(value, want);
}

/* Not more is unfinished than what was put. */
static void all_done(int n) {
    for (int i = 0; i < n; i++) {
        CHECK_STATUS(cth_queue_join_until(&queue, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
    }
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
    CHECK_STATUS(cth_queue_join_until(&queue, 0), CTH_OK);
}

static void prepare_unbounded(void) {
    CHECK_STATUS(act_init_unbounded(), CTH_OK);
}

static void prepare_zeroed(void) {
    queue = (cth_queue)CTH_QUEUE_INIT(sizeof(int));
    dropped = 0;
}

static cth_status act_put(void) {
    return cth_queue_put(&queue, &(int){VALUE});
}

static cth_status act_try_put(void) {
    return cth_queue_try_put(&queue, &(int){VALUE});
}

static cth_status act_put_until(void) {
    return cth_queue_put_until(&queue, &(int){VALUE}, cth_after(CTH_S(100)));
}

static void is_empty(void) {
    CHECK(cth_queue_is_empty(&queue));
    CHECK_STATUS(cth_queue_try_get(&queue, &(int){0}), CTH_EMPTY);
    CHECK_STATUS(cth_queue_join_until(&queue, 0), CTH_OK);
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
}

static void undo_first_put(void) {
    CHECK_EQ(cth_queue_size(&queue), 1);
    get_it(VALUE);
    all_done(1);
    destroy();
    prepare_unbounded();
}

static void undo_first_put_zeroed(void) {
    undo_first_put();
    destroy();
    prepare_zeroed();
}

/* The array is full, and in a FIFO queue the oldest element stands in its middle. */
static void prepare_full_array(cth_queue_order order) {
    CHECK_STATUS(init_as(order, 0), CTH_OK);
    for (int i = 0; i < 3; i++) {
        put_it(0);
    }
    for (int i = 0; i < 3; i++) {
        get_it(0);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
    }
    for (int i = 0; i < ROOM; i++) {
        put_it(i);
    }
}

static void prepare_fifo(void) {
    prepare_full_array(CTH_FIFO);
}

static void prepare_lifo(void) {
    prepare_full_array(CTH_LIFO);
}

static void prepare_priority(void) {
    prepare_full_array(CTH_PRIORITY);
}

static void array_is_full(void) {
    int value = -1;
    CHECK_EQ(cth_queue_size(&queue), ROOM);
    CHECK_STATUS(cth_queue_peek(&queue, &value), CTH_OK);
    CHECK_EQ(value, queue.desc.order == CTH_LIFO ? ROOM - 1 : 0);
    CHECK(!cth_queue_is_full(&queue));
}

/* All are there, in their order. */
static void check_grown(void) {
    CHECK_EQ(cth_queue_size(&queue), ROOM + 1);
    for (int i = 0; i <= ROOM; i++) {
        static const int lifo[] = {VALUE, 7, 6, 5, 4, 3, 2, 1, 0};
        _Static_assert(sizeof lifo / sizeof *lifo == ROOM + 1, "each value is listed");
        get_it(queue.desc.order == CTH_LIFO ? lifo[i] : i < ROOM ? i : VALUE);
    }
    all_done(ROOM + 1);
    destroy();
    CHECK_EQ(dropped, 0);
}

static void undo_fifo(void) {
    check_grown();
    prepare_fifo();
}

static void undo_lifo(void) {
    check_grown();
    prepare_lifo();
}

static void undo_priority(void) {
    check_grown();
    prepare_priority();
}

static void prepare_typed(void) {
    CHECK_STATUS(int_queue_init(&typed, 0, NULL), CTH_OK);
}

static cth_status act_typed_put(void) {
    return int_queue_put(&typed, VALUE);
}

static void typed_is_empty(void) {
    CHECK(cth_queue_is_empty(&typed.queue));
}

static void finish_typed(void) {
    CHECK_STATUS(cth_queue_destroy(&typed.queue), CTH_OK);
}

static void undo_typed_put(void) {
    int value = -1;
    CHECK_STATUS(int_queue_get(&typed, &value), CTH_OK);
    CHECK_EQ(value, VALUE);
    finish_typed();
    prepare_typed();
}

// --- calls that may be the first one of a thread ---

static void prepare_bounded(void) {
    CHECK_STATUS(act_init_bounded(), CTH_OK);
}

static void prepare_full(void) {
    prepare_bounded();
    for (int i = 0; i < ELEMENTS; i++) {
        put_it(VALUE + i);
    }
}

static void still_full(void) {
    CHECK(cth_queue_is_full(&queue));
    CHECK_EQ(dropped, 0);
}

static void undo_put(void) {
    CHECK_EQ(cth_queue_size(&queue), 1);
    get_it(VALUE);
    all_done(1);
}

static cth_status act_put_full(void) {
    const cth_status status = cth_queue_put_until(&queue, &(int){0}, cth_after(CTH_US(10)));
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_try_put_full(void) {
    const cth_status status = cth_queue_try_put(&queue, &(int){0});
    return status == CTH_FULL ? CTH_OK : status;
}

static cth_status act_get(void) {
    int value = -1;
    const cth_status status = cth_queue_get(&queue, &value);
    CHECK_EQ(value, status == CTH_OK ? VALUE : -1);
    return status;
}

static cth_status act_get_empty(void) {
    int value = -1;
    const cth_status status = cth_queue_get_until(&queue, &value, cth_after(CTH_US(10)));
    CHECK_EQ(value, -1);
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_try_get_empty(void) {
    int value = -1;
    const cth_status status = cth_queue_try_get(&queue, &value);
    CHECK_EQ(value, -1);
    return status == CTH_EMPTY ? CTH_OK : status;
}

static cth_status act_peek(void) {
    int value = -1;
    const cth_status status = cth_queue_peek(&queue, &value);
    CHECK_EQ(value, status == CTH_OK ? VALUE : -1);
    return status;
}

static cth_status act_task_done(void) {
    return cth_queue_task_done(&queue);
}

static void undo_get(void) {
    CHECK_EQ(cth_queue_size(&queue), ELEMENTS - 1);
    destroy();
    prepare_full();
}

static void undo_task_done(void) {
    still_full();
    all_done(ELEMENTS - 1);
    destroy();
    prepare_full();
}

static cth_status act_join(void) {
    const cth_status status = cth_queue_join_until(&queue, cth_after(CTH_US(10)));
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_drain(void) {
    return cth_queue_shutdown(&queue, CTH_DRAIN);
}

static cth_status act_shut_now(void) {
    return cth_queue_shutdown(&queue, CTH_NOW);
}

/* After a shutdown that failed the queue still serves. */
static void not_shut(void) {
    still_full();
    CHECK_STATUS(act_try_put_full(), CTH_OK);
}

static void undo_drain(void) {
    CHECK_EQ(cth_queue_size(&queue), ELEMENTS);
    CHECK_STATUS(cth_queue_put(&queue, &(int){0}), CTH_SHUTDOWN);
    get_it(VALUE);
    destroy();
    prepare_full();
}

static void undo_shut_now(void) {
    CHECK_EQ(dropped, ELEMENTS * VALUE + 10);
    CHECK(cth_queue_is_empty(&queue));
    CHECK_STATUS(cth_queue_join_until(&queue, 0), CTH_OK);
    CHECK_STATUS(cth_queue_get(&queue, &(int){0}), CTH_SHUTDOWN);
    destroy();
    CHECK_EQ(dropped, ELEMENTS * VALUE + 10);
    prepare_full();
}

static cth_status act_destroy(void) {
    return cth_queue_destroy(&queue);
}

static void undo_destroy(void) {
    CHECK_EQ(dropped, ELEMENTS * VALUE + 10);
    prepare_full();
}

static void undo_destroy_unbounded(void) {
    CHECK_EQ(dropped, ROOM * (ROOM - 1) / 2);
    prepare_fifo();
}

// --- with a waiter ---

static cth_status waited; // what the waiter's call returned

static cth_status wait_get(void *arg) {
    int value = -1;
    (void)arg;
    waited = cth_queue_get(&queue, &value);
    CHECK_EQ(value, waited == CTH_OK ? VALUE : -1);
    return CTH_OK;
}

static cth_status wait_put(void *arg) {
    (void)arg;
    waited = cth_queue_put(&queue, &(int){VALUE});
    return CTH_OK;
}

/* Seen asleep (or about to be) by the mark in the word. */
static void start_waiter(cth_thread_fn fn, uint32_t mark) {
    CHECK_STATUS(cth_thread_spawn(&waiter, fn, NULL, NULL), CTH_OK);
    while ((cth__load(&queue.word, relaxed) & mark) == 0) {
        cth_yield();
    }
}

static cth_status join_waiter(void) {
    CHECK_STATUS(cth_thread_join(waiter, NULL), CTH_OK);
    cth_thread_release(waiter);
    return waited;
}

/* The put that would free the getter needs an array first. */
static void prepare_getter(void) {
    prepare_unbounded();
    start_waiter(wait_get, CTH__GETTERS);
}

static void getter_waits(void) {
    CHECK(cth_queue_is_empty(&queue));
    CHECK((cth__load(&queue.word, relaxed) & CTH__GETTERS) != 0);
    CHECK_STATUS(cth_queue_destroy(&queue), CTH_BUSY);
}

static void undo_put_to_getter(void) {
    CHECK_STATUS(join_waiter(), CTH_OK);
    all_done(1);
    destroy();
    prepare_getter();
}

static void finish_getter(void) {
    CHECK_STATUS(act_drain(), CTH_OK);
    CHECK_STATUS(join_waiter(), CTH_SHUTDOWN);
    destroy();
}

static void undo_shutdown_with_getter(void) {
    CHECK_STATUS(join_waiter(), CTH_SHUTDOWN);
    destroy();
    prepare_getter();
}

static void prepare_putter(void) {
    prepare_full();
    start_waiter(wait_put, CTH__PUTTERS);
}

static void putter_waits(void) {
    still_full();
    CHECK((cth__load(&queue.word, relaxed) & CTH__PUTTERS) != 0);
    CHECK_STATUS(cth_queue_destroy(&queue), CTH_BUSY);
}

static void undo_get_from_putter(void) {
    CHECK_STATUS(join_waiter(), CTH_OK);
    still_full();
    destroy();
    prepare_putter();
}

static void finish_putter(void) {
    CHECK_STATUS(act_shut_now(), CTH_OK);
    CHECK_STATUS(join_waiter(), CTH_SHUTDOWN);
    destroy();
}

enum { ANY = 1000 };

#define FAILS_WITH_NOMEM(least) (least), ANY
#define FAILS_TIMES(n)          (n), (n)
#define NEVER_ALLOCATES         0, 0

// One line or two for each; the formatter would make it ten.
// clang-format off
static const scenario scenarios[] = {
    {"init with a bound", IN_MAIN, FAILS_TIMES(1), use_kit, act_init_bounded, not_made, destroy,
     NULL},
    {"init with priorities", IN_KIT, FAILS_TIMES(1), NULL, act_init_priority, not_made, destroy,
     NULL},
    {"init without a bound", IN_KIT, NEVER_ALLOCATES, NULL, act_init_unbounded, NULL, destroy,
     NULL},
    {"init as the first call", IN_MAIN, FAILS_WITH_NOMEM(1), NULL, act_init_bounded, not_made,
     destroy, NULL},
    {"init in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(2), NULL, act_init_bounded,
     not_made, destroy, NULL},
    {"init without a bound in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL,
     act_init_unbounded, not_made, destroy, NULL},
    {"first put", IN_KIT, FAILS_TIMES(1), prepare_unbounded, act_put, is_empty, undo_first_put,
     destroy},
    {"first put into a zeroed queue", IN_KIT, FAILS_TIMES(1), prepare_zeroed, act_put, is_empty,
     undo_first_put_zeroed, destroy},
    {"first put as the first call", IN_MAIN, FAILS_WITH_NOMEM(1), prepare_zeroed, act_put,
     is_empty, undo_first_put_zeroed, destroy},
    {"first put in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(2), prepare_unbounded, act_put,
     is_empty, undo_first_put, destroy},
    {"put that grows a FIFO", IN_KIT, FAILS_TIMES(1), prepare_fifo, act_put, array_is_full,
     undo_fifo, destroy},
    {"try put that grows a FIFO", IN_KIT, FAILS_TIMES(1), prepare_fifo, act_try_put,
     array_is_full, undo_fifo, destroy},
    {"put until that grows a FIFO", IN_KIT, FAILS_TIMES(1), prepare_fifo, act_put_until,
     array_is_full, undo_fifo, destroy},
    {"put that grows a FIFO, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(2), prepare_fifo,
     act_put, array_is_full, undo_fifo, destroy},
    {"put that grows a LIFO", IN_KIT, FAILS_TIMES(1), prepare_lifo, act_put, array_is_full,
     undo_lifo, destroy},
    {"put that grows one with priorities", IN_KIT, FAILS_TIMES(1), prepare_priority, act_put,
     array_is_full, undo_priority, destroy},
    {"typed put", IN_KIT, FAILS_TIMES(1), prepare_typed, act_typed_put, typed_is_empty,
     undo_typed_put, finish_typed},
    {"put with a bound", IN_KIT, NEVER_ALLOCATES, prepare_bounded, act_put, NULL, undo_put,
     destroy},
    {"put with a bound in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_bounded,
     act_put, is_empty, undo_put, destroy},
    {"put into a full one", IN_KIT, NEVER_ALLOCATES, prepare_full, act_put_full, NULL, still_full,
     destroy},
    {"put into a full one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full,
     act_put_full, still_full, still_full, destroy},
    {"try put into a full one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full,
     act_try_put_full, still_full, still_full, destroy},
    {"get", IN_KIT, NEVER_ALLOCATES, prepare_full, act_get, NULL, undo_get, destroy},
    {"get in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full, act_get,
     still_full, undo_get, destroy},
    {"get from an empty one", IN_KIT, NEVER_ALLOCATES, prepare_bounded, act_get_empty, NULL,
     is_empty, destroy},
    {"get from an empty one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1),
     prepare_bounded, act_get_empty, is_empty, is_empty, destroy},
    {"try get from an empty one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1),
     prepare_bounded, act_try_get_empty, is_empty, is_empty, destroy},
    {"peek in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full, act_peek,
     still_full, still_full, destroy},
    {"task done", IN_KIT, NEVER_ALLOCATES, prepare_full, act_task_done, NULL, undo_task_done,
     destroy},
    {"task done in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full,
     act_task_done, still_full, undo_task_done, destroy},
    {"join", IN_KIT, NEVER_ALLOCATES, prepare_full, act_join, NULL, still_full, destroy},
    {"join in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full, act_join,
     still_full, still_full, destroy},
    {"drain", IN_KIT, NEVER_ALLOCATES, prepare_full, act_drain, NULL, undo_drain, destroy},
    {"drain in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full, act_drain,
     not_shut, undo_drain, destroy},
    {"shutdown now", IN_KIT, NEVER_ALLOCATES, prepare_full, act_shut_now, NULL, undo_shut_now,
     destroy},
    {"shutdown now in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full,
     act_shut_now, not_shut, undo_shut_now, destroy},
    {"destroy", IN_KIT, NEVER_ALLOCATES, prepare_fifo, act_destroy, NULL, undo_destroy_unbounded,
     destroy},
    {"destroy in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full, act_destroy,
     not_shut, undo_destroy, destroy},
    {"first put, with a getter", IN_KIT, FAILS_TIMES(1), prepare_getter, act_put, getter_waits,
     undo_put_to_getter, finish_getter},
    {"first put, with a getter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(2),
     prepare_getter, act_put, getter_waits, undo_put_to_getter, finish_getter},
    {"shutdown with a getter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1),
     prepare_getter, act_drain, getter_waits, undo_shutdown_with_getter, finish_getter},
    {"get with a putter", IN_KIT, NEVER_ALLOCATES, prepare_putter, act_get, NULL,
     undo_get_from_putter, finish_putter},
    {"get with a putter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_putter,
     act_get, putter_waits, undo_get_from_putter, finish_putter},
};
// clang-format on

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* ------------------------------------------------------------------------------------------------
   Running one scenario in one process.
   ------------------------------------------------------------------------------------------------
 */

enum { EXIT_DONE = 0, EXIT_FAILED_ONE = 10, REPEATS = 12, GUARD_SECONDS = 60 };

typedef struct job {
    const scenario *what;
    int k;
    bool rest;
    bool met; /* the failure was met */
} job;

static void call(void (*step)(void)) {
    if (step != NULL) {
        step();
    }
}

static void run_once(job *j) {
    const scenario *s = j->what;
    arm(j->k, j->rest);
    const cth_status status = s->act();
    const int failed = disarm();
    if (status != CTH_OK) {
        if (status != CTH_NOMEM || failed == 0) {
            fprintf(stderr, "fault_alloc_queue: %s, allocation %d%s: %s with %d failures\n",
                    s->name, j->k, j->rest ? " and all later" : "", cth_status_name(status),
                    failed);
        }
        CHECK(failed > 0);
        CHECK_STATUS(status, CTH_NOMEM);
        call(s->unchanged);
        CHECK_STATUS(s->act(), CTH_OK);
    }
    // With CTH_OK in spite of a failure the call found a way without; undo checks its effect.
    j->met = failed > 0;
    call(s->undo);
}

static void *foreign_once(void *arg) {
    run_once((job *)arg);
    return NULL;
}

static cth_status kit_once(void *arg) {
    run_once((job *)arg);
    return CTH_OK;
}

static void run_where(job *j) {
    if (j->what->where == IN_MAIN) {
        run_once(j);
    } else if (j->what->where == IN_FOREIGN) {
        pthread_t id;
        CHECK(pthread_create(&id, NULL, foreign_once, j) == 0);
        CHECK(pthread_join(id, NULL) == 0);
    } else {
        cth_thread *t = NULL;
        CHECK_STATUS(cth_thread_spawn(&t, kit_once, j, NULL), CTH_OK);
        CHECK_STATUS(cth_thread_join(t, NULL), CTH_OK);
        cth_thread_release(t);
    }
}

/* The child: one k in a fresh process, then the same again and again to see whether blocks pile
   up. The first rounds may leave what is kept for ever: records of threads. */
static int run_child(job j) {
    alarm(GUARD_SECONDS);
    call(j.what->prepare);
    run_where(&j);
    const bool met = j.met;
    int settled = 0;
    for (int i = 0; i < REPEATS; i++) {
        run_where(&j);
        if (i == REPEATS / 2) {
            settled = atomic_load(&live_blocks);
        }
    }
    if (atomic_load(&live_blocks) > settled) {
        fprintf(stderr, "fault_alloc_queue: %s: %d live blocks, later %d\n", j.what->name, settled,
                atomic_load(&live_blocks));
    }
    CHECK(atomic_load(&live_blocks) <= settled);
    call(j.what->finish);
    return met ? EXIT_FAILED_ONE : EXIT_DONE;
}

/* Run a scenario for all k; returns how many allocations were made to fail. */
static int run_scenario(const scenario *s, bool rest) {
    for (int k = 0;; k++) {
        CHECK(k < ANY);
        fflush(stdout);
        fflush(stderr);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            atomic_store(&test_name, s->name);
            exit(run_child((job){s, k, rest, false}));
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid);
        const bool exited = WIFEXITED(status);
        if (exited && WEXITSTATUS(status) == EXIT_DONE) {
            return k;
        }
        if (!exited || WEXITSTATUS(status) != EXIT_FAILED_ONE) {
            fprintf(stderr, "fault_alloc_queue: %s, allocation %d%s: %s %d\n", s->name, k,
                    rest ? " and all later" : "", exited ? "exit status" : "signal",
                    exited ? WEXITSTATUS(status) : WTERMSIG(status));
        }
        CHECK(exited && WEXITSTATUS(status) == EXIT_FAILED_ONE);
    }
}

static void run_all(bool rest) {
    int points = 0;
    for (int i = 0; i < SCENARIOS; i++) {
        const scenario *s = &scenarios[i];
        const int n = run_scenario(s, rest);
        if (n < s->at_least || n > s->at_most) {
            fprintf(stderr, "fault_alloc_queue: %s: %d allocations, expected %d to %d\n", s->name,
                    n, s->at_least, s->at_most);
        }
        CHECK(n >= s->at_least && n <= s->at_most);
        points += n;
    }
    printf("fault_alloc_queue: %d scenarios, %d allocation points failed%s\n", (int)SCENARIOS,
           points, rest ? ", each with all later ones" : "");
    CHECK(points >= SCENARIOS / 2);
}

/* Not test_run, which uses the kit: the children must find it untouched. They guard themselves by
   an alarm. */
int main(void) {
    run_all(false);
    run_all(true);
    return EXIT_SUCCESS;
}
