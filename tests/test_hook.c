/* test_hook.c - what happens when a thread function fails

   The default hook prints, so those cases run this program again as a child and read its output.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

/* What the recording hook saw; the mutex protects it. */
static struct {
    cth_mutex mutex;
    int calls;
    cth_thread *thread;
    cth_status status;
    char message[256];
    void *arg;
} seen;

static void record(cth_thread *thread, cth_status status, const char *message, void *arg) {
    CHECK(thread == cth_thread_current()); // in the failing thread
    CHECK(cth_thread_is_alive(thread));    // before it ends
    CTH_WITH(&seen.mutex) {
        seen.calls++;
        seen.thread = thread;
        seen.status = status;
        snprintf(seen.message, sizeof seen.message, "%s", message);
        seen.arg = arg;
    }
}

static int other_calls;

static void record_other(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread, (void)status, (void)message;
    CHECK(arg == &other_calls);
    other_calls++;
}

static void recorder_set(void) {
    memset(&seen, 0, sizeof seen);
    cth_thread_set_hook(record, &seen);
}

static cth_status fails_with_text(void *arg) {
    return cth_fail(*(cth_status *)arg, "no %s in %d places", "luck", 3);
}

static cth_status fails_without_text(void *arg) {
    return *(cth_status *)arg;
}

static void gets_thread_status_message_and_argument(void) {
    recorder_set();
    cth_status status = CTH_FAILED, result = CTH_OK;
    cth_thread *thread = test_spawn(fails_with_text, &status);
    CHECK_STATUS(cth_thread_join(thread, &result), CTH_OK);
    CHECK_STATUS(result, CTH_FAILED);
    CHECK_EQ(seen.calls, 1);
    CHECK(seen.thread == thread);
    CHECK_STATUS(seen.status, CTH_FAILED);
    CHECK_STR(seen.message, "no luck in 3 places");
    CHECK(seen.arg == &seen);
    cth_thread_release(thread);
    cth_thread_set_hook(NULL, NULL);
}

static void without_text_gets_the_status_s(void) {
    recorder_set();
    static const cth_status all[] = {CTH_TIMEDOUT, CTH_BROKEN, CTH_NOMEM, CTH_CANCELLED,
                                     CTH_FAILED};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        cth_status status = all[i];
        CHECK_STATUS(test_join(test_spawn(fails_without_text, &status)), status);
        CHECK_EQ(seen.calls, i + 1);
        CHECK_STATUS(seen.status, status);
        CHECK_STR(seen.message, cth_status_text(status));
    }
    cth_thread_set_hook(NULL, NULL);
}

static void success_is_not_reported(void) {
    recorder_set();
    cth_status ok = CTH_OK;
    CHECK_STATUS(test_join(test_spawn(fails_without_text, &ok)), CTH_OK);
    CHECK_STATUS(test_join(test_spawn(fails_with_text, &ok)), CTH_OK); // text, but no failure
    CHECK_EQ(seen.calls, 0);
    cth_thread_set_hook(NULL, NULL);
}

static void the_latest_hook_is_used(void) {
    recorder_set();
    cth_thread_set_hook(record_other, &other_calls);
    cth_status status = CTH_FAILED;
    other_calls = 0;
    CHECK_STATUS(test_join(test_spawn(fails_with_text, &status)), CTH_FAILED);
    CHECK_EQ(seen.calls, 0);
    CHECK_EQ(other_calls, 1);
    recorder_set();
    CHECK_STATUS(test_join(test_spawn(fails_with_text, &status)), CTH_FAILED);
    CHECK_EQ(seen.calls, 1);
    CHECK_EQ(other_calls, 1);
    cth_thread_set_hook(NULL, NULL);
}

static cth_event go;

static cth_status fails_when_told(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_event_wait(&go), CTH_OK);
    return CTH_BROKEN;
}

static void a_hook_set_while_the_thread_runs(void) {
    memset(&go, 0, sizeof go);
    cth_thread *thread = test_spawn(fails_when_told, NULL);
    recorder_set();
    cth_event_set(&go);
    CHECK_STATUS(test_join(thread), CTH_BROKEN);
    CHECK_EQ(seen.calls, 1);
    cth_thread_set_hook(NULL, NULL);
}

static void detached_threads_are_reported(void) {
    recorder_set();
    cth_status status = CTH_FAILED;
    for (int i = 0; i < 10; i++) {
        cth_thread *thread = test_spawn(fails_with_text, &status);
        if (i % 2 == 0) {
            CHECK_STATUS(cth_thread_detach(thread), CTH_OK);
        }
        cth_thread_release(thread);
    }
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    CHECK_EQ(seen.calls, 10);
    cth_thread_set_hook(NULL, NULL);
}

static void many_failures_at_once(void) {
    recorder_set();
    cth_status status = CTH_FAILED;
    cth_thread *threads[20];
    for (int i = 0; i < 20; i++) {
        threads[i] = test_spawn(fails_with_text, &status);
    }
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_FAILED);
    }
    CHECK_EQ(seen.calls, 20);
    cth_thread_set_hook(NULL, NULL);
}

static void the_default_prints_one_line(void) {
    char text[1024];
    CHECK_EQ(test_child("text", text, sizeof text), 0);
    CHECK_STR(text, "Exception in thread reader: CTH_FAILED: no luck in 3 places\n");
    CHECK_EQ(test_child("no text", text, sizeof text), 0);
    CHECK_STR(text, "Exception in thread Thread-1: CTH_TIMEDOUT: the deadline passed\n");
}

static void the_default_is_silent_on_success(void) {
    char text[1024];
    CHECK_EQ(test_child("success", text, sizeof text), 0);
    CHECK_STR(text, "");
}

static void null_restores_the_default(void) {
    char text[1024];
    CHECK_EQ(test_child("restore", text, sizeof text), 0);
    CHECK_STR(text, "Exception in thread Thread-2: CTH_FAILED: no luck in 3 places\n");
}

static void long_names_and_texts_fit(void) {
    char text[1024], want[1024], name[CTH_THREAD_NAME_MAX + 1], message[128];
    memset(name, 'n', sizeof name);
    name[CTH_THREAD_NAME_MAX] = '\0';
    memset(message, 'm', sizeof message);
    message[127] = '\0';
    snprintf(want, sizeof want, "Exception in thread %s: CTH_UNSUPPORTED: %s\n", name, message);
    CHECK_EQ(test_child("long", text, sizeof text), 0);
    CHECK_STR(text, want);
}

static void lines_are_not_torn(void) {
    static char text[65536];
    CHECK_EQ(test_child("many", text, sizeof text), 0);
    int lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        int number = 0, end = 0;
        CHECK(sscanf(line, "Exception in thread Thread-%d: CTH_FAILED: no luck in 3 places%n",
                     &number, &end) == 1);
        CHECK(end > 0 && line[end] == '\0');
        lines++;
    }
    CHECK_EQ(lines, 50);
}

static cth_status fails_at_length(void *arg) {
    (void)arg;
    char message[301];
    memset(message, 'm', sizeof message);
    message[300] = '\0';
    return cth_fail(CTH_UNSUPPORTED, "%s", message);
}

static int child_main(const char *mode) {
    cth_status status = CTH_FAILED;
    cth_thread *thread = NULL;
    if (strcmp(mode, "text") == 0) {
        const cth_thread_desc desc = {.name = "reader"};
        CHECK_STATUS(cth_thread_spawn(&thread, fails_with_text, &status, &desc), CTH_OK);
    } else if (strcmp(mode, "no text") == 0) {
        status = CTH_TIMEDOUT;
        thread = test_spawn(fails_without_text, &status);
    } else if (strcmp(mode, "success") == 0) {
        status = CTH_OK;
        thread = test_spawn(fails_with_text, &status);
    } else if (strcmp(mode, "restore") == 0) {
        recorder_set();
        test_join(test_spawn(fails_with_text, &status));
        cth_thread_set_hook(NULL, NULL);
        thread = test_spawn(fails_with_text, &status);
    } else if (strcmp(mode, "long") == 0) {
        char name[CTH_THREAD_NAME_MAX + 1];
        memset(name, 'n', sizeof name);
        name[CTH_THREAD_NAME_MAX] = '\0';
        status = CTH_UNSUPPORTED;
        const cth_thread_desc desc = {.name = name};
        CHECK_STATUS(cth_thread_spawn(&thread, fails_at_length, NULL, &desc), CTH_OK);
    } else if (strcmp(mode, "many") == 0) {
        cth_thread *threads[50];
        for (int i = 0; i < 50; i++) {
            threads[i] = test_spawn(fails_with_text, &status);
        }
        for (int i = 0; i < 50; i++) {
            test_join(threads[i]);
        }
        return 0;
    } else {
        return 2;
    }
    CHECK_STATUS(test_join(thread), status);
    return 0;
}

static const test_case tests[] = {
    TEST(gets_thread_status_message_and_argument),
    TEST(without_text_gets_the_status_s),
    TEST(success_is_not_reported),
    TEST(the_latest_hook_is_used),
    TEST(a_hook_set_while_the_thread_runs),
    TEST(detached_threads_are_reported),
    TEST(many_failures_at_once),
    TEST(the_default_prints_one_line),
    TEST(the_default_is_silent_on_success),
    TEST(null_restores_the_default),
    TEST(long_names_and_texts_fit),
    TEST(lines_are_not_torn),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    return mode != NULL ? child_main(mode) : test_run(argc, argv, tests, TEST_COUNT(tests));
}
