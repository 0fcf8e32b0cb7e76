/* Two threads of the kit add to one variable, without a lock: ThreadSanitizer must report it. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

static int total;

static cth_status work(void *arg) {
    (void)arg;
    total++;
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
