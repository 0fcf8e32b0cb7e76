/* d6_dump_threads.c - who is alive and what does it do? On demand, on a signal, and when it hangs.

   Article : Python Threading, "Advice: faulthandler"
   Python  : faulthandler.dump_traceback(), .register(SIGUSR1), .dump_traceback_later(0.5)
   Shows   : cth_thread_enumerate, cth_thread_set_name, cth_cancel_on_signal, CTH_SELECT
   Look at : C has no tracebacks, so each thread writes what it is about into its name: the dump of
             0.5 s later shows who waits for a lock and who has it. A token is cancelled once: it
             shows one signal. Try it: kill -USR1 PID.
   Build   : cc -std=c11 -I../.. d6_dump_threads.c -pthread
   Prints  : then, after 1 s, that both are done
     on demand: MainThread
     it hangs: MainThread, saver: has the lock, loader: wants the lock
     done */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static cth_mutex lock;
static cth_event saver_has_it;
static cth_latch running = CTH_LATCH_INIT(2);
static cth_cancel asked; // by the signal

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static void dump(const char *why) {
    cth_thread *all[16];
    const size_t alive = cth_thread_enumerate(all, 16);
    printf("%s: ", why);
    for (size_t i = 0; i < alive && i < 16; i++) {
        printf("%s%s", i > 0 ? ", " : "", cth_thread_name(all[i]));
        cth_thread_release(all[i]);
    }
    puts("");
    (void)fflush(stdout);
}

static cth_status saver(void *arg) {
    (void)arg;
    CTH_WITH(&lock) {
        check(cth_thread_set_name(cth_thread_current(), "saver: has the lock"));
        check(cth_event_set(&saver_has_it));
        check(cth_sleep(CTH_S(1)));
    }
    return cth_latch_done(&running);
}

static cth_status loader(void *arg) {
    (void)arg;
    check(cth_event_wait(&saver_has_it));
    check(cth_thread_set_name(cth_thread_current(), "loader: wants the lock"));
    CTH_WITH(&lock) {
        check(cth_thread_set_name(cth_thread_current(), "loader: has the lock"));
    }
    return cth_latch_done(&running);
}

int main(void) {
    cth_thread *threads[2];
    cth_cancel *signal = &asked;
    cth_time patience = cth_after(CTH_MS(500));
    check(cth_cancel_on_signal(&asked, SIGUSR1));
    dump("on demand");
    check(cth_thread_spawn(&threads[0], saver, NULL, NULL));
    check(cth_thread_spawn(&threads[1], loader, NULL, NULL));
    for (int what = -1; what != 0;) {
        cth_status status;
        what = CTH_SELECT(&status, CTH_ON_LATCH(&running), CTH_ON_CANCEL(signal),
                          CTH_ON_TIME(patience));
        check(status);
        if (what == 1) {
            dump("on a signal");
            signal = NULL; // never ready from now on
        } else if (what == 2) {
            dump("it hangs");
            patience = CTH_FOREVER;
        }
    }
    for (int i = 0; i < 2; i++) {
        cth_thread_release(threads[i]);
    }
    puts("done");
    return 0;
}
