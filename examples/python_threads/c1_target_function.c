/* c1_target_function.c - a thread that runs a function.

   Article : Python Threads: Concepts and Implementation Examples, "Target function"
   Python  : t = Thread(target=task, args=("Alice",))
             t.start()
             print("Main thread")
   Shows   : cth_thread_spawn, cth_thread_release, the wait at exit
   Look at : main does not join, and Alice's line comes all the same: as in Python, the program
             waits for its threads at exit.
   Build   : cc -std=c11 -I../.. c1_target_function.c -pthread
   Prints  : in either order
     Alice is running
     Main thread */
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
    return CTH_OK;
}

int main(void) {
    static char name[] = "Alice"; // static: the thread may outlive this function
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, task, name, NULL));
    cth_thread_release(thread);
    puts("Main thread");
    return 0;
}
