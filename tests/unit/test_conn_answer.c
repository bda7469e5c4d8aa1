/* SPDX-License-Identifier: Apache-2.0 */
/* What a server answers when responses are to have lines of ours, against a kernel that takes any number of bytes of
 * any call. */
#include "preload/conn.h"

#include "preload/config.h"
#include "preload/propagation.h"
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
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define ANSWER_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
#define ANSWER_REST "\r\nbody"
#define ANSWER      ANSWER_HEAD ANSWER_REST
#define TIMING      "Server-Timing: traceparent;desc=\"00-"
#define EXPOSE      "Access-Control-Expose-Headers: Server-Timing\r\n"

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"
#define HINTS    "HTTP/1.1 103 Early Hints\r\nServer-Timing: traceparent;desc=x\r\n\r\n"

enum { SERVER_FD = TRAFFIC_FD, TIMING_LENGTH = 33 + 55 + 3 };

static void accept_anew(unsigned lines)
{
    static const struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f};

    conn_forget(SERVER_FD);
    config.response_lines = lines;
    conn_accepted(TRAFFIC_LISTENER, SERVER_FD, (const struct sockaddr *)&peer, sizeof(peer));
    kernel_anew();
}

static void answer_bytes(const char *bytes, size_t length)
{
    kernel_offer_all(SERVER_FD, bytes, length);
}

static void hex(char *out, const uint8_t *bytes, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(snprintf(out + 2 * (ptrdiff_t)i, 3, "%02x", bytes[i]), 2);
}

/* The kernel got this with our line, of this span, and then `more` between the two parts. */
static void assert_answered(const char *head, const char *more, const char *rest, const struct wire_request *request)
{
    char expected[8192], trace[33], span[17];
    int length;

    hex(trace, request->trace_id, 16);
    hex(span, request->span_id, 8);
    length = snprintf(expected, sizeof(expected), "%s" TIMING "%s-%s-%02x\"\r\n%s%s", head, trace, span,
                      request->trace_flags, more, rest);
    assert_int_equal(kernel.length, length);
    assert_memory_equal(kernel.bytes, expected, (size_t)length);
}

static void assert_untouched(const char *bytes, uint64_t count)
{
    assert_int_equal(kernel.length, strlen(bytes));
    assert_memory_equal(kernel.bytes, bytes, strlen(bytes));
    assert_int_equal(ring_lane()->withheld[WIRE_WITHHOLD_RESPONSE], count);
}

static void test_conn_answer_adds_a_line(void **state)
{
    struct wire_request request;

    (void)state;
    accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
    for (int i = 0; i < 3; i++) {
        kernel_anew();
        traffic_receive(SERVER_FD, TRAFFIC_GET);
        answer_bytes(ANSWER, strlen(ANSWER));
        request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        assert_int_equal(request.response_body_size, 4);
        assert_answered(ANSWER_HEAD, "", ANSWER_REST, &request);
    }
}

static void test_conn_answer_is_not_there_by_default(void **state)
{
    struct conn_ref ref;

    (void)state;
    accept_anew(0);
    traffic_receive(SERVER_FD, TRAFFIC_GET);
    assert_true(conn_capture(&ref, SERVER_FD));
    assert_false(conn_looks_ahead(&ref));
}

/* Heads without a body of any kind are as good as others. */
static void test_conn_answer_knows_heads_without_a_body(void **state)
{
    static const char head[] = "HTTP/1.1 304 Not Modified\r\nETag: x\r\n";
    static const char empty[] = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n";
    struct wire_request request;

    (void)state;
    for (size_t cut = 0; cut <= strlen(head) + 2; cut++) {
        accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
        traffic_receive(SERVER_FD, TRAFFIC_GET);
        answer_bytes("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", cut);
        answer_bytes(&"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"[cut], strlen(head) + 2 - cut);
        request = traffic_assert_span("/one", 304, WIRE_ERROR_NONE);
        assert_answered(head, "", "\r\n", &request);
    }
    kernel_anew();
    traffic_receive(SERVER_FD, "HEAD /one HTTP/1.1\r\n\r\n");
    answer_bytes("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", strlen(empty) + 2);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_answered(empty, "", "\r\n", &request);
}

static void test_conn_answer_survives_every_cut(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= strlen(ANSWER); cut++)
        for (size_t takes = 0; takes <= 2 * (strlen(ANSWER) + TIMING_LENGTH); takes++) {
            struct wire_request request;

            accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
            traffic_receive(SERVER_FD, TRAFFIC_GET);
            if (takes % 2) /* of its first call or of its second */
                kernel.takes = takes / 2;
            answer_bytes(ANSWER, cut);
            if (takes % 2 == 0)
                kernel.takes = takes / 2;
            answer_bytes(&ANSWER[cut], strlen(ANSWER) - cut);
            request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
            assert_int_equal(request.response_body_size, 4);
            assert_answered(ANSWER_HEAD, "", ANSWER_REST, &request);
        }
}

static void test_conn_answer_survives_single_bytes(void **state)
{
    struct wire_request request;

    (void)state;
    accept_anew(PROPAGATION_RESPONSE_TRACEPARENT | PROPAGATION_RESPONSE_CORS);
    traffic_receive(SERVER_FD, TRAFFIC_GET);
    for (size_t i = 0; i < strlen(ANSWER); i++) {
        kernel.takes = i % 2;
        answer_bytes(&ANSWER[i], 1);
    }
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_answered(ANSWER_HEAD, EXPOSE, ANSWER_REST, &request);
}

/* Only the last one is the answer, whether they go out together or not. */
static void test_conn_answer_passes_over_interim_ones(void **state)
{
    static const char all[] = CONTINUE HINTS ANSWER;
    struct wire_request request;

    (void)state;
    for (size_t cut = 0; cut <= strlen(all); cut++) {
        accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
        traffic_receive(SERVER_FD, "PUT /one HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        answer_bytes(all, cut);
        answer_bytes(&all[cut], strlen(all) - cut);
        request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
        assert_answered(CONTINUE HINTS ANSWER_HEAD, "", ANSWER_REST, &request);
    }
}

static void test_conn_answer_leaves_an_upgrade(void **state)
{
    static const char all[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";

    (void)state;
    accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
    traffic_receive(SERVER_FD, "GET /one HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    answer_bytes(all, strlen(all));
    answer_bytes("frames", 6);
    (void)traffic_assert_span("/one", 101, WIRE_ERROR_NONE);
    assert_int_equal(kernel.length, strlen(all) + 6);
}

/* The program tells its own; other metrics of its are none of ours. */
static void test_conn_answer_leaves_the_programs_lines(void **state)
{
    static const char own[] = "HTTP/1.1 204 No Content\r\nServer-Timing: db;dur=5, TraceParent;desc=\"x\"\r\n\r\n";
    static const char other[] = "HTTP/1.1 204 No Content\r\nServer-Timing: db;desc=traceparent\r\n";
    struct wire_request request;

    (void)state;
    for (size_t cut = 0; cut <= strlen(own); cut++) {
        accept_anew(PROPAGATION_RESPONSE_TRACEPARENT | PROPAGATION_RESPONSE_CORS);
        traffic_receive(SERVER_FD, TRAFFIC_GET);
        answer_bytes(own, cut);
        answer_bytes(&own[cut], strlen(own) - cut);
        (void)traffic_assert_span("/one", 204, WIRE_ERROR_NONE);
        assert_untouched(own, 0);
    }
    kernel_anew();
    traffic_receive(SERVER_FD, TRAFFIC_GET);
    answer_bytes(other, strlen(other));
    answer_bytes("\r\n", 2);
    request = traffic_assert_span("/one", 204, WIRE_ERROR_NONE);
    assert_answered(other, EXPOSE, "\r\n", &request);
}

static void test_conn_answer_leaves_long_answers(void **state)
{
    char all[8192];

    (void)state;
    for (int length = 3600; length < 8000; length += 4000) {
        (void)snprintf(all, sizeof(all), "HTTP/1.1 204 No Content\r\nX: %0*d\r\n\r\n", length, 0);
        accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
        traffic_receive(SERVER_FD, TRAFFIC_GET);
        answer_bytes(all, strlen(all));
        (void)traffic_assert_span("/one", 204, WIRE_ERROR_NONE);
        if (length == 3600)
            assert_int_equal(kernel.length, strlen(all) + TIMING_LENGTH);
        else
            assert_untouched(all, 1);
    }
}

/* Only the first answer of one call has our line. */
static void test_conn_answer_pipelines(void **state)
{
    struct wire_request request;

    (void)state;
    accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
    traffic_receive(SERVER_FD, TRAFFIC_GET TRAFFIC_GET TRAFFIC_GET);
    answer_bytes(ANSWER ANSWER_HEAD, strlen(ANSWER ANSWER_HEAD));
    answer_bytes(ANSWER_REST, strlen(ANSWER_REST));
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_answered(ANSWER_HEAD, "", ANSWER_REST ANSWER, &request);
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_int_equal(request.withheld, WIRE_WITHHOLD_HEAD_CUT);
    kernel_anew();
    answer_bytes(ANSWER, strlen(ANSWER));
    request = traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    assert_answered(ANSWER_HEAD, "", ANSWER_REST, &request);
    assert_int_equal(ring_lane()->withheld[WIRE_WITHHOLD_RESPONSE], 1);
}

/* Nothing of an answer went out: the program gives another one, or none. */
static void test_conn_answer_may_be_given_anew(void **state)
{
    struct wire_request request;

    (void)state;
    accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
    traffic_receive(SERVER_FD, TRAFFIC_GET);
    kernel.takes = 0;
    assert_int_equal(kernel_offer(SERVER_FD, ANSWER, strlen(ANSWER)), -1);
    answer_bytes("HTTP/1.1 503 No\r\n\r\n", 19);
    conn_closing(SERVER_FD);
    request = traffic_assert_span("/one", 503, WIRE_ERROR_NONE);
    assert_answered("HTTP/1.1 503 No\r\n", "", "\r\n", &request);

    accept_anew(PROPAGATION_RESPONSE_TRACEPARENT);
    traffic_receive(SERVER_FD, TRAFFIC_GET);
    kernel.takes = 0;
    kernel.error = EPIPE;
    assert_int_equal(kernel_offer(SERVER_FD, ANSWER, strlen(ANSWER)), -1);
    assert_int_equal(errno, EPIPE);
    conn_closing(SERVER_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_CLIENT_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_conn_answer_##name, traffic_setup, traffic_teardown)
        TEST(adds_a_line),        TEST(is_not_there_by_default),   TEST(knows_heads_without_a_body),
        TEST(survives_every_cut), TEST(survives_single_bytes),     TEST(passes_over_interim_ones),
        TEST(leaves_an_upgrade),  TEST(leaves_the_programs_lines), TEST(leaves_long_answers),
        TEST(pipelines),          TEST(may_be_given_anew),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
