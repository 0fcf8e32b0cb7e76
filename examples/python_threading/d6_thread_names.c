/* d6_thread_names.c - a log that says which thread wrote the line.

   Article : Python Threading, "Advice: name your threads"
   Python  : logging.basicConfig(format="[%(threadName)s] %(message)s")
             Thread(target=download, name="downloader").start()
   Shows   : cth_thread_desc.name, cth_thread_set_name, cth_thread_current
   Look at : nobody passes a name to say(). The names are those of the system too: `ps -L` and
             gdb show them.
   Build   : cc -std=c11 -I../.. d6_thread_names.c -pthread
   Prints  : the threads in any order
     [MainThread] start
     [downloader] working
     [Thread-1] working
     [parser] working again
     [MainThread] end */
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

static void say(const char *message) {
    const cth_thread *me = cth_thread_current(); // NULL only when memory is lacking
    printf("[%s] %s\n", me != NULL ? cth_thread_name(me) : "?", message);
}

static cth_status download(void *arg) {
    (void)arg;
    say("working");
    return cth_sleep(CTH_MS(100));
}

static cth_status parse(void *arg) {
    (void)arg;
    say("working"); // still under the number that it was given
    check(cth_thread_set_name(cth_thread_current(), "parser"));
    say("working again");
    return cth_sleep(CTH_MS(100));
}

int main(void) {
    cth_thread *threads[2];
    say("start");
    check(cth_thread_spawn(&threads[0], download, NULL, &(cth_thread_desc){.name = "downloader"}));
    check(cth_thread_spawn(&threads[1], parse, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    say("end");
    return 0;
}
