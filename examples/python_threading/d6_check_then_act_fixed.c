/* d6_check_then_act_fixed.c - the check and the act under one lock.

   Article : Python Threading, "Advice: check-then-act"
   Python  : with lock:
                 if balance >= amount: balance -= amount
   Shows   : CTH_WITH around the whole decision
   Look at : what was wrong with d6_check_then_act.c: between its check and its act another
             thread may act. Here the answer to the question stays true until the lock is
             released.
   Build   : cc -std=c11 -I../.. d6_check_then_act_fixed.c -pthread
   Prints  : either of the two gets the money, never both
     Alice withdrew 80
     Bob refused
     balance: 20 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_mutex lock;
static int balance = 100; // under `lock`

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status withdraw(void *arg) {
    const char *name = arg;
    CTH_WITH(&lock) {
        if (balance >= 80) {
            check(cth_sleep(CTH_MS(100))); // the customer counts the notes
            balance -= 80;
            printf("%s withdrew 80\n", name);
        } else {
            printf("%s refused\n", name);
        }
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
    printf("balance: %d\n", balance);
    return 0;
}
