/* sim_rwlock.c - the readers-writer lock under many schedules, and bugs of such locks

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "sim.h"

static cth_rwlock rw;
static int readers; // inside
static int writers; // inside
static int halves[2];
static int writes, reads; // who got in in all
static cth_latch both;

static void fresh(void) {
    static const cth_rwlock zero = CTH_RWLOCK_INIT;
    static const cth_latch two = CTH_LATCH_INIT(2);
    rw = zero;
    both = two;
    readers = writers = writes = reads = 0;
    halves[0] = halves[1] = 0;
    sim_begin();
}

static void write_inside(void) {
    CTH_SIM_CHECK(writers == 0 && readers == 0);
    writers++;
    halves[0]++;
    cth_yield();
    halves[1]++;
    CTH_SIM_CHECK(writers == 1 && readers == 0);
    writers--;
    writes++;
}

static void read_inside(void) {
    CTH_SIM_CHECK(writers == 0);
    readers++;
    const int seen = halves[0];
    CTH_SIM_CHECK(halves[1] == seen);
    cth_yield();
    CTH_SIM_CHECK(writers == 0);
    CTH_SIM_CHECK(halves[0] == seen && halves[1] == seen);
    readers--;
    reads++;
}

static void unlock_write(void) {
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&rw) == CTH_OK);
}

static void unlock_read(void) {
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&rw) == CTH_OK);
}

/* At the end nobody may be left in it: try both ways, then destroy it. */
static void nobody_left(void) {
    CTH_SIM_CHECK(cth_rwlock_try_write_lock(&rw) == CTH_OK);
    CTH_SIM_CHECK(cth_rwlock_destroy(&rw) == CTH_BUSY);
    unlock_write();
    CTH_SIM_CHECK(cth_rwlock_try_read_lock(&rw) == CTH_OK);
    CTH_SIM_CHECK(cth_rwlock_destroy(&rw) == CTH_BUSY);
    unlock_read();
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&rw) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rwlock_destroy(&rw) == CTH_OK);
}

/* -- scenarios --------------------------------------------------------------------------------- */

static cth_status writes_twice(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
        write_inside();
        unlock_write();
    }
    return CTH_OK;
}

static cth_status reads_twice(void *arg) {
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
        read_inside();
        unlock_read();
    }
    return CTH_OK;
}

static cth_status exclusion(void *arg) {
    (void)arg;
    fresh();
    cth_thread *threads[] = {sim_spawn(writes_twice, NULL), sim_spawn(reads_twice, NULL),
                             sim_spawn(writes_twice, NULL), sim_spawn(reads_twice, NULL)};
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(writes == 4 && reads == 4 && halves[0] == 4);
    nobody_left();
    return CTH_OK;
}

static cth_status writes_until(void *arg) {
    int *got = (int *)arg;
    const cth_time deadline = cth_sim_choose(8) == 0 ? 0 : sim_soon();
    const cth_status status = cth_rwlock_write_lock_until(&rw, deadline);
    if (status == CTH_OK) {
        write_inside();
        unlock_write();
        ++*got;
    } else {
        CTH_SIM_CHECK(status == CTH_TIMEDOUT);
        CTH_SIM_CHECK(cth_now() >= deadline);
        CTH_SIM_CHECK(cth_rwlock_write_unlock(&rw) == CTH_NOT_OWNER);
    }
    return CTH_OK;
}

static cth_status reads_until(void *arg) {
    int *got = (int *)arg;
    const cth_time deadline = cth_sim_choose(8) == 0 ? 0 : sim_soon();
    const cth_status status = cth_rwlock_read_lock_until(&rw, deadline);
    if (status == CTH_OK) {
        read_inside();
        unlock_read();
        ++*got;
    } else {
        CTH_SIM_CHECK(status == CTH_TIMEDOUT);
        CTH_SIM_CHECK(cth_now() >= deadline);
    }
    return CTH_OK;
}

/* Two that give up among two that do not: the patient ones get in, and nobody is left inside. */
static cth_status timed_and_patient(void *arg) {
    int wrote = 0;
    int read = 0;
    (void)arg;
    fresh();
    cth_thread *threads[] = {sim_spawn(writes_until, &wrote), sim_spawn(reads_until, &read),
                             sim_spawn(writes_twice, NULL), sim_spawn(reads_twice, NULL)};
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(writes == 2 + wrote && reads == 2 + read && halves[0] == writes);
    nobody_left();
    return CTH_OK;
}

static void linger(void) {
    for (uint32_t n = cth_sim_choose(8); n > 0; n--) {
        cth_yield();
    }
}

/* The unlock of a writer meets a reader and a writer whose deadlines pass at that moment; the other
   writer must not be forgotten. */
static cth_status write_unlock_meets_timeouts(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
    cth_thread *patient = sim_spawn(writes_twice, NULL);
    cth_thread *hasty = sim_spawn(reads_until, &got);
    cth_thread *other = cth_sim_choose(2) == 0 ? sim_spawn(writes_until, &got) : NULL;
    linger();
    write_inside();
    unlock_write();
    sim_join(patient);
    sim_join(hasty);
    if (other != NULL) {
        sim_join(other);
    }
    nobody_left();
    return CTH_OK;
}

/* The same for the last reader that leaves. */
static cth_status read_unlock_meets_timeout(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
    cth_thread *patient = sim_spawn(cth_sim_choose(2) == 0 ? writes_twice : reads_twice, NULL);
    cth_thread *hasty = sim_spawn(writes_until, &got);
    linger();
    read_inside();
    unlock_read();
    sim_join(patient);
    sim_join(hasty);
    nobody_left();
    return CTH_OK;
}

/* Reads, and stays inside until two such readers are: they must get in together unless a writer is
   or waits. */
static cth_status meets_inside(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
    CTH_SIM_CHECK(writers == 0);
    CTH_SIM_CHECK(cth_latch_done(&both) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_wait(&both) == CTH_OK);
    CTH_SIM_CHECK(writers == 0);
    unlock_read();
    return CTH_OK;
}

/* A reader is queued behind a writer that waits for another reader. When the writer gives up, that
   reader must get in, though nothing is unlocked: the one inside waits for it. */
static cth_status writer_gives_up(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
    cth_thread *writer = sim_spawn(writes_until, &got);
    cth_thread *second = cth_sim_choose(2) == 0 ? sim_spawn(writes_until, &got) : NULL;
    cth_thread *reader = sim_spawn(meets_inside, NULL);
    CTH_SIM_CHECK(cth_latch_done(&both) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_wait(&both) == CTH_OK);
    CTH_SIM_CHECK(writers == 0);
    unlock_read();
    sim_join(writer);
    sim_join(reader);
    if (second != NULL) {
        sim_join(second);
    }
    nobody_left();
    return CTH_OK;
}

/* The same when the writer was woken, but was overtaken by another reader before it gave up. */
static cth_status woken_writer_gives_up(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
    cth_thread *threads[] = {sim_spawn(writes_until, &got), sim_spawn(meets_inside, NULL),
                             sim_spawn(meets_inside, NULL)};
    linger();
    unlock_read();
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    nobody_left();
    return CTH_OK;
}

/* The readers that a leaving writer would wake have all given up; the queued writer is next.
   Found a lost wake-up in this kit once: the readers were counted, though none of them came. */
static cth_status all_readers_gave_up(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
    cth_thread *threads[] = {sim_spawn(reads_until, &got), sim_spawn(reads_until, &got),
                             sim_spawn(writes_twice, NULL)};
    linger();
    unlock_write();
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(writes == 2 && reads == got);
    nobody_left();
    return CTH_OK;
}

/* A writer that turns into a reader sees what it wrote, and lets the readers in at once. */
static cth_status turns_reader(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
    write_inside();
    const int seen = halves[0];
    CTH_SIM_CHECK(cth_rwlock_downgrade(&rw) == CTH_OK);
    CTH_SIM_CHECK(cth_rwlock_downgrade(&rw) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&rw) == CTH_NOT_OWNER);
    read_inside();
    CTH_SIM_CHECK(halves[0] == seen);
    unlock_read();
    return CTH_OK;
}

static cth_status downgrade(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    cth_thread *threads[] = {sim_spawn(turns_reader, NULL), sim_spawn(turns_reader, NULL),
                             sim_spawn(reads_until, &got), sim_spawn(writes_until, &got)};
    for (int i = 0; i < 4; i++) {
        sim_join(threads[i]);
    }
    CTH_SIM_CHECK(writes + reads == 4 + got);
    nobody_left();
    return CTH_OK;
}

/* A reader that waits, or comes, while the downgraded one is inside gets in: they meet. A timed
   writer may be queued between them. */
static cth_status downgrade_lets_readers_in(void *arg) {
    int got = 0;
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
    cth_thread *reader = sim_spawn(meets_inside, NULL);
    cth_thread *writer = cth_sim_choose(2) == 0 ? sim_spawn(writes_until, &got) : NULL;
    linger();
    CTH_SIM_CHECK(cth_rwlock_downgrade(&rw) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_done(&both) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_wait(&both) == CTH_OK);
    unlock_read();
    sim_join(reader);
    if (writer != NULL) {
        sim_join(writer);
    }
    nobody_left();
    return CTH_OK;
}

struct counted {
    cth_rwlock lock;
    int users;
};

/* Each user reads, then writes itself off; the last one gives the memory away at once, though the
   unlock before it may not have returned. */
static cth_status use_and_free(void *arg) {
    struct counted *c = (struct counted *)arg;
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_rwlock_read_lock(&c->lock) == CTH_OK);
        CTH_SIM_CHECK(c->users > 0);
        CTH_SIM_CHECK(cth_rwlock_read_unlock(&c->lock) == CTH_OK);
    }
    CTH_SIM_CHECK(cth_rwlock_write_lock(&c->lock) == CTH_OK);
    const bool last = --c->users == 0;
    if (cth_sim_choose(2) == 0) {
        CTH_SIM_CHECK(cth_rwlock_downgrade(&c->lock) == CTH_OK);
        CTH_SIM_CHECK(cth_rwlock_read_unlock(&c->lock) == CTH_OK);
    } else {
        CTH_SIM_CHECK(cth_rwlock_write_unlock(&c->lock) == CTH_OK);
    }
    if (last) {
        sim_gone(c, sizeof *c);
    }
    return CTH_OK;
}

static cth_status freed_after_unlock(void *arg) {
    (void)arg;
    fresh();
    struct counted *c = (struct counted *)calloc(1, sizeof *c);
    c->users = 3;
    sim_together(use_and_free, c, 3);
    sim_untouched(c, sizeof *c);
    free(c);
    return CTH_OK;
}

/* A reader gives the memory away, once it has seen that the writer was inside for the last time. */
static cth_status writer_of_counted(void *arg) {
    struct counted *c = (struct counted *)arg;
    CTH_SIM_CHECK(cth_rwlock_write_lock(&c->lock) == CTH_OK);
    c->users--;
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&c->lock) == CTH_OK);
    return CTH_OK;
}

static cth_status freed_by_reader(void *arg) {
    (void)arg;
    fresh();
    struct counted *c = (struct counted *)calloc(1, sizeof *c);
    c->users = 1;
    cth_thread *writer = sim_spawn(writer_of_counted, c);
    for (bool last = false; !last;) {
        const cth_status status = cth_rwlock_read_lock_until(&c->lock, sim_soon());
        CTH_SIM_CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        if (status == CTH_OK) {
            last = c->users == 0;
            CTH_SIM_CHECK(cth_rwlock_read_unlock(&c->lock) == CTH_OK);
        }
        cth_yield();
    }
    sim_gone(c, sizeof *c);
    sim_join(writer);
    sim_untouched(c, sizeof *c);
    free(c);
    return CTH_OK;
}

static bool stop;
static int entered; // readers that have been inside

/* Stay inside until the next reader is, if it comes: so the lock is hardly ever free of readers
   unless they are held back for the writer. */
static cth_status reads_on_and_on(void *arg) {
    (void)arg;
    while (!stop) {
        CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
        const int before = ++entered;
        CTH_SIM_CHECK(before < 300);
        for (int patience = 30; patience > 0 && entered == before && !stop; patience--) {
            cth_yield();
        }
        unlock_read();
    }
    return CTH_OK;
}

/* Readers that come again and again do not keep a writer out, */
static cth_status writer_gets_its_turn(void *arg) {
    (void)arg;
    fresh();
    stop = false;
    entered = 0;
    cth_thread *threads[] = {sim_spawn(reads_on_and_on, NULL), sim_spawn(reads_on_and_on, NULL),
                             sim_spawn(reads_on_and_on, NULL)};
    CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
    stop = true;
    unlock_write();
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* Stay inside long enough for the other writers to queue up. */
static cth_status writes_on_and_on(void *arg) {
    (void)arg;
    while (!stop) {
        CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
        CTH_SIM_CHECK(++entered < 300);
        for (int i = 0; i < 10 && !stop; i++) {
            cth_yield();
        }
        unlock_write();
    }
    return CTH_OK;
}

/* ... nor writers a reader. */
static cth_status reader_gets_its_turn(void *arg) {
    (void)arg;
    fresh();
    stop = false;
    entered = 0;
    cth_thread *threads[] = {sim_spawn(writes_on_and_on, NULL), sim_spawn(writes_on_and_on, NULL),
                             sim_spawn(writes_on_and_on, NULL)};
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
    stop = true;
    unlock_read();
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

static cth_status misuser(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_write_unlock(&rw) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rwlock_read_unlock(&rw) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rwlock_downgrade(&rw) == CTH_NOT_OWNER);
    CTH_SIM_CHECK(cth_rwlock_try_write_lock(&rw) == CTH_BUSY);
    CTH_SIM_CHECK(cth_rwlock_try_read_lock(&rw) == CTH_BUSY);
    CTH_SIM_CHECK(cth_rwlock_destroy(&rw) == CTH_BUSY);
    return CTH_OK;
}

/* Calls that must fail do not disturb the writer nor those who wait. */
static cth_status misuse(void *arg) {
    (void)arg;
    fresh();
    CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
    cth_thread *threads[] = {sim_spawn(misuser, NULL), sim_spawn(reads_twice, NULL),
                             sim_spawn(writes_twice, NULL)};
    CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_DEADLOCK);
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_DEADLOCK);
    CTH_SIM_CHECK(cth_rwlock_try_write_lock(&rw) == CTH_BUSY);
    CTH_SIM_CHECK(cth_rwlock_try_read_lock(&rw) == CTH_BUSY);
    CTH_SIM_CHECK(cth_rwlock_write_lock_until(&rw, -1) == CTH_INVALID);
    CTH_SIM_CHECK(cth_rwlock_read_lock_until(&rw, -1) == CTH_INVALID);
    sim_join(threads[0]);
    unlock_write();
    sim_join(threads[1]);
    sim_join(threads[2]);
    CTH_SIM_CHECK(writes == 2 && reads == 2);
    nobody_left();
    return CTH_OK;
}

static void passes_exclusion(void) {
    SIM_PASS(exclusion, SIM_WAITS, 800);
    SIM_PASS(exclusion, SIM_ALL, 400);
}
static void passes_timed_and_patient(void) {
    SIM_PASS(timed_and_patient, SIM_WAITS, 1500);
}
static void passes_unlock_meets_timeout(void) {
    SIM_PASS(write_unlock_meets_timeouts, SIM_WAITS, 1500);
    SIM_PASS(read_unlock_meets_timeout, SIM_WAITS, 1500);
}
static void passes_writer_gives_up(void) {
    SIM_PASS(writer_gives_up, SIM_WAITS, 1500);
    SIM_PASS(woken_writer_gives_up, SIM_WAITS, 1500);
}
static void passes_all_readers_gave_up(void) {
    SIM_PASS(all_readers_gave_up, SIM_WAITS, 1500);
}
static void passes_downgrade(void) {
    SIM_PASS(downgrade, SIM_WAITS, 1000);
    SIM_PASS(downgrade_lets_readers_in, SIM_WAITS, 1000);
}
static void passes_freed_after_unlock(void) {
    SIM_PASS(freed_after_unlock, SIM_WAITS, 1500);
    SIM_PASS(freed_by_reader, SIM_WAITS, 1000);
}
static void passes_no_starvation(void) {
    SIM_PASS(writer_gets_its_turn, CTH_SIM_SPURIOUS, 500);
    SIM_PASS(reader_gets_its_turn, CTH_SIM_SPURIOUS, 500);
}
static void passes_misuse(void) {
    SIM_PASS(misuse, SIM_WAITS, 500);
}

/* -- planted bugs ------------------------------------------------------------------------------ */

// A lock for one writer or many readers with a queue of its own, each waiter asleep on its event.
// Who unlocks hands the lock on; `claim` decides between that and the waiter's deadline.
enum { WAITS, SERVED, GAVE_UP };

struct queued {
    cth_event served;
    int claim;
    bool reads;
    struct queued *next;
};

static cth_mutex guard;
static struct queued *queue; // under `guard`, as all below
static int held;             // -1: by a writer, else the number of readers

static void small_fresh(void) {
    static const cth_mutex zero = CTH_MUTEX_INIT;
    fresh();
    guard = zero;
    queue = NULL;
    held = 0;
}

/* Serve one queued writer, or all queued readers; return how many took it. */
static int small_serve(bool read) {
    int served = 0;
    for (struct queued *q = queue; q != NULL; q = q->next) {
        if (q->reads == read && q->claim == WAITS && (read || served == 0)) {
            q->claim = SERVED;
            held += read ? 1 : -1;
            served++;
            (void)cth_event_set(&q->served);
        }
    }
    return served;
}

static bool small_any(bool read) {
    for (const struct queued *q = queue; q != NULL; q = q->next) {
        if (q->reads == read && q->claim != SERVED) {
            return true;
        }
    }
    return false;
}

static bool small_lock(bool read, cth_time deadline, bool quiet) {
    struct queued me = {CTH_EVENT_INIT, WAITS, read, NULL};
    CTH_WITH(&guard) {
        if (held == 0 || (read && held > 0 && !small_any(false))) {
            held += read ? 1 : -1;
            return true;
        }
        me.next = queue;
        queue = &me;
    }
    if (cth_event_wait_until(&me.served, deadline) != CTH_OK && me.claim == WAITS) {
        me.claim = GAVE_UP; // the record is taken out of the queue a moment later
    }
    CTH_WITH(&guard) {
        struct queued **at = &queue;
        while (*at != &me) {
            at = &(*at)->next;
        }
        *at = me.next;
        if (me.claim == GAVE_UP && held > 0 && !quiet && !small_any(false)) {
            (void)small_serve(true);
        }
    }
    return me.claim == SERVED;
}

static void small_write_unlock(void) {
    CTH_WITH(&guard) {
        held = 0;
        // Bug: readers that are queued are taken for readers that come.
        const bool served = small_any(true) && (small_serve(true) > 0 || planted);
        if (!served) {
            (void)small_serve(false);
        }
    }
}

static void small_read_unlock(void) {
    CTH_WITH(&guard) {
        if (--held == 0 && small_serve(false) == 0) {
            (void)small_serve(true);
        }
    }
}

static cth_status small_reader(void *arg) {
    (void)arg;
    if (small_lock(true, sim_soon(), false)) {
        read_inside();
        small_read_unlock();
    }
    return CTH_OK;
}

static cth_status small_writer(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(small_lock(false, CTH_FOREVER, false));
    write_inside();
    small_write_unlock();
    return CTH_OK;
}

/* Bug: the leaving writer wakes the readers, which have all timed out, and forgets the writer.
   Stands for wake-ups given to waiters that are no longer there. */
static cth_status forgets_the_writer(void *arg) {
    (void)arg;
    small_fresh();
    CTH_SIM_CHECK(small_lock(false, CTH_FOREVER, false));
    cth_thread *threads[] = {sim_spawn(small_reader, NULL), sim_spawn(small_reader, NULL),
                             sim_spawn(small_writer, NULL)};
    linger();
    small_write_unlock();
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* Bug: a writer that times out leaves the readers asleep which are queued because of it. Stands for
   locks that do a waiter's duties only when it is woken, not when it gives up. */
static cth_status small_hasty_writer(void *arg) {
    (void)arg;
    if (small_lock(false, sim_soon(), planted)) {
        write_inside();
        small_write_unlock();
    }
    return CTH_OK;
}

static cth_status small_meets(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(small_lock(true, CTH_FOREVER, false));
    CTH_SIM_CHECK(cth_latch_done(&both) == CTH_OK);
    CTH_SIM_CHECK(cth_latch_wait(&both) == CTH_OK);
    small_read_unlock();
    return CTH_OK;
}

static cth_status gives_up_quietly(void *arg) {
    (void)arg;
    small_fresh();
    cth_thread *threads[] = {sim_spawn(small_meets, NULL), sim_spawn(small_hasty_writer, NULL),
                             sim_spawn(small_meets, NULL)};
    for (int i = 0; i < 3; i++) {
        sim_join(threads[i]);
    }
    return CTH_OK;
}

/* Bug: to write what it has read, a reader unlocks and locks to write, and does not look again.
   Stands for check-then-act across two holds; the downgrade is the other way round. */
static int value;

static cth_status raises(void *arg) {
    (void)arg;
    CTH_SIM_CHECK(cth_rwlock_read_lock(&rw) == CTH_OK);
    int seen = value;
    unlock_read();
    if (seen == 0) {
        CTH_SIM_CHECK(cth_rwlock_write_lock(&rw) == CTH_OK);
        seen = planted ? seen : value;
        if (seen == 0) {
            value++;
        }
        CTH_SIM_CHECK(cth_rwlock_downgrade(&rw) == CTH_OK);
        CTH_SIM_CHECK(value == 1);
        unlock_read();
    }
    return CTH_OK;
}

static cth_status acts_on_old_reading(void *arg) {
    (void)arg;
    fresh();
    value = 0;
    sim_together(raises, NULL, 3);
    return CTH_OK;
}

static void finds_forgotten_writer(void) {
    SIM_FOUND(forgets_the_writer, CTH_SIM_TIMEOUTS, "deadlock");
}
static void finds_quiet_timeout(void) {
    SIM_FOUND(gives_up_quietly, CTH_SIM_TIMEOUTS, "deadlock");
}
static void finds_old_reading(void) {
    SIM_FOUND(acts_on_old_reading, 0, "check");
}

static const test_case tests[] = {
    TEST(passes_exclusion),
    TEST(passes_timed_and_patient),
    TEST(passes_unlock_meets_timeout),
    TEST(passes_writer_gives_up),
    TEST(passes_all_readers_gave_up),
    TEST(passes_downgrade),
    TEST(passes_freed_after_unlock),
    TEST(passes_no_starvation),
    TEST(passes_misuse),
    TEST(finds_forgotten_writer),
    TEST(finds_quiet_timeout),
    TEST(finds_old_reading),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
