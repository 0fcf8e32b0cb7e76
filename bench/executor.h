/* executor.h - what bench_executor asks of a peer, and the tasks it gives to it. C and C++. */
#ifndef BENCH_EXECUTOR_INCLUDED
#define BENCH_EXECUTOR_INCLUDED
#include "bench.h"

#include <semaphore.h>

/* A flood: many tasks, each of which computes for `steps` steps. */
typedef struct exec_load {
    unsigned steps;
    bool counted;                    /* count the tasks that run: not while time is measured */
    alignas(BENCH_LINE) size_t left; /* tasks that have not ended, for peers that cannot tell */
    sem_t over;                      /* posted by the last of them */
    alignas(BENCH_LINE) size_t ran;
} exec_load;

/* A peer. What it cannot do is NULL. */
typedef struct exec_peer {
    const char *name;
    bench_kind kind;
    void (*start)(int workers);
    void (*stop)(void);
    bool owns_threads; /* start and stop start and end threads: they can be measured */
    bool uses_malloc;  /* and its memory is that */

    /* Submit so many tasks, each of which calls exec_task(load), and wait until all have ended. */
    void (*flood)(exec_load *load, size_t tasks);

    /* The sum of exec_answer(i) for all i below n, each of them the result of a task that is waited
       for before the next is submitted. `helped`: the waiter may run the task; `away`: a worker
       does. */
    uint64_t (*helped)(uint64_t n);
    uint64_t (*away)(uint64_t n);
} exec_peer;

static inline void exec_task(exec_load *load) {
    if (load->steps != 0) {
        bench_use((int)bench_work(load->steps, bench_zero(), 1));
    }
    if (load->counted) {
        __atomic_fetch_add(&load->ran, 1, __ATOMIC_RELAXED);
    }
}

/* The same, for peers that cannot tell when all tasks have ended. */
static inline void exec_counted_task(exec_load *load) {
    exec_task(load);
    // acq_rel: what all tasks did happens before the post.
    if (__atomic_sub_fetch(&load->left, 1, __ATOMIC_ACQ_REL) == 0) {
        sem_post(&load->over);
    }
}

static inline void exec_wait(sem_t *sem) {
    while (sem_wait(sem) != 0) {
    }
}

static inline uint64_t exec_answer(uint64_t question) {
    return question * 3 + 1;
}

/* A question to a worker of a peer that has no results. */
typedef struct exec_question {
    uint64_t value;
    sem_t answered;
} exec_question;

static inline void exec_reply(exec_question *question) {
    question->value = exec_answer(question->value);
    sem_post(&question->answered);
}

#ifdef __cplusplus
extern "C"
#endif
    bench_sample
    exec_measure(const exec_peer *peer, const bench_row *row);

#ifdef __cplusplus
extern "C"
#endif
    void
    exec_add(const exec_peer *peer, bench_fn fn);

/* add_PEER() for the exec_peer of that name. */
#define EXEC_PEER(peer)                                                \
  static bench_sample BENCH_CAT(measure, peer)(const bench_row *row) { \
    return exec_measure(&(peer), row);                                 \
  }                                                                    \
  static void BENCH_CAT(add, peer)(void) {                             \
    exec_add(&(peer), measure_##peer);                                 \
  }

#endif
