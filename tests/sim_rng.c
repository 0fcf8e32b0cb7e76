/* sim_rng.c - random numbers under the simulator: entropy is the explorer's choice

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static uint64_t drawn[200];
static size_t n_drawn;

static cth_status draws(void *arg) {
    (void)arg;
    drawn[n_drawn++ % 200] = cth_rng_entropy();
    return CTH_OK;
}

/* Entropy is other in each schedule, and the same in the same schedule. */
static void entropy_replays(void) {
    uint64_t first[200];
    const cth_sim_desc desc = {.schedules = 200};
    CHECK_STATUS(cth_sim_run(&desc, draws, NULL), CTH_OK);
    CHECK_EQ(n_drawn, 200);
    memcpy(first, drawn, sizeof first);
    CHECK_STATUS(cth_sim_run(&desc, draws, NULL), CTH_OK);
    CHECK(memcmp(first, drawn, sizeof first) == 0);
    for (size_t i = 0; i < 200; i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK(first[i] != first[j]);
        }
    }
}

static cth_status own_generator(void *arg) {
    cth_rng *shared = (cth_rng *)arg;
    cth_rng mine = *shared;
    for (int i = 0; i < 5; i++) {
        cth_yield();
        (void)cth_rng_next(&mine);
    }
    CTH_SIM_CHECK(cth_rng_below(&mine, 1000) < 1000);
    return CTH_OK;
}

/* A seed gives the same numbers whatever the other threads draw from theirs. */
static cth_status seeds_are_private(void *arg) {
    cth_rng rng, same;
    (void)arg;
    sim_begin();
    cth_rng_seed(&rng, 7);
    cth_rng_seed(&same, 7);
    cth_thread *t = sim_spawn(own_generator, &rng);
    for (int i = 0; i < 5; i++) {
        const uint64_t a = cth_rng_next(&same);
        cth_yield();
        cth_rng again;
        cth_rng_seed(&again, 7);
        for (int j = 0; j < i; j++) {
            (void)cth_rng_next(&again);
        }
        CTH_SIM_CHECK(a == cth_rng_next(&again));
    }
    sim_join(t);
    return CTH_OK;
}

/* Bug: one generator for two threads, with no lock: both may draw the same number. */
static cth__word state;

static cth_status draws_shared(void *arg) {
    uint32_t *number = (uint32_t *)arg;
    if (planted) {
        *number = cth__load(&state, relaxed);
        cth__store(&state, *number * 1664525 + 1013904223, relaxed);
    } else {
        *number = cth__load(&state, relaxed);
        while (!cth__cas(&state, number, *number * 1664525 + 1013904223, relaxed, relaxed)) {
        }
    }
    return CTH_OK;
}

static cth_status shared_generator(void *arg) {
    uint32_t numbers[2];
    (void)arg;
    sim_begin();
    atomic_init(&state, 1);
    cth_thread *a = sim_spawn(draws_shared, &numbers[0]);
    cth_thread *b = sim_spawn(draws_shared, &numbers[1]);
    sim_join(a);
    sim_join(b);
    CTH_SIM_CHECK(numbers[0] != numbers[1]);
    return CTH_OK;
}

static void passes_seeds_are_private(void) {
    SIM_PASS(seeds_are_private, SIM_WAITS, 1000);
}
static void finds_shared_generator(void) {
    SIM_FOUND(shared_generator, 0, "check");
}

static const test_case tests[] = {
    TEST(entropy_replays),
    TEST(passes_seeds_are_private),
    TEST(finds_shared_generator),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
