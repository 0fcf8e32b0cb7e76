/* e6_semaphore.c - at most three threads inside.

   Article : Python Threading and Synchronization, "Semaphore"
   Python  : sem = threading.Semaphore(3)
             with sem: print(f"{name} acquired"); time.sleep(1); print(f"{name} released")
   Shows   : cth_sem_acquire and cth_sem_release, called by hand
   Look at : two of the five wait until somebody leaves. CTH_SEM_INIT_BOUNDED makes one release too
             many an error, CTH_OVERFLOW (Python's BoundedSemaphore); CTH_SEM_INIT does not.
   Build   : cc -std=c11 -I../.. e6_semaphore.c -pthread
   Prints  : five pairs, in any order
     Thread-1 acquired
     Thread-1 released */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 5 };

static cth_sem sem = CTH_SEM_INIT_BOUNDED(3);

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    const int number = *(const int *)arg;
    check(cth_sem_acquire(&sem));
    printf("Thread-%d acquired\n", number);
    check(cth_sleep(CTH_S(1)));
    printf("Thread-%d released\n", number); // before the release, so that the lines tell the truth
    check(cth_sem_release(&sem));
    return CTH_OK;
}

int main(void) {
    int numbers[THREADS];
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i + 1;
        check(cth_thread_spawn(&threads[i], worker, &numbers[i], NULL));
    }
    for (int i = 0; i < THREADS; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    return 0;
}
