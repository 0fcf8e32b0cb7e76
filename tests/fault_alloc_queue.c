/* fault_alloc_queue.c - every allocation of a queue fails in turn; how, fault_alloc.h says.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#include "fault_alloc.h"

enum { ROOM = CTH__QUEUE_LEAST, VALUE = 7, ELEMENTS = 5 };

CTH_QUEUE_OF(int, int_queue);

static cth_queue queue, before;
static int_queue typed;
static cth_thread *waiter;
static int dropped; // the sum of what was

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

int main(void) {
    FAULT_RUN("fault_alloc_queue", scenarios);
    return EXIT_SUCCESS;
}
