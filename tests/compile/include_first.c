/* The header before everything else: it includes what it needs. Uses each inline fast path and each
   macro once, so that their warnings show. */
#include "cthreads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

cth_status use_all(cth_mutex *mutex, cth_sem *sem, cth_event *event, cth_cond *cond);

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
