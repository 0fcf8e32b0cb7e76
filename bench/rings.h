/* rings.h - channels as textbooks have them, for bench_chan: a ring with a mutex and two
   conditions, and a ring with two semaphores. */
#ifndef BENCH_RINGS_INCLUDED
#define BENCH_RINGS_INCLUDED
#include "bench.h"
#include "textbook.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define RING_UNUSED_INLINE static inline __attribute__((unused))

RING_UNUSED_INLINE uint64_t *ring_values(size_t capacity) {
    uint64_t *values = (uint64_t *)malloc((capacity != 0 ? capacity : 1) * sizeof *values);
    if (values == NULL) {
        bench_fail("no memory");
    }
    return values;
}

/* ---- a mutex and two conditions; capacity 0: a rendezvous; SIZE_MAX: it grows ---- */

typedef struct cond_ring {
    pthread_mutex_t mutex, turn; // turn: a rendezvous is for one sender at a time
    pthread_cond_t filled, freed;
    uint64_t *values;
    size_t capacity, places, front, count;
} cond_ring;

RING_UNUSED_INLINE void cond_ring_init(cond_ring *r, size_t capacity) {
    pthread_mutex_init(&r->mutex, NULL);
    pthread_mutex_init(&r->turn, NULL);
    pthread_cond_init(&r->filled, NULL);
    pthread_cond_init(&r->freed, NULL);
    r->capacity = capacity;
    r->places = capacity == SIZE_MAX ? 1024 : capacity != 0 ? capacity : 1;
    r->values = ring_values(r->places);
    r->front = r->count = 0;
}

RING_UNUSED_INLINE void cond_ring_destroy(cond_ring *r) {
    pthread_cond_destroy(&r->freed);
    pthread_cond_destroy(&r->filled);
    pthread_mutex_destroy(&r->turn);
    pthread_mutex_destroy(&r->mutex);
    free(r->values);
}

RING_UNUSED_INLINE void cond_ring_grow(cond_ring *r) {
    uint64_t *values = ring_values(2 * r->places);
    const size_t head = r->places - r->front;
    memcpy(values, r->values + r->front, head * sizeof *values);
    memcpy(values + head, r->values, r->front * sizeof *values);
    free(r->values);
    r->values = values;
    r->front = 0;
    r->places *= 2;
}

RING_UNUSED_INLINE void cond_ring_put(cond_ring *r, uint64_t value) {
    const size_t at = r->front + r->count++;
    r->values[at < r->places ? at : at - r->places] = value;
}

RING_UNUSED_INLINE uint64_t cond_ring_get(cond_ring *r) {
    const uint64_t value = r->values[r->front];
    r->front = r->front + 1 == r->places ? 0 : r->front + 1;
    r->count--;
    return value;
}

RING_UNUSED_INLINE void cond_ring_send_n(cond_ring *r, const uint64_t *values, size_t n) {
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < n;) {
        while (r->count == r->places) {
            if (r->capacity == SIZE_MAX) {
                cond_ring_grow(r);
                break;
            }
            pthread_cond_wait(&r->freed, &r->mutex);
        }
        for (; i < n && r->count < r->places; i++) {
            cond_ring_put(r, values[i]);
        }
        pthread_cond_signal(&r->filled);
    }
    pthread_mutex_unlock(&r->mutex);
}

RING_UNUSED_INLINE void cond_ring_send(cond_ring *r, uint64_t value) {
    cond_ring_send_n(r, &value, 1);
}

RING_UNUSED_INLINE size_t cond_ring_recv_n(cond_ring *r, uint64_t *values, size_t n) {
    size_t got = 0;
    pthread_mutex_lock(&r->mutex);
    while (r->count == 0) {
        pthread_cond_wait(&r->filled, &r->mutex);
    }
    while (got < n && r->count != 0) {
        values[got++] = cond_ring_get(r);
    }
    pthread_cond_signal(&r->freed);
    pthread_mutex_unlock(&r->mutex);
    return got;
}

RING_UNUSED_INLINE void cond_ring_recv(cond_ring *r, uint64_t *value) {
    (void)cond_ring_recv_n(r, value, 1);
}

/* The sender stays until its value has been taken. */
RING_UNUSED_INLINE void cond_ring_meet(cond_ring *r, uint64_t value) {
    pthread_mutex_lock(&r->turn);
    pthread_mutex_lock(&r->mutex);
    cond_ring_put(r, value);
    pthread_cond_signal(&r->filled);
    while (r->count != 0) {
        pthread_cond_wait(&r->freed, &r->mutex);
    }
    pthread_mutex_unlock(&r->mutex);
    pthread_mutex_unlock(&r->turn);
}

#endif

/* ---- two semaphores, and a lock at each end. Define RING (identifier), RING_MUTEX, RING_SEM
   (types), RING_LOCK(m), RING_UNLOCK(m), RING_POST(s), RING_WAIT(s) and RING_INIT(m, s, count),
   which makes both ready, before each inclusion ---- */

#ifdef RING
typedef struct BENCH_CAT(RING, ring) {
    size_t capacity;
    uint64_t *values;
    RING_SEM filled, freed;
    struct {
        alignas(BENCH_LINE) RING_MUTEX mutex;
        size_t at;
    } rear, front;
} BENCH_CAT(RING, ring);

RING_UNUSED_INLINE void BENCH_CAT(RING, init)(BENCH_CAT(RING, ring) * r, size_t capacity) {
    r->capacity = capacity != 0 ? capacity : 1;
    r->values = ring_values(capacity);
    r->rear.at = r->front.at = 0;
    RING_INIT(&r->front.mutex, &r->filled, 0);
    RING_INIT(&r->rear.mutex, &r->freed, (unsigned)capacity);
}

RING_UNUSED_INLINE void BENCH_CAT(RING, destroy)(BENCH_CAT(RING, ring) * r) {
    free(r->values);
}

RING_UNUSED_INLINE void BENCH_CAT(RING, send)(BENCH_CAT(RING, ring) * r, uint64_t value) {
    RING_WAIT(&r->freed);
    RING_LOCK(&r->rear.mutex);
    r->values[r->rear.at] = value;
    r->rear.at = r->rear.at + 1 == r->capacity ? 0 : r->rear.at + 1;
    RING_UNLOCK(&r->rear.mutex);
    RING_POST(&r->filled);
}

RING_UNUSED_INLINE void BENCH_CAT(RING, recv)(BENCH_CAT(RING, ring) * r, uint64_t *value) {
    RING_WAIT(&r->filled);
    RING_LOCK(&r->front.mutex);
    *value = r->values[r->front.at];
    r->front.at = r->front.at + 1 == r->capacity ? 0 : r->front.at + 1;
    RING_UNLOCK(&r->front.mutex);
    RING_POST(&r->freed);
}

/* A rendezvous: its capacity is 0, and the sender stays until its value has been taken. */
RING_UNUSED_INLINE void BENCH_CAT(RING, meet)(BENCH_CAT(RING, ring) * r, uint64_t value) {
    RING_LOCK(&r->rear.mutex);
    r->values[0] = value;
    RING_POST(&r->filled);
    RING_WAIT(&r->freed);
    RING_UNLOCK(&r->rear.mutex);
}

#undef RING
#undef RING_MUTEX
#undef RING_SEM
#undef RING_LOCK
#undef RING_UNLOCK
#undef RING_POST
#undef RING_WAIT
#undef RING_INIT
#endif
