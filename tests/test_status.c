/* test_status.c - names and texts of statuses, messages of errors, version macros

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static const struct {
    cth_status status;
    const char *name;
} all[] = {
    {CTH_OK, "CTH_OK"},
    {CTH_TIMEDOUT, "CTH_TIMEDOUT"},
    {CTH_BUSY, "CTH_BUSY"},
    {CTH_CLOSED, "CTH_CLOSED"},
    {CTH_FULL, "CTH_FULL"},
    {CTH_EMPTY, "CTH_EMPTY"},
    {CTH_CANCELLED, "CTH_CANCELLED"},
    {CTH_SHUTDOWN, "CTH_SHUTDOWN"},
    {CTH_BROKEN, "CTH_BROKEN"},
    {CTH_NOMEM, "CTH_NOMEM"},
    {CTH_AGAIN, "CTH_AGAIN"},
    {CTH_INVALID, "CTH_INVALID"},
    {CTH_NOT_OWNER, "CTH_NOT_OWNER"},
    {CTH_DEADLOCK, "CTH_DEADLOCK"},
    {CTH_OVERFLOW, "CTH_OVERFLOW"},
    {CTH_FORKED, "CTH_FORKED"},
    {CTH_UNSUPPORTED, "CTH_UNSUPPORTED"},
    {CTH_FAILED, "CTH_FAILED"},
};

static void names_are_the_enumerators(void) {
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK_EQ(all[i].status, i);
        CHECK_STR(cth_status_name(all[i].status), all[i].name);
    }
    CHECK_EQ(CTH_OK, 0);
}

static void texts_are_distinct(void) {
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        const char *text = cth_status_text(all[i].status);
        CHECK(text != NULL && text[0] != '\0');
        for (size_t k = 0; k < i; k++) {
            CHECK(strcmp(text, cth_status_text(all[k].status)) != 0);
        }
    }
    CHECK_STR(cth_status_text(CTH_TIMEDOUT), "the deadline passed");
}

static void numbers_that_are_no_status(void) {
    const int numbers[] = {-1, (int)TEST_COUNT(all), 1000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < TEST_COUNT(numbers); i++) {
        CHECK_STR(cth_status_name((cth_status)numbers[i]), "CTH_?");
        CHECK(cth_status_text((cth_status)numbers[i]) != NULL);
    }
}

static cth_status no_text_at_first(void *arg) {
    (void)arg;
    CHECK_STR(cth_error_text(), "");
    return CTH_OK;
}

static void a_new_thread_has_no_error_text(void) {
    CHECK_STATUS(cth_fail(CTH_BROKEN, "of the parent"), CTH_BROKEN);
    CHECK_STATUS(test_join(test_spawn(no_text_at_first, NULL)), CTH_OK);
    CHECK_STR(cth_error_text(), "of the parent");
}

static void fail_returns_its_status(void) {
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK_STATUS(cth_fail(all[i].status, "case %zu", i), all[i].status);
    }
}

static void fail_formats_like_printf(void) {
    cth_fail(CTH_FAILED, "cannot open %s: %d of %ld, %c%%", "file", -3, 12345678901L, 'x');
    CHECK_STR(cth_error_text(), "cannot open file: -3 of 12345678901, x%");
}

static void the_latest_text_stays(void) {
    cth_fail(CTH_FAILED, "a long first message");
    cth_fail(CTH_FAILED, "second");
    CHECK_STR(cth_error_text(), "second");
    CHECK_STR(cth_error_text(), "second");
    cth_fail(CTH_FAILED, "%s", "");
    CHECK_STR(cth_error_text(), "");
}

static void texts_are_cut_at_127_bytes(void) {
    char text[300];
    for (size_t length = 120; length < 140; length++) {
        memset(text, 'a', sizeof text);
        text[length] = '\0';
        cth_fail(CTH_FAILED, "%s", text);
        CHECK_EQ(strlen(cth_error_text()), length < 127 ? length : 127);
        CHECK(strncmp(cth_error_text(), text, 127) == 0);
    }
    memset(text, 'b', sizeof text);
    text[sizeof text - 1] = '\0';
    cth_fail(CTH_FAILED, "%s", text);
    CHECK_EQ(strlen(cth_error_text()), 127);
}

static cth_status keeps_its_own_text(void *arg) {
    const int me = *(int *)arg;
    char want[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(want, sizeof want, "thread %d, round %d", me, i);
        cth_fail(CTH_FAILED, "%s", want);
        if (i % 100 == 0) {
            cth_yield();
        }
        CHECK_STR(cth_error_text(), want);
    }
    return CTH_OK;
}

static void texts_belong_to_their_threads(void) {
    cth_thread *threads[5];
    int numbers[5];
    cth_fail(CTH_FAILED, "main's own");
    for (int i = 0; i < 5; i++) {
        numbers[i] = i;
        threads[i] = test_spawn(keeps_its_own_text, &numbers[i]);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_STR(cth_error_text(), "main's own");
}

static void *foreign_fails(void *arg) {
    (void)arg;
    CHECK_STR(cth_error_text(), "");
    CHECK_STATUS(cth_fail(CTH_TIMEDOUT, "from %s", "outside"), CTH_TIMEDOUT);
    CHECK_STR(cth_error_text(), "from outside");
    return NULL;
}

static void foreign_threads_can_fail(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, foreign_fails, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void errno_is_preserved(void) {
    errno = 4242;
    cth_fail(CTH_FAILED, "%s %f", "number", 1.5);
    CHECK_EQ(errno, 4242);
    CHECK(cth_status_name(CTH_OK) != NULL && cth_status_text(CTH_OK) != NULL);
    CHECK(cth_error_text() != NULL);
    CHECK_EQ(errno, 4242);
}

static void version_macros_agree(void) {
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", CTH_VERSION_MAJOR, CTH_VERSION_MINOR,
             CTH_VERSION_PATCH);
    CHECK_STR(CTH_VERSION_STRING, text);
    CHECK_EQ(CTH_VERSION, CTH_VERSION_MAJOR * 10000 + CTH_VERSION_MINOR * 100 + CTH_VERSION_PATCH);
}

static const test_case tests[] = {
    TEST(names_are_the_enumerators),
    TEST(texts_are_distinct),
    TEST(numbers_that_are_no_status),
    TEST(a_new_thread_has_no_error_text),
    TEST(fail_returns_its_status),
    TEST(fail_formats_like_printf),
    TEST(the_latest_text_stays),
    TEST(texts_are_cut_at_127_bytes),
    TEST(texts_belong_to_their_threads),
    TEST(foreign_threads_can_fail),
    TEST(errno_is_preserved),
    TEST(version_macros_agree),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
