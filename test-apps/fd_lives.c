/* SPDX-License-Identifier: Apache-2.0 */
/* How descriptors come and go while a request is on them, one scenario each. Usage: fd_lives [NAME...] */
#include "scenario.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* copies */

/* Read through one number, answer through another; the first is closed first. */
static void by_copy(int fd, int copy)
{
    TRY(copy >= 0);
    scenario_take(fd);
    TRY(close(fd));
    scenario_answer(copy);
    TRY(close(copy));
}

static void dup_first_closed_first(int fd)
{
    by_copy(fd, dup(fd));
}

static void dup_last_closed_first(int fd)
{
    int copy = dup(fd);

    scenario_take(copy);
    TRY(close(copy));
    scenario_answer(fd);
}

static void dup2_to_a_number(int fd)
{
    by_copy(fd, dup2(fd, 300));
}

static void dup3_to_a_number(int fd)
{
    by_copy(fd, dup3(fd, 301, O_CLOEXEC));
}

static void fcntl_copies(int fd)
{
    int copy = fcntl(fd, F_DUPFD, 302);

    TRY(copy);
    TRY(fcntl(copy, F_GETFD));
    by_copy(fd, copy);
}

static void fcntl_copies_cloexec(int fd)
{
    int copy = fcntl64(fd, F_DUPFD_CLOEXEC, 303);

    TRY(copy);
    TRY(fcntl64(copy, F_GETFD));
    by_copy(fd, copy);
}

static void copies_that_fail(int fd)
{
    TRY(dup2(fd, fd) == fd);
    TRY(dup3(fd, fd, 0));
    TRY(dup2(fd, -1));
    TRY(dup2(-1, fd));
    TRY(dup3(fd, 304, -1));
    TRY(fcntl(fd, F_DUPFD, -1));
    TRY(fcntl(fd, F_SETFD, FD_CLOEXEC));
    TRY(fcntl(fd, F_GETFD));
    scenario_take(fd);
    scenario_answer(fd);
}

/* dup2 over a connection whose request is open: that one ends unanswered. */
static void dup2_over(int fd)
{
    int client, other = scenario_connect(&client);

    TRY(send(client, "GET /dup2-over HTTP/1.1\r\n\r\n", 27, 0));
    TRY(read(other, scenario_bytes, SCENARIO_BUFFER));
    TRY(dup2(fd, other) == other);
    TRY(read(client, scenario_bytes, SCENARIO_BUFFER));
    by_copy(fd, other);
    (void)close(client);
}

static void raw_copies(int fd)
{
    TRY(syscall(SYS_dup2, fd, 305));
    TRY(syscall(SYS_dup3, fd, 306, O_CLOEXEC));
    TRY(syscall(SYS_close, fd));
    scenario_take(305);
    TRY(syscall(SYS_close, 305));
    scenario_answer(306);
    TRY(close(306));
}

/* ends */

static void close_range_that_closes_nothing(int fd)
{
    scenario_take(fd);
    TRY(close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC));
    TRY(close_range((unsigned)fd, (unsigned)fd, 1 << 20));
    TRY(close_range((unsigned)fd + 1, (unsigned)fd, 0));
    TRY(syscall(SYS_close_range, (unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC));
    TRY(syscall(SYS_close_range, (unsigned)fd, (unsigned)fd, 1 << 20));
    TRY(fcntl(fd, F_GETFD));
    scenario_answer(fd);
}

static void close_range_unanswered(int fd)
{
    scenario_take(fd);
    TRY(close_range((unsigned)fd, (unsigned)fd, 0));
}

static void close_range_of_our_own(int fd)
{
    scenario_take(fd);
    TRY(close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_UNSHARE));
}

static void raw_close_range_unanswered(int fd)
{
    scenario_take(fd);
    TRY(syscall(SYS_close_range, (unsigned)fd, (unsigned)fd, 0));
}

static void closefrom_unanswered(int fd)
{
    int kept = fcntl(scenario_client, F_DUPFD, 3);

    /* The client's end comes before the server's. */
    scenario_take(fd);
    (void)dup2(fd, 400);
    (void)close(fd);
    closefrom(400);
    TRY(fcntl(400, F_GETFD));
    (void)close(kept);
}

static void shuts_down_writing(int fd)
{
    static const char until_end[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi";

    scenario_take(fd);
    TRY(write(fd, until_end, sizeof until_end - 1));
    TRY(shutdown(fd, SHUT_WR));
    TRY(write(fd, "x", 1));
}

static void shuts_down_reading(int fd)
{
    scenario_take(fd);
    TRY(shutdown(fd, SHUT_RD));
    TRY(read(fd, scenario_bytes, 8));
    scenario_answer(fd);
}

/* An end of its own making is none of the client's. */
static void shuts_down_reading_unanswered(int fd)
{
    scenario_take(fd);
    TRY(shutdown(fd, SHUT_RD));
    TRY(read(fd, scenario_bytes, 8));
}

static void client_shuts_down(int fd)
{
    TRY(shutdown(scenario_client, SHUT_WR));
    scenario_take(fd);
    TRY(read(fd, scenario_bytes, 8));
    scenario_answer(fd);
}

/* origins */

static int listen_on(struct sockaddr_in *ret_address, int flags)
{
    socklen_t length = sizeof *ret_address;
    int listener = socket(AF_INET, SOCK_STREAM | flags, 0);

    *ret_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    TRY(bind(listener, (struct sockaddr *)ret_address, length));
    TRY(listen(listener, 8));
    TRY(getsockname(listener, (struct sockaddr *)ret_address, &length));
    return listener;
}

static int connect_to(const struct sockaddr_in *address)
{
    int client = socket(AF_INET, SOCK_STREAM, 0);

    TRY(connect(client, (const struct sockaddr *)address, sizeof *address));
    return client;
}

/* accept() with addresses of all kinds; pointers to nowhere are the kernel's to complain about. */
static void accept_addresses(int fd)
{
    struct sockaddr_in to;
    struct sockaddr_storage from;
    static socklen_t far_length = sizeof from;
    socklen_t length = sizeof from, cut = 4, none = 0, huge = (socklen_t)-1;
    int listener = listen_on(&to, 0), clients[9];
    socklen_t *nowhere = scenario_nowhere();

    for (int i = 0; i < 8; i++)
        clients[i] = connect_to(&to);
    TRY(accept(listener, (struct sockaddr *)&from, &length) >= 0);
    TRY(length);
    TRY(((struct sockaddr_in *)&from)->sin_family);
    TRY(accept(listener, (struct sockaddr *)&from, &far_length) >= 0);
    TRY(far_length);
    TRY(accept4(listener, (struct sockaddr *)&from, &cut, SOCK_CLOEXEC) >= 0);
    TRY(cut);
    TRY(accept(listener, (struct sockaddr *)&from, &none) >= 0);
    TRY(none);
    TRY(accept(listener, NULL, nowhere) >= 0);
    TRY(accept(listener, (struct sockaddr *)&from, nowhere));
    TRY(accept4(listener, (struct sockaddr *)&from, (socklen_t *)1, 0));
    TRY(accept(listener, (struct sockaddr *)nowhere, &length));
    clients[8] = connect_to(&to);
    TRY(accept(listener, (struct sockaddr *)&from, &huge));
    for (int i = 0; i < 9; i++)
        (void)close(clients[i]);
    (void)close(listener);
    scenario_take(fd);
    scenario_answer(fd);
}

/* Whether the listener waits says nothing of the connection. */
static void accept_flags(int fd)
{
    struct sockaddr_in to;
    int listener = listen_on(&to, SOCK_NONBLOCK), clients[2], servers[2];

    TRY(accept(listener, NULL, NULL));
    for (int i = 0; i < 2; i++)
        clients[i] = connect_to(&to);
    servers[0] = accept(listener, NULL, NULL);
    servers[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        TRY(fcntl(servers[i], F_GETFL) & O_NONBLOCK);
        TRY(fcntl(servers[i], F_GETFD));
        (void)close(servers[i]);
        (void)close(clients[i]);
    }
    (void)close(listener);
    scenario_take(fd);
    scenario_answer(fd);
}

/* The first bytes come with the connection itself. */
static void fast_open(int fd)
{
    struct sockaddr_in to;
    int listener = listen_on(&to, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;

    TRY(sendto(client, "GET /fast-open HTTP/1.1\r\n\r\n", 27, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to));
    server = accept(listener, NULL, NULL);
    TRY(read(server, scenario_bytes, SCENARIO_BUFFER));
    scenario_answer(server);
    (void)close(server);
    (void)close(client);
    (void)close(listener);
    scenario_take(fd);
    scenario_answer(fd);
}

/* A connection can't be connected; the attempt changes nothing. */
static void connect_fails(int fd)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = 1, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    TRY(connect(fd, (struct sockaddr *)&to, sizeof to));
    TRY(connect(fd, scenario_nowhere(), sizeof to));
    scenario_take(fd);
    scenario_answer(fd);
}

/* A number that was a client, then a file, is a server's now. */
static void reused_number(int fd)
{
    int client, server, file;

    scenario_take(fd);
    (void)close(fd);
    file = open("/dev/null", O_RDWR | O_CLOEXEC);
    TRY(file == fd);
    TRY(write(file, "GET / HTTP/1.1\r\n\r\n", 18));
    (void)close(file);
    client = socket(AF_INET, SOCK_STREAM, 0);
    TRY(client == fd);
    (void)close(client);
    server = scenario_connect(&client);
    TRY(send(client, "GET /again HTTP/1.1\r\n\r\n", 23, 0));
    TRY(read(server, scenario_bytes, SCENARIO_BUFFER));
    scenario_answer(server);
    (void)close(server);
    (void)close(client);
}

static void unix_pair(int fd)
{
    int ends[2];

    TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    TRY(write(ends[1], "GET /unix-pair HTTP/1.1\r\n\r\n", 27));
    TRY(read(ends[0], scenario_bytes, SCENARIO_BUFFER));
    scenario_answer(ends[0]);
    (void)close(ends[0]);
    (void)close(ends[1]);
    scenario_take(fd);
    scenario_answer(fd);
}

/* others at the same time */

static struct {
    int fd;
    _Atomic pid_t thread;
    ssize_t got;
} reader;

static void *read_once(void *arg)
{
    reader.thread = gettid();
    reader.got = read(reader.fd, scenario_bytes, SCENARIO_BUFFER);
    return arg;
}

/* Is the thread asleep, as it can only be within read()? */
static bool is_asleep(pid_t thread)
{
    char path[64], line[256];

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    int stat = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(stat, line, sizeof line - 1);
    (void)close(stat);
    line[n > 0 ? n : 0] = '\0';
    const char *name_end = strrchr(line, ')');
    return name_end && name_end[2] == 'S';
}

/* One thread waits for the next request, another closes: what comes afterwards is nobody's request. */
static void close_while_another_reads(int fd)
{
    static const char late[] = "GET /late HTTP/1.1\r\n\r\n";
    pthread_t thread;

    scenario_take(fd);
    scenario_answer(fd);
    reader.fd = fd;
    (void)pthread_create(&thread, NULL, read_once, NULL);
    while (!reader.thread || !is_asleep(reader.thread))
        (void)sched_yield();
    TRY(close(fd));
    TRY(send(scenario_client, late, sizeof late - 1, 0));
    (void)pthread_join(thread, NULL);
    TRY(reader.got);
}

/* The child answers, the parent only closes. */
static void forked_away(int fd)
{
    pid_t child;

    scenario_take(fd);
    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        scenario_answer(fd);
        _exit(close(fd));
    }
    TRY(close(fd));
    TRY(waitpid(child, NULL, 0) == child);
}

/* The child has its copy closed by exec; the parent answers. */
static void forked_and_kept(int fd)
{
    pid_t child;
    int status = -1;

    scenario_take(fd);
    (void)fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(execl("/bin/true", "true", (char *)NULL));
    TRY(waitpid(child, &status, 0) == child);
    TRY(status);
    scenario_answer(fd);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"dup-first", dup_first_closed_first, NULL},
        {"dup-last", dup_last_closed_first, NULL},
        {"dup2", dup2_to_a_number, NULL},
        {"dup3", dup3_to_a_number, NULL},
        {"fcntl", fcntl_copies, NULL},
        {"fcntl64", fcntl_copies_cloexec, NULL},
        {"dup-fails", copies_that_fail, NULL},
        {"dup2-over", dup2_over, NULL},
        {"raw-dup", raw_copies, NULL},
        {"close-range-nothing", close_range_that_closes_nothing, NULL},
        {"close-range", close_range_unanswered, NULL},
        {"close-range-unshare", close_range_of_our_own, NULL},
        {"close-range-raw", raw_close_range_unanswered, NULL},
        {"closefrom", closefrom_unanswered, NULL},
        {"shut-wr", shuts_down_writing, NULL},
        {"shut-rd", shuts_down_reading, NULL},
        {"shut-rd-unanswered", shuts_down_reading_unanswered, NULL},
        {"client-shut-wr", client_shuts_down, NULL},
        {"accept", accept_addresses, NULL},
        {"accept-flags", accept_flags, NULL},
        {"fast-open", fast_open, NULL},
        {"connect-fails", connect_fails, NULL},
        {"reused", reused_number, NULL},
        {"unix-pair", unix_pair, NULL},
        {"close-in-read", close_while_another_reads, NULL},
        {"fork-child", forked_away, NULL},
        {"fork-parent", forked_and_kept, NULL},
    };

    return scenario_main(scenarios, sizeof scenarios / sizeof *scenarios, argc, argv);
}
