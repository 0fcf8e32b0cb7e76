/* c9_is_alive.c - ask whether a thread still runs.

   Article : Python Threads: Concepts and Implementation Examples, "is_alive"
   Python  : t.start(); print(t.is_alive()); print("Main thread")
   Shows   : cth_thread_is_alive
   Look at : a thread is alive when spawn returns, even if it has not printed yet.
   Build   : cc -std=c11 -I../.. c9_is_alive.c -pthread
   Prints  : the first line anywhere before the last, which comes after 2 s
     Grace is running
     True
     Main thread
     Grace is over */
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

static cth_status task(void *arg) {
    const char *name = arg;
    printf("%s is running\n", name);
    check(cth_sleep(CTH_S(2)));
    printf("%s is over\n", name);
    return CTH_OK;
}

int main(void) {
    static char name[] = "Grace";
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, task, name, NULL));
    puts(cth_thread_is_alive(thread) ? "True" : "False");
    puts("Main thread");
    cth_thread_release(thread); // the program waits for the thread at exit
    return 0;
}
