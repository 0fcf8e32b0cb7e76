/* A thread reads memory that was freed: AddressSanitizer must report it. */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"

#include <stdlib.h>

static cth_status work(void *arg) {
    const volatile int *freed = arg;
    return *freed == 0 ? CTH_OK : CTH_FAILED;
}

int main(void) {
    // volatile: or the compiler sees the fault and refuses it.
    int *volatile memory = calloc(1, sizeof(int));
    cth_thread *thread = NULL;
    free(memory);
    if (cth_thread_spawn(&thread, work, memory, NULL) != CTH_OK) {
        return 1;
    }
    if (cth_thread_join(thread, NULL) != CTH_OK) {
        return 1;
    }
    cth_thread_release(thread);
    return 0;
}
