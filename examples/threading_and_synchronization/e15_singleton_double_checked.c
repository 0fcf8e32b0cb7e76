/* e15_singleton_double_checked.c - one instance, with a lock and two checks.

   Article : Python Threading and Synchronization, "Singleton"
   Python  : if cls._instance is None:
                 with cls._lock:
                     if cls._instance is None: cls._instance = super().__new__(cls)
             return cls._instance
   Shows   : CTH_WITH, and the atomics this needs in C
   Look at : the first check is made without the lock, so in C the pointer must be atomic: stored
             with release when the object is complete, loaded with acquire. With a plain pointer a
             thread may see it before it sees what it points to. e15_singleton.c needs none of this.
   Build   : cc -std=c11 -I../.. e15_singleton_double_checked.c -pthread
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

static cth_mutex lock;
static _Atomic(struct config *) instance;
static int constructed; // under `lock`

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static struct config *construct(void) {
    static struct config config;
    constructed++;
    check(cth_sleep(CTH_MS(100))); // a slow constructor: all the others come meanwhile
    config.value = 42;
    return &config;
}

static struct config *the_config(void) {
    struct config *config = atomic_load_explicit(&instance, memory_order_acquire);
    if (config == NULL) {
        CTH_WITH(&lock) {
            config = atomic_load_explicit(&instance, memory_order_relaxed); // under the lock
            if (config == NULL) {
                config = construct();
                atomic_store_explicit(&instance, config, memory_order_release);
            }
        }
    }
    return config;
}

static cth_status worker(void *arg) {
    struct config **seen = arg;
    *seen = the_config();
    if ((*seen)->value != 42) {
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
