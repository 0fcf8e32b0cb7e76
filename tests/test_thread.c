/* test_thread.c - threads: start, join, detach, names, lists, daemons, exit, stacks, foreign ones

   What happens at the end of the program is seen by running this program again as a child.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, MANY = 200 };

static cth_status returns(void *arg) {
    return arg != NULL ? *(cth_status *)arg : CTH_OK;
}

/* A thread that runs until it is told to end. */
typedef struct runner {
    cth_event running, end;
    cth_thread *thread;
    cth_thread *self; // what it takes itself for
} runner;

static cth_status runner_main(void *arg) {
    runner *r = (runner *)arg;
    r->self = cth_thread_current();
    cth_event_set(&r->running);
    CHECK_STATUS(cth_event_wait(&r->end), CTH_OK);
    return CTH_OK;
}

static void runner_create(runner *r, const cth_thread_desc *desc) {
    memset(r, 0, sizeof *r);
    CHECK_STATUS(cth_thread_create(&r->thread, runner_main, r, desc), CTH_OK);
}

static void runner_start(runner *r, const cth_thread_desc *desc) {
    runner_create(r, desc);
    CHECK_STATUS(cth_thread_start(r->thread), CTH_OK);
    CHECK_STATUS(cth_event_wait(&r->running), CTH_OK);
}

static void runner_end(runner *r) {
    cth_event_set(&r->end);
    CHECK_STATUS(test_join(r->thread), CTH_OK);
}

static void quiet_hook(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread, (void)status, (void)message, (void)arg;
}

/* ---- create and start ---- */

static atomic_int ran;

static cth_status counts(void *arg) {
    (void)arg;
    atomic_fetch_add(&ran, 1);
    return CTH_OK;
}

static void created_is_not_started(void) {
    cth_thread *thread = NULL;
    atomic_store(&ran, 0);
    const size_t before = cth_thread_count();
    CHECK_STATUS(cth_thread_create(&thread, counts, NULL, NULL), CTH_OK);
    CHECK(thread != NULL);
    CHECK(!cth_thread_is_alive(thread));
    CHECK_EQ(cth_thread_native_id(thread), 0);
    CHECK(cth_thread_id(thread) > 1);
    CHECK_EQ(cth_thread_count(), before);
    CHECK_EQ(atomic_load(&ran), 0);
    CHECK_STATUS(cth_thread_start(thread), CTH_OK);
    CHECK_STATUS(test_join(thread), CTH_OK);
    CHECK_EQ(atomic_load(&ran), 1);
}

static void create_refuses_bad_arguments(void) {
    cth_thread *thread = NULL;
    char name[CTH_THREAD_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    name[CTH_THREAD_NAME_MAX + 1] = '\0';
    const cth_thread_desc desc = {.name = name};
    CHECK_STATUS(cth_thread_create(NULL, returns, NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_thread_create(&thread, NULL, NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_thread_create(&thread, returns, NULL, &desc), CTH_INVALID);
    CHECK_STATUS(cth_thread_spawn(NULL, returns, NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_thread_spawn(&thread, NULL, NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_thread_spawn(&thread, returns, NULL, &desc), CTH_INVALID);
    CHECK(thread == NULL);
}

static void start_twice_is_refused(void) {
    runner r;
    runner_start(&r, NULL);
    CHECK_STATUS(cth_thread_start(r.thread), CTH_INVALID); // while it runs
    cth_event_set(&r.end);
    CHECK_STATUS(cth_thread_join(r.thread, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_start(r.thread), CTH_INVALID); // and when it is over
    cth_thread_release(r.thread);
    CHECK_STATUS(cth_thread_start(cth_thread_main()), CTH_INVALID);
}

static void release_before_the_start(void) {
    cth_thread *thread;
    atomic_store(&ran, 0);
    CHECK_STATUS(cth_thread_create(&thread, counts, NULL, NULL), CTH_OK);
    cth_thread_release(thread);
    CHECK_EQ(atomic_load(&ran), 0);
}

static void is_alive(void) {
    runner r;
    runner_create(&r, NULL);
    CHECK(!cth_thread_is_alive(r.thread));
    CHECK_STATUS(cth_thread_start(r.thread), CTH_OK);
    CHECK(cth_thread_is_alive(r.thread)); // as soon as start returns
    CHECK_STATUS(cth_event_wait(&r.running), CTH_OK);
    CHECK(cth_thread_is_alive(r.thread));
    cth_event_set(&r.end);
    CHECK_STATUS(cth_thread_join(r.thread, NULL), CTH_OK);
    CHECK(!cth_thread_is_alive(r.thread));
    cth_thread_release(r.thread);
    CHECK(cth_thread_is_alive(cth_thread_main()));
}

typedef struct sum {
    int in, out;
} sum;

static cth_status doubles(void *arg) {
    sum *s = (sum *)arg;
    s->out = 2 * s->in;
    return CTH_OK;
}

static void the_argument_goes_in_and_the_work_comes_out(void) {
    cth_thread *threads[THREADS];
    sum sums[THREADS];
    for (int i = 0; i < THREADS; i++) {
        sums[i].in = i; // plain memory: start and join order it
        threads[i] = test_spawn(doubles, &sums[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
        CHECK_EQ(sums[i].out, 2 * i);
    }
}

static void join_gives_the_result(void) {
    cth_thread_set_hook(quiet_hook, NULL);
    for (int i = 0; i <= CTH_FAILED; i++) {
        cth_status status = (cth_status)i;
        CHECK_STATUS(test_join(test_spawn(returns, &status)), status);
        cth_thread *thread = test_spawn(returns, &status);
        CHECK_STATUS(cth_thread_join(thread, NULL), CTH_OK); // whatever its function returned
        cth_thread_release(thread);
    }
    cth_thread_set_hook(NULL, NULL);
}

/* ---- join and detach ---- */

static void join_twice_is_refused(void) {
    cth_thread *thread = test_spawn(returns, NULL);
    cth_status result = CTH_BROKEN;
    CHECK_STATUS(cth_thread_join(thread, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_join(thread, &result), CTH_INVALID);
    CHECK_STATUS(cth_thread_join_until(thread, &result, CTH_FOREVER), CTH_INVALID);
    CHECK_STATUS(result, CTH_BROKEN); // untouched
    CHECK_STATUS(cth_thread_detach(thread), CTH_INVALID);
    cth_thread_release(thread);
}

static cth_status joins_itself(void *arg) {
    (void)arg;
    cth_thread *self = cth_thread_current();
    CHECK_STATUS(cth_thread_join(self, NULL), CTH_DEADLOCK);
    CHECK_STATUS(cth_thread_join_until(self, NULL, 0), CTH_DEADLOCK);
    return CTH_OK;
}

static void join_itself_is_a_deadlock(void) {
    CHECK_STATUS(test_join(test_spawn(joins_itself, NULL)), CTH_OK); // it can still be joined
    CHECK_STATUS(cth_thread_join(cth_thread_main(), NULL), CTH_DEADLOCK);
}

static cth_status joins_main(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_thread_join(cth_thread_main(), NULL), CTH_INVALID);
    CHECK_STATUS(cth_thread_join_until(cth_thread_main(), NULL, 0), CTH_INVALID);
    CHECK_STATUS(cth_thread_detach(cth_thread_main()), CTH_INVALID);
    return CTH_OK;
}

static void the_main_thread_cannot_be_joined(void) {
    CHECK_STATUS(test_join(test_spawn(joins_main, NULL)), CTH_OK);
}

static void join_before_the_start_is_refused(void) {
    cth_thread *thread;
    CHECK_STATUS(cth_thread_create(&thread, returns, NULL, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_join(thread, NULL), CTH_INVALID);
    CHECK_STATUS(cth_thread_join_until(thread, NULL, 0), CTH_INVALID);
    CHECK_STATUS(cth_thread_start(thread), CTH_OK); // nothing has changed
    CHECK_STATUS(test_join(thread), CTH_OK);
}

static cth_status join_until(void *object, cth_time deadline) {
    return cth_thread_join_until(((runner *)object)->thread, NULL, deadline);
}

static void timed_join_times_out(void) {
    runner r;
    runner_start(&r, NULL);
    cth_status result = CTH_BROKEN;
    test_times_out(join_until, &r);
    CHECK_STATUS(cth_thread_join_until(r.thread, &result, cth_after(CTH_MS(1))), CTH_TIMEDOUT);
    CHECK_STATUS(result, CTH_BROKEN);
    CHECK(cth_thread_is_alive(r.thread));
    runner_end(&r); // the join after all the timeouts succeeds
}

static void timed_join_refuses_negative_deadlines(void) {
    runner r;
    runner_start(&r, NULL);
    test_refuses_negative(join_until, &r);
    runner_end(&r);
}

static void runner_restart(void *object) {
    runner *r = (runner *)object;
    if (r->thread != NULL) {
        cth_thread_release(r->thread);
    }
    runner_start(r, NULL);
}

static void runner_tell(void *object) {
    cth_event_set(&((runner *)object)->end);
}

static void runner_restart_and_finish(void *object) {
    runner *r = (runner *)object;
    runner_restart(r);
    runner_tell(r);
    while (cth_thread_is_alive(r->thread)) {
        cth_yield();
    }
}

static void timed_join_waits_long(void) {
    runner r = {.thread = NULL};
    test_waits_long(join_until, &r, runner_restart, runner_tell);
    cth_thread_release(r.thread);
}

static void timed_join_of_one_that_ended(void) {
    runner r = {.thread = NULL};
    test_succeeds(join_until, &r, runner_restart_and_finish);
    cth_thread_release(r.thread);
}

typedef struct contest {
    cth_thread *target;
    atomic_int won, refused;
} contest;

static cth_status joins_target(void *arg) {
    contest *c = (contest *)arg;
    const cth_status status = cth_thread_join(c->target, NULL);
    CHECK(status == CTH_OK || status == CTH_INVALID);
    atomic_fetch_add(status == CTH_OK ? &c->won : &c->refused, 1);
    return CTH_OK;
}

static void only_one_of_many_joins(void) {
    for (int round = 0; round < 30; round++) {
        runner r;
        runner_start(&r, NULL);
        contest c = {.target = r.thread};
        cth_thread *joiners[THREADS];
        for (int i = 0; i < THREADS; i++) {
            joiners[i] = test_spawn(joins_target, &c);
        }
        cth_event_set(&r.end);
        for (int i = 0; i < THREADS; i++) {
            CHECK_STATUS(test_join(joiners[i]), CTH_OK);
        }
        CHECK_EQ(atomic_load(&c.won), 1);
        CHECK_EQ(atomic_load(&c.refused), THREADS - 1);
        cth_thread_release(r.thread);
    }
}

static void detached_cannot_be_joined(void) {
    runner r;
    runner_start(&r, NULL);
    CHECK_STATUS(cth_thread_detach(r.thread), CTH_OK);
    CHECK_STATUS(cth_thread_detach(r.thread), CTH_INVALID);
    CHECK_STATUS(cth_thread_join(r.thread, NULL), CTH_INVALID);
    CHECK_STATUS(cth_thread_join_until(r.thread, NULL, 0), CTH_INVALID);
    CHECK(cth_thread_is_alive(r.thread));
    cth_event_set(&r.end);
    while (cth_thread_is_alive(r.thread)) { // the handle is still good
        cth_yield();
    }
    cth_thread_release(r.thread);
}

static void detach_before_the_start(void) {
    runner r;
    runner_create(&r, NULL);
    CHECK_STATUS(cth_thread_detach(r.thread), CTH_OK);
    CHECK_STATUS(cth_thread_start(r.thread), CTH_OK);
    CHECK_STATUS(cth_thread_join(r.thread, NULL), CTH_INVALID);
    cth_event_set(&r.end);
    while (cth_thread_is_alive(r.thread)) {
        cth_yield();
    }
    cth_thread_release(r.thread);
}

static void detach_after_the_end(void) {
    cth_thread *thread = test_spawn(returns, NULL);
    while (cth_thread_is_alive(thread)) {
        cth_yield();
    }
    CHECK_STATUS(cth_thread_detach(thread), CTH_OK);
    CHECK_STATUS(cth_thread_join(thread, NULL), CTH_INVALID);
    cth_thread_release(thread);
}

static cth_event go_on;
static cth_sem done;

static cth_status goes_on(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_event_wait(&go_on), CTH_OK);
    CHECK(strcmp(cth_thread_name(cth_thread_current()), "left alone") == 0);
    cth_sem_release(&done);
    return CTH_OK;
}

static void release_before_the_end(void) {
    memset(&go_on, 0, sizeof go_on);
    CHECK_STATUS(cth_sem_init(&done, 0, NULL), CTH_OK);
    for (int i = 0; i < THREADS; i++) {
        cth_thread *thread;
        CHECK_STATUS(
            cth_thread_spawn(&thread, goes_on, NULL, &(cth_thread_desc){.name = "left alone"}),
            CTH_OK);
        if (i % 2 == 0) {
            CHECK_STATUS(cth_thread_detach(thread), CTH_OK);
        }
        cth_thread_release(thread);
    }
    cth_event_set(&go_on);
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(cth_sem_acquire(&done), CTH_OK);
    }
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
}

static void release_after_the_end(void) {
    for (int i = 0; i < 50; i++) {
        cth_thread *thread = test_spawn(returns, NULL);
        if (i % 2 == 0) {
            while (cth_thread_is_alive(thread)) {
                cth_yield();
            }
        }
        cth_thread_release(thread); // never joined
    }
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
}

static cth_status keeps_itself(void *arg) {
    *(cth_thread **)arg = cth_thread_retain(cth_thread_current());
    return CTH_OK;
}

static void references_are_counted(void) {
    cth_thread *kept = NULL;
    cth_thread *thread = test_spawn(keeps_itself, &kept);
    CHECK(cth_thread_retain(thread) == thread);
    CHECK_STATUS(cth_thread_join(thread, NULL), CTH_OK);
    cth_thread_release(thread);
    CHECK(kept == thread);
    cth_thread_release(thread);
    CHECK(!cth_thread_is_alive(kept)); // the third reference, taken by the thread itself
    CHECK(strncmp(cth_thread_name(kept), "Thread-", 7) == 0);
    CHECK(cth_thread_id(kept) > 1);
    cth_thread_release(kept);
    CHECK(cth_thread_retain(NULL) == NULL);
    cth_thread_release(NULL);
}

/* ---- join_all ---- */

static cth_status join_all_is_refused(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_DEADLOCK);
    CHECK_STATUS(cth_thread_join_all(0), CTH_DEADLOCK);
    return CTH_OK;
}

static cth_status join_all_until(void *object, cth_time deadline) {
    (void)object;
    return cth_thread_join_all(deadline);
}

static void join_all_waits_for_all_but_daemons(void) {
    runner r, daemon;
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    runner_start(&daemon, &(cth_thread_desc){.daemon = true});
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_thread_join_all(0), CTH_OK);
    runner_start(&r, NULL);
    CHECK_STATUS(cth_thread_join_all(0), CTH_TIMEDOUT);
    const cth_time deadline = cth_after(CTH_MS(5));
    CHECK_STATUS(cth_thread_join_all(deadline), CTH_TIMEDOUT);
    CHECK(cth_now() >= deadline);
    test_refuses_negative(join_all_until, NULL);
    cth_event_set(&r.end);
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    CHECK(!cth_thread_is_alive(r.thread));
    CHECK_STATUS(test_join(r.thread), CTH_OK); // that is not a join of each
    CHECK(cth_thread_is_alive(daemon.thread));
    runner_end(&daemon);
}

static void join_all_from_a_thread_of_the_kit(void) {
    CHECK_STATUS(test_join(test_spawn(join_all_is_refused, NULL)), CTH_OK);
}

static void *foreign_join_all(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    return NULL;
}

static void join_all_from_a_foreign_thread(void) {
    pthread_t thread;
    runner r;
    runner_start(&r, NULL);
    CHECK(pthread_create(&thread, NULL, foreign_join_all, NULL) == 0);
    runner_end(&r);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- names ---- */

static void default_names_count_up(void) {
    int last = 0;
    for (int i = 0; i < 3; i++) {
        cth_thread *thread;
        int number = 0, end = 0;
        CHECK_STATUS(cth_thread_create(&thread, returns, NULL, NULL), CTH_OK);
        CHECK(sscanf(cth_thread_name(thread), "Thread-%d%n", &number, &end) == 1);
        CHECK_EQ(cth_thread_name(thread)[end], 0);
        CHECK(number > 0);
        CHECK(last == 0 || number == last + 1);
        last = number;
        cth_thread_release(thread);
    }
    CHECK_STR(cth_thread_name(cth_thread_main()), "MainThread");
}

static void names_given_are_copied(void) {
    char name[] = "worker";
    runner r;
    runner_create(&r, &(cth_thread_desc){.name = name});
    memset(name, 'x', sizeof name - 1);
    CHECK_STR(cth_thread_name(r.thread), "worker");
    CHECK_STATUS(cth_thread_start(r.thread), CTH_OK);
    CHECK_STR(cth_thread_name(r.thread), "worker");
    runner_end(&r);
}

static void names_have_a_limit(void) {
    char name[CTH_THREAD_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[CTH_THREAD_NAME_MAX] = '\0';
    CHECK_EQ(CTH_THREAD_NAME_MAX, 63);
    runner r;
    runner_start(&r, &(cth_thread_desc){.name = name});
    CHECK_STR(cth_thread_name(r.thread), name);
    CHECK_STATUS(cth_thread_set_name(r.thread, "short"), CTH_OK);
    CHECK_STATUS(cth_thread_set_name(r.thread, name), CTH_OK);
    CHECK_STR(cth_thread_name(r.thread), name);
    char longer[CTH_THREAD_NAME_MAX + 2];
    memset(longer, 'n', sizeof longer);
    longer[CTH_THREAD_NAME_MAX + 1] = '\0';
    CHECK_STATUS(cth_thread_set_name(r.thread, longer), CTH_INVALID);
    CHECK_STATUS(cth_thread_set_name(r.thread, NULL), CTH_INVALID);
    CHECK_STR(cth_thread_name(r.thread), name); // nothing changed
    runner_end(&r);
}

static void rename_before_while_and_after(void) {
    runner r;
    runner_create(&r, &(cth_thread_desc){.name = "first"});
    const char *first = cth_thread_name(r.thread);
    CHECK_STATUS(cth_thread_set_name(r.thread, "second"), CTH_OK);
    CHECK_STR(cth_thread_name(r.thread), "second");
    CHECK_STATUS(cth_thread_start(r.thread), CTH_OK);
    CHECK_STATUS(cth_event_wait(&r.running), CTH_OK);
    CHECK_STR(cth_thread_name(r.self), "second");
    CHECK_STATUS(cth_thread_set_name(r.thread, "third"), CTH_OK);
    CHECK_STR(cth_thread_name(r.self), "third");
    cth_event_set(&r.end);
    CHECK_STATUS(cth_thread_join(r.thread, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_set_name(r.thread, "fourth"), CTH_OK);
    CHECK_STR(cth_thread_name(r.thread), "fourth");
    CHECK(strlen(first) > 0); // a pointer given out earlier is still good to read
    cth_thread_release(r.thread);
}

static atomic_int renames;

static cth_status renames_target(void *arg) {
    static const char *const names[2] = {"this one", "that one"};
    for (int i = 0; i < 300; i++) {
        CHECK_STATUS(cth_thread_set_name((cth_thread *)arg, names[i % 2]), CTH_OK);
    }
    atomic_store(&renames, 1);
    return CTH_OK;
}

static void names_can_be_read_while_they_change(void) {
    runner r;
    runner_start(&r, &(cth_thread_desc){.name = "that one"});
    atomic_store(&renames, 0);
    cth_thread *renamer = test_spawn(renames_target, r.thread);
    do {
        const char *name = cth_thread_name(r.thread);
        CHECK(strcmp(name, "this one") == 0 || strcmp(name, "that one") == 0);
    } while (atomic_load(&renames) == 0);
    CHECK_STATUS(test_join(renamer), CTH_OK);
    runner_end(&r);
}

/* The name that the system shows for a thread. */
static void system_name(const cth_thread *thread, char *name, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%lld/comm",
             (long long)cth_thread_native_id(thread));
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fgets(name, (int)size, file) != NULL);
    name[strcspn(name, "\n")] = '\0';
    fclose(file);
}

static void the_system_shows_the_name(void) {
    char name[64];
    runner r;
    runner_start(&r, &(cth_thread_desc){.name = "visible"});
    system_name(r.thread, name, sizeof name);
    CHECK_STR(name, "visible");
    CHECK_STATUS(cth_thread_set_name(r.thread, "seen from outside"), CTH_OK);
    system_name(r.thread, name, sizeof name);
    CHECK_STR(name, "seen from outsi"); // cut at 15 bytes
    runner_end(&r);
    runner_start(&r, &(cth_thread_desc){.name = "0123456789abcdefghij"});
    system_name(r.thread, name, sizeof name);
    CHECK_STR(name, "0123456789abcde");
    runner_end(&r);
    runner_start(&r, NULL);
    system_name(r.thread, name, sizeof name);
    CHECK_STR(name, cth_thread_name(r.thread));
    runner_end(&r);
}

static cth_status renames_itself(void *arg) {
    (void)arg;
    char name[64];
    CHECK_STATUS(cth_thread_set_name(cth_thread_current(), "myself"), CTH_OK);
    CHECK_STR(cth_thread_name(cth_thread_current()), "myself");
    system_name(cth_thread_current(), name, sizeof name);
    CHECK_STR(name, "myself");
    return CTH_OK;
}

static void a_thread_may_rename_itself(void) {
    CHECK_STATUS(test_join(test_spawn(renames_itself, NULL)), CTH_OK);
}

/* ---- current, main, count, enumerate ---- */

static void current_is_the_handle(void) {
    runner r;
    runner_start(&r, NULL);
    CHECK(r.self == r.thread);
    CHECK(cth_thread_current() != r.thread);
    runner_end(&r);
    CHECK(cth_thread_current() == cth_thread_main());
    CHECK_EQ(cth_thread_id(cth_thread_main()), 1);
    CHECK_EQ(cth_thread_native_id(cth_thread_main()), getpid());
    CHECK(!cth_thread_is_daemon(cth_thread_main()));
}

static void ids_are_unique(void) {
    uint32_t last = 1;
    for (int i = 0; i < 100; i++) {
        cth_thread *thread = test_spawn(returns, NULL);
        CHECK(cth_thread_id(thread) > last); // the ids of those that are gone do not come back
        last = cth_thread_id(thread);
        CHECK_STATUS(test_join(thread), CTH_OK);
    }
}

static void native_ids_are_the_system_s(void) {
    runner r[3];
    for (int i = 0; i < 3; i++) {
        runner_start(&r[i], NULL);
        char path[64];
        const long long id = (long long)cth_thread_native_id(r[i].thread);
        CHECK(id > 0 && id != getpid());
        snprintf(path, sizeof path, "/proc/self/task/%lld", id);
        CHECK(access(path, F_OK) == 0);
        for (int k = 0; k < i; k++) {
            CHECK(cth_thread_native_id(r[k].thread) != id);
        }
    }
    for (int i = 0; i < 3; i++) {
        runner_end(&r[i]);
    }
}

static void count_follows(void) {
    const size_t before = cth_thread_count();
    runner r[THREADS];
    CHECK(before >= 1);
    for (int i = 0; i < THREADS; i++) {
        runner_create(&r[i], &(cth_thread_desc){.daemon = i % 2 == 0});
        CHECK_EQ(cth_thread_count(), before + (size_t)i);
        CHECK_STATUS(cth_thread_start(r[i].thread), CTH_OK);
        CHECK_EQ(cth_thread_count(), before + (size_t)i + 1); // as soon as start returns
    }
    for (int i = 0; i < THREADS; i++) {
        runner_end(&r[i]);
        CHECK_EQ(cth_thread_count(), before + THREADS - 1 - (size_t)i); // as soon as join returns
    }
}

static void enumerate_lists_the_living(void) {
    runner r[3], unstarted;
    cth_thread *list[16];
    runner_create(&unstarted, NULL);
    for (int i = 0; i < 3; i++) {
        runner_start(&r[i], NULL);
    }
    const size_t n = cth_thread_enumerate(list, TEST_COUNT(list));
    CHECK_EQ(n, cth_thread_count());
    CHECK(n >= 4 && n <= TEST_COUNT(list));
    CHECK(list[0] == cth_thread_main()); // main first
    for (int i = 0; i < 3; i++) {
        int found = 0;
        for (size_t k = 0; k < n; k++) {
            found += list[k] == r[i].thread;
            CHECK(list[k] != unstarted.thread);
        }
        CHECK_EQ(found, 1);
    }
    for (int i = 0; i < 3; i++) {
        runner_end(&r[i]); // releases the creator's reference
    }
    for (size_t k = 0; k < n; k++) {
        CHECK(strlen(cth_thread_name(list[k])) > 0); // the list's own reference holds
        cth_thread_release(list[k]);
    }
    cth_thread_release(unstarted.thread);
    CHECK(strcmp(cth_thread_name(cth_thread_main()), "MainThread") == 0);
}

static void enumerate_with_too_little_room(void) {
    runner r[3];
    for (int i = 0; i < 3; i++) {
        runner_start(&r[i], NULL);
    }
    const size_t n = cth_thread_count();
    cth_thread *list[4] = {NULL};
    CHECK_EQ(cth_thread_enumerate(NULL, 0), n);
    CHECK_EQ(cth_thread_enumerate(list, 2), n);
    CHECK(list[0] == cth_thread_main() && list[1] != NULL && list[2] == NULL);
    cth_thread_release(list[0]);
    cth_thread_release(list[1]);
    for (int i = 0; i < 3; i++) {
        runner_end(&r[i]);
    }
}

static cth_status lists(void *arg) {
    (void)arg;
    for (int i = 0; i < 200; i++) {
        cth_thread *list[64];
        const size_t n = cth_thread_enumerate(list, TEST_COUNT(list));
        for (size_t k = 0; k < n && k < TEST_COUNT(list); k++) {
            CHECK(strlen(cth_thread_name(list[k])) > 0);
            cth_thread_release(list[k]);
        }
    }
    return CTH_OK;
}

static void enumerate_while_threads_come_and_go(void) {
    cth_thread *lister[2];
    for (int i = 0; i < 2; i++) {
        lister[i] = test_spawn(lists, NULL);
    }
    for (int i = 0; i < 200; i++) {
        CHECK_STATUS(test_join(test_spawn(returns, NULL)), CTH_OK);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(test_join(lister[i]), CTH_OK);
    }
}

static void the_daemon_flag(void) {
    runner r;
    runner_start(&r, &(cth_thread_desc){.daemon = true});
    CHECK(cth_thread_is_daemon(r.thread));
    runner_end(&r);
    runner_create(&r, NULL);
    CHECK(!cth_thread_is_daemon(r.thread));
    cth_thread_release(r.thread);
}

/* ---- many ---- */

static void many_at_once(void) {
    static runner r[MANY];
    for (int i = 0; i < MANY; i++) {
        runner_start(&r[i], NULL);
    }
    CHECK(cth_thread_count() > MANY);
    for (int i = 0; i < MANY; i++) {
        runner_end(&r[i]);
    }
}

static void many_one_after_another(void) {
    atomic_store(&ran, 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_STATUS(test_join(test_spawn(counts, NULL)), CTH_OK);
    }
    CHECK_EQ(atomic_load(&ran), 1000);
}

static cth_status spawns_the_next(void *arg) {
    int *depth = (int *)arg;
    if (++*depth < 50) {
        return test_join(test_spawn(spawns_the_next, depth));
    }
    return CTH_OK;
}

static void threads_start_threads(void) {
    int depth = 0;
    CHECK_STATUS(test_join(test_spawn(spawns_the_next, &depth)), CTH_OK);
    CHECK_EQ(depth, 50);
}

/* ---- stacks ---- */

static int dig(int depth) {
    volatile char room[16 * 1024];
    room[0] = (char)depth;
    room[sizeof room - 1] = 1;
    const int below = depth > 1 ? dig(depth - 1) : 0;
    return below + room[sizeof room - 1]; // used after the call, so each frame stays
}

static cth_status digs(void *arg) {
    const int depth = *(int *)arg;
    CHECK_EQ(dig(depth), depth);
    return CTH_OK;
}

static void a_large_stack_is_deep(void) {
    cth_thread *thread;
    int depth = 2048; // times 16 KiB are 32 MiB, four times the usual stack
    const cth_thread_desc desc = {.stack_size = (size_t)64 << 20};
    CHECK_STATUS(cth_thread_spawn(&thread, digs, &depth, &desc), CTH_OK);
    CHECK_STATUS(test_join(thread), CTH_OK);
}

static void stack_sizes_work_or_are_refused(void) {
    static const size_t sizes[] = {1,     100,    4096,    16383,    16384,
                                   65536, 100001, 1 << 20, SIZE_MAX, SIZE_MAX / 2};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        cth_thread *thread;
        atomic_store(&ran, 0);
        CHECK_STATUS(
            cth_thread_create(&thread, counts, NULL, &(cth_thread_desc){.stack_size = sizes[i]}),
            CTH_OK);
        const cth_status status = cth_thread_start(thread);
        if (status == CTH_OK) {
            CHECK_STATUS(cth_thread_join(thread, NULL), CTH_OK);
            CHECK_EQ(atomic_load(&ran), 1);
        } else {
            CHECK(status == CTH_INVALID || status == CTH_AGAIN || status == CTH_NOMEM);
            CHECK(sizes[i] < 65536 || sizes[i] >= SIZE_MAX / 2);
            CHECK(!cth_thread_is_alive(thread));
            CHECK_STATUS(cth_thread_join(thread, NULL), CTH_INVALID);
            CHECK_EQ(atomic_load(&ran), 0);
        }
        cth_thread_release(thread);
    }
}

static void a_thread_with_a_stack_size_is_like_any_other(void) {
    runner r;
    const cth_thread_desc desc = {.stack_size = 1 << 20, .name = "sized"};
    runner_start(&r, &desc);
    CHECK(r.self == r.thread);
    CHECK_STATUS(cth_thread_join_until(r.thread, NULL, 0), CTH_TIMEDOUT);
    char name[64];
    system_name(r.thread, name, sizeof name);
    CHECK_STR(name, "sized");
    runner_end(&r);
    runner_start(&r, &desc);
    CHECK_STATUS(cth_thread_detach(r.thread), CTH_OK);
    cth_event_set(&r.end);
    while (cth_thread_is_alive(r.thread)) {
        cth_yield();
    }
    cth_thread_release(r.thread);
}

/* ---- threads that the kit did not start ---- */

static cth_thread *outsider;

static void *foreign_introduces_itself(void *arg) {
    const size_t before = *(size_t *)arg;
    CHECK_EQ(cth_thread_count(), before + 1); // the call itself makes it known
    cth_thread *self = cth_thread_current();
    CHECK(self != NULL && self != cth_thread_main());
    CHECK(self == cth_thread_current());
    CHECK(cth_thread_is_alive(self));
    CHECK(cth_thread_native_id(self) > 0);
    CHECK(cth_thread_id(self) > 1);
    int number = 0, end = 0;
    CHECK(sscanf(cth_thread_name(self), "Dummy-%d%n", &number, &end) == 1 && number > 0);
    CHECK_EQ(cth_thread_name(self)[end], 0);
    cth_thread *list[16];
    const size_t n = cth_thread_enumerate(list, TEST_COUNT(list));
    int found = 0;
    for (size_t i = 0; i < n; i++) {
        found += list[i] == self;
        cth_thread_release(list[i]);
    }
    CHECK_EQ(found, 1);
    CHECK_STATUS(cth_thread_start(self), CTH_INVALID);
    CHECK_STATUS(cth_thread_join(self, NULL), CTH_DEADLOCK);
    CHECK_STATUS(cth_thread_detach(self), CTH_INVALID);
    CHECK_STATUS(cth_thread_set_name(self, "named"), CTH_OK);
    CHECK_STR(cth_thread_name(self), "named");
    outsider = cth_thread_retain(self);
    return NULL;
}

static void foreign_threads_are_adopted(void) {
    size_t before = cth_thread_count();
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, foreign_introduces_itself, &before) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK_EQ(cth_thread_count(), before); // gone from the list with its end
        CHECK(!cth_thread_is_alive(outsider));
        CHECK_STR(cth_thread_name(outsider), "named");
        CHECK_STATUS(cth_thread_join(outsider, NULL), CTH_INVALID);
        cth_thread_release(outsider);
    }
}

static void *foreign_spawns(void *arg) {
    CHECK_STATUS(test_join(test_spawn(doubles, arg)), CTH_OK);
    return NULL;
}

static void foreign_threads_can_start_and_join(void) {
    pthread_t thread[THREADS];
    sum sums[THREADS];
    for (int i = 0; i < THREADS; i++) {
        sums[i].in = i;
        CHECK(pthread_create(&thread[i], NULL, foreign_spawns, &sums[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
        CHECK_EQ(sums[i].out, 2 * i);
    }
}

static void *foreign_does_nothing(void *arg) {
    return arg;
}

static void threads_that_never_call_are_not_counted(void) {
    pthread_t thread;
    const size_t before = cth_thread_count();
    CHECK(pthread_create(&thread, NULL, foreign_does_nothing, NULL) == 0);
    CHECK_EQ(cth_thread_count(), before);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- the end of the program ---- */

static const char *line_of(const char *mode, int want) {
    static char text[4096];
    const int status = test_child(mode, text, sizeof text);
    if (status != want) {
        fprintf(stderr, "child \"%s\": %s\n", mode, text);
    }
    CHECK_EQ(status, want);
    return text;
}

static void exit_waits_for_threads(void) {
    CHECK_STR(line_of("return", 7), "main ends\nthread ends\n");
    CHECK_STR(line_of("exit", 7), "main ends\nthread ends\n");
}

static void exit_waits_for_released_and_detached_threads(void) {
    CHECK_STR(line_of("released", 7), "main ends\nthread ends\n");
    CHECK_STR(line_of("detached", 7), "main ends\nthread ends\n");
}

static void exit_waits_for_threads_started_meanwhile(void) {
    CHECK_STR(line_of("chain", 7), "main ends\nlink 1\nlink 2\nlink 3\n");
}

static void exit_does_not_wait_for_daemons(void) {
    CHECK_STR(line_of("daemon", 7), "main ends\n");
}

static void exit_does_not_wait_for_what_was_not_started(void) {
    CHECK_STR(line_of("not started", 7), "main ends\n");
}

static void exit_does_not_wait_for_foreign_threads(void) {
    CHECK_STR(line_of("foreign", 7), "main ends\n");
}

static void exit_from_a_thread_of_the_kit_does_not_wait(void) {
    CHECK_STR(line_of("exit in thread", 5), "thread exits\n");
}

static void exit_waits_although_main_is_cancelled(void) {
    CHECK_STR(line_of("cancelled", 7), "main ends\nthread ends\n");
}

static void exit_of_a_program_that_used_nothing(void) {
    CHECK_STR(line_of("nothing", 7), "main ends\n");
}

static void the_first_call_may_come_from_a_foreign_thread(void) {
    CHECK_STR(line_of("foreign first", 7), "Dummy-1\nMainThread 1\nmain ends\n");
}

static cth_status ends_late(void *arg) {
    (void)arg;
    cth_sleep(CTH_MS(50)); // if the exit did not wait, the line below would be missing
    printf("thread ends\n");
    return CTH_OK;
}

static cth_status never_ends(void *arg) {
    (void)arg;
    cth_sleep_until(CTH_FOREVER);
    printf("thread ends\n");
    return CTH_OK;
}

static cth_status exits(void *arg) {
    (void)arg;
    printf("thread exits\n");
    exit(5);
}

static cth_status link_of_chain(void *arg) {
    int *n = (int *)arg;
    cth_sleep(CTH_MS(10));
    printf("link %d\n", ++*n);
    if (*n < 3) {
        cth_thread_release(test_spawn(link_of_chain, n));
    }
    return CTH_OK;
}

static void *foreign_never_ends(void *arg) {
    cth_event_set((cth_event *)arg);
    cth_sleep_until(CTH_FOREVER);
    return NULL;
}

static void *foreign_names_itself(void *arg) {
    (void)arg;
    printf("%s\n", cth_thread_name(cth_thread_current()));
    return NULL;
}

static int child_main(const char *mode) {
    static cth_event known;
    static int links;
    static cth_cancel token;
    cth_thread *thread = NULL;
    pthread_t foreign;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(mode, "return") == 0 || strcmp(mode, "exit") == 0) {
        thread = test_spawn(ends_late, NULL);
    } else if (strcmp(mode, "released") == 0) {
        cth_thread_release(test_spawn(ends_late, NULL));
    } else if (strcmp(mode, "detached") == 0) {
        thread = test_spawn(ends_late, NULL);
        CHECK_STATUS(cth_thread_detach(thread), CTH_OK);
        cth_thread_release(thread);
        thread = NULL;
    } else if (strcmp(mode, "chain") == 0) {
        thread = test_spawn(link_of_chain, &links);
    } else if (strcmp(mode, "daemon") == 0) {
        const cth_thread_desc desc = {.daemon = true};
        CHECK_STATUS(cth_thread_spawn(&thread, never_ends, NULL, &desc), CTH_OK);
    } else if (strcmp(mode, "not started") == 0) {
        CHECK_STATUS(cth_thread_create(&thread, never_ends, NULL, NULL), CTH_OK);
    } else if (strcmp(mode, "foreign") == 0) {
        CHECK(pthread_create(&foreign, NULL, foreign_never_ends, &known) == 0);
        CHECK_STATUS(cth_event_wait(&known), CTH_OK);
        CHECK(pthread_detach(foreign) == 0);
    } else if (strcmp(mode, "exit in thread") == 0) {
        cth_thread_release(test_spawn(never_ends, NULL));
        cth_thread_release(test_spawn(exits, NULL));
        cth_sleep_until(CTH_FOREVER);
    } else if (strcmp(mode, "cancelled") == 0) {
        cth_thread_release(test_spawn(ends_late, NULL));
        CHECK_STATUS(cth_cancel_request(&token, NULL), CTH_OK);
        CTH_UNDER(&token) {
            printf("main ends\n");
            exit(7);
        }
    } else if (strcmp(mode, "foreign first") == 0) {
        CHECK(pthread_create(&foreign, NULL, foreign_names_itself, NULL) == 0);
        CHECK(pthread_join(foreign, NULL) == 0);
        printf("%s %d\n", cth_thread_name(cth_thread_current()),
               (int)cth_thread_id(cth_thread_current()));
    } else if (strcmp(mode, "nothing") != 0) {
        return 2;
    }
    printf("main ends\n");
    if (thread != NULL) {
        cth_thread_release(thread);
    }
    if (strcmp(mode, "exit") == 0) {
        exit(7);
    }
    return 7;
}

static cth_status ends_slowly(void *arg) {
    while (!cth_event_is_set((cth_event *)arg)) {
        cth_yield();
    }
    return CTH_OK;
}

static void errno_is_preserved(void) {
    cth_event end = CTH_EVENT_INIT;
    errno = 4242;
    cth_thread *thread = test_spawn(ends_slowly, &end);
    CHECK_STATUS(cth_thread_join_until(thread, NULL, cth_after(CTH_MS(2))), CTH_TIMEDOUT);
    CHECK_STATUS(cth_thread_set_name(thread, "another name"), CTH_OK);
    CHECK(cth_thread_count() > 1);
    cth_event_set(&end);
    CHECK_STATUS(test_join(thread), CTH_OK);
    CHECK_EQ(errno, 4242);
}

static const test_case tests[] = {
    TEST(created_is_not_started),
    TEST(create_refuses_bad_arguments),
    TEST(start_twice_is_refused),
    TEST(release_before_the_start),
    TEST(is_alive),
    TEST(the_argument_goes_in_and_the_work_comes_out),
    TEST(join_gives_the_result),
    TEST(join_twice_is_refused),
    TEST(join_itself_is_a_deadlock),
    TEST(the_main_thread_cannot_be_joined),
    TEST(join_before_the_start_is_refused),
    TEST(timed_join_times_out),
    TEST(timed_join_refuses_negative_deadlines),
    TEST(timed_join_waits_long),
    TEST(timed_join_of_one_that_ended),
    TEST(only_one_of_many_joins),
    TEST(detached_cannot_be_joined),
    TEST(detach_before_the_start),
    TEST(detach_after_the_end),
    TEST(release_before_the_end),
    TEST(release_after_the_end),
    TEST(references_are_counted),
    TEST(join_all_waits_for_all_but_daemons),
    TEST(join_all_from_a_thread_of_the_kit),
    TEST(join_all_from_a_foreign_thread),
    TEST(default_names_count_up),
    TEST(names_given_are_copied),
    TEST(names_have_a_limit),
    TEST(rename_before_while_and_after),
    TEST(names_can_be_read_while_they_change),
    TEST(the_system_shows_the_name),
    TEST(a_thread_may_rename_itself),
    TEST(current_is_the_handle),
    TEST(ids_are_unique),
    TEST(native_ids_are_the_system_s),
    TEST(count_follows),
    TEST(enumerate_lists_the_living),
    TEST(enumerate_with_too_little_room),
    TEST(enumerate_while_threads_come_and_go),
    TEST(the_daemon_flag),
    TEST(many_at_once),
    TEST(many_one_after_another),
    TEST(threads_start_threads),
    TEST(a_large_stack_is_deep),
    TEST(stack_sizes_work_or_are_refused),
    TEST(a_thread_with_a_stack_size_is_like_any_other),
    TEST(foreign_threads_are_adopted),
    TEST(foreign_threads_can_start_and_join),
    TEST(threads_that_never_call_are_not_counted),
    TEST(exit_waits_for_threads),
    TEST(exit_waits_for_released_and_detached_threads),
    TEST(exit_waits_for_threads_started_meanwhile),
    TEST(exit_does_not_wait_for_daemons),
    TEST(exit_does_not_wait_for_what_was_not_started),
    TEST(exit_does_not_wait_for_foreign_threads),
    TEST(exit_from_a_thread_of_the_kit_does_not_wait),
    TEST(exit_waits_although_main_is_cancelled),
    TEST(exit_of_a_program_that_used_nothing),
    TEST(the_first_call_may_come_from_a_foreign_thread),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    return mode != NULL ? child_main(mode) : test_run(argc, argv, tests, TEST_COUNT(tests));
}
