/* sim_thread.c - threads under many schedules, and bugs of thread handling that must be found

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_event event;
static int data;

static void fresh(void) {
    static const cth_event no_event = CTH_EVENT_INIT;
    event = no_event;
    data = 0;
    sim_begin();
}

/* -- scenarios ----------------------------------------------------------------------------------
 */

static cth_status counts(void *arg) {
    (void)arg;
    cth_yield();
    data++;
    return CTH_OK;
}

static cth_status fails(void *arg) {
    (void)arg;
    data++;
    return CTH_CLOSED;
}

static void ignore(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread;
    (void)status;
    (void)message;
    (void)arg;
}

/* Joining with deadlines: a timeout leaves the thread joinable, and what it did is seen. */
static cth_status join_with_timeouts(void *arg) {
    (void)arg;
    fresh();
    cth_thread_set_hook(ignore, NULL);
    cth_thread *t = sim_spawn(fails, NULL);
    cth_status result = CTH_BROKEN;
    cth_status status;
    do {
        const cth_time deadline = cth_sim_choose(3) == 0 ? 0 : sim_soon();
        status = cth_thread_join_until(t, &result, deadline);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        CTH_SIM_CHECK(status == CTH_OK || (result == CTH_BROKEN && cth_now() >= deadline));
        if (status != CTH_OK) {
            cth_yield();
        }
    } while (status != CTH_OK);
    CTH_SIM_CHECK(result == CTH_CLOSED && data == 1);
    CTH_SIM_CHECK(!cth_thread_is_alive(t));
    CTH_SIM_CHECK(cth_thread_join(t, NULL) == CTH_INVALID);
    CTH_SIM_CHECK(cth_thread_detach(t) == CTH_INVALID);
    cth_thread_release(t);
    return CTH_OK;
}

static cth_status joins(void *arg) {
    cth_thread *t = (cth_thread *)arg;
    const cth_status status = cth_thread_join(t, NULL);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_INVALID);
    if (status == CTH_OK) {
        CTH_SIM_CHECK(data == 1);
        data = 2;
    }
    cth_thread_release(t);
    return CTH_OK;
}

/* Two threads join a third: exactly one may. */
static cth_status joined_once(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(counts, NULL);
    cth_thread *a = sim_spawn(joins, cth_thread_retain(t));
    cth_thread *b = sim_spawn(joins, cth_thread_retain(t));
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(data == 2);
    cth_thread_release(t);
    return CTH_OK;
}

/* Detaching and releasing while the thread runs, ends, or has ended; nothing may be left behind. */
static cth_status detach_or_release(void *arg) {
    cth_thread *threads[2];
    (void)arg;
    fresh();
    for (int i = 0; i < 2; i++) {
        threads[i] = sim_spawn(counts, NULL);
    }
    for (int i = 0; i < 2; i++) {
        for (uint32_t n = cth_sim_choose(4); n > 0; n--) {
            cth_yield();
        }
        if (cth_sim_choose(2) == 0) {
            CTH_SIM_CHECK(cth_thread_detach(threads[i]) == CTH_OK);
            CTH_SIM_CHECK(cth_thread_join(threads[i], NULL) == CTH_INVALID);
        }
        cth_thread_release(threads[i]);
    }
    CTH_SIM_CHECK(cth_thread_join_all(CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(data == 2);
    CTH_SIM_CHECK(cth_thread_count() == 1);
    return CTH_OK;
}

/* The list of living threads while some of them start and end: each handle is good until released,
   the main thread is there, and the number never exceeds what was started. */
static cth_status enumerate(void *arg) {
    cth_thread *threads[3];
    (void)arg;
    fresh();
    for (int i = 0; i < 3; i++) {
        threads[i] = sim_spawn(counts, NULL);
    }
    for (int round = 0; round < 3; round++) {
        cth_thread *alive[8];
        const size_t n = cth_thread_enumerate(alive, 8);
        CTH_SIM_CHECK(n >= 1 && n <= 4);
        CTH_SIM_CHECK(alive[0] == cth_thread_main());
        cth_yield();
        for (size_t i = 0; i < n; i++) {
            CTH_SIM_CHECK(strlen(cth_thread_name(alive[i])) > 0);
            CTH_SIM_CHECK(cth_thread_id(alive[i]) >= 1);
            cth_thread_release(alive[i]);
        }
        CTH_SIM_CHECK(cth_thread_enumerate(NULL, 0) == cth_thread_count() || round < 3);
        if (round == 1) {
            cth_thread_release(threads[0]);
        }
    }
    sim_join(threads[1]);
    sim_join(threads[2]);
    CTH_SIM_CHECK(cth_thread_join_all(CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(data == 3);
    CTH_SIM_CHECK(cth_thread_count() == 1);
    return CTH_OK;
}

static cth_status spawns_two(void *arg) {
    cth_thread *threads[2];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        threads[i] = sim_spawn(counts, NULL);
    }
    for (int i = 0; i < 2; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* A thread start that fails, or an allocation, leaves all as it was: the handle is as new. */
static cth_status start_again(void *arg) {
    cth_thread *t = NULL;
    cth_status status;
    (void)arg;
    fresh();
    while ((status = cth_thread_create(&t, counts, NULL, NULL)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM && t == NULL);
    }
    while ((status = cth_thread_start(t)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_AGAIN || status == CTH_NOMEM);
        CTH_SIM_CHECK(!cth_thread_is_alive(t));
        CTH_SIM_CHECK(cth_thread_join(t, NULL) == CTH_INVALID);
        CTH_SIM_CHECK(cth_thread_count() == 1);
    }
    CTH_SIM_CHECK(cth__g.n_selves <= 2); // no record was lost with a failure
    status = cth_thread_start(t);
    CTH_SIM_CHECK(status == CTH_INVALID || status == CTH_NOMEM);
    sim_join(t);
    CTH_SIM_CHECK(data == 1);
    cth_thread *a = sim_spawn(spawns_two, NULL);
    cth_thread *b = sim_spawn(spawns_two, NULL);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(data == 5);
    CTH_SIM_CHECK(cth_thread_count() == 1);
    return CTH_OK;
}

/* Two threads start the same one: it runs once. */
static cth_status starts(void *arg) {
    cth_status status;
    do {
        status = cth_thread_start((cth_thread *)arg);
    } while (status == CTH_AGAIN || status == CTH_NOMEM);
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_INVALID);
    return CTH_OK;
}

static cth_status started_twice(void *arg) {
    cth_thread *t;
    (void)arg;
    fresh();
    while (cth_thread_create(&t, counts, NULL, NULL) != CTH_OK) {
    }
    sim_together(starts, t, 2);
    sim_join(t);
    CTH_SIM_CHECK(data == 1);
    return CTH_OK;
}

static cth_status joins_everybody(void *arg) {
    (void)arg;
    cth_thread *alive[8];
    const size_t n = cth_thread_enumerate(alive, 8);
    for (size_t i = n; i-- > 0;) { // the youngest first
        const cth_status status = cth_thread_join(alive[i], NULL);
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_INVALID || status == CTH_DEADLOCK);
        cth_thread_release(alive[i]);
    }
    return CTH_OK;
}

static cth_status tries_to_spawn(void *arg) {
    cth_thread *t;
    (void)arg;
    if (cth_thread_spawn(&t, counts, NULL, NULL) == CTH_OK) {
        cth_thread_release(t);
    }
    return CTH_OK;
}

/* Whoever finds a thread in the list may join it, also one whose start is about to fail. */
static cth_status join_all_found(void *arg) {
    (void)arg;
    fresh();
    cth_thread *a = sim_spawn(tries_to_spawn, NULL);
    for (uint32_t n = cth_sim_choose(8); n > 0; n--) {
        cth_yield();
    }
    CTH_SIM_CHECK(joins_everybody(NULL) == CTH_OK);
    cth_thread_release(a);
    CTH_SIM_CHECK(cth_thread_join_all(CTH_FOREVER) == CTH_OK);
    CTH_SIM_CHECK(cth_thread_count() == 1);
    return CTH_OK;
}

static cth_status spawns_and_leaves(void *arg) {
    (void)arg;
    cth_thread_release(sim_spawn(counts, NULL));
    return CTH_OK;
}

/* The wait for all threads covers those which the last ones still start; daemons are left out. */
static cth_status join_all(void *arg) {
    const cth_thread_desc daemon = {.daemon = true};
    (void)arg;
    fresh();
    cth_thread_release(sim_spawn(spawns_and_leaves, NULL));
    cth_thread_release(sim_spawn(spawns_and_leaves, NULL));
    cth_thread *d = sim_spawn_with(counts, NULL, &daemon);
    CTH_SIM_CHECK(cth_thread_is_daemon(d));
    while (cth_thread_join_all(sim_soon()) == CTH_TIMEDOUT) {
    }
    CTH_SIM_CHECK(data == 2 || data == 3);
    sim_join(d);
    CTH_SIM_CHECK(data == 3);
    return CTH_OK;
}

static cth_status renames(void *arg) {
    cth_thread *t = (cth_thread *)arg;
    for (int i = 0; i < 2; i++) {
        cth_status status;
        while ((status = cth_thread_set_name(t, i == 0 ? "first" : "second")) != CTH_OK) {
            CTH_SIM_CHECK(status == CTH_NOMEM);
        }
    }
    return CTH_OK;
}

/* A name stays readable while others rename the thread. */
static cth_status names(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(counts, NULL);
    cth_thread *a = sim_spawn(renames, t);
    const char *before = cth_thread_name(t);
    char copy[CTH_THREAD_NAME_MAX + 1];
    strcpy(copy, before);
    cth_yield();
    CTH_SIM_CHECK(strcmp(before, copy) == 0);
    sim_join(a);
    CTH_SIM_CHECK(strcmp(before, copy) == 0);
    CTH_SIM_CHECK(strcmp(cth_thread_name(t), "second") == 0);
    sim_join(t);
    return CTH_OK;
}

static cth_cancel token;

static cth_status joins_under(void *arg) {
    cth_thread *t = (cth_thread *)arg;
    cth_status status = CTH_BROKEN;
    CTH_UNDER(&token) {
        status = cth_thread_join(t, NULL);
    }
    CTH_SIM_CHECK(status == CTH_OK || status == CTH_CANCELLED);
    if (status == CTH_CANCELLED) {
        CTH_SIM_CHECK(cth_thread_join(t, NULL) == CTH_OK);
    }
    CTH_SIM_CHECK(data == 1);
    return CTH_OK;
}

/* A cancelled join has joined nothing: it can be made again. */
static cth_status join_cancelled(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *t = sim_spawn(counts, NULL);
    cth_thread *a = sim_spawn(joins_under, t);
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    sim_join(a);
    cth_thread_release(t);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return CTH_OK;
}

static void passes_join_with_timeouts(void) {
    SIM_PASS(join_with_timeouts, SIM_WAITS, 2500);
    SIM_PASS(join_with_timeouts, SIM_ALL, 1000);
}
static void passes_joined_once(void) {
    SIM_PASS(joined_once, SIM_WAITS, 1500);
}
static void passes_detach_or_release(void) {
    SIM_PASS(detach_or_release, SIM_WAITS, 2000);
    SIM_PASS(detach_or_release, SIM_ALL, 700);
}
static void passes_enumerate(void) {
    SIM_PASS(enumerate, SIM_WAITS, 1500);
}
static void passes_start_again(void) {
    SIM_PASS(start_again, SIM_ALL, 1200);
}
static void passes_started_twice(void) {
    SIM_PASS(started_twice, SIM_ALL, 1500);
}
static void passes_join_all_found(void) {
    SIM_PASS(join_all_found, SIM_WAITS, 1500);
    SIM_PASS(join_all_found, SIM_ALL, 2000);
}
static void passes_join_all(void) {
    SIM_PASS(join_all, SIM_WAITS, 1500);
}
static void passes_names(void) {
    SIM_PASS(names, SIM_ALL, 1500);
}
static void passes_join_cancelled(void) {
    SIM_PASS(join_cancelled, SIM_WAITS, 2000);
}

/* -- planted bugs -------------------------------------------------------------------------------
 */

static cth_status waits(void *arg) {
    (void)arg;
    return cth_event_wait(&event);
}

/* Bug: a thread is left behind that waits for something which nobody will do. */
static cth_status thread_left_behind(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(waits, NULL);
    if (!planted) {
        CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    }
    cth_thread_release(t);
    return CTH_OK;
}

/* Bug: a handle is never given back. */
static cth_status handle_left_behind(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(counts, NULL);
    CTH_SIM_CHECK(cth_thread_join(t, NULL) == CTH_OK);
    if (!planted) {
        cth_thread_release(t);
    }
    return CTH_OK;
}

/* Bug: when the second of two threads cannot be started, the first is forgotten. Stands for partial
   failures that are not undone. */
static cth_status forgets_on_failure(void *arg) {
    cth_thread *a, *b;
    (void)arg;
    fresh();
    if (cth_thread_spawn(&a, waits, NULL, NULL) != CTH_OK) {
        return CTH_OK;
    }
    if (cth_thread_spawn(&b, waits, NULL, NULL) != CTH_OK) {
        if (!planted) {
            CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
            sim_join(a);
        }
        return CTH_OK;
    }
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    sim_join(a);
    sim_join(b);
    return CTH_OK;
}

/* Bug: an argument on the stack of a function that returns before the thread has read it. Stands
   for the loop variable whose address every thread gets. */
static cth_status reads_argument(void *arg) {
    cth_yield();
    data += *(int *)arg;
    return CTH_OK;
}

static cth_status argument_changes(void *arg) {
    static int numbers[2];
    cth_thread *threads[2];
    (void)arg;
    fresh();
    for (int i = 0; i < 2; i++) {
        int *number = &numbers[planted ? 0 : i];
        *number = i + 1;
        threads[i] = sim_spawn(reads_argument, number);
    }
    sim_join(threads[0]);
    sim_join(threads[1]);
    CTH_SIM_CHECK(data == 3);
    return CTH_OK;
}

/* Bug: reads what a thread has made without having joined it. */
static cth_status reads_before_join(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(counts, NULL);
    if (planted) {
        CTH_SIM_CHECK(data == 1);
    }
    sim_join(t);
    CTH_SIM_CHECK(data == 1);
    return CTH_OK;
}

static void finds_thread_left_behind(void) {
    SIM_FOUND(thread_left_behind, 0, "thread left");
}
static void finds_handle_left_behind(void) {
    SIM_FOUND(handle_left_behind, 0, "memory left");
}
static void finds_forgotten_thread(void) {
    SIM_FOUND(forgets_on_failure, CTH_SIM_THREADS, "thread left");
}
static void finds_changed_argument(void) {
    SIM_FOUND(argument_changes, 0, "check");
}
static void finds_read_before_join(void) {
    SIM_FOUND(reads_before_join, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_join_with_timeouts), TEST(passes_joined_once),       TEST(passes_detach_or_release),
    TEST(passes_enumerate),          TEST(passes_start_again),       TEST(passes_started_twice),
    TEST(passes_join_all_found),     TEST(passes_join_all),          TEST(passes_names),
    TEST(passes_join_cancelled),     TEST(finds_thread_left_behind), TEST(finds_handle_left_behind),
    TEST(finds_forgotten_thread),    TEST(finds_changed_argument),   TEST(finds_read_before_join),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
