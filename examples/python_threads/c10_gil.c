/* c10_gil.c - threads that compute, on all CPUs at once.

   Article : Python Threads: Concepts and Implementation Examples, "GIL"
   Python  : for n in (1, os.cpu_count()): threads = [Thread(target=count, args=(i, n)) ...]
   Shows   : cth_thread_spawn, cth_thread_join, cth_now
   Look at : in Python two threads need as long as one, for only one runs at a time. Here nothing
             is locked: each thread has its own share and its own counter.
   Build   : cc -std=c11 -O2 -I../.. c10_gil.c -pthread
   Prints  : on two CPUs
     1 thread(s): 78498 primes in 0.31 s
     2 thread(s): 78498 primes in 0.16 s
     speed-up: 1.9 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST = 64 };

typedef struct share {
    int first, step, primes;
    cth_thread *thread;
} share;

static int limit = 1000000;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status count(void *arg) {
    share *mine = arg;
    int primes = 0;
    for (int n = mine->first; n < limit; n += mine->step) {
        int d = 2;
        while (d <= n / d && n % d != 0) {
            d++;
        }
        primes += d > n / d;
    }
    mine->primes = primes;
    return CTH_OK;
}

/* Count with so many threads, and return how long it took. */
static cth_time count_with(int threads) {
    share shares[MOST] = {{0}};
    int primes = 1; // 2
    const cth_time start = cth_now();
    for (int i = 0; i < threads; i++) {
        shares[i] = (share){.first = 3 + 2 * i, .step = 2 * threads}; // the odd numbers
        check(cth_thread_spawn(&shares[i].thread, count, &shares[i], NULL));
    }
    for (int i = 0; i < threads; i++) {
        check(cth_thread_join(shares[i].thread, NULL));
        cth_thread_release(shares[i].thread);
        primes += shares[i].primes;
    }
    const cth_time took = cth_now() - start;
    printf("%d thread(s): %d primes in %.2f s\n", threads, primes, (double)took / 1e9);
    return took;
}

int main(int argc, char **argv) {
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    limit = argc > 1 ? atoi(argv[1]) : limit;
    const cth_time one = count_with(1);
    const cth_time all = count_with(cpus < 2 ? 2 : cpus > MOST ? MOST : (int)cpus);
    printf("speed-up: %.1f\n", all > 0 ? (double)one / (double)all : 1.0);
    return 0;
}
