/* sim_canaries.c - known bugs of memory order, planted in small algorithms: each must be found

   If one of these is not found any more, the simulator has gone blind, and the passing runs of the
   other programs mean less. Each algorithm runs in its right form, with the weakest orders that
   are right, and then with one order too weak or one fence too few. The algorithms are toys of
   this file; the kit is only what starts and joins their threads. Bugs of waiting and of lifetimes
   are in sim_canaries_more.c.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

/* An operation with the right order, or with the planted one. */
#define LOAD(p, right, wrong) (planted ? cth__load((p), wrong) : cth__load((p), right))
#define STORE(p, v, right, wrong) \
  (planted ? cth__store((p), (v), wrong) : cth__store((p), (v), right))
#define ADD(p, v, right, wrong) (planted ? cth__add((p), (v), wrong) : cth__add((p), (v), right))
#define SUB(p, v, right, wrong) (planted ? cth__sub((p), (v), wrong) : cth__sub((p), (v), right))

/* That the planted bug passes when every load sees the newest store: then it is one that only the
   model of weak memory shows. The search through all schedules makes this more than luck. */
static void only_weak(const char *name, sim_fn fn) {
    cth_sim_report report;
    cth_sim_desc desc = {
        .name = name, .max_steps = 20000, .preemptions = 3, .strong = true, .report = &report};
    for (int strategy = CTH_SIM_RANDOM; strategy <= CTH_SIM_EXHAUSTIVE; strategy++) {
        const bool search = strategy == CTH_SIM_EXHAUSTIVE && CTH__FIBERS && !SIM_ASAN;
        desc.strategy = (cth_sim_strategy)strategy;
        desc.schedules = search ? 50000000 : sim_scaled(5000);
        planted = true;
        CHECK(cth_sim_run(&desc, fn, NULL) == CTH_OK);
        planted = false;
        sim_count(&desc);
        CHECK(!search || report.complete || getenv("CTHREADS_SIM_SEED") != NULL);
    }
    printf("     %s: not in strong memory, exhaustive, %llu schedules%s\n", name,
           (unsigned long long)report.schedules, report.complete ? ", complete" : "");
}
#define ONLY_WEAK(fn) only_weak(#fn, (fn))

static int data;     // what the algorithms guard; no atomic
static int extra[4]; // more of that

static void reads(void) {
    CTH_SIM_READ(data);
    CTH_SIM_CHECK(data >= 0);
}

static void writes(void) {
    CTH_SIM_WRITE(data);
    data++;
}

static void fresh(void) {
    sim_begin();
    data = 0;
}

/* -- handing data over --------------------------------------------------------------------------
 */

/* Bug: the flag that says "the data are there" is stored relaxed, so the data may arrive later. */
static cth__word flag;

static cth_status receiver(void *arg) {
    (void)arg;
    while (cth__load(&flag, acquire) == 0) {
        cth_yield();
    }
    reads();
    return CTH_OK;
}

static cth_status relaxed_flag(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&flag, 0);
    cth_thread *thread = sim_spawn(receiver, NULL);
    writes();
    STORE(&flag, 1, release, relaxed);
    sim_join(thread);
    return CTH_OK;
}

/* Bug: a thread in between sets its bit in the flag with a plain store, which ends what the release
   store has begun; a read-modify-write, even a relaxed one, passes it on. */
static cth_status marker(void *arg) {
    uint32_t found;
    (void)arg;
    while ((found = cth__load(&flag, relaxed)) == 0) {
        cth_yield();
    }
    if (planted) {
        cth__store(&flag, found | 2, relaxed);
    } else {
        (void)cth__or(&flag, 2, relaxed);
    }
    return CTH_OK;
}

static cth_status marked_receiver(void *arg) {
    (void)arg;
    while ((cth__load(&flag, acquire) & 2) == 0) {
        cth_yield();
    }
    reads();
    return CTH_OK;
}

static cth_status broken_release_sequence(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&flag, 0);
    cth_thread *a = sim_spawn(marker, NULL);
    cth_thread *b = sim_spawn(marked_receiver, NULL);
    writes();
    cth__store(&flag, 1, release);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: double-checked locking whose first look is relaxed: it sees the pointer, not the object. */
static cth__ptr instance;
static cth_mutex lock;

static cth_status lazy_user(void *arg) {
    (void)arg;
    if (LOAD(&instance, acquire, relaxed) == NULL) {
        CTH_WITH(&lock) {
            // relaxed: who stored it had the lock.
            if (cth__load(&instance, relaxed) == NULL) {
                writes();
                cth__store(&instance, &data, release);
            }
        }
    }
    reads();
    return CTH_OK;
}

static cth_status relaxed_first_look(void *arg) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    (void)arg;
    fresh();
    lock = no_mutex;
    atomic_init(&instance, NULL);
    sim_together(lazy_user, NULL, 2);
    return CTH_OK;
}

/* Bug: each of several threads makes the object, and who loses the compare-and-swap takes the
   winner's; but the order of the failed one is relaxed. */
static cth_status proposer(void *arg) {
    int *own = (int *)arg;
    void *found = NULL;
    CTH_SIM_WRITE(*own);
    *own = 1;
    const bool won = planted ? cth__cas(&instance, &found, own, release, relaxed)
                             : cth__cas(&instance, &found, own, release, acquire);
    const int *made = won ? own : (const int *)found;
    CTH_SIM_READ(*made);
    CTH_SIM_CHECK(*made == 1);
    return CTH_OK;
}

static cth_status relaxed_failure(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&instance, NULL);
    cth_thread *thread = sim_spawn(proposer, &extra[0]);
    CTH_SIM_CHECK(proposer(&extra[1]) == CTH_OK);
    sim_join(thread);
    return CTH_OK;
}

/* -- handing memory back ------------------------------------------------------------------------
 */

/* Bug: a count of references is dropped relaxed: the last one out, which takes the object apart,
   does not know that the others have done with it. */
static cth__word references;

static cth_status holder(void *arg) {
    (void)arg;
    reads();
    if (SUB(&references, 1, release, relaxed) == 1) {
        cth__fence(acquire);
        writes();
    }
    return CTH_OK;
}

static cth_status relaxed_drop(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&references, 2);
    sim_together(holder, NULL, 2);
    return CTH_OK;
}

/* Bug: the others' drops are release ones, but the last one out does not acquire them. */
static cth_status careless_holder(void *arg) {
    (void)arg;
    reads();
    if (cth__sub(&references, 1, release) == 1) {
        if (!planted) {
            cth__fence(acquire);
        }
        writes();
    }
    return CTH_OK;
}

static cth_status drop_without_acquire(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&references, 2);
    sim_together(careless_holder, NULL, 2);
    return CTH_OK;
}

/* Bug: in a ring for one producer and one consumer the consumer gives its slot back relaxed: the
   producer may write there while the old item is still being read. */
enum { SLOTS = 2 };
static cth__word head, tail;
static int slots[SLOTS];

static cth_status ring_consumer(void *arg) {
    (void)arg;
    for (uint32_t i = 0; i < SLOTS + 1; i++) {
        while (cth__load(&tail, acquire) == i) {
            cth_yield();
        }
        CTH_SIM_READ(slots[i % SLOTS]);
        CTH_SIM_CHECK(slots[i % SLOTS] == (int)i);
        STORE(&head, i + 1, release, relaxed);
    }
    return CTH_OK;
}

static cth_status slot_back_relaxed(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&head, 0);
    atomic_init(&tail, 0);
    cth_thread *thread = sim_spawn(ring_consumer, NULL);
    for (uint32_t i = 0; i < SLOTS + 1; i++) {
        while (i - cth__load(&head, acquire) == SLOTS) {
            cth_yield();
        }
        CTH_SIM_WRITE(slots[i % SLOTS]);
        slots[i % SLOTS] = (int)i;
        cth__store(&tail, i + 1, release);
    }
    sim_join(thread);
    return CTH_OK;
}

/* -- locks and meetings -------------------------------------------------------------------------
 */

/* Bug: a spinlock whose unlock is relaxed. */
static cth_status spinner(void *arg) {
    (void)arg;
    while (cth__swap(&flag, 1, acquire) != 0) {
        cth_yield();
    }
    writes();
    STORE(&flag, 0, release, relaxed);
    return CTH_OK;
}

static cth_status relaxed_unlock(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&flag, 0);
    sim_together(spinner, NULL, 2);
    CTH_SIM_CHECK(data == 2);
    return CTH_OK;
}

/* Bug: at a barrier each arrival publishes, but the last one, which opens it for all, does not
   take over what the others have published; so what it passes on is only its own. */
static cth__word arrived, opened;

static cth_status meets(void *arg) {
    const uint32_t me = *(const uint32_t *)arg;
    CTH_SIM_WRITE(extra[me]);
    if (ADD(&arrived, 1, acq_rel, release) == 2) {
        cth__store(&opened, 1, release);
    } else {
        while (cth__load(&opened, acquire) == 0) {
            cth_yield();
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        CTH_SIM_READ(extra[i]);
    }
    return CTH_OK;
}

static cth_status arrival_without_acquire(void *arg) {
    static const uint32_t numbers[] = {0, 1, 2};
    (void)arg;
    fresh();
    atomic_init(&arrived, 0);
    atomic_init(&opened, 0);
    cth_thread *a = sim_spawn(meets, (void *)(uintptr_t)&numbers[1]);
    cth_thread *b = sim_spawn(meets, (void *)(uintptr_t)&numbers[2]);
    CTH_SIM_CHECK(meets((void *)(uintptr_t)&numbers[0]) == CTH_OK);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: two threads each raise a flag and look at the other's, with no fence in between: each store
   is still on its way when the other thread loads, and both go in. */
static cth__word raised[2];

static cth_status raises(void *arg) {
    const uint32_t me = *(const uint32_t *)arg;
    cth__store(&raised[me], 1, relaxed);
    if (!planted) {
        cth__fence(seq_cst);
    }
    if (cth__load(&raised[1 - me], acquire) == 0) {
        writes();
    }
    cth__store(&raised[me], 0, release);
    return CTH_OK;
}

static cth_status flags_without_fence(void *arg) {
    static const uint32_t numbers[] = {0, 1};
    (void)arg;
    fresh();
    atomic_init(&raised[0], 0);
    atomic_init(&raised[1], 0);
    cth_thread *thread = sim_spawn(raises, (void *)(uintptr_t)&numbers[1]);
    CTH_SIM_CHECK(raises((void *)(uintptr_t)&numbers[0]) == CTH_OK);
    sim_join(thread);
    return CTH_OK;
}

/* -- sequence locks -----------------------------------------------------------------------------
 */

/* Two words that a reader must see together: the writer counts before and after, the reader looks
   at the count before and after. One of the two fences is left out. */
static bool reader_fences, writer_fences;
static cth__word version, left, right;

static cth_status versioned_writer(void *arg) {
    (void)arg;
    cth__store(&version, 1, relaxed);
    if (writer_fences) {
        cth__fence(release); // the count is odd before a word is new
    }
    cth__store(&left, 1, relaxed);
    cth__store(&right, 1, relaxed);
    cth__store(&version, 2, release);
    return CTH_OK;
}

static cth_status versioned(void) {
    fresh();
    atomic_init(&version, 0);
    atomic_init(&left, 0);
    atomic_init(&right, 0);
    cth_thread *thread = sim_spawn(versioned_writer, NULL);
    const uint32_t before = cth__load(&version, acquire);
    const uint32_t l = cth__load(&left, relaxed);
    const uint32_t r = cth__load(&right, relaxed);
    if (reader_fences) {
        cth__fence(acquire); // both words before the count
    }
    if (cth__load(&version, relaxed) == before && before % 2 == 0) {
        CTH_SIM_CHECK(l == r);
    }
    sim_join(thread);
    return CTH_OK;
}

/* Bug: no acquire fence between the words and the second look at the count. */
static cth_status reader_without_fence(void *arg) {
    (void)arg;
    writer_fences = true;
    reader_fences = !planted;
    return versioned();
}

/* Bug: no release fence between the odd count and the words. */
static cth_status writer_without_fence(void *arg) {
    (void)arg;
    writer_fences = !planted;
    reader_fences = true;
    return versioned();
}

/* -- an eventcount ------------------------------------------------------------------------------
 */

/* A waiter announces itself, looks once more, and sleeps. A notifier publishes, and wakes only if
   somebody is announced. Each stores one word and loads the other's; without a fence in between,
   in both of them, both may see the old one: the notifier skips the wake-up, the waiter sleeps. */
static bool waiter_fences, notifier_fences, waiter_adds;
static cth__word ready, waiters, epoch;

static cth_status event_waiter(void *arg) {
    (void)arg;
    while (cth__load(&ready, acquire) == 0) {
        if (waiter_adds) {
            (void)cth__add(&waiters, 1, seq_cst);
        } else {
            (void)cth__add(&waiters, 1, relaxed);
        }
        const uint32_t seen = cth__load(&epoch, relaxed);
        if (waiter_fences) {
            cth__fence(seq_cst);
        }
        if (cth__load(&ready, acquire) == 0) {
            cth__wait_on(NULL, &epoch, seen, CTH_FOREVER);
        }
        (void)cth__sub(&waiters, 1, relaxed);
    }
    reads();
    return CTH_OK;
}

static cth_status event_count(void) {
    fresh();
    atomic_init(&ready, 0);
    atomic_init(&waiters, 0);
    atomic_init(&epoch, 0);
    cth_thread *thread = sim_spawn(event_waiter, NULL);
    writes();
    cth__store(&ready, 1, release);
    if (notifier_fences) {
        cth__fence(seq_cst);
    }
    if (cth__load(&waiters, relaxed) != 0) {
        (void)cth__add(&epoch, 1, relaxed);
        cth__wake_on(NULL, &epoch);
    }
    sim_join(thread);
    return CTH_OK;
}

/* Bug: neither has its fence. */
static cth_status no_fence(void *arg) {
    (void)arg;
    waiter_adds = false;
    waiter_fences = notifier_fences = !planted;
    return event_count();
}

/* Bug: the waiter has none between its announcement and its second look. */
static cth_status waiter_without_fence(void *arg) {
    (void)arg;
    waiter_adds = false;
    waiter_fences = !planted;
    notifier_fences = true;
    return event_count();
}

/* Bug: the notifier has none between what it publishes and its look for waiters. */
static cth_status notifier_without_fence(void *arg) {
    (void)arg;
    waiter_adds = false;
    waiter_fences = true;
    notifier_fences = !planted;
    return event_count();
}

/* Bug: the waiter trusts that its read-modify-write, being seq_cst, is a fence. It is not: a later
   load of another word may be done before it. */
static cth_status add_for_fence(void *arg) {
    (void)arg;
    waiter_adds = planted;
    waiter_fences = !planted;
    notifier_fences = true;
    return event_count();
}

/* -- a work-stealing deque ----------------------------------------------------------------------
 */

/* The owner takes from the bottom, thieves steal from the top; only about the last item do they
   meet at a compare-and-swap. The owner first lowers the bottom, then looks at the top; the thief
   looks at the top, then at the bottom. */
enum { ITEMS = 2 };
static bool take_fences, steal_fences;
static bool push_fences;    // the push has a release fence, not a release store
static bool unsigned_sizes; // an empty deque's size is compared as an unsigned number
static cth__word top, bottom;
static cth__word items[4];
static cth__word had[ITEMS + 1]; // how often each item came out

static void deque_fresh(void) {
    take_fences = steal_fences = push_fences = true;
    unsigned_sizes = false;
    atomic_init(&top, 0);
    atomic_init(&bottom, 0);
    for (int i = 0; i < 4; i++) {
        atomic_init(&items[i], 0);
    }
    for (int i = 0; i <= ITEMS; i++) {
        atomic_init(&had[i], 0);
    }
}

static void deque_had(uint32_t item) {
    CTH_SIM_CHECK(item >= 1 && item <= ITEMS);
    CTH_SIM_CHECK(cth__swap(&had[item], 1, relaxed) == 0);
}

static void deque_push(uint32_t item) {
    const uint32_t b = cth__load(&bottom, relaxed); // the owner's own
    cth__store(&items[b % 4], item, relaxed);
    if (push_fences) {
        cth__fence(release); // for this store of the bottom, and for the later ones of a take
        cth__store(&bottom, b + 1, relaxed);
    } else {
        cth__store(&bottom, b + 1, release);
    }
}

static void deque_take(void) {
    const uint32_t b = cth__load(&bottom, relaxed) - 1;
    cth__store(&bottom, b, relaxed);
    if (take_fences) {
        cth__fence(seq_cst);
    }
    uint32_t t = cth__load(&top, relaxed);
    const int32_t size = (int32_t)(b - t);
    if (size > 0) {
        deque_had(cth__load(&items[b % 4], relaxed));
        return;
    }
    if (size == 0) {
        const uint32_t item = cth__load(&items[b % 4], relaxed);
        if (cth__cas(&top, &t, t + 1, relaxed, relaxed)) {
            deque_had(item);
        }
    }
    cth__store(&bottom, b + 1, relaxed); // empty now
}

static void deque_steal(void) {
    uint32_t t = cth__load(&top, relaxed);
    if (steal_fences) {
        cth__fence(seq_cst);
    }
    const uint32_t b = cth__load(&bottom, acquire);
    if (unsigned_sizes ? b != t : (int32_t)(b - t) > 0) {
        const uint32_t item = cth__load(&items[t % 4], relaxed);
        // relaxed: no slot is used twice, so the owner need not know that this one was read.
        if (cth__cas(&top, &t, t + 1, relaxed, relaxed)) {
            deque_had(item);
        }
    }
}

static cth_status thief(void *arg) {
    (void)arg;
    for (int i = 0; i < ITEMS; i++) {
        deque_steal();
    }
    return CTH_OK;
}

static void deque_shared(void) {
    for (uint32_t i = 1; i <= ITEMS; i++) {
        deque_push(i);
    }
    cth_thread *thread = sim_spawn(thief, NULL);
    for (int i = 0; i < ITEMS; i++) {
        deque_take();
    }
    sim_join(thread);
}

/* Bug: the owner takes without its fence: it may not see how far the thieves are, and takes an item
   that was stolen. */
static cth_status take_without_fence(void *arg) {
    (void)arg;
    sim_begin();
    deque_fresh();
    take_fences = !planted;
    deque_shared();
    return CTH_OK;
}

/* Bug: the thief steals without its fence: it may not see that the bottom was lowered, and steals
   an item that was taken. */
static cth_status steal_without_fence(void *arg) {
    (void)arg;
    sim_begin();
    deque_fresh();
    steal_fences = !planted;
    deque_shared();
    return CTH_OK;
}

/* Bug: the push publishes its item with a release store of the bottom; then a take stores the
   bottom relaxed, and a thief that sees this store knows nothing of the items that are left. */
static cth_status push_without_fence(void *arg) {
    (void)arg;
    sim_begin();
    deque_fresh();
    push_fences = !planted;
    cth_thread *thread = sim_spawn(thief, NULL);
    deque_push(1);
    deque_push(2);
    deque_take();
    sim_join(thread);
    return CTH_OK;
}

/* Bug: while the owner finds the deque empty, the bottom is for a moment below the top; the thief
   takes that for a size of more than 0, and an item that never was. */
static cth_status size_below_zero(void *arg) {
    (void)arg;
    sim_begin();
    deque_fresh();
    unsigned_sizes = planted;
    cth_thread *thread = sim_spawn(thief, NULL);
    deque_take();
    deque_push(1);
    sim_join(thread);
    return CTH_OK;
}

/* -- safe memory reclamation --------------------------------------------------------------------
 */

/* Bug: a reader says which node it uses, and looks whether that is still the one; but with no fence
   between the two, who frees the old node may not see what was said. */
struct node {
    int value;
};
static struct node nodes[2];
static cth__ptr current, used;

static cth_status node_reader(void *arg) {
    (void)arg;
    struct node *node = (struct node *)cth__load(&current, relaxed);
    cth__store(&used, node, relaxed);
    if (!planted) {
        cth__fence(seq_cst);
    }
    if (cth__load(&current, acquire) == node) {
        CTH_SIM_READ(node->value);
        CTH_SIM_CHECK(node->value == 1);
    }
    cth__store(&used, NULL, release);
    return CTH_OK;
}

static cth_status hazard_without_fence(void *arg) {
    (void)arg;
    sim_begin();
    nodes[0].value = nodes[1].value = 1;
    atomic_init(&current, &nodes[0]);
    atomic_init(&used, NULL);
    cth_thread *thread = sim_spawn(node_reader, NULL);
    struct node *old = (struct node *)cth__swap(&current, &nodes[1], release);
    cth__fence(seq_cst);
    if (cth__load(&used, acquire) != old) {
        CTH_SIM_FREED(*old);
    }
    sim_join(thread);
    CTH_SIM_FRESH(*old);
    return CTH_OK;
}

static void finds_relaxed_flag(void) {
    SIM_FOUND(relaxed_flag, 0, "data race");
}
static void finds_broken_release_sequence(void) {
    SIM_FOUND(broken_release_sequence, 0, "data race");
}
static void finds_relaxed_first_look(void) {
    SIM_FOUND(relaxed_first_look, 0, "data race");
}
static void finds_relaxed_failure(void) {
    SIM_FOUND(relaxed_failure, 0, "data race");
}
static void finds_relaxed_drop(void) {
    SIM_FOUND(relaxed_drop, 0, "data race");
}
static void finds_drop_without_acquire(void) {
    SIM_FOUND(drop_without_acquire, 0, "data race");
}
static void finds_slot_back_relaxed(void) {
    SIM_FOUND(slot_back_relaxed, 0, "data race");
}
static void finds_relaxed_unlock(void) {
    SIM_FOUND(relaxed_unlock, 0, "data race");
}
static void finds_arrival_without_acquire(void) {
    SIM_FOUND(arrival_without_acquire, 0, "data race");
}
static void finds_flags_without_fence(void) {
    SIM_FOUND(flags_without_fence, 0, "data race");
    ONLY_WEAK(flags_without_fence);
}
static void finds_reader_without_fence(void) {
    SIM_FOUND(reader_without_fence, 0, "check");
    ONLY_WEAK(reader_without_fence);
}
static void finds_writer_without_fence(void) {
    SIM_FOUND(writer_without_fence, 0, "check");
    ONLY_WEAK(writer_without_fence);
}
static void finds_no_fence(void) {
    SIM_FOUND(no_fence, 0, "deadlock");
    ONLY_WEAK(no_fence);
}
static void finds_waiter_without_fence(void) {
    SIM_FOUND(waiter_without_fence, 0, "deadlock");
    ONLY_WEAK(waiter_without_fence);
}
static void finds_notifier_without_fence(void) {
    SIM_FOUND(notifier_without_fence, 0, "deadlock");
    ONLY_WEAK(notifier_without_fence);
}
static void finds_add_for_fence(void) {
    SIM_FOUND(add_for_fence, 0, "deadlock");
    ONLY_WEAK(add_for_fence);
}
static void finds_take_without_fence(void) {
    SIM_FOUND(take_without_fence, 0, "check");
    ONLY_WEAK(take_without_fence);
}
static void finds_steal_without_fence(void) {
    SIM_FOUND(steal_without_fence, 0, "check");
    ONLY_WEAK(steal_without_fence);
}
static void finds_push_without_fence(void) {
    SIM_FOUND(push_without_fence, 0, "check");
    ONLY_WEAK(push_without_fence);
}
static void finds_size_below_zero(void) {
    SIM_FOUND(size_below_zero, 0, "check");
}
static void finds_hazard_without_fence(void) {
    SIM_FOUND(hazard_without_fence, 0, "freed");
    ONLY_WEAK(hazard_without_fence);
}

static const test_case tests[] = {
    TEST(finds_relaxed_flag),
    TEST(finds_broken_release_sequence),
    TEST(finds_relaxed_first_look),
    TEST(finds_relaxed_failure),
    TEST(finds_relaxed_drop),
    TEST(finds_drop_without_acquire),
    TEST(finds_slot_back_relaxed),
    TEST(finds_relaxed_unlock),
    TEST(finds_arrival_without_acquire),
    TEST(finds_flags_without_fence),
    TEST(finds_reader_without_fence),
    TEST(finds_writer_without_fence),
    TEST(finds_no_fence),
    TEST(finds_waiter_without_fence),
    TEST(finds_notifier_without_fence),
    TEST(finds_add_for_fence),
    TEST(finds_take_without_fence),
    TEST(finds_steal_without_fence),
    TEST(finds_push_without_fence),
    TEST(finds_size_below_zero),
    TEST(finds_hazard_without_fence),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
