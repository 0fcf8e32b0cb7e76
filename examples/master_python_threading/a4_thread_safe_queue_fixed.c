/* a4_thread_safe_queue_fixed.c - three workers take words from a channel until it is closed.

   Article : Master Python Threading: From Basics to Advanced Synchronization,
             "Thread-safe queue"
   Python  : for word in iter(q.get, SENTINEL): print(...)
   Shows   : cth_chan, cth_chan_send, cth_chan_close, CTH_FOREACH_RECV
   Look at : what was wrong with a4_thread_safe_queue.c: a lock around a queue that has one, a flag
             to stop, and workers that look once a second whether there is work. A worker that
             receives sleeps until there is some, and close says that no more comes: what was sent
             before is still received. Any number of words fits.
   Build   : cc -std=c11 -I../.. a4_thread_safe_queue_fixed.c -pthread
   Prints  : each word once; 2 s
     Starting Thread-1
     Thread-1 processing One
     Exiting Thread-1
     Exiting Main Thread */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

static cth_chan words;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    const char *name = arg;
    printf("Starting %s\n", name);
    CTH_FOREACH_RECV(const char *, word, &words) {
        printf("%s processing %s\n", name, word);
        check(cth_sleep(CTH_S(1)));
    }
    printf("Exiting %s\n", name);
    return CTH_OK;
}

int main(void) {
    static const char *const all[] = {"One", "Two", "Three", "Four", "Five"};
    static char names[3][9] = {"Thread-1", "Thread-2", "Thread-3"};
    cth_thread *threads[3];
    check(cth_chan_init(&words, sizeof(const char *), 10, NULL));
    for (int i = 0; i < 3; i++) {
        check(cth_thread_spawn(&threads[i], worker, names[i], NULL));
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        check(cth_chan_send(&words, &all[i]));
    }
    check(cth_chan_close(&words));
    for (int i = 0; i < 3; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    puts("Exiting Main Thread");
    return cth_chan_destroy(&words) != CTH_OK;
}
