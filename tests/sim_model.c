/* sim_model.c - the simulator's memory: litmus tests, races on plain data, use of freed memory

   A litmus test is two to four short threads and the values they read. It runs under all of its
   schedules, and under many of a random walk. What may be read is then seen by both, and what must
   not be read by neither.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L // readlink, setenv
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

/* -- litmus tests -------------------------------------------------------------------------------
 */

/* Whether a search can be run to its end here. */
#define WHOLE (CTH__FIBERS && !SIM_ASAN)

enum { READS = 4, OUTCOMES = 81 }; // up to four reads of 0, 1 or 2

static cth__word x, y;
static cth__ptr pointer;
static uint32_t data; // no atomic
static uint32_t got[READS];
static unsigned searched[OUTCOMES]; // how many schedules of the search had each outcome
static unsigned walked[OUTCOMES];   // ... and of the random walk
static unsigned *outcomes;

typedef struct litmus {
    const char *name;
    void (*bodies[4])(void);
    bool strong;
    int bound; // of preemptions and old values in the search; 0: as good as none
} litmus;

#define LITMUS(title, ...)                   \
  {                                          \
    .name = title, .bodies = { __VA_ARGS__ } \
  }

/* The function of one thread: some statements. */
#define BODY(name, ...)    \
  static void name(void) { \
    __VA_ARGS__;           \
  }

/* The value of a word without the model: what the latest store put there. */
static uint32_t peek(cth__word *word) {
    return atomic_load_explicit(word, memory_order_relaxed); // relaxed: one thread runs
}

static unsigned outcome(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    CTH_SIM_CHECK(a < 3 && b < 3 && c < 3 && d < 3);
    return a + 3 * b + 9 * c + 27 * d;
}

static cth_status runs_body(void *arg) {
    (*(void (*const *)(void))arg)();
    return CTH_OK;
}

/* The last body runs in the main thread. */
static cth_status runs_litmus(void *arg) {
    const litmus *test = arg;
    cth_thread *threads[4];
    size_t n = 0;
    atomic_init(&x, 0);
    atomic_init(&y, 0);
    atomic_init(&pointer, NULL);
    data = 0;
    memset(got, 0, sizeof got);
    sim_begin();
    for (; n < 3 && test->bodies[n + 1] != NULL; n++) {
        threads[n] = sim_spawn(runs_body, (void *)(uintptr_t)&test->bodies[n]);
    }
    test->bodies[n]();
    while (n > 0) {
        sim_join(threads[--n]);
    }
    outcomes[outcome(got[0], got[1], got[2], got[3])]++;
    return CTH_OK;
}

/* Run a litmus test. `possible` are the outcomes: those named happen, and no others do. One begins
   with '?' when the random walk may miss it. A search that is cut short may miss any. */
static void try_all(const litmus *test, const char *possible) {
    cth_sim_report report;
    cth_sim_desc desc = {.name = test->name,
                         .strategy = CTH_SIM_EXHAUSTIVE,
                         .schedules = WHOLE ? 0 : 1000,
                         .preemptions = test->bound != 0 ? test->bound : 9,
                         .stale = test->bound != 0 ? test->bound : 9,
                         .strong = test->strong,
                         .report = &report};
    memset(searched, 0, sizeof searched);
    memset(walked, 0, sizeof walked);
    outcomes = searched;
    sim_calm = true; // the bodies alone are explored
    CHECK_STATUS(cth_sim_run(&desc, runs_litmus, (void *)(uintptr_t)test), CTH_OK);
    sim_calm = false;
    CHECK(report.complete || !WHOLE);
    printf("     %s: %llu schedules searched, outcomes", test->name,
           (unsigned long long)report.schedules);
    outcomes = walked;
    desc.strategy = CTH_SIM_RANDOM;
    desc.schedules = WHOLE ? 3000 : 1500;
    CHECK_STATUS(cth_sim_run(&desc, runs_litmus, (void *)(uintptr_t)test), CTH_OK);
    const int digits = (int)strcspn(possible, " ");
    for (unsigned i = 0; i < OUTCOMES; i++) {
        char text[READS + 1];
        snprintf(text, sizeof text, "%u%u%u%u", i % 3, i / 3 % 3, i / 9 % 3, i / 27);
        text[digits] = '\0'; // what is not read stays 0, or the rest shows it as impossible
        const char *at =
            i / (unsigned[]){1, 3, 9, 27, 81}[digits] == 0 ? strstr(possible, text) : NULL;
        const bool seldom = at != NULL && at > possible && at[-1] == '?';
        if (searched[i] != 0 || walked[i] != 0) {
            printf(" %s:%u/%u", text, searched[i], walked[i]);
        }
        if ((searched[i] != 0) != (at != NULL) && (at == NULL || WHOLE)) {
            test_fail(__FILE__, __LINE__, "%s: %s in %u schedules of the search", test->name, text,
                      searched[i]);
        }
        if ((walked[i] != 0) != (at != NULL) && !seldom) {
            test_fail(__FILE__, __LINE__, "%s: %s in %u schedules of the walk", test->name, text,
                      walked[i]);
        }
    }
    printf("\n");
}

/* Store buffering: each thread stores to its word, then loads the other's. */
#define STORE_BUFFERING(name, store, load, between)                                  \
  BODY(name##_left, cth__store(&x, 1, store); between; got[0] = cth__load(&y, load)) \
  BODY(name##_right, cth__store(&y, 1, store); between; got[1] = cth__load(&x, load))

STORE_BUFFERING(sb_relaxed, relaxed, relaxed, (void)0)
STORE_BUFFERING(sb_acq_rel, release, acquire, (void)0)
STORE_BUFFERING(sb_seq_cst, seq_cst, seq_cst, (void)0)
STORE_BUFFERING(sb_fences, relaxed, relaxed, cth__fence(seq_cst))
STORE_BUFFERING(sb_weak_fences, relaxed, relaxed, cth__fence(acq_rel))

static void store_buffering(void) {
    const litmus both_zero[] = {
        LITMUS("SB relaxed", sb_relaxed_left, sb_relaxed_right),
        LITMUS("SB release, acquire", sb_acq_rel_left, sb_acq_rel_right),
        LITMUS("SB seq_cst accesses", sb_seq_cst_left, sb_seq_cst_right),
        LITMUS("SB acq_rel fences", sb_weak_fences_left, sb_weak_fences_right)};
    for (size_t i = 0; i < sizeof both_zero / sizeof *both_zero; i++) {
        try_all(&both_zero[i], "00 01 10 11");
    }
    const litmus ordered[] = {LITMUS("SB seq_cst fences", sb_fences_left, sb_fences_right),
                              {.name = "SB relaxed, strong memory",
                               .bodies = {sb_relaxed_left, sb_relaxed_right},
                               .strong = true}};
    for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++) {
        try_all(&ordered[i], "01 10 11");
    }
}

/* Message passing: y says that x is there. */
#define MESSAGE(name, before, store, load, after)                                  \
  BODY(name##_sends, cth__store(&x, 1, relaxed); before; cth__store(&y, 1, store)) \
  BODY(name##_takes, got[0] = cth__load(&y, load); after; got[1] = cth__load(&x, relaxed))

MESSAGE(mp_relaxed, (void)0, relaxed, relaxed, (void)0)
MESSAGE(mp_release, (void)0, release, relaxed, (void)0)
MESSAGE(mp_acquire, (void)0, relaxed, acquire, (void)0)
MESSAGE(mp_both, (void)0, release, acquire, (void)0)
MESSAGE(mp_seq_cst, (void)0, seq_cst, seq_cst, (void)0)
MESSAGE(mp_fences, cth__fence(release), relaxed, relaxed, cth__fence(acquire))
MESSAGE(mp_one_fence, cth__fence(release), relaxed, relaxed, (void)0)
MESSAGE(mp_other_fence, (void)0, relaxed, relaxed, cth__fence(acquire))
MESSAGE(mp_wrong_fences, cth__fence(acquire), relaxed, relaxed, cth__fence(release))
MESSAGE(mp_mixed, cth__fence(acq_rel), relaxed, acquire, (void)0)
MESSAGE(mp_mixed_too, (void)0, release, relaxed, cth__fence(seq_cst))

static void message_passing(void) {
    const litmus stale[] = {
        LITMUS("MP relaxed", mp_relaxed_sends, mp_relaxed_takes),
        LITMUS("MP release, relaxed", mp_release_sends, mp_release_takes),
        LITMUS("MP relaxed, acquire", mp_acquire_sends, mp_acquire_takes),
        LITMUS("MP release fence alone", mp_one_fence_sends, mp_one_fence_takes),
        LITMUS("MP acquire fence alone", mp_other_fence_sends, mp_other_fence_takes),
        LITMUS("MP fences swapped", mp_wrong_fences_sends, mp_wrong_fences_takes)};
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        try_all(&stale[i], "00 01 10 11");
    }
    const litmus passed[] = {
        LITMUS("MP release, acquire", mp_both_sends, mp_both_takes),
        LITMUS("MP seq_cst", mp_seq_cst_sends, mp_seq_cst_takes),
        LITMUS("MP fences", mp_fences_sends, mp_fences_takes),
        LITMUS("MP acq_rel fence, acquire", mp_mixed_sends, mp_mixed_takes),
        LITMUS("MP release, seq_cst fence", mp_mixed_too_sends, mp_mixed_too_takes),
        {.name = "MP relaxed, strong memory",
         .bodies = {mp_relaxed_sends, mp_relaxed_takes},
         .strong = true}};
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        try_all(&passed[i], "00 01 11");
    }
}

/* The same with a pointer, by load, swap and compare-and-swap. */
static void *none;
BODY(pp_sends, cth__store(&x, 1, relaxed); cth__store(&pointer, &data, release))
BODY(pp_loads, got[0] = cth__load(&pointer, acquire) != NULL; got[1] = cth__load(&x, relaxed))
BODY(pp_relaxed, got[0] = cth__load(&pointer, relaxed) != NULL; got[1] = cth__load(&x, relaxed))
BODY(pp_swaps, cth__store(&x, 1, relaxed); (void)cth__swap(&pointer, &data, release))
BODY(pp_cases, cth__store(&x, 1, relaxed); none = NULL;
     got[2] = cth__cas(&pointer, &none, &data, release, relaxed))
BODY(pp_takes, void *expected = &data;
     got[0] = cth__cas(&pointer, &expected, NULL, acquire, relaxed);
     got[1] = cth__load(&x, relaxed))

static void messages_by_pointer(void) {
    const litmus tests[] = {LITMUS("MP pointer", pp_sends, pp_loads),
                            LITMUS("MP pointer swapped", pp_swaps, pp_loads),
                            LITMUS("MP pointer compared", pp_cases, pp_loads),
                            LITMUS("MP pointer taken", pp_sends, pp_takes)};
    for (uint32_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        try_all(&tests[i], i == 2 ? "001 011 111" : "00 01 11");
    }
    const litmus stale = LITMUS("MP pointer relaxed", pp_sends, pp_relaxed);
    try_all(&stale, "00 01 10 11");
}

/* Coherence: one word never goes back, for a thread that reads twice, writes and reads, or reads
   and writes. */
BODY(writes_twice, cth__store(&x, 1, relaxed); cth__store(&x, 2, relaxed))
BODY(reads_twice, got[0] = cth__load(&x, relaxed); got[1] = cth__load(&x, relaxed))
BODY(writes_and_reads, cth__store(&x, 1, relaxed); got[0] = cth__load(&x, relaxed))
BODY(writes_two, cth__store(&x, 2, relaxed))
BODY(reads_and_writes, got[0] = cth__load(&x, relaxed); cth__store(&x, 1, relaxed))

/* A thread knows what another saw that it acquired from. */
BODY(sees_and_tells, got[0] = cth__load(&x, relaxed); cth__store(&y, 1, release))
BODY(is_told, got[1] = cth__load(&y, acquire); got[2] = cth__load(&x, relaxed))
BODY(writes_one, cth__store(&x, 1, relaxed))

static void coherence(void) {
    const litmus corr = LITMUS("CoRR", writes_twice, reads_twice);
    try_all(&corr, "00 01 02 11 12 22");
    const litmus cowr = LITMUS("CoWR", writes_two, writes_and_reads);
    try_all(&cowr, "1 2");
    const litmus corw = LITMUS("CoRW", writes_two, reads_and_writes);
    try_all(&corw, "0 2");
    const litmus told = LITMUS("CoRR of two threads", writes_one, sees_and_tells, is_told);
    try_all(&told, "000 001 010 011 100 101 111");
}

/* Read-modify-writes see the newest value, whatever their order. */
BODY(adds_left, got[0] = cth__add(&x, 1, relaxed))
BODY(adds_right, got[1] = cth__add(&x, 1, relaxed))
BODY(swaps_left, got[0] = cth__swap(&x, 1, relaxed))
BODY(swaps_right, got[1] = cth__swap(&x, 2, relaxed))
BODY(adds_by_hand, got[0] = cth__load(&x, relaxed); cth__store(&x, got[0] + 1, relaxed))
BODY(ands, got[2] = cth__or(&x, 2, relaxed); got[0] = cth__and(&x, 1, relaxed) != 0)
BODY(subtracts, got[1] = cth__sub(&y, 1, relaxed) == 0)
/* A compare-and-swap that fails has seen the newest value too. */
BODY(fails, uint32_t zero = 0; (void)cth__cas(&y, &zero, 0, relaxed, relaxed); got[0] = zero;
     zero = 2;
     (void)cth__cas(&x, &zero, 0, relaxed, relaxed);
     got[1] = zero)
BODY(sends_relaxed, cth__store(&x, 1, relaxed); cth__store(&y, 1, relaxed))

static void read_modify_writes(void) {
    const litmus adds = LITMUS("two adds", adds_left, adds_right);
    try_all(&adds, "01 10");
    const litmus swaps = LITMUS("two swaps", swaps_left, swaps_right);
    try_all(&swaps, "01 20");
    const litmus by_hand = LITMUS("an add by load and store", adds_by_hand, adds_right);
    try_all(&by_hand, "00 01 10");
    const litmus bits = LITMUS("or, and, subtract", ands, subtracts);
    try_all(&bits, "11");
    CHECK_EQ(peek(&x), 0);
    CHECK_EQ(peek(&y), UINT32_MAX);
    const litmus failed = LITMUS("failed compare-and-swap", sends_relaxed, fails);
    try_all(&failed, "00 01 11");
}

/* Release sequences: what is between the release store to y and the load that acquires it. */
BODY(rs_releases, cth__store(&x, 1, relaxed); cth__store(&y, 1, release))
BODY(rs_acquires, got[0] = cth__load(&y, acquire); got[1] = cth__load(&x, relaxed))
BODY(rs_changes, uint32_t one = 1; got[2] = cth__cas(&y, &one, 2, relaxed, relaxed))
BODY(rs_stores, if (cth__load(&y, relaxed) == 1) cth__store(&y, 2, relaxed))
BODY(rs_adds, (void)cth__add(&y, 1, release))
BODY(rs_adds_too, cth__store(&x, 1, relaxed); (void)cth__add(&y, 1, release))

static void release_sequences(void) {
    const litmus passed = LITMUS("release, change, acquire", rs_releases, rs_changes, rs_acquires);
    try_all(&passed, "000 001 ?010 ?011 ?110 111 211");
    const litmus broken =
        LITMUS("release, other store, acquire", rs_releases, rs_stores, rs_acquires);
    try_all(&broken, "00 ?01 11 ?20 21");
    const litmus added = LITMUS("two releases", rs_adds, rs_adds_too, rs_acquires);
    try_all(&added, "00 ?01 10 11 21");
}

/* Independent reads of independent writes: whether two readers agree which write was first. */
BODY(iriw_x, cth__store(&x, 1, release))
BODY(iriw_y, cth__store(&y, 1, release))
#define IRIW(name, load, between)                                                        \
  BODY(name##_left, got[0] = cth__load(&x, load); between; got[1] = cth__load(&y, load)) \
  BODY(name##_right, got[2] = cth__load(&y, load); between; got[3] = cth__load(&x, load))
IRIW(iriw_acquire, acquire, (void)0)
IRIW(iriw_fences, relaxed, cth__fence(seq_cst))

static void independent_readers(void) {
    litmus test = {.name = "IRIW acquire",
                   .bodies = {iriw_x, iriw_y, iriw_acquire_left, iriw_acquire_right},
                   .bound = 3};
    try_all(&test, "1111 1001 ?0000 ?0001 ?0010 ?0011 ?0100 ?0101 ?0110 ?0111 ?1000 ?1010 ?1011 "
                   "?1100 ?1101 ?1110");
    test.name = "IRIW fences";
    test.bodies[2] = iriw_fences_left;
    test.bodies[3] = iriw_fences_right;
    try_all(&test, "1111 1001 ?0000 ?0001 ?0010 ?0011 ?0100 ?0101 ?0110 ?0111 ?1000 ?1011 "
                   "?1100 ?1101 ?1110");
}

/* Load buffering: a limit of the model. Machines and compilers may do it; here a store is made
   when its turn comes, and nobody sees it before. */
BODY(lb_left, got[0] = cth__load(&x, relaxed); cth__store(&y, 1, relaxed))
BODY(lb_right, got[1] = cth__load(&y, relaxed); cth__store(&x, 1, relaxed))

static void load_buffering(void) {
    const litmus test = LITMUS("LB", lb_left, lb_right);
    try_all(&test, "00 01 10");
}

/* -- other rules of the memory ------------------------------------------------------------------
 */

static void pass(const char *name, sim_fn fn) {
    sim_complete(name, fn, 0);
    sim_run(name, fn, 0, CTH_SIM_RANDOM, sim_scaled(3000));
    sim_run(name, fn, 0, CTH_SIM_PCT, sim_scaled(1000));
}
#define PASS(fn) pass(#fn, (fn))

/* Every strategy finds it. Returns the report of the random walk. */
static cth_sim_report fail(const char *name, sim_fn fn, const char *kind) {
    cth_sim_report report;
    cth_sim_desc desc = {
        .name = name, .schedules = 20000, .max_steps = 5000, .quiet = true, .report = &report};
    for (int strategy = CTH_SIM_EXHAUSTIVE; strategy >= CTH_SIM_RANDOM; strategy--) {
        if (strategy == CTH_SIM_EXHAUSTIVE && !WHOLE) {
            continue;
        }
        desc.strategy = (cth_sim_strategy)strategy;
        CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_FAILED);
        CHECK_STR(report.kind, kind);
        CHECK(strstr(report.text, name) != NULL && strstr(report.text, kind) != NULL);
    }
    return report;
}
#define FAIL(fn, kind) fail(#fn, (fn), (kind))

static cth_status starts_with_all(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth__load(&x, relaxed) == 2); // what the starter had stored
    CTH_SIM_READ(data);
    cth__store(&y, 1, relaxed);
    cth__store(&y, 2, relaxed);
    CTH_SIM_WRITE(data);
    return CTH_OK;
}

static cth_status starts_and_joins(void *arg) {
    atomic_init(&x, 0);
    atomic_init(&y, 0);
    cth__store(&x, 1, relaxed);
    cth__store(&x, 2, relaxed);
    CTH_SIM_WRITE(data);
    sim_begin();
    cth_thread *t = sim_spawn(starts_with_all, arg);
    sim_join(t);
    CTH_SIM_CHECK(cth__load(&y, relaxed) == 2);
    CTH_SIM_READ(data);
    return CTH_OK;
}

static cth_status counts_to_two(void *arg) {
    (void)arg;
    cth__store(&x, 1, relaxed);
    cth__store(&x, 2, relaxed);
    return CTH_OK;
}

static void stores_and_writes(void *arg) {
    (void)arg;
    cth__store(&x, 1, relaxed);
    CTH_SIM_WRITE(data);
}

/* The simulated system's own threads, whose join needs no word of the kit to order it. */
static cth_status joins_below_the_kit(void *arg) {
    cth__os_handle handle;
    sim_begin();
    atomic_init(&x, 0);
    CTH_SIM_WRITE(data);
    CTH_SIM_CHECK(cth__handle_start(&handle, stores_and_writes, arg, 0) == CTH_OK);
    cth__handle_join(&handle);
    CTH_SIM_CHECK(cth__load(&x, relaxed) == 1);
    CTH_SIM_READ(data);
    return CTH_OK;
}

static uint32_t most_stale;

/* A loop that only reads ends: the store is seen in the end, and soon. */
static cth_status loops_until_seen(void *arg) {
    atomic_init(&x, 0);
    sim_begin();
    cth_thread *t = sim_spawn(counts_to_two, arg);
    uint32_t stale = 0;
    while (cth__load(&x, relaxed) != 2) {
        stale += peek(&x) == 2;
        cth_yield();
    }
    CTH_SIM_CHECK(stale <= 8);
    most_stale = most_stale > stale ? most_stale : stale;
    sim_join(t);
    return CTH_OK;
}

static void orders_starts_and_joins(void) {
    PASS(starts_and_joins);
    PASS(joins_below_the_kit);
}

static void shows_the_newest_in_the_end(void) {
    const cth_sim_desc many = {
        .strategy = CTH_SIM_EXHAUSTIVE, .schedules = WHOLE ? 0 : 1000, .stale = 20};
    most_stale = 0;
    PASS(loops_until_seen);
    sim_calm = true;
    CHECK_STATUS(cth_sim_run(&many, loops_until_seen, NULL), CTH_OK);
    sim_calm = false;
    CHECK(most_stale > 0);
}

static unsigned failures[2][2], successes[2][2];

static cth_status compares(void *arg) {
    (void)arg;
    for (uint32_t weak = 0; weak < 2; weak++) {
        uint32_t seven = 7;
        void *null = NULL;
        atomic_init(&x, 7);
        atomic_init(&pointer, NULL);
        const bool good = weak ? cth__cas_weak(&x, &seven, 8, acq_rel, relaxed)
                               : cth__cas(&x, &seven, 8, acq_rel, relaxed);
        CTH_SIM_CHECK(seven == 7);
        CTH_SIM_CHECK(cth__load(&x, relaxed) == (good ? 8U : 7U) && peek(&x) == (good ? 8U : 7U));
        const bool fine = weak ? cth__cas_weak(&pointer, &null, &x, acq_rel, relaxed)
                               : cth__cas(&pointer, &null, &x, acq_rel, relaxed);
        CTH_SIM_CHECK(null == NULL);
        CTH_SIM_CHECK(cth__load(&pointer, relaxed) == (fine ? (void *)&x : NULL));
        successes[weak][0] += good;
        failures[weak][0] += !good;
        successes[weak][1] += fine;
        failures[weak][1] += !fine;
    }
    return CTH_OK;
}

static void weak_compares_may_fail(void) {
    for (int strategy = CTH_SIM_RANDOM; strategy <= CTH_SIM_EXHAUSTIVE; strategy++) {
        memset(failures, 0, sizeof failures);
        memset(successes, 0, sizeof successes);
        sim_run("compares", compares, 0, (cth_sim_strategy)strategy, 200);
        for (int i = 0; i < 2; i++) {
            CHECK(failures[0][i] == 0 && successes[0][i] > 0);
            CHECK(failures[1][i] > 0 && successes[1][i] > 0);
        }
    }
}

/* An initialisation is no operation of the model: whoever looks later sees nothing older. */
static cth_status begins_anew(void *arg) {
    (void)arg;
    cth__store(&x, 1, relaxed);
    cth__store(&x, 2, relaxed);
    atomic_init(&x, 5);
    cth__store(&y, 1, relaxed);
    return CTH_OK;
}

static cth_status initialises(void *arg) {
    atomic_init(&x, 0);
    sim_begin();
    cth_thread *t = sim_spawn(begins_anew, arg);
    const bool anew = peek(&x) == 5;
    const uint32_t value = cth__load(&x, relaxed);
    CTH_SIM_CHECK(!anew || value == 5);
    sim_join(t);
    CTH_SIM_CHECK(cth__load(&x, relaxed) == 5);
    return CTH_OK;
}

static void initialisations_begin_anew(void) {
    PASS(initialises);
}

/* -- many threads -------------------------------------------------------------------------------
 */

enum { CROWD = 20 };
static cth_event gate;
static cth_latch arrived;
static unsigned stale_in_crowd, stale_after;
static bool crowded;

static cth_status is_one_of_many(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_latch_done(&arrived) == CTH_OK);
    CTH_SIM_CHECK(cth_event_wait(&gate) == CTH_OK);
    cth__store(&x, cth__load(&x, relaxed) + 1, relaxed);
    stale_in_crowd += cth__load(&y, relaxed) != peek(&y);
    CTH_SIM_WRITE(data); // a race, which is not looked for here
    cth__store(&y, cth__load(&y, relaxed) + 1, relaxed);
    return CTH_OK;
}

/* Every second schedule has too many threads; in the others the model works. */
static cth_status is_crowded_or_not(void *arg) {
    static const cth_latch no_latch = CTH_LATCH_INIT(0);
    static const cth_event no_event = CTH_EVENT_INIT;
    cth_thread *threads[CROWD];
    crowded = !crowded;
    atomic_init(&x, 0);
    atomic_init(&y, 0);
    const int n = crowded ? CROWD : 1;
    gate = no_event;
    arrived = no_latch;
    CTH_SIM_CHECK(cth_latch_add(&arrived, n) == CTH_OK);
    for (int i = 0; i < n; i++) {
        threads[i] = sim_spawn(is_one_of_many, arg);
    }
    CTH_SIM_CHECK(cth_latch_wait(&arrived) == CTH_OK);
    if (!crowded) {
        CTH_SIM_CHECK(cth_event_set(&gate) == CTH_OK);
        stale_after += cth__load(&x, relaxed) != peek(&x);
    } else {
        CTH_SIM_CHECK(cth_event_set(&gate) == CTH_OK);
    }
    for (int i = 0; i < n; i++) {
        sim_join(threads[i]);
    }
    if (crowded) { // and it stays off
        cth_thread *t = sim_spawn(counts_to_two, NULL);
        CTH_SIM_CHECK(cth__load(&x, relaxed) == peek(&x));
        sim_join(t);
    }
    return CTH_OK;
}

static void crowds_turn_the_model_off(void) {
    crowded = false;
    sim_run("is_crowded_or_not", is_crowded_or_not, 0, CTH_SIM_RANDOM, 200 + sim_scaled(1800));
    CHECK_EQ(stale_in_crowd, 0);
    CHECK(stale_after > 0);
}

/* -- races --------------------------------------------------------------------------------------
 */

static cth_mutex lock;
static cth_once once;

static void fresh(void) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    static const cth_event no_event = CTH_EVENT_INIT;
    static const cth_once no_once = CTH_ONCE_INIT;
    lock = no_mutex;
    gate = no_event;
    once = no_once;
    atomic_init(&x, 0);
    data = 0;
    sim_begin();
    CTH_SIM_NAME(data, "the data");
}

static cth_status writes(void *arg) {
    (void)arg;
    CTH_SIM_WRITE(data);
    data++;
    return CTH_OK;
}

static cth_status reads(void *arg) {
    (void)arg;
    CTH_SIM_READ(data);
    return CTH_OK;
}

/* One thread beside the main one, with nothing that orders them. */
static cth_status two_at_once(cth_thread_fn first, cth_thread_fn second) {
    fresh();
    cth_thread *t = sim_spawn(first, NULL);
    CTH_SIM_CHECK(second(NULL) == CTH_OK);
    sim_join(t);
    return CTH_OK;
}

static cth_status two_writes(void *arg) {
    (void)arg;
    return two_at_once(writes, writes);
}

static cth_status write_and_read(void *arg) {
    (void)arg;
    return two_at_once(writes, reads);
}

static cth_status read_and_write(void *arg) {
    (void)arg;
    return two_at_once(reads, writes);
}

static cth_status two_reads(void *arg) {
    (void)arg;
    return two_at_once(reads, reads);
}

static void finds_races(void) {
    const sim_fn racing[] = {two_writes, write_and_read, read_and_write};
    const cth_sim_desc plain = {.schedule = "0:0", .quiet = true};
    for (size_t i = 0; i < 3; i++) { // also when the accesses are far from each other
        CHECK_STATUS(cth_sim_run(&plain, racing[i], NULL), CTH_FAILED);
    }
    const cth_sim_report report = FAIL(two_writes, "data race");
    CHECK(NULL != strstr(report.text,
                         ": write of \"the data\", not ordered with the access at sim_model.c:"));
    (void)FAIL(write_and_read, "data race");
    (void)FAIL(read_and_write, "data race");
    PASS(two_reads);
}

static volatile bool has_read; // unknown to the model: it orders nothing
static int other_line;

static cth_status reads_here(void *arg) {
    (void)arg;
    other_line = __LINE__ + 1;
    CTH_SIM_READ(data);
    has_read = true;
    return CTH_OK;
}

/* The racing access is that of the other thread, not the own one that came later. */
static cth_status reads_and_writes_later(void *arg) {
    fresh();
    has_read = false;
    cth_thread *t = sim_spawn(reads_here, arg);
    while (!has_read) {
        cth_yield();
    }
    CTH_SIM_READ(data);
    CTH_SIM_WRITE(data);
    sim_join(t);
    return CTH_OK;
}

static void names_the_racing_access(void) {
    const cth_sim_report report = FAIL(reads_and_writes_later, "data race");
    char line[64];
    snprintf(line, sizeof line, "not ordered with the access at sim_model.c:%d", other_line);
    if (strstr(report.text, line) == NULL) {
        test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", line, report.text);
    }
}

static cth_status writes_locked(void *arg) {
    CTH_WITH(&lock) {
        (void)writes(arg);
    }
    return CTH_OK;
}

static cth_status under_a_lock(void *arg) {
    fresh();
    sim_together(writes_locked, arg, 2);
    return reads(arg); // after the joins
}

static cth_status only_one_locked(void *arg) {
    (void)arg;
    return two_at_once(writes_locked, writes);
}

static cth_status in_line(void *arg) {
    fresh();
    for (int i = 0; i < 2; i++) {
        (void)writes(arg);
        cth_thread *t = sim_spawn(writes, arg);
        sim_join(t);
    }
    return writes(arg);
}

static cth_status joined_too_late(void *arg) {
    fresh();
    cth_thread *t = sim_spawn(writes, arg);
    (void)writes(arg);
    sim_join(t);
    return CTH_OK;
}

static cth_status runs_once(void *arg) {
    CTH_SIM_CHECK(cth_once_call(&once, writes, arg) == CTH_OK);
    return reads(arg);
}

static cth_status through_once(void *arg) {
    fresh();
    sim_together(runs_once, arg, 2);
    return CTH_OK;
}

static cth_status writes_and_sets(void *arg) {
    (void)writes(arg);
    return cth_event_set(&gate);
}

static cth_status waits_and_writes(void *arg) {
    CTH_SIM_CHECK(cth_event_wait(&gate) == CTH_OK);
    return writes(arg);
}

static cth_status sets_and_writes(void *arg) {
    CTH_SIM_CHECK(cth_event_set(&gate) == CTH_OK);
    return writes(arg);
}

static cth_status through_an_event(void *arg) {
    (void)arg;
    return two_at_once(writes_and_sets, waits_and_writes);
}

static cth_status event_set_too_early(void *arg) {
    (void)arg;
    return two_at_once(sets_and_writes, waits_and_writes);
}

static cth_status writes_and_flags(void *arg) {
    (void)writes(arg);
    cth__store(&x, 1, release);
    return CTH_OK;
}

static cth_status writes_and_hints(void *arg) {
    (void)writes(arg);
    cth__store(&x, 1, relaxed);
    return CTH_OK;
}

static cth_status writes_if_flagged(void *arg) {
    return cth__load(&x, acquire) == 1 ? writes(arg) : CTH_OK;
}

static cth_status through_a_flag(void *arg) {
    (void)arg;
    return two_at_once(writes_and_flags, writes_if_flagged);
}

static cth_status through_a_hint(void *arg) {
    (void)arg;
    return two_at_once(writes_and_hints, writes_if_flagged);
}

static void finds_no_race_where_there_is_order(void) {
    PASS(under_a_lock);
    (void)FAIL(only_one_locked, "data race");
    PASS(in_line);
    (void)FAIL(joined_too_late, "data race");
    PASS(through_once);
    PASS(through_an_event);
    (void)FAIL(event_set_too_early, "data race");
    PASS(through_a_flag);
    (void)FAIL(through_a_hint, "data race");
}

/* seq_cst fences order what a load may see, but no plain data. */
static cth_status fences_left(void *arg) {
    cth__store(&x, 1, relaxed);
    cth__fence(seq_cst);
    return cth__load(&y, relaxed) == 0 ? writes(arg) : CTH_OK;
}

static cth_status fences_right(void *arg) {
    cth__store(&y, 1, relaxed);
    cth__fence(seq_cst);
    return cth__load(&x, relaxed) == 0 ? writes(arg) : CTH_OK;
}

static cth_status excluded_by_fences(void *arg) {
    (void)arg;
    atomic_init(&y, 0);
    return two_at_once(fences_left, fences_right);
}

static cth_status fences_after(void *arg) {
    (void)writes(arg);
    cth__fence(seq_cst);
    cth__store(&x, 1, relaxed);
    return CTH_OK;
}

static cth_status ordered_by_a_fence_alone(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(fences_after, NULL);
    const bool seen = peek(&x) == 1;
    cth__fence(seq_cst);
    if (seen) {
        (void)writes(NULL);
    }
    sim_join(t);
    return CTH_OK;
}

static void fences_order_no_plain_data(void) {
    PASS(excluded_by_fences); // never both, so no race
    (void)FAIL(ordered_by_a_fence_alone, "data race");
}

/* -- freed memory -------------------------------------------------------------------------------
 */

static cth_mutex object;
static cth__word said;

static cth_status frees_and_locks(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_NAME(object, "the object");
    CTH_SIM_FREED(object);
    CTH_WITH(&object) {
        data = 0;
    }
    return CTH_OK;
}

static cth_status frees_and_reads(void *arg) {
    fresh();
    CTH_SIM_FREED(data);
    return reads(arg);
}

static cth_status frees_and_writes(void *arg) {
    fresh();
    CTH_SIM_FREED(data);
    return writes(arg);
}

static cth_status frees_what_another_uses(void *arg) {
    (void)arg;
    fresh();
    cth_thread *t = sim_spawn(writes_locked, NULL);
    cth__fence(relaxed); // a scheduling point
    CTH_SIM_FREED(lock);
    CTH_SIM_CHECK(cth_thread_join(t, NULL) == CTH_OK);
    cth_thread_release(t);
    return CTH_OK;
}

static cth_status frees_and_makes_fresh(void *arg) {
    static const cth_mutex no_mutex = CTH_MUTEX_INIT;
    fresh();
    for (int i = 0; i < 300; i++) { // more than it remembers at one time
        object = no_mutex;
        CTH_SIM_FREED(object);
        CTH_SIM_FREED(data);
        CTH_SIM_FRESH(data);
        CTH_SIM_FRESH(object);
        CTH_WITH(&object) {
            (void)writes(arg);
        }
    }
    return CTH_OK;
}

static cth_status freed_in_one_schedule_only(void *arg) {
    fresh();
    CTH_WITH(&lock) {
        (void)writes(arg);
    }
    CTH_SIM_FREED(lock);
    CTH_SIM_FREED(data);
    return CTH_OK;
}

static cth_status released_and_asked(void *arg) {
    fresh();
    cth_thread *t = sim_spawn(reads, arg);
    sim_join(t);
    (void)cth_thread_is_alive(t);
    return CTH_OK;
}

static cth_status released_twice(void *arg) {
    fresh();
    cth_thread *t = sim_spawn(reads, arg);
    sim_join(t);
    cth_thread_release(t);
    return CTH_OK;
}

static cth_status frees_twice(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_FREED(data);
    CTH_SIM_FREED(data);
    return CTH_OK;
}

static cth_status says_so_too_early(void *arg) {
    (void)arg;
    cth__store(&said, 1, release);
    CTH_SIM_READ(data); // what it said does not cover this
    return CTH_OK;
}

/* Nothing uses the data after it is gone in any schedule that is run, but nothing forbids it. */
static cth_status frees_without_order(void *arg) {
    (void)arg;
    fresh();
    atomic_init(&said, 0);
    cth_thread *t = sim_spawn(says_so_too_early, NULL);
    while (cth__load(&said, acquire) == 0) {
        cth_yield();
    }
    CTH_SIM_FREED(data);
    CTH_SIM_FRESH(data);
    sim_join(t);
    return CTH_OK;
}

static void finds_use_of_freed_memory(void) {
    cth_sim_report report = FAIL(frees_and_locks, "freed");
    CHECK(strstr(report.text, "\"the object\"") != NULL);
    report = FAIL(frees_and_reads, "freed");
    CHECK(strstr(report.text, "sim_model.c:") != NULL);
    (void)FAIL(frees_and_writes, "freed");
    (void)FAIL(frees_what_another_uses, "freed");
    (void)FAIL(released_and_asked, "freed"); // the kit's own memory
    (void)FAIL(released_twice, "freed");
    (void)FAIL(frees_twice, "freed");
    (void)FAIL(frees_without_order, "freed");
    PASS(frees_and_makes_fresh);
    PASS(freed_in_one_schedule_only);
}

static const test_case tests[] = {
    TEST(store_buffering),
    TEST(message_passing),
    TEST(messages_by_pointer),
    TEST(coherence),
    TEST(read_modify_writes),
    TEST(release_sequences),
    TEST(independent_readers),
    TEST(load_buffering),
    TEST(orders_starts_and_joins),
    TEST(shows_the_newest_in_the_end),
    TEST(weak_compares_may_fail),
    TEST(initialisations_begin_anew),
    TEST(crowds_turn_the_model_off),
    TEST(finds_races),
    TEST(names_the_racing_access),
    TEST(finds_no_race_where_there_is_order),
    TEST(fences_order_no_plain_data),
    TEST(finds_use_of_freed_memory),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
