/* fault_alloc_chan.c - every allocation of a channel fails in turn.

   As fault_alloc.c: each scenario is one call. It runs in a process of its own, forked before the
   kit was used, and there the k-th allocation of that call fails (and, in a second pass, all from
   the k-th on). The call must return its documented status, change nothing (a batch: say what has
   gone), and succeed when it is made again; made many times it must not make the number of live
   blocks grow. k = 0, 1, 2, ... until the call gets through without meeting the failure.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void *fault_malloc(size_t size);
static void fault_free(void *block);
#define CTH_MALLOC(size) fault_malloc(size)
#define CTH_FREE(block)  fault_free(block)
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"

enum { NEVER = -1 };

static atomic_int countdown = NEVER; // allocations that still succeed; NEVER: all of them
static atomic_bool fail_rest;        // after the countdown all fail, not just one
static atomic_int failures;
static atomic_int live_blocks;

static void *fault_malloc(size_t size) {
    int left = atomic_load(&countdown);
    while (left != NEVER) {
        const int next = left > 0 ? left - 1 : atomic_load(&fail_rest) ? 0 : NEVER;
        if (atomic_compare_exchange_strong(&countdown, &left, next)) {
            if (left == 0) {
                atomic_fetch_add(&failures, 1);
                return NULL;
            }
            break;
        }
    }
    void *block = malloc(size);
    if (block != NULL) {
        memset(block, 0xA5, size); // nobody may count on zeroes
        atomic_fetch_add(&live_blocks, 1);
    }
    return block;
}

static void fault_free(void *block) {
    if (block != NULL) {
        atomic_fetch_sub(&live_blocks, 1);
        free(block);
    }
}

static void arm(int k, bool rest) {
    atomic_store(&failures, 0);
    atomic_store(&fail_rest, rest);
    atomic_store(&countdown, k);
}

/* Let allocations succeed again; returns how many failed since arm. */
static int disarm(void) {
    atomic_store(&countdown, NEVER);
    return atomic_load(&failures);
}

/* ------------------------------------------------------------------------------------------------
   Scenarios. act: the call under test. unchanged: what must hold after it failed. undo: what makes
   the same call possible again after it succeeded. All three run in the same thread; prepare and
   finish in the main one. No allocation fails in any but act.
   ------------------------------------------------------------------------------------------------
 */

enum { IN_MAIN, IN_FOREIGN, IN_KIT };

typedef struct scenario {
    const char *name;
    int where;
    int at_least, at_most; /* allocations that fail in the first pass */
    void (*prepare)(void);
    cth_status (*act)(void);
    void (*unchanged)(void);
    void (*undo)(void);
    void (*finish)(void);
} scenario;

enum { VALUE = 7, BLOCK = CTH__BLOCK_LEN(sizeof(int)), BLOCKS = 3 };

CTH_CHAN_OF(int, int_chan);

static cth_chan chan, before;
static int_chan typed;
static cth_thread *waiter;
static int put, got; // values that have gone through `chan`

static void use_kit(void) {
    CHECK(cth_thread_current() != NULL);
}

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

enum { ANY = 1000 };

#define FAILS_WITH_NOMEM(least) (least), ANY
#define FAILS_TIMES(n)          (n), (n)
#define NEVER_ALLOCATES         0, 0

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

enum { SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]) };

/* ------------------------------------------------------------------------------------------------
   Running one scenario in one process.
   ------------------------------------------------------------------------------------------------
 */

enum { EXIT_DONE = 0, EXIT_FAILED_ONE = 10, REPEATS = 12, GUARD_SECONDS = 60 };

typedef struct job {
    const scenario *what;
    int k;
    bool rest;
    bool met; /* the failure was met */
} job;

static void call(void (*step)(void)) {
    if (step != NULL) {
        step();
    }
}

static void run_once(job *j) {
    const scenario *s = j->what;
    arm(j->k, j->rest);
    const cth_status status = s->act();
    const int failed = disarm();
    if (status != CTH_OK) {
        if (status != CTH_NOMEM || failed == 0) {
            fprintf(stderr, "fault_alloc_chan: %s, allocation %d%s: %s with %d failures\n", s->name,
                    j->k, j->rest ? " and all later" : "", cth_status_name(status), failed);
        }
        CHECK(failed > 0);
        CHECK_STATUS(status, CTH_NOMEM);
        call(s->unchanged);
        CHECK_STATUS(s->act(), CTH_OK);
    }
    // With CTH_OK in spite of a failure the call found a way without; undo checks its effect.
    j->met = failed > 0;
    call(s->undo);
}

static void *foreign_once(void *arg) {
    run_once((job *)arg);
    return NULL;
}

static cth_status kit_once(void *arg) {
    run_once((job *)arg);
    return CTH_OK;
}

static void run_where(job *j) {
    if (j->what->where == IN_MAIN) {
        run_once(j);
    } else if (j->what->where == IN_FOREIGN) {
        pthread_t id;
        CHECK(pthread_create(&id, NULL, foreign_once, j) == 0);
        CHECK(pthread_join(id, NULL) == 0);
    } else {
        cth_thread *t = NULL;
        CHECK_STATUS(cth_thread_spawn(&t, kit_once, j, NULL), CTH_OK);
        CHECK_STATUS(cth_thread_join(t, NULL), CTH_OK);
        cth_thread_release(t);
    }
}

/* The child: one k in a fresh process, then the same again and again to see whether blocks pile
   up. The first rounds may leave what is kept for ever: records of threads. */
static int run_child(job j) {
    alarm(GUARD_SECONDS);
    call(j.what->prepare);
    run_where(&j);
    const bool met = j.met;
    int settled = 0;
    for (int i = 0; i < REPEATS; i++) {
        run_where(&j);
        if (i == REPEATS / 2) {
            settled = atomic_load(&live_blocks);
        }
    }
    if (atomic_load(&live_blocks) > settled) {
        fprintf(stderr, "fault_alloc_chan: %s: %d live blocks, later %d\n", j.what->name, settled,
                atomic_load(&live_blocks));
    }
    CHECK(atomic_load(&live_blocks) <= settled);
    call(j.what->finish);
    return met ? EXIT_FAILED_ONE : EXIT_DONE;
}

/* Run a scenario for all k; returns how many allocations were made to fail. */
static int run_scenario(const scenario *s, bool rest) {
    for (int k = 0;; k++) {
        CHECK(k < ANY);
        fflush(stdout);
        fflush(stderr);
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            atomic_store(&test_name, s->name);
            exit(run_child((job){s, k, rest, false}));
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid);
        const bool exited = WIFEXITED(status);
        if (exited && WEXITSTATUS(status) == EXIT_DONE) {
            return k;
        }
        if (!exited || WEXITSTATUS(status) != EXIT_FAILED_ONE) {
            fprintf(stderr, "fault_alloc_chan: %s, allocation %d%s: %s %d\n", s->name, k,
                    rest ? " and all later" : "", exited ? "exit status" : "signal",
                    exited ? WEXITSTATUS(status) : WTERMSIG(status));
        }
        CHECK(exited && WEXITSTATUS(status) == EXIT_FAILED_ONE);
    }
}

static void run_all(bool rest) {
    int points = 0;
    for (int i = 0; i < SCENARIOS; i++) {
        const scenario *s = &scenarios[i];
        const int n = run_scenario(s, rest);
        if (n < s->at_least || n > s->at_most) {
            fprintf(stderr, "fault_alloc_chan: %s: %d allocations, expected %d to %d\n", s->name, n,
                    s->at_least, s->at_most);
        }
        CHECK(n >= s->at_least && n <= s->at_most);
        points += n;
    }
    printf("fault_alloc_chan: %d scenarios, %d allocation points failed%s\n", (int)SCENARIOS,
           points, rest ? ", each with all later ones" : "");
    CHECK(points >= SCENARIOS / 2);
}

/* Not test_run, which uses the kit: the children must find it untouched. They guard themselves by
   an alarm. */
int main(void) {
    run_all(false);
    run_all(true);
    return EXIT_SUCCESS;
}
