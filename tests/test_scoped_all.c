/* test_scoped_all.c - CTH_WITH on an rmutex, READ, WRITE, ALL, and CTH_ATOMICALLY: however left

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static cth_mutex mutex, mutex2;
static cth_rmutex rmutex, rmutex2;
static cth_rwlock rwlock, rwlock2;
static cth_sem sem = CTH_SEM_INIT(1);
static int inside;  // times that a block was entered
static int reached; // times that a statement after a jump ran; stays 0

/* Keeps the compiler from knowing that what follows a jump is not reached. */
static volatile bool never;

static bool reads(void) {
    return atomic_load(&rwlock.word) == 4;
}

static bool writes(void) {
    return (atomic_load(&rwlock.word) & 2) != 0;
}

static bool rwlock_free(void) {
    return atomic_load(&rwlock.word) == 0;
}

static bool rmutex_held(void) {
    return cth_rmutex_is_locked(&rmutex);
}

static bool rmutex_free(void) {
    return !cth_rmutex_is_locked(&rmutex);
}

static bool all_held(void) {
    return cth_mutex_is_locked(&mutex) && cth_rmutex_is_locked(&rmutex) && writes();
}

static bool all_free(void) {
    return !cth_mutex_is_locked(&mutex) && !cth_rmutex_is_locked(&rmutex) && rwlock_free();
}

/* The same tests for each kind of block. */
#define BLOCK_TESTS(kind, WITH, is_free, is_held)                              \
  static void kind##_falls_through(void) {                                     \
    inside = 0;                                                                \
    CHECK(is_free());                                                          \
    WITH {                                                                     \
      inside++;                                                                \
      CHECK(is_held());                                                        \
    }                                                                          \
    CHECK(is_free());                                                          \
    CHECK_EQ(inside, 1);                                                       \
  }                                                                            \
  static void kind##_break(void) {                                             \
    inside = reached = 0;                                                      \
    for (int i = 0; i < 3; i++) {                                              \
      WITH {                                                                   \
        inside++;                                                              \
        CHECK(is_held());                                                      \
        if (!never) {                                                          \
          break;                                                               \
        }                                                                      \
        reached++;                                                             \
      }                                                                        \
      CHECK(is_free()); /* left the block, not the loop */                     \
    }                                                                          \
    CHECK_EQ(inside, 3);                                                       \
    CHECK_EQ(reached, 0);                                                      \
  }                                                                            \
  static void kind##_continue(void) {                                          \
    inside = reached = 0;                                                      \
    for (int i = 0; i < 3; i++) {                                              \
      WITH {                                                                   \
        inside++;                                                              \
        CHECK(is_held());                                                      \
        if (!never) {                                                          \
          continue;                                                            \
        }                                                                      \
        reached++;                                                             \
      }                                                                        \
      CHECK(is_free());                                                        \
    }                                                                          \
    CHECK_EQ(inside, 3);                                                       \
    CHECK_EQ(reached, 0);                                                      \
  }                                                                            \
  static int kind##_return_7(void) {                                           \
    WITH {                                                                     \
      inside++;                                                                \
      if (!never) {                                                            \
        return is_held() ? 7 : -1; /* the value is made before the locks go */ \
      }                                                                        \
      reached++;                                                               \
    }                                                                          \
    return 0;                                                                  \
  }                                                                            \
  static void kind##_return(void) {                                            \
    inside = reached = 0;                                                      \
    CHECK_EQ(kind##_return_7(), 7);                                            \
    CHECK(is_free());                                                          \
    CHECK_EQ(inside, 1);                                                       \
    CHECK_EQ(reached, 0);                                                      \
  }                                                                            \
  static void kind##_goto(void) {                                              \
    inside = reached = 0;                                                      \
  again:                                                                       \
    CHECK(is_free()); /* backwards out of the block */                         \
    WITH {                                                                     \
      CHECK(is_held());                                                        \
      if (++inside < 3) {                                                      \
        goto again;                                                            \
      }                                                                        \
      if (!never) {                                                            \
        goto out; /* and forwards */                                           \
      }                                                                        \
      reached++;                                                               \
    }                                                                          \
    reached++;                                                                 \
  out:                                                                         \
    CHECK(is_free());                                                          \
    CHECK_EQ(inside, 3);                                                       \
    CHECK_EQ(reached, 0);                                                      \
  }

#define BLOCK_TEST_LIST(kind)                                                                 \
  TEST(kind##_falls_through), TEST(kind##_break), TEST(kind##_continue), TEST(kind##_return), \
      TEST(kind##_goto)

static int number; // what the blocks of CTH_ATOMICALLY guard

BLOCK_TESTS(with_rmutex, CTH_WITH(&rmutex), rmutex_free, rmutex_held)
BLOCK_TESTS(with_read, CTH_WITH_READ(&rwlock), rwlock_free, reads)
BLOCK_TESTS(with_write, CTH_WITH_WRITE(&rwlock), rwlock_free, writes)
BLOCK_TESTS(with_all, CTH_WITH_ALL(&rwlock, &mutex, &rmutex), all_free, all_held)
BLOCK_TESTS(with_all_of_one, CTH_WITH_ALL(&rmutex), rmutex_free, rmutex_held)
BLOCK_TESTS(atomically, CTH_ATOMICALLY(&rmutex, &number), rmutex_free, rmutex_held)

static void a_guard_on_an_rmutex(void) {
    for (int i = 0; i < 3; i++) {
        CTH_GUARD(&rmutex);
        {
            CTH_GUARD(&rmutex);
            CHECK_EQ(rmutex.depth, 1);
        }
        CHECK_EQ(rmutex.depth, 0);
        CHECK(rmutex_held());
    }
    CHECK(rmutex_free());
}

static void an_rmutex_may_be_nested(void) {
    CTH_WITH(&rmutex) {
        CTH_WITH(&rmutex) {
            CTH_WITH(&rmutex) {
                CHECK_EQ(rmutex.depth, 2);
                break; // one level
            }
            CHECK_EQ(rmutex.depth, 1);
        }
        CHECK_EQ(rmutex.depth, 0);
        CHECK(rmutex_held());
        CTH_WITH_ALL(&rmutex, &mutex) {
            CHECK_EQ(rmutex.depth, 1);
        }
        CHECK(rmutex_held());
    }
    CHECK(rmutex_free());
}

static void read_blocks_may_overlap(void) {
    CTH_WITH_READ(&rwlock) {
        CTH_WITH_READ(&rwlock2) {
            CHECK(reads());
            CHECK_STATUS(cth_rwlock_try_write_lock(&rwlock2), CTH_BUSY);
        }
        CTH_WITH_WRITE(&rwlock2) {
            CHECK(reads());
        }
    }
    CHECK(rwlock_free());
}

static void they_are_one_statement(void) {
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        if (i == 0)
            CTH_WITH_READ(&rwlock)
                sum += 1;
        else if (i == 1)
            CTH_WITH_WRITE(&rwlock)
                sum += 10;
        else if (i == 2)
            CTH_WITH_ALL(&mutex, &rwlock)
                sum += 100;
        else
            CTH_ATOMICALLY(&mutex, &sum)
                sum += 1000;
    }
    CHECK_EQ(sum, 1111);
    CHECK(all_free());
}

static int times_asked;

static cth_rwlock *ask_for_the_rwlock(void) {
    times_asked++;
    return &rwlock;
}

static cth_mutex *ask_for_the_mutex(void) {
    times_asked++;
    return &mutex;
}

static int *ask_for_the_number(void) {
    times_asked++;
    return &number;
}

static void arguments_are_evaluated_once(void) {
    times_asked = 0;
    CTH_WITH_READ(ask_for_the_rwlock()) {
        CHECK_EQ(times_asked, 1);
    }
    CTH_WITH_WRITE(ask_for_the_rwlock()) {
        CHECK_EQ(times_asked, 2);
    }
    CTH_WITH_ALL(ask_for_the_rwlock(), ask_for_the_mutex()) {
        CHECK_EQ(times_asked, 4);
    }
    CTH_ATOMICALLY(ask_for_the_mutex(), ask_for_the_number()) {
        CHECK_EQ(times_asked, 6);
        CTH_ROLLBACK();
    }
    CHECK_EQ(times_asked, 6);
}

/* ---- CTH_WITH_ALL ---- */

static void the_same_lock_twice(void) {
    CTH_WITH_ALL(&mutex, &mutex) {
        CHECK(cth_mutex_is_locked(&mutex));
    }
    CHECK(all_free());
    CTH_WITH_ALL(&rwlock, &mutex, &rwlock, &mutex, &rmutex, &rmutex, &rwlock, &rmutex) {
        CHECK(all_held());
        CHECK_EQ(rmutex.depth, 0); // once
    }
    CHECK(all_free());
    cth_mutex *alias = &mutex;
    CTH_WITH_ALL(alias, &mutex2, &mutex) {
        CHECK(cth_mutex_is_locked(&mutex) && cth_mutex_is_locked(&mutex2));
    }
    CHECK(!cth_mutex_is_locked(&mutex) && !cth_mutex_is_locked(&mutex2));
}

/* Eight locks side by side, so the order of their addresses is known. */
static struct {
    cth_mutex a;
    cth_rwlock b;
    cth_rmutex c;
    cth_mutex d;
    cth_rwlock e;
    cth_rmutex f;
    cth_mutex g;
    cth_rwlock h;
} row;

static int row_held(void) {
    return cth_mutex_is_locked(&row.a) + (atomic_load(&row.b.word) != 0) +
           cth_rmutex_is_locked(&row.c) + cth_mutex_is_locked(&row.d) +
           (atomic_load(&row.e.word) != 0) + cth_rmutex_is_locked(&row.f) +
           cth_mutex_is_locked(&row.g) + (atomic_load(&row.h.word) != 0);
}

static int leave_the_row(int how) {
    for (int i = 0; i < 2; i++) {
        CTH_WITH_ALL(&row.h, &row.a, &row.g, &row.b, &row.f, &row.c, &row.e, &row.d) {
            CHECK_EQ(row_held(), 8);
            cth_mutex_assert_held(&row.a);
            cth_rwlock_assert_write_held(&row.b);
            cth_rmutex_assert_held(&row.c);
            cth_mutex_assert_held(&row.d);
            cth_rwlock_assert_write_held(&row.e);
            cth_rmutex_assert_held(&row.f);
            cth_mutex_assert_held(&row.g);
            cth_rwlock_assert_write_held(&row.h);
            if (how == 1) {
                break;
            } else if (how == 2) {
                continue;
            } else if (how == 3) {
                return 3;
            } else if (how == 4) {
                goto out;
            }
        }
        CHECK_EQ(row_held(), 0);
    }
out:
    CHECK_EQ(row_held(), 0);
    return 0;
}

static void eight_locks(void) {
    for (int how = 0; how <= 4; how++) {
        CHECK_EQ(leave_the_row(how), how == 3 ? 3 : 0);
        CHECK_EQ(row_held(), 0);
    }
}

static void every_number_of_locks(void) {
    int held = 0;
    CTH_WITH_ALL(&row.a) {
        held += row_held();
    }
    CTH_WITH_ALL(&row.b, &row.a) {
        held += row_held();
    }
    CTH_WITH_ALL(&row.c, &row.b, &row.a) {
        held += row_held();
    }
    CTH_WITH_ALL(&row.d, &row.c, &row.b, &row.a) {
        held += row_held();
    }
    CTH_WITH_ALL(&row.e, &row.d, &row.c, &row.b, &row.a) {
        held += row_held();
    }
    CTH_WITH_ALL(&row.f, &row.e, &row.d, &row.c, &row.b, &row.a) {
        held += row_held();
    }
    CTH_WITH_ALL(&row.g, &row.f, &row.e, &row.d, &row.c, &row.b, &row.a) {
        held += row_held();
    }
    CTH_WITH_ALL(&row.h, &row.g, &row.f, &row.e, &row.d, &row.c, &row.b, &row.a) {
        held += row_held();
    }
    CHECK_EQ(held, 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8);
    CHECK_EQ(row_held(), 0);
}

static cth_status take_from_the_end(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    CTH_WITH_ALL(&row.g, &row.d, &row.a) {
        inside++;
    }
    return CTH_OK;
}

static void they_are_taken_by_address(void) {
    // With the middle one held, a thread that wants all three, whatever their order in the text,
    // holds the first and not the last.
    inside = 0;
    CHECK_STATUS(cth_mutex_lock(&row.d), CTH_OK);
    test_waiter w = {0};
    test_waiter_start(&w, take_from_the_end, NULL, CTH_FOREVER);
    test_waiter_asleep(&w);
    CHECK(cth_mutex_is_locked(&row.a));
    CHECK(!cth_mutex_is_locked(&row.g));
    CHECK_STATUS(cth_mutex_unlock(&row.d), CTH_OK);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
    CHECK_EQ(inside, 1);
    CHECK_EQ(row_held(), 0);
}

typedef struct bank {
    cth_mutex a;
    cth_rmutex b;
    cth_rwlock c;
    long in_a, in_b, in_c; // plain: each protected by its lock
    atomic_int number;
} bank;

static cth_status transfer(void *arg) {
    bank *k = (bank *)arg;
    const int me = atomic_fetch_add(&k->number, 1);
    for (int i = 0; i < 1000; i++) {
        switch ((me + i) % 6) {
        case 0: CTH_WITH_ALL(&k->a, &k->b) { k->in_a--, k->in_b++;
            }
            break;
        case 1: CTH_WITH_ALL(&k->b, &k->a) { k->in_b--, k->in_a++;
            }
            break;
        case 2: CTH_WITH_ALL(&k->b, &k->c) { k->in_b--, k->in_c++;
            }
            break;
        case 3: CTH_WITH_ALL(&k->c, &k->b) { k->in_c--, k->in_b++;
            }
            break;
        case 4:
            CTH_WITH_ALL(&k->c, &k->a) {
                k->in_c--, k->in_a++;
                if (i % 16 == 0) {
                    cth_yield(); // lets the others run into the held locks
                }
            }
            break;
        default: CTH_WITH_ALL(&k->c, &k->b, &k->a) { CHECK_EQ(k->in_a + k->in_b + k->in_c, 3000);
            }
            break;
        }
    }
    return CTH_OK;
}

static void threads_that_name_them_in_any_order(void) {
    bank k = {.in_a = 1000, .in_b = 1000, .in_c = 1000};
    cth_thread *threads[6];
    for (int i = 0; i < 6; i++) {
        threads[i] = test_spawn(transfer, &k);
    }
    for (int i = 0; i < 6; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(k.in_a + k.in_b + k.in_c, 3000);
    CHECK_STATUS(cth_mutex_destroy(&k.a), CTH_OK);
    CHECK_STATUS(cth_rmutex_destroy(&k.b), CTH_OK);
    CHECK_STATUS(cth_rwlock_destroy(&k.c), CTH_OK);
}

typedef struct couple {
    cth_mutex *first, *second;
    int *meals; // plain: protected by both
} couple;

static cth_status dine(void *arg) {
    couple *c = (couple *)arg;
    for (int i = 0; i < 1000; i++) {
        CTH_WITH_ALL(c->first, c->second) {
            ++*c->meals;
            if (i % 32 == 0) {
                cth_yield();
            }
        }
    }
    return CTH_OK;
}

static void a_b_against_b_a(void) {
    cth_mutex a = CTH_MUTEX_INIT, b = CTH_MUTEX_INIT;
    int meals = 0;
    couple couples[2] = {{&a, &b, &meals}, {&b, &a, &meals}};
    cth_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = test_spawn(dine, &couples[i % 2]);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(meals, 4000);
}

/* ---- CTH_ATOMICALLY ---- */

typedef struct account {
    long balance;
    char owner[32];
    double rate;
} account;

static account acc;

static void open_account(void) {
    memset(&acc, 0, sizeof acc);
    acc.balance = 100;
    memcpy(acc.owner, "somebody", 9);
    acc.rate = 0.5;
}

static bool is_as_opened(void) {
    return acc.balance == 100 && strcmp(acc.owner, "somebody") == 0 && acc.rate == 0.5;
}

static void spoil(void) {
    memset(&acc, 0x5A, sizeof acc);
}

static int try_a_change(int how, bool rollback) {
    for (int i = 0; i < 2; i++) {
        CTH_ATOMICALLY(&mutex, &acc) {
            CHECK(cth_mutex_is_locked(&mutex));
            spoil();
            if (rollback) {
                CTH_ROLLBACK();
                CHECK(!is_as_opened()); // not before the block ends
                acc.balance++;          // what is changed afterwards goes too
            }
            if (how == 1) {
                break;
            } else if (how == 2) {
                continue;
            } else if (how == 3) {
                return 3;
            } else if (how == 4) {
                goto out;
            }
        }
        CHECK(!cth_mutex_is_locked(&mutex));
        CHECK_EQ(is_as_opened(), rollback);
    }
out:
    return 0;
}

static void rolls_back_however_it_is_left(void) {
    for (int how = 0; how <= 4; how++) {
        open_account();
        CHECK_EQ(try_a_change(how, true), how == 3 ? 3 : 0);
        CHECK(!cth_mutex_is_locked(&mutex));
        CHECK(is_as_opened());
    }
}

static void keeps_the_change_without_rollback(void) {
    for (int how = 0; how <= 4; how++) {
        open_account();
        CHECK_EQ(try_a_change(how, false), how == 3 ? 3 : 0);
        CHECK(!cth_mutex_is_locked(&mutex));
        CHECK(!is_as_opened());
        CHECK_EQ(acc.owner[31], 0x5A);
    }
}

static void fail_deep_inside(int depth) {
    if (depth > 0) {
        fail_deep_inside(depth - 1);
    } else {
        CTH_ROLLBACK();
        CTH_ROLLBACK(); // twice is as once
    }
}

static void a_function_may_roll_back(void) {
    open_account();
    CTH_ATOMICALLY(&rmutex, &acc) {
        spoil();
        fail_deep_inside(5);
    }
    CHECK(is_as_opened());
    CHECK(rmutex_free());
}

static void nested_blocks(void) {
    // The inner one only.
    int outer = 1, inner = 1;
    CTH_ATOMICALLY(&mutex, &outer) {
        outer = 2;
        CTH_ATOMICALLY(&rmutex, &inner) {
            inner = 2;
            CTH_ROLLBACK();
        }
        CHECK_EQ(inner, 1);
        CHECK(rmutex_free());
    }
    CHECK_EQ(outer, 2);
    // The outer one only.
    outer = inner = 1;
    CTH_ATOMICALLY(&mutex, &outer) {
        outer = 2;
        CTH_ATOMICALLY(&rmutex, &inner) {
            inner = 2;
        }
        CTH_ROLLBACK();
    }
    CHECK_EQ(inner, 2);
    CHECK_EQ(outer, 1);
    // Two on the same object: the inner one goes back to what the outer one had made of it.
    outer = 1;
    CTH_ATOMICALLY(&rmutex, &outer) {
        outer = 2;
        CTH_ATOMICALLY(&rmutex, &outer) {
            outer = 3;
            CTH_ROLLBACK();
        }
        CHECK_EQ(outer, 2);
    }
    CHECK_EQ(outer, 2);
    CTH_ATOMICALLY(&rmutex, &outer) {
        outer = 3;
        CTH_ATOMICALLY(&rmutex, &outer) {
            outer = 4;
        }
        CHECK_EQ(outer, 4);
        CTH_ROLLBACK();
    }
    CHECK_EQ(outer, 2);
    // After an inner block that was jumped out of, the outer one is the innermost again.
    outer = inner = 1;
    CTH_ATOMICALLY(&mutex, &outer) {
        CTH_ATOMICALLY(&rmutex, &inner) {
            inner = 2;
            break;
        }
        outer = 2;
        CTH_ROLLBACK();
    }
    CHECK_EQ(inner, 2);
    CHECK_EQ(outer, 1);
}

static void one_after_another(void) {
    // A rollback does not stay for the next block.
    int n = 0;
    for (int i = 0; i < 100; i++) {
        CTH_ATOMICALLY(&mutex, &n) {
            n++;
            if (i % 2 == 0) {
                CTH_ROLLBACK();
            }
        }
    }
    CHECK_EQ(n, 50);
}

static void under_a_semaphore(void) {
    int n = 1;
    CTH_ATOMICALLY(&sem, &n) {
        CHECK_EQ(cth_sem_value(&sem), 0);
        n = 2;
        CTH_ROLLBACK();
    }
    CHECK_EQ(n, 1);
    CHECK_EQ(cth_sem_value(&sem), 1);
}

typedef struct ledger {
    cth_mutex mutex;
    struct {
        long left, right; // equal whenever nobody is inside
    } both;
    long kept; // plain
    atomic_int number;
} ledger;

static cth_status book(void *arg) {
    ledger *l = (ledger *)arg;
    const int me = atomic_fetch_add(&l->number, 1);
    for (int i = 0; i < 2000; i++) {
        CTH_ATOMICALLY(&l->mutex, &l->both) {
            CHECK_EQ(l->both.left, l->both.right); // no half change of another is seen
            l->both.left++;
            if (i % 64 == 0) {
                cth_yield();
            }
            if ((i + me) % 3 == 0) {
                CTH_ROLLBACK();
                break;
            }
            l->both.right++;
            l->kept++;
        }
    }
    return CTH_OK;
}

static void contended_by_five(void) {
    ledger l = {.mutex = CTH_MUTEX_INIT};
    cth_thread *threads[5];
    for (int i = 0; i < 5; i++) {
        threads[i] = test_spawn(book, &l);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(l.both.left, l.kept);
    CHECK_EQ(l.both.right, l.kept);
}

/* ---- misuse ends the program ---- */

static void assert_held_of_the_mutex(void) {
    CTH_WITH(&mutex) {
        cth_mutex_assert_held(&mutex);
    }
    CTH_WITH_ALL(&mutex, &rmutex, &rwlock) {
        cth_mutex_assert_held(&mutex);
        cth_rmutex_assert_held(&rmutex);
        cth_rwlock_assert_write_held(&rwlock);
    }
}

static const struct {
    const char *mode, *part;
} misuses[] = {
    {"write twice", "CTH_DEADLOCK"},
    {"read what it writes", "CTH_DEADLOCK"},
    {"all with one held", "CTH_DEADLOCK"},
    {"atomically with it held", "CTH_DEADLOCK"},
    {"unlock inside rmutex", "CTH_NOT_OWNER"},
    {"unlock inside read", "CTH_NOT_OWNER"},
    {"unlock inside write", "CTH_NOT_OWNER"},
    {"unlock inside all", "CTH_NOT_OWNER"},
    {"rollback outside", "CTH_ROLLBACK"},
    {"rollback after", "CTH_ROLLBACK"},
    {"mutex assert free", "cth_mutex_assert_held"},
    {"mutex assert of another", "cth_mutex_assert_held"},
#ifdef CTHREADS_DEBUG
    {"destroyed rmutex", "CTH_INVALID"},
    {"destroyed rwlock", "CTH_INVALID"},
    {"destroyed in all", "CTH_INVALID"},
#endif
};

static void misuse_ends_the_program(void) {
    for (size_t i = 0; i < TEST_COUNT(misuses); i++) {
        char text[2048];
        const int status = test_child(misuses[i].mode, text, sizeof text);
        if (status != -SIGABRT || strstr(text, misuses[i].part) == NULL) {
            fprintf(stderr, "child \"%s\", status %d: %s\n", misuses[i].mode, status, text);
        }
        CHECK_EQ(status, -SIGABRT);
        CHECK(strstr(text, misuses[i].part) != NULL);
        CHECK(strstr(text, "still here") == NULL);
    }
}

static cth_status lock_and_end(void *arg) {
    return cth_mutex_lock((cth_mutex *)arg);
}

static int child_main(const char *mode) {
    if (strcmp(mode, "write twice") == 0) {
        CTH_WITH_WRITE(&rwlock) {
            CTH_WITH_WRITE(&rwlock) {
                printf("still here\n");
            }
        }
    } else if (strcmp(mode, "read what it writes") == 0) {
        CTH_WITH_WRITE(&rwlock) {
            CTH_WITH_READ(&rwlock) {
                printf("still here\n");
            }
        }
    } else if (strcmp(mode, "all with one held") == 0) {
        CTH_WITH(&mutex) {
            CTH_WITH_ALL(&rwlock, &mutex) {
                printf("still here\n");
            }
        }
    } else if (strcmp(mode, "atomically with it held") == 0) {
        CTH_WITH(&mutex) {
            CTH_ATOMICALLY(&mutex, &number) {
                printf("still here\n");
            }
        }
    } else if (strcmp(mode, "unlock inside rmutex") == 0) {
        CTH_WITH(&rmutex) {
            CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
        }
    } else if (strcmp(mode, "unlock inside read") == 0) {
        CTH_WITH_READ(&rwlock) {
            CHECK_STATUS(cth_rwlock_read_unlock(&rwlock), CTH_OK);
        }
    } else if (strcmp(mode, "unlock inside write") == 0) {
        CTH_WITH_WRITE(&rwlock) {
            CHECK_STATUS(cth_rwlock_write_unlock(&rwlock), CTH_OK);
        }
    } else if (strcmp(mode, "unlock inside all") == 0) {
        CTH_WITH_ALL(&rwlock, &rmutex, &mutex) {
            CHECK_STATUS(cth_rmutex_unlock(&rmutex), CTH_OK);
        }
    } else if (strcmp(mode, "rollback outside") == 0) {
        CTH_ROLLBACK();
    } else if (strcmp(mode, "rollback after") == 0) {
        CTH_ATOMICALLY(&mutex, &number) {
            number++;
        }
        CTH_ROLLBACK();
    } else if (strcmp(mode, "mutex assert free") == 0) {
        cth_mutex_assert_held(&mutex);
    } else if (strcmp(mode, "mutex assert of another") == 0) {
        cth_thread *thread = test_spawn(lock_and_end, &mutex);
        CHECK_STATUS(test_join(thread), CTH_OK);
        cth_mutex_assert_held(&mutex);
    } else if (strcmp(mode, "destroyed rmutex") == 0) {
        CHECK_STATUS(cth_rmutex_destroy(&rmutex), CTH_OK);
        CTH_WITH(&rmutex) {
            printf("still here\n");
        }
    } else if (strcmp(mode, "destroyed rwlock") == 0) {
        CHECK_STATUS(cth_rwlock_destroy(&rwlock), CTH_OK);
        CTH_WITH_READ(&rwlock) {
            printf("still here\n");
        }
    } else if (strcmp(mode, "destroyed in all") == 0) {
        CHECK_STATUS(cth_rwlock_destroy(&rwlock), CTH_OK);
        CTH_WITH_ALL(&mutex, &rwlock) {
            printf("still here\n");
        }
    }
    printf("still here\n");
    fflush(stdout);
    return 0;
}

static cth_status enters(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    int n = 0;
    errno = 4242;
    CTH_WITH_ALL(&mutex, &rmutex2, &rwlock) {
        CHECK_EQ(errno, 4242);
    }
    CTH_ATOMICALLY(&mutex, &n) {
        CTH_ROLLBACK();
    }
    CTH_WITH_READ(&rwlock) {
        CHECK_EQ(errno, 4242);
    }
    CHECK_EQ(errno, 4242);
    return CTH_OK;
}

static void errno_is_preserved(void) {
    test_waiter w = {0};
    CTH_WITH_ALL(&rwlock, &mutex) {
        test_waiter_start(&w, enters, NULL, CTH_FOREVER);
        test_waiter_asleep(&w);
        errno = 4242;
    }
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

static const test_case tests[] = {
    BLOCK_TEST_LIST(with_rmutex),
    BLOCK_TEST_LIST(with_read),
    BLOCK_TEST_LIST(with_write),
    BLOCK_TEST_LIST(with_all),
    BLOCK_TEST_LIST(with_all_of_one),
    BLOCK_TEST_LIST(atomically),
    TEST(a_guard_on_an_rmutex),
    TEST(an_rmutex_may_be_nested),
    TEST(read_blocks_may_overlap),
    TEST(they_are_one_statement),
    TEST(arguments_are_evaluated_once),
    TEST(the_same_lock_twice),
    TEST(eight_locks),
    TEST(every_number_of_locks),
    TEST(they_are_taken_by_address),
    TEST(threads_that_name_them_in_any_order),
    TEST(a_b_against_b_a),
    TEST(rolls_back_however_it_is_left),
    TEST(keeps_the_change_without_rollback),
    TEST(a_function_may_roll_back),
    TEST(nested_blocks),
    TEST(one_after_another),
    TEST(under_a_semaphore),
    TEST(contended_by_five),
    TEST(assert_held_of_the_mutex),
    TEST(misuse_ends_the_program),
    TEST(errno_is_preserved),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    if (mode != NULL) {
        return child_main(mode);
    }
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
