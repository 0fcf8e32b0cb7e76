/* cthreads.h - v0.1.0 - concurrency kit for C11, in one header

   Threads, locks, conditions, semaphores, events, cancellation, timers, queues, channels, select
   and executors on top of C11 <threads.h> and <stdatomic.h>: what Python's `threading`, `queue` and
   ThreadPoolExecutor give, and Go's channels, for C. It depends on nothing but the C library and
   the operating system. Under -DCTHREADS_SIM the same program runs in a simulator that explores
   thread schedules and replays each one from a seed.

   QUICK START

       #define CTHREADS_IMPLEMENTATION    // in exactly one .c file
       #include "cthreads.h"
       #include <stdio.h>

       static cth_mutex lock;             // valid when zeroed, like every lock here
       static int total;

       static cth_status work(void *arg) {
           for (int i = 0; i < 100000; i++) {
               CTH_WITH(&lock) { total += *(int *)arg; }
           }
           return CTH_OK;
       }

       int main(void) {
           int one = 1;
           cth_thread *t[2];
           for (int i = 0; i < 2; i++) {
               if (cth_thread_spawn(&t[i], work, &one, NULL) != CTH_OK) { return 1; }
           }
           for (int i = 0; i < 2; i++) {
               cth_thread_join(t[i], NULL);
               cth_thread_release(t[i]);
           }
           printf("%d\n", total);         // 200000
       }

       cc -std=c11 main.c -pthread

   CONTENTS      search for the tag; each API section has its implementation under the same name

       >>api:config       version, linkage, compiler features
       >>api:status       cth_status, names and texts, messages of errors
       >>api:sim          the simulator: explore schedules, virtual time, replay
       >>api:atomic       the words objects are made of, and the wrappers around each atomic
       >>api:time         monotonic nanoseconds, deadlines, sleeping, wall clock
       >>api:rng          seeded random numbers
       >>api:cancel       cancel tokens: a tree with deadlines and reasons
       >>api:thread       threads: create, start, join, names, daemons, enumerate
       >>api:hook         what happens when a thread function fails
       >>api:local        one object per thread, with constructor and destructor
       >>api:mutex        mutual exclusion, the owner in the word
       >>api:rmutex       a mutex its owner may lock again
       >>api:rwlock       many readers or one writer
       >>api:cond         condition variables
       >>api:sem          counting semaphores: plain, bounded, saturating
       >>api:event        a flag that threads wait for
       >>api:latch        a count that threads wait to see at zero
       >>api:barrier      a meeting point for a fixed number of threads
       >>api:once         run a function once; lazy singletons
       >>api:scoped       CTH_WITH, CTH_GUARD, CTH_WITH_ALL, CTH_ATOMICALLY: locks with a block
       >>api:timer        run a function later, or again and again
       >>api:queue        FIFO, LIFO and priority queues; task_done and join
       >>api:chan         channels: rendezvous, bounded, unbounded; due times
       >>api:select       wait for the first of several of these
       >>api:future       the result of a task that runs elsewhere
       >>api:executor     threads that run tasks; map
       >>api:process      processes that run tasks
       >>api:parallel     loops, reductions, sorts, fork and join by work stealing
       >>api:scope        tasks and threads that end before their block does
       >>api:main         functions that others post and one thread runs
       >>api:progress     a bar, a rate and the time left on stderr

       >>impl:platform    the operating system: parking, threads, clocks; the only OS #ifdefs
       >>impl:status
       >>impl:explore     the simulator's choices: strategies, replay, search
       >>impl:model       the simulator's memory: what a load may see, races
       >>impl:sim         the simulated platform: fibers, virtual clock, reports
       >>impl:atomic      external copies of the inline functions
       >>impl:memory      allocation through one door, and the one global struct
       >>impl:time
       >>impl:rng
       >>impl:self        the record each thread has here; adoption of foreign threads
       >>impl:wait        the table of waiters: every blocking call sleeps here
       >>impl:cancel
       >>impl:thread
       >>impl:hook
       >>impl:local
       >>impl:mutex
       >>impl:rmutex
       >>impl:rwlock
       >>impl:cond
       >>impl:sem
       >>impl:event
       >>impl:latch
       >>impl:barrier
       >>impl:once
       >>impl:scoped
       >>impl:timer
       >>impl:queue
       >>impl:chan
       >>impl:select
       >>impl:future
       >>impl:executor
       >>impl:process
       >>impl:parallel
       >>impl:scope
       >>impl:main
       >>impl:progress

   RULES         said once, true of every section unless it says otherwise

       Threads      Any function may be called from any thread at any time, except init and
                    destroy: nobody else may use the object during those.
       Blocking     A blocking verb comes in three forms: `verb` waits for ever, `try_verb`
                    never waits, `verb_until` waits until an absolute deadline. Make one with
                    cth_after(CTH_MS(50)); CTH_FOREVER means none; a deadline that has passed
                    means try once. A negative deadline (and so cth_after(-1)) is CTH_INVALID.
                    A call that times out or is cancelled has consumed nothing.
       Errors       What can fail returns cth_status; CTH_OK is 0. After any other status
                    nothing has changed, so the call can be made again. errno is preserved.
                    The kit prints and aborts only on misuse where no status can be returned
                    (inside CTH_WITH) and when the operating system breaks its contract.
       Cancelling   A wait under a cancelled token (CTH_UNDER) returns CTH_CANCELLED; a call
                    that need not wait succeeds all the same. Locks are never cancelled.
       Objects      Locks and channels are plain structs of the caller's: valid when all bytes
                    are zero, at a fixed address while in use, never copied. They may be freed
                    by any thread as soon as its own last call on them has returned and, by the
                    program's logic, no other thread will call again (those that hold memory,
                    queues and channels, by their destroy). Threads are
                    opaque handles, given out by create or spawn, given back by release.
       Ordering     What one thread did before it releases (unlock, release, set, notify, send,
                    put, finish, cancel) happens before what another does after it acquires.
       Memory       Locks, semaphores, events, conditions, timers and select never allocate;
                    queues and channels with a bound only at their init; a task is one block.
                    The first call of a thread that the kit did not start allocates its record
                    (about 500 bytes, recycled); when that fails the call returns CTH_NOMEM.
       Units        Times are int64 nanoseconds, sizes are bytes.
       One copy     An object is used by one copy of the implementation only: not by two
                    CTHREADS_STATIC units, two shared libraries that each have one, or two
                    processes.
       Signals      Nothing here may be called from a signal handler; cth_cancel_on_signal
                    turns a signal into a cancelled token. EINTR never shows.
       fork         In the child only the thread that forked exists. Locks that another
                    thread held stay held; queues, executors, and channels that would have to
                    wait, give CTH_FORKED; pending timers are gone; all else can be used.
       Exit         A return from main or exit() waits for all threads that are not daemons.
                    A thread that ends while holding a lock leaves it locked.

   CONFIGURATION

       macro                     where                   meaning
       CTHREADS_IMPLEMENTATION   one .c file             compile the implementation here
       CTHREADS_STATIC           the only .c file        all functions static; implies a private
                                                         copy of the kit in this file
       CTHREADS_SIM              all files               build for the simulator
       CTHREADS_DEBUG            all files               poison destroyed objects
       CTHREADS_PORTABLE_PARK    implementation file     park on mtx_t and cnd_t, not on futexes
       CTHREADS_PTHREADS         implementation file     pthreads instead of <threads.h> (chosen
                                                         by itself under ThreadSanitizer and
                                                         AddressSanitizer, and where <threads.h>
                                                         is missing)
       CTH_MALLOC, CTH_FREE      implementation file     allocator; define both or neither; they
                                                         must not call the kit
       CTH_PANIC(text)           implementation file     called before abort(); prints by default

       Files built with different CTHREADS_SIM or CTHREADS_DEBUG do not link with each other.

   SIMULATOR     a test that explores schedules, and replays the one that fails

       static cth_status scenario(void *arg) {   // fresh objects, start, join, check, release
           ...
           CTH_SIM_CHECK(total == 2);
           return CTH_OK;
       }
       int main(void) { return cth_sim_run(NULL, scenario, NULL) != CTH_OK; }

       cc -std=c11 -DCTHREADS_SIM test.c -pthread

       It finds deadlocks, lost wake-ups, failed checks, data races between marked accesses
       (CTH_SIM_READ, CTH_SIM_WRITE), use of freed objects, threads, locks and memory left
       behind. Any other program of the kit, built so, runs in virtual time as one schedule of
       the seed in CTHREADS_SIM_SEED. See >>api:sim and docs/simulator.md.

   LICENSE

       SPDX-License-Identifier: MIT-0 OR Unlicense
       Copyright 2026 the cthreads authors. The text stands at the end of this file.
*/
#ifndef CTH_CTHREADS_H_INCLUDED
#  define CTH_CTHREADS_H_INCLUDED

/* -------------------------------------------------------------------------------------------------
   >>api:config   Version, linkage, compiler features.
   ---------------------------------------------------------------------------------------------- */

#  define CTH_VERSION_MAJOR  0
#  define CTH_VERSION_MINOR  1
#  define CTH_VERSION_PATCH  0
#  define CTH_VERSION_STRING "0.1.0"
/* One number that grows with the version: 0.1.0 is 100, 1.2.3 is 10203. */
#  define CTH_VERSION (CTH_VERSION_MAJOR * 10000 + CTH_VERSION_MINOR * 100 + CTH_VERSION_PATCH)

#  ifdef __cplusplus
#    if __cplusplus < 201103L
#      error "cthreads.h: the declarations need C++11"
#    endif
#    ifdef CTHREADS_IMPLEMENTATION
#      error "cthreads.h: the implementation is C11; define CTHREADS_IMPLEMENTATION in a .c file"
#    endif
#  elif !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L || defined(__STDC_NO_ATOMICS__)
#    error "cthreads.h: needs C11 with <stdatomic.h>"
#  endif

#  include <stdarg.h>
#  include <stdbool.h>
#  include <stddef.h>
#  include <stdint.h>
#  include <string.h>
#  ifndef __cplusplus
#    include <stdatomic.h>
#    if !defined(__STDC_NO_THREADS__) && !defined(_WIN32) && !defined(__APPLE__)
#      include <threads.h>
#      define CTH__HAS_THREADS_H 1
#    endif
#  endif
#  ifndef CTH__HAS_THREADS_H
#    define CTH__HAS_THREADS_H 0
#  endif

#  if defined(__SANITIZE_THREAD__)
#    define CTH__TSAN 1
#  elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#      define CTH__TSAN 1
#    endif
#  endif
#  ifndef CTH__TSAN
#    define CTH__TSAN 0
#  endif

#  if defined(__GNUC__) || defined(__clang__)
#    define CTH__GNU          1
#    define CTH__LIKELY(x)    __builtin_expect(!!(x), 1)
#    define CTH__PRINTF(f, a) __attribute__((format(printf, f, a)))
#    define CTH__UNUSED       __attribute__((unused))
#    define CTH__CLEANUP(fn)  __attribute__((cleanup(fn)))
#    define CTH_NODISCARD     __attribute__((warn_unused_result))
#    define CTH__CALL_SITE()  __builtin_return_address(0)
#    define CTH__NOINLINE     __attribute__((noinline))
#    define CTH__ALWAYS       __attribute__((always_inline))
#  else
#    define CTH__GNU       0
#    define CTH__LIKELY(x) (x)
#    define CTH__PRINTF(f, a)
#    define CTH__UNUSED
#    define CTH__CLEANUP(fn)
#    define CTH_NODISCARD
#    define CTH__CALL_SITE() NULL
#    define CTH__NOINLINE
#    define CTH__ALWAYS
#  endif

/* Linkage. CTH_API: an ordinary function. CTH_FAST: an inline fast path in C, with one external
   copy in the implementation file for C++ and for function pointers. */
#  ifdef __cplusplus
#    define CTH_API  extern
#    define CTH_FAST extern
#  elif defined(CTHREADS_STATIC)
#    define CTH_API  static CTH__UNUSED
#    define CTH_FAST static inline CTH__UNUSED
#  else
#    define CTH_API  extern
#    define CTH_FAST inline
#  endif

/* What the fast paths call carries the build mode in its name, so files built with different
   settings fail to link: cth__mutex_lock_slow, or with _sim, _debug or _simdebug at the end. */
#  if defined(CTHREADS_SIM) && defined(CTHREADS_DEBUG)
#    define CTH__MODE(name) name##_simdebug
#  elif defined(CTHREADS_SIM)
#    define CTH__MODE(name) name##_sim
#  elif defined(CTHREADS_DEBUG)
#    define CTH__MODE(name) name##_debug
#  else
#    define CTH__MODE(name) name
#  endif

// A name for a scope's variable, so that scopes nest without shadowing.
#  ifdef __COUNTER__
#    define CTH__UNIQUE(name) CTH__CAT(name, __COUNTER__)
#  else
#    define CTH__UNIQUE(name) CTH__CAT(name, __LINE__)
#  endif

#  define CTH__CAT2(a, b) a##b
#  define CTH__CAT(a, b)  CTH__CAT2(a, b)

#  ifdef __cplusplus
extern "C" {
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:status   One enum for everything that can go wrong.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__STATUS_LIST(X)                                                  \
    X(OK, "success")                                                           \
    X(TIMEDOUT, "the deadline passed")                                         \
    X(BUSY, "in use by another thread")                                        \
    X(CLOSED, "closed")                                                        \
    X(FULL, "full")                                                            \
    X(EMPTY, "empty")                                                          \
    X(CANCELLED, "cancelled")                                                  \
    X(SHUTDOWN, "shut down")                                                   \
    X(BROKEN, "broken")                                                        \
    X(NOMEM, "out of memory")                                                  \
    X(AGAIN, "the system has no more threads or handles to give at this time") \
    X(INVALID, "invalid argument or use")                                      \
    X(NOT_OWNER, "not held by the calling thread")                             \
    X(DEADLOCK, "the calling thread would wait for itself")                    \
    X(OVERFLOW, "a counter would exceed its maximum")                          \
    X(FORKED, "made before a fork, used in the child")                         \
    X(UNSUPPORTED, "not supported on this platform")                           \
    X(FAILED, "failed")

/* The result of everything that can fail: CTH_OK, CTH_TIMEDOUT, ... in the order above. CTH_OK
   is 0. User functions return one too; CTH_FAILED is the general "it did not work". */
typedef enum cth_status {
#  define CTH__X(name, text) CTH_##name,
    CTH__STATUS_LIST(CTH__X)
#  undef CTH__X
} cth_status;

/* Return the name of a status, "CTH_OK"; "CTH_?" for a number that is none. Never NULL.
   Like : strerrorname_np. */
CTH_API const char *cth_status_name(cth_status status);

/* Return a short English text for a status, "the deadline passed". Never NULL. Like: strerror. */
CTH_API const char *cth_status_text(cth_status status);

/* Keep a message, formatted as by printf and cut at 127 bytes, as the calling thread's error text,
   and return `status`: `return cth_fail(CTH_FAILED, "cannot open %s", path);` in a thread function
   is what `raise` is in Python. The thread hook receives the text.

   Threads : the text belongs to the calling thread.
   Like    : Python raise; errno + strerror. */
CTH_API cth_status cth_fail(cth_status status, const char *format, ...) CTH__PRINTF(2, 3);

/* Return the calling thread's latest error text, "" when it has none. Valid until its next
   cth_fail. */
CTH_API const char *cth_error_text(void);

/* -------------------------------------------------------------------------------------------------
   >>api:sim   The simulator: the kit on a platform whose clock, scheduler, memory and faults are
               chosen.

   Built with -DCTHREADS_SIM, one thread runs at a time, and before each atomic operation of the
   kit, and at each wait, the explorer chooses who goes on. It also chooses which value a load may
   see that the memory model leaves open, and which of the faults asked for happen. Sleeping takes
   no time: when all threads wait, the clock jumps to the next deadline. When none waits with a
   deadline, that is a deadlock (a lost wake-up looks the same). A failure is reported with the seed
   and the shortest schedule that replay it, with who waits for what, and with the last operations
   of each thread.

   Two ways to use it. A test calls cth_sim_run with a scenario. And an unmodified program, built
   with -DCTHREADS_SIM, runs as one schedule of the seed in the environment variable
   CTHREADS_SIM_SEED (1 when unset): same seed, same output. On a failure the program ends with
   status 86 after the report. The environment is looked at in both cases:

       CTHREADS_SIM_SEED       run the schedule of this seed alone
       CTHREADS_SIM_SCHEDULE   run this schedule alone, as printed in a report: "14:1,30:2"
       CTHREADS_SIM_FAULTS     faults to add, by comma: timeouts, spurious, alloc, threads,
                               processes, all
       CTHREADS_SIM_MEMORY     strong: every load sees the newest store; weak: see cth_sim_desc.
                               Unset: weak in cth_sim_run, strong in a whole program

   Threads not started by the kit cannot take part. Plain system calls block the whole program.
   Atomics of the program's own are invisible: they are no scheduling points (call cth_yield in
   loops around them) and order nothing. On x86-64 and AArch64 the threads of cth_sim_run are
   fibers of one system thread, which share its _Thread_local variables: a scenario with such
   variables of its own sets `threads`. Without CTHREADS_SIM nothing of this section exists but the
   CTH_SIM_... macros, which then do nothing. docs/simulator.md is the guide.
   ---------------------------------------------------------------------------------------------- */

#  ifdef CTHREADS_SIM
/* Faults, for cth_sim_desc. */
enum {
    CTH_SIM_TIMEOUTS = 1,   /* a timed wait may expire although others could still run */
    CTH_SIM_SPURIOUS = 2,   /* a sleeping thread may wake for no reason */
    CTH_SIM_ALLOC = 4,      /* an allocation may fail */
    CTH_SIM_THREADS = 8,    /* a thread start may fail, a process start too */
    CTH_SIM_PROCESSES = 16, /* a worker process may die, stall, or send what is no reply */
    CTH_SIM_EXIT = 86       /* exit status of a whole program that was found at fault */
};

/* How schedules are chosen. */
typedef enum cth_sim_strategy {
    CTH_SIM_RANDOM,    /* a random walk: any ready thread, at any point */
    CTH_SIM_PCT,       /* random priorities, which change at `depth` - 1 random points (Burckhardt,
                          Kothari, Musuvathi and Nagarakatte, ASPLOS 2010): finds a bug that needs
                          `depth` ordered events with a known least probability */
    CTH_SIM_EXHAUSTIVE /* depth first, every schedule within the bounds; no seeds */
} cth_sim_strategy;

/* What was run, and what the first failing schedule looked like. */
typedef struct cth_sim_report {
    uint64_t schedules; /* schedules run, the failing one included, shrinking not */
    uint64_t seed;      /* the seed that replays the failing schedule; 0 in an exhaustive search */
    uint64_t steps;     /* scheduling points passed in all schedules */
    bool complete;      /* an exhaustive search has seen every schedule within its bounds */
    uint32_t changes;   /* how often the schedule in `schedule` departs from the plain one, in which
                           a thread runs until it waits and every load sees the newest store */
    char schedule[512]; /* the shortest failing schedule found; "" when it does not fit */
    char kind[24];      /* "deadlock", "check", "data race", ...: see cth_sim_run */
    char text[8192];    /* the report as printed */
} cth_sim_report;

typedef struct cth_sim_desc {
    const char *name;          /* for the report */
    cth_sim_strategy strategy; /* 0 = CTH_SIM_RANDOM */
    uint64_t seed;             /* first seed; 0 = 1 */
    uint64_t schedules;        /* how many to run; 0 = 1000, or 1000000 for an exhaustive search */
    uint64_t max_steps;        /* scheduling points in one schedule; 0 = 100000 */
    unsigned faults;           /* CTH_SIM_TIMEOUTS | ... */
    int depth;                 /* CTH_SIM_PCT: ordered events of the bug sought; 0 = 3 */
    int preemptions;           /* CTH_SIM_EXHAUSTIVE: how often in one schedule a thread that could
                                  go on is stopped; 0 = 2, negative = never */
    int stale;                 /* CTH_SIM_EXHAUSTIVE: how many loads in one schedule may see an
                                  older store than the newest; 0 = 1, negative = none. (Faults: one
                                  in one schedule.) */
    bool strong;               /* every load sees the newest store, as on no real machine */
    bool threads;           /* a system thread for each thread, not fibers: 6 to 15 times slower */
    bool no_shrink;         /* do not look for a shorter failing schedule */
    bool quiet;             /* do not print the failure on stderr */
    const char *schedule;   /* run this schedule alone, as from a report */
    cth_sim_report *report; /* filled in, when not NULL */
} cth_sim_desc;

/* Fail the schedule with the given text; does not return. What CTH_SIM_CHECK calls. */
CTH_API void cth_sim_fail(const char *kind, const char *format, ...) CTH__PRINTF(2, 3);

/* Return a number below `n`, chosen by the explorer: for scenarios that try alternatives. */
CTH_API uint32_t cth_sim_choose(uint32_t n);

/* Choose what is explored. After cth_sim_explore(false) the calling thread takes the plain course:
   others run only when it waits or yields, each load sees the newest store, no fault happens to it
   (but under CTH_SIM_TIMEOUTS its deadline may pass while others explore); so do the threads it
   starts. For the parts of a scenario that are not its subject, since the
   schedules of an exhaustive search multiply with each step explored. True at the beginning.
   Like    : loom::explore and loom::stop_exploring (Rust). */
CTH_API void cth_sim_explore(bool on);

/* Run `scenario(arg)` under many schedules, as the main thread of a fresh kit each time, and stop
   at the first failure, which has one of these kinds:

       deadlock      every thread waits, none with a deadline
       thread left   the same, after the scenario has returned: a thread it left behind
       lock left     a thread has ended, or the scenario has returned, holding a lock
       memory left   an allocation of the kit was not given back
       check         a CTH_SIM_CHECK failed, or the scenario returned other than CTH_OK
       data race     two accesses, marked by CTH_SIM_READ or CTH_SIM_WRITE, with nothing between
                     that orders them
       freed         use of memory that the kit has freed or CTH_SIM_FREED was called for, after
                     that or, of marked accesses, with no order between; or freed twice
       misuse        what aborts the program in a normal build, such as CTH_WITH on a lock that
                     the thread holds already
       steps         too many steps: a livelock, or a loop that needs cth_yield
       no thread     the system has no thread or no memory for the scenario's first one
       scenario      an exhaustive search needs a scenario that does the same each time
       crash         a fatal signal or abort(): the report is printed, and the program dies

   The failing schedule is then run again with fewer and fewer changes of thread, as long as it
   fails in the same way, and the shortest is reported (not when it crashes the program).

   Blocks  : until the schedules are done or one failed.
   Returns : CTH_OK; CTH_FAILED when a schedule failed (see `report`); CTH_BUSY inside a scenario
             or while other threads of the kit run; CTH_INVALID without a scenario, or for a
             schedule that is no list of numbers; CTH_NOMEM.
   Threads : the main thread only. The threads of a failing schedule stay behind, asleep for ever.
   Like    : loom::model, shuttle::check_random (Rust); Go testing/synctest. The memory model is
             that of Norris and Demsky's CDSChecker (OOPSLA 2013), without load buffering. */
CTH_API CTH_NODISCARD cth_status cth_sim_run(const cth_sim_desc *desc,
                                             cth_status (*scenario)(void *arg),
                                             void *arg);

/* Private: what the macros below and the wrappers of api:atomic call. */
CTH_API void cth__sim_plain(const volatile void *object, int write, const char *site);
CTH_API void cth__sim_freed(const volatile void *object, size_t size, int gone);
CTH_API void cth__sim_name(const volatile void *object, size_t size, const char *name);
CTH_API void cth__sim_holds(const volatile void *word, int change);
CTH_API void cth__sim_unmet(const char *site, const char *condition);
#    define CTH__HERE2(file, n) file ":" #    n
#    define CTH__HERE1(file, n) CTH__HERE2(file, n)
#    define CTH__HERE           CTH__HERE1(__FILE__, __LINE__)
#    define CTH__HOLDS(word, n) cth__sim_holds((word), (n))
#  else
#    define CTH__HOLDS(word, n) ((void)0)
#  endif

/* For scenarios; each does nothing, and does not evaluate its argument, without the simulator.
   CTH_SIM_CHECK(condition) fails the schedule when the condition is false.
   CTH_SIM_READ(x), CTH_SIM_WRITE(x) say that the calling thread reads or writes the variable x,
   which is no atomic: two such accesses of one address by two threads, at least one of them a
   write, are a data race unless something orders them, whether or not it shows in this schedule.
   CTH_SIM_FREED(x) says that the object x is gone: a later use of it by the kit, or marked as
   above, fails the schedule. CTH_SIM_FRESH(x): the memory is in use again; what malloc gives a
   scenario needs this too, when another thread may have freed it.
   CTH_SIM_NAME(x, "name") gives the object x (a lock, a variable) a name in reports. */
#  ifdef CTHREADS_SIM
#    define CTH_SIM_CHECK(condition)             \
      do {                                       \
        if (!(condition)) {                      \
          cth__sim_unmet(CTH__HERE, #condition); \
        }                                        \
      } while (0)
#    define CTH_SIM_READ(x)       cth__sim_plain(&(x), 0, CTH__HERE)
#    define CTH_SIM_WRITE(x)      cth__sim_plain(&(x), 1, CTH__HERE)
#    define CTH_SIM_FREED(x)      cth__sim_freed(&(x), sizeof(x), 1)
#    define CTH_SIM_FRESH(x)      cth__sim_freed(&(x), sizeof(x), 0)
#    define CTH_SIM_NAME(x, name) cth__sim_name(&(x), sizeof(x), (name))
#  else
#    define CTH_SIM_CHECK(condition) ((void)0)
#    define CTH_SIM_READ(x)          ((void)0)
#    define CTH_SIM_WRITE(x)         ((void)0)
#    define CTH_SIM_FREED(x)         ((void)0)
#    define CTH_SIM_FRESH(x)         ((void)0)
#    define CTH_SIM_NAME(x, name)    ((void)0)
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:atomic   The words objects are made of, and one wrapper for each atomic operation.

   Private, but visible because the fast paths are inline. Words are 32 bits or one pointer; atomic
   in C, plain with the same layout in C++. Every atomic access of the kit goes through a wrapper;
   the order is written as in cth__load(&m->word, acquire). Under the simulator each wrapper calls
   its model of memory, by the type of the word: cth__load(p, acquire) expands to
   cth__sim_load32(p, memory_order_acquire, "file:line"), or cth__sim_loadp for a pointer.
   ---------------------------------------------------------------------------------------------- */

#  ifdef __cplusplus
typedef uint32_t cth__word;
typedef void *cth__ptr;
#  else
typedef _Atomic(uint32_t) cth__word;
typedef _Atomic(void *) cth__ptr;
_Static_assert(sizeof(cth__word) == 4 && sizeof(cth__ptr) == sizeof(void *), "layout as in C++");
_Static_assert(CTH_OK == 0, "callers test for zero");

#    ifdef CTHREADS_SIM
enum { CTH__SWAP, CTH__ADD, CTH__SUB, CTH__OR, CTH__AND };
CTH_API uint32_t cth__sim_load32(cth__word *p, int order, const char *site);
CTH_API void *cth__sim_loadp(cth__ptr *p, int order, const char *site);
CTH_API void cth__sim_store32(cth__word *p, uint32_t v, int order, const char *site);
CTH_API void cth__sim_storep(cth__ptr *p, void *v, int order, const char *site);
CTH_API uint32_t cth__sim_rmw32(cth__word *p, int op, uint32_t v, int order, const char *site);
CTH_API void *cth__sim_swapp(cth__ptr *p, int op, void *v, int order, const char *site);
CTH_API bool cth__sim_cas32(cth__word *p,
                            uint32_t *expected,
                            uint32_t v,
                            int order,
                            int failed,
                            bool weak,
                            const char *site);
CTH_API bool cth__sim_casp(cth__ptr *p,
                           void **expected,
                           void *v,
                           int order,
                           int failed,
                           bool weak,
                           const char *site);
CTH_API void cth__sim_fence(int order, const char *site);
#      define CTH__BY_TYPE(p, word, ptr) _Generic((p), cth__word * : word, cth__ptr * : ptr)
#      define CTH__ORDER(order)          memory_order_##order
#      define cth__load(p, order) \
        CTH__BY_TYPE(p, cth__sim_load32, cth__sim_loadp)((p), CTH__ORDER(order), CTH__HERE)
#      define cth__store(p, v, order) \
        CTH__BY_TYPE(p, cth__sim_store32, cth__sim_storep)((p), (v), CTH__ORDER(order), CTH__HERE)
#      define cth__swap(p, v, order)                    \
        CTH__BY_TYPE(p, cth__sim_rmw32, cth__sim_swapp) \
        ((p), CTH__SWAP, (v), CTH__ORDER(order), CTH__HERE)
#      define cth__add(p, v, order) cth__sim_rmw32((p), CTH__ADD, (v), CTH__ORDER(order), CTH__HERE)
#      define cth__sub(p, v, order) cth__sim_rmw32((p), CTH__SUB, (v), CTH__ORDER(order), CTH__HERE)
#      define cth__or(p, v, order)  cth__sim_rmw32((p), CTH__OR, (v), CTH__ORDER(order), CTH__HERE)
#      define cth__and(p, v, order) cth__sim_rmw32((p), CTH__AND, (v), CTH__ORDER(order), CTH__HERE)
#      define cth__cas(p, expected, v, order, failed)  \
        CTH__BY_TYPE(p, cth__sim_cas32, cth__sim_casp) \
        ((p), (expected), (v), CTH__ORDER(order), CTH__ORDER(failed), false, CTH__HERE)
#      define cth__cas_weak(p, expected, v, order, failed) \
        CTH__BY_TYPE(p, cth__sim_cas32, cth__sim_casp)     \
        ((p), (expected), (v), CTH__ORDER(order), CTH__ORDER(failed), true, CTH__HERE)
#      define cth__fence(order)  cth__sim_fence(CTH__ORDER(order), CTH__HERE)
#      define cth__fence_light() cth__sim_fence(memory_order_seq_cst, CTH__HERE)
#    else
#      define cth__load(p, order)     atomic_load_explicit((p), memory_order_##order)
#      define cth__store(p, v, order) atomic_store_explicit((p), (v), memory_order_##order)
#      define cth__swap(p, v, order)  atomic_exchange_explicit((p), (v), memory_order_##order)
#      define cth__add(p, v, order)   atomic_fetch_add_explicit((p), (v), memory_order_##order)
#      define cth__sub(p, v, order)   atomic_fetch_sub_explicit((p), (v), memory_order_##order)
#      define cth__or(p, v, order)    atomic_fetch_or_explicit((p), (v), memory_order_##order)
#      define cth__and(p, v, order)   atomic_fetch_and_explicit((p), (v), memory_order_##order)
/* Compare and swap: when *p == *expected store `v` with the first order and be true; else put the
   value found into *expected with the second order and be false. The weak form may be false for no
   reason, and is for loops. */
#      define cth__cas(p, expected, v, order, failed)                                       \
        atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_##order, \
                                                memory_order_##failed)
#      define cth__cas_weak(p, expected, v, order, failed)                                \
        atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_##order, \
                                              memory_order_##failed)
/* A fence: what orders a store before a later load of another word (seq_cst). ThreadSanitizer knows
   none, and gets an operation on a word of its own. */
#      if CTH__TSAN
#        define cth__fence(order) \
          ((void)atomic_fetch_add_explicit(&cth__fence_word, 0, memory_order_##order))
#      else
#        define cth__fence(order) atomic_thread_fence(memory_order_##order)
#      endif
/* The half of a pair of seq_cst fences that is passed often: it costs nothing where the system can
   make all threads of the process pass one, which the other half, cth__fence_heavy, then does. */
#      define cth__fence_light()                                           \
        (atomic_load_explicit(&cth__asymmetric, memory_order_relaxed) == 1 \
             ? atomic_signal_fence(memory_order_seq_cst)                   \
             : cth__fence(seq_cst))
#      ifdef CTHREADS_STATIC
static CTH__UNUSED cth__word cth__asymmetric, cth__fence_word;
#      else
extern cth__word cth__asymmetric; /* 1: the system has such fences */
extern cth__word cth__fence_word;
#      endif
#    endif
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:time   Nanoseconds on a clock that never goes back, deadlines, sleeping.
   ---------------------------------------------------------------------------------------------- */

/* A point in time or a span, in nanoseconds. Points are on the monotonic clock, counted from an
   unspecified start that is never negative. */
typedef int64_t cth_time;

/* The deadline that never comes. */
#  define CTH_FOREVER INT64_MAX

/* Spans: CTH_MS(50), CTH_S(0.1). The argument is any number; it must fit (292 years do). */
#  define CTH_NS(x) ((cth_time)(x))
#  define CTH_US(x) ((cth_time)((x)*INT64_C(1000)))
#  define CTH_MS(x) ((cth_time)((x)*INT64_C(1000000)))
#  define CTH_S(x)  ((cth_time)((x)*INT64_C(1000000000)))

/* Return the monotonic time; virtual under the simulator. Like: Python time.monotonic_ns. */
CTH_API cth_time cth_now(void);

/* Return the deadline `span` from now. A huge span gives CTH_FOREVER; a negative span gives a
   deadline that every call refuses with CTH_INVALID. Like: Go time.Now().Add(span). */
CTH_API cth_time cth_after(cth_time span);

/* Sleep for at least `span`.

   Blocks  : until the span is over; signals do not shorten it.
   Returns : CTH_OK; CTH_CANCELLED under a cancelled token; CTH_INVALID for a negative span;
             CTH_NOMEM. A span of 0 is CTH_OK at once.
   Like    : Python time.sleep; C11 thrd_sleep. */
CTH_API cth_status cth_sleep(cth_time span);

/* Sleep until `deadline` has passed; with CTH_FOREVER until cancelled. As cth_sleep. */
CTH_API cth_status cth_sleep_until(cth_time deadline);

/* Let other threads run. Under the simulator, when no other thread can run, time moves on. Like:
   C11 thrd_yield. */
CTH_API void cth_yield(void);

/* Return the wall-clock time in nanoseconds since 1970, for printing only: it may jump. Under the
   simulator it starts on 2026-01-01 and follows virtual time. Like: Python time.time_ns. */
CTH_API cth_time cth_wall_now(void);

/* Room that cth_wall_text needs. */
#  define CTH_WALL_TEXT_SIZE 26

/* Write the local time (UTC under the simulator) of `wall` into `text` as
   "Thu Jan  1 00:00:00 1970", without a line end, and return `text`. Like: Python time.ctime. */
CTH_API char *cth_wall_text(cth_time wall, char text[CTH_WALL_TEXT_SIZE]);

/* -------------------------------------------------------------------------------------------------
   >>api:rng   Seeded random numbers, for demos, tests and jitter. Not for secrets.
   ---------------------------------------------------------------------------------------------- */

/* A generator (splitmix64, Steele, Lea and Flood 2014). Valid when zeroed; one thread at a time. */
typedef struct cth_rng {
    uint64_t state;
} cth_rng;

/* Start the sequence of `seed`: the same seed gives the same numbers on every platform. */
CTH_API void cth_rng_seed(cth_rng *rng, uint64_t seed);

/* Return a seed that differs from run to run (under the simulator, the explorer's choice). */
CTH_API uint64_t cth_rng_entropy(void);

/* Return the next 64 random bits. */
CTH_API uint64_t cth_rng_next(cth_rng *rng);

/* Return a number in 0 .. n-1, each equally likely; 0 when n is 0. Like: Python randrange(n). */
CTH_API uint64_t cth_rng_below(cth_rng *rng, uint64_t n);

/* Return a number in [0, 1). Like: Python random.random. */
CTH_API double cth_rng_unit(cth_rng *rng);

/* -------------------------------------------------------------------------------------------------
   >>api:cancel   Cancel tokens: ask everything that waits on behalf of a job to stop.

   A token is a node in a tree: cancelling it cancels all below it. CTH_UNDER(&token) binds it to
   the calling thread for a block; every wait in that block then returns CTH_CANCELLED once the
   token is cancelled or its deadline has passed. Locks do not: a mutex is always acquired.

       cth_cancel stop;
       cth_cancel_init(&stop, NULL, cth_after(CTH_S(5)));
       CTH_UNDER(&stop) { status = cth_event_wait(&ready); }
       cth_cancel_destroy(&stop);
   ---------------------------------------------------------------------------------------------- */

/* A cancel token. The fields are private. Valid when zeroed: live, no parent, no deadline. */
typedef struct cth_cancel {
    cth__word state; /* 0 live, 1 cancelled; set once, under the tree lock */
    uint32_t flags;
    cth__ptr reason;                                 /* const char *, set before state */
    struct cth_cancel *parent, *child, *next, *prev; /* under the tree lock */
    cth_time deadline;                               /* 0 = none; the least of its ancestors' */
} cth_cancel;
#  define CTH_CANCEL_INIT \
    { 0, 0, NULL, NULL, NULL, NULL, NULL, 0 }

/* Make a live token below `parent` (NULL: a root), cancelled by itself at `deadline`
   (CTH_FOREVER: never). Below a cancelled parent it is born cancelled.

   Returns : CTH_OK; CTH_INVALID for a negative deadline; CTH_NOMEM.
   Like    : Go context.WithDeadline, C++ std::stop_source. */
CTH_API cth_status cth_cancel_init(cth_cancel *token, cth_cancel *parent, cth_time deadline);

/* Take a token out of its tree and end its watch over signals.

   Returns : CTH_OK; CTH_BUSY, and nothing changed, while it has children or waiting threads. */
CTH_API cth_status cth_cancel_destroy(cth_cancel *token);

/* Cancel the token and all below it, and wake every thread that waits under them. The first reason
   stays; `reason` (NULL: "cancelled") is not copied and must outlive the token.

   Returns  : CTH_OK, also when it was cancelled before; CTH_NOMEM.
   Ordering : everything before this call happens before a wait returns CTH_CANCELLED by it. */
CTH_API cth_status cth_cancel_request(cth_cancel *token, const char *reason);

/* Return CTH_CANCELLED when the token is cancelled or its deadline has passed, else CTH_OK; with
   NULL, ask for the calling thread's token. For loops that compute without waiting. */
CTH_API cth_status cth_cancel_status(const cth_cancel *token);

/* Return why the token was cancelled: the reason given, "deadline passed", or NULL while live. */
CTH_API const char *cth_cancel_reason(const cth_cancel *token);

/* Return the token that the calling thread is bound to, or NULL. */
CTH_API cth_cancel *cth_cancel_current(void);

/* Cancel `token`, with the reason "signal N", when the process receives `signal_number`. The
   second signal of that number gets the previous treatment again, so a second Ctrl-C ends the
   program. The watch ends with cth_cancel_destroy; the token may not move until then. The program's
   own system calls (read, accept) may end with EINTR by it. Under the simulator no signal comes.

   Returns : CTH_OK; CTH_INVALID for a signal that cannot be caught; CTH_BUSY when a token watches
             that signal already; CTH_AGAIN when no thread or pipe could be made; CTH_UNSUPPORTED.
   Like    : Go signal.NotifyContext. */
CTH_API CTH_NODISCARD cth_status cth_cancel_on_signal(cth_cancel *token, int signal_number);

typedef struct cth__under {
    cth_cancel *saved;
    bool done;
} cth__under;
CTH_API cth__under cth__under_enter(cth_cancel *token);
CTH_API void cth__under_leave(cth__under *under);

/* CTH_UNDER(&token) { ... }: the calling thread's waits in the block are under `token`. It replaces
   the outer token (make it a child to have both). CTH_SHIELDED { ... }: under none, for clean-up.
   Expands to a `for` that runs once, with a variable whose cleanup restores the outer token;
   break and continue leave the block, return and goto are fine too. */
#  define CTH_UNDER(token) CTH__UNDER(token, CTH__UNIQUE(cth__under_))
#  define CTH__UNDER(token, v)                                                           \
    for (cth__under v CTH__CLEANUP(cth__under_leave) = cth__under_enter(token); !v.done; \
         CTH__UNDER_NEXT(v))
#  define CTH_SHIELDED CTH_UNDER(NULL)
#  if CTH__GNU
#    define CTH__UNDER_NEXT(u) (u).done = true
#  else
#    define CTH__UNDER_NEXT(u) cth__under_leave(&(u))
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:thread   Threads as objects: Python's threading.Thread.

   A handle comes from create or spawn with one reference, which release gives back. Each started
   thread is joined at most once; one whose handle is released unjoined goes on by itself. The
   program waits for it at exit unless it is a daemon.
   ---------------------------------------------------------------------------------------------- */

/* A thread. Opaque, reference-counted. */
typedef struct cth_thread cth_thread;

/* What a thread runs. Anything other than CTH_OK goes to the thread hook and to join's `result`. */
typedef cth_status (*cth_thread_fn)(void *arg);

/* Longest thread name, in bytes, without the ending zero. */
#  define CTH_THREAD_NAME_MAX 63

typedef struct cth_thread_desc {
    const char *name;   /* copied; NULL: "Thread-1", "Thread-2", ... */
    size_t stack_size;  /* bytes; 0: the system's default */
    bool daemon;        /* the program does not wait for it at exit */
    cth_cancel *cancel; /* token its waits are under; must outlive the thread; NULL: none */
} cth_thread_desc;

/* Make a thread that is not yet alive; `desc` may be NULL.

   Returns : CTH_OK and a handle in `*out`; CTH_NOMEM; CTH_INVALID for a name that is too long, no
             function or no `out`.
   Like    : Python Thread(target=fn, args=(arg,)). C11: none. */
CTH_API CTH_NODISCARD cth_status cth_thread_create(cth_thread **out,
                                                   cth_thread_fn fn,
                                                   void *arg,
                                                   const cth_thread_desc *desc);

/* Start a thread. It is alive when this returns.

   Returns  : CTH_OK; CTH_INVALID when it was started before or its stack size is refused;
              CTH_AGAIN when the system gives no thread; CTH_NOMEM. After AGAIN or NOMEM it may be
              started again.
   Ordering : everything before this call happens before the thread's function. */
CTH_API CTH_NODISCARD cth_status cth_thread_start(cth_thread *thread);

/* Create and start: as the two above; on failure there is no handle.
   Like : C11 thrd_create; Go `go fn(arg)`. */
CTH_API CTH_NODISCARD cth_status cth_thread_spawn(cth_thread **out,
                                                  cth_thread_fn fn,
                                                  void *arg,
                                                  const cth_thread_desc *desc);

/* Wait until the thread has ended, and put what its function returned into `*result` (may be
   NULL). The handle stays valid.

   Blocks   : until the thread has ended.
   Returns  : CTH_OK; CTH_DEADLOCK for the calling thread itself; CTH_INVALID when it was not
              started, was joined or detached, or was not started by the kit; CTH_FORKED for
              a thread of the process that forked this one; CTH_CANCELLED; CTH_NOMEM.
   Ordering : everything the thread did happens before this returns.
   Like     : Python Thread.join; C11 thrd_join. */
CTH_API cth_status cth_thread_join(cth_thread *thread, cth_status *result);

/* As cth_thread_join, or CTH_TIMEDOUT at the deadline: the thread may then be joined again. */
CTH_API CTH_NODISCARD cth_status cth_thread_join_until(cth_thread *thread,
                                                       cth_status *result,
                                                       cth_time deadline);

/* Wait until all threads started by the kit have ended, daemons excepted. The exit handler does it.

   Blocks  : until then, or the deadline.
   Returns : CTH_OK; CTH_TIMEDOUT; CTH_CANCELLED; CTH_DEADLOCK from a thread that the kit started;
             CTH_INVALID for a negative deadline; CTH_NOMEM.
   Like    : Python threading._shutdown; Go sync.WaitGroup.Wait. */
CTH_API cth_status cth_thread_join_all(cth_time deadline);

/* Say that nobody will join the thread. Before or after its start.

   Returns : CTH_OK; CTH_INVALID when it was joined or detached before, or not started by the kit.
             */
CTH_API cth_status cth_thread_detach(cth_thread *thread);

/* Take another reference to the handle; returns it. NULL gives NULL. */
CTH_API cth_thread *cth_thread_retain(cth_thread *thread);

/* Give back a reference. With the last one the handle is gone; a thread still running goes on, as
   if detached. NULL is allowed. */
CTH_API void cth_thread_release(cth_thread *thread);

/* Tell whether the thread was started and has not ended. Like: Python Thread.is_alive. */
CTH_API bool cth_thread_is_alive(const cth_thread *thread);

/* Return the thread's name: valid as long as the caller's reference. Never NULL ("?" for NULL). */
CTH_API const char *cth_thread_name(const cth_thread *thread);

/* Rename a thread, for the operating system too (which cuts at 15 bytes).

   Returns : CTH_OK; CTH_INVALID for a name that is NULL or too long; CTH_NOMEM. */
CTH_API cth_status cth_thread_set_name(cth_thread *thread, const char *name);

/* Return the kit's number for a thread: unique among all threads ever made in this process; main
   is 1. Like: Python Thread.ident. */
CTH_API uint32_t cth_thread_id(const cth_thread *thread);

/* Return the system's number for the thread (gettid), 0 before it runs. Like: native_id. */
CTH_API int64_t cth_thread_native_id(const cth_thread *thread);

/* Tell whether the thread is a daemon. */
CTH_API bool cth_thread_is_daemon(const cth_thread *thread);

/* Return the calling thread; the reference is borrowed and lasts as long as the thread, so retain
   it to keep it. A thread that the kit did not start is adopted: "MainThread", or "Dummy-N". NULL
   only when memory is lacking. Like: Python current_thread; C11 thrd_current. */
CTH_API cth_thread *cth_thread_current(void);

/* Return the main thread, borrowed as above. Like: Python main_thread. */
CTH_API cth_thread *cth_thread_main(void);

/* Return how many threads are alive, main and adopted ones included. Like: active_count. */
CTH_API size_t cth_thread_count(void);

/* Put up to `capacity` living threads into `out`, main first, each with a reference that the
   caller releases, and return how many are alive (more than `capacity`: some are missing).
   Like : Python threading.enumerate. */
CTH_API size_t cth_thread_enumerate(cth_thread **out, size_t capacity);

/* -------------------------------------------------------------------------------------------------
   >>api:hook   What happens when a thread function returns something other than CTH_OK.
   ---------------------------------------------------------------------------------------------- */

/* Called in the failing thread, before it ends; `message` is its cth_error_text, or the status's
   text when it has none. */
typedef void (*cth_thread_hook_fn)(cth_thread *thread,
                                   cth_status status,
                                   const char *message,
                                   void *arg);

/* Set the hook for all threads; NULL restores the default, which prints
   "Exception in thread NAME: CTH_FAILED: message" on stderr in one write.

   Ordering : a thread that fails after this call returns uses the new hook.
   Like     : Python threading.excepthook. */
CTH_API void cth_thread_set_hook(cth_thread_hook_fn hook, void *arg);

/* -------------------------------------------------------------------------------------------------
   >>api:local   One object per thread: Python's threading.local, with a constructor and destructor.

   For a plain variable per thread `_Thread_local int x;` is simpler and faster. A cth_local is for
   objects that need a destructor, or that belong to an object which comes and goes.

       static cth_local buffer = CTH_LOCAL_INIT(sizeof(struct buf), buf_open, buf_close);
       struct buf *b = cth_local_get(&buffer);
   ---------------------------------------------------------------------------------------------- */

/* Called on the thread's zeroed object at its first use; anything but CTH_OK makes the get fail. */
typedef cth_status (*cth_local_open_fn)(void *object);
/* Called on the object when its thread ends, or in cth_local_destroy for all threads. */
typedef void (*cth_local_close_fn)(void *object);

/* One object of `size` bytes for each thread that asks. Private but for the initialiser. */
typedef struct cth_local {
    size_t size;
    cth_local_open_fn open;
    cth_local_close_fn close;
    cth__word slot; /* 0 none yet, else its number + 1 */
} cth_local;
#  define CTH_LOCAL_INIT(size, open, close) \
    { (size), (open), (close), 0 }

/* Return the calling thread's object, made zeroed and opened at the first call; the address stays
   the same for the thread's life.

   Returns : the object; NULL when memory is lacking or `open` failed (then the next call tries
             again).
   Like    : Python local().x; C11 tss_get. */
CTH_API void *cth_local_get(cth_local *local);

/* Close and free the objects of all threads. Nobody may use the local at that time, and no thread
   that has used it may be about to end: join them first. */
CTH_API void cth_local_destroy(cth_local *local);

/* -------------------------------------------------------------------------------------------------
   >>api:mutex   Mutual exclusion. 4 bytes; knows its owner.

   Free when zeroed. A waiter spins for a moment while the owner runs, then sleeps. A running thread
   may overtake a sleeping one (that is what makes it fast), but a waiter that has been passed by
   for 1 ms is handed the lock. There is no priority inheritance.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_mutex {
    cth__word word; /* 0 free; else the owner's number << 8; bit 0: somebody may sleep */
} cth_mutex;
#  define CTH_MUTEX_INIT \
    { 0 }

/* Acquire the mutex.

   Blocks   : while another thread holds it. Never cancelled.
   Returns  : CTH_OK; CTH_DEADLOCK when the calling thread holds it; CTH_NOMEM; CTH_INVALID for a
              destroyed mutex (CTHREADS_DEBUG).
   Ordering : the previous unlock happens before this returns.
   Like     : Python Lock.acquire; C11 mtx_lock; Go Mutex.Lock. */
CTH_FAST cth_status cth_mutex_lock(cth_mutex *mutex);

/* Acquire the mutex if that needs no waiting.
   Returns : CTH_OK; CTH_BUSY when any thread holds it, the calling one included; CTH_NOMEM. */
CTH_FAST CTH_NODISCARD cth_status cth_mutex_try_lock(cth_mutex *mutex);

/* As cth_mutex_lock, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_FAST CTH_NODISCARD cth_status cth_mutex_lock_until(cth_mutex *mutex, cth_time deadline);

/* Release the mutex. It may be freed by another thread as soon as that one has locked it.
   Returns : CTH_OK; CTH_NOT_OWNER, and nothing changed, unless the calling thread holds it. */
CTH_FAST cth_status cth_mutex_unlock(cth_mutex *mutex);

/* Tell whether some thread held the mutex at that moment. Like: Python Lock.locked. */
CTH_API bool cth_mutex_is_locked(const cth_mutex *mutex);

/* Print and abort unless the calling thread holds the mutex. Like: Go's mutex assertions, nsync's
   nsync_mu_assert_held. */
CTH_API void cth_mutex_assert_held(const cth_mutex *mutex);

/* End the mutex's life; a debug build poisons it.
   Returns : CTH_OK; CTH_BUSY, and nothing changed, while it is held or waited for. */
CTH_API cth_status cth_mutex_destroy(cth_mutex *mutex);

/* -------------------------------------------------------------------------------------------------
   >>api:rmutex   A mutex that its owner may lock again. 8 bytes; free when zeroed.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_rmutex {
    cth_mutex mutex;
    uint32_t depth; /* how often the owner has locked it beyond the first time */
} cth_rmutex;
#  define CTH_RMUTEX_INIT \
    { CTH_MUTEX_INIT, 0 }

/* Acquire the mutex, or, when the calling thread holds it, count one more level.

   Blocks   : while another thread holds it. Never cancelled.
   Returns  : CTH_OK; CTH_OVERFLOW at 2^31 levels; CTH_NOMEM; CTH_INVALID as cth_mutex_lock.
   Ordering : as cth_mutex_lock.
   Like     : Python RLock.acquire; C11 mtx_recursive. */
CTH_FAST cth_status cth_rmutex_lock(cth_rmutex *rmutex);

/* Acquire it if that needs no waiting. Returns: as cth_rmutex_lock; CTH_BUSY. */
CTH_FAST CTH_NODISCARD cth_status cth_rmutex_try_lock(cth_rmutex *rmutex);

/* As cth_rmutex_lock, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_FAST CTH_NODISCARD cth_status cth_rmutex_lock_until(cth_rmutex *rmutex, cth_time deadline);

/* Leave one level; with the last one the mutex is free.
   Returns : CTH_OK; CTH_NOT_OWNER, and nothing changed, unless the calling thread holds it. */
CTH_FAST cth_status cth_rmutex_unlock(cth_rmutex *rmutex);

/* Tell whether some thread held it at that moment. */
CTH_API bool cth_rmutex_is_locked(const cth_rmutex *rmutex);

/* Print and abort unless the calling thread holds it. */
CTH_API void cth_rmutex_assert_held(const cth_rmutex *rmutex);

/* End its life. Returns: CTH_OK; CTH_BUSY, and nothing changed, while it is held or waited for. */
CTH_API cth_status cth_rmutex_destroy(cth_rmutex *rmutex);

/* -------------------------------------------------------------------------------------------------
   >>api:rwlock   Many readers or one writer. 4 bytes; free when zeroed.

   While a writer waits no new reader gets in, so writers do not starve; when a writer leaves, the
   readers that waited go before the next writer, so they do not starve either. A thread that
   already reads must not lock again to read: with a writer waiting in between it would wait for
   itself. Nor may a reader ask to write. (Go's RWMutex says the same.)
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_rwlock {
    cth__word word; /* readers << 2, or the writer's number << 8 | 2; bit 0: somebody may sleep */
} cth_rwlock;
#  define CTH_RWLOCK_INIT \
    { 0 }

/* Acquire the lock for reading, shared with other readers.

   Blocks   : while a writer holds it or waits for it. Never cancelled.
   Returns  : CTH_OK; CTH_DEADLOCK when the calling thread holds it for writing; CTH_OVERFLOW at
              2^30 readers; CTH_NOMEM; CTH_INVALID for a destroyed one (CTHREADS_DEBUG).
   Ordering : the last write_unlock happens before this returns.
   Like     : Go RWMutex.RLock; POSIX pthread_rwlock_rdlock. C11, Python: none. */
CTH_FAST cth_status cth_rwlock_read_lock(cth_rwlock *rwlock);

/* Acquire it for reading if that needs no waiting. Returns: CTH_OK; CTH_BUSY; as above. */
CTH_API CTH_NODISCARD cth_status cth_rwlock_try_read_lock(cth_rwlock *rwlock);

/* As cth_rwlock_read_lock, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative one. */
CTH_API CTH_NODISCARD cth_status cth_rwlock_read_lock_until(cth_rwlock *rwlock, cth_time deadline);

/* Release one reader's hold.
   Returns  : CTH_OK; CTH_NOT_OWNER, and nothing changed, when nobody holds it for reading.
   Ordering : happens before the next write_lock returns. */
CTH_FAST cth_status cth_rwlock_read_unlock(cth_rwlock *rwlock);

/* Acquire the lock for writing, alone.

   Blocks   : while others hold it. Never cancelled.
   Returns  : CTH_OK; CTH_DEADLOCK when the calling thread holds it for writing; CTH_NOMEM;
              CTH_INVALID as above.
   Ordering : all unlocks before happen before this returns.
   Like     : Go RWMutex.Lock. */
CTH_FAST cth_status cth_rwlock_write_lock(cth_rwlock *rwlock);

/* Acquire it for writing if that needs no waiting. Returns: CTH_OK; CTH_BUSY; as above. */
CTH_API CTH_NODISCARD cth_status cth_rwlock_try_write_lock(cth_rwlock *rwlock);

/* As cth_rwlock_write_lock, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative one. */
CTH_API CTH_NODISCARD cth_status cth_rwlock_write_lock_until(cth_rwlock *rwlock, cth_time deadline);

/* Release the writer's hold. It may be freed by another thread as soon as that one has locked it.
   Returns : CTH_OK; CTH_NOT_OWNER, and nothing changed, unless the calling thread writes. */
CTH_FAST cth_status cth_rwlock_write_unlock(cth_rwlock *rwlock);

/* Turn the writer's hold into a reader's, with no moment in between in which the lock is free.
   Returns : CTH_OK; CTH_NOT_OWNER unless the calling thread writes. */
CTH_API cth_status cth_rwlock_downgrade(cth_rwlock *rwlock);

/* Print and abort unless the calling thread holds the lock for writing. */
CTH_API void cth_rwlock_assert_write_held(const cth_rwlock *rwlock);

/* End its life. Returns: CTH_OK; CTH_BUSY, and nothing changed, while it is held or waited for. */
CTH_API cth_status cth_rwlock_destroy(cth_rwlock *rwlock);

/* -------------------------------------------------------------------------------------------------
   >>api:cond   Condition variables: wait until something protected by a mutex is true.

       CTH_WITH(&lock) {
           CTH_WAIT_WHILE(&changed, &lock, count == 0);
           count--;
       }

   A wait may end without a notify, so always wait in a loop, as CTH_WAIT_WHILE does.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_cond {
    cth__word word; /* 1 while a thread may wait; changes under the bucket lock only */
} cth_cond;
#  define CTH_COND_INIT \
    { 0 }

/* Release `mutex`, sleep until notified, and acquire it again: releasing and beginning to wait are
   one step for every notifier that holds the mutex afterwards. Whatever is returned, on OK,
   TIMEDOUT and CANCELLED the mutex is held by the calling thread.

   Blocks   : until notified, or for no reason.
   Returns  : CTH_OK; CTH_CANCELLED; CTH_NOT_OWNER unless the calling thread holds the mutex;
              CTH_INVALID when others wait with another mutex.
   Ordering : as unlock and lock of the mutex.
   Like     : Python Condition.wait; C11 cnd_wait. */
CTH_API cth_status cth_cond_wait(cth_cond *cond, cth_mutex *mutex);

/* As cth_cond_wait, or CTH_TIMEDOUT at the deadline, with the mutex held; a wait that a notify
   chose never reports a timeout. CTH_INVALID for a negative deadline. */
CTH_API CTH_NODISCARD cth_status cth_cond_wait_until(cth_cond *cond,
                                                     cth_mutex *mutex,
                                                     cth_time deadline);

/* As the two above with a recursive mutex: all its levels are released and restored.
   Like : Python Condition(RLock()).wait. */
CTH_API cth_status cth_cond_wait_rmutex(cth_cond *cond, cth_rmutex *rmutex);
/* As cth_cond_wait_rmutex, or CTH_TIMEDOUT at the deadline, with the mutex held. */
CTH_API CTH_NODISCARD cth_status cth_cond_wait_rmutex_until(cth_cond *cond,
                                                            cth_rmutex *rmutex,
                                                            cth_time deadline);

/* Wake up to `n` of the waiting threads; with nobody waiting it does nothing. With or without the
   mutex. Returns : CTH_OK. Like: Python Condition.notify(n); C11 cnd_signal. */
CTH_API cth_status cth_cond_notify(cth_cond *cond, size_t n);

/* Wake all waiting threads. Like: Python Condition.notify_all; C11 cnd_broadcast. */
CTH_API cth_status cth_cond_notify_all(cth_cond *cond);

/* End the condition's life. Returns: CTH_OK; CTH_BUSY, and nothing changed, with waiters. */
CTH_API cth_status cth_cond_destroy(cth_cond *cond);

/* CTH_WAIT_WHILE(&cond, &lock, predicate[, deadline]): wait as long as `predicate`, evaluated with
   the lock (a cth_mutex or cth_rmutex) held, is true. The value is a cth_status: CTH_OK when the
   predicate is false; else what ended the wait. At the deadline the predicate decides once more.
   Expands to a loop around cth_cond_wait_until; gcc and clang only, for it is a statement
   expression. */
#  if CTH__GNU && !defined(__cplusplus)
#    define CTH_WAIT_WHILE(...) \
      CTH__WAIT_PICK(__VA_ARGS__, CTH__WAIT_DEADLINE, CTH__WAIT_FOREVER, CTH__NONE)(__VA_ARGS__)
#    define CTH__WAIT_PICK(c, m, p, d, name, ...) name
#    define CTH__WAIT_FOREVER(cond, mutex, predicate) \
      CTH__WAIT_DEADLINE(cond, mutex, predicate, CTH_FOREVER)
#    define CTH__WAIT_DEADLINE(cond, mutex, predicate, deadline)            \
      CTH__WAIT(cond, mutex, predicate, deadline, CTH__UNIQUE(cth__until_), \
                CTH__UNIQUE(cth__status_))
#    define CTH__WAIT(cond, mutex, predicate, deadline, until, status) \
      __extension__({                                                  \
  const cth_time until = (deadline);                                   \
  cth_status status = CTH_OK;                                          \
  for (;;) {                                                           \
    if (!(predicate)) {                                                \
      status = CTH_OK;                                                 \
      break;                                                           \
    }                                                                  \
    if (status != CTH_OK) {                                            \
      break;                                                           \
    }                                                                  \
    status = CTH__WAIT_UNTIL(mutex)((cond), (mutex), until);           \
  }                                                                    \
  status;                                                              \
      })
// clang-format off
#    define CTH__WAIT_UNTIL(mutex)               \
      _Generic((mutex),                          \
          cth_mutex *: cth_cond_wait_until,      \
          cth_rmutex *: cth_cond_wait_rmutex_until)
// clang-format on
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:sem   Counting semaphores. 8 bytes; zeroed: count 0, no bound.
   ---------------------------------------------------------------------------------------------- */

/* Largest count. */
#  define CTH_SEM_MAX INT32_MAX

typedef struct cth_sem {
    cth__word word; /* the count; bit 31: somebody may sleep */
    uint32_t bound; /* largest count, 0 = CTH_SEM_MAX; bit 31: saturating */
} cth_sem;

/* Static initialisers: a plain semaphore, and one that is never released above its start, which is
   at least 1. */
#  define CTH_SEM_INIT(count) \
    { (count), 0 }
#  define CTH_SEM_INIT_BOUNDED(count) \
    { (count), (count) }

typedef struct cth_sem_desc {
    int max;         /* largest count; 0 = CTH_SEM_MAX */
    bool saturating; /* a release beyond the maximum stops there and is CTH_OK */
} cth_sem_desc;

/* Make a semaphore with `count` permits; `desc` may be NULL.
   Returns : CTH_OK; CTH_INVALID for a negative count or max, or a count above max.
   Like    : Python Semaphore(count), BoundedSemaphore(count) with .max = count. */
CTH_API cth_status cth_sem_init(cth_sem *sem, int count, const cth_sem_desc *desc);

/* Take one permit.

   Blocks   : while there is none.
   Returns  : CTH_OK; CTH_CANCELLED; CTH_NOMEM; CTH_INVALID for a destroyed one (CTHREADS_DEBUG).
   Ordering : the release that made the permit happens before this returns.
   Like     : Python Semaphore.acquire; POSIX sem_wait. */
CTH_FAST cth_status cth_sem_acquire(cth_sem *sem);

/* Take one permit if there is one. Returns: CTH_OK; CTH_BUSY. */
CTH_FAST CTH_NODISCARD cth_status cth_sem_try_acquire(cth_sem *sem);

/* As cth_sem_acquire, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_FAST CTH_NODISCARD cth_status cth_sem_acquire_until(cth_sem *sem, cth_time deadline);

/* Give back one permit. The semaphore may be freed by a thread that acquired it.
   Returns : CTH_OK; CTH_OVERFLOW, and nothing changed, beyond the maximum; CTH_NOMEM. */
CTH_FAST cth_status cth_sem_release(cth_sem *sem);

/* Give back `n` permits, all or none. As cth_sem_release; CTH_INVALID for a negative n. */
CTH_API cth_status cth_sem_release_n(cth_sem *sem, int n);

/* Return the number of free permits at that moment. */
CTH_API int cth_sem_value(const cth_sem *sem);

/* End the semaphore's life. Returns: CTH_OK; CTH_BUSY, and nothing changed, with waiters. */
CTH_API cth_status cth_sem_destroy(cth_sem *sem);

/* -------------------------------------------------------------------------------------------------
   >>api:event   A flag that threads wait for. 4 bytes; zeroed: not set.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_event {
    cth__word word; /* bit 0: set; bit 1: somebody may sleep; above: how often it was set */
} cth_event;
#  define CTH_EVENT_INIT \
    { 0 }

/* Set the flag and wake all waiters. Threads that waited before are freed even if the flag is
   cleared at once.

   Returns  : CTH_OK; CTH_NOMEM.
   Ordering : everything before this happens before any wait or is_set that sees the flag.
   Like     : Python Event.set; Go close(ch). */
CTH_API cth_status cth_event_set(cth_event *event);

/* Clear the flag. Returns: CTH_OK. Like: Python Event.clear. */
CTH_API cth_status cth_event_clear(cth_event *event);

/* Tell whether the flag is set. One load. */
CTH_FAST bool cth_event_is_set(const cth_event *event);

/* Wait until the flag is set. One load when it is.

   Blocks  : while it is not set.
   Returns : CTH_OK; CTH_CANCELLED; CTH_NOMEM; CTH_INVALID for a destroyed one (CTHREADS_DEBUG).
   Like    : Python Event.wait; C++ atomic_flag::wait. */
CTH_FAST cth_status cth_event_wait(cth_event *event);

/* As cth_event_wait, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_FAST CTH_NODISCARD cth_status cth_event_wait_until(cth_event *event, cth_time deadline);

/* End the event's life. Returns: CTH_OK; CTH_BUSY, and nothing changed, with waiters. */
CTH_API cth_status cth_event_destroy(cth_event *event);

/* -------------------------------------------------------------------------------------------------
   >>api:latch   A count that threads wait to see at zero. 4 bytes; zeroed: count 0.

       cth_latch_add(&jobs, 3);   ... each job ends with cth_latch_done(&jobs);
       cth_latch_wait(&jobs);
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_latch {
    cth__word word; /* the count; bit 31: somebody may sleep */
} cth_latch;
#  define CTH_LATCH_INIT(count) \
    { (count) }

/* Add `n` to the count. Before those who wait begin to, as Go says of WaitGroup.Add.
   Returns : CTH_OK; CTH_INVALID for a negative n; CTH_OVERFLOW, and nothing changed, beyond
             2^31 - 1. */
CTH_API cth_status cth_latch_add(cth_latch *latch, int n);

/* Take one from the count; at zero all waiters are freed, and may free the latch.
   Returns  : CTH_OK; CTH_OVERFLOW, and nothing changed, at a count of zero; CTH_NOMEM.
   Ordering : happens before a wait that this call, or a later done, ends.
   Like     : Go WaitGroup.Done; C++ latch::count_down. Python: none. */
CTH_API cth_status cth_latch_done(cth_latch *latch);

/* Return the count at that moment. */
CTH_API int cth_latch_count(const cth_latch *latch);

/* Wait until the count is zero. One load when it is.

   Blocks  : while it is not.
   Returns : CTH_OK; CTH_CANCELLED; CTH_NOMEM.
   Like    : Go WaitGroup.Wait; C++ latch::wait. */
CTH_FAST cth_status cth_latch_wait(cth_latch *latch);

/* As cth_latch_wait, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_FAST CTH_NODISCARD cth_status cth_latch_wait_until(cth_latch *latch, cth_time deadline);

/* End its life. Returns: CTH_OK; CTH_BUSY, and nothing changed, with waiters. */
CTH_API cth_status cth_latch_destroy(cth_latch *latch);

/* -------------------------------------------------------------------------------------------------
   >>api:barrier   A meeting point: nobody goes on before all `parties` have come. Reusable at once.

   A barrier breaks when a waiter times out or is cancelled, when its action fails, and on abort.
   Then all who wait, and all who come, get CTH_BROKEN until it is reset. When the last party has
   come the meeting is complete, whatever deadline passes at that moment. Who comes while an action
   runs waits outside for the next meeting; giving up there breaks nothing.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_barrier {
    uint32_t parties, arrived, state; /* under the bucket lock */
    cth_status (*action)(void *arg);
    void *arg;
} cth_barrier;

/* Most parties. */
#  define CTH_BARRIER_MAX INT32_MAX

/* A static barrier without an action. */
#  define CTH_BARRIER_INIT(parties) \
    { (parties), 0, 0, 0, 0 }

typedef struct cth_barrier_desc {
    cth_status (*action)(void *arg); /* run by the last to come, before anybody goes on */
    void *arg;
} cth_barrier_desc;

/* Make a barrier for `parties` threads; `desc` may be NULL.
   Returns : CTH_OK; CTH_INVALID for less than one party.
   Like    : Python Barrier(parties, action); POSIX pthread_barrier_init. */
CTH_API cth_status cth_barrier_init(cth_barrier *barrier,
                                    int parties,
                                    const cth_barrier_desc *desc);

/* Wait until all parties have come, and put this thread's place into `*index` (may be NULL): each
   number below the parties goes to one thread, and 0 to the last one to come, which ran the action.

   Blocks   : until then.
   Returns  : CTH_OK; CTH_BROKEN; CTH_CANCELLED, which breaks it for the others; what the action
              returned, to the thread that ran it; CTH_INVALID for a zeroed barrier; CTH_NOMEM.
   Ordering : everything each party did before happens before anybody's return.
   Like     : Python Barrier.wait; POSIX pthread_barrier_wait; C++ barrier::arrive_and_wait. */
CTH_API cth_status cth_barrier_wait(cth_barrier *barrier, uint32_t *index);

/* As cth_barrier_wait, or CTH_TIMEDOUT at the deadline, which breaks it for the others (as in
   Python); CTH_INVALID for a negative deadline, which changes nothing. */
CTH_API CTH_NODISCARD cth_status cth_barrier_wait_until(cth_barrier *barrier,
                                                        uint32_t *index,
                                                        cth_time deadline);

/* Make the barrier empty and whole again; those who wait get CTH_BROKEN. Like: Python reset.
   Returns : CTH_OK; CTH_NOMEM. */
CTH_API cth_status cth_barrier_reset(cth_barrier *barrier);

/* Break the barrier until it is reset. Like: Python abort. Returns: CTH_OK; CTH_NOMEM. */
CTH_API cth_status cth_barrier_abort(cth_barrier *barrier);

/* Return the number of parties; of those waiting at that moment; whether it is broken. */
CTH_API uint32_t cth_barrier_parties(const cth_barrier *barrier);
/* Return how many wait at that moment. Like: Python n_waiting. */
CTH_API uint32_t cth_barrier_waiting(cth_barrier *barrier);
/* Tell whether the barrier is broken. */
CTH_API bool cth_barrier_is_broken(cth_barrier *barrier);

/* End its life. Returns: CTH_OK; CTH_BUSY, and nothing changed, while somebody waits. */
CTH_API cth_status cth_barrier_destroy(cth_barrier *barrier);

/* -------------------------------------------------------------------------------------------------
   >>api:once   Run a function once. 4 bytes; zeroed: not yet run.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_once {
    cth__word word; /* 0 not run, 2 done; else the running thread's number << 8, bit 0: sleepers */
} cth_once;
#  define CTH_ONCE_INIT \
    { 0 }

/* Tell whether the function has been run. */
CTH_FAST bool cth_once_is_done(const cth_once *once);

/* Run `fn(arg)` unless it has been run by this once, and wait while another thread runs it. When it
   returns other than CTH_OK it counts as not run: the next caller, or a waiting one, runs it again.

   Blocks   : while another thread runs it. Never cancelled.
   Returns  : CTH_OK when it has been run; what fn returned, to the thread that ran it; CTH_DEADLOCK
              from within fn; CTH_NOMEM.
   Ordering : what fn did happens before any call returns CTH_OK. Then it is one load.
   Like     : C11 call_once; Go sync.Once, OnceFunc. */
CTH_FAST cth_status cth_once_call(cth_once *once, cth_status (*fn)(void *arg), void *arg);

/* CTH_LAZY(type, name, open); at file scope: an object made by the first call of name(). Expands to
       static type *name(void) { static type object; static cth_once once; ... return &object; }
   `open` is a cth_status (*)(void *object), called once on the zeroed object; while it fails name()
   returns NULL. Like: a Python singleton behind a lock; Go sync.OnceValue. */
#  ifndef __cplusplus
#    define CTH_LAZY(type, name, open)                                                          \
      CTH__UNUSED static type *name(void);                                                      \
      static type *name(void) {                                                                 \
        static type cth__object;                                                                \
        static cth_once cth__once;                                                              \
        return cth_once_call(&cth__once, (open), &cth__object) == CTH_OK ? &cth__object : NULL; \
      }                                                                                         \
      static type *name(void)
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:scoped   Locks that are released with their block, however it is left. C only.

       CTH_WITH(&lock) {
           if (done) { break; }             // leaves the block, the lock is released
           return 7;                        // so it is here
       }

   The lock is a cth_mutex, a cth_rmutex, a cth_sem (one permit) or a C11 mtx_t; CTH_WITH_READ and
   CTH_WITH_WRITE take a cth_rwlock. With gcc and clang it is released
   on break, continue, return and goto too, by the cleanup attribute; with other compilers only
   when the end of the block is reached. break and continue leave the block, not a loop around
   it. The acquisition is never cancelled, and misuse (locking again what one holds) ends the
   program with a message, for there is no way to return a status.
   ---------------------------------------------------------------------------------------------- */

#  ifndef __cplusplus
typedef struct cth__scope {
    void *lock;
    void (*leave)(void *lock);
    bool done;
} cth__scope;

/* CTH_WITH(&lock) { ... } expands to
       for (cth__scope s cleanup = enter(&lock); !s.done; s.done = true) { ... }
   If a compile error led you here: the argument is not a pointer to a cth_mutex, cth_rmutex,
   cth_sem or mtx_t. */
#    define CTH_WITH(lock_) CTH__WITH_BY(CTH__SCOPE_ENTER(lock_), CTH__UNIQUE(cth__scope_))
#    define CTH__WITH_BY(enter, v) \
      for (cth__scope v CTH__CLEANUP(cth__scope_leave) = (enter); !v.done; CTH__SCOPE_NEXT(v))

/* CTH_GUARD(&lock); acquires it here and releases it at the end of the enclosing block. Expands to
   a variable with a cleanup; gcc and clang only. */
#    if CTH__GNU
#      define CTH_GUARD(lock_)                                                           \
        CTH__UNUSED cth__scope CTH__UNIQUE(cth__guard_) CTH__CLEANUP(cth__scope_leave) = \
            CTH__SCOPE_ENTER(lock_)
#      define CTH__SCOPE_NEXT(s) (s).done = true
#    else
#      define CTH__SCOPE_NEXT(s) cth__scope_leave(&(s))
#    endif

#    if CTH__HAS_THREADS_H
#      define CTH__SCOPE_MTX mtx_t * : cth__scope_mtx,
#    else
#      define CTH__SCOPE_MTX
#    endif
// clang-format off
#    define CTH__SCOPE_ENTER(lock_)              \
      _Generic((lock_),                          \
          CTH__SCOPE_MTX                         \
          cth_mutex *: cth__scope_mutex,         \
          cth_rmutex *: cth__scope_rmutex,       \
          cth_sem *: cth__scope_sem)(lock_)
#    define CTH__ALL_ITEM(lock_)                 \
      { (lock_), _Generic((lock_), cth_mutex *: 0, cth_rmutex *: 1, cth_rwlock *: 2) }
// clang-format on

/* CTH_WITH_READ(&rwlock) { ... } and CTH_WITH_WRITE(&rwlock) { ... }: as CTH_WITH. */
#    define CTH_WITH_READ(lock_)  CTH__WITH_BY(cth__scope_read(lock_), CTH__UNIQUE(cth__scope_))
#    define CTH_WITH_WRITE(lock_) CTH__WITH_BY(cth__scope_write(lock_), CTH__UNIQUE(cth__scope_))

/* CTH_WITH_ALL(&a, &b, ...) { ... }: up to 8 locks (cth_mutex, cth_rmutex, or cth_rwlock for
   writing), locked in the order of their addresses whatever the order they are written in, the same
   one only once: threads that name the same locks cannot deadlock over them. Leaves as CTH_WITH.
   Expands to a `for` that runs once, over an array of the locks. Like: C++ std::scoped_lock. */
#    define CTH_WITH_ALL(...) \
      CTH__WITH_ALL(CTH__UNIQUE(cth__all_), CTH__COUNT(__VA_ARGS__), CTH__EACH(__VA_ARGS__))
#    define CTH__WITH_ALL(v, n, ...)                                    \
      for (cth__all v CTH__CLEANUP(cth__all_leave) =                    \
               cth__all_enter((const cth__all_item[]){__VA_ARGS__}, n); \
           !v.done; CTH__ALL_NEXT(v))

typedef struct cth__all_item {
    void *lock;
    int kind; /* 0 mutex, 1 rmutex, 2 rwlock */
} cth__all_item;
typedef struct cth__all {
    cth__all_item items[8];
    size_t n;
    bool done;
} cth__all;
CTH_API cth__all cth__all_enter(const cth__all_item *items, size_t n);
CTH_API void cth__all_leave(cth__all *all);
#    if CTH__GNU
#      define CTH__ALL_NEXT(a) (a).done = true
#    else
#      define CTH__ALL_NEXT(a) cth__all_leave(&(a))
#    endif
// clang-format off
#    define CTH__COUNT(...)                             \
      CTH__COUNT2(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#    define CTH__COUNT2(a, b, c, d, e, f, g, h, n, ...) n
#    define CTH__EACH(...)                              \
      CTH__CAT(CTH__EACH, CTH__COUNT(__VA_ARGS__))(__VA_ARGS__)
#    define CTH__EACH1(a)                      CTH__ALL_ITEM(a)
#    define CTH__EACH2(a, b)                   CTH__EACH1(a), CTH__ALL_ITEM(b)
#    define CTH__EACH3(a, b, c)                CTH__EACH2(a, b), CTH__ALL_ITEM(c)
#    define CTH__EACH4(a, b, c, d)             CTH__EACH3(a, b, c), CTH__ALL_ITEM(d)
#    define CTH__EACH5(a, b, c, d, e)          CTH__EACH4(a, b, c, d), CTH__ALL_ITEM(e)
#    define CTH__EACH6(a, b, c, d, e, f)       CTH__EACH5(a, b, c, d, e), CTH__ALL_ITEM(f)
#    define CTH__EACH7(a, b, c, d, e, f, g)    CTH__EACH6(a, b, c, d, e, f), CTH__ALL_ITEM(g)
#    define CTH__EACH8(a, b, c, d, e, f, g, h) CTH__EACH7(a, b, c, d, e, f, g), CTH__ALL_ITEM(h)
// clang-format on

/* CTH_ATOMICALLY(&lock, &object) { ... CTH_ROLLBACK(); ... }: the block runs with the lock (as for
   CTH_WITH) held; if CTH_ROLLBACK() was called in it, the object is again what it was before, bit
   by bit, when the lock is released, however the block is left. CTH_ROLLBACK marks the innermost
   block of the calling thread, also from a function called in it. gcc and clang only. Expands to a
   `for` that runs once, with a variable that keeps a copy of the object (on the stack). */
#    if CTH__GNU
#      define CTH_ATOMICALLY(lock_, object_) \
        CTH__ATOMICALLY(lock_, object_, CTH__UNIQUE(cth__undo_))
#      define CTH__ATOMICALLY(lock_, object_, v)                                               \
        for (struct {                                                                          \
       cth__undo undo;                                                                         \
       unsigned char saved[sizeof *(object_)];                                                 \
             } v CTH__CLEANUP(cth__undo_leave) = {0};                                          \
             !v.undo.done && (v.undo.scope = CTH__SCOPE_ENTER(lock_),                          \
                             cth__undo_enter(&v.undo, (object_), v.saved, sizeof *(object_))); \
             v.undo.done = true)
#      define CTH_ROLLBACK() cth__undo_mark()
#    endif

typedef struct cth__undo {
    cth__scope scope;
    void *object, *saved;
    size_t size;
    struct cth__undo *outer;
    bool rollback, done;
} cth__undo;
CTH_API bool cth__undo_enter(cth__undo *undo, void *object, void *saved, size_t size);
CTH_API void cth__undo_leave(void *undo);
CTH_API void cth__undo_mark(void);

#    if CTH__HAS_THREADS_H
CTH_API cth__scope cth__scope_mtx(mtx_t *lock);
#    endif
CTH_FAST cth__scope cth__scope_mutex(cth_mutex *lock);
CTH_API cth__scope cth__scope_rmutex(cth_rmutex *lock);
CTH_API cth__scope cth__scope_sem(cth_sem *lock);
CTH_API cth__scope cth__scope_read(cth_rwlock *lock);
CTH_API cth__scope cth__scope_write(cth_rwlock *lock);
CTH_FAST void cth__scope_leave(cth__scope *scope);
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:timer   Run a function later, or again and again: Python's threading.Timer.

   One service thread runs the functions of all timers, one after the other. It starts with the
   first timer, ends when none is pending, and is a daemon: the program does not wait for timers at
   exit. A function that takes long delays the others, so it should hand long work on.
   ---------------------------------------------------------------------------------------------- */

/* Runs in the service thread. Anything but CTH_OK ends a repeated timer, and goes to the thread
   hook as the result of a thread function does. */
typedef cth_status (*cth_timer_fn)(void *arg);

/* A timer. The fields are private. Valid when zeroed: not pending. */
typedef struct cth_timer {
    cth_timer_fn fn;
    void *arg;
    cth_time due, period;
    struct cth_timer *child, *next, *prev; /* the heap of pending timers */
    uint64_t runs, order;
    uint32_t state, generation;
} cth_timer;
#  define CTH_TIMER_INIT \
    { 0, NULL, 0, 0, NULL, NULL, NULL, 0, 0, 0, 0 }

/* Run `fn(arg)` once, `span` from now. The timer must stay where it is until it has run or was
   cancelled; it may be set again then, also by its own function.

   Returns  : CTH_OK, also when another thread's cancel waits for the function that calls this: then
              it does not run; CTH_BUSY while it is pending or its function runs in another thread;
              CTH_INVALID for a negative span or no function; CTH_NOMEM, or CTH_AGAIN when the
              service thread cannot start.
   Ordering : everything before this call happens before the function.
   Like     : Python Timer(span, fn).start(); Go time.AfterFunc. */
CTH_API CTH_NODISCARD cth_status cth_timer_after(cth_timer *timer,
                                                 cth_time span,
                                                 cth_timer_fn fn,
                                                 void *arg);

/* Run `fn(arg)` at each multiple of `period` from now on. The times do not drift: they are
   multiples of the start's. A run that comes late, because a function took long, is not made up
   for: due times that have passed meanwhile are skipped.

   Returns : as cth_timer_after; CTH_INVALID also for a period of 0.
   Like    : Java scheduleAtFixedRate, without its bursts; Python: none. */
CTH_API CTH_NODISCARD cth_status cth_timer_every(cth_timer *timer,
                                                 cth_time period,
                                                 cth_timer_fn fn,
                                                 void *arg);

/* Stop the timer, and put how often its function has run, the present run included, into `*runs`
   (may be NULL). Afterwards it does not run, and may be freed; the call waits for a run that is
   going on, unless it comes from that function.

   Blocks  : while the function runs in the service thread, so the caller must not hold a lock that
             the function takes. Never cancelled.
   Returns : CTH_OK, also for a timer that is not pending; CTH_NOMEM.
   Like    : Python Timer.cancel; Go Timer.Stop, and *runs == 0 is its "true". */
CTH_API cth_status cth_timer_cancel(cth_timer *timer, uint64_t *runs);

/* -------------------------------------------------------------------------------------------------
   >>api:queue   Queues: Python's Queue, LifoQueue and PriorityQueue.

       static cth_queue jobs = CTH_QUEUE_INIT(sizeof(struct job));   // FIFO, without a bound
       cth_queue_put(&jobs, &job);
       CTH_FOREACH_GET(struct job, j, &jobs) { run(&j); cth_queue_task_done(&jobs); }

   Elements are copied in and out as bytes. A queue is a mutex and an array; a channel (>>api:chan)
   is faster and can be selected for sending too, but is always first in, first out. What closing is
   there, shutting down is here.
   ---------------------------------------------------------------------------------------------- */

/* What get gives first: the oldest, the newest, or the least (the oldest of equal ones). */
typedef enum cth_queue_order { CTH_FIFO, CTH_LIFO, CTH_PRIORITY } cth_queue_order;

/* What becomes of the elements that are in the queue at its shutdown: they can still be got, or
   they are dropped. */
typedef enum cth_shutdown { CTH_DRAIN, CTH_NOW } cth_shutdown;

typedef struct cth_queue_desc {
    cth_queue_order order;
    /* CTH_PRIORITY: negative, zero or positive as *a comes before, with or after *b. Called with
       the queue's lock held: it must not use the queue. */
    int (*compare)(const void *a, const void *b, void *arg);
    /* Called on each element that shutdown(CTH_NOW) or destroy drops; NULL: nothing is. */
    void (*drop)(void *element, void *arg);
    void *arg; /* for both */
} cth_queue_desc;

/* A queue. The fields are private. Zeroed it is a FIFO queue without a bound, of elements of size
   0, at which NULL will do; CTH_QUEUE_INIT gives them a size. */
typedef struct cth_queue {
    cth_mutex mutex;      /* guards all below but the words */
    cth__word word;       /* number of elements << 3; who sleeps; whether it is shut down */
    cth__word puts;       /* how many puts there were; wraps */
    cth__word generation; /* of the process that used it first, + 1 */
    size_t size;          /* bytes of an element */
    size_t bound;         /* most elements; 0: none */
    size_t room, first;   /* of the array; where the oldest element is (FIFO) */
    size_t unfinished;    /* put and not yet done */
    uint64_t order_next;  /* counts the elements, for equal priorities */
    unsigned char *slots; /* elements; a priority queue has a number behind each */
    cth_queue_desc desc;
} cth_queue;
#  ifdef __cplusplus
#    define CTH_QUEUE_INIT(size)                     \
      {                                              \
        {0}, 0, 0, 0, (size), 0, 0, 0, 0, 0, NULL, { \
          CTH_FIFO, NULL, NULL, NULL                 \
        }                                            \
      }
#  else
#    define CTH_QUEUE_INIT(bytes) \
      { .size = (bytes) }
#  endif

/* Make a queue of elements of `size` bytes, at most `bound` of them (0: as many as memory holds);
   `desc` may be NULL. A bounded queue allocates its array here, one without a bound as it grows.

   Returns : CTH_OK; CTH_NOMEM; CTH_INVALID for CTH_PRIORITY without a comparison, a bound or an
             array beyond 2^28 elements or SIZE_MAX / 2 bytes.
   Like    : Python Queue(bound), LifoQueue, PriorityQueue. */
CTH_API CTH_NODISCARD cth_status cth_queue_init(cth_queue *queue,
                                                size_t size,
                                                size_t bound,
                                                const cth_queue_desc *desc);

/* Put a copy of the element at `element` into the queue, and count it as unfinished.

   Blocks   : while a bounded queue is full.
   Returns  : CTH_OK; CTH_SHUTDOWN; CTH_CANCELLED; CTH_NOMEM; CTH_FORKED in the child of a fork.
   Ordering : everything before this call happens before the get that returns the element.
   Like     : Python Queue.put. */
CTH_API CTH_NODISCARD cth_status cth_queue_put(cth_queue *queue, const void *element);

/* Put an element if that needs no waiting; CTH_FULL, else as cth_queue_put. Like: put_nowait. */
CTH_API CTH_NODISCARD cth_status cth_queue_try_put(cth_queue *queue, const void *element);

/* As cth_queue_put, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_API CTH_NODISCARD cth_status cth_queue_put_until(cth_queue *queue,
                                                     const void *element,
                                                     cth_time deadline);

/* Take an element out of the queue into `*element`.

   Blocks   : while the queue is empty.
   Returns  : CTH_OK; CTH_SHUTDOWN when it is empty and shut down; CTH_CANCELLED; CTH_NOMEM;
              CTH_FORKED in the child of a fork.
   Like     : Python Queue.get. */
CTH_API CTH_NODISCARD cth_status cth_queue_get(cth_queue *queue, void *element);

/* Take an element if there is one. Returns: as cth_queue_get; CTH_EMPTY. Like: get_nowait. */
CTH_API CTH_NODISCARD cth_status cth_queue_try_get(cth_queue *queue, void *element);

/* As cth_queue_get, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_API CTH_NODISCARD cth_status cth_queue_get_until(cth_queue *queue,
                                                     void *element,
                                                     cth_time deadline);

/* Copy the element that the next get would take, and leave it there. Never waits.
   Returns : CTH_OK; CTH_EMPTY; CTH_NOMEM; CTH_FORKED. */
CTH_API CTH_NODISCARD cth_status cth_queue_peek(cth_queue *queue, void *element);

/* Return the number of elements at that moment. Like: Python Queue.qsize. */
CTH_API size_t cth_queue_size(const cth_queue *queue);

/* Tell whether the queue was empty at that moment. */
CTH_API bool cth_queue_is_empty(const cth_queue *queue);

/* Tell whether the queue was full at that moment; one without a bound never is. */
CTH_API bool cth_queue_is_full(const cth_queue *queue);

/* Say that the work on one element that was got is done.
   Returns : CTH_OK; CTH_OVERFLOW, and nothing changed, more often than elements were put;
             CTH_NOMEM; CTH_FORKED.
   Like    : Python Queue.task_done. */
CTH_API cth_status cth_queue_task_done(cth_queue *queue);

/* Wait until every element that was put is done.

   Blocks   : while some are not.
   Returns  : CTH_OK; CTH_CANCELLED; CTH_NOMEM; CTH_FORKED.
   Ordering : each task_done happens before this returns.
   Like     : Python Queue.join. */
CTH_API cth_status cth_queue_join(cth_queue *queue);

/* As cth_queue_join, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_API CTH_NODISCARD cth_status cth_queue_join_until(cth_queue *queue, cth_time deadline);

/* End the queue's service: every put, waiting ones too, returns CTH_SHUTDOWN from now on. With
   CTH_DRAIN gets go on until it is empty; with CTH_NOW all elements are dropped and count as done.

   Returns : CTH_OK, also when it was shut down before (CTH_NOW may follow CTH_DRAIN); CTH_NOMEM;
             CTH_FORKED; CTH_INVALID for another `how`.
   Like    : Python 3.13 Queue.shutdown(immediate). */
CTH_API cth_status cth_queue_shutdown(cth_queue *queue, cth_shutdown how);

/* Drop what is in the queue and give back its memory; zeroed it may be initialised again.
   Returns : CTH_OK; CTH_BUSY, and nothing changed, while threads wait; CTH_NOMEM. */
CTH_API cth_status cth_queue_destroy(cth_queue *queue);

/* CTH_FOREACH_GET(type, name, &queue) { ... }: get elements into a variable `type name` until get
   returns something else than CTH_OK: the queue is shut down and empty, or the thread is cancelled
   (cth_cancel_status tells). Expands to
       for (type name; cth_queue_get(&queue, &name) == CTH_OK;) */
#  define CTH_FOREACH_GET(type, name, queue) \
    for (type name; cth_queue_get((queue), &name) == CTH_OK;)

/* CTH_QUEUE_OF(int, int_queue); at file scope: a queue of ints. Expands to a struct int_queue with
   a cth_queue called `queue`, and to the functions int_queue_init(q, bound, desc), _put(q, value),
   _try_put, _put_until(q, value, deadline), _get(q, &value), _try_get, _get_until(q, &value,
   deadline); the others take &q->queue. */
#  define CTH__TYPED CTH__UNUSED static inline
#  define CTH_QUEUE_OF(type, name)                                                         \
    typedef struct name {                                                                  \
      cth_queue queue;                                                                     \
    } name;                                                                                \
    CTH__TYPED cth_status name##_init(name *q, size_t bound, const cth_queue_desc *desc) { \
      return cth_queue_init(&q->queue, sizeof(type), bound, desc);                         \
    }                                                                                      \
    CTH__TYPED cth_status name##_put(name *q, type value) {                                \
      return cth_queue_put(&q->queue, &value);                                             \
    }                                                                                      \
    CTH__TYPED cth_status name##_try_put(name *q, type value) {                            \
      return cth_queue_try_put(&q->queue, &value);                                         \
    }                                                                                      \
    CTH__TYPED cth_status name##_put_until(name *q, type value, cth_time deadline) {       \
      return cth_queue_put_until(&q->queue, &value, deadline);                             \
    }                                                                                      \
    CTH__TYPED cth_status name##_get(name *q, type *value) {                               \
      return cth_queue_get(&q->queue, value);                                              \
    }                                                                                      \
    CTH__TYPED cth_status name##_try_get(name *q, type *value) {                           \
      return cth_queue_try_get(&q->queue, value);                                          \
    }                                                                                      \
    CTH__TYPED cth_status name##_get_until(name *q, type *value, cth_time deadline) {      \
      return cth_queue_get_until(&q->queue, value, deadline);                              \
    }                                                                                      \
    struct name

/* -------------------------------------------------------------------------------------------------
   >>api:chan   Channels: Go's `chan`. First in, first out; closed by either side.

       cth_chan ch;
       cth_chan_init(&ch, sizeof(int), 128, NULL);
       cth_chan_send(&ch, &i);                                         // one thread
       CTH_FOREACH_RECV(int, i, &ch) { sum += i; }                     // another
       cth_chan_close(&ch);                                            // ends the loop when drained

   A capacity of 0 makes a rendezvous: a send ends when a receiver has the value. Values are copied
   as bytes, so large ones are better sent as pointers. A sender that finds its channel full, and a
   receiver that finds it empty, spins for a moment and then sleeps.
   ---------------------------------------------------------------------------------------------- */

/* As capacity: no bound. Memory is taken in blocks as the channel fills, and used again. */
#  define CTH_UNBOUNDED SIZE_MAX

/* Largest other capacity, and most values in a channel without a bound. */
#  define CTH_CHAN_MAX ((size_t)1 << 28)

typedef struct cth_chan_desc {
    bool single; /* one thread at a time sends, and one receives: saves the locked instructions */
} cth_chan_desc;

/* Private: one of the two sides of a channel; in a cache line of its own. */
typedef struct cth__side {
    cth__word at;         /* position of the next value << 3; locked, who sleeps, closed */
    cth__word till;       /* how far it may go, by the last look at the other side */
    uint32_t room;        /* how far that is ahead of the other side */
    uint32_t index;       /* where the next value stands; this and all below is under the lock */
    uint32_t wrap, limit; /* index after which a ring begins anew; at which a block is left */
    uint32_t single;      /* there is one thread only */
    unsigned char *block;
    char pad[64];
} cth__side;

/* A channel. The fields are private. Zeroed it is a rendezvous of values of size 0. */
typedef struct cth_chan {
    uint32_t size;        /* bytes of a value */
    uint32_t capacity;    /* 0: rendezvous, timed; UINT32_MAX: unbounded */
    uint32_t kind;        /* what the slow paths ask for */
    uint32_t generation;  /* of the process that made it */
    cth__word flags;      /* who sleeps, and closed, where the sides are not locked */
    cth__ptr spare;       /* unbounded: a block to use again */
    cth_time due, period; /* of cth_chan_after and cth_chan_tick; under the bucket lock */
    uint64_t taken;
    char pad[64];
    cth__side rear;  /* where values go in */
    cth__side front; /* where they come out */
} cth_chan;

/* Make a channel for values of `size` bytes, up to 2^31 - 1, that holds up to `capacity` of them
   (0: rendezvous; CTH_UNBOUNDED); `desc` may be NULL. Its memory is allocated here; only one
   without a bound allocates more, in blocks.

   Returns : CTH_OK; CTH_NOMEM; CTH_INVALID for a size or capacity that is too large, or a
             rendezvous with .single.
   Like    : Go make(chan T, capacity). Python: queue.Queue(capacity), queue.SimpleQueue. */
CTH_API CTH_NODISCARD cth_status cth_chan_init(cth_chan *chan,
                                               size_t size,
                                               size_t capacity,
                                               const cth_chan_desc *desc);

/* Make a channel that has one value, its due time (a cth_time), `span` from now; and one that has a
   value at each multiple of `period`. There is no thread behind them and no memory, so they are
   cheap to make and drop. A reader of a tick that comes late finds one value, the latest due time;
   those before it are skipped. Nothing can be sent.

   Returns : CTH_OK; CTH_INVALID for a negative span, a period of 0 or less.
   Like    : Go time.After, time.Tick. */
CTH_API cth_status cth_chan_after(cth_chan *chan, cth_time span);
/* As cth_chan_after, with a value at each multiple of `period`. */
CTH_API cth_status cth_chan_tick(cth_chan *chan, cth_time period);

/* Send a copy of the value at `value` (NULL will do for values of size 0).

   Blocks   : while the channel is full; a rendezvous: until a receiver has taken the value.
   Returns  : CTH_OK; CTH_CLOSED and CTH_CANCELLED, the value is not sent; CTH_NOMEM; CTH_INVALID
              for a timed channel; CTH_FORKED in the child of a fork, when it would have to wait.
   Ordering : everything before this call happens before the recv that returns the value; a recv
              happens before the send that uses its place (in a rendezvous: that it frees) returns.
   Like     : Go ch <- value, which panics when closed. */
CTH_FAST CTH_NODISCARD cth_status cth_chan_send(cth_chan *chan, const void *value);

/* Send a value if that needs no waiting. Returns: as cth_chan_send; CTH_FULL, and for a rendezvous
   that means that no receiver waits. */
CTH_FAST CTH_NODISCARD cth_status cth_chan_try_send(cth_chan *chan, const void *value);

/* As cth_chan_send, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_FAST CTH_NODISCARD cth_status cth_chan_send_until(cth_chan *chan,
                                                      const void *value,
                                                      cth_time deadline);

/* Receive the oldest value into `*value`.

   Blocks  : while the channel is empty; a rendezvous: until a sender comes.
   Returns : CTH_OK; CTH_CLOSED when it is closed and empty; CTH_CANCELLED; CTH_NOMEM; CTH_FORKED as
             above. `*value` is written with CTH_OK only.
   Like    : Go value, ok := <-ch. */
CTH_FAST CTH_NODISCARD cth_status cth_chan_recv(cth_chan *chan, void *value);

/* Receive a value if there is one. Returns: as cth_chan_recv; CTH_EMPTY. */
CTH_FAST CTH_NODISCARD cth_status cth_chan_try_recv(cth_chan *chan, void *value);

/* As cth_chan_recv, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative deadline. */
CTH_FAST CTH_NODISCARD cth_status cth_chan_recv_until(cth_chan *chan,
                                                      void *value,
                                                      cth_time deadline);

/* Send `n` values that stand one behind the other, in few steps; `*sent` (may be NULL) says how
   many went, also when the status is not CTH_OK. Values of other senders may come in between.
   Blocks: until all are sent. Returns: as cth_chan_send. */
CTH_API CTH_NODISCARD cth_status cth_chan_send_n(cth_chan *chan,
                                                 const void *values,
                                                 size_t n,
                                                 size_t *sent);
/* Send as many of `n` values as need no waiting. Returns: CTH_OK when all went, else CTH_FULL. */
CTH_API CTH_NODISCARD cth_status cth_chan_try_send_n(cth_chan *chan,
                                                     const void *values,
                                                     size_t n,
                                                     size_t *sent);
/* As cth_chan_send_n, or CTH_TIMEDOUT at the deadline. */
CTH_API CTH_NODISCARD cth_status cth_chan_send_n_until(cth_chan *chan,
                                                       const void *values,
                                                       size_t n,
                                                       size_t *sent,
                                                       cth_time deadline);

/* Receive up to `n` values, at least one, in few steps; `*received` (may be NULL) says how many.
   Blocks: while the channel is empty. Returns: as cth_chan_recv; CTH_OK at once for n == 0. */
CTH_API CTH_NODISCARD cth_status cth_chan_recv_n(cth_chan *chan,
                                                 void *values,
                                                 size_t n,
                                                 size_t *received);
/* Receive up to `n` values if there are any. Returns: as cth_chan_recv_n; CTH_EMPTY. */
CTH_API CTH_NODISCARD cth_status cth_chan_try_recv_n(cth_chan *chan,
                                                     void *values,
                                                     size_t n,
                                                     size_t *received);
/* As cth_chan_recv_n, or CTH_TIMEDOUT at the deadline. */
CTH_API CTH_NODISCARD cth_status
cth_chan_recv_n_until(cth_chan *chan, void *values, size_t n, size_t *received, cth_time deadline);

/* Close the channel: every send, waiting ones too, returns CTH_CLOSED from now on; what was sent
   before is still received, then recv returns CTH_CLOSED. By any thread.

   Returns  : CTH_OK; CTH_CLOSED, and nothing changed, when it was closed before; CTH_NOMEM;
              CTH_FORKED.
   Ordering : everything before this call happens before a recv that returns CTH_CLOSED by it.
   Like     : Go close(ch). */
CTH_API cth_status cth_chan_close(cth_chan *chan);

/* Tell whether the channel has been closed. */
CTH_API bool cth_chan_is_closed(const cth_chan *chan);

/* Return the number of values in the channel at that moment. Like: Go len(ch). */
CTH_API size_t cth_chan_len(const cth_chan *chan);

/* Return the capacity: CTH_UNBOUNDED, 0 for a rendezvous, 1 for a timed channel. Like: Go cap. */
CTH_API size_t cth_chan_cap(const cth_chan *chan);

/* Give back the channel's memory, with the values that are in it; zeroed it may be initialised
   again. Also right after this thread received the last value or CTH_CLOSED, though the send or the
   close may not have returned. A timed channel may as well be dropped as it is.
   Returns : CTH_OK; CTH_BUSY, and nothing changed, while threads wait; CTH_NOMEM. */
CTH_API cth_status cth_chan_destroy(cth_chan *chan);

/* CTH_FOREACH_RECV(type, name, &chan) { ... }: receive values into a variable `type name` until
   recv returns something else than CTH_OK: the channel is closed and empty, or the thread is
   cancelled (cth_cancel_status tells). Expands to
       for (type name; cth_chan_recv(&chan, &name) == CTH_OK;)
   Like : Go for name := range ch. */
#  define CTH_FOREACH_RECV(type, name, chan) \
    for (type name; cth_chan_recv((chan), &name) == CTH_OK;)

/* Private: the inline cores, which do what needs no waiting. With a constant size the copy is a few
   instructions. */
#  ifndef __cplusplus
CTH_FAST bool cth__side_enter(cth_chan *chan, cth__side *side, cth__side *other, uint32_t *at);
CTH_FAST void cth__side_step(cth__side *side, uint32_t at);
CTH_FAST bool cth__chan_put(cth_chan *chan, const void *value, size_t size);
CTH_FAST bool cth__chan_take(cth_chan *chan, void *value, size_t size);
#  endif

/* CTH_CHAN_OF(int, int_chan); at file scope: a channel of ints, faster than the general form since
   the size is a constant. Expands to a struct int_chan around a cth_chan called `chan`, and to the
   functions int_chan_init(c, capacity, desc), _send(c, value), _try_send, _send_until(c, value,
   deadline), _recv(c, &value), _try_recv, _recv_until(c, &value, deadline), _close(c); the others
   take &c->chan. */
#  ifdef __cplusplus
#    define CTH__SEND_AS(chan, value, size) cth_chan_send((chan), (value))
#    define CTH__RECV_AS(chan, value, size) cth_chan_recv((chan), (value))
#  else
#    define CTH__SEND_AS(chan, value, size)            \
      (cth__chan_put((chan), (value), (size)) ? CTH_OK \
                                              : cth__chan_send_slow((chan), (value), CTH_FOREVER))
#    define CTH__RECV_AS(chan, value, size)    \
      (cth__chan_take((chan), (value), (size)) \
           ? CTH_OK                            \
           : cth__chan_recv_slow((chan), (value), CTH_FOREVER))
#  endif
#  define CTH_CHAN_OF(type, name)                                                            \
    typedef struct name {                                                                    \
      cth_chan chan;                                                                         \
    } name;                                                                                  \
    CTH__TYPED cth_status name##_init(name *c, size_t capacity, const cth_chan_desc *desc) { \
      return cth_chan_init(&c->chan, sizeof(type), capacity, desc);                          \
    }                                                                                        \
    CTH__TYPED cth_status name##_send(name *c, type value) {                                 \
      return CTH__SEND_AS(&c->chan, &value, sizeof value);                                   \
    }                                                                                        \
    CTH__TYPED cth_status name##_try_send(name *c, type value) {                             \
      return cth_chan_try_send(&c->chan, &value);                                            \
    }                                                                                        \
    CTH__TYPED cth_status name##_send_until(name *c, type value, cth_time deadline) {        \
      return cth_chan_send_until(&c->chan, &value, deadline);                                \
    }                                                                                        \
    CTH__TYPED cth_status name##_recv(name *c, type *value) {                                \
      return CTH__RECV_AS(&c->chan, value, sizeof *value);                                   \
    }                                                                                        \
    CTH__TYPED cth_status name##_try_recv(name *c, type *value) {                            \
      return cth_chan_try_recv(&c->chan, value);                                             \
    }                                                                                        \
    CTH__TYPED cth_status name##_recv_until(name *c, type *value, cth_time deadline) {       \
      return cth_chan_recv_until(&c->chan, value, deadline);                                 \
    }                                                                                        \
    CTH__TYPED cth_status name##_close(name *c) {                                            \
      return cth_chan_close(&c->chan);                                                       \
    }                                                                                        \
    struct name

/* -------------------------------------------------------------------------------------------------
   >>api:select   Wait for the first of several things: Go's `select`.

       cth_status status;
       switch (CTH_SELECT(&status, CTH_RECV(&jobs, &job), CTH_SEND(&log, &line),
                          CTH_ON_CANCEL(&stop), CTH_ON_TIME(cth_after(CTH_S(1))))) {
       case 0: if (status == CTH_CLOSED) { return CTH_OK; } run(&job); break;
       case 1: ...
       }

   Exactly one case happens. Among several that can, each is equally likely. A wake-up is never lost
   to other threads by it. One channel may stand in several cases, for sending and receiving too; a
   case whose object is NULL is never ready (as in Go).
   ---------------------------------------------------------------------------------------------- */

typedef enum cth_case_kind {
    CTH_CASE_NONE,   /* never ready */
    CTH_CASE_RECV,   /* cth_chan_recv(object, value) */
    CTH_CASE_SEND,   /* cth_chan_send(object, value) */
    CTH_CASE_GET,    /* cth_queue_get(object, value) */
    CTH_CASE_EVENT,  /* the cth_event is set */
    CTH_CASE_LATCH,  /* the cth_latch is at zero */
    CTH_CASE_CANCEL, /* the cth_cancel is cancelled, or its deadline has passed */
    CTH_CASE_TIME    /* the deadline has passed */
} cth_case_kind;

/* One case; the fields above the line are the caller's. An array of them may be used again, by one
   thread at a time. */
typedef struct cth_case {
    cth_case_kind kind;
    void *object;
    void *value;
    cth_time deadline;
    /* ---- private */
    uint32_t stamp, record_index;
    void *record[12];
} cth_case;

/* Cases as values, for arrays and for CTH_SELECT; C only. Each expands to a compound literal:
   CTH_RECV(c, v) to (cth_case){.kind = CTH_CASE_RECV, .object = c, .value = v}, with a check that c
   points to a cth_chan. */
#  ifndef __cplusplus
#    define CTH__CASE(k, type, o, v) \
      ((cth_case){.kind = (k), .object = (1 ? (o) : (type *)0), .value = (v)})
#    define CTH_RECV(chan, value) CTH__CASE(CTH_CASE_RECV, cth_chan, chan, value)
#    define CTH_SEND(chan, value_) \
      CTH__CASE(CTH_CASE_SEND, cth_chan, chan, (void *)(uintptr_t)(value_))
#    define CTH_GET(queue, value)  CTH__CASE(CTH_CASE_GET, cth_queue, queue, value)
#    define CTH_ON_EVENT(event)    CTH__CASE(CTH_CASE_EVENT, cth_event, event, NULL)
#    define CTH_ON_LATCH(latch)    CTH__CASE(CTH_CASE_LATCH, cth_latch, latch, NULL)
#    define CTH_ON_CANCEL(token)   CTH__CASE(CTH_CASE_CANCEL, cth_cancel, token, NULL)
#    define CTH_ON_TIME(deadline_) ((cth_case){.kind = CTH_CASE_TIME, .deadline = (deadline_)})
#  endif

/* Wait until one of the `n` cases can happen, let it happen, and put which one it was into `*index`
   (may be NULL; n when none did).

   Blocks   : while no case is ready; with no case at all, for ever.
   Returns  : what that case alone returns: CTH_OK, also for events, latches, tokens and times; or
              CTH_CLOSED for a channel and CTH_SHUTDOWN for a queue, which make a case ready too.
              With *index == n: CTH_CANCELLED, when the thread's own token was; CTH_NOMEM;
              CTH_INVALID for an unknown kind, a negative deadline, a send to a timed channel;
              CTH_FORKED.
   Ordering : as what the case does alone.
   Like     : Go select, reflect.Select; crossbeam Select. */
CTH_API cth_status cth_select(cth_case *cases, size_t n, size_t *index);

/* As cth_select, or CTH_TIMEDOUT when there was a moment at which no case was ready. Never waits.
   Like : Go select with a default case. */
CTH_API CTH_NODISCARD cth_status cth_try_select(cth_case *cases, size_t n, size_t *index);

/* As cth_select, or CTH_TIMEDOUT at the deadline. */
CTH_API CTH_NODISCARD cth_status cth_select_until(cth_case *cases,
                                                  size_t n,
                                                  size_t *index,
                                                  cth_time deadline);

/* As cth_select, but let nothing happen: say in `*index` which case is ready. Another thread may be
   faster, so go on with a try. A rendezvous is ready only when its partner waits in a send, a recv
   or a select, not in this call.
   Returns : CTH_OK; CTH_CANCELLED; CTH_NOMEM; CTH_INVALID; CTH_FORKED.
   Like    : poll; crossbeam Select::ready. */
CTH_API cth_status cth_select_ready(cth_case *cases, size_t n, size_t *index);

/* As cth_select_ready, or CTH_TIMEDOUT at the deadline. */
CTH_API CTH_NODISCARD cth_status cth_select_ready_until(cth_case *cases,
                                                        size_t n,
                                                        size_t *index,
                                                        cth_time deadline);

/* CTH_SELECT(&status, case, ...): as cth_select with the cases written there, for `switch`: the
   value is the index of the case as an int, and -1 when none happened; the status goes to `status`,
   which may be NULL.
   CTH_TRY_SELECT: as cth_try_select; -1 is the default case. Expand to cth__select_switch with an
   array of the cases. C only. */
#  ifndef __cplusplus
#    define CTH_SELECT(status, ...)     CTH__SELECT(status, CTH_FOREVER, __VA_ARGS__)
#    define CTH_TRY_SELECT(status, ...) CTH__SELECT(status, 0, __VA_ARGS__)
#    define CTH__SELECT(status, deadline, ...)                \
      cth__select_switch((status), (cth_case[]){__VA_ARGS__}, \
                         sizeof((cth_case[]){__VA_ARGS__}) / sizeof(cth_case), (deadline))
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:future   The result of a task that runs elsewhere: Python's concurrent.futures.Future.

   A future comes from cth_submit or cth_future_then with one reference, which release gives back,
   at any time. Its task ends once: with a status and its result bytes; cancelled before its start;
   or left undone (CTH_SHUTDOWN, CTH_BROKEN) by its executor.

       CTH_AS_COMPLETED(future, futures, 10, cth_after(CTH_S(5))) {
           if (cth_future_result(future, &page) == CTH_OK) { show(&page); }
       }
   ---------------------------------------------------------------------------------------------- */

/* A future. Opaque, reference-counted. */
typedef struct cth_future cth_future;

/* What an executor runs: `arg` is a copy of the argument bytes, `result` has room for the result.
   Anything other than CTH_OK is the task's error; cth_fail gives it a text. */
typedef cth_status (*cth_task_fn)(void *arg, void *result);

/* Wait until the task has ended, and copy its result to `*result` (may be NULL) if that was CTH_OK.
   A task that nobody has started runs in the calling thread, so tasks may wait for tasks of their
   own executor, with any number of workers; with an on_start that holds for its workers only.

   Blocks   : until the task has ended.
   Returns  : what the task returned; CTH_CANCELLED when cth_future_cancel was faster than its
              start, or, with cth_future_is_done false, the calling thread's own token was
              cancelled; CTH_SHUTDOWN when its executor was shut down before its start, CTH_BROKEN
              when that is broken; CTH_FORKED in the child of a fork; CTH_NOMEM.
   Ordering : everything the task did happens before this returns.
   Like     : Python Future.result; C++ future::get. */
CTH_API cth_status cth_future_result(cth_future *future, void *result);

/* As cth_future_result, or CTH_TIMEDOUT if the task has not ended. Never waits, runs nothing. */
CTH_API CTH_NODISCARD cth_status cth_future_try_result(cth_future *future, void *result);

/* As cth_future_result, or CTH_TIMEDOUT at the deadline; CTH_INVALID for a negative one. Runs the
   task itself only with CTH_FOREVER. */
CTH_API CTH_NODISCARD cth_status cth_future_result_until(cth_future *future,
                                                         void *result,
                                                         cth_time deadline);

/* Tell whether the task has ended, in any way. One load. Like: Python Future.done. */
CTH_API bool cth_future_is_done(const cth_future *future);

/* Tell whether the task runs at this moment. One load. Like: Python Future.running. */
CTH_API bool cth_future_is_running(const cth_future *future);

/* Return the error text of a task that has ended: what it gave to cth_fail, or the text of its
   status; "" while it has not ended or after CTH_OK. Valid as long as the future.
   Like : Python Future.exception. */
CTH_API const char *cth_future_error(const cth_future *future);

/* Return an event that is set when the task has ended; it lives as long as the future (NULL for
   NULL). Only to be waited for. */
CTH_API cth_event *cth_future_event(cth_future *future);

/* CTH_ON_FUTURE(future): a case for cth_select and CTH_SELECT, ready once the task has ended, in
   any way. It runs nothing itself. C only. Expands to CTH_ON_EVENT(cth_future_event(future)). */
#  ifndef __cplusplus
#    define CTH_ON_FUTURE(future) CTH_ON_EVENT(cth_future_event(future))
#  endif

/* Cancel a task that has not started: its future ends with CTH_CANCELLED.

   Returns : CTH_OK, also when it was cancelled before; CTH_BUSY when it has started or ended;
             CTH_FORKED; CTH_NOMEM.
   Like    : Python Future.cancel. */
CTH_API cth_status cth_future_cancel(cth_future *future);

/* Call `fn` once when the task has ended, in any way: in the thread that ended it (which ran,
   cancelled or dropped it), in the order they were added; at once in the calling thread if it has
   ended before. No lock is held then: it may do anything, release the future and shut the executor
   down included. A shutdown waits for those that follow a run. At its executor's place in the child
   of a fork they are never called.

   Returns  : CTH_OK; CTH_INVALID without a function; CTH_NOMEM; CTH_FORKED.
   Ordering : everything the task did happens before the call.
   Like     : Python Future.add_done_callback. */
CTH_API CTH_NODISCARD cth_status cth_future_add_done_callback(cth_future *future,
                                                              void (*fn)(cth_future *future,
                                                                         void *arg),
                                                              void *arg);

/* Have `fn` run in the same executor with the result of `first` as its argument, once that has
   ended with CTH_OK. If it ends in any other way so does the new task, with the same status and
   text, and `fn` is not called. Cancelling the new one leaves `first` alone; a shutdown with
   CTH_DRAIN waits for both. It takes no place in a bounded queue. `out` as in cth_submit.

   Returns  : CTH_OK; CTH_SHUTDOWN; CTH_BROKEN; CTH_NOMEM; CTH_INVALID for no function or too large
              a result; CTH_AGAIN as in cth_submit; CTH_FORKED.
   Like     : Java CompletableFuture.thenApplyAsync; JavaScript promise.then. */
CTH_API CTH_NODISCARD cth_status cth_future_then(cth_future *first,
                                                 cth_future **out,
                                                 cth_task_fn fn,
                                                 size_t result_size);

/* What cth_future_wait waits for. */
typedef enum cth_wait_for {
    CTH_ALL_DONE,   /* all have ended */
    CTH_FIRST_DONE, /* one has ended */
    CTH_FIRST_ERROR /* one has ended with another status than CTH_OK, or all have ended */
} cth_wait_for;

/* Wait for `n` futures, of any executors; NULL among them counts for nothing. Which have ended,
   cth_future_is_done says. A task that nobody has started may run in the calling thread, as in
   cth_future_result; one of several does only while none of them runs elsewhere.

   Blocks   : until what `what` says; not at all when there is nothing to wait for.
   Returns  : CTH_OK; CTH_CANCELLED by the calling thread's token; CTH_INVALID; CTH_NOMEM;
              CTH_FORKED when one that has not ended is from before a fork.
   Ordering : everything that tasks which have ended did happens before this returns.
   Like     : Python concurrent.futures.wait. */
CTH_API cth_status cth_future_wait(cth_future *const *futures, size_t n, cth_wait_for what);

/* As cth_future_wait, or CTH_TIMEDOUT at the deadline. Runs a task itself only with CTH_FOREVER. */
CTH_API CTH_NODISCARD cth_status cth_future_wait_until(cth_future *const *futures,
                                                       size_t n,
                                                       cth_wait_for what,
                                                       cth_time deadline);

/* Wait until one of the futures from place `*done` of the array on has ended, swap it to that place
   and add one to `*done`. So a loop from 0 on visits all, in the order in which they end; nothing
   is allocated. A look costs time for each that is left.

   Blocks   : until one of those left has ended.
   Returns  : CTH_OK; CTH_EMPTY when none is left; else as cth_future_wait_until.
   Like     : Python concurrent.futures.as_completed. */
CTH_API CTH_NODISCARD cth_status cth_future_next_done_until(cth_future **futures,
                                                            size_t n,
                                                            size_t *done,
                                                            cth_time deadline);

/* CTH_AS_COMPLETED(name, futures, n, deadline) { ... }: the block runs for each of the `n` futures,
   as `name`, as they end; the array comes to be in that order. It ends early at the deadline or
   when the thread's token is cancelled: then the rest are those for which it did not run. break and
   continue as in any loop. C only. Expands to two `for`, of which the outer one runs once and keeps
   the place in the array, around cth_future_next_done_until. */
#  ifndef __cplusplus
#    define CTH_AS_COMPLETED(name, futures, n, deadline) \
      CTH__AS_COMPLETED(name, futures, n, deadline, CTH__UNIQUE(cth__completing_))
#    define CTH__AS_COMPLETED(name, futures_, n_, deadline_, v)                      \
      for (cth__completing v = {(futures_), (n_), 0, (deadline_), false}; !v.begun;) \
        for (cth_future *name = cth__completed(&v); name != NULL; name = cth__completed(&v))
typedef struct cth__completing {
    cth_future **futures;
    size_t n, done;
    cth_time deadline;
    bool begun;
} cth__completing;
CTH_API cth_future *cth__completed(cth__completing *completing);
#  endif

/* Take one more reference, and return the future; NULL when memory is lacking for the record of the
   calling thread. */
CTH_API cth_future *cth_future_retain(cth_future *future);

/* Give a reference back; NULL does nothing. The task goes on. In the child of a fork nothing is
   freed. */
CTH_API void cth_future_release(cth_future *future);

/* -------------------------------------------------------------------------------------------------
   >>api:executor   Threads that run tasks: Python's ThreadPoolExecutor.

       cth_executor *pool;
       cth_future *future;
       int n = 7;
       long square;
       if (cth_executor_create(&pool, NULL) != CTH_OK) { return 1; }
       if (cth_submit(pool, &future, square_of, &n, sizeof n, sizeof square) == CTH_OK) {
           if (cth_future_result(future, &square) == CTH_OK) { printf("%ld\n", square); }
           cth_future_release(future);
       }
       cth_executor_shutdown(pool, CTH_DRAIN);
       cth_executor_release(pool);

   The same in short, as Python's `with ThreadPoolExecutor() as pool:`

       CTH_WITH_EXECUTOR(pool, &status, NULL) {
           if (cth_run(pool, square_of, &n, sizeof n, &square, sizeof square) == CTH_OK) { ... }
       }

   Workers start when there is more to do than idle ones can take, and are daemons: the program does
   not wait for them at exit, a shutdown does. Tasks start in the order they were submitted.

   A submit allocates once at most. The memory of small tasks (128 bytes of argument and result) is
   used again: at most 2 MiB are kept while there is work, and that of 8 tasks otherwise.
   ---------------------------------------------------------------------------------------------- */

/* An executor. Opaque, reference-counted: each of its futures keeps it. */
typedef struct cth_executor cth_executor;

/* What cth_submit does when the queue is full. */
typedef enum cth_full_policy {
    CTH_FULL_BLOCKS,     /* wait for room; from within a task of this executor, which could wait
                            for ever, run the task there and then */
    CTH_FULL_FAILS,      /* return CTH_FULL */
    CTH_FULL_CALLER_RUNS /* run the task in the calling thread, before it returns */
} cth_full_policy;

typedef struct cth_executor_desc {
    uint32_t workers;  /* most threads; 0: as many as CPUs this process may use, by affinity and
                          by the quota of its cgroup; at most 65536 */
    size_t stack_size; /* bytes; 0: 1 MiB */
    const char *name;  /* copied, 40 bytes at most; workers are "name-0", "name-1", ...;
                          NULL: "ThreadPoolExecutor-0_0", ... */
    size_t capacity;   /* most tasks that wait for a worker; 0: no limit */
    cth_full_policy policy;
    /* Called in each worker, before its first task and after its last one; NULL: nothing. When
       on_start fails the executor is broken: the tasks it has end with CTH_BROKEN, it takes no
       more, and its workers end. With on_start only workers run tasks: a thread that waits for one
       does not, except by CTH_FULL_CALLER_RUNS. */
    cth_status (*on_start)(void *arg);
    void (*on_end)(void *arg);
    void *arg; /* of both */
} cth_executor_desc;

/* Make an executor; `desc` may be NULL. No thread is started.

   Returns : CTH_OK; CTH_NOMEM; CTH_INVALID for too many workers, too long a name, no such policy.
   Like    : Python ThreadPoolExecutor(max_workers, thread_name_prefix, initializer, initargs);
             Java ThreadPoolExecutor for the rest. */
CTH_API CTH_NODISCARD cth_status cth_executor_create(cth_executor **out,
                                                     const cth_executor_desc *desc);

/* Have `fn` run with a copy of the `arg_size` bytes at `arg`, and room for `result_size` bytes of
   result, zeroed; both are aligned for any type. The task is under the calling thread's token,
   which must outlive it. With `out` NULL nobody asks for the result: then the thread hook gets an
   error.

   Blocks   : while the queue is full, if the policy is CTH_FULL_BLOCKS.
   Returns  : CTH_OK; CTH_SHUTDOWN; CTH_BROKEN, with why as the calling thread's error text;
              CTH_FULL by CTH_FULL_FAILS; CTH_CANCELLED while it waits; CTH_NOMEM; CTH_AGAIN when
              not even one worker could be started; CTH_INVALID for no function or sizes beyond
              SIZE_MAX / 4; CTH_FORKED.
   Ordering : everything before this call happens before the task.
   Like     : Python Executor.submit. */
CTH_API CTH_NODISCARD cth_status cth_submit(cth_executor *executor,
                                            cth_future **out,
                                            cth_task_fn fn,
                                            const void *arg,
                                            size_t arg_size,
                                            size_t result_size);

/* As cth_submit, or CTH_FULL when the queue is full, whatever the policy. Never waits, runs
   nothing. */
CTH_API CTH_NODISCARD cth_status cth_try_submit(cth_executor *executor,
                                                cth_future **out,
                                                cth_task_fn fn,
                                                const void *arg,
                                                size_t arg_size,
                                                size_t result_size);

/* As cth_submit, or CTH_TIMEDOUT when at the deadline the queue is still full; CTH_INVALID for a
   negative one. */
CTH_API CTH_NODISCARD cth_status cth_submit_until(cth_executor *executor,
                                                  cth_future **out,
                                                  cth_task_fn fn,
                                                  const void *arg,
                                                  size_t arg_size,
                                                  size_t result_size,
                                                  cth_time deadline);

/* Submit a task and wait for its result: cth_submit, cth_future_result and release in one. When the
   calling thread's token ends the wait, a task that has not started is cancelled, and another one
   goes on.

   Blocks  : as both.
   Returns : as both. The task's error text becomes the calling thread's.
   Like    : Python executor.submit(fn, arg).result(). */
CTH_API cth_status cth_run(cth_executor *executor,
                           cth_task_fn fn,
                           const void *arg,
                           size_t arg_size,
                           void *result,
                           size_t result_size);

/* Call `fn` for each of the `n` arguments of the array `args`, whose results go to the same places
   of the array `results`, in the workers and in the calling thread, each of which takes several
   at a time while many are left. With a size of 0 an array may be NULL. After an error no call for
   a later place begins, and all for earlier places are made: it is the error a loop would meet.

   Python's map takes an iterable for each parameter, and starmap an iterable of tuples. In C the
   tuple is a struct: make it the type of the array.

   Blocks   : until all calls have ended, whatever is cancelled.
   Returns  : CTH_OK; else the status of the failed call with the least index, whose text becomes
              the calling thread's; CTH_SHUTDOWN; CTH_BROKEN; CTH_INVALID for no function;
              CTH_FORKED; CTH_NOMEM.
   Like     : Python list(Executor.map(fn, args)), with a chunksize found by itself; starmap. */
CTH_API CTH_NODISCARD cth_status cth_map(cth_executor *executor,
                                         cth_task_fn fn,
                                         void *args,
                                         size_t arg_size,
                                         void *results,
                                         size_t result_size,
                                         size_t n);

/* Call `fn` for arguments that come one by one, of any number: `next` puts one into `arg` (zeroed)
   and returns true, or returns false when there are no more; `each` gets the results in the order
   of their arguments, and ends it all with another status than CTH_OK. Both are called in the
   calling thread, with `context`. At most `buffer` (0: twice the number of workers) are begun and
   not yet given to `each`.

   Blocks  : until the last result was given to `each`, or after an error until no call runs.
   Returns : CTH_OK; else the first status other than CTH_OK of a call, in their order, or of
             `each`, with its text as the calling thread's; CTH_CANCELLED by the calling thread's
             token; as cth_submit.
   Like    : Python 3.14 Executor.map(fn, iterable, buffersize=). */
CTH_API CTH_NODISCARD cth_status cth_map_each(cth_executor *executor,
                                              cth_task_fn fn,
                                              size_t arg_size,
                                              size_t result_size,
                                              size_t buffer,
                                              bool (*next)(void *arg, void *context),
                                              cth_status (*each)(void *result, void *context),
                                              void *context);

/* What an executor has done and does. Each task submitted is counted in exactly one place. */
typedef struct cth_executor_counts {
    uint32_t workers;                /* threads asked for */
    uint32_t alive, idle;            /* threads there are; those of them that have nothing to do */
    uint32_t started;                /* threads started so far */
    cth_status start_error;          /* of the latest start of a thread that failed, else CTH_OK */
    size_t peak_queued;              /* the most that were found queued, by workers that looked for
                                        one, and by submits that did not find all of them awake */
    size_t queued, running, waiting; /* `waiting`: for the task before it, see cth_future_then */
    uint64_t completed, failed;      /* have run, with CTH_OK or with another status */
    uint64_t cancelled;              /* by cth_future_cancel, or after one that was */
    uint64_t dropped;                /* by a shutdown, by a broken executor, after an error */
    uint64_t submitted;              /* the sum of the above, from `queued` on */
} cth_executor_counts;

/* Count. Fewer `alive` than there should be, with a `start_error`: the system gives no more
   threads, and those there are do the work; each submit tries anew.
   Returns : CTH_OK; CTH_INVALID without `counts`; CTH_NOMEM; CTH_FORKED. */
CTH_API cth_status cth_executor_count(cth_executor *executor, cth_executor_counts *counts);

/* Take no more tasks, and wait until all workers are about to end. CTH_DRAIN: after all tasks;
   CTH_NOW: tasks that have not started end with CTH_SHUTDOWN. Called again, by any thread, it waits
   again, and CTH_NOW still empties the queue.

   Blocks   : until no task runs and the workers have nothing more to do; from within one of its own
              tasks or workers not at all.
   Returns  : CTH_OK; CTH_CANCELLED, and the shutdown goes on; CTH_INVALID; CTH_FORKED; CTH_NOMEM.
   Like     : Python Executor.shutdown(wait=True, cancel_futures=how == CTH_NOW). */
CTH_API cth_status cth_executor_shutdown(cth_executor *executor, cth_shutdown how);

/* As cth_executor_shutdown, or CTH_TIMEDOUT at the deadline: the shutdown goes on. With a deadline
   that has passed, do not wait. */
CTH_API CTH_NODISCARD cth_status cth_executor_shutdown_until(cth_executor *executor,
                                                             cth_shutdown how,
                                                             cth_time deadline);

/* Give the reference back; NULL does nothing. An executor that was not shut down takes no more
   tasks and ends after those it has; this does not wait. In the child of a fork nothing is
   freed. */
CTH_API void cth_executor_release(cth_executor *executor);

/* CTH_WITH_EXECUTOR(name, &status, desc) { ... }: a block with an executor, called `name`. At its
   end all tasks have been done: the executor is shut down with CTH_DRAIN, whatever is cancelled,
   and released; with gcc and clang also on return and goto, with others only when the end of the
   block is reached. `status` is that of cth_executor_create; if it is not CTH_OK the block does not
   run. break and continue leave the block. C only. Expands to a `for` that runs once, with a
   variable whose cleanup joins, around one that names the executor.
   Like : Python `with ThreadPoolExecutor() as name:`. */
#  ifndef __cplusplus
#    define CTH_WITH_EXECUTOR(name, status, ...) \
      CTH__WITH_EXECUTOR(name, status, (__VA_ARGS__), CTH__UNIQUE(cth__pooled_))
#    define CTH__WITH_EXECUTOR(name, status, desc, v)                                         \
      for (cth__pooled v CTH__CLEANUP(cth__pooled_leave) = cth__pooled_enter((status), desc); \
           !v.done; CTH__POOLED_NEXT(v))                                                      \
        for (cth_executor *name = v.executor; name != NULL; name = NULL)
#    if CTH__GNU
#      define CTH__POOLED_NEXT(v) (v).done = true
#    else
#      define CTH__POOLED_NEXT(v) cth__pooled_leave(&(v))
#    endif
typedef struct cth__pooled {
    cth_executor *executor;
    bool done;
} cth__pooled;
CTH_API cth__pooled cth__pooled_enter(cth_status *status, const cth_executor_desc *desc);
CTH_API void cth__pooled_leave(cth__pooled *pooled);
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:process   Processes that run tasks: Python's ProcessPoolExecutor.

       int main(int argc, char **argv) {
           cth_process_main(argc, argv);      // first: a worker goes no further
           cth_executor *pool;
           if (cth_process_executor_create(&pool, NULL) != CTH_OK) { return 1; }
           ...                                // cth_submit, cth_map and the rest, as with threads
           cth_executor_shutdown(pool, CTH_DRAIN);
           cth_executor_release(pool);
       }

   It is an executor like that of threads, but each of its workers is a process: this program,
   started anew, with the functions of this program and nothing of its memory. So a task uses its
   argument bytes and no pointers in them, and neither its caller's token nor its locks reach it;
   nobody but a worker ever runs it. What breaks in a task breaks one process: its future ends with
   CTH_BROKEN and the reason ("killed by signal 11"), and the next task gets a new worker. A worker
   that dies before it has begun a task costs none: another one gets it.

   Workers start when there is more to do than idle ones can take. They read nothing from standard
   input, ignore SIGINT (Ctrl-C reaches the program, which decides), close what descriptors they
   inherit, flush standard output after each task, and do not outlive the program, however it ends.
   Large arguments and results (together more than 256 KiB) are copied once each: by the submit, and
   by who asks for the result. Of the memory for that, which the worker of the task has mapped too,
   an executor keeps 64 MiB at most for further tasks until it is shut down.
   ---------------------------------------------------------------------------------------------- */

/* What an argument or a result of a task in a process may take. */
#  define CTH_PROCESS_BYTES_MAX ((size_t)1 << 30)

typedef struct cth_process_desc {
    uint32_t workers;     /* most processes; 0: as many as CPUs this process may use */
    const char *name;     /* copied, 40 bytes at most; workers are "name-0", "name-1", ..., in ps
                             and as their main thread; NULL: "Process-0_0", ... */
    cth_task_fn init;     /* run first in each worker, without a result; NULL: none. When it fails,
                             so does the task the worker was started for, with its status */
    const void *init_arg; /* copied */
    size_t init_arg_size;
    uint32_t max_tasks; /* a worker ends after so many, a new one takes its place; 0: no limit */
    cth_time timeout;   /* a task that takes longer ends with CTH_TIMEDOUT, and its worker is
                           killed; 0: none */
    size_t capacity;    /* as in cth_executor_desc */
    cth_full_policy policy; /* the same, but for CTH_FULL_CALLER_RUNS */
} cth_process_desc;

/* Call this first in main. In a worker it does the tasks and does not return: the process ends. In
   any other process it notes the program's name and returns.
   Like : Python's `if __name__ == "__main__":`. */
CTH_API void cth_process_main(int argc, char **argv);

/* Make an executor of processes; `desc` may be NULL. No process is started.

   What the calls of >>api:executor say holds for it, but for this. cth_submit and cth_map give
   CTH_INVALID for a function that is not of this program's own file (but of a shared library), and
   for sizes beyond CTH_PROCESS_BYTES_MAX. A task's status may also be CTH_BROKEN or CTH_TIMEDOUT,
   and CTH_AGAIN, CTH_NOMEM or CTH_UNSUPPORTED when the system gives no process or memory. Waiting
   for a task never runs it. A task that forks answers in its own process only.

   Returns : CTH_OK; CTH_UNSUPPORTED where a program cannot start itself (as without /proc) and
             CTH_INVALID when cth_process_main was not called, both with a text; CTH_INVALID also
             for too many workers, too long a name, a negative timeout, CTH_FULL_CALLER_RUNS, an
             init as above; CTH_NOMEM.
   Like    : Python ProcessPoolExecutor(max_workers, initializer=, initargs=,
             max_tasks_per_child=). */
CTH_API CTH_NODISCARD cth_status cth_process_executor_create(cth_executor **out,
                                                             const cth_process_desc *desc);

/* Shut down as cth_executor_shutdown(executor, CTH_NOW) does, and send each worker SIGTERM: tasks
   that run end with CTH_BROKEN, unless they handle that signal.

   Blocks  : until all workers have ended.
   Returns : as cth_executor_shutdown; CTH_INVALID for an executor of threads.
   Like    : Python ProcessPoolExecutor.terminate_workers. */
CTH_API cth_status cth_process_executor_terminate(cth_executor *executor);

/* As cth_process_executor_terminate, with SIGKILL: nothing in a worker can delay it.
   Like : Python ProcessPoolExecutor.kill_workers. */
CTH_API cth_status cth_process_executor_kill(cth_executor *executor);

/* -------------------------------------------------------------------------------------------------
   >>api:parallel   Loops, reductions, sorts, fork and join on all CPUs: OpenMP, oneTBB, rayon.

       static cth_status scale(void *arg, size_t from, size_t to) {
           float *x = arg;
           for (size_t i = from; i < to; i++) { x[i] *= 2; }
           return CTH_OK;
       }
       if (cth_parallel_for(NULL, n, 0, scale, x) != CTH_OK) { ... }

   The calling thread works too, and together with it the threads of a team; NULL means the team
   that the caller already works in, else one of the process, with a thread for each CPU one may
   use, which start with the first call that is worth it. Calls may be nested at will, and none of
   them fails for lack of memory or threads: then the calling thread does the work alone. A call
   that waits for a part another thread has taken runs other parts of the same outermost call
   meanwhile: so hold no lock across a call that its bodies lock too.

   Work stealing as in Lace: van Dijk and van de Pol, "Lace: non-blocking split deque for
   work-stealing", Euro-Par 2014. What nobody steals costs no atomic operation.
   ---------------------------------------------------------------------------------------------- */

/* A team of threads that steal work from each other. Opaque. */
typedef struct cth_team cth_team;

typedef struct cth_team_desc {
    uint32_t workers;  /* most threads that work, the caller among them; 0: as many as CPUs this
                          process may use; at most 4096 */
    size_t stack_size; /* bytes, of each thread; 0: 1 MiB */
    const char *name;  /* copied, 40 bytes at most; threads are "name-1", "name-2", ...;
                          NULL: "Team-1", ... */
} cth_team_desc;

/* Make a team; `desc` may be NULL. No thread is started: they are when there is work for them.

   Returns : CTH_OK; CTH_NOMEM; CTH_INVALID for too many workers or too long a name.
   Like    : oneTBB task_arena; rayon ThreadPoolBuilder. */
CTH_API CTH_NODISCARD cth_status cth_team_create(cth_team **out, const cth_team_desc *desc);

/* End the threads of a team, and free it; NULL does nothing. No call may be at work in it. In the
   child of a fork nothing is freed.
   Blocks : until its threads have ended. */
CTH_API void cth_team_release(cth_team *team);

/* Return how many threads may work at one call of this team, or with NULL of that which a call of
   the calling thread would use: fewer than asked for when threads could not be started. */
CTH_API uint32_t cth_team_workers(cth_team *team);

/* What a loop runs: the body for the indices from `from` up to but not including `to`. Anything
   other than CTH_OK ends the loop early; cth_fail gives it a text. */
typedef cth_status (*cth_range_fn)(void *arg, size_t from, size_t to);

/* Run `fn` over the indices 0 to n - 1, cut into ranges of at most `grain`, each once, in any order
   and by several threads at a time. With a grain of 0 the kit finds one: it measures a first range
   in the calling thread, and a loop that is too short to be worth a thread ends there. The bodies
   are under the calling thread's token.

   Blocks   : until all bodies that were begun have ended.
   Returns  : CTH_OK; else the status of the failed range with the least index among those that ran,
              its text the calling thread's; CTH_CANCELLED when its token was cancelled before the
              last range; CTH_INVALID for no function; CTH_FORKED for a team of the parent process.
   Ordering : everything before the call happens before each body, each body before its return.
   Like     : OpenMP parallel for; tbb::parallel_for; rayon par_iter. */
CTH_API CTH_NODISCARD cth_status
cth_parallel_for(cth_team *team, size_t n, size_t grain, cth_range_fn fn, void *arg);

/* A function of cth_invoke. */
typedef struct cth_call {
    cth_status (*fn)(void *arg);
    void *arg;
} cth_call;

/* Run `n` functions, several at a time; otherwise as cth_parallel_for with a grain of 1.
   Like : tbb::parallel_invoke; OpenMP sections. */
CTH_API CTH_NODISCARD cth_status cth_invoke(cth_team *team, const cth_call *calls, size_t n);

/* A reduction: `size` bytes of an accumulator, and how to fill and to join them. */
typedef struct cth_reduction {
    size_t size;          /* bytes */
    const void *identity; /* what an accumulator begins with; NULL: zeros */
    /* Add the indices from `from` up to but not including `to` to `*acc`. */
    cth_status (*range)(void *arg, size_t from, size_t to, void *acc);
    /* Add `*right`, which stands for higher indices, to `*left`. */
    void (*join)(void *arg, void *left, const void *right);
    size_t grain; /* most indices of one range; 0: an n-th part that depends on n only */
} cth_reduction;

/* Reduce the indices 0 to n - 1 to one value, in `*result`. How the indices are cut and the parts
   joined depends on n and the grain only, so a sum of floating-point numbers has the same bits with
   any number of threads. Allocates when the parts' accumulators, at most 512 without a grain, need
   more than 8 KiB.

   Blocks, Ordering : as cth_parallel_for.
   Returns  : as cth_parallel_for, `*result` unchanged but after CTH_OK; CTH_INVALID also for no
              size or too many parts; CTH_NOMEM.
   Like     : tbb::parallel_deterministic_reduce; rayon reduce. */
CTH_API CTH_NODISCARD cth_status
cth_reduce(cth_team *team, size_t n, const cth_reduction *how, void *arg, void *result);

/* Prefix sums in two passes over the indices: first how->range adds up each part; then `write` is
   called for each part with what all before it add up to, and writes what the caller wants, its own
   indices included or not. `write` may change `*before`.

   Blocks, Ordering, Returns : as cth_reduce. After an error some parts are written.
   Like     : tbb::parallel_scan; std::inclusive_scan. */
CTH_API CTH_NODISCARD cth_status
cth_scan(cth_team *team,
         size_t n,
         const cth_reduction *how,
         cth_status (*write)(void *arg, size_t from, size_t to, void *before),
         void *arg);

/* Sort `n` elements of `size` bytes each, in place, as qsort does; elements that compare equal may
   change places. Allocates nothing. Under a token that is cancelled it goes on.

   Returns : CTH_OK; CTH_INVALID for no comparison or a size of 0; CTH_FORKED.
   Like    : C qsort; tbb::parallel_sort; rayon par_sort_unstable. Introsort: Musser, "Introspective
             sorting and selection algorithms", 1997. */
CTH_API CTH_NODISCARD cth_status cth_sort(cth_team *team,
                                          void *base,
                                          size_t n,
                                          size_t size,
                                          int (*compare)(const void *a, const void *b));

/* As cth_sort, but elements that compare equal keep their order. Allocates as much memory as the
   elements have, or returns CTH_NOMEM and changes nothing.
   Like : C++ std::stable_sort; Python sorted; rayon par_sort. */
CTH_API CTH_NODISCARD cth_status cth_stable_sort(cth_team *team,
                                                 void *base,
                                                 size_t n,
                                                 size_t size,
                                                 int (*compare)(const void *a, const void *b));

/* What forks and joins: the thread that works, and the top of its deque. Handed down by value to
   every function that forks. The fields are private. */
typedef struct cth_forks {
    struct cth__deque *deque;
    struct cth__fork *top;
} cth_forks;

typedef cth_status (*cth_fork_fn)(cth_forks forks, void *arg);

/* Run `fn` in the calling thread, with what it needs to fork.

   Blocks   : until it has returned.
   Returns  : what it returned, its text the calling thread's; CTH_INVALID for no function;
              CTH_FORKED.
   Like     : rayon ThreadPool::install; OpenMP parallel with single. */
CTH_API CTH_NODISCARD cth_status cth_parallel(cth_team *team, cth_fork_fn fn, void *arg);

/* Offer fn(forks, arg) to other threads, until the cth_join that belongs to it. Joins come in
   reverse order, from the function that forked, before it returns. Another thread that takes the
   function is not under the caller's token: to cancel its waits, bring the token in `arg`.

   Blocks   : no. Ends the program when more than about 1 000 forks are open in one thread and
              memory for more is lacking.
   Ordering : everything before the fork happens before the function. */
CTH_FAST void cth_fork(cth_forks *forks, cth_fork_fn fn, void *arg);

/* Join the latest fork: run it here if no thread has taken it, else wait for it.

   Blocks   : until it has ended.
   Returns  : what the function returned. In the child of a fork of processes that lies between fork
              and join it ends the program if another thread had taken the function.
   Ordering : everything in the function happens before this returns.
   Like     : Cilk spawn and sync; Lace SPAWN and SYNC. */
CTH_FAST cth_status cth_join(cth_forks *forks);

/* What one fork keeps: the function, and 48 bytes of arguments, then of result. Private. */
typedef struct cth__fork {
    void (*run)(cth_forks forks, struct cth__fork *fork);
    cth__word state;
    uint32_t unused;
    union {
        unsigned char bytes[64 - sizeof(void *) - 8];
        struct {
            cth_fork_fn fn;
            void *arg;
            cth_status status;
        } call;
    } u;
} cth__fork;

/* After a join: the new top, and whether the fork is to be run by its own thread. Private. */
typedef struct cth__popped {
    cth__fork *top;
    bool here;
} cth__popped;

/* The part of a deque that the fast paths see. Private. */
typedef struct cth__deque {
    cth__ptr
        split;     /* forks from here on are its thread's alone; all ones: it has to publish some */
    cth__ptr room; /* bytes between `split` and the end of the array, as a number */
} cth__deque;

CTH_FAST void cth__fork_push(cth_forks *forks,
                             void (*run)(cth_forks forks, struct cth__fork *fork));
CTH_FAST cth__fork *cth__fork_pop(cth_forks *forks, bool *here);

/* CTH_FORK_OF(long, int, fib); after the prototype `long fib(cth_forks forks, int n)`, at file
   scope: forks and joins of that function, faster than the general form since its argument is kept
   in the deque and it is called directly. Expands to the functions
   void fib_fork(cth_forks *forks, int arg) and long fib_join(cth_forks *forks); argument and result
   take 44 bytes at most.

       static long fib(cth_forks forks, int n) {
           if (n < 2) { return n; }
           fib_fork(&forks, n - 1);
           const long other = fib(forks, n - 2);
           return fib_join(&forks) + other;
       } */
#  define CTH_FORK_OF(result_type, arg_type, name)                                             \
    CTH__TYPED void name##_run_(cth_forks forks, cth__fork *fork) {                            \
      arg_type arg;                                                                            \
      memcpy(&arg, fork->u.bytes, sizeof arg);                                                 \
      const result_type result = name(forks, arg);                                             \
      memcpy(fork->u.bytes, &result, sizeof result);                                           \
    }                                                                                          \
    CTH__TYPED void name##_fork(cth_forks *forks, arg_type arg) {                              \
      memcpy(forks->top->u.bytes, &arg, sizeof arg);                                           \
      cth__fork_push(forks, name##_run_);                                                      \
    }                                                                                          \
    CTH__TYPED result_type name##_join(cth_forks *forks) {                                     \
      bool here;                                                                               \
      cth__fork *fork = cth__fork_pop(forks, &here);                                           \
      if (here) {                                                                              \
        arg_type arg;                                                                          \
        memcpy(&arg, fork->u.bytes, sizeof arg);                                               \
        return name(*forks, arg);                                                              \
      }                                                                                        \
      result_type result;                                                                      \
      memcpy(&result, fork->u.bytes, sizeof result);                                           \
      return result;                                                                           \
    }                                                                                          \
    typedef char name##_fits_[sizeof(arg_type) <= sizeof(((cth__fork *)0)->u.bytes) &&         \
                                      sizeof(result_type) <= sizeof(((cth__fork *)0)->u.bytes) \
                                  ? 1                                                          \
                                  : -1]

/* CTH_SORT_OF(int, sort_ints, *a < *b); at file scope, C only: sorts of ints, faster than the
   general form since size and comparison are constants. The expression says whether the element
   *a goes before *b. Expands to cth_status sort_ints(cth_team *team, int *base, size_t n) and
   sort_ints_stable, as cth_sort and cth_stable_sort, and to the functions they are made of. */
#  ifndef __cplusplus
#    define CTH_SORT_OF(type, name, less)                                                       \
      CTH__TYPED bool name##_less_(const cth__sorting *s, const void *pa, const void *pb) {     \
        const type *a = (const type *)pa;                                                       \
        const type *b = (const type *)pb;                                                       \
        (void)s;                                                                                \
        return less;                                                                            \
      }                                                                                         \
      CTH__SORTS(name##_, sizeof(type), name##_less_)                                           \
      CTH__TYPED CTH_NODISCARD cth_status name(cth_team *team, type *base, size_t n) {          \
        cth__sorting s = {base, NULL, n, sizeof(type), NULL, 0, false};                         \
        return cth__sort_run(team, name##_quick, &s, false);                                    \
      }                                                                                         \
      CTH__TYPED CTH_NODISCARD cth_status name##_stable(cth_team *team, type *base, size_t n) { \
        cth__sorting s = {base, NULL, n, sizeof(type), NULL, 0, false};                         \
        return cth__sort_run(team, name##_merge, &s, true);                                     \
      }                                                                                         \
      struct cth__sorting
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:scope   Tasks and threads that end before their block does: Python's TaskGroup.

       cth_status status;
       CTH_SCOPE(scope, pool, cth_after(CTH_S(5)), &status) {
           for (int i = 0; i < n && status == CTH_OK; i++) {
               status = cth_scope_submit(&scope, NULL, fetch, &url[i], sizeof url[i], 0);
           }
       }
       if (status != CTH_OK) { puts(cth_error_text()); }    // the first error of any of them

   A scope has a cancel token, below the one its thread was under, with the scope's deadline. The
   block, the tasks and the threads are under it. The first error in one of them cancels it, so that
   the waits of the others return CTH_CANCELLED; tasks and threads that have not begun never do.
   Scopes nest; tasks and threads of a scope may start more in it.
   ---------------------------------------------------------------------------------------------- */

/* A scope. The fields are private. At a fixed address from begin to end. */
typedef struct cth_scope {
    cth_cancel token;
    cth_cancel *outer; /* what its thread was under before */
    cth_executor *executor;
    cth_mutex mutex;              /* guards the rest */
    uint32_t owner, generation;   /* the thread that began it; 0: none */
    struct cth__job *live, *over; /* what was started, newest first */
    cth_status status;            /* the first error, and its text */
    char error[128];
    cth_status *out; /* of CTH_SCOPE */
    bool done;
} cth_scope;

/* Begin a scope: until its end the calling thread is under its token. Tasks run in `executor`,
   which must outlive the scope; with NULL there are only threads.

   Returns : CTH_OK; CTH_INVALID for a negative deadline; CTH_NOMEM.
   Like    : Python async with TaskGroup(); Go errgroup.WithContext. */
CTH_API CTH_NODISCARD cth_status cth_scope_begin(cth_scope *scope,
                                                 cth_executor *executor,
                                                 cth_time deadline);

/* Submit a task to the scope's executor, as cth_submit does. `out` may be NULL: an error reaches
   the end of the scope in any case. After a failure the scope is as before.

   Threads  : the one that began the scope, and tasks and threads of the scope.
   Blocks   : as cth_submit.
   Returns  : as cth_submit; CTH_CANCELLED when the scope is cancelled, and its end will say so too;
              CTH_INVALID also without an executor.
   Like     : Python TaskGroup.create_task; Go errgroup.Group.Go. */
CTH_API CTH_NODISCARD cth_status cth_scope_submit(cth_scope *scope,
                                                  cth_future **out,
                                                  cth_task_fn fn,
                                                  const void *arg,
                                                  size_t arg_size,
                                                  size_t result_size);

/* Start a thread in the scope. An error that it returns goes to the end of the scope, not to the
   thread hook. The token of `desc` must be NULL.

   Threads : as cth_scope_submit.
   Returns : as cth_thread_spawn; CTH_CANCELLED as cth_scope_submit. */
CTH_API CTH_NODISCARD cth_status cth_scope_spawn(cth_scope *scope,
                                                 cth_thread_fn fn,
                                                 void *arg,
                                                 const cth_thread_desc *desc);

/* Cancel the scope: what runs in it is cancelled, what has not begun never does, and its end
   returns `status` with `text` (NULL: the status's own), unless there was an error before. For the
   block itself, for instance with CTH_CANCELLED before a `break`.

   Threads : as cth_scope_submit.
   Returns : CTH_OK; CTH_INVALID for the status CTH_OK; CTH_FORKED; CTH_NOMEM. */
CTH_API cth_status cth_scope_fail(cth_scope *scope, cth_status status, const char *text);

/* End the scope: wait for all that was started in it. The calling thread runs tasks that nobody has
   started, so an executor of one worker suffices. It is under its outer token again.

   Blocks   : until all have ended, whatever is cancelled.
   Returns  : CTH_OK when all have returned that, even if late; else the first error, whose text
              becomes the calling thread's. CTH_CANCELLED as the first error is CTH_TIMEDOUT when a
              deadline did it: the scope's, or one above. CTH_SHUTDOWN when the executor dropped a
              task. CTH_NOT_OWNER for another thread than the one that began it, or when it has
              ended; CTH_INVALID while an inner CTH_UNDER or scope is open; CTH_BUSY when all have
              ended but tokens or waits of others are left below its token: end it again.
              CTH_FORKED in the child of a fork, where nothing is waited for.
   Ordering : everything the tasks and threads did happens before this returns.
   Like     : the end of Python's async with; Go errgroup.Group.Wait. */
CTH_API cth_status cth_scope_end(cth_scope *scope);

/* CTH_SCOPE(name, executor, deadline, &status) { ... }: a block with the scope `name`, which ends
   with it, on break, continue, return and goto too (gcc and clang; with other compilers only when
   the end of the block is reached). `status` is that of the begin; if it is not CTH_OK the block
   does not run. An error of the end is put there too; else what the block has put there stays (a
   return in the block has taken its value before). CTH_BUSY at the end is misuse, and ends the
   program with a message. C only. Expands to
       for (cth_scope name cleanup = {0}; begin(&name, executor, ...); name.done = true) { ... } */
#  ifndef __cplusplus
#    define CTH_SCOPE(name, executor, deadline, status)                  \
      for (cth_scope name CTH__CLEANUP(cth__group_close) = {.owner = 0}; \
           cth__group_open(&name, (executor), (deadline), (status)); CTH__GROUP_DONE(name))
#    if CTH__GNU
#      define CTH__GROUP_DONE(name) (name).done = true
#    else
#      define CTH__GROUP_DONE(name) (name).done = true, cth__group_close(&(name))
#    endif
CTH_API bool cth__group_open(cth_scope *scope,
                             cth_executor *executor,
                             cth_time deadline,
                             cth_status *status);
CTH_API void cth__group_close(cth_scope *scope);
#  endif

/* -------------------------------------------------------------------------------------------------
   >>api:main   The main-thread rule: what only one thread may do, others post to it.

       cth_main ui;                            // its owner is the thread that calls init
       cth_main_init(&ui);
       ...                                     // a worker: cth_main_post(&ui, show, &n, sizeof n);
       cth_main_run(&ui);                      // until cth_main_stop(&ui)
       cth_main_destroy(&ui);

   An event loop that waits in poll or epoll watches cth_main_fd and calls cth_main_drain when it is
   readable; a loop around a select watches cth_main_event in the same way.
   ---------------------------------------------------------------------------------------------- */

/* What is posted; `arg` is a copy of the argument bytes, aligned for any type. Anything other than
   CTH_OK goes to the thread hook. */
typedef cth_status (*cth_main_fn)(void *arg);

/* A list of functions to be run by its owner. The fields are private. */
typedef struct cth_main {
    cth_mutex mutex;            /* guards the rest */
    cth_event ready;            /* something is posted, or it is stopped */
    uint32_t owner, generation; /* of the thread that made it; of its process */
    struct cth__post *first, *last;
    size_t count;
    uint32_t running; /* how many of its functions the owner is in */
    int fd;           /* readable while `ready` is set; -1: not asked for */
    bool stopped;
} cth_main;

/* Make the calling thread the owner of `main`.
   Returns : CTH_OK; CTH_NOMEM. */
CTH_API CTH_NODISCARD cth_status cth_main_init(cth_main *main);

/* Have the owner run `fn` with a copy of the `size` bytes at `arg`. What one thread posts runs in
   the order in which it was posted.

   Blocks   : no.
   Returns  : CTH_OK; CTH_SHUTDOWN when it is stopped; CTH_NOMEM; CTH_INVALID for no function or a
              size beyond SIZE_MAX / 4; CTH_FORKED.
   Ordering : everything before this call happens before the function.
   Like     : Python loop.call_soon_threadsafe; Qt's queued connections. */
CTH_API CTH_NODISCARD cth_status cth_main_post(cth_main *main,
                                               cth_main_fn fn,
                                               const void *arg,
                                               size_t size);

/* Run what is posted, and wait for more, until it is stopped and nothing is left. May be called by
   a function that it runs (a dialog with a loop of its own).

   Blocks   : until then.
   Returns  : CTH_OK when stopped; CTH_NOT_OWNER in another thread; CTH_CANCELLED, after what is
              posted; CTH_FORKED.
   Like     : Python loop.run_forever. */
CTH_API cth_status cth_main_run(cth_main *main);

/* As cth_main_run, or CTH_TIMEDOUT at the deadline, or after what is posted when that comes later;
   CTH_INVALID for a negative deadline. */
CTH_API CTH_NODISCARD cth_status cth_main_run_until(cth_main *main, cth_time deadline);

/* Run what has been posted before this call. Never waits.
   Returns : CTH_OK; CTH_SHUTDOWN when it is stopped and nothing is left; CTH_NOT_OWNER in another
             thread; CTH_FORKED. */
CTH_API cth_status cth_main_drain(cth_main *main);

/* Take no more functions; those posted so far still run. From any thread.
   Returns : CTH_OK, also when it was stopped before; CTH_NOMEM; CTH_FORKED.
   Like    : Python loop.stop. */
CTH_API cth_status cth_main_stop(cth_main *main);

/* Tell whether the calling thread is the owner. */
CTH_API bool cth_main_is_owner(const cth_main *main);

/* End the program with a message unless the calling thread is the owner: the first line of each
   function that only the owner may call. Like: Java SwingUtilities.isEventDispatchThread. */
CTH_API void cth_assert_on(const cth_main *main);

/* Return an event that is set while something is posted and from the stop on, for CTH_ON_EVENT in a
   select. Only to be waited for. */
CTH_API cth_event *cth_main_event(cth_main *main);

/* Put a file descriptor into `*fd` that is readable while something is posted, and from the stop
   on: for poll, select and epoll (with EPOLLET a drain that leaves some gives a new edge). It is
   made by the first call and belongs to `main`: only to be watched, not to be read.

   Returns : CTH_OK; CTH_AGAIN when the process has no more descriptors; CTH_FORKED; CTH_NOMEM;
             CTH_UNSUPPORTED under the simulator.
   Like    : Python loop's self-pipe; libuv uv_async_t. */
CTH_API CTH_NODISCARD cth_status cth_main_fd(cth_main *main, int *fd);

/* Drop what is posted, and close the descriptor. By the owner.
   Returns : CTH_OK; CTH_BUSY, and nothing changed, from within one of its functions or with threads
             that wait for its event; CTH_NOT_OWNER; CTH_FORKED. */
CTH_API cth_status cth_main_destroy(cth_main *main);

/* -------------------------------------------------------------------------------------------------
   >>api:progress   A bar, a rate and the time left, on stderr: tqdm for loops, maps and tasks.

       cth_progress progress;
       cth_progress_init(&progress, &(cth_progress_desc){.label = "hashing", .total = n});
       ...                                     // any thread: cth_progress_add(&progress, 1);
       cth_progress_finish(&progress);

       hashing:  42%|##########              | 420/1000 [00:03<00:04, 123/s]

   Nothing is printed when stderr is no terminal. It is drawn by whoever adds, at most ten times a
   second, with one write each time. It never allocates.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth_progress_desc {
    const char *label; /* not copied; NULL: none */
    uint64_t total;    /* 0: unknown, then there is a count, a rate and no bar */
    uint32_t width;    /* columns, at most 255; 0: those of the terminal, or 80 */
    int fd;            /* where it goes; 0: stderr */
    bool always;       /* also when that is no terminal */
} cth_progress_desc;

/* The progress of one piece of work. The fields are private. */
typedef struct cth_progress {
    cth__word fresh;   /* units since the last look at the clock */
    cth__word look;    /* that many, and the clock is looked at */
    cth_mutex mutex;   /* guards the rest */
    uint32_t drawn_at; /* columns of the line as it stands */
    cth_progress_desc desc;
    cth_time began, looked, drawn;
    uint64_t count;
    uint32_t generation;
    bool shown, ended;
} cth_progress;

/* Start: draws 0 of total.
   Returns : CTH_OK; CTH_INVALID for a negative fd or too great a width; CTH_NOMEM. */
CTH_API cth_status cth_progress_init(cth_progress *progress, const cth_progress_desc *desc);

/* Count `n` more units as done. One relaxed addition and one load, but for some twenty times a
   second, when it looks at the clock.
   Threads : any.
   Like    : Python tqdm.update(n). */
CTH_FAST void cth_progress_add(cth_progress *progress, uint32_t n);

/* Return how many units are done. */
CTH_API uint64_t cth_progress_count(cth_progress *progress);

/* Draw the line for the last time, and end it; once. After all calls of cth_progress_add that shall
   count. Like: tqdm.close. */
CTH_API void cth_progress_finish(cth_progress *progress);

/* -------------------------------------------------------------------------------------------------
   The inline fast paths. Each tries the one compare-and-swap (or load) that settles the common
   case, and leaves everything else to a function of the implementation.
   ---------------------------------------------------------------------------------------------- */

#  ifndef __cplusplus
#    if CTH__GNU && defined(__ELF__)
#      define CTH__TLS_MODEL __attribute__((tls_model("initial-exec")))
#    else
#      define CTH__TLS_MODEL
#    endif

/* The calling thread's number << 8: what a lock word holds. 0 before the thread's first slow
   call. */
#    ifdef CTHREADS_STATIC
static _Thread_local uint32_t cth__me;
#    else
extern CTH__TLS_MODEL _Thread_local uint32_t cth__me;
#    endif

#    define cth__mutex_lock_slow   CTH__MODE(cth__mutex_lock_slow)
#    define cth__mutex_unlock_slow CTH__MODE(cth__mutex_unlock_slow)
#    define cth__read_lock_slow    CTH__MODE(cth__read_lock_slow)
#    define cth__read_unlock_slow  CTH__MODE(cth__read_unlock_slow)
#    define cth__write_lock_slow   CTH__MODE(cth__write_lock_slow)
#    define cth__write_unlock_slow CTH__MODE(cth__write_unlock_slow)
#    define cth__latch_wait_slow   CTH__MODE(cth__latch_wait_slow)
#    define cth__chan_send_slow    CTH__MODE(cth__chan_send_slow)
#    define cth__chan_recv_slow    CTH__MODE(cth__chan_recv_slow)
#    define cth__select_switch     CTH__MODE(cth__select_switch)
#    define cth__once_call_slow    CTH__MODE(cth__once_call_slow)
#    define cth__sem_acquire_slow  CTH__MODE(cth__sem_acquire_slow)
#    define cth__sem_release_slow  CTH__MODE(cth__sem_release_slow)
#    define cth__event_wait_slow   CTH__MODE(cth__event_wait_slow)
#    define cth__panic_status      CTH__MODE(cth__panic_status)
#    define cth__fork_slow         CTH__MODE(cth__fork_slow)
#    define cth__join_slow         CTH__MODE(cth__join_slow)
#    define cth__fork_run          CTH__MODE(cth__fork_run)
#    define cth__sort_run          CTH__MODE(cth__sort_run)
#    define cth__progress_look     CTH__MODE(cth__progress_look)

CTH_API cth_status cth__mutex_lock_slow(cth_mutex *mutex, cth_time deadline);
CTH_API cth_status cth__mutex_unlock_slow(cth_mutex *mutex);
CTH_API cth_status cth__read_lock_slow(cth_rwlock *rwlock, cth_time deadline);
CTH_API cth_status cth__read_unlock_slow(cth_rwlock *rwlock);
CTH_API cth_status cth__write_lock_slow(cth_rwlock *rwlock, cth_time deadline);
CTH_API cth_status cth__write_unlock_slow(cth_rwlock *rwlock);
CTH_API cth_status cth__sem_acquire_slow(cth_sem *sem, cth_time deadline);
CTH_API cth_status cth__sem_release_slow(cth_sem *sem, uint32_t n);
CTH_API cth_status cth__event_wait_slow(cth_event *event, cth_time deadline);
CTH_API cth_status cth__latch_wait_slow(cth_latch *latch, cth_time deadline);
CTH_API cth_status cth__once_call_slow(cth_once *once, cth_status (*fn)(void *arg), void *arg);
CTH_API void cth__panic_status(const char *what, cth_status status);
CTH_API cth_status cth__chan_send_slow(cth_chan *chan, const void *value, cth_time deadline);
CTH_API cth_status cth__chan_recv_slow(cth_chan *chan, void *value, cth_time deadline);
CTH_API int cth__select_switch(cth_status *status, cth_case *cases, size_t n, cth_time deadline);
CTH_API cth__fork *cth__fork_slow(cth_forks forks);
CTH_API cth__popped cth__join_slow(cth_forks forks);
CTH_API void cth__fork_run(cth_forks forks, cth__fork *fork);
CTH_API void cth__progress_look(cth_progress *progress, uint32_t more);

CTH_FAST cth_status cth_mutex_lock(cth_mutex *mutex) {
    uint32_t found = 0;
    // [mutex.A] acquire: sees what the owner before did; pairs with [mutex.B] and [mutex.C].
    // relaxed on failure: the slow path reads the word again.
    if (CTH__LIKELY(cth__me != 0 && cth__cas(&mutex->word, &found, cth__me, acquire, relaxed))) {
        CTH__HOLDS(&mutex->word, 1);
        return CTH_OK;
    }
    return cth__mutex_lock_slow(mutex, CTH_FOREVER);
}

CTH_FAST cth_status cth_mutex_try_lock(cth_mutex *mutex) {
    const cth_status status = cth_mutex_lock_until(mutex, 0);
    return status == CTH_TIMEDOUT || status == CTH_DEADLOCK ? CTH_BUSY : status;
}

CTH_FAST cth_status cth_mutex_lock_until(cth_mutex *mutex, cth_time deadline) {
    uint32_t found = 0;
    // [mutex.A] acquire, as in cth_mutex_lock; a negative deadline must not get the lock.
    if (deadline >= 0 && cth__me != 0 &&
        cth__cas(&mutex->word, &found, cth__me, acquire, relaxed)) {
        CTH__HOLDS(&mutex->word, 1);
        return CTH_OK;
    }
    return cth__mutex_lock_slow(mutex, deadline);
}

CTH_FAST cth_status cth_mutex_unlock(cth_mutex *mutex) {
    uint32_t found = cth__me;
    // [mutex.B] release: publishes the critical section; pairs with [mutex.A]. Nothing touches the
    // mutex after it. relaxed on failure: the slow path reads the word again.
    if (CTH__LIKELY(found != 0 && cth__cas(&mutex->word, &found, 0, release, relaxed))) {
        CTH__HOLDS(&mutex->word, -1);
        return CTH_OK;
    }
    return cth__mutex_unlock_slow(mutex);
}

CTH_FAST cth_status cth_rmutex_lock(cth_rmutex *rmutex) {
    return cth_rmutex_lock_until(rmutex, CTH_FOREVER);
}

CTH_FAST cth_status cth_rmutex_try_lock(cth_rmutex *rmutex) {
    const cth_status status = cth_rmutex_lock_until(rmutex, 0);
    return status == CTH_TIMEDOUT ? CTH_BUSY : status;
}

CTH_FAST cth_status cth_rmutex_lock_until(cth_rmutex *rmutex, cth_time deadline) {
    // relaxed: if the word names this thread, then this thread put it there.
    const uint32_t word = cth__load(&rmutex->mutex.word, relaxed);
    if (cth__me != 0 && (word & ~UINT32_C(0xff)) == cth__me && deadline >= 0) {
        if (rmutex->depth == INT32_MAX) {
            return CTH_OVERFLOW;
        }
        rmutex->depth++;
        return CTH_OK;
    }
    return cth_mutex_lock_until(&rmutex->mutex, deadline);
}

CTH_FAST cth_status cth_rmutex_unlock(cth_rmutex *rmutex) {
    // relaxed: if the word names this thread, then this thread put it there.
    const uint32_t word = cth__load(&rmutex->mutex.word, relaxed);
    if (cth__me != 0 && (word & ~UINT32_C(0xff)) == cth__me && rmutex->depth != 0) {
        rmutex->depth--;
        return CTH_OK;
    }
    return cth_mutex_unlock(&rmutex->mutex);
}

CTH_FAST cth_status cth_rwlock_read_lock(cth_rwlock *rwlock) {
    // relaxed: a guess, which the compare-and-swap checks.
    uint32_t found = cth__load(&rwlock->word, relaxed);
    // [rwlock.A] acquire: sees what the last writer did; pairs with [rwlock.B].
    if (CTH__LIKELY((found & 3) == 0 && found < UINT32_C(0xfffffff8) &&
                    cth__cas(&rwlock->word, &found, found + 4, acquire, relaxed))) {
        CTH__HOLDS(&rwlock->word, 1);
        return CTH_OK;
    }
    return cth__read_lock_slow(rwlock, CTH_FOREVER);
}

CTH_FAST cth_status cth_rwlock_read_unlock(cth_rwlock *rwlock) {
    // relaxed: a guess, which the compare-and-swap checks.
    uint32_t found = cth__load(&rwlock->word, relaxed);
    // [rwlock.C] release: the reading happens before the next writer; pairs with [rwlock.D].
    if (CTH__LIKELY((found & 3) == 0 && found != 0 &&
                    cth__cas(&rwlock->word, &found, found - 4, release, relaxed))) {
        CTH__HOLDS(&rwlock->word, -1);
        return CTH_OK;
    }
    return cth__read_unlock_slow(rwlock);
}

CTH_FAST cth_status cth_rwlock_write_lock(cth_rwlock *rwlock) {
    uint32_t found = 0;
    // [rwlock.D] acquire: sees what all before did; pairs with [rwlock.B] and [rwlock.C].
    if (CTH__LIKELY(cth__me != 0 &&
                    cth__cas(&rwlock->word, &found, cth__me | 2, acquire, relaxed))) {
        CTH__HOLDS(&rwlock->word, 1);
        return CTH_OK;
    }
    return cth__write_lock_slow(rwlock, CTH_FOREVER);
}

CTH_FAST cth_status cth_rwlock_write_unlock(cth_rwlock *rwlock) {
    uint32_t found = cth__me | 2;
    // [rwlock.B] release: publishes the writing; pairs with [rwlock.A] and [rwlock.D].
    if (CTH__LIKELY(cth__me != 0 && cth__cas(&rwlock->word, &found, 0, release, relaxed))) {
        CTH__HOLDS(&rwlock->word, -1);
        return CTH_OK;
    }
    return cth__write_unlock_slow(rwlock);
}

CTH_FAST cth_status cth_sem_acquire(cth_sem *sem) {
    return cth_sem_acquire_until(sem, CTH_FOREVER);
}

CTH_FAST cth_status cth_sem_try_acquire(cth_sem *sem) {
    const cth_status status = cth_sem_acquire_until(sem, 0);
    return status == CTH_TIMEDOUT ? CTH_BUSY : status;
}

CTH_FAST cth_status cth_sem_acquire_until(cth_sem *sem, cth_time deadline) {
    // relaxed: a guess, which the compare-and-swap checks.
    uint32_t found = cth__load(&sem->word, relaxed);
    // [sem.A] acquire: sees what the releasing thread did; pairs with [sem.B] and [sem.C].
    if (CTH__LIKELY(found != 0 && found <= CTH_SEM_MAX && deadline >= 0 &&
                    cth__cas(&sem->word, &found, found - 1, acquire, relaxed))) {
        return CTH_OK;
    }
    return cth__sem_acquire_slow(sem, deadline);
}

CTH_FAST cth_status cth_sem_release(cth_sem *sem) {
    if (CTH__LIKELY(sem->bound == 0)) {
        // relaxed: a guess, which the compare-and-swap checks.
        uint32_t found = cth__load(&sem->word, relaxed);
        // [sem.B] release: publishes to the thread that takes the permit; pairs with [sem.A].
        if (CTH__LIKELY(found < CTH_SEM_MAX &&
                        cth__cas(&sem->word, &found, found + 1, release, relaxed))) {
            return CTH_OK;
        }
    }
    return cth__sem_release_slow(sem, 1);
}

CTH_FAST bool cth_event_is_set(const cth_event *event) {
    // [event.A] acquire: sees what the setter did; pairs with [event.B].
    return (cth__load((cth__word *)(uintptr_t)&event->word, acquire) & 1) != 0;
}

CTH_FAST cth_status cth_event_wait(cth_event *event) {
    return cth_event_wait_until(event, CTH_FOREVER);
}

CTH_FAST cth_status cth_event_wait_until(cth_event *event, cth_time deadline) {
    if (CTH__LIKELY(cth_event_is_set(event) && deadline >= 0)) {
        return CTH_OK;
    }
    return cth__event_wait_slow(event, deadline);
}

CTH_FAST cth_status cth_latch_wait(cth_latch *latch) {
    return cth_latch_wait_until(latch, CTH_FOREVER);
}

CTH_FAST cth_status cth_latch_wait_until(cth_latch *latch, cth_time deadline) {
    // [latch.A] acquire: sees what was done before the count fell; pairs with [latch.B].
    if (CTH__LIKELY(cth__load(&latch->word, acquire) == 0 && deadline >= 0)) {
        return CTH_OK;
    }
    return cth__latch_wait_slow(latch, deadline);
}

CTH_FAST bool cth_once_is_done(const cth_once *once) {
    // [once.A] acquire: sees what the function did; pairs with [once.B].
    return cth__load((cth__word *)(uintptr_t)&once->word, acquire) == 2;
}

CTH_FAST cth_status cth_once_call(cth_once *once, cth_status (*fn)(void *arg), void *arg) {
    if (CTH__LIKELY(cth_once_is_done(once))) {
        return CTH_OK;
    }
    return cth__once_call_slow(once, fn, arg);
}

#    define CTH__CHAN_LOCKED   UINT32_C(1)
#    define CTH__CHAN_SLEEPERS UINT32_C(2)
#    define CTH__CHAN_CLOSED   UINT32_C(4)
#    define CTH__CHAN_FLAGS    UINT32_C(7)
#    define CTH__CHAN_ONE      UINT32_C(8) // the position's unit

/* Lock a side, if nobody else is at work or asleep there, and it may go on by one value of the same
   block; `*at` is its position then. */
CTH_FAST CTH__ALWAYS bool cth__side_enter(cth_chan *chan,
                                          cth__side *side,
                                          cth__side *other,
                                          uint32_t *at) {
    // relaxed, three times: guesses, which spare a full or empty channel the lock.
    uint32_t found = cth__load(&side->at, relaxed);
    uint32_t till = cth__load(&side->till, relaxed);
    if ((found & ~CTH__CHAN_FLAGS) == till) {
        till =
            (cth__load(&other->at, relaxed) & ~CTH__CHAN_FLAGS) + side->room; // relaxed: as above
        if ((found & ~CTH__CHAN_FLAGS) == till) {
            return false;
        }
    }
    bool good = true;
    if (side->single != 0) {
        // Nobody has to be locked out, but who is about to sleep or to close has to know.
        // [chan.S] release: the position in it says what has been done; pairs with [chan.D].
        cth__store(&side->at, found | CTH__CHAN_LOCKED, release);
        cth__fence_light(); // seq_cst: either this thread sees the flag, or its setter the lock
        // relaxed: ordered by the fence. A lock that was there is of before a fork.
        good = cth__load(&chan->flags, relaxed) == 0 && (found & CTH__CHAN_FLAGS) == 0;
        // [chan.A] acquire: the side as it was left; pairs with [chan.B].
    } else if (!CTH__LIKELY(
                   (found & CTH__CHAN_FLAGS) == 0 &&
                   cth__cas(&side->at, &found, found | CTH__CHAN_LOCKED, acquire, relaxed))) {
        return false;
    }
    CTH_SIM_WRITE(*side);
    // relaxed: changes under the side's lock.
    if (found == cth__load(&side->till, relaxed)) {
        // [chan.D] acquire: the other side has done with the places; pairs with [chan.B], [chan.S].
        till = (cth__load(&other->at, acquire) & ~CTH__CHAN_FLAGS) + side->room;
        cth__store(&side->till, till, relaxed); // relaxed: as above
        good = good && found != till;
    }
    if (!CTH__LIKELY(good && side->index != side->limit)) {
        CTH_SIM_WRITE(*side);
        cth__store(&side->at, found, release); // [chan.B] release: as it was
        return false;
    }
    *at = found;
    return true;
}

/* Go on by one value, and unlock. The channel may be gone after it. */
CTH_FAST CTH__ALWAYS void cth__side_step(cth__side *side, uint32_t at) {
    const uint32_t next = side->index + 1;
    side->index = next == side->wrap ? 0 : next;
    CTH_SIM_WRITE(*side);
    // [chan.B] release: publishes what was done with the value; pairs with [chan.A], [chan.D].
    cth__store(&side->at, at + CTH__CHAN_ONE, release);
}

CTH_FAST CTH__ALWAYS bool cth__chan_put(cth_chan *chan, const void *value, size_t size) {
    uint32_t at;
    if (!cth__side_enter(chan, &chan->rear, &chan->front, &at)) {
        return false;
    }
    unsigned char *place = chan->rear.block + (size_t)chan->rear.index * size;
    CTH_SIM_WRITE(*place);
    if (size != 0) {
        memcpy(place, value, size);
    }
    cth__side_step(&chan->rear, at);
    return true;
}

CTH_FAST CTH__ALWAYS bool cth__chan_take(cth_chan *chan, void *value, size_t size) {
    uint32_t at;
    if (!cth__side_enter(chan, &chan->front, &chan->rear, &at)) {
        return false;
    }
    const unsigned char *place = chan->front.block + (size_t)chan->front.index * size;
    CTH_SIM_READ(*place);
    if (size != 0) {
        memcpy(value, place, size);
    }
    cth__side_step(&chan->front, at);
    return true;
}

CTH_FAST cth_status cth_chan_send(cth_chan *chan, const void *value) {
    return cth_chan_send_until(chan, value, CTH_FOREVER);
}

CTH_FAST cth_status cth_chan_try_send(cth_chan *chan, const void *value) {
    const cth_status status = cth_chan_send_until(chan, value, 0);
    return status == CTH_TIMEDOUT ? CTH_FULL : status;
}

CTH_FAST cth_status cth_chan_send_until(cth_chan *chan, const void *value, cth_time deadline) {
    if (CTH__LIKELY(deadline >= 0 && cth__chan_put(chan, value, chan->size))) {
        return CTH_OK;
    }
    return cth__chan_send_slow(chan, value, deadline);
}

CTH_FAST cth_status cth_chan_recv(cth_chan *chan, void *value) {
    return cth_chan_recv_until(chan, value, CTH_FOREVER);
}

CTH_FAST cth_status cth_chan_try_recv(cth_chan *chan, void *value) {
    const cth_status status = cth_chan_recv_until(chan, value, 0);
    return status == CTH_TIMEDOUT ? CTH_EMPTY : status;
}

CTH_FAST cth_status cth_chan_recv_until(cth_chan *chan, void *value, cth_time deadline) {
    if (CTH__LIKELY(deadline >= 0 && cth__chan_take(chan, value, chan->size))) {
        return CTH_OK;
    }
    return cth__chan_recv_slow(chan, value, deadline);
}

CTH_FAST cth__scope cth__scope_mutex(cth_mutex *lock) {
    cth__scope scope = {lock, NULL, false};
    const cth_status status = cth_mutex_lock(lock);
    if (!CTH__LIKELY(status == CTH_OK)) {
        cth__panic_status("CTH_WITH on a mutex", status);
    }
    return scope;
}

CTH_FAST void cth__scope_leave(cth__scope *scope) {
    if (!CTH__LIKELY(scope->leave == NULL)) {
        scope->leave(scope->lock);
    } else {
        const cth_status status = cth_mutex_unlock((cth_mutex *)scope->lock);
        if (!CTH__LIKELY(status == CTH_OK)) {
            cth__panic_status("end of CTH_WITH on a mutex", status);
        }
    }
    scope->done = true;
}

CTH_FAST void cth__fork_push(cth_forks *forks, void (*run)(cth_forks forks, cth__fork *fork)) {
    cth__fork *fork = forks->top;
    fork->run = run;
    forks->top = fork + 1;
    // relaxed: a wish of other threads, and else this thread's own; see impl:parallel.
    const uintptr_t split = (uintptr_t)cth__load(&forks->deque->split, relaxed);
    const uintptr_t room = (uintptr_t)cth__load(&forks->deque->room, relaxed); // relaxed: its own
    if (!CTH__LIKELY((uintptr_t)fork - split < room)) {
        forks->top = cth__fork_slow(*forks);
    }
}

CTH_FAST cth__fork *cth__fork_pop(cth_forks *forks, bool *here) {
    cth__fork *fork = forks->top - 1;
    // relaxed: as in cth__fork_push.
    if (CTH__LIKELY((uintptr_t)fork >= (uintptr_t)cth__load(&forks->deque->split, relaxed))) {
        forks->top = fork;
        *here = true;
    } else {
        const cth__popped popped = cth__join_slow(*forks);
        forks->top = popped.top;
        *here = popped.here;
    }
    return fork;
}

CTH_FAST void cth_fork(cth_forks *forks, cth_fork_fn fn, void *arg) {
    forks->top->u.call.fn = fn;
    forks->top->u.call.arg = arg;
    cth__fork_push(forks, cth__fork_run);
}

CTH_FAST cth_status cth_join(cth_forks *forks) {
    bool here;
    cth__fork *fork = cth__fork_pop(forks, &here);
    return here ? fork->u.call.fn(*forks, fork->u.call.arg) : fork->u.call.status;
}

/* The sorts, for a constant or a variable size and comparison. Private. */
typedef struct cth__sorting {
    void *base, *buffer; // buffer: for the stable sort
    size_t n, size;
    int (*compare)(const void *a, const void *b);
    int bad;        // how many more bad partitions before heapsort
    bool to_buffer; // the sorted elements go there
} cth__sorting;

typedef struct cth__merging {
    const unsigned char *a, *b;
    size_t na, nb;
    unsigned char *out;
    const cth__sorting *s;
} cth__merging;

typedef bool (*cth__less_fn)(const cth__sorting *s, const void *a, const void *b);
typedef union cth__pointer {
    cth__sorting *sorting;
    cth__merging *merging;
} cth__pointer;

#    define CTH__INLINE     CTH__UNUSED CTH__ALWAYS static inline
#    define CTH__SORT_SMALL 16   // elements: insertion
#    define CTH__SORT_PART  4000 // elements: worth a fork

CTH__INLINE void cth__exchange(unsigned char *a, unsigned char *b, size_t size) {
    unsigned char t[64];
    for (; size > sizeof t; size -= sizeof t, a += sizeof t, b += sizeof t) {
        memcpy(t, a, sizeof t);
        memmove(a, b, sizeof t);
        memcpy(b, t, sizeof t);
    }
    memcpy(t, a, size);
    memmove(a, b, size);
    memcpy(b, t, size);
}

CTH__INLINE void cth__insertion_sort(const cth__sorting *s,
                                     unsigned char *base,
                                     size_t n,
                                     size_t size,
                                     cth__less_fn less) {
    max_align_t t[4];
    for (size_t i = 1; i < n; i++) {
        unsigned char *at = base + i * size;
        if (size > sizeof t) {
            for (; at > base && less(s, at, at - size); at -= size) {
                cth__exchange(at, at - size, size);
            }
        } else if (less(s, at, at - size)) {
            memcpy(t, at, size);
            do {
                memcpy(at, at - size, size);
                at -= size;
            } while (at > base && less(s, t, at - size));
            memcpy(at, t, size);
        }
    }
}

/* Let the element at `i` of a heap of n sink to its place. */
CTH__INLINE void cth__sink(const cth__sorting *s,
                           unsigned char *base,
                           size_t i,
                           size_t n,
                           size_t size,
                           cth__less_fn less) {
    for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && less(s, base + child * size, base + (child + 1) * size)) {
            child++;
        }
        if (!less(s, base + i * size, base + child * size)) {
            return;
        }
        cth__exchange(base + i * size, base + child * size, size);
        i = child;
    }
}

/* Put the median of three elements at `a`. */
CTH__INLINE void cth__median(const cth__sorting *s,
                             unsigned char *a,
                             unsigned char *b,
                             unsigned char *c,
                             size_t size,
                             cth__less_fn less) {
    unsigned char *low = less(s, a, b) ? a : b, *high = low == a ? b : a;
    unsigned char *median = less(s, c, low) ? low : less(s, high, c) ? high : c;
    cth__exchange(a, median, size);
}

/* Move the elements that belong before the first one to its left, and return how many; with
   `equal`, those that do not belong after it. No branch depends on the elements. */
CTH__INLINE size_t cth__partition(const cth__sorting *s,
                                  unsigned char *base,
                                  size_t n,
                                  size_t size,
                                  cth__less_fn less,
                                  bool equal) {
    unsigned char *left = base + size;
    for (unsigned char *at = left, *end = base + n * size; at != end; at += size) {
        const bool before = equal ? !less(s, base, at) : less(s, at, base);
        cth__exchange(at, left, size);
        left += before ? size : 0;
    }
    left -= size;
    cth__exchange(base, left, size);
    return (size_t)(left - base) / size;
}

/* Quicksort; `again` is its function for these constants, `run` the one for a fork of it. */
CTH__INLINE void cth__quick_sort(cth_forks forks,
                                 cth__sorting *s,
                                 size_t size,
                                 cth__less_fn less,
                                 void (*again)(cth_forks forks, cth__sorting *s),
                                 void (*run)(cth_forks forks, cth__fork *fork)) {
    unsigned char *base = (unsigned char *)s->base;
    size_t n = s->n;
    while (n > CTH__SORT_SMALL) {
        if (s->bad == 0) {
            for (size_t i = n / 2; i-- > 0;) {
                cth__sink(s, base, i, n, size, less);
            }
            for (size_t i = n; i-- > 1;) {
                cth__exchange(base, base + i * size, size);
                cth__sink(s, base, 0, i, size, less);
            }
            return;
        }
        unsigned char *const middle = base + n / 2 * size, *const last = base + (n - 1) * size;
        if (n > 500) {
            const size_t step = n / 8 * size;
            cth__median(s, base, base + step, base + 2 * step, size, less);
            cth__median(s, middle, middle - step, middle + step, size, less);
            cth__median(s, last, last - step, last - 2 * step, size, less);
        }
        cth__median(s, base, middle, last, size, less);
        size_t left = cth__partition(s, base, n, size, less, false);
        if (left == 0) { // nothing is before it: those equal to it are in their places then
            left = cth__partition(s, base, n, size, less, true);
            base += (left + 1) * size;
            n -= left + 1;
            continue;
        }
        s->bad -= left < n / 8 || left > n - n / 8;
        unsigned char *const after = base + (left + 1) * size;
        const size_t right = n - left - 1;
        // The smaller part by a call, so they do not nest deeply; the larger one here.
        cth__sorting part = *s;
        part.base = left < right ? base : after;
        part.n = left < right ? left : right;
        base = left < right ? after : base;
        if (forks.deque != NULL && n > CTH__SORT_PART) {
            cth__sorting rest = *s;
            rest.base = base;
            rest.n = n - 1 - part.n;
            cth__sorting *p = &part;
            memcpy(forks.top->u.bytes, &p, sizeof p);
            cth__fork_push(&forks, run);
            again(forks, &rest);
            bool here;
            (void)cth__fork_pop(&forks, &here);
            if (here) {
                again(forks, &part);
            }
            return;
        }
        again(forks, &part);
        n -= part.n + 1;
    }
    cth__insertion_sort(s, base, n, size, less);
}

/* Merge two sorted runs; of equal elements those of `a` come first. */
CTH__INLINE void cth__merge(cth_forks forks,
                            cth__merging *m,
                            size_t size,
                            cth__less_fn less,
                            void (*again)(cth_forks forks, cth__merging *m),
                            void (*run)(cth_forks forks, cth__fork *fork)) {
    const unsigned char *a = m->a, *b = m->b;
    const unsigned char *a_end = a + m->na * size, *b_end = b + m->nb * size;
    unsigned char *out = m->out;
    if (forks.deque != NULL && m->na + m->nb > CTH__SORT_PART) {
        // Cut the longer run in the middle, and the other one where that belongs.
        const bool cut_a = m->na >= m->nb;
        const unsigned char *const at = cut_a ? a + m->na / 2 * size : b + m->nb / 2 * size;
        const unsigned char *const other = cut_a ? b : a;
        size_t low = 0, high = cut_a ? m->nb : m->na;
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            const unsigned char *const x = other + middle * size;
            if (cut_a ? less(m->s, x, at) : !less(m->s, at, x)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        const size_t i = cut_a ? m->na / 2 : low, j = cut_a ? low : m->nb / 2;
        cth__merging first = {a, b, i, j, out, m->s};
        cth__merging second = {a + i * size, b + j * size,         m->na - i,
                               m->nb - j,    out + (i + j) * size, m->s};
        cth__merging *p = &second;
        memcpy(forks.top->u.bytes, &p, sizeof p);
        cth__fork_push(&forks, run);
        again(forks, &first);
        bool here;
        (void)cth__fork_pop(&forks, &here);
        if (here) {
            again(forks, &second);
        }
        return;
    }
    // From both ends at once: two chains of loads and comparisons that do not wait for each other.
    // Neither can run out of elements in as many steps as the shorter run has.
    unsigned char *out_end = out + (m->na + m->nb) * size;
    for (size_t i = m->na < m->nb ? m->na : m->nb; i > 0; i--) {
        // No branch depends on the elements: a mask is all ones when the other run's goes.
        const ptrdiff_t low = -(ptrdiff_t)less(m->s, b, a);
        const ptrdiff_t high = -(ptrdiff_t)less(m->s, b_end - size, a_end - size);
        memcpy(out, a + ((b - a) & low), size);
        out += size;
        a += (ptrdiff_t)size & ~low;
        b += (ptrdiff_t)size & low;
        out_end -= size;
        memcpy(out_end, b_end - size + ((a_end - b_end) & high), size);
        a_end -= (ptrdiff_t)size & high;
        b_end -= (ptrdiff_t)size & ~high;
    }
    while (a != a_end && b != b_end) {
        const ptrdiff_t mask = -(ptrdiff_t)less(m->s, b, a);
        memcpy(out, a + ((b - a) & mask), size);
        out += size;
        a += (ptrdiff_t)size & ~mask;
        b += (ptrdiff_t)size & mask;
    }
    memcpy(out, a, (size_t)(a_end - a));
    memcpy(out + (a_end - a), b, (size_t)(b_end - b));
}

/* Merge sort between two arrays. */
CTH__INLINE void cth__merge_sort(cth_forks forks,
                                 cth__sorting *s,
                                 size_t size,
                                 cth__less_fn less,
                                 void (*again)(cth_forks forks, cth__sorting *s),
                                 void (*run)(cth_forks forks, cth__fork *fork),
                                 void (*merge)(cth_forks forks, cth__merging *m)) {
    unsigned char *base = (unsigned char *)s->base, *buffer = (unsigned char *)s->buffer;
    if (s->n <= CTH__SORT_SMALL) {
        cth__insertion_sort(s, base, s->n, size, less);
        if (s->to_buffer) {
            memcpy(buffer, base, s->n * size);
        }
        return;
    }
    const size_t half = s->n / 2;
    cth__sorting first = *s, second = *s;
    first.n = half;
    second.n = s->n - half;
    second.base = base + half * size;
    second.buffer = buffer + half * size;
    first.to_buffer = second.to_buffer = !s->to_buffer;
    bool here = true;
    if (forks.deque != NULL && s->n > CTH__SORT_PART) {
        cth__sorting *p = &second;
        memcpy(forks.top->u.bytes, &p, sizeof p);
        cth__fork_push(&forks, run);
        again(forks, &first);
        (void)cth__fork_pop(&forks, &here);
    } else {
        again(forks, &first);
    }
    if (here) {
        again(forks, &second);
    }
    const unsigned char *const from = s->to_buffer ? base : buffer;
    cth__merging m = {from, from + half * size, half, s->n - half, s->to_buffer ? buffer : base, s};
    merge(forks, &m);
}

/* The functions of both sorts for one size and comparison: name_quick, _merge, and so on. */
#    define CTH__SORTS(name, width, less)                                                 \
      static void name##quick_run(cth_forks forks, cth__fork *fork);                      \
      static void name##merge_run(cth_forks forks, cth__fork *fork);                      \
      static void name##join_run(cth_forks forks, cth__fork *fork);                       \
      CTH__UNUSED static void name##quick(cth_forks forks, cth__sorting *s) {             \
        cth__quick_sort(forks, s, width, less, name##quick, name##quick_run);             \
      }                                                                                   \
      CTH__UNUSED static void name##join(cth_forks forks, cth__merging *m) {              \
        const cth__sorting *s = m->s;                                                     \
        (void)s;                                                                          \
        cth__merge(forks, m, width, less, name##join, name##join_run);                    \
      }                                                                                   \
      CTH__UNUSED static void name##merge(cth_forks forks, cth__sorting *s) {             \
        cth__merge_sort(forks, s, width, less, name##merge, name##merge_run, name##join); \
      }                                                                                   \
      CTH__UNUSED static void name##quick_run(cth_forks forks, cth__fork *fork) {         \
        cth__sorting *s;                                                                  \
        memcpy(&s, fork->u.bytes, sizeof s);                                              \
        name##quick(forks, s);                                                            \
      }                                                                                   \
      CTH__UNUSED static void name##merge_run(cth_forks forks, cth__fork *fork) {         \
        cth__sorting *s;                                                                  \
        memcpy(&s, fork->u.bytes, sizeof s);                                              \
        name##merge(forks, s);                                                            \
      }                                                                                   \
      CTH__UNUSED static void name##join_run(cth_forks forks, cth__fork *fork) {          \
        cth__merging *m;                                                                  \
        memcpy(&m, fork->u.bytes, sizeof m);                                              \
        name##join(forks, m);                                                             \
      }
CTH_API cth_status cth__sort_run(cth_team *team,
                                 void (*sort)(cth_forks forks, cth__sorting *s),
                                 cth__sorting *s,
                                 bool stable);
CTH_FAST void cth_progress_add(cth_progress *progress, uint32_t n) {
    if (CTH__LIKELY(n < UINT32_C(1) << 24)) {
        // relaxed: a number; what was done for it is not handed over by it
        const uint32_t fresh = cth__add(&progress->fresh, n, relaxed) + n;
        // relaxed: a hint.
        if (CTH__LIKELY(fresh < cth__load(&progress->look, relaxed))) {
            return;
        }
        n = 0;
    }
    cth__progress_look(progress, n);
}
#  endif /* !__cplusplus */

#  ifdef __cplusplus
} /* extern "C" */
#  endif
#endif /* CTH_CTHREADS_H_INCLUDED */

#if (defined(CTHREADS_IMPLEMENTATION) || defined(CTHREADS_STATIC)) && \
    !defined(CTH_CTHREADS_IMPL_INCLUDED) && !defined(__cplusplus)
#  define CTH_CTHREADS_IMPL_INCLUDED

/* -------------------------------------------------------------------------------------------------
   >>impl:platform   The operating system: parking, threads, clocks, names. The only OS #ifdefs.

   What a platform provides, each preserving errno (CTH__UNUSED: the simulator needs only some):
     cth__os_now, cth__os_wall            clocks, in nanoseconds
     cth__os_wait, cth__os_wake           sleep on a word of one thread, and end that sleep
     cth__os_thread_start, _join, _detach
     cth__os_yield, cth__os_pause         give up the CPU; a hint for spinning
     cth__os_fence_prepare, _heavy        a fence in all threads at once, if there is one
     cth__os_cpus, cth__os_cpu_quota, cth__os_native_id, cth__os_is_main, cth__os_set_name,
     cth__os_local_time
     cth__os_key_create, cth__os_key_set  call a function when a thread ends
     cth__os_on_exit, cth__os_on_fork, cth__os_entropy
     cth__os_signal_*                     from a signal to a blocking read
     cth__os_child_*, cth__os_worker_*    this program as another process, and its side of it
     cth__os_bell_*                       a file descriptor that is readable when told so
     cth__os_columns, cth__os_write       a terminal's width; a line of text

   This section knows Linux (glibc and musl). Windows (WaitOnAddress, _beginthreadex) and macOS
   (pthreads, os_sync_wait_on_address) would each be one more branch of it.
   ---------------------------------------------------------------------------------------------- */

#  include <errno.h>
#  include <stdio.h>
#  include <stdlib.h>
#  include <string.h>
#  include <time.h>

#  if CTH__TSAN || defined(__SANITIZE_ADDRESS__)
#    define CTH__SANITIZER 1
#  elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#      define CTH__SANITIZER 1
#    endif
#  endif
#  ifndef CTH__SANITIZER
#    define CTH__SANITIZER 0
#  endif

// ThreadSanitizer crashes on thrd_create and does not know mtx_lock, and AddressSanitizer overlooks
// threads (and so leaks in them) that thrd_create made: they get pthreads.
#  if defined(CTHREADS_PTHREADS) || CTH__SANITIZER || !CTH__HAS_THREADS_H
#    define CTH__PTHREADS 1
#  else
#    define CTH__PTHREADS 0
#  endif

// A test may make the n-th thread start fail: non-zero is "the system has no thread to give".
#  ifndef CTH_THREAD_START_HOOK
#    define CTH_THREAD_START_HOOK() 0
#  endif

#  ifndef CTH_PANIC
#    define CTH_PANIC(text) ((void)fprintf(stderr, "cthreads: %s\n", (text)))
#  endif

#  ifdef CTHREADS_SIM
static bool cth__sim_running(void);
#  endif

/* Print and abort: the operating system broke its contract, or misuse has no status to return.
   Under the simulator it is a failed schedule, with its seed. */
static void cth__panic(const char *text) {
#  ifdef CTHREADS_SIM
    if (cth__sim_running()) {
        cth_sim_fail("misuse", "%s", text);
    }
#  endif
    CTH_PANIC(text);
    abort();
}

#  if defined(__linux__)

#    include <fcntl.h>
#    include <poll.h>
#    include <pthread.h>
#    include <sched.h>
#    include <signal.h>
#    include <spawn.h>
#    include <sys/mman.h>
#    include <sys/eventfd.h>
#    include <sys/ioctl.h>
#    include <sys/prctl.h>
#    include <sys/socket.h>
#    include <sys/syscall.h>
#    include <sys/wait.h>
#    include <unistd.h>

// Strict -std=c11 hides these; the prototypes are those of glibc and musl.
extern long syscall(long number, ...);
extern struct tm *localtime_r(const time_t *seconds, struct tm *out);
extern int sched_getcpu(void);
extern int kill(pid_t process, int number);
extern char **environ;
#    ifdef O_CLOEXEC
#      define CTH__O_CLOEXEC O_CLOEXEC
#    else
#      define CTH__O_CLOEXEC 0
#    endif

/* The kernel's 64-bit timespec, whatever the C library's time_t is: a 32-bit library's own one
   must not reach the 64-bit system call, nor the other way round. */
struct cth__os_timespec {
    int64_t sec;
    int64_t nsec;
};
#    if defined(SYS_futex_time64)
#      define CTH__SYS_FUTEX SYS_futex_time64
#    else
#      define CTH__SYS_FUTEX SYS_futex
#    endif

static CTH__UNUSED cth_time cth__os_clock(int clock) {
#    if defined(SYS_clock_gettime64)
    struct cth__os_timespec now = {0, 0};
    const int error = errno;
    if (syscall(SYS_clock_gettime64, clock, &now) != 0) {
        cth__panic("clock_gettime failed");
    }
    errno = error;
    return now.sec * 1000000000 + now.nsec;
#    else
#      ifndef CLOCK_MONOTONIC
    extern int clock_gettime(int clock_id, struct timespec *out);
#      endif
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        cth__panic("clock_gettime failed");
    }
    return (cth_time)now.tv_sec * 1000000000 + now.tv_nsec;
#    endif
}

static CTH__UNUSED cth_time cth__os_now(void) {
    return cth__os_clock(1); // CLOCK_MONOTONIC
}

static CTH__UNUSED cth_time cth__os_wall(void) {
    return cth__os_clock(0); // CLOCK_REALTIME
}

static CTH__UNUSED void cth__os_local_time(time_t seconds, struct tm *out) {
    if (localtime_r(&seconds, out) == NULL) {
        memset(out, 0, sizeof *out);
    }
}

static CTH__UNUSED void cth__os_yield(void) {
    const int error = errno;
    (void)sched_yield();
    errno = error;
}

#    ifndef CTHREADS_SIM
/* Make cth__fence_light cost nothing, where the system has the other half of it. */
static CTH__UNUSED void cth__os_fence_prepare(void) {
#      ifdef SYS_membarrier
    const int error = errno;
    if (syscall(SYS_membarrier, 16, 0, 0) == 0) { // REGISTER_PRIVATE_EXPEDITED
        // relaxed: whoever does not see it passes a whole fence.
        atomic_store_explicit(&cth__asymmetric, 1, memory_order_relaxed);
    }
    errno = error;
#      endif
}

/* Make every running thread of the process pass a fence, this one too. */
static CTH__UNUSED void cth__os_fence_heavy(void) {
#      ifdef SYS_membarrier
    const int error = errno;
    const bool done = syscall(SYS_membarrier, 8, 0, 0) == 0; // PRIVATE_EXPEDITED
    errno = error;
    // relaxed: it was set before this, when a channel was made.
    if (!done && atomic_load_explicit(&cth__asymmetric, memory_order_relaxed) == 1) {
        cth__panic("membarrier failed");
    }
#      endif
    cth__fence(seq_cst); // [chan.T] seq_cst: where there is no such call; pairs with [chan.S]
}
#    endif

static CTH__UNUSED inline void cth__os_pause(void) {
#    if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#    elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield");
#    endif
}

/* The OS thread behind a thread of the kit. Its start function and argument stay here, since the
   new thread reads them after cth__os_thread_start has returned. */
typedef struct cth__os_thread {
    void (*fn)(void *arg);
    void *arg;
    pthread_t posix;
#    if !CTH__PTHREADS
    thrd_t c11;
    bool is_c11;
#    endif
} cth__os_thread;

static CTH__UNUSED void *cth__os_posix_main(void *p) {
    cth__os_thread *thread = (cth__os_thread *)p;
    thread->fn(thread->arg);
    return NULL;
}

#    if !CTH__PTHREADS
static int cth__os_c11_main(void *p) {
    cth__os_thread *thread = (cth__os_thread *)p;
    thread->fn(thread->arg);
    return 0;
}
#    endif

/* CTH_OK; CTH_AGAIN; CTH_INVALID when the stack size is refused. */
static CTH__UNUSED cth_status cth__os_thread_start(cth__os_thread *thread,
                                                   void (*fn)(void *arg),
                                                   void *arg,
                                                   size_t stack_size) {
    const int error = errno;
    cth_status status = CTH_OK;
    thread->fn = fn;
    thread->arg = arg;
    if (CTH_THREAD_START_HOOK()) {
        return CTH_AGAIN;
    }
#    if !CTH__PTHREADS
    thread->is_c11 = stack_size == 0;
    if (thread->is_c11) {
        // glibc says thrd_error and musl thrd_nomem for the same lack: every failure is AGAIN.
        status = thrd_create(&thread->c11, cth__os_c11_main, thread) == thrd_success ? CTH_OK
                                                                                     : CTH_AGAIN;
        errno = error;
        return status;
    }
#    endif
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) {
        return CTH_AGAIN;
    }
    if (stack_size != 0) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        const size_t rounded = (stack_size + page - 1) / page * page;
        if (rounded < stack_size || pthread_attr_setstacksize(&attr, rounded) != 0) {
            status = CTH_INVALID;
        }
    }
    if (status == CTH_OK &&
        pthread_create(&thread->posix, &attr, cth__os_posix_main, thread) != 0) {
        status = CTH_AGAIN;
    }
    (void)pthread_attr_destroy(&attr);
    errno = error;
    return status;
}

static CTH__UNUSED void cth__os_thread_join(cth__os_thread *thread) {
#    if !CTH__PTHREADS
    if (thread->is_c11) {
        if (thrd_join(thread->c11, NULL) != thrd_success) {
            cth__panic("thrd_join failed");
        }
        return;
    }
#    endif
    if (pthread_join(thread->posix, NULL) != 0) {
        cth__panic("pthread_join failed");
    }
}

static CTH__UNUSED void cth__os_thread_detach(cth__os_thread *thread) {
#    if !CTH__PTHREADS
    if (thread->is_c11) {
        (void)thrd_detach(thread->c11);
        return;
    }
#    endif
    (void)pthread_detach(thread->posix);
}

static CTH__UNUSED int64_t cth__os_native_id(void) {
    return (int64_t)syscall(SYS_gettid);
}

static CTH__UNUSED bool cth__os_is_main(void) {
    return (int64_t)getpid() == cth__os_native_id();
}

/* Name a thread for ps and gdb, which show 15 bytes; 0 is the calling thread. */
static CTH__UNUSED void cth__os_set_name(int64_t native_id, const char *name) {
    const int error = errno;
    char cut[16] = {0};
    const size_t length = strlen(name);
    memcpy(cut, name, length < sizeof cut ? length : sizeof cut - 1);
    if (native_id == 0) {
        (void)prctl(PR_SET_NAME, cut, 0, 0, 0);
    } else {
        char path[48];
        (void)snprintf(path, sizeof path, "/proc/self/task/%ld/comm", (long)native_id);
        const int file = open(path, O_WRONLY | CTH__O_CLOEXEC);
        if (file >= 0) {
            const ssize_t written = write(file, cut, strlen(cut));
            (void)written; // only a name: a thread that has just ended needs none
            (void)close(file);
        }
    }
    errno = error;
}

/* The CPU the calling thread runs on, at this moment. */
static CTH__UNUSED uint32_t cth__os_cpu(void) {
    return (uint32_t)sched_getcpu();
}

/* Add the CPUs the calling thread may use to `mask` and return how many are in it. */
static CTH__UNUSED uint32_t cth__os_cpus(unsigned long mask[64]) {
    const int error = errno;
    unsigned long mine[64] = {0};
    uint32_t count = 0;
    if (syscall(SYS_sched_getaffinity, 0, sizeof mine, mine) < 0) {
        mine[0] = 1;
    }
    for (size_t i = 0; i < 64; i++) {
        mask[i] |= mine[i];
        for (unsigned long bits = mask[i]; bits != 0; bits &= bits - 1) {
            count++;
        }
    }
    errno = error;
    return count;
}

/* Read the beginning of a file as text; false when that is not possible. */
static CTH__UNUSED bool cth__os_read(const char *path, char *text, size_t size) {
    const int error = errno;
    const int file = open(path, O_RDONLY | CTH__O_CLOEXEC);
    const ssize_t got = file >= 0 ? read(file, text, size - 1) : -1;
    if (file >= 0) {
        (void)close(file);
    }
    text[got > 0 ? got : 0] = '\0';
    errno = error;
    return got > 0;
}

/* How many CPUs' worth of time the cgroup of this process is granted, or a group above it: rounded
   up; UINT32_MAX without a limit. `root` stands before all paths, for tests. */
static CTH__UNUSED uint32_t cth__os_cpu_quota(const char *root) {
    char groups[4096], path[4096], text[64];
    uint32_t least = UINT32_MAX;
    const int error = errno; // strtoll may change it
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!cth__os_read(path, groups, sizeof groups)) {
        return least;
    }
    // Lines "0::/group" (version 2) and "4:cpu,cpuacct:/group" (version 1). In a container the
    // group may be named as seen from outside; then its limit is found at the top.
    for (char *line = groups, *next; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        char *kinds = strchr(line, ':');
        char *group = kinds != NULL ? strchr(kinds + 1, ':') : NULL;
        if (group == NULL) {
            continue;
        }
        *group++ = '\0';
        const bool second = strcmp(line, "0:") == 0;
        char *cpu = strstr(++kinds, "cpu");
        while (cpu != NULL &&
               ((cpu[3] != ',' && cpu[3] != '\0') || (cpu != kinds && cpu[-1] != ','))) {
            cpu = strstr(cpu + 3, "cpu");
        }
        for (bool more = second || cpu != NULL; more;) {
            long long quota = 0, period = 0;
            char *end;
            (void)snprintf(path, sizeof path, "%s/sys/fs/cgroup%s%s/%s", root, second ? "" : "/cpu",
                           group, second ? "cpu.max" : "cpu.cfs_quota_us");
            if (cth__os_read(path, text, sizeof text)) {
                quota = strtoll(text, &end, 10); // 0 for "max", -1 for none
                period = strtoll(end, NULL, 10);
            }
            (void)snprintf(path, sizeof path, "%s/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", root,
                           group);
            if (!second && quota > 0 && cth__os_read(path, text, sizeof text)) {
                period = strtoll(text, NULL, 10);
            }
            if (quota > 0 && period > 0 && (quota - 1) / period + 1 < (long long)least) {
                least = (uint32_t)((quota - 1) / period + 1);
            }
            char *slash = strrchr(group, '/');
            more = slash != NULL && *group != '\0';
            if (more) {
                *slash = '\0';
            }
        }
    }
    errno = error;
    return least;
}

#    if CTH__PTHREADS
typedef pthread_key_t cth__os_key;
static CTH__UNUSED bool cth__os_key_create(cth__os_key *key, void (*end)(void *)) {
    return pthread_key_create(key, end) == 0;
}
static CTH__UNUSED bool cth__os_key_set(cth__os_key key, void *value) {
    return pthread_setspecific(key, value) == 0;
}
#    else
typedef tss_t cth__os_key;
static CTH__UNUSED bool cth__os_key_create(cth__os_key *key, void (*end)(void *)) {
    return tss_create(key, end) == thrd_success;
}
static CTH__UNUSED bool cth__os_key_set(cth__os_key key, void *value) {
    return tss_set(key, value) == thrd_success;
}
#    endif

static CTH__UNUSED void cth__os_on_fork(void (*child)(void)) {
    (void)pthread_atfork(NULL, NULL, child);
}

static CTH__UNUSED uint64_t cth__os_entropy(void) {
    return (uint64_t)cth__os_wall() ^ ((uint64_t)getpid() << 40) ^
           ((uint64_t)cth__os_native_id() << 20);
}

/* Fibers: the simulator's threads, each a stack that is switched to without the system. */
#    if CTH__TSAN
#      define CTH__FIBERS 0 // ThreadSanitizer cannot follow a change of stack
#    elif defined(CTHREADS_SIM) && CTH__GNU && (defined(__x86_64__) || defined(__aarch64__)) && \
        defined(__LP64__)
#      define CTH__FIBERS 1
#    else
#      define CTH__FIBERS 0
#    endif
#    if CTH__FIBERS && CTH__SANITIZER
extern void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
extern void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
extern void __lsan_register_root_region(const void *p, size_t size);
#      define CTH__FIBER_STACK ((size_t)1 << 20)
#    else
#      define CTH__FIBER_STACK ((size_t)1 << 18)
#    endif

typedef struct cth__os_fiber {
    void *sp; // its registers are on its stack while it does not run
    const void *bottom;
    size_t size;
    void *fake; // AddressSanitizer's
} cth__os_fiber;

#    if CTH__FIBERS
#      ifndef MAP_ANONYMOUS
#        define MAP_ANONYMOUS 0x20
#      endif

static cth__os_fiber *cth__os_fiber_from; // the one that was left last

/* Save what a function call preserves on this stack, and go on where `load` was saved. */
static CTH__NOINLINE void cth__os_fiber_jump(void **save, void *load) {
#      if defined(__x86_64__)
    __asm__ __volatile__("leaq -128(%%rsp), %%rsp\n\t" // below what the compiler may keep there
                         "pushq %%rbp\n\t"
                         "pushq %%rbx\n\t"
                         "leaq 1f(%%rip), %%rax\n\t"
                         "pushq %%rax\n\t"
                         "movq %%rsp, (%0)\n\t"
                         "movq %1, %%rsp\n\t"
                         "popq %%rax\n\t"
                         "jmpq *%%rax\n"
                         "1:\n\t"
                         "popq %%rbx\n\t"
                         "popq %%rbp\n\t"
                         "leaq 128(%%rsp), %%rsp\n\t"
                         : "+D"(save), "+S"(load)
                         :
                         : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                           "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                           "cc", "memory");
#      else
    register void **to __asm__("x0") = save;
    register void *from __asm__("x1") = load;
    __asm__ __volatile__("adr x16, 1f\n\t"
                         "stp x29, x16, [sp, #-16]!\n\t"
                         "str x19, [sp, #-16]!\n\t"
                         "mov x9, sp\n\t"
                         "str x9, [x0]\n\t"
                         "mov sp, x1\n\t"
                         "ldr x19, [sp], #16\n\t"
                         "ldp x29, x16, [sp], #16\n\t"
                         "br x16\n"
                         "1:\n\t"
                         "hint #34\n\t" // bti c
                         : "+r"(to), "+r"(from)
                         :
                         : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
                           "x13", "x14", "x15", "x16", "x17", "x20", "x21", "x22", "x23", "x24",
                           "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5",
                           "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
                           "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
                           "v27", "v28", "v29", "v30", "v31", "cc", "memory");
#      endif
}

/* What a fiber does first when it runs again; in a new one by its own function. */
static void cth__os_fiber_arrive(cth__os_fiber *fiber) {
#      if CTH__SANITIZER
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(fiber->fake, &bottom, &size);
    if (cth__os_fiber_from->bottom == NULL) { // the system thread's own stack
        cth__os_fiber_from->bottom = bottom;
        cth__os_fiber_from->size = size;
    }
#      else
    (void)fiber;
#      endif
}

static void cth__os_fiber_switch(cth__os_fiber *from, cth__os_fiber *to) {
    cth__os_fiber_from = from;
#      if CTH__SANITIZER
    __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#      endif
    cth__os_fiber_jump(&from->sp, to->sp);
    cth__os_fiber_arrive(from);
}

/* Forget what the fiber did: it will call `fn`, which never returns. */
static void cth__os_fiber_reset(cth__os_fiber *fiber, void (*fn)(void)) {
    void **top = (void **)((uintptr_t)fiber->bottom + fiber->size);
#      if defined(__x86_64__)
    *--top = NULL; // where a return address would be
    *--top = (void *)(uintptr_t)fn;
#      else
    *--top = (void *)(uintptr_t)fn;
    top -= 3; // x29, alignment, x19
#      endif
    fiber->sp = top;
    fiber->fake = NULL;
}

/* Make a fiber; false when memory is lacking. */
static bool cth__os_fiber_make(cth__os_fiber *fiber, void (*fn)(void)) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *stack = (char *)mmap(NULL, CTH__FIBER_STACK + page, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == (char *)MAP_FAILED) {
        return false;
    }
    (void)mprotect(stack, page, PROT_NONE); // an overflow is a crash, not a change of other memory
    fiber->bottom = stack + page;
    fiber->size = CTH__FIBER_STACK;
#      if CTH__SANITIZER
    __lsan_register_root_region(fiber->bottom, fiber->size);
#      endif
    cth__os_fiber_reset(fiber, fn);
    return true;
}
#    endif

/* Have `handler` called on a fatal signal, once (NULL: as before). Strict C modes do not declare
   what gives it a stack of its own; then it is not called when a stack overflows. The sanitizers
   report these signals themselves. */
static CTH__UNUSED void cth__os_on_crash(void (*handler)(int)) {
#    if CTH__SANITIZER
    (void)handler;
#    else
    static const int numbers[5] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    static bool set;
    if (set == (handler != NULL)) {
        return;
    }
    set = handler != NULL;
#      if defined(SA_ONSTACK) && (defined(_DEFAULT_SOURCE) || defined(_BSD_SOURCE) || \
                                  defined(_GNU_SOURCE) || defined(_XOPEN_SOURCE))
    static char room[65536];
    static struct sigaction before[5];
    static stack_t stack_before;
    stack_t stack;
    struct sigaction action;
    memset(&stack, 0, sizeof stack);
    memset(&action, 0, sizeof action);
    stack.ss_sp = room;
    stack.ss_size = sizeof room;
    (void)(set ? sigaltstack(&stack, &stack_before) : sigaltstack(&stack_before, NULL));
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK;
    for (int i = 0; i < 5; i++) {
        (void)(set ? sigaction(numbers[i], &action, &before[i])
                   : sigaction(numbers[i], &before[i], NULL));
    }
#      else
    static void (*before[5])(int);
    for (int i = 0; i < 5; i++) {
        if (set) {
            before[i] = signal(numbers[i], handler);
        } else if (before[i] != SIG_ERR) {
            (void)signal(numbers[i], before[i]);
        }
    }
#      endif
#    endif
}

static CTH__UNUSED void cth__os_write_error(const char *text) {
    const ssize_t written = write(2, text, strlen(text));
    (void)written;
}

/* A bell for an event loop: a file descriptor that is readable while it rings. -1: there is none
   to be had. */
static CTH__UNUSED int cth__os_bell_open(void) {
    const int error = errno;
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    errno = error;
    return fd;
}

/* Let it ring, or make it silent when it rings. */
static CTH__UNUSED void cth__os_bell(int fd, bool ring) {
    const int error = errno;
    uint64_t n = 1;
    const ssize_t done = ring ? write(fd, &n, sizeof n) : read(fd, &n, sizeof n);
    (void)done; // neither waits, and a count of few has room
    errno = error;
}

static CTH__UNUSED void cth__os_bell_close(int fd) {
    const int error = errno;
    (void)close(fd);
    errno = error;
}

/* The width of a terminal; 80 when it does not say, 0 when `fd` is none. */
static CTH__UNUSED uint32_t cth__os_columns(int fd) {
    const int error = errno;
    struct winsize size = {0, 0, 0, 0};
    uint32_t columns = 0;
    if (isatty(fd)) {
        columns = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
    }
    errno = error;
    return columns;
}

/* One write; what does not fit is lost. */
static CTH__UNUSED void cth__os_write(int fd, const char *text, size_t size) {
    const int error = errno;
    const ssize_t written = write(fd, text, size);
    (void)written;
    errno = error;
}

// One pipe for all watched signals: the handler writes the number, the service thread reads it.
static CTH__UNUSED int cth__os_signal_pipe[2] = {-1, -1};
static CTH__UNUSED void (*cth__os_signal_before[65])(int);

static CTH__UNUSED void cth__os_signal_handler(int number) {
    const int error = errno;
    const char byte = (char)number;
    const ssize_t written = write(cth__os_signal_pipe[1], &byte, 1);
    (void)written; // a full pipe means the service thread has enough to do
    (void)signal(number, cth__os_signal_before[number]);
    errno = error;
}

static CTH__UNUSED bool cth__os_signal_open(void) {
    const int error = errno;
    if (pipe(cth__os_signal_pipe) != 0) {
        errno = error;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        (void)fcntl(cth__os_signal_pipe[i], F_SETFD, FD_CLOEXEC);
    }
    (void)fcntl(cth__os_signal_pipe[1], F_SETFL, O_NONBLOCK);
    errno = error;
    return true;
}

static CTH__UNUSED void cth__os_signal_close(void) {
    const int error = errno;
    (void)close(cth__os_signal_pipe[0]);
    (void)close(cth__os_signal_pipe[1]);
    cth__os_signal_pipe[0] = cth__os_signal_pipe[1] = -1;
    errno = error;
}

static CTH__UNUSED bool cth__os_signal_watch(int number) {
    const int error = errno;
    cth__os_signal_before[number] = SIG_DFL; // for one that comes before the next line is over
    void (*const before)(int) = signal(number, cth__os_signal_handler);
    if (before != SIG_ERR) {
        cth__os_signal_before[number] = before;
    }
    errno = error;
    return before != SIG_ERR;
}

static CTH__UNUSED void cth__os_signal_restore(int number) {
    (void)signal(number, cth__os_signal_before[number]);
}

/* The number of the next signal; 0 when the pipe is gone. */
static CTH__UNUSED int cth__os_signal_next(void) {
    char byte = 0;
    ssize_t got;
    do {
        got = read(cth__os_signal_pipe[0], &byte, 1);
    } while (got < 0 && errno == EINTR);
    return got == 1 ? byte : 0;
}

/* Worker processes. The two sides have a socket, for requests and replies of a fixed size, and a
   piece of shared memory, which holds everything of variable size. The worker finds them at these
   descriptors. */
enum { CTH__WORKER_SOCKET = 3, CTH__WORKER_MEMORY = 4, CTH__WORKER_FILES = 5 };
#    define CTH__WORKER_FLAG "--cthreads-worker"

/* A part of that memory, mapped on its own. */
typedef struct cth__os_memory {
    unsigned char *bytes;
    size_t size;
} cth__os_memory;

typedef struct cth__os_child {
    pid_t pid;
    int process; // its pidfd; -1: the system has none, then only the socket tells that it ended
    int socket, memory;
    int bell;              // ends a watch
    unsigned char *shared; // the worker has all of it here, its parent the first `base` bytes
    size_t base;
    size_t size; // of all of it
} cth__os_child;

// The bounds of the code, from the linker.
extern const char __executable_start[] __attribute__((weak));
extern const char _etext[] __attribute__((weak));

/* Where workers can be started: there is a way to this program's file, and bounds of its code. */
static CTH__UNUSED bool cth__os_children(void) {
    const int error = errno;
    const bool can = access("/proc/self/exe", X_OK) == 0;
    errno = error;
    return can && (uintptr_t)_etext != 0;
}

/* Whether a function is of the file that holds the kit, so that it is as far from the kit's own
   functions in each process. */
static CTH__UNUSED bool cth__os_in_program(uintptr_t fn) {
    return fn >= (uintptr_t)__executable_start && fn < (uintptr_t)_etext;
}

static CTH__UNUSED void cth__os_child_close(cth__os_child *child) {
    const int files[4] = {child->process, child->socket, child->memory, child->bell};
    for (int i = 0; i < 4; i++) {
        if (files[i] >= 0) {
            (void)close(files[i]);
        }
    }
    if (child->shared != NULL) {
        (void)munmap(child->shared, child->base);
    }
}

/* Have memory for `size` bytes from place `at` on. */
static CTH__UNUSED bool cth__os_child_fill(cth__os_child *child, size_t at, size_t size) {
    const int error = errno;
    bool good = false;
#    if defined(SYS_fallocate) && defined(__LP64__)
    // Takes the memory now: later, a lack of it would be a signal.
    do {
        good = syscall(SYS_fallocate, child->memory, 0, (long)at, (long)size) == 0;
    } while (!good && errno == EINTR);
    if (!good && errno != EOPNOTSUPP && errno != ENOSYS) {
        errno = error;
        return false;
    }
#    endif
    good = good || (lseek(child->memory, (off_t)(at + size - 1), SEEK_SET) >= 0 &&
                    write(child->memory, "", 1) == 1);
    errno = error;
    return good;
}

/* Map a part of the memory; it must not be touched where it was not filled. */
static CTH__UNUSED bool cth__os_child_map(cth__os_child *child,
                                          cth__os_memory *memory,
                                          size_t at,
                                          size_t size) {
    const int error = errno;
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, child->memory, (off_t)at);
    errno = error;
    if (bytes == MAP_FAILED) {
        return false;
    }
    memory->bytes = (unsigned char *)bytes;
    memory->size = size;
    child->size = at + size > child->size ? at + size : child->size;
    return true;
}

/* The process may have ended by now. */
static CTH__UNUSED void cth__os_memory_unmap(cth__os_memory *memory) {
    const int error = errno;
    (void)munmap(memory->bytes, memory->size);
    errno = error;
}

/* Give the system back what was filled. */
static CTH__UNUSED void cth__os_memory_empty(cth__os_memory *memory) {
    const int error = errno;
    (void)syscall(SYS_madvise, memory->bytes, memory->size, 9); // MADV_REMOVE
    errno = error;
}

/* Move a descriptor out of the way of those that a worker gets. */
static int cth__os_high(int file) {
    const int high = file >= 0 ? fcntl(file, 1030, 16) : -1; // F_DUPFD_CLOEXEC
    if (file >= 0) {
        (void)close(file);
    }
    return high;
}

/* Start this program again as a worker, with `base` bytes of memory. The calling thread must live
   longer than it: when that thread ends, the system kills it. CTH_OK; CTH_AGAIN; CTH_NOMEM;
   CTH_UNSUPPORTED. */
static CTH__UNUSED cth_status cth__os_child_start(cth__os_child *child,
                                                  const char *program,
                                                  const char *name,
                                                  size_t base) {
    const int error = errno;
    cth__os_memory first = {NULL, 0};
    int ends[2] = {-1, -1};
    (void)socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    const int theirs = cth__os_high(ends[1]);
    memset(child, 0, sizeof *child);
    child->process = -1;
    child->socket = ends[0];
    child->memory = cth__os_high((int)syscall(SYS_memfd_create, "cthreads", 3)); // CLOEXEC, seals
    child->bell = cth__os_bell_open();
    int failed = theirs < 0 || child->memory < 0 || child->bell < 0
                     ? (errno == ENOSYS ? ENOSYS : EMFILE)
                     : 0;
    if (failed == 0 &&
        (!cth__os_child_fill(child, 0, base) || !cth__os_child_map(child, &first, 0, base) ||
         fcntl(child->memory, 1033, 2) != 0)) { // F_ADD_SEALS: SHRINK
        failed = ENOMEM;
    }
    child->shared = first.bytes;
    child->base = first.size;
    if (failed == 0) {
        char parent[24];
        (void)snprintf(parent, sizeof parent, "%ld", (long)getpid());
        char *const args[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)CTH__WORKER_FLAG,
                              (char *)(uintptr_t)name, parent, NULL};
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attr;
        sigset_t none;
        memset(&none, 0, sizeof none);
        (void)posix_spawn_file_actions_init(&files);
        (void)posix_spawnattr_init(&attr);
        failed = posix_spawn_file_actions_adddup2(&files, theirs, CTH__WORKER_SOCKET);
        failed = failed != 0
                     ? failed
                     : posix_spawn_file_actions_adddup2(&files, child->memory, CTH__WORKER_MEMORY);
        (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
        (void)posix_spawnattr_setsigmask(&attr, &none);
        failed = failed != 0
                     ? failed
                     : posix_spawn(&child->pid, "/proc/self/exe", &files, &attr, args, environ);
        (void)posix_spawn_file_actions_destroy(&files);
        (void)posix_spawnattr_destroy(&attr);
    }
    if (theirs >= 0) {
        (void)close(theirs);
    }
    if (failed == 0) {
        child->process = (int)syscall(434, child->pid, 0); // pidfd_open, always close-on-exec
    } else {
        cth__os_child_close(child);
    }
    errno = error;
    return failed == 0                            ? CTH_OK
           : failed == ENOMEM                     ? CTH_NOMEM
           : failed == EAGAIN || failed == EMFILE ? CTH_AGAIN
                                                  : CTH_UNSUPPORTED;
}

/* Send a message; false when nobody will read it. */
static CTH__UNUSED bool cth__os_child_send(cth__os_child *child, const void *bytes, size_t size) {
    const int error = errno;
    ssize_t sent;
    do {
        sent = send(child->socket, bytes, size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    errno = error;
    return sent == (ssize_t)size;
}

/* Wait for a message, of which at most `size` bytes are kept: their number, 0 when no more will
   come, or -1 at the deadline. */
static CTH__UNUSED int cth__os_child_recv(cth__os_child *child,
                                          void *bytes,
                                          size_t size,
                                          cth_time deadline) {
    const int error = errno;
    struct pollfd files[2] = {{child->socket, POLLIN, 0}, {child->process, POLLIN, 0}};
    int result;
    for (;;) {
        const cth_time left = deadline == CTH_FOREVER ? -1 : deadline - cth__os_now();
        if (deadline != CTH_FOREVER && left <= 0) {
            result = -1;
            break;
        }
        const cth_time ms = left < 0 ? -1 : left / 1000000 < 3600000 ? left / 1000000 + 1 : 3600000;
        files[0].revents = files[1].revents = 0;
        if (poll(files, 2, (int)ms) == 0) {
            continue;
        }
        const ssize_t got = recv(child->socket, bytes, size, MSG_DONTWAIT);
        if (got >= 0) {
            result = (int)got;
            break;
        }
        if ((errno != EAGAIN && errno != EINTR) || files[1].revents != 0) {
            result = 0;
            break;
        }
    }
    errno = error;
    return result;
}

/* Wait until the process has ended, which is true, or for a rouse, also one before this. */
static CTH__UNUSED bool cth__os_child_watch(cth__os_child *child) {
    const int error = errno;
    const int file = child->process >= 0 ? child->process : child->socket;
    struct pollfd files[2] = {{file, POLLIN, 0}, {child->bell, POLLIN, 0}};
    while (poll(files, 2, -1) < 0) {
        files[0].revents = 0; // EINTR
    }
    cth__os_bell(child->bell, false);
    errno = error;
    return files[0].revents != 0;
}

static CTH__UNUSED void cth__os_child_rouse(cth__os_child *child) {
    cth__os_bell(child->bell, true);
}

/* Send a signal to a process that was not waited for yet, so that its number is still its own;
   another wait of the program may have taken it all the same, then the pidfd knows. */
static CTH__UNUSED void cth__os_child_kill(cth__os_child *child, int number) {
    const int error = errno;
    if (child->process >= 0) {
        (void)syscall(424, child->process, number, NULL, 0); // pidfd_send_signal
    } else {
        (void)kill(child->pid, number);
    }
    errno = error;
}

/* Tell the process that nothing more is to do, wait until it has ended, kill it at the deadline,
   and give back all of it. How it ended goes to `text`. */
static CTH__UNUSED void cth__os_child_end(cth__os_child *child,
                                          cth_time deadline,
                                          char *text,
                                          size_t size) {
    const int error = errno;
    int status = 0;
    pid_t ended;
    (void)shutdown(child->socket, SHUT_WR); // a copy in the child of a fork does not keep it open
    for (;;) {
        const cth_time left = deadline - cth__os_now();
        struct pollfd file = {child->process >= 0 ? child->process : child->socket, POLLIN, 0};
        if (left <= 0) {
            cth__os_child_kill(child, SIGKILL);
            break;
        }
        if (poll(&file, 1, (int)(left / 1000000) + 1) > 0) {
            break;
        }
    }
    do {
        ended = waitpid(child->pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    cth__os_child_close(child);
    errno = error;
    if (ended != child->pid) { // SIGCHLD is ignored, or another wait of the program took it
        (void)snprintf(text, size, "ended, in what way is unknown");
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(text, size, "killed by signal %d", WTERMSIG(status));
    } else {
        (void)snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
    }
}

/* In a process that cth__os_child_start has made: be ready to work. False in any other. */
static CTH__UNUSED bool cth__os_worker_begin(cth__os_child *worker, int argc, char **argv) {
    int type = 0;
    socklen_t length = sizeof type;
    if (argc != 4 || strcmp(argv[1], CTH__WORKER_FLAG) != 0 ||
        getsockopt(CTH__WORKER_SOCKET, SOL_SOCKET, SO_TYPE, &type, &length) != 0 ||
        type != SOCK_SEQPACKET) {
        return false;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if ((long)getppid() != strtol(argv[3], NULL, 10)) {
        _exit(EXIT_FAILURE); // it died before the line above
    }
    if (syscall(436, CTH__WORKER_FILES, ~0U, 0) != 0) { // close_range
        for (int file = CTH__WORKER_FILES; file < 1024; file++) {
            (void)close(file);
        }
    }
    (void)fcntl(CTH__WORKER_SOCKET, F_SETFD, FD_CLOEXEC);
    (void)fcntl(CTH__WORKER_MEMORY, F_SETFD, FD_CLOEXEC);
    const int nothing = open("/dev/null", O_RDONLY | CTH__O_CLOEXEC);
    if (nothing > 0) {
        (void)dup2(nothing, 0);
        (void)close(nothing);
    }
    (void)signal(SIGINT, SIG_IGN);
    memset(worker, 0, sizeof *worker);
    worker->process = worker->bell = -1;
    worker->socket = CTH__WORKER_SOCKET;
    worker->memory = CTH__WORKER_MEMORY;
    return true;
}

/* The next request; false when there will be none. */
static CTH__UNUSED bool cth__os_worker_recv(cth__os_child *worker, void *bytes, size_t size) {
    ssize_t got;
    do {
        got = recv(worker->socket, bytes, size, 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)size;
}

/* Map the shared memory, which the other side has made `size` bytes large. */
static CTH__UNUSED bool cth__os_worker_map(cth__os_child *worker, size_t size) {
    if (size == worker->size) {
        return true;
    }
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, worker->memory, 0);
    if (shared == MAP_FAILED) {
        return false;
    }
    if (worker->shared != NULL) {
        (void)munmap(worker->shared, worker->size);
    }
    worker->shared = (unsigned char *)shared;
    worker->size = size;
    return true;
}

#    if !defined(CTHREADS_PORTABLE_PARK)

typedef struct cth__os_parker {
    char none; // the word is all a futex needs
} cth__os_parker;

static CTH__UNUSED bool cth__os_parker_init(cth__os_parker *parker) {
    parker->none = 0;
    return true;
}

static CTH__UNUSED long cth__os_futex(cth__word *word,
                                      int operation,
                                      uint32_t value,
                                      const struct cth__os_timespec *until) {
    return syscall(CTH__SYS_FUTEX, word, operation | 128, value, until, NULL, ~0U); // 128: private
}

/* Sleep while *word == expected, until woken or the deadline; may return early for no reason. */
static CTH__UNUSED void cth__os_wait(cth__os_parker *parker,
                                     cth__word *word,
                                     uint32_t expected,
                                     cth_time deadline) {
    (void)parker;
    const int error = errno;
    const struct cth__os_timespec until = {deadline / 1000000000, deadline % 1000000000};
    // FUTEX_WAIT_BITSET takes an absolute time on CLOCK_MONOTONIC; the order is the caller's.
    const long result = cth__os_futex(word, 9, expected, deadline == CTH_FOREVER ? NULL : &until);
    if (result != 0 && errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT) {
        cth__panic("futex wait failed");
    }
    errno = error;
}

/* End the sleep on `word`, which the caller has changed before. The word may be gone by now: a
   wake on memory that has become something else wakes nobody or somebody who looks again. */
static CTH__UNUSED void cth__os_wake(cth__os_parker *parker, cth__word *word) {
    (void)parker;
    const int error = errno;
    (void)cth__os_futex(word, 1, 1, NULL);
    errno = error;
}

#    else

#      if CTH__PTHREADS
typedef struct cth__os_parker {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
} cth__os_parker;
#        define CTH__OS_LOCK(p)   pthread_mutex_lock(&(p)->mutex)
#        define CTH__OS_UNLOCK(p) pthread_mutex_unlock(&(p)->mutex)
#        define CTH__OS_SLEEP(p)  pthread_cond_wait(&(p)->cond, &(p)->mutex)
#        define CTH__OS_CALL(p)   pthread_cond_broadcast(&(p)->cond)
static CTH__UNUSED bool cth__os_parker_init(cth__os_parker *parker) {
    if (pthread_mutex_init(&parker->mutex, NULL) != 0) {
        return false;
    }
    return pthread_cond_init(&parker->cond, NULL) == 0;
}
#      else
typedef struct cth__os_parker {
    mtx_t mutex;
    cnd_t cond;
} cth__os_parker;
#        define CTH__OS_LOCK(p)   mtx_lock(&(p)->mutex)
#        define CTH__OS_UNLOCK(p) mtx_unlock(&(p)->mutex)
#        define CTH__OS_SLEEP(p)  cnd_wait(&(p)->cond, &(p)->mutex)
#        define CTH__OS_CALL(p)   cnd_broadcast(&(p)->cond)
static CTH__UNUSED bool cth__os_parker_init(cth__os_parker *parker) {
    if (mtx_init(&parker->mutex, mtx_plain) != thrd_success) {
        return false;
    }
    return cnd_init(&parker->cond) == thrd_success;
}
#      endif

#      if CTH__HAS_THREADS_H
#        define CTH__OS_NAP(span) ((void)thrd_sleep((span), NULL))
#      else
extern int nanosleep(const struct timespec *span, struct timespec *left);
#        define CTH__OS_NAP(span) ((void)nanosleep((span), NULL))
#      endif

/* As the futex form. The timed waits of C11 and of plain POSIX follow the wall clock, which may be
   set: a wait with a deadline looks at the word and the monotonic clock between naps of up to 1 ms
   (that much later may it be woken). */
static CTH__UNUSED void cth__os_wait(cth__os_parker *parker,
                                     cth__word *word,
                                     uint32_t expected,
                                     cth_time deadline) {
    const int error = errno;
    cth_time nap = 20000;
    (void)CTH__OS_LOCK(parker);
    // relaxed: the waker changes the word before it takes this mutex; the caller orders.
    while (atomic_load_explicit(word, memory_order_relaxed) == expected) {
        if (deadline == CTH_FOREVER) {
            (void)CTH__OS_SLEEP(parker);
            continue;
        }
        const cth_time left = deadline - cth__os_now();
        if (left <= 0) {
            break;
        }
        const struct timespec span = {0, (long)(left < nap ? left : nap)};
        nap = nap < 500000 ? nap * 2 : 1000000;
        (void)CTH__OS_UNLOCK(parker);
        CTH__OS_NAP(&span);
        (void)CTH__OS_LOCK(parker);
    }
    (void)CTH__OS_UNLOCK(parker);
    errno = error;
}

static CTH__UNUSED void cth__os_wake(cth__os_parker *parker, cth__word *word) {
    (void)word;
    const int error = errno;
    (void)CTH__OS_LOCK(parker);
    (void)CTH__OS_CALL(parker);
    (void)CTH__OS_UNLOCK(parker);
    errno = error;
}
#    endif

#  else
#    error "cthreads.h: this platform is not supported yet (Linux is)"
#  endif

/* -------------------------------------------------------------------------------------------------
   >>impl:status   Names and texts. Messages are in impl:hook, with the thread's record.
   ---------------------------------------------------------------------------------------------- */

CTH_API const char *cth_status_name(cth_status status) {
    switch (status) {
#  define CTH__X(name, text) \
  case CTH_##name: return "CTH_" #name;
        CTH__STATUS_LIST(CTH__X)
#  undef CTH__X
    }
    return "CTH_?";
}

CTH_API const char *cth_status_text(cth_status status) {
    switch (status) {
#  define CTH__X(name, text) \
  case CTH_##name: return text;
        CTH__STATUS_LIST(CTH__X)
#  undef CTH__X
    }
    return "no status of this kit";
}

CTH_API void cth__panic_status(const char *what, cth_status status) {
    char text[160];
    (void)snprintf(text, sizeof text, "%s: %s (%s)", what, cth_status_name(status),
                   cth_status_text(status));
    cth__panic(text);
}

/* -------------------------------------------------------------------------------------------------
   >>impl:explore   The simulator's choices: strategies, replay, the search, shrinking.

   Everything left open in a schedule is a pick: a number below n, where 0 is the plain course (the
   thread goes on, the newest store is seen, no fault). A schedule is the list of the picks that are
   not 0, each with its place among all picks: that list replays it, and a shorter list that fails
   likewise is a simpler schedule. In an exhaustive search each pick that may still be varied is a
   level of a stack; the next schedule varies the deepest level that has something left.

   A pick of another thread than the one that could go on, of an old store and of a fault costs from
   a budget in an exhaustive search; so the search is finite, and complete within the bounds.

   All of `cth__x` is touched by the thread that runs (or by the controller) only.
   ---------------------------------------------------------------------------------------------- */

#  ifdef CTHREADS_SIM

// What a pick is about.
enum {
    CTH__PREEMPT, // another thread, though this one could go on; at a yield, not the next in turn
    CTH__STALE,   // an older store
    CTH__FAULT,   // something fails
    CTH__OPEN_TO, // no plain course: all are tried
    CTH__FIXED,   // varied at random only
    CTH__BUDGETS = CTH__OPEN_TO
};

typedef struct cth__change {
    uint32_t at, value;
} cth__change;

typedef struct cth__changes {
    cth__change *list;
    size_t n, room;
} cth__changes;

typedef struct cth__level {
    uint32_t at, value, n;
    int kind;
} cth__level;

#    define CTH__PRINTED 512 // more changes than any report prints

static struct cth__explorer {
    cth_sim_strategy strategy;
    bool scripted; // the picks come from `script`
    bool endless;  // a whole program: changes too many to print are not kept
    uint64_t rng;
    uint32_t picks; // in this schedule so far
    cth__changes made;
    cth__changes script;
    size_t script_next;
    int bounds[CTH__BUDGETS], left[CTH__BUDGETS];
    cth__level *levels;
    size_t depth, next, levels_room;
    uint32_t stay;        // random walk: a thread goes on `stay` times of `stay + 1`
    uint64_t changes[16]; // PCT: the steps at which a priority falls
    uint64_t points;      // PCT: steps explored so far
    uint32_t low;         // PCT: the next priority below all others
} cth__x;

static uint64_t cth__mix64(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A random number below n. */
static uint32_t cth__x_below(uint32_t n) {
    return n < 2 ? 0 : (uint32_t)(((cth__mix64(&cth__x.rng) >> 32) * n) >> 32);
}

/* Room for one more in a growing array. */
static void *cth__x_grow(void *array, size_t n, size_t *room, size_t size) {
    if (n < *room) {
        return array;
    }
    const size_t more = *room != 0 ? *room * 2 : 256;
    void *grown = realloc(array, more * size);
    if (grown == NULL) {
        cth__panic("no memory for the simulator");
    }
    *room = more;
    return grown;
}

static void cth__x_append(cth__changes *changes, uint32_t at, uint32_t value) {
    changes->list = (cth__change *)cth__x_grow(changes->list, changes->n, &changes->room,
                                               sizeof *changes->list);
    changes->list[changes->n].at = at;
    changes->list[changes->n++].value = value;
}

static void cth__x_copy(cth__changes *to, const cth__changes *from) {
    to->n = 0;
    for (size_t i = 0; i < from->n; i++) {
        cth__x_append(to, from->list[i].at, from->list[i].value);
    }
}

static void cth__sim_differs(void) {
    cth_sim_fail("scenario", "it does not do the same in the same schedule");
}

/* The exhaustive search's value for a pick. */
static uint32_t cth__x_search(uint32_t at, uint32_t n, int kind) {
    cth__level *level = cth__x.levels + cth__x.next;
    if (cth__x.next < cth__x.depth) {
        if (level->at != at) {
            return 0; // had nothing to vary when it was reached first
        }
        if (level->n != n || level->kind != kind) {
            cth__sim_differs();
        }
    } else {
        if (kind == CTH__FIXED || (kind < CTH__BUDGETS && cth__x.left[kind] == 0)) {
            return 0;
        }
        cth__x.levels = (cth__level *)cth__x_grow(cth__x.levels, cth__x.depth, &cth__x.levels_room,
                                                  sizeof *cth__x.levels);
        level = &cth__x.levels[cth__x.depth++];
        level->at = at;
        level->value = 0;
        level->n = n;
        level->kind = kind;
    }
    cth__x.next++;
    if (level->value != 0 && kind < CTH__BUDGETS) {
        cth__x.left[kind]--;
    }
    return level->value;
}

/* Make the search's next schedule; false when all have been had. */
static bool cth__x_next_search(void) {
    while (cth__x.depth > 0) {
        cth__level *level = &cth__x.levels[cth__x.depth - 1];
        if (++level->value < level->n) {
            return true;
        }
        cth__x.depth--;
    }
    return false;
}

/* Pick a number below n; `wanted` is what a random strategy takes. */
static uint32_t cth__pick(uint32_t n, int kind, uint32_t wanted) {
    if (n < 2) {
        return 0;
    }
    const uint32_t at = cth__x.picks++;
    uint32_t value = wanted;
    if (cth__x.scripted) {
        const cth__changes *script = &cth__x.script;
        size_t *next = &cth__x.script_next;
        value = 0;
        if (*next < script->n && script->list[*next].at == at) {
            value = script->list[(*next)++].value;
            value = value < n ? value : n - 1;
        }
    } else if (cth__x.strategy == CTH_SIM_EXHAUSTIVE) {
        value = cth__x_search(at, n, kind);
    }
    if (value != 0 && !(cth__x.endless && cth__x.made.n > CTH__PRINTED)) {
        cth__x_append(&cth__x.made, at, value);
    }
    return value;
}

/* Any of n, for a choice without a plain course. */
static uint32_t cth__pick_any(uint32_t n) {
    return cth__pick(n, CTH__OPEN_TO, cth__x_below(n));
}

/* Whether a fault happens here: at random once in `odds`. */
static bool cth__pick_fault(uint32_t odds) {
    return cth__pick(2, CTH__FAULT, cth__x_below(odds) == 0) != 0;
}

/* Begin a schedule of `seed`; `depth` is PCT's. */
static void cth__x_begin(uint64_t seed, int depth) {
    cth__x.rng = seed * UINT64_C(0xd1342543de82ef95) + 1;
    cth__x.picks = 0;
    cth__x.made.n = 0;
    cth__x.script_next = 0;
    cth__x.next = 0;
    memcpy(cth__x.left, cth__x.bounds, sizeof cth__x.left);
    cth__x.stay = (UINT32_C(1) << cth__x_below(5)) - 1;
    if (cth__x.strategy == CTH_SIM_PCT) {
        const uint32_t steps = UINT32_C(64) << cth__x_below(6); // a guess, of the seed alone
        cth__x.low = UINT32_C(1) << 16;
        cth__x.points = 0;
        for (int i = 0; i < 16; i++) {
            cth__x.changes[i] = i < depth - 1 ? 1 + cth__x_below(steps) : 0;
        }
    }
}

/* PCT: a new thread's priority. */
static uint32_t cth__x_priority(void) {
    return cth__x.strategy != CTH_SIM_PCT ? 0
                                          : (UINT32_C(1) << 16) + cth__x_below(UINT32_C(1) << 30);
}

/* PCT: a priority below all others. */
static uint32_t cth__x_lowest(void) {
    cth__x.low -= cth__x.low > 1;
    return cth__x.low;
}

/* PCT: whether the priority of the thread that runs falls at this step. */
static bool cth__x_falls(uint64_t step) {
    bool falls = false;
    for (int i = 0; i < 16; i++) {
        falls = falls || cth__x.changes[i] == step;
    }
    return falls;
}

/* Write a schedule as "14:1,30:2", or "0:0" for the plain one; "" when it does not fit. */
static void cth__x_print(const cth__changes *changes, char *text, size_t size) {
    size_t used = 0;
    (void)snprintf(text, size, "%s", changes->n == 0 ? "0:0" : "");
    for (size_t i = 0; i < changes->n; i++) {
        const int n = snprintf(text + used, size - used, "%s%u:%u", i == 0 ? "" : ",",
                               (unsigned)changes->list[i].at, (unsigned)changes->list[i].value);
        used += (size_t)n;
        if (used >= size) {
            text[0] = '\0';
            return;
        }
    }
}

/* Read one; false when it is none. */
static bool cth__x_parse(cth__changes *changes, const char *text) {
    uint32_t before = 0;
    changes->n = 0;
    while (*text != '\0') {
        char *end;
        const unsigned long at = strtoul(text, &end, 10);
        if (end == text || *end != ':' || (changes->n != 0 && at <= before)) {
            return false;
        }
        text = end + 1;
        const unsigned long value = strtoul(text, &end, 10);
        if (end == text || value == 0 || (*end != ',' && *end != '\0') || at > UINT32_MAX ||
            value > UINT32_MAX) {
            return false;
        }
        cth__x_append(changes, (uint32_t)at, (uint32_t)value);
        before = (uint32_t)at;
        if (*end == ',' && end[1] == '\0') {
            return false;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return true;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:model   The simulator's memory: what a load may see, and what is a race.

   The model is that of Norris and Demsky's CDSChecker (OOPSLA 2013), without load buffering: the
   stores to a word are in the order in which they were made; a load may see any of the latest few
   that is not hidden by one it must know of. Each thread has a clock, a count of its operations,
   and a view: how far along each thread's clock it has seen. A store that a thread of the view made
   or saw hides all before it. A release store carries the view of its thread, and so does one that
   follows a release fence; an acquire load that sees it takes that view over. Read-modify-writes
   see the newest store, and pass on what it carries. Loads and stores that are seq_cst are
   acquire and release ones; only fences that are seq_cst order a store before a later load.

   A view is two arrays: `hb` is what happens before, for races; `co` adds what seq_cst fences
   order, for loads. A word that was changed behind the model's back (by an initialisation) starts
   anew. The real word always holds the newest store. With more than CTH__VIEW threads at one time
   the model is off for the rest of a schedule: each load sees the newest store, nothing is a race.
   ---------------------------------------------------------------------------------------------- */

#    define CTH__VIEW   16 // threads at one time
#    define CTH__STORES 4  // a load may see so many of the latest stores
#    define CTH__UNSEEN UINT32_MAX

typedef struct cth__view {
    uint32_t hb[CTH__VIEW], co[CTH__VIEW];
} cth__view;

typedef struct cth__stored {
    uint64_t value;
    uint32_t seen[CTH__VIEW]; // when each thread made or first saw it
    bool carries;
    cth__view view; // what it carries
} cth__stored;

/* What is known of one address. */
typedef struct cth__cell {
    const volatile void *p;
    uint64_t schedule;        // the rest is of that one
    const void *user;         // exhaustive search: the thread that used it first in this schedule
    bool shared;              // ... and whether several have in any schedule
    bool freed;               //
    bool atomic;              // `stores` is in use
    bool pointer;             // ... and they are addresses
    uint8_t stale[CTH__VIEW]; // how often in a row each thread has seen an old store
    uint32_t newest;          // index of the newest store
    uint32_t n;
    cth__stored stores[CTH__STORES];
    uint32_t writer, written; // plain data: the last write, by which thread and when
    const char *write_site;
    uint32_t reads[CTH__VIEW];
    const char *read_sites[CTH__VIEW];
} cth__cell;

/* The model's part of a thread. */
typedef struct cth__viewer {
    uint32_t slot;
    bool calm; // takes the plain course: see cth_sim_explore
    bool has_released, has_pending;
    cth__view view;
    cth__view released; // at its last release fence
    cth__view pending;  // what an acquire fence would take over
} cth__viewer;

static struct cth__model {
    bool weak; // loads may see old stores
    bool off;  // too many threads
    uint64_t schedule;
    uint32_t width; // views in use
    uint32_t clocks[CTH__VIEW];
    bool taken[CTH__VIEW];
    uint32_t fenced[CTH__VIEW]; // `co` of all seq_cst fences so far
    cth__cell **cells;
    size_t n_cells, cells_room;
    uint32_t *table; // hash table of indices + 1 into `cells`
    size_t table_size;
    uint64_t sharing; // how many cells are shared
    struct {
        const char *begin, *end;
    } freed[256];
    size_t n_freed;
} cth__m;

static size_t cth__cell_slot(const volatile void *p) {
    size_t at = (size_t)(((uint64_t)(uintptr_t)p >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    for (at &= cth__m.table_size - 1; cth__m.table[at] != 0;
         at = (at + 1) & (cth__m.table_size - 1)) {
        if (cth__m.cells[cth__m.table[at] - 1]->p == p) {
            break;
        }
    }
    return at;
}

static bool cth__is_freed(const volatile void *p) {
    const char *at = (const char *)(uintptr_t)p;
    for (size_t i = 0; i < cth__m.n_freed; i++) {
        if (at >= cth__m.freed[i].begin && at < cth__m.freed[i].end) {
            return true;
        }
    }
    return false;
}

static void cth__cell_fresh(cth__cell *cell) {
    cell->schedule = cth__m.schedule;
    cell->user = NULL;
    cell->freed = cth__m.n_freed != 0 && cth__is_freed(cell->p);
    cell->atomic = false;
    cell->writer = CTH__UNSEEN;
    memset(cell->reads, 0, sizeof cell->reads);
}

/* The cell of an address, made at its first use. */
static cth__cell *cth__cell_of(const volatile void *p) {
    if (cth__m.n_cells * 2 >= cth__m.table_size) {
        const size_t size = cth__m.table_size != 0 ? cth__m.table_size * 2 : 1024;
        uint32_t *table = (uint32_t *)calloc(size, sizeof *table);
        if (table == NULL) {
            cth__panic("no memory for the simulator");
        }
        free(cth__m.table);
        cth__m.table = table;
        cth__m.table_size = size;
        for (size_t i = 0; i < cth__m.n_cells; i++) {
            cth__m.table[cth__cell_slot(cth__m.cells[i]->p)] = (uint32_t)i + 1;
        }
    }
    const size_t at = cth__cell_slot(p);
    cth__cell *cell;
    if (cth__m.table[at] != 0) {
        cell = cth__m.cells[cth__m.table[at] - 1];
    } else {
        if (cth__m.n_cells == cth__m.cells_room) {
            cth__m.cells = (cth__cell **)cth__x_grow(cth__m.cells, cth__m.n_cells,
                                                     &cth__m.cells_room, sizeof *cth__m.cells);
            for (size_t i = cth__m.n_cells; i < cth__m.cells_room; i++) {
                cth__m.cells[i] = NULL;
            }
        }
        cell = cth__m.cells[cth__m.n_cells];
        if (cell == NULL) {
            cell = (cth__cell *)malloc(sizeof *cell);
            if (cell == NULL) {
                cth__panic("no memory for the simulator");
            }
            cth__m.cells[cth__m.n_cells] = cell;
        }
        cth__m.table[at] = (uint32_t)++cth__m.n_cells;
        cell->p = p;
        cell->schedule = 0;
        cell->shared = false;
    }
    if (cell->schedule != cth__m.schedule) {
        cth__cell_fresh(cell);
    }
    return cell;
}

/* Forget all addresses: they add up when memory is allocated elsewhere in each schedule. */
static void cth__model_forget(void) {
    cth__m.n_cells = 0;
    if (cth__m.table != NULL) {
        memset(cth__m.table, 0, cth__m.table_size * sizeof *cth__m.table);
    }
}

static void cth__model_begin(void) {
    cth__m.schedule++;
    cth__m.off = false;
    cth__m.width = 0;
    cth__m.n_freed = 0;
    memset(cth__m.clocks, 0, sizeof cth__m.clocks);
    memset(cth__m.taken, 0, sizeof cth__m.taken);
    memset(cth__m.fenced, 0, sizeof cth__m.fenced);
}

static void cth__view_join(uint32_t *to, const uint32_t *from) {
    for (uint32_t i = 0; i < cth__m.width; i++) {
        to[i] = to[i] > from[i] ? to[i] : from[i];
    }
}

static void cth__view_take(cth__view *to, const cth__view *from) {
    cth__view_join(to->hb, from->hb);
    cth__view_join(to->co, from->co);
}

/* Give a new thread a clock and its starter's view (NULL: it is the first). */
static void cth__viewer_begin(cth__viewer *viewer, const cth__viewer *starter) {
    uint32_t slot = 0;
    while (slot < CTH__VIEW && cth__m.taken[slot]) {
        slot++;
    }
    if (slot == CTH__VIEW) {
        cth__m.off = true;
        slot = 0;
    }
    cth__m.taken[slot] = true;
    cth__m.width = slot + 1 > cth__m.width ? slot + 1 : cth__m.width;
    memset(viewer, 0, sizeof *viewer);
    viewer->slot = slot;
    if (starter != NULL) {
        viewer->view = starter->view;
        viewer->calm = starter->calm;
    }
    // A clock is used again after its thread has ended: as if one thread had gone on.
    viewer->view.hb[slot] = viewer->view.co[slot] = cth__m.clocks[slot];
}

/* The thread ends; what it knew stays in `viewer` for who joins it. */
static void cth__viewer_end(const cth__viewer *viewer) {
    if (!cth__m.off) {
        cth__m.taken[viewer->slot] = false;
    }
}

static void cth__tick(cth__viewer *me) {
    me->view.hb[me->slot] = me->view.co[me->slot] = ++cth__m.clocks[me->slot];
}

/* The stores of an atomic word, whose present value is `value`. */
static void cth__cell_atomic(cth__cell *cell, uint64_t value) {
    if (!cell->atomic || cell->stores[cell->newest].value != value) {
        cell->atomic = true;
        cell->newest = 0;
        cell->n = 1;
        cell->stores[0].value = value;
        cell->stores[0].carries = false;
        memset(cell->stores[0].seen, 0, sizeof cell->stores[0].seen);
        memset(cell->stale, 0, sizeof cell->stale);
    }
}

static cth__stored *cth__cell_store(cth__cell *cell, uint32_t age) {
    return &cell->stores[(cell->newest + CTH__STORES - age) % CTH__STORES];
}

static bool cth__orders(int order, int part) {
    return order == memory_order_seq_cst || order == memory_order_acq_rel || order == part ||
           (part == memory_order_acquire && order == memory_order_consume);
}

/* See a store, with an order. */
static void cth__model_see(cth__viewer *me, cth__stored *stored, int order) {
    const uint32_t now = me->view.hb[me->slot];
    if (stored->seen[me->slot] == CTH__UNSEEN) {
        stored->seen[me->slot] = now;
    }
    if (stored->carries) {
        if (cth__orders(order, memory_order_acquire)) {
            cth__view_take(&me->view, &stored->view);
        } else {
            if (!me->has_pending) {
                memset(&me->pending, 0, sizeof me->pending);
                me->has_pending = true;
            }
            cth__view_take(&me->pending, &stored->view);
        }
    }
}

static uint64_t cth__model_load(cth__viewer *me, cth__cell *cell, int order) {
    uint32_t age = 0;
    cth__tick(me);
    if (cth__m.weak && !cth__m.off && !me->calm && cell->n > 1 && cell->stale[me->slot] < 2) {
        uint32_t n = 1;
        for (; n < cell->n; n++) {
            const cth__stored *stored = cth__cell_store(cell, n - 1);
            bool known = false;
            for (uint32_t i = 0; i < cth__m.width; i++) {
                known = known || stored->seen[i] <= me->view.co[i];
            }
            if (known) {
                break;
            }
        }
        if (n > 1) {
            age = cth__pick(n, CTH__STALE, cth__x_below(4) == 0 ? 1 + cth__x_below(n - 1) : 0);
        }
    }
    // Whoever only reads in a loop gets to see the newest store in the end.
    cell->stale[me->slot] = age == 0 ? 0 : (uint8_t)(cell->stale[me->slot] + 1);
    cth__stored *stored = cth__cell_store(cell, age);
    cth__model_see(me, stored, order);
    return stored->value;
}

/* Add a store; `before`: the one that a read-modify-write has seen. */
static void cth__model_store(cth__viewer *me,
                             cth__cell *cell,
                             uint64_t value,
                             int order,
                             const cth__stored *before) {
    cth__view carried;
    bool carries = before != NULL && before->carries;
    if (before == NULL) {
        cth__tick(me);
    } else if (carries) {
        carried = before->view;
    }
    const bool release = cth__orders(order, memory_order_release);
    if (release || me->has_released) {
        const cth__view *own = release ? &me->view : &me->released;
        if (carries) {
            cth__view_take(&carried, own);
        } else {
            carried = *own;
        }
        carries = true;
    }
    cell->newest = (cell->newest + 1) % CTH__STORES;
    cell->n = cell->n < CTH__STORES ? cell->n + 1 : CTH__STORES;
    cth__stored *stored = &cell->stores[cell->newest];
    stored->value = value;
    stored->carries = carries;
    if (carries) {
        stored->view = carried;
    }
    for (uint32_t i = 0; i < CTH__VIEW; i++) {
        stored->seen[i] = CTH__UNSEEN;
    }
    stored->seen[me->slot] = me->view.hb[me->slot];
}

/* The reading half of a read-modify-write: the newest store. */
static cth__stored *cth__model_newest(cth__viewer *me, cth__cell *cell, int order) {
    cth__tick(me);
    cth__stored *stored = cth__cell_store(cell, 0);
    cell->stale[me->slot] = 0;
    cth__model_see(me, stored, order);
    return stored;
}

static void cth__model_fence(cth__viewer *me, int order) {
    cth__tick(me);
    if (cth__orders(order, memory_order_acquire) && me->has_pending) {
        cth__view_take(&me->view, &me->pending);
        me->has_pending = false;
    }
    if (order == memory_order_seq_cst) {
        cth__view_join(me->view.co, cth__m.fenced);
        cth__view_join(cth__m.fenced, me->view.co);
    }
    if (cth__orders(order, memory_order_release)) {
        me->released = me->view;
        me->has_released = true;
    }
}

/* Access plain data. Returns NULL, or where the other access of a race was. */
static const char *cth__model_plain(cth__viewer *me,
                                    cth__cell *cell,
                                    bool write,
                                    const char *site) {
    if (cth__m.off) {
        return NULL;
    }
    cth__tick(me);
    const uint32_t slot = me->slot;
    const char *race = NULL;
    if (cell->writer != CTH__UNSEEN && cell->written > me->view.hb[cell->writer]) {
        race = cell->write_site;
    }
    if (write) {
        for (uint32_t i = 0; i < cth__m.width; i++) {
            if (cell->reads[i] > me->view.hb[i]) {
                race = cell->read_sites[i];
            }
        }
        cell->writer = slot;
        cell->written = me->view.hb[slot];
        cell->write_site = site;
        memset(cell->reads, 0, sizeof cell->reads);
    } else {
        cell->reads[slot] = me->view.hb[slot];
        cell->read_sites[slot] = site;
    }
    return race;
}

/* The memory is no longer (or again) an object's. Whoever takes it away counts as a user of it, and
   as a writer: returns NULL, or where an access was that nothing orders before this. */
static const char *cth__model_freed(cth__viewer *me,
                                    const volatile void *p,
                                    size_t size,
                                    bool gone) {
    const char *race = NULL;
    const char *begin = (const char *)(uintptr_t)p;
    if (gone && cth__m.n_freed < sizeof cth__m.freed / sizeof cth__m.freed[0]) {
        cth__m.freed[cth__m.n_freed].begin = begin;
        cth__m.freed[cth__m.n_freed++].end = begin + size;
    } else if (!gone) {
        size_t kept = 0;
        for (size_t i = 0; i < cth__m.n_freed; i++) {
            if (cth__m.freed[i].begin >= begin + size || cth__m.freed[i].end <= begin) {
                cth__m.freed[kept++] = cth__m.freed[i];
            }
        }
        cth__m.n_freed = kept;
    }
    for (size_t i = 0; i < cth__m.n_cells; i++) {
        cth__cell *cell = cth__m.cells[i];
        const char *at = (const char *)(uintptr_t)cell->p;
        if (at >= begin && at < begin + size && cell->schedule == cth__m.schedule) {
            if (gone && !cell->shared) {
                cell->shared = true;
                cth__m.sharing++;
            }
            if (gone && race == NULL) {
                race = cth__model_plain(me, cell, true, NULL);
            }
            cth__cell_fresh(cell);
        }
    }
    return race;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:sim   The simulated platform: what the floors above call instead of the real one.

   The floors above reach the platform through the names at the end of this section (cth__clock,
   cth__wait_on, ...), which are the real functions in a normal build and the simulated ones here.

   One thread runs at a time. It comes here at each atomic operation, wait and end; cth__sim_next
   picks who goes on. Threads are fibers where there are any, else (and in a whole program) threads
   of the system that pass a baton: all but one sleep on their own `baton` word. Everything in
   `cth__sim` is touched only by the thread that runs (or by the controller while none runs).

   A failing schedule is abandoned: its threads never run again.
   ---------------------------------------------------------------------------------------------- */

// The things the simulator needs from the floors above.
static void cth__hook_reset(void); // to a fresh kit
#    if CTH__FIBERS
static void cth__hook_become(void *self); // the thread that runs now
#    endif
static void cth__hook_end(void); // forget the calling thread
static size_t cth__hook_answer(const void *bytes,
                               size_t size,
                               unsigned char *shared,
                               size_t room,
                               void *reply_bytes,
                               bool dies);                           // be a worker process
static void cth__hook_describe(void *self, char *text, size_t size); // "A waits for ..."
static const char *cth__hook_name(void *self);
static void cth__sim_abandon(bool reuse);
struct cth__sim_thread;
static struct cth__sim_thread *cth__sim_self(void);
static bool cth__hook_global(const volatile void *p, char *text, size_t size); // the kit's own

enum { CTH__SIM_FREE, CTH__SIM_READY, CTH__SIM_WAITING, CTH__SIM_DONE };

#    define CTH__SIM_MAX 4096
#    define CTH__OPS     64 // operations of each thread that are kept
#    define CTH__SHOWN   8  // ... and that a report shows, without those on the kit's own locks

/* One operation, for reports. */
typedef struct cth__op {
    const char *what, *site;
    const volatile void *p;
    uint64_t step, before, after; // `after` of a load is the newest
    bool old;                     // a load that has seen an older one
    bool pointer;                 // the values are addresses
    int order;
} cth__op;

typedef struct cth__sim_thread {
    cth__os_fiber fiber;
    cth__os_thread os;
    cth__os_parker parker;
    cth__word baton; // 1: this thread runs next
    size_t index;    // in the list
    int state;
    int error; // its errno while it does not run
    bool detached;
    void (*fn)(void *arg);
    void *arg;
    const volatile void *word; // WAITING: the word it sleeps on
    cth_time deadline;         // WAITING: CTH_FOREVER or when it wakes by itself
    void *self;                // the kit's record of it
    cth__word done;            // 0 until it ends; joiners sleep on it
    uint32_t priority;         // PCT
    cth__viewer viewer;
    cth__op ops[CTH__OPS];
    uint32_t n_ops;
    const volatile void *held[8]; // locks
    uint32_t n_held;
    struct cth__sim_thread *abandoned;
    struct cth__sim_block *blocks;
} cth__sim_thread;

typedef struct cth__sim_block {
    struct cth__sim_block *next, *prev;
    size_t size;
    bool keep; // the kit's own, recycled: no leak at the end of a schedule
    bool freed;
} cth__sim_block;

static struct cth__sim_state {
    bool active;   // a schedule runs
    bool whole;    // ... and it is the whole program
    bool failed;   // ... and it was found at fault
    bool running;  // inside cth_sim_run
    bool fibers;   // the threads are fibers
    bool returned; // the scenario has ended
    bool prune;    // exhaustive: no picks at words that one thread uses
    uint64_t seed, steps, max_steps;
    unsigned faults;
    int depth;
    cth_time now;
    cth__sim_thread *threads[CTH__SIM_MAX];
    size_t n_threads;
    uint32_t n_ready;
    cth__sim_block *blocks;     // freed ones too, until the schedule ends
    cth__sim_thread *abandoned; // of schedules that failed
    cth__sim_thread controller;
    cth_status (*scenario)(void *arg);
    void *arg;
    cth_status result;
    const char *name;
    cth_sim_report report;
    struct {
        const void *object;
        uint32_t number;
    } objects[1024]; // addresses in order of first use: names that are the same in each run
    uint16_t used_objects[1024];
    uint32_t n_objects;
    struct {
        const char *begin, *end, *name;
    } names[64];
    size_t n_names;
} cth__sim;

static _Thread_local cth__sim_thread *cth__sim_me;

/* Whether a fault happens to the calling thread, at random once in `odds`. */
static bool cth__sim_faulty(unsigned fault, uint32_t odds) {
    return (cth__sim.faults & fault) != 0 && !cth__sim_me->viewer.calm && cth__pick_fault(odds);
}

static bool cth__sim_running(void) {
    return (cth__sim.running || cth__sim.whole) && cth__sim_me != NULL;
}

static void cth__sim_set(cth__sim_thread *thread, int state) {
    cth__sim.n_ready -= thread->state == CTH__SIM_READY;
    cth__sim.n_ready += state == CTH__SIM_READY;
    thread->state = state;
}

/* A number for an address: 1 for the first one asked for in this schedule. Decides bucket and name,
   since addresses differ from run to run. */
static uint32_t cth__sim_number(const void *object) {
    const uint32_t size = (uint32_t)(sizeof cth__sim.objects / sizeof cth__sim.objects[0]);
    uint32_t at = (uint32_t)(((uintptr_t)object >> 2) * 2654435761U) % size;
    for (uint32_t tried = 0; tried < size; tried++, at = (at + 1) % size) {
        if (cth__sim.objects[at].object == object) {
            return cth__sim.objects[at].number;
        }
        if (cth__sim.objects[at].object == NULL && cth__sim.n_objects < size * 3 / 4) {
            cth__sim.used_objects[cth__sim.n_objects] = (uint16_t)at;
            cth__sim.objects[at].object = object;
            return cth__sim.objects[at].number = ++cth__sim.n_objects;
        }
    }
    return 0;
}

/* What a report calls an object: its given name, or its number. */
static void cth__sim_called(const volatile void *p, char *text, size_t size) {
    const char *at = (const char *)(uintptr_t)p;
    for (size_t i = cth__sim.n_names; i-- > 0;) {
        if (at >= cth__sim.names[i].begin && at < cth__sim.names[i].end) {
            (void)snprintf(text, size, "\"%s\"", cth__sim.names[i].name);
            return;
        }
    }
    (void)snprintf(text, size, "#%u", (unsigned)cth__sim_number((const void *)at));
}

static void cth__sim_sleep_real(cth__sim_thread *thread) {
    // acquire: sees all that the thread which handed the baton over did; pairs with the release.
    while (atomic_load_explicit(&thread->baton, memory_order_acquire) == 0) {
        cth__os_wait(&thread->parker, &thread->baton, 0, CTH_FOREVER);
    }
    atomic_store_explicit(&thread->baton, 0, memory_order_relaxed); // relaxed: only ours
}

/* Let `to` run, and come back when this thread is let to run again; `ended`: it never is, or as
   another thread. */
static void cth__sim_go(cth__sim_thread *to, bool ended) {
    cth__sim_thread *me = cth__sim_me;
#    if CTH__FIBERS
    if (cth__sim.fibers) {
        me->error = errno;
        cth__sim_me = to;
        cth__hook_become(to->self);
        errno = to->error;
        cth__os_fiber_switch(&me->fiber, &to->fiber);
        return;
    }
#    endif
    // release: publishes the simulator's state; pairs with the acquire in cth__sim_sleep_real.
    atomic_store_explicit(&to->baton, 1, memory_order_release);
    cth__os_wake(&to->parker, &to->baton);
    if (!ended) {
        cth__sim_sleep_real(me);
    }
}

typedef struct cth__text {
    char *at;
    size_t left;
} cth__text;

static CTH__PRINTF(2, 0) void cth__say_args(cth__text *text, const char *format, va_list args) {
    const int n = vsnprintf(text->at, text->left, format, args);
    if (n > 0 && (size_t)n < text->left) {
        text->at += n;
        text->left -= (size_t)n;
    }
}

static CTH__PRINTF(2, 3) void cth__say(cth__text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    cth__say_args(text, format, args);
    va_end(args);
}

static const char *cth__file_name(const char *site) {
    const char *slash = strrchr(site, '/');
    return slash != NULL ? slash + 1 : site;
}

static void cth__say_value(cth__text *text, uint64_t value, bool pointer) {
    if (!pointer || value == 0) {
        cth__say(text, "%llu", (unsigned long long)value);
    } else {
        cth__say(text, "a pointer"); // its value differs from run to run
    }
}

/* Say what an operation of the model did. */
static void cth__say_effect(cth__text *text, const cth__op *op) {
    static const char *const orders[] = {"relaxed", "consume", "acquire",
                                         "release", "acq_rel", "seq_cst"};
    if (op->p != NULL) {
        cth__say(text, ", ");
        cth__say_value(text, op->before, op->pointer);
        if (op->after != op->before) {
            cth__say(text, op->old ? " (old; the newest is " : " -> ");
            cth__say_value(text, op->after, op->pointer);
            cth__say(text, op->old ? ")" : "");
        }
    }
    cth__say(text, " (%s)", orders[op->order]);
}

/* Whether a report shows an operation: not those on the kit's own locks and records. */
static bool cth__is_told(const cth__op *op) {
    char name[96];
    const bool plain = op->order < 0 && op->site != NULL;
    return op->p == NULL || (!cth__hook_global(op->p, name, sizeof name) &&
                             !(plain && strstr(op->site, "cthreads.h:") != NULL));
}

/* The latest operations of a thread on what is not the kit's own, oldest first. */
static void cth__say_ops(cth__text *text, const cth__sim_thread *thread) {
    const uint32_t n = thread->n_ops < CTH__OPS ? thread->n_ops : CTH__OPS;
    uint32_t first = thread->n_ops;
    uint32_t shown = 0;
    char name[96];
    while (first != thread->n_ops - n && shown < CTH__SHOWN) {
        shown += cth__is_told(&thread->ops[--first % CTH__OPS]);
    }
    for (uint32_t i = first; i != thread->n_ops; i++) {
        const cth__op *op = &thread->ops[i % CTH__OPS];
        name[0] = '\0';
        if (!cth__is_told(op)) {
            continue;
        }
        if (op->p != NULL) {
            cth__sim_called(op->p, name, sizeof name);
        }
        cth__say(text, "    step %llu, %s: %s%s%s", (unsigned long long)op->step,
                 op->site != NULL ? cth__file_name(op->site) : "the kit", op->what,
                 name[0] != '\0' ? " " : "", name);
        if (op->order >= 0) {
            cth__say_effect(text, op);
        }
        cth__say(text, "\n");
    }
}

/* Write the report of a failure. */
static CTH__PRINTF(2, 0) void cth__sim_write(const char *kind, const char *format, va_list args) {
    cth__text text = {cth__sim.report.text, sizeof cth__sim.report.text};
    cth__x_print(&cth__x.made, cth__sim.report.schedule, sizeof cth__sim.report.schedule);
    cth__sim.report.changes = (uint32_t)cth__x.made.n;
    cth__say(&text, "cthreads simulator: %s: %s: ", cth__sim.name, kind);
    cth__say_args(&text, format, args);
    cth__say(&text, "\n");
    if (cth__sim.seed != 0) {
        cth__say(&text, "  replay with CTHREADS_SIM_SEED=%llu\n",
                 (unsigned long long)cth__sim.seed);
    }
    if (cth__sim.report.schedule[0] != '\0') {
        cth__say(&text, "  %s CTHREADS_SIM_SCHEDULE=%s\n",
                 cth__sim.seed != 0 ? "or with" : "replay with", cth__sim.report.schedule);
    }
    cth__say(&text, "  fails at step %llu, virtual time %.9f s\n",
             (unsigned long long)cth__sim.steps, (double)cth__sim.now / 1e9);
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        const cth__sim_thread *thread = cth__sim.threads[i];
        if (thread->self != NULL && thread->state != CTH__SIM_FREE &&
            thread->state != CTH__SIM_DONE) {
            char line[256];
            cth__hook_describe(thread->self, line, sizeof line);
            cth__say(&text, "  %s%s\n", line,
                     thread->state == CTH__SIM_WAITING
                         ? (strstr(line, " runs") != NULL ? " [asleep]" : "")
                     : thread == cth__sim_me ? " [here]"
                                             : " [could run]");
            cth__say_ops(&text, thread);
        }
    }
    (void)snprintf(cth__sim.report.kind, sizeof cth__sim.report.kind, "%s", kind);
    cth__sim.report.seed = cth__sim.seed;
    cth__sim.failed = true;
}

CTH_API void cth_sim_fail(const char *kind, const char *format, ...) {
    va_list args;
    if (!cth__sim.running) {
        (void)cth__sim_self(); // a program that has not called the kit yet
    }
    va_start(args, format);
    cth__sim_write(kind, format, args);
    va_end(args);
    if (!cth__sim.running) {
        (void)fflush(stdout);
        (void)fputs(cth__sim.report.text, stderr);
        _Exit(CTH_SIM_EXIT);
    }
    if (cth__sim_me != NULL && cth__sim_me != &cth__sim.controller) {
        cth__sim_go(&cth__sim.controller, false); // does not return: this thread is abandoned
    }
}

CTH_API void cth__sim_unmet(const char *site, const char *condition) {
    cth_sim_fail("check", "%s: %s", cth__file_name(site), condition);
}

static CTH__PRINTF(2, 3) void cth__sim_crash_report(const char *kind, const char *format, ...) {
    va_list args;
    va_start(args, format);
    cth__sim_write(kind, format, args);
    va_end(args);
}

static void cth__sim_crashed(int number) {
    (void)signal(number, SIG_DFL);
    if (cth__sim_me != NULL && cth__sim.active) {
        cth__sim_crash_report("crash", "signal %d", number);
        cth__os_write_error(cth__sim.report.text);
    }
    (void)raise(number);
}

/* Make all threads ready whose deadline is the present or the past. */
static void cth__sim_expire(void) {
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        cth__sim_thread *thread = cth__sim.threads[i];
        if (thread->state == CTH__SIM_WAITING && thread->deadline <= cth__sim.now) {
            cth__sim_set(thread, CTH__SIM_READY);
        }
    }
}

/* The earliest deadline of a thread that waits; CTH_FOREVER when there is none. */
static cth_time cth__sim_earliest(void) {
    cth_time earliest = CTH_FOREVER;
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        const cth__sim_thread *thread = cth__sim.threads[i];
        if (thread->state == CTH__SIM_WAITING && thread->deadline < earliest) {
            earliest = thread->deadline;
        }
    }
    return earliest;
}

/* Tell whether time may pass although threads could run. */
static bool cth__sim_may_expire(void) {
    return (cth__sim.faults & CTH_SIM_TIMEOUTS) != 0 && cth__sim_earliest() != CTH_FOREVER;
}

/* Move the clock to the earliest deadline; false when nobody waits with one. */
static bool cth__sim_advance(void) {
    const cth_time earliest = cth__sim_earliest();
    if (earliest == CTH_FOREVER) {
        return false;
    }
    if (earliest > cth__sim.now) {
        cth__sim.now = earliest;
    }
    cth__sim_expire();
    return true;
}

static uint32_t cth__sim_alive(void) {
    uint32_t alive = 0;
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        const int state = cth__sim.threads[i]->state;
        alive += state == CTH__SIM_READY || state == CTH__SIM_WAITING;
    }
    return alive;
}

/* The ready thread `skip` places after the thread at `from`, which counts as the last one. */
static cth__sim_thread *cth__sim_ready_after(size_t from, uint32_t skip) {
    for (size_t i = from + 1;; i++) {
        cth__sim_thread *thread = cth__sim.threads[i % cth__sim.n_threads];
        if (thread->state == CTH__SIM_READY && skip-- == 0) {
            return thread;
        }
    }
}

/* Why another thread may run. */
enum { CTH__AT_POINT, CTH__AT_WAIT, CTH__AT_YIELD };

/* Pick who goes on; NULL when all have ended. Does not return on a deadlock. The thread that runs
   comes first, then those after it in the list. */
static cth__sim_thread *cth__sim_next(int why) {
    cth__sim_thread *me = cth__sim_me;
    if (cth__sim_may_expire() && cth__pick_fault(16)) {
        (void)cth__sim_advance();
    }
    if (cth__sim.n_ready == 0) {
        if (cth__sim_alive() == 0) {
            return NULL;
        }
        if (!cth__sim_advance()) {
            cth_sim_fail(cth__sim.returned ? "thread left" : "deadlock",
                         "every thread waits, and nothing can wake them");
        }
    }
    const bool stays = why == CTH__AT_POINT;
    const uint32_t n = cth__sim.n_ready - (why == CTH__AT_YIELD);
    uint32_t wanted = 0;
    const size_t from = me->index;
    if (cth__x.strategy == CTH_SIM_PCT) {
        uint32_t best = stays ? me->priority : 0;
        for (uint32_t i = 0; i < n - stays; i++) {
            const cth__sim_thread *thread = cth__sim_ready_after(from, i);
            if (thread->priority > best) {
                best = thread->priority;
                wanted = i + stays;
            }
        }
    } else if (cth__x.strategy == CTH_SIM_RANDOM &&
               (!stays || cth__x_below(cth__x.stay + 1) == 0)) {
        wanted = cth__x_below(n);
    }
    const uint32_t picked = cth__pick(n,
                                      stays                 ? CTH__PREEMPT
                                      : why == CTH__AT_WAIT ? CTH__OPEN_TO
                                      : me->viewer.calm     ? CTH__FIXED
                                                            : CTH__PREEMPT,
                                      wanted);
    return stays && picked == 0 ? me : cth__sim_ready_after(from, picked - stays);
}

static void cth__sim_switch(int why) {
    cth__sim_thread *next = cth__sim_next(why);
    if (next != cth__sim_me && next != NULL) {
        cth__sim_go(next, false);
    }
}

static void cth__sim_enter(uint64_t seed) {
    cth__sim.seed = seed;
    cth__sim.now = CTH_S(1);
    cth__sim.steps = 0;
    cth__sim.failed = false;
    cth__sim.returned = false;
    while (cth__sim.n_objects > 0) {
        cth__sim.objects[cth__sim.used_objects[--cth__sim.n_objects]].object = NULL;
    }
    cth__sim.n_names = 0;
    cth__model_begin();
    cth__x_begin(seed, cth__sim.depth);
    cth__sim.active = true;
}

/* Threads that carry simulated ones hand over cheapest on one CPU; new ones inherit it. The one the
   caller is on, since other simulations may run at the same time. */
static void cth__sim_pin(void) {
    enum { WORD_BITS = 8 * sizeof(unsigned long) };
    unsigned long mask[64] = {0};
    const int error = errno;
    const uint32_t cpu = cth__os_cpu();
    mask[cpu / WORD_BITS % 64] = 1UL << (cpu % WORD_BITS);
    (void)syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
    errno = error;
}

static unsigned cth__sim_env_faults(void) {
    const char *text = getenv("CTHREADS_SIM_FAULTS");
    unsigned faults = 0;
    if (text != NULL) {
        const char *last = strrchr(text, ',');
        const bool all =
            strstr(text, "all,") != NULL || strcmp(last != NULL ? last + 1 : text, "all") == 0;
        faults |= all || strstr(text, "timeouts") != NULL ? CTH_SIM_TIMEOUTS : 0U;
        faults |= all || strstr(text, "spurious") != NULL ? CTH_SIM_SPURIOUS : 0U;
        faults |= all || strstr(text, "alloc") != NULL ? CTH_SIM_ALLOC : 0U;
        faults |= all || strstr(text, "threads") != NULL ? CTH_SIM_THREADS : 0U;
        faults |= all || strstr(text, "processes") != NULL ? CTH_SIM_PROCESSES : 0U;
    }
    return faults;
}

static bool cth__sim_env_seed(uint64_t *seed) {
    const char *text = getenv("CTHREADS_SIM_SEED");
    if (text == NULL || *text == '\0') {
        return false;
    }
    *seed = (uint64_t)strtoull(text, NULL, 0);
    return true;
}

/* Take the schedule to run from `text` or the environment; false when it is no schedule. */
static bool cth__sim_script(const char *text) {
    text = text != NULL ? text : getenv("CTHREADS_SIM_SCHEDULE");
    cth__x.scripted = text != NULL && *text != '\0';
    cth__x.script.n = 0;
    const bool good =
        !cth__x.scripted || strcmp(text, "0:0") == 0 || cth__x_parse(&cth__x.script, text);
    cth__x.scripted = cth__x.scripted && good;
    return good;
}

static bool cth__sim_env_weak(bool weak) {
    const char *text = getenv("CTHREADS_SIM_MEMORY");
    return text == NULL ? weak : strcmp(text, "strong") != 0 && (weak || strcmp(text, "weak") == 0);
}

/* Be ready to run, with the starter's view (NULL: the first thread). */
static void cth__sim_born(cth__sim_thread *thread, const cth__sim_thread *starter) {
    thread->detached = false;
    thread->self = NULL;
    thread->error = 0;
    thread->n_ops = 0;
    thread->n_held = 0;
    thread->priority = cth__x_priority();
    cth__viewer_begin(&thread->viewer, starter != NULL ? &starter->viewer : NULL);
    atomic_store_explicit(&thread->done, 0, memory_order_relaxed); // relaxed: one thread runs
    cth__sim_set(thread, CTH__SIM_READY);
}

/* Be one of the simulator's threads: the first call of a whole program makes it one. */
static cth__sim_thread *cth__sim_self(void) {
    if (CTH__LIKELY(cth__sim_me != NULL)) {
        return cth__sim_me;
    }
    if (cth__sim.active) {
        cth__panic("under the simulator, only threads started by the kit may call it");
    }
    uint64_t seed = 1;
    (void)cth__sim_env_seed(&seed);
    if (cth__sim.n_threads == CTH__SIM_MAX) {
        cth__panic("too many threads for the simulator");
    }
    if (cth__sim.fibers) { // idle ones, from schedules before
        cth__sim_abandon(false);
    }
    cth__sim.whole = true;
    cth__sim.fibers = false;
    cth__sim.name = "program";
    cth__sim.faults = cth__sim_env_faults();
    cth__sim.max_steps = UINT64_C(1000000000);
    cth__x.strategy = CTH_SIM_RANDOM;
    cth__x.endless = true;
    cth__m.weak = cth__sim_env_weak(false);
    if (!cth__sim_script(NULL)) {
        cth__panic("CTHREADS_SIM_SCHEDULE is no schedule");
    }
    cth__sim_enter(cth__x.scripted ? 0 : seed);
    cth__sim_thread *me = (cth__sim_thread *)calloc(1, sizeof *me);
    if (me == NULL || !cth__os_parker_init(&me->parker)) {
        cth__panic("no memory for the simulator");
    }
    cth__sim_born(me, NULL);
    if (cth__sim.n_threads > 0) { // idle, from schedules before
        cth__sim.threads[0]->index = cth__sim.n_threads;
    }
    cth__sim.threads[cth__sim.n_threads++] = cth__sim.threads[0];
    cth__sim.threads[0] = me;
    cth__sim_me = me;
    cth__os_on_crash(cth__sim_crashed);
    return me;
}

/* A scheduling point: before an operation on a word, or (NULL) before something else. */
static void cth__sim_point(const cth__cell *cell) {
    cth__sim_thread *me = cth__sim_me;
    if (++cth__sim.steps > cth__sim.max_steps) {
        cth_sim_fail("steps", "more than %llu steps: a livelock, or a loop that needs cth_yield",
                     (unsigned long long)cth__sim.max_steps);
    }
    if (me->viewer.calm) {
        return;
    }
    if (cth__x.strategy == CTH_SIM_PCT && cth__x_falls(++cth__x.points)) {
        me->priority = cth__x_lowest();
    }
    if (cth__sim.prune && cell != NULL && !cell->shared) {
        // As if it had been one: the places of picks stay what they are.
        cth__x.picks += (cth__sim.n_ready > 1 ? 1U : 0U) + (cth__sim_may_expire() ? 1U : 0U);
        return;
    }
    if (cth__sim.n_ready > 1 || (cth__sim.faults & CTH_SIM_TIMEOUTS) != 0) {
        cth__sim_switch(CTH__AT_POINT);
    }
}

/* Keep an operation for the report. */
static cth__op *cth__sim_op(const char *what, const volatile void *p, const char *site) {
    cth__sim_thread *me = cth__sim_me;
    cth__op *op = &me->ops[me->n_ops++ % CTH__OPS];
    op->what = what;
    op->site = site;
    op->p = p;
    op->step = cth__sim.steps;
    op->before = op->after = 0;
    op->old = op->pointer = false;
    op->order = -1;
    return op;
}

/* Before an access of `p`: a scheduling point, and a check that it still exists. */
static cth__cell *cth__sim_access(const volatile void *p,
                                  const char *what,
                                  bool point,
                                  const char *site) {
    cth__sim_thread *me = cth__sim_self();
    cth__cell *cell = cth__cell_of(p);
    if (cell->user != me) {
        if (cell->user != NULL && !cell->shared) {
            cell->shared = true;
            cth__m.sharing++;
        }
        cell->user = me;
    }
    if (point) {
        cth__sim_point(cell);
    }
    if (cell->freed) {
        (void)cth__sim_op(what, p, site);
        char name[96];
        cth__sim_called(p, name, sizeof name);
        cth_sim_fail("freed", "%s: %s %s, which is freed", cth__file_name(site), what, name);
    }
    return cell;
}

/* The same for an atomic operation; `value` is what the word holds after the scheduling point. */
#    define CTH__ATOMIC(cell, p, what, site)                                 \
      cth__cell *cell = cth__sim_access((p), (what), true, (site));          \
      cell->pointer = _Generic((p), cth__ptr * : true, cth__word * : false); \
      cth__cell_atomic(cell, CTH__NOW(p))
// relaxed: one thread runs at a time.
#    define CTH__NOW(p) ((uint64_t)(uintptr_t)atomic_load_explicit((p), memory_order_relaxed))

static uint64_t cth__sim_loaded(cth__cell *cell, int order, const char *site) {
    cth__op *op = cth__sim_op("load", cell->p, site);
    op->pointer = cell->pointer;
    const uint64_t value = cth__model_load(&cth__sim_me->viewer, cell, order);
    op->before = value;
    op->after = cth__cell_store(cell, 0)->value;
    op->old = value != op->after;
    op->order = order;
    return value;
}

static void cth__sim_stored(cth__cell *cell, uint64_t value, int order, const char *site) {
    cth__op *op = cth__sim_op("store", cell->p, site);
    op->pointer = cell->pointer;
    op->before = cth__cell_store(cell, 0)->value;
    op->after = value;
    op->order = order;
    cth__model_store(&cth__sim_me->viewer, cell, value, order, NULL);
}

static void cth__sim_changed(cth__cell *cell,
                             const char *what,
                             uint64_t value,
                             int order,
                             const char *site) {
    cth__op *op = cth__sim_op(what, cell->p, site);
    op->pointer = cell->pointer;
    cth__stored *before = cth__model_newest(&cth__sim_me->viewer, cell, order);
    op->before = before->value;
    op->after = value;
    op->order = order;
    cth__model_store(&cth__sim_me->viewer, cell, value, order, before);
}

/* Compare and swap, but for the real word: whether it succeeds. */
static bool cth__sim_cased(cth__cell *cell,
                           uint64_t *expected,
                           uint64_t value,
                           int order,
                           int failed,
                           bool weak,
                           const char *site) {
    const uint64_t found = cth__cell_store(cell, 0)->value;
    if (found == *expected && !(weak && !cth__sim_me->viewer.calm && cth__pick_fault(8))) {
        cth__sim_changed(cell, "compare-and-swap of", value, order, site);
        return true;
    }
    cth__op *op = cth__sim_op("failed compare-and-swap of", cell->p, site);
    op->pointer = cell->pointer;
    op->before = op->after = found;
    op->order = failed;
    (void)cth__model_newest(&cth__sim_me->viewer, cell, failed);
    *expected = found;
    return false;
}

CTH_API uint32_t cth__sim_load32(cth__word *p, int order, const char *site) {
    CTH__ATOMIC(cell, p, "load", site);
    return (uint32_t)cth__sim_loaded(cell, order, site);
}

CTH_API void *cth__sim_loadp(cth__ptr *p, int order, const char *site) {
    CTH__ATOMIC(cell, p, "load", site);
    return (void *)(uintptr_t)cth__sim_loaded(cell, order, site);
}

CTH_API void cth__sim_store32(cth__word *p, uint32_t v, int order, const char *site) {
    CTH__ATOMIC(cell, p, "store", site);
    cth__sim_stored(cell, v, order, site);
    atomic_store_explicit(p, v, memory_order_relaxed); // relaxed: one thread runs at a time
}

CTH_API void cth__sim_storep(cth__ptr *p, void *v, int order, const char *site) {
    CTH__ATOMIC(cell, p, "store", site);
    cth__sim_stored(cell, (uint64_t)(uintptr_t)v, order, site);
    atomic_store_explicit(p, v, memory_order_relaxed); // relaxed: one thread runs at a time
}

CTH_API uint32_t cth__sim_rmw32(cth__word *p, int op, uint32_t v, int order, const char *site) {
    static const char *const names[] = {"swap of", "add to", "subtract from", "or into",
                                        "and into"};
    CTH__ATOMIC(cell, p, names[op], site);
    // relaxed, twice: one thread runs at a time.
    const uint32_t before = atomic_load_explicit(p, memory_order_relaxed);
    const uint32_t after = op == CTH__SWAP  ? v
                           : op == CTH__ADD ? before + v
                           : op == CTH__SUB ? before - v
                           : op == CTH__OR  ? before | v
                                            : before & v;
    cth__sim_changed(cell, names[op], after, order, site);
    atomic_store_explicit(p, after, memory_order_relaxed);
    return before;
}

CTH_API void *cth__sim_swapp(cth__ptr *p, int op, void *v, int order, const char *site) {
    (void)op;
    CTH__ATOMIC(cell, p, "swap of", site);
    void *before = atomic_load_explicit(p, memory_order_relaxed); // relaxed: one thread runs
    cth__sim_changed(cell, "swap of", (uint64_t)(uintptr_t)v, order, site);
    atomic_store_explicit(p, v, memory_order_relaxed); // relaxed: as above
    return before;
}

CTH_API bool cth__sim_cas32(cth__word *p,
                            uint32_t *expected,
                            uint32_t v,
                            int order,
                            int failed,
                            bool weak,
                            const char *site) {
    CTH__ATOMIC(cell, p, "compare-and-swap of", site);
    uint64_t wide = *expected;
    const bool good = cth__sim_cased(cell, &wide, v, order, failed, weak, site);
    *expected = (uint32_t)wide;
    if (good) {
        atomic_store_explicit(p, v, memory_order_relaxed); // relaxed: one thread runs at a time
    }
    return good;
}

CTH_API bool cth__sim_casp(cth__ptr *p,
                           void **expected,
                           void *v,
                           int order,
                           int failed,
                           bool weak,
                           const char *site) {
    CTH__ATOMIC(cell, p, "compare-and-swap of", site);
    uint64_t wide = (uint64_t)(uintptr_t)*expected;
    const bool good =
        cth__sim_cased(cell, &wide, (uint64_t)(uintptr_t)v, order, failed, weak, site);
    *expected = (void *)(uintptr_t)wide;
    if (good) {
        atomic_store_explicit(p, v, memory_order_relaxed); // relaxed: one thread runs at a time
    }
    return good;
}

CTH_API void cth__sim_fence(int order, const char *site) {
    (void)cth__sim_self();
    cth__sim_point(NULL);
    cth__sim_op("fence", NULL, site)->order = order;
    cth__model_fence(&cth__sim_me->viewer, order);
}

CTH_API void cth__sim_plain(const volatile void *object, int write, const char *site) {
    const char *what = write ? "write of" : "read of";
    // No scheduling point: whether two accesses are ordered is told by what stands between them.
    cth__cell *cell = cth__sim_access(object, what, false, site);
    (void)cth__sim_op(what, object, site);
    const char *other = cth__model_plain(&cth__sim_me->viewer, cell, write != 0, site);
    if (other != NULL) {
        char name[96];
        cth__sim_called(object, name, sizeof name);
        cth_sim_fail("data race", "%s: %s %s, not ordered with the access at %s",
                     cth__file_name(site), what, name, cth__file_name(other));
    }
}

static void cth__sim_set_freed(const volatile void *object, size_t size, bool gone) {
    char name[96];
    cth__sim_called(object, name, sizeof name);
    if (gone && cth__is_freed(object)) {
        cth_sim_fail("freed", "%s is freed twice", name);
    }
    const char *race = cth__model_freed(&cth__sim_me->viewer, object, size, gone);
    if (race != NULL) {
        cth_sim_fail("freed", "%s is freed, not ordered with the access at %s", name,
                     cth__file_name(race));
    }
}

CTH_API void cth__sim_freed(const volatile void *object, size_t size, int gone) {
    (void)cth__sim_self();
    cth__sim_set_freed(object, size, gone != 0);
}

CTH_API void cth__sim_name(const volatile void *object, size_t size, const char *name) {
    (void)cth__sim_self();
    if (cth__sim.n_names < sizeof cth__sim.names / sizeof cth__sim.names[0]) {
        cth__sim.names[cth__sim.n_names].begin = (const char *)(uintptr_t)object;
        cth__sim.names[cth__sim.n_names].end = (const char *)(uintptr_t)object + size;
        cth__sim.names[cth__sim.n_names++].name = name;
    }
}

/* A lock is taken by the calling thread, or let go of, by whatever thread. */
CTH_API void cth__sim_holds(const volatile void *word, int change) {
    cth__sim_thread *me = cth__sim_self();
    const uint32_t most = (uint32_t)(sizeof me->held / sizeof me->held[0]);
    if (change >= 0) {
        if (change > 0 && me->n_held < most) {
            me->held[me->n_held++] = word;
        }
        return;
    }
    for (size_t i = 0; i <= cth__sim.n_threads; i++) {
        cth__sim_thread *holder = i == 0 ? me : cth__sim.threads[i - 1];
        for (uint32_t j = holder->n_held; j-- > 0;) {
            if (holder->held[j] == word) {
                holder->held[j] = holder->held[--holder->n_held];
                return;
            }
        }
    }
}

/* The calling thread ends, or returns from the scenario. */
static void cth__sim_holds_none(void) {
    const cth__sim_thread *me = cth__sim_me;
    if (me->n_held != 0) {
        char name[96];
        cth__sim_called(me->held[0], name, sizeof name);
        cth_sim_fail("lock left", "%s ends while it holds %s",
                     me->self != NULL ? cth__hook_name(me->self) : "a thread", name);
    }
}

CTH_API uint32_t cth_sim_choose(uint32_t n) {
    (void)cth__sim_self();
    return cth__pick_any(n);
}

CTH_API void cth_sim_explore(bool on) {
    cth__sim_self()->viewer.calm = !on;
}

static cth_time cth__sim_clock(void) {
    (void)cth__sim_self();
    return cth__sim.now;
}

static cth_time cth__sim_wall(void) {
    return CTH_S(1767225600) + cth__sim_clock(); // 2026-01-01 00:00:00 UTC
}

static void cth__sim_local_time(time_t seconds, struct tm *out) {
    const struct tm *utc = gmtime(&seconds);
    *out = *utc; // only one thread runs
}

static bool cth__sim_spurious(void) {
    return cth__sim_faulty(CTH_SIM_SPURIOUS, 8);
}

static void cth__sim_wait(cth__os_parker *parker,
                          cth__word *word,
                          uint32_t expected,
                          cth_time deadline) {
    (void)parker;
    cth__sim_thread *me = cth__sim_self();
    (void)cth__sim_access(word, "wait on", true, "cthreads.h");
    (void)cth__sim_op("wait on", word, NULL);
    // relaxed: the system looks at the newest value; nothing is ordered by it.
    if (atomic_load_explicit(word, memory_order_relaxed) != expected || deadline <= cth__sim.now) {
        return;
    }
    if (cth__sim_spurious()) {
        return;
    }
    me->word = word;
    me->deadline = deadline;
    cth__sim_set(me, CTH__SIM_WAITING);
    cth__sim_switch(CTH__AT_WAIT);
}

static void cth__sim_wake(cth__os_parker *parker, cth__word *word) {
    (void)parker;
    (void)cth__sim_access(word, "wake", true, "cthreads.h");
    (void)cth__sim_op("wake", word, NULL);
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        cth__sim_thread *thread = cth__sim.threads[i];
        if (thread->state == CTH__SIM_WAITING && thread->word == word) {
            cth__sim_set(thread, CTH__SIM_READY);
        }
    }
}

static void cth__sim_yield(void) {
    (void)cth__sim_self();
    cth__sim_point(NULL);
    if (cth__x.strategy == CTH_SIM_PCT) {
        cth__sim_me->priority = cth__x_lowest(); // or a loop would keep the others from running
    }
    if (cth__sim.n_ready > 1) {
        cth__sim_switch(CTH__AT_YIELD); // somebody else, whoever it is
    } else if (!cth__sim_advance()) {
        cth__sim.now += CTH_US(1);
    }
}

/* Run a thread's function to its end, and pick who is next. */
static cth__sim_thread *cth__sim_live(void) {
    cth__sim_thread *me = cth__sim_me;
    me->fn(me->arg);
    cth__hook_end();
    cth__sim_set(me, me->detached ? CTH__SIM_FREE : CTH__SIM_DONE);
    cth__viewer_end(&me->viewer);
    me->self = NULL;
    atomic_store_explicit(&me->done, 1, memory_order_relaxed); // relaxed: one thread runs
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        cth__sim_thread *thread = cth__sim.threads[i];
        if (thread->state == CTH__SIM_WAITING && thread->word == &me->done) {
            cth__sim_set(thread, CTH__SIM_READY);
        }
    }
    cth__sim_thread *next = cth__sim_next(CTH__AT_WAIT);
    return next != NULL ? next : &cth__sim.controller;
}

/* The loop of a system thread that carries one simulated thread after the other. */
static void cth__sim_carry(void *p) {
    cth__sim_thread *me = (cth__sim_thread *)p;
    cth__sim_me = me;
    for (;;) {
        cth__sim_sleep_real(me);
        cth__sim_go(cth__sim_live(), true);
        // From here on nothing of this thread but its baton word may be read: it may have been
        // given its next job.
    }
}

#    if CTH__FIBERS
/* The same for a fiber. */
static void cth__sim_carry_fiber(void) {
    cth__os_fiber_arrive(&cth__sim_me->fiber);
    for (;;) {
        cth__sim_go(cth__sim_live(), true);
    }
}
#    endif

static bool cth__sim_carrier(cth__sim_thread *thread) {
    if (!cth__os_parker_init(&thread->parker)) {
        return false;
    }
#    if CTH__FIBERS
    if (cth__sim.fibers) {
        return cth__os_fiber_make(&thread->fiber, cth__sim_carry_fiber);
    }
#    endif
    if (cth__os_thread_start(&thread->os, cth__sim_carry, thread, 0) != CTH_OK) {
        return false;
    }
    cth__os_thread_detach(&thread->os);
    return true;
}

/* Make a simulated thread that is ready to run; NULL when the real system gives none. */
static cth__sim_thread *cth__sim_start(void (*fn)(void *arg), void *arg) {
    cth__sim_thread *thread = NULL;
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        if (cth__sim.threads[i]->state == CTH__SIM_FREE) {
            thread = cth__sim.threads[i];
            break;
        }
    }
    if (thread == NULL) {
        if (cth__sim.n_threads == CTH__SIM_MAX) {
            return NULL;
        }
        thread = (cth__sim_thread *)calloc(1, sizeof *thread);
        if (thread == NULL || !cth__sim_carrier(thread)) {
            free(thread);
            return NULL;
        }
        thread->index = cth__sim.n_threads;
        cth__sim.threads[cth__sim.n_threads++] = thread;
    }
    thread->fn = fn;
    thread->arg = arg;
    cth__sim_born(thread, cth__sim_me == &cth__sim.controller ? NULL : cth__sim_me);
    return thread;
}

typedef struct cth__sim_os_thread {
    cth__sim_thread *thread;
} cth__sim_os_thread;

static cth_status cth__sim_thread_start(cth__sim_os_thread *handle,
                                        void (*fn)(void *arg),
                                        void *arg,
                                        size_t stack_size) {
    (void)stack_size; // simulated threads share stacks of the default size
    (void)cth__sim_self();
    cth__sim_point(NULL);
    (void)cth__sim_op("start of a thread", NULL, NULL);
    if (cth__sim_faulty(CTH_SIM_THREADS, 4)) {
        return CTH_AGAIN;
    }
    handle->thread = cth__sim_start(fn, arg);
    return handle->thread != NULL ? CTH_OK : CTH_AGAIN;
}

static void cth__sim_thread_join(cth__sim_os_thread *handle) {
    // relaxed: one thread runs.
    while (atomic_load_explicit(&handle->thread->done, memory_order_relaxed) == 0) {
        cth__sim_wait(NULL, &handle->thread->done, 0, CTH_FOREVER);
    }
    cth__view_take(&cth__sim_me->viewer.view, &handle->thread->viewer.view);
    cth__sim_set(handle->thread, CTH__SIM_FREE);
}

static void cth__sim_thread_detach(cth__sim_os_thread *handle) {
    handle->thread->detached = true;
    if (handle->thread->state == CTH__SIM_DONE) {
        cth__sim_set(handle->thread, CTH__SIM_FREE);
    }
}

/* Where a block's bytes begin, aligned for anything. */
#    define CTH__BLOCK_HEAD ((sizeof(cth__sim_block) + 15) / 16 * 16)

static void *cth__sim_alloc(size_t size, bool keep) {
    (void)cth__sim_self();
    cth__sim_point(NULL);
    if (cth__sim_faulty(CTH_SIM_ALLOC, 4)) {
        return NULL;
    }
    cth__sim_block *block = (cth__sim_block *)malloc(CTH__BLOCK_HEAD + size);
    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    block->keep = keep;
    block->freed = false;
    block->prev = NULL;
    block->next = cth__sim.blocks;
    if (block->next != NULL) {
        block->next->prev = block;
    }
    cth__sim.blocks = block;
    (void)cth__model_freed(&cth__sim_me->viewer, block + 1, size, false); // the C library's own
    return (char *)block + CTH__BLOCK_HEAD;
}

static void cth__sim_free(void *p) {
    if (p != NULL) {
        cth__sim_block *block = (cth__sim_block *)(void *)((char *)p - CTH__BLOCK_HEAD);
        if (block->freed) {
            cth_sim_fail("freed", "a block of %zu bytes is freed twice", block->size);
        }
        if (cth__m.n_freed < sizeof cth__m.freed / sizeof cth__m.freed[0]) {
            block->freed = true; // kept until the schedule ends: nobody else gets the memory
            cth__sim_set_freed(p, block->size, true);
            return;
        }
        *(block->prev != NULL ? &block->prev->next : &cth__sim.blocks) = block->next;
        if (block->next != NULL) {
            block->next->prev = block->prev;
        }
        free(block);
    }
}

static void cth__sim_free_all(void) {
    while (cth__sim.blocks != NULL) {
        cth__sim_block *block = cth__sim.blocks;
        cth__sim.blocks = block->next;
        free(block);
    }
}

static void cth__sim_scenario(void *arg) {
    (void)arg;
    cth__sim.result = cth__sim.scenario(cth__sim.arg);
    cth__sim_holds_none();
    cth__sim.returned = true;
    if (cth__sim.result != CTH_OK) {
        cth_sim_fail("check", "the scenario returned %s", cth_status_name(cth__sim.result));
    }
}

/* After a failed schedule its threads are left where they are. The stacks of fibers are used again
   (`reuse`); but system threads stay behind, and under a leak checker all that they can reach. */
static void cth__sim_abandon(bool reuse) {
#    if CTH__FIBERS && !CTH__SANITIZER
    if (cth__sim.fibers && reuse) {
        for (size_t i = 0; i < cth__sim.n_threads; i++) {
            cth__os_fiber_reset(&cth__sim.threads[i]->fiber, cth__sim_carry_fiber);
            cth__sim_set(cth__sim.threads[i], CTH__SIM_FREE);
        }
        cth__sim_free_all();
        return;
    }
#    endif
    (void)reuse;
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        cth__sim_thread *thread = cth__sim.threads[i];
        thread->abandoned = cth__sim.abandoned;
        thread->blocks = i == 0 ? cth__sim.blocks : NULL;
        cth__sim.abandoned = thread;
        cth__sim.threads[i] = NULL;
    }
    cth__sim.n_threads = 0;
    cth__sim.n_ready = 0;
    cth__sim.blocks = NULL;
}

/* Run one schedule; false when it failed. */
static bool cth__sim_schedule(uint64_t seed) {
    cth__hook_reset();
    if (cth__m.n_cells > 4096 && !cth__sim.prune) {
        cth__model_forget();
    }
    cth__sim_me = &cth__sim.controller;
    cth__sim_enter(seed);
    cth__sim_thread *first = cth__sim_start(cth__sim_scenario, NULL);
    if (first == NULL) {
        cth_sim_fail("no thread", "the system has none to give"); // returns, in the controller
    } else {
        cth__sim_go(first, false);
    }
    if (!cth__sim.failed) {
        for (cth__sim_block *block = cth__sim.blocks; block != NULL; block = block->next) {
            if (!block->keep && !block->freed) {
                cth_sim_fail("memory left", "%zu bytes were not freed", block->size);
                break;
            }
        }
    }
    cth__sim.active = false;
    cth__sim_me = NULL;
    if (cth__sim.failed) {
        cth__sim_abandon(true);
        return false;
    }
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        cth__sim_set(cth__sim.threads[i], CTH__SIM_FREE);
    }
    cth__sim_free_all();
    return true;
}

/* Look for a shorter schedule that fails in the same way: leave changes out, many at a time, then
   fewer, down to single ones (after Zeller's ddmin). The last run is the one that is reported. */
static void cth__sim_shrink(uint64_t seed) {
    char kind[sizeof cth__sim.report.kind];
    cth_sim_report *first = (cth_sim_report *)malloc(sizeof *first);
    if (first == NULL) {
        return;
    }
    *first = cth__sim.report;
    cth__changes best = {NULL, 0, 0};
    int tries = cth__sim.fibers && !CTH__SANITIZER ? 2000 : 60;
    memcpy(kind, cth__sim.report.kind, sizeof kind);
    cth__x_copy(&best, &cth__x.made);
    cth__x.scripted = true;
    for (size_t size = (best.n + 1) / 2; size > 0 && tries > 0;
         size = size > 1 ? (size + 1) / 2 : 0) {
        for (size_t at = 0; at < best.n && tries > 0; tries--) {
            cth__x.script.n = 0;
            for (size_t i = 0; i < best.n; i++) {
                if (i < at || i >= at + size) {
                    cth__x_append(&cth__x.script, best.list[i].at, best.list[i].value);
                }
            }
            if (!cth__sim_schedule(seed) && strcmp(kind, cth__sim.report.kind) == 0) {
                cth__x_copy(&best, &cth__x.made);
            } else {
                at += size;
            }
        }
    }
    cth__x_copy(&cth__x.script, &best);
    if (cth__sim_schedule(seed) || strcmp(kind, cth__sim.report.kind) != 0) {
        // The scenario keeps something from one schedule to the next: what was seen first stands.
        cth__sim.report = *first;
    }
    free(first);
    free(best.list);
}

CTH_API cth_status cth_sim_run(const cth_sim_desc *desc,
                               cth_status (*scenario)(void *arg),
                               void *arg) {
    static const cth_sim_desc defaults = {0};
    desc = desc != NULL ? desc : &defaults;
    if (scenario == NULL) {
        return CTH_INVALID;
    }
    if (cth__sim.running || (cth__sim_me != NULL && cth__sim_me != cth__sim.threads[0]) ||
        (cth__sim.whole && cth__sim_alive() > 1)) {
        return CTH_BUSY;
    }
    if (!cth__sim_script(desc->schedule)) {
        return CTH_INVALID;
    }
    if (cth__sim.whole) { // until now the program was one schedule of its own: that one ends here
        cth__hook_end();  // while it can run: closes its locals
        cth__sim.active = false;
        cth__sim_set(cth__sim.threads[0], CTH__SIM_FREE);
        free(cth__sim.threads[0]);
        cth__sim.threads[0] = cth__sim.threads[--cth__sim.n_threads];
        if (cth__sim.n_threads > 0) {
            cth__sim.threads[0]->index = 0;
        }
        cth__sim.whole = false;
        cth__sim_me = NULL;
        cth__sim_free_all();
    }
    if (!cth__os_parker_init(&cth__sim.controller.parker)) {
        return CTH_NOMEM;
    }
    const bool search = desc->strategy == CTH_SIM_EXHAUSTIVE;
    uint64_t seed = desc->seed != 0 ? desc->seed : 1;
    uint64_t schedules = desc->schedules != 0 ? desc->schedules : search ? 1000000 : 1000;
    const uint64_t first = seed;
    const bool one = cth__sim_env_seed(&seed) || cth__x.scripted;
    seed = cth__x.scripted ? 0 : seed; // the schedule says it all
    schedules = one ? 1 : schedules;
    if (cth__sim.fibers != (CTH__FIBERS && !desc->threads)) { // the carriers are of the other kind
        cth__sim_abandon(false);
    }
    cth__sim.fibers = CTH__FIBERS && !desc->threads;
    if (!cth__sim.fibers) {
        cth__sim_pin();
    }
    cth__sim.running = true;
    cth__sim.name = desc->name != NULL ? desc->name : "scenario";
    cth__sim.faults = desc->faults | cth__sim_env_faults();
    cth__sim.max_steps = desc->max_steps != 0 ? desc->max_steps : 100000;
    cth__sim.depth = desc->depth != 0 ? desc->depth : 3;
    cth__sim.scenario = scenario;
    cth__sim.arg = arg;
    cth__sim.prune = search && !one;
    cth__x.strategy = desc->strategy;
    cth__x.endless = false;
    cth__x.bounds[CTH__PREEMPT] = desc->preemptions == 0 ? 2 : desc->preemptions;
    cth__x.bounds[CTH__STALE] = desc->stale == 0 ? 1 : desc->stale;
    cth__x.bounds[CTH__FAULT] = 1;
    for (int i = 0; i < CTH__BUDGETS; i++) {
        cth__x.bounds[i] = cth__x.bounds[i] < 0 ? 0 : cth__x.bounds[i];
    }
    cth__x.depth = 0;
    cth__m.weak = cth__sim_env_weak(!desc->strong);
    cth__model_forget();
    memset(&cth__sim.report, 0, sizeof cth__sim.report);
    cth__os_on_crash(cth__sim_crashed);
    bool good = true;
    bool more = true;
    uint64_t i;
    uint64_t steps = 0;
    uint32_t restarts = 0;
    for (i = 0; i < schedules && good && more; i++) {
        const uint64_t sharing = cth__m.sharing;
        uint64_t at = first + i;
        seed = search ? 0 : schedules == 1 ? seed : cth__mix64(&at);
        good = cth__sim_schedule(seed);
        steps += cth__sim.steps;
        if (good && search && !one) {
            const bool lost = cth__x.next < cth__x.depth;
            if (cth__sim.prune && (lost || cth__m.sharing != sharing)) {
                // Points that were left out may matter: from the beginning. Where addresses are
                // others in each schedule that never ends, so then none is left out.
                cth__x.depth = 0;
                cth__sim.prune = !lost && ++restarts < 100;
            } else if (lost) {
                cth__sim_differs();
                good = false;
            } else {
                more = cth__x_next_search();
            }
        }
    }
    cth__sim.report.complete = search && !more;
    if (!good) {
        const uint64_t failed = cth__sim.seed;
        cth__sim.prune = false;
        if (!desc->no_shrink) {
            cth__sim_shrink(failed);
        }
        if (!desc->quiet) {
            (void)fflush(stdout);
            (void)fputs(cth__sim.report.text, stderr);
            (void)fflush(stderr);
        }
    }
    cth__os_on_crash(NULL);
    cth__hook_reset();
    cth__x.scripted = false;
    cth__sim.prune = false;
    cth__sim.running = false;
    cth__sim.report.schedules = i;
    cth__sim.report.steps = steps;
    if (desc->report != NULL) {
        *desc->report = cth__sim.report;
    }
    return good ? CTH_OK : CTH_FAILED;
}

static uint64_t cth__sim_entropy(void) {
    (void)cth__sim_self();
    uint64_t seed = cth__pick(UINT32_MAX, CTH__FIXED, cth__x_below(UINT32_MAX));
    return cth__mix64(&seed);
}

static bool cth__sim_is_main(void) {
    return cth__sim_self() == cth__sim.threads[0];
}

static int64_t cth__sim_native_id(void) {
    cth__sim_thread *me = cth__sim_self();
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        if (cth__sim.threads[i] == me) {
            return 1000 + (int64_t)i;
        }
    }
    return 0;
}

static bool cth__sim_spin(void) {
    return cth__pick(2, CTH__FIXED, cth__x_below(4) != 0) != 0;
}

/* Order what came before with what comes after, through a lock that is not the kit's. */
static void cth__sim_order(const volatile void *lock, int order) {
    cth__cell *cell = cth__sim_access(lock, "use of", true, "cthreads.h");
    cell->pointer = false;
    cth__cell_atomic(cell, 0);
    cth__sim_changed(cell, "use of", 0, order, "cthreads.h");
}

/* Worker processes: each answers in the thread that asks, unless it is to misbehave, which is
   chosen when it is asked. */
enum { CTH__FATE_ANSWER, CTH__FATE_GONE, CTH__FATE_UNREAD, CTH__FATE_MIDWAY, CTH__FATE_LATE };
enum { CTH__FATE_BEFORE_REPLY = CTH__FATE_LATE + 1, CTH__FATE_STALL, CTH__FATE_NOISE, CTH__FATES };

/* A worker's memory; it is there as long as the worker or a part of it that is mapped. */
typedef struct cth__sim_shared {
    unsigned char bytes[32768]; // first: a place for any type
    uint32_t refs;
} cth__sim_shared;

typedef struct cth__sim_memory {
    unsigned char *bytes;
    size_t size;
    cth__sim_shared *all;
} cth__sim_memory;

typedef struct cth__sim_child {
    unsigned char *shared;
    size_t size;
    cth__sim_shared *all;
    cth__word over; // 1: killed or dead, 2: roused, 3: both
    uint32_t fate;
    unsigned char request[64];
    size_t request_size;
} cth__sim_child;

static bool cth__sim_children(void) {
    return true;
}

static bool cth__sim_child_fill(cth__sim_child *child, size_t at, size_t size) {
    (void)child;
    (void)at;
    (void)size;
    return !cth__sim_faulty(CTH_SIM_ALLOC, 8);
}

static bool cth__sim_child_map(cth__sim_child *child,
                               cth__sim_memory *memory,
                               size_t at,
                               size_t size) {
    if (at + size > sizeof child->all->bytes) {
        return false;
    }
    *memory = (cth__sim_memory){child->all->bytes + at, size, child->all};
    child->size = at + size > child->size ? at + size : child->size;
    child->all->refs++;
    return true;
}

static void cth__sim_shared_unref(cth__sim_shared *all) {
    if (--all->refs == 0) {
        cth__sim_free(all);
    }
}

static void cth__sim_memory_unmap(cth__sim_memory *memory) {
    cth__sim_shared_unref(memory->all);
}

static void cth__sim_memory_empty(cth__sim_memory *memory) {
    memset(memory->bytes, 0xee, memory->size);
}

static cth_status cth__sim_child_start(cth__sim_child *child,
                                       const char *program,
                                       const char *name,
                                       size_t base) {
    (void)program;
    (void)name;
    (void)cth__sim_self();
    cth__sim_point(NULL);
    (void)cth__sim_op("start of a process", NULL, NULL);
    memset(child, 0, sizeof *child);
    if (cth__sim_faulty(CTH_SIM_THREADS, 4)) {
        return CTH_AGAIN;
    }
    child->all = (cth__sim_shared *)cth__sim_alloc(sizeof *child->all, false);
    if (child->all == NULL) {
        return CTH_NOMEM;
    }
    memset(child->all->bytes, 0xee, sizeof child->all->bytes);
    memset(child->all->bytes, 0, base);
    child->all->refs = 1;
    child->shared = child->all->bytes;
    child->size = base;
    return CTH_OK;
}

static bool cth__sim_child_over(cth__sim_child *child) {
    // relaxed: one thread runs.
    return (atomic_load_explicit(&child->over, memory_order_relaxed) & 1) != 0;
}

static void cth__sim_child_becomes(cth__sim_child *child, uint32_t bit) {
    // relaxed: one thread runs.
    (void)atomic_fetch_or_explicit(&child->over, bit, memory_order_relaxed);
    cth__sim_wake(NULL, &child->over);
}

static bool cth__sim_child_send(cth__sim_child *child, const void *bytes, size_t size) {
    cth__sim_point(NULL);
    (void)cth__sim_op("request to a process", &child->over, NULL);
    child->fate = cth__sim_faulty(CTH_SIM_PROCESSES, 3) ? 1 + cth__pick_any(CTH__FATES - 1) : 0;
    if (cth__sim_child_over(child) || child->fate == CTH__FATE_GONE) {
        return false;
    }
    memcpy(child->request, bytes, size);
    child->request_size = size;
    return true;
}

static int cth__sim_child_recv(cth__sim_child *child, void *bytes, size_t size, cth_time deadline) {
    const uint32_t fate = child->fate;
    const bool stalls = fate == CTH__FATE_STALL && deadline != CTH_FOREVER;
    const cth_time till = cth__sim.now + (fate >= CTH__FATE_LATE ? CTH_MS(50) : CTH_US(10));
    const cth_time wake = stalls || deadline < till ? deadline : till;
    while (!cth__sim_child_over(child) && cth__sim.now < wake) {
        cth__sim_wait(NULL, &child->over, 0, wake);
    }
    if (cth__sim_child_over(child) || fate == CTH__FATE_UNREAD) {
        return 0;
    }
    if (cth__sim.now >= deadline) {
        return -1;
    }
    const size_t got = cth__hook_answer(child->request, child->request_size, child->shared,
                                        child->size, bytes, fate == CTH__FATE_MIDWAY);
    if (fate == CTH__FATE_NOISE) { // few kinds of it, for the sake of exhaustive search
        const size_t sizes[] = {1, got - 1, size};
        const uint32_t kind = cth__pick_any(6);
        if (kind < 3) {
            return (int)sizes[kind];
        }
        ((unsigned char *)bytes)[(kind - 3) * 4] ^= 0x80; // in the three numbers it begins with
    }
    cth__sim_point(NULL);
    return cth__sim_child_over(child) || fate == CTH__FATE_MIDWAY || fate == CTH__FATE_BEFORE_REPLY
               ? 0
               : (int)got;
}

static void cth__sim_child_kill(cth__sim_child *child, int number) {
    (void)number;
    cth__sim_point(NULL);
    (void)cth__sim_op("kill of a process", &child->over, NULL);
    cth__sim_child_becomes(child, 1);
}

/* It may die meanwhile. */
static bool cth__sim_child_watch(cth__sim_child *child) {
    cth__sim_point(NULL);
    (void)cth__sim_op("watch of a process", &child->over, NULL);
    const bool dies = cth__sim_faulty(CTH_SIM_PROCESSES, 3);
    const cth_time till = dies ? cth__sim.now + CTH_MS(1) : CTH_FOREVER;
    // relaxed: one thread runs.
    while (atomic_load_explicit(&child->over, memory_order_relaxed) == 0 && cth__sim.now < till) {
        cth__sim_wait(NULL, &child->over, 0, till);
    }
    if (cth__sim.now >= till) {
        cth__sim_child_becomes(child, 1);
    }
    // relaxed: as above. Who was roused once is not roused again.
    (void)atomic_fetch_and_explicit(&child->over, 1, memory_order_relaxed);
    return cth__sim_child_over(child);
}

static void cth__sim_child_rouse(cth__sim_child *child) {
    cth__sim_point(NULL);
    (void)cth__sim_op("rouse of who watches a process", &child->over, NULL);
    cth__sim_child_becomes(child, 2);
}

static void cth__sim_child_end(cth__sim_child *child, cth_time deadline, char *text, size_t size) {
    cth__sim_point(NULL);
    (void)cth__sim_op("end of a process", &child->over, NULL);
    (void)snprintf(text, size, "killed by signal %d", deadline == 0 ? 9 : 11);
    cth__sim_shared_unref(child->all);
}

#    define cth__os_handle       cth__sim_os_thread
#    define cth__clock           cth__sim_clock
#    define cth__wall            cth__sim_wall
#    define cth__local_time      cth__sim_local_time
#    define cth__wait_on         cth__sim_wait
#    define cth__wake_on         cth__sim_wake
#    define cth__yield_cpu       cth__sim_yield
#    define cth__handle_start    cth__sim_thread_start
#    define cth__handle_join     cth__sim_thread_join
#    define cth__handle_detach   cth__sim_thread_detach
#    define cth__entropy         cth__sim_entropy
#    define cth__cpu()           0U
#    define cth__is_main         cth__sim_is_main
#    define cth__native_id       cth__sim_native_id
#    define cth__choose(n)       cth__pick_any(n)
#    define cth__maybe(odds)     (cth__pick(2, CTH__OPEN_TO, cth__x_below(odds) == 0) != 0)
#    define cth__holds_none      cth__sim_holds_none
#    define cth__order_by(p, o)  cth__sim_order((p), memory_order_##o)
#    define cth__spurious()      cth__sim_spurious()
#    define cth__spin_pause()    (void)0
#    define cth__fence_prepare() ((void)0)
#    define cth__fence_heavy()   cth__sim_fence(memory_order_seq_cst, CTH__HERE)
#    define cth__bind(record)    ((void)(cth__sim_self()->self = (record)))
#    define cth__children        cth__sim_children
#    define cth__child_handle    cth__sim_child
#    define cth__child_start     cth__sim_child_start
#    define cth__child_memory    cth__sim_memory
#    define cth__child_fill      cth__sim_child_fill
#    define cth__child_map       cth__sim_child_map
#    define cth__memory_unmap    cth__sim_memory_unmap
#    define cth__memory_empty    cth__sim_memory_empty
#    define cth__child_send      cth__sim_child_send
#    define cth__child_recv      cth__sim_child_recv
#    define cth__child_watch     cth__sim_child_watch
#    define cth__child_rouse     cth__sim_child_rouse
#    define cth__child_kill      cth__sim_child_kill
#    define cth__child_end       cth__sim_child_end
#  else
#    define cth__os_handle      cth__os_thread
#    define cth__clock          cth__os_now
#    define cth__wall           cth__os_wall
#    define cth__local_time     cth__os_local_time
#    define cth__wait_on        cth__os_wait
#    define cth__wake_on        cth__os_wake
#    define cth__yield_cpu      cth__os_yield
#    define cth__handle_start   cth__os_thread_start
#    define cth__handle_join    cth__os_thread_join
#    define cth__handle_detach  cth__os_thread_detach
#    define cth__entropy        cth__os_entropy
#    define cth__cpu            cth__os_cpu
#    define cth__is_main        cth__os_is_main
#    define cth__native_id      cth__os_native_id
#    define cth__choose(n)      0U // which of n equally right things to do
#    define cth__holds_none()   ((void)0)
#    define cth__order_by(p, o) ((void)0)
#    define cth__spurious()     false // whether a condition wait ends for no reason
#    define cth__spin_pause()   cth__os_pause()
#    define cth__fence_prepare  cth__os_fence_prepare
#    define cth__fence_heavy    cth__os_fence_heavy
#    define cth__bind(self)     ((void)0)
#    define cth__children       cth__os_children
#    define cth__child_handle   cth__os_child
#    define cth__child_start    cth__os_child_start
#    define cth__child_memory   cth__os_memory
#    define cth__child_fill     cth__os_child_fill
#    define cth__child_map      cth__os_child_map
#    define cth__memory_unmap   cth__os_memory_unmap
#    define cth__memory_empty   cth__os_memory_empty
#    define cth__child_send     cth__os_child_send
#    define cth__child_recv     cth__os_child_recv
#    define cth__child_watch    cth__os_child_watch
#    define cth__child_rouse    cth__os_child_rouse
#    define cth__child_kill     cth__os_child_kill
#    define cth__child_end      cth__os_child_end
#  endif

/* -------------------------------------------------------------------------------------------------
   >>impl:atomic   External copies of the inline functions, for C++ and function pointers.
   ---------------------------------------------------------------------------------------------- */

#  ifndef CTHREADS_STATIC
CTH__TLS_MODEL _Thread_local uint32_t cth__me;
#    ifndef CTHREADS_SIM
cth__word cth__asymmetric, cth__fence_word;
#    endif

extern cth_status cth_mutex_lock(cth_mutex *mutex);
extern cth_status cth_mutex_try_lock(cth_mutex *mutex);
extern cth_status cth_mutex_lock_until(cth_mutex *mutex, cth_time deadline);
extern cth_status cth_mutex_unlock(cth_mutex *mutex);
extern cth_status cth_rmutex_lock(cth_rmutex *rmutex);
extern cth_status cth_rmutex_try_lock(cth_rmutex *rmutex);
extern cth_status cth_rmutex_lock_until(cth_rmutex *rmutex, cth_time deadline);
extern cth_status cth_rmutex_unlock(cth_rmutex *rmutex);
extern cth_status cth_rwlock_read_lock(cth_rwlock *rwlock);
extern cth_status cth_rwlock_read_unlock(cth_rwlock *rwlock);
extern cth_status cth_rwlock_write_lock(cth_rwlock *rwlock);
extern cth_status cth_rwlock_write_unlock(cth_rwlock *rwlock);
extern cth_status cth_sem_acquire(cth_sem *sem);
extern cth_status cth_sem_try_acquire(cth_sem *sem);
extern cth_status cth_sem_acquire_until(cth_sem *sem, cth_time deadline);
extern cth_status cth_sem_release(cth_sem *sem);
extern bool cth_event_is_set(const cth_event *event);
extern cth_status cth_event_wait(cth_event *event);
extern cth_status cth_event_wait_until(cth_event *event, cth_time deadline);
extern cth_status cth_latch_wait(cth_latch *latch);
extern cth_status cth_latch_wait_until(cth_latch *latch, cth_time deadline);
extern bool cth_once_is_done(const cth_once *once);
extern cth_status cth_once_call(cth_once *once, cth_status (*fn)(void *arg), void *arg);
extern bool cth__side_enter(cth_chan *chan, cth__side *side, cth__side *other, uint32_t *at);
extern void cth__side_step(cth__side *side, uint32_t at);
extern bool cth__chan_put(cth_chan *chan, const void *value, size_t size);
extern bool cth__chan_take(cth_chan *chan, void *value, size_t size);
extern cth_status cth_chan_send(cth_chan *chan, const void *value);
extern cth_status cth_chan_try_send(cth_chan *chan, const void *value);
extern cth_status cth_chan_send_until(cth_chan *chan, const void *value, cth_time deadline);
extern cth_status cth_chan_recv(cth_chan *chan, void *value);
extern cth_status cth_chan_try_recv(cth_chan *chan, void *value);
extern cth_status cth_chan_recv_until(cth_chan *chan, void *value, cth_time deadline);
extern cth__scope cth__scope_mutex(cth_mutex *lock);
extern void cth__scope_leave(cth__scope *scope);
extern void cth__fork_push(cth_forks *forks, void (*run)(cth_forks forks, cth__fork *fork));
extern cth__fork *cth__fork_pop(cth_forks *forks, bool *here);
extern void cth_fork(cth_forks *forks, cth_fork_fn fn, void *arg);
extern cth_status cth_join(cth_forks *forks);
extern void cth_progress_add(cth_progress *progress, uint32_t n);
#  endif

/* -------------------------------------------------------------------------------------------------
   >>impl:memory   Allocation through one door, and the one struct with all global state.
   ---------------------------------------------------------------------------------------------- */

#  if defined(CTH_MALLOC) != defined(CTH_FREE)
#    error "cthreads.h: define both CTH_MALLOC and CTH_FREE, or neither"
#  endif
#  ifndef CTH_MALLOC
#    define CTH_MALLOC(size) malloc(size)
#    define CTH_FREE(p)      free(p)
#  endif

/* Allocate memory, or NULL. `keep`: the kit recycles it and never gives it back. */
static void *cth__alloc_raw(size_t size, bool keep) {
    const int error = errno;
#  ifdef CTHREADS_SIM
    void *p = cth__sim_alloc(size, keep);
#  else
    (void)keep;
    void *p = CTH_MALLOC(size);
#  endif
    errno = error;
    return p;
}

/* Allocate zeroed memory, or NULL. */
static void *cth__alloc(size_t size, bool keep) {
    void *p = cth__alloc_raw(size, keep);
    if (p != NULL) {
        memset(p, 0, size);
    }
    return p;
}

static void cth__free(void *p) {
    const int error = errno;
#  ifdef CTHREADS_SIM
    cth__sim_free(p);
#  else
    CTH_FREE(p);
#  endif
    errno = error;
}

/* Copy a value of a user's; of no bytes there may be none. */
static void cth__copy(void *to, const void *from, size_t size) {
    if (size != 0) {
        memcpy(to, from, size);
    }
}

/* What a thread is doing while it sleeps: for reports. Written by the thread itself. */
typedef struct cth__why {
    cth__ptr what;   // const char *: "mutex", "sleep", ...; NULL while it does not wait
    cth__ptr object; // what it waits for
    cth__ptr owner;  // the word that names the holder, or NULL
    cth__ptr site;   // the code address it waits at
} cth__why;

#  define CTH__SPIN_LEAST  20  // pauses: about 0.5 us
#  define CTH__SPIN_MOST   300 // about 7 us
#  define CTH__YIELDS      4   // then so many times the CPU is given up before a sleep
#  define CTH__WAKING      50  // ticks (microseconds, nearly) that waking a thread may take
#  define CTH__CROWDED     500 // ... after which others keep the CPU
#  define CTH__YIELDS_MOST 128 // ... when sleeps were short of late: about 50 us

/* One thread's record. Recycled, never freed: whoever has found one may touch it at any time. */
typedef struct cth__self {
    cth__word claim;     // see impl:wait
    cth__word lock_wake; // 1: try the private lock again
    struct cth__self *lock_next;
    cth__os_parker parker;
    cth__word waker_cpu; // where the waker of the latest wait ran
    cth__word woken_at;  // when it ended that, in cth__ticks
    uint32_t me;         // number << 8, what lock words hold
    uint32_t spin;       // how many pauses a wait is worth: see cth__spin_learn
    uint32_t yields;     // and how often it then gives up the CPU
    uint32_t crowded;    // for how many waits not at all
    struct cth__self *next_free;
    cth_thread *thread;
    cth_cancel *token;
    cth__why why;
    cth__ptr *slots; // values of cth_local by slot; the array changes under the registry lock
    uint32_t n_slots;
    struct cth__undo *undo;         // the innermost CTH_ATOMICALLY block
    cth_rng rng;                    // for select
    const struct cth__frame *frame; // the innermost task it runs
    struct cth__child *child;       // the process that does it, see impl:process
    struct cth_team *team;          // the one it works in, or NULL
    uint32_t patience;              // see cth__chan_patience
    uint32_t impatient;
    char error[128];
} cth__self;

/* A record of one thing one thread waits for, queued in the bucket of its key. */
typedef struct cth__waiter {
    struct cth__waiter *next, *prev;
    const void *key;
    cth__self *self;
    void *data;     // the object's own: a condition keeps the mutex here
    cth_time since; // when the wait began, for fairness
    uint32_t index; // which case of the wait this is
    bool poke;      // a claim of it does not end the wait, but makes the thread settle it
    bool watch;     // its thread only wants to know: a wake of it takes nothing from others
    bool queued;
    struct cth__bucket *bucket;
    struct cth__waiter *also; // the next record of the same wait, if it has several
} cth__waiter;

typedef struct cth__bucket {
    cth__ptr lock;
    cth__waiter *head, *tail;
    char pad[64 - 3 * sizeof(void *)];
} cth__bucket;

#  ifdef CTHREADS_SIM // small, so that few threads meet in one bucket and fill each table
#    define CTH__BUCKETS 3
#    define CTH__SEGMENT 4
#    define CTH__WAKES   2
#  else
#    define CTH__BUCKETS 512
#    define CTH__SEGMENT 64
#    define CTH__WAKES   16
#  endif
#  define CTH__SEGMENTS   19 // of records by number, in arrays of CTH__SEGMENT, twice that, ...
#  define CTH__LOCALS     1024
#  define CTH__MAX_SIGNAL 64

struct cth_thread {
    cth__word state; // CTH__NEW, CTH__ALIVE, CTH__ENDED
    cth__word flags; // CTH__JOINED, ...; set under the registry lock
    cth__ptr name;   // struct cth__name *
    cth__ptr native; // the system's number, as intptr_t
    uint32_t id;
    uint32_t generation; // of the process it was started in
    bool daemon;
    bool started_os; // under the registry lock: `os` may be joined or detached
    bool running;    // under the registry lock: the thread itself still needs the record
    size_t refs;     // under the registry lock
    size_t stack_size;
    cth__os_handle os;
    cth_thread_fn fn;
    void *arg;
    cth_status result;
    cth_cancel *cancel;
    cth__self *self;
    struct cth_thread *next, *prev; // the registry's list
    struct cth__name *old_names;    // under the registry lock
};

typedef struct cth__name {
    struct cth__name *next;
    char text[CTH_THREAD_NAME_MAX + 1];
} cth__name;

static struct cth__global {
    cth__word state;      // 0 fresh, 1 being set up, 2 ready
    cth__word door;       // held while records of threads come and go
    cth__word cpus;       // CPUs that threads of the kit may use, at last look
    cth__word nondaemons; // threads that the exit waits for
    cth__self *free_selves;
    uint32_t n_selves;
    cth__ptr selves[CTH__SEGMENTS];
    cth__ptr first_selves[CTH__SEGMENT]; // the first one: the main thread's record needs no memory
    unsigned long cpu_mask[64];

    cth__ptr registry; // private lock: the list of threads, names, references, locals
    cth_thread main;
    cth__name main_name;
    cth__self main_self;
    cth_thread *main_now; // &main, or in a fork's child the thread that forked
    cth_thread *first, *last;
    size_t n_threads;
    uint32_t next_id, next_name, next_dummy;
    uint32_t generation; // how many forks lie behind us
    cth__word executors; // how many there were without a name
    cth__word ended;     // how many watched tasks have ended; see impl:future
    cth__ptr team;       // the process's
    cth_local *locals[CTH__LOCALS];

    cth__ptr tree; // private lock: all cancel tokens, and the signals they watch
    cth_cancel *signals[CTH__MAX_SIGNAL + 1];
    char signal_reasons[CTH__MAX_SIGNAL + 1][12];
    bool signal_service;
    cth__os_thread signal_thread;

    cth__ptr hook_lock; // private lock: the two below
    cth_thread_hook_fn hook;
    void *hook_arg;

    cth__ptr timers; // private lock: the heap of timers, and those below
    cth_timer *timer_root, *timer_now;
    bool timer_left;        // timer_now may be gone: its function has cancelled or set it
    uint32_t timer_cancels; // how many wait for the end of this run, and so keep the timer
    cth_thread *timer_service;
    uint64_t timer_order;

    cth__bucket buckets[CTH__BUCKETS];
} cth__g;

// Outlive a reset by the simulator: what the process as a whole has done once.
static struct {
    bool hooked; // exit and fork handlers, and the key
    bool has_key;
    cth__os_key key;
    const char *program; // its name; NULL before cth_process_main
} cth__process;

static _Thread_local cth__self *cth__tls;

/* -------------------------------------------------------------------------------------------------
   >>impl:time
   ---------------------------------------------------------------------------------------------- */

CTH_API cth_time cth_now(void) {
    return cth__clock();
}

/* A point in time and a span, or CTH_FOREVER. */
static cth_time cth__sum(cth_time time, cth_time span) {
    return span >= CTH_FOREVER - time ? CTH_FOREVER : time + span;
}

CTH_API cth_time cth_after(cth_time span) {
    if (span < 0) {
        return -1;
    }
    return cth__sum(cth__clock(), span);
}

/* Tell whether there is no time left to wait; 0 is past without a look at the clock. */
static bool cth__passed(cth_time deadline) {
    return deadline != CTH_FOREVER && (deadline == 0 || cth__clock() >= deadline);
}

CTH_API void cth_yield(void) {
    cth__yield_cpu();
}

CTH_API cth_time cth_wall_now(void) {
    return cth__wall();
}

CTH_API char *cth_wall_text(cth_time wall, char text[CTH_WALL_TEXT_SIZE]) {
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    cth_time seconds = wall / 1000000000;
    if (wall % 1000000000 < 0) {
        seconds--;
    }
    cth__local_time((time_t)seconds, &tm);
    const unsigned day = (unsigned)tm.tm_wday % 7;
    const unsigned month = (unsigned)tm.tm_mon % 12;
    (void)snprintf(text, CTH_WALL_TEXT_SIZE, "%.3s %.3s %2u %02u:%02u:%02u %04u", days + day * 3,
                   months + month * 3, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                   (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
                   (unsigned)(tm.tm_year + 1900) % 10000);
    return text;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:rng
   ---------------------------------------------------------------------------------------------- */

CTH_API void cth_rng_seed(cth_rng *rng, uint64_t seed) {
    rng->state = seed;
}

CTH_API uint64_t cth_rng_entropy(void) {
    return cth__entropy();
}

CTH_API uint64_t cth_rng_next(cth_rng *rng) {
    uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

CTH_API uint64_t cth_rng_below(cth_rng *rng, uint64_t n) {
    if (n < 2) {
        return 0;
    }
    // Numbers below 2^64 mod n would make the small results likelier: draw again.
    const uint64_t unfair = (UINT64_MAX - n + 1) % n;
    uint64_t drawn;
    do {
        drawn = cth_rng_next(rng);
    } while (drawn < unfair);
    return drawn % n;
}

CTH_API double cth_rng_unit(cth_rng *rng) {
    return (double)(cth_rng_next(rng) >> 11) / 9007199254740992.0; // 2^53
}

/* -------------------------------------------------------------------------------------------------
   >>impl:self   The record each thread has here; adoption of threads the kit did not start.

   A record has a number that lock words hold, and is found again by it: its place in the table, and
   above it a count of its lives, so that a lock left held by a thread that ended does not soon seem
   to be held by another. Records in use hang on their thread; free ones wait in a list. `door`
   guards both; it is a spinning lock, since to sleep one needs a record, and it is held for a few
   lines only.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__INDEX UINT32_C(0xffff) // the part of a number that is a place in the table

enum { CTH__NEW, CTH__ALIVE, CTH__ENDED };
enum { CTH__JOINED = 1, CTH__DETACHED = 2, CTH__FOREIGN = 4 };

static void cth__door_open(void) {
    // [door.A] acquire: sees the lists as the last one left them; pairs with [door.B].
    while (cth__swap(&cth__g.door, 1, acquire) != 0) {
        cth__yield_cpu();
    }
    CTH_SIM_WRITE(cth__g.door); // for all that it guards
}

static void cth__door_close(void) {
    CTH_SIM_WRITE(cth__g.door);
    // [door.B] release: publishes the lists; pairs with [door.A].
    cth__store(&cth__g.door, 0, release);
}

static uint32_t cth__segment_of(uint32_t index, uint32_t *offset) {
    uint32_t segment = 0;
    uint32_t size = CTH__SEGMENT;
    while (index >= size) {
        index -= size;
        size <<= 1;
        segment++;
    }
    *offset = index;
    return segment;
}

/* The record with a number, as in a lock word >> 8; NULL for a number never given out. */
static cth__self *cth__self_by_number(uint32_t number) {
    uint32_t offset;
    number &= CTH__INDEX;
    if (number == 0) {
        return NULL;
    }
    const uint32_t segment = cth__segment_of(number - 1, &offset);
    if (segment >= CTH__SEGMENTS) {
        return NULL;
    }
    // [self.A] acquire: sees the array; pairs with [self.B].
    cth__ptr *array = (cth__ptr *)cth__load(&cth__g.selves[segment], acquire);
    if (array == NULL) {
        return NULL;
    }
    CTH_SIM_READ(*array);
    // [self.A] acquire: sees the record; pairs with [self.B].
    cth__self *self = (cth__self *)cth__load(&array[offset], acquire);
    if (self != NULL) {
        CTH_SIM_READ(*self);
    }
    return self;
}

/* Give a record its number, with the door open; false when memory is lacking. */
static bool cth__self_number(cth__self *self) {
    uint32_t offset;
    const uint32_t segment = cth__segment_of(cth__g.n_selves, &offset);
    if (cth__g.n_selves + 1 >= CTH__INDEX) { // the last one is CTH__POISON's
        return false;
    }
    // relaxed: only changed with the door open.
    cth__ptr *array = (cth__ptr *)cth__load(&cth__g.selves[segment], relaxed);
    if (array == NULL) {
        array = (cth__ptr *)cth__alloc(((size_t)CTH__SEGMENT << segment) * sizeof *array, true);
        if (array == NULL) {
            return false;
        }
        CTH_SIM_WRITE(*array);
        // [self.B] release: publishes the zeroed array; pairs with [self.A].
        cth__store(&cth__g.selves[segment], (void *)array, release);
    }
    self->me = ++cth__g.n_selves << 8;
    cth_rng_seed(&self->rng, self->me);
    CTH_SIM_WRITE(*self);
    // [self.B] release: publishes the record; pairs with [self.A].
    cth__store(&array[offset], (void *)self, release);
    return true;
}

/* A record for a thread to be; NULL when memory is lacking. */
static cth__self *cth__self_new(void) {
    cth__door_open();
    cth__self *self = cth__g.free_selves;
    if (self != NULL) {
        cth__g.free_selves = self->next_free;
    }
    cth__door_close();
    if (self == NULL) {
        self = (cth__self *)cth__alloc(sizeof *self, true);
        if (self == NULL) {
            return NULL;
        }
        cth__door_open();
        const bool good = cth__os_parker_init(&self->parker) && cth__self_number(self);
        cth__door_close();
        if (!good) {
            cth__free(self);
            return NULL;
        }
    }
    self->spin = CTH__SPIN_MOST;
    self->yields = CTH__YIELDS;
    self->token = NULL;
    self->thread = NULL;
    self->team = NULL;
    self->error[0] = '\0';
    return self;
}

static void cth__self_recycle(cth__self *self) {
    self->thread = NULL;
    cth__door_open();
    self->me += (CTH__INDEX + 1) << 8; // the next life's number; wraps in the upper byte
    self->next_free = cth__g.free_selves;
    cth__g.free_selves = self;
    cth__door_close();
}

/* Be `self` from now on. */
static void cth__self_enter(cth__self *self) {
    cth__tls = self;
    cth__me = self->me;
    cth__bind(self);
}

/* Be none. */
static void cth__self_leave(void) {
    cth__tls = NULL;
    cth__me = 0;
    cth__bind(NULL);
}

static cth__self *cth__adopt(void);

/* The calling thread's record; NULL when it has none and memory is lacking. */
static cth__self *cth__self_get(void) {
    return CTH__LIKELY(cth__tls != NULL) ? cth__tls : cth__adopt();
}

static void cth__look_at_cpus(void) {
#  ifdef CTHREADS_SIM
    const uint32_t cpus = 2;
#  else
    cth__door_open();
    const uint32_t cpus = cth__os_cpus(cth__g.cpu_mask);
    cth__door_close();
#  endif
    // relaxed: a hint for spinning.
    cth__store(&cth__g.cpus, cpus, relaxed);
}

/* How many threads can compute at the same time: the CPUs there are for this process, as far as its
   cgroup grants their time. At least 1. */
static uint32_t cth__cpus_granted(void) {
#  ifdef CTHREADS_SIM
    const uint32_t quota = UINT32_MAX;
#  else
    const uint32_t quota = cth__os_cpu_quota("");
#  endif
    // relaxed: they were counted before this thread had its record.
    const uint32_t cpus = cth__load(&cth__g.cpus, relaxed);
    const uint32_t least = cpus < quota ? cpus : quota;
    return least != 0 ? least : 1;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:wait   The table of waiters: every blocking call of the kit sleeps here.

   A thread that must wait queues a record in the bucket of the object's address, under the
   bucket's lock, and sleeps on its own `claim` word. Whoever wants to end the wait (a wake, a
   cancelled token, the thread itself at its deadline) changes `claim` by compare-and-swap; exactly
   one of them succeeds. So a wake-up is never given to a thread that has timed out, and never lost.

       claim      meaning                                       set by
       OPEN       waits, and is awake (it may be spinning)      the thread itself
       ASLEEP     waits, and sleeps in the system               the thread itself
       POKED      waits, but its token is cancelled: "settle"   the token's request
       TAKEN      a waker has chosen it, and copies for it      a waker, under the bucket lock
       TIMEDOUT   its deadline passed                           the thread itself
       EXPIRED    its token's deadline passed                   the thread itself
       WON+...    woken, by which case, and how                 a waker, under the bucket lock

   An object's slow paths run under its bucket's lock: check or change the object's word, queue or
   claim waiters. The rules that let an object be freed as soon as its last use returned:
   - a waker unlinks a record before it claims it, and afterwards touches neither the record nor
     (unless the claimed thread must still come back for the object) the object;
   - what it still needs for the system's wake is the sleeping thread's record, which is never
     freed. A system wake that comes late makes some later sleep of that thread look again.
   - a thread whose claim was not won by a record unlinks it itself, under the bucket lock.

   One wait may have several records, each in the bucket of another object (select): the claim says
   which of them won.

   A flag in an object's word that says "somebody may sleep" may be set wrongly (a slow path finds
   nobody and clears it), but must never be missing. It is cleared under the bucket lock only.

   The private locks (of buckets, registry, tree, timers) are queues of sleeping records in one
   word, after WebKit's WordLock. Order: tree or timers, then registry, then one bucket. Select
   alone holds several buckets, locked in the order of the table.
   ---------------------------------------------------------------------------------------------- */

enum {
    CTH__OPEN = 1,
    CTH__ASLEEP = 2,
    CTH__POKED = 3,
    CTH__TAKEN = 4,
    CTH__TIMEDOUT = 5,
    CTH__EXPIRED = 6,
    CTH__WON = 8,     // plus the index of the case << 8
    CTH__HANDED = 16, // ... and what it waited for is already its own
    CTH__SPOILED = 32 // ... or will not come
};

/* Spin once more, and count it in *used; false when it is time to sleep. */
static bool cth__spin(const cth__self *self, uint32_t *used) {
#  ifdef CTHREADS_SIM
    (void)self;
    (void)used;
    return cth__sim_spin();
#  else
    // relaxed: a hint.
    if (*used >= self->spin || cth__load(&cth__g.cpus, relaxed) < 2) {
        return false;
    }
    ++*used;
    cth__spin_pause();
    return true;
#  endif
}

/* A time for cth__spin_learn: microseconds, nearly; wraps. */
static CTH__UNUSED uint32_t cth__ticks(void) {
    return (uint32_t)(cth__clock() >> 10);
}

/* Learn from a wait that took `ticks` until a waker on CPU `cpu` ended it. On the same CPU spinning
   only kept the waker from running. A sleep that is shorter than it takes to wake a thread (some 30
   us when its CPU has gone idle) would have been cheaper awake; and when two threads that answer
   each other have begun to sleep, each would go on to sleep through the other's waking up. While
   waits are long, spinning is just lost. */
static CTH__UNUSED void cth__spin_learn(cth__self *self, uint32_t ticks, uint32_t cpu) {
    self->yields = CTH__YIELDS;
    if (cpu == cth__cpu()) {
        self->spin = CTH__SPIN_LEAST;
    } else if (ticks < CTH__WAKING) {
        self->spin = CTH__SPIN_MOST;
        self->yields = CTH__YIELDS_MOST;
    } else if (ticks < 200) {
        self->spin = CTH__SPIN_MOST;
    } else if (ticks > 1000) {
        self->spin = self->spin / 2 > CTH__SPIN_LEAST ? self->spin / 2 : CTH__SPIN_LEAST;
    }
}

/* Wait for a thread that is in the middle of a few instructions (it may have lost its CPU): pause,
   then give up the CPU, then sleep for a moment. */
static void cth__pause(cth__self *self, uint32_t *used) {
#  ifdef CTHREADS_SIM
    (void)self;
    (void)used;
    cth__yield_cpu();
#  else
    ++*used;
    // relaxed: a hint.
    if (*used <= CTH__SPIN_LEAST && cth__load(&cth__g.cpus, relaxed) > 1) {
        cth__spin_pause();
    } else if (*used <= CTH__SPIN_LEAST * 3) {
        const uint32_t began = cth__ticks();
        cth__yield_cpu();
        *used += (cth__ticks() - began) / CTH__WAKING * CTH__SPIN_LEAST;
    } else {
        const uint32_t same = cth__load(&self->lock_wake, relaxed); // relaxed: changes in a lock
        cth__wait_on(&self->parker, &self->lock_wake, same, cth_after(CTH_US(50)));
    }
#  endif
}

static void cth__lock(cth__ptr *lock, cth__self *self) {
    uint32_t used = 0;
    void *found = NULL;
    // [lock.A] acquire: sees what the last holder did; pairs with [lock.B].
    // relaxed on failure: the loop reads it again.
    if (CTH__LIKELY(cth__cas(lock, &found, (void *)1, acquire, relaxed))) {
        CTH_SIM_WRITE(*lock); // for all that it guards
        return;
    }
    for (;;) {
        // relaxed: the compare-and-swap below decides.
        found = cth__load(lock, relaxed);
        const uintptr_t bits = (uintptr_t)found;
        if ((bits & 1) == 0) {
            // [lock.A] acquire, as above; the queue of sleepers stays in the word.
            if (cth__cas(lock, &found, (void *)(bits | 1), acquire, relaxed)) {
                CTH_SIM_WRITE(*lock);
                return;
            }
            continue;
        }
        if (bits == 1 && cth__spin(self, &used)) {
            continue;
        }
        CTH_SIM_WRITE(self->lock_next);
        self->lock_next = (cth__self *)(bits & ~(uintptr_t)1);
        // relaxed: published by the compare-and-swap.
        cth__store(&self->lock_wake, 0, relaxed);
        // [lock.C] release: publishes lock_next and lock_wake; pairs with [lock.D].
        if (!cth__cas(lock, &found, (void *)((uintptr_t)self | 1), release, relaxed)) {
            continue;
        }
        // [lock.E] acquire: the waker has done with lock_next; pairs with [lock.F].
        while (cth__load(&self->lock_wake, acquire) == 0) {
            cth__wait_on(&self->parker, &self->lock_wake, 0, CTH_FOREVER);
        }
    }
}

static void cth__unlock(cth__ptr *lock) {
    void *found = (void *)1;
    CTH_SIM_WRITE(*lock);
    // [lock.B] release: publishes what was done under it; pairs with [lock.A].
    // relaxed on failure: read again below.
    if (CTH__LIKELY(cth__cas(lock, &found, NULL, release, relaxed))) {
        return;
    }
    for (;;) {
        // [lock.D] acquire: sees the sleepers' lock_next; pairs with [lock.C].
        found = cth__load(lock, acquire);
        cth__self *newest = (cth__self *)((uintptr_t)found & ~(uintptr_t)1);
        cth__self *oldest = newest;
        cth__self *before = NULL;
        CTH_SIM_READ(oldest->lock_next);
        while (oldest->lock_next != NULL) {
            before = oldest;
            oldest = oldest->lock_next;
            CTH_SIM_READ(oldest->lock_next);
        }
        // [lock.B] release, as above. Only the holder takes sleepers out, so the queue can only
        // have grown at its other end.
        if (before == NULL) {
            if (!cth__cas(lock, &found, NULL, release, relaxed)) {
                continue;
            }
        } else {
            CTH_SIM_WRITE(before->lock_next);
            before->lock_next = NULL;
            // [lock.B] release, as above; retried while new sleepers push themselves.
            while (!cth__cas(lock, &found, (void *)((uintptr_t)found & ~(uintptr_t)1), release,
                             relaxed)) {
            }
        }
        // [lock.F] release: lock_next is the sleeper's again; pairs with [lock.E].
        cth__store(&oldest->lock_wake, 1, release);
        cth__wake_on(&oldest->parker, &oldest->lock_wake);
        return;
    }
}

static cth__bucket *cth__bucket_of(const void *key) {
#  ifdef CTHREADS_SIM
    return &cth__g.buckets[cth__sim_number(key) % CTH__BUCKETS];
#  else
    const uint64_t hash = (uint64_t)(uintptr_t)key * UINT64_C(0x9e3779b97f4a7c15);
    return &cth__g.buckets[hash >> 55];
#  endif
}

static cth__bucket *cth__bucket_lock(const void *key, cth__self *self) {
    cth__bucket *bucket = cth__bucket_of(key);
    cth__lock(&bucket->lock, self);
    return bucket;
}

static void cth__unlink(cth__bucket *bucket, cth__waiter *w) {
    CTH_SIM_WRITE(*w);
    *(w->prev != NULL ? &w->prev->next : &bucket->head) = w->next;
    *(w->next != NULL ? &w->next->prev : &bucket->tail) = w->prev;
    w->queued = false;
}

/* The next record of `key` after `w`, or the first one. */
static cth__waiter *cth__next(const cth__bucket *bucket, const cth__waiter *w, const void *key) {
    cth__waiter *at = w == NULL ? bucket->head : w->next;
    while (at != NULL && at->key != key) {
        at = at->next;
    }
    return at;
}

/* The record to wake first: the oldest; under the simulator any. NULL when there is none. */
static cth__waiter *cth__first(const cth__bucket *bucket, const void *key) {
    cth__waiter *w = cth__next(bucket, NULL, key);
#  ifdef CTHREADS_SIM
    uint32_t n = 0;
    for (const cth__waiter *at = w; at != NULL; at = cth__next(bucket, at, key)) {
        n++;
    }
    for (uint32_t skip = cth__choose(n); skip > 0; skip--) {
        w = cth__next(bucket, w, key);
    }
#  endif
    return w;
}

/* Begin a wait and queue its record; under the bucket's lock. */
static void cth__enqueue(cth__bucket *bucket,
                         cth__waiter *w,
                         const void *key,
                         cth__self *self,
                         uint32_t index) {
    if (index == 0) {
        // relaxed: wakers see it through the bucket lock.
        cth__store(&self->claim, CTH__OPEN, relaxed);
    }
    CTH_SIM_WRITE(*w);
    w->key = key;
    w->self = self;
    w->index = index;
    w->poke = false;
    w->watch = false;
    w->queued = true;
    w->bucket = bucket;
    w->next = NULL;
    w->prev = bucket->tail;
    *(w->prev != NULL ? &w->prev->next : &bucket->head) = w;
    bucket->tail = w;
}

/* Sleeping threads whose claim was won: woken after the bucket is unlocked, as far as they fit. */
typedef struct cth__wakes {
    size_t n;
    cth__self *selves[CTH__WAKES];
} cth__wakes;

static void cth__wake_all(cth__wakes *wakes) {
    for (size_t i = 0; i < wakes->n; i++) {
        cth__wake_on(&wakes->selves[i]->parker, &wakes->selves[i]->claim);
    }
    wakes->n = 0;
}

/* The system's wake for a thread whose claim was won when it was `found`, if it sleeps. */
static void cth__wake_later(cth__self *self, uint32_t found, cth__wakes *wakes) {
    if (found == CTH__ASLEEP) {
        if (wakes->n == CTH__WAKES) {
            // slack: without it the array overflows, which no simulator sees.
            cth__wake_all(wakes);
        }
        wakes->selves[wakes->n++] = self;
    }
}

/* Take `w` out of its queue and try to change its thread's claim to `won`. Returns what the claim
   was; 0 when the thread's wait has ended otherwise. `w` may be gone afterwards. */
static uint32_t cth__win(cth__bucket *bucket, cth__waiter *w, uint32_t won) {
    cth__self *self = w->self;
    cth__unlink(bucket, w);
    // relaxed: the compare-and-swap decides.
    uint32_t found = cth__load(&self->claim, relaxed);
    while (found == CTH__OPEN || found == CTH__ASLEEP || found == CTH__POKED) {
        if (won == CTH__POKED && found == CTH__POKED) {
            return 0;
        }
#  ifndef CTHREADS_SIM
        cth__store(&self->waker_cpu, cth__cpu(), relaxed); // relaxed: a hint for spinning
        if (found == CTH__ASLEEP) {
            cth__store(&self->woken_at, cth__ticks(), relaxed); // relaxed: as above
        }
#  endif
        // [wait.A] release: publishes what the waker did; pairs with [wait.B].
        if (cth__cas(&self->claim, &found, won, release, relaxed)) {
            return found;
        }
    }
    return 0;
}

/* Take `w` out of its queue and try to win its thread's claim. False: the thread's wait has ended
   otherwise. Under the bucket's lock; `w` may be gone afterwards. */
static bool cth__claim(cth__bucket *bucket, cth__waiter *w, uint32_t how, cth__wakes *wakes) {
    cth__self *self = w->self;
    const uint32_t won = w->poke ? CTH__POKED : CTH__WON | how | w->index << 8;
    const uint32_t found = cth__win(bucket, w, won);
    cth__wake_later(self, found, wakes);
    return found != 0;
}

/* The same in two steps. In between the thread still waits, and what it gave the address of may be
   read or written for it. cth__take returns 0 as cth__claim does false, else what cth__give needs.
   Both under one hold of the bucket's lock. */
static uint32_t cth__take(cth__bucket *bucket, cth__waiter *w) {
    return cth__win(bucket, w, CTH__TAKEN);
}

static void cth__give(cth__self *self, uint32_t index, uint32_t found, cth__wakes *wakes) {
    // [wait.A] release, as above: nobody else changes a claim that is TAKEN.
    cth__store(&self->claim, CTH__WON | CTH__HANDED | index << 8, release);
    cth__wake_later(self, found, wakes);
}

static void cth__bucket_close(cth__bucket *bucket, cth__wakes *wakes) {
    cth__unlock(&bucket->lock);
    cth__wake_all(wakes);
}

/* Claim every record of `key`; under the bucket's lock. */
static void cth__claim_all(cth__bucket *bucket, const void *key, cth__wakes *wakes) {
    cth__waiter *w = cth__next(bucket, NULL, key);
    while (w != NULL) {
        cth__waiter *next = cth__next(bucket, w, key);
        (void)cth__claim(bucket, w, 0, wakes);
        w = next;
    }
}

/* Wake up to `n` of those queued for `key`, and all that only watch; true when others remain. Under
   the bucket's lock. */
static bool cth__wake_some(cth__bucket *bucket, const void *key, size_t n, cth__wakes *wakes) {
    cth__waiter *next;
    for (cth__waiter *w = cth__next(bucket, NULL, key); w != NULL; w = next) {
        next = cth__next(bucket, w, key);
        if (w->watch) {
            (void)cth__claim(bucket, w, 0, wakes);
        }
    }
    cth__waiter *w = cth__first(bucket, key);
    while (w != NULL && n > 0) {
        n -= cth__claim(bucket, w, 0, wakes);
        w = cth__first(bucket, key);
    }
    return w != NULL;
}

/* How many threads queued for `key` do more than watch. */
static size_t cth__queued(const cth__bucket *bucket, const void *key) {
    size_t n = 0;
    for (const cth__waiter *w = cth__next(bucket, NULL, key); w != NULL;
         w = cth__next(bucket, w, key)) {
        n += !w->watch;
    }
    return n;
}

/* Wake every thread that waits for `key`: what it waits for has been changed before. */
static void cth__signal_all(const void *key, cth__self *self) {
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(key, self);
    cth__claim_all(bucket, key, &wakes);
    cth__bucket_close(bucket, &wakes);
}

static bool cth__has_waiters(const void *key, cth__self *self) {
    cth__bucket *bucket = cth__bucket_lock(key, self);
    const bool any = cth__next(bucket, NULL, key) != NULL;
    cth__unlock(&bucket->lock);
    return any;
}

/* Take a record out of its queue unless a waker has. */
static void cth__remove(cth__waiter *w) {
    cth__lock(&w->bucket->lock, w->self);
    if (w->queued) {
        cth__unlink(w->bucket, w);
    }
    cth__unlock(&w->bucket->lock);
}

/* Give up the CPU some times before a sleep, for as long as it would take to wake this thread:
   whoever has to run first may need this CPU. If somebody else then keeps it for long, sleeping is
   better, and is what the next waits begin with. */
static CTH__UNUSED void cth__yield_awhile(cth__self *self) {
    const uint32_t began = cth__ticks();
    uint32_t left = self->yields;
    if (self->crowded != 0) {
        self->crowded--;
        left = 0;
    }
    // relaxed: read again by the caller.
    while (left-- != 0 && cth__load(&self->claim, relaxed) == CTH__OPEN) {
        cth__yield_cpu();
        const uint32_t ticks = cth__ticks() - began;
        if (cth__load(&self->claim, relaxed) != CTH__OPEN) { // relaxed: as above
            // relaxed: a hint.
            cth__spin_learn(self, ticks, cth__load(&self->waker_cpu, relaxed));
        }
        if (ticks >= CTH__WAKING) {
            self->crowded = ticks >= CTH__CROWDED ? 64 : 0;
            return;
        }
    }
}

/* How a wait may end beside being woken, and what a report says of it meanwhile. */
typedef struct cth__wait_desc {
    cth_time deadline;
    bool cancellable;
    bool spin;        // look for a moment before sleeping
    bool settle;      // end it by deadline or token only under the bucket lock: see cth__park
    const char *what; // "mutex", "sleep", ...
    const void *object;
    const cth__word *owner; // the word that names the holder, or NULL
    const void *site;
} cth__wait_desc;

static void cth__why_set(cth__self *self, const cth__wait_desc *desc) {
    // relaxed: read for reports only, where a torn picture does no harm.
    cth__store(&self->why.object, (void *)(uintptr_t)desc->object, relaxed);
    cth__store(&self->why.owner, (void *)(uintptr_t)desc->owner, relaxed);
    cth__store(&self->why.site, (void *)(uintptr_t)desc->site, relaxed);
    cth__store(&self->why.what, (void *)(uintptr_t)desc->what, relaxed);
}

/* Sleep until one of the `n` queued records (linked by `also`) is won, the deadline, or the
   thread's token ends it. With no record at all it is a plain sleep. On return no record is queued
   any more.

   With `settle` (one record only) a deadline or token ends the wait only if the record is still
   queued when the bucket has been locked; if so the bucket is still locked on return. So under the
   bucket lock a queued record means that its thread still waits, and one that a waker has taken
   out waits for that waker, whatever happens.

   Returns CTH_OK with *won (the claim), CTH_TIMEDOUT or CTH_CANCELLED. */
static cth_status cth__park(cth__self *self,
                            cth__waiter *records,
                            uint32_t n,
                            const cth__wait_desc *desc,
                            uint32_t *won) {
    cth_cancel *token = desc->cancellable ? self->token : NULL;
    cth_time until = desc->deadline;
    uint32_t at_end = CTH__TIMEDOUT;
    cth__waiter by_token;
    bool under_token = false;
    if (n == 0) {
        // relaxed: as in cth__enqueue.
        cth__store(&self->claim, CTH__OPEN, relaxed);
    }
    // relaxed: our own word, until a waker wins it.
    uint32_t found = CTH__OPEN;
    if (token != NULL) {
        if (token->deadline != 0 && token->deadline < until) {
            until = token->deadline;
            at_end = CTH__EXPIRED;
        }
        cth__bucket *bucket = cth__bucket_lock(token, self);
        // relaxed: changes under this bucket's lock only.
        const bool live = cth__load(&token->state, relaxed) == 0;
        if (live) {
            const uint32_t index = n == 0 ? 1 : n; // 0 would begin the wait anew
            cth__enqueue(bucket, &by_token, token, self, index);
            by_token.poke = desc->settle;
            under_token = true;
        }
        cth__unlock(&bucket->lock);
        if (!live) {
            // relaxed: on failure it is read again below.
            (void)cth__cas(&self->claim, &found, desc->settle ? CTH__POKED : CTH__EXPIRED, relaxed,
                           relaxed);
        }
    }
    cth__why_set(self, desc);
    uint32_t used = 0;
    if (desc->spin) {
        bool woken;
        do {
            // relaxed: read again below.
            woken = cth__load(&self->claim, relaxed) != CTH__OPEN;
        } while (!woken && cth__spin(self, &used));
    }
#  ifndef CTHREADS_SIM
    if (n != 0) {
        cth__yield_awhile(self);
    }
#  endif
    found = CTH__OPEN;
    // [wait.B] acquire: on failure sees what the waker did; pairs with [wait.A].
    // slack(acquire->relaxed): on success relaxed would do, but C11 wants it no weaker.
    if (cth__cas(&self->claim, &found, CTH__ASLEEP, acquire, acquire)) {
        found = CTH__ASLEEP;
    }
#  ifndef CTHREADS_SIM
    const bool asleep = found == CTH__ASLEEP;
    const uint32_t since = asleep ? cth__ticks() : 0;
#  endif
    used = 0;
    while (found <= CTH__TAKEN) {
        if (found == CTH__TAKEN) {
            cth__pause(self, &used);
            // [wait.B] acquire, as above.
            found = cth__load(&self->claim, acquire);
            continue;
        }
        if (found == CTH__ASLEEP) {
            cth__wait_on(&self->parker, &self->claim, CTH__ASLEEP, until);
            // [wait.B] acquire, as above.
            found = cth__load(&self->claim, acquire);
            if (found > CTH__POKED || (found == CTH__ASLEEP && !cth__passed(until))) {
                continue;
            }
        }
        if (desc->settle) {
            const bool cancelled = found == CTH__POKED || at_end == CTH__EXPIRED;
            if (under_token) {
                cth__remove(&by_token);
                under_token = false;
            }
            cth__bucket *bucket = records->bucket;
            cth__lock(&bucket->lock, self);
            if (records->queued) {
                cth__unlink(bucket, records);
                // relaxed, twice: nobody can claim it any more.
                cth__store(&self->claim, CTH__TIMEDOUT, relaxed);
                cth__store(&self->why.what, NULL, relaxed);
                return cancelled ? CTH_CANCELLED : CTH_TIMEDOUT;
            }
            cth__unlock(&bucket->lock);
            until = CTH_FOREVER;
            const bool poked = found == CTH__POKED;
            // [wait.B] acquire, as above. slack(acquire->relaxed): as above
            if (poked && cth__cas(&self->claim, &found, CTH__ASLEEP, acquire, acquire)) {
                found = CTH__ASLEEP;
            }
            // [wait.B] acquire, as above. slack(acquire->relaxed): as above
        } else if (cth__cas(&self->claim, &found, at_end, acquire, acquire)) {
            found = at_end;
        }
    }
    const bool woken = (found & CTH__WON) != 0;
#  ifndef CTHREADS_SIM
    if (asleep && woken) {
        // relaxed, twice: a hint.
        const uint32_t ticks = cth__load(&self->woken_at, relaxed) - since;
        cth__spin_learn(self, ticks, cth__load(&self->waker_cpu, relaxed));
    }
#  endif
    const uint32_t winner = found >> 8;
    cth__waiter *w = records;
    for (uint32_t i = 0; i < n; i++, w = w->also) {
        if (!woken || winner != i) {
            cth__remove(w);
        }
        CTH_SIM_WRITE(*w); // it is the caller's again
    }
    const bool cancelled = woken && (n == 0 || winner == n);
    if (under_token && !cancelled) {
        cth__remove(&by_token);
    }
    // relaxed: as in cth__why_set.
    cth__store(&self->why.what, NULL, relaxed);
    if (won != NULL) {
        *won = found;
    }
    return cancelled || found == CTH__EXPIRED ? CTH_CANCELLED : woken ? CTH_OK : CTH_TIMEDOUT;
}

CTH_API cth_status cth_sleep(cth_time span) {
    return span < 0 ? CTH_INVALID : cth_sleep_until(cth_after(span));
}

CTH_API cth_status cth_sleep_until(cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (cth__passed(deadline)) {
        return CTH_OK;
    }
    const cth__wait_desc desc = {
        .deadline = deadline, .cancellable = true, .what = "sleep", .site = CTH__CALL_SITE()};
    const cth_status status = cth__park(self, NULL, 0, &desc, NULL);
    return status == CTH_TIMEDOUT ? CTH_OK : status;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:cancel

   The tree lock guards the links of all tokens and the table of watched signals. A token's state
   goes from 0 to 1 once, under the tree lock and its bucket's lock, so a thread that queues itself
   under a live token is found by the request that ends it. A request marks children before their
   parent and reads each link before it marks, for a marked token may be on its way out.
   ---------------------------------------------------------------------------------------------- */

enum { CTH__WATCHES_SIGNAL = 1 };

static const char cth__expired[] = "deadline passed";

static void cth__cancel_mark(cth_cancel *token, const char *reason, cth__self *self) {
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(token, self);
    // relaxed: published by the store of state.
    cth__store(&token->reason, (void *)(uintptr_t)reason, relaxed);
    // [cancel.A] release: publishes the reason and what the requester did; pairs with [cancel.B].
    cth__store(&token->state, 1, release);
    cth__claim_all(bucket, token, &wakes);
    cth__bucket_close(bucket, &wakes);
}

/* The first token to mark in the tree below `token`: its leftmost live leaf. */
static cth_cancel *cth__cancel_leaf(cth_cancel *token) {
    while (token->child != NULL) {
        token = token->child;
    }
    return token;
}

/* Cancel a tree, leaves first; under the tree lock. */
static void cth__cancel_tree(cth_cancel *root, const char *reason, cth__self *self) {
    cth_cancel *token = cth__cancel_leaf(root);
    for (;;) {
        const bool last = token == root;
        cth_cancel *next = NULL;
        if (!last) {
            next = token->next != NULL ? cth__cancel_leaf(token->next) : token->parent;
        }
        // relaxed: changes under the tree lock only.
        if (cth__load(&token->state, relaxed) == 0) {
            const bool expired = token->deadline != 0 && cth__passed(token->deadline);
            cth__cancel_mark(token, expired ? cth__expired : reason, self);
        }
        if (last) {
            return;
        }
        token = next;
    }
}

CTH_API cth_status cth_cancel_init(cth_cancel *token, cth_cancel *parent, cth_time deadline) {
    if (token == NULL || deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    const cth_cancel fresh = CTH_CANCEL_INIT;
    *token = fresh;
    token->deadline = deadline == CTH_FOREVER ? 0 : deadline == 0 ? 1 : deadline;
    if (parent == NULL) {
        return CTH_OK;
    }
    cth__lock(&cth__g.tree, self);
    if (parent->deadline != 0 && (token->deadline == 0 || parent->deadline < token->deadline)) {
        token->deadline = parent->deadline;
    }
    // relaxed, three times: under the tree lock, and the new token is nobody else's yet.
    if (cth__load(&parent->state, relaxed) != 0) {
        cth__store(&token->reason, cth__load(&parent->reason, relaxed), relaxed);
        cth__store(&token->state, 1, relaxed); // relaxed: as above
    }
    token->parent = parent;
    token->next = parent->child;
    if (token->next != NULL) {
        token->next->prev = token;
    }
    parent->child = token;
    cth__unlock(&cth__g.tree);
    return CTH_OK;
}

CTH_API cth_status cth_cancel_destroy(cth_cancel *token) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__lock(&cth__g.tree, self);
    if (token->child != NULL || cth__has_waiters(token, self)) {
        cth__unlock(&cth__g.tree);
        return CTH_BUSY;
    }
    if (token->parent != NULL) {
        *(token->prev != NULL ? &token->prev->next : &token->parent->child) = token->next;
        if (token->next != NULL) {
            token->next->prev = token->prev;
        }
    }
    if ((token->flags & CTH__WATCHES_SIGNAL) != 0) {
        for (int i = 1; i <= CTH__MAX_SIGNAL; i++) {
            if (cth__g.signals[i] == token) {
                cth__g.signals[i] = NULL;
#  ifndef CTHREADS_SIM
                cth__os_signal_restore(i);
#  endif
            }
        }
    }
    const cth_cancel gone = CTH_CANCEL_INIT;
    *token = gone;
    cth__unlock(&cth__g.tree);
    return CTH_OK;
}

CTH_API cth_status cth_cancel_request(cth_cancel *token, const char *reason) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__lock(&cth__g.tree, self);
    cth__cancel_tree(token, reason != NULL ? reason : "cancelled", self);
    cth__unlock(&cth__g.tree);
    return CTH_OK;
}

CTH_API cth_status cth_cancel_status(const cth_cancel *token) {
    if (token == NULL) {
        token = cth_cancel_current();
        if (token == NULL) {
            return CTH_OK;
        }
    }
    // [cancel.B] acquire: sees the reason and what the requester did; pairs with [cancel.A].
    if (cth__load((cth__word *)(uintptr_t)&token->state, acquire) != 0) {
        return CTH_CANCELLED;
    }
    return token->deadline != 0 && cth__passed(token->deadline) ? CTH_CANCELLED : CTH_OK;
}

CTH_API const char *cth_cancel_reason(const cth_cancel *token) {
    // [cancel.B] acquire, as above.
    if (cth__load((cth__word *)(uintptr_t)&token->state, acquire) != 0) {
        // relaxed: ordered by the load of state.
        return (const char *)cth__load((cth__ptr *)(uintptr_t)&token->reason, relaxed);
    }
    return token->deadline != 0 && cth__passed(token->deadline) ? cth__expired : NULL;
}

CTH_API cth_cancel *cth_cancel_current(void) {
    return cth__tls != NULL ? cth__tls->token : NULL;
}

CTH_API cth__under cth__under_enter(cth_cancel *token) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        cth__panic_status("CTH_UNDER", CTH_NOMEM);
    }
    const cth__under under = {self->token, false};
    self->token = token;
    return under;
}

CTH_API void cth__under_leave(cth__under *under) {
    cth__tls->token = under->saved;
    under->done = true;
}

#  ifndef CTHREADS_SIM
/* The service thread: cancels the token of each signal that the handler wrote into the pipe. */
static void cth__signal_main(void *arg) {
    cth__self *self = (cth__self *)arg;
    cth__self_enter(self);
    cth__os_set_name(0, "cth-signals");
    for (;;) {
        const int number = cth__os_signal_next();
        if (number <= 0 || number > CTH__MAX_SIGNAL) {
            continue;
        }
        cth__lock(&cth__g.tree, self);
        if (cth__g.signals[number] != NULL) {
            cth__cancel_tree(cth__g.signals[number], cth__g.signal_reasons[number], self);
        }
        cth__unlock(&cth__g.tree);
    }
}

/* Start the service thread unless it runs; under the tree lock. It takes no part in counting. */
static cth_status cth__signal_service(void) {
    if (cth__g.signal_service) {
        return CTH_OK;
    }
    cth__self *self = cth__self_new();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (!cth__os_signal_open()) {
        cth__self_recycle(self);
        return CTH_AGAIN;
    }
    if (cth__os_thread_start(&cth__g.signal_thread, cth__signal_main, self, 0) != CTH_OK) {
        cth__os_signal_close();
        cth__self_recycle(self);
        return CTH_AGAIN;
    }
    cth__os_thread_detach(&cth__g.signal_thread);
    cth__g.signal_service = true;
    return CTH_OK;
}
#  endif

CTH_API cth_status cth_cancel_on_signal(cth_cancel *token, int signal_number) {
    if (token == NULL || signal_number < 1 || signal_number > CTH__MAX_SIGNAL) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth_status status = CTH_OK;
    cth__lock(&cth__g.tree, self);
    if (cth__g.signals[signal_number] != NULL) {
        status = CTH_BUSY;
    } else {
#  ifndef CTHREADS_SIM // there no signal ever comes
        (void)snprintf(cth__g.signal_reasons[signal_number],
                       sizeof cth__g.signal_reasons[signal_number], "signal %d", signal_number);
        status = cth__signal_service();
        if (status == CTH_OK && !cth__os_signal_watch(signal_number)) {
            status = CTH_INVALID;
        }
#  endif
        if (status == CTH_OK) {
            cth__g.signals[signal_number] = token;
            token->flags |= CTH__WATCHES_SIGNAL;
        }
    }
    cth__unlock(&cth__g.tree);
    return status;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:thread

   A thread's record lives as long as somebody holds a reference (`refs`) or the thread itself runs
   (`running`), both under the registry lock. The end of a thread, in this order:
     1. its locals are closed; it leaves the list, so it no longer counts as alive;
     2. `state` becomes ENDED and those who join are woken: they may release the handle at once,
        which keeps the record while `running`;
     3. `running` ends, the exit's count goes down, and the record is freed with the last reference.
   ---------------------------------------------------------------------------------------------- */

static void cth__locals_close(cth__self *self);
static void cth__hook_call(cth_thread *thread, cth_status status, const char *message);

/* Tell whether the thread was started before a fork that made this process: it is not in it. */
static bool cth__of_parent(const cth_thread *thread) {
    // relaxed: only a fork changes generations.
    return thread->generation != cth__g.generation &&
           cth__load((cth__word *)(uintptr_t)&thread->state, relaxed) != CTH__NEW;
}

static void cth__registry_add(cth_thread *thread) {
    thread->next = NULL;
    thread->prev = cth__g.last;
    *(cth__g.last != NULL ? &cth__g.last->next : &cth__g.first) = thread;
    cth__g.last = thread;
    cth__g.n_threads++;
}

static void cth__registry_remove(cth_thread *thread) {
    *(thread->prev != NULL ? &thread->prev->next : &cth__g.first) = thread->next;
    *(thread->next != NULL ? &thread->next->prev : &cth__g.last) = thread->prev;
    cth__g.n_threads--;
}

static void cth__thread_free(cth_thread *thread) {
    if (thread == &cth__g.main) {
        return;
    }
    // relaxed: nobody else has this record any more; the registry lock ordered what they did.
    cth__name *name = (cth__name *)cth__load(&thread->name, relaxed);
    if (name != &cth__g.main_name) {
        cth__free(name);
    }
    while (thread->old_names != NULL) {
        name = thread->old_names;
        thread->old_names = name->next;
        cth__free(name);
    }
    cth__free(thread);
}

/* Step 3 above. */
static void cth__thread_gone(cth_thread *thread,
                             cth__self *self,
                             bool counted,
                             uint32_t generation) {
    cth__lock(&cth__g.registry, self);
    thread->running = false;
    const bool last = thread->refs == 0;
    cth__unlock(&cth__g.registry);
    if (last) {
        cth__thread_free(thread);
    }
    if (counted && cth__g.generation == generation) { // a fork's child does not count its maker
        // [exit.A] release: the thread's life happens before the exit; pairs with [exit.B].
        (void)cth__sub(&cth__g.nondaemons, 1, release);
        cth__signal_all(&cth__g.nondaemons, self);
    }
}

/* Steps 1 and 2. */
static void cth__thread_end(cth_thread *thread, cth__self *self) {
    cth__wakes wakes = {0};
    cth__locals_close(self);
    cth__lock(&cth__g.registry, self);
    cth__registry_remove(thread);
    thread->self = NULL;
    cth__unlock(&cth__g.registry);
    cth__bucket *bucket = cth__bucket_lock(&thread->state, self);
    // [thread.A] release: the thread's life happens before join returns; pairs with [thread.B].
    cth__store(&thread->state, CTH__ENDED, release);
    cth__claim_all(bucket, &thread->state, &wakes);
    cth__bucket_close(bucket, &wakes);
}

/* A foreign thread ends, or the main thread does before the process. */
static void cth__foreign_end(void *p) {
    cth__self *self = (cth__self *)p;
    cth_thread *thread = self->thread;
    // Destructors of thread-specific data run in any order: be this thread once more.
    cth__self_enter(self);
    cth__thread_end(thread, self);
    cth__thread_gone(thread, self, false, 0);
    cth__self_leave();
    if (self != &cth__g.main_self) {
        cth__self_recycle(self);
    }
}

static void cth__exit_handler(void) {
    cth__self *self = cth__tls;
    // relaxed: our own flags, set before this thread began.
    if (self != NULL && (cth__load(&self->thread->flags, relaxed) & CTH__FOREIGN) == 0) {
        return; // exit() was called in a thread of the kit: it must not wait for itself
    }
    self = cth__self_get();
    if (self != NULL) {
        self->token = NULL;
        (void)cth_thread_join_all(CTH_FOREVER);
    }
}

/* In the child of a fork only the calling thread exists. Takes no lock: its holder may be gone. */
static void cth__fork_handler(void) {
    cth__self *self = cth__tls;
    // relaxed everywhere here: there is one thread.
    cth__store(&cth__g.door, 0, relaxed);
    cth__store(&cth__g.registry, NULL, relaxed);
    cth__store(&cth__g.tree, NULL, relaxed);
    cth__store(&cth__g.hook_lock, NULL, relaxed);
    cth__store(&cth__g.timers, NULL, relaxed);
    cth__store(&cth__g.nondaemons, 0, relaxed);
    for (size_t i = 0; i < CTH__BUCKETS; i++) {
        // relaxed: as above
        cth__store(&cth__g.buckets[i].lock, NULL, relaxed);
        cth__g.buckets[i].head = cth__g.buckets[i].tail = NULL;
    }
    cth__g.generation++;
    cth__g.timer_root = cth__g.timer_now = NULL;
    cth__g.timer_left = false;
    cth__g.timer_cancels = 0;
    cth__g.timer_service = NULL;
    // A forking thread that the kit has not seen yet will be adopted as the main thread. The other
    // threads' records stay as they are: their generation says that they are not of this process.
    cth_thread *survivor = self != NULL && self->thread != NULL ? self->thread : &cth__g.main;
    survivor->generation = cth__g.generation;
    survivor->next = survivor->prev = NULL;
    cth__g.first = cth__g.last = survivor;
    cth__g.n_threads = 1;
    // relaxed: as above
    (void)cth__or(&survivor->flags, CTH__FOREIGN, relaxed);
    cth__store(&survivor->native, (void *)(intptr_t)cth__native_id(), relaxed);
    cth__g.main_now = survivor;
    for (int i = 1; i <= CTH__MAX_SIGNAL; i++) {
        if (cth__g.signals[i] != NULL) {
            cth__g.signals[i] = NULL;
            cth__os_signal_restore(i);
        }
    }
    if (cth__g.signal_service) {
        cth__os_signal_close();
        cth__g.signal_service = false;
    }
}

/* Set up the global state once: the first call of any thread that needs its record. */
static void cth__setup(void) {
    uint32_t found = 0;
    // [setup.A] acquire: sees the state set up; pairs with [setup.B].
    // slack: here and below, in the simulator the first thread has set up before others start.
    if (cth__load(&cth__g.state, acquire) == 2) {
        CTH_SIM_READ(cth__g.state);
        return;
    }
    // [setup.A] acquire, as above; relaxed on failure: read again below. slack: as above
    if (!cth__cas(&cth__g.state, &found, 1, acquire, relaxed)) {
        // [setup.A] acquire, as above. slack: as above
        while (cth__load(&cth__g.state, acquire) != 2) {
            cth__yield_cpu();
        }
        CTH_SIM_READ(cth__g.state);
        return;
    }
    cth_thread *main = &cth__g.main;
    (void)snprintf(cth__g.main_name.text, sizeof cth__g.main_name.text, "MainThread");
    // relaxed, all below: published by the store of state.
    cth__store(&main->name, (void *)&cth__g.main_name, relaxed);
    cth__store(&main->state, CTH__ALIVE, relaxed);
    cth__store(&main->flags, CTH__FOREIGN, relaxed);
    cth__store(&cth__g.selves[0], (void *)&cth__g.first_selves[0], relaxed); // relaxed: as above
    main->id = 1;
    main->running = true;
    cth__g.main_now = main;
    cth__g.next_id = 1;
    cth__registry_add(main);
    if (!cth__process.hooked) {
        cth__process.hooked = true;
        cth__process.has_key = cth__os_key_create(&cth__process.key, cth__foreign_end);
        (void)atexit(cth__exit_handler);
        cth__os_on_fork(cth__fork_handler);
    }
    CTH_SIM_WRITE(cth__g.state); // for all of it
    // [setup.B] release: publishes all of it; pairs with [setup.A]. slack: as above
    cth__store(&cth__g.state, 2, release);
}

static cth_thread *cth__thread_new(const char *name, const char *prefix, uint32_t *counter) {
    cth_thread *thread = (cth_thread *)cth__alloc(sizeof *thread, false);
    cth__name *kept = (cth__name *)cth__alloc(sizeof *kept, false);
    if (thread == NULL || kept == NULL) {
        if (thread != NULL) {
            cth__free(thread);
        }
        if (kept != NULL) {
            cth__free(kept);
        }
        return NULL;
    }
    cth__door_open();
    thread->id = ++cth__g.next_id;
    const uint32_t number = name != NULL ? 0 : ++*counter;
    cth__door_close();
    if (name != NULL) {
        (void)snprintf(kept->text, sizeof kept->text, "%s", name);
    } else {
        (void)snprintf(kept->text, sizeof kept->text, "%s-%u", prefix, (unsigned)number);
    }
    CTH_SIM_WRITE(kept->text);
    // relaxed: the record is nobody else's yet.
    cth__store(&thread->name, (void *)kept, relaxed);
    return thread;
}

/* Give the calling thread, which the kit did not start, a record; NULL when memory is lacking. */
static cth__self *cth__adopt(void) {
    cth__setup();
    cth__self *self;
    cth_thread *thread;
    if (cth__is_main()) {
        self = &cth__g.main_self;
        thread = &cth__g.main;
        cth__door_open();
        const bool good = cth__os_parker_init(&self->parker) && cth__self_number(self);
        cth__door_close();
        if (!good) {
            return NULL;
        }
        self->spin = CTH__SPIN_MOST;
        self->yields = CTH__YIELDS;
    } else {
        self = cth__self_new();
        if (self == NULL) {
            return NULL;
        }
        thread = cth__thread_new(NULL, "Dummy", &cth__g.next_dummy);
        if (thread == NULL) {
            cth__self_recycle(self);
            return NULL;
        }
        thread->daemon = true;
        thread->generation = cth__g.generation;
        // relaxed, twice: published by the registry lock.
        cth__store(&thread->state, CTH__ALIVE, relaxed);
        cth__store(&thread->flags, CTH__FOREIGN, relaxed);
        thread->running = true;
    }
#  ifndef CTHREADS_SIM
    if (!cth__process.has_key || !cth__os_key_set(cth__process.key, self)) {
        if (self != &cth__g.main_self) { // the main thread's record is the process's own
            cth__self_recycle(self);
            cth__thread_free(thread);
            return NULL;
        }
    }
#  endif
    self->thread = thread;
    thread->self = self;
    // relaxed: a number for printing.
    cth__store(&thread->native, (void *)(intptr_t)cth__native_id(), relaxed);
    cth__self_enter(self);
    if (thread != &cth__g.main) {
        cth__lock(&cth__g.registry, self);
        cth__registry_add(thread);
        cth__unlock(&cth__g.registry);
    }
    cth__look_at_cpus();
    return self;
}

static void cth__thread_main(void *p) {
    cth_thread *thread = (cth_thread *)p;
    cth__self *self = thread->self;
    const bool counted = !thread->daemon;
    const uint32_t generation = cth__g.generation;
    cth__self_enter(self);
    // relaxed: a number for printing.
    cth__store(&thread->native, (void *)(intptr_t)cth__native_id(), relaxed);
#  ifndef CTHREADS_SIM
    cth__os_set_name(0, cth_thread_name(thread));
#  endif
    self->token = thread->cancel;
    thread->result = thread->fn(thread->arg);
    CTH_SIM_WRITE(thread->result);
    cth__holds_none();
    if (thread->result != CTH_OK) {
        cth__hook_call(thread, thread->result,
                       self->error[0] != '\0' ? self->error : cth_status_text(thread->result));
    }
    self->token = NULL;
    cth__thread_end(thread, self);
    cth__thread_gone(thread, self, counted, generation);
    // Another thread may become this record next; what still runs here (destructors of
    // thread-specific data) would be adopted anew.
    cth__self_leave();
    cth__self_recycle(self);
}

CTH_API cth_status cth_thread_create(cth_thread **out,
                                     cth_thread_fn fn,
                                     void *arg,
                                     const cth_thread_desc *desc) {
    static const cth_thread_desc defaults = {0};
    desc = desc != NULL ? desc : &defaults;
    if (out == NULL || fn == NULL ||
        (desc->name != NULL && strlen(desc->name) > CTH_THREAD_NAME_MAX)) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    cth_thread *thread = cth__thread_new(desc->name, "Thread", &cth__g.next_name);
    if (thread == NULL) {
        return CTH_NOMEM;
    }
    thread->fn = fn;
    thread->arg = arg;
    thread->daemon = desc->daemon;
    thread->stack_size = desc->stack_size;
    thread->cancel = desc->cancel;
    thread->refs = 1;
    *out = thread;
    return CTH_OK;
}

CTH_API cth_status cth_thread_start(cth_thread *thread) {
    // relaxed: read again below; a thread once started never is new again.
    if (thread == NULL || cth__load(&thread->state, relaxed) != CTH__NEW) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    cth__self *its = self != NULL ? cth__self_new() : NULL;
    if (its == NULL) {
        return CTH_NOMEM;
    }
    cth__look_at_cpus();
    cth__lock(&cth__g.registry, self);
    // relaxed: changes under the registry lock until the thread runs.
    if (cth__load(&thread->state, relaxed) != CTH__NEW) {
        cth__unlock(&cth__g.registry);
        cth__self_recycle(its);
        return CTH_INVALID;
    }
    cth__store(&thread->state, CTH__ALIVE, relaxed); // relaxed: as above
    its->thread = thread;
    thread->self = its;
    thread->running = true;
    thread->generation = cth__g.generation;
    if (!thread->daemon) {
        // relaxed: the registry lock and the thread's start order it.
        (void)cth__add(&cth__g.nondaemons, 1, relaxed);
    }
    // Under the registry lock: nobody finds the thread in the list, nor can it end, before its
    // handle is stored or the failure is undone.
    const cth_status status =
        cth__handle_start(&thread->os, cth__thread_main, thread, thread->stack_size);
    if (status == CTH_OK) {
        cth__registry_add(thread);
        thread->started_os = true;
        // relaxed: under the registry lock.
        if ((cth__load(&thread->flags, relaxed) & CTH__DETACHED) != 0) {
            cth__handle_detach(&thread->os);
        }
    } else {
        thread->running = false;
        thread->self = NULL;
        cth__store(&thread->state, CTH__NEW, relaxed); // relaxed: as above
    }
    cth__unlock(&cth__g.registry);
    if (status != CTH_OK) {
        if (!thread->daemon) {
            (void)cth__sub(&cth__g.nondaemons, 1, relaxed); // relaxed: nothing ran
            cth__signal_all(&cth__g.nondaemons, self);
        }
        cth__self_recycle(its);
    }
    return status;
}

CTH_API cth_status cth_thread_spawn(cth_thread **out,
                                    cth_thread_fn fn,
                                    void *arg,
                                    const cth_thread_desc *desc) {
    cth_status status = cth_thread_create(out, fn, arg, desc);
    if (status == CTH_OK) {
        status = cth_thread_start(*out);
        if (status != CTH_OK) {
            cth_thread_release(*out);
            *out = NULL;
        }
    }
    return status;
}

CTH_API cth_status cth_thread_join(cth_thread *thread, cth_status *result) {
    return cth_thread_join_until(thread, result, CTH_FOREVER);
}

CTH_API cth_status cth_thread_join_until(cth_thread *thread,
                                         cth_status *result,
                                         cth_time deadline) {
    if (thread == NULL || deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    // relaxed: whoever sets a flag for this thread has to order that with this call.
    const uint32_t flags = cth__load(&thread->flags, relaxed);
    if (self->thread == thread) {
        return CTH_DEADLOCK;
    }
    if (cth__of_parent(thread)) {
        return CTH_FORKED;
    }
    // relaxed: a thread is started before it is joined, in the order of the caller.
    if (flags != 0 || cth__load(&thread->state, relaxed) == CTH__NEW) {
        return CTH_INVALID;
    }
    for (;;) {
        // [thread.B] acquire: sees the thread's life; pairs with [thread.A].
        // slack: the join of the system's thread orders it as well.
        if (cth__load(&thread->state, acquire) == CTH__ENDED) {
            break;
        }
        if (cth__passed(deadline)) {
            return CTH_TIMEDOUT;
        }
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(&thread->state, self);
        // relaxed: read again with acquire above.
        if (cth__load(&thread->state, relaxed) == CTH__ENDED) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, &thread->state, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = true,
                                     .what = "join",
                                     .object = thread,
                                     .site = CTH__CALL_SITE()};
        const cth_status status = cth__park(self, &w, 1, &desc, NULL);
        if (status != CTH_OK) {
            return status;
        }
    }
    cth__lock(&cth__g.registry, self);
    // relaxed: under the registry lock.
    const bool mine = cth__or(&thread->flags, CTH__JOINED, relaxed) == 0;
    cth__unlock(&cth__g.registry);
    if (!mine) {
        return CTH_INVALID;
    }
    cth__handle_join(&thread->os);
    if (result != NULL) {
        CTH_SIM_READ(thread->result);
        *result = thread->result;
    }
    return CTH_OK;
}

CTH_API cth_status cth_thread_join_all(cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    // relaxed: our own flags.
    if ((cth__load(&self->thread->flags, relaxed) & CTH__FOREIGN) == 0) {
        return CTH_DEADLOCK;
    }
    for (;;) {
        // [exit.B] acquire: sees the lives of all threads that ended; pairs with [exit.A].
        if (cth__load(&cth__g.nondaemons, acquire) == 0) {
            return CTH_OK;
        }
        if (cth__passed(deadline)) {
            return CTH_TIMEDOUT;
        }
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(&cth__g.nondaemons, self);
        // relaxed: read again with acquire above.
        if (cth__load(&cth__g.nondaemons, relaxed) == 0) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, &cth__g.nondaemons, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = true,
                                     .what = "the end of all threads",
                                     .site = CTH__CALL_SITE()};
        const cth_status status = cth__park(self, &w, 1, &desc, NULL);
        if (status != CTH_OK) {
            return status;
        }
    }
}

CTH_API cth_status cth_thread_detach(cth_thread *thread) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__lock(&cth__g.registry, self);
    cth_status status = CTH_INVALID;
    // relaxed, twice: under the registry lock.
    if (cth__load(&thread->flags, relaxed) == 0 && !cth__of_parent(thread)) {
        (void)cth__or(&thread->flags, CTH__DETACHED, relaxed);
        if (thread->started_os) {
            cth__handle_detach(&thread->os);
        }
        status = CTH_OK;
    }
    cth__unlock(&cth__g.registry);
    return status;
}

CTH_API cth_thread *cth_thread_retain(cth_thread *thread) {
    cth__self *self = cth__self_get();
    if (thread != NULL && self != NULL) {
        cth__lock(&cth__g.registry, self);
        CTH_SIM_WRITE(thread->refs);
        thread->refs++;
        cth__unlock(&cth__g.registry);
    }
    return self != NULL ? thread : NULL;
}

CTH_API void cth_thread_release(cth_thread *thread) {
    cth__self *self = thread != NULL ? cth__self_get() : NULL;
    if (self == NULL) {
        return; // without memory for a record nothing can be given back; the handle stays
    }
    cth__lock(&cth__g.registry, self);
    CTH_SIM_WRITE(thread->refs);
    const bool last = --thread->refs == 0;
    // relaxed, twice: under the registry lock.
    if (last && cth__load(&thread->flags, relaxed) == 0 && !cth__of_parent(thread)) {
        (void)cth__or(&thread->flags, CTH__DETACHED, relaxed);
        if (thread->started_os) {
            cth__handle_detach(&thread->os);
        }
    }
    const bool gone = last && !thread->running;
    cth__unlock(&cth__g.registry);
    if (gone) {
        cth__thread_free(thread);
    }
}

CTH_API bool cth_thread_is_alive(const cth_thread *thread) {
    // [thread.B] acquire: a thread seen to have ended is seen with all it did.
    return cth__load((cth__word *)(uintptr_t)&thread->state, acquire) == CTH__ALIVE &&
           !cth__of_parent(thread);
}

CTH_API const char *cth_thread_name(const cth_thread *thread) {
    if (thread == NULL) {
        return "?";
    }
    // [name.A] acquire: sees the text; pairs with [name.B].
    const cth__name *name =
        (const cth__name *)cth__load((cth__ptr *)(uintptr_t)&thread->name, acquire);
    CTH_SIM_READ(name->text);
    return name->text;
}

CTH_API cth_status cth_thread_set_name(cth_thread *thread, const char *name) {
    if (thread == NULL || name == NULL || strlen(name) > CTH_THREAD_NAME_MAX) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    cth__name *kept = self != NULL ? (cth__name *)cth__alloc(sizeof *kept, false) : NULL;
    if (kept == NULL) {
        return CTH_NOMEM;
    }
    (void)snprintf(kept->text, sizeof kept->text, "%s", name);
    CTH_SIM_WRITE(kept->text);
    cth__lock(&cth__g.registry, self);
    // relaxed: changes under the registry lock; the old text stays for those who have seen it.
    cth__name *old = (cth__name *)cth__load(&thread->name, relaxed);
    if (old != &cth__g.main_name) {
        old->next = thread->old_names;
        thread->old_names = old;
    }
    // [name.B] release: publishes the text; pairs with [name.A].
    cth__store(&thread->name, (void *)kept, release);
#  ifndef CTHREADS_SIM
    // relaxed: a number for printing.
    const int64_t native = (int64_t)(intptr_t)cth__load(&thread->native, relaxed);
    if (native != 0 && cth_thread_is_alive(thread)) {
        cth__os_set_name(native, name);
    }
#  endif
    cth__unlock(&cth__g.registry);
    return CTH_OK;
}

CTH_API uint32_t cth_thread_id(const cth_thread *thread) {
    return thread->id;
}

CTH_API int64_t cth_thread_native_id(const cth_thread *thread) {
    // relaxed: a number for printing.
    return (int64_t)(intptr_t)cth__load((cth__ptr *)(uintptr_t)&thread->native, relaxed);
}

CTH_API bool cth_thread_is_daemon(const cth_thread *thread) {
    return thread->daemon;
}

CTH_API cth_thread *cth_thread_current(void) {
    cth__self *self = cth__self_get();
    return self != NULL ? self->thread : NULL;
}

CTH_API cth_thread *cth_thread_main(void) {
    cth__setup();
    return cth__g.main_now;
}

CTH_API size_t cth_thread_count(void) {
    return cth_thread_enumerate(NULL, 0);
}

CTH_API size_t cth_thread_enumerate(cth_thread **out, size_t capacity) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return 0;
    }
    size_t n = 0;
    cth__lock(&cth__g.registry, self);
    for (cth_thread *thread = cth__g.first; thread != NULL && n < capacity; thread = thread->next) {
        thread->refs++;
        out[n++] = thread;
    }
    const size_t alive = cth__g.n_threads;
    cth__unlock(&cth__g.registry);
    return alive;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:hook
   ---------------------------------------------------------------------------------------------- */

CTH_API cth_status cth_fail(cth_status status, const char *format, ...) {
    cth__self *self = cth__self_get();
    if (self != NULL) {
        const int error = errno;
        char text[sizeof self->error]; // the arguments may contain the present text
        va_list args;
        va_start(args, format);
        (void)vsnprintf(text, sizeof text, format, args);
        va_end(args);
        memcpy(self->error, text, sizeof text);
        errno = error;
    }
    return status;
}

CTH_API const char *cth_error_text(void) {
    return cth__tls != NULL ? cth__tls->error : "";
}

CTH_API void cth_thread_set_hook(cth_thread_hook_fn hook, void *arg) {
    cth__self *self = cth__self_get();
    if (self != NULL) {
        cth__lock(&cth__g.hook_lock, self);
        cth__g.hook = hook;
        cth__g.hook_arg = arg;
        cth__unlock(&cth__g.hook_lock);
    }
}

static void cth__hook_call(cth_thread *thread, cth_status status, const char *message) {
    cth__lock(&cth__g.hook_lock, cth__tls);
    const cth_thread_hook_fn hook = cth__g.hook;
    void *arg = cth__g.hook_arg;
    cth__unlock(&cth__g.hook_lock);
    if (hook != NULL) {
        hook(thread, status, message, arg);
        return;
    }
    char line[320];
    (void)snprintf(line, sizeof line, "Exception in thread %s: %s: %s\n", cth_thread_name(thread),
                   cth_status_name(status), message);
    (void)fputs(line, stderr); // one call: stderr's own lock keeps the line whole
}

/* -------------------------------------------------------------------------------------------------
   >>impl:local

   A local has a slot number; a thread's record has an array of values by slot. Only the thread
   itself grows its array and stores values; cth_local_destroy takes values out of other threads'
   arrays. Arrays, slots and taking out are under the registry lock.
   ---------------------------------------------------------------------------------------------- */

/* Give the local a slot and make the calling thread's array reach it; false: no memory. */
static bool cth__local_room(cth_local *local, cth__self *self) {
    bool good = true;
    cth__lock(&cth__g.registry, self);
    // relaxed: changes under the registry lock.
    uint32_t slot = cth__load(&local->slot, relaxed);
    for (uint32_t i = 0; slot == 0 && i < CTH__LOCALS; i++) {
        if (cth__g.locals[i] == NULL) {
            cth__g.locals[i] = local;
            slot = i + 1;
        }
    }
    if (slot > self->n_slots) {
        const uint32_t n = slot < 8 ? 8 : slot * 2;
        cth__ptr *grown = (cth__ptr *)cth__alloc(n * sizeof *grown, true);
        if (grown != NULL) {
            for (uint32_t i = 0; i < self->n_slots; i++) {
                // relaxed, twice: under the registry lock.
                cth__store(&grown[i], cth__load(&self->slots[i], relaxed), relaxed);
            }
            cth__free(self->slots);
            self->slots = grown;
            self->n_slots = n;
        } else {
            good = false;
        }
    }
    if (slot == 0) {
        good = false;
    } else {
        // relaxed: what it names is read under the registry lock.
        cth__store(&local->slot, slot, relaxed);
    }
    cth__unlock(&cth__g.registry);
    return good;
}

CTH_API void *cth_local_get(cth_local *local) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return NULL;
    }
    // relaxed: a place in this thread's own array, or a number too large for it.
    uint32_t slot = cth__load(&local->slot, relaxed);
    if (slot == 0 || slot > self->n_slots) {
        if (!cth__local_room(local, self)) {
            return NULL;
        }
        slot = cth__load(&local->slot, relaxed); // relaxed: set just now, or before
    }
    // relaxed: stored by this thread; only a destroy, which must not run now, takes it out.
    void *value = cth__load(&self->slots[slot - 1], relaxed);
    if (value == NULL) {
        value = cth__alloc(local->size != 0 ? local->size : 1, false);
        if (value == NULL) {
            return NULL;
        }
        if (local->open != NULL && local->open(value) != CTH_OK) {
            cth__free(value);
            return NULL;
        }
        // `open` may have used other locals and so moved the array.
        cth__lock(&cth__g.registry, self);
        cth__store(&self->slots[slot - 1], value, relaxed); // relaxed: under the registry lock
        cth__unlock(&cth__g.registry);
    }
    return value;
}

/* Close the calling thread's values; again while closing makes new ones, four times at most. */
static void cth__locals_close(cth__self *self) {
    for (int round = 0; round < 4; round++) {
        bool any = false;
        for (uint32_t i = 0; i < self->n_slots; i++) {
            cth__lock(&cth__g.registry, self);
            // relaxed, twice: under the registry lock.
            void *value = cth__load(&self->slots[i], relaxed);
            cth__store(&self->slots[i], NULL, relaxed);
            const cth_local *local = cth__g.locals[i];
            const cth_local_close_fn close = local != NULL ? local->close : NULL;
            cth__unlock(&cth__g.registry);
            if (value != NULL) {
                any = true;
                if (close != NULL) {
                    close(value);
                }
                cth__free(value);
            }
        }
        if (!any) {
            break;
        }
    }
}

CTH_API void cth_local_destroy(cth_local *local) {
    cth__self *self = cth__self_get();
    // relaxed: nobody else uses the local now.
    const uint32_t slot = cth__load(&local->slot, relaxed);
    if (self == NULL || slot == 0) {
        return;
    }
    // relaxed: records are only added, and a new one has no value of this local.
    for (uint32_t number = 1;; number++) {
        cth__self *other = cth__self_by_number(number);
        if (other == NULL) {
            break;
        }
        void *value = NULL;
        cth__lock(&cth__g.registry, self);
        if (slot <= other->n_slots) {
            // relaxed, twice: under the registry lock.
            value = cth__load(&other->slots[slot - 1], relaxed);
            cth__store(&other->slots[slot - 1], NULL, relaxed);
        }
        cth__unlock(&cth__g.registry);
        if (value != NULL) {
            if (local->close != NULL) {
                local->close(value);
            }
            cth__free(value);
        }
    }
    cth__lock(&cth__g.registry, self);
    cth__g.locals[slot - 1] = NULL;
    cth__store(&local->slot, 0, relaxed); // relaxed: nobody else uses the local now
    cth__unlock(&cth__g.registry);
}

#  ifdef CTHREADS_SIM
#    if CTH__FIBERS
static void cth__hook_become(void *record) {
    cth__self *self = (cth__self *)record;
    cth__tls = self;
    cth__me = self != NULL ? self->me : 0;
}
#    endif

static const char *cth__hook_name(void *record) {
    const cth_thread *thread = ((cth__self *)record)->thread;
    // relaxed: one thread runs.
    return thread == NULL
               ? "a thread"
               : ((cth__name *)atomic_load_explicit(&thread->name, memory_order_relaxed))->text;
}

/* What a report calls a word of the kit's own; false for others. */
static bool cth__hook_global(const volatile void *p, char *text, size_t size) {
    const uintptr_t at = (uintptr_t)p;
    const uintptr_t begin = (uintptr_t)&cth__g;
    const char *name = "the kit's state";
    for (size_t i = 0; i < cth__sim.n_threads; i++) {
        const uintptr_t self = (uintptr_t)cth__sim.threads[i]->self;
        if (self != 0 && at >= self && at < self + sizeof(cth__self)) {
            (void)snprintf(text, size, "the record of %s", cth__hook_name((void *)self));
            return true;
        }
    }
    if (at < begin || at >= begin + sizeof cth__g) {
        return false;
    }
    if (at == (uintptr_t)&cth__g.door) {
        name = "the door";
    } else if (at == (uintptr_t)&cth__g.registry) {
        name = "the registry's lock";
    } else if (at == (uintptr_t)&cth__g.tree) {
        name = "the lock of the tokens";
    } else if (at >= (uintptr_t)cth__g.buckets && at < (uintptr_t)(cth__g.buckets + CTH__BUCKETS)) {
        name = "a bucket's lock";
    }
    (void)snprintf(text, size, "%s", name);
    return true;
}

static void cth__hook_reset(void) {
    memset(&cth__g, 0, sizeof cth__g);
    cth__tls = NULL;
    cth__me = 0;
}

static void cth__hook_end(void) {
    if (cth__tls != NULL && cth__sim.active) {
        cth__locals_close(cth__tls); // of a scenario's main thread; the others have none left
    }
    cth__tls = NULL;
    cth__me = 0;
}

static void cth__hook_describe(void *record, char *text, size_t size) {
    cth__self *self = (cth__self *)record;
    // relaxed, all below: one thread runs.
#    define CTH__SEE(p) atomic_load_explicit((p), memory_order_relaxed)
    const cth_thread *thread = self->thread;
    const char *name = thread != NULL ? ((cth__name *)CTH__SEE(&thread->name))->text : "thread";
    const char *what = (const char *)CTH__SEE(&self->why.what);
    if (what == NULL) {
        (void)snprintf(text, size, "%s runs", name);
        return;
    }
    const void *object = CTH__SEE(&self->why.object);
    cth__word *owner = (cth__word *)CTH__SEE(&self->why.owner);
    char which[CTH_THREAD_NAME_MAX + 8] = "";
    char holder[CTH_THREAD_NAME_MAX + 16] = "";
    if (strcmp(what, "join") == 0) {
        (void)snprintf(which, sizeof which, " of %s",
                       ((cth__name *)CTH__SEE(&((const cth_thread *)object)->name))->text);
    } else if (object != NULL) {
        which[0] = ' ';
        cth__sim_called(object, which + 1, sizeof which - 1);
    }
    if (owner != NULL) {
        const uint32_t number = CTH__SEE(owner) >> 8;
        for (size_t i = 0; number != 0 && i < cth__sim.n_threads; i++) {
            const cth__self *other = (const cth__self *)cth__sim.threads[i]->self;
            if (other != NULL && other->me >> 8 == number && other->thread != NULL) {
                (void)snprintf(holder, sizeof holder, ", held by %s",
                               ((cth__name *)CTH__SEE(&other->thread->name))->text);
            }
        }
    }
#    undef CTH__SEE
    (void)snprintf(text, size, "%s waits for %s%s%s", name, what, which, holder);
}
#  endif

/* -------------------------------------------------------------------------------------------------
   >>impl:mutex

       word                     meaning
       0                        free
       number << 8              held, nobody sleeps
       number << 8 | SLEEPERS   held, a thread may be queued in the bucket
       SLEEPERS                 free, a thread may be queued; whoever comes may take it

   unlock with SLEEPERS wakes the oldest waiter and leaves the mutex free, so that a thread which
   runs can take it at once; the woken one tries again. A waiter that has been at it for 1 ms is
   handed the mutex instead: the word names it before it wakes.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__SLEEPERS UINT32_C(1)
#  define CTH__OWNER    (~UINT32_C(0xff))
#  define CTH__POISON   (CTH__OWNER | 2) // no thread has this number; CTHREADS_DEBUG
#  define CTH__PATIENCE CTH_MS(1)        // a waiter passed by for so long is served first

/* Tell whether a waiter has waited so long that it is served before those who run. */
static bool cth__starving(const cth__waiter *w) {
#  ifdef CTHREADS_SIM
    (void)w;
    return cth__maybe(4);
#  else
    return cth__clock() - w->since >= CTH__PATIENCE;
#  endif
}

/* SLEEPERS if another record than `w` is queued for `key`, else 0. */
static uint32_t cth__others(const cth__bucket *bucket, const cth__waiter *w, const void *key) {
    const cth__waiter *first = cth__next(bucket, NULL, key);
    return first != w || cth__next(bucket, w, key) != NULL ? CTH__SLEEPERS : 0;
}

/* Tell whether the holder in a lock word sleeps: then spinning for it is of no use. */
static bool cth__owner_sleeps(uint32_t word) {
    cth__self *owner = cth__self_by_number(word >> 8);
    // relaxed: a hint for spinning.
    return owner != NULL && cth__load(&owner->claim, relaxed) == CTH__ASLEEP;
}

CTH_API CTH__NOINLINE cth_status cth__mutex_lock_slow(cth_mutex *mutex, cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    uint32_t used = 0;
    bool spun_out = deadline == 0;
    cth__waiter w;
    w.since = 0;
    for (;;) {
        // relaxed: the compare-and-swaps below decide.
        uint32_t found = cth__load(&mutex->word, relaxed);
        if ((found & CTH__OWNER) == 0) {
            // [mutex.A] acquire: sees what the last holder did; pairs with [mutex.B], [mutex.C].
            if (cth__cas(&mutex->word, &found, found | self->me, acquire, relaxed)) {
                CTH__HOLDS(&mutex->word, 1);
                return CTH_OK;
            }
            continue;
        }
        if ((found & CTH__OWNER) == self->me) {
            return CTH_DEADLOCK;
        }
        if (found == CTH__POISON) {
            return CTH_INVALID;
        }
        if (!spun_out) {
            if ((found & CTH__SLEEPERS) == 0 && cth__spin(self, &used) &&
                ((used & 15) != 0 || !cth__owner_sleeps(found))) {
                continue;
            }
            spun_out = true;
        }
        if (cth__passed(deadline)) {
            return CTH_TIMEDOUT;
        }
        // relaxed: only says that the bucket must be looked at; the bucket lock orders the rest.
        if ((found & CTH__SLEEPERS) == 0 &&
            !cth__cas(&mutex->word, &found, found | CTH__SLEEPERS, relaxed, relaxed)) {
            continue;
        }
        if (w.since == 0) {
            w.since = cth__clock();
        }
        cth__bucket *bucket = cth__bucket_lock(mutex, self);
        // relaxed: SLEEPERS is cleared under this bucket's lock only, and then tried again.
        found = cth__load(&mutex->word, relaxed);
        if ((found & CTH__OWNER) == 0 || (found & CTH__SLEEPERS) == 0) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, mutex, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .what = "mutex",
                                     .object = mutex,
                                     .owner = &mutex->word,
                                     .site = CTH__CALL_SITE()};
        uint32_t won;
        const cth_status status = cth__park(self, &w, 1, &desc, &won);
        if (status != CTH_OK || (won & CTH__HANDED) != 0) {
            CTH__HOLDS(&mutex->word, status == CTH_OK);
            return status;
        }
        spun_out = deadline == 0;
        used = 0;
    }
}

CTH_API CTH__NOINLINE cth_status cth__mutex_unlock_slow(cth_mutex *mutex) {
    cth__self *self = cth__tls;
    // relaxed: if the word names this thread, then this thread put it there.
    const uint32_t word = cth__load(&mutex->word, relaxed);
    if (self == NULL || (word & CTH__OWNER) != self->me) {
        return CTH_NOT_OWNER;
    }
    CTH__HOLDS(&mutex->word, -1);
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(mutex, self);
    cth__waiter *w = cth__first(bucket, mutex);
    // The word changes before a claim: a claimed thread may lock, unlock and free the mutex, and
    // one that gives up may free it too. Until the bucket is unlocked no queued thread can.
    while (w != NULL && cth__starving(w)) {
        cth__self *heir = w->self;
        // relaxed: the claim publishes the critical section to the heir, and nobody else takes it.
        cth__store(&mutex->word, heir->me | cth__others(bucket, w, mutex), relaxed);
        if (cth__claim(bucket, w, CTH__HANDED, &wakes)) {
            cth__bucket_close(bucket, &wakes);
            return CTH_OK;
        }
        w = cth__first(bucket, mutex);
    }
    // [mutex.C] release: publishes the critical section; pairs with [mutex.A].
    cth__store(&mutex->word, w != NULL ? cth__others(bucket, w, mutex) : 0, release);
    while (w != NULL && !cth__claim(bucket, w, 0, &wakes)) {
        w = cth__first(bucket, mutex);
    }
    cth__bucket_close(bucket, &wakes);
    return CTH_OK;
}

CTH_API bool cth_mutex_is_locked(const cth_mutex *mutex) {
    // relaxed: a report on a moment that is over.
    return (cth__load((cth__word *)(uintptr_t)&mutex->word, relaxed) & CTH__OWNER) != 0;
}

/* Abort unless `word` names the calling thread as its owner. */
static void cth__assert_owner(const cth__word *word, const char *what) {
    // relaxed: if the word names this thread, then this thread put it there.
    const uint32_t found = cth__load((cth__word *)(uintptr_t)word, relaxed);
    if (cth__tls == NULL || (found & CTH__OWNER) != cth__tls->me) {
        cth__panic_status(what, CTH_NOT_OWNER);
    }
}

CTH_API void cth_mutex_assert_held(const cth_mutex *mutex) {
    cth__assert_owner(&mutex->word, "cth_mutex_assert_held");
}

CTH_API cth_status cth_mutex_destroy(cth_mutex *mutex) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    // relaxed: nobody else may use it now; else BUSY is as good an answer as any.
    if ((cth__load(&mutex->word, relaxed) & CTH__OWNER) != 0 || cth__has_waiters(mutex, self)) {
        return CTH_BUSY;
    }
#  ifdef CTHREADS_DEBUG
    cth__store(&mutex->word, CTH__POISON, relaxed); // relaxed: as above
#  endif
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:rmutex

   The mutex inside says who the owner is; `depth` belongs to the owner.
   ---------------------------------------------------------------------------------------------- */

CTH_API bool cth_rmutex_is_locked(const cth_rmutex *rmutex) {
    return cth_mutex_is_locked(&rmutex->mutex);
}

CTH_API void cth_rmutex_assert_held(const cth_rmutex *rmutex) {
    cth__assert_owner(&rmutex->mutex.word, "cth_rmutex_assert_held");
}

CTH_API cth_status cth_rmutex_destroy(cth_rmutex *rmutex) {
    return cth_mutex_destroy(&rmutex->mutex);
}

/* -------------------------------------------------------------------------------------------------
   >>impl:rwlock

       word                       meaning (bit 0, SLEEPERS, may be set beside each)
       0                          free
       readers << 2               held for reading
       number << 8 | WRITING      held for writing, by that thread

   Everything but the fast paths (which need SLEEPERS clear) happens under the bucket lock, where it
   is known exactly who waits. A reader gets in unless somebody writes, or a writer is queued and
   the reader has not been woken yet. The last reader to leave wakes one writer; a leaving writer
   wakes all readers that are queued, or else one writer. The woken try again, in competition with
   those who come running; a writer that has been passed by for 1 ms is handed the lock, and so are
   all queued readers when the first of them has been. A writer that gives up lets the readers in
   that were queued because of it.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__WRITING     UINT32_C(2)
#  define CTH__READER      UINT32_C(4) // one reader, in the word
#  define CTH__MAX_READERS UINT32_C(0x3fffffff)

static uint32_t cth__readers(uint32_t word) {
    return (word & CTH__WRITING) != 0 ? 0 : word >> 2;
}

// What a queued record waits for, in its `data`.
static char cth__wants_read, cth__wants_write;

/* The first record that wants `what`, or NULL. */
static cth__waiter *cth__wanting(const cth__bucket *bucket, const void *key, const void *what) {
    cth__waiter *w = cth__next(bucket, NULL, key);
    while (w != NULL && w->data != what) {
        w = cth__next(bucket, w, key);
    }
    return w;
}

/* Claim all queued readers; returns how many were won, and adds the others to *lost. */
static uint32_t cth__claim_readers(cth__bucket *bucket,
                                   const void *key,
                                   uint32_t how,
                                   cth__wakes *wakes,
                                   uint32_t *lost) {
    uint32_t won = 0;
    cth__waiter *w;
    while ((w = cth__wanting(bucket, key, &cth__wants_read)) != NULL) {
        if (cth__claim(bucket, w, how, wakes)) {
            won++;
        } else {
            ++*lost;
        }
    }
    return won;
}

/* Hand the lock, which the calling thread holds alone, to all queued readers; false when it is
   still held alone, since they have all given up, or have left already. */
static bool cth__hand_to_readers(cth_rwlock *rwlock, cth__bucket *bucket, cth__wakes *wakes) {
    uint32_t n = 0;
    uint32_t lost = 0;
    for (const cth__waiter *w = cth__next(bucket, NULL, rwlock); w != NULL;
         w = cth__next(bucket, w, rwlock)) {
        n += w->data == &cth__wants_read;
    }
    // relaxed: the claims publish to the heirs, the bucket's lock to other readers, who have to
    // come here because of SLEEPERS, which may be wrong.
    cth__store(&rwlock->word, n * CTH__READER | CTH__SLEEPERS, relaxed);
    (void)cth__claim_readers(bucket, rwlock, CTH__HANDED, wakes, &lost);
    if (lost == 0) {
        return true; // the lock may be gone
    }
    // The holds of those who gave up are ours; they wait for the bucket, so the lock is there.
    // [rwlock.D] acquire: sees what the heirs that have left did, for whoever is next.
    uint32_t found = cth__load(&rwlock->word, acquire);
    do {
        if (cth__readers(found) == lost) {
            return false;
        }
        // [rwlock.D] acquire: after a failure, as above.
        // slack(acquire->relaxed): on success relaxed would do, but C11 wants it no weaker.
    } while (!cth__cas(&rwlock->word, &found, found - lost * CTH__READER, acquire, acquire));
    return true;
}

/* Pass on a lock that the calling thread holds alone, for writing or as the last reader: wake or
   serve those who wait, and let go of it. Under the bucket lock; the lock may be gone afterwards.
   `writers`: whether a writer goes first. The word changes before a claim, as in a mutex. */
static void cth__rwlock_pass(cth_rwlock *rwlock,
                             cth__bucket *bucket,
                             bool writers,
                             cth__wakes *wakes) {
    bool held = true;
    for (;;) {
        cth__waiter *writer = cth__wanting(bucket, rwlock, &cth__wants_write);
        cth__waiter *reader = cth__wanting(bucket, rwlock, &cth__wants_read);
        cth__waiter *w = writer != NULL && (writers || reader == NULL) ? writer : reader;
        if (held && w != NULL && cth__starving(w)) {
            if (w == reader) {
                if (cth__hand_to_readers(rwlock, bucket, wakes)) {
                    return;
                }
                continue;
            }
            cth__self *heir = w->self;
            // relaxed: the claim publishes to the heir, and nobody else takes it.
            cth__store(&rwlock->word, heir->me | CTH__WRITING | cth__others(bucket, w, rwlock),
                       relaxed);
            if (cth__claim(bucket, w, CTH__HANDED, wakes)) {
                return;
            }
            continue;
        }
        if (held) {
            // [rwlock.B] release: publishes to whoever takes it; pairs with [rwlock.A], [rwlock.D].
            cth__store(&rwlock->word, w != NULL ? cth__others(bucket, w, rwlock) : 0, release);
            held = false;
        }
        uint32_t lost = 0;
        if (w == NULL || (w == writer ? cth__claim(bucket, w, 0, wakes)
                                      : cth__claim_readers(bucket, rwlock, 0, wakes, &lost) != 0)) {
            return;
        }
        // Whoever was chosen has given up: the next one.
    }
}

CTH_API CTH__NOINLINE cth_status cth__read_lock_slow(cth_rwlock *rwlock, cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    uint32_t used = 0;
    bool woken = false;
    cth__waiter w;
    w.since = 0;
    w.data = &cth__wants_read;
    for (;;) {
        // relaxed: the compare-and-swaps below decide.
        uint32_t found = cth__load(&rwlock->word, relaxed);
        if ((found & CTH__WRITING) != 0 && (found & CTH__OWNER) == self->me) {
            return CTH_DEADLOCK;
        }
        if (found == CTH__POISON) {
            return CTH_INVALID;
        }
        if ((found & 3) == 0) {
            if (cth__readers(found) == CTH__MAX_READERS) {
                return CTH_OVERFLOW;
            }
            // [rwlock.A] acquire: sees what the last writer did; pairs with [rwlock.B].
            if (cth__cas(&rwlock->word, &found, found + CTH__READER, acquire, relaxed)) {
                CTH__HOLDS(&rwlock->word, 1);
                return CTH_OK;
            }
            continue;
        }
        if (deadline != 0 && (found & 3) == CTH__WRITING && cth__spin(self, &used)) {
            continue;
        }
        if (w.since == 0) {
            w.since = cth__clock();
        }
        cth__bucket *bucket = cth__bucket_lock(rwlock, self);
        const bool queue = !woken && cth__wanting(bucket, rwlock, &cth__wants_write) != NULL;
        found = cth__load(&rwlock->word, relaxed); // relaxed: as above
        bool in = false;
        bool full = false;
        for (;;) {
            if ((found & CTH__WRITING) == 0 && !queue) {
                full = cth__readers(found) == CTH__MAX_READERS;
                // [rwlock.A] acquire, as above.
                if (full ||
                    cth__cas(&rwlock->word, &found, found + CTH__READER, acquire, relaxed)) {
                    in = true;
                    break;
                }
                // relaxed: only makes the others come to this bucket.
            } else if ((found & CTH__SLEEPERS) != 0 ||
                       cth__cas(&rwlock->word, &found, found | CTH__SLEEPERS, relaxed, relaxed)) {
                break;
            }
        }
        if (in || cth__passed(deadline)) {
            cth__unlock(&bucket->lock);
            CTH__HOLDS(&rwlock->word, in && !full);
            return full ? CTH_OVERFLOW : in ? CTH_OK : CTH_TIMEDOUT;
        }
        cth__enqueue(bucket, &w, rwlock, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .what = "rwlock to read",
                                     .object = rwlock,
                                     .owner = &rwlock->word,
                                     .site = CTH__CALL_SITE()};
        uint32_t won;
        const cth_status status = cth__park(self, &w, 1, &desc, &won);
        if (status != CTH_OK || (won & CTH__HANDED) != 0) {
            CTH__HOLDS(&rwlock->word, status == CTH_OK);
            return status;
        }
        woken = true;
    }
}

CTH_API cth_status cth_rwlock_try_read_lock(cth_rwlock *rwlock) {
    const cth_status status = cth__read_lock_slow(rwlock, 0);
    return status == CTH_TIMEDOUT || status == CTH_DEADLOCK ? CTH_BUSY : status;
}

CTH_API cth_status cth_rwlock_read_lock_until(cth_rwlock *rwlock, cth_time deadline) {
    return cth__read_lock_slow(rwlock, deadline);
}

CTH_API CTH__NOINLINE cth_status cth__read_unlock_slow(cth_rwlock *rwlock) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__bucket *bucket = NULL;
    cth__wakes wakes = {0};
    // relaxed: the compare-and-swap decides.
    uint32_t found = cth__load(&rwlock->word, relaxed);
    for (;;) {
        if (cth__readers(found) == 0) {
            if (bucket != NULL) {
                cth__unlock(&bucket->lock);
            }
            return CTH_NOT_OWNER;
        }
        if (found == (CTH__READER | CTH__SLEEPERS)) {
            if (bucket != NULL) {
                // The last reader, and nobody can join it while the bucket is locked.
                cth__rwlock_pass(rwlock, bucket, true, &wakes);
                break;
            }
            bucket = cth__bucket_lock(rwlock, self);
            // [rwlock.D] acquire: the last reader speaks for the earlier ones to whoever is next.
            found = cth__load(&rwlock->word, acquire);
            continue;
        }
        // [rwlock.C] release: the reading happens before the next writer; pairs with [rwlock.D].
        // acquire on failure: with the bucket locked it may be the last reader now, as above.
        // slack(acq_rel->release): on success release would do, but C11 wants it no weaker.
        if (cth__cas(&rwlock->word, &found, found - CTH__READER, acq_rel, acquire)) {
            break;
        }
    }
    CTH__HOLDS(&rwlock->word, -1);
    if (bucket != NULL) {
        cth__bucket_close(bucket, &wakes);
    }
    return CTH_OK;
}

/* A writer that was queued gives up: readers that were queued because of it may go now. */
static void cth__let_readers_in(cth_rwlock *rwlock, cth__self *self) {
    cth__wakes wakes = {0};
    uint32_t lost = 0;
    cth__bucket *bucket = cth__bucket_lock(rwlock, self);
    if (cth__wanting(bucket, rwlock, &cth__wants_write) == NULL) {
        (void)cth__claim_readers(bucket, rwlock, 0, &wakes, &lost);
    }
    cth__bucket_close(bucket, &wakes);
}

CTH_API CTH__NOINLINE cth_status cth__write_lock_slow(cth_rwlock *rwlock, cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    uint32_t used = 0;
    cth__waiter w;
    w.since = 0;
    w.data = &cth__wants_write;
    for (;;) {
        // relaxed: the compare-and-swaps below decide.
        uint32_t found = cth__load(&rwlock->word, relaxed);
        if ((found & CTH__WRITING) != 0 && (found & CTH__OWNER) == self->me) {
            return CTH_DEADLOCK;
        }
        if (found == CTH__POISON) {
            return CTH_INVALID;
        }
        if ((found & ~CTH__SLEEPERS) == 0) {
            // [rwlock.D] acquire: sees what all before did; pairs with [rwlock.B], [rwlock.C].
            if (cth__cas(&rwlock->word, &found, found | self->me | CTH__WRITING, acquire,
                         relaxed)) {
                CTH__HOLDS(&rwlock->word, 1);
                return CTH_OK;
            }
            continue;
        }
        if (deadline != 0 && (found & CTH__SLEEPERS) == 0 && cth__spin(self, &used)) {
            continue;
        }
        if (cth__passed(deadline)) {
            if (w.since != 0) {
                cth__let_readers_in(rwlock, self);
            }
            return CTH_TIMEDOUT;
        }
        if (w.since == 0) {
            w.since = cth__clock();
        }
        cth__bucket *bucket = cth__bucket_lock(rwlock, self);
        found = cth__load(&rwlock->word, relaxed); // relaxed: as above
        // relaxed: only makes the others come to this bucket.
        while ((found & ~CTH__SLEEPERS) != 0 && (found & CTH__SLEEPERS) == 0 &&
               !cth__cas(&rwlock->word, &found, found | CTH__SLEEPERS, relaxed, relaxed)) {
        }
        if ((found & ~CTH__SLEEPERS) == 0) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, rwlock, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .what = "rwlock to write",
                                     .object = rwlock,
                                     .owner = &rwlock->word,
                                     .site = CTH__CALL_SITE()};
        uint32_t won;
        const cth_status status = cth__park(self, &w, 1, &desc, &won);
        if (status != CTH_OK) {
            cth__let_readers_in(rwlock, self);
            return status;
        }
        if ((won & CTH__HANDED) != 0) {
            CTH__HOLDS(&rwlock->word, 1);
            return CTH_OK;
        }
    }
}

CTH_API cth_status cth_rwlock_try_write_lock(cth_rwlock *rwlock) {
    const cth_status status = cth__write_lock_slow(rwlock, 0);
    return status == CTH_TIMEDOUT || status == CTH_DEADLOCK ? CTH_BUSY : status;
}

CTH_API cth_status cth_rwlock_write_lock_until(cth_rwlock *rwlock, cth_time deadline) {
    return cth__write_lock_slow(rwlock, deadline);
}

/* Tell whether the calling thread holds the lock for writing. */
static bool cth__writes(const cth_rwlock *rwlock) {
    // relaxed: if the word names this thread, then this thread put it there.
    const uint32_t word = cth__load((cth__word *)(uintptr_t)&rwlock->word, relaxed);
    return cth__tls != NULL && (word & ~CTH__SLEEPERS) == (cth__tls->me | CTH__WRITING);
}

CTH_API CTH__NOINLINE cth_status cth__write_unlock_slow(cth_rwlock *rwlock) {
    if (!cth__writes(rwlock)) {
        return CTH_NOT_OWNER;
    }
    CTH__HOLDS(&rwlock->word, -1);
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(rwlock, cth__tls);
    cth__rwlock_pass(rwlock, bucket, false, &wakes);
    cth__bucket_close(bucket, &wakes);
    return CTH_OK;
}

CTH_API cth_status cth_rwlock_downgrade(cth_rwlock *rwlock) {
    if (!cth__writes(rwlock)) {
        return CTH_NOT_OWNER;
    }
    cth__wakes wakes = {0};
    uint32_t lost = 0;
    cth__bucket *bucket = cth__bucket_lock(rwlock, cth__tls);
    const cth__waiter *reader = cth__wanting(bucket, rwlock, &cth__wants_read);
    const uint32_t leave = cth__next(bucket, NULL, rwlock) != NULL ? CTH__SLEEPERS : 0;
    // [rwlock.B] release: publishes the writing; pairs with [rwlock.A].
    cth__store(&rwlock->word, CTH__READER | leave, release);
    if (reader != NULL) {
        // Woken readers need not queue behind writers: who waited for this writer goes with it.
        (void)cth__claim_readers(bucket, rwlock, 0, &wakes, &lost);
    }
    cth__bucket_close(bucket, &wakes);
    return CTH_OK;
}

CTH_API void cth_rwlock_assert_write_held(const cth_rwlock *rwlock) {
    if (!cth__writes(rwlock)) {
        cth__panic_status("cth_rwlock_assert_write_held", CTH_NOT_OWNER);
    }
}

CTH_API cth_status cth_rwlock_destroy(cth_rwlock *rwlock) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    // relaxed: nobody else may use it now; else BUSY is as good an answer as any.
    if ((cth__load(&rwlock->word, relaxed) & ~CTH__SLEEPERS) != 0 ||
        cth__has_waiters(rwlock, self)) {
        return CTH_BUSY;
    }
#  ifdef CTHREADS_DEBUG
    cth__store(&rwlock->word, CTH__POISON, relaxed); // relaxed: as above
#  endif
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:cond

   The word is 1 while a record may be queued. A waiter queues itself before it unlocks the mutex,
   so a notifier that has had the mutex since sees the word and finds the record. A notify chooses
   its waiters under the bucket lock and clears the word, if none will remain, before it claims the
   last: that one may free the condition.
   ---------------------------------------------------------------------------------------------- */

CTH_API cth_status cth_cond_wait(cth_cond *cond, cth_mutex *mutex) {
    return cth_cond_wait_until(cond, mutex, CTH_FOREVER);
}

CTH_API cth_status cth_cond_wait_until(cth_cond *cond, cth_mutex *mutex, cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__tls;
    // relaxed: if the word names this thread, then this thread put it there.
    if (self == NULL || (cth__load(&mutex->word, relaxed) & CTH__OWNER) != self->me) {
        return CTH_NOT_OWNER;
    }
    cth__waiter w;
    cth__bucket *bucket = cth__bucket_lock(cond, self);
    const cth__waiter *other = cth__next(bucket, NULL, cond);
    if (other != NULL && other->data != mutex) {
        cth__unlock(&bucket->lock);
        return CTH_INVALID;
    }
    w.data = mutex;
    cth__enqueue(bucket, &w, cond, self, 0);
    // [cond.A] relaxed: a notifier sees it through the mutex, which is unlocked below.
    cth__store(&cond->word, 1, relaxed);
    cth__unlock(&bucket->lock);
    (void)cth_mutex_unlock(mutex);
    const bool spurious = cth__spurious();
    const cth__wait_desc desc = {.deadline = spurious ? 0 : deadline,
                                 .cancellable = true,
                                 .spin = true,
                                 .what = "condition",
                                 .object = cond,
                                 .site = CTH__CALL_SITE()};
    const cth_status status = cth__park(self, &w, 1, &desc, NULL);
    (void)cth_mutex_lock(mutex);
    return spurious && status == CTH_TIMEDOUT ? CTH_OK : status;
}

CTH_API cth_status cth_cond_wait_rmutex(cth_cond *cond, cth_rmutex *rmutex) {
    return cth_cond_wait_rmutex_until(cond, rmutex, CTH_FOREVER);
}

CTH_API cth_status cth_cond_wait_rmutex_until(cth_cond *cond,
                                              cth_rmutex *rmutex,
                                              cth_time deadline) {
    // relaxed: if the word names this thread, then this thread put it there.
    const uint32_t word = cth__load(&rmutex->mutex.word, relaxed);
    if (deadline < 0) {
        return CTH_INVALID;
    }
    if (cth__tls == NULL || (word & CTH__OWNER) != cth__tls->me) {
        return CTH_NOT_OWNER;
    }
    // All levels go with the mutex; whoever holds it next starts at none.
    const uint32_t depth = rmutex->depth;
    rmutex->depth = 0;
    const cth_status status = cth_cond_wait_until(cond, &rmutex->mutex, deadline);
    rmutex->depth = depth;
    return status;
}

/* Wake up to `n` waiters. */
static cth_status cth__cond_notify(cth_cond *cond, size_t n) {
    // [cond.B] relaxed: pairs with [cond.A] through the mutex, which the notifier has had since.
    if (n == 0 || cth__load(&cond->word, relaxed) == 0) {
        return CTH_OK;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(cond, self);
    size_t queued = 0;
    for (const cth__waiter *w = cth__next(bucket, NULL, cond); w != NULL && queued <= n;
         w = cth__next(bucket, w, cond)) {
        queued++;
    }
    if (queued <= n) {
        cth__store(&cond->word, 0, relaxed); // relaxed: under the bucket lock, like setting it
    }
    while (n > 0) {
        cth__waiter *w = cth__first(bucket, cond);
        if (w == NULL) {
            break;
        }
        if (cth__claim(bucket, w, 0, &wakes)) {
            n--;
        }
    }
    cth__bucket_close(bucket, &wakes);
    return CTH_OK;
}

CTH_API cth_status cth_cond_notify(cth_cond *cond, size_t n) {
    return cth__cond_notify(cond, n);
}

CTH_API cth_status cth_cond_notify_all(cth_cond *cond) {
    return cth__cond_notify(cond, SIZE_MAX);
}

CTH_API cth_status cth_cond_destroy(cth_cond *cond) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    return cth__has_waiters(cond, self) ? CTH_BUSY : CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:sem

   The word is the number of permits, with bit 31 while a record may be queued. A release adds its
   permits and wakes as many waiters, which then compete with those who come running; every woken
   waiter tries once more before it reports a timeout, so no wake is lost. A single release gives
   its permit straight to a waiter that has been passed by for 1 ms.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__SEM_SLEEPERS   UINT32_C(0x80000000)
#  define CTH__SEM_SATURATING UINT32_C(0x80000000)
#  define CTH__SEM_POISON     UINT32_C(0xffffffff)

CTH_API cth_status cth_sem_init(cth_sem *sem, int count, const cth_sem_desc *desc) {
    const int max = desc != NULL && desc->max != 0 ? desc->max : CTH_SEM_MAX;
    if (sem == NULL || count < 0 || max < 0 || count > max) {
        return CTH_INVALID;
    }
    sem->bound = max != CTH_SEM_MAX ? (uint32_t)max : 0;
    if (desc != NULL && desc->saturating) {
        sem->bound |= CTH__SEM_SATURATING;
    }
    cth__store(&sem->word, (uint32_t)count, relaxed); // relaxed: nobody else's yet
    return CTH_OK;
}

/* Take a permit; `cancellable` is false inside CTH_WITH. */
static cth_status cth__sem_take(cth_sem *sem, cth_time deadline, bool cancellable, void *site) {
    if (deadline < 0 || sem->bound == CTH__SEM_POISON) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    uint32_t used = 0;
    bool spun_out = deadline == 0;
    cth__waiter w;
    w.since = 0;
    for (;;) {
        // relaxed: the compare-and-swaps below decide.
        uint32_t found = cth__load(&sem->word, relaxed);
        if ((found & CTH_SEM_MAX) != 0) {
            // [sem.A] acquire: sees what the releasing thread did; pairs with [sem.B], [sem.C].
            if (cth__cas(&sem->word, &found, found - 1, acquire, relaxed)) {
                return CTH_OK;
            }
            continue;
        }
        if (!spun_out) {
            if (found == 0 && cth__spin(self, &used)) {
                continue;
            }
            spun_out = true;
        }
        if (cth__passed(deadline)) {
            return CTH_TIMEDOUT;
        }
        // relaxed: only says that the bucket must be looked at; the bucket lock orders the rest.
        if (found == 0 && !cth__cas(&sem->word, &found, CTH__SEM_SLEEPERS, relaxed, relaxed)) {
            continue;
        }
        if (w.since == 0) {
            w.since = cth__clock();
        }
        cth__bucket *bucket = cth__bucket_lock(sem, self);
        // relaxed: SLEEPERS is cleared under this bucket's lock only, and then tried again.
        if (cth__load(&sem->word, relaxed) != CTH__SEM_SLEEPERS) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, sem, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = cancellable,
                                     .what = "semaphore",
                                     .object = sem,
                                     .site = site};
        uint32_t won;
        const cth_status status = cth__park(self, &w, 1, &desc, &won);
        if (status != CTH_OK || (won & CTH__HANDED) != 0) {
            return status;
        }
    }
}

CTH_API CTH__NOINLINE cth_status cth__sem_acquire_slow(cth_sem *sem, cth_time deadline) {
    return cth__sem_take(sem, deadline, true, CTH__CALL_SITE());
}

CTH_API CTH__NOINLINE cth_status cth__sem_release_slow(cth_sem *sem, uint32_t n) {
    const uint32_t bound = sem->bound;
    const bool saturating = (bound & CTH__SEM_SATURATING) != 0;
    const uint32_t max = (bound & CTH_SEM_MAX) != 0 ? bound & CTH_SEM_MAX : CTH_SEM_MAX;
    if (bound == CTH__SEM_POISON) {
        return CTH_INVALID;
    }
    // relaxed: the compare-and-swap below decides.
    uint32_t found = cth__load(&sem->word, relaxed);
    while ((found & CTH__SEM_SLEEPERS) == 0) {
        const uint32_t room = max - (found < max ? found : max);
        if (n > room && !saturating) {
            return CTH_OVERFLOW;
        }
        // [sem.B] release: publishes to the thread that takes the permit; pairs with [sem.A].
        if (cth__cas(&sem->word, &found, found + (n < room ? n : room), release, relaxed)) {
            return CTH_OK;
        }
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(sem, self);
    if (n == 1) {
        // One permit may go straight to a starving waiter: the word does not change.
        cth__waiter *w = cth__first(bucket, sem);
        // [sem.C] release, in the claim: publishes to the waiter, which acquires it in its wait.
        if (w != NULL && cth__starving(w) && cth__claim(bucket, w, CTH__HANDED, &wakes)) {
            cth__bucket_close(bucket, &wakes);
            return CTH_OK;
        }
    }
    size_t queued = 0;
    for (const cth__waiter *w = cth__next(bucket, NULL, sem); w != NULL && queued <= n;
         w = cth__next(bucket, w, sem)) {
        queued++;
    }
    // relaxed: the compare-and-swap below decides.
    found = cth__load(&sem->word, relaxed);
    uint32_t room;
    do {
        const uint32_t count = found & CTH_SEM_MAX;
        room = max - (count < max ? count : max);
        if (n > room && !saturating) {
            cth__unlock(&bucket->lock);
            return CTH_OVERFLOW;
        }
        // [sem.B] release, as above; after it the semaphore may be gone.
    } while (!cth__cas(&sem->word, &found,
                       ((found & CTH_SEM_MAX) + (n < room ? n : room)) |
                           (queued > n ? CTH__SEM_SLEEPERS : 0),
                       release, relaxed));
    for (uint32_t left = n; left > 0;) {
        cth__waiter *w = cth__first(bucket, sem);
        if (w == NULL) {
            break;
        }
        if (cth__claim(bucket, w, 0, &wakes)) {
            left--;
        }
    }
    cth__bucket_close(bucket, &wakes);
    return CTH_OK;
}

CTH_API cth_status cth_sem_release_n(cth_sem *sem, int n) {
    if (n <= 0) {
        return n == 0 ? CTH_OK : CTH_INVALID;
    }
    return cth__sem_release_slow(sem, (uint32_t)n);
}

CTH_API int cth_sem_value(const cth_sem *sem) {
    // relaxed: a report on a moment that is over.
    return (int)(cth__load((cth__word *)(uintptr_t)&sem->word, relaxed) & CTH_SEM_MAX);
}

CTH_API cth_status cth_sem_destroy(cth_sem *sem) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (cth__has_waiters(sem, self)) {
        return CTH_BUSY;
    }
#  ifdef CTHREADS_DEBUG
    sem->bound = CTH__SEM_POISON;
    cth__store(&sem->word, 0, relaxed); // relaxed: nobody else may use it now
#  endif
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:event

   The word counts how often the event was set, above two flags. A waiter that finds the count
   changed knows that it was freed, even if the event has been cleared since. set changes the word
   before it claims the waiters; then it no longer touches the event.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__EVENT_SET      UINT32_C(1)
#  define CTH__EVENT_SLEEPERS UINT32_C(2)
#  define CTH__EVENT_ONCE     UINT32_C(4)          // the count's unit
#  define CTH__EVENT_POISON   UINT32_C(0xfffffffa) // sleepers, never set; CTHREADS_DEBUG

CTH_API cth_status cth_event_set(cth_event *event) {
    cth__wakes wakes = {0};
    cth__bucket *bucket = NULL;
    // relaxed: the compare-and-swap below decides.
    uint32_t found = cth__load(&event->word, relaxed);
    for (;;) {
        if ((found & CTH__EVENT_SLEEPERS) != 0 && bucket == NULL) {
            cth__self *self = cth__self_get();
            if (self == NULL) {
                return CTH_NOMEM;
            }
            bucket = cth__bucket_lock(event, self);
        }
        uint32_t count = (found & ~(CTH__EVENT_SET | CTH__EVENT_SLEEPERS)) + CTH__EVENT_ONCE;
        if (count == (CTH__EVENT_POISON & ~CTH__EVENT_SLEEPERS)) {
            count += CTH__EVENT_ONCE; // that count is for destroyed events
        }
        // [event.B] release: publishes to all who see the flag; pairs with [event.A]. Also when it
        // is set already: this setter's work must be seen as well.
        if (cth__cas(&event->word, &found, count | CTH__EVENT_SET, release, relaxed)) {
            break;
        }
    }
    if (bucket != NULL) {
        cth__claim_all(bucket, event, &wakes);
        cth__bucket_close(bucket, &wakes);
    }
    return CTH_OK;
}

CTH_API cth_status cth_event_clear(cth_event *event) {
    // [event.C] release: a select that finds it clear sees what else this thread had made ready
    // before; pairs with [event.A]. As a read-modify-write it keeps what set published.
    (void)cth__and(&event->word, ~CTH__EVENT_SET, release);
    return CTH_OK;
}

CTH_API CTH__NOINLINE cth_status cth__event_wait_slow(cth_event *event, cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    uint32_t used = 0;
    bool spun_out = deadline == 0;
    // [event.A] acquire: sees what the setter did; pairs with [event.B].
    uint32_t found = cth__load(&event->word, acquire);
    const uint32_t count = found / CTH__EVENT_ONCE;
#  ifdef CTHREADS_DEBUG
    if (found == CTH__EVENT_POISON) {
        return CTH_INVALID;
    }
#  endif
    while ((found & CTH__EVENT_SET) == 0 && found / CTH__EVENT_ONCE == count) {
        if (!spun_out && cth__spin(self, &used)) {
            found = cth__load(&event->word, acquire); // [event.A] acquire, as above
            continue;
        }
        if (!spun_out) {
            spun_out = true;
        }
        if (cth__passed(deadline)) {
            return CTH_TIMEDOUT;
        }
        const uint32_t marked = found | CTH__EVENT_SLEEPERS;
        // [event.A] acquire: after a failure the word is looked at above.
        // slack(acquire->relaxed): on success relaxed would do, but C11 wants it no weaker.
        if (found != marked && !cth__cas(&event->word, &found, marked, acquire, acquire)) {
            continue;
        }
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(event, self);
        // [event.A] acquire, as above. slack: who frees this waiter holds the bucket's lock, which
        // orders it; with acquire a later setter's work is seen too.
        found = cth__load(&event->word, acquire);
        if ((found & CTH__EVENT_SET) != 0 || found / CTH__EVENT_ONCE != count ||
            (found & CTH__EVENT_SLEEPERS) == 0) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, event, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = true,
                                     .what = "event",
                                     .object = event,
                                     .site = CTH__CALL_SITE()};
        return cth__park(self, &w, 1, &desc, NULL);
    }
    return CTH_OK;
}

CTH_API cth_status cth_event_destroy(cth_event *event) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (cth__has_waiters(event, self)) {
        return CTH_BUSY;
    }
#  ifdef CTHREADS_DEBUG
    cth__store(&event->word, CTH__EVENT_POISON, relaxed); // relaxed: nobody else may use it now
#  endif
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:latch

   The word is the count, with bit 31 while a record may be queued. The done that brings it to zero
   clears the word under the bucket lock and then claims all waiters; it no longer touches the
   latch.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__LATCH_SLEEPERS UINT32_C(0x80000000)

CTH_API cth_status cth_latch_add(cth_latch *latch, int n) {
    if (n < 0) {
        return CTH_INVALID;
    }
    // relaxed: the compare-and-swap checks the guess.
    uint32_t found = cth__load(&latch->word, relaxed);
    do {
        if ((uint32_t)n > INT32_MAX - (found & INT32_MAX)) {
            return CTH_OVERFLOW;
        }
        // [latch.C] release: as [event.C]; pairs with [latch.A]. As a read-modify-write it keeps
        // what done published.
    } while (!cth__cas(&latch->word, &found, found + (uint32_t)n, release, relaxed));
    return CTH_OK;
}

CTH_API cth_status cth_latch_done(cth_latch *latch) {
    cth__bucket *bucket = NULL;
    // relaxed: the compare-and-swap decides.
    uint32_t found = cth__load(&latch->word, relaxed);
    for (;;) {
        const uint32_t count = found & INT32_MAX;
        if (count == 0) {
            if (bucket != NULL) {
                cth__unlock(&bucket->lock);
            }
            return CTH_OVERFLOW;
        }
        if (found == (CTH__LATCH_SLEEPERS | 1) && bucket == NULL) {
            cth__self *self = cth__self_get();
            if (self == NULL) {
                return CTH_NOMEM;
            }
            bucket = cth__bucket_lock(latch, self);
        }
        // [latch.B] release: publishes to all who see zero; pairs with [latch.A]. acquire: the last
        // one also speaks for the earlier dones to those it wakes, who do not read the word.
        if (cth__cas(&latch->word, &found, count == 1 ? 0 : found - 1, acq_rel, relaxed)) {
            break;
        }
    }
    if (bucket != NULL) {
        cth__wakes wakes = {0};
        if (found == (CTH__LATCH_SLEEPERS | 1)) {
            cth__claim_all(bucket, latch, &wakes);
        }
        cth__bucket_close(bucket, &wakes);
    }
    return CTH_OK;
}

CTH_API int cth_latch_count(const cth_latch *latch) {
    // relaxed: a report on a moment that is over.
    return (int)(cth__load((cth__word *)(uintptr_t)&latch->word, relaxed) & INT32_MAX);
}

CTH_API CTH__NOINLINE cth_status cth__latch_wait_slow(cth_latch *latch, cth_time deadline) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    uint32_t used = 0;
    for (;;) {
        // [latch.A] acquire: sees what was done before the count fell; pairs with [latch.B].
        uint32_t found = cth__load(&latch->word, acquire);
        if ((found & INT32_MAX) == 0) {
            return CTH_OK;
        }
        if (deadline != 0 && (found & CTH__LATCH_SLEEPERS) == 0 && cth__spin(self, &used)) {
            continue;
        }
        if (cth__passed(deadline)) {
            return CTH_TIMEDOUT;
        }
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(latch, self);
        found = cth__load(&latch->word, relaxed); // relaxed: zero is read again above
        // relaxed: only makes the last done come to this bucket.
        while ((found & INT32_MAX) != 0 && (found & CTH__LATCH_SLEEPERS) == 0 &&
               !cth__cas(&latch->word, &found, found | CTH__LATCH_SLEEPERS, relaxed, relaxed)) {
        }
        if ((found & INT32_MAX) == 0) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, latch, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = true,
                                     .what = "latch",
                                     .object = latch,
                                     .site = CTH__CALL_SITE()};
        return cth__park(self, &w, 1, &desc, NULL);
    }
}

CTH_API cth_status cth_latch_destroy(cth_latch *latch) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    return cth__has_waiters(latch, self) ? CTH_BUSY : CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:barrier

   Everything happens under the bucket lock, so who arrives, completes or breaks is decided in one
   order. Those inside sleep on their own claims and do not look at the barrier again, which may be
   freed by the first of them to return. While an action runs the barrier is COMPLETING: the records
   of those inside have been taken out, so no deadline can end their wait, and those who come for
   the next meeting wait outside.
   ---------------------------------------------------------------------------------------------- */

enum { CTH__BARRIER_COMPLETING = 1, CTH__BARRIER_BROKEN = 2 };

// Where a queued record stands, in its `data`: counted, or waiting for an action to end.
static char cth__inside, cth__outside;

CTH_API cth_status cth_barrier_init(cth_barrier *barrier,
                                    int parties,
                                    const cth_barrier_desc *desc) {
    if (barrier == NULL || parties < 1) {
        return CTH_INVALID;
    }
    const cth_barrier fresh = CTH_BARRIER_INIT(0);
    *barrier = fresh;
    barrier->parties = (uint32_t)parties;
    if (desc != NULL) {
        barrier->action = desc->action;
        barrier->arg = desc->arg;
    }
    return CTH_OK;
}

/* Break the meeting: all inside are spoiled; `stays`: until reset. Under the bucket lock;
   afterwards the barrier may be gone, so its fields are set before. */
static void cth__barrier_break(cth_barrier *barrier,
                               cth__bucket *bucket,
                               bool stays,
                               cth__wakes *wakes) {
    if ((barrier->state & CTH__BARRIER_COMPLETING) == 0) { // else completion wins for those inside
        barrier->arrived = 0;
    }
    barrier->state &= CTH__BARRIER_COMPLETING;
    barrier->state |= stays ? CTH__BARRIER_BROKEN : 0U;
    cth__waiter *w = cth__next(bucket, NULL, barrier);
    while (w != NULL) {
        cth__waiter *next = cth__next(bucket, w, barrier);
        (void)cth__claim(bucket, w, CTH__SPOILED, wakes);
        w = next;
    }
}

/* The last to come: run the action, if any, and open the barrier. The bucket is locked. */
static cth_status cth__barrier_complete(cth_barrier *barrier, cth__bucket *bucket) {
    cth_status status = CTH_OK;
    cth__wakes wakes = {0};
    cth__bucket taken = {.head = NULL, .tail = NULL}; // the records of those inside
    cth__waiter *w;
    while ((w = cth__next(bucket, NULL, barrier)) != NULL) {
        cth__unlink(bucket, w);
        w->next = NULL;
        w->prev = taken.tail;
        *(w->prev != NULL ? &w->prev->next : &taken.head) = w;
        taken.tail = w;
    }
    if (barrier->action != NULL) {
        barrier->state |= CTH__BARRIER_COMPLETING;
        cth__unlock(&bucket->lock);
        status = barrier->action(barrier->arg);
        bucket = cth__bucket_lock(barrier, cth__tls);
    }
    barrier->arrived = 0;
    barrier->state &= CTH__BARRIER_BROKEN;
    barrier->state |= status != CTH_OK ? CTH__BARRIER_BROKEN : 0U;
    cth__claim_all(bucket, barrier, &wakes); // those outside try again
    while ((w = taken.head) != NULL) {
        (void)cth__claim(&taken, w, status == CTH_OK ? 0 : CTH__SPOILED, &wakes);
    }
    cth__bucket_close(bucket, &wakes);
    return status;
}

CTH_API cth_status cth_barrier_wait(cth_barrier *barrier, uint32_t *index) {
    return cth_barrier_wait_until(barrier, index, CTH_FOREVER);
}

CTH_API cth_status cth_barrier_wait_until(cth_barrier *barrier,
                                          uint32_t *index,
                                          cth_time deadline) {
    if (deadline < 0 || barrier->parties == 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    for (;;) {
        uint32_t place = 0;
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(barrier, self);
        if ((barrier->state & CTH__BARRIER_BROKEN) != 0) {
            cth__unlock(&bucket->lock);
            return CTH_BROKEN;
        }
        w.data = &cth__outside;
        if ((barrier->state & CTH__BARRIER_COMPLETING) == 0) {
            w.data = &cth__inside;
            place = barrier->parties - ++barrier->arrived;
            if (place == 0) {
                const cth_status status = cth__barrier_complete(barrier, bucket);
                if (status == CTH_OK && index != NULL) {
                    *index = 0;
                }
                return status;
            }
        }
        cth__enqueue(bucket, &w, barrier, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = true,
                                     .spin = true,
                                     .settle = true,
                                     .what = "barrier",
                                     .object = barrier,
                                     .site = CTH__CALL_SITE()};
        uint32_t won = 0;
        const cth_status status = cth__park(self, &w, 1, &desc, &won);
        if (status != CTH_OK) { // the bucket is locked
            cth__wakes wakes = {0};
            if (w.data == &cth__inside) {
                cth__barrier_break(barrier, bucket, true, &wakes);
            }
            cth__bucket_close(bucket, &wakes);
            return status;
        }
        if ((won & CTH__SPOILED) != 0) {
            return CTH_BROKEN;
        }
        if (w.data == &cth__inside) {
            if (index != NULL) {
                *index = place;
            }
            return CTH_OK;
        }
    }
}

static cth_status cth__barrier_spoil(cth_barrier *barrier, bool stays) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(barrier, self);
    cth__barrier_break(barrier, bucket, stays, &wakes);
    cth__bucket_close(bucket, &wakes);
    return CTH_OK;
}

CTH_API cth_status cth_barrier_reset(cth_barrier *barrier) {
    return cth__barrier_spoil(barrier, false);
}

CTH_API cth_status cth_barrier_abort(cth_barrier *barrier) {
    return cth__barrier_spoil(barrier, true);
}

CTH_API uint32_t cth_barrier_parties(const cth_barrier *barrier) {
    return barrier->parties;
}

/* One of the barrier's fields, read under the bucket lock. */
static uint32_t cth__barrier_read(cth_barrier *barrier, const uint32_t *field) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return 0;
    }
    cth__bucket *bucket = cth__bucket_lock(barrier, self);
    const uint32_t value = *field;
    cth__unlock(&bucket->lock);
    return value;
}

CTH_API uint32_t cth_barrier_waiting(cth_barrier *barrier) {
    return cth__barrier_read(barrier, &barrier->arrived);
}

CTH_API bool cth_barrier_is_broken(cth_barrier *barrier) {
    return (cth__barrier_read(barrier, &barrier->state) & CTH__BARRIER_BROKEN) != 0;
}

CTH_API cth_status cth_barrier_destroy(cth_barrier *barrier) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    return cth__has_waiters(barrier, self) || cth_barrier_waiting(barrier) != 0 ? CTH_BUSY : CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:once

   The word names the thread that runs the function, as a mutex does. Its end, done or not, is
   stored under the bucket lock if anybody may sleep, who then look at the word again.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__ONCE_DONE UINT32_C(2)

CTH_API CTH__NOINLINE cth_status cth__once_call_slow(cth_once *once,
                                                     cth_status (*fn)(void *arg),
                                                     void *arg) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    uint32_t used = 0;
    for (;;) {
        // [once.A] acquire: sees what the function did; pairs with [once.B].
        uint32_t found = cth__load(&once->word, acquire);
        if (found == CTH__ONCE_DONE) {
            return CTH_OK;
        }
        if (found == 0) {
            // [once.A] acquire: sees what a run that failed did; pairs with [once.B].
            if (!cth__cas(&once->word, &found, self->me, acquire, relaxed)) {
                continue;
            }
            const cth_status status = fn(arg);
            const uint32_t end = status == CTH_OK ? CTH__ONCE_DONE : 0;
            found = self->me;
            // [once.B] release: publishes what the function did; pairs with [once.A].
            if (!cth__cas(&once->word, &found, end, release, relaxed)) {
                cth__wakes wakes = {0};
                cth__bucket *bucket = cth__bucket_lock(once, self);
                cth__store(&once->word, end, release); // [once.B] release, as above
                cth__claim_all(bucket, once, &wakes);
                cth__bucket_close(bucket, &wakes);
            }
            return status;
        }
        if ((found & CTH__OWNER) == self->me) {
            return CTH_DEADLOCK;
        }
        if ((found & CTH__SLEEPERS) == 0) {
            if (cth__spin(self, &used)) {
                continue;
            }
            // relaxed: only makes the runner come to the bucket.
            if (!cth__cas(&once->word, &found, found | CTH__SLEEPERS, relaxed, relaxed)) {
                continue;
            }
        }
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(once, self);
        found = cth__load(&once->word, relaxed); // relaxed: read again above
        if ((found & CTH__SLEEPERS) == 0) {
            cth__unlock(&bucket->lock);
            continue;
        }
        cth__enqueue(bucket, &w, once, self, 0);
        cth__unlock(&bucket->lock);
        const cth__wait_desc desc = {.deadline = CTH_FOREVER,
                                     .what = "once",
                                     .object = once,
                                     .owner = &once->word,
                                     .site = CTH__CALL_SITE()};
        (void)cth__park(self, &w, 1, &desc, NULL);
    }
}

/* -------------------------------------------------------------------------------------------------
   >>impl:scoped
   ---------------------------------------------------------------------------------------------- */

static void cth__scope_end(cth_status status, const char *what) {
    if (status != CTH_OK) {
        cth__panic_status(what, status);
    }
}

static void cth__scope_leave_rmutex(void *lock) {
    cth__scope_end(cth_rmutex_unlock((cth_rmutex *)lock), "end of CTH_WITH on an rmutex");
}

CTH_API cth__scope cth__scope_rmutex(cth_rmutex *lock) {
    const cth__scope scope = {lock, cth__scope_leave_rmutex, false};
    cth__scope_end(cth_rmutex_lock(lock), "CTH_WITH on an rmutex");
    return scope;
}

static void cth__scope_leave_read(void *lock) {
    cth__scope_end(cth_rwlock_read_unlock((cth_rwlock *)lock), "end of CTH_WITH_READ");
}

CTH_API cth__scope cth__scope_read(cth_rwlock *lock) {
    const cth__scope scope = {lock, cth__scope_leave_read, false};
    cth__scope_end(cth_rwlock_read_lock(lock), "CTH_WITH_READ");
    return scope;
}

static void cth__scope_leave_write(void *lock) {
    cth__scope_end(cth_rwlock_write_unlock((cth_rwlock *)lock), "end of CTH_WITH_WRITE");
}

CTH_API cth__scope cth__scope_write(cth_rwlock *lock) {
    const cth__scope scope = {lock, cth__scope_leave_write, false};
    cth__scope_end(cth_rwlock_write_lock(lock), "CTH_WITH_WRITE");
    return scope;
}

static void cth__scope_leave_sem(void *lock) {
    cth__scope_end(cth_sem_release((cth_sem *)lock), "end of CTH_WITH on a semaphore");
}

CTH_API cth__scope cth__scope_sem(cth_sem *lock) {
    const cth__scope scope = {lock, cth__scope_leave_sem, false};
    cth__scope_end(cth__sem_take(lock, CTH_FOREVER, false, CTH__CALL_SITE()),
                   "CTH_WITH on a semaphore");
    return scope;
}

CTH_API cth__all cth__all_enter(const cth__all_item *items, size_t n) {
    cth__all all = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < all.n && (uintptr_t)all.items[at].lock < (uintptr_t)items[i].lock) {
            at++;
        }
        if (at == all.n || all.items[at].lock != items[i].lock) {
            memmove(&all.items[at + 1], &all.items[at], (all.n - at) * sizeof all.items[0]);
            all.items[at] = items[i];
            all.n++;
        }
    }
    for (size_t i = 0; i < all.n; i++) {
        void *lock = all.items[i].lock;
        cth__scope_end(all.items[i].kind == 0   ? cth_mutex_lock((cth_mutex *)lock)
                       : all.items[i].kind == 1 ? cth_rmutex_lock((cth_rmutex *)lock)
                                                : cth_rwlock_write_lock((cth_rwlock *)lock),
                       "CTH_WITH_ALL");
    }
    return all;
}

CTH_API void cth__all_leave(cth__all *all) {
    for (size_t i = all->n; i > 0; i--) {
        void *lock = all->items[i - 1].lock;
        cth__scope_end(all->items[i - 1].kind == 0   ? cth_mutex_unlock((cth_mutex *)lock)
                       : all->items[i - 1].kind == 1 ? cth_rmutex_unlock((cth_rmutex *)lock)
                                                     : cth_rwlock_write_unlock((cth_rwlock *)lock),
                       "end of CTH_WITH_ALL");
    }
    all->done = true;
}

CTH_API bool cth__undo_enter(cth__undo *undo, void *object, void *saved, size_t size) {
    undo->object = object;
    undo->saved = saved;
    undo->size = size;
    cth__self *self = cth__self_get();
    if (self == NULL) { // only under an mtx_t: the other locks have given the thread its record
        cth__panic_status("CTH_ATOMICALLY", CTH_NOMEM);
    }
    undo->outer = self->undo;
    self->undo = undo;
    memcpy(saved, object, size);
    return true;
}

CTH_API void cth__undo_leave(void *p) {
    cth__undo *undo = (cth__undo *)p;
    cth__tls->undo = undo->outer;
    if (undo->rollback) {
        memcpy(undo->object, undo->saved, undo->size);
    }
    cth__scope_leave(&undo->scope);
    undo->done = true;
}

CTH_API void cth__undo_mark(void) {
    if (cth__tls == NULL || cth__tls->undo == NULL) {
        cth__panic("CTH_ROLLBACK outside of CTH_ATOMICALLY");
    }
    cth__tls->undo->rollback = true;
}

#  if CTH__HAS_THREADS_H
static void cth__scope_leave_mtx(void *lock) {
    cth__order_by(lock, release);
    if (mtx_unlock((mtx_t *)lock) != thrd_success) {
        cth__panic_status("end of CTH_WITH on an mtx_t", CTH_INVALID);
    }
}

CTH_API cth__scope cth__scope_mtx(mtx_t *lock) {
    const cth__scope scope = {lock, cth__scope_leave_mtx, false};
#    ifdef CTHREADS_SIM
    // It must not block the thread that has the baton.
    int result;
    while ((result = mtx_trylock(lock)) == thrd_busy) {
        cth_yield();
    }
    cth__order_by(lock, acquire);
#    else
    const int result = mtx_lock(lock);
#    endif
    if (result != thrd_success) {
        cth__panic_status("CTH_WITH on an mtx_t", CTH_INVALID);
    }
    return scope;
}
#  endif

/* -------------------------------------------------------------------------------------------------
   >>impl:timer

   The lock `timers` guards the heap of pending timers and which one runs. It is a pairing heap
   (Fredman, Sedgewick, Sleator and Tarjan 1986) of the timers themselves: `child` is the first of
   those below, `next` the one beside, `prev` the one before it or above. Equal due times run in the
   order they were set.

   The service thread ends, under that lock, when the heap is empty. While a function runs
   `timer_now` is its timer. Afterwards the timer is touched only if it repeats and its function has
   neither cancelled nor set it (`timer_left`), for then it may be gone; or if somebody waits in
   cancel, who keeps it. Order: timers, then registry, then a bucket.
   ---------------------------------------------------------------------------------------------- */

enum { CTH__TIMER_PENDING = 1, CTH__TIMER_RUNS = 2 }; // `state`

static bool cth__timer_before(const cth_timer *a, const cth_timer *b) {
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

/* Make one heap of two, either may be NULL. */
static cth_timer *cth__timer_meld(cth_timer *a, cth_timer *b) {
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    if (cth__timer_before(b, a)) {
        cth_timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next != NULL) {
        b->next->prev = b;
    }
    b->prev = a;
    a->child = b;
    return a;
}

/* Make one heap of a list of heaps linked by `next`: in pairs, then the pairs from the last one. */
static cth_timer *cth__timer_meld_list(cth_timer *list) {
    cth_timer *pairs = NULL;
    while (list != NULL) {
        cth_timer *a = list;
        cth_timer *b = a->next;
        list = b != NULL ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b != NULL) {
            b->next = b->prev = NULL;
        }
        a = cth__timer_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    cth_timer *heap = NULL;
    while (pairs != NULL) {
        cth_timer *next = pairs->next;
        pairs->next = NULL;
        heap = cth__timer_meld(heap, pairs);
        pairs = next;
    }
    if (heap != NULL) {
        heap->prev = NULL;
    }
    return heap;
}

static void cth__timer_insert(cth_timer *timer) {
    CTH_SIM_WRITE(*timer);
    timer->child = timer->next = timer->prev = NULL;
    timer->order = cth__g.timer_order++;
    timer->state |= CTH__TIMER_PENDING;
    cth__g.timer_root = cth__timer_meld(cth__g.timer_root, timer);
}

static void cth__timer_remove(cth_timer *timer) {
    CTH_SIM_WRITE(*timer);
    cth_timer *below = cth__timer_meld_list(timer->child);
    if (timer == cth__g.timer_root) {
        cth__g.timer_root = below;
    } else {
        *(timer->prev->child == timer ? &timer->prev->child : &timer->prev->next) = timer->next;
        if (timer->next != NULL) {
            timer->next->prev = timer->prev;
        }
        cth__g.timer_root = cth__timer_meld(cth__g.timer_root, below);
    }
    timer->state &= ~(uint32_t)CTH__TIMER_PENDING;
}

/* Sleep until the first timer is due or the heap has another first one; under the lock, which is
   let go of meanwhile. */
static void cth__timer_sleep(cth__self *self, cth_time due) {
    cth__waiter w;
    cth__bucket *bucket = cth__bucket_lock(&cth__g.timer_root, self);
    cth__enqueue(bucket, &w, &cth__g.timer_root, self, 0);
    cth__unlock(&bucket->lock);
    cth__unlock(&cth__g.timers);
    const cth__wait_desc desc = {
        .deadline = due, .what = "timer", .object = &cth__g.timer_root, .site = CTH__CALL_SITE()};
    (void)cth__park(self, &w, 1, &desc, NULL);
    cth__lock(&cth__g.timers, self);
}

/* The service thread. */
static cth_status cth__timer_main(void *arg) {
    cth__self *self = cth__tls;
    (void)arg;
    cth__lock(&cth__g.timers, self);
    for (;;) {
        cth_timer *timer = cth__g.timer_root;
        if (timer == NULL) {
            cth__g.timer_service = NULL;
            cth__unlock(&cth__g.timers);
            return CTH_OK;
        }
        if (!cth__passed(timer->due)) {
            cth__timer_sleep(self, timer->due);
            continue;
        }
        cth__timer_remove(timer);
        timer->state = CTH__TIMER_RUNS;
        timer->runs++;
        cth__g.timer_now = timer;
        const uint32_t generation = cth__g.generation;
        const cth_timer_fn fn = timer->fn;
        void *fn_arg = timer->arg;
        const bool again = timer->period != 0;
        cth__unlock(&cth__g.timers);
        self->error[0] = '\0';
        const cth_status status = fn(fn_arg);
        if (status != CTH_OK) {
            cth__hook_call(self->thread, status,
                           self->error[0] != '\0' ? self->error : cth_status_text(status));
        }
        cth__lock(&cth__g.timers, self);
        if (cth__g.generation != generation) {
            cth__unlock(&cth__g.timers);
            return CTH_OK; // the function forked: in the child this thread serves no timer
        }
        // A timer that runs once, or that its function has cancelled, may be gone by now, unless
        // somebody waits in cancel.
        if (cth__g.timer_cancels != 0) {
            if ((timer->state & CTH__TIMER_PENDING) != 0) {
                cth__timer_remove(timer); // its function has set it again, in vain
            }
        } else if (again && !cth__g.timer_left && status == CTH_OK) {
            const cth_time late = cth__clock() - timer->due;
            const cth_time skipped = late < 0 ? 0 : late / timer->period;
            timer->due = cth__sum(timer->due + skipped * timer->period, timer->period);
            timer->state = 0;
            cth__timer_insert(timer);
        }
        cth__g.timer_now = NULL;
        cth__g.timer_left = false;
        cth__g.timer_cancels = 0;
        cth__signal_all(&cth__g.timer_now, self);
    }
}

/* Under the lock. What it says counts in this process only, and RUNS only during the run. */
static uint32_t cth__timer_state(const cth_timer *timer) {
    const uint32_t state = timer->generation == cth__g.generation + 1 ? timer->state : 0;
    return cth__g.timer_now == timer ? state : state & CTH__TIMER_PENDING;
}

static cth_status cth__timer_set(cth_timer *timer,
                                 cth_time span,
                                 cth_time period,
                                 cth_timer_fn fn,
                                 void *arg) {
    if (timer == NULL || fn == NULL || span < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__lock(&cth__g.timers, self);
    const uint32_t state = cth__timer_state(timer);
    if ((state & CTH__TIMER_PENDING) != 0 ||
        ((state & CTH__TIMER_RUNS) != 0 && cth__g.timer_service != self->thread)) {
        cth__unlock(&cth__g.timers);
        return CTH_BUSY;
    }
    cth_status status = CTH_OK;
    if (cth__g.timer_service == NULL) {
        cth_thread *thread;
        status = cth_thread_spawn(&thread, cth__timer_main, NULL,
                                  &(cth_thread_desc){.name = "cth-timer", .daemon = true});
        if (status == CTH_OK) {
            cth__g.timer_service = thread; // a name for it only
            cth_thread_release(thread);
        }
    }
    if (status == CTH_OK) {
        if ((state & CTH__TIMER_RUNS) != 0) {
            cth__g.timer_left = true;
        }
        timer->state = state;
        timer->fn = fn;
        timer->arg = arg;
        timer->due = cth_after(span);
        timer->period = period;
        timer->runs = 0;
        timer->generation = cth__g.generation + 1;
        cth__timer_insert(timer);
        if (cth__g.timer_root == timer) {
            cth__signal_all(&cth__g.timer_root, self);
        }
    }
    cth__unlock(&cth__g.timers);
    return status;
}

CTH_API cth_status cth_timer_after(cth_timer *timer, cth_time span, cth_timer_fn fn, void *arg) {
    return cth__timer_set(timer, span, 0, fn, arg);
}

CTH_API cth_status cth_timer_every(cth_timer *timer, cth_time period, cth_timer_fn fn, void *arg) {
    return period <= 0 ? CTH_INVALID : cth__timer_set(timer, period, period, fn, arg);
}

CTH_API cth_status cth_timer_cancel(cth_timer *timer, uint64_t *runs) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__lock(&cth__g.timers, self);
    if ((cth__timer_state(timer) & CTH__TIMER_PENDING) != 0) {
        const bool first = cth__g.timer_root == timer;
        cth__timer_remove(timer);
        if (first) { // the service sleeps for it, or has nothing more to do
            cth__signal_all(&cth__g.timer_root, self);
        }
    }
    if (runs != NULL) {
        *runs = timer->runs;
    }
    while ((cth__timer_state(timer) & CTH__TIMER_RUNS) != 0) {
        if (cth__g.timer_service == self->thread) {
            cth__g.timer_left = true;
            break;
        }
        cth__g.timer_cancels++;
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(&cth__g.timer_now, self);
        cth__enqueue(bucket, &w, &cth__g.timer_now, self, 0);
        cth__unlock(&bucket->lock);
        cth__unlock(&cth__g.timers);
        const cth__wait_desc desc = {.deadline = CTH_FOREVER,
                                     .what = "end of a timer's function",
                                     .object = timer,
                                     .site = CTH__CALL_SITE()};
        (void)cth__park(self, &w, 1, &desc, NULL);
        cth__lock(&cth__g.timers, self);
    }
    cth__unlock(&cth__g.timers);
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:queue

   word: number of elements << 3, and these flags

       GETTERS   a thread may be queued in the bucket for an element
       PUTTERS   the same, for room
       SHUT      shut down

   The number changes under the mutex, the first two flags under the bucket lock, SHUT under both. A
   thread sets its flag only while the number says that it must wait, by compare-and-swap; who
   changes the number sees the flag in what its add returns. So no wake is lost, and select, which
   may not take the mutex under the bucket lock, can wait too. `puts` counts, for the stamp that
   select needs. A woken thread comes back for the mutex, so who wakes it may touch the queue until
   it unlocks that.

   Keys in the bucket of the queue: &word for getters, &puts for putters, &unfinished for join.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__GETTERS     UINT32_C(1)
#  define CTH__PUTTERS     UINT32_C(2)
#  define CTH__SHUT        UINT32_C(4)
#  define CTH__ELEMENT     UINT32_C(8)
#  define CTH__QUEUE_MAX   ((size_t)1 << 28)
#  define CTH__QUEUE_LEAST 8 // elements in the first array of a queue without a bound

/* Bytes from one element to the next: a priority queue has the element's number behind it. */
static size_t cth__queue_stride(const cth_queue *queue) {
    return queue->desc.order == CTH_PRIORITY ? ((queue->size + 23) & ~(size_t)15) : queue->size;
}

static unsigned char *cth__queue_at(const cth_queue *queue, size_t index) {
    return queue->slots + index * cth__queue_stride(queue);
}

/* Where the i-th element from `first` is, which moves in a FIFO queue only. */
static unsigned char *cth__queue_place(const cth_queue *queue, size_t i) {
    const size_t index = queue->first + i;
    return cth__queue_at(queue, index < queue->room ? index : index - queue->room);
}

/* An array for `room` elements, and one place more to move them; NULL when memory is lacking. */
static unsigned char *cth__queue_array(const cth_queue *queue, size_t room) {
    const size_t stride = cth__queue_stride(queue);
    return (unsigned char *)cth__alloc((room + 1) * (stride != 0 ? stride : 1), false);
}

static cth_status cth__queue_grow(cth_queue *queue, size_t count) {
    const size_t room = queue->room == 0 ? CTH__QUEUE_LEAST : queue->room * 2;
    const size_t stride = cth__queue_stride(queue);
    if (room > CTH__QUEUE_MAX || (stride != 0 && room > SIZE_MAX / 2 / stride)) {
        return CTH_NOMEM;
    }
    unsigned char *slots = cth__queue_array(queue, room);
    if (slots == NULL) {
        return CTH_NOMEM;
    }
    const size_t to_end = queue->room - queue->first;
    const size_t straight = count < to_end ? count : to_end;
    if (queue->slots != NULL) {
        memcpy(slots, cth__queue_at(queue, queue->first), straight * stride);
        memcpy(slots + straight * stride, queue->slots, (count - straight) * stride);
        cth__free(queue->slots);
    }
    queue->slots = slots;
    queue->room = room;
    queue->first = 0;
    return CTH_OK;
}

static uint64_t cth__queue_number(const cth_queue *queue, const unsigned char *element) {
    uint64_t number;
    memcpy(&number, element + cth__queue_stride(queue) - sizeof number, sizeof number);
    return number;
}

/* Tell whether *a comes out before *b. */
static bool cth__queue_before(const cth_queue *queue,
                              const unsigned char *a,
                              const unsigned char *b) {
    const int order = queue->desc.compare(a, b, queue->desc.arg);
    return order < 0 || (order == 0 && cth__queue_number(queue, a) < cth__queue_number(queue, b));
}

/* Put an element into the array, which has room. */
static void cth__queue_insert(cth_queue *queue, const void *element, size_t count) {
    if (queue->desc.order != CTH_PRIORITY) {
        cth__copy(cth__queue_place(queue, count), element, queue->size);
        return;
    }
    const size_t stride = cth__queue_stride(queue);
    unsigned char *fresh = cth__queue_at(queue, queue->room);
    cth__copy(fresh, element, queue->size);
    memcpy(fresh + stride - sizeof queue->order_next, &queue->order_next, sizeof queue->order_next);
    queue->order_next++;
    size_t at = count;
    while (at > 0) {
        const size_t above = (at - 1) / 2;
        if (!cth__queue_before(queue, fresh, cth__queue_at(queue, above))) {
            break;
        }
        memcpy(cth__queue_at(queue, at), cth__queue_at(queue, above), stride);
        at = above;
    }
    memcpy(cth__queue_at(queue, at), fresh, stride);
}

/* The element that comes out next; there is one. */
static unsigned char *cth__queue_front(const cth_queue *queue, size_t count) {
    return queue->desc.order == CTH_LIFO       ? cth__queue_at(queue, count - 1)
           : queue->desc.order == CTH_PRIORITY ? queue->slots
                                               : cth__queue_at(queue, queue->first);
}

/* Take out the element at the front. */
static void cth__queue_remove(cth_queue *queue, size_t count) {
    if (queue->desc.order == CTH_FIFO) {
        queue->first = queue->first + 1 < queue->room ? queue->first + 1 : 0;
        return;
    }
    if (queue->desc.order == CTH_LIFO) {
        return;
    }
    const size_t stride = cth__queue_stride(queue);
    const size_t last = count - 1;
    size_t at = 0;
    for (;;) {
        size_t below = 2 * at + 1;
        if (below >= last) {
            break;
        }
        if (below + 1 < last && cth__queue_before(queue, cth__queue_at(queue, below + 1),
                                                  cth__queue_at(queue, below))) {
            below++;
        }
        if (!cth__queue_before(queue, cth__queue_at(queue, below), cth__queue_at(queue, last))) {
            break;
        }
        memcpy(cth__queue_at(queue, at), cth__queue_at(queue, below), stride);
        at = below;
    }
    memmove(cth__queue_at(queue, at), cth__queue_at(queue, last), stride);
}

CTH_API cth_status cth_queue_init(cth_queue *queue,
                                  size_t size,
                                  size_t bound,
                                  const cth_queue_desc *desc) {
    static const cth_queue_desc defaults = {CTH_FIFO, NULL, NULL, NULL};
    desc = desc != NULL ? desc : &defaults;
    if (queue == NULL || bound > CTH__QUEUE_MAX || size > SIZE_MAX / 2 - 16 ||
        (desc->order == CTH_PRIORITY && desc->compare == NULL) || desc->order > CTH_PRIORITY) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    cth_queue fresh;
    memset(&fresh, 0, sizeof fresh);
    fresh.size = size;
    fresh.bound = bound;
    fresh.desc = *desc;
    cth__store(&fresh.generation, cth__g.generation + 1, relaxed); // relaxed: not shared yet
    if (bound != 0) {
        const size_t stride = cth__queue_stride(&fresh);
        if (stride != 0 && bound + 1 > SIZE_MAX / 2 / stride) {
            return CTH_INVALID;
        }
        fresh.slots = cth__queue_array(&fresh, bound);
        fresh.room = bound;
        if (fresh.slots == NULL) {
            return CTH_NOMEM;
        }
    }
    memcpy(queue, &fresh, sizeof fresh);
    return CTH_OK;
}

/* Tell whether the queue was used before the fork that made this process. */
static bool cth__queue_of_parent(cth_queue *queue) {
    // relaxed: set before the fork, or by this process.
    const uint32_t generation = cth__load(&queue->generation, relaxed);
    return generation != 0 && generation != cth__g.generation + 1;
}

/* Lock the queue. */
static cth_status cth__queue_lock(cth_queue *queue, cth__self *self) {
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (cth__queue_of_parent(queue)) {
        return CTH_FORKED;
    }
    // relaxed, twice: only in the child of a fork does it matter. Nobody there unlocks what was
    // locked here, so it is noted before.
    if (cth__load(&queue->generation, relaxed) == 0) {
        cth__store(&queue->generation, cth__g.generation + 1, relaxed); // relaxed: as above
    }
    const cth_status status = cth_mutex_lock(&queue->mutex);
    if (status != CTH_OK) {
        return status == CTH_DEADLOCK ? CTH_INVALID : status; // from within a comparison
    }
    CTH_SIM_WRITE(queue->unfinished);
    return CTH_OK;
}

static void cth__queue_unlock(cth_queue *queue, cth__wakes *wakes) {
    CTH_SIM_WRITE(queue->unfinished);
    (void)cth_mutex_unlock(&queue->mutex);
    cth__wake_all(wakes);
}

/* Wake one of those whose flag was in the word when the number of elements changed. */
static void cth__queue_wake(cth_queue *queue,
                            uint32_t flag,
                            const void *key,
                            cth__self *self,
                            cth__wakes *wakes) {
    cth__bucket *bucket = cth__bucket_lock(queue, self);
    if (!cth__wake_some(bucket, key, 1, wakes)) {
        (void)cth__and(&queue->word, ~flag, relaxed); // relaxed: under the bucket lock
    }
    cth__unlock(&bucket->lock);
}

/* Under the bucket lock: set `flag` if a get (or a put) has to wait. */
static bool cth__queue_must_wait(cth_queue *queue, uint32_t flag) {
    // relaxed, twice: the bucket lock orders it with those who look for the flag.
    uint32_t found = cth__load(&queue->word, relaxed);
    do {
        const size_t count = found / CTH__ELEMENT;
        if ((found & CTH__SHUT) != 0 ||
            (flag == CTH__GETTERS ? count != 0 : queue->bound == 0 || count < queue->bound)) {
            return false;
        }
        // relaxed: as above
    } while (!cth__cas(&queue->word, &found, found | flag, relaxed, relaxed));
    return true;
}

/* Wait until a get (or a put) may be tried again; a status other than CTH_OK ends the call. */
static cth_status cth__queue_wait(cth_queue *queue,
                                  uint32_t flag,
                                  const void *key,
                                  cth__self *self,
                                  uint32_t *used,
                                  cth_time deadline,
                                  void *site) {
    while (deadline != 0) {
        // relaxed: looked at again with the mutex.
        const uint32_t found = cth__load(&queue->word, relaxed);
        if ((found & (flag | CTH__SHUT)) != 0 ||
            (flag == CTH__GETTERS ? found >= CTH__ELEMENT : found / CTH__ELEMENT < queue->bound)) {
            break;
        }
        if (!cth__spin(self, used)) {
            break;
        }
    }
    if (cth__passed(deadline)) {
        return CTH_TIMEDOUT;
    }
    cth__waiter w;
    cth__bucket *bucket = cth__bucket_lock(queue, self);
    if (!cth__queue_must_wait(queue, flag)) {
        cth__unlock(&bucket->lock);
        return CTH_OK;
    }
    cth__enqueue(bucket, &w, key, self, 0);
    cth__unlock(&bucket->lock);
    const cth__wait_desc desc = {.deadline = deadline,
                                 .cancellable = true,
                                 .what = flag == CTH__GETTERS ? "queue (get)" : "queue (put)",
                                 .object = queue,
                                 .site = site};
    *used = 0;
    return cth__park(self, &w, 1, &desc, NULL);
}

static cth_status cth__queue_put(cth_queue *queue,
                                 const void *element,
                                 cth_time deadline,
                                 void *site) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    uint32_t used = 0;
    for (;;) {
        cth__wakes wakes = {0};
        cth_status status = cth__queue_lock(queue, self);
        if (status != CTH_OK) {
            return status;
        }
        // relaxed: the number changes under the mutex.
        const uint32_t found = cth__load(&queue->word, relaxed);
        const size_t count = found / CTH__ELEMENT;
        const bool full = queue->bound != 0 && count >= queue->bound;
        if ((found & CTH__SHUT) != 0) {
            status = CTH_SHUTDOWN;
        } else if (!full && count == queue->room) {
            status = cth__queue_grow(queue, count);
        }
        if (status == CTH_OK && !full) {
            cth__queue_insert(queue, element, count);
            queue->unfinished++;
            // relaxed: ordered by the mutex, and for select by the next one.
            const uint32_t before = cth__add(&queue->word, CTH__ELEMENT, relaxed);
            // [queue.A] release: who sees it sees the element; pairs with [queue.B].
            (void)cth__add(&queue->puts, 1, release);
            if ((before & CTH__GETTERS) != 0) {
                cth__queue_wake(queue, CTH__GETTERS, &queue->word, self, &wakes);
            }
        }
        cth__queue_unlock(queue, &wakes);
        if (status != CTH_OK || !full) {
            return status;
        }
        status = cth__queue_wait(queue, CTH__PUTTERS, &queue->puts, self, &used, deadline, site);
        if (status != CTH_OK) {
            return status;
        }
    }
}

static cth_status cth__queue_get(cth_queue *queue, void *element, cth_time deadline, void *site) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    uint32_t used = 0;
    for (;;) {
        cth__wakes wakes = {0};
        cth_status status = cth__queue_lock(queue, self);
        if (status != CTH_OK) {
            return status;
        }
        // relaxed: the number changes under the mutex.
        const uint32_t found = cth__load(&queue->word, relaxed);
        const size_t count = found / CTH__ELEMENT;
        if (count != 0) {
            cth__copy(element, cth__queue_front(queue, count), queue->size);
            cth__queue_remove(queue, count);
            // [queue.A] release: who sees it sees the puts before; pairs with [queue.B].
            const uint32_t before = cth__sub(&queue->word, CTH__ELEMENT, release);
            if ((before & CTH__PUTTERS) != 0) {
                cth__queue_wake(queue, CTH__PUTTERS, &queue->puts, self, &wakes);
            }
        } else if ((found & CTH__SHUT) != 0) {
            status = CTH_SHUTDOWN;
        }
        cth__queue_unlock(queue, &wakes);
        if (status != CTH_OK || count != 0) {
            return status;
        }
        status = cth__queue_wait(queue, CTH__GETTERS, &queue->word, self, &used, deadline, site);
        if (status != CTH_OK) {
            return status;
        }
    }
}

CTH_API cth_status cth_queue_put(cth_queue *queue, const void *element) {
    return cth__queue_put(queue, element, CTH_FOREVER, CTH__CALL_SITE());
}

CTH_API cth_status cth_queue_try_put(cth_queue *queue, const void *element) {
    const cth_status status = cth__queue_put(queue, element, 0, NULL);
    return status == CTH_TIMEDOUT ? CTH_FULL : status;
}

CTH_API cth_status cth_queue_put_until(cth_queue *queue, const void *element, cth_time deadline) {
    return cth__queue_put(queue, element, deadline, CTH__CALL_SITE());
}

CTH_API cth_status cth_queue_get(cth_queue *queue, void *element) {
    return cth__queue_get(queue, element, CTH_FOREVER, CTH__CALL_SITE());
}

CTH_API cth_status cth_queue_try_get(cth_queue *queue, void *element) {
    const cth_status status = cth__queue_get(queue, element, 0, NULL);
    return status == CTH_TIMEDOUT ? CTH_EMPTY : status;
}

CTH_API cth_status cth_queue_get_until(cth_queue *queue, void *element, cth_time deadline) {
    return cth__queue_get(queue, element, deadline, CTH__CALL_SITE());
}

CTH_API cth_status cth_queue_peek(cth_queue *queue, void *element) {
    cth__wakes wakes = {0};
    cth_status status = cth__queue_lock(queue, cth__self_get());
    if (status == CTH_OK) {
        // relaxed: the number changes under the mutex.
        const size_t count = cth__load(&queue->word, relaxed) / CTH__ELEMENT;
        if (count != 0) {
            cth__copy(element, cth__queue_front(queue, count), queue->size);
        } else {
            status = CTH_EMPTY;
        }
        cth__queue_unlock(queue, &wakes);
    }
    return status;
}

CTH_API size_t cth_queue_size(const cth_queue *queue) {
    // relaxed: a report on a moment that is over.
    return cth__load((cth__word *)(uintptr_t)&queue->word, relaxed) / CTH__ELEMENT;
}

CTH_API bool cth_queue_is_empty(const cth_queue *queue) {
    return cth_queue_size(queue) == 0;
}

CTH_API bool cth_queue_is_full(const cth_queue *queue) {
    return queue->bound != 0 && cth_queue_size(queue) >= queue->bound;
}

/* `n` elements are done; under the mutex. */
static void cth__queue_done(cth_queue *queue, size_t n, cth__self *self, cth__wakes *wakes) {
    queue->unfinished -= n;
    if (queue->unfinished == 0) {
        cth__bucket *bucket = cth__bucket_lock(queue, self);
        cth__claim_all(bucket, &queue->unfinished, wakes);
        cth__unlock(&bucket->lock);
    }
}

CTH_API cth_status cth_queue_task_done(cth_queue *queue) {
    cth__self *self = cth__self_get();
    cth__wakes wakes = {0};
    cth_status status = cth__queue_lock(queue, self);
    if (status == CTH_OK) {
        if (queue->unfinished == 0) {
            status = CTH_OVERFLOW;
        } else {
            cth__queue_done(queue, 1, self, &wakes);
        }
        cth__queue_unlock(queue, &wakes);
    }
    return status;
}

static cth_status cth__queue_join(cth_queue *queue, cth_time deadline, void *site) {
    if (deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    for (;;) {
        cth__wakes wakes = {0};
        cth__waiter w;
        cth_status status = cth__queue_lock(queue, self);
        if (status != CTH_OK) {
            return status;
        }
        const bool waits = queue->unfinished != 0;
        if (waits && cth__passed(deadline)) {
            status = CTH_TIMEDOUT;
        } else if (waits) {
            cth__bucket *bucket = cth__bucket_lock(queue, self);
            cth__enqueue(bucket, &w, &queue->unfinished, self, 0);
            cth__unlock(&bucket->lock);
        }
        cth__queue_unlock(queue, &wakes);
        if (status != CTH_OK || !waits) {
            return status;
        }
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = true,
                                     .what = "queue (join)",
                                     .object = queue,
                                     .site = site};
        status = cth__park(self, &w, 1, &desc, NULL);
        if (status == CTH_CANCELLED) {
            return status;
        }
    }
}

CTH_API cth_status cth_queue_join(cth_queue *queue) {
    return cth__queue_join(queue, CTH_FOREVER, CTH__CALL_SITE());
}

CTH_API cth_status cth_queue_join_until(cth_queue *queue, cth_time deadline) {
    return cth__queue_join(queue, deadline, CTH__CALL_SITE());
}

/* Call the drop function for `count` elements that stand in the array of `queue`, and free it. */
static void cth__queue_drop(cth_queue *queue, size_t count) {
    for (size_t i = 0; i < count && queue->desc.drop != NULL; i++) {
        queue->desc.drop(cth__queue_place(queue, i), queue->desc.arg);
    }
    if (queue->slots != NULL) {
        cth__free(queue->slots);
    }
}

CTH_API cth_status cth_queue_shutdown(cth_queue *queue, cth_shutdown how) {
    if (how != CTH_DRAIN && how != CTH_NOW) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    cth__wakes wakes = {0};
    const cth_status status = cth__queue_lock(queue, self);
    if (status != CTH_OK) {
        return status;
    }
    cth_queue dropped = {.size = queue->size, .desc = queue->desc};
    size_t count = 0;
    // relaxed: the number changes under the mutex.
    if (how == CTH_NOW) {
        count = cth__load(&queue->word, relaxed) / CTH__ELEMENT; // relaxed: as above
        dropped.slots = queue->slots; // a copy of all would read words that others change
        dropped.room = queue->room;
        dropped.first = queue->first;
        queue->slots = NULL; // nothing will be put any more
        queue->room = queue->first = 0;
        cth__queue_done(queue, count < queue->unfinished ? count : queue->unfinished, self, &wakes);
    }
    cth__bucket *bucket = cth__bucket_lock(queue, self);
    // relaxed, three times: the mutex and the bucket lock order it.
    (void)cth__or(&queue->word, CTH__SHUT, relaxed);
    (void)cth__and(&queue->word, ~(CTH__GETTERS | CTH__PUTTERS), relaxed);
    (void)cth__sub(&queue->word, (uint32_t)count * CTH__ELEMENT, relaxed);
    cth__claim_all(bucket, &queue->word, &wakes);
    cth__claim_all(bucket, &queue->puts, &wakes);
    cth__unlock(&bucket->lock);
    cth__queue_unlock(queue, &wakes);
    if (how == CTH_NOW) {
        cth__queue_drop(&dropped, count);
    }
    return CTH_OK;
}

CTH_API cth_status cth_queue_destroy(cth_queue *queue) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__bucket *bucket = cth__bucket_lock(queue, self);
    const bool waits = cth__next(bucket, NULL, &queue->word) != NULL ||
                       cth__next(bucket, NULL, &queue->puts) != NULL ||
                       cth__next(bucket, NULL, &queue->unfinished) != NULL;
    cth__unlock(&bucket->lock);
    if (waits) {
        return CTH_BUSY;
    }
    if (!cth__queue_of_parent(queue)) {
        // The put of the last element may still be on its way out of the lock.
        if (cth_mutex_lock(&queue->mutex) != CTH_OK) {
            return CTH_BUSY;
        }
        (void)cth_mutex_unlock(&queue->mutex);
    }
    // relaxed: nobody else may use it now.
    cth__queue_drop(queue, cth__load(&queue->word, relaxed) / CTH__ELEMENT);
    memset(queue, 0, sizeof *queue);
#  ifdef CTHREADS_DEBUG
    (void)cth_mutex_destroy(&queue->mutex);
#  endif
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:chan

   A channel with memory has two sides, `rear` where values go in and `front` where they come out.
   Each word is a position, which counts the values that went by, and three flags:

       LOCKED     a thread works at this side
       SLEEPERS   rear: receivers may be queued in the bucket; front: senders
       CLOSED     rear only

   Whoever sends locks the rear by compare-and-swap, copies the value in, and by one store moves the
   position on, publishes the value and unlocks. As long as a side is locked nobody else changes its
   word, so a store is enough; and what the position says is complete: no value is half there.
   What stands beside the word is under its lock. `till` is how far the side may go by its last look
   at the other one (the front as far as the rear, the rear as far as the front and all places), so
   that the two seldom touch each other's cache line.

   SLEEPERS is set by the thread that is about to sleep, under the bucket lock and the lock of the
   side whose change it waits for, when that side shows that it must wait. So it is exact: who finds
   the flag when it locks the side lets go, takes the bucket lock first and the side again, and
   after its one store, behind which it no longer touches the channel, claims a waiter.
   Order: the bucket, then a side. A side is held for a copy; others pause for it.

   A .single channel has one thread at each side, so there is nothing to lock out: it sets LOCKED by
   a plain store, and looks for flags, which stand in a word of their own. That it sees them, or is
   seen at work by who has set them, takes two fences; the frequent one costs nothing where the
   system can make all threads pass a fence for the other (Dice, Huang and Yang's asymmetric Dekker
   synchronisation, 2001). Who is about to sleep or closes waits until nobody is at work who has not
   seen the flag.

   Without a bound the values stand in blocks, the next one linked in front of the values; the last
   block that was read is kept for use again.

   A rendezvous has no memory. All is done under the bucket lock: whoever comes second takes the
   first one's record, copies from thread to thread, and gives it back. `flags` says who waits, and
   counts the changes, for select.

   A timed channel is a due time under the bucket lock: who waits for it sleeps until then.
   Keys in the bucket of the channel: &rear for receivers, &front for senders.
   ---------------------------------------------------------------------------------------------- */

enum { CTH__RENDEZVOUS, CTH__RING, CTH__BLOCKS, CTH__TIMED, CTH__GONE };
// In `flags`, beside CTH__CHAN_CLOSED: who sleeps, in channels whose sides are not locked.
enum { CTH__RECEIVER = 1, CTH__SENDER = 2, CTH__CLOSING = 8 };

#  define CTH__LINK_SIZE 16 // bytes in front of a block's values; the link is in them
#  ifdef CTHREADS_SIM
#    define CTH__BLOCK_LEN(size) 2U
#  else
#    define CTH__BLOCK_LEN(size) ((size) > 512 ? 8U : (size) < 4 ? 1024U : 4096U / (size))
#  endif

CTH_API cth_status cth_chan_init(cth_chan *chan,
                                 size_t size,
                                 size_t capacity,
                                 const cth_chan_desc *desc) {
    const bool single = desc != NULL && desc->single;
    const bool unbounded = capacity == CTH_UNBOUNDED;
    if (chan == NULL || size > INT32_MAX || (!unbounded && capacity > CTH_CHAN_MAX) ||
        (capacity == 0 && single)) {
        return CTH_INVALID;
    }
    const size_t step = size != 0 ? size : 1;
    const size_t places = unbounded ? CTH__BLOCK_LEN(step) : capacity;
    if (places > (SIZE_MAX / 2 - CTH__LINK_SIZE) / step) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    unsigned char *block = NULL;
    if (capacity != 0) {
        block = (unsigned char *)cth__alloc(CTH__LINK_SIZE + places * step, false);
        if (block == NULL) {
            return CTH_NOMEM;
        }
    }
    memset(chan, 0, sizeof *chan);
    chan->size = (uint32_t)size;
    chan->generation = cth__g.generation;
    if (capacity == 0) {
        return CTH_OK;
    }
    chan->kind = unbounded ? CTH__BLOCKS : CTH__RING;
    chan->capacity = unbounded ? UINT32_MAX : (uint32_t)capacity;
    chan->rear.room = (uint32_t)(unbounded ? CTH_CHAN_MAX : capacity) * CTH__CHAN_ONE;
    cth__store(&chan->rear.till, chan->rear.room, relaxed); // relaxed: not shared yet
    chan->rear.wrap = unbounded ? UINT32_MAX : (uint32_t)capacity;
    chan->rear.limit = unbounded ? (uint32_t)places : UINT32_MAX;
    chan->rear.block = block + CTH__LINK_SIZE;
    chan->rear.single = single;
    chan->front.wrap = chan->rear.wrap;
    chan->front.limit = chan->rear.limit;
    chan->front.block = chan->rear.block;
    chan->front.single = single;
    if (single) {
        cth__fence_prepare();
    }
    return CTH_OK;
}

static cth_status cth__chan_timed(cth_chan *chan, cth_time span, cth_time period) {
    memset(chan, 0, sizeof *chan);
    chan->size = sizeof(cth_time);
    chan->kind = CTH__TIMED;
    chan->due = cth_after(span);
    chan->period = period;
    return CTH_OK;
}

CTH_API cth_status cth_chan_after(cth_chan *chan, cth_time span) {
    return chan == NULL || span < 0 ? CTH_INVALID : cth__chan_timed(chan, span, 0);
}

CTH_API cth_status cth_chan_tick(cth_chan *chan, cth_time period) {
    return chan == NULL || period <= 0 ? CTH_INVALID : cth__chan_timed(chan, period, period);
}

/* The word `flags`, as the flags of a side stand in the words of channels that are locked there. */
static uint32_t cth__chan_flags(cth_chan *chan, const cth__side *side) {
    // [chan.U] acquire: after "closed" no more comes; pairs with [chan.V].
    const uint32_t flags = cth__load(&chan->flags, acquire);
    const uint32_t sleeper = side == &chan->rear ? CTH__RECEIVER : CTH__SENDER;
    return ((flags & sleeper) != 0 ? CTH__CHAN_SLEEPERS : 0) |
           (side == &chan->rear ? flags & CTH__CHAN_CLOSED : 0);
}

/* Lock a side to work at it, and return its word. */
static uint32_t cth__chan_grab(cth_chan *chan, cth__side *side, cth__self *self) {
    uint32_t used = 0;
    while (side->single != 0) {
        // relaxed: only this thread works here.
        const uint32_t found = cth__load(&side->at, relaxed);
        cth__store(&side->at, found | CTH__CHAN_LOCKED, release); // [chan.S] release: as there
        cth__fence_light();                                       // seq_cst: as in cth__side_enter
        const uint32_t flags = cth__chan_flags(chan, side);
        // relaxed: a close that waits for this thread is waited for in turn.
        const bool closing = (cth__load(&chan->flags, relaxed) & CTH__CLOSING) != 0;
        if (side != &chan->rear || !closing || (flags & CTH__CHAN_CLOSED) != 0) {
            return found | flags;
        }
        // [chan.B] release: unlocks the side as it was. slack: in the simulator the light fence is
        // a whole one.
        cth__store(&side->at, found, release);
        cth__pause(self, &used);
    }
    for (;;) {
        // relaxed: a guess, which the compare-and-swap checks.
        uint32_t found = cth__load(&side->at, relaxed);
        // [chan.A] acquire: the side as it was left; pairs with [chan.B].
        if ((found & CTH__CHAN_LOCKED) == 0 &&
            cth__cas(&side->at, &found, found | CTH__CHAN_LOCKED, acquire, relaxed)) {
            CTH_SIM_WRITE(*side); // for all of it
            return found;
        }
        cth__pause(self, &used);
    }
}

/* Unlock a side that is at `word`, flags and all; the channel may be gone after it. */
static void cth__chan_leave(cth__side *side, uint32_t word) {
    if (side->single != 0) {
        word &= ~CTH__CHAN_FLAGS;
    }
    CTH_SIM_WRITE(*side);
    // [chan.B] release: publishes what was done with the values, and unlocks.
    cth__store(&side->at, word, release);
}

/* Set or clear the flag that somebody sleeps, where it is in `flags`; under the bucket lock. */
static void cth__chan_mark(cth_chan *chan, const cth__side *side, bool sleeps) {
    const uint32_t flag = side == &chan->rear ? CTH__RECEIVER : CTH__SENDER;
    if (sleeps) {
        (void)cth__or(&chan->flags, flag, relaxed); // relaxed: ordered by the fences
    } else {
        // [chan.V] release: as [event.C] is for events; pairs with [chan.U].
        (void)cth__and(&chan->flags, ~flag, release);
    }
}

/* Wait until nobody works at a side of a .single channel who does not see the flags set before. */
static uint32_t cth__chan_settle(cth__side *side, cth__self *self) {
    uint32_t used = 0;
    uint32_t found;
    cth__fence_heavy(); // seq_cst: pairs with the light one of who works there
    // relaxed: who goes on from the position acquires it again.
    while (((found = cth__load(&side->at, relaxed)) & CTH__CHAN_LOCKED) != 0) {
        cth__pause(self, &used);
    }
    return found;
}

/* Lock a side, and the bucket too when its change has to wake threads. */
static uint32_t cth__chan_grab_to_wake(cth_chan *chan,
                                       cth__side *side,
                                       cth__self *self,
                                       cth__bucket **bucket) {
    const uint32_t found = cth__chan_grab(chan, side, self);
    if ((found & CTH__CHAN_SLEEPERS) == 0) {
        return found;
    }
    cth__chan_leave(side, found); // the bucket comes first
    *bucket = cth__bucket_lock(chan, self);
    return cth__chan_grab(chan, side, self);
}

/* Move a locked side on to `at`, which unlocks it, and wake for `n` values that came or went. The
   channel may be gone then. */
static void cth__chan_move(cth_chan *chan,
                           cth__side *side,
                           uint32_t at,
                           size_t n,
                           cth__bucket *bucket,
                           uint32_t closed) {
    if (bucket == NULL) {
        cth__chan_leave(side, at | closed);
        return;
    }
    cth__wakes wakes = {0};
    const bool others = cth__queued(bucket, side) > n;
    if (side->single != 0) {
        cth__chan_mark(chan, side, others);
    }
    cth__chan_leave(side, at | closed | (others ? CTH__CHAN_SLEEPERS : 0));
    (void)cth__wake_some(bucket, side, n, &wakes);
    cth__bucket_close(bucket, &wakes);
}

/* The next block to send into, linked behind the last one; false when memory is lacking. */
static bool cth__chan_extend(cth_chan *chan) {
    // [chan.F] acquire: its reader has done with it; pairs with [chan.G].
    unsigned char *block = (unsigned char *)cth__swap(&chan->spare, NULL, acquire);
    if (block == NULL) {
        const size_t step = chan->size != 0 ? chan->size : 1;
        block = (unsigned char *)cth__alloc(CTH__LINK_SIZE + chan->rear.limit * step, false);
        if (block == NULL) {
            return false;
        }
    }
    memcpy(chan->rear.block - CTH__LINK_SIZE, &block, sizeof block);
    chan->rear.block = block + CTH__LINK_SIZE;
    chan->rear.index = 0;
    return true;
}

/* Go on to the block behind the one that has been read; returns that if it is of no more use. */
static unsigned char *cth__chan_advance(cth_chan *chan) {
    unsigned char *block = chan->front.block - CTH__LINK_SIZE;
    unsigned char *next;
    memcpy(&next, block, sizeof next);
    chan->front.block = next + CTH__LINK_SIZE;
    chan->front.index = 0;
    void *none = NULL;
    // [chan.G] release: this reader has done with it; pairs with [chan.F].
    return cth__cas(&chan->spare, &none, (void *)block, release, relaxed) ? NULL : block;
}

/* Send (or receive) as many of `n` values as can be at once. */
static cth_status cth__chan_carry(cth_chan *chan,
                                  bool sends,
                                  unsigned char *values,
                                  size_t n,
                                  size_t *carried,
                                  cth__self *self) {
    cth__side *side = sends ? &chan->rear : &chan->front;
    cth__side *other = sends ? &chan->front : &chan->rear;
    cth__bucket *bucket = NULL;
    cth_status status = CTH_OK;
    unsigned char *unused = NULL; // blocks to free, linked
    size_t done = 0;
    const uint32_t found = cth__chan_grab_to_wake(chan, side, self, &bucket);
    uint32_t at = found & ~CTH__CHAN_FLAGS;
    if ((found & CTH__CHAN_CLOSED) != 0) {
        status = CTH_CLOSED;
        n = 0;
    }
    while (done < n) {
        // relaxed: changes under the side's lock.
        uint32_t till = cth__load(&side->till, relaxed);
        if (at == till) {
            const uint32_t flags = cth__chan_flags(chan, &chan->rear);
            // [chan.D] acquire: the other side has done with the places, and what came before
            // close; pairs with [chan.B], [chan.S].
            const uint32_t word = cth__load(&other->at, acquire) | flags;
            till = (word & ~CTH__CHAN_FLAGS) + side->room;
            cth__store(&side->till, till, relaxed); // relaxed: as above
            if (at == till) {
                status = sends && chan->kind == CTH__BLOCKS                      ? CTH_NOMEM
                         : !sends && done == 0 && (word & CTH__CHAN_CLOSED) != 0 ? CTH_CLOSED
                                                                                 : CTH_OK;
                break;
            }
        }
        if (side->index == side->limit && !sends) {
            unsigned char *block = cth__chan_advance(chan);
            if (block != NULL) {
                memcpy(block, &unused, sizeof unused);
                unused = block;
            }
        } else if (side->index == side->limit && !cth__chan_extend(chan)) {
            status = CTH_NOMEM;
            break;
        }
        const uint32_t end = side->wrap < side->limit ? side->wrap : side->limit;
        size_t k = (till - at) / CTH__CHAN_ONE;
        k = k < n - done ? k : n - done;
        k = k < end - side->index ? k : end - side->index;
        unsigned char *place = side->block + (size_t)side->index * chan->size;
        unsigned char *value = chan->size != 0 ? values + done * chan->size : values;
        for (size_t i = 0; i < k; i++) {
            CTH_SIM_WRITE(place[i * chan->size]);
        }
        cth__copy(sends ? place : value, sends ? value : place, k * chan->size);
        side->index += (uint32_t)k;
        if (side->index == side->wrap) {
            side->index = 0;
        }
        at += (uint32_t)k * CTH__CHAN_ONE;
        done += k;
    }
    *carried = done;
    cth__chan_move(chan, side, at, done, bucket, found & CTH__CHAN_CLOSED);
    while (unused != NULL) {
        unsigned char *block = unused;
        memcpy(&unused, block, sizeof unused);
        cth__free(block);
    }
    return status;
}

/* How many values could be sent (or received) at a moment during this call; not 0 when it is
   closed, and at a rendezvous when a partner waits. `*stamp` is a number that has changed if this
   is 0, becomes more, and is 0 again. */
static uint32_t cth__chan_can(cth_chan *chan, bool sends, uint32_t *stamp) {
    // [chan.U] acquire: a select that finds no partner sees what the last one had made ready
    // before; pairs with [chan.V]. slack: the scenarios see that by other loads too.
    const uint32_t flags = cth__load(&chan->flags, acquire);
    if (chan->kind == CTH__RENDEZVOUS) {
        *stamp = flags / CTH__CHAN_ONE;
        return (flags & (CTH__CHAN_CLOSED | (sends ? CTH__RECEIVER : CTH__SENDER))) != 0;
    }
    cth__side *side = sends ? &chan->rear : &chan->front;
    cth__side *other = sends ? &chan->front : &chan->rear;
    // [chan.D] acquire: the other side is read after this one, so that the answer 0 was true then.
    const uint32_t at = cth__load(&side->at, acquire);

    // relaxed: only a look; who goes on from here acquires it again.
    const uint32_t till = cth__load(&other->at, relaxed);
    *stamp = till & ~CTH__CHAN_FLAGS;
    if ((((sends ? at : till) | flags) & CTH__CHAN_CLOSED) != 0) {
        return 1;
    }
    return ((till & ~CTH__CHAN_FLAGS) + side->room - (at & ~CTH__CHAN_FLAGS)) / CTH__CHAN_ONE;
}

/* Under the bucket lock: mark that a sender (or a receiver) is about to sleep, if it has to. */
static bool cth__chan_must_wait(cth_chan *chan,
                                bool sends,
                                cth__self *self,
                                const cth__bucket *bucket) {
    cth__side *side = sends ? &chan->rear : &chan->front;
    cth__side *other = sends ? &chan->front : &chan->rear; // for whose change it waits
    const bool single = other->single != 0;
    if (single) {
        cth__chan_mark(chan, other, true);
    }
    const uint32_t till =
        single ? cth__chan_settle(other, self) : cth__chan_grab(chan, other, self);
    const uint32_t flags = cth__chan_flags(chan, &chan->rear);
    // relaxed: an old position can only make this look ready.
    const uint32_t at = cth__load(&side->at, relaxed);
    const bool closed = (((sends ? at : till) | flags) & CTH__CHAN_CLOSED) != 0;
    const bool waits = !closed && (till & ~CTH__CHAN_FLAGS) + side->room == (at & ~CTH__CHAN_FLAGS);
    if (!single) {
        cth__chan_leave(other, waits ? till | CTH__CHAN_SLEEPERS : till);
    } else if (!waits) {
        cth__chan_mark(chan, other, cth__queued(bucket, other) != 0);
    }
    return waits;
}

/* A rendezvous, under the bucket lock: exchange the value with a waiting partner. */
static bool cth__chan_meet(cth_chan *chan,
                           bool sends,
                           void *value,
                           cth__self *self,
                           cth__bucket *bucket,
                           cth__wakes *wakes) {
    cth__side *key = sends ? &chan->rear : &chan->front;
    cth__waiter *next;
    for (cth__waiter *w = cth__next(bucket, NULL, key); w != NULL; w = next) {
        next = cth__next(bucket, w, key);
        if (w->watch || w->self == self) {
            continue;
        }
        cth__self *partner = w->self;
        void *its = w->data;
        const uint32_t index = w->index;
        if (cth__queued(bucket, key) == 1) { // before the partner goes, and perhaps frees it
            cth__chan_mark(chan, key, false);
        }
        const uint32_t was = cth__take(bucket, w);
        if (was != 0) {
            cth__copy(sends ? its : value, sends ? value : its, chan->size);
            cth__give(partner, index, was, wakes);
            return true;
        }
    }
    if (cth__queued(bucket, key) == 0) {
        cth__chan_mark(chan, key, false);
    }
    return false;
}

/* Under the bucket lock: show that a sender (or a receiver) waits at a rendezvous. */
static void cth__chan_show(cth_chan *chan, bool sends, cth__bucket *bucket, cth__wakes *wakes) {
    // relaxed: changes under the bucket lock.
    const uint32_t found = cth__load(&chan->flags, relaxed);
    // relaxed: a hint for those who look without the lock.
    cth__store(&chan->flags, (found + CTH__CHAN_ONE) | (sends ? CTH__SENDER : CTH__RECEIVER),
               relaxed);
    (void)cth__wake_some(bucket, sends ? &chan->rear : &chan->front, 0, wakes);
}

static cth_status cth__chan_rendezvous(cth_chan *chan,
                                       bool sends,
                                       void *value,
                                       cth_time deadline,
                                       cth__self *self,
                                       void *site) {
    for (;;) {
        cth__wakes wakes = {0};
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(chan, self);
        // relaxed: changes under the bucket lock.
        if ((cth__load(&chan->flags, relaxed) & CTH__CHAN_CLOSED) != 0) {
            cth__unlock(&bucket->lock);
            return CTH_CLOSED;
        }
        if (cth__chan_meet(chan, sends, value, self, bucket, &wakes)) {
            cth__bucket_close(bucket, &wakes);
            return CTH_OK;
        }
        if (cth__passed(deadline)) {
            cth__unlock(&bucket->lock);
            return CTH_TIMEDOUT;
        }
        cth__enqueue(bucket, &w, sends ? &chan->front : &chan->rear, self, 0);
        w.data = value;
        cth__chan_show(chan, sends, bucket, &wakes);
        cth__bucket_close(bucket, &wakes);
        const cth__wait_desc desc = {.deadline = deadline,
                                     .cancellable = true,
                                     .spin = true,
                                     .what = sends ? "channel (send)" : "channel (recv)",
                                     .object = chan,
                                     .site = site};
        uint32_t won;
        const cth_status status = cth__park(self, &w, 1, &desc, &won);
        if (status != CTH_OK || (won & CTH__HANDED) != 0) {
            return status;
        }
    }
}

/* Under the bucket lock: take the value of a timed channel that is due. */
static bool cth__chan_take_due(cth_chan *chan, void *value) {
    const cth_time now = cth__clock();
    if (chan->due == CTH_FOREVER || now < chan->due) {
        return false;
    }
    cth_time due = chan->due;
    if (chan->period != 0) {
        due += (now - due) / chan->period * chan->period;
    }
    memcpy(value, &due, sizeof due);
    chan->due = chan->period != 0 ? cth__sum(due, chan->period) : CTH_FOREVER;
    chan->taken++;
    return true;
}

static cth_status cth__chan_recv_timed(cth_chan *chan,
                                       void *value,
                                       cth_time deadline,
                                       cth__self *self,
                                       void *site) {
    for (;;) {
        cth__waiter w;
        cth__bucket *bucket = cth__bucket_lock(chan, self);
        CTH_SIM_WRITE(chan->due);
        const bool taken = cth__chan_take_due(chan, value);
        // relaxed: changes under the bucket lock.
        const bool closed = (cth__load(&chan->flags, relaxed) & CTH__CHAN_CLOSED) != 0;
        const cth_time due = chan->due;
        const bool waits = !taken && !closed && !cth__passed(deadline);
        if (waits) {
            cth__enqueue(bucket, &w, &chan->rear, self, 0);
        }
        cth__unlock(&bucket->lock);
        if (!waits) {
            return taken ? CTH_OK : closed ? CTH_CLOSED : CTH_TIMEDOUT;
        }
        const cth__wait_desc desc = {.deadline = due < deadline ? due : deadline,
                                     .cancellable = true,
                                     .what = "timed channel",
                                     .object = chan,
                                     .site = site};
        const cth_status status = cth__park(self, &w, 1, &desc, NULL);
        if (status == CTH_CANCELLED) {
            return status;
        }
    }
}

/* Two threads that hand each value over at once would each pay for the other's looks: who finds the
   channel empty (or full) and comes back at once finds one value, and so it goes on. When values
   stream it is better to leave the other side alone for some pauses; when the other side waits for
   an answer these are lost. So a thread tries it now and then, and goes on as long as it finds more
   values for it. Returns for how many pauses it has waited. */
static uint32_t cth__chan_patience(cth__self *self, uint32_t *used) {
#  ifdef CTHREADS_SIM
    (void)self;
    (void)used;
    return 0;
#  else
    uint32_t patience = self->patience;
    if (patience == 0 && ++self->impatient % 64 == 0) {
        patience = 8;
    }
    for (uint32_t i = 0; i < patience && cth__spin(self, used); i++) {
    }
    return patience;
#  endif
}

/* Learn from having found `n` values (or places) after so many pauses. */
static void cth__chan_learn(cth__self *self, uint32_t patience, uint32_t n, uint32_t capacity) {
    if (patience != 0) {
        const bool streams = n > 1 && n >= patience / 2;
        self->patience = !streams || n > capacity / 2 ? patience / 2
                         : patience < 32              ? patience * 2
                                                      : patience;
    }
}

/* Sleep until a send (or a recv) of a channel with memory may be tried again. */
static cth_status cth__chan_wait(cth_chan *chan,
                                 bool sends,
                                 cth_time deadline,
                                 cth__self *self,
                                 uint32_t *used,
                                 void *site) {
    uint32_t stamp;
    if (deadline != 0) {
        const uint32_t patience = cth__chan_patience(self, used);
        while (cth__spin(self, used)) {
            const uint32_t n = cth__chan_can(chan, sends, &stamp);
            if (n != 0) {
                cth__chan_learn(self, patience, n, chan->capacity);
                return CTH_OK;
            }
        }
    }
    if (cth__passed(deadline)) {
        // [chan.H] seq_cst: what this thread has sent or received elsewhere is seen by a thread
        // that in its turn finds that side not ready; pairs with itself.
        cth__fence(seq_cst);
        return cth__chan_can(chan, sends, &stamp) != 0 ? CTH_OK : CTH_TIMEDOUT;
    }
    cth__waiter w;
    cth__bucket *bucket = cth__bucket_lock(chan, self);
    if (!cth__chan_must_wait(chan, sends, self, bucket)) {
        cth__unlock(&bucket->lock);
        return CTH_OK;
    }
    cth__enqueue(bucket, &w, sends ? &chan->front : &chan->rear, self, 0);
    cth__unlock(&bucket->lock);
    const cth__wait_desc desc = {.deadline = deadline,
                                 .cancellable = true,
                                 .what = sends ? "channel (send)" : "channel (recv)",
                                 .object = chan,
                                 .site = site};
    *used = 0;
    return cth__park(self, &w, 1, &desc, NULL);
}

/* What every slow call of a channel begins with. */
static cth_status cth__chan_check(const cth_chan *chan, cth_time deadline, cth__self *self) {
    if (deadline < 0 || chan->kind == CTH__GONE) {
        return CTH_INVALID;
    }
    if (self == NULL) {
        return CTH_NOMEM;
    }
    const bool memory = chan->capacity != 0;
    return memory && chan->generation != cth__g.generation ? CTH_FORKED : CTH_OK;
}

static cth_status cth__chan_send(cth_chan *chan,
                                 const void *values,
                                 size_t n,
                                 size_t *sent,
                                 cth_time deadline,
                                 void *site) {
    const unsigned char *at = (const unsigned char *)values;
    cth__self *self = cth__self_get();
    cth_status status = cth__chan_check(chan, deadline, self);
    size_t done = 0;
    uint32_t used = 0, stamp;
    if (status == CTH_OK && chan->kind == CTH__TIMED) {
        status = CTH_INVALID;
    }
    while (status == CTH_OK && done < n) {
        size_t k = 1;
        if (chan->kind == CTH__RENDEZVOUS) {
            void *value = (void *)(uintptr_t)at;
            status = cth__chan_rendezvous(chan, true, value, deadline, self, site);
            k = status == CTH_OK;
        } else {
            k = 0;
            if (cth__chan_can(chan, true, &stamp) != 0) {
                unsigned char *from = (unsigned char *)(uintptr_t)at;
                status = cth__chan_carry(chan, true, from, n - done, &k, self);
            }
            if (status == CTH_OK && k < n - done) {
                status = cth__chan_wait(chan, true, deadline, self, &used, site);
            }
        }
        done += k;
        if (done < n && chan->size != 0) {
            at += k * chan->size;
        }
    }
    if (sent != NULL) {
        *sent = done;
    }
    return status;
}

static cth_status cth__chan_recv(cth_chan *chan,
                                 void *values,
                                 size_t n,
                                 size_t *received,
                                 cth_time deadline,
                                 void *site) {
    cth__self *self = cth__self_get();
    cth_status status = cth__chan_check(chan, deadline, self);
    size_t done = 0;
    uint32_t used = 0, stamp;
    while (status == CTH_OK && done == 0 && n > 0) {
        if (chan->kind == CTH__RENDEZVOUS) {
            status = cth__chan_rendezvous(chan, false, values, deadline, self, site);
            done = status == CTH_OK;
        } else if (chan->kind == CTH__TIMED) {
            status = cth__chan_recv_timed(chan, values, deadline, self, site);
            done = status == CTH_OK;
        } else {
            if (cth__chan_can(chan, false, &stamp) != 0) {
                status = cth__chan_carry(chan, false, (unsigned char *)values, n, &done, self);
            }
            if (status == CTH_OK && done == 0) {
                status = cth__chan_wait(chan, false, deadline, self, &used, site);
            }
        }
    }
    if (received != NULL) {
        *received = done;
    }
    return status;
}

CTH_API CTH__NOINLINE cth_status cth__chan_send_slow(cth_chan *chan,
                                                     const void *value,
                                                     cth_time deadline) {
    return cth__chan_send(chan, value, 1, NULL, deadline, CTH__CALL_SITE());
}

CTH_API CTH__NOINLINE cth_status cth__chan_recv_slow(cth_chan *chan,
                                                     void *value,
                                                     cth_time deadline) {
    return cth__chan_recv(chan, value, 1, NULL, deadline, CTH__CALL_SITE());
}

CTH_API cth_status cth_chan_send_n(cth_chan *chan, const void *values, size_t n, size_t *sent) {
    return cth__chan_send(chan, values, n, sent, CTH_FOREVER, CTH__CALL_SITE());
}

CTH_API cth_status cth_chan_try_send_n(cth_chan *chan, const void *values, size_t n, size_t *sent) {
    const cth_status status = cth__chan_send(chan, values, n, sent, 0, NULL);
    return status == CTH_TIMEDOUT ? CTH_FULL : status;
}

CTH_API cth_status cth_chan_send_n_until(cth_chan *chan,
                                         const void *values,
                                         size_t n,
                                         size_t *sent,
                                         cth_time deadline) {
    return cth__chan_send(chan, values, n, sent, deadline, CTH__CALL_SITE());
}

CTH_API cth_status cth_chan_recv_n(cth_chan *chan, void *values, size_t n, size_t *received) {
    return cth__chan_recv(chan, values, n, received, CTH_FOREVER, CTH__CALL_SITE());
}

CTH_API cth_status cth_chan_try_recv_n(cth_chan *chan, void *values, size_t n, size_t *received) {
    const cth_status status = cth__chan_recv(chan, values, n, received, 0, NULL);
    return status == CTH_TIMEDOUT ? CTH_EMPTY : status;
}

CTH_API cth_status
cth_chan_recv_n_until(cth_chan *chan, void *values, size_t n, size_t *received, cth_time deadline) {
    return cth__chan_recv(chan, values, n, received, deadline, CTH__CALL_SITE());
}

CTH_API cth_status cth_chan_close(cth_chan *chan) {
    cth__self *self = cth__self_get();
    cth_status status = cth__chan_check(chan, 0, self);
    if (status != CTH_OK) {
        return status;
    }
    const bool memory = chan->capacity != 0;
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(chan, self);
    const bool locked = memory && chan->rear.single == 0;
    const uint32_t rear =
        locked ? cth__chan_grab(chan, &chan->rear, self) : cth__chan_flags(chan, &chan->rear);
    status = (rear & CTH__CHAN_CLOSED) != 0 ? CTH_CLOSED : CTH_OK;
    if (status == CTH_OK && chan->kind == CTH__TIMED) {
        CTH_SIM_WRITE(chan->due);
        const cth_time now = cth__clock();
        if (chan->due > now) {
            chan->due = CTH_FOREVER;
        } else if (chan->period != 0) {
            chan->due += (now - chan->due) / chan->period * chan->period;
        }
        chan->period = 0;
    }
    if (locked) {
        cth__chan_leave(&chan->rear, (rear & ~CTH__CHAN_FLAGS) | CTH__CHAN_CLOSED);
    } else {
        if (memory) {
            // relaxed: ordered by the fence.
            (void)cth__or(&chan->flags, CTH__CLOSING, relaxed);
            (void)cth__chan_settle(&chan->rear, self); // then no send is under way any more
        }
        // [chan.V] release: what was done before is seen by who finds it; pairs with [chan.U].
        (void)cth__or(&chan->flags, CTH__CHAN_CLOSED, release);
    }
    if (status == CTH_OK) {
        cth__claim_all(bucket, &chan->rear, &wakes);
        cth__claim_all(bucket, &chan->front, &wakes);
    }
    cth__bucket_close(bucket, &wakes);
    return status;
}

CTH_API bool cth_chan_is_closed(const cth_chan *chan) {
    cth_chan *c = (cth_chan *)(uintptr_t)chan;
    const uint32_t flags = cth__chan_flags(c, &c->rear);
    // [chan.D] acquire: sees what the closer did; pairs with [chan.B].
    return ((cth__load(&c->rear.at, acquire) | flags) & CTH__CHAN_CLOSED) != 0;
}

CTH_API size_t cth_chan_len(const cth_chan *chan) {
    cth_chan *c = (cth_chan *)(uintptr_t)chan;
    if (c->kind == CTH__RENDEZVOUS) {
        return 0;
    }
    if (c->kind == CTH__TIMED) {
        cth__self *self = cth__self_get();
        if (self == NULL) {
            return 0;
        }
        cth__bucket *bucket = cth__bucket_lock(c, self);
        const bool due = cth__passed(c->due);
        cth__unlock(&bucket->lock);
        return due;
    }
    for (;;) {
        // [chan.D] acquire, twice: in this order; read until nothing was received in between.
        const uint32_t front = cth__load(&c->front.at, acquire) & ~CTH__CHAN_FLAGS;
        const uint32_t rear = cth__load(&c->rear.at, acquire) & ~CTH__CHAN_FLAGS;
        // relaxed: ordered by the load above.
        if (front == (cth__load(&c->front.at, relaxed) & ~CTH__CHAN_FLAGS)) {
            return (rear - front) / CTH__CHAN_ONE;
        }
    }
}

CTH_API size_t cth_chan_cap(const cth_chan *chan) {
    return chan->kind == CTH__TIMED       ? 1
           : chan->capacity == UINT32_MAX ? CTH_UNBOUNDED
                                          : chan->capacity;
}

CTH_API cth_status cth_chan_destroy(cth_chan *chan) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth__bucket *bucket = cth__bucket_lock(chan, self);
    const bool waits = cth__next(bucket, NULL, &chan->rear) != NULL ||
                       cth__next(bucket, NULL, &chan->front) != NULL;
    cth__unlock(&bucket->lock);
    if (waits) {
        return CTH_BUSY;
    }
    if (chan->capacity != 0) {
        unsigned char *block = chan->front.block;
        while (block != chan->rear.block) {
            unsigned char *next;
            memcpy(&next, block - CTH__LINK_SIZE, sizeof next);
            cth__free(block - CTH__LINK_SIZE);
            block = next + CTH__LINK_SIZE;
        }
        cth__free(block - CTH__LINK_SIZE);
        // relaxed: nobody else may use it now.
        void *spare = cth__load(&chan->spare, relaxed);
        if (spare != NULL) {
            cth__free(spare);
        }
    }
    memset(chan, 0, sizeof *chan);
#  ifdef CTHREADS_DEBUG
    chan->kind = CTH__GONE;
#  endif
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:select

   First it looks which cases are ready, picks one of those, each with the same odds, and tries it;
   another thread may be faster, then it looks again. When none is ready it locks the buckets of all
   cases, in the order of the table, queues a record in each under the rules of its object, and
   sleeps with all of them: one claim decides which of the records won. A channel's or a queue's
   record that won was woken as one waiter of many, so that case is tried first, and whatever made
   it ready is taken by somebody. What is only looked at (events, latches, tokens) and what was
   exchanged at a rendezvous is done with the claim.

   "No case is ready" must hold at one moment. Each case gives, when it is found unready, a stamp
   which changes if it becomes ready and unready again; all are looked at a second time: if none is
   ready and no stamp has changed, there was such a moment between the two rounds. (A latch that
   reaches zero and is added to in between is the exception: it has no stamp.)
   ---------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(cth__waiter) <= sizeof(((cth_case *)0)->record), "room for a record");

#  define CTH__BUCKET_WORDS ((CTH__BUCKETS + 63) / 64)

// Where chance serves fairness alone; the simulator has enough to choose from.
#  ifdef CTHREADS_SIM
#    define CTH__RANDOM_PLACE(self, n, plain) ((void)(self), (void)(n), (plain))
#  else
#    define CTH__RANDOM_PLACE(self, n, plain) cth__random_below((self), (n))
#  endif

/* A number below n, each equally likely. */
static uint32_t cth__random_below(cth__self *self, uint32_t n) {
#  ifdef CTHREADS_SIM
    (void)self;
    return cth__choose(n);
#  else
    return (uint32_t)(((cth_rng_next(&self->rng) >> 32) * n) >> 32);
#  endif
}

/* Under the bucket lock: tell whether a thread waits at a rendezvous with a record of `key`. */
static bool cth__chan_partner(const cth__bucket *bucket,
                              const cth__side *key,
                              const cth__self *self) {
    for (const cth__waiter *w = cth__next(bucket, NULL, key); w != NULL;
         w = cth__next(bucket, w, key)) {
        // relaxed: who has given up is not there.
        if (!w->watch && w->self != self && cth__load(&w->self->claim, relaxed) <= CTH__POKED) {
            return true;
        }
    }
    return false;
}

/* Tell whether a case is ready, with a stamp as cth__chan_can has; `*due` falls to the time at
   which it becomes ready by itself. */
static bool cth__case_ready(cth_case *c, cth__self *self, cth_time *due, uint32_t *stamp) {
    *stamp = 0;
    if (c->kind == CTH_CASE_TIME) {
        *due = c->deadline < *due ? c->deadline : *due;
        return cth__passed(c->deadline);
    }
    if (c->object == NULL) {
        return false;
    }
    if (c->kind == CTH_CASE_RECV || c->kind == CTH_CASE_SEND) {
        cth_chan *chan = (cth_chan *)c->object;
        const bool sends = c->kind == CTH_CASE_SEND;
        if (chan->kind != CTH__TIMED && cth__chan_can(chan, sends, stamp) == 0) {
            return false;
        }
        if (chan->capacity != 0) {
            return true;
        }
        cth__bucket *bucket = cth__bucket_lock(chan, self);
        if (chan->kind == CTH__RENDEZVOUS) {
            // A partner that gave up has left its flag behind.
            cth__side *key = sends ? &chan->rear : &chan->front;
            // relaxed: changes under the bucket lock.
            const bool shut = (cth__load(&chan->flags, relaxed) & CTH__CHAN_CLOSED) != 0;
            const bool waits = cth__chan_partner(bucket, key, self);
            if (cth__queued(bucket, key) == 0) {
                cth__chan_mark(chan, key, false);
            }
            cth__unlock(&bucket->lock);
            return shut || waits;
        }
        CTH_SIM_READ(chan->due);
        // relaxed: changes under the bucket lock.
        const bool closed = (cth__load(&chan->flags, relaxed) & CTH__CHAN_CLOSED) != 0;
        const bool ready = closed || cth__passed(chan->due);
        *stamp = (uint32_t)chan->taken;
        *due = chan->due < *due ? chan->due : *due;
        cth__unlock(&bucket->lock);
        return ready;
    }
    if (c->kind == CTH_CASE_GET) {
        cth_queue *queue = (cth_queue *)c->object;
        // [queue.B] acquire: the word is no older than this count of puts; pairs with [queue.A].
        const uint32_t before = cth__load(&queue->puts, acquire);

        // [queue.B] acquire: and no younger than the next one. slack: whatever else became unready
        // after that put has been seen with acquire too.
        const uint32_t word = cth__load(&queue->word, acquire);
        *stamp = cth__load(&queue->puts, relaxed); // relaxed: ordered by the load above
        return (word & CTH__SHUT) != 0 || word >= CTH__ELEMENT || before != *stamp;
    }
    if (c->kind == CTH_CASE_EVENT) {
        cth_event *event = (cth_event *)c->object;
        // [event.A] acquire: sees what the setter did; pairs with [event.B].
        const uint32_t word = cth__load(&event->word, acquire);
        *stamp = word / CTH__EVENT_ONCE;
        return (word & CTH__EVENT_SET) != 0;
    }
    if (c->kind == CTH_CASE_LATCH) {
        // [latch.A] acquire: sees what was done before the count fell; pairs with [latch.B].
        return (cth__load(&((cth_latch *)c->object)->word, acquire) & INT32_MAX) == 0;
    }
    const cth_cancel *token = (const cth_cancel *)c->object;
    if (token->deadline != 0) {
        *due = token->deadline < *due ? token->deadline : *due;
    }
    return cth_cancel_status(token) == CTH_CANCELLED;
}

/* Do what a case does, if it can be done at once: else CTH_TIMEDOUT. */
static cth_status cth__case_do(cth_case *c) {
    switch (c->kind) {
    case CTH_CASE_RECV: return cth_chan_recv_until((cth_chan *)c->object, c->value, 0);
    case CTH_CASE_SEND: return cth_chan_send_until((cth_chan *)c->object, c->value, 0);
    case CTH_CASE_GET: return cth_queue_get_until((cth_queue *)c->object, c->value, 0);
    default: return CTH_OK; // it was ready when it was looked at
    }
}

/* The object whose bucket a case's record goes to; NULL when it has none. */
static const void *cth__case_key(const cth_case *c) {
    return c->kind == CTH_CASE_NONE || c->kind == CTH_CASE_TIME ? NULL : c->object;
}

/* Under the bucket lock: queue the record of a case, as number `index`; false if it is ready. */
static bool cth__case_enqueue(cth_case *c,
                              uint32_t index,
                              bool watch,
                              cth__self *self,
                              cth__bucket *bucket,
                              cth__wakes *wakes) {
    cth__waiter *w = (cth__waiter *)(void *)c->record;
    const void *key = c->object;
    if (c->kind == CTH_CASE_RECV || c->kind == CTH_CASE_SEND) {
        cth_chan *chan = (cth_chan *)c->object;
        const bool sends = c->kind == CTH_CASE_SEND;
        key = sends ? &chan->front : &chan->rear;
        if (chan->capacity != 0) {
            if (!cth__chan_must_wait(chan, sends, self, bucket)) {
                return false;
            }
            // relaxed: changes under the bucket lock.
        } else if ((cth__load(&chan->flags, relaxed) & CTH__CHAN_CLOSED) != 0 ||
                   (chan->kind == CTH__RENDEZVOUS &&
                    cth__chan_partner(bucket, sends ? &chan->rear : &chan->front, self))) {
            return false;
        }
    } else if (c->kind == CTH_CASE_GET) {
        cth_queue *queue = (cth_queue *)c->object;
        key = &queue->word;
        if (!cth__queue_must_wait(queue, CTH__GETTERS)) {
            return false;
        }
    } else if (c->kind == CTH_CASE_EVENT) {
        cth_event *event = (cth_event *)c->object;
        uint32_t found;
        do {
            // relaxed: read again by who finds it ready.
            found = cth__load(&event->word, relaxed);
            if ((found & CTH__EVENT_SET) != 0) {
                return false;
            }
            // relaxed: only makes set come to this bucket.
        } while (!cth__cas(&event->word, &found, found | CTH__EVENT_SLEEPERS, relaxed, relaxed));
    } else if (c->kind == CTH_CASE_LATCH) {
        cth_latch *latch = (cth_latch *)c->object;
        // relaxed, twice: zero is read again by who finds it ready.
        uint32_t found = cth__load(&latch->word, relaxed);
        do {
            if ((found & INT32_MAX) == 0) {
                return false;
            }
            // relaxed: as above
        } while (!cth__cas(&latch->word, &found, found | CTH__LATCH_SLEEPERS, relaxed, relaxed));
    } else {
        // relaxed: changes under this bucket's lock only.
        if (cth__load(&((cth_cancel *)c->object)->state, relaxed) != 0) {
            return false;
        }
    }
    cth__enqueue(bucket, w, key, self, index);
    w->data = c->value;
    w->watch = watch;
    if (!watch && (c->kind == CTH_CASE_RECV || c->kind == CTH_CASE_SEND) &&
        ((cth_chan *)c->object)->kind == CTH__RENDEZVOUS) {
        cth__chan_show((cth_chan *)c->object, c->kind == CTH_CASE_SEND, bucket, wakes);
    }
    return true;
}

/* Lock the buckets of all cases, or unlock them. */
static void cth__cases_lock(cth_case *cases, size_t n, uint64_t *set, cth__self *self) {
    for (size_t i = 0; i < n; i++) {
        const void *key = cth__case_key(&cases[i]);
        if (key != NULL) {
            const size_t at = (size_t)(cth__bucket_of(key) - cth__g.buckets);
            set[at / 64] |= (uint64_t)1 << (at % 64);
        }
    }
    for (size_t at = 0; at < CTH__BUCKETS; at++) {
        if (set[at / 64] == 0) {
            at |= 63;
        } else if ((set[at / 64] >> (at % 64) & 1) != 0) {
            cth__lock(&cth__g.buckets[at].lock, self);
        }
    }
}

static void cth__cases_unlock(const uint64_t *set, cth__wakes *wakes) {
    for (size_t at = 0; at < CTH__BUCKETS; at++) {
        if (set[at / 64] == 0) {
            at |= 63;
        } else if ((set[at / 64] >> (at % 64) & 1) != 0) {
            cth__unlock(&cth__g.buckets[at].lock);
        }
    }
    cth__wake_all(wakes);
}

/* Queue a record for each case, and link them. Returns how many there are; 0 with *ready when a
   case is ready: then none is queued. */
static uint32_t cth__cases_enqueue(cth_case *cases,
                                   size_t n,
                                   bool watch,
                                   cth__self *self,
                                   cth__waiter **first,
                                   bool *ready) {
    uint64_t set[CTH__BUCKET_WORDS] = {0};
    cth__wakes wakes = {0};
    uint32_t queued = 0;
    cth__waiter *last = NULL;
    *ready = false;
    // Of several cases with one object the first in the queue wins, so they stand in any order.
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t k = CTH__RANDOM_PLACE(self, i + 1, i);
        cases[i].stamp = cases[k].stamp;
        cases[k].stamp = i;
    }
    cth__cases_lock(cases, n, set, self);
    for (size_t i = 0; i < n && !*ready; i++) {
        cth_case *c = &cases[cases[i].stamp];
        const void *key = cth__case_key(c);
        c->record_index = UINT32_MAX;
        if (key == NULL) {
            continue;
        }
        cth__waiter *w = (cth__waiter *)(void *)c->record;
        if (cth__case_enqueue(c, queued, watch, self, cth__bucket_of(key), &wakes)) {
            c->record_index = queued++;
            *(last != NULL ? &last->also : first) = w;
            last = w;
        } else {
            *ready = true;
        }
    }
    if (*ready) {
        for (cth__waiter *w = *first; queued > 0; queued--) {
            cth__waiter *also = w->also;
            cth__unlink(w->bucket, w);
            w = also;
        }
    }
    cth__cases_unlock(set, &wakes);
    return queued;
}

/* Look at all cases: returns how many are ready, one of them in `*pick`, the time at which the next
   becomes so by itself in `*due`. */
static uint32_t cth__cases_look(cth_case *cases,
                                size_t n,
                                cth__self *self,
                                cth_time *due,
                                size_t *pick) {
    uint32_t ready = 0;
    // From any place on: what becomes ready during the look is seen only if it stands further on.
    size_t i = n < 2 ? 0 : cth__random_below(self, (uint32_t)n);
    for (size_t k = 0; k < n; k++, i = i + 1 < n ? i + 1 : 0) {
        if (cth__case_ready(&cases[i], self, due, &cases[i].stamp)) {
            ready++;
            if (ready == 1 || cth__random_below(self, ready) == 0) {
                *pick = i;
            }
        }
    }
    return ready;
}

/* After a look that found no case ready: tell whether there was a moment when none was. */
static bool cth__cases_none(cth_case *cases, size_t n, cth__self *self) {
    // From any place on: the sooner one is seen, the less likely is another one ready as well.
    size_t i = n < 2 ? 0 : CTH__RANDOM_PLACE(self, (uint32_t)n, 0U);
    for (size_t k = 0; k < n; k++, i = i + 1 < n ? i + 1 : 0) {
        cth_time due = CTH_FOREVER;
        uint32_t stamp;
        // One that is ready now may have been so since before another one ceased to be.
        if (cth__case_ready(&cases[i], self, &due, &stamp) || stamp != cases[i].stamp) {
            return false;
        }
    }
    return true;
}

static cth_status cth__select(cth_case *cases,
                              size_t n,
                              size_t *index,
                              cth_time deadline,
                              bool watch,
                              void *site) {
    size_t ignored;
    index = index != NULL ? index : &ignored;
    *index = n;
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth_status status = deadline < 0 || n > UINT32_C(0xffffff) ? CTH_INVALID : CTH_OK;
    for (size_t i = 0; i < n && status == CTH_OK; i++) {
        if (cases[i].kind > CTH_CASE_TIME ||
            (cases[i].kind == CTH_CASE_TIME && cases[i].deadline < 0)) {
            status = CTH_INVALID;
        } else if (cases[i].object != NULL &&
                   (cases[i].kind == CTH_CASE_RECV || cases[i].kind == CTH_CASE_SEND)) {
            cth_chan *chan = (cth_chan *)cases[i].object;
            status = cth__chan_check(chan, 0, self);
            if (chan->kind == CTH__TIMED && cases[i].kind == CTH_CASE_SEND) {
                status = CTH_INVALID;
            }
        } else if (cases[i].object != NULL && cases[i].kind == CTH_CASE_GET &&
                   cth__queue_of_parent((cth_queue *)cases[i].object)) {
            status = CTH_FORKED;
        }
    }
    uint32_t used = 0;
    while (status == CTH_OK) {
        cth_time due = CTH_FOREVER;
        size_t pick = 0;
        if (cth__cases_look(cases, n, self, &due, &pick) != 0) {
            status = watch ? CTH_OK : cth__case_do(&cases[pick]);
            if (status != CTH_TIMEDOUT) {
                *index = pick;
                return status;
            }
            status = CTH_OK;
            continue;
        }
        if (cth__passed(deadline)) {
            // [chan.H] seq_cst: as in cth__chan_wait.
            cth__fence(seq_cst);
            if (cth__cases_none(cases, n, self)) {
                return CTH_TIMEDOUT;
            }
            continue;
        }
        if (cth__spin(self, &used)) {
            continue;
        }
        used = 0;
        cth__waiter *first = NULL;
        bool ready;
        const uint32_t queued = cth__cases_enqueue(cases, n, watch, self, &first, &ready);
        if (ready) {
            continue;
        }
        const cth__wait_desc desc = {.deadline = due < deadline ? due : deadline,
                                     .cancellable = true,
                                     .what = "select",
                                     .object = cases,
                                     .site = site};
        uint32_t won;
        status = cth__park(self, first, queued, &desc, &won);
        if (status == CTH_TIMEDOUT) {
            status = CTH_OK; // perhaps a case is due
        } else if (status == CTH_OK) {
            while (cases[pick].record_index != won >> 8) {
                pick++;
            }
            const bool done = watch || (won & CTH__HANDED) != 0;
            status = done ? CTH_OK : cth__case_do(&cases[pick]);
            if (status != CTH_TIMEDOUT) {
                *index = pick;
                return status;
            }
            status = CTH_OK;
        }
    }
    return status;
}

CTH_API cth_status cth_select(cth_case *cases, size_t n, size_t *index) {
    return cth__select(cases, n, index, CTH_FOREVER, false, CTH__CALL_SITE());
}

CTH_API cth_status cth_try_select(cth_case *cases, size_t n, size_t *index) {
    return cth__select(cases, n, index, 0, false, NULL);
}

CTH_API cth_status cth_select_until(cth_case *cases, size_t n, size_t *index, cth_time deadline) {
    return cth__select(cases, n, index, deadline, false, CTH__CALL_SITE());
}

CTH_API cth_status cth_select_ready(cth_case *cases, size_t n, size_t *index) {
    return cth__select(cases, n, index, CTH_FOREVER, true, CTH__CALL_SITE());
}

CTH_API cth_status cth_select_ready_until(cth_case *cases,
                                          size_t n,
                                          size_t *index,
                                          cth_time deadline) {
    return cth__select(cases, n, index, deadline, true, CTH__CALL_SITE());
}

CTH_API int cth__select_switch(cth_status *status, cth_case *cases, size_t n, cth_time deadline) {
    size_t index;
    cth_status got = cth__select(cases, n, &index, deadline, false, CTH__CALL_SITE());
    if (status != NULL) {
        *status = got;
    }
    return index < n ? (int)index : -1;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:future

   A future is the task itself: one block with the argument and the result behind the record. All
   of it changes under its executor's mutex, except what its task writes while it runs; `over` is
   set once nothing changes any more, so whoever sees that needs no lock. References are the
   caller's, one while the task is queued, waits or runs, and one of each task that waits for it.
   One that was asked for keeps its executor, for it may outlive all else. Any other task is kept by
   those that have to do with it: a worker keeps the executor too, and stays while there are tasks.

   Blocks of small tasks that have ended are kept for those to come: a thread that frees what others
   have allocated is slow in most allocators.

   A task ends in two steps. Under the mutex it gets its status, and `over` is set. Then, without
   the mutex, the same thread settles it: calls what was added to it, and queues or ends the tasks
   that wait for it. Those that end so are settled next, in a loop: a long chain needs no stack.

   A thread that waits for one of several futures marks them as `watched` under their mutexes and
   sleeps until cth__g.ended changes, which counts ends of watched tasks under its bucket's lock.
   ---------------------------------------------------------------------------------------------- */

enum { CTH__TASK_WAITS, CTH__TASK_QUEUED, CTH__TASK_RUNS, CTH__TASK_OVER, CTH__TASK_CANCELLED };
#  define CTH__EXECUTOR_NAME 40

/* A worker that sleeps; on its stack. */
typedef struct cth__sleeper {
    cth_cond wake;
    struct cth__sleeper *next;
    bool woken;               // it is not among the sleepers any more
    struct cth__child *child; // it does not wait at `wake` but here, see impl:process
} cth__sleeper;

/* Tasks, linked by `next`; `last` counts only while there are any. */
typedef struct cth__tasks {
    cth_future *first, *last;
    size_t n;
} cth__tasks;

/* Where submits leave tasks while all workers are awake. */
typedef struct cth__inbox {
    cth_mutex mutex; // guards all of this; taken after the executor's
    bool open;       // changes under both: under either one it can be read
    bool released;   // by the user
    size_t futures;  // asked for and not freed: they and the user have one of the executor's `refs`
    cth__tasks tasks;
    cth__tasks spare; // blocks
} cth__inbox;

struct cth_executor {
    // Nobody changes these after create.
    uint32_t workers, generation;
    size_t stack_size, capacity;
    cth_full_policy policy;
    cth_status (*on_start)(void *arg);
    void (*on_end)(void *arg);
    void *arg;
    struct cth__runner *runner; // NULL: its workers run the tasks themselves
    char name[CTH__EXECUTOR_NAME + 2];

    char apart[64]; // from what submits change, and that from what workers do
    cth__inbox inbox;
    char apart_too[64];

    cth_mutex mutex; // guards all below but `refs`; what each task changes is first
    uint32_t running;
    cth__tasks queue;
    cth__tasks spare; // blocks
    uint64_t completed;
    bool shut, now; // takes no more tasks; starts none either
    size_t waiting, peak;
    uint64_t failed, cancelled, dropped;
    struct cth__sleeper *sleepers; // workers with nothing to do, the latest first
    uint32_t settling, idle, waking, alive, started;
    cth_cond room;          // a task was taken out of the queue, or it is shut
    cth_cond ended;         // the last worker has ended, or it is shut and no task runs
    cth_status broken;      // CTH_BROKEN: as `shut` and `now`, with the text `error`
    cth_status start_error; // of the latest thread that could not be started
    cth__word refs;         // of the user and the futures together, and of the workers
    char error[sizeof(((cth__self *)0)->error) + 32];
};

/* What is to be done when a task has ended: call `fn`; or, if that is NULL, see to the task `arg`,
   which waits for it. */
typedef struct cth__callback {
    struct cth__callback *next;
    void (*fn)(cth_future *future, void *arg);
    void *arg;
} cth__callback;

struct cth_future {
    cth_executor *executor;
    cth_future *next; // among the queued, and among those to be settled
    union {
        cth_future *prev;  // while it is queued, and not the first one
        cth_future *after; // while it waits: for that one
    };
    cth_task_fn fn;
    cth_cancel *token;
    cth_event over;
    cth__word refs;
    cth__word state;
    cth_status status;
    struct cth__piece *piece;      // where its argument and result are if not in `bytes`
    cth__callback *callbacks;      // the latest first
    size_t result_at, result_size; // behind the argument
    bool unasked;                  // nobody has a handle
    bool watched;
    bool small;          // its block can be kept
    max_align_t bytes[]; // the argument, the result; after an error, its text
};

enum {
    CTH__SMALL = sizeof(((cth__self *)0)->error), // bytes of argument and result in a kept block
// Blocks an executor keeps: in the inbox, while its workers are awake and while one sleeps; and
// outside of it, until there are so many.
#  if CTH__SANITIZER
    CTH__KEPT = 0, // who uses a future after its release is to be found out
    CTH__KEPT_ASLEEP = 0,
    CTH__KEPT_HERE = 0
#  elif defined(CTHREADS_SIM)
    CTH__KEPT = 2,
    CTH__KEPT_ASLEEP = 1,
    CTH__KEPT_HERE = 1
#  else
    CTH__KEPT = 7168, // with those outside 2 MiB
    CTH__KEPT_ASLEEP = 8,
    CTH__KEPT_HERE = 1024
#  endif
};

/* A task that a thread runs, or a worker of the executor; `up` is what waits for this one. */
typedef struct cth__frame {
    const cth_executor *executor;
    const struct cth__frame *up;
    bool worker;
} cth__frame;

struct cth__mapping;

/* Memory for the argument and the result of one task, apart from its future. */
typedef struct cth__piece {
    struct cth__piece *next; // among the free ones
    cth__child_memory memory;
    uint64_t owner; // the process that shares it, 0: none
    size_t at;      // its place in the memory of that one
    size_t have;    // so much of it is there to be used
} cth__piece;

/* What does the tasks of an executor in place of its workers, see impl:process. */
typedef struct cth__runner {
    // At the submit. `*piece` becomes one for what is not to be in the future itself.
    cth_status (*accept)(cth_executor *executor,
                         cth_task_fn fn,
                         size_t arg_size,
                         size_t result_size,
                         cth__piece **piece);
    void (*give_back)(cth_executor *executor, cth__piece *piece);
    cth_status (*call)(cth_future *future, cth__self *self);
    // With the executor's mutex held: sleep until woken, or for a while; end such a sleep.
    void (*rest)(cth_executor *executor, cth__self *self, cth__sleeper *sleeper);
    void (*rouse)(struct cth__child *child);
    void (*leave)(cth_executor *executor, cth__self *self); // a worker ends
    cth_status (*map)(cth_executor *executor, struct cth__mapping *m);
} cth__runner;

/* The argument of a task. */
static void *cth__task_arg(cth_future *future) {
    return future->piece != NULL ? (void *)future->piece->memory.bytes : future->bytes;
}

static void *cth__task_result(cth_future *future) {
    return (unsigned char *)cth__task_arg(future) + future->result_at;
}

/* Where the result of a task begins, behind its argument: a place for any type. */
static size_t cth__result_place(size_t arg_size) {
    const size_t mask = _Alignof(max_align_t) - 1;
    return (arg_size + mask) & ~mask;
}

static bool cth__executor_of_parent(const cth_executor *executor) {
    return executor->generation != cth__g.generation;
}

/* Add a task at the end. */
static void cth__tasks_append(cth__tasks *tasks, cth_future *future) {
    future->next = NULL;
    future->prev = tasks->last;
    *(tasks->first != NULL ? &tasks->last->next : &tasks->first) = future;
    tasks->last = future;
    tasks->n++;
}

/* Move all of `from` to the end of `to`. */
static void cth__tasks_move(cth__tasks *from, cth__tasks *to) {
    if (from->first != NULL) {
        from->first->prev = to->last;
        *(to->first != NULL ? &to->last->next : &to->first) = from->first;
        to->last = from->last;
        to->n += from->n;
        *from = (cth__tasks){NULL, NULL, 0};
    }
}

/* Keep a block if it is small and there are not so many yet. In front: it is in a cache. */
static bool cth__tasks_keep(cth__tasks *tasks, cth_future *block, size_t most) {
    if (!block->small || tasks->n >= most) {
        return false;
    }
    block->next = tasks->first;
    tasks->last = tasks->first != NULL ? tasks->last : block;
    tasks->first = block;
    tasks->n++;
    return true;
}

/* Take the first task or block, or NULL. The next one is not written to: nobody looks before the
   first. */
static cth_future *cth__tasks_pop(cth__tasks *tasks) {
    cth_future *block = tasks->first;
    if (block != NULL) {
        tasks->first = block->next;
        tasks->n--;
    }
#  if CTH__GNU
    if (tasks->first != NULL) { // another thread wrote it last: have it on its way here
        __builtin_prefetch(tasks->first, 1);
        __builtin_prefetch((const char *)tasks->first + 64, 1);
    }
#  endif
    return block;
}

static void cth__tasks_free(cth__tasks *tasks) {
    for (cth_future *block; (block = cth__tasks_pop(tasks)) != NULL;) {
        cth__free(block);
    }
}

static void cth__executor_unref(cth_executor *executor) {
    CTH_SIM_READ(executor->broken); // for all that was done with it
    // [executor.A] acq_rel: who gives the last one back sees all the others did; pairs with itself.
    if (cth__sub(&executor->refs, 1, acq_rel) == 1) {
        CTH_SIM_WRITE(executor->broken);
        cth__tasks_free(&executor->inbox.spare);
        cth__tasks_free(&executor->spare);
        cth__free(executor->runner);
        cth__free(executor);
    }
}

/* Free a task of which nobody has a reference. */
static void cth__future_free(cth_future *future) {
    cth_executor *executor = future->executor;
    cth__inbox *inbox = &executor->inbox;
    if (future->piece != NULL) {
        executor->runner->give_back(executor, future->piece);
    }
    if (future->unasked) {
        cth__free(future);
        return;
    }
    (void)cth_mutex_lock(&inbox->mutex);
    // With a worker asleep nobody may come to free them.
    const bool kept =
        cth__tasks_keep(&inbox->spare, future, inbox->open ? CTH__KEPT : CTH__KEPT_ASLEEP);
    const bool last = --inbox->futures == 0 && inbox->released;
    (void)cth_mutex_unlock(&inbox->mutex);
    if (!kept) {
        cth__free(future);
    }
    if (last) {
        cth__executor_unref(executor);
    }
}

/* Give a reference back; true if it was the last one. */
static bool cth__future_unref_last(cth_future *future) {
    // [future.A] acq_rel: who gives the last one back sees all the others did; pairs with itself.
    // [future.B] acquire: as much, for who has the only one; pairs with [future.A].
    return cth__load(&future->refs, acquire) == 1 || cth__sub(&future->refs, 1, acq_rel) == 1;
}

static void cth__future_unref(cth_future *future) {
    if (cth__future_unref_last(future)) {
        cth__future_free(future);
    }
}

static uint32_t cth__task_state(const cth_future *future) {
    // relaxed: changes under the mutex; without it, a hint.
    return cth__load((cth__word *)(uintptr_t)&future->state, relaxed);
}

static void cth__task_becomes(cth_future *future, uint32_t state) {
    cth__store(&future->state, state, relaxed); // relaxed: as above
}

/* Under both mutexes: leave blocks in the inbox, unless it has enough. */
static void cth__spare_move(cth_executor *executor) {
    const size_t most = CTH__KEPT;
    if (executor->inbox.spare.n < most) {
        cth__tasks_move(&executor->spare, &executor->inbox.spare);
    }
}

/* Under the mutex: take all out of the inbox, into the queue, and leave blocks there. From now on
   submits put their tasks there if the workers that are awake will do: all there can be. */
static void cth__inbox_empty(cth_executor *executor) {
    cth__inbox *inbox = &executor->inbox;
    cth__tasks *queue = &executor->queue;
    const bool open = executor->alive == executor->workers && executor->sleepers == NULL &&
                      executor->capacity == 0 && !executor->shut && executor->broken == CTH_OK;
    if (!open && !inbox->open && executor->spare.first == NULL) {
        return; // nothing has come since it was closed
    }
    (void)cth_mutex_lock(&inbox->mutex);
    cth__tasks_move(&inbox->tasks, queue);
    executor->peak = queue->n > executor->peak ? queue->n : executor->peak;
    cth__spare_move(executor);
    inbox->open = open;
    (void)cth_mutex_unlock(&inbox->mutex);
}

/* Under the mutex: take a task out of the queue or the inbox. */
static void cth__task_unlink(cth_future *future) {
    cth_executor *executor = future->executor;
    cth__tasks *queue = &executor->queue;
    if (queue->first != future) { // then it may be in the inbox
        cth__inbox_empty(executor);
    }
    if (queue->first == future) {
        (void)cth__tasks_pop(queue);
    } else {
        future->prev->next = future->next;
        *(future->next != NULL ? &future->next->prev : &queue->last) = future->prev;
        queue->n--;
    }
    future->next = NULL;
    if (executor->capacity != 0) {
        (void)cth_cond_notify(&executor->room, 1);
    }
}

static const char *cth__future_text(const cth_future *future) {
    return future->status == CTH_OK ? "" : (const char *)future->bytes;
}

/* Under the mutex: end a task that is not queued, with a text unless `status` is CTH_OK. Then it is
   to be settled. */
static void cth__task_over(cth_future *future,
                           uint32_t state,
                           cth_status status,
                           const char *text) {
    cth_executor *executor = future->executor;
    if (cth__task_state(future) == CTH__TASK_RUNS) {
        *(status == CTH_OK ? &executor->completed : &executor->failed) += 1;
    } else {
        *(state == CTH__TASK_CANCELLED ? &executor->cancelled : &executor->dropped) += 1;
    }
    future->status = status;
    if (status != CTH_OK) {
        (void)snprintf((char *)future->bytes, CTH__SMALL, "%.*s", CTH__SMALL - 1, text);
    }
    cth__task_becomes(future, state);
    if (!future->unasked) {
        (void)cth_event_set(&future->over);
    }
}

/* Under the mutex: why no task is started any more; CTH_OK when one can be. */
static cth_status cth__executor_refuses(const cth_executor *executor) {
    return executor->broken != CTH_OK ? executor->broken : executor->now ? CTH_SHUTDOWN : CTH_OK;
}

/* Under the mutex: end a task that was not started and never will be. */
static void cth__task_drop(cth_future *future) {
    const cth_executor *executor = future->executor;
    const cth_status status = cth__executor_refuses(executor);
    cth__task_over(future, CTH__TASK_OVER, status,
                   status == CTH_BROKEN ? executor->error : cth_status_text(status));
}

/* Under the mutex: whether workers end when there is nothing to do. */
static bool cth__executor_closes(const cth_executor *executor) {
    return (executor->shut || executor->broken != CTH_OK) && executor->waiting == 0;
}

/* Under the mutex: wake up to `n` workers, those first which have slept least: they may not sleep
   yet. */
static void cth__workers_wake(cth_executor *executor, size_t n) {
    for (; n != 0 && executor->sleepers != NULL; n--) {
        cth__sleeper *sleeper = executor->sleepers;
        executor->sleepers = sleeper->next;
        executor->waking++;
        sleeper->woken = true;
        (void)cth_cond_notify(&sleeper->wake, 1);
        if (sleeper->child != NULL) {
            executor->runner->rouse(sleeper->child);
        }
    }
}

/* Under the mutex: one task less waits for another one. */
static void cth__task_waits_not(cth_executor *executor) {
    executor->waiting--;
    if (cth__executor_closes(executor)) {
        cth__workers_wake(executor, SIZE_MAX);
    }
}

static void cth__task_enqueue(cth_future *future);
static cth_status cth__worker_need(cth_executor *executor);

/* Under the mutex: the task that `future` waits for is over. Queue it, or end it in the same way:
   then it is to be settled, and this is true. */
static bool cth__task_goes_on(cth_future *future) {
    cth_executor *executor = future->executor;
    cth_future *first = future->after;
    if (cth__task_state(future) != CTH__TASK_WAITS) {
        return false; // another thread has seen to it, or it was cancelled
    }
    future->after = NULL;
    bool ended = true;
    if (first->status != CTH_OK) {
        cth__task_over(future, cth__task_state(first), first->status, cth__future_text(first));
    } else if (cth__executor_refuses(executor) != CTH_OK) {
        cth__task_drop(future);
    } else {
        cth__copy(cth__task_arg(future), cth__task_result(first), first->result_size);
        (void)cth__worker_need(executor); // there is one, for it stays while a task waits
        cth__task_enqueue(future);
        ended = false;
    }
    cth__task_waits_not(executor);
    cth__future_unref(first);
    return ended;
}

/* Wake who waits for one of several futures. */
static void cth__watched_ended(void) {
    cth__wakes wakes = {0};
    cth__bucket *bucket = cth__bucket_lock(&cth__g.ended, cth__tls);
    (void)cth__add(&cth__g.ended, 1, relaxed); // relaxed: changes under the bucket lock
    cth__claim_all(bucket, &cth__g.ended, &wakes);
    cth__bucket_close(bucket, &wakes);
}

/* Settle tasks that are over, linked by `next`, without the mutex, and give their references back.
   False in the child of a fork that a callback has made: then nothing may be touched. */
static bool cth__tasks_settle(cth_future *first) {
    cth_future *last = first;
    bool watched = false;
    for (cth_future *future = first; future != NULL; future = future->next) {
        CTH_SIM_READ(future->watched);
        watched |= future->watched;
        last = future;
    }
    if (watched) {
        cth__watched_ended(); // before any callback, which may take its time
    }
    while (first != NULL) {
        cth_future *future = first;
        cth_executor *executor = future->executor;
        cth__callback *callbacks = NULL; // the oldest first
        while (future->callbacks != NULL) {
            cth__callback *callback = future->callbacks;
            future->callbacks = callback->next;
            callback->next = callbacks;
            callbacks = callback;
        }
        while (callbacks != NULL) {
            cth__callback *callback = callbacks;
            void (*fn)(cth_future *, void *) = callback->fn;
            void *arg = callback->arg;
            callbacks = callback->next;
            cth__free(callback);
            if (fn != NULL) {
                fn(future, arg);
                if (cth__executor_of_parent(executor)) {
                    return false;
                }
                continue;
            }
            cth_future *then = (cth_future *)arg;
            (void)cth_mutex_lock(&executor->mutex);
            const bool ended = cth__task_goes_on(then);
            (void)cth_mutex_unlock(&executor->mutex);
            if (ended) {
                last = last->next = then;
                if (then->watched) {
                    cth__watched_ended();
                }
            }
            cth__future_unref(then); // the list's
        }
        first = future->next;
        cth__future_unref(future);
    }
    return true;
}

/* The one place where a task's function is called. */
static cth_status cth__task_call(cth_future *future, cth__self *self) {
    const cth__runner *runner = future->executor->runner;
    return runner != NULL ? runner->call(future, self)
                          : future->fn(cth__task_arg(future), cth__task_result(future));
}

/* Under the mutex, when something of it has ended: wake those who wait for the end of all. */
static void cth__executor_rests(cth_executor *executor) {
    if (executor->shut &&
        (executor->alive == 0 || (executor->running == 0 && executor->settling == 0))) {
        (void)cth_cond_notify_all(&executor->ended);
    }
}

static bool cth__executor_rested(const cth_executor *executor) {
    return executor->alive == 0 && executor->running == 0 && executor->settling == 0;
}

/* Under the mutex: keep the block of a task of which nobody has a reference, or free it. */
static void cth__task_recycle(cth_future *future) {
    cth_executor *executor = future->executor;
    cth__tasks *spare = &executor->spare;
    if (future->unasked && future->piece == NULL) {
        if (spare->n == CTH__KEPT_HERE) {
            (void)cth_mutex_lock(&executor->inbox.mutex);
            cth__spare_move(executor);
            (void)cth_mutex_unlock(&executor->inbox.mutex);
        }
        if (cth__tasks_keep(spare, future, CTH__KEPT_HERE)) {
            return;
        }
    }
    (void)cth_mutex_unlock(&executor->mutex); // it may take its time
    cth__future_free(future);
    (void)cth_mutex_lock(&executor->mutex);
}

/* Run a task that is not queued any more. The mutex is held, and held again afterwards; meanwhile
   the caller keeps the executor. False in the child of a fork that the task has made: then nothing
   of the executor may be touched. */
static bool cth__task_run(cth_future *future, cth__self *self) {
    cth_executor *executor = future->executor;
    char error[sizeof self->error]; // of the thread that runs it
    const bool has_error = self->error[0] != '\0';
    cth__task_becomes(future, CTH__TASK_RUNS);
    executor->running++;
    (void)cth_mutex_unlock(&executor->mutex);
    const cth__frame frame = {executor, self->frame, false};
    self->frame = &frame;
    if (has_error) {
        memcpy(error, self->error, sizeof error);
        self->error[0] = '\0';
    }
    cth__under under = cth__under_enter(future->token);
    const cth_status status = cth__task_call(future, self);
    cth__under_leave(&under);
    bool here = !cth__executor_of_parent(executor);
    if (here) {
        const char *text = self->error[0] != '\0' ? self->error : cth_status_text(status);
        if (status != CTH_OK && future->unasked) {
            cth__hook_call(self->thread, status, text);
        }
        (void)cth_mutex_lock(&executor->mutex);
        cth__task_over(future, CTH__TASK_OVER, status, text);
        executor->running--;
        if (future->callbacks == NULL && !future->watched) {
            if (cth__future_unref_last(future)) {
                cth__task_recycle(future);
            }
        } else {
            executor->settling++;
            (void)cth_mutex_unlock(&executor->mutex);
            here = cth__tasks_settle(future);
            if (here) {
                (void)cth_mutex_lock(&executor->mutex);
                executor->settling--;
            }
        }
        if (here) {
            cth__executor_rests(executor);
        }
    }
    self->frame = frame.up;
    self->error[0] = '\0';
    if (has_error) {
        memcpy(self->error, error, sizeof error);
    }
    return here;
}

/* Whether a thread may run tasks of the executor that it waits for. */
static bool cth__executor_helped(const cth_executor *executor, const cth__self *self) {
    bool helped = executor->on_start == NULL && executor->runner == NULL;
    for (const cth__frame *frame = self->frame; frame != NULL && !helped; frame = frame->up) {
        helped = frame->worker && frame->executor == executor;
    }
    return helped;
}

/* Bring a task nearer to its end without waiting: run it, or what it waits for, if nobody has
   started that. CTH_OK: look again; CTH_BUSY: another thread runs `*running`, of which this holds a
   reference if it is not the task itself; CTH_FORKED in the child of a fork made by a task. */
static cth_status cth__future_help(cth_future *future, cth__self *self, cth_future **running) {
    cth_executor *executor = future->executor;
    cth_future *at = future, *then = NULL; // `then` waits for `at`
    *running = future;
    if (!cth__executor_helped(executor, self)) {
        return CTH_BUSY;
    }
    (void)cth_mutex_lock(&executor->mutex);
    while (cth__task_state(at) == CTH__TASK_WAITS) {
        then = at;
        at = at->after;
    }
    if (cth__task_state(at) == CTH__TASK_QUEUED) {
        cth__task_unlink(at);
        if (!cth__task_run(at, self)) {
            return CTH_FORKED;
        }
        (void)cth_mutex_unlock(&executor->mutex);
        return CTH_OK;
    }
    if (cth__task_state(at) == CTH__TASK_RUNS) {
        if (at != future) {
            *running = at;
            (void)cth__add(&at->refs, 1, relaxed); // relaxed: under the mutex `then` has one
        }
        (void)cth_mutex_unlock(&executor->mutex);
        return CTH_BUSY;
    }
    // It has ended, and who ended it has not yet come to `then`.
    const bool ended = then != NULL && cth__task_goes_on(then);
    (void)cth_mutex_unlock(&executor->mutex);
    return !ended || cth__tasks_settle(then) ? CTH_OK : CTH_FORKED;
}

/* Wait until the task has ended. */
static cth_status cth__future_await(cth_future *future, cth__self *self, cth_time deadline) {
    cth_status status = CTH_OK;
    while (status == CTH_OK && !cth_event_is_set(&future->over)) {
        cth_future *running = future;
        if (cth__executor_of_parent(future->executor)) {
            return CTH_FORKED;
        }
        if (deadline == CTH_FOREVER) {
            status = cth__future_help(future, self, &running);
            if (status != CTH_BUSY) {
                continue;
            }
        }
        status = cth_event_wait_until(&running->over, deadline);
        if (running != future) {
            cth__future_unref(running);
        }
    }
    return status;
}

static cth_status cth__future_get(cth_future *future, void *result, cth_time deadline) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (deadline < 0) {
        return CTH_INVALID;
    }
    const cth_status status = cth__future_await(future, self, deadline);
    if (status != CTH_OK) {
        return status;
    }
    if (future->status == CTH_OK && result != NULL) {
        cth__copy(result, cth__task_result(future), future->result_size);
    }
    return future->status;
}

CTH_API cth_status cth_future_result(cth_future *future, void *result) {
    return cth__future_get(future, result, CTH_FOREVER);
}

CTH_API cth_status cth_future_try_result(cth_future *future, void *result) {
    return cth__future_get(future, result, 0);
}

CTH_API cth_status cth_future_result_until(cth_future *future, void *result, cth_time deadline) {
    return cth__future_get(future, result, deadline);
}

CTH_API bool cth_future_is_done(const cth_future *future) {
    return cth_event_is_set(&future->over);
}

CTH_API bool cth_future_is_running(const cth_future *future) {
    return cth__task_state(future) == CTH__TASK_RUNS;
}

CTH_API const char *cth_future_error(const cth_future *future) {
    return cth_event_is_set(&future->over) ? cth__future_text(future) : "";
}

CTH_API cth_event *cth_future_event(cth_future *future) {
    return future != NULL ? &future->over : NULL;
}

CTH_API cth_status cth_future_cancel(cth_future *future) {
    cth_executor *executor = future->executor;
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    if (cth__executor_of_parent(executor)) {
        return CTH_FORKED;
    }
    cth_future *after = NULL;
    (void)cth_mutex_lock(&executor->mutex);
    const uint32_t state = cth__task_state(future);
    if (state == CTH__TASK_QUEUED) {
        cth__task_unlink(future);
    } else if (state == CTH__TASK_WAITS) {
        after = future->after;
        future->after = NULL;
        cth__task_waits_not(executor);
    } else {
        (void)cth_mutex_unlock(&executor->mutex);
        return state == CTH__TASK_CANCELLED ? CTH_OK : CTH_BUSY;
    }
    cth__task_over(future, CTH__TASK_CANCELLED, CTH_CANCELLED, cth_status_text(CTH_CANCELLED));
    (void)cth_mutex_unlock(&executor->mutex);
    if (after != NULL) {
        cth__future_unref(after);
    }
    return cth__tasks_settle(future) ? CTH_OK : CTH_FORKED;
}

CTH_API cth_status cth_future_add_done_callback(cth_future *future,
                                                void (*fn)(cth_future *future, void *arg),
                                                void *arg) {
    cth_executor *executor = future->executor;
    if (fn == NULL) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    if (cth__executor_of_parent(executor)) {
        return CTH_FORKED;
    }
    cth__callback *callback = (cth__callback *)cth__alloc(sizeof *callback, false);
    if (callback == NULL) {
        return CTH_NOMEM;
    }
    callback->fn = fn;
    callback->arg = arg;
    (void)cth_mutex_lock(&executor->mutex);
    const bool over = cth_event_is_set(&future->over);
    if (!over) {
        callback->next = future->callbacks;
        future->callbacks = callback;
    }
    (void)cth_mutex_unlock(&executor->mutex);
    if (over) {
        cth__free(callback);
        fn(future, arg);
    }
    return CTH_OK;
}

static cth_status cth__task_new(cth_executor *executor,
                                cth_future **task,
                                cth_task_fn fn,
                                const void *arg,
                                size_t arg_size,
                                size_t result_size,
                                cth_future **asked,
                                bool *queued);
static cth_status cth__executor_admits(cth_executor *executor);

CTH_API cth_status cth_future_then(cth_future *first,
                                   cth_future **out,
                                   cth_task_fn fn,
                                   size_t result_size) {
    cth_executor *executor = first->executor;
    cth_future *future;
    cth_status status =
        cth__task_new(executor, &future, fn, NULL, first->result_size, result_size, out, NULL);
    if (status != CTH_OK) {
        return status;
    }
    cth__callback *link = (cth__callback *)cth__alloc(sizeof *link, false);
    if (link == NULL) {
        cth__future_free(future);
        return CTH_NOMEM;
    }
    (void)cth_mutex_lock(&executor->mutex);
    status = cth__executor_admits(executor);
    if (status != CTH_OK) {
        (void)cth_mutex_unlock(&executor->mutex);
        cth__free(link);
        cth__future_free(future);
        return status;
    }
    (void)cth__add(&first->refs, 1, relaxed); // relaxed: the caller has one
    if (out != NULL) {
        *out = future;
    }
    future->after = first;
    executor->waiting++;
    bool ended = false;
    if (cth_event_is_set(&first->over)) {
        ended = cth__task_goes_on(future);
    } else {
        (void)cth__add(&future->refs, 1, relaxed); // relaxed: nobody else knows it yet
        link->arg = future;
        link->next = first->callbacks;
        first->callbacks = link;
        link = NULL;
    }
    (void)cth_mutex_unlock(&executor->mutex);
    cth__free(link);
    if (ended) {
        (void)cth__tasks_settle(future);
    }
    return CTH_OK;
}

/* Tell whether a task is over; else it is watched from now on. */
static bool cth__future_watch(cth_future *future) {
    if (cth_event_is_set(&future->over)) {
        return true;
    }
    (void)cth_mutex_lock(&future->executor->mutex);
    const bool over = cth_event_is_set(&future->over);
    if (!over) { // else who settles it reads this
        CTH_SIM_WRITE(future->watched);
        future->watched = true;
    }
    (void)cth_mutex_unlock(&future->executor->mutex);
    return over;
}

/* None of these, which are watched since cth__g.ended was `count`, was over. Run one if none runs
   elsewhere and the deadline allows it, or wait until one has ended. */
static cth_status cth__futures_advance(cth_future *const *futures,
                                       size_t n,
                                       cth__self *self,
                                       uint32_t count,
                                       cth_time deadline) {
    bool runs = deadline != CTH_FOREVER;
    for (size_t i = 0; i < n && !runs; i++) {
        runs = futures[i] != NULL && cth_future_is_running(futures[i]);
    }
    for (size_t i = 0; i < n && !runs; i++) {
        cth_future *running;
        if (futures[i] != NULL && !cth_event_is_set(&futures[i]->over)) {
            const cth_status status = cth__future_help(futures[i], self, &running);
            if (status != CTH_BUSY) {
                return status;
            }
            if (running != futures[i]) {
                cth__future_unref(running);
            }
        }
    }
    if (cth__passed(deadline)) {
        return CTH_TIMEDOUT;
    }
    cth__waiter w;
    cth__bucket *bucket = cth__bucket_lock(&cth__g.ended, self);
    // relaxed: changes under the bucket lock.
    const bool same = cth__load(&cth__g.ended, relaxed) == count;
    if (same) {
        cth__enqueue(bucket, &w, &cth__g.ended, self, 0);
    }
    cth__unlock(&bucket->lock);
    const cth__wait_desc desc = {.deadline = deadline,
                                 .cancellable = true,
                                 .spin = true,
                                 .what = "futures",
                                 .object = futures,
                                 .site = CTH__CALL_SITE()};
    return same ? cth__park(self, &w, 1, &desc, NULL) : CTH_OK;
}

/* What the calls on several futures refuse. */
static cth_status cth__futures_check(cth_future *const *futures, size_t n, cth_time deadline) {
    if (deadline < 0 || (futures == NULL && n != 0)) {
        return CTH_INVALID;
    }
    for (size_t i = 0; i < n; i++) {
        if (futures[i] != NULL && !cth_event_is_set(&futures[i]->over) &&
            cth__executor_of_parent(futures[i]->executor)) {
            return CTH_FORKED;
        }
    }
    return CTH_OK;
}

CTH_API cth_status cth_future_wait(cth_future *const *futures, size_t n, cth_wait_for what) {
    return cth_future_wait_until(futures, n, what, CTH_FOREVER);
}

CTH_API cth_status cth_future_wait_until(cth_future *const *futures,
                                         size_t n,
                                         cth_wait_for what,
                                         cth_time deadline) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    cth_status status = cth__futures_check(futures, n, deadline);
    if (status == CTH_OK && (unsigned)what > CTH_FIRST_ERROR) {
        return CTH_INVALID;
    }
    for (size_t i = 0; what == CTH_ALL_DONE && i < n && status == CTH_OK; i++) {
        status = futures[i] != NULL ? cth__future_await(futures[i], self, deadline) : CTH_OK;
    }
    while (what != CTH_ALL_DONE && status == CTH_OK) {
        // relaxed: who watches and then sees no end has read it before that end counts.
        const uint32_t count = cth__load(&cth__g.ended, relaxed);
        bool left = false;
        for (size_t i = 0; i < n; i++) {
            if (futures[i] == NULL) {
                continue;
            }
            if (!cth__future_watch(futures[i])) {
                left = true;
            } else if (what == CTH_FIRST_DONE || futures[i]->status != CTH_OK) {
                return CTH_OK;
            }
        }
        if (!left) {
            break;
        }
        status = cth__futures_advance(futures, n, self, count, deadline);
    }
    return status;
}

CTH_API cth_status cth_future_next_done_until(cth_future **futures,
                                              size_t n,
                                              size_t *done,
                                              cth_time deadline) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (futures == NULL || done == NULL || *done > n) {
        return CTH_INVALID;
    }
    // Those before `*done` may have been released.
    cth_status status = cth__futures_check(futures + *done, n - *done, deadline);
    while (status == CTH_OK) {
        // relaxed: as above.
        const uint32_t count = cth__load(&cth__g.ended, relaxed);
        for (size_t i = *done; i < n; i++) {
            cth_future *future = futures[i];
            if (future == NULL || cth__future_watch(future)) {
                futures[i] = futures[*done];
                futures[(*done)++] = future;
                if (future != NULL) {
                    return CTH_OK;
                }
            }
        }
        status = *done == n
                     ? CTH_EMPTY
                     : cth__futures_advance(futures + *done, n - *done, self, count, deadline);
    }
    return status;
}

CTH_API cth_future *cth__completed(cth__completing *completing) {
    completing->begun = true;
    const cth_status status = cth_future_next_done_until(completing->futures, completing->n,
                                                         &completing->done, completing->deadline);
    return status == CTH_OK ? completing->futures[completing->done - 1] : NULL;
}

CTH_API cth_future *cth_future_retain(cth_future *future) {
    if (cth__self_get() == NULL) {
        return NULL;
    }
    if (!cth__executor_of_parent(future->executor)) {
        (void)cth__add(&future->refs, 1, relaxed); // relaxed: the caller has one
    }
    return future;
}

CTH_API void cth_future_release(cth_future *future) {
    if (future != NULL && !cth__executor_of_parent(future->executor)) {
        cth__future_unref(future);
    }
}

/* -------------------------------------------------------------------------------------------------
   >>impl:executor

   One queue under one mutex, and before it an inbox with a mutex of its own, after the two-lock
   queue of Michael and Scott, "Simple, fast, and practical non-blocking and blocking concurrent
   queue algorithms", PODC 1996. While all workers there can be are awake, a submit leaves its task
   in the inbox and is done: each of them looks there before it sleeps. So submits and workers do
   not contend, and a worker takes the mutex once for each task. Everybody else who takes the mutex
   to look for a task empties the inbox into the queue first. A worker falls asleep in this order:
   it joins the sleepers, which closes the inbox, then it finds that empty. With the inbox closed a
   submit takes the mutex and sees to it that there are workers.

   A worker is started when more tasks are queued than idle workers will take. One that was woken
   counts as idle, and as `waking`, until it has the mutex; then it takes tasks until none is left.
   As many are woken as tasks are queued, and none for a task that one on its way will find. Each
   sleeps on a condition of its own, so that the one to fall asleep last is the first to be woken.
   Workers of an executor that is shut stay while a task waits for another one: that may run
   elsewhere.

   A submit that waits for room is woken by who takes a task out of the queue, by a shutdown and by
   the break; one from within a task or worker of this executor does not wait.
   ---------------------------------------------------------------------------------------------- */

/* Under the mutex, when it was shut or has broken: tell all. */
static void cth__executor_close(cth_executor *executor) {
    cth__inbox_empty(executor);
    cth__workers_wake(executor, SIZE_MAX);
    (void)cth_cond_notify_all(&executor->room);
}

/* With the mutex held, which is let go of: end all tasks that have not started. */
static bool cth__executor_empty(cth_executor *executor) {
    cth__inbox_empty(executor);
    cth_future *first = executor->queue.first;
    for (cth_future *future = first; future != NULL; future = future->next) {
        cth__task_drop(future);
    }
    executor->queue = (cth__tasks){NULL, NULL, 0};
    cth__executor_close(executor);
    (void)cth_mutex_unlock(&executor->mutex);
    return cth__tasks_settle(first);
}

/* Under the mutex: free most of the blocks that are kept. */
static void cth__executor_trim(cth_executor *executor) {
    cth__inbox *inbox = &executor->inbox;
    cth__tasks some = executor->spare, others = {NULL, NULL, 0};
    executor->spare = others;
    (void)cth_mutex_lock(&inbox->mutex);
    if (inbox->spare.n > CTH__KEPT_ASLEEP) {
        others = inbox->spare;
        inbox->spare = (cth__tasks){NULL, NULL, 0};
    }
    (void)cth_mutex_unlock(&inbox->mutex);
    if (some.n + others.n != 0) {
        (void)cth_mutex_unlock(&executor->mutex); // it may take its time
        cth__tasks_free(&some);
        cth__tasks_free(&others);
        (void)cth_mutex_lock(&executor->mutex);
    }
}

// After so many wakes in vain a worker looks for tasks by itself.
#  ifdef CTHREADS_SIM
enum { CTH__VAIN = 1 };
#  else
enum { CTH__VAIN = 2 };
#  endif

/* Under the mutex, as one of the sleepers: sleep until woken; in vain the last `vain` times, since
   the thread that submitted the task also ran it. Then it does not spin: it would be woken by each
   such submit, and do nothing but get in its way. */
static void cth__worker_sleep(cth_executor *executor, cth__sleeper *sleeper, int vain) {
    cth__self *self = cth__tls;
    const uint32_t spin = self->spin, yields = self->yields;
    executor->idle++;
    if (executor->running == 0) {
        cth__executor_trim(executor);
    }
    if (vain != 0) {
        self->spin = self->yields = 0;
    }
    while (!sleeper->woken) {
        if (executor->runner != NULL) {
            executor->runner->rest(executor, self, sleeper);
        } else {
            (void)cth_cond_wait(&sleeper->wake, &executor->mutex);
        }
    }
    if (vain != 0) {
        self->spin = spin;
        self->yields = yields;
    }
    executor->idle--;
    executor->waking--;
}

/* Under the mutex: let go of it for about 200 ns, in which a next task may come, or several: better
   than to meet with who submits them for each. */
static void cth__worker_pause(cth_executor *executor) {
    (void)cth_mutex_unlock(&executor->mutex);
    for (int i = 0; i < 8; i++) {
        cth__spin_pause();
    }
    (void)cth_mutex_lock(&executor->mutex);
}

/* Under the mutex: look again a moment later, about as long as it takes to be woken. Meanwhile
   submits go by without a wake. */
static void cth__worker_nap(cth_executor *executor) {
    executor->idle++;
    (void)cth_mutex_unlock(&executor->mutex);
    (void)cth_sleep(CTH_US(20));
    (void)cth_mutex_lock(&executor->mutex);
    executor->idle--;
}

static cth_status cth__worker_main(void *arg) {
    cth_executor *executor = (cth_executor *)arg;
    cth__self *self = cth__tls;
    const cth__frame frame = {executor, NULL, true};
    self->frame = &frame;
    cth_status status = CTH_OK;
    bool here = true;
    int vain = 0; // so many times it was woken, or its nap ended, and there was nothing to do
    if (executor->on_start != NULL) {
        self->error[0] = '\0';
        status = executor->on_start(executor->arg);
        here = !cth__executor_of_parent(executor);
    }
    if (here) {
        (void)cth_mutex_lock(&executor->mutex);
    }
    if (here && status != CTH_OK) {
        if (executor->broken == CTH_OK) {
            (void)snprintf(executor->error, sizeof executor->error, "on_start of a worker: %s",
                           self->error[0] != '\0' ? self->error : cth_status_text(status));
            executor->broken = CTH_BROKEN;
        }
        here = cth__executor_empty(executor);
        if (here) {
            (void)cth_mutex_lock(&executor->mutex);
        }
    }
    while (here && status == CTH_OK) {
        if (executor->queue.first == NULL && vain == 0) {
            cth__worker_pause(executor);
        }
        if (executor->queue.first == NULL && vain >= CTH__VAIN) {
            cth__worker_nap(executor);
            vain = CTH__VAIN - 1;
        }
        if (executor->queue.first == NULL) {
            // As one that sleeps, so that from now on submits come to the mutex.
            cth__sleeper sleeper = {.next = executor->sleepers};
            executor->sleepers = &sleeper;
            cth__inbox_empty(executor);
            if (executor->queue.first == NULL && !cth__executor_closes(executor)) {
                cth__worker_sleep(executor, &sleeper, vain);
                vain++;
                continue;
            }
            executor->sleepers = sleeper.next;
        }
        cth_future *future = executor->queue.first;
        if (future == NULL) {
            break;
        }
        cth__task_unlink(future);
        here = cth__task_run(future, self);
        vain = 0;
    }
    if (here && status == CTH_OK && executor->on_end != NULL) {
        (void)cth_mutex_unlock(&executor->mutex);
        executor->on_end(executor->arg);
        here = !cth__executor_of_parent(executor);
        if (here) {
            (void)cth_mutex_lock(&executor->mutex);
        }
    }
    if (here && executor->runner != NULL) {
        (void)cth_mutex_unlock(&executor->mutex);
        executor->runner->leave(executor, self);
        (void)cth_mutex_lock(&executor->mutex);
    }
    self->frame = NULL;
    if (here) {
        executor->alive--;
        cth__executor_rests(executor);
        (void)cth_mutex_unlock(&executor->mutex);
        cth__executor_unref(executor);
    }
    return CTH_OK;
}

/* Under the mutex. */
static cth_status cth__worker_start(cth_executor *executor) {
    char name[CTH_THREAD_NAME_MAX + 1];
    (void)snprintf(name, sizeof name, "%s%u", executor->name, (unsigned)executor->started);
    cth_thread *thread;
    const cth_status status = cth_thread_spawn(
        &thread, cth__worker_main, executor,
        &(cth_thread_desc){.name = name, .stack_size = executor->stack_size, .daemon = true});
    if (status == CTH_OK) {
        cth_thread_release(thread);
        executor->started++;
        executor->alive++;
        (void)cth__add(&executor->refs, 1, relaxed); // relaxed: the caller has one
    } else {
        executor->start_error = status;
    }
    return status;
}

/* Under the mutex: start a worker if those that are idle have enough to do with what is queued. */
static cth_status cth__worker_need(cth_executor *executor) {
    cth_status status = CTH_OK;
    if (executor->queue.n >= executor->idle && executor->alive < executor->workers) {
        status = cth__worker_start(executor);
    }
    return executor->alive != 0 ? CTH_OK : status; // those there are will do it
}

/* Under the mutex: whether one more task may come; a worker for it is started if there is need. */
static cth_status cth__executor_admits(cth_executor *executor) {
    if (executor->broken != CTH_OK) {
        return cth_fail(executor->broken, "%s", executor->error);
    }
    return executor->shut ? CTH_SHUTDOWN : cth__worker_need(executor);
}

/* Under the mutex. */
static void cth__task_enqueue(cth_future *future) {
    cth_executor *executor = future->executor;
    cth__inbox_empty(executor); // those came before it
    cth__task_becomes(future, CTH__TASK_QUEUED);
    cth__tasks_append(&executor->queue, future);
    executor->peak = executor->queue.n > executor->peak ? executor->queue.n : executor->peak;
    if (executor->waking < executor->queue.n) {
        cth__workers_wake(executor, 1);
    }
}

/* Give a task its argument, if there is one yet, and their places. */
static void cth__task_fill(cth_future *future,
                           cth__piece *piece,
                           const void *arg,
                           size_t arg_size,
                           size_t result_at,
                           size_t result_size) {
    future->piece = piece;
    future->result_at = result_at;
    future->result_size = result_size;
    if (arg != NULL) {
        cth__copy(cth__task_arg(future), arg, arg_size);
    }
}

/* Make a task, of which the user gets a reference in `*asked` unless that is NULL. If `queued` is
   not NULL and the inbox is open it goes there, `*queued` is true, and it is not to be touched. */
static cth_status cth__task_new(cth_executor *executor,
                                cth_future **task,
                                cth_task_fn fn,
                                const void *arg,
                                size_t arg_size,
                                size_t result_size,
                                cth_future **asked,
                                bool *queued) {
    if (fn == NULL || arg_size > SIZE_MAX / 4 || result_size > SIZE_MAX / 4) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    if (cth__executor_of_parent(executor)) {
        return CTH_FORKED;
    }
    cth__piece *piece = NULL;
    if (executor->runner != NULL) {
        const cth_status status =
            executor->runner->accept(executor, fn, arg_size, result_size, &piece);
        if (status != CTH_OK) {
            return status;
        }
    }
    cth__inbox *inbox = &executor->inbox;
    const size_t result_at = cth__result_place(arg_size);
    const size_t size = piece != NULL ? 0 : result_at + result_size;
    const bool small = size <= CTH__SMALL;
    cth_cancel *token = cth_cancel_current();
    cth_future *future = NULL;
    if (small) {
        (void)cth_mutex_lock(&inbox->mutex);
        future = cth__tasks_pop(&inbox->spare);
    }
    if (future != NULL) {
        memset(future, 0, sizeof *future + size);
        cth__task_fill(future, piece, arg, arg_size, result_at, result_size);
    } else {
        if (small) {
            (void)cth_mutex_unlock(&inbox->mutex);
        }
        future =
            (cth_future *)cth__alloc(sizeof *future + (small ? (size_t)CTH__SMALL : size), false);
        if (future == NULL) {
            if (piece != NULL) {
                executor->runner->give_back(executor, piece);
            }
            return CTH_NOMEM;
        }
        cth__task_fill(future, piece, arg, arg_size, result_at, result_size);
        (void)cth_mutex_lock(&inbox->mutex);
    }
    future->executor = executor;
    future->fn = fn;
    future->token = token;
    future->small = small;
    future->unasked = asked == NULL;
    // relaxed: nobody else knows it yet.
    cth__store(&future->refs, asked != NULL ? 2 : 1, relaxed);
    inbox->futures += asked != NULL;
    if (queued != NULL && inbox->open) {
        *queued = true;
        if (asked != NULL) {
            *asked = future;
        }
        cth__task_becomes(future, CTH__TASK_QUEUED);
        cth__tasks_append(&inbox->tasks, future);
    }
    (void)cth_mutex_unlock(&inbox->mutex);
    *task = future;
    return CTH_OK;
}

CTH_API cth_status cth_executor_create(cth_executor **out, const cth_executor_desc *desc) {
    static const cth_executor_desc none = {0};
    desc = desc != NULL ? desc : &none;
    if (out == NULL || desc->workers > 65536 ||
        (unsigned)desc->policy > (unsigned)CTH_FULL_CALLER_RUNS ||
        (desc->name != NULL && strlen(desc->name) > CTH__EXECUTOR_NAME)) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    cth_executor *executor = (cth_executor *)cth__alloc(sizeof *executor, false);
    if (executor == NULL) {
        return CTH_NOMEM;
    }
    if (desc->name != NULL) {
        (void)snprintf(executor->name, sizeof executor->name, "%s-", desc->name);
    } else {
        // relaxed: a number for its name.
        (void)snprintf(executor->name, sizeof executor->name, "ThreadPoolExecutor-%u_",
                       (unsigned)cth__add(&cth__g.executors, 1, relaxed));
    }
    executor->workers = desc->workers != 0 ? desc->workers : cth__cpus_granted();
    executor->stack_size = desc->stack_size != 0 ? desc->stack_size : (size_t)1 << 20;
    executor->capacity = desc->capacity;
    executor->policy = desc->policy;
    executor->on_start = desc->on_start;
    executor->on_end = desc->on_end;
    executor->arg = desc->arg;
    executor->generation = cth__g.generation;
    cth__store(&executor->refs, 1, relaxed); // relaxed: nobody else knows it yet
    *out = executor;
    return CTH_OK;
}

/* Whether the calling thread runs a task of the executor, or is one of its workers. */
static bool cth__executor_around(const cth_executor *executor, const cth__self *self) {
    bool around = false;
    for (const cth__frame *frame = self->frame; frame != NULL; frame = frame->up) {
        around |= frame->executor == executor;
    }
    return around;
}

/* `policy`: what to do when the queue is full. */
static cth_status cth__submit(cth_executor *executor,
                              cth_future **out,
                              cth_task_fn fn,
                              const void *arg,
                              size_t arg_size,
                              size_t result_size,
                              cth_full_policy policy,
                              cth_time deadline) {
    cth_future *future;
    if (deadline < 0) {
        return CTH_INVALID;
    }
    bool queued = false;
    cth_status status =
        cth__task_new(executor, &future, fn, arg, arg_size, result_size, out, &queued);
    if (status != CTH_OK || queued) {
        return status;
    }
    cth__self *self = cth__tls;
    (void)cth_mutex_lock(&executor->mutex);
    bool full = false, runs = false;
    cth_status waited = CTH_OK;
    do {
        status = cth__executor_admits(executor);
        full = executor->capacity != 0 && executor->queue.n >= executor->capacity;
        if (status != CTH_OK || !full) {
            break;
        }
        runs = policy == CTH_FULL_CALLER_RUNS ||
               (policy == CTH_FULL_BLOCKS && cth__executor_around(executor, self));
        status = policy == CTH_FULL_FAILS ? CTH_FULL : waited;
        if (status == CTH_OK && !runs) {
            waited = cth_cond_wait_until(&executor->room, &executor->mutex, deadline);
        }
    } while (status == CTH_OK && !runs);
    if (status != CTH_OK) {
        (void)cth_mutex_unlock(&executor->mutex);
        cth__future_free(future);
        return status;
    }
    if (out != NULL) {
        *out = future;
    }
    if (runs) {
        // relaxed: the caller has one, which the task may release.
        (void)cth__add(&executor->refs, 1, relaxed);
        if (!cth__task_run(future, self)) {
            return CTH_FORKED;
        }
        (void)cth_mutex_unlock(&executor->mutex);
        cth__executor_unref(executor);
        return CTH_OK;
    }
    cth__task_enqueue(future);
    (void)cth_mutex_unlock(&executor->mutex);
    return CTH_OK;
}

CTH_API cth_status cth_submit(cth_executor *executor,
                              cth_future **out,
                              cth_task_fn fn,
                              const void *arg,
                              size_t arg_size,
                              size_t result_size) {
    return cth__submit(executor, out, fn, arg, arg_size, result_size, executor->policy,
                       CTH_FOREVER);
}

CTH_API cth_status cth_try_submit(cth_executor *executor,
                                  cth_future **out,
                                  cth_task_fn fn,
                                  const void *arg,
                                  size_t arg_size,
                                  size_t result_size) {
    return cth__submit(executor, out, fn, arg, arg_size, result_size, CTH_FULL_FAILS, CTH_FOREVER);
}

CTH_API cth_status cth_submit_until(cth_executor *executor,
                                    cth_future **out,
                                    cth_task_fn fn,
                                    const void *arg,
                                    size_t arg_size,
                                    size_t result_size,
                                    cth_time deadline) {
    return cth__submit(executor, out, fn, arg, arg_size, result_size, executor->policy, deadline);
}

CTH_API cth_status cth_run(cth_executor *executor,
                           cth_task_fn fn,
                           const void *arg,
                           size_t arg_size,
                           void *result,
                           size_t result_size) {
    cth_future *future;
    cth_status status = cth_submit(executor, &future, fn, arg, arg_size, result_size);
    if (status != CTH_OK) {
        return status;
    }
    status = cth_future_result(future, result);
    if (!cth_future_is_done(future)) {
        (void)cth_future_cancel(future);
    } else if (status != CTH_OK) {
        (void)cth_fail(status, "%s", cth__future_text(future));
    }
    cth_future_release(future);
    return status;
}

/* What the tasks of one cth_map share; on the stack of its caller, who waits for them all. */
typedef struct cth__mapping {
    cth_mutex mutex; // guards `status` and `error`
    const cth_executor *executor;
    cth_task_fn fn;
    unsigned char *args, *results;
    size_t arg_size, result_size;
    size_t n, share;
    cth__ptr take_at; // a number: of the first call that nobody has taken
    cth__ptr fail_at; // a number: the least index of a failed call, or n
    cth_status status;
    char error[sizeof(((cth__self *)0)->error)];
} cth__mapping;

/* Take some of the calls that are left: the more are left, the more. Returns the first one, with
   the one after the last in `*end`; n when there are none. */
static size_t cth__map_take(cth__mapping *m, size_t *end) {
    // relaxed: a number; arguments and results come and go with the tasks.
    void *taken = cth__load(&m->take_at, relaxed);
    do {
        const size_t at = (size_t)(uintptr_t)taken;
        *end = at + 1 + (m->n - at) / m->share;
        *end = *end < m->n ? *end : m->n;
        // relaxed: as above.
    } while (!cth__cas_weak(&m->take_at, &taken, (void *)(uintptr_t)*end, relaxed, relaxed));
    return (size_t)(uintptr_t)taken;
}

/* Make calls until all have been begun, or one has failed. */
static cth_status cth__map_some(void *arg, void *result) {
    cth__mapping *m = *(cth__mapping **)arg;
    cth__self *self = cth__tls;
    size_t end;
    (void)result;
    for (size_t i = cth__map_take(m, &end); i < m->n; i = cth__map_take(m, &end)) {
        // relaxed: whoever finds out late makes a call in vain.
        for (; i < end && i < (size_t)(uintptr_t)cth__load(&m->fail_at, relaxed); i++) {
            self->error[0] = '\0';
            void *to = m->result_size != 0 ? m->results + i * m->result_size : NULL;
            const cth_status status =
                m->fn(m->arg_size != 0 ? m->args + i * m->arg_size : NULL, to);
            if (cth__executor_of_parent(m->executor)) {
                return CTH_FORKED; // the mutex may be held by a thread that is not in this process
            }
            if (status != CTH_OK) {
                (void)cth_mutex_lock(&m->mutex);
                // relaxed, twice: changes under the mutex.
                if (i < (size_t)(uintptr_t)cth__load(&m->fail_at, relaxed)) {
                    cth__store(&m->fail_at, (void *)(uintptr_t)i, relaxed);
                    m->status = status;
                    (void)snprintf(m->error, sizeof m->error, "%s",
                                   self->error[0] != '\0' ? self->error : cth_status_text(status));
                }
                (void)cth_mutex_unlock(&m->mutex);
            }
        }
        if (i < end) {
            return CTH_OK; // an earlier call has failed, so all that nobody has taken are later
        }
    }
    return CTH_OK;
}

CTH_API cth_status cth_map(cth_executor *executor,
                           cth_task_fn fn,
                           void *args,
                           size_t arg_size,
                           void *results,
                           size_t result_size,
                           size_t n) {
    enum { HELPERS = 64, SHARES = 4 };
    if (fn == NULL) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (cth__executor_of_parent(executor)) {
        return CTH_FORKED;
    }
    const bool helped = cth__executor_helped(executor, self); // the caller makes calls too
    (void)cth_mutex_lock(&executor->mutex);
    cth_status status = executor->broken != CTH_OK
                            ? cth_fail(executor->broken, "%s", executor->error)
                        : executor->shut ? CTH_SHUTDOWN
                                         : CTH_OK;
    (void)cth_mutex_unlock(&executor->mutex);
    if (status != CTH_OK) {
        return status;
    }
    const size_t most = executor->workers < HELPERS ? executor->workers : HELPERS;
    cth__mapping m = {.executor = executor,
                      .fn = fn,
                      .args = (unsigned char *)args,
                      .results = (unsigned char *)results,
                      .arg_size = arg_size,
                      .result_size = result_size,
                      .n = n,
                      .share = (most + helped) * SHARES};
    // relaxed: the others get to know it by the submit.
    cth__store(&m.fail_at, (void *)(uintptr_t)n, relaxed);
    if (executor->runner != NULL) {
        status = executor->runner->map(executor, &m);
        if (m.status != CTH_OK) {
            memcpy(self->error, m.error, sizeof m.error);
        }
        return status;
    }
    cth__mapping *p = &m;
    cth_future *helpers[HELPERS];
    size_t count = 0;
    // As many as could have a call each beside the caller; without any it makes all calls itself.
    while (count < most && count + helped < n && status == CTH_OK) {
        status = cth__submit(executor, &helpers[count], cth__map_some, &p, sizeof p, 0,
                             helped || count != 0 ? CTH_FULL_FAILS : executor->policy, CTH_FOREVER);
        count += status == CTH_OK;
    }
    status = helped || count != 0 ? CTH_OK : status;
    if (helped) {
        (void)cth__map_some(&p, NULL);
    }
    bool forked = cth__executor_of_parent(executor);
    cth__under under = cth__under_enter(NULL); // they use this stack
    while (count > 0 && !forked) {
        cth_future *helper = helpers[--count];
        if (!helped || cth_future_cancel(helper) != CTH_OK) {
            const cth_status ended = cth_future_result(helper, NULL);
            status = helped || ended == CTH_OK ? status : ended;
            if (ended == CTH_BROKEN && !helped) {
                (void)cth_fail(ended, "%s", cth__future_text(helper));
            }
        }
        forked = cth__executor_of_parent(executor);
        cth_future_release(helper);
    }
    cth__under_leave(&under);
    if (forked) {
        return CTH_FORKED;
    }
    if (m.status != CTH_OK) {
        memcpy(self->error, m.error, sizeof m.error);
        return m.status;
    }
    // relaxed: nobody else is left. Helpers that did not run may have left calls undone.
    return (size_t)(uintptr_t)cth__load(&m.take_at, relaxed) == n ? CTH_OK : status;
}

CTH_API cth_status cth_map_each(cth_executor *executor,
                                cth_task_fn fn,
                                size_t arg_size,
                                size_t result_size,
                                size_t buffer,
                                bool (*next)(void *arg, void *context),
                                cth_status (*each)(void *result, void *context),
                                void *context) {
    if (fn == NULL || next == NULL || arg_size > SIZE_MAX / 4 || result_size > SIZE_MAX / 4 ||
        buffer > SIZE_MAX / 4 / sizeof(cth_future *)) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    if (cth__executor_of_parent(executor)) {
        return CTH_FORKED;
    }
    buffer = buffer != 0 ? buffer : (size_t)executor->workers * 2;
    max_align_t *arg = (max_align_t *)cth__alloc(
        (arg_size / sizeof *arg + 1) * sizeof *arg + buffer * sizeof(cth_future *), false);
    if (arg == NULL) {
        return CTH_NOMEM;
    }
    cth_future **ring = (cth_future **)(void *)(arg + arg_size / sizeof *arg + 1);
    size_t begun = 0, given = 0;
    bool more = true, pulled = false;
    cth_status status = CTH_OK;
    while (status == CTH_OK && (more || given != begun)) {
        if (more && !pulled && begun - given < buffer) {
            memset(arg, 0, arg_size);
            pulled = more = next(arg, context);
        }
        if (pulled && begun - given < buffer) {
            // With something to give this thread has better to do than to wait for room.
            status = cth__submit(executor, &ring[begun % buffer], fn, arg, arg_size, result_size,
                                 begun != given ? CTH_FULL_FAILS : executor->policy, CTH_FOREVER);
            pulled = status != CTH_OK;
            begun += status == CTH_OK;
            if (status != CTH_FULL || begun == given) {
                continue;
            }
        }
        if (begun != given) {
            cth_future *future = ring[given % buffer];
            status = cth_future_result(future, NULL);
            if (cth__executor_of_parent(executor)) {
                return CTH_FORKED;
            }
            if (!cth_future_is_done(future)) {
                break;
            }
            if (status != CTH_OK) {
                (void)cth_fail(status, "%s", cth__future_text(future));
            } else if (each != NULL) {
                status = each(cth__task_result(future), context);
            }
            given++;
            cth_future_release(future);
        }
    }
    cth__under under = cth__under_enter(NULL);
    while (given != begun) {
        cth_future *future = ring[given++ % buffer];
        if (cth_future_cancel(future) != CTH_OK) {
            (void)cth_future_result(future, NULL);
        }
        cth_future_release(future);
    }
    cth__under_leave(&under);
    cth__free(arg);
    return status;
}

CTH_API cth_status cth_executor_count(cth_executor *executor, cth_executor_counts *counts) {
    if (counts == NULL) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    if (cth__executor_of_parent(executor)) {
        return CTH_FORKED;
    }
    (void)cth_mutex_lock(&executor->mutex);
    cth__inbox_empty(executor);
    *counts = (cth_executor_counts){.workers = executor->workers,
                                    .alive = executor->alive,
                                    .idle = executor->idle,
                                    .started = executor->started,
                                    .start_error = executor->start_error,
                                    .peak_queued = executor->peak,
                                    .queued = executor->queue.n,
                                    .running = executor->running,
                                    .waiting = executor->waiting,
                                    .completed = executor->completed,
                                    .failed = executor->failed,
                                    .cancelled = executor->cancelled,
                                    .dropped = executor->dropped};
    (void)cth_mutex_unlock(&executor->mutex);
    counts->submitted = counts->queued + counts->running + counts->waiting + counts->completed +
                        counts->failed + counts->cancelled + counts->dropped;
    return CTH_OK;
}

static cth_status cth__executor_shut(cth_executor *executor, cth_shutdown how, cth_time deadline) {
    if ((how != CTH_DRAIN && how != CTH_NOW) || deadline < 0) {
        return CTH_INVALID;
    }
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (cth__executor_of_parent(executor)) {
        return CTH_FORKED;
    }
    const bool around = cth__executor_around(executor, self);
    cth_status status = CTH_OK;
    (void)cth_mutex_lock(&executor->mutex);
    executor->shut = true;
    if (how == CTH_NOW) {
        executor->now = true;
        if (!cth__executor_empty(executor)) {
            return CTH_FORKED;
        }
        (void)cth_mutex_lock(&executor->mutex);
    } else {
        cth__executor_close(executor);
    }
    // A task runs in a worker, or in a thread that asked for its result.
    while (!around && !cth__executor_rested(executor) && status == CTH_OK) {
        status = cth_cond_wait_until(&executor->ended, &executor->mutex, deadline);
    }
    status = cth__executor_rested(executor) ? CTH_OK : status;
    (void)cth_mutex_unlock(&executor->mutex);
    return status;
}

CTH_API cth_status cth_executor_shutdown(cth_executor *executor, cth_shutdown how) {
    return cth__executor_shut(executor, how, CTH_FOREVER);
}

CTH_API cth_status cth_executor_shutdown_until(cth_executor *executor,
                                               cth_shutdown how,
                                               cth_time deadline) {
    return cth__executor_shut(executor, how, deadline);
}

CTH_API void cth_executor_release(cth_executor *executor) {
    if (executor != NULL && cth__self_get() != NULL && !cth__executor_of_parent(executor)) {
        (void)cth_mutex_lock(&executor->mutex);
        executor->shut = true;
        cth__executor_close(executor);
        (void)cth_mutex_unlock(&executor->mutex);
        (void)cth_mutex_lock(&executor->inbox.mutex);
        executor->inbox.released = true;
        const bool last = executor->inbox.futures == 0;
        (void)cth_mutex_unlock(&executor->inbox.mutex);
        if (last) {
            cth__executor_unref(executor);
        }
    }
}

CTH_API cth__pooled cth__pooled_enter(cth_status *status, const cth_executor_desc *desc) {
    cth__pooled pooled = {NULL, false};
    *status = cth_executor_create(&pooled.executor, desc);
    return pooled;
}

CTH_API void cth__pooled_leave(cth__pooled *pooled) {
    if (pooled->executor != NULL) {
        cth__under under = cth__under_enter(NULL);
        (void)cth_executor_shutdown(pooled->executor, CTH_DRAIN);
        cth__under_leave(&under);
        cth_executor_release(pooled->executor);
        pooled->executor = NULL;
    }
    pooled->done = true;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:process

   Each worker thread of the executor has one process, which it starts, asks and buries; a task is a
   request to it and a reply. Both are of one fixed size, so nothing that a worker sends is taken
   for a length. Arguments and results lie in memory the two share, at places the parent decides:

       0                64                           CTH__CHILD_BASE    `size` of the request
       number, unused | argument, result: if small | pieces ...       |

   A worker writes a request's number to the front when it begins the task. If it dies and that is
   not there, the task was not begun, and another worker gets it.

   A small task has its bytes in its future, from where and to where they are copied. Those of a
   large one are never copied if all goes well: the submit puts the argument into a free piece, the
   task gets the addresses, and who asks for the result reads it there. Mapping and filling memory
   costs more than all the copies, so a piece stays mapped on both sides and is used again, but only
   with the same process: no other one ever sees it. Since the submit cannot know which process will
   take the task, it guesses by taking the piece that was given back last; if that was wrong, or if
   there was none, the bytes are copied into a piece of the right process. A piece whose process has
   ended stays for its future only. Free pieces together keep no more than CTH__PIECES_KEPT bytes.

   What waits: a worker thread, in the poll of cth__os_child_recv, for a reply, the death of its
   process, or the timeout; and when it has had nothing to do for a while, in cth__os_child_watch,
   for that death or a task. Whoever kills the process wakes it by that; so there is nothing else to
   wake. The list of processes is for them; a process leaves it before its number can become another
   process's.
   ---------------------------------------------------------------------------------------------- */

#  define CTH__REQUEST     UINT32_C(0x43746871)
#  define CTH__REPLY       UINT32_C(0x43746872)
#  define CTH__CHILD_HEAD  ((size_t)64)
#  define CTH__CHILD_TRIES 10         // workers in a row that die before they begin a task
#  define CTH__CHILD_GRACE CTH_S(5)   // for exit handlers, when a worker is to end
#  define CTH__CHILD_REST  CTH_MS(20) // after so long without a task its end is waited for
#  ifdef CTHREADS_SIM
#    define CTH__CHILD_BASE  ((size_t)128)
#    define CTH__PIECES_KEPT ((size_t)1024)
#  else
#    define CTH__CHILD_BASE  ((size_t)1 << 18) // more than a task of cth__process_map has
#    define CTH__PIECES_KEPT ((size_t)1 << 26)
#  endif

typedef struct cth__request {
    uint32_t kind, number;
    int64_t fn; // from cth__chunk_run
    uint64_t arg_at, arg_size, result_at, result_size;
    uint64_t size; // of the shared memory
} cth__request;

typedef struct cth__reply {
    uint32_t kind, number, status;
    char error[sizeof(((cth__self *)0)->error)];
} cth__reply;

typedef struct cth__child {
    cth__child_handle os;
    struct cth__child *next, *prev;
    uint64_t id;     // no other has it
    uint32_t number; // of the latest request
    uint32_t tasks;  // that it has done
} cth__child;

typedef struct cth__processes {
    cth__runner runner; // first: how the executor calls this section
    cth_mutex mutex;    // guards the five below
    cth__child *first;
    int ending;       // the signal all were sent, or 0
    uint64_t started; // so many processes
    cth__piece *free; // the latest first; all of processes that live
    size_t kept;      // what those have of memory
    uint32_t max_tasks;
    cth_time timeout;
    cth_task_fn init;
    size_t init_arg_size;
    max_align_t init_arg[];
} cth__processes;

// Many calls of one cth_map as one task: this, then the arguments; and the results after the other.
typedef struct cth__chunk {
    int64_t fn; // from cth__chunk_run
    uint64_t n, arg_size, result_size;
} cth__chunk;

typedef struct cth__chunk_end {
    uint64_t done;   // calls that ended with CTH_OK
    uint32_t status; // of the next one
    char error[sizeof(((cth__self *)0)->error)];
} cth__chunk_end;

#  define CTH__ALIGNED(type) \
    ((sizeof(type) + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t))

static cth_status cth__chunk_run(void *arg, void *result);

// How far functions are from each other is the same in all processes of the program.
static int64_t cth__fn_to_offset(cth_task_fn fn) {
    return (int64_t)(intptr_t)((uintptr_t)fn - (uintptr_t)cth__chunk_run);
}

static cth_task_fn cth__fn_at_offset(int64_t offset) {
    return (cth_task_fn)((uintptr_t)cth__chunk_run + (uintptr_t)(intptr_t)offset);
}

static cth_status cth__chunk_run(void *arg, void *result) {
    const cth__chunk *chunk = (const cth__chunk *)arg;
    cth__chunk_end *end = (cth__chunk_end *)result;
    const cth_task_fn fn = cth__fn_at_offset(chunk->fn);
    unsigned char *args = (unsigned char *)arg + CTH__ALIGNED(cth__chunk);
    unsigned char *results = (unsigned char *)result + CTH__ALIGNED(cth__chunk_end);
    cth__self *self = cth__tls;
    for (uint64_t i = 0; i < chunk->n && end->status == CTH_OK; i++) {
        self->error[0] = '\0';
        end->status =
            (uint32_t)fn(chunk->arg_size != 0 ? args + i * chunk->arg_size : NULL,
                         chunk->result_size != 0 ? results + i * chunk->result_size : NULL);
        end->done += end->status == CTH_OK;
    }
    if (end->status != CTH_OK) {
        memcpy(end->error, self->error, sizeof end->error);
    }
    return CTH_OK;
}

/* In a worker: do what is asked for and make the reply. Returns its size, 0 for no request. `dies`:
   the simulator wants it to begin only. */
static size_t cth__hook_answer(const void *bytes,
                               size_t size,
                               unsigned char *shared,
                               size_t room,
                               void *reply_bytes,
                               bool dies) {
    cth__request request;
    cth__reply reply;
    if (size != sizeof request) {
        return 0;
    }
    memcpy(&request, bytes, sizeof request);
    if (request.kind != CTH__REQUEST || request.arg_at < CTH__CHILD_HEAD ||
        request.arg_at > request.result_at || request.result_at > room ||
        request.arg_size > request.result_at - request.arg_at ||
        request.result_size > room - request.result_at) {
        return 0;
    }
    // Not atomic: read after this process has ended, or not at all. Volatile: before the call.
    *(volatile uint32_t *)(void *)shared = request.number;
    if (dies) {
        return 0;
    }
    unsigned char *result = shared + (size_t)request.result_at;
    cth__self *self = cth__self_get();
    cth_status status = CTH_NOMEM;
    memset(&reply, 0, sizeof reply);
    if (self != NULL) {
        memset(result, 0, (size_t)request.result_size);
        self->error[0] = '\0';
        status = cth__fn_at_offset(request.fn)(shared + (size_t)request.arg_at, result);
        if (status != CTH_OK) {
            memcpy(reply.error, self->error, sizeof reply.error);
        }
    }
    reply.kind = CTH__REPLY;
    reply.number = request.number;
    reply.status = (unsigned)status <= CTH_FAILED ? (uint32_t)status : CTH_FAILED;
    memcpy(reply_bytes, &reply, sizeof reply);
    return sizeof reply;
}

/* Take a message of `size` bytes as the reply to request `number`; false when it is none. */
static bool cth__reply_read(cth__reply *reply, const void *bytes, size_t size, uint32_t number) {
    if (size != sizeof *reply) {
        return false;
    }
    memcpy(reply, bytes, sizeof *reply);
    return reply->kind == CTH__REPLY && reply->number == number && reply->status <= CTH_FAILED &&
           memchr(reply->error, '\0', sizeof reply->error) != NULL;
}

/* Take a free piece of `size` bytes: one of that process, or of any. NULL: there is none. */
static cth__piece *cth__piece_take(cth__processes *p, uint64_t owner, size_t size) {
    cth__piece *found = NULL;
    (void)cth_mutex_lock(&p->mutex);
    // First those that have so much memory; then, if it can be filled here, others.
    for (int empty = 0; empty <= (owner != 0) && found == NULL; empty++) {
        for (cth__piece **link = &p->free; *link != NULL; link = &(*link)->next) {
            cth__piece *piece = *link;
            if ((owner == 0 || piece->owner == owner) &&
                (empty ? piece->memory.size : piece->have) >= size) {
                found = piece;
                *link = piece->next;
                p->kept -= piece->have;
                break;
            }
        }
    }
    (void)cth_mutex_unlock(&p->mutex);
    return found;
}

static void cth__piece_empty(cth__piece *piece) {
    cth__memory_empty(&piece->memory);
    piece->have = 0;
}

static void cth__piece_free(cth__piece *piece) {
    if (piece->owner != 0) {
        cth__memory_unmap(&piece->memory);
    }
    cth__free(piece);
}

static void cth__piece_give_back(cth__processes *p, cth__piece *piece) {
    if (piece->have > CTH__PIECES_KEPT) {
        cth__piece_empty(piece);
    }
    (void)cth_mutex_lock(&p->mutex);
    const cth__child *child = p->first;
    while (child != NULL && child->id != piece->owner) {
        child = child->next;
    }
    if (child != NULL) {
        piece->next = p->free;
        p->free = piece;
        p->kept += piece->have;
        while (p->kept > CTH__PIECES_KEPT) { // the oldest gives way
            cth__piece *oldest = piece;
            for (cth__piece *at = piece; at != NULL; at = at->next) {
                oldest = at->have != 0 ? at : oldest;
            }
            p->kept -= oldest->have;
            cth__piece_empty(oldest);
        }
    }
    (void)cth_mutex_unlock(&p->mutex);
    if (child == NULL) {
        cth__piece_free(piece);
    }
}

/* A piece of the calling thread's worker. */
static cth__piece *cth__piece_get(cth__processes *p, cth__child *child, size_t size) {
    cth__piece *piece = cth__piece_take(p, child->id, size);
    if (piece == NULL) {
        size_t room = CTH__CHILD_BASE * 2;
        while (room < size && room < SIZE_MAX / 4) {
            room *= 2;
        }
        piece = (cth__piece *)cth__alloc(sizeof *piece, false);
        if (piece == NULL) {
            return NULL;
        }
        piece->owner = child->id;
        piece->at = child->os.size;
        if (room < size || room > SIZE_MAX - piece->at ||
            !cth__child_map(&child->os, &piece->memory, piece->at, room)) {
            cth__free(piece);
            return NULL;
        }
    }
    if (piece->have < size) {
        const size_t part = piece->memory.size / 8; // what is filled: whole ones
        const size_t most = (size + part - 1) / part * part;
        if (!cth__child_fill(&child->os, piece->at, most)) {
            cth__piece_give_back(p, piece);
            return NULL;
        }
        piece->have = most;
    }
    return piece;
}

/* End the calling thread's worker; how it ended goes to `text`. `grace`: 0 kills it. */
static void cth__child_drop(cth__processes *p, cth__self *self, cth_time grace, char text[64]) {
    cth__child *child = self->child;
    cth__piece *pieces = NULL; // its free ones
    self->child = NULL;
    (void)cth_mutex_lock(&p->mutex);
    *(child->prev != NULL ? &child->prev->next : &p->first) = child->next;
    if (child->next != NULL) {
        child->next->prev = child->prev;
    }
    for (cth__piece **link = &p->free; *link != NULL;) {
        cth__piece *piece = *link;
        if (piece->owner != child->id) {
            link = &piece->next;
            continue;
        }
        *link = piece->next;
        p->kept -= piece->have;
        piece->next = pieces;
        pieces = piece;
    }
    (void)cth_mutex_unlock(&p->mutex);
    while (pieces != NULL) {
        cth__piece *piece = pieces;
        pieces = piece->next;
        cth__piece_free(piece);
    }
    cth__child_end(&child->os, grace != 0 ? cth_after(grace) : 0, text, 64);
    cth__free(child);
}

/* Start a worker for the calling thread. */
static cth_status cth__child_new(cth__processes *p, cth__self *self) {
    cth__child *child = (cth__child *)cth__alloc(sizeof *child, false);
    if (child == NULL) {
        return CTH_NOMEM;
    }
    const cth_status status = cth__child_start(&child->os, cth__process.program,
                                               cth_thread_name(self->thread), CTH__CHILD_BASE);
    if (status != CTH_OK) {
        cth__free(child);
        return cth_fail(status, "no worker could be started: %s", cth_status_text(status));
    }
    (void)cth_mutex_lock(&p->mutex);
    child->next = p->first;
    if (child->next != NULL) {
        child->next->prev = child;
    }
    p->first = child;
    child->id = ++p->started;
    if (p->ending != 0) {
        cth__child_kill(&child->os, p->ending);
    }
    (void)cth_mutex_unlock(&p->mutex);
    self->child = child;
    return CTH_OK;
}

/* Whether bytes do not go where those of small tasks go. */
static bool cth__child_large(size_t size) {
    return size > CTH__CHILD_BASE - CTH__CHILD_HEAD;
}

/* Have the calling thread's worker run `fn`. Argument and result are small and at `data`; else they
   are in, or come to be in, `*piece`, with the result behind the `result_at` bytes of the argument.
   What `fn` returns, with its text; or, and then the worker is no more: CTH_BROKEN, with `*begun`
   false if it has not begun; CTH_TIMEDOUT. */
static cth_status cth__child_ask(cth__processes *p,
                                 cth__self *self,
                                 cth_task_fn fn,
                                 cth__piece **piece,
                                 unsigned char *data,
                                 size_t result_at,
                                 size_t result_size,
                                 bool *begun) {
    cth__child *child = self->child;
    const bool large = cth__child_large(result_at + result_size);
    const cth_time deadline = p->timeout != 0 ? cth_after(p->timeout) : CTH_FOREVER;
    unsigned char bytes[sizeof(cth__reply) + 1]; // a longer message must not look like a reply
    cth__reply reply;
    char how[64];
    *begun = true;
    if (!large) {
        cth__copy(child->os.shared + CTH__CHILD_HEAD, data, result_at);
    } else if (*piece == NULL || (*piece)->owner != child->id) {
        cth__piece *own = cth__piece_get(p, child, result_at + result_size);
        if (own == NULL) {
            return cth_fail(CTH_NOMEM, "no memory to share with a worker");
        }
        cth__copy(own->memory.bytes, data, result_at);
        if (*piece != NULL) {
            cth__piece_give_back(p, *piece);
        }
        *piece = own;
    }
    const size_t at = large ? (*piece)->at : CTH__CHILD_HEAD;
    const cth__request request = {CTH__REQUEST,          ++child->number,
                                  cth__fn_to_offset(fn), (uint64_t)at,
                                  (uint64_t)result_at,   (uint64_t)(at + result_at),
                                  (uint64_t)result_size, (uint64_t)child->os.size};
    int got = 0;
    if (cth__child_send(&child->os, &request, sizeof request)) {
        got = cth__child_recv(&child->os, bytes, sizeof bytes, deadline);
    }
    if (got > 0 && cth__reply_read(&reply, bytes, (size_t)got, child->number)) {
        if (reply.status == CTH_OK) {
            if (!large) {
                cth__copy(data + result_at, child->os.shared + at + result_at, result_size);
            }
        } else {
            memcpy(self->error, reply.error, sizeof self->error);
        }
        return (cth_status)reply.status;
    }
    // It has died, or is about to; else it is killed, at once if it is late or sends nonsense.
    *begun = got != 0 || *(volatile uint32_t *)(void *)child->os.shared == child->number;
    cth__child_drop(p, self, got == 0 ? CTH_MS(50) : 0, how);
    if (got < 0) {
        return cth_fail(CTH_TIMEDOUT, "took longer than its timeout, so its worker was killed");
    }
    return got > 0 ? cth_fail(CTH_BROKEN, "the worker sent something else than a reply")
                   : cth_fail(CTH_BROKEN, "%s", how);
}

/* Run a task in the calling thread's worker. */
static cth_status cth__process_call(cth_future *future, cth__self *self) {
    cth__processes *p = (cth__processes *)(void *)future->executor->runner;
    char how[64];
    for (int tries = 1;; tries++) {
        bool begun = true;
        cth_status status = CTH_OK;
        if (self->child == NULL) {
            status = cth__child_new(p, self);
            if (status == CTH_OK && p->init != NULL) {
                cth__piece *piece = NULL;
                status = cth__child_ask(p, self, p->init, &piece, (unsigned char *)p->init_arg,
                                        p->init_arg_size, 0, &begun);
                if (piece != NULL) {
                    cth__piece_give_back(p, piece);
                }
                begun = self->child != NULL || status != CTH_BROKEN; // else another worker tries
                if (status != CTH_OK && self->child != NULL) {
                    cth__child_drop(p, self, CTH__CHILD_GRACE, how);
                }
            }
        }
        if (status == CTH_OK) {
            status = cth__child_ask(p, self, future->fn, &future->piece,
                                    (unsigned char *)cth__task_arg(future), future->result_at,
                                    future->result_size, &begun);
            if (self->child != NULL && ++self->child->tasks == p->max_tasks) {
                cth__child_drop(p, self, CTH__CHILD_GRACE, how);
            }
        }
        (void)cth_mutex_lock(&p->mutex);
        const bool ending = p->ending != 0;
        (void)cth_mutex_unlock(&p->mutex);
        if (begun || ending || tries == CTH__CHILD_TRIES) {
            return status;
        }
    }
}

/* With nothing to do for a while: wait for the end of the process too. Not at once, since who ends
   such a wait has to make a system call more. */
static void cth__process_rest(cth_executor *executor, cth__self *self, cth__sleeper *sleeper) {
    const cth_time till = self->child != NULL ? cth_after(CTH__CHILD_REST) : CTH_FOREVER;
    if (cth_cond_wait_until(&sleeper->wake, &executor->mutex, till) != CTH_TIMEDOUT ||
        sleeper->woken) {
        return;
    }
    char how[64];
    sleeper->child = self->child;
    (void)cth_mutex_unlock(&executor->mutex);
    const bool ended = cth__child_watch(&self->child->os);
    (void)cth_mutex_lock(&executor->mutex);
    sleeper->child = NULL;
    if (ended) {
        (void)cth_mutex_unlock(&executor->mutex);
        cth__child_drop((cth__processes *)(void *)executor->runner, self, CTH_MS(50), how);
        (void)cth_mutex_lock(&executor->mutex);
    }
}

static void cth__process_rouse(cth__child *child) {
    cth__child_rouse(&child->os);
}

/* The calling thread will run no more tasks. */
static void cth__process_leave(cth_executor *executor, cth__self *self) {
    char how[64];
    if (self->child != NULL) {
        cth__child_drop((cth__processes *)(void *)executor->runner, self, CTH__CHILD_GRACE, how);
    }
}

static cth_status cth__process_can(cth_task_fn fn, size_t arg_size, size_t result_size) {
    if (!cth__os_in_program((uintptr_t)fn)) {
        return cth_fail(CTH_INVALID, "a function of a shared library cannot run in a process");
    }
    return arg_size <= CTH_PROCESS_BYTES_MAX && result_size <= CTH_PROCESS_BYTES_MAX
               ? CTH_OK
               : cth_fail(CTH_INVALID, "more bytes than a task in a process may have");
}

static cth_status cth__process_accept(cth_executor *executor,
                                      cth_task_fn fn,
                                      size_t arg_size,
                                      size_t result_size,
                                      cth__piece **piece) {
    cth__processes *p = (cth__processes *)(void *)executor->runner;
    const cth_status status = cth__process_can(fn, arg_size, result_size);
    const size_t result_at = cth__result_place(arg_size);
    if (status == CTH_OK && cth__child_large(result_at + result_size)) {
        *piece = cth__piece_take(p, 0, result_at + result_size);
        if (*piece == NULL) {
            *piece = (cth__piece *)cth__alloc_raw(CTH__ALIGNED(cth__piece) + result_at, false);
            if (*piece == NULL) {
                return CTH_NOMEM;
            }
            memset(*piece, 0, sizeof **piece);
            (*piece)->memory.bytes = (unsigned char *)*piece + CTH__ALIGNED(cth__piece);
        }
    }
    return status;
}

static void cth__process_give_back(cth_executor *executor, cth__piece *piece) {
    cth__piece_give_back((cth__processes *)(void *)executor->runner, piece);
}

/* What cth_map asks for, as tasks of `some` calls each, a number of them at a time. */
static cth_status cth__process_map(cth_executor *executor, cth__mapping *m) {
    enum { AHEAD = 64, SHARES = 8, BYTES = 65536 };
    const cth__processes *p = (const cth__processes *)(const void *)executor->runner;
    const size_t most = m->arg_size > m->result_size ? m->arg_size : m->result_size;
    size_t some = p->timeout != 0 ? 1 : m->n / executor->workers / SHARES;
    some = most != 0 && some > BYTES / most ? BYTES / most : some;
    unsigned char *chunk = NULL; // for an argument
    if (some > 1) {
        chunk = (unsigned char *)cth__alloc(CTH__ALIGNED(cth__chunk) + some * m->arg_size, false);
        if (chunk == NULL) {
            return CTH_NOMEM;
        }
    }
    some = some > 1 ? some : 1;
    cth_future *ahead[AHEAD];
    size_t begun = 0, done = 0; // tasks
    cth_status status = CTH_OK, refused = CTH_OK;
    cth__under under = cth__under_enter(NULL); // whatever is cancelled
    for (;;) {
        const size_t at = begun * some, n = m->n - at < some ? m->n - at : some;
        const bool more = at < m->n && status == CTH_OK;
        if (more && refused == CTH_OK && begun - done < AHEAD) {
            const unsigned char *args = m->arg_size != 0 ? m->args + at * m->arg_size : NULL;
            if (chunk == NULL) {
                refused = cth_submit(executor, &ahead[begun % AHEAD], m->fn, args, m->arg_size,
                                     m->result_size);
            } else {
                const cth__chunk head = {cth__fn_to_offset(m->fn), n, m->arg_size, m->result_size};
                memcpy(chunk, &head, sizeof head);
                cth__copy(chunk + CTH__ALIGNED(cth__chunk), args, n * m->arg_size);
                refused = cth_submit(executor, &ahead[begun % AHEAD], cth__chunk_run, chunk,
                                     CTH__ALIGNED(cth__chunk) + n * m->arg_size,
                                     CTH__ALIGNED(cth__chunk_end) + n * m->result_size);
            }
            begun += refused == CTH_OK;
            continue;
        }
        if (begun == done) {
            break; // all is done, or the executor takes no more
        }
        const size_t from = done * some;
        size_t calls = m->n - from < some ? m->n - from : some;
        cth_future *future = ahead[done++ % AHEAD];
        if (status == CTH_OK || cth_future_cancel(future) != CTH_OK) {
            const cth_status got = cth_future_result(future, NULL);
            const unsigned char *results = (unsigned char *)cth__task_result(future);
            const cth__chunk_end *end = (const cth__chunk_end *)(const void *)results;
            const char *error = cth_future_error(future);
            if (status == CTH_OK && (status = got) == CTH_OK) {
                if (chunk != NULL) {
                    status = end->status <= CTH_FAILED ? (cth_status)end->status : CTH_FAILED;
                    error = end->error[0] != '\0' ? end->error : cth_status_text(status);
                    results += CTH__ALIGNED(cth__chunk_end);
                    calls = end->done < calls ? (size_t)end->done : calls;
                }
                if (m->result_size != 0) {
                    cth__copy(m->results + from * m->result_size, results, calls * m->result_size);
                }
            }
            if (status != CTH_OK && m->status == CTH_OK) {
                m->status = status;
                (void)snprintf(m->error, sizeof m->error, "%.*s", (int)sizeof m->error - 1, error);
            }
        }
        cth_future_release(future);
        refused = CTH_OK; // there may be room now
    }
    cth__under_leave(&under);
    cth__free(chunk);
    status = status != CTH_OK ? status : refused;
    return status;
}

CTH_API void cth_process_main(int argc, char **argv) {
    cth__process.program = argc > 0 ? argv[0] : "";
#  ifndef CTHREADS_SIM
    cth__os_child worker;
    if (!cth__os_worker_begin(&worker, argc, argv)) {
        return;
    }
    cth__request request;
    cth__reply reply;
    (void)cth_thread_set_name(cth_thread_current(), argv[2]);
    const uint32_t generation = cth__g.generation;
    while (cth__os_worker_recv(&worker, &request, sizeof request) &&
           cth__os_worker_map(&worker, (size_t)request.size) &&
           cth__hook_answer(&request, sizeof request, worker.shared, worker.size, &reply, false) !=
               0 &&
           cth__g.generation == generation) { // else the task has forked, and this is its child
        (void)fflush(stdout);
        (void)cth__os_child_send(&worker, &reply, sizeof reply);
    }
    exit(EXIT_SUCCESS);
#  endif
}

CTH_API cth_status cth_process_executor_create(cth_executor **out, const cth_process_desc *desc) {
    static const cth_process_desc none = {0};
    static const cth__runner runner = {
        cth__process_accept, cth__process_give_back, cth__process_call, cth__process_rest,
        cth__process_rouse,  cth__process_leave,     cth__process_map};
    desc = desc != NULL ? desc : &none;
    if (out == NULL || desc->timeout < 0 || desc->init_arg_size > CTH_PROCESS_BYTES_MAX ||
        desc->policy == CTH_FULL_CALLER_RUNS) {
        return CTH_INVALID;
    }
    if (!cth__children()) {
        return cth_fail(CTH_UNSUPPORTED, "this program cannot be started again as a worker: "
                                         "no way to its file, or to the bounds of its code");
    }
    if (cth__process.program == NULL) {
        return cth_fail(CTH_INVALID, "cth_process_main was not called, first in main");
    }
    if (desc->init != NULL) {
        const cth_status status = cth__process_can(desc->init, desc->init_arg_size, 0);
        if (status != CTH_OK) {
            return status;
        }
    }
    cth__processes *p = (cth__processes *)cth__alloc(sizeof *p + desc->init_arg_size, false);
    if (p == NULL) {
        return CTH_NOMEM;
    }
    p->runner = runner;
    p->max_tasks = desc->max_tasks;
    p->timeout = desc->timeout;
    p->init = desc->init;
    p->init_arg_size = desc->init_arg_size;
    cth__copy(p->init_arg, desc->init_arg, desc->init_arg_size);
    cth_executor *executor;
    const cth_status status = cth_executor_create(
        &executor, &(cth_executor_desc){.workers = desc->workers,
                                        .name = desc->name != NULL ? desc->name : "",
                                        .capacity = desc->capacity,
                                        .policy = desc->policy});
    if (status != CTH_OK) {
        cth__free(p);
        return status;
    }
    if (desc->name == NULL) {
        // relaxed: a number for its name.
        (void)snprintf(executor->name, sizeof executor->name, "Process-%u_",
                       (unsigned)cth__add(&cth__g.executors, 1, relaxed));
    }
    executor->runner = &p->runner;
    *out = executor;
    return CTH_OK;
}

static cth_status cth__processes_end(cth_executor *executor, int number) {
    if (executor->runner == NULL) {
        return CTH_INVALID;
    }
    // Those that wait end first, so that no worker is started for them. It does not wait itself.
    const cth_status status = cth_executor_shutdown_until(executor, CTH_NOW, 0);
    if (status != CTH_OK && status != CTH_TIMEDOUT) {
        return status;
    }
    cth__processes *p = (cth__processes *)(void *)executor->runner;
    (void)cth_mutex_lock(&p->mutex);
    p->ending = number;
    for (cth__child *child = p->first; child != NULL; child = child->next) {
        cth__child_kill(&child->os, number);
    }
    (void)cth_mutex_unlock(&p->mutex);
    return cth_executor_shutdown(executor, CTH_NOW);
}

CTH_API cth_status cth_process_executor_terminate(cth_executor *executor) {
    return cth__processes_end(executor, SIGTERM);
}

CTH_API cth_status cth_process_executor_kill(cth_executor *executor) {
    return cth__processes_end(executor, SIGKILL);
}

/* -------------------------------------------------------------------------------------------------
   >>impl:parallel

   Each thread that works has a deque: an array of forks, which it pushes and pops at the top. The
   oldest ones are public, from `tail` to `split`: others steal at the tail, the owner takes back at
   the split. All above is private, and costs no atomic operation. Who takes the last public fork
   sets the owner's `split` to all ones, so that its next push or pop comes to the slow path, which
   publishes half of what is private.

       deque:   stolen        | public         | private        | free
                0 ...    tail | tail ... split | split ... top  |

   Tail and split are in one word, `bounds`, so a steal and a taking back are one compare-and-swap
   each. With them goes a count of the calls the deque has worked for, so that a steal for one call
   cannot take what meanwhile belongs to another. A fork that was taken stays at its place until its
   join, so its arguments are read after the steal; its result is written there, and the end is told
   by its `state`, after which the thief touches neither it nor its owner's stack.

   A thread without work looks at all deques for a moment, then lists itself among the sleepers,
   passes a fence, looks once more, and sleeps on its semaphore; who publishes passes a fence and
   looks at `sleepers`. So one of them sees the other.

   When the array is full, forks go to overflow chunks, which are never public.
   ---------------------------------------------------------------------------------------------- */

#  ifdef CTHREADS_SIM // small, so that it overflows
#    define CTH__FORKS 5
#  else
#    define CTH__FORKS 1000
#  endif
#  define CTH__TEAM_NAME    40
#  define CTH__TEAM_MOST    4096
#  define CTH__TEAM_CALLERS 6         // places beyond two for each thread
#  define CTH__SHORT        CTH_US(3) // a loop that takes no longer is not worth a second thread
enum { CTH__FORK_OPEN, CTH__FORK_AWAITED, CTH__FORK_DONE };

typedef struct cth__spill {
    struct cth__spill *below, *above; // `above` is kept for the next time
    cth__fork forks[CTH__FORKS + 1];  // one more, for the push that finds it full
} cth__spill;

/* A place at work: a thread of the team has one for life, a caller for its call. */
typedef struct cth__place {
    cth__deque deque;
    struct cth_team *team;
    cth__fork *forks;  // CTH__FORKS + 1 of them, each on a cache line; made with the first use
    void *memory;      // what they lie in
    cth__spill *chunk; // the one in use, or NULL
    cth__spill *spare; // the lowest one
    uint32_t split;    // as in `bounds`
    cth_rng rng;
    char pad[64];     // below: what thieves write
    cth__word bounds; // tail, split << 10, calls << 20
    cth__word taken;  // a caller's place: in use
    cth__ptr root;    // the place of the caller that it works for, or NULL
    cth_sem wake;     // guarded by the team's mutex, but for the wait
    struct cth__place *next_asleep;
    bool asleep;
    char pad2[64];
} cth__place;

struct cth_team {
    cth_mutex mutex; // guards what follows
    cth__place *sleeping;
    uint32_t unstarted, started;
    bool shut;
    bool common; // the process's
    uint32_t generation, workers, places;
    size_t stack_size;
    char name[CTH__TEAM_NAME + 2];
    cth__word sleepers; // those asleep, and those not started
    cth__word failed;   // threads that could not be started
    cth__word used;     // places below this have forks
    cth_thread **threads;
    cth__place place[]; // those of its threads, then those of callers
};

#  define CTH__TAIL(bounds)  ((bounds)&0x3ff)
#  define CTH__SPLIT(bounds) ((bounds) >> 10 & 0x3ff)

static bool cth__team_of_parent(const cth_team *team) {
    return team->generation != cth__g.generation;
}

/* The owner's split from now on, which it finds at once, or it comes to the slow path first. */
static uintptr_t cth__split_set(cth__place *place, uint32_t split, bool come) {
    const uintptr_t from = (uintptr_t)&place->forks[split];
    place->split = split;
    // relaxed: the owner's own.
    cth__store(&place->deque.room, (void *)((uintptr_t)&place->forks[CTH__FORKS] - from), relaxed);
    // [team.A] relaxed: whether it was [team.B] that it replaces is all that matters.
    return (uintptr_t)cth__swap(&place->deque.split, (void *)(come ? UINTPTR_MAX : from), relaxed);
}

/* Begin to work for the caller `root`, with an empty deque. */
static void cth__place_begin(cth__place *place, cth__place *root) {
    // relaxed: nobody steals while nothing is public.
    const uint32_t calls = (cth__load(&place->bounds, relaxed) >> 20) + 1;
    // relaxed, both: published with the first forks, [team.E].
    cth__store(&place->root, (void *)root, relaxed);
    cth__store(&place->bounds, calls << 20, relaxed);
}

/* Forks for a place; false when memory is lacking. */
static bool cth__place_ready(cth__place *place) {
    if (place->forks == NULL) {
        const uintptr_t line = sizeof(cth__fork) - 1;
        place->memory = cth__alloc_raw((CTH__FORKS + 2) * sizeof(cth__fork), place->team->common);
        place->forks = (cth__fork *)(((uintptr_t)place->memory + line) & ~line);
    }
    return place->forks != NULL;
}

static void cth__place_free(cth__place *place) {
    while (place->spare != NULL) {
        cth__spill *above = place->spare->above;
        cth__free(place->spare);
        place->spare = above;
    }
    cth__free(place->memory);
}

/* Wake the thread of a place that is to look again; with the mutex held, which is let go of. */
static void cth__place_wake(cth_team *team, cth__place *place) {
    if (place->asleep) {
        cth__place **at = &team->sleeping;
        while (*at != place) {
            at = &(*at)->next_asleep;
        }
        *at = place->next_asleep;
        place->asleep = false;
        // relaxed: who adds to it looks again.
        (void)cth__sub(&team->sleepers, 1, relaxed);
        (void)cth_sem_release(&place->wake);
    }
    (void)cth_mutex_unlock(&team->mutex);
}

static cth_status cth__team_main(void *arg);

/* There is something to steal for the caller `root`: wake one thread that may, or start one. */
static void cth__team_wake(cth_team *team, const void *root) {
    // [team.C] seq_cst: after the forks were published; pairs with [team.D]. relaxed: the fence.
    cth__fence_light();
    if (cth__load(&team->sleepers, relaxed) == 0 || cth__team_of_parent(team)) {
        return;
    }
    (void)cth_mutex_lock(&team->mutex);
    cth__place *place = team->sleeping;
    // relaxed: a place that sleeps keeps its root.
    while (place != NULL && cth__load(&place->root, relaxed) != NULL &&
           cth__load(&place->root, relaxed) != root) {
        place = place->next_asleep;
    }
    if (place != NULL) {
        cth__place_wake(team, place);
        return;
    }
    if (team->unstarted != 0) {
        char name[CTH_THREAD_NAME_MAX + 1];
        const uint32_t number = team->started;
        (void)snprintf(name, sizeof name, "%s%u", team->name, (unsigned)number + 1);
        // relaxed: as in cth__place_wake.
        (void)cth__sub(&team->sleepers, 1, relaxed);
        team->unstarted--;
        if (cth__place_ready(&team->place[number]) &&
            cth_thread_spawn(
                &team->threads[number], cth__team_main, &team->place[number],
                &(cth_thread_desc){.name = name, .stack_size = team->stack_size, .daemon = true}) ==
                CTH_OK) {
            team->started++;
        } else {
            (void)cth__add(&team->failed, 1, relaxed); // relaxed: a figure
        }
    }
    (void)cth_mutex_unlock(&team->mutex);
}

/* Make half of the private forks public; `top` is the number of forks in the array. */
static void cth__publish(cth__place *place, uint32_t top) {
    const uint32_t n = (top - place->split + 1) / 2;
    if (n == 0 || place->team->workers < 2 || cth__team_of_parent(place->team)) {
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        // relaxed: published below.
        cth__store(&place->forks[place->split + i].state, CTH__FORK_OPEN, relaxed);
        CTH_SIM_WRITE(place->forks[place->split + i]);
    }
    // Before the forks are public: who takes the last one sets it to all ones afterwards.
    (void)cth__split_set(place, place->split + n, place->chunk != NULL);
    // [team.E] release: publishes the forks; pairs with [team.F].
    (void)cth__add(&place->bounds, n << 10, release);
    // relaxed: the thread's own.
    cth__team_wake(place->team, cth__load(&place->root, relaxed));
}

CTH_API cth__fork *cth__fork_slow(cth_forks forks) {
    cth__place *place = (cth__place *)forks.deque;
    cth__fork *fork = forks.top - 1;
    if (place->chunk == NULL && fork != &place->forks[CTH__FORKS]) {
        cth__publish(place, (uint32_t)(forks.top - place->forks));
        return forks.top;
    }
    if (place->chunk == NULL || fork == &place->chunk->forks[CTH__FORKS]) {
        cth__spill **above = place->chunk == NULL ? &place->spare : &place->chunk->above;
        if (*above == NULL) {
            *above = (cth__spill *)cth__alloc(sizeof **above, place->team->common);
            if (*above == NULL) {
                cth__panic_status("cth_fork", CTH_NOMEM);
            }
            (*above)->below = place->chunk;
        }
        place->chunk = *above;
        place->chunk->forks[0] = *fork;
        forks.top = &place->chunk->forks[1];
        (void)cth__split_set(place, place->split, true);
    }
    cth__publish(place, CTH__FORKS);
    return forks.top;
}

/* Run a fork that was stolen, for the caller `root`, with the deque free from `top` on. */
static void cth__run_stolen(cth__place *place,
                            cth__fork *top,
                            cth__place *victim,
                            cth__fork *fork) {
    cth_team *team = place->team;
    const cth_forks forks = {&place->deque, top};
    CTH_SIM_WRITE(*fork);
    fork->run(forks, fork);
    if (cth__team_of_parent(team)) {
        return;
    }
    CTH_SIM_WRITE(*fork);
    // [team.G] acq_rel: publishes the result; pairs with [team.H]. Acquires that the owner is
    // listed, from [team.I]. The fork is the owner's again.
    // slack(acq_rel->release): in the simulator the owner's lock comes first in any case.
    if (cth__swap(&fork->state, CTH__FORK_DONE, acq_rel) == CTH__FORK_AWAITED) {
        (void)cth_mutex_lock(&team->mutex);
        cth__place_wake(team, victim);
    }
}

/* Whether there is something to steal for `root`, or with NULL for anyone. */
static bool cth__may_steal(cth__place *victim, const void *root) {
    // relaxed: after the fence [team.D].
    const uint32_t bounds = cth__load(&victim->bounds, relaxed);
    // relaxed: a hint; the steal looks again.
    return CTH__TAIL(bounds) < CTH__SPLIT(bounds) &&
           (root == NULL || cth__load(&victim->root, relaxed) == root);
}

/* Steal a fork of another place and run it; false when there is none. */
static bool cth__steal(cth__place *place, cth__fork *top) {
    cth_team *team = place->team;
    void *root = cth__load(&place->root, relaxed);      // relaxed: the thread's own
    const uint32_t n = cth__load(&team->used, relaxed); // relaxed: a hint
    const uint32_t start = (uint32_t)cth_rng_below(&place->rng, n);
    for (uint32_t i = 0; i < n; i++) {
        cth__place *victim = &team->place[start + i < n ? start + i : start + i - n];
        // [team.F] acquire: sees the root that goes with this count of calls; pairs with [team.E].
        uint32_t bounds = cth__load(&victim->bounds, acquire);
        if (victim == place || CTH__TAIL(bounds) >= CTH__SPLIT(bounds)) {
            continue;
        }
        // relaxed: it belongs to the count in `bounds`, which the compare-and-swap sees unchanged.
        void *victims_root = cth__load(&victim->root, relaxed);
        // [team.F] acquire: sees the fork; pairs with [team.E].
        if ((root != NULL && root != victims_root) ||
            !cth__cas(&victim->bounds, &bounds, bounds + 1, acquire, relaxed)) {
            continue;
        }
        const uint32_t tail = CTH__TAIL(bounds);
        cth__fork *fork = &victim->forks[tail];
        if (tail + 1 == CTH__SPLIT(bounds)) {
            // [team.B] relaxed: comes after what was there when the forks were published.
            cth__store(&victim->deque.split, (void *)UINTPTR_MAX, relaxed);
        } else {
            cth__team_wake(team, victims_root);
        }
        if (root == NULL) {
            cth__place_begin(place, (cth__place *)victims_root);
            (void)cth__split_set(place, 0, true);
        }
        cth__run_stolen(place, top, victim, fork);
        if (root == NULL) {
            cth__store(&place->root, NULL, relaxed); // relaxed: nothing of it is public
        }
        return true;
    }
    return false;
}

/* Sleep until there may be something to steal, or `awaited` is done; false when the team ends. */
static bool cth__place_sleep(cth__place *place, cth__fork *awaited) {
    cth_team *team = place->team;
    const void *root = cth__load(&place->root, relaxed); // relaxed: the thread's own
    (void)cth_mutex_lock(&team->mutex);
    if (awaited == NULL && team->shut) {
        (void)cth_mutex_unlock(&team->mutex);
        return false;
    }
    place->asleep = true;
    place->next_asleep = team->sleeping;
    team->sleeping = place;
    (void)cth__add(&team->sleepers, 1, relaxed); // relaxed: the fence
    (void)cth_mutex_unlock(&team->mutex);
    cth__fence_heavy(); // [team.D] seq_cst: before it looks again; pairs with [team.C]
    uint32_t open = CTH__FORK_OPEN;
    // [team.I] release: the thief sees that it is listed; pairs with [team.G]. relaxed on failure:
    // the caller looks again.
    bool found = awaited != NULL &&
                 // slack: as at [team.G].
                 !cth__cas(&awaited->state, &open, CTH__FORK_AWAITED, release, relaxed) &&
                 open == CTH__FORK_DONE;
    const uint32_t n = cth__load(&team->used, relaxed); // relaxed: after the fence
    for (uint32_t i = 0; i < n && !found; i++) {
        found = &team->place[i] != place && cth__may_steal(&team->place[i], root);
    }
    if (found) {
        (void)cth_mutex_lock(&team->mutex);
        cth__place_wake(team, place); // unless another thread has
    }
    cth__under under = cth__under_enter(NULL);
    (void)cth_sem_acquire(&place->wake);
    cth__under_leave(&under);
    return true;
}

/* Wait for a stolen fork, and run others meanwhile. */
static void cth__fork_await(cth__place *place, cth__fork *fork) {
    const cth__self *self = cth__tls;
    uint32_t used = 0;
    // [team.H] acquire: sees the result; pairs with [team.G].
    while (cth__load(&fork->state, acquire) != CTH__FORK_DONE) {
        if (cth__team_of_parent(place->team)) {
            cth__panic_status("cth_join", CTH_FORKED);
        }
        if (cth__steal(place, fork + 1)) {
            used = 0;
        } else if (!cth__spin(self, &used)) {
            (void)cth__place_sleep(place, fork);
        }
    }
}

CTH_API cth__popped cth__join_slow(cth_forks forks) {
    cth__place *place = (cth__place *)forks.deque;
    cth__fork *fork = forks.top - 1;
    if (place->chunk != NULL) {
        if (fork != place->chunk->forks) {
            return (cth__popped){fork, true};
        }
        place->chunk = place->chunk->below;
        if (place->chunk != NULL) {
            return (cth__popped){&place->chunk->forks[CTH__FORKS], true};
        }
        return (cth__popped){&place->forks[CTH__FORKS], true};
    }
    const uint32_t i = (uint32_t)(fork - place->forks);
    if (i >= place->split) {
        cth__publish(place, i);
        return (cth__popped){fork, true};
    }
    // relaxed: the compare-and-swap decides; the fork is the thread's own while nobody has it.
    uint32_t bounds = cth__load(&place->bounds, relaxed);
    while (CTH__TAIL(bounds) < CTH__SPLIT(bounds)) {
        // relaxed: it takes nothing over.
        if (cth__cas(&place->bounds, &bounds, bounds - (1U << 10), relaxed, relaxed)) {
            // When nothing is left to steal, or a thief has asked meanwhile: come again.
            const bool more = CTH__TAIL(bounds) < i;
            if (cth__split_set(place, i, !more) == UINTPTR_MAX && more) {
                (void)cth__split_set(place, i, true);
            }
            return (cth__popped){fork, true};
        }
    }
    cth__fork_await(place, fork);
    CTH_SIM_READ(*fork);
    // Nothing is public, so no thief writes the word. relaxed: the next publishing releases.
    cth__store(&place->bounds, bounds - (1U << 10) - 1, relaxed);
    (void)cth__split_set(place, i, true);
    return (cth__popped){fork, false};
}

CTH_API void cth__fork_run(cth_forks forks, cth__fork *fork) {
    fork->u.call.status = fork->u.call.fn(forks, fork->u.call.arg);
}

static cth_status cth__team_main(void *arg) {
    cth__place *place = (cth__place *)arg;
    cth__self *self = cth__tls;
    uint32_t used = 0;
    self->team = place->team;
    while (!cth__team_of_parent(place->team)) {
        if (cth__steal(place, place->forks)) {
            used = 0;
        } else if (!cth__spin(self, &used) && !cth__place_sleep(place, NULL)) {
            break;
        }
    }
    return CTH_OK;
}

/* Begin a call in a team: the place to work at, or NULL when it should work alone. */
static cth__place *cth__team_enter(cth_team *team, cth__self *self) {
    const uint32_t callers = team->places - (team->workers - 1);
    for (uint32_t i = 0; i < callers; i++) {
        const uint32_t at = team->workers - 1 + ((self->me >> 8) + i) % callers;
        cth__place *place = &team->place[at];
        uint32_t found = 0;
        // [team.L] acquire: sees the place as the last caller left it; pairs with [team.M].
        if (!cth__cas(&place->taken, &found, 1, acquire, relaxed)) {
            continue;
        }
        if (!cth__place_ready(place)) {
            cth__store(&place->taken, 0, relaxed); // relaxed: it was not touched
            return NULL;
        }
        // relaxed: the compare-and-swap below decides.
        uint32_t used = cth__load(&team->used, relaxed);
        // relaxed: seen by way of the fences, or by a later look.
        while (used <= at && !cth__cas(&team->used, &used, at + 1, relaxed, relaxed)) {
        }
        cth__place_begin(place, place);
        (void)cth__split_set(place, 0, team->workers > 1);
        return place;
    }
    return NULL;
}

/* A team; `common`: the process's own, which is never freed. NULL when memory is lacking. */
static cth_team *cth__team_new(const cth_team_desc *desc, bool common) {
    uint32_t workers = desc->workers != 0 ? desc->workers : cth__cpus_granted();
    workers = workers < 1 ? 1 : workers > CTH__TEAM_MOST ? CTH__TEAM_MOST : workers;
    const uint32_t places = 2 * workers + CTH__TEAM_CALLERS;
    const size_t size = sizeof(cth_team) + places * sizeof(cth__place);
    cth_team *team = (cth_team *)cth__alloc(size + workers * sizeof(cth_thread *), common);
    if (team == NULL) {
        return NULL;
    }
    team->threads = (cth_thread **)((unsigned char *)team + size);
    team->common = common;
    team->workers = workers;
    team->places = places;
    team->unstarted = workers - 1;
    team->stack_size = desc->stack_size != 0 ? desc->stack_size : (size_t)1 << 20;
    team->generation = cth__g.generation;
    (void)snprintf(team->name, sizeof team->name, "%s-", desc->name != NULL ? desc->name : "Team");
    // relaxed: not shared yet.
    cth__store(&team->sleepers, workers - 1, relaxed);
    cth__store(&team->used, workers - 1, relaxed);
    for (uint32_t i = 0; i < places; i++) {
        team->place[i].team = team;
        cth_rng_seed(&team->place[i].rng, i);
    }
    CTH_SIM_WRITE(*team);
    return team;
}

/* The team that a call works in: the one given, that which the thread works in, or the process's.
   NULL when memory is lacking. */
static cth_team *cth__team_of(cth_team *team, const cth__self *self) {
    team = team != NULL ? team : self->team;
    if (team != NULL && !cth__team_of_parent(team)) {
        return team;
    }
    // [team.N] acquire: sees the team; pairs with [team.O].
    void *found = cth__load(&cth__g.team, acquire);
    if (found == NULL || cth__team_of_parent((cth_team *)found)) {
        static const cth_team_desc none = {0};
        team = cth__team_new(&none, true);
        // [team.O] release: publishes the team; pairs with [team.N]. acquire on failure: sees
        // another thread's, as [team.N].
        if (team == NULL || cth__cas(&cth__g.team, &found, (void *)team, release, acquire)) {
            return team;
        }
        cth__free(team);
    }
    team = (cth_team *)found;
    CTH_SIM_READ(*team);
    return team;
}

CTH_API cth_status cth_team_create(cth_team **out, const cth_team_desc *desc) {
    static const cth_team_desc none = {0};
    desc = desc != NULL ? desc : &none;
    if (out == NULL || desc->workers > CTH__TEAM_MOST ||
        (desc->name != NULL && strlen(desc->name) > CTH__TEAM_NAME)) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    cth_team *team = cth__team_new(desc, false);
    if (team == NULL) {
        return CTH_NOMEM;
    }
    *out = team;
    return CTH_OK;
}

CTH_API void cth_team_release(cth_team *team) {
    if (team == NULL || cth__self_get() == NULL || cth__team_of_parent(team)) {
        return;
    }
    (void)cth_mutex_lock(&team->mutex);
    team->shut = true;
    while (team->sleeping != NULL) {
        cth__place_wake(team, team->sleeping);
        (void)cth_mutex_lock(&team->mutex);
    }
    (void)cth_mutex_unlock(&team->mutex);
    cth__under under = cth__under_enter(NULL);
    for (uint32_t i = 0; i < team->started; i++) {
        (void)cth_thread_join(team->threads[i], NULL);
        cth_thread_release(team->threads[i]);
    }
    cth__under_leave(&under);
    for (uint32_t i = 0; i < team->places; i++) {
        cth__place_free(&team->place[i]);
    }
    cth__free(team);
}

CTH_API uint32_t cth_team_workers(cth_team *team) {
    const cth__self *self = cth__self_get();
    team = self != NULL ? cth__team_of(team, self) : NULL;
    // relaxed: a figure.
    return team != NULL ? team->workers - cth__load(&team->failed, relaxed) : 1;
}

/* Have `fn` run as a worker of the team: true; false when there is no place for it. */
static bool cth__team_run(cth_team *team,
                          cth__self *self,
                          cth_fork_fn fn,
                          void *arg,
                          cth_status *status) {
    team = cth__team_of(team, self);
    cth__place *place = team != NULL ? cth__team_enter(team, self) : NULL;
    if (place == NULL) {
        return false;
    }
    cth_team *outer = self->team;
    self->team = team;
    *status = fn((cth_forks){&place->deque, place->forks}, arg);
    self->team = outer;
    // [team.M] release: all that was done at the place; pairs with [team.L].
    cth__store(&place->taken, 0, release);
    return true;
}

/* Whether a call may be made: CTH_OK, CTH_NOMEM or CTH_FORKED. */
static cth_status cth__team_check(const cth_team *team) {
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    return team != NULL && cth__team_of_parent(team) ? CTH_FORKED : CTH_OK;
}

/* A loop. */
typedef struct cth__loop {
    cth_range_fn fn;
    void *arg;
    size_t grain;
    cth_cancel *token;
    cth__word stop; // a range has failed
    cth_mutex mutex;
    size_t failed; // guarded by the mutex: the least index of a range that failed
    cth_status status;
    char error[sizeof(((cth__self *)0)->error)];
} cth__loop;

/* Call the body, unless the loop has ended. */
static void cth__loop_call(cth__loop *loop, size_t from, size_t to) {
    // relaxed: it only saves work.
    if (cth__load(&loop->stop, relaxed) != 0) {
        return;
    }
    cth__self *self = cth__tls;
    const char first = self->error[0]; // so the text of an earlier failure is kept
    self->error[0] = '\0';
    cth_status status = CTH_CANCELLED;
    if (loop->token == NULL || cth_cancel_status(loop->token) == CTH_OK) {
        cth__under under = cth__under_enter(loop->token);
        status = loop->fn(loop->arg, from, to);
        cth__under_leave(&under);
    }
    if (status != CTH_OK) {
        (void)cth_mutex_lock(&loop->mutex);
        if (loop->status == CTH_OK || from < loop->failed) {
            loop->failed = from;
            loop->status = status;
            (void)snprintf(loop->error, sizeof loop->error, "%s",
                           self->error[0] != '\0' ? self->error : cth_status_text(status));
        }
        (void)cth_mutex_unlock(&loop->mutex);
        cth__store(&loop->stop, 1, relaxed); // relaxed: as above
    }
    if (self->error[0] == '\0') {
        self->error[0] = first;
    }
}

typedef struct cth__part {
    cth__loop *loop;
    size_t from, to;
} cth__part;

/* Before a body, which may take long: have idle threads find all forks; or all threads, when bodies
   may wait for each other. */
static void cth__offer(cth_forks forks, bool all) {
    cth__place *place = (cth__place *)forks.deque;
    // relaxed: a hint.
    while ((all || cth__load(&place->team->sleepers, relaxed) != 0) && place->chunk == NULL &&
           place->team->workers > 1 && !cth__team_of_parent(place->team) &&
           place->split < (uint32_t)(forks.top - place->forks)) {
        cth__publish(place, (uint32_t)(forks.top - place->forks));
    }
}

static bool cth__loop_part(cth_forks forks, cth__part part);
CTH_FORK_OF(bool, cth__part, cth__loop_part);

static bool cth__loop_part(cth_forks forks, cth__part part) {
    if (part.to - part.from <= part.loop->grain) {
        cth__offer(forks, part.loop->grain == 1);
        cth__loop_call(part.loop, part.from, part.to);
        return true;
    }
    const size_t middle = part.from + (part.to - part.from) / 2;
    cth__loop_part_fork(&forks, (cth__part){part.loop, middle, part.to});
    (void)cth__loop_part(forks, (cth__part){part.loop, part.from, middle});
    return cth__loop_part_join(&forks);
}

static cth_status cth__loop_run(cth_forks forks, void *arg) {
    (void)cth__loop_part(forks, *(const cth__part *)arg);
    return CTH_OK;
}

CTH_API cth_status
cth_parallel_for(cth_team *team, size_t n, size_t grain, cth_range_fn fn, void *arg) {
    cth_status status = fn != NULL ? cth__team_check(team) : CTH_INVALID;
    if (status != CTH_OK || n == 0) {
        return status;
    }
    cth__self *self = cth__tls;
    cth__loop loop = {.fn = fn, .arg = arg, .grain = grain, .token = self->token};
    cth_team *outer = self->team;
    self->team = team != NULL ? team : outer; // for calls in the bodies
    size_t done = 0;
    if (grain == 0) {
        size_t least = 1; // what takes a part of CTH__SHORT
        if (n >= 32) {
            done = n / 32 < 64 ? n / 32 : 64;
            const cth_time began = cth__clock();
            cth__loop_call(&loop, 0, done);
            const cth_time took = cth__clock() - began; // 0 in the simulator
            if (took > 0 && took < CTH__SHORT) {
                least = done * (size_t)CTH__SHORT / (size_t)took / 4;
                if ((n - done) / done < (size_t)(CTH__SHORT / took)) {
                    cth__loop_call(&loop, done, n);
                    done = n;
                }
            }
        }
        loop.grain = (n - done) / ((size_t)64 * cth_team_workers(team));
        loop.grain = loop.grain > least ? loop.grain : least > 1 ? least : 1;
    }
    cth__part part = {&loop, done, n};
    if (n - done <= loop.grain || !cth__team_run(team, self, cth__loop_run, &part, &status)) {
        while (part.from < n) {
            part.to = n - part.from <= loop.grain ? n : part.from + loop.grain;
            cth__loop_call(&loop, part.from, part.to);
            part.from = part.to;
        }
    }
    self->team = outer;
    if (loop.status != CTH_OK) {
        memcpy(self->error, loop.error, sizeof loop.error);
    }
    return loop.status;
}

static cth_status cth__invoke_range(void *arg, size_t from, size_t to) {
    const cth_call *calls = (const cth_call *)arg;
    cth_status status = CTH_OK;
    for (size_t i = from; i < to && status == CTH_OK; i++) {
        status = calls[i].fn(calls[i].arg);
    }
    return status;
}

CTH_API cth_status cth_invoke(cth_team *team, const cth_call *calls, size_t n) {
    if (calls == NULL && n != 0) {
        return CTH_INVALID;
    }
    for (size_t i = 0; i < n; i++) {
        if (calls[i].fn == NULL) {
            return CTH_INVALID;
        }
    }
    return cth_parallel_for(team, n, 1, cth__invoke_range, (void *)(uintptr_t)calls);
}

/* A reduction or scan: each part of the indices has its accumulator. */
typedef struct cth__parts {
    const cth_reduction *how;
    cth_status (*write)(void *arg, size_t from, size_t to, void *before);
    void *arg;
    size_t n, parts, stride;
    unsigned char *accs;
} cth__parts;

/* Where a part begins: the first n % parts have one index more. */
static size_t cth__part_begin(const cth__parts *p, size_t i) {
    const size_t more = p->n % p->parts;
    return i * (p->n / p->parts) + (i < more ? i : more);
}

static cth_status cth__parts_range(void *arg, size_t from, size_t to) {
    const cth__parts *p = (const cth__parts *)arg;
    cth_status status = CTH_OK;
    for (size_t i = from; i < to && status == CTH_OK; i++) {
        void *acc = p->accs + i * p->stride;
        const size_t begin = cth__part_begin(p, i), end = cth__part_begin(p, i + 1);
        status = p->write != NULL ? p->write(p->arg, begin, end, acc)
                                  : p->how->range(p->arg, begin, end, acc);
    }
    return status;
}

/* Cut n indices into parts, with `more` accumulators beside theirs, in `p->accs`: `stack`, of
   `room` bytes, or allocated. */
static cth_status cth__parts_init(cth__parts *p,
                                  cth_team *team,
                                  const cth_reduction *how,
                                  size_t n,
                                  void *arg,
                                  size_t more,
                                  void *stack,
                                  size_t room) {
    if (how == NULL || how->range == NULL || how->join == NULL || how->size == 0) {
        return CTH_INVALID;
    }
    const cth_status status = cth__team_check(team);
    if (status != CTH_OK) {
        return status;
    }
    const size_t mask = sizeof(max_align_t) - 1;
    *p = (cth__parts){.how = how, .arg = arg, .n = n, .stride = (how->size + mask) & ~mask};
    p->parts = n < 512 ? n : 512;
    if (how->grain != 0) {
        p->parts = n / how->grain + (n % how->grain != 0);
    }
    // The first keeps the quotient above `more`.
    if (how->size > SIZE_MAX / 16 || p->parts > SIZE_MAX / 2 / p->stride - more) {
        return CTH_INVALID;
    }
    const size_t size = (p->parts + more) * p->stride;
    p->accs = (unsigned char *)(size <= room ? stack : cth__alloc_raw(size, false));
    if (p->accs == NULL) {
        return CTH_NOMEM;
    }
    for (size_t i = 0; i < p->parts + more; i++) {
        if (how->identity != NULL) {
            memcpy(p->accs + i * p->stride, how->identity, how->size);
        } else {
            memset(p->accs + i * p->stride, 0, how->size);
        }
    }
    return CTH_OK;
}

CTH_API cth_status
cth_reduce(cth_team *team, size_t n, const cth_reduction *how, void *arg, void *result) {
    max_align_t stack[8192 / sizeof(max_align_t)];
    cth__parts p;
    cth_status status = cth__parts_init(&p, team, how, n, arg, n == 0, stack, sizeof stack);
    if (status != CTH_OK) {
        return status;
    }
    status = cth_parallel_for(team, p.parts, 0, cth__parts_range, &p);
    if (status == CTH_OK) {
        for (size_t i = 1; i < p.parts; i++) {
            how->join(arg, p.accs, p.accs + i * p.stride);
        }
        memcpy(result, p.accs, how->size);
    }
    if (p.accs != (unsigned char *)stack) {
        cth__free(p.accs);
    }
    return status;
}

CTH_API cth_status cth_scan(cth_team *team,
                            size_t n,
                            const cth_reduction *how,
                            cth_status (*write)(void *arg, size_t from, size_t to, void *before),
                            void *arg) {
    max_align_t stack[8192 / sizeof(max_align_t)];
    cth__parts p;
    cth_status status = write == NULL
                            ? CTH_INVALID
                            : cth__parts_init(&p, team, how, n, arg, 2, stack, sizeof stack);
    if (status != CTH_OK) {
        return status;
    }
    // Accumulator i + 1 gets part i, without the last part, which is before nothing.
    unsigned char *const accs = p.accs, *const spare = accs + (p.parts + 1) * p.stride;
    p.accs += p.stride;
    status = cth_parallel_for(team, n == 0 ? 0 : p.parts - 1, 0, cth__parts_range, &p);
    p.accs = accs;
    if (status == CTH_OK) {
        for (size_t i = 1; i < p.parts; i++) {
            unsigned char *const acc = accs + i * p.stride;
            memcpy(spare, acc - p.stride, how->size);
            how->join(arg, spare, acc);
            memcpy(acc, spare, how->size);
        }
        p.write = write;
        status = cth_parallel_for(team, p.parts, 0, cth__parts_range, &p);
    }
    if (accs != (unsigned char *)stack) {
        cth__free(accs);
    }
    return status;
}

static bool cth__less_any(const cth__sorting *s, const void *a, const void *b) {
    return s->compare(a, b) < 0;
}

CTH__SORTS(cth__sort_any_, s->size, cth__less_any)
CTH__SORTS(cth__sort_4_, 4, cth__less_any)
CTH__SORTS(cth__sort_8_, 8, cth__less_any)

typedef struct cth__sort_call {
    void (*sort)(cth_forks forks, cth__sorting *s);
    cth__sorting *s;
} cth__sort_call;

static cth_status cth__sort_root(cth_forks forks, void *arg) {
    const cth__sort_call *call = (const cth__sort_call *)arg;
    call->sort(forks, call->s);
    return CTH_OK;
}

/* Run a sort in a team, or alone; with a buffer as large as the array if it is stable. */
CTH_API cth_status cth__sort_run(cth_team *team,
                                 void (*sort)(cth_forks forks, cth__sorting *s),
                                 cth__sorting *s,
                                 bool stable) {
    cth_status status = cth__team_check(team);
    if (status != CTH_OK || s->n < 2) {
        return status;
    }
    if (stable) {
        s->buffer = cth__alloc_raw(s->n * s->size, false);
        if (s->buffer == NULL) {
            return CTH_NOMEM;
        }
    }
    for (size_t n = s->n; n > 0; n >>= 1) {
        s->bad++;
    }
    cth__sort_call call = {sort, s};
    if (s->n <= CTH__SORT_PART || !cth__team_run(team, cth__tls, cth__sort_root, &call, &status)) {
        (void)cth__sort_root((cth_forks){NULL, NULL}, &call);
    }
    cth__free(s->buffer);
    return CTH_OK;
}

static cth_status cth__sort_by(cth_team *team,
                               void *base,
                               size_t n,
                               size_t size,
                               int (*compare)(const void *a, const void *b),
                               bool stable) {
    static void (*const sorts[2][3])(cth_forks forks, cth__sorting * s) = {
        {cth__sort_any_quick, cth__sort_4_quick, cth__sort_8_quick},
        {cth__sort_any_merge, cth__sort_4_merge, cth__sort_8_merge}};
    if (compare == NULL || size == 0 || n > SIZE_MAX / size) {
        return CTH_INVALID;
    }
    cth__sorting s = {base, NULL, n, size, compare, 0, false};
    return cth__sort_run(team, sorts[stable][size == 4 ? 1 : size == 8 ? 2 : 0], &s, stable);
}

CTH_API cth_status cth_sort(cth_team *team,
                            void *base,
                            size_t n,
                            size_t size,
                            int (*compare)(const void *a, const void *b)) {
    return cth__sort_by(team, base, n, size, compare, false);
}

CTH_API cth_status cth_stable_sort(cth_team *team,
                                   void *base,
                                   size_t n,
                                   size_t size,
                                   int (*compare)(const void *a, const void *b)) {
    return cth__sort_by(team, base, n, size, compare, true);
}

CTH_API cth_status cth_parallel(cth_team *team, cth_fork_fn fn, void *arg) {
    cth_status status = fn != NULL ? cth__team_check(team) : CTH_INVALID;
    if (status != CTH_OK || cth__team_run(team, cth__tls, fn, arg, &status)) {
        return status;
    }
    // Alone, at a place that nobody else knows.
    cth_team lone = {.workers = 1, .generation = cth__g.generation};
    cth__place place = {.team = &lone};
    if (!cth__place_ready(&place)) {
        return CTH_NOMEM;
    }
    (void)cth__split_set(&place, 0, false);
    cth__self *self = cth__tls;
    cth_team *outer = self->team;
    self->team = team != NULL ? team : outer;
    status = fn((cth_forks){&place.deque, place.forks}, arg);
    self->team = outer;
    cth__place_free(&place);
    return status;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:scope

   Each task or thread has a job, which the scope keeps among `live` from the moment it is known to
   have started, and among `over` from the end of its function on. What is over is waited for and
   freed by the next start in the scope, so that one that goes on for ever does not grow, and the
   rest by the end. A job that is over before its starter has linked it goes to `over` at once. All
   of it changes under the mutex; the end takes a job out before it waits for it.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth__job {
    cth_scope *scope;
    struct cth__job *next, *prev;
    cth_future *future; // of a task
    cth_thread *thread; // or of a thread
    cth_task_fn task;
    cth_thread_fn fn;
    void *arg;
    bool linked, over;
    max_align_t bytes[]; // the argument of a task
} cth__job;

static bool cth__scope_of_parent(const cth_scope *scope) {
    return scope->generation != cth__g.generation;
}

/* Under the mutex. */
static void cth__job_link(cth_scope *scope, cth__job *job) {
    cth__job **list = job->over ? &scope->over : &scope->live;
    job->linked = true;
    job->prev = NULL;
    job->next = *list;
    if (job->next != NULL) {
        job->next->prev = job;
    }
    *list = job;
}

/* Under the mutex. */
static void cth__job_unlink(cth_scope *scope, cth__job *job) {
    cth__job **list = job->over ? &scope->over : &scope->live;
    job->linked = false;
    *(job->prev != NULL ? &job->prev->next : list) = job->next;
    if (job->next != NULL) {
        job->next->prev = job->prev;
    }
}

/* Take a job out of those that are over or, for the end, of all; NULL when there is none. */
static cth__job *cth__job_take(cth_scope *scope, bool all) {
    (void)cth_mutex_lock(&scope->mutex);
    cth__job *job = scope->over != NULL ? scope->over : all ? scope->live : NULL;
    if (job != NULL) {
        cth__job_unlink(scope, job);
    }
    (void)cth_mutex_unlock(&scope->mutex);
    return job;
}

/* Wait for a job that was taken out, and free it. False in the child of a fork that its task has
   made in the calling thread. */
static bool cth__job_reap(cth_scope *scope, cth__job *job) {
    const cth_status status = job->thread != NULL ? cth_thread_join(job->thread, NULL)
                                                  : cth_future_result(job->future, NULL);
    if (cth__scope_of_parent(scope)) {
        return false;
    }
    // A task that the executor has dropped did not call cth__job_end; nor did one that was taken
    // back by cth_future_cancel, which is no error.
    if (!job->over && status != CTH_OK && status != CTH_CANCELLED) {
        (void)cth_scope_fail(scope, status, cth_future_error(job->future));
    }
    cth_thread_release(job->thread);
    cth_future_release(job->future);
    cth__free(job);
    return true;
}

/* A job for a task or thread about to be started. */
static cth_status cth__job_new(cth_scope *scope, size_t size, cth__job **out) {
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    if (scope->owner == 0) {
        return CTH_INVALID;
    }
    if (cth__scope_of_parent(scope)) {
        return CTH_FORKED;
    }
    if (cth_cancel_status(&scope->token) != CTH_OK) {
        (void)cth_scope_fail(scope, CTH_CANCELLED, NULL);
        return CTH_CANCELLED;
    }
    cth__under under = cth__under_enter(NULL); // their functions have returned: it is not long
    for (cth__job *job; (job = cth__job_take(scope, false)) != NULL;) {
        (void)cth__job_reap(scope, job);
    }
    cth__under_leave(&under);
    *out = (cth__job *)cth__alloc(sizeof **out + size, false);
    if (*out == NULL) {
        return CTH_NOMEM;
    }
    (*out)->scope = scope;
    return CTH_OK;
}

/* Whether it was started or not. */
static cth_status cth__job_started(cth_scope *scope, cth__job *job, cth_status status) {
    if (status != CTH_OK) {
        cth__free(job);
        return status;
    }
    (void)cth_mutex_lock(&scope->mutex);
    cth__job_link(scope, job);
    (void)cth_mutex_unlock(&scope->mutex);
    return CTH_OK;
}

/* The last that a task or thread does in its scope. */
static cth_status cth__job_end(cth__job *job, cth_status status) {
    cth_scope *scope = job->scope;
    if (cth__scope_of_parent(scope)) {
        return status; // it forked: the mutex may be held by a thread that is not in this process
    }
    if (status != CTH_OK) {
        const char *text = cth_error_text();
        (void)cth_scope_fail(scope, status, text[0] != '\0' ? text : NULL);
    }
    (void)cth_mutex_lock(&scope->mutex);
    const bool linked = job->linked;
    if (linked) {
        cth__job_unlink(scope, job);
    }
    job->over = true;
    if (linked) {
        cth__job_link(scope, job);
    }
    (void)cth_mutex_unlock(&scope->mutex);
    return status;
}

static cth_status cth__job_task(void *arg, void *result) {
    cth__job *job = *(cth__job **)arg;
    const cth_status status = cth_cancel_status(&job->scope->token);
    return cth__job_end(job, status == CTH_OK ? job->task(job->bytes, result) : status);
}

static cth_status cth__job_thread(void *arg) {
    cth__job *job = (cth__job *)arg;
    const cth_status status = cth_cancel_status(&job->scope->token);
    (void)cth__job_end(job, status == CTH_OK ? job->fn(job->arg) : status);
    return CTH_OK;
}

CTH_API cth_status cth_scope_begin(cth_scope *scope, cth_executor *executor, cth_time deadline) {
    static const cth_scope fresh = {.owner = 0};
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (deadline < 0) {
        return CTH_INVALID;
    }
    *scope = fresh;
    (void)cth_cancel_init(&scope->token, self->token, deadline); // can no longer fail
    scope->outer = self->token;
    scope->executor = executor;
    scope->owner = self->me;
    scope->generation = cth__g.generation;
    self->token = &scope->token;
    return CTH_OK;
}

CTH_API cth_status cth_scope_submit(cth_scope *scope,
                                    cth_future **out,
                                    cth_task_fn fn,
                                    const void *arg,
                                    size_t arg_size,
                                    size_t result_size) {
    if (fn == NULL || arg_size > SIZE_MAX / 4 || scope->executor == NULL) {
        return CTH_INVALID;
    }
    cth__job *job;
    cth_status status = cth__job_new(scope, arg_size, &job);
    if (status != CTH_OK) {
        return status;
    }
    cth__copy(job->bytes, arg, arg_size);
    job->task = fn;
    cth__under under = cth__under_enter(&scope->token);
    // Two steps, for the job may be over before the future is in it.
    cth_future *future = NULL;
    status = cth_submit(scope->executor, &future, cth__job_task, &job, sizeof job, result_size);
    cth__under_leave(&under);
    job->future = future;
    if (status == CTH_OK && out != NULL) {
        *out = cth_future_retain(future);
    }
    return cth__job_started(scope, job, status);
}

CTH_API cth_status cth_scope_spawn(cth_scope *scope,
                                   cth_thread_fn fn,
                                   void *arg,
                                   const cth_thread_desc *desc) {
    cth_thread_desc own = {.cancel = NULL};
    if (desc != NULL) {
        own = *desc;
    }
    if (fn == NULL || own.cancel != NULL) {
        return CTH_INVALID;
    }
    cth__job *job;
    cth_status status = cth__job_new(scope, 0, &job);
    if (status != CTH_OK) {
        return status;
    }
    job->fn = fn;
    job->arg = arg;
    own.cancel = &scope->token;
    status = cth_thread_spawn(&job->thread, cth__job_thread, job, &own);
    return cth__job_started(scope, job, status);
}

CTH_API cth_status cth_scope_fail(cth_scope *scope, cth_status status, const char *text) {
    if (status == CTH_OK) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    if (cth__scope_of_parent(scope)) {
        return CTH_FORKED;
    }
    (void)cth_mutex_lock(&scope->mutex);
    const bool first = scope->status == CTH_OK;
    if (first) {
        scope->status = status;
        (void)snprintf(scope->error, sizeof scope->error, "%s",
                       text != NULL ? text : cth_status_text(status));
    }
    (void)cth_mutex_unlock(&scope->mutex);
    return first ? cth_cancel_request(&scope->token, cth_status_text(status)) : CTH_OK;
}

CTH_API cth_status cth_scope_end(cth_scope *scope) {
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    if (scope->owner != self->me) {
        return CTH_NOT_OWNER;
    }
    if (self->token != &scope->token) {
        return CTH_INVALID;
    }
    self->token = NULL; // not cancelled any more: they use what is the caller's
    bool forked = cth__scope_of_parent(scope);
    for (cth__job *job; !forked && (job = cth__job_take(scope, true)) != NULL;) {
        forked = !cth__job_reap(scope, job);
    }
    if (forked) {
        scope->token.child = NULL; // of scopes in threads that are not in this process
    } else if (scope->status == CTH_CANCELLED && cth_cancel_reason(&scope->token) == cth__expired) {
        scope->status = CTH_TIMEDOUT;
        (void)snprintf(scope->error, sizeof scope->error, "%s", cth_status_text(CTH_TIMEDOUT));
    }
    const cth_status status = cth_cancel_destroy(&scope->token);
    if (status != CTH_OK) {
        self->token = &scope->token;
        return status;
    }
    self->token = scope->outer;
    scope->owner = 0;
    if (!forked && scope->status != CTH_OK) {
        memcpy(self->error, scope->error, sizeof self->error);
    }
    return forked ? CTH_FORKED : scope->status;
}

CTH_API bool cth__group_open(cth_scope *scope,
                             cth_executor *executor,
                             cth_time deadline,
                             cth_status *status) {
    if (scope->done) {
        return false;
    }
    *status = cth_scope_begin(scope, executor, deadline);
    scope->out = status;
    return *status == CTH_OK;
}

CTH_API void cth__group_close(cth_scope *scope) {
    if (scope->owner == 0) {
        return;
    }
    const cth_status status = cth_scope_end(scope);
    if (scope->owner != 0) {
        cth__panic_status("end of CTH_SCOPE", status);
    }
    if (status != CTH_OK) {
        *scope->out = status;
    }
}

/* -------------------------------------------------------------------------------------------------
   >>impl:main

   A list under a mutex. `ready` and the descriptor change with it, under the mutex: set by the
   first that is posted, cleared when the owner takes the last one out, before it runs it.
   ---------------------------------------------------------------------------------------------- */

typedef struct cth__post {
    struct cth__post *next;
    cth_main_fn fn;
    max_align_t bytes[]; // its argument
} cth__post;

/* Under the mutex: show whether there is something for the owner. */
static void cth__main_show(cth_main *main) {
    const bool ready = main->count != 0 || main->stopped;
    if (ready == cth_event_is_set(&main->ready)) {
        return;
    }
    (void)(ready ? cth_event_set(&main->ready) : cth_event_clear(&main->ready));
    if (main->fd >= 0) {
        cth__os_bell(main->fd, ready);
    }
}

/* Why the calling thread may not use it. */
static cth_status cth__main_check(const cth_main *main, bool owner) {
    cth__self *self = cth__self_get();
    return self == NULL                            ? CTH_NOMEM
           : main->generation != cth__g.generation ? CTH_FORKED
           : owner && main->owner != self->me      ? CTH_NOT_OWNER
                                                   : CTH_OK;
}

/* Run what is there. CTH_SHUTDOWN when it is stopped and nothing is left. */
static cth_status cth__main_some(cth_main *main) {
    cth__self *self = cth__tls;
    char error[sizeof self->error];
    (void)cth_mutex_lock(&main->mutex);
    for (size_t left = main->count; left > 0 && main->count > 0; left--) {
        cth__post *post = main->first;
        main->first = post->next;
        main->count--;
        cth__main_show(main);
        (void)cth_mutex_unlock(&main->mutex);
        memcpy(error, self->error, sizeof error);
        self->error[0] = '\0';
        main->running++;
        const cth_status status = post->fn(post->bytes);
        main->running--;
        if (main->generation != cth__g.generation) {
            return CTH_FORKED; // the mutex may be held by a thread that is not in this process
        }
        if (status != CTH_OK) {
            cth__hook_call(self->thread, status,
                           self->error[0] != '\0' ? self->error : cth_status_text(status));
        }
        memcpy(self->error, error, sizeof error);
        cth__free(post);
        (void)cth_mutex_lock(&main->mutex);
    }
    const bool over = main->stopped && main->count == 0;
    if (main->count != 0 && main->fd >= 0) {
        cth__os_bell(main->fd, true); // an edge, for epoll: there is more
    }
    (void)cth_mutex_unlock(&main->mutex);
    return over ? CTH_SHUTDOWN : CTH_OK;
}

CTH_API cth_status cth_main_init(cth_main *main) {
    static const cth_main fresh = {.fd = -1};
    cth__self *self = cth__self_get();
    if (self == NULL) {
        return CTH_NOMEM;
    }
    *main = fresh;
    main->owner = self->me;
    main->generation = cth__g.generation;
    return CTH_OK;
}

CTH_API cth_status cth_main_post(cth_main *main, cth_main_fn fn, const void *arg, size_t size) {
    if (fn == NULL || size > SIZE_MAX / 4) {
        return CTH_INVALID;
    }
    const cth_status status = cth__main_check(main, false);
    if (status != CTH_OK) {
        return status;
    }
    cth__post *post = (cth__post *)cth__alloc(sizeof *post + size, false);
    if (post == NULL) {
        return CTH_NOMEM;
    }
    post->fn = fn;
    cth__copy(post->bytes, arg, size);
    (void)cth_mutex_lock(&main->mutex);
    if (main->stopped) {
        (void)cth_mutex_unlock(&main->mutex);
        cth__free(post);
        return CTH_SHUTDOWN;
    }
    *(main->count != 0 ? &main->last->next : &main->first) = post;
    main->last = post;
    main->count++;
    cth__main_show(main);
    (void)cth_mutex_unlock(&main->mutex);
    return CTH_OK;
}

CTH_API cth_status cth_main_run(cth_main *main) {
    return cth_main_run_until(main, CTH_FOREVER);
}

CTH_API cth_status cth_main_run_until(cth_main *main, cth_time deadline) {
    cth_status status = cth__main_check(main, true);
    if (status == CTH_OK && deadline < 0) {
        status = CTH_INVALID;
    }
    while (status == CTH_OK) {
        status = cth__main_some(main);
        if (status == CTH_OK) {
            status = cth_event_wait_until(&main->ready, deadline);
        }
        if (status == CTH_OK) { // while others post all the time, nobody waits
            status = cth_cancel_status(NULL);
        }
        if (status == CTH_OK && cth__passed(deadline)) {
            status = CTH_TIMEDOUT;
        }
    }
    return status == CTH_SHUTDOWN ? CTH_OK : status;
}

CTH_API cth_status cth_main_drain(cth_main *main) {
    const cth_status status = cth__main_check(main, true);
    return status == CTH_OK ? cth__main_some(main) : status;
}

CTH_API cth_status cth_main_stop(cth_main *main) {
    const cth_status status = cth__main_check(main, false);
    if (status == CTH_OK) {
        (void)cth_mutex_lock(&main->mutex);
        main->stopped = true;
        cth__main_show(main);
        (void)cth_mutex_unlock(&main->mutex);
    }
    return status;
}

CTH_API bool cth_main_is_owner(const cth_main *main) {
    return cth__me != 0 && main->owner == cth__me;
}

CTH_API void cth_assert_on(const cth_main *main) {
    if (!cth_main_is_owner(main)) {
        char text[CTH_THREAD_NAME_MAX + 80];
        (void)snprintf(text, sizeof text,
                       "cth_assert_on: thread %s does what only the owner may do",
                       cth_thread_name(cth_thread_current()));
        cth__panic(text);
    }
}

CTH_API cth_event *cth_main_event(cth_main *main) {
    return &main->ready;
}

CTH_API cth_status cth_main_fd(cth_main *main, int *fd) {
    cth_status status = cth__main_check(main, false);
#  ifdef CTHREADS_SIM
    status = status == CTH_OK ? CTH_UNSUPPORTED : status; // nothing would wake a poll there
#  endif
    if (status != CTH_OK) {
        return status;
    }
    (void)cth_mutex_lock(&main->mutex);
    if (main->fd < 0) {
        main->fd = cth__os_bell_open();
        if (main->fd < 0) {
            status = CTH_AGAIN;
        } else if (cth_event_is_set(&main->ready)) {
            cth__os_bell(main->fd, true);
        }
    }
    *fd = main->fd;
    (void)cth_mutex_unlock(&main->mutex);
    return status;
}

CTH_API cth_status cth_main_destroy(cth_main *main) {
    cth_status status = cth__main_check(main, true);
    if (status == CTH_OK) {
        status = main->running != 0 ? CTH_BUSY : cth_event_destroy(&main->ready);
    }
    if (status != CTH_OK) {
        return status;
    }
    for (; main->count > 0; main->count--) {
        cth__post *post = main->first;
        main->first = post->next;
        cth__free(post);
    }
    if (main->fd >= 0) {
        cth__os_bell_close(main->fd);
    }
    main->fd = -1;
    main->owner = 0;
    main->stopped = true; // what comes too late, although it must not, is refused
    return CTH_OK;
}

/* -------------------------------------------------------------------------------------------------
   >>impl:progress

   `fresh` counts until it reaches `look`; whoever makes it do so moves the units to `count`, looks
   at the clock, and guesses how many more make a new look worth while. If another thread does that
   just now it goes on, unless `fresh` is about to overflow.
   ---------------------------------------------------------------------------------------------- */

enum { CTH__PROGRESS_WIDTH = 255 };
#  define CTH__PROGRESS_FULL (UINT32_C(1) << 31) // units that must not stay in `fresh`

/* Minutes and seconds, and hours if there are any. */
static void cth__span_text(char text[24], double seconds) {
    const long s = seconds < 1e9 ? (long)seconds : 1000000000;
    if (s >= 3600) {
        (void)snprintf(text, 24, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    } else {
        (void)snprintf(text, 24, "%02ld:%02ld", s / 60, s % 60);
    }
}

/* Under the mutex: draw the line, with one write. */
static void cth__progress_draw(cth_progress *progress, cth_time now, bool last) {
    static const char units[] = " kMGTPE";
    const cth_progress_desc *desc = &progress->desc;
    const double done = (double)progress->count;
    const double total = (double)desc->total;
    const double seconds = (double)(now - progress->began) / 1e9;
    char line[2 * CTH__PROGRESS_WIDTH + 4], right[160], spent[24], left[24] = "?", rate[24] = "?";
    cth__span_text(spent, seconds);
    if (progress->count != 0 && seconds > 0) {
        double r = done / seconds;
        const char *unit = units;
        while (r >= 999.5 && unit[1] != '\0') {
            r /= 1000;
            unit++;
        }
        (void)snprintf(rate, sizeof rate, "%.*f%.*s",
                       r < 10    ? 2
                       : r < 100 ? 1
                                 : 0,
                       r, unit == units ? 0 : 1, unit);
        cth__span_text(left, done < total ? (total - done) / done * seconds : 0);
    }
    const char *label = desc->label != NULL ? desc->label : "";
    const char *colon = desc->label != NULL ? ": " : "";
    uint32_t width = desc->width != 0 ? desc->width : cth__os_columns(desc->fd);
    width = width == 0 ? 80 : width < 20 ? 20 : width;
    width = width < CTH__PROGRESS_WIDTH ? width - 1 : CTH__PROGRESS_WIDTH - 1; // no line feed
    int used; // of the line, without its '\r'
    if (desc->total == 0) {
        used = snprintf(line, sizeof line, "\r%.200s%s%llu [%s, %s/s]", label, colon,
                        (unsigned long long)progress->count, spent, rate);
    } else {
        (void)snprintf(right, sizeof right, " %llu/%llu [%s<%s, %s/s]",
                       (unsigned long long)progress->count, (unsigned long long)desc->total, spent,
                       left, rate);
        const double part = done < total ? done / total : 1;
        used = snprintf(line, sizeof line, "\r%.200s%s%3d%%", label, colon, (int)(part * 100));
        const int bar = (int)width - (used - 1) - (int)strlen(right) - 2;
        if (bar >= 3) {
            line[used++] = '|';
            memset(line + used, ' ', (size_t)bar);
            memset(line + used, '#', (size_t)(part * bar));
            used += bar;
            line[used++] = '|';
        }
        used += snprintf(line + used, sizeof line - (size_t)used, "%s", right);
    }
    uint32_t size = (uint32_t)used < width + 1 ? (uint32_t)used : width + 1;
    const uint32_t columns = size - 1;
    while (size <= progress->drawn_at && size <= width) {
        line[size++] = ' '; // over what is left of a longer line
    }
    if (last) {
        line[size++] = '\n';
    }
    cth__os_write(desc->fd, line, size);
    progress->drawn_at = columns;
    progress->drawn = now;
}

/* Under the mutex: count what is in `fresh`, and return it. */
static uint32_t cth__progress_fold(cth_progress *progress) {
    // relaxed: a number; what was done for it is not handed over by it
    const uint32_t fresh = cth__swap(&progress->fresh, 0, relaxed);
    progress->count += fresh;
    return fresh;
}

CTH_API CTH__NOINLINE void cth__progress_look(cth_progress *progress, uint32_t more) {
    // relaxed: a hint, too great only when it has stood there for long.
    const bool full = cth__load(&progress->fresh, relaxed) >= CTH__PROGRESS_FULL;
    if (progress->generation != cth__g.generation ||
        (more != 0 || full ? cth_mutex_lock(&progress->mutex)
                           : cth_mutex_try_lock(&progress->mutex)) != CTH_OK) {
        return;
    }
    uint64_t next = CTH__PROGRESS_FULL / 2;
    const uint64_t fresh = cth__progress_fold(progress);
    progress->count += more;
    if (progress->shown && !progress->ended) {
        const cth_time now = cth__clock();
        const cth_time span = now - progress->looked;
        if (fresh != 0) { // as many as come in 50 ms, but not much more than came so far
            const double factor = span > CTH_MS(25) ? (double)CTH_MS(50) / (double)span : 2;
            const double most = (double)fresh * factor;
            next = most < 1 ? 1 : most < (double)next ? (uint64_t)most : next;
        }
        progress->looked = now;
        if (now - progress->drawn >= CTH_MS(100)) {
            cth__progress_draw(progress, now, false);
        }
    }
    // relaxed: a hint when to come back.
    cth__store(&progress->look, (uint32_t)next, relaxed);
    (void)cth_mutex_unlock(&progress->mutex);
}

CTH_API cth_status cth_progress_init(cth_progress *progress, const cth_progress_desc *desc) {
    static const cth_progress fresh = {.drawn_at = 0};
    if (desc != NULL && (desc->fd < 0 || desc->width > CTH__PROGRESS_WIDTH)) {
        return CTH_INVALID;
    }
    if (cth__self_get() == NULL) {
        return CTH_NOMEM;
    }
    *progress = fresh;
    if (desc != NULL) {
        progress->desc = *desc;
    }
    if (progress->desc.fd == 0) {
        progress->desc.fd = 2;
    }
    progress->generation = cth__g.generation;
    progress->shown = progress->desc.always || cth__os_columns(progress->desc.fd) != 0;
    progress->began = progress->looked = cth__clock();
    // relaxed: not shared yet.
    cth__store(&progress->look, progress->shown ? 1 : CTH__PROGRESS_FULL / 2, relaxed);
    if (progress->shown) {
        cth__progress_draw(progress, progress->began, false);
    }
    return CTH_OK;
}

CTH_API uint64_t cth_progress_count(cth_progress *progress) {
    if (progress->generation == cth__g.generation && cth_mutex_lock(&progress->mutex) == CTH_OK) {
        (void)cth__progress_fold(progress);
        const uint64_t count = progress->count;
        (void)cth_mutex_unlock(&progress->mutex);
        return count;
    }
    return progress->count;
}

CTH_API void cth_progress_finish(cth_progress *progress) {
    if (progress->generation == cth__g.generation && cth_mutex_lock(&progress->mutex) == CTH_OK) {
        (void)cth__progress_fold(progress);
        if (progress->shown && !progress->ended) {
            cth__progress_draw(progress, cth__clock(), true);
        }
        progress->ended = true;
        (void)cth_mutex_unlock(&progress->mutex);
    }
}

#endif /* implementation */

/* -------------------------------------------------------------------------------------------------
   License: MIT-0 OR Unlicense, as you like.

   MIT No Attribution. Copyright 2026 the cthreads authors.

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software
   and associated documentation files (the "Software"), to deal in the Software without
   restriction, including without limitation the rights to use, copy, modify, merge, publish,
   distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
   Software is furnished to do so.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
   NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
   DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

   The Unlicense.

   This is free and unencumbered software released into the public domain. Anyone is free to copy,
   modify, publish, use, compile, sell, or distribute this software, either in source code form or
   as a compiled binary, for any purpose, commercial or non-commercial, and by any means. In
   jurisdictions that recognize copyright laws, the author or authors of this software dedicate any
   and all copyright interest in the software to the public domain. We make this dedication for the
   benefit of the public at large and to the detriment of our heirs and successors. We intend this
   dedication to be an overt act of relinquishment in perpetuity of all present and future rights
   to this software under copyright law. THE SOFTWARE IS PROVIDED "AS IS", as above.
   <https://unlicense.org/>
   ---------------------------------------------------------------------------------------------- */
