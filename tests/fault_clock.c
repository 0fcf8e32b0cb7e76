/* fault_clock.c - timed waits do not care about the wall clock.

   By itself it makes each kind of timed wait and sees that none is early. fault_clock.sh runs it
   under faketime: with a wall clock two days ahead or three days behind, and, where
   FAULT_CLOCK_FILE names the file that libfaketime reads, with a wall clock that jumps to and fro
   while the waits go on. A wait that follows the wall clock is early then, or never ends; the
   watchdog sees the latter. fault_clock_portable.c is the same program on the portable park. */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <time.h>

static const int64_t day = INT64_C(86400) * 1000000000;

static int64_t clock_ns(clockid_t id) {
    struct timespec now;
    CHECK_EQ(clock_gettime(id, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static cth_mutex held;
static cth_mutex lock;
static cth_cond cond;
static cth_sem sem;
static cth_event never;
static cth_event gate;
static cth_thread *sleeper;
static atomic_int waiting;
static cth_time span; // how long each wait lasts

static cth_status do_sleep(cth_time deadline) {
    return cth_sleep_until(deadline);
}

static cth_status do_mutex(cth_time deadline) {
    return cth_mutex_lock_until(&held, deadline);
}

static cth_status do_cond(cth_time deadline) {
    cth_status status = CTH_OK;
    CTH_WITH(&lock) {
        status = CTH_WAIT_WHILE(&cond, &lock, true, deadline);
    }
    return status;
}

static cth_status do_sem(cth_time deadline) {
    return cth_sem_acquire_until(&sem, deadline);
}

static cth_status do_event(cth_time deadline) {
    return cth_event_wait_until(&never, deadline);
}

static cth_status do_join(cth_time deadline) {
    return cth_thread_join_until(sleeper, NULL, deadline);
}

static cth_status do_cancel(cth_time deadline) {
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, deadline), CTH_OK);
    cth_status status = CTH_OK;
    CTH_UNDER(&token) {
        status = cth_event_wait(&never);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    return status;
}

typedef struct wait_case {
    const char *name;
    cth_status (*wait)(cth_time deadline);
    cth_status result;
} wait_case;

static const wait_case cases[] = {
    {"sleep", do_sleep, CTH_OK},          {"mutex", do_mutex, CTH_TIMEDOUT},
    {"cond", do_cond, CTH_TIMEDOUT},      {"sem", do_sem, CTH_TIMEDOUT},
    {"event", do_event, CTH_TIMEDOUT},    {"join", do_join, CTH_TIMEDOUT},
    {"cancel", do_cancel, CTH_CANCELLED},
};

enum { CASES = TEST_COUNT(cases) };

static cth_status wait_one(void *arg) {
    const wait_case *c = arg;
    const int64_t begin = clock_ns(CLOCK_MONOTONIC);
    const cth_time deadline = cth_after(span);
    atomic_fetch_add(&waiting, 1);
    const cth_status status = c->wait(deadline);
    const int64_t took = clock_ns(CLOCK_MONOTONIC) - begin;
    if (status != c->result || took < span) {
        fprintf(stderr, "%s: %s after %lld ns\n", c->name, cth_status_name(status),
                (long long)took);
    }
    CHECK_STATUS(status, c->result);
    CHECK(took >= span);
    return CTH_OK;
}

static cth_status hold(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_mutex_lock(&held), CTH_OK);
    const cth_status status = cth_event_wait(&gate);
    CHECK_STATUS(cth_mutex_unlock(&held), CTH_OK);
    return status;
}

/* All kinds at the same time; `meanwhile` runs when each is at its call. */
static void wait_all(void (*meanwhile)(void)) {
    CHECK_STATUS(cth_event_clear(&gate), CTH_OK);
    sleeper = test_spawn(hold, NULL);
    while (!cth_mutex_is_locked(&held)) {
        cth_yield();
    }
    atomic_store(&waiting, 0);
    cth_thread *threads[CASES];
    for (int i = 0; i < CASES; i++) {
        threads[i] = test_spawn(wait_one, (void *)(uintptr_t)&cases[i]);
    }
    test_reach(&waiting, CASES);
    meanwhile();
    for (int i = 0; i < CASES; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_STATUS(cth_event_set(&gate), CTH_OK);
    CHECK_STATUS(test_join(sleeper), CTH_OK);
}

static void nothing(void) {}

/* FAULT_CLOCK_REAL is the true time in seconds: a wall clock less than a day off is not faked. */
static void wrong_clock(void) {
    const char *real = getenv("FAULT_CLOCK_REAL");
    if (real != NULL) {
        const int64_t off = cth_wall_now() - (int64_t)strtoll(real, NULL, 10) * 1000000000;
        CHECK(off > day || off < -day);
    }
    for (int i = 0; i < 3; i++) {
        span = CTH_MS(20) << i;
        wait_all(nothing);
    }
}

static const char *jump_file;
static const char *jump_to;

/* Move the wall clock and see that it has moved. */
static void jump(void) {
    char name[512];
    CHECK(snprintf(name, sizeof name, "%s.new", jump_file) < (int)sizeof name);
    const int64_t before = clock_ns(CLOCK_REALTIME);
    FILE *file = fopen(name, "w");
    CHECK(file != NULL);
    CHECK(fprintf(file, "%s\n", jump_to) > 0);
    CHECK_EQ(fclose(file), 0);
    CHECK_EQ(rename(name, jump_file), 0);
    const int64_t moved = clock_ns(CLOCK_REALTIME) - before;
    CHECK(moved > day || moved < -day);
}

static void jumping_clock(void) {
    jump_file = getenv("FAULT_CLOCK_FILE");
    if (jump_file == NULL) {
        return;
    }
    static const char *const jumps[] = {"+2d", "-3d", "+2d", "+0", "-3d", "+0"};
    span = CTH_MS(200);
    for (size_t i = 0; i < TEST_COUNT(jumps); i++) {
        jump_to = jumps[i];
        wait_all(jump);
    }
}

/* With the argument `plain`: 0 when libfaketime can be loaded into this build, 77 for the
   sanitizers, which must come first and have clocks of their own. */
static int is_plain(void) {
#if TEST_TSAN || defined(__SANITIZE_ADDRESS__)
    return 77;
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
    return 77;
#  endif
#endif
    return 0;
}

int main(int argc, char **argv) {
    static const test_case tests[] = {TEST(wrong_clock), TEST(jumping_clock)};
    if (argc == 2 && strcmp(argv[1], "plain") == 0) {
        return is_plain();
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
