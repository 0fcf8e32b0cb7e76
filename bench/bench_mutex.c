/* bench_mutex.c - what a mutex costs alone, between threads, and while it waits. */
#define _GNU_SOURCE // PTHREAD_MUTEX_ADAPTIVE_NP
#include "cthreads.h"
#include "mutex_loops.h"
#include "textbook.h"

#include <pthread.h>
#include <threads.h>
#ifdef BENCH_HAVE_NSYNC
#  include <nsync.h>
#endif
#ifdef BENCH_HAVE_CK
#  include <ck_spinlock.h>
#endif

#define PEER              cthreads
#define PEER_NAME         "cthreads cth_mutex"
#define PEER_KIND         BENCH_KIT
#define PEER_T            cth_mutex
#define PEER_INIT(l)      (*(l) = (cth_mutex)CTH_MUTEX_INIT)
#define PEER_LOCK(l, n)   (void)cth_mutex_lock(l)
#define PEER_UNLOCK(l, n) (void)cth_mutex_unlock(l)
#include "mutex_loops.h"

#define PEER              textbook
#define PEER_NAME         "textbook futex"
#define PEER_KIND         BENCH_PEER
#define PEER_T            textbook_mutex
#define PEER_INIT(l)      ((l)->word = 0)
#define PEER_LOCK(l, n)   textbook_lock((l), 0)
#define PEER_UNLOCK(l, n) textbook_unlock(l)
#include "mutex_loops.h"

#define PEER              textbook_spin
#define PEER_NAME         "textbook futex, 100 spins"
#define PEER_KIND         BENCH_PEER
#define PEER_T            textbook_mutex
#define PEER_INIT(l)      ((l)->word = 0)
#define PEER_LOCK(l, n)   textbook_lock((l), 100)
#define PEER_UNLOCK(l, n) textbook_unlock(l)
#include "mutex_loops.h"

#define PEER              pthread
#define PEER_NAME         "pthread_mutex"
#define PEER_KIND         BENCH_PEER
#define PEER_T            pthread_mutex_t
#define PEER_INIT(l)      pthread_mutex_init((l), NULL)
#define PEER_LOCK(l, n)   pthread_mutex_lock(l)
#define PEER_UNLOCK(l, n) pthread_mutex_unlock(l)
#include "mutex_loops.h"

#ifdef __GLIBC__
static void init_adaptive(pthread_mutex_t *mutex) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}
#  define PEER              pthread_adaptive
#  define PEER_NAME         "pthread_mutex, adaptive"
#  define PEER_KIND         BENCH_PEER
#  define PEER_T            pthread_mutex_t
#  define PEER_INIT(l)      init_adaptive(l)
#  define PEER_LOCK(l, n)   pthread_mutex_lock(l)
#  define PEER_UNLOCK(l, n) pthread_mutex_unlock(l)
#  include "mutex_loops.h"
#endif

#define PEER              pthread_spin
#define PEER_NAME         "pthread_spin"
#define PEER_KIND         BENCH_SPIN
#define PEER_T            pthread_spinlock_t
#define PEER_INIT(l)      pthread_spin_init((l), PTHREAD_PROCESS_PRIVATE)
#define PEER_LOCK(l, n)   pthread_spin_lock(l)
#define PEER_UNLOCK(l, n) pthread_spin_unlock(l)
#include "mutex_loops.h"

#define PEER              c11
#define PEER_NAME         "C11 mtx"
#define PEER_KIND         BENCH_PEER
#define PEER_T            mtx_t
#define PEER_INIT(l)      mtx_init((l), mtx_plain)
#define PEER_LOCK(l, n)   mtx_lock(l)
#define PEER_UNLOCK(l, n) mtx_unlock(l)
#include "mutex_loops.h"

#ifdef BENCH_HAVE_NSYNC
#  define PEER              nsync
#  define PEER_NAME         "nsync_mu"
#  define PEER_KIND         BENCH_PEER
#  define PEER_T            nsync_mu
#  define PEER_INIT(l)      nsync_mu_init(l)
#  define PEER_LOCK(l, n)   nsync_mu_lock(l)
#  define PEER_UNLOCK(l, n) nsync_mu_unlock(l)
#  include "mutex_loops.h"
#endif

#ifdef BENCH_HAVE_CK
#  define PEER              ck_fas
#  define PEER_NAME         "CK fas"
#  define PEER_KIND         BENCH_SPIN
#  define PEER_T            ck_spinlock_fas_t
#  define PEER_INIT(l)      ck_spinlock_fas_init(l)
#  define PEER_LOCK(l, n)   ck_spinlock_fas_lock(l)
#  define PEER_UNLOCK(l, n) ck_spinlock_fas_unlock(l)
#  include "mutex_loops.h"

#  define PEER              ck_ticket
#  define PEER_NAME         "CK ticket"
#  define PEER_KIND         BENCH_SPIN
#  define PEER_T            ck_spinlock_ticket_t
#  define PEER_INIT(l)      ck_spinlock_ticket_init(l)
#  define PEER_LOCK(l, n)   ck_spinlock_ticket_lock(l)
#  define PEER_UNLOCK(l, n) ck_spinlock_ticket_unlock(l)
#  include "mutex_loops.h"

#  define PEER              ck_mcs
#  define PEER_NAME         "CK mcs"
#  define PEER_KIND         BENCH_SPIN
#  define PEER_T            ck_spinlock_mcs_t
#  define PEER_NODE_T       ck_spinlock_mcs_context_t
#  define PEER_INIT(l)      ck_spinlock_mcs_init(l)
#  define PEER_LOCK(l, n)   ck_spinlock_mcs_lock((l), (n))
#  define PEER_UNLOCK(l, n) ck_spinlock_mcs_unlock((l), (n))
#  include "mutex_loops.h"
#endif

// The bare instructions of a lock and an unlock, with nothing around them.
static inline bool bare_cas(uint32_t *word, uint32_t from, uint32_t to, bool acquire) {
    return acquire ? __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQUIRE,
                                                 __ATOMIC_RELAXED)
                   : __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_RELEASE,
                                                 __ATOMIC_RELAXED);
}

static bench_sample two_cas(const bench_row *row) {
    static alignas(BENCH_LINE) uint32_t word;
    bench_sample sample = {0, 0};
    BENCH_LOOP(sample.value, row, 8192, {
        if (!bare_cas(&word, 0, 1, true) || !bare_cas(&word, 1, 0, false)) {
            bench_fail("a word changed by itself");
        }
    });
    return sample;
}

static bench_sample cas_swap(const bench_row *row) {
    static alignas(BENCH_LINE) uint32_t word;
    bench_sample sample = {0, 0};
    BENCH_LOOP(sample.value, row, 8192, {
        if (!bare_cas(&word, 0, 1, true) || __atomic_exchange_n(&word, 0, __ATOMIC_RELEASE) != 1) {
            bench_fail("a word changed by itself");
        }
    });
    return sample;
}

#ifdef BENCH_HAVE_CXX
void add_cxx_mutexes(void);
#endif

int main(int argc, char **argv) {
    static const char fairness[] = "least / most served thread";
    static const bench_row rows[ROW_COUNT] = {
        [ROW_UNCONTENDED] = {.name = "lock + unlock, uncontended", .unit = "ns", .seconds = 0.1},
        [ROW_WORK_2] = {.name = "2 threads, 50 ns of work between",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 2,
                        .place = BENCH_SPREAD,
                        .work_ns = 50,
                        .second = fairness},
        [ROW_WORK_4] = {.name = "4 threads, 50 ns of work between",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 4,
                        .place = BENCH_SPREAD,
                        .work_ns = 50,
                        .second = fairness},
        [ROW_BARE_2] = {.name = "2 threads, nothing else",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 2,
                        .place = BENCH_SPREAD,
                        .second = fairness},
        [ROW_BARE_4] = {.name = "4 threads, nothing else",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 4,
                        .place = BENCH_SPREAD,
                        .second = fairness},
        [ROW_IDLE] = {.name = "CPU time of a blocked thread, per second",
                      .unit = "us",
                      .seconds = 1,
                      .once = true},
        [ROW_SIZE] = {.name = "size", .unit = "bytes", .once = true},
    };
    bench_start(argc, argv, "mutex", rows, ROW_COUNT);
    add_cthreads();
    bench_add(ROW_UNCONTENDED, "two compare-and-swaps", BENCH_FLOOR, two_cas);
    bench_add(ROW_UNCONTENDED, "compare-and-swap, exchange", BENCH_FLOOR, cas_swap);
    add_textbook();
    add_textbook_spin();
    add_pthread();
#ifdef __GLIBC__
    add_pthread_adaptive();
#endif
    add_pthread_spin();
    add_c11();
#ifdef BENCH_HAVE_NSYNC
    add_nsync();
#else
    bench_skip("nsync", "not found (Debian: libnsync-dev)");
#endif
#ifdef BENCH_HAVE_CK
    add_ck_fas();
    add_ck_ticket();
    add_ck_mcs();
#else
    bench_skip("Concurrency Kit", "not found (Debian: libck-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_mutexes();
#else
    bench_skip("C++ and oneTBB", "no C++20 compiler found (Debian: g++ libtbb-dev)");
#endif
    return bench_finish();
}
