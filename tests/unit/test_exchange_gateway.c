/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by FastCGI, one after the other, and what only begins like one, as spans and counters. gateway.c's events
 * are test_gateway.c's. */
#include "preload/conn.h"

#include "tests/support/shim_traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BEGIN(id)       "\1\1\0" id "\0\x08\0\0\0\1\1\0\0\0\0\0"
#define PARAMS(id)      "\1\4\0" id "\0\x24\0\0\x0e\3REQUEST_METHODGET\x0b\4REQUEST_URI/one\1\4\0" id "\0\0\0\0"
#define STDIN_END(id)   "\1\5\0" id "\0\0\0\0"
#define ASK(id)         BEGIN(id) PARAMS(id) STDIN_END(id)
#define ANSWER(id)      "\1\6\0" id "\0\x14\0\0Status: 201 Made\r\n\r\n" END(id, "\0")
#define END(id, status) "\1\3\0" id "\0\x08\0\0\0\0\0\0" status "\0\0\0"
#define RECEIVE(bytes)  traffic_receive_bytes(TRAFFIC_FD, bytes, sizeof(bytes) - 1)
#define SEND(bytes)     traffic_send_bytes(TRAFFIC_FD, bytes, sizeof(bytes) - 1)
#define BYTES(text)     text, sizeof(text) - 1

static void test_exchange_follows_fastcgi(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        RECEIVE(ASK("\1"));
        SEND(ANSWER("\1"));
        (void)traffic_assert_span("/one", 201, WIRE_ERROR_NONE);
    }
    RECEIVE(ASK("\1"));
    SEND(END("\1", "\2")); /* overloaded */
    (void)traffic_assert_span("/one", 0, WIRE_ERROR_NO_RESPONSE);
    traffic_assert_nothing_open();
}

/* Of the same id they are answered one after the other. A server that writes in another thread than it reads may have
 * the next one before what it wrote is noted. */
static void test_exchange_takes_the_next_of_an_id_early(void **state)
{
    (void)state;
    RECEIVE(ASK("\1"));
    RECEIVE(ASK("\1"));
    for (int i = 0; i < 2; i++) {
        SEND(ANSWER("\1"));
        (void)traffic_assert_span("/one", 201, WIRE_ERROR_NONE);
    }
    traffic_assert_nothing_open();
}

/* An end of no request ends none, and the next one isn't taken for it. */
static void test_exchange_doubts_an_end_of_nothing(void **state)
{
    (void)state;
    RECEIVE(ASK("\1"));
    SEND(ANSWER("\1") END("\1", "\0"));
    (void)traffic_assert_span("/one", 201, WIRE_ERROR_NONE);
    assert_int_equal(traffic_dropped(WIRE_DROP_BAD_FRAMING), 1);
    RECEIVE(ASK("\1"));
    traffic_assert_nothing_open();
}

/* Read as their servers do: a few bytes first. */
static void test_exchange_lets_other_protocols_go(void **state)
{
    static const struct {
        const char *bytes;
        size_t length, first;
    } others[] = {
        {BYTES("\5\1\0"), 2},                                   /* SOCKS 5 */
        {BYTES("\x10\x0e\0\4MQTT\4\2\0\x3c\0\2me"), 1},         /* MQTT */
        {BYTES("\0\0\1\2\x80\1\0\1 and so on, 258 bytes"), 4},  /* Thrift */
        {BYTES("\x16\3\1\2\0\1\0\1\xfc\3\3 hello"), 5},         /* TLS */
        {BYTES("\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0\3www"), 2},  /* DNS */
        {BYTES("\1\1\0\1\0\x08\0\0\x42\0\0\0\0\0\0\0more"), 8}, /* a number of its own */
        {BYTES("\0\0\0\x08\4\xd2\x16\x2f"), 4},                 /* PostgreSQL */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        traffic_receive_bytes(TRAFFIC_FD, others[i].bytes, others[i].first);
        traffic_receive_bytes(TRAFFIC_FD, others[i].bytes + others[i].first, others[i].length - others[i].first);
        traffic_send(TRAFFIC_FD, "an answer");
        traffic_receive(TRAFFIC_FD, "and more");
        conn_closing(TRAFFIC_FD);
        traffic_assert_nothing_open();
        for (enum wire_drop drop = 0; drop < WIRE_DROP_COUNT; drop++)
            assert_int_equal(traffic_dropped(drop), 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, traffic_setup, traffic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_exchange_follows_fastcgi),
        TEST(test_exchange_takes_the_next_of_an_id_early),
        TEST(test_exchange_doubts_an_end_of_nothing),
        TEST(test_exchange_lets_other_protocols_go),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
