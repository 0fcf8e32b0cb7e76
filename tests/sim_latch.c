/* sim_latch.c - the latch under many schedules, and bugs of latches that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

enum { JOBS = 3 };

static cth_latch latch;
static int done; // counted before the latch is

static void fresh(int count) {
    const cth_latch full = CTH_LATCH_INIT((uint32_t)count);
    latch = full;
    done = 0;
    sim_begin();
}

static cth_status job(void *arg) {
    (void)arg;
    cth_yield();
    done++;
    CTH_SIM_CHECK(cth_latch_done(&latch) == CTH_OK);
    return CTH_OK;
}

static void at_zero(void) {
    CTH_SIM_CHECK(done == JOBS);
    CTH_SIM_CHECK(cth_latch_count(&latch) == 0);
    CTH_SIM_CHECK(cth_latch_done(&latch) == CTH_OVERFLOW);
    CTH_SIM_CHECK(cth_latch_wait_until(&latch, 0) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_destroy(&latch) == CTH_OK);
}

/* -- scenarios --------------------------------------------------------------------------------- */

static cth_status waits(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_latch_wait(&latch) == CTH_OK);
    CTH_SIM_CHECK(done == JOBS);
    return CTH_OK;
}

static cth_status waits_until(void *arg) {
    (void)arg;
    const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
    const cth_status status = cth_latch_wait_until(&latch, deadline);
    if (status == CTH_OK) {
        CTH_SIM_CHECK(done == JOBS);
    } else {
        CTH_SIM_CHECK(status == CTH_TIMEDOUT && cth_now() >= deadline);
    }
    return CTH_OK;
}

/* Three jobs, two that wait for them, one that may give up: all who wait on are woken. */
static cth_status jobs_and_waiters(void *arg) {
    (void)arg;
    fresh(JOBS);
    cth_thread *threads[] = {sim_spawn(waits, NULL), sim_spawn(job, NULL),
                             sim_spawn(waits_until, NULL), sim_spawn(job, NULL),
                             sim_spawn(job, NULL)};
    CTH_SIM_CHECK(cth_latch_wait_until(&latch, -1) == CTH_INVALID);
    CTH_SIM_CHECK(cth_latch_wait(&latch) == CTH_OK);
    at_zero();
    for (int i = 0; i < 5; i++) {
        sim_join(threads[i]);
    }
    at_zero();
    return CTH_OK;
}

/* A wait that times out has changed nothing: the same thread waits again, and gets it. */
static cth_status waits_again_and_again(void *arg) {
    (void)arg;
    fresh(0);
    CTH_SIM_CHECK(cth_latch_add(&latch, -1) == CTH_INVALID);
    CTH_SIM_CHECK(cth_latch_add(&latch, JOBS) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_add(&latch, INT32_MAX) == CTH_OVERFLOW);
    cth_thread *threads[] = {sim_spawn(job, NULL), sim_spawn(waits_until, NULL),
                             sim_spawn(job, NULL), sim_spawn(job, NULL)};
    cth_status status;
    while ((status = cth_latch_wait_until(&latch, sim_soon())) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_TIMEDOUT);
    }
    at_zero();
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* The waiter gives the memory away as soon as it is woken; a done, or another one, may be on its
   way back from the call. */
static cth_status job_of(void *arg) {
    CTH_SIM_CHECK(cth_latch_done((cth_latch *)arg) == CTH_OK);
    return CTH_OK;
}

static cth_status freed_by_the_waiter(void *arg) {
    (void)arg;
    fresh(0);
    cth_latch *own = (cth_latch *)calloc(1, sizeof *own);
    CTH_SIM_CHECK(cth_latch_add(own, JOBS) == CTH_OK);
    cth_thread *threads[JOBS];
    for (int i = 0; i < JOBS; i++) {
        threads[i] = sim_spawn(job_of, own);
    }
    while (cth_latch_wait_until(own, cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon()) != CTH_OK) {
    }
    sim_gone(own, sizeof *own);
    for (int i = 0; i < JOBS; i++) {
        sim_join(threads[i]);
    }
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

/* Used again at zero: the waiter of the first round starts the second. */
static cth_status two_rounds(void *arg) {
    (void)arg;
    fresh(0);
    cth_thread *threads[2 * JOBS];
    for (int round = 0; round < 2; round++) {
        done = 0;
        CTH_SIM_CHECK(cth_latch_add(&latch, JOBS) == CTH_OK);
        for (int i = 0; i < JOBS; i++) {
            threads[round * JOBS + i] = sim_spawn(job, NULL);
        }
        CTH_SIM_CHECK(cth_latch_wait(&latch) == CTH_OK);
        CTH_SIM_CHECK(done == JOBS);
    }
    for (int i = 0; i < 2 * JOBS; i++) {
        sim_join(threads[i]);
    }
    at_zero();
    return CTH_OK;
}

static cth_status waits_under(void *arg) {
    cth_status status = CTH_OK;
    CTH_UNDER((cth_cancel *)arg) {
        status = cth_latch_wait(&latch);
    }
    if (status == CTH_CANCELLED) {
        status = cth_latch_wait(&latch); // under no token it goes on
    }
    CTH_SIM_CHECK(status == CTH_OK && done == JOBS);
    return CTH_OK;
}

/* A cancelled wait has consumed nothing, and nobody else's is disturbed. */
static cth_status cancel_or_zero(void *arg) {
    cth_cancel token;
    (void)arg;
    fresh(JOBS);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *threads[] = {sim_spawn(waits_under, &token), sim_spawn(job, NULL),
                             sim_spawn(waits, NULL), sim_spawn(job, NULL), sim_spawn(job, NULL)};
    for (uint32_t n = cth_sim_choose(10); n > 0; n--) {
        cth_yield();
    }
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    for (int i = 0; i < 5; i++) {
        sim_join(threads[i]);
    }
    at_zero();
    CTH_UNDER(&token) {
        CTH_SIM_CHECK(cth_latch_wait(&latch) == CTH_OK); // it need not wait
    }
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static void passes_jobs_and_waiters(void) {
    SIM_PASS(jobs_and_waiters, SIM_WAITS, 2000);
    SIM_PASS(jobs_and_waiters, SIM_ALL, 500);
}
static void passes_waits_again_and_again(void) {
    SIM_PASS(waits_again_and_again, SIM_WAITS, 2500);
}
static void passes_freed_by_the_waiter(void) {
    SIM_PASS(freed_by_the_waiter, SIM_WAITS, 4000);
}
static void passes_two_rounds(void) {
    SIM_PASS(two_rounds, SIM_WAITS, 1500);
}
static void passes_cancel_or_zero(void) {
    SIM_PASS(cancel_or_zero, SIM_WAITS, 2000);
}

/* -- planted bugs ------------------------------------------------------------------------------ */

// A latch of one word: the count, and a mark that somebody may sleep.
#define MARK UINT32_C(0x80000000)

static cth__word word;

static void word_done(void) {
    const uint32_t before = cth__sub(&word, 1, release);
    if (planted ? before == (MARK | 1) : (before & ~MARK) == 1) {
        cth__wake_on(NULL, &word); // needs the address only
    }
    if (planted && before == (MARK | 1)) {
        (void)cth__and(&word, ~MARK, relaxed);
    }
}

static void word_wait(void) {
    uint32_t found = cth__load(&word, acquire);
    while ((found & ~MARK) != 0) {
        if ((found & MARK) != 0 || cth__cas(&word, &found, found | MARK, relaxed, relaxed)) {
            cth__wait_on(NULL, &word, found | MARK, CTH_FOREVER);
            found = cth__load(&word, acquire);
        }
    }
}

/* Bug: the last done tidies the word up after it has woken the waiter, who has given the memory
   away. Stands for every object that is touched after its last user was let go. */
static cth_status word_job(void *arg) {
    (void)arg;
    word_done();
    return CTH_OK;
}

static cth_status touches_after_waking(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&word, 2);
    cth_thread *a = sim_spawn(word_job, NULL);
    cth_thread *b = sim_spawn(word_job, NULL);
    word_wait();
    memset((void *)&word, 0xdd, sizeof word);
    sim_join(a);
    sim_join(b);
    sim_untouched((void *)&word, sizeof word);
    return CTH_OK;
}

/* Bug: the mark is set in two steps, and a done in between is undone. */
static cth_status mark_user(void *arg) {
    (void)arg;
    uint32_t found = cth__load(&word, acquire);
    while (found != 0) {
        if (planted) {
            cth__store(&word, found, relaxed);
        }
        cth_yield();
        found = cth__load(&word, acquire);
    }
    return CTH_OK;
}

static cth_status counts_twice(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&word, 1);
    cth_thread *waiter = sim_spawn(mark_user, NULL);
    (void)cth__sub(&word, 1, release);
    sim_join(waiter);
    return CTH_OK;
}

/* Bug: each job counts itself in when it begins, not whoever starts it: a wait may find zero before
   any has begun. The commonest mistake with Go's WaitGroup. */
static cth_status late_job(void *arg) {
    (void)arg;
    if (planted) {
        CTH_SIM_CHECK(cth_latch_add(&latch, 1) == CTH_OK);
    }
    return job(NULL);
}

static cth_status counts_itself_in(void *arg) {
    (void)arg;
    fresh(0);
    if (!planted) {
        CTH_SIM_CHECK(cth_latch_add(&latch, JOBS) == CTH_OK);
    }
    cth_thread *threads[JOBS];
    for (int i = 0; i < JOBS; i++) {
        threads[i] = sim_spawn(late_job, NULL);
    }
    CTH_SIM_CHECK(cth_latch_wait(&latch) == CTH_OK);
    CTH_SIM_CHECK(done == JOBS);
    for (int i = 0; i < JOBS; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

static void finds_touch_after_waking(void) {
    SIM_FOUND(touches_after_waking, 0, "check");
}
static void finds_lost_done(void) {
    SIM_FOUND(counts_twice, 0, "steps");
}
static void finds_job_that_counts_itself_in(void) {
    SIM_FOUND(counts_itself_in, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_jobs_and_waiters),
    TEST(passes_waits_again_and_again),
    TEST(passes_freed_by_the_waiter),
    TEST(passes_two_rounds),
    TEST(passes_cancel_or_zero),
    TEST(finds_touch_after_waking),
    TEST(finds_lost_done),
    TEST(finds_job_that_counts_itself_in),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
