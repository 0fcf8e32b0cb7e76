/* bench_cond_cxx.cpp - the C++ peers of bench_cond. */
#include "cond_loops.h"

#include <condition_variable>
#include <mutex>
#ifdef BENCH_HAVE_TBB
#  include <oneapi/tbb/mutex.h>
#endif

namespace {
// The wait takes over a lock that is held, and leaves it held.
void wait_adopted(std::condition_variable *cond, std::mutex *mutex) {
    std::unique_lock<std::mutex> lock(*mutex, std::adopt_lock);
    cond->wait(lock);
    lock.release();
}
} // namespace

#define PEER            std_cond
#define PEER_NAME       "std::condition_variable"
#define PEER_KIND       BENCH_PEER
#define PEER_MUTEX      std::mutex
#define PEER_COND       std::condition_variable
#define PEER_INIT(m, c) ((void)(m), (void)(c))
#define PEER_LOCK(m)    (m)->lock()
#define PEER_UNLOCK(m)  (m)->unlock()
#define PEER_WAIT(c, m) wait_adopted((c), (m))
#define PEER_SIGNAL(c)  (c)->notify_one()
#include "cond_loops.h"

#ifdef BENCH_HAVE_TBB
#  define PEER            tbb_cond
#  define PEER_NAME       "TBB mutex + condition_variable_any"
#  define PEER_KIND       BENCH_PEER
#  define PEER_MUTEX      tbb::mutex
#  define PEER_COND       std::condition_variable_any
#  define PEER_INIT(m, c) ((void)(m), (void)(c))
#  define PEER_LOCK(m)    (m)->lock()
#  define PEER_UNLOCK(m)  (m)->unlock()
#  define PEER_WAIT(c, m) (c)->wait(*(m))
#  define PEER_SIGNAL(c)  (c)->notify_one()
#  include "cond_loops.h"
#endif

extern "C" void add_cxx_conds(void);
extern "C" void add_cxx_conds(void) {
    add_std_cond();
#ifdef BENCH_HAVE_TBB
    add_tbb_cond();
#else
    bench_skip("oneTBB", "not found (Debian: libtbb-dev)");
#endif
}
