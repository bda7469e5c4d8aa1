/* SPDX-License-Identifier: Apache-2.0 */
/* A server's connection in FastCGI, SCGI and uwsgi: how its requests end. */
#include "preload/conn.h"

#include "preload/slice.h"
#include "tests/support/shim_traffic.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof(text) - 1

#define BEGIN      "\1\1\0\1\0\x08\0\0\0\1\1\0\0\0\0\0"
#define PARAMS     "\1\4\0\1\0\x24\0\0\x0e\3REQUEST_METHODGET\x0b\4REQUEST_URI/one"
#define NO_PARAMS  "\1\4\0\1\0\0\0\0"
#define NO_STDIN   "\1\5\0\1\0\0\0\0"
#define ABORT      "\1\2\0\1\0\0\0\0"
#define REQUEST    BEGIN PARAMS NO_PARAMS NO_STDIN
#define ANSWER     "\1\6\0\1\0\x14\4\0Status: 201 A\r\n\r\nhey\0\0\0\0"
#define END        "\1\3\0\1\0\x08\0\0\0\0\0\0\0\0\0\0"
#define OVERLOADED "\1\3\0\1\0\x08\0\0\0\0\0\0\2\0\0\0"

static void ask(void)
{
    traffic_receive_bytes(TRAFFIC_FD, BYTES(REQUEST));
}

static void assert_protocol(const struct wire_request *request, enum wire_protocol protocol)
{
    assert_int_equal(request->version, protocol);
}

static void test_conn_gateway_answers_again_and_again(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct wire_request request;

        ask();
        traffic_send_bytes(TRAFFIC_FD, BYTES(ANSWER END));
        request = traffic_assert_span("/one", 201, WIRE_ERROR_NONE);
        assert_protocol(&request, WIRE_PROTOCOL_FASTCGI);
        assert_int_equal(request.response_body_size, 3);
    }
    traffic_assert_nothing_open();
}

static void test_conn_gateway_tells_who_was_refused(void **state)
{
    union shim_record record;

    (void)state;
    ask();
    traffic_send_bytes(TRAFFIC_FD, BYTES(OVERLOADED));
    assert_true(traffic_next_span(&record));
    assert_int_equal(record.request.error, WIRE_ERROR_NO_RESPONSE);
    assert_true(slice_is(shim_core_text(&record.request, WIRE_TEXT_ERROR_TYPE, 0), "fastcgi_overloaded"));
    ask();
    traffic_receive_bytes(TRAFFIC_FD, BYTES(ABORT));
    traffic_send_bytes(TRAFFIC_FD, BYTES(END));
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_CLIENT_CLOSED);
    traffic_assert_nothing_open();
}

/* Its end is told by the protocol: a connection that ends before is no end. */
static void test_conn_gateway_misses_the_end(void **state)
{
    (void)state;
    ask();
    traffic_send_bytes(TRAFFIC_FD, BYTES(ANSWER));
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 201, WIRE_ERROR_RESPONSE_INCOMPLETE);
    traffic_assert_nothing_open();
}

static void test_conn_gateway_reads_scgi_to_the_end(void **state)
{
    struct wire_request request;

    (void)state;
    traffic_receive_bytes(TRAFFIC_FD, BYTES("53:CONTENT_LENGTH\0"
                                            "0\0REQUEST_METHOD\0GET\0REQUEST_URI\0/one\0,"));
    traffic_send(TRAFFIC_FD, "Status: 404 No\r\nX: y\r\n\r\n");
    traffic_send(TRAFFIC_FD, "body");
    traffic_assert_no_span();
    conn_closing(TRAFFIC_FD);
    request = traffic_assert_span("/one", 404, WIRE_ERROR_NONE);
    assert_protocol(&request, WIRE_PROTOCOL_SCGI);
    assert_int_equal(request.response_body_size, 4);
}

static void test_conn_gateway_answers_uwsgi_in_http(void **state)
{
    struct wire_request request;

    (void)state;
    traffic_receive_bytes(TRAFFIC_FD, BYTES("\0\x28\0\0\x0e\0REQUEST_METHOD\3\0GET\x0b\0REQUEST_URI\4\0/one"));
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_protocol(&request, WIRE_PROTOCOL_UWSGI);
    assert_int_equal(request.response_body_size, 2);
}

/* What only begins like it is no loss. */
static void test_conn_gateway_leaves_others_alone(void **state)
{
    (void)state;
    traffic_receive_bytes(TRAFFIC_FD, BYTES("\1"));
    traffic_receive_bytes(TRAFFIC_FD, BYTES("\7something else"));
    traffic_send(TRAFFIC_FD, "an answer");
    traffic_assert_nothing_open();
    for (int drop = 0; drop < WIRE_DROP_COUNT; drop++)
        assert_int_equal(traffic_dropped((enum wire_drop)drop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_conn_gateway_##name, traffic_setup, traffic_teardown)
        TEST(answers_again_and_again), TEST(tells_who_was_refused), TEST(misses_the_end),
        TEST(reads_scgi_to_the_end),   TEST(answers_uwsgi_in_http), TEST(leaves_others_alone),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
