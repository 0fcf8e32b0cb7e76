/* stress.h - what the programs stress_*.c have in common: their options.

       [--seconds N] [--seed S] [--threads T]

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef STRESS_H_INCLUDED
#define STRESS_H_INCLUDED

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t seed;
static unsigned n_threads;

/* Read the options, and print the seed. Returns for how many seconds to run. `n_threads` is, without
   an option, `per_cpu` for each of two CPUs or more, and `most` at most; with `most` 0 there is no
   such option. */
static double stress_options(int argc,
                             char **argv,
                             const char *name,
                             unsigned per_cpu,
                             unsigned most) {
    double seconds = 2;
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    n_threads = cpus < 2 ? 2 * per_cpu : cpus < (long)most ? (unsigned)cpus * per_cpu : most;
    n_threads = n_threads < most ? n_threads : most;
    seed = cth_rng_entropy();
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0) {
            seconds = strtod(argv[++i], NULL);
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[++i], NULL, 0);
        } else if (i + 1 < argc && most != 0 && strcmp(argv[i], "--threads") == 0) {
            n_threads = (unsigned)strtoul(argv[++i], NULL, 0);
        } else {
            seconds = -1;
        }
    }
    if (!(seconds >= 0) || n_threads > most || (most != 0 && n_threads == 0)) {
        fprintf(stderr, "usage: %s [--seconds N] [--seed S]", name);
        if (most != 0) {
            fprintf(stderr, " [--threads 1..%u]", most);
        }
        fprintf(stderr, "\n");
        exit(2);
    }
    printf("%s: seed %" PRIu64 "\n", name, seed);
    fflush(stdout);
    return seconds;
}

#endif
