/* mandelbrot.c - the Mandelbrot set, its rows computed by all processors.

   Shows   : cth_parallel_for with a grain of 1: rows through the middle of the set take a hundred
             times as long as those at its edge, so whoever is done steals from those who are not
   Look at : there is no thread in it, no lock and no queue; the loop's body is the serial program.
   Run     : ./a.out            a small picture of letters
             ./a.out set.ppm    a picture of 1500 x 1000 points
   Build   : cc -std=c11 -O2 -I../.. mandelbrot.c -pthread
   Prints  : the picture, or nothing of it, and
     24 rows by 2 of 2 threads */
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 1000 }; // steps until a point counts as inside

typedef struct picture {
    size_t width, height;
    int *steps;           // of each point
    cth_thread **made_by; // of each row
} picture;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

/* How many steps z -> z * z + c needs to get away from 0. */
static int steps_of(double cx, double cy) {
    double x = 0, y = 0;
    int n = 0;
    for (; n < MOST && x * x + y * y <= 4; n++) {
        const double next = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = next;
    }
    return n;
}

static cth_status rows(void *arg, size_t from, size_t to) {
    const picture *p = arg;
    for (size_t row = from; row < to; row++) {
        for (size_t column = 0; column < p->width; column++) {
            p->steps[row * p->width + column] =
                steps_of(-2.1 + 3.0 * ((double)column + 0.5) / (double)p->width,
                         -1.2 + 2.4 * ((double)row + 0.5) / (double)p->height);
        }
        p->made_by[row] = cth_thread_current();
    }
    return CTH_OK;
}

static size_t threads_of(const picture *p) {
    size_t n = 0;
    for (size_t row = 0; row < p->height; row++) {
        size_t first = 0;
        while (p->made_by[first] != p->made_by[row]) {
            first++;
        }
        n += first == row;
    }
    return n;
}

static void print(const picture *p) {
    static const char letters[] = " .,:;+*%@"; // inside: #
    for (size_t row = 0; row < p->height; row++) {
        for (size_t column = 0; column < p->width; column++) {
            const int n = p->steps[row * p->width + column];
            putchar(n == MOST ? '#' : letters[n < 18 ? n / 2 : 8]);
        }
        putchar('\n');
    }
}

static bool save(const picture *p, const char *name) {
    FILE *file = fopen(name, "wb");
    if (file == NULL) {
        return false;
    }
    fprintf(file, "P6\n%zu %zu\n255\n", p->width, p->height);
    for (size_t i = 0; i < p->width * p->height; i++) {
        const int n = p->steps[i] == MOST ? 0 : p->steps[i];
        const unsigned char colour[3] = {(unsigned char)(n * 5 % 256), (unsigned char)(n * 9 % 256),
                                         (unsigned char)(n * 17 % 256)};
        fwrite(colour, 1, sizeof colour, file);
    }
    const bool good = ferror(file) == 0;
    return (fclose(file) == 0) && good;
}

int main(int argc, char **argv) {
    picture p = {.width = argc > 1 ? 1500 : 72, .height = argc > 1 ? 1000 : 24};
    p.steps = malloc(p.width * p.height * sizeof *p.steps);
    p.made_by = malloc(p.height * sizeof *p.made_by);
    if (p.steps == NULL || p.made_by == NULL) {
        check(CTH_NOMEM);
    }
    check(cth_parallel_for(NULL, p.height, 1, rows, &p));
    if (argc == 1) {
        print(&p);
    } else if (!save(&p, argv[1])) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    printf("%zu rows by %zu of %u threads\n", p.height, threads_of(&p),
           (unsigned)cth_team_workers(NULL));
    free(p.steps);
    free(p.made_by);
    return 0;
}
