/* SPDX-License-Identifier: Apache-2.0 */
/* Eight threads that answer connections while eight others open and close descriptors as fast as they can: numbers are
 * reused at once, and a fresh connection's state must be neither lost nor somebody else's. */
#include "http_peer.h"
#include "listener.h"

#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 8 };

static int listener;

static void *answer(void *arg)
{
    int fd;

    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0)
        http_peer_serve(fd, HTTP_CALLS_PLAIN);
    return arg;
}

static void *churn(void *arg)
{
    for (;;) {
        int file = open("/dev/null", O_RDWR | O_CLOEXEC);
        int copy = dup(file);
        (void)!write(copy, "GET / HTTP/1.1\r\n", 16);
        (void)close(file);
        (void)close(copy);
        (void)usleep(50);
    }
    return arg;
}

int main(void)
{
    pthread_t thread;

    listener = listener_tcp(0, 0);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread, NULL, answer, NULL) != 0 || pthread_create(&thread, NULL, churn, NULL) != 0)
            err(1, "pthread_create");
    listener_announce(listener);
    (void)pthread_join(thread, NULL);
    return 1;
}
