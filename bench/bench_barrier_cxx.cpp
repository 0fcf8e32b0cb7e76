/* bench_barrier_cxx.cpp - the C++ peer of bench_barrier. */
#include "barrier_loops.h"

#include <version>
#ifdef __cpp_lib_barrier
#  include <barrier>
#  include <cstddef>
#  include <new>

namespace {
// Its number of threads is fixed when it is made, so each measurement makes one in this place.
union barrier_place {
    char empty;
    std::barrier<> barrier;

    barrier_place() : empty(0) {}

    ~barrier_place() {}
};

void remake(barrier_place *place, int parties) {
    static bool made;
    if (made) {
        place->barrier.~barrier();
    }
    new (&place->barrier) std::barrier<>(static_cast<std::ptrdiff_t>(parties));
    made = true;
}
} // namespace
#  define PEER                  std_barrier
#  define PEER_NAME             "std::barrier"
#  define PEER_KIND             BENCH_PEER
#  define PEER_T                barrier_place
#  define PEER_INIT(b, parties) remake((b), (parties))
#  define PEER_WAIT(b, n)       (b)->barrier.arrive_and_wait()
#  include "barrier_loops.h"
#endif

extern "C" void add_cxx_barriers(void);
extern "C" void add_cxx_barriers(void) {
#ifdef __cpp_lib_barrier
    add_std_barrier();
#else
    bench_skip("std::barrier", "not in this C++ library");
#endif
}
