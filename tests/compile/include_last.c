/* The header after others that define much, and inside them the macros it uses itself. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "cthreads.h"

int use(mtx_t *lock);

int use(mtx_t *lock) {
    int inside = 0;
    CTH_WITH(lock) {
        inside = 1;
    }
    return inside;
}
