/* sim_local.c - objects of threads under many schedules, and bugs with them that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

struct object {
    uint32_t owner; // the id of the thread
    int uses;
};

static int opened, closed; // changed between scheduling points only
static int refused;        // opens that failed
static bool may_refuse;
static cth_local local, second;

static cth_status object_open(void *p) {
    struct object *o = (struct object *)p;
    CTH_SIM_CHECK(o->owner == 0 && o->uses == 0);
    if (may_refuse && cth_sim_choose(3) == 0) {
        refused++;
        return CTH_FAILED;
    }
    o->owner = cth_thread_id(cth_thread_current());
    opened++;
    return CTH_OK;
}

static void object_close(void *p) {
    struct object *o = (struct object *)p;
    CTH_SIM_CHECK(o->owner != 0);
    o->owner = 0;
    closed++;
}

static void fresh(void) {
    static const cth_local init = CTH_LOCAL_INIT(sizeof(struct object), object_open, object_close);
    local = second = init;
    opened = closed = refused = 0;
    may_refuse = false;
    sim_begin();
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static struct object *get(cth_local *from) {
    struct object *o;
    while ((o = (struct object *)cth_local_get(from)) == NULL) {
    }
    return o;
}

static cth_status uses_local(void *arg) {
    (void)arg;
    struct object *o = get(&local);
    for (int i = 0; i < 3; i++) {
        CTH_SIM_CHECK(get(&local) == o);
        CTH_SIM_CHECK(o->owner == cth_thread_id(cth_thread_current()));
        CTH_SIM_CHECK(o->uses == i);
        o->uses++;
        cth_yield();
    }
    CTH_SIM_CHECK(get(&second) != o && get(&local) == o);
    return CTH_OK;
}

static cth_status silent(void *arg) {
    (void)arg;
    return CTH_OK;
}

/* Each thread has its own object, closed once when the thread ends, before a join returns. */
static cth_status closed_once(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    may_refuse = true;
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(i < 2 ? uses_local : silent, NULL);
    }
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(opened == 4 && closed == 4);
    (void)get(&local);
    CTH_SIM_CHECK(opened == 5);
    cth_local_destroy(&local);
    cth_local_destroy(&second);
    CTH_SIM_CHECK(closed == 5);
    return CTH_OK;
}

static cth_event got, leave;

static cth_status keeps_object(void *arg) {
    (void)arg;
    (void)get(&local);
    CTH_SIM_CHECK(cth_event_set(&got) == CTH_OK);
    return cth_event_wait(&leave);
}

/* A destroy closes the objects of threads that still live; their end does not close them again. */
static cth_status destroyed_before_end(void *arg) {
    static const cth_event no_event = CTH_EVENT_INIT;
    (void)arg;
    fresh();
    got = leave = no_event;
    cth_thread *t = sim_spawn(keeps_object, NULL);
    cth_thread *u = sim_spawn(silent, NULL); // comes and goes meanwhile
    CTH_SIM_CHECK(cth_event_wait(&got) == CTH_OK);
    cth_local_destroy(&local);
    CTH_SIM_CHECK(opened == 1 && closed == 1);
    CTH_SIM_CHECK(cth_event_set(&leave) == CTH_OK);
    sim_join(t);
    sim_join(u);
    CTH_SIM_CHECK(closed == 1);
    return CTH_OK;
}

static cth_status uses_own_local(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        cth_local own = CTH_LOCAL_INIT(sizeof(struct object), object_open, object_close);
        CTH_SIM_CHECK(get(&own)->uses++ == 0);
        CTH_SIM_CHECK(get(&local)->uses++ == i);
        cth_local_destroy(&own);
    }
    return CTH_OK;
}

/* Locals that come and go in several threads at once, on slots used before. */
static cth_status come_and_go(void *arg) {
    (void)arg;
    fresh();
    sim_together(uses_own_local, NULL, 2);
    CTH_SIM_CHECK(opened == 6 && closed == 6);
    sim_together(uses_own_local, NULL, 1);
    cth_local_destroy(&local);
    CTH_SIM_CHECK(opened == closed);
    return CTH_OK;
}

static void reopen_close(void *p) {
    object_close(p);
    if (opened < 4) { // a destructor that uses another local makes it anew
        (void)cth_local_get(&second);
    }
}

static cth_status uses_reopening(void *arg) {
    (void)get((cth_local *)arg);
    return CTH_OK;
}

static cth_status closing_opens(void *arg) {
    cth_local reopening = CTH_LOCAL_INIT(sizeof(struct object), object_open, reopen_close);
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(uses_reopening, &reopening);
    sim_join(t);
    CTH_SIM_CHECK(opened == 2 && closed == 2);
    cth_local_destroy(&reopening);
    cth_local_destroy(&second);
    return CTH_OK;
}

static void passes_closed_once(void) {
    SIM_PASS(closed_once, SIM_WAITS, 1000);
    SIM_PASS(closed_once, SIM_ALL, 600);
}
static void passes_destroyed_before_end(void) {
    SIM_PASS(destroyed_before_end, SIM_WAITS, 2000);
    SIM_PASS(destroyed_before_end, SIM_ALL, 1000);
}
static void passes_come_and_go(void) {
    SIM_PASS(come_and_go, SIM_WAITS, 1200);
    SIM_PASS(come_and_go, SIM_ALL, 700);
}
static void passes_closing_opens(void) {
    SIM_PASS(closing_opens, SIM_WAITS, 1500);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

static struct object *borrowed;

/* Bug: an object of one thread is handed to another, which uses it after its owner has ended. */
static cth_status lends(void *arg) {
    (void)arg;
    static struct object kept;
    struct object *o = get(&local);
    kept = *o;
    borrowed = planted ? o : &kept;
    return cth_event_set(&got);
}

static void close_marks(void *p) {
    object_close(p);
    if (p == borrowed) {
        borrowed = NULL;
    }
}

static cth_status outlives_its_owner(void *arg) {
    static const cth_event no_event = CTH_EVENT_INIT;
    (void)arg;
    fresh();
    got = no_event;
    local.close = close_marks;
    cth_thread *t = sim_spawn(lends, NULL);
    CTH_SIM_CHECK(cth_event_wait(&got) == CTH_OK);
    cth_yield();
    CTH_SIM_CHECK(borrowed != NULL && borrowed->owner != 0);
    sim_join(t);
    return CTH_OK;
}

/* Bug: what an object owns is not given back, for there is no close function. */
static cth_status owns_a_handle(void *arg) {
    cth_thread **t = (cth_thread **)get(&second);
    (void)arg;
    return cth_thread_create(t, silent, NULL, NULL);
}

static void close_handle(void *p) {
    cth_thread_release(*(cth_thread **)p);
}

static cth_status no_close(void *arg) {
    (void)arg;
    fresh();
    second.size = sizeof(cth_thread *);
    second.open = NULL;
    second.close = planted ? NULL : close_handle;
    sim_together(owns_a_handle, NULL, 1);
    return CTH_OK;
}

static void finds_object_that_outlives_its_owner(void) {
    SIM_FOUND(outlives_its_owner, 0, "check");
}
static void finds_missing_close(void) {
    SIM_FOUND(no_close, 0, "memory left");
}

static const test_case tests[] = {
    TEST(passes_closed_once),
    TEST(passes_destroyed_before_end),
    TEST(passes_come_and_go),
    TEST(passes_closing_opens),
    TEST(finds_object_that_outlives_its_owner),
    TEST(finds_missing_close),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
