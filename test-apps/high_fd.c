/* SPDX-License-Identifier: Apache-2.0 */
/* Serves connections whose descriptors have large numbers: each one given is moved there before it is served. Usage:
 * high_fd NUMBER... ; a number above the limit is an error, exit status 3. */
#include "http_peer.h"
#include "listener.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rlimit limit;
    int listener = listener_tcp(0, 0);

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        err(1, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    listener_announce(listener);
    for (int i = 1; i < argc; i++) {
        int number = (int)strtol(argv[i], NULL, 10);
        int fd = listener_accept(listener, SOCK_CLOEXEC);
        if (fcntl(fd, F_DUPFD_CLOEXEC, number) != number)
            err(3, "%d", number);
        (void)close(fd);
        http_peer_serve(number, HTTP_CALLS_PLAIN);
    }
    return 0;
}
