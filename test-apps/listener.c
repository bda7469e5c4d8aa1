/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const struct sockaddr *address, socklen_t length)
{
    int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        err(1, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Answers go out in more than one write: inherited by accepted sockets, and refused quietly by unix ones. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, address, length) != 0)
        err(1, "bind");
    if (listen(fd, 4096) != 0)
        err(1, "listen");
    return fd;
}

int listener_tcp(uint16_t port, int ipv6)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};

    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ipv6 ? listen_at((const struct sockaddr *)&six, sizeof six)
                : listen_at((const struct sockaddr *)&four, sizeof four);
}

int listener_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path)
        errx(1, "%s: too long for a socket", path);
    strcpy(address.sun_path, path);
    (void)unlink(path);
    return listen_at((const struct sockaddr *)&address, sizeof address);
}

void listener_announce(int listener)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        err(1, "getsockname");
    if (address.ss_family == AF_INET)
        (void)printf("port %d\n", ntohs(((const struct sockaddr_in *)&address)->sin_port));
    else if (address.ss_family == AF_INET6)
        (void)printf("port %d\n", ntohs(((const struct sockaddr_in6 *)&address)->sin6_port));
    else
        (void)printf("ready\n");
    (void)fflush(stdout);
}

int listener_accept(int listener, int flags)
{
    int fd;

    do
        fd = accept4(listener, NULL, NULL, flags);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}
