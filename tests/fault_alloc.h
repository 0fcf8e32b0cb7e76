/* fault_alloc.h - for the programs fault_alloc*.c, in which every allocation of the kit fails in turn.

   Each scenario is one call. It runs in a process of its own, forked before the kit was used, and
   there the k-th allocation of that call fails (and, in a second pass, all from the k-th on). The
   call must return CTH_NOMEM, change nothing, and succeed when it is made again; made many times it
   must not make the number of live blocks grow. k = 0, 1, 2, ... until the call gets through without
   meeting the failure. The summary says how many allocations were made to fail. Under
   AddressSanitizer a process that leaks fails too.

       #include "fault_alloc.h" // before everything else: with the kit, and its implementation
       static const scenario scenarios[] = {{"event set", IN_KIT, NEVER_ALLOCATES, prepare, ...}};
       int main(void) {
           FAULT_RUN("fault_alloc_event", scenarios);
           return EXIT_SUCCESS;
       }

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef FAULT_ALLOC_H_INCLUDED
#define FAULT_ALLOC_H_INCLUDED

#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
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

static const char *fault_program; // its name

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

enum { ANY = 1000 };

#define FAILS_WITH_NOMEM(least) (least), ANY
#define FAILS_TIMES(n)          (n), (n)
#define NEVER_ALLOCATES         0, 0

static void use_kit(void) {
    CHECK(cth_thread_current() != NULL);
}

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
            fprintf(stderr, "%s: %s, allocation %d%s: %s with %d failures\n", fault_program,
                    s->name, j->k, j->rest ? " and all later" : "", cth_status_name(status),
                    failed);
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
        fprintf(stderr, "%s: %s: %d live blocks, later %d\n", fault_program, j.what->name, settled,
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
            fprintf(stderr, "%s: %s, allocation %d%s: %s %d\n", fault_program, s->name, k,
                    rest ? " and all later" : "", exited ? "exit status" : "signal",
                    exited ? WEXITSTATUS(status) : WTERMSIG(status));
        }
        CHECK(exited && WEXITSTATUS(status) == EXIT_FAILED_ONE);
    }
}

static void run_all(const scenario *scenarios, int count, bool rest) {
    int points = 0;
    for (int i = 0; i < count; i++) {
        const scenario *s = &scenarios[i];
        const int n = run_scenario(s, rest);
        if (n < s->at_least || n > s->at_most) {
            fprintf(stderr, "%s: %s: %d allocations, expected %d to %d\n", fault_program, s->name,
                    n, s->at_least, s->at_most);
        }
        CHECK(n >= s->at_least && n <= s->at_most);
        points += n;
    }
    printf("%s: %d scenarios, %d allocation points failed%s\n", fault_program, count, points,
           rest ? ", each with all later ones" : "");
    CHECK(points >= count / 2);
}

/* Not test_run, which uses the kit: the children must find it untouched. They guard themselves by
   an alarm. */
static void fault_run(const char *program, const scenario *scenarios, int count) {
    fault_program = program;
    run_all(scenarios, count, false);
    run_all(scenarios, count, true);
}
/* fault_run(program, scenarios, <their number>) */
#define FAULT_RUN(program, scenarios) \
  fault_run((program), (scenarios), (int)(sizeof(scenarios) / sizeof *(scenarios)))

#endif /* FAULT_ALLOC_H_INCLUDED */
