/* sim_timer.c - timers under many schedules, and bugs of timer services that must be found

   Computing takes no virtual time, so without faults each run happens exactly when it is due.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

enum { PERIOD = 1000000, MOST = 8 };

static cth_timer timer, other;
static cth_event event;
static int data;         // written by functions
static int begun, over;  // functions of `timer`
static int inside;       // functions of any timer
static cth_time started; // when the scenario did

static void fresh(void) {
    static const cth_timer zero = CTH_TIMER_INIT;
    static const cth_event unset = CTH_EVENT_INIT;
    timer = other = zero;
    event = unset;
    data = begun = over = inside = 0;
    sim_begin();
    started = cth_now();
}

/* Set a timer, as often as it takes; one that fails has changed nothing. */
static void set(cth_timer *t, bool every, cth_time span, cth_timer_fn fn, void *arg) {
    for (;;) {
        const cth_timer before = *t;
        const cth_status status =
            every ? cth_timer_every(t, span, fn, arg) : cth_timer_after(t, span, fn, arg);
        if (status == CTH_OK) {
            return;
        }
        CTH_SIM_CHECK(status == CTH_NOMEM || status == CTH_AGAIN);
        CTH_SIM_CHECK(memcmp(t, &before, sizeof before) == 0);
    }
}

static uint64_t cancel(cth_timer *t) {
    uint64_t runs = UINT64_MAX;
    CTH_SIM_CHECK(cth_timer_cancel(t, &runs) == CTH_OK);
    return runs;
}

/* The service thread ends by itself, and nothing is left of it. */
static void service_ended(void) {
    while (cth_thread_count() > 1) {
        cth_yield();
    }
    CTH_SIM_CHECK(cth__g.timer_service == NULL && cth__g.timer_root == NULL);
}

static cth_time chosen(const cth_time *spans, uint32_t n) {
    return spans[cth_sim_choose(n)];
}

static void pause_some(void) {
    for (uint32_t n = cth_sim_choose(6); n > 0; n--) {
        cth_yield();
    }
}

static void enter(void) {
    CTH_SIM_CHECK(inside++ == 0);
}

static void leave(void) {
    CTH_SIM_CHECK(--inside == 0);
}

static cth_status announces(void *arg) {
    return cth_event_set((cth_event *)arg);
}

/* -- due times ----------------------------------------------------------------------------------
 */

static struct shot {
    cth_timer timer;
    cth_time due;
    int order;
} shots[MOST];
static const struct shot *ran[MOST];
static int n_shots, n_ran;

static cth_status shoot(void *arg) {
    const struct shot *s = (const struct shot *)arg;
    enter();
    CTH_SIM_CHECK(cth_now() == s->timer.due);
    CTH_SIM_CHECK(n_ran < MOST);
    ran[n_ran++] = s;
    leave();
    return CTH_OK;
}

static void aim(cth_time span) {
    struct shot *s = &shots[n_shots];
    s->order = n_shots++;
    const cth_time earliest = cth_after(span);
    set(&s->timer, false, span, shoot, s);
    s->due = s->timer.due;
    // While a service thread ends, the next one's start may yield, and that moves time a little.
    CTH_SIM_CHECK(s->due >= earliest && s->due <= cth_after(span));
}

/* Each at its time; those with equal times in the order they were set in. */
static cth_status in_order(void *arg) {
    static const cth_time spans[] = {0, PERIOD, PERIOD, 2 * PERIOD, 3 * PERIOD};
    (void)arg;
    fresh();
    memset(shots, 0, sizeof shots);
    n_shots = n_ran = 0;
    for (int i = 0; i < 6; i++) {
        aim(chosen(spans, 5));
        if (cth_sim_choose(4) == 0) {
            CTH_SIM_CHECK(cth_sleep(PERIOD) == CTH_OK);
        }
    }
    const uint32_t out = cth_sim_choose(6);
    const uint64_t runs = cancel(&shots[out].timer);
    service_ended();
    CTH_SIM_CHECK(n_ran == 5 + (int)runs);
    for (int i = 0; i < n_ran; i++) {
        CTH_SIM_CHECK(ran[i] != &shots[out] || runs == 1);
        CTH_SIM_CHECK(i == 0 || ran[i - 1]->due < ran[i]->due ||
                      (ran[i - 1]->due == ran[i]->due && ran[i - 1]->order < ran[i]->order));
    }
    for (int i = 0; i < 6; i++) {
        CTH_SIM_CHECK(cancel(&shots[i].timer) == (i == (int)out ? runs : 1));
    }
    return CTH_OK;
}

/* A timer that is set while the service thread sleeps, or is about to sleep, for a later one. */
static cth_status an_earlier_one(void *arg) {
    (void)arg;
    fresh();
    memset(shots, 0, sizeof shots);
    n_shots = n_ran = 0;
    aim(4 * PERIOD);
    pause_some();
    aim(2 * PERIOD);
    pause_some();
    aim(PERIOD);
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cancel(&shots[2].timer) == 0); // the others keep their times
        aim(PERIOD / 2);
    }
    service_ended();
    CTH_SIM_CHECK(n_ran == 3);
    return CTH_OK;
}

static const cth_time naps[] = {0, PERIOD / 3, PERIOD, 2 * PERIOD, 5 * PERIOD / 2, 2 * PERIOD - 1};
static cth_time due; // of the next run, by the model

static cth_status overrun(void *arg) {
    (void)arg;
    enter();
    CTH_SIM_CHECK(cth_now() == due);
    CTH_SIM_CHECK(timer.due == due);
    begun++;
    const cth_time nap = chosen(naps, 6);
    if (nap != 0) {
        CTH_SIM_CHECK(cth_sleep(nap) == CTH_OK);
    }
    due += (nap / PERIOD + 1) * PERIOD; // the first multiple that is still to come
    leave();
    return begun == 5 ? cth_event_set(&event) : CTH_OK;
}

static cth_status no_drift(void *arg) {
    (void)arg;
    fresh();
    due = cth_after(PERIOD);
    set(&timer, true, PERIOD, overrun, NULL);
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
    CTH_SIM_CHECK(cancel(&timer) == (uint64_t)begun);
    service_ended();
    CTH_SIM_CHECK(begun >= 5 && (due - started) % PERIOD == 0);
    return CTH_OK;
}

/* Another function holds the service thread: the run is late, those in between are skipped, and the
   next one is at its time again. */
static cth_status hog(void *arg) {
    enter();
    CTH_SIM_CHECK(cth_sleep(*(cth_time *)arg) == CTH_OK);
    leave();
    return CTH_OK;
}

static cth_status after_the_hog(void *arg) {
    const cth_time free_again = started + PERIOD / 2 + *(cth_time *)arg;
    const cth_time now = cth_now();
    enter();
    CTH_SIM_CHECK(now == (due > free_again ? due : free_again));
    due += ((now - due) / PERIOD + 1) * PERIOD;
    leave();
    return ++begun == 3 ? cth_event_set(&event) : CTH_OK;
}

static cth_status held_up(void *arg) {
    cth_time nap = chosen(naps, 6);
    (void)arg;
    fresh();
    due = cth_after(PERIOD);
    set(&timer, true, PERIOD, after_the_hog, &nap);
    set(&other, false, PERIOD / 2, hog, &nap);
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
    CTH_SIM_CHECK(cancel(&timer) == (uint64_t)begun);
    CTH_SIM_CHECK(cancel(&other) == 1);
    service_ended();
    return CTH_OK;
}

/* -- cancel -------------------------------------------------------------------------------------
 */

static cth_status work(void *arg) {
    (void)arg;
    enter();
    begun++;
    CTH_SIM_WRITE(data);
    data++;
    cth_yield();
    if (cth_sim_choose(3) == 0) {
        CTH_SIM_CHECK(cth_sleep(PERIOD / 4) == CTH_OK);
    }
    CTH_SIM_WRITE(data);
    data++;
    over++;
    leave();
    return CTH_OK;
}

/* What a cancel promises when it returns: no run is going on, and what it did can be read. */
static cth_status cancels(void *arg) {
    uint64_t *runs = (uint64_t *)arg;
    if (cth_sim_choose(3) != 0) {
        CTH_SIM_CHECK(cth_sleep(PERIOD * (cth_time)cth_sim_choose(3)) == CTH_OK);
    }
    *runs = cancel(&timer);
    CTH_SIM_READ(data);
    CTH_SIM_CHECK((uint64_t)begun == *runs && over == begun && data == 2 * over);
    return CTH_OK;
}

static cth_status cancel_meets_run(void *arg) {
    static const cth_time spans[] = {0, PERIOD, 2 * PERIOD};
    uint64_t runs[3] = {99, 99, 99};
    (void)arg;
    fresh();
    const bool every = cth_sim_choose(2) != 0;
    set(&timer, every, chosen(spans, 3) + every, work, NULL);
    cth_thread *a = sim_spawn(cancels, &runs[0]);
    cth_thread *b = sim_spawn(cancels, &runs[1]);
    CTH_SIM_CHECK(cancels(&runs[2]) == CTH_OK);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(runs[0] == runs[1] && runs[1] == runs[2]);
    CTH_SIM_CHECK(cth_sleep(4 * PERIOD) == CTH_OK);
    CTH_SIM_CHECK((uint64_t)begun == runs[0] && (every || begun <= 1));
    service_ended();
    return CTH_OK;
}

/* A function cancels its timer, sets it, or both, and works on; another thread cancels. */
static struct {
    bool cancels, sets, every;
    cth_time span;
} way;

static cth_status change_itself(void *arg) {
    (void)arg;
    enter();
    begun++;
    if (way.cancels) {
        CTH_SIM_CHECK(cancel(&timer) >= 1);
    }
    if (way.sets && begun < 4) {
        // Told OK, but in vain, when somebody waits in cancel.
        set(&timer, way.every, way.span + way.every, change_itself, NULL);
    }
    CTH_SIM_WRITE(data);
    data++;
    cth_yield();
    CTH_SIM_WRITE(data);
    over++;
    leave();
    return CTH_OK;
}

static cth_status cancel_meets_change(void *arg) {
    static const cth_time spans[] = {0, PERIOD};
    (void)arg;
    fresh();
    way.cancels = cth_sim_choose(2) != 0;
    way.sets = cth_sim_choose(3) != 0;
    way.every = cth_sim_choose(2) != 0;
    way.span = chosen(spans, 2);
    const bool every = cth_sim_choose(2) != 0;
    set(&timer, every, chosen(spans, 2) + every, change_itself, NULL);
    if (cth_sim_choose(2) != 0) {
        CTH_SIM_CHECK(cth_sleep(PERIOD * (cth_time)cth_sim_choose(3)) == CTH_OK);
    }
    pause_some();
    CTH_SIM_CHECK(cth_timer_cancel(&timer, NULL) == CTH_OK);
    const int runs = begun;
    CTH_SIM_WRITE(data);
    CTH_SIM_CHECK(over == runs);
    sim_gone(&timer, sizeof timer);
    CTH_SIM_CHECK(cth_sleep(4 * PERIOD) == CTH_OK);
    CTH_SIM_CHECK(begun == runs);
    service_ended();
    sim_untouched(&timer, sizeof timer);
    return CTH_OK;
}

/* -- freed --------------------------------------------------------------------------------------
 */

static cth_status freed_after_cancel(void *arg) {
    static const cth_time spans[] = {0, PERIOD};
    (void)arg;
    fresh();
    cth_timer *own = (cth_timer *)calloc(1, sizeof *own);
    CTH_SIM_FRESH(*own);
    const bool every = cth_sim_choose(2) != 0;
    set(own, every, chosen(spans, 2) + every, work, NULL);
    set(&other, false, 2 * PERIOD, announces, &event); // so that there is one left in the heap
    if (cth_sim_choose(2) != 0) {
        CTH_SIM_CHECK(cth_sleep(PERIOD) == CTH_OK);
    }
    pause_some();
    const uint64_t runs = cancel(own);
    sim_gone(own, sizeof *own);
    CTH_SIM_CHECK((uint64_t)over == runs);
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
    service_ended();
    CTH_SIM_CHECK((uint64_t)begun == runs);
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

static cth_status frees_it(void *arg) {
    cth_timer *own = (cth_timer *)arg;
    if (way.cancels) {
        CTH_SIM_CHECK(cancel(own) == 1);
    }
    sim_gone(own, sizeof *own);
    return cth_event_set(&event);
}

static cth_status freed_by_its_function(void *arg) {
    (void)arg;
    fresh();
    cth_timer *own = (cth_timer *)calloc(1, sizeof *own);
    CTH_SIM_FRESH(*own);
    way.every = cth_sim_choose(2) != 0;
    way.cancels = way.every || cth_sim_choose(2) != 0;
    set(own, way.every, PERIOD * (cth_time)cth_sim_choose(2) + way.every, frees_it, own);
    set(&other, true, PERIOD, work, NULL);
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
    (void)cancel(&other);
    service_ended();
    sim_untouched(own, sizeof *own);
    free(own);
    return CTH_OK;
}

/* -- set ----------------------------------------------------------------------------------------
 */

static cth_status runs_once(void *arg) {
    enter();
    CTH_SIM_WRITE(*(int *)arg);
    ++*(int *)arg;
    leave();
    return CTH_OK;
}

static cth_status sets_own(void *arg) {
    cth_timer own = CTH_TIMER_INIT;
    cth_event passed = CTH_EVENT_INIT;
    int runs = 0;
    (void)arg;
    set(&own, false, PERIOD * (cth_time)cth_sim_choose(2), announces, &passed);
    CTH_SIM_CHECK(cth_event_wait(&passed) == CTH_OK);
    CTH_SIM_CHECK(cancel(&own) == 1);
    set(&own, false, PERIOD * (cth_time)cth_sim_choose(2), runs_once, &runs);
    pause_some();
    const uint64_t said = cancel(&own);
    CTH_SIM_READ(runs);
    CTH_SIM_CHECK((uint64_t)runs == said);
    return CTH_OK;
}

/* Timers set by several threads, while the service thread starts, sleeps, runs and ends. */
static cth_status set_by_several(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(sets_own, NULL);
    cth_thread *b = sim_spawn(sets_own, NULL);
    CTH_SIM_CHECK(sets_own(NULL) == CTH_OK);
    sim_join(a);
    sim_join(b);
    service_ended();
    return CTH_OK;
}

static uint32_t service; // number of the thread that ran the latest function

static cth_status note_service(void *arg) {
    const uint32_t id = cth_thread_id(cth_thread_current());
    (void)arg;
    enter();
    CTH_SIM_CHECK(service == 0 || service == id);
    CTH_SIM_CHECK(strcmp(cth_thread_name(cth_thread_current()), "cth-timer") == 0);
    CTH_SIM_CHECK(cth_thread_is_daemon(cth_thread_current()));
    service = id;
    begun++;
    leave();
    return CTH_OK;
}

static cth_status sets_the_other(void *arg) {
    (void)arg;
    set(&other, false, PERIOD, note_service, NULL);
    return CTH_OK;
}

/* Two first timers at once: one service thread starts, and runs both. */
static cth_status one_service(void *arg) {
    (void)arg;
    fresh();
    service = 0;
    cth_thread *t = sim_spawn(sets_the_other, NULL);
    set(&timer, false, PERIOD, note_service, NULL);
    sim_join(t);
    CTH_SIM_CHECK(cth_thread_count() == 2);
    service_ended();
    CTH_SIM_CHECK(begun == 2);
    CTH_SIM_CHECK(cancel(&timer) == 1 && cancel(&other) == 1);
    return CTH_OK;
}

static int settings; // sets that returned CTH_OK

static cth_status work_for_two(void *arg) {
    (void)arg;
    enter();
    CTH_SIM_CHECK(++begun <= settings + 2); // the setter's own count comes behind its call
    cth_yield();
    over++;
    leave();
    return CTH_OK;
}

static cth_status sets_the_same(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        cth_status status;
        do {
            status =
                cth_timer_after(&timer, PERIOD * (cth_time)cth_sim_choose(2), work_for_two, NULL);
        } while (status == CTH_NOMEM || status == CTH_AGAIN);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_BUSY);
        settings += status == CTH_OK;
        pause_some();
    }
    return CTH_OK;
}

/* One timer set by two threads: BUSY, or it runs once more. */
static cth_status busy_or_set(void *arg) {
    (void)arg;
    fresh();
    settings = 0;
    cth_thread *t = sim_spawn(sets_the_same, NULL);
    CTH_SIM_CHECK(sets_the_same(NULL) == CTH_OK);
    sim_join(t);
    CTH_SIM_CHECK(settings >= 1);
    service_ended();
    CTH_SIM_CHECK(begun == settings && over == settings);
    CTH_SIM_CHECK(cancel(&timer) == 1);
    return CTH_OK;
}

/* The heap becomes empty, the service thread ends, and a new timer is set. */
static cth_status set_while_it_ends(void *arg) {
    (void)arg;
    fresh();
    for (int i = 0; i < 3; i++) {
        cth_timer *t = i % 2 == 0 ? &timer : &other;
        (void)cancel(t);
        set(t, false, 0, announces, &event);
        CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
        CTH_SIM_CHECK(cth_event_clear(&event) == CTH_OK);
        pause_some();
    }
    CTH_SIM_CHECK(cancel(&timer) == 1 && cancel(&other) == 1);
    service_ended();
    return CTH_OK;
}

/* So it does when the last one is cancelled; nothing would wake it later. */
static cth_status cancelled_for_ever(void *arg) {
    (void)arg;
    fresh();
    for (int i = 0; i < 2; i++) {
        set(&timer, false, CTH_FOREVER, work, NULL);
        set(&other, true, CTH_FOREVER, work, NULL);
        pause_some();
        CTH_SIM_CHECK(cancel(cth_sim_choose(2) != 0 ? &timer : &other) == 0);
        CTH_SIM_CHECK(cancel(&timer) == 0 && cancel(&other) == 0);
    }
    service_ended();
    CTH_SIM_CHECK(begun == 0);
    return CTH_OK;
}

/* -- failing functions --------------------------------------------------------------------------
 */

static int hook_calls;

static void hook(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)arg;
    CTH_SIM_CHECK(strcmp(cth_thread_name(thread), "cth-timer") == 0);
    CTH_SIM_CHECK(status == CTH_BROKEN && strcmp(message, "the second") == 0);
    hook_calls++;
}

static cth_status fails_second(void *arg) {
    (void)arg;
    enter();
    begun++;
    leave();
    return begun == 2 ? cth_fail(CTH_BROKEN, "the %s", "second") : CTH_OK;
}

static cth_status failure_ends_it(void *arg) {
    (void)arg;
    fresh();
    hook_calls = 0;
    cth_thread_set_hook(hook, NULL);
    set(&timer, true, PERIOD, fails_second, NULL);
    CTH_SIM_CHECK(cth_sleep(PERIOD * (cth_time)cth_sim_choose(5)) == CTH_OK);
    const uint64_t runs = cancel(&timer);
    CTH_SIM_CHECK((uint64_t)begun == runs && runs <= 2);
    CTH_SIM_CHECK(hook_calls == (runs == 2));
    service_ended();
    CTH_SIM_CHECK((uint64_t)begun == runs);
    CTH_SIM_CHECK(cancel(&timer) == runs);
    return CTH_OK;
}

/* -- all of it ----------------------------------------------------------------------------------
 */

static cth_status busy_function(void *arg) {
    cth_timer *t = (cth_timer *)arg;
    enter();
    over++;
    switch (cth_sim_choose(5)) {
    case 0: (void)cancel(t); break;
    case 1: (void)!cth_timer_after(t, 0, busy_function, t); break;
    case 2: (void)cancel(t == &timer ? &other : &timer); break;
    case 3: (void)!cth_timer_after(t == &timer ? &other : &timer, 0, busy_function, t); break;
    default: cth_yield(); break;
    }
    leave();
    return CTH_OK;
}

static cth_status busy_thread(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cth_timer *t = cth_sim_choose(2) != 0 ? &timer : &other;
        const cth_time span = PERIOD * (cth_time)cth_sim_choose(2);
        switch (cth_sim_choose(3)) {
        case 0: (void)!cth_timer_after(t, span, busy_function, t); break;
        case 1: (void)!cth_timer_every(t, span + 1, busy_function, t); break;
        default: (void)cancel(t); break;
        }
    }
    return CTH_OK;
}

static cth_status storm(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(busy_thread, NULL);
    CTH_SIM_CHECK(busy_thread(NULL) == CTH_OK);
    sim_join(t);
    // A function of the one may set the other one again.
    do {
        (void)cancel(&timer);
        (void)cancel(&other);
    } while (cth__g.timer_root != NULL || cth__g.timer_now != NULL);
    const int runs = over;
    CTH_SIM_CHECK(cth_sleep(4 * PERIOD) == CTH_OK);
    CTH_SIM_CHECK(over == runs && inside == 0);
    service_ended();
    return CTH_OK;
}

static void passes_due_times(void) {
    SIM_PASS(in_order, 0, 3000);
    SIM_PASS(in_order, CTH_SIM_SPURIOUS | CTH_SIM_ALLOC | CTH_SIM_THREADS, 1000);
    SIM_PASS(an_earlier_one, 0, 4000);
    SIM_PASS(an_earlier_one, CTH_SIM_SPURIOUS, 1000);
}
static void passes_repeated(void) {
    SIM_PASS(no_drift, 0, 2000);
    SIM_PASS(no_drift, CTH_SIM_SPURIOUS, 1000);
    SIM_PASS(held_up, 0, 2000);
}
static void passes_cancel(void) {
    SIM_PASS(cancel_meets_run, 0, 3000);
    SIM_PASS(cancel_meets_run, SIM_ALL, 2000);
    SIM_PASS(cancel_meets_change, 0, 4000);
    SIM_PASS(cancel_meets_change, SIM_ALL, 3000);
}
static void passes_freed(void) {
    SIM_PASS(freed_after_cancel, SIM_WAITS, 4000);
    SIM_PASS(freed_after_cancel, SIM_ALL, 1000);
    SIM_PASS(freed_by_its_function, SIM_WAITS, 3000);
}
static void passes_set(void) {
    SIM_PASS(set_by_several, SIM_WAITS, 2000);
    SIM_PASS(set_by_several, SIM_ALL, 2000);
    SIM_PASS(one_service, 0, 3000);
    SIM_PASS(one_service, CTH_SIM_ALLOC | CTH_SIM_THREADS, 2000);
    SIM_PASS(busy_or_set, SIM_ALL, 3000);
}
static void passes_end_of_service(void) {
    SIM_PASS(set_while_it_ends, SIM_WAITS, 4000);
    SIM_PASS(set_while_it_ends, SIM_ALL, 2000);
    SIM_PASS(cancelled_for_ever, SIM_ALL, 3000);
}
static void passes_failures(void) {
    SIM_PASS(failure_ends_it, 0, 1000);
    SIM_PASS(failure_ends_it, CTH_SIM_SPURIOUS, 1000);
}
static void passes_storm(void) {
    SIM_PASS(storm, SIM_ALL, 5000);
}

/* -- complete -----------------------------------------------------------------------------------
 */

/* Not explored: the start of the service thread. Its part begins with its first function. */
static void set_calmly(cth_timer *t, cth_timer_fn fn) {
    cth_sim_explore(!sim_calm);
    set(t, false, 0, fn, NULL);
    cth_sim_explore(true);
}

static void wait_calmly(void) {
    cth_sim_explore(!sim_calm);
    CTH_SIM_CHECK(cth_event_wait(&event) == CTH_OK);
    CTH_SIM_CHECK(cth_event_clear(&event) == CTH_OK);
    cth_sim_explore(true);
}

static void end_calmly(void) {
    cth_sim_explore(!sim_calm);
    service_ended();
    cth_sim_explore(true);
}

static cth_status explored_run(void *arg) {
    (void)arg;
    CTH_SIM_WRITE(data);
    data++;
    begun++;
    return CTH_OK;
}

static cth_status explored_begin(void *arg) {
    (void)arg;
    cth_sim_explore(true);
    begun++;
    return cth_event_set(&event);
}

/* A cancel before, during and after the run, and the end of the service thread. */
static cth_status cancel_or_run(void *arg) {
    (void)arg;
    fresh();
    set_calmly(&other, explored_begin);
    set_calmly(&timer, explored_run);
    wait_calmly();
    const uint64_t runs = cancel(&timer);
    CTH_SIM_READ(data);
    CTH_SIM_CHECK((uint64_t)data == runs);
    sim_gone(&timer, sizeof timer);
    end_calmly();
    sim_untouched(&timer, sizeof timer);
    CTH_SIM_CHECK((uint64_t)data == runs && begun == 1 + data);
    return CTH_OK;
}

/* The service thread ends, or takes on what is set meanwhile. */
static cth_status set_or_end(void *arg) {
    (void)arg;
    fresh();
    set_calmly(&timer, explored_begin);
    wait_calmly();
    set(&other, false, 0, explored_begin, NULL);
    wait_calmly();
    CTH_SIM_CHECK(cancel(&timer) == 1 && cancel(&other) == 1);
    end_calmly();
    CTH_SIM_CHECK(begun == 2);
    return CTH_OK;
}

static void complete(void) {
    SIM_COMPLETE(cancel_or_run, 0);
    SIM_COMPLETE(set_or_end, 0);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

static struct {
    cth_mutex lock;
    cth_cond changed;
    bool serving, running, rearms;
    int pending, runs;
    cth_time due;
} toy;

static void toy_fresh(void) {
    memset(&toy, 0, sizeof toy);
    fresh();
}

/* Bug: the service thread decides to end under the lock, and says so after it. Who sets a timer in
   between leaves it to a service thread that is gone. */
static cth_status toy_service(void *arg) {
    bool more = true;
    (void)arg;
    while (more) {
        CTH_WITH(&toy.lock) {
            more = toy.pending > 0;
            if (more) {
                toy.pending--;
                toy.runs++;
                CTH_SIM_CHECK(cth_cond_notify_all(&toy.changed) == CTH_OK);
            } else if (!planted) {
                toy.serving = false;
            }
        }
    }
    if (planted) {
        CTH_WITH(&toy.lock) {
            toy.serving = false;
        }
    }
    return CTH_OK;
}

static void toy_set(void) {
    bool start = false;
    CTH_WITH(&toy.lock) {
        toy.pending++;
        start = !toy.serving;
        toy.serving = true;
    }
    if (start) {
        cth_thread_release(sim_spawn(toy_service, NULL));
    }
}

static cth_status ends_outside_the_lock(void *arg) {
    (void)arg;
    toy_fresh();
    for (int i = 1; i <= 2; i++) {
        toy_set();
        CTH_WITH(&toy.lock) {
            CTH_WAIT_WHILE(&toy.changed, &toy.lock, toy.runs < i);
        }
    }
    CTH_SIM_CHECK(cth_thread_join_all(CTH_FOREVER) == CTH_OK);
    return CTH_OK;
}

/* Bug: a cancel that takes the timer out of the queue and does not wait for a function that runs
   already: what that works on is freed under it. */
static cth_status toy_run(void *arg) {
    bool run = false;
    (void)arg;
    CTH_WITH(&toy.lock) {
        run = toy.pending > 0;
        toy.pending = 0;
        toy.running = run;
    }
    if (run) {
        if (toy.rearms) {
            CTH_WITH(&toy.lock) {
                toy.pending = 1;
                toy.running = !planted;
            }
        }
        CTH_SIM_READ(data);
        CTH_WITH(&toy.lock) {
            toy.running = false;
            CTH_SIM_CHECK(cth_cond_notify_all(&toy.changed) == CTH_OK);
        }
    }
    return CTH_OK;
}

static cth_status toy_cancel(bool waits) {
    toy.pending = 1;
    cth_thread *t = sim_spawn(toy_run, NULL);
    CTH_WITH(&toy.lock) {
        toy.pending = 0;
        CTH_WAIT_WHILE(&toy.changed, &toy.lock, waits && toy.running);
        toy.pending = 0;
    }
    CTH_SIM_FREED(data);
    sim_join(t);
    CTH_SIM_FRESH(data);
    return CTH_OK;
}

static cth_status cancel_does_not_wait(void *arg) {
    (void)arg;
    toy_fresh();
    return toy_cancel(!planted);
}

/* Bug: a function that sets its own timer again no longer counts as running, so a cancel does not
   wait for the rest of it. */
static cth_status rearmed_is_not_waited_for(void *arg) {
    (void)arg;
    toy_fresh();
    toy.rearms = true;
    return toy_cancel(true);
}

/* Bug: whoever sets an earlier timer does not wake the service thread, which sleeps for a later
   one. */
static cth_status toy_sleeper(void *arg) {
    (void)arg;
    CTH_WITH(&toy.lock) {
        while (cth_now() < toy.due) {
            (void)!cth_cond_wait_until(&toy.changed, &toy.lock, toy.due);
        }
        CTH_SIM_CHECK(cth_now() == toy.due);
    }
    return CTH_OK;
}

static cth_status earlier_does_not_wake(void *arg) {
    (void)arg;
    toy_fresh();
    toy.due = started + 3 * PERIOD;
    cth_thread *t = sim_spawn(toy_sleeper, NULL);
    CTH_WITH(&toy.lock) {
        toy.due = started + PERIOD;
    }
    if (!planted) {
        CTH_SIM_CHECK(cth_cond_notify_all(&toy.changed) == CTH_OK);
    }
    sim_join(t);
    return CTH_OK;
}

static void finds_end_outside_the_lock(void) {
    SIM_FOUND(ends_outside_the_lock, 0, "deadlock");
}
static void finds_cancel_that_does_not_wait(void) {
    SIM_FOUND(cancel_does_not_wait, 0, "freed");
}
static void finds_rearmed_not_waited_for(void) {
    SIM_FOUND(rearmed_is_not_waited_for, 0, "freed");
}
static void finds_earlier_that_does_not_wake(void) {
    SIM_FOUND(earlier_does_not_wake, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_due_times),
    TEST(passes_repeated),
    TEST(passes_cancel),
    TEST(passes_freed),
    TEST(passes_set),
    TEST(passes_end_of_service),
    TEST(passes_failures),
    TEST(passes_storm),
    TEST(complete),
    TEST(finds_end_outside_the_lock),
    TEST(finds_cancel_that_does_not_wait),
    TEST(finds_rearmed_not_waited_for),
    TEST(finds_earlier_that_does_not_wake),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
