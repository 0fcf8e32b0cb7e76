/* sim_scope.c - scopes under many schedules, and a bug that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

enum { MOST = 4 };

static cth_executor *pool;
static cth_event event;
static cth_cancel stop;
static int data[MOST]; // each written by one task or thread
static int started, cancelled;
static cth_mutex lock; // guards the two

static void fresh(uint32_t workers) {
    static const cth_event unset = CTH_EVENT_INIT;
    static const cth_mutex open = CTH_MUTEX_INIT;
    event = unset;
    lock = open;
    started = cancelled = 0;
    memset(data, 0, sizeof data);
    sim_begin();
    cth_status status;
    while ((status = cth_executor_create(&pool, &(cth_executor_desc){.workers = workers})) !=
           CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
    CTH_SIM_CHECK(cth_cancel_init(&stop, NULL, CTH_FOREVER) == CTH_OK);
}

static void end(void) {
    CTH_SIM_CHECK(cth_cancel_current() == NULL);
    CTH_SIM_CHECK(cth_cancel_destroy(&stop) == CTH_OK);
    CTH_SIM_CHECK(cth_executor_shutdown(pool, CTH_DRAIN) == CTH_OK);
    cth_executor_release(pool);
    while (cth_thread_count() > 1) {
        cth_yield();
    }
}

/* Start as often as it takes; false when the scope is cancelled. */
static bool submit(cth_scope *scope, cth_task_fn fn, int n) {
    cth_status status;
    while ((status = cth_scope_submit(scope, NULL, fn, &n, sizeof n, 0)) != CTH_OK) {
        if (status == CTH_CANCELLED) {
            return false;
        }
        CTH_SIM_CHECK(status == CTH_NOMEM || status == CTH_AGAIN);
    }
    return true;
}

static bool spawn(cth_scope *scope, cth_thread_fn fn, void *arg) {
    cth_status status;
    while ((status = cth_scope_spawn(scope, fn, arg, NULL)) != CTH_OK) {
        if (status == CTH_CANCELLED) {
            return false;
        }
        CTH_SIM_CHECK(status == CTH_NOMEM || status == CTH_AGAIN);
    }
    return true;
}

static cth_status writes(void *arg, void *result) {
    const int i = *(const int *)arg;
    (void)result;
    CTH_SIM_WRITE(data[i]);
    data[i] = i + 1;
    return CTH_OK;
}

static cth_status writes_in_thread(void *arg) {
    return writes(arg, NULL);
}

static void expect(int i) {
    CTH_SIM_READ(data[i]);
    CTH_SIM_CHECK(data[i] == i + 1);
}

static cth_status waits(void *arg, void *result) {
    (void)arg;
    (void)result;
    CTH_WITH(&lock) {
        started++;
    }
    const cth_status status = cth_event_wait(&event);
    CTH_WITH(&lock) {
        cancelled += status == CTH_CANCELLED;
    }
    return status;
}

static cth_status waits_in_thread(void *arg) {
    return waits(arg, NULL);
}

static cth_status fails(void *arg, void *result) {
    (void)result;
    return cth_fail(CTH_FAILED, "no %d", *(const int *)arg);
}

static cth_status all_end(void *arg) {
    static int three = 3;
    (void)arg;
    fresh(1 + cth_sim_choose(2));
    cth_status status;
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        CTH_SIM_CHECK(status == CTH_OK);
        for (int i = 0; i < 3; i++) {
            CTH_SIM_CHECK(submit(&scope, writes, i));
        }
        CTH_SIM_CHECK(spawn(&scope, writes_in_thread, &three));
        if (planted) {
            CTH_SIM_READ(data[1]);
        }
    }
    CTH_SIM_CHECK(status == CTH_OK);
    for (int i = 0; i < MOST; i++) {
        expect(i);
    }
    end();
    return CTH_OK;
}

static cth_status error_cancels(void *arg) {
    (void)arg;
    fresh(2 + cth_sim_choose(2));
    cth_status status;
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        if (submit(&scope, fails, 5) && submit(&scope, waits, 0)) {
            (void)spawn(&scope, waits_in_thread, NULL);
        }
    }
    CTH_SIM_CHECK(status == CTH_FAILED);
    CTH_SIM_CHECK(strcmp(cth_error_text(), "no 5") == 0);
    CTH_SIM_CHECK(started == cancelled);
    end();
    return CTH_OK;
}

static cth_status sets(void *arg) {
    (void)arg;
    return cth_event_set(&event);
}

static cth_status deadline(void *arg) {
    (void)arg;
    fresh(1 + cth_sim_choose(2));
    cth_status status;
    CTH_SCOPE(scope, pool, sim_soon(), &status) {
        if (submit(&scope, waits, 0)) {
            (void)spawn(&scope, sets, NULL);
        }
    }
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    CTH_SIM_CHECK(status == CTH_TIMEDOUT || (started == 1 && cancelled == 0));
    end();
    return CTH_OK;
}

static cth_status requests(void *arg) {
    (void)arg;
    return cth_cancel_request(&stop, "stop");
}

static cth_status from_above(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *canceller = sim_spawn(requests, NULL);
    cth_status status;
    CTH_UNDER(&stop) {
        CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
            if (submit(&scope, waits, 0)) {
                (void)submit(&scope, writes, 0);
            }
        }
    }
    CTH_SIM_CHECK(status == CTH_CANCELLED);
    CTH_SIM_CHECK(started == cancelled);
    sim_join(canceller);
    end();
    return CTH_OK;
}

/* A task with a scope of its own, in the only worker, that starts more in the outer one as well. */
static cth_status has_its_own(void *arg, void *result) {
    cth_scope *outer = *(cth_scope **)arg;
    cth_status status;
    (void)result;
    CTH_SIM_CHECK(submit(outer, writes, 2));
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        CTH_SIM_CHECK(submit(&scope, writes, 0));
        CTH_SIM_CHECK(submit(&scope, writes, 1));
    }
    expect(0);
    expect(1);
    return status;
}

static cth_status nested(void *arg) {
    (void)arg;
    fresh(1);
    cth_status status;
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        cth_scope *p = &scope;
        cth_status tried;
        while ((tried = cth_scope_submit(p, NULL, has_its_own, &p, sizeof p, 0)) != CTH_OK) {
            CTH_SIM_CHECK(tried == CTH_NOMEM || tried == CTH_AGAIN);
        }
        CTH_SIM_CHECK(submit(&scope, writes, 3));
    }
    CTH_SIM_CHECK(status == CTH_OK);
    for (int i = 0; i < MOST; i++) {
        expect(i);
    }
    end();
    return CTH_OK;
}

static cth_status shuts(void *arg) {
    (void)arg;
    const cth_status status = cth_executor_shutdown(pool, CTH_NOW);
    CTH_SIM_CHECK(status == CTH_OK);
    return CTH_OK;
}

/* The executor drops tasks: an error, but for those that had started. */
static cth_status dropped(void *arg) {
    (void)arg;
    fresh(1);
    cth_status status;
    cth_thread *shutter = NULL;
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        for (int i = 0; i < 3; i++) {
            CTH_SIM_CHECK(submit(&scope, writes, i));
        }
        shutter = sim_spawn(shuts, NULL);
    }
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_SHUTDOWN);
    sim_join(shutter);
    bool all = true;
    for (int i = 0; i < 3; i++) {
        all = all && data[i] == i + 1;
    }
    CTH_SIM_CHECK(all == (status == CTH_OK));
    end();
    return CTH_OK;
}

#define SCENARIO(fn, faults)      \
  static void passes_##fn(void) { \
    SIM_PASS(fn, 0, 800);         \
    SIM_PASS(fn, faults, 800);    \
  }
SCENARIO(all_end, SIM_ALL)
SCENARIO(error_cancels, SIM_ALL)
SCENARIO(deadline, SIM_ALL)
SCENARIO(from_above, SIM_ALL)
SCENARIO(nested, SIM_ALL)
SCENARIO(dropped, SIM_ALL)

static void finds_use_before_the_end(void) {
    SIM_FOUND(all_end, 0, "data race");
}

static const test_case tests[] = {
    TEST(passes_all_end),           TEST(passes_error_cancels), TEST(passes_deadline),
    TEST(passes_from_above),        TEST(passes_nested),        TEST(passes_dropped),
    TEST(finds_use_before_the_end),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
