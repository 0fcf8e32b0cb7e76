/* sim_sem.c - semaphores under many schedules, and bugs of semaphores that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_sem sem;
static cth_cancel token;
static int inside;   // threads that hold a permit
static int most;     // ... at most
static int acquired; // acquisitions that succeeded

static void fresh(int count, int max, bool saturating) {
    const cth_sem_desc desc = {.max = max, .saturating = saturating};
    sim_begin();
    CTH_SIM_CHECK(cth_sem_init(&sem, count, &desc) == CTH_OK);
    inside = most = acquired = 0;
}

static void hold(void) {
    inside++;
    acquired++;
    most = inside > most ? inside : most;
    cth_yield();
    inside--;
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status user(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_sem_acquire(&sem) == CTH_OK);
        hold();
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status permits_conserved(void *arg) {
    (void)arg;
    fresh(2, 0, false);
    sim_together(user, NULL, 4);
    CTH_SIM_CHECK(most <= 2);
    CTH_SIM_CHECK(acquired == 8);
    CTH_SIM_CHECK(cth_sem_value(&sem) == 2);
    CTH_SIM_CHECK(cth_sem_destroy(&sem) == CTH_OK);
    return CTH_OK;
}

static cth_status bounded_one(void *arg) {
    (void)arg;
    fresh(1, 1, false);
    sim_together(user, NULL, 3);
    CTH_SIM_CHECK(most == 1 && acquired == 6);
    CTH_SIM_CHECK(cth_sem_value(&sem) == 1);
    CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OVERFLOW);
    CTH_SIM_CHECK(cth_sem_value(&sem) == 1);
    return CTH_OK;
}

static cth_status timed_user(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
        const cth_status status = cth_sem_acquire_until(&sem, deadline);
        if (status == CTH_OK) {
            hold();
            CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
        } else {
            CTH_SIM_CHECK(status == CTH_TIMEDOUT);
            CTH_SIM_CHECK(cth_now() >= deadline);
        }
    }
    return CTH_OK;
}

/* Timeouts at any moment: none of them takes a permit along, and the patient thread is not
   forgotten. */
static cth_status timeouts_consume_nothing(void *arg) {
    cth_thread *threads[4];
    (void)arg;
    fresh(1, 1, false);
    for (int i = 0; i < 4; i++) {
        threads[i] = sim_spawn(i < 2 ? timed_user : user, NULL);
    }
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(most == 1);
    CTH_SIM_CHECK(cth_sem_value(&sem) == 1);
    CTH_SIM_CHECK(cth_sem_destroy(&sem) == CTH_OK);
    return CTH_OK;
}

static cth_status taker(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_sem_acquire(&sem) == CTH_OK);
    acquired++;
    return CTH_OK;
}

static cth_status taker_until(void *arg) {
    int *got = (int *)arg;
    const cth_status status = cth_sem_acquire_until(&sem, sim_soon());
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
    *got += status == CTH_OK;
    return CTH_OK;
}

/* release_n(3) frees three sleepers, however many there are and whoever comes meanwhile. */
static cth_status release_many(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh(0, 0, false);
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(taker, NULL);
    }
    for (uint32_t n = cth_sim_choose(8); n > 0; n--) {
        cth_yield();
    }
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_sem_release_n(&sem, 3) == CTH_OK);
    } else {
        CTH_SIM_CHECK(cth_sem_release_n(&sem, 2) == CTH_OK);
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    }
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(acquired == 3);
    CTH_SIM_CHECK(cth_sem_value(&sem) == 0);
    return CTH_OK;
}

/* One release, a patient waiter and one whose deadline passes: exactly one of them has it. */
static cth_status release_meets_timeout(void *arg) {
    int got = 0;
    (void)arg;
    fresh(0, 0, false);
    cth_thread *hasty = sim_spawn(taker_until, &got);
    cth_thread *patient = sim_spawn(taker, NULL);
    for (uint32_t n = cth_sim_choose(6); n > 0; n--) {
        cth_yield();
    }
    CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    sim_join(hasty);
    if (got == 1) {
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    }
    sim_join(patient);
    CTH_SIM_CHECK(got + acquired == (got == 1 ? 2 : 1));
    CTH_SIM_CHECK(cth_sem_value(&sem) == 0);
    return CTH_OK;
}

static cth_status taker_under(void *arg) {
    int *got = (int *)arg;
    CTH_UNDER(&token) {
        const cth_status status = cth_sem_acquire(&sem);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED);
        *got += status == CTH_OK;
    }
    return CTH_OK;
}

static cth_status requests(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    return CTH_OK;
}

/* As above with a cancelled token instead of a deadline. */
static cth_status release_meets_cancel(void *arg) {
    int got = 0;
    (void)arg;
    fresh(0, 0, false);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *under = sim_spawn(taker_under, &got);
    cth_thread *patient = sim_spawn(taker, NULL);
    cth_thread *requester = sim_spawn(requests, NULL);
    CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    sim_join(under);
    sim_join(requester);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    if (got == 1) {
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    }
    sim_join(patient);
    CTH_SIM_CHECK(cth_sem_value(&sem) == 0);
    return CTH_OK;
}

static int released;

static cth_status bounded_releaser(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        const cth_status status = cth_sem_release(&sem);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_OVERFLOW);
        released += status == CTH_OK;
        CTH_SIM_CHECK(cth_sem_value(&sem) <= 2);
    }
    return CTH_OK;
}

/* Releases beyond the bound are refused and change nothing; all others count. */
static cth_status bound_holds(void *arg) {
    (void)arg;
    fresh(0, 2, false);
    released = 0;
    cth_thread *a = sim_spawn(bounded_releaser, NULL);
    cth_thread *b = sim_spawn(bounded_releaser, NULL);
    cth_thread *c = sim_spawn(taker, NULL);
    sim_join(a);
    sim_join(b);
    sim_join(c);
    CTH_SIM_CHECK(released == acquired + cth_sem_value(&sem));
    CTH_SIM_CHECK(released == 2 || released == 3);
    CTH_SIM_CHECK(cth_sem_release_n(&sem, 3) == CTH_OVERFLOW);
    return CTH_OK;
}

static cth_status saturating_releaser(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
        CTH_SIM_CHECK(cth_sem_value(&sem) <= 1);
    }
    return CTH_OK;
}

/* A saturating semaphore of one: a signal that does not add up, and never is lost. */
static cth_status saturates(void *arg) {
    (void)arg;
    fresh(0, 1, true);
    cth_thread *a = sim_spawn(saturating_releaser, NULL);
    cth_thread *b = sim_spawn(saturating_releaser, NULL);
    cth_thread *c = sim_spawn(taker, NULL);
    sim_join(a);
    sim_join(b);
    sim_join(c);
    CTH_SIM_CHECK(acquired == 1 && cth_sem_value(&sem) <= 1);
    return CTH_OK;
}

static cth_status acquires_and_frees(void *arg) {
    cth_sem *own = (cth_sem *)arg;
    cth_status status = CTH_TIMEDOUT;
    while (status != CTH_OK) {
        status = cth_sem_acquire_until(own, cth_sim_choose(2) == 0 ? CTH_FOREVER : sim_soon());
    }
    sim_gone(own, sizeof *own);
    return CTH_OK;
}

static cth_status releases(void *arg) {
    CTH_SIM_CHECK(cth_sem_release((cth_sem *)arg) == CTH_OK);
    return CTH_OK;
}

/* The thread that acquires gives the memory away while the release is still on its way out. */
static cth_status freed_after_acquire(void *arg) {
    (void)arg;
    sim_begin();
    cth_sem *own = (cth_sem *)malloc(sizeof *own);
    CTH_SIM_CHECK(cth_sem_init(own, 0, NULL) == CTH_OK);
    cth_thread *a = sim_spawn(acquires_and_frees, own);
    cth_thread *b = sim_spawn(releases, own);
    sim_join(a);
    sim_join(b);
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

static void passes_permits_conserved(void) {
    SIM_PASS(permits_conserved, SIM_WAITS, 1200);
    SIM_PASS(permits_conserved, SIM_ALL, 500);
}
static void passes_bounded_one(void) {
    SIM_PASS(bounded_one, SIM_WAITS, 1500);
}
static void passes_timeouts_consume_nothing(void) {
    SIM_PASS(timeouts_consume_nothing, SIM_WAITS, 2500);
}
static void passes_release_many(void) {
    SIM_PASS(release_many, SIM_WAITS, 2000);
}
static void passes_release_meets_timeout(void) {
    SIM_PASS(release_meets_timeout, SIM_WAITS, 4000);
}
static void passes_release_meets_cancel(void) {
    SIM_PASS(release_meets_cancel, SIM_WAITS, 2500);
}
static void passes_bound_holds(void) {
    SIM_PASS(bound_holds, SIM_WAITS, 2000);
    SIM_PASS(saturates, SIM_WAITS, 2000);
}
static void passes_freed_after_acquire(void) {
    SIM_PASS(freed_after_acquire, SIM_WAITS, 4000);
    SIM_PASS(freed_after_acquire, SIM_ALL, 1000);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

// A semaphore of its own: a count, and how many threads sleep for it.
struct simple_sem {
    cth__word count;
    cth__word sleepers;
};

static void simple_acquire(struct simple_sem *s) {
    for (;;) {
        uint32_t found = cth__load(&s->count, relaxed);
        while (found > 0) {
            if (cth__cas(&s->count, &found, found - 1, acquire, relaxed)) {
                return;
            }
        }
        (void)cth__add(&s->sleepers, 1, relaxed);
        cth__wait_on(NULL, &s->count, 0, CTH_FOREVER);
        (void)cth__sub(&s->sleepers, 1, relaxed);
    }
}

/* Bug: the post looks for sleepers in the semaphore after it has made it free; by then a waiter may
   have taken the permit and freed the memory. Stands for use after free in sem_post. */
static void simple_release(struct simple_sem *s) {
    if (planted) {
        (void)cth__add(&s->count, 1, release);
        const uint32_t sleepers = cth__load(&s->sleepers, relaxed);
        CTH_SIM_CHECK(sleepers != 0xdddddddd);
    } else {
        (void)cth__load(&s->sleepers, relaxed);
        (void)cth__add(&s->count, 1, release);
    }
    cth__wake_on(NULL, &s->count); // by address only
}

static cth_status simple_taker(void *arg) {
    struct simple_sem *s = (struct simple_sem *)arg;
    simple_acquire(s);
    memset(s, 0xdd, sizeof *s);
    return CTH_OK;
}

static cth_status touches_after_post(void *arg) {
    static struct simple_sem s;
    (void)arg;
    sim_begin();
    memset(&s, 0, sizeof s);
    cth_thread *waiter = sim_spawn(simple_taker, &s);
    simple_release(&s);
    sim_join(waiter);
    return CTH_OK;
}

/* Bug: the post wakes only when the count was 0, although two threads sleep: after two posts in a
   row the second sleeper is not woken. Stands for "no need to wake, it was not empty". */
static cth__word stock, tickets;

static cth_status stock_taker(void *arg) {
    (void)arg;
    for (;;) {
        uint32_t found = cth__load(&stock, relaxed);
        if (found > 0) {
            if (cth__cas(&stock, &found, found - 1, acquire, relaxed)) {
                return CTH_OK;
            }
            continue;
        }
        uint32_t ticket = cth__load(&tickets, relaxed);
        while (ticket == 0 || !cth__cas(&tickets, &ticket, ticket - 1, acquire, relaxed)) {
            cth__wait_on(NULL, &tickets, 0, CTH_FOREVER);
            ticket = cth__load(&tickets, relaxed);
        }
    }
}

static cth_status wakes_only_from_empty(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&stock, 0);
    atomic_init(&tickets, 0);
    cth_thread *a = sim_spawn(stock_taker, NULL);
    cth_thread *b = sim_spawn(stock_taker, NULL);
    for (int i = 0; i < 2; i++) {
        if (cth__add(&stock, 1, release) == 0 || !planted) {
            (void)cth__add(&tickets, 1, release);
            cth__wake_on(NULL, &tickets);
        }
    }
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: an acquire that times out has taken the permit first and does not put it back. Stands for
   timeouts that consume what they report not to have got. */
static cth_status leaky_taker(void *arg) {
    (void)arg;
    const cth_time deadline = sim_soon();
    cth_status status = cth_sem_acquire_until(&sem, planted ? CTH_FOREVER : deadline);
    if (status == CTH_OK && planted && cth_now() >= deadline) {
        status = CTH_TIMEDOUT;
    }
    if (status == CTH_OK) {
        CTH_SIM_CHECK(cth_sleep(CTH_MS(2)) == CTH_OK);
        CTH_SIM_CHECK(cth_sem_release(&sem) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status timeout_takes_permit(void *arg) {
    (void)arg;
    fresh(1, 0, false);
    sim_together(leaky_taker, NULL, 2);
    CTH_SIM_CHECK(cth_sem_value(&sem) == 1);
    return CTH_OK;
}

/* Bug: a pool of nodes as a stack, popped by compare-and-swap on the head alone: between its look
   and its swap the same head has come back with another one below (the ABA problem). Right is a
   number in the word that counts the changes. */
enum { NODES = 3 };
static cth__word head; // the index of the top node + 1, and the changes << 8
static cth__word below[NODES + 1];
static cth__word taken[NODES + 1];

static uint32_t node_pop(void) {
    uint32_t found = cth__load(&head, acquire);
    while ((found & 0xff) != 0) {
        const uint32_t next = cth__load(&below[found & 0xff], relaxed);
        const uint32_t mark = planted ? 0 : (found & ~UINT32_C(0xff)) + 0x100;
        if (cth__cas(&head, &found, next | mark, acquire, acquire)) {
            CTH_SIM_CHECK(cth__swap(&taken[found & 0xff], 1, relaxed) == 0);
            return found & 0xff;
        }
    }
    return 0;
}

static void node_push(uint32_t node) {
    uint32_t found = cth__load(&head, relaxed);
    CTH_SIM_CHECK(cth__swap(&taken[node], 0, relaxed) == 1);
    do {
        cth__store(&below[node], found & 0xff, relaxed);
    } while (!cth__cas(&head, &found, node | (planted ? 0 : (found & ~UINT32_C(0xff)) + 0x100),
                       release, relaxed));
}

static cth_status node_user(void *arg) {
    (void)arg;
    const uint32_t a = node_pop();
    const uint32_t b = node_pop();
    if (a != 0) {
        node_push(a);
    }
    const uint32_t c = node_pop();
    (void)c;
    if (b != 0) {
        node_push(b);
    }
    return CTH_OK;
}

static cth_status aba_stack(void *arg) {
    (void)arg;
    sim_begin();
    atomic_init(&head, 1);
    for (uint32_t i = 1; i <= NODES; i++) {
        atomic_init(&below[i], i < NODES ? i + 1 : 0);
        atomic_init(&taken[i], 0);
    }
    sim_together(node_user, NULL, 2);
    return CTH_OK;
}

static void finds_touch_after_post(void) {
    SIM_FOUND(touches_after_post, 0, "check");
}
static void finds_wake_only_from_empty(void) {
    SIM_FOUND(wakes_only_from_empty, 0, "deadlock");
}
static void finds_timeout_that_takes(void) {
    SIM_FOUND(timeout_takes_permit, CTH_SIM_TIMEOUTS, "check");
}
static void finds_aba(void) {
    SIM_FOUND(aba_stack, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_permits_conserved),
    TEST(passes_bounded_one),
    TEST(passes_timeouts_consume_nothing),
    TEST(passes_release_many),
    TEST(passes_release_meets_timeout),
    TEST(passes_release_meets_cancel),
    TEST(passes_bound_holds),
    TEST(passes_freed_after_acquire),
    TEST(finds_touch_after_post),
    TEST(finds_wake_only_from_empty),
    TEST(finds_timeout_that_takes),
    TEST(finds_aba),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
