/* bench_sem.c - what a semaphore costs alone, as a ping-pong between threads, and while it
   waits. */
#define _GNU_SOURCE // syscall, for textbook.h
#include "cthreads.h"
#include "locked_peers.h"
#include "sem_loops.h"
#include "textbook.h"

#include <errno.h>
#include <semaphore.h>

#define PEER         cthreads
#define PEER_NAME    "cthreads cth_sem"
#define PEER_KIND    BENCH_KIT
#define PEER_T       cth_sem
#define PEER_INIT(s) (*(s) = (cth_sem)CTH_SEM_INIT(0))
#define PEER_POST(s) (void)cth_sem_release(s)
#define PEER_WAIT(s) (void)cth_sem_acquire(s)
#include "sem_loops.h"

#define PEER         textbook
#define PEER_NAME    "textbook futex"
#define PEER_KIND    BENCH_PEER
#define PEER_T       textbook_sem
#define PEER_INIT(s) (*(s) = (textbook_sem){0, 0})
#define PEER_POST(s) textbook_sem_post(s)
#define PEER_WAIT(s) textbook_sem_wait((s), 0)
#include "sem_loops.h"

#define PEER         textbook_spin
#define PEER_NAME    "textbook futex, 200 spins"
#define PEER_KIND    BENCH_PEER
#define PEER_T       textbook_sem
#define PEER_INIT(s) (*(s) = (textbook_sem){0, 0})
#define PEER_POST(s) textbook_sem_post(s)
#define PEER_WAIT(s) textbook_sem_wait((s), 200)
#include "sem_loops.h"

static inline void posix_sem_wait(sem_t *sem) {
    while (sem_wait(sem) != 0 && errno == EINTR) {
    }
}
#define PEER         posix_sem
#define PEER_NAME    "POSIX sem_t"
#define PEER_KIND    BENCH_PEER
#define PEER_T       sem_t
#define PEER_INIT(s) sem_init((s), 0, 0)
#define PEER_POST(s) sem_post(s)
#define PEER_WAIT(s) posix_sem_wait(s)
#include "sem_loops.h"

#define PEER         posix
#define PEER_NAME    "pthread mutex + cond"
#define PEER_KIND    BENCH_PEER
#define PEER_T       posix_locked
#define PEER_INIT(s) posix_init(s)
#define PEER_POST(s) posix_post(s)
#define PEER_WAIT(s) posix_take(s)
#include "sem_loops.h"

#define PEER         c11
#define PEER_NAME    "C11 mtx + cnd"
#define PEER_KIND    BENCH_PEER
#define PEER_T       c11_locked
#define PEER_INIT(s) c11_init(s)
#define PEER_POST(s) c11_post(s)
#define PEER_WAIT(s) c11_take(s)
#include "sem_loops.h"

#ifdef BENCH_HAVE_NSYNC
#  define PEER         nsync
#  define PEER_NAME    "nsync mu + cv"
#  define PEER_KIND    BENCH_PEER
#  define PEER_T       nsync_locked
#  define PEER_INIT(s) nsync_init(s)
#  define PEER_POST(s) nsync_post(s)
#  define PEER_WAIT(s) nsync_take(s)
#  include "sem_loops.h"
#endif

#ifdef BENCH_HAVE_CXX
void add_cxx_sems(void);
#endif

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_UNCONTENDED] = {.name = "post + wait, uncontended", .unit = "ns", .seconds = 0.1},
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
    bench_start(argc, argv, "sem", rows, ROW_COUNT);
    add_cthreads();
    add_textbook();
    add_textbook_spin();
    add_posix_sem();
    add_posix();
    add_c11();
#ifdef BENCH_HAVE_NSYNC
    add_nsync();
#else
    bench_skip("nsync", "not found (Debian: libnsync-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_sems();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
