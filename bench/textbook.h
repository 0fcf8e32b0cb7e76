/* textbook.h - the simplest locks that can be built on futexes, as a measure for all others.

   A mutex of three states (free, held, held with sleepers), a semaphore with a count of sleepers,
   and an event of three states. `spins` is how often a waiter looks before it sleeps. */
#ifndef BENCH_TEXTBOOK_H_INCLUDED
#define BENCH_TEXTBOOK_H_INCLUDED

#include "bench.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void textbook_sleep(uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static inline void textbook_wake(uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline bool textbook_cas(uint32_t *word, uint32_t from, uint32_t to) {
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* ---- mutex: 0 free, 1 held, 2 held and somebody may sleep ---- */

typedef struct textbook_mutex {
    uint32_t word;
} textbook_mutex;

static __attribute__((noinline, unused)) void textbook_lock_slow(textbook_mutex *m, int spins) {
    // Spins only while nobody sleeps: behind a sleeper the wait is long.
    for (int i = 0; i < spins && __atomic_load_n(&m->word, __ATOMIC_RELAXED) == 1; i++) {
        bench_pause();
    }
    if (spins > 0 && textbook_cas(&m->word, 0, 1)) {
        return;
    }
    while (__atomic_exchange_n(&m->word, 2, __ATOMIC_ACQUIRE) != 0) {
        textbook_sleep(&m->word, 2);
    }
}

static inline void textbook_lock(textbook_mutex *m, int spins) {
    if (!__builtin_expect(textbook_cas(&m->word, 0, 1), 1)) {
        textbook_lock_slow(m, spins);
    }
}

static inline void textbook_unlock(textbook_mutex *m) {
    if (__builtin_expect(__atomic_exchange_n(&m->word, 0, __ATOMIC_RELEASE) == 2, 0)) {
        textbook_wake(&m->word, 1);
    }
}

/* ---- semaphore ---- */

typedef struct textbook_sem {
    uint32_t count;
    uint32_t sleepers;
} textbook_sem;

static inline bool textbook_sem_try(textbook_sem *s) {
    uint32_t found = __atomic_load_n(&s->count, __ATOMIC_RELAXED);
    while (found != 0) {
        if (__atomic_compare_exchange_n(&s->count, &found, found - 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            return true;
        }
    }
    return false;
}

static __attribute__((noinline, unused)) void textbook_sem_wait_slow(textbook_sem *s, int spins) {
    for (int i = 0; i < spins; i++) {
        bench_pause();
        if (textbook_sem_try(s)) {
            return;
        }
    }
    __atomic_fetch_add(&s->sleepers, 1, __ATOMIC_SEQ_CST);
    while (!textbook_sem_try(s)) {
        textbook_sleep(&s->count, 0);
    }
    __atomic_fetch_sub(&s->sleepers, 1, __ATOMIC_RELAXED);
}

static inline void textbook_sem_wait(textbook_sem *s, int spins) {
    if (!__builtin_expect(textbook_sem_try(s), 1)) {
        textbook_sem_wait_slow(s, spins);
    }
}

static inline void textbook_sem_post(textbook_sem *s) {
    // seq_cst: the count is raised before the sleepers are looked at, as a waiter does it the other
    // way round.
    __atomic_fetch_add(&s->count, 1, __ATOMIC_SEQ_CST);
    if (__builtin_expect(__atomic_load_n(&s->sleepers, __ATOMIC_SEQ_CST) != 0, 0)) {
        textbook_wake(&s->count, 1);
    }
}

/* ---- event: 0 not set, 1 set, 2 not set and somebody may sleep ---- */

typedef struct textbook_event {
    uint32_t word;
} textbook_event;

static inline bool textbook_event_is_set(const textbook_event *e) {
    return __atomic_load_n(&e->word, __ATOMIC_ACQUIRE) == 1;
}

static __attribute__((noinline, unused)) void textbook_event_wait_slow(textbook_event *e,
                                                                       int spins) {
    for (int i = 0; i < spins; i++) {
        bench_pause();
        if (textbook_event_is_set(e)) {
            return;
        }
    }
    while (!textbook_event_is_set(e)) {
        if (textbook_cas(&e->word, 0, 2) || __atomic_load_n(&e->word, __ATOMIC_RELAXED) == 2) {
            textbook_sleep(&e->word, 2);
        }
    }
}

static inline void textbook_event_wait(textbook_event *e, int spins) {
    if (!__builtin_expect(textbook_event_is_set(e), 1)) {
        textbook_event_wait_slow(e, spins);
    }
}

static inline void textbook_event_set(textbook_event *e) {
    if (__atomic_exchange_n(&e->word, 1, __ATOMIC_RELEASE) == 2) {
        textbook_wake(&e->word, INT_MAX);
    }
}

static inline void textbook_event_clear(textbook_event *e) {
    textbook_cas(&e->word, 1, 0);
}

#endif
