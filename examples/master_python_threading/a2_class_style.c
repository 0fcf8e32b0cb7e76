/* a2_class_style.c - a thread with an id, a name and a counter of its own.

   Article : Master Python Threading: From Basics to Advanced Synchronization,
             "Class style"
   Python  : class MyThread(threading.Thread):
                 def __init__(self, threadID, name, delay): ...
                 def run(self): print("Thread Start:" + self.name); print_time(...)
   Shows   : cth_thread_create (not yet alive), cth_thread_start, cth_thread_is_alive
   Look at : the three answers to "is Alive?". What is `self` in Python is the argument here.
   Build   : cc -std=c11 -I../.. a2_class_style.c -pthread
   Prints  : five lines of each thread, one every 1 s and one every 2 s; 10 s in all
     Thread-1 is Alive? False        (True after start, False after join)
     Thread Start:Thread-1
     Thread-1: Thu Jan  1 00:00:01 2026
     Thread Exit:Thread-1
     exit */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

struct my_thread {
    int id;
    const char *name;
    int counter;
    cth_time delay;
    cth_thread *thread;
};

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status run(void *arg) {
    struct my_thread *self = arg;
    printf("Thread Start:%s\n", self->name);
    while (self->counter > 0) {
        char text[CTH_WALL_TEXT_SIZE];
        check(cth_sleep(self->delay));
        printf("%s: %s\n", self->name, cth_wall_text(cth_wall_now(), text));
        self->counter--;
    }
    printf("Thread Exit:%s\n", self->name);
    return CTH_OK;
}

static void tell(const struct my_thread *my) {
    printf("%s is Alive? %s\n", my->name, cth_thread_is_alive(my->thread) ? "True" : "False");
}

int main(void) {
    struct my_thread my[2] = {{1, "Thread-1", 5, CTH_S(1), NULL},
                              {2, "Thread-2", 5, CTH_S(2), NULL}};
    for (int i = 0; i < 2; i++) {
        const cth_thread_desc desc = {.name = my[i].name};
        check(cth_thread_create(&my[i].thread, run, &my[i], &desc));
    }
    tell(&my[0]);
    for (int i = 0; i < 2; i++) {
        check(cth_thread_start(my[i].thread));
    }
    tell(&my[0]);
    for (int i = 0; i < 2; i++) {
        check(cth_thread_join(my[i].thread, NULL));
    }
    tell(&my[0]);
    for (int i = 0; i < 2; i++) {
        cth_thread_release(my[i].thread);
    }
    puts("exit");
    return 0;
}
