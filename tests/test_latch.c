/* test_latch.c - the latch: counting down, waiting, deadlines, cancelling

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L // sigaction, pthread_kill
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 32 };

static cth_status timed_wait(void *object, cth_time deadline) {
    return cth_latch_wait_until((cth_latch *)object, deadline);
}

static cth_status plain_wait(void *object, cth_time deadline) {
    (void)deadline;
    return cth_latch_wait((cth_latch *)object);
}

static cth_latch static_latch = CTH_LATCH_INIT(3);
static cth_latch zeroed_latch;

static void starts_with_its_count(void) {
    cth_latch automatic = CTH_LATCH_INIT(0), cleared;
    memset(&cleared, 0, sizeof cleared);
    CHECK_EQ(cth_latch_count(&static_latch), 3);
    for (int i = 2; i >= 0; i--) {
        CHECK_STATUS(cth_latch_wait_until(&static_latch, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_latch_done(&static_latch), CTH_OK);
        CHECK_EQ(cth_latch_count(&static_latch), i);
    }
    cth_latch *all[] = {&static_latch, &zeroed_latch, &automatic, &cleared};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK_EQ(cth_latch_count(all[i]), 0);
        CHECK_STATUS(cth_latch_wait(all[i]), CTH_OK);
        CHECK_STATUS(cth_latch_destroy(all[i]), CTH_OK);
    }
}

static void is_four_bytes(void) {
    CHECK_EQ(sizeof(cth_latch), 4);
}

static void adds_and_dones(void) {
    cth_latch latch = CTH_LATCH_INIT(0);
    int count = 0;
    for (int n = 0; n < 100; n++) {
        CHECK_STATUS(cth_latch_add(&latch, n), CTH_OK);
        count += n;
        CHECK_EQ(cth_latch_count(&latch), count);
    }
    while (count > 0) {
        CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
        count--;
        CHECK_EQ(cth_latch_count(&latch), count);
        CHECK_STATUS(cth_latch_wait_until(&latch, 0), count == 0 ? CTH_OK : CTH_TIMEDOUT);
    }
    CHECK_STATUS(cth_latch_wait(&latch), CTH_OK);
}

static void adding_nothing(void) {
    cth_latch latch = CTH_LATCH_INIT(0);
    CHECK_STATUS(cth_latch_add(&latch, 0), CTH_OK);
    CHECK_STATUS(cth_latch_wait(&latch), CTH_OK);
    CHECK_STATUS(cth_latch_add(&latch, 1), CTH_OK);
    CHECK_STATUS(cth_latch_add(&latch, 0), CTH_OK);
    CHECK_EQ(cth_latch_count(&latch), 1);
}

static void misuse_changes_nothing(void) {
    cth_latch latch = CTH_LATCH_INIT(0);
    static const int wrong[] = {-1, -2, INT32_MIN + 1, INT32_MIN};
    for (int count = 0; count < 3; count++) {
        for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
            CHECK_STATUS(cth_latch_add(&latch, wrong[i]), CTH_INVALID);
            CHECK_EQ(cth_latch_count(&latch), count);
        }
        CHECK_STATUS(cth_latch_add(&latch, 1), CTH_OK);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_latch_done(&latch), CTH_OVERFLOW); // more done than added
        CHECK_EQ(cth_latch_count(&latch), 0);
        CHECK_STATUS(cth_latch_wait(&latch), CTH_OK);
    }
}

static void the_count_does_not_wrap(void) {
    // Kind of bug: a counter that wraps around, or runs into the mark beside it (seen in the
    // semaphores of RT-Thread, 3951, and NuttX, 8321).
    cth_latch latch = CTH_LATCH_INIT(INT32_MAX - 2);
    CHECK_STATUS(cth_latch_add(&latch, 3), CTH_OVERFLOW);
    CHECK_STATUS(cth_latch_add(&latch, INT32_MAX), CTH_OVERFLOW);
    CHECK_EQ(cth_latch_count(&latch), INT32_MAX - 2);
    CHECK_STATUS(cth_latch_add(&latch, 2), CTH_OK);
    CHECK_STATUS(cth_latch_add(&latch, 0), CTH_OK);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(cth_latch_add(&latch, 1), CTH_OVERFLOW);
        CHECK_STATUS(cth_latch_add(&latch, INT32_MAX), CTH_OVERFLOW);
        CHECK_EQ(cth_latch_count(&latch), INT32_MAX);
        // Once more with the mark of sleepers in the word, which a wait leaves there.
        CHECK_STATUS(cth_latch_wait_until(&latch, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK_EQ(cth_latch_count(&latch), INT32_MAX);
    }
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    CHECK_EQ(cth_latch_count(&latch), INT32_MAX - 1);
    CHECK_STATUS(cth_latch_add(&latch, 1), CTH_OK);
    CHECK_STATUS(cth_latch_add(&latch, 1), CTH_OVERFLOW);
    // A waiter at the full count is woken by the last done only.
    test_waiter w = {0};
    test_waiter_start(&w, plain_wait, &latch, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    atomic_fetch_sub(&latch.word, (uint32_t)INT32_MAX - 3); // leaves two
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    CHECK_EQ(cth_latch_count(&latch), 1);
    test_waiter_asleep(&w);
    CHECK_EQ(atomic_load(&w.done), 0);
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

/* ---- deadlines ---- */

static void timed_wait_at_zero(void) {
    cth_latch latch = CTH_LATCH_INIT(0);
    test_succeeds(timed_wait, &latch, test_nothing);
}

static void timed_wait_above_zero(void) {
    cth_latch latch = CTH_LATCH_INIT(2);
    test_times_out(timed_wait, &latch);
    CHECK_EQ(cth_latch_count(&latch), 2);
}

static void timed_wait_refuses_negative_deadlines(void) {
    cth_latch latch = CTH_LATCH_INIT(0);
    test_refuses_negative(timed_wait, &latch); // although it need not wait
    CHECK_STATUS(cth_latch_add(&latch, 1), CTH_OK);
    test_refuses_negative(timed_wait, &latch);
    CHECK_EQ(cth_latch_count(&latch), 1);
}

static void add_one(void *latch) {
    CHECK_STATUS(cth_latch_add((cth_latch *)latch, 1), CTH_OK);
}

static void done_one(void *latch) {
    CHECK_STATUS(cth_latch_done((cth_latch *)latch), CTH_OK);
}

static void timed_wait_waits_long(void) {
    cth_latch latch = CTH_LATCH_INIT(0);
    test_waits_long(timed_wait, &latch, add_one, done_one);
}

static void state_after_a_timeout(void) {
    cth_latch latch = CTH_LATCH_INIT(0);
    for (int round = 0; round < 20; round++) {
        CHECK_STATUS(cth_latch_add(&latch, 2), CTH_OK);
        CHECK_STATUS(cth_latch_wait_until(&latch, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK_EQ(cth_latch_count(&latch), 2);
        CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
        CHECK_STATUS(cth_latch_wait_until(&latch, cth_after(CTH_US(1))), CTH_TIMEDOUT);
        CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
        CHECK_EQ(cth_latch_count(&latch), 0);
        CHECK_STATUS(cth_latch_wait(&latch), CTH_OK);
        CHECK_STATUS(cth_latch_done(&latch), CTH_OVERFLOW);
    }
    CHECK_STATUS(cth_latch_destroy(&latch), CTH_OK); // no waiter is left behind
}

static void a_timeout_leaves_the_other_waiters(void) {
    cth_latch latch = CTH_LATCH_INIT(1);
    test_waiter patient[3], hasty[3];
    memset(patient, 0, sizeof patient);
    memset(hasty, 0, sizeof hasty);
    for (int i = 0; i < 3; i++) {
        test_waiter_start(&patient[i], timed_wait, &latch, CTH_FOREVER);
        test_waiter_asleep(&patient[i]);
        test_waiter_start(&hasty[i], timed_wait, &latch, cth_after(CTH_MS(5)));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&hasty[i]), CTH_TIMEDOUT);
        CHECK_EQ(atomic_load(&patient[i].done), 0);
    }
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&patient[i]), CTH_OK);
    }
    CHECK_STATUS(cth_latch_destroy(&latch), CTH_OK);
}

/* ---- cancelling ---- */

static void cancelled_waits(void) {
    cth_latch latch = CTH_LATCH_INIT(1);
    cth_cancel token = CTH_CANCEL_INIT;
    test_waiter w[3], patient = {0};
    memset(w, 0, sizeof w);
    for (int i = 0; i < 3; i++) {
        w[i].token = &token;
        test_waiter_start(&w[i], timed_wait, &latch, CTH_FOREVER);
        test_waiter_asleep(&w[i]);
    }
    test_waiter_start(&patient, timed_wait, &latch, CTH_FOREVER);
    test_waiter_asleep(&patient);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_CANCELLED);
    }
    CHECK_EQ(cth_latch_count(&latch), 1); // it changed nothing
    CHECK_EQ(atomic_load(&patient.done), 0);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_latch_wait(&latch), CTH_CANCELLED);
        CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
        CHECK_STATUS(cth_latch_wait(&latch), CTH_OK); // need not wait
    }
    CHECK_STATUS(test_waiter_end(&patient), CTH_OK);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* ---- in company ---- */

static void many_waiters_are_freed_at_once(void) {
    cth_latch latch = CTH_LATCH_INIT(2);
    test_waiter w[MANY];
    memset(w, 0, sizeof w);
    for (int i = 0; i < MANY; i++) {
        test_waiter_start(&w[i], i % 3 == 0 ? plain_wait : timed_wait, &latch,
                          cth_after(CTH_S(3600)));
    }
    for (int i = 0; i < MANY; i++) {
        test_waiter_asleep(&w[i]);
    }
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(atomic_load(&w[i].done), 0); // one is still to come
    }
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    CHECK_STATUS(cth_latch_add(&latch, 1), CTH_OK); // those who waited are free all the same
    for (int i = 0; i < MANY; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    CHECK_EQ(cth_latch_count(&latch), 1);
}

typedef struct jobs {
    cth_latch latch;
    int results[THREADS]; // plain: written before done, read after wait
    int rounds;
    cth_barrier next;
    atomic_int number;
} jobs;

static cth_status job_main(void *arg) {
    jobs *j = (jobs *)arg;
    const int number = atomic_fetch_add(&j->number, 1);
    for (int round = 1; round <= j->rounds; round++) {
        j->results[number] = round;
        CHECK_STATUS(cth_latch_done(&j->latch), CTH_OK);
        CHECK_STATUS(cth_barrier_wait(&j->next, NULL), CTH_OK);
    }
    return CTH_OK;
}

static void what_was_done_is_seen_after_the_wait(void) {
    jobs j = {.latch = CTH_LATCH_INIT(THREADS), .rounds = 500};
    CHECK_STATUS(cth_barrier_init(&j.next, THREADS + 1, NULL), CTH_OK);
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(job_main, &j);
    }
    for (int round = 1; round <= j.rounds; round++) {
        CHECK_STATUS(cth_latch_wait(&j.latch), CTH_OK);
        for (int i = 0; i < THREADS; i++) {
            CHECK_EQ(j.results[i], round);
        }
        CHECK_STATUS(cth_latch_add(&j.latch, THREADS), CTH_OK); // the next round
        CHECK_STATUS(cth_barrier_wait(&j.next, NULL), CTH_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(cth_latch_count(&j.latch), THREADS);
}

typedef struct crowd {
    cth_latch latch;
    atomic_int too_many; // dones that found nothing
} crowd;

static cth_status done_and_wait(void *arg) {
    crowd *c = (crowd *)arg;
    for (int i = 0; i < 2000; i++) {
        const cth_status status = cth_latch_done(&c->latch);
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_OVERFLOW);
            atomic_fetch_add(&c->too_many, 1);
        }
        if (i % 100 == 0) {
            const cth_status waited = cth_latch_wait_until(&c->latch, cth_after(CTH_US(5)));
            CHECK(waited == CTH_OK || waited == CTH_TIMEDOUT);
        }
    }
    return cth_latch_wait(&c->latch);
}

static void contended_by_five(void) {
    // Waits with short deadlines come and go meanwhile: the last done must find those who stay.
    for (int round = 0; round < 10; round++) {
        crowd c = {.latch = CTH_LATCH_INIT(THREADS * 2000 - 7)};
        cth_thread *threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            threads[i] = test_spawn(done_and_wait, &c);
        }
        CHECK_STATUS(cth_latch_wait(&c.latch), CTH_OK);
        for (int i = 0; i < THREADS; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        CHECK_EQ(atomic_load(&c.too_many), 7);
        CHECK_EQ(cth_latch_count(&c.latch), 0);
    }
}

/* ---- spurious wake-ups ---- */

static void no_op(int signal_number) {
    (void)signal_number;
}

typedef struct pestered {
    cth_latch latch;
    atomic_int ready, done;
} pestered;

static void *pestered_main(void *arg) {
    pestered *p = (pestered *)arg;
    atomic_store(&p->ready, 1);
    CHECK_STATUS(cth_latch_wait(&p->latch), CTH_OK);
    CHECK_EQ(cth_latch_count(&p->latch), 0);
    atomic_store(&p->done, 1);
    return NULL;
}

static void signals_do_not_end_a_wait(void) {
    // Kind of bug: a wait without a predicate believes every wake-up (seen in
    // Open3D-PoissonRecon 6).
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = no_op; // and no SA_RESTART
    CHECK(sigaction(SIGUSR1, &action, &old) == 0);
    pestered p = {.latch = CTH_LATCH_INIT(1)};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, pestered_main, &p) == 0);
    test_reach(&p.ready, 1);
    for (int i = 0; i < 500; i++) {
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        cth_yield();
        CHECK_EQ(atomic_load(&p.done), 0);
    }
    CHECK_STATUS(cth_latch_done(&p.latch), CTH_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

/* ---- the end of its life ---- */

static void destroy_with_waiters_is_busy(void) {
    cth_latch latch = CTH_LATCH_INIT(1);
    test_waiter w = {0};
    test_waiter_start(&w, plain_wait, &latch, CTH_FOREVER);
    test_waiter_asleep(&w);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_latch_destroy(&latch), CTH_BUSY);
        CHECK_EQ(cth_latch_count(&latch), 1);
    }
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK_STATUS(cth_latch_destroy(&latch), CTH_OK);
    cth_latch above_zero = CTH_LATCH_INIT(1);
    CHECK_STATUS(cth_latch_destroy(&above_zero), CTH_OK); // nobody waits
}

static cth_status last_done(void *arg) {
    return cth_latch_done((cth_latch *)arg);
}

static void the_waiter_may_free_it(void) {
    // Kind of bug: the call that brings the count to zero looks at the object after a waiter could
    // have freed it (seen in glibc's sem_post, bug 12674, and in musl's).
    for (int i = 0; i < 500; i++) {
        cth_latch *latch = (cth_latch *)calloc(1, sizeof *latch);
        CHECK(latch != NULL);
        CHECK_STATUS(cth_latch_add(latch, 1), CTH_OK);
        cth_thread *thread = test_spawn(last_done, latch);
        for (int k = 0; k < i % 8; k++) {
            cth_yield();
        }
        CHECK_STATUS(cth_latch_wait(latch), CTH_OK);
        memset(latch, 0xEE, sizeof *latch);
        free(latch);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static void *foreign_main(void *arg) {
    // The very first call of this thread is the one under test.
    cth_latch *latch = (cth_latch *)arg;
    CHECK_STATUS(cth_latch_wait(&latch[0]), CTH_OK);
    CHECK_STATUS(cth_latch_done(&latch[1]), CTH_OK);
    return NULL;
}

static void foreign_threads_can_wait(void) {
    cth_latch latch[2] = {CTH_LATCH_INIT(1), CTH_LATCH_INIT(3)};
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_create(&thread[i], NULL, foreign_main, latch) == 0);
    }
    CHECK_STATUS(cth_latch_wait_until(&latch[1], cth_after(CTH_MS(5))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_latch_done(&latch[0]), CTH_OK);
    CHECK_STATUS(cth_latch_wait(&latch[1]), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
}

static cth_status wait_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = timed_wait(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_latch latch = CTH_LATCH_INIT(1);
    test_waiter a = {0}, b = {0};
    test_waiter_start(&a, wait_keeps_errno, &latch, cth_after(CTH_MS(2)));
    test_waiter_start(&b, wait_keeps_errno, &latch, CTH_FOREVER);
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    test_waiter_asleep(&b);
    errno = 4242;
    CHECK_STATUS(cth_latch_done(&latch), CTH_OK);
    CHECK_STATUS(cth_latch_done(&latch), CTH_OVERFLOW);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&b), CTH_OK);
}

static const test_case tests[] = {
    TEST(starts_with_its_count),
    TEST(is_four_bytes),
    TEST(adds_and_dones),
    TEST(adding_nothing),
    TEST(misuse_changes_nothing),
    TEST(the_count_does_not_wrap),
    TEST(timed_wait_at_zero),
    TEST(timed_wait_above_zero),
    TEST(timed_wait_refuses_negative_deadlines),
    TEST(timed_wait_waits_long),
    TEST(state_after_a_timeout),
    TEST(a_timeout_leaves_the_other_waiters),
    TEST(cancelled_waits),
    TEST(many_waiters_are_freed_at_once),
    TEST(what_was_done_is_seen_after_the_wait),
    TEST(contended_by_five),
    TEST(signals_do_not_end_a_wait),
    TEST(destroy_with_waiters_is_busy),
    TEST(the_waiter_may_free_it),
    TEST(foreign_threads_can_wait),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
