/* bench_once.c - what it costs to run a function once: the many calls after the first, and the
   first. */
#define _GNU_SOURCE // pthread_once
#include "cthreads.h"
#include "once_loops.h"

#include <pthread.h>
#include <threads.h>
#ifdef BENCH_HAVE_NSYNC
#  include <nsync.h>
#endif

static cth_status kit_work(void *arg) {
    (void)arg;
    once_work();
    return CTH_OK;
}
#define PEER         cthreads
#define PEER_NAME    "cthreads cth_once"
#define PEER_KIND    BENCH_KIT
#define PEER_T       cth_once
#define PEER_INIT(o) (*(o) = (cth_once)CTH_ONCE_INIT)
#define PEER_CALL(o) (void)cth_once_call((o), kit_work, NULL)
#include "once_loops.h"

CTH_LAZY(int, lazy_int, kit_work);
#define PEER         lazy
#define PEER_NAME    "cthreads CTH_LAZY"
#define PEER_KIND    BENCH_KIT
#define PEER_CALL(o) (void)lazy_int()
#include "once_loops.h"

#define PEER         pthread
#define PEER_NAME    "pthread_once"
#define PEER_KIND    BENCH_PEER
#define PEER_T       pthread_once_t
#define PEER_INIT(o) (*(o) = PTHREAD_ONCE_INIT)
#define PEER_CALL(o) pthread_once((o), once_work)
#include "once_loops.h"

#define PEER         c11
#define PEER_NAME    "C11 call_once"
#define PEER_KIND    BENCH_PEER
#define PEER_T       once_flag
#define PEER_INIT(o) (*(o) = (once_flag)ONCE_FLAG_INIT)
#define PEER_CALL(o) call_once((o), once_work)
#include "once_loops.h"

#ifdef BENCH_HAVE_NSYNC
#  define PEER         nsync
#  define PEER_NAME    "nsync_once"
#  define PEER_KIND    BENCH_PEER
#  define PEER_T       nsync_once
#  define PEER_INIT(o) (*(o) = (nsync_once)NSYNC_ONCE_INIT)
#  define PEER_CALL(o) nsync_run_once((o), once_work)
#  include "once_loops.h"
#endif

// The one instruction that every call needs, and the branch on it.
static bench_sample one_load(const bench_row *row) {
    static alignas(BENCH_LINE) uint32_t word = 2;
    bench_sample sample = {0, 0};
    BENCH_LOOP(sample.value, row, 8192, {
        BENCH_X8(if (__atomic_load_n(&word, __ATOMIC_ACQUIRE) != 2) {
            bench_fail("a word changed by itself");
        });
    });
    sample.value /= 8;
    return sample;
}

#ifdef BENCH_HAVE_CXX
void add_cxx_onces(void);
#endif

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_DONE] = {.name = "call, already done", .unit = "ns", .seconds = 0.1},
        [ROW_FIRST] = {.name = "make one, first call", .unit = "ns", .seconds = 0.1},
        [ROW_SIZE] = {.name = "size", .unit = "bytes", .once = true},
    };
    bench_start(argc, argv, "once", rows, ROW_COUNT);
    add_cthreads();
    add_lazy();
    bench_add(ROW_DONE, "one load", BENCH_FLOOR, one_load);
    add_pthread();
    add_c11();
#ifdef BENCH_HAVE_NSYNC
    add_nsync();
#else
    bench_skip("nsync", "not found (Debian: libnsync-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_onces();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
