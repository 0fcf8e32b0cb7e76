/* e15_singleton.c - one instance, made by whoever needs it first.

   Article : Python Threading and Synchronization, "Singleton"
   Python  : class Singleton: _instance = None; _lock = Lock(); def __new__(cls): ...
   Shows   : CTH_LAZY
   Look at : CTH_LAZY(type, name, open) makes a function name(). Its first call runs open() on the
             zeroed object; those who call meanwhile wait; afterwards a call costs one load. The
             article's own way, with a lock and two checks, is in
             e15_singleton_double_checked.c.
   Build   : cc -std=c11 -I../.. e15_singleton.c -pthread
   Prints  :
     constructed 1 time(s)
     all threads see one instance: True */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 10 };

struct config {
    int value;
};

static int constructed; // written by the constructor only

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status open_config(void *object) {
    struct config *config = object;
    constructed++;
    check(cth_sleep(CTH_MS(100))); // a slow constructor: all the others come meanwhile
    config->value = 42;
    return CTH_OK;
}

CTH_LAZY(struct config, the_config, open_config);

static cth_status worker(void *arg) {
    struct config **seen = arg;
    *seen = the_config();
    if (*seen == NULL || (*seen)->value != 42) {
        check(CTH_FAILED); // half a constructor
    }
    return CTH_OK;
}

int main(void) {
    struct config *seen[THREADS];
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_spawn(&threads[i], worker, &seen[i], NULL));
    }
    bool same = true;
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
        same = same && seen[i] == seen[0];
    }
    printf("constructed %d time(s)\n", constructed);
    printf("all threads see one instance: %s\n", same ? "True" : "False");
    return 0;
}
