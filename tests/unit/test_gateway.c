/* SPDX-License-Identifier: Apache-2.0 */
/* FastCGI, SCGI and uwsgi as events: each input whole, byte by byte and cut anywhere, at an unmapped page. */
#include "preload/gateway.h"

#include "tests/support/gateway_input.h"
#include "tests/support/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TRANSCRIPT_SIZE = 4096, SHOWN_MAX = 60 };

static char *bytes_end; /* an unmapped page: one byte too far is a crash */
static char *stash;
static struct gateway gateway;

static int set_up(void **state)
{
    (void)state;
    bytes_end = guarded_new(INPUT_SIZE) + INPUT_SIZE;
    stash = guarded_new(HTTP1_STASH_SIZE);
    return 0;
}

static int begin_input(void **state)
{
    (void)state;
    input.length = pairs.length = 0;
    return 0;
}

/* Inputs */

static void add_get(enum wire_protocol protocol, const char *length)
{
    input_add_pair(protocol, "CONTENT_LENGTH", length);
    input_add_pair(protocol, "HTTP_USER_AGENT", "us");
    input_add_pair(protocol, "REQUEST_METHOD", "GET");
    input_add_pair(protocol, "EMPTY", "");
    input_add_pair(protocol, "REQUEST_URI", "/p?q");
    input_add_pair(protocol, "HTTP_HOST", "h:1");
}

#define GET_EVENTS "GET /p?q;content-length=0;user-agent=us;host=h:1;head;"

/* What happens */

static char seen[TRANSCRIPT_SIZE];

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    size_t length = strlen(seen);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(seen + length, sizeof(seen) - length, format, args);
    va_end(args);
}

static void say_slice(struct slice slice, const char *end)
{
    if (slice.length <= SHOWN_MAX)
        say("%.*s%s", (int)slice.length, slice.bytes, end);
    else
        say("%.4s..%zu%s", slice.bytes, slice.length, end);
}

static void say_event(const struct http1 *parser, enum http1_event event, const struct http1_out *out)
{
    switch (event) {
    case HTTP1_NEED_MORE:
    case HTTP1_NEED_STASH:
        break;
    case HTTP1_START_LINE:
        say_slice(out->a, parser->role == HTTP1_REQUESTS ? " " : "");
        say_slice(out->b, out->truncated ? "~;" : ";");
        break;
    case HTTP1_FIELD:
        say_slice(out->a, "=");
        say_slice(out->b, out->truncated ? "~;" : ";");
        break;
    case HTTP1_HEAD_END:
        say("head%s;", parser->keep_alive ? " kept" : "");
        if (parser->role == HTTP1_RESPONSES)
            say("%u;", parser->status);
        break;
    case HTTP1_MESSAGE_END:
        say("end %llu;", (unsigned long long)parser->body_length);
        break;
    case HTTP1_NOT_MINE:
        say("not mine;");
        break;
    case HTTP1_BAD:
        say("bad;");
        break;
    }
}

/* Feed one piece, as if one read() had brought it. */
static void feed(struct http1 *parser, const char *bytes, size_t length)
{
    char *piece = memcpy(bytes_end - length, bytes, length);
    bool has_stash = parser->stash_length > 0;
    enum http1_event event;

    while (piece < bytes_end && parser->state != HTTP1_FAILED) {
        struct http1_out out = {0};
        size_t used =
            gateway_feed(&gateway, parser, piece, (size_t)(bytes_end - piece), has_stash ? stash : NULL, &event, &out);

        assert_true(used <= (size_t)(bytes_end - piece));
        piece += used;
        has_stash |= event == HTTP1_NEED_STASH;
        say_event(parser, event, &out);
        if (http1_ends_with_head(parser))
            say("over;");
    }
}

/* Both directions: `asked` bytes of the input are the request. */
static void run(enum wire_protocol protocol, size_t asked, size_t step, size_t cut)
{
    struct http1 requests = {.role = HTTP1_REQUESTS, .unreported = 1u << ('c' & 31)};
    struct http1 responses = {.role = HTTP1_RESPONSES};
    size_t length;

    seen[0] = '\0';
    memset(&gateway, 0xee, sizeof(gateway));
    gateway_begin(&gateway, protocol, &requests, &responses);
    for (size_t at = 0; at < input.length; at += length) {
        size_t end = at < asked ? asked : input.length;

        length = at == 0 && cut > 0 ? cut : step;
        if (length > end - at)
            length = end - at;
        if (at == 0 && length > 0 && asked > 0)
            assert_int_equal(gateway_begins(input.bytes, length), protocol);
        feed(at < asked ? &requests : &responses, input.bytes + at, length);
    }
}

static void check_all(enum wire_protocol protocol, size_t asked, const char *events)
{
    run(protocol, asked, INPUT_SIZE, 0);
    assert_string_equal(seen, events);
    for (size_t step = 1; step < 20; step++) {
        run(protocol, asked, step, 0);
        assert_string_equal(seen, events);
    }
    for (size_t cut = 1; cut < asked && cut < 3000; cut++) {
        run(protocol, asked, INPUT_SIZE, cut);
        assert_string_equal(seen, events);
    }
}

static void check_requests(enum wire_protocol protocol, const char *events)
{
    check_all(protocol, input.length, events);
}

/* Requests */

static void test_gateway_reads_fastcgi(void **state)
{
    (void)state;
    for (int keeps = 0; keeps < 2; keeps++)
        for (size_t most = 1; most < 120; most += 13) {
            input.length = 0;
            input_add_begin(258, keeps);
            add_get(WIRE_PROTOCOL_FASTCGI, "0");
            for (size_t at = 0; at < pairs.length; at += most)
                input_add_record(PARAMS, 258, pairs.bytes + at, pairs.length - at < most ? pairs.length - at : most,
                                 at % 8);
            pairs.length = 0;
            input_add_record(PARAMS, 258, "", 0, 3);
            input_add_record(STDIN, 258, "body", 4, 4);
            input_add_record(STDIN, 258, "", 0, 7);
            run(WIRE_PROTOCOL_FASTCGI, input.length, INPUT_SIZE, 0);
            check_requests(WIRE_PROTOCOL_FASTCGI,
                           keeps ? "GET /p?q;content-length=0;user-agent=us;host=h:1;head kept;end 4;"
                                 : GET_EVENTS "end 4;");
        }
}

static void test_gateway_reads_kept_connections(void **state)
{
    (void)state;
    input_add_record(GET_VALUES, 0, "\x0e\0FCGI_MAX_CONNS", 16, 0);
    for (int i = 0; i < 2; i++) {
        input_add_begin(1, 1);
        input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_METHOD", "PUT");
        input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_URI", "/");
        input_add_block(WIRE_PROTOCOL_FASTCGI, INPUT_SIZE);
        input_add_record(STDIN, 1, "", 0, 0);
        input_add_record(ABORT_REQUEST, 1, "", 0, 0);
    }
    check_requests(WIRE_PROTOCOL_FASTCGI, "PUT /;head kept;end 0;PUT /;head kept;end 0;");
    assert_true(gateway.aborted);
}

static void test_gateway_reads_scgi_and_uwsgi(void **state)
{
    (void)state;
    add_get(WIRE_PROTOCOL_SCGI, "0");
    input_add_block(WIRE_PROTOCOL_SCGI, 0);
    check_requests(WIRE_PROTOCOL_SCGI, GET_EVENTS "over;");
    input.length = 0;
    add_get(WIRE_PROTOCOL_UWSGI, "0");
    input_add_block(WIRE_PROTOCOL_UWSGI, 0);
    check_requests(WIRE_PROTOCOL_UWSGI, GET_EVENTS "over;");
}

static void test_gateway_counts_bodies(void **state)
{
    (void)state;
    add_get(WIRE_PROTOCOL_SCGI, "4");
    input_add_block(WIRE_PROTOCOL_SCGI, 0);
    input_add(&input, "body", 4);
    check_requests(WIRE_PROTOCOL_SCGI, "GET /p?q;content-length=4;user-agent=us;host=h:1;head;end 4;");
}

/* Several at once are not followed, and half a variable is none. */
static void test_gateway_refuses(void **state)
{
    (void)state;
    input_add_begin(1, 1);
    input_add_begin(2, 1);
    check_requests(WIRE_PROTOCOL_FASTCGI, "bad;");
    input.length = 0;
    input_add_begin(1, 1);
    input_add_record(PARAMS, 1, "\x09\x05REMO", 6, 0);
    input_add_record(PARAMS, 1, "", 0, 0);
    check_requests(WIRE_PROTOCOL_FASTCGI, "bad;");
    input.length = 0;
    input_add_begin(1, 1);
    input_add_record(PARAMS, 2, "\1\1ab", 4, 0);
    check_requests(WIRE_PROTOCOL_FASTCGI, "bad;");
    input.length = 0;
    input_add(&input,
              "24:CONTENT_LENGTH\0"
              "0\0SCGI\0"
              "1\0x",
              29);
    check_requests(WIRE_PROTOCOL_SCGI, "not mine;");
}

/* Other protocols that begin alike, read in pieces so small that their first bytes don't tell: they are let go, and
 * nothing is counted as lost. */
static void test_gateway_lets_others_go(void **state)
{
#define OTHER(bytes)                                                                                                   \
    {                                                                                                                  \
        bytes, sizeof(bytes) - 1                                                                                       \
    }
    static const struct {
        const char *bytes;
        size_t length;
    } others[] = {
        OTHER("\x05\1\0\5\1\0\1\x0a\0\0\1\0\x50 and more"),           /* SOCKS 5 */
        OTHER("\4\1\0\x50\x0a\0PPu\0"),                               /* SOCKS 4, to 10.0.80.80 */
        OTHER("\x10\x1c\0\4MQTT\4\2\0\x3c\0\x10its name is its own"), /* MQTT */
        OTHER("12:hello world!,"),                                    /* a netstring */
        OTHER("17:CONTENT_LENGTH 17,"),
        OTHER("\1\1\0\1\0\x08\0\0\x42\1\0\0\0\0\0\0"), /* a number, then others */
        OTHER("\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\7\0"),
        OTHER("\1\x09\0\0\0\2\0\0ab\1\4\0\1\0\0\0\0"),
        OTHER("\0\x0e\0\0\x06\0PATH_A\4\0/xyz"), /* no method */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        for (size_t step = 1; step <= others[i].length; step++) {
            enum wire_protocol protocol = gateway_begins(others[i].bytes, step);

            input.length = 0;
            input_add(&input, others[i].bytes, others[i].length);
            if (protocol == WIRE_PROTOCOL_NONE)
                continue;
            run(protocol, input.length, step, 0);
            assert_string_equal(seen, "not mine;");
        }
}

static void test_gateway_knows_its_protocols(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum wire_protocol protocol;
    } firsts[] = {
        {"\1\1\0\1\0\x08\0\0", 8, WIRE_PROTOCOL_FASTCGI},
        {"\1\x09\0\0\0\x10\0\0", 8, WIRE_PROTOCOL_FASTCGI},
        {"\1\1\0\1\0\x09\0\0", 8, WIRE_PROTOCOL_NONE},
        {"\2\1\0\1\0\x08\0\0", 8, WIRE_PROTOCOL_NONE},
        {"\1\1\0\0\0\x08\0\0", 8, WIRE_PROTOCOL_NONE}, /* no id */
        {"\1\x09\0\1\0\x10\0\0", 8, WIRE_PROTOCOL_NONE},
        {"\x10\x1c\0\4MQTT", 8, WIRE_PROTOCOL_NONE},
        {"70:CONTENT_LENGTH", 17, WIRE_PROTOCOL_SCGI},
        {"70:CONTEXT", 10, WIRE_PROTOCOL_NONE},
        {"70;", 3, WIRE_PROTOCOL_NONE},
        {"0:", 2, WIRE_PROTOCOL_NONE},
        {"\0\x50\1\0\x0c\0QUERY_STRING", 18, WIRE_PROTOCOL_UWSGI},
        {"\x05\x50\1\0\x0c\0QUERY_STRING", 18, WIRE_PROTOCOL_UWSGI},
        {"\0\0\0\x08\4\xd2\x16\x2f", 8, WIRE_PROTOCOL_NONE}, /* PostgreSQL */
        {"\x16\3\1\2\0\1\0\1", 8, WIRE_PROTOCOL_NONE},       /* TLS */
        {"GET / HT", 8, WIRE_PROTOCOL_NONE},
        {"\r\nGET / ", 8, WIRE_PROTOCOL_NONE},
        {"\n", 1, WIRE_PROTOCOL_NONE},
        {"PRI * HT", 8, WIRE_PROTOCOL_NONE},
        {"*1\r\n$4\r\n", 8, WIRE_PROTOCOL_NONE}, /* Redis */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++)
        assert_int_equal(gateway_begins(firsts[i].bytes, firsts[i].length), firsts[i].protocol);
}

/* A target is put together where the web server does not say it; the last of several variables of a name counts. */
static void test_gateway_puts_together(void **state)
{
    (void)state;
    input_add_begin(1, 0);
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "QUERY_STRING", "a=b");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "PATH_INFO", "/info");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_TRACEPARENT", "old");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "SCRIPT_NAME", "/s.php");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_METHOD", "GET");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_X_Y", "z");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_TRACEPARENT", "new");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "SERVER_NAME", "name");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "SERVER_PORT", "8443");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTPS", "on");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REMOTE_ADDR", "192.0.2.7");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REMOTE_PORT", "4711");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_COOKIE", "nobody wants it");
    input_add_block(WIRE_PROTOCOL_FASTCGI, 50);
    check_requests(WIRE_PROTOCOL_FASTCGI, "GET /s.php/info?a=b;host=name;x-y=z;traceparent=new;head;");
    assert_true(gateway.is_https);
    assert_int_equal(gateway.server_port, 8443);
    assert_int_equal(gateway.client.family, WIRE_FAMILY_INET);
    assert_int_equal(gateway.client.port, 4711);
    assert_memory_equal(gateway.client.ip, "\xc0\0\2\7", 4);
    assert_false(gateway.params.truncated);
}

/* What is too long is cut, and what comes behind it is read. */
static void test_gateway_cuts_what_is_long(void **state)
{
    (void)state;
    for (enum wire_protocol protocol = WIRE_PROTOCOL_FASTCGI; protocol <= WIRE_PROTOCOL_UWSGI; protocol++) {
        input.length = 0;
        if (protocol == WIRE_PROTOCOL_FASTCGI)
            input_add_begin(1, 0);
        input_add_pair(protocol, "CONTENT_LENGTH", "");
        input_add_long_pair(protocol, "HTTP_X", "long ", 10000);
        input_add_long_pair(protocol, "NOBODY_WANTS_IT", "long ", 1000);
        input_add_long_pair(protocol, "HTTP_NAME_OF_SEVENTY_BYTES_WHICH_NOBODY_HAS_EVER_SEEN_IN_ANY_REQUEST_SO_FAR",
                            "x", 1);
        input_add_pair(protocol, "REQUEST_URI", "/p");
        input_add_pair(protocol, "REQUEST_METHOD", "GET");
        input_add_block(protocol, 9999);
        check_requests(protocol, protocol == WIRE_PROTOCOL_FASTCGI
                                     ? "GET /p~;content-length=;x=long..4096~;head;"
                                     : "GET /p~;content-length=;x=long..4096~;head;over;");
        assert_true(gateway.params.truncated);
    }
}

static void test_gateway_bounds_how_many(void **state)
{
    (void)state;
    input_add_begin(1, 0);
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_METHOD", "GET");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_URI", "/");
    for (int i = 0; i < 2000; i++)
        input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_SAME", "value");
    input_add_block(WIRE_PROTOCOL_FASTCGI, 60000);
    run(WIRE_PROTOCOL_FASTCGI, input.length, INPUT_SIZE, 0);
    assert_string_equal(seen, "GET /~;same=value;head;");
}

/* Long values leave room for short ones, and half a list is told to be one. */
static void test_gateway_keeps_what_comes_late(void **state)
{
    (void)state;
    input_add_begin(1, 0);
    for (int i = 0; i < 3; i++)
        input_add_long_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_X_TOKEN", "long ", 1000);
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_METHOD", "GET");
    input_add_long_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_BAGGAGE", "long=", 1000);
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_TRACEPARENT", "late");
    input_add_block(WIRE_PROTOCOL_FASTCGI, 60000);
    run(WIRE_PROTOCOL_FASTCGI, input.length, INPUT_SIZE, 0);
    assert_string_equal(seen, "GET ~;x-token=long..512~;baggage=long..512~;traceparent=late;head;");
}

/* A client's variables are all told, so that none of a name stays behind. */
static void test_gateway_tells_a_client_all(void **state)
{
    struct http1 requests = {.role = HTTP1_REQUESTS}, responses = {.role = HTTP1_RESPONSES};

    (void)state;
    input_add_begin(1, 0);
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_A", "1");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "HTTP_A", "2");
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_METHOD", "GET");
    input_add_block(WIRE_PROTOCOL_FASTCGI, 60000);
    seen[0] = '\0';
    gateway_begin(&gateway, WIRE_PROTOCOL_FASTCGI, &requests, &responses);
    gateway.is_client = true;
    feed(&requests, input.bytes, input.length);
    assert_string_equal(seen, "GET ;a=1;a=2;head;");
}

/* Responses */

static size_t ask(void)
{
    input_add_begin(1, 1);
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_METHOD", "GET");
    input_add_block(WIRE_PROTOCOL_FASTCGI, INPUT_SIZE);
    input_add_record(STDIN, 1, "", 0, 0);
    return input.length;
}

#define ASKED "GET ;head kept;end 0;"

static void answer(const char *text, size_t most)
{
    for (size_t at = 0; at < strlen(text); at += most) {
        input_add_record(STDOUT, 1, text + at, strlen(text + at) < most ? strlen(text + at) : most, at % 7);
        input_add_record(STDERR, 1, "Status: 500\r\n\r\n", 15, 1);
    }
}

static void end(int status)
{
    input_add_record(END_REQUEST, 1, (const uint8_t[]){0, 0, 0, 9, (uint8_t)status, 0, 0, 0}, 8, 0);
}

static void test_gateway_reads_answers(void **state)
{
    static const struct {
        const char *text, *events;
    } answers[] = {
        {"Status: 404 Not Found\r\nX: y\r\n\r\nbody", ";Status=404 Not Found;X=y;head;404;end 4;"},
        {"X: y\n\nbody", ";X=y;head;200;end 4;"},
        {"Location: http://a/\r\n\r\n", ";Location=http://a/;head;302;end 0;"},
        {"Location: http://a/\r\nStatus: 201 Made\r\n\r\n", ";Location=http://a/;Status=201 Made;head;201;end 0;"},
        {"Status: 201\r\nLocation: /\r\n\r\n", ";Status=201;Location=/;head;201;end 0;"},
        {"Content-Length: 2\r\nTransfer-Encoding: odd\r\n\r\nbody",
         ";Content-Length=2;Transfer-Encoding=odd;head;200;end 4;"},
        {"Status: odd\r\n\r\n", ";Status=odd;head;200;end 0;"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        for (size_t most = 1; most < 60; most += 11) {
            char events[256];
            size_t asked;

            input.length = 0;
            asked = ask();
            answer(answers[i].text, most);
            input_add_record(STDOUT, 1, "", 0, 0);
            end(0);
            (void)snprintf(events, sizeof(events), ASKED "%s", answers[i].events);
            check_all(WIRE_PROTOCOL_FASTCGI, asked, events);
        }
}

static void test_gateway_takes_a_status_line(void **state)
{
    size_t asked = ask();

    (void)state;
    answer("HTTP/1.1 403 No\r\nX: y\r\n\r\nbody", 100);
    end(0);
    run(WIRE_PROTOCOL_FASTCGI, asked, INPUT_SIZE, 0);
    assert_string_equal(seen, ASKED "HTTP/1.1403;X=y;head;403;end 4;");
}

static void test_gateway_tells_who_was_not_answered(void **state)
{
    size_t asked = ask();

    (void)state;
    end(2);
    check_all(WIRE_PROTOCOL_FASTCGI, asked, ASKED "end 0;");
    assert_int_equal(gateway.answer_end, 2);
}

static void test_gateway_answers_only_who_asked(void **state)
{
    size_t asked = ask();

    (void)state;
    input_add_record(STDOUT, 2, "X: y\r\n\r\n", 8, 0);
    check_all(WIRE_PROTOCOL_FASTCGI, asked, ASKED "bad;");
}

/* Bytes that nobody saw are counted within a record only. */
static void test_gateway_skips(void **state)
{
    struct http1 requests = {.role = HTTP1_REQUESTS}, responses = {.role = HTTP1_RESPONSES};
    enum http1_event event;

    (void)state;
    input_add_begin(1, 0);
    input_add_pair(WIRE_PROTOCOL_FASTCGI, "REQUEST_METHOD", "GET");
    input_add_block(WIRE_PROTOCOL_FASTCGI, INPUT_SIZE);
    input_add(&input, "\1\5\0\1\0\x64\0\0", 8);
    gateway_begin(&gateway, WIRE_PROTOCOL_FASTCGI, &requests, &responses);
    feed(&requests, input.bytes, input.length);
    assert_int_equal(gateway_skip(&gateway, &requests, 60, &event), 0);
    assert_int_equal(event, HTTP1_NEED_MORE);
    assert_int_equal(gateway_skip(&gateway, &requests, 40, &event), 0);
    assert_int_equal(requests.body_length, 100);
    assert_int_equal(gateway_skip(&gateway, &requests, 1, &event), -1);
}

/* A CGI program's environment. */
static void test_gateway_reads_an_environment(void **state)
{
    char *envp[] = {(char[]){"PATH=/bin"},
                    (char[]){"odd"},
                    (char[]){"REQUEST_METHOD=GET"},
                    (char[]){"SCRIPT_NAME=/cgi"},
                    (char[]){"HTTP_HOST=h"},
                    (char[]){"HTTP_X_A=b=c"},
                    (char[]){"="},
                    NULL};
    struct http1 requests = {.role = HTTP1_REQUESTS};
    struct http1_out out = {0};
    enum http1_event event;

    (void)state;
    seen[0] = '\0';
    memset(&gateway, 0, sizeof(gateway));
    event = gateway_read_environment(&gateway, &requests, envp, &out);
    for (;;) {
        say_event(&requests, event, &out);
        if (event != HTTP1_START_LINE && event != HTTP1_FIELD)
            break;
        (void)gateway_feed(&gateway, &requests, "", 1, NULL, &event, &out);
    }
    assert_string_equal(seen, "GET /cgi;host=h;x-a=b=c;head;");
    assert_int_equal(gateway_read_environment(&gateway, &requests, envp + 7, &out), HTTP1_NOT_MINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_gateway_reads_fastcgi, begin_input),
        cmocka_unit_test_setup(test_gateway_reads_kept_connections, begin_input),
        cmocka_unit_test_setup(test_gateway_reads_scgi_and_uwsgi, begin_input),
        cmocka_unit_test_setup(test_gateway_counts_bodies, begin_input),
        cmocka_unit_test_setup(test_gateway_refuses, begin_input),
        cmocka_unit_test_setup(test_gateway_lets_others_go, begin_input),
        cmocka_unit_test_setup(test_gateway_knows_its_protocols, begin_input),
        cmocka_unit_test_setup(test_gateway_puts_together, begin_input),
        cmocka_unit_test_setup(test_gateway_cuts_what_is_long, begin_input),
        cmocka_unit_test_setup(test_gateway_bounds_how_many, begin_input),
        cmocka_unit_test_setup(test_gateway_keeps_what_comes_late, begin_input),
        cmocka_unit_test_setup(test_gateway_tells_a_client_all, begin_input),
        cmocka_unit_test_setup(test_gateway_reads_answers, begin_input),
        cmocka_unit_test_setup(test_gateway_takes_a_status_line, begin_input),
        cmocka_unit_test_setup(test_gateway_tells_who_was_not_answered, begin_input),
        cmocka_unit_test_setup(test_gateway_answers_only_who_asked, begin_input),
        cmocka_unit_test_setup(test_gateway_skips, begin_input),
        cmocka_unit_test_setup(test_gateway_reads_an_environment, begin_input),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
