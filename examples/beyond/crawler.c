/* crawler.c - a crawler that is in no hurry: four tasks at most, a request each 5 ms, each page once.

   Shows   : tasks that start more tasks of their scope, cth_chan_tick as a rate limit, a deadline
             over everything, a scope with a thread in it
   Look at : nobody counts the pages that are still to come: the scope ends when all have been, or
             with the first error, or when the time is over, and in each case no task is left.
             It brings its own web server, so that it bothers nobody.
   Build   : cc -std=c11 -I../.. crawler.c -pthread
   Prints  : the pages in the order of their names, with the number of links of each, and then
     40 pages, 80 links */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGES = 40, WORKERS = 4 };

static int listener;
static struct sockaddr_in address;
static cth_chan tick; // a request may be made at each of its values
static cth_executor *pool;
static cth_mutex lock; // guards the two
static bool seen[PAGES];
static int links[PAGES];

typedef struct job {
    cth_scope *scope;
    int page;
} job;

/* Pages /0, /1, ...: each has a link to the next one and one to a page further on. */
static cth_status serve(void *arg) {
    int client;
    (void)arg;
    while ((client = accept(listener, NULL, NULL)) >= 0) { // until main shuts it down
        char request[512] = "", page[512];
        const ssize_t n = read(client, request, sizeof request - 1);
        const int i = n > 5 ? atoi(request + 5) : 0; // "GET /7 HTTP/1.0"
        const int size = snprintf(page, sizeof page,
                                  "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n"
                                  "<a href=\"/%d\">next</a> <a href=\"/%d\">far</a>\n",
                                  (i + 1) % PAGES, (i * 7 + 3) % PAGES);
        if (write(client, page, (size_t)size) != size) {
            fprintf(stderr, "a client has gone\n");
        }
        close(client);
    }
    return CTH_OK;
}

/* Fetch a page into `text`; its size, or -1. */
static ssize_t fetch(int page, char *text, size_t room) {
    ssize_t size = 0, n = -1;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        n = snprintf(text, room, "GET /%d HTTP/1.0\r\n\r\n", page);
        n = write(fd, text, (size_t)n);
        while (n > 0 && (n = read(fd, text + size, room - 1 - (size_t)size)) > 0) {
            size += n;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    text[size] = '\0';
    return n < 0 ? -1 : size;
}

static cth_status visit(void *arg, void *result);

/* Have a page visited, unless it was before. */
static cth_status submit(cth_scope *scope, int page) {
    bool fresh = false;
    CTH_WITH(&lock) {
        fresh = !seen[page];
        seen[page] = true;
    }
    const job next = {scope, page};
    return fresh ? cth_scope_submit(scope, NULL, visit, &next, sizeof next, 0) : CTH_OK;
}

static cth_status visit(void *arg, void *result) {
    const job *j = arg;
    char text[1024];
    cth_time due;
    (void)result;
    cth_status status = cth_chan_recv(&tick, &due);
    if (status != CTH_OK) {
        return status; // cancelled: another one has failed, or the time is over
    }
    if (fetch(j->page, text, sizeof text) <= 0) {
        return cth_fail(CTH_FAILED, "cannot fetch /%d", j->page);
    }
    int found = 0;
    for (const char *p = text; (p = strstr(p, "href=\"/")) != NULL && status == CTH_OK; found++) {
        p += strlen("href=\"/");
        status = submit(j->scope, atoi(p) % PAGES);
    }
    CTH_WITH(&lock) {
        links[j->page] = found;
    }
    return status;
}

int main(void) {
    cth_status status = CTH_OK, crawled = CTH_OK;
    socklen_t length = sizeof address;
    int pages = 0, all = 0;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK); // any free port
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        cth_chan_tick(&tick, CTH_MS(5)) != CTH_OK ||
        cth_executor_create(&pool, &(cth_executor_desc){.workers = WORKERS}) != CTH_OK) {
        return EXIT_FAILURE;
    }
    CTH_SCOPE(server, NULL, CTH_FOREVER, &status) {
        if ((status = cth_scope_spawn(&server, serve, NULL, NULL)) != CTH_OK) {
            break;
        }
        CTH_SCOPE(crawl, pool, cth_after(CTH_S(60)), &crawled) {
            crawled = submit(&crawl, 0);
        }
        shutdown(listener, SHUT_RDWR); // ends the server's accept
    }
    close(listener);
    cth_executor_release(pool);
    if (status != CTH_OK || crawled != CTH_OK) {
        fprintf(stderr, "%s\n", cth_error_text());
        return EXIT_FAILURE;
    }
    for (int i = 0; i < PAGES; i++) {
        if (seen[i]) {
            printf("/%d: %d links\n", i, links[i]);
            pages++;
            all += links[i];
        }
    }
    printf("%d pages, %d links\n", pages, all);
    return 0;
}
