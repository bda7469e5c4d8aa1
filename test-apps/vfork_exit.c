/* SPDX-License-Identifier: Apache-2.0 */
/* A server that tries to start a helper by vfork in the midst of an answer. The helper isn't there, and the child ends
 * by exit() instead of _exit(): in the parent's memory it runs what is to run at the end of a process. */
#include "listener.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void miss_helper(void)
{
    int status;
    pid_t child = vfork();

    if (child == 0) {
        (void)execl("/no/such/helper", "helper", (char *)NULL);
        exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 127)
        err(1, "helper");
}

static void put(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        err(1, "write");
}

int main(void)
{
    int listener = listener_tcp(0, 0), fd;
    char request[4096];

    listener_announce(listener);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0) {
        if (read(fd, request, sizeof request) <= 0)
            err(1, "read");
        put(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n01234");
        miss_helper();
        put(fd, "56789");
        (void)close(fd);
    }
    return 1;
}
