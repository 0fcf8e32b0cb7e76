/* bench_rmutex_cxx.cpp - the C++ peer of bench_rmutex. */
#include "rmutex_loops.h"

#include <mutex>

#define PEER           std_recursive
#define PEER_NAME      "std::recursive_mutex"
#define PEER_KIND      BENCH_PEER
#define PEER_T         std::recursive_mutex
#define PEER_INIT(l)   (void)(l)
#define PEER_LOCK(l)   (l)->lock()
#define PEER_UNLOCK(l) (l)->unlock()
#include "rmutex_loops.h"

extern "C" void add_cxx_rmutexes(void);
extern "C" void add_cxx_rmutexes(void) {
    add_std_recursive();
}
