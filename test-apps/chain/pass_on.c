/* SPDX-License-Identifier: Apache-2.0 */
/* A web server, a thread per connection, that answers what another answers: `pass_on PORT`. Each thread keeps its
 * connection to that one; of the request it passes on the target, no header field. Prints its port. */
#include "../http_peer.h"
#include "../listener.h"

#include <err.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_SIZE = 65536 };

static uint16_t next_port;          /* set by main before anything is served */
static _Thread_local int next = -1; /* this thread's connection to it */

static int connect_to_next(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(next_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        err(1, "socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        err(1, "connect");
    return fd;
}

/* How long the answer in the buffer is, or 0 as long as that isn't known. */
static size_t answer_length(const char *buffer, size_t used)
{
    static const char field[] = "Content-Length: ";
    const char *end = memmem(buffer, used, "\r\n\r\n", 4);
    const char *length = end ? memmem(buffer, (size_t)(end - buffer), field, sizeof field - 1) : NULL;

    if (end && !length)
        errx(1, "an answer without a length");
    return length ? (size_t)(end + 4 - buffer) + strtoul(length + sizeof field - 1, NULL, 10) : 0;
}

/* Ask the next server; its whole answer is in the buffer. */
static size_t ask_next(const char *path, char *buffer)
{
    char request[sizeof((struct http_request *)NULL)->path + 64];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", path, next_port);
    size_t used = 0;

    if (!http_bytes_out(next, HTTP_CALLS_PLAIN, request, (size_t)n))
        err(1, "write");
    do {
        ssize_t got = http_bytes_in(next, HTTP_CALLS_PLAIN, buffer + used, ANSWER_SIZE - used);
        if (got <= 0)
            err(1, "read");
        used += (size_t)got;
    } while (answer_length(buffer, used) == 0 || used < answer_length(buffer, used));
    return used;
}

bool http_answer(struct http_peer *peer)
{
    char buffer[ANSWER_SIZE];

    if (next < 0)
        next = connect_to_next();
    return http_bytes_out(peer->fd, peer->calls, buffer, ask_next(peer->request.path, buffer)) &&
           peer->request.keep_alive;
}

static void *serve_one(void *arg)
{
    http_peer_serve((int)(intptr_t)arg, HTTP_CALLS_PLAIN);
    if (next >= 0)
        (void)close(next);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int fd, listener;

    if (argc != 2)
        errx(2, "usage: pass_on PORT");
    next_port = (uint16_t)strtoul(argv[1], NULL, 10);
    (void)signal(SIGPIPE, SIG_IGN);
    listener = listener_tcp(0, 0);
    listener_announce(listener);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0)
        if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) != 0 || pthread_detach(thread) != 0)
            errx(1, "no thread");
    err(1, "accept");
}
