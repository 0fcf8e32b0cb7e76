/* d1_thread.c - two workers run side by side.

   Article : Python Threading, "Thread"
   Python  : def worker(name):
                 for i in range(3): print(name, i); time.sleep(0.1)
             Thread(target=worker, args=("A",)).start(); ...
   Shows   : cth_thread_spawn, cth_thread_join
   Look at : each worker counts in order; how the two mix is up to the scheduler.
   Build   : cc -std=c11 -I../.. d1_thread.c -pthread
   Prints  :
     A 0
     B 0
     A 1        (and so on, three lines of each) */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    const char *name = arg;
    for (int i = 0; i < 3; i++) {
        printf("%s %d\n", name, i);
        check(cth_sleep(CTH_MS(100)));
    }
    return CTH_OK;
}

int main(void) {
    char names[2][2] = {"A", "B"};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], worker, names[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
