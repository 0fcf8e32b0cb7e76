/* c13_event.c - a traffic light, and five cars that wait for it.

   Article : Python Threads: Concepts and Implementation Examples, "Event"
   Python  : def light(): print("Red light!"); time.sleep(2); print("Green light!"); event.set()
             def car(name): print(f"{name} waiting for green..."); event.wait(); ...
   Shows   : cth_event_wait, cth_event_set
   Look at : one set frees all that wait, and an event stays set: a car that comes late drives
             on.
   Build   : cc -std=c11 -I../.. c13_event.c -pthread
   Prints  : the cars in any order; "Green light!" after 2 s
     Red light!
     Car-0 waiting for green...        (five cars)
     Green light!
     Car-0 drives!                     (five cars) */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { CARS = 5 };

static cth_event green;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status light(void *arg) {
    (void)arg;
    puts("Red light!");
    check(cth_sleep(CTH_S(2)));
    puts("Green light!");
    return cth_event_set(&green);
}

static cth_status car(void *arg) {
    const int number = *(const int *)arg;
    printf("Car-%d waiting for green...\n", number);
    check(cth_event_wait(&green));
    printf("Car-%d drives!\n", number);
    return CTH_OK;
}

int main(void) {
    int numbers[CARS];
    cth_thread *threads[CARS + 1];
    check(cth_thread_spawn(&threads[CARS], light, NULL, NULL));
    for (int i = 0; i < CARS; i++) {
        numbers[i] = i;
        check(cth_thread_spawn(&threads[i], car, &numbers[i], NULL));
    }
    for (int i = 0; i < CARS + 1; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
