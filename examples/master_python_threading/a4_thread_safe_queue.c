/* a4_thread_safe_queue.c - three workers take words from a queue, under a lock and an exit flag.

   Article : Master Python Threading: From Basics to Advanced Synchronization,
             "Thread-safe queue"
   Python  : queueLock.acquire()
             if not workQueue.empty():
                 data = q.get(); queueLock.release(); print(...)
             else: queueLock.release()
             time.sleep(1)
   Shows   : cth_queue, cth_queue_is_empty, cth_queue_get
   Look at : the trap. The original reads its flag without a lock, main spins until the queue is
             empty, and with more than ten words it hangs: main waits for room with the lock held
             that a worker needs to make some. Here the flag is an atomic and main sleeps between
             its looks; all else is as it was. The queue has a lock of its own; the one around it
             only makes two calls one step. a4_thread_safe_queue_fixed.c needs neither.
   Build   : cc -std=c11 -I../.. a4_thread_safe_queue.c -pthread
   Prints  : each word once; 3 s, or 2 s when the words came before the workers
     Starting Thread-1
     Thread-1 processing One
     Exiting Thread-1
     Exiting Main Thread */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static cth_mutex queue_lock;
static cth_queue work_queue;
static atomic_bool exit_flag;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status worker(void *arg) {
    const char *name = arg;
    printf("Starting %s\n", name);
    while (!atomic_load(&exit_flag)) {
        const char *word = NULL;
        CTH_WITH(&queue_lock) {
            if (!cth_queue_is_empty(&work_queue)) {
                check(cth_queue_get(&work_queue, &word));
            }
        }
        if (word != NULL) {
            printf("%s processing %s\n", name, word);
        }
        check(cth_sleep(CTH_S(1)));
    }
    printf("Exiting %s\n", name);
    return CTH_OK;
}

int main(void) {
    static const char *const words[] = {"One", "Two", "Three", "Four", "Five"};
    static char names[3][9] = {"Thread-1", "Thread-2", "Thread-3"};
    cth_thread *threads[3];
    check(cth_queue_init(&work_queue, sizeof(const char *), 10, NULL));
    for (int i = 0; i < 3; i++) {
        check(cth_thread_spawn(&threads[i], worker, names[i], NULL));
    }
    CTH_WITH(&queue_lock) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            check(cth_queue_put(&work_queue, &words[i]));
        }
    }
    while (!cth_queue_is_empty(&work_queue)) {
        check(cth_sleep(CTH_MS(10)));
    }
    atomic_store(&exit_flag, true);
    for (int i = 0; i < 3; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    puts("Exiting Main Thread");
    return cth_queue_destroy(&work_queue) != CTH_OK;
}
