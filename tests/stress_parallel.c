/* stress_parallel.c - loops, reductions, sorts and forks from many threads in a few teams at the
   same time, four threads for each processor.

       stress_parallel [--seconds N] [--seed S] [--threads T]

   The run is cut into rounds of some milliseconds. Each round makes teams of random sizes, which the
   threads share with the team of the process, and releases them at its end. Every call says by
   itself whether it did its work: each index once, sums, order, the least failing range. A wake-up
   that is lost leaves a round that never ends; the watchdog then says who is in which call.

   The seed decides each thread's choices, not the schedule.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _DEFAULT_SOURCE // _SC_NPROCESSORS_ONLN
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "stress.h"
#include "test.h"
#include "test_help.h"

#include <inttypes.h>

enum { MAX_THREADS = 256, TEAMS = 4, CALLS = 12, MOST = 9000, HANG_SECONDS = 60 };

typedef struct player {
    cth_rng rng;
    uint64_t calls[6];
    _Atomic(const char *) doing; // for the watchdog
} player;

static player players[MAX_THREADS];
static cth_team *teams[TEAMS]; // of this round; NULL: the process's

static size_t pick(player *p, size_t n) {
    return (size_t)cth_rng_below(&p->rng, n);
}

/* -- loops, which nest ---------------------------------------------------------------------------
 */

typedef struct loop {
    cth_team *team;
    size_t inner; // indices of the loop in each body
    unsigned char *seen;
} loop;

static cth_status marks(void *arg, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        ((unsigned char *)arg)[i]++;
    }
    return CTH_OK;
}

static cth_status nests(void *arg, size_t from, size_t to) {
    const loop *l = (const loop *)arg;
    for (size_t i = from; i < to; i++) {
        CHECK_STATUS(cth_parallel_for(i % 3 == 0 ? l->team : NULL, l->inner, i % 5, marks,
                                      l->seen + i * l->inner),
                     CTH_OK);
    }
    return CTH_OK;
}

static void loops(player *p, cth_team *team) {
    const size_t outer = 1 + pick(p, 40);
    loop l = {team, 1 + pick(p, 60), NULL};
    l.seen = (unsigned char *)calloc(outer, l.inner);
    CHECK_STATUS(cth_parallel_for(team, outer, pick(p, 4), nests, &l), CTH_OK);
    for (size_t i = 0; i < outer * l.inner; i++) {
        CHECK_EQ(l.seen[i], 1);
    }
    free(l.seen);
}

/* -- loops that fail -----------------------------------------------------------------------------
 */

static cth_status fails_from(void *arg, size_t from, size_t to) {
    const size_t at = *(const size_t *)arg;
    (void)from;
    return to > at ? cth_fail(CTH_FAILED, "%zu in vain", at) : CTH_OK;
}

static void failures(player *p, cth_team *team) {
    size_t at = pick(p, 500);
    char text[64];
    snprintf(text, sizeof text, "%zu in vain", at);
    CHECK_STATUS(cth_parallel_for(team, 500, pick(p, 9), fails_from, &at), CTH_FAILED);
    CHECK_STR(cth_error_text(), text);
}

/* -- forks of uneven trees -----------------------------------------------------------------------
 */

typedef struct node {
    uint32_t size, shape;
} node;

static uint32_t tree(cth_forks forks, node n);
CTH_FORK_OF(uint32_t, node, tree);

/* How many nodes there are: all but this one are split between two forks and one call. */
static uint32_t tree(cth_forks forks, node n) {
    if (n.size <= 1) {
        return n.size;
    }
    const uint32_t rest = n.size - 1, a = rest * (n.shape % 7) / 8, b = (rest - a) / 2;
    const uint32_t shape = n.shape * 1664525 + 1013904223;
    tree_fork(&forks, (node){a, shape >> 8});
    tree_fork(&forks, (node){b, shape >> 9});
    uint32_t sum = 1 + tree(forks, (node){rest - a - b, shape >> 10});
    sum += tree_join(&forks);
    return sum + tree_join(&forks);
}

static cth_status runs_tree(cth_forks forks, void *arg) {
    const node *n = (const node *)arg;
    CHECK_EQ(tree(forks, *n), n->size);
    return CTH_CLOSED;
}

static void trees(player *p, cth_team *team) {
    node n = {1 + (uint32_t)pick(p, 20000), (uint32_t)pick(p, 1000)};
    CHECK_STATUS(cth_parallel(team, runs_tree, &n), CTH_CLOSED);
}

/* -- flat forks, more than a deque holds ---------------------------------------------------------
 */

static cth_status answers(cth_forks forks, void *arg) {
    (void)forks;
    return (cth_status) * (const unsigned char *)arg;
}

static cth_status forks_flat(cth_forks forks, void *arg) {
    static const unsigned char statuses[5] = {CTH_OK, CTH_CLOSED, CTH_FAILED, CTH_BROKEN, CTH_BUSY};
    const size_t n = *(const size_t *)arg;
    for (size_t i = 0; i < n; i++) {
        cth_fork(&forks, answers, (void *)(uintptr_t)&statuses[i % 5]);
    }
    for (size_t i = n; i-- > 0;) {
        CHECK_STATUS(cth_join(&forks), statuses[i % 5]);
    }
    return CTH_OK;
}

static void flats(player *p, cth_team *team) {
    size_t n = pick(p, pick(p, 4) == 0 ? 5000 : 200);
    CHECK_STATUS(cth_parallel(team, forks_flat, &n), CTH_OK);
}

/* -- sorts, reductions and scans -----------------------------------------------------------------
 */

static int compare(const void *a, const void *b) {
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void sorts(player *p, cth_team *team) {
    static _Thread_local int numbers[MOST];
    const size_t n = pick(p, MOST), values = 1 + pick(p, 10000);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        numbers[i] = (int)pick(p, values);
        sum += (uint64_t)numbers[i] * (uint64_t)numbers[i];
    }
    CHECK_STATUS(pick(p, 2) == 0 ? cth_sort(team, numbers, n, sizeof(int), compare)
                                 : cth_stable_sort(team, numbers, n, sizeof(int), compare),
                 CTH_OK);
    for (size_t i = 0; i < n; i++) {
        CHECK(i == 0 || numbers[i - 1] <= numbers[i]);
        sum -= (uint64_t)numbers[i] * (uint64_t)numbers[i];
    }
    CHECK(sum == 0);
}

static cth_status adds(void *arg, size_t from, size_t to, void *acc) {
    (void)arg;
    for (size_t i = from; i < to; i++) {
        *(uint64_t *)acc = *(uint64_t *)acc * 3 + i; // the order matters
    }
    ((uint64_t *)acc)[1] += to - from;
    return CTH_OK;
}

static void joins(void *arg, void *left, const void *right) {
    uint64_t *l = (uint64_t *)left;
    const uint64_t *r = (const uint64_t *)right;
    (void)arg;
    for (uint64_t i = 0; i < r[1]; i++) {
        l[0] *= 3;
    }
    l[0] += r[0];
    l[1] += r[1];
}

static cth_status writes(void *arg, size_t from, size_t to, void *before) {
    (void)to;
    ((uint64_t *)arg)[from] = *(const uint64_t *)before;
    return CTH_OK;
}

static void sums(player *p, cth_team *team) {
    static _Thread_local uint64_t before[MOST];
    const cth_reduction how = {2 * sizeof(uint64_t), NULL, adds, joins, 1 + pick(p, 100)};
    const size_t n = pick(p, MOST);
    uint64_t got[2] = {0}, want[2] = {0};
    CHECK_STATUS(cth_reduce(team, n, &how, NULL, got), CTH_OK);
    CHECK_STATUS(adds(NULL, 0, n, want), CTH_OK);
    CHECK(got[0] == want[0] && got[1] == n);
    memset(before, 0xff, sizeof before);
    CHECK_STATUS(cth_scan(team, n, &how, writes, before), CTH_OK);
    want[0] = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(before[i] == UINT64_MAX || before[i] == want[0]);
        want[0] = want[0] * 3 + i;
    }
}

/* -- rounds --------------------------------------------------------------------------------------
 */

static const struct kind {
    const char *name;
    void (*play)(player *p, cth_team *team);
} kinds[6] = {{"loops", loops}, {"failures", failures}, {"trees", trees},
              {"flats", flats}, {"sorts", sorts},       {"sums", sums}};

static cth_status play(void *arg) {
    player *p = (player *)arg;
    for (int i = 0; i < CALLS; i++) {
        const size_t kind = pick(p, TEST_COUNT(kinds));
        atomic_store(&p->doing, kinds[kind].name);
        kinds[kind].play(p, teams[pick(p, TEAMS)]);
        p->calls[kind]++;
        if (pick(p, 8) == 0) {
            atomic_store(&p->doing, "sleep"); // so that the others fall asleep and are woken
            CHECK_STATUS(cth_sleep((cth_time)pick(p, 1000000)), CTH_OK);
        }
    }
    atomic_store(&p->doing, NULL);
    return CTH_OK;
}

static atomic_uint n_rounds;

static void run_round(cth_rng *rng) {
    cth_thread *threads[MAX_THREADS];
    for (size_t i = 1; i < TEAMS; i++) {
        const cth_team_desc desc = {.workers = 1 + (uint32_t)cth_rng_below(rng, 6)};
        CHECK_STATUS(cth_team_create(&teams[i], &desc), CTH_OK);
    }
    const unsigned n = 1 + (unsigned)cth_rng_below(rng, n_threads);
    for (unsigned i = 0; i < n; i++) {
        cth_rng_seed(&players[i].rng, cth_rng_next(rng));
        threads[i] = test_spawn(play, &players[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    for (size_t i = 1; i < TEAMS; i++) {
        cth_team_release(teams[i]);
    }
    CHECK(cth_thread_count() <= cth_team_workers(NULL)); // those of the process's team stay
}

/* The watchdog, a plain thread that calls nothing of the kit. */
static void *watch(void *arg) {
    (void)arg;
    unsigned seen = 0;
    for (int idle = 0; idle < HANG_SECONDS * 10; idle++) {
        poll(NULL, 0, 100);
        if (atomic_load(&n_rounds) != seen) {
            seen = atomic_load(&n_rounds);
            idle = 0;
        }
    }
    fprintf(stderr, "stress_parallel: seed %" PRIu64 ": round %u does not end\n", seed, seen);
    for (unsigned i = 0; i < n_threads; i++) {
        const char *doing = atomic_load(&players[i].doing);
        if (doing != NULL) {
            fprintf(stderr, "  player %u: %s\n", i, doing);
        }
    }
    fflush(stderr);
    _Exit(3);
}

static void stress(double seconds) {
    cth_rng rng;
    pthread_t watchdog;
    cth_rng_seed(&rng, seed);
    CHECK_EQ(pthread_create(&watchdog, NULL, watch, NULL), 0);
    CHECK_EQ(pthread_detach(watchdog), 0);
    const cth_time end = cth_after(CTH_S(seconds));
    do {
        run_round(&rng);
        atomic_fetch_add(&n_rounds, 1);
    } while (cth_now() < end);
    printf("stress_parallel: seed %" PRIu64 ", %u threads, %u rounds:", seed, n_threads,
           atomic_load(&n_rounds));
    uint64_t all = 0;
    for (size_t kind = 0; kind < TEST_COUNT(kinds); kind++) {
        uint64_t calls = 0;
        for (unsigned i = 0; i < n_threads; i++) {
            calls += players[i].calls[kind];
        }
        printf(" %" PRIu64 " %s", calls, kinds[kind].name);
        all += calls;
    }
    printf("\n");
    CHECK(all > 0);
}

int main(int argc, char **argv) {
    stress(stress_options(argc, argv, "stress_parallel", 4, MAX_THREADS));
    return EXIT_SUCCESS;
}
