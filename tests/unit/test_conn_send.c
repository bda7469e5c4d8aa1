/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends, against a kernel that takes any number of bytes of any call. */
#include "preload/conn.h"

#include "preload/config.h"
#include "preload/current.h"
#include "preload/outgoing.h"
#include "preload/ring.h"
#include "tests/support/shim_kernel.h"
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
#include <sys/socket.h>

#include <cmocka.h>

#define HEAD "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
#define REST "\r\nbody"
#define ALL  HEAD REST

enum { CLIENT_FD = TRAFFIC_OTHER_FD, HEADER_LENGTH = 70 };

static void connect_anew(void)
{
    static const struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = 0x901f, .sin_addr.s_addr = 0x0100007f}; /* 127.0.0.1:8080 */

    conn_forget(CLIENT_FD);
    conn_connecting(CLIENT_FD, (const struct sockaddr *)&peer, sizeof(peer), 0, 0);
    kernel_anew();
}

static ssize_t offer(const char *bytes, size_t length)
{
    return kernel_offer(CLIENT_FD, bytes, length);
}

static void send_bytes(const char *bytes, size_t length)
{
    kernel_offer_all(CLIENT_FD, bytes, length);
}

/* The kernel got this with one header of ours between the two parts, whose ids are the span's. */
static void assert_told(const char *head, const char *rest, const struct wire_request *request)
{
    const char *own = kernel.bytes + strlen(head);
    char id[17];

    assert_int_equal(kernel.length, strlen(head) + HEADER_LENGTH + strlen(rest));
    assert_memory_equal(kernel.bytes, head, strlen(head));
    assert_memory_equal(own, "traceparent: 00-", 16);
    assert_memory_equal(own + HEADER_LENGTH, rest, strlen(rest));
    for (int i = 0; i < 8; i++)
        assert_int_equal(snprintf(id + 2 * (ptrdiff_t)i, 3, "%02x", request->span_id[i]), 2);
    assert_memory_equal(own + 16 + 33, id, 16);
}

static void answer(void)
{
    traffic_receive(CLIENT_FD, TRAFFIC_OK);
}

static void test_conn_send_adds_a_header(void **state)
{
    struct wire_request request;

    (void)state;
    connect_anew();
    send_bytes(ALL, strlen(ALL));
    traffic_assert_no_span();
    answer();
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(request.kind, WIRE_KIND_CLIENT);
    assert_int_equal(request.peer.port, 8080);
    assert_int_equal(request.server_port, 80);
    assert_int_equal(request.request_body_size, 4);
    assert_int_equal(request.response_body_size, 2);
    assert_told(HEAD, REST, &request);
}

/* The program cuts its bytes anywhere, and so does the kernel. */
static void test_conn_send_survives_every_cut(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= strlen(ALL); cut++)
        for (size_t takes = 0; takes <= strlen(ALL) + HEADER_LENGTH; takes++) {
            struct wire_request request;

            connect_anew();
            if (takes % 2) /* of its first call or of its second */
                kernel.takes = takes / 2;
            send_bytes(ALL, cut);
            if (takes % 2 == 0)
                kernel.takes = takes / 2;
            send_bytes(&ALL[cut], strlen(ALL) - cut);
            answer();
            request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
            assert_int_equal(request.request_body_size, 4);
            assert_told(HEAD, REST, &request);
        }
}

static void test_conn_send_survives_single_bytes(void **state)
{
    struct wire_request request;

    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        connect_anew();
        for (size_t i = 0; i < strlen(ALL); i++) {
            kernel.takes = fails ? i % 2 : 1;
            send_bytes(&ALL[i], 1);
        }
        answer();
        request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        assert_told(HEAD, REST, &request);
    }
}

/* A line feed alone ends lines too. */
static void test_conn_send_knows_bare_line_feeds(void **state)
{
    static const char head[] = "GET /one HTTP/1.1\nHost: a\n";
    struct wire_request request;

    (void)state;
    for (size_t cut = 0; cut <= strlen(head) + 1; cut++) {
        char all[64];

        (void)snprintf(all, sizeof(all), "%s\n", head);
        connect_anew();
        send_bytes(all, cut);
        send_bytes(all + cut, strlen(all) - cut);
        answer();
        request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        assert_told(head, "\n", &request);
    }
}

static void assert_untold(const char *bytes, enum wire_withhold reason, uint64_t count)
{
    assert_int_equal(kernel.length, strlen(bytes));
    assert_memory_equal(kernel.bytes, bytes, strlen(bytes));
    assert_int_equal(ring_lane()->withheld[reason], count);
}

/* The program's own: our span belongs to its trace, and the header stays. */
static void test_conn_send_leaves_the_programs_header(void **state)
{
    static const char all[] = "GET /one HTTP/1.1\r\n"
                              "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
    struct wire_request request;

    (void)state;
    connect_anew();
    send_bytes(all, strlen(all));
    answer();
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_untold(all, WIRE_WITHHOLD_HEAD_CUT, 0);
    assert_int_equal(request.trace_id[0], 0x0a);
    assert_int_equal(request.parent_span_id[0], 0xb7);
}

/* One that came with the request that is being served: ours takes its place, and that request is the parent. */
static void test_conn_send_replaces_what_is_passed_on(void **state)
{
#define PASSED "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    static const char all[] = "GET /two HTTP/1.1\r\n" PASSED "Host: a\r\n\r\n";
    struct wire_request inner, outer;

    (void)state;
    for (size_t takes = 0; takes <= strlen(all); takes++) {
        connect_anew();
        traffic_receive(TRAFFIC_FD, "GET /one HTTP/1.1\r\n" PASSED "\r\n");
        kernel.takes = takes;
        send_bytes(all, strlen(all));
        answer();
        inner = traffic_assert_span("/two", 200, WIRE_ERROR_NONE);
        traffic_send(TRAFFIC_FD, TRAFFIC_OK);
        outer = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        assert_told("GET /two HTTP/1.1\r\nHost: a\r\n", "\r\n", &inner);
        assert_memory_equal(inner.trace_id, outer.trace_id, 16);
        assert_memory_equal(inner.parent_span_id, outer.span_id, 8);
    }
}

static void test_conn_send_leaves_long_heads(void **state)
{
    char *all = calloc(1, 20000);

    (void)state;
    assert_non_null(all);
    for (size_t length = 7000; length < 20000; length += 6000) {
        (void)snprintf(all, 20000, "GET /one HTTP/1.1\r\nX: %0*d\r\n\r\n", (int)length - 30, 0);
        connect_anew();
        send_bytes(all, strlen(all));
        answer();
        (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        if (length == 7000)
            assert_int_equal(kernel.length, strlen(all) + HEADER_LENGTH);
        else
            assert_untold(all, WIRE_WITHHOLD_HEAD_TOO_LONG, (length - 7000) / 6000);
    }
    free(all);
}

static void test_conn_send_leaves_many_fields(void **state)
{
    char all[4096];

    (void)state;
    for (int fields = 94; fields <= 95; fields++) {
        size_t length = (size_t)snprintf(all, sizeof(all), "GET /one HTTP/1.1\r\n");

        for (int i = 0; i < fields; i++)
            length += (size_t)snprintf(all + length, sizeof(all) - length, "X: %d\r\n", i);
        (void)snprintf(all + length, sizeof(all) - length, "\r\n");
        connect_anew();
        send_bytes(all, strlen(all));
        answer();
        (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        if (fields == 94)
            assert_int_equal(kernel.length, strlen(all) + HEADER_LENGTH);
        else
            assert_untold(all, WIRE_WITHHOLD_TOO_MANY_FIELDS, 1);
    }
}

/* A signature may cover what is added. One that names what it covers (AWS) does not. */
static void test_conn_send_leaves_signed_requests(void **state)
{
    static const char *const fields[] = {"Signature: x", "signature-input: y", "Authorization: Signature keyId=z",
                                         "Authorization: AWS4-HMAC-SHA256 SignedHeaders=host", "Signatures: none"};
    char all[256];

    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        (void)snprintf(all, sizeof(all), "GET /one HTTP/1.1\r\n%s\r\n\r\n", fields[i]);
        connect_anew();
        send_bytes(all, strlen(all));
        answer();
        (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        if (i < 3)
            assert_untold(all, WIRE_WITHHOLD_SIGNED, i + 1);
        else
            assert_int_equal(kernel.length, strlen(all) + HEADER_LENGTH);
    }
}

/* Only the first of those that go out in one call has a header. */
static void test_conn_send_pipelines(void **state)
{
    static const char rest[] = "\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n";
    struct wire_request request;

    (void)state;
    connect_anew();
    send_bytes("GET /one HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n", 51);
    answer();
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_told("GET /one HTTP/1.1\r\n", rest, &request);
    answer();
    request = traffic_assert_span("/two", 200, WIRE_ERROR_NONE);
    assert_int_equal(request.withheld, WIRE_WITHHOLD_PIPELINED);
}

/* A call that failed for good, and one that another request takes the place of. */
static void test_conn_send_fails(void **state)
{
    (void)state;
    connect_anew();
    kernel.takes = 0;
    kernel.error = EPIPE;
    assert_int_equal(offer(ALL, strlen(ALL)), -1);
    assert_int_equal(errno, EPIPE);
    conn_closing(CLIENT_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_CONNECTION_RESET);

    connect_anew();
    kernel.takes = 0;
    assert_int_equal(offer(ALL, strlen(ALL)), -1);
    send_bytes("GET /two HTTP/1.1\r\n\r\n", 21);
    answer();
    (void)traffic_assert_span("/two", 200, WIRE_ERROR_NONE);
    conn_closing(CLIENT_FD);
    traffic_assert_no_span();
}

/* Before an answer, which may be because it waited too long; amid its head; and when it has seen enough of one. */
static void test_conn_send_is_given_up(void **state)
{
    (void)state;
    connect_anew();
    send_bytes(ALL, strlen(ALL));
    conn_closing(CLIENT_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);

    connect_anew();
    send_bytes(ALL, strlen(ALL));
    conn_waited_in_vain(CLIENT_FD);
    conn_closing(CLIENT_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_TIMEOUT);

    connect_anew();
    send_bytes(ALL, strlen(ALL));
    traffic_receive(CLIENT_FD, "HTTP/1.1 200 OK\r\nContent-Le");
    conn_closing(CLIENT_FD);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_RESPONSE_INCOMPLETE);

    for (int waits = 0; waits < 2; waits++) {
        connect_anew();
        send_bytes(ALL, strlen(ALL));
        conn_waited_in_vain(CLIENT_FD);
        traffic_receive(CLIENT_FD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
        if (waits)
            conn_waited_in_vain(CLIENT_FD);
        conn_closing(CLIENT_FD);
        (void)traffic_assert_span("/one", 200, waits ? WIRE_ERROR_TIMEOUT : WIRE_ERROR_NONE);
    }
}

/* The program does not finish what it began: what is cut of ours goes out, then it has its way. */
static void test_conn_send_ends_what_it_began(void **state)
{
    (void)state;
    connect_anew();
    kernel.takes = strlen(HEAD) + 10;
    assert_int_equal(offer(ALL, strlen(ALL)), strlen(HEAD));
    send_bytes("GET /two", 8);
    assert_int_equal(kernel.length, strlen(HEAD) + HEADER_LENGTH + 8);
    assert_memory_equal(kernel.bytes + strlen(HEAD) + HEADER_LENGTH, "GET /two", 8);
    conn_closing(CLIENT_FD);
    traffic_assert_no_span();
}

/* A call without bytes decides nothing. */
static void test_conn_send_knows_calls_without_bytes(void **state)
{
    struct wire_request request;

    (void)state;
    connect_anew();
    (void)offer("", 0);
    send_bytes(HEAD, strlen(HEAD));
    (void)offer("", 0);
    send_bytes(REST, strlen(REST));
    answer();
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_told(HEAD, REST, &request);
}

/* Bytes go by another call than those that may be replaced: the rest of our line goes out before them. */
static void test_conn_send_pays_what_it_owes(void **state)
{
    const struct conn_sender sender = {.send = kernel_send, .takes_one = true};
    struct conn_ref ref;

    (void)state;
    connect_anew();
    kernel.takes = strlen(HEAD) + 10;
    assert_int_equal(offer(ALL, strlen(ALL)), strlen(HEAD));
    assert_true(conn_capture(&ref, CLIENT_FD));
    kernel.takes = 0;
    assert_false(conn_send_owed(&ref, &sender));
    assert_int_equal(errno, EAGAIN);
    kernel.takes = 3;
    assert_true(conn_send_owed(&ref, &sender));
    assert_true(conn_send_owed(&ref, &sender)); /* once */
    traffic_send_bytes(CLIENT_FD, REST, strlen(REST));
    assert_int_equal(kernel.length, strlen(HEAD) + HEADER_LENGTH);
    assert_memory_equal(&kernel.bytes[kernel.length - 2], "\r\n", 2);
    conn_closing(CLIENT_FD);
    traffic_assert_no_span();
    traffic_assert_nothing_open();
}

static jmp_buf before_call;

static void jump(void)
{
    longjmp(before_call, 1);
}

/* A signal handler jumps out of the call. */
static void test_conn_send_survives_a_jump(void **state)
{
    static volatile size_t takes; /* of the first call: what is cut waits */

    (void)state;
    for (takes = 0; takes < strlen(HEAD) + HEADER_LENGTH; takes++) {
        static volatile ssize_t sent;
        struct wire_request request;

        connect_anew();
        kernel.takes = takes;
        sent = offer(ALL, strlen(ALL));
        if (sent < 0) /* none of the program's, though some of ours may be */
            sent = 0;
        if (setjmp(before_call) == 0) {
            kernel.meanwhile = jump;
            (void)offer(&ALL[sent], strlen(ALL) - (size_t)sent);
            fail();
        }
        assert_int_equal(offer(&ALL[sent], strlen(ALL) - (size_t)sent), strlen(ALL) - (size_t)sent);
        answer();
        request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        assert_told(HEAD, REST, &request);
    }
}

static void close_and_reuse(void)
{
    size_t length = kernel.length;

    conn_closing(CLIENT_FD);
    connect_anew();
    kernel.length = length;
}

static void close_and_begin(void)
{
    close_and_reuse();
    kernel.takes = strlen(HEAD) + 10;
    assert_int_equal(offer(ALL, strlen(ALL)), strlen(HEAD));
}

/* Another thread closes the connection while the call waits, and its number and memory are another one's by then. */
static void test_conn_send_outlives_its_connection(void **state)
{
    struct wire_request request;

    (void)state;
    for (int i = 0; i < 1000; i++) { /* more than there are blocks */
        connect_anew();
        kernel.meanwhile = close_and_reuse;
        (void)offer("GET /gone HTTP/1.1\r\n\r\n", 23);
        (void)traffic_assert_span("/gone", 0, WIRE_ERROR_NO_RESPONSE);
        kernel.length = 0;
        send_bytes(ALL, strlen(ALL));
        answer();
        request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        assert_told(HEAD, REST, &request);
    }
    kernel.meanwhile = close_and_begin;
    kernel.length = 0;
    (void)offer("GET /gone HTTP/1.1\r\n\r\n", 23);
    kernel.length = strlen(HEAD) + 10;
    send_bytes(REST, strlen(REST));
    assert_int_equal(kernel.length, strlen(ALL) + HEADER_LENGTH);
}

/* The server gives up waiting, in another thread's eyes, while the call that would send a request fails. */
static void test_conn_send_is_answered_before_it_asks(void **state)
{
    (void)state;
    connect_anew();
    kernel.takes = 0;
    kernel.meanwhile = answer;
    assert_int_equal(offer(ALL, strlen(ALL)), -1);
    conn_closing(CLIENT_FD);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    traffic_assert_no_span();
    traffic_assert_nothing_open();
}

/* Another thread has read the whole answer before the call returns that sent the body's end. */
static void test_conn_send_counts_a_body_ahead(void **state)
{
    (void)state;
    connect_anew();
    send_bytes(ALL, strlen(ALL) - 2);
    kernel.meanwhile = answer;
    send_bytes(&ALL[strlen(ALL) - 2], 2);
    assert_int_equal(traffic_assert_span("/one", 200, WIRE_ERROR_NONE).request_body_size, 4);
}

/* Through a proxy; the tunnel's bytes are none of ours. */
static void test_conn_send_knows_tunnels(void **state)
{
    static const char head[] = "CONNECT a:443 HTTP/1.1\r\n";

    (void)state;
    connect_anew();
    send_bytes("CONNECT a:443 HTTP/1.1\r\n\r\n", strlen(head) + 2);
    traffic_receive(CLIENT_FD, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(kernel.length, strlen(head) + 2 + HEADER_LENGTH);
    send_bytes(ALL, strlen(ALL));
    assert_int_equal(kernel.length, strlen(head) + 2 + HEADER_LENGTH + strlen(ALL));
    conn_closing(CLIENT_FD);
    {
        union shim_record record;

        assert_true(traffic_next_span(&record));
        assert_false(traffic_next_span(&record));
    }
    traffic_assert_nothing_open();
}

static void test_conn_send_leaves_alone_who_does_not_ask(void **state)
{
    static const char *const other[] = {"EHLO a\r\n", "\x16\x03\x01\x02", "*1\r\n$4\r\nPING\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        connect_anew();
        send_bytes(other[i], strlen(other[i]));
        send_bytes(ALL, strlen(ALL));
        assert_int_equal(kernel.length, strlen(other[i]) + strlen(ALL));
    }
    traffic_assert_nothing_open();
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 0);
}

/* Bytes that may yet become a line, and those that never will: PostgreSQL's first ones. */
static void test_conn_send_keeps_the_beginning_of_a_line(void **state)
{
    static const char postgres[] = {0, 0, 0, 8, 4, (char)0xd2, 0x16, 0x2f};
    struct wire_request request;

    (void)state;
    connect_anew();
    send_bytes(postgres, sizeof(postgres));
    send_bytes(ALL, strlen(ALL));
    assert_int_equal(kernel.length, sizeof(postgres) + strlen(ALL));
    traffic_assert_nothing_open();
    connect_anew();
    send_bytes(ALL, 2);
    send_bytes(&ALL[2], 6);
    send_bytes(&ALL[8], strlen(ALL) - 8);
    answer();
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_told(HEAD, REST, &request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_conn_send_##name, traffic_setup, traffic_teardown)
        TEST(adds_a_header),
        TEST(survives_every_cut),
        TEST(survives_single_bytes),
        TEST(knows_bare_line_feeds),
        TEST(leaves_the_programs_header),
        TEST(replaces_what_is_passed_on),
        TEST(leaves_long_heads),
        TEST(leaves_many_fields),
        TEST(leaves_signed_requests),
        TEST(pipelines),
        TEST(fails),
        TEST(is_given_up),
        TEST(ends_what_it_began),
        TEST(knows_calls_without_bytes),
        TEST(pays_what_it_owes),
        TEST(survives_a_jump),
        TEST(outlives_its_connection),
        TEST(is_answered_before_it_asks),
        TEST(counts_a_body_ahead),
        TEST(knows_tunnels),
        TEST(leaves_alone_who_does_not_ask),
        TEST(keeps_the_beginning_of_a_line),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
