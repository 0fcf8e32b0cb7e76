/* bench_mutex_cxx.cpp - the C++ peers of bench_mutex. */
#include "mutex_loops.h"

#include <atomic>
#include <mutex>
#ifdef BENCH_HAVE_TBB
#  include <oneapi/tbb/mutex.h>
#  include <oneapi/tbb/queuing_mutex.h>
#  include <oneapi/tbb/spin_mutex.h>
#endif

#define PEER              std_mutex
#define PEER_NAME         "std::mutex"
#define PEER_KIND         BENCH_PEER
#define PEER_T            std::mutex
#define PEER_INIT(l)      (void)(l)
#define PEER_LOCK(l, n)   (l)->lock()
#define PEER_UNLOCK(l, n) (l)->unlock()
#include "mutex_loops.h"

#ifdef __cpp_lib_atomic_wait
namespace {
// The lock that std::atomic_flag's documentation suggests.
struct wait_lock {
    std::atomic_flag held;

    void lock() {
        while (held.test_and_set(std::memory_order_acquire)) {
            held.wait(true, std::memory_order_relaxed);
        }
    }

    void unlock() {
        held.clear(std::memory_order_release);
        held.notify_one();
    }
};
} // namespace
#  define PEER              std_wait
#  define PEER_NAME         "std::atomic_flag::wait"
#  define PEER_KIND         BENCH_PEER
#  define PEER_T            wait_lock
#  define PEER_INIT(l)      (void)(l)
#  define PEER_LOCK(l, n)   (l)->lock()
#  define PEER_UNLOCK(l, n) (l)->unlock()
#  include "mutex_loops.h"
#endif

#ifdef BENCH_HAVE_TBB
#  define PEER              tbb_mutex
#  define PEER_NAME         "TBB mutex"
#  define PEER_KIND         BENCH_PEER
#  define PEER_T            tbb::mutex
#  define PEER_INIT(l)      (void)(l)
#  define PEER_LOCK(l, n)   (l)->lock()
#  define PEER_UNLOCK(l, n) (l)->unlock()
#  include "mutex_loops.h"

#  define PEER              tbb_spin
#  define PEER_NAME         "TBB spin_mutex"
#  define PEER_KIND         BENCH_SPIN
#  define PEER_T            tbb::spin_mutex
#  define PEER_INIT(l)      (void)(l)
#  define PEER_LOCK(l, n)   (l)->lock()
#  define PEER_UNLOCK(l, n) (l)->unlock()
#  include "mutex_loops.h"

#  define PEER              tbb_queuing
#  define PEER_NAME         "TBB queuing_mutex"
#  define PEER_KIND         BENCH_SPIN
#  define PEER_T            tbb::queuing_mutex
#  define PEER_NODE_T       tbb::queuing_mutex::scoped_lock
#  define PEER_INIT(l)      (void)(l)
#  define PEER_LOCK(l, n)   (n)->acquire(*(l))
#  define PEER_UNLOCK(l, n) (n)->release()
#  include "mutex_loops.h"
#endif

extern "C" void add_cxx_mutexes(void);
extern "C" void add_cxx_mutexes(void) {
    add_std_mutex();
#ifdef __cpp_lib_atomic_wait
    add_std_wait();
#else
    bench_skip("std::atomic::wait", "not in this C++ library");
#endif
#ifdef BENCH_HAVE_TBB
    add_tbb_mutex();
    add_tbb_spin();
    add_tbb_queuing();
#else
    bench_skip("oneTBB", "not found (Debian: libtbb-dev)");
#endif
}
