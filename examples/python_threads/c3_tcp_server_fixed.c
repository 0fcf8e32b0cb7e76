/* c3_tcp_server_fixed.c - four threads for the clients, four places to wait, and a clean end.

   Article : Python Threads: Concepts and Implementation Examples, "TCP server with threads"
   Python  : with ThreadPoolExecutor(4) as pool: ... pool.submit(handle, client)
   Shows   : cth_executor_desc.capacity and .policy, cth_cancel_on_signal, cth_cancel_status
   Look at : a ninth client is told so and put out, at once. Each line gets an answer, an empty one
             too, and who leaves just leaves. Ctrl-C: nobody new comes in, what has been said
             already is answered, then all ends. A second Ctrl-C ends it at once.
   Build   : cc -std=c11 -I../.. c3_tcp_server_fixed.c -pthread
   Run     : ./a.out [port], and in other windows: nc 127.0.0.1 9999, or c3_tcp_client.c
   Prints  : what the clients say, "client left" for each, and at the end
     stopped: signal 2 */
#define _DEFAULT_SOURCE
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { WORKERS = 4, WAITING = 4, PATIENCE = 60 }; // who is silent for 60 s has left
// After so long accept and recv give up (EAGAIN), so that their threads hear of Ctrl-C.
static const struct timeval tenth = {.tv_usec = 100000}, second = {.tv_sec = 1};
static cth_cancel stop;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static bool say(int client, const char *text) { // one who does not read has left
    const size_t size = strlen(text);
    return send(client, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

static cth_status handle(void *arg, void *result) {
    const int client = *(const int *)arg;
    char line[1024]; // a longer one counts as two
    size_t size = 0;
    int silent = 0;
    (void)result;
    while (silent < PATIENCE) {
        const ssize_t n = recv(client, &line[size], 1, 0); // a byte at a time: simple, not fast
        if (n == 1) {
            silent = 0;
            size++;
            if (line[size - 1] == '\n' || size == sizeof line) {
                printf("%.*s%s", (int)size, line, line[size - 1] == '\n' ? "" : "\n");
                size = 0;
                if (!say(client, "Server response\n")) {
                    break;
                }
            }
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR) &&
                   cth_cancel_status(&stop) == CTH_OK) {
            silent++;
        } else {
            break;
        }
    }
    puts("client left");
    (void)close(client);
    return CTH_OK;
}

int main(int argc, char **argv) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    cth_executor *pool;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    here.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 9999));
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tenth, sizeof tenth) != 0 ||
        bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 5) != 0) {
        perror("listen");
        return EXIT_FAILURE;
    }
    check(cth_executor_create(
        &pool,
        &(cth_executor_desc){.workers = WORKERS, .capacity = WAITING, .policy = CTH_FULL_FAILS}));
    check(cth_cancel_on_signal(&stop, SIGINT));
    puts("listening");
    while (cth_cancel_status(&stop) == CTH_OK) {
        const int client = accept(listener, NULL, NULL);
        if (client < 0) { // nobody came, or it has gone already, or no descriptor is left
            check(errno == EAGAIN ? CTH_OK : cth_sleep(CTH_MS(10)));
            continue;
        }
        (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
        if (cth_submit(pool, NULL, handle, &client, sizeof client, 0) != CTH_OK) { // CTH_FULL
            (void)say(client, "Server busy\n");
            (void)close(client);
        }
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    (void)close(listener);
    printf("stopped: %s\n", cth_cancel_reason(&stop));
    return EXIT_SUCCESS;
}
