/* b4_thread_local.c - one variable, another value in each thread.

   Article : Python Multithreading: Concepts, Modules, and Practical Examples,
             "Thread-local data"
   Python  : local = threading.local()
             def process(name): local.name = name; greet()
             def greet(): print(f"Hello, {local.name} (in {current_thread().name})")
   Shows   : cth_local, cth_local_get, cth_thread_current, cth_thread_name
   Look at : greet has no parameter, yet greets the right person. For a plain variable C11's own
             _Thread_local will do (see e3_thread_local.c); cth_local has constructor and
             destructor.
   Build   : cc -std=c11 -I../.. b4_thread_local.c -pthread
   Prints  : in either order, never crossed
     Hello, Alice (in Thread-A)
     Hello, Bob (in Thread-B) */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct who {
    const char *name;
};

static cth_local local = CTH_LOCAL_INIT(sizeof(struct who), NULL, NULL);

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status greet(void) {
    const struct who *who = cth_local_get(&local);
    if (who == NULL) {
        return CTH_NOMEM;
    }
    printf("Hello, %s (in %s)\n", who->name, cth_thread_name(cth_thread_current()));
    return CTH_OK;
}

static cth_status process(void *arg) {
    struct who *who = cth_local_get(&local);
    if (who == NULL) {
        return CTH_NOMEM;
    }
    who->name = arg;
    cth_yield(); // lets the other thread set its own
    return greet();
}

int main(void) {
    char alice[] = "Alice";
    char bob[] = "Bob";
    cth_thread *a = NULL;
    cth_thread *b = NULL;
    check(cth_thread_spawn(&a, process, alice, &(cth_thread_desc){.name = "Thread-A"}));
    check(cth_thread_spawn(&b, process, bob, &(cth_thread_desc){.name = "Thread-B"}));
    check(cth_thread_join(a, NULL));
    check(cth_thread_join(b, NULL));
    cth_thread_release(a);
    cth_thread_release(b);
    cth_local_destroy(&local);
    return 0;
}
