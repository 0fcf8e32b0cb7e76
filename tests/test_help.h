/* test_help.h - what several unit tests share: waiters, the timeout matrix, child processes

   Include after test.h.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef TEST_HELP_H_INCLUDED
#define TEST_HELP_H_INCLUDED

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#  define TEST_TSAN 1
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define TEST_TSAN 1
#  endif
#endif
#ifndef TEST_TSAN
#  define TEST_TSAN 0
#endif

#define TEST_COUNT(array) (sizeof(array) / sizeof *(array))

static inline cth_thread *test_spawn(cth_thread_fn fn, void *arg) {
    cth_thread *thread = NULL;
    CHECK_STATUS(cth_thread_spawn(&thread, fn, arg, NULL), CTH_OK);
    CHECK(thread != NULL);
    return thread;
}

/* Join, release, and return what the thread returned. */
static inline cth_status test_join(cth_thread *thread) {
    cth_status result = CTH_BROKEN;
    CHECK_STATUS(cth_thread_join(thread, &result), CTH_OK);
    cth_thread_release(thread);
    return result;
}

/* Yield until the number is at least `n`. */
static inline void test_reach(atomic_int *number, int n) {
    while (atomic_load(number) < n) {
        cth_yield();
    }
}

/* Return once `thread` sleeps in the kernel, or `done` is not 0: a look at /proc finds it asleep
   five times in a row. Only for threads which have nothing before them but the wait in question. */
static inline void test_asleep_or(const cth_thread *thread, atomic_int *done) {
    for (int looks = 0; looks < 5 && atomic_load(done) == 0;) {
        char path[64], text[512] = "";
        snprintf(path, sizeof path, "/proc/self/task/%lld/stat",
                 (long long)cth_thread_native_id(thread));
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            if (fgets(text, sizeof text, file) == NULL) {
                text[0] = '\0';
            }
            fclose(file);
        }
        const char *state = strrchr(text, ')');
        looks = state != NULL && strncmp(state, ") S", 3) == 0 ? looks + 1 : 0;
        cth_yield();
    }
}

static inline void test_asleep(const cth_thread *thread) {
    atomic_int never = 0;
    test_asleep_or(thread, &never);
}

/* A call that waits on an object until a deadline. */
typedef cth_status (*test_wait_fn)(void *object, cth_time deadline);

/* A thread that makes one such call. */
typedef struct test_waiter {
    test_wait_fn wait;
    void *object;
    cth_time deadline;
    cth_cancel *token; // NULL: none
    cth_thread *thread;
    cth_status status; // what the call returned
    cth_time ended;    // when it returned
    atomic_int ready;  // the call is next
    atomic_int done;   // the call has returned
} test_waiter;

static inline cth_status test_waiter_main(void *arg) {
    test_waiter *w = (test_waiter *)arg;
    atomic_store(&w->ready, 1);
    if (w->token != NULL) {
        CTH_UNDER(w->token) {
            w->status = w->wait(w->object, w->deadline);
        }
    } else {
        w->status = w->wait(w->object, w->deadline);
    }
    w->ended = cth_now();
    atomic_store(&w->done, 1);
    return CTH_OK;
}

static inline void test_waiter_start(test_waiter *w,
                                     test_wait_fn wait,
                                     void *object,
                                     cth_time deadline) {
    w->wait = wait;
    w->object = object;
    w->deadline = deadline;
    w->thread = test_spawn(test_waiter_main, w);
}

/* Return once the waiter sleeps in its call, or its call has returned. */
static inline void test_waiter_asleep(test_waiter *w) {
    test_reach(&w->ready, 1);
    test_asleep_or(w->thread, &w->done);
}

static inline cth_status test_waiter_end(test_waiter *w) {
    CHECK_STATUS(test_join(w->thread), CTH_OK);
    return w->status;
}

/* Nobody lets go of `object`: each of these waits times out, and never early. */
static inline void test_times_out(test_wait_fn wait, void *object) {
    static const cth_time spans[] = {0,       1,       999,      1000,     999999,
                                     1000000, 1000001, 20000000, 999999999};
    test_waiter w[TEST_COUNT(spans)];
    memset(w, 0, sizeof w);
    for (size_t i = 0; i < TEST_COUNT(spans); i++) {
        test_waiter_start(&w[i], wait, object, cth_after(spans[i]));
    }
    for (size_t i = 0; i < TEST_COUNT(spans); i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_TIMEDOUT);
        CHECK(w[i].ended >= w[i].deadline);
    }
    for (cth_time span = CTH_US(1); span <= CTH_MS(2); span += span / 2) {
        const cth_time deadline = cth_after(span);
        CHECK_STATUS(wait(object, deadline), CTH_TIMEDOUT);
        CHECK(cth_now() >= deadline);
    }
    CHECK_STATUS(wait(object, 0), CTH_TIMEDOUT);
    CHECK_STATUS(wait(object, 1), CTH_TIMEDOUT);
    CHECK_STATUS(wait(object, cth_now()), CTH_TIMEDOUT);
}

/* Deadlines that every call refuses, whatever the object's state. */
static inline void test_refuses_negative(test_wait_fn wait, void *object) {
    const cth_time deadlines[] = {-1,
                                  -CTH_S(1),
                                  INT64_MIN + 1,
                                  INT64_MIN,
                                  cth_after(-1),
                                  cth_after(CTH_S(-1)),
                                  cth_after(INT64_MIN)};
    for (size_t i = 0; i < TEST_COUNT(deadlines); i++) {
        CHECK_STATUS(wait(object, deadlines[i]), CTH_INVALID);
    }
}

/* The object is free: each of these waits succeeds, the past deadlines too. */
static inline void test_succeeds(test_wait_fn wait, void *object, void (*prepare)(void *object)) {
    const cth_time deadlines[] = {
        0, 1, cth_now(), cth_after(0), cth_after(CTH_MS(1)), cth_after(INT64_MAX), CTH_FOREVER};
    for (size_t i = 0; i < TEST_COUNT(deadlines); i++) {
        prepare(object);
        CHECK_STATUS(wait(object, deadlines[i]), CTH_OK);
    }
}

/* Far deadlines do not overflow into near ones: the waiter sleeps, and succeeds when let go. */
static inline void test_waits_long(test_wait_fn wait,
                                   void *object,
                                   void (*prepare)(void *object),
                                   void (*let_go)(void *object)) {
    const cth_time deadlines[] = {cth_after(CTH_S(3600)),
                                  cth_after(CTH_S(4294967296)),
                                  cth_after(INT64_MAX / 2),
                                  cth_after(INT64_MAX - 1),
                                  cth_after(INT64_MAX),
                                  INT64_C(1) << 62,
                                  INT64_MAX - 1,
                                  CTH_FOREVER};
    for (size_t i = 0; i < TEST_COUNT(deadlines); i++) {
        test_waiter w = {0};
        prepare(object);
        test_waiter_start(&w, wait, object, deadlines[i]);
        test_waiter_asleep(&w);
        CHECK_EQ(atomic_load(&w.done), 0);
        let_go(object);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    }
}

static inline void test_nothing(void *object) {
    (void)object;
}

/* Run this program again as `PROGRAM --child MODE` and put what it prints on stdout and stderr into
   `text`. Return its exit status, or minus the number of the signal that ended it. */
static inline int test_child(const char *mode, char *text, size_t size) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    fflush(stderr);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        alarm(120); // outlives exec: a child that hangs dies of it
        execl("/proc/self/exe", "child", "--child", mode, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    for (;;) {
        char buffer[4096];
        const ssize_t n = read(ends[0], buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        const size_t room = size - 1 - used;
        const size_t kept = (size_t)n < room ? (size_t)n : room;
        memcpy(text + used, buffer, kept);
        used += kept;
    }
    text[used] = '\0';
    close(ends[0]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* The mode when this process is such a child, else NULL. */
static inline const char *test_child_mode(int argc, char **argv) {
    return argc == 3 && strcmp(argv[1], "--child") == 0 ? argv[2] : NULL;
}

#endif /* TEST_HELP_H_INCLUDED */
