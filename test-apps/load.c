/* SPDX-License-Identifier: Apache-2.0 */
/* A load generator that can account for each request: connections that are kept alive ask one after the other; when the
 * time is over each finishes what it has begun. Usage: load PORT CONNECTIONS MILLISECONDS PATH
 *
 * Where PATH ends in '@', the connection's number and the request's take its place ("3-17"): every path is unique, and
 * the first N numbers of a connection are those that were answered. Prints "requests N seconds S broken B" and, then, a
 * line "connection I answered N" for each. A connection that the server breaks is opened again only with a PATH without
 * '@'. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd; /* -1: over */
    unsigned long answered;
    size_t used;    /* of the head in `head` */
    long body_left; /* -1 while the head is incomplete */
    char head[4096];
};

/* What to do; set by main, read-only afterwards. */
static const char *path;
static uint16_t port;
static bool numbered;
static double end_time;

static unsigned long broken;

static double now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int connect_to_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static bool ask(struct client *client, unsigned number)
{
    char text[1200];
    int n;

    client->used = 0;
    client->body_left = -1;
    if (numbered)
        n = snprintf(text, sizeof text, "GET %.*s%u-%lu HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", (int)strlen(path) - 1,
                     path, number, client->answered, port);
    else
        n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", path, port);
    return send(client->fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

static void stop(struct client *client)
{
    (void)close(client->fd);
    client->fd = -1;
}

/* The server broke the connection. */
static void start_again(struct client *client, unsigned number)
{
    broken++;
    stop(client);
    if (numbered || now() >= end_time)
        return;
    client->fd = connect_to_server();
    if (client->fd >= 0 && !ask(client, number))
        stop(client);
}

/* Take bytes of the head; leaves what belongs to the body. False when it is no head that we understand. */
static bool take_head(struct client *client, const char *bytes, size_t len, size_t *ret_body)
{
    size_t room = sizeof client->head - 1 - client->used;
    size_t n = len < room ? len : room;

    memcpy(client->head + client->used, bytes, n);
    client->used += n;
    client->head[client->used] = '\0';

    const char *end = strstr(client->head, "\r\n\r\n");
    if (!end) {
        *ret_body = 0;
        return n == len;
    }
    const char *length = strcasestr(client->head, "content-length:");
    if (!length || length > end)
        return false;
    client->body_left = strtol(length + 15, NULL, 10);
    *ret_body = len - (n - (client->used - (size_t)(end + 4 - client->head)));
    return true;
}

/* Bytes have come. False when the connection is broken. */
static bool take(struct client *client)
{
    char bytes[65536];
    ssize_t n = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    size_t body = n > 0 ? (size_t)n : 0;

    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return false;
    if (client->body_left < 0 && !take_head(client, bytes, (size_t)n, &body))
        return false;
    if (client->body_left >= 0)
        client->body_left -= (long)body;
    return true;
}

static void turn(struct client *client, unsigned number)
{
    if (!take(client)) {
        start_again(client, number);
        return;
    }
    if (client->body_left != 0)
        return;
    client->answered++;
    if (now() >= end_time)
        stop(client);
    else if (!ask(client, number))
        start_again(client, number);
}

/* Run until all clients are done. */
static void run(struct client *clients, unsigned count)
{
    struct pollfd *ready = calloc(count, sizeof *ready);

    if (!ready)
        err(1, "calloc");
    for (;;) {
        unsigned open = 0;
        for (unsigned i = 0; i < count; i++) {
            ready[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
            open += clients[i].fd >= 0;
        }
        if (open == 0)
            break;
        if (poll(ready, count, 30000) <= 0)
            errx(1, "no answer in 30 s");
        for (unsigned i = 0; i < count; i++)
            if (ready[i].revents)
                turn(&clients[i], i);
    }
    free(ready);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        errx(2, "usage: load PORT CONNECTIONS MILLISECONDS PATH");
    port = (uint16_t)strtoul(argv[1], NULL, 10);
    path = argv[4];
    numbered = path[strlen(path) - 1] == '@';

    unsigned count = (unsigned)strtoul(argv[2], NULL, 10);
    unsigned long answered = 0;
    struct client *clients = calloc(count, sizeof *clients);
    if (!clients)
        err(1, "calloc");

    double start = now();
    end_time = start + strtod(argv[3], NULL) / 1000;
    for (unsigned i = 0; i < count; i++) {
        clients[i].fd = connect_to_server();
        if (clients[i].fd < 0 || !ask(&clients[i], i))
            err(1, "connect");
    }
    run(clients, count);
    for (unsigned i = 0; i < count; i++)
        answered += clients[i].answered;
    (void)printf("requests %lu seconds %.6f broken %lu\n", answered, now() - start, broken);
    for (unsigned i = 0; i < count; i++)
        (void)printf("connection %u answered %lu\n", i, clients[i].answered);
    free(clients);
    return 0;
}
