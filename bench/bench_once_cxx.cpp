/* bench_once_cxx.cpp - the C++ peers of bench_once. */
#include "once_loops.h"

#include <mutex>
#include <new>

#define PEER         std_once
#define PEER_NAME    "std::call_once"
#define PEER_KIND    BENCH_PEER
#define PEER_T       std::once_flag
#define PEER_INIT(o) new (o) std::once_flag
#define PEER_CALL(o) std::call_once(*(o), once_work)
#include "once_loops.h"

namespace {
struct thing {
    int value;

    thing() : value(1) {
        once_work();
    }
};

inline thing &function_static() {
    static thing object;
    return object;
}
} // namespace
#define PEER         std_static
#define PEER_NAME    "C++ function static"
#define PEER_KIND    BENCH_PEER
#define PEER_CALL(o) (void)function_static()
#include "once_loops.h"

extern "C" void add_cxx_onces(void);
extern "C" void add_cxx_onces(void) {
    add_std_once();
    add_std_static();
}
