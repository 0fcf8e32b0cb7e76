/* test_queue.c - queues: orders, bounds, task_done and join, shutdown

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _DEFAULT_SOURCE // fork, alarm: headers of the system come before the kit
#include <stdatomic.h>
#include <stdlib.h>

static void *limited_malloc(size_t size);
static void counted_free(void *block);
#define CTH_MALLOC(size) limited_malloc(size)
#define CTH_FREE(block)  counted_free(block)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <limits.h>
#include <time.h>

enum { THREADS = 4, EACH = 3000, LIMIT = 1 << 26 };

static atomic_int live_blocks;

/* A machine with little memory: sanitizers would end the program at a size beyond all reason. */
static void *limited_malloc(size_t size) {
    void *block = size <= LIMIT ? malloc(size) : NULL;
    if (block != NULL) {
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

static void counted_free(void *block) {
    atomic_fetch_sub(&live_blocks, 1);
    free(block);
}

typedef struct item {
    int key, number;
} item;

static int by_key(const void *a, const void *b, void *arg) {
    const item *x = (const item *)a;
    const item *y = (const item *)b;
    CHECK_EQ((uintptr_t)a % _Alignof(max_align_t), 0);
    CHECK_EQ((uintptr_t)b % _Alignof(max_align_t), 0);
    if (arg != NULL) {
        ++*(int *)arg;
    }
    return (x->key > y->key) - (x->key < y->key);
}

static void put(cth_queue *queue, int value) {
    CHECK_STATUS(cth_queue_try_put(queue, &value), CTH_OK);
}

static int get(cth_queue *queue) {
    int value = -1;
    CHECK_STATUS(cth_queue_try_get(queue, &value), CTH_OK);
    return value;
}

static void destroy(cth_queue *queue) {
    CHECK_STATUS(cth_queue_destroy(queue), CTH_OK);
}

static cth_status timed_get(void *object, cth_time deadline) {
    int value = -1;
    const cth_status status = cth_queue_get_until((cth_queue *)object, &value, deadline);
    CHECK(status == CTH_OK || value == -1);
    return status;
}

static cth_status timed_put(void *object, cth_time deadline) {
    const int value = 1;
    return cth_queue_put_until((cth_queue *)object, &value, deadline);
}

static cth_status timed_join(void *object, cth_time deadline) {
    return cth_queue_join_until((cth_queue *)object, deadline);
}

static void put_one(void *object) {
    put((cth_queue *)object, 1);
}

static void get_one(void *object) {
    (void)get((cth_queue *)object);
}

static void all_done(void *object) {
    while (cth_queue_task_done((cth_queue *)object) == CTH_OK) {
    }
}

/* -- one thread ---------------------------------------------------------------------------------
 */

static cth_queue zeroed;
static cth_queue of_ints = CTH_QUEUE_INIT(sizeof(int));

static void initialisers(void) {
    char nothing = 0;
    CHECK(cth_queue_is_empty(&zeroed) && !cth_queue_is_full(&zeroed));
    CHECK_STATUS(cth_queue_try_get(&zeroed, &nothing), CTH_EMPTY);
    CHECK_STATUS(cth_queue_put(&zeroed, &nothing), CTH_OK); // elements of size 0
    CHECK_STATUS(cth_queue_put(&zeroed, &nothing), CTH_OK);
    CHECK_EQ(cth_queue_size(&zeroed), 2);
    CHECK_STATUS(cth_queue_get(&zeroed, &nothing), CTH_OK);
    CHECK_EQ(cth_queue_size(&zeroed), 1);
    destroy(&zeroed);
    for (int i = 0; i < 100; i++) {
        put(&of_ints, i);
    }
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(get(&of_ints), i);
    }
    destroy(&of_ints);
}

static void init_refuses(void) {
    cth_queue queue, before;
    memset(&queue, 0x5a, sizeof queue);
    before = queue;
    const cth_queue_desc no_compare = {.order = CTH_PRIORITY};
    const cth_queue_desc no_order = {.order = (cth_queue_order)7};
    const cth_queue_desc priority = {.order = CTH_PRIORITY, .compare = by_key};
    const size_t most = (size_t)1 << 28; // elements
    const struct {
        size_t size, bound;
        const cth_queue_desc *desc;
    } bad[] = {{4, 0, &no_compare},
               {4, 9, &no_compare},
               {4, 0, &no_order},
               {0, most + 1, NULL},
               {4, most + 1, NULL},
               {4, SIZE_MAX, NULL},
               {SIZE_MAX, SIZE_MAX, NULL},
               {SIZE_MAX, 0, NULL},
               {SIZE_MAX, 1, NULL},
               {SIZE_MAX, 1, &priority},
               {SIZE_MAX - 23, 1, &priority},
               {SIZE_MAX / 2, 1, NULL},
               {SIZE_MAX / 2 - 16, 2, &priority},
               {SIZE_MAX / 4, 8, NULL},
               {SIZE_MAX / 4 + 1, 7, &priority}, // 4 * (SIZE_MAX / 4 + 1) is 0
               {SIZE_MAX / most, most, NULL},
               {SIZE_MAX / most - 7, most, &priority}};
    const int blocks = atomic_load(&live_blocks);
    CHECK_STATUS(cth_queue_init(NULL, 4, 0, NULL), CTH_INVALID);
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        CHECK_STATUS(cth_queue_init(&queue, bad[i].size, bad[i].bound, bad[i].desc), CTH_INVALID);
        CHECK(memcmp(&queue, &before, sizeof queue) == 0);
    }
    CHECK_STATUS(cth_queue_init(&queue, LIMIT, 1, NULL), CTH_NOMEM);
    CHECK_STATUS(cth_queue_init(&queue, 1, LIMIT, &priority), CTH_NOMEM);
    CHECK(memcmp(&queue, &before, sizeof queue) == 0);
    CHECK_EQ(atomic_load(&live_blocks), blocks);
}

/* What could never be put is refused as late as that when there is no bound. */
static void elements_beyond_memory(void) {
    static const size_t all[] = {LIMIT, SIZE_MAX / 16, SIZE_MAX / 8, SIZE_MAX / 4, SIZE_MAX / 2 - 16};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        cth_queue queue;
        const int blocks = atomic_load(&live_blocks);
        CHECK_STATUS(cth_queue_init(&queue, all[i], 0, NULL), CTH_OK);
        CHECK_STATUS(cth_queue_put(&queue, &i), CTH_NOMEM);
        CHECK_STATUS(cth_queue_try_put(&queue, &i), CTH_NOMEM);
        CHECK_STATUS(cth_queue_try_get(&queue, &i), CTH_EMPTY);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
        CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
        destroy(&queue);
        CHECK_EQ(atomic_load(&live_blocks), blocks);
    }
}

/* At 2^28 elements a queue without a bound is at its end; with a bound of so many it is full. */
static void most_elements(void) {
    for (size_t bound = 0; bound <= CTH__QUEUE_MAX; bound += CTH__QUEUE_MAX) {
        cth_queue queue = CTH_QUEUE_INIT(0);
        char nothing = 0;
        queue.bound = bound;
        queue.room = CTH__QUEUE_MAX;
        cth__store(&queue.word, (uint32_t)CTH__QUEUE_MAX * CTH__ELEMENT, relaxed);
        CHECK_EQ(cth_queue_size(&queue), CTH__QUEUE_MAX);
        CHECK_EQ(cth_queue_is_full(&queue), bound != 0);
        CHECK_STATUS(cth_queue_try_put(&queue, &nothing), bound != 0 ? CTH_FULL : CTH_NOMEM);
        CHECK_EQ(cth_queue_size(&queue), CTH__QUEUE_MAX);
        CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
        destroy(&queue);
    }
}

/* Growth that fails loses nothing, and goes on when there is memory again. */
static void growth_fails(void) {
    const cth_queue_desc priority = {.order = CTH_PRIORITY, .compare = by_key};
    const cth_queue_desc lifo_desc = {.order = CTH_LIFO};
    const cth_queue_desc *const descs[] = {NULL, &lifo_desc, &priority};
    static char large[LIMIT / 40], got[LIMIT / 40];
    for (size_t d = 0; d < TEST_COUNT(descs); d++) {
        cth_queue queue;
        int n = 0, gone = 0;
        const int blocks = atomic_load(&live_blocks);
        CHECK_STATUS(cth_queue_init(&queue, sizeof large, 0, descs[d]), CTH_OK);
        for (;;) {
            memcpy(large, &(item){3, n}, sizeof(item));
            errno = 4242;
            const cth_status status = cth_queue_put(&queue, large);
            CHECK_EQ(errno, 4242);
            if (status == CTH_OK) {
                n++;
            } else if (gone == 0) {
                CHECK_STATUS(status, CTH_NOMEM);
                CHECK_EQ(cth_queue_size(&queue), n);
                CHECK_STATUS(cth_queue_get(&queue, got), CTH_OK); // and room for one again
                gone = 1;
            } else {
                CHECK_STATUS(status, CTH_NOMEM);
                break;
            }
        }
        CHECK_EQ(cth_queue_size(&queue), n - gone);
        for (int i = 0; i < n - gone; i++) {
            item it;
            CHECK_STATUS(cth_queue_get(&queue, got), CTH_OK);
            memcpy(&it, got, sizeof it);
            CHECK_EQ(it.number, d == 1 ? n - 1 - i - (i > 0) : i + gone);
            CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        }
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
        destroy(&queue);
        CHECK_EQ(atomic_load(&live_blocks), blocks);
    }
}

static void fifo(void) {
    for (size_t bound = 0; bound < 6; bound++) {
        cth_queue queue;
        int next_in = 0, next_out = 0;
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), bound, NULL), CTH_OK);
        for (int round = 0; round < 40; round++) {
            const int n = bound == 0 ? round : 1 + round % (int)bound;
            for (int i = 0; i < n; i++) {
                put(&queue, next_in++);
            }
            int peeked = -1;
            CHECK_EQ(cth_queue_size(&queue), n);
            CHECK_EQ(cth_queue_is_full(&queue), bound != 0 && (size_t)n == bound);
            CHECK_STATUS(cth_queue_peek(&queue, &peeked), n != 0 ? CTH_OK : CTH_EMPTY);
            CHECK_EQ(peeked, n != 0 ? next_out : -1);
            for (int i = 0; i < n; i++) {
                CHECK_EQ(get(&queue), next_out++);
            }
        }
        if (bound != 0) {
            for (size_t i = 0; i < bound; i++) {
                put(&queue, 1);
            }
            int value = 2;
            CHECK_STATUS(cth_queue_try_put(&queue, &value), CTH_FULL);
            CHECK_EQ(cth_queue_size(&queue), bound);
        }
        destroy(&queue);
    }
}

/* Growth in the middle of a ring: the oldest stand at its end. */
static void grows_when_wrapped(void) {
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    int next_in = 0, next_out = 0;
    for (int lead = 1; lead < 300; lead += 7) {
        while (next_in - next_out < lead) {
            put(&queue, next_in++);
        }
        for (int i = 0; i < lead / 2; i++) {
            CHECK_EQ(get(&queue), next_out++);
        }
    }
    while (next_out < next_in) {
        CHECK_EQ(get(&queue), next_out++);
    }
    destroy(&queue);
}

static void lifo(void) {
    const cth_queue_desc desc = {.order = CTH_LIFO};
    for (size_t bound = 0; bound < 8; bound += 7) {
        cth_queue queue;
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), bound, &desc), CTH_OK);
        const int n = bound == 0 ? 100 : 7;
        for (int i = 0; i < n; i++) {
            put(&queue, i);
        }
        int peeked;
        CHECK_STATUS(cth_queue_peek(&queue, &peeked), CTH_OK);
        CHECK_EQ(peeked, n - 1);
        for (int i = n - 1; i >= 0; i--) {
            CHECK_EQ(get(&queue), i);
        }
        CHECK_STATUS(cth_queue_peek(&queue, &peeked), CTH_EMPTY);
        destroy(&queue);
    }
}

/* Random puts and gets beside a list searched for the least key, the oldest of equal ones. */
static void priorities_are_stable(void) {
    static item model[4000];
    for (size_t bound = 0; bound <= 50; bound += 50) {
        int compared = 0;
        const cth_queue_desc desc = {.order = CTH_PRIORITY, .compare = by_key, .arg = &compared};
        cth_queue queue;
        cth_rng rng;
        size_t count = 0;
        cth_rng_seed(&rng, 3 + bound);
        CHECK_STATUS(cth_queue_init(&queue, sizeof(item), bound, &desc), CTH_OK);
        for (int step = 0; step < 4000; step++) {
            if (cth_rng_below(&rng, 5) < 3) {
                const item fresh = {(int)cth_rng_below(&rng, 8), step};
                const cth_status status = cth_queue_try_put(&queue, &fresh);
                CHECK_STATUS(status, bound != 0 && count == bound ? CTH_FULL : CTH_OK);
                if (status == CTH_OK) {
                    model[count++] = fresh;
                }
                continue;
            }
            item got = {-1, -1}, peeked = {-1, -1};
            size_t least = 0;
            for (size_t i = 1; i < count; i++) {
                least = model[i].key < model[least].key ? i : least;
            }
            CHECK_STATUS(cth_queue_peek(&queue, &peeked), count != 0 ? CTH_OK : CTH_EMPTY);
            CHECK_STATUS(cth_queue_try_get(&queue, &got), count != 0 ? CTH_OK : CTH_EMPTY);
            if (count != 0) {
                CHECK_EQ(got.key, model[least].key);
                CHECK_EQ(got.number, model[least].number);
                CHECK_EQ(peeked.number, got.number);
                memmove(&model[least], &model[least + 1], (count - least - 1) * sizeof *model);
                count--;
            }
        }
        CHECK(compared > 0);
        destroy(&queue);
    }
}

/* The number behind each element wraps only after 2^64 of them; it is compared, so start high. */
static void counts_near_their_end(void) {
    const cth_queue_desc desc = {.order = CTH_PRIORITY, .compare = by_key};
    cth_queue queue;
    CHECK_STATUS(cth_queue_init(&queue, sizeof(item), 0, &desc), CTH_OK);
    queue.order_next = UINT32_MAX - 2;
    cth__store(&queue.puts, UINT32_MAX - 2, relaxed);
    for (int i = 0; i < 6; i++) {
        const item same = {1, i};
        CHECK_STATUS(cth_queue_put(&queue, &same), CTH_OK);
    }
    for (int i = 0; i < 6; i++) {
        item got;
        CHECK_STATUS(cth_queue_get(&queue, &got), CTH_OK);
        CHECK_EQ(got.number, i);
    }
    destroy(&queue);
}

typedef struct big {
    char bytes[1001];
} big;

static void sizes(void) {
    static const size_t all[] = {1, 2, 3, 7, 8, 16, 17, 1001};
    for (size_t s = 0; s < TEST_COUNT(all); s++) {
        for (int order = CTH_FIFO; order <= CTH_LIFO; order++) {
            const cth_queue_desc desc = {.order = (cth_queue_order)order};
            big in, out;
            cth_queue queue;
            CHECK_STATUS(cth_queue_init(&queue, all[s], 0, &desc), CTH_OK);
            for (int i = 0; i < 20; i++) {
                memset(&in, i, sizeof in);
                CHECK_STATUS(cth_queue_put(&queue, &in), CTH_OK);
            }
            for (int i = 0; i < 20; i++) {
                memset(&out, 99, sizeof out);
                CHECK_STATUS(cth_queue_get(&queue, &out), CTH_OK);
                memset(&in, order == CTH_FIFO ? i : 19 - i, sizeof in);
                CHECK(memcmp(&in, &out, all[s]) == 0);
                CHECK_EQ(all[s] == sizeof out || out.bytes[all[s]] == 99, 1);
            }
            destroy(&queue);
        }
    }
}

CTH_QUEUE_OF(item, item_queue);

static void typed(void) {
    item_queue queue;
    item got = {0, 0};
    CHECK_STATUS(item_queue_init(&queue, 2, NULL), CTH_OK);
    CHECK_STATUS(item_queue_put(&queue, (item){1, 2}), CTH_OK);
    CHECK_STATUS(item_queue_try_put(&queue, (item){3, 4}), CTH_OK);
    CHECK_STATUS(item_queue_try_put(&queue, (item){5, 6}), CTH_FULL);
    CHECK_STATUS(item_queue_put_until(&queue, (item){5, 6}, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(item_queue_get(&queue, &got), CTH_OK);
    CHECK_EQ(got.number, 2);
    CHECK_STATUS(item_queue_try_get(&queue, &got), CTH_OK);
    CHECK_EQ(got.number, 4);
    CHECK_STATUS(item_queue_try_get(&queue, &got), CTH_EMPTY);
    CHECK_STATUS(item_queue_get_until(&queue, &got, 0), CTH_TIMEDOUT);
    destroy(&queue.queue);
}

/* A comparison that uses its own queue gets a status, and the queue goes on. */
static cth_queue nested;
static cth_status nested_status;

static int compare_and_put(const void *a, const void *b, void *arg) {
    const item more = {0, 0};
    (void)arg;
    nested_status = cth_queue_try_put(&nested, &more);
    return by_key(a, b, NULL);
}

static void misuse_in_comparison(void) {
    const cth_queue_desc desc = {.order = CTH_PRIORITY, .compare = compare_and_put};
    const item one = {1, 1}, two = {2, 2};
    item got;
    CHECK_STATUS(cth_queue_init(&nested, sizeof(item), 0, &desc), CTH_OK);
    CHECK_STATUS(cth_queue_put(&nested, &two), CTH_OK);
    CHECK_STATUS(cth_queue_put(&nested, &one), CTH_OK);
    CHECK_STATUS(nested_status, CTH_INVALID);
    CHECK_EQ(cth_queue_size(&nested), 2);
    CHECK_STATUS(cth_queue_get(&nested, &got), CTH_OK);
    CHECK_EQ(got.key, 1);
    destroy(&nested);
}

/* -- waiting ------------------------------------------------------------------------------------
 */

static void get_times_out(void) {
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    test_times_out(timed_get, &queue);
    test_refuses_negative(timed_get, &queue);
    test_succeeds(timed_get, &queue, put_one);
    test_waits_long(timed_get, &queue, test_nothing, put_one);
    CHECK(cth_queue_is_empty(&queue));
    destroy(&queue);
}

static void put_times_out(void) {
    cth_queue queue;
    CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 1, NULL), CTH_OK);
    put(&queue, 1);
    test_times_out(timed_put, &queue);
    test_refuses_negative(timed_put, &queue);
    test_succeeds(timed_put, &queue, get_one);
    test_waits_long(timed_put, &queue, test_nothing, get_one);
    CHECK_EQ(cth_queue_size(&queue), 1);
    destroy(&queue);
}

static void join_times_out(void) {
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    CHECK_STATUS(cth_queue_join(&queue), CTH_OK); // nothing was put
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
    put(&queue, 1);
    test_times_out(timed_join, &queue);
    test_refuses_negative(timed_join, &queue);
    (void)get(&queue);
    CHECK_STATUS(timed_join(&queue, 0), CTH_TIMEDOUT); // got is not done
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
    CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
    test_waits_long(timed_join, &queue, put_one, all_done);
    destroy(&queue);
}

static void cancel_ends_waits(void) {
    static const test_wait_fn calls[] = {timed_get, timed_put, timed_join};
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        cth_queue queue;
        cth_cancel token = CTH_CANCEL_INIT;
        test_waiter w = {.token = &token};
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 1, NULL), CTH_OK);
        if (calls[i] != timed_get) {
            put(&queue, 1);
        }
        test_waiter_start(&w, calls[i], &queue, CTH_FOREVER);
        test_waiter_asleep(&w);
        CHECK_STATUS(cth_queue_destroy(&queue), CTH_BUSY);
        CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
        CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
        CHECK_EQ(cth_queue_size(&queue), calls[i] != timed_get);
        destroy(&queue);
    }
}

/* -- shutdown -----------------------------------------------------------------------------------
 */

static void shutdown_drains(void) {
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    int value = 7;
    put(&queue, 1);
    put(&queue, 2);
    CHECK_STATUS(cth_queue_shutdown(&queue, (cth_shutdown)9), CTH_INVALID);
    CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(cth_queue_put(&queue, &value), CTH_SHUTDOWN);
    CHECK_STATUS(cth_queue_try_put(&queue, &value), CTH_SHUTDOWN);
    CHECK_STATUS(timed_join(&queue, 0), CTH_TIMEDOUT);
    int sum = 0;
    CTH_FOREACH_GET(int, got, &queue) {
        sum += got;
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
    }
    CHECK_EQ(sum, 3);
    CHECK_STATUS(cth_queue_get(&queue, &value), CTH_SHUTDOWN);
    CHECK_STATUS(cth_queue_try_get(&queue, &value), CTH_SHUTDOWN);
    CHECK_EQ(value, 7);
    CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
    destroy(&queue);
}

static void count_drop(void *element, void *arg) {
    *(int *)arg += *(int *)element;
}

static void shutdown_drops(void) {
    for (int order = CTH_FIFO; order <= CTH_LIFO; order++) {
        int dropped = 0;
        cth_queue queue;
        const cth_queue_desc desc = {
            .order = (cth_queue_order)order, .drop = count_drop, .arg = &dropped};
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 4, &desc), CTH_OK);
        put(&queue, 100);
        CHECK_EQ(get(&queue), 100); // in work: not done by the shutdown
        for (int i = 1; i <= 4; i++) {
            put(&queue, i);
        }
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
        CHECK_EQ(dropped, 10);
        CHECK(cth_queue_is_empty(&queue));
        int value;
        CHECK_STATUS(cth_queue_try_get(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(cth_queue_peek(&queue, &value), CTH_EMPTY);
        CHECK_STATUS(timed_join(&queue, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
        CHECK_EQ(dropped, 10);
        destroy(&queue);
        CHECK_EQ(dropped, 10);
    }
}

static void destroy_drops(void) {
    int dropped = 0;
    cth_queue queue;
    const cth_queue_desc desc = {.drop = count_drop, .arg = &dropped};
    CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 0, &desc), CTH_OK);
    for (int i = 1; i <= 30; i++) {
        put(&queue, i);
    }
    CHECK_EQ(get(&queue), 1);
    destroy(&queue);
    CHECK_EQ(dropped, 464);
}

static void shutdown_frees_all(void) {
    for (int how = CTH_DRAIN; how <= CTH_NOW; how++) {
        cth_queue empty, full;
        test_waiter w[6];
        memset(w, 0, sizeof w);
        CHECK_STATUS(cth_queue_init(&empty, sizeof(int), 1, NULL), CTH_OK);
        CHECK_STATUS(cth_queue_init(&full, sizeof(int), 1, NULL), CTH_OK);
        put(&full, 1);
        for (size_t i = 0; i < 6; i++) {
            test_waiter_start(&w[i],
                              i < 2   ? timed_get
                              : i < 4 ? timed_put
                                      : timed_join,
                              i < 2 ? &empty : &full, CTH_FOREVER);
        }
        for (size_t i = 0; i < 6; i++) {
            test_waiter_asleep(&w[i]);
        }
        CHECK_STATUS(cth_queue_shutdown(&empty, (cth_shutdown)how), CTH_OK);
        CHECK_STATUS(cth_queue_shutdown(&full, (cth_shutdown)how), CTH_OK);
        for (size_t i = 0; i < 4; i++) {
            CHECK_STATUS(test_waiter_end(&w[i]), CTH_SHUTDOWN);
        }
        if (how == CTH_DRAIN) {
            CHECK_EQ(get(&full), 1);
            CHECK_STATUS(cth_queue_task_done(&full), CTH_OK);
        }
        CHECK_STATUS(test_waiter_end(&w[4]), CTH_OK);
        CHECK_STATUS(test_waiter_end(&w[5]), CTH_OK);
        destroy(&empty);
        destroy(&full);
    }
}

/* -- many threads -------------------------------------------------------------------------------
 */

static cth_queue shared;
static atomic_int sum, taken;

static cth_status produce(void *arg) {
    for (int i = 0; i < EACH; i++) {
        const item it = {*(int *)arg, i};
        CHECK_STATUS(i % 3 == 0 ? cth_queue_put_until(&shared, &it, CTH_FOREVER)
                                : cth_queue_put(&shared, &it),
                     CTH_OK);
    }
    return CTH_OK;
}

static cth_status consume(void *arg) {
    int last[THREADS];
    const bool in_order = arg != NULL;
    memset(last, -1, sizeof last);
    CTH_FOREACH_GET(item, it, &shared) {
        if (in_order) {
            CHECK(it.number > last[it.key]);
            last[it.key] = it.number;
        }
        atomic_fetch_add(&sum, it.number);
        atomic_fetch_add(&taken, 1);
        CHECK_STATUS(cth_queue_task_done(&shared), CTH_OK);
    }
    return CTH_OK;
}

static void nothing_lost(void) {
    static const size_t bounds[] = {1, 2, 7, 0};
    for (size_t b = 0; b < TEST_COUNT(bounds); b++) {
        for (int order = CTH_FIFO; order <= CTH_PRIORITY; order++) {
            const cth_queue_desc desc = {.order = (cth_queue_order)order, .compare = by_key};
            cth_thread *producers[THREADS], *consumers[THREADS];
            int numbers[THREADS];
            atomic_store(&sum, 0);
            atomic_store(&taken, 0);
            CHECK_STATUS(cth_queue_init(&shared, sizeof(item), bounds[b], &desc), CTH_OK);
            for (int i = 0; i < THREADS; i++) {
                numbers[i] = i;
                consumers[i] = test_spawn(consume, order == CTH_FIFO ? &shared : NULL);
                producers[i] = test_spawn(produce, &numbers[i]);
            }
            for (int i = 0; i < THREADS; i++) {
                CHECK_STATUS(test_join(producers[i]), CTH_OK);
            }
            CHECK_STATUS(cth_queue_join(&shared), CTH_OK);
            CHECK_EQ(atomic_load(&taken), THREADS * EACH);
            CHECK_STATUS(cth_queue_shutdown(&shared, CTH_DRAIN), CTH_OK);
            for (int i = 0; i < THREADS; i++) {
                CHECK_STATUS(test_join(consumers[i]), CTH_OK);
            }
            CHECK_EQ(atomic_load(&sum), THREADS * (EACH * (EACH - 1) / 2));
            destroy(&shared);
        }
    }
}

/* Waiters that time out at random never take what they do not report. */
static cth_status consume_hastily(void *arg) {
    cth_rng rng;
    cth_rng_seed(&rng, (uint64_t)(uintptr_t)arg);
    for (;;) {
        item it;
        const cth_time span = (cth_time)cth_rng_below(&rng, 60) * 1000;
        const cth_status status = cth_queue_get_until(&shared, &it, cth_after(span));
        if (status == CTH_SHUTDOWN) {
            return CTH_OK;
        }
        CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        if (status == CTH_OK) {
            atomic_fetch_add(&sum, it.number);
        }
    }
}

static void timeouts_take_nothing(void) {
    cth_thread *consumers[THREADS];
    atomic_store(&sum, 0);
    CHECK_STATUS(cth_queue_init(&shared, sizeof(item), 3, NULL), CTH_OK);
    for (int i = 0; i < THREADS; i++) {
        consumers[i] = test_spawn(consume_hastily, (void *)(uintptr_t)(i + 1));
    }
    int key = 0;
    CHECK_STATUS(produce(&key), CTH_OK);
    CHECK_STATUS(cth_queue_shutdown(&shared, CTH_DRAIN), CTH_OK);
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(consumers[i]), CTH_OK);
    }
    CHECK_EQ(atomic_load(&sum), EACH * (EACH - 1) / 2);
    destroy(&shared);
}

/* The getter of the last element destroys the queue, and its memory goes at once. */
static cth_status put_last(void *arg) {
    const int value = 5;
    CHECK_STATUS(cth_queue_put((cth_queue *)arg, &value), CTH_OK);
    return CTH_OK;
}

static void freed_after_the_last_get(void) {
    for (int round = 0; round < 300; round++) {
        cth_queue *queue = (cth_queue *)malloc(sizeof *queue);
        int value = 0;
        CHECK(queue != NULL);
        CHECK_STATUS(cth_queue_init(queue, sizeof(int), 1, NULL), CTH_OK);
        cth_thread *putter = test_spawn(put_last, queue);
        CHECK_STATUS(cth_queue_get(queue, &value), CTH_OK);
        CHECK_EQ(value, 5);
        destroy(queue); // though put may not have returned
        free(queue);
        CHECK_STATUS(test_join(putter), CTH_OK);
    }
}

static void refused_after_a_fork(void) {
    cth_queue queue;
    int value = 1;
    CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 2, NULL), CTH_OK);
    put(&queue, 1);
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        const bool good =
            cth_queue_put(&queue, &value) == CTH_FORKED &&
            cth_queue_get(&queue, &value) == CTH_FORKED &&
            cth_queue_peek(&queue, &value) == CTH_FORKED &&
            cth_queue_task_done(&queue) == CTH_FORKED && cth_queue_join(&queue) == CTH_FORKED &&
            cth_queue_shutdown(&queue, CTH_NOW) == CTH_FORKED &&
            cth_queue_destroy(&queue) == CTH_OK &&
            cth_queue_init(&queue, sizeof(int), 2, NULL) == CTH_OK &&
            cth_queue_put(&queue, &value) == CTH_OK && cth_queue_get(&queue, &value) == CTH_OK;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    CHECK_EQ(get(&queue), 1);
    destroy(&queue);
}

static const test_case tests[] = {
    TEST(initialisers),
    TEST(init_refuses),
    TEST(fifo),
    TEST(grows_when_wrapped),
    TEST(lifo),
    TEST(priorities_are_stable),
    TEST(counts_near_their_end),
    TEST(sizes),
    TEST(typed),
    TEST(misuse_in_comparison),
    TEST(get_times_out),
    TEST(put_times_out),
    TEST(join_times_out),
    TEST(cancel_ends_waits),
    TEST(shutdown_drains),
    TEST(shutdown_drops),
    TEST(destroy_drops),
    TEST(shutdown_frees_all),
    TEST(nothing_lost),
    TEST(timeouts_take_nothing),
    TEST(freed_after_the_last_get),
    TEST(refused_after_a_fork),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
