/* simulator_bank.c - the simulator finds a lost update and a deadlock, and passes what is right.

   Shows   : cth_sim_run, cth_sim_desc, cth_sim_report, cth_sim_explore; CTH_SIM_CHECK, CTH_SIM_NAME,
             CTH_SIM_READ, CTH_SIM_WRITE
   Look at : two transfers between two accounts, in five forms. The three wrong ones fail, and each
             failure comes back in two ways: by the seed, and by the schedule, which is the list of
             the few places where the order departs from the plain one. The two right forms pass
             random schedules, and every schedule within the bounds of an exhaustive search.
   Build   : cc -std=c11 -DCTHREADS_SIM -I../.. simulator_bank.c -pthread
   Prints  : the same in each run; seeds and numbers differ between versions of the kit. First the
             like for the two forms without locks, then:
     locks crossed: schedule 17 fails
     cthreads simulator: locks crossed: deadlock: every thread waits, and nothing can wake them
       replay with CTHREADS_SIM_SEED=9260656408219841379
       or with CTHREADS_SIM_SCHEDULE=2:1
       fails at step 98, virtual time 1.000000000 s
       MainThread waits for join of Thread-1
       Thread-1 waits for mutex "lock B", held by Thread-2
       Thread-2 waits for mutex "lock A", held by Thread-1
     again by seed: deadlock
     again by schedule: deadlock

     locks in one order, random: 1000 schedules pass
     locks in one order, priorities: 1000 schedules pass
     locks in one order, exhaustive: 30383 schedules pass, complete
     CTH_WITH_ALL, random: 1000 schedules pass
     CTH_WITH_ALL, priorities: 1000 schedules pass
     CTH_WITH_ALL, exhaustive: 30383 schedules pass, complete */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CTHREADS_SIM
#  error "simulator_bank.c is a program for the simulator: compile it with -DCTHREADS_SIM"
#endif

enum form { NO_LOCK, NO_LOCK_MARKED, CROSSED, ORDERED, WITH_ALL };

struct account {
    cth_mutex lock;
    long balance; // meant to be under `lock`
};

struct bank {
    enum form form;
    struct account a, b;
    cth_mutex log_lock;
    long log_lines; // under `log_lock`
};

static void move_ten(struct bank *bank, struct account *from, struct account *to) {
    const long left = from->balance - 10;
    CTH_WITH(&bank->log_lock) {
        bank->log_lines++;
    }
    from->balance = left; // what another transfer has done since the line above is lost
    to->balance += 10;
}

static void transfer(struct bank *bank, struct account *from, struct account *to) {
    struct account *first = from < to ? from : to;
    struct account *second = from < to ? to : from;
    if (bank->form == NO_LOCK) {
        move_ten(bank, from, to);
    } else if (bank->form == NO_LOCK_MARKED) { // tell the simulator what move_ten does
        CTH_SIM_READ(from->balance);
        CTH_SIM_WRITE(from->balance);
        CTH_SIM_WRITE(to->balance);
        move_ten(bank, from, to);
    } else if (bank->form == CROSSED) { // A-B in one thread, B-A in the other
        CTH_WITH(&from->lock) {
            CTH_WITH(&to->lock) {
                move_ten(bank, from, to);
            }
        }
    } else if (bank->form == ORDERED) { // A-B in both
        CTH_WITH(&first->lock) {
            CTH_WITH(&second->lock) {
                move_ten(bank, from, to);
            }
        }
    } else {
        CTH_WITH_ALL(&from->lock, &to->lock) {
            move_ten(bank, from, to);
        }
    }
}

static cth_status there(void *arg) {
    struct bank *bank = arg;
    cth_sim_explore(true); // the threads of one that does not explore do not either
    transfer(bank, &bank->a, &bank->b);
    return CTH_OK;
}

static cth_status back(void *arg) {
    struct bank *bank = arg;
    cth_sim_explore(true);
    transfer(bank, &bank->b, &bank->a);
    return CTH_OK;
}

/* One schedule: a fresh bank, two transfers at the same time, and what must be true then. */
static cth_status scenario(void *arg) {
    struct bank bank = {.form = *(const enum form *)arg, .a.balance = 100, .b.balance = 100};
    cth_thread *threads[2];
    cth_sim_explore(false); // starting and joining is not what this is about
    CTH_SIM_NAME(bank.a.lock, "lock A");
    CTH_SIM_NAME(bank.b.lock, "lock B");
    CTH_SIM_NAME(bank.a.balance, "balance A");
    CTH_SIM_NAME(bank.b.balance, "balance B");
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_thread_spawn(&threads[i], i == 0 ? there : back, &bank, NULL) == CTH_OK);
    }
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_thread_join(threads[i], NULL) == CTH_OK);
        cth_thread_release(threads[i]);
    }
    CTH_SIM_CHECK(bank.a.balance == 100 && bank.b.balance == 100);
    return CTH_OK;
}

/* End the program with the reason unless `condition`. */
static void check(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "%s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* Print a report without the latest operations of each thread. */
static void print_report(const char *text) {
    while (*text != '\0') {
        const int length = (int)strcspn(text, "\n");
        if (strncmp(text, "    ", 4) != 0) {
            printf("%.*s\n", length, text);
        }
        text += length + (text[length] == '\n');
    }
}

/* A wrong form: find a failing schedule, then have the failure again in two ways. */
static void must_fail(const char *name, enum form form) {
    cth_sim_report found, again;
    const cth_sim_desc find = {.name = name, .schedules = 100000, .quiet = true, .report = &found};
    check(cth_sim_run(&find, scenario, &form) == CTH_FAILED, "the bug was not found");
    printf("%s: schedule %llu fails\n", name, (unsigned long long)found.schedules);
    print_report(found.text);

    const cth_sim_desc by_seed = {
        .name = name, .seed = found.seed, .schedules = 1, .quiet = true, .report = &again};
    check(cth_sim_run(&by_seed, scenario, &form) == CTH_FAILED, "not again by its seed");
    printf("again by seed: %s\n", again.kind);

    const cth_sim_desc by_schedule = {
        .name = name,
        .schedule = found.changes == 0 ? "0:0" : found.schedule, // 0:0 is the plain order
        .quiet = true,
        .report = &again};
    check(cth_sim_run(&by_schedule, scenario, &form) == CTH_FAILED, "not again by its schedule");
    printf("again by schedule: %s\n\n", again.kind);
}

/* A right form: run it by each strategy. */
static void must_pass(const char *name, enum form form) {
    static const char *const strategies[] = {"random", "priorities", "exhaustive"};
    for (int i = CTH_SIM_RANDOM; i <= CTH_SIM_EXHAUSTIVE; i++) {
        cth_sim_report report;
        const cth_sim_desc desc = {
            .name = name, .strategy = (cth_sim_strategy)i, .report = &report};
        check(cth_sim_run(&desc, scenario, &form) == CTH_OK, "a right form failed");
        printf("%s, %s: %llu schedules pass%s\n", name, strategies[i],
               (unsigned long long)report.schedules, report.complete ? ", complete" : "");
    }
}

int main(void) {
    must_fail("no lock", NO_LOCK);
    must_fail("no lock, accesses marked", NO_LOCK_MARKED);
    must_fail("locks crossed", CROSSED);
    must_pass("locks in one order", ORDERED);
    must_pass("CTH_WITH_ALL", WITH_ALL);
    return 0;
}
