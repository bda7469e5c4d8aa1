/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/http1.h"

#include "tests/support/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { GUARDED_SIZE = 2 << 20, TRANSCRIPT_SIZE = 4096, SHOWN_MAX = 80 };

enum who { REQUESTS, RESPONSES, HEAD, CONNECT };

static const struct http1_case {
    const char *name;
    enum who who;
    const char *input;
    size_t input_len;
    const char *events;
} cases[] = {
#define CASE(name, who, input, events) {#name, who, input, sizeof(input) - 1, events},
#include "http1_cases.def"
#undef CASE
};

/* Both end at an unmapped page: one byte too far is a crash. */
static char *bytes_end;
static char *stash;

static int set_up(void **state)
{
    (void)state;
    bytes_end = guarded_new(GUARDED_SIZE) + GUARDED_SIZE;
    stash = guarded_new(HTTP1_STASH_SIZE);
    return 0;
}

/* What happened, as text. */
struct transcript {
    char text[TRANSCRIPT_SIZE];
    size_t length;
};

static void say(struct transcript *transcript, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct transcript *transcript, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(transcript->text + transcript->length, TRANSCRIPT_SIZE - transcript->length, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TRANSCRIPT_SIZE - transcript->length);
    transcript->length += (size_t)n;
}

/* Long texts by their ends and their length. */
static void say_slice(struct transcript *transcript, struct slice slice)
{
    if (slice.length <= SHOWN_MAX)
        say(transcript, "%.*s", (int)slice.length, slice.bytes);
    else
        say(transcript, "%.4s..%zu..%.4s", slice.bytes, slice.length, slice.bytes + slice.length - 4);
}

static void say_head(struct transcript *transcript, const struct http1 *parser)
{
    static const char *const framings[] = {"none", "counted", "chunked", "close"};
    say(transcript, "[%s", framings[parser->framing]);
    if (parser->framing == HTTP1_COUNTED)
        say(transcript, " %llu", (unsigned long long)parser->content_length);
    say(transcript, "%s%s];", parser->ambiguous ? "?" : "", parser->keep_alive ? "" : " last");
}

static void say_event(struct transcript *transcript, const struct http1 *parser, enum http1_event event,
                      const struct http1_out *out)
{
    switch (event) {
    case HTTP1_NEED_MORE:
        break;
    case HTTP1_NEED_STASH:
        say(transcript, "stash?;");
        break;
    case HTTP1_START_LINE:
        say_slice(transcript, out->a);
        say(transcript, ",");
        say_slice(transcript, out->b);
        say(transcript, ",");
        say_slice(transcript, out->c);
        say(transcript, "%s;", out->truncated ? "~" : "");
        break;
    case HTTP1_FIELD:
        say_slice(transcript, out->a);
        say(transcript, out->a.length > 0 ? "=" : "+");
        say_slice(transcript, out->b);
        say(transcript, "%s;", out->truncated ? "~" : "");
        break;
    case HTTP1_HEAD_END:
        say_head(transcript, parser);
        break;
    case HTTP1_MESSAGE_END:
        say(transcript, "end %llu;", (unsigned long long)parser->body_length);
        break;
    case HTTP1_NOT_MINE:
        say(transcript, "not mine;");
        break;
    case HTTP1_BAD:
        say(transcript, "bad;");
        break;
    }
}

static struct http1 new_parser(enum who who)
{
    return (struct http1){
        .role = who == REQUESTS ? HTTP1_REQUESTS : HTTP1_RESPONSES,
        .answers_head = who == HEAD,
        .answers_connect = who == CONNECT,
    };
}

/* Feed one piece, as if one read() had brought it. */
static void feed(struct http1 *parser, const char *bytes, size_t len, struct transcript *transcript)
{
    char *piece = bytes_end - len;
    enum http1_event event;
    assert_true(len <= GUARDED_SIZE);
    memcpy(piece, bytes, len);
    do {
        struct http1_out out = {0};
        size_t used = http1_feed(parser, piece, (size_t)(bytes_end - piece), stash, &event, &out);
        assert_true(used <= (size_t)(bytes_end - piece));
        piece += used;
        say_event(transcript, parser, event, &out);
    } while (event != HTTP1_NEED_MORE && parser->state != HTTP1_FAILED);
    if (parser->state != HTTP1_FAILED)
        assert_ptr_equal(piece, bytes_end);
}

static void finish(struct http1 *parser, struct transcript *transcript)
{
    if (parser->state == HTTP1_TUNNEL)
        say(transcript, "tunnel;");
    enum http1_event event = http1_end(parser);
    if (event == HTTP1_BAD)
        say(transcript, "cut;");
    else
        say_event(transcript, parser, event, NULL);
}

static void check(const struct http1_case *expected, const struct transcript *transcript, size_t cut)
{
    if (strcmp(expected->events, transcript->text) != 0)
        fail_msg("%s, cut at %zu:\n  expected %s\n  seen     %s", expected->name, cut, expected->events,
                 transcript->text);
}

static void run_in_two(const struct http1_case *one, size_t cut)
{
    struct http1 parser = new_parser(one->who);
    struct transcript transcript = {0};
    feed(&parser, one->input, cut, &transcript);
    if (parser.state != HTTP1_FAILED)
        feed(&parser, one->input + cut, one->input_len - cut, &transcript);
    finish(&parser, &transcript);
    check(one, &transcript, cut);
}

static void run_in_steps(const struct http1_case *one, size_t step)
{
    struct http1 parser = new_parser(one->who);
    struct transcript transcript = {0};
    for (size_t at = 0; at < one->input_len && parser.state != HTTP1_FAILED; at += step)
        feed(&parser, one->input + at, one->input_len - at < step ? one->input_len - at : step, &transcript);
    finish(&parser, &transcript);
    check(one, &transcript, step);
}

static void test_http1_reads_whole_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        run_in_two(&cases[i], cases[i].input_len);
}

static void test_http1_reads_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 8; step++)
            run_in_steps(&cases[i], step);
}

static void test_http1_reads_input_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t cut = 0; cut < cases[i].input_len; cut++)
            run_in_two(&cases[i], cut);
}

/* A head with a text of `filler` bytes in its middle, read in several ways. */
static void run_long(const char *before, size_t filler, const char *after, const char *events)
{
    size_t len = strlen(before) + filler + strlen(after);
    char *input = malloc(len);
    assert_non_null(input);
    memcpy(input, before, strlen(before));
    memset(input + strlen(before), 'x', filler);
    memcpy(input + strlen(before) + filler, after, strlen(after));

    struct http1_case one = {"long", REQUESTS, input, len, events};
    run_in_two(&one, len);
    for (size_t cut = 1; cut < len; cut += len / 13 + 1)
        run_in_two(&one, cut);
    for (size_t back = 0; back < 40; back++)
        run_in_two(&one, len - back);
    static const size_t steps[] = {1, 7, 15, 16, 17, 1000, 8175, 8176, 8177, 8191, 8192, 8193};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        run_in_steps(&one, steps[i]);
    free(input);
}

static void test_http1_keeps_a_line_as_long_as_the_stash(void **state)
{
    (void)state;
    run_long("GET / HTTP/1.1\r\nA: ", HTTP1_STASH_SIZE - 4, "\r\n\r\n",
             "GET,/,HTTP/1.1;A=xxxx..8188..xxxx;[none];end 0;");
    run_long("GET / HTTP/1.1\r\nA: ", HTTP1_STASH_SIZE - 3, "\n\n", "GET,/,HTTP/1.1;A=xxxx..8189..xxxx;[none];end 0;");
}

static void test_http1_cuts_a_longer_field_and_goes_on(void **state)
{
    (void)state;
    run_long("POST / HTTP/1.1\r\nA: ", HTTP1_STASH_SIZE, "\r\nContent-Length: 2\r\n\r\nab",
             "POST,/,HTTP/1.1;A=xxxx..8173..xxxx~;Content-Length=2;[counted 2];end 2;");
}

static void test_http1_cuts_a_long_target_and_finds_the_version(void **state)
{
    (void)state;
    run_long("GET /", 65536, " HTTP/1.1\r\n\r\n", "GET,/xxx..8172..xxxx,HTTP/1.1~;[none];end 0;");
    run_long("GET /", 65536, " HTTP/1.0\n\n", "GET,/xxx..8172..xxxx,HTTP/1.0~;[none last];end 0;");
    run_long("GET /", 65536, " HTTP/2.0\r\n\r\n", "not mine;");
    run_long("GET /", 65536, "\r\n", "not mine;");
}

static void test_http1_doubts_a_cut_framing_field(void **state)
{
    (void)state;
    run_long("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, ", HTTP1_STASH_SIZE, "\r\n\r\n",
             "POST,/,HTTP/1.1;Transfer-Encoding=chun..8157..xxxx~;bad;");
    run_long("POST / HTTP/1.1\r\nContent-Length: 1", HTTP1_STASH_SIZE, "\r\n\r\n",
             "POST,/,HTTP/1.1;Content-Length=1xxx..8160..xxxx~;bad;");
    run_long("GET / HTTP/1.1\r\nConnection: ", HTTP1_STASH_SIZE, "\r\n\r\n",
             "GET,/,HTTP/1.1;Connection=xxxx..8164..xxxx~;[none];end 0;");
}

static void test_http1_passes_over_a_long_chunk_extension(void **state)
{
    (void)state;
    run_long("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;", 3 * HTTP1_STASH_SIZE, "\r\nab\r\n0\r\n\r\n",
             "POST,/,HTTP/1.1;Transfer-Encoding=chunked;[chunked];end 2;");
}

/* Longer than any server takes: nothing is kept of it, so nothing bounds it. */
static void test_http1_reads_a_head_of_any_length(void **state)
{
    (void)state;
    const size_t long_head = 1 << 20;
    run_long("POST / HTTP/1.1\r\nA: ", long_head, "\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.1\r\n\r\n",
             "POST,/,HTTP/1.1;A=xxxx..8173..xxxx~;Content-Length=2;[counted 2];end 2;GET,/,HTTP/1.1;[none];end 0;");
    run_long("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", long_head, "\r\n\r\n",
             "POST,/,HTTP/1.1;Transfer-Encoding=chunked;[chunked];end 0;");
    run_long("GET /", long_head, " HTTP/1.1\r\n\r\n", "GET,/xxx..8172..xxxx,HTTP/1.1~;[none];end 0;");
    run_long("", long_head + 10, "", "not mine;");
}

/* The same framing, and the same doubts, without those fields. */
static void test_http1_passes_over_fields_nobody_wants(void **state)
{
    (void)state;
    static const struct {
        const char *input, *events;
    } heads[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nAccept: b\r\nContent-Length: 2\r\naccept: d\r\n\r\nxy",
         "POST,/,HTTP/1.1;Host=a;[counted 2];end 2;"},
        {"GET / HTTP/1.1\r\nAccept: a\r\n b\r\nHost: a\r\n\r\n", "GET,/,HTTP/1.1;+b;Host=a;[none];end 0;"},
        {"GET / HTTP/1.1\r\nConnection: close\r\n b\r\n\r\n", "GET,/,HTTP/1.1;+b;[none last];end 0;"},
        {"GET / HTTP/1.1\r\nAccept : a\r\n\r\n", "GET,/,HTTP/1.1;bad;"},
        {"GET / HTTP/1.1\r\nAccept: a\rb\r\n\r\n", "GET,/,HTTP/1.1;[none?];end 0;"},
        {"GET / HTTP/1.1\r\nAccept\r\n\r\n", "GET,/,HTTP/1.1;bad;"},
        {"GET / HTTP/1.1\r\n1: a\r\n\r\n", "GET,/,HTTP/1.1;1=a;[none];end 0;"},
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct http1 parser = {.role = HTTP1_REQUESTS, .unreported = 1u << ('a' & 31) | 1u << ('c' & 31)};
        struct transcript transcript = {0};
        feed(&parser, heads[i].input, strlen(heads[i].input), &transcript);
        assert_string_equal(transcript.text, heads[i].events);
    }
}

static void test_http1_asks_for_a_stash_when_a_line_is_cut(void **state)
{
    (void)state;
    static const char input[] = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http1 parser = {.role = HTTP1_REQUESTS};
    struct http1_out out;
    enum http1_event event, last = HTTP1_NEED_MORE;
    size_t at = 0;
    do {
        at += http1_feed(&parser, input + at, sizeof(input) - 1 - at, NULL, &event, &out);
        last = event == HTTP1_NEED_MORE ? last : event;
    } while (event != HTTP1_NEED_MORE);
    assert_int_equal(last, HTTP1_MESSAGE_END);

    (void)http1_feed(&parser, "GET / HTTP/1.1\r\n", 16, NULL, &event, &out);
    assert_int_equal(event, HTTP1_START_LINE);
    assert_int_equal(http1_feed(&parser, "Host", 4, NULL, &event, &out), 0);
    assert_int_equal(event, HTTP1_NEED_STASH);
    assert_int_equal(http1_feed(&parser, "Host", 4, stash, &event, &out), 4);
    assert_int_equal(event, HTTP1_NEED_MORE);
    assert_int_equal(parser.stash_length, 4);
}

static void test_http1_tells_when_a_message_has_begun(void **state)
{
    (void)state;
    struct http1 parser = {.role = HTTP1_REQUESTS};
    struct transcript transcript = {0};
    feed(&parser, "\r\n", 2, &transcript);
    assert_int_equal(parser.state, HTTP1_AT_START);
    feed(&parser, "G", 1, &transcript);
    assert_int_equal(parser.state, HTTP1_IN_START_LINE);
    assert_int_equal(parser.stash_length, 1);
}

/* A parser that has read this head. */
static struct http1 after_head(enum who who, const char *head)
{
    struct http1 parser = new_parser(who);
    struct transcript transcript = {0};
    feed(&parser, head, strlen(head), &transcript);
    return parser;
}

static void test_http1_skips_a_counted_body(void **state)
{
    (void)state;
    enum http1_event event;
    struct http1 parser = after_head(RESPONSES, "HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\nab");
    assert_int_equal(http1_skip(&parser, 0, &event), 0);
    assert_int_equal(event, HTTP1_NEED_MORE);
    assert_int_equal(http1_skip(&parser, 4999999997, &event), 0);
    assert_int_equal(event, HTTP1_NEED_MORE);
    assert_int_equal(http1_skip(&parser, 1, &event), 0);
    assert_int_equal(event, HTTP1_MESSAGE_END);
    assert_int_equal(parser.body_length, 5000000000);
    assert_int_equal(parser.state, HTTP1_AT_START);
}

static void test_http1_skips_within_a_chunk(void **state)
{
    (void)state;
    enum http1_event event;
    struct transcript transcript = {0};
    struct http1 parser = after_head(RESPONSES, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n");
    assert_int_equal(http1_skip(&parser, 16, &event), 0);
    assert_int_equal(event, HTTP1_NEED_MORE);
    feed(&parser, "\r\n0\r\n\r\n", 7, &transcript);
    assert_string_equal(transcript.text, "end 16;");
}

static void test_http1_skips_until_close(void **state)
{
    (void)state;
    enum http1_event event;
    struct http1 parser = after_head(RESPONSES, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(http1_skip(&parser, 7, &event), 0);
    assert_int_equal(http1_end(&parser), HTTP1_MESSAGE_END);
    assert_int_equal(parser.body_length, 7);
}

static void test_http1_fails_when_more_is_skipped_than_fits(void **state)
{
    (void)state;
    enum http1_event event;
    static const char *const heads[] = {"",
                                        "HTTP/1.1 2",
                                        "HTTP/1.1 200 OK\r\nA: b\r\n",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
                                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na",
                                        "HTTP/1.1 204 OK\r\n\r\n"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct http1 parser = after_head(RESPONSES, heads[i]);
        assert_int_equal(http1_skip(&parser, 2, &event), -1);
        assert_int_equal(parser.state, HTTP1_FAILED);
    }
    struct http1 parser = after_head(RESPONSES, "HTTP/1.1 200 OK\r\n\r\na");
    assert_int_equal(http1_skip(&parser, UINT64_MAX, &event), -1);
}

static void test_http1_fails_when_a_body_is_more_than_a_number_holds(void **state)
{
    (void)state;
    enum http1_event event;
    struct transcript transcript = {0};
    struct http1 parser = after_head(RESPONSES, "HTTP/1.1 200 OK\r\n\r\n");
    assert_int_equal(http1_skip(&parser, UINT64_MAX, &event), 0);
    feed(&parser, "a", 1, &transcript);
    assert_string_equal(transcript.text, "bad;");
}

static void test_http1_tunnel_reports_nothing(void **state)
{
    (void)state;
    enum http1_event event;
    struct transcript transcript = {0};
    struct http1 parser = after_head(RESPONSES, "HTTP/1.1 101 Switching\r\n\r\nHT");
    feed(&parser, "TP/1.1 200 OK\r\n\r\n", 17, &transcript);
    assert_string_equal(transcript.text, "");
    assert_int_equal(parser.stash_length, 0);
    assert_int_equal(http1_skip(&parser, 5, &event), 0);
    assert_int_equal(http1_end(&parser), HTTP1_NEED_MORE);
}

static void test_http1_failed_reports_nothing_more(void **state)
{
    (void)state;
    struct http1_out out;
    enum http1_event event;
    struct http1 parser = after_head(REQUESTS, "\x16\x03\x01");
    assert_int_equal(parser.state, HTTP1_FAILED);
    assert_int_equal(http1_feed(&parser, "GET / HTTP/1.1\r\n", 16, stash, &event, &out), 16);
    assert_int_equal(event, HTTP1_NEED_MORE);
}

static void test_http1_knows_the_first_bytes(void **state)
{
    (void)state;
    static const struct {
        enum http1_role role;
        const char *bytes;
        bool expected;
    } rows[] = {
        {HTTP1_REQUESTS, "G", true},
        {HTTP1_REQUESTS, "GET ", true},
        {HTTP1_REQUESTS, "GET /", true},
        {HTTP1_REQUESTS, "\r\nGET", true},
        {HTTP1_REQUESTS, "\r", true},
        {HTTP1_REQUESTS, "\rG", false},
        {HTTP1_REQUESTS, " GET", false},
        {HTTP1_REQUESTS, "\x16\x03", false},
        {HTTP1_REQUESTS, "{\"a\"", false},
        {HTTP1_REQUESTS, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF", true},
        {HTTP1_REQUESTS, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", false},
        {HTTP1_RESPONSES, "H", true},
        {HTTP1_RESPONSES, "HTTP/1.1 200", true},
        {HTTP1_RESPONSES, "HTTP/2", false},
        {HTTP1_RESPONSES, "GET ", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (http1_looks_like(rows[i].role, rows[i].bytes, strlen(rows[i].bytes)) != rows[i].expected)
            fail_msg("%s", rows[i].bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http1_reads_whole_input),
        cmocka_unit_test(test_http1_reads_byte_by_byte),
        cmocka_unit_test(test_http1_reads_input_cut_anywhere),
        cmocka_unit_test(test_http1_keeps_a_line_as_long_as_the_stash),
        cmocka_unit_test(test_http1_cuts_a_longer_field_and_goes_on),
        cmocka_unit_test(test_http1_cuts_a_long_target_and_finds_the_version),
        cmocka_unit_test(test_http1_doubts_a_cut_framing_field),
        cmocka_unit_test(test_http1_passes_over_a_long_chunk_extension),
        cmocka_unit_test(test_http1_reads_a_head_of_any_length),
        cmocka_unit_test(test_http1_passes_over_fields_nobody_wants),
        cmocka_unit_test(test_http1_asks_for_a_stash_when_a_line_is_cut),
        cmocka_unit_test(test_http1_tells_when_a_message_has_begun),
        cmocka_unit_test(test_http1_skips_a_counted_body),
        cmocka_unit_test(test_http1_skips_within_a_chunk),
        cmocka_unit_test(test_http1_skips_until_close),
        cmocka_unit_test(test_http1_fails_when_more_is_skipped_than_fits),
        cmocka_unit_test(test_http1_fails_when_a_body_is_more_than_a_number_holds),
        cmocka_unit_test(test_http1_tunnel_reports_nothing),
        cmocka_unit_test(test_http1_failed_reports_nothing_more),
        cmocka_unit_test(test_http1_knows_the_first_bytes),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
