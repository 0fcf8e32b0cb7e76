/* event_loops.h - the loops of bench_event for one peer. Before each inclusion define

       PEER, PEER_NAME, PEER_KIND   as in mutex_loops.h
       PEER_T                       type of the event
       PEER_INIT(e)                 make it ready, not set
       PEER_SET(e), PEER_CLEAR(e), PEER_IS_SET(e), PEER_WAIT(e)

   and get add_PEER(). Without PEER_CLEAR the round trips are left out. C and C++. */
#ifndef BENCH_EVENT_ROWS_INCLUDED
#define BENCH_EVENT_ROWS_INCLUDED
#include "bench.h"

enum {
    ROW_IS_SET,
    ROW_WAIT_SET,
    ROW_TRIP_1,
    ROW_TRIP_4,
    ROW_TRIP_1_ONE_CPU,
    ROW_IDLE,
    ROW_SIZE,
    ROW_COUNT,
};
#endif

#ifdef PEER
static struct {
    struct {
        alignas(BENCH_LINE) PEER_T event;
    } go[2], done;
    alignas(BENCH_LINE) uint32_t left;
    alignas(BENCH_LINE) int quit;
} BENCH_FN(shared);

static bench_sample BENCH_FN(is_set)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).go[0].event);
    PEER_SET(&BENCH_FN(shared).go[0].event);
    PEER_T *event = &BENCH_FN(shared).go[0].event;
    BENCH_LOOP(sample.value, row, 8192, { BENCH_X8(bench_use(PEER_IS_SET(event))); });
    sample.value /= 8;
    return sample;
}

static bench_sample BENCH_FN(wait_set)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).go[0].event);
    PEER_SET(&BENCH_FN(shared).go[0].event);
    PEER_T *event = &BENCH_FN(shared).go[0].event;
    BENCH_LOOP(sample.value, row, 8192, { BENCH_X8(PEER_WAIT(event)); });
    sample.value /= 8;
    return sample;
}

#ifdef PEER_CLEAR
/* Thread 0 sets an event, all others wait for it, and the last of them to wake sets an event that
   thread 0 waits for. The first event alternates between two, so it can be cleared in peace. */
static void BENCH_FN(trip_body)(const bench_row *row, int i) {
    const uint32_t waiters = (uint32_t)row->threads - 1;
    if (i == 0) {
        uint64_t count = 0;
        const double start = bench_now();
        while (!bench_stopped()) {
            for (int trip = 0; trip < BENCH_TRIPS; trip++) {
                __atomic_store_n(&BENCH_FN(shared).left, waiters, __ATOMIC_RELAXED);
                PEER_SET(&BENCH_FN(shared).go[trip & 1].event);
                PEER_WAIT(&BENCH_FN(shared).done.event);
                PEER_CLEAR(&BENCH_FN(shared).done.event);
                PEER_CLEAR(&BENCH_FN(shared).go[trip & 1].event);
            }
            count += BENCH_TRIPS;
        }
        bench_slots[0].ns = bench_now() - start;
        bench_slots[0].count = count;
        __atomic_store_n(&BENCH_FN(shared).quit, 1, __ATOMIC_RELAXED);
        PEER_SET(&BENCH_FN(shared).go[0].event);
    } else {
        uint64_t count = 0;
        for (;;) {
            PEER_WAIT(&BENCH_FN(shared).go[count & 1].event);
            if (__atomic_load_n(&BENCH_FN(shared).quit, __ATOMIC_RELAXED) != 0) {
                break;
            }
            count++;
            if (__atomic_sub_fetch(&BENCH_FN(shared).left, 1, __ATOMIC_ACQ_REL) == 0) {
                PEER_SET(&BENCH_FN(shared).done.event);
            }
        }
        bench_slots[i].count = count;
    }
}

static bench_sample BENCH_FN(trip)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).go[0].event);
    PEER_INIT(&BENCH_FN(shared).go[1].event);
    PEER_INIT(&BENCH_FN(shared).done.event);
    BENCH_FN(shared).quit = 0;
    bench_team(row, BENCH_FN(trip_body));
    for (int i = 1; i < row->threads; i++) {
        if (bench_slots[0].count == 0 || bench_slots[i].count != bench_slots[0].count) {
            bench_fail("a waiter missed an event");
        }
    }
    sample.value = bench_slots[0].ns / (double)bench_slots[0].count;
    return sample;
}
#endif

static void BENCH_FN(idle_body)(void) {
    PEER_WAIT(&BENCH_FN(shared).done.event);
}

static bench_sample BENCH_FN(idle)(const bench_row *row) {
    bench_sample sample = {0, 0};
    PEER_INIT(&BENCH_FN(shared).done.event);
    bench_idle_start(BENCH_FN(idle_body));
    bench_sleep(bench_seconds(row));
    PEER_SET(&BENCH_FN(shared).done.event);
    sample.value = bench_idle_end(row);
    return sample;
}

static bench_sample BENCH_FN(size)(const bench_row *row) {
    bench_sample sample = {(double)sizeof(PEER_T), 0};
    (void)row;
    return sample;
}

static void BENCH_FN(add)(void) {
    bench_add(ROW_IS_SET, PEER_NAME, PEER_KIND, BENCH_FN(is_set));
    bench_add(ROW_WAIT_SET, PEER_NAME, PEER_KIND, BENCH_FN(wait_set));
#ifdef PEER_CLEAR
    bench_add(ROW_TRIP_1, PEER_NAME, PEER_KIND, BENCH_FN(trip));
    bench_add(ROW_TRIP_4, PEER_NAME, PEER_KIND, BENCH_FN(trip));
    bench_add(ROW_TRIP_1_ONE_CPU, PEER_NAME, PEER_KIND, BENCH_FN(trip));
#endif
    bench_add(ROW_IDLE, PEER_NAME, PEER_KIND, BENCH_FN(idle));
    bench_add(ROW_SIZE, PEER_NAME, PEER_KIND, BENCH_FN(size));
}

#undef PEER
#undef PEER_NAME
#undef PEER_KIND
#undef PEER_T
#undef PEER_INIT
#undef PEER_SET
#undef PEER_CLEAR
#undef PEER_IS_SET
#undef PEER_WAIT
#endif
