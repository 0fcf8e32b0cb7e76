/* The header twice, then as the implementation (as when another header has included it before), and
   once more after that. */
#include "cthreads.h"
#include "cthreads.h"

#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "cthreads.h"

#include <stdio.h>

int main(void) {
    cth_sem sem = CTH_SEM_INIT(3);
    printf("%d\n", cth_sem_value(&sem));
    return cth_sem_destroy(&sem) != CTH_OK;
}
