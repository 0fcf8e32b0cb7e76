/* openmp.h - the barriers of the OpenMP libraries of gcc (libgomp) and clang (libomp).

   The two cannot be linked into one program, as they share names; so both are loaded at run time,
   each for itself, and what is called is what the compilers make out of `#pragma omp parallel` and
   `#pragma omp barrier`. The environment variables of OpenMP have their usual effect. */
#ifndef BENCH_OPENMP_H_INCLUDED
#define BENCH_OPENMP_H_INCLUDED

#include "bench.h"

#include <dlfcn.h>
#include <string.h>

typedef void openmp_body(const bench_row *row, int i);

/* What the team that is just running does. */
static const bench_row *openmp_row;
static openmp_body *openmp_do;

/* Store the address of a function of the library. ISO C has no cast for that. */
static bool openmp_find(void *library, const char *name, void *to) {
    void *found = dlsym(library, name);
    memcpy(to, &found, sizeof found);
    return found != NULL;
}

/* Run the body in a team of the library, which has threads of its own: the one thread that
   bench_team starts calls enter(), and becomes thread 0 of the library's team. */
static void openmp_team(const bench_row *row, openmp_body *body, openmp_body *enter) {
    bench_row one = *row;
    one.threads = 1;
    openmp_row = row;
    openmp_do = body;
    bench_team(&one, enter);
}

/* ---- gcc ---- */

static struct {
    void (*parallel)(void (*fn)(void *arg), void *arg, unsigned threads, unsigned flags);
    void (*barrier)(void);
    int (*thread_num)(void);
    int (*max_threads)(void);
} gomp;

static bool gomp_load(void) {
    void *library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_LOCAL);
    return library != NULL && openmp_find(library, "GOMP_parallel", &gomp.parallel) &&
           openmp_find(library, "GOMP_barrier", &gomp.barrier) &&
           openmp_find(library, "omp_get_thread_num", &gomp.thread_num) &&
           openmp_find(library, "omp_get_max_threads", &gomp.max_threads) && gomp.max_threads() > 0;
}

static void gomp_region(void *arg) {
    const int i = gomp.thread_num();
    (void)arg;
    bench_pin(openmp_row->place, i);
    openmp_do(openmp_row, i);
}

static void gomp_enter(const bench_row *row, int i) {
    (void)row;
    (void)i;
    gomp.parallel(gomp_region, NULL, (unsigned)openmp_row->threads, 0);
}

static void gomp_team(const bench_row *row, openmp_body *body) {
    openmp_team(row, body, gomp_enter);
}

/* ---- clang ---- */

typedef struct kmp_place {
    int32_t reserved, flags, more_reserved[2];
    const char *text;
} kmp_place;

typedef void kmp_region_fn(int32_t *thread, int32_t *i, ...);

static kmp_place kmp_here = {0, 2, {0, 0}, ";bench;team;0;0;;"};
static kmp_place kmp_at_barrier = {0, 0x22, {0, 0}, ";bench;barrier;0;0;;"};

static struct {
    void (*fork_call)(kmp_place *place, int32_t count, kmp_region_fn *region, ...);
    void (*push_num_threads)(kmp_place *place, int32_t thread, int32_t count);
    int32_t (*thread_num)(kmp_place *place);
    void (*barrier)(kmp_place *place, int32_t thread);
    int (*max_threads)(void);
} kmp;

static _Thread_local int32_t kmp_me;

static bool kmp_load(void) {
    void *library = dlopen("libomp.so.5", RTLD_NOW | RTLD_LOCAL);
    // The library looks at the CPUs with its first call: here, before any thread is pinned.
    return library != NULL && openmp_find(library, "__kmpc_fork_call", &kmp.fork_call) &&
           openmp_find(library, "__kmpc_push_num_threads", &kmp.push_num_threads) &&
           openmp_find(library, "__kmpc_global_thread_num", &kmp.thread_num) &&
           openmp_find(library, "__kmpc_barrier", &kmp.barrier) &&
           openmp_find(library, "omp_get_max_threads", &kmp.max_threads) && kmp.max_threads() > 0;
}

static void kmp_region(int32_t *thread, int32_t *i, ...) {
    kmp_me = *thread;
    bench_pin(openmp_row->place, *i);
    openmp_do(openmp_row, *i);
}

static void kmp_enter(const bench_row *row, int i) {
    (void)row;
    (void)i;
    kmp.push_num_threads(&kmp_here, kmp.thread_num(&kmp_here), openmp_row->threads);
    kmp.fork_call(&kmp_here, 0, kmp_region);
}

static void kmp_team(const bench_row *row, openmp_body *body) {
    openmp_team(row, body, kmp_enter);
    // Its threads go on spinning for 200 ms, in case there is more to do: wait, for the sake of the
    // next peer.
    bench_sleep(0.25);
}

#endif
