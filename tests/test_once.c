/* test_once.c - run once, run again after a failure, lazy singletons

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 8, MANY = 32 };

/* A function to run, which fails the first `failures` times. */
typedef struct job {
    cth_once once;
    int failures; // plain: only the running thread looks
    int runs;     // plain
    atomic_int running;
    cth_event *go; // it waits for this, when not NULL
    atomic_int begun;
} job;

static cth_status run_job(void *arg) {
    job *j = (job *)arg;
    CHECK_EQ(atomic_fetch_add(&j->running, 1), 0); // never two at a time
    atomic_fetch_add(&j->begun, 1);
    if (j->go != NULL) {
        CHECK_STATUS(cth_event_wait(j->go), CTH_OK);
    }
    j->runs++;
    const bool fails = j->runs <= j->failures;
    atomic_fetch_sub(&j->running, 1);
    return fails ? CTH_FAILED : CTH_OK;
}

static cth_status call_job(void *object, cth_time deadline) {
    (void)deadline;
    return cth_once_call(&((job *)object)->once, run_job, object);
}

static cth_status must_not_run(void *arg) {
    (void)arg;
    test_fail(__FILE__, __LINE__, "run once more");
    return CTH_FAILED;
}

static cth_once static_once = CTH_ONCE_INIT;
static cth_once zeroed_once;

static cth_status add_one(void *arg) {
    ++*(int *)arg;
    return CTH_OK;
}

static void starts_undone(void) {
    cth_once automatic = CTH_ONCE_INIT, cleared;
    memset(&cleared, 0, sizeof cleared);
    cth_once *all[] = {&static_once, &zeroed_once, &automatic, &cleared};
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        int runs = 0;
        CHECK(!cth_once_is_done(all[i]));
        CHECK_STATUS(cth_once_call(all[i], add_one, &runs), CTH_OK);
        CHECK_EQ(runs, 1);
        CHECK(cth_once_is_done(all[i]));
    }
}

static void is_four_bytes(void) {
    CHECK_EQ(sizeof(cth_once), 4);
}

static void runs_once(void) {
    job j = {0};
    for (int i = 0; i < 1000; i++) {
        CHECK_STATUS(cth_once_call(&j.once, run_job, &j), CTH_OK);
        CHECK_EQ(j.runs, 1);
    }
    CHECK_STATUS(cth_once_call(&j.once, must_not_run, NULL), CTH_OK); // another function neither
}

static cth_status not_done_inside(void *arg) {
    CHECK(!cth_once_is_done((cth_once *)arg));
    return CTH_OK;
}

static void is_done_afterwards_only(void) {
    cth_once once = CTH_ONCE_INIT;
    CHECK_STATUS(cth_once_call(&once, not_done_inside, &once), CTH_OK);
    CHECK(cth_once_is_done(&once));
}

static void a_failed_run_is_no_run(void) {
    job j = {.failures = 3};
    for (int i = 1; i <= 3; i++) {
        CHECK_STATUS(cth_once_call(&j.once, run_job, &j), CTH_FAILED);
        CHECK_EQ(j.runs, i);
        CHECK(!cth_once_is_done(&j.once));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(cth_once_call(&j.once, run_job, &j), CTH_OK);
        CHECK_EQ(j.runs, 4);
        CHECK(cth_once_is_done(&j.once));
    }
}

static cth_status give_back(void *arg) {
    return *(cth_status *)arg;
}

static void every_status_but_ok_is_a_failure(void) {
    cth_once once = CTH_ONCE_INIT;
    for (int s = CTH_OK + 1; s <= CTH_FAILED; s++) {
        cth_status status = (cth_status)s;
        CHECK_STATUS(cth_once_call(&once, give_back, &status), status);
        CHECK(!cth_once_is_done(&once));
    }
    cth_status status = CTH_OK;
    CHECK_STATUS(cth_once_call(&once, give_back, &status), CTH_OK);
    CHECK(cth_once_is_done(&once));
}

static cth_status call_itself(void *arg) {
    job *j = (job *)arg;
    j->runs++;
    CHECK_STATUS(cth_once_call(&j->once, call_itself, j), CTH_DEADLOCK);
    CHECK_STATUS(cth_once_call(&j->once, must_not_run, j), CTH_DEADLOCK);
    return CTH_OK;
}

static void recursion_is_a_deadlock(void) {
    job j = {0};
    CHECK_STATUS(cth_once_call(&j.once, call_itself, &j), CTH_OK);
    CHECK_EQ(j.runs, 1);
    CHECK_STATUS(cth_once_call(&j.once, must_not_run, NULL), CTH_OK);
}

typedef struct visited {
    job j;
    test_waiter visitor;
} visited;

static cth_status call_itself_with_a_visitor(void *arg) {
    visited *v = (visited *)arg;
    test_waiter_start(&v->visitor, call_job, &v->j, CTH_FOREVER);
    test_waiter_asleep(&v->visitor);
    CHECK_STATUS(cth_once_call(&v->j.once, must_not_run, v), CTH_DEADLOCK);
    CHECK_EQ(atomic_load(&v->visitor.done), 0);
    return CTH_OK;
}

static void recursion_with_a_waiter_is_a_deadlock(void) {
    visited v = {0};
    CHECK_STATUS(cth_once_call(&v.j.once, call_itself_with_a_visitor, &v), CTH_OK);
    CHECK_STATUS(test_waiter_end(&v.visitor), CTH_OK);
    CHECK_EQ(v.j.runs, 0); // the visitor found it done
}

/* ---- in company ---- */

static void callers_wait_for_the_running_one(void) {
    cth_event go = CTH_EVENT_INIT;
    job j = {.go = &go};
    test_waiter w[MANY];
    memset(w, 0, sizeof w);
    for (int i = 0; i < MANY; i++) {
        test_waiter_start(&w[i], call_job, &j, CTH_FOREVER);
        test_reach(&j.begun, 1);
    }
    for (int i = 0; i < MANY; i++) {
        test_waiter_asleep(&w[i]);
        CHECK_EQ(atomic_load(&w[i].done), 0);
    }
    CHECK(!cth_once_is_done(&j.once));
    CHECK_STATUS(cth_event_set(&go), CTH_OK);
    for (int i = 0; i < MANY; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
    CHECK_EQ(j.runs, 1);
}

static void a_waiting_caller_runs_it_after_a_failure(void) {
    // Kind of bug: the run fails, and those who wait for it are not woken, or only one is, and it
    // is done when it comes (seen in musl's pthread_once, in a short window). Each failure ends one
    // call; the others go on, one of them as the runner.
    for (int callers = 3; callers <= THREADS; callers++) {
        for (int failures = 1; failures < callers; failures++) {
            cth_event go = CTH_EVENT_INIT;
            job j = {.go = &go, .failures = failures};
            test_waiter w[THREADS];
            memset(w, 0, sizeof w);
            for (int i = 0; i < callers; i++) {
                test_waiter_start(&w[i], call_job, &j, CTH_FOREVER);
                test_reach(&j.begun, 1);
            }
            for (int i = 0; i < callers && callers % 2 == 1; i++) {
                test_waiter_asleep(&w[i]); // else they come while it ends
            }
            CHECK_STATUS(cth_event_set(&go), CTH_OK);
            int failed = 0;
            for (int i = 0; i < callers; i++) {
                const cth_status status = test_waiter_end(&w[i]);
                CHECK(status == CTH_OK || status == CTH_FAILED);
                failed += status == CTH_FAILED;
            }
            CHECK_EQ(failed, failures);
            CHECK_EQ(j.runs, failures + 1);
            CHECK(cth_once_is_done(&j.once));
        }
    }
}

/* Threads that meet again and again at a fresh once. */
typedef struct race {
    job jobs[400];
    cth_barrier start;
    int results[400]; // plain: made by the run, seen by all
    atomic_int failed;
} race;

typedef struct lane {
    race *r;
    int at;
} lane;

static cth_status make_result(void *arg) {
    lane *l = (lane *)arg;
    const cth_status status = run_job(&l->r->jobs[l->at]);
    if (status == CTH_OK) {
        l->r->results[l->at] += l->at + 1;
    }
    return status;
}

static cth_status race_main(void *arg) {
    race *r = (race *)arg;
    for (int i = 0; i < (int)TEST_COUNT(r->jobs); i++) {
        lane l = {r, i};
        CHECK_STATUS(cth_barrier_wait(&r->start, NULL), CTH_OK);
        while (cth_once_call(&r->jobs[i].once, make_result, &l) != CTH_OK) {
            atomic_fetch_add(&r->failed, 1);
        }
        CHECK_EQ(r->results[i], i + 1); // what the run did is seen
    }
    return CTH_OK;
}

static void raced_by_eight(void) {
    static race r;
    memset(&r, 0, sizeof r);
    int failures = 0;
    for (size_t i = 0; i < TEST_COUNT(r.jobs); i++) {
        r.jobs[i].failures = (int)(i % 3);
        failures += (int)(i % 3);
    }
    CHECK_STATUS(cth_barrier_init(&r.start, THREADS, NULL), CTH_OK);
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(race_main, &r);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    for (size_t i = 0; i < TEST_COUNT(r.jobs); i++) {
        CHECK_EQ(r.jobs[i].runs, r.jobs[i].failures + 1);
    }
    CHECK_EQ(atomic_load(&r.failed), failures);
}

static void is_never_cancelled(void) {
    cth_event go = CTH_EVENT_INIT;
    cth_cancel token = CTH_CANCEL_INIT;
    job j = {.go = &go};
    test_waiter runner = {0}, waiter = {.token = &token};
    test_waiter_start(&runner, call_job, &j, CTH_FOREVER);
    test_reach(&j.begun, 1);
    test_waiter_start(&waiter, call_job, &j, CTH_FOREVER);
    test_waiter_asleep(&waiter);
    CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
    test_waiter_asleep(&waiter);
    CHECK_EQ(atomic_load(&waiter.done), 0);
    CHECK_STATUS(cth_event_set(&go), CTH_OK);
    CHECK_STATUS(test_waiter_end(&runner), CTH_OK);
    CHECK_STATUS(test_waiter_end(&waiter), CTH_OK);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static cth_status free_the_argument(void *arg) {
    free(arg);
    return CTH_OK;
}

static void the_function_may_free_its_argument(void) {
    // Kind of bug: what a callback has freed is used after it (seen in libuv 628).
    for (int i = 0; i < 100; i++) {
        cth_once once = CTH_ONCE_INIT;
        void *memory = malloc(64);
        CHECK(memory != NULL);
        CHECK_STATUS(cth_once_call(&once, free_the_argument, memory), CTH_OK);
    }
}

static void *foreign_main(void *arg) {
    // The very first call of this thread is the one under test.
    CHECK_STATUS(call_job(arg, CTH_FOREVER), CTH_OK);
    return NULL;
}

static void foreign_threads_can_call(void) {
    for (int round = 0; round < 50; round++) {
        job j = {0};
        pthread_t thread[3];
        for (int i = 0; i < 3; i++) {
            CHECK(pthread_create(&thread[i], NULL, foreign_main, &j) == 0);
        }
        for (int i = 0; i < 3; i++) {
            CHECK(pthread_join(thread[i], NULL) == 0);
        }
        CHECK_EQ(j.runs, 1);
    }
}

static cth_status call_keeps_errno(void *object, cth_time deadline) {
    errno = 4242;
    const cth_status status = call_job(object, deadline);
    CHECK_EQ(errno, 4242);
    return status;
}

static void errno_is_preserved(void) {
    cth_event go = CTH_EVENT_INIT;
    job j = {.go = &go};
    test_waiter w[3];
    memset(w, 0, sizeof w);
    for (int i = 0; i < 3; i++) {
        test_waiter_start(&w[i], call_keeps_errno, &j, CTH_FOREVER);
        test_waiter_asleep(&w[i]);
    }
    CHECK_STATUS(cth_event_set(&go), CTH_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(test_waiter_end(&w[i]), CTH_OK);
    }
}

/* ---- CTH_LAZY ---- */

typedef struct table {
    int cells[16];
    int opened;
} table;

static atomic_int table_opens, broken_opens;

static cth_status open_table(void *object) {
    table *t = (table *)object;
    atomic_fetch_add(&table_opens, 1);
    CHECK_EQ(t->opened, 0); // zeroed, and never opened before
    for (int i = 0; i < 16; i++) {
        CHECK_EQ(t->cells[i], 0);
        t->cells[i] = i * i;
        cth_yield(); // lets the others run into the half-made table
    }
    t->opened = 1;
    return CTH_OK;
}

static cth_status open_at_the_third_try(void *object) {
    *(long *)object += 1;
    return atomic_fetch_add(&broken_opens, 1) < 2 ? CTH_FAILED : CTH_OK;
}

CTH_LAZY(table, the_table, open_table);
CTH_LAZY(table, another_table, open_table);
CTH_LAZY(long, stubborn, open_at_the_third_try);

typedef struct finder {
    cth_barrier *start;
    table *found;
} finder;

static cth_status find_the_table(void *arg) {
    finder *f = (finder *)arg;
    CHECK_STATUS(cth_barrier_wait(f->start, NULL), CTH_OK);
    f->found = the_table();
    CHECK(f->found != NULL);
    CHECK_EQ(f->found->opened, 1);
    for (int i = 0; i < 16; i++) {
        CHECK_EQ(f->found->cells[i], i * i);
    }
    return CTH_OK;
}

static void lazy_is_made_once_by_eight_threads(void) {
    cth_barrier start = CTH_BARRIER_INIT(THREADS);
    finder f[THREADS];
    cth_thread *threads[THREADS];
    const int before = atomic_load(&table_opens);
    for (int i = 0; i < THREADS; i++) {
        f[i] = (finder){&start, NULL};
        threads[i] = test_spawn(find_the_table, &f[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
        CHECK(f[i].found == the_table());
    }
    CHECK_EQ(atomic_load(&table_opens), before + 1);
}

static void lazy_ones_are_apart(void) {
    table *one = the_table();
    table *other = another_table();
    CHECK(one != NULL && other != NULL && one != other);
    CHECK(one == the_table() && other == another_table());
}

static void lazy_is_null_while_it_fails(void) {
    CHECK(stubborn() == NULL);
    CHECK(stubborn() == NULL);
    long *made = stubborn();
    CHECK(made != NULL);
    CHECK(stubborn() == made);
    CHECK_EQ(atomic_load(&broken_opens), 3);
}

static const test_case tests[] = {
    TEST(starts_undone),
    TEST(is_four_bytes),
    TEST(runs_once),
    TEST(is_done_afterwards_only),
    TEST(a_failed_run_is_no_run),
    TEST(every_status_but_ok_is_a_failure),
    TEST(recursion_is_a_deadlock),
    TEST(recursion_with_a_waiter_is_a_deadlock),
    TEST(callers_wait_for_the_running_one),
    TEST(a_waiting_caller_runs_it_after_a_failure),
    TEST(raced_by_eight),
    TEST(is_never_cancelled),
    TEST(the_function_may_free_its_argument),
    TEST(foreign_threads_can_call),
    TEST(errno_is_preserved),
    TEST(lazy_is_made_once_by_eight_threads),
    TEST(lazy_ones_are_apart),
    TEST(lazy_is_null_while_it_fails),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
