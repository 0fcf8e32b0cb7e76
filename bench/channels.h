/* channels.h - what bench_chan and bench_select have in common. C and C++. */
#ifndef BENCH_CHANNELS_INCLUDED
#define BENCH_CHANNELS_INCLUDED
#include "bench.h"

#include <sched.h>

/* What a peer can do, as PEER_CAN. */
enum {
    CHAN_BOUNDED = 1,    // holds as many values as it is told, two or more
    CHAN_CAP1 = 2,       // holds one value
    CHAN_RENDEZVOUS = 4, // holds none
    CHAN_UNBOUNDED = 8,
    CHAN_SINGLE = 16, // as CHAN_BOUNDED, with one sender and one receiver only
    CHAN_SINGLE_UNBOUNDED = 32,
};

/* Values that end a measurement; all others are greater, and none is sent twice. */
enum { CHAN_END = 1, CHAN_QUIT = 2, CHAN_FIRST = 3 };

/* What a thread has sent or received. */
typedef struct chan_tally {
    alignas(BENCH_LINE) uint64_t count;
    uint64_t sum;
} chan_tally;

/* Nanoseconds for each value that a team has moved. Fails unless the first threads have sent what
   the others have received. */
static inline __attribute__((unused)) bench_sample chan_sample(const bench_row *row,
                                                               const chan_tally *tally) {
    bench_sample sample = {0, 0};
    chan_tally sent = {0, 0}, received = {0, 0};
    for (int i = 0; i < row->threads; i++) {
        chan_tally *to = i < row->senders ? &sent : &received;
        to->count += tally[i].count;
        to->sum += tally[i].sum;
    }
    if (sent.count == 0 || sent.count != received.count || sent.sum != received.sum) {
        bench_fail("values were lost or doubled");
    }
    sample.value = bench_team_span(row) / (double)received.count;
    return sample;
}

/* For peers that never sleep: try again, at first soon. A core that does not let go while all its
   threads wait would be lost until the end of the time slice. */
static inline __attribute__((unused)) void chan_relax(unsigned *tries) {
    if (++*tries < 100) {
        bench_pause();
    } else {
        sched_yield();
    }
}

/* Repeat a try until it is true. */
#define CHAN_UNTIL(...)                                            \
  for (unsigned tries_ = 0; !(__VA_ARGS__); chan_relax(&tries_)) { \
  }
#endif
