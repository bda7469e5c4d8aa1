/* SPDX-License-Identifier: Apache-2.0 */
/* A server that starts a helper by vfork between a request's bytes and its answer. The child closes everything: its
 * table of descriptors is its own, its memory is the parent's. */
#include "http_peer.h"
#include "listener.h"

#include <err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_helper(void)
{
    int status;
    pid_t child = vfork();

    if (child == 0) {
        for (int fd = 3; fd < 256; fd++)
            (void)close(fd);
        (void)execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        err(1, "helper");
}

int main(void)
{
    int listener = listener_tcp(0, 0), fd;

    listener_announce(listener);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0) {
        struct http_peer *peer = calloc(1, sizeof *peer);
        if (!peer)
            err(1, "calloc");
        peer->fd = fd;
        do
            run_helper();
        while (http_peer_turn(peer));
        free(peer);
        (void)close(fd);
    }
    return 1;
}
