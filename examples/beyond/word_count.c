/* word_count.c - count the words of many files in parallel, with a progress bar.

   Shows   : CTH_WITH_EXECUTOR, CTH_SCOPE, cth_scope_submit, cth_progress
   Look at : a file is a task, with a table of its own; it takes the lock once, to add that to the
             whole. The first file that cannot be read ends the scope: the rest is not begun.
   Build   : cc -std=c11 -I../.. word_count.c -pthread
   Run     : ./a.out FILE ...     without a file: this one
   Prints  : the ten most frequent words; while it counts, a bar if stderr is a terminal
     657 words, 165 different
         25 cth */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 4096, SHOWN = 10 };

typedef struct word {
    struct word *next;
    const char *text;
    size_t count;
} word;

static cth_mutex lock;
static word *all[BUCKETS]; // under the lock
static size_t different;   // the same
static cth_progress progress;

static void *allocate(size_t size) {
    void *p = calloc(1, size);
    if (p == NULL) {
        fprintf(stderr, "out of memory\n");
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
    return p;
}

/* Add to a word's count in a table; returns whether it is a new one. */
static bool add(word **table, const char *text, size_t count) {
    uint32_t hash = 5381;
    for (const char *p = text; *p != '\0'; p++) {
        hash = hash * 33 + (unsigned char)*p;
    }
    word **at = &table[hash % BUCKETS];
    while (*at != NULL && strcmp((*at)->text, text) != 0) {
        at = &(*at)->next;
    }
    const bool fresh = *at == NULL;
    if (fresh) {
        *at = allocate(sizeof **at);
        (*at)->text = text;
    }
    (*at)->count += count;
    return fresh;
}

/* The text of a file, with a zero at its end; NULL when it cannot be read. */
static char *read_text(const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    char *text = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && ftell(file) >= 0) {
        *size = (size_t)ftell(file);
        text = allocate(*size + 1);
        rewind(file);
        *size = fread(text, 1, *size, file);
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

static cth_status count_file(void *arg, void *result) {
    const char *name = *(const char **)arg;
    word **mine = allocate(BUCKETS * sizeof *mine);
    size_t size;
    char *text = read_text(name, &size); // kept: the words stay where they are
    (void)result;
    if (text == NULL) {
        free(mine);
        return cth_fail(CTH_FAILED, "cannot read %s", name);
    }
    for (char *at = text; at < text + size; at++) {
        const char *start = at;
        for (; isalpha((unsigned char)*at); at++) {
            *at = (char)tolower((unsigned char)*at);
        }
        *at = '\0';
        if (at != start) {
            (void)add(mine, start, 1);
        }
    }
    CTH_WITH(&lock) {
        for (size_t i = 0; i < BUCKETS; i++) {
            for (word *w = mine[i], *next; w != NULL; w = next) {
                next = w->next;
                different += add(all, w->text, w->count);
                free(w);
            }
        }
    }
    free(mine);
    cth_progress_add(&progress, 1);
    return CTH_OK;
}

static int more_frequent(const void *a, const void *b) {
    const word *x = *(word *const *)a, *y = *(word *const *)b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->text, y->text);
}

int main(int argc, char **argv) {
    static char *self[] = {__FILE__};
    char **names = argc > 1 ? &argv[1] : self;
    const size_t files = argc > 1 ? (size_t)argc - 1 : 1;
    cth_status status;
    (void)cth_progress_init(&progress, &(cth_progress_desc){.label = "files", .total = files});
    CTH_WITH_EXECUTOR(pool, &status, NULL) {
        CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
            for (size_t i = 0; i < files && status == CTH_OK; i++) {
                status = cth_scope_submit(&scope, NULL, count_file, &names[i], sizeof *names, 0);
            }
        }
    }
    cth_progress_finish(&progress);
    if (status != CTH_OK) {
        fprintf(stderr, "%s: %s\n", cth_status_text(status), cth_error_text());
        return EXIT_FAILURE;
    }
    word **sorted = allocate((different + 1) * sizeof *sorted);
    size_t total = 0, n = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (word *w = all[i]; w != NULL; w = w->next) {
            total += w->count;
            sorted[n++] = w;
        }
    }
    qsort(sorted, n, sizeof *sorted, more_frequent);
    printf("%zu words, %zu different\n", total, n);
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        printf("%6zu %s\n", sorted[i]->count, sorted[i]->text);
    }
    free(sorted);
    return EXIT_SUCCESS;
}
