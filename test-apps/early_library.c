/* SPDX-License-Identifier: Apache-2.0 */
/* A library whose constructor does I/O before anybody preloaded had a chance to start. */
#include "early.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct early early_constructor;

/* A conversation with ourselves through every common call. */
void early_converse(struct early *early)
{
    char text[] = "GET / HTTP/1.1\r\n\r\n";
    char back[sizeof text];
    struct iovec part = {text, sizeof text};
    int ends[2];

    early->steps = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return;
    early->steps += write(ends[0], text, sizeof text) == sizeof text;
    early->steps += read(ends[1], back, sizeof back) == sizeof back;
    early->steps += send(ends[1], text, sizeof text, 0) == sizeof text;
    early->steps += recv(ends[0], back, sizeof back, 0) == sizeof back;
    early->steps += writev(ends[0], &part, 1) == sizeof text;
    early->steps += readv(ends[1], &part, 1) == sizeof text;
    early->steps += memcmp(text, back, sizeof text) == 0;
    early->steps += dup2(ends[0], ends[1]) == ends[1];
    early->steps += close(ends[0]) == 0;
    early->steps += close(ends[1]) == 0;
}

__attribute__((constructor(101))) static void start(void)
{
    early_converse(&early_constructor);
}
