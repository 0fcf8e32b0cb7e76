/* sim_sim.c - the simulator itself: reports, replay, virtual time, faults, whole programs

   It starts itself with a mode as argument to see how a whole program behaves.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L // popen, setenv, readlink
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"
#include <sys/wait.h>
#include <unistd.h>

static cth_mutex lock;
static cth_mutex other;
static cth_event event;
static int count; // kept over schedules

static void fresh(void) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_event no_event = CTH_EVENT_INIT;
    lock = other = no_mutex;
    event = no_event;
    sim_begin();
}

/* -- reports and replay -------------------------------------------------------------------------
 */

static cth_status lock_two(void *arg) {
    const bool swapped = *(bool *)arg;
    CTH_WITH(swapped ? &other : &lock) {
        CTH_WITH(swapped ? &lock : &other) {
            count++;
        }
    }
    return CTH_OK;
}

static cth_status crossed(void *arg) {
    bool swapped[] = {false, true};
    const cth_thread_desc left = {.name = "Left"};
    const cth_thread_desc right = {.name = "Right"};
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn_with(lock_two, &swapped[0], &left);
    cth_thread *b = sim_spawn_with(lock_two, &swapped[1], &right);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

static cth_sim_report fail_with(sim_fn fn, const char *kind) {
    cth_sim_report report;
    const cth_sim_desc desc = {
        .name = "some name", .max_steps = 5000, .quiet = true, .report = &report};
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_FAILED);
    CHECK_STR(report.kind, kind);
    CHECK(strstr(report.text, kind) != NULL);
    CHECK(strstr(report.text, "some name") != NULL);
    return report;
}

static void reports_who_waits_for_what(void) {
    const cth_sim_report report = fail_with(crossed, "deadlock");
    char seed[64];
    snprintf(seed, sizeof seed, "CTHREADS_SIM_SEED=%llu", (unsigned long long)report.seed);
    CHECK(strstr(report.text, seed) != NULL);
    CHECK(strstr(report.text, "MainThread waits for join of Left") != NULL);
    CHECK(strstr(report.text, "Left waits for mutex #") != NULL);
    CHECK(strstr(report.text, "held by Right") != NULL);
    CHECK(strstr(report.text, "Right waits for mutex #") != NULL);
    CHECK(strstr(report.text, "held by Left") != NULL);
    CHECK(report.schedules >= 1 && report.steps >= report.schedules);
}

static void replays_from_the_seed(void) {
    const cth_sim_report first = fail_with(crossed, "deadlock");
    cth_sim_report again;
    cth_sim_desc desc = {.name = "some name",
                         .seed = first.seed,
                         .schedules = 1,
                         .max_steps = 5000,
                         .quiet = true,
                         .report = &again};
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_sim_run(&desc, crossed, NULL), CTH_FAILED);
        CHECK_EQ(again.schedules, 1);
        CHECK(again.seed == first.seed);
        CHECK_STR(again.kind, first.kind);
        CHECK_STR(again.text, first.text);
    }
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)first.seed);
    CHECK(setenv("CTHREADS_SIM_SEED", seed, 1) == 0);
    desc.seed = 0;
    desc.schedules = 0;
    CHECK_STATUS(cth_sim_run(&desc, crossed, NULL), CTH_FAILED);
    CHECK(unsetenv("CTHREADS_SIM_SEED") == 0);
    CHECK_EQ(again.schedules, 1);
    CHECK_STR(again.text, first.text);
}

static cth_status yields_for_ever(void *arg) {
    (void)arg;
    while (cth_now() >= 0) {
        cth_yield();
    }
    return CTH_OK;
}

static cth_status returns_closed(void *arg) {
    (void)arg;
    return CTH_CLOSED;
}

static cth_status check_fails(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(1 + 1 == 3);
    return CTH_OK;
}

static cth_status fails_by_itself(void *arg) {
    (void)arg;
    cth_sim_fail("my kind", "number %d", 7);
    return CTH_OK;
}

static cth_status leaks_a_handle(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t;
    return cth_thread_create(&t, returns_closed, NULL, NULL);
}

static cth_status waits_for_event(void *arg) {
    (void)arg;
    return cth_event_wait(&event);
}

static cth_status leaves_a_thread(void *arg) {
    (void)arg;
    fresh();
    cth_thread_release(sim_spawn(waits_for_event, NULL));
    return CTH_OK;
}

static void finds_each_kind(void) {
    cth_sim_report report = fail_with(yields_for_ever, "steps");
    CHECK_EQ(report.schedules, 1);
    CHECK(report.steps > 5000);
    report = fail_with(returns_closed, "check");
    CHECK(strstr(report.text, "CTH_CLOSED") != NULL);
    report = fail_with(check_fails, "check");
    CHECK(strstr(report.text, "1 + 1 == 3") != NULL);
    CHECK(strstr(report.text, "sim_sim.c:") != NULL);
    report = fail_with(fails_by_itself, "my kind");
    CHECK(strstr(report.text, "number 7") != NULL);
    (void)fail_with(leaks_a_handle, "memory left");
    report = fail_with(leaves_a_thread, "deadlock");
    CHECK(strstr(report.text, "Thread-1 waits for event") != NULL);
}

static cth_status passes(void *arg) {
    (void)arg;
    fresh();
    count++;
    return CTH_OK;
}

static cth_status two_yields(void *arg) {
    (void)arg;
    cth_yield();
    cth_yield();
    return CTH_OK;
}

static cth_status spawns_three(void *arg) {
    fresh();
    sim_together(two_yields, arg, 3);
    return CTH_OK;
}

static void reports_success(void) {
    cth_sim_report report, again;
    cth_sim_desc desc = {.schedules = 200, .report = &report};
    count = 0;
    CHECK_STATUS(cth_sim_run(&desc, passes, NULL), CTH_OK);
    CHECK_EQ(count, 200);
    CHECK_EQ(report.schedules, 200);
    CHECK_STR(report.kind, "");
    CHECK_STR(report.text, "");
    CHECK_STATUS(cth_sim_run(&desc, spawns_three, NULL), CTH_OK);
    desc.report = &again;
    CHECK_STATUS(cth_sim_run(&desc, spawns_three, NULL), CTH_OK);
    CHECK(report.steps == again.steps); // the same schedules again
    desc.seed = 12345;
    CHECK_STATUS(cth_sim_run(&desc, spawns_three, NULL), CTH_OK);
    CHECK(report.steps != again.steps); // others
}

static cth_status nested(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sim_run(NULL, passes, NULL) == CTH_BUSY);
    return CTH_OK;
}

static cth_status runs_in_thread(void *arg) {
    *(cth_status *)arg = cth_sim_run(NULL, passes, NULL);
    return CTH_OK;
}

static void takes_defaults_and_refuses(void) {
    count = 0;
    CHECK_STATUS(cth_sim_run(NULL, passes, NULL), CTH_OK);
    CHECK_EQ(count, 1000);
    CHECK_STATUS(cth_sim_run(NULL, NULL, NULL), CTH_INVALID);
    const cth_sim_desc once = {.schedules = 3};
    CHECK_STATUS(cth_sim_run(&once, nested, NULL), CTH_OK);
    cth_status status = CTH_OK;
    cth_thread *t;
    CHECK_STATUS(cth_thread_spawn(&t, runs_in_thread, &status, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_join(t, NULL), CTH_OK);
    cth_thread_release(t);
    CHECK_STATUS(status, CTH_BUSY); // not the main thread
}

static void refuses_while_threads_run(void) {
    cth_thread *t;
    CHECK_STATUS(cth_thread_spawn(&t, waits_for_event, NULL, NULL), CTH_OK);
    cth_yield();
    CHECK_STATUS(cth_sim_run(NULL, passes, NULL), CTH_BUSY);
    for (int i = 0; i < 20; i++) { // until it sleeps: then too
        cth_yield();
    }
    CHECK_STATUS(cth_sim_run(NULL, passes, NULL), CTH_BUSY);
    CHECK_STATUS(cth_event_set(&event), CTH_OK);
    CHECK_STATUS(cth_thread_join(t, NULL), CTH_OK);
    cth_thread_release(t);
    CHECK_STATUS(cth_sim_run(NULL, passes, NULL), CTH_OK);
}

/* -- choices, time, faults ----------------------------------------------------------------------
 */

static int chosen[5];

static cth_status chooses(void *arg) {
    (void)arg;
    const uint32_t n = cth_sim_choose(5);
    CTH_SIM_CHECK(n < 5);
    chosen[n]++;
    CTH_SIM_CHECK(cth_sim_choose(1) == 0);
    return CTH_OK;
}

static void chooses_everything(void) {
    const cth_sim_desc desc = {.schedules = 200};
    CHECK_STATUS(cth_sim_run(&desc, chooses, NULL), CTH_OK);
    for (int i = 0; i < 5; i++) {
        CHECK(chosen[i] > 0);
    }
}

static cth_status sleeps_an_hour(void *arg) {
    (void)arg;
    const cth_time begin = cth_now();
    CTH_SIM_CHECK(cth_sleep(CTH_S(3600)) == CTH_OK);
    CTH_SIM_CHECK(cth_now() - begin >= CTH_S(3600));
    return CTH_OK;
}

static cth_status hours(void *arg) {
    fresh();
    const cth_time begin = cth_now();
    const cth_time wall = cth_wall_now();
    sim_together(sleeps_an_hour, arg, 3);
    CTH_SIM_CHECK(sleeps_an_hour(NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_now() - begin >= CTH_S(7200));
    CTH_SIM_CHECK(cth_now() - begin < CTH_S(7201)); // exact: nothing else takes virtual time
    CTH_SIM_CHECK(cth_wall_now() - wall == cth_now() - begin);
    return CTH_OK;
}

static void sleeping_costs_nothing(void) {
    const cth_sim_desc desc = {.schedules = 100};
    CHECK_STATUS(cth_sim_run(&desc, hours, NULL), CTH_OK); // 400 hours; the watchdog is at a minute
}

static int seen_nomem, seen_again, seen_early, seen_spurious;

static cth_status locks_thrice(void *arg) { // no yield: alone, it would let time pass
    (void)arg;
    for (int i = 0; i < 3; i++) {
        CTH_WITH(&lock) {
            count++;
        }
    }
    return CTH_OK;
}

/* Counts the faults that show. */
static cth_status meets_faults(void *arg) {
    static cth__word word;
    cth_thread *t = NULL;
    (void)arg;
    fresh();
    atomic_init(&word, 0);
    const cth_status status = cth_thread_spawn(&t, locks_thrice, NULL, NULL);
    seen_nomem += status == CTH_NOMEM;
    seen_again += status == CTH_AGAIN;
    CTH_SIM_CHECK(status == CTH_OK || t == NULL);
    const cth_time deadline = cth_after(CTH_S(1));
    CTH_SIM_CHECK(cth_sleep_until(deadline) == CTH_OK);
    CTH_SIM_CHECK(cth_now() >= deadline); // a fault lets time pass, it does not lie about it
    seen_early += t != NULL && cth_thread_is_alive(t);
    const cth_time soon = cth_after(CTH_S(1));
    cth__wait_on(NULL, &word, 0, soon);
    seen_spurious += cth_now() < soon;
    if (t != NULL) {
        sim_join(t);
    }
    return CTH_OK;
}

static void run_faults(unsigned faults) {
    const cth_sim_desc desc = {.schedules = 300, .faults = faults};
    seen_nomem = seen_again = seen_early = seen_spurious = 0;
    CHECK_STATUS(cth_sim_run(&desc, meets_faults, NULL), CTH_OK);
}

static void makes_the_faults_asked_for(void) {
    run_faults(0);
    CHECK_EQ(seen_nomem + seen_again + seen_early + seen_spurious, 0);
    run_faults(CTH_SIM_ALLOC);
    CHECK(seen_nomem > 0 && seen_again + seen_early + seen_spurious == 0);
    run_faults(CTH_SIM_THREADS);
    CHECK(seen_again > 0 && seen_nomem + seen_early + seen_spurious == 0);
    run_faults(CTH_SIM_TIMEOUTS);
    CHECK(seen_early > 0 && seen_nomem + seen_again + seen_spurious == 0);
    run_faults(CTH_SIM_SPURIOUS);
    CHECK(seen_spurious > 0 && seen_nomem + seen_again + seen_early == 0);
}

/* -- whole programs -----------------------------------------------------------------------------
 */

static cth_status prints(void *arg) {
    for (int i = 0; i < 3; i++) {
        CTH_WITH(&lock) {
            printf("%d", *(int *)arg);
        }
        if (i == 1) {
            (void)cth_sleep(CTH_MS(1));
        }
    }
    return CTH_OK;
}

/* Return from main while threads still run: the exit waits for them. */
static int program_prints(void) {
    static int numbers[3] = {1, 2, 3};
    for (int i = 0; i < 3; i++) {
        cth_thread *t;
        if (cth_thread_spawn(&t, prints, &numbers[i], NULL) != CTH_OK) {
            return EXIT_FAILURE;
        }
        cth_thread_release(t);
    }
    cth_rng rng;
    cth_rng_seed(&rng, cth_rng_entropy());
    printf(" %llu ", (unsigned long long)cth_rng_below(&rng, 1000));
    return EXIT_SUCCESS;
}

static int program_deadlocks(void) {
    cth_thread *t;
    printf("before");
    if (cth_thread_spawn(&t, waits_for_event, NULL, NULL) == CTH_OK) {
        (void)cth_thread_join(t, NULL);
    }
    printf("after");
    return EXIT_SUCCESS;
}

static int program_meets_faults(void) {
    int failures = 0;
    for (int i = 0; i < 40; i++) {
        cth_thread *t;
        if (cth_thread_spawn(&t, locks_thrice, NULL, NULL) == CTH_OK) {
            cth_thread_release(t);
        } else {
            failures++;
        }
    }
    printf("%d failures", failures);
    return EXIT_SUCCESS;
}

static char self_path[4096];

/* Run this program with a mode; what it printed goes to `out`. Returns its exit status. */
static int run_mode(const char *variables, const char *mode, char *out, size_t size) {
    char command[5000];
    snprintf(command, sizeof command, "%s '%s' mode-%s 2>&1", variables, self_path, mode);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL);
    const size_t n = fread(out, 1, size - 1, pipe);
    out[n] = '\0';
    const int status = pclose(pipe);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void programs_repeat_from_the_seed(void) {
    char first[1000], again[1000], variables[64];
    char all[20][1000];
    bool differ = false;
    for (int seed = 0; seed < 20; seed++) {
        snprintf(variables, sizeof variables, "CTHREADS_SIM_SEED=%d", seed + 1);
        CHECK_EQ(run_mode(variables, "prints", all[seed], sizeof all[seed]), 0);
        CHECK_EQ(run_mode(variables, "prints", again, sizeof again), 0);
        CHECK_STR(all[seed], again);
        int printed = 0;
        for (const char *at = all[seed]; *at != '\0' && *at != ' '; at++) {
            printed++;
        }
        CHECK(printed <= 9 && strlen(all[seed]) >= 12);
        differ = differ || strcmp(all[seed], all[0]) != 0;
    }
    CHECK(differ);
    CHECK_EQ(run_mode("CTHREADS_SIM_SEED=", "prints", first, sizeof first), 0);
    CHECK_STR(first, all[0]); // 1 is what it takes by itself
}

static void programs_report_deadlocks(void) {
    char out[4000], again[4000];
    CHECK_EQ(run_mode("CTHREADS_SIM_SEED=5", "deadlocks", out, sizeof out), CTH_SIM_EXIT);
    CHECK(strstr(out, "before") != NULL && strstr(out, "after") == NULL);
    CHECK(strstr(out, "deadlock") != NULL);
    CHECK(strstr(out, "CTHREADS_SIM_SEED=5") != NULL);
    CHECK(strstr(out, "MainThread waits for join of Thread-1") != NULL);
    CHECK(strstr(out, "Thread-1 waits for event") != NULL);
    CHECK_EQ(run_mode("CTHREADS_SIM_SEED=5", "deadlocks", again, sizeof again), CTH_SIM_EXIT);
    CHECK_STR(again, out);
}

static void programs_take_faults(void) {
    char out[1000];
    CHECK_EQ(run_mode("CTHREADS_SIM_SEED=1", "faults", out, sizeof out), 0);
    CHECK_STR(out, "0 failures");
    CHECK_EQ(run_mode("CTHREADS_SIM_FAULTS=threads", "faults", out, sizeof out), 0);
    CHECK(strcmp(out, "0 failures") != 0);
    CHECK_EQ(run_mode("CTHREADS_SIM_FAULTS=timeouts,alloc", "faults", out, sizeof out), 0);
    CHECK(strcmp(out, "0 failures") != 0);
    CHECK_EQ(run_mode("CTHREADS_SIM_FAULTS=all", "faults", out, sizeof out), 0);
    CHECK(strcmp(out, "0 failures") != 0);
    CHECK_EQ(run_mode("CTHREADS_SIM_FAULTS=timeouts,spurious", "faults", out, sizeof out), 0);
    CHECK_STR(out, "0 failures");
}

static const test_case tests[] = {
    TEST(reports_who_waits_for_what),
    TEST(replays_from_the_seed),
    TEST(finds_each_kind),
    TEST(reports_success),
    TEST(takes_defaults_and_refuses),
    TEST(refuses_while_threads_run),
    TEST(chooses_everything),
    TEST(sleeping_costs_nothing),
    TEST(makes_the_faults_asked_for),
    TEST(programs_repeat_from_the_seed),
    TEST(programs_report_deadlocks),
    TEST(programs_take_faults),
};

int main(int argc, char **argv) {
    const char *mode = argc == 2 ? argv[1] : "";
    if (strcmp(mode, "mode-prints") == 0) {
        return program_prints();
    }
    if (strcmp(mode, "mode-deadlocks") == 0) {
        return program_deadlocks();
    }
    if (strcmp(mode, "mode-faults") == 0) {
        return program_meets_faults();
    }
    const ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    if (n <= 0) {
        return EXIT_FAILURE;
    }
    self_path[n] = '\0';
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
