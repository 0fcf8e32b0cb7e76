/* sim_select_more.c - select under many schedules: what its looks must see

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_chan chan;
static cth_queue queue;
static cth_event event;
static cth_latch latch;
static int data;

static void fresh(size_t capacity) {
    static const cth_event cleared = CTH_EVENT_INIT;
    static const cth_latch one = CTH_LATCH_INIT(1);
    static const cth_queue empty = CTH_QUEUE_INIT(sizeof(int));
    sim_begin();
    event = cleared;
    latch = one;
    memcpy(&queue, &empty, sizeof empty);
    data = 0;
    CTH_SIM_CHECK(cth_chan_init(&chan, sizeof(int), capacity, NULL) == CTH_OK);
}

/* -- what was done before an event or a latch became ready is seen after a select finds it so -----
 */

static cth_status set_event(void *arg) {
    (void)arg;
    CTH_SIM_WRITE(data);
    data = 1;
    CTH_SIM_CHECK(cth_event_set(&event) == CTH_OK);
    return CTH_OK;
}

static cth_status finish_latch(void *arg) {
    (void)arg;
    CTH_SIM_WRITE(data);
    data = 1;
    CTH_SIM_CHECK(cth_latch_done(&latch) == CTH_OK);
    return CTH_OK;
}

static cth_status see_data(cth_thread_fn fn, cth_case ready) {
    int value;
    size_t index;
    fresh(1);
    cth_thread *worker = sim_spawn(fn, NULL);
    cth_case cases[] = {CTH_RECV(&chan, &value), ready};
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_select(cases, 2, &index) == CTH_OK);
    } else {
        while (cth_try_select(cases, 2, &index) != CTH_OK) {
            cth_yield();
        }
    }
    CTH_SIM_CHECK(index == 1);
    CTH_SIM_READ(data);
    CTH_SIM_CHECK(data == 1);
    sim_join(worker);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

static cth_status data_behind_event(void *arg) {
    (void)arg;
    return see_data(set_event, CTH_ON_EVENT(&event));
}

static cth_status data_behind_latch(void *arg) {
    (void)arg;
    return see_data(finish_latch, CTH_ON_LATCH(&latch));
}

/* -- a watcher at a rendezvous is woken by a select that comes to send ----------------------------
 */

static cth_status watch_and_take(void *arg) {
    int value = 0;
    cth_case cases[] = {CTH_RECV(&chan, &value)};
    (void)arg;
    CTH_SIM_CHECK(cth_select_ready(cases, 1, NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_recv(&chan, &value) == CTH_OK);
    CTH_SIM_CHECK(value == 7);
    return CTH_OK;
}

static cth_status watcher_of_select(void *arg) {
    const int seven = 7;
    size_t index;
    (void)arg;
    fresh(0);
    cth_thread *watcher = sim_spawn(watch_and_take, NULL);
    cth_case cases[] = {CTH_ON_EVENT(&event), CTH_SEND(&chan, &seven)};
    CTH_SIM_CHECK(cth_select(cases, 2, &index) == CTH_OK);
    CTH_SIM_CHECK(index == 1);
    sim_join(watcher);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

/* -- a token goes from a channel to a queue and back: one of them always has something ------------
 */

static cth_status there_and_back(void *arg) {
    int token = 1;
    (void)arg;
    CTH_SIM_CHECK(cth_queue_put(&queue, &token) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_recv(&chan, &token) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_send(&chan, &token) == CTH_OK);
    CTH_SIM_CHECK(cth_queue_get(&queue, &token) == CTH_OK);
    return CTH_OK;
}

static cth_status never_nothing(void *arg) {
    int token = 1;
    (void)arg;
    fresh(1);
    CTH_SIM_CHECK(cth_queue_put(&queue, &token) == CTH_OK); // its array is there now
    CTH_SIM_CHECK(cth_queue_get(&queue, &token) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_send(&chan, &token) == CTH_OK);
    cth_thread *mover = sim_spawn(there_and_back, NULL);
    for (int i = 0; i < 2; i++) {
        cth_case cases[] = {CTH_RECV(&chan, &token), CTH_GET(&queue, &token)};
        CTH_SIM_CHECK(cth_select_ready_until(cases, 2, NULL, 0) == CTH_OK);
        cth_yield();
    }
    sim_join(mover);
    CTH_SIM_CHECK(cth_queue_destroy(&queue) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

static void passing(void) {
    SIM_PASS(data_behind_event, SIM_WAITS, 3000);
    SIM_PASS(data_behind_latch, SIM_WAITS, 3000);
    SIM_PASS(watcher_of_select, SIM_WAITS, 3000);
    SIM_PASS(never_nothing, SIM_WAITS, 20000);
}

static const test_case tests[] = {TEST(passing)};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
