/* A program of a user: one thread, one lock. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

#include <stdio.h>

static cth_mutex lock;
static int total;

static cth_status work(void *arg) {
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        CTH_WITH(&lock) {
            total++;
        }
    }
    return CTH_OK;
}

int main(void) {
    cth_thread *thread = NULL;
    if (cth_thread_spawn(&thread, work, NULL, NULL) != CTH_OK) {
        return 1;
    }
    if (cth_thread_join(thread, NULL) != CTH_OK) {
        return 1;
    }
    cth_thread_release(thread);
    printf("%s %d\n", CTH_VERSION_STRING, total);
    return 0;
}
