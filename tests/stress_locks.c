/* stress_locks.c - a random mix of all objects at the same time, four threads for each processor.

       stress_locks [--seconds N] [--seed S] [--threads T]

   The run is cut into rounds of some milliseconds. In each round the threads form groups at random:
   lockers, semaphores, bounded semaphores, bounded buffers, gates, cancelled waits, joins. What the
   givers of a group give is exactly what its takers take, timeouts and all, so a wake-up that is
   lost leaves a round that never ends; the watchdog then says who waits for what. Between the
   rounds everything must add up: counters, permits, items, timeouts that consumed nothing.

   The seed decides the groups and each thread's choices, not the schedule. */
#define _DEFAULT_SOURCE // _SC_NPROCESSORS_ONLN
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "stress.h"
#include "test.h"
#include "test_help.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>

enum { MAX_THREADS = 256, LOCKS = 4, GATES = 8, STEPS = 60, BUFFER = 3, HANG_SECONDS = 60 };

/* ------------------------------------------------------------------------------------------------
   What all threads share: a few mutexes, each with data that only its owner may touch.
   ------------------------------------------------------------------------------------------------
 */

typedef struct guarded {
    cth_mutex mutex;
    unsigned owner; // number of the thread inside + 1
    uint64_t a, b;  // equal whenever the mutex is free
} guarded;

static guarded shared[LOCKS];

/* The same for readers and writers. */
static cth_rwlock rwlock;
static atomic_int readers, writers;
static uint64_t left_half, right_half; // equal whenever nobody writes

typedef struct tally {
    uint64_t locks, timeouts, cancels, permits, items, gates, joins, duels;
} tally;

struct group;

/* One thread's part in a round. */
typedef struct player {
    unsigned number;
    struct group *group;
    cth_status (*play)(struct player *p);
    unsigned part; // its index among the takers or givers of its group
    cth_rng rng;
    uint64_t entered[LOCKS]; // how often it was inside
    tally seen;
    cth_cancel token;             // of a cancelled wait
    _Atomic(const char *) doing;  // for the watchdog
    _Atomic(const void *) object; // the same
    atomic_uint steps;            // the same: grows while the thread gets on
} player;

/* A group's own objects; each kind uses some. */
typedef struct group {
    unsigned givers, takers;
    cth_sem sem;
    int holding_max;
    atomic_int holding;
    cth_mutex mutex;
    cth_cond not_empty, not_full;
    unsigned filled;
    uint64_t put, got;
    cth_event gate[GATES];
    atomic_uint passed;
    cth_event never;
    cth_barrier barrier;
    cth_latch latch;
    cth_mutex prize;                   // of a duel
    cth_time deadline;                 // of its timed waiter
    bool got_in_time;                  // what that one saw
    atomic_uint begun, timed, untimed; // the step each has reached
    player *members[MAX_THREADS];
    unsigned n_members;
} group;

static player players[MAX_THREADS];
static group groups[MAX_THREADS];

static void at(player *p, const char *doing, const void *object) {
    atomic_store_explicit(&p->doing, doing, memory_order_relaxed);
    atomic_store_explicit(&p->object, object, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->steps, 1, memory_order_relaxed);
}

static uint64_t pick(player *p, uint64_t n) {
    return cth_rng_below(&p->rng, n);
}

/* A deadline within 4 ms; often much nearer, for that is where the races are. */
static cth_time soon(player *p) {
    static const uint64_t spans[] = {1, 2000, 20000, 200000, 4000000};
    return cth_after((cth_time)pick(p, spans[pick(p, TEST_COUNT(spans))]));
}

static void dawdle(player *p) {
    switch (pick(p, 16)) {
    case 0:
        at(p, "sleep", NULL);
        CHECK_STATUS(cth_sleep((cth_time)pick(p, 100000)), CTH_OK);
        break;
    case 1: cth_yield(); break;
    case 2: sched_yield(); break;
    default: break;
    }
}

/* ------------------------------------------------------------------------------------------------
   Mutexes. Every player does this between its other steps.
   ------------------------------------------------------------------------------------------------
 */

static void inside(player *p, unsigned which) {
    guarded *g = &shared[which];
    CHECK_EQ(g->owner, 0);
    CHECK_EQ(g->a, g->b);
    g->owner = p->number + 1;
    g->a++;
    p->entered[which]++;
    p->seen.locks++;
    if (pick(p, 8) == 0) {
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_DEADLOCK);
        CHECK_STATUS(cth_mutex_try_lock(&g->mutex), CTH_BUSY);
    }
    dawdle(p);
    g->b++;
    CHECK_EQ(g->owner, p->number + 1);
    CHECK_EQ(g->a, g->b);
    g->owner = 0;
}

static void use_rwlock(player *p) {
    const bool write = pick(p, 4) == 0;
    const cth_time deadline = pick(p, 2) == 0 ? CTH_FOREVER : soon(p);
    at(p, write ? "rwlock write lock" : "rwlock read lock", &rwlock);
    const cth_status status = write ? cth_rwlock_write_lock_until(&rwlock, deadline)
                                    : cth_rwlock_read_lock_until(&rwlock, deadline);
    if (status != CTH_OK) {
        CHECK_STATUS(status, CTH_TIMEDOUT);
        CHECK(deadline != CTH_FOREVER && cth_now() >= deadline);
        p->seen.timeouts++;
        return;
    }
    p->seen.locks++;
    bool reads = !write;
    if (write) {
        CHECK_EQ(atomic_fetch_add(&writers, 1), 0);
        CHECK_EQ(atomic_load(&readers), 0);
        left_half++;
        dawdle(p);
        right_half++;
        CHECK_EQ(atomic_fetch_sub(&writers, 1), 1);
        reads = pick(p, 4) == 0;
        if (reads) {
            CHECK_STATUS(cth_rwlock_downgrade(&rwlock), CTH_OK);
        } else {
            CHECK_STATUS(cth_rwlock_write_unlock(&rwlock), CTH_OK);
        }
    }
    if (reads) {
        atomic_fetch_add(&readers, 1);
        CHECK_EQ(atomic_load(&writers), 0);
        CHECK_EQ(left_half, right_half);
        dawdle(p);
        CHECK_EQ(left_half, right_half);
        atomic_fetch_sub(&readers, 1);
        CHECK_STATUS(cth_rwlock_read_unlock(&rwlock), CTH_OK);
    }
}

static void use_mutex(player *p) {
    if (pick(p, 4) == 0) {
        use_rwlock(p);
        return;
    }
    const unsigned which = (unsigned)pick(p, LOCKS);
    guarded *g = &shared[which];
    cth_status status = CTH_OK;
    switch (pick(p, 6)) {
    case 0:
        at(p, "mutex try lock", g);
        status = cth_mutex_try_lock(&g->mutex);
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_BUSY);
            return;
        }
        break;
    case 1:
    case 2:
    case 3: {
        const cth_time deadline = soon(p);
        at(p, "mutex lock until", g);
        status = cth_mutex_lock_until(&g->mutex, deadline);
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK(cth_now() >= deadline);
            p->seen.timeouts++;
            CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_NOT_OWNER);
            return;
        }
        break;
    }
    case 4:
        at(p, "CTH_WITH", g);
        CTH_WITH(&g->mutex) {
            inside(p, which);
        }
        return;
    default:
        at(p, "mutex lock", g);
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
        break;
    }
    inside(p, which);
    if (pick(p, 16) == 0 && which + 1 < LOCKS) { // in ascending order, two at a time
        at(p, "second mutex lock", &shared[which + 1]);
        CHECK_STATUS(cth_mutex_lock(&shared[which + 1].mutex), CTH_OK);
        inside(p, which + 1);
        CHECK_STATUS(cth_mutex_unlock(&shared[which + 1].mutex), CTH_OK);
    }
    CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
}

static cth_status play_locks(player *p) {
    for (int i = 0; i < STEPS * 2; i++) {
        use_mutex(p);
        dawdle(p);
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Semaphores: givers release as many permits as all takers acquire, half of them with no deadline.
   ------------------------------------------------------------------------------------------------
 */

static cth_status give_permits(player *p) {
    uint64_t left = (uint64_t)p->group->takers * STEPS; // this giver's share of each taker's needs
    while (left > 0) {
        const uint64_t n = pick(p, 4) == 0 ? 1 + pick(p, left < 5 ? left : 5) : 1;
        at(p, "sem release", &p->group->sem);
        if (n == 1) {
            CHECK_STATUS(cth_sem_release(&p->group->sem), CTH_OK);
        } else {
            CHECK_STATUS(cth_sem_release_n(&p->group->sem, (int)n), CTH_OK);
        }
        left -= n;
        dawdle(p);
    }
    return CTH_OK;
}

static cth_status take_permits(player *p) {
    uint64_t left = (uint64_t)p->group->givers * STEPS;
    while (left > 0) {
        if (pick(p, 2) == 0) {
            at(p, "sem acquire", &p->group->sem);
            CHECK_STATUS(cth_sem_acquire(&p->group->sem), CTH_OK);
        } else {
            const cth_time deadline = soon(p);
            at(p, "sem acquire until", &p->group->sem);
            const cth_status status = cth_sem_acquire_until(&p->group->sem, deadline);
            if (status != CTH_OK) {
                CHECK_STATUS(status, CTH_TIMEDOUT);
                CHECK(cth_now() >= deadline);
                p->seen.timeouts++;
                continue;
            }
        }
        left--;
        p->seen.permits++;
        if (pick(p, 4) == 0) {
            use_mutex(p);
        }
    }
    return CTH_OK;
}

/* A bounded semaphore: never more holders than permits, and never a release too many. */
static cth_status hold_permits(player *p) {
    group *g = p->group;
    for (int i = 0; i < STEPS; i++) {
        const cth_time deadline = pick(p, 2) == 0 ? CTH_FOREVER : soon(p);
        at(p, "bounded sem acquire", &g->sem);
        const cth_status status = cth_sem_acquire_until(&g->sem, deadline);
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK(deadline != CTH_FOREVER && cth_now() >= deadline);
            p->seen.timeouts++;
            continue;
        }
        CHECK(atomic_fetch_add(&g->holding, 1) < g->holding_max);
        p->seen.permits++;
        dawdle(p);
        CHECK(atomic_fetch_sub(&g->holding, 1) > 0);
        at(p, "bounded sem release", &g->sem);
        CHECK_STATUS(cth_sem_release(&g->sem), CTH_OK);
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   A bounded buffer on a mutex and two conditions. Each change wakes one thread only, so a notify
   that goes to a waiter which has timed out leaves another asleep for ever.
   ------------------------------------------------------------------------------------------------
 */

/* Wait with the group's mutex held until there is room, or an item; false: the deadline came first,
   which is no more than a reason to try again. */
static bool await(player *p, cth_cond *cond, bool for_item) {
    group *g = p->group;
    const cth_time deadline = pick(p, 3) == 0 ? CTH_FOREVER : soon(p);
    while (for_item ? g->filled == 0 : g->filled == BUFFER) {
        at(p, for_item ? "cond wait for an item" : "cond wait for room", cond);
        const cth_status status = cth_cond_wait_until(cond, &g->mutex, deadline);
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK(deadline != CTH_FOREVER && cth_now() >= deadline);
            p->seen.timeouts++;
            return for_item ? g->filled != 0 : g->filled != BUFFER;
        }
    }
    return true;
}

static cth_status move_items(player *p, bool take) {
    group *g = p->group;
    uint64_t left = (uint64_t)(take ? g->givers : g->takers) * STEPS;
    while (left > 0) {
        at(p, "buffer lock", &g->mutex);
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
        bool moved = false;
        if (await(p, take ? &g->not_empty : &g->not_full, take)) {
            CHECK(take ? g->filled > 0 : g->filled < BUFFER);
            g->filled += take ? UINT_MAX : 1U;
            g->put += !take;
            g->got += take;
            moved = true;
        }
        cth_cond *const other = take ? &g->not_full : &g->not_empty;
        const bool under_lock = pick(p, 2) == 0;
        at(p, "cond notify", other);
        if (moved && under_lock) {
            CHECK_STATUS(cth_cond_notify(other, 1), CTH_OK);
        }
        CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
        if (moved && !under_lock) {
            CHECK_STATUS(cth_cond_notify(other, 1), CTH_OK);
        }
        left -= moved;
        p->seen.items += moved;
        if (pick(p, 8) == 0) {
            use_mutex(p);
        }
    }
    return CTH_OK;
}

static cth_status put_items(player *p) {
    return move_items(p, false);
}

static cth_status take_items(player *p) {
    return move_items(p, true);
}

/* ------------------------------------------------------------------------------------------------
   Gates: the giver sets one event after the other, when all have passed the one before.
   ------------------------------------------------------------------------------------------------
 */

static cth_status open_gates(player *p) {
    group *g = p->group;
    for (unsigned i = 0; i < GATES; i++) {
        at(p, "wait for passers", &g->passed);
        while (atomic_load(&g->passed) < i * g->takers) {
            cth_yield();
        }
        dawdle(p);
        use_mutex(p);
        at(p, "event set", &g->gate[i]);
        CHECK_STATUS(cth_event_set(&g->gate[i]), CTH_OK);
        if (pick(p, 2) == 0) {
            CHECK_STATUS(cth_event_set(&g->gate[i]), CTH_OK);
        }
    }
    return CTH_OK;
}

static cth_status pass_gates(player *p) {
    group *g = p->group;
    for (unsigned i = 0; i < GATES; i++) {
        for (;;) {
            const cth_time deadline = pick(p, 2) == 0 ? CTH_FOREVER : soon(p);
            at(p, "event wait", &g->gate[i]);
            const cth_status status = cth_event_wait_until(&g->gate[i], deadline);
            if (status == CTH_OK) {
                break;
            }
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK(deadline != CTH_FOREVER && cth_now() >= deadline);
            p->seen.timeouts++;
        }
        CHECK(cth_event_is_set(&g->gate[i]));
        p->seen.gates++;
        atomic_fetch_add(&g->passed, 1);
        dawdle(p);
    }
    return CTH_OK;
}

/* Meetings: all of the group at one barrier, again and again; each time exactly one is the last. */
static cth_status meet(player *p) {
    group *g = p->group;
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t index = UINT_MAX;
        at(p, "barrier wait", &g->barrier);
        CHECK_STATUS(cth_barrier_wait(&g->barrier, &index), CTH_OK);
        CHECK(index < g->n_members);
        if (index == 0) {
            g->put++; // between the two meetings this is the only thread to touch it
        }
        CHECK_STATUS(cth_barrier_wait(&g->barrier, &index), CTH_OK);
        CHECK_EQ(g->put, i + 1);
        if (index == 0) {
            g->got++;
        }
        dawdle(p);
    }
    at(p, "latch done", &g->latch);
    CHECK_STATUS(cth_latch_done(&g->latch), CTH_OK);
    at(p, "latch wait", &g->latch);
    CHECK_STATUS(cth_latch_wait(&g->latch), CTH_OK);
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Cancelled waits: each taker waits for something that never comes, until the giver cancels it, by
   its own token or by the one above all. Locks are not cancelled meanwhile.
   ------------------------------------------------------------------------------------------------
 */

static cth_status cancel_takers(player *p) {
    group *g = p->group;
    for (unsigned i = 0; i < g->n_members; i++) {
        if (g->members[i] == p) {
            continue;
        }
        dawdle(p);
        at(p, "cancel request", &g->members[i]->token);
        if (i + 1 == g->n_members || pick(p, 4) != 0) {
            CHECK_STATUS(cth_cancel_request(&g->members[i]->token, "its turn"), CTH_OK);
        }
        use_mutex(p);
    }
    CHECK_STATUS(cth_cancel_request(&p->token, "all"), CTH_OK); // parent of the rest
    return CTH_OK;
}

static cth_status be_cancelled(player *p) {
    group *g = p->group;
    cth_status status = CTH_OK;
    CTH_UNDER(&p->token) {
        while (status != CTH_CANCELLED) {
            const cth_time deadline = pick(p, 2) == 0 ? CTH_FOREVER : soon(p);
            const uint64_t how = pick(p, 4);
            at(p, "wait to be cancelled", &p->token);
            if (how == 0) {
                status = cth_event_wait_until(&g->never, deadline);
            } else if (how == 1) {
                status = cth_sem_acquire_until(&g->sem, deadline);
            } else if (how == 2) {
                status = cth_sleep_until(deadline);
                status = status == CTH_OK ? CTH_TIMEDOUT : status;
            } else {
                CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK); // not cancelled, in any case
                do {
                    status = cth_cond_wait_until(&g->not_empty, &g->mutex, deadline);
                } while (status == CTH_OK);
                CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
            }
            if (status != CTH_CANCELLED) {
                CHECK_STATUS(status, CTH_TIMEDOUT);
                CHECK(deadline != CTH_FOREVER && cth_now() >= deadline);
                p->seen.timeouts++;
            }
        }
        CHECK_STATUS(cth_cancel_status(NULL), CTH_CANCELLED);
        CHECK_STATUS(cth_event_wait(&g->never), CTH_CANCELLED);
        CTH_SHIELDED {
            CHECK_STATUS(cth_event_wait_until(&g->never, soon(p)), CTH_TIMEDOUT);
        }
    }
    p->seen.cancels++;
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Duels: one release, at about the moment when the deadline of one waiter passes while another
   waits with none. If the first gets it, a second release follows; if not, the one release must
   reach the other, and nobody comes later to make up for a wake-up that went to the wrong one.
   ------------------------------------------------------------------------------------------------
 */

enum { ON_SEM, ON_MUTEX, ON_COND };

static int duel_object(unsigned step) {
    return (int)(step % 3);
}

static void await_step(player *p, atomic_uint *word, unsigned step) {
    at(p, "wait for a duel", word);
    while (atomic_load(word) < step) {
        cth_yield();
    }
}

/* Give one: a permit, the mutex, an item. */
static void duel_give(player *p, int object) {
    group *g = p->group;
    at(p, "give in a duel", &g->sem);
    if (object == ON_SEM) {
        CHECK_STATUS(cth_sem_release(&g->sem), CTH_OK);
    } else if (object == ON_MUTEX) {
        CHECK_STATUS(cth_mutex_unlock(&g->prize), CTH_OK);
    } else {
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
        g->filled++;
        CHECK_STATUS(cth_cond_notify(&g->not_empty, 1), CTH_OK);
        CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
    }
}

/* Take one until the deadline; true when it was got. */
static bool duel_take(player *p, int object, cth_time deadline) {
    group *g = p->group;
    cth_status status = CTH_OK;
    at(p, deadline == CTH_FOREVER ? "take in a duel" : "take in a duel until", &g->sem);
    if (object == ON_SEM) {
        status = cth_sem_acquire_until(&g->sem, deadline);
    } else if (object == ON_MUTEX) {
        status = cth_mutex_lock_until(&g->prize, deadline);
        if (status == CTH_OK) {
            CHECK_STATUS(cth_mutex_unlock(&g->prize), CTH_OK);
        }
    } else {
        CHECK_STATUS(cth_mutex_lock(&g->mutex), CTH_OK);
        while (status == CTH_OK && g->filled == 0) {
            status = cth_cond_wait_until(&g->not_empty, &g->mutex, deadline);
        }
        // A wait that a notify chose never reports a timeout: who timed out can leave without a
        // look.
        if (status == CTH_OK) {
            g->filled--;
        }
        CHECK_STATUS(cth_mutex_unlock(&g->mutex), CTH_OK);
    }
    if (status != CTH_OK) {
        CHECK_STATUS(status, CTH_TIMEDOUT);
        CHECK(cth_now() >= deadline);
        p->seen.timeouts++;
    }
    return status == CTH_OK;
}

static cth_status give_in_duels(player *p) {
    group *g = p->group;
    for (unsigned step = 1; step <= STEPS; step++) {
        const int object = duel_object(step);
        if (object == ON_MUTEX) {
            CHECK_STATUS(cth_mutex_lock(&g->prize), CTH_OK);
        }
        const cth_time deadline = cth_after(CTH_US(20) + (cth_time)pick(p, 100000));
        // The system wakes a sleeper some 50 us after its deadline.
        const cth_time moment = deadline + (cth_time)pick(p, pick(p, 2) == 0 ? 120000 : 10000);
        g->deadline = deadline;
        atomic_store(&g->begun, step);
        at(p, "await the moment of a duel", NULL);
        while (cth_now() < moment) {
            if (step % 4 == 0) {
                cth_yield();
            }
        }
        duel_give(p, object);
        await_step(p, &g->timed, step);
        if (g->got_in_time && object != ON_MUTEX) { // a mutex was unlocked again by who got it
            duel_give(p, object);
        }
        await_step(p, &g->untimed, step);
    }
    return CTH_OK;
}

static cth_status duel_in_time(player *p) {
    group *g = p->group;
    for (unsigned step = 1; step <= STEPS; step++) {
        await_step(p, &g->begun, step);
        g->got_in_time = duel_take(p, duel_object(step), g->deadline);
        p->seen.duels++;
        atomic_store(&g->timed, step);
    }
    return CTH_OK;
}

static cth_status duel_for_ever(player *p) {
    group *g = p->group;
    for (unsigned step = 1; step <= STEPS; step++) {
        await_step(p, &g->begun, step);
        CHECK(duel_take(p, duel_object(step), CTH_FOREVER));
        atomic_store(&g->untimed, step);
    }
    return CTH_OK;
}

static cth_status take_in_duels(player *p) {
    return p->part == 0 ? duel_in_time(p) : duel_for_ever(p);
}

/* ------------------------------------------------------------------------------------------------
   Joins of short threads, with deadlines that often pass, or not joined at all.
   ------------------------------------------------------------------------------------------------
 */

typedef struct errand {
    cth_time span;
    cth_event *done;
} errand;

static cth_status run_errand(void *arg) {
    const errand *e = arg;
    CHECK_STATUS(cth_sleep(e->span), CTH_OK);
    CHECK_STATUS(cth_event_set(e->done), CTH_OK);
    return CTH_OK;
}

static cth_status join_threads(player *p) {
    for (int i = 0; i < STEPS / 4; i++) {
        cth_event done = CTH_EVENT_INIT;
        errand e = {(cth_time)pick(p, 300000), &done};
        cth_thread *thread = test_spawn(run_errand, &e);
        cth_status result = CTH_BROKEN;
        if (pick(p, 4) == 0) {
            CHECK_STATUS(cth_thread_detach(thread), CTH_OK);
            at(p, "wait for a detached thread", thread);
            CHECK_STATUS(cth_event_wait(&done), CTH_OK);
            cth_thread_release(thread);
            continue;
        }
        for (;;) {
            const cth_time deadline = pick(p, 3) == 0 ? CTH_FOREVER : soon(p);
            at(p, "join", thread);
            const cth_status status = cth_thread_join_until(thread, &result, deadline);
            if (status == CTH_OK) {
                break;
            }
            CHECK_STATUS(status, CTH_TIMEDOUT);
            CHECK(deadline != CTH_FOREVER && cth_now() >= deadline);
            p->seen.timeouts++;
        }
        CHECK_STATUS(result, CTH_OK);
        CHECK(cth_event_is_set(&done));
        CHECK_STATUS(cth_thread_join(thread, NULL), CTH_INVALID);
        cth_thread_release(thread);
        p->seen.joins++;
        use_mutex(p);
    }
    return CTH_OK;
}

/* ------------------------------------------------------------------------------------------------
   Rounds.
   ------------------------------------------------------------------------------------------------
 */

typedef enum kind {
    LOCKERS,
    PERMITS,
    HOLDERS,
    ITEMS,
    PASSERS,
    CANCELLED,
    JOINERS,
    DUELS,
    MEETERS,
    KINDS
} kind;

static cth_status play(void *arg) {
    player *p = arg;
    const cth_status status = p->play(p);
    at(p, NULL, NULL);
    return status;
}

/* Make a group of kind `k` out of players[first ..]; returns how many it took, at most `n`. */
static unsigned make_group(group *g, kind k, unsigned first, unsigned n, cth_rng *rng) {
    static cth_status (*const gives[KINDS])(player *) = {play_locks,   give_permits,  hold_permits,
                                                         put_items,    open_gates,    cancel_takers,
                                                         join_threads, give_in_duels, meet};
    static cth_status (*const takes[KINDS])(player *) = {play_locks,   take_permits,  hold_permits,
                                                         take_items,   pass_gates,    be_cancelled,
                                                         join_threads, take_in_duels, meet};
    const unsigned least = k == LOCKERS || k == JOINERS ? 1 : k == DUELS ? 3 : 2;
    const unsigned most = k == JOINERS ? 2 : k == DUELS ? 3 : 6;
    if (n < least) {
        return 0;
    }
    unsigned size = least + (unsigned)cth_rng_below(rng, most - least + 1);
    size = size < n ? size : n;
    const bool one_giver = k == PASSERS || k == CANCELLED || k == DUELS;
    memset(g, 0, sizeof *g);
    g->givers = one_giver || size < 2 ? 1 : 1 + (unsigned)cth_rng_below(rng, size - 1);
    g->takers = size - g->givers;
    g->n_members = size;
    if (k == MEETERS) {
        CHECK_STATUS(cth_barrier_init(&g->barrier, (int)size, NULL), CTH_OK);
        CHECK_STATUS(cth_latch_add(&g->latch, (int)size), CTH_OK);
    }
    if (k == HOLDERS) {
        g->holding_max = 1 + (int)cth_rng_below(rng, 3);
        CHECK_STATUS(cth_sem_init(&g->sem, g->holding_max, &(cth_sem_desc){.max = g->holding_max}),
                     CTH_OK);
    }
    for (unsigned i = 0; i < size; i++) {
        player *p = &players[first + i];
        const bool giver = i < g->givers;
        p->group = g;
        p->play = giver ? gives[k] : takes[k];
        p->part = giver ? i : i - g->givers;
        g->members[i] = p;
        CHECK_STATUS(cth_cancel_init(&p->token,
                                     k == CANCELLED && i > 0 ? &g->members[0]->token : NULL,
                                     CTH_FOREVER),
                     CTH_OK);
    }
    return size;
}

/* After a round nobody uses the group any more, and nothing is left over. */
static void check_group(group *g, kind k) {
    CHECK_EQ(g->put, g->got);
    CHECK_EQ(g->filled, 0);
    CHECK_EQ(atomic_load(&g->holding), 0);
    CHECK_EQ(cth_sem_value(&g->sem), k == HOLDERS ? g->holding_max : 0);
    if (k == HOLDERS) {
        CHECK_STATUS(cth_sem_release(&g->sem), CTH_OVERFLOW);
    }
    CHECK(!cth_mutex_is_locked(&g->mutex));
    for (unsigned i = 0; i < GATES; i++) {
        CHECK_EQ(cth_event_is_set(&g->gate[i]), k == PASSERS);
        CHECK_STATUS(cth_event_destroy(&g->gate[i]), CTH_OK);
    }
    CHECK_STATUS(cth_mutex_destroy(&g->mutex), CTH_OK);
    CHECK_STATUS(cth_mutex_destroy(&g->prize), CTH_OK);
    CHECK_EQ(cth_latch_count(&g->latch), 0);
    CHECK_STATUS(cth_latch_destroy(&g->latch), CTH_OK);
    CHECK_STATUS(cth_barrier_destroy(&g->barrier), CTH_OK);
    CHECK_STATUS(cth_cond_destroy(&g->not_empty), CTH_OK);
    CHECK_STATUS(cth_cond_destroy(&g->not_full), CTH_OK);
    CHECK_STATUS(cth_sem_destroy(&g->sem), CTH_OK);
    CHECK_STATUS(cth_event_destroy(&g->never), CTH_OK);
    for (unsigned i = g->n_members; i > 0; i--) { // children before their parent
        CHECK_STATUS(cth_cancel_destroy(&g->members[i - 1]->token), CTH_OK);
    }
}

static void run_round(unsigned threads, cth_rng *rng) {
    static cth_thread *started[MAX_THREADS];
    kind kinds[MAX_THREADS];
    unsigned n_groups = 0;
    for (unsigned used = 0; used < threads;) {
        const kind k = (kind)cth_rng_below(rng, KINDS);
        const unsigned n = make_group(&groups[n_groups], k, used, threads - used, rng);
        kinds[n_groups] = k;
        n_groups += n > 0;
        used += n;
    }
    for (unsigned i = 0; i < threads; i++) {
        cth_rng_seed(&players[i].rng, cth_rng_next(rng));
    }
    for (unsigned i = 0; i < threads; i++) {
        started[i] = test_spawn(play, &players[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        CHECK_STATUS(test_join(started[i]), CTH_OK);
    }
    for (unsigned i = 0; i < n_groups; i++) {
        check_group(&groups[i], kinds[i]);
    }
    for (unsigned l = 0; l < LOCKS; l++) {
        uint64_t entered = 0;
        for (unsigned i = 0; i < threads; i++) {
            entered += players[i].entered[l];
        }
        CHECK_EQ(shared[l].owner, 0);
        CHECK_EQ(shared[l].a, entered);
        CHECK_EQ(shared[l].b, entered);
        CHECK(!cth_mutex_is_locked(&shared[l].mutex));
    }
}

/* ------------------------------------------------------------------------------------------------
   The watchdog, a plain thread that calls nothing of the kit.
   ------------------------------------------------------------------------------------------------
 */

static atomic_uint n_rounds;

static void *watch(void *arg) {
    (void)arg;
    unsigned seen = 0;
    for (int idle = 0; idle < HANG_SECONDS * 10; idle++) {
        poll(NULL, 0, 100);
        if (atomic_load(&n_rounds) != seen) {
            seen = atomic_load(&n_rounds);
            idle = 0;
        }
    }
    fprintf(stderr, "stress_locks: seed %" PRIu64 ": round %u does not end\n", seed, seen);
    for (unsigned i = 0; i < n_threads; i++) {
        const char *doing = atomic_load(&players[i].doing);
        if (doing != NULL) {
            fprintf(stderr, "  player %u, step %u: %s %p\n", i, atomic_load(&players[i].steps),
                    doing, atomic_load(&players[i].object));
        }
    }
    for (unsigned l = 0; l < LOCKS; l++) {
        fprintf(stderr, "  mutex %p: word %x\n", (void *)&shared[l],
                cth__load(&shared[l].mutex.word, relaxed));
    }
    fflush(stderr);
    _Exit(3);
}

static void stress(double seconds) {
    cth_rng rng;
    cth_rng_seed(&rng, seed);
    pthread_t watchdog;
    CHECK_EQ(pthread_create(&watchdog, NULL, watch, NULL), 0);
    CHECK_EQ(pthread_detach(watchdog), 0);
    const size_t before = cth_thread_count();
    const cth_time end = cth_after(CTH_S(seconds));
    do {
        run_round(n_threads, &rng);
        atomic_fetch_add(&n_rounds, 1);
    } while (cth_now() < end);
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    CHECK_EQ(cth_thread_count(), before);
    tally all;
    memset(&all, 0, sizeof all);
    for (unsigned i = 0; i < n_threads; i++) {
        const tally *t = &players[i].seen;
        all.locks += t->locks;
        all.timeouts += t->timeouts;
        all.cancels += t->cancels;
        all.permits += t->permits;
        all.items += t->items;
        all.gates += t->gates;
        all.joins += t->joins;
        all.duels += t->duels;
    }
    printf("stress_locks: seed %" PRIu64 ", %u threads, %u rounds: %" PRIu64 " locks, %" PRIu64
           " permits, %" PRIu64 " items, %" PRIu64 " gates, %" PRIu64 " joins, %" PRIu64
           " duels, %" PRIu64 " timeouts, %" PRIu64 " cancels\n",
           seed, n_threads, atomic_load(&n_rounds), all.locks, all.permits, all.items, all.gates,
           all.joins, all.duels, all.timeouts, all.cancels);
    CHECK(all.locks > 0);
    CHECK_EQ(left_half, right_half);
    CHECK_EQ(atomic_load(&readers), 0);
    CHECK_STATUS(cth_rwlock_destroy(&rwlock), CTH_OK);
}

int main(int argc, char **argv) {
    stress(stress_options(argc, argv, "stress_locks", 4, MAX_THREADS));
    return EXIT_SUCCESS;
}
