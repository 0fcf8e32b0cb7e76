/* fault_destroy.c - an object may be freed right after its last use.

   A giver and a taker, two threads that live all along, meet in each round over a fresh object. The
   giver makes its last call on it (unlock, release, set, notify, request) while the taker acquires
   it, and the taker frees it at once, with the giver's call perhaps still on its way out. In odd
   rounds the memory goes back to the allocator, which AddressSanitizer and valgrind watch. In even
   ones it is filled with a pattern that must still be there some rounds later: that shows a late
   write in any build.

   A million rounds in all; less under sanitizers and valgrind. FAULT_SCALE in the environment is
   a factor. */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <sched.h>

#if defined(__has_include)
#  if __has_include(<valgrind/valgrind.h>)
#    include <valgrind/valgrind.h>
#  endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#  define SLOW 20
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define SLOW 20
#  endif
#endif
#ifndef SLOW
#  define SLOW (TEST_TSAN ? 40 : 1)
#endif

/* Rounds of each kind; in the last two kinds a thread lives for one round only. */
enum { ROUNDS = 80000, THREAD_ROUNDS = 20000, PATTERN = 0xEE, QUARANTINE = 32 };

static uint32_t rounds_of(uint32_t normal) {
    const char *text = getenv("FAULT_SCALE");
    double n = normal * (text != NULL ? strtod(text, NULL) : 1.0) / SLOW;
#ifdef RUNNING_ON_VALGRIND
    if (RUNNING_ON_VALGRIND) {
        n /= 200;
    }
#endif
    return n < 10 ? 10 : (uint32_t)n;
}

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

static void *make(size_t size) {
    void *block = calloc(1, size);
    CHECK(block != NULL);
    return block;
}

/* ------------------------------------------------------------------------------------------------
   The meeting. Not by the kit's own means, which are under test.
   ------------------------------------------------------------------------------------------------
 */

static _Atomic(void *) offered; // by the giver; NULL: none
static atomic_uint arrived;     // the taker's next call is the acquiring one, in this round
static atomic_uint done;        // the taker has freed this round's object

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
    bool (*asleep)(void *object);  // the taker seems to sleep on it
    void (*give)(void *object);    // the giver's last call
    void (*take)(void *object);    // the taker's, until it may free
    bool taker_frees;
} kind;

typedef struct game {
    const kind *k;
    atomic_uint rounds;
} game;

/* On a machine that is busy with other things each meeting may cost milliseconds. Then it is enough
   when a kind has had its share of time. */
enum { LEAST_ROUNDS = 64, SECONDS = 6 };

static cth_status taker(void *arg) {
    game *g = arg;
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
        if (g->k->taker_frees) {
            dispose(&q, object, g->k->size);
        }
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
    const cth_time end = cth_after(CTH_S(SECONDS));
    quarantine q;
    memset(&q, 0, sizeof q);
    cth_rng rng;
    cth_rng_seed(&rng, rounds);
    atomic_store(&arrived, 0);
    atomic_store(&done, 0);
    cth_thread *thread = test_spawn(taker, &g);
    for (uint32_t round = 1; round <= rounds; round++) {
        void *object = make(k->size);
        if (k->prepare != NULL) {
            k->prepare(object);
        }
        atomic_store_explicit(&offered, object, memory_order_release);
        reach(&arrived, round);
        const uint64_t mood = cth_rng_below(&rng, 16);
        if (mood == 0) {
            for (int i = 0; i < 300 && !k->asleep(object); i++) {
                sched_yield();
            }
        } else if (mood < 8) {
            for (uint64_t i = cth_rng_below(&rng, 300); i > 0; i--) {
                atomic_signal_fence(memory_order_seq_cst); // a short pause
            }
        }
        const bool last = round >= LEAST_ROUNDS && round % 64 == 0 && cth_now() > end;
        if (last) {
            atomic_store(&g.rounds, round);
        }
        k->give(object);
        if (!k->taker_frees) {
            dispose(&q, object, k->size);
        }
        reach(&done, round);
        if (last) {
            break;
        }
    }
    CHECK_STATUS(test_join(thread), CTH_OK);
    let_all_out(&q);
    printf("     %u rounds\n", atomic_load(&g.rounds));
}

// --- mutex: freed by who locked it last ---

static void mutex_prepare(void *object) {
    CHECK_STATUS(cth_mutex_lock((cth_mutex *)object), CTH_OK);
}

static bool mutex_asleep(void *object) {
    return (cth__load(&((cth_mutex *)object)->word, relaxed) & 1) != 0;
}

static void mutex_give(void *object) {
    CHECK_STATUS(cth_mutex_unlock((cth_mutex *)object), CTH_OK);
}

static void mutex_take(void *object) {
    CHECK_STATUS(cth_mutex_lock((cth_mutex *)object), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock((cth_mutex *)object), CTH_OK);
}

static void free_mutex(void) {
    static const kind k = {sizeof(cth_mutex), mutex_prepare, mutex_asleep,
                           mutex_give,        mutex_take,    true};
    play(&k, rounds_of(ROUNDS));
}

/* A timed lock that gives up now and then: the one who gives up is not the one who frees. */
static void mutex_take_timed(void *object) {
    while (cth_mutex_lock_until((cth_mutex *)object, cth_after(CTH_US(1))) != CTH_OK) {
        sched_yield(); // the giver unlocks once, and may need this processor for it
    }
    CHECK_STATUS(cth_mutex_unlock((cth_mutex *)object), CTH_OK);
}

static void free_mutex_locked_in_time(void) {
    static const kind k = {sizeof(cth_mutex), mutex_prepare,    mutex_asleep,
                           mutex_give,        mutex_take_timed, true};
    play(&k, rounds_of(ROUNDS));
}

// --- sem: freed by who took the last permit ---

static bool sem_asleep(void *object) {
    return (cth__load(&((cth_sem *)object)->word, relaxed) >> 31) != 0;
}

static void sem_give(void *object) {
    CHECK_STATUS(cth_sem_release((cth_sem *)object), CTH_OK);
}

static void sem_take(void *object) {
    CHECK_STATUS(cth_sem_acquire((cth_sem *)object), CTH_OK);
}

static void free_sem(void) {
    static const kind k = {sizeof(cth_sem), NULL, sem_asleep, sem_give, sem_take, true};
    play(&k, rounds_of(ROUNDS));
}

static void sem_prepare_bounded(void *object) {
    CHECK_STATUS(cth_sem_init((cth_sem *)object, 0, &(cth_sem_desc){.max = 1}), CTH_OK);
}

static void free_bounded_sem(void) {
    static const kind k = {
        sizeof(cth_sem), sem_prepare_bounded, sem_asleep, sem_give, sem_take, true};
    play(&k, rounds_of(ROUNDS));
}

// --- event: freed by the one who waited ---

static bool event_asleep(void *object) {
    return (cth__load(&((cth_event *)object)->word, relaxed) & 2) != 0;
}

static void event_give(void *object) {
    CHECK_STATUS(cth_event_set((cth_event *)object), CTH_OK);
}

static void event_take(void *object) {
    CHECK_STATUS(cth_event_wait((cth_event *)object), CTH_OK);
}

static void free_event(void) {
    static const kind k = {sizeof(cth_event), NULL, event_asleep, event_give, event_take, true};
    play(&k, rounds_of(ROUNDS));
}

// --- cond with its mutex: freed by the one who waited, once it has let go of the mutex ---

typedef struct pair {
    cth_mutex mutex;
    cth_cond cond;
    bool ready;
} pair;

static bool pair_asleep(void *object) {
    return cth__load(&((pair *)object)->cond.word, relaxed) != 0;
}

static void pair_give(void *object) {
    pair *p = object;
    CHECK_STATUS(cth_mutex_lock(&p->mutex), CTH_OK);
    p->ready = true;
    CHECK_STATUS(cth_cond_notify(&p->cond, 1), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&p->mutex), CTH_OK);
}

static void pair_take(void *object) {
    pair *p = object;
    CHECK_STATUS(cth_mutex_lock(&p->mutex), CTH_OK);
    while (!p->ready) {
        CHECK_STATUS(cth_cond_wait(&p->cond, &p->mutex), CTH_OK);
    }
    CHECK_STATUS(cth_mutex_unlock(&p->mutex), CTH_OK);
}

static void free_cond(void) {
    static const kind k = {sizeof(pair), NULL, pair_asleep, pair_give, pair_take, true};
    play(&k, rounds_of(ROUNDS));
}

// --- cond freed by the notifier: those it woke do not come back to it ---

static cth_mutex shared_mutex;
static bool shared_ready;

static void shared_prepare(void *object) {
    (void)object;
    CTH_WITH(&shared_mutex) {
        shared_ready = false;
    }
}

static bool shared_asleep(void *object) {
    return cth__load(&((cth_cond *)object)->word, relaxed) != 0;
}

/* The taker must have begun its wait: later than this it may not touch the condition at all. */
static void shared_give(void *object) {
    unsigned spins = 0;
    while (!shared_asleep(object)) {
        relax(&spins);
    }
    CHECK_STATUS(cth_mutex_lock(&shared_mutex), CTH_OK);
    shared_ready = true;
    CHECK_STATUS(cth_cond_notify_all((cth_cond *)object), CTH_OK);
    CHECK_STATUS(cth_mutex_unlock(&shared_mutex), CTH_OK);
}

static void shared_take(void *object) {
    CHECK_STATUS(cth_mutex_lock(&shared_mutex), CTH_OK);
    while (!shared_ready) {
        CHECK_STATUS(cth_cond_wait((cth_cond *)object, &shared_mutex), CTH_OK);
    }
    CHECK_STATUS(cth_mutex_unlock(&shared_mutex), CTH_OK);
}

static void free_cond_after_notify(void) {
    static const kind k = {sizeof(cth_cond), shared_prepare, shared_asleep,
                           shared_give,      shared_take,    false};
    play(&k, rounds_of(ROUNDS));
}

// --- rwlock: freed by the writer or the reader that came after a writer ---

static void rwlock_prepare(void *object) {
    CHECK_STATUS(cth_rwlock_write_lock((cth_rwlock *)object), CTH_OK);
}

static bool rwlock_asleep(void *object) {
    return (cth__load(&((cth_rwlock *)object)->word, relaxed) & 1) != 0;
}

static void rwlock_give(void *object) {
    CHECK_STATUS(cth_rwlock_write_unlock((cth_rwlock *)object), CTH_OK);
}

static void rwlock_take_write(void *object) {
    CHECK_STATUS(cth_rwlock_write_lock((cth_rwlock *)object), CTH_OK);
    CHECK_STATUS(cth_rwlock_write_unlock((cth_rwlock *)object), CTH_OK);
}

static void rwlock_take_read(void *object) {
    CHECK_STATUS(cth_rwlock_read_lock((cth_rwlock *)object), CTH_OK);
    CHECK_STATUS(cth_rwlock_read_unlock((cth_rwlock *)object), CTH_OK);
}

static void free_rwlock_after_write(void) {
    static const kind k = {sizeof(cth_rwlock), rwlock_prepare,    rwlock_asleep,
                           rwlock_give,        rwlock_take_write, true};
    play(&k, rounds_of(ROUNDS));
}

static void free_rwlock_after_read(void) {
    static const kind k = {sizeof(cth_rwlock), rwlock_prepare,   rwlock_asleep,
                           rwlock_give,        rwlock_take_read, true};
    play(&k, rounds_of(ROUNDS));
}

// --- latch: freed by the one who waited ---

static void latch_prepare(void *object) {
    CHECK_STATUS(cth_latch_add((cth_latch *)object, 1), CTH_OK);
}

static bool latch_asleep(void *object) {
    return cth__load(&((cth_latch *)object)->word, relaxed) >> 31 != 0;
}

static void latch_give(void *object) {
    CHECK_STATUS(cth_latch_done((cth_latch *)object), CTH_OK);
}

static void latch_take(void *object) {
    CHECK_STATUS(cth_latch_wait((cth_latch *)object), CTH_OK);
}

static void free_latch(void) {
    static const kind k = {sizeof(cth_latch), latch_prepare, latch_asleep,
                           latch_give,        latch_take,    true};
    play(&k, rounds_of(ROUNDS));
}

// --- barrier: both make the same call, and either may be the last to come and to leave ---

static bool unknown_asleep(void *object) {
    (void)object;
    return false;
}

static void barrier_prepare(void *object) {
    CHECK_STATUS(cth_barrier_init((cth_barrier *)object, 2, NULL), CTH_OK);
}

static void barrier_meet(void *object) {
    uint32_t index = 2;
    CHECK_STATUS(cth_barrier_wait((cth_barrier *)object, &index), CTH_OK);
    CHECK(index < 2);
}

static void free_barrier(void) {
    static const kind k = {sizeof(cth_barrier), barrier_prepare, unknown_asleep,
                           barrier_meet,        barrier_meet,    true};
    play(&k, rounds_of(ROUNDS));
}

// --- cancel token: destroyed and freed by the one it cancelled ---

static cth_event never;

static void cancel_prepare(void *object) {
    CHECK_STATUS(cth_cancel_init((cth_cancel *)object, NULL, CTH_FOREVER), CTH_OK);
}

/* The mark in the event's word stays once it was set, so this says little after the first time. */
static bool cancel_asleep(void *object) {
    (void)object;
    return event_asleep(&never);
}

static void cancel_give(void *object) {
    CHECK_STATUS(cth_cancel_request((cth_cancel *)object, "enough"), CTH_OK);
}

static void cancel_take(void *object) {
    cth_cancel *token = object;
    CTH_UNDER(token) {
        CHECK_STATUS(cth_event_wait(&never), CTH_CANCELLED);
    }
    CHECK_STATUS(cth_cancel_destroy(token), CTH_OK);
}

static void free_cancel(void) {
    static const kind k = {sizeof(cth_cancel), cancel_prepare, cancel_asleep,
                           cancel_give,        cancel_take,    true};
    play(&k, rounds_of(ROUNDS));
}

/* ------------------------------------------------------------------------------------------------
   Thread handles, which the kit frees itself: only the tools see a use that comes too late.
   ------------------------------------------------------------------------------------------------
 */

static cth_status end_at_once(void *arg) {
    (void)arg;
    return CTH_OK;
}

static void release_thread_handle(void) {
    const uint32_t rounds = rounds_of(THREAD_ROUNDS);
    for (uint32_t round = 0; round < rounds; round++) {
        cth_thread *thread = test_spawn(end_at_once, NULL);
        switch (round % 4) {
        case 0: // joined: the thread's record may go although its last lines still run
            CHECK_STATUS(cth_thread_join(thread, NULL), CTH_OK);
            break;
        case 1: // seen to have ended, which is earlier than joined
            while (cth_thread_is_alive(thread)) {
                cth_yield();
            }
            break;
        case 2: CHECK_STATUS(cth_thread_detach(thread), CTH_OK); break;
        default: // not looked at again
            break;
        }
        cth_thread_release(thread);
    }
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    printf("     %u rounds\n", (unsigned)rounds);
}

typedef struct own_handle {
    cth_thread *thread;
    cth_event ready;
} own_handle;

/* The thread gives back the last reference to itself and goes on for a while. */
static cth_status release_myself(void *arg) {
    own_handle *own = arg;
    CHECK_STATUS(cth_event_wait(&own->ready), CTH_OK);
    cth_thread *me = own->thread;
    CHECK(me == cth_thread_current());
    free(own);
    cth_thread_release(me);
    CHECK(cth_thread_is_alive(cth_thread_current()));
    return CTH_OK;
}

static void release_own_handle(void) {
    const uint32_t rounds = rounds_of(THREAD_ROUNDS);
    for (uint32_t round = 0; round < rounds; round++) {
        own_handle *own = make(sizeof *own);
        own->thread = test_spawn(release_myself, own);
        CHECK_STATUS(cth_event_set(&own->ready), CTH_OK);
        if (round % 32 == 0) {
            CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK); // not too many at a time
        }
    }
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    printf("     %u rounds\n", (unsigned)rounds);
}

int main(int argc, char **argv) {
    static const test_case tests[] = {
        TEST(free_mutex),
        TEST(free_mutex_locked_in_time),
        TEST(free_sem),
        TEST(free_bounded_sem),
        TEST(free_event),
        TEST(free_cond),
        TEST(free_cond_after_notify),
        TEST(free_rwlock_after_write),
        TEST(free_rwlock_after_read),
        TEST(free_latch),
        TEST(free_barrier),
        TEST(free_cancel),
        TEST(release_thread_handle),
        TEST(release_own_handle),
    };
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
