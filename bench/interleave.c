/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads several servers in turns of milliseconds, and prints the processor time that each took for a turn's requests:
 *
 *   bench_interleave [-c CONNECTIONS] [-p REQUESTS_PER_SECOND] [-m MILLISECONDS] [-n TURNS] TARGET PORT:PID[,PID...]...
 *
 * A turn is short, so that what else goes on in the machine hits all servers of a round alike; many rounds make the
 * ratio of two servers certain. Connections are kept alive; a turn ends when its last answer has come. With -p the
 * requests start at that pace, else each connection asks again as soon as it is answered.
 *
 * Prints "turn SERVER REQUESTS CPU_NANOSECONDS WALL_NANOSECONDS" for each turn (servers count from 0) and, at the end,
 * "latency SERVER P50_NANOSECONDS P99_NANOSECONDS". Ends with 1 and a line when a server fails.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    PROCESSES_MAX = 16,
    SERVERS_MAX = 8,
    ANSWER_MAX = 16384,
    SECOND_NS = 1000000000,
    MILLISECOND_NS = 1000000,
    LATENCIES_STEP = 65536,
};

#define PATIENCE_NS (10 * (int64_t)SECOND_NS)

struct connection {
    int fd;     /* -1: none */
    bool waits; /* for an answer */
    int64_t asked_ns;
    size_t length; /* of what has come of the answer */
    char answer[ANSWER_MAX];
};

struct server {
    uint16_t port;
    clockid_t clocks[PROCESSES_MAX];
    size_t processes;
    size_t waiting; /* connections that wait for an answer */
    struct connection connections[CONNECTIONS_MAX];
    uint32_t *latencies; /* nanoseconds */
    size_t requests;
};

static struct {
    size_t connections;
    int64_t pace_ns; /* between two requests; 0: none */
    int64_t turn_ns;
    long turns;
    char request[1024];
    size_t request_length;
} options = {.connections = 8, .turn_ns = 50 * MILLISECOND_NS, .turns = 100};

static struct server servers[SERVERS_MAX];

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Processor time of the server's processes so far. */
static int64_t cpu_ns(const struct server *server)
{
    int64_t sum = 0;

    for (size_t i = 0; i < server->processes; i++) {
        struct timespec time;

        if (clock_gettime(server->clocks[i], &time) != 0)
            errx(1, "a process of port %u has ended", server->port);
        sum += (int64_t)time.tv_sec * SECOND_NS + time.tv_nsec;
    }
    return sum;
}

static void open_connection(const struct server *server, struct connection *connection)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(server->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        err(1, "port %u", server->port);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
}

/* Send a request; a connection that the server has closed meanwhile is opened anew. */
static void ask(const struct server *server, struct connection *connection)
{
    if (connection->fd < 0)
        open_connection(server, connection);
    connection->asked_ns = now_ns();
    connection->waits = true;
    connection->length = 0;
    if (send(connection->fd, options.request, options.request_length, MSG_NOSIGNAL) == (ssize_t)options.request_length)
        return;
    close_connection(connection);
    open_connection(server, connection);
    if (send(connection->fd, options.request, options.request_length, MSG_NOSIGNAL) != (ssize_t)options.request_length)
        err(1, "port %u: request", server->port);
}

/* The length of the whole answer, 0 while its head has not come; `*closes`: whether the server closes behind it. */
static size_t answer_length(struct connection *connection, bool *closes)
{
    const char *end, *field;

    connection->answer[connection->length] = '\0';
    end = strstr(connection->answer, "\r\n\r\n");
    if (!end)
        return 0;
    if (strncmp(connection->answer, "HTTP/1.1 200 ", 13) != 0)
        errx(1, "the server answers: %.60s", connection->answer);
    field = strcasestr(connection->answer, "\r\ncontent-length:");
    if (!field || field > end)
        errx(1, "an answer without a Content-Length: %.*s", (int)(end - connection->answer), connection->answer);
    *closes = strcasestr(connection->answer, "\r\nconnection: close") != NULL;
    return (size_t)(end + 4 - connection->answer) + strtoul(field + 17, NULL, 10);
}

static void note_latency(struct server *server, int64_t nanoseconds)
{
    if (server->requests % LATENCIES_STEP == 0) {
        server->latencies = realloc(server->latencies, (server->requests + LATENCIES_STEP) * sizeof *server->latencies);
        if (!server->latencies)
            err(1, "latencies");
    }
    server->latencies[server->requests++] = nanoseconds < UINT32_MAX ? (uint32_t)nanoseconds : UINT32_MAX;
}

/* Read what has come of an answer. */
static void take(struct server *server, struct connection *connection)
{
    bool closes = false;
    const ssize_t got = recv(connection->fd, connection->answer + connection->length,
                             sizeof connection->answer - 1 - connection->length, 0);

    if (got <= 0 && connection->length == 0) { /* closed before it read the request: asked again on a new one */
        close_connection(connection);
        ask(server, connection);
        return;
    }
    if (got <= 0)
        errx(1, "port %u: the answer is cut off", server->port);
    connection->length += (size_t)got;
    const size_t whole = answer_length(connection, &closes);
    if (whole >= sizeof connection->answer)
        errx(1, "an answer of %zu bytes: too long", whole);
    if (whole == 0 || connection->length < whole)
        return;
    note_latency(server, now_ns() - connection->asked_ns);
    connection->waits = false;
    server->waiting--;
    if (closes)
        close_connection(connection);
}

/* Start the requests that are due at `now`; returns when the next one is. */
static int64_t start_due(struct server *server, int64_t now, int64_t due)
{
    for (size_t i = 0; i < options.connections && due <= now; i++) {
        if (server->connections[i].waits)
            continue;
        ask(server, &server->connections[i]);
        server->waiting++;
        due += options.pace_ns;
    }
    return due;
}

/* Wait until an answer comes, or until `until`. */
static void wait_for_answers(struct server *server, int64_t until)
{
    const int64_t now = now_ns(), left = until > now ? until - now : 0;
    const struct timespec patience = {.tv_sec = left / SECOND_NS, .tv_nsec = left % SECOND_NS};
    struct pollfd polled[CONNECTIONS_MAX];

    for (size_t i = 0; i < options.connections; i++)
        polled[i] =
            (struct pollfd){.fd = server->connections[i].waits ? server->connections[i].fd : -1, .events = POLLIN};
    if (ppoll(polled, options.connections, &patience, NULL) < 0)
        err(1, "ppoll");
    for (size_t i = 0; i < options.connections; i++)
        if (polled[i].revents)
            take(server, &server->connections[i]);
}

/* Load one server for a turn, until its last answer has come. */
static void take_turn(struct server *server)
{
    const int64_t cpu = cpu_ns(server), began = now_ns(), end = began + options.turn_ns;
    const size_t before = server->requests;
    int64_t due = began;

    for (int64_t now = began; now < end; now = now_ns()) {
        due = start_due(server, now, due);
        wait_for_answers(server, due > now && due < end ? due : end);
    }
    while (server->waiting > 0) {
        wait_for_answers(server, end + PATIENCE_NS);
        if (now_ns() > end + PATIENCE_NS)
            errx(1, "port %u: no answer", server->port);
    }
    printf("turn %td %zu %jd %jd\n", server - servers, server->requests - before, (intmax_t)(cpu_ns(server) - cpu),
           (intmax_t)(now_ns() - began));
}

static int by_size(const void *a, const void *b)
{
    const uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

    return (one > other) - (one < other);
}

static void print_latency(struct server *server)
{
    const size_t count = server->requests;

    if (count == 0)
        return;
    qsort(server->latencies, count, sizeof *server->latencies, by_size);
    printf("latency %td %u %u\n", server - servers, server->latencies[count / 2], server->latencies[count * 99 / 100]);
}

/* PORT:PID[,PID...] */
static void read_server(struct server *server, char *text)
{
    char *rest = NULL;

    server->port = (uint16_t)strtoul(strtok_r(text, ":", &rest), NULL, 10);
    for (char *pid; (pid = strtok_r(NULL, ",", &rest));)
        if (server->processes == PROCESSES_MAX ||
            clock_getcpuclockid(atoi(pid), &server->clocks[server->processes++]) != 0)
            errx(2, "%s: no such process, or too many", pid);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        server->connections[i].fd = -1;
}

static void read_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "c:p:m:n:")) != -1;) {
        const long value = option == '?' ? 0 : atol(optarg);

        if (value <= 0 || (option == 'c' && value > CONNECTIONS_MAX))
            errx(
                2,
                "usage: bench_interleave [-c CONNECTIONS] [-p REQUESTS_PER_SECOND] [-m MILLISECONDS] [-n TURNS] TARGET "
                "PORT:PID...");
        if (option == 'c')
            options.connections = (size_t)value;
        else if (option == 'p')
            options.pace_ns = SECOND_NS / value;
        else if (option == 'm')
            options.turn_ns = value * MILLISECOND_NS;
        else
            options.turns = value;
    }
    if (argc - optind < 2 || argc - optind > SERVERS_MAX + 1)
        errx(2, "a target and 1 to %d servers are needed", SERVERS_MAX);
    options.request_length = (size_t)snprintf(options.request, sizeof options.request,
                                              "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", argv[optind]);
}

int main(int argc, char **argv)
{
    size_t count;

    read_options(argc, argv);
    count = (size_t)(argc - optind - 1);
    for (size_t i = 0; i < count; i++)
        read_server(&servers[i], argv[optind + 1 + (int)i]);
    prctl(PR_SET_TIMERSLACK, 1);
    for (long turn = 0; turn < options.turns; turn++)
        for (size_t i = 0; i < count; i++)
            take_turn(&servers[(i + (size_t)turn) % count]); /* none is always first */
    for (size_t i = 0; i < count; i++)
        print_latency(&servers[i]);
    return 0;
}
