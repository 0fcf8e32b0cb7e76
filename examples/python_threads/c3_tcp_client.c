/* c3_tcp_client.c - the other end of c3_tcp_server.c: says a line, and waits for the answer.

   Article : Python Threads: Concepts and Implementation Examples, "TCP server with threads"
   Python  : while True:
                 client.send(input(">>> ").encode())
                 print(client.recv(1024).decode())
   Shows   : that a client of one server needs no threads
   Look at : (trap) the original sends the line without its end. An empty line is then nothing at
             all: the server sees none, and the client waits for an answer for ever. This one sends
             the end too, as nc does.
   Build   : cc -std=c11 -I../.. c3_tcp_client.c -pthread
   Run     : ./a.out [port]; the end of the input (Ctrl-D) ends it
   Prints  : >>> , and for each line:
     Server response */
#define _POSIX_C_SOURCE 200809L
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char said[1024], answer[1024];
    there.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 9999));
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || connect(server, (struct sockaddr *)&there, sizeof there) != 0) {
        perror("connect");
        return EXIT_FAILURE;
    }
    while (printf(">>> "), fflush(stdout), fgets(said, sizeof said, stdin) != NULL) {
        if (send(server, said, strlen(said), MSG_NOSIGNAL) < 0) {
            perror("send");
            return EXIT_FAILURE;
        }
        const ssize_t n = recv(server, answer, sizeof answer, 0);
        if (n <= 0) {
            fprintf(stderr, "the server has gone\n");
            return EXIT_FAILURE;
        }
        printf("%.*s%s", (int)n, answer, answer[n - 1] == '\n' ? "" : "\n");
    }
    puts("");
    (void)close(server);
    return EXIT_SUCCESS;
}
