/* The header before everything else: it includes what it needs. Uses each inline fast path and each
   macro once, so that their warnings show. */
#include "cthreads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static cth_status lazy_open(void *object) {
    *(int *)object = 1;
    return CTH_OK;
}
CTH_LAZY(int, lazy, lazy_open);

cth_status use_all(cth_mutex *mutex, cth_sem *sem, cth_event *event, cth_cond *cond);
cth_status use_more(cth_rmutex *rmutex, cth_rwlock *rwlock, cth_latch *latch, cth_barrier *barrier);

cth_status use_more(cth_rmutex *rmutex,
                    cth_rwlock *rwlock,
                    cth_latch *latch,
                    cth_barrier *barrier) {
    static cth_rmutex again = CTH_RMUTEX_INIT;
    static cth_rwlock shared = CTH_RWLOCK_INIT;
    static cth_latch none = CTH_LATCH_INIT(0);
    static cth_barrier alone = CTH_BARRIER_INIT(1);
    static cth_once once = CTH_ONCE_INIT;
    int number = 0;
    uint32_t index = 0;

    CTH_WITH(rmutex) {
        CTH_WITH_READ(rwlock) {
            number++;
        }
        CTH_WITH_WRITE(&shared) {
            number++;
        }
        CTH_WITH_ALL(&again, rwlock) {
            number++;
        }
    }
    CTH_ATOMICALLY(rmutex, &number) {
        number = 7;
        CTH_ROLLBACK();
    }
    if (cth_rmutex_lock(rmutex) != CTH_OK || cth_rmutex_try_lock(rmutex) != CTH_OK ||
        cth_rmutex_unlock(rmutex) != CTH_OK || cth_rwlock_write_lock(rwlock) != CTH_OK ||
        cth_rwlock_write_unlock(rwlock) != CTH_OK || cth_rwlock_read_lock(rwlock) != CTH_OK ||
        cth_rwlock_read_unlock(rwlock) != CTH_OK || cth_latch_wait(latch) != CTH_OK ||
        cth_latch_wait_until(&none, 0) != CTH_OK || cth_barrier_wait(barrier, &index) != CTH_OK ||
        cth_barrier_wait(&alone, NULL) != CTH_OK ||
        cth_once_call(&once, lazy_open, &number) != CTH_OK) {
        return CTH_FAILED;
    }
    return cth_once_is_done(&once) && lazy() != NULL ? CTH_OK : CTH_FAILED;
}

cth_status use_all(cth_mutex *mutex, cth_sem *sem, cth_event *event, cth_cond *cond) {
    static cth_mutex own = CTH_MUTEX_INIT;
    static cth_sem three = CTH_SEM_INIT(3), bounded = CTH_SEM_INIT_BOUNDED(3);
    static cth_event set = CTH_EVENT_INIT;
    static cth_cond changed = CTH_COND_INIT;
    static cth_cancel token = CTH_CANCEL_INIT;
    static cth_local local = CTH_LOCAL_INIT(8, NULL, NULL);
    int count = 0;
    const cth_time deadline = cth_after(CTH_MS(1.5));

    CTH_GUARD(&own);
    CTH_WITH(mutex) {
        count++;
        CTH_WITH(sem) {
            CTH_UNDER(&token) {
                CTH_SHIELDED {
                    count++;
                }
            }
        }
        (void)CTH_WAIT_WHILE(cond, mutex, count == 0);
        if (CTH_WAIT_WHILE(cond, mutex, count == 0, deadline) != CTH_OK) {
            break;
        }
    }
    if (cth_mutex_lock(mutex) != CTH_OK || cth_mutex_unlock(mutex) != CTH_OK ||
        cth_mutex_try_lock(&own) != CTH_OK || cth_mutex_lock_until(mutex, deadline) != CTH_OK ||
        cth_sem_acquire(sem) != CTH_OK || cth_sem_try_acquire(&three) != CTH_OK ||
        cth_sem_acquire_until(&bounded, deadline) != CTH_OK || cth_sem_release(sem) != CTH_OK ||
        cth_event_wait(event) != CTH_OK || cth_event_wait_until(&set, deadline) != CTH_OK ||
        cth_event_is_set(event) || cth_cond_notify_all(&changed) != CTH_OK) {
        CTH_SIM_CHECK(count == 2);
        return cth_fail(CTH_FAILED, "%d of %d", count, 2);
    }
    return cth_local_get(&local) == NULL ? CTH_NOMEM : CTH_OK;
}
