/* c3_tcp_server_fixed.c - four threads for the clients, four places to wait, and a clean end.

   Article : Python Threads: Concepts and Implementation Examples, "TCP server with threads"
   Python  : with ThreadPoolExecutor(4) as pool: ... pool.submit(handle, client)
   Shows   : cth_executor_desc.capacity and .policy, cth_cancel_on_signal, CTH_ON_CANCEL, CTH_DRAIN
   Look at : a ninth client is told so and put out, at once. Each line gets an answer, an empty one
             too, and who leaves just leaves. Ctrl-C: nobody new comes in, what has been said
             already is answered, then all ends. A second Ctrl-C ends it at once.
   Build   : cc -std=c11 -I../.. c3_tcp_server_fixed.c -pthread
   Run     : ./a.out [port], and in other windows: nc 127.0.0.1 9999, or c3_tcp_client.c
   Prints  : what the clients say, "client left" for each, and at the end
     stopped: signal 2 */
#define _POSIX_C_SOURCE 200809L
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

enum { WORKERS = 4, WAITING = 4, SOCKETS = 1024 };

static int listener;
static cth_executor *pool;
static cth_cancel stop;
static cth_mutex lock;
static bool is_client[SOCKETS]; // under the lock; the socket is open as long as this is true

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static bool say(int client, const char *text) {
    ssize_t n;
    while ((n = send(client, text, strlen(text), MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    return n == (ssize_t)strlen(text); // else it has gone, or has not read for a minute
}

static void forget(int client) {
    CTH_WITH(&lock) {
        is_client[client] = false;
        (void)close(client);
    }
}

static cth_status handle(void *arg, void *result) {
    const int client = *(const int *)arg;
    char line[1024]; // a longer one counts as two
    size_t size = 0;
    ssize_t n;
    (void)result;
    while ((n = recv(client, &line[size], 1, 0)) == 1 || (n < 0 && errno == EINTR)) {
        size += n == 1; // a byte at a time: simple, not fast
        if (n == 1 && (line[size - 1] == '\n' || size == sizeof line)) {
            printf("%.*s%s", (int)size, line, line[size - 1] == '\n' ? "" : "\n");
            size = 0;
            if (!say(client, "Server response\n")) {
                break;
            }
        }
    }
    puts("client left");
    forget(client);
    return CTH_OK;
}

static cth_status acceptor(void *arg) {
    (void)arg;
    while (cth_cancel_status(&stop) == CTH_OK) {
        const int client = accept(listener, NULL, NULL);
        if (client < 0) { // shut down, or no descriptor is left, or the client has gone already
            check(cth_sleep(CTH_MS(10)));
            continue;
        }
        const struct timeval minute = {.tv_sec = 60}; // who is silent for so long has left
        (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
        (void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof minute);
        if (client >= SOCKETS) {
            (void)close(client);
            continue;
        }
        CTH_WITH(&lock) {
            is_client[client] = true;
        }
        if (cth_submit(pool, NULL, handle, &client, sizeof client, 0) != CTH_OK) { // CTH_FULL
            (void)say(client, "Server busy\n");
            forget(client);
        }
    }
    return CTH_OK;
}

int main(int argc, char **argv) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    cth_thread *thread;
    cth_status status;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    here.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 9999));
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 5) != 0) {
        perror("listen");
        return EXIT_FAILURE;
    }
    check(cth_executor_create(
        &pool,
        &(cth_executor_desc){.workers = WORKERS, .capacity = WAITING, .policy = CTH_FULL_FAILS}));
    check(cth_cancel_on_signal(&stop, SIGINT));
    check(cth_thread_spawn(&thread, acceptor, NULL, NULL));
    puts("listening");
    (void)CTH_SELECT(&status, CTH_ON_CANCEL(&stop)); // until Ctrl-C
    check(status);
    (void)shutdown(listener, SHUT_RDWR); // ends the accept
    check(cth_thread_join(thread, NULL));
    cth_thread_release(thread);
    CTH_WITH(&lock) {
        for (int client = 0; client < SOCKETS; client++) {
            if (is_client[client]) {
                (void)shutdown(client, SHUT_RD); // recv returns what has come, then 0
            }
        }
    }
    check(cth_executor_shutdown(pool, CTH_DRAIN));
    cth_executor_release(pool);
    (void)close(listener);
    printf("stopped: %s\n", cth_cancel_reason(&stop));
    return EXIT_SUCCESS;
}
