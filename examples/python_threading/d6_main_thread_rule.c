/* d6_main_thread_rule.c - only the main thread touches the window; workers post to it.

   Article : Python Threading, "Advice: update a GUI from the main thread only"
   Python  : root.after(0, show, worker, step)       # or call_soon_threadsafe
   Shows   : cth_main, cth_main_post, cth_main_run, cth_main_stop, cth_assert_on
   Look at : `window` has no lock, since one thread has it to itself. The arguments are copied by
             the post, so the worker may change its own at once. A real event loop would not call
             cth_main_run, but watch cth_main_fd and call cth_main_drain.
   Build   : cc -std=c11 -I../.. d6_main_thread_rule.c -pthread
   Prints  : the updates in any order between workers, in order for each, and then
     MainThread drew 9 updates */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 3, STEPS = 3 };

static cth_main ui;
static cth_latch working = CTH_LATCH_INIT(WORKERS);
static struct { int updates; } window; // only the main thread may touch it

typedef struct update {
    char who[16];
    int step;
} update;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status show(void *arg) {
    const update *u = arg;
    cth_assert_on(&ui); // ends the program if a worker ever calls this itself
    window.updates++;
    printf("%s: step %d of %d\n", u->who, u->step, STEPS);
    return CTH_OK;
}

static cth_status worker(void *arg) {
    update u;
    (void)arg;
    snprintf(u.who, sizeof u.who, "%s", cth_thread_name(cth_thread_current()));
    for (u.step = 1; u.step <= STEPS; u.step++) {
        check(cth_sleep(CTH_MS(20)));
        check(cth_main_post(&ui, show, &u, sizeof u));
    }
    check(cth_latch_done(&working));
    return cth_latch_count(&working) == 0 ? cth_main_stop(&ui) : CTH_OK;
}

int main(void) {
    cth_thread *threads[WORKERS];
    check(cth_main_init(&ui));
    for (int i = 0; i < WORKERS; i++) {
        check(cth_thread_spawn(&threads[i], worker, NULL, NULL));
    }
    check(cth_main_run(&ui)); // until the last worker says stop
    printf("%s drew %d updates\n", cth_thread_name(cth_thread_current()), window.updates);
    for (int i = 0; i < WORKERS; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return cth_main_destroy(&ui) != CTH_OK;
}
