/* bench_latch.c - what it costs to count down and to wait for zero: alone, as a ping-pong between
   threads, and while it waits. */
#define _GNU_SOURCE // syscall, for textbook.h
#include "cthreads.h"
#include "latch_loops.h"
#include "locked_peers.h"
#include "textbook.h"

#define PEER         cthreads
#define PEER_NAME    "cthreads cth_latch"
#define PEER_KIND    BENCH_KIT
#define PEER_T       cth_latch
#define PEER_INIT(l) (*(l) = (cth_latch)CTH_LATCH_INIT(1))
#define PEER_DONE(l) (void)cth_latch_done(l)
#define PEER_WAIT(l) (void)cth_latch_wait(l)
#include "latch_loops.h"

// The count, and beside it how many sleep.
typedef struct textbook_latch {
    uint32_t count, sleepers;
} textbook_latch;

static inline void textbook_done(textbook_latch *l) {
    // seq_cst: lowered before the sleepers are looked at, as a waiter does it the other way round.
    if (__atomic_sub_fetch(&l->count, 1, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&l->sleepers, __ATOMIC_SEQ_CST) != 0) {
        textbook_wake(&l->count, INT_MAX);
    }
}

static inline void textbook_await(textbook_latch *l, int spins) {
    for (int i = 0; __atomic_load_n(&l->count, __ATOMIC_ACQUIRE) != 0; i++) {
        if (i < spins) {
            bench_pause();
            continue;
        }
        __atomic_fetch_add(&l->sleepers, 1, __ATOMIC_SEQ_CST);
        const uint32_t count = __atomic_load_n(&l->count, __ATOMIC_SEQ_CST);
        if (count != 0) {
            textbook_sleep(&l->count, count);
        }
        __atomic_fetch_sub(&l->sleepers, 1, __ATOMIC_RELAXED);
    }
}

#define PEER         textbook
#define PEER_NAME    "textbook futex"
#define PEER_KIND    BENCH_PEER
#define PEER_T       textbook_latch
#define PEER_INIT(l) (*(l) = (textbook_latch){1, 0})
#define PEER_DONE(l) textbook_done(l)
#define PEER_WAIT(l) textbook_await((l), 0)
#include "latch_loops.h"

#define PEER         textbook_spin
#define PEER_NAME    "textbook futex, 200 spins"
#define PEER_KIND    BENCH_PEER
#define PEER_T       textbook_latch
#define PEER_INIT(l) (*(l) = (textbook_latch){1, 0})
#define PEER_DONE(l) textbook_done(l)
#define PEER_WAIT(l) textbook_await((l), 200)
#include "latch_loops.h"

// With a count of 1, to count down is to set.
#define PEER         posix
#define PEER_NAME    "pthread mutex + cond"
#define PEER_KIND    BENCH_PEER
#define PEER_T       posix_locked
#define PEER_INIT(l) posix_init(l)
#define PEER_DONE(l) posix_set(l)
#define PEER_WAIT(l) posix_await(l)
#include "latch_loops.h"

#define PEER         c11
#define PEER_NAME    "C11 mtx + cnd"
#define PEER_KIND    BENCH_PEER
#define PEER_T       c11_locked
#define PEER_INIT(l) c11_init(l)
#define PEER_DONE(l) c11_set(l)
#define PEER_WAIT(l) c11_await(l)
#include "latch_loops.h"

#ifdef BENCH_HAVE_NSYNC
// A counter must not rise again after a wait; it is allocated anew for its next life.
typedef struct counter_box {
    nsync_counter counter;
} counter_box;
static void counter_init(counter_box *box) {
    if (box->counter != NULL) {
        nsync_counter_free(box->counter);
    }
    box->counter = nsync_counter_new(1);
}
#  define PEER         nsync
#  define PEER_NAME    "nsync_counter"
#  define PEER_KIND    BENCH_PEER
#  define PEER_T       counter_box
#  define PEER_INIT(l) counter_init(l)
#  define PEER_DONE(l) nsync_counter_add((l)->counter, -1)
#  define PEER_WAIT(l) nsync_counter_wait((l)->counter, nsync_time_no_deadline)
#  include "latch_loops.h"
#endif

#ifdef BENCH_HAVE_CXX
void add_cxx_latches(void);
#endif

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_ALONE] = {.name = "make one, done + wait", .unit = "ns", .seconds = 0.1},
        [ROW_WAIT_OPEN] = {.name = "wait, already at zero", .unit = "ns", .seconds = 0.1},
        [ROW_PING_PONG] = {.name = "ping-pong, two CPUs, there and back",
                           .unit = "ns",
                           .seconds = 0.2,
                           .threads = 2,
                           .place = BENCH_SPREAD},
        [ROW_PING_PONG_ONE_CPU] = {.name = "ping-pong, one CPU, there and back",
                                   .unit = "ns",
                                   .seconds = 0.2,
                                   .threads = 2,
                                   .place = BENCH_ONE_CPU},
        [ROW_IDLE] = {.name = "CPU time of a blocked thread, per second",
                      .unit = "us",
                      .seconds = 1,
                      .once = true},
        [ROW_SIZE] = {.name = "size", .unit = "bytes", .once = true},
    };
    bench_start(argc, argv, "latch", rows, ROW_COUNT);
    add_cthreads();
    add_textbook();
    add_textbook_spin();
    add_posix();
    add_c11();
#ifdef BENCH_HAVE_NSYNC
    add_nsync();
#else
    bench_skip("nsync", "not found (Debian: libnsync-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_latches();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
