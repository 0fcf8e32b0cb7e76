/* sim_mutex.c - the mutex under many schedules, and bugs of mutexes that must be found

   With the argument `rate` it prints how many schedules a second this machine runs.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_mutex lock;
static cth_mutex other;
static int inside;  // threads in the critical section
static int total;   // changed under the lock, in two steps
static int holders; // who got the lock in all

static void fresh(void) {
    static const cth_mutex zero = CTH_MUTEX_INIT;
    lock = zero;
    other = zero;
    inside = total = holders = 0;
    sim_begin();
}

/* The critical section: alone in it from begin to end, with chances to be interrupted. */
static void critical(void) {
    CTH_SIM_CHECK(inside == 0);
    inside++;
    const int seen = total;
    cth_yield();
    total = seen + 1;
    CTH_SIM_CHECK(inside == 1);
    inside--;
    holders++;
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status twice(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
        critical();
        CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status exclusion(void *arg) {
    (void)arg;
    fresh();
    sim_together(twice, NULL, 3);
    CTH_SIM_CHECK(total == 6);
    CTH_SIM_CHECK(!cth_mutex_is_locked(&lock));
    CTH_SIM_CHECK(cth_mutex_destroy(&lock) == CTH_OK);
    return CTH_OK;
}

static cth_status sometimes(void *arg) {
    int *got = (int *)arg;
    for (int i = 0; i < 2; i++) {
        const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
        const cth_status status = cth_mutex_lock_until(&lock, deadline);
        if (status == CTH_OK) {
            critical();
            CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
            ++*got; // before any other thread can run
        } else {
            CTH_SIM_CHECK(status == CTH_TIMEDOUT);
            CTH_SIM_CHECK(cth_now() >= deadline);
            CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_NOT_OWNER);
        }
    }
    return CTH_OK;
}

static cth_status timed_lockers(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    sim_together(sometimes, &got, 3);
    CTH_SIM_CHECK(total == got && holders == got);
    CTH_SIM_CHECK(!cth_mutex_is_locked(&lock));
    CTH_SIM_CHECK(cth_mutex_destroy(&lock) == CTH_OK);
    return CTH_OK;
}

static cth_status once(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    critical();
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    return CTH_OK;
}

static cth_status once_until(void *arg) {
    (void)arg;
    const cth_status status = cth_mutex_lock_until(&lock, sim_soon());
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    if (status == CTH_OK) {
        critical();
        CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    }
    return CTH_OK;
}

/* An unlock meets a waiter whose deadline passes; the other waiter must not be forgotten. */
static cth_status unlock_meets_timeout(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    cth_thread *patient = sim_spawn(once, NULL);
    cth_thread *hasty = sim_spawn(once_until, NULL);
    for (uint32_t n = cth_sim_choose(6); n > 0; n--) {
        cth_yield();
    }
    critical();
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    sim_join(patient);
    sim_join(hasty);
    CTH_SIM_CHECK(total == 2 || total == 3);
    return CTH_OK;
}

struct counted {
    cth_mutex mutex;
    int users;
};

/* The last user gives the memory away at once; the unlock before it may not have returned yet. */
static cth_status use_and_free(void *arg) {
    struct counted *c = (struct counted *)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&c->mutex) == CTH_OK);
    const bool last = --c->users == 0;
    CTH_SIM_CHECK(cth_mutex_unlock(&c->mutex) == CTH_OK);
    if (last) {
        sim_gone(c, sizeof *c);
    }
    return CTH_OK;
}

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

static bool stop;

static cth_status hog(void *arg) {
    (void)arg;
    int others = 0;
    while (!stop) {
        CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
        const int before = holders;
        cth_yield();
        CTH_SIM_CHECK(holders == before);
        CTH_SIM_CHECK(++others < 1000);
        CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status modest(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    holders++;
    stop = true;
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    return CTH_OK;
}

/* One thread locks again and again; the other gets its turn all the same. */
static cth_status bounded_overtaking(void *arg) {
    (void)arg;
    fresh();
    stop = false;
    cth_thread *a = sim_spawn(hog, NULL);
    cth_thread *b = sim_spawn(modest, NULL);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

static cth_status misuser(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_mutex_try_lock(&lock) == CTH_BUSY);
    CTH_SIM_CHECK(cth_mutex_destroy(&lock) == CTH_BUSY);
    return CTH_OK;
}

/* Calls that must fail do not disturb the owner nor one who waits. */
static cth_status misuse(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    cth_thread *waiter = sim_spawn(once, NULL);
    cth_thread *wrong = sim_spawn(misuser, NULL);
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_DEADLOCK);
    CTH_SIM_CHECK(cth_mutex_try_lock(&lock) == CTH_BUSY);
    CTH_SIM_CHECK(cth_mutex_lock_until(&lock, -1) == CTH_INVALID);
    sim_join(wrong);
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    sim_join(waiter);
    CTH_SIM_CHECK(total == 1);
    return CTH_OK;
}

static void passes_exclusion(void) {
    SIM_PASS(exclusion, SIM_WAITS, 1500);
    SIM_PASS(exclusion, SIM_ALL, 1500);
}
static void passes_timed_lockers(void) {
    SIM_PASS(timed_lockers, SIM_WAITS, 2500);
}
static void passes_unlock_meets_timeout(void) {
    SIM_PASS(unlock_meets_timeout, SIM_WAITS, 5000);
}
static void passes_freed_after_unlock(void) {
    SIM_PASS(freed_after_unlock, SIM_WAITS, 2500);
    SIM_PASS(freed_after_unlock, SIM_ALL, 1000);
}
static void passes_bounded_overtaking(void) {
    SIM_PASS(bounded_overtaking, CTH_SIM_SPURIOUS, 2500);
}
static void passes_misuse(void) {
    SIM_PASS(misuse, SIM_WAITS, 1500);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

// A lock of one word: 0 free, 1 held, 2 held and somebody may sleep. A sleeper needs a ticket to go
// on, since a wake of the simulator ends all sleeps on a word and one of the system only one.
static cth__word word, tickets;

static void word_lock(void) {
    uint32_t found = 0;
    if (cth__cas(&word, &found, 1, acquire, relaxed)) {
        return;
    }
    while (cth__swap(&word, 2, acquire) != 0) {
        uint32_t ticket = cth__load(&tickets, relaxed);
        while (ticket == 0 || !cth__cas(&tickets, &ticket, ticket - 1, relaxed, relaxed)) {
            cth__wait_on(NULL, &tickets, 0, CTH_FOREVER);
            ticket = cth__load(&tickets, relaxed);
        }
        found = 0;
        if (planted && cth__cas(&word, &found, 1, acquire, relaxed)) {
            return;
        }
    }
}

static void word_unlock(void) {
    if (cth__swap(&word, 0, release) == 2) {
        (void)cth__add(&tickets, 1, relaxed);
        cth__wake_on(NULL, &tickets);
    }
}

static void word_fresh(void) {
    fresh();
    atomic_init(&word, 0);
    atomic_init(&tickets, 0);
}

/* Bug: after its sleep a waiter takes the lock with the mark "nobody sleeps", though others may.
   Stands for lost wake-ups in hand-written futex locks. */
static cth_status word_user(void *arg) {
    (void)arg;
    word_lock();
    critical();
    word_unlock();
    return CTH_OK;
}

static cth_status forgets_the_mark(void *arg) {
    (void)arg;
    word_fresh();
    sim_together(word_user, NULL, 3);
    return CTH_OK;
}

/* Bug: looks whether the lock is free, then takes it, in two steps. Stands for check-then-act. */
static cth_status check_then_act_user(void *arg) {
    (void)arg;
    uint32_t found = 0;
    if (planted) {
        while (cth__load(&word, acquire) != 0) {
            cth_yield();
        }
        cth__store(&word, 1, relaxed);
    } else {
        while (!cth__cas(&word, &found, 1, acquire, relaxed)) {
            found = 0;
            cth_yield();
        }
    }
    critical();
    cth__store(&word, 0, release);
    return CTH_OK;
}

static cth_status check_then_act(void *arg) {
    (void)arg;
    word_fresh();
    sim_together(check_then_act_user, NULL, 2);
    return CTH_OK;
}

/* Bug: reads, then writes a number without a lock. Stands for every lost update. */
static cth_status adder(void *arg) {
    (void)arg;
    if (planted) {
        const uint32_t seen = cth__load(&word, relaxed);
        cth__store(&word, seen + 1, relaxed);
    } else {
        (void)cth__add(&word, 1, relaxed);
    }
    return CTH_OK;
}

static cth_status lost_update(void *arg) {
    (void)arg;
    word_fresh();
    sim_together(adder, NULL, 2);
    CTH_SIM_CHECK(atomic_load(&word) == 2);
    return CTH_OK;
}

/* Bug: two locks in two orders. */
static cth_status locks_both(void *arg) {
    const bool swapped = planted && *(bool *)arg;
    CTH_WITH(swapped ? &other : &lock) {
        CTH_WITH(swapped ? &lock : &other) {
            total++;
        }
    }
    return CTH_OK;
}

static cth_status lock_order(void *arg) {
    bool swapped[] = {false, true};
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(locks_both, &swapped[0]);
    cth_thread *b = sim_spawn(locks_both, &swapped[1]);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: the flag of a double-checked initialisation is set before the value it stands for. */
static cth__word made, value;

static cth_status lazy_user(void *arg) {
    (void)arg;
    if (cth__load(&made, acquire) == 0) {
        CTH_WITH(&lock) {
            if (planted) {
                cth__store(&made, 1, release);
            }
            cth__store(&value, 42, relaxed);
            cth__store(&made, 1, release);
        }
    }
    CTH_SIM_CHECK(cth__load(&value, relaxed) == 42);
    return CTH_OK;
}

static cth_status flag_before_value(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&made, 0);
    atomic_init(&value, 0);
    sim_together(lazy_user, NULL, 2);
    return CTH_OK;
}

/* Bug: the unlock still reads the lock's memory after it has let the next owner in, who may have
   given the memory away. Stands for use after free in unlock and in reference counts. */
static cth_status late_read_user(void *arg) {
    struct counted *c = (struct counted *)arg;
    uint32_t found = 0;
    while (!cth__cas(&c->mutex.word, &found, 1, acquire, relaxed)) {
        cth_yield();
        found = 0;
    }
    const bool last = --c->users == 0;
    cth__store(&c->mutex.word, 0, release);
    if (planted && !last) {
        CTH_SIM_CHECK(cth__load(&c->mutex.word, relaxed) <= 1);
    }
    if (last) {
        memset(c, 0xdd, sizeof *c);
    }
    return CTH_OK;
}

static cth_status reads_after_unlock(void *arg) {
    static struct counted c;
    (void)arg;
    fresh();
    memset(&c, 0, sizeof c);
    c.users = 2;
    sim_together(late_read_user, &c, 2);
    return CTH_OK;
}

/* Bug: a thread forgets to unlock on one of its ways out. */
static cth_status early_return_user(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
    if (++total == 2 && planted) {
        return CTH_OK;
    }
    CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    return CTH_OK;
}

static cth_status never_unlocked(void *arg) {
    (void)arg;
    fresh();
    sim_together(early_return_user, NULL, 3);
    return CTH_OK;
}

static void finds_forgotten_mark(void) {
    SIM_FOUND(forgets_the_mark, 0, "deadlock");
}
static void finds_check_then_act(void) {
    SIM_FOUND(check_then_act, 0, "check");
}
static void finds_lost_update(void) {
    SIM_FOUND(lost_update, 0, "check");
}
static void finds_lock_order(void) {
    SIM_FOUND(lock_order, 0, "deadlock");
}
static void finds_flag_before_value(void) {
    SIM_FOUND(flag_before_value, 0, "check");
}
static void finds_read_after_unlock(void) {
    SIM_FOUND(reads_after_unlock, 0, "check");
}
static void finds_missing_unlock(void) {
    SIM_FOUND(never_unlocked, 0, "lock left");
}

/* -- how fast -----------------------------------------------------------------------------------
 */

static int print_rate(void) {
    cth_sim_report report;
    const cth_sim_desc desc = {.name = "exclusion", .schedules = 10000, .report = &report};
    struct timespec begin, end;
    timespec_get(&begin, TIME_UTC);
    if (cth_sim_run(&desc, exclusion, NULL) != CTH_OK) {
        return EXIT_FAILURE;
    }
    timespec_get(&end, TIME_UTC);
    const double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%.0f schedules/s, %.0f steps/s\n", (double)report.schedules / seconds,
           (double)report.steps / seconds);
    return EXIT_SUCCESS;
}

static const test_case tests[] = {
    TEST(passes_exclusion),
    TEST(passes_timed_lockers),
    TEST(passes_unlock_meets_timeout),
    TEST(passes_freed_after_unlock),
    TEST(passes_bounded_overtaking),
    TEST(passes_misuse),
    TEST(finds_forgotten_mark),
    TEST(finds_check_then_act),
    TEST(finds_lost_update),
    TEST(finds_lock_order),
    TEST(finds_flag_before_value),
    TEST(finds_read_after_unlock),
    TEST(finds_missing_unlock),
};

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "rate") == 0) {
        return print_rate();
    }
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
