/* bench_cond.c - what a condition variable costs without a waiter, as a ping-pong between threads,
   and while it waits. */
#include "cthreads.h"
#include "cond_loops.h"

#include <pthread.h>
#include <threads.h>
#ifdef BENCH_HAVE_NSYNC
#  include <nsync.h>
#endif

static void kit_init(cth_mutex *mutex, cth_cond *cond) {
    *mutex = (cth_mutex)CTH_MUTEX_INIT;
    *cond = (cth_cond)CTH_COND_INIT;
}
#define PEER            cthreads
#define PEER_NAME       "cthreads cth_cond"
#define PEER_KIND       BENCH_KIT
#define PEER_MUTEX      cth_mutex
#define PEER_COND       cth_cond
#define PEER_INIT(m, c) kit_init((m), (c))
#define PEER_LOCK(m)    (void)cth_mutex_lock(m)
#define PEER_UNLOCK(m)  (void)cth_mutex_unlock(m)
#define PEER_WAIT(c, m) (void)cth_cond_wait((c), (m))
#define PEER_SIGNAL(c)  (void)cth_cond_notify((c), 1)
#include "cond_loops.h"

#define PEER            posix
#define PEER_NAME       "pthread_cond"
#define PEER_KIND       BENCH_PEER
#define PEER_MUTEX      pthread_mutex_t
#define PEER_COND       pthread_cond_t
#define PEER_INIT(m, c) (pthread_mutex_init((m), NULL), pthread_cond_init((c), NULL))
#define PEER_LOCK(m)    pthread_mutex_lock(m)
#define PEER_UNLOCK(m)  pthread_mutex_unlock(m)
#define PEER_WAIT(c, m) pthread_cond_wait((c), (m))
#define PEER_SIGNAL(c)  pthread_cond_signal(c)
#include "cond_loops.h"

#define PEER            c11
#define PEER_NAME       "C11 cnd"
#define PEER_KIND       BENCH_PEER
#define PEER_MUTEX      mtx_t
#define PEER_COND       cnd_t
#define PEER_INIT(m, c) (mtx_init((m), mtx_plain), cnd_init(c))
#define PEER_LOCK(m)    mtx_lock(m)
#define PEER_UNLOCK(m)  mtx_unlock(m)
#define PEER_WAIT(c, m) cnd_wait((c), (m))
#define PEER_SIGNAL(c)  cnd_signal(c)
#include "cond_loops.h"

#ifdef BENCH_HAVE_NSYNC
#  define PEER            nsync
#  define PEER_NAME       "nsync_cv"
#  define PEER_KIND       BENCH_PEER
#  define PEER_MUTEX      nsync_mu
#  define PEER_COND       nsync_cv
#  define PEER_INIT(m, c) (nsync_mu_init(m), nsync_cv_init(c))
#  define PEER_LOCK(m)    nsync_mu_lock(m)
#  define PEER_UNLOCK(m)  nsync_mu_unlock(m)
#  define PEER_WAIT(c, m) nsync_cv_wait((c), (m))
#  define PEER_SIGNAL(c)  nsync_cv_signal(c)
#  include "cond_loops.h"
#endif

#ifdef BENCH_HAVE_CXX
void add_cxx_conds(void);
#endif

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_SIGNAL_NOBODY] = {.name = "signal, nobody waits", .unit = "ns", .seconds = 0.1},
        [ROW_PING_PONG] = {.name = "ping-pong, two CPUs, there and back",
                           .unit = "ns",
                           .seconds = 0.2,
                           .threads = 2,
                           .place = BENCH_SPREAD},
        [ROW_PING_PONG_ONE_CPU] = {.name = "ping-pong, one CPU, there and back",
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
    bench_start(argc, argv, "cond", rows, ROW_COUNT);
    add_cthreads();
    add_posix();
    add_c11();
#ifdef BENCH_HAVE_NSYNC
    add_nsync();
#else
    bench_skip("nsync", "not found (Debian: libnsync-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_conds();
#else
    bench_skip("C++ and oneTBB", "no C++20 compiler found (Debian: g++ libtbb-dev)");
#endif
    return bench_finish();
}
