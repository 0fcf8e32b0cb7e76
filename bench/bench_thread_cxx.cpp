/* bench_thread_cxx.cpp - the C++ peer of bench_thread. */
#include "thread_loops.h"

#include <thread>

#define PEER                  std_thread
#define PEER_NAME             "std::thread"
#define PEER_KIND             BENCH_PEER
#define PEER_T                std::thread
#define PEER_START(t)         *(t) = std::thread([] {})
#define PEER_START_WAITING(t) *(t) = std::thread(bench_gate_wait)
#define PEER_JOIN(t)          (t)->join()
#include "thread_loops.h"

extern "C" void add_cxx_threads(void);
extern "C" void add_cxx_threads(void) {
    add_std_thread();
}
