/* sim_hook.c - thread functions that fail, and the hook, under many schedules

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static int calls[2];
static cth_mutex lock;

struct told {
    int which;
};

static void count_call(cth_thread *thread, cth_status status, const char *message, void *arg) {
    const struct told *told = (const struct told *)arg;
    CTH_SIM_CHECK(thread == cth_thread_current());
    CTH_SIM_CHECK(cth_thread_is_alive(thread));
    CTH_SIM_CHECK(status == CTH_BROKEN);
    char want[32];
    snprintf(want, sizeof want, "number %u", (unsigned)cth_thread_id(thread));
    CTH_SIM_CHECK(strcmp(message, want) == 0);
    CTH_WITH(&lock) {
        calls[told->which]++;
    }
}

static void first_only(cth_thread *thread, cth_status status, const char *message, void *arg) {
    CTH_SIM_CHECK(((const struct told *)arg)->which == 0);
    count_call(thread, status, message, arg);
}

static void second_only(cth_thread *thread, cth_status status, const char *message, void *arg) {
    CTH_SIM_CHECK(((const struct told *)arg)->which == 1);
    count_call(thread, status, message, arg);
}

static void fresh(void) {
    static const cth_mutex zero = CTH_MUTEX_INIT;
    lock = zero;
    calls[0] = calls[1] = 0;
    sim_begin();
}

static cth_status fails(void *arg) {
    (void)arg;
    return cth_fail(CTH_BROKEN, "number %u", (unsigned)cth_thread_id(cth_thread_current()));
}

static cth_status join_failed(cth_thread *t) {
    cth_status result = CTH_OK;
    CTH_SIM_CHECK(cth_thread_join(t, &result) == CTH_OK);
    cth_thread_release(t);
    return result;
}

/* The hook changes while threads fail: each call has function and argument of one setting, one call
   for each failure, and it is over before the join. */
static cth_status hook_changes(void *arg) {
    static struct told first = {0}, second = {1};
    cth_thread *threads[3];
    (void)arg;
    fresh();
    cth_thread_set_hook(first_only, &first);
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(fails, NULL);
    }
    cth_thread_set_hook(second_only, &second);
    cth_thread *late = sim_spawn(fails, NULL);
    for (int i = 0; i < 3; i++) {
        CTH_SIM_CHECK(join_failed(threads[i]) == CTH_BROKEN);
    }
    CTH_SIM_CHECK(join_failed(late) == CTH_BROKEN);
    CTH_SIM_CHECK(calls[0] + calls[1] == 4);
    CTH_SIM_CHECK(calls[1] >= 1);                     // what fails after the setting uses it
    CTH_SIM_CHECK(strcmp(cth_error_text(), "") == 0); // the texts are the threads' own
    return CTH_OK;
}

static cth_status succeeds(void *arg) {
    (void)arg;
    (void)cth_fail(CTH_FAILED, "overcome");
    return CTH_OK;
}

/* A thread that takes over the record of one that failed does not inherit its text. */
static cth_status texts_are_fresh(void *arg) {
    static struct told first = {0};
    (void)arg;
    fresh();
    cth_thread_set_hook(count_call, &first);
    cth_thread *a = sim_spawn(fails, NULL);
    cth_thread *b = sim_spawn(succeeds, NULL);
    CTH_SIM_CHECK(join_failed(a) == CTH_BROKEN);
    CTH_SIM_CHECK(join_failed(b) == CTH_OK);
    cth_thread *c = sim_spawn(fails, NULL);
    CTH_SIM_CHECK(join_failed(c) == CTH_BROKEN);
    CTH_SIM_CHECK(calls[0] == 2);
    return CTH_OK;
}

/* Bug: a hook that counts without a lock. Called by several threads at once, it loses a count. */
static cth__word total;

static void careless(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread;
    (void)status;
    (void)message;
    (void)arg;
    if (planted) {
        const uint32_t seen = cth__load(&total, relaxed);
        cth__store(&total, seen + 1, relaxed);
    } else {
        (void)cth__add(&total, 1, relaxed);
    }
}

static cth_status careless_hook(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&total, 0);
    cth_thread_set_hook(careless, NULL);
    cth_thread *a = sim_spawn(fails, NULL);
    cth_thread *b = sim_spawn(fails, NULL);
    (void)join_failed(a);
    (void)join_failed(b);
    CTH_SIM_CHECK(atomic_load(&total) == 2);
    return CTH_OK;
}

static void passes_hook_changes(void) {
    SIM_PASS(hook_changes, SIM_WAITS, 1500);
    SIM_PASS(hook_changes, SIM_ALL, 700);
}
static void passes_texts_are_fresh(void) {
    SIM_PASS(texts_are_fresh, SIM_WAITS, 1500);
}
static void finds_careless_hook(void) {
    SIM_FOUND(careless_hook, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_hook_changes),
    TEST(passes_texts_are_fresh),
    TEST(finds_careless_hook),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
