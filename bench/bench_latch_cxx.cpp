/* bench_latch_cxx.cpp - the C++ peer of bench_latch. */
#include "latch_loops.h"

#include <version>
#ifdef __cpp_lib_latch
#  include <latch>
#  include <new>

namespace {
// A latch has one life; this is the place for the next one. What it is in libstdc++ and libc++
// needs no destructor call.
union latch_place {
    char empty;
    std::latch latch;

    latch_place() : empty(0) {}

    ~latch_place() {}
};
} // namespace
#  define PEER         std_latch
#  define PEER_NAME    "std::latch"
#  define PEER_KIND    BENCH_PEER
#  define PEER_T       latch_place
#  define PEER_INIT(l) new (&(l)->latch) std::latch(1)
#  define PEER_DONE(l) (l)->latch.count_down()
#  define PEER_WAIT(l) (l)->latch.wait()
#  include "latch_loops.h"
#endif

extern "C" void add_cxx_latches(void);
extern "C" void add_cxx_latches(void) {
#ifdef __cpp_lib_latch
    add_std_latch();
#else
    bench_skip("std::latch", "not in this C++ library");
#endif
}
