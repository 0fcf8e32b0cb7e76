/* bench_process.c - what a task costs that is given to another process: small ones, and such with
   1 MiB of argument and 1 MiB of result. Two workers, started before time is measured.

   The floor for the large ones copies as often as must be, in one thread and between buffers that
   it has all the time: in and out, and if the task copies, from its argument to its result. */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE // popen
#endif
#include "bench.h"
#include "cthreads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_TRIP, ROW_MANY, ROW_MAP, ROW_BARE, ROW_LARGE, ROW_EIGHT, ROW_COUNT };
enum { WORKERS = 2, TRIPS = 32, MANY = 1000, AHEAD = 8, STARTS = 200, BYTES = 1 << 20 };

static bench_row rows[ROW_COUNT] = {
    [ROW_TRIP] = {.name = "a small task, there and back", .unit = "ns", .seconds = 0.5},
    [ROW_MANY] = {.name = "1 000 small tasks at a time, per task", .unit = "ns", .seconds = 0.5},
    [ROW_MAP] = {.name = "1 000 small tasks by one map, per task", .unit = "ns", .seconds = 0.5},
    [ROW_BARE] = {.name = "1 MiB in and 1 MiB out, no work", .unit = "ns", .seconds = 0.5},
    [ROW_LARGE] = {.name = "1 MiB in, copied by the task, 1 MiB out", .unit = "ns", .seconds = 0.5},
    [ROW_EIGHT] = {.name = "1 MiB in, copied by the task, 1 MiB out, 8 in flight, per task",
                   .unit = "ns",
                   .seconds = 0.5},
};

/* ---- cthreads ---- */

static cth_executor *pool;
static unsigned char *in, *out;

static void must(cth_status status) {
    if (__builtin_expect(status != CTH_OK, 0)) {
        bench_fail(cth_status_name(status));
    }
}

static uint64_t answer_to(uint64_t question) {
    return question * 3 + 1;
}

static cth_status answer(void *arg, void *result) {
    *(uint64_t *)result = answer_to(*(uint64_t *)arg);
    return CTH_OK;
}

static cth_status nothing(void *arg, void *result) {
    (void)arg;
    (void)result;
    return CTH_OK;
}

static cth_status copy(void *arg, void *result) {
    memcpy(result, arg, BYTES);
    return CTH_OK;
}

/* Who waits until a deadline does not run the task. */
static void take(cth_future *future, void *result) {
    must(cth_future_result_until(future, result, CTH_FOREVER - 1));
    cth_future_release(future);
}

static void trips(void) {
    for (uint64_t i = 0; i < TRIPS; i++) {
        uint64_t result = 0;
        cth_future *future = NULL;
        must(cth_submit(pool, &future, answer, &i, sizeof i, sizeof result));
        take(future, &result);
        if (result != answer_to(i)) {
            bench_fail("a wrong result");
        }
    }
}

static void many(void) {
    static cth_future *futures[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        must(cth_submit(pool, &futures[i], answer, &i, sizeof i, sizeof i));
    }
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t result = 0;
        take(futures[i], &result);
        if (result != answer_to(i)) {
            bench_fail("a wrong result");
        }
    }
}

static void mapped(void) {
    static uint64_t args[MANY], results[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        args[i] = i;
    }
    must(cth_map(pool, answer, args, sizeof args[0], results, sizeof results[0], MANY));
    for (uint64_t i = 0; i < MANY; i++) {
        if (results[i] != answer_to(i)) {
            bench_fail("a wrong result");
        }
    }
}

/* Each time other bytes, of which the first and the last are looked at. */
static unsigned char next_bytes(void) {
    in[0]++;
    in[BYTES - 1] = in[0];
    return in[0];
}

static void check_bytes(unsigned char value) {
    if (out[0] != value || out[BYTES - 1] != value) {
        bench_fail("a wrong result");
    }
}

static void large(cth_task_fn fn) {
    cth_future *future = NULL;
    const unsigned char value = next_bytes();
    must(cth_submit(pool, &future, fn, in, BYTES, BYTES));
    take(future, out);
    check_bytes(fn == copy ? value : 0);
}

static void eight(void) {
    cth_future *futures[AHEAD];
    unsigned char values[AHEAD];
    for (int i = 0; i < 5 * AHEAD; i++) {
        if (i >= AHEAD) {
            take(futures[i % AHEAD], out);
            check_bytes(values[i % AHEAD]);
        }
        if (i < 4 * AHEAD) {
            values[i % AHEAD] = next_bytes();
            must(cth_submit(pool, &futures[i % AHEAD], copy, in, BYTES, BYTES));
        }
    }
}

static bench_sample measure(const bench_row *row, bool processes) {
    bench_sample sample = {0, 0};
    if (processes) {
        must(cth_process_executor_create(&pool, &(cth_process_desc){.workers = WORKERS}));
    } else {
        must(cth_executor_create(&pool, &(cth_executor_desc){.workers = WORKERS}));
    }
    many();
    switch (row - rows) {
    case ROW_TRIP:
        BENCH_LOOP(sample.value, row, 1, trips());
        sample.value /= TRIPS;
        break;
    case ROW_MANY:
        BENCH_LOOP(sample.value, row, 1, many());
        sample.value /= MANY;
        break;
    case ROW_MAP:
        BENCH_LOOP(sample.value, row, 1, mapped());
        sample.value /= MANY;
        break;
    case ROW_BARE:
    case ROW_LARGE:
        eight();
        BENCH_LOOP(sample.value, row, 1, large(row == &rows[ROW_BARE] ? nothing : copy));
        break;
    default:
        eight();
        BENCH_LOOP(sample.value, row, 1, eight());
        sample.value /= 4 * AHEAD;
    }
    must(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    return sample;
}

static bench_sample in_processes(const bench_row *row) {
    return measure(row, true);
}

static bench_sample in_threads(const bench_row *row) {
    return measure(row, false);
}

/* ---- what the machine takes for the bytes ---- */

static unsigned char *arg_bytes, *result_bytes;

static bench_sample copies(const bench_row *row) {
    bench_sample sample = {0, 0};
    const bool work = row != &rows[ROW_BARE];
    BENCH_LOOP(sample.value, row, 1, {
        const unsigned char value = next_bytes();
        memcpy(arg_bytes, in, BYTES);
        if (work) {
            (void)copy(arg_bytes, result_bytes);
        }
        memcpy(out, work ? result_bytes : arg_bytes, BYTES);
        check_bytes(value);
    });
    return sample;
}

/* ---- other programs ---- */

/* Run the command, which prints a number of nanoseconds; negative when it cannot. */
static double ask(const char *command) {
    double value = -1;
    FILE *from = popen(command, "r");
    if (from == NULL) {
        return -1;
    }
    const bool got = fscanf(from, "%lf", &value) == 1;
    return pclose(from) == 0 && got ? value : -1;
}

static double ask_python(const char *kind, double seconds) {
    char command[1024];
    (void)snprintf(command, sizeof command, "python3 -B '%s' %s %f %d", BENCH_PROCESS_POOL, kind,
                   seconds, (int)WORKERS);
    return ask(command);
}

static bench_sample in_python(const bench_row *row) {
    static const char *const kinds[ROW_COUNT] = {"trips", "many", "map", "bare", "large", "eight"};
    const bench_sample sample = {ask_python(kinds[row - rows], bench_seconds(row)), 0};
    if (sample.value < 0) {
        bench_fail("the Python program failed");
    }
    return sample;
}

/* A process is started for each task; the shell and xargs themselves are timed too. */
static bench_sample in_xargs(const bench_row *row) {
    bench_sample sample = {0, 0};
    char command[128];
    (void)row;
    (void)snprintf(command, sizeof command, "seq %d | xargs -P %d -n 1 true", (int)STARTS,
                   (int)WORKERS);
    const double start = bench_now();
    if (system(command) != 0) {
        bench_fail("xargs failed");
    }
    sample.value = (bench_now() - start) / STARTS;
    return sample;
}

static unsigned char *bytes_new(void) {
    unsigned char *bytes = malloc(BYTES);
    if (bytes == NULL) {
        bench_fail("no memory");
    }
    memset(bytes, 1, BYTES);
    return bytes;
}

int main(int argc, char **argv) {
    cth_process_main(argc, argv);
    bench_start(argc, argv, "process", rows, ROW_COUNT);
    in = bytes_new();
    out = bytes_new();
    arg_bytes = bytes_new();
    result_bytes = bytes_new();
    const bool has_python = ask_python("trips", 0) >= 0;
    for (int i = 0; i < ROW_COUNT; i++) {
        bench_add(i, "cthreads, processes", BENCH_KIT, in_processes);
        bench_add(i, "cthreads, threads", BENCH_KIT, in_threads);
        if (has_python) {
            bench_add(i, "Python ProcessPoolExecutor", BENCH_PEER, in_python);
        }
    }
    if (!has_python) {
        bench_skip("Python ProcessPoolExecutor", "no python3 that has it");
    }
    if (system("seq 2 | xargs -P 2 -n 1 true >/dev/null 2>&1") == 0) {
        bench_add(ROW_MANY, "xargs, a process for each", BENCH_PEER, in_xargs);
    } else {
        bench_skip("xargs -P 2", "not found");
    }
    for (int i = ROW_BARE; i <= ROW_EIGHT; i++) {
        bench_add(i, "memcpy", BENCH_FLOOR, copies);
    }
    return bench_finish();
}
