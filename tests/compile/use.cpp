/* The declarations used from C++: initialisers, a thread, each kind of object, the macros. */
#include "layout.h"

#include <cstdio>
#include <cstring>

static cth_mutex lock = CTH_MUTEX_INIT;
static cth_rmutex again = CTH_RMUTEX_INIT;
static cth_rwlock shared = CTH_RWLOCK_INIT;
static cth_latch done = CTH_LATCH_INIT(4);
static cth_barrier meeting = CTH_BARRIER_INIT(4);
static cth_once once = CTH_ONCE_INIT;
static cth_sem three = CTH_SEM_INIT(3);
static cth_sem bounded = CTH_SEM_INIT_BOUNDED(2);
static cth_event go = CTH_EVENT_INIT;
static cth_cond changed = CTH_COND_INIT;
static cth_cancel token = CTH_CANCEL_INIT;
static cth_local local = CTH_LOCAL_INIT(sizeof(int), NULL, NULL);
static int total;

static cth_status first(void *arg) {
    (void)arg;
    return CTH_OK;
}

static cth_status work(void *arg) {
    (void)arg;
    if (cth_barrier_wait(&meeting, NULL) != CTH_OK || cth_rmutex_lock(&again) != CTH_OK ||
        cth_rmutex_unlock(&again) != CTH_OK || cth_rwlock_read_lock(&shared) != CTH_OK ||
        cth_rwlock_read_unlock(&shared) != CTH_OK || cth_once_call(&once, first, NULL) != CTH_OK ||
        cth_latch_done(&done) != CTH_OK) {
        return CTH_FAILED;
    }
    CTH_UNDER(&token) {
        if (cth_event_wait(&go) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    for (int i = 0; i < 100; i++) {
        if (cth_mutex_lock(&lock) != CTH_OK) {
            return CTH_FAILED;
        }
        total++;
        if (cth_mutex_unlock(&lock) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    CTH_SHIELDED {
        if (cth_sem_acquire(&three) != CTH_OK || cth_sem_release(&three) != CTH_OK) {
            return CTH_FAILED;
        }
    }
    CTH_SIM_CHECK(total > 0);
    return cth_local_get(&local) == NULL ? CTH_NOMEM : CTH_OK;
}

int main() {
    size_t count_c = 0, count_cxx = 0;
    const size_t *c = layout_c(&count_c), *cxx = layout_cxx(&count_cxx);
    if (count_c != count_cxx || std::memcmp(c, cxx, count_c * sizeof(*c)) != 0) {
        std::puts("the layouts of C and C++ differ");
        return 1;
    }

    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        if (cth_thread_spawn(&threads[i], work, NULL, NULL) != CTH_OK) {
            return 2;
        }
    }
    if (cth_latch_wait(&done) != CTH_OK || cth_event_set(&go) != CTH_OK) {
        return 3;
    }
    for (int i = 0; i < 4; i++) {
        cth_status result = CTH_FAILED;
        if (cth_thread_join_until(threads[i], &result, CTH_FOREVER) != CTH_OK || result != CTH_OK) {
            return 4;
        }
        cth_thread_release(threads[i]);
    }
    if (cth_sem_release(&bounded) != CTH_OVERFLOW || cth_cond_notify_all(&changed) != CTH_OK ||
        cth_sleep_until(cth_after(CTH_MS(1))) != CTH_OK) {
        return 5;
    }
    std::printf("%d with the same layout\n", total);
    return 0;
}
