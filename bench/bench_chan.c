/* bench_chan.c - what a value costs on its way through a channel: bounded, unbounded, with one
   place, with none, alone and among several threads; and a receiver that waits. */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE // syscall, for textbook.h
#endif
#include "cthreads.h"
#include "chan_loops.h"
#include "rings.h"

#ifdef BENCH_HAVE_CK
#  include <ck_ring.h>
#endif
#ifdef BENCH_HAVE_GLIB
#  include <glib.h>
#endif
#ifdef BENCH_HAVE_APR
#  include <apr_general.h>
#  include <apr_queue.h>
#endif
#ifdef BENCH_HAVE_URCU
#  define _LGPL_SOURCE // inline functions
#  include <urcu/wfcqueue.h>
#endif

CTH_CHAN_OF(uint64_t, value_chan);

static inline void must(cth_status status) {
    if (__builtin_expect(status != CTH_OK, 0)) {
        bench_fail(cth_status_name(status));
    }
}

static inline size_t value_chan_recv_n(value_chan *c, uint64_t *values, size_t n) {
    size_t got = 0;
    must(cth_chan_recv_n(&c->chan, values, n, &got));
    return got;
}

#define PEER                 cthreads
#define PEER_NAME            "cthreads cth_chan"
#define PEER_KIND            BENCH_KIT
#define PEER_T               value_chan
#define PEER_CAN             CHAN_BOUNDED | CHAN_CAP1 | CHAN_RENDEZVOUS | CHAN_UNBOUNDED
#define PEER_INIT(c, n)      must(value_chan_init((c), (n), NULL))
#define PEER_DESTROY(c)      must(cth_chan_destroy(&(c)->chan))
#define PEER_SEND(c, value)  must(value_chan_send((c), (value)))
#define PEER_RECV(c, to)     must(value_chan_recv((c), (to)))
#define PEER_SEND_N(c, v, n) must(cth_chan_send_n(&(c)->chan, (v), (n), NULL))
#define PEER_RECV_N(c, v, n) value_chan_recv_n((c), (v), (n))
#include "chan_loops.h"

static const cth_chan_desc single = {.single = true};
#define PEER                 cthreads_single
#define PEER_NAME            "cthreads cth_chan, .single"
#define PEER_KIND            BENCH_KIT
#define PEER_T               value_chan
#define PEER_CAN             CHAN_SINGLE | CHAN_SINGLE_UNBOUNDED
#define PEER_INIT(c, n)      must(value_chan_init((c), (n), &single))
#define PEER_DESTROY(c)      must(cth_chan_destroy(&(c)->chan))
#define PEER_SEND(c, value)  must(value_chan_send((c), (value)))
#define PEER_RECV(c, to)     must(value_chan_recv((c), (to)))
#define PEER_SEND_N(c, v, n) must(cth_chan_send_n(&(c)->chan, (v), (n), NULL))
#define PEER_RECV_N(c, v, n) value_chan_recv_n((c), (v), (n))
#include "chan_loops.h"

#define COND_RING_CAN \
  CHAN_BOUNDED | CHAN_CAP1 | CHAN_UNBOUNDED | CHAN_SINGLE | CHAN_SINGLE_UNBOUNDED
#define PEER                 conds
#define PEER_NAME            "pthread mutex + conds"
#define PEER_KIND            BENCH_PEER
#define PEER_T               cond_ring
#define PEER_CAN             COND_RING_CAN
#define PEER_INIT(c, n)      cond_ring_init((c), (n))
#define PEER_DESTROY(c)      cond_ring_destroy(c)
#define PEER_SEND(c, value)  cond_ring_send((c), (value))
#define PEER_RECV(c, to)     cond_ring_recv((c), (to))
#define PEER_SEND_N(c, v, n) cond_ring_send_n((c), (v), (n))
#define PEER_RECV_N(c, v, n) cond_ring_recv_n((c), (v), (n))
#include "chan_loops.h"

#define PEER                conds_meet
#define PEER_NAME           "pthread mutex + conds"
#define PEER_KIND           BENCH_PEER
#define PEER_T              cond_ring
#define PEER_CAN            CHAN_RENDEZVOUS
#define PEER_INIT(c, n)     cond_ring_init((c), (n))
#define PEER_DESTROY(c)     cond_ring_destroy(c)
#define PEER_SEND(c, value) cond_ring_meet((c), (value))
#define PEER_RECV(c, to)    cond_ring_recv((c), (to))
#include "chan_loops.h"

static inline void posix_sem_wait(sem_t *sem) {
    while (sem_wait(sem) != 0 && errno == EINTR) {
    }
}
#define RING               posix
#define RING_MUTEX         pthread_mutex_t
#define RING_SEM           sem_t
#define RING_LOCK(m)       pthread_mutex_lock(m)
#define RING_UNLOCK(m)     pthread_mutex_unlock(m)
#define RING_POST(s)       sem_post(s)
#define RING_WAIT(s)       posix_sem_wait(s)
#define RING_INIT(m, s, n) (pthread_mutex_init((m), NULL), sem_init((s), 0, (n)))
#include "rings.h"

#define RING               textbook
#define RING_MUTEX         textbook_mutex
#define RING_SEM           textbook_sem
#define RING_LOCK(m)       textbook_lock((m), 100)
#define RING_UNLOCK(m)     textbook_unlock(m)
#define RING_POST(s)       textbook_sem_post(s)
#define RING_WAIT(s)       textbook_sem_wait((s), 200)
#define RING_INIT(m, s, n) (*(m) = (textbook_mutex){0}, *(s) = (textbook_sem){(n), 0})
#include "rings.h"

#define PEER                sems
#define PEER_NAME           "POSIX sem_t, two"
#define PEER_KIND           BENCH_PEER
#define PEER_T              posix_ring
#define PEER_CAN            CHAN_BOUNDED | CHAN_CAP1 | CHAN_SINGLE
#define PEER_INIT(c, n)     posix_init((c), (n))
#define PEER_DESTROY(c)     posix_destroy(c)
#define PEER_SEND(c, value) posix_send((c), (value))
#define PEER_RECV(c, to)    posix_recv((c), (to))
#include "chan_loops.h"

#define PEER                sems_meet
#define PEER_NAME           "POSIX sem_t, two"
#define PEER_KIND           BENCH_PEER
#define PEER_T              posix_ring
#define PEER_CAN            CHAN_RENDEZVOUS
#define PEER_INIT(c, n)     posix_init((c), 0)
#define PEER_DESTROY(c)     posix_destroy(c)
#define PEER_SEND(c, value) posix_meet((c), (value))
#define PEER_RECV(c, to)    posix_recv((c), (to))
#include "chan_loops.h"

#define PEER                textbook
#define PEER_NAME           "textbook futexes, 200 spins"
#define PEER_KIND           BENCH_PEER
#define PEER_T              textbook_ring
#define PEER_CAN            CHAN_BOUNDED | CHAN_CAP1 | CHAN_SINGLE
#define PEER_INIT(c, n)     textbook_init((c), (n))
#define PEER_DESTROY(c)     textbook_destroy(c)
#define PEER_SEND(c, value) textbook_send((c), (value))
#define PEER_RECV(c, to)    textbook_recv((c), (to))
#include "chan_loops.h"

#define PEER                textbook_meet
#define PEER_NAME           "textbook futexes, 200 spins"
#define PEER_KIND           BENCH_PEER
#define PEER_T              textbook_ring
#define PEER_CAN            CHAN_RENDEZVOUS
#define PEER_INIT(c, n)     textbook_init((c), 0)
#define PEER_DESTROY(c)     textbook_destroy(c)
#define PEER_SEND(c, value) textbook_meet((c), (value))
#define PEER_RECV(c, to)    textbook_recv((c), (to))
#include "chan_loops.h"

#ifdef BENCH_HAVE_CK
// The sizes are powers of two; one place stays empty.
typedef struct ck_queue {
    ck_ring_t ring;
    ck_ring_buffer_t *buffer;
} ck_queue;

static void ck_queue_init(ck_queue *q, size_t capacity) {
    const unsigned size = capacity < 2 ? 2 : (unsigned)capacity;
    q->buffer = (ck_ring_buffer_t *)calloc(size, sizeof *q->buffer);
    if (q->buffer == NULL) {
        bench_fail("no memory");
    }
    ck_ring_init(&q->ring, size);
}

#  define CK_SEND(kind, q, value) \
    CHAN_UNTIL(ck_ring_enqueue_##kind(&(q)->ring, (q)->buffer, (void *)(uintptr_t)(value)))
#  define CK_RECV(kind, q, to) CHAN_UNTIL(ck_ring_dequeue_##kind(&(q)->ring, (q)->buffer, (to)))

#  define PEER                ck_mpmc
#  define PEER_NAME           "CK ck_ring mpmc"
#  define PEER_KIND           BENCH_SPIN
#  define PEER_T              ck_queue
#  define PEER_CAN            CHAN_BOUNDED | CHAN_CAP1
#  define PEER_INIT(c, n)     ck_queue_init((c), (n))
#  define PEER_DESTROY(c)     free((c)->buffer)
#  define PEER_SEND(c, value) CK_SEND(mpmc, (c), (value))
#  define PEER_RECV(c, to)    CK_RECV(mpmc, (c), (to))
#  include "chan_loops.h"

#  define PEER                ck_spsc
#  define PEER_NAME           "CK ck_ring spsc"
#  define PEER_KIND           BENCH_SPIN
#  define PEER_T              ck_queue
#  define PEER_CAN            CHAN_SINGLE
#  define PEER_INIT(c, n)     ck_queue_init((c), (n))
#  define PEER_DESTROY(c)     free((c)->buffer)
#  define PEER_SEND(c, value) CK_SEND(spsc, (c), (value))
#  define PEER_RECV(c, to)    CK_RECV(spsc, (c), (to))
#  include "chan_loops.h"
#endif

#ifdef BENCH_HAVE_GLIB
#  define PEER                glib
#  define PEER_NAME           "GLib GAsyncQueue"
#  define PEER_KIND           BENCH_PEER
#  define PEER_T              GAsyncQueue *
#  define PEER_CAN            CHAN_UNBOUNDED
#  define PEER_INIT(c, n)     (*(c) = g_async_queue_new())
#  define PEER_DESTROY(c)     g_async_queue_unref(*(c))
#  define PEER_SEND(c, value) g_async_queue_push(*(c), (void *)(uintptr_t)(value))
#  define PEER_RECV(c, to)    (*(to) = (uintptr_t)g_async_queue_pop(*(c)))
#  include "chan_loops.h"
#endif

#ifdef BENCH_HAVE_APR
typedef struct apr_chan {
    apr_pool_t *pool;
    apr_queue_t *queue;
} apr_chan;

static void apr_chan_init(apr_chan *c, size_t capacity) {
    if (apr_pool_create(&c->pool, NULL) != APR_SUCCESS ||
        apr_queue_create(&c->queue, (unsigned)capacity, c->pool) != APR_SUCCESS) {
        bench_fail("no memory");
    }
}

static inline void apr_chan_send(apr_chan *c, uint64_t value) {
    while (apr_queue_push(c->queue, (void *)(uintptr_t)value) == APR_EINTR) {
    }
}

static inline void apr_chan_recv(apr_chan *c, uint64_t *value) {
    void *got = NULL;
    while (apr_queue_pop(c->queue, &got) == APR_EINTR) {
    }
    *value = (uintptr_t)got;
}

#  define PEER                apr
#  define PEER_NAME           "apr_queue"
#  define PEER_KIND           BENCH_PEER
#  define PEER_T              apr_chan
#  define PEER_CAN            CHAN_BOUNDED | CHAN_CAP1
#  define PEER_INIT(c, n)     apr_chan_init((c), (n))
#  define PEER_DESTROY(c)     apr_pool_destroy((c)->pool)
#  define PEER_SEND(c, value) apr_chan_send((c), (value))
#  define PEER_RECV(c, to)    apr_chan_recv((c), (to))
#  include "chan_loops.h"
#endif

#ifdef BENCH_HAVE_URCU
// A node for each value, from malloc: the queue links what its user has.
typedef struct wfc_node {
    struct cds_wfcq_node node; // first: a node's address is its value's
    uint64_t value;
} wfc_node;

typedef struct wfc_chan {
    struct cds_wfcq_head head;
    struct {
        alignas(BENCH_LINE) struct cds_wfcq_tail tail;
    } rear;
} wfc_chan;

static void wfc_send(wfc_chan *c, uint64_t value) {
    wfc_node *node = (wfc_node *)malloc(sizeof *node);
    if (node == NULL) {
        bench_fail("no memory");
    }
    cds_wfcq_node_init(&node->node);
    node->value = value;
    (void)cds_wfcq_enqueue(&c->head, &c->rear.tail, &node->node);
}

static inline bool wfc_try_recv(wfc_chan *c, uint64_t *value) {
    wfc_node *node = (wfc_node *)(void *)cds_wfcq_dequeue_blocking(&c->head, &c->rear.tail);
    if (node == NULL) {
        return false;
    }
    *value = node->value;
    free(node);
    return true;
}

#  define PEER                wfc
#  define PEER_NAME           "liburcu wfcqueue"
#  define PEER_KIND           BENCH_SPIN
#  define PEER_T              wfc_chan
#  define PEER_CAN            CHAN_UNBOUNDED
#  define PEER_INIT(c, n)     cds_wfcq_init(&(c)->head, &(c)->rear.tail)
#  define PEER_DESTROY(c)     cds_wfcq_destroy(&(c)->head, &(c)->rear.tail)
#  define PEER_SEND(c, value) wfc_send((c), (value))
#  define PEER_RECV(c, to)    CHAN_UNTIL(wfc_try_recv((c), (to)))
#  include "chan_loops.h"
#endif

/* What the machine asks for: one cache line, there and back. */
static bench_flag line;

static void line_body(const bench_row *row, int i) {
    int mine = i;
    (void)row;
    const double start = bench_now();
    for (;;) {
        int found = __atomic_load_n(&line.raised, __ATOMIC_ACQUIRE);
        for (; found >= 0 && found != mine;
             found = __atomic_load_n(&line.raised, __ATOMIC_ACQUIRE)) {
        }
        if (found < 0 || (i == 0 && bench_stopped())) {
            break;
        }
        __atomic_store_n(&line.raised, mine + 1, __ATOMIC_RELEASE);
        mine += 2;
    }
    __atomic_store_n(&line.raised, -1, __ATOMIC_RELEASE);
    bench_slots[i].ns = bench_now() - start;
    bench_slots[i].count = (uint64_t)mine / 2;
}

static bench_sample line_trip(const bench_row *row) {
    bench_sample sample = {0, 0};
    __atomic_store_n(&line.raised, 0, __ATOMIC_RELEASE);
    bench_team(row, line_body);
    if (bench_slots[0].count == 0) {
        bench_fail("the two threads did not take turns");
    }
    sample.value = bench_slots[0].ns / (double)bench_slots[0].count;
    return sample;
}

#ifdef BENCH_HAVE_CXX
void add_cxx_chans(void);
#endif

#define TEAM(s, r, n)                                                                  \
  .unit = "ns", .seconds = 0.2, .threads = (s) + (r), .senders = (s), .capacity = (n), \
  .place = BENCH_SPREAD

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_ALONE] = {.name = "cap 128, send + recv in one thread",
                       .unit = "ns",
                       .seconds = 0.1,
                       .capacity = 128},
        [ROW_128_1_1] = {.name = "cap 128, 1 sends 1 receives", TEAM(1, 1, 128)},
        [ROW_128_2_2] = {.name = "cap 128, 2 send 2 receive", TEAM(2, 2, 128)},
        [ROW_128_4_1] = {.name = "cap 128, 4 send 1 receives", TEAM(4, 1, 128)},
        [ROW_128_1_4] = {.name = "cap 128, 1 sends 4 receive", TEAM(1, 4, 128)},
        [ROW_1024_1_1] = {.name = "cap 1024, 1 sends 1 receives", TEAM(1, 1, 1024)},
        [ROW_1024_2_2] = {.name = "cap 1024, 2 send 2 receive", TEAM(2, 2, 1024)},
        [ROW_1024_4_1] = {.name = "cap 1024, 4 send 1 receives", TEAM(4, 1, 1024)},
        [ROW_1024_1_4] = {.name = "cap 1024, 1 sends 4 receive", TEAM(1, 4, 1024)},
        [ROW_SINGLE_128] = {.name = "single, cap 128", TEAM(1, 1, 128)},
        [ROW_SINGLE_1024] = {.name = "single, cap 1024", TEAM(1, 1, 1024)},
        [ROW_SINGLE_UNBOUNDED] = {.name = "single, unbounded", TEAM(1, 1, CHAN_NO_BOUND)},
        [ROW_BATCH] = {.name = "64 values a call, cap 1024, 1 sends 1 receives", TEAM(1, 1, 1024)},
        [ROW_CAP1] = {.name = "cap 1, 1 sends 1 receives", TEAM(1, 1, 1)},
        [ROW_PING_PONG] = {.name = "cap 1, ping-pong, two CPUs, there and back", TEAM(1, 1, 1)},
        [ROW_PING_PONG_ONE_CPU] = {.name = "cap 1, ping-pong, one CPU, there and back",
                                   .unit = "ns",
                                   .seconds = 0.2,
                                   .threads = 2,
                                   .capacity = 1,
                                   .place = BENCH_ONE_CPU},
        [ROW_RENDEZVOUS_1_1] = {.name = "rendezvous, 1 sends 1 receives", TEAM(1, 1, 0)},
        [ROW_RENDEZVOUS_2_2] = {.name = "rendezvous, 2 send 2 receive", TEAM(2, 2, 0)},
        [ROW_RENDEZVOUS_4_1] = {.name = "rendezvous, 4 send 1 receives", TEAM(4, 1, 0)},
        [ROW_UNBOUNDED_1_1] = {.name = "unbounded, 1 sends 1 receives", TEAM(1, 1, CHAN_NO_BOUND)},
        [ROW_UNBOUNDED_2_2] = {.name = "unbounded, 2 send 2 receive", TEAM(2, 2, CHAN_NO_BOUND)},
        [ROW_UNBOUNDED_4_1] = {.name = "unbounded, 4 send 1 receives", TEAM(4, 1, CHAN_NO_BOUND)},
        [ROW_UNBOUNDED_1_4] = {.name = "unbounded, 1 sends 4 receive", TEAM(1, 4, CHAN_NO_BOUND)},
        [ROW_IDLE] = {.name = "CPU time of a waiting receiver, per second",
                      .unit = "us",
                      .seconds = 1,
                      .capacity = 128,
                      .once = true},
    };
    bench_start(argc, argv, "chan", rows, ROW_COUNT);
    add_cthreads();
    add_cthreads_single();
    bench_add(ROW_PING_PONG, "a cache line", BENCH_FLOOR, line_trip);
    add_conds();
    add_conds_meet();
    add_sems();
    add_sems_meet();
    add_textbook();
    add_textbook_meet();
#ifdef BENCH_HAVE_CK
    add_ck_mpmc();
    add_ck_spsc();
#else
    bench_skip("Concurrency Kit", "not found (Debian: libck-dev)");
#endif
#ifdef BENCH_HAVE_GLIB
    add_glib();
#else
    bench_skip("GLib", "not found (Debian: libglib2.0-dev)");
#endif
#ifdef BENCH_HAVE_APR
    apr_initialize();
    add_apr();
#else
    bench_skip("apr_queue", "not found (Debian: libaprutil1-dev)");
#endif
#ifdef BENCH_HAVE_URCU
    add_wfc();
#else
    bench_skip("liburcu", "not found (Debian: liburcu-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_chans();
#else
    bench_skip("C++ and its queues", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
