/* SPDX-License-Identifier: Apache-2.0 */
/* Makes calls fail in the ways they can, and prints what came back: results and errno must be the same under a preload.
 * errno after success must be what it was. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

enum { UNTOUCHED = 77 };

/* Print a call's result and errno. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        errno = UNTOUCHED;                                                                                             \
        long result = (long)(call);                                                                                    \
        int number = errno;                                                                                            \
        (void)printf("%s = %ld, errno %d\n", #call, result, number);                                                   \
    } while (0)

static char bytes[256];
static struct iovec part = {bytes, sizeof bytes};
static struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

/* What no compiler lets through as a constant. */
static volatile int too_few = -1, too_many = 2000;
static void *volatile nowhere, *volatile bad = (void *)-1;

/* Every call on this descriptor. */
static void every_call(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    const struct timespec no_time = {0};
    off_t position = 0;

    TRY(read(fd, bytes, 8));
    TRY(write(fd, "GET / HT", 8));
    TRY(recv(fd, bytes, 8, MSG_DONTWAIT));
    TRY(recv(fd, bytes, 8, MSG_PEEK | MSG_DONTWAIT));
    TRY(send(fd, "GET / HT", 8, MSG_NOSIGNAL));
    TRY(readv(fd, &part, 1));
    TRY(readv(fd, &part, too_few));
    TRY(writev(fd, &part, 1));
    TRY(writev(fd, &part, too_many));
    TRY(recvmsg(fd, &message, MSG_DONTWAIT));
    TRY(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
    TRY(recvfrom(fd, bytes, 8, MSG_DONTWAIT, NULL, NULL));
    TRY(sendto(fd, bytes, 8, MSG_NOSIGNAL, NULL, 0));
    TRY(sendfile(fd, -1, &position, 8));
    TRY(splice(fd, NULL, -1, NULL, 8, 0));
    TRY(accept(fd, NULL, NULL));
    TRY(accept4(fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK));
    TRY(accept4(fd, NULL, NULL, -1));
    TRY(listen(fd, 1));
    TRY(getsockname(fd, (struct sockaddr *)&address, NULL));
    TRY(shutdown(fd, 99));
    TRY(poll(&ready, 1, 0));
    TRY(poll(nowhere, 1, 0));
    TRY(ppoll(&ready, 1, &no_time, NULL));
    TRY(select(fd >= 0 && fd < FD_SETSIZE ? fd + 1 : -1, nowhere, nowhere, nowhere, &(struct timeval){0}));
    TRY(select(8, bad, NULL, NULL, &(struct timeval){0}));
    TRY(pselect(8, NULL, bad, NULL, &no_time, NULL));
    TRY(epoll_wait(fd, (struct epoll_event *)bytes, 1, 0));
    TRY(epoll_pwait(fd, (struct epoll_event *)bytes, 0, 0, NULL));
    TRY(fcntl(fd, F_GETFL) & O_NONBLOCK);
    TRY(fcntl(fd, -1));
    TRY(dup2(fd, -1));
    TRY(dup3(fd, fd, 0));
    TRY(recvmsg(fd, nowhere, MSG_DONTWAIT));
    TRY(sendmsg(fd, nowhere, MSG_NOSIGNAL | MSG_DONTWAIT));
    TRY(recvmmsg(fd, nowhere, 1, MSG_DONTWAIT, NULL));
    TRY(sendmmsg(fd, nowhere, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    TRY(readv(fd, nowhere, 1));
    TRY(writev(fd, nowhere, 1));
    TRY(read(fd, nowhere, 8));
    TRY(read(fd, bytes, 0));
    TRY(write(fd, bytes, 0));
}

/* Many programs pass the number of descriptors that they may have, with an fd_set, which is smaller. This one ends with
 * its page, and nothing is behind that. */
static void with_small_set(int fd)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fd_set *set = (fd_set *)(void *)(pages + page - sizeof(*set));

    if (pages == MAP_FAILED || munmap(pages + page, page) != 0)
        return;
    FD_SET(fd, set);
    TRY(select(1 << 20, set, NULL, NULL, &(struct timeval){0}));
    FD_SET(fd, set);
    TRY(pselect(1 << 20, NULL, set, NULL, &(struct timespec){0}, NULL));
    (void)munmap(pages, page);
}

static void on_alarm(int number)
{
    (void)number;
}

/* The signal that is blocked comes in the call only, whose mask lets it in. */
static void with_masks(int fd, int epoll)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct epoll_event event;
    sigset_t alarms, none, before;
    fd_set set;

    FD_ZERO(&set);
    FD_SET(fd, &set);
    (void)sigemptyset(&none);
    (void)sigemptyset(&alarms);
    (void)sigaddset(&alarms, SIGALRM);
    (void)sigprocmask(SIG_BLOCK, &alarms, &before);
    TRY(ppoll(&ready, 1, NULL, &none));
    TRY(pselect(fd + 1, &set, NULL, NULL, NULL, &none));
    TRY(epoll_pwait(epoll, &event, 1, -1, &none));
    TRY(ppoll(&ready, 1, &(struct timespec){.tv_nsec = 30000000}, &alarms));
    TRY(pselect(fd + 1, &set, NULL, NULL, &(struct timespec){.tv_nsec = 30000000}, &alarms));
    TRY(epoll_pwait(epoll, &event, 1, 30, &alarms));
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/* A call interrupted by a handler without SA_RESTART. */
static void interrupted(int fd)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {.tv_usec = 20000}, .it_interval = {.tv_usec = 20000}};
    struct itimerval never = {0};
    struct epoll_event event;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    (void)sigaction(SIGALRM, &action, NULL);
    (void)setitimer(ITIMER_REAL, &soon, NULL);
    TRY(read(fd, bytes, 8));
    TRY(recv(fd, bytes, 8, 0));
    TRY(readv(fd, &part, 1));
    TRY(recvmsg(fd, &message, 0));
    TRY(poll(NULL, 0, -1));
    TRY(select(0, NULL, NULL, NULL, NULL));
    TRY(epoll_wait(epoll, &event, 1, -1));
    with_masks(fd, epoll);
    (void)setitimer(ITIMER_REAL, &never, NULL);
    (void)close(epoll);
}

/* The server's end of a connection whose client has gone; -1 when there is none to be had. */
static int accepted(void)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int server = -1;

    if (bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &length) == 0 &&
        connect(client, (struct sockaddr *)&address, length) == 0)
        server = accept(listener, NULL, NULL);
    (void)close(client);
    (void)close(listener);
    return server;
}

static void *never(void *argument)
{
    return argument;
}

static void on_pipe(int number)
{
    (void)printf("signal %d\n", number);
}

int main(void)
{
    pthread_attr_t huge;
    int ends[2], file = open("/dev/null", O_RDWR | O_CLOEXEC);
    int unconnected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct addrinfo literal = {.ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    socklen_t length = sizeof bytes;

    (void)signal(SIGPIPE, on_pipe);
    (void)pthread_attr_init(&huge);
    (void)pthread_attr_setstacksize(&huge, (size_t)1 << 46);
    (void)puts("-- no descriptor");
    every_call(-1);
    (void)puts("-- closed descriptor");
    every_call(200);
    (void)puts("-- far descriptor");
    every_call(0x7fffffff);
    (void)puts("-- file");
    every_call(file);
    (void)puts("-- empty socket, non-blocking");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        return 1;
    every_call(ends[0]);
    (void)close(ends[1]);
    (void)puts("-- peer gone");
    every_call(ends[0]);
    (void)close(ends[0]);
    (void)puts("-- accepted connection, client gone");
    ends[0] = accepted();
    every_call(ends[0]);
    (void)close(ends[0]);
    (void)puts("-- interrupted");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 1;
    interrupted(ends[0]);
    (void)puts("-- set smaller than its count");
    with_small_set(file);
    (void)puts("-- closing");
    TRY(close(-1));
    TRY(close(ends[0]));
    TRY(close(ends[0]));
    TRY(syscall(SYS_close, ends[1]));
    TRY(syscall(SYS_close, ends[1]));
    TRY(syscall(-1));
    TRY(syscall(SYS_getppid) > 0);
    TRY(close_range(500, 400, 0));
    TRY(close_range(500, 600, 0));
    TRY(connect(file, (const struct sockaddr *)bytes, 1));
    TRY(getsockopt(-1, SOL_SOCKET, SO_ERROR, bytes, &length));
    TRY(getsockopt(file, SOL_SOCKET, SO_ERROR, bytes, &length));
    TRY(getsockopt(unconnected, SOL_SOCKET, SO_ERROR, nowhere, &length));
    TRY(getsockopt(unconnected, SOL_SOCKET, SO_ERROR, bytes, (socklen_t *)nowhere));
    TRY(getsockopt(unconnected, SOL_SOCKET, SO_ERROR, bytes, &length));
    TRY(getaddrinfo("127.0.0.1", "80", NULL, &found) == 0 && found);
    TRY(getaddrinfo("no.such.name.invalid.", NULL, &literal, &found));
    TRY(getaddrinfo((const char *)nowhere, (const char *)nowhere, NULL, &found));
    TRY(socket(-1, SOCK_STREAM, 0));
    TRY(pipe(nowhere));
    TRY(pipe2(ends, -1));
    TRY(eventfd(0, -1));
    TRY(timerfd_create(-1, 0));
    TRY(pthread_create(&(pthread_t){0}, &huge, never, NULL));
    TRY(socketpair(-1, SOCK_STREAM, 0, ends));
    TRY(execl("/nonexistent", "nonexistent", (char *)NULL));
    return 0;
}
