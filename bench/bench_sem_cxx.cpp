/* bench_sem_cxx.cpp - the C++ peers of bench_sem. */
#include "sem_loops.h"

#if __has_include(<semaphore>)
#  include <semaphore>
#endif

#ifdef __cpp_lib_semaphore
namespace {
template <class S> struct zeroed { S sem{0}; };
} // namespace

#  define PEER         std_counting
#  define PEER_NAME    "std::counting_semaphore"
#  define PEER_KIND    BENCH_PEER
#  define PEER_T       zeroed<std::counting_semaphore<>>
#  define PEER_INIT(s) (void)(s)
#  define PEER_POST(s) (s)->sem.release()
#  define PEER_WAIT(s) (s)->sem.acquire()
#  include "sem_loops.h"

#  define PEER         std_binary
#  define PEER_NAME    "std::binary_semaphore"
#  define PEER_KIND    BENCH_PEER
#  define PEER_T       zeroed<std::binary_semaphore>
#  define PEER_INIT(s) (void)(s)
#  define PEER_POST(s) (s)->sem.release()
#  define PEER_WAIT(s) (s)->sem.acquire()
#  include "sem_loops.h"
#endif

extern "C" void add_cxx_sems(void);
extern "C" void add_cxx_sems(void) {
#ifdef __cpp_lib_semaphore
    add_std_counting();
    add_std_binary();
#else
    bench_skip("std::counting_semaphore", "not in this C++ library");
#endif
}
