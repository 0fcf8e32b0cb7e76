/* e11_transfer_money_with_all.c - e11_transfer_money.c, with the ordering left to the kit.

   Article : Python Threading and Synchronization, "Deadlock prevention"
   Python  : first, second = sorted([a.lock, b.lock], key=id)
             with first:
                 with second: a.balance -= amount; b.balance += amount
   Shows   : CTH_WITH_ALL
   Look at : transfer_money names the locks as they come. CTH_WITH_ALL sorts them, and takes one
             that is named twice only once, so the transfer to oneself needs no special case.
   Build   : cc -std=c11 -I../.. e11_transfer_money_with_all.c -pthread
   Prints  :
     A: 6000
     B: 4000
     Total: 10000 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct account {
    cth_mutex lock;
    long balance; // under `lock`
};

struct order {
    struct account *from;
    struct account *to;
    long amount;
};

static struct account accounts[2] = {{CTH_MUTEX_INIT, 5000}, {CTH_MUTEX_INIT, 5000}};

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static void transfer_money(struct account *from, struct account *to, long amount) {
    CTH_WITH_ALL(&from->lock, &to->lock) {
        from->balance -= amount;
        to->balance += amount;
    }
}

static cth_status run(void *arg) {
    const struct order *order = arg;
    for (int i = 0; i < 1000; i++) {
        transfer_money(order->from, order->to, order->amount);
    }
    return CTH_OK;
}

int main(void) {
    struct order orders[3] = {{&accounts[0], &accounts[1], 1},
                              {&accounts[1], &accounts[0], 2},
                              {&accounts[0], &accounts[0], 3}};
    cth_thread *threads[3];
    for (int i = 0; i < 3; i++) {
        check(cth_thread_spawn(&threads[i], run, &orders[i], NULL));
    }
    for (int i = 0; i < 3; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    const long a = accounts[0].balance;
    const long b = accounts[1].balance;
    printf("A: %ld\nB: %ld\nTotal: %ld\n", a, b, a + b);
    return 0;
}
