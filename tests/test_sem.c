/* test_sem.c - semaphores: plain, bounded, saturating

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 32 };

static cth_status timed_acquire(void *object, cth_time deadline) {
    return cth_sem_acquire_until((cth_sem *)object, deadline);
}

static cth_status plain_acquire(void *object, cth_time deadline) {
    (void)deadline;
    return cth_sem_acquire((cth_sem *)object);
}

static void release(void *object) {
    CHECK_STATUS(cth_sem_release((cth_sem *)object), CTH_OK);
}

static void drain(cth_sem *sem) {
    while (cth_sem_try_acquire(sem) == CTH_OK) {
    }
    CHECK_EQ(cth_sem_value(sem), 0);
}

static cth_sem static_zero;
static cth_sem static_three = CTH_SEM_INIT(3);
static cth_sem static_bounded = CTH_SEM_INIT_BOUNDED(2);

static void static_initialisers(void) {
    CHECK_EQ(sizeof(cth_sem), 8);
    CHECK_EQ(cth_sem_value(&static_zero), 0);
    CHECK_STATUS(cth_sem_try_acquire(&static_zero), CTH_BUSY);
    release(&static_zero);
    CHECK_STATUS(cth_sem_try_acquire(&static_zero), CTH_OK);

    CHECK_EQ(cth_sem_value(&static_three), 3);
    release(&static_three);
    CHECK_EQ(cth_sem_value(&static_three), 4);
    drain(&static_three);

    CHECK_EQ(cth_sem_value(&static_bounded), 2);
    CHECK_STATUS(cth_sem_release(&static_bounded), CTH_OVERFLOW);
    CHECK_EQ(cth_sem_value(&static_bounded), 2);
    drain(&static_bounded);

    CHECK_STATUS(cth_sem_destroy(&static_zero), CTH_OK);
    CHECK_STATUS(cth_sem_destroy(&static_three), CTH_OK);
    CHECK_STATUS(cth_sem_destroy(&static_bounded), CTH_OK);
}

static void init_counts(void) {
    static const int counts[] = {0, 1, 2, 1000, CTH_SEM_MAX - 1, CTH_SEM_MAX};
    for (size_t i = 0; i < TEST_COUNT(counts); i++) {
        cth_sem sem;
        memset(&sem, 0xAA, sizeof sem); // init does not depend on what was there
        CHECK_STATUS(cth_sem_init(&sem, counts[i], NULL), CTH_OK);
        CHECK_EQ(cth_sem_value(&sem), counts[i]);
        CHECK_STATUS(cth_sem_try_acquire(&sem), counts[i] > 0 ? CTH_OK : CTH_BUSY);
        CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
        CHECK_STATUS(cth_sem_init(&sem, counts[i], &(cth_sem_desc){.max = counts[i]}), CTH_OK);
        CHECK_EQ(cth_sem_value(&sem), counts[i]);
        CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
    }
}

static void init_refuses_bad_numbers(void) {
    static const struct {
        int count, max;
    } bad[] = {{-1, 0}, {INT32_MIN, 0}, {-1, 5}, {0, -1}, {1, INT32_MIN}, {6, 5}, {CTH_SEM_MAX, 1}};
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        cth_sem sem = CTH_SEM_INIT(3);
        for (int saturating = 0; saturating < 2; saturating++) {
            const cth_sem_desc desc = {.max = bad[i].max, .saturating = saturating != 0};
            CHECK_STATUS(cth_sem_init(&sem, bad[i].count, &desc), CTH_INVALID);
        }
        CHECK_EQ(cth_sem_value(&sem), 3); // nothing changed
    }
    cth_sem sem = CTH_SEM_INIT(3);
    CHECK_STATUS(cth_sem_init(&sem, -1, NULL), CTH_INVALID);
    CHECK_EQ(cth_sem_value(&sem), 3);
}

static void uncontended(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    for (int i = 0; i < 1000; i++) {
        for (int n = 1; n <= 3; n++) {
            release(&sem);
            CHECK_EQ(cth_sem_value(&sem), n);
        }
        CHECK_STATUS(cth_sem_acquire(&sem), CTH_OK);
        CHECK_EQ(cth_sem_value(&sem), 2);
        CHECK_STATUS(cth_sem_try_acquire(&sem), CTH_OK);
        CHECK_STATUS(cth_sem_acquire_until(&sem, CTH_FOREVER), CTH_OK);
        CHECK_EQ(cth_sem_value(&sem), 0);
        CHECK_STATUS(cth_sem_try_acquire(&sem), CTH_BUSY);
        CHECK_EQ(cth_sem_value(&sem), 0);
    }
}

static void timed_acquire_of_a_free_one(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_succeeds(timed_acquire, &sem, release);
    CHECK_EQ(cth_sem_value(&sem), 0);
}

static void timed_acquire_times_out(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_times_out(timed_acquire, &sem);
    CHECK_EQ(cth_sem_value(&sem), 0);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void timed_acquire_refuses_negative_deadlines(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_refuses_negative(timed_acquire, &sem);
    release(&sem);
    test_refuses_negative(timed_acquire, &sem);
    CHECK_EQ(cth_sem_value(&sem), 1); // nothing was taken
}

static void timed_acquire_waits_long(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_waits_long(timed_acquire, &sem, test_nothing, release);
    test_waits_long(plain_acquire, &sem, test_nothing, release);
    CHECK_EQ(cth_sem_value(&sem), 0);
}

static void state_after_a_timeout(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(cth_sem_acquire_until(&sem, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK_EQ(cth_sem_value(&sem), 0);
        release(&sem); // goes to nobody who has given up
        CHECK_EQ(cth_sem_value(&sem), 1);
        CHECK_STATUS(cth_sem_try_acquire(&sem), CTH_OK);
    }
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void waiters_start(test_waiter *w, int n, cth_sem *sem) {
    memset(w, 0, (size_t)n * sizeof *w);
    for (int i = 0; i < n; i++) {
        test_waiter_start(&w[i], i % 2 == 0 ? plain_acquire : timed_acquire, sem,
                          cth_after(CTH_S(3600)));
    }
    for (int i = 0; i < n; i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
}

static void waiters_end(test_waiter *w, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
}

static int waiters_done(test_waiter *w, int n) {
    int done = 0;
    for (int i = 0; i < n; i++) {
        done += atomic_load(&w[i].done);
    }
    return done;
}

static void waiters_reach(test_waiter *w, int n, int done) {
    while (waiters_done(w, n) < done) {
        cth_yield();
    }
}

static void each_release_frees_one(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_waiter w[THREADS];
    waiters_start(w, THREADS, &sem);
    for (int i = 1; i <= THREADS; i++) {
        release(&sem);
        waiters_reach(w, THREADS, i);
        CHECK_EQ(waiters_done(w, THREADS), i);
        CHECK_EQ(cth_sem_value(&sem), 0);
    }
    waiters_end(w, THREADS);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void release_n_frees_n(void) {
    static const int parts[] = {0, 1, 4, 7, 20};
    cth_sem sem = CTH_SEM_INIT(0);
    test_waiter w[MANY];
    waiters_start(w, MANY, &sem);
    int sum = 0;
    for (size_t i = 0; i < TEST_COUNT(parts); i++) {
        sum += parts[i];
        CHECK_STATUS(cth_sem_release_n(&sem, parts[i]), CTH_OK);
        waiters_reach(w, MANY, sum);
        CHECK_EQ(waiters_done(w, MANY), sum);
        CHECK_EQ(cth_sem_value(&sem), 0);
    }
    CHECK_EQ(sum, MANY);
    waiters_end(w, MANY);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void release_n_beyond_the_waiters_stays(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_waiter w[THREADS];
    waiters_start(w, THREADS, &sem);
    CHECK_STATUS(cth_sem_release_n(&sem, THREADS + 3), CTH_OK);
    waiters_end(w, THREADS);
    CHECK_EQ(cth_sem_value(&sem), 3);
    CHECK_STATUS(cth_sem_release_n(&sem, CTH_SEM_MAX - 3), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void a_timeout_leaves_the_other_waiters(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_waiter patient[3], hasty[3];
    memset(hasty, 0, sizeof hasty);
    waiters_start(patient, 3, &sem);
    for (int i = 0; i < 3; i++) {
        test_waiter_start(&hasty[i], timed_acquire, &sem, cth_after(CTH_MS(5)));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&hasty[i]), CTH_TIMEDOUT);
    }
    CHECK_EQ(waiters_done(patient, 3), 0);
    CHECK_STATUS(cth_sem_release_n(&sem, 3), CTH_OK);
    waiters_end(patient, 3);
    CHECK_EQ(cth_sem_value(&sem), 0);
}

static void release_n_is_all_or_nothing(void) {
    cth_sem sem;
    CHECK_STATUS(cth_sem_init(&sem, CTH_SEM_MAX - 3, NULL), CTH_OK);
    CHECK_STATUS(cth_sem_release_n(&sem, 4), CTH_OVERFLOW);
    CHECK_STATUS(cth_sem_release_n(&sem, CTH_SEM_MAX), CTH_OVERFLOW);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX - 3);
    CHECK_STATUS(cth_sem_release_n(&sem, 0), CTH_OK);
    CHECK_STATUS(cth_sem_release_n(&sem, 2), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX - 1);
    CHECK_STATUS(cth_sem_release_n(&sem, 2), CTH_OVERFLOW);
    CHECK_STATUS(cth_sem_release(&sem), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX);
    CHECK_STATUS(cth_sem_release(&sem), CTH_OVERFLOW);
    CHECK_STATUS(cth_sem_release_n(&sem, 1), CTH_OVERFLOW);
    CHECK_STATUS(cth_sem_release_n(&sem, CTH_SEM_MAX), CTH_OVERFLOW);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX);
    CHECK_STATUS(cth_sem_acquire(&sem), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX - 1);
}

static void release_n_refuses_negative_numbers(void) {
    static const int bad[] = {-1, -2, INT32_MIN, INT32_MIN + 1};
    cth_sem plain = CTH_SEM_INIT(3), bounded = CTH_SEM_INIT_BOUNDED(3), saturating;
    CHECK_STATUS(cth_sem_init(&saturating, 3, &(cth_sem_desc){.max = 5, .saturating = true}),
                 CTH_OK);
    cth_sem *all[] = {&plain, &bounded, &saturating};
    for (size_t k = 0; k < TEST_COUNT(all); k++) {
        for (size_t i = 0; i < TEST_COUNT(bad); i++) {
            CHECK_STATUS(cth_sem_release_n(all[k], bad[i]), CTH_INVALID);
            CHECK_EQ(cth_sem_value(all[k]), 3);
        }
    }
}

static void bounded_refuses_too_many(void) {
    cth_sem sem;
    CHECK_STATUS(cth_sem_init(&sem, 2, &(cth_sem_desc){.max = 3}), CTH_OK);
    CHECK_STATUS(cth_sem_release_n(&sem, 2), CTH_OVERFLOW);
    CHECK_EQ(cth_sem_value(&sem), 2);
    CHECK_STATUS(cth_sem_release(&sem), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_sem_release(&sem), CTH_OVERFLOW);
        CHECK_STATUS(cth_sem_release_n(&sem, 1), CTH_OVERFLOW);
        CHECK_STATUS(cth_sem_release_n(&sem, CTH_SEM_MAX), CTH_OVERFLOW);
        CHECK_EQ(cth_sem_value(&sem), 3);
    }
    CHECK_STATUS(cth_sem_release_n(&sem, 0), CTH_OK);
    drain(&sem);
    CHECK_STATUS(cth_sem_release_n(&sem, 3), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), 3);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void bounded_hands_over_to_waiters(void) {
    cth_sem sem = CTH_SEM_INIT_BOUNDED(1);
    test_waiter w[THREADS];
    CHECK_STATUS(cth_sem_acquire(&sem), CTH_OK);
    waiters_start(w, THREADS, &sem);
    // Two at once would exceed the bound, however many wait.
    CHECK_STATUS(cth_sem_release_n(&sem, 2), CTH_OVERFLOW);
    CHECK_EQ(waiters_done(w, THREADS), 0);
    for (int i = 1; i <= THREADS; i++) {
        release(&sem);
        waiters_reach(w, THREADS, i);
        CHECK_EQ(waiters_done(w, THREADS), i);
    }
    waiters_end(w, THREADS);
    release(&sem);
    CHECK_STATUS(cth_sem_release(&sem), CTH_OVERFLOW);
}

static void saturating_stops_at_the_maximum(void) {
    cth_sem sem;
    CHECK_STATUS(cth_sem_init(&sem, 0, &(cth_sem_desc){.max = 3, .saturating = true}), CTH_OK);
    for (int i = 1; i <= 6; i++) {
        CHECK_STATUS(cth_sem_release(&sem), CTH_OK);
        CHECK_EQ(cth_sem_value(&sem), i < 3 ? i : 3);
    }
    drain(&sem);
    CHECK_STATUS(cth_sem_release_n(&sem, 2), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), 2);
    CHECK_STATUS(cth_sem_release_n(&sem, CTH_SEM_MAX), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), 3);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
    CHECK_STATUS(cth_sem_init(&sem, CTH_SEM_MAX - 1, &(cth_sem_desc){.saturating = true}), CTH_OK);
    CHECK_STATUS(cth_sem_release_n(&sem, CTH_SEM_MAX), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX);
    CHECK_STATUS(cth_sem_release(&sem), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), CTH_SEM_MAX);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void saturating_of_one_wakes_a_waiter(void) {
    cth_sem sem;
    test_waiter w[2];
    CHECK_STATUS(cth_sem_init(&sem, 0, &(cth_sem_desc){.max = 1, .saturating = true}), CTH_OK);
    waiters_start(w, 2, &sem);
    release(&sem);
    waiters_reach(w, 2, 1);
    release(&sem);
    waiters_end(w, 2);
    CHECK_EQ(cth_sem_value(&sem), 0);
}

typedef struct room {
    cth_sem sem;
    int rounds;
    bool tries;
    atomic_int inside;
    atomic_int most;
} room;

static cth_status visit(void *arg) {
    room *r = (room *)arg;
    for (int i = 0; i < r->rounds; i++) {
        if (r->tries) {
            while (cth_sem_try_acquire(&r->sem) != CTH_OK) {
                cth_yield();
            }
        } else {
            CHECK_STATUS(cth_sem_acquire(&r->sem), CTH_OK);
        }
        const int inside = atomic_fetch_add(&r->inside, 1) + 1;
        int most = atomic_load(&r->most);
        while (inside > most && !atomic_compare_exchange_weak(&r->most, &most, inside)) {
        }
        if (i % 32 == 0) {
            cth_yield();
        }
        atomic_fetch_sub(&r->inside, 1);
        release(&r->sem);
    }
    return CTH_OK;
}

static void visit_by(int threads, int permits, int rounds, bool bounded, bool tries) {
    cth_thread *thread[MANY];
    room r = {.rounds = rounds, .tries = tries};
    const cth_sem_desc desc = {.max = bounded ? permits : 0};
    CHECK_STATUS(cth_sem_init(&r.sem, permits, &desc), CTH_OK);
    for (int i = 0; i < threads; i++) {
        thread[i] = test_spawn(visit, &r);
    }
    for (int i = 0; i < threads; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    CHECK(atomic_load(&r.most) >= 1 && atomic_load(&r.most) <= permits);
    CHECK_EQ(cth_sem_value(&r.sem), permits);
    CHECK_STATUS(cth_sem_destroy(&r.sem), CTH_OK);
}

static void contended_by_five(void) {
    visit_by(THREADS, 1, 5000, false, false);
    visit_by(THREADS, 3, 5000, false, false);
}

static void bounded_contended_by_five(void) {
    visit_by(THREADS, 1, 5000, true, false);
    visit_by(THREADS, 3, 5000, true, false);
}

static void try_contended_by_five(void) {
    visit_by(THREADS, 2, 1000, true, true);
}

static void contended_by_many(void) {
    visit_by(MANY, 4, 500, true, false);
}

typedef struct exclusive {
    cth_sem sem;
    int counter; // plain: the semaphore of one protects it
} exclusive;

static cth_status count_up(void *arg) {
    exclusive *e = (exclusive *)arg;
    for (int i = 0; i < 5000; i++) {
        CHECK_STATUS(cth_sem_acquire(&e->sem), CTH_OK);
        e->counter++;
        release(&e->sem);
    }
    return CTH_OK;
}

static void one_permit_excludes(void) {
    exclusive e = {.sem = CTH_SEM_INIT(1)};
    cth_thread *thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        thread[i] = test_spawn(count_up, &e);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    CHECK_EQ(e.counter, THREADS * 5000);
}

typedef struct belt {
    cth_sem free, used;
    int slots[4]; // plain: handed over by the semaphores
    long sum;
} belt;

static cth_status consume(void *arg) {
    belt *b = (belt *)arg;
    for (int i = 0; i < 10000; i++) {
        CHECK_STATUS(cth_sem_acquire(&b->used), CTH_OK);
        CHECK_EQ(b->slots[i % 4], i);
        b->sum += b->slots[i % 4];
        release(&b->free);
    }
    return CTH_OK;
}

static void producer_and_consumer(void) {
    belt b = {.free = CTH_SEM_INIT_BOUNDED(4)};
    cth_thread *consumer = test_spawn(consume, &b);
    for (int i = 0; i < 10000; i++) {
        CHECK_STATUS(cth_sem_acquire(&b.free), CTH_OK);
        b.slots[i % 4] = i;
        release(&b.used);
    }
    CHECK_STATUS(test_join(consumer), CTH_OK);
    CHECK_EQ(b.sum, 49995000);
}

static cth_status release_it(void *arg) {
    release(arg);
    return CTH_OK;
}

static void another_thread_may_release(void) {
    cth_sem sem = CTH_SEM_INIT_BOUNDED(1);
    CHECK_STATUS(cth_sem_acquire(&sem), CTH_OK);
    CHECK_STATUS(test_join(test_spawn(release_it, &sem)), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), 1);
}

static void destroy_with_waiters_is_busy(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_waiter w[2];
    waiters_start(w, 2, &sem);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_BUSY);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_BUSY);
    CHECK_EQ(cth_sem_value(&sem), 0);
    CHECK_EQ(waiters_done(w, 2), 0);
    CHECK_STATUS(cth_sem_release_n(&sem, 2), CTH_OK);
    waiters_end(w, 2);
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static void destroy_and_begin_again(void) {
    cth_sem sem = CTH_SEM_INIT_BOUNDED(1);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
#ifdef CTHREADS_DEBUG
        CHECK_STATUS(cth_sem_acquire(&sem), CTH_INVALID);
        CHECK_STATUS(cth_sem_acquire_until(&sem, cth_after(CTH_S(3600))), CTH_INVALID);
        CHECK(cth_sem_release(&sem) != CTH_OK);
        CHECK(cth_sem_release_n(&sem, 1) != CTH_OK);
#endif
        CHECK_STATUS(cth_sem_init(&sem, i, NULL), CTH_OK);
        CHECK_EQ(cth_sem_value(&sem), i);
    }
}

static void the_acquirer_may_free_it(void) {
    // Release must not touch the semaphore once another thread can have the permit.
    for (int i = 0; i < 1000; i++) {
        cth_sem *sem = (cth_sem *)calloc(1, sizeof *sem);
        CHECK(sem != NULL);
        const cth_sem_desc desc = {.max = i % 2};
        CHECK_STATUS(cth_sem_init(sem, 0, &desc), CTH_OK);
        cth_thread *thread = test_spawn(release_it, sem);
        for (int k = 0; k < i % 8; k++) {
            cth_yield();
        }
        CHECK_STATUS(cth_sem_acquire(sem), CTH_OK);
        memset(sem, 0xEE, sizeof *sem);
        free(sem);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static void *foreign_acquires(void *sem) {
    CHECK_STATUS(cth_sem_acquire((cth_sem *)sem), CTH_OK);
    return NULL;
}

static void *foreign_releases(void *sem) {
    release(sem);
    return NULL;
}

static void foreign_threads_can_use_it(void) {
    for (int i = 0; i < 50; i++) {
        cth_sem sem = CTH_SEM_INIT(0);
        pthread_t a, b;
        CHECK(pthread_create(&a, NULL, foreign_acquires, &sem) == 0);
        CHECK(pthread_create(&b, NULL, foreign_releases, &sem) == 0);
        CHECK(pthread_join(a, NULL) == 0);
        CHECK(pthread_join(b, NULL) == 0);
        CHECK_EQ(cth_sem_value(&sem), 0);
    }
}

static cth_status acquire_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = timed_acquire(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_sem sem = CTH_SEM_INIT(0);
    test_waiter a = {0}, b = {0};
    test_waiter_start(&a, acquire_keeps_errno, &sem, cth_after(CTH_MS(2)));
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    test_waiter_start(&b, acquire_keeps_errno, &sem, CTH_FOREVER);
    test_waiter_asleep(&b);
    errno = 4242;
    release(&sem);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&b), CTH_OK);
}

static const test_case tests[] = {
    TEST(static_initialisers),
    TEST(init_counts),
    TEST(init_refuses_bad_numbers),
    TEST(uncontended),
    TEST(timed_acquire_of_a_free_one),
    TEST(timed_acquire_times_out),
    TEST(timed_acquire_refuses_negative_deadlines),
    TEST(timed_acquire_waits_long),
    TEST(state_after_a_timeout),
    TEST(each_release_frees_one),
    TEST(release_n_frees_n),
    TEST(release_n_beyond_the_waiters_stays),
    TEST(a_timeout_leaves_the_other_waiters),
    TEST(release_n_is_all_or_nothing),
    TEST(release_n_refuses_negative_numbers),
    TEST(bounded_refuses_too_many),
    TEST(bounded_hands_over_to_waiters),
    TEST(saturating_stops_at_the_maximum),
    TEST(saturating_of_one_wakes_a_waiter),
    TEST(contended_by_five),
    TEST(bounded_contended_by_five),
    TEST(try_contended_by_five),
    TEST(contended_by_many),
    TEST(one_permit_excludes),
    TEST(producer_and_consumer),
    TEST(another_thread_may_release),
    TEST(destroy_with_waiters_is_busy),
    TEST(destroy_and_begin_again),
    TEST(the_acquirer_may_free_it),
    TEST(foreign_threads_can_use_it),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
