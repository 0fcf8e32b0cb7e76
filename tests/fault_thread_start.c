/* fault_thread_start.c - every start of a thread by the system fails in turn.

   The implementation is compiled with CTH_THREAD_START_HOOK(), an expression which makes the
   system refuse the thread when it is not zero. The route is the one that this build chose
   (<threads.h>, or pthreads where that is built in); fault_thread_start_pthreads.c is the same
   program with the other; threads with a stack size take the pthread route in both. A last test
   lets the real system refuse. */
#define _DEFAULT_SOURCE // setrlimit with RLIMIT_NPROC
#include <stdatomic.h>
#include <stdlib.h>

enum { NEVER = -1, ALWAYS = -2 };

static atomic_int starts_left = NEVER; // starts that still succeed; then one fails
static atomic_int starts_seen;
static atomic_int live_blocks;

static inline int start_refused(void) {
    atomic_fetch_add(&starts_seen, 1);
    const int left = atomic_load(&starts_left);
    if (left == NEVER) {
        return 0;
    }
    if (left != ALWAYS) {
        atomic_store(&starts_left, left - 1); // after 0 comes NEVER
    }
    return left <= 0;
}

static inline void *count_malloc(size_t size) {
    void *block = malloc(size);
    if (block != NULL) {
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

static inline void count_free(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
    }
    free(block);
}

#define CTH_THREAD_START_HOOK() start_refused()
#define CTH_MALLOC(size)        count_malloc(size)
#define CTH_FREE(block)         count_free(block)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <sys/resource.h>

enum { THREADS = 8, STACK = 1 << 20 };

static cth_event gate;
static atomic_int ran;

static cth_status run(void *arg) {
    (void)arg;
    atomic_fetch_add(&ran, 1);
    return cth_event_wait(&gate);
}

static void open_gate(void) {
    CHECK_STATUS(cth_event_set(&gate), CTH_OK);
}

static void reset(void) {
    CHECK_STATUS(cth_event_clear(&gate), CTH_OK);
    atomic_store(&ran, 0);
}

static void is_listed(const cth_thread *thread, bool want) {
    cth_thread *all[THREADS + 4];
    const size_t n = cth_thread_enumerate(all, THREADS + 4);
    CHECK(n <= THREADS + 4);
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        found = found || all[i] == thread;
        cth_thread_release(all[i]);
    }
    CHECK_EQ(found, want);
}

/* Create THREADS threads and let the n-th start fail. */
static void fail_nth(const cth_thread_desc *desc, int n) {
    reset();
    const size_t before = cth_thread_count();
    cth_thread *threads[THREADS] = {NULL};
    atomic_store(&starts_left, n);
    atomic_store(&starts_seen, 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(cth_thread_create(&threads[i], run, NULL, desc), CTH_OK);
        const size_t alive = cth_thread_count();
        errno = 77;
        const cth_status status = cth_thread_start(threads[i]);
        CHECK_EQ(errno, 77);
        CHECK_STATUS(status, i == n ? CTH_AGAIN : CTH_OK);
        if (i == n) {
            CHECK_EQ(cth_thread_count(), alive);
            CHECK(!cth_thread_is_alive(threads[i]));
            CHECK_EQ(cth_thread_native_id(threads[i]), 0);
            is_listed(threads[i], false);
            CHECK_STATUS(cth_thread_join(threads[i], NULL), CTH_INVALID);
            CHECK_STATUS(cth_thread_start(threads[i]), CTH_OK);
        }
        CHECK_EQ(cth_thread_count(), alive + 1);
        CHECK(cth_thread_is_alive(threads[i]));
        is_listed(threads[i], true);
        CHECK_STATUS(cth_thread_start(threads[i]), CTH_INVALID);
    }
    CHECK_EQ(atomic_load(&starts_left), NEVER);
    CHECK_EQ(atomic_load(&starts_seen), THREADS + 1);
    open_gate();
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(atomic_load(&ran), THREADS);
    CHECK_EQ(cth_thread_count(), before);
}

static void fail_each(const cth_thread_desc *desc) {
    for (int n = 0; n < THREADS; n++) {
        fail_nth(desc, n);
    }
}

static void start_fails(void) {
    fail_each(NULL);
}

static void start_with_stack_size_fails(void) {
    fail_each(&(cth_thread_desc){.stack_size = STACK});
}

static void start_with_all_options_fails(void) {
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    fail_each(&(cth_thread_desc){.name = "all options", .daemon = true, .cancel = &token});
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* A spawn that fails leaves no handle, and nothing that piles up. */
static void spawn_leaves_nothing(void) {
    const cth_thread_desc descs[] = {
        {0}, {.stack_size = STACK}, {.daemon = true, .name = "a daemon"}};
    open_gate();
    for (size_t d = 0; d < TEST_COUNT(descs); d++) {
        const size_t before = cth_thread_count();
        int settled = 0;
        for (int i = 0; i < 100; i++) {
            cth_thread *thread = NULL;
            atomic_store(&starts_left, 0);
            CHECK_STATUS(cth_thread_spawn(&thread, run, NULL, &descs[d]), CTH_AGAIN);
            CHECK(thread == NULL);
            CHECK_EQ(cth_thread_count(), before);
            if (i == 10) {
                settled = atomic_load(&live_blocks);
            }
        }
        CHECK_EQ(atomic_load(&live_blocks), settled);
        cth_thread *thread = NULL;
        CHECK_STATUS(cth_thread_spawn(&thread, run, NULL, &descs[d]), CTH_OK);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
    reset();
}

/* The system refuses for a long while: the same handle stays good. */
static void start_again_and_again(void) {
    const cth_thread_desc descs[] = {{0}, {.stack_size = STACK}};
    open_gate();
    for (size_t d = 0; d < TEST_COUNT(descs); d++) {
        cth_thread *thread = NULL;
        CHECK_STATUS(cth_thread_create(&thread, run, NULL, &descs[d]), CTH_OK);
        atomic_store(&starts_left, ALWAYS);
        int settled = 0;
        for (int i = 0; i < 100; i++) {
            CHECK_STATUS(cth_thread_start(thread), CTH_AGAIN);
            if (i == 10) {
                settled = atomic_load(&live_blocks);
            }
        }
        CHECK_EQ(atomic_load(&live_blocks), settled);
        atomic_store(&starts_left, NEVER);
        CHECK_STATUS(cth_thread_start(thread), CTH_OK);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
    reset();
}

/* Nobody waits for a thread that never ran. */
static void join_all_skips_it(void) {
    cth_thread *thread = NULL;
    CHECK_STATUS(cth_thread_create(&thread, run, NULL, NULL), CTH_OK);
    atomic_store(&starts_left, 0);
    CHECK_STATUS(cth_thread_start(thread), CTH_AGAIN);
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    cth_thread_release(thread);
}

/* A detached thread whose start failed can be started still, and goes on by itself. */
static void detached_before(void) {
    reset();
    const size_t before = cth_thread_count();
    const cth_thread_desc descs[] = {{0}, {.stack_size = STACK}};
    for (size_t d = 0; d < TEST_COUNT(descs); d++) {
        cth_thread *thread = NULL;
        CHECK_STATUS(cth_thread_create(&thread, run, NULL, &descs[d]), CTH_OK);
        CHECK_STATUS(cth_thread_detach(thread), CTH_OK);
        atomic_store(&starts_left, 0);
        CHECK_STATUS(cth_thread_start(thread), CTH_AGAIN);
        CHECK_EQ(cth_thread_count(), before + d);
        CHECK_STATUS(cth_thread_start(thread), CTH_OK);
        CHECK_STATUS(cth_thread_join(thread, NULL), CTH_INVALID);
        cth_thread_release(thread);
    }
    open_gate();
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    CHECK_EQ(atomic_load(&ran), 2);
    reset();
}

/* A thread of the kit meets the failure just as main does. */
static cth_status spawn_refused(void *arg) {
    (void)arg;
    cth_thread *thread = NULL;
    CHECK_STATUS(cth_thread_spawn(&thread, run, NULL, NULL), CTH_AGAIN);
    CHECK(thread == NULL);
    CHECK_STATUS(cth_thread_spawn(&thread, run, NULL, NULL), CTH_OK);
    return test_join(thread);
}

static void spawn_in_a_thread_fails(void) {
    open_gate();
    atomic_store(&starts_left, 1);
    CHECK_STATUS(test_join(test_spawn(spawn_refused, NULL)), CTH_OK);
    CHECK_EQ(atomic_load(&starts_left), NEVER);
    reset();
}

/* The kit's own thread for signals may be refused too, if it comes through the same door. */
static void on_signal_fails(void) {
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    atomic_store(&starts_left, 0);
    const cth_status status = cth_cancel_on_signal(&token, SIGUSR2);
    if (atomic_load(&starts_left) == NEVER) {
        CHECK_STATUS(status, CTH_AGAIN);
        CHECK_STATUS(cth_cancel_status(&token), CTH_OK);
        CHECK_STATUS(cth_cancel_on_signal(&token, SIGUSR2), CTH_OK);
    } else {
        CHECK_STATUS(status, CTH_OK);
        atomic_store(&starts_left, NEVER);
    }
    CHECK_EQ(raise(SIGUSR2), 0);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_sleep_until(CTH_FOREVER), CTH_CANCELLED);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* A team works with the threads it gets, and says how many they are. */
static atomic_int indices;

static cth_status counts(void *arg, size_t from, size_t to) {
    (void)arg;
    atomic_fetch_add(&indices, (int)(to - from));
    return cth_sleep(CTH_US(100));
}

static void team_of_fewer(void) {
    const size_t before = cth_thread_count();
    for (int n = ALWAYS; n < 3; n += n == ALWAYS ? 2 : 1) {
        cth_team *team = NULL;
        CHECK_STATUS(cth_team_create(&team, &(cth_team_desc){.workers = 4}), CTH_OK);
        CHECK_EQ(cth_team_workers(team), 4);
        atomic_store(&starts_left, n);
        atomic_store(&starts_seen, 0);
        do {
            atomic_store(&indices, 0);
            errno = 77;
            CHECK_STATUS(cth_parallel_for(team, 40, 1, counts, NULL), CTH_OK);
            CHECK_EQ(errno, 77);
            CHECK_EQ(atomic_load(&indices), 40);
        } while (atomic_load(&starts_seen) < 3);
        CHECK_EQ(cth_team_workers(team), n == ALWAYS ? 1 : 3);
        CHECK_EQ(cth_thread_count(), before + (n == ALWAYS ? 0 : 2));
        CHECK_STATUS(cth_parallel_for(team, 40, 1, counts, NULL), CTH_OK);
        CHECK_EQ(atomic_load(&starts_seen), 3); // it does not ask again
        cth_team_release(team);
        CHECK_EQ(cth_thread_count(), before);
        atomic_store(&starts_left, NEVER);
    }
}

/* In a child with another user's limit of one process, where the system really says no. Root is
   never refused, so root becomes somebody else first; where that is not possible or the limit is
   not kept there is nothing to see. */
enum { CHILD_REFUSED = 0, CHILD_UNLIMITED = 9 };

static int refused_by_system(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NPROC, &limit) != 0) {
        return CHILD_UNLIMITED;
    }
    const struct rlimit one = {1, limit.rlim_max};
    if ((geteuid() == 0 && setuid(65534) != 0) || setrlimit(RLIMIT_NPROC, &one) != 0) {
        return CHILD_UNLIMITED;
    }
    open_gate();
    const cth_thread_desc descs[] = {{0}, {.stack_size = STACK}};
    for (size_t d = 0; d < TEST_COUNT(descs); d++) {
        CHECK_EQ(setrlimit(RLIMIT_NPROC, &one), 0);
        cth_thread *thread = NULL;
        CHECK_STATUS(cth_thread_create(&thread, run, NULL, &descs[d]), CTH_OK);
        const cth_status status = cth_thread_start(thread);
        if (status == CTH_OK) {
            CHECK_STATUS(test_join(thread), CTH_OK);
            return CHILD_UNLIMITED;
        }
        CHECK_STATUS(status, CTH_AGAIN);
        CHECK(!cth_thread_is_alive(thread));
        CHECK_EQ(cth_thread_count(), 1);
        CHECK_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
        CHECK_STATUS(cth_thread_start(thread), CTH_OK);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
    return CHILD_REFUSED;
}

static void system_refuses(void) {
    char text[4096];
    const int result = test_child("limit", text, sizeof text);
    if (result == CHILD_UNLIMITED) {
        printf("     (no limit of processes here)\n");
        return;
    }
    if (result != CHILD_REFUSED) {
        fprintf(stderr, "%s", text);
    }
    CHECK_EQ(result, CHILD_REFUSED);
}

int main(int argc, char **argv) {
    static const test_case tests[] = {
        TEST(start_fails),
        TEST(start_with_stack_size_fails),
        TEST(start_with_all_options_fails),
        TEST(spawn_leaves_nothing),
        TEST(start_again_and_again),
        TEST(join_all_skips_it),
        TEST(detached_before),
        TEST(spawn_in_a_thread_fails),
        TEST(on_signal_fails),
        TEST(team_of_fewer),
        TEST(system_refuses),
    };
    if (test_child_mode(argc, argv) != NULL) {
        return refused_by_system();
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
