/* A thread loses the address of what it allocated: LeakSanitizer must report it. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

#include <stdlib.h>

static cth_status work(void *arg) {
    void *volatile lost = malloc(8);
    (void)arg;
    lost = NULL;
    return lost == NULL ? CTH_OK : CTH_FAILED;
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
    return 0;
}
