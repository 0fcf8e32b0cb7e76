/* log_pipeline.c - a log goes through three stages, each a thread, with channels between them.

   source ---lines---> parser ---entries---> sink: prints problems, and a summary each second

   Shows   : CTH_CHAN_OF, CTH_FOREACH_RECV, closing as the end of a stream, CTH_SELECT over a
             channel and a tick, a source under a cancel token, Ctrl-C as its signal
   Look at : back pressure for free: the channels are bounded, so a slow sink slows the source.
             Ctrl-C ends the source first; what was sent before still goes through all stages.
   Run     : ./a.out 50      50 lines of a pretended server, then the end
             ./a.out 0       until Ctrl-C
   Build   : cc -std=c11 -I../.. log_pipeline.c -pthread
   Prints  : every problem, a summary each second, and at the end
     50 lines: 29 info, 10 warnings, 11 errors (end of the log) */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum level { INFO, WARNING, ERROR, LEVELS };

typedef struct line {
    char text[80];
} line;

typedef struct entry {
    enum level level;
    char message[80];
} entry;

CTH_CHAN_OF(line, line_chan);
CTH_CHAN_OF(entry, entry_chan);

static line_chan lines;
static entry_chan entries;
static cth_cancel stop;
static int counts[LEVELS];

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

/* Stage 1: a pretended server writes its log. */
static cth_status source(void *arg) {
    static const char *const levels[] = {"INFO", "INFO", "WARNING", "INFO", "ERROR"};
    const long n = *(const long *)arg;
    cth_rng rng;
    cth_rng_seed(&rng, 1);
    for (long i = 1; n == 0 || i <= n; i++) {
        line l;
        snprintf(l.text, sizeof l.text, "%s request %ld took %d ms", levels[cth_rng_below(&rng, 5)],
                 i, (int)cth_rng_below(&rng, 900));
        // Both return CTH_CANCELLED when the token is: this thread is under it.
        if (cth_sleep(CTH_MS(2)) != CTH_OK || line_chan_send(&lines, l) != CTH_OK) {
            break;
        }
    }
    return line_chan_close(&lines);
}

/* Stage 2: from text to an entry. */
static cth_status parser(void *arg) {
    (void)arg;
    CTH_FOREACH_RECV(line, l, &lines.chan) {
        entry e = {.level = strncmp(l.text, "ERROR", 5) == 0     ? ERROR
                            : strncmp(l.text, "WARNING", 7) == 0 ? WARNING
                                                                 : INFO};
        const char *message = strchr(l.text, ' ');
        snprintf(e.message, sizeof e.message, "%s", message != NULL ? message + 1 : l.text);
        check(entry_chan_send(&entries, e));
    }
    return entry_chan_close(&entries);
}

/* Stage 3: what the user sees. */
static cth_status sink(void *arg) {
    static const char *const names[] = {"info", "warning", "error"};
    cth_chan second;
    cth_time now;
    entry e;
    (void)arg;
    check(cth_chan_tick(&second, CTH_S(1)));
    for (;;) {
        cth_status status;
        switch (CTH_SELECT(&status, CTH_RECV(&entries.chan, &e), CTH_RECV(&second, &now))) {
        case 0:
            if (status == CTH_CLOSED) {
                return CTH_OK;
            }
            counts[e.level]++;
            if (e.level != INFO) {
                printf("%s: %s\n", names[e.level], e.message);
            }
            break;
        case 1:
            printf("so far: %d info, %d warnings, %d errors\n", counts[INFO], counts[WARNING],
                   counts[ERROR]);
            break;
        default: check(status);
        }
    }
}

int main(int argc, char **argv) {
    static const cth_thread_fn stages[] = {source, parser, sink};
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 50;
    cth_thread *threads[3];
    check(cth_cancel_init(&stop, NULL, CTH_FOREVER));
    check(cth_cancel_on_signal(&stop, SIGINT));
    check(line_chan_init(&lines, 16, NULL));
    check(entry_chan_init(&entries, 16, NULL));
    for (int i = 0; i < 3; i++) {
        // Only the source is under the token: the others end when the stream does.
        check(cth_thread_spawn(&threads[i], stages[i], &n,
                               &(cth_thread_desc){.cancel = i == 0 ? &stop : NULL}));
    }
    for (int i = 0; i < 3; i++) {
        check(cth_thread_join(threads[i], NULL));
        cth_thread_release(threads[i]);
    }
    const char *reason = cth_cancel_reason(&stop);
    printf("%d lines: %d info, %d warnings, %d errors (%s)\n",
           counts[INFO] + counts[WARNING] + counts[ERROR], counts[INFO], counts[WARNING],
           counts[ERROR], reason != NULL ? reason : "end of the log");
    check(cth_chan_destroy(&lines.chan));
    check(cth_chan_destroy(&entries.chan));
    return cth_cancel_destroy(&stop) != CTH_OK;
}
