/* sim_time.c - virtual time: it moves only when it may, exactly as far as it must, never back

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L // setenv
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_mutex lock;
static int order[3];
static int n_order;

static void fresh(void) {
    static const cth_mutex zero = CTH_MUTEX_INIT;
    lock = zero;
    n_order = 0;
    sim_begin();
}

static cth_status sleeps_seconds(void *arg) {
    const int seconds = *(int *)arg;
    const cth_time begin = cth_now();
    CTH_SIM_CHECK(cth_sleep(CTH_S(seconds)) == CTH_OK);
    CTH_SIM_CHECK(cth_now() >= begin + CTH_S(seconds));
    CTH_WITH(&lock) {
        order[n_order++] = seconds;
    }
    return CTH_OK;
}

/* Sleepers wake in the order of their deadlines; the whole takes as long as the longest. */
static cth_status sleep_sort(void *arg) {
    static int seconds[3] = {3, 1, 2};
    cth_thread *threads[3];
    (void)arg;
    fresh();
    const cth_time begin = cth_now();
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(sleeps_seconds, &seconds[i]);
    }
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    for (int i = 0; i < 3; i++) {
        CTH_SIM_CHECK(order[i] == i + 1);
    }
    CTH_SIM_CHECK(cth_now() == begin + CTH_S(3));
    return CTH_OK;
}

static bool done;

static cth_status looks_at_clock(void *arg) {
    cth_time last = cth_now();
    (void)arg;
    while (!done) {
        const cth_time now = cth_now();
        CTH_SIM_CHECK(now >= last);
        last = now;
        cth_yield();
    }
    return CTH_OK;
}

/* Never back and never early, also with deadlines that are past, and with faults. */
static cth_status never_early(void *arg) {
    (void)arg;
    fresh();
    done = false;
    cth_thread *t = sim_spawn(looks_at_clock, NULL);
    for (int i = 0; i < 4; i++) {
        const cth_time deadline = cth_after(CTH_US(cth_sim_choose(3)));
        CTH_SIM_CHECK(cth_sleep_until(deadline) == CTH_OK);
        CTH_SIM_CHECK(cth_now() >= deadline);
    }
    CTH_SIM_CHECK(cth_sleep_until(0) == CTH_OK);
    CTH_SIM_CHECK(cth_sleep_until(-1) == CTH_INVALID);
    CTH_SIM_CHECK(cth_sleep(-1) == CTH_INVALID);
    done = true;
    sim_join(t);
    return CTH_OK;
}

/* The wall clock starts on 1 January 2026, UTC whatever the time zone, and follows. */
static cth_status wall(void *arg) {
    char text[CTH_WALL_TEXT_SIZE];
    (void)arg;
    sim_begin();
    const cth_time begin = cth_wall_now();
    CTH_SIM_CHECK(strncmp(cth_wall_text(begin, text), "Thu Jan  1 00:00:0", 18) == 0);
    CTH_SIM_CHECK(strcmp(text + 19, " 2026") == 0);
    CTH_SIM_CHECK(cth_sleep(CTH_S(86400)) == CTH_OK);
    CTH_SIM_CHECK(cth_wall_now() == begin + CTH_S(86400));
    CTH_SIM_CHECK(strncmp(cth_wall_text(cth_wall_now(), text), "Fri Jan  2 00:00:0", 18) == 0);
    return CTH_OK;
}

/* Bug: a deadline counted anew in each round of a loop: spurious wake-ups put it off. */
static cth__word word;

static cth_status renews_deadline(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&word, 0);
    const cth_time end = cth_after(CTH_S(1));
    cth_time until = end;
    do {
        CTH_SIM_CHECK(cth_sleep(CTH_MS(1)) == CTH_OK);
        if (planted) {
            until = cth_after(CTH_S(1));
        }
        cth__wait_on(NULL, &word, 0, until);
    } while (cth_now() < until);
    CTH_SIM_CHECK(cth_now() == end);
    return CTH_OK;
}

/* Bug: sleeping for a while instead of waiting: the other thread may take longer. */
static int result;

static cth_status computes(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sleep(CTH_MS(1)) == CTH_OK);
    result = 42;
    return CTH_OK;
}

static cth_status sleeps_to_wait(void *arg) {
    (void)arg;
    fresh();
    result = 0;
    cth_thread *t = sim_spawn(computes, NULL);
    CTH_SIM_CHECK(cth_sleep(planted ? CTH_MS(1) : CTH_S(10)) == CTH_OK);
    if (!planted) {
        sim_join(t);
    }
    CTH_SIM_CHECK(result == 42);
    if (planted) {
        sim_join(t);
    }
    return CTH_OK;
}

static void passes_sleep_sort(void) {
    SIM_PASS(sleep_sort, CTH_SIM_SPURIOUS, 2000);
}
static void passes_never_early(void) {
    SIM_PASS(never_early, SIM_WAITS, 2000);
    SIM_PASS(never_early, SIM_ALL, 1000);
}
static void passes_wall(void) {
    CHECK(setenv("TZ", "XYZ-5", 1) == 0);
    SIM_PASS(wall, SIM_WAITS, 100);
}
static void finds_renewed_deadline(void) {
    SIM_FOUND(renews_deadline, CTH_SIM_SPURIOUS, "check");
}
static void finds_sleep_to_wait(void) {
    SIM_FOUND(sleeps_to_wait, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_sleep_sort),      TEST(passes_never_early),  TEST(passes_wall),
    TEST(finds_renewed_deadline), TEST(finds_sleep_to_wait),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
