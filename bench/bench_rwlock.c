/* bench_rwlock.c - what a lock for many readers or one writer costs: alone, shared by readers, and
   in mixes of reading and writing. */
#define _GNU_SOURCE // PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP
#include "cthreads.h"
#include "rwlock_loops.h"

#include <pthread.h>
#ifdef BENCH_HAVE_NSYNC
#  include <nsync.h>
#endif
#ifdef BENCH_HAVE_CK
#  include <ck_pflock.h>
#  include <ck_rwlock.h>
#endif

#define PEER                 cthreads
#define PEER_NAME            "cthreads cth_rwlock"
#define PEER_KIND            BENCH_KIT
#define PEER_T               cth_rwlock
#define PEER_INIT(l)         (*(l) = (cth_rwlock)CTH_RWLOCK_INIT)
#define PEER_READ_LOCK(l)    (void)cth_rwlock_read_lock(l)
#define PEER_READ_UNLOCK(l)  (void)cth_rwlock_read_unlock(l)
#define PEER_WRITE_LOCK(l)   (void)cth_rwlock_write_lock(l)
#define PEER_WRITE_UNLOCK(l) (void)cth_rwlock_write_unlock(l)
#include "rwlock_loops.h"

#define PEER                 pthread
#define PEER_NAME            "pthread_rwlock"
#define PEER_KIND            BENCH_PEER
#define PEER_T               pthread_rwlock_t
#define PEER_INIT(l)         pthread_rwlock_init((l), NULL)
#define PEER_READ_LOCK(l)    pthread_rwlock_rdlock(l)
#define PEER_READ_UNLOCK(l)  pthread_rwlock_unlock(l)
#define PEER_WRITE_LOCK(l)   pthread_rwlock_wrlock(l)
#define PEER_WRITE_UNLOCK(l) pthread_rwlock_unlock(l)
#include "rwlock_loops.h"

#ifdef __GLIBC__
static void init_prefer_writers(pthread_rwlock_t *rwlock) {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(rwlock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}
#  define PEER                 pthread_writers
#  define PEER_NAME            "pthread_rwlock, prefers writers"
#  define PEER_KIND            BENCH_PEER
#  define PEER_T               pthread_rwlock_t
#  define PEER_INIT(l)         init_prefer_writers(l)
#  define PEER_READ_LOCK(l)    pthread_rwlock_rdlock(l)
#  define PEER_READ_UNLOCK(l)  pthread_rwlock_unlock(l)
#  define PEER_WRITE_LOCK(l)   pthread_rwlock_wrlock(l)
#  define PEER_WRITE_UNLOCK(l) pthread_rwlock_unlock(l)
#  include "rwlock_loops.h"
#endif

#ifdef BENCH_HAVE_NSYNC
#  define PEER                 nsync
#  define PEER_NAME            "nsync_mu, reader locks"
#  define PEER_KIND            BENCH_PEER
#  define PEER_T               nsync_mu
#  define PEER_INIT(l)         nsync_mu_init(l)
#  define PEER_READ_LOCK(l)    nsync_mu_rlock(l)
#  define PEER_READ_UNLOCK(l)  nsync_mu_runlock(l)
#  define PEER_WRITE_LOCK(l)   nsync_mu_lock(l)
#  define PEER_WRITE_UNLOCK(l) nsync_mu_unlock(l)
#  include "rwlock_loops.h"
#endif

#ifdef BENCH_HAVE_CK
#  define PEER                 ck_rwlock
#  define PEER_NAME            "CK rwlock"
#  define PEER_KIND            BENCH_SPIN
#  define PEER_T               ck_rwlock_t
#  define PEER_INIT(l)         ck_rwlock_init(l)
#  define PEER_READ_LOCK(l)    ck_rwlock_read_lock(l)
#  define PEER_READ_UNLOCK(l)  ck_rwlock_read_unlock(l)
#  define PEER_WRITE_LOCK(l)   ck_rwlock_write_lock(l)
#  define PEER_WRITE_UNLOCK(l) ck_rwlock_write_unlock(l)
#  include "rwlock_loops.h"

#  define PEER                 ck_pflock
#  define PEER_NAME            "CK pflock"
#  define PEER_KIND            BENCH_SPIN
#  define PEER_T               ck_pflock_t
#  define PEER_INIT(l)         ck_pflock_init(l)
#  define PEER_READ_LOCK(l)    ck_pflock_read_lock(l)
#  define PEER_READ_UNLOCK(l)  ck_pflock_read_unlock(l)
#  define PEER_WRITE_LOCK(l)   ck_pflock_write_lock(l)
#  define PEER_WRITE_UNLOCK(l) ck_pflock_write_unlock(l)
#  include "rwlock_loops.h"
#endif

// The bare instructions of a reader that comes and goes, with nothing around them.
static bench_sample two_adds(const bench_row *row) {
    static alignas(BENCH_LINE) uint32_t word;
    bench_sample sample = {0, 0};
    BENCH_LOOP(sample.value, row, 8192, {
        __atomic_fetch_add(&word, 1, __ATOMIC_ACQUIRE);
        __atomic_fetch_sub(&word, 1, __ATOMIC_RELEASE);
    });
    return sample;
}

#ifdef BENCH_HAVE_CXX
void add_cxx_rwlocks(void);
#endif

int main(int argc, char **argv) {
    static const char fairness[] = "least / most served thread";
    static const bench_row rows[ROW_COUNT] = {
        [ROW_READ] = {.name = "read lock + unlock, uncontended", .unit = "ns", .seconds = 0.1},
        [ROW_WRITE] = {.name = "write lock + unlock, uncontended", .unit = "ns", .seconds = 0.1},
        [ROW_READ_2] = {.name = "2 threads read, nothing else",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 2,
                        .place = BENCH_SPREAD,
                        .second = fairness},
        [ROW_90_2] = {.name = "2 threads, 10% writes, 50 ns between",
                      .unit = "ns",
                      .seconds = 0.2,
                      .threads = 2,
                      .place = BENCH_SPREAD,
                      .work_ns = 50,
                      .second = fairness},
        [ROW_90_4] = {.name = "4 threads, 10% writes, 50 ns between",
                      .unit = "ns",
                      .seconds = 0.2,
                      .threads = 4,
                      .place = BENCH_SPREAD,
                      .work_ns = 50,
                      .second = fairness},
        [ROW_50_2] = {.name = "2 threads, 50% writes, 50 ns between",
                      .unit = "ns",
                      .seconds = 0.2,
                      .threads = 2,
                      .place = BENCH_SPREAD,
                      .work_ns = 50,
                      .second = fairness},
        [ROW_50_4] = {.name = "4 threads, 50% writes, 50 ns between",
                      .unit = "ns",
                      .seconds = 0.2,
                      .threads = 4,
                      .place = BENCH_SPREAD,
                      .work_ns = 50,
                      .second = fairness},
        [ROW_IDLE] = {.name = "CPU time of a blocked reader, per second",
                      .unit = "us",
                      .seconds = 1,
                      .once = true},
        [ROW_SIZE] = {.name = "size", .unit = "bytes", .once = true},
    };
    bench_start(argc, argv, "rwlock", rows, ROW_COUNT);
    add_cthreads();
    bench_add(ROW_READ, "add, subtract", BENCH_FLOOR, two_adds);
    add_pthread();
#ifdef __GLIBC__
    add_pthread_writers();
#endif
#ifdef BENCH_HAVE_NSYNC
    add_nsync();
#else
    bench_skip("nsync", "not found (Debian: libnsync-dev)");
#endif
#ifdef BENCH_HAVE_CK
    add_ck_rwlock();
    add_ck_pflock();
#else
    bench_skip("Concurrency Kit", "not found (Debian: libck-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_rwlocks();
#else
    bench_skip("C++ and oneTBB", "no C++20 compiler found (Debian: g++ libtbb-dev)");
#endif
    return bench_finish();
}
