/* test_mutex.c - the mutex, alone and in company

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 32 };

/* A thread that holds a mutex from holder_start to holder_end. */
typedef struct holder {
    cth_mutex *mutex;
    cth_event held, let_go;
    cth_thread *thread;
} holder;

static cth_status holder_main(void *arg) {
    holder *h = (holder *)arg;
    CHECK_STATUS(cth_mutex_lock(h->mutex), CTH_OK);
    cth_event_set(&h->held);
    CHECK_STATUS(cth_event_wait(&h->let_go), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(h->mutex), CTH_OK);
    return CTH_OK;
}

static void holder_start(holder *h, cth_mutex *mutex) {
    memset(h, 0, sizeof *h);
    h->mutex = mutex;
    h->thread = test_spawn(holder_main, h);
    CHECK_STATUS(cth_event_wait(&h->held), CTH_OK);
}

static void holder_end(holder *h) {
    cth_event_set(&h->let_go);
    CHECK_STATUS(test_join(h->thread), CTH_OK);
}

/* Run a check in another thread, where the mutex is not held. */
static void elsewhere(cth_thread_fn fn, void *arg) {
    CHECK_STATUS(test_join(test_spawn(fn, arg)), CTH_OK);
}

static cth_status try_is_busy(void *arg) {
    CHECK_STATUS(cth_mutex_try_lock((cth_mutex *)arg), CTH_BUSY);
    return CTH_OK;
}

static cth_status lock_and_unlock(void *arg) {
    CHECK_STATUS(cth_mutex_lock((cth_mutex *)arg), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock((cth_mutex *)arg), CTH_OK);
    return CTH_OK;
}

static cth_status unlock_is_refused(void *arg) {
    CHECK_STATUS(cth_mutex_unlock((cth_mutex *)arg), CTH_NOT_OWNER);
    return CTH_OK;
}

static cth_status timed_lock(void *object, cth_time deadline) {
    cth_mutex *mutex = (cth_mutex *)object;
    const cth_status status = cth_mutex_lock_until(mutex, deadline);
    if (status == CTH_OK) {
        CHECK(cth_mutex_is_locked(mutex));
        CHECK_STATUS(cth_mutex_unlock(mutex), CTH_OK);
    }
    return status;
}

static cth_status plain_lock(void *object, cth_time deadline) {
    (void)deadline;
    return lock_and_unlock(object);
}

static cth_mutex static_mutex = CTH_MUTEX_INIT;
static cth_mutex zeroed_mutex;

static void starts_free(void) {
    cth_mutex automatic = CTH_MUTEX_INIT, cleared;
    memset(&cleared, 0, sizeof cleared);
    cth_mutex *all[] = {&static_mutex, &zeroed_mutex, &automatic, &cleared};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK(!cth_mutex_is_locked(all[i]));
        CHECK_STATUS(lock_and_unlock(all[i]), CTH_OK);
        CHECK_STATUS(cth_mutex_destroy(all[i]), CTH_OK);
    }
}

static void is_four_bytes(void) {
    CHECK_EQ(sizeof(cth_mutex), 4);
}

static void uncontended(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    for (int i = 0; i < 1000; i++) {
        CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
        CHECK(cth_mutex_is_locked(&mutex));
        CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
        CHECK(!cth_mutex_is_locked(&mutex));
    }
}

static void is_locked_by_anybody(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    holder h;
    CHECK(!cth_mutex_is_locked(&mutex));
    holder_start(&h, &mutex);
    CHECK(cth_mutex_is_locked(&mutex));
    holder_end(&h);
    CHECK(!cth_mutex_is_locked(&mutex));
}

static void lock_again_is_a_deadlock(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_mutex_lock(&mutex), CTH_DEADLOCK);
        CHECK_STATUS(cth_mutex_lock_until(&mutex, cth_after(CTH_S(3600))), CTH_DEADLOCK);
        CHECK_STATUS(cth_mutex_lock_until(&mutex, CTH_FOREVER), CTH_DEADLOCK);
        CHECK(cth_mutex_is_locked(&mutex));
    }
    // Nothing was counted: one unlock frees it.
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK(!cth_mutex_is_locked(&mutex));
    elsewhere(lock_and_unlock, &mutex);
}

static void lock_again_with_waiters_is_a_deadlock(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    test_waiter w = {0};
    test_waiter_start(&w, plain_lock, &mutex, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_DEADLOCK);
    CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_BUSY);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

static void try_lock(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_OK);
    CHECK(cth_mutex_is_locked(&mutex));
    CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_BUSY); // its own
    elsewhere(try_is_busy, &mutex);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK(!cth_mutex_is_locked(&mutex));
    CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
}

static void try_lock_of_another_s(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    holder h;
    holder_start(&h, &mutex);
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_BUSY);
    }
    CHECK(cth_mutex_is_locked(&mutex));
    holder_end(&h);
    CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
}

static void timed_lock_of_a_free_one(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    test_succeeds(timed_lock, &mutex, test_nothing);
}

static void timed_lock_of_a_held_one(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    holder h;
    holder_start(&h, &mutex);
    test_times_out(timed_lock, &mutex);
    CHECK(cth_mutex_is_locked(&mutex));
    holder_end(&h); // its unlock is CTH_OK: it still was the owner
    CHECK(!cth_mutex_is_locked(&mutex));
}

static void timed_lock_refuses_negative_deadlines(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    test_refuses_negative(timed_lock, &mutex);
    CHECK(!cth_mutex_is_locked(&mutex));
    holder h;
    holder_start(&h, &mutex);
    test_refuses_negative(timed_lock, &mutex);
    holder_end(&h);
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    test_refuses_negative(timed_lock, &mutex);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
}

static void main_locks(void *mutex) {
    CHECK_STATUS(cth_mutex_lock((cth_mutex *)mutex), CTH_OK);
}

static void main_unlocks(void *mutex) {
    CHECK_STATUS(cth_mutex_unlock((cth_mutex *)mutex), CTH_OK);
}

static void timed_lock_waits_long(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    test_waits_long(timed_lock, &mutex, main_locks, main_unlocks);
}

static void state_after_a_timeout(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    holder h;
    for (int round = 0; round < 20; round++) {
        holder_start(&h, &mutex);
        CHECK_STATUS(cth_mutex_lock_until(&mutex, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK(cth_mutex_is_locked(&mutex));
        CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_NOT_OWNER);
        holder_end(&h);
        CHECK(!cth_mutex_is_locked(&mutex));
        CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_OK);
        CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
        CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
        elsewhere(try_is_busy, &mutex);
        CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    }
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_OK); // no waiter is left behind
}

static void a_timeout_leaves_the_other_waiters(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    test_waiter patient[3], hasty[3];
    memset(patient, 0, sizeof patient);
    memset(hasty, 0, sizeof hasty);
    for (int i = 0; i < 3; i++) {
        test_waiter_start(&patient[i], timed_lock, &mutex, CTH_FOREVER);
        test_waiter_asleep(&patient[i]);
        test_waiter_start(&hasty[i], timed_lock, &mutex, cth_after(CTH_MS(5)));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&hasty[i]), CTH_TIMEDOUT);
        CHECK_EQ(atomic_load(&patient[i].done), 0);
    }
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&patient[i]), CTH_OK);
    }
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_OK);
}

static void unlock_of_a_free_one(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_NOT_OWNER);
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_NOT_OWNER);
    CHECK(!cth_mutex_is_locked(&mutex));
    elsewhere(lock_and_unlock, &mutex);
}

static void unlock_of_another_s(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    elsewhere(unlock_is_refused, &mutex);
    CHECK(cth_mutex_is_locked(&mutex));
    elsewhere(try_is_busy, &mutex);
    test_waiter w = {0};
    test_waiter_start(&w, plain_lock, &mutex, CTH_FOREVER);
    test_waiter_asleep(&w);
    elsewhere(unlock_is_refused, &mutex); // nor does it wake the waiter into a held lock
    CHECK_EQ(atomic_load(&w.done), 0);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

static cth_status lock_and_end(void *arg) {
    return cth_mutex_lock((cth_mutex *)arg);
}

static void a_lock_outlives_its_owner(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    elsewhere(lock_and_end, &mutex);
    CHECK(cth_mutex_is_locked(&mutex));
    CHECK_STATUS(cth_mutex_try_lock(&mutex), CTH_BUSY);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_NOT_OWNER);
    CHECK_STATUS(cth_mutex_lock_until(&mutex, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    // A later thread is not taken for the one that ended.
    for (int i = 0; i < 50; i++) {
        elsewhere(unlock_is_refused, &mutex);
        elsewhere(try_is_busy, &mutex);
    }
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_BUSY);
}

typedef struct shared {
    cth_mutex mutex;
    int rounds;
    bool tries;  // take it by try_lock
    int inside;  // plain: the mutex protects it
    long passes; // plain
} shared;

static cth_status contend(void *arg) {
    shared *s = (shared *)arg;
    for (int i = 0; i < s->rounds; i++) {
        if (s->tries) {
            while (cth_mutex_try_lock(&s->mutex) != CTH_OK) {
                cth_yield();
            }
        } else {
            CHECK_STATUS(cth_mutex_lock(&s->mutex), CTH_OK);
        }
        CHECK_EQ(s->inside, 0);
        s->inside++;
        s->passes++;
        if (i % 64 == 0) {
            cth_yield(); // lets the others run into the held lock
        }
        s->inside--;
        CHECK_STATUS(cth_mutex_unlock(&s->mutex), CTH_OK);
    }
    return CTH_OK;
}

static void contend_by(int threads, int rounds, bool tries) {
    cth_thread *thread[MANY];
    shared s = {.rounds = rounds, .tries = tries};
    for (int i = 0; i < threads; i++) {
        thread[i] = test_spawn(contend, &s);
    }
    for (int i = 0; i < threads; i++) {
        CHECK_STATUS(test_join(thread[i]), CTH_OK);
    }
    CHECK_EQ(s.passes, (long)threads * rounds);
    CHECK_STATUS(cth_mutex_destroy(&s.mutex), CTH_OK);
}

static void contended_by_five(void) {
    contend_by(THREADS, 10000, false);
}

static void try_contended_by_five(void) {
    contend_by(THREADS, 1000, true);
}

static void contended_by_many(void) {
    contend_by(MANY, 500, false);
}

static void many_waiters_all_pass(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    test_waiter w[MANY];
    memset(w, 0, sizeof w);
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    for (int i = 0; i < MANY; i++) {
        test_waiter_start(&w[i], timed_lock, &mutex,
                          i % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
    }
    for (int i = 0; i < MANY; i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    for (int i = 0; i < MANY; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    CHECK(!cth_mutex_is_locked(&mutex));
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_OK);
}

typedef struct greed {
    cth_mutex mutex;
    atomic_int enough;
} greed;

static cth_status holds_nearly_always(void *arg) {
    greed *g = (greed *)arg;
    while (atomic_load(&g->enough) == 0) {
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
        CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
    }
    return CTH_OK;
}

static void the_greedy_do_not_starve_a_waiter(void) {
    greed g = {.mutex = CTH_MUTEX_INIT};
    cth_thread *greedy[2];
    for (int i = 0; i < 2; i++) {
        greedy[i] = test_spawn(holds_nearly_always, &g);
    }
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(lock_and_unlock(&g.mutex), CTH_OK);
    }
    atomic_store(&g.enough, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_join(greedy[i]), CTH_OK);
    }
}

typedef struct heir {
    cth_mutex mutex;
    bool was_here; // the mutex protects it
} heir;

static cth_status leaves_a_mark(void *object, cth_time deadline) {
    heir *h = (heir *)object;
    CHECK_STATUS(cth_mutex_lock_until(&h->mutex, deadline), CTH_OK);
    h->was_here = true;
    CHECK_STATUS(cth_mutex_unlock(&h->mutex), CTH_OK);
    return CTH_OK;
}

static void who_was_passed_by_for_long_is_handed_the_lock(void) {
    for (int i = 0; i < 10; i++) {
        heir h = {.was_here = false};
        test_waiter w = {0};
        CHECK_STATUS(cth_mutex_lock(&h.mutex), CTH_OK);
        test_waiter_start(&w, leaves_a_mark, &h, CTH_FOREVER);
        test_waiter_asleep(&w);
        const cth_time patience = cth_after(CTH_MS(2)); // the promise is 1 ms
        while (cth_now() < patience) {
            cth_yield();
        }
        CHECK_STATUS(cth_mutex_unlock(&h.mutex), CTH_OK);
        CHECK_STATUS(cth_mutex_lock(&h.mutex), CTH_OK); // comes after the waiter
        CHECK(h.was_here);
        CHECK_STATUS(cth_mutex_unlock(&h.mutex), CTH_OK);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    }
}

static void destroy_while_used_is_busy(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_BUSY);
    CHECK(cth_mutex_is_locked(&mutex));
    elsewhere(try_is_busy, &mutex);
    test_waiter w = {0};
    test_waiter_start(&w, plain_lock, &mutex, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_BUSY);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    holder h;
    holder_start(&h, &mutex);
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_BUSY);
    holder_end(&h);
    CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_OK);
}

static void destroy_and_begin_again(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(lock_and_unlock(&mutex), CTH_OK);
        CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_OK);
#ifdef CTHREADS_DEBUG
        CHECK_STATUS(cth_mutex_lock(&mutex), CTH_INVALID);
        CHECK_STATUS(cth_mutex_lock_until(&mutex, cth_after(CTH_S(3600))), CTH_INVALID);
        CHECK(cth_mutex_unlock(&mutex) != CTH_OK);
#endif
        memset(&mutex, 0, sizeof mutex);
    }
}

static cth_status lock_and_free(void *arg) {
    cth_mutex *mutex = (cth_mutex *)arg;
    CHECK_STATUS(cth_mutex_lock(mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_destroy(mutex), CTH_OK);
    memset(mutex, 0xEE, sizeof *mutex);
    free(mutex);
    return CTH_OK;
}

static void the_next_owner_may_free_it(void) {
    // The last unlock must not touch the mutex once the other thread can have it.
    for (int i = 0; i < 1000; i++) {
        cth_mutex *mutex = (cth_mutex *)calloc(1, sizeof *mutex);
        CHECK(mutex != NULL);
        CHECK_STATUS(cth_mutex_lock(mutex), CTH_OK);
        cth_thread *thread = test_spawn(lock_and_free, mutex);
        for (int k = 0; k < i % 8; k++) {
            cth_yield();
        }
        CHECK_STATUS(cth_mutex_unlock(mutex), CTH_OK);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static void *foreign_user(void *arg) {
    shared *s = (shared *)arg;
    // The very first call of this thread is the one under test.
    CHECK_STATUS(cth_mutex_unlock(&s->mutex), CTH_NOT_OWNER);
    CHECK_STATUS(contend(s), CTH_OK);
    CHECK_STATUS(cth_mutex_lock(&s->mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_lock(&s->mutex), CTH_DEADLOCK);
    CHECK_STATUS(cth_mutex_unlock(&s->mutex), CTH_OK);
    return NULL;
}

static void *foreign_first_lock(void *arg) {
    shared *s = (shared *)arg;
    CHECK_STATUS(cth_mutex_lock(&s->mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&s->mutex), CTH_OK);
    return NULL;
}

static void *foreign_first_try(void *arg) {
    shared *s = (shared *)arg;
    while (cth_mutex_try_lock(&s->mutex) != CTH_OK) {
        cth_yield();
    }
    CHECK_STATUS(cth_mutex_unlock(&s->mutex), CTH_OK);
    return NULL;
}

static void foreign_threads_can_lock(void) {
    void *(*const fns[3])(void *) = {foreign_user, foreign_first_lock, foreign_first_try};
    shared s = {.rounds = 1000};
    pthread_t thread[6];
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_create(&thread[i], NULL, fns[i % 3], &s) == 0);
    }
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    CHECK_EQ(s.passes, 2000);
    CHECK(!cth_mutex_is_locked(&s.mutex));
}

static cth_status lock_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = timed_lock(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    test_waiter a = {0}, b = {0};
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    test_waiter_start(&a, lock_keeps_errno, &mutex, cth_after(CTH_MS(2)));
    test_waiter_start(&b, lock_keeps_errno, &mutex, CTH_FOREVER);
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    test_waiter_asleep(&b);
    errno = 4242;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_DEADLOCK);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&b), CTH_OK);
}

static void assert_held(void) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    cth_mutex_assert_held(&mutex);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    char text[512];
    CHECK_EQ(test_child("free", text, sizeof text), -SIGABRT);
    CHECK(text[0] != '\0' && strstr(text, "still here") == NULL);
    CHECK_EQ(test_child("of another", text, sizeof text), -SIGABRT);
    CHECK(text[0] != '\0' && strstr(text, "still here") == NULL);
}

static int child_main(const char *mode) {
    cth_mutex mutex = CTH_MUTEX_INIT;
    if (strcmp(mode, "of another") == 0) {
        elsewhere(lock_and_end, &mutex);
    }
    cth_mutex_assert_held(&mutex);
    printf("still here\n");
    return 0;
}

static const test_case tests[] = {
    TEST(starts_free),
    TEST(is_four_bytes),
    TEST(uncontended),
    TEST(is_locked_by_anybody),
    TEST(lock_again_is_a_deadlock),
    TEST(lock_again_with_waiters_is_a_deadlock),
    TEST(try_lock),
    TEST(try_lock_of_another_s),
    TEST(timed_lock_of_a_free_one),
    TEST(timed_lock_of_a_held_one),
    TEST(timed_lock_refuses_negative_deadlines),
    TEST(timed_lock_waits_long),
    TEST(state_after_a_timeout),
    TEST(a_timeout_leaves_the_other_waiters),
    TEST(unlock_of_a_free_one),
    TEST(unlock_of_another_s),
    TEST(a_lock_outlives_its_owner),
    TEST(contended_by_five),
    TEST(try_contended_by_five),
    TEST(contended_by_many),
    TEST(many_waiters_all_pass),
    TEST(the_greedy_do_not_starve_a_waiter),
    TEST(who_was_passed_by_for_long_is_handed_the_lock),
    TEST(assert_held),
    TEST(destroy_while_used_is_busy),
    TEST(destroy_and_begin_again),
    TEST(the_next_owner_may_free_it),
    TEST(foreign_threads_can_lock),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    return mode != NULL ? child_main(mode) : test_run(argc, argv, tests, TEST_COUNT(tests));
}
