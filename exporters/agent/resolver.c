/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/resolver.h"

#include "exporters/agent/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_SIZE = 256 << 10, HOST_SIZE = 256 };

/* The loop's and the thread's; freed by the last of the two. */
struct resolver {
    _Atomic unsigned refs; /* acquire-release: pairs with itself */
    char host[HOST_SIZE];
    char service[8];
    int ready; /* eventfd, written by the thread when the next two are */
    int error; /* of getaddrinfo */
    struct addrinfo *found;
    /* Loop only. */
    struct loop *loop;
    resolver_done *done;
    void *arg;
};

static void unref(struct resolver *resolver)
{
    if (atomic_fetch_sub_explicit(&resolver->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (resolver->found != NULL)
        freeaddrinfo(resolver->found);
    if (resolver->ready >= 0)
        (void)close(resolver->ready);
    free(resolver);
}

/* the thread */

static void *look_up(void *arg)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    const uint64_t one = 1;
    struct resolver *resolver = arg;

    resolver->error = getaddrinfo(resolver->host, resolver->service, &hints, &resolver->found);
    if (resolver->error != 0)
        resolver->found = NULL;
    (void)!write(resolver->ready, &one, sizeof(one));
    unref(resolver);
    return NULL;
}

/* The worker's signals are read from a descriptor; a thread must not take them. */
static int start_thread(struct resolver *resolver)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;

    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, &attributes, look_up, resolver);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attributes);
    return -error;
}

/* the loop */

static size_t take_addresses(const struct addrinfo *found, struct resolver_address addresses[RESOLVER_ADDRESSES_MAX])
{
    size_t count = 0;

    for (; found != NULL && count < RESOLVER_ADDRESSES_MAX; found = found->ai_next) {
        if (found->ai_addrlen > sizeof(addresses[count].address))
            continue;
        memcpy(&addresses[count].address, found->ai_addr, found->ai_addrlen);
        addresses[count++].length = found->ai_addrlen;
    }
    return count;
}

static void on_ready(void *arg, int fd, uint32_t events)
{
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    struct resolver *resolver = arg;
    resolver_done *done = resolver->done;
    void *done_arg = resolver->arg;
    uint64_t count;

    (void)events;
    (void)!read(fd, &count, sizeof(count)); /* from here on, what the thread has written is seen */
    const char *problem = resolver->error != 0 ? gai_strerror(resolver->error) : "it has no address";
    size_t found = take_addresses(resolver->found, addresses);
    resolver_cancel(resolver);
    done(done_arg, addresses, found, problem);
}

int resolver_start(struct loop *loop, const char *host, uint16_t port, resolver_done *done, void *arg,
                   struct resolver **ret_resolver)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (resolver == NULL)
        return -ENOMEM;
    (void)snprintf(resolver->host, sizeof(resolver->host), "%s", host);
    (void)snprintf(resolver->service, sizeof(resolver->service), "%u", (unsigned)port);
    resolver->loop = loop;
    resolver->done = done;
    resolver->arg = arg;
    resolver->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&resolver->refs, 2);
    int r = resolver->ready < 0 ? -errno : loop_fd_set(loop, resolver->ready, EPOLLIN, on_ready, resolver);
    if (r == 0)
        r = start_thread(resolver);
    if (r < 0) {
        atomic_store(&resolver->refs, 1); /* there is no thread */
        resolver_cancel(resolver);
        return r;
    }
    *ret_resolver = resolver;
    return 0;
}

void resolver_cancel(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    loop_fd_remove(resolver->loop, resolver->ready);
    unref(resolver);
}

int resolver_parse(const char *host, uint16_t port, struct resolver_address *ret_address)
{
    struct resolver_address parsed = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&parsed.address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&parsed.address;

    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        parsed.length = sizeof(*v4);
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        parsed.length = sizeof(*v6);
    } else {
        return -EINVAL;
    }
    *ret_address = parsed;
    return 0;
}
