/* bench.c - the harness declared in bench.h. */
#define _GNU_SOURCE // sched_setaffinity, CPU_SET
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#  include <gnu/libc-version.h>
#endif

enum { MAX_CASES = 512, MAX_ROUNDS = 99, MAX_SKIPS = 32 };

typedef struct result {
    double median, min, max;
} result;

typedef struct bench_case {
    int row;
    const char *peer;
    bench_kind kind;
    bench_fn fn;
    int rounds;
    double value[MAX_ROUNDS];
    double second[MAX_ROUNDS];
} bench_case;

bench_flag bench_stop;
bench_slot bench_slots[BENCH_THREADS];

static struct {
    const char *program;
    const bench_row *rows;
    int row_count;
    bench_case cases[MAX_CASES];
    int case_count;
    struct {
        const char *peer, *why;
    } skips[MAX_SKIPS];
    int skip_count;
    int rounds;
    bool quick;
    bool allow_empty;
    const char *filter;
    const char *json;
    cpu_set_t cpus;
    int cpu_list[CPU_SETSIZE];
    int cpu_count;
    double steps_per_ns;
    char cpu_name[128];
    char what[256]; // what is being measured, for the watchdog
} bench;

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...) {
    va_list args;
    fflush(stdout);
    fprintf(stderr, "bench_%s: ", bench.program != NULL ? bench.program : "?");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void bench_fail(const char *text) {
    die("%s: %s", bench.what, text);
}

/* ---- time and place ---- */

static double clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double bench_now(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

void bench_sleep(double seconds) {
    struct timespec left;
    left.tv_sec = (time_t)seconds;
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

double bench_seconds(const bench_row *row) {
    return bench.quick ? row->seconds / 10 : row->seconds;
}

unsigned bench_work_steps(const bench_row *row) {
    return (unsigned)(row->work_ns * bench.steps_per_ns + 0.5);
}

void bench_pin(bench_place place, int i) {
    cpu_set_t set;
    if (place == BENCH_ANYWHERE) {
        return;
    }
    CPU_ZERO(&set);
    CPU_SET((size_t)bench.cpu_list[place == BENCH_ONE_CPU ? 0 : i % bench.cpu_count], &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        die("cannot pin a thread: %s", strerror(errno));
    }
}

void bench_unpin(void) {
    sched_setaffinity(0, sizeof bench.cpus, &bench.cpus);
}

/* The shortest of many tries: the speed of the machine when nobody disturbs. */
static void calibrate_work(void) {
    enum { STEPS = 20000 };
    double best = 1e18;
    for (int i = 0; i < 200; i++) {
        const double start = bench_now();
        bench_use((int)bench_work(STEPS, bench_zero(), (uint64_t)start));
        const double ns = bench_now() - start;
        if (ns < best) {
            best = ns;
        }
    }
    bench.steps_per_ns = STEPS / best;
}

/* ---- teams ---- */

typedef struct member {
    const bench_row *row;
    void (*body)(const bench_row *row, int i);
    int i;
    pthread_barrier_t *gate;
} member;

static void *member_main(void *arg) {
    const member *me = arg;
    bench_pin(me->row->place, me->i);
    pthread_barrier_wait(me->gate);
    bench_slots[me->i].start = bench_now();
    me->body(me->row, me->i);
    bench_slots[me->i].end = bench_now();
    return NULL;
}

double bench_team(const bench_row *row, void (*body)(const bench_row *row, int i)) {
    pthread_t threads[BENCH_THREADS];
    member members[BENCH_THREADS];
    pthread_barrier_t gate;
    if (row->threads < 1 || row->threads > BENCH_THREADS) {
        die("row \"%s\" has no threads", row->name);
    }
    __atomic_store_n(&bench_stop.raised, 0, __ATOMIC_SEQ_CST);
    memset(bench_slots, 0, sizeof bench_slots);
    pthread_barrier_init(&gate, NULL, (unsigned)row->threads + 1);
    for (int i = 0; i < row->threads; i++) {
        members[i] = (member){row, body, i, &gate};
        if (pthread_create(&threads[i], NULL, member_main, &members[i]) != 0) {
            die("cannot start a thread");
        }
    }
    pthread_barrier_wait(&gate);
    const double start = bench_now();
    bench_sleep(bench_seconds(row));
    __atomic_store_n(&bench_stop.raised, 1, __ATOMIC_SEQ_CST);
    const double ns = bench_now() - start;
    for (int i = 0; i < row->threads; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&gate);
    return ns;
}

double bench_team_span(const bench_row *row) {
    double start = bench_slots[0].start, end = bench_slots[0].end;
    for (int i = 1; i < row->threads; i++) {
        start = bench_slots[i].start < start ? bench_slots[i].start : start;
        end = bench_slots[i].end > end ? bench_slots[i].end : end;
    }
    return end - start;
}

bench_sample bench_team_sample(const bench_row *row, double ns, uint64_t total) {
    bench_sample sample = {0, 0};
    uint64_t sum = 0, least = UINT64_MAX, most = 0;
    for (int i = 0; i < row->threads; i++) {
        const uint64_t count = bench_slots[i].count;
        sum += count;
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    if (sum == 0 || sum != total) {
        bench_fail("the lock let two threads in, or none");
    }
    sample.value = ns / (double)sum;
    sample.second = (double)least / (double)most;
    return sample;
}

static struct {
    pthread_t thread;
    void (*body)(void);
    pthread_barrier_t gate;
    double ns;
} idle;

static void *idle_main(void *arg) {
    (void)arg;
    pthread_barrier_wait(&idle.gate);
    const double start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    idle.body();
    idle.ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    return NULL;
}

void bench_idle_start(void (*body)(void)) {
    idle.body = body;
    pthread_barrier_init(&idle.gate, NULL, 2);
    if (pthread_create(&idle.thread, NULL, idle_main, NULL) != 0) {
        die("cannot start a thread");
    }
    pthread_barrier_wait(&idle.gate);
}

double bench_idle_end(const bench_row *row) {
    pthread_join(idle.thread, NULL);
    pthread_barrier_destroy(&idle.gate);
    return idle.ns / 1e3 / bench_seconds(row);
}

/* ---- batches ---- */

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void bench_batches_open(bench_batches *batches, const bench_row *row) {
    batches->count = 0;
    batches->start = bench_now();
    batches->end = batches->start + bench_seconds(row) * 1e9;
}

bool bench_batches_next(bench_batches *batches) {
    const double now = bench_now();
    batches->ns[batches->count++] = now - batches->start;
    batches->start = now;
    return now < batches->end && batches->count < sizeof batches->ns / sizeof *batches->ns;
}

double bench_batches_median(bench_batches *batches) {
    return median_of(batches->ns, batches->count);
}

/* ---- options ---- */

static void usage(FILE *to) {
    fprintf(to,
            "usage: bench_%s [--rounds N] [--quick] [--filter TEXT] [--allow-empty]\n"
            "       [--json FILE]\n"
            "  --rounds N     rounds per row, 1 to %d (default 5)\n"
            "  --quick        measure for a tenth of the time\n"
            "  --filter TEXT  only cases with TEXT in \"row / peer\", in any case of letters\n"
            "  --allow-empty  a filter that leaves no case is no failure; then no FILE is written\n"
            "  --json FILE    write all values there too\n",
            bench.program, MAX_ROUNDS);
}

static void read_options(int argc, char **argv) {
    bench.rounds = 5;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--quick") == 0) {
            bench.quick = true;
            continue;
        }
        if (strcmp(option, "--allow-empty") == 0) {
            bench.allow_empty = true;
            continue;
        }
        if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
            usage(stdout);
            exit(0);
        }
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool good = value != NULL;
        if (good && strcmp(option, "--rounds") == 0) {
            char *end;
            const long rounds = strtol(value, &end, 10);
            good = *value != '\0' && *end == '\0' && rounds >= 1 && rounds <= MAX_ROUNDS;
            bench.rounds = (int)rounds;
        } else if (good && strcmp(option, "--filter") == 0) {
            bench.filter = value;
        } else if (good && strcmp(option, "--json") == 0) {
            bench.json = value;
        } else {
            good = false;
        }
        if (!good) {
            usage(stderr);
            exit(2);
        }
        i++;
    }
}

static void read_cpu_name(void) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    strcpy(bench.cpu_name, "unknown CPU");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            snprintf(bench.cpu_name, sizeof bench.cpu_name, "%.100s", colon + 2);
            bench.cpu_name[strcspn(bench.cpu_name, "\n")] = '\0';
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static const char *libc_name(void) {
#ifdef __GLIBC__
    static char name[64];
    snprintf(name, sizeof name, "glibc %s", gnu_get_libc_version());
    return name;
#else
    return "another libc";
#endif
}

static const char *compiler_name(void) {
#ifdef __clang__
    return __VERSION__;
#else
    return "gcc " __VERSION__;
#endif
}

/* A lock that has lost a wake-up would leave the whole run hanging without a word. */
static void on_alarm(int signal_number) {
    static const char text[] = "\nbench: no end after a long time: ";
    (void)signal_number;
    if (write(2, text, sizeof text - 1) < 0 || write(2, bench.what, strlen(bench.what)) < 0 ||
        write(2, "\n", 1) < 0) {
        _exit(4);
    }
    _exit(3);
}

static void *sleeper_main(void *arg) {
    for (;;) {
        pause();
    }
    return arg;
}

/* glibc leaves out atomic instructions while a process has only ever had one thread; a program that
   needs locks has more, and so has each measurement here. */
static void start_sleeper(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleeper_main, NULL) != 0) {
        die("cannot start a thread");
    }
    pthread_detach(thread);
}

void bench_start(int argc, char **argv, const char *program, const bench_row *rows, int count) {
    bench.program = program;
    bench.rows = rows;
    bench.row_count = count;
    read_options(argc, argv);
    if (sched_getaffinity(0, sizeof bench.cpus, &bench.cpus) != 0) {
        die("cannot read the CPU mask: %s", strerror(errno));
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, &bench.cpus)) {
            bench.cpu_list[bench.cpu_count++] = cpu;
        }
    }
    signal(SIGALRM, on_alarm);
    start_sleeper();
    calibrate_work();
    read_cpu_name();
}

int bench_cpus(void) {
    return bench.cpu_count;
}

static bool contains(const char *text, const char *part) {
    const size_t length = strlen(part);
    for (; *text != '\0'; text++) {
        if (strncasecmp(text, part, length) == 0) {
            return true;
        }
    }
    return length == 0;
}

void bench_add(int row, const char *peer, bench_kind kind, bench_fn fn) {
    char name[256];
    if (row < 0 || row >= bench.row_count || bench.case_count == MAX_CASES) {
        die("cannot add %s to row %d", peer, row);
    }
    snprintf(name, sizeof name, "%s / %s", bench.rows[row].name, peer);
    if (bench.filter == NULL || contains(name, bench.filter)) {
        bench_case *added = &bench.cases[bench.case_count++];
        *added = (bench_case){.row = row, .peer = peer, .kind = kind, .fn = fn};
    }
}

void bench_skip(const char *peer, const char *why) {
    if (bench.skip_count == MAX_SKIPS) {
        die("too many skipped peers");
    }
    bench.skips[bench.skip_count].peer = peer;
    bench.skips[bench.skip_count++].why = why;
}

/* ---- results ---- */

static result result_of(const double *values, int count) {
    double sorted[MAX_ROUNDS];
    memcpy(sorted, values, (size_t)count * sizeof *values);
    const double median = median_of(sorted, (size_t)count);
    return (result){median, sorted[0], sorted[count - 1]};
}

static const char *kind_name(bench_kind kind) {
    switch (kind) {
    case BENCH_KIT: return "kit";
    case BENCH_PEER: return "sleeps";
    case BENCH_SPIN: return "spins";
    case BENCH_FLOOR: return "floor";
    }
    return "?";
}

/* One table: the first or the second value of all cases of a row. */
typedef struct table {
    const bench_row *row;
    bool second;
    int count;
    struct {
        const bench_case *source;
        result result;
    } lines[MAX_CASES];
    // Best median of all peers, and of those that sleep; NAN without one.
    double best, best_sleeping;
    const char *best_name, *best_sleeping_name;
} table;

static bool better(const table *t, double a, double b) {
    return isnan(b) || (t->second ? a > b : a < b);
}

static void fill_table(table *t, int row, bool second) {
    *t = (table){.row = &bench.rows[row], .second = second, .best = NAN, .best_sleeping = NAN};
    t->best_name = t->best_sleeping_name = "-";
    for (int i = 0; i < bench.case_count; i++) {
        const bench_case *c = &bench.cases[i];
        if (c->row != row || c->rounds == 0) {
            continue;
        }
        const result r = result_of(second ? c->second : c->value, c->rounds);
        // Insertion keeps the lines sorted, best first.
        int at = t->count++;
        for (; at > 0 && better(t, r.median, t->lines[at - 1].result.median); at--) {
            t->lines[at] = t->lines[at - 1];
        }
        t->lines[at].source = c;
        t->lines[at].result = r;
        if ((c->kind == BENCH_PEER || c->kind == BENCH_SPIN) && better(t, r.median, t->best)) {
            t->best = r.median;
            t->best_name = c->peer;
        }
        if (c->kind == BENCH_PEER && better(t, r.median, t->best_sleeping)) {
            t->best_sleeping = r.median;
            t->best_sleeping_name = c->peer;
        }
    }
}

/* NAN where a ratio says nothing. */
static double ratio_to(const table *t, double value, double best) {
    return t->row->once || isnan(best) || best <= 0 ? NAN : value / best;
}

static void number_text(char text[24], double value) {
    if (isnan(value)) {
        strcpy(text, "-");
    } else if (value != 0 && value < 9.9995) {
        snprintf(text, 24, "%.3f", value);
    } else if (value < 99.995) {
        snprintf(text, 24, "%.2f", value);
    } else {
        snprintf(text, 24, "%.0f", value);
    }
}

static void print_number(double value) {
    char text[24];
    number_text(text, value);
    printf(" %10s", text);
}

static const char *table_name(const table *t, char *text, size_t size) {
    snprintf(text, size, "%s%s%s", t->row->name, t->second ? ": " : "",
             t->second ? t->row->second : "");
    return text;
}

static void print_table(const table *t) {
    char name[256];
    printf("\n%s [%s]%s\n", table_name(t, name, sizeof name), t->second ? "ratio" : t->row->unit,
           t->second ? " (more is better)" : "");
    if (t->row->once) {
        for (int i = 0; i < t->count; i++) {
            printf("%c %-32s", t->lines[i].source->kind == BENCH_KIT ? '>' : ' ',
                   t->lines[i].source->peer);
            printf(" %10.0f", t->lines[i].result.median);
            printf("%s\n", t->lines[i].source->kind == BENCH_SPIN ? "   never sleeps" : "");
        }
        return;
    }
    printf("  %-32s %10s %10s %10s %10s %10s\n", "", "median", "min", "max", "x best",
           "x sleeping");
    for (int i = 0; i < t->count; i++) {
        const bench_case *c = t->lines[i].source;
        const result *r = &t->lines[i].result;
        printf("%c %-32s", c->kind == BENCH_KIT ? '>' : ' ', c->peer);
        print_number(r->median);
        print_number(r->min);
        print_number(r->max);
        print_number(ratio_to(t, r->median, t->best));
        print_number(ratio_to(t, r->median, t->best_sleeping));
        printf("%s%s\n", c->kind == BENCH_SPIN ? "   never sleeps" : "",
               c->kind == BENCH_FLOOR ? "   not a peer" : "");
    }
}

static void print_summary(void) {
    static table t;
    bool heading = false;
    for (int row = 0; row < bench.row_count; row++) {
        for (int second = 0; second < (bench.rows[row].second != NULL ? 2 : 1); second++) {
            char name[256];
            char value[24], ratio[24], sleeping[24];
            int kits = 0;
            fill_table(&t, row, second != 0);
            for (int i = 0; i < t.count; i++) {
                kits += t.lines[i].source->kind == BENCH_KIT;
            }
            for (int i = 0; i < t.count; i++) {
                if (t.lines[i].source->kind != BENCH_KIT || bench.rows[row].once) {
                    continue;
                }
                if (!heading) {
                    printf("\nSummary: cthreads against the best peer, and the best that sleeps\n");
                    heading = true;
                }
                number_text(value, t.lines[i].result.median);
                number_text(ratio, ratio_to(&t, t.lines[i].result.median, t.best));
                number_text(sleeping, ratio_to(&t, t.lines[i].result.median, t.best_sleeping));
                table_name(&t, name, sizeof name);
                if (kits > 1) {
                    const size_t length = strlen(name);
                    snprintf(name + length, sizeof name - length, " / %s", t.lines[i].source->peer);
                }
                printf("  %-56s %9s   x %-6s %-26s x %-6s %s\n", name, value, ratio, t.best_name,
                       sleeping, t.best_sleeping_name);
            }
        }
    }
}

/* ---- JSON ---- */

static void json_string(FILE *to, const char *text) {
    fputc('"', to);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', to);
        }
        fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
    }
    fputc('"', to);
}

static void json_pair(FILE *to, const char *key, const char *text, const char *after) {
    fprintf(to, "\"%s\": ", key);
    json_string(to, text);
    fputs(after, to);
}

static void json_number(FILE *to, const char *key, double value) {
    if (isnan(value)) {
        fprintf(to, ", \"%s\": null", key);
    } else {
        fprintf(to, ", \"%s\": %.6g", key, value);
    }
}

static void json_table(FILE *to, const table *t, bool first) {
    char name[256];
    fprintf(to, "%s\n    {", first ? "" : ",");
    json_pair(to, "row", table_name(t, name, sizeof name), ", ");
    json_pair(to, "unit", t->second ? "ratio" : t->row->unit, ", ");
    if (t->row->plot != NULL) {
        json_pair(to, "plot", t->row->plot, "");
        json_number(to, "x", t->row->x);
        fputs(", ", to);
    }
    fprintf(to, "\"more_is_better\": %s, \"results\": [", t->second ? "true" : "false");
    for (int i = 0; i < t->count; i++) {
        const bench_case *c = t->lines[i].source;
        const result *r = &t->lines[i].result;
        const double *values = t->second ? c->second : c->value;
        fprintf(to, "%s\n      {", i == 0 ? "" : ",");
        json_pair(to, "peer", c->peer, ", ");
        json_pair(to, "kind", kind_name(c->kind), "");
        json_number(to, "median", r->median);
        json_number(to, "min", r->min);
        json_number(to, "max", r->max);
        json_number(to, "ratio_to_best", ratio_to(t, r->median, t->best));
        json_number(to, "ratio_to_best_that_sleeps", ratio_to(t, r->median, t->best_sleeping));
        fputs(", \"values\": [", to);
        for (int round = 0; round < c->rounds; round++) {
            fprintf(to, "%s%.6g", round == 0 ? "" : ", ", values[round]);
        }
        fputs("]}", to);
    }
    fputs("]}", to);
}

static void write_json(void) {
    static table t;
    bool first = true;
    FILE *to = fopen(bench.json, "w");
    if (to == NULL) {
        die("cannot write %s: %s", bench.json, strerror(errno));
    }
    fputs("{\n  ", to);
    json_pair(to, "program", bench.program, ",\n  ");
    json_pair(to, "cpu", bench.cpu_name, ",\n  ");
    fprintf(to, "\"cpus\": %d,\n  ", bench.cpu_count);
    json_pair(to, "compiler", compiler_name(), ",\n  ");
    json_pair(to, "libc", libc_name(), ",\n  ");
    fprintf(to, "\"rounds\": %d,\n  \"quick\": %s,\n  \"filtered\": %s,\n", bench.rounds,
            bench.quick ? "true" : "false", bench.filter != NULL ? "true" : "false");
    fputs("  \"skipped\": [", to);
    for (int i = 0; i < bench.skip_count; i++) {
        fputs(i == 0 ? "{" : ", {", to);
        json_pair(to, "peer", bench.skips[i].peer, ", ");
        json_pair(to, "why", bench.skips[i].why, "}");
    }
    fputs("],\n  \"rows\": [", to);
    for (int row = 0; row < bench.row_count; row++) {
        for (int second = 0; second < (bench.rows[row].second != NULL ? 2 : 1); second++) {
            fill_table(&t, row, second != 0);
            if (t.count != 0) {
                json_table(to, &t, first);
                first = false;
            }
        }
    }
    fputs("\n  ]\n}\n", to);
    if (ferror(to) != 0 || fclose(to) != 0) {
        die("cannot write %s", bench.json);
    }
}

/* ---- the run ---- */

static void measure(bench_case *c) {
    const bench_row *row = &bench.rows[c->row];
    snprintf(bench.what, sizeof bench.what, "%s / %s", row->name, c->peer);
    alarm(60 + (unsigned)row->seconds);
    const bench_sample sample = c->fn(row);
    alarm(0);
    c->value[c->rounds] = sample.value;
    c->second[c->rounds] = sample.second;
    c->rounds++;
}

static void run_row(int row) {
    static table t;
    const int rounds = bench.rows[row].once ? 1 : bench.rounds;
    bench_case *cases[MAX_CASES];
    int count = 0;
    for (int i = 0; i < bench.case_count; i++) {
        if (bench.cases[i].row == row) {
            cases[count++] = &bench.cases[i];
        }
    }
    if (count == 0) {
        return;
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            measure(cases[(i + round) % count]);
        }
    }
    for (int second = 0; second < (bench.rows[row].second != NULL ? 2 : 1); second++) {
        fill_table(&t, row, second != 0);
        print_table(&t);
    }
    fflush(stdout);
}

int bench_finish(void) {
    double load = 0;
    if (bench.case_count == 0) {
        if (bench.allow_empty) {
            return 0;
        }
        die("no case matches \"%s\"", bench.filter != NULL ? bench.filter : "");
    }
    if (getloadavg(&load, 1) != 1) {
        load = -1;
    }
    printf("bench_%s: %s, %d CPUs, %s, %s, load %.2f\n", bench.program, bench.cpu_name,
           bench.cpu_count, compiler_name(), libc_name(), load);
    printf("median of %d rounds%s; x best: ratio to the best peer; x sleeping: ratio to the best\n"
           "peer that puts waiting threads to sleep\n",
           bench.rounds, bench.quick ? ", quick" : "");
    if (load > 0.5) {
        printf("NOTE: other processes keep the CPUs busy; what follows is not to be relied on\n");
    }
    for (int i = 0; i < bench.skip_count; i++) {
        printf("SKIPPED %s: %s\n", bench.skips[i].peer, bench.skips[i].why);
    }
    fflush(stdout);
    for (int row = 0; row < bench.row_count; row++) {
        run_row(row);
    }
    print_summary();
    if (bench.json != NULL) {
        write_json();
    }
    return fflush(stdout) != 0 ? 1 : 0;
}
