/* sim_orders.c - what slow paths order, seen by a third thread; and what only more threads reach

   A thread that was woken is ordered with its waker by the wake. These scenarios look from the side:
   a third thread takes what was freed without having waited, or sees the end of what others did.
   The plain data is marked, so a missing order is a data race.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static struct {
    cth_mutex mutex, other;
    cth_rwlock rwlock;
    cth_cond cond;
    cth_sem sem;
    cth_event event;
    cth_once once;
    cth_cancel token;
    cth__word go; // a sign that orders nothing
    int data[2];
} k;

static void fresh(void) {
    memset(&k, 0, sizeof k);
    sim_begin();
}

static void change(int i) {
    CTH_SIM_WRITE(k.data[i]);
    k.data[i]++;
}
static int look(int i) {
    CTH_SIM_READ(k.data[i]);
    return k.data[i];
}

/* -- mutex and rwlock ---------------------------------------------------------------------------
 */

static cth_status locks(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    return CTH_OK;
}

/* One waits, and another one comes when the lock has been freed. */
static cth_status mutex_from_the_side(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    cth_thread *waiting = sim_spawn(locks, NULL);
    sim_settle();
    cth_thread *third = sim_spawn(locks, NULL);
    change(0);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    sim_join(third);
    sim_join(waiting);
    return CTH_OK;
}

static cth_status writes(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_write_lock(&k.rwlock) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&k.rwlock) == CTH_OK);
    return CTH_OK;
}

static cth_status reads(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_read_lock(&k.rwlock) == CTH_OK);
    (void)look(0);
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&k.rwlock) == CTH_OK);
    return CTH_OK;
}

static cth_status writer_from_the_side(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_write_lock(&k.rwlock) == CTH_OK);
    cth_thread *waiting = sim_spawn(writes, NULL);
    sim_settle();
    cth_thread *third = sim_spawn(writes, NULL);
    change(0);
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&k.rwlock) == CTH_OK);
    sim_join(third);
    sim_join(waiting);
    return CTH_OK;
}

static cth_status reads_until_told(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_read_lock(&k.rwlock) == CTH_OK);
    while (cth__load(&k.go, relaxed) == 0) {
        cth_yield();
    }
    (void)look(0);
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&k.rwlock) == CTH_OK);
    return CTH_OK;
}

/* Two readers leave while a writer waits: it must see the end of both, whoever is the last. */
static cth_status readers_leave(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_read_lock(&k.rwlock) == CTH_OK);
    cth_thread *reader = sim_spawn(reads_until_told, NULL);
    sim_settle();
    cth_thread *writer = sim_spawn(writes, NULL);
    sim_settle();
    cth__store(&k.go, 1, relaxed);
    (void)look(0);
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&k.rwlock) == CTH_OK);
    sim_join(reader);
    sim_join(writer);
    return CTH_OK;
}

static cth_status gives_up_reading(void *arg) {
    (void)arg;
    if (cth_rwlock_read_lock_until(&k.rwlock, cth_after(CTH_MS(2))) == CTH_OK) {
        (void)look(0);
        CTH_SIM_CHECK(cth_rwlock_read_unlock(&k.rwlock) == CTH_OK);
    }
    return CTH_OK;
}

/* The lock is handed to two readers: one gives up at that moment, the other, which was not asleep
   yet, has left already. What it read happens before the next writer all the same. */
static cth_status heirs_leave(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_write_lock(&k.rwlock) == CTH_OK);
    cth_thread *hasty = sim_spawn(gives_up_reading, NULL);
    cth_thread *patient = sim_spawn(reads, NULL);
    for (uint32_t n = 1 + cth_sim_choose(3); n > 0; n--) {
        cth_yield(); // not sim_settle(): it would wait until the hasty one has gone
    }
    change(0);
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&k.rwlock) == CTH_OK);
    CTH_SIM_CHECK(cth_rwlock_write_lock(&k.rwlock) == CTH_OK);
    change(0);
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&k.rwlock) == CTH_OK);
    sim_join(hasty);
    sim_join(patient);
    return CTH_OK;
}

static void locks_from_the_side(void) {
    SIM_COMPLETE(mutex_from_the_side, 0);
    SIM_PASS(mutex_from_the_side, SIM_WAITS, 1000);
    SIM_COMPLETE(writer_from_the_side, 0);
    SIM_PASS(writer_from_the_side, SIM_WAITS, 1000);
    SIM_PASS(readers_leave, SIM_WAITS, 3000);
    SIM_PASS(heirs_leave, SIM_WAITS, 40000);
}

/* -- semaphore, once, cancel --------------------------------------------------------------------
 */

static cth_status acquires(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sem_acquire(&k.sem) == CTH_OK);
    CTH_SIM_CHECK(look(0) >= 1);
    CTH_SIM_CHECK(cth_sem_release(&k.sem) == CTH_OK);
    return CTH_OK;
}

static cth_status sem_from_the_side(void *arg) {
    (void)arg;
    fresh();
    const cth_sem_desc desc = {.max = 1};
    CTH_SIM_CHECK(cth_sem_init(&k.sem, 0, &desc) == CTH_OK);
    cth_thread *waiting = sim_spawn(acquires, NULL);
    if (cth_sim_choose(2) != 0) {
        sim_settle();
    }
    cth_thread *third = sim_spawn(acquires, NULL);
    change(0);
    CTH_SIM_CHECK(cth_sem_release(&k.sem) == CTH_OK);
    sim_join(third);
    sim_join(waiting);
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
    return look(0) == 1 ? CTH_OK : CTH_FAILED;
}

static cth_status asks_once(void *arg) {
    (void)arg;
    if (cth_once_is_done(&k.once)) {
        CTH_SIM_CHECK(look(0) == 1);
    }
    return CTH_OK;
}

/* One runs it, one waits, one asks. */
static cth_status once_from_the_side(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(calls_once, NULL);
    cth_thread *b = sim_spawn(calls_once, NULL);
    cth_thread *c = sim_spawn(asks_once, NULL);
    sim_join(a);
    sim_join(b);
    sim_join(c);
    return CTH_OK;
}

static cth_status cancels(void *arg) {
    (void)arg;
    change(0);
    CTH_SIM_CHECK(cth_cancel_request(&k.token, "enough") == CTH_OK);
    return CTH_OK;
}

static cth_status asks_for_the_reason(void *arg) {
    (void)arg;
    const char *reason = cth_cancel_reason(&k.token);
    if (reason != NULL) {
        CTH_SIM_CHECK(strcmp(reason, "enough") == 0);
        CTH_SIM_CHECK(look(0) == 1);
    }
    return CTH_OK;
}

static cth_status reason_from_the_side(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&k.token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *a = sim_spawn(cancels, NULL);
    cth_thread *b = sim_spawn(asks_for_the_reason, NULL);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(cth_cancel_destroy(&k.token) == CTH_OK);
    return CTH_OK;
}

static void others_from_the_side(void) {
    SIM_PASS(sem_from_the_side, SIM_WAITS, 3000);
    SIM_PASS(once_from_the_side, SIM_WAITS, 3000);
    SIM_COMPLETE(reason_from_the_side, 0);
}

/* -- what only more threads reach ---------------------------------------------------------------
 */

static cth_status waits_for_event(void *arg) {
    (void)arg;
    return cth_event_wait(&k.event);
}

/* More sleepers than one batch of wakes holds, woken at once. */
static cth_status many_woken(void *arg) {
    cth_thread *threads[5];
    (void)arg;
    fresh();
    for (size_t i = 0; i < 5; i++) {
        threads[i] = sim_spawn(waits_for_event, NULL);
    }
    if (cth_sim_choose(2) != 0) {
        sim_settle();
    }
    CTH_SIM_CHECK(cth_event_set(&k.event) == CTH_OK);
    for (size_t i = 0; i < 5; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

static cth_local local = CTH_LOCAL_INIT(sizeof(int), NULL, NULL);

static cth_status holds_many(void *arg) {
    (void)arg;
    cth_thread *threads[5];
    for (size_t i = 0; i < 5; i++) {
        threads[i] = sim_spawn(waits_for_event, NULL);
    }
    CTH_SIM_CHECK(cth_event_set(&k.event) == CTH_OK);
    for (size_t i = 0; i < 5; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* All records are looked at while new ones are made, more than the first array holds. */
static cth_status records_come(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = sim_spawn(holds_many, NULL);
    for (int i = 0; i < 3; i++) {
        while (cth_local_get(&local) == NULL) {
            cth_yield();
        }
        cth_local_destroy(&local);
    }
    sim_join(thread);
    return CTH_OK;
}

static cth_status fails_to_start(void *arg) {
    cth_thread *thread = NULL;
    (void)arg;
    if (cth_thread_spawn(&thread, runs_once, NULL, NULL) == CTH_OK) {
        sim_join(thread);
    }
    return CTH_OK;
}

/* A daemon's start of a thread fails, while the main thread waits for all that are none. */
static cth_status start_fails_under_join_all(void *arg) {
    const cth_thread_desc desc = {.daemon = true};
    (void)arg;
    fresh();
    cth_thread *daemon = sim_spawn_with(fails_to_start, NULL, &desc);
    CTH_SIM_CHECK(cth_thread_join_all(CTH_FOREVER) == CTH_OK);
    sim_join(daemon);
    return CTH_OK;
}

static cth_status waits_on_mutex(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    while (k.data[0] == 0) {
        CTH_SIM_CHECK(cth_cond_wait(&k.cond, &k.mutex) == CTH_OK);
    }
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    return CTH_OK;
}

/* A condition that somebody waits for with one mutex is refused with another. */
static cth_status two_mutexes(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = sim_spawn(waits_on_mutex, NULL);
    sim_settle();
    CTH_SIM_CHECK(cth_mutex_lock(&k.other) == CTH_OK);
    CTH_SIM_CHECK(cth_cond_wait_until(&k.cond, &k.other, CTH_FOREVER) == CTH_INVALID);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.other) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_lock(&k.mutex) == CTH_OK);
    k.data[0] = 1;
    CTH_SIM_CHECK(cth_cond_notify_all(&k.cond) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_unlock(&k.mutex) == CTH_OK);
    sim_join(thread);
    return CTH_OK;
}

static void more_threads(void) {
    SIM_PASS(many_woken, SIM_WAITS, 1500);
    SIM_PASS(records_come, SIM_WAITS, 2000);
    SIM_PASS(start_fails_under_join_all, CTH_SIM_THREADS, 2000);
    SIM_COMPLETE(two_mutexes, 0);
}

static const test_case tests[] = {TEST(locks_from_the_side), TEST(others_from_the_side),
                                  TEST(more_threads)};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
