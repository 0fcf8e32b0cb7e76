/* d3_map_urls.c - fetch four pages at the same time; their lengths come in the order of the URLs.

   Article : Python Threading, "ThreadPoolExecutor"
   Python  : with ThreadPoolExecutor(max_workers=4) as pool:
                 print(list(pool.map(lambda url: len(urlopen(url).read()), urls)))
   Shows   : cth_map, a thread that is a daemon
   Look at : the first page comes last, and its length is first. Without arguments the program
             brings its own web server, so it runs offline.
   Build   : cc -std=c11 -I../.. d3_map_urls.c -pthread
   Or      : cc -std=c11 -I../.. -DUSE_CURL d3_map_urls.c -pthread -lcurl (then https too)
   Run     : ./a.out [http://host[:port]/path ...]
   Prints  : without arguments
     [400, 300, 200, 100] */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef USE_CURL
#  include <curl/curl.h>
#endif

enum { PAGES = 4 };

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s: %s\n", cth_status_text(status), cth_error_text());
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

#ifdef USE_CURL
static size_t count(char *data, size_t size, size_t n, void *length) {
    (void)data;
    *(long *)length += (long)(size * n);
    return size * n;
}

/* The length of the page, or -1. */
static long fetch(const char *url) {
    long length = 0;
    CURL *curl = curl_easy_init();
    bool ok = curl != NULL && curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEDATA, &length) == CURLE_OK &&
              curl_easy_perform(curl) == CURLE_OK;
    curl_easy_cleanup(curl);
    return ok ? length : -1;
}
#else
/* A socket that is connected to the server, or -1. */
static int connected(const char *host, const char *port) {
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1;
    if (getaddrinfo(host, port, &wanted, &found) != 0) {
        return -1;
    }
    for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            (void)close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* The length of the page, or -1. */
static long fetch(const char *url) {
    char host[128], port[8] = "80", request[1024], head[13] = "";
    int at = 0, matched = 0, c;
    long length = -1;
    if (sscanf(url, "http://%127[^:/]%n:%7[0-9]%n", host, &at, port, &at) < 1) {
        return -1;
    }
    const int size = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n",
                              url[at] == '/' ? &url[at] : "/", host);
    const int fd = connected(host, port);
    FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (in != NULL && size < (int)sizeof request &&
        send(fd, request, (size_t)size, MSG_NOSIGNAL) == size && fread(head, 1, 12, in) == 12 &&
        strcmp(&head[8], " 200") == 0) {               // HTTP/1.x 200
        while (matched < 4 && (c = getc(in)) != EOF) { // the empty line ends the header
            matched = c == "\r\n\r\n"[matched] ? matched + 1 : c == '\r';
        }
        for (length = 0; getc(in) != EOF; length++) {
        }
        length = matched < 4 || ferror(in) ? -1 : length;
    }
    if (in != NULL) {
        (void)fclose(in); // and fd
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return length;
}
#endif

static cth_status body_length(void *arg, void *result) {
    const char *url = *(char **)arg;
    const long length = fetch(url);
    *(long *)result = length;
    return length >= 0 ? CTH_OK : cth_fail(CTH_FAILED, "cannot fetch %s", url);
}

/* Take four requests for /1 to /4 first, then answer the last first; page n has 500 - 100 n bytes.
   Were they made one by one, the first would get no answer. */
static cth_status serve(void *arg) {
    const int listener = *(const int *)arg;
    int clients[PAGES + 1] = {0};
    for (int i = 0; i < PAGES; i++) {
        char request[512] = "";
        const int client = accept(listener, NULL, NULL);
        const ssize_t n = client < 0 ? -1 : recv(client, request, sizeof request - 1, 0);
        const int page = n > 5 ? atoi(&request[5]) : 0; // "GET /3 HTTP/1.0"
        clients[page >= 1 && page <= PAGES ? page : 0] = client;
    }
    for (int page = PAGES; page >= 1; page--) {
        char answer[512];
        const int size =
            snprintf(answer, sizeof answer, "HTTP/1.0 200 OK\r\n\r\n%0*d", 500 - 100 * page, page);
        (void)send(clients[page], answer, (size_t)size, MSG_NOSIGNAL);
        (void)close(clients[page]);
    }
    return CTH_OK;
}

int main(int argc, char **argv) {
    static int listener;
    static char text[PAGES][64];
    static char *own[PAGES] = {text[0], text[1], text[2], text[3]};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t room = sizeof here;
    char **urls = argc > 1 ? &argv[1] : own;
    const size_t n = argc > 1 ? (size_t)argc - 1 : PAGES;
    long *lengths = calloc(n, sizeof *lengths);
    cth_executor *pool;
    check(lengths != NULL ? CTH_OK : CTH_NOMEM);
    if (argc <= 1) {
        cth_thread *server;
        listener = socket(AF_INET, SOCK_STREAM, 0);
        if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) != 0 ||
            listen(listener, PAGES) != 0 ||
            getsockname(listener, (struct sockaddr *)&here, &room) != 0) {
            perror("listen");
            return EXIT_FAILURE;
        }
        for (int i = 0; i < PAGES; i++) {
            (void)snprintf(text[i], sizeof text[i], "http://127.0.0.1:%u/%d",
                           (unsigned)ntohs(here.sin_port), i + 1);
        }
        check(cth_thread_spawn(&server, serve, &listener, &(cth_thread_desc){.daemon = true}));
        cth_thread_release(server);
    }
#ifdef USE_CURL
    check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? CTH_OK : CTH_FAILED);
#endif
    check(cth_executor_create(&pool, &(cth_executor_desc){.workers = PAGES}));
    check(cth_map(pool, body_length, urls, sizeof *urls, lengths, sizeof *lengths, n));
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    for (size_t i = 0; i < n; i++) {
        printf("%s%ld", i == 0 ? "[" : ", ", lengths[i]);
    }
    puts("]");
    free(lengths);
    return EXIT_SUCCESS;
}
