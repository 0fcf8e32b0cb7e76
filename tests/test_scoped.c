/* test_scoped.c - CTH_WITH and CTH_GUARD: released however the block is left

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

static cth_mutex mutex;
static cth_sem sem = CTH_SEM_INIT(1);
static int inside;  // times that a block was entered
static int reached; // times that a statement after a jump ran; stays 0

#define MUTEX_FREE() (!cth_mutex_is_locked(&mutex))
#define MUTEX_HELD() (cth_mutex_is_locked(&mutex))
#define SEM_FREE()   (cth_sem_value(&sem) == 1)
#define SEM_HELD()   (cth_sem_value(&sem) == 0)

/* ThreadSanitizer does not know mtx_t, and reports what it protects. */
#if CTH__HAS_THREADS_H && !TEST_TSAN
#  define TEST_MTX 1
static mtx_t mtx;

static bool mtx_is_free(void) {
    if (mtx_trylock(&mtx) != thrd_success) {
        return false;
    }
    mtx_unlock(&mtx);
    return true;
}
#  define MTX_FREE() (mtx_is_free())
#  define MTX_HELD() (!mtx_is_free())
#else
#  define TEST_MTX 0
#endif

/* The same tests for each kind of lock. `never` keeps the compiler from knowing that what follows
   a jump is not reached. */
static volatile bool never;

#define SCOPE_TESTS(kind, lock, FREE, HELD)                                  \
  static void kind##_with_falls_through(void) {                              \
    inside = 0;                                                              \
    CHECK(FREE());                                                           \
    CTH_WITH(lock) {                                                         \
      inside++;                                                              \
      CHECK(HELD());                                                         \
    }                                                                        \
    CHECK(FREE());                                                           \
    CHECK_EQ(inside, 1);                                                     \
  }                                                                          \
  static void kind##_with_break(void) {                                      \
    inside = reached = 0;                                                    \
    for (int i = 0; i < 3; i++) {                                            \
      CTH_WITH(lock) {                                                       \
        inside++;                                                            \
        CHECK(HELD());                                                       \
        if (!never) {                                                        \
          break;                                                             \
        }                                                                    \
        reached++;                                                           \
      }                                                                      \
      CHECK(FREE()); /* left the block, not the loop */                      \
    }                                                                        \
    CHECK_EQ(inside, 3);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }                                                                          \
  static void kind##_with_continue(void) {                                   \
    inside = reached = 0;                                                    \
    for (int i = 0; i < 3; i++) {                                            \
      CTH_WITH(lock) {                                                       \
        inside++;                                                            \
        CHECK(HELD());                                                       \
        if (!never) {                                                        \
          continue;                                                          \
        }                                                                    \
        reached++;                                                           \
      }                                                                      \
      CHECK(FREE());                                                         \
    }                                                                        \
    CHECK_EQ(inside, 3);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }                                                                          \
  static int kind##_with_return_7(void) {                                    \
    CTH_WITH(lock) {                                                         \
      inside++;                                                              \
      if (!never) {                                                          \
        return HELD() ? 7 : -1; /* the value is made before the lock goes */ \
      }                                                                      \
      reached++;                                                             \
    }                                                                        \
    return 0;                                                                \
  }                                                                          \
  static void kind##_with_return(void) {                                     \
    inside = reached = 0;                                                    \
    CHECK_EQ(kind##_with_return_7(), 7);                                     \
    CHECK(FREE());                                                           \
    CHECK_EQ(inside, 1);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }                                                                          \
  static void kind##_with_goto(void) {                                       \
    inside = reached = 0;                                                    \
  again:                                                                     \
    CHECK(FREE()); /* backwards out of the block */                          \
    CTH_WITH(lock) {                                                         \
      CHECK(HELD());                                                         \
      if (++inside < 3) {                                                    \
        goto again;                                                          \
      }                                                                      \
      if (!never) {                                                          \
        goto out; /* and forwards */                                         \
      }                                                                      \
      reached++;                                                             \
    }                                                                        \
    reached++;                                                               \
  out:                                                                       \
    CHECK(FREE());                                                           \
    CHECK_EQ(inside, 3);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }                                                                          \
  static void kind##_guard_falls_through(void) {                             \
    CHECK(FREE());                                                           \
    {                                                                        \
      CTH_GUARD(lock);                                                       \
      CHECK(HELD());                                                         \
    }                                                                        \
    CHECK(FREE());                                                           \
  }                                                                          \
  static void kind##_guard_break(void) {                                     \
    inside = reached = 0;                                                    \
    for (int i = 0; i < 3; i++) {                                            \
      CHECK(FREE());                                                         \
      CTH_GUARD(lock);                                                       \
      CHECK(HELD());                                                         \
      inside++;                                                              \
      if (!never) {                                                          \
        break; /* of the loop: a guard is no block of its own */             \
      }                                                                      \
      reached++;                                                             \
    }                                                                        \
    CHECK(FREE());                                                           \
    CHECK_EQ(inside, 1);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }                                                                          \
  static void kind##_guard_continue(void) {                                  \
    inside = reached = 0;                                                    \
    for (int i = 0; i < 3; i++) {                                            \
      CHECK(FREE());                                                         \
      CTH_GUARD(lock);                                                       \
      CHECK(HELD());                                                         \
      inside++;                                                              \
      if (!never) {                                                          \
        continue;                                                            \
      }                                                                      \
      reached++;                                                             \
    }                                                                        \
    CHECK(FREE());                                                           \
    CHECK_EQ(inside, 3);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }                                                                          \
  static int kind##_guard_return_7(void) {                                   \
    CTH_GUARD(lock);                                                         \
    inside++;                                                                \
    if (!never) {                                                            \
      return HELD() ? 7 : -1;                                                \
    }                                                                        \
    reached++;                                                               \
    return 0;                                                                \
  }                                                                          \
  static void kind##_guard_return(void) {                                    \
    inside = reached = 0;                                                    \
    CHECK_EQ(kind##_guard_return_7(), 7);                                    \
    CHECK(FREE());                                                           \
    CHECK_EQ(inside, 1);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }                                                                          \
  static void kind##_guard_goto(void) {                                      \
    inside = reached = 0;                                                    \
  again:                                                                     \
    CHECK(FREE());                                                           \
    {                                                                        \
      CTH_GUARD(lock);                                                       \
      CHECK(HELD());                                                         \
      if (++inside < 3) {                                                    \
        goto again;                                                          \
      }                                                                      \
      if (!never) {                                                          \
        goto out;                                                            \
      }                                                                      \
      reached++;                                                             \
    }                                                                        \
    reached++;                                                               \
  out:                                                                       \
    CHECK(FREE());                                                           \
    CHECK_EQ(inside, 3);                                                     \
    CHECK_EQ(reached, 0);                                                    \
  }

#define SCOPE_TEST_LIST(kind)                                                             \
  TEST(kind##_with_falls_through), TEST(kind##_with_break), TEST(kind##_with_continue),   \
      TEST(kind##_with_return), TEST(kind##_with_goto), TEST(kind##_guard_falls_through), \
      TEST(kind##_guard_break), TEST(kind##_guard_continue), TEST(kind##_guard_return),   \
      TEST(kind##_guard_goto)

SCOPE_TESTS(mutex, &mutex, MUTEX_FREE, MUTEX_HELD)
SCOPE_TESTS(sem, &sem, SEM_FREE, SEM_HELD)
#if TEST_MTX
SCOPE_TESTS(mtx, &mtx, MTX_FREE, MTX_HELD)
#endif

static void nested_on_different_locks(void) {
    cth_mutex other = CTH_MUTEX_INIT;
    inside = 0;
    CTH_WITH(&mutex) {
        CTH_WITH(&other) {
            CTH_WITH(&sem) {
                inside++;
                CHECK(MUTEX_HELD() && cth_mutex_is_locked(&other) && SEM_HELD());
            }
            CHECK(MUTEX_HELD() && cth_mutex_is_locked(&other) && SEM_FREE());
        }
        CHECK(MUTEX_HELD() && !cth_mutex_is_locked(&other));
    }
    CHECK(MUTEX_FREE());
    CHECK_EQ(inside, 1);
}

static int leave_three(cth_mutex *other) {
    CTH_WITH(&mutex) {
        CTH_GUARD(other);
        CTH_WITH(&sem) {
            CHECK(MUTEX_HELD() && cth_mutex_is_locked(other) && SEM_HELD());
            return 3;
        }
    }
    return 0;
}

static void nested_ones_are_all_left(void) {
    cth_mutex other = CTH_MUTEX_INIT;
    CHECK_EQ(leave_three(&other), 3);
    CHECK(MUTEX_FREE() && !cth_mutex_is_locked(&other) && SEM_FREE());
    CTH_WITH(&mutex) {
        CTH_WITH(&other) {
            break; // the inner block only
        }
        CHECK(!cth_mutex_is_locked(&other));
        CHECK(MUTEX_HELD());
    }
    CHECK(MUTEX_FREE());
}

static void one_after_another(void) {
    inside = 0;
    for (int i = 0; i < 1000; i++) {
        CTH_WITH(&mutex) {
            inside++;
        }
        CTH_WITH(&mutex) {
            inside++;
        }
    }
    CHECK_EQ(inside, 2000);
    CHECK(MUTEX_FREE());
}

static void is_one_statement(void) {
    // Without braces on purpose: it may stand where a statement may, and takes no else.
    inside = 0;
    for (int i = 0; i < 4; i++) {
        if (i % 2 == 0)
            CTH_WITH(&mutex)
                inside += 10;
        else
            CTH_WITH(&sem)
                inside++;
    }
    CHECK_EQ(inside, 22);
    CHECK(MUTEX_FREE() && SEM_FREE());
}

static int times_asked;

static cth_mutex *ask_for_the_mutex(void) {
    times_asked++;
    return &mutex;
}

static void the_argument_is_evaluated_once(void) {
    times_asked = 0;
    CTH_WITH(ask_for_the_mutex()) {
        CHECK_EQ(times_asked, 1);
    }
    CHECK_EQ(times_asked, 1);
    {
        CTH_GUARD(ask_for_the_mutex());
        CHECK_EQ(times_asked, 2);
    }
    CHECK_EQ(times_asked, 2);
    CHECK(MUTEX_FREE());
}

static void a_guard_in_a_switch(void) {
    for (int i = 0; i < 3; i++) {
        switch (i) {
        case 0: {
            CTH_GUARD(&mutex);
            CHECK(MUTEX_HELD());
            break;
        }
        case 1: {
            CTH_GUARD(&sem);
            CHECK(MUTEX_FREE() && SEM_HELD());
            break;
        }
        default: break;
        }
        CHECK(MUTEX_FREE() && SEM_FREE());
    }
}

static void switch_inside_a_block(void) {
    inside = 0;
    CTH_WITH(&mutex) {
        switch (inside) {
        case 0: inside++; break; // of the switch
        default: break;
        }
        inside++;
        CHECK(MUTEX_HELD());
    }
    CHECK_EQ(inside, 2);
    CHECK(MUTEX_FREE());
}

static void leaves_only_its_own(void) {
    // Recursion: each call has its own scope variable and its own lock.
    static cth_mutex locks[3];
    for (int i = 0; i < 3; i++) {
        CTH_WITH(&locks[i]) {
            for (int k = 0; k < 3; k++) {
                CHECK_EQ(cth_mutex_is_locked(&locks[k]), k == i);
            }
        }
    }
}

typedef struct account {
    cth_mutex mutex;
    cth_sem sem;
    long by_mutex, by_guard, by_sem; // each protected by one of the two
} account;

static cth_status deposits(void *arg) {
    account *a = (account *)arg;
    for (int i = 0; i < 3000; i++) {
        CTH_WITH(&a->mutex) {
            a->by_mutex++;
            if (i % 3 == 0) {
                continue;
            }
        }
        CTH_WITH(&a->sem) {
            a->by_sem++;
            if (i % 3 == 1) {
                break;
            }
        }
        CTH_GUARD(&a->mutex);
        a->by_guard++;
        if (i % 2 == 0) {
            continue;
        }
    }
    return CTH_OK;
}

static void contended_by_five(void) {
    account a = {.sem = CTH_SEM_INIT(1)};
    cth_thread *threads[5];
    for (int i = 0; i < 5; i++) {
        threads[i] = test_spawn(deposits, &a);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(test_join(threads[i]), CTH_OK);
    }
    CHECK_EQ(a.by_mutex, 15000);
    CHECK_EQ(a.by_guard, 15000);
    CHECK_EQ(a.by_sem, 15000);
    CHECK(!cth_mutex_is_locked(&a.mutex));
    CHECK_EQ(cth_sem_value(&a.sem), 1);
}

static void wait_while_in_a_block(void) {
    cth_cond cond = CTH_COND_INIT;
    int left = 3;
    CTH_WITH(&mutex) {
        const cth_status status = CTH_WAIT_WHILE(&cond, &mutex, left-- > 0, cth_after(CTH_MS(1)));
        CHECK(status == CTH_OK || status == CTH_TIMEDOUT);
        CHECK(MUTEX_HELD());
    }
    CHECK(MUTEX_FREE());
}

static cth_status enters(void *object, cth_time deadline) {
    (void)object, (void)deadline;
    errno = 4242;
    CTH_WITH(&mutex) {
        CHECK_EQ(errno, 4242);
    }
    CTH_WITH(&sem) {
        CHECK_EQ(errno, 4242);
    }
    CHECK_EQ(errno, 4242);
    return CTH_OK;
}

static void errno_is_preserved(void) {
    test_waiter w = {0};
    CTH_WITH(&sem) {
        CTH_WITH(&mutex) {
            test_waiter_start(&w, enters, NULL, CTH_FOREVER);
            test_waiter_asleep(&w);
            errno = 4242;
        }
    }
    CHECK_EQ(errno, 4242);
    CHECK_STATUS(test_waiter_end(&w), CTH_OK);
}

/* ---- misuse ends the program ---- */

static void ends_with_a_message(const char *mode, const char *part) {
    char text[2048];
    const int status = test_child(mode, text, sizeof text);
    if (status != -SIGABRT || strstr(text, part) == NULL) {
        fprintf(stderr, "child \"%s\", status %d: %s\n", mode, status, text);
    }
    CHECK_EQ(status, -SIGABRT);
    CHECK(strstr(text, part) != NULL);
    CHECK(strstr(text, "still here") == NULL);
}

static void locking_again_panics(void) {
    ends_with_a_message("with twice", "CTH_DEADLOCK");
    ends_with_a_message("guard twice", "CTH_DEADLOCK");
}

static void unlocking_inside_panics(void) {
    ends_with_a_message("unlock inside", "CTH_NOT_OWNER");
}

static void releasing_too_often_panics(void) {
    ends_with_a_message("release inside", "CTH_OVERFLOW");
}

static void a_destroyed_lock_panics(void) {
#ifdef CTHREADS_DEBUG
    ends_with_a_message("destroyed mutex", "CTH_INVALID");
    ends_with_a_message("destroyed sem", "CTH_INVALID");
#endif
}

static int child_main(const char *mode) {
    if (strcmp(mode, "with twice") == 0) {
        CTH_WITH(&mutex) {
            CTH_WITH(&mutex) {
                printf("still here\n");
            }
        }
    } else if (strcmp(mode, "guard twice") == 0) {
        CTH_GUARD(&mutex);
        CTH_GUARD(&mutex);
        printf("still here\n");
    } else if (strcmp(mode, "unlock inside") == 0) {
        CTH_WITH(&mutex) {
            CHECK_STATUS(cth_mutex_unlock(&mutex), CTH_OK);
        }
        printf("still here\n");
    } else if (strcmp(mode, "release inside") == 0) {
        cth_sem bounded = CTH_SEM_INIT_BOUNDED(1);
        CTH_WITH(&bounded) {
            CHECK_STATUS(cth_sem_release(&bounded), CTH_OK);
        }
        printf("still here\n");
    } else if (strcmp(mode, "destroyed mutex") == 0) {
        CHECK_STATUS(cth_mutex_destroy(&mutex), CTH_OK);
        CTH_WITH(&mutex) {
            printf("still here\n");
        }
    } else if (strcmp(mode, "destroyed sem") == 0) {
        CHECK_STATUS(cth_sem_destroy(&sem), CTH_OK);
        CTH_WITH(&sem) {
            printf("still here\n");
        }
    }
    fflush(stdout);
    return 0;
}

static const test_case tests[] = {
    SCOPE_TEST_LIST(mutex),
    SCOPE_TEST_LIST(sem),
#if TEST_MTX
    SCOPE_TEST_LIST(mtx),
#endif
    TEST(nested_on_different_locks),
    TEST(nested_ones_are_all_left),
    TEST(one_after_another),
    TEST(is_one_statement),
    TEST(the_argument_is_evaluated_once),
    TEST(a_guard_in_a_switch),
    TEST(switch_inside_a_block),
    TEST(leaves_only_its_own),
    TEST(contended_by_five),
    TEST(wait_while_in_a_block),
    TEST(errno_is_preserved),
    TEST(locking_again_panics),
    TEST(unlocking_inside_panics),
    TEST(releasing_too_often_panics),
    TEST(a_destroyed_lock_panics),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    if (mode != NULL) {
        return child_main(mode);
    }
#if TEST_MTX
    CHECK(mtx_init(&mtx, mtx_plain) == thrd_success);
#endif
    return test_run(argc, argv, tests, TEST_COUNT(tests));
}
