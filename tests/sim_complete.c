/* sim_complete.c - small scenarios of every section, searched completely

   Each is run under every schedule with at most two preemptions, one load that sees an old value,
   and one fault. Two threads, each with a few calls on one object, and plain data that the object
   must order: what is left out here (more threads, more calls) is in the random runs of the other
   programs.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static struct {
    cth_mutex mutex, other;
    cth_rmutex rmutex;
    cth_rwlock rwlock;
    cth_cond cond;
    cth_sem sem;
    cth_event event, second;
    cth_latch latch;
    cth_barrier barrier;
    cth_once once;
    cth_cancel token, child;
    int data[2];
    int done;
} k;

static void fresh(void) {
    memset(&k, 0, sizeof k);

    sim_begin();
}

/* Change and read plain data, which the objects must order. */
static void change(int i) {
    CTH_SIM_WRITE(k.data[i]);
    k.data[i]++;
}
static int look(int i) {
    CTH_SIM_READ(k.data[i]);
    return k.data[i];
}

static void both(cth_thread_fn a, cth_thread_fn b) {
    cth_thread *first = sim_spawn(a, NULL);
    cth_thread *second = sim_spawn(b, NULL);
    sim_join(first);
    sim_join(second);
}

/* The status of a call with a deadline. */
static bool in_time(cth_status status) {
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    return status == CTH_OK;
}

/* -- time and status ---------------------------------------------------------------------------
 */

static cth_status sleeps(void *arg) {
    (void)arg;
    const cth_time deadline = cth_after(CTH_MS(2));
    CTH_SIM_CHECK(cth_sleep_until(deadline) == CTH_OK);
    CTH_SIM_CHECK(cth_now() >= deadline);
    return cth_fail(CTH_OK, "the text of %s", "one");
}

static cth_status sleeps_too(void *arg) {
    CTH_SIM_CHECK(cth_error_text()[0] == '\0');
    CTH_SIM_CHECK(sleeps(arg) == CTH_OK);
    return strcmp(cth_error_text(), "the text of one") == 0 ? CTH_OK : CTH_FAILED;
}

static cth_status sleepers(void *arg) {
    (void)arg;
    fresh();
    both(sleeps, sleeps_too);
    return CTH_OK;
}

/* -- cancel ------------------------------------------------------------------------------------
 */

static cth_status is_cancelled(void *arg) {
    (void)arg;
    CTH_UNDER(&k.child) {
        CTH_SIM_CHECK(cth_event_wait(&k.event) == CTH_CANCELLED);
    }
    CTH_SIM_CHECK(look(0) == 1);
    CTH_SIM_CHECK(cth_cancel_status(&k.child) == CTH_CANCELLED);
    CTH_SIM_CHECK(strcmp(cth_cancel_reason(&k.child), "enough") == 0);
    return CTH_OK;
}

static cth_status cancels(void *arg) {
    (void)arg;
    change(0);
    CTH_SIM_CHECK(cth_cancel_request(&k.token, "enough") == CTH_OK);
    return CTH_OK;
}

static cth_status request_or_sleep(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&k.token, NULL, CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_init(&k.child, &k.token, CTH_FOREVER) == CTH_OK);
    both(is_cancelled, cancels);
    CTH_SIM_CHECK(cth_cancel_destroy(&k.child) == CTH_OK);
    CTH_SIM_CHECK(cth_cancel_destroy(&k.token) == CTH_OK);
    return CTH_OK;
}

static cth_status polls(void *arg) {
    (void)arg;
    if (cth_cancel_status(&k.token) == CTH_CANCELLED) {
        CTH_SIM_CHECK(look(0) == 1);
    }
    const char *reason = cth_cancel_reason(&k.token);
    CTH_SIM_CHECK(reason == NULL || strcmp(reason, "enough") == 0);
    return CTH_OK;
}

static cth_status request_or_poll(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&k.token, NULL, CTH_FOREVER) == CTH_OK);
    both(polls, cancels);
    CTH_SIM_CHECK(cth_cancel_destroy(&k.token) == CTH_OK);
    return CTH_OK;
}

static cth_status sets_under(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_set(&k.event) == CTH_OK);
    return CTH_OK;
}

static cth_status waits_under(void *arg) {
    (void)arg;
    CTH_UNDER(&k.token) {
        const cth_status status = cth_event_wait(&k.event);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED);
    }
    return CTH_OK;
}

/* A token's deadline passes while the event is set. */
static cth_status deadline_or_set(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&k.token, NULL, sim_soon()) == CTH_OK);
    both(waits_under, sets_under);
    CTH_SIM_CHECK(cth_cancel_destroy(&k.token) == CTH_OK);
    return CTH_OK;
}

static cth_status makes_a_child(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_cancel_init(&k.child, &k.token, CTH_FOREVER) == CTH_OK);
    const bool before = cth_cancel_status(&k.child) == CTH_CANCELLED;
    CTH_SIM_CHECK(!before || look(0) == 1);
    CTH_SIM_CHECK(cth_cancel_destroy(&k.child) == CTH_OK);
    return CTH_OK;
}

static cth_status request_or_child(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&k.token, NULL, CTH_FOREVER) == CTH_OK);
    both(makes_a_child, cancels);
    CTH_SIM_CHECK(cth_cancel_destroy(&k.token) == CTH_OK);
    return CTH_OK;
}

/* -- threads: here starting and joining is what is searched -----------------------------------
 */

static cth_status leaves_data(void *arg) {
    (void)arg;
    change(0);
    return CTH_OK;
}

static cth_thread *start(cth_thread_fn fn, bool daemon) {
    const cth_thread_desc desc = {.daemon = daemon};
    cth_thread *thread = NULL;
    cth_status status;
    while ((status = cth_thread_spawn(&thread, fn, NULL, &desc)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_AGAIN || status == CTH_NOMEM);
    }
    return thread;
}

static cth_status start_and_join(void *arg) {
    (void)arg;
    fresh();
    change(0);
    cth_thread *thread = start(leaves_data, false);
    cth_status result = CTH_BROKEN;
    CTH_SIM_CHECK(cth_thread_join(thread, &result) == CTH_OK && result == CTH_OK);
    cth_thread_release(thread);
    CTH_SIM_CHECK(look(0) == 2);
    return CTH_OK;
}

static cth_status join_or_deadline(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = start(leaves_data, false);
    if (in_time(cth_thread_join_until(thread, NULL, sim_soon()))) {
        CTH_SIM_CHECK(look(0) == 1);
    } else {
        CTH_SIM_CHECK(cth_thread_join(thread, NULL) == CTH_OK);
    }
    cth_thread_release(thread);
    return CTH_OK;
}

static cth_status seen_to_end(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = start(leaves_data, false);
    if (!cth_thread_is_alive(thread)) {
        CTH_SIM_CHECK(look(0) == 1);
    }
    CTH_SIM_CHECK(cth_thread_set_name(thread, "renamed") == CTH_OK);
    cth_thread_release(thread);
    CTH_SIM_CHECK(cth_thread_join_all(CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1);
    return CTH_OK;
}

static cth_status detach_or_end(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = start(leaves_data, false);
    CTH_SIM_CHECK(cth_thread_detach(thread) == CTH_OK);
    CTH_SIM_CHECK(cth_thread_join(thread, NULL) == CTH_INVALID);
    cth_thread_release(thread);
    CTH_SIM_CHECK(cth_thread_join_all(CTH_FOREVER) == CTH_OK);
    return CTH_OK;
}

static cth_status names(void *arg) {
    (void)arg;
    const char *name = cth_thread_name(cth_thread_current());
    CTH_SIM_CHECK(strcmp(name, "Thread-1") == 0 || strcmp(name, "renamed") == 0);
    return CTH_OK;
}

static cth_status rename_or_ask(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = sim_spawn(names, NULL);
    cth_status status;
    while ((status = cth_thread_set_name(thread, "renamed")) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
    sim_join(thread);
    return CTH_OK;
}

static cth_status enumerates(void *arg) {
    cth_thread *all[4];
    (void)arg;
    const size_t n = cth_thread_enumerate(all, 4);
    CTH_SIM_CHECK(n >= 2 && n <= 3);
    for (size_t i = 0; i < n; i++) {
        CTH_SIM_CHECK(cth_thread_name(all[i])[0] != '\0');
        cth_thread_release(all[i]);
    }
    return CTH_OK;
}

static cth_status enumerate_or_end(void *arg) {
    (void)arg;
    fresh();
    both(enumerates, leaves_data);
    CTH_SIM_CHECK(cth_thread_count() == 1);
    return CTH_OK;
}

/* -- hook and local ----------------------------------------------------------------------------
 */

static void hook(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread;
    CTH_SIM_CHECK(status == CTH_FAILED && strcmp(message, "why") == 0 && arg == &k);
    CTH_SIM_READ(k.data[0]);
    k.done++;
}

static cth_status sets_the_hook(void *arg) {
    (void)arg;
    change(0);
    cth_thread_set_hook(hook, &k);
    return CTH_OK;
}

static cth_status fails(void *arg) {
    (void)arg;
    return cth_fail(CTH_FAILED, "why");
}

static void no_hook(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread;
    (void)status;
    (void)message;
    CTH_SIM_CHECK(arg == NULL);
    k.done++;
}

static cth_status hook_or_failure(void *arg) {
    cth_status result = CTH_OK;
    (void)arg;
    fresh();
    cth_thread_set_hook(no_hook, NULL);
    cth_thread *failing = start(fails, false);
    CTH_SIM_CHECK(sets_the_hook(NULL) == CTH_OK);
    cth_sim_explore(false);
    CTH_SIM_CHECK(cth_thread_join(failing, &result) == CTH_OK);
    CTH_SIM_CHECK(result == CTH_FAILED && k.done == 1);
    cth_thread_release(failing);
    return CTH_OK;
}

static cth_local local;

static void closes(void *object) {
    CTH_SIM_CHECK(*(int *)object == 1);
    k.done++; // under a lock of the kit, or after all threads
}

static cth_status uses_its_own(void *arg) {
    (void)arg;
    int *mine;
    while ((mine = (int *)cth_local_get(&local)) == NULL) {
        cth_yield();
    }
    CTH_SIM_WRITE(*mine);
    CTH_SIM_CHECK(*mine == 0);
    *mine = 1;
    CTH_SIM_CHECK(cth_local_get(&local) == mine);
    return CTH_OK;
}

static cth_status locals(void *arg) {
    (void)arg;
    fresh();
    const cth_local zero = CTH_LOCAL_INIT(sizeof(int), NULL, closes);
    local = zero;
    both(uses_its_own, uses_its_own);
    CTH_SIM_CHECK(k.done == 2);
    cth_local_destroy(&local);
    return CTH_OK;
}

/* -- mutex, rmutex, scoped ---------------------------------------------------------------------
 */

static cth_status locks(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status locks_in_time(void *arg) {
    (void)arg;
    if (in_time(cth_mutex_lock_until(&k.mutex, sim_soon()))) {
        change(0);
        CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status tries_to_lock(void *arg) {
    (void)arg;
    if (cth_mutex_try_lock(&k.mutex) == CTH_OK) {
        change(0);
        CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status mutex_pair(void *arg) {
    (void)arg;
    fresh();
    both(locks, locks);
    CTH_SIM_CHECK(look(0) == 2);
    CTH_SIM_CHECK(cth_mutex_destroy(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status mutex_in_time(void *arg) {
    (void)arg;
    fresh();
    both(locks, locks_in_time);
    CTH_SIM_CHECK(cth_mutex_destroy(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status mutex_try(void *arg) {
    (void)arg;
    fresh();
    both(locks, tries_to_lock);
    CTH_SIM_CHECK(cth_mutex_destroy(&k.mutex) == CTH_OK);
    return CTH_OK;
}

/* The holder is the main thread, two wait. */
static cth_status mutex_two_wait(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    cth_thread *a = sim_spawn(locks, NULL);
    cth_thread *b = sim_spawn(locks, NULL);
    change(0);
    sim_settle();
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(look(0) == 3);
    CTH_SIM_CHECK(cth_mutex_destroy(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status last_frees(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    change(0);
    const bool last = look(0) == 2;
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    if (last) {
        sim_gone(&k.mutex, sizeof k.mutex);
    }
    return CTH_OK;
}

static cth_status mutex_freed(void *arg) {
    (void)arg;
    fresh();
    both(last_frees, last_frees);
    sim_untouched(&k.mutex, sizeof k.mutex);
    return CTH_OK;
}

static cth_status locks_twice(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rmutex_lock(&k.rmutex) == CTH_OK);
    CTH_SIM_CHECK(cth_rmutex_lock(&k.rmutex) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_rmutex_unlock(&k.rmutex) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_rmutex_unlock(&k.rmutex) == CTH_OK);
    return CTH_OK;
}

static cth_status rmutex_in_time(void *arg) {
    (void)arg;
    if (in_time(cth_rmutex_lock_until(&k.rmutex, sim_soon()))) {
        change(0);
        CTH_SIM_CHECK(cth_rmutex_unlock(&k.rmutex) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status rmutex_pair(void *arg) {
    (void)arg;
    fresh();
    both(locks_twice, rmutex_in_time);
    CTH_SIM_CHECK(cth_rmutex_destroy(&k.rmutex) == CTH_OK);
    return CTH_OK;
}

static cth_status in_a_block(void *arg) {
    (void)arg;
    CTH_WITH(&k.mutex) {
        change(0);
    }
    return CTH_OK;
}

static cth_status scoped_pair(void *arg) {
    (void)arg;
    fresh();
    both(in_a_block, in_a_block);
    CTH_SIM_CHECK(look(0) == 2);
    return CTH_OK;
}

static cth_status one_way(void *arg) {
    (void)arg;
    CTH_WITH_ALL(&k.mutex, &k.other) {
        change(0);
    }
    return CTH_OK;
}

static cth_status other_way(void *arg) {
    (void)arg;
    CTH_WITH_ALL(&k.other, &k.mutex) {
        change(0);
    }
    return CTH_OK;
}

static cth_status all_in_two_orders(void *arg) {
    (void)arg;
    fresh();
    both(one_way, other_way);
    CTH_SIM_CHECK(look(0) == 2);
    return CTH_OK;
}

/* -- rwlock ------------------------------------------------------------------------------------
 */

static cth_status writes(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_write_lock(&k.rwlock) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&k.rwlock) == CTH_OK);
    return CTH_OK;
}

static cth_status writes_in_time(void *arg) {
    (void)arg;
    if (in_time(cth_rwlock_write_lock_until(&k.rwlock, sim_soon()))) {
        change(0);
        CTH_SIM_CHECK(cth_rwlock_write_unlock(&k.rwlock) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status reads(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_read_lock(&k.rwlock) == CTH_OK);
    (void)look(0);
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&k.rwlock) == CTH_OK);
    return CTH_OK;
}

static cth_status reads_in_time(void *arg) {
    (void)arg;
    if (in_time(cth_rwlock_read_lock_until(&k.rwlock, sim_soon()))) {
        (void)look(0);
        CTH_SIM_CHECK(cth_rwlock_read_unlock(&k.rwlock) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status downgrades(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_write_lock(&k.rwlock) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_rwlock_downgrade(&k.rwlock) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1);
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&k.rwlock) == CTH_OK);
    return CTH_OK;
}

static cth_status rwlock_ends(void) {
    CTH_SIM_CHECK(cth_rwlock_destroy(&k.rwlock) == CTH_OK);
    return CTH_OK;
}

static cth_status write_write(void *arg) {
    (void)arg;
    fresh();
    both(writes, writes_in_time);
    return rwlock_ends();
}

static cth_status write_read(void *arg) {
    (void)arg;
    fresh();
    both(writes, reads);
    return rwlock_ends();
}

static cth_status read_in_time(void *arg) {
    (void)arg;
    fresh();
    both(writes, reads_in_time);
    return rwlock_ends();
}

static cth_status write_in_time(void *arg) {
    (void)arg;
    fresh();
    both(reads, writes_in_time);
    return rwlock_ends();
}

static cth_status downgrade_read(void *arg) {
    (void)arg;
    fresh();
    both(downgrades, reads);
    return rwlock_ends();
}

/* The writer is the main thread; a reader and a writer wait. */
static cth_status write_both_wait(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_write_lock(&k.rwlock) == CTH_OK);
    cth_thread *a = sim_spawn(reads, NULL);
    cth_thread *b = sim_spawn(writes, NULL);
    change(0);
    sim_settle();
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&k.rwlock) == CTH_OK);
    sim_join(a);
    sim_join(b);
    return rwlock_ends();
}

static cth_status read_read(void *arg) {
    (void)arg;
    fresh();
    both(reads, reads);
    return rwlock_ends();
}

/* -- condition ---------------------------------------------------------------------------------
 */

static cth_status waits(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    while (look(0) == 0) {
        CTH_SIM_CHECK(cth_cond_wait(&k.cond, &k.mutex) == CTH_OK);
    }
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status waits_in_time(void *arg) {
    (void)arg;
    const cth_time deadline = sim_soon();
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    bool good = true;
    while (look(0) == 0 && good) {
        good = in_time(cth_cond_wait_until(&k.cond, &k.mutex, deadline));
    }
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status notifies(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_cond_notify(&k.cond, 1) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status notifies_outside(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    CTH_SIM_CHECK(cth_cond_notify_all(&k.cond) == CTH_OK);
    return CTH_OK;
}

static cth_status wait_notify(void *arg) {
    (void)arg;
    fresh();
    both(waits, notifies);
    CTH_SIM_CHECK(cth_cond_destroy(&k.cond) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_destroy(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status wait_notify_outside(void *arg) {
    (void)arg;
    fresh();
    both(waits, notifies_outside);
    CTH_SIM_CHECK(cth_cond_destroy(&k.cond) == CTH_OK);
    return CTH_OK;
}

static cth_status wait_in_time(void *arg) {
    (void)arg;
    fresh();
    both(waits_in_time, notifies);
    CTH_SIM_CHECK(cth_cond_destroy(&k.cond) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_destroy(&k.mutex) == CTH_OK);
    return CTH_OK;
}

/* Two wait, and one notify is for both. */
static cth_status waits_for_turn(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    while (look(0) == 0) {
        CTH_SIM_CHECK(cth_cond_wait(&k.cond, &k.mutex) == CTH_OK);
    }
    CTH_SIM_WRITE(k.data[0]);
    k.data[0]--;
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status notify_two(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(waits_for_turn, NULL);
    cth_thread *b = sim_spawn(waits_for_turn, NULL);
    sim_settle();
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    k.data[0] = 2;
    CTH_SIM_CHECK(cth_cond_notify(&k.cond, 2) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(cth_cond_destroy(&k.cond) == CTH_OK);
    return CTH_OK;
}

/* -- semaphore, event, latch -------------------------------------------------------------------
 */

static cth_status acquires(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sem_acquire(&k.sem) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1);
    return CTH_OK;
}

static cth_status acquires_in_time(void *arg) {
    (void)arg;
    if (in_time(cth_sem_acquire_until(&k.sem, sim_soon()))) {
        CTH_SIM_CHECK(look(0) == 1);
        CTH_SIM_CHECK(cth_sem_release(&k.sem) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status releases(void *arg) {
    (void)arg;
    change(0);
    CTH_SIM_CHECK(cth_sem_release(&k.sem) == CTH_OK);
    return CTH_OK;
}

static cth_status sem_pair(void *arg) {
    (void)arg;
    fresh();
    both(acquires, releases);
    CTH_SIM_CHECK(cth_sem_value(&k.sem) == 0);
    CTH_SIM_CHECK(cth_sem_destroy(&k.sem) == CTH_OK);
    return CTH_OK;
}

static cth_status sem_in_time(void *arg) {
    (void)arg;
    fresh();
    both(acquires_in_time, releases);
    CTH_SIM_CHECK(cth_sem_value(&k.sem) == 1);
    CTH_SIM_CHECK(cth_sem_destroy(&k.sem) == CTH_OK);
    return CTH_OK;
}

static cth_status acquires_and_frees(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sem_acquire(&k.sem) == CTH_OK);
    sim_gone(&k.sem, sizeof k.sem);
    return CTH_OK;
}

static cth_status sem_freed(void *arg) {
    (void)arg;
    fresh();
    both(acquires_and_frees, releases);
    sim_untouched(&k.sem, sizeof k.sem);
    return CTH_OK;
}

static cth_status takes_one(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sem_acquire(&k.sem) == CTH_OK);
    return CTH_OK;
}

/* Two wait for a permit each. */
static cth_status sem_two_wait(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(takes_one, NULL);
    cth_thread *b = sim_spawn(takes_one, NULL);
    sim_settle();
    CTH_SIM_CHECK(cth_sem_release_n(&k.sem, 2) == CTH_OK);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(cth_sem_destroy(&k.sem) == CTH_OK);
    return CTH_OK;
}

static cth_status sets(void *arg) {
    (void)arg;
    change(0);
    CTH_SIM_CHECK(cth_event_set(&k.event) == CTH_OK);
    return CTH_OK;
}

static cth_status waits_for_event(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_wait(&k.event) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1);
    return CTH_OK;
}

static cth_status looks_at_event(void *arg) {
    (void)arg;
    if (cth_event_is_set(&k.event)) {
        CTH_SIM_CHECK(look(0) == 1);
    }
    if (in_time(cth_event_wait_until(&k.event, sim_soon()))) {
        CTH_SIM_CHECK(look(0) == 1);
    }
    return CTH_OK;
}

static cth_status event_pair(void *arg) {
    (void)arg;
    fresh();
    both(waits_for_event, sets);
    CTH_SIM_CHECK(cth_event_destroy(&k.event) == CTH_OK);
    return CTH_OK;
}

static cth_status event_in_time(void *arg) {
    (void)arg;
    fresh();
    both(looks_at_event, sets);
    CTH_SIM_CHECK(cth_event_destroy(&k.event) == CTH_OK);
    return CTH_OK;
}

static cth_status waits_and_frees(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_wait(&k.event) == CTH_OK);
    sim_gone(&k.event, sizeof k.event);
    return CTH_OK;
}

static cth_status event_freed(void *arg) {
    (void)arg;
    fresh();
    both(waits_and_frees, sets);
    sim_untouched(&k.event, sizeof k.event);
    return CTH_OK;
}

static cth_status answers(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_wait(&k.event) == CTH_OK);
    CTH_SIM_CHECK(cth_event_clear(&k.event) == CTH_OK);
    change(1);
    CTH_SIM_CHECK(cth_event_set(&k.second) == CTH_OK);
    return CTH_OK;
}

static cth_status asks(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_event_set(&k.event) == CTH_OK);
    CTH_SIM_CHECK(cth_event_wait(&k.second) == CTH_OK);
    CTH_SIM_CHECK(look(1) == 1);
    CTH_SIM_CHECK(!cth_event_is_set(&k.event));
    return CTH_OK;
}

static cth_status ask_and_answer(void *arg) {
    (void)arg;
    fresh();
    both(asks, answers);
    return CTH_OK;
}

static cth_status counts_down(void *arg) {
    (void)arg;
    change(0);
    CTH_SIM_CHECK(cth_latch_done(&k.latch) == CTH_OK);
    return CTH_OK;
}

static cth_status waits_for_zero(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_latch_wait(&k.latch) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1);
    sim_gone(&k.latch, sizeof k.latch);
    return CTH_OK;
}

static cth_status waits_for_zero_in_time(void *arg) {
    (void)arg;
    if (in_time(cth_latch_wait_until(&k.latch, sim_soon()))) {
        CTH_SIM_CHECK(look(0) == 1);
    }
    return CTH_OK;
}

static cth_status latch_freed(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_latch_add(&k.latch, 1) == CTH_OK);
    both(waits_for_zero, counts_down);
    sim_untouched(&k.latch, sizeof k.latch);
    return CTH_OK;
}

static cth_status latch_in_time(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_latch_add(&k.latch, 1) == CTH_OK);
    both(waits_for_zero_in_time, counts_down);
    CTH_SIM_CHECK(cth_latch_destroy(&k.latch) == CTH_OK);
    return CTH_OK;
}

static cth_status counts_other(void *arg) {
    (void)arg;
    change(1);
    CTH_SIM_CHECK(cth_latch_done(&k.latch) == CTH_OK);
    return CTH_OK;
}

/* Two count down; the one who waits sees what both did. */
static cth_status latch_of_two(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_latch_add(&k.latch, 2) == CTH_OK);
    cth_thread *a = sim_spawn(counts_down, NULL);
    cth_thread *b = sim_spawn(counts_other, NULL);
    CTH_SIM_CHECK(cth_latch_wait(&k.latch) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1 && look(1) == 1);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* -- barrier and once --------------------------------------------------------------------------
 */

static cth_status meets(void *arg) {
    uint32_t index = 9;
    (void)arg;
    change(0);
    CTH_SIM_CHECK(cth_barrier_wait(&k.barrier, &index) == CTH_OK && index < 2);
    CTH_SIM_CHECK(look(1) == 1);
    return CTH_OK;
}

static cth_status meets_too(void *arg) {
    (void)arg;
    change(1);
    CTH_SIM_CHECK(cth_barrier_wait(&k.barrier, NULL) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1);
    return CTH_OK;
}

static cth_status meeting(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_barrier_init(&k.barrier, 2, NULL) == CTH_OK);
    both(meets, meets_too);
    CTH_SIM_CHECK(cth_barrier_destroy(&k.barrier) == CTH_OK);
    return CTH_OK;
}

static cth_status meets_in_time(void *arg) {
    (void)arg;
    const cth_status status = cth_barrier_wait_until(&k.barrier, NULL, sim_soon());
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    CTH_SIM_CHECK(cth_barrier_is_broken(&k.barrier) == (status != CTH_OK));
    return CTH_OK;
}

static cth_status meets_or_breaks(void *arg) {
    (void)arg;
    const cth_status status = cth_barrier_wait(&k.barrier, NULL);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_BROKEN);
    return CTH_OK;
}

static cth_status meeting_in_time(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_barrier_init(&k.barrier, 2, NULL) == CTH_OK);
    both(meets_in_time, meets_or_breaks);
    CTH_SIM_CHECK(cth_barrier_destroy(&k.barrier) == CTH_OK);
    return CTH_OK;
}

static cth_status runs_once(void *arg) {
    (void)arg;
    change(0);
    return CTH_OK;
}

static cth_status calls_once(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_once_call(&k.once, runs_once, NULL) == CTH_OK);
    CTH_SIM_CHECK(look(0) == 1);
    return CTH_OK;
}

static cth_status asks_once(void *arg) {
    (void)arg;
    if (cth_once_is_done(&k.once)) {
        CTH_SIM_CHECK(look(0) == 1);
    }
    return calls_once(NULL);
}

static cth_status once_pair(void *arg) {
    (void)arg;
    fresh();
    both(calls_once, asks_once);
    CTH_SIM_CHECK(cth_once_is_done(&k.once));
    return CTH_OK;
}

static cth_status fails_at_first(void *arg) {
    (void)arg;
    change(0);
    return look(0) == 1 ? CTH_FAILED : CTH_OK;
}

static cth_status calls_until_done(void *arg) {
    (void)arg;
    while (cth_once_call(&k.once, fails_at_first, NULL) != CTH_OK) {
    }
    CTH_SIM_CHECK(look(0) == 2);
    return CTH_OK;
}

static cth_status once_again(void *arg) {
    (void)arg;
    fresh();
    both(calls_until_done, calls_until_done);
    return CTH_OK;
}

/* -- the list ----------------------------------------------------------------------------------
 */

static void floor_of_threads(void) {
    SIM_COMPLETE(sleepers, SIM_WAITS);
    SIM_COMPLETE(request_or_sleep, SIM_WAITS);
    SIM_COMPLETE(request_or_poll, 0);
    SIM_COMPLETE(deadline_or_set, SIM_WAITS);
    SIM_COMPLETE(request_or_child, 0);
    SIM_COMPLETE(start_and_join, SIM_ALL);
    SIM_COMPLETE(join_or_deadline, SIM_WAITS);
    SIM_COMPLETE(seen_to_end, 0);
    SIM_COMPLETE(detach_or_end, 0);
    SIM_COMPLETE(rename_or_ask, SIM_ALL);
    SIM_COMPLETE(enumerate_or_end, 0);
    SIM_COMPLETE(hook_or_failure, 0);
    SIM_COMPLETE(locals, CTH_SIM_ALLOC);
}

static void locks_of_one(void) {
    SIM_COMPLETE(mutex_pair, SIM_WAITS);
    SIM_COMPLETE(mutex_in_time, SIM_WAITS);
    SIM_COMPLETE(mutex_try, 0);
    SIM_COMPLETE(mutex_two_wait, 0);
    SIM_COMPLETE(mutex_freed, SIM_WAITS);
    SIM_COMPLETE(rmutex_pair, SIM_WAITS);
    SIM_COMPLETE(scoped_pair, 0);
    SIM_COMPLETE(all_in_two_orders, 0);
}

static void rwlocks(void) {
    SIM_COMPLETE(write_write, SIM_WAITS);
    SIM_COMPLETE(write_read, SIM_WAITS);
    SIM_COMPLETE(read_in_time, SIM_WAITS);
    SIM_COMPLETE(write_in_time, SIM_WAITS);
    SIM_COMPLETE(downgrade_read, SIM_WAITS);
    SIM_COMPLETE(read_read, 0);
    SIM_COMPLETE(write_both_wait, 0);
}

static void conditions(void) {
    SIM_COMPLETE(wait_notify, SIM_WAITS);
    SIM_COMPLETE(wait_notify_outside, SIM_WAITS);
    SIM_COMPLETE(wait_in_time, SIM_WAITS);
    SIM_COMPLETE(notify_two, 0);
}

static void counts_and_flags(void) {
    SIM_COMPLETE(sem_pair, SIM_WAITS);
    SIM_COMPLETE(sem_in_time, SIM_WAITS);
    SIM_COMPLETE(sem_freed, SIM_WAITS);
    SIM_COMPLETE(sem_two_wait, 0);
    SIM_COMPLETE(event_pair, SIM_WAITS);
    SIM_COMPLETE(event_in_time, SIM_WAITS);
    SIM_COMPLETE(event_freed, SIM_WAITS);
    SIM_COMPLETE(ask_and_answer, SIM_WAITS);
    SIM_COMPLETE(latch_freed, SIM_WAITS);
    SIM_COMPLETE(latch_in_time, SIM_WAITS);
    SIM_COMPLETE(latch_of_two, 0);
}

static void meetings(void) {
    SIM_COMPLETE(meeting, SIM_WAITS);
    SIM_COMPLETE(meeting_in_time, SIM_WAITS);
    SIM_COMPLETE(once_pair, SIM_WAITS);
    SIM_COMPLETE(once_again, SIM_WAITS);
}

static const test_case tests[] = {TEST(floor_of_threads), TEST(locks_of_one),     TEST(rwlocks),
                                  TEST(conditions),       TEST(counts_and_flags), TEST(meetings)};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
