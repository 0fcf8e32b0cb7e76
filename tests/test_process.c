/* test_process.c - executors of processes: what tasks see, deaths at every moment, nothing left over

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include "test.h"
#include "test_help.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

// Strict -std=c11 hides these.
extern int setpgid(pid_t process, pid_t group);
extern int mkstemp(char *path);
extern char *mkdtemp(char *path);

static cth_executor *pool;
static int descriptors_before;

static int descriptors(void) {
    int n = 0;
    DIR *files = opendir("/proc/self/fd");
    CHECK(files != NULL);
    while (readdir(files) != NULL) {
        n++;
    }
    closedir(files);
    return n;
}

static void no_children(void) {
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_EQ(errno, ECHILD);
}

static void make(const cth_process_desc *desc) {
    descriptors_before = descriptors();
    CHECK_STATUS(cth_process_executor_create(&pool, desc), CTH_OK);
}

/* Parts of workers' memory that this process has mapped. */
static int mappings(void) {
    char line[512];
    int n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        n += strstr(line, "memfd:cthreads") != NULL;
    }
    fclose(maps);
    return n;
}

/* No process, no descriptor and no memory of a worker is left. */
static void clean(void) {
    cth_executor_release(pool);
    CHECK_EQ(descriptors(), descriptors_before);
    CHECK_EQ(mappings(), 0);
    no_children();
}

static void end(void) {
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    clean();
}

static cth_future *submit(cth_task_fn fn, const void *arg, size_t arg_size, size_t result_size) {
    cth_future *future = NULL;
    CHECK_STATUS(cth_submit(pool, &future, fn, arg, arg_size, result_size), CTH_OK);
    return future;
}

/* Wait for the task, which must end with `want` and a text that contains `text`. */
static void expect(cth_future *future, cth_status want, const char *text) {
    const cth_status got = cth_future_result(future, NULL);
    if (got != want || strstr(cth_future_error(future), text) == NULL) {
        test_fail(__FILE__, __LINE__, "%s: %s, not %s: %s", cth_status_name(got),
                  cth_future_error(future), cth_status_name(want), text);
    }
    cth_future_release(future);
}

static cth_status square(void *arg, void *result) {
    const int n = *(const int *)arg;
    *(long *)result = (long)n * n;
    return CTH_OK;
}

static void works(void) {
    const int n = 12;
    long got = 0;
    cth_future *future = submit(square, &n, sizeof n, sizeof got);
    CHECK_STATUS(cth_future_result(future, &got), CTH_OK);
    CHECK_EQ(got, 144);
    cth_future_release(future);
}

static cth_status own_pid(void *arg, void *result) {
    (void)arg;
    *(int *)result = (int)getpid();
    return CTH_OK;
}

static cth_status sleeps(void *arg, void *result) {
    (void)result;
    return cth_sleep(*(const cth_time *)arg);
}

static int worker_pid(void) {
    int pid = 0;
    cth_future *future = submit(own_pid, NULL, 0, sizeof pid);
    CHECK_STATUS(cth_future_result(future, &pid), CTH_OK);
    cth_future_release(future);
    return pid;
}

/* -- what a task gets and gives -------------------------------------------------------------------
 */

static cth_status looks_around(void *arg, void *result) {
    char *text = (char *)result;
    char comm[32] = "", byte;
    FILE *file = fopen("/proc/self/comm", "r");
    if (file == NULL || fgets(comm, sizeof comm, file) == NULL) {
        return CTH_FAILED;
    }
    fclose(file);
    comm[strcspn(comm, "\n")] = '\0';
    (void)snprintf(text, 200, "%s %s %s, %d descriptors, stdin %d, aligned %d, zeroed %d",
                   (const char *)arg, comm, cth_thread_name(cth_thread_current()), descriptors(),
                   (int)read(0, &byte, 1),
                   (uintptr_t)arg % _Alignof(max_align_t) == 0 &&
                       (uintptr_t)result % _Alignof(max_align_t) == 0,
                   text[0] == 0 && memcmp(text, text + 1, 199) == 0);
    return CTH_OK;
}

static void surroundings(void) {
    char text[200];
    int inherited[2];
    CHECK_EQ(pipe(inherited), 0);                      // without close-on-exec
    const int high = fcntl(inherited[0], F_DUPFD, 40); // those may be where a worker has its own
    CHECK(high >= 40);
    make(&(cth_process_desc){.workers = 1, .name = "looker"});
    for (int i = 0; i < 2; i++) { // the second time what the first has left in the memory
        cth_future *future = submit(looks_around, "arg", 4, sizeof text);
        CHECK_STATUS(cth_future_result(future, text), CTH_OK);
        // ".", "..", that of opendir itself, and 0 to 4
        CHECK_STR(text, "arg looker-0 looker-0, 8 descriptors, stdin 0, aligned 1, zeroed 1");
        cth_future_release(future);
    }
    end();
    close(high);
    close(inherited[0]);
    close(inherited[1]);
}

static cth_status fails(void *arg, void *result) {
    const int status = *(const int *)arg;
    (void)result;
    return status < 0 ? CTH_FAILED : cth_fail((cth_status)status, "text %d", status);
}

static void statuses(void) {
    make(NULL);
    for (int i = -1; i <= CTH_FAILED; i++) {
        cth_future *future = submit(fails, &i, sizeof i, 0);
        char text[16];
        (void)snprintf(text, sizeof text, "text %d", i);
        expect(future, i < 0 ? CTH_FAILED : (cth_status)i,
               i == 0  ? ""
               : i < 0 ? cth_status_text(CTH_FAILED)
                       : text);
    }
    expect(submit(fails, &(int){1000}, sizeof(int), 0), CTH_FAILED, "text 1000");
    end();
}

static void pids(void) {
    enum { N = 200 };
    int seen[2] = {0, 0};
    cth_future *futures[N];
    make(&(cth_process_desc){.workers = 2});
    for (int i = 0; i < N; i++) {
        futures[i] = submit(own_pid, NULL, 0, sizeof(int));
    }
    for (int i = 0; i < N; i++) {
        int pid = 0;
        CHECK_STATUS(cth_future_result(futures[i], &pid), CTH_OK);
        cth_future_release(futures[i]);
        CHECK(pid != 0 && pid != (int)getpid());
        seen[0] = seen[0] != 0 ? seen[0] : pid;
        seen[1] = pid != seen[0] && seen[1] == 0 ? pid : seen[1];
        CHECK(pid == seen[0] || pid == seen[1]);
    }
    end();
}

static cth_status turns_over(void *arg, void *result) {
    const size_t n = *(const size_t *)arg;
    const unsigned char *from = (const unsigned char *)arg + sizeof n;
    unsigned char *to = (unsigned char *)result;
    for (size_t i = 0; i < n; i++) {
        if (to[i] != 0) {
            return cth_fail(CTH_FAILED, "not zeroed");
        }
        to[i] = (unsigned char)(from[i] ^ 0xff);
    }
    return CTH_OK;
}

/* A task that gets `n` bytes and gives as many back. */
static cth_future *submit_turn(size_t n, size_t seed) {
    unsigned char *arg = (unsigned char *)malloc(sizeof n + n);
    CHECK(arg != NULL);
    memcpy(arg, &n, sizeof n);
    for (size_t j = 0; j < n; j++) {
        arg[sizeof n + j] = (unsigned char)(j * 7 + j / 256 + seed);
    }
    cth_future *future = submit(turns_over, arg, sizeof n + n, n);
    free(arg);
    return future;
}

static void expect_turn(cth_future *future, size_t n, size_t seed) {
    unsigned char *result = (unsigned char *)malloc(n + 1);
    CHECK(result != NULL);
    result[n] = 0x55;
    CHECK_STATUS(cth_future_result(future, result), CTH_OK);
    for (size_t j = 0; j < n; j++) {
        if (result[j] != (unsigned char)~(j * 7 + j / 256 + seed)) {
            test_fail(__FILE__, __LINE__, "byte %zu of %zu is wrong", j, n);
        }
    }
    CHECK_EQ(result[n], 0x55);
    free(result);
}

static void sizes(void) {
    // Where it matters: the bytes of a task that are small, and those that fill a piece.
    const size_t small = (CTH__CHILD_BASE - CTH__CHILD_HEAD) / 2, piece = CTH__CHILD_BASE;
    const size_t all[] = {0,         1,         3,         64,
                          4000,      4096,      4097,      9000,
                          65536,     small - 8, small - 4, small,
                          small + 1, 17,        piece,     200,
                          piece - 8, piece - 4, piece - 1, 2 * piece - 8,
                          1 << 20,   piece * 2, small,     (1 << 23) + 5,
                          17,        piece};
    make(&(cth_process_desc){.workers = 1});
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        cth_future *future = submit_turn(all[i], i);
        expect_turn(future, all[i], i);
        cth_future_release(future);
    }
    end();
}

static cth_status fills(void *arg, void *result) {
    memset(result, 0xff, *(const size_t *)arg);
    return CTH_OK;
}

static cth_status leaves_zero(void *arg, void *result) {
    (void)arg;
    (void)result;
    return CTH_OK;
}

/* Memory that is used again shows nothing of the tasks before. */
static void nothing_old(void) {
    static unsigned char result[1 << 20], zero[1 << 20];
    static const size_t all[] = {1 << 20, 300000, 1 << 20, 262144, 700000, 10, 1 << 20};
    make(&(cth_process_desc){.workers = 1});
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        cth_future *future = submit(fills, &all[i], sizeof all[i], all[i]);
        CHECK_STATUS(cth_future_result(future, result), CTH_OK);
        CHECK_EQ(result[all[i] - 1], 0xff);
        cth_future_release(future);
        for (size_t j = 0; j < TEST_COUNT(all); j++) {
            memset(result, 0x55, sizeof result);
            future = submit(leaves_zero, &all[j], sizeof all[j], all[j]);
            CHECK_STATUS(cth_future_result(future, result), CTH_OK);
            CHECK(memcmp(result, zero, all[j]) == 0);
            cth_future_release(future);
        }
    }
    end();
}

/* Bytes of memory that the workers and this process share. */
static size_t shared_memory(void) {
    cth__processes *p = (cth__processes *)(void *)pool->runner;
    size_t bytes = 0;
    CTH_WITH(&p->mutex) {
        for (cth__child *child = p->first; child != NULL; child = child->next) {
            struct stat about;
            CHECK_EQ(fstat(child->os.memory, &about), 0);
            bytes += (size_t)about.st_blocks * 512;
        }
    }
    return bytes;
}

/* It comes to be so: a worker thread may still hold a future that was released here. */
static void shared_memory_falls_to(size_t most) {
    for (int i = 0; i < 5000 && shared_memory() > most; i++) {
        CHECK_STATUS(cth_sleep(CTH_MS(1)), CTH_OK);
    }
    CHECK(shared_memory() <= most);
}

/* Many large tasks at a time, whose results stay what they were while others run; and what is kept
   of their memory afterwards has a bound. */
static void larges(void) {
    enum { N = 30 };
    const size_t most = CTH__PIECES_KEPT / 16;
    cth_future *futures[N];
    for (uint32_t workers = 1; workers <= 2; workers++) {
        make(&(cth_process_desc){.workers = workers});
        const size_t kept = CTH__PIECES_KEPT + workers * CTH__CHILD_BASE;
        for (size_t round = 0; round < 3; round++) {
            for (size_t i = 0; i < N; i++) {
                futures[i] = submit_turn(round == 0 ? most : most / 8 + i * 5000, i + round);
            }
            for (size_t i = 0; i < N; i++) {
                expect_turn(futures[i], round == 0 ? most : most / 8 + i * 5000, i + round);
            }
            for (size_t i = 0; i < N; i++) {
                expect_turn(futures[i], round == 0 ? most : most / 8 + i * 5000, i + round);
                cth_future_release(futures[i]);
            }
            shared_memory_falls_to(kept);
        }
        CHECK(shared_memory() > workers * CTH__CHILD_BASE);
        const size_t huge = CTH__PIECES_KEPT + 1;
        const size_t before = shared_memory();
        futures[0] = submit(leaves_zero, &huge, sizeof huge, huge);
        CHECK_STATUS(cth_future_result(futures[0], NULL), CTH_OK);
        CHECK(shared_memory() > CTH__PIECES_KEPT);
        cth_future_release(futures[0]);
        shared_memory_falls_to(before);
        CHECK_EQ(shared_memory(), before); // what the others have is not given up for it
        // Released after the processes have ended.
        futures[0] = submit_turn(most, 5);
        CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
        expect_turn(futures[0], most, 5);
        cth_future_release(futures[0]);
        clean();
    }
}

typedef struct big {
    size_t n;
    unsigned char bytes[400000];
} big;

static cth_status counts_up(void *arg, void *result) {
    const big *from = (const big *)arg;
    big *to = (big *)result;
    to->n = from->n + 1;
    memset(to->bytes, (int)to->n, sizeof to->bytes);
    return from->n == 0 || from->bytes[sizeof from->bytes - 1] == from->n ? CTH_OK : CTH_FAILED;
}

static bool next_big(void *arg, void *context) {
    size_t *n = (size_t *)context;
    ((big *)arg)->n = 0;
    return (*n)++ < 6;
}

static cth_status each_big(void *result, void *context) {
    (void)context;
    CHECK_EQ(((const big *)result)->n, 1);
    CHECK_EQ(((const big *)result)->bytes[399999], 1);
    return CTH_OK;
}

/* The other ways for tasks to come: one after the other, by both maps, and init. */
static void larges_elsewhere(void) {
    enum { N = 4 };
    static big args[N], results[N];
    cth_future *futures[N];
    size_t n = 0;
    memset(args, 0, sizeof args);
    make(&(cth_process_desc){.workers = 2,
                             .init = leaves_zero,
                             .init_arg = args,
                             .init_arg_size = sizeof args}); // large as well
    futures[0] = submit(counts_up, &args[0], sizeof args[0], sizeof args[0]);
    for (int i = 1; i < N; i++) {
        CHECK_STATUS(cth_future_then(futures[i - 1], &futures[i], counts_up, sizeof args[0]),
                     CTH_OK);
    }
    for (int i = N - 1; i >= 0; i--) {
        CHECK_STATUS(cth_future_result(futures[i], &results[i]), CTH_OK);
        CHECK_EQ(results[i].n, i + 1);
        CHECK_EQ(results[i].bytes[sizeof results[i].bytes - 1], i + 1);
        cth_future_release(futures[i]);
    }
    memset(results, 0, sizeof results);
    CHECK_STATUS(cth_map(pool, counts_up, args, sizeof args[0], results, sizeof args[0], N),
                 CTH_OK);
    for (int i = 0; i < N; i++) {
        CHECK_EQ(results[i].n, 1);
        CHECK_EQ(results[i].bytes[sizeof results[i].bytes - 1], 1);
    }
    CHECK_STATUS(
        cth_map_each(pool, counts_up, sizeof args[0], sizeof args[0], 0, next_big, each_big, &n),
        CTH_OK);
    end();
}

static void refused(void) {
    static int data;
    const cth_task_fn elsewhere = (cth_task_fn)(uintptr_t)&data;
    cth_future *future = NULL;
    make(NULL);
    CHECK_STATUS(cth_submit(pool, &future, elsewhere, NULL, 0, 0), CTH_INVALID);
    CHECK(strstr(cth_error_text(), "shared library") != NULL);
    CHECK_STATUS(cth_submit(pool, &future, NULL, NULL, 0, 0), CTH_INVALID);
    CHECK_STATUS(cth_submit(pool, &future, square, &data, CTH_PROCESS_BYTES_MAX + 1, 0),
                 CTH_INVALID);
    CHECK(strstr(cth_error_text(), "bytes") != NULL);
    CHECK_STATUS(cth_submit(pool, &future, square, NULL, 0, CTH_PROCESS_BYTES_MAX + 1),
                 CTH_INVALID);
    CHECK_STATUS(cth_map(pool, elsewhere, NULL, 0, NULL, 0, 5), CTH_INVALID);
    CHECK(future == NULL);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(cth_submit(pool, &future, square, NULL, 0, 0), CTH_SHUTDOWN);
    CHECK(future == NULL);
    clean();
    cth_executor *none = NULL;
    CHECK_STATUS(cth_process_executor_create(NULL, NULL), CTH_INVALID);
    CHECK_STATUS(cth_process_executor_create(&none, &(cth_process_desc){.timeout = -1}),
                 CTH_INVALID);
    CHECK_STATUS(cth_process_executor_create(&none, &(cth_process_desc){.init = elsewhere}),
                 CTH_INVALID);
    CHECK_STATUS(cth_process_executor_create(&none, &(cth_process_desc){.workers = 100000}),
                 CTH_INVALID);
    CHECK_STATUS(
        cth_process_executor_create(
            &none, &(cth_process_desc){.name = "a name of more than forty characters, too long"}),
        CTH_INVALID);
    CHECK(none == NULL);
    CHECK_STATUS(cth_executor_create(&pool, NULL), CTH_OK);
    CHECK_STATUS(cth_process_executor_kill(pool), CTH_INVALID);
    CHECK_STATUS(cth_process_executor_terminate(pool), CTH_INVALID);
    cth_executor_release(pool);
}

/* -- map -----------------------------------------------------------------------------------------
 */

static cth_status square_but_no_70(void *arg, void *result) {
    return *(const int *)arg >= 70 ? cth_fail(CTH_FAILED, "no %d", *(const int *)arg)
                                   : square(arg, result);
}

static cth_status dies_at_70(void *arg, void *result) {
    if (*(const int *)arg == 70) {
        _exit(7);
    }
    return square(arg, result);
}

static cth_status counts_bytes(void *arg, void *result) {
    size_t sum = 0;
    for (size_t i = 0; i < 30000; i++) {
        sum += ((const unsigned char *)arg)[i];
    }
    *(size_t *)result = sum;
    return CTH_OK;
}

static void maps(void) {
    enum { N = 1000 };
    static int args[N];
    static long results[N];
    static unsigned char large[20][30000];
    size_t sums[20];
    make(&(cth_process_desc){.workers = 2});
    for (int i = 0; i < N; i++) {
        args[i] = i;
    }
    for (size_t n = 0; n <= N; n = n < 5 ? n + 1 : n * 3) {
        memset(results, 0xff, sizeof results);
        CHECK_STATUS(cth_map(pool, square, args, sizeof(int), results, sizeof(long), n), CTH_OK);
        for (size_t i = 0; i < N; i++) {
            CHECK_EQ(results[i], i < n ? (long)(i * i) : -1);
        }
    }
    for (int i = 0; i < 20; i++) {
        memset(large[i], i, sizeof large[i]);
    }
    CHECK_STATUS(cth_map(pool, counts_bytes, large, sizeof large[0], sums, sizeof sums[0], 20),
                 CTH_OK);
    for (size_t i = 0; i < 20; i++) {
        CHECK_EQ(sums[i], i * 30000);
    }
    memset(results, 0xff, sizeof results);
    CHECK_STATUS(cth_map(pool, square_but_no_70, args, sizeof(int), results, sizeof(long), N),
                 CTH_FAILED);
    CHECK_STR(cth_error_text(), "no 70");
    for (int i = 0; i < N; i++) {
        CHECK(results[i] == (i < 70 ? (long)i * i : -1));
    }
    CHECK_STATUS(cth_map(pool, dies_at_70, args, sizeof(int), results, sizeof(long), N),
                 CTH_BROKEN);
    CHECK_STR(cth_error_text(), "exited with status 7");
    CHECK_STATUS(cth_map(pool, square, args, sizeof(int), results, sizeof(long), N), CTH_OK);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    CHECK_STATUS(cth_map(pool, square, args, sizeof(int), results, sizeof(long), N), CTH_SHUTDOWN);
    clean();
}

/* -- deaths --------------------------------------------------------------------------------------
 */

static cth_status dies(void *arg, void *result) {
    const int how = *(const int *)arg;
    (void)result;
    if (how >= 0) {
        (void)signal(how, SIG_DFL); // a sanitizer's handler would report it
        (void)raise(how);
    } else if (how == -1) {
        _exit(3);
    } else {
        exit(4);
    }
    return CTH_OK;
}

static void deaths(void) {
    static const struct {
        int how;
        const char *text;
    } all[] = {{SIGKILL, "killed by signal 9"},
               {SIGSEGV, "killed by signal 11"},
               {SIGABRT, "killed by signal 6"},
               {-1, "exited with status 3"},
               {-2, "exited with status 4"}};
    for (uint32_t workers = 1; workers <= 2; workers++) {
        make(&(cth_process_desc){.workers = workers});
        for (size_t i = 0; i < TEST_COUNT(all); i++) {
            long got = 0;
            cth_future *before = submit(square, &(int){5}, sizeof(int), sizeof(long));
            cth_future *bad = submit(dies, &all[i].how, sizeof(int), 0);
            cth_future *after = submit(square, &(int){6}, sizeof(int), sizeof(long));
            CHECK_STATUS(cth_future_result(before, &got), CTH_OK);
            CHECK_EQ(got, 25);
            expect(bad, CTH_BROKEN, all[i].text);
            CHECK_STATUS(cth_future_result(after, &got), CTH_OK);
            CHECK_EQ(got, 36);
            cth_future_release(before);
            cth_future_release(after);
        }
        end();
    }
}

/* A worker that dies while it has nothing to do costs no task. */
static void idle_deaths(void) {
    make(&(cth_process_desc){.workers = 1});
    int before = worker_pid();
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(kill(before, SIGKILL), 0);
        if (i % 2 == 0) { // it is dead by now, or the request overtakes the signal
            char path[64];
            (void)snprintf(path, sizeof path, "/proc/%d/fd/3", before);
            while (access(path, F_OK) == 0) {
                cth_yield();
            }
        }
        const int now = worker_pid();
        CHECK(now != before);
        before = now;
    }
    end();
}

/* How many children of this process are dead and not waited for. */
static int zombies(void) {
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    int n = 0;
    CHECK(processes != NULL);
    while ((entry = readdir(processes)) != NULL) {
        char path[300], text[512] = "", state = 0;
        int parent = 0;
        (void)snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file != NULL) {
            const char *after =
                fgets(text, sizeof text, file) != NULL ? strrchr(text, ')') : NULL; // the name
            n += after != NULL && sscanf(after, ") %c %d", &state, &parent) == 2 && state == 'Z' &&
                 parent == (int)getpid();
            fclose(file);
        }
    }
    closedir(processes);
    return n;
}

/* One that dies while it has nothing to do, for a while or not yet, is waited for, and what it had
   is given back, though no task comes. */
static void no_zombies(void) {
    make(&(cth_process_desc){.workers = 2});
    cth__processes *p = (cth__processes *)(void *)pool->runner;
    for (int i = 0; i < 6; i++) {
        cth_future *futures[2];
        for (int j = 0; j < 2; j++) { // so that both workers are there
            futures[j] = submit(sleeps, &(cth_time){CTH_MS(20)}, sizeof(cth_time), 0);
        }
        for (int j = 0; j < 2; j++) {
            expect(futures[j], CTH_OK, "");
        }
        const int pid = worker_pid();
        CHECK_STATUS(cth_sleep(CTH_MS(i % 2 * 60)), CTH_OK);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        for (int tries = 0; kill(pid, 0) == 0 && tries < 10000; tries++) {
            CHECK_STATUS(cth_sleep(CTH_MS(1)), CTH_OK);
        }
        CHECK_EQ(zombies(), 0);
        CHECK_EQ(kill(pid, 0), -1);
        CTH_WITH(&p->mutex) {
            for (cth__child *child = p->first; child != NULL; child = child->next) {
                CHECK(child->os.pid != pid);
            }
        }
        works();
    }
    // Who watches sleeps all the time, also after it was woken for a task and has done that.
    struct rusage before, after;
    CHECK_STATUS(cth_sleep(CTH_MS(60)), CTH_OK);
    works();
    CHECK_STATUS(cth_sleep(CTH_MS(100)), CTH_OK);
    CHECK_EQ(getrusage(RUSAGE_SELF, &before), 0);
    CHECK_EQ(poll(NULL, 0, 400), 0); // cth_sleep takes naps with the portable park
    CHECK_EQ(getrusage(RUSAGE_SELF, &after), 0);
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 15);
    end();
}

static cth_status closes_socket(void *arg, void *result) {
    (void)arg;
    (void)result;
    close(CTH__WORKER_SOCKET);
    return CTH_OK;
}

/* Its child keeps the socket open, but not the worker alive. */
static cth_status leaves_child_behind(void *arg, void *result) {
    (void)arg;
    *(int *)result = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        for (;;) {
            pause();
        }
    }
    const int file = open("/dev/null", O_WRONLY);
    (void)file;
    return pid > 0 ? cth_fail(CTH_FAILED, "%d", (int)pid) : CTH_BROKEN;
}

static cth_status forks(void *arg, void *result) {
    (void)arg;
    const pid_t parent = getpid();
    const pid_t pid = fork();
    *(int *)result = (int)parent;
    if (pid > 0 && waitpid(pid, NULL, 0) != pid) {
        return CTH_FAILED;
    }
    return CTH_OK; // in both
}

static void odd_deaths(void) {
    make(&(cth_process_desc){.workers = 1});
    expect(submit(closes_socket, NULL, 0, 0), CTH_BROKEN, "");
    works();
    cth_future *future = submit(forks, NULL, 0, sizeof(int));
    int pid = 0;
    CHECK_STATUS(cth_future_result(future, &pid), CTH_OK);
    cth_future_release(future);
    CHECK_EQ(worker_pid(), pid);
    future = submit(leaves_child_behind, NULL, 0, sizeof(int));
    CHECK_STATUS(cth_future_result(future, NULL), CTH_FAILED);
    const int left = atoi(cth_future_error(future));
    cth_future_release(future);
    expect(submit(dies, &(int){SIGKILL}, sizeof(int), 0), CTH_BROKEN, "killed by signal 9");
    works();
    CHECK_EQ(kill(left, SIGKILL), 0);
    end();
}

/* 500 processes are killed while tasks of all sorts run, at whatever they do then. */
static cth_status takes_a_while(void *arg, void *result) {
    const uint32_t n = *(const uint32_t *)arg;
    for (volatile uint32_t i = 0; i < n % 3000 * 150; i++) {
    }
    *(uint32_t *)result = n + 1;
    return CTH_OK;
}

static atomic_int stop_killing;

static cth_status kills(void *arg) {
    int *killed = (int *)arg;
    cth__processes *p = (cth__processes *)(void *)pool->runner;
    cth_rng rng;
    cth_rng_seed(&rng, 7);
    while (*killed < 500 && atomic_load(&stop_killing) == 0) {
        if (cth_sleep(CTH_US((cth_time)(cth_rng_next(&rng) % 3000))) != CTH_OK) {
            return CTH_FAILED;
        }
        CTH_WITH(&p->mutex) { // what is in the list has not been waited for
            const uint32_t skip = (uint32_t)(cth_rng_next(&rng) % 3);
            cth__child *child = p->first;
            for (uint32_t i = 0; i < skip && child != NULL && child->next != NULL; i++) {
                child = child->next;
            }
            if (child != NULL) {
                *killed += kill(child->os.pid, SIGKILL) == 0;
            }
        }
    }
    return CTH_OK;
}

static void random_kills(void) {
    enum { AHEAD = 12 };
    static unsigned char arg[300000], result[260000];
    cth_future *futures[AHEAD] = {NULL};
    uint32_t sent[AHEAD] = {0};
    int killed = 0, broken = 0, good = 0;
    cth_rng rng;
    cth_rng_seed(&rng, 8);
    make(&(cth_process_desc){.workers = 3});
    atomic_store(&stop_killing, 0);
    cth_thread *killer = test_spawn(kills, &killed);
    for (uint32_t i = 0; cth_thread_is_alive(killer) || futures[i % AHEAD] != NULL; i++) {
        cth_future *future = futures[i % AHEAD];
        if (future != NULL) {
            uint32_t got = 0;
            const cth_status status = cth_future_result(future, result);
            memcpy(&got, result, sizeof got);
            if (status == CTH_OK) {
                CHECK_EQ(got, sent[i % AHEAD] + 1);
                good++;
            } else {
                CHECK_STATUS(status, CTH_BROKEN);
                CHECK_STR(cth_future_error(future), "killed by signal 9");
                broken++;
            }
            cth_future_release(future);
            futures[i % AHEAD] = NULL;
        }
        if (cth_thread_is_alive(killer)) {
            const uint32_t n = (uint32_t)cth_rng_next(&rng);
            memcpy(arg, &n, sizeof n);
            sent[i % AHEAD] = n;
            const size_t part = n % 3 == 0 ? 8 : 1; // an eighth is small
            futures[i % AHEAD] =
                submit(takes_a_while, arg, n % 4 == 0 ? sizeof arg / part : sizeof n,
                       n % 5 == 0 ? sizeof result / part : sizeof n);
        }
    }
    CHECK_STATUS(test_join(killer), CTH_OK);
    CHECK_EQ(killed, 500);
    CHECK(broken <= killed && good > 0);
    printf("     %d killed: %d tasks broken, %d done\n", killed, broken, good);
    works();
    end();
}

/* -- what the executor can be told ----------------------------------------------------------------
 */

static void timeouts(void) {
    const cth_time limit = CTH_MS(60);
    make(&(cth_process_desc){.workers = 2, .timeout = limit});
    for (int i = 0; i < 3; i++) {
        const cth_time before = cth_now();
        cth_future *late = submit(sleeps, &(cth_time){CTH_S(100)}, sizeof(cth_time), 0);
        CHECK_STATUS(cth_future_result(late, NULL), CTH_TIMEDOUT);
        CHECK(cth_now() - before >= limit);
        CHECK(cth_future_is_done(late));
        CHECK(strstr(cth_future_error(late), "timeout") != NULL);
        cth_future_release(late);
    }
    end();
}

static void max_tasks(void) {
    make(&(cth_process_desc){.workers = 1, .max_tasks = 2});
    int last = 0;
    for (int i = 0; i < 6; i++) {
        const int pid = worker_pid();
        CHECK((pid == last) == (i % 2 == 1));
        last = pid;
    }
    end();
}

static int greeting; // set by init, in the workers only

static cth_status greets(void *arg, void *result) {
    (void)result;
    greeting = *(const int *)arg;
    if (greeting == 13) {
        (void)raise(SIGKILL);
    }
    return greeting < 0 ? cth_fail(CTH_EMPTY, "no greeting") : CTH_OK;
}

static cth_status tells_greeting(void *arg, void *result) {
    (void)arg;
    *(int *)result = greeting;
    return CTH_OK;
}

/* A large task is not begun by a worker that is dead, and begun and lost by one that dies. */
static void large_deaths(void) {
    static big arg, result;
    make(&(cth_process_desc){.workers = 1});
    for (int i = 0; i < 10; i++) {
        CHECK_STATUS(cth_run(pool, counts_up, &arg, sizeof arg, &result, sizeof result), CTH_OK);
        CHECK_EQ(kill(worker_pid(), SIGKILL), 0);
        CHECK_STATUS(cth_run(pool, counts_up, &arg, sizeof arg, &result, sizeof result), CTH_OK);
        CHECK_EQ(result.n, 1);
        CHECK_EQ(result.bytes[sizeof result.bytes - 1], 1);
        *(int *)(void *)&arg = SIGKILL;
        expect(submit(dies, &arg, sizeof arg, sizeof arg), CTH_BROKEN, "killed by signal 9");
        memset(&arg, 0, sizeof arg);
    }
    end();
}

static void inits(void) {
    for (int value = -1; value <= 13; value += 7) {
        make(&(cth_process_desc){
            .workers = 1, .init = greets, .init_arg = &value, .init_arg_size = sizeof value});
        for (int i = 0; i < 2; i++) {
            int got = 0;
            cth_future *future = submit(tells_greeting, NULL, 0, sizeof got);
            if (value == 6) {
                CHECK_STATUS(cth_future_result(future, &got), CTH_OK);
                CHECK_EQ(got, 6);
                cth_future_release(future);
            } else {
                expect(future, value < 0 ? CTH_EMPTY : CTH_BROKEN,
                       value < 0 ? "no greeting" : "killed by signal 9");
            }
        }
        end();
    }
    CHECK_EQ(greeting, 0);
}

static cth_status waits_for_parent(void *arg, void *result) {
    char byte;
    (void)result;
    const int file = open((const char *)arg, O_RDONLY); // until the other end is opened
    return file >= 0 && read(file, &byte, 1) == 0 ? CTH_OK : CTH_FAILED;
}

/* What executors have besides: a bounded queue, tasks after tasks, counters. */
static void bounded(void) {
    char folder[] = "/tmp/test_process_XXXXXX", path[64];
    cth_executor *none = NULL;
    cth_future *futures[3], *future = NULL;
    cth_executor_counts counts;
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/fifo", folder);
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_STATUS(
        cth_process_executor_create(&none, &(cth_process_desc){.policy = CTH_FULL_CALLER_RUNS}),
        CTH_INVALID);
    make(&(cth_process_desc){.workers = 1, .capacity = 1, .policy = CTH_FULL_FAILS});
    futures[0] = submit(waits_for_parent, path, sizeof path, 0);
    CHECK_STATUS(cth_future_then(futures[0], &futures[1], own_pid, sizeof(int)), CTH_OK);
    while (!cth_future_is_running(futures[0])) {
        cth_yield();
    }
    futures[2] = submit(square, &(int){3}, sizeof(int), sizeof(long));
    CHECK_STATUS(cth_submit(pool, &future, square, &(int){3}, sizeof(int), sizeof(long)), CTH_FULL);
    CHECK(future == NULL);
    close(open(path, O_WRONLY));
    for (int i = 0; i < 3; i++) {
        expect(futures[i], CTH_OK, "");
    }
    CHECK_STATUS(cth_executor_count(pool, &counts), CTH_OK);
    CHECK_EQ(counts.completed, 3);
    end();
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(folder), 0);
}

/* A worker that dies in its init has not begun the task it was started for. */
static cth_status dies_at_first(void *arg, void *result) {
    (void)result;
    return unlink((const char *)arg) == 0 ? dies(&(int){SIGKILL}, NULL) : CTH_OK;
}

static void first_init_dies(void) {
    char path[] = "/tmp/test_process_XXXXXX";
    const int file = mkstemp(path);
    CHECK(file >= 0);
    close(file);
    make(&(cth_process_desc){
        .workers = 1, .init = dies_at_first, .init_arg = path, .init_arg_size = sizeof path});
    works();
    CHECK(access(path, F_OK) != 0);
    end();
}

/* How many processes have ever begun a task. */
static int processes_busy(void) {
    cth__processes *p = (cth__processes *)(void *)pool->runner;
    int n = 0;
    CTH_WITH(&p->mutex) {
        for (cth__child *child = p->first; child != NULL; child = child->next) {
            n += *(volatile uint32_t *)(void *)child->os.shared != 0;
        }
    }
    return n;
}

/* Two tasks run, six wait. CTH_NOW ends those that wait; the last two end the others as well. */
static void shutdowns(void) {
    for (int how = 0; how < 4; how++) {
        cth_future *futures[8];
        make(&(cth_process_desc){.workers = 2});
        const cth_time span = how < 2 ? CTH_MS(30) : CTH_S(1000);
        for (int i = 0; i < 8; i++) {
            futures[i] = submit(sleeps, &span, sizeof span, 0);
        }
        while (processes_busy() < 2) {
            cth_yield();
        }
        CHECK_STATUS(how == 0   ? cth_executor_shutdown(pool, CTH_DRAIN)
                     : how == 1 ? cth_executor_shutdown(pool, CTH_NOW)
                     : how == 2 ? cth_process_executor_terminate(pool)
                                : cth_process_executor_kill(pool),
                     CTH_OK);
        int broken = 0;
        for (int i = 0; i < 8; i++) {
            const cth_status status = cth_future_try_result(futures[i], NULL);
            if (how >= 2 && status == CTH_BROKEN) {
                CHECK_STR(cth_future_error(futures[i]),
                          how == 2 ? "killed by signal 15" : "killed by signal 9");
                broken++;
            } else if (how == 0 || status != CTH_SHUTDOWN) {
                CHECK_STATUS(status, how < 2 ? CTH_OK : CTH_SHUTDOWN);
            }
            cth_future_release(futures[i]);
        }
        CHECK_EQ(broken, how < 2 ? 0 : 2);
        CHECK_STATUS(cth_executor_shutdown(pool, CTH_NOW), CTH_OK);
        clean();
    }
}

/* Released, and not shut down: it does what it has, and then its processes end. */
static void just_released(void) {
    make(&(cth_process_desc){.workers = 2});
    cth_future *future = submit(square, &(int){3}, sizeof(int), sizeof(long));
    cth_executor_release(pool);
    expect(future, CTH_OK, "");
    while (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
        cth_yield();
    }
    while (cth_thread_count() > 1) {
        cth_yield();
    }
    CHECK_EQ(descriptors(), descriptors_before);
}

static int hooked;

static void hook(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)thread;
    (void)arg;
    CHECK_STATUS(status, CTH_BROKEN);
    CHECK_STR(message, "exited with status 3");
    hooked++;
}

static void unasked(void) {
    make(&(cth_process_desc){.workers = 1});
    cth_thread_set_hook(hook, NULL);
    CHECK_STATUS(cth_submit(pool, NULL, dies, &(int){-1}, sizeof(int), 0), CTH_OK);
    end();
    cth_thread_set_hook(NULL, NULL);
    CHECK_EQ(hooked, 1);
}

static void no_descriptors(void) {
    struct rlimit limit, low;
    make(&(cth_process_desc){.workers = 1});
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (rlim_t n = 3; n < 30; n += 3) {
        low = limit;
        low.rlim_cur = n;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        cth_future *future = submit(square, &(int){3}, sizeof(int), sizeof(long));
        const cth_status status = cth_future_result(future, NULL);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (status != CTH_OK) {
            CHECK_STATUS(status, CTH_AGAIN);
            CHECK(strstr(cth_future_error(future), "no worker could be started") != NULL);
            CHECK_EQ(descriptors(), descriptors_before);
        }
        cth_future_release(future);
    }
    works();
    end();
}

/* -- what is no reply ----------------------------------------------------------------------------
 */

static cth_status sends_noise(void *arg, void *result) {
    const int kind = *(const int *)arg;
    unsigned char noise[sizeof(cth__reply) * 2];
    cth__reply reply;
    (void)result;
    memset(noise, 0x5a, sizeof noise);
    memset(&reply, 0, sizeof reply);
    reply.kind = CTH__REPLY;
    reply.number = *(volatile uint32_t *)(void *)((unsigned char *)arg - CTH__CHILD_HEAD);
    reply.kind += kind == 0;
    reply.number += kind == 1;
    reply.status = kind == 2 ? CTH_FAILED + 1 : kind == 3 ? UINT32_MAX : CTH_FAILED;
    if (kind == 4) {
        memset(reply.error, 'x', sizeof reply.error); // never ends
    }
    memcpy(noise, &reply, kind < 9 ? sizeof reply : 0);
    const size_t size = kind == 5   ? sizeof reply - 1
                        : kind == 6 ? sizeof reply + 1
                        : kind == 7 ? 0
                        : kind == 8 ? 1
                        : kind == 9 ? sizeof noise
                                    : sizeof reply;
    return send(CTH__WORKER_SOCKET, noise, size, 0) == (ssize_t)size ? CTH_OK : CTH_FAILED;
}

static void noise(void) {
    make(&(cth_process_desc){.workers = 1});
    for (int kind = 0; kind < 10; kind++) {
        expect(submit(sends_noise, &kind, sizeof kind, 0), CTH_BROKEN,
               kind == 7 ? "" : "something else than a reply");
        works();
    }
    end();
}

/* -- processes in processes, and forks ------------------------------------------------------------
 */

static cth_status has_its_own(void *arg, void *result) {
    cth_executor *inner;
    cth_future *future;
    cth_status status = cth_process_executor_create(&inner, NULL);
    if (status != CTH_OK) {
        return status;
    }
    status = cth_submit(inner, &future, square, arg, sizeof(int), sizeof(long));
    if (status == CTH_OK) {
        status = cth_future_result(future, result);
        cth_future_release(future);
    }
    (void)cth_executor_shutdown(inner, CTH_DRAIN);
    cth_executor_release(inner);
    return status;
}

static void nested(void) {
    make(&(cth_process_desc){.workers = 1});
    long got = 0;
    cth_future *future = submit(has_its_own, &(int){11}, sizeof(int), sizeof(long));
    CHECK_STATUS(cth_future_result(future, &got), CTH_OK);
    CHECK_EQ(got, 121);
    cth_future_release(future);
    end();
}

static void forked(void) {
    make(&(cth_process_desc){.workers = 1});
    works();
    const pid_t pid = fork();
    if (pid == 0) {
        cth_future *future;
        const bool good = cth_submit(pool, &future, square, NULL, 0, 0) == CTH_FORKED &&
                          cth_process_executor_kill(pool) == CTH_FORKED;
        cth_executor_release(pool);
        _exit(good ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    works();
    end();
}

/* -- whole programs ------------------------------------------------------------------------------
 */

static cth_status says_and_sleeps(void *arg, void *result) {
    (void)arg;
    (void)result;
    printf("%d\n", (int)getpid());
    (void)fflush(stdout);
    return cth_sleep(CTH_S(1000));
}

static cth_future *child_futures[2]; // never released

/* Two workers that sleep; their numbers are printed. */
static void child_with_workers(void) {
    make(&(cth_process_desc){.workers = 2});
    for (int i = 0; i < 2; i++) {
        child_futures[i] = submit(says_and_sleeps, NULL, 0, 0);
    }
}

static int child_main(const char *mode) {
    static cth_cancel token;
    if (strcmp(mode, "handled") == 0) { // before the workers start: they must not inherit it
        CHECK_STATUS(cth_cancel_init(&token, NULL, CTH_FOREVER), CTH_OK);
        CHECK_STATUS(cth_cancel_on_signal(&token, SIGINT), CTH_OK);
        CTH_UNDER(&token) {
            child_with_workers();
            CHECK_STATUS(cth_sleep(CTH_S(1000)), CTH_CANCELLED);
            CTH_SHIELDED {
                CHECK_STATUS(cth_sleep(CTH_MS(50)), CTH_OK); // the workers ignored it
            }
            CHECK(!cth_future_is_done(child_futures[0]) && !cth_future_is_done(child_futures[1]));
        }
        CHECK_STATUS(cth_process_executor_kill(pool), CTH_OK);
        clean();
        printf("ended\n");
        return 0;
    }
    child_with_workers();
    if (strcmp(mode, "returns") == 0) {
        CHECK_STATUS(cth_sleep(CTH_MS(200)), CTH_OK);
        return 0;
    }
    CHECK_STATUS(cth_sleep(CTH_S(1000)), CTH_OK);
    return 1;
}

static bool gone(int pid) {
    char path[64], text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return true;
    }
    const bool zombie = fgets(text, sizeof text, file) != NULL && strstr(text, ") Z") != NULL;
    fclose(file);
    return zombie; // somebody else's, who may take long
}

/* Start a program with two workers, send `number` to it or to its process group, as Ctrl-C does,
   and see that its workers end. Return its wait status. */
static int with_program(const char *mode, int number, bool group) {
    int ends[2], pids[2], status = 0;
    char text[64] = "";
    size_t used = 0;
    CHECK_EQ(pipe(ends), 0);
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        alarm(120);
        execl("/proc/self/exe", "child", "--child", mode, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while (strchr(text, '\n') == strrchr(text, '\n')) { // until both have said it
        CHECK(used < sizeof text - 1 && read(ends[0], &text[used++], 1) == 1);
    }
    CHECK_EQ(sscanf(text, "%d %d", &pids[0], &pids[1]), 2);
    CHECK(pids[0] != pids[1] && pids[0] != (int)pid && !gone(pids[0]) && !gone(pids[1]));
    if (number != 0) {
        CHECK_EQ(kill(group ? -pid : pid, number), 0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    while (!gone(pids[0]) || !gone(pids[1])) {
        cth_yield();
    }
    close(ends[0]);
    return status;
}

static void killed_parent(void) {
    for (int i = 0; i < 3; i++) {
        const int status = with_program("stays", SIGKILL, false);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    CHECK_EQ(with_program("returns", 0, false), 0);
}

static void ctrl_c(void) {
    const int status = with_program("stays", SIGINT, true);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    CHECK_EQ(with_program("handled", SIGINT, true), 0);
}

static void without_main(void) {
    char text[512];
    CHECK_EQ(test_child("without", text, sizeof text), 0);
    CHECK_STR(text, "CTH_INVALID: cth_process_main was not called, first in main\n");
    // What looks like a worker and has no socket is none.
    int ran = -1;
    const pid_t pid = fork();
    if (pid == 0) {
        close(CTH__WORKER_SOCKET);
        close(1);
        close(2);
        execl("/proc/self/exe", "child", CTH__WORKER_FLAG, "name", "1", (char *)NULL);
        _exit(127);
    }
    CHECK_EQ(waitpid(pid, &ran, 0), pid);
    CHECK(WIFEXITED(ran) && WEXITSTATUS(ran) == EXIT_FAILURE); // "no test ..."
}

static const test_case tests[] = {
    TEST(surroundings),
    TEST(statuses),
    TEST(pids),
    TEST(sizes),
    TEST(nothing_old),
    TEST(larges),
    TEST(larges_elsewhere),
    TEST(large_deaths),
    TEST(refused),
    TEST(maps),
    TEST(deaths),
    TEST(idle_deaths),
    TEST(no_zombies),
    TEST(odd_deaths),
    TEST(random_kills),
    TEST(timeouts),
    TEST(max_tasks),
    TEST(inits),
    TEST(first_init_dies),
    TEST(bounded),
    TEST(shutdowns),
    TEST(just_released),
    TEST(unasked),
    TEST(noise),
    TEST(nested),
    TEST(forked),
    TEST(no_descriptors),
    TEST(killed_parent),
    TEST(ctrl_c),
    TEST(without_main),
};

int main(int argc, char **argv) {
    const char *mode = test_child_mode(argc, argv);
    if (mode != NULL && strcmp(mode, "without") == 0) {
        const cth_status status = cth_process_executor_create(&pool, NULL);
        printf("%s: %s\n", cth_status_name(status), cth_error_text());
        return 0;
    }
    cth_process_main(argc, argv);
    return mode != NULL ? child_main(mode)
                        : test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
