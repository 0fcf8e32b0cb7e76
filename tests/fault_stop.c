/* fault_stop.c - a process that is stopped and continued in the middle of its waits.

   The parent lets the child begin a one-second wait of each kind, one thread for each, stops it for
   0.3 s, and continues it; twice in the same wait. In the child no wait may end early, and each
   must end with its own result, whether its time or its release came while the process stood still.
 */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <time.h>

enum { STOPS = 2, GUARD_SECONDS = 120, WAITING = 'w' };

static int64_t clock_ns(void) {
    struct timespec now;
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &now), 0);
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

/* Released after one second by a thread that sleeps meanwhile, long before its own deadline. */
static cth_event late;

static cth_status set_late(void *arg) {
    CHECK_STATUS(cth_sleep_until(*(cth_time *)arg), CTH_OK);
    CHECK(!cth_event_is_set(&late));
    return cth_event_set(&late);
}

static cth_status do_granted(cth_time deadline) {
    cth_thread *setter = test_spawn(set_late, &deadline);
    const cth_status status = cth_event_wait_until(&late, cth_after(CTH_S(1000)));
    CHECK_STATUS(test_join(setter), CTH_OK);
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
    {"cancel", do_cancel, CTH_CANCELLED}, {"granted", do_granted, CTH_OK},
};

static cth_status wait_one(void *arg) {
    const wait_case *c = arg;
    const cth_time span = CTH_S(1);
    const int64_t begin = clock_ns();
    const cth_time deadline = cth_after(span);
    atomic_fetch_add(&waiting, 1);
    const cth_status status = c->wait(deadline);
    const int64_t took = clock_ns() - begin;
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

static int child(int out) {
    alarm(GUARD_SECONDS);
    sleeper = test_spawn(hold, NULL);
    while (!cth_mutex_is_locked(&held)) {
        cth_yield();
    }
    cth_thread *threads[TEST_COUNT(cases)];
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        threads[i] = test_spawn(wait_one, (void *)(uintptr_t)&cases[i]);
    }
    test_reach(&waiting, (int)TEST_COUNT(cases));
    const char word = WAITING;
    CHECK_EQ(write(out, &word, 1), 1);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_STATUS(cth_event_set(&gate), CTH_OK);
    CHECK_STATUS(test_join(sleeper), CTH_OK);
    return EXIT_SUCCESS;
}

/* A pause in real time is the fault itself. */
static void pause_ms(long ms) {
    struct timespec left = {0, ms * 1000000};
    while (nanosleep(&left, &left) != 0) {
        CHECK_EQ(errno, EINTR);
    }
}

/* Not test_run: its threads would be in the way of the fork, and of being stopped. */
int main(void) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK_EQ(close(ends[0]), 0);
        exit(child(ends[1]));
    }
    CHECK_EQ(close(ends[1]), 0);
    char word = 0;
    CHECK_EQ(read(ends[0], &word, 1), 1);
    CHECK_EQ(word, WAITING);
    int status = 0;
    for (int i = 0; i < STOPS; i++) {
        CHECK_EQ(kill(pid, SIGSTOP), 0);
        CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
        CHECK(WIFSTOPPED(status));
        pause_ms(300);
        CHECK_EQ(kill(pid, SIGCONT), 0);
        pause_ms(50);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), EXIT_SUCCESS);
    printf("fault_stop: %zu waits, %d stops\n", TEST_COUNT(cases), STOPS);
    return EXIT_SUCCESS;
}
