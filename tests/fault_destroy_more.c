/* fault_destroy_more.c - rmutexes, rwlocks, latches, barriers and onces that are freed right after
   their last use.

   A giver and a taker, two threads that live all along, meet in each round over a fresh object. The
   giver makes its last call on it while the taker acquires it, and the taker frees it at once, with
   the giver's call perhaps still on its way out (over the barrier whoever is out first frees it).
   In odd rounds the memory goes back to the allocator, which AddressSanitizer and valgrind watch.
   In even ones it is filled with a pattern that must still be there some rounds later: that shows a
   late write in any build.

   A million rounds for each object, or as many as fit into FAULT_SECONDS (an environment variable;
   4 when unset) for each kind; FAULT_SECONDS=1000 lets them all be played.

   Kinds of bug: a release that looks at the object after its new owner could have freed it (seen in
   glibc 12674, musl 88c4e720, FreeBSD D7505), a barrier left while others still read it (seen in
   glibc's tst-barrier5, musl f16a3089, libuv 3102), a wake-up on an address that is something else
   by now (inherent in futexes).

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <sched.h>

enum { ROUNDS = 1000000, PATTERN = 0xEE, QUARANTINE = 32 };

/* ------------------------------------------------------------------------------------------------
   Freeing: at once, or into a quarantine that is looked through.
   ------------------------------------------------------------------------------------------------
 */

typedef struct quarantine {
    unsigned char *block[QUARANTINE];
    size_t size[QUARANTINE];
    uint32_t n;
} quarantine;

static void let_out(quarantine *q, uint32_t at) {
    for (size_t i = 0; q->block[at] != NULL && i < q->size[at]; i++) {
        CHECK_EQ(q->block[at][i], PATTERN);
    }
    free(q->block[at]);
    q->block[at] = NULL;
}

static void dispose(quarantine *q, void *block, size_t size) {
    if (q->n++ % 2 == 1) {
        free(block);
        return;
    }
    const uint32_t at = q->n / 2 % QUARANTINE;
    let_out(q, at);
    memset(block, PATTERN, size);
    q->block[at] = (unsigned char *)block;
    q->size[at] = size;
}

static void let_all_out(quarantine *q) {
    for (uint32_t i = 0; i < QUARANTINE; i++) {
        let_out(q, i);
    }
}

/* ------------------------------------------------------------------------------------------------
   The meeting. Not by the kit's own means, which are under test.
   ------------------------------------------------------------------------------------------------
 */

static _Atomic(void *) offered; // by the giver; NULL: none
static atomic_uint arrived;     // the taker's next call is the acquiring one, in this round
static atomic_uint done;        // the taker has left this round's object
static atomic_uint left;        // how many are out of this round's object, where either may free it

static void relax(unsigned *spins) {
    if (++*spins % 64 == 0) {
        sched_yield();
    }
}

static void reach(atomic_uint *word, unsigned n) {
    unsigned spins = 0;
    while (atomic_load_explicit(word, memory_order_acquire) != n) {
        relax(&spins);
    }
}

/* What happens to one kind of object. */
typedef struct kind {
    size_t size;
    void (*prepare)(void *object); // by the giver, before it is offered
    bool (*asleep)(void *object);  // the taker seems to sleep on it; NULL: cannot be told
    void (*give)(void *object);    // the giver's last call
    void (*take)(void *object);    // the taker's, until it may free
    bool either;                   // whoever is out first frees it
} kind;

typedef struct game {
    const kind *k;
    atomic_uint rounds;
} game;

static void leave(const kind *k, void *object, bool taker, quarantine *q) {
    if (k->either ? atomic_fetch_add(&left, 1) == 0 : taker) {
        dispose(q, object, k->size);
    }
}

static cth_status taker_main(void *arg) {
    game *g = (game *)arg;
    quarantine q;
    memset(&q, 0, sizeof q);
    for (uint32_t round = 1; round <= atomic_load(&g->rounds); round++) {
        void *object = NULL;
        unsigned spins = 0;
        while ((object = atomic_exchange_explicit(&offered, NULL, memory_order_acquire)) == NULL) {
            relax(&spins);
        }
        atomic_store_explicit(&arrived, round, memory_order_release);
        g->k->take(object);
        leave(g->k, object, true, &q);
        atomic_store_explicit(&done, round, memory_order_release);
    }
    let_all_out(&q);
    return CTH_OK;
}

/* Mostly give at once, when the taker is in its fast path or spins; now and then when it sleeps,
   and at random moments in between. */
static void play(const kind *k, uint32_t rounds) {
    game g = {k, 0};
    atomic_init(&g.rounds, rounds);
    const char *seconds = getenv("FAULT_SECONDS");
    const cth_time end = cth_after(CTH_S(seconds != NULL ? strtod(seconds, NULL) : 4.0));
    quarantine q;
    memset(&q, 0, sizeof q);
    cth_rng rng;
    cth_rng_seed(&rng, rounds);
    atomic_store(&arrived, 0);
    atomic_store(&done, 0);
    cth_thread *thread = test_spawn(taker_main, &g);
    for (uint32_t round = 1; round <= atomic_load(&g.rounds); round++) {
        void *object = calloc(1, k->size);
        CHECK(object != NULL);
        atomic_store(&left, 0);
        if (k->prepare != NULL) {
            k->prepare(object);
        }
        if (round % 64 == 0) {
            atomic_fetch_add(&test_number, 1); // tell the watchdog that it goes on
            if (cth_now() > end) {
                atomic_store(&g.rounds, round);
            }
        }
        atomic_store_explicit(&offered, object, memory_order_release);
        reach(&arrived, round);
        const uint64_t mood = cth_rng_below(&rng, 64);
        if (mood == 0 && k->asleep != NULL) {
            for (int i = 0; i < 300 && !k->asleep(object); i++) {
                sched_yield();
            }
        } else if (mood < 32) {
            for (uint64_t i = cth_rng_below(&rng, 300); i > 0; i--) {
                atomic_signal_fence(memory_order_seq_cst); // a short pause
            }
        }
        k->give(object);
        leave(k, object, false, &q);
        reach(&done, round);
    }
    CHECK_STATUS(test_join(thread), CTH_OK);
    let_all_out(&q);
    printf("     %u rounds\n", atomic_load(&g.rounds));
}

// --- rmutex: freed by who locked it last ---

static void rmutex_prepare(void *object) {
    CHECK_STATUS(cth_rmutex_lock((cth_rmutex *)object), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock((cth_rmutex *)object), CTH_OK);
}

static bool rmutex_asleep(void *object) {
    return (atomic_load_explicit(&((cth_rmutex *)object)->mutex.word, memory_order_relaxed) & 1) !=
           0;
}

static void rmutex_give(void *object) {
    CHECK_STATUS(cth_rmutex_unlock((cth_rmutex *)object), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock((cth_rmutex *)object), CTH_OK);
}

static void rmutex_take(void *object) {
    CHECK_STATUS(cth_rmutex_lock((cth_rmutex *)object), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock((cth_rmutex *)object), CTH_OK);
}

static void free_rmutex(void) {
    static const kind k = {sizeof(cth_rmutex), rmutex_prepare, rmutex_asleep,
                           rmutex_give,        rmutex_take,    false};
    play(&k, ROUNDS);
}

// --- rwlock: freed by the writer that came after a reader or a writer, or the reader after one ---

static void write_prepare(void *object) {
    CHECK_STATUS(cth_rwlock_write_lock((cth_rwlock *)object), CTH_OK);
}

static void read_prepare(void *object) {
    CHECK_STATUS(cth_rwlock_read_lock((cth_rwlock *)object), CTH_OK);
}

static bool rwlock_asleep(void *object) {
    return (atomic_load_explicit(&((cth_rwlock *)object)->word, memory_order_relaxed) & 1) != 0;
}

static void write_give(void *object) {
    CHECK_STATUS(cth_rwlock_write_unlock((cth_rwlock *)object), CTH_OK);
}

static void read_give(void *object) {
    CHECK_STATUS(cth_rwlock_read_unlock((cth_rwlock *)object), CTH_OK);
}

static void write_take(void *object) {
    CHECK_STATUS(cth_rwlock_write_lock((cth_rwlock *)object), CTH_OK);
    CHECK_STATUS(cth_rwlock_write_unlock((cth_rwlock *)object), CTH_OK);
}

static void read_take(void *object) {
    CHECK_STATUS(cth_rwlock_read_lock((cth_rwlock *)object), CTH_OK);
    CHECK_STATUS(cth_rwlock_read_unlock((cth_rwlock *)object), CTH_OK);
}

static void free_rwlock_by_a_writer_after_a_writer(void) {
    static const kind k = {sizeof(cth_rwlock), write_prepare, rwlock_asleep,
                           write_give,         write_take,    false};
    play(&k, ROUNDS / 4);
}

static void free_rwlock_by_a_writer_after_a_reader(void) {
    static const kind k = {sizeof(cth_rwlock), read_prepare, rwlock_asleep,
                           read_give,          write_take,   false};
    play(&k, ROUNDS / 4);
}

static void free_rwlock_by_a_reader_after_a_writer(void) {
    static const kind k = {sizeof(cth_rwlock), write_prepare, rwlock_asleep,
                           write_give,         read_take,     false};
    play(&k, ROUNDS / 4);
}

/* A timed lock that gives up now and then: what it does when it has given up must be done before it
   returns. */
static void write_take_timed(void *object) {
    while (cth_rwlock_write_lock_until((cth_rwlock *)object, cth_after(CTH_US(1))) != CTH_OK) {
        // Again: the giver unlocks once.
    }
    CHECK_STATUS(cth_rwlock_write_unlock((cth_rwlock *)object), CTH_OK);
}

static void free_rwlock_locked_in_time(void) {
    static const kind k = {sizeof(cth_rwlock), read_prepare,     rwlock_asleep,
                           read_give,          write_take_timed, false};
    play(&k, ROUNDS / 4);
}

// --- latch: freed by the one who waited ---

static void latch_prepare(void *object) {
    CHECK_STATUS(cth_latch_add((cth_latch *)object, 2), CTH_OK);
}

static bool latch_asleep(void *object) {
    return atomic_load_explicit(&((cth_latch *)object)->word, memory_order_relaxed) >> 31 != 0;
}

static void latch_give(void *object) {
    CHECK_STATUS(cth_latch_done((cth_latch *)object), CTH_OK);
    CHECK_STATUS(cth_latch_done((cth_latch *)object), CTH_OK);
}

static void latch_take(void *object) {
    CHECK_STATUS(cth_latch_wait((cth_latch *)object), CTH_OK);
}

static void free_latch(void) {
    static const kind k = {sizeof(cth_latch), latch_prepare, latch_asleep,
                           latch_give,        latch_take,    false};
    play(&k, ROUNDS);
}

// --- barrier: freed by whoever is out first ---

static cth_status nothing_to_do(void *arg) {
    (void)arg;
    return CTH_OK;
}

static void barrier_prepare(void *object) {
    CHECK_STATUS(cth_barrier_init((cth_barrier *)object, 2, NULL), CTH_OK);
}

static void barrier_prepare_with_action(void *object) {
    const cth_barrier_desc desc = {.action = nothing_to_do};
    CHECK_STATUS(cth_barrier_init((cth_barrier *)object, 2, &desc), CTH_OK);
}

static bool barrier_asleep(void *object) {
    return cth_barrier_waiting((cth_barrier *)object) != 0;
}

static void barrier_wait(void *object) {
    CHECK_STATUS(cth_barrier_wait((cth_barrier *)object, NULL), CTH_OK);
}

static void free_barrier(void) {
    static const kind k = {sizeof(cth_barrier), barrier_prepare, barrier_asleep,
                           barrier_wait,        barrier_wait,    true};
    play(&k, ROUNDS / 2);
}

static void free_barrier_with_an_action(void) {
    static const kind k = {sizeof(cth_barrier), barrier_prepare_with_action,
                           barrier_asleep,      barrier_wait,
                           barrier_wait,        true};
    play(&k, ROUNDS / 2);
}

// --- once: freed by one who waited while the giver ran it ---

static atomic_uint running; // the round in which the giver's function has begun

static void once_prepare(void *object) {
    (void)object;
    atomic_store(&running, 0);
}

static cth_status run_for_a_moment(void *arg) {
    atomic_store_explicit(&running, 1, memory_order_release);
    // Short mostly; now and then until the other one sleeps.
    const uint32_t round = atomic_load(&arrived);
    for (uint32_t i = round * 7 % 512; i > 0; i--) {
        atomic_signal_fence(memory_order_seq_cst);
    }
    cth_once *once = (cth_once *)arg;
    for (int i = 0; round % 64 == 0 && i < 300; i++) {
        if ((atomic_load_explicit(&once->word, memory_order_relaxed) & 1) != 0) {
            break;
        }
        sched_yield();
    }
    return CTH_OK;
}

static cth_status must_not_run(void *arg) {
    (void)arg;
    test_fail(__FILE__, __LINE__, "run twice");
    return CTH_FAILED;
}

static void once_give(void *object) {
    CHECK_STATUS(cth_once_call((cth_once *)object, run_for_a_moment, object), CTH_OK);
}

static void once_take(void *object) {
    reach(&running, 1); // else this thread would run it, and free it before the other comes
    CHECK_STATUS(cth_once_call((cth_once *)object, must_not_run, NULL), CTH_OK);
}

static void free_once(void) {
    static const kind k = {sizeof(cth_once), once_prepare, NULL, once_give, once_take, false};
    play(&k, ROUNDS);
}

// --- cond with its rmutex: freed by the one who waited, once it has let go of the rmutex ---

typedef struct pair {
    cth_rmutex rmutex;
    cth_cond cond;
    bool ready;
} pair;

static bool pair_asleep(void *object) {
    return atomic_load_explicit(&((pair *)object)->cond.word, memory_order_relaxed) != 0;
}

static void pair_give(void *object) {
    pair *p = (pair *)object;
    CHECK_STATUS(cth_rmutex_lock(&p->rmutex), CTH_OK);
    p->ready = true;
    CHECK_STATUS(cth_cond_notify(&p->cond, 1), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&p->rmutex), CTH_OK);
}

static void pair_take(void *object) {
    pair *p = (pair *)object;
    CHECK_STATUS(cth_rmutex_lock(&p->rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_lock(&p->rmutex), CTH_OK);
    while (!p->ready) {
        CHECK_STATUS(cth_cond_wait_rmutex(&p->cond, &p->rmutex), CTH_OK);
    }
    CHECK_STATUS(cth_rmutex_unlock(&p->rmutex), CTH_OK);
    CHECK_STATUS(cth_rmutex_unlock(&p->rmutex), CTH_OK);
}

static void free_cond_with_rmutex(void) {
    static const kind k = {sizeof(pair), NULL, pair_asleep, pair_give, pair_take, false};
    play(&k, ROUNDS);
}

int main(int argc, char **argv) {
    static const test_case tests[] = {
        TEST(free_rmutex),
        TEST(free_rwlock_by_a_writer_after_a_writer),
        TEST(free_rwlock_by_a_writer_after_a_reader),
        TEST(free_rwlock_by_a_reader_after_a_writer),
        TEST(free_rwlock_locked_in_time),
        TEST(free_latch),
        TEST(free_barrier),
        TEST(free_barrier_with_an_action),
        TEST(free_once),
        TEST(free_cond_with_rmutex),
    };
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
