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

enum { THREADS = 4, EACH = 3000, LIMIT = 1 << 24 };

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
    CHECK_STATUS(cth_queue_put(&zeroed, NULL), CTH_OK); // elements of size 0
    CHECK_STATUS(cth_queue_put(&zeroed, &nothing), CTH_OK);
    CHECK_EQ(cth_queue_size(&zeroed), 2);
    CHECK_STATUS(cth_queue_peek(&zeroed, NULL), CTH_OK);
    CHECK_STATUS(cth_queue_get(&zeroed, NULL), CTH_OK);
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
               {SIZE_MAX / 4 + 1, 7, NULL}, // eight of them are 0 bytes
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
    static const size_t all[] = {LIMIT, SIZE_MAX / 16, SIZE_MAX / 8, SIZE_MAX / 4,
                                 SIZE_MAX / 2 - 16};
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

static int by_first_byte(const void *a, const void *b, void *arg) {
    (void)arg;
    return *(const char *)a < *(const char *)b   ? INT_MIN
           : *(const char *)a > *(const char *)b ? INT_MAX
                                                 : 0;
}

static void sizes(void) {
    static const size_t all[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 25, 1001};
    for (size_t s = 0; s < TEST_COUNT(all) * 2; s++) {
        for (int order = CTH_FIFO; order <= CTH_PRIORITY; order++) {
            const size_t size = all[s / 2];
            const cth_queue_desc desc = {.order = (cth_queue_order)order, .compare = by_first_byte};
            big in, out;
            cth_queue queue;
            CHECK_STATUS(cth_queue_init(&queue, size, s % 2 == 0 ? 0 : 20, &desc), CTH_OK);
            for (int i = 0; i < 20; i++) {
                memset(&in, order == CTH_PRIORITY ? i * 7 % 20 : i, sizeof in);
                CHECK_STATUS(cth_queue_put(&queue, &in), CTH_OK);
            }
            for (int i = 0; i < 20; i++) {
                memset(&in, order == CTH_LIFO ? 19 - i : i, sizeof in);
                for (int peek = 1; peek >= 0; peek--) {
                    memset(&out, 99, sizeof out);
                    CHECK_STATUS(peek ? cth_queue_peek(&queue, &out) : cth_queue_get(&queue, &out),
                                 CTH_OK);
                    CHECK(memcmp(&in, &out, size) == 0);
                    CHECK(size == sizeof out || out.bytes[size] == 99);
                }
            }
            destroy(&queue);
        }
    }
}

static int all_equal(const void *a, const void *b, void *arg) {
    (void)a;
    (void)b;
    (void)arg;
    return 0;
}

/* Elements of no size: the queue counts. */
static void size_0(void) {
    for (int order = CTH_FIFO; order <= CTH_PRIORITY; order++) {
        for (size_t bound = 0; bound <= 100; bound += 100) {
            const cth_queue_desc desc = {.order = (cth_queue_order)order, .compare = all_equal};
            cth_queue queue;
            char untouched = 99;
            CHECK_STATUS(cth_queue_init(&queue, 0, bound, &desc), CTH_OK);
            for (size_t i = 1; i <= 100; i++) {
                CHECK_STATUS(cth_queue_put(&queue, &untouched), CTH_OK);
                CHECK_EQ(cth_queue_size(&queue), i);
            }
            CHECK_STATUS(cth_queue_try_put(&queue, &untouched), bound != 0 ? CTH_FULL : CTH_OK);
            for (size_t i = cth_queue_size(&queue); i > 0; i--) {
                CHECK_STATUS(cth_queue_peek(&queue, &untouched), CTH_OK);
                CHECK_STATUS(cth_queue_get(&queue, &untouched), CTH_OK);
                CHECK_EQ(cth_queue_size(&queue), i - 1);
            }
            CHECK_STATUS(cth_queue_try_get(&queue, &untouched), CTH_EMPTY);
            CHECK_EQ(untouched, 99);
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
    CHECK_STATUS(item_queue_put_until(&queue, (item){7, 8}, 0), CTH_OK);
    CHECK_STATUS(item_queue_get_until(&queue, &got, cth_after(CTH_S(1))), CTH_OK);
    CHECK_EQ(got.number, 8);
    CHECK_EQ(queue.queue.size, sizeof(item));
    destroy(&queue.queue);
}

/* A comparison that uses its own queue gets a status, and the queue goes on. */
static cth_queue nested;
static int nested_calls;

static int compare_and_misuse(const void *a, const void *b, void *arg) {
    item more = {-1, -1};
    CHECK_STATUS(cth_queue_put(&nested, &more), CTH_INVALID);
    CHECK_STATUS(cth_queue_try_put(&nested, &more), CTH_INVALID);
    CHECK_STATUS(cth_queue_put_until(&nested, &more, cth_after(CTH_S(1))), CTH_INVALID);
    CHECK_STATUS(cth_queue_get(&nested, &more), CTH_INVALID);
    CHECK_STATUS(cth_queue_try_get(&nested, &more), CTH_INVALID);
    CHECK_STATUS(cth_queue_get_until(&nested, &more, cth_after(CTH_S(1))), CTH_INVALID);
    CHECK_STATUS(cth_queue_peek(&nested, &more), CTH_INVALID);
    CHECK_STATUS(cth_queue_task_done(&nested), CTH_INVALID);
    CHECK_STATUS(cth_queue_join(&nested), CTH_INVALID);
    CHECK_STATUS(cth_queue_join_until(&nested, 0), CTH_INVALID);
    CHECK_STATUS(cth_queue_shutdown(&nested, CTH_NOW), CTH_INVALID);
    CHECK_STATUS(cth_queue_destroy(&nested), CTH_BUSY);
    CHECK_EQ(more.key, -1);
    (void)arg;
    nested_calls++;
    return by_key(a, b, NULL);
}

static void misuse_in_comparison(void) {
    const cth_queue_desc desc = {.order = CTH_PRIORITY, .compare = compare_and_misuse};
    CHECK_STATUS(cth_queue_init(&nested, sizeof(item), 5, &desc), CTH_OK);
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(cth_queue_put(&nested, &(item){4 - i, i}), CTH_OK);
    }
    CHECK(nested_calls > 0);
    nested_calls = 0;
    CHECK_EQ(cth_queue_size(&nested), 5);
    for (int i = 0; i < 5; i++) {
        item got;
        CHECK_STATUS(cth_queue_get(&nested, &got), CTH_OK);
        CHECK_EQ(got.key, i);
        CHECK_EQ(got.number, 4 - i);
        CHECK_STATUS(cth_queue_task_done(&nested), CTH_OK);
    }
    CHECK(nested_calls > 0);
    CHECK_STATUS(cth_queue_join(&nested), CTH_OK);
    destroy(&nested);
}

/* -- waiting ------------------------------------------------------------------------------------
 */

static void refuses_negative(void) {
    static const test_wait_fn calls[] = {timed_get, timed_put, timed_join};
    for (int state = 0; state < 4; state++) { // empty, full, both of them shut down
        cth_queue queue;
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 1, NULL), CTH_OK);
        if (state % 2 != 0) {
            put(&queue, 1);
        }
        if (state >= 2) {
            CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
        }
        for (size_t i = 0; i < TEST_COUNT(calls); i++) {
            test_refuses_negative(calls[i], &queue);
        }
        CHECK_EQ(cth_queue_size(&queue), state % 2);
        destroy(&queue);
    }
}

/* A call that nobody lets go of; each times out on a thread of its own, which saves time. */
typedef struct vain {
    test_wait_fn wait;
    cth_queue *queue;
} vain;

static cth_status in_vain(void *arg) {
    test_times_out(((vain *)arg)->wait, ((vain *)arg)->queue);
    return CTH_OK;
}

static void waits_time_out(void) {
    cth_queue empty = CTH_QUEUE_INIT(sizeof(int)), full;
    CHECK_STATUS(cth_queue_init(&full, sizeof(int), 1, NULL), CTH_OK);
    put(&full, 1);
    vain calls[] = {{timed_get, &empty}, {timed_put, &full}, {timed_join, &full}};
    cth_thread *threads[TEST_COUNT(calls)];
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        threads[i] = test_spawn(in_vain, &calls[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(cth_queue_size(&empty), 0);
    CHECK_EQ(get(&full), 1);
    CHECK_STATUS(timed_join(&full, 0), CTH_TIMEDOUT); // got is not done
    CHECK_STATUS(cth_queue_task_done(&full), CTH_OK);
    CHECK_STATUS(cth_queue_task_done(&full), CTH_OVERFLOW); // what timed out was not put
    destroy(&empty);
    destroy(&full);
}

static void waits_succeed(void) {
    cth_queue gets = CTH_QUEUE_INIT(sizeof(int)), puts, joins = CTH_QUEUE_INIT(sizeof(int));
    test_succeeds(timed_get, &gets, put_one);
    test_waits_long(timed_get, &gets, test_nothing, put_one);
    CHECK(cth_queue_is_empty(&gets));

    CHECK_STATUS(cth_queue_init(&puts, sizeof(int), 1, NULL), CTH_OK);
    put(&puts, 1);
    test_succeeds(timed_put, &puts, get_one);
    test_waits_long(timed_put, &puts, test_nothing, get_one);
    CHECK_EQ(cth_queue_size(&puts), 1);

    CHECK_STATUS(cth_queue_join(&joins), CTH_OK); // nothing was put
    CHECK_STATUS(cth_queue_task_done(&joins), CTH_OVERFLOW);
    test_succeeds(timed_join, &joins, test_nothing);
    test_waits_long(timed_join, &joins, put_one, all_done);
    CHECK_STATUS(cth_queue_task_done(&joins), CTH_OVERFLOW);
    destroy(&gets);
    destroy(&puts);
    destroy(&joins);
}

/* Only the last task_done frees those in join, and frees them all. */
static void join_waits_for_all(void) {
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    test_waiter w[3];
    memset(w, 0, sizeof w);
    for (int i = 0; i < 4; i++) {
        put(&queue, i);
    }
    for (size_t i = 0; i < TEST_COUNT(w); i++) {
        test_waiter_start(&w[i], timed_join, &queue, i == 0 ? cth_after(CTH_S(3600)) : CTH_FOREVER);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(get(&queue), i);
        for (size_t j = 0; j < TEST_COUNT(w); j++) {
            test_waiter_asleep(&w[j]);
            CHECK_EQ(atomic_load(&w[j].done), 0);
        }
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
    }
    for (size_t i = 0; i < TEST_COUNT(w); i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
    destroy(&queue);
}

/* Each put lets one getter go on, and each get one putter. */
static void one_for_each(void) {
    cth_queue empty = CTH_QUEUE_INIT(sizeof(int)), full;
    test_waiter getters[4], putters[4];
    memset(getters, 0, sizeof getters);
    memset(putters, 0, sizeof putters);
    CHECK_STATUS(cth_queue_init(&full, sizeof(int), 1, NULL), CTH_OK);
    put(&full, 7);
    for (int i = 0; i < 4; i++) {
        test_waiter_start(&getters[i], timed_get, &empty, CTH_FOREVER);
        test_waiter_start(&putters[i], timed_put, &full, CTH_FOREVER);
    }
    for (int i = 0; i < 4; i++) {
        test_waiter_asleep(&getters[i]);
        test_waiter_asleep(&putters[i]);
    }
    for (int n = 1; n <= 4; n++) {
        int got = 0, in = 0;
        put(&empty, n);
        CHECK_EQ(get(&full), n == 1 ? 7 : 1);
        while (got < n || in < n) {
            got = in = 0;
            for (int i = 0; i < 4; i++) {
                got += atomic_load(&getters[i].done);
                in += atomic_load(&putters[i].done);
            }
            CHECK(got <= n && in <= n);
            cth_yield();
        }
        CHECK(cth_queue_is_empty(&empty) && cth_queue_is_full(&full));
    }
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(test_waiter_end(&getters[i]), CTH_OK);
        CHECK_STATUS(test_waiter_end(&putters[i]), CTH_OK);
    }
    destroy(&empty);
    destroy(&full);
}

static void a_sleeper_uses_no_cpu(void) {
    cth_queue empty = CTH_QUEUE_INIT(sizeof(int)), full;
    const struct {
        test_wait_fn wait;
        cth_queue *queue;
    } calls[] = {{timed_get, &empty}, {timed_get, &empty}, {timed_put, &full},
                 {timed_put, &full},  {timed_join, &full}, {timed_join, &full}};
    test_waiter w[TEST_COUNT(calls)];
    memset(w, 0, sizeof w);
    CHECK_STATUS(cth_queue_init(&full, sizeof(int), 1, NULL), CTH_OK);
    put(&full, 1);
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        test_waiter_start(&w[i], calls[i].wait, calls[i].queue,
                          i % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
    }
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    const clock_t before = clock();
    CHECK_STATUS(cth_sleep(CTH_MS(700)), CTH_OK);
    CHECK(clock() - before < CLOCKS_PER_SEC * 35 / 100);
    CHECK_STATUS(cth_queue_shutdown(&empty, CTH_NOW), CTH_OK);
    CHECK_STATUS(cth_queue_shutdown(&full, CTH_NOW), CTH_OK);
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), i < 4 ? CTH_SHUTDOWN : CTH_OK);
    }
    destroy(&empty);
    destroy(&full);
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

/* Under a cancelled token all that need not wait goes on; the rest takes and changes nothing. */
static void cancelled_before(void) {
    cth_queue queue;
    cth_cancel token = CTH_CANCEL_INIT;
    int value = -1, rounds = 0;
    CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 1, NULL), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, "enough"), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_put(&queue, &(int){5}), CTH_OK);
        CHECK_STATUS(cth_queue_put(&queue, &(int){6}), CTH_CANCELLED);
        CHECK_STATUS(cth_queue_try_put(&queue, &(int){6}), CTH_FULL);
        CHECK_STATUS(timed_put(&queue, cth_after(CTH_S(3600))), CTH_CANCELLED);
        CHECK_STATUS(timed_put(&queue, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_queue_peek(&queue, &value), CTH_OK);
        CHECK_EQ(value, 5);
        CTH_FOREACH_GET(int, got, &queue) {
            CHECK_EQ(got, 5);
            rounds++;
        }
        CHECK_EQ(rounds, 1);
        value = -1;
        CHECK_STATUS(cth_queue_get(&queue, &value), CTH_CANCELLED);
        CHECK_STATUS(cth_queue_try_get(&queue, &value), CTH_EMPTY);
        CHECK_STATUS(timed_get(&queue, cth_after(CTH_S(3600))), CTH_CANCELLED);
        CHECK_STATUS(timed_get(&queue, 0), CTH_TIMEDOUT);
        CHECK_EQ(value, -1);
        CHECK_STATUS(cth_queue_join(&queue), CTH_CANCELLED);
        CHECK_STATUS(timed_join(&queue, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
        CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
        CHECK_STATUS(cth_queue_get(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(cth_queue_put(&queue, &value), CTH_SHUTDOWN);
    }
    destroy(&queue);
}

/* The token's own deadline ends a wait too. */
static void cancelled_by_a_deadline(void) {
    static const test_wait_fn calls[] = {timed_get, timed_put, timed_join};
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        cth_queue queue;
        cth_cancel token;
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 1, NULL), CTH_OK);
        if (calls[i] != timed_get) {
            put(&queue, 1);
        }
        const cth_time deadline = cth_after(CTH_MS(2));
        CHECK_STATUS(cth_cancel_init(&token, NULL, deadline), CTH_OK);
        CTH_UNDER(&token) {
            CHECK_STATUS(calls[i](&queue, CTH_FOREVER), CTH_CANCELLED);
        }
        CHECK(cth_now() >= deadline);
        CHECK_EQ(cth_queue_size(&queue), calls[i] != timed_get);
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
        destroy(&queue);
    }
}

/* Destroying is refused while somebody waits, drops nothing then, and the waiter gets what it waits
   for. */
static void count_drop(void *element, void *arg);

static void destroy_refuses(void) {
    static const test_wait_fn calls[] = {timed_get, timed_put, timed_join};
    static void (*const let_go[])(void *) = {put_one, get_one, all_done};
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        cth_queue queue;
        test_waiter w = {0};
        int dropped = 0;
        const int blocks = atomic_load(&live_blocks);
        const cth_queue_desc desc = {.drop = count_drop, .arg = &dropped};
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 1, &desc), CTH_OK);
        if (calls[i] != timed_get) {
            put(&queue, 1);
        }
        test_waiter_start(&w, calls[i], &queue, CTH_FOREVER);
        test_waiter_asleep(&w);
        for (int k = 0; k < 3; k++) {
            CHECK_STATUS(cth_queue_destroy(&queue), CTH_BUSY);
        }
        CHECK_EQ(dropped, 0);
        CHECK_EQ(cth_queue_size(&queue), calls[i] != timed_get);
        CHECK_EQ(atomic_load(&w.done), 0);
        let_go[i](&queue);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
        destroy(&queue);
        CHECK_EQ(dropped, calls[i] != timed_get);
#ifdef CTHREADS_DEBUG
        CHECK_STATUS(timed_put(&queue, 0), CTH_INVALID);
        CHECK_STATUS(timed_get(&queue, 0), CTH_INVALID);
        CHECK_STATUS(cth_queue_join(&queue), CTH_INVALID);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_INVALID);
#else
        static const cth_queue zero;
        CHECK(memcmp(&queue, &zero, sizeof queue) == 0);
#endif
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 2, NULL), CTH_OK);
        put(&queue, 3);
        CHECK_EQ(get(&queue), 3);
        destroy(&queue);
        CHECK_EQ(atomic_load(&live_blocks), blocks);
    }
}

/* -- shutdown -----------------------------------------------------------------------------------
 */

static int by_number(const void *a, const void *b, void *arg) {
    const int x = *(const int *)a, y = *(const int *)b;
    (void)arg;
    return (x > y) - (x < y);
}

static void shutdown_drains(void) {
    for (int order = CTH_FIFO; order <= CTH_PRIORITY; order++) {
        const cth_queue_desc desc = {.order = (cth_queue_order)order, .compare = by_number};
        cth_queue queue;
        int value = 7, n = 0;
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), order == CTH_FIFO ? 0 : 3, &desc), CTH_OK);
        for (int i = 0; i < 3; i++) {
            put(&queue, i * 2 % 3); // 0, 2, 1
        }
        CHECK_STATUS(cth_queue_shutdown(&queue, (cth_shutdown)9), CTH_INVALID);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
        CHECK_STATUS(cth_queue_put(&queue, &value), CTH_SHUTDOWN); // not FULL
        CHECK_STATUS(cth_queue_try_put(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(timed_put(&queue, cth_after(CTH_S(3600))), CTH_SHUTDOWN);
        CHECK_STATUS(timed_join(&queue, 0), CTH_TIMEDOUT);
        CHECK_EQ(cth_queue_size(&queue), 3);
        CTH_FOREACH_GET(int, got, &queue) {
            static const int want[][3] = {{0, 2, 1}, {1, 2, 0}, {0, 1, 2}};
            CHECK_EQ(got, want[order][n]);
            n++;
            CHECK_STATUS(cth_queue_put(&queue, &value), CTH_SHUTDOWN); // for all the room
            CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        }
        CHECK_EQ(n, 3);
        CHECK_STATUS(cth_queue_get(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(cth_queue_try_get(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(timed_get(&queue, cth_after(CTH_S(3600))), CTH_SHUTDOWN);
        CHECK_STATUS(timed_get(&queue, 0), CTH_SHUTDOWN);
        CHECK_STATUS(cth_queue_peek(&queue, &value), CTH_EMPTY);
        CHECK_EQ(value, 7);
        CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
        destroy(&queue);
    }
}

/* The sum says that each was dropped once: the values are powers of ten. */
static void count_drop(void *element, void *arg) {
    *(int *)arg += *(int *)element;
}

static void shutdown_drops(void) {
    for (int order = CTH_FIFO; order <= CTH_PRIORITY; order++) {
        int dropped = 0;
        cth_queue queue;
        const cth_queue_desc desc = {.order = (cth_queue_order)order,
                                     .compare = by_number,
                                     .drop = count_drop,
                                     .arg = &dropped};
        const int blocks = atomic_load(&live_blocks);
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 4, &desc), CTH_OK);
        put(&queue, 7);
        put(&queue, 7);
        CHECK_EQ(get(&queue), 7); // in work: not done by the shutdown
        CHECK_EQ(get(&queue), 7);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        for (int value = 1; value <= 1000; value *= 10) {
            put(&queue, value); // in a FIFO queue round the end of the array
        }
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
        CHECK_EQ(dropped, 0);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
        CHECK_EQ(dropped, 1111);
        CHECK(cth_queue_is_empty(&queue));
        CHECK_EQ(atomic_load(&live_blocks), blocks);
        int value = 7;
        CHECK_STATUS(cth_queue_get(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(cth_queue_try_get(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(cth_queue_put(&queue, &value), CTH_SHUTDOWN);
        CHECK_STATUS(cth_queue_peek(&queue, &value), CTH_EMPTY);
        CHECK_STATUS(timed_join(&queue, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
        CHECK_STATUS(cth_queue_shutdown(&queue, CTH_DRAIN), CTH_OK);
        CHECK_STATUS(cth_queue_put(&queue, &value), CTH_SHUTDOWN);
        CHECK_EQ(dropped, 1111);
        destroy(&queue);
        CHECK_EQ(dropped, 1111);
        // After destroy it is a new queue.
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 0, &desc), CTH_OK);
        put(&queue, 1);
        CHECK_EQ(get(&queue), 1);
        destroy(&queue);
        CHECK_EQ(dropped, 1111);
    }
}

/* Work may be called done before it is got, as in Python: then the shutdown finds fewer to do. */
static void dropped_but_done(void) {
    cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
    for (int i = 0; i < 3; i++) {
        put(&queue, i);
    }
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
    CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
    CHECK_STATUS(cth_queue_task_done(&queue), CTH_OVERFLOW);
    CHECK_STATUS(cth_queue_join(&queue), CTH_OK);
    destroy(&queue);
}

/* A joiner that waits for work in hand goes on waiting at a shutdown, of either sort. */
static void shutdown_waits_for_work(void) {
    for (int how = CTH_DRAIN; how <= CTH_NOW; how++) {
        cth_queue queue = CTH_QUEUE_INIT(sizeof(int));
        test_waiter w = {0};
        put(&queue, 1);
        put(&queue, 2);
        CHECK_EQ(get(&queue), 1);
        if (how == CTH_DRAIN) {
            CHECK_EQ(get(&queue), 2);
            CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        }
        test_waiter_start(&w, timed_join, &queue, CTH_FOREVER);
        test_waiter_asleep(&w);
        CHECK_STATUS(cth_queue_shutdown(&queue, (cth_shutdown)how), CTH_OK);
        test_waiter_asleep(&w);
        CHECK_EQ(atomic_load(&w.done), 0);
        CHECK_STATUS(cth_queue_task_done(&queue), CTH_OK);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
        destroy(&queue);
    }
}

static void destroy_drops(void) {
    for (int order = CTH_FIFO; order <= CTH_PRIORITY; order++) {
        int dropped = 0;
        cth_queue queue;
        const cth_queue_desc desc = {.order = (cth_queue_order)order,
                                     .compare = by_number,
                                     .drop = count_drop,
                                     .arg = &dropped};
        const int blocks = atomic_load(&live_blocks);
        CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 0, &desc), CTH_OK);
        for (int i = 0; i < 6; i++) {
            put(&queue, 0);
        }
        for (int i = 0; i < 6; i++) {
            CHECK_EQ(get(&queue), 0);
        }
        for (int value = 1; value <= 100000000; value *= 10) {
            put(&queue, value);
        }
        const int got = get(&queue);
        CHECK_EQ(got, order == CTH_LIFO ? 100000000 : 1);
        destroy(&queue);
        CHECK_EQ(dropped, 111111111 - got);
        CHECK_EQ(atomic_load(&live_blocks), blocks);
    }
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
static atomic_int taken;
static atomic_bool seen[THREADS][EACH];

static void see(item it) {
    CHECK(it.key >= 0 && it.key < THREADS && it.number >= 0 && it.number < EACH);
    CHECK(!atomic_exchange(&seen[it.key][it.number], true));
    atomic_fetch_add(&taken, 1);
}

static void see_nothing(void) {
    atomic_store(&taken, 0);
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < EACH; j++) {
            atomic_store(&seen[i][j], false);
        }
    }
}

static cth_status produce(void *arg) {
    for (int i = 0; i < EACH; i++) {
        const item it = {*(int *)arg, i};
        cth_status status = i % 3 == 1 ? cth_queue_try_put(&shared, &it) : CTH_FULL;
        if (status == CTH_FULL) {
            status = i % 3 == 0 ? cth_queue_put_until(&shared, &it, cth_after(CTH_S(3600)))
                                : cth_queue_put(&shared, &it);
        }
        CHECK_STATUS(status, CTH_OK);
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
        see(it);
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
            see_nothing();
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
            CHECK_EQ(atomic_load(&taken), THREADS * EACH);
            destroy(&shared);
        }
    }
}

/* A wait of up to 60 us, which ends in time or not. */
static cth_time soon(cth_rng *rng) {
    return cth_after((cth_time)cth_rng_below(rng, 60000));
}

/* Waiters that time out at random never take what they do not report. */
static cth_status consume_hastily(void *arg) {
    const int key = *(int *)arg;
    cth_rng rng;
    cth_rng_seed(&rng, 1 + (uint64_t)key);
    for (;;) {
        item it = {-1, -1};
        const cth_status status = cth_queue_get_until(&shared, &it, soon(&rng));
        if (status == CTH_SHUTDOWN) {
            return CTH_OK;
        }
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK_EQ(it.key, -1);
            continue;
        }
        see(it);
        if (cth_rng_below(&rng, 64) == 0) {
            (void)cth_sleep(CTH_US(100)); // so that the queue is full now and then
        }
    }
}

/* Nor do they leave in the queue what they say they have not put. */
static cth_status produce_hastily(void *arg) {
    const int key = *(int *)arg;
    cth_rng rng;
    cth_rng_seed(&rng, 1 + (uint64_t)key);
    for (int i = 0; i < EACH / 3;) {
        const item it = {key, i};
        const cth_status status = cth_queue_put_until(&shared, &it, soon(&rng));
        if (status == CTH_OK) {
            i++;
        } else {
            CHECK_STATUS(status, CTH_TIMEDOUT);
        }
    }
    return CTH_OK;
}

static void timeouts_take_nothing(void) {
    cth_thread *consumers[THREADS], *producers[THREADS];
    int numbers[THREADS];
    see_nothing();
    CHECK_STATUS(cth_queue_init(&shared, sizeof(item), 3, NULL), CTH_OK);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        consumers[i] = test_spawn(consume_hastily, &numbers[i]);
        producers[i] = test_spawn(produce_hastily, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(producers[i]), CTH_OK);
    }
    CHECK_STATUS(cth_queue_shutdown(&shared, CTH_DRAIN), CTH_OK);
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(consumers[i]), CTH_OK);
    }
    CHECK_EQ(atomic_load(&taken), THREADS * (EACH / 3));
    destroy(&shared);
}

/* Memory that is no atomic goes from hand to hand, there with the element and back with
   task_done; ThreadSanitizer sees whether it may. */
static cth_status square(void *arg) {
    (void)arg;
    CTH_FOREACH_GET(item *, it, &shared) {
        it->number = it->key * it->key;
        CHECK_STATUS(cth_queue_task_done(&shared), CTH_OK);
    }
    return CTH_OK;
}

static void data_goes_along(void) {
    static item items[1000];
    cth_thread *threads[THREADS];
    CHECK_STATUS(cth_queue_init(&shared, sizeof(item *), 10, NULL), CTH_OK);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(square, NULL);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            items[i] = (item){i + round, -1};
            item *it = &items[i];
            CHECK_STATUS(cth_queue_put(&shared, &it), CTH_OK);
        }
        CHECK_STATUS(cth_queue_join(&shared), CTH_OK);
        for (int i = 0; i < 1000; i++) {
            CHECK_EQ(items[i].number, (i + round) * (i + round));
        }
    }
    CHECK_STATUS(cth_queue_shutdown(&shared, CTH_DRAIN), CTH_OK);
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    destroy(&shared);
}

/* Puts and gets go on while a shutdown drops what is there: each element that was put is got or
   dropped, once. */
static void see_drop(void *element, void *arg) {
    (void)arg;
    see(*(item *)element);
}

static atomic_int n_put;

static cth_status produce_until_shutdown(void *arg) {
    for (int i = 0;; i++) {
        const item it = {*(int *)arg, i % EACH};
        const cth_status status = i < EACH ? cth_queue_put(&shared, &it) : CTH_SHUTDOWN;
        if (status == CTH_SHUTDOWN) {
            return CTH_OK;
        }
        CHECK_STATUS(status, CTH_OK);
        atomic_fetch_add(&n_put, 1);
    }
}

static void shutdown_in_the_middle(void) {
    for (int round = 0; round < 40; round++) {
        const cth_queue_desc desc = {
            .order = (cth_queue_order)(round % 3), .compare = by_key, .drop = see_drop};
        cth_thread *threads[THREADS];
        int numbers[THREADS];
        see_nothing();
        atomic_store(&n_put, 0);
        CHECK_STATUS(cth_queue_init(&shared, sizeof(item), round % 4 == 0 ? 0 : 5, &desc), CTH_OK);
        for (int i = 0; i < THREADS; i++) {
            numbers[i] = i;
            threads[i] = i % 2 == 0 ? test_spawn(produce_until_shutdown, &numbers[i])
                                    : test_spawn(consume, round % 3 == 0 ? &shared : NULL);
        }
        test_reach(&n_put, 20);
        CHECK_STATUS(cth_queue_shutdown(&shared, round % 2 == 0 ? CTH_NOW : CTH_DRAIN), CTH_OK);
        for (int i = 0; i < THREADS; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        CHECK_EQ(atomic_load(&taken), atomic_load(&n_put));
        CHECK_STATUS(cth_queue_join(&shared), CTH_OK);
        destroy(&shared);
    }
}

static void *foreign_echo(void *arg) {
    cth_queue *queues = (cth_queue *)arg;
    CTH_FOREACH_GET(int, value, &queues[0]) {
        put(&queues[1], value + 1);
    }
    return NULL;
}

static void foreign_threads_may_use_it(void) {
    for (int round = 0; round < 20; round++) {
        cth_queue queues[2] = {CTH_QUEUE_INIT(sizeof(int)), CTH_QUEUE_INIT(sizeof(int))};
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, foreign_echo, queues), 0);
        for (int i = 0; i < 10; i++) {
            int value = -1;
            put(&queues[0], i);
            CHECK_STATUS(cth_queue_get(&queues[1], &value), CTH_OK);
            CHECK_EQ(value, i + 1);
        }
        CHECK_STATUS(cth_queue_shutdown(&queues[0], CTH_DRAIN), CTH_OK);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        destroy(&queues[0]);
        destroy(&queues[1]);
    }
}

static void errno_is_preserved(void) {
    cth_queue queue;
    CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 1, NULL), CTH_OK);
    errno = 4242;
    CHECK_STATUS(timed_get(&queue, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    put(&queue, 1);
    CHECK_STATUS(timed_put(&queue, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(timed_join(&queue, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
    destroy(&queue);
    CHECK_EQ(errno, 4242);
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

/* In the child: returns the number of the line that failed. */
#define IN_CHILD(condition)  \
  do {                       \
    if (!(condition)) {      \
      return __LINE__ % 251; \
    }                        \
  } while (0)

static int refused_in_child(cth_queue *queue) {
    int value = -1;
    const cth_time late = cth_after(CTH_S(3600));
    const size_t size = cth_queue_size(queue);
    IN_CHILD(cth_queue_put(queue, &value) == CTH_FORKED);
    IN_CHILD(cth_queue_try_put(queue, &value) == CTH_FORKED);
    IN_CHILD(cth_queue_put_until(queue, &value, late) == CTH_FORKED);
    IN_CHILD(cth_queue_get(queue, &value) == CTH_FORKED);
    IN_CHILD(cth_queue_try_get(queue, &value) == CTH_FORKED);
    IN_CHILD(cth_queue_get_until(queue, &value, late) == CTH_FORKED);
    IN_CHILD(cth_queue_peek(queue, &value) == CTH_FORKED);
    IN_CHILD(cth_queue_task_done(queue) == CTH_FORKED);
    IN_CHILD(cth_queue_join(queue) == CTH_FORKED);
    IN_CHILD(cth_queue_join_until(queue, late) == CTH_FORKED);
    IN_CHILD(cth_queue_shutdown(queue, CTH_NOW) == CTH_FORKED);
    IN_CHILD(cth_queue_shutdown(queue, CTH_DRAIN) == CTH_FORKED);
    IN_CHILD(value == -1 && cth_queue_size(queue) == size);
    return 0;
}

static int usable_in_child(cth_queue *queue) {
    int value = 9;
    IN_CHILD(cth_queue_put(queue, &value) == CTH_OK);
    IN_CHILD(cth_queue_get(queue, &value) == CTH_OK);
    IN_CHILD(cth_queue_get_until(queue, &value, cth_after(CTH_US(10))) == CTH_TIMEDOUT);
    IN_CHILD(cth_queue_join_until(queue, 0) == CTH_TIMEDOUT);
    IN_CHILD(cth_queue_task_done(queue) == CTH_OK);
    IN_CHILD(cth_queue_join(queue) == CTH_OK);
    IN_CHILD(cth_queue_shutdown(queue, CTH_NOW) == CTH_OK);
    IN_CHILD(cth_queue_destroy(queue) == CTH_OK);
    return 0;
}

static int fresh_in_child(void) {
    cth_queue fresh;
    IN_CHILD(cth_queue_init(&fresh, sizeof(int), 2, NULL) == CTH_OK);
    return usable_in_child(&fresh);
}

static int child_status(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

enum { FORKED = 4 };

/* Made or used before the fork, with the parent's threads waiting at them; one never used. */
static int in_child(cth_queue *queues, cth_queue *unused) {
    int failed = usable_in_child(unused);
    for (int i = 0; i < FORKED && failed == 0; i++) {
        failed = refused_in_child(&queues[i]);
    }
    for (int i = 0; i < FORKED && failed == 0; i++) {
        // Those who waited are not here.
        IN_CHILD(cth_queue_destroy(&queues[i]) == CTH_OK);
        IN_CHILD(cth_queue_init(&queues[i], sizeof(int), 2, NULL) == CTH_OK);
        failed = usable_in_child(&queues[i]);
    }
    return failed != 0 ? failed : fresh_in_child();
}

static void refused_after_a_fork(void) {
    cth_queue queues[FORKED], unused = CTH_QUEUE_INIT(sizeof(int));
    test_waiter w[3];
    memset(w, 0, sizeof w);
    memset(queues, 0, sizeof queues);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_queue_init(&queues[i], sizeof(int), 1, NULL), CTH_OK);
    }
    queues[3].size = sizeof(int); // zeroed, and used
    put(&queues[1], 1);
    put(&queues[2], 1);
    put(&queues[3], 1);
    test_waiter_start(&w[0], timed_get, &queues[0], CTH_FOREVER);
    test_waiter_start(&w[1], timed_put, &queues[1], CTH_FOREVER);
    test_waiter_start(&w[2], timed_join, &queues[2], CTH_FOREVER);
    for (int i = 0; i < 3; i++) {
        test_waiter_asleep(&w[i]);
    }
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60);
        _exit(in_child(queues, &unused));
    }
    CHECK_EQ(child_status(pid), 0);
    // In the parent nothing has changed.
    put(&queues[0], 1);
    CHECK_EQ(get(&queues[1]), 1);
    CHECK_STATUS(cth_queue_task_done(&queues[2]), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    CHECK_EQ(get(&queues[3]), 1);
    for (int i = 0; i < FORKED; i++) {
        destroy(&queues[i]);
    }
    CHECK_EQ(usable_in_child(&unused), 0);
}

/* A fork while other threads are in the middle of a put or get, and hold the queue's lock. */
static cth_status put_for_ever(void *arg) {
    cth_status status = CTH_OK;
    while (status == CTH_OK) {
        status = cth_queue_put((cth_queue *)arg, &(int){5});
    }
    CHECK_STATUS(status, CTH_SHUTDOWN);
    return CTH_OK;
}

static cth_status get_for_ever(void *arg) {
    CTH_FOREACH_GET(int, value, (cth_queue *)arg) {
        CHECK_EQ(value, 5);
    }
    return CTH_OK;
}

static void forks_while_it_is_used(void) {
    static cth_queue queue;
    CHECK_STATUS(cth_queue_init(&queue, sizeof(int), 3, NULL), CTH_OK);
    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = test_spawn(i % 2 == 0 ? put_for_ever : get_for_ever, &queue);
    }
    for (int i = 0; i < 30; i++) {
        fflush(stdout);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            const int failed = refused_in_child(&queue);
            _exit(failed != 0 ? failed : fresh_in_child());
        }
        CHECK_EQ(child_status(pid), 0);
    }
    CHECK_STATUS(cth_queue_shutdown(&queue, CTH_NOW), CTH_OK);
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    destroy(&queue);
}

static const test_case tests[] = {
    TEST(initialisers),
    TEST(init_refuses),
    TEST(elements_beyond_memory),
    TEST(most_elements),
    TEST(growth_fails),
    TEST(fifo),
    TEST(grows_when_wrapped),
    TEST(lifo),
    TEST(priorities_are_stable),
    TEST(counts_near_their_end),
    TEST(sizes),
    TEST(size_0),
    TEST(typed),
    TEST(misuse_in_comparison),
    TEST(refuses_negative),
    TEST(waits_time_out),
    TEST(waits_succeed),
    TEST(join_waits_for_all),
    TEST(one_for_each),
    TEST(a_sleeper_uses_no_cpu),
    TEST(cancel_ends_waits),
    TEST(cancelled_before),
    TEST(cancelled_by_a_deadline),
    TEST(destroy_refuses),
    TEST(shutdown_drains),
    TEST(shutdown_drops),
    TEST(dropped_but_done),
    TEST(shutdown_waits_for_work),
    TEST(destroy_drops),
    TEST(shutdown_frees_all),
    TEST(nothing_lost),
    TEST(timeouts_take_nothing),
    TEST(data_goes_along),
    TEST(shutdown_in_the_middle),
    TEST(foreign_threads_may_use_it),
    TEST(errno_is_preserved),
    TEST(freed_after_the_last_get),
    TEST(refused_after_a_fork),
    TEST(forks_while_it_is_used),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
