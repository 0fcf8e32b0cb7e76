/* test_process_lacks.c - executors of processes on systems that lack what they use: no way to start
   the program anew, no new kinds of system calls, no memory

   The calls that the kit makes are given other names before it is included; here they fail when
   they are asked to. What a worker's own calls do is in the environment.

   SPDX-License-Identifier: MIT-0 OR Unlicense
*/
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <unistd.h>

extern int lacking_access(const char *path, int mode);
extern int lacking_posix_spawn(pid_t *pid,
                               const char *path,
                               const posix_spawn_file_actions_t *files,
                               const posix_spawnattr_t *attr,
                               char *const args[],
                               char *const environment[]);
#define access      lacking_access
#define posix_spawn lacking_posix_spawn
#define syscall     lacking_syscall
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#undef access
#undef posix_spawn
#undef syscall
#include "test.h"
#include "test_help.h"

// Strict -std=c11 hides these.
extern long syscall(long number, ...);
extern int setenv(const char *name, const char *value, int replace);
extern int unsetenv(const char *name);

enum { MEMFD_CREATE = SYS_memfd_create, PIDFD_OPEN = 434, CLOSE_RANGE = 436 };

static atomic_int access_error, spawn_error;      // 0: the call is made
static atomic_long lacking_number, lacking_errno; // a system call that fails, and how
static atomic_int lacking_calls;                  // that have failed

int lacking_access(const char *path, int mode) {
    const int error = atomic_load(&access_error);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return access(path, mode);
}

int lacking_posix_spawn(pid_t *pid,
                        const char *path,
                        const posix_spawn_file_actions_t *files,
                        const posix_spawnattr_t *attr,
                        char *const args[],
                        char *const environment[]) {
    const int error = atomic_load(&spawn_error);
    return error != 0 ? error : posix_spawn(pid, path, files, attr, args, environment);
}

__attribute__((no_sanitize_address)) // reads more arguments than there may be
long
lacking_syscall(long number, ...) {
    long args[6];
    va_list more;
    va_start(more, number);
    for (int i = 0; i < 6; i++) {
        args[i] = va_arg(more, long);
    }
    va_end(more);
    if (atomic_load(&lacking_errno) != 0 && number == atomic_load(&lacking_number)) {
        atomic_fetch_add(&lacking_calls, 1);
        errno = (int)atomic_load(&lacking_errno);
        return -1;
    }
    return syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static void lack(long number, int error) {
    atomic_store(&lacking_number, number);
    atomic_store(&lacking_errno, error);
    atomic_store(&lacking_calls, 0);
}

static cth_executor *pool;
static unsigned char large[CTH__CHILD_BASE];

static cth_status turns(void *arg, void *result) {
    for (size_t i = 0; i < sizeof large; i++) {
        ((unsigned char *)result)[i] = (unsigned char)~((const unsigned char *)arg)[i];
    }
    return CTH_OK;
}

static cth_status own_pid(void *arg, void *result) {
    (void)arg;
    *(int *)result = (int)getpid();
    return CTH_OK;
}

static cth_status dies(void *arg, void *result) {
    (void)arg;
    (void)result;
    (void)signal(SIGTERM, SIG_DFL); // a sanitizer's handler would report it
    return raise(SIGTERM) == 0 ? CTH_OK : CTH_FAILED;
}

static cth_status sleeps(void *arg, void *result) {
    (void)arg;
    (void)result;
    return cth_sleep(CTH_S(1000));
}

static int worker_pid(void) {
    int pid = 0;
    CHECK_STATUS(cth_run(pool, own_pid, NULL, 0, &pid, sizeof pid), CTH_OK);
    return pid;
}

static void large_works(void) {
    static unsigned char result[sizeof large];
    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = (unsigned char)(i * 7 + i / 256);
    }
    CHECK_STATUS(cth_run(pool, turns, large, sizeof large, result, sizeof result), CTH_OK);
    for (size_t i = 0; i < sizeof large; i++) {
        CHECK_EQ(result[i], (unsigned char)~large[i]);
    }
}

static void make(void) {
    CHECK_STATUS(cth_process_executor_create(&pool, &(cth_process_desc){.workers = 1}), CTH_OK);
}

static void end(void) {
    lack(0, 0);
    CHECK_STATUS(cth_executor_shutdown(pool, CTH_DRAIN), CTH_OK);
    cth_executor_release(pool);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_EQ(errno, ECHILD);
}

/* Without /proc, or with a program that may not be read. */
static void no_program(void) {
    static const int errors[] = {ENOENT, EACCES};
    for (size_t i = 0; i < TEST_COUNT(errors); i++) {
        cth_executor *none = NULL;
        atomic_store(&access_error, errors[i]);
        CHECK_STATUS(cth_process_executor_create(&none, NULL), CTH_UNSUPPORTED);
        CHECK(strstr(cth_error_text(), "cannot be started again") != NULL);
        CHECK(none == NULL);
        CHECK_STATUS(cth_executor_create(&none, NULL), CTH_OK); // threads need no such thing
        cth_executor_release(none);
        atomic_store(&access_error, 0);
    }
    make();
    (void)worker_pid();
    end();
}

/* A task for which no worker can be started ends with the reason; the next one may have one. */
static void no_worker(void) {
    static const struct {
        int spawn;
        long number;
        int error;
        cth_status want;
    } all[] = {{ENOENT, 0, 0, CTH_UNSUPPORTED},
               {EACCES, 0, 0, CTH_UNSUPPORTED},
               {EAGAIN, 0, 0, CTH_AGAIN},
               {ENOMEM, 0, 0, CTH_NOMEM},
               {0, MEMFD_CREATE, ENOSYS, CTH_UNSUPPORTED},
               {0, MEMFD_CREATE, EMFILE, CTH_AGAIN},
               {0, SYS_fallocate, ENOSPC, CTH_NOMEM}};
    make();
    for (size_t i = 0; i < TEST_COUNT(all); i++) {
        int pid = 0;
        if (all[i].number == SYS_fallocate && sizeof(long) == 4) {
            continue; // not called there
        }
        atomic_store(&spawn_error, all[i].spawn);
        lack(all[i].number, all[i].error);
        CHECK_STATUS(cth_run(pool, own_pid, NULL, 0, &pid, sizeof pid), all[i].want);
        CHECK(strstr(cth_error_text(), "no worker could be started: ") != NULL);
        CHECK(strstr(cth_error_text(), cth_status_text(all[i].want)) != NULL);
        CHECK_EQ(pid, 0);
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
        atomic_store(&spawn_error, 0);
        lack(0, 0);
    }
    (void)worker_pid();
    end();
}

/* Without pidfds the socket tells of the end. */
static void no_pidfd(void) {
    make();
    lack(PIDFD_OPEN, ENOSYS);
    for (int i = 0; i < 3; i++) {
        const int pid = worker_pid();
        large_works();
        CHECK_STATUS(cth_sleep(CTH_MS(i * 40)), CTH_OK);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        for (int tries = 0; kill(pid, 0) == 0 && tries < 10000; tries++) {
            CHECK_STATUS(cth_sleep(CTH_MS(1)), CTH_OK);
        }
        CHECK_EQ(kill(pid, 0), -1);
        CHECK(worker_pid() != pid);
        CHECK_STATUS(cth_run(pool, dies, NULL, 0, NULL, 0), CTH_BROKEN);
        CHECK_STR(cth_error_text(), "killed by signal 15");
    }
    CHECK(atomic_load(&lacking_calls) >= 6);
    cth_future *future = NULL;
    CHECK_STATUS(cth_submit(pool, &future, sleeps, NULL, 0, 0), CTH_OK);
    while (!cth_future_is_running(future)) {
        cth_yield();
    }
    CHECK_STATUS(cth_process_executor_kill(pool), CTH_OK);
    CHECK_STATUS(cth_future_result(future, NULL), CTH_BROKEN);
    CHECK_STR(cth_future_error(future), "killed by signal 9");
    cth_future_release(future);
    end();
}

/* Memory that cannot be had beforehand comes when it is touched; a lack of it breaks no worker. */
static void no_memory(void) {
    unsigned char *result = (unsigned char *)malloc(8 * sizeof large);
    CHECK(result != NULL);
    make();
    lack(SYS_fallocate, EOPNOTSUPP);
    large_works();
    CHECK(sizeof(long) == 4 || atomic_load(&lacking_calls) >= 2);
    const int pid = worker_pid();
    lack(SYS_fallocate, ENOSPC);
    if (sizeof(long) != 4) {
        CHECK_STATUS(cth_run(pool, turns, large, sizeof large, result, 8 * sizeof large),
                     CTH_NOMEM);
        CHECK(strstr(cth_error_text(), "no memory to share with a worker") != NULL);
    }
    large_works(); // in what it has
    lack(0, 0);
    CHECK_STATUS(cth_run(pool, turns, large, sizeof large, result, 8 * sizeof large), CTH_OK);
    CHECK_EQ(worker_pid(), pid);
    end();
    free(result);
}

static cth_status open_files(void *arg, void *result) {
    (void)arg;
    for (int file = 0; file < 256; file++) {
        *(int *)result += fcntl(file, F_GETFD) >= 0;
    }
    return CTH_OK;
}

/* A worker closes what it inherits one by one. */
static void no_close_range(void) {
    int counts[2] = {0, 0};
    const int high = fcntl(0, F_DUPFD, 100); // inherited
    CHECK(high >= 100);
    for (int i = 0; i < 2; i++) {
        if (i == 1) {
            CHECK_EQ(setenv("TEST_NO_CLOSE_RANGE", "1", 1), 0);
        }
        make();
        CHECK_STATUS(cth_run(pool, open_files, NULL, 0, &counts[i], sizeof counts[i]), CTH_OK);
        end();
    }
    CHECK_EQ(unsetenv("TEST_NO_CLOSE_RANGE"), 0);
    CHECK_EQ(counts[0], 5); // 0 to 4
    CHECK_EQ(counts[1], 5);
    close(high);
}

static const test_case tests[] = {
    TEST(no_program), TEST(no_worker), TEST(no_pidfd), TEST(no_memory), TEST(no_close_range),
};

int main(int argc, char **argv) {
    if (getenv("TEST_NO_CLOSE_RANGE") != NULL) {
        lack(CLOSE_RANGE, ENOSYS);
    }
    cth_process_main(argc, argv);
    return test_run(argc, argv, tests, sizeof tests / sizeof *tests);
}
