/* Two threads of the kit add to one variable, without a lock: ThreadSanitizer must report it. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

static atomic_int ready;
static int total;

static cth_status work(void *arg) {
    (void)arg;
    // relaxed: brings the threads together and orders nothing. One that starts when the other has
    // ended would come after it, by the kit's own locks, and there would be no race.
    atomic_fetch_add_explicit(&ready, 1, memory_order_relaxed);
    while (atomic_load_explicit(&ready, memory_order_relaxed) < 2) {
        cth_yield();
    }
    for (int i = 0; i < 1000; i++) {
        total++;
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *threads[2];
    for (int i = 0; i < 2; i++) {
        if (cth_thread_spawn(&threads[i], work, NULL, NULL) != CTH_OK) {
            return 1;
        }
    }
    for (int i = 0; i < 2; i++) {
        if (cth_thread_join(threads[i], NULL) != CTH_OK) {
            return 1;
        }
        cth_thread_release(threads[i]);
    }
    return 0;
}
