/* bench.h - measures several libraries side by side.

   A program declares its rows (one row: one thing to measure), adds a case for each peer of each
   row, and calls bench_finish, which measures and prints:

       bench_start(argc, argv, "mutex", rows, ROW_COUNT);
       bench_add(ROW_UNCONTENDED, "cthreads", BENCH_KIT, uncontended_cthreads);
       return bench_finish();

   Within a row the peers take turns: each round measures every peer once, beginning with another
   one each time, so that a machine that drifts treats all alike. What is printed is the median of
   the rounds with the least and the greatest; compare the ratios of one run, not the figures of
   two. Each peer has its loop compiled for itself (the *_loops.h files, included once per peer), so
   a lock that is inline stays inline.

   Linux, gcc or clang; usable from C11 and C++20. */
#ifndef BENCH_H_INCLUDED
#define BENCH_H_INCLUDED

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Larger than a cache line and its prefetched neighbour. */
#define BENCH_LINE 128

/* Most threads in a team. */
#define BENCH_THREADS 16

/* Round trips between two looks at the stop flag. */
#define BENCH_TRIPS 32

typedef enum bench_kind {
    BENCH_KIT,   /* cthreads: not among the peers it is compared with */
    BENCH_PEER,  /* puts waiting threads to sleep */
    BENCH_SPIN,  /* never sleeps: burns a core while it waits */
    BENCH_FLOOR, /* not a peer: what the machine asks for the bare instructions */
} bench_kind;

typedef enum bench_place {
    BENCH_ANYWHERE, /* threads are not pinned */
    BENCH_SPREAD,   /* thread i on CPU i modulo the number of CPUs */
    BENCH_ONE_CPU,  /* all threads on one CPU */
} bench_place;

typedef struct bench_row {
    const char *name;
    const char *unit;
    double seconds;     /* of one measurement; a tenth of it with --quick */
    int threads;        /* for the loops of the row; 0 where it has no meaning */
    bench_place place;  /* the same */
    unsigned work_ns;   /* work outside of the lock, for the loops of the row */
    int senders;        /* how many of the threads send: the first ones */
    size_t capacity;    /* of the channel */
    bool once;          /* measured in one round only, and no ratios: sizes, idle time */
    const char *second; /* name of the second value of each measurement, or NULL; more is better */
    const char *plot;   /* of which plot.py makes a curve for each peer, or NULL */
    double x;           /* where the row stands on the curve */
} bench_row;

typedef struct bench_sample {
    double value;
    double second;
} bench_sample;

/* Measures once. */
typedef bench_sample (*bench_fn)(const bench_row *row);

/* Read the options and get ready; ends the program after --help and on a wrong option. */
void bench_start(int argc, char **argv, const char *program, const bench_row *rows, int count);

/* CPUs this program may use. */
int bench_cpus(void);

/* Add a case to a row. The strings are not copied. */
void bench_add(int row, const char *peer, bench_kind kind, bench_fn fn);

/* Say that a peer is missing; it is printed and goes into the JSON file. */
void bench_skip(const char *peer, const char *why);

/* Measure and print everything. Returns the program's exit status. */
int bench_finish(void);

/* Print the text and end the program with status 1: a peer did not do what it should. */
void bench_fail(const char *text);

/* Nanoseconds on a monotonic clock. */
double bench_now(void);

/* Sleep for a span, in seconds. */
void bench_sleep(double seconds);

/* How long one measurement of the row is to take, in seconds. */
double bench_seconds(const bench_row *row);

/* How many steps of bench_work take the row's work_ns on this machine. */
unsigned bench_work_steps(const bench_row *row);

/* Pin the calling thread for number i of a team; undo it. */
void bench_pin(bench_place place, int i);
void bench_unpin(void);

/* Start the row's threads, pinned as the row says, and open a gate for all of them together; each
   runs body(row, i). Raise the stop flag when the row's time is over, and join them. Returns the
   nanoseconds from the gate to the stop flag. */
double bench_team(const bench_row *row, void (*body)(const bench_row *row, int i));

/* What each thread of a team writes at its end: an operation count, or a time. The harness writes
   when it began and when it ended. */
typedef struct bench_slot {
    alignas(BENCH_LINE) uint64_t count;
    double ns;
    double start, end;
} bench_slot;
extern bench_slot bench_slots[BENCH_THREADS];

/* What a team that counted its operations in the slots has shown: nanoseconds per operation, and as
   second value the least count against the greatest. Fails unless the counts sum up to `total`,
   which the operations counted themselves. */
bench_sample bench_team_sample(const bench_row *row, double ns, uint64_t total);

/* Nanoseconds from the first start to the last end of a thread of the last team: for operations that
   go on after the stop flag. */
double bench_team_span(const bench_row *row);

/* Start a thread that runs body() and so blocks; then wait for its end and return the microseconds
   of processor time it used per second of the row's time. Between the two the caller sleeps
   bench_seconds and sets the thread free. */
void bench_idle_start(void (*body)(void));
double bench_idle_end(const bench_row *row);

/* Times of many short batches of one measurement: their median is robust against the batches in
   which another process ran. */
typedef struct bench_batches {
    double start, end;
    size_t count;
    double ns[2048];
} bench_batches;
void bench_batches_open(bench_batches *batches, const bench_row *row);
bool bench_batches_next(bench_batches *batches);
double bench_batches_median(bench_batches *batches);

/* Run the statement in batches of `count` for the row's time; `result` becomes the nanoseconds of
   one statement in the median batch. */
#define BENCH_LOOP(result, row, batch, ...)               \
  do {                                                    \
    static bench_batches batches_;                        \
    bench_batches_open(&batches_, (row));                 \
    do {                                                  \
      for (int turn_ = 0; turn_ < (batch); turn_++) {     \
        __VA_ARGS__;                                      \
      }                                                   \
    } while (bench_batches_next(&batches_));              \
    (result) = bench_batches_median(&batches_) / (batch); \
  } while (0)

/* The statement eight times, for operations that are as short as the loop around them. */
#define BENCH_X8(...) \
  __VA_ARGS__;        \
  __VA_ARGS__;        \
  __VA_ARGS__;        \
  __VA_ARGS__;        \
  __VA_ARGS__;        \
  __VA_ARGS__;        \
  __VA_ARGS__;        \
  __VA_ARGS__

/* Names of the functions that a *_loops.h file makes for PEER. */
#define BENCH_CAT2(a, b) a##_##b
#define BENCH_CAT(a, b)  BENCH_CAT2(a, b)
#define BENCH_FN(name)   BENCH_CAT(name, PEER)

typedef struct bench_flag {
    alignas(BENCH_LINE) int raised;
    char rest[BENCH_LINE - sizeof(int)];
} bench_flag;
extern bench_flag bench_stop;

static inline bool bench_stopped(void) {
    return __atomic_load_n(&bench_stop.raised, __ATOMIC_RELAXED) != 0;
}

/* Make the compiler believe that the value is used. */
static inline void bench_use(int value) {
    __asm__ volatile("" : : "r"(value));
}

/* A zero that the compiler cannot see. */
static inline uintptr_t bench_zero(void) {
    uintptr_t zero = 0;
    __asm__ volatile("" : "+r"(zero));
    return zero;
}

/* A number between 0 and twice the mean, each equally likely: threads whose work always takes the
   same time would fall into a step in which they never meet. */
static inline unsigned bench_vary(uint32_t *random, unsigned mean) {
    *random = *random * 1664525U + 1013904223U;
    return (unsigned)(((uint64_t)*random * (2 * (uint64_t)mean + 1)) >> 32);
}

/* Compute for `steps` steps, each of which needs the one before. A processor runs ahead, over a
   loop like this and the lock after it, unless each needs a result of the other: so the first step
   needs `data`, which was read under the lock, and the result, which is 0 when `zero` is, is to be
   added to the address of the lock. */
static inline uintptr_t bench_work(unsigned steps, uintptr_t zero, uint64_t data) {
    uintptr_t x = zero * (uintptr_t)data;
    for (unsigned i = 0; i < steps; i++) {
        x *= 0x9E3779B1U;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

static inline void bench_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" : : : "memory");
#else
    __asm__ volatile("" : : : "memory");
#endif
}

#ifdef __cplusplus
}
#endif
#endif
