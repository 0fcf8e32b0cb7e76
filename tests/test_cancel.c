/* test_cancel.c - cancel tokens: the tree, deadlines, reasons, waits that end, signals

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, DEPTH = 100 };

static void init(cth_cancel *token, cth_cancel *parent) {
    CHECK_STATUS(cth_cancel_init(token, parent, CTH_FOREVER), CTH_OK);
}

static void destroy(cth_cancel *token) {
    CHECK_STATUS(cth_cancel_destroy(token), CTH_OK);
}

static void request(cth_cancel *token) {
    CHECK_STATUS(cth_cancel_request(token, NULL), CTH_OK);
}

static void is_live(const cth_cancel *token) {
    CHECK_STATUS(cth_cancel_status(token), CTH_OK);
    CHECK(cth_cancel_reason(token) == NULL);
}

static void is_cancelled(const cth_cancel *token, const char *reason) {
    CHECK_STATUS(cth_cancel_status(token), CTH_CANCELLED);
    CHECK_STR(cth_cancel_reason(token), reason);
}

static cth_cancel static_token = CTH_CANCEL_INIT;
static cth_cancel zeroed_token;

static void starts_live(void) {
    cth_cancel cleared, made;
    memset(&cleared, 0, sizeof cleared);
    memset(&made, 0xAA, sizeof made);
    init(&made, NULL);
    cth_cancel *all[] = {&static_token, &zeroed_token, &cleared, &made};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        is_live(all[i]);
        request(all[i]);
        is_cancelled(all[i], "cancelled");
        destroy(all[i]);
    }
}

static void the_first_reason_stays(void) {
    cth_cancel token;
    init(&token, NULL);
    CHECK_STATUS(cth_cancel_request(&token, "first"), CTH_OK);
    is_cancelled(&token, "first");
    CHECK_STATUS(cth_cancel_request(&token, "second"), CTH_OK);
    request(&token);
    is_cancelled(&token, "first");
    destroy(&token);
}

static void the_reason_is_not_copied(void) {
    static const char reason[] = "the very pointer";
    cth_cancel token;
    init(&token, NULL);
    CHECK_STATUS(cth_cancel_request(&token, reason), CTH_OK);
    CHECK(cth_cancel_reason(&token) == reason);
    destroy(&token);
}

static void begins_again_after_destroy(void) {
    cth_cancel token;
    for (int i = 0; i < 3; i++) {
        init(&token, NULL);
        is_live(&token);
        request(&token);
        destroy(&token);
    }
}

static void cancels_all_below(void) {
    cth_cancel root, a, b, a1, a2;
    init(&root, NULL);
    init(&a, &root);
    init(&b, &root);
    init(&a1, &a);
    init(&a2, &a);
    CHECK_STATUS(cth_cancel_request(&a, "branch"), CTH_OK);
    is_cancelled(&a, "branch");
    is_cancelled(&a1, "branch");
    is_cancelled(&a2, "branch");
    is_live(&root); // neither above
    is_live(&b);    // nor beside
    CHECK_STATUS(cth_cancel_request(&root, "all"), CTH_OK);
    is_cancelled(&root, "all");
    is_cancelled(&b, "all");
    is_cancelled(&a1, "branch"); // the first reason stays
    destroy(&a1);
    destroy(&a2);
    destroy(&a);
    destroy(&b);
    destroy(&root);
}

static void deep_and_wide(void) {
    static cth_cancel token[DEPTH];
    for (int wide = 0; wide < 2; wide++) {
        init(&token[0], NULL);
        for (int i = 1; i < DEPTH; i++) {
            init(&token[i], &token[wide ? 0 : i - 1]);
        }
        request(&token[0]);
        for (int i = 0; i < DEPTH; i++) {
            is_cancelled(&token[i], "cancelled");
        }
        for (int i = DEPTH - 1; i >= 0; i--) {
            destroy(&token[i]);
        }
    }
}

static void below_a_cancelled_parent_it_is_born_cancelled(void) {
    cth_cancel parent, child, grandchild;
    init(&parent, NULL);
    CHECK_STATUS(cth_cancel_request(&parent, "too late"), CTH_OK);
    init(&child, &parent);
    is_cancelled(&child, "too late");
    init(&grandchild, &child);
    is_cancelled(&grandchild, "too late");
    destroy(&grandchild);
    destroy(&child);
    destroy(&parent);
}

static void destroy_with_children_is_busy(void) {
    cth_cancel parent, a, b;
    init(&parent, NULL);
    init(&a, &parent);
    init(&b, &parent);
    CHECK_STATUS(cth_cancel_destroy(&parent), CTH_BUSY);
    destroy(&a);
    CHECK_STATUS(cth_cancel_destroy(&parent), CTH_BUSY);
    is_live(&parent);
    CHECK_STATUS(cth_cancel_request(&parent, "still works"), CTH_OK);
    is_cancelled(&b, "still works");
    CHECK_STATUS(cth_cancel_destroy(&parent), CTH_BUSY);
    destroy(&b);
    destroy(&parent);
}

static void children_leave_in_any_order(void) {
    static const int orders[3][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}};
    for (int k = 0; k < 3; k++) {
        cth_cancel parent, child[3];
        init(&parent, NULL);
        for (int i = 0; i < 3; i++) {
            init(&child[i], &parent);
        }
        for (int i = 0; i < 3; i++) {
            destroy(&child[orders[k][i]]);
            memset(&child[orders[k][i]], 0xEE, sizeof child[0]);
        }
        request(&parent);
        destroy(&parent);
    }
}

static void init_refuses_negative_deadlines(void) {
    static const cth_time bad[] = {-1, INT64_MIN, -CTH_S(1)};
    cth_cancel parent, token;
    init(&parent, NULL);
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        CHECK_STATUS(cth_cancel_init(&token, NULL, bad[i]), CTH_INVALID);
        CHECK_STATUS(cth_cancel_init(&token, &parent, bad[i]), CTH_INVALID);
    }
    CHECK_STATUS(cth_cancel_init(&token, NULL, cth_after(-1)), CTH_INVALID);
    destroy(&parent); // it has got no child
}

static void the_deadline_cancels(void) {
    cth_cancel token;
    const cth_time deadline = cth_after(CTH_MS(20));
    CHECK_STATUS(cth_cancel_init(&token, NULL, deadline), CTH_OK);
    for (;;) {
        const cth_status status = cth_cancel_status(&token);
        if (status != CTH_OK) {
            break;
        }
        cth_yield();
    }
    CHECK(cth_now() >= deadline);
    is_cancelled(&token, "deadline passed");
    CHECK_STATUS(cth_cancel_request(&token, "too late"), CTH_OK);
    is_cancelled(&token, "deadline passed");
    destroy(&token);
}

static void past_deadlines(void) {
    const cth_time past[] = {0, 1, cth_now()};
    for (size_t i = 0; i < TEST_COUNT(past); i++) {
        cth_cancel token, child;
        CHECK_STATUS(cth_cancel_init(&token, NULL, past[i]), CTH_OK);
        is_cancelled(&token, "deadline passed");
        init(&child, &token);
        is_cancelled(&child, "deadline passed");
        destroy(&child);
        destroy(&token);
    }
}

static void far_deadlines(void) {
    const cth_time far[] = {cth_after(CTH_S(3600)), INT64_C(1) << 62, INT64_MAX - 1,
                            cth_after(INT64_MAX), CTH_FOREVER};
    for (size_t i = 0; i < TEST_COUNT(far); i++) {
        cth_cancel token;
        CHECK_STATUS(cth_cancel_init(&token, NULL, far[i]), CTH_OK);
        is_live(&token);
        request(&token);
        is_cancelled(&token, "cancelled");
        destroy(&token);
    }
}

static void the_least_deadline_of_the_ancestors_counts(void) {
    cth_cancel root, child, grandchild, early;
    const cth_time deadline = cth_after(CTH_MS(20));
    CHECK_STATUS(cth_cancel_init(&root, NULL, deadline), CTH_OK);
    CHECK_STATUS(cth_cancel_init(&child, &root, cth_after(CTH_S(3600))), CTH_OK);
    init(&grandchild, &child);
    CHECK_STATUS(cth_cancel_init(&early, &root, 1), CTH_OK);
    CHECK_STATUS(cth_cancel_status(&early), CTH_CANCELLED); // its own is earlier
    CTH_UNDER(&grandchild) {
        CHECK_STATUS(cth_sleep_until(CTH_FOREVER), CTH_CANCELLED);
    }
    CHECK(cth_now() >= deadline);
    CHECK_STATUS(cth_cancel_status(&grandchild), CTH_CANCELLED);
    CHECK_STATUS(cth_cancel_status(&child), CTH_CANCELLED);
    CHECK_STATUS(cth_cancel_status(&root), CTH_CANCELLED);
    CHECK_STR(cth_cancel_reason(&grandchild), "deadline passed");
    destroy(&early);
    destroy(&grandchild);
    destroy(&child);
    destroy(&root);
}

/* ---- binding a token to a thread ---- */

static void under_binds_and_restores(void) {
    cth_cancel a, b;
    init(&a, NULL);
    init(&b, &a);
    CHECK(cth_cancel_current() == NULL);
    CHECK_STATUS(cth_cancel_status(NULL), CTH_OK);
    int times = 0;
    CTH_UNDER(&a) {
        times++;
        CHECK(cth_cancel_current() == &a);
        CTH_UNDER(&b) {
            CHECK(cth_cancel_current() == &b);
            CTH_SHIELDED {
                CHECK(cth_cancel_current() == NULL);
                CTH_UNDER(&a) {
                    CHECK(cth_cancel_current() == &a);
                }
                CHECK(cth_cancel_current() == NULL);
            }
            CHECK(cth_cancel_current() == &b);
        }
        CHECK(cth_cancel_current() == &a);
    }
    CHECK_EQ(times, 1);
    CHECK(cth_cancel_current() == NULL);
    destroy(&b);
    destroy(&a);
}

static void status_of_null_asks_for_the_bound_one(void) {
    cth_cancel token;
    init(&token, NULL);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_cancel_status(NULL), CTH_OK);
        request(&token);
        CHECK_STATUS(cth_cancel_status(NULL), CTH_CANCELLED);
        CTH_SHIELDED {
            CHECK_STATUS(cth_cancel_status(NULL), CTH_OK);
        }
    }
    CHECK_STATUS(cth_cancel_status(NULL), CTH_OK);
    destroy(&token);
}

static int leave_by_return(cth_cancel *token) {
    CTH_UNDER(token) {
        if (cth_cancel_current() == token) {
            return 7;
        }
    }
    return 0;
}

static void under_restores_however_it_is_left(void) {
    cth_cancel outer, token;
    init(&outer, NULL);
    init(&token, NULL);
    CTH_UNDER(&outer) {
        CTH_UNDER(&token) {
            if (cth_cancel_current() == &token) {
                break;
            }
            CHECK(false);
        }
        CHECK(cth_cancel_current() == &outer);
        CTH_UNDER(&token) {
            if (cth_cancel_current() == &token) {
                continue;
            }
            CHECK(false);
        }
        CHECK(cth_cancel_current() == &outer);
        CHECK_EQ(leave_by_return(&token), 7);
        CHECK(cth_cancel_current() == &outer);
        CTH_UNDER(&token) {
            CTH_SHIELDED {
                goto out;
            }
        }
        CHECK(false);
    out:
        CHECK(cth_cancel_current() == &outer);
    }
    CHECK(cth_cancel_current() == NULL);
    destroy(&token);
    destroy(&outer);
}

static cth_status has_token(void *arg) {
    CHECK(cth_cancel_current() == (cth_cancel *)arg);
    return CTH_OK;
}

static void threads_get_the_token_of_their_description(void) {
    cth_cancel token;
    init(&token, NULL);
    cth_thread *thread;
    CTH_UNDER(&token) {
        CHECK_STATUS(test_join(test_spawn(has_token, NULL)), CTH_OK); // it is not inherited
    }
    CHECK_STATUS(cth_thread_spawn(&thread, has_token, &token, &(cth_thread_desc){.cancel = &token}),
                 CTH_OK);
    CHECK_STATUS(test_join(thread), CTH_OK);
    destroy(&token);
}

/* ---- every call that waits ---- */

static cth_mutex shared_mutex;
static cth_cond never_notified;
static cth_sem empty_sem;
static cth_event never_set, thread_end;
static cth_thread *running;

static cth_status waits_for_end(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_event_wait(&thread_end), CTH_OK);
    return CTH_OK;
}

static cth_status sleep_far(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    return cth_sleep(CTH_S(3600));
}

static cth_status sleep_until(void *object, cth_time deadline) {
    (void)object;
    return cth_sleep_until(deadline);
}

static cth_status sem_acquire(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    return cth_sem_acquire(&empty_sem);
}

static cth_status sem_acquire_until(void *object, cth_time deadline) {
    (void)object;
    return cth_sem_acquire_until(&empty_sem, deadline);
}

static cth_status event_wait(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    return cth_event_wait(&never_set);
}

static cth_status event_wait_until(void *object, cth_time deadline) {
    (void)object;
    return cth_event_wait_until(&never_set, deadline);
}

static cth_status cond_wait(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    CHECK_STATUS(cth_mutex_lock(&shared_mutex), CTH_OK);
    cth_status status = CTH_OK;
    while (status == CTH_OK) {
        status = cth_cond_wait(&never_notified, &shared_mutex);
    }
    CHECK_STATUS(cth_mutex_unlock(&shared_mutex), CTH_OK); // it was held
    return status;
}

static cth_status cond_wait_until(void *object, cth_time deadline) {
    (void)object;
    CHECK_STATUS(cth_mutex_lock(&shared_mutex), CTH_OK);
    cth_status status = CTH_OK;
    while (status == CTH_OK) {
        status = cth_cond_wait_until(&never_notified, &shared_mutex, deadline);
    }
    CHECK_STATUS(cth_mutex_unlock(&shared_mutex), CTH_OK);
    return status;
}

static cth_status cond_wait_while(void *object, cth_time deadline) {
    (void)object;
    CHECK_STATUS(cth_mutex_lock(&shared_mutex), CTH_OK);
    const cth_status status =
        CTH_WAIT_WHILE(&never_notified, &shared_mutex, cth_now() >= 0, deadline);
    CHECK_STATUS(cth_mutex_unlock(&shared_mutex), CTH_OK);
    return status;
}

static cth_status thread_join(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    return cth_thread_join(running, NULL);
}

static cth_status thread_join_until(void *object, cth_time deadline) {
    (void)object;
    return cth_thread_join_until(running, NULL, deadline);
}

static const struct {
    const char *name;
    test_wait_fn wait;
} waits[] = {
    {"sleep", sleep_far},
    {"sleep_until", sleep_until},
    {"sem_acquire", sem_acquire},
    {"sem_acquire_until", sem_acquire_until},
    {"event_wait", event_wait},
    {"event_wait_until", event_wait_until},
    {"cond_wait", cond_wait},
    {"cond_wait_until", cond_wait_until},
    {"CTH_WAIT_WHILE", cond_wait_while},
    {"thread_join", thread_join},
    {"thread_join_until", thread_join_until},
};

static void running_start(void) {
    memset(&thread_end, 0, sizeof thread_end);
    running = test_spawn(waits_for_end, NULL);
}

static void running_end(void) {
    cth_event_set(&thread_end);
    CHECK_STATUS(test_join(running), CTH_OK);
}

static void each_wait_ends_when_cancelled(void) {
    running_start();
    for (size_t i = 0; i < TEST_COUNT(waits); i++) {
        cth_cancel token;
        init(&token, NULL);
        test_waiter w = {.token = &token};
        test_waiter_start(&w, waits[i].wait, NULL, CTH_FOREVER);
        test_waiter_asleep(&w);
        CHECK_EQ(atomic_load(&w.done), 0);
        request(&token);
        CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
        destroy(&token);
    }
    running_end();
}

static void each_wait_ends_when_an_ancestor_is_cancelled(void) {
    running_start();
    cth_cancel root, middle, token[TEST_COUNT(waits)];
    test_waiter w[TEST_COUNT(waits)];
    memset(w, 0, sizeof w);
    init(&root, NULL);
    init(&middle, &root);
    for (size_t i = 0; i < TEST_COUNT(waits); i++) {
        init(&token[i], &middle);
        w[i].token = &token[i];
        test_waiter_start(&w[i], waits[i].wait, NULL, cth_after(CTH_S(3600)));
    }
    for (size_t i = 0; i < TEST_COUNT(waits); i++) {
        test_waiter_asleep(&w[i]);
    }
    request(&root); // all at once
    for (size_t i = 0; i < TEST_COUNT(waits); i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_CANCELLED);
        destroy(&token[i]);
    }
    destroy(&middle);
    destroy(&root);
    running_end();
}

static void no_wait_begins_when_cancelled(void) {
    running_start();
    cth_cancel token;
    init(&token, NULL);
    request(&token);
    for (size_t i = 0; i < TEST_COUNT(waits); i++) {
        CTH_UNDER(&token) {
            CHECK_STATUS(waits[i].wait(NULL, CTH_FOREVER), CTH_CANCELLED);
        }
    }
    destroy(&token);
    running_end();
}

static void each_wait_ends_at_the_token_s_deadline(void) {
    running_start();
    test_waiter w[TEST_COUNT(waits)];
    cth_cancel token[TEST_COUNT(waits)];
    cth_time deadline[TEST_COUNT(waits)];
    memset(w, 0, sizeof w);
    for (size_t i = 0; i < TEST_COUNT(waits); i++) {
        deadline[i] = cth_after(CTH_MS(20));
        CHECK_STATUS(cth_cancel_init(&token[i], NULL, deadline[i]), CTH_OK);
        w[i].token = &token[i];
        test_waiter_start(&w[i], waits[i].wait, NULL, cth_after(CTH_S(3600)));
    }
    for (size_t i = 0; i < TEST_COUNT(waits); i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_CANCELLED);
        CHECK(w[i].ended >= deadline[i]);
        CHECK_STR(cth_cancel_reason(&token[i]), "deadline passed");
        destroy(&token[i]);
    }
    running_end();
}

static void the_wait_s_own_deadline_comes_first(void) {
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, cth_after(CTH_S(3600))), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(event_wait_until(NULL, cth_after(CTH_MS(2))), CTH_TIMEDOUT);
        CHECK_STATUS(sem_acquire_until(NULL, cth_after(CTH_MS(2))), CTH_TIMEDOUT);
        CHECK_STATUS(cond_wait_until(NULL, cth_after(CTH_MS(2))), CTH_TIMEDOUT);
        CHECK_STATUS(cth_sleep(CTH_MS(2)), CTH_OK);
    }
    is_live(&token);
    destroy(&token);
}

static void shielded_waits_are_not_cancelled(void) {
    running_start();
    cth_cancel token;
    init(&token, NULL);
    request(&token);
    CTH_UNDER(&token) {
        CTH_SHIELDED {
            const cth_time deadline = cth_after(CTH_MS(5));
            CHECK_STATUS(cth_sleep(CTH_MS(2)), CTH_OK);
            CHECK_STATUS(sem_acquire_until(NULL, deadline), CTH_TIMEDOUT);
            CHECK_STATUS(event_wait_until(NULL, deadline), CTH_TIMEDOUT);
            CHECK_STATUS(cond_wait_until(NULL, deadline), CTH_TIMEDOUT);
            CHECK_STATUS(thread_join_until(NULL, deadline), CTH_TIMEDOUT);
        }
    }
    destroy(&token);
    running_end();
}

static cth_status ends_at_once(void *arg) {
    (void)arg;
    return CTH_OK;
}

static void what_need_not_wait_succeeds(void) {
    cth_cancel token;
    cth_sem sem = CTH_SEM_INIT(3);
    cth_event event = CTH_EVENT_INIT;
    cth_event_set(&event);
    cth_thread *thread = test_spawn(ends_at_once, NULL);
    while (cth_thread_is_alive(thread)) {
        cth_yield();
    }
    init(&token, NULL);
    request(&token);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_sem_acquire(&sem), CTH_OK);
        CHECK_STATUS(cth_sem_acquire_until(&sem, cth_after(CTH_S(1))), CTH_OK);
        CHECK_STATUS(cth_sem_try_acquire(&sem), CTH_OK);
        CHECK_STATUS(cth_sem_try_acquire(&sem), CTH_BUSY);
        CHECK_STATUS(cth_event_wait(&event), CTH_OK);
        CHECK_STATUS(cth_event_wait_until(&event, 0), CTH_OK);
        CHECK_STATUS(cth_thread_join(thread, NULL), CTH_OK);
    }
    cth_thread_release(thread);
    destroy(&token);
}

static void a_cancelled_wait_consumes_nothing(void) {
    cth_cancel token;
    cth_sem sem = CTH_SEM_INIT(0);
    for (int i = 0; i < 50; i++) {
        init(&token, NULL);
        CTH_UNDER(&token) {
            request(&token);
            CHECK_STATUS(cth_sem_acquire(&sem), CTH_CANCELLED);
        }
        cth_sem_release(&sem);
        CHECK_EQ(cth_sem_value(&sem), 1);
        CHECK_STATUS(cth_sem_try_acquire(&sem), CTH_OK);
        destroy(&token);
    }
    CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
}

static cth_status acquire_object(void *object, cth_time deadline) {
    return cth_sem_acquire_until((cth_sem *)object, deadline);
}

static void release_and_cancel_race(void) {
    // Whoever wins, the permit is either with the waiter or still there.
    for (int i = 0; i < 500; i++) {
        cth_cancel token;
        cth_sem sem = CTH_SEM_INIT(0);
        init(&token, NULL);
        test_waiter w = {.token = &token};
        test_waiter_start(&w, acquire_object, &sem, CTH_FOREVER);
        for (int k = 0; k < i % 16; k++) {
            cth_yield();
        }
        if (i % 2 == 0) {
            cth_sem_release(&sem);
            request(&token);
        } else {
            request(&token);
            cth_sem_release(&sem);
        }
        const cth_status status = test_waiter_end(&w);
        CHECK(status == CTH_OK || status == CTH_CANCELLED);
        CHECK_EQ(cth_sem_value(&sem), status == CTH_OK ? 0 : 1);
        destroy(&token);
    }
}

static cth_status lock_it(void *object, cth_time deadline) {
    const cth_status status = cth_mutex_lock_until((cth_mutex *)object, deadline);
    if (status == CTH_OK) {
        CHECK_STATUS(cth_mutex_unlock((cth_mutex *)object), CTH_OK);
    }
    return status;
}

static void mutexes_are_never_cancelled(void) {
    cth_cancel token;
    cth_mutex mutex = CTH_MUTEX_INIT;
    init(&token, NULL);
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    test_waiter before = {.token = &token}, after = {.token = &token}, timed = {.token = &token};
    test_waiter_start(&before, lock_it, &mutex, CTH_FOREVER);
    test_waiter_asleep(&before);
    request(&token); // while it waits, and before it does
    test_waiter_start(&after, lock_it, &mutex, CTH_FOREVER);
    test_waiter_asleep(&after);
    test_waiter_start(&timed, lock_it, &mutex, cth_after(CTH_MS(5)));
    CHECK_STATUS(test_waiter_end(&timed), CTH_TIMEDOUT);
    CHECK_EQ(atomic_load(&before.done) + atomic_load(&after.done), 0);
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    CHECK_STATUS(test_waiter_end(&before), CTH_OK);
    CHECK_STATUS(test_waiter_end(&after), CTH_OK);
    destroy(&token);
}

static cth_status enter_scope(void *object, cth_time deadline) {
    (void)deadline;
    bool entered = false;
    CTH_WITH((cth_sem *)object) {
        entered = true;
    }
    CHECK(entered);
    return CTH_OK;
}

static void scoped_acquisition_is_never_cancelled(void) {
    cth_cancel token;
    cth_sem sem = CTH_SEM_INIT(0);
    init(&token, NULL);
    test_waiter w = {.token = &token};
    test_waiter_start(&w, enter_scope, &sem, CTH_FOREVER);
    test_waiter_asleep(&w);
    request(&token);
    test_waiter_asleep(&w);
    CHECK_EQ(atomic_load(&w.done), 0);
    cth_sem_release(&sem);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK_EQ(cth_sem_value(&sem), 1);
    destroy(&token);
}

static void a_cancelled_condition_holds_its_mutex(void) {
    cth_cancel token;
    cth_mutex mutex = CTH_MUTEX_INIT;
    cth_cond cond = CTH_COND_INIT;
    init(&token, NULL);
    request(&token);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
        CHECK_STATUS(cth_cond_wait(&cond, &mutex), CTH_CANCELLED);
        CHECK_STATUS(cth_mutex_lock(&mutex), CTH_DEADLOCK); // held
        CHECK_STATUS(CTH_WAIT_WHILE(&cond, &mutex, true), CTH_CANCELLED);
        CHECK_STATUS(CTH_WAIT_WHILE(&cond, &mutex, false), CTH_OK);
        CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    }
    CHECK_STATUS(cth_cond_destroy(&cond), CTH_OK);
    destroy(&token);
}

static void destroy_with_waiting_threads_is_busy(void) {
    cth_cancel token;
    init(&token, NULL);
    test_waiter w = {.token = &token};
    test_waiter_start(&w, event_wait, NULL, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_BUSY);
    is_live(&token);
    CHECK_EQ(atomic_load(&w.done), 0);
    request(&token);
    CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
    destroy(&token);
}

static cth_status join_all(void *object, cth_time deadline) {
    (void)object;
    return cth_thread_join_all(deadline);
}

static void join_all_can_be_cancelled(void) {
    running_start();
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, cth_after(CTH_MS(5))), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(join_all(NULL, CTH_FOREVER), CTH_CANCELLED);
    }
    destroy(&token);
    running_end();
}

static void one_token_many_waiters(void) {
    cth_cancel token;
    test_waiter w[32];
    memset(w, 0, sizeof w);
    init(&token, NULL);
    for (int i = 0; i < 32; i++) {
        w[i].token = &token;
        test_waiter_start(&w[i], i % 2 == 0 ? event_wait : sem_acquire, NULL, CTH_FOREVER);
    }
    for (int i = 0; i < 32; i++) {
        test_waiter_asleep(&w[i]);
    }
    request(&token);
    for (int i = 0; i < 32; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_CANCELLED);
    }
    destroy(&token);
    CHECK_STATUS(cth_event_destroy(&never_set), CTH_OK);
    CHECK_STATUS(cth_sem_destroy(&empty_sem), CTH_OK);
    memset(&never_set, 0, sizeof never_set);
    memset(&empty_sem, 0, sizeof empty_sem);
}

static cth_cancel contested;

static cth_status requests(void *arg) {
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(cth_cancel_request(&contested, (const char *)arg), CTH_OK);
        CHECK_STATUS(cth_cancel_status(&contested), CTH_CANCELLED);
    }
    return CTH_OK;
}

static void requested_by_five_at_once(void) {
    static const char *const names[THREADS] = {"0", "1", "2", "3", "4"};
    for (int round = 0; round < 50; round++) {
        cth_thread *threads[THREADS];
        init(&contested, NULL);
        for (int i = 0; i < THREADS; i++) {
            // The cast only drops const: the functions read.
            threads[i] = test_spawn(requests, (void *)(uintptr_t)names[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        const char *reason = cth_cancel_reason(&contested);
        bool known = false;
        for (int i = 0; i < THREADS; i++) {
            known = known || reason == names[i];
        }
        CHECK(known);
        destroy(&contested);
    }
}

static cth_status grows_a_branch(void *arg) {
    for (int i = 0; i < 300; i++) {
        cth_cancel a, b;
        init(&a, (cth_cancel *)arg);
        init(&b, &a);
        request(&b);
        is_live(&a);
        destroy(&b);
        destroy(&a);
    }
    return CTH_OK;
}

static void the_tree_grows_from_five_threads(void) {
    cth_cancel root;
    cth_thread *threads[THREADS];
    init(&root, NULL);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(grows_a_branch, &root);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    destroy(&root);
}

static int published;

static cth_status reads_after_cancel(void *object, cth_time deadline) {
    const cth_status status = event_wait_until(object, deadline);
    CHECK_EQ(published, 9);
    return status;
}

static void what_came_before_the_request_is_seen(void) {
    for (int i = 0; i < 50; i++) {
        cth_cancel token;
        init(&token, NULL);
        published = 0;
        test_waiter w = {.token = &token};
        test_waiter_start(&w, reads_after_cancel, NULL, CTH_FOREVER);
        published = 9;
        request(&token);
        CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
        destroy(&token);
    }
}

/* ---- signals ---- */

static atomic_int handled;

static void count_signal(int number) {
    (void)number;
    atomic_fetch_add(&handled, 1);
}

static void a_signal_cancels(void) {
    cth_cancel token;
    char reason[32];
    snprintf(reason, sizeof reason, "signal %d", SIGUSR1);
    for (int i = 0; i < 3; i++) {
        init(&token, NULL);
        CHECK_STATUS(cth_cancel_on_signal(&token, SIGUSR1), CTH_OK);
        is_live(&token);
        test_waiter w = {.token = &token};
        test_waiter_start(&w, event_wait, NULL, CTH_FOREVER);
        test_waiter_asleep(&w);
        CHECK(raise(SIGUSR1) == 0);
        CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
        is_cancelled(&token, reason);
        destroy(&token);
    }
}

static void a_signal_cancels_the_thread_it_interrupts(void) {
    cth_cancel token;
    init(&token, NULL);
    CHECK_STATUS(cth_cancel_on_signal(&token, SIGUSR2), CTH_OK);
    CTH_UNDER(&token) {
        CHECK(raise(SIGUSR2) == 0);
        CHECK_STATUS(cth_sleep_until(CTH_FOREVER), CTH_CANCELLED);
    }
    destroy(&token);
}

static void one_token_for_each_signal(void) {
    cth_cancel a, b;
    init(&a, NULL);
    init(&b, NULL);
    CHECK_STATUS(cth_cancel_on_signal(&a, SIGUSR1), CTH_OK);
    CHECK_STATUS(cth_cancel_on_signal(&b, SIGUSR1), CTH_BUSY);
    CHECK_STATUS(cth_cancel_on_signal(&b, SIGUSR2), CTH_OK);
    CTH_UNDER(&a) {
        CHECK(raise(SIGUSR1) == 0);
        CHECK_STATUS(cth_sleep_until(CTH_FOREVER), CTH_CANCELLED);
    }
    is_live(&b);
    destroy(&a);
    destroy(&b);
    init(&b, NULL);
    CHECK_STATUS(cth_cancel_on_signal(&b, SIGUSR1), CTH_OK); // free again
    destroy(&b);
}

static void signals_that_cannot_be_caught(void) {
    static const int bad[] = {SIGKILL, SIGSTOP, 0, -1, 1000, INT32_MAX, INT32_MIN};
    cth_cancel token;
    init(&token, NULL);
    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        CHECK_STATUS(cth_cancel_on_signal(&token, bad[i]), CTH_INVALID);
    }
    is_live(&token);
    destroy(&token);
}

static void destroy_restores_the_previous_treatment(void) {
    cth_cancel token;
    void (*old)(int) = signal(SIGUSR1, count_signal);
    CHECK(old != SIG_ERR);
    atomic_store(&handled, 0);
    init(&token, NULL);
    CHECK_STATUS(cth_cancel_on_signal(&token, SIGUSR1), CTH_OK);
    destroy(&token); // before any signal
    CHECK(raise(SIGUSR1) == 0);
    CHECK_EQ(atomic_load(&handled), 1);
    signal(SIGUSR1, count_signal);

    init(&token, NULL);
    CHECK_STATUS(cth_cancel_on_signal(&token, SIGUSR1), CTH_OK);
    CTH_UNDER(&token) {
        CHECK(raise(SIGUSR1) == 0);
        CHECK_STATUS(cth_sleep_until(CTH_FOREVER), CTH_CANCELLED);
    }
    CHECK_EQ(atomic_load(&handled), 1); // the first went to the token
    CHECK(raise(SIGUSR1) == 0);
    CHECK_EQ(atomic_load(&handled), 2); // the second has the previous treatment
    destroy(&token);
    signal(SIGUSR1, old);
}

static void the_second_signal_ends_the_program(void) {
    char text[256];
    CHECK_EQ(test_child("two signals", text, sizeof text), -SIGTERM);
    CHECK_STR(text, "first caught\n");
}

static int child_main(void) {
    cth_cancel token;
    init(&token, NULL);
    CHECK_STATUS(cth_cancel_on_signal(&token, SIGTERM), CTH_OK);
    CTH_UNDER(&token) {
        CHECK(raise(SIGTERM) == 0);
        CHECK_STATUS(cth_sleep_until(CTH_FOREVER), CTH_CANCELLED);
    }
    printf("first caught\n");
    fflush(stdout);
    raise(SIGTERM);
    printf("still here\n");
    return 0;
}

static cth_status wait_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = event_wait_until(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_cancel token;
    errno = 4242;
    init(&token, NULL);
    test_waiter w = {.token = &token};
    test_waiter_start(&w, wait_keeps_errno, NULL, CTH_FOREVER);
    test_waiter_asleep(&w);
    errno = 4242;
    request(&token);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&w), CTH_CANCELLED);
    errno = 4242;
    CHECK_STATUS(cth_cancel_on_signal(&token, SIGKILL), CTH_INVALID);
    CHECK_STATUS(cth_cancel_on_signal(&token, SIGUSR1), CTH_OK);
    destroy(&token);
    CHECK_EQ(errno, 4242);
}

static const test_case tests[] = {
    TEST(starts_live),
    TEST(the_first_reason_stays),
    TEST(the_reason_is_not_copied),
    TEST(begins_again_after_destroy),
    TEST(cancels_all_below),
    TEST(deep_and_wide),
    TEST(below_a_cancelled_parent_it_is_born_cancelled),
    TEST(destroy_with_children_is_busy),
    TEST(children_leave_in_any_order),
    TEST(init_refuses_negative_deadlines),
    TEST(the_deadline_cancels),
    TEST(past_deadlines),
    TEST(far_deadlines),
    TEST(the_least_deadline_of_the_ancestors_counts),
    TEST(under_binds_and_restores),
    TEST(status_of_null_asks_for_the_bound_one),
    TEST(under_restores_however_it_is_left),
    TEST(threads_get_the_token_of_their_description),
    TEST(each_wait_ends_when_cancelled),
    TEST(each_wait_ends_when_an_ancestor_is_cancelled),
    TEST(no_wait_begins_when_cancelled),
    TEST(each_wait_ends_at_the_token_s_deadline),
    TEST(the_wait_s_own_deadline_comes_first),
    TEST(shielded_waits_are_not_cancelled),
    TEST(what_need_not_wait_succeeds),
    TEST(a_cancelled_wait_consumes_nothing),
    TEST(release_and_cancel_race),
    TEST(mutexes_are_never_cancelled),
    TEST(scoped_acquisition_is_never_cancelled),
    TEST(a_cancelled_condition_holds_its_mutex),
    TEST(destroy_with_waiting_threads_is_busy),
    TEST(join_all_can_be_cancelled),
    TEST(one_token_many_waiters),
    TEST(requested_by_five_at_once),
    TEST(the_tree_grows_from_five_threads),
    TEST(what_came_before_the_request_is_seen),
    TEST(a_signal_cancels),
    TEST(a_signal_cancels_the_thread_it_interrupts),
    TEST(one_token_for_each_signal),
    TEST(signals_that_cannot_be_caught),
    TEST(destroy_restores_the_previous_treatment),
    TEST(the_second_signal_ends_the_program),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_child_mode(argc, argv) != NULL ? child_main()
                                               : test_run(argc, argv, tests, TEST_COUNT(tests));
}
