/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/propagation.h"

#include "preload/arena.h"
#include "preload/carried.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRACE        "0af7651916cd43dd8448eb211c80319c"
#define SPAN         "b7ad6b7169203331"
#define GOOD         "00-" TRACE "-" SPAN "-01"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Their length; SIZE_MAX: they don't fit. */
static size_t written(char *out, size_t room, unsigned formats, const struct trace_context *context,
                      const struct propagation_carried *carried)
{
    size_t length;

    return propagation_write(out, room, formats, context, carried, &length) ? length : SIZE_MAX;
}

static void test_propagation_parses_formats(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        unsigned formats;
        unsigned unknown;
    } rows[] = {
        {"", PROPAGATION_DEFAULT_FORMATS, 0},
        {"tracecontext", 0x101, 0},
        {"tracecontext,baggage", PROPAGATION_DEFAULT_FORMATS, 0},
        {" TraceContext , ", 0x101, 0},
        {"baggage", 0x510, 0},
        {"xray,b3,xray,tracecontext", 0x12400 | 0xb, 0},
        {"b3,b3multi,xray,baggage,tracecontext", 0x15432 << 8 | 0x1f, 0},
        {"none", 0, 0},
        {"nonsense", PROPAGATION_DEFAULT_FORMATS, 1},
        {"baggage,x,y", 0x510, 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned unknown;
        assert_int_equal(propagation_parse_formats(rows[i].list, strlen(rows[i].list), &unknown), rows[i].formats);
        assert_int_equal(unknown, rows[i].unknown);
    }
}

/* What a head's fields come to: "<trace id>-<span id>" and what is decided: 0, 1, d, or ? (nothing). */
static const char *found(const struct propagation *propagation)
{
    static char text[80];
    const struct trace_context *context = &propagation->context;
    char *out = text;

    for (size_t i = 0; i < 16 && context->valid; i++)
        out += sprintf(out, "%02x", context->trace_id[i]);
    for (size_t i = 0; i < 8 && context->valid; i++)
        out += sprintf(out, i == 0 ? "-%02x" : "%02x", context->span_id[i]);
    if (!context->decided)
        strcpy(out, " ?");
    else if (context->flags & PROPAGATION_FLAG_DEBUG)
        strcpy(out, " d");
    else
        strcpy(out, context->flags & PROPAGATION_FLAG_SAMPLED ? " 1" : " 0");
    return text;
}

#define IDS    TRACE "-" SPAN
#define SHORT  "84a8eb211c80319c"
#define PADDED "0000000000000000" SHORT "-" SPAN
#define ROOT   "Root=1-0af76519-16cd43dd8448eb211c80319c"
#define LONE   TRACE "-0000000000000000"

#define OTHER_ROOT   "Root=1-eef76519-16cd43dd8448eb211c80319c"
#define XRAY_SAMPLED PROPAGATION_FLAG_XRAY_SAMPLED

static const struct {
    const char *formats;
    const char *fields[6]; /* name, value, ... */
    const char *expected;
} heads[] = {
    /* one header */
    {"b3", {"b3", IDS "-1"}, IDS " 1"},
    {"b3", {"B3", IDS "-0"}, IDS " 0"},
    {"b3", {"b3", IDS "-d"}, IDS " d"},
    {"b3", {"b3", IDS}, IDS " ?"},
    {"b3", {"b3", IDS "-1-00000000000000aa"}, IDS " 1"},
    {"b3", {"b3", SHORT "-" SPAN "-1"}, PADDED " 1"},
    {"b3", {"b3", "0"}, " 0"},
    {"b3", {"b3", "1"}, " 1"},
    {"b3", {"b3", "d"}, " d"},
    {"b3", {"b3", IDS "-1-"}, " ?"},
    {"b3", {"b3", IDS "-2"}, " ?"},
    {"b3", {"b3", IDS "-"}, " ?"},
    {"b3", {"b3", IDS "-1-00000000000000aa-"}, " ?"},
    {"b3", {"b3", "0" IDS "-1"}, " ?"},
    {"b3", {"b3", "00000000000000000000000000000000-" SPAN "-1"}, " ?"},
    {"b3", {"b3", TRACE "-0000000000000000-1"}, " ?"},
    {"b3", {"b3", "0AF7651916CD43DD8448EB211C80319C-" SPAN "-1"}, " ?"},
    {"b3", {"b3", ""}, " ?"},
    {"b3", {"b3", "x", "b3", IDS "-1"}, IDS " 1"},
    {"b3", {"b3", IDS "-1", "b3", "0"}, IDS " 1"},
    /* several */
    {"b3multi", {"X-B3-TraceId", TRACE, "X-B3-SpanId", SPAN, "X-B3-Sampled", "1"}, IDS " 1"},
    {"b3multi", {"x-b3-sampled", "false", "x-b3-spanid", SPAN, "x-b3-traceid", TRACE}, IDS " 0"},
    {"b3multi", {"x-b3-traceid", SHORT, "x-b3-spanid", SPAN}, PADDED " ?"},
    {"b3multi", {"x-b3-traceid", TRACE, "x-b3-spanid", SPAN, "x-b3-flags", "1"}, IDS " d"},
    {"b3multi", {"x-b3-flags", "1", "x-b3-sampled", "0"}, " d"},
    {"b3multi", {"x-b3-sampled", "0", "x-b3-flags", "0"}, " 0"},
    {"b3multi", {"x-b3-sampled", "0", "x-b3-sampled", "1"}, " 0"},
    {"b3multi", {"x-b3-traceid", "x", "x-b3-traceid", TRACE, "x-b3-spanid", SPAN}, " ?"},
    {"b3multi", {"x-b3-traceid", TRACE, "x-b3-parentspanid", SPAN}, " ?"},
    {"b3multi", {"b3", IDS "-0"}, IDS " 0"},
    {"b3", {"x-b3-traceid", TRACE, "x-b3-spanid", SPAN}, IDS " ?"},
    {"b3", {"x-b3-traceid", SHORT, "b3", IDS "-1", "x-b3-sampled", "0"}, IDS " 1"},
    {"b3", {"x-b3-traceid", TRACE, "b3", "x", "x-b3-spanid", SPAN}, IDS " ?"},
    /* X-Ray */
    {"xray", {"X-Amzn-Trace-Id", ROOT ";Parent=" SPAN ";Sampled=1"}, IDS " 1"},
    {"xray", {"x-amzn-trace-id", "Sampled=0 ; parent=" SPAN ";; junk ;" ROOT ";"}, IDS " 0"},
    {"xray", {"x-amzn-trace-id", ROOT ";Parent=" SPAN ";Sampled=?"}, IDS " ?"},
    {"xray", {"x-amzn-trace-id", ROOT ";Parent=" SPAN ";Sampled=2"}, IDS " ?"},
    {"xray", {"x-amzn-trace-id", "Self=1-1-1;" ROOT ";Lineage=a:1|b:2"}, LONE " ?"},
    {"xray", {"x-amzn-trace-id", ROOT ";Parent=x;Sampled=1"}, LONE " 1"},
    {"xray", {"x-amzn-trace-id", "Root=abc;Parent=" SPAN ";Sampled=1"}, " 1"},
    {"xray", {"x-amzn-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0"}, " 0"},
    {"xray", {"x-amzn-trace-id", "Sampled=0"}, " 0"},
    {"xray", {"x-amzn-trace-id", "Sampled=0;Sampled=1"}, " 1"},
    {"xray", {"x-amzn-trace-id", ""}, " ?"},
    {"xray", {"x-amzn-trace-id", "Sampled=0", "x-amzn-trace-id", ROOT}, " 0"},
    /* the last one that finds a trace wins */
    {"tracecontext,b3", {"traceparent", GOOD, "b3", PADDED "-0"}, PADDED " 0"},
    {"b3,tracecontext", {"traceparent", GOOD, "b3", PADDED "-0"}, IDS " 1"},
    {"tracecontext,b3", {"b3", "x", "traceparent", GOOD}, IDS " 1"},
    {"tracecontext,b3", {"b3", "0", "traceparent", GOOD}, IDS " 1"},
    {"xray,b3multi,tracecontext", {"x-amzn-trace-id", ROOT ";Parent=" SPAN, "x-b3-sampled", "0"}, IDS " ?"},
    {"tracecontext", {"b3", IDS "-1"}, " ?"},
    {"none", {"b3", IDS "-1", "traceparent", GOOD}, " ?"},
};

/* Read a head; what its owner has set stays. */
static void offer_head(struct propagation *propagation, const char *formats, const char *const *fields)
{
    struct propagation owners = *propagation;
    unsigned unknown;

    propagation_init(propagation, propagation_parse_formats(formats, strlen(formats), &unknown));
    propagation->keeps = owners.keeps;
    propagation->xray_is_apart = owners.xray_is_apart;
    for (size_t i = 0; i < 6 && fields[i]; i += 2)
        (void)propagation_field(propagation, fields[i], strlen(fields[i]), fields[i + 1], strlen(fields[i + 1]));
    (void)propagation_done(propagation);
}

static struct propagation read_head(const char *formats, const char *const *fields, bool keeps)
{
    struct propagation propagation = {.keeps = keeps};

    offer_head(&propagation, formats, fields);
    return propagation;
}

static void test_propagation_reads_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct propagation propagation = read_head(heads[i].formats, heads[i].fields, false);

        if (strcmp(found(&propagation), heads[i].expected) != 0)
            fail_msg("row %zu, %s: %s: found %s, not %s", i, heads[i].formats, heads[i].fields[1], found(&propagation),
                     heads[i].expected);
        assert_null(propagation.carried);
    }
}

/* How X-Ray is asked apart: what is decided for others, then for X-Ray: 0, 1, d, or ? (nothing). */
static void test_propagation_keeps_the_decision_of_xray_apart(void **state)
{
    static const struct {
        const char *formats, *fields[6], *expected, *of_xray;
    } rows[] = {
        {"xray,tracecontext", {"x-amzn-trace-id", ROOT ";Sampled=1"}, LONE " ?", "1"},
        {"xray,tracecontext", {"x-amzn-trace-id", "Sampled=0"}, " ?", "0"},
        {"xray,tracecontext", {"x-amzn-trace-id", ROOT ";Sampled=0", "traceparent", GOOD}, IDS " 1", "0"},
        {"tracecontext,xray", {"x-amzn-trace-id", ROOT ";Sampled=0", "traceparent", GOOD}, LONE " 1", "0"},
        {"tracecontext,xray", {"x-amzn-trace-id", ROOT ";Sampled=?", "traceparent", GOOD}, LONE " 1", "?"},
        {"xray,b3", {"x-amzn-trace-id", ROOT ";Sampled=1", "b3", "0"}, LONE " 0", "1"},
        {"b3,xray", {"x-amzn-trace-id", ROOT ";Sampled=1", "b3", "d"}, LONE " d", "1"},
        {"xray,tracecontext", {"traceparent", GOOD}, IDS " 1", "?"},
        {"tracecontext", {"x-amzn-trace-id", ROOT ";Sampled=0", "traceparent", GOOD}, IDS " 1", "?"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct propagation propagation = {.xray_is_apart = true};
        const char *of_xray = "?";

        offer_head(&propagation, rows[i].formats, rows[i].fields);
        if (propagation.context.xray_decided)
            of_xray = propagation.context.flags & XRAY_SAMPLED ? "1" : "0";
        if (strcmp(found(&propagation), rows[i].expected) != 0 || strcmp(of_xray, rows[i].of_xray) != 0)
            fail_msg("row %zu: found %s and %s, not %s and %s", i, found(&propagation), of_xray, rows[i].expected,
                     rows[i].of_xray);
    }
}

/* The traces that are not adopted, by their first byte. */
static void test_propagation_names_the_other_traces(void **state)
{
    static const struct {
        const char *formats, *fields[6], *others;
    } rows[] = {
        {"xray,tracecontext", {"x-amzn-trace-id", OTHER_ROOT ";Parent=" SPAN, "traceparent", GOOD}, "ee"},
        {"tracecontext,xray", {"x-amzn-trace-id", OTHER_ROOT ";Parent=" SPAN, "traceparent", GOOD}, "0a"},
        {"tracecontext,xray", {"x-amzn-trace-id", OTHER_ROOT, "traceparent", GOOD}, "0a"},
        {"xray,tracecontext", {"x-amzn-trace-id", OTHER_ROOT, "traceparent", GOOD}, ""},
        {"xray,tracecontext", {"x-amzn-trace-id", ROOT ";Parent=" SPAN, "traceparent", GOOD}, ""},
        {"b3,b3multi,xray,tracecontext",
         {"x-amzn-trace-id", OTHER_ROOT ";Parent=" SPAN, "traceparent", GOOD, "b3", PADDED "-0"},
         "00ee"},
        {"tracecontext", {"traceparent", GOOD}, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct propagation propagation = {0};
        const struct trace_context *others[PROPAGATION_FORMAT_COUNT];
        char text[16] = "", *out = text;

        offer_head(&propagation, rows[i].formats, rows[i].fields);
        for (size_t n = 0, count = propagation_others(&propagation, others); n < count; n++)
            out += sprintf(out, "%02x", others[n]->trace_id[0]);
        if (strcmp(text, rows[i].others) != 0)
            fail_msg("row %zu: found %s, not %s", i, text, rows[i].others);
    }
}

static void test_propagation_writes_each_format(void **state)
{
    static const struct {
        const char *formats, *lines;
        uint8_t flags;
        bool is_debug;
    } rows[] = {
        {"b3", "b3: " IDS "-1\r\n", 1, false},
        {"b3", "b3: " IDS "-0\r\n", 2, true},
        {"b3", "b3: " IDS "-d\r\n", 1, true},
        {"b3multi", "X-B3-TraceId: " TRACE "\r\nX-B3-SpanId: " SPAN "\r\nX-B3-Sampled: 1\r\n", 1, false},
        {"b3multi", "X-B3-TraceId: " TRACE "\r\nX-B3-SpanId: " SPAN "\r\nX-B3-Sampled: 0\r\n", 0, false},
        {"b3multi", "X-B3-TraceId: " TRACE "\r\nX-B3-SpanId: " SPAN "\r\nX-B3-Flags: 1\r\n", 3, true},
        {"xray", "X-Amzn-Trace-Id: " ROOT ";Parent=" SPAN ";Sampled=1;Lineage=a:1\r\n", XRAY_SAMPLED, false},
        {"xray", "X-Amzn-Trace-Id: " ROOT ";Parent=" SPAN ";Sampled=0;Lineage=a:1\r\n", 1, false},
        {"xray,b3", "b3: " IDS "-0\r\nX-Amzn-Trace-Id: " ROOT ";Parent=" SPAN ";Sampled=1;Lineage=a:1\r\n",
         XRAY_SAMPLED, false},
        {"baggage,b3", "b3: " IDS "-1\r\nbaggage: k=1,l=2\r\n", 1, false},
        {"none", "", 1, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct propagation_carried carried = {
            .baggage = {"k=1,l=2", 7}, .xray = {"Lineage=a:1", 11}, .b3_debug = rows[i].is_debug};
        struct trace_context context;
        char lines[300];
        unsigned unknown, formats = propagation_parse_formats(rows[i].formats, strlen(rows[i].formats), &unknown);

        assert_true(propagation_read_traceparent(GOOD, strlen(GOOD), &context));
        context.flags = rows[i].flags;
        assert_int_equal(written(lines, sizeof(lines), formats, &context, &carried), strlen(rows[i].lines));
        assert_memory_equal(lines, rows[i].lines, strlen(rows[i].lines));
    }
}

static void test_propagation_cuts_baggage_by_members(void **state)
{
    static const size_t before = sizeof("baggage: \r\n") - 1;
    struct propagation_carried carried = {.baggage = {"k=1,l=2", 7}};
    struct trace_context context = {.valid = true};
    char lines[100];

    (void)state;
    for (size_t room = 0; room < sizeof(lines); room++) {
        size_t kept = room < before + 3 ? 0 : room < before + 7 ? 3 : 7;

        assert_int_equal(written(lines, room, 1u << PROPAGATION_BAGGAGE, &context, &carried),
                         kept ? before + kept : SIZE_MAX);
    }
}

static void test_propagation_writes_response_lines(void **state)
{
    static const struct {
        unsigned lines;
        const char *expected;
    } rows[] = {
        {0, ""},
        {PROPAGATION_RESPONSE_TRACEPARENT, "Server-Timing: traceparent;desc=\"" GOOD "\"\r\n"},
        {PROPAGATION_RESPONSE_TRACEPARENT | PROPAGATION_RESPONSE_CORS,
         "Server-Timing: traceparent;desc=\"" GOOD "\"\r\nAccess-Control-Expose-Headers: Server-Timing\r\n"},
        {PROPAGATION_RESPONSE_XRAY, "X-Amzn-Trace-Id: " ROOT "\r\n"},
        {PROPAGATION_RESPONSE_XRAY | PROPAGATION_RESPONSE_SAMPLED, "X-Amzn-Trace-Id: " ROOT ";Sampled=1\r\n"},
    };
    struct trace_context context;
    char lines[300];

    (void)state;
    assert_true(propagation_read_traceparent(GOOD, strlen(GOOD), &context));
    context.flags |= XRAY_SAMPLED;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t length = strlen(rows[i].expected);

        assert_int_equal(propagation_write_response(lines, sizeof(lines), rows[i].lines, &context), length);
        assert_memory_equal(lines, rows[i].expected, length);
        assert_int_equal(propagation_write_response(lines, length ? length - 1 : 0, rows[i].lines, &context), 0);
    }
}

/* Baggage of so many members "kN=vvv..." of so many bytes each. */
static char *long_baggage(size_t members, size_t length)
{
    static char text[20000];
    char *out = text;

    for (size_t i = 0; i < members; i++) {
        size_t used = (size_t)sprintf(out, i ? ",k%02zu=" : "k%02zu=", i);
        size_t left = length + (i > 0) - used;

        memset(out + used, 'v', left);
        out += used + left;
    }
    *out = '\0';
    return text;
}

static void check_kept(const char *formats, const char *const *fields, const char *baggage, const char *xray)
{
    struct propagation propagation = read_head(formats, fields, true);
    struct slice kept = {0}, pieces = {0};

    if (propagation.carried) {
        kept = (struct slice){propagation.carried->baggage, propagation.carried->baggage_length};
        pieces = (struct slice){propagation.carried->xray, propagation.carried->xray_length};
    }
    if (!slice_equals(kept, baggage, strlen(baggage)) || !slice_equals(pieces, xray, strlen(xray)))
        fail_msg("%s: kept %.*s and %.*s", fields[1], (int)kept.length, kept.bytes, (int)pieces.length, pieces.bytes);
    carried_free(propagation.carried);
}

static void test_propagation_keeps_what_goes_along(void **state)
{
    static const struct {
        const char *formats, *fields[6], *baggage, *xray;
    } rows[] = {
        {"baggage", {"Baggage", "a=1"}, "a=1", ""},
        {"baggage", {"baggage", " a=1;p=2 ,, b = 2 ,"}, "a=1;p=2,b = 2", ""},
        {"baggage", {"baggage", "a=1", "BAGGAGE", "b=%20"}, "a=1,b=%20", ""},
        {"baggage", {"baggage", "a,=1,b\x01=2,c=\x7f,\xc3\xa9=1,d=4"}, "d=4", ""},
        {"baggage", {"baggage", "a="}, "a=", ""},
        {"baggage", {"baggage", ""}, "", ""},
        {"tracecontext", {"baggage", "a=1"}, "", ""},
        {"xray",
         {"x-amzn-trace-id", "Self=1-2-3;" ROOT "; Lineage=a:1|b:2 ;x;=y;Foo=bar=baz"},
         "",
         "Lineage=a:1|b:2;Foo=bar=baz"},
        {"xray,baggage", {"x-amzn-trace-id", "Lineage=a:1", "baggage", "a=1"}, "a=1", "Lineage=a:1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_kept(rows[i].formats, rows[i].fields, rows[i].baggage, rows[i].xray);
}

static void test_propagation_bounds_baggage(void **state)
{
    static char whole[20000], value[20000];
    const char *const two[] = {"baggage", value, "x-amzn-trace-id", "L=1", "baggage", "z=1", NULL};
    const char *const one[] = {"baggage", value, NULL, NULL, NULL, NULL, NULL};

    (void)state;
    strcpy(value, long_baggage(64, 100));
    check_kept("baggage,xray", two, value, "L=1"); /* 64 members: z is one too many */
    strcpy(value, long_baggage(65, 10));
    strcpy(whole, long_baggage(64, 10));
    check_kept("baggage", one, whole, "");
    strcpy(value, long_baggage(8, 1023));
    strcat(value, "v"); /* 8192 bytes in all */
    assert_int_equal(strlen(value), CARRIED_BAGGAGE_MAX);
    check_kept("baggage", one, value, "");
    strcat(value, "v");
    check_kept("baggage", one, long_baggage(7, 1023), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_propagation_parses_formats),
        cmocka_unit_test(test_propagation_reads_heads),
        cmocka_unit_test(test_propagation_keeps_the_decision_of_xray_apart),
        cmocka_unit_test(test_propagation_names_the_other_traces),
        cmocka_unit_test(test_propagation_writes_each_format),
        cmocka_unit_test(test_propagation_cuts_baggage_by_members),
        cmocka_unit_test(test_propagation_writes_response_lines),
        cmocka_unit_test(test_propagation_keeps_what_goes_along),
        cmocka_unit_test(test_propagation_bounds_baggage),
    };
    if (arena_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
