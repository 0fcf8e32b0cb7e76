/* test_main.c - the main-thread rule: posted functions, drain, run, descriptor; and progress

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _XOPEN_SOURCE 700 // for terminals
#include <stdatomic.h>
#include <stdlib.h>

static atomic_bool no_memory;

#define CTH_MALLOC(size) (atomic_load(&no_memory) ? NULL : malloc(size))
#define CTH_FREE(p)      free(p)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

enum { POSTERS = 4, EACH = 500 };

static cth_main ui;
static int seen[POSTERS]; // how many of each poster have run: only the owner touches it

typedef struct note {
    int poster, number;
} note;

static cth_status runs(void *arg) {
    const note *n = (const note *)arg;
    cth_assert_on(&ui);
    CHECK((uintptr_t)arg % _Alignof(max_align_t) == 0);
    CHECK_EQ(n->number, seen[n->poster]);
    seen[n->poster]++;
    return CTH_OK;
}

static void fresh(void) {
    memset(seen, 0, sizeof seen);
    CHECK_STATUS(cth_main_init(&ui), CTH_OK);
}

static void post(int poster, int number) {
    const note n = {poster, number};
    CHECK_STATUS(cth_main_post(&ui, runs, &n, sizeof n), CTH_OK);
}

static bool readable(int fd) {
    struct pollfd p = {fd, POLLIN, 0};
    CHECK(poll(&p, 1, 0) >= 0);
    return (p.revents & POLLIN) != 0;
}

static atomic_int posters_left;

static cth_status posts(void *arg) {
    for (int i = 0; i < EACH; i++) {
        post(*(int *)arg, i);
    }
    if (atomic_fetch_sub(&posters_left, 1) == 1) {
        CHECK_STATUS(cth_main_stop(&ui), CTH_OK);
    }
    return CTH_OK;
}

static cth_thread *posters[POSTERS];

static void start_posters(void) {
    static int numbers[POSTERS];
    atomic_store(&posters_left, POSTERS);
    for (int i = 0; i < POSTERS; i++) {
        numbers[i] = i;
        posters[i] = test_spawn(posts, &numbers[i]);
    }
}

static void end_posters(void) {
    for (int i = 0; i < POSTERS; i++) {
        CHECK_STATUS(test_join(posters[i]), CTH_OK);
        CHECK_EQ(seen[i], EACH);
    }
    CHECK_STATUS(cth_main_destroy(&ui), CTH_OK);
}

static void runs_until_stopped(void) {
    fresh();
    start_posters();
    CHECK_STATUS(cth_main_run(&ui), CTH_OK);
    end_posters();
}

static void poll_loop(void) {
    int fd = -1, again = -1;
    fresh();
    CHECK_STATUS(cth_main_fd(&ui, &fd), CTH_OK);
    CHECK_STATUS(cth_main_fd(&ui, &again), CTH_OK);
    CHECK_EQ(fd, again);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    start_posters();
    cth_status status = CTH_OK;
    while (status == CTH_OK) {
        struct pollfd p = {fd, POLLIN, 0};
        CHECK(poll(&p, 1, 30000) == 1);
        status = cth_main_drain(&ui);
    }
    CHECK_STATUS(status, CTH_SHUTDOWN);
    end_posters();
    CHECK(fcntl(fd, F_GETFD) < 0); // closed
}

static void epoll_loop(void) {
    int fd = -1;
    fresh();
    CHECK_STATUS(cth_main_fd(&ui, &fd), CTH_OK);
    const int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN | EPOLLET; // a new edge whenever something comes after a drain
    CHECK(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    start_posters();
    while (cth_main_drain(&ui) == CTH_OK) {
        CHECK(epoll_wait(set, &event, 1, 30000) == 1);
    }
    close(set);
    end_posters();
}

static void select_loop(void) {
    fresh();
    start_posters();
    cth_status status = CTH_OK;
    while (status == CTH_OK) {
        CHECK_EQ(CTH_SELECT(&status, CTH_ON_EVENT(cth_main_event(&ui))), 0);
        CHECK_STATUS(status, CTH_OK);
        status = cth_main_drain(&ui);
    }
    end_posters();
}

static void readable_while_something_is_posted(void) {
    int fd = -1;
    fresh();
    post(0, 0);
    CHECK_STATUS(cth_main_fd(&ui, &fd), CTH_OK); // after the post
    CHECK(readable(fd));
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK(!readable(fd));
    CHECK(!cth_event_is_set(cth_main_event(&ui)));
    for (int i = 1; i < 100; i++) {
        post(0, i);
        CHECK(readable(fd));
    }
    errno = 77;
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK_EQ(errno, 77);
    CHECK(!readable(fd));
    CHECK_STATUS(cth_main_stop(&ui), CTH_OK);
    CHECK(readable(fd) && cth_event_is_set(cth_main_event(&ui)));
    CHECK_STATUS(cth_main_stop(&ui), CTH_OK);
    CHECK_STATUS(cth_main_drain(&ui), CTH_SHUTDOWN);
    CHECK(readable(fd));
    CHECK_STATUS(cth_main_destroy(&ui), CTH_OK);
}

static cth_status posts_itself(void *arg) {
    const int left = *(int *)arg - 1;
    seen[0]++;
    CHECK_STATUS(cth_main_destroy(&ui), CTH_BUSY);
    if (left > 0) {
        CHECK_STATUS(cth_main_post(&ui, posts_itself, &left, sizeof left), CTH_OK);
    }
    return CTH_OK;
}

static cth_status runs_inner_loop(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK_EQ(seen[1], 3);
    return CTH_OK;
}

static void drain_ends(void) {
    const int n = 5;
    fresh();
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK_STATUS(cth_main_post(&ui, posts_itself, &n, sizeof n), CTH_OK);
    for (int i = 1; i <= n; i++) { // what it posts is for the next one
        CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
        CHECK_EQ(seen[0], i);
    }
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK_EQ(seen[0], n);
    CHECK_STATUS(cth_main_post(&ui, runs_inner_loop, NULL, 0), CTH_OK);
    for (int i = 0; i < 3; i++) {
        post(1, i);
    }
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK_STATUS(cth_main_destroy(&ui), CTH_OK);
}

static void deadlines(void) {
    fresh();
    CHECK_STATUS(cth_main_run_until(&ui, -1), CTH_INVALID);
    CHECK_STATUS(cth_main_run_until(&ui, 0), CTH_TIMEDOUT);
    post(0, 0);
    CHECK_STATUS(cth_main_run_until(&ui, 0), CTH_TIMEDOUT);
    CHECK_EQ(seen[0], 1);
    const cth_time deadline = cth_after(CTH_MS(10));
    CHECK_STATUS(cth_main_run_until(&ui, deadline), CTH_TIMEDOUT);
    CHECK(cth_now() >= deadline);
    post(0, 1);
    CHECK_STATUS(cth_main_stop(&ui), CTH_OK);
    CHECK_STATUS(cth_main_run_until(&ui, CTH_FOREVER), CTH_OK);
    CHECK_EQ(seen[0], 2); // what was posted before the stop
    CHECK_STATUS(cth_main_run(&ui), CTH_OK);
    const note late = {0, 2};
    CHECK_STATUS(cth_main_post(&ui, runs, &late, sizeof late), CTH_SHUTDOWN);
    CHECK_STATUS(cth_main_destroy(&ui), CTH_OK);
}

static cth_status posts_for_ever(void *arg) {
    (void)arg;
    return cth_main_post(&ui, posts_for_ever, NULL, 0);
}

static void ends_although_others_post(void) {
    cth_cancel token = CTH_CANCEL_INIT;
    fresh();
    CHECK_STATUS(cth_main_post(&ui, posts_for_ever, NULL, 0), CTH_OK);
    CHECK_STATUS(cth_main_run_until(&ui, cth_after(CTH_MS(5))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_main_run(&ui), CTH_CANCELLED);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    CHECK_STATUS(cth_main_destroy(&ui), CTH_OK); // frees what is left
}

static cth_status is_foreign(void *arg) {
    (void)arg;
    CHECK(!cth_main_is_owner(&ui));
    CHECK_STATUS(cth_main_run(&ui), CTH_NOT_OWNER);
    CHECK_STATUS(cth_main_drain(&ui), CTH_NOT_OWNER);
    CHECK_STATUS(cth_main_destroy(&ui), CTH_NOT_OWNER);
    return CTH_OK;
}

static atomic_int hooked;

static void on_error(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)arg;
    CHECK(thread == cth_thread_current());
    CHECK_STATUS(status, CTH_FAILED);
    CHECK_STR(message, "no window");
    atomic_fetch_add(&hooked, 1);
}

static cth_status fails(void *arg) {
    (void)arg;
    return cth_fail(CTH_FAILED, "no window");
}

static void refusals_and_errors(void) {
    fresh();
    CHECK(cth_main_is_owner(&ui));
    cth_assert_on(&ui);
    CHECK_STATUS(test_join(test_spawn(is_foreign, NULL)), CTH_OK);
    CHECK_STATUS(cth_main_post(&ui, NULL, NULL, 0), CTH_INVALID);
    CHECK_STATUS(cth_main_post(&ui, runs, "", SIZE_MAX), CTH_INVALID);
    atomic_store(&no_memory, true);
    CHECK_STATUS(cth_main_post(&ui, runs, "", 1), CTH_NOMEM);
    atomic_store(&no_memory, false);
    CHECK(!cth_event_is_set(cth_main_event(&ui)));
    cth_thread_set_hook(on_error, NULL);
    (void)cth_fail(CTH_FAILED, "my own");
    CHECK_STATUS(cth_main_post(&ui, fails, NULL, 0), CTH_OK);
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK_EQ(atomic_load(&hooked), 1);
    CHECK_STR(cth_error_text(), "my own");
    cth_thread_set_hook(NULL, NULL);
    CHECK_STATUS(cth_main_destroy(&ui), CTH_OK);
}

static void in_the_child_of_a_fork(void) {
    int fd = -1;
    fresh();
    post(0, 0);
    CHECK_STATUS(cth_main_fd(&ui, &fd), CTH_OK);
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60);
        bool good = cth_main_post(&ui, runs, NULL, 0) == CTH_FORKED;
        good &= cth_main_drain(&ui) == CTH_FORKED && cth_main_run(&ui) == CTH_FORKED;
        good &= cth_main_stop(&ui) == CTH_FORKED && cth_main_destroy(&ui) == CTH_FORKED;
        good &= cth_main_fd(&ui, &fd) == CTH_FORKED && cth_main_is_owner(&ui);
        _exit(good ? 0 : 1);
    }
    int result = 0;
    while (waitpid(pid, &result, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(result));
    CHECK_EQ(WEXITSTATUS(result), 0);
    CHECK(readable(fd));
    CHECK_STATUS(cth_main_drain(&ui), CTH_OK);
    CHECK_EQ(seen[0], 1);
    CHECK_STATUS(cth_main_destroy(&ui), CTH_OK);
}

static cth_status asserts(void *arg) {
    (void)arg;
    cth_assert_on(&ui);
    return CTH_OK;
}

static void assertion_ends_the_program(void) {
    char text[4000];
    CHECK_EQ(test_child("assert", text, sizeof text), -SIGABRT);
    CHECK(strstr(text, "cth_assert_on: thread painter does what only the owner may do") != NULL);
}

/* -- progress: its exact lines are in sim_main.c, where time stands still --------------------------
 */

static cth_progress progress;

/* What is written to the other end of `fd` until the last writer closes it. */
static void read_all(int fd, char *text, size_t size) {
    size_t used = 0;
    ssize_t n;
    while (used < size - 1 && (n = read(fd, text + used, size - 1 - used)) > 0) {
        used += (size_t)n;
    }
    text[used] = '\0';
}

static cth_status adds(void *arg) {
    (void)arg;
    for (int i = 0; i < 100000; i++) {
        cth_progress_add(&progress, 3);
    }
    return CTH_OK;
}

static void progress_counts(void) {
    int ends[2];
    char text[8000];
    CHECK(pipe(ends) == 0);
    cth_progress_desc desc = {.label = "work", .total = 1200000, .width = 60, .fd = ends[1]};
    for (int always = 0; always < 2; always++) {
        cth_thread *threads[4];
        desc.always = always != 0;
        CHECK_STATUS(cth_progress_init(&progress, &desc), CTH_OK);
        for (int i = 0; i < 4; i++) {
            threads[i] = test_spawn(adds, NULL);
        }
        for (int i = 0; i < 4; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        CHECK_EQ(cth_progress_count(&progress), 1200000);
        cth_progress_finish(&progress);
        cth_progress_finish(&progress);
        cth_progress_add(&progress, UINT32_MAX);
        CHECK_EQ(cth_progress_count(&progress), 1200000 + (intmax_t)UINT32_MAX);
        if (always == 0) { // a pipe is no terminal
            CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
            CHECK(read(ends[0], text, sizeof text) < 0);
            CHECK(fcntl(ends[0], F_SETFL, 0) == 0);
        }
    }
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    close(ends[0]);
    size_t size = strlen(text);
    CHECK(strncmp(text, "\rwork:   0%|        ", 17) == 0);
    CHECK(size > 0 && text[size - 1] == '\n' && strchr(text, '\n') == text + size - 1);
    const char *last = strrchr(text, '\r');
    CHECK(strncmp(last, "\rwork: 100%|########", 17) == 0);
    CHECK(strstr(last, "| 1200000/1200000 [") != NULL);
    for (char *line = strtok(text, "\r\n"); line != NULL; line = strtok(NULL, "\r\n")) {
        CHECK_EQ(strlen(line), 59);
    }
}

static void progress_lines_fit(void) {
    static const char label[] =
        "a label that alone is as long as some terminals are wide, or longer"
        " still, so that there is no room left for a bar or a number at all"
        " and then some more of it, for those who have a wide screen, and a"
        " little more yet, which makes two hundred and fifty-six or so";
    int ends[2];
    char text[4000];
    for (uint32_t width = 1; width <= 255; width += width < 100 ? 1 : 31) {
        for (int total = 0; total < 2; total++) {
            CHECK(pipe(ends) == 0);
            const cth_progress_desc desc = {.label = width % 2 != 0 ? label : "x",
                                            .total = total != 0 ? UINT64_MAX : 0,
                                            .width = width,
                                            .fd = ends[1],
                                            .always = true};
            CHECK_STATUS(cth_progress_init(&progress, &desc), CTH_OK);
            cth_progress_add(&progress, UINT32_MAX);
            cth_progress_finish(&progress);
            close(ends[1]);
            read_all(ends[0], text, sizeof text);
            close(ends[0]);
            CHECK_STR(text + strlen(text) - 1, "\n");
            for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
                CHECK(strlen(line) < (width < 20 ? 20 : width));
            }
        }
    }
}

static void progress_on_a_terminal(void) {
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    const char *path = NULL;
    char text[1000];
    if (master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0) {
        path = ptsname(master);
    }
    const int fd = path != NULL ? open(path, O_RDWR | O_NOCTTY) : -1;
    const struct winsize wide = {24, 100, 0, 0};
    if (fd < 0) {
        printf("     no terminals here\n");
        (void)close(master);
        return;
    }
    CHECK(ioctl(fd, TIOCSWINSZ, &wide) == 0);
    const cth_progress_desc desc = {.total = 4, .fd = fd};
    CHECK_STATUS(cth_progress_init(&progress, &desc), CTH_OK);
    const ssize_t n = read(master, text, sizeof text);
    CHECK_EQ(n, 1 + 99); // '\r', and one column less than there are
    CHECK(memcmp(text, "\r  0%|   ", 9) == 0);
    CHECK(memcmp(text + n - 20, "| 0/4 [00:00<?, ?/s]", 20) == 0);
    cth_progress_finish(&progress);
    close(fd);
    close(master);
    CHECK_STATUS(cth_progress_init(&progress, &(cth_progress_desc){.fd = -1}), CTH_INVALID);
    CHECK_STATUS(cth_progress_init(&progress, &(cth_progress_desc){.width = 256}), CTH_INVALID);
    CHECK_STATUS(cth_progress_init(&progress, NULL), CTH_OK);
    cth_progress_finish(&progress);
}

static const test_case tests[] = {
    TEST(runs_until_stopped),
    TEST(poll_loop),
    TEST(epoll_loop),
    TEST(select_loop),
    TEST(readable_while_something_is_posted),
    TEST(drain_ends),
    TEST(deadlines),
    TEST(ends_although_others_post),
    TEST(refusals_and_errors),
    TEST(in_the_child_of_a_fork),
    TEST(assertion_ends_the_program),
    TEST(progress_counts),
    TEST(progress_lines_fit),
    TEST(progress_on_a_terminal),
};

int main(int argc, char **argv) {
    if (test_child_mode(argc, argv) != NULL) {
        cth_thread *thread;
        fresh();
        CHECK_STATUS(
            cth_thread_spawn(&thread, asserts, NULL, &(cth_thread_desc){.name = "painter"}),
            CTH_OK);
        return (int)test_join(thread);
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
