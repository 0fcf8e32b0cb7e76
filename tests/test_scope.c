/* test_scope.c - scopes: tasks and threads that end before their block does

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#include <stdatomic.h>
#include <stdlib.h>

static atomic_int blocks;       // of memory that the kit has now
static atomic_int memory_left;  // so many allocations, and then none; negative: any number
static atomic_int threads_left; // the same

static void *counted_malloc(size_t size) {
    if (atomic_load(&memory_left) == 0) {
        return NULL;
    }
    if (atomic_load(&memory_left) > 0) {
        atomic_fetch_sub(&memory_left, 1);
    }
    atomic_fetch_add(&blocks, 1);
    return malloc(size);
}

static void counted_free(void *p) {
    atomic_fetch_sub(&blocks, p != NULL);
    free(p);
}

static int no_thread(void) {
    return atomic_load(&threads_left) == 0;
}

#define CTH_MALLOC(size)        counted_malloc(size)
#define CTH_FREE(p)             counted_free(p)
#define CTH_THREAD_START_HOOK() no_thread()
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static cth_executor *pool_of(uint32_t workers) {
    cth_executor *pool = NULL;
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.workers = workers}), CTH_OK);
    return pool;
}

static void pool_end(cth_executor *pool) {
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    cth_executor_release(pool);
}

static cth_event never; // is never set: what waits for it waits until it is cancelled
static atomic_int ran, cancelled;

static cth_status counts(void *arg, void *result) {
    (void)arg;
    (void)result;
    atomic_fetch_add(&ran, 1);
    return CTH_OK;
}

static cth_status square(void *arg, void *result) {
    *(int *)result = *(int *)arg * *(int *)arg;
    return CTH_OK;
}

static cth_status waits(void *arg, void *result) {
    (void)arg;
    (void)result;
    atomic_fetch_add(&ran, 1);
    const cth_status status = cth_event_wait(&never);
    atomic_fetch_add(&cancelled, status == CTH_CANCELLED);
    return status;
}

static cth_status waits_in_thread(void *arg) {
    return waits(arg, NULL);
}

static cth_status fails(void *arg, void *result) {
    (void)result;
    return cth_fail(CTH_FAILED, "no %d", *(int *)arg);
}

/* Fails once `ran` has reached the number. */
static cth_status fails_after(void *arg, void *result) {
    test_reach(&ran, *(int *)arg);
    return fails(arg, result);
}

static void submit(cth_scope *scope, cth_task_fn fn, int n) {
    CHECK_STATUS(cth_scope_submit(scope, NULL, fn, &n, sizeof n, 0), CTH_OK);
}

static void start(void) {
    atomic_store(&ran, 0);
    atomic_store(&cancelled, 0);
}

static cth_status ends_it(void *arg) {
    CHECK_STATUS(cth_scope_end((cth_scope *)arg), CTH_NOT_OWNER);
    return CTH_OK;
}

static void misuse(void) {
    cth_executor *pool = pool_of(1);
    cth_scope scope;
    cth_cancel inner = CTH_CANCEL_INIT;
    CHECK_STATUS(cth_scope_begin(&scope, pool, -1), CTH_INVALID);
    CHECK_STATUS(cth_scope_begin(&scope, NULL, CTH_FOREVER), CTH_OK);
    CHECK(cth_cancel_current() != NULL);
    CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, 0, 0), CTH_INVALID);
    CHECK_STATUS(cth_scope_end(&scope), CTH_OK);
    CHECK(cth_cancel_current() == NULL);
    CHECK_STATUS(cth_scope_end(&scope), CTH_NOT_OWNER);
    CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, 0, 0), CTH_INVALID);
    CHECK_STATUS(cth_scope_begin(&scope, pool, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_scope_submit(&scope, NULL, NULL, NULL, 0, 0), CTH_INVALID);
    CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, SIZE_MAX, 0), CTH_INVALID);
    CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, 0, SIZE_MAX), CTH_INVALID);
    CHECK_STATUS(cth_scope_spawn(&scope, NULL, NULL, NULL), CTH_INVALID);
    CHECK_STATUS(
        cth_scope_spawn(&scope, waits_in_thread, NULL, &(cth_thread_desc){.cancel = &inner}),
        CTH_INVALID);
    CHECK_STATUS(cth_scope_fail(&scope, CTH_OK, NULL), CTH_INVALID);
    CHECK_STATUS(test_join(test_spawn(ends_it, &scope)), CTH_OK);
    CTH_UNDER(&inner) {
        CHECK_STATUS(cth_scope_end(&scope), CTH_INVALID);
    }
    CHECK_STATUS(cth_cancel_init(&inner, cth_cancel_current(), CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_scope_end(&scope), CTH_BUSY);
    CHECK_STATUS(cth_cancel_destroy(&inner), CTH_OK);
    CHECK_STATUS(cth_scope_end(&scope), CTH_OK);
    pool_end(pool);
}

static void tasks_end_before_it(void) {
    for (uint32_t workers = 1; workers < 4; workers++) {
        cth_executor *pool = pool_of(workers);
        cth_status status = CTH_FAILED;
        cth_future *futures[50];
        start();
        CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
            CHECK_STATUS(status, CTH_OK);
            for (int i = 0; i < 50; i++) {
                submit(&scope, counts, i);
                CHECK_STATUS(
                    cth_scope_submit(&scope, &futures[i], square, &i, sizeof i, sizeof(int)),
                    CTH_OK);
            }
        }
        CHECK_STATUS(status, CTH_OK);
        CHECK_EQ(atomic_load(&ran), 50);
        for (int i = 0; i < 50; i++) {
            int got = -1;
            CHECK(cth_future_is_done(futures[i]));
            CHECK_STATUS(cth_future_try_result(futures[i], &got), CTH_OK);
            CHECK_EQ(got, i * i);
            cth_future_release(futures[i]);
        }
        pool_end(pool);
    }
}

static cth_executor *the_pool;

/* A tree of scopes, each inside of a task. */
static cth_status tree(void *arg, void *result) {
    const int depth = *(int *)arg;
    cth_status status = CTH_OK;
    (void)result;
    atomic_fetch_add(&ran, 1);
    if (depth > 0) {
        CTH_SCOPE(scope, the_pool, CTH_FOREVER, &status) {
            submit(&scope, tree, depth - 1);
            submit(&scope, tree, depth - 1);
        }
    }
    return status;
}

static cth_status starts_more(void *arg, void *result) {
    cth_scope *scope = *(cth_scope **)arg;
    (void)result;
    for (int i = 0; i < 10; i++) {
        submit(scope, counts, i);
    }
    return CTH_OK;
}

static void nested(void) {
    the_pool = pool_of(1);
    cth_status status;
    start();
    CTH_SCOPE(scope, the_pool, CTH_FOREVER, &status) {
        submit(&scope, tree, 6);
    }
    CHECK_STATUS(status, CTH_OK);
    CHECK_EQ(atomic_load(&ran), 127);
    start();
    CTH_SCOPE(scope, the_pool, CTH_FOREVER, &status) {
        cth_scope *p = &scope;
        CHECK_STATUS(cth_scope_submit(p, NULL, starts_more, &p, sizeof p, 0), CTH_OK);
    }
    CHECK_STATUS(status, CTH_OK);
    CHECK_EQ(atomic_load(&ran), 10);
    pool_end(the_pool);
}

static void first_error_cancels_the_rest(void) {
    cth_executor *pool = pool_of(3);
    cth_status status;
    start();
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        submit(&scope, waits, 0);
        submit(&scope, waits, 0);
        submit(&scope, fails_after, 2);
        CHECK_STATUS(cth_event_wait(&never), CTH_CANCELLED); // the block is under it as well
        CHECK_STR(cth_cancel_reason(cth_cancel_current()), "failed");
        CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, 0, 0), CTH_CANCELLED);
        CHECK_STATUS(cth_scope_spawn(&scope, waits_in_thread, NULL, NULL), CTH_CANCELLED);
    }
    CHECK_STATUS(status, CTH_FAILED);
    CHECK_STR(cth_error_text(), "no 2");
    CHECK_EQ(atomic_load(&cancelled), 2);
    CHECK_EQ(atomic_load(&ran), 2);
    CHECK_STATUS(cth_cancel_status(NULL), CTH_OK);
    pool_end(pool);
}

static void what_has_not_begun_never_does(void) {
    cth_executor *pool = pool_of(1);
    cth_status status;
    start();
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        submit(&scope, waits, 0);
        test_reach(&ran, 1);
        for (int i = 0; i < 20; i++) {
            submit(&scope, counts, i);
        }
        CHECK_STATUS(cth_scope_fail(&scope, CTH_BROKEN, "enough"), CTH_OK);
        CHECK_STATUS(cth_scope_fail(&scope, CTH_CLOSED, "late"), CTH_OK);
    }
    CHECK_STATUS(status, CTH_BROKEN);
    CHECK_STR(cth_error_text(), "enough");
    CHECK_EQ(atomic_load(&ran), 1);
    pool_end(pool);
}

static cth_status leave(cth_executor *pool, int how, cth_status *status) {
    CTH_SCOPE(scope, pool, CTH_FOREVER, status) {
        submit(&scope, counts, 0);
        submit(&scope, fails, how);
        if (how == 0) {
            break;
        } else if (how == 1) {
            continue;
        } else if (how == 2) {
            return CTH_OK;
        } else {
            goto out;
        }
    }
    return CTH_OK;
out:
    return CTH_OK;
}

static void left_in_any_way(void) {
    cth_executor *pool = pool_of(1);
    for (int how = 0; how < 4; how++) {
        cth_status status = CTH_OK;
        char text[16];
        CHECK_STATUS(leave(pool, how, &status), CTH_OK);
        CHECK_STATUS(status, CTH_FAILED);
        snprintf(text, sizeof text, "no %d", how);
        CHECK_STR(cth_error_text(), text);
        CHECK(cth_cancel_current() == NULL);
    }
    cth_status status;
    CTH_SCOPE(scope, pool, -1, &status) {
        CHECK(false && scope.owner == 0);
    }
    CHECK_STATUS(status, CTH_INVALID);
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        status = CTH_NOMEM; // what the block says itself stays, if there is no error
        submit(&scope, counts, 0);
    }
    CHECK_STATUS(status, CTH_NOMEM);
    pool_end(pool);
}

static void deadlines(void) {
    cth_executor *pool = pool_of(2);
    cth_status status;
    start();
    const cth_time deadline = cth_after(CTH_MS(20));
    CTH_SCOPE(scope, pool, deadline, &status) {
        submit(&scope, waits, 0);
        submit(&scope, waits, 0);
        CHECK_STATUS(cth_scope_spawn(&scope, waits_in_thread, NULL, NULL), CTH_OK);
    }
    CHECK_STATUS(status, CTH_TIMEDOUT);
    CHECK_STR(cth_error_text(), cth_status_text(CTH_TIMEDOUT));
    CHECK(cth_now() >= deadline);
    // One that is late does not hurt, if nothing is left undone.
    CTH_SCOPE(scope, pool, cth_after(CTH_MS(20)), &status) {
        submit(&scope, counts, 0);
        CHECK_STATUS(cth_event_wait(&never), CTH_CANCELLED);
    }
    CHECK_STATUS(status, CTH_OK);
    // A refused start is something undone; and in a scope whose outer one has the deadline too.
    CTH_SCOPE(outer, pool, cth_after(CTH_MS(1)), &status) {
        cth_status inside;
        CTH_SCOPE(inner, pool, CTH_FOREVER, &inside) {
            CHECK_STATUS(cth_event_wait(&never), CTH_CANCELLED);
            CHECK_STATUS(cth_scope_submit(&inner, NULL, counts, NULL, 0, 0), CTH_CANCELLED);
        }
        CHECK_STATUS(inside, CTH_TIMEDOUT);
        CHECK_STATUS(cth_scope_fail(&outer, CTH_CLOSED, NULL), CTH_OK);
    }
    CHECK_STATUS(status, CTH_CLOSED);
    CHECK_STR(cth_error_text(), "closed");
    pool_end(pool);
}

static void cancelled_from_above(void) {
    cth_executor *pool = pool_of(2);
    cth_cancel stop;
    cth_status status;
    start();
    CHECK_STATUS(cth_cancel_init(&stop, NULL, CTH_FOREVER), CTH_OK);
    CTH_UNDER(&stop) {
        CTH_SCOPE(scope, pool, cth_after(CTH_S(3600)), &status) {
            submit(&scope, waits, 0);
            test_reach(&ran, 1);
            CHECK_STATUS(cth_cancel_request(&stop, NULL), CTH_OK);
        }
        CHECK_STATUS(status, CTH_CANCELLED);
        CHECK(cth_cancel_current() == &stop);
    }
    CHECK_STATUS(cth_cancel_destroy(&stop), CTH_OK);
    pool_end(pool);
}

static atomic_int hooked;

static void on_error(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread;
    (void)status;
    (void)message;
    (void)arg;
    atomic_fetch_add(&hooked, 1);
}

static cth_status thread_fails(void *arg) {
    test_reach(&ran, 3);
    CHECK_STR(cth_thread_name(cth_thread_current()), "failing");
    return fails(arg, NULL);
}

static void threads(void) {
    cth_status status;
    int seven = 7;
    start();
    cth_thread_set_hook(on_error, NULL);
    const size_t before = cth_thread_count();
    CTH_SCOPE(scope, NULL, CTH_FOREVER, &status) {
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(cth_scope_spawn(&scope, waits_in_thread, NULL, NULL), CTH_OK);
        }
        CHECK_STATUS(
            cth_scope_spawn(&scope, thread_fails, &seven, &(cth_thread_desc){.name = "failing"}),
            CTH_OK);
    }
    CHECK_EQ(cth_thread_count(), before);
    CHECK_STATUS(status, CTH_FAILED);
    CHECK_STR(cth_error_text(), "no 7");
    CHECK_EQ(atomic_load(&cancelled), 3);
    CHECK_EQ(atomic_load(&hooked), 0);
    cth_thread_set_hook(NULL, NULL);
}

static void dropped_tasks(void) {
    cth_executor *pool = pool_of(1);
    cth_status status;
    start();
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        cth_future *future;
        submit(&scope, waits, 0);
        test_reach(&ran, 1);
        CHECK_STATUS(cth_scope_submit(&scope, &future, counts, NULL, 0, 0), CTH_OK);
        CHECK_STATUS(cth_future_cancel(future), CTH_OK); // the user's own wish: no error
        cth_future_release(future);
        CHECK_STATUS(cth_cancel_status(NULL), CTH_OK);
        submit(&scope, counts, 0);
        CHECK_STATUS(cth_executor_shutdown_until(pool, CTH_NOW, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, 0, 0), CTH_SHUTDOWN);
    }
    CHECK_STATUS(status, CTH_SHUTDOWN); // of the task that was dropped, found first
    CHECK_EQ(atomic_load(&ran), 1);
    pool_end(pool);
}

static void cancelled_futures_are_no_error(void) {
    cth_executor *pool = pool_of(1);
    cth_status status;
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        for (int i = 0; i < 100; i++) {
            cth_future *future;
            CHECK_STATUS(cth_scope_submit(&scope, &future, counts, NULL, 0, 0), CTH_OK);
            (void)cth_future_cancel(future);
            cth_future_release(future);
        }
    }
    CHECK_STATUS(status, CTH_OK);
    pool_end(pool);
}

static cth_status returns(void *arg) {
    (void)arg;
    return CTH_OK;
}

/* A scope that goes on and on does not grow. */
static void what_is_over_is_freed(void) {
    cth_executor *pool = pool_of(1);
    cth_status status;
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        int most = 0;
        for (int i = 0; i < 500; i++) {
            cth_future *future;
            CHECK_STATUS(cth_scope_submit(&scope, &future, counts, NULL, 0, 0), CTH_OK);
            CHECK_STATUS(cth_future_result(future, NULL), CTH_OK);
            cth_future_release(future);
            if (i == 10) {
                most = atomic_load(&blocks);
            }
        }
        CHECK(atomic_load(&blocks) <= most + 4);
        const size_t threads_before = cth_thread_count();
        for (int i = 0; i < 50; i++) {
            CHECK_STATUS(cth_scope_spawn(&scope, returns, NULL, NULL), CTH_OK);
            while (cth_thread_count() > threads_before) {
                cth_yield();
            }
        }
        CHECK(atomic_load(&blocks) <= most + 12);
    }
    CHECK_STATUS(status, CTH_OK);
    pool_end(pool);
}

static void lacks(void) {
    cth_executor *pool = pool_of(1);
    cth_status status;
    start();
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        atomic_store(&threads_left, 0);
        CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, 0, 0), CTH_AGAIN);
        CHECK_STATUS(cth_scope_spawn(&scope, returns, NULL, NULL), CTH_AGAIN);
        atomic_store(&threads_left, -1);
        for (int n = 0; n < 2; n++) { // the job, the task
            atomic_store(&memory_left, n);
            CHECK_STATUS(cth_scope_submit(&scope, NULL, counts, NULL, 0, 0), CTH_NOMEM);
            CHECK_STATUS(cth_scope_spawn(&scope, returns, NULL, NULL), CTH_NOMEM);
        }
        atomic_store(&memory_left, -1);
        CHECK_STATUS(cth_cancel_status(NULL), CTH_OK);
        submit(&scope, counts, 0);
        CHECK_STATUS(cth_scope_spawn(&scope, returns, NULL, NULL), CTH_OK);
    }
    CHECK_STATUS(status, CTH_OK);
    CHECK_EQ(atomic_load(&ran), 1);
    pool_end(pool);
}

static void in_the_child_of_a_fork(void) {
    cth_executor *pool = pool_of(1);
    cth_status status = CTH_OK;
    start();
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        submit(&scope, waits, 0);
        test_reach(&ran, 1);
        fflush(stdout);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            bool good = cth_scope_submit(&scope, NULL, counts, NULL, 0, 0) == CTH_FORKED;
            good &= cth_scope_fail(&scope, CTH_FAILED, NULL) == CTH_FORKED;
            good &= cth_scope_end(&scope) == CTH_FORKED && cth_cancel_current() == NULL;
            CTH_SCOPE(fresh, NULL, CTH_FOREVER, &status) {
                // ThreadSanitizer allows no new threads there.
                good &= TEST_TSAN || cth_scope_spawn(&fresh, returns, NULL, NULL) == CTH_OK;
            }
            _exit(good && status == CTH_OK ? 0 : 1);
        }
        int result = 0;
        while (waitpid(pid, &result, 0) < 0) {
            CHECK_EQ(errno, EINTR);
        }
        CHECK(WIFEXITED(result));
        CHECK_EQ(WEXITSTATUS(result), 0);
        CHECK_STATUS(cth_scope_fail(&scope, CTH_CANCELLED, NULL), CTH_OK);
    }
    CHECK_STATUS(status, CTH_CANCELLED);
    pool_end(pool);
}

static const test_case tests[] = {
    TEST(misuse),
    TEST(tasks_end_before_it),
    TEST(nested),
    TEST(first_error_cancels_the_rest),
    TEST(what_has_not_begun_never_does),
    TEST(left_in_any_way),
    TEST(deadlines),
    TEST(cancelled_from_above),
    TEST(threads),
    TEST(dropped_tasks),
    TEST(cancelled_futures_are_no_error),
    TEST(what_is_over_is_freed),
    TEST(lacks),
    TEST(in_the_child_of_a_fork),
};

int main(int argc, char **argv) {
    atomic_store(&memory_left, -1);
    atomic_store(&threads_left, -1);
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
