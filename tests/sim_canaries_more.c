/* sim_canaries_more.c - known bugs of waiting, lifetimes and hand-over, planted in small algorithms

   As sim_canaries.c, which has the bugs of memory order. The algorithms are toys of this file: a
   lock, a condition, a pool, a channel of a few lines each, made of words, and of the kit's objects
   where it does not matter how they work. Each runs in its right form, which must pass, and with
   one known bug, which must be found.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_mutex lock;
static cth_sem sem;
static cth__word word, count, result;
static int data; // no atomic

static void fresh(void) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_sem no_sem = CTH_SEM_INIT(0);
    lock = no_mutex;
    sem = no_sem;
    atomic_init(&word, 0);
    atomic_init(&count, 0);
    atomic_init(&result, 0);
    sim_begin();
}

/* Sleep until the word is no longer `value`, and wake whoever does. */
static void await_change(cth__word *w, uint32_t value) {
    while (cth__load(w, acquire) == value) {
        cth__wait_on(NULL, w, value, CTH_FOREVER);
    }
}

static void set(cth__word *w, uint32_t value) {
    cth__store(w, value, release);
    cth__wake_on(NULL, w);
}

/* -- lost wake-ups ------------------------------------------------------------------------------
 */

/* Bug: a lock (0 free, 1 held, 2 held and somebody sleeps) wakes one sleeper at each unlock from 2;
   the woken one takes it as 1, so its own unlock does not wake the next. */
static void marked_lock(void) {
    uint32_t found = 0;
    if (!cth__cas(&word, &found, 1, acquire, relaxed)) {
        uint32_t mark = 2;
        while (cth__swap(&word, mark, acquire) != 0) {
            CTH_SIM_CHECK(cth_sem_acquire(&sem) == CTH_OK);
            mark = planted ? 1 : 2;
        }
    }
}

static void marked_unlock(void) {
    if (cth__swap(&word, 0, release) == 2) {
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    }
}

static cth_status marked_user(void *arg) {
    (void)arg;
    marked_lock();
    CTH_SIM_WRITE(data);
    data++;
    marked_unlock();
    return CTH_OK;
}

static cth_status woken_without_mark(void *arg) {
    (void)arg;
    fresh();
    marked_lock();
    cth_thread *a = sim_spawn(marked_user, NULL);
    cth_thread *b = sim_spawn(marked_user, NULL);
    cth_yield(); // time for both to fall asleep
    marked_unlock();
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: a condition counts its signals, and whoever waits takes one: also the thread that has
   signalled, when it waits for an answer next. The one that was meant sleeps on. Right is to note
   how many there have been when the wait begins. */
static int phase;

static void counted_wait(void) {
    const uint32_t before = cth__load(&word, relaxed);
    cth_mutex_unlock(&lock);
    if (planted) {
        uint32_t found = cth__load(&count, relaxed);
        while (found == 0 || !cth__cas(&count, &found, found - 1, relaxed, relaxed)) {
            cth__wait_on(NULL, &count, 0, CTH_FOREVER);
            found = cth__load(&count, relaxed);
        }
    } else {
        cth__wait_on(NULL, &word, before, CTH_FOREVER);
    }
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
}

static void counted_signal(void) {
    cth__word *changed = planted ? &count : &word;
    (void)cth__add(changed, 1, relaxed);
    cth__wake_on(NULL, changed);
}

static cth_status answers(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        while (phase < 1) {
            counted_wait();
        }
        phase = 2;
        counted_signal();
    }
    return CTH_OK;
}

static cth_status takes_its_own_signal(void *arg) {
    (void)arg;
    fresh();
    phase = 0;
    cth_thread *thread = sim_spawn(answers, NULL);
    CTH_WITH(&lock) {
        phase = 1;
        counted_signal();
        while (phase < 2) {
            counted_wait();
        }
    }
    sim_join(thread);
    return CTH_OK;
}

/* Bug: in a pool a submit wakes nobody while a worker is searching; the worker says that it no
   longer does, and parks, without a last look: a task submitted in between stays. */
static void submits(void) {
    (void)cth__add(&count, 1, release);
    cth__fence(seq_cst);
    if (cth__load(&word, relaxed) == 0 && cth__swap(&word, 1, relaxed) == 0) {
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    }
}

static cth_status searching_worker(void *arg) {
    uint32_t done = 0;
    (void)arg;
    while (done < 2) {
        uint32_t found = cth__load(&count, relaxed);
        if (found != 0) {
            done += cth__cas(&count, &found, found - 1, acquire, relaxed);
            continue;
        }
        cth__store(&word, 0, relaxed); // searches no more
        if (!planted) {
            cth__fence(seq_cst);
            if (cth__load(&count, relaxed) != 0 && cth__swap(&word, 1, relaxed) == 0) {
                continue;
            }
        }
        CTH_SIM_CHECK(cth_sem_acquire(&sem) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status parks_without_last_look(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&word, 1); // the worker begins searching
    cth_thread *thread = sim_spawn(searching_worker, NULL);
    submits();
    submits();
    sim_join(thread);
    return CTH_OK;
}

/* Bug: a lock has a mark "somebody waits" in its word, and a list of waiters with a lock of its
   own. The last waiter, when its time is up, takes the mark away after it has let the list go; by
   then the next one has come, found the mark set, and sleeps: the unlock does not see it. */
enum { HELD = 1, MARK = 2 };
static uint32_t listed; // the waiters, guarded by `lock`

static bool listed_lock(cth_time deadline) {
    for (;;) {
        uint32_t found = 0;
        if (cth__cas(&word, &found, HELD, acquire, relaxed)) {
            return true;
        }
        CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
        found = cth__load(&word, relaxed);
        while ((found & HELD) != 0 && !cth__cas(&word, &found, HELD | MARK, relaxed, relaxed)) {
        }
        const bool held = (found & HELD) != 0;
        const uint32_t seen = cth__load(&count, relaxed); // changes with each wake-up of the list
        listed += held;
        cth_mutex_unlock(&lock);
        if (!held) {
            continue;
        }
        cth__wait_on(NULL, &count, seen, deadline);
        CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
        bool last = false;
        if (cth__load(&count, relaxed) == seen) {
            last = --listed == 0;
        }
        const bool late = cth_now() >= deadline;
        if (last && !(planted && late)) {
            (void)cth__and(&word, ~(uint32_t)MARK, relaxed);
        }
        cth_mutex_unlock(&lock);
        if (last && planted && late) {
            (void)cth__and(&word, ~(uint32_t)MARK, relaxed);
        }
        if (late) {
            return false;
        }
    }
}

static void listed_unlock(void) {
    if ((cth__swap(&word, 0, release) & MARK) != 0) {
        CTH_WITH(&lock) {
            listed = 0;
            (void)cth__add(&count, 1, relaxed);
            cth__wake_on(NULL, &count);
        }
    }
}

static cth_status patient_user(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sleep(CTH_MS(1)) == CTH_OK); // comes when the other gives up
    CTH_SIM_CHECK(listed_lock(CTH_FOREVER));
    listed_unlock();
    return CTH_OK;
}

static cth_status mark_cleared_outside(void *arg) {
    (void)arg;
    fresh();
    listed = 0;
    CTH_SIM_CHECK(listed_lock(CTH_FOREVER));
    cth_thread *thread = sim_spawn(patient_user, NULL);
    CTH_SIM_CHECK(!listed_lock(cth_after(CTH_MS(1)))); // the hasty one: here the holder itself
    listed_unlock();
    sim_join(thread);
    return CTH_OK;
}

/* Bug: whoever is handed something at its deadline reports a timeout without having looked whether
   the hand-over was done; so what was handed over is lost. */
enum { WAITS, HANDED, GONE };

static cth_status gives_up(void *arg) {
    bool *got = (bool *)arg;
    const cth_time deadline = cth_after(CTH_MS(1));
    while (cth__load(&word, acquire) == WAITS && cth_now() < deadline) {
        cth__wait_on(NULL, &word, WAITS, deadline);
    }
    uint32_t found = WAITS;
    if (planted && cth_now() >= deadline) {
        cth__store(&word, GONE, relaxed);
        *got = false;
    } else {
        *got = !cth__cas(&word, &found, GONE, relaxed, acquire);
    }
    return CTH_OK;
}

static cth_status timeout_loses_a_gift(void *arg) {
    bool got = false;
    uint32_t found = WAITS;
    (void)arg;
    fresh();
    cth_thread *thread = sim_spawn(gives_up, &got);
    const bool given = cth__cas(&word, &found, HANDED, release, relaxed);
    cth__wake_on(NULL, &word);
    sim_join(thread);
    CTH_SIM_CHECK(got == given);
    return CTH_OK;
}

/* -- memory given away too early ----------------------------------------------------------------
 */

/* Bug: a completion on the waiter's stack is a flag with a mutex and a condition. The waiter that
   finds the flag set returns at once, while the other thread still holds the mutex. */
struct completion {
    cth_mutex mutex;
    cth_cond cond;
    cth__word done;
};

static cth_status completes(void *arg) {
    struct completion *c = (struct completion *)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&c->mutex) == CTH_OK);
    cth__store(&c->done, 1, release);
    CTH_SIM_CHECK(cth_cond_notify_all(&c->cond) == CTH_OK);
    CTH_SIM_CHECK(cth_mutex_unlock(&c->mutex) == CTH_OK);
    return CTH_OK;
}

static cth_status fast_path_out(void *arg) {
    static struct completion c;
    (void)arg;
    fresh();
    memset(&c, 0, sizeof c);
    cth_thread *thread = sim_spawn(completes, &c);
    if (!planted || cth__load(&c.done, acquire) == 0) {
        CTH_WITH(&c.mutex) {
            while (cth__load(&c.done, relaxed) == 0) {
                CTH_SIM_CHECK(cth_cond_wait(&c.cond, &c.mutex) == CTH_OK);
            }
        }
    }
    CTH_SIM_FREED(c);
    sim_join(thread);
    CTH_SIM_FRESH(c);
    return CTH_OK;
}

/* Bug: the last to come to a barrier frees it as soon as it is out, but the others still look at
   it. Right is that the last to leave frees it. */
struct meeting {
    cth__word arrived, opened, inside;
};

static cth_status meets(void *arg) {
    struct meeting *m = (struct meeting *)arg;
    const bool last = cth__add(&m->arrived, 1, acq_rel) == 1;
    if (last) {
        cth__store(&m->opened, 1, release);
    }
    while (cth__load(&m->opened, acquire) == 0) {
        cth_yield();
    }
    if (planted ? last : cth__sub(&m->inside, 1, acq_rel) == 1) {
        CTH_SIM_FREED(*m);
    }
    return CTH_OK;
}

static cth_status freed_by_the_last_to_come(void *arg) {
    static struct meeting m;
    (void)arg;
    fresh();
    atomic_init(&m.arrived, 0);
    atomic_init(&m.opened, 0);
    atomic_init(&m.inside, 2);
    sim_together(meets, &m, 2);
    CTH_SIM_FRESH(m);
    return CTH_OK;
}

/* Bug: a worker reads the link to the next task after it has run one, whose owner frees it as soon
   as it has run. */
struct task {
    struct task *next;
    cth__word done;
};

static cth_status task_worker(void *arg) {
    struct task *task = (struct task *)arg;
    while (task != NULL) {
        CTH_SIM_READ(task->next);
        struct task *next = task->next;
        set(&task->done, 1);
        if (planted) {
            CTH_SIM_READ(task->next);
        }
        task = next;
    }
    return CTH_OK;
}

static cth_status task_read_after_run(void *arg) {
    static struct task tasks[2];
    (void)arg;
    fresh();
    tasks[0].next = &tasks[1];
    tasks[1].next = NULL;
    for (int i = 0; i < 2; i++) {
        atomic_init(&tasks[i].done, 0);
    }
    cth_thread *thread = sim_spawn(task_worker, &tasks[0]);
    await_change(&tasks[0].done, 0);
    CTH_SIM_FREED(tasks[0].next); // not the word: the wake names it by its address only
    sim_join(thread);
    CTH_SIM_FRESH(tasks[0].next);
    return CTH_OK;
}

/* Bug: closing a channel wakes its waiters after it has let the list of them go; a waiter that
   leaves in between is gone, with the record on its stack. */
static cth__ptr waiter; // of the channel, guarded by `lock`

static cth_status closes(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    cth__word *woken = (cth__word *)cth__load(&waiter, relaxed);
    cth__store(&waiter, NULL, relaxed);
    if (!planted && woken != NULL) {
        set(woken, 1);
    }
    cth_mutex_unlock(&lock);
    if (planted && woken != NULL) {
        set(woken, 1);
    }
    return CTH_OK;
}

static cth_status closed_waiter_is_gone(void *arg) {
    static cth__word woken; // stands for one on the stack
    (void)arg;
    fresh();
    atomic_init(&woken, 0);
    atomic_init(&waiter, &woken);
    cth_thread *thread = sim_spawn(closes, NULL);
    CTH_WITH(&lock) { // another case of the select was ready
        cth__store(&waiter, NULL, relaxed);
    }
    CTH_SIM_FREED(woken);
    sim_join(thread);
    CTH_SIM_FRESH(woken);
    return CTH_OK;
}

/* Bug: a receiver and a close that empties the channel both take the last item out, for they look
   and then clear in two steps; the item is freed twice. */
static int item;

static cth_status drains(void *arg) {
    void *found;
    (void)arg;
    if (planted) {
        found = cth__load(&waiter, acquire);
        cth__store(&waiter, NULL, relaxed);
    } else {
        found = cth__swap(&waiter, NULL, acquire);
    }
    if (found != NULL) {
        CTH_SIM_READ(item);
        CTH_SIM_FREED(item);
    }
    return CTH_OK;
}

static cth_status drained_twice(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&waiter, &item);
    sim_together(drains, NULL, 2);
    CTH_SIM_FRESH(item);
    return CTH_OK;
}

/* -- channels -----------------------------------------------------------------------------------
 */

/* Bug: of two channels a selector waits for either, and a receiver for the second one only, behind
   the selector in its list. What is sent to the second goes to its first waiter, although the other
   channel has claimed that one; the receiver is passed over. */
enum { SELECTOR, RECEIVER };
static cth__word claimed[2]; // by which channel + 1 each waiter was claimed
static int next_in_second;   // the second channel's list, guarded by `lock`

static bool claims(int who, uint32_t channel) {
    uint32_t found = 0;
    const bool won = cth__cas(&claimed[who], &found, channel + 1, release, relaxed);
    if (won) {
        cth__wake_on(NULL, &claimed[who]);
    }
    return won;
}

static cth_status sends_second(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        bool sent = false;
        while (!sent && next_in_second <= RECEIVER) {
            sent = claims(next_in_second++, 1) || planted;
        }
    }
    return CTH_OK;
}

static cth_status receives(void *arg) {
    (void)arg;
    await_change(&claimed[RECEIVER], 0);
    return CTH_OK;
}

static cth_status select_steals_a_wake(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&claimed[SELECTOR], 0);
    atomic_init(&claimed[RECEIVER], 0);
    next_in_second = SELECTOR;
    cth_thread *receiver = sim_spawn(receives, NULL);
    cth_thread *sender = sim_spawn(sends_second, NULL);
    if (!claims(SELECTOR, 0)) { // sends to the first channel, whose only waiter this is
        CTH_SIM_CHECK(sends_second(NULL) == CTH_OK);
    }
    sim_join(sender);
    sim_join(receiver);
    return CTH_OK;
}

/* Bug: a select names one channel twice, so it is in the channel's list twice. A send that finds
   its second record, after another has claimed it by the first, drops its item; right is to keep it
   for whoever comes. */
static cth_status sends_twice_listed(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        if (next_in_second < 2) { // a record of the selector is in the list
            next_in_second++;
            if (!claims(SELECTOR, 0) && !planted) {
                (void)cth__add(&count, 1, relaxed);
            }
        } else {
            (void)cth__add(&count, 1, relaxed);
        }
    }
    return CTH_OK;
}

static cth_status selected_twice(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&claimed[SELECTOR], 0);
    next_in_second = 0;
    cth_thread *a = sim_spawn(sends_twice_listed, NULL);
    cth_thread *b = sim_spawn(sends_twice_listed, NULL);
    await_change(&claimed[SELECTOR], 0);
    CTH_WITH(&lock) {
        next_in_second = 2; // takes its other record out
    }
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(cth__load(&count, relaxed) == 1); // the other item is still there
    return CTH_OK;
}

/* Bug: a ring whose indices run freely to 2^32 has three slots, and 2^32 is no multiple of that:
   where the index wraps, two items in a row have the same slot. */
enum { RING = 3 };
static cth__word ring[RING + 1];

static cth_status ring_consumer(void *arg) {
    uint32_t at = *(uint32_t *)arg;
    for (uint32_t i = 0; i < RING; i++, at++) {
        await_change(&word, at);
        CTH_SIM_CHECK(cth__load(&ring[at % (planted ? RING : RING + 1)], relaxed) == i);
        cth__store(&count, at + 1, release);
    }
    return CTH_OK;
}

static cth_status wraps_in_three_slots(void *arg) {
    uint32_t at = UINT32_MAX - 1;
    uint32_t first = at;
    (void)arg;
    fresh();
    atomic_init(&word, at);
    atomic_init(&count, at);
    cth_thread *thread = sim_spawn(ring_consumer, &first);
    for (uint32_t i = 0; i < RING; i++, at++) {
        cth__store(&ring[at % (planted ? RING : RING + 1)], i, relaxed);
        set(&word, at + 1);
    }
    sim_join(thread);
    return CTH_OK;
}

/* -- counters -----------------------------------------------------------------------------------
 */

/* Bug: a release looks whether the count is below its bound, and then adds: of two at once, both
   do. */
static cth_status bounded_release(void *arg) {
    (void)arg;
    uint32_t found = cth__load(&count, relaxed);
    while (found < INT32_MAX) {
        if (planted) {
            (void)cth__add(&count, 1, release);
            break;
        }
        if (cth__cas_weak(&count, &found, found + 1, release, relaxed)) {
            break;
        }
    }
    return CTH_OK;
}

static cth_status over_the_bound(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&count, INT32_MAX - 1);
    sim_together(bounded_release, NULL, 2);
    CTH_SIM_CHECK(cth__load(&count, relaxed) == INT32_MAX);
    return CTH_OK;
}

/* Bug: a worker that had no luck takes itself off the number of searchers, and so does the submit
   that has found it: the number falls below zero. Right is that who changes its state counts. */
static cth_status stops_searching(void *arg) {
    (void)arg;
    if (planted ? cth__load(&word, relaxed) == 0 : cth__swap(&word, 1, relaxed) == 0) {
        CTH_SIM_CHECK(cth__sub(&count, 1, relaxed) != 0);
        cth__store(&word, 1, relaxed);
    }
    return CTH_OK;
}

static cth_status searchers_below_zero(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&count, 1);
    sim_together(stops_searching, NULL, 2);
    return CTH_OK;
}

/* -- locks for readers --------------------------------------------------------------------------
 */

static cth_rwlock rwlock;

/* Bug: a thread that reads locks again to read. A writer that has come in between waits for the
   first hold, and the second waits for the writer. */
static cth_status writes(void *arg) {
    (void)arg;
    CTH_WITH_WRITE(&rwlock) {
        (void)cth__add(&count, 1, relaxed);
    }
    return CTH_OK;
}

static cth_status reads_twice(void *arg) {
    static const cth_rwlock no_rwlock = CTH_RWLOCK_INIT;
    (void)arg;
    fresh();
    rwlock = no_rwlock;
    cth_thread *thread = sim_spawn(writes, NULL);
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rwlock) == CTH_OK);
    if (planted) {
        CTH_SIM_CHECK(cth_rwlock_read_lock(&rwlock) == CTH_OK);
        CTH_SIM_CHECK(cth_rwlock_read_unlock(&rwlock) == CTH_OK);
    }
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&rwlock) == CTH_OK);
    sim_join(thread);
    return CTH_OK;
}

/* Bug: a reader that had to wait for a writer is given the lock for itself alone, and two readers
   that wait for each other inside never meet. */
static const uint32_t ALONE = UINT32_C(1) << 31;

static cth_status shared_user(void *arg) {
    uint32_t found = 0;
    bool waited = false;
    (void)arg;
    for (;;) {
        const bool alone = planted && waited;
        const bool open = alone ? found == 0 : (found & ALONE) == 0;
        if (open && cth__cas(&word, &found, alone ? ALONE : found + 1, acquire, relaxed)) {
            break;
        }
        if (!open) {
            waited = true;
            cth__wait_on(NULL, &word, found, CTH_FOREVER);
            found = cth__load(&word, relaxed);
        }
    }
    // Both are inside at one time.
    if (cth__add(&count, 1, relaxed) == 1) {
        cth__wake_on(NULL, &count);
    }
    await_change(&count, 1);
    if (planted && waited) {
        cth__store(&word, 0, release);
    } else {
        (void)cth__sub(&word, 1, release);
    }
    cth__wake_on(NULL, &word);
    return CTH_OK;
}

static cth_status alone_instead_of_shared(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&word, ALONE); // a writer is inside
    cth_thread *thread = sim_spawn(shared_user, NULL);
    set(&word, 0);
    CTH_SIM_CHECK(shared_user(NULL) == CTH_OK);
    sim_join(thread);
    return CTH_OK;
}

/* -- pools and tasks ----------------------------------------------------------------------------
 */

/* Bug: a task submits another one to its pool, and sleeps until that has run. When every worker has
   taken such a task, nobody is left to run the others. Right is to run tasks while waiting. */
static cth__word outer, inner; // tasks that no worker has taken yet

static bool takes(cth__word *tasks) {
    uint32_t found = cth__load(tasks, relaxed);
    while (found != 0 && !cth__cas(tasks, &found, found - 1, acquire, relaxed)) {
    }
    return found != 0;
}

static bool runs_inner(void) {
    if (!takes(&inner)) {
        return false;
    }
    (void)cth__add(&result, 1, release);
    cth__wake_on(NULL, &result);
    return true;
}

static cth_status nesting_worker(void *arg) {
    (void)arg;
    while (cth__load(&result, acquire) < 2) {
        if (runs_inner()) {
            continue;
        }
        if (!takes(&outer)) {
            cth_yield();
            continue;
        }
        const uint32_t mine = cth__add(&count, 1, relaxed);
        (void)cth__add(&inner, 1, release);
        uint32_t done;
        while ((done = cth__load(&result, acquire)) <= mine) {
            if (planted || !runs_inner()) {
                cth__wait_on(NULL, &result, done, CTH_FOREVER);
            }
        }
    }
    return CTH_OK;
}

static cth_status nested_wait(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&outer, 2);
    atomic_init(&inner, 0);
    cth_thread *thread = sim_spawn(nesting_worker, NULL);
    CTH_SIM_CHECK(nesting_worker(NULL) == CTH_OK);
    sim_join(thread);
    return CTH_OK;
}

/* Bug: a submit looks whether the pool is closed, then adds its task, in two steps. The worker
   leaves in between, and whoever waits for the result waits for ever. */
static const uint32_t CLOSED = UINT32_C(1) << 31;

static cth_status leaving_worker(void *arg) {
    (void)arg;
    (void)cth__or(&word, CLOSED, relaxed);
    for (;;) {
        uint32_t found = cth__load(&word, acquire);
        if (found == CLOSED) {
            return CTH_OK;
        }
        if (cth__cas(&word, &found, found - 1, acquire, relaxed)) {
            set(&result, 1);
        }
    }
}

static cth_status submit_meets_close(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = sim_spawn(leaving_worker, NULL);
    uint32_t found = cth__load(&word, relaxed);
    bool accepted = false;
    while ((found & CLOSED) == 0 && !accepted) {
        if (planted) {
            (void)cth__add(&word, 1, release);
            accepted = true;
        } else {
            accepted = cth__cas(&word, &found, found + 1, release, relaxed);
        }
    }
    if (accepted) {
        await_change(&result, 0);
    }
    sim_join(thread);
    return CTH_OK;
}

/* Bug: a task that is cancelled settles what its owner sees, and the pool's side, the number of
   tasks still to come, is left as it was: who waits for that to be 0 waits for ever. */
enum { QUEUED, STARTED, CANCELLED };

static void task_ends(void) {
    if (cth__sub(&count, 1, release) == 1) {
        cth__wake_on(NULL, &count);
    }
}

static void cancels(void) {
    uint32_t found = QUEUED;
    if (cth__cas(&word, &found, CANCELLED, relaxed, relaxed) && !planted) {
        task_ends();
    }
}

static cth_status starts(void *arg) {
    uint32_t found = QUEUED;
    (void)arg;
    if (cth__cas(&word, &found, STARTED, acquire, relaxed)) {
        task_ends();
    }
    return CTH_OK;
}

static cth_status cancel_settles_one_side(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&count, 1);
    cth_thread *thread = sim_spawn(starts, NULL);
    cancels();
    await_change(&count, 1);
    sim_join(thread);
    return CTH_OK;
}

/* Bug: a worker dies with a job in its hands, and the parent waits for the reply only. Right is
   that the end of the worker is something to wait for as well. */
enum { ANSWERED = 1, DIED = 2 };

static cth_status mortal_worker(void *arg) {
    (void)arg;
    const uint32_t place = cth_sim_choose(4); // where it dies: before the job, in it, after, never
    if (place > 0) {
        await_change(&word, 0);
        if (place > 1) {
            (void)cth__or(&result, ANSWERED, release);
            cth__wake_on(NULL, &result);
        }
    }
    if (!planted) {
        (void)cth__or(&result, DIED, release);
        cth__wake_on(NULL, &result);
    }
    return CTH_OK;
}

static cth_status worker_dies(void *arg) {
    (void)arg;
    fresh();
    cth_thread *thread = sim_spawn(mortal_worker, NULL);
    set(&word, 1);
    await_change(&result, 0);
    sim_join(thread);
    return CTH_OK;
}

static void finds_woken_without_mark(void) {
    SIM_FOUND(woken_without_mark, 0, "deadlock");
}
static void finds_its_own_signal(void) {
    SIM_FOUND(takes_its_own_signal, 0, "deadlock");
}
static void finds_park_without_last_look(void) {
    SIM_FOUND(parks_without_last_look, 0, "deadlock");
}
static void finds_mark_cleared_outside(void) {
    SIM_FOUND(mark_cleared_outside, CTH_SIM_TIMEOUTS, "deadlock");
}
static void finds_timeout_that_loses(void) {
    SIM_FOUND(timeout_loses_a_gift, CTH_SIM_TIMEOUTS, "check");
}
static void finds_fast_path_out(void) {
    SIM_FOUND(fast_path_out, 0, "freed");
}
static void finds_freed_by_the_last_to_come(void) {
    SIM_FOUND(freed_by_the_last_to_come, 0, "freed");
}
static void finds_task_read_after_run(void) {
    SIM_FOUND(task_read_after_run, 0, "freed");
}
static void finds_closed_waiter(void) {
    SIM_FOUND(closed_waiter_is_gone, 0, "freed");
}
static void finds_drained_twice(void) {
    SIM_FOUND(drained_twice, 0, "freed");
}
static void finds_select_that_steals(void) {
    SIM_FOUND(select_steals_a_wake, 0, "deadlock");
}
static void finds_selected_twice(void) {
    SIM_FOUND(selected_twice, 0, "check");
}
static void finds_wrap_in_three_slots(void) {
    SIM_FOUND(wraps_in_three_slots, 0, "check");
}
static void finds_over_the_bound(void) {
    SIM_FOUND(over_the_bound, 0, "check");
}
static void finds_searchers_below_zero(void) {
    SIM_FOUND(searchers_below_zero, 0, "check");
}
static void finds_reads_twice(void) {
    SIM_FOUND(reads_twice, 0, "deadlock");
}
static void finds_alone_instead_of_shared(void) {
    SIM_FOUND(alone_instead_of_shared, 0, "deadlock");
}
static void finds_nested_wait(void) {
    SIM_FOUND(nested_wait, 0, "deadlock");
}
static void finds_submit_meets_close(void) {
    SIM_FOUND(submit_meets_close, 0, "deadlock");
}
static void finds_cancel_of_one_side(void) {
    SIM_FOUND(cancel_settles_one_side, 0, "deadlock");
}
static void finds_dead_worker(void) {
    SIM_FOUND(worker_dies, 0, "deadlock");
}

static const test_case tests[] = {
    TEST(finds_woken_without_mark),
    TEST(finds_its_own_signal),
    TEST(finds_park_without_last_look),
    TEST(finds_mark_cleared_outside),
    TEST(finds_timeout_that_loses),
    TEST(finds_fast_path_out),
    TEST(finds_freed_by_the_last_to_come),
    TEST(finds_task_read_after_run),
    TEST(finds_closed_waiter),
    TEST(finds_drained_twice),
    TEST(finds_select_that_steals),
    TEST(finds_selected_twice),
    TEST(finds_wrap_in_three_slots),
    TEST(finds_over_the_bound),
    TEST(finds_searchers_below_zero),
    TEST(finds_reads_twice),
    TEST(finds_alone_instead_of_shared),
    TEST(finds_nested_wait),
    TEST(finds_submit_meets_close),
    TEST(finds_cancel_of_one_side),
    TEST(finds_dead_worker),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
