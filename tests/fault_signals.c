/* fault_signals.c - timed waits of every kind under a storm of signals.

   A timer sends signals without SA_RESTART to the process at 10 kHz (1 kHz under ThreadSanitizer,
   whose handlers take so long that a busy machine would do nothing else), and a thread sends more
   to each waiting thread. No wait may end early or late for that reason, none may report anything but
   its own result, and errno stays what it was. */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <time.h>

enum { WAITERS = 4, ROUNDS = 3, PERIOD = TEST_TSAN ? 1000000 : 100000 };

static atomic_uint signals;

static void count_signal(int number) {
    (void)number;
    atomic_fetch_add_explicit(&signals, 1, memory_order_relaxed);
}

/* The clock of the system, not through the kit. */
static int64_t clock_ns(void) {
    struct timespec now;
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------
   The storm.
   ------------------------------------------------------------------------------------------------
 */

typedef struct target {
    atomic_int on;
    pthread_t id; // valid while on
} target;

static target targets[WAITERS + 1];
static pthread_mutex_t targets_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int stop;
static timer_t timer;
static pthread_t pelter;

/* A target leaves under the lock, so it is never pelted after its end. */
static void set_target(target *t, int on) {
    CHECK_EQ(pthread_mutex_lock(&targets_lock), 0);
    t->id = pthread_self();
    atomic_store(&t->on, on);
    CHECK_EQ(pthread_mutex_unlock(&targets_lock), 0);
}

static void *pelt(void *arg) {
    (void)arg;
    while (!atomic_load(&stop)) {
        CHECK_EQ(pthread_mutex_lock(&targets_lock), 0);
        for (int i = 0; i < WAITERS + 1; i++) {
            if (atomic_load(&targets[i].on)) {
                CHECK_EQ(pthread_kill(targets[i].id, SIGUSR1), 0);
            }
        }
        CHECK_EQ(pthread_mutex_unlock(&targets_lock), 0);
        const struct timespec pause = {0, PERIOD};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void begin_storm(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal;
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    atomic_store(&signals, 0);
    atomic_store(&stop, 0);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    const struct itimerspec every = {{0, PERIOD}, {0, PERIOD}};
    CHECK_EQ(timer_settime(timer, 0, &every, NULL), 0);
    CHECK_EQ(pthread_create(&pelter, NULL, pelt, NULL), 0);
}

/* A storm of less than ten signals was none. */
static void end_storm(void) {
    atomic_store(&stop, 1);
    CHECK_EQ(pthread_join(pelter, NULL), 0);
    CHECK_EQ(timer_delete(timer), 0);
    CHECK(atomic_load(&signals) >= 10);
}

/* ------------------------------------------------------------------------------------------------
   The waits. Each returns CTH_TIMEDOUT after its deadline, or CTH_OK where time is all it waits
   for.
   ------------------------------------------------------------------------------------------------
 */

static cth_mutex held;
static cth_mutex lock;
static cth_cond cond;
static cth_sem sem;
static cth_event event;
static cth_event gate;
static cth_thread *sleeper;

static cth_status wait_sleep(cth_time deadline) {
    return cth_sleep_until(deadline);
}

static cth_status wait_span(cth_time deadline) {
    const cth_time span = deadline - cth_now();
    return cth_sleep(span > 0 ? span : 0);
}

static cth_status wait_mutex(cth_time deadline) {
    return cth_mutex_lock_until(&held, deadline);
}

static cth_status wait_cond(cth_time deadline) {
    cth_status status = CTH_OK;
    CHECK_STATUS(cth_mutex_lock(&lock), CTH_OK);
    while (status == CTH_OK) {
        status = cth_cond_wait_until(&cond, &lock, deadline);
    }
    CHECK_STATUS(cth_mutex_unlock(&lock), CTH_OK);
    return status;
}

static cth_status wait_while(cth_time deadline) {
    cth_status status = CTH_OK;
    CTH_WITH(&lock) {
        status = CTH_WAIT_WHILE(&cond, &lock, true, deadline);
    }
    return status;
}

static cth_status wait_sem(cth_time deadline) {
    return cth_sem_acquire_until(&sem, deadline);
}

static cth_status wait_event(cth_time deadline) {
    return cth_event_wait_until(&event, deadline);
}

static cth_status wait_join(cth_time deadline) {
    return cth_thread_join_until(sleeper, NULL, deadline);
}

static cth_status wait_join_all(cth_time deadline) {
    return cth_thread_join_all(deadline);
}

static cth_status wait_cancel(cth_time deadline) {
    cth_cancel token;
    CHECK_STATUS(cth_cancel_init(&token, NULL, deadline), CTH_OK);
    cth_status status = CTH_OK;
    CTH_UNDER(&token) {
        status = cth_event_wait(&event);
    }
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    return status;
}

typedef struct kind {
    const char *name;
    cth_status (*wait)(cth_time deadline);
    cth_status result;
    bool main_only; // threads of the kit may not, or may not at the same time
} kind;

static const kind kinds[] = {
    {"sleep until", wait_sleep, CTH_OK, false},      {"sleep", wait_span, CTH_OK, false},
    {"mutex", wait_mutex, CTH_TIMEDOUT, false},      {"cond", wait_cond, CTH_TIMEDOUT, false},
    {"wait while", wait_while, CTH_TIMEDOUT, false}, {"sem", wait_sem, CTH_TIMEDOUT, false},
    {"event", wait_event, CTH_TIMEDOUT, false},      {"join", wait_join, CTH_TIMEDOUT, true},
    {"join all", wait_join_all, CTH_TIMEDOUT, true}, {"cancel", wait_cancel, CTH_CANCELLED, false},
};

static void wait_once(const kind *k, cth_time span) {
    const int64_t begin = clock_ns();
    const cth_time deadline = cth_after(span);
    errno = 77;
    const cth_status status = k->wait(deadline);
    const int saved = errno;
    const int64_t took = clock_ns() - begin;
    if (status != k->result || took < span || saved != 77) {
        fprintf(stderr, "%s for %lld ns: %s, errno %d, after %lld ns\n", k->name, (long long)span,
                cth_status_name(status), saved, (long long)took);
    }
    CHECK_STATUS(status, k->result);
    CHECK_EQ(saved, 77);
    CHECK(took >= span);
    CHECK(cth_now() >= deadline);
}

static const cth_time spans[] = {CTH_US(50), CTH_MS(3), CTH_MS(30)};

static cth_status wait_all_kinds(void *arg) {
    target *t = arg;
    set_target(t, 1);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < TEST_COUNT(kinds); i++) {
            for (size_t s = 0; s < TEST_COUNT(spans); s++) {
                if (!kinds[i].main_only || t == &targets[WAITERS]) {
                    wait_once(&kinds[i], spans[s]);
                }
            }
        }
    }
    set_target(t, 0);
    return CTH_OK;
}

static cth_status hold(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_mutex_lock(&held), CTH_OK);
    const cth_status status = cth_event_wait(&gate);
    CHECK_STATUS(cth_mutex_unlock(&held), CTH_OK);
    return status;
}

/* Nobody lets go of anything, so every wait ends by its deadline. */
static void timed_waits(void) {
    CHECK_STATUS(cth_event_clear(&gate), CTH_OK);
    sleeper = test_spawn(hold, NULL);
    while (!cth_mutex_is_locked(&held)) {
        cth_yield();
    }
    begin_storm();
    cth_thread *threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        threads[i] = test_spawn(wait_all_kinds, &targets[i]);
    }
    CHECK_STATUS(wait_all_kinds(&targets[WAITERS]), CTH_OK);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    end_storm();
    CHECK_STATUS(cth_event_set(&gate), CTH_OK);
    CHECK_STATUS(test_join(sleeper), CTH_OK);
}

/* ------------------------------------------------------------------------------------------------
   Waits that succeed, with and without a far deadline: a signal is never taken for a release, and
   hides none. One thread grants as many times as the waiters take.
   ------------------------------------------------------------------------------------------------
 */

enum { GRANTS = 300 };

static int items;
static int taken;
static cth_event turns[GRANTS];

static cth_status take(void *arg) {
    target *t = arg;
    set_target(t, 1);
    for (int i = 0; i < GRANTS; i++) {
        const cth_time deadline = i % 2 == 0 ? CTH_FOREVER : cth_after(CTH_S(1000));
        CHECK_STATUS(cth_sem_acquire_until(&sem, deadline), CTH_OK);
        CHECK_STATUS(cth_mutex_lock_until(&lock, deadline), CTH_OK);
        while (items == 0) {
            CHECK_STATUS(cth_cond_wait_until(&cond, &lock, deadline), CTH_OK);
        }
        items--;
        taken++;
        CHECK_STATUS(cth_mutex_unlock(&lock), CTH_OK);
        CHECK_STATUS(cth_event_wait_until(&turns[i], deadline), CTH_OK);
        CHECK(cth_event_is_set(&turns[i]));
    }
    set_target(t, 0);
    return CTH_OK;
}

static cth_status give(void *arg) {
    (void)arg;
    for (int i = 0; i < GRANTS; i++) {
        for (int w = 0; w < WAITERS; w++) {
            CHECK_STATUS(cth_sem_release(&sem), CTH_OK);
            CTH_WITH(&lock) {
                items++;
            }
            CHECK_STATUS(cth_cond_notify(&cond, 1), CTH_OK);
        }
        CHECK_STATUS(cth_event_set(&turns[i]), CTH_OK);
        if (i % 16 == 0) {
            CHECK_STATUS(cth_sleep(CTH_US(200)), CTH_OK); // let them fall asleep
        }
    }
    return CTH_OK;
}

static void granted_waits(void) {
    begin_storm();
    cth_thread *threads[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        threads[i] = test_spawn(take, &targets[i]);
    }
    cth_thread *giver = test_spawn(give, NULL);
    // The main thread's joins stand in the storm too.
    set_target(&targets[WAITERS], 1);
    for (int i = 0; i < WAITERS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_STATUS(test_join(giver), CTH_OK);
    CHECK_STATUS(cth_thread_join_all(CTH_FOREVER), CTH_OK);
    // Until the storm was felt: on a fast machine the rest may take less than ten signals.
    while (atomic_load(&signals) < 10) {
        cth_yield();
    }
    set_target(&targets[WAITERS], 0);
    end_storm();
    CHECK_EQ(items, 0);
    CHECK_EQ(taken, GRANTS * WAITERS);
    CHECK_EQ(cth_sem_value(&sem), 0);
}

int main(int argc, char **argv) {
    static const test_case tests[] = {TEST(timed_waits), TEST(granted_waits)};
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
