/* SPDX-License-Identifier: Apache-2.0 */
/* Cancels threads inside blocking calls: each must end there, and its clean-up handler must run. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "listener.h"

static int listener;
static int ends[2];
static char bytes[1 << 20];

static void in_read(void)
{
    (void)!read(ends[0], bytes, 1);
}

static void in_readv(void)
{
    struct iovec part = {bytes, 1};
    (void)!readv(ends[0], &part, 1);
}

static void in_recv(void)
{
    (void)recv(ends[0], bytes, 1, 0);
}

static void in_recvmsg(void)
{
    struct iovec part = {bytes, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    (void)recvmsg(ends[0], &message, 0);
}

static void in_write(void)
{
    for (;;)
        (void)!write(ends[0], bytes, sizeof bytes);
}

static void in_send(void)
{
    for (;;)
        (void)send(ends[0], bytes, sizeof bytes, 0);
}

static void in_accept(void)
{
    (void)accept(listener, NULL, NULL);
}

static void in_poll(void)
{
    struct pollfd ready = {.fd = ends[0], .events = POLLIN};
    (void)poll(&ready, 1, -1);
}

static void in_select(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    (void)select(ends[0] + 1, &set, NULL, NULL, NULL);
}

static void in_epoll(void)
{
    struct epoll_event event;
    int epoll = epoll_create1(0);
    (void)epoll_wait(epoll, &event, 1, -1);
}

static void in_ppoll(void)
{
    struct pollfd ready = {.fd = ends[0], .events = POLLIN};
    (void)ppoll(&ready, 1, NULL, NULL);
}

static void in_pselect(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    (void)pselect(ends[0] + 1, &set, NULL, NULL, NULL, NULL);
}

static void in_epoll_pwait(void)
{
    struct epoll_event event;
    int epoll = epoll_create1(0);
    (void)epoll_pwait(epoll, &event, 1, -1, NULL);
}

static const struct place {
    const char *name;
    void (*block)(void);
} places[] = {
    {"read", in_read},
    {"readv", in_readv},
    {"recv", in_recv},
    {"recvmsg", in_recvmsg},
    {"write", in_write},
    {"send", in_send},
    {"accept", in_accept},
    {"poll", in_poll},
    {"select", in_select},
    {"epoll_wait", in_epoll},
    {"ppoll", in_ppoll},
    {"pselect", in_pselect},
    {"epoll_pwait", in_epoll_pwait},
};

static void clean_up(void *arg)
{
    *(int *)arg = 1;
}

struct run {
    const struct place *place;
    pid_t thread; /* set by the thread before it blocks (release; pairs with the acquire in main) */
    int cleaned;
};

static void *blocked(void *arg)
{
    struct run *run = arg;

    pthread_cleanup_push(clean_up, &run->cleaned);
    __atomic_store_n(&run->thread, gettid(), __ATOMIC_RELEASE);
    run->place->block();
    pthread_cleanup_pop(0);
    return NULL;
}

/* Does the thread sleep in the kernel? */
static int sleeps(pid_t thread)
{
    char path[64], line[256] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    FILE *file = fopen(path, "re");

    if (!file)
        return 0;
    (void)!fgets(line, sizeof line, file);
    (void)fclose(file);
    const char *after = strrchr(line, ')');
    return after && after[2] == 'S';
}

int main(void)
{
    listener = listener_tcp(0, 0);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct run run = {.place = &places[i]};
        pthread_t thread;
        void *result;

        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || pthread_create(&thread, NULL, blocked, &run) != 0)
            return 1;
        while (__atomic_load_n(&run.thread, __ATOMIC_ACQUIRE) == 0 || !sleeps(run.thread))
            (void)usleep(100);
        (void)pthread_cancel(thread);
        (void)pthread_join(thread, &result);
        (void)printf("%s: %s, %s\n", places[i].name, result == PTHREAD_CANCELED ? "cancelled" : "returned",
                     run.cleaned ? "cleaned up" : "not cleaned up");
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
    return 0;
}
