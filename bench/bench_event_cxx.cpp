/* bench_event_cxx.cpp - the C++ peers of bench_event. */
#include "event_loops.h"

#include <atomic>

#ifdef __cpp_lib_atomic_wait
#  define PEER         std_wait
#  define PEER_NAME    "std::atomic<int>::wait"
#  define PEER_KIND    BENCH_PEER
#  define PEER_T       std::atomic<int>
#  define PEER_INIT(e) (e)->store(0)
#  define PEER_SET(e)                           \
    do {                                        \
      (e)->store(1, std::memory_order_release); \
      (e)->notify_all();                        \
    } while (false)
#  define PEER_CLEAR(e)  (e)->store(0, std::memory_order_release)
#  define PEER_IS_SET(e) ((e)->load(std::memory_order_acquire) != 0)
#  define PEER_WAIT(e)   (e)->wait(0, std::memory_order_acquire)
#  include "event_loops.h"
#endif

extern "C" void add_cxx_events(void);
extern "C" void add_cxx_events(void) {
#ifdef __cpp_lib_atomic_wait
    add_std_wait();
#else
    bench_skip("std::atomic::wait", "not in this C++ library");
#endif
}
