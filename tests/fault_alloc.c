/* fault_alloc.c - every allocation of the kit fails in turn; how, fault_alloc.h says.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#include "fault_alloc.h"

static cth_mutex mutex;
static cth_cond cond;
static cth_sem sem;
static cth_event event;
static cth_event gate;
static cth_cancel parent;
static cth_cancel token;
static cth_thread *thread;
static cth_thread *waiter;
static size_t threads_before;

static cth_status return_ok(void *arg) {
    (void)arg;
    return CTH_OK;
}

static cth_status wait_gate(void *arg) {
    (void)arg;
    return cth_event_wait(&gate);
}

static void count_before(void) {
    threads_before = cth_thread_count();
}

/* A thread that waits, seen asleep (or about to be) by the mark in the word it waits on. */
static void start_waiter(cth_thread_fn fn, cth__word *word, uint32_t mark) {
    CHECK_STATUS(cth_thread_spawn(&waiter, fn, NULL, NULL), CTH_OK);
    while ((cth__load(word, relaxed) & mark) == 0) {
        cth_yield();
    }
}

static void join_waiter(void) {
    cth_status result = CTH_FAILED;
    CHECK_STATUS(cth_thread_join(waiter, &result), CTH_OK);
    CHECK_STATUS(result, CTH_OK);
    cth_thread_release(waiter);
    waiter = NULL;
}

// --- thread ---

static cth_status act_create(void) {
    return cth_thread_create(&thread, return_ok, NULL, NULL);
}

static cth_status act_create_full(void) {
    static const char name[] = "a-name-of-63-bytes-123456789-123456789-123456789-123456789-1234";
    _Static_assert(sizeof(name) == CTH_THREAD_NAME_MAX + 1, "the longest name");
    return cth_thread_create(
        &thread, return_ok, NULL,
        &(cth_thread_desc){.name = name, .stack_size = 1 << 20, .daemon = true, .cancel = &parent});
}

static void no_thread(void) {
    CHECK(thread == NULL);
}

static void release_thread(void) {
    cth_thread_release(thread);
    thread = NULL;
}

static void prepare_start(void) {
    count_before();
    CHECK_STATUS(act_create(), CTH_OK);
}

static void prepare_start_stack(void) {
    count_before();
    CHECK_STATUS(
        cth_thread_create(&thread, return_ok, NULL, &(cth_thread_desc){.stack_size = 1 << 20}),
        CTH_OK);
}

static cth_status act_start(void) {
    return cth_thread_start(thread);
}

static void not_started(void) {
    CHECK(!cth_thread_is_alive(thread));
    CHECK_EQ(cth_thread_native_id(thread), 0);
    CHECK_EQ(cth_thread_count(), threads_before);
    CHECK_STATUS(cth_thread_join(thread, NULL), CTH_INVALID);
}

static void join_thread(void) {
    cth_status result = CTH_FAILED;
    CHECK_STATUS(cth_thread_join(thread, &result), CTH_OK);
    CHECK_STATUS(result, CTH_OK);
    release_thread();
}

static void undo_start(void) {
    join_thread();
    prepare_start();
}

static void undo_start_stack(void) {
    join_thread();
    prepare_start_stack();
}

static cth_status act_spawn(void) {
    return cth_thread_spawn(&thread, return_ok, NULL, NULL);
}

static cth_status act_spawn_full(void) {
    return cth_thread_spawn(
        &thread, return_ok, NULL,
        &(cth_thread_desc){
            .name = "full", .stack_size = 1 << 20, .daemon = true, .cancel = &parent});
}

static void not_spawned(void) {
    CHECK(thread == NULL);
    CHECK_EQ(cth_thread_count(), threads_before);
}

static void prepare_join(void) {
    CHECK_STATUS(act_spawn(), CTH_OK);
}

static cth_status act_join(void) {
    return cth_thread_join(thread, NULL);
}

static void undo_join(void) {
    release_thread();
    prepare_join();
}

static void prepare_join_until(void) {
    CHECK_STATUS(cth_thread_spawn(&thread, wait_gate, NULL, NULL), CTH_OK);
}

static cth_status act_join_until(void) {
    const cth_status status = cth_thread_join_until(thread, NULL, cth_after(CTH_US(10)));
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static void finish_join_until(void) {
    CHECK_STATUS(cth_event_set(&gate), CTH_OK);
    join_thread();
}

static cth_status act_join_all(void) {
    return cth_thread_join_all(CTH_FOREVER);
}

static cth_status act_current(void) {
    return cth_thread_current() != NULL ? CTH_OK : CTH_NOMEM;
}

static cth_status act_main(void) {
    return cth_thread_main() != NULL ? CTH_OK : CTH_NOMEM;
}

static cth_status act_enumerate(void) {
    cth_thread *all[4] = {NULL, NULL, NULL, NULL};
    const size_t n = cth_thread_enumerate(all, 4);
    for (size_t i = 0; i < n && i < 4; i++) {
        CHECK(all[i] != NULL);
        cth_thread_release(all[i]);
    }
    return CTH_OK;
}

static cth_status act_count(void) {
    CHECK(cth_thread_count() <= 2);
    return CTH_OK;
}

static const char *const names[2] = {"one", "two"};
static int name_now;

static void prepare_name(void) {
    CHECK_STATUS(cth_thread_create(&thread, return_ok, NULL, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_set_name(thread, names[0]), CTH_OK);
}

static cth_status act_name(void) {
    return cth_thread_set_name(thread, names[1 - name_now]);
}

static void name_unchanged(void) {
    CHECK(strcmp(cth_thread_name(thread), names[name_now]) == 0);
}

static void name_changed(void) {
    name_now = 1 - name_now;
    name_unchanged();
    // Old names live as long as the handle, so a new handle shows whether they go with it.
    release_thread();
    name_now = 0;
    prepare_name();
}

static void prepare_name_running(void) {
    CHECK_STATUS(cth_thread_spawn(&thread, wait_gate, NULL, NULL), CTH_OK);
    CHECK_STATUS(cth_thread_set_name(thread, names[0]), CTH_OK);
}

static void finish_name_running(void) {
    CHECK_STATUS(cth_event_set(&gate), CTH_OK);
    join_thread();
}

static void name_running_changed(void) {
    name_now = 1 - name_now;
    name_unchanged();
    finish_name_running();
    CHECK_STATUS(cth_event_clear(&gate), CTH_OK);
    name_now = 0;
    prepare_name_running();
}

static cth_status act_fail_text(void) {
    CHECK_STATUS(cth_fail(CTH_FAILED, "text %d", 7), CTH_FAILED);
    const char *text = cth_error_text();
    CHECK(text != NULL);
    if (strcmp(text, "text 7") == 0) {
        return CTH_OK;
    }
    CHECK(strcmp(text, "") == 0);
    return CTH_NOMEM;
}

static cth_status act_no_error_text(void) {
    CHECK(strcmp(cth_error_text(), "") == 0);
    return CTH_OK;
}

static void ignore_failure(cth_thread *failed, cth_status status, const char *message, void *arg) {
    CHECK(failed != NULL && status == CTH_FAILED && message != NULL);
    (void)arg;
}

static cth_status return_failed(void *arg) {
    (void)arg;
    return cth_fail(CTH_FAILED, "on purpose");
}

static cth_status act_hook(void) {
    cth_thread_set_hook(ignore_failure, NULL);
    const cth_status status = cth_thread_spawn(&thread, return_failed, NULL, NULL);
    if (status != CTH_OK) {
        return status;
    }
    cth_status result = CTH_OK;
    CHECK_STATUS(cth_thread_join(thread, &result), CTH_OK);
    CHECK_STATUS(result, CTH_FAILED);
    return CTH_OK;
}

// --- local ---

static atomic_int opened;

static cth_status open_object(void *object) {
    CHECK_EQ(*(int *)object, 0);
    *(int *)object = 1;
    atomic_fetch_add(&opened, 1);
    return CTH_OK;
}

static cth_status refuse_object(void *object) {
    (void)object;
    return CTH_FAILED;
}

static void close_object(void *object) {
    CHECK_EQ(*(int *)object, 1);
    atomic_fetch_sub(&opened, 1);
}

enum { LOCALS = 20 }; // a thread's table grows twice on the way

static cth_local local = CTH_LOCAL_INIT(sizeof(int), open_object, close_object);
static cth_local refused = CTH_LOCAL_INIT(sizeof(int), refuse_object, close_object);
static cth_local locals[LOCALS];

static cth_status act_local(void) {
    return cth_local_get(&local) != NULL ? CTH_OK : CTH_NOMEM;
}

static void local_unopened(void) {
    CHECK_EQ(atomic_load(&opened), 0);
}

static void undo_local(void) {
    CHECK_EQ(atomic_load(&opened), 1);
    CHECK(cth_local_get(&local) == cth_local_get(&local));
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&opened), 0);
}

static cth_status act_local_refused(void) {
    CHECK(cth_local_get(&refused) == NULL);
    return CTH_OK;
}

static void undo_local_refused(void) {
    cth_local_destroy(&refused);
}

static void prepare_locals(void) {
    for (int i = 0; i < LOCALS; i++) {
        locals[i] = (cth_local)CTH_LOCAL_INIT(sizeof(int), open_object, close_object);
    }
}

static cth_status act_locals(void) {
    for (int i = 0; i < LOCALS; i++) {
        if (cth_local_get(&locals[i]) == NULL) {
            return CTH_NOMEM;
        }
    }
    return CTH_OK;
}

static void undo_locals(void) {
    CHECK_EQ(atomic_load(&opened), LOCALS);
    for (int i = 0; i < LOCALS; i++) {
        cth_local_destroy(&locals[i]);
    }
    CHECK_EQ(atomic_load(&opened), 0);
}

// --- locks ---

static cth_status act_lock(void) {
    return cth_mutex_lock(&mutex);
}

static cth_status act_try_lock(void) {
    return cth_mutex_try_lock(&mutex);
}

static cth_status act_lock_until(void) {
    return cth_mutex_lock_until(&mutex, cth_after(CTH_MS(1)));
}

static void mutex_free(void) {
    CHECK(!cth_mutex_is_locked(&mutex));
}

static void undo_lock(void) {
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    mutex_free();
}

static cth_status act_unlock_free(void) {
    const cth_status status = cth_mutex_unlock(&mutex);
    return status == CTH_NOT_OWNER ? CTH_OK : status;
}

static void prepare_held(void) {
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
}

static void finish_held(void) {
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
}

static cth_status act_lock_held(void) {
    const cth_status status = cth_mutex_lock_until(&mutex, cth_after(CTH_US(10)));
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_cond_wait(void) {
    const cth_status locked = cth_mutex_lock(&mutex);
    if (locked != CTH_OK) {
        return locked;
    }
    cth_status status = CTH_OK;
    while (status == CTH_OK) {
        status = cth_cond_wait_until(&cond, &mutex, cth_after(CTH_US(10)));
    }
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static bool notified;

static cth_status wait_notified(void *arg) {
    (void)arg;
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    while (!notified) {
        CHECK_STATUS(cth_cond_wait(&cond, &mutex), CTH_OK);
    }
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
    return CTH_OK;
}

static void prepare_notify(void) {
    notified = false;
    start_waiter(wait_notified, &cond.word, 1);
    CHECK_STATUS(cth_mutex_lock(&mutex), CTH_OK);
    notified = true;
    CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
}

static cth_status act_notify(void) {
    return cth_cond_notify(&cond, 1);
}

static cth_status act_notify_all(void) {
    return cth_cond_notify_all(&cond);
}

static void undo_notify(void) {
    join_waiter();
    prepare_notify();
}

static void finish_notify(void) {
    CHECK_STATUS(cth_cond_notify_all(&cond), CTH_OK);
    join_waiter();
}

static cth_status act_sem_empty(void) {
    const cth_status status = cth_sem_acquire_until(&sem, cth_after(CTH_US(10)));
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_sem_try_empty(void) {
    const cth_status status = cth_sem_try_acquire(&sem);
    return status == CTH_BUSY ? CTH_OK : status;
}

static cth_status act_sem_release(void) {
    return cth_sem_release(&sem);
}

static cth_status act_sem_release_n(void) {
    return cth_sem_release_n(&sem, 1);
}

static void sem_empty(void) {
    CHECK_EQ(cth_sem_value(&sem), 0);
}

static cth_status wait_sem(void *arg) {
    (void)arg;
    return cth_sem_acquire(&sem);
}

static void prepare_sem_waiter(void) {
    start_waiter(wait_sem, &sem.word, UINT32_C(1) << 31);
}

static void undo_sem_waiter(void) {
    join_waiter();
    sem_empty();
    prepare_sem_waiter();
}

static void finish_sem_waiter(void) {
    CHECK_STATUS(cth_sem_release(&sem), CTH_OK);
    join_waiter();
}

static cth_status act_event_wait(void) {
    const cth_status status = cth_event_wait_until(&event, cth_after(CTH_US(10)));
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

static cth_status act_event_set(void) {
    return cth_event_set(&event);
}

static void event_unset(void) {
    CHECK(!cth_event_is_set(&event));
}

static void undo_event_set(void) {
    CHECK(cth_event_is_set(&event));
    CHECK_STATUS(cth_event_clear(&event), CTH_OK);
}

static cth_status wait_event(void *arg) {
    (void)arg;
    return cth_event_wait(&event);
}

static void prepare_event_waiter(void) {
    start_waiter(wait_event, &event.word, 2);
}

static void undo_event_waiter(void) {
    join_waiter();
    undo_event_set();
    prepare_event_waiter();
}

static void finish_event_waiter(void) {
    CHECK_STATUS(cth_event_set(&event), CTH_OK);
    join_waiter();
}

static cth_status act_sleep(void) {
    return cth_sleep(CTH_US(10));
}

// --- cancel ---

static cth_status act_cancel_init(void) {
    return cth_cancel_init(&token, NULL, CTH_FOREVER);
}

static cth_status act_cancel_init_child(void) {
    return cth_cancel_init(&token, &parent, cth_after(CTH_S(100)));
}

static void no_children(void) {
    CHECK_STATUS(cth_cancel_destroy(&parent), CTH_OK);
    CHECK_STATUS(cth_cancel_init(&parent, NULL, CTH_FOREVER), CTH_OK);
}

static void destroy_token(void) {
    CHECK_STATUS(cth_cancel_status(&token), CTH_OK);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static void prepare_parent(void) {
    CHECK_STATUS(cth_cancel_init(&parent, NULL, CTH_FOREVER), CTH_OK);
}

static void finish_parent(void) {
    CHECK_STATUS(cth_cancel_destroy(&parent), CTH_OK);
}

static void prepare_token(void) {
    CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
}

static cth_status act_cancel_request(void) {
    return cth_cancel_request(&token, "enough");
}

static void token_live(void) {
    CHECK_STATUS(cth_cancel_status(&token), CTH_OK);
    CHECK(cth_cancel_reason(&token) == NULL);
}

static void token_cancelled(void) {
    CHECK_STATUS(cth_cancel_status(&token), CTH_CANCELLED);
    CHECK(strcmp(cth_cancel_reason(&token), "enough") == 0);
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
    prepare_token();
}

static void finish_token(void) {
    CHECK_STATUS(cth_cancel_destroy(&token), CTH_OK);
}

static cth_status wait_cancelled(void *arg) {
    (void)arg;
    cth_status status = CTH_FAILED;
    CTH_UNDER(&token) {
        status = cth_event_wait(&event);
    }
    return status == CTH_CANCELLED ? CTH_OK : CTH_FAILED;
}

static void prepare_cancel_waiter(void) {
    prepare_token();
    start_waiter(wait_cancelled, &event.word, 2);
}

static void undo_cancel_waiter(void) {
    join_waiter();
    token_cancelled();
    CHECK_STATUS(cth_event_clear(&event), CTH_OK);
    start_waiter(wait_cancelled, &event.word, 2);
}

static void finish_cancel_waiter(void) {
    CHECK_STATUS(cth_cancel_request(&token, "finish"), CTH_OK);
    join_waiter();
    finish_token();
}

static cth_status act_cancel_status(void) {
    return cth_cancel_status(NULL);
}

static cth_status act_on_signal(void) {
    return cth_cancel_on_signal(&token, SIGUSR1);
}

static void undo_on_signal(void) {
    CHECK_STATUS(raise(SIGUSR1) == 0 ? CTH_OK : CTH_FAILED, CTH_OK);
    CTH_UNDER(&token) {
        CHECK_STATUS(cth_event_wait(&event), CTH_CANCELLED);
    }
    finish_token();
    prepare_token();
}

// One line or two for each; the formatter would make it ten.
// clang-format off
static const scenario scenarios[] = {
    {"create", IN_MAIN, FAILS_WITH_NOMEM(1), NULL, act_create, no_thread, release_thread, NULL},
    {"create, all options", IN_MAIN, FAILS_WITH_NOMEM(1), prepare_parent, act_create_full,
     no_thread, release_thread, finish_parent},
    {"create in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_create, no_thread,
     release_thread, NULL},
    {"start", IN_MAIN, FAILS_WITH_NOMEM(0), prepare_start, act_start, not_started, undo_start,
     release_thread},
    {"start with a stack size", IN_MAIN, FAILS_WITH_NOMEM(0), prepare_start_stack, act_start,
     not_started, undo_start_stack, release_thread},
    {"spawn", IN_MAIN, FAILS_WITH_NOMEM(1), count_before, act_spawn, not_spawned, join_thread,
     NULL},
    {"spawn, all options", IN_MAIN, FAILS_WITH_NOMEM(1), count_before, act_spawn_full,
     not_spawned, join_thread, NULL},
    {"spawn as the first call", IN_MAIN, FAILS_WITH_NOMEM(1), NULL, act_spawn, no_thread,
     join_thread, NULL},
    {"spawn in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_spawn, no_thread,
     join_thread, NULL},
    {"spawn in a thread of the kit", IN_KIT, FAILS_WITH_NOMEM(1), NULL, act_spawn, no_thread,
     join_thread, NULL},
    {"join in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), prepare_join, act_join, NULL,
     undo_join, join_thread},
    {"join until in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_join_until,
     act_join_until, NULL, NULL, finish_join_until},
    {"join", IN_MAIN, NEVER_ALLOCATES, prepare_join, act_join, NULL, undo_join, join_thread},
    {"join all", IN_MAIN, FAILS_WITH_NOMEM(0), NULL, act_join_all, NULL, NULL, NULL},
    {"join all in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_join_all, NULL,
     NULL, NULL},
    {"current", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_current, NULL, NULL, NULL},
    {"current in main", IN_MAIN, FAILS_WITH_NOMEM(0), NULL, act_current, NULL, NULL, NULL},
    {"main", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_main, NULL, NULL, NULL},
    {"enumerate", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_enumerate, NULL, NULL, NULL},
    {"count", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_count, NULL, NULL, NULL},
    {"set name before the start", IN_MAIN, FAILS_WITH_NOMEM(0), prepare_name, act_name,
     name_unchanged, name_changed, release_thread},
    {"set name of a running thread", IN_MAIN, FAILS_WITH_NOMEM(0), prepare_name_running, act_name,
     name_unchanged, name_running_changed, finish_name_running},
    {"fail text", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_fail_text, NULL, NULL, NULL},
    {"no error text", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_no_error_text, NULL, NULL, NULL},
    {"hook", IN_MAIN, FAILS_WITH_NOMEM(1), use_kit, act_hook, no_thread, release_thread, NULL},
    {"local", IN_MAIN, FAILS_WITH_NOMEM(1), use_kit, act_local, local_unopened, undo_local, NULL},
    {"local in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(2), NULL, act_local,
     local_unopened, undo_local, NULL},
    {"local in a thread of the kit", IN_KIT, FAILS_WITH_NOMEM(1), NULL, act_local, local_unopened,
     undo_local, NULL},
    {"local whose open fails", IN_MAIN, FAILS_WITH_NOMEM(1), NULL, act_local_refused, NULL,
     undo_local_refused, NULL},
    {"many locals", IN_MAIN, FAILS_WITH_NOMEM(LOCALS), prepare_locals, act_locals, NULL,
     undo_locals, NULL},
    {"many locals in a thread of the kit", IN_KIT, FAILS_WITH_NOMEM(LOCALS), prepare_locals,
     act_locals, NULL, undo_locals, NULL},
    {"mutex lock as the first call", IN_MAIN, FAILS_WITH_NOMEM(0), NULL, act_lock, mutex_free,
     undo_lock, NULL},
    {"mutex lock in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_lock,
     mutex_free, undo_lock, NULL},
    {"mutex try lock in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_try_lock,
     mutex_free, undo_lock, NULL},
    {"mutex lock until in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL,
     act_lock_until, mutex_free, undo_lock, NULL},
    {"mutex held by another", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_held, act_lock_held, NULL,
     NULL, finish_held},
    {"mutex held by another, in a thread of the kit", IN_KIT, NEVER_ALLOCATES, prepare_held,
     act_lock_held, NULL, NULL, finish_held},
    {"mutex unlock by a stranger", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_unlock_free,
     mutex_free, mutex_free, NULL},
    {"cond wait in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_cond_wait,
     mutex_free, mutex_free, NULL},
    {"cond wait", IN_KIT, NEVER_ALLOCATES, NULL, act_cond_wait, NULL, mutex_free, NULL},
    {"cond notify in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), prepare_notify,
     act_notify, NULL, undo_notify, finish_notify},
    {"cond notify all in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), prepare_notify,
     act_notify_all, NULL, undo_notify, finish_notify},
    {"sem acquire in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_sem_empty,
     sem_empty, sem_empty, NULL},
    {"sem acquire", IN_KIT, NEVER_ALLOCATES, NULL, act_sem_empty, NULL, sem_empty, NULL},
    {"sem try acquire in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL,
     act_sem_try_empty, sem_empty, sem_empty, NULL},
    {"sem release with a waiter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0),
     prepare_sem_waiter, act_sem_release, sem_empty, undo_sem_waiter, finish_sem_waiter},
    {"sem release n with a waiter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0),
     prepare_sem_waiter, act_sem_release_n, sem_empty, undo_sem_waiter, finish_sem_waiter},
    {"sem release with a waiter", IN_KIT, NEVER_ALLOCATES, prepare_sem_waiter, act_sem_release,
     NULL, undo_sem_waiter, finish_sem_waiter},
    {"event wait in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), NULL, act_event_wait,
     event_unset, event_unset, NULL},
    {"event wait", IN_KIT, NEVER_ALLOCATES, NULL, act_event_wait, NULL, event_unset, NULL},
    {"event set in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_event_set,
     event_unset, undo_event_set, NULL},
    {"event set with a waiter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0),
     prepare_event_waiter, act_event_set, event_unset, undo_event_waiter, finish_event_waiter},
    {"event set with a waiter", IN_KIT, NEVER_ALLOCATES, prepare_event_waiter, act_event_set,
     NULL, undo_event_waiter, finish_event_waiter},
    {"sleep in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL, act_sleep, NULL, NULL,
     NULL},
    {"sleep", IN_KIT, NEVER_ALLOCATES, NULL, act_sleep, NULL, NULL, NULL},
    {"cancel init", IN_MAIN, FAILS_WITH_NOMEM(0), NULL, act_cancel_init, NULL, destroy_token,
     NULL},
    {"cancel init below a parent", IN_MAIN, FAILS_WITH_NOMEM(0), prepare_parent,
     act_cancel_init_child, no_children, destroy_token, finish_parent},
    {"cancel init in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), prepare_parent,
     act_cancel_init_child, no_children, destroy_token, finish_parent},
    {"cancel request in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), prepare_token,
     act_cancel_request, token_live, token_cancelled, finish_token},
    {"cancel request with a waiter", IN_MAIN, FAILS_WITH_NOMEM(0), prepare_cancel_waiter,
     act_cancel_request, token_live, undo_cancel_waiter, finish_cancel_waiter},
    {"cancel request with a waiter, in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0),
     prepare_cancel_waiter, act_cancel_request, token_live, undo_cancel_waiter,
     finish_cancel_waiter},
    {"cancel status in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(0), NULL,
     act_cancel_status, NULL, NULL, NULL},
    {"cancel on signal", IN_MAIN, FAILS_WITH_NOMEM(1), prepare_token, act_on_signal, token_live,
     undo_on_signal, finish_token},
    {"cancel on signal in a foreign thread", IN_FOREIGN, FAILS_WITH_NOMEM(1), prepare_token,
     act_on_signal, token_live, undo_on_signal, finish_token},
};
// clang-format on

/* Where no status can be returned, the kit says so and aborts rather than go on without the lock or
   without the token. */
static void *scope_in_foreign(void *arg) {
    arm(0, true);
    CTH_WITH(&mutex) {
        disarm();
    }
    return arg;
}

static void *under_in_foreign(void *arg) {
    arm(0, true);
    CTH_UNDER(&token) {
        disarm();
    }
    return arg;
}

static void aborts(void *(*run)(void *)) {
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(GUARD_SECONDS);
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        CHECK(signal(SIGABRT, SIG_DFL) != SIG_ERR); // no sanitizer need report it
        pthread_t id;
        CHECK_EQ(pthread_create(&id, NULL, run, NULL), 0);
        CHECK_EQ(pthread_join(id, NULL), 0);
        _exit(EXIT_DONE);
    }
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGABRT);
}

int main(void) {
    FAULT_RUN("fault_alloc", scenarios);
    aborts(scope_in_foreign);
    aborts(under_in_foreign);
    return EXIT_SUCCESS;
}
