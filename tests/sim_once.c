/* sim_once.c - run-once under many schedules, and bugs of such code that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_once once;
static int runs;     // of the function
static int failing;  // so many of its runs fail
static bool running; // it runs at this moment
static int made;     // what it makes, in two steps
static int failures; // calls that returned the function's failure

static void fresh(void) {
    static const cth_once zero = CTH_ONCE_INIT;
    once = zero;
    runs = failing = made = failures = 0;
    running = false;
    sim_begin();
}

static cth_status make(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(!running && made == 0);
    running = true;
    runs++;
    CTH_SIM_CHECK(!cth_once_is_done(&once));
    cth_yield();
    const bool fails = runs <= failing;
    made = fails ? 0 : 42;
    running = false;
    return fails ? CTH_FAILED : CTH_OK;
}

/* -- scenarios --------------------------------------------------------------------------------- */

static cth_status calls(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_once_call(&once, make, NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_once_is_done(&once) && made == 42 && runs == 1);
    return CTH_OK;
}

/* Whoever gets back finds it made, by one run. */
static cth_status three_callers(void *arg) {
    (void)arg;
    fresh();
    sim_together(calls, NULL, 3);
    CTH_SIM_CHECK(runs == 1);
    return CTH_OK;
}

static cth_status calls_until_made(void *arg) {
    (void)arg;
    for (;;) {
        const cth_status status = cth_once_call(&once, make, NULL);
        if (status == CTH_OK) {
            break;
        }
        CTH_SIM_CHECK(status == CTH_FAILED);
        failures++;
    }
    CTH_SIM_CHECK(cth_once_is_done(&once) && made == 42);
    return CTH_OK;
}

/* One run fails, or two: only their callers hear of it, and in the end it is made, once. */
static cth_status some_runs_fail(void *arg) {
    (void)arg;
    fresh();
    failing = 1 + (int)cth_sim_choose(2);
    sim_together(calls_until_made, NULL, 3);
    CTH_SIM_CHECK(runs == failing + 1 && failures == failing);
    return CTH_OK;
}

static cth_status calls_one_time(void *arg) {
    (void)arg;
    const cth_status status = cth_once_call(&once, make, NULL);
    CTH_SIM_CHECK(status == CTH_OK ? made == 42 : status == CTH_FAILED);
    failures += status == CTH_FAILED;
    return CTH_OK;
}

/* A run fails, and its caller does not come back: one of those who wait runs it. */
static cth_status waiters_run_it(void *arg) {
    (void)arg;
    fresh();
    failing = (int)cth_sim_choose(4);
    sim_together(calls_one_time, NULL, 3);
    CTH_SIM_CHECK(failures == failing);
    CTH_SIM_CHECK(runs == (failing < 3 ? failing + 1 : 3));
    CTH_SIM_CHECK(cth_once_is_done(&once) == (failing < 3));
    return CTH_OK;
}

static cth_status make_slowly(void *arg) {
    cth_yield();
    *(bool *)arg = true;
    return CTH_OK;
}

/* Of two callers the one that finds it run, by the other one, gives the memory away at once, though
   the other one's call may not have returned. */
static cth_status calls_and_frees(void *arg) {
    cth_once *own = (cth_once *)arg;
    bool mine = false;
    CTH_SIM_CHECK(cth_once_call(own, make_slowly, &mine) == CTH_OK);
    if (!mine) {
        sim_gone(own, sizeof *own);
    }
    runs += mine;
    return CTH_OK;
}

static cth_status freed_by_the_other(void *arg) {
    (void)arg;
    fresh();
    cth_once *own = (cth_once *)calloc(1, sizeof *own);
    sim_together(calls_and_frees, own, 2);
    CTH_SIM_CHECK(runs == 1);
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

static cth_status calls_itself(void *arg) {
    (void)arg;
    runs++;
    CTH_SIM_CHECK(cth_once_call(&once, calls_itself, NULL) == CTH_DEADLOCK);
    cth_yield();
    CTH_SIM_CHECK(cth_once_call(&once, make, NULL) == CTH_DEADLOCK);
    return CTH_OK;
}

static cth_status calls_one_that_calls(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_once_call(&once, calls_itself, NULL) == CTH_OK);
    return CTH_OK;
}

/* A call from within is refused, and those who wait do not notice. */
static cth_status from_within(void *arg) {
    (void)arg;
    fresh();
    sim_together(calls_one_that_calls, NULL, 3);
    CTH_SIM_CHECK(runs == 1);
    return CTH_OK;
}

static cth_status calls_under(void *arg) {
    CTH_UNDER((cth_cancel *)arg) {
        CTH_SIM_CHECK(cth_once_call(&once, make, NULL) == CTH_OK);
    }
    return CTH_OK;
}

/* It is never cancelled: a caller under a cancelled token waits for it all the same. */
static cth_status not_cancelled(void *arg) {
    static const cth_cancel live = CTH_CANCEL_INIT;
    static cth_cancel token;
    (void)arg;
    fresh();
    token = live;
    cth_thread *threads[] = {sim_spawn(calls_under, &token), sim_spawn(calls_under, &token)};
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    sim_join(threads[0]);
    sim_join(threads[1]);
    CTH_SIM_CHECK(runs == 1 && made == 42);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static void passes_three_callers(void) {
    SIM_PASS(three_callers, SIM_WAITS, 3000);
    SIM_PASS(three_callers, SIM_ALL, 500);
}
static void passes_some_runs_fail(void) {
    SIM_PASS(some_runs_fail, SIM_WAITS, 3000);
}
static void passes_waiters_run_it(void) {
    SIM_PASS(waiters_run_it, SIM_WAITS, 3000);
}
static void passes_freed_by_the_other(void) {
    SIM_PASS(freed_by_the_other, SIM_WAITS, 2500);
}
static void passes_from_within(void) {
    SIM_PASS(from_within, SIM_WAITS, 1000);
}
static void passes_not_cancelled(void) {
    SIM_PASS(not_cancelled, SIM_WAITS, 1500);
}

/* -- planted bugs ------------------------------------------------------------------------------ */

// A once of one word: 0 not run, 1 it runs, 2 it runs and somebody may sleep, 3 done.
static cth__word word;

static cth_status word_call(bool wakes, bool retries) {
    uint32_t found = 0;
    for (;;) {
        if (cth__cas(&word, &found, 1, acquire, acquire)) {
            const cth_status status = make(NULL);
            const uint32_t end = status == CTH_OK ? 3 : 0;
            const uint32_t before = wakes ? cth__swap(&word, end, release) : 1;
            if (!wakes) {
                cth__store(&word, end, release);
            }
            if (before == 2) {
                cth__wake_on(NULL, &word);
            }
            return status;
        }
        if (found == 3) {
            return CTH_OK;
        }
        if (found == 2 || cth__cas(&word, &found, 2, acquire, acquire)) {
            cth__wait_on(NULL, &word, 2, CTH_FOREVER);
            if (!retries) {
                return CTH_OK;
            }
        }
        found = 0;
    }
}

/* Bug: the end is stored, but those who sleep are not woken: the store overwrites the mark that
   says there are any. Stands for lost wake-ups in lazy initialisation. */
static cth_status word_caller(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(word_call(!planted, true) == CTH_OK);
    CTH_SIM_CHECK(made == 42);
    return CTH_OK;
}

static cth_status done_without_waking(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&word, 0);
    sim_together(word_caller, NULL, 3);
    return CTH_OK;
}

/* Bug: a waiter that was woken takes it for made, though the run has failed. */
static cth_status trusting_caller(void *arg) {
    (void)arg;
    if (word_call(true, !planted) == CTH_OK) {
        CTH_SIM_CHECK(made == 42);
    }
    return CTH_OK;
}

static cth_status woken_means_made(void *arg) {
    (void)arg;
    fresh();
    failing = 1;
    atomic_init(&word, 0);
    sim_together(trusting_caller, NULL, 2);
    return CTH_OK;
}

/* Bug: only a run that succeeds wakes those who sleep; after one that fails they sleep on, though
   nobody runs it. */
static cth_status forgetful_caller(void *arg) {
    (void)arg;
    const bool was_failing = runs < failing;
    (void)word_call(!(planted && was_failing), true);
    return CTH_OK;
}

static cth_status failed_run_forgets(void *arg) {
    (void)arg;
    fresh();
    failing = 1;
    atomic_init(&word, 0);
    sim_together(forgetful_caller, NULL, 2);
    return CTH_OK;
}

static void finds_done_without_waking(void) {
    SIM_FOUND(done_without_waking, 0, "deadlock");
}
static void finds_trust_in_waking(void) {
    SIM_FOUND(woken_means_made, 0, "check");
}
static void finds_forgetful_failure(void) {
    SIM_FOUND(failed_run_forgets, 0, "deadlock");
}

static const test_case tests[] = {
    TEST(passes_three_callers),      TEST(passes_some_runs_fail), TEST(passes_waiters_run_it),
    TEST(passes_freed_by_the_other), TEST(passes_from_within),    TEST(passes_not_cancelled),
    TEST(finds_done_without_waking), TEST(finds_trust_in_waking), TEST(finds_forgetful_failure),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
