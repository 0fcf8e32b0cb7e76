/* d6_check_then_act.c - "is there enough?" and "take it" must be one step.

   Article : Python Threading, "Advice: check-then-act"
   Python  : if balance >= amount: balance -= amount
   Shows   : a race without undefined behaviour
   Look at : the trap. Each step is atomic, the pair of them is not: both threads see 100, and
             both take 80. d6_check_then_act_fixed.c puts the pair under one lock.
   Build   : cc -std=c11 -I../.. d6_check_then_act.c -pthread
   Prints  : nearly always
     Alice withdrew 80
     Bob withdrew 80
     balance: -60 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_int balance = 100;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status withdraw(void *arg) {
    const char *name = arg;
    if (atomic_load(&balance) >= 80) {
        check(cth_sleep(CTH_MS(100))); // the customer counts the notes
        atomic_fetch_sub(&balance, 80);
        printf("%s withdrew 80\n", name);
    } else {
        printf("%s refused\n", name);
    }
    return CTH_OK;
}

int main(void) {
    char names[2][8] = {"Alice", "Bob"};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], withdraw, names[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    printf("balance: %d\n", atomic_load(&balance));
    return 0;
}
