/* SPDX-License-Identifier: Apache-2.0 */
/* Whether all that a database was asked is answered. Every case whole, and cut at many places. */
#include "preload/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GET "*2\r\n$3\r\nGET\r\n$4\r\nname\r\n"

/* PostgreSQL's messages. */
#define START       "\0\0\0\x0e\0\3\0\0user\0\0"
#define ASK_FOR_TLS "\0\0\0\x8\x4\xd2\x16\x2f"
#define CANCEL      "\0\0\0\x10\x4\xd2\x16\x2e\0\0\0\1\0\0\0\2"
#define QUERY       "Q\0\0\0\x6X\0"
#define PARSE       "P\0\0\0\x8QSFZ"
#define EXECUTE     "E\0\0\0\x5\0"
#define SYNC        "S\0\0\0\x4"
#define READY       "Z\0\0\0\5I"
#define ROW         "D\0\0\0\x8ZZZZ"
#define NOTICE      "N\0\0\0\7ZZZ"
#define AUTHENTIC   "R\0\0\0\x8\0\0\0\0"

struct bytes {
    const char *at;
    size_t length;
};
#define BYTES(literal) ((struct bytes){(literal), sizeof(literal) - 1})

struct outcome {
    uint32_t asked, answered;
    bool is_odd;
};

static void feed(struct answers *answers, bool is_out, struct bytes bytes, size_t step)
{
    for (size_t at = 0; at < bytes.length; at += step)
        answers_feed(answers, is_out, bytes.at + at, bytes.length - at < step ? bytes.length - at : step);
}

static struct outcome outcome_of(struct bytes questions, struct bytes replies, size_t step)
{
    struct answers answers = {.is_odd = 0};

    feed(&answers, true, questions, step);
    feed(&answers, false, replies, step);
    return (struct outcome){answers.asked, answers.answered, answers.is_odd != 0};
}

static void check_bytes(struct bytes questions, struct bytes replies, uint32_t asked, uint32_t answered)
{
    for (size_t step = 1; step < 200; step += 3) {
        struct outcome outcome = outcome_of(questions, replies, step);

        assert_false(outcome.is_odd);
        assert_int_equal(outcome.asked, asked);
        assert_int_equal(outcome.answered, answered);
    }
}

static void check_bytes_odd(struct bytes questions, struct bytes replies)
{
    assert_true(outcome_of(questions, replies, 1).is_odd);
    assert_true(outcome_of(questions, replies, 1000).is_odd);
}

#define check(questions, replies, asked, answered) check_bytes(BYTES(questions), BYTES(replies), asked, answered)
#define check_odd(questions, replies)              check_bytes_odd(BYTES(questions), BYTES(replies))

static void test_resp_counts_commands_and_replies(void **state)
{
    (void)state;
    check(GET, "", 1, 0);
    check(GET, "$5\r\nva", 1, 0);
    check(GET, "$5\r\nvalue\r\n", 1, 1);
    check(GET, "$-1\r\n", 1, 1);
    check(GET, "$0\r\n\r\n", 1, 1);
    check(GET, "-ERR *2 is no number\r\n", 1, 1);
    check(GET GET GET, "+OK\r\n:-17\r\n", 3, 2);
    check(GET, "$7\r\na\r\n+b\r\n\r\n", 1, 1);
}

static void test_resp_counts_nested_replies_once(void **state)
{
    (void)state;
    check(GET, "*0\r\n", 1, 1);
    check(GET, "*-1\r\n", 1, 1);
    check(GET, "*2\r\n*2\r\n:1\r\n$1\r\nx\r\n*1\r\n+OK\r\n", 1, 1);
    check(GET, "*2\r\n*2\r\n:1\r\n$1\r\nx\r\n*1\r\n", 1, 0);
    check(GET GET, "%2\r\n+a\r\n#t\r\n+b\r\n~1\r\n,1.5\r\n_\r\n", 2, 2);
}

static void test_resp_passes_pushes_over(void **state)
{
    (void)state;
    check(GET, ">2\r\n+invalidate\r\n*1\r\n+key\r\n", 1, 0);
    check(GET, ">1\r\n+x\r\n+OK\r\n", 1, 1);
}

static void test_resp_knows_what_is_odd(void **state)
{
    (void)state;
    check_odd("PING\r\n", "");
    check_odd("*1\r\n+PING\r\n", "");
    check_odd("*99999999999\r\n", "");
    check_odd("*x\r\n", "");
    check_odd(GET, "+OK\r\n+OK\r\n"); /* a subscription */
    check_odd("", "+OK\r\n");
    check_odd(GET, "HTTP/1.1 200 OK\r\n");
    check_odd(GET, "*4000000000\r\n");
}

static void test_pgsql_counts_what_is_ready(void **state)
{
    (void)state;
    check(START, "", 1, 0);
    check(START, AUTHENTIC "S\0\0\0\x5\0" NOTICE, 1, 0);
    check(START "p\0\0\0\x6Z\0", AUTHENTIC "K\0\0\0\x8ZZZZ" READY, 1, 1);
    check(START QUERY QUERY, AUTHENTIC READY ROW ROW READY NOTICE, 3, 2);
    check(START QUERY, AUTHENTIC READY "H\0\0\0\4d\0\0\0\5Zc\0\0\0\4C\0\0\0\5ZZ\0\0\0\5", 2, 1);
    check(START QUERY "X\0\0\0\4", AUTHENTIC READY "E\0\0\0\x8ZZZZ" READY, 2, 2);
}

static void test_pgsql_counts_syncs(void **state)
{
    (void)state;
    check(START PARSE EXECUTE, AUTHENTIC READY, 1, 1);
    check(START PARSE EXECUTE SYNC PARSE SYNC QUERY, AUTHENTIC READY "1\0\0\0\4" READY, 4, 2);
}

static void test_pgsql_is_refused_encryption(void **state)
{
    (void)state;
    check(ASK_FOR_TLS, "", 1, 0);
    check(ASK_FOR_TLS, "N", 1, 1);
    check(ASK_FOR_TLS ASK_FOR_TLS START, "NN" AUTHENTIC READY, 3, 3);
    check(CANCEL, "", 1, 0);
    check_odd(ASK_FOR_TLS "\x16\3\1\2\0\1\0\1\xfc\3\3", "S");
}

static void test_pgsql_knows_what_is_odd(void **state)
{
    (void)state;
    check_odd("\0\0\0\x8\0\x12\0\3", "");                /* Kafka */
    check_odd("\0\0\0\7\0\3\0\0", "");                   /* shorter than itself */
    check_odd("\0\0\x40\0\0\3\0\0", "");                 /* too long */
    check_odd(START "Y\0\0\0\4", "");                    /* no type */
    check_odd(START "Q\0\0\0\3", "");                    /* shorter than itself */
    check_odd(START PARSE QUERY, "");                    /* passed over after an error */
    check_odd(START QUERY, AUTHENTIC READY READY READY); /* an answer to nothing */
    check_odd(START QUERY, "G\0\0\0\7\0\0\0");           /* a copy into a table */
    check_odd(START, "\0\0\0\0\0");
    check_odd("", READY);
}

static void test_answers_gives_up_what_is_unseen(void **state)
{
    struct answers answers = {.is_odd = 0};

    (void)state;
    assert_false(answers_are_known(&answers));
    feed(&answers, true, BYTES(GET), 100);
    assert_true(answers_are_known(&answers) && !answers_are_complete(&answers));
    feed(&answers, false, BYTES("+OK\r\n"), 100);
    assert_true(answers_are_known(&answers) && answers_are_complete(&answers));
    answers_feed(&answers, true, NULL, 10);
    assert_false(answers_are_known(&answers));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_counts_commands_and_replies), cmocka_unit_test(test_resp_counts_nested_replies_once),
        cmocka_unit_test(test_resp_passes_pushes_over),          cmocka_unit_test(test_resp_knows_what_is_odd),
        cmocka_unit_test(test_pgsql_counts_what_is_ready),       cmocka_unit_test(test_pgsql_counts_syncs),
        cmocka_unit_test(test_pgsql_is_refused_encryption),      cmocka_unit_test(test_pgsql_knows_what_is_odd),
        cmocka_unit_test(test_answers_gives_up_what_is_unseen),
    };

    return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
