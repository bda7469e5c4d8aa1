/* SPDX-License-Identifier: Apache-2.0 */
/* FastCGI's several requests at once on a connection, at both of its ends. */
#include "preload/conn.h"

#include "preload/ring.h"
#include "preload/slice.h"
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

#include <cmocka.h>

enum {
    CLIENT_FD = TRAFFIC_OTHER_FD,
    STREAMS_MAX = 16,
    OWN_LENGTH = 8 + 2 + 16 + 55, /* a record with one variable: a trace header */
};

#define BYTES(text)       text, sizeof(text) - 1
#define BEGIN(id)         "\1\1\0" id "\0\x08\0\0\0\1\1\0\0\0\0\0"
#define PARAMS(id, path)  "\1\4\0" id "\0\x24\0\0\x0e\3REQUEST_METHODGET\x0b\4REQUEST_URI" path
#define NO_PARAMS(id)     "\1\4\0" id "\0\0\0\0"
#define HEAD(id, path)    BEGIN(id) PARAMS(id, path) NO_PARAMS(id)
#define STDIN(id)         "\1\5\0" id "\0\5\3\0hello\0\0\0"
#define NO_STDIN(id)      "\1\5\0" id "\0\0\0\0"
#define ABORT(id)         "\1\2\0" id "\0\0\0\0"
#define ASK(id, path)     HEAD(id, path) NO_STDIN(id)
#define STDOUT(id, state) "\1\6\0" id "\0\x14\7\0Status: " state " A\r\n\r\nbdy\0\0\0\0\0\0\0"
#define STDERR(id)        "\1\7\0" id "\0\3\0\0oh\n"
#define END(id, status)   "\1\3\0" id "\0\x08\0\0\0\0\0\0" status "\0\0\0"
#define ANSWER(id, state) STDOUT(id, state) STDERR(id) END(id, "\0")
#define GET_VALUES        "\1\x09\0\0\0\x11\0\0\x0f\0FCGI_MPXS_CONNS"
#define VALUES            "\1\x0a\0\0\0\x12\0\0\x0f\1FCGI_MPXS_CONNS1"
#define RECEIVE(bytes)    traffic_receive_bytes(TRAFFIC_FD, BYTES(bytes))
#define SEND(bytes)       traffic_send_bytes(TRAFFIC_FD, BYTES(bytes))

static void expect(const char *path, unsigned status)
{
    struct wire_request request = traffic_assert_span(path, status, WIRE_ERROR_NONE);

    assert_int_equal(request.version, WIRE_PROTOCOL_FASTCGI);
    assert_int_equal(request.response_body_size, 3);
}

static void assert_nothing_lost(void)
{
    traffic_assert_nothing_open();
    for (enum wire_drop drop = 0; drop < WIRE_DROP_COUNT; drop++)
        assert_int_equal(traffic_dropped(drop), 0);
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 0);
}

static void test_stream_ends_in_any_order(void **state)
{
    (void)state;
    RECEIVE(GET_VALUES ASK("\1", "/one") ASK("\2", "/two"));
    SEND(VALUES ANSWER("\2", "202"));
    expect("/two", 202);
    RECEIVE(ASK("\3", "/thr"));
    SEND(ANSWER("\1", "201"));
    expect("/one", 201);
    SEND(ANSWER("\3", "203"));
    expect("/thr", 203);
    assert_nothing_lost();
}

/* Records of one between those of the other, in heads, in bodies and in answers; each cut anywhere. */
static void test_stream_survives_every_cut(void **state)
{
    static const char asked[] = BEGIN("\1") BEGIN("\2") PARAMS("\2", "/two") PARAMS("\1", "/one") NO_PARAMS("\2")
        STDIN("\2") NO_PARAMS("\1") STDIN("\2") NO_STDIN("\2") STDIN("\1") NO_STDIN("\1");
    static const char answered[] = STDOUT("\2", "202") STDOUT("\1", "201") STDERR("\2") END("\2", "\0") END("\1", "\0");

    (void)state;
    for (size_t cut = 0; cut < sizeof(asked) - 1; cut++) {
        struct wire_request request;
        size_t other = cut < sizeof(answered) - 1 ? cut : 1;

        traffic_receive_bytes(TRAFFIC_FD, asked, cut);
        traffic_receive_bytes(TRAFFIC_FD, asked + cut, sizeof(asked) - 1 - cut);
        traffic_send_bytes(TRAFFIC_FD, answered, other);
        traffic_send_bytes(TRAFFIC_FD, answered + other, sizeof(answered) - 1 - other);
        request = traffic_assert_span("/two", 202, WIRE_ERROR_NONE);
        assert_int_equal(request.request_body_size, 10);
        request = traffic_assert_span("/one", 201, WIRE_ERROR_NONE);
        assert_int_equal(request.request_body_size, 5);
    }
    assert_nothing_lost();
}

static void test_stream_survives_single_bytes(void **state)
{
    static const char asked[] = ASK("\1", "/one") ASK("\2", "/two");
    static const char answered[] = ANSWER("\2", "202") ANSWER("\1", "201");

    (void)state;
    for (size_t i = 0; i < sizeof(asked) - 1; i++)
        traffic_receive_bytes(TRAFFIC_FD, asked + i, 1);
    for (size_t i = 0; i < sizeof(answered) - 1; i++)
        traffic_send_bytes(TRAFFIC_FD, answered + i, 1);
    expect("/two", 202);
    expect("/one", 201);
    assert_nothing_lost();
}

/* As many as are followed, again and again, also of other ids; one more is too many. */
static void test_stream_has_a_bound(void **state)
{
    char ask[] = ASK("\1", "/one"), answer[] = ANSWER("\1", "201");
    static const size_t ask_ids[] = {2, 18, 62, 70}, answer_ids[] = {2, 37, 48};

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int id = 1; id <= STREAMS_MAX; id++) {
            for (size_t i = 0; i < sizeof(ask_ids) / sizeof(ask_ids[0]); i++)
                ask[ask_ids[i]] = (char)round;
            for (size_t i = 0; i < sizeof(ask_ids) / sizeof(ask_ids[0]); i++)
                ask[ask_ids[i] + 1] = (char)id;
            traffic_receive_bytes(TRAFFIC_FD, BYTES(ask));
        }
        for (int id = STREAMS_MAX; id > 0 && round < 2; id--) {
            for (size_t i = 0; i < sizeof(answer_ids) / sizeof(answer_ids[0]); i++) {
                answer[answer_ids[i]] = (char)round;
                answer[answer_ids[i] + 1] = (char)id;
            }
            traffic_send_bytes(TRAFFIC_FD, BYTES(answer));
            expect("/one", 201);
        }
    }
    RECEIVE(ASK("\x7f", "/one"));
    assert_int_equal(traffic_dropped(WIRE_DROP_PIPELINE_LIMIT), STREAMS_MAX);
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 1);
    traffic_assert_nothing_open();
}

/* One that is aborted, one that is refused, one whose body never ends and whose id comes back. */
static void test_stream_ends_without_an_answer(void **state)
{
    union shim_record record;

    (void)state;
    RECEIVE(ASK("\1", "/one") ASK("\2", "/two") HEAD("\3", "/thr") STDIN("\3") STDIN("\x09"));
    RECEIVE(ABORT("\2") ABORT("\x09"));
    SEND(END("\2", "\0"));
    (void)traffic_assert_span("/two", 0, WIRE_ERROR_CLIENT_CLOSED);
    SEND(ANSWER("\3", "203"));
    expect("/thr", 203);
    RECEIVE(ASK("\3", "/new"));
    SEND(END("\3", "\1"));
    assert_true(traffic_next_span(&record));
    traffic_assert_path(&record.request, "/new");
    assert_int_equal(record.request.error, WIRE_ERROR_NO_RESPONSE);
    assert_true(slice_is(shim_core_text(&record.request, WIRE_TEXT_ERROR_TYPE, 0), "fastcgi_cant_mpx_conn"));
    SEND(ANSWER("\1", "201"));
    expect("/one", 201);
    assert_nothing_lost();
}

static void test_stream_ends_with_the_connection(void **state)
{
    (void)state;
    RECEIVE(ASK("\1", "/one") ASK("\2", "/two") HEAD("\3", "/thr") BEGIN("\4") PARAMS("\4", "/not"));
    SEND(STDOUT("\2", "202"));
    traffic_receive_end(TRAFFIC_FD);
    conn_closing(TRAFFIC_FD);
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_CLIENT_CLOSED);
    (void)traffic_assert_span("/two", 202, WIRE_ERROR_CLIENT_CLOSED);
    (void)traffic_assert_span("/thr", 0, WIRE_ERROR_CLIENT_CLOSED);
    assert_nothing_lost();
}

/* What no protocol allows turns the connection passive: each request is a span or is counted. */
static void test_stream_doubts(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        bool is_answer;
    } odd[] = {
        {BYTES(PARAMS("\x09", "/two")), false},  /* of no request */
        {BYTES(PARAMS("\1", "/one")), false},    /* after they have ended */
        {BYTES(BEGIN("\1") BEGIN("\1")), false}, /* of one that has begun */
        {BYTES("\1\1\0\3\0\2\0\0\0\1"), false},  /* too short */
        {BYTES("\2\1\0\3\0\x08\0\0\0\1\1\0\0\0\0\0"), false},
        {BYTES(STDOUT("\x09", "200")), true}, /* of no request */
        {BYTES(END("\0", "\0")), true},       /* neither */
        {BYTES(BEGIN("\1")), true},           /* the other way */
        {BYTES("HTTP/1.1 200 OK\r\n\r\n"), true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        uint64_t before = traffic_dropped(WIRE_DROP_BAD_FRAMING), spans = 0;
        union shim_record record;

        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        RECEIVE(ASK("\1", "/one") ASK("\2", "/two"));
        if (odd[i].is_answer)
            traffic_send_bytes(TRAFFIC_FD, odd[i].bytes, odd[i].length);
        else
            traffic_receive_bytes(TRAFFIC_FD, odd[i].bytes, odd[i].length);
        SEND(ANSWER("\1", "201") ANSWER("\2", "202"));
        conn_closing(TRAFFIC_FD);
        while (traffic_next_span(&record))
            spans++;
        assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING) - before + spans, 2);
        traffic_assert_nothing_open();
    }
}

/* A client's */

static void connect_anew(void)
{
    static const struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = 0x2823, .sin_addr.s_addr = 0x0100007f}; /* 127.0.0.1:9000 */

    conn_forget(CLIENT_FD);
    conn_connecting(CLIENT_FD, (const struct sockaddr *)&peer, sizeof(peer), 0, 0);
    kernel_anew();
}

/* The program sends these bytes, and the kernel gets them with a record of ours before the end of the head, which has
 * this span's id. */
struct told {
    const char *at; /* of what the kernel got */
    size_t own_at;
};

static struct told ask(const char *bytes, size_t length, size_t behind)
{
    struct told told = {kernel.bytes + kernel.length, length - behind};

    kernel_offer_all(CLIENT_FD, bytes, length);
    assert_int_equal(kernel.bytes + kernel.length - told.at, length + OWN_LENGTH);
    assert_memory_equal(told.at, bytes, told.own_at);
    assert_memory_equal(told.at + told.own_at + OWN_LENGTH, bytes + told.own_at, behind);
    return told;
}

static void assert_told(const struct told *told, char stream, const struct wire_request *request)
{
    const char header[] = {1, 4, 0, stream, 0, OWN_LENGTH - 8, 0, 0, 16, 55};
    char id[17];

    assert_memory_equal(told->at + told->own_at, header, sizeof(header));
    assert_memory_equal(told->at + told->own_at + sizeof(header), "HTTP_TRACEPARENT00-", 19);
    for (int i = 0; i < 8; i++)
        assert_int_equal(snprintf(id + 2 * (ptrdiff_t)i, 3, "%02x", request->span_id[i]), 2);
    assert_memory_equal(told->at + told->own_at + 8 + 2 + 16 + 3 + 33, id, 16);
}

static void answer(const char *bytes, size_t length)
{
    traffic_receive_bytes(CLIENT_FD, bytes, length);
}

static void test_stream_of_a_client_is_told(void **state)
{
    struct told one, two;
    struct wire_request request;

    (void)state;
    connect_anew();
    kernel_offer_all(CLIENT_FD, BYTES(GET_VALUES));
    answer(BYTES(VALUES));
    kernel_anew();
    one = ask(BYTES(HEAD("\1", "/one") STDIN("\1")), 8 + 16);
    two = ask(BYTES(ASK("\2", "/two")), 16);
    kernel_offer_all(CLIENT_FD, BYTES(STDIN("\1") NO_STDIN("\1")));
    answer(BYTES(ANSWER("\2", "202")));
    request = traffic_assert_span("/two", 202, WIRE_ERROR_NONE);
    assert_int_equal(request.kind, WIRE_KIND_CLIENT);
    assert_int_equal(request.peer.port, 9000);
    assert_told(&two, 2, &request);
    answer(BYTES(ANSWER("\1", "201")));
    request = traffic_assert_span("/one", 201, WIRE_ERROR_NONE);
    assert_int_equal(request.request_body_size, 10);
    assert_told(&one, 1, &request);
    assert_nothing_lost();
}

/* The kernel takes any number of bytes, and none at first. */
static void test_stream_of_a_client_survives_the_kernel(void **state)
{
    static const char second[] = ASK("\2", "/two");

    (void)state;
    for (size_t takes = 0; takes <= sizeof(second) - 1 + OWN_LENGTH; takes++) {
        struct told two;
        struct wire_request request;

        connect_anew();
        (void)ask(BYTES(ASK("\1", "/one")), 16);
        kernel.takes = takes;
        kernel.error = EAGAIN;
        two = ask(BYTES(second), 16);
        answer(BYTES(ANSWER("\2", "202") ANSWER("\1", "201")));
        request = traffic_assert_span("/two", 202, WIRE_ERROR_NONE);
        assert_told(&two, 2, &request);
        expect("/one", 201);
    }
    assert_nothing_lost();
}

/* Heads between which the records change go as they are, and that is counted. */
static void test_stream_of_a_client_mixes_heads(void **state)
{
    static const char both[] = BEGIN("\1") BEGIN("\2") PARAMS("\2", "/two") PARAMS("\1", "/one") NO_PARAMS("\2")
        NO_PARAMS("\1") NO_STDIN("\1") NO_STDIN("\2");

    (void)state;
    for (size_t cut = 8; cut < sizeof(both) - 1; cut++) { /* with fewer it is not known for what it is */
        connect_anew();
        kernel_offer_all(CLIENT_FD, both, cut);
        kernel_offer_all(CLIENT_FD, both + cut, sizeof(both) - 1 - cut);
        assert_int_equal(kernel.length, sizeof(both) - 1);
        assert_memory_equal(kernel.bytes, both, sizeof(both) - 1);
        answer(BYTES(ANSWER("\2", "202") ANSWER("\1", "201")));
        for (int i = 2; i > 0; i--) {
            struct wire_request request = traffic_assert_span(i == 2 ? "/two" : "/one", 200 + i, WIRE_ERROR_NONE);

            assert_int_not_equal(request.withheld, WIRE_WITHHOLD_NONE);
        }
    }
    assert_nothing_lost();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_stream_##name, traffic_setup, traffic_teardown)
        TEST(ends_in_any_order),
        TEST(survives_every_cut),
        TEST(survives_single_bytes),
        TEST(has_a_bound),
        TEST(ends_without_an_answer),
        TEST(ends_with_the_connection),
        TEST(doubts),
        TEST(of_a_client_is_told),
        TEST(of_a_client_survives_the_kernel),
        TEST(of_a_client_mixes_heads),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
