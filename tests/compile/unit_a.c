/* The file with the implementation: starts a thread that runs code of the other file. */
#ifndef CTHREADS_IMPLEMENTATION
#  define CTHREADS_IMPLEMENTATION
#endif
#include "unit.h"

#include <stdio.h>

int main(void) {
    cth_thread *thread = NULL;
    if (cth_thread_spawn(&thread, unit_work, NULL, NULL) != CTH_OK) {
        return 1;
    }
    if (unit_work(NULL) != CTH_OK) {
        return 2;
    }
    cth_status result = CTH_FAILED;
    if (cth_sem_acquire(&unit_done) != CTH_OK || cth_sem_acquire(&unit_done) != CTH_OK ||
        cth_thread_join(thread, &result) != CTH_OK || result != CTH_OK) {
        return 3;
    }
    cth_thread_release(thread);
    CTH_WITH(&unit_lock) {
        printf("%d\n", unit_total);
    }
    return 0;
}
