/* SPDX-License-Identifier: Apache-2.0 */
/* The server behind those that are looked at: `behind`. A thread per connection; each answer is the request's path,
 * after a moment of 0 to 4 ms, so that answers come in another order than requests. Prints its port, and "strange PATH"
 * for each request that does not carry exactly one trace header of the right form. */
#include "../http_peer.h"
#include "../listener.h"

#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { LONGEST_WAIT_NS = 4000000 };

static void wait_a_moment(void)
{
    static _Thread_local unsigned seed;
    struct timespec moment = {0};

    if (seed == 0)
        seed = (unsigned)(uintptr_t)&seed ^ (unsigned)time(NULL);
    moment.tv_nsec = rand_r(&seed) % LONGEST_WAIT_NS;
    (void)nanosleep(&moment, NULL);
}

bool http_answer(struct http_peer *peer)
{
    const struct http_request *request = &peer->request;
    char text[sizeof request->path + 128];

    if (request->traceparents != 1 || request->bad_traceparents != 0)
        (void)printf("strange %s\n", request->path);
    wait_a_moment();

    int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s",
                     strlen(request->path), request->keep_alive ? "keep-alive" : "close", request->path);
    return http_bytes_out(peer->fd, peer->calls, text, (size_t)n) && request->keep_alive;
}

static void *serve_one(void *arg)
{
    http_peer_serve((int)(intptr_t)arg, HTTP_CALLS_PLAIN);
    return NULL;
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int fd, listener;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, 128 * 1024);
    listener = listener_tcp(0, 0);
    listener_announce(listener);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    while ((fd = listener_accept(listener, SOCK_CLOEXEC)) >= 0)
        if (pthread_create(&thread, &attributes, serve_one, (void *)(intptr_t)fd) != 0)
            errx(1, "no thread");
    err(1, "accept");
}
