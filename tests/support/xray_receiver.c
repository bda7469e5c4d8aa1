/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/xray_receiver.h"

#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/xray_way.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define NS_PER_MS UINT64_C(1000000)

enum { DEADLINE_MS = 20000 };

struct receiver_test receiver_test;
static struct settings *settings;
static char *payload;

/* the clock */

int clock_gettime(clockid_t id, struct timespec *time)
{
    int r = (int)syscall(SYS_clock_gettime, id, time);

    time->tv_sec += (time_t)(receiver_test.clock_offset_ns / 1000000000);
    return r;
}

/* the kernel */

int socket(int domain, int type, int protocol)
{
    if (domain == AF_NETLINK && receiver_test.hides_backlogs) {
        errno = EPROTONOSUPPORT;
        return -1;
    }
    return (int)syscall(SYS_socket, domain, type, protocol);
}

/* the names */

static atomic_uint test_number; /* in the daemon's name: a lookup that a test before has begun is told apart */

static void add_address(const char *text, const char *service, struct addrinfo ***end)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } *found = calloc(1, sizeof(*found));

    found->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(service))};
    assert_int_equal(inet_pton(AF_INET, text, &found->address.sin_addr), 1);
    found->info = hints;
    found->info.ai_addr = (struct sockaddr *)&found->address;
    found->info.ai_addrlen = sizeof(found->address);
    **end = &found->info;
    *end = &found->info.ai_next;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_found)
{
    struct addrinfo **end = ret_found;
    char text[64];
    char *rest = text;

    (void)hints;
    if ((unsigned)atoi(name + strlen("xray")) != atomic_load(&test_number))
        return EAI_NONAME; /* it was begun by a test before */
    atomic_fetch_add(&receiver_test.lookup_count, 1);
    if (receiver_test.is_held)
        (void)sem_wait(&receiver_test.let_go);
    (void)snprintf(text, sizeof(text), "%s", atomic_load(&receiver_test.name_means));
    *ret_found = NULL;
    for (char *word = strtok_r(rest, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        add_address(word, service, &end);
    return *ret_found != NULL ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *found)
{
    while (found != NULL) {
        struct addrinfo *next = found->ai_next;
        free(found);
        found = next;
    }
}

/* the daemon */

void receiver_read(void *arg, int fd, uint32_t events)
{
    struct receiver *one = arg;
    ssize_t n = recv(fd, one->last, sizeof(one->last) - 1, MSG_DONTWAIT);

    (void)events;
    if (n < 0)
        return;
    one->last[n] = '\0';
    one->count++;
    one->bytes += (size_t)n;
}

void receiver_listen(struct receiver *one, const char *address, uint16_t port, bool reads)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof(name);

    assert_int_equal(inet_pton(AF_INET, address, &name.sin_addr), 1);
    *one = (struct receiver){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(one->fd, (struct sockaddr *)&name, length), 0);
    assert_int_equal(getsockname(one->fd, (struct sockaddr *)&name, &length), 0);
    one->port = ntohs(name.sin_port);
    if (reads)
        assert_int_equal(loop_fd_set(receiver_test.loop, one->fd, EPOLLIN, receiver_read, one), 0);
}

void receiver_leave(struct receiver *one)
{
    if (one->fd < 0)
        return;
    loop_fd_remove(receiver_test.loop, one->fd);
    (void)close(one->fd);
    one->fd = -1;
}

/* the sender */

static void on_done(void *arg, const struct exporter_result *given)
{
    assert_ptr_equal(arg, &receiver_test.done_count);
    receiver_test.result = *given;
    receiver_test.done_count++;
}

void receiver_open_sender(const char *host)
{
    char name[16];
    char entry[64];
    char error[256] = "";

    (void)snprintf(name, sizeof(name), "xray%u", test_number);
    (void)snprintf(entry, sizeof(entry), "AWS_XRAY_DAEMON_ADDRESS=%s:%u", host != NULL ? host : name,
                   receiver_test.receiver.port);
    settings = settings_new((const char *const[]){entry}, 1, NULL);
    assert_int_equal(
        xray_daemon.open(&(struct exporter_host){.loop = receiver_test.loop}, settings, &receiver_test.sender, error),
        0);
}

int receiver_set_up(void **state)
{
    (void)state;
    receiver_test.done_count = 0;
    test_number++;
    receiver_test.lookup_count = 0;
    receiver_test.is_held = false;
    receiver_test.hides_backlogs = false;
    receiver_test.name_means = "127.0.0.1";
    receiver_test.receiver.fd = receiver_test.other.fd = -1;
    if (test_number == 1 && sem_init(&receiver_test.let_go, 0, 0) != 0)
        return -1;
    return loop_new(&receiver_test.loop);
}

int receiver_tear_down(void **state)
{
    (void)state;
    xray_daemon.close(receiver_test.sender);
    receiver_test.sender = NULL;
    receiver_leave(&receiver_test.receiver);
    receiver_leave(&receiver_test.other);
    settings_unref(settings);
    loop_free(receiver_test.loop);
    free(payload);
    payload = NULL;
    receiver_test.payload_length = 0;
    return 0;
}

void receiver_add_document(size_t length)
{
    payload = realloc(payload, receiver_test.payload_length + length + 1);
    assert_non_null(payload);
    memset(payload + receiver_test.payload_length, '_', length);
    payload[receiver_test.payload_length] = '{';
    receiver_test.payload_length += length;
    payload[receiver_test.payload_length++] = '\n';
}

void receiver_send(void)
{
    xray_daemon.send(receiver_test.sender, payload, receiver_test.payload_length, on_done, &receiver_test.done_count);
}

struct condition {
    bool (*holds)(void);
    struct loop_timer timer;
    unsigned rounds_left;
};

static void look(void *arg)
{
    struct condition *condition = arg;

    if (condition->holds() || condition->rounds_left-- == 0)
        loop_stop(receiver_test.loop);
    else
        assert_int_equal(loop_timer_set(receiver_test.loop, &condition->timer, NS_PER_MS), 0);
}

void receiver_run_until(bool (*holds)(void))
{
    struct condition condition = {.holds = holds, .rounds_left = DEADLINE_MS};

    condition.timer = (struct loop_timer){.fn = look, .arg = &condition};
    assert_int_equal(loop_timer_set(receiver_test.loop, &condition.timer, 0), 0);
    assert_int_equal(loop_run(receiver_test.loop), 0);
    assert_true(holds());
}

bool receiver_is_done(void)
{
    return receiver_test.done_count > 0;
}

static unsigned awaited_lookups;

static bool has_looked_up(void)
{
    return atomic_load(&receiver_test.lookup_count) >= awaited_lookups;
}

/* Its thread is on its way. */
void receiver_run_until_looked_up(unsigned count)
{
    awaited_lookups = count;
    receiver_run_until(has_looked_up);
    assert_int_equal(receiver_test.lookup_count, count);
}

static unsigned awaited_count;

static bool has_come(void)
{
    return receiver_test.receiver.count >= awaited_count;
}

void receiver_run_until_received(unsigned count)
{
    awaited_count = count;
    receiver_run_until(has_come);
    assert_int_equal(receiver_test.receiver.count, count);
}

enum exporter_outcome receiver_send_all(void)
{
    receiver_test.done_count = 0;
    receiver_send();
    receiver_run_until(receiver_is_done);
    assert_int_equal(receiver_test.done_count, 1);
    return receiver_test.result.outcome;
}
