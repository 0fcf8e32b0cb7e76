/* c7_enumerate.c - which threads are alive.

   Article : Python Threads: Concepts and Implementation Examples, "Active count"
   Python  : for t in threading.enumerate(): print(t.name, t.daemon)
   Shows   : cth_thread_enumerate, cth_thread_name, cth_thread_is_daemon
   Look at : each handle comes with a reference of its own, to give back: a thread in the list
             stays a valid object even when it ends meanwhile.
   Build   : cc -std=c11 -I../.. c7_enumerate.c -pthread
   Prints  : main first, the others in any order, then the two lines when all are done
     3 threads
     MainThread
     Frank
     Helen (daemon)
     Frank is done
     Helen is done */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_event over;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status task(void *arg) {
    (void)arg;
    check(cth_event_wait(&over));
    return CTH_OK;
}

int main(void) {
    cth_thread *mine[2];
    check(cth_thread_spawn(&mine[0], task, NULL, &(cth_thread_desc){.name = "Frank"}));
    check(cth_thread_spawn(&mine[1], task, NULL,
                           &(cth_thread_desc){.name = "Helen", .daemon = true}));

    cth_thread *all[8];
    const size_t alive = cth_thread_enumerate(all, 8); // at most 8 are written
    printf("%zu threads\n", alive);
    for (size_t i = 0; i < alive && i < 8; i++) {
        printf("%s%s\n", cth_thread_name(all[i]), cth_thread_is_daemon(all[i]) ? " (daemon)" : "");
        cth_thread_release(all[i]);
    }

    check(cth_event_set(&over));
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(mine[i], NULL));
        printf("%s is done\n", cth_thread_name(mine[i]));
        cth_thread_release(mine[i]);
    }
    return 0;
}
