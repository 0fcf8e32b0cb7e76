/* test.h - the harness of the tests: checks, an explicit list, a watchdog, a thread leak check

   Include after cthreads.h. A check may fail in any thread; it then prints where, what and which
   thread, and ends the program with abort(). Write a test program as

       static void adds_up(void) { CHECK_EQ(1 + 1, 2); }
       static const test_case tests[] = {TEST(adds_up)};
       int main(int argc, char **argv) {
           return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
       }

   Names on the command line run only those tests. A test that takes longer than 60 s, times the
   number in the environment variable TEST_TIMEOUT, ends the program with status 3 and the names of
   its threads.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef TEST_H_INCLUDED
#define TEST_H_INCLUDED

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
    const char *name;
    void (*fn)(void);
} test_case;
#define TEST(fn) \
  { #fn, fn }

/* Each evaluates its arguments once. */
#define CHECK(cond)     ((cond) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #cond))
#define CHECK_EQ(a, b)  test_eq(__FILE__, __LINE__, #a, (intmax_t)(a), #b, (intmax_t)(b))
#define CHECK_STR(a, b) test_str(__FILE__, __LINE__, #a, (a), (b))
#define CHECK_STATUS(expr, want) \
  test_status(__FILE__, __LINE__, #expr, (cth_status)(expr), (cth_status)(want))

static _Atomic(const char *) test_name; // the test that runs
static atomic_uint test_number;         // grows with each test, for the watchdog

_Noreturn static inline void test_fail(const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cth_thread *self = cth_thread_current();
    const char *name = atomic_load(&test_name);
    fflush(stdout);
    fprintf(stderr, "%s:%d: check failed in test %s, thread %s: %s\n", file, line,
            name != NULL ? name : "-", self != NULL ? cth_thread_name(self) : "?", text);
    fflush(stderr);
    abort();
}

static inline void test_eq(const char *file,
                           int line,
                           const char *a,
                           intmax_t x,
                           const char *b,
                           intmax_t y) {
    if (x != y) {
        test_fail(file, line, "%s == %s: %jd is not %jd", a, b, x, y);
    }
}

static inline void test_str(const char *file,
                            int line,
                            const char *a,
                            const char *x,
                            const char *y) {
    if (x == NULL || y == NULL || strcmp(x, y) != 0) {
        test_fail(file, line, "%s is \"%s\", not \"%s\"", a, x != NULL ? x : "(null)",
                  y != NULL ? y : "(null)");
    }
}

static inline void test_status(const char *file,
                               int line,
                               const char *expr,
                               cth_status got,
                               cth_status want) {
    if (got != want) {
        test_fail(file, line, "%s is %s, not %s", expr, cth_status_name(got),
                  cth_status_name(want));
    }
}

/* The watchdog is a plain thread that never calls the kit: it works when the kit hangs, under
   ThreadSanitizer (which holds signals back), and it is not among the threads a test counts. */
static inline void *test_watch(void *arg) {
    const long limit = *(long *)arg;
    unsigned seen = 0;
    for (long ticks = 0; ticks < limit; ticks++) {
        while (poll(NULL, 0, 100) != 0) {
            // Cut short by a signal: not a tick.
        }
        if (atomic_load(&test_number) != seen) {
            seen = atomic_load(&test_number);
            ticks = 0;
        }
    }
    fprintf(stderr, "watchdog: test %s hangs; threads:", atomic_load(&test_name));
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e; tasks != NULL && (e = readdir(tasks)) != NULL;) {
        char path[300], comm[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *file = e->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file != NULL && fgets(comm, sizeof comm, file) != NULL) {
            comm[strcspn(comm, "\n")] = '\0';
            fprintf(stderr, " %s(%s)", comm, e->d_name);
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    fprintf(stderr, "\n");
    fflush(stderr);
    _Exit(3);
}

/* Run one test; false when it left threads behind. A thread that nobody joins may still be on its
   way out, so its end is waited for. */
static inline bool test_one(const test_case *test) {
    const size_t before = cth_thread_count();
    atomic_store(&test_name, test->name);
    atomic_fetch_add(&test_number, 1);
    test->fn();
    const cth_time deadline = cth_after(CTH_S(10));
    size_t after = cth_thread_count();
    while (after != before && cth_now() < deadline) {
        cth_yield();
        after = cth_thread_count();
    }
    if (after != before) {
        printf("FAIL %s: %zu threads before, %zu after\n", test->name, before, after);
    } else {
        printf("ok   %s\n", test->name);
    }
    fflush(stdout);
    return after == before;
}

/* Run the tests named in argv, or all. Return the exit status of main. */
static inline int test_run(int argc, char **argv, const test_case *tests, size_t n) {
    static long limit;
    const char *factor = getenv("TEST_TIMEOUT");
    limit = (long)(600 * (factor != NULL ? strtod(factor, NULL) : 1.0));
    pthread_t watchdog;
    if (limit <= 0 || pthread_create(&watchdog, NULL, test_watch, &limit) != 0) {
        fprintf(stderr, "test: no watchdog (TEST_TIMEOUT is a number above 0)\n");
        return EXIT_FAILURE;
    }
    pthread_detach(watchdog);
    CHECK(cth_thread_current() != NULL); // so that the main thread is counted before the first test
    size_t passed = 0, failed = 0;
    for (int arg = 1; arg < argc || arg == 1; arg++) {
        bool found = false;
        for (size_t i = 0; i < n; i++) {
            if (argc <= 1 || strcmp(argv[arg], tests[i].name) == 0) {
                found = true;
                if (test_one(&tests[i])) {
                    passed++;
                } else {
                    failed++;
                }
            }
        }
        if (!found) {
            fprintf(stderr, "test: no test %s\n", argc > 1 ? argv[arg] : "at all");
            failed++;
        }
    }
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif /* TEST_H_INCLUDED */
