/* bench_event.c - what an event costs when it is set, as a round trip between threads, and while it
   waits. */
#define _GNU_SOURCE // syscall, for textbook.h
#include "cthreads.h"
#include "event_loops.h"
#include "locked_peers.h"
#include "textbook.h"

#include <sched.h>

#define PEER           cthreads
#define PEER_NAME      "cthreads cth_event"
#define PEER_KIND      BENCH_KIT
#define PEER_T         cth_event
#define PEER_INIT(e)   (*(e) = (cth_event)CTH_EVENT_INIT)
#define PEER_SET(e)    (void)cth_event_set(e)
#define PEER_CLEAR(e)  (void)cth_event_clear(e)
#define PEER_IS_SET(e) cth_event_is_set(e)
#define PEER_WAIT(e)   (void)cth_event_wait(e)
#include "event_loops.h"

#define PEER           textbook
#define PEER_NAME      "textbook futex"
#define PEER_KIND      BENCH_PEER
#define PEER_T         textbook_event
#define PEER_INIT(e)   ((e)->word = 0)
#define PEER_SET(e)    textbook_event_set(e)
#define PEER_CLEAR(e)  textbook_event_clear(e)
#define PEER_IS_SET(e) textbook_event_is_set(e)
#define PEER_WAIT(e)   textbook_event_wait((e), 0)
#include "event_loops.h"

#define PEER           textbook_spin
#define PEER_NAME      "textbook futex, 200 spins"
#define PEER_KIND      BENCH_PEER
#define PEER_T         textbook_event
#define PEER_INIT(e)   ((e)->word = 0)
#define PEER_SET(e)    textbook_event_set(e)
#define PEER_CLEAR(e)  textbook_event_clear(e)
#define PEER_IS_SET(e) textbook_event_is_set(e)
#define PEER_WAIT(e)   textbook_event_wait((e), 200)
#include "event_loops.h"

// A flag that is asked again and again, with the core given away from time to time.
static inline void poll_flag(const uint32_t *flag) {
    for (unsigned i = 1; __atomic_load_n(flag, __ATOMIC_ACQUIRE) == 0; i++) {
        if (i % 128 == 0) {
            sched_yield();
        } else {
            bench_pause();
        }
    }
}
#define PEER           poll
#define PEER_NAME      "polled flag + sched_yield"
#define PEER_KIND      BENCH_SPIN
#define PEER_T         uint32_t
#define PEER_INIT(e)   (*(e) = 0)
#define PEER_SET(e)    __atomic_store_n((e), 1, __ATOMIC_RELEASE)
#define PEER_CLEAR(e)  __atomic_store_n((e), 0, __ATOMIC_RELEASE)
#define PEER_IS_SET(e) (__atomic_load_n((e), __ATOMIC_ACQUIRE) != 0)
#define PEER_WAIT(e)   poll_flag(e)
#include "event_loops.h"

#define PEER           posix
#define PEER_NAME      "pthread mutex + cond"
#define PEER_KIND      BENCH_PEER
#define PEER_T         posix_locked
#define PEER_INIT(e)   posix_init(e)
#define PEER_SET(e)    posix_set(e)
#define PEER_CLEAR(e)  posix_clear(e)
#define PEER_IS_SET(e) posix_is_set(e)
#define PEER_WAIT(e)   posix_await(e)
#include "event_loops.h"

#define PEER           c11
#define PEER_NAME      "C11 mtx + cnd"
#define PEER_KIND      BENCH_PEER
#define PEER_T         c11_locked
#define PEER_INIT(e)   c11_init(e)
#define PEER_SET(e)    c11_set(e)
#define PEER_CLEAR(e)  c11_clear(e)
#define PEER_IS_SET(e) c11_is_set(e)
#define PEER_WAIT(e)   c11_await(e)
#include "event_loops.h"

#ifdef BENCH_HAVE_NSYNC
#  define PEER           nsync
#  define PEER_NAME      "nsync mu + cv"
#  define PEER_KIND      BENCH_PEER
#  define PEER_T         nsync_locked
#  define PEER_INIT(e)   nsync_init(e)
#  define PEER_SET(e)    nsync_set(e)
#  define PEER_CLEAR(e)  nsync_clear(e)
#  define PEER_IS_SET(e) nsync_is_set(e)
#  define PEER_WAIT(e)   nsync_await(e)
#  include "event_loops.h"

// A note is set once in its life and allocated anew for the next.
typedef struct note_box {
    nsync_note note;
} note_box;
static void note_init(note_box *box) {
    if (box->note != NULL) {
        nsync_note_free(box->note);
    }
    box->note = nsync_note_new(NULL, nsync_time_no_deadline);
}
#  define PEER           nsync_note
#  define PEER_NAME      "nsync_note"
#  define PEER_KIND      BENCH_PEER
#  define PEER_T         note_box
#  define PEER_INIT(e)   note_init(e)
#  define PEER_SET(e)    nsync_note_notify((e)->note)
#  define PEER_IS_SET(e) nsync_note_is_notified((e)->note)
#  define PEER_WAIT(e)   nsync_note_wait((e)->note, nsync_time_no_deadline)
#  include "event_loops.h"
#endif

#ifdef BENCH_HAVE_CXX
void add_cxx_events(void);
#endif

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_IS_SET] = {.name = "is it set? yes", .unit = "ns", .seconds = 0.1},
        [ROW_WAIT_SET] = {.name = "wait, already set", .unit = "ns", .seconds = 0.1},
        [ROW_TRIP_1] = {.name = "round trip, 1 waiter, two CPUs",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 2,
                        .place = BENCH_SPREAD},
        [ROW_TRIP_4] = {.name = "round trip, 4 waiters, two CPUs",
                        .unit = "ns",
                        .seconds = 0.2,
                        .threads = 5,
                        .place = BENCH_SPREAD},
        [ROW_TRIP_1_ONE_CPU] = {.name = "round trip, 1 waiter, one CPU",
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
    bench_start(argc, argv, "event", rows, ROW_COUNT);
    add_cthreads();
    add_textbook();
    add_textbook_spin();
    add_poll();
    add_posix();
    add_c11();
#ifdef BENCH_HAVE_NSYNC
    add_nsync();
    add_nsync_note();
#else
    bench_skip("nsync", "not found (Debian: libnsync-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_events();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
