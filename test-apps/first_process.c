/* SPDX-License-Identifier: Apache-2.0 */
/* A program as containers start it: it reaps whatever there is, prints each child it reaped, serves, and ends as asked
 * (/exit/N, /kill/N, SIGTERM). */
#include "http_peer.h"
#include "listener.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_term(int number)
{
    (void)number;
    _exit(15);
}

/* Two children with known statuses; one leaves a grandchild to us, which waits for the pipe to close. */
static void make_children(const int hold[2])
{
    char byte;

    if (fork() == 0)
        _exit(11);
    if (fork() == 0) {
        if (fork() == 0) {
            (void)close(hold[1]);
            (void)!read(hold[0], &byte, 1);
            _exit(13);
        }
        _exit(12);
    }
}

/* Reap until there is nobody; the order is the kernel's, so the statuses are summed. */
static void reap_all(void)
{
    int status, count = 0, sum = 0;

    while (waitpid(-1, &status, 0) > 0) {
        count++;
        sum += WEXITSTATUS(status);
    }
    (void)printf("reaped %d, statuses' sum %d, then errno %d\n", count, sum, errno);
}

int main(void)
{
    int hold[2];
    int listener = listener_tcp(0, 0);

    (void)signal(SIGTERM, on_term);
    if (pipe(hold) != 0)
        return 1;
    make_children(hold);
    (void)close(hold[0]);
    (void)close(hold[1]);
    reap_all();
    (void)printf("no child: %d, errno %d\n", (int)waitpid(-1, NULL, WNOHANG), errno);
    listener_announce(listener);
    for (;;)
        http_peer_serve(listener_accept(listener, SOCK_CLOEXEC), HTTP_CALLS_PLAIN);
}
