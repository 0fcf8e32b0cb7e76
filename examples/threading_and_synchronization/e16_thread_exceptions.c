/* e16_thread_exceptions.c - a thread fails, the hook hears of it, the program goes on.

   Article : Python Threading and Synchronization, "Best practices: thread exceptions"
   Python  : threading.excepthook = hook
             def divide(n): print(100 // n)      # ZeroDivisionError for 0
   Shows   : cth_fail, cth_thread_set_hook, join's result
   Look at : a status other than CTH_OK is the exception, cth_fail gives it a message. Without a
             hook the kit prints the line on stderr by itself. The joiner gets the status, too.
   Build   : cc -std=c11 -I../.. e16_thread_exceptions.c -pthread
   Prints  : the first three lines in any order
     divide-5: 20
     Exception in divide-0: division by zero
     divide-2: 50
     divide-5 returned CTH_OK
     divide-0 returned CTH_INVALID
     divide-2 returned CTH_OK
     The program goes on */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static void hook(cth_thread *thread, cth_status status, const char *message, void *arg) {
    (void)status;
    (void)arg;
    printf("Exception in %s: %s\n", cth_thread_name(thread), message);
}

static cth_status divide(void *arg) {
    const int n = *(const int *)arg;
    if (n == 0) {
        return cth_fail(CTH_INVALID, "division by zero");
    }
    printf("%s: %d\n", cth_thread_name(cth_thread_current()), 100 / n);
    return CTH_OK;
}

int main(void) {
    int numbers[3] = {5, 0, 2};
    const char *names[3] = {"divide-5", "divide-0", "divide-2"};
    cth_thread *threads[3];
    cth_thread_set_hook(hook, NULL);
    for (int i = 0; i < 3; i++) {
        const cth_thread_desc desc = {.name = names[i]};
        check(cth_thread_spawn(&threads[i], divide, &numbers[i], &desc));
    }
    cth_status results[3];
    for (int i = 0; i < 3; i++) {
        check(cth_thread_join(threads[i], &results[i]));
        cth_thread_release(threads[i]);
    }
    for (int i = 0; i < 3; i++) {
        printf("%s returned %s\n", names[i], cth_status_name(results[i]));
    }
    puts("The program goes on");
    return 0;
}
