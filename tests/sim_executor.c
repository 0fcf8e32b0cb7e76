/* sim_executor.c - executors and futures under many schedules, and bugs that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

enum { MOST = 4 };

static cth_executor *pool;
static cth_future *futures[MOST];
static cth_event event;
static int data[MOST]; // each written by one task, which reports it with its end
static int runs;       // how many tasks ran; under `lock`
static cth_mutex lock;

static void fresh(uint32_t workers) {
    static const cth_event unset = CTH_EVENT_INIT;
    static const cth_mutex open = CTH_MUTEX_INIT;
    event = unset;
    lock = open;
    runs = 0;
    memset(data, 0, sizeof data);
    memset(futures, 0, sizeof futures);
    sim_begin();
    cth_status status;
    while ((status = cth_executor_create(&pool, &(cth_executor_desc){.workers = workers})) !=
           CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
}

static cth_future *submit(cth_task_fn fn, const void *arg, size_t size) {
    cth_future *future = NULL;
    cth_status status;
    while ((status = cth_submit(pool, &future, fn, arg, size, sizeof(int))) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM || status == CTH_AGAIN);
        CTH_SIM_CHECK(future == NULL);
    }
    return future;
}

/* The threads end by themselves, and what is left is freed: the simulator reports leaks. */
static void end(void) {
    while (cth_thread_count() > 1) {
        cth_yield();
    }
}

static void shut(cth_shutdown how) {
    CTH_SIM_CHECK(cth_executor_shutdown(pool, how) == CTH_OK);
    cth_executor_release(pool);
    end();
}

static cth_status writes(void *arg, void *result) {
    const int i = *(const int *)arg;
    CTH_SIM_WRITE(data[i]);
    data[i] = i + 1;
    *(int *)result = i + 10;
    CTH_WITH(&lock) {
        runs++;
    }
    return CTH_OK;
}

/* The result, and what the task wrote, are there; the task ran once. */
static void expect(cth_future *future, int i) {
    int got = -1;
    CTH_SIM_CHECK(cth_future_result(future, &got) == CTH_OK);
    CTH_SIM_CHECK(got == i + 10 && cth_future_is_done(future));
    CTH_SIM_READ(data[i]);
    CTH_SIM_CHECK(data[i] == i + 1);
}

static cth_status results(void *arg) {
    const uint32_t workers = 1 + cth_sim_choose(2);
    (void)arg;
    fresh(workers);
    for (int i = 0; i < 3; i++) {
        futures[i] = submit(writes, &i, sizeof i);
    }
    cth_status status;
    while ((status = cth_submit(pool, NULL, writes, &(int){3}, sizeof(int), sizeof(int))) !=
           CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM || status == CTH_AGAIN);
    }
    for (int i = 2; i >= 0; i--) {
        expect(futures[i], i);
        cth_future_release(futures[i]);
    }
    shut(CTH_DRAIN);
    CTH_SIM_CHECK(runs == 4);
    return CTH_OK;
}

/* -- a future that several threads wait for, and release, while it is cancelled -------------------
 */

static cth_status waits_and_releases(void *arg) {
    cth_future *future = (cth_future *)arg;
    const cth_status status = cth_future_result(future, NULL);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED);
    CTH_SIM_CHECK(status == CTH_CANCELLED || data[0] == 1);
    cth_future_release(future);
    return CTH_OK;
}

static cth_status cancels_and_releases(void *arg) {
    cth_future *future = (cth_future *)arg;
    const cth_status status = cth_future_cancel(future);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_BUSY);
    if (status == CTH_OK) {
        CTH_SIM_CHECK(cth_future_result(future, NULL) == CTH_CANCELLED);
    }
    cth_future_release(future);
    return CTH_OK;
}

static cth_status cancelled(void *arg) {
    (void)arg;
    fresh(1);
    cth_future *future = submit(writes, &(int){0}, sizeof(int));
    cth_thread *waiter = sim_spawn(waits_and_releases, cth_future_retain(future));
    cth_thread *canceller = sim_spawn(cancels_and_releases, future);
    sim_join(waiter);
    sim_join(canceller);
    CTH_SIM_CHECK(runs <= 1);
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* -- timeouts ------------------------------------------------------------------------------------
 */

static cth_status timeouts(void *arg) {
    (void)arg;
    fresh(1);
    cth_future *future = submit(writes, &(int){1}, sizeof(int));
    const cth_status status = cth_future_result_until(future, NULL, sim_soon());
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    CTH_SIM_CHECK(status == CTH_TIMEDOUT || cth_future_is_done(future));
    expect(future, 1);
    cth_future_release(future);
    const cth_status ended = cth_executor_shutdown_until(pool, CTH_DRAIN, sim_soon());
    CTH_SIM_CHECK(ended == CTH_OK || ended == CTH_TIMEDOUT);
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* -- shutdown ------------------------------------------------------------------------------------
 */

static cth_status submits_until_shut(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cth_status status = cth_submit(pool, &futures[i], writes, &i, sizeof i, sizeof(int));
        if (status != CTH_OK) {
            CTH_SIM_CHECK(status == CTH_SHUTDOWN || status == CTH_NOMEM || status == CTH_AGAIN);
            CTH_SIM_CHECK(futures[i] == NULL);
        }
    }
    return CTH_OK;
}

static cth_status shut_while_used(void *arg) {
    const cth_shutdown how = cth_sim_choose(2) == 0 ? CTH_DRAIN : CTH_NOW;
    (void)arg;
    fresh(2);
    cth_thread *submitter = sim_spawn(submits_until_shut, NULL);
    CTH_SIM_CHECK(cth_executor_shutdown(pool, how) == CTH_OK);
    const int before = runs;
    sim_join(submitter);
    int done = 0;
    for (int i = 0; i < 3; i++) {
        if (futures[i] != NULL) {
            const cth_status status = cth_future_try_result(futures[i], NULL); // it has ended
            CTH_SIM_CHECK(status == CTH_OK || (how == CTH_NOW && status == CTH_SHUTDOWN));
            done += status == CTH_OK;
        }
    }
    CTH_SIM_CHECK(done == before && runs == before);
    cth_executor_release(pool); // the futures keep it
    for (int i = 0; i < 3; i++) {
        cth_future_release(futures[i]);
    }
    end();
    return CTH_OK;
}

/* A task that runs in a thread which asked for its result is waited for as well. */
static cth_status shut_while_helped(void *arg) {
    (void)arg;
    fresh(1);
    cth_future *future = submit(writes, &(int){0}, sizeof(int));
    cth_thread *helper = sim_spawn(waits_and_releases, cth_future_retain(future));
    CTH_SIM_CHECK(cth_executor_shutdown(pool, CTH_DRAIN) == CTH_OK);
    CTH_SIM_CHECK(cth_future_is_done(future) && runs == 1);
    cth_executor_release(pool);
    cth_future_release(future);
    sim_join(helper);
    end();
    return CTH_OK;
}

static cth_status just_released(void *arg) {
    (void)arg;
    fresh(2);
    for (int i = 0; i < 2; i++) {
        futures[i] = submit(writes, &i, sizeof i);
    }
    cth_executor_release(pool);
    cth_future_release(futures[0]);
    expect(futures[1], 1);
    cth_future_release(futures[1]);
    end();
    CTH_SIM_CHECK(runs == 2);
    return CTH_OK;
}

/* -- tasks that wait for tasks -------------------------------------------------------------------
 */

static cth_status nests(void *arg, void *result) {
    const int level = *(const int *)arg;
    *(int *)result = 1;
    if (level > 0) {
        int below = 0;
        cth_future *future = submit(nests, &(int){level - 1}, sizeof(int));
        if (planted) { // a wait that does not run what it waits for
            CTH_SIM_CHECK(cth_event_wait(cth_future_event(future)) == CTH_OK);
        }
        CTH_SIM_CHECK(cth_future_result(future, &below) == CTH_OK);
        cth_future_release(future);
        *(int *)result += below;
    }
    return CTH_OK;
}

static cth_status nested(void *arg) {
    int levels = 0;
    (void)arg;
    fresh(1);
    cth_future *future = submit(nests, &(int){3}, sizeof(int));
    CTH_SIM_CHECK(cth_future_result(future, &levels) == CTH_OK);
    CTH_SIM_CHECK(levels == 4);
    cth_future_release(future);
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* Two tasks that need each other, none of which is run by who waits: they need both workers. */
static cth_status waits_for_event(void *arg, void *result) {
    (void)arg;
    *(int *)result = 0;
    return cth_event_wait(&event);
}

static cth_status sets_event(void *arg, void *result) {
    (void)arg;
    *(int *)result = 0;
    return cth_event_set(&event);
}

static cth_status on_demand(void *arg) {
    (void)arg;
    fresh(2);
    if (cth_sim_choose(2) == 1) { // with a worker that is idle, or about to be
        futures[0] = submit(writes, &(int){0}, sizeof(int));
        CTH_SIM_CHECK(cth_event_wait(cth_future_event(futures[0])) == CTH_OK);
        cth_future_release(futures[0]);
    }
    futures[0] = submit(waits_for_event, NULL, 0);
    futures[1] = submit(sets_event, NULL, 0);
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_event_wait(cth_future_event(futures[i])) == CTH_OK);
        CTH_SIM_CHECK(cth_future_result(futures[i], NULL) == CTH_OK);
        cth_future_release(futures[i]);
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

static cth_status shuts_down(void *arg, void *result) {
    (void)arg;
    *(int *)result = 0;
    return cth_executor_shutdown(pool, CTH_DRAIN);
}

static cth_status shut_by_a_task(void *arg) {
    (void)arg;
    fresh(1);
    futures[0] = submit(shuts_down, NULL, 0);
    CTH_SIM_CHECK(cth_event_wait(cth_future_event(futures[0])) == CTH_OK);
    cth_future_release(futures[0]);
    shut(CTH_NOW);
    return CTH_OK;
}

/* -- map -----------------------------------------------------------------------------------------
 */

static cth_status adds_ten(void *arg, void *result) {
    const int n = *(const int *)arg;
    CTH_SIM_WRITE(*(int *)result);
    *(int *)result = n + 10;
    return CTH_OK;
}

static cth_status fails_from_two(void *arg, void *result) {
    const int n = *(const int *)arg;
    (void)result;
    return n >= 2 ? cth_fail(CTH_FAILED, "no %d", n) : CTH_OK;
}

static cth_status mapped(void *arg) {
    int args[MOST] = {0, 1, 2, 3}, got[MOST] = {0};
    (void)arg;
    fresh(1 + cth_sim_choose(2));
    CTH_SIM_CHECK(cth_map(pool, adds_ten, args, sizeof(int), got, sizeof(int), MOST) == CTH_OK);
    for (int i = 0; i < MOST; i++) {
        CTH_SIM_READ(got[i]);
        CTH_SIM_CHECK(got[i] == i + 10);
    }
    CTH_SIM_CHECK(cth_map(pool, fails_from_two, args, sizeof(int), NULL, 0, MOST) == CTH_FAILED);
    CTH_SIM_CHECK(strcmp(cth_error_text(), "no 2") == 0);
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* -- callbacks -----------------------------------------------------------------------------------
 */

static int called[2]; // under `lock`

static void counts_call(cth_future *future, void *arg) {
    CTH_SIM_CHECK(cth_future_is_done(future));
    if (cth_future_try_result(future, NULL) == CTH_OK) {
        CTH_SIM_READ(data[0]);
    }
    CTH_WITH(&lock) {
        called[*(const int *)arg]++;
    }
    cth_future_release(future); // each has a reference
}

static cth_status adds_callback(void *arg) {
    static const int which[2] = {0, 1};
    cth_future *future = (cth_future *)arg;
    cth_status status;
    while ((status = cth_future_add_done_callback(future, counts_call, (void *)(uintptr_t)which)) !=
           CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
    return CTH_OK;
}

static cth_status callbacks(void *arg) {
    static const int which = 1;
    (void)arg;
    fresh(1);
    memset(called, 0, sizeof called);
    cth_future *future = submit(writes, &(int){0}, sizeof(int));
    cth_thread *adder = sim_spawn(adds_callback, cth_future_retain(future));
    if (cth_sim_choose(2) == 0) {
        const cth_status status = cth_future_cancel(future);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_BUSY);
    }
    cth_status status;
    while ((status = cth_future_add_done_callback(future, counts_call,
                                                  (void *)(uintptr_t)&which)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
    sim_join(adder);
    shut(CTH_DRAIN); // waits for callbacks as well
    CTH_SIM_CHECK(called[0] == 1 && called[1] == 1);
    return CTH_OK;
}

/* -- tasks after tasks ---------------------------------------------------------------------------
 */

static cth_status adds_one(void *arg, void *result) {
    *(int *)result = *(const int *)arg + 1;
    CTH_WITH(&lock) {
        runs++;
    }
    return CTH_OK;
}

static cth_status cancels_second(void *arg) {
    (void)arg;
    const cth_status status = cth_future_cancel(futures[1]);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_BUSY);
    return CTH_OK;
}

static cth_status waits_for_third(void *arg) {
    int got = -1;
    (void)arg;
    const cth_status status = cth_future_result(futures[2], &got);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED || status == CTH_SHUTDOWN);
    CTH_SIM_CHECK(status != CTH_OK || got == 12);
    return CTH_OK;
}

/* A chain of three is cancelled in its middle, shut down, waited for: each ends once, in a way that
   fits those before it. */
static cth_status chained(void *arg) {
    const uint32_t how = cth_sim_choose(4);
    cth_thread *canceller = NULL;
    (void)arg;
    fresh(1 + cth_sim_choose(2));
    futures[0] = submit(writes, &(int){0}, sizeof(int));
    for (int i = 1; i < 3; i++) {
        cth_status status;
        while ((status = cth_future_then(futures[i - 1], &futures[i], adds_one, sizeof(int))) !=
               CTH_OK) {
            CTH_SIM_CHECK(status == CTH_NOMEM || status == CTH_AGAIN);
        }
    }
    cth_thread *waiter = sim_spawn(waits_for_third, NULL);
    if (how == 1) {
        canceller = sim_spawn(cancels_second, NULL);
    }
    if (how >= 2) {
        CTH_SIM_CHECK(cth_executor_shutdown(pool, how == 2 ? CTH_DRAIN : CTH_NOW) == CTH_OK);
    }
    sim_join(waiter);
    if (canceller != NULL) {
        sim_join(canceller);
    }
    cth_status status[3];
    CTH_SIM_CHECK(cth_future_wait(futures, 3, CTH_ALL_DONE) == CTH_OK);
    for (int i = 0; i < 3; i++) {
        status[i] = cth_future_try_result(futures[i], NULL);
        CTH_SIM_CHECK(i == 0 || status[i - 1] == CTH_OK || status[i] == status[i - 1]);
        CTH_SIM_CHECK(how != 0 || status[i] == CTH_OK);
        CTH_SIM_CHECK(how != 2 || status[i] == CTH_OK);
    }
    CTH_SIM_CHECK(runs == (status[0] == CTH_OK) + (status[1] == CTH_OK) + (status[2] == CTH_OK));
    cth_executor_counts c;
    CTH_SIM_CHECK(cth_executor_count(pool, &c) == CTH_OK);
    CTH_SIM_CHECK(c.submitted == 3 && c.waiting == 0 && c.queued == 0);
    for (int i = 0; i < 3; i++) {
        cth_future_release(futures[i]);
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* -- the first of several ------------------------------------------------------------------------
 */

static cth_status as_completed(void *arg) {
    size_t done = 0;
    int sum = 0;
    const bool deadline = cth_sim_choose(2) == 0;
    (void)arg;
    fresh(2);
    for (int i = 0; i < 3; i++) {
        futures[i] = submit(writes, &i, sizeof i);
    }
    cth_thread *waiter = sim_spawn(waits_and_releases, cth_future_retain(futures[0]));
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_future_wait(futures, 3, CTH_FIRST_DONE) == CTH_OK);
        CTH_SIM_CHECK(cth_future_is_done(futures[0]) || cth_future_is_done(futures[1]) ||
                      cth_future_is_done(futures[2]));
        CTH_SIM_CHECK(cth_future_wait(futures, 3, CTH_FIRST_ERROR) == CTH_OK);
        CTH_SIM_CHECK(cth_future_is_done(futures[2]));
    }
    for (;;) {
        const cth_status status =
            cth_future_next_done_until(futures, 3, &done, deadline ? sim_soon() : CTH_FOREVER);
        if (status == CTH_EMPTY) {
            break;
        }
        CTH_SIM_CHECK(status == CTH_OK || (deadline && status == CTH_TIMEDOUT));
        if (status == CTH_OK) {
            int got = 0;
            CTH_SIM_CHECK(cth_future_try_result(futures[done - 1], &got) == CTH_OK);
            CTH_SIM_READ(data[got - 10]);
            sum += got;
        }
    }
    CTH_SIM_CHECK(done == 3 && sum == 33);
    sim_join(waiter);
    for (int i = 0; i < 3; i++) {
        cth_future_release(futures[i]);
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* -- a bounded queue -----------------------------------------------------------------------------
 */

static void fresh_bounded(uint32_t workers, cth_status (*on_start)(void *arg)) {
    fresh(workers);
    cth_executor_release(pool);
    cth_status status;
    const cth_executor_desc desc = {.workers = workers, .capacity = 1, .on_start = on_start};
    while ((status = cth_executor_create(&pool, &desc)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
}

static cth_status submits_two(void *arg) {
    const int first = *(const int *)arg;
    for (int i = first; i < first + 2; i++) {
        cth_status status = CTH_NOMEM;
        while (status == CTH_NOMEM || status == CTH_AGAIN || status == CTH_TIMEDOUT) {
            status = cth_submit_until(pool, &futures[i], writes, &i, sizeof i, sizeof(int),
                                      i % 2 == 0 ? CTH_FOREVER : sim_soon());
        }
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_SHUTDOWN || status == CTH_BROKEN);
        CTH_SIM_CHECK((status == CTH_OK) == (futures[i] != NULL));
    }
    return CTH_OK;
}

static cth_status bounded(void *arg) {
    const uint32_t how = cth_sim_choose(3); // 2: no shutdown meanwhile
    static const int from[2] = {0, 2};
    (void)arg;
    fresh_bounded(1 + cth_sim_choose(2), NULL);
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        threads[i] = sim_spawn(submits_two, (void *)(uintptr_t)&from[i]);
    }
    if (how < 2) {
        CTH_SIM_CHECK(cth_executor_shutdown(pool, how == 0 ? CTH_DRAIN : CTH_NOW) == CTH_OK);
    }
    sim_join(threads[0]);
    sim_join(threads[1]);
    CTH_SIM_CHECK(cth_executor_shutdown(pool, CTH_DRAIN) == CTH_OK);
    cth_executor_counts c;
    CTH_SIM_CHECK(cth_executor_count(pool, &c) == CTH_OK);
    int given = 0;
    for (int i = 0; i < MOST; i++) {
        if (futures[i] != NULL) {
            const cth_status status = cth_future_try_result(futures[i], NULL);
            CTH_SIM_CHECK(status == CTH_OK || (how == 1 && status == CTH_SHUTDOWN));
            given++;
            cth_future_release(futures[i]);
        }
    }
    CTH_SIM_CHECK(how != 2 || given == MOST);
    CTH_SIM_CHECK(c.submitted == (uint64_t)given && c.completed == (uint64_t)runs);
    CTH_SIM_CHECK(c.peak_queued <= 1);
    cth_executor_release(pool);
    end();
    return CTH_OK;
}

static cth_status starts_or_not(void *arg) {
    (void)arg;
    return cth_sim_choose(2) == 0 ? CTH_OK : cth_fail(CTH_FAILED, "no luck");
}

/* Workers fail to get ready while tasks come: each task ends, run or not. */
static cth_status broken(void *arg) {
    static const int from = 0;
    (void)arg;
    fresh_bounded(2, starts_or_not);
    cth_thread *thread = sim_spawn(submits_two, (void *)(uintptr_t)&from);
    cth_status status;
    do {
        status = cth_submit(pool, &futures[2], writes, &(int){2}, sizeof(int), sizeof(int));
    } while (status == CTH_NOMEM || status == CTH_AGAIN);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_BROKEN);
    sim_join(thread);
    int done = 0;
    for (int i = 0; i < 3; i++) {
        if (futures[i] != NULL) {
            status = cth_future_result(futures[i], NULL);
            CTH_SIM_CHECK(status == CTH_OK || status == CTH_BROKEN);
            done += status == CTH_OK;
            cth_future_release(futures[i]);
        }
    }
    shut(CTH_DRAIN);
    CTH_SIM_CHECK(done == runs);
    return CTH_OK;
}

#define SCENARIO(fn, faults)      \
  static void passes_##fn(void) { \
    SIM_PASS(fn, 0, 1000);        \
    SIM_PASS(fn, faults, 1000);   \
  }
SCENARIO(results, SIM_ALL)
SCENARIO(cancelled, SIM_ALL)
SCENARIO(timeouts, SIM_ALL)
SCENARIO(shut_while_used, SIM_ALL)
SCENARIO(shut_while_helped, SIM_ALL)
SCENARIO(just_released, SIM_ALL)
SCENARIO(nested, SIM_ALL)
SCENARIO(on_demand, SIM_WAITS)
SCENARIO(shut_by_a_task, SIM_ALL)
SCENARIO(mapped, SIM_ALL)
SCENARIO(callbacks, SIM_ALL)
SCENARIO(chained, SIM_ALL)
SCENARIO(as_completed, SIM_ALL)
SCENARIO(bounded, SIM_ALL)
SCENARIO(broken, SIM_ALL)

static cth_status cancelled_at_once(void *arg) {
    (void)arg;
    fresh(1);
    cth_future *future = submit(writes, &(int){0}, sizeof(int));
    const cth_status status = cth_future_cancel(future);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_BUSY);
    CTH_SIM_CHECK(cth_future_result(future, NULL) == (status == CTH_OK ? CTH_CANCELLED : CTH_OK));
    cth_future_release(future);
    CTH_SIM_CHECK(cth_executor_shutdown(pool, CTH_DRAIN) == CTH_OK);
    cth_executor_release(pool);
    cth_sim_explore(false);
    end();
    cth_sim_explore(true);
    return CTH_OK;
}

static void complete(void) {
    SIM_COMPLETE(cancelled_at_once, 0);
}

static void finds_wait_that_does_not_help(void) {
    SIM_FOUND(nested, 0, "deadlock");
}

static const test_case tests[] = {
    TEST(passes_results),
    TEST(passes_cancelled),
    TEST(passes_timeouts),
    TEST(passes_shut_while_used),
    TEST(passes_shut_while_helped),
    TEST(passes_just_released),
    TEST(passes_nested),
    TEST(passes_on_demand),
    TEST(passes_shut_by_a_task),
    TEST(passes_mapped),
    TEST(passes_callbacks),
    TEST(passes_chained),
    TEST(passes_as_completed),
    TEST(passes_bounded),
    TEST(passes_broken),
    TEST(complete),
    TEST(finds_wait_that_does_not_help),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
