/* sim_status.c - error texts of threads under many schedules

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_status fails_and_reads(void *arg) {
    char want[32];
    const unsigned id = (unsigned)cth_thread_id(cth_thread_current());
    (void)arg;
    CTH_SIM_CHECK(strcmp(cth_error_text(), "") == 0); // nothing of a thread before it
    for (int i = 0; i < 3; i++) {
        CTH_SIM_CHECK(cth_fail(CTH_FULL, "thread %u, %d", id, i) == CTH_FULL);
        cth_yield();
        snprintf(want, sizeof want, "thread %u, %d", id, i);
        CTH_SIM_CHECK(strcmp(cth_error_text(), want) == 0);
    }
    return CTH_OK;
}

/* Each thread has its own text, whoever fails meanwhile. */
static cth_status own_texts(void *arg) {
    sim_begin();
    (void)cth_fail(CTH_FAILED, "main");
    sim_together(fails_and_reads, arg, 3);
    sim_together(fails_and_reads, arg, 2);
    CTH_SIM_CHECK(strcmp(cth_error_text(), "main") == 0);
    return CTH_OK;
}

/* Bug: one text for all threads: between writing and reading, another one fails. */
static char common[32];

static cth_status shares_text(void *arg) {
    const char *mine = (const char *)arg;
    strcpy(common, mine);
    cth_yield();
    if (planted) {
        CTH_SIM_CHECK(strcmp(common, mine) == 0);
    }
    return CTH_OK;
}

static cth_status shared_text(void *arg) {
    static char one[] = "one", two[] = "two";
    (void)arg;
    sim_begin();
    cth_thread *a = sim_spawn(shares_text, one);
    cth_thread *b = sim_spawn(shares_text, two);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

static void passes_own_texts(void) {
    SIM_PASS(own_texts, SIM_WAITS, 1500);
    SIM_PASS(own_texts, SIM_ALL, 700);
}
static void finds_shared_text(void) {
    SIM_FOUND(shared_text, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_own_texts),
    TEST(finds_shared_text),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
