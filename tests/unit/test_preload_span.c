/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/span.h"

#include "preload/config.h"
#include "preload/ring.h"
#include "tests/support/shim_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARENT "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"

static struct wire_ring *ring; /* of the test that runs */
static struct span_head head;

static const struct wire_address peer = {.family = WIRE_FAMILY_INET, .port = 40000, .ip = {203, 0, 113, 7}};
static struct wire_address client; /* by the PROXY protocol: none, but for a test's own */
static const struct wire_address local = {.family = WIRE_FAMILY_INET, .port = 80, .ip = {127, 0, 0, 1}};
static const struct span_ends ends = {.kind = WIRE_KIND_SERVER, .peer = &peer, .local = &local, .client = &client};

static int setup(void **state)
{
    (void)state;
    ring = shim_core_ring(1, 64, 64);
    config.client_ip_mode = REDACT_IP_FULL;
    config.query_mode = REDACT_VALUES;
    config.ignored_paths.count = config.ignored_user_agents.count = config.span_limit = 0;
    config.ignored_hosts.count = 0;
    config.client_mode = CLIENT_ON;
    config.xray_mode = XRAY_OFF;
    config.propagator_formats = PROPAGATION_DEFAULT_FORMATS;
    memset(&head, 0xee, sizeof(head)); /* a pool's block is as its last user left it */
    return ring ? 0 : -1;
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static struct wire_slot *begin(const char *method, const char *target)
{
    struct wire_slot *slot = span_open(&head, 1000, &ends);

    assert_non_null(slot);
    assert_int_equal(slot->open, WIRE_SLOT_CLOSED);
    span_request_line(slot, &head, slice_of(method), slice_of(target), 1);
    return slot;
}

static void field(struct wire_slot *slot, const char *name, const char *value)
{
    span_request_field(slot, &head, slice_of(name), slice_of(value));
}

/* The record that the request became. */
static struct wire_request *end(struct wire_slot *slot)
{
    static union shim_record record;
    size_t length;

    span_head_end(slot, &head);
    assert_int_equal(slot->open, WIRE_SLOT_OPEN);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_REQUEST);
    assert_int_equal(length, sizeof(record.request) + record.request.text_length);
    assert_int_equal(shim_core_slots_used(ring, 0), 0);
    return &record.request;
}

static void assert_text(const struct wire_request *request, enum wire_text id, const char *expected)
{
    struct slice text = shim_core_text(request, id, 0);

    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.length);
}

static void assert_no_text(const struct wire_request *request, enum wire_text id)
{
    assert_null(shim_core_text(request, id, 0).bytes);
}

static char *long_text(char fill, size_t length)
{
    static char text[4096];

    memset(text, fill, length);
    text[length] = '\0';
    return text;
}

static void test_span_notes_a_request(void **state)
{
    struct wire_slot *slot = begin("POST", "/a/b?c=d");
    struct wire_request *request;

    (void)state;
    field(slot, "Host", "example.com:8080");
    field(slot, "User-Agent", "curl/8");
    field(slot, "User-Agent", "another");
    request = end(slot);
    assert_int_equal(request->start_ns, 1000);
    assert_int_equal(request->end_ns, 5000);
    assert_int_equal(request->kind, WIRE_KIND_SERVER);
    assert_int_equal(request->method, WIRE_METHOD_POST);
    assert_int_equal(request->version, 11);
    assert_int_equal(request->server_port, 8080);
    assert_int_equal(request->flags, WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED);
    assert_int_equal(request->trace_flags, 3);
    assert_memory_equal(&request->peer, &peer, sizeof(peer));
    assert_memory_equal(&request->local, &local, sizeof(local));
    assert_text(request, WIRE_TEXT_PATH, "/a/b");
    assert_text(request, WIRE_TEXT_QUERY, "c=d");
    assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "example.com");
    assert_text(request, WIRE_TEXT_USER_AGENT, "curl/8");
    assert_no_text(request, WIRE_TEXT_METHOD);
    assert_memory_not_equal(request->trace_id, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_memory_equal(request->parent_span_id, "\0\0\0\0\0\0\0", 8);
}

static void test_span_knows_methods_by_name(void **state)
{
    static const char *const names[] = {
#define X(NAME) #NAME,
        WIRE_METHODS(X)
#undef X
    };
    struct wire_request *request;

    (void)state;
    for (int i = 0; i < WIRE_METHOD_COUNT - 1; i++) {
        request = end(begin(names[i], "/"));
        assert_int_equal(request->method, i + 1);
        assert_no_text(request, WIRE_TEXT_METHOD);
    }
    request = end(begin("get", "/"));
    assert_int_equal(request->method, WIRE_METHOD_OTHER);
    assert_text(request, WIRE_TEXT_METHOD, "get");
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, 0);
    request = end(begin("GETGETGETGETGETGETGETGETGETGETGETGET", "/"));
    assert_text(request, WIRE_TEXT_METHOD, "GETGETGETGETGETGETGETGETGETGETGE");
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
}

static void test_span_names_the_server_by_precedence(void **state)
{
    struct wire_slot *slot = begin("GET", "https://first.example/a");
    struct wire_request *request;

    (void)state;
    field(slot, "Host", "second.example:81");
    request = end(slot);
    assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "first.example");
    assert_int_equal(request->server_port, 443);
    assert_int_equal(request->flags & WIRE_REQUEST_HTTPS, WIRE_REQUEST_HTTPS);

    slot = begin("GET", "/a");
    field(slot, "Host", "second.example");
    field(slot, "host", "third.example:99");
    request = end(slot);
    assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "second.example");
    assert_int_equal(request->server_port, 80);

    request = end(begin("GET", "/a"));
    assert_no_text(request, WIRE_TEXT_SERVER_ADDRESS);
    assert_int_equal(request->server_port, 0);
}

/* The host that was noted first is taken back. */
static void test_span_believes_proxies(void **state)
{
    struct wire_slot *slot = begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    field(slot, "Host", "10.0.0.1:3000");
    field(slot, "X-Forwarded-Host", "shop.example");
    field(slot, "X-Forwarded-Proto", "https");
    field(slot, "X-Forwarded-For", "198.51.100.9, 10.0.0.2");
    request = end(slot);
    assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "shop.example");
    assert_text(request, WIRE_TEXT_NONE, "10.0.0.1");
    assert_null(shim_core_text(request, WIRE_TEXT_SERVER_ADDRESS, 1).bytes);
    assert_text(request, WIRE_TEXT_CLIENT_ADDRESS, "198.51.100.9");
    assert_int_equal(request->server_port, 443);
    assert_int_equal(request->flags & WIRE_REQUEST_HTTPS, WIRE_REQUEST_HTTPS);
}

static void test_span_follows_a_parent(void **state)
{
    struct wire_slot *slot = begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    field(slot, "traceparent", "00-" PARENT "-01");
    field(slot, "tracestate", "a=1,b=2");
    request = end(slot);
    assert_memory_equal(request->trace_id, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", 16);
    assert_memory_equal(request->parent_span_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
    assert_memory_not_equal(request->span_id, request->parent_span_id, 8);
    assert_int_equal(request->flags, WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED | WIRE_REQUEST_REMOTE_PARENT);
    assert_int_equal(request->trace_flags, 1);
    assert_text(request, WIRE_TEXT_TRACESTATE, "a=1,b=2");

    slot = begin("GET", "/a");
    field(slot, "traceparent", "00-" PARENT "-zz");
    field(slot, "tracestate", "a=1");
    request = end(slot);
    assert_int_equal(request->flags, WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED);
    assert_no_text(request, WIRE_TEXT_TRACESTATE);
}

/* It costs no record, but has its place in the table while it is open. */
static void test_span_keeps_an_unsampled_request_in_its_slot(void **state)
{
    struct wire_slot *slot = begin("GET", "/a");
    union shim_record record;
    size_t length;

    (void)state;
    field(slot, "traceparent", "00-" PARENT "-00");
    span_head_end(slot, &head);
    assert_int_equal(slot->open, WIRE_SLOT_OPEN);
    assert_int_equal(wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED, 0);
    assert_int_equal(shim_core_slots_used(ring, 0), 1);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_slots_used(ring, 0), 0);
    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_NONE);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_REQUESTS], 1);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_UNSAMPLED], 1);
}

/* The request is not recorded, and counted once, among these. */
static void assert_unrecorded(struct wire_slot *slot, const _Atomic uint64_t *count)
{
    uint64_t requests = ring_lane()->counted[WIRE_COUNT_REQUESTS];
    uint64_t before = *count;
    union shim_record record;
    size_t length;

    span_head_end(slot, &head);
    assert_int_equal(slot->open, WIRE_SLOT_OPEN);
    assert_int_equal(wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED, 0);
    assert_int_equal(wire_slot_request(slot)->trace_flags & PROPAGATION_FLAG_SAMPLED, 0);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_NONE);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_REQUESTS], requests + 1);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_UNSAMPLED], 0);
    assert_int_equal(*count, before + 1);
}

static void test_span_ignores_paths(void **state)
{
    struct wire_slot *slot;

    (void)state;
    assert_true(glob_list_read("/healthz,/static/*", &config.ignored_paths));
    assert_unrecorded(begin("GET", "/healthz"), &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    assert_unrecorded(begin("GET", "/static/a.css?v=3"), &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    assert_unrecorded(begin("GET", "http://a.example/healthz"), &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    slot = begin("GET", "/healthz"); /* though the caller records it */
    field(slot, "traceparent", "00-" PARENT "-01");
    assert_unrecorded(slot, &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    assert_text(end(begin("GET", "/Healthz")), WIRE_TEXT_PATH, "/Healthz");
    assert_text(end(begin("GET", "/a?/healthz")), WIRE_TEXT_PATH, "/a");
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_IGNORED], 4);
}

static void test_span_ignores_user_agents(void **state)
{
    struct wire_slot *slot;

    (void)state;
    assert_true(glob_list_read("kube-probe/*", &config.ignored_user_agents));
    slot = begin("GET", "/a");
    field(slot, "User-Agent", "Kube-Probe/1.29");
    assert_unrecorded(slot, &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    assert_true(glob_list_read("/healthz", &config.ignored_paths));
    slot = begin("GET", "/healthz"); /* another agent takes nothing back */
    field(slot, "User-Agent", "curl/8");
    assert_unrecorded(slot, &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    slot = begin("GET", "/a");
    field(slot, "User-Agent", "curl/8 kube-probe/");
    assert_text(end(slot), WIRE_TEXT_USER_AGENT, "curl/8 kube-probe/");
    (void)end(begin("GET", "/a"));
}

/* A request that the program makes, its head complete. */
static struct wire_slot *make(const struct wire_address *to, const char *host, const char *target)
{
    const struct span_ends client_ends = {.kind = WIRE_KIND_CLIENT, .peer = to, .local = &local, .client = &client};
    struct wire_slot *slot = span_open(&head, 1000, &client_ends);

    assert_non_null(slot);
    span_request_line(slot, &head, slice_of("POST"), slice_of(target), 1);
    field(slot, "Host", host);
    span_head_end(slot, &head);
    return slot;
}

/* Is it recorded, and does it get headers of ours? Both, or neither. */
static bool is_traced(const struct wire_address *to, const char *host, const char *target)
{
    struct wire_slot *slot = make(to, host, target);
    bool is_sampled = (wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED) != 0;

    assert_int_equal(span_wants_headers(&head), is_sampled);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    return is_sampled;
}

static void test_span_leaves_telemetry_alone(void **state)
{
    (void)state;
    assert_true(is_traced(&peer, "collector.example:4318", "/orders"));
    assert_false(is_traced(&peer, "collector.example:4318", "/in/v1/traces"));
    assert_false(is_traced(&peer, "proxy", "http://collector.example:4318/in/v1/logs?x=y"));
    assert_true(is_traced(&peer, "localhost:4318", "/v1/traces")); /* not where it goes */
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_CLIENT_REQUESTS], 4);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_REQUESTS], 0);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_IGNORED], 2);
}

static void test_span_leaves_hosts_alone(void **state)
{
    static const struct wire_address mapped = {.family = WIRE_FAMILY_INET6,
                                               .ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 9}};
    static const struct wire_address unix_peer = {.family = WIRE_FAMILY_UNIX};

    (void)state;
    assert_true(glob_list_read("*.Internal,10.*,203.0.113.?", &config.ignored_hosts));
    assert_false(is_traced(&unix_peer, "a.internal:8080", "/"));
    assert_false(is_traced(&peer, "backend", "/"));
    assert_false(is_traced(&mapped, "backend", "/"));
    assert_true(is_traced(&unix_peer, "backend", "/"));
    assert_true(is_traced(&local, "internal", "/"));
}

static void test_span_leaves_headers_alone_where_spans_are_all_that_is_wanted(void **state)
{
    struct wire_slot *slot;

    (void)state;
    config.client_mode = CLIENT_SPANS;
    slot = make(&peer, "shop.example", "/");
    assert_false(span_wants_headers(&head));
    assert_true(wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED);
    span_end(slot, 5000, WIRE_ERROR_NONE);
}

static void test_span_says_that_credentials_were_there(void **state)
{
    struct wire_slot *slot = make(&peer, "proxy", "http://me:secret@shop.example/a");

    (void)state;
    assert_true(wire_slot_request(slot)->flags & WIRE_REQUEST_CREDENTIALS);
    assert_text(wire_slot_request(slot), WIRE_TEXT_SERVER_ADDRESS, "shop.example");
    span_end(slot, 5000, WIRE_ERROR_NONE);
    slot = make(&peer, "shop.example", "/@");
    assert_false(wire_slot_request(slot)->flags & WIRE_REQUEST_CREDENTIALS);
    span_end(slot, 5000, WIRE_ERROR_NONE);
}

static void test_span_keeps_to_the_limit(void **state)
{
    struct wire_slot *slot;

    (void)state;
    config.span_limit = 2;
    (void)end(begin("GET", "/a"));
    (void)end(begin("GET", "/a"));
    assert_unrecorded(begin("GET", "/a"), &ring_lane()->dropped[WIRE_DROP_RATE_LIMITED]);
    slot = begin("GET", "/a");
    field(slot, "traceparent", "00-" PARENT "-01");
    assert_unrecorded(slot, &ring_lane()->dropped[WIRE_DROP_RATE_LIMITED]);
    slot = begin("GET", "/a"); /* the sampler's are not counted twice */
    field(slot, "traceparent", "00-" PARENT "-00");
    span_head_end(slot, &head);
    span_discard(slot);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_UNSAMPLED], 1);
    assert_int_equal(ring_lane()->dropped[WIRE_DROP_RATE_LIMITED], 2);
}

/* By X-Ray's default: of the requests of one second the first, and hardly any of the others. */
static void test_span_is_sampled_by_xray_apart(void **state)
{
    struct wire_request *request;
    struct wire_slot *slot;
    unsigned sampled = 0;

    (void)state;
    config.xray_mode = XRAY_SAMPLES;
    for (unsigned i = 0; i < 50; i++) {
        slot = begin("GET", "/a");
        request = end(slot);
        assert_true(request->flags & WIRE_REQUEST_SAMPLED);
        sampled += (request->flags & WIRE_REQUEST_XRAY_SAMPLED) != 0;
        assert_true(i > 0 || sampled == 1);
        assert_no_text(request, WIRE_TEXT_XRAY_RULE);
    }
    assert_in_range(sampled, 1, 20);
    assert_int_equal(shim_core_lane(ring, 0)->counted[WIRE_COUNT_XRAY_SAMPLED], sampled);
    assert_int_equal(shim_core_lane(ring, 0)->counted[WIRE_COUNT_UNSAMPLED], 0);
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
        slot = begin("GET", "/a");
        field(slot, "X-Amzn-Trace-Id", rows[i].xray);
        if (rows[i].traceparent)
            field(slot, "traceparent", rows[i].traceparent);
        span_head_end(slot, &head);
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
        struct span_ends client_ends = {.kind = WIRE_KIND_CLIENT, .peer = &peer, .local = &local, .client = &client};
        struct wire_slot *served = begin("GET", "/a"), *asked;
        char lines[512];
        size_t length;

        field(served, "X-Amzn-Trace-Id", is_sampled ? "Sampled=1" : "Sampled=0");
        span_head_end(served, &head);
        client_ends.parent = request_in(served);
        asked = span_open(&head, 2000, &client_ends);
        assert_non_null(asked);
        span_request_line(asked, &head, slice_of("GET"), slice_of("/b"), 1);
        span_head_end(asked, &head);
        assert_int_equal((wire_slot_request(asked)->flags & WIRE_REQUEST_XRAY_SAMPLED) != 0, is_sampled);
        assert_true(wire_slot_request(asked)->flags & WIRE_REQUEST_SAMPLED);
        assert_true(span_context_lines(asked, &head, lines, sizeof(lines), &length));
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
        slot = begin("GET", "/a");
        field(slot, "Host", "Shop.example:8080");
        field(slot, "Host", "other");
        field(slot, "X-Forwarded-For", "203.0.113.7,10.0.0.1:80 ,, x");
        field(slot, "X-Forwarded-For", "10.0.0.2");
        request = end(slot);
        assert_text(request, WIRE_TEXT_HOST, "Shop.example:8080");
        if (rows[i].expected)
            assert_text(request, WIRE_TEXT_FORWARDED_FOR, rows[i].expected);
        else
            assert_no_text(request, WIRE_TEXT_FORWARDED_FOR);
    }
    config.xray_mode = XRAY_OFF;
    struct wire_slot *slot = begin("GET", "/a");
    field(slot, "Host", "shop.example");
    field(slot, "X-Forwarded-For", "10.0.0.2");
    request = end(slot);
    assert_no_text(request, WIRE_TEXT_HOST);
    assert_no_text(request, WIRE_TEXT_FORWARDED_FOR);
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
    slot = begin("GET", "/a");
    field(slot, "Host", "user:secret@shop.example");
    field(slot, "X-Forwarded-For", list);
    request = end(slot);
    assert_no_text(request, WIRE_TEXT_HOST);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_FORWARDED_FOR, 0).length, 19 * 13 - 2); /* whole addresses */
    assert_true(request->flags & WIRE_REQUEST_TRUNCATED);
}

static void test_span_links_the_trace_that_it_does_not_follow(void **state)
{
    static const char linked[] = "\xee\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c\1\2\3\4\5\6\7\x8";
    struct wire_slot *slot = begin("GET", "/a");
    struct wire_request *request;
    struct slice link;
    unsigned unknown;

    (void)state;
    span_discard(slot);
    config.propagator_formats = propagation_parse_formats("xray,tracecontext", 17, &unknown);
    slot = begin("GET", "/a");
    field(slot, "traceparent", "00-" PARENT "-01");
    field(slot, "X-Amzn-Trace-Id", "Root=1-eef76519-16cd43dd8448eb211c80319c;Parent=0102030405060708;Sampled=1");
    request = end(slot);
    link = shim_core_text(request, WIRE_TEXT_LINK, 0);
    assert_int_equal(request->trace_id[0], 0x0a);
    assert_int_equal(link.length, sizeof(struct wire_link));
    assert_memory_equal(link.bytes, linked, sizeof(struct wire_link));
    assert_null(shim_core_text(request, WIRE_TEXT_LINK, 1).bytes);
}

static void test_span_ends_once(void **state)
{
    struct wire_slot *slot = begin("GET", "/a");
    union shim_record record;
    size_t length;

    (void)state;
    span_head_end(slot, &head);
    span_end(slot, 5000, WIRE_ERROR_TIMEOUT);
    span_end(slot, 6000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_REQUEST);
    assert_int_equal(record.request.error, WIRE_ERROR_TIMEOUT);
    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_NONE);
    slot = begin("GET", "/b");
    span_discard(slot);
    assert_int_equal(shim_core_slots_used(ring, 0), 0);
    assert_int_equal(shim_core_take(ring, 0, &record, &length), WIRE_RECORD_NONE);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_REQUESTS], 1);
}

static void test_span_captures_the_headers_asked_for(void **state)
{
    struct wire_slot *slot = begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    field(slot, "X-ID", "17");
    field(slot, "X-Other", "18");
    field(slot, "x-id", "");
    span_response_field(slot, slice_of("X-Out"), slice_of("19"));
    span_response_field(slot, slice_of("X-Id"), slice_of("20"));
    span_response_field(slot, slice_of(""), slice_of("a continuation"));
    request = end(slot);
    assert_text(request, WIRE_TEXT_REQUEST_HEADER, "x-id: 17");
    assert_int_equal(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 1).length, strlen("x-id: "));
    assert_null(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 2).bytes);
    assert_text(request, WIRE_TEXT_RESPONSE_HEADER, "x-out: 19");
    assert_null(shim_core_text(request, WIRE_TEXT_RESPONSE_HEADER, 1).bytes);
}

static void test_span_captures_by_pattern_but_no_credentials(void **state)
{
    struct glob_list asked = config.captured_request_headers;
    struct wire_slot *slot = begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    assert_true(glob_list_read("*", &config.captured_request_headers));
    field(slot, "Authorization", "1");
    field(slot, "Cookie", "2");
    field(slot, "X-Api-Key", "3");
    field(slot, "X-Forwarded-For", "203.0.113.7");
    field(slot, "X-A", "4");
    field(slot, "X-A", "5");
    config.client_ip_mode = REDACT_IP_ANONYMIZE;
    field(slot, "X-Forwarded-For", "203.0.113.8");
    request = end(slot);
    assert_text(request, WIRE_TEXT_REQUEST_HEADER, "x-forwarded-for: 203.0.113.7");
    assert_true(slice_equals(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 1), "x-a: 4", 6));
    assert_true(slice_equals(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 2), "x-a: 5", 6));
    assert_null(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 3).bytes);
    config.captured_request_headers = asked;
}

static void test_span_notes_the_user(void **state)
{
    struct wire_slot *slot = begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    field(slot, "X-Us", "1");
    field(slot, "x-user", "");
    field(slot, "x-user", "token=abc;u-7");
    field(slot, "X-User", "8");
    request = end(slot);
    assert_text(request, WIRE_TEXT_USER, "token=REDACTED;u-7");
    assert_null(shim_core_text(request, WIRE_TEXT_USER, 1).bytes);
    slot = begin("GET", "/a");
    field(slot, "X-User", long_text('u', 300));
    request = end(slot);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_USER, 0).length, 256);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
    assert_int_equal(span_unused_request_letters() >> ('x' & 31) & 1, 0);
}

/* However many are captured, what a span can't do without still fits. */
static void test_span_captures_no_more_than_leaves_room(void **state)
{
    struct wire_slot *slot = begin("GET", "/a");
    struct wire_request *request = wire_slot_request(slot);

    (void)state;
    for (int i = 0; i < 20; i++)
        field(slot, "X-Id", long_text('i', 200));
    assert_in_range(WIRE_SLOT_TEXT - request->text_length, 512, 560);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
    field(slot, "Host", "shop.example");
    field(slot, "User-Agent", long_text('u', 250));
    field(slot, "traceparent", "00-" PARENT "-01");
    field(slot, "tracestate", "a=1");
    request = end(slot);
    assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "shop.example");
    assert_int_equal(shim_core_text(request, WIRE_TEXT_USER_AGENT, 0).length, 250);
    assert_text(request, WIRE_TEXT_TRACESTATE, "a=1");
}

/* What is cut is flagged; the last text that has room for a part gets it; the slot after ours stays as it was. */
static void test_span_cuts_what_has_no_room(void **state)
{
    struct wire_slot *slot, *next = shim_core_slot(ring, 0, 1);
    struct wire_request *request;
    char target[4096];

    (void)state;
    memset(next, 0x5a, sizeof(*next));
    snprintf(target, sizeof(target), "/%s", long_text('p', 1023));
    request = end(begin("GET", target));
    assert_int_equal(shim_core_text(request, WIRE_TEXT_PATH, 0).length, 1024);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, 0);

    snprintf(target, sizeof(target), "/%s?%s", long_text('p', 1024), "q=");
    strcat(target, long_text('q', 600));
    slot = begin("GET", target);
    request = wire_slot_request(slot);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_PATH, 0).length, 1024);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_QUERY, 0).length, 512);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
    field(slot, "User-Agent", long_text('u', 300));
    assert_int_equal(shim_core_text(request, WIRE_TEXT_USER_AGENT, 0).length, 256);
    for (int i = 0; i < 20; i++) {
        span_response_field(slot, slice_of("X-Out"), slice_of(long_text('o', 40)));
        assert_true(request->text_length <= WIRE_SLOT_TEXT);
    }
    assert_true(WIRE_SLOT_TEXT - request->text_length < 16); /* full */
    field(slot, "Host", "late.example");
    request = end(slot);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_RESPONSE_HEADER, 0).length, strlen("x-out: ") + 40);
    for (size_t i = 0; i < sizeof(*next); i++)
        assert_int_equal(((uint8_t *)next)[i], 0x5a);
}

/* Wherever a secret may stand, no byte of it reaches what is shared. */
static void test_span_lets_no_secret_into_the_ring(void **state)
{
    struct wire_slot *slot = begin("GET", "http://user:hunter2@example.com/a;jsessionid=hunter2?token=hunter2&a=b");

    (void)state;
    field(slot, "Host", "user:hunter2@example.com");
    field(slot, "Authorization", "Basic hunter2");
    field(slot, "Cookie", "session=hunter2");
    field(slot, "Proxy-Authorization", "hunter2");
    field(slot, "X-Api-Key", "hunter2");
    field(slot, "Referer", "http://a/?password=hunter2");
    span_response_field(slot, slice_of("Set-Cookie"), slice_of("session=hunter2"));
    span_response_field(slot, slice_of("Location"), slice_of("/?access_token=hunter2"));
    (void)end(slot);
    assert_null(memmem(ring, ring->mapping_size, "hunter2", 7));
    assert_non_null(memmem(ring, ring->mapping_size, "token=REDACTED", 14));
    assert_non_null(memmem(ring, ring->mapping_size, "referer: ", 9));
    assert_non_null(memmem(ring, ring->mapping_size, "location: ", 10));
    assert_null(memmem(ring, ring->mapping_size, "cookie", 6));

    config.query_mode = REDACT_DROP;
    assert_no_text(end(begin("GET", "/a?b=c")), WIRE_TEXT_QUERY);
}

static void test_span_notes_addresses_as_asked(void **state)
{
    static const uint8_t anonymous[4] = {203, 0, 113, 0};
    struct wire_slot *slot;
    struct wire_request *request;

    (void)state;
    config.client_ip_mode = REDACT_IP_ANONYMIZE;
    slot = begin("GET", "/a");
    field(slot, "X-Forwarded-For", "198.51.100.9");
    request = end(slot);
    assert_memory_equal(request->peer.ip, anonymous, 4);
    assert_int_equal(request->peer.port, 40000);
    assert_text(request, WIRE_TEXT_CLIENT_ADDRESS, "198.51.100.0");

    config.client_ip_mode = REDACT_IP_NONE;
    slot = begin("GET", "/a");
    field(slot, "X-Forwarded-For", "198.51.100.9");
    request = end(slot);
    assert_int_equal(request->peer.family, WIRE_FAMILY_NONE);
    assert_int_equal(request->peer.port, 0);
    assert_no_text(request, WIRE_TEXT_CLIENT_ADDRESS);
}

static void test_span_does_without_a_slot(void **state)
{
    (void)state;
    for (int i = 0; i < 64; i++)
        assert_non_null(ring_slot_take());
    assert_null(span_open(&head, 1000, &ends));
    assert_int_equal(ring_lane()->dropped[WIRE_DROP_NO_SLOT], 1);
}

int main(void)
{
    static char *environment[] = {
        (char *)(uintptr_t) "SPANSHIM_REQUEST_HEADERS=x-id,referer,authorization,cookie,proxy-authorization,x-api-key",
        (char *)(uintptr_t) "SPANSHIM_RESPONSE_HEADERS=x-out,set-cookie,location",
        (char *)(uintptr_t) "SPANSHIM_USER_HEADER=X-User",
        (char *)(uintptr_t) "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.example:4318/in/", NULL};
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_span_notes_a_request),
        TEST(test_span_knows_methods_by_name),
        TEST(test_span_names_the_server_by_precedence),
        TEST(test_span_believes_proxies),
        TEST(test_span_follows_a_parent),
        TEST(test_span_keeps_an_unsampled_request_in_its_slot),
        TEST(test_span_ignores_paths),
        TEST(test_span_ignores_user_agents),
        TEST(test_span_leaves_telemetry_alone),
        TEST(test_span_leaves_hosts_alone),
        TEST(test_span_leaves_headers_alone_where_spans_are_all_that_is_wanted),
        TEST(test_span_says_that_credentials_were_there),
        TEST(test_span_keeps_to_the_limit),
        TEST(test_span_is_sampled_by_xray_apart),
        TEST(test_span_follows_the_caller_of_xray),
        TEST(test_span_passes_the_decision_of_xray_on),
        TEST(test_span_notes_what_xray_wants),
        TEST(test_span_bounds_what_xray_wants),
        TEST(test_span_links_the_trace_that_it_does_not_follow),
        TEST(test_span_ends_once),
        TEST(test_span_captures_the_headers_asked_for),
        TEST(test_span_captures_by_pattern_but_no_credentials),
        TEST(test_span_notes_the_user),
        TEST(test_span_captures_no_more_than_leaves_room),
        TEST(test_span_cuts_what_has_no_room),
        TEST(test_span_lets_no_secret_into_the_ring),
        TEST(test_span_notes_addresses_as_asked),
        TEST(test_span_does_without_a_slot),
    };

    return shim_core_init(environment) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
