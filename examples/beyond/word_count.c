/* word_count.c - count the words of files in parallel, with a progress bar.

   Shows   : CTH_SCOPE, cth_scope_submit, cth_progress, an executor
   Look at : a piece of the text is a task, with a table of its own; it takes the lock once, to add
             that to the whole. A piece ends behind a word, so no two tasks touch the same byte.
   Build   : cc -std=c11 -I../.. word_count.c -pthread
   Run     : ./a.out FILE ...     without a file: a text of 20000 made-up words
   Prints  : the ten most frequent words; while it counts, a bar if stderr is a terminal
     20000 words, 40 different */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 4096, PIECE = 16384, SHOWN = 10 };

typedef struct word {
    struct word *next;
    const char *text;
    size_t count;
} word;

typedef struct piece {
    char *text;
    size_t size;
} piece;

static word *all[BUCKETS];
static size_t different, total;
static cth_mutex lock; // guards these
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

static cth_status count(void *arg, void *result) {
    const piece *p = arg;
    word **mine = allocate(BUCKETS * sizeof *mine);
    (void)result;
    for (char *at = p->text, *end = at + p->size; at < end; at++) {
        const char *text = at;
        for (; isalpha((unsigned char)*at); at++) {
            *at = (char)tolower((unsigned char)*at);
        }
        *at = '\0';
        if (at != text) {
            (void)add(mine, text, 1);
        }
    }
    CTH_WITH(&lock) {
        for (size_t i = 0; i < BUCKETS; i++) {
            for (word *w = mine[i], *next; w != NULL; w = next) {
                next = w->next;
                total += w->count;
                different += add(all, w->text, w->count);
                free(w);
            }
        }
    }
    free(mine);
    cth_progress_add(&progress, (uint32_t)p->size);
    return CTH_OK;
}

/* Read a file, or make a text up; NULL when that cannot be. A zero ends it. */
static char *get_text(const char *name, size_t *size) {
    FILE *file = name != NULL ? fopen(name, "rb") : NULL;
    cth_rng rng = {7};
    char *text = NULL;
    *size = 0;
    if (name == NULL) {
        text = allocate(20000 * 8);
        for (int i = 0; i < 20000; i++) { // some words are rare
            const int n = (int)(cth_rng_unit(&rng) * cth_rng_unit(&rng) * 40);
            *size += (size_t)sprintf(text + *size, "Word%c%s", 'a' + n % 20, n < 20 ? " " : "z\n");
        }
    } else if (file != NULL && fseek(file, 0, SEEK_END) == 0 && ftell(file) >= 0) {
        *size = (size_t)ftell(file);
        rewind(file);
        text = allocate(*size + 1);
        *size = fread(text, 1, *size, file);
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

static cth_status count_text(cth_executor *pool, const char *name) {
    cth_status status = CTH_OK;
    size_t size;
    char *text = get_text(name, &size);
    if (text == NULL) {
        return cth_fail(CTH_FAILED, "cannot read %s", name);
    }
    (void)cth_progress_init(&progress, &(cth_progress_desc){.label = name, .total = size});
    CTH_SCOPE(scope, pool, CTH_FOREVER, &status) {
        for (size_t at = 0, end; at < size && status == CTH_OK; at = end) {
            end = size - at < PIECE ? size : at + PIECE;
            while (end < size && isalpha((unsigned char)text[end - 1])) {
                end++; // not in the middle of a word
            }
            const piece p = {text + at, end - at};
            status = cth_scope_submit(&scope, NULL, count, &p, sizeof p, 0);
        }
    }
    cth_progress_finish(&progress);
    return status;
}

static int more_frequent(const void *a, const void *b) {
    const word *x = *(word *const *)a, *y = *(word *const *)b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->text, y->text);
}

int main(int argc, char **argv) {
    cth_executor *pool;
    cth_status status = cth_executor_create(&pool, NULL);
    for (int i = 1; status == CTH_OK && (i < argc || i == 1); i++) {
        status = count_text(pool, argv[i]); // without arguments argv[1] is NULL
    }
    if (status != CTH_OK) {
        fprintf(stderr, "%s: %s\n", cth_status_text(status), cth_error_text());
        return EXIT_FAILURE;
    }
    cth_executor_release(pool);
    word **sorted = allocate((different + 1) * sizeof *sorted);
    size_t n = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (word *w = all[i]; w != NULL; w = w->next) {
            sorted[n++] = w;
        }
    }
    qsort(sorted, n, sizeof *sorted, more_frequent);
    printf("%zu words, %zu different\n", total, n);
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        printf("%6zu %s\n", sorted[i]->count, sorted[i]->text);
    }
    free(sorted);
    return 0;
}
