/* sim_sim.c - the simulator itself: runs, virtual time, faults, threads, whole programs

   It starts itself with a mode as argument to see how a whole program behaves.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L // popen, setenv, readlink
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static cth_mutex lock;
static cth__word word;
static cth_event event;
static int count; // kept over schedules

static void fresh(void) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_event no_event = CTH_EVENT_INIT;
    lock = no_mutex;
    atomic_init(&word, 0);
    event = no_event;
    sim_begin();
}

/* -- runs ---------------------------------------------------------------------------------------
 */

static cth_status waits_for_event(void *arg) {
    (void)arg;
    return cth_event_wait(&event);
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

static void pass(cth_sim_desc desc, sim_fn fn) {
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_OK);
}

static void fail(cth_sim_desc desc, sim_fn fn) {
    desc.quiet = true;
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_FAILED);
}

static void set_variable(const char *name, const char *value) {
    CHECK(value != NULL ? setenv(name, value, 1) == 0 : unsetenv(name) == 0);
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
    cth_thread *t = NULL;
    (void)arg;
    fresh();
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

/* Strong memory: an old value of the thread's state looks as if it had not run to its end. */
static void run_faults(unsigned faults) {
    const cth_sim_desc desc = {.schedules = 300, .faults = faults, .strong = true};
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

static cth_status stores(void *arg) {
    (void)arg;
    cth__store(&word, 1, relaxed);
    return CTH_OK;
}

/* An old value is seen. */
static cth_status sees_the_newest(void *arg) {
    fresh();
    cth_thread *t = sim_spawn(stores, arg);
    const uint32_t seen = cth__load(&word, relaxed);
    // relaxed: the real word; one thread runs.
    CTH_SIM_CHECK(seen == atomic_load_explicit(&word, memory_order_relaxed));
    sim_join(t);
    return CTH_OK;
}

static void looks_at_the_memory_variable(void) {
    fail((cth_sim_desc){.schedules = 2000}, sees_the_newest);
    pass((cth_sim_desc){.schedules = 500, .strong = true}, sees_the_newest);
    set_variable("CTHREADS_SIM_MEMORY", "strong");
    pass((cth_sim_desc){.schedules = 500}, sees_the_newest);
    set_variable("CTHREADS_SIM_MEMORY", "weak");
    fail((cth_sim_desc){.schedules = 2000}, sees_the_newest);
    set_variable("CTHREADS_SIM_MEMORY", NULL);
}

static void look_at_faults(const char *variable,
                           bool nomem,
                           bool again,
                           bool early,
                           bool spurious) {
    set_variable("CTHREADS_SIM_FAULTS", variable);
    run_faults(0);
    set_variable("CTHREADS_SIM_FAULTS", NULL);
    if ((seen_nomem > 0) != nomem || (seen_again > 0) != again || (seen_early > 0) != early ||
        (seen_spurious > 0) != spurious) {
        test_fail(__FILE__, __LINE__, "faults of \"%s\": %d %d %d %d", variable, seen_nomem,
                  seen_again, seen_early, seen_spurious);
    }
}

static void looks_at_the_faults_variable(void) {
    look_at_faults("", false, false, false, false);
    look_at_faults("alloc", true, false, false, false);
    look_at_faults("threads", false, true, false, false);
    look_at_faults("timeouts", false, false, true, false);
    look_at_faults("spurious", false, false, false, true);
    look_at_faults("alloc,spurious", true, false, false, true);
    look_at_faults("timeouts,threads", false, true, true, false);
    look_at_faults("all", true, true, true, true);
    look_at_faults("all,timeouts", true, true, true, true);
    look_at_faults("timeouts,all", true, true, true, true);
}

/* -- threads ------------------------------------------------------------------------------------
 */

enum { MANY = 100 };

static cth_status adds_one(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        count++;
    }
    return CTH_OK;
}

static cth_status starts_many(void *arg) {
    cth_thread *threads[MANY];
    fresh();
    count = 0;
    for (int i = 0; i < MANY; i++) {
        threads[i] = sim_spawn(adds_one, arg);
    }
    for (int i = 0; i < MANY; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(count == MANY);
    return CTH_OK;
}

static cth_status keeps_errno(void *arg) {
    (void)arg;
    const int mine = 1000 + (int)cth_thread_id(cth_thread_current());
    for (int i = 0; i < 5; i++) {
        errno = mine;
        (void)cth__load(&word, relaxed);
        CTH_SIM_CHECK(errno == mine);
        CTH_WITH(&lock) {
            cth_yield();
        }
        CTH_SIM_CHECK(errno == mine);
    }
    return CTH_OK;
}

static cth_status keep_errno(void *arg) {
    fresh();
    sim_together(keeps_errno, arg, 3);
    return keeps_errno(arg);
}

static cth_status goes_deep(void *arg) {
    char volatile room[100 * 1024];
    (void)arg;
    const char mine = (char)cth_thread_id(cth_thread_current());
    for (size_t i = 0; i < sizeof room; i++) {
        room[i] = mine;
    }
    cth_yield();
    CTH_WITH(&lock) {
        cth_yield();
    }
    for (size_t i = 0; i < sizeof room; i++) {
        CTH_SIM_CHECK(room[i] == mine);
    }
    return CTH_OK;
}

static cth_status go_deep(void *arg) {
    fresh();
    sim_together(goes_deep, arg, 3);
    return goes_deep(arg);
}

static void threads_have_their_own(void) {
    const uint64_t some = sim_scaled(50);
    pass((cth_sim_desc){.schedules = some}, starts_many);
    pass((cth_sim_desc){.schedules = some, .strategy = CTH_SIM_PCT}, starts_many);
    pass((cth_sim_desc){.schedules = 5, .threads = true}, starts_many);
    for (int threads = 0; threads < 2; threads++) {
        pass((cth_sim_desc){.schedules = some, .threads = threads != 0}, keep_errno);
        pass((cth_sim_desc){.schedules = some, .threads = threads != 0}, go_deep);
    }
}

static _Thread_local int own;

static cth_status uses_own(void *arg) {
    (void)arg;
    for (int i = 1; i <= 3; i++) {
        CTH_SIM_CHECK(own == i - 1);
        own = i;
        cth_yield();
    }
    own = 0; // the thread carries others later
    return CTH_OK;
}

static cth_status use_own(void *arg) {
    fresh();
    sim_together(uses_own, arg, 3);
    return CTH_OK;
}

static void have_thread_local_variables(void) {
    pass((cth_sim_desc){.schedules = 50, .threads = true}, use_own);
}

static cth_status stays_zero(void *arg) {
    fresh();
    sim_together(stores, arg, 2);
    CTH_SIM_CHECK(cth__load(&word, relaxed) == 0);
    return CTH_OK;
}

/* The program's own part after runs of both kinds: threads of the system, in a schedule of its own.
 */
static void goes_on_as_a_program(void) {
    for (int threads = 0; threads < 4; threads++) {
        const bool of_system = threads % 2 != 0;
        pass((cth_sim_desc){.schedules = 10, .threads = of_system}, spawns_three);
        pass((cth_sim_desc){.schedules = 10, .threads = !of_system}, spawns_three);
        fail((cth_sim_desc){.threads = of_system}, stays_zero);
        CHECK_STATUS(spawns_three(NULL), CTH_OK);
    }
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

static cth_status does_nothing(void *arg) {
    (void)arg;
    return CTH_OK;
}

static void counts_closed(void *object) {
    (void)object;
    count++;
}

/* Lock twice what may be locked once; or fail a check before any other call of the kit. */
static int program_goes_wrong(bool by_misuse) {
    if (by_misuse) {
        CTH_WITH(&lock) {
            CTH_WITH(&lock) {
                printf("not reached\n");
            }
        }
    }
    CTH_SIM_CHECK(count == 1);
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

static void programs_report_misuse(void) {
    char out[4000];
    CHECK_EQ(run_mode("CTHREADS_SIM_SEED=5", "misuses", out, sizeof out), CTH_SIM_EXIT);
    CHECK(strstr(out, "program: misuse: CTH_WITH on a mutex") != NULL);
    CHECK_EQ(run_mode("CTHREADS_SIM_SEED=5", "checks", out, sizeof out), CTH_SIM_EXIT);
    CHECK(strstr(out, "program: check: sim_sim.c:") != NULL);
    CHECK(strstr(out, "CTHREADS_SIM_SEED=5") != NULL);
}

/* A program whose main thread has locals goes on to a scenario: they are closed. */
static void closes_locals_before_a_run(void) {
    cth_local local = CTH_LOCAL_INIT(sizeof(int), NULL, counts_closed);
    count = 0;
    CHECK(cth_local_get(&local) != NULL);
    cth_sim_desc desc = {.schedules = 1};
    CHECK_STATUS(cth_sim_run(&desc, does_nothing, NULL), CTH_OK);
    CHECK_EQ(count, 1);
}

#if CTH__HAS_THREADS_H
static mtx_t system_locks[2];

static cth_status locks_in_turn(void *arg) {
    const int first = *(const int *)arg;
    CTH_WITH(&system_locks[first]) {
        CTH_WITH(&system_locks[1 - first]) {
            count++;
        }
    }
    return CTH_OK;
}

static cth_status crosses_system_locks(void *arg) {
    static int orders[2] = {0, 1};
    (void)arg;
    fresh();
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(mtx_init(&system_locks[i], mtx_plain) == thrd_success);
    }
    cth_thread *a = sim_spawn(locks_in_turn, &orders[0]);
    cth_thread *b = sim_spawn(locks_in_turn, &orders[1]);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}
#endif

/* A C11 mutex is a scheduling point; who waits for one yields, so a deadlock is a livelock. */
static void explores_at_system_locks(void) {
#if CTH__HAS_THREADS_H
    cth_sim_report report;
    cth_sim_desc desc = {.schedules = 20000, .max_steps = 2000, .quiet = true, .report = &report};
    CHECK_STATUS(cth_sim_run(&desc, crosses_system_locks, NULL), CTH_FAILED);
    CHECK_STR(report.kind, "steps");
#endif
}

static const test_case tests[] = {
    TEST(reports_success),
    TEST(takes_defaults_and_refuses),
    TEST(refuses_while_threads_run),
    TEST(chooses_everything),
    TEST(sleeping_costs_nothing),
    TEST(makes_the_faults_asked_for),
    TEST(looks_at_the_memory_variable),
    TEST(looks_at_the_faults_variable),
    TEST(threads_have_their_own),
    TEST(have_thread_local_variables),
    TEST(goes_on_as_a_program),
    TEST(programs_repeat_from_the_seed),
    TEST(programs_report_deadlocks),
    TEST(programs_take_faults),
    TEST(programs_report_misuse),
    TEST(closes_locals_before_a_run),
    TEST(explores_at_system_locks),
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
    if (strcmp(mode, "mode-misuses") == 0 || strcmp(mode, "mode-checks") == 0) {
        return program_goes_wrong(strcmp(mode, "mode-misuses") == 0);
    }
    const ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    if (n <= 0) {
        return EXIT_FAILURE;
    }
    self_path[n] = '\0';
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
