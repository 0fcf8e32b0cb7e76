/* A check fails in a thread: the program must end with an error and say which check it was. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

#include "test.h"

static cth_status work(void *arg) {
    const int one = *(int *)arg;
    CHECK(one == 2);
    return CTH_OK;
}

static void fails_in_thread(void) {
    int one = 1;
    cth_thread *thread = NULL;
    CHECK_STATUS(cth_thread_spawn(&thread, work, &one, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_join(thread, NULL), CTH_OK);
    cth_thread_release(thread);
}

static const test_case tests[] = {TEST(fails_in_thread)};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
