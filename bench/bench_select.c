/* bench_select.c - what a value costs that one thread receives from the first of four channels that
   has one; a look at four empty channels; and a select that waits.

   No C library in Debian has a select over channels of threads. The peers are what one builds
   instead: one mutex for all four, pipes and poll, and queues that are looked at in turn. */
#include "cthreads.h"
#include "select_loops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef BENCH_HAVE_CK
#  include <ck_ring.h>
#endif

/* ---- the kit ---- */

CTH_CHAN_OF(uint64_t, value_chan);

typedef struct kit_chans {
    value_chan chan[SELECT_CHANS];
    cth_case cases[SELECT_CHANS];
    uint64_t value;
} kit_chans;

static inline void must(cth_status status) {
    if (__builtin_expect(status != CTH_OK, 0)) {
        bench_fail(cth_status_name(status));
    }
}

static void kit_init(kit_chans *s, size_t capacity) {
    for (int i = 0; i < SELECT_CHANS; i++) {
        must(value_chan_init(&s->chan[i], capacity, NULL));
        s->cases[i] = CTH_RECV(&s->chan[i].chan, &s->value);
    }
}

static void kit_destroy(kit_chans *s) {
    for (int i = 0; i < SELECT_CHANS; i++) {
        must(cth_chan_destroy(&s->chan[i].chan));
    }
}

static inline void kit_select(kit_chans *s, uint64_t *value) {
    must(cth_select(s->cases, SELECT_CHANS, NULL));
    *value = s->value;
}

static inline bool kit_try_select(kit_chans *s, uint64_t *value) {
    const cth_status status = cth_try_select(s->cases, SELECT_CHANS, NULL);
    if (status == CTH_TIMEDOUT) {
        return false;
    }
    must(status);
    *value = s->value;
    return true;
}

#define KIT_CASES(s, to)                                                  \
  CTH_RECV(&(s)->chan[0].chan, (to)), CTH_RECV(&(s)->chan[1].chan, (to)), \
      CTH_RECV(&(s)->chan[2].chan, (to)), CTH_RECV(&(s)->chan[3].chan, (to))

static inline void kit_switch(kit_chans *s, uint64_t *value) {
    cth_status status = CTH_OK;
    (void)CTH_SELECT(&status, KIT_CASES(s, value));
    must(status);
}

static inline bool kit_try_switch(kit_chans *s, uint64_t *value) {
    cth_status status = CTH_OK;
    if (CTH_TRY_SELECT(&status, KIT_CASES(s, value)) < 0) {
        return false;
    }
    must(status);
    return true;
}

#define PEER                   cthreads
#define PEER_NAME              "cthreads cth_select"
#define PEER_KIND              BENCH_KIT
#define PEER_T                 kit_chans
#define PEER_CAN               CHAN_BOUNDED | CHAN_CAP1 | CHAN_RENDEZVOUS
#define PEER_INIT(s, n)        kit_init((s), (n))
#define PEER_DESTROY(s)        kit_destroy(s)
#define PEER_SEND(s, i, value) must(value_chan_send(&(s)->chan[i], (value)))
#define PEER_SELECT(s, to)     kit_select((s), (to))
#define PEER_TRY_SELECT(s, to) kit_try_select((s), (to))
#include "select_loops.h"

// The cases are written anew each time.
#define PEER                   cthreads_switch
#define PEER_NAME              "cthreads CTH_SELECT"
#define PEER_KIND              BENCH_KIT
#define PEER_T                 kit_chans
#define PEER_CAN               CHAN_BOUNDED | CHAN_CAP1 | CHAN_RENDEZVOUS
#define PEER_INIT(s, n)        kit_init((s), (n))
#define PEER_DESTROY(s)        kit_destroy(s)
#define PEER_SEND(s, i, value) must(value_chan_send(&(s)->chan[i], (value)))
#define PEER_SELECT(s, to)     kit_switch((s), (to))
#define PEER_TRY_SELECT(s, to) kit_try_switch((s), (to))
#include "select_loops.h"

/* ---- four rings under one mutex; one sender for each ---- */

typedef struct locked_chans {
    pthread_mutex_t mutex;
    pthread_cond_t filled, freed[SELECT_CHANS];
    struct {
        uint64_t *values;
        size_t front, count;
    } ring[SELECT_CHANS];
    size_t places;
    bool rendezvous; // one place, and the sender stays until its value has been taken
    unsigned turn;
} locked_chans;

static void locked_init(locked_chans *s, size_t capacity) {
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->filled, NULL);
    s->rendezvous = capacity == 0;
    s->places = s->rendezvous ? 1 : capacity;
    s->turn = 0;
    for (int i = 0; i < SELECT_CHANS; i++) {
        pthread_cond_init(&s->freed[i], NULL);
        s->ring[i].values = (uint64_t *)malloc(s->places * sizeof(uint64_t));
        s->ring[i].front = s->ring[i].count = 0;
        if (s->ring[i].values == NULL) {
            bench_fail("no memory");
        }
    }
}

static void locked_destroy(locked_chans *s) {
    for (int i = 0; i < SELECT_CHANS; i++) {
        pthread_cond_destroy(&s->freed[i]);
        free(s->ring[i].values);
    }
    pthread_cond_destroy(&s->filled);
    pthread_mutex_destroy(&s->mutex);
}

static void locked_send(locked_chans *s, unsigned i, uint64_t value) {
    pthread_mutex_lock(&s->mutex);
    while (s->ring[i].count == s->places) {
        pthread_cond_wait(&s->freed[i], &s->mutex);
    }
    const size_t at = s->ring[i].front + s->ring[i].count++;
    s->ring[i].values[at < s->places ? at : at - s->places] = value;
    pthread_cond_signal(&s->filled);
    while (s->rendezvous && s->ring[i].count != 0) {
        pthread_cond_wait(&s->freed[i], &s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* Under the mutex. */
static bool locked_take(locked_chans *s, uint64_t *value) {
    for (unsigned k = 0; k < SELECT_CHANS; k++) {
        const unsigned i = (s->turn + k) % SELECT_CHANS;
        if (s->ring[i].count == 0) {
            continue;
        }
        *value = s->ring[i].values[s->ring[i].front];
        s->ring[i].front = s->ring[i].front + 1 == s->places ? 0 : s->ring[i].front + 1;
        s->ring[i].count--;
        s->turn = i + 1;
        pthread_cond_signal(&s->freed[i]);
        return true;
    }
    return false;
}

static void locked_select(locked_chans *s, uint64_t *value) {
    pthread_mutex_lock(&s->mutex);
    while (!locked_take(s, value)) {
        pthread_cond_wait(&s->filled, &s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
}

static bool locked_try_select(locked_chans *s, uint64_t *value) {
    pthread_mutex_lock(&s->mutex);
    const bool taken = locked_take(s, value);
    pthread_mutex_unlock(&s->mutex);
    return taken;
}

#define PEER                   locked
#define PEER_NAME              "pthread, one mutex for all"
#define PEER_KIND              BENCH_PEER
#define PEER_T                 locked_chans
#define PEER_CAN               CHAN_BOUNDED | CHAN_CAP1 | CHAN_RENDEZVOUS
#define PEER_INIT(s, n)        locked_init((s), (n))
#define PEER_DESTROY(s)        locked_destroy(s)
#define PEER_SEND(s, i, value) locked_send((s), (i), (value))
#define PEER_SELECT(s, to)     locked_select((s), (to))
#define PEER_TRY_SELECT(s, to) locked_try_select((s), (to))
#include "select_loops.h"

/* ---- pipes and poll ---- */

typedef struct pipe_chans {
    struct pollfd poll[SELECT_CHANS];
    int rear[SELECT_CHANS];
    unsigned turn;
} pipe_chans;

static void pipes_init(pipe_chans *s) {
    s->turn = 0;
    for (int i = 0; i < SELECT_CHANS; i++) {
        int ends[2];
        if (pipe(ends) != 0) {
            bench_fail("no pipe");
        }
        s->poll[i] = (struct pollfd){.fd = ends[0], .events = POLLIN};
        s->rear[i] = ends[1];
    }
}

static void pipes_destroy(pipe_chans *s) {
    for (int i = 0; i < SELECT_CHANS; i++) {
        close(s->poll[i].fd);
        close(s->rear[i]);
    }
}

static void pipes_send(pipe_chans *s, unsigned i, uint64_t value) {
    while (write(s->rear[i], &value, sizeof value) != (ssize_t)sizeof value) {
        if (errno != EINTR) {
            bench_fail("cannot write into a pipe");
        }
    }
}

static bool pipes_take(pipe_chans *s, uint64_t *value, int timeout) {
    if (poll(s->poll, SELECT_CHANS, timeout) <= 0) {
        return false;
    }
    for (unsigned k = 0; k < SELECT_CHANS; k++) {
        const unsigned i = (s->turn + k) % SELECT_CHANS;
        if ((s->poll[i].revents & POLLIN) != 0) {
            s->turn = i + 1;
            return read(s->poll[i].fd, value, sizeof *value) == (ssize_t)sizeof *value;
        }
    }
    return false;
}

static void pipes_select(pipe_chans *s, uint64_t *value) {
    while (!pipes_take(s, value, -1)) {
    }
}

#define PEER                   pipes
#define PEER_NAME              "pipes + poll (cap 8192)"
#define PEER_KIND              BENCH_PEER
#define PEER_T                 pipe_chans
#define PEER_CAN               CHAN_BOUNDED
#define PEER_INIT(s, n)        pipes_init(s)
#define PEER_DESTROY(s)        pipes_destroy(s)
#define PEER_SEND(s, i, value) pipes_send((s), (i), (value))
#define PEER_SELECT(s, to)     pipes_select((s), (to))
#define PEER_TRY_SELECT(s, to) pipes_take((s), (to), 0)
#include "select_loops.h"

/* ---- rings that are looked at in turn ---- */

#ifdef BENCH_HAVE_CK
typedef struct ck_chans {
    struct {
        alignas(BENCH_LINE) ck_ring_t ring;
        ck_ring_buffer_t *buffer;
    } chan[SELECT_CHANS];
    alignas(BENCH_LINE) unsigned turn;
} ck_chans;

static void ck_init(ck_chans *s, size_t capacity) {
    const unsigned size = capacity < 2 ? 2 : (unsigned)capacity;
    s->turn = 0;
    for (int i = 0; i < SELECT_CHANS; i++) {
        ck_ring_init(&s->chan[i].ring, size);
        s->chan[i].buffer = (ck_ring_buffer_t *)calloc(size, sizeof(ck_ring_buffer_t));
        if (s->chan[i].buffer == NULL) {
            bench_fail("no memory");
        }
    }
}

static void ck_destroy(ck_chans *s) {
    for (int i = 0; i < SELECT_CHANS; i++) {
        free(s->chan[i].buffer);
    }
}

static inline bool ck_take(ck_chans *s, uint64_t *value) {
    for (unsigned k = 0; k < SELECT_CHANS; k++) {
        const unsigned i = s->turn++ % SELECT_CHANS;
        if (ck_ring_dequeue_mpmc(&s->chan[i].ring, s->chan[i].buffer, value)) {
            return true;
        }
    }
    return false;
}

static inline bool ck_put(ck_chans *s, unsigned i, uint64_t value) {
    return ck_ring_enqueue_mpmc(&s->chan[i].ring, s->chan[i].buffer, (void *)(uintptr_t)value);
}

#  define PEER                   ck
#  define PEER_NAME              "CK ck_ring mpmc, in turn"
#  define PEER_KIND              BENCH_SPIN
#  define PEER_T                 ck_chans
#  define PEER_CAN               CHAN_BOUNDED | CHAN_CAP1
#  define PEER_INIT(s, n)        ck_init((s), (n))
#  define PEER_DESTROY(s)        ck_destroy(s)
#  define PEER_SEND(s, i, value) CHAN_UNTIL(ck_put((s), (i), (value)))
#  define PEER_SELECT(s, to)     CHAN_UNTIL(ck_take((s), (to)))
#  define PEER_TRY_SELECT(s, to) ck_take((s), (to))
#  include "select_loops.h"
#endif

#ifdef BENCH_HAVE_CXX
void add_cxx_selects(void);
#endif

#define TEAM(n)                                                                       \
  .unit = "ns", .seconds = 0.2, .threads = SELECT_CHANS + 1, .senders = SELECT_CHANS, \
  .capacity = (n), .place = BENCH_SPREAD

int main(int argc, char **argv) {
    static const bench_row rows[ROW_COUNT] = {
        [ROW_EMPTY] = {.name = "try-select, 4 empty channels",
                       .unit = "ns",
                       .seconds = 0.1,
                       .capacity = 128},
        [ROW_ALONE] = {.name = "send to one of 4 + select, in one thread",
                       .unit = "ns",
                       .seconds = 0.1,
                       .capacity = 128},
        [ROW_128] = {.name = "4 channels, cap 128, a sender each", TEAM(128)},
        [ROW_CAP1] = {.name = "4 channels, cap 1, a sender each", TEAM(1)},
        [ROW_RENDEZVOUS] = {.name = "4 rendezvous, a sender each", TEAM(0)},
        [ROW_IDLE] = {.name = "CPU time of a waiting select, per second",
                      .unit = "us",
                      .seconds = 1,
                      .capacity = 128,
                      .once = true},
    };
    bench_start(argc, argv, "select", rows, ROW_COUNT);
    add_cthreads();
    add_cthreads_switch();
    add_locked();
    add_pipes();
#ifdef BENCH_HAVE_CK
    add_ck();
#else
    bench_skip("Concurrency Kit", "not found (Debian: libck-dev)");
#endif
#ifdef BENCH_HAVE_CXX
    add_cxx_selects();
#else
    bench_skip("C++ and its queues", "no C++20 compiler found (Debian: g++)");
#endif
    return bench_finish();
}
