/* e12_atomic_operation.c - an operation that happens completely or not at all.

   Article : Python Threading and Synchronization, "Atomic operation"
   Python  : with lock:
                 saved = copy(accounts)
                 try: ...
                 except Exception: accounts = saved; raise
   Shows   : CTH_ATOMICALLY, CTH_ROLLBACK, cth_fail
   Look at : A has been charged when it shows that it cannot pay. CTH_ROLLBACK puts both numbers
             back, the return releases the lock, and the caller gets the error. Else a refused
             transfer would leave A below zero, or the next one waiting for ever.
   Build   : cc -std=c11 -I../.. e12_atomic_operation.c -pthread
   Prints  : the four lines of the threads in any order
     transferred 40
     transferred 40
     refused: A would be at -20
     refused: A would be at -20
     A: 20, B: 80
     transferred 20
     A: 0, B: 100 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4 };

static cth_mutex lock;
static struct {
    int a;
    int b;
} accounts = {100, 0}; // under `lock`

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status transfer(int amount) {
    CTH_ATOMICALLY(&lock, &accounts) {
        accounts.b += amount;
        accounts.a -= amount;
        if (accounts.a < 0) {
            CTH_ROLLBACK();
            return cth_fail(CTH_INVALID, "A would be at %d", accounts.a);
        }
    }
    return CTH_OK;
}

static void transfer_and_say(int amount) {
    if (transfer(amount) == CTH_OK) {
        printf("transferred %d\n", amount);
    } else {
        printf("refused: %s\n", cth_error_text());
    }
}

static cth_status worker(void *arg) {
    (void)arg;
    transfer_and_say(40);
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_spawn(&threads[i], worker, NULL, NULL));
    }
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    printf("A: %d, B: %d\n", accounts.a, accounts.b);
    transfer_and_say(20); // the lock is free
    printf("A: %d, B: %d\n", accounts.a, accounts.b);
    return 0;
}
