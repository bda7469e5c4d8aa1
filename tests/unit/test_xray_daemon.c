/* SPDX-License-Identifier: Apache-2.0 */
/* Documents to X-Ray's daemon by UDP: what is sent, how fast, and what happens when the daemon isn't there or does not
 * read. Its name is test_xray_daemon_name.c's. */
#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"
#include "exporters/xray_way.h"
#include "tests/support/xray_receiver.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define NS_PER_MS UINT64_C(1000000)
#define HEADER    "{\"format\":\"json\",\"version\":1}\n"

enum { DOCUMENT_MAX = 65477 };

static void test_xray_daemon_gets_a_header_and_a_document_at_once(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender("127.0.0.1");
    receiver_add_document(10);
    receiver_add_document(20);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    assert_int_equal(receiver_test.result.rejected_count, 0);
    assert_string_equal(receiver_test.result.error, "");
    receiver_run_until_received(2);
    assert_string_equal(receiver_test.receiver.last, HEADER "{___________________");
    assert_int_equal(receiver_test.receiver.bytes, 2 * strlen(HEADER) + 30);
}

static void test_xray_daemon_has_a_longest_document(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender("127.0.0.1");
    receiver_add_document(DOCUMENT_MAX);
    receiver_add_document(DOCUMENT_MAX + 1);
    receiver_add_document(1);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    assert_int_equal(receiver_test.result.rejected_count, 1);
    assert_non_null(strstr(receiver_test.result.error, "too long for a datagram"));
    receiver_run_until_received(2);
    assert_int_equal(receiver_test.receiver.bytes, 2 * strlen(HEADER) + DOCUMENT_MAX + 1);
}

static void test_xray_daemon_that_is_absent_gets_it_later(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender("127.0.0.1");
    receiver_leave(&receiver_test.receiver);
    receiver_add_document(10);
    assert_int_equal(receiver_send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(receiver_test.result.error, "nobody listens there"));
    assert_int_equal(receiver_send_all(), EXPORTER_RETRY);
    assert_string_equal(receiver_test.result.error, ""); /* was said */
    receiver_listen(&receiver_test.receiver, "127.0.0.1", receiver_test.receiver.port, true);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(1);
    receiver_leave(&receiver_test.receiver);
    assert_int_equal(receiver_send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(receiver_test.result.error, "nobody listens there"));
}

static bool has_received_some(void)
{
    return receiver_test.receiver.count > 0;
}

/* It goes in the middle of a payload, and comes back. */
static void test_xray_daemon_that_goes_gets_everything_again(void **state)
{
    enum { COUNT = 200 };

    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender("127.0.0.1");
    for (unsigned i = 0; i < COUNT; i++)
        receiver_add_document(1000);
    receiver_send();
    receiver_run_until(has_received_some);
    assert_int_equal(receiver_test.done_count, 0);
    receiver_leave(&receiver_test.receiver);
    receiver_run_until(receiver_is_done);
    assert_int_equal(receiver_test.result.outcome, EXPORTER_RETRY);
    receiver_listen(&receiver_test.receiver, "127.0.0.1", receiver_test.receiver.port, true);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(COUNT);
}

static void read_all(void *arg)
{
    struct loop_timer *timer = arg;

    for (unsigned before = receiver_test.receiver.count + 1; before != receiver_test.receiver.count;) {
        before = receiver_test.receiver.count;
        receiver_read(&receiver_test.receiver, receiver_test.receiver.fd, EPOLLIN);
    }
    assert_int_equal(loop_timer_set(receiver_test.loop, timer, 10 * NS_PER_MS), 0);
}

/* A daemon that looks at its socket every 10 ms only; in one go these would overflow its buffer many times. */
static void check_all_is_read_in_time(unsigned count, size_t length)
{
    struct loop_timer timer = {.fn = read_all, .arg = &timer};

    for (unsigned i = 0; i < count; i++)
        receiver_add_document(length);
    assert_int_equal(loop_timer_set(receiver_test.loop, &timer, 0), 0);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    assert_int_equal(receiver_test.result.rejected_count, 0);
    receiver_run_until_received(count);
    loop_timer_clear(receiver_test.loop, &timer);
}

static void test_xray_daemon_is_not_overrun(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    receiver_open_sender("127.0.0.1");
    check_all_is_read_in_time(1000, 1300);
    receiver_test.receiver.count = 0;
    receiver_test.payload_length = 0;
    check_all_is_read_in_time(20, DOCUMENT_MAX);
}

static void test_xray_daemon_that_is_not_seen_is_not_overrun(void **state)
{
    (void)state;
    receiver_test.hides_backlogs = true;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    receiver_open_sender("127.0.0.1");
    check_all_is_read_in_time(500, 1300);
    receiver_test.receiver.count = 0;
    receiver_test.payload_length = 0;
    check_all_is_read_in_time(20, DOCUMENT_MAX);
}

/* The pace is that of the whole, however it is cut into payloads. */
static void test_xray_daemon_that_is_not_seen_is_not_overrun_by_small_payloads(void **state)
{
    enum { COUNT = 200, LENGTH = 1300 };
    struct loop_timer timer = {.fn = read_all, .arg = &timer};

    (void)state;
    receiver_test.hides_backlogs = true;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    receiver_open_sender("127.0.0.1");
    receiver_add_document(LENGTH);
    assert_int_equal(loop_timer_set(receiver_test.loop, &timer, 0), 0);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(COUNT);
    loop_timer_clear(receiver_test.loop, &timer);
}

/* The kernel's smallest: room for one of them. */
static void test_xray_daemon_may_have_a_small_buffer(void **state)
{
    int smallest = 1;

    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    assert_int_equal(setsockopt(receiver_test.receiver.fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)), 0);
    receiver_open_sender("127.0.0.1");
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
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    receiver_open_sender("127.0.0.1");
    receiver_add_document(10);
    receiver_send();
    receiver_run_until(has_had_a_round);
    assert_int_equal(receiver_test.done_count, 0);
    receiver_test.clock_offset_ns += 3000000000;
    receiver_run_until(receiver_is_done);
    assert_int_equal(receiver_test.result.outcome, EXPORTER_RETRY);
    assert_non_null(strstr(receiver_test.result.error, "does not read"));
    assert_int_equal(
        loop_fd_set(receiver_test.loop, receiver_test.receiver.fd, EPOLLIN, receiver_read, &receiver_test.receiver), 0);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(2);
}

/* What it had not read is gone with it. */
static void test_xray_daemon_that_is_restarted_gets_what_it_had_not_read(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    receiver_open_sender("127.0.0.1");
    receiver_add_document(10);
    receiver_add_document(20);
    receiver_send();
    assert_int_equal(receiver_test.done_count, 0);
    receiver_leave(&receiver_test.receiver);
    receiver_run_until(receiver_is_done);
    assert_int_equal(receiver_test.result.outcome, EXPORTER_RETRY);
    receiver_listen(&receiver_test.receiver, "127.0.0.1", receiver_test.receiver.port, true);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(2);
}

/* Before anybody could see that it was gone. */
static void test_xray_daemon_that_is_replaced_gets_what_it_had_not_read(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    receiver_open_sender("127.0.0.1");
    receiver_add_document(10);
    receiver_add_document(20);
    receiver_send();
    assert_int_equal(receiver_test.done_count, 0);
    receiver_leave(&receiver_test.receiver);
    receiver_listen(&receiver_test.receiver, "127.0.0.1", receiver_test.receiver.port, true);
    receiver_run_until(receiver_is_done);
    assert_int_equal(receiver_test.result.outcome, EXPORTER_RETRY);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    receiver_run_until_received(2);
}

/* Others send to it, too, and fill its buffer. */
static void test_xray_daemon_that_drops_is_noticed(void **state)
{
    int smallest = 1;
    struct sockaddr_in to = {.sin_family = AF_INET};

    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, false);
    assert_int_equal(setsockopt(receiver_test.receiver.fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)), 0);
    receiver_open_sender("127.0.0.1");
    receiver_add_document(10);
    receiver_send();
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons(receiver_test.receiver.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned i = 0; i < 10; i++)
        (void)sendto(sender, "{", 1, 0, (struct sockaddr *)&to, sizeof(to));
    (void)close(sender);
    assert_int_equal(
        loop_fd_set(receiver_test.loop, receiver_test.receiver.fd, EPOLLIN, receiver_read, &receiver_test.receiver), 0);
    receiver_run_until(receiver_is_done);
    assert_int_equal(receiver_test.result.outcome, EXPORTER_SENT);
    assert_true(receiver_test.result.rejected_count > 0);
    assert_non_null(strstr(receiver_test.result.error, "its receive buffer was full"));
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    assert_int_equal(receiver_test.result.rejected_count, 0);
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
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender("[::ffff:127.0.0.1]");
    receiver_add_document(10);
    uint64_t before_ns = clock_now_ns(CLOCK_MONOTONIC);
    assert_int_equal(receiver_send_all(), EXPORTER_SENT);
    assert_true(clock_now_ns(CLOCK_MONOTONIC) - before_ns >= 10 * NS_PER_MS);
    receiver_run_until_received(1);
    receiver_leave(&receiver_test.receiver);
    assert_int_equal(receiver_send_all(), EXPORTER_RETRY);
    assert_non_null(strstr(receiver_test.result.error, "nobody listens there"));
    receiver_listen(&receiver_test.receiver, "127.0.0.1", receiver_test.receiver.port, false);
    receiver_test.payload_length = 0;
    check_all_is_read_in_time(200, 1300);
}

static void test_xray_daemon_can_be_left_while_sending(void **state)
{
    (void)state;
    receiver_listen(&receiver_test.receiver, "127.0.0.1", 0, true);
    receiver_open_sender("127.0.0.1");
    for (unsigned i = 0; i < 100; i++)
        receiver_add_document(10000);
    receiver_send();
    assert_int_equal(receiver_test.done_count, 0);
    xray_daemon.close(receiver_test.sender);
    receiver_test.sender = NULL;
    receiver_run_until(has_received_some);
    assert_int_equal(receiver_test.done_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, receiver_set_up, receiver_tear_down)
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
        TEST(test_xray_daemon_can_be_left_while_sending),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
