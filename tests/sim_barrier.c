/* sim_barrier.c - the barrier under many schedules, and bugs of barriers that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

enum { PARTIES = 3, ROUNDS = 3 };

static cth_barrier barrier;
static int come;   // waits begun
static int acted;  // runs of the action
static bool busy;  // the action runs
static int met;    // waits that ended with CTH_OK
static int missed; // waits that ended otherwise
static int places[PARTIES];

static cth_status act(void *arg) {
    CTH_SIM_CHECK(!busy);
    busy = true;
    CTH_SIM_CHECK(come >= PARTIES * (acted + 1));
    cth_yield();
    acted++;
    busy = false;
    return arg != NULL ? CTH_FAILED : CTH_OK;
}

static void make(cth_barrier *b, bool with_action, bool fails) {
    const cth_barrier_desc desc = {.action = act, .arg = fails ? &acted : NULL};
    CTH_SIM_CHECK(cth_barrier_init(b, PARTIES, with_action ? &desc : NULL) == CTH_OK);
}

static void fresh(bool with_action, bool fails) {
    sim_begin();
    make(&barrier, with_action, fails);
    come = acted = met = missed = 0;
    busy = false;
    memset(places, 0, sizeof places);
}

/* -- scenarios --------------------------------------------------------------------------------- */

static cth_status three_rounds(void *arg) {
    const bool with_action = *(const bool *)arg;
    for (int round = 1; round <= ROUNDS; round++) {
        uint32_t place = 99;
        come++;
        CTH_SIM_CHECK(cth_barrier_wait(&barrier, &place) == CTH_OK);
        CTH_SIM_CHECK(come >= PARTIES * round);
        CTH_SIM_CHECK(met >= PARTIES * (round - 1)); // nobody is a round behind
        CTH_SIM_CHECK(!with_action || acted == round || acted == round + 1);
        CTH_SIM_CHECK(place < PARTIES);
        places[place]++;
        met++;
    }
    return CTH_OK;
}

/* Nobody goes on before all have come and the action has run, once; each place goes to one. */
static cth_status rounds(void *arg) {
    bool with_action = cth_sim_choose(2) == 0;
    (void)arg;
    fresh(with_action, false);
    sim_together(three_rounds, &with_action, PARTIES);
    CTH_SIM_CHECK(met == PARTIES * ROUNDS && acted == (with_action ? ROUNDS : 0));
    for (int i = 0; i < PARTIES; i++) {
        CTH_SIM_CHECK(places[i] == ROUNDS);
    }
    CTH_SIM_CHECK(cth_barrier_waiting(&barrier) == 0 && !cth_barrier_is_broken(&barrier));
    CTH_SIM_CHECK(cth_barrier_destroy(&barrier) == CTH_OK);
    return CTH_OK;
}

struct owned {
    cth_barrier barrier;
    bool *gone;
};

/* Whoever comes out first gives the memory away: when one has met, all have come. */
static cth_status meet_and_free(void *arg) {
    struct owned *o = (struct owned *)arg;
    bool *gone = o->gone;
    const cth_time deadline = cth_sim_choose(4) == 0 ? cth_after(CTH_S(10)) : CTH_FOREVER;
    come++;
    const cth_status status = cth_barrier_wait_until(&o->barrier, NULL, deadline);
    CTH_SIM_CHECK(status == CTH_OK || !*gone);
    if (status == CTH_OK && !*gone) {
        *gone = true;
        sim_gone(o, sizeof *o);
    }
    return CTH_OK;
}

static cth_status freed_by_the_first(void *arg) {
    bool gone = false;
    (void)arg;
    fresh(false, false);
    struct owned *o = (struct owned *)calloc(1, sizeof *o);
    o->gone = &gone;
    make(&o->barrier, cth_sim_choose(2) == 0, false);
    sim_together(meet_and_free, o, PARTIES);
    if (gone) {
        sim_untouched(o, sizeof *o);
    }
    free(o);
    return CTH_OK;
}

/* A broken barrier stays so until the reset; then it is as good as new. */
static cth_status meets_again(void *arg) {
    (void)arg;
    come++;
    CTH_SIM_CHECK(cth_barrier_wait(&barrier, NULL) == CTH_OK);
    return CTH_OK;
}

static void works_after_reset(void) {
    if (cth_barrier_is_broken(&barrier)) {
        CTH_SIM_CHECK(cth_barrier_wait(&barrier, NULL) == CTH_BROKEN);
        CTH_SIM_CHECK(cth_barrier_wait_until(&barrier, NULL, 0) == CTH_BROKEN);
        CTH_SIM_CHECK(cth_barrier_reset(&barrier) == CTH_OK);
    }
    CTH_SIM_CHECK(!cth_barrier_is_broken(&barrier));
    CTH_SIM_CHECK(cth_barrier_waiting(&barrier) == 0);
    come += PARTIES; // what the action counts starts anew
    sim_together(meets_again, NULL, PARTIES);
    CTH_SIM_CHECK(cth_barrier_destroy(&barrier) == CTH_OK);
}

/* Either the meeting took place for all, or for none. */
static void all_or_none(void) {
    CTH_SIM_CHECK((met == PARTIES && missed == 0) || (met == 0 && missed == PARTIES));
}

static cth_status meets_until(void *arg) {
    int *timed_out = (int *)arg;
    uint32_t place = 99;
    const cth_time deadline = sim_soon();
    come++;
    const cth_status status = cth_barrier_wait_until(&barrier, &place, deadline);
    if (status == CTH_OK) {
        CTH_SIM_CHECK(place < PARTIES);
        places[place]++;
        met++;
    } else {
        CTH_SIM_CHECK(status == CTH_TIMEDOUT || status == CTH_BROKEN);
        CTH_SIM_CHECK(place == 99);
        CTH_SIM_CHECK(status != CTH_TIMEDOUT || cth_now() >= deadline);
        *timed_out += status == CTH_TIMEDOUT;
        missed++;
    }
    return CTH_OK;
}

/* Three deadlines pass while the last one comes, or while the action runs. */
static cth_status timeout_or_meeting(void *arg) {
    int timed_out = 0;
    (void)arg;
    const bool with_action = cth_sim_choose(2) == 0;
    fresh(with_action, false);
    sim_together(meets_until, &timed_out, PARTIES);
    all_or_none();
    CTH_SIM_CHECK(met == PARTIES ? places[0] == 1 && places[1] == 1 && places[2] == 1
                                 : timed_out >= 1);
    CTH_SIM_CHECK(acted == (with_action && met == PARTIES ? 1 : 0));
    CTH_SIM_CHECK(cth_barrier_is_broken(&barrier) == (met == 0));
    works_after_reset();
    return CTH_OK;
}

/* More come than there are parties: the meeting is that of three, whoever they are. */
static cth_status one_too_many(void *arg) {
    int timed_out = 0;
    (void)arg;
    const bool with_action = cth_sim_choose(2) == 0;
    fresh(with_action, false);
    sim_together(meets_until, &timed_out, PARTIES + 1);
    CTH_SIM_CHECK((met == PARTIES && missed == 1) || (met == 0 && missed == PARTIES + 1));
    CTH_SIM_CHECK(acted == (with_action && met == PARTIES ? 1 : 0));
    CTH_SIM_CHECK(timed_out >= 1);
    works_after_reset();
    return CTH_OK;
}

static cth_status meets_once(void *arg) {
    uint32_t place = 99;
    (void)arg;
    come++;
    CTH_SIM_CHECK(cth_barrier_wait(&barrier, &place) == CTH_OK);
    CTH_SIM_CHECK(place < PARTIES);
    places[place]++;
    met++;
    return CTH_OK;
}

/* Six come to a barrier of three: two meetings, one after the other. */
static cth_status twice_as_many(void *arg) {
    (void)arg;
    fresh(true, false);
    sim_together(meets_once, NULL, 2 * PARTIES);
    CTH_SIM_CHECK(met == 2 * PARTIES && acted == 2);
    CTH_SIM_CHECK(places[0] == 2 && places[1] == 2 && places[2] == 2);
    CTH_SIM_CHECK(cth_barrier_destroy(&barrier) == CTH_OK);
    return CTH_OK;
}

static cth_status meets_or_not(void *arg) {
    uint32_t place = 99;
    cth_status *result = (cth_status *)arg;
    come++;
    *result = cth_barrier_wait(&barrier, &place);
    CTH_SIM_CHECK((*result == CTH_OK) == (place != 99));
    *(*result == CTH_OK ? &met : &missed) += 1;
    return CTH_OK;
}

static void linger(void) {
    for (uint32_t n = cth_sim_choose(10); n > 0; n--) {
        cth_yield();
    }
}

/* An abort before the last has come ends it for all; during the action or later for none. */
static cth_status abort_or_meeting(void *arg) {
    cth_status results[PARTIES];
    cth_thread *threads[PARTIES];
    (void)arg;
    const bool with_action = cth_sim_choose(2) == 0;
    fresh(with_action, false);
    for (int i = 0; i < PARTIES; i++) {
        threads[i] = sim_spawn(meets_or_not, &results[i]);
    }
    linger();
    CTH_SIM_CHECK(cth_barrier_abort(&barrier) == CTH_OK);
    for (int i = 0; i < PARTIES; i++) {
        sim_join(threads[i]);
        CTH_SIM_CHECK(results[i] == CTH_OK || results[i] == CTH_BROKEN);
    }
    all_or_none();
    CTH_SIM_CHECK(acted == (with_action && met == PARTIES ? 1 : 0));
    CTH_SIM_CHECK(cth_barrier_is_broken(&barrier));
    works_after_reset();
    return CTH_OK;
}

/* The action fails: the one that ran it gets its status, the others CTH_BROKEN. */
static cth_status failing_action(void *arg) {
    cth_status results[PARTIES];
    cth_thread *threads[PARTIES];
    int failed = 0;
    (void)arg;
    fresh(true, true);
    const bool aborts = cth_sim_choose(2) == 0;
    for (int i = 0; i < PARTIES; i++) {
        threads[i] = sim_spawn(meets_or_not, &results[i]);
    }
    linger();
    if (aborts) {
        CTH_SIM_CHECK(cth_barrier_abort(&barrier) == CTH_OK);
    }
    for (int i = 0; i < PARTIES; i++) {
        sim_join(threads[i]);
        CTH_SIM_CHECK(results[i] == CTH_FAILED || results[i] == CTH_BROKEN);
        failed += results[i] == CTH_FAILED;
    }
    CTH_SIM_CHECK(met == 0 && acted == failed && (failed == 1 || aborts));
    CTH_SIM_CHECK(cth_barrier_is_broken(&barrier));
    make(&barrier, false, false);
    works_after_reset();
    return CTH_OK;
}

static cth_status meets_in_the_end(void *arg) {
    (void)arg;
    for (;;) {
        come++;
        const cth_status status = cth_barrier_wait(&barrier, NULL);
        if (status == CTH_OK) {
            met++;
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_BROKEN);
        come--;
        missed++;
    }
}

/* A reset sends those away who wait; they come again, and one meeting takes place, not two
   halves. */
static cth_status reset_or_meeting(void *arg) {
    (void)arg;
    const bool with_action = cth_sim_choose(2) == 0;
    fresh(with_action, false);
    cth_thread *threads[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        threads[i] = sim_spawn(meets_in_the_end, NULL);
    }
    for (int i = 0; i < 2; i++) {
        linger();
        CTH_SIM_CHECK(cth_barrier_reset(&barrier) == CTH_OK);
    }
    for (int i = 0; i < PARTIES; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(met == PARTIES && missed <= 2 * (PARTIES - 1));
    CTH_SIM_CHECK(acted == (with_action ? 1 : 0));
    CTH_SIM_CHECK(!cth_barrier_is_broken(&barrier));
    works_after_reset();
    return CTH_OK;
}

struct cancellable {
    cth_cancel *token;
    cth_status result;
};

static cth_status meets_under(void *arg) {
    struct cancellable *c = (struct cancellable *)arg;
    CTH_UNDER(c->token) {
        come++;
        c->result = cth_barrier_wait(&barrier, NULL);
    }
    *(c->result == CTH_OK ? &met : &missed) += 1;
    return CTH_OK;
}

/* A cancelled token, or its deadline, breaks the meeting for all, or comes too late for all. */
static cth_status cancel_or_meeting(void *arg) {
    cth_cancel token;
    struct cancellable c[PARTIES];
    cth_thread *threads[PARTIES];
    int cancelled = 0;
    (void)arg;
    const bool with_action = cth_sim_choose(2) == 0;
    const bool by_deadline = cth_sim_choose(3) == 0;
    fresh(with_action, false);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, by_deadline ? sim_soon() : CTH_FOREVER) == CTH_OK);
    for (int i = 0; i < PARTIES; i++) {
        c[i].token = i < 2 ? &token : NULL;
        threads[i] = sim_spawn(meets_under, &c[i]);
    }
    linger();
    if (!by_deadline) {
        CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    }
    for (int i = 0; i < PARTIES; i++) {
        sim_join(threads[i]);
        CTH_SIM_CHECK(c[i].result == CTH_OK || c[i].result == CTH_BROKEN ||
                      (c[i].result == CTH_CANCELLED && i < 2));
        cancelled += c[i].result == CTH_CANCELLED;
    }
    all_or_none();
    CTH_SIM_CHECK(met == PARTIES || cancelled >= 1);
    CTH_SIM_CHECK(acted == (with_action && met == PARTIES ? 1 : 0));
    CTH_SIM_CHECK(cth_barrier_is_broken(&barrier) == (met == 0));
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    works_after_reset();
    return CTH_OK;
}

static cth_event acting, late_one_gave_up;

static cth_status act_until_one_gave_up(void *arg) {
    acted++;
    CTH_SIM_CHECK(cth_event_set(&acting) == CTH_OK);
    CTH_SIM_CHECK(cth_event_wait(&late_one_gave_up) == CTH_OK);
    return *(bool *)arg ? CTH_FAILED : CTH_OK;
}

/* One that comes while the action runs belongs to the next meeting: when it gives up, this one is
   not broken. Nor can the deadlines of those inside end anything while the action runs. */
static cth_status gives_up_outside(void *arg) {
    static const cth_event not_set = CTH_EVENT_INIT;
    cth_status results[PARTIES];
    cth_thread *threads[PARTIES];
    bool fails = cth_sim_choose(4) == 0;
    int bad = 0;
    (void)arg;
    fresh(false, false);
    acting = late_one_gave_up = not_set;
    const cth_barrier_desc desc = {.action = act_until_one_gave_up, .arg = &fails};
    CTH_SIM_CHECK(cth_barrier_init(&barrier, PARTIES, &desc) == CTH_OK);
    for (int i = 0; i < PARTIES; i++) {
        threads[i] = sim_spawn(meets_or_not, &results[i]);
    }
    CTH_SIM_CHECK(cth_event_wait(&acting) == CTH_OK);
    CTH_SIM_CHECK(cth_barrier_wait_until(&barrier, NULL, sim_soon()) == CTH_TIMEDOUT);
    CTH_SIM_CHECK(!cth_barrier_is_broken(&barrier));
    CTH_SIM_CHECK(cth_event_set(&late_one_gave_up) == CTH_OK);
    for (int i = 0; i < PARTIES; i++) {
        sim_join(threads[i]);
        bad += results[i] != CTH_OK;
    }
    CTH_SIM_CHECK(acted == 1 && bad == (fails ? PARTIES : 0));
    CTH_SIM_CHECK(cth_barrier_is_broken(&barrier) == fails);
    make(&barrier, true, false);
    acted = 0;
    come = 0;
    works_after_reset();
    return CTH_OK;
}

static void passes_rounds(void) {
    SIM_PASS(rounds, SIM_WAITS, 1500);
    SIM_PASS(rounds, SIM_ALL, 500);
}
static void passes_freed_by_the_first(void) {
    SIM_PASS(freed_by_the_first, SIM_WAITS, 2000);
}
static void passes_timeout_or_meeting(void) {
    SIM_PASS(timeout_or_meeting, SIM_WAITS, 2500);
}
static void passes_more_than_parties(void) {
    SIM_PASS(one_too_many, SIM_WAITS, 1000);
    SIM_PASS(twice_as_many, SIM_WAITS, 800);
    SIM_PASS(gives_up_outside, SIM_WAITS, 500);
}
static void passes_abort_or_meeting(void) {
    SIM_PASS(abort_or_meeting, SIM_WAITS, 1500);
}
static void passes_failing_action(void) {
    SIM_PASS(failing_action, SIM_WAITS, 1000);
}
static void passes_reset_or_meeting(void) {
    SIM_PASS(reset_or_meeting, SIM_WAITS, 1500);
}
static void passes_cancel_or_meeting(void) {
    SIM_PASS(cancel_or_meeting, SIM_WAITS, 1500);
}

/* -- planted bugs ------------------------------------------------------------------------------ */

// A barrier of two numbers: how many have come, and which meeting it is.
struct small {
    cth__word arrived, meeting;
    cth_event *waiting[PARTIES]; // the way of those who do not look at it again
};

/* Bug: who waits looks at the barrier until the meeting is over, but then it may be gone: the
   last to come has left, and has given it away. Stands for barriers that are destroyed after the
   wait. */
static cth_status small_user(void *arg) {
    struct small *s = (struct small *)arg;
    cth_event opened = CTH_EVENT_INIT;
    const uint32_t meeting = cth__load(&s->meeting, relaxed);
    const uint32_t place = cth__add(&s->arrived, 1, relaxed);
    s->waiting[place] = &opened;
    if (place < PARTIES - 1) {
        uint32_t found = meeting;
        while (planted && found == meeting) {
            cth_yield();
            found = cth__load(&s->meeting, acquire);
        }
        CTH_SIM_CHECK(!planted || found == meeting + 1);
        return planted ? CTH_OK : cth_event_wait(&opened);
    }
    cth_event *waiting[PARTIES];
    memcpy(waiting, s->waiting, sizeof waiting);
    cth__store(&s->meeting, meeting + 1, release);
    memset(s, 0xdd, sizeof *s);
    for (int i = 0; i < PARTIES - 1; i++) {
        CTH_SIM_CHECK(cth_event_set(waiting[i]) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status read_after_the_last_left(void *arg) {
    static struct small s;
    (void)arg;
    sim_begin();
    memset(&s, 0, sizeof s);
    sim_together(small_user, &s, PARTIES);
    return CTH_OK;
}

/* Bug: the count starts anew only when the last waiter leaves, so a thread that comes back at
   once is counted into the meeting it has just left. Stands for barriers that cannot be used
   twice. */
static cth_status twice_user(void *arg) {
    struct small *s = (struct small *)arg;
    for (uint32_t round = 0; round < 2; round++) {
        const uint32_t meeting = cth__load(&s->meeting, acquire);
        CTH_SIM_CHECK(meeting == round);
        if (cth__add(&s->arrived, 1, relaxed) == 1) {
            if (!planted) {
                cth__store(&s->arrived, 0, relaxed);
            }
            cth__store(&s->meeting, meeting + 1, release);
        }
        while (cth__load(&s->meeting, acquire) == meeting) {
            cth_yield();
        }
        if (planted) {
            cth__store(&s->arrived, 0, relaxed);
        }
    }
    return CTH_OK;
}

static cth_status counts_into_the_old_meeting(void *arg) {
    static struct small s;
    (void)arg;
    sim_begin();
    memset(&s, 0, sizeof s);
    sim_together(twice_user, &s, 2);
    return CTH_OK;
}

/* Bug: one times out, leaves, and says nothing: the others wait for it for ever. Stands for
   meetings whose timeouts are not everybody's. */
static cth_mutex lock;
static cth_cond changed;
static int inside;
static bool broken;

static cth_status leaves_alone(void *arg) {
    const bool hasty = *(const bool *)arg;
    CTH_WITH(&lock) {
        if (++inside == 2) {
            (void)cth_cond_notify_all(&changed);
        }
        const cth_status status = CTH_WAIT_WHILE(&changed, &lock, inside < 2 && !broken,
                                                 hasty ? sim_soon() : CTH_FOREVER);
        if (status == CTH_TIMEDOUT) {
            inside--;
            if (!planted) {
                broken = true;
                (void)cth_cond_notify_all(&changed);
            }
        }
    }
    return CTH_OK;
}

static cth_status timeout_for_one(void *arg) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_cond no_cond = CTH_COND_INIT;
    bool hasty[] = {true, false};
    (void)arg;
    sim_begin();
    lock = no_mutex;
    changed = no_cond;
    inside = 0;
    broken = false;
    cth_thread *a = sim_spawn(leaves_alone, &hasty[0]);
    cth_thread *b = sim_spawn(leaves_alone, &hasty[1]);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

static void finds_read_after_the_last_left(void) {
    SIM_FOUND(read_after_the_last_left, 0, "check");
}
static void finds_old_meeting(void) {
    SIM_FOUND(counts_into_the_old_meeting, 0, "steps");
}
static void finds_timeout_for_one(void) {
    SIM_FOUND(timeout_for_one, CTH_SIM_TIMEOUTS, "deadlock");
}

static const test_case tests[] = {
    TEST(passes_rounds),
    TEST(passes_freed_by_the_first),
    TEST(passes_timeout_or_meeting),
    TEST(passes_more_than_parties),
    TEST(passes_abort_or_meeting),
    TEST(passes_failing_action),
    TEST(passes_reset_or_meeting),
    TEST(passes_cancel_or_meeting),
    TEST(finds_read_after_the_last_left),
    TEST(finds_old_meeting),
    TEST(finds_timeout_for_one),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
