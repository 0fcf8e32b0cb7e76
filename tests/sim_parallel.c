/* sim_parallel.c - forks, joins, loops under many schedules, and bugs that must be found

   The deque is the unit under test: steals against taking back, publishing against going to sleep,
   the end of a stolen fork against its owner's sleep, overflow, and calls that share a team.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

enum { MOST = 12 };

static cth_team *team;
static int data[MOST]; // each written by one fork
static cth_event met[2];
static cth_mutex lock;

static void fresh(uint32_t workers) {
    static const cth_event unset = CTH_EVENT_INIT;
    static const cth_mutex open = CTH_MUTEX_INIT;
    met[0] = met[1] = unset;
    lock = open;
    memset(data, 0, sizeof data);
    sim_begin();
    cth_status status;
    while ((status = cth_team_create(&team, &(cth_team_desc){.workers = workers})) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_NOMEM);
    }
}

/* The result must be there when the call returns, for one and all threads. */
static cth_status call(cth_fork_fn fn, void *arg) {
    cth_status status;
    while ((status = cth_parallel(team, fn, arg)) == CTH_NOMEM) {
    }
    return status;
}

static cth_status end(void) {
    cth_team_release(team);
    CTH_SIM_CHECK(cth_thread_count() == 1);
    return CTH_OK;
}

static void writes(int i) {
    CTH_SIM_WRITE(data[i]);
    CTH_SIM_CHECK(data[i] == 0); // once
    data[i] = i + 1;
}

static void written(int n) {
    for (int i = 0; i < n; i++) {
        CTH_SIM_READ(data[i]);
        CTH_SIM_CHECK(data[i] == i + 1);
    }
}

/* -- a tree: each node forks its right half --------------------------------------------------------
 */

typedef struct range {
    int from, to;
} range;

static int tree(cth_forks forks, range r);
CTH_FORK_OF(int, range, tree);

static int tree(cth_forks forks, range r) {
    if (r.to - r.from == 1) {
        writes(r.from);
        return 1;
    }
    const int middle = (r.from + r.to) / 2;
    tree_fork(&forks, (range){middle, r.to});
    const int left = tree(forks, (range){r.from, middle});
    if (planted) { // what the fork has written is read before the join
        CTH_SIM_READ(data[r.to - 1]);
    }
    return tree_join(&forks) + left;
}

static cth_status runs_tree(cth_forks forks, void *arg) {
    const int n = *(const int *)arg;
    const int got = tree(forks, (range){0, n});
    CTH_SIM_CHECK(got == n);
    written(n);
    return CTH_OK;
}

static cth_status trees(void *arg) {
    int n = 5;
    (void)arg;
    fresh(2 + cth_sim_choose(2));
    CTH_SIM_CHECK(call(runs_tree, &n) == CTH_OK);
    memset(data, 0, sizeof data);
    n = 3;
    CTH_SIM_CHECK(call(runs_tree, &n) == CTH_OK);
    return end();
}

/* -- more open forks than the array holds --------------------------------------------------------
 */

static cth_status writes_one(cth_forks forks, void *arg) {
    (void)forks;
    writes((int)((int *)arg - data));
    return CTH_FAILED;
}

static cth_status forks_many(cth_forks forks, void *arg) {
    (void)arg;
    for (int i = 0; i < MOST; i++) {
        cth_fork(&forks, writes_one, &data[i]);
    }
    for (int i = 0; i < MOST; i++) {
        CTH_SIM_CHECK(cth_join(&forks) == CTH_FAILED);
        CTH_SIM_READ(data[MOST - 1 - i]);
        CTH_SIM_CHECK(data[MOST - 1 - i] == MOST - i);
    }
    memset(data, 0, sizeof data);
    cth_fork(&forks, writes_one, &data[0]); // the deque is as before
    CTH_SIM_CHECK(cth_join(&forks) == CTH_FAILED);
    return CTH_CLOSED;
}

static cth_status overflows(void *arg) {
    (void)arg;
    fresh(1 + cth_sim_choose(2));
    CTH_SIM_CHECK(call(forks_many, NULL) == CTH_CLOSED);
    return end();
}

/* -- forks that wait for each other: a thread must come, and come again --------------------------
 */

static cth_status meets(cth_forks forks, void *arg) {
    (void)forks;
    CTH_SIM_CHECK(cth_event_set(&met[0]) == CTH_OK);
    return cth_event_wait((cth_event *)arg);
}

static cth_status forks_and_waits(cth_forks forks, void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_event_clear(&met[0]) == CTH_OK && cth_event_clear(&met[1]) == CTH_OK);
        cth_fork(&forks, meets, &met[1]);
        CTH_SIM_CHECK(cth_event_wait(&met[0]) == CTH_OK); // a thief runs it
        if (i == 1) {
            cth_fork(&forks, writes_one, &data[0]);
            CTH_SIM_CHECK(cth_event_set(&met[1]) == CTH_OK);
            CTH_SIM_CHECK(cth_join(&forks) == CTH_FAILED);
        } else {
            CTH_SIM_CHECK(cth_event_set(&met[1]) == CTH_OK);
        }
        CTH_SIM_CHECK(cth_join(&forks) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status meetings(void *arg) {
    (void)arg;
    fresh(2);
    CTH_SIM_CHECK(call(forks_and_waits, NULL) == CTH_OK);
    memset(data, 0, sizeof data);
    CTH_SIM_CHECK(call(forks_and_waits, NULL) == CTH_OK);
    return end();
}

/* Flat forks of which each but the last waits for the next one: all threads must have come, also
   for those that were private when the first was taken. */
static cth_event chain[3];

static cth_status links(cth_forks forks, void *arg) {
    const int i = (int)((cth_event *)arg - chain);
    (void)forks;
    CTH_SIM_CHECK(cth_event_set(&chain[i]) == CTH_OK);
    return cth_event_wait(&chain[(i + 1) % 3]);
}

static cth_status forks_flat(cth_forks forks, void *arg) {
    (void)arg;
    cth_fork(&forks, links, &chain[0]);
    cth_fork(&forks, links, &chain[1]);
    (void)links(forks, &chain[2]);
    CTH_SIM_CHECK(cth_join(&forks) == CTH_OK);
    CTH_SIM_CHECK(cth_join(&forks) == CTH_OK);
    return CTH_OK;
}

/* -- loops ---------------------------------------------------------------------------------------
 */

static cth_status writes_range(void *arg, size_t from, size_t to) {
    (void)arg;
    for (size_t i = from; i < to; i++) {
        writes((int)i);
    }
    return CTH_OK;
}

static cth_status fails_from_two(void *arg, size_t from, size_t to) {
    (void)arg;
    (void)to;
    return from >= 2 ? cth_fail(CTH_FAILED, "no %d", (int)from) : CTH_OK;
}

static cth_status loops(void *arg) {
    (void)arg;
    fresh(2);
    CTH_SIM_CHECK(cth_parallel_for(team, 5, 1, writes_range, NULL) == CTH_OK);
    written(5);
    CTH_SIM_CHECK(cth_parallel_for(team, 5, 1, fails_from_two, NULL) == CTH_FAILED);
    CTH_SIM_CHECK(strncmp(cth_error_text(), "no ", 3) == 0);
    return end();
}

/* A range requests the token: ranges end with it, those begun later are not run. */
static cth_status cancels(void *arg, size_t from, size_t to) {
    (void)to;
    if (from == 0) {
        return cth_cancel_request((cth_cancel *)arg, "enough");
    }
    return cth_event_wait(&met[0]);
}

static cth_status cancelled(void *arg) {
    cth_cancel token;
    (void)arg;
    fresh(2);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_status status = CTH_OK;
    CTH_UNDER(&token) {
        status = cth_parallel_for(team, 3, 1, cancels, &token);
    }
    CTH_SIM_CHECK(status == CTH_CANCELLED);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    return end();
}

static cth_status writes_four(void *arg, size_t from, size_t to) {
    (void)to;
    for (size_t i = from; i < to; i++) {
        writes((int)(*(const size_t *)arg * 4 + i));
    }
    return CTH_OK;
}

static cth_status nests(void *arg, size_t from, size_t to) {
    (void)arg;
    (void)to;
    return cth_parallel_for(NULL, 4, 2, writes_four, &from);
}

static cth_status nested(void *arg) {
    (void)arg;
    fresh(2);
    CTH_SIM_CHECK(cth_parallel_for(team, 2, 1, nests, NULL) == CTH_OK);
    written(8);
    return end();
}

/* -- two calls in one team: a call that waits runs none of the other's bodies, so both may hold a
      lock that the other's bodies take ------------------------------------------------------------
 */

static cth_status locks(void *arg, size_t from, size_t to) {
    (void)arg;
    (void)from;
    (void)to;
    const cth_status status = cth_mutex_lock(&lock);
    CTH_SIM_CHECK(status == CTH_OK); // else it ran inside the call that holds it
    return cth_mutex_unlock(&lock);
}

static cth_status idles(void *arg, size_t from, size_t to) {
    (void)arg;
    (void)from;
    (void)to;
    cth_yield();
    return CTH_OK;
}

static cth_status other_call(void *arg) {
    (void)arg;
    return cth_parallel_for(team, 3, 1, locks, NULL);
}

static cth_status two_calls(void *arg) {
    (void)arg;
    fresh(3);
    cth_thread *other = sim_spawn(other_call, NULL);
    CTH_WITH(&lock) {
        CTH_SIM_CHECK(cth_parallel_for(team, 3, 1, idles, NULL) == CTH_OK);
    }
    sim_join(other);
    return end();
}

static cth_status flat(void *arg) {
    static const cth_event unset = CTH_EVENT_INIT;
    (void)arg;
    fresh(3);
    chain[0] = chain[1] = chain[2] = unset;
    CTH_SIM_CHECK(call(forks_flat, NULL) == CTH_OK);
    return end();
}

/* -- the team of the process, which the first ones to need it make -------------------------------
 */

static cth_status asks(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_team_workers(NULL) <= 2);
    return CTH_OK;
}

static cth_status common(void *arg) {
    (void)arg;
    sim_begin();
    cth_thread *other = sim_spawn(asks, NULL);
    (void)asks(NULL);
    sim_join(other);
    return CTH_OK;
}

/* -- the smallest call, completely ---------------------------------------------------------------
 */

static cth_status forks_one(cth_forks forks, void *arg) {
    (void)arg;
    cth_fork(&forks, writes_one, &data[0]);
    writes(1);
    CTH_SIM_CHECK(cth_join(&forks) == CTH_FAILED);
    written(2);
    return CTH_OK;
}

static cth_status one(void *arg) {
    (void)arg;
    cth_sim_explore(false);
    fresh(2);
    cth_sim_explore(true);
    CTH_SIM_CHECK(call(forks_one, NULL) == CTH_OK);
    cth_sim_explore(false);
    (void)end();
    cth_sim_explore(true);
    return CTH_OK;
}

#define SCENARIO(fn, faults)      \
  static void passes_##fn(void) { \
    SIM_PASS(fn, 0, 1000);        \
    SIM_PASS(fn, faults, 1000);   \
  }
SCENARIO(trees, SIM_ALL)
SCENARIO(overflows, SIM_WAITS | CTH_SIM_THREADS)
SCENARIO(meetings, SIM_WAITS)
SCENARIO(flat, SIM_WAITS)
SCENARIO(loops, SIM_ALL)
SCENARIO(cancelled, SIM_WAITS)
SCENARIO(nested, SIM_ALL)
SCENARIO(common, SIM_ALL)
SCENARIO(two_calls, SIM_WAITS | CTH_SIM_THREADS)

static void complete(void) {
    SIM_COMPLETE(one, 0);
}

static void finds_read_before_join(void) {
    SIM_FOUND(trees, 0, "data race");
}

static const test_case tests[] = {
    TEST(passes_trees),  TEST(passes_overflows),       TEST(passes_meetings),
    TEST(passes_flat),   TEST(passes_loops),           TEST(passes_cancelled),
    TEST(passes_nested), TEST(passes_two_calls),       TEST(passes_common),
    TEST(complete),      TEST(finds_read_before_join),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
