/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that trusts nothing it inherited: it forks away, closes every descriptor in one of four ways, opens its data
 * file, which gets the lowest number, and serves, noting each connection in the file. Usage: close_all HOW DATAFILE
 * PORT */
#include "http_peer.h"
#include "listener.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void close_by_loop(void)
{
    for (int fd = 0; fd < 1024; fd++)
        (void)close(fd);
}

static void close_by_closefrom(void)
{
    closefrom(0);
}

static void close_by_range(void)
{
    (void)close_range(0, ~0U, 0);
}

static void close_by_system_call(void)
{
    (void)syscall(SYS_close_range, 0U, ~0U, 0U);
}

static const struct way {
    const char *name;
    void (*close_everything)(void);
} ways[] = {
    {"loop", close_by_loop},
    {"closefrom", close_by_closefrom},
    {"range", close_by_range},
    {"syscall", close_by_system_call},
};

static const struct way *way_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    errx(2, "%s: loop, closefrom, range or syscall", name);
}

static void become_daemon(void)
{
    if (fork() != 0)
        _exit(0);
    (void)setsid();
    if (fork() != 0)
        _exit(0);
}

/* Serve, one connection after the other; the data file says what happened. */
static void serve(int data, int listener)
{
    char line[64];
    int fd;

    for (int number = 1; (fd = listener_accept(listener, 0)) >= 0; number++) {
        int n = snprintf(line, sizeof line, "connection %d on descriptor %d\n", number, fd);
        if (write(data, line, (size_t)n) != n)
            _exit(1);
        http_peer_serve(fd, HTTP_CALLS_PLAIN);
    }
}

int main(int argc, char **argv)
{
    static const char title[] = "data file\n";

    if (argc != 4)
        errx(2, "usage: close_all HOW DATAFILE PORT");
    const struct way *way = way_by_name(argv[1]);

    /* A socket in use before: what the shim keeps for it must go with everything else. */
    int before = listener_tcp(0, 0);
    become_daemon();
    (void)before;
    way->close_everything();

    int data = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (data != 0 || write(data, title, sizeof title - 1) != (ssize_t)sizeof title - 1)
        _exit(1);
    serve(data, listener_tcp((uint16_t)strtoul(argv[3], NULL, 10), 0));
    _exit(1);
}
