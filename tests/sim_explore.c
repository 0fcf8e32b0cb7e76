/* sim_explore.c - the simulator's searches and reports: strategies, bounds, replay, shrinking

   It starts itself with a mode as argument to see a scenario crash, and what is printed.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _XOPEN_SOURCE 700 // popen, setenv, readlink; a stack for the crash handler
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether a search can be run to its end here. */
#define WHOLE (CTH__FIBERS && !SIM_ASAN)
/* The last of the strategies that find bugs. */
#define LAST (WHOLE ? CTH_SIM_EXHAUSTIVE : CTH_SIM_PCT)

static cth_mutex lock;
static cth_mutex other;
static cth_event event;
static cth__word word, flag;
static int count; // kept over schedules, or set by the scenario

static void fresh(void) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_event no_event = CTH_EVENT_INIT;
    lock = other = no_mutex;
    event = no_event;
    atomic_init(&word, 0);
    atomic_init(&flag, 0);
    sim_begin();
}

/* The value of a word without the model: what the latest store put there. */
static uint32_t peek(cth__word *w) {
    return atomic_load_explicit(w, memory_order_relaxed); // relaxed: one thread runs
}

/* Start two threads with names, join them. */
static cth_status two(cth_thread_fn left, cth_thread_fn right) {
    const cth_thread_desc names[2] = {{.name = "Left"}, {.name = "Right"}};
    fresh();
    cth_thread *a = sim_spawn_with(left, NULL, &names[0]);
    cth_thread *b = sim_spawn_with(right, NULL, &names[1]);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Run a scenario that fails. Returns its report. */
static cth_sim_report fail(cth_sim_desc desc, sim_fn fn, const char *kind) {
    cth_sim_report report;
    desc.name = desc.name != NULL ? desc.name : "some name";
    desc.max_steps = desc.max_steps != 0 ? desc.max_steps : 5000;
    desc.quiet = true;
    desc.report = &report;
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_FAILED);
    CHECK_STR(report.kind, kind);
    CHECK(strstr(report.text, kind) != NULL && strstr(report.text, desc.name) != NULL);
    return report;
}

/* Run one that passes. */
static cth_sim_report pass(cth_sim_desc desc, sim_fn fn) {
    cth_sim_report report;
    desc.report = &report;
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_OK);
    CHECK_STR(report.kind, "");
    CHECK_STR(report.text, "");
    CHECK_STR(report.schedule, "");
    CHECK(report.seed == 0 && report.changes == 0);
    return report;
}

static void check_same(const cth_sim_report *a, const cth_sim_report *b) {
    CHECK_EQ(a->schedules, b->schedules);
    CHECK_EQ(a->steps, b->steps);
    CHECK_EQ(a->changes, b->changes);
    CHECK_EQ(a->complete, b->complete);
    CHECK(a->seed == b->seed);
    CHECK_STR(a->kind, b->kind);
    CHECK_STR(a->schedule, b->schedule);
    CHECK_STR(a->text, b->text);
}

static void has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", part, text);
    }
}

/* -- scenarios with bugs ------------------------------------------------------------------------
 */

static cth_status does_nothing(void *arg) {
    (void)arg;
    return CTH_OK;
}

static cth_status adds_by_hand(void *arg) {
    (void)arg;
    cth__store(&word, cth__load(&word, relaxed) + 1, relaxed);
    return CTH_OK;
}

static cth_status loses_update(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(two(adds_by_hand, adds_by_hand) == CTH_OK);
    CTH_SIM_CHECK(peek(&word) == 2);
    return CTH_OK;
}

static cth_status locks_two(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        CTH_WITH(&other) {
            count++;
        }
    }
    return CTH_OK;
}

static cth_status locks_crosswise(void *arg) {
    (void)arg;
    CTH_WITH(&other) {
        CTH_WITH(&lock) {
            count++;
        }
    }
    return CTH_OK;
}

static cth_status crossed(void *arg) {
    (void)arg;
    return two(locks_two, locks_crosswise);
}

static cth_status named(void *arg) {
    CTH_SIM_NAME(lock, "the first lock");
    CTH_SIM_NAME(other, "the second lock");
    return crossed(arg);
}

static cth_status stores_one_and_two(void *arg) {
    (void)arg;
    cth__store(&word, 1, relaxed);
    cth__store(&word, 2, relaxed);
    return CTH_OK;
}

static cth_status sees_one_and_two(void *arg) {
    (void)arg;
    const uint32_t first = cth__load(&word, relaxed);
    const uint32_t second = cth__load(&word, relaxed);
    CTH_SIM_CHECK(first != 1 || second != 2);
    return CTH_OK;
}

/* With strong memory this takes two preemptions: after the first store and the first load. */
static cth_status needs_two(void *arg) {
    (void)arg;
    return two(stores_one_and_two, sees_one_and_two);
}

static cth_status sees_nothing(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth__load(&word, relaxed) == 0);
    return CTH_OK;
}

/* It takes the second thread to run after the first: no preemption. */
static cth_status needs_none(void *arg) {
    (void)arg;
    return two(stores_one_and_two, sees_nothing);
}

/* Fails if both loads see an old store. */
static cth_status sees_two_old(void *arg) {
    (void)arg;
    const uint32_t first = cth__load(&word, relaxed);
    const bool old = first != peek(&word);
    const uint32_t second = cth__load(&flag, relaxed);
    const bool old_too = second != peek(&flag);
    CTH_SIM_CHECK(!old || !old_too);
    count += old || old_too;
    return CTH_OK;
}

static cth_status stores_two(void *arg) {
    (void)arg;
    cth__store(&word, 1, relaxed);
    cth__store(&flag, 1, relaxed);
    return CTH_OK;
}

static cth_status needs_two_old(void *arg) {
    (void)arg;
    return two(stores_two, sees_two_old);
}

/* -- the exhaustive search ----------------------------------------------------------------------
 */

static int had[3][2];

static cth_status chooses(void *arg) {
    (void)arg;
    const uint32_t a = cth_sim_choose(3);
    CTH_SIM_CHECK(cth_sim_choose(1) == 0);
    const uint32_t b = cth_sim_choose(2);
    CTH_SIM_CHECK(a < 3 && b < 2);
    had[a][b]++;
    return CTH_OK;
}

static cth_status starts_two(void *arg) {
    fresh();
    sim_together(does_nothing, arg, 2);
    return CTH_OK;
}

/* Every choice exactly once, and the number of schedules as counted by hand. */
static cth_status locks_it(void *arg) {
    CTH_WITH((cth_mutex *)arg) {
        cth_yield();
    }
    return CTH_OK;
}

static void searches_everything_once(void) {
    const cth_sim_desc all = {.strategy = CTH_SIM_EXHAUSTIVE};
    cth_sim_report report = pass(all, chooses);
    CHECK_EQ(report.schedules, 6);
    CHECK(report.complete);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(had[i / 2][i % 2], 1);
    }
    report = pass(all, does_nothing);
    CHECK_EQ(report.schedules, 1);
    CHECK(report.complete);
    for (uint64_t n = 1; n <= 7; n++) { // ended by the count
        report = pass((cth_sim_desc){.strategy = CTH_SIM_EXHAUSTIVE, .schedules = n}, chooses);
        CHECK_EQ(report.schedules, n < 6 ? n : 6);
        CHECK_EQ(report.complete, n >= 6);
    }
}

static cth_status comes_first(void *arg) {
    uint32_t none = 0;
    (void)cth__cas(&word, &none, *(const uint32_t *)arg, relaxed, relaxed);
    return CTH_OK;
}

/* Right only if the thread started first goes first when the main thread yields. */
static cth_status yields_to_the_first(void *arg) {
    static uint32_t names[2] = {1, 2};
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(comes_first, &names[0]);
    cth_thread *b = sim_spawn(comes_first, &names[1]);
    cth_yield();
    CTH_SIM_CHECK(peek(&word) != 2);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Whom a yield gives way to is searched as well, at the price of a preemption. */
static void searches_at_yields(void) {
    cth_sim_desc desc = {.strategy = CTH_SIM_EXHAUSTIVE, .preemptions = -1};
    sim_calm = true;
    CHECK(pass(desc, yields_to_the_first).complete);
    desc.preemptions = 1;
    (void)fail(desc, yields_to_the_first, "check");
    sim_calm = false;
}

/* Objects that are at another address each time, as from an allocator. */
static cth_status moves(void *arg) {
    static struct {
        cth_mutex lock;
        int total;
    } pool[512];
    (void)arg;
    sim_begin();
    count = (count + 1) % 512;
    memset(&pool[count], 0, sizeof pool[count]);
    cth_mutex *mine = &pool[count].lock;
    cth_thread *a = sim_spawn(locks_it, mine);
    cth_thread *b = sim_spawn(locks_it, mine);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

static void searches_what_moves(void) {
    sim_calm = true;
    const cth_sim_desc desc = {.strategy = CTH_SIM_EXHAUSTIVE};
    const cth_sim_report report = pass(desc, moves);
    CHECK(report.complete);
    CHECK(report.schedules > 200); // a hundred beginnings, then the search
    sim_calm = false;
}

static uint32_t loaded;

static cth_status stores_explored(void *arg) {
    (void)arg;
    cth_sim_explore(true);
    cth__store(&word, 1, relaxed);
    cth_sim_explore(false);
    return CTH_OK;
}

/* One store and one load are explored, nothing else. */
static cth_status store_and_load(void *arg) {
    fresh();
    cth_sim_explore(false);
    cth_thread *t = sim_spawn(stores_explored, arg);
    cth_sim_explore(false);
    cth_thread_release(t);
    cth_sim_explore(true);
    loaded = cth__load(&word, relaxed);
    cth_sim_explore(false);
    had[loaded][0]++;
    return CTH_OK;
}

static void counts_as_by_hand(void) {
    const struct {
        int preemptions, stale, zeros, ones;
    } counts[] = {
        {-1, -1, 1, 0}, // the load, the store
        {1, -1, 1, 1},  // or stopped before the load: the store, the load
        {2, -1, 2, 1},  // or the other is stopped too, before the store: the load, the store
        {3, -1, 2, 1},  {1, 1, 2, 1}, // the load after the store may see the old value
        {2, 2, 3, 1},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts && WHOLE; i++) {
        const cth_sim_desc desc = {.strategy = CTH_SIM_EXHAUSTIVE,
                                   .preemptions = counts[i].preemptions,
                                   .stale = counts[i].stale};
        memset(had, 0, sizeof had);
        const cth_sim_report report = pass(desc, store_and_load);
        printf("     %d preemptions, %d old values: %d times 0, %d times 1\n",
               counts[i].preemptions, counts[i].stale, had[0][0], had[1][0]);
        CHECK(report.complete);
        // The first schedule shows that two threads use the word, and does not count yet.
        CHECK_EQ(report.schedules, 1 + counts[i].zeros + counts[i].ones);
        CHECK_EQ(had[0][0], 1 + counts[i].zeros);
        CHECK_EQ(had[1][0], counts[i].ones);
    }
}

static void keeps_to_its_bounds(void) {
    if (!WHOLE) {
        return;
    }
    uint64_t before = 0;
    for (int bound = 0; bound <= 2; bound++) {
        const cth_sim_desc desc = {
            .strategy = CTH_SIM_EXHAUSTIVE, .preemptions = bound == 0 ? -1 : bound, .strong = true};
        const cth_sim_report report = pass(desc, starts_two);
        CHECK(report.complete);
        CHECK(report.schedules > before);
        before = report.schedules;
    }
    sim_calm = true; // from here on, starts and joins are not explored
    cth_sim_desc desc = {.strategy = CTH_SIM_EXHAUSTIVE, .strong = true};
    for (int bound = -1; bound <= 1; bound += 2) {
        desc.preemptions = bound;
        CHECK(pass(desc, needs_two).complete);
    }
    desc.preemptions = 2;
    const cth_sim_report two_were_enough = fail(desc, needs_two, "check");
    desc.preemptions = 0; // the default is 2
    check_same(&two_were_enough, &(cth_sim_report[]){fail(desc, needs_two, "check")}[0]);
    desc.preemptions = -1;
    (void)fail(desc, needs_none, "check");
    // Old stores: the same.
    desc.strong = false;
    for (int bound = -1; bound <= 1; bound++) {
        desc.stale = bound;
        count = 0;
        CHECK(pass(desc, needs_two_old).complete);
        CHECK_EQ(count > 0, bound >= 0); // 0: the default is 1
    }
    desc.stale = 2;
    (void)fail(desc, needs_two_old, "check");
    sim_calm = false;
}

static int faults_seen[4], most_faults;

static cth_status sets_event(void *arg) {
    (void)arg;
    return cth_event_set(&event);
}

static cth_status meets_faults(void *arg) {
    static cth_cond cond;
    static const cth_cond no_cond = CTH_COND_INIT;
    int seen[4] = {0};
    cth_thread *t = NULL;
    fresh();
    cond = no_cond;
    const cth_status status = cth_thread_spawn(&t, sets_event, arg, NULL);
    CTH_SIM_CHECK(status == CTH_OK || t == NULL);
    seen[0] = status == CTH_NOMEM;
    seen[1] = status == CTH_AGAIN;
    if (t != NULL) {
        const cth_status waited = cth_event_wait_until(&event, cth_after(CTH_S(1)));
        CTH_SIM_CHECK(waited == CTH_OK || waited == CTH_TIMEDOUT);
        seen[2] = waited == CTH_TIMEDOUT;
        sim_join(t);
        const cth_time deadline = cth_after(CTH_S(1));
        CTH_WITH(&lock) {
            seen[3] = cth_cond_wait_until(&cond, &lock, deadline) == CTH_OK;
            CTH_SIM_CHECK(seen[3] == (cth_now() < deadline));
        }
    }
    int all = 0;
    for (int i = 0; i < 4; i++) {
        faults_seen[i] += seen[i];
        all += seen[i];
    }
    most_faults = most_faults > all ? most_faults : all;
    return CTH_OK;
}

static void run_faults(unsigned faults, int a, int b, int c, int d) {
    const cth_sim_desc desc = {
        .strategy = CTH_SIM_EXHAUSTIVE, .preemptions = 1, .strong = true, .faults = faults};
    memset(faults_seen, 0, sizeof faults_seen);
    most_faults = 0;
    CHECK(pass(desc, meets_faults).complete);
    CHECK_EQ(faults_seen[0] != 0, a);
    CHECK_EQ(faults_seen[1] != 0, b);
    CHECK_EQ(faults_seen[2] != 0, c);
    CHECK_EQ(faults_seen[3] != 0, d);
    CHECK_EQ(most_faults, faults != 0); // one in one schedule
}

static void searches_faults(void) {
    if (WHOLE) {
        run_faults(0, 0, 0, 0, 0);
        run_faults(CTH_SIM_ALLOC, 1, 0, 0, 0);
        run_faults(CTH_SIM_THREADS, 0, 1, 0, 0);
        run_faults(CTH_SIM_TIMEOUTS, 0, 0, 1, 0);
        run_faults(CTH_SIM_SPURIOUS, 0, 0, 0, 1);
        run_faults(SIM_ALL, 1, 1, 1, 1);
    }
}

static cth_status differs(void *arg) {
    (void)arg;
    (void)cth_sim_choose(count++ % 2 == 0 ? 2 : 3);
    return CTH_OK;
}

static void notices_a_scenario_that_differs(void) {
    count = 0;
    (void)fail((cth_sim_desc){.strategy = CTH_SIM_EXHAUSTIVE}, differs, "scenario");
}

/* -- random priorities --------------------------------------------------------------------------
 */

/* A bug that takes n ordered events is found with depth n, and not with less. */
static void finds_bugs_of_a_depth(void) {
    const struct {
        sim_fn fn;
        int depth;
    } bugs[] = {{needs_none, 1}, {loses_update, 2}, {needs_two, 3}};
    for (size_t i = 0; i < 3; i++) {
        cth_sim_desc desc = {.strategy = CTH_SIM_PCT, .strong = true};
        for (desc.depth = 1; desc.depth < bugs[i].depth; desc.depth++) {
            desc.schedules = sim_scaled(3000);
            (void)pass(desc, bugs[i].fn);
        }
        desc.schedules = 20000;
        (void)fail(desc, bugs[i].fn, "check");
        desc.depth = 0; // the default is 3
        (void)fail(desc, bugs[i].fn, "check");
    }
}

/* -- the same again -----------------------------------------------------------------------------
 */

static cth_status waits_a_little(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        CTH_WITH(&lock) {
            count++;
        }
        CTH_SIM_CHECK(cth_sleep_until(sim_soon()) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status sleepers(void *arg) {
    (void)arg;
    return two(waits_a_little, waits_a_little);
}

static void repeats_itself(void) {
    const sim_fn bugs[] = {loses_update, crossed, needs_two};
    for (int strategy = CTH_SIM_RANDOM; strategy <= (int)LAST; strategy++) {
        sim_calm = strategy == CTH_SIM_EXHAUSTIVE;
        cth_sim_desc desc = {.strategy = (cth_sim_strategy)strategy, .schedules = 20000};
        for (size_t i = 0; i < 3; i++) {
            const char *kind = bugs[i] == crossed ? "deadlock" : "check";
            const cth_sim_report first = fail(desc, bugs[i], kind);
            const cth_sim_report second = fail(desc, bugs[i], kind);
            check_same(&first, &second);
        }
        desc.faults = SIM_WAITS;
        desc.schedules = 100;
        const cth_sim_report first = pass(desc, sleepers);
        const cth_sim_report second = pass(desc, sleepers);
        check_same(&first, &second);
        CHECK(first.steps > first.schedules);
        desc.seed = 12345;
        const cth_sim_report third = pass(desc, sleepers);
        CHECK_EQ(third.steps == first.steps, strategy == CTH_SIM_EXHAUSTIVE);
    }
    sim_calm = false;
}

/* Threads of the system instead of fibers: the same schedules. */
static void engines_agree(void) {
    const sim_fn bugs[] = {loses_update, crossed, needs_two};
    for (int strategy = CTH_SIM_RANDOM; strategy <= CTH_SIM_PCT; strategy++) {
        cth_sim_desc desc = {
            .strategy = (cth_sim_strategy)strategy, .schedules = 2000, .no_shrink = true};
        for (size_t i = 0; i < 3; i++) {
            const char *kind = bugs[i] == crossed ? "deadlock" : "check";
            desc.threads = false;
            const cth_sim_report fibers = fail(desc, bugs[i], kind);
            desc.threads = true;
            const cth_sim_report threads = fail(desc, bugs[i], kind);
            check_same(&fibers, &threads);
        }
        desc.schedules = 50;
        desc.faults = SIM_WAITS;
        desc.threads = false;
        const cth_sim_report fibers = pass(desc, sleepers);
        desc.threads = true;
        const cth_sim_report threads = pass(desc, sleepers);
        check_same(&fibers, &threads);
    }
    cth_sim_desc desc = {.strategy = CTH_SIM_EXHAUSTIVE, .threads = true};
    const cth_sim_report threads = pass(desc, chooses);
    desc.threads = false;
    const cth_sim_report fibers = pass(desc, chooses);
    check_same(&fibers, &threads);
    CHECK_EQ(fibers.schedules, 6);
}

static void set_variable(const char *name, const char *value) {
    CHECK(value != NULL ? setenv(name, value, 1) == 0 : unsetenv(name) == 0);
}

/* A failing schedule is had again by its seed and by its list of changes, from the description and
   from the environment, with the same text but for the seed. */
static void replays(void) {
    const sim_fn bugs[] = {loses_update, crossed, needs_two};
    for (size_t i = 0; i < 6; i++) {
        const sim_fn bug = bugs[i % 3];
        const char *kind = bug == crossed ? "deadlock" : "check";
        cth_sim_desc desc = {.strategy = i < 3 ? CTH_SIM_RANDOM : CTH_SIM_PCT, .schedules = 20000};
        const cth_sim_report first = fail(desc, bug, kind);
        CHECK(first.seed != 0 && first.schedule[0] != '\0' && first.changes > 0);
        char seed[32];
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)first.seed);

        cth_sim_desc by_seed = desc;
        by_seed.seed = first.seed;
        by_seed.schedules = 1;
        cth_sim_report again = fail(by_seed, bug, kind);
        CHECK_EQ(again.schedules, 1);
        CHECK(again.seed == first.seed);
        CHECK_STR(again.text, first.text);
        CHECK_STR(again.schedule, first.schedule);
        set_variable("CTHREADS_SIM_SEED", seed);
        cth_sim_report by_variable = fail(desc, bug, kind);
        set_variable("CTHREADS_SIM_SEED", NULL);
        check_same(&by_variable, &again);

        cth_sim_desc by_schedule = by_seed;
        by_schedule.schedule = first.schedule;
        again = fail(by_schedule, bug, kind);
        CHECK_EQ(again.schedules, 1);
        CHECK_EQ(again.seed, 0); // a seed would not replay what the schedule does
        CHECK(strstr(again.text, "SEED") == NULL);
        CHECK_STR(strstr(again.text, "CTHREADS_SIM_SCHEDULE"),
                  strstr(first.text, "CTHREADS_SIM_SCHEDULE"));
        CHECK_STR(again.schedule, first.schedule);
        by_schedule.schedule = NULL;
        set_variable("CTHREADS_SIM_SCHEDULE", first.schedule);
        by_variable = fail(by_schedule, bug, kind);
        set_variable("CTHREADS_SIM_SCHEDULE", NULL);
        check_same(&by_variable, &again);
        by_schedule.schedule = "0:0"; // no changes: the plain course passes
        CHECK_EQ(pass(by_schedule, bug).schedules, 1);
        // What an exhaustive search reports has no seed.
        by_schedule.strategy = CTH_SIM_EXHAUSTIVE;
        by_schedule.schedule = first.schedule;
        again = fail(by_schedule, bug, kind);
        CHECK_EQ(again.seed, 0);
        CHECK(strstr(again.text, "SEED") == NULL);
        has(again.text, first.schedule);
    }
}

static void refuses_what_is_no_schedule(void) {
    const char *const bad[] = {"x",   "1",       "1:",      "1:0",     ":1",      "1:1,", ",1:1",
                               "1:x", "1:1;2:1", "5:1,3:1", "1:1,1:1", "1:1 2:1", "1::1"};
    cth_sim_desc desc = {.schedules = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        desc.schedule = bad[i];
        if (cth_sim_run(&desc, does_nothing, NULL) != CTH_INVALID) {
            test_fail(__FILE__, __LINE__, "\"%s\" was taken for a schedule", bad[i]);
        }
        desc.schedule = NULL;
        set_variable("CTHREADS_SIM_SCHEDULE", bad[i]);
        CHECK_STATUS(cth_sim_run(&desc, does_nothing, NULL), CTH_INVALID);
        set_variable("CTHREADS_SIM_SCHEDULE", NULL);
    }
    desc.schedule = "0:1,7:2,4000000000:1";
    CHECK_STATUS(cth_sim_run(&desc, does_nothing, NULL), CTH_OK); // places that are not reached
}

/* -- shrinking ----------------------------------------------------------------------------------
 */

static void shrinks(void) {
    const sim_fn bugs[] = {loses_update, crossed, needs_two};
    for (int strategy = CTH_SIM_RANDOM; strategy <= (int)LAST; strategy++) {
        sim_calm = strategy == CTH_SIM_EXHAUSTIVE;
        for (size_t i = 0; i < 3; i++) {
            const char *kind = bugs[i] == crossed ? "deadlock" : "check";
            cth_sim_desc desc = {
                .strategy = (cth_sim_strategy)strategy, .schedules = 20000, .strong = true};
            const cth_sim_report short_one = fail(desc, bugs[i], kind);
            desc.no_shrink = true;
            const cth_sim_report long_one = fail(desc, bugs[i], kind);
            CHECK(short_one.seed == long_one.seed);
            CHECK_EQ(short_one.schedules, long_one.schedules);
            CHECK(short_one.changes <= long_one.changes);
            CHECK(short_one.changes < long_one.changes || strategy != CTH_SIM_RANDOM);
            printf("     %s: %u changes, of %u\n", short_one.schedule, short_one.changes,
                   long_one.changes);
            // One change is the least, in the middle of one thread; two for the last bug.
            CHECK(short_one.changes >= (i == 2 ? 2 : 1) && short_one.changes <= 9);
            uint32_t changes = 1;
            for (const char *at = short_one.schedule; *at != '\0'; at++) {
                changes += *at == ',';
            }
            CHECK_EQ(changes, short_one.changes);
        }
    }
    sim_calm = false;
}

/* -- reports ------------------------------------------------------------------------------------
 */

static void reports_who_waits_for_what(void) {
    cth_sim_report report = fail((cth_sim_desc){0}, crossed, "deadlock");
    char line[640];
    snprintf(line, sizeof line, "  replay with CTHREADS_SIM_SEED=%llu\n  or with ",
             (unsigned long long)report.seed);
    has(report.text, line);
    snprintf(line, sizeof line, "CTHREADS_SIM_SCHEDULE=%s\n  fails at step ", report.schedule);
    has(report.text, line);
    has(report.text, "cthreads simulator: some name: deadlock: every thread waits");
    has(report.text, "virtual time 1.000000000 s");
    has(report.text, "  MainThread waits for join of Left");
    has(report.text, "  Left waits for mutex #");
    has(report.text, ", held by Right");
    has(report.text, "  Right waits for mutex #");
    has(report.text, ", held by Left");
    has(report.text, ", cthreads.h:"); // the operations of each thread, with their places
    CHECK(strstr(report.text, "a bucket's lock") == NULL); // the kit's own locks are left out
    CHECK(report.schedules >= 1 && report.steps >= report.schedules);
    report = fail((cth_sim_desc){0}, named, "deadlock");
    has(report.text, "  Left waits for mutex \"the second lock\", held by Right");
    has(report.text, "  Right waits for mutex \"the first lock\", held by Left");
    CHECK(strstr(report.text, "mutex #") == NULL);
}

static cth_status operates(void *arg) {
    static cth__ptr pointer;
    uint32_t nine = 9;
    (void)arg;
    fresh();
    atomic_init(&pointer, NULL);
    CTH_SIM_NAME(word, "the word");
    (void)cth__swap(&word, 4, release);
    (void)cth__sub(&word, 1, seq_cst);
    (void)cth__load(&word, acquire);
    (void)cth__cas(&word, &nine, 1, acq_rel, relaxed);
    cth__fence(seq_cst);
    cth__store(&pointer, &word, release);
    CTH_SIM_WRITE(count);
    return CTH_BROKEN;
}

static void reports_operations(void) {
    const cth_sim_report report = fail((cth_sim_desc){0}, operates, "check");
    const char *const lines[] = {"swap of \"the word\", 0 -> 4 (release)",
                                 "subtract from \"the word\", 4 -> 3 (seq_cst)",
                                 "load \"the word\", 3 (acquire)",
                                 "failed compare-and-swap of \"the word\", 3 (relaxed)",
                                 "fence ",
                                 "store #",
                                 ", 0 -> a pointer (release)",
                                 "write of #"};
    const char *at = report.text;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) { // in this order
        const char *line = strstr(at, lines[i]);
        if (line == NULL) {
            test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", lines[i], at);
        }
        at = line;
    }
    at = strstr(report.text, "fence ");
    const char *arrow = strstr(at, "->");
    CHECK(arrow == NULL || arrow > strchr(at, '\n')); // it has no value
    has(report.text, ", sim_explore.c:");
    has(report.text, "MainThread runs [here]");
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

static cth_status waits_alone(void *arg) {
    fresh();
    return waits_for_event(arg);
}

static cth_status keeps_the_lock(void *arg) {
    (void)arg;
    CTH_SIM_NAME(lock, "the lock");
    return cth_mutex_lock(&lock);
}

static cth_status returns_locked(void *arg) {
    fresh();
    return keeps_the_lock(arg);
}

static cth_status thread_ends_locked(void *arg) {
    (void)arg;
    return two(keeps_the_lock, does_nothing);
}

static cth_status locks_twice(void *arg) {
    (void)arg;
    fresh();
    CTH_WITH(&lock) {
        CTH_WITH(&lock) {
            count++;
        }
    }
    return CTH_OK;
}

static cth_status races(void *arg) {
    (void)arg;
    CTH_SIM_WRITE(count);
    return CTH_OK;
}

static cth_status both_race(void *arg) {
    (void)arg;
    return two(races, races);
}

static cth_status uses_freed(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_FREED(lock);
    CTH_SIM_CHECK(!cth_mutex_is_locked(&lock));
    return CTH_OK;
}

static void finds_each_kind(void) {
    const cth_sim_desc desc = {0};
    const cth_sim_desc few_steps = {.max_steps = 1234};
    cth_sim_report report = fail(few_steps, yields_for_ever, "steps");
    CHECK_EQ(report.schedules, 1);
    CHECK_EQ(report.steps, 1235);
    has(report.text, "1234 steps");
    report = fail(desc, waits_alone, "deadlock");
    CHECK_EQ(report.changes, 0);
    has(report.text, "CTHREADS_SIM_SCHEDULE=0:0");
    report = fail(desc, returns_closed, "check");
    has(report.text, "CTH_CLOSED");
    report = fail(desc, check_fails, "check");
    has(report.text, "1 + 1 == 3");
    has(report.text, "sim_explore.c:");
    report = fail(desc, fails_by_itself, "my kind");
    has(report.text, "number 7");
    (void)fail(desc, leaks_a_handle, "memory left");
    report = fail(desc, leaves_a_thread, "thread left");
    has(report.text, "Thread-1 waits for event");
    report = fail(desc, returns_locked, "lock left");
    has(report.text, "MainThread ends while it holds \"the lock\"");
    report = fail(desc, thread_ends_locked, "lock left");
    has(report.text, "Left ends while it holds \"the lock\"");
    (void)fail(desc, locks_twice, "misuse");
    (void)fail(desc, both_race, "data race");
    (void)fail(desc, uses_freed, "freed");
    CHECK_STATUS(cth_sim_run(&desc, NULL, NULL), CTH_INVALID);
    (void)pass(desc, starts_two); // it goes on after all of these
}

/* -- what is printed ----------------------------------------------------------------------------
 */

static cth_status aborts(void *arg) {
    (void)arg;
    if (cth__load(&word, relaxed) == 1) {
        abort();
    }
    return CTH_OK;
}

static cth_status writes_nowhere(void *arg) {
    static int *volatile nowhere;
    (void)arg;
    if (cth__load(&word, relaxed) == 1) {
        *nowhere = 1;
    }
    return CTH_OK;
}

/* Use more stack than a fiber has. */
static int goes_deep(int left) {
    volatile char room[4096];
    room[0] = (char)left;
    return left == 0 ? 0 : goes_deep(left - 1) + room[0];
}

static cth_status overflows(void *arg) {
    (void)arg;
    if (cth__load(&word, relaxed) == 1) {
        return goes_deep(100000) == 7 ? CTH_OK : CTH_FAILED;
    }
    return CTH_OK;
}

static cth_status crash_by_overflow(void *arg) {
    (void)arg;
    return two(stores_one_and_two, overflows);
}

static cth_status crash_by_abort(void *arg) {
    (void)arg;
    return two(stores_one_and_two, aborts);
}

static cth_status crash_by_pointer(void *arg) {
    (void)arg;
    return two(stores_one_and_two, writes_nowhere);
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

static void reports_crashes(void) {
#if !CTH__SANITIZER // which report these themselves
    static char out[20000], again[20000];
    const struct {
        const char *mode;
        int number;
    } crashes[] = {{"abort", SIGABRT},
                   {"pointer", SIGSEGV},
                   {"pointer-threads", SIGSEGV},
                   {"overflow", SIGSEGV}};
    for (size_t i = 0; i < (CTH__FIBERS ? 4 : 3); i++) {
        CHECK_EQ(run_mode("", crashes[i].mode, out, sizeof out), 128 + crashes[i].number);
        char part[64];
        snprintf(part, sizeof part, "simulator: a crash: crash: signal %d", crashes[i].number);
        has(out, part);
        has(out, "Right runs [here]");
        const char *seed = strstr(out, "CTHREADS_SIM_SEED=");
        CHECK(seed != NULL && strstr(out, "not reached") == NULL);
        char variable[64];
        snprintf(variable, sizeof variable, "%.*s", (int)strcspn(seed, "\n"), seed);
        CHECK_EQ(run_mode(variable, crashes[i].mode, again, sizeof again), 128 + crashes[i].number);
        CHECK_STR(again, out);
    }
#endif
}

static void prints_unless_quiet(void) {
    static char out[20000];
    CHECK_EQ(run_mode("", "loud", out, sizeof out), 0);
    const char *text = strstr(out, "cthreads simulator: loud: check: ");
    CHECK(text != NULL);
    CHECK(strstr(text + 1, "cthreads simulator:") == NULL); // once, after all of the shrinking
    CHECK_EQ(run_mode("", "quiet", out, sizeof out), 0);
    CHECK_STR(out, "");
}

static int run_as(const char *mode) {
    const bool threads = strcmp(mode, "pointer-threads") == 0;
    cth_sim_desc desc = {.name = "a crash", .schedules = 20000, .threads = threads};
    if (strcmp(mode, "loud") == 0 || strcmp(mode, "quiet") == 0) {
        desc.name = mode;
        desc.quiet = strcmp(mode, "quiet") == 0;
        return cth_sim_run(&desc, loses_update, NULL) == CTH_FAILED ? 0 : 1;
    }
    const sim_fn fn = strcmp(mode, "abort") == 0      ? crash_by_abort
                      : strcmp(mode, "overflow") == 0 ? crash_by_overflow
                                                      : crash_by_pointer;
    const cth_status status = cth_sim_run(&desc, fn, NULL);
    printf("not reached: %s\n", cth_status_name(status));
    return EXIT_FAILURE;
}

static const test_case tests[] = {
    TEST(searches_everything_once),
    TEST(searches_at_yields),
    TEST(searches_what_moves),
    TEST(counts_as_by_hand),
    TEST(keeps_to_its_bounds),
    TEST(searches_faults),
    TEST(notices_a_scenario_that_differs),
    TEST(finds_bugs_of_a_depth),
    TEST(repeats_itself),
    TEST(engines_agree),
    TEST(replays),
    TEST(refuses_what_is_no_schedule),
    TEST(shrinks),
    TEST(reports_who_waits_for_what),
    TEST(reports_operations),
    TEST(finds_each_kind),
    TEST(reports_crashes),
    TEST(prints_unless_quiet),
};

int main(int argc, char **argv) {
    if (argc == 2 && strncmp(argv[1], "mode-", 5) == 0) {
        return run_as(argv[1] + 5);
    }
    const ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    if (n <= 0) {
        return EXIT_FAILURE;
    }
    self_path[n] = '\0';
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
