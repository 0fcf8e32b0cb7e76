/* c7_active_count.c - how many threads are alive.

   Article : Python Threads: Concepts and Implementation Examples, "Active count"
   Python  : t = Thread(target=task, args=("Frank",)); t.start()
             print(active_count()); print("Main thread")
   Shows   : cth_thread_count
   Look at : the main thread counts too.
   Build   : cc -std=c11 -I../.. c7_active_count.c -pthread
   Prints  : the last line after 2 s
     2
     Main thread
     Frank is running */
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
    static char name[] = "Frank";
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, task, name, NULL));
    cth_thread_release(thread);
    printf("%zu\n", cth_thread_count());
    puts("Main thread");
    return 0;
}
