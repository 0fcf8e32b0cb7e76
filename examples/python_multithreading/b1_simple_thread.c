/* b1_simple_thread.c - one thread counts while the main thread waits for it.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples,
             "Simple thread"
   Python  : t = threading.Thread(target=print_numbers); t.start(); t.join()
   Shows   : cth_thread_spawn, cth_thread_join
   Look at : create and start are one call here; a handle is given back with release.
   Build   : cc -std=c11 -I../.. b1_simple_thread.c -pthread
   Prints  : one number each second
     0
     1
     2
     3
     4 */
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

static cth_status print_numbers(void *arg) {
    (void)arg;
    for (int i = 0; i < 5; i++) {
        check(cth_sleep(CTH_S(1)));
        printf("%d\n", i);
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, print_numbers, NULL, NULL));
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    return 0;
}
