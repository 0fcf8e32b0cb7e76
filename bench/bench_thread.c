/* bench_thread.c - what it costs to start a thread and to wait for its end. */
#include "cthreads.h"
#include "thread_loops.h"

#include <pthread.h>
#include <threads.h>

sem_t bench_gate;

static void must(bool good) {
    if (!good) {
        bench_fail("a thread did not start or end");
    }
}

static cth_status kit_nothing(void *arg) {
    (void)arg;
    return CTH_OK;
}
static cth_status kit_waits(void *arg) {
    (void)arg;
    bench_gate_wait();
    return CTH_OK;
}
static void kit_join(cth_thread *thread) {
    must(cth_thread_join(thread, NULL) == CTH_OK);
    cth_thread_release(thread);
}
#define PEER                  cthreads
#define PEER_NAME             "cthreads cth_thread"
#define PEER_KIND             BENCH_KIT
#define PEER_T                cth_thread *
#define PEER_START(t)         must(cth_thread_spawn((t), kit_nothing, NULL, NULL) == CTH_OK)
#define PEER_START_WAITING(t) must(cth_thread_spawn((t), kit_waits, NULL, NULL) == CTH_OK)
#define PEER_JOIN(t)          kit_join(*(t))
#include "thread_loops.h"

static void *posix_nothing(void *arg) {
    return arg;
}
static void *posix_waits(void *arg) {
    bench_gate_wait();
    return arg;
}
#define PEER                  posix
#define PEER_NAME             "pthread_create"
#define PEER_KIND             BENCH_PEER
#define PEER_T                pthread_t
#define PEER_START(t)         must(pthread_create((t), NULL, posix_nothing, NULL) == 0)
#define PEER_START_WAITING(t) must(pthread_create((t), NULL, posix_waits, NULL) == 0)
#define PEER_JOIN(t)          must(pthread_join(*(t), NULL) == 0)
#include "thread_loops.h"

static int c11_nothing(void *arg) {
    (void)arg;
    return 0;
}
static int c11_waits(void *arg) {
    (void)arg;
    bench_gate_wait();
    return 0;
}
#define PEER                  c11
#define PEER_NAME             "C11 thrd_create"
#define PEER_KIND             BENCH_PEER
#define PEER_T                thrd_t
#define PEER_START(t)         must(thrd_create((t), c11_nothing, NULL) == thrd_success)
#define PEER_START_WAITING(t) must(thrd_create((t), c11_waits, NULL) == thrd_success)
#define PEER_JOIN(t)          must(thrd_join(*(t), NULL) == thrd_success)
#include "thread_loops.h"

#ifdef BENCH_HAVE_CXX
void add_cxx_threads(void);
#endif

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_ONE] = {.name = "start + join", .unit = "ns", .seconds = 0.2},
        [ROW_ONE_ONE_CPU] = {.name = "start + join, one CPU",
                             .unit = "ns",
                             .seconds = 0.2,
                             .place = BENCH_ONE_CPU},
        [ROW_FOUR] = {.name = "start 4, join 4", .unit = "ns", .seconds = 0.2},
        [ROW_IDLE] = {.name = "CPU time of a thread that joins, per second",
                      .unit = "us",
                      .seconds = 1,
                      .once = true},
    };
    if (sem_init(&bench_gate, 0, 0) != 0) {
        return 1;
    }
    bench_start(argc, argv, "thread", rows, ROW_COUNT);
    add_cthreads();
    add_posix();
    add_c11();
#ifdef BENCH_HAVE_CXX
    add_cxx_threads();
#else
    bench_skip("C++", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
