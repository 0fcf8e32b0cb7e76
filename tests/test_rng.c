/* test_rng.c - the seeded generator: known numbers, ranges, even spread

   Everything but the entropy is the same in every run.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static void known_numbers(void) {
    // Published outputs of splitmix64 for the seeds 0 and 1234567.
    static const struct {
        uint64_t seed;
        uint64_t numbers[5];
    } known[] = {
        {0,
         {UINT64_C(0xE220A8397B1DCDAF), UINT64_C(0x6E789E6AA1B965F4), UINT64_C(0x06C45D188009454F),
          UINT64_C(0xF88BB8A8724C81EC), UINT64_C(0x1B39896A51A8749B)}},
        {1234567,
         {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
          UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
          UINT64_C(16408922859458223821)}},
    };
    for (size_t k = 0; k < TEST_COUNT(known); k++) {
        cth_rng rng;
        cth_rng_seed(&rng, known[k].seed);
        for (size_t i = 0; i < 5; i++) {
            CHECK(cth_rng_next(&rng) == known[k].numbers[i]);
        }
    }
}

static void zeroed_is_valid(void) {
    cth_rng zeroed = {0}, seeded;
    cth_rng_seed(&seeded, 0);
    for (int i = 0; i < 100; i++) {
        CHECK(cth_rng_next(&zeroed) == cth_rng_next(&seeded));
    }
}

static void a_seed_starts_again(void) {
    cth_rng rng;
    uint64_t first[100];
    cth_rng_seed(&rng, UINT64_MAX);
    for (int i = 0; i < 100; i++) {
        first[i] = cth_rng_next(&rng);
    }
    cth_rng_seed(&rng, UINT64_MAX);
    for (int i = 0; i < 100; i++) {
        CHECK(cth_rng_next(&rng) == first[i]);
    }
    cth_rng_seed(&rng, 1);
    CHECK(cth_rng_next(&rng) != first[0]);
}

static void generators_are_independent(void) {
    cth_rng a, b;
    cth_rng_seed(&a, 7);
    cth_rng_seed(&b, 7);
    const uint64_t first = cth_rng_next(&a);
    cth_rng_next(&a);
    CHECK(cth_rng_next(&b) == first);
}

static void below_stays_below(void) {
    static const uint64_t limits[] = {
        1, 2, 3, 10, 255, 256, 1000003, UINT64_C(1) << 32, (UINT64_C(1) << 63) + 1, UINT64_MAX};
    cth_rng rng = {0};
    for (size_t k = 0; k < TEST_COUNT(limits); k++) {
        for (int i = 0; i < 2000; i++) {
            CHECK(cth_rng_below(&rng, limits[k]) < limits[k]);
        }
    }
    for (int i = 0; i < 10; i++) {
        CHECK(cth_rng_below(&rng, 0) == 0);
    }
}

static void below_is_even(void) {
    cth_rng rng;
    for (uint64_t n = 2; n <= 12; n++) {
        unsigned counts[12] = {0};
        cth_rng_seed(&rng, n);
        for (uint64_t i = 0; i < 1000 * n; i++) {
            counts[cth_rng_below(&rng, n)]++;
        }
        for (uint64_t i = 0; i < n; i++) {
            CHECK(counts[i] > 800 && counts[i] < 1200); // six standard deviations
        }
    }
}

static void below_has_no_bias_with_huge_limits(void) {
    // A remainder of 64 random bits would fall into the lowest third half of the time.
    const uint64_t third = UINT64_C(1) << 62;
    cth_rng rng;
    cth_rng_seed(&rng, 5);
    unsigned low = 0;
    for (int i = 0; i < 30000; i++) {
        low += cth_rng_below(&rng, 3 * third) < third;
    }
    CHECK(low > 9500 && low < 10500);
}

static void unit_is_between_0_and_1(void) {
    cth_rng rng;
    cth_rng_seed(&rng, 11);
    double sum = 0, least = 1, most = 0;
    for (int i = 0; i < 100000; i++) {
        const double x = cth_rng_unit(&rng);
        CHECK(x >= 0.0 && x < 1.0);
        sum += x;
        least = x < least ? x : least;
        most = x > most ? x : most;
    }
    CHECK(sum > 49500 && sum < 50500);
    CHECK(least < 0.001 && most > 0.999);
}

static void unit_never_rounds_up_to_1(void) {
    // A state found by running splitmix64 backwards from a number whose 64 bits are all set.
    uint64_t z = UINT64_MAX;
    z = z ^ (z >> 31) ^ (z >> 62);
    z *= UINT64_C(0x319642b2d24d8ec3);
    z = z ^ (z >> 27) ^ (z >> 54);
    z *= UINT64_C(0x96de1b173f119089);
    z = z ^ (z >> 30) ^ (z >> 60);
    z -= UINT64_C(0x9e3779b97f4a7c15);
    cth_rng rng;
    cth_rng_seed(&rng, z);
    CHECK(cth_rng_next(&rng) == UINT64_MAX);
    cth_rng_seed(&rng, z);
    CHECK(cth_rng_unit(&rng) < 1.0);
}

enum { THREADS = 4, DRAWS = 250 };

static cth_status draw(void *arg) {
    uint64_t *seeds = (uint64_t *)arg;
    for (int i = 0; i < DRAWS; i++) {
        seeds[i] = cth_rng_entropy();
    }
    return CTH_OK;
}

static void entropy_differs(void) {
    static uint64_t seeds[THREADS * DRAWS];
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(draw, &seeds[i * DRAWS]);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    for (size_t i = 0; i < TEST_COUNT(seeds); i++) {
        for (size_t k = 0; k < i; k++) {
            CHECK(seeds[i] != seeds[k]);
        }
    }
}

static void entropy_differs_from_run_to_run(void) {
    char a[64], b[64];
    CHECK_EQ(test_child("entropy", a, sizeof a), 0);
    CHECK_EQ(test_child("entropy", b, sizeof b), 0);
    CHECK(strlen(a) == 17 && strlen(b) == 17);
    CHECK(strcmp(a, b) != 0);
}

static void errno_is_preserved(void) {
    errno = 4242;
    (void)cth_rng_entropy();
    CHECK_EQ(errno, 4242);
}

static const test_case tests[] = {
    TEST(known_numbers),
    TEST(zeroed_is_valid),
    TEST(a_seed_starts_again),
    TEST(generators_are_independent),
    TEST(below_stays_below),
    TEST(below_is_even),
    TEST(below_has_no_bias_with_huge_limits),
    TEST(unit_is_between_0_and_1),
    TEST(unit_never_rounds_up_to_1),
    TEST(entropy_differs),
    TEST(entropy_differs_from_run_to_run),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    if (test_child_mode(argc, argv) != NULL) {
        printf("%016llx\n", (unsigned long long)cth_rng_entropy());
        return 0;
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
