/* fault_timer.c - timers when the system has no thread or no memory.

   Setting the first timer starts the service thread, and that may fail at any of its allocations or
   at the thread itself. The call then says so, changes nothing, leaves nothing behind, and succeeds
   when it is made again. While the service thread is there nothing can fail: timers allocate
   nothing. A thread that the kit does not know yet may lack the memory for its record. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NEVER = -1, ALWAYS = -2 };

static atomic_int starts_left = NEVER; // starts that still succeed; then one fails
static atomic_int blocks_left = NEVER; // the same for allocations
static atomic_int failures;
static atomic_int allocations;
static atomic_int live_blocks;

static inline int fails_now(atomic_int *left) {
    const int n = atomic_load(left);
    if (n == NEVER) {
        return 0;
    }
    if (n != ALWAYS) {
        atomic_store(left, n - 1); // after 0 comes NEVER
    }
    if (n > 0) {
        return 0;
    }
    atomic_fetch_add(&failures, 1);
    return 1;
}

static inline void *fault_malloc(size_t size) {
    atomic_fetch_add(&allocations, 1);
    void *block = fails_now(&blocks_left) ? NULL : malloc(size);
    if (block != NULL) {
        memset(block, 0xA5, size); // nobody may count on zeroes
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

static inline void fault_free(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
    }
    free(block);
}

#define CTH_THREAD_START_HOOK() fails_now(&starts_left)
#define CTH_MALLOC(size)        fault_malloc(size)
#define CTH_FREE(block)         fault_free(block)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static void disarm(void) {
    atomic_store(&starts_left, NEVER);
    atomic_store(&blocks_left, NEVER);
}

static cth_status count(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
    return CTH_OK;
}

static cth_status unexpected(void *arg) {
    (void)arg;
    CHECK(false);
    return CTH_OK;
}

static uint64_t cancel(cth_timer *timer) {
    uint64_t runs = UINT64_MAX;
    CHECK_STATUS(cth_timer_cancel(timer, &runs), CTH_OK);
    return runs;
}

/* Until the service thread is gone, and with it what it has allocated. */
static void threads_reach(size_t n) {
    while (cth_thread_count() != n) {
        cth_yield();
    }
}

static cth_status set(cth_timer *timer, bool every, cth_timer_fn fn, void *arg) {
    return every ? cth_timer_every(timer, CTH_MS(1), fn, arg)
                 : cth_timer_after(timer, CTH_US(10), fn, arg);
}

/* A set that fails leaves all as it was. */
static void refused(cth_timer *timer, bool every, cth_status want) {
    const size_t threads = cth_thread_count();
    const cth_timer before = *timer;
    errno = 77;
    const cth_status status = set(timer, every, unexpected, NULL);
    CHECK_EQ(errno, 77);
    CHECK_STATUS(status, want);
    CHECK_EQ(memcmp(timer, &before, sizeof before), 0);
    CHECK_EQ(cth_thread_count(), threads);
    CHECK(atomic_load(&failures) >= 1);
    atomic_store(&failures, 0);
}

static void set_at_last(cth_timer *timer, bool every) {
    atomic_int runs = 0;
    CHECK_STATUS(set(timer, every, count, &runs), CTH_OK);
    test_reach(&runs, every ? 3 : 1);
    CHECK_EQ(cancel(timer), atomic_load(&runs));
    threads_reach(1);
}

static void the_thread_cannot_start(void) {
    for (int every = 0; every < 2; every++) {
        cth_timer timer = CTH_TIMER_INIT;
        uint64_t ran = 0;
        threads_reach(1);
        for (int round = 0; round < 3; round++) {
            for (int tries = 0; tries < 3; tries++) {
                atomic_store(&starts_left, 0);
                refused(&timer, every != 0, CTH_AGAIN);
                CHECK_EQ(atomic_load(&starts_left), NEVER);
                CHECK_EQ(cancel(&timer), ran); // as often as before
            }
            set_at_last(&timer, every != 0);
            ran = cancel(&timer);
            CHECK(ran >= (every != 0 ? 3 : 1));
        }
    }
}

static void each_allocation_fails(void) {
    for (int every = 0; every < 2; every++) {
        cth_timer timer = CTH_TIMER_INIT;
        threads_reach(1);
        int k = 0;
        for (;; k++) {
            atomic_store(&blocks_left, k);
            const int seen = atomic_load(&allocations);
            const cth_timer before = timer;
            const cth_status status = set(&timer, every != 0, unexpected, NULL);
            if (status == CTH_OK) {
                CHECK(atomic_load(&allocations) - seen <= k); // it has not met the failure
                break;
            }
            CHECK_STATUS(status, CTH_NOMEM);
            CHECK_EQ(memcmp(&timer, &before, sizeof before), 0);
            CHECK_EQ(atomic_load(&failures), 1);
            CHECK_EQ(cth_thread_count(), 1);
            atomic_store(&failures, 0);
            CHECK_EQ(cancel(&timer), 0);
        }
        disarm();
        (void)cancel(&timer);
        CHECK(k >= 2); // the thread and its name
        threads_reach(1);
        set_at_last(&timer, every != 0);
    }
}

/* However long it goes on, nothing piles up. */
static void refusals_leave_nothing(void) {
    cth_timer timer = CTH_TIMER_INIT;
    for (int which = 0; which < 2; which++) {
        int settled = 0;
        threads_reach(1);
        atomic_store(which == 0 ? &starts_left : &blocks_left, ALWAYS);
        for (int i = 0; i < 200; i++) {
            refused(&timer, i % 2 != 0, which == 0 ? CTH_AGAIN : CTH_NOMEM);
            if (i == 20) {
                settled = atomic_load(&live_blocks);
            }
        }
        CHECK_EQ(atomic_load(&live_blocks), settled);
        disarm();
        set_at_last(&timer, which != 0);
    }
}

/* Nor does the service thread leave anything when it comes and goes: a few may still be on their
   way out when these are counted. */
static void services_leave_nothing(void) {
    cth_timer timer = CTH_TIMER_INIT;
    int settled = 0;
    for (int i = 0; i < 200; i++) {
        set_at_last(&timer, false);
        settled = i == 20 ? atomic_load(&live_blocks) : settled;
    }
    CHECK(atomic_load(&live_blocks) < settled + 50);
}

/* With the service thread there, timers need neither memory nor threads. */
typedef struct chain {
    cth_timer timer;
    atomic_int left;
    cth_event done;
} chain;

static cth_status set_itself(void *arg) {
    chain *c = (chain *)arg;
    if (atomic_fetch_sub(&c->left, 1) > 1) {
        return cth_timer_after(&c->timer, 0, set_itself, c);
    }
    return cth_event_set(&c->done);
}

static void nothing_fails_while_it_runs(void) {
    cth_timer far = CTH_TIMER_INIT, timers[50];
    chain c = {.left = 10};
    memset(timers, 0, sizeof timers);
    CHECK_STATUS(cth_timer_after(&far, CTH_S(3600), unexpected, NULL), CTH_OK);
    atomic_int ready = 0;
    CHECK_STATUS(cth_timer_after(&timers[0], 0, count, &ready), CTH_OK);
    test_reach(&ready, 1); // so it has begun
    CHECK_EQ(cancel(&timers[0]), 1);
    atomic_store(&blocks_left, ALWAYS);
    atomic_store(&starts_left, ALWAYS);
    const int seen = atomic_load(&allocations);
    CHECK_STATUS(cth_timer_every(&c.timer, 1, set_itself, &c), CTH_OK);
    CHECK_STATUS(cth_event_wait(&c.done), CTH_OK);
    CHECK_EQ(cancel(&c.timer), 1);
    for (int round = 0; round < 10; round++) {
        atomic_int runs = 0;
        for (size_t i = 0; i < TEST_COUNT(timers); i++) {
            CHECK_STATUS(cth_timer_after(&timers[i], CTH_US(i), count, &runs), CTH_OK);
        }
        test_reach(&runs, (int)TEST_COUNT(timers));
        for (size_t i = 0; i < TEST_COUNT(timers); i++) {
            CHECK_EQ(cancel(&timers[i]), 1);
        }
    }
    CHECK_EQ(atomic_load(&allocations), seen);
    CHECK_EQ(atomic_load(&failures), 0);
    disarm();
    CHECK_EQ(cancel(&far), 0);
    threads_reach(1);
}

/* A thread of the program's own, whose first call is to set or to cancel: it needs its record. */
static void *first_sets(void *arg) {
    cth_timer timer = CTH_TIMER_INIT;
    int *k = (int *)arg;
    atomic_int runs = 0;
    for (*k = 0;; ++*k) {
        atomic_store(&blocks_left, *k);
        const cth_status status = cth_timer_after(&timer, 0, count, &runs);
        if (status == CTH_OK) {
            break;
        }
        CHECK_STATUS(status, CTH_NOMEM);
    }
    disarm();
    test_reach(&runs, 1);
    CHECK_EQ(cancel(&timer), 1);
    return NULL;
}

static cth_timer pending;

static void *first_cancels(void *arg) {
    int *k = (int *)arg;
    uint64_t runs = 12345;
    for (*k = 0;; ++*k) {
        atomic_store(&blocks_left, *k);
        const cth_status status = cth_timer_cancel(&pending, &runs);
        if (status == CTH_OK) {
            break;
        }
        CHECK_STATUS(status, CTH_NOMEM);
        CHECK_EQ(runs, 12345);
    }
    disarm();
    CHECK_EQ(runs, 0);
    return NULL;
}

static void a_thread_without_a_record(void) {
    void *(*const calls[])(void *) = {first_sets, first_cancels};
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        pthread_t thread;
        int failed = 0;
        CHECK_STATUS(cth_timer_after(&pending, CTH_S(3600), unexpected, NULL), CTH_OK);
        CHECK_EQ(pthread_create(&thread, NULL, calls[i], &failed), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK(failed >= 2);
        CHECK_EQ(atomic_load(&failures), failed);
        atomic_store(&failures, 0);
        CHECK_STATUS(cth_timer_after(&pending, CTH_S(3600), unexpected, NULL),
                     i == 0 ? CTH_BUSY : CTH_OK);
        CHECK_EQ(cancel(&pending), 0);
        threads_reach(1);
    }
}

int main(int argc, char **argv) {
    static const test_case tests[] = {
        TEST(the_thread_cannot_start),     TEST(each_allocation_fails),
        TEST(refusals_leave_nothing),      TEST(services_leave_nothing),
        TEST(nothing_fails_while_it_runs), TEST(a_thread_without_a_record),
    };
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
