/* c2_subclass.c - a thread object with data of its own: a struct that holds its thread.

   Article : Python Threads: Concepts and Implementation Examples, "Subclass"
   Python  : class MyThread(Thread):
                 def __init__(self, name): super().__init__(); self.name = name
                 def run(self): print(f"{self.name} is running")
   Shows   : cth_thread_create, cth_thread_start, cth_thread_join
   Look at : the function gets the struct: that is all that `self` is.
   Build   : cc -std=c11 -I../.. c2_subclass.c -pthread
   Prints  :
     Bob is running */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct my_thread {
    cth_thread *thread;
    const char *name;
};

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status run(void *arg) {
    const struct my_thread *self = arg;
    printf("%s is running\n", self->name);
    return CTH_OK;
}

static cth_status my_thread_init(struct my_thread *self, const char *name) {
    self->name = name;
    return cth_thread_create(&self->thread, run, self, &(cth_thread_desc){.name = name});
}

int main(void) {
    struct my_thread bob;
    check(my_thread_init(&bob, "Bob"));
    check(cth_thread_start(bob.thread));
    check(cth_thread_join(bob.thread, NULL)); // `bob` is on this stack: wait before leaving it
    cth_thread_release(bob.thread);
    return 0;
}
