/* sim_cancel.c - cancel tokens under many schedules, and bugs of cancelling that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_cancel token;
static cth_cancel leaf[2];
static cth_event event;
static int data;

static void fresh(void) {
    static const cth_event no_event = CTH_EVENT_INIT;
    event = no_event;
    data = 0;
    sim_begin();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status waits_for_event(void *arg) {
    *(cth_status *)arg = cth_event_wait(&event);
    return CTH_OK;
}

static cth_status requests(void *arg) {
    data++;
    CTH_SIM_CHECK(cth_cancel_request((cth_cancel *)arg, "enough") == CTH_OK);
    return CTH_OK;
}

/* A request and a set race for a waiter: one outcome, and the token says so if it was the request.
 */
static cth_status request_or_wake(void *arg) {
    cth_status outcome = CTH_BROKEN;
    const cth_thread_desc under = {.cancel = &token};
    (void)arg;
    fresh();
    cth_thread *waiter = sim_spawn_with(waits_for_event, &outcome, &under);
    cth_thread *requester = sim_spawn(requests, &token);
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    sim_join(waiter);
    CTH_SIM_CHECK(outcome == CTH_OK || outcome == CTH_CANCELLED);
    if (outcome == CTH_CANCELLED) {
        CTH_SIM_CHECK(data == 1);
        CTH_SIM_CHECK(cth_cancel_status(&token) == CTH_CANCELLED);
        CTH_SIM_CHECK(strcmp(cth_cancel_reason(&token), "enough") == 0);
    }
    sim_join(requester);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    CTH_SIM_CHECK(cth_event_destroy(&event) == CTH_OK);
    return CTH_OK;
}

static cth_status sleeps_for_ever(void *arg) {
    cth_cancel *own = (cth_cancel *)arg;
    CTH_UNDER(own) {
        CTH_SIM_CHECK(cth_sleep_until(CTH_FOREVER) == CTH_CANCELLED);
        CTH_SIM_CHECK(cth_cancel_reason(own) != NULL);
        CTH_SIM_CHECK(cth_sleep(CTH_S(1)) == CTH_CANCELLED);
        CTH_SIM_CHECK(cth_sleep(0) == CTH_OK || cth_cancel_status(NULL) == CTH_CANCELLED);
    }
    return CTH_OK;
}

/* Cancelling the root ends the waits below it, wherever they are; a leaf may go first. */
static cth_status tree(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&leaf[0], &token, CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_init(&leaf[1], &leaf[0], CTH_FOREVER) == CTH_OK);
    threads[0] = sim_spawn(sleeps_for_ever, &token);
    threads[1] = sim_spawn(sleeps_for_ever, &leaf[0]);
    threads[2] = sim_spawn(sleeps_for_ever, &leaf[1]);
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_cancel_request(&leaf[0], "leaf") == CTH_OK);
        CTH_SIM_CHECK(cth_cancel_status(&leaf[1]) == CTH_CANCELLED);
        CTH_SIM_CHECK(cth_cancel_status(&token) == CTH_OK);
    }
    CTH_SIM_CHECK(cth_cancel_request(&token, "root") == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_status(&leaf[1]) == CTH_CANCELLED);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_BUSY);
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(strcmp(cth_cancel_reason(&token), "root") == 0);
    CTH_SIM_CHECK(cth_cancel_destroy(&leaf[1]) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_destroy(&leaf[0]) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

/* A token below another, made, used and destroyed by its thread, at any moment of the request. */
static cth_status own_child(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        cth_cancel *own = (cth_cancel *)malloc(sizeof *own);
        const char *reason = cth_cancel_reason(&token);
        CTH_SIM_CHECK(cth_cancel_init(own, &token, CTH_FOREVER) == CTH_OK);
        CTH_SIM_CHECK(reason == NULL || cth_cancel_reason(own) == reason); // born cancelled
        CTH_UNDER(own) {
            const cth_status status = cth_event_wait_until(&event, sim_soon());
            CTH_SIM_CHECK(status == CTH_TIMEDOUT || status == CTH_CANCELLED);
            CTH_SIM_CHECK(status != CTH_CANCELLED || cth_cancel_status(&token) == CTH_CANCELLED ||
                          cth_cancel_status(own) == CTH_CANCELLED);
        }
        CTH_SIM_CHECK(cth_cancel_destroy(own) == CTH_OK);
        sim_gone(own, sizeof *own);
        for (uint32_t n = cth_sim_choose(4); n > 0; n--) {
            cth_yield();
        }
        sim_untouched(own, sizeof *own);
        free(own);
    }
    return CTH_OK;
}

static cth_status children_come_and_go(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(own_child, NULL);
    cth_thread *b = sim_spawn(own_child, NULL);
    cth_thread *c = sim_spawn(requests, &token);
    sim_join(a);
    sim_join(b);
    sim_join(c);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

/* The cancelled waiter destroys the token it waited under and gives its memory away, while the
   request that woke it is still on its way out. */
static cth_status destroys_its_token(void *arg) {
    cth_cancel *own = (cth_cancel *)arg;
    CTH_UNDER(own) {
        CTH_SIM_CHECK(cth_event_wait(&event) == CTH_CANCELLED);
    }
    CTH_SIM_CHECK(cth_cancel_destroy(own) == CTH_OK);
    sim_gone(own, sizeof *own);
    return CTH_OK;
}

static cth_status destroyed_by_cancelled(void *arg) {
    (void)arg;
    fresh();
    cth_cancel *own = (cth_cancel *)malloc(sizeof *own);
    cth_cancel *parent = cth_sim_choose(2) == 0 ? NULL : &token;
    CTH_SIM_CHECK(cth_cancel_init(own, parent, CTH_FOREVER) == CTH_OK);
    cth_thread *waiter = sim_spawn(destroys_its_token, own);
    cth_thread *requester = sim_spawn(requests, parent != NULL ? parent : own);
    sim_join(waiter);
    sim_join(requester);
    sim_untouched(own, sizeof *own);
    free(own);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

/* destroy while a thread waits under the token changes nothing; afterwards it works. */
static cth_status destroy_or_request(void *arg) {
    cth_status outcome = CTH_BROKEN;
    const cth_thread_desc under = {.cancel = &token};
    (void)arg;
    fresh();
    cth_thread *waiter = sim_spawn_with(waits_for_event, &outcome, &under);
    while (!cth__has_waiters(&token, cth__self_get())) {
        cth_yield();
    }
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_BUSY);
    CTH_SIM_CHECK(cth_cancel_status(&token) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    sim_join(waiter);
    CTH_SIM_CHECK(outcome == CTH_CANCELLED);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static cth_status waits_with_deadline(void *arg) {
    const cth_time deadline = *(cth_time *)arg;
    cth_cancel own;
    CTH_SIM_CHECK(cth_cancel_init(&own, &token, CTH_FOREVER) == CTH_OK);
    CTH_UNDER(&own) {
        const cth_status status = cth_event_wait_until(&event, cth_after(CTH_S(5)));
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED);
        if (status == CTH_CANCELLED) {
            CTH_SIM_CHECK(cth_now() >= deadline);
            CTH_SIM_CHECK(strcmp(cth_cancel_reason(&own), "deadline passed") == 0);
        } else {
            CTH_SIM_CHECK(cth_event_is_set(&event));
        }
    }
    CTH_SIM_CHECK(cth_cancel_destroy(&own) == CTH_OK);
    return CTH_OK;
}

/* A token's deadline, inherited by a child, ends waits by itself, never early. */
static cth_status deadline(void *arg) {
    (void)arg;
    fresh();
    cth_time until = sim_soon();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, until) == CTH_OK);
    cth_thread *a = sim_spawn(waits_with_deadline, &until);
    cth_thread *b = sim_spawn(waits_with_deadline, &until);
    CTH_SIM_CHECK(cth_sleep(CTH_MS(cth_sim_choose(5))) == CTH_OK);
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    }
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static cth_mutex lock;
static cth_sem sem;

static cth_status cleans_up(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_CANCELLED);
    CTH_SHIELDED {
        CTH_SIM_CHECK(cth_cancel_current() == NULL);
        CTH_SIM_CHECK(cth_sem_acquire(&sem) == CTH_OK);
        CTH_SIM_CHECK(cth_sleep(CTH_MS(1)) == CTH_OK);
    }
    CTH_SIM_CHECK(cth_cancel_current() == &token);
    CTH_WITH(&lock) {
        data++;
    } // locks are never cancelled
    CTH_WITH(&sem) {
        data++;
    }
    return CTH_OK;
}

/* Waits in a shielded block, and of locks, go on under a cancelled token. */
static cth_status shielded(void *arg) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    const cth_thread_desc under = {.cancel = &token};
    (void)arg;
    fresh();
    lock = no_mutex;
    CTH_SIM_CHECK(cth_sem_init(&sem, 0, NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    cth_thread *t = sim_spawn_with(cleans_up, NULL, &under);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    cth_yield();
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    sim_join(t);
    CTH_SIM_CHECK(data == 2);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static cth_status first_reason_user(void *arg) {
    CTH_SIM_CHECK(cth_cancel_request(&token, (const char *)arg) == CTH_OK);
    const char *reason = cth_cancel_reason(&token);
    CTH_SIM_CHECK(reason != NULL);
    cth_yield();
    CTH_SIM_CHECK(cth_cancel_reason(&token) == reason); // the first one stays
    return CTH_OK;
}

static cth_status first_reason(void *arg) {
    char one[] = "one";
    char two[] = "two";
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(first_reason_user, one);
    cth_thread *b = sim_spawn(first_reason_user, two);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static void passes_request_or_wake(void) {
    SIM_PASS(request_or_wake, SIM_WAITS, 3000);
    SIM_PASS(request_or_wake, SIM_ALL, 1000);
}
static void passes_tree(void) {
    SIM_PASS(tree, SIM_WAITS, 1500);
}
static void passes_children_come_and_go(void) {
    SIM_PASS(children_come_and_go, SIM_WAITS, 2500);
}
static void passes_destroyed_by_cancelled(void) {
    SIM_PASS(destroyed_by_cancelled, SIM_WAITS, 3000);
}
static void passes_destroy_or_request(void) {
    SIM_PASS(destroy_or_request, SIM_WAITS, 2000);
}
static void passes_deadline(void) {
    SIM_PASS(deadline, SIM_WAITS, 2500);
}
static void passes_shielded(void) {
    SIM_PASS(shielded, SIM_WAITS, 2000);
}
static void passes_first_reason(void) {
    SIM_PASS(first_reason, SIM_WAITS, 2000);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

// A flag that asks to stop, and a word to sleep on.
static cth__word stop, wakes;

/* Bug: the job looks at the flag, then goes to sleep; a request in between wakes nobody. Stands for
   stop flags without a wake-up, or with one that comes too early. */
static cth_status stoppable(void *arg) {
    (void)arg;
    for (;;) {
        const uint32_t seen = cth__load(&wakes, acquire);
        if (cth__load(&stop, acquire) != 0) {
            return CTH_OK;
        }
        cth__wait_on(NULL, &wakes, planted ? cth__load(&wakes, acquire) : seen, CTH_FOREVER);
    }
}

static cth_status request_before_sleep(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&stop, 0);
    atomic_init(&wakes, 0);
    cth_thread *t = sim_spawn(stoppable, NULL);
    cth__store(&stop, 1, release);
    (void)cth__add(&wakes, 1, release);
    cth__wake_on(NULL, &wakes);
    sim_join(t);
    return CTH_OK;
}

/* Bug: whether a job was cancelled is decided by looking at its state and changing it in two steps:
   it runs although the canceller was told that it will not. Stands for cancel racing with start. */
enum { QUEUED, STARTED, CANCELLED };
static cth__word job;

static cth_status job_runner(void *arg) {
    bool *ran = (bool *)arg;
    uint32_t found = QUEUED;
    if (planted ? cth__load(&job, acquire) == QUEUED
                : cth__cas(&job, &found, STARTED, acq_rel, acquire)) {
        cth__store(&job, STARTED, relaxed);
        *ran = true;
    }
    return CTH_OK;
}

static cth_status cancelled_job_runs(void *arg) {
    bool ran = false;
    uint32_t found = QUEUED;
    (void)arg;
    sim_begin();
    atomic_init(&job, QUEUED);
    cth_thread *t = sim_spawn(job_runner, &ran);
    const bool cancelled = cth__cas(&job, &found, CANCELLED, acq_rel, acquire);
    sim_join(t);
    CTH_SIM_CHECK(ran != cancelled);
    return CTH_OK;
}

/* Bug: the token lives on the stack of the thread that cancels, which does not wait for those under
   it. Stands for stop tokens that do not outlive what they stop. */
static cth_status under_short_token(void *arg) {
    cth_cancel *own = (cth_cancel *)arg;
    CTH_UNDER(own) {
        CTH_SIM_CHECK(cth_sleep_until(CTH_FOREVER) == CTH_CANCELLED);
    }
    return CTH_OK;
}

static cth_status token_dies_early(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(under_short_token, &token);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    if (!planted) {
        sim_join(t);
    }
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    if (planted) {
        sim_join(t);
    }
    return CTH_OK;
}

static void finds_request_before_sleep(void) {
    SIM_FOUND(request_before_sleep, 0, "deadlock");
}
static void finds_cancelled_job_that_runs(void) {
    SIM_FOUND(cancelled_job_runs, 0, "check");
}
static void finds_token_that_dies_early(void) {
    SIM_FOUND(token_dies_early, 0, "deadlock");
}

static const test_case tests[] = {
    TEST(passes_request_or_wake),
    TEST(passes_tree),
    TEST(passes_children_come_and_go),
    TEST(passes_destroyed_by_cancelled),
    TEST(passes_destroy_or_request),
    TEST(passes_deadline),
    TEST(passes_shielded),
    TEST(passes_first_reason),
    TEST(finds_request_before_sleep),
    TEST(finds_cancelled_job_that_runs),
    TEST(finds_token_that_dies_early),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
