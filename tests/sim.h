/* sim.h - what the simulator's tests share: runs that must pass, planted bugs that must be found

   Include after test.h. A scenario runs as the main thread of a fresh kit, thousands of times, each
   time under another schedule. Inside one, check with CTH_SIM_CHECK: it fails the schedule and
   names its seed. The environment variable SIM_FACTOR multiplies the number of schedules.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#ifndef SIM_H_INCLUDED
#define SIM_H_INCLUDED

#ifndef CTHREADS_SIM
#  error "the sim_*.c programs are compiled with -DCTHREADS_SIM"
#endif

#if defined(__SANITIZE_ADDRESS__)
#  define SIM_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define SIM_ASAN 1
#  endif
#endif
#ifndef SIM_ASAN
#  define SIM_ASAN 0
#endif
#if SIM_ASAN
#  include <sanitizer/asan_interface.h>
#endif

#ifndef CTH__FIBERS // the implementation is in cmake/kit.c
extern const bool sim_fibers;
#  define CTH__FIBERS sim_fibers
#endif

#define SIM_WAITS (CTH_SIM_TIMEOUTS | CTH_SIM_SPURIOUS)
#define SIM_ALL   (SIM_WAITS | CTH_SIM_ALLOC | CTH_SIM_THREADS)

typedef cth_status (*sim_fn)(void *arg);

/* How many schedules all runs of this program have had, by strategy; printed at its end, where
   tests/tools/sim_run.py adds them up. */
static struct {
    uint64_t schedules[3];
    unsigned scenarios, complete, planted;
    bool printed;
} sim_totals;

static void sim_print_totals(void) {
    printf("sim totals: %llu random, %llu pct, %llu exhaustive, %u scenarios, %u complete, %u "
           "planted\n",
           (unsigned long long)sim_totals.schedules[CTH_SIM_RANDOM],
           (unsigned long long)sim_totals.schedules[CTH_SIM_PCT],
           (unsigned long long)sim_totals.schedules[CTH_SIM_EXHAUSTIVE], sim_totals.scenarios,
           sim_totals.complete, sim_totals.planted);
    (void)fflush(stdout);
}

static inline void sim_count(const cth_sim_desc *desc) {
    if (!sim_totals.printed) {
        sim_totals.printed = true;
        (void)atexit(sim_print_totals);
    }
    sim_totals.schedules[desc->strategy] += desc->report->schedules;
}

static inline double sim_factor(void) {
    const char *factor = getenv("SIM_FACTOR");
    return factor != NULL ? strtod(factor, NULL) : 1.0;
}

/* SIM_FACTOR multiplies; where threads cannot be fibers (ThreadSanitizer, i386) there is time for a
   tenth. */
static inline uint64_t sim_scaled(uint64_t schedules) {
    const double scaled = (double)schedules * sim_factor() * (CTH__FIBERS && !SIM_ASAN ? 1.0 : 0.1);
    return scaled < 1 ? 1 : (uint64_t)scaled;
}

/* Whether a search that should be complete is: else only its beginning. */
static inline bool sim_whole(void) {
    return CTH__FIBERS && !SIM_ASAN && sim_factor() >= 1;
}

static const char *const sim_strategies[] = {"random", "PCT", "exhaustive"};

/* Run the scenario with one strategy; every schedule must pass. */
static inline void sim_run(const char *name,
                           sim_fn fn,
                           unsigned faults,
                           cth_sim_strategy strategy,
                           uint64_t schedules) {
    cth_sim_report report;
    const cth_sim_desc desc = {.name = name,
                               .strategy = strategy,
                               .schedules = schedules,
                               .faults = faults,
                               .report = &report};
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_OK);
    sim_count(&desc);
    printf("     %s: %s, %llu schedules, %llu steps%s\n", name, sim_strategies[strategy],
           (unsigned long long)report.schedules, (unsigned long long)report.steps,
           report.complete ? ", complete" : "");
    if (strategy == CTH_SIM_EXHAUSTIVE && sim_whole()) {
        CHECK(report.complete || getenv("CTHREADS_SIM_SEED") != NULL);
        sim_totals.complete++;
    }
}

/* Half of the schedules by a random walk, half with random priorities. */
static inline void sim_pass(const char *name, sim_fn fn, unsigned faults, uint64_t schedules) {
    sim_totals.scenarios++;
    sim_run(name, fn, faults, CTH_SIM_RANDOM, sim_scaled(schedules));
    sim_run(name, fn, faults, CTH_SIM_PCT, sim_scaled(schedules));
}
#define SIM_PASS(fn, faults, schedules) sim_pass(#fn, (fn), (faults), (schedules))

/* Whether the bug of a planted-bug scenario is in it; a scenario asks wherever the two differ. */
static bool planted;

/* Run a scenario as it should be, which must pass, and then with its planted bug: the random walk,
   or else random priorities, must find a schedule that fails in the way `kind`. That bugs of this
   sort are found makes the passing runs mean something. */
static inline void sim_found(const char *name, sim_fn fn, unsigned faults, const char *kind) {
    cth_sim_report report;
    cth_sim_desc desc = {.name = name, .max_steps = 20000, .faults = faults, .report = &report};
    bool found = false;
    planted = false;
    printf("     %s: found by schedule", name);
    for (int strategy = CTH_SIM_RANDOM; strategy <= CTH_SIM_EXHAUSTIVE; strategy++) {
        desc.strategy = (cth_sim_strategy)strategy;
        desc.schedules = sim_scaled(600);
        desc.quiet = false;
        planted = false;
        CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_OK);
        sim_count(&desc);
        planted = true;
        // The search need not find it; where it would be cut short it is of less use.
        desc.schedules = strategy == CTH_SIM_EXHAUSTIVE && !sim_whole() ? 2000
                         : CTH__FIBERS                                  ? 20000
                                                                        : 3000;
        desc.quiet = true;
        const cth_status status = cth_sim_run(&desc, fn, NULL);
        sim_count(&desc);
        planted = false;
        if (status == CTH_FAILED) {
            CHECK_STR(report.kind, kind);
            CHECK(strstr(report.text, name) != NULL);
            printf(" %llu (%s)", (unsigned long long)report.schedules, sim_strategies[strategy]);
            found = true;
        } else {
            printf(" - (%s)", sim_strategies[strategy]);
        }
        CHECK(found || strategy != CTH_SIM_PCT);
    }
    printf("\n");
    sim_totals.planted++;
}
#define SIM_FOUND(fn, faults, kind) sim_found(#fn, (fn), (faults), (kind))

/* In a complete search the harness's own part of a scenario (starting and joining threads) is not
   explored; what the threads run is. */
static bool sim_calm;
static struct sim_job {
    cth_thread_fn fn;
    void *arg;
} sim_jobs[8];
static unsigned sim_n_jobs;

static cth_status sim_explored(void *arg) {
    const struct sim_job *job = (const struct sim_job *)arg;
    cth_sim_explore(true);
    const cth_status status = job->fn(job->arg);
    cth_sim_explore(false);
    return status;
}

/* Give the calling thread its record, which may need several tries when allocations fail. */
static inline void sim_begin(void) {
    sim_n_jobs = 0;
    while (cth_thread_current() == NULL) {
        cth_yield();
    }
}

/* Every schedule with at most two preemptions, one old value seen, and one fault; the first of them
   when SIM_FACTOR asks for fewer schedules. */
static inline void sim_complete(const char *name, sim_fn fn, unsigned faults) {
    sim_calm = true;
    sim_run(name, fn, faults, CTH_SIM_EXHAUSTIVE, sim_whole() ? 50000000 : 2000);
    sim_calm = false;
}
#define SIM_COMPLETE(fn, faults) sim_complete(#fn, (fn), (faults))

/* Start a thread, as often as it takes. */
static inline cth_thread *sim_spawn_with(cth_thread_fn fn, void *arg, const cth_thread_desc *desc) {
    cth_thread *thread = NULL;
    cth_status status;
    if (sim_calm) {
        CTH_SIM_CHECK(sim_n_jobs < 8);
        sim_jobs[sim_n_jobs].fn = fn;
        sim_jobs[sim_n_jobs].arg = arg;
        fn = sim_explored;
        arg = &sim_jobs[sim_n_jobs++];
        cth_sim_explore(false);
    }
    while ((status = cth_thread_spawn(&thread, fn, arg, desc)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_AGAIN || status == CTH_NOMEM);
        CTH_SIM_CHECK(thread == NULL);
    }
    cth_sim_explore(true);
    return thread;
}

static inline cth_thread *sim_spawn(cth_thread_fn fn, void *arg) {
    return sim_spawn_with(fn, arg, NULL);
}

/* Join and release; the thread must have returned CTH_OK. */
static inline void sim_join(cth_thread *thread) {
    cth_status result = CTH_BROKEN;
    cth_sim_explore(!sim_calm);
    CTH_SIM_CHECK(cth_thread_join(thread, &result) == CTH_OK);
    CTH_SIM_CHECK(result == CTH_OK);
    cth_thread_release(thread);
    cth_sim_explore(true);
}

/* Start `n` threads on the same argument, join them all. */
static inline void sim_together(cth_thread_fn fn, void *arg, size_t n) {
    cth_thread *threads[8];
    for (size_t i = 0; i < n; i++) {
        threads[i] = sim_spawn(fn, arg);
    }
    for (size_t i = 0; i < n; i++) {
        sim_join(threads[i]);
    }
}

/* Let the threads started so far run until they wait, without exploring how. Passes time when all
   wait. */
static inline void sim_settle(void) {
    cth_sim_explore(false);
    for (int i = 0; i < 6; i++) {
        cth_yield();
    }
    cth_sim_explore(true);
}

/* A deadline which the simulator may let pass: some milliseconds of virtual time. */
static inline cth_time sim_soon(void) {
    return cth_after(CTH_MS(1 + cth_sim_choose(3)));
}

/* Fill an object that was just used for the last time, as if another owner had the memory now. A
   later write of the kit is seen by sim_untouched, a read by AddressSanitizer, an atomic operation
   by the simulator. */
static inline void sim_gone(void *object, size_t size) {
    memset(object, 0xdd, size);
    cth__sim_freed(object, size, 1);
#if SIM_ASAN
    __asan_poison_memory_region(object, size);
#endif
}

static inline void sim_untouched(void *object, size_t size) {
#if SIM_ASAN
    __asan_unpoison_memory_region(object, size);
#endif
    cth__sim_freed(object, size, 0);
    for (size_t i = 0; i < size; i++) {
        CTH_SIM_CHECK(((unsigned char *)object)[i] == 0xdd);
    }
}

#endif /* SIM_H_INCLUDED */
