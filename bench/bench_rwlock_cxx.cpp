/* bench_rwlock_cxx.cpp - the C++ peers of bench_rwlock. */
#include "rwlock_loops.h"

#include <shared_mutex>
#ifdef BENCH_HAVE_TBB
#  include <oneapi/tbb/rw_mutex.h>
#  include <oneapi/tbb/spin_rw_mutex.h>
#endif

#define PEER                 std_shared
#define PEER_NAME            "std::shared_mutex"
#define PEER_KIND            BENCH_PEER
#define PEER_T               std::shared_mutex
#define PEER_INIT(l)         (void)(l)
#define PEER_READ_LOCK(l)    (l)->lock_shared()
#define PEER_READ_UNLOCK(l)  (l)->unlock_shared()
#define PEER_WRITE_LOCK(l)   (l)->lock()
#define PEER_WRITE_UNLOCK(l) (l)->unlock()
#include "rwlock_loops.h"

#ifdef BENCH_HAVE_TBB
#  define PEER                 tbb_rw
#  define PEER_NAME            "TBB rw_mutex"
#  define PEER_KIND            BENCH_PEER
#  define PEER_T               tbb::rw_mutex
#  define PEER_INIT(l)         (void)(l)
#  define PEER_READ_LOCK(l)    (l)->lock_shared()
#  define PEER_READ_UNLOCK(l)  (l)->unlock_shared()
#  define PEER_WRITE_LOCK(l)   (l)->lock()
#  define PEER_WRITE_UNLOCK(l) (l)->unlock()
#  include "rwlock_loops.h"

#  define PEER                 tbb_spin_rw
#  define PEER_NAME            "TBB spin_rw_mutex"
#  define PEER_KIND            BENCH_SPIN
#  define PEER_T               tbb::spin_rw_mutex
#  define PEER_INIT(l)         (void)(l)
#  define PEER_READ_LOCK(l)    (l)->lock_shared()
#  define PEER_READ_UNLOCK(l)  (l)->unlock_shared()
#  define PEER_WRITE_LOCK(l)   (l)->lock()
#  define PEER_WRITE_UNLOCK(l) (l)->unlock()
#  include "rwlock_loops.h"
#endif

extern "C" void add_cxx_rwlocks(void);
extern "C" void add_cxx_rwlocks(void) {
    add_std_shared();
#ifdef BENCH_HAVE_TBB
    add_tbb_rw();
    add_tbb_spin_rw();
#else
    bench_skip("oneTBB", "not found (Debian: libtbb-dev)");
#endif
}
