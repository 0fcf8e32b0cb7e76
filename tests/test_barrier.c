/* test_barrier.c - the barrier: meetings, places, actions, breaking and resetting

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <sched.h>

#if defined(__SANITIZE_ADDRESS__)
#  define SLOW 4
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define SLOW 4
#  endif
#endif
#ifndef SLOW
#  define SLOW (TEST_TSAN ? 10 : 1)
#endif

enum { THREADS = 5, MANY = 24 };

static cth_status timed_wait(void *object, cth_time deadline) {
    return cth_barrier_wait_until((cth_barrier *)object, NULL, deadline);
}

/* A timed wait on a barrier of its own: a timeout breaks it, so it is made anew each time. */
static cth_status timed_wait_alone(void *object, cth_time deadline) {
    (void)object;
    cth_barrier barrier = CTH_BARRIER_INIT(2);
    const cth_status status = cth_barrier_wait_until(&barrier, NULL, deadline);
    CHECK_EQ(cth_barrier_is_broken(&barrier), status == CTH_TIMEDOUT);
    CHECK_EQ(cth_barrier_waiting(&barrier), 0);
    CHECK_STATUS(cth_barrier_destroy(&barrier), CTH_OK);
    return status;
}

/* Start a waiter and return once it is inside, asleep. */
static void enter(test_waiter *w, cth_barrier *barrier, cth_time deadline) {
    test_waiter_start(w, timed_wait, barrier, deadline);
    test_waiter_asleep(w);
    CHECK_EQ(atomic_load(&w->done), 0);
}

static cth_barrier static_barrier = CTH_BARRIER_INIT(2);
static cth_barrier zeroed_barrier;

static void starts_whole(void) {
    cth_barrier made;
    CHECK_STATUS(cth_barrier_init(&made, 2, NULL), CTH_OK);
    cth_barrier *all[] = {&static_barrier, &made};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        CHECK_EQ(cth_barrier_parties(all[i]), 2);
        CHECK_EQ(cth_barrier_waiting(all[i]), 0);
        CHECK(!cth_barrier_is_broken(all[i]));
        test_waiter w = {0};
        enter(&w, all[i], CTH_FOREVER);
        CHECK_EQ(cth_barrier_waiting(all[i]), 1);
        CHECK_STATUS(cth_barrier_wait(all[i], NULL), CTH_OK);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
        CHECK_STATUS(cth_barrier_destroy(all[i]), CTH_OK);
    }
}

static void a_zeroed_one_is_invalid(void) {
    uint32_t index = 77;
    CHECK_STATUS(cth_barrier_wait(&zeroed_barrier, &index), CTH_INVALID);
    CHECK_STATUS(cth_barrier_wait_until(&zeroed_barrier, &index, 0), CTH_INVALID);
    CHECK_EQ(index, 77);
    CHECK_EQ(cth_barrier_parties(&zeroed_barrier), 0);
    CHECK_EQ(cth_barrier_waiting(&zeroed_barrier), 0);
}

static void init_refuses_less_than_one_party(void) {
    static const int wrong[] = {0, -1, INT32_MIN};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        cth_barrier barrier = CTH_BARRIER_INIT(3);
        CHECK_STATUS(cth_barrier_init(&barrier, wrong[i], NULL), CTH_INVALID);
        CHECK_EQ(cth_barrier_parties(&barrier), 3); // untouched
    }
    CHECK_STATUS(cth_barrier_init(NULL, 1, NULL), CTH_INVALID);
}

static void most_parties(void) {
    cth_barrier barrier;
    CHECK_STATUS(cth_barrier_init(&barrier, CTH_BARRIER_MAX, NULL), CTH_OK);
    CHECK_EQ(cth_barrier_parties(&barrier), INT32_MAX);
    test_waiter w = {0};
    enter(&w, &barrier, CTH_FOREVER);
    CHECK_EQ(cth_barrier_waiting(&barrier), 1);
    CHECK_STATUS(cth_barrier_abort(&barrier), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_BROKEN);
    // The last but one, and the last, of them all.
    CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK);
    barrier.arrived = INT32_MAX - 2;
    test_waiter last_but_one = {0};
    enter(&last_but_one, &barrier, CTH_FOREVER);
    CHECK_EQ(cth_barrier_waiting(&barrier), INT32_MAX - 1);
    uint32_t index = 77;
    CHECK_STATUS(cth_barrier_wait(&barrier, &index), CTH_OK);
    CHECK_EQ(index, 0);
    CHECK_STATUS(test_waiter_end(&last_but_one), CTH_OK);
    CHECK_EQ(cth_barrier_waiting(&barrier), 0);
}

static void one_party_never_waits(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(1);
    cth_cancel token = CTH_CANCEL_INIT;
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    for (int i = 0; i < 100; i++) {
        uint32_t index = 77;
        CHECK_STATUS(cth_barrier_wait(&barrier, &index), CTH_OK);
        CHECK_EQ(index, 0);
        CHECK_STATUS(cth_barrier_wait_until(&barrier, NULL, 0), CTH_OK);
        CHECK_STATUS(cth_barrier_wait_until(&barrier, NULL, 1), CTH_OK);
        CHECK_STATUS(cth_barrier_wait_until(&barrier, NULL, -1), CTH_INVALID);
        CTH_UNDER(&token) {
            CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
        }
        CHECK(!cth_barrier_is_broken(&barrier));
    }
    CHECK_STATUS(cth_barrier_abort(&barrier), CTH_OK);
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_BROKEN);
    CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK);
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
}

/* ---- meetings ---- */

typedef struct meeting {
    cth_barrier barrier;
    int parties, rounds;
    atomic_int number; // gives each thread its own
    int step[MANY];    // plain: round that each thread is in
    atomic_int *zeros; // for each round: how many had the place 0
    atomic_uint *sums; // and the sum of the bits of the places
    int actions;       // plain: only the last to come counts
} meeting;

static cth_status count_action(void *arg) {
    meeting *m = (meeting *)arg;
    for (int i = 1; i < m->parties; i++) {
        CHECK_EQ(m->step[i], m->step[0]); // all have come, nobody has gone on
    }
    m->actions++;
    return CTH_OK;
}

static cth_status attend(void *arg) {
    meeting *m = (meeting *)arg;
    const int me = atomic_fetch_add(&m->number, 1);
    for (int round = 0; round < m->rounds; round++) {
        m->step[me] = round;
        uint32_t place = 77;
        CHECK_STATUS(cth_barrier_wait(&m->barrier, &place), CTH_OK);
        CHECK(place < (uint32_t)m->parties);
        CHECK_EQ(atomic_fetch_or(&m->sums[round], 1U << place) & (1U << place), 0); // not twice
        atomic_fetch_add(&m->zeros[round], place == 0);
        // Everybody is in this round still, or, when not held up, in the next.
        CHECK_STATUS(cth_barrier_wait(&m->barrier, NULL), CTH_OK);
        for (int i = 0; i < m->parties; i++) {
            CHECK_EQ(m->step[i], round);
        }
        CHECK_STATUS(cth_barrier_wait(&m->barrier, NULL), CTH_OK);
    }
    return CTH_OK;
}

static void meet(int parties, int rounds, bool action) {
    meeting m = {.parties = parties, .rounds = rounds};
    m.zeros = (atomic_int *)calloc((size_t)rounds, sizeof *m.zeros);
    m.sums = (atomic_uint *)calloc((size_t)rounds, sizeof *m.sums);
    CHECK(m.zeros != NULL && m.sums != NULL);
    const cth_barrier_desc desc = {.action = count_action, .arg = &m};
    CHECK_STATUS(cth_barrier_init(&m.barrier, parties, action ? &desc : NULL), CTH_OK);
    cth_thread *threads[MANY];
    for (int i = 0; i < parties; i++) {
        threads[i] = test_spawn(attend, &m);
    }
    for (int i = 0; i < parties; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    for (int round = 0; round < rounds; round++) {
        CHECK_EQ(atomic_load(&m.zeros[round]), 1);
        CHECK_EQ(atomic_load(&m.sums[round]), (1U << parties) - 1);
    }
    CHECK_EQ(m.actions, action ? 3 * rounds : 0);
    CHECK_STATUS(cth_barrier_destroy(&m.barrier), CTH_OK);
    free(m.zeros);
    free(m.sums);
}

static void two_meet(void) {
    meet(2, 3000, false);
}

static void five_meet(void) {
    // Kind of bug: a fast thread comes back for the next meeting before a slow one has left this
    // one (seen in libuv 3872). Every round checks that all are in the same one.
    meet(THREADS, 500, false);
}

static void many_meet(void) {
    meet(MANY, 30, false);
}

static void five_meet_with_an_action(void) {
    meet(THREADS, 500, true);
}

static void more_threads_than_parties(void) {
    // Six threads, meetings of three: whoever comes is in one of them, and all get out.
    cth_barrier barrier = CTH_BARRIER_INIT(3);
    for (int round = 0; round < 50; round++) {
        test_waiter w[6];
        memset(w, 0, sizeof w);
        for (int i = 0; i < 6; i++) {
            test_waiter_start(&w[i], timed_wait, &barrier, CTH_FOREVER);
        }
        for (int i = 0; i < 6; i++) {
            CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
        }
        CHECK_EQ(cth_barrier_waiting(&barrier), 0);
    }
    // A fourth one waits for the next meeting.
    test_waiter w[4];
    memset(w, 0, sizeof w);
    for (int i = 0; i < 2; i++) {
        enter(&w[i], &barrier, CTH_FOREVER);
    }
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
    enter(&w[2], &barrier, CTH_FOREVER);
    CHECK_STATUS(test_waiter_end(&w[0]), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w[1]), CTH_OK);
    CHECK_EQ(cth_barrier_waiting(&barrier), 1);
    enter(&w[3], &barrier, CTH_FOREVER);
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w[2]), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w[3]), CTH_OK);
}

/* ---- deadlines ---- */

static void timed_waits(void) {
    test_times_out(timed_wait_alone, NULL);
}

static void negative_deadlines_change_nothing(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(2);
    test_refuses_negative(timed_wait, &barrier);
    CHECK(!cth_barrier_is_broken(&barrier));
    CHECK_EQ(cth_barrier_waiting(&barrier), 0);
    test_waiter w = {0};
    enter(&w, &barrier, CTH_FOREVER);
    test_refuses_negative(timed_wait, &barrier); // although it would complete the meeting
    CHECK_EQ(cth_barrier_waiting(&barrier), 1);
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK_STATUS(cth_barrier_abort(&barrier), CTH_OK);
    test_refuses_negative(timed_wait, &barrier); // and although it is broken
}

static void the_other_comes(void *barrier) {
    CHECK_STATUS(cth_barrier_wait((cth_barrier *)barrier, NULL), CTH_OK);
}

static void timed_wait_waits_long(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(2);
    test_waits_long(timed_wait, &barrier, test_nothing, the_other_comes);
}

static void the_last_to_come_needs_no_time(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(2);
    const cth_time deadlines[] = {0, 1, cth_now(), cth_after(0), CTH_FOREVER};
    for (size_t i = 0; i < TEST_COUNT(deadlines); i++) {
        test_waiter w = {0};
        enter(&w, &barrier, CTH_FOREVER);
        uint32_t index = 77;
        CHECK_STATUS(cth_barrier_wait_until(&barrier, &index, deadlines[i]), CTH_OK);
        CHECK_EQ(index, 0);
        CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    }
}

static void a_timeout_breaks_it_for_the_others(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(5);
    for (int round = 0; round < 10; round++) {
        test_waiter patient[3], hasty = {0};
        memset(patient, 0, sizeof patient);
        for (int i = 0; i < 3; i++) {
            enter(&patient[i], &barrier, i == 0 ? CTH_FOREVER : cth_after(CTH_S(3600)));
        }
        test_waiter_start(&hasty, timed_wait, &barrier, cth_after(CTH_MS(1)));
        CHECK_STATUS(test_waiter_end(&hasty), CTH_TIMEDOUT);
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(test_waiter_end(&patient[i]), CTH_BROKEN);
        }
        CHECK(cth_barrier_is_broken(&barrier));
        CHECK_EQ(cth_barrier_waiting(&barrier), 0);
        uint32_t index = 77;
        CHECK_STATUS(cth_barrier_wait(&barrier, &index), CTH_BROKEN);
        CHECK_STATUS(cth_barrier_wait_until(&barrier, &index, 0), CTH_BROKEN);
        CHECK_EQ(index, 77);
        CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK);
        CHECK(!cth_barrier_is_broken(&barrier));
    }
}

/* Deadlines that pass while the last one comes. */
typedef struct close_call {
    cth_barrier barrier;
    atomic_int ok, timed_out, broken;
    cth_time patience;
    int actions; // plain
} close_call;

static cth_status act(void *arg) {
    ((close_call *)arg)->actions++;
    cth_yield();
    return CTH_OK;
}

static cth_status arrive_in_time(void *arg) {
    close_call *c = (close_call *)arg;
    const cth_status status = cth_barrier_wait_until(&c->barrier, NULL, cth_after(c->patience));
    if (status == CTH_OK) {
        atomic_fetch_add(&c->ok, 1);
    } else if (status == CTH_TIMEDOUT) {
        atomic_fetch_add(&c->timed_out, 1);
    } else {
        CHECK_STATUS(status, CTH_BROKEN);
        atomic_fetch_add(&c->broken, 1);
    }
    return CTH_OK;
}

static void it_is_complete_for_all_or_for_none(void) {
    // Kind of bug: a waiter reports a timeout although the meeting it was part of is complete, as a
    // condition's waiter that eats a signal does (seen in glibc 12875). With and without an action,
    // during which deadlines pass.
    int complete = 0;
    for (int round = 0; round < 300; round++) {
        close_call c = {.patience = CTH_US(round)};
        const cth_barrier_desc desc = {.action = act, .arg = &c};
        CHECK_STATUS(cth_barrier_init(&c.barrier, 3, round % 2 == 0 ? &desc : NULL), CTH_OK);
        cth_thread *threads[3];
        for (int i = 0; i < 3; i++) {
            threads[i] = test_spawn(arrive_in_time, &c);
        }
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        CHECK(atomic_load(&c.ok) == 3 || atomic_load(&c.ok) == 0);
        CHECK_EQ(cth_barrier_is_broken(&c.barrier), atomic_load(&c.ok) == 0);
        CHECK(atomic_load(&c.ok) == 3 || atomic_load(&c.timed_out) >= 1);
        CHECK_EQ(c.actions, atomic_load(&c.ok) == 3 && round % 2 == 0);
        complete += atomic_load(&c.ok) == 3;
    }
    printf("     %d of 300 were complete\n", complete);
}

/* ---- the action ---- */

typedef struct stage {
    cth_barrier barrier;
    cth_event acting, go_on;
    cth_status result;
} stage;

static cth_status long_action(void *arg) {
    stage *s = (stage *)arg;
    CHECK_STATUS(cth_event_set(&s->acting), CTH_OK);
    CHECK_STATUS(cth_event_wait(&s->go_on), CTH_OK);
    return s->result;
}

static void stage_set(stage *s, int parties, cth_status result) {
    memset(s, 0, sizeof *s);
    s->result = result;
    const cth_barrier_desc desc = {.action = long_action, .arg = s};
    CHECK_STATUS(cth_barrier_init(&s->barrier, parties, &desc), CTH_OK);
}

static void nobody_goes_on_before_the_action_ends(void) {
    // Completion wins: the deadline of one who waits passes while the action runs.
    stage s;
    stage_set(&s, 3, CTH_OK);
    test_waiter hasty = {0}, patient = {0}, last = {0};
    const cth_time deadline = cth_after(CTH_MS(50));
    test_waiter_start(&hasty, timed_wait, &s.barrier, deadline);
    test_waiter_start(&patient, timed_wait, &s.barrier, CTH_FOREVER);
    while (cth_barrier_waiting(&s.barrier) < 2 && atomic_load(&hasty.done) == 0) {
        cth_yield();
    }
    test_waiter_start(&last, timed_wait, &s.barrier, deadline);
    while (!cth_event_is_set(&s.acting) && atomic_load(&hasty.done) == 0) {
        cth_yield();
    }
    if (cth_event_is_set(&s.acting)) { // else the machine was too busy, and the first gave up
        CHECK_STATUS(cth_sleep_until(deadline + CTH_MS(2)), CTH_OK);
        CHECK_EQ(atomic_load(&hasty.done) + atomic_load(&patient.done), 0);
        CHECK_STATUS(cth_event_set(&s.go_on), CTH_OK);
        CHECK_STATUS(test_waiter_end(&hasty), CTH_OK);
        CHECK_STATUS(test_waiter_end(&patient), CTH_OK);
        CHECK_STATUS(test_waiter_end(&last), CTH_OK);
        CHECK(!cth_barrier_is_broken(&s.barrier));
    } else {
        CHECK_STATUS(test_waiter_end(&hasty), CTH_TIMEDOUT);
        CHECK_STATUS(test_waiter_end(&patient), CTH_BROKEN);
        (void)test_waiter_end(&last);
    }
}

static void a_failing_action_breaks_it(void) {
    stage s;
    stage_set(&s, 3, CTH_FAILED);
    CHECK_STATUS(cth_event_set(&s.go_on), CTH_OK);
    test_waiter w[2];
    memset(w, 0, sizeof w);
    for (int i = 0; i < 2; i++) {
        enter(&w[i], &s.barrier, CTH_FOREVER);
    }
    uint32_t index = 77;
    CHECK_STATUS(cth_barrier_wait(&s.barrier, &index), CTH_FAILED); // what the action returned
    CHECK_EQ(index, 77);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_BROKEN);
    }
    CHECK(cth_barrier_is_broken(&s.barrier));
    CHECK_STATUS(cth_barrier_wait(&s.barrier, NULL), CTH_BROKEN);
    s.result = CTH_OK;
    CHECK_STATUS(cth_barrier_reset(&s.barrier), CTH_OK);
    for (int i = 0; i < 2; i++) {
        enter(memset(&w[i], 0, sizeof w[i]), &s.barrier, CTH_FOREVER);
    }
    CHECK_STATUS(cth_barrier_wait(&s.barrier, &index), CTH_OK);
    CHECK_EQ(index, 0);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
}

static void who_comes_during_the_action_is_in_the_next_meeting(void) {
    stage s;
    stage_set(&s, 2, CTH_OK);
    test_waiter first = {0}, last = {0}, early = {0};
    enter(&first, &s.barrier, CTH_FOREVER);
    test_waiter_start(&last, timed_wait, &s.barrier, CTH_FOREVER);
    CHECK_STATUS(cth_event_wait(&s.acting), CTH_OK);
    enter(&early, &s.barrier, CTH_FOREVER);
    CHECK_STATUS(cth_event_set(&s.go_on), CTH_OK);
    CHECK_STATUS(test_waiter_end(&first), CTH_OK);
    CHECK_STATUS(test_waiter_end(&last), CTH_OK);
    test_waiter_asleep(&early);
    CHECK_EQ(atomic_load(&early.done), 0);
    CHECK_EQ(cth_barrier_waiting(&s.barrier), 1);
    CHECK_STATUS(cth_barrier_wait(&s.barrier, NULL), CTH_OK);
    CHECK_STATUS(test_waiter_end(&early), CTH_OK);
}

static void abort_during_the_action(void) {
    // The meeting is complete: it stays so for those inside. Later ones find it broken.
    stage s;
    stage_set(&s, 2, CTH_OK);
    test_waiter first = {0}, last = {0}, early = {0};
    enter(&first, &s.barrier, CTH_FOREVER);
    test_waiter_start(&last, timed_wait, &s.barrier, CTH_FOREVER);
    CHECK_STATUS(cth_event_wait(&s.acting), CTH_OK);
    enter(&early, &s.barrier, CTH_FOREVER);
    CHECK_STATUS(cth_barrier_abort(&s.barrier), CTH_OK);
    CHECK_STATUS(test_waiter_end(&early), CTH_BROKEN);
    CHECK_EQ(atomic_load(&first.done) + atomic_load(&last.done), 0);
    CHECK_STATUS(cth_event_set(&s.go_on), CTH_OK);
    CHECK_STATUS(test_waiter_end(&first), CTH_OK);
    CHECK_STATUS(test_waiter_end(&last), CTH_OK);
    CHECK(cth_barrier_is_broken(&s.barrier));
    CHECK_STATUS(cth_barrier_wait(&s.barrier, NULL), CTH_BROKEN);
}

static cth_status free_and_say_ok(void *arg) {
    free(arg);
    return CTH_OK;
}

static void the_action_may_free_its_argument(void) {
    // Kind of bug: what a callback has freed is used after it (seen in libuv 628).
    for (int i = 0; i < 100; i++) {
        const cth_barrier_desc desc = {.action = free_and_say_ok, .arg = malloc(64)};
        cth_barrier barrier;
        CHECK_STATUS(cth_barrier_init(&barrier, 1, &desc), CTH_OK);
        CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
    }
}

/* ---- abort and reset ---- */

static void abort_breaks_until_reset(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(4);
    test_waiter w[3];
    for (int round = 0; round < 5; round++) {
        memset(w, 0, sizeof w);
        for (int i = 0; i < 3; i++) {
            enter(&w[i], &barrier, CTH_FOREVER);
        }
        CHECK_EQ(cth_barrier_waiting(&barrier), 3);
        CHECK_STATUS(cth_barrier_abort(&barrier), CTH_OK);
        CHECK_STATUS(cth_barrier_abort(&barrier), CTH_OK); // again: no effect
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(test_waiter_end(&w[i]), CTH_BROKEN);
            CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_BROKEN);
        }
        CHECK(cth_barrier_is_broken(&barrier));
        CHECK_EQ(cth_barrier_waiting(&barrier), 0);
        CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK);
        CHECK(!cth_barrier_is_broken(&barrier));
    }
    CHECK_STATUS(cth_barrier_destroy(&barrier), CTH_OK);
}

static void reset_sends_those_who_wait_away(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(3);
    test_waiter w[2];
    memset(w, 0, sizeof w);
    CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK); // nobody waits: no effect
    for (int i = 0; i < 2; i++) {
        enter(&w[i], &barrier, CTH_FOREVER);
    }
    CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK);
    CHECK(!cth_barrier_is_broken(&barrier)); // whole at once
    CHECK_EQ(cth_barrier_waiting(&barrier), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_BROKEN);
    }
    // Those who were sent away do not count: three must come.
    memset(w, 0, sizeof w);
    for (int i = 0; i < 2; i++) {
        enter(&w[i], &barrier, CTH_FOREVER);
    }
    CHECK_EQ(cth_barrier_waiting(&barrier), 2);
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
}

static cth_status keep_coming(void *arg) {
    close_call *c = (close_call *)arg;
    for (int i = 0; i < 3000; i++) {
        const cth_status status = cth_barrier_wait(&c->barrier, NULL);
        if (status == CTH_OK) {
            atomic_fetch_add(&c->ok, 1);
        } else {
            CHECK_STATUS(status, CTH_BROKEN);
            atomic_fetch_add(&c->broken, 1);
        }
    }
    atomic_fetch_add(&c->timed_out, 1); // here: how many are through
    return CTH_OK;
}

static void resets_while_threads_keep_coming(void) {
    close_call c = {.barrier = CTH_BARRIER_INIT(2)};
    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = test_spawn(keep_coming, &c);
    }
    while (atomic_load(&c.timed_out) < 4) { // at the end one may be left without a partner
        CHECK_STATUS(cth_barrier_reset(&c.barrier), CTH_OK);
        cth_yield();
    }
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(atomic_load(&c.ok) % 2, 0); // for both of a meeting, or for none
    CHECK_EQ(atomic_load(&c.ok) + atomic_load(&c.broken), 4 * 3000);
    CHECK_EQ(cth_barrier_waiting(&c.barrier), 0);
    CHECK(!cth_barrier_is_broken(&c.barrier));
}

/* ---- cancelling ---- */

static void cancelling_breaks_it_for_the_others(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(4);
    cth_cancel token = CTH_CANCEL_INIT;
    test_waiter cancelled = {.token = &token}, others[2];
    memset(others, 0, sizeof others);
    enter(&others[0], &barrier, CTH_FOREVER);
    enter(&cancelled, &barrier, CTH_FOREVER);
    enter(&others[1], &barrier, CTH_FOREVER);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    CHECK_STATUS(test_waiter_end(&cancelled), CTH_CANCELLED);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_waiter_end(&others[i]), CTH_BROKEN);
    }
    CHECK(cth_barrier_is_broken(&barrier));
    CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK);
    CTH_UNDER(&token) { // cancelled before it comes
        CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_CANCELLED);
    }
    CHECK(cth_barrier_is_broken(&barrier));
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static void a_token_s_deadline_breaks_it(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(3);
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, cth_after(CTH_MS(20))), CTH_OK);
    test_waiter hasty = {.token = &token}, patient = {0};
    test_waiter_start(&patient, timed_wait, &barrier, CTH_FOREVER);
    test_waiter_start(&hasty, timed_wait, &barrier, CTH_FOREVER);
    CHECK_STATUS(test_waiter_end(&hasty), CTH_CANCELLED);
    CHECK_STATUS(test_waiter_end(&patient), CTH_BROKEN);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static void cancelling_during_the_action_is_too_late(void) {
    stage s;
    stage_set(&s, 2, CTH_OK);
    cth_cancel token = CTH_CANCEL_INIT;
    test_waiter first = {.token = &token}, last = {0};
    enter(&first, &s.barrier, CTH_FOREVER);
    test_waiter_start(&last, timed_wait, &s.barrier, CTH_FOREVER);
    CHECK_STATUS(cth_event_wait(&s.acting), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    test_waiter_asleep(&first);
    CHECK_EQ(atomic_load(&first.done), 0);
    CHECK_STATUS(cth_event_set(&s.go_on), CTH_OK);
    CHECK_STATUS(test_waiter_end(&first), CTH_OK);
    CHECK_STATUS(test_waiter_end(&last), CTH_OK);
    CHECK(!cth_barrier_is_broken(&s.barrier));
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

/* ---- the end of its life ---- */

static void destroy_with_waiters_is_busy(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(2);
    test_waiter w = {0};
    enter(&w, &barrier, CTH_FOREVER);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_barrier_destroy(&barrier), CTH_BUSY);
        CHECK_EQ(cth_barrier_waiting(&barrier), 1);
    }
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK_STATUS(cth_barrier_destroy(&barrier), CTH_OK);
    stage s;
    stage_set(&s, 1, CTH_OK);
    test_waiter acting = {0};
    test_waiter_start(&acting, timed_wait, &s.barrier, CTH_FOREVER);
    CHECK_STATUS(cth_event_wait(&s.acting), CTH_OK);
    CHECK_STATUS(cth_barrier_destroy(&s.barrier), CTH_BUSY); // an action runs
    CHECK_STATUS(cth_event_set(&s.go_on), CTH_OK);
    CHECK_STATUS(test_waiter_end(&acting), CTH_OK);
    CHECK_STATUS(cth_barrier_destroy(&s.barrier), CTH_OK);
}

/* In each round the first thread out frees the barrier. The threads live all along and meet for
   the next round by a number, not by a barrier. */
typedef struct freeing {
    int parties;
    uint32_t rounds;
    _Atomic(cth_barrier *) current;
    atomic_uint round; // that of the current barrier
    atomic_int out;    // how many have left it
} freeing;

static cth_barrier *fresh_barrier(int parties) {
    cth_barrier *barrier = (cth_barrier *)malloc(sizeof *barrier);
    CHECK(barrier != NULL);
    CHECK_STATUS(cth_barrier_init(barrier, parties, NULL), CTH_OK);
    return barrier;
}

static cth_status leave_and_free(void *arg) {
    freeing *f = (freeing *)arg;
    for (uint32_t round = 0; round < f->rounds; round++) {
        unsigned spins = 0;
        while (atomic_load(&f->round) != round) {
            if (++spins % 64 == 0) {
                sched_yield();
            }
        }
        cth_barrier *barrier = atomic_load(&f->current);
        CHECK_STATUS(cth_barrier_wait(barrier, NULL), CTH_OK);
        const int place = atomic_fetch_add(&f->out, 1);
        if (place == 0) {
            memset(barrier, 0xEE, sizeof *barrier);
            free(barrier);
        }
        if (place == f->parties - 1) {
            atomic_store(&f->out, 0);
            atomic_store(&f->current, fresh_barrier(f->parties));
            atomic_store(&f->round, round + 1);
        }
    }
    return CTH_OK;
}

static void the_first_out_may_free_it(void) {
    // Kind of bug: a thread that leaves looks at the barrier again, which another one has freed
    // (seen in glibc's tst-barrier5, musl f16a3089, libuv 3102, 3162 and 2019).
    for (int parties = 2; parties <= 3; parties++) {
        freeing f = {.parties = parties, .rounds = (parties == 2 ? 100000U : 10000U) / SLOW};
        const char *scale = getenv("FAULT_SCALE");
        f.rounds = (uint32_t)(f.rounds * (scale != NULL ? strtod(scale, NULL) : 1.0));
        atomic_store(&f.current, fresh_barrier(parties));
        cth_thread *threads[3];
        for (int i = 0; i < parties; i++) {
            threads[i] = test_spawn(leave_and_free, &f);
        }
        for (int i = 0; i < parties; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        free(atomic_load(&f.current));
    }
}

static void *foreign_main(void *arg) {
    // The very first call of this thread is the one under test.
    CHECK_STATUS(cth_barrier_wait((cth_barrier *)arg, NULL), CTH_OK);
    return NULL;
}

static void foreign_threads_can_meet(void) {
    for (int round = 0; round < 50; round++) {
        cth_barrier barrier = CTH_BARRIER_INIT(3);
        pthread_t thread[3];
        for (int i = 0; i < 3; i++) {
            CHECK(pthread_create(&thread[i], NULL, foreign_main, &barrier) == 0);
        }
        for (int i = 0; i < 3; i++) {
            CHECK(pthread_join(thread[i], NULL) == 0);
        }
    }
}

static cth_status wait_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = timed_wait(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_barrier barrier = CTH_BARRIER_INIT(3);
    test_waiter a = {0}, b = {0};
    test_waiter_start(&b, wait_keeps_errno, &barrier, CTH_FOREVER);
    test_waiter_asleep(&b);
    test_waiter_start(&a, wait_keeps_errno, &barrier, cth_after(CTH_MS(2)));
    CHECK_STATUS(test_waiter_end(&a), CTH_TIMEDOUT);
    CHECK_STATUS(test_waiter_end(&b), CTH_BROKEN);
    errno = 4242;
    CHECK_STATUS(cth_barrier_reset(&barrier), CTH_OK);
    CHECK_STATUS(cth_barrier_abort(&barrier), CTH_OK);
    CHECK_STATUS(cth_barrier_wait(&barrier, NULL), CTH_BROKEN);
    CHECK_EQ(errno, 4242);
}

static const test_case tests[] = {
    TEST(starts_whole),
    TEST(a_zeroed_one_is_invalid),
    TEST(init_refuses_less_than_one_party),
    TEST(most_parties),
    TEST(one_party_never_waits),
    TEST(two_meet),
    TEST(five_meet),
    TEST(many_meet),
    TEST(five_meet_with_an_action),
    TEST(more_threads_than_parties),
    TEST(timed_waits),
    TEST(negative_deadlines_change_nothing),
    TEST(timed_wait_waits_long),
    TEST(the_last_to_come_needs_no_time),
    TEST(a_timeout_breaks_it_for_the_others),
    TEST(it_is_complete_for_all_or_for_none),
    TEST(nobody_goes_on_before_the_action_ends),
    TEST(a_failing_action_breaks_it),
    TEST(who_comes_during_the_action_is_in_the_next_meeting),
    TEST(abort_during_the_action),
    TEST(the_action_may_free_its_argument),
    TEST(abort_breaks_until_reset),
    TEST(reset_sends_those_who_wait_away),
    TEST(resets_while_threads_keep_coming),
    TEST(cancelling_breaks_it_for_the_others),
    TEST(a_token_s_deadline_breaks_it),
    TEST(cancelling_during_the_action_is_too_late),
    TEST(destroy_with_waiters_is_busy),
    TEST(the_first_out_may_free_it),
    TEST(foreign_threads_can_meet),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
