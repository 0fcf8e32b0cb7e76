/* b2_thread_module_fixed.c - two threads, and a main thread that sleeps until they are done.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples,
             "The _thread module"
   Python  : t = Thread(target=print_time, args=("Thread-1", 2)); t.start(); ...; t.join()
   Shows   : cth_thread_spawn, cth_thread_join, cth_thread_release
   Look at : what was wrong with b2_thread_module.c: its main thread spins, on a thread that it
             has no handle of. With a handle it joins: no processor time is used, and the
             program ends with its threads.
   Build   : cc -std=c11 -I../.. b2_thread_module_fixed.c -pthread
   Prints  : five lines of each thread, one every 2 s and one every 4 s; 20 s in all
     Thread-1: Thu Jan  1 00:00:02 2026 */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct job {
    const char *name;
    cth_time delay;
};

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
    return CTH_OK;
}

int main(void) {
    struct job jobs[2] = {{"Thread-1", CTH_S(2)}, {"Thread-2", CTH_S(4)}};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], print_time, &jobs[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
