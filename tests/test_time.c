/* test_time.c - the monotonic clock, deadlines, sleeping, the wall clock

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L // setenv, tzset, pthread_kill
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"
#include <time.h>

static void now_never_goes_back(void) {
    cth_time last = cth_now();
    CHECK(last >= 0);
    for (int i = 0; i < 200000; i++) {
        const cth_time now = cth_now();
        CHECK(now >= last);
        last = now;
    }
}

static cth_sem handed;
static cth_time stamp;

static cth_status stamps(void *arg) {
    (void)arg;
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(cth_sem_acquire(&handed), CTH_OK);
        CHECK(cth_now() >= stamp);
    }
    return CTH_OK;
}

static void now_is_one_clock_for_all_threads(void) {
    CHECK_STATUS(cth_sem_init(&handed, 0, NULL), CTH_OK);
    stamp = cth_now();
    cth_thread *thread = test_spawn(stamps, NULL);
    for (int i = 0; i < 100; i++) {
        cth_sem_release(&handed);
    }
    CHECK_STATUS(test_join(thread), CTH_OK);
}

static void after_adds_to_now(void) {
    static const cth_time spans[] = {0, 1, 999999999, CTH_S(1), CTH_S(1e6), CTH_S(9e9) / 2};
    for (size_t i = 0; i < TEST_COUNT(spans); i++) {
        const cth_time before = cth_now();
        const cth_time deadline = cth_after(spans[i]);
        const cth_time after = cth_now();
        CHECK(deadline >= before + spans[i] && deadline <= after + spans[i]);
    }
}

static void after_a_huge_span_is_forever(void) {
    CHECK_EQ(cth_after(INT64_MAX), CTH_FOREVER);
    CHECK_EQ(cth_after(CTH_FOREVER), CTH_FOREVER);
    CHECK_EQ(cth_after(INT64_MAX - 1), CTH_FOREVER);
    // A sum that still fits, and one that just does not.
    CHECK(cth_after(INT64_MAX - cth_now() - CTH_S(60)) <= CTH_FOREVER);
    CHECK(cth_after(INT64_MAX - cth_now() - CTH_S(60)) > cth_now());
    CHECK_EQ(cth_after(INT64_MAX - cth_now()), CTH_FOREVER);
}

static void after_a_negative_span_is_negative(void) {
    static const cth_time spans[] = {-1, -2, -CTH_S(1), -CTH_S(1e9), INT64_MIN + 1, INT64_MIN};
    for (size_t i = 0; i < TEST_COUNT(spans); i++) {
        CHECK(cth_after(spans[i]) < 0);
    }
    CHECK(cth_after(-cth_now()) < 0 || cth_now() == 0);
}

static void units(void) {
    CHECK_EQ(CTH_NS(7), 7);
    CHECK_EQ(CTH_US(7), 7000);
    CHECK_EQ(CTH_MS(50), 50000000);
    CHECK_EQ(CTH_S(2), 2000000000);
    CHECK_EQ(CTH_S(0.1), 100000000);
    CHECK_EQ(CTH_MS(0.5), 500000);
    CHECK_EQ(CTH_S(-1), -1000000000);
    CHECK_EQ(CTH_S(3000000000U), INT64_C(3000000000) * 1000000000);
    const int n = 3;
    CHECK_EQ(CTH_MS(n + 1), 4000000);
    CHECK_EQ(CTH_S((unsigned char)200), INT64_C(200000000000));
    CHECK_EQ(sizeof(CTH_NS(1)), sizeof(int64_t));
}

static void sleep_is_never_early(void) {
    static const cth_time spans[] = {0,      1,       999,     1000,     50000,
                                     999999, 1000000, 1000001, 30000000, 999999999};
    for (size_t i = 0; i < TEST_COUNT(spans); i++) {
        const cth_time before = cth_now();
        CHECK_STATUS(cth_sleep(spans[i]), CTH_OK);
        CHECK(cth_now() - before >= spans[i]);
        const cth_time deadline = cth_after(spans[i] / 10);
        CHECK_STATUS(cth_sleep_until(deadline), CTH_OK);
        CHECK(cth_now() >= deadline);
    }
}

static void sleep_refuses_negative_times(void) {
    CHECK_STATUS(cth_sleep(-1), CTH_INVALID);
    CHECK_STATUS(cth_sleep(INT64_MIN), CTH_INVALID);
    CHECK_STATUS(cth_sleep_until(-1), CTH_INVALID);
    CHECK_STATUS(cth_sleep_until(INT64_MIN), CTH_INVALID);
    CHECK_STATUS(cth_sleep_until(cth_after(-1)), CTH_INVALID);
}

static void sleep_until_the_past_returns(void) {
    CHECK_STATUS(cth_sleep_until(0), CTH_OK);
    CHECK_STATUS(cth_sleep_until(1), CTH_OK);
    CHECK_STATUS(cth_sleep_until(cth_now()), CTH_OK);
}

static cth_status sleeps(void *object, cth_time span) {
    (void)object;
    return cth_sleep(span);
}

static cth_status sleeps_until(void *object, cth_time deadline) {
    (void)object;
    return cth_sleep_until(deadline);
}

static void long_sleeps_end_when_cancelled(void) {
    static const struct {
        test_wait_fn wait;
        cth_time time;
    } cases[] = {
        {sleeps, CTH_S(3600)}, {sleeps, INT64_MAX / 2},       {sleeps, INT64_MAX - 1},
        {sleeps, INT64_MAX},   {sleeps_until, INT64_MAX - 1}, {sleeps_until, CTH_FOREVER},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        cth_cancel token = CTH_CANCEL_INIT;
        test_waiter w = {.token = &token};
        test_waiter_start(&w, cases[i].wait, NULL, cases[i].time);
        test_waiter_asleep(&w);
        CHECK_EQ(atomic_load(&w.done), 0);
        CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
        CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    }
}

static void a_sleeper_uses_no_cpu(void) {
    // Kind of bug: a 64-bit timespec for the 32-bit system call makes each wait end at once, and the
    // loop around it turn until the deadline. 0.7 s after a whole second, so that cutting off the
    // nanoseconds would show.
    const cth_time whole = cth_now() / CTH_S(1) * CTH_S(1);
    CHECK_STATUS(cth_sleep_until(whole + CTH_S(1)), CTH_OK);
    const clock_t before = clock();
    CHECK_STATUS(cth_sleep_until(whole + CTH_S(1) + CTH_MS(700)), CTH_OK);
    CHECK(clock() - before < CLOCKS_PER_SEC * 35 / 100);
}

static atomic_int signals;

static void on_signal(int number) {
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static pthread_t sleeper;
static atomic_int sleeper_known;

static cth_status sleeps_through_signals(void *object, cth_time span) {
    (void)object;
    // musl 1.2.3 starts the threads of thrd_create with all signals blocked.
    sigset_t set;
    CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR1) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
    sleeper = pthread_self();
    atomic_store(&sleeper_known, 1);
    const cth_time before = cth_now();
    CHECK_STATUS(cth_sleep(span), CTH_OK);
    CHECK(cth_now() - before >= span);
    return CTH_OK;
}

static void signals_do_not_shorten_sleep(void) {
    struct sigaction action = {0}, old;
    action.sa_handler = on_signal; // no SA_RESTART: system calls return EINTR
    CHECK(sigaction(SIGUSR1, &action, &old) == 0);
    do { // once more when this thread was too slow to send any
        test_waiter w = {0};
        atomic_store(&sleeper_known, 0);
        test_waiter_start(&w, sleeps_through_signals, NULL, CTH_MS(100));
        test_reach(&sleeper_known, 1);
        while (atomic_load(&w.done) == 0) {
            // The thread is joined below, so its number is valid here.
            CHECK(pthread_kill(sleeper, SIGUSR1) == 0);
            cth_yield();
        }
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    } while (atomic_load(&signals) == 0 && !TEST_TSAN); // which holds signals back
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

static atomic_int turn;

static cth_status takes_turns(void *arg) {
    const int me = *(int *)arg;
    for (int i = 0; i < 200; i++) {
        while (atomic_load(&turn) % 2 != me) {
            cth_yield();
        }
        atomic_fetch_add(&turn, 1);
    }
    return CTH_OK;
}

static void yield_lets_others_run(void) {
    int me[2] = {0, 1};
    atomic_store(&turn, 0);
    cth_thread *a = test_spawn(takes_turns, &me[0]);
    cth_thread *b = test_spawn(takes_turns, &me[1]);
    CHECK_STATUS(test_join(a), CTH_OK);
    CHECK_STATUS(test_join(b), CTH_OK);
    CHECK_EQ(atomic_load(&turn), 400);
}

static void wall_clock_is_the_system_s(void) {
    const time_t before = time(NULL);
    const cth_time wall = cth_wall_now();
    const time_t after = time(NULL);
    // time() may read a coarser clock that lags by a tick.
    CHECK(wall / CTH_S(1) >= before - 1);
    CHECK(wall / CTH_S(1) <= after + 1);
}

static void wall_text_is_ctime_s(void) {
    static const cth_time seconds[] = {0,         1,          59,         86399,      86400,
                                       951782400, 1000000000, 1767225600, 4102444799, 9000000000};
    static const char *zones[] = {"UTC0", "EST5EDT", "XYZ-05:30"};
    for (size_t z = 0; z < TEST_COUNT(zones); z++) {
        CHECK(setenv("TZ", zones[z], 1) == 0);
        tzset();
        for (size_t i = 0; i < TEST_COUNT(seconds); i++) {
            char text[CTH_WALL_TEXT_SIZE], want[CTH_WALL_TEXT_SIZE];
            const time_t t = (time_t)seconds[i];
            struct tm tm;
            CHECK(localtime_r(&t, &tm) != NULL);
            CHECK(strftime(want, sizeof want, "%a %b %e %H:%M:%S %Y", &tm) == 24);
            CHECK(cth_wall_text(CTH_S(seconds[i]), text) == text);
            CHECK_STR(text, want);
            CHECK_STR(cth_wall_text(CTH_S(seconds[i]) + 999999999, text), want);
        }
    }
    CHECK(setenv("TZ", "UTC0", 1) == 0);
    tzset();
    char text[CTH_WALL_TEXT_SIZE];
    CHECK_STR(cth_wall_text(0, text), "Thu Jan  1 00:00:00 1970");
}

static void wall_text_at_the_ends(void) {
    CHECK(setenv("TZ", "UTC0", 1) == 0);
    tzset();
    char text[CTH_WALL_TEXT_SIZE];
    if (sizeof(time_t) == 8) { // a 32-bit time_t ends in 2038
        CHECK_STR(cth_wall_text(INT64_MAX, text), "Fri Apr 11 23:47:16 2262");
    }
    CHECK_STR(cth_wall_text(-CTH_S(1), text), "Wed Dec 31 23:59:59 1969");
    CHECK_EQ(strlen(cth_wall_text(INT64_MIN, text)), 24);
}

static void errno_is_preserved(void) {
    char text[CTH_WALL_TEXT_SIZE];
    errno = 4242;
    CHECK_STATUS(cth_sleep(CTH_MS(2)), CTH_OK);
    CHECK_STATUS(cth_sleep(-1), CTH_INVALID);
    CHECK_STATUS(cth_sleep_until(cth_after(CTH_MS(2))), CTH_OK);
    cth_yield();
    CHECK(cth_now() < cth_after(CTH_S(1)));
    CHECK(cth_wall_text(cth_wall_now(), text) == text);
    CHECK_EQ(errno, 4242);
}

static const test_case tests[] = {
    TEST(now_never_goes_back),
    TEST(now_is_one_clock_for_all_threads),
    TEST(after_adds_to_now),
    TEST(after_a_huge_span_is_forever),
    TEST(after_a_negative_span_is_negative),
    TEST(units),
    TEST(sleep_is_never_early),
    TEST(sleep_refuses_negative_times),
    TEST(sleep_until_the_past_returns),
    TEST(long_sleeps_end_when_cancelled),
    TEST(a_sleeper_uses_no_cpu),
    TEST(signals_do_not_shorten_sleep),
    TEST(yield_lets_others_run),
    TEST(wall_clock_is_the_system_s),
    TEST(wall_text_is_ctime_s),
    TEST(wall_text_at_the_ends),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
