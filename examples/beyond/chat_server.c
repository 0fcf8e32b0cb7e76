/* chat_server.c - every line that a client sends goes to all others. Try it with several `nc`.

       reader (blocks in recv) ---news---> hub (owns the list of clients) ---mail---> writer (send)

   Shows   : cth_chan, cth_chan_try_send, CTH_SELECT, CTH_ON_CANCEL, cth_cancel_on_signal, daemons
   Look at : a slow client blocks its own writer only: when its mailbox of 64 lines is full, it is
             put out. No locks: the hub has the list, and a writer frees its client at the end.
   Build   : cc -std=c11 -I../.. chat_server.c -pthread
   Run     : ./a.out 9999, and in other windows: nc 127.0.0.1 9999
   Prints  : who comes and goes; Ctrl-C ends it */
#define _POSIX_C_SOURCE 200809L
#define CTHREADS_IMPLEMENTATION
#include "cthreads.h"
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct line {
    char text[240]; // a longer one goes in pieces, others may come between
    size_t size;
} line;

typedef struct client {
    struct client *next;
    int id, socket;
    cth_chan mail; // of line
} client;

typedef struct news {
    enum { CAME, SAID, LEFT, CTRL_C } what;
    client *who;
    line said;
} news;

static cth_chan all_news;
static cth_cancel stop;
static int listener;

/* End the program with the reason unless `status` is CTH_OK. */
static void check(cth_status status) {
    if (status != CTH_OK) {
        fprintf(stderr, "%s\n", cth_status_text(status));
        _Exit(EXIT_FAILURE); // at once: exit() waits for the other threads first
    }
}

/* Start a thread that nobody joins; the exit waits for it unless it is a daemon. */
static void go(cth_thread_fn fn, void *arg, bool daemon) {
    cth_thread *thread;
    check(cth_thread_spawn(&thread, fn, arg, &(cth_thread_desc){.daemon = daemon}));
    cth_thread_release(thread);
}

static cth_status reader(void *arg) {
    news n = {.what = SAID, .who = arg};
    while (recv(n.who->socket, &n.said.text[n.said.size], 1, 0) == 1) { // simple, not fast
        if (n.said.text[n.said.size++] == '\n' || n.said.size == sizeof n.said.text) {
            check(cth_chan_send(&all_news, &n));
            n.said.size = 0;
        }
    }
    n.what = LEFT; // in the middle of a line: that is lost
    return cth_chan_send(&all_news, &n);
}

static cth_status writer(void *arg) {
    client *c = arg;
    CTH_FOREACH_RECV(line, l, &c->mail) {
        // Blocks until all of it is on its way. An error is left to the reader, which sees the end.
        (void)send(c->socket, l.text, l.size, MSG_NOSIGNAL);
    }
    check(cth_chan_destroy(&c->mail));
    (void)close(c->socket);
    free(c);
    return CTH_OK;
}

static cth_status acceptor(void *arg) {
    (void)arg;
    for (int id = 1; cth_cancel_status(&stop) == CTH_OK;) {
        const int socket = accept(listener, NULL, NULL);
        if (socket < 0) { // no file descriptor is left, or the client has gone already
            check(cth_sleep(CTH_MS(100)));
            continue;
        }
        const news n = {.what = CAME, .who = calloc(1, sizeof(client))};
        check(n.who != NULL ? cth_chan_init(&n.who->mail, sizeof(line), 64, NULL) : CTH_NOMEM);
        n.who->id = id++;
        n.who->socket = socket;
        check(cth_chan_send(&all_news, &n));
    }
    return CTH_OK;
}

/* Runs until Ctrl-C has come and all clients have left. */
static void hub(void) {
    client *clients = NULL;
    cth_cancel *end = &stop;
    while (end != NULL || clients != NULL) {
        news n = {.what = CTRL_C};
        cth_status status;
        if (CTH_SELECT(&status, CTH_RECV(&all_news, &n), CTH_ON_CANCEL(end)) == 1) {
            end = NULL; // from now on that case is never ready
        }
        check(status);
        client **at = &clients; // where n.who stands, or the end
        while (*at != NULL && *at != n.who) {
            at = &(*at)->next;
        }
        if (n.what == CAME) {
            *at = n.who;
            printf("client %d came\n", n.who->id);
            go(writer, n.who, false);
            go(reader, n.who, false);
        } else if (n.what == LEFT) {
            *at = n.who->next;
            printf("client %d left\n", n.who->id);
            check(cth_chan_close(&n.who->mail)); // and now it is the writer's
        }
        for (client *c = clients; c != NULL; c = c->next) {
            if (end == NULL || (n.what == SAID && c != n.who &&
                                cth_chan_try_send(&c->mail, &n.said) == CTH_FULL)) {
                (void)shutdown(c->socket, SHUT_RDWR); // it will have LEFT
            }
        }
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    here.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 9999));
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 ||
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 5) != 0) {
        perror("listen");
        return EXIT_FAILURE;
    }
    check(cth_chan_init(&all_news, sizeof(news), 16, NULL));
    check(cth_cancel_on_signal(&stop, SIGINT));
    puts("listening");
    go(acceptor, NULL, true);
    hub();
    return EXIT_SUCCESS;
}
