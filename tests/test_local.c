/* test_local.c - one object per thread: constructor, destructor, destroy

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

enum { THREADS = 5, LOCALS = 100 };

static atomic_int opened, closed, refused;

typedef struct box {
    int value;
    char more[60];
} box;

static cth_status box_open(void *object) {
    const box zero = {0};
    CHECK(memcmp(object, &zero, sizeof zero) == 0);
    ((box *)object)->value = 100;
    atomic_fetch_add(&opened, 1);
    return CTH_OK;
}

static void box_close(void *object) {
    CHECK(((box *)object)->value >= 100);
    ((box *)object)->value = -1;
    atomic_fetch_add(&closed, 1);
}

static cth_status box_refuse(void *object) {
    ((box *)object)->value = 7; // the next try must get zeros again
    atomic_fetch_add(&refused, 1);
    return cth_fail(CTH_FAILED, "refused");
}

static void counts_reset(void) {
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    atomic_store(&refused, 0);
}

/* Threads that get their object, wait for the word, and end. */
typedef struct crew {
    cth_local *local;
    cth_sem here;
    cth_event go;
    cth_thread *thread[THREADS];
    _Atomic(void *) object[THREADS];
    atomic_int next;
} crew;

static cth_status crew_main(void *arg) {
    crew *c = (crew *)arg;
    box *b = (box *)cth_local_get(c->local);
    CHECK(b != NULL);
    atomic_store(&c->object[atomic_fetch_add(&c->next, 1)], (void *)b);
    cth_sem_release(&c->here);
    CHECK_STATUS(cth_event_wait(&c->go), CTH_OK);
    return CTH_OK;
}

static void crew_start(crew *c, cth_local *local) {
    memset(c, 0, sizeof *c);
    c->local = local;
    for (int i = 0; i < THREADS; i++) {
        c->thread[i] = test_spawn(crew_main, c);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(cth_sem_acquire(&c->here), CTH_OK);
    }
}

static void crew_end(crew *c) {
    cth_event_set(&c->go);
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(c->thread[i]), CTH_OK);
    }
}

static void the_address_stays(void) {
    counts_reset();
    cth_local local = CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
    box *b = (box *)cth_local_get(&local);
    CHECK(b != NULL);
    CHECK_EQ(b->value, 100);
    b->value = 123;
    for (int i = 0; i < 100; i++) {
        CHECK(cth_local_get(&local) == b);
    }
    CHECK_EQ(b->value, 123);
    CHECK_EQ(atomic_load(&opened), 1);
    CHECK_EQ(atomic_load(&closed), 0);
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&closed), 1);
}

static void each_thread_has_its_own(void) {
    counts_reset();
    cth_local local = CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
    box *mine = (box *)cth_local_get(&local);
    CHECK(mine != NULL);
    crew c;
    crew_start(&c, &local);
    for (int i = 0; i < THREADS; i++) {
        CHECK(atomic_load(&c.object[i]) != mine);
        for (int k = 0; k < i; k++) {
            CHECK(atomic_load(&c.object[i]) != atomic_load(&c.object[k]));
        }
    }
    CHECK_EQ(atomic_load(&opened), THREADS + 1);
    crew_end(&c);
    // Closed when their threads ended, before join returned; main's lives on.
    CHECK_EQ(atomic_load(&closed), THREADS);
    CHECK(cth_local_get(&local) == mine);
    CHECK_EQ(mine->value, 100);
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&closed), THREADS + 1);
}

static void destroy_closes_those_of_living_threads(void) {
    counts_reset();
    cth_local local = CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
    crew c;
    crew_start(&c, &local);
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&closed), THREADS);
    crew_end(&c);
    CHECK_EQ(atomic_load(&closed), THREADS); // not again at their ends
}

static void unused_ones_are_free(void) {
    counts_reset();
    cth_local local = CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&opened) + atomic_load(&closed), 0);
}

static void a_failed_open_is_tried_again(void) {
    counts_reset();
    cth_local local = CTH_LOCAL_INIT(sizeof(box), box_refuse, box_close);
    for (int i = 1; i <= 5; i++) {
        CHECK(cth_local_get(&local) == NULL);
        CHECK_EQ(atomic_load(&refused), i);
    }
    local.open = box_open; // which checks that the object is zeroed
    box *b = (box *)cth_local_get(&local);
    CHECK(b != NULL);
    CHECK_EQ(b->value, 100);
    CHECK_EQ(atomic_load(&opened), 1);
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&closed), 1); // only the one that was opened
}

static cth_status gets_nothing(void *arg) {
    CHECK(cth_local_get((cth_local *)arg) == NULL);
    CHECK(cth_local_get((cth_local *)arg) == NULL);
    return CTH_OK;
}

static void what_failed_to_open_is_not_closed(void) {
    counts_reset();
    cth_local local = CTH_LOCAL_INIT(sizeof(box), box_refuse, box_close);
    CHECK_STATUS(test_join(test_spawn(gets_nothing, &local)), CTH_OK);
    CHECK(cth_local_get(&local) == NULL);
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&refused), 3);
    CHECK_EQ(atomic_load(&closed), 0);
}

static void without_functions(void) {
    cth_local local = CTH_LOCAL_INIT(sizeof(long), NULL, NULL);
    long *n = (long *)cth_local_get(&local);
    CHECK(n != NULL);
    CHECK_EQ(*n, 0);
    *n = 5;
    CHECK_EQ(*(long *)cth_local_get(&local), 5);
    cth_local_destroy(&local);
}

static void sizes_and_alignment(void) {
    static const size_t sizes[] = {1, 3, 8, 17, 64, 4096, 1000000};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        cth_local local = CTH_LOCAL_INIT(sizes[i], NULL, NULL);
        unsigned char *bytes = (unsigned char *)cth_local_get(&local);
        CHECK(bytes != NULL);
        CHECK_EQ((uintptr_t)bytes % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < sizes[i]; k++) {
            CHECK_EQ(bytes[k], 0);
        }
        memset(bytes, 0xEE, sizes[i]);
        CHECK(cth_local_get(&local) == (void *)bytes);
        cth_local_destroy(&local);
    }
}

static cth_local many[LOCALS];

static cth_status uses_many(void *arg) {
    (void)arg;
    box *objects[LOCALS];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LOCALS; i++) {
            box *b = (box *)cth_local_get(&many[i]);
            CHECK(b != NULL);
            if (round == 0) {
                b->value = 1000 + i;
                objects[i] = b;
            }
            CHECK(b == objects[i]);
            CHECK_EQ(b->value, 1000 + i);
        }
        cth_yield();
    }
    return CTH_OK;
}

static void many_locals_in_many_threads(void) {
    counts_reset();
    for (int i = 0; i < LOCALS; i++) {
        many[i] = (cth_local)CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
    }
    cth_thread *threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = test_spawn(uses_many, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(atomic_load(&opened), THREADS * LOCALS);
    CHECK_EQ(atomic_load(&closed), THREADS * LOCALS);
    CHECK_STATUS(uses_many(NULL), CTH_OK);
    for (int i = LOCALS - 1; i >= 0; i--) {
        cth_local_destroy(&many[i]);
    }
    CHECK_EQ(atomic_load(&closed), (THREADS + 1) * LOCALS);
}

typedef struct relay {
    cth_local first, second;
    cth_sem here;
    cth_event go;
} relay;

static cth_status uses_both(void *arg) {
    relay *r = (relay *)arg;
    box *b = (box *)cth_local_get(&r->first);
    CHECK(b != NULL);
    b->value = 555;
    cth_sem_release(&r->here);
    CHECK_STATUS(cth_event_wait(&r->go), CTH_OK);
    b = (box *)cth_local_get(&r->second);
    CHECK(b != NULL);
    CHECK_EQ(b->value, 100); // a new object, although the first one's place is free again
    return CTH_OK;
}

static void a_new_local_does_not_find_the_old_one_s_objects(void) {
    counts_reset();
    for (int i = 0; i < 20; i++) {
        relay r = {.first = CTH_LOCAL_INIT(sizeof(box), box_open, box_close)};
        cth_thread *thread = test_spawn(uses_both, &r);
        CHECK_STATUS(cth_sem_acquire(&r.here), CTH_OK);
        CHECK(cth_local_get(&r.first) != NULL);
        cth_local_destroy(&r.first);
        r.second = (cth_local)CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
        box *b = (box *)cth_local_get(&r.second);
        CHECK(b != NULL);
        CHECK_EQ(b->value, 100);
        cth_event_set(&r.go);
        CHECK_STATUS(test_join(thread), CTH_OK);
        cth_local_destroy(&r.second);
    }
    CHECK_EQ(atomic_load(&opened), 80);
    CHECK_EQ(atomic_load(&closed), 80);
}

static void locals_come_and_go(void) {
    // Their numbers are used again: far more locals one after another than at one time.
    counts_reset();
    for (int i = 0; i < 5000; i++) {
        cth_local local = CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
        CHECK(cth_local_get(&local) != NULL);
        cth_local_destroy(&local);
    }
    CHECK_EQ(atomic_load(&opened), 5000);
    CHECK_EQ(atomic_load(&closed), 5000);
}

static cth_local raced = CTH_LOCAL_INIT(sizeof(box), box_open, box_close);

static void the_first_use_by_many_at_once(void) {
    for (int i = 0; i < 50; i++) {
        counts_reset();
        crew c;
        crew_start(&c, &raced); // all race to give the local its number
        CHECK_EQ(atomic_load(&opened), THREADS);
        crew_end(&c);
        CHECK_EQ(atomic_load(&closed), THREADS);
        cth_local_destroy(&raced);
        raced = (cth_local)CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
    }
}

static void *foreign_user(void *arg) {
    box *b = (box *)cth_local_get((cth_local *)arg); // its first call of the kit
    CHECK(b != NULL);
    CHECK_EQ(b->value, 100);
    CHECK(cth_local_get((cth_local *)arg) == b);
    return NULL;
}

static void foreign_threads_close_theirs(void) {
    counts_reset();
    cth_local local = CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
    for (int i = 1; i <= 20; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, foreign_user, &local) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK_EQ(atomic_load(&opened), i);
        CHECK_EQ(atomic_load(&closed), i);
    }
    cth_local_destroy(&local);
    CHECK_EQ(atomic_load(&closed), 20);
}

static cth_mutex close_lock;
static int close_sum; // protected by it

static void close_with_kit(void *object) {
    (void)object;
    // A destructor runs in its thread, which can still use the kit.
    CHECK(strcmp(cth_thread_name(cth_thread_current()), "closer") == 0);
    CTH_WITH(&close_lock) {
        close_sum++;
    }
}

static cth_status opens(void *arg) {
    CHECK(cth_local_get((cth_local *)arg) != NULL);
    return CTH_OK;
}

static void a_destructor_may_use_the_kit(void) {
    cth_local local = CTH_LOCAL_INIT(1, NULL, close_with_kit);
    cth_thread *thread;
    CHECK_STATUS(cth_thread_spawn(&thread, opens, &local, &(cth_thread_desc){.name = "closer"}),
                 CTH_OK);
    CHECK_STATUS(test_join(thread), CTH_OK);
    CHECK_EQ(close_sum, 1);
    cth_local_destroy(&local);
}

static cth_local chained[2];

static void close_gets_another(void *object) {
    // Late use of another local, whose turn may be over already: it must be closed all the same.
    CHECK(cth_local_get(&chained[*(int *)object]) != NULL);
}

static cth_status opens_chained(void *arg) {
    const int which = *(int *)arg;
    int *other = (int *)cth_local_get(&chained[which]);
    CHECK(other != NULL);
    *other = !which;
    return CTH_OK;
}

static void a_destructor_may_get_another_local(void) {
    counts_reset();
    // With the smaller number and with the larger one first, for both have been given theirs.
    for (int which = 0; which < 2; which++) {
        chained[which] = (cth_local)CTH_LOCAL_INIT(sizeof(int), NULL, close_gets_another);
        chained[!which] = (cth_local)CTH_LOCAL_INIT(sizeof(box), box_open, box_close);
        for (int i = 0; i < 2; i++) {
            if (i != which) {
                CHECK(cth_local_get(&chained[i]) != NULL);
            } else {
                *(int *)cth_local_get(&chained[i]) = !which;
            }
        }
        counts_reset();
        CHECK_STATUS(test_join(test_spawn(opens_chained, &which)), CTH_OK);
        CHECK_EQ(atomic_load(&opened), 1);
        CHECK_EQ(atomic_load(&closed), 1);
        cth_local_destroy(&chained[which]);
        cth_local_destroy(&chained[!which]);
        CHECK_EQ(atomic_load(&closed), 2);
    }
}

static void errno_is_preserved(void) {
    cth_local local = CTH_LOCAL_INIT(100, NULL, NULL);
    errno = 4242;
    CHECK(cth_local_get(&local) != NULL);
    cth_local_destroy(&local);
    CHECK_EQ(errno, 4242);
}

static const test_case tests[] = {
    TEST(the_address_stays),
    TEST(each_thread_has_its_own),
    TEST(destroy_closes_those_of_living_threads),
    TEST(unused_ones_are_free),
    TEST(a_failed_open_is_tried_again),
    TEST(what_failed_to_open_is_not_closed),
    TEST(without_functions),
    TEST(sizes_and_alignment),
    TEST(many_locals_in_many_threads),
    TEST(a_new_local_does_not_find_the_old_one_s_objects),
    TEST(locals_come_and_go),
    TEST(the_first_use_by_many_at_once),
    TEST(foreign_threads_close_theirs),
    TEST(a_destructor_may_use_the_kit),
    TEST(a_destructor_may_get_another_local),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
