/* test_future.c - futures: callbacks, tasks after tasks, waiting for several, select

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static cth_executor *pool_of(uint32_t workers) {
    cth_executor *pool = NULL;
    CHECK_STATUS(cth_executor_create(&pool, &(cth_executor_desc){.workers = workers}), CTH_OK);
    return pool;
}

static void pool_end(cth_executor *pool) {
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    cth_executor_release(pool);
}

typedef struct gate {
    cth_event open;
    atomic_int entered;
    cth_status status; // what who passes it returns
} gate;

static cth_status passes(void *arg, void *result) {
    gate *g = *(gate **)arg;
    atomic_fetch_add(&g->entered, 1);
    CHECK_STATUS(cth_event_wait(&g->open), CTH_OK);
    *(int *)result = 7;
    return g->status == CTH_OK ? CTH_OK : cth_fail(g->status, "not through");
}

static cth_future *submit(cth_executor *pool, gate *g) {
    cth_future *future = NULL;
    CHECK_STATUS(cth_submit(pool, &future, passes, &g, sizeof g, sizeof(int)), CTH_OK);
    return future;
}

static cth_future *then(cth_future *first, cth_task_fn fn) {
    cth_future *future = NULL;
    CHECK_STATUS(cth_future_then(first, &future, fn, sizeof(int)), CTH_OK);
    return future;
}

static cth_status doubles(void *arg, void *result) {
    *(int *)result = (int)(2 * *(unsigned *)arg); // wraps in long chains
    return CTH_OK;
}

static cth_status refuses(void *arg, void *result) {
    (void)arg;
    (void)result;
    return cth_fail(CTH_CLOSED, "refused");
}

/* One way for a task to end, and what is seen then. */
typedef enum ending { VALUE, ERROR, CANCELLED, SHUTDOWN, BROKEN, ENDINGS } ending;

static const cth_status statuses[ENDINGS] = {CTH_OK, CTH_FAILED, CTH_CANCELLED, CTH_SHUTDOWN,
                                             CTH_BROKEN};
static const char *const texts[ENDINGS] = {"", "not through", "cancelled", "shut down",
                                           "on_start of a worker: no luck"};

static atomic_int first_worker;

static cth_status starts_once(void *arg) {
    gate *g = (gate *)arg;
    if (atomic_fetch_add(&first_worker, 1) == 0) {
        return CTH_OK;
    }
    CHECK_STATUS(cth_event_wait(&g->open), CTH_OK);
    return cth_fail(CTH_NOMEM, "no luck");
}

/* A task about to end in the way `how` says, in a pool with a busy worker. */
typedef struct scene {
    ending how;
    cth_executor *pool;
    gate busy, mine, broken;
    cth_future *before, *future;
} scene;

static void scene_begin(scene *s, ending how) {
    memset(s, 0, sizeof *s);
    s->how = how;
    s->mine.status = how == ERROR ? CTH_FAILED : CTH_OK;
    atomic_store(&first_worker, 0);
    const cth_executor_desc desc = {.workers = how == BROKEN ? 2 : 1,
                                    .on_start = how == BROKEN ? starts_once : NULL,
                                    .arg = &s->broken};
    CHECK_STATUS(cth_executor_create(&s->pool, &desc), CTH_OK);
    s->before = submit(s->pool, &s->busy);
    test_reach(&s->busy.entered, 1);
    s->future = submit(s->pool, &s->mine); // the second worker will break the pool
}

static void scene_act(scene *s) {
    switch (s->how) {
    case CANCELLED: CHECK_STATUS(cth_future_cancel(s->future), CTH_OK); break;
    case SHUTDOWN:
        CHECK_STATUS(cth_executor_shutdown_until(s->pool, CTH_NOW, 0), CTH_TIMEDOUT);
        break;
    case BROKEN: CHECK_STATUS(cth_event_set(&s->broken.open), CTH_OK); break;
    default:
        CHECK_STATUS(cth_event_set(&s->mine.open), CTH_OK);
        CHECK_STATUS(cth_event_set(&s->busy.open), CTH_OK);
        break;
    }
}

static void scene_end(scene *s) {
    CHECK_STATUS(cth_event_set(&s->busy.open), CTH_OK);
    CHECK_STATUS(cth_event_set(&s->broken.open), CTH_OK);
    CHECK_STATUS(cth_future_result(s->before, NULL), CTH_OK);
    cth_future_release(s->before);
    cth_future_release(s->future);
    pool_end(s->pool);
}

static void ended_as(cth_future *future, ending how) {
    CHECK(cth_future_is_done(future) && !cth_future_is_running(future));
    CHECK_STATUS(cth_future_try_result(future, NULL), statuses[how]);
    CHECK_STR(cth_future_error(future), texts[how]);
    CHECK_STATUS(cth_future_cancel(future), how == CANCELLED ? CTH_OK : CTH_BUSY);
}

/* -- callbacks -----------------------------------------------------------------------------------
 */

typedef struct note {
    atomic_int calls;
    int place; // in which order it was called
    cth_thread *by;
    cth_event called;
} note;

static atomic_int places;

static void notes(cth_future *future, void *arg) {
    note *n = (note *)arg;
    CHECK(cth_future_is_done(future));
    n->place = atomic_fetch_add(&places, 1);
    n->by = cth_thread_current();
    atomic_fetch_add(&n->calls, 1);
    CHECK_STATUS(cth_event_set(&n->called), CTH_OK);
}

static void callbacks_are_called_once(void) {
    for (ending how = VALUE; how < ENDINGS; how++) {
        scene s;
        note first[3] = {{0}}, late = {0};
        scene_begin(&s, how);
        atomic_store(&places, 0);
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(cth_future_add_done_callback(s.future, notes, &first[i]), CTH_OK);
        }
        CHECK_STATUS(cth_future_add_done_callback(s.future, NULL, NULL), CTH_INVALID);
        CHECK_EQ(atomic_load(&first[0].calls), 0);
        scene_act(&s);
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(cth_event_wait(&first[i].called), CTH_OK);
            CHECK_EQ(first[i].place, i);
            CHECK((first[i].by == cth_thread_main()) == (how == CANCELLED || how == SHUTDOWN));
        }
        ended_as(s.future, how);
        CHECK_STATUS(cth_future_add_done_callback(s.future, notes, &late), CTH_OK);
        CHECK_EQ(atomic_load(&late.calls), 1);
        CHECK(late.by == cth_thread_main());
        scene_end(&s);
        CHECK_EQ(atomic_load(&first[0].calls) + atomic_load(&first[2].calls), 2);
    }
}

static void releases(cth_future *future, void *arg) {
    (void)arg;
    cth_future_release(future);
}

static void shuts_down(cth_future *future, void *arg) {
    (void)future;
    CHECK_STATUS(cth_executor_shutdown((cth_executor *)arg, CTH_DRAIN), CTH_OK);
}

static void submits(cth_future *future, void *arg) {
    const int n = 21;
    (void)future;
    cth_future *next = NULL;
    CHECK_STATUS(cth_submit((cth_executor *)arg, &next, doubles, &n, sizeof n, sizeof n), CTH_OK);
    int got = 0;
    CHECK_STATUS(cth_future_result(next, &got), CTH_OK);
    CHECK_EQ(got, 42);
    cth_future_release(next);
    (void)cth_fail(CTH_FAILED, "text of the callback");
}

/* No lock is held, and the last reference may go. */
static void callbacks_may_do_anything(void) {
    for (int round = 0; round < 2; round++) {
        cth_executor *pool = pool_of(1);
        gate g = {.open = CTH_EVENT_INIT};
        note n = {0};
        cth_future *future = submit(pool, &g);
        if (round == 0) {
            test_reach(&g.entered, 1); // a worker runs it, else this thread
        }
        CHECK_STATUS(cth_future_add_done_callback(future, submits, pool), CTH_OK);
        CHECK_STATUS(cth_future_add_done_callback(future, notes, &n), CTH_OK);
        CHECK_STATUS(cth_future_add_done_callback(future, shuts_down, pool), CTH_OK);
        CHECK_STATUS(cth_future_add_done_callback(cth_future_retain(future), releases, NULL),
                     CTH_OK);
        CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
        (void)cth_fail(CTH_FAILED, "my own");
        CHECK_STATUS(cth_future_result(future, NULL), CTH_OK);
        CHECK_STR(cth_error_text(), "my own");
        CHECK_STATUS(cth_event_wait(&n.called), CTH_OK); // after that the pool may be shut down
        cth_future_release(future);
        pool_end(pool);
    }
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *only = submit(pool, &g);
    CHECK_STATUS(cth_future_add_done_callback(only, releases, NULL), CTH_OK);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    pool_end(pool); // waits for the callback too
}

/* A shutdown returns after the callbacks of what ran. */
static void shutdown_waits_for_callbacks(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    note n = {0};
    cth_future *future = submit(pool, &g);
    CHECK_STATUS(cth_future_add_done_callback(future, notes, &n), CTH_OK);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    CHECK_EQ(atomic_load(&n.calls), 1);
    cth_future_release(future);
    cth_executor_release(pool);
}

static void runs_are_seen(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *first = submit(pool, &g);
    test_reach(&g.entered, 1);
    cth_future *second = submit(pool, &g);
    CHECK(cth_future_is_running(first) && !cth_future_is_running(second));
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_future_result(second, NULL), CTH_OK);
    CHECK_STATUS(cth_future_result(first, NULL), CTH_OK);
    CHECK(!cth_future_is_running(first) && !cth_future_is_running(second));
    cth_future_release(first);
    cth_future_release(second);
    pool_end(pool);
}

/* -- then ----------------------------------------------------------------------------------------
 */

static void then_follows_each_ending(void) {
    for (ending how = VALUE; how < ENDINGS; how++) {
        for (int late = 0; late < 2; late++) {
            scene s;
            cth_future *second = NULL, *third = NULL;
            note n = {0};
            int got = -1;
            scene_begin(&s, how);
            if (late == 1) {
                scene_act(&s);
                CHECK_STATUS(cth_event_wait(cth_future_event(s.future)), CTH_OK);
            }
            const cth_status status = cth_future_then(s.future, &second, doubles, sizeof(int));
            if (late == 1 && (how == SHUTDOWN || how == BROKEN)) {
                CHECK_STATUS(status, statuses[how]); // takes no more tasks
                CHECK(second == NULL);
                scene_end(&s);
                continue;
            }
            CHECK_STATUS(status, CTH_OK);
            third = then(second, doubles);
            CHECK_STATUS(cth_future_add_done_callback(third, notes, &n), CTH_OK);
            if (late == 0) {
                CHECK(!cth_future_is_done(second) && !cth_future_is_running(second));
                scene_act(&s);
            }
            if (how != VALUE && how != ERROR) { // else this thread would run it
                CHECK_STATUS(cth_event_wait(cth_future_event(third)), CTH_OK);
            }
            CHECK_STATUS(cth_event_set(&s.busy.open), CTH_OK);
            CHECK_STATUS(cth_event_set(&s.mine.open), CTH_OK);
            CHECK_STATUS(cth_future_result(third, &got), statuses[how]);
            CHECK_EQ(got, how == VALUE ? 28 : -1);
            CHECK_STATUS(cth_event_wait(&n.called), CTH_OK);
            ended_as(s.future, how);
            ended_as(second, how);
            ended_as(third, how);
            cth_future_release(second);
            cth_future_release(third);
            scene_end(&s);
        }
    }
}

static void then_refuses(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *first = submit(pool, &g), *second = NULL;
    CHECK_STATUS(cth_future_then(first, &second, NULL, 0), CTH_INVALID);
    CHECK_STATUS(cth_future_then(first, &second, doubles, SIZE_MAX / 4 + 1), CTH_INVALID);
    CHECK_STATUS(cth_executor_shutdown_until(pool, CTH_DRAIN, 0), CTH_TIMEDOUT);
    CHECK_STATUS(cth_future_then(first, &second, doubles, sizeof(int)), CTH_SHUTDOWN);
    CHECK(second == NULL);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    cth_future_release(first);
    pool_end(pool);
}

/* What waits can be cancelled, what it waits for goes on. */
static void then_is_cancelled(void) {
    cth_executor *pool = pool_of(1);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *first = submit(pool, &g);
    cth_future *second = then(first, doubles), *third = then(second, doubles);
    CHECK_STATUS(cth_future_cancel(second), CTH_OK);
    ended_as(second, CANCELLED);
    ended_as(third, CANCELLED);
    CHECK(!cth_future_is_done(first));
    CHECK_STATUS(cth_future_then(first, NULL, doubles, sizeof(int)), CTH_OK);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_future_result(first, NULL), CTH_OK);
    cth_future_release(first);
    cth_future_release(second);
    cth_future_release(third);
    pool_end(pool);
}

/* A drain does all of a chain, whoever runs its parts; now drops what has not begun. */
static void then_at_a_shutdown(void) {
    for (int now = 0; now < 2; now++) {
        cth_executor *pool = pool_of(2);
        gate g = {.open = CTH_EVENT_INIT};
        cth_future *first = submit(pool, &g);
        test_reach(&g.entered, 1);
        cth_future *second = then(first, doubles), *third = then(second, doubles);
        const cth_shutdown how = now == 0 ? CTH_DRAIN : CTH_NOW;
        CHECK_STATUS(cth_executor_shutdown_until(pool, how, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        CHECK(!cth_future_is_done(third));
        CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
        CHECK_STATUS(cth_executor_shutdown(pool, how), CTH_OK);
        ended_as(first, VALUE);
        ended_as(third, now == 0 ? VALUE : SHUTDOWN);
        cth_future_release(first);
        cth_future_release(second);
        cth_future_release(third);
        cth_executor_release(pool);
    }
}

static cth_status waits_for_third(void *arg, void *result) {
    cth_future *future = *(cth_future **)arg;
    *(int *)result = -1;
    return cth_future_result(future, result);
}

/* The only worker waits for a chain that nobody has started: it runs it. */
static void waiter_runs_a_chain(void) {
    enum { LINKS = 200 };
    cth_executor *pool = pool_of(1);
    gate busy = {.open = CTH_EVENT_INIT}, g = {.open = CTH_EVENT_INIT};
    cth_future *before = submit(pool, &busy), *chain[LINKS];
    test_reach(&busy.entered, 1);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    cth_future *waits = NULL;
    cth_future *first = submit(pool, &g);
    CHECK_STATUS(cth_future_cancel(first), CTH_OK); // so that the task below comes before the chain
    cth_future_release(first);
    static cth_future *last;
    gate start = {.open = CTH_EVENT_INIT};
    first = submit(pool, &start);
    CHECK_STATUS(cth_event_set(&start.open), CTH_OK);
    for (int i = 0; i < LINKS; i++) {
        chain[i] = then(i == 0 ? first : chain[i - 1], i < 10  ? doubles
                                                       : i % 2 ? refuses
                                                               : doubles);
    }
    last = chain[9];
    CHECK_STATUS(cth_submit(pool, &waits, waits_for_third, &last, sizeof last, sizeof(int)),
                 CTH_OK);
    int got = 0;
    CHECK_STATUS(cth_future_result(waits, &got), CTH_OK); // by this thread: the worker is busy
    CHECK_EQ(got, 7 << 10);
    CHECK_STATUS(cth_event_set(&busy.open), CTH_OK);
    CHECK_STATUS(cth_future_result(chain[LINKS - 1], NULL), CTH_CLOSED);
    for (int i = 0; i < LINKS; i++) {
        CHECK_STATUS(cth_future_result(chain[i], NULL), i <= 10 ? CTH_OK : CTH_CLOSED);
        cth_future_release(chain[i]);
    }
    cth_future_release(first);
    cth_future_release(waits);
    cth_future_release(before);
    pool_end(pool);
}

/* An error goes down a chain of any length without using up the stack. */
static void long_chains(void) {
    enum { LINKS = 100000 };
    for (int how = 0; how < 2; how++) {
        cth_executor *pool = pool_of(1);
        gate g = {.open = CTH_EVENT_INIT, .status = how == 0 ? CTH_FAILED : CTH_OK};
        cth_future *first = submit(pool, &g), *at = cth_future_retain(first);
        test_reach(&g.entered, 1);
        for (int i = 0; i < LINKS; i++) {
            cth_future *next = then(at, doubles);
            cth_future_release(at);
            at = next;
        }
        CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
        CHECK_STATUS(cth_future_result_until(at, NULL, cth_after(CTH_S(500))),
                     how == 0 ? CTH_FAILED : CTH_OK);
        cth_future_release(at);
        cth_future_release(first);
        pool_end(pool);
    }
}

/* A task that a waiting thread runs, outside of the workers. */
typedef struct outside {
    scene s; // its future is the task
    cth_future *second;
    cth_thread *helper;
} outside;

static cth_status waits_for_result(void *arg) {
    return cth_future_result((cth_future *)arg, NULL);
}

static void outside_begin(outside *o, void (*callback)(cth_future *future, void *arg), void *arg) {
    scene_begin(&o->s, VALUE);
    o->second = then(o->s.future, doubles);
    if (callback != NULL) {
        CHECK_STATUS(cth_future_add_done_callback(o->s.future, callback, arg), CTH_OK);
    }
    o->helper = test_spawn(waits_for_result, o->s.future);
    test_reach(&o->s.mine.entered, 1);
    CHECK_STATUS(cth_event_set(&o->s.busy.open), CTH_OK); // the worker has nothing to do now
    CHECK_STATUS(cth_event_wait(cth_future_event(o->s.before)), CTH_OK);
}

static void outside_end(outside *o) {
    CHECK_STATUS(test_join(o->helper), CTH_OK);
    CHECK_STATUS(cth_future_result(o->second, NULL), CTH_OK);
    cth_future_release(o->second);
    scene_end(&o->s);
}

/* The worker stays for what waits, although it is shut and there is nothing to do. */
static void worker_stays_for_what_waits(void) {
    outside o;
    cth_executor_counts c = {0};
    outside_begin(&o, NULL, NULL);
    CHECK_STATUS(cth_executor_shutdown_until(o.s.pool, CTH_DRAIN, cth_after(CTH_MS(20))),
                 CTH_TIMEDOUT);
    CHECK_STATUS(cth_event_set(&o.s.mine.open), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(o.s.pool, CTH_DRAIN), CTH_OK);
    ended_as(o.second, VALUE);
    CHECK_STATUS(cth_executor_count(o.s.pool, &c), CTH_OK);
    CHECK_EQ(c.started, 1); // no other one had to be started
    outside_end(&o);
}

static void waits_for_gate(cth_future *future, void *arg) {
    gate *g = (gate *)arg;
    (void)future;
    atomic_fetch_add(&g->entered, 1);
    CHECK_STATUS(cth_event_wait(&g->open), CTH_OK);
}

/* A callback after a run outside of the workers is waited for too. */
static void shutdown_waits_for_callbacks_outside(void) {
    outside o;
    gate g = {.open = CTH_EVENT_INIT};
    cth_executor_counts c = {.alive = 1};
    outside_begin(&o, waits_for_gate, &g);
    CHECK_STATUS(cth_event_set(&o.s.mine.open), CTH_OK);
    test_reach(&g.entered, 1);
    CHECK_STATUS(cth_event_wait(cth_future_event(o.second)), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown_until(o.s.pool, CTH_DRAIN, 0), CTH_TIMEDOUT);
    while (c.alive != 0) {
        CHECK_STATUS(cth_executor_count(o.s.pool, &c), CTH_OK);
        cth_yield();
    }
    CHECK_STATUS(cth_executor_shutdown_until(o.s.pool, CTH_DRAIN, cth_after(CTH_MS(1))),
                 CTH_TIMEDOUT);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(o.s.pool, CTH_DRAIN), CTH_OK);
    outside_end(&o);
}

/* -- several futures -----------------------------------------------------------------------------
 */

enum { SOME = 5 };

typedef struct several {
    cth_executor *pools[2]; // three of the futures are of the first one
    gate gates[SOME];
    cth_future *futures[SOME + 1]; // and a NULL
} several;

static void several_begin(several *s) {
    memset(s, 0, sizeof *s);
    for (int i = 0; i < 2; i++) {
        s->pools[i] = pool_of(3);
    }
    for (int i = 0; i < SOME; i++) {
        s->futures[i] = submit(s->pools[i / 3], &s->gates[i]);
        test_reach(&s->gates[i].entered, 1);
    }
}

static void several_open(several *s, int i, cth_status status) {
    s->gates[i].status = status;
    CHECK_STATUS(cth_event_set(&s->gates[i].open), CTH_OK);
}

static void several_end(several *s) {
    for (int i = 0; i < SOME; i++) {
        CHECK_STATUS(cth_event_set(&s->gates[i].open), CTH_OK);
    }
    for (int i = 0; i <= SOME; i++) {
        cth_future_release(s->futures[i]);
    }
    for (int i = 0; i < 2; i++) {
        pool_end(s->pools[i]);
    }
}

static void waits_for_several(void) {
    several s;
    several_begin(&s);
    cth_future *const *f = s.futures;
    const size_t n = SOME + 1;
    for (int what = CTH_ALL_DONE; what <= CTH_FIRST_ERROR; what++) {
        CHECK_STATUS(cth_future_wait(f, 0, (cth_wait_for)what), CTH_OK);
        CHECK_STATUS(cth_future_wait(f + SOME, 1, (cth_wait_for)what), CTH_OK); // NULL
        CHECK_STATUS(cth_future_wait_until(f, n, (cth_wait_for)what, 0), CTH_TIMEDOUT);
        CHECK_STATUS(cth_future_wait_until(f, n, (cth_wait_for)what, cth_after(CTH_MS(1))),
                     CTH_TIMEDOUT);
        CHECK_STATUS(cth_future_wait_until(f, n, (cth_wait_for)what, -1), CTH_INVALID);
        CHECK_STATUS(cth_future_wait(NULL, 1, (cth_wait_for)what), CTH_INVALID);
    }
    CHECK_STATUS(cth_future_wait(f, n, (cth_wait_for)3), CTH_INVALID);
    several_open(&s, 3, CTH_OK);
    CHECK_STATUS(cth_future_wait(f, n, CTH_FIRST_DONE), CTH_OK);
    CHECK(cth_future_is_done(f[3]) && !cth_future_is_done(f[0]));
    CHECK_STATUS(cth_future_wait_until(f, n, CTH_FIRST_ERROR, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    several_open(&s, 1, CTH_FAILED);
    CHECK_STATUS(cth_future_wait(f, n, CTH_FIRST_ERROR), CTH_OK);
    CHECK_STATUS(cth_future_try_result(f[1], NULL), CTH_FAILED);
    CHECK_STATUS(cth_future_wait_until(f, n, CTH_ALL_DONE, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    for (int i = 0; i < SOME; i++) {
        several_open(&s, i, i == 1 ? CTH_FAILED : CTH_OK);
    }
    CHECK_STATUS(cth_future_wait(f, n, CTH_ALL_DONE), CTH_OK);
    CHECK(cth_future_is_done(f[0]) && cth_future_is_done(f[2]) && cth_future_is_done(f[4]));
    CHECK_STATUS(cth_future_wait(f + 2, n - 2, CTH_FIRST_ERROR), CTH_OK); // without any
    several_end(&s);
}

static void waits_are_cancelled(void) {
    several s;
    cth_cancel token = CTH_CANCEL_INIT;
    several_begin(&s);
    CHECK_STATUS(cth_cancel_request(&token, "test"), CTH_OK);
    CTH_UNDER(&token) {
        size_t done = 0;
        for (int what = CTH_ALL_DONE; what <= CTH_FIRST_ERROR; what++) {
            CHECK_STATUS(cth_future_wait(s.futures, SOME, (cth_wait_for)what), CTH_CANCELLED);
        }
        CHECK_STATUS(cth_future_next_done_until(s.futures, SOME, &done, CTH_FOREVER),
                     CTH_CANCELLED);
        CHECK_EQ(done, 0);
    }
    several_end(&s);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static cth_status waits_for_gates(void *arg, void *result) {
    cth_future **f = *(cth_future ***)arg;
    size_t done = 0;
    CHECK_STATUS(cth_future_wait(f, 2, CTH_FIRST_DONE), CTH_OK);
    CHECK_STATUS(cth_future_wait(f, 2, CTH_FIRST_ERROR), CTH_OK);
    CHECK_STATUS(cth_future_next_done_until(f + 2, 2, &done, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_future_wait(f, SOME, CTH_ALL_DONE), CTH_OK);
    *(int *)result = 1;
    return CTH_OK;
}

/* Within the only worker: it runs what it waits for. */
static void waiter_runs_what_nobody_has_started(void) {
    cth_executor *pool = pool_of(1);
    gate open = {.open = CTH_EVENT_INIT}, busy = {.open = CTH_EVENT_INIT};
    cth_future *futures[SOME], **p = futures, *before = submit(pool, &busy), *waits;
    test_reach(&busy.entered, 1);
    CHECK_STATUS(cth_submit(pool, &waits, waits_for_gates, &p, sizeof p, sizeof(int)), CTH_OK);
    for (int i = 0; i < SOME; i++) {
        futures[i] = submit(pool, &open);
    }
    CHECK_STATUS(cth_event_set(&open.open), CTH_OK);
    CHECK_STATUS(cth_event_set(&busy.open), CTH_OK);
    CHECK_STATUS(cth_future_result_until(waits, NULL, cth_after(CTH_S(500))), CTH_OK);
    for (int i = 0; i < SOME; i++) {
        cth_future_release(futures[i]);
    }
    cth_future_release(waits);
    cth_future_release(before);
    pool_end(pool);
}

static cth_status waits_for_first(void *arg) {
    return cth_future_wait((cth_future *const *)arg, 2, CTH_FIRST_DONE);
}

/* One of them runs, so who waits for the first does not get stuck in the other. */
static void waiter_leaves_the_rest_alone(void) {
    cth_executor *pool = pool_of(1);
    gate g[2] = {{.open = CTH_EVENT_INIT}, {.open = CTH_EVENT_INIT}};
    cth_future *futures[2] = {submit(pool, &g[0]), submit(pool, &g[1])};
    test_reach(&g[0].entered, 1);
    cth_thread *waiter = test_spawn(waits_for_first, futures);
    test_asleep(waiter);
    CHECK_STATUS(cth_event_set(&g[0].open), CTH_OK);
    CHECK_STATUS(test_join(waiter), CTH_OK);
    CHECK_STATUS(cth_event_set(&g[1].open), CTH_OK);
    cth_future_release(futures[0]);
    cth_future_release(futures[1]);
    pool_end(pool);
}

/* Tasks that become ready at the same time get a worker each. */
static cth_status meets(void *arg, void *result) {
    static cth_latch all = CTH_LATCH_INIT(3);
    (void)arg;
    (void)result;
    CHECK_STATUS(cth_latch_done(&all), CTH_OK);
    return cth_latch_wait(&all);
}

static void then_starts_workers(void) {
    cth_executor *pool = pool_of(3);
    gate g = {.open = CTH_EVENT_INIT};
    cth_future *first = submit(pool, &g);
    test_reach(&g.entered, 1);
    cth_executor_counts c = {0};
    cth_future *after[3] = {then(first, meets)};
    while (c.idle == 0) { // the second worker, which is enough for each of the others
        CHECK_STATUS(cth_executor_count(pool, &c), CTH_OK);
        cth_yield();
    }
    after[1] = then(first, meets);
    after[2] = then(first, meets);
    CHECK_STATUS(cth_event_set(&g.open), CTH_OK);
    CHECK_STATUS(cth_future_wait_until(after, 3, CTH_ALL_DONE, cth_after(CTH_S(500))), CTH_OK);
    cth_future_release(after[0]);
    cth_future_release(after[1]);
    cth_future_release(after[2]);
    cth_future_release(first);
    pool_end(pool);
}

static void comes_as_completed(void) {
    static const int order[SOME] = {3, 0, 4, 1, 2};
    several s;
    several_begin(&s);
    cth_future *by_gate[SOME];
    memcpy(by_gate, s.futures, sizeof by_gate);
    int at = 0;
    several_open(&s, order[0], CTH_OK);
    CTH_AS_COMPLETED(future, s.futures, SOME + 1, CTH_FOREVER) {
        CHECK(at < SOME);
        CHECK(future == by_gate[order[at]]);
        CHECK(cth_future_is_done(future));
        if (++at < SOME) {
            several_open(&s, order[at], at == 2 ? CTH_FAILED : CTH_OK);
            continue;
        }
    }
    CHECK_EQ(at, SOME);
    CTH_AS_COMPLETED(future, s.futures, SOME + 1, 0) {
        CHECK(future != NULL);
        if (--at == 2) {
            break;
        }
    }
    CHECK_EQ(at, 2);
    size_t done = 0;
    while (cth_future_next_done_until(s.futures, SOME + 1, &done, 0) == CTH_OK) {
        at++;
    }
    CHECK_EQ(at, 2 + SOME);
    CHECK_STATUS(cth_future_next_done_until(s.futures, SOME + 1, &done, 0), CTH_EMPTY);
    done = SOME + 2;
    CHECK_STATUS(cth_future_next_done_until(s.futures, SOME + 1, &done, 0), CTH_INVALID);
    CHECK_STATUS(cth_future_next_done_until(s.futures, SOME + 1, NULL, 0), CTH_INVALID);
    done = 0;
    CHECK_STATUS(cth_future_next_done_until(NULL, SOME, &done, 0), CTH_INVALID);
    CHECK_STATUS(cth_future_next_done_until(s.futures, 0, &done, -1), CTH_INVALID);
    several_end(&s);
}

static void as_completed_ends_at_the_deadline(void) {
    several s;
    several_begin(&s);
    several_open(&s, 2, CTH_OK);
    int at = 0;
    CHECK_STATUS(cth_event_wait(cth_future_event(s.futures[2])), CTH_OK);
    CTH_AS_COMPLETED(future, s.futures, SOME, cth_after(CTH_MS(2))) {
        CHECK(cth_future_is_done(future));
        at++;
    }
    CHECK_EQ(at, 1);
    several_end(&s);
}

static cth_status returns_its_argument(void *arg, void *result) {
    *(int *)result = *(int *)arg;
    return CTH_OK;
}

/* Many, from several threads at the same time: none is lost, none comes twice. */
static cth_status visits_all(void *arg) {
    enum { MANY = 300 };
    cth_executor *pool = (cth_executor *)arg;
    for (int round = 0; round < 20; round++) {
        cth_future *futures[MANY];
        long sum = 0;
        for (int i = 0; i < MANY; i++) {
            CHECK_STATUS(
                cth_submit(pool, &futures[i], returns_its_argument, &i, sizeof i, sizeof i),
                CTH_OK);
        }
        CTH_AS_COMPLETED(future, futures, MANY,
                         round % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(500))) {
            int got = -1;
            CHECK_STATUS(cth_future_try_result(future, &got), CTH_OK);
            sum += got;
            cth_future_release(future);
        }
        CHECK_EQ(sum, (long)MANY * (MANY - 1) / 2);
    }
    return CTH_OK;
}

static void many_as_completed(void) {
    cth_executor *pool = pool_of(2);
    cth_thread *threads[3];
    for (int i = 0; i < 3; i++) {
        threads[i] = test_spawn(visits_all, pool);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    pool_end(pool);
}

/* -- select --------------------------------------------------------------------------------------
 */

static void selects_each_ending(void) {
    for (ending how = VALUE; how < ENDINGS; how++) {
        scene s;
        size_t index = 9;
        scene_begin(&s, how);
        cth_case cases[] = {CTH_ON_FUTURE(NULL), CTH_ON_FUTURE(s.future)};
        CHECK_STATUS(cth_try_select(cases, 2, &index), CTH_TIMEDOUT);
        CHECK_STATUS(cth_select_until(cases, 2, &index, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
        scene_act(&s);
        CHECK_STATUS(cth_select(cases, 2, &index), CTH_OK);
        CHECK_EQ(index, 1);
        ended_as(s.future, how);
        scene_end(&s);
    }
}

static void refuses_what_is_from_before_a_fork(void) {
    several s;
    several_begin(&s);
    cth_future *waits = then(s.futures[0], doubles);
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60);
        size_t done = 0;
        cth_future *out = NULL;
        note n = {0};
        bool good = cth_future_wait(s.futures, SOME, CTH_ALL_DONE) == CTH_FORKED;
        good &= cth_future_wait(s.futures, SOME, CTH_FIRST_DONE) == CTH_FORKED;
        good &= cth_future_next_done_until(s.futures, SOME, &done, CTH_FOREVER) == CTH_FORKED;
        good &= cth_future_add_done_callback(waits, notes, &n) == CTH_FORKED;
        good &= cth_future_then(waits, &out, doubles, 0) == CTH_FORKED;
        good &= cth_future_result(waits, NULL) == CTH_FORKED;
        good &= cth_future_cancel(waits) == CTH_FORKED;
        CTH_AS_COMPLETED(future, s.futures, SOME, CTH_FOREVER) {
            good = false;
        }
        cth_future_release(waits);
        _exit(good && atomic_load(&n.calls) == 0 ? 0 : 1);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    cth_future_release(waits);
    several_end(&s);
}

static const test_case tests[] = {
    TEST(callbacks_are_called_once),
    TEST(callbacks_may_do_anything),
    TEST(shutdown_waits_for_callbacks),
    TEST(runs_are_seen),
    TEST(then_follows_each_ending),
    TEST(then_refuses),
    TEST(then_is_cancelled),
    TEST(then_at_a_shutdown),
    TEST(waiter_runs_a_chain),
    TEST(long_chains),
    TEST(worker_stays_for_what_waits),
    TEST(shutdown_waits_for_callbacks_outside),
    TEST(waits_for_several),
    TEST(waits_are_cancelled),
    TEST(waiter_runs_what_nobody_has_started),
    TEST(waiter_leaves_the_rest_alone),
    TEST(then_starts_workers),
    TEST(comes_as_completed),
    TEST(as_completed_ends_at_the_deadline),
    TEST(many_as_completed),
    TEST(selects_each_ending),
    TEST(refuses_what_is_from_before_a_fork),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
