/* SPDX-License-Identifier: Apache-2.0 */
/* A load generator that can account for each request: connections that are kept alive ask one after the other; when the
 * time is over each finishes what it has begun. Usage: load [OPTIONS] PORT CONNECTIONS MILLISECONDS PATH
 *
 * Where PATH ends in '@', the connection's number and the request's take its place ("3-17"): every path is unique, and
 * the first N numbers of a connection are those that were answered. Prints "requests N seconds S broken B" and, then, a
 * line "connection I answered N" for each. A connection that the server breaks is opened again only with a PATH without
 * '@', or with --requests.
 *
 *   --requests N   each connection ends after N answers, whatever the time; each answer must be a 200 that repeats
 *                  the path. What the server closes or breaks is opened again, and what got no answer is asked again
 *   --close        a connection for each request
 *   --traced       each request carries a traceparent, of a trace of its own */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
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

enum { BROKEN_MAX = 1000 };

enum framing { FRAMING_UNKNOWN, FRAMING_COUNTED, FRAMING_CHUNKED, FRAMING_TO_END };

struct client {
    int fd;               /* -1: over */
    enum framing framing; /* of the answer; unknown while its head is incomplete */
    unsigned long answered;
    size_t received; /* bytes of the answer */
    size_t length;   /* all of it, where it is counted */
    size_t used;     /* of `start` */
    char start[4096];
};

/* What to do; set by main, read-only afterwards. */
static const char *path;
static uint16_t port;
static bool numbered;
static double end_time;
static unsigned long wanted; /* answers for each connection; 0: as many as there is time for */
static bool closes;
static bool traced;

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

/* The path of a connection's next request. */
static void next_path(const struct client *client, unsigned number, char *ret_path, size_t size)
{
    if (numbered)
        (void)snprintf(ret_path, size, "%.*s%u-%lu", (int)strlen(path) - 1, path, number, client->answered);
    else
        (void)snprintf(ret_path, size, "%s", path);
}

static bool ask(struct client *client, unsigned number)
{
    char target[1000], text[1200], trace[80] = "";

    client->used = client->received = 0;
    client->framing = FRAMING_UNKNOWN;
    next_path(client, number, target, sizeof target);
    if (traced)
        (void)snprintf(trace, sizeof trace, "traceparent: 00-%016x%016lx-%016lx-01\r\n", number + 1,
                       client->answered + 1, client->answered + 1);
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: load/1.0\r\n%s%s\r\n",
                     target, port, trace, closes ? "Connection: close\r\n" : "");
    return send(client->fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

static void stop(struct client *client)
{
    (void)close(client->fd);
    client->fd = -1;
}

static void connect_and_ask(struct client *client, unsigned number)
{
    client->fd = connect_to_server();
    if (client->fd >= 0 && !ask(client, number))
        stop(client);
}

/* The server broke the connection. */
static void start_again(struct client *client, unsigned number)
{
    if (++broken > BROKEN_MAX && wanted > 0)
        errx(1, "the server has broken %lu connections", broken);
    stop(client);
    if (wanted > 0 || (!numbered && now() < end_time))
        connect_and_ask(client, number);
}

/* A field of the answer's head, name and blank included, or NULL. The head is complete. */
static const char *field(const struct client *client, const char *text)
{
    const char *found = strcasestr(client->start, text);

    return found && found < strstr(client->start, "\r\n\r\n") ? found + strlen(text) : NULL;
}

/* How the answer's end is known, once its head is complete. */
static void read_head(struct client *client)
{
    const char *end = strstr(client->start, "\r\n\r\n");
    const char *length;

    if (!end)
        return;
    if ((length = field(client, "\r\ncontent-length:")) != NULL) {
        client->framing = FRAMING_COUNTED;
        client->length = (size_t)(end + 4 - client->start) + strtoul(length, NULL, 10);
    } else {
        client->framing = field(client, "\r\ntransfer-encoding: chunked") ? FRAMING_CHUNKED : FRAMING_TO_END;
    }
}

/* The answer's first bytes are kept. */
static void keep(struct client *client, const char *bytes, size_t len)
{
    size_t room = sizeof client->start - 1 - client->used;
    size_t n = len < room ? len : room;

    memcpy(client->start + client->used, bytes, n);
    client->used += n;
    client->start[client->used] = '\0';
    client->received += len;
}

static bool is_complete(const struct client *client)
{
    switch (client->framing) {
    case FRAMING_UNKNOWN:
    case FRAMING_TO_END:
        return false;
    case FRAMING_COUNTED:
        return client->received >= client->length;
    case FRAMING_CHUNKED: /* short answers only: the end must be among what is kept */
        return client->used >= 5 && memcmp(client->start + client->used - 5, "0\r\n\r\n", 5) == 0;
    }
    return false;
}

enum progress { PROGRESS_BROKEN, PROGRESS_MORE, PROGRESS_ANSWERED };

/* Bytes have come, or the connection's end. */
static enum progress take(struct client *client)
{
    char bytes[65536];
    ssize_t n = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return PROGRESS_MORE;
    if (n == 0 && client->framing == FRAMING_TO_END)
        return PROGRESS_ANSWERED;
    if (n <= 0)
        return PROGRESS_BROKEN;
    keep(client, bytes, (size_t)n);
    if (client->framing == FRAMING_UNKNOWN)
        read_head(client);
    return is_complete(client) ? PROGRESS_ANSWERED : PROGRESS_MORE;
}

/* The answer must be what the server behind said. */
static void check(const struct client *client, unsigned number)
{
    char target[1000];

    next_path(client, number, target, sizeof target);
    if (strncmp(client->start + strlen("HTTP/1.x"), " 200", 4) != 0 || !strstr(client->start, target))
        errx(1, "asked for %s, got: %s", target, client->start);
}

static bool is_last(const struct client *client)
{
    return closes || client->framing == FRAMING_TO_END || field(client, "\r\nconnection: close");
}

static void answered(struct client *client, unsigned number)
{
    if (wanted > 0)
        check(client, number);
    client->answered++;
    if (wanted > 0 ? client->answered == wanted : now() >= end_time) {
        stop(client);
    } else if (wanted > 0 && is_last(client)) {
        stop(client);
        connect_and_ask(client, number);
    } else if (!ask(client, number)) {
        start_again(client, number);
    }
}

static void turn(struct client *client, unsigned number)
{
    switch (take(client)) {
    case PROGRESS_BROKEN:
        start_again(client, number);
        break;
    case PROGRESS_MORE:
        break;
    case PROGRESS_ANSWERED:
        answered(client, number);
        break;
    }
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

/* The options; where the arguments begin. */
static int read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"requests", required_argument, NULL, 'r'},
        {"close", no_argument, NULL, 'c'},
        {"traced", no_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r')
            wanted = strtoul(optarg, NULL, 10);
        else if (option == 'c')
            closes = true;
        else if (option == 't')
            traced = true;
        else
            return -1;
    }
    return argc - optind == 4 ? optind : -1;
}

int main(int argc, char **argv)
{
    int first = read_options(argc, argv);

    if (first < 0)
        errx(2, "usage: load [--requests N] [--close] [--traced] PORT CONNECTIONS MILLISECONDS PATH");
    port = (uint16_t)strtoul(argv[first], NULL, 10);
    path = argv[first + 3];
    numbered = path[strlen(path) - 1] == '@';

    unsigned count = (unsigned)strtoul(argv[first + 1], NULL, 10);
    unsigned long total = 0;
    struct client *clients = calloc(count, sizeof *clients);
    if (!clients)
        err(1, "calloc");

    double start = now();
    end_time = start + strtod(argv[first + 2], NULL) / 1000;
    for (unsigned i = 0; i < count; i++) {
        connect_and_ask(&clients[i], i);
        if (clients[i].fd < 0)
            err(1, "connect");
    }
    run(clients, count);
    for (unsigned i = 0; i < count; i++)
        total += clients[i].answered;
    (void)printf("requests %lu seconds %.6f broken %lu\n", total, now() - start, broken);
    for (unsigned i = 0; i < count; i++)
        (void)printf("connection %u answered %lu\n", i, clients[i].answered);
    free(clients);
    return 0;
}
