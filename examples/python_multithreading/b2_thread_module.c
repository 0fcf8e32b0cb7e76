/* b2_thread_module.c - two threads started by a bare function call, which nobody can join.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples,
             "The _thread module"
   Python  : _thread.start_new_thread(print_time, ("Thread-1", 2))
             _thread.start_new_thread(print_time, ("Thread-2", 4))
             while 1: pass
   Shows   : cth_thread_spawn and giving the handle away at once, cth_sleep, cth_wall_text
   Look at : the trap. start_new_thread gives no handle, so the original keeps itself alive by
             spinning: a whole core burned, and no end. This one spins too, but stops when both
             threads are done. b2_thread_module_fixed.c shows the right way.
   Build   : cc -std=c11 -I../.. b2_thread_module.c -pthread
   Prints  : five lines of each thread, one every 2 s and one every 4 s; 20 s in all
     Thread-1: Thu Jan  1 00:00:02 2026 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct job {
    const char *name;
    cth_time delay;
};

static atomic_int finished;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status print_time(void *arg) {
    const struct job *job = arg;
    for (int count = 0; count < 5; count++) {
        char text[CTH_WALL_TEXT_SIZE];
        check(cth_sleep(job->delay));
        printf("%s: %s\n", job->name, cth_wall_text(cth_wall_now(), text));
    }
    atomic_fetch_add(&finished, 1);
    return CTH_OK;
}

static void start_new_thread(struct job *job) {
    cth_thread *thread = NULL;
    check(cth_thread_spawn(&thread, print_time, job, NULL));
    cth_thread_release(thread);
}

int main(void) {
    struct job first = {"Thread-1", CTH_S(2)};
    struct job second = {"Thread-2", CTH_S(4)};
    start_new_thread(&first);
    start_new_thread(&second);
    while (atomic_load(&finished) < 2) {
        cth_yield(); // the busy wait of the original
    }
    return 0;
}
