/* fault_alloc_chan.c - every allocation of a channel fails in turn; how, fault_alloc.h says. A batch
   whose allocation fails says what has gone.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#include "fault_alloc.h"

enum { VALUE = 7, BLOCK = CTH__BLOCK_LEN(sizeof(int)), BLOCKS = 3 };

CTH_CHAN_OF(int, int_chan);

static cth_chan chan, before;
static int_chan typed;
static cth_thread *waiter;
static int put, got; // values that have gone through `chan`

// --- init ---

static cth_status init_as(size_t capacity, bool single) {
    const cth_chan_desc desc = {.single = single};
    memset(&chan, 0x5A, sizeof chan);
    before = chan;
    put = got = 0;
    return cth_chan_init(&chan, sizeof(int), capacity, &desc);
}

static cth_status act_init_ring(void) {
    return init_as(5, false);
}

static cth_status act_init_single(void) {
    return init_as(5, true);
}

static cth_status act_init_unbounded(void) {
    return init_as(CTH_UNBOUNDED, false);
}

static cth_status act_init_rendezvous(void) {
    return init_as(0, false);
}

static void not_made(void) {
    CHECK(memcmp(&chan, &before, sizeof chan) == 0);
}

static void destroy(void) {
    CHECK_STATUS(cth_chan_destroy(&chan), CTH_OK);
}

// --- send without a bound ---

static void send_it(int value) {
    CHECK_STATUS(cth_chan_send(&chan, &value), CTH_OK);
}

/* The next send needs a block. */
static void prepare_full_block(void) {
    CHECK_STATUS(act_init_unbounded(), CTH_OK);
    for (put = 0; put < (int)BLOCK; put++) {
        send_it(put);
    }
}

static cth_status act_send(void) {
    return cth_chan_send(&chan, &put);
}

static cth_status act_try_send(void) {
    return cth_chan_try_send(&chan, &put);
}

static cth_status act_send_until(void) {
    return cth_chan_send_until(&chan, &put, cth_after(CTH_S(100)));
}

static void block_is_full(void) {
    CHECK_EQ(cth_chan_len(&chan), BLOCK);
    CHECK(!cth_chan_is_closed(&chan));
}

/* All values are there, in order. */
static void receive_all(void) {
    CHECK_EQ(cth_chan_len(&chan), put - got);
    for (; got < put; got++) {
        int value = -1;
        CHECK_STATUS(cth_chan_recv(&chan, &value), CTH_OK);
        CHECK_EQ(value, got);
    }
    CHECK_STATUS(cth_chan_try_recv(&chan, &(int){0}), CTH_EMPTY);
}

static void undo_send(void) {
    put++;
    receive_all();
    destroy();
    prepare_full_block();
}

static void prepare_unbounded(void) {
    CHECK_STATUS(act_init_unbounded(), CTH_OK);
}

/* Goes on where the call before has stopped. */
static cth_status send_batch(cth_status (*send)(const int *values, size_t n, size_t *sent)) {
    int values[BLOCKS * BLOCK];
    size_t sent = 12345;
    const int n = (int)(sizeof values / sizeof *values) - put;
    for (int i = 0; i < n; i++) {
        values[i] = put + i;
    }
    const cth_status status = send(values, (size_t)n, &sent);
    CHECK(status == CTH_OK ? sent == (size_t)n : sent < (size_t)n);
    CHECK(status == CTH_OK || (put + (int)sent) % (int)BLOCK == 0);
    put += (int)sent;
    return status;
}

static cth_status send_n(const int *values, size_t n, size_t *sent) {
    return cth_chan_send_n(&chan, values, n, sent);
}

static cth_status try_send_n(const int *values, size_t n, size_t *sent) {
    return cth_chan_try_send_n(&chan, values, n, sent);
}

static cth_status act_send_n(void) {
    return send_batch(send_n);
}

static cth_status act_try_send_n(void) {
    return send_batch(try_send_n);
}

static void part_has_gone(void) {
    CHECK_EQ(cth_chan_len(&chan), put);
}

static void undo_send_n(void) {
    CHECK_EQ(put, BLOCKS * BLOCK);
    receive_all();
    destroy();
    prepare_unbounded();
}

static void prepare_typed(void) {
    CHECK_STATUS(int_chan_init(&typed, CTH_UNBOUNDED, NULL), CTH_OK);
    for (int i = 0; i < (int)BLOCK; i++) {
        CHECK_STATUS(int_chan_send(&typed, i), CTH_OK);
    }
}

static cth_status act_typed_send(void) {
    return int_chan_send(&typed, BLOCK);
}

static void typed_is_full(void) {
    CHECK_EQ(cth_chan_len(&typed.chan), BLOCK);
}

static void finish_typed(void) {
    CHECK_STATUS(cth_chan_destroy(&typed.chan), CTH_OK);
}

static void undo_typed_send(void) {
    for (int i = 0; i <= (int)BLOCK; i++) {
        int value = -1;
        CHECK_STATUS(int_chan_recv(&typed, &value), CTH_OK);
        CHECK_EQ(value, i);
    }
    finish_typed();
    prepare_typed();
}

// --- calls that may be the first one of a thread ---

static void prepare_ring(void) {
    CHECK_STATUS(act_init_ring(), CTH_OK);
}

static void prepare_full_ring(void) {
    prepare_ring();
    for (put = 0; put < 5; put++) {
        send_it(put);
    }
}

static void prepare_rendezvous(void) {
    CHECK_STATUS(act_init_rendezvous(), CTH_OK);
}

static cth_status act_send_fast(void) {
    return cth_chan_send(&chan, &(int){VALUE});
}

static void one_inside(void) {
    int value = -1;
    CHECK_EQ(cth_chan_len(&chan), 1);
    CHECK_STATUS(cth_chan_recv(&chan, &value), CTH_OK);
    CHECK_EQ(value, VALUE);
}

static void nothing_inside(void) {
    CHECK_EQ(cth_chan_len(&chan), 0);
    CHECK(!cth_chan_is_closed(&chan));
}

static void still_full(void) {
    CHECK_EQ(cth_chan_len(&chan), 5);
}

static cth_status act_recv_empty(void) {
    int value = -1;
    const cth_status status = cth_chan_recv_until(&chan, &value, cth_after(CTH_US(10)));
    CHECK_EQ(value, -1);
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_try_recv_empty(void) {
    int value = -1;
    const cth_status status = cth_chan_try_recv(&chan, &value);
    CHECK_EQ(value, -1);
    return status == CTH_EMPTY ? CTH_OK : status;
}

static cth_status act_recv_n_empty(void) {
    int value = -1;
    size_t n = 12345;
    const cth_status status = cth_chan_recv_n_until(&chan, &value, 1, &n, cth_after(CTH_US(10)));
    CHECK(value == -1 && n == 0);
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_send_full(void) {
    const cth_status status = cth_chan_send_until(&chan, &(int){VALUE}, cth_after(CTH_US(10)));
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_try_send_full(void) {
    const cth_status status = cth_chan_try_send(&chan, &(int){VALUE});
    return status == CTH_FULL ? CTH_OK : status;
}

static cth_status act_close(void) {
    return cth_chan_close(&chan);
}

static void undo_close(void) {
    CHECK(cth_chan_is_closed(&chan));
    CHECK_STATUS(cth_chan_recv(&chan, &(int){0}), CTH_CLOSED);
    destroy();
    prepare_ring();
}

static cth_status act_destroy(void) {
    return cth_chan_destroy(&chan);
}

// --- with a waiter ---

static cth_status waited; // what the waiter's call returned

static cth_status wait_recv(void *arg) {
    int value = -1;
    (void)arg;
    waited = cth_chan_recv(&chan, &value);
    CHECK_EQ(value, waited == CTH_OK ? VALUE : -1);
    return CTH_OK;
}

/* Seen asleep (or about to be) by the mark in the word that a send changes. */
static void start_waiter(void) {
    CHECK_STATUS(cth_thread_spawn(&waiter, wait_recv, NULL, NULL), CTH_OK);
    while ((cth__load(&chan.rear.at, relaxed) & CTH__CHAN_SLEEPERS) == 0) {
        cth_yield();
    }
}

static void prepare_waiter(void) {
    prepare_ring();
    start_waiter();
}

static cth_status join_waiter(void) {
    CHECK_STATUS(cth_thread_join(waiter, NULL), CTH_OK);
    cth_thread_release(waiter);
    return waited;
}

static void undo_send_to_waiter(void) {
    CHECK_STATUS(join_waiter(), CTH_OK);
    nothing_inside();
    start_waiter();
}

static void finish_waiter(void) {
    CHECK_STATUS(act_close(), CTH_OK);
    CHECK_STATUS(join_waiter(), CTH_CLOSED);
    destroy();
}

static void undo_close_with_waiter(void) {
    CHECK_STATUS(join_waiter(), CTH_CLOSED);
    destroy();
    prepare_waiter();
}

// One line or two for each; the formatter would make it ten.
// clang-format off
static const scenario scenarios[] = {
    {"init a ring", IN_MAIN, FAILS_TIMES(1), use_kit, act_init_ring, not_made, destroy, NULL},
    {"init a single ring", IN_KIT, FAILS_TIMES(1), NULL, act_init_single, not_made, destroy,
     NULL},
    {"init without a bound", IN_KIT, FAILS_TIMES(1), NULL, act_init_unbounded, not_made, destroy,
     NULL},
    {"init a rendezvous", IN_KIT, NEVER_ALLOCATES, NULL, act_init_rendezvous, not_made, destroy,
     NULL},
    {"init as the first call", IN_MAIN, FAILS_WITH_NOMEM(1), NULL, act_init_ring, not_made,
     destroy, NULL},
    {"init in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(2), NULL, act_init_unbounded,
     not_made, destroy, NULL},
    {"init a rendezvous in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL,
     act_init_rendezvous, not_made, destroy, NULL},
    {"send into a new block", IN_KIT, FAILS_TIMES(1), prepare_full_block, act_send, block_is_full,
     undo_send, destroy},
    {"try send into a new block", IN_KIT, FAILS_TIMES(1), prepare_full_block, act_try_send,
     block_is_full, undo_send, destroy},
    {"send until into a new block", IN_KIT, FAILS_TIMES(1), prepare_full_block, act_send_until,
     block_is_full, undo_send, destroy},
    {"send into a new block in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(2),
     prepare_full_block, act_send, block_is_full, undo_send, destroy},
    {"send n over three blocks", IN_KIT, FAILS_TIMES(BLOCKS - 1), prepare_unbounded, act_send_n,
     part_has_gone, undo_send_n, destroy},
    {"try send n over three blocks", IN_KIT, FAILS_TIMES(BLOCKS - 1), prepare_unbounded,
     act_try_send_n, part_has_gone, undo_send_n, destroy},
    {"typed send into a new block", IN_KIT, FAILS_TIMES(1), prepare_typed, act_typed_send,
     typed_is_full, undo_typed_send, finish_typed},
    {"send in a foreign thread", IN_FOREIGN, NEVER_ALLOCATES, prepare_ring, act_send_fast, NULL,
     one_inside, destroy},
    {"recv from an empty one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_ring,
     act_recv_empty, nothing_inside, nothing_inside, destroy},
    {"recv n from an empty one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1),
     prepare_ring, act_recv_n_empty, nothing_inside, nothing_inside, destroy},
    {"try recv from an empty one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0),
     prepare_ring, act_try_recv_empty, nothing_inside, nothing_inside, destroy},
    {"send to a full one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full_ring,
     act_send_full, still_full, still_full, destroy},
    {"try send to a full one in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0),
     prepare_full_ring, act_try_send_full, still_full, still_full, destroy},
    {"send at a rendezvous in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1),
     prepare_rendezvous, act_send_full, nothing_inside, nothing_inside, destroy},
    {"recv at a rendezvous in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1),
     prepare_rendezvous, act_recv_empty, nothing_inside, nothing_inside, destroy},
    {"recv from an empty one", IN_KIT, NEVER_ALLOCATES, prepare_ring, act_recv_empty, NULL,
     nothing_inside, destroy},
    {"send to a full one", IN_KIT, NEVER_ALLOCATES, prepare_full_ring, act_send_full, NULL,
     still_full, destroy},
    {"recv at a rendezvous", IN_KIT, NEVER_ALLOCATES, prepare_rendezvous, act_recv_empty, NULL,
     nothing_inside, destroy},
    {"close in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_ring, act_close,
     nothing_inside, undo_close, destroy},
    {"close", IN_KIT, NEVER_ALLOCATES, prepare_ring, act_close, NULL, undo_close, destroy},
    {"destroy in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_full_ring,
     act_destroy, still_full, prepare_full_ring, destroy},
    {"destroy", IN_KIT, NEVER_ALLOCATES, prepare_full_block, act_destroy, NULL,
     prepare_full_block, destroy},
    {"send with a waiter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_waiter,
     act_send_fast, nothing_inside, undo_send_to_waiter, finish_waiter},
    {"send with a waiter", IN_KIT, NEVER_ALLOCATES, prepare_waiter, act_send_fast, NULL,
     undo_send_to_waiter, finish_waiter},
    {"close with a waiter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_waiter,
     act_close, nothing_inside, undo_close_with_waiter, finish_waiter},
    {"close with a waiter", IN_KIT, NEVER_ALLOCATES, prepare_waiter, act_close, NULL,
     undo_close_with_waiter, finish_waiter},
};
// clang-format on

int main(void) {
    FAULT_RUN("fault_alloc_chan", scenarios);
    return EXIT_SUCCESS;
}
