/* sim_main.c - the main-thread rule and progress under many schedules, and a bug that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"
#include <fcntl.h>
#include <unistd.h>

enum { POSTERS = 2, EACH = 2 };

static cth_main ui;
static int seen[POSTERS]; // written by the owner alone
static int refused;       // under `lock`
static cth_mutex lock;
static cth_progress progress;

static void fresh(void) {
    static const cth_mutex open = CTH_MUTEX_INIT;
    lock = open;
    refused = 0;
    memset(seen, 0, sizeof seen);
    sim_begin();
    CTH_SIM_CHECK(cth_main_init(&ui) == CTH_OK);
}

typedef struct note {
    int poster, number;
} note;

static cth_status runs(void *arg) {
    const note *n = (const note *)arg;
    CTH_SIM_CHECK(cth_main_is_owner(&ui));
    CTH_SIM_WRITE(seen[n->poster]);
    CTH_SIM_CHECK(seen[n->poster] == n->number);
    seen[n->poster]++;
    return CTH_OK;
}

static cth_status post(int poster, int number) {
    const note n = {poster, number};
    cth_status status;
    while ((status = cth_main_post(&ui, runs, &n, sizeof n)) == CTH_NOMEM) {
        cth_yield();
    }
    return status;
}

static cth_status posts(void *arg) {
    const int me = *(int *)arg;
    for (int i = 0; i < EACH; i++) {
        const cth_status status = post(me, i);
        if (status != CTH_OK) {
            CTH_SIM_CHECK(status == CTH_SHUTDOWN);
            CTH_WITH(&lock) {
                refused += EACH - i;
            }
            break;
        }
        if (planted) {
            CTH_SIM_READ(seen[me]);
        }
    }
    return CTH_OK;
}

static cth_status stops(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_main_stop(&ui) == CTH_OK);
    return CTH_OK;
}

static cth_thread *posters[POSTERS];
static int numbers[POSTERS] = {0, 1};

static void start(void) {
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = sim_spawn(posts, &numbers[i]);
    }
}

static void end(void) {
    for (int i = 0; i < POSTERS; i++) {
        sim_join(posters[i]);
    }
    CTH_SIM_CHECK(seen[0] + seen[1] + refused == POSTERS * EACH);
    CTH_SIM_CHECK(cth_main_destroy(&ui) == CTH_OK);
}

/* All that was accepted runs, in each poster's order, before run returns. */
static cth_status stopped(void *arg) {
    (void)arg;
    fresh();
    start();
    cth_thread *stopper = sim_spawn(stops, NULL);
    CTH_SIM_CHECK(cth_main_run(&ui) == CTH_OK);
    const note late = {0, 0};
    const cth_status status = cth_main_post(&ui, runs, &late, sizeof late);
    CTH_SIM_CHECK(status == CTH_SHUTDOWN || status == CTH_NOMEM);
    sim_join(stopper);
    end();
    return CTH_OK;
}

/* The event is set whenever there is something; a wait for it, and a drain, lose nothing. */
static cth_status drained(void *arg) {
    int fd;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_main_fd(&ui, &fd) == CTH_UNSUPPORTED);
    start();
    while (seen[0] + seen[1] < POSTERS * EACH) {
        cth_status status;
        CTH_SIM_CHECK(CTH_SELECT(&status, CTH_ON_EVENT(cth_main_event(&ui))) == 0);
        CTH_SIM_CHECK(cth_main_drain(&ui) == CTH_OK);
    }
    CTH_SIM_CHECK(!cth_event_is_set(cth_main_event(&ui)));
    end();
    return CTH_OK;
}

static cth_status until(void *arg) {
    (void)arg;
    fresh();
    start();
    while (seen[0] + seen[1] < POSTERS * EACH) {
        const cth_time deadline = sim_soon();
        CTH_SIM_CHECK(cth_main_run_until(&ui, deadline) == CTH_TIMEDOUT);
    }
    end();
    return CTH_OK;
}

static cth_status adds(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cth_progress_add(&progress, 2);
        (void)cth_sleep(CTH_MS(60));
    }
    return CTH_OK;
}

/* No unit is lost, whoever looks at the clock. */
static cth_status counted(void *arg) {
    const cth_progress_desc desc = {.total = 20, .width = 60, .fd = *(int *)arg, .always = true};
    sim_begin();
    CTH_SIM_CHECK(cth_progress_init(&progress, &desc) == CTH_OK);
    sim_together(adds, NULL, 3);
    CTH_SIM_CHECK(cth_progress_count(&progress) == 18);
    cth_progress_add(&progress, UINT32_C(1) << 31);
    cth_progress_finish(&progress);
    CTH_SIM_CHECK(cth_progress_count(&progress) == 18 + (UINT64_C(1) << 31));
    return CTH_OK;
}

static int nowhere;

static cth_status counts(void *arg) {
    (void)arg;
    return counted(&nowhere);
}

/* Time is virtual, so each line is known: the rate, the time left, at most ten a second. */
static cth_status drawn(void *arg) {
    static const char lines[] = "\rcopy:   0%|                         | 0/4000 [00:00<?, ?/s]"
                                "\rcopy:  25%|###            | 1000/4000 [01:00<03:00, 16.7/s]";
    static const char unknown[] = "\r0 [00:00, ?/s]"
                                  "\r5000000 [1:01:01, 1.37k/s]"
                                  "\r5000001 [1:01:01, 1.37k/s]\n";
    char text[2000];
    int ends[2];
    (void)arg;
    sim_begin();
    CTH_SIM_CHECK(pipe(ends) == 0);
    cth_progress_desc desc = {
        .label = "copy", .total = 4000, .width = 60, .fd = ends[1], .always = true};
    CTH_SIM_CHECK(cth_progress_init(&progress, &desc) == CTH_OK);
    (void)cth_sleep(CTH_S(60));
    cth_progress_add(&progress, 1000);
    for (int i = 0; i < 1000; i++) {
        cth_progress_add(&progress, 1); // no time has passed: nothing is drawn
    }
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n] = '\0';
    CTH_SIM_CHECK(strcmp(text, lines) == 0);
    cth_progress_finish(&progress);
    n = read(ends[0], text, sizeof text);
    CTH_SIM_CHECK(n > 0 && text[n - 1] == '\n' && memcmp(text, "\rcopy:  50%", 11) == 0);
    desc.total = 0;
    desc.label = NULL;
    CTH_SIM_CHECK(cth_progress_init(&progress, &desc) == CTH_OK);
    (void)cth_sleep(CTH_S(3661));
    cth_progress_add(&progress, 5000000);
    cth_progress_add(&progress, 1);
    cth_progress_finish(&progress);
    n = read(ends[0], text, sizeof text - 1);
    text[n] = '\0';
    CTH_SIM_CHECK(strcmp(text, unknown) == 0);
    // A hundred units a second for ten seconds: a line each tenth of it.
    CTH_SIM_CHECK(cth_progress_init(&progress, &desc) == CTH_OK);
    for (int i = 0; i < 1000; i++) {
        (void)cth_sleep(CTH_MS(10));
        cth_progress_add(&progress, 1);
    }
    n = read(ends[0], text, sizeof text);
    int drawn_lines = 0;
    for (ssize_t i = 0; i < n; i++) {
        drawn_lines += text[i] == '\r';
    }
    CTH_SIM_CHECK(drawn_lines > 60 && drawn_lines <= 101);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return CTH_OK;
}

static void exact_lines(void) {
    sim_run("drawn", drawn, 0, CTH_SIM_RANDOM, 1);
}

#define SCENARIO(fn, faults)      \
  static void passes_##fn(void) { \
    SIM_PASS(fn, 0, 1000);        \
    SIM_PASS(fn, faults, 1000);   \
  }
SCENARIO(stopped, SIM_ALL)
SCENARIO(drained, SIM_ALL)
SCENARIO(until, SIM_ALL)
SCENARIO(counts, SIM_ALL)

static void finds_access_by_another_thread(void) {
    SIM_FOUND(stopped, 0, "data race");
}

static const test_case tests[] = {
    TEST(passes_stopped), TEST(passes_drained), TEST(passes_until),
    TEST(exact_lines),    TEST(passes_counts),  TEST(finds_access_by_another_thread),
};

int main(int argc, char **argv) {
    nowhere = open("/dev/null", O_WRONLY);
    CHECK(nowhere > 0);
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
