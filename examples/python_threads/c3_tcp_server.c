/* c3_tcp_server.c - a server with a thread for each client, as the article has it.

   Article : Python Threads: Concepts and Implementation Examples, "TCP server with threads"
   Python  : while True:
                 client, address = server.accept()
                 threading.Thread(target=handle, args=(client,)).start()
   Shows   : cth_thread_spawn, cth_thread_release, cth_fail
   Look at : (trap) a client that leaves ends its thread with an exception; a thousand clients are a
             thousand threads; two lines that come together get one answer; after a restart the
             port may be "in use" for minutes; and only `kill` ends it. This one ends after some
             clients. See the twin.
   Build   : cc -std=c11 -I../.. c3_tcp_server.c -pthread
   Run     : ./a.out [port [clients]], and in other windows: nc 127.0.0.1 9999, or c3_tcp_client.c
   Prints  : what the clients say, and on stderr the exceptions */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

static cth_status handle(void *arg) {
    static const char answer[] = "Server response";
    const int client = (int)(intptr_t)arg;
    char data[1024];
    ssize_t n;
    while ((n = recv(client, data, sizeof data, 0)) > 0) {
        printf("%.*s", (int)n, data);
        if (send(client, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    (void)close(client);
    return cth_fail(CTH_FAILED, "the client has left"); // Python: ConnectionResetError
}

int main(int argc, char **argv) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int clients = argc > 2 ? atoi(argv[2]) : 3;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    here.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 9999));
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) != 0 ||
        listen(listener, 5) != 0) {
        perror("listen");
        return EXIT_FAILURE;
    }
    puts("listening");
    for (int i = 0; i < clients; i++) {
        cth_thread *thread;
        const int client = accept(listener, NULL, NULL);
        if (client < 0) {
            perror("accept");
            _Exit(EXIT_FAILURE);
        }
        check(cth_thread_spawn(&thread, handle, (void *)(intptr_t)client, NULL));
        cth_thread_release(thread);
    }
    (void)close(listener);
    return EXIT_SUCCESS; // once the threads have ended
}
