/* test_parallel.c - teams, loops, reductions, scans, sorts, forks and joins

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <time.h>

#ifdef __SANITIZE_ADDRESS__
#  define SLOW 10
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define SLOW 10
#  endif
#endif
#ifndef SLOW
#  define SLOW (TEST_TSAN ? 20 : 1)
#endif

enum { MILLION = 1000000 / SLOW, HUNDRED_THOUSAND = 100000 / SLOW };

static cth_team *team_of(uint32_t workers) {
    cth_team *team = NULL;
    CHECK_STATUS(cth_team_create(&team, &(cth_team_desc){.workers = workers}), CTH_OK);
    return team;
}

static cth_status says(void *arg) {
    return cth_fail(*(const cth_status *)arg, "says %d", *(const int *)arg);
}

static cth_status nothing(void *arg, size_t from, size_t to) {
    (void)arg;
    CHECK(from < to);
    return CTH_OK;
}

/* -- teams ---------------------------------------------------------------------------------------
 */

static cth_status dozes(void *arg, size_t from, size_t to) {
    (void)arg;
    (void)from;
    (void)to;
    return cth_sleep(CTH_US(100));
}

/* Give the team work until all its threads run, beside the `others`. */
static void start_all(cth_team *team, size_t others) {
    const size_t all = others + cth_team_workers(team) - 1;
    while (cth_thread_count() < all) {
        CHECK_STATUS(cth_parallel_for(team, 40, 1, dozes, NULL), CTH_OK);
    }
    CHECK_EQ(cth_thread_count(), all);
}

static void create_refuses(void) {
    cth_team *team = NULL;
    char name[64] = "";
    memset(name, 'x', 41);
    CHECK_STATUS(cth_team_create(NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_team_create(&team, &(cth_team_desc){.workers = 4097}), CTH_INVALID);
    CHECK_STATUS(cth_team_create(&team, &(cth_team_desc){.name = name}), CTH_INVALID);
    CHECK(team == NULL);
    name[40] = '\0';
    CHECK_STATUS(cth_team_create(&team, &(cth_team_desc){.name = name}), CTH_OK);
    cth_team_release(team);
    CHECK_STATUS(cth_team_create(&team, &(cth_team_desc){.workers = 4096}), CTH_OK);
    CHECK_EQ(cth_team_workers(team), 4096);
    cth_team_release(team);
    cth_team_release(NULL);
}

static cth_status knows_its_team(void *arg, size_t from, size_t to) {
    (void)from;
    (void)to;
    CHECK_EQ(cth_team_workers(NULL), *(const uint32_t *)arg);
    return CTH_OK;
}

/* NULL means the team of the outer call, in its own thread too, also where no thread is needed. */
static void null_is_the_current_team(void) {
    const uint32_t common = cth_team_workers(NULL);
    CHECK(common >= 1);
    for (uint32_t workers = common + 1; workers < common + 4; workers++) {
        cth_team *team = team_of(workers);
        CHECK_EQ(cth_team_workers(team), workers);
        for (size_t grain = 0; grain < 20; grain += 3) {
            CHECK_STATUS(cth_parallel_for(team, 20, grain, knows_its_team, (void *)&workers),
                         CTH_OK);
            CHECK_STATUS(cth_parallel_for(team, 1, grain, knows_its_team, (void *)&workers),
                         CTH_OK);
        }
        CHECK_EQ(cth_team_workers(NULL), common);
        cth_team_release(team);
    }
    cth_team *team = NULL;
    CHECK_STATUS(cth_team_create(&team, NULL), CTH_OK);
    CHECK_EQ(cth_team_workers(team), common);
    cth_team_release(team);
}

static void threads_start_on_demand(void) {
    const size_t before = cth_thread_count();
    cth_team *team = team_of(4);
    for (int i = 0; i < 100; i++) {
        CHECK_STATUS(cth_parallel_for(team, 1, 0, nothing, NULL), CTH_OK);
        CHECK_STATUS(cth_parallel_for(team, 100, 100, nothing, NULL), CTH_OK);
        int one = 1;
        CHECK_STATUS(cth_sort(team, &one, 1, sizeof one, (int (*)(const void *, const void *))1),
                     CTH_OK);
    }
    CHECK_EQ(cth_thread_count(), before);
    start_all(team, before);
    for (int i = 0; i < 10; i++) {
        CHECK_STATUS(cth_parallel_for(team, 40, 1, dozes, NULL), CTH_OK);
    }
    CHECK_EQ(cth_thread_count(), before + 3);
    cth_team_release(team);
    CHECK_EQ(cth_thread_count(), before);
}

typedef struct naming {
    cth_barrier barrier;
    char names[3][CTH_THREAD_NAME_MAX + 1];
} naming;

static cth_status takes_name(void *arg, size_t from, size_t to) {
    naming *n = (naming *)arg;
    CHECK_EQ(to, from + 1);
    snprintf(n->names[from], sizeof n->names[from], "%s", cth_thread_name(cth_thread_current()));
    return cth_barrier_wait(&n->barrier, NULL);
}

static void threads_have_names(void) {
    for (int round = 0; round < 2; round++) {
        const char *prefix = round == 0 ? "Team-" : "crew-";
        cth_team *team = NULL;
        const cth_team_desc desc = {.workers = 3, .name = round == 0 ? NULL : "crew"};
        CHECK_STATUS(cth_team_create(&team, &desc), CTH_OK);
        naming n;
        CHECK_STATUS(cth_barrier_init(&n.barrier, 3, NULL), CTH_OK);
        CHECK_STATUS(cth_parallel_for(team, 3, 1, takes_name, &n), CTH_OK);
        int seen[3] = {0};
        for (int i = 0; i < 3; i++) {
            const bool prefixed = strncmp(n.names[i], prefix, 5) == 0;
            CHECK(prefixed || strcmp(n.names[i], cth_thread_name(cth_thread_current())) == 0);
            const long number = prefixed ? strtol(n.names[i] + 5, NULL, 10) : 0;
            CHECK(number >= 0 && number < 3);
            seen[number]++;
        }
        CHECK(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
        cth_team_release(team);
        CHECK_STATUS(cth_barrier_destroy(&n.barrier), CTH_OK);
    }
}

static void idle_workers_use_no_cpu(void) {
    cth_team *team = team_of(4);
    start_all(team, cth_thread_count());
    CHECK_STATUS(cth_sleep(CTH_MS(100)), CTH_OK); // until all are asleep
    const clock_t before = clock();
    CHECK_STATUS(cth_sleep(CTH_MS(700)), CTH_OK);
    CHECK(clock() - before < CLOCKS_PER_SEC * 35 / 100);
    cth_team_release(team);
}

static void released_at_once(void) {
    for (int i = 0; i < 2000 / SLOW; i++) {
        cth_team *team = team_of(1 + (uint32_t)i % 4);
        if (i % 3 == 0) {
            CHECK_STATUS(cth_parallel_for(team, 4, 1, nothing, NULL), CTH_OK);
        } else if (i % 3 == 1) {
            start_all(team, cth_thread_count());
        }
        cth_team_release(team);
    }
}

/* -- loops ---------------------------------------------------------------------------------------
 */

typedef struct once {
    size_t n, grain;
    unsigned char *seen;
    atomic_size_t ranges;
} once;

static cth_status marks(void *arg, size_t from, size_t to) {
    once *o = (once *)arg;
    CHECK(from < to && to <= o->n);
    CHECK(o->grain == 0 || to - from <= o->grain);
    for (size_t i = from; i < to; i++) {
        o->seen[i]++;
    }
    atomic_fetch_add_explicit(&o->ranges, 1, memory_order_relaxed);
    return CTH_OK;
}

static void each_once(cth_team *team, size_t n, size_t grain) {
    once o = {n, grain, (unsigned char *)calloc(n + 1, 1), 0};
    CHECK_STATUS(cth_parallel_for(team, n, grain, marks, &o), CTH_OK);
    for (size_t i = 0; i <= n; i++) {
        CHECK_EQ(o.seen[i], i < n);
    }
    CHECK((n == 0) == (atomic_load(&o.ranges) == 0));
    free(o.seen);
}

static void each_index_once(void) {
    static const size_t grains[] = {0, 1, 2, 3, 7, 64, 1000, SIZE_MAX};
    for (uint32_t workers = 0; workers < 5; workers++) {
        cth_team *team = workers == 0 ? NULL : team_of(workers);
        for (size_t g = 0; g < TEST_COUNT(grains); g++) {
            for (size_t n = 0; n < 200; n += n < 40 ? 1 : 23) {
                each_once(team, n, grains[g]);
            }
            each_once(team, HUNDRED_THOUSAND, grains[g]);
        }
        each_once(team, 20 * (size_t)MILLION, 0);
        cth_team_release(team);
    }
}

static cth_status counts_range(void *arg, size_t from, size_t to) {
    atomic_fetch_add_explicit((atomic_size_t *)arg, to - from, memory_order_relaxed);
    return CTH_OK;
}

/* All numbers there are, which a body that is cheap enough gets through. */
static void huge_loops(void) {
    cth_team *team = team_of(3);
    for (size_t n = SIZE_MAX, i = 0; i < 10; n -= n / 3, i++) {
        atomic_size_t sum = 0;
        CHECK_STATUS(cth_parallel_for(team, n, 0, counts_range, &sum), CTH_OK);
        CHECK(atomic_load(&sum) == n);
        atomic_store(&sum, 0);
        CHECK_STATUS(cth_parallel_for(team, n, n / 100, counts_range, &sum), CTH_OK);
        CHECK(atomic_load(&sum) == n);
    }
    cth_team_release(team);
}

static void loops_refuse(void) {
    cth_team *team = team_of(2);
    CHECK_STATUS(cth_parallel_for(team, 3, 0, NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_parallel_for(NULL, 0, 0, NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_parallel_for(NULL, 0, 0, nothing, NULL), CTH_OK);
    CHECK_STATUS(cth_parallel(team, NULL, NULL), CTH_INVALID);
    cth_call calls[] = {{says, NULL}, {NULL, NULL}};
    CHECK_STATUS(cth_invoke(team, calls, 2), CTH_INVALID);
    CHECK_STATUS(cth_invoke(team, NULL, 0), CTH_OK);
    cth_team_release(team);
}

typedef struct failures {
    atomic_size_t least, calls;
    size_t from;  // ranges fail from that on which has this index
    bool no_text; // they say nothing of it
} failures;

static cth_status fails_from(void *arg, size_t from, size_t to) {
    failures *f = (failures *)arg;
    atomic_fetch_add(&f->calls, 1);
    if (to <= f->from) {
        return CTH_OK;
    }
    size_t least = atomic_load(&f->least);
    while (from < least && !atomic_compare_exchange_weak(&f->least, &least, from)) {
    }
    if (f->no_text) {
        return CTH_CLOSED;
    }
    return cth_fail(from % 2 == 0 ? CTH_FAILED : CTH_BROKEN, "no %d", (int)from);
}

/* The least of those that failed is told, and none begins when a failure is known. */
static void loops_fail(void) {
    for (uint32_t workers = 1; workers < 5; workers++) {
        cth_team *team = team_of(workers);
        for (int round = 0; round < 400 / SLOW; round++) {
            failures f = {SIZE_MAX, 0, (size_t)round % 100, false};
            const cth_status status =
                cth_parallel_for(team, 100, (size_t)round % 3, fails_from, &f);
            const size_t least = atomic_load(&f.least);
            CHECK(least < 100);
            CHECK_STATUS(status, least % 2 == 0 ? CTH_FAILED : CTH_BROKEN);
            char text[32];
            snprintf(text, sizeof text, "no %d", (int)least);
            CHECK_STR(cth_error_text(), text);
        }
        failures f = {SIZE_MAX, 0, 0, true};
        CHECK_STATUS(cth_parallel_for(team, 10000, 1, fails_from, &f), CTH_CLOSED);
        CHECK_STR(cth_error_text(), cth_status_text(CTH_CLOSED));
        CHECK(atomic_load(&f.calls) <= workers);
        (void)cth_fail(CTH_FAILED, "my own");
        CHECK_STATUS(cth_parallel_for(team, 100, 1, nothing, NULL), CTH_OK);
        CHECK_STATUS(cth_parallel_for(team, 100, 0, nothing, NULL), CTH_OK);
        CHECK_STR(cth_error_text(), "my own");
        cth_team_release(team);
    }
}

typedef struct cancelling {
    cth_cancel token;
    cth_event never;
    atomic_uint calls;
} cancelling;

/* The first one asks for the end, the others wait for it. */
static cth_status cancels(void *arg, size_t from, size_t to) {
    cancelling *c = (cancelling *)arg;
    (void)to;
    CHECK(cth_cancel_current() == &c->token);
    atomic_fetch_add(&c->calls, 1);
    return from == 0 ? cth_cancel_request(&c->token, "enough") : cth_event_wait(&c->never);
}

static void loops_are_cancelled(void) {
    for (uint32_t workers = 1; workers < 5; workers++) {
        cth_team *team = team_of(workers);
        for (int round = 0; round < 100 / SLOW; round++) {
            cancelling c = {.never = CTH_EVENT_INIT};
            CHECK_STATUS(cth_cancel_init(&c.token, NULL, CTH_FOREVER), CTH_OK);
            CTH_UNDER(&c.token) {
                CHECK_STATUS(cth_parallel_for(team, 1000, 1, cancels, &c), CTH_CANCELLED);
                CHECK_STR(cth_error_text(), cth_status_text(CTH_CANCELLED));
                const unsigned calls = atomic_load(&c.calls);
                CHECK(calls >= 1 && calls <= workers);
                // And before the call.
                CHECK_STATUS(cth_parallel_for(team, 1000, 1, cancels, &c), CTH_CANCELLED);
                CHECK_STATUS(cth_parallel_for(team, 1, 0, cancels, &c), CTH_CANCELLED);
                CHECK_STATUS(cth_parallel_for(team, 0, 0, cancels, &c), CTH_OK);
                CHECK_EQ(atomic_load(&c.calls), calls);
                CHECK(cth_cancel_current() == &c.token);
            }
            CHECK_STATUS(cth_cancel_destroy(&c.token), CTH_OK);
        }
        cth_team_release(team);
    }
}

static cth_status needs_no_token(void *arg, size_t from, size_t to) {
    (void)arg;
    (void)from;
    (void)to;
    CHECK(cth_cancel_current() == NULL);
    return CTH_OK;
}

/* A thread of the team is under the token of the call it works for only. */
static void tokens_of_calls_do_not_mix(void) {
    cth_team *team = team_of(3);
    for (int round = 0; round < 200 / SLOW; round++) {
        cancelling c = {.never = CTH_EVENT_INIT};
        CHECK_STATUS(cth_cancel_init(&c.token, NULL, CTH_FOREVER), CTH_OK);
        CTH_UNDER(&c.token) {
            CHECK_STATUS(cth_parallel_for(team, 100, 1, cancels, &c), CTH_CANCELLED);
        }
        CHECK_STATUS(cth_parallel_for(team, 100, 1, needs_no_token, NULL), CTH_OK);
        CHECK_STATUS(cth_cancel_destroy(&c.token), CTH_OK);
    }
    cth_team_release(team);
}

typedef struct nest {
    cth_team *team;
    int level;
    atomic_long *leaves;
} nest;

static cth_status nests(void *arg, size_t from, size_t to) {
    nest n = *(const nest *)arg;
    n.level--;
    for (size_t i = from; i < to; i++) {
        if (n.level == 0) {
            atomic_fetch_add_explicit(n.leaves, 1, memory_order_relaxed);
        } else if (cth_parallel_for(i % 2 == 0 ? NULL : n.team, 6, i % 3, nests, &n) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    return CTH_OK;
}

static cth_status nests_in_fork(cth_forks forks, void *arg) {
    (void)forks;
    return cth_parallel_for(NULL, 6, 1, nests, arg);
}

static cth_status forks_nests(cth_forks forks, void *arg) {
    cth_fork(&forks, nests_in_fork, arg);
    cth_fork(&forks, nests_in_fork, arg);
    CHECK_STATUS(nests_in_fork(forks, arg), CTH_OK);
    CHECK_STATUS(cth_parallel(NULL, nests_in_fork, arg), CTH_OK);
    CHECK_STATUS(cth_join(&forks), CTH_OK);
    return cth_join(&forks);
}

static void calls_within_calls(void) {
    for (uint32_t workers = 1; workers < 5; workers++) {
        cth_team *team = team_of(workers);
        atomic_long leaves = 0;
        nest n = {team, SLOW == 1 ? 5 : 3, &leaves};
        CHECK_STATUS(cth_parallel(team, forks_nests, &n), CTH_OK);
        CHECK_EQ(atomic_load(&leaves), SLOW == 1 ? 4 * 7776 : 4 * 216);
        cth_team_release(team);
    }
}

/* -- many callers --------------------------------------------------------------------------------
 */

static cth_status calls_often(void *arg) {
    cth_team *team = (cth_team *)arg;
    for (size_t i = 0; i < 200 / SLOW; i++) {
        each_once(team, i * 7 % 300, i % 4);
    }
    return CTH_OK;
}

static void several_callers(void) {
    for (uint32_t workers = 0; workers < 4; workers++) {
        cth_team *team = workers == 0 ? NULL : team_of(workers);
        cth_thread *threads[6];
        for (size_t i = 0; i < TEST_COUNT(threads); i++) {
            threads[i] = test_spawn(calls_often, team);
        }
        for (size_t i = 0; i < TEST_COUNT(threads); i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        cth_team_release(team);
    }
}

typedef struct crowd {
    cth_team *team;
    cth_barrier inside;
    atomic_int calls;
    cth_event *over;
} crowd;

static cth_status meets_inside(void *arg, size_t from, size_t to) {
    crowd *c = (crowd *)arg;
    (void)to;
    atomic_fetch_add(&c->calls, 1);
    return from == 0 ? cth_barrier_wait(&c->inside, NULL) : CTH_OK;
}

static cth_status calls_with_others(void *arg) {
    crowd *c = (crowd *)arg;
    for (int i = 0; i < 10; i++) {
        CHECK_STATUS(cth_parallel_for(c->team, 10, 1, meets_inside, arg), CTH_OK);
    }
    return CTH_OK;
}

static cth_status forks_with_others(cth_forks forks, void *arg);

static cth_status forks_alone(void *arg) {
    return cth_parallel(((crowd *)arg)->team, forks_with_others, arg);
}

static cth_status adds_call(cth_forks forks, void *arg) {
    (void)forks;
    atomic_fetch_add(&((crowd *)arg)->calls, 1);
    return CTH_OK;
}

static cth_status forks_with_others(cth_forks forks, void *arg) {
    for (int i = 0; i < 3000; i++) {
        cth_fork(&forks, adds_call, arg);
    }
    CHECK_STATUS(cth_barrier_wait(&((crowd *)arg)->inside, NULL), CTH_OK);
    for (int i = 0; i < 3000; i++) {
        CHECK_STATUS(cth_join(&forks), CTH_OK);
    }
    return CTH_OK;
}

/* All inside at a time, more than there are places for: some work alone. */
static void more_callers_than_places(void) {
    enum { CROWD = 30 };
    crowd c = {.team = team_of(2)};
    CHECK_STATUS(cth_barrier_init(&c.inside, CROWD, NULL), CTH_OK);
    cth_thread *threads[CROWD];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CROWD; i++) {
            threads[i] = test_spawn(round == 0 ? calls_with_others : forks_alone, &c);
        }
        for (int i = 0; i < CROWD; i++) {
            CHECK_STATUS(test_join(threads[i]), CTH_OK);
        }
        CHECK_EQ(atomic_exchange(&c.calls, 0), CROWD * (round == 0 ? 100 : 3000));
    }
    cth_team_release(c.team);
    CHECK_STATUS(cth_barrier_destroy(&c.inside), CTH_OK);
}

static cth_mutex held = CTH_MUTEX_INIT;

static cth_status locks(void *arg, size_t from, size_t to) {
    (void)arg;
    (void)from;
    (void)to;
    CHECK_STATUS(cth_mutex_lock(&held), CTH_OK); // CTH_DEADLOCK: within the call that holds it
    return cth_mutex_unlock(&held);
}

static cth_status calls_locks(void *arg) {
    while (!cth_event_is_set(((crowd *)arg)->over)) {
        CHECK_STATUS(cth_parallel_for(((crowd *)arg)->team, 8, 1, locks, NULL), CTH_OK);
    }
    return CTH_OK;
}

/* A call that waits runs nothing of another call: the lock it holds may be one that the other's
   bodies take. */
static void calls_do_not_mix(void) {
    cth_event over = CTH_EVENT_INIT;
    crowd c = {.team = team_of(3), .over = &over};
    cth_thread *other = test_spawn(calls_locks, &c);
    for (int i = 0; i < 2000 / SLOW; i++) {
        CTH_WITH(&held) {
            CHECK_STATUS(cth_parallel_for(c.team, 4, 1, dozes, NULL), CTH_OK);
        }
    }
    CHECK_STATUS(cth_event_set(&over), CTH_OK);
    CHECK_STATUS(test_join(other), CTH_OK);
    cth_team_release(c.team);
}

/* -- invoke --------------------------------------------------------------------------------------
 */

typedef struct pair {
    cth_event *mine, *other;
} pair;

static cth_status greets(void *arg) {
    const pair *p = (const pair *)arg;
    CHECK_STATUS(cth_event_set(p->mine), CTH_OK);
    return cth_event_wait(p->other);
}

static void invoked_functions_meet(void) {
    cth_team *team = team_of(2);
    for (int round = 0; round < 2000 / SLOW; round++) {
        cth_event a = CTH_EVENT_INIT, b = CTH_EVENT_INIT;
        pair pairs[2] = {{&a, &b}, {&b, &a}};
        const cth_call calls[] = {{greets, &pairs[0]}, {greets, &pairs[1]}};
        CHECK_STATUS(cth_invoke(team, calls, 2), CTH_OK);
        if (round % 100 == 0) {
            CHECK_STATUS(cth_sleep(CTH_MS(2)), CTH_OK); // the other one falls asleep
        }
    }
    cth_team_release(team);
}

static void invoked_functions_fail(void) {
    cth_team *team = team_of(1); // in order
    cth_status statuses[] = {CTH_OK, CTH_CLOSED, CTH_FAILED};
    cth_call calls[3];
    for (int i = 0; i < 3; i++) {
        calls[i] = (cth_call){says, &statuses[i]};
    }
    CHECK_STATUS(cth_invoke(team, calls, 3), CTH_CLOSED);
    cth_team_release(team);
}

/* -- forks ---------------------------------------------------------------------------------------
 */

static long fib(cth_forks forks, int n);
CTH_FORK_OF(long, int, fib);

static long fib(cth_forks forks, int n) {
    if (n < 2) {
        return n;
    }
    fib_fork(&forks, n - 1);
    const long other = fib(forks, n - 2);
    return fib_join(&forks) + other;
}

static cth_status runs_fib(cth_forks forks, void *arg) {
    *(long *)arg = fib(forks, SLOW == 1 ? 25 : 18);
    return CTH_CLOSED;
}

typedef struct five {
    long a[5];
} five;

static five turned(cth_forks forks, five f);
CTH_FORK_OF(five, five, turned);

static five turned(cth_forks forks, five f) {
    if (f.a[0] > 0) {
        five less = f;
        less.a[0]--;
        turned_fork(&forks, less);
        const five here = turned(forks, less);
        const five there = turned_join(&forks);
        CHECK(memcmp(&here, &there, sizeof here) == 0);
    }
    return (five){{f.a[4], f.a[3], f.a[2], f.a[1], f.a[0]}};
}

static cth_status runs_turned(cth_forks forks, void *arg) {
    (void)arg;
    turned_fork(&forks, (five){{8, 2, 3, 4, 5}});
    const five got = turned_join(&forks);
    CHECK(got.a[0] == 5 && got.a[1] == 4 && got.a[2] == 3 && got.a[3] == 2 && got.a[4] == 8);
    return CTH_OK;
}

static void typed_forks(void) {
    for (uint32_t workers = 1; workers < 5; workers++) {
        cth_team *team = team_of(workers);
        long got = 0;
        CHECK_STATUS(cth_parallel(team, runs_fib, &got), CTH_CLOSED);
        CHECK_EQ(got, SLOW == 1 ? 75025 : 2584);
        CHECK_STATUS(cth_parallel(team, runs_turned, NULL), CTH_OK);
        cth_team_release(team);
    }
}

typedef struct leaf {
    int runs;
    cth_status status;
} leaf;

static cth_status runs_leaf(cth_forks forks, void *arg) {
    leaf *l = (leaf *)arg;
    (void)forks;
    l->runs++;
    return l->status;
}

static cth_status forks_flat(cth_forks forks, void *arg) {
    leaf *leaves = (leaf *)arg;
    for (int i = 0; i < HUNDRED_THOUSAND; i++) {
        leaves[i] = (leaf){0, (cth_status)(i % 7)};
        cth_fork(&forks, runs_leaf, &leaves[i]);
    }
    for (int i = HUNDRED_THOUSAND; i-- > 0;) {
        CHECK_STATUS(cth_join(&forks), (cth_status)(i % 7));
        CHECK_EQ(leaves[i].runs, 1);
    }
    return CTH_OK;
}

static void flat_forks(void) {
    leaf *leaves = (leaf *)malloc(HUNDRED_THOUSAND * sizeof *leaves);
    for (uint32_t workers = 1; workers < 4; workers++) {
        cth_team *team = team_of(workers);
        for (int round = 0; round < 3; round++) {
            CHECK_STATUS(cth_parallel(team, forks_flat, leaves), CTH_OK);
        }
        cth_team_release(team);
    }
    free(leaves);
}

/* `left` levels, each with a fork that is open meanwhile. */
typedef struct deep {
    long left;
    atomic_long leaves;
} deep;

static cth_status adds_leaf(cth_forks forks, void *arg) {
    (void)forks;
    atomic_fetch_add_explicit(&((deep *)arg)->leaves, 1, memory_order_relaxed);
    return CTH_FAILED;
}

static cth_status goes_down(cth_forks forks, void *arg) {
    deep *d = (deep *)arg;
    if (d->left-- > 0) {
        cth_fork(&forks, adds_leaf, arg);
        CHECK_STATUS(goes_down(forks, arg), CTH_OK);
        CHECK_STATUS(cth_join(&forks), CTH_FAILED);
    }
    return CTH_OK;
}

/* `arg` levels, each of which is a fork. */
static long chain(cth_forks forks, long left);
CTH_FORK_OF(long, long, chain);

static long chain(cth_forks forks, long left) {
    if (left == 0) {
        return 0;
    }
    chain_fork(&forks, left - 1);
    return chain_join(&forks) + 1;
}

static cth_status runs_chain(cth_forks forks, void *arg) {
    CHECK_EQ(chain(forks, *(const long *)arg), *(const long *)arg);
    return CTH_OK;
}

enum { DEEP = TEST_TSAN ? 10000 : 100000 };

static cth_status goes_deep(void *arg) {
    for (long levels = 1000; levels <= DEEP; levels *= DEEP / 1000) {
        deep d = {levels, 0};
        CHECK_STATUS(cth_parallel((cth_team *)arg, goes_down, &d), CTH_OK);
        CHECK_EQ(atomic_load(&d.leaves), levels);
        CHECK_STATUS(cth_parallel((cth_team *)arg, runs_chain, &levels), CTH_OK);
    }
    return CTH_OK;
}

static void deep_forks(void) {
    const size_t stack = (size_t)128 << 20;
    for (uint32_t workers = 1; workers < 4; workers++) {
        cth_team *team = NULL;
        cth_thread *thread = NULL;
        CHECK_STATUS(
            cth_team_create(&team, &(cth_team_desc){.workers = workers, .stack_size = stack}),
            CTH_OK);
        CHECK_STATUS(
            cth_thread_spawn(&thread, goes_deep, team, &(cth_thread_desc){.stack_size = stack}),
            CTH_OK);
        CHECK_STATUS(test_join(thread), CTH_OK);
        cth_team_release(team);
    }
}

static cth_thread *forker;

/* Under the token where the forking thread runs it itself, else under none. */
static cth_status asks_token(cth_forks forks, void *arg) {
    (void)forks;
    if (cth_thread_current() == forker) {
        CHECK(cth_cancel_current() == (cth_cancel *)arg);
        CHECK_STATUS(cth_sleep(CTH_US(100)), CTH_CANCELLED);
    } else {
        CHECK(cth_cancel_current() == NULL);
        CHECK_STATUS(cth_sleep(CTH_US(100)), CTH_OK);
    }
    return CTH_OK;
}

static cth_status forks_under_token(cth_forks forks, void *arg) {
    for (int i = 0; i < 20; i++) {
        cth_fork(&forks, asks_token, arg);
    }
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(cth_join(&forks), CTH_OK);
    }
    return CTH_OK;
}

/* A cancelled token ends waits, not forks and joins. */
static void forks_under_a_token(void) {
    forker = cth_thread_current();
    for (uint32_t workers = 1; workers < 4; workers++) {
        cth_team *team = team_of(workers);
        cth_cancel token;
        CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
        CHECK_STATUS(cth_cancel_request(&token, "test"), CTH_OK);
        CTH_UNDER(&token) {
            for (int round = 0; round < 20; round++) {
                CHECK_STATUS(cth_parallel(team, forks_under_token, &token), CTH_OK);
            }
            CHECK(cth_cancel_current() == &token);
        }
        CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
        cth_team_release(team);
    }
}

/* -- reductions ----------------------------------------------------------------------------------
 */

static cth_status adds_fractions(void *arg, size_t from, size_t to, void *acc) {
    (void)arg;
    for (size_t i = from; i < to; i++) {
        *(double *)acc += 1.0 / (double)(i + 1);
    }
    return CTH_OK;
}

static void joins_doubles(void *arg, void *left, const void *right) {
    (void)arg;
    *(double *)left += *(const double *)right;
}

static void sums_have_the_same_bits(void) {
    static const size_t counts[] = {0, 1, 2, 511, 512, 513, 777, HUNDRED_THOUSAND};
    static const size_t grains[] = {0, 1, 64, 1000};
    static const uint32_t workers[] = {1, 2, 3, 8};
    for (size_t c = 0; c < TEST_COUNT(counts); c++) {
        double serial = 0;
        CHECK_STATUS(adds_fractions(NULL, 0, counts[c], &serial), CTH_OK);
        for (size_t g = 0; g < TEST_COUNT(grains); g++) {
            const cth_reduction how = {.size = sizeof(double),
                                       .range = adds_fractions,
                                       .join = joins_doubles,
                                       .grain = grains[g]};
            double first = 0;
            for (size_t w = 0; w < TEST_COUNT(workers); w++) {
                cth_team *team = team_of(workers[w]);
                for (int round = 0; round < 3; round++) {
                    double got = -1;
                    CHECK_STATUS(cth_reduce(team, counts[c], &how, NULL, &got), CTH_OK);
                    CHECK(got >= serial - 1e-9 && got <= serial + 1e-9);
                    first = w + (size_t)round == 0 ? got : first;
                    CHECK(memcmp(&first, &got, sizeof got) == 0);
                }
                cth_team_release(team);
            }
        }
    }
}

enum { BINS = 64 * 1024 / sizeof(uint32_t) };

static cth_status counts_bins(void *arg, size_t from, size_t to, void *acc) {
    (void)arg;
    for (size_t i = from; i < to; i++) {
        ((uint32_t *)acc)[i * i % BINS]++;
    }
    return CTH_OK;
}

static void joins_bins(void *arg, void *left, const void *right) {
    (void)arg;
    for (size_t i = 0; i < BINS; i++) {
        ((uint32_t *)left)[i] += ((const uint32_t *)right)[i];
    }
}

static void large_accumulators(void) {
    static uint32_t got[BINS], want[BINS], identity[BINS];
    cth_team *team = team_of(3);
    for (size_t n = 1; n <= HUNDRED_THOUSAND; n *= 10) {
        memset(want, 0, sizeof want);
        CHECK_STATUS(counts_bins(NULL, 0, n, want), CTH_OK);
        for (int round = 0; round < 2; round++) {
            const cth_reduction how = {sizeof got, round == 0 ? NULL : identity, counts_bins,
                                       joins_bins, round == 0 ? 0 : n / 5};
            memset(got, 7, sizeof got);
            CHECK_STATUS(cth_reduce(team, n, &how, NULL, got), CTH_OK);
            CHECK(memcmp(got, want, sizeof got) == 0);
        }
    }
    cth_team_release(team);
}

/* Text: order matters, and each index is there once. */
typedef struct text {
    size_t size;
    char chars[8000];
} text;

static cth_status writes_digits(void *arg, size_t from, size_t to, void *acc) {
    text *t = (text *)acc;
    (void)arg;
    for (size_t i = from; i < to; i++) {
        t->size += (size_t)snprintf(t->chars + t->size, sizeof t->chars - t->size, "%zu,", i);
    }
    return CTH_OK;
}

static void joins_text(void *arg, void *left, const void *right) {
    text *l = (text *)left;
    const text *r = (const text *)right;
    (void)arg;
    memcpy(l->chars + l->size, r->chars, r->size + 1);
    l->size += r->size;
}

static void joins_keep_the_order(void) {
    static text want, got;
    static const text identity = {2, "> "};
    cth_team *team = team_of(3);
    for (size_t n = 0; n < 1200; n += n < 20 ? 1 : 291) {
        memset(&want, 0, sizeof want);
        CHECK_STATUS(writes_digits(NULL, 0, n, &want), CTH_OK);
        for (size_t grain = 0; grain < 400; grain += 100) {
            const cth_reduction how = {sizeof(text), NULL, writes_digits, joins_text, grain};
            CHECK_STATUS(cth_reduce(team, n, &how, NULL, &got), CTH_OK);
            CHECK_STR(got.chars, want.chars);
        }
    }
    const cth_reduction how = {sizeof(text), &identity, writes_digits, joins_text, 2};
    CHECK_STATUS(cth_reduce(team, 3, &how, NULL, &got), CTH_OK);
    CHECK_STR(got.chars, "> 0,1,> 2,");
    CHECK_STATUS(cth_reduce(team, 0, &how, NULL, &got), CTH_OK);
    CHECK_STR(got.chars, "> ");
    cth_team_release(team);
}

static cth_status sum_fails(void *arg, size_t from, size_t to, void *acc) {
    (void)to;
    (void)acc;
    return from >= *(const size_t *)arg ? cth_fail(CTH_FAILED, "no %d", (int)from) : CTH_OK;
}

static cth_status writes_nothing(void *arg, size_t from, size_t to, void *before) {
    (void)arg;
    (void)from;
    (void)to;
    (void)before;
    return CTH_OK;
}

static void reductions_fail(void) {
    cth_team *team = team_of(2);
    cth_reduction how = {sizeof(double), NULL, sum_fails, joins_doubles, 0};
    double got = 7;
    size_t from = 40;
    CHECK_STATUS(cth_reduce(team, 100, &how, &from, &got), CTH_FAILED);
    CHECK(strncmp(cth_error_text(), "no ", 3) == 0);
    CHECK_STATUS(cth_scan(team, 100, &how, writes_nothing, &from), CTH_FAILED);
    how.range = adds_fractions;
    CHECK_STATUS(cth_scan(team, 100, &how, sum_fails, &from), CTH_FAILED);
    CHECK(strncmp(cth_error_text(), "no ", 3) == 0);
    CHECK_STATUS(cth_reduce(team, 100, NULL, NULL, &got), CTH_INVALID);
    CHECK_STATUS(cth_scan(team, 100, NULL, writes_nothing, NULL), CTH_INVALID);
    CHECK_STATUS(cth_scan(team, 100, &how, NULL, NULL), CTH_INVALID);
    for (int i = 0; i < 4; i++) {
        cth_reduction bad = how;
        bad.range = i == 0 ? NULL : bad.range;
        bad.join = i == 1 ? NULL : bad.join;
        bad.size = i == 2 ? 0 : bad.size;
        bad.grain = i == 3 ? 1 : bad.grain;
        CHECK_STATUS(cth_reduce(team, SIZE_MAX, &bad, NULL, &got), CTH_INVALID);
        CHECK_STATUS(cth_scan(team, SIZE_MAX, &bad, writes_nothing, NULL), CTH_INVALID);
    }
    for (size_t part = 1; part <= 8; part *= 2) { // accumulators of which there is room for few
        cth_reduction bad = how;
        bad.size = SIZE_MAX / part - 32;
        CHECK_STATUS(cth_reduce(team, 8, &bad, NULL, &got), CTH_INVALID);
        CHECK_STATUS(cth_scan(team, 8, &bad, writes_nothing, NULL), CTH_INVALID);
    }
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, "test"), CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_reduce(team, 100, &how, NULL, &got), CTH_CANCELLED);
        CHECK_STATUS(cth_scan(team, 100, &how, writes_nothing, NULL), CTH_CANCELLED);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    CHECK(got >= 7 && got <= 7);
    cth_team_release(team);
}

/* x -> a x + b, modulo 2^64: the order matters. */
typedef struct map {
    uint64_t a, b;
} map;

static map map_of(size_t i) {
    return (map){2 * (uint64_t)i + 3, (uint64_t)i * i + 1};
}

static map then(map f, map g) {
    return (map){g.a * f.a, g.a * f.b + g.b};
}

typedef struct scanning {
    map *out;
    bool inclusive;
} scanning;

static cth_status composes(void *arg, size_t from, size_t to, void *acc) {
    (void)arg;
    for (size_t i = from; i < to; i++) {
        *(map *)acc = then(*(map *)acc, map_of(i));
    }
    return CTH_OK;
}

static void joins_maps(void *arg, void *left, const void *right) {
    (void)arg;
    *(map *)left = then(*(map *)left, *(const map *)right);
}

static cth_status writes_maps(void *arg, size_t from, size_t to, void *before) {
    scanning *s = (scanning *)arg;
    map *at = (map *)before;
    for (size_t i = from; i < to; i++) {
        s->out[i] = s->inclusive ? then(*at, map_of(i)) : *at;
        *at = then(*at, map_of(i));
    }
    return CTH_OK;
}

static void scan_once(cth_team *team, map *out, size_t n, size_t grain) {
    static const map same = {1, 0};
    const cth_reduction how = {sizeof(map), &same, composes, joins_maps, grain};
    for (int round = 0; round < 2; round++) {
        scanning s = {out, round == 1};
        memset(out, 0xee, (n + 1) * sizeof *out);
        CHECK_STATUS(cth_scan(team, n, &how, writes_maps, &s), CTH_OK);
        map at = same;
        for (size_t i = 0; i < n; i++) {
            const map next = then(at, map_of(i));
            const map want = s.inclusive ? next : at;
            CHECK(out[i].a == want.a && out[i].b == want.b);
            at = next;
        }
        CHECK_EQ(((unsigned char *)&out[n])[0], 0xee);
    }
    map got, at = same;
    CHECK_STATUS(cth_reduce(team, n, &how, NULL, &got), CTH_OK);
    CHECK_STATUS(composes(NULL, 0, n, &at), CTH_OK);
    CHECK(got.a == at.a && got.b == at.b);
}

static void scans(void) {
    map *out = (map *)malloc((MILLION + 2000) * sizeof *out);
    for (uint32_t workers = 1; workers < 4; workers++) {
        cth_team *team = team_of(workers);
        for (size_t n = 0; n <= 2000; n += SLOW) {
            scan_once(team, out, n, n % 3 == 0 ? 0 : n % 100 + 1);
        }
        scan_once(team, out, MILLION, 0);
        scan_once(team, out, MILLION, 1000);
        cth_team_release(team);
    }
    free(out);
}

/* -- sorts ---------------------------------------------------------------------------------------
 */

enum {
    RANDOM,
    SORTED,
    REVERSED,
    EQUAL,
    FEW,
    ORGAN_PIPE,
    SAW,
    ALMOST_SORTED,
    KINDS,
};

static uint32_t value_of(int kind, size_t i, size_t n, cth_rng *rng) {
    switch (kind) {
    case SORTED: return (uint32_t)i;
    case REVERSED: return (uint32_t)(n - i);
    case EQUAL: return 5;
    case FEW: return (uint32_t)cth_rng_below(rng, 4);
    case ORGAN_PIPE: return (uint32_t)(i < n / 2 ? i : n - i);
    case SAW: return (uint32_t)(i % 37);
    case ALMOST_SORTED: return (uint32_t)(cth_rng_below(rng, 50) == 0 ? n - i : i);
    default: return (uint32_t)cth_rng_next(rng);
    }
}

static size_t width; // of the elements that are compared

static int compare_all(const void *a, const void *b) {
    return memcmp(a, b, width);
}

static int compare_first(const void *a, const void *b) {
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

/* Values with their high byte first, then bytes that follow from them, so that equal elements are
   the same. */
static void fill(unsigned char *base, size_t n, size_t size, int kind, cth_rng *rng) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t value = value_of(kind, i, n, rng);
        for (size_t j = 0; j < size; j++) {
            const size_t low = size < 4 ? size - 1 : 3;
            base[i * size + j] =
                (unsigned char)(j <= low ? value >> 8 * (low - j) : (value * 31 + j) >> 3);
        }
    }
}

/* A key in the first byte, then as much of the index as there is room for. */
static void fill_keyed(unsigned char *base, size_t n, size_t size, int kind, cth_rng *rng) {
    memset(base, 0, n * size);
    for (size_t i = 0; i < n; i++) {
        base[i * size] = (unsigned char)value_of(kind, i, n, rng);
        for (size_t j = 1; j < size && j < 5; j++) {
            base[i * size + j] = (unsigned char)(i >> 8 * ((size < 5 ? size - 1 : 4) - j));
        }
    }
}

static unsigned char *given, *wanted, *sorted;

static void sort_once(cth_team *team, size_t n, size_t size, int kind, cth_rng *rng) {
    width = size;
    sorted[n * size] = 0xab;
    fill(given, n, size, kind, rng);
    memcpy(wanted, given, n * size);
    qsort(wanted, n, size, compare_all);
    memcpy(sorted, given, n * size);
    CHECK_STATUS(cth_sort(team, sorted, n, size, compare_all), CTH_OK);
    CHECK(memcmp(sorted, wanted, n * size) == 0);
    CHECK_EQ(sorted[n * size], 0xab);

    const bool fits = size >= 5 || (size > 1 && n <= (size_t)1 << 8 * (size - 1));
    if (size == 1 || fits) {
        fill_keyed(given, n, size, kind, rng);
        memcpy(wanted, given, n * size);
        qsort(wanted, n, size, compare_all); // by key, then by index
    }
    memcpy(sorted, given, n * size);
    CHECK_STATUS(cth_stable_sort(team, sorted, n, size, fits ? compare_first : compare_all),
                 CTH_OK);
    CHECK(memcmp(sorted, wanted, n * size) == 0);
    CHECK_EQ(sorted[n * size], 0xab);
}

static const size_t widths[] = {1, 2, 4, 8, 12, 16, 100, 200};

static void sort_room(size_t bytes) {
    given = (unsigned char *)malloc(bytes + 1);
    wanted = (unsigned char *)malloc(bytes + 1);
    sorted = (unsigned char *)malloc(bytes + 1);
    CHECK(given != NULL && wanted != NULL && sorted != NULL);
}

static void sort_room_end(void) {
    free(given);
    free(wanted);
    free(sorted);
}

static void small_sorts(void) {
    cth_rng rng;
    cth_rng_seed(&rng, 1);
    cth_team *team = team_of(2);
    sort_room(300 * 200);
    for (size_t w = 0; w < TEST_COUNT(widths); w++) {
        for (int kind = 0; kind < KINDS; kind++) {
            for (size_t n = 0; n <= 300; n += SLOW == 1 ? 1 : 7) {
                sort_once(team, n, widths[w], kind, &rng);
            }
        }
    }
    sort_room_end();
    cth_team_release(team);
}

static void large_sorts(void) {
    cth_rng rng;
    cth_rng_seed(&rng, 2);
    for (uint32_t workers = 1; workers < 4; workers++) {
        cth_team *team = team_of(workers);
        sort_room((size_t)20000 * 200 > 4 * MILLION ? (size_t)20000 * 200 : 4 * MILLION);
        for (size_t w = 0; w < TEST_COUNT(widths); w++) {
            for (int kind = 0; kind < KINDS; kind++) {
                sort_once(team, 4001 + (size_t)cth_rng_below(&rng, 16000 / SLOW), widths[w], kind,
                          &rng);
            }
        }
        for (int kind = 0; kind < KINDS; kind++) {
            sort_once(team, kind == RANDOM || kind == FEW ? MILLION : MILLION / 10, 4, kind, &rng);
        }
        sort_room_end();
        cth_team_release(team);
    }
}

static void sorts_refuse(void) {
    int numbers[2] = {2, 1};
    width = sizeof(int);
    for (int i = 0; i < 2; i++) {
        cth_status (*const sort)(cth_team *, void *, size_t, size_t,
                                 int (*)(const void *, const void *)) =
            i == 0 ? cth_sort : cth_stable_sort;
        CHECK_STATUS(sort(NULL, numbers, 2, sizeof(int), NULL), CTH_INVALID);
        CHECK_STATUS(sort(NULL, numbers, 2, 0, compare_all), CTH_INVALID);
        CHECK_STATUS(sort(NULL, numbers, SIZE_MAX / 2, sizeof(int), compare_all), CTH_INVALID);
        CHECK_STATUS(sort(NULL, NULL, 0, sizeof(int), compare_all), CTH_OK);
        CHECK_EQ(numbers[0], 2);
    }
}

/* McIlroy's adversary ("A killer adversary for quicksort", 1999): values are settled while they are
   compared, so that each pivot is among the least of what is left. */
static int *gas;
static int solid, candidate, gas_value;
static long compares;

static int compare_killer(const void *pa, const void *pb) {
    const int a = *(const int *)pa, b = *(const int *)pb;
    compares++;
    if (gas[a] == gas_value && gas[b] == gas_value) {
        gas[a == candidate ? a : b] = solid++;
    }
    if (gas[a] == gas_value) {
        candidate = a;
    } else if (gas[b] == gas_value) {
        candidate = b;
    }
    return (gas[a] > gas[b]) - (gas[a] < gas[b]);
}

static int compare_counted(const void *a, const void *b) {
    compares++;
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void no_input_is_a_killer(void) {
    cth_team *team = team_of(1); // one thread compares
    for (int n = 1000; n <= 64000; n *= 8) {
        long bound = 0; // 8 n log2(n)
        for (int m = n; m > 0; m /= 2) {
            bound += 8L * n;
        }
        int *order = (int *)malloc((size_t)n * sizeof(int));
        gas = (int *)malloc((size_t)n * sizeof(int));
        solid = candidate = 0;
        compares = 0;
        gas_value = n;
        for (int i = 0; i < n; i++) {
            order[i] = i;
            gas[i] = gas_value;
        }
        CHECK_STATUS(cth_sort(team, order, (size_t)n, sizeof(int), compare_killer), CTH_OK);
        CHECK(compares < bound);
        for (int i = 1; i < n; i++) {
            CHECK(gas[order[i - 1]] <= gas[order[i]]);
        }
        compares = 0;
        CHECK_STATUS(cth_sort(team, gas, (size_t)n, sizeof(int), compare_counted), CTH_OK);
        CHECK(compares < bound);
        for (int i = 1; i < n; i++) {
            CHECK(gas[i - 1] <= gas[i]);
        }
        free(gas);
        free(order);
    }
    cth_team_release(team);
}

typedef struct record {
    double key;
    uint32_t index;
    char more[20];
} record;

CTH_SORT_OF(int, sort_ints, *a < *b);
CTH_SORT_OF(double, sort_down, *a > *b);
CTH_SORT_OF(record, sort_records, a->key < b->key);

static int compare_ints(const void *a, const void *b) {
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void typed_sorts(void) {
    cth_rng rng;
    cth_rng_seed(&rng, 3);
    cth_team *team = team_of(3);
    int *a = (int *)malloc(MILLION * sizeof *a), *b = (int *)malloc(MILLION * sizeof *b);
    int *c = (int *)malloc(MILLION * sizeof *c);
    double *d = (double *)malloc(MILLION * sizeof *d);
    record *r = (record *)malloc(MILLION * sizeof *r);
    for (size_t n = 0; n <= MILLION; n = n < 30                           ? n + 1
                                         : n < MILLION && n * 7 > MILLION ? MILLION
                                                                          : n * 7) {
        for (size_t i = 0; i < n; i++) {
            a[i] = b[i] = c[i] = (int)(uint32_t)cth_rng_next(&rng);
            d[i] = (double)a[i];
            r[i] = (record){(double)cth_rng_below(&rng, n / 4 + 1), (uint32_t)i, ""};
        }
        qsort(a, n, sizeof(int), compare_ints);
        CHECK_STATUS(sort_ints(team, b, n), CTH_OK);
        CHECK_STATUS(sort_ints_stable(team, c, n), CTH_OK);
        CHECK_STATUS(sort_down(team, d, n), CTH_OK);
        CHECK_STATUS(sort_records_stable(team, r, n), CTH_OK);
        for (size_t i = 0; i < n; i++) {
            CHECK_EQ(b[i], a[i]);
            CHECK_EQ(c[i], a[i]);
            CHECK_EQ((int)d[i], a[n - 1 - i]);
            CHECK(i == 0 || r[i - 1].key < r[i].key ||
                  (r[i - 1].key <= r[i].key && r[i - 1].index < r[i].index));
        }
        CHECK_STATUS(sort_records(team, r, n), CTH_OK);
    }
    free(a);
    free(b);
    free(c);
    free(d);
    free(r);
    cth_team_release(team);
}

static void sorts_go_on_when_cancelled(void) {
    cth_team *team = team_of(2);
    cth_cancel token;
    int *numbers = (int *)malloc(50000 * sizeof(int));
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
    CHECK_STATUS(cth_cancel_request(&token, "test"), CTH_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 50000; i++) {
            numbers[i] = 50000 - i;
        }
        CTH_UNDER(&token) {
            CHECK_STATUS(round == 0
                             ? cth_sort(team, numbers, 50000, sizeof(int), compare_ints)
                             : cth_stable_sort(team, numbers, 50000, sizeof(int), compare_ints),
                         CTH_OK);
        }
        for (int i = 0; i < 50000; i++) {
            CHECK_EQ(numbers[i], i + 1);
        }
    }
    free(numbers);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    cth_team_release(team);
}

/* -- what all share ------------------------------------------------------------------------------
 */

static void errno_is_preserved(void) {
    int numbers[5000];
    double sum = 0;
    cth_team *team = NULL;
    const cth_reduction how = {sizeof(double), NULL, adds_fractions, joins_doubles, 0};
    for (int i = 0; i < 5000; i++) {
        numbers[i] = -i;
    }
    errno = 77;
    CHECK_STATUS(cth_team_create(&team, &(cth_team_desc){.workers = 3}), CTH_OK);
    CHECK_EQ(errno, 77);
    start_all(team, cth_thread_count());
    CHECK_EQ(errno, 77);
    CHECK_STATUS(cth_parallel_for(team, 1000, 1, nothing, NULL), CTH_OK);
    CHECK_STATUS(cth_parallel_for(NULL, 1000, 1, nothing, NULL), CTH_OK);
    CHECK_STATUS(cth_reduce(team, 5000, &how, NULL, &sum), CTH_OK);
    CHECK_EQ(errno, 77);
    CHECK_STATUS(cth_sort(team, numbers, 5000, sizeof(int), compare_ints), CTH_OK);
    CHECK_STATUS(cth_stable_sort(team, numbers, 5000, sizeof(int), compare_ints), CTH_OK);
    CHECK_STATUS(cth_parallel(team, runs_turned, NULL), CTH_OK);
    CHECK_EQ(errno, 77);
    CHECK_EQ(cth_team_workers(team), 3);
    cth_team_release(team);
    CHECK_EQ(errno, 77);
}

/* -- fork ----------------------------------------------------------------------------------------
 */

/* Run in the child: the parent's team is refused, without one there is a new team. */
static bool child_works(cth_team *parents) {
    static int numbers[20000];
    bool good = true;
    double sum = 0;
    const cth_reduction how = {sizeof(double), NULL, adds_fractions, joins_doubles, 0};
    const cth_call call = {says, NULL};
    if (parents != NULL) {
        good &= cth_parallel_for(parents, 100, 1, nothing, NULL) == CTH_FORKED;
        good &= cth_invoke(parents, &call, 1) == CTH_FORKED;
        good &= cth_reduce(parents, 100, &how, NULL, &sum) == CTH_FORKED;
        good &= cth_scan(parents, 100, &how, writes_nothing, NULL) == CTH_FORKED;
        good &= cth_sort(parents, numbers, 9, sizeof(int), compare_ints) == CTH_FORKED;
        good &= cth_stable_sort(parents, numbers, 9, sizeof(int), compare_ints) == CTH_FORKED;
        good &= cth_parallel(parents, runs_turned, NULL) == CTH_FORKED;
        cth_team_release(parents);
    }
    if (TEST_TSAN) {
        return good; // which starts no threads in the child of a process with threads
    }
    for (int i = 0; i < 20000; i++) {
        numbers[i] = 20000 - i;
    }
    start_all(NULL, 1);
    each_once(NULL, 10000, 1);
    good &= cth_sort(NULL, numbers, 20000, sizeof(int), compare_ints) == CTH_OK;
    for (int i = 0; i < 20000; i++) {
        good &= numbers[i] == i + 1;
    }
    good &= cth_parallel(NULL, runs_turned, NULL) == CTH_OK;
    return good;
}

static void forks_child(cth_team *parents) {
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60);
        _exit(child_works(parents) ? 0 : 1);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

static void a_child_has_a_new_team(void) {
    cth_team *team = team_of(2);
    forks_child(team); // before it has threads
    start_all(team, cth_thread_count());
    forks_child(team);
    forks_child(NULL);
    CHECK_STATUS(cth_parallel_for(team, 100, 1, nothing, NULL), CTH_OK);
    cth_team_release(team);
}

static cth_status forks_child_in_range(void *arg, size_t from, size_t to) {
    (void)to;
    if (from % 10 == 0) {
        forks_child((cth_team *)arg);
    }
    return CTH_OK;
}

static void a_child_of_a_body_too(void) {
    cth_team *team = team_of(2);
    CHECK_STATUS(cth_parallel_for(team, 40, 1, forks_child_in_range, team), CTH_OK);
    CHECK_STATUS(cth_parallel_for(NULL, 40, 1, forks_child_in_range, NULL), CTH_OK);
    cth_team_release(team);
}

static atomic_int enough;

static cth_status keeps_busy(void *arg) {
    int numbers[6000];
    (void)arg;
    while (atomic_load(&enough) == 0) {
        for (int i = 0; i < 6000; i++) {
            numbers[i] = i * 7919 % 6000;
        }
        CHECK_STATUS(cth_sort(NULL, numbers, 6000, sizeof(int), compare_ints), CTH_OK);
        each_once(NULL, 100, 1);
    }
    return CTH_OK;
}

static void children_while_others_are_busy(void) {
    cth_thread *threads[3];
    atomic_store(&enough, 0);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        threads[i] = test_spawn(keeps_busy, NULL);
    }
    for (int i = 0; i < 50; i++) {
        forks_child(NULL);
    }
    atomic_store(&enough, 1);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
}

static const test_case tests[] = {
    TEST(create_refuses),
    TEST(null_is_the_current_team),
    TEST(threads_start_on_demand),
    TEST(threads_have_names),
    TEST(idle_workers_use_no_cpu),
    TEST(released_at_once),
    TEST(each_index_once),
    TEST(huge_loops),
    TEST(loops_refuse),
    TEST(loops_fail),
    TEST(loops_are_cancelled),
    TEST(tokens_of_calls_do_not_mix),
    TEST(calls_within_calls),
    TEST(several_callers),
    TEST(more_callers_than_places),
    TEST(calls_do_not_mix),
    TEST(invoked_functions_meet),
    TEST(invoked_functions_fail),
    TEST(typed_forks),
    TEST(flat_forks),
    TEST(deep_forks),
    TEST(forks_under_a_token),
    TEST(sums_have_the_same_bits),
    TEST(large_accumulators),
    TEST(joins_keep_the_order),
    TEST(reductions_fail),
    TEST(scans),
    TEST(small_sorts),
    TEST(large_sorts),
    TEST(sorts_refuse),
    TEST(no_input_is_a_killer),
    TEST(typed_sorts),
    TEST(sorts_go_on_when_cancelled),
    TEST(errno_is_preserved),
    TEST(a_child_has_a_new_team),
    TEST(a_child_of_a_body_too),
    TEST(children_while_others_are_busy),
};

int main(int argc, char **argv) {
    CHECK(cth_thread_current() != NULL);
    start_all(NULL, 1); // the process's own team stays: its threads were there before each test
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
