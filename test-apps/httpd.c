/* SPDX-License-Identifier: Apache-2.0 */
/* A C web server in the three shapes that C web servers have: a poll loop, a thread per connection, a process per
 * connection. Usage: httpd [--poll|--threads|--fork] [--calls FAMILY] [--port N|--ipv6|--unix PATH|--inetd|--activated|
 * --listener FD|--connection FD] */
#include "http_peer.h"
#include "listener.h"

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum mode { MODE_POLL, MODE_THREADS, MODE_FORK };

static enum http_calls calls; /* set by main before anything is served */

/* The poll loop's table: element 0 is the listener, peers[i] belongs to ready[i]. */
struct table {
    struct pollfd *ready;
    struct http_peer **peers;
    nfds_t count, room;
};

static void table_add(struct table *table, int fd)
{
    if (table->count == table->room) {
        table->room = table->room ? table->room * 2 : 64;
        table->ready = realloc(table->ready, table->room * sizeof *table->ready);
        table->peers = realloc(table->peers, table->room * sizeof *table->peers);
        if (!table->ready || !table->peers)
            err(1, "realloc");
    }

    struct http_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        err(1, "calloc");
    peer->fd = fd;
    peer->calls = calls;
    table->ready[table->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    table->peers[table->count++] = peer;
}

static void table_remove(struct table *table, nfds_t i)
{
    (void)close(table->ready[i].fd);
    free(table->peers[i]);
    table->count--;
    table->ready[i] = table->ready[table->count];
    table->peers[i] = table->peers[table->count];
}

static void serve_by_poll(int listener)
{
    struct table table = {0};

    table_add(&table, listener);
    while (poll(table.ready, table.count, -1) >= 0) {
        for (nfds_t i = table.count; i-- > 1;)
            if (table.ready[i].revents && !http_peer_turn(table.peers[i]))
                table_remove(&table, i);
        if (table.ready[0].revents) {
            int fd = listener_accept(listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0)
                err(1, "accept");
            table_add(&table, fd);
        }
    }
    err(1, "poll");
}

static void *serve_one(void *arg)
{
    http_peer_serve((int)(intptr_t)arg, calls);
    return NULL;
}

static void serve_by_threads(int listener)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int fd;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, 128 * 1024);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0)
        if (pthread_create(&thread, &attributes, serve_one, (void *)(intptr_t)fd) != 0)
            (void)close(fd);
    err(1, "accept");
}

static void serve_by_fork(int listener)
{
    int fd;

    (void)signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0) {
        pid_t child = fork();
        if (child == 0) {
            (void)close(listener);
            http_peer_serve(fd, calls);
            _exit(0);
        }
        (void)close(fd);
    }
    err(1, "accept");
}

static void on_term(int number)
{
    (void)number;
    _exit(0);
}

/* As many descriptors as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int usage(void)
{
    (void)fputs("usage: httpd [--poll|--threads|--fork] [--calls plain|socket|vector|message]\n"
                "             [--port N|--ipv6|--unix PATH|--inetd|--activated|\n"
                "             --listener FD|--connection FD]\n",
                stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"poll", no_argument, NULL, 'p'},
        {"threads", no_argument, NULL, 't'},
        {"fork", no_argument, NULL, 'f'},
        {"calls", required_argument, NULL, 'c'},
        {"port", required_argument, NULL, 'n'},
        {"ipv6", no_argument, NULL, '6'},
        {"unix", required_argument, NULL, 'u'},
        {"inetd", no_argument, NULL, 'i'},
        {"activated", no_argument, NULL, 'a'},
        {"listener", required_argument, NULL, 'l'},
        {"connection", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    enum mode mode = MODE_POLL;
    uint16_t port = 0;
    int listener = -1, ipv6 = 0, option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            mode = MODE_POLL;
            break;
        case 't':
            mode = MODE_THREADS;
            break;
        case 'f':
            mode = MODE_FORK;
            break;
        case 'c':
            calls = (enum http_calls)http_calls_by_name(optarg);
            break;
        case 'n':
            port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case '6':
            ipv6 = 1;
            break;
        case 'u':
            listener = listener_unix(optarg);
            break;
        case 'i':
            http_peer_serve(0, calls);
            return 0; /* the connection is descriptor 0 */
        case 'k':
            http_peer_serve(atoi(optarg), calls);
            return 0;
        case 'l':
            listener = atoi(optarg);
            break;
        case 'a':
            listener = 3;
            break; /* the listener is descriptor 3 (systemd's LISTEN_FDS) */
        default:
            return usage();
        }
    }

    raise_descriptor_limit();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, on_term);
    if (listener < 0)
        listener = listener_tcp(port, ipv6);
    listener_announce(listener);
    if (mode == MODE_THREADS)
        serve_by_threads(listener);
    else if (mode == MODE_FORK)
        serve_by_fork(listener);
    else
        serve_by_poll(listener);
    return 1;
}
