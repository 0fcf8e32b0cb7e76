/* sim_scoped.c - locks that end with their block, under many schedules

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_mutex lock, second, third;
static cth_rmutex again;
static cth_rwlock rw;
static cth_sem one;
static cth_cancel token;
static int inside, total;

static void fresh(void) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_rmutex no_rmutex = CTH_RMUTEX_INIT;
    static const cth_rwlock no_rwlock = CTH_RWLOCK_INIT;
    static const cth_sem one_permit = CTH_SEM_INIT(1);
    lock = second = third = no_mutex;
    again = no_rmutex;
    rw = no_rwlock;
    one = one_permit;
    inside = total = 0;
    sim_begin();
}

static void critical(void) {
    CTH_SIM_CHECK(inside++ == 0);
    cth_yield();
    total++;
    inside--;
}

/* Leave the block in each way there is; the lock must be free for the others. */
static cth_status leaves_somehow(void *arg) {
    (void)arg;
    for (uint32_t way = 0; way < 3; way++) {
        CTH_WITH(&lock) {
            critical();
            if (way == 0) {
                break;
            }
            if (way == 1) {
                continue;
            }
            return CTH_OK;
        }
    }
    return CTH_FAILED;
}

static cth_status every_way_out(void *arg) {
    fresh();
    sim_together(leaves_somehow, arg, 3);
    CTH_SIM_CHECK(total == 9);
    CTH_SIM_CHECK(!cth_mutex_is_locked(&lock));
    return CTH_OK;
}

static cth_status uses_guards(void *arg) {
    (void)arg;
    CTH_GUARD(&again);
    {
        CTH_GUARD(&one);
        CTH_WITH(&again) {
            critical();
        }
    }
    CTH_WITH(&one) {
        critical();
    }
    return CTH_OK;
}

static cth_status guards(void *arg) {
    fresh();
    sim_together(uses_guards, arg, 3);
    CTH_SIM_CHECK(total == 6);
    CTH_SIM_CHECK(!cth_rmutex_is_locked(&again));
    CTH_SIM_CHECK(cth_sem_value(&one) == 1);
    return CTH_OK;
}

/* The acquisition of a block is not cancelled, not even of a semaphore. */
static cth_status enters_under_token(void *arg) {
    (void)arg;
    CTH_UNDER(&token) {
        CTH_WITH(&one) {
            critical();
        }
        CTH_WITH(&lock) {
            critical();
        }
    }
    return CTH_OK;
}

static cth_status never_cancelled(void *arg) {
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    CTH_WITH(&lock) {
        cth_thread *t = NULL;
        CTH_WITH(&one) {
            t = sim_spawn(enters_under_token, arg);
            CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
            cth_yield();
        }
        CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
        sim_join(t);
        CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK); // the block unlocks it
    }
    CTH_SIM_CHECK(total == 2 && cth_sem_value(&one) == 1);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

/* Locks named in any order, the same one twice: no deadlock. */
static cth_status locks_all(void *arg) {
    switch (*(int *)arg) {
    case 0: CTH_WITH_ALL(&lock, &second, &third) { critical();
        }
        break;
    case 1: CTH_WITH_ALL(&third, &lock, &third) { critical();
        }
        break;
    default: CTH_WITH_ALL(&second, &third, &rw, &lock) { critical();
        }
        break;
    }
    return CTH_OK;
}

static cth_status all_in_any_order(void *arg) {
    int which[] = {0, 1, 2};
    cth_thread *threads[3];
    (void)arg;
    fresh();
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(locks_all, &which[i]);
    }
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(total == 3);
    CTH_SIM_CHECK(!cth_mutex_is_locked(&lock) && !cth_mutex_is_locked(&third));
    return CTH_OK;
}

static struct { int from, to; } account;

/* A change of two fields that is rolled back half way: nobody sees half of it. */
static cth_status transfers(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_ATOMICALLY(&lock, &account) {
            CTH_SIM_CHECK(account.from + account.to == 100);
            account.from -= 40;
            cth_yield();
            if (account.from < 0) {
                CTH_ROLLBACK();
                break;
            }
            account.to += 40;
        }
    }
    return CTH_OK;
}

static cth_status rolled_back(void *arg) {
    fresh();
    account.from = 100;
    account.to = 0;
    sim_together(transfers, arg, 2);
    CTH_SIM_CHECK(account.from == 20 && account.to == 80);
    return CTH_OK;
}

#if CTH__HAS_THREADS_H
static mtx_t c11_lock;

static cth_status uses_c11_lock(void *arg) {
    (void)arg;
    CTH_WITH(&c11_lock) {
        critical();
    }
    return CTH_OK;
}

static cth_status c11_locks(void *arg) {
    fresh();
    CTH_SIM_CHECK(mtx_init(&c11_lock, mtx_plain) == thrd_success);
    sim_together(uses_c11_lock, arg, 3);
    CTH_SIM_CHECK(total == 3);
    mtx_destroy(&c11_lock);
    return CTH_OK;
}
#endif

/* Bug: an unlock by hand that one way out of the function misses, which a block would not. */
static cth_status unlocks_by_hand(void *arg) {
    (void)arg;
    if (planted) {
        CTH_SIM_CHECK(cth_mutex_lock(&lock) == CTH_OK);
        if (++total == 2) {
            return CTH_OK;
        }
        CTH_SIM_CHECK(cth_mutex_unlock(&lock) == CTH_OK);
    } else {
        CTH_WITH(&lock) {
            if (++total == 2) {
                return CTH_OK;
            }
        }
    }
    return CTH_OK;
}

static cth_status missed_unlock(void *arg) {
    fresh();
    sim_together(unlocks_by_hand, arg, 3);
    return CTH_OK;
}

/* Bug: two locks for one change, taken in nested blocks in two orders. */
static cth_status nests(void *arg) {
    const bool swapped = *(bool *)arg;
    if (planted) {
        CTH_WITH(swapped ? &second : &lock) {
            CTH_WITH(swapped ? &lock : &second) {
                critical();
            }
        }
    } else if (swapped) {
        CTH_WITH_ALL(&second, &lock) {
            critical();
        }
    } else {
        CTH_WITH_ALL(&lock, &second) {
            critical();
        }
    }
    return CTH_OK;
}

static cth_status nested_in_two_orders(void *arg) {
    bool swapped[] = {false, true};
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(nests, &swapped[0]);
    cth_thread *b = sim_spawn(nests, &swapped[1]);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

static void passes_every_way_out(void) {
    SIM_PASS(every_way_out, SIM_WAITS, 1200);
}
static void passes_guards(void) {
    SIM_PASS(guards, SIM_WAITS, 1200);
}
static void passes_never_cancelled(void) {
    SIM_PASS(never_cancelled, SIM_WAITS, 1500);
}
static void passes_all_in_any_order(void) {
    SIM_PASS(all_in_any_order, SIM_WAITS, 1500);
    SIM_PASS(all_in_any_order, SIM_ALL, 700);
}
static void passes_rolled_back(void) {
    SIM_PASS(rolled_back, SIM_WAITS, 1500);
}
#if CTH__HAS_THREADS_H
static void passes_c11_locks(void) {
    SIM_PASS(c11_locks, SIM_WAITS, 1000);
}
#endif
static void finds_missed_unlock(void) {
    SIM_FOUND(missed_unlock, 0, "lock left");
}
static void finds_nesting_in_two_orders(void) {
    SIM_FOUND(nested_in_two_orders, 0, "deadlock");
}

static const test_case tests[] = {
    TEST(passes_every_way_out),   TEST(passes_guards),
    TEST(passes_never_cancelled), TEST(passes_all_in_any_order),
    TEST(passes_rolled_back),
#if CTH__HAS_THREADS_H
    TEST(passes_c11_locks),
#endif
    TEST(finds_missed_unlock),    TEST(finds_nesting_in_two_orders),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
