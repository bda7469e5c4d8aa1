/* SPDX-License-Identifier: Apache-2.0 */
/* Documents to X-Ray's daemon by UDP, with real sockets: what is sent, how fast, and what happens when the daemon isn't
 * there or moves. Names and the clock are the test's own. */
#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/xray_way.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
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
#define HEADER    "{\"format\":\"json\",\"version\":1}\n"

enum { DATAGRAM_MAX = 65508, DEADLINE_MS = 20000, DOCUMENT_MAX = 65477 };

/* A daemon. */
struct receiver {
    int fd;
    uint16_t port;
    unsigned count;
    size_t bytes;
    char last[DATAGRAM_MAX];
};

static struct loop *loop;
static struct receiver receiver, other;
static struct settings *settings;
static void *daemon_instance;
static unsigned done_count;
static struct exporter_result result;
static char *payload;
static size_t payload_length;

/* the clock */

static uint64_t clock_offset_ns; /* main thread only */

int clock_gettime(clockid_t id, struct timespec *time)
{
    int r = (int)syscall(SYS_clock_gettime, id, time);

    time->tv_sec += (time_t)(clock_offset_ns / 1000000000);
    return r;
}

/* the kernel */

static bool hides_backlogs; /* main thread only */

int socket(int domain, int type, int protocol)
{
    if (domain == AF_NETLINK && hides_backlogs) {
        errno = EPROTONOSUPPORT;
        return -1;
    }
    return (int)syscall(SYS_socket, domain, type, protocol);
}

/* the names */

/* Written by the main thread while no lookup is under way, or read as a whole. */
static const char *_Atomic name_means; /* addresses with blanks between them; "": the name has none */
static atomic_uint test_number, lookup_count;
static atomic_bool is_held;
static sem_t let_go; /* for ever: a thread may still be leaving it */

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
    atomic_fetch_add(&lookup_count, 1);
    if (is_held)
        (void)sem_wait(&let_go);
    (void)snprintf(text, sizeof(text), "%s", atomic_load(&name_means));
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

static void on_datagram(void *arg, int fd, uint32_t events)
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

/* Be there, at this address; reading at once, or when the test does. */
static void listen_at(struct receiver *one, const char *address, uint16_t port, bool reads)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof(name);

    assert_int_equal(inet_pton(AF_INET, address, &name.sin_addr), 1);
    *one = (struct receiver){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(one->fd, (struct sockaddr *)&name, length), 0);
    assert_int_equal(getsockname(one->fd, (struct sockaddr *)&name, &length), 0);
    one->port = ntohs(name.sin_port);
    if (reads)
        assert_int_equal(loop_fd_set(loop, one->fd, EPOLLIN, on_datagram, one), 0);
}

static void leave(struct receiver *one)
{
    if (one->fd < 0)
        return;
    loop_fd_remove(loop, one->fd);
    (void)close(one->fd);
    one->fd = -1;
}

/* the sender */

static void on_done(void *arg, const struct exporter_result *given)
{
    assert_ptr_equal(arg, &done_count);
    result = *given;
    done_count++;
}

/* host: NULL: by name. */
static void open_daemon(const char *host)
{
    char name[16];
    char entry[64];
    char error[256] = "";

    (void)snprintf(name, sizeof(name), "xray%u", test_number);
    (void)snprintf(entry, sizeof(entry), "AWS_XRAY_DAEMON_ADDRESS=%s:%u", host != NULL ? host : name, receiver.port);
    settings = settings_new((const char *const[]){entry}, 1, NULL);
    assert_int_equal(xray_daemon.open(&(struct exporter_host){.loop = loop}, settings, &daemon_instance, error), 0);
}

static int set_up(void **state)
{
    (void)state;
    done_count = 0;
    test_number++;
    lookup_count = 0;
    is_held = false;
    hides_backlogs = false;
    name_means = "127.0.0.1";
    receiver.fd = other.fd = -1;
    return loop_new(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    xray_daemon.close(daemon_instance);
    daemon_instance = NULL;
    leave(&receiver);
    leave(&other);
    settings_unref(settings);
    loop_free(loop);
    free(payload);
    payload = NULL;
    payload_length = 0;
    return 0;
}

/* A document of so many bytes behind the payload. */
static void add_document(size_t length)
{
    payload = realloc(payload, payload_length + length + 1);
    assert_non_null(payload);
    memset(payload + payload_length, '_', length);
    payload[payload_length] = '{';
    payload_length += length;
    payload[payload_length++] = '\n';
}

static void send_payload(void)
{
    xray_daemon.send(daemon_instance, payload, payload_length, on_done, &done_count);
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
        loop_stop(loop);
    else
        assert_int_equal(loop_timer_set(loop, &condition->timer, NS_PER_MS), 0);
}

static void run_until(bool (*holds)(void))
{
    struct condition condition = {.holds = holds, .rounds_left = DEADLINE_MS};

    condition.timer = (struct loop_timer){.fn = look, .arg = &condition};
    assert_int_equal(loop_timer_set(loop, &condition.timer, 0), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_true(holds());
}

static bool is_done(void)
{
    return done_count > 0;
}

static unsigned awaited_lookups;

static bool has_looked_up(void)
{
    return atomic_load(&lookup_count) >= awaited_lookups;
}

/* Its thread is on its way. */
static void run_until_looked_up(unsigned count)
{
    awaited_lookups = count;
    run_until(has_looked_up);
    assert_int_equal(lookup_count, count);
}

static unsigned awaited_count;

static bool has_come(void)
{
    return receiver.count >= awaited_count;
}

static void run_until_received(unsigned count)
{
    awaited_count = count;
    run_until(has_come);
    assert_int_equal(receiver.count, count);
}

/* Send what was added; its outcome. */
static enum exporter_outcome send_all(void)
{
    done_count = 0;
    send_payload();
    run_until(is_done);
    assert_int_equal(done_count, 1);
    return result.outcome;
}

/* tests */

static void test_xray_daemon_gets_a_header_and_a_document_at_once(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon("127.0.0.1");
    add_document(10);
    add_document(20);
    assert_int_equal(send_all(), EXPORTER_SENT);
    assert_int_equal(result.rejected_count, 0);
    assert_string_equal(result.error, "");
    run_until_received(2);
    assert_string_equal(receiver.last, HEADER "{___________________");
    assert_int_equal(receiver.bytes, 2 * strlen(HEADER) + 30);
}

static void test_xray_daemon_has_a_longest_document(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon("127.0.0.1");
    add_document(DOCUMENT_MAX);
    add_document(DOCUMENT_MAX + 1);
    add_document(1);
    assert_int_equal(send_all(), EXPORTER_SENT);
    assert_int_equal(result.rejected_count, 1);
    assert_non_null(strstr(result.error, "too long for a datagram"));
    run_until_received(2);
    assert_int_equal(receiver.bytes, 2 * strlen(HEADER) + DOCUMENT_MAX + 1);
}

static void test_xray_daemon_that_is_absent_gets_it_later(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon("127.0.0.1");
    leave(&receiver);
    add_document(10);
    assert_int_equal(send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(result.error, "nobody listens there"));
    assert_int_equal(send_all(), EXPORTER_RETRY);
    assert_string_equal(result.error, ""); /* was said */
    listen_at(&receiver, "127.0.0.1", receiver.port, true);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(1);
    leave(&receiver);
    assert_int_equal(send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(result.error, "nobody listens there"));
}

static bool has_received_some(void)
{
    return receiver.count > 0;
}

/* It goes in the middle of a payload, and comes back. */
static void test_xray_daemon_that_goes_gets_everything_again(void **state)
{
    enum { COUNT = 200 };

    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon("127.0.0.1");
    for (unsigned i = 0; i < COUNT; i++)
        add_document(1000);
    send_payload();
    run_until(has_received_some);
    assert_int_equal(done_count, 0);
    leave(&receiver);
    run_until(is_done);
    assert_int_equal(result.outcome, EXPORTER_RETRY);
    listen_at(&receiver, "127.0.0.1", receiver.port, true);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(COUNT);
}

static void read_all(void *arg)
{
    struct loop_timer *timer = arg;

    for (unsigned before = receiver.count + 1; before != receiver.count;) {
        before = receiver.count;
        on_datagram(&receiver, receiver.fd, EPOLLIN);
    }
    assert_int_equal(loop_timer_set(loop, timer, 10 * NS_PER_MS), 0);
}

/* A daemon that looks at its socket every 10 ms only; in one go these would overflow its buffer many times. */
static void check_all_is_read_in_time(unsigned count, size_t length)
{
    struct loop_timer timer = {.fn = read_all, .arg = &timer};

    for (unsigned i = 0; i < count; i++)
        add_document(length);
    assert_int_equal(loop_timer_set(loop, &timer, 0), 0);
    assert_int_equal(send_all(), EXPORTER_SENT);
    assert_int_equal(result.rejected_count, 0);
    run_until_received(count);
    loop_timer_clear(loop, &timer);
}

static void test_xray_daemon_is_not_overrun(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, false);
    open_daemon("127.0.0.1");
    check_all_is_read_in_time(1000, 1300);
    receiver.count = 0;
    payload_length = 0;
    check_all_is_read_in_time(20, DOCUMENT_MAX);
}

static void test_xray_daemon_that_is_not_seen_is_not_overrun(void **state)
{
    (void)state;
    hides_backlogs = true;
    listen_at(&receiver, "127.0.0.1", 0, false);
    open_daemon("127.0.0.1");
    check_all_is_read_in_time(500, 1300);
    receiver.count = 0;
    payload_length = 0;
    check_all_is_read_in_time(20, DOCUMENT_MAX);
}

/* The pace is that of the whole, however it is cut into payloads. */
static void test_xray_daemon_that_is_not_seen_is_not_overrun_by_small_payloads(void **state)
{
    enum { COUNT = 200, LENGTH = 1300 };
    struct loop_timer timer = {.fn = read_all, .arg = &timer};

    (void)state;
    hides_backlogs = true;
    listen_at(&receiver, "127.0.0.1", 0, false);
    open_daemon("127.0.0.1");
    add_document(LENGTH);
    assert_int_equal(loop_timer_set(loop, &timer, 0), 0);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(COUNT);
    loop_timer_clear(loop, &timer);
}

/* The kernel's smallest: room for one of them. */
static void test_xray_daemon_may_have_a_small_buffer(void **state)
{
    int smallest = 1;

    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, false);
    assert_int_equal(setsockopt(receiver.fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)), 0);
    open_daemon("127.0.0.1");
    check_all_is_read_in_time(30, 1300);
}

static unsigned look_count;

/* Some milliseconds: time for a round, in which it is seen what waits there. */
static bool has_had_a_round(void)
{
    return ++look_count > 20;
}

static void test_xray_daemon_that_stops_reading_gets_it_later(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, false);
    open_daemon("127.0.0.1");
    add_document(10);
    send_payload();
    run_until(has_had_a_round);
    assert_int_equal(done_count, 0);
    clock_offset_ns += 3000000000;
    run_until(is_done);
    assert_int_equal(result.outcome, EXPORTER_RETRY);
    assert_non_null(strstr(result.error, "does not read"));
    assert_int_equal(loop_fd_set(loop, receiver.fd, EPOLLIN, on_datagram, &receiver), 0);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(2);
}

/* What it had not read is gone with it. */
static void test_xray_daemon_that_is_restarted_gets_what_it_had_not_read(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, false);
    open_daemon("127.0.0.1");
    add_document(10);
    add_document(20);
    send_payload();
    assert_int_equal(done_count, 0);
    leave(&receiver);
    run_until(is_done);
    assert_int_equal(result.outcome, EXPORTER_RETRY);
    listen_at(&receiver, "127.0.0.1", receiver.port, true);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(2);
}

/* Before anybody could see that it was gone. */
static void test_xray_daemon_that_is_replaced_gets_what_it_had_not_read(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, false);
    open_daemon("127.0.0.1");
    add_document(10);
    add_document(20);
    send_payload();
    assert_int_equal(done_count, 0);
    leave(&receiver);
    listen_at(&receiver, "127.0.0.1", receiver.port, true);
    run_until(is_done);
    assert_int_equal(result.outcome, EXPORTER_RETRY);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(2);
}

/* Others send to it, too, and fill its buffer. */
static void test_xray_daemon_that_drops_is_noticed(void **state)
{
    int smallest = 1;
    struct sockaddr_in to = {.sin_family = AF_INET};

    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, false);
    assert_int_equal(setsockopt(receiver.fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)), 0);
    open_daemon("127.0.0.1");
    add_document(10);
    send_payload();
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons(receiver.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned i = 0; i < 10; i++)
        (void)sendto(sender, payload, 1, 0, (struct sockaddr *)&to, sizeof(to));
    (void)close(sender);
    assert_int_equal(loop_fd_set(loop, receiver.fd, EPOLLIN, on_datagram, &receiver), 0);
    run_until(is_done);
    assert_int_equal(result.outcome, EXPORTER_SENT);
    assert_true(result.rejected_count > 0);
    assert_non_null(strstr(result.error, "its receive buffer was full"));
    assert_int_equal(send_all(), EXPORTER_SENT);
    assert_int_equal(result.rejected_count, 0);
}

/* An IPv4 address in IPv6's form is not known to be this machine's. */
static void test_xray_daemon_elsewhere_has_time_to_refuse(void **state)
{
    int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    if (probe < 0) {
        print_message("not run: no IPv6\n");
        skip();
    }
    (void)close(probe);
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon("[::ffff:127.0.0.1]");
    add_document(10);
    uint64_t before_ns = clock_now_ns(CLOCK_MONOTONIC);
    assert_int_equal(send_all(), EXPORTER_SENT);
    assert_true(clock_now_ns(CLOCK_MONOTONIC) - before_ns >= 10 * NS_PER_MS);
    run_until_received(1);
    leave(&receiver);
    assert_int_equal(send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(result.error, "nobody listens there"));
    listen_at(&receiver, "127.0.0.1", receiver.port, false);
    payload_length = 0;
    check_all_is_read_in_time(200, 1300);
}

static void test_xray_daemon_has_a_name(void **state)
{
    (void)state;
    name_means = "127.0.0.3 127.0.0.2"; /* nobody listens at the first */
    listen_at(&receiver, "127.0.0.2", 0, true);
    open_daemon(NULL);
    add_document(10);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(1);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(2);
    run_until_looked_up(2); /* for the first had refused */
}

static void test_xray_daemon_is_found_where_it_moves_to(void **state)
{
    (void)state;
    name_means = "127.0.0.2";
    listen_at(&receiver, "127.0.0.3", 0, true);
    listen_at(&other, "127.0.0.2", receiver.port, true);
    open_daemon(NULL);
    add_document(10);
    assert_int_equal(send_all(), EXPORTER_SENT);
    assert_int_equal(send_all(), EXPORTER_SENT);
    assert_int_equal(lookup_count, 1); /* not before its time */
    name_means = "127.0.0.3";
    clock_offset_ns += 31000000000;
    /* The lookup goes on beside the first; what comes after it goes there. */
    while (receiver.count == 0) {
        assert_int_equal(send_all(), EXPORTER_SENT);
        assert_true(other.count < 1000);
    }
    assert_int_equal(lookup_count, 2);
}

static void test_xray_daemon_that_refuses_is_looked_up_again(void **state)
{
    (void)state;
    name_means = "127.0.0.2";
    listen_at(&receiver, "127.0.0.3", 0, true);
    open_daemon(NULL);
    add_document(10);
    assert_int_equal(send_all(), EXPORTER_RETRY);
    name_means = "127.0.0.3";
    while (send_all() == EXPORTER_RETRY)
        assert_true(lookup_count < 1000);
    run_until_received(1);
}

static void test_xray_daemon_keeps_its_address_while_names_fail(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon(NULL);
    add_document(10);
    assert_int_equal(send_all(), EXPORTER_SENT);
    name_means = "";
    clock_offset_ns += 31000000000;
    for (unsigned i = 2; i < 5; i++) {
        assert_int_equal(send_all(), EXPORTER_SENT);
        run_until_received(i);
    }
    run_until_looked_up(2);
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(5);
}

static void test_xray_daemon_without_an_address_gets_it_later(void **state)
{
    (void)state;
    name_means = "";
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon(NULL);
    add_document(10);
    assert_int_equal(send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(result.error, gai_strerror(EAI_NONAME)));
    name_means = "127.0.0.1";
    assert_int_equal(send_all(), EXPORTER_SENT);
    run_until_received(1);
}

/* send() returns at once; a lookup that outlives the sender frees what it has. */
static void test_xray_daemon_does_not_wait_for_names(void **state)
{
    (void)state;
    is_held = true;
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon(NULL);
    add_document(10);
    send_payload();
    assert_int_equal(done_count, 0);
    clock_offset_ns += 11000000000;
    run_until(is_done);
    assert_int_equal(result.outcome, EXPORTER_RETRY);
    assert_non_null(strstr(result.error, "name servers"));
    done_count = 0;
    send_payload();
    xray_daemon.close(daemon_instance);
    daemon_instance = NULL;
    assert_int_equal(sem_post(&let_go), 0);
    assert_int_equal(done_count, 0);
}

static void test_xray_daemon_can_be_left_while_sending(void **state)
{
    (void)state;
    listen_at(&receiver, "127.0.0.1", 0, true);
    open_daemon("127.0.0.1");
    for (unsigned i = 0; i < 100; i++)
        add_document(10000);
    send_payload();
    assert_int_equal(done_count, 0);
    xray_daemon.close(daemon_instance);
    daemon_instance = NULL;
    run_until(has_received_some);
    assert_int_equal(done_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_xray_daemon_gets_a_header_and_a_document_at_once),
        TEST(test_xray_daemon_has_a_longest_document),
        TEST(test_xray_daemon_that_is_absent_gets_it_later),
        TEST(test_xray_daemon_that_goes_gets_everything_again),
        TEST(test_xray_daemon_is_not_overrun),
        TEST(test_xray_daemon_that_is_not_seen_is_not_overrun),
        TEST(test_xray_daemon_that_is_not_seen_is_not_overrun_by_small_payloads),
        TEST(test_xray_daemon_may_have_a_small_buffer),
        TEST(test_xray_daemon_that_stops_reading_gets_it_later),
        TEST(test_xray_daemon_that_is_restarted_gets_what_it_had_not_read),
        TEST(test_xray_daemon_that_is_replaced_gets_what_it_had_not_read),
        TEST(test_xray_daemon_that_drops_is_noticed),
        TEST(test_xray_daemon_elsewhere_has_time_to_refuse),
        TEST(test_xray_daemon_has_a_name),
        TEST(test_xray_daemon_is_found_where_it_moves_to),
        TEST(test_xray_daemon_that_refuses_is_looked_up_again),
        TEST(test_xray_daemon_keeps_its_address_while_names_fail),
        TEST(test_xray_daemon_without_an_address_gets_it_later),
        TEST(test_xray_daemon_does_not_wait_for_names),
        TEST(test_xray_daemon_can_be_left_while_sending),
    };

    if (sem_init(&let_go, 0, 0) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
