/* SPDX-License-Identifier: Apache-2.0 */
/* How a client's connection comes to be, and what is told of one that does not. */
#include "preload/clock.h"
#include "preload/conn.h"
#include "preload/slice.h"
#include "tests/support/shim_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { KNOWN_PORT = 8080, OTHER_PORT = 8081 };

/* connect() on TRAFFIC_OTHER_FD, which took a millisecond. */
static void connecting(uint16_t port, int error)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    conn_connecting(TRAFFIC_OTHER_FD, (struct sockaddr *)&address, sizeof(address), clock_mono_ns() - 1000000, error);
}

/* What the program was told by SO_ERROR. */
static void told(int error)
{
    struct conn_ref ref;

    assert_true(conn_capture(&ref, TRAFFIC_OTHER_FD));
    conn_told(&ref, error);
}

/* A request is served, on whose behalf one is answered by the known port. */
static void speak(void)
{
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    connecting(KNOWN_PORT, 0);
    traffic_send(TRAFFIC_OTHER_FD, "GET /asked HTTP/1.1\r\nHost: b\r\n\r\n");
    traffic_receive(TRAFFIC_OTHER_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/asked", 200, WIRE_ERROR_NONE);
    conn_closing(TRAFFIC_OTHER_FD);
}

static void assert_not_connected(enum wire_error error)
{
    union shim_record record;

    assert_true(traffic_next_span(&record));
    assert_int_equal(record.request.kind, WIRE_KIND_CLIENT);
    assert_true(record.request.flags & WIRE_REQUEST_NOT_CONNECTED);
    assert_int_equal(record.request.error, error);
    assert_int_equal(record.request.peer.port, KNOWN_PORT);
    assert_in_range(record.request.end_ns - record.request.start_ns, 1000000, UINT64_C(60000000000));
    traffic_assert_no_span();
}

static void test_conn_connect_tells_what_failed(void **state)
{
    static const struct {
        int error;
        enum wire_error told;
    } cases[] = {{ECONNREFUSED, WIRE_ERROR_CONNECTION_REFUSED}, {ETIMEDOUT, WIRE_ERROR_TIMEOUT},
                 {EHOSTUNREACH, WIRE_ERROR_HOST_UNREACHABLE},   {ENETUNREACH, WIRE_ERROR_HOST_UNREACHABLE},
                 {ECONNRESET, WIRE_ERROR_CONNECTION_RESET},     {EADDRNOTAVAIL, WIRE_ERROR_OTHER}};

    (void)state;
    speak();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        connecting(KNOWN_PORT, cases[i].error);
        assert_not_connected(cases[i].told);
        connecting(KNOWN_PORT, EINPROGRESS);
        told(cases[i].error);
        assert_not_connected(cases[i].told);
        connecting(KNOWN_PORT, EINTR);
        connecting(KNOWN_PORT, EALREADY);
        connecting(KNOWN_PORT, cases[i].error);
        assert_not_connected(cases[i].told);
    }
}

static void test_conn_connect_is_silent_about_the_programs_mistakes(void **state)
{
    static const int errors[] = {EBADF, ENOTSOCK, EFAULT, EINVAL, EAFNOSUPPORT, EACCES, EAGAIN};

    (void)state;
    speak();
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        connecting(KNOWN_PORT, errors[i]);
    traffic_assert_no_span();
}

static void test_conn_connect_is_silent_about_other_peers(void **state)
{
    (void)state;
    speak();
    connecting(OTHER_PORT, ECONNREFUSED);
    connecting(OTHER_PORT, EINPROGRESS);
    told(ECONNREFUSED);
    traffic_assert_no_span();
}

static void test_conn_connect_is_silent_when_nobody_waits(void **state)
{
    (void)state;
    speak();
    connecting(KNOWN_PORT, EINPROGRESS);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    told(ECONNREFUSED);
    connecting(KNOWN_PORT, ECONNREFUSED);
    traffic_assert_no_span();
}

static void test_conn_connect_is_silent_about_datagrams(void **state)
{
    (void)state;
    speak();
    conn_ignore(TRAFFIC_OTHER_FD);
    connecting(KNOWN_PORT, ECONNREFUSED);
    traffic_assert_no_span();
}

/* A socket that failed may be connected again. */
static void test_conn_connect_takes_another_attempt(void **state)
{
    union shim_record record;
    struct wire_client client;
    struct slice text;

    (void)state;
    speak();
    connecting(KNOWN_PORT, EINPROGRESS);
    told(ECONNREFUSED);
    assert_not_connected(WIRE_ERROR_CONNECTION_REFUSED);
    connecting(OTHER_PORT, EINPROGRESS);
    told(0);
    traffic_send(TRAFFIC_OTHER_FD, "GET /again HTTP/1.1\r\nHost: b\r\n\r\n");
    traffic_receive(TRAFFIC_OTHER_FD, TRAFFIC_OK);
    assert_true(traffic_next_span(&record));
    assert_int_equal(record.request.peer.port, OTHER_PORT);
    text = shim_core_text(&record.request, WIRE_TEXT_CLIENT, 0);
    assert_int_equal(text.length, sizeof(client));
    memcpy(&client, text.bytes, sizeof(client));
    assert_in_range(client.connect_ns, 1000000, UINT64_C(60000000000));
}

/* An error of an established connection that SO_ERROR takes away from later calls. */
static void test_conn_connect_hands_on_a_later_error(void **state)
{
    (void)state;
    connecting(KNOWN_PORT, 0);
    traffic_send(TRAFFIC_OTHER_FD, "GET /lost HTTP/1.1\r\nHost: b\r\n\r\n");
    told(ECONNRESET);
    conn_closing(TRAFFIC_OTHER_FD);
    (void)traffic_assert_span("/lost", 0, WIRE_ERROR_CONNECTION_RESET);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, traffic_setup, traffic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_conn_connect_tells_what_failed),
        TEST(test_conn_connect_is_silent_about_the_programs_mistakes),
        TEST(test_conn_connect_is_silent_about_other_peers),
        TEST(test_conn_connect_is_silent_when_nobody_waits),
        TEST(test_conn_connect_is_silent_about_datagrams),
        TEST(test_conn_connect_takes_another_attempt),
        TEST(test_conn_connect_hands_on_a_later_error),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
