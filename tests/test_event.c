/* test_event.c - the event: set, clear, wait

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 32 };

static cth_status timed_wait(void *object, cth_time deadline) {
    return cth_event_wait_until((cth_event *)object, deadline);
}

static cth_status plain_wait(void *object, cth_time deadline) {
    (void)deadline;
    return cth_event_wait((cth_event *)object);
}

static void set(void *object) {
    CHECK_STATUS(cth_event_set((cth_event *)object), CTH_OK);
}

static void clear(void *object) {
    CHECK_STATUS(cth_event_clear((cth_event *)object), CTH_OK);
}

static cth_event static_event = CTH_EVENT_INIT;
static cth_event zeroed_event;

static void starts_not_set(void) {
    cth_event automatic = CTH_EVENT_INIT, cleared;
    memset(&cleared, 0, sizeof cleared);
    cth_event *all[] = {&static_event, &zeroed_event, &automatic, &cleared};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK(!cth_event_is_set(all[i]));
        CHECK_STATUS(cth_event_wait_until(all[i], 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_event_destroy(all[i]), CTH_OK);
    }
    CHECK_EQ(sizeof(cth_event), 4);
}

static void set_and_clear(void) {
    cth_event event = CTH_EVENT_INIT;
    for (int i = 0; i < 1000; i++) {
        for (int twice = 0; twice < 2; twice++) {
            CHECK_STATUS(cth_event_set(&event), CTH_OK);
            CHECK(cth_event_is_set(&event));
            CHECK_STATUS(cth_event_wait(&event), CTH_OK);
        }
        for (int twice = 0; twice < 2; twice++) {
            CHECK_STATUS(cth_event_clear(&event), CTH_OK);
            CHECK(!cth_event_is_set(&event));
            CHECK_STATUS(cth_event_wait_until(&event, 1), CTH_TIMEDOUT);
        }
    }
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void wait_on_a_set_one(void) {
    cth_event event = CTH_EVENT_INIT;
    set(&event);
    test_succeeds(timed_wait, &event, test_nothing);
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(cth_event_wait(&event), CTH_OK); // it stays set
    }
    CHECK(cth_event_is_set(&event));
}

static void wait_times_out(void) {
    cth_event event = CTH_EVENT_INIT;
    test_times_out(timed_wait, &event);
    CHECK(!cth_event_is_set(&event));
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void wait_times_out_after_a_clear(void) {
    cth_event event = CTH_EVENT_INIT;
    set(&event);
    clear(&event);
    test_times_out(timed_wait, &event);
}

static void wait_refuses_negative_deadlines(void) {
    cth_event event = CTH_EVENT_INIT;
    test_refuses_negative(timed_wait, &event);
    set(&event);
    test_refuses_negative(timed_wait, &event);
    CHECK(cth_event_is_set(&event));
}

static void wait_waits_long(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waits_long(timed_wait, &event, clear, set);
    test_waits_long(plain_wait, &event, clear, set);
}

static void state_after_a_timeout(void) {
    cth_event event = CTH_EVENT_INIT;
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(cth_event_wait_until(&event, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK(!cth_event_is_set(&event));
        set(&event);
        CHECK_STATUS(cth_event_wait_until(&event, 0), CTH_OK);
        clear(&event);
    }
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void waiters_start(test_waiter *w, int n, cth_event *event) {
    memset(w, 0, (size_t)n * sizeof *w);
    for (int i = 0; i < n; i++) {
        test_waiter_start(&w[i], i % 2 == 0 ? plain_wait : timed_wait, event,
                          cth_after(CTH_S(3600)));
    }
    for (int i = 0; i < n; i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
}

static void waiters_end(test_waiter *w, int n) {
    for (int i = 0; i < n; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
}

static void one_set_frees_five(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter w[THREADS];
    for (int i = 0; i < 20; i++) {
        waiters_start(w, THREADS, &event);
        set(&event);
        waiters_end(w, THREADS);
        clear(&event);
    }
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void one_set_frees_many(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter w[MANY];
    waiters_start(w, MANY, &event);
    set(&event);
    waiters_end(w, MANY);
    CHECK(cth_event_is_set(&event));
}

static void set_and_clear_frees_earlier_waiters(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter w[THREADS];
    for (int i = 0; i < 20; i++) {
        waiters_start(w, THREADS, &event);
        set(&event);
        clear(&event);
        waiters_end(w, THREADS);
        CHECK(!cth_event_is_set(&event));
    }
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void clear_stops_later_waiters(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter early[THREADS], late[THREADS];
    waiters_start(early, THREADS, &event);
    set(&event);
    clear(&event);
    waiters_start(late, THREADS, &event); // sleeps although the earlier ones are freed
    waiters_end(early, THREADS);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(atomic_load(&late[i].done), 0);
    }
    CHECK_STATUS(cth_event_wait_until(&event, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    set(&event);
    waiters_end(late, THREADS);
}

static void clear_does_not_disturb_waiters(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter w[3];
    waiters_start(w, 3, &event);
    for (int i = 0; i < 100; i++) {
        clear(&event);
    }
    for (int i = 0; i < 3; i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    set(&event);
    waiters_end(w, 3);
}

static void a_timeout_leaves_the_other_waiters(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter patient[3], hasty = {0};
    waiters_start(patient, 3, &event);
    test_waiter_start(&hasty, timed_wait, &event, cth_after(CTH_MS(5)));
    CHECK_STATUS(test_waiter_end(&hasty), CTH_TIMEDOUT);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(atomic_load(&patient[i].done), 0);
    }
    set(&event);
    waiters_end(patient, 3);
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void the_count_of_sets_wraps(void) {
    // The bits above the two lowest count the sets: begin below their largest number and go beyond.
    cth_event event;
    memset(&event, 0, sizeof event);
    event.word = ~UINT32_C(3) - 8 * 4;
    CHECK(!cth_event_is_set(&event));
    for (int round = 0; round < 16; round++) {
        test_waiter w[3];
        waiters_start(w, 3, &event);
        set(&event);
        if (round % 3 == 0) {
            CHECK(cth_event_is_set(&event));
            CHECK_STATUS(cth_event_wait(&event), CTH_OK);
        }
        clear(&event);
        CHECK(!cth_event_is_set(&event));
        waiters_end(w, 3);
        CHECK_STATUS(cth_event_wait_until(&event, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_event_wait_until(&event, cth_after(CTH_US(100))), CTH_TIMEDOUT);
    }
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

typedef struct pong {
    cth_event ping, pong;
    int rounds;
    int ball; // plain: handed to and fro by the events
} pong;

static cth_status play(void *arg) {
    pong *p = (pong *)arg;
    for (int i = 0; i < p->rounds; i++) {
        CHECK_STATUS(cth_event_wait(&p->ping), CTH_OK);
        clear(&p->ping);
        CHECK_EQ(p->ball, 2 * i + 1);
        p->ball++;
        set(&p->pong);
    }
    return CTH_OK;
}

static void ping_pong(void) {
    pong p = {.rounds = 5000};
    cth_thread *thread = test_spawn(play, &p);
    for (int i = 0; i < p.rounds; i++) {
        CHECK_EQ(p.ball, 2 * i);
        p.ball++;
        set(&p.ping);
        CHECK_STATUS(cth_event_wait(&p.pong), CTH_OK);
        clear(&p.pong);
    }
    CHECK_STATUS(test_join(thread), CTH_OK);
    CHECK_EQ(p.ball, 2 * p.rounds);
}

typedef struct publication {
    cth_event event;
    int value; // plain: set before the event
} publication;

static cth_status watches(void *arg) {
    publication *p = (publication *)arg;
    while (!cth_event_is_set(&p->event)) {
        cth_yield();
    }
    CHECK_EQ(p->value, 7);
    return CTH_OK;
}

static void is_set_sees_what_came_before_the_set(void) {
    for (int i = 0; i < 100; i++) {
        publication p = {.value = 0};
        cth_thread *thread = test_spawn(watches, &p);
        p.value = 7;
        set(&p.event);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static cth_status setter(void *arg) {
    for (int i = 0; i < 2000; i++) {
        set(arg);
    }
    return CTH_OK;
}

static void set_by_five_at_once(void) {
    cth_event event = CTH_EVENT_INIT;
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(setter, &event);
    }
    for (int i = 0; i < 500; i++) {
        CHECK_STATUS(cth_event_wait(&event), CTH_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK(cth_event_is_set(&event));
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void destroy_with_waiters_is_busy(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter w[2];
    waiters_start(w, 2, &event);
    CHECK_STATUS(cth_event_destroy(&event), CTH_BUSY);
    CHECK_STATUS(cth_event_destroy(&event), CTH_BUSY);
    CHECK(!cth_event_is_set(&event));
    CHECK_EQ(atomic_load(&w[0].done) + atomic_load(&w[1].done), 0);
    set(&event);
    waiters_end(w, 2);
    CHECK_STATUS(cth_event_destroy(&event), CTH_OK);
}

static void destroy_and_begin_again(void) {
    cth_event event = CTH_EVENT_INIT;
    for (int i = 0; i < 4; i++) {
        if (i % 2 == 0) {
            set(&event);
        }
        CHECK_STATUS(cth_event_destroy(&event), CTH_OK); // set or not
#ifdef CTHREADS_DEBUG
        CHECK_STATUS(cth_event_wait(&event), CTH_INVALID);
        CHECK_STATUS(cth_event_wait_until(&event, cth_after(CTH_S(3600))), CTH_INVALID);
#endif
        memset(&event, 0, sizeof event);
    }
}

static cth_status sets(void *arg) {
    set(arg);
    return CTH_OK;
}

static void the_waiter_may_free_it(void) {
    // Set must not touch the event once a waiter can have returned.
    for (int i = 0; i < 1000; i++) {
        cth_event *event = (cth_event *)calloc(1, sizeof *event);
        CHECK(event != NULL);
        cth_thread *thread = test_spawn(sets, event);
        for (int k = 0; k < i % 8; k++) {
            cth_yield();
        }
        CHECK_STATUS(cth_event_wait(event), CTH_OK);
        memset(event, 0xEE, sizeof *event);
        free(event);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static void *foreign_wait(void *event) {
    CHECK_STATUS(cth_event_wait((cth_event *)event), CTH_OK);
    return NULL;
}

static void *foreign_set(void *event) {
    set(event);
    return NULL;
}

static void foreign_threads_can_use_it(void) {
    for (int i = 0; i < 50; i++) {
        cth_event event = CTH_EVENT_INIT;
        pthread_t waits, also_waits, sets_it;
        CHECK(pthread_create(&waits, NULL, foreign_wait, &event) == 0);
        CHECK(pthread_create(&also_waits, NULL, foreign_wait, &event) == 0);
        CHECK(pthread_create(&sets_it, NULL, foreign_set, &event) == 0);
        CHECK(pthread_join(waits, NULL) == 0);
        CHECK(pthread_join(also_waits, NULL) == 0);
        CHECK(pthread_join(sets_it, NULL) == 0);
    }
}

static cth_status wait_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = timed_wait(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_event event = CTH_EVENT_INIT;
    test_waiter a = {0}, b = {0};
    test_waiter_start(&a, wait_keeps_errno, &event, cth_after(CTH_MS(2)));
    test_waiter_start(&b, wait_keeps_errno, &event, CTH_FOREVER);
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    test_waiter_asleep(&b);
    errno = 4242;
    set(&event);
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&b), CTH_OK);
}

static const test_case tests[] = {
    TEST(starts_not_set),
    TEST(set_and_clear),
    TEST(wait_on_a_set_one),
    TEST(wait_times_out),
    TEST(wait_times_out_after_a_clear),
    TEST(wait_refuses_negative_deadlines),
    TEST(wait_waits_long),
    TEST(state_after_a_timeout),
    TEST(one_set_frees_five),
    TEST(one_set_frees_many),
    TEST(set_and_clear_frees_earlier_waiters),
    TEST(clear_stops_later_waiters),
    TEST(clear_does_not_disturb_waiters),
    TEST(a_timeout_leaves_the_other_waiters),
    TEST(the_count_of_sets_wraps),
    TEST(ping_pong),
    TEST(is_set_sees_what_came_before_the_set),
    TEST(set_by_five_at_once),
    TEST(destroy_with_waiters_is_busy),
    TEST(destroy_and_begin_again),
    TEST(the_waiter_may_free_it),
    TEST(foreign_threads_can_use_it),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
