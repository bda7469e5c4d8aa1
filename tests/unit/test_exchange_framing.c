/* SPDX-License-Identifier: Apache-2.0 */
/* Messages whose end is in doubt, or whose bytes nobody saw. */
#include "preload/conn_internal.h"

#include "preload/clock.h"
#include "preload/conn.h"
#include "tests/support/shim_traffic.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_exchange_counts_bytes_it_does_not_see(void **state)
{
    struct conn_ref ref;
    struct wire_request request;

    (void)state;
    traffic_receive(TRAFFIC_FD, "PUT /one HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_skip_in(&ref, 1000000);
    traffic_send(TRAFFIC_FD, "HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n");
    for (int i = 0; i < 5; i++)
        conn_skip_out(&ref, 1000000000);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(request.request_body_size, 1000000);
    assert_int_equal(request.response_body_size, 5000000000);
}

/* Where no body is, unseen bytes are something we don't understand. */
static void test_exchange_doubts_unseen_bytes_outside_a_body(void **state)
{
    struct conn_ref ref;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_skip_out(&ref, 100);
    assert_false(traffic_captures(TRAFFIC_FD));
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 1);
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 1);
    traffic_assert_nothing_open();
}

static uint16_t framing_flags(struct wire_request request)
{
    return request.flags & (WIRE_REQUEST_FRAMING_AMBIGUOUS | WIRE_REQUEST_FRAMING_INVALID);
}

static void test_exchange_marks_a_framing_that_others_read_otherwise(void **state)
{
    static const char both[] = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    char text[256];
    struct wire_request request;

    (void)state;
    snprintf(text, sizeof(text), "POST /one HTTP/1.1\r\n%s" TRAFFIC_GET, both);
    traffic_receive(TRAFFIC_FD, text);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(framing_flags(request), WIRE_REQUEST_FRAMING_AMBIGUOUS);
    assert_int_equal(request.request_body_size, 2);
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s" TRAFFIC_OK, both);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, text);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(framing_flags(request), WIRE_REQUEST_FRAMING_AMBIGUOUS);
    assert_int_equal(request.response_body_size, 2);
    assert_int_equal(framing_flags(traffic_assert_span("/one", 200, WIRE_ERROR_NONE)), 0);
    assert_true(traffic_captures(TRAFFIC_FD));
    traffic_assert_nothing_open();
}

/* The server's refusal is the request's answer; what comes after it can't be told any more. */
static void test_exchange_marks_a_request_without_a_framing(void **state)
{
    static const char *const requests[] = {
        "POST /one HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
        "POST /one HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST /one HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n-1\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        traffic_receive(TRAFFIC_FD, requests[i]);
        traffic_send(TRAFFIC_FD, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        struct wire_request request = traffic_assert_span("/one", 400, WIRE_ERROR_NONE);
        assert_int_equal(framing_flags(request), WIRE_REQUEST_FRAMING_INVALID);
        assert_int_equal(request.request_body_size, i == 2);
        assert_false(traffic_captures(TRAFFIC_FD));
    }
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
    traffic_assert_nothing_open();
}

/* Bytes after a request that are none say nothing about it. */
static void test_exchange_marks_no_request_for_what_follows_it(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "POST /one HTTP/1.1\r\nContent-Length: 1\r\n\r\na\r\r\n");
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    assert_int_equal(framing_flags(traffic_assert_span("/one", 200, WIRE_ERROR_NONE)), 0);
    assert_false(traffic_captures(TRAFFIC_FD));
}

static void test_exchange_ends_a_response_without_a_framing(void **state)
{
    static const char *const responses[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
        traffic_send(TRAFFIC_FD, responses[i]);
        struct wire_request request = traffic_assert_span("/one", 200, WIRE_ERROR_BAD_FRAMING);
        assert_int_equal(framing_flags(request), WIRE_REQUEST_FRAMING_INVALID);
        assert_false(traffic_captures(TRAFFIC_FD));
        assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), i + 1);
    }
    traffic_assert_nothing_open();
}

static void test_exchange_ends_a_response_longer_than_announced(void **state)
{
    struct conn_ref ref;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_skip_out(&ref, 6);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_BAD_FRAMING);
    assert_false(traffic_captures(TRAFFIC_FD));
}

static void test_exchange_doubts_a_response_that_is_none(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_send(TRAFFIC_FD, "no response\r\n\r\n");
    assert_false(traffic_captures(TRAFFIC_FD));
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 1);
    traffic_assert_nothing_open();
}

static const char chunked_head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab";

/* The head and a first piece, then 1000 bytes of chunks out of a file. */
static void send_unseen_chunks(void)
{
    struct conn_ref ref;

    traffic_send(TRAFFIC_FD, chunked_head);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_skip_out(&ref, 1000);
}

static void assert_unseen(enum wire_error error)
{
    struct wire_request request = traffic_assert_span("/one", 200, error);

    assert_int_equal(request.flags & WIRE_REQUEST_FRAMING_UNSEEN, WIRE_REQUEST_FRAMING_UNSEEN);
    assert_int_equal(request.flags & (WIRE_REQUEST_RESPONSE_BODY_SEEN | WIRE_REQUEST_FRAMING_INVALID), 0);
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
}

static void test_exchange_ends_a_response_of_unseen_framing_with_the_next_request(void **state)
{
    struct conn_ref ref;
    struct wire_request next;

    (void)state;
    for (int i = 0; i < 2; i++) {
        traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
        if (i > 0)
            assert_unseen(WIRE_ERROR_NONE);
        send_unseen_chunks();
        traffic_assert_no_span();
        assert_true(conn_capture(&ref, TRAFFIC_FD));
        conn_skip_out(&ref, 1000);
        traffic_send(TRAFFIC_FD, "\r\n0\r\n\r\n");
        traffic_assert_no_span();
    }
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    assert_unseen(WIRE_ERROR_NONE);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    next = traffic_assert_span("/two", 200, WIRE_ERROR_NONE);
    assert_int_equal(next.response_body_size, 2);
    assert_int_equal(next.flags & WIRE_REQUEST_FRAMING_UNSEEN, 0);
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

static void test_exchange_ends_a_response_of_unseen_framing_with_the_connection(void **state)
{
    struct wire_request *request;
    union shim_record record;
    uint64_t sent_ns;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    send_unseen_chunks();
    sent_ns = clock_mono_ns();
    conn_closing(TRAFFIC_FD);
    assert_true(traffic_next_span(&record));
    request = &record.request;
    assert_int_equal(request->error, WIRE_ERROR_NONE);
    assert_in_range(request->end_ns, request->first_byte_ns, sent_ns); /* the last bytes' time, not the end's */

    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    send_unseen_chunks();
    traffic_fail_out(TRAFFIC_FD, EPIPE);
    conn_closing(TRAFFIC_FD);
    assert_unseen(WIRE_ERROR_CLIENT_CLOSED);
    traffic_assert_nothing_open();
}

/* Which bytes belong to which of two answers can't be told. */
static void test_exchange_gives_up_an_unseen_framing_in_a_pipeline(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET TRAFFIC_GET);
    send_unseen_chunks();
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_BAD_FRAMING);
    assert_false(traffic_captures(TRAFFIC_FD));
    traffic_assert_nothing_open();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, traffic_setup, traffic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_exchange_counts_bytes_it_does_not_see),
        TEST(test_exchange_doubts_unseen_bytes_outside_a_body),
        TEST(test_exchange_marks_a_framing_that_others_read_otherwise),
        TEST(test_exchange_marks_a_request_without_a_framing),
        TEST(test_exchange_marks_no_request_for_what_follows_it),
        TEST(test_exchange_ends_a_response_without_a_framing),
        TEST(test_exchange_ends_a_response_longer_than_announced),
        TEST(test_exchange_doubts_a_response_that_is_none),
        TEST(test_exchange_ends_a_response_of_unseen_framing_with_the_next_request),
        TEST(test_exchange_ends_a_response_of_unseen_framing_with_the_connection),
        TEST(test_exchange_gives_up_an_unseen_framing_in_a_pipeline),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
