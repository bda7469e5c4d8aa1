/* SPDX-License-Identifier: Apache-2.0 */
/* The messages on a connection; those whose end is in doubt are test_exchange_framing.c's. */
#include "preload/conn_internal.h"

#include "preload/conn.h"
#include "preload/ring.h"
#include "tests/support/shim_traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

static void test_exchange_makes_a_span_of_an_exchange(void **state)
{
    struct wire_request request;

    (void)state;
    assert_int_equal(traffic_counted(WIRE_COUNT_CONNECTIONS), 1);
    traffic_receive(TRAFFIC_FD, "POST /one?a=b HTTP/1.1\r\nHost: a:81\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), 1);
    assert_int_equal(shim_core_slot(traffic_ring, 0, 0)->open, WIRE_SLOT_OPEN);
    traffic_assert_no_span();
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(request.method, WIRE_METHOD_POST);
    assert_int_equal(request.request_body_size, 5);
    assert_int_equal(request.response_body_size, 2);
    assert_int_equal(request.server_port, 81);
    assert_int_equal(request.peer.family, WIRE_FAMILY_INET);
    assert_int_equal(request.peer.port, 40000);
    assert_int_equal(request.peer.ip[0], 127);
    assert_in_range(request.first_byte_ns, request.start_ns, request.end_ns);
    assert_int_equal(traffic_counted(WIRE_COUNT_REQUESTS), 1);
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    traffic_send(TRAFFIC_FD, TRAFFIC_EMPTY);
    (void)traffic_assert_span("/two", 204, WIRE_ERROR_NONE);
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

static void test_exchange_takes_bytes_one_by_one(void **state)
{
    static const char in[] = "POST /one HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < sizeof(in) - 1; i++)
        traffic_receive_bytes(TRAFFIC_FD, in + i, 1);
    for (size_t i = 0; i < sizeof(TRAFFIC_OK) - 1; i++)
        traffic_send_bytes(TRAFFIC_FD, &TRAFFIC_OK[i], 1);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_NONE).request_body_size, 3);
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

static void test_exchange_takes_vectors(void **state)
{
    struct iovec in[] = {
        {(char *)(uintptr_t) "GET /o", 6}, {NULL, 0}, {(char *)(uintptr_t) "ne HTTP/1.1\r\n\r\nGARBAGE", 22}};
    struct iovec out[] = {{(char *)(uintptr_t) "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 38},
                          {(char *)(uintptr_t) "hihihi", 6}};
    struct conn_ref ref;

    (void)state;
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn_data_in_vector(&ref, in, 3, 21); /* as many as came, not as many as fit */
    conn_data_out_vector(&ref, out, 2, 40);
    traffic_assert_no_span();
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
    conn_data_out_vector(&ref, out + 1, 1, 2);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_NONE).response_body_size, 4);
}

/* A line longer than what is kept of one loses the member that is cut, not only its end. */
static void test_exchange_drops_members_that_are_cut(void **state)
{
    enum { FIRST = 100, SECOND = HTTP1_STASH_SIZE };
    static const char before[] = "GET /one HTTP/1.1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"
                                 "b7ad6b7169203331-01\r\ntracestate: a=1,b=";
    char *line = malloc(SECOND);
    struct slice tracestate;

    (void)state;
    memset(line, 'b', SECOND);
    traffic_receive(TRAFFIC_FD, before);
    traffic_receive_bytes(TRAFFIC_FD, line, FIRST);
    traffic_receive(TRAFFIC_FD, ",c=");
    memset(line, ' ', SECOND);
    line[0] = 'c';
    line[SECOND - 1] = 'c';
    traffic_receive_bytes(TRAFFIC_FD, line, SECOND);
    traffic_receive(TRAFFIC_FD, "\r\n\r\n");
    tracestate = shim_core_text(wire_slot_request(shim_core_slot(traffic_ring, 0, 0)), WIRE_TEXT_TRACESTATE, 0);
    assert_int_equal(tracestate.length, 4 + 2 + FIRST);
    assert_memory_equal(tracestate.bytes, "a=1,b=bbb", 9);
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    free(line);
}

static void test_exchange_answers_a_pipeline_in_order(void **state)
{
    char request[64], path[16];
    char *all = calloc(CONN_PIPELINE_MAX, 64);

    (void)state;
    for (int i = 0; i < CONN_PIPELINE_MAX; i++) {
        snprintf(request, sizeof(request), "%s /%d HTTP/1.1\r\n\r\n", i % 3 ? "GET" : "HEAD", i);
        strcat(all, request);
    }
    traffic_receive(TRAFFIC_FD, all);
    free(all);
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), CONN_PIPELINE_MAX);
    for (int i = 0; i < CONN_PIPELINE_MAX; i++) {
        /* A response to HEAD announces a body that doesn't come. */
        traffic_send(TRAFFIC_FD, i % 3 ? TRAFFIC_OK : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        snprintf(path, sizeof(path), "/%d", i);
        assert_int_equal(traffic_assert_span(path, 200, WIRE_ERROR_NONE).response_body_size, i % 3 ? 2 : 0);
    }
    assert_true(traffic_captures(TRAFFIC_FD));
    traffic_assert_nothing_open();
}

static void test_exchange_gives_up_a_pipeline_that_is_too_deep(void **state)
{
    (void)state;
    for (int i = 0; i <= CONN_PIPELINE_MAX; i++)
        traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_int_equal(traffic_dropped(WIRE_DROP_PIPELINE_LIMIT),
                     CONN_PIPELINE_MAX); /* all that were counted as requests */
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 1);
    assert_false(traffic_captures(TRAFFIC_FD));
    traffic_assert_nothing_open();
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
}

/* A long life: the queue's numbers go round. */
static void test_exchange_serves_more_requests_than_its_queue_holds(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * CONN_PIPELINE_MAX; i++) {
        traffic_receive(TRAFFIC_FD, TRAFFIC_GET TRAFFIC_GET);
        traffic_send(TRAFFIC_FD, TRAFFIC_OK);
        traffic_send(TRAFFIC_FD, TRAFFIC_OK);
        (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    }
    traffic_assert_nothing_open();
}

static void test_exchange_goes_on_without_a_slot(void **state)
{
    struct wire_slot *taken[256];

    (void)state;
    for (int i = 0; i < 256; i++)
        taken[i] = ring_slot_take();
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_int_equal(traffic_dropped(WIRE_DROP_NO_SLOT), 1);
    ring_slot_release(taken[7]);
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    traffic_send(TRAFFIC_FD, TRAFFIC_OK TRAFFIC_OK);
    (void)traffic_assert_span("/two", 200, WIRE_ERROR_NONE);
    traffic_assert_no_span();
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), 255);
}

static void test_exchange_waits_for_the_final_response(void **state)
{
    struct wire_request request;

    (void)state;
    traffic_receive(TRAFFIC_FD, "POST /one HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 100 Continue\r\n\r\n");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    traffic_assert_no_span();
    assert_int_equal(wire_slot_request(shim_core_slot(traffic_ring, 0, 0))->first_byte_ns, 0);
    traffic_receive(TRAFFIC_FD, "abc");
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(request.request_body_size, 3);
    traffic_assert_nothing_open();
}

static void test_exchange_ends_with_an_upgrade(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "GET /socket HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    assert_int_equal(traffic_assert_span("/socket", 101, WIRE_ERROR_NONE).flags & WIRE_REQUEST_UPGRADED,
                     WIRE_REQUEST_UPGRADED);
    assert_false(traffic_captures(TRAFFIC_FD)); /* what follows is none of ours, and no loss */
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_assert_nothing_open();
}

static void test_exchange_ends_with_a_tunnel(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    (void)traffic_assert_span("", 403, WIRE_ERROR_NONE);
    assert_true(traffic_captures(TRAFFIC_FD));
    traffic_receive(TRAFFIC_FD, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(traffic_assert_span("", 200, WIRE_ERROR_NONE).flags & WIRE_REQUEST_UPGRADED,
                     WIRE_REQUEST_UPGRADED);
    assert_false(traffic_captures(TRAFFIC_FD));
    traffic_assert_nothing_open();
}

/* 414, 431, 408: a server may answer before the head has ended. What has come of it must do. */
static void test_exchange_takes_an_answer_before_the_heads_end(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "GET /one HTTP/1.1\r\nHost: a\r\nX-Long: aaaaaaaaa");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    (void)traffic_assert_span("/one", 431, WIRE_ERROR_NONE);
    traffic_receive(TRAFFIC_FD, "aaaa\r\n\r\nGET /two HTTP/1.1\r\n\r\n");
    conn_closing(TRAFFIC_FD);
    traffic_assert_nothing_open();
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
}

static void test_exchange_takes_an_answer_to_a_broken_request(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "GET /one HTTP/1.1\r\nHost : a\r\n\r\n");
    traffic_send(TRAFFIC_FD, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 400, WIRE_ERROR_NONE);
    traffic_assert_nothing_open();
}

/* Two heads of 100 kB each: the bodies are skipped all the same. */
static void test_exchange_follows_heads_of_any_length(void **state)
{
    enum { LONG = 100000 };
    static char text[LONG + 256];
    struct wire_request request;

    (void)state;
    snprintf(text, sizeof(text), "POST /%0*d HTTP/1.1\r\nContent-Length: 2\r\n\r\nab" TRAFFIC_GET, LONG, 7);
    traffic_receive(TRAFFIC_FD, text);
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX-Long: %0*d\r\nContent-Length: 2\r\n\r\nhi" TRAFFIC_OK, LONG, 7);
    traffic_send(TRAFFIC_FD, text);
    union shim_record record;
    assert_true(traffic_next_span(&record));
    request = record.request;
    assert_int_equal(request.flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
    assert_int_equal(request.request_body_size, 2);
    assert_int_equal(request.response_body_size, 2);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(request.flags & WIRE_REQUEST_TRUNCATED, 0);
    traffic_assert_nothing_open();
}

static void assert_client(const struct wire_request *request, const char *address, uint16_t port)
{
    struct slice text = shim_core_text(request, WIRE_TEXT_CLIENT_ADDRESS, 0);

    assert_int_equal(text.length, strlen(address));
    assert_memory_equal(text.bytes, address, text.length);
    assert_int_equal(request->client_port, port);
    assert_int_equal(request->peer.port, 40000); /* the socket's own peer stays what it is */
}

static struct wire_request answer_one(void)
{
    traffic_send(TRAFFIC_FD, TRAFFIC_OK);
    static union shim_record record;
    assert_true(traffic_next_span(&record));
    return record.request;
}

static const char v1[] = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\7\xc0\0\2\1\xdc\4\1\xbb";

static void test_exchange_takes_the_client_from_a_proxy_header(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } headers[] = {{v1, sizeof(v1) - 1}, {v2, sizeof(v2) - 1}};
    union shim_record record;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (size_t cut = 0; cut <= headers[i].length; cut++) {
            struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(40000), .sin_addr.s_addr = 1};

            conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, (struct sockaddr *)&peer, sizeof(peer));
            if (cut > 0)
                traffic_receive_bytes(TRAFFIC_FD, headers[i].bytes, cut);
            traffic_assert_nothing_open();
            if (cut < headers[i].length)
                traffic_receive_bytes(TRAFFIC_FD, headers[i].bytes + cut, headers[i].length - cut);
            traffic_receive(TRAFFIC_FD, TRAFFIC_GET "GET /two HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
            traffic_send(TRAFFIC_FD, TRAFFIC_OK TRAFFIC_OK);
            assert_true(traffic_next_span(&record));
            assert_client(&record.request, "203.0.113.7", 56324);
            assert_true(traffic_next_span(&record)); /* who forwards knows more than who passes on */
            assert_client(&record.request, "198.51.100.1", 0);
        }
    }
}

/* Requests that begin as a PROXY header does. */
static void test_exchange_reads_what_only_looked_like_a_proxy_header(void **state)
{
    static const char *const requests[] = {
        "POST /one HTTP/1.1\r\n\r\n",        "PROPFIND /one HTTP/1.1\r\n\r\n", "PROXY /one HTTP/1.1\r\n\r\n",
        "\r\n\r\nPUT /one HTTP/1.1\r\n\r\n", "\r\nGET /one HTTP/1.1\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        for (size_t step = 1; step < 20; step++) {
            conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
            for (size_t at = 0, length = strlen(requests[i]); at < length; at += step)
                traffic_receive_bytes(TRAFFIC_FD, requests[i] + at, length - at < step ? length - at : step);
            struct wire_request request = answer_one();
            assert_int_equal(request.status, 200);
            assert_int_equal(request.client_port, 0);
        }
    }
    traffic_assert_nothing_open();
}

static void test_exchange_lets_go_of_a_malformed_proxy_header(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n" TRAFFIC_GET);
    assert_false(traffic_captures(TRAFFIC_FD));
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive_bytes(TRAFFIC_FD, "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", 16); /* version 3 */
    assert_false(traffic_captures(TRAFFIC_FD));
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
    traffic_assert_nothing_open();
}

static void test_exchange_is_silent_about_other_protocols(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "*1\r\n$4\r\nPING\r\n");
    assert_false(traffic_captures(TRAFFIC_FD));
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_OTHER_FD, NULL, 0);
    traffic_send(TRAFFIC_OTHER_FD, "220 mail ESMTP\r\n");
    assert_false(traffic_captures(TRAFFIC_OTHER_FD));
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 2);
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
    traffic_assert_nothing_open();
}

/* RFC 9112 9.6: no request follows. The server may not know, and answer all the same. */
static void test_exchange_makes_no_span_of_what_follows_a_close_without_an_answer(void **state)
{
    static const char *const last[] = {
        "GET /one HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET /one HTTP/1.0\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        traffic_receive(TRAFFIC_FD, last[i]);
        traffic_send(TRAFFIC_FD, TRAFFIC_OK);
        (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\nGET /three HTTP/1.1\r\n\r\n");
        traffic_send(TRAFFIC_FD, TRAFFIC_OK);
        (void)traffic_assert_span("/two", 200, WIRE_ERROR_NONE);
        conn_closing(TRAFFIC_FD);
        traffic_assert_nothing_open();
    }
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    traffic_receive(TRAFFIC_FD, last[0]);
    traffic_receive(TRAFFIC_FD, "GET /two HTTP/1.1\r\n\r\n");
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    traffic_assert_nothing_open();
}

static void test_exchange_keeps_what_follows_a_close_once_its_answer_has_begun(void **state)
{
    (void)state;
    traffic_receive(TRAFFIC_FD, "GET /one HTTP/1.0\r\n\r\nGET /two HTTP/1.1\r\n\r\n");
    traffic_send(TRAFFIC_FD, TRAFFIC_OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    (void)traffic_assert_span("/two", 200, WIRE_ERROR_RESPONSE_INCOMPLETE);
    traffic_assert_nothing_open();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, traffic_setup, traffic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_exchange_makes_a_span_of_an_exchange),
        TEST(test_exchange_takes_bytes_one_by_one),
        TEST(test_exchange_takes_vectors),
        TEST(test_exchange_answers_a_pipeline_in_order),
        TEST(test_exchange_gives_up_a_pipeline_that_is_too_deep),
        TEST(test_exchange_serves_more_requests_than_its_queue_holds),
        TEST(test_exchange_goes_on_without_a_slot),
        TEST(test_exchange_waits_for_the_final_response),
        TEST(test_exchange_ends_with_an_upgrade),
        TEST(test_exchange_ends_with_a_tunnel),
        TEST(test_exchange_takes_an_answer_before_the_heads_end),
        TEST(test_exchange_takes_an_answer_to_a_broken_request),
        TEST(test_exchange_drops_members_that_are_cut),
        TEST(test_exchange_follows_heads_of_any_length),
        TEST(test_exchange_takes_the_client_from_a_proxy_header),
        TEST(test_exchange_reads_what_only_looked_like_a_proxy_header),
        TEST(test_exchange_lets_go_of_a_malformed_proxy_header),
        TEST(test_exchange_is_silent_about_other_protocols),
        TEST(test_exchange_makes_no_span_of_what_follows_a_close_without_an_answer),
        TEST(test_exchange_keeps_what_follows_a_close_once_its_answer_has_begun),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
