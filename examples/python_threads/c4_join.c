/* c4_join.c - the main thread waits for another one.

   Article : Python Threads: Concepts and Implementation Examples, "join"
   Python  : t = Thread(target=task, args=("Dave",)); t.start(); t.join()
             print("Main thread continues")
   Shows   : cth_thread_join
   Look at : the second line comes after the first, always: join returns when the thread has
             ended.
   Build   : cc -std=c11 -I../.. c4_join.c -pthread
   Prints  : after 2 s
     Dave is running
     Main thread continues */
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
    check(cth_sleep(CTH_S(2)));
    printf("%s is running\n", name);
    return CTH_OK;
}

int main(void) {
    char name[] = "Dave";
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, task, name, NULL));
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    puts("Main thread continues");
    return 0;
}
