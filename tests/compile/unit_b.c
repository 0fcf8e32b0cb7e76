/* The file without the implementation: inline locks only. */
#include "unit.h"

cth_mutex unit_lock;
cth_sem unit_done;
int unit_total;

cth_status unit_work(void *arg) {
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        CTH_WITH(&unit_lock) {
            unit_total++;
        }
        if (cth_mutex_lock(&unit_lock) != CTH_OK) {
            return CTH_FAILED;
        }
        unit_total++;
        if (cth_mutex_unlock(&unit_lock) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    return cth_sem_release(&unit_done);
}
