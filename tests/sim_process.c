/* sim_process.c - the parent's side of executors of processes under many schedules, with workers
   that answer, die at each step, stall, and send nonsense

   A simulated worker runs its tasks in the thread that asks it, so `runs` counts them.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

#define SIM_DEATHS (SIM_ALL | CTH_SIM_PROCESSES)

enum { MOST = 4 };

static cth_executor *pool;
static cth_future *futures[MOST];
static int runs[MOST]; // how often each task was run; one worker at a time has it
static int inits;
static bool faults; // whether something may go wrong in this run

static void fresh(const cth_process_desc *desc) {
    memset(runs, 0, sizeof runs);
    memset(futures, 0, sizeof futures);
    inits = 0;
    sim_begin();
    cth_status status;
    while ((status = cth_process_executor_create(&pool, desc)) != CTH_OK) {
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

static void end(void) {
    cth_executor_release(pool);
    while (cth_thread_count() > 1) {
        cth_yield();
    }
}

static void shut(cth_shutdown how) {
    CTH_SIM_CHECK(cth_executor_shutdown(pool, how) == CTH_OK);
    end();
}

static cth_status adds_ten(void *arg, void *result) {
    const int i = *(const int *)arg;
    CTH_SIM_WRITE(runs[i]);
    runs[i]++;
    CTH_SIM_CHECK(*(int *)result == 0);
    *(int *)result = i + 10;
    return CTH_OK;
}

static cth_status fails(void *arg, void *result) {
    (void)arg;
    (void)result;
    return cth_fail(CTH_EMPTY, "no luck");
}

/* What the task with number `i` may have ended with: its result, having run once, or the loss of
   its worker. Never is it run twice. */
static cth_status expect(cth_future *future, int i) {
    int got = -1;
    const cth_status status = cth_future_result(future, &got);
    CTH_SIM_READ(runs[i]);
    CTH_SIM_CHECK(runs[i] <= 1);
    if (status == CTH_OK) {
        CTH_SIM_CHECK(runs[i] == 1 && got == i + 10);
        CTH_SIM_CHECK(strcmp(cth_future_error(future), "") == 0);
    } else {
        CTH_SIM_CHECK(faults && got == -1);
        CTH_SIM_CHECK(strcmp(cth_future_error(future), "") != 0);
        // It fails before it is begun only for want of something, or of workers that live.
        CTH_SIM_CHECK(status == CTH_BROKEN || status == CTH_NOMEM || status == CTH_AGAIN ||
                      status == CTH_TIMEDOUT || status == CTH_SHUTDOWN);
        CTH_SIM_CHECK(planted || status != CTH_TIMEDOUT ||
                      strstr(cth_future_error(future), "timeout") != NULL);
    }
    cth_future_release(future);
    return status;
}

static cth_status results(void *arg) {
    (void)arg;
    fresh(&(cth_process_desc){.workers = 1 + cth_sim_choose(2), .max_tasks = cth_sim_choose(2)});
    for (int i = 0; i < 3; i++) {
        futures[i] = submit(adds_ten, &i, sizeof i);
    }
    for (int i = 2; i >= 0; i--) {
        const cth_status status = expect(futures[i], i);
        CTH_SIM_CHECK(status != CTH_TIMEDOUT && status != CTH_SHUTDOWN);
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* A worker that dies before it has begun a task does not break it: so if processes may die, but
   threads and memory are there, a task that has not run is one for which many workers died. */
static cth_status not_begun(void *arg) {
    (void)arg;
    fresh(&(cth_process_desc){.workers = 1});
    for (int i = 0; i < 2; i++) {
        const cth_status status = expect(submit(adds_ten, &i, sizeof i), i);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_BROKEN);
        if (planted) {
            CTH_SIM_CHECK(status == CTH_OK); // the simulator does find workers that die
        }
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

static cth_status timeouts(void *arg) {
    (void)arg;
    fresh(&(cth_process_desc){.workers = 2, .timeout = CTH_MS(5)});
    for (int i = 0; i < 3; i++) {
        futures[i] = submit(adds_ten, &i, sizeof i);
    }
    for (int i = 0; i < 3; i++) {
        const cth_time before = cth_now();
        const cth_status status = expect(futures[i], i);
        if (planted && i == 0) {
            CTH_SIM_CHECK(status != CTH_TIMEDOUT); // and such that stall
        }
        CTH_SIM_CHECK(cth_now() - before < CTH_S(1)); // a stalled one is not waited for
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

static bool has_dead(void) {
    bool dead = false;
    for (cth__child *child = ((cth__processes *)(void *)pool->runner)->first; child != NULL;
         child = child->next) {
        dead = dead || cth__sim_child_over(&child->os);
    }
    return dead;
}

/* Workers that have nothing to do for long: what dies then is buried, and costs no task. */
static cth_status idle(void *arg) {
    (void)arg;
    fresh(&(cth_process_desc){.workers = 2});
    for (int i = 0; i < 4; i++) {
        const cth_status status = expect(submit(adds_ten, &i, sizeof i), i);
        CTH_SIM_CHECK(faults || status == CTH_OK);
        if (i % 2 == 0) {
            CTH_SIM_CHECK(cth_sleep(CTH_MS(200)) == CTH_OK);
            if (planted && status == CTH_OK) { // the simulator does find such deaths
                CTH_SIM_CHECK(((cth__processes *)(void *)pool->runner)->first != NULL);
            }
            while (has_dead()) { // its thread comes to it
                cth_yield();
            }
        }
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

static cth_status begins(void *arg, void *result) {
    (void)result;
    inits++;
    return inits > *(const int *)arg ? cth_fail(CTH_EMPTY, "no luck") : CTH_OK;
}

static cth_status inited(void *arg) {
    const int good = (int)cth_sim_choose(2) * 100;
    (void)arg;
    fresh(&(cth_process_desc){
        .workers = 1, .init = begins, .init_arg = &good, .init_arg_size = sizeof good});
    for (int i = 0; i < 2; i++) {
        int got = 0;
        cth_future *future = submit(adds_ten, &i, sizeof i);
        const cth_status status = cth_future_result(future, &got);
        CTH_SIM_CHECK(status != CTH_OK || (good != 0 && got == i + 10 && inits > 0));
        CTH_SIM_CHECK(status != CTH_EMPTY || good == 0);
        CTH_SIM_CHECK(faults || status == (good != 0 ? CTH_OK : CTH_EMPTY));
        CTH_SIM_CHECK(status != CTH_EMPTY || strcmp(cth_future_error(future), "no luck") == 0);
        cth_future_release(future);
    }
    CTH_SIM_CHECK(faults || inits == (good != 0 ? 1 : 2));
    shut(CTH_DRAIN);
    return CTH_OK;
}

static cth_status kills(void *arg) {
    (void)arg;
    const cth_status status = cth_sim_choose(2) == 0 ? cth_process_executor_kill(pool)
                                                     : cth_process_executor_terminate(pool);
    CTH_SIM_CHECK(status == CTH_OK);
    return CTH_OK;
}

static cth_status killed(void *arg) {
    (void)arg;
    fresh(&(cth_process_desc){.workers = 2});
    for (int i = 0; i < 3; i++) {
        futures[i] = submit(adds_ten, &i, sizeof i);
    }
    cth_thread *killer = sim_spawn(kills, NULL);
    faults = true;
    for (int i = 0; i < 3; i++) {
        (void)expect(futures[i], i);
    }
    sim_join(killer);
    shut(CTH_NOW);
    return CTH_OK;
}

/* Those that are started in the meantime are killed as well: one that answers late is not waited
   for. */
static cth_status killed_at_once(void *arg) {
    (void)arg;
    fresh(&(cth_process_desc){.workers = 1});
    futures[0] = submit(adds_ten, &(int){0}, sizeof(int));
    const cth_time before = cth_now();
    CTH_SIM_CHECK(cth_process_executor_kill(pool) == CTH_OK);
    CTH_SIM_CHECK(cth_now() - before < CTH_MS(10));
    (void)expect(futures[0], 0);
    end();
    return CTH_OK;
}

static cth_status submits_until_shut(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        const cth_status status =
            cth_submit(pool, &futures[i], adds_ten, &i, sizeof i, sizeof(int));
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_SHUTDOWN || status == CTH_NOMEM ||
                      status == CTH_AGAIN);
    }
    return CTH_OK;
}

static cth_status shut_while_used(void *arg) {
    const cth_shutdown how = cth_sim_choose(2) == 0 ? CTH_DRAIN : CTH_NOW;
    (void)arg;
    fresh(&(cth_process_desc){.workers = 2});
    cth_thread *submitter = sim_spawn(submits_until_shut, NULL);
    faults = faults || how == CTH_NOW;
    CTH_SIM_CHECK(cth_executor_shutdown(pool, how) == CTH_OK);
    CTH_SIM_CHECK(((cth__processes *)(void *)pool->runner)->first == NULL);
    sim_join(submitter);
    for (int i = 0; i < 3; i++) {
        if (futures[i] != NULL) {
            CTH_SIM_CHECK(cth_future_is_done(futures[i]));
            (void)expect(futures[i], i);
        }
    }
    end();
    return CTH_OK;
}

static cth_status fails_from_two(void *arg, void *result) {
    const int n = *(const int *)arg;
    *(int *)result = n + 10;
    return n >= 2 ? cth_fail(CTH_EMPTY, "no %d", n) : CTH_OK;
}

static cth_status mapped(void *arg) {
    int args[40], got[40];
    const size_t n = cth_sim_choose(2) == 0 ? 3 : 40; // one task for each, or for several
    const bool fail = cth_sim_choose(2) == 1;
    (void)arg;
    memset(got, 0, sizeof got);
    for (int i = 0; i < 40; i++) {
        args[i] = i;
    }
    fresh(&(cth_process_desc){.workers = 2});
    const cth_status status =
        cth_map(pool, fails_from_two, args, sizeof(int), got, sizeof(int), fail ? n : 2);
    CTH_SIM_CHECK(faults || status == (fail ? CTH_EMPTY : CTH_OK));
    CTH_SIM_CHECK(status != CTH_EMPTY || strcmp(cth_error_text(), "no 2") == 0);
    for (int i = 0; i < 40; i++) {
        CTH_SIM_CHECK(got[i] == i + 10 || got[i] == 0);
        CTH_SIM_CHECK(i >= 2 || got[i] == i + 10 || (status != CTH_OK && status != CTH_EMPTY));
        CTH_SIM_CHECK(i < 2 || got[i] == 0);
    }
    shut(CTH_DRAIN);
    return CTH_OK;
}

static cth_status cancelled(void *arg) {
    (void)arg;
    fresh(&(cth_process_desc){.workers = 1});
    futures[0] = submit(adds_ten, &(int){0}, sizeof(int));
    futures[1] = submit(fails, NULL, 0);
    const cth_status status = cth_future_cancel(futures[1]);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_BUSY);
    const cth_status got = cth_future_result(futures[1], NULL);
    CTH_SIM_CHECK(status != CTH_OK || got == CTH_CANCELLED);
    CTH_SIM_CHECK(faults || status == CTH_OK || got == CTH_EMPTY);
    cth_future_release(futures[1]);
    (void)expect(futures[0], 0);
    shut(CTH_DRAIN);
    return CTH_OK;
}

/* Arguments and results that go into pieces of memory: none is another task's, or an earlier one's,
   and what was kept for the next tasks is bounded. */
typedef struct large {
    int i;
    unsigned char bytes[400];
} large;

static cth_status turns(void *arg, void *result) {
    const large *from = (const large *)arg;
    large *to = (large *)result;
    to->i = from->i + 10;
    for (size_t i = 0; i < sizeof to->bytes; i++) {
        CTH_SIM_CHECK(from->bytes[i] == (unsigned char)(from->i + (int)i) && to->bytes[i] == 0);
        to->bytes[i] = (unsigned char)~from->bytes[i];
    }
    return CTH_OK;
}

static cth_future *submit_large(int i) {
    static large arg;
    cth_future *future = NULL;
    arg.i = i;
    for (size_t j = 0; j < sizeof arg.bytes; j++) {
        arg.bytes[j] = (unsigned char)(i + (int)j);
    }
    cth_status status;
    while ((status = cth_submit(pool, &future, turns, &arg, sizeof arg, sizeof arg)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM || status == CTH_AGAIN);
    }
    memset(&arg, 0, sizeof arg);
    return future;
}

static cth_status larges(void *arg) {
    enum { N = 6, AHEAD = 3 };
    static large got;
    (void)arg;
    fresh(&(cth_process_desc){.workers = 1 + cth_sim_choose(2), .max_tasks = cth_sim_choose(3)});
    const cth__processes *p = (const cth__processes *)(const void *)pool->runner;
    for (int i = 0; i < N + AHEAD; i++) {
        cth_future **future = &futures[i % AHEAD];
        if (i >= AHEAD) {
            const cth_status status = cth_future_result(*future, &got);
            CTH_SIM_CHECK(faults || status == CTH_OK);
            CTH_SIM_CHECK(status != CTH_OK || got.i == i - AHEAD + 10);
            for (size_t j = 0; j < sizeof got.bytes && status == CTH_OK; j++) {
                CTH_SIM_CHECK(got.bytes[j] == (unsigned char)~(i - AHEAD + (int)j));
            }
            cth_future_release(*future);
        }
        if (i < N) {
            *future = submit_large(i);
        }
        CTH_SIM_CHECK(p->kept <= CTH__PIECES_KEPT);
    }
    CTH_SIM_CHECK(cth_executor_shutdown(pool, CTH_DRAIN) == CTH_OK);
    CTH_SIM_CHECK(p->free == NULL && p->kept == 0);
    end();
    return CTH_OK;
}

/* One worker, one task, and a worker that dies or answers, in every order with who asks for the
   result. What is explored is the submit and all that the thread does which it starts. */
static cth_status one_task(void *arg) {
    (void)arg;
    cth_sim_explore(false);
    fresh(&(cth_process_desc){.workers = 1});
    cth_sim_explore(true);
    futures[0] = submit(adds_ten, &(int){0}, sizeof(int));
    cth_sim_explore(false);
    const cth_status status = expect(futures[0], 0);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_BROKEN);
    shut(CTH_DRAIN);
    return CTH_OK;
}

static void complete(void) {
    faults = true;
    SIM_COMPLETE(one_task, CTH_SIM_PROCESSES);
}

#define SCENARIO(fn)                \
  static void passes_##fn(void) {   \
    faults = false;                 \
    SIM_PASS(fn, 0, 500);           \
    SIM_PASS(fn, SIM_WAITS, 500);   \
    faults = true;                  \
    SIM_PASS(fn, SIM_DEATHS, 1000); \
  }
SCENARIO(results)
SCENARIO(inited)
SCENARIO(killed)
SCENARIO(shut_while_used)
SCENARIO(mapped)
SCENARIO(cancelled)
SCENARIO(larges)
SCENARIO(idle)

static void passes_timeouts(void) {
    faults = false;
    SIM_PASS(timeouts, 0, 500);
    faults = true; // when another wait expires early, the clock is late for all
    SIM_PASS(timeouts, SIM_WAITS, 500);
    SIM_PASS(timeouts, SIM_DEATHS, 1000);
}

static void passes_not_begun(void) {
    faults = true;
    SIM_PASS(not_begun, SIM_WAITS | CTH_SIM_PROCESSES, 1000);
}

static void passes_killed_at_once(void) {
    faults = true;
    SIM_PASS(killed_at_once, CTH_SIM_PROCESSES, 1000);
}

static void finds_deaths(void) {
    faults = true;
    SIM_FOUND(not_begun, CTH_SIM_PROCESSES, "check");
}

static void finds_stalls(void) {
    faults = true;
    SIM_FOUND(timeouts, CTH_SIM_PROCESSES, "check");
}

static void finds_idle_deaths(void) {
    faults = true;
    SIM_FOUND(idle, CTH_SIM_PROCESSES, "check");
}

static const test_case tests[] = {
    TEST(passes_results),   TEST(passes_timeouts),        TEST(passes_inited),
    TEST(passes_killed),    TEST(passes_shut_while_used), TEST(passes_mapped),
    TEST(passes_cancelled), TEST(passes_larges),          TEST(passes_idle),
    TEST(passes_not_begun), TEST(passes_killed_at_once),  TEST(finds_deaths),
    TEST(complete),         TEST(finds_stalls),           TEST(finds_idle_deaths),
};

int main(int argc, char **argv) {
    cth_process_main(argc, argv);
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
