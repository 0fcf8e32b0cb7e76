/* fault_fork.c - fork while other threads hold, use and wait for everything.

   In the child only the forking thread is left. It must be able to use fresh objects and those that
   nobody held, to time out on a mutex held by a thread that is no more, to start and join threads,
   and to exit. Threads that waited in the parent are no waiters in the child: a permit or a notify
   must not go to one of them. An alarm ends a child that hangs. */
#define _POSIX_C_SOURCE 200809L

#if defined(__SANITIZE_ADDRESS__)
#  define ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define ASAN 1
#  endif
#endif
#ifndef ASAN
#  define ASAN 0
#endif

/* AddressSanitizer does not see thrd_create, and so takes a thread of the child for the gone one
   whose stack it has. It sees pthread_create. */
#if ASAN && !defined(CTHREADS_PTHREADS)
#  define CTHREADS_PTHREADS
#endif
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { FORKS = 200, CHILD_SECONDS = 30, BUSY = 3, SKIPPED = 77 };

static atomic_int stop;
static atomic_int ready;  // busy threads
static cth_mutex held;    // by a thread that is gone in the child
static cth_mutex mine;    // by the forking thread, with a thread waiting for it
static cth_mutex used;    // by all, all the time
static cth_cond changed;  // for `used`
static cth_sem permits;   // used by all
static cth_sem ticks;     // wakes the forking thread now and then
static cth_event blinks;  // set and cleared all the time
static cth_event opened;  // always set
static cth_event gate;    // ends the parent's holders
static cth_sem starved;   // a thread waits for it in the parent
static cth_event awaited; // the same
static cth_mutex quiet;   // free but for the thread that waits on `rung`
static cth_cond rung;
static bool ringing;
static cth_local local = CTH_LOCAL_INIT(sizeof(int), NULL, NULL);

static cth_status nap(void *arg) {
    (void)arg;
    return cth_sleep(CTH_US(20));
}

static cth_status hold(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_mutex_lock(&held), CTH_OK);
    CHECK_STATUS(cth_event_wait(&gate), CTH_OK);
    return cth_mutex_unlock(&held);
}

static cth_status want_mine(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_mutex_lock(&mine), CTH_OK);
    return cth_mutex_unlock(&mine);
}

static cth_status want_permit(void *arg) {
    (void)arg;
    return cth_sem_acquire(&starved);
}

static cth_status want_event(void *arg) {
    (void)arg;
    return cth_event_wait(&awaited);
}

static cth_status wait_event(void *arg) {
    return cth_event_wait((cth_event *)arg);
}

static cth_status want_ring(void *arg) {
    (void)arg;
    CTH_WITH(&quiet) {
        CHECK_STATUS(CTH_WAIT_WHILE(&rung, &quiet, !ringing), CTH_OK);
    }
    return CTH_OK;
}

/* Everything that takes one of the kit's inner locks, again and again. */
static cth_status be_busy(void *arg) {
    cth_rng rng;
    cth_rng_seed(&rng, (uint64_t)(uintptr_t)arg);
    CHECK(cth_local_get(&local) != NULL);
    atomic_fetch_add(&ready, 1);
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        CTH_WITH(&used) {
            const cth_status status = cth_cond_wait_until(
                &changed, &used, cth_after((cth_time)cth_rng_below(&rng, 50000)));
            CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        }
        CHECK_STATUS(cth_cond_notify(&changed, 1), CTH_OK);
        CHECK_STATUS(cth_sem_acquire(&permits), CTH_OK);
        CHECK_STATUS(cth_event_set(&blinks), CTH_OK);
        CHECK_STATUS(cth_event_clear(&blinks), CTH_OK);
        CHECK_STATUS(cth_sem_release(&permits), CTH_OK);
        CHECK_STATUS(cth_sem_release(&ticks), CTH_OK);
        cth_cancel token;
        CHECK_STATUS(cth_cancel_init(&token, NULL, cth_after(CTH_US(30))), CTH_OK);
        CTH_UNDER(&token) {
            const cth_status status = cth_event_wait(&blinks);
            CHECK(status == CTH_OK || status == CTH_CANCELLED);
        }
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
        // A sanitizer's allocator is of no use in the child when another thread was inside at the
        // fork, so no thread may allocate there.
        if (!ASAN) {
            CHECK(cth_thread_set_name(cth_thread_current(), i % 2 == 0 ? "odd" : "even") == CTH_OK);
            if (arg == (void *)1) {
                CHECK_STATUS(test_join(test_spawn(nap, NULL)), CTH_OK);
            }
        }
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   The child.
   ------------------------------------------------------------------------------------------------
 */

typedef struct fresh {
    cth_mutex mutex;
    cth_cond cond;
    cth_sem sem;
    cth_event event;
    int turn;
} fresh;

static cth_status use_fresh(void *arg) {
    fresh *f = arg;
    CHECK_STATUS(cth_sem_acquire(&f->sem), CTH_OK);
    CTH_WITH(&f->mutex) {
        CHECK_STATUS(CTH_WAIT_WHILE(&f->cond, &f->mutex, f->turn == 0), CTH_OK);
        f->turn = 2;
    }
    CHECK(cth_local_get(&local) != NULL);
    CHECK_EQ(cth_thread_count(), 2);
    return cth_event_set(&f->event);
}

static void use_fresh_objects(void) {
    fresh f;
    memset(&f, 0, sizeof f);
    cth_thread *thread = test_spawn(use_fresh, &f);
    CHECK_STATUS(cth_sem_release(&f.sem), CTH_OK);
    CTH_WITH(&f.mutex) {
        f.turn = 1;
        CHECK_STATUS(cth_cond_notify(&f.cond, 1), CTH_OK);
    }
    CHECK_STATUS(cth_event_wait(&f.event), CTH_OK);
    CHECK_EQ(f.turn, 2);
    CHECK_STATUS(test_join(thread), CTH_OK);
    CHECK_EQ(cth_thread_count(), 1);
    CHECK_STATUS(cth_mutex_lock_until(&f.mutex, cth_after(CTH_US(10))), CTH_OK);
    CHECK_STATUS(cth_cond_wait_until(&f.cond, &f.mutex, cth_after(CTH_US(10))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_mutex_unlock(&f.mutex), CTH_OK);
    CHECK_STATUS(cth_sem_acquire_until(&f.sem, cth_after(CTH_US(10))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_mutex_destroy(&f.mutex), CTH_OK);
    CHECK_STATUS(cth_cond_destroy(&f.cond), CTH_OK);
    CHECK_STATUS(cth_sem_destroy(&f.sem), CTH_OK);
    CHECK_STATUS(cth_event_destroy(&f.event), CTH_OK);
}

static void use_old_objects(bool holds_mine) {
    CHECK_STATUS(cth_event_wait(&opened), CTH_OK);
    CHECK(cth_mutex_is_locked(&held));
    CHECK_STATUS(cth_mutex_try_lock(&held), CTH_BUSY);
    const cth_time deadline = cth_after(CTH_MS(1));
    CHECK_STATUS(cth_mutex_lock_until(&held, deadline), CTH_TIMEDOUT);
    CHECK(cth_now() >= deadline);
    CHECK_STATUS(cth_mutex_unlock(&held), CTH_NOT_OWNER);

    if (holds_mine) {
        CHECK_STATUS(cth_mutex_lock(&mine), CTH_DEADLOCK);
        CHECK_STATUS(cth_mutex_unlock(&mine), CTH_OK);
        CHECK(!cth_mutex_is_locked(&mine));
        CHECK_STATUS(cth_mutex_lock(&mine), CTH_OK);
        CHECK_STATUS(cth_mutex_unlock(&mine), CTH_OK);
        CHECK_STATUS(test_join(test_spawn(want_mine, NULL)), CTH_OK);
        CHECK_STATUS(cth_mutex_destroy(&mine), CTH_OK);
    }

    // No ghost takes the permit.
    CHECK_STATUS(cth_sem_release(&starved), CTH_OK);
    CHECK_STATUS(cth_sem_acquire_until(&starved, cth_after(CTH_S(1000))), CTH_OK);
    CHECK_STATUS(cth_sem_try_acquire(&starved), CTH_BUSY);
    CHECK_STATUS(cth_event_set(&awaited), CTH_OK);
    CHECK_STATUS(cth_event_wait(&awaited), CTH_OK);
    CHECK_STATUS(cth_sem_destroy(&starved), CTH_OK);
    CHECK_STATUS(cth_event_destroy(&awaited), CTH_OK);

    // No ghost takes the notify. (It is rarely awake and holds `quiet`: then this cannot be tried.)
    if (cth_mutex_lock_until(&quiet, cth_after(CTH_MS(1))) == CTH_OK) {
        CHECK_STATUS(cth_mutex_unlock(&quiet), CTH_OK);
        cth_thread *thread = test_spawn(want_ring, NULL);
        test_asleep(thread);
        CHECK_STATUS(cth_mutex_lock(&quiet), CTH_OK);
        ringing = true;
        CHECK_STATUS(cth_cond_notify(&rung, 1), CTH_OK);
        CHECK_STATUS(cth_mutex_unlock(&quiet), CTH_OK);
        CHECK_STATUS(test_join(thread), CTH_OK);
        CHECK_STATUS(cth_cond_destroy(&rung), CTH_OK);
    }
}

static void use_cancel(void) {
    cth_cancel token;
    cth_event never = CTH_EVENT_INIT;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_event_wait(&never), CTH_CANCELLED);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static void only_me(void) {
    CHECK_EQ(cth_thread_count(), 1);
    cth_thread *all[2] = {NULL, NULL};
    CHECK_EQ(cth_thread_enumerate(all, 2), 1);
    CHECK(all[0] == cth_thread_current());
    cth_thread_release(all[0]);
}

/* Through the kit's exit handler, which has nobody to wait for; but a leak check does not work in
   the child, where the stacks of the threads that are gone look like leaks. */
static void end_child(void) {
    if (ASAN) {
        _exit(EXIT_SUCCESS);
    }
    exit(EXIT_SUCCESS);
}

static void child(int number, bool holds_mine) {
    alarm(CHILD_SECONDS);
    only_me();
    use_fresh_objects();
    use_old_objects(holds_mine);
    use_cancel();
    CHECK_STATUS(cth_thread_set_name(cth_thread_current(), "child"), CTH_OK);
    CHECK(cth_local_get(&local) != NULL);
    only_me();
    if (number % 8 == 0) {
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(CHILD_SECONDS);
            only_me();
            use_fresh_objects();
            end_child();
        }
        int status = 0;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    }
    end_child();
}

/* ------------------------------------------------------------------------------------------------
   The parent.
   ------------------------------------------------------------------------------------------------
 */

static void fork_one(int number, bool holds_mine) {
    // Woken a moment ago, perhaps: whoever did it may still be at it.
    CHECK_STATUS(cth_sem_acquire(&ticks), CTH_OK);
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child(number, holds_mine);
    }
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
        fprintf(stderr, "fork %d: %s %d%s\n", number, WIFEXITED(status) ? "exit status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    }
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), EXIT_SUCCESS);
}

static cth_status fork_in_thread(void *arg) {
    for (int i = 0; i < *(int *)arg; i++) {
        fork_one(i, false);
    }
    return CTH_OK;
}

static void fork_while_busy(void) {
    CHECK_STATUS(cth_event_set(&opened), CTH_OK);
    CHECK_STATUS(cth_sem_release_n(&permits, 2), CTH_OK);
    CHECK_STATUS(cth_mutex_lock(&mine), CTH_OK);
    cth_thread *sleepers[] = {test_spawn(hold, NULL), test_spawn(want_mine, NULL),
                              test_spawn(want_permit, NULL), test_spawn(want_event, NULL),
                              test_spawn(want_ring, NULL)};
    for (size_t i = 0; i < TEST_COUNT(sleepers); i++) {
        test_asleep(sleepers[i]);
    }
    CHECK(cth_mutex_is_locked(&held));
    cth_thread *busy[BUSY];
    for (int i = 0; i < BUSY; i++) {
        busy[i] = test_spawn(be_busy, (void *)(uintptr_t)(i + 1));
    }
    test_reach(&ready, BUSY);
    for (int i = 0; i < FORKS * 3 / 4; i++) {
        fork_one(i, true);
    }
    // The other quarter: forked by a thread of the kit, not by main.
    CHECK_STATUS(test_join(test_spawn(fork_in_thread, &(int){FORKS / 4})), CTH_OK);

    atomic_store(&stop, 1);
    for (int i = 0; i < BUSY; i++) {
        CHECK_STATUS(test_join(busy[i]), CTH_OK);
    }
    CHECK_STATUS(cth_event_set(&gate), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&mine), CTH_OK);
    CHECK_STATUS(cth_sem_release(&starved), CTH_OK);
    CHECK_STATUS(cth_event_set(&awaited), CTH_OK);
    CTH_WITH(&quiet) {
        ringing = true;
    }
    CHECK_STATUS(cth_cond_notify_all(&rung), CTH_OK);
    for (size_t i = 0; i < TEST_COUNT(sleepers); i++) {
        CHECK_STATUS(test_join(sleepers[i]), CTH_OK);
    }
    printf("     %d forks\n", FORKS);
}

/* Forked by a thread that the kit has never seen: in the child it is the main thread. */
static void *fork_unseen(void *arg) {
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(CHILD_SECONDS);
        only_me();
        use_fresh_objects();
        use_cancel();
        only_me();
        end_child();
    }
    *(pid_t *)arg = pid;
    return NULL;
}

static void fork_in_foreign_thread(void) {
    cth_event stay = CTH_EVENT_INIT;
    cth_thread *thread = test_spawn(wait_event, &stay);
    for (int i = 0; i < 10; i++) {
        fflush(stdout);
        pthread_t id;
        pid_t pid = -1;
        CHECK_EQ(pthread_create(&id, NULL, fork_unseen, &pid), 0);
        CHECK_EQ(pthread_join(id, NULL), 0);
        CHECK(pid > 0);
        int status = 0;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), EXIT_SUCCESS);
    }
    CHECK_STATUS(cth_event_set(&stay), CTH_OK);
    CHECK_STATUS(test_join(thread), CTH_OK);
}

int main(int argc, char **argv) {
    static const test_case tests[] = {TEST(fork_while_busy), TEST(fork_in_foreign_thread)};
    if (TEST_TSAN) {
        printf("fault_fork: ThreadSanitizer starts no threads in the child of a process with "
               "threads\n");
        return SKIPPED;
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
