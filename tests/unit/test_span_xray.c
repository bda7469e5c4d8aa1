/* SPDX-License-Identifier: Apache-2.0 */
/* What X-Ray wants of a request: its own decision, names and addresses, links. */
#include "preload/span.h"

#include "preload/config.h"
#include "preload/ring.h"
#include "tests/support/shim_core.h"
#include "tests/support/shim_span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARENT "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"

/* By X-Ray's default: of the requests of one second the first, and hardly any of the others. */
static void test_span_is_sampled_by_xray_apart(void **state)
{
    struct wire_request *request;
    struct wire_slot *slot;
    unsigned sampled = 0;

    (void)state;
    config.xray_mode = XRAY_SAMPLES;
    for (unsigned i = 0; i < 50; i++) {
        slot = shim_span_begin("GET", "/a");
        request = shim_span_end(slot);
        assert_true(request->flags & WIRE_REQUEST_SAMPLED);
        sampled += (request->flags & WIRE_REQUEST_XRAY_SAMPLED) != 0;
        assert_true(i > 0 || sampled == 1);
        shim_span_assert_no_text(request, WIRE_TEXT_XRAY_RULE);
    }
    assert_in_range(sampled, 1, 20);
    assert_int_equal(shim_core_lane(shim_span_ring, 0)->counted[WIRE_COUNT_XRAY_SAMPLED], sampled);
    assert_int_equal(shim_core_lane(shim_span_ring, 0)->counted[WIRE_COUNT_UNSAMPLED], 0);
}

/* What a caller decided, for X-Ray and for others; and both together. */
static void test_span_follows_the_caller_of_xray(void **state)
{
    static const struct {
        enum xray_mode mode;
        const char *xray, *traceparent;
        unsigned flags;
    } rows[] = {
        {XRAY_SAMPLES, "Sampled=1", "00-" PARENT "-00", WIRE_REQUEST_XRAY_SAMPLED},
        {XRAY_SAMPLES, "Sampled=0", "00-" PARENT "-01", WIRE_REQUEST_SAMPLED},
        {XRAY_SAMPLES, "Sampled=0", "00-" PARENT "-00", 0},
        {XRAY_SAMPLES, "Root=1-eef76519-16cd43dd8448eb211c80319c;Sampled=0", NULL, WIRE_REQUEST_SAMPLED},
        {XRAY_FOLLOWS, "Root=1-eef76519-16cd43dd8448eb211c80319c;Sampled=0", NULL, 0},
        {XRAY_FOLLOWS, "Sampled=1", "00-" PARENT "-00", 0},
        {XRAY_OFF, "Sampled=0", NULL, 0},
    };
    unsigned unknown;

    (void)state;
    config.propagator_formats = propagation_parse_formats("xray,tracecontext", 17, &unknown);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire_slot *slot;

        config.xray_mode = rows[i].mode;
        slot = shim_span_begin("GET", "/a");
        shim_span_field(slot, "X-Amzn-Trace-Id", rows[i].xray);
        if (rows[i].traceparent)
            shim_span_field(slot, "traceparent", rows[i].traceparent);
        span_head_end(slot, &shim_span_head);
        if ((wire_slot_request(slot)->flags & (WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED)) != rows[i].flags)
            fail_msg("row %zu: flags %x", i, wire_slot_request(slot)->flags);
        assert_int_equal(wire_slot_request(slot)->trace_flags & PROPAGATION_FLAG_SAMPLED,
                         rows[i].flags & WIRE_REQUEST_SAMPLED ? PROPAGATION_FLAG_SAMPLED : 0);
        span_discard(slot);
    }
}

/* A client's request has the decision of the request that it is made for, and passes it on. */
static void test_span_passes_the_decision_of_xray_on(void **state)
{
    unsigned unknown;

    (void)state;
    config.xray_mode = XRAY_SAMPLES;
    config.propagator_formats = propagation_parse_formats("xray,tracecontext", 17, &unknown);
    for (int is_sampled = 0; is_sampled <= 1; is_sampled++) {
        struct span_ends client_ends = {.kind = WIRE_KIND_CLIENT,
                                        .peer = shim_span_ends.peer,
                                        .local = shim_span_ends.local,
                                        .client = shim_span_ends.client};
        struct wire_slot *served = shim_span_begin("GET", "/a"), *asked;
        char lines[512];
        size_t length;

        shim_span_field(served, "X-Amzn-Trace-Id", is_sampled ? "Sampled=1" : "Sampled=0");
        span_head_end(served, &shim_span_head);
        client_ends.parent = request_in(served);
        asked = span_open(&shim_span_head, 2000, &client_ends);
        assert_non_null(asked);
        span_request_line(asked, &shim_span_head, shim_span_slice("GET"), shim_span_slice("/b"), 1);
        span_head_end(asked, &shim_span_head);
        assert_int_equal((wire_slot_request(asked)->flags & WIRE_REQUEST_XRAY_SAMPLED) != 0, is_sampled);
        assert_true(wire_slot_request(asked)->flags & WIRE_REQUEST_SAMPLED);
        assert_true(span_context_lines(asked, &shim_span_head, lines, sizeof(lines), &length));
        lines[length] = '\0';
        assert_non_null(strstr(lines, is_sampled ? ";Sampled=1\r\n" : ";Sampled=0\r\n"));
        assert_non_null(strstr(lines, "-03\r\n"));
        span_discard(asked);
        span_discard(served);
    }
}

static void test_span_notes_what_xray_wants(void **state)
{
    static const struct {
        enum redact_ip_mode mode;
        const char *expected;
    } rows[] = {
        {REDACT_IP_FULL, "203.0.113.7, 10.0.0.1:80, x"},
        {REDACT_IP_ANONYMIZE, "203.0.113.0, 10.0.0.0"},
        {REDACT_IP_NONE, NULL},
    };
    struct wire_request *request;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire_slot *slot;

        config.xray_mode = XRAY_SAMPLES;
        config.client_ip_mode = rows[i].mode;
        slot = shim_span_begin("GET", "/a");
        shim_span_field(slot, "Host", "Shop.example:8080");
        shim_span_field(slot, "Host", "other");
        shim_span_field(slot, "X-Forwarded-For", "203.0.113.7,10.0.0.1:80 ,, x");
        shim_span_field(slot, "X-Forwarded-For", "10.0.0.2");
        request = shim_span_end(slot);
        shim_span_assert_text(request, WIRE_TEXT_HOST, "Shop.example:8080");
        if (rows[i].expected)
            shim_span_assert_text(request, WIRE_TEXT_FORWARDED_FOR, rows[i].expected);
        else
            shim_span_assert_no_text(request, WIRE_TEXT_FORWARDED_FOR);
    }
    config.xray_mode = XRAY_OFF;
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "Host", "shop.example");
    shim_span_field(slot, "X-Forwarded-For", "10.0.0.2");
    request = shim_span_end(slot);
    shim_span_assert_no_text(request, WIRE_TEXT_HOST);
    shim_span_assert_no_text(request, WIRE_TEXT_FORWARDED_FOR);
}

/* Neither longer than a field may be, nor with a user and a password. */
static void test_span_bounds_what_xray_wants(void **state)
{
    struct wire_slot *slot;
    struct wire_request *request;
    char list[3000] = "";

    (void)state;
    config.xray_mode = XRAY_SAMPLES;
    for (unsigned i = 0; i < 200; i++)
        strcat(list, i ? ",192.0.2.123" : "192.0.2.123");
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "Host", "user:secret@shop.example");
    shim_span_field(slot, "X-Forwarded-For", list);
    request = shim_span_end(slot);
    shim_span_assert_no_text(request, WIRE_TEXT_HOST);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_FORWARDED_FOR, 0).length, 19 * 13 - 2); /* whole addresses */
    assert_true(request->flags & WIRE_REQUEST_TRUNCATED);
}

static void test_span_links_the_trace_that_it_does_not_follow(void **state)
{
    static const char linked[] = "\xee\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c\1\2\3\4\5\6\7\x8";
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    struct wire_request *request;
    struct slice link;
    unsigned unknown;

    (void)state;
    span_discard(slot);
    config.propagator_formats = propagation_parse_formats("xray,tracecontext", 17, &unknown);
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "traceparent", "00-" PARENT "-01");
    shim_span_field(slot, "X-Amzn-Trace-Id",
                    "Root=1-eef76519-16cd43dd8448eb211c80319c;Parent=0102030405060708;Sampled=1");
    request = shim_span_end(slot);
    link = shim_core_text(request, WIRE_TEXT_LINK, 0);
    assert_int_equal(request->trace_id[0], 0x0a);
    assert_int_equal(link.length, sizeof(struct wire_link));
    assert_memory_equal(link.bytes, linked, sizeof(struct wire_link));
    assert_null(shim_core_text(request, WIRE_TEXT_LINK, 1).bytes);
}

int main(void)
{
    static char *environment[] = {NULL};
#define TEST(name) cmocka_unit_test_setup(name, shim_span_setup)
    const struct CMUnitTest tests[] = {
        TEST(test_span_is_sampled_by_xray_apart),       TEST(test_span_follows_the_caller_of_xray),
        TEST(test_span_passes_the_decision_of_xray_on), TEST(test_span_notes_what_xray_wants),
        TEST(test_span_bounds_what_xray_wants),         TEST(test_span_links_the_trace_that_it_does_not_follow),
    };

    return shim_core_init(environment) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
