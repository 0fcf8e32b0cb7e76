/* parallel_sort.c - a sort on all processors against the qsort of the C library.

   Shows   : cth_sort in the place of qsort, cth_stable_sort, and CTH_SORT_OF, which makes a sort
             for one type: size and comparison are constants, so that the compiler inlines both
   Look at : the results are the same; the times are of this machine, at this time.
   Run     : ./a.out 10000000      so many numbers
   Build   : cc -std=c11 -O2 -I../.. parallel_sort.c -pthread
   Prints  :
     qsort: 164.9 ms
     cth_sort: 83.5 ms
     sort_ints: 28.5 ms
     cth_stable_sort: 84.1 ms
     2000000 numbers, 2 threads: all the same */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

CTH_SORT_OF(int, sort_ints, *a < *b);

static size_t n = 2000000;
static int *given, *expected, *numbers;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static int compare(const void *pa, const void *pb) {
    const int a = *(const int *)pa, b = *(const int *)pb;
    return (a > b) - (a < b);
}

static cth_status c_library(void) {
    qsort(numbers, n, sizeof *numbers, compare);
    return CTH_OK;
}

static cth_status general(void) {
    return cth_sort(NULL, numbers, n, sizeof *numbers, compare);
}

static cth_status typed(void) {
    return sort_ints(NULL, numbers, n);
}

static cth_status stable(void) {
    return cth_stable_sort(NULL, numbers, n, sizeof *numbers, compare);
}

static int *room(void) {
    int *block = malloc((n + 1) * sizeof *block);
    if (block == NULL) {
        check(CTH_NOMEM);
    }
    return block;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        cth_status (*sort)(void);
    } sorts[] = {{"qsort", c_library},
                 {"cth_sort", general},
                 {"sort_ints", typed},
                 {"cth_stable_sort", stable}};
    if (argc > 1) {
        n = strtoul(argv[1], NULL, 10);
    }
    given = room();
    expected = room();
    numbers = room();
    cth_rng rng;
    cth_rng_seed(&rng, 1);
    for (size_t i = 0; i < n; i++) {
        given[i] = (int)(cth_rng_next(&rng) >> 33);
    }
    bool same = true;
    for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++) {
        memcpy(numbers, given, n * sizeof *numbers);
        const cth_time start = cth_now();
        check(sorts[i].sort());
        printf("%s: %.1f ms\n", sorts[i].name, (double)(cth_now() - start) / CTH_MS(1));
        if (i == 0) {
            memcpy(expected, numbers, n * sizeof *numbers);
        }
        same = same && memcmp(numbers, expected, n * sizeof *numbers) == 0;
    }
    printf("%zu numbers, %u threads: %s\n", n, (unsigned)cth_team_workers(NULL),
           same ? "all the same" : "they differ");
    free(given);
    free(expected);
    free(numbers);
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}
