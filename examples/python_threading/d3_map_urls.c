/* d3_map_urls.c - fetch four pages at the same time; their lengths come in the order of the URLs.

   Article : Python Threading, "ThreadPoolExecutor"
   Python  : with ThreadPoolExecutor(max_workers=4) as pool:
                 print(list(pool.map(lambda url: len(urlopen(url).read()), urls)))
   Shows   : CTH_WITH_EXECUTOR, cth_map
   Look at : the first page comes last, and its length is first. Without arguments the program
             brings its own web server, so it runs offline.
   Build   : cc -std=c11 -I../.. d3_map_urls.c -pthread
   Or      : cc -std=c11 -I../.. -DUSE_CURL d3_map_urls.c -pthread -lcurl
   Run     : ./a.out [http://127.0.0.1:port/path ...], or with libcurl any URLs
   Prints  : without arguments
     [400, 300, 200, 100] */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <netinet/in.h>
#include <signal.h>
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

/* The length of the page; less than 0 if it cannot be fetched. */
static long fetch(const char *url) {
    long length = 0;
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &length);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return code == CURLE_OK ? length : -1;
}
#else
/* The length of a page of this computer; less than 0 if it cannot be fetched. */
static long fetch(const char *url) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char path[128] = "", line[1024];
    long length = -1;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    FILE *in = fdopen(fd, "r");
    (void)sscanf(url, "http://127.0.0.1:%hu%127s", &there.sin_port, path);
    there.sin_port = htons(there.sin_port);
    if (in == NULL || connect(fd, (struct sockaddr *)&there, sizeof there) != 0 ||
        dprintf(fd, "GET %s HTTP/1.0\r\n\r\n", path) < 0 || fgets(line, sizeof line, in) == NULL) {
        perror(url);
    } else if (strstr(line, " 200 ") != NULL) { // OK
        while (fgets(line, sizeof line, in) != NULL && strcmp(line, "\r\n") != 0) {
        }
        for (length = 0; getc(in) != EOF; length++) {
        }
    }
    (void)(in != NULL ? fclose(in) : close(fd));
    return length;
}
#endif

static cth_status body_length(void *arg, void *result) {
    const char *url = *(char **)arg;
    long *length = result;
    *length = fetch(url);
    return *length >= 0 ? CTH_OK : cth_fail(CTH_FAILED, "cannot fetch %s", url);
}

/* Take the requests for /1 to /4 first, then answer the last first; page n has 500 - 100 n bytes.
   Were they made one by one, the first would get no answer. */
static cth_status serve(void *arg) {
    const int listener = *(const int *)arg;
    int clients[8] = {0};
    for (int i = 0; i < PAGES; i++) {
        char request[512] = "";
        const int client = accept(listener, NULL, NULL);
        (void)recv(client, request, sizeof request - 1, 0);
        clients[request[5] & 7] = client; // "GET /3 HTTP/1.0"
    }
    for (int page = PAGES; page >= 1; page--) {
        dprintf(clients[page], "HTTP/1.0 200 OK\r\n\r\n%0*d", 500 - 100 * page, page);
        (void)close(clients[page]);
    }
    return CTH_OK;
}

/* Start the server, and write the URLs of its pages. */
static void start_server(char urls[PAGES][64]) {
    static int listener;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t room = sizeof here;
    cth_thread *server;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, room) != 0 ||
        listen(listener, PAGES) != 0 ||
        getsockname(listener, (struct sockaddr *)&here, &room) != 0) {
        perror("listen");
        exit(EXIT_FAILURE);
    }
    for (int i = 0; i < PAGES; i++) {
        sprintf(urls[i], "http://127.0.0.1:%d/%d", ntohs(here.sin_port), i + 1);
    }
    check(cth_thread_spawn(&server, serve, &listener, NULL));
    cth_thread_release(server);
}

int main(int argc, char **argv) {
    char text[PAGES][64];
    char *own[PAGES] = {text[0], text[1], text[2], text[3]};
    char **urls = argc > 1 ? &argv[1] : own;
    const size_t n = argc > 1 ? (size_t)argc - 1 : PAGES;
    long *lengths = calloc(n, sizeof *lengths);
    cth_status status;
    check(lengths != NULL ? CTH_OK : CTH_NOMEM);
    (void)signal(SIGPIPE, SIG_IGN); // a server that leaves is an error, not our end
    if (argc == 1) {
        start_server(text);
    }
#ifdef USE_CURL
    check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? CTH_OK : CTH_FAILED);
#endif
    CTH_WITH_EXECUTOR(pool, &status, &(cth_executor_desc){.workers = PAGES}) {
        status = cth_map(pool, body_length, urls, sizeof *urls, lengths, sizeof *lengths, n);
    }
    check(status);
    for (size_t i = 0; i < n; i++) {
        printf("%s%ld", i == 0 ? "[" : ", ", lengths[i]);
    }
    puts("]");
    free(lengths);
    return EXIT_SUCCESS;
}
