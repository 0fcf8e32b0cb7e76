/* locked.h - semaphores and events made of a mutex and a condition, for libraries that have only
   these two. Define LOCKED (identifier), LOCKED_MUTEX, LOCKED_COND (types),
   LOCKED_LOCK(m), LOCKED_UNLOCK(m), LOCKED_WAIT(c, m), LOCKED_SIGNAL(c), LOCKED_BROADCAST(c) and
   LOCKED_INIT(m, c) before each inclusion. */
#ifndef BENCH_LOCKED_INCLUDED
#  define BENCH_LOCKED_INCLUDED
#  define LOCKED_FN(name)      BENCH_CAT(LOCKED, name)
#  define LOCKED_UNUSED_INLINE static inline __attribute__((unused))
#endif

typedef struct LOCKED_FN(locked) {
    LOCKED_MUTEX mutex;
    LOCKED_COND cond;
    int count;
} LOCKED_FN(locked);

LOCKED_UNUSED_INLINE void LOCKED_FN(init)(LOCKED_FN(locked) * l) {
    LOCKED_INIT(&l->mutex, &l->cond);
    l->count = 0;
}

LOCKED_UNUSED_INLINE void LOCKED_FN(post)(LOCKED_FN(locked) * l) {
    LOCKED_LOCK(&l->mutex);
    l->count++;
    LOCKED_SIGNAL(&l->cond);
    LOCKED_UNLOCK(&l->mutex);
}

LOCKED_UNUSED_INLINE void LOCKED_FN(take)(LOCKED_FN(locked) * l) {
    LOCKED_LOCK(&l->mutex);
    while (l->count == 0) {
        LOCKED_WAIT(&l->cond, &l->mutex);
    }
    l->count--;
    LOCKED_UNLOCK(&l->mutex);
}

LOCKED_UNUSED_INLINE void LOCKED_FN(set)(LOCKED_FN(locked) * l) {
    LOCKED_LOCK(&l->mutex);
    l->count = 1;
    LOCKED_BROADCAST(&l->cond);
    LOCKED_UNLOCK(&l->mutex);
}

LOCKED_UNUSED_INLINE void LOCKED_FN(clear)(LOCKED_FN(locked) * l) {
    LOCKED_LOCK(&l->mutex);
    l->count = 0;
    LOCKED_UNLOCK(&l->mutex);
}

LOCKED_UNUSED_INLINE int LOCKED_FN(is_set)(LOCKED_FN(locked) * l) {
    LOCKED_LOCK(&l->mutex);
    const int set = l->count;
    LOCKED_UNLOCK(&l->mutex);
    return set;
}

LOCKED_UNUSED_INLINE void LOCKED_FN(await)(LOCKED_FN(locked) * l) {
    LOCKED_LOCK(&l->mutex);
    while (l->count == 0) {
        LOCKED_WAIT(&l->cond, &l->mutex);
    }
    LOCKED_UNLOCK(&l->mutex);
}

#undef LOCKED
#undef LOCKED_MUTEX
#undef LOCKED_COND
#undef LOCKED_INIT
#undef LOCKED_LOCK
#undef LOCKED_UNLOCK
#undef LOCKED_WAIT
#undef LOCKED_SIGNAL
#undef LOCKED_BROADCAST
