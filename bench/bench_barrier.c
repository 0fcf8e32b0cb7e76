/* bench_barrier.c - what a meeting of all threads costs. */
#define _GNU_SOURCE // syscall, for textbook.h
#include "barrier_loops.h"
#include "cthreads.h"
#include "openmp.h"
#include "textbook.h"

#include <pthread.h>
#ifdef BENCH_HAVE_CK_LIBRARY
#  include <ck_barrier.h>
#endif

#define PEER      cthreads
#define PEER_NAME "cthreads cth_barrier"
#define PEER_KIND BENCH_KIT
#define PEER_T    cth_barrier
#define PEER_INIT(b, parties)                               \
  do {                                                      \
    if (cth_barrier_init((b), (parties), NULL) != CTH_OK) { \
      bench_fail("cannot make a barrier");                  \
    }                                                       \
  } while (0)
#define PEER_WAIT(b, n) (void)cth_barrier_wait((b), NULL)
#include "barrier_loops.h"

// A number that grows with each meeting; the last to come raises it and wakes those who sleep.
typedef struct textbook_barrier {
    uint32_t parties, arrived, meeting, sleepers;
} textbook_barrier;

static void textbook_meet(textbook_barrier *b, int spins) {
    const uint32_t meeting = __atomic_load_n(&b->meeting, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_ACQ_REL) == b->parties) {
        __atomic_store_n(&b->arrived, 0, __ATOMIC_RELAXED);
        // seq_cst: raised before the sleepers are looked at, as a waiter does it the other way
        // round.
        __atomic_store_n(&b->meeting, meeting + 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&b->sleepers, __ATOMIC_SEQ_CST) != 0) {
            textbook_wake(&b->meeting, INT_MAX);
        }
        return;
    }
    for (int i = 0; i < spins; i++) {
        if (__atomic_load_n(&b->meeting, __ATOMIC_ACQUIRE) != meeting) {
            return;
        }
        bench_pause();
    }
    __atomic_fetch_add(&b->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&b->meeting, __ATOMIC_SEQ_CST) == meeting) {
        textbook_sleep(&b->meeting, meeting);
    }
    __atomic_fetch_sub(&b->sleepers, 1, __ATOMIC_RELAXED);
}

#define PEER                  textbook
#define PEER_NAME             "textbook futex"
#define PEER_KIND             BENCH_PEER
#define PEER_T                textbook_barrier
#define PEER_INIT(b, parties) (*(b) = (textbook_barrier){(uint32_t)(parties), 0, 0, 0})
#define PEER_WAIT(b, n)       textbook_meet((b), 0)
#include "barrier_loops.h"

#define PEER                  textbook_spin
#define PEER_NAME             "textbook futex, 200 spins"
#define PEER_KIND             BENCH_PEER
#define PEER_T                textbook_barrier
#define PEER_INIT(b, parties) (*(b) = (textbook_barrier){(uint32_t)(parties), 0, 0, 0})
#define PEER_WAIT(b, n)       textbook_meet((b), 200)
#include "barrier_loops.h"

#define PEER                  pthread
#define PEER_NAME             "pthread_barrier"
#define PEER_KIND             BENCH_PEER
#define PEER_T                pthread_barrier_t
#define PEER_INIT(b, parties) pthread_barrier_init((b), NULL, (unsigned)(parties))
#define PEER_WAIT(b, n)       pthread_barrier_wait(b)
#include "barrier_loops.h"

#ifdef BENCH_HAVE_CK_LIBRARY
typedef struct ck_central {
    ck_barrier_centralized_t barrier;
    unsigned parties;
} ck_central;
#  define PEER        ck
#  define PEER_NAME   "CK centralized"
#  define PEER_KIND   BENCH_SPIN
#  define PEER_T      ck_central
#  define PEER_NODE_T ck_barrier_centralized_state_t
#  define PEER_INIT(b, count) \
    (*(b) = (ck_central){CK_BARRIER_CENTRALIZED_INITIALIZER, (unsigned)(count)})
#  define PEER_WAIT(b, n) ck_barrier_centralized(&(b)->barrier, (n), (b)->parties)
#  include "barrier_loops.h"
#endif

#define PEER                 gomp
#define PEER_NAME            "OpenMP, gcc's libgomp"
#define PEER_KIND            BENCH_PEER
#define PEER_TEAM(row, body) gomp_team((row), (body))
#define PEER_WAIT(b, n)      gomp.barrier()
#include "barrier_loops.h"

#define PEER                 kmp
#define PEER_NAME            "OpenMP, clang's libomp"
#define PEER_KIND            BENCH_PEER
#define PEER_TEAM(row, body) kmp_team((row), (body))
#define PEER_WAIT(b, n)      kmp.barrier(&kmp_at_barrier, kmp_me)
#include "barrier_loops.h"

#ifdef BENCH_HAVE_CXX
void add_cxx_barriers(void);
#endif

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_MEET_2] = {.name = "2 threads meet, two CPUs",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 2,
                        .place = BENCH_SPREAD},
        [ROW_MEET_4] = {.name = "4 threads meet, two CPUs",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 4,
                        .place = BENCH_SPREAD},
        [ROW_MEET_2_ONE_CPU] = {.name = "2 threads meet, one CPU",
                                .unit = "ns",
                                .seconds = 0.2,
                                .threads = 2,
                                .place = BENCH_ONE_CPU},
        [ROW_IDLE] = {.name = "CPU time of a blocked thread, per second",
                      .unit = "us",
                      .seconds = 1,
                      .once = true},
        [ROW_SIZE] = {.name = "size", .unit = "bytes", .once = true},
    };
    bench_start(argc, argv, "barrier", rows, ROW_COUNT);
    add_cthreads();
    add_textbook();
    add_textbook_spin();
    add_pthread();
#ifdef BENCH_HAVE_CK_LIBRARY
    add_ck();
#else
    bench_skip("Concurrency Kit", "not found (Debian: libck-dev)");
#endif
    if (gomp_load()) {
        add_gomp();
    } else {
        bench_skip("gcc's OpenMP", "no libgomp.so.1 (Debian: libgomp1)");
    }
    if (kmp_load()) {
        add_kmp();
    } else {
        bench_skip("clang's OpenMP", "no libomp.so.5 (Debian: libomp5-14)");
    }
#ifdef BENCH_HAVE_CXX
    add_cxx_barriers();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
