/* bench_rmutex.c - what a mutex costs that its owner may lock again. */
#define _GNU_SOURCE // pthread_mutexattr_settype
#include "cthreads.h"
#include "rmutex_loops.h"

#include <pthread.h>
#include <threads.h>

#define PEER           cthreads
#define PEER_NAME      "cthreads cth_rmutex"
#define PEER_KIND      BENCH_KIT
#define PEER_T         cth_rmutex
#define PEER_INIT(l)   (*(l) = (cth_rmutex)CTH_RMUTEX_INIT)
#define PEER_LOCK(l)   (void)cth_rmutex_lock(l)
#define PEER_UNLOCK(l) (void)cth_rmutex_unlock(l)
#include "rmutex_loops.h"

static void init_recursive(pthread_mutex_t *mutex) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}
#define PEER           pthread
#define PEER_NAME      "pthread_mutex, recursive"
#define PEER_KIND      BENCH_PEER
#define PEER_T         pthread_mutex_t
#define PEER_INIT(l)   init_recursive(l)
#define PEER_LOCK(l)   pthread_mutex_lock(l)
#define PEER_UNLOCK(l) pthread_mutex_unlock(l)
#include "rmutex_loops.h"

#define PEER           c11
#define PEER_NAME      "C11 mtx_recursive"
#define PEER_KIND      BENCH_PEER
#define PEER_T         mtx_t
#define PEER_INIT(l)   mtx_init((l), mtx_plain | mtx_recursive)
#define PEER_LOCK(l)   mtx_lock(l)
#define PEER_UNLOCK(l) mtx_unlock(l)
#include "rmutex_loops.h"

#ifdef BENCH_HAVE_CXX
void add_cxx_rmutexes(void);
#endif

int main(int argc, char **argv) {
    static const char fairness[] = "least / most served thread";
    static const bench_row rows[ROW_COUNT] = {
        [ROW_UNCONTENDED] = {.name = "lock + unlock, uncontended", .unit = "ns", .seconds = 0.1},
        [ROW_NESTED] = {.name = "lock + unlock, already held", .unit = "ns", .seconds = 0.1},
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
        [ROW_SIZE] = {.name = "size", .unit = "bytes", .once = true},
    };
    bench_start(argc, argv, "rmutex", rows, ROW_COUNT);
    add_cthreads();
    add_pthread();
    add_c11();
#ifdef BENCH_HAVE_CXX
    add_cxx_rmutexes();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
