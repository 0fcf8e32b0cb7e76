/* sim_rmutex.c - the recursive mutex under many schedules, and bugs of such locks

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_rmutex lock;
static cth_cond changed;
static int inside; // threads in the critical section
static int total;  // changed under the lock, in two steps
static int items;  // under the lock

static void fresh(void) {
    static const cth_rmutex no_mutex = CTH_RMUTEX_INIT;
    static const cth_cond no_cond = CTH_COND_INIT;
    lock = no_mutex;
    changed = no_cond;
    inside = total = items = 0;
    sim_begin();
}

static void unlock(void) {
    CTH_SIM_CHECK(cth_rmutex_unlock(&lock) == CTH_OK);
}

/* Lock `levels` times more, in any way, and leave them again: in between nobody else gets in. */
static void nested(uint32_t levels) {
    if (levels == 0) {
        const int seen = total;
        cth_yield();
        total = seen + 1;
        return;
    }
    switch (cth_sim_choose(4)) {
    case 0: CTH_SIM_CHECK(cth_rmutex_try_lock(&lock) == CTH_OK); break;
    case 1: CTH_SIM_CHECK(cth_rmutex_lock_until(&lock, 0) == CTH_OK); break;
    case 2: CTH_SIM_CHECK(cth_rmutex_lock_until(&lock, sim_soon()) == CTH_OK); break;
    default: CTH_SIM_CHECK(cth_rmutex_lock(&lock) == CTH_OK); break;
    }
    nested(levels - 1);
    unlock();
    CTH_SIM_CHECK(inside == 1);
    cth_yield();
    CTH_SIM_CHECK(inside == 1);
}

static void critical(void) {
    CTH_SIM_CHECK(inside == 0);
    inside++;
    nested(cth_sim_choose(3));
    CTH_SIM_CHECK(inside == 1);
    inside--;
}

static void nobody_left(void) {
    CTH_SIM_CHECK(!cth_rmutex_is_locked(&lock));
    CTH_SIM_CHECK(cth_rmutex_unlock(&lock) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rmutex_destroy(&lock) == CTH_OK);
}

/* -- scenarios --------------------------------------------------------------------------------- */

static cth_status twice(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_rmutex_lock(&lock) == CTH_OK);
        critical();
        unlock();
    }
    return CTH_OK;
}

static cth_status exclusion(void *arg) {
    (void)arg;
    fresh();
    sim_together(twice, NULL, 3);
    CTH_SIM_CHECK(total == 6);
    nobody_left();
    return CTH_OK;
}

static cth_status sometimes(void *arg) {
    int *got = (int *)arg;
    const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
    const cth_status status = cth_rmutex_lock_until(&lock, deadline);
    if (status == CTH_OK) {
        critical();
        ++*got;
        unlock();
    } else {
        CTH_SIM_CHECK(status == CTH_TIMEDOUT && cth_now() >= deadline);
    }
    CTH_SIM_CHECK(cth_rmutex_unlock(&lock) == CTH_NOT_OWNER);
    return CTH_OK;
}

/* The unlock of the last level meets deadlines; the one who waits without one is not forgotten. */
static cth_status unlock_meets_timeouts(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rmutex_lock(&lock) == CTH_OK);
    cth_thread *threads[] = {sim_spawn(sometimes, &got), sim_spawn(twice, NULL),
                             sim_spawn(sometimes, &got)};
    critical();
    unlock();
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(total == 3 + got);
    nobody_left();
    return CTH_OK;
}

static uint32_t lock_some(void) {
    const uint32_t levels = 1 + cth_sim_choose(3);
    for (uint32_t i = 0; i < levels; i++) {
        CTH_SIM_CHECK(cth_rmutex_lock(&lock) == CTH_OK);
    }
    return levels;
}

/* Leave exactly `levels` levels: it is ours until the last one, and not afterwards. */
static void unlock_all(uint32_t levels) {
    for (uint32_t i = 0; i < levels; i++) {
        cth_rmutex_assert_held(&lock);
        CTH_SIM_CHECK(cth_rmutex_try_lock(&lock) == CTH_OK);
        unlock();
        unlock();
    }
    CTH_SIM_CHECK(cth_rmutex_unlock(&lock) == CTH_NOT_OWNER);
}

static cth_status takes(void *arg) {
    int *timed_out = (int *)arg;
    const uint32_t levels = lock_some();
    while (items == 0) {
        cth_status status;
        if (cth_sim_choose(2) == 0) {
            status = cth_cond_wait_rmutex(&changed, &lock);
        } else {
            status = cth_cond_wait_rmutex_until(&changed, &lock, sim_soon());
        }
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        CTH_SIM_CHECK(inside == 0);
        *timed_out += status == CTH_TIMEDOUT;
    }
    inside++;
    items--;
    cth_yield();
    inside--;
    unlock_all(levels);
    return CTH_OK;
}

static cth_status gives(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        const uint32_t levels = lock_some();
        CTH_SIM_CHECK(inside == 0);
        inside++;
        items++;
        cth_yield();
        inside--;
        CTH_SIM_CHECK(cth_cond_notify(&changed, 1) == CTH_OK);
        unlock_all(levels);
    }
    return CTH_OK;
}

/* A wait gives all levels away and has them all back, however it ends; who comes meanwhile
   starts at none. */
static cth_status wait_restores_depth(void *arg) {
    int timed_out = 0;
    (void)arg;
    fresh();
    cth_thread *threads[] = {sim_spawn(takes, &timed_out), sim_spawn(gives, NULL),
                             sim_spawn(takes, &timed_out)};
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(items == 0);
    CTH_SIM_CHECK(cth_cond_destroy(&changed) == CTH_OK);
    nobody_left();
    return CTH_OK;
}

static cth_status waits_under(void *arg) {
    const uint32_t levels = lock_some();
    CTH_UNDER((cth_cancel *)arg) {
        cth_status status;
        while ((status = cth_cond_wait_rmutex(&changed, &lock)) != CTH_CANCELLED) {
            CTH_SIM_CHECK(status == CTH_OK);
        }
    }
    unlock_all(levels);
    return CTH_OK;
}

/* The same when it is cancelled. */
static cth_status cancelled_wait(void *arg) {
    cth_cancel token;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *threads[] = {sim_spawn(waits_under, &token), sim_spawn(twice, NULL),
                             sim_spawn(waits_under, &token)};
    CTH_SIM_CHECK(cth_cond_notify_all(&changed) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    nobody_left();
    return CTH_OK;
}

struct counted {
    cth_rmutex mutex;
    int users;
};

static cth_status use_and_free(void *arg) {
    struct counted *c = (struct counted *)arg;
    const bool again = cth_sim_choose(2) == 0;
    CTH_SIM_CHECK(cth_rmutex_lock(&c->mutex) == CTH_OK);
    CTH_SIM_CHECK(!again || cth_rmutex_lock(&c->mutex) == CTH_OK);
    const bool last = --c->users == 0;
    CTH_SIM_CHECK(!again || cth_rmutex_unlock(&c->mutex) == CTH_OK);
    CTH_SIM_CHECK(cth_rmutex_unlock(&c->mutex) == CTH_OK);
    if (last) {
        sim_gone(c, sizeof *c);
    }
    return CTH_OK;
}

/* The last user gives the memory away at once. */
static cth_status freed_after_unlock(void *arg) {
    (void)arg;
    fresh();
    struct counted *c = (struct counted *)calloc(1, sizeof *c);
    c->users = 3;
    sim_together(use_and_free, c, 3);
    sim_untouched(c, sizeof *c);
    free(c);
    return CTH_OK;
}

static cth_status misuser(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rmutex_unlock(&lock) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rmutex_try_lock(&lock) == CTH_BUSY);
    CTH_SIM_CHECK(cth_rmutex_lock_until(&lock, 0) == CTH_TIMEDOUT);
    CTH_SIM_CHECK(cth_rmutex_lock_until(&lock, -1) == CTH_INVALID);
    CTH_SIM_CHECK(cth_cond_wait_rmutex(&changed, &lock) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rmutex_destroy(&lock) == CTH_BUSY);
    CTH_SIM_CHECK(cth_rmutex_is_locked(&lock));
    return CTH_OK;
}

/* Calls that must fail change neither owner nor depth. */
static cth_status misuse(void *arg) {
    (void)arg;
    fresh();
    const uint32_t levels = lock_some();
    cth_thread *waiter = sim_spawn(twice, NULL);
    cth_thread *wrong = sim_spawn(misuser, NULL);
    CTH_SIM_CHECK(cth_rmutex_lock_until(&lock, -1) == CTH_INVALID);
    CTH_SIM_CHECK(cth_cond_wait_rmutex_until(&changed, &lock, -1) == CTH_INVALID);
    CTH_SIM_CHECK(cth_rmutex_destroy(&lock) == CTH_BUSY);
    sim_join(wrong);
    unlock_all(levels);
    sim_join(waiter);
    CTH_SIM_CHECK(total == 2);
    nobody_left();
    return CTH_OK;
}

static void passes_exclusion(void) {
    SIM_PASS(exclusion, SIM_WAITS, 1500);
    SIM_PASS(exclusion, SIM_ALL, 500);
}
static void passes_unlock_meets_timeouts(void) {
    SIM_PASS(unlock_meets_timeouts, SIM_WAITS, 2500);
}
static void passes_wait_restores_depth(void) {
    SIM_PASS(wait_restores_depth, SIM_WAITS, 2500);
    SIM_PASS(cancelled_wait, SIM_WAITS, 1500);
}
static void passes_freed_after_unlock(void) {
    SIM_PASS(freed_after_unlock, SIM_WAITS, 2000);
}
static void passes_misuse(void) {
    SIM_PASS(misuse, SIM_WAITS, 1500);
}

/* -- planted bugs ------------------------------------------------------------------------------ */

// A recursive lock made of a mutex, an owner and a depth.
static cth_mutex base;
static cth__word owner; // number of the thread + 1
static int depth;

static void small_fresh(void) {
    static const cth_mutex zero = CTH_MUTEX_INIT;
    fresh();
    base = zero;
    atomic_init(&owner, 0);
    depth = 0;
}

static void small_lock(uint32_t me) {
    if (cth__load(&owner, relaxed) == me) {
        depth++;
        return;
    }
    CTH_SIM_CHECK(cth_mutex_lock(&base) == CTH_OK);
    cth__store(&owner, me, relaxed);
}

static void small_unlock(uint32_t me, bool too_late) {
    CTH_SIM_CHECK(cth__load(&owner, relaxed) == me);
    if (depth > 0) {
        depth--;
        return;
    }
    if (!too_late) {
        cth__store(&owner, 0, relaxed);
    }
    CTH_SIM_CHECK(cth_mutex_unlock(&base) == CTH_OK);
    if (too_late) {
        cth__store(&owner, 0, relaxed);
    }
}

/* Bug: the owner is forgotten after the mutex was unlocked, when there may be a new one already. */
static cth_status owner_user(void *arg) {
    const uint32_t me = *(const uint32_t *)arg;
    small_lock(me);
    small_lock(me);
    small_unlock(me, planted);
    small_unlock(me, planted);
    return CTH_OK;
}

static cth_status forgets_the_new_owner(void *arg) {
    uint32_t numbers[] = {1, 2};
    (void)arg;
    small_fresh();
    cth_thread *a = sim_spawn(owner_user, &numbers[0]);
    cth_thread *b = sim_spawn(owner_user, &numbers[1]);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: a wait on a condition gives the mutex away, but neither owner nor depth are put aside.
   Stands for conditions that know nothing of recursion. */
static cth_status depth_waiter(void *arg) {
    (void)arg;
    small_lock(1);
    small_lock(1);
    const int saved = depth;
    if (!planted) {
        depth = 0;
    }
    cth__store(&owner, 0, relaxed);
    CTH_SIM_CHECK(CTH_WAIT_WHILE(&changed, &base, items == 0) == CTH_OK);
    cth__store(&owner, 1, relaxed);
    depth = saved;
    small_unlock(1, false);
    small_unlock(1, false);
    return CTH_OK;
}

static cth_status keeps_the_depth(void *arg) {
    (void)arg;
    small_fresh();
    cth_thread *waiter = sim_spawn(depth_waiter, NULL);
    small_lock(2);
    items++;
    (void)cth_cond_notify(&changed, 1);
    small_unlock(2, false);
    sim_join(waiter);
    return CTH_OK;
}

static void finds_forgotten_owner(void) {
    SIM_FOUND(forgets_the_new_owner, 0, "check");
}
static void finds_kept_depth(void) {
    SIM_FOUND(keeps_the_depth, 0, "deadlock");
}

static const test_case tests[] = {
    TEST(passes_exclusion),
    TEST(passes_unlock_meets_timeouts),
    TEST(passes_wait_restores_depth),
    TEST(passes_freed_after_unlock),
    TEST(passes_misuse),
    TEST(finds_forgotten_owner),
    TEST(finds_kept_depth),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
