/* sim_chan_single.c - single-producer, single-consumer channels under many schedules

   Their sides are not locked: what keeps a wake from being lost is a pair of fences, which the
   simulator's weak memory can tell from none.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_chan chan;
static cth_cancel token;
static int sent;     // how many values the sender got rid of
static int received; // ... and the receiver got

static void fresh(size_t capacity) {
    const cth_chan_desc single = {.single = true};
    sim_begin();
    sent = received = 0;
    while (cth_chan_init(&chan, sizeof(int), capacity, &single) != CTH_OK) {
        cth_yield();
    }
}

static cth_status send_three(void *arg) {
    (void)arg;
    for (int i = 0; i < 3; i++) {
        cth_status status;
        do {
            status = cth_chan_send(&chan, &i);
        } while (status == CTH_NOMEM);
        if (status == CTH_CLOSED || status == CTH_CANCELLED) {
            return CTH_OK;
        }
        CTH_SIM_CHECK(status == CTH_OK);
        sent++;
    }
    return CTH_OK;
}

static cth_status receive_all(void *arg) {
    int value = -1;
    cth_status status;
    (void)arg;
    while ((status = cth_chan_recv(&chan, &value)) == CTH_OK) {
        CTH_SIM_CHECK(value == received);
        received++;
    }
    CTH_SIM_CHECK(status == CTH_CLOSED);
    CTH_SIM_CHECK(cth_chan_try_recv(&chan, &value) == CTH_CLOSED);
    return CTH_OK;
}

static cth_status stream(size_t capacity) {
    fresh(capacity);
    cth_thread *receiver = sim_spawn(receive_all, NULL);
    CTH_SIM_CHECK(send_three(NULL) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_CLOSED);
    sim_join(receiver);
    CTH_SIM_CHECK(sent == 3 && received == 3);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

static cth_status stream_1(void *arg) {
    (void)arg;
    return stream(1);
}

static cth_status stream_2(void *arg) {
    (void)arg;
    return stream(2);
}

static cth_status stream_unbounded(void *arg) {
    (void)arg;
    return stream(CTH_UNBOUNDED);
}

/* A third thread closes: what was sent is received, and nothing after that was said to be all. */
static cth_status close_meets_both(void *arg) {
    (void)arg;
    fresh(1 + cth_sim_choose(2));
    cth_thread *sender = sim_spawn(send_three, NULL);
    cth_thread *receiver = sim_spawn(receive_all, NULL);
    for (uint32_t n = cth_sim_choose(8); n > 0; n--) {
        cth_yield();
    }
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_OK);
    sim_join(sender);
    sim_join(receiver);
    CTH_SIM_CHECK(sent == received);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

static cth_status receive_until(void *arg) {
    int value = -1;
    (void)arg;
    for (;;) {
        const cth_time deadline = cth_sim_choose(4) == 0 ? 0 : sim_soon();
        const cth_status status = cth_chan_recv_until(&chan, &value, deadline);
        if (status == CTH_OK) {
            CTH_SIM_CHECK(value == received);
            received++;
        } else if (status == CTH_CLOSED) {
            return CTH_OK;
        } else {
            CTH_SIM_CHECK(status == CTH_TIMEDOUT && cth_now() >= deadline);
        }
    }
}

static cth_status send_until(void *arg) {
    (void)arg;
    for (int i = 0; i < 3;) {
        const cth_status status = cth_chan_send_until(&chan, &i, sim_soon());
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        i += status == CTH_OK;
    }
    sent = 3;
    CTH_SIM_CHECK(cth_chan_close(&chan) == CTH_OK);
    return CTH_OK;
}

static cth_status timeouts(void *arg) {
    (void)arg;
    fresh(1);
    cth_thread *receiver = sim_spawn(receive_until, NULL);
    CTH_SIM_CHECK(send_until(NULL) == CTH_OK);
    sim_join(receiver);
    CTH_SIM_CHECK(received == 3);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

static cth_status send_under(void *arg) {
    CTH_UNDER(&token) {
        (void)send_three(arg);
    }
    return CTH_OK;
}

/* The sender is cancelled: what it sent, and no more, arrives. */
static cth_status cancelled(void *arg) {
    (void)arg;
    fresh(1);
    CTH_SIM_CHECK(cth_cancel_init(&token, NULL, CTH_FOREVER) == CTH_OK);
    cth_thread *sender = sim_spawn(send_under, NULL);
    int value;
    while (cth_chan_recv(&chan, &value) == CTH_OK && ++received < 1 + (int)cth_sim_choose(2)) {
    }
    CTH_SIM_CHECK(cth_cancel_request(&token, NULL) == CTH_OK);
    sim_join(sender);
    while (cth_chan_try_recv(&chan, &value) == CTH_OK) {
        received++;
    }
    CTH_SIM_CHECK(sent == received);
    CTH_SIM_CHECK(cth_cancel_destroy(&token) == CTH_OK);
    CTH_SIM_CHECK(cth_chan_destroy(&chan) == CTH_OK);
    return CTH_OK;
}

/* The receiver of the last value frees the channel while the send that gave it may not be back. */
static cth_status send_one(void *arg) {
    int one = 1;
    CTH_SIM_CHECK(cth_chan_send((cth_chan *)arg, &one) == CTH_OK);
    return CTH_OK;
}

static cth_status freed_at_once(void *arg) {
    static cth_chan gone;
    const cth_chan_desc single = {.single = true};
    int value;
    (void)arg;
    sim_begin();
    CTH_SIM_CHECK(cth_chan_init(&gone, sizeof(int), 1, &single) == CTH_OK);
    cth_thread *sender = sim_spawn(send_one, &gone);
    CTH_SIM_CHECK(cth_chan_recv(&gone, &value) == CTH_OK && value == 1);
    CTH_SIM_CHECK(cth_chan_destroy(&gone) == CTH_OK);
    sim_gone(&gone, sizeof gone);
    sim_join(sender);
    sim_untouched(&gone, sizeof gone);
    return CTH_OK;
}

/* -- a bug that must be found -------------------------------------------------------------------
 */

static cth__word work, asleep;
static cth_sem bell;

/* One thread shows its work and looks for a sleeper, the other shows that it will sleep and looks
   for work. Planted: no fence between the two steps. */
static cth_status worker(void *arg) {
    (void)arg;
    cth__store(&work, 1, release);
    if (!planted) {
        cth__fence_light();
    }
    if (cth__load(&asleep, acquire) != 0) {
        CTH_SIM_CHECK(cth_sem_release(&bell) == CTH_OK);
    }
    return CTH_OK;
}

static cth_status wake_without_fence(void *arg) {
    static const cth_sem none = CTH_SEM_INIT(0);
    (void)arg;
    sim_begin();
    cth__store(&work, 0, relaxed);
    cth__store(&asleep, 0, relaxed);
    bell = none;
    cth_thread *other = sim_spawn(worker, NULL);
    cth__store(&asleep, 1, release);
    if (!planted) {
        cth__fence_heavy();
    }
    if (cth__load(&work, acquire) == 0) {
        CTH_SIM_CHECK(cth_sem_acquire(&bell) == CTH_OK);
    }
    sim_join(other);
    return CTH_OK;
}

static void found(void) {
    SIM_FOUND(wake_without_fence, 0, "deadlock");
}

static void passing(void) {
    SIM_PASS(stream_1, SIM_WAITS, 4000);
    SIM_PASS(stream_2, SIM_WAITS, 4000);
    SIM_PASS(stream_unbounded, SIM_ALL, 4000);
    SIM_PASS(close_meets_both, SIM_WAITS, 4000);
    SIM_PASS(timeouts, SIM_WAITS, 4000);
    SIM_PASS(cancelled, SIM_WAITS, 4000);
    SIM_PASS(freed_at_once, 0, 4000);
}

static void complete(void) {
    SIM_COMPLETE(freed_at_once, 0);
}

static const test_case tests[] = {TEST(passing), TEST(complete), TEST(found)};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
