/* d4_plain_threads.c - start all, then join all: a "pool" of plain threads.

   Article : Python Threading, "Thread pool" of plain threads
   Python  : threads = [Thread(target=work, args=("A", 0.2)), Thread(target=work, args=("B", 0.1))]
             for t in threads: t.start()
             for t in threads: t.join()
   Shows   : cth_thread_spawn, cth_thread_join
   Look at : B is started last and done first; "all finished" waits for both.
   Build   : cc -std=c11 -I../.. d4_plain_threads.c -pthread
   Prints  :
     B done
     A done
     all finished */
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

static cth_status work(void *arg) {
    const struct job *job = arg;
    check(cth_sleep(job->delay));
    printf("%s done\n", job->name);
    return CTH_OK;
}

int main(void) {
    struct job jobs[2] = {{"A", CTH_MS(200)}, {"B", CTH_MS(100)}};
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        check(cth_thread_spawn(&threads[i], work, &jobs[i], NULL));
    }
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    puts("all finished");
    return 0;
}
