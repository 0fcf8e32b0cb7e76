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

#define SIM_WAITS (CTH_SIM_TIMEOUTS | CTH_SIM_SPURIOUS)
#define SIM_ALL   (SIM_WAITS | CTH_SIM_ALLOC | CTH_SIM_THREADS)

typedef cth_status (*sim_fn)(void *arg);

static inline uint64_t sim_scaled(uint64_t schedules) {
    const char *factor = getenv("SIM_FACTOR");
    const double scaled = (double)schedules * (factor != NULL ? strtod(factor, NULL) : 1.0);
    return scaled < 1 ? 1 : (uint64_t)scaled;
}

/* Run the scenario; every schedule must pass. */
static inline void sim_pass(const char *name, sim_fn fn, unsigned faults, uint64_t schedules) {
    cth_sim_report report;
    const cth_sim_desc desc = {
        .name = name, .schedules = sim_scaled(schedules), .faults = faults, .report = &report};
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_OK);
    printf("     %s: %llu schedules, %llu steps\n", name, (unsigned long long)report.schedules,
           (unsigned long long)report.steps);
}
#define SIM_PASS(fn, faults, schedules) sim_pass(#fn, (fn), (faults), (schedules))

/* Whether the bug of a planted-bug scenario is in it; a scenario asks wherever the two differ. */
static bool planted;

/* Run a scenario as it should be, which must pass, and then with its planted bug: some schedule
   must fail in the way `kind`. That bugs of this sort are found makes the passing runs mean
   something. */
static inline void sim_found(const char *name, sim_fn fn, unsigned faults, const char *kind) {
    cth_sim_report report;
    cth_sim_desc desc = {.name = name,
                         .schedules = sim_scaled(300),
                         .max_steps = 20000,
                         .faults = faults,
                         .report = &report};
    planted = false;
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_OK);
    planted = true;
    desc.schedules = 20000;
    desc.quiet = true;
    CHECK_STATUS(cth_sim_run(&desc, fn, NULL), CTH_FAILED);
    CHECK_STR(report.kind, kind);
    CHECK(strstr(report.text, name) != NULL);
    printf("     %s: found by schedule %llu\n", name, (unsigned long long)report.schedules);
}
#define SIM_FOUND(fn, faults, kind) sim_found(#fn, (fn), (faults), (kind))

/* Give the calling thread its record, which may need several tries when allocations fail. */
static inline void sim_begin(void) {
    while (cth_thread_current() == NULL) {
        cth_yield();
    }
}

/* Start a thread, as often as it takes. */
static inline cth_thread *sim_spawn_with(cth_thread_fn fn, void *arg, const cth_thread_desc *desc) {
    cth_thread *thread = NULL;
    cth_status status;
    while ((status = cth_thread_spawn(&thread, fn, arg, desc)) != CTH_OK) {
        CTH_SIM_CHECK(status == CTH_AGAIN || status == CTH_NOMEM);
        CTH_SIM_CHECK(thread == NULL);
    }
    return thread;
}

static inline cth_thread *sim_spawn(cth_thread_fn fn, void *arg) {
    return sim_spawn_with(fn, arg, NULL);
}

/* Join and release; the thread must have returned CTH_OK. */
static inline void sim_join(cth_thread *thread) {
    cth_status result = CTH_BROKEN;
    CTH_SIM_CHECK(cth_thread_join(thread, &result) == CTH_OK);
    CTH_SIM_CHECK(result == CTH_OK);
    cth_thread_release(thread);
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

/* A deadline which the simulator may let pass: some milliseconds of virtual time. */
static inline cth_time sim_soon(void) {
    return cth_after(CTH_MS(1 + cth_sim_choose(3)));
}

/* Fill an object that was just used for the last time, as if another owner had the memory now. A
   later write of the kit is seen by sim_untouched, a read by AddressSanitizer. */
static inline void sim_gone(void *object, size_t size) {
    memset(object, 0xdd, size);
#if SIM_ASAN
    __asan_poison_memory_region(object, size);
#endif
}

static inline void sim_untouched(void *object, size_t size) {
#if SIM_ASAN
    __asan_unpoison_memory_region(object, size);
#endif
    for (size_t i = 0; i < size; i++) {
        CTH_SIM_CHECK(((unsigned char *)object)[i] == 0xdd);
    }
}

#endif /* SIM_H_INCLUDED */
