/* SPDX-License-Identifier: Apache-2.0 */
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

static char *long_text(char fill, size_t length)
{
    static char text[4096];

    memset(text, fill, length);
    text[length] = '\0';
    return text;
}

static void test_span_notes_a_request(void **state)
{
    struct wire_slot *slot = shim_span_begin("POST", "/a/b?c=d");
    struct wire_request *request;

    (void)state;
    shim_span_field(slot, "Host", "example.com:8080");
    shim_span_field(slot, "User-Agent", "curl/8");
    shim_span_field(slot, "User-Agent", "another");
    request = shim_span_end(slot);
    assert_int_equal(request->start_ns, 1000);
    assert_int_equal(request->end_ns, 5000);
    assert_int_equal(request->kind, WIRE_KIND_SERVER);
    assert_int_equal(request->method, WIRE_METHOD_POST);
    assert_int_equal(request->version, 11);
    assert_int_equal(request->server_port, 8080);
    assert_int_equal(request->flags, WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED);
    assert_int_equal(request->trace_flags, 3);
    assert_memory_equal(&request->peer, shim_span_ends.peer, sizeof(request->peer));
    assert_memory_equal(&request->local, shim_span_ends.local, sizeof(request->local));
    shim_span_assert_text(request, WIRE_TEXT_PATH, "/a/b");
    shim_span_assert_text(request, WIRE_TEXT_QUERY, "c=d");
    shim_span_assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "example.com");
    shim_span_assert_text(request, WIRE_TEXT_USER_AGENT, "curl/8");
    shim_span_assert_no_text(request, WIRE_TEXT_METHOD);
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
        request = shim_span_end(shim_span_begin(names[i], "/"));
        assert_int_equal(request->method, i + 1);
        shim_span_assert_no_text(request, WIRE_TEXT_METHOD);
    }
    request = shim_span_end(shim_span_begin("get", "/"));
    assert_int_equal(request->method, WIRE_METHOD_OTHER);
    shim_span_assert_text(request, WIRE_TEXT_METHOD, "get");
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, 0);
    request = shim_span_end(shim_span_begin("GETGETGETGETGETGETGETGETGETGETGETGET", "/"));
    shim_span_assert_text(request, WIRE_TEXT_METHOD, "GETGETGETGETGETGETGETGETGETGETGE");
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
}

static void test_span_names_the_server_by_precedence(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "https://first.example/a");
    struct wire_request *request;

    (void)state;
    shim_span_field(slot, "Host", "second.example:81");
    request = shim_span_end(slot);
    shim_span_assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "first.example");
    assert_int_equal(request->server_port, 443);
    assert_int_equal(request->flags & WIRE_REQUEST_HTTPS, WIRE_REQUEST_HTTPS);

    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "Host", "second.example");
    shim_span_field(slot, "host", "third.example:99");
    request = shim_span_end(slot);
    shim_span_assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "second.example");
    assert_int_equal(request->server_port, 80);

    request = shim_span_end(shim_span_begin("GET", "/a"));
    shim_span_assert_no_text(request, WIRE_TEXT_SERVER_ADDRESS);
    assert_int_equal(request->server_port, 0);
}

/* The host that was noted first is taken back. */
static void test_span_believes_proxies(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    shim_span_field(slot, "Host", "10.0.0.1:3000");
    shim_span_field(slot, "X-Forwarded-Host", "shop.example");
    shim_span_field(slot, "X-Forwarded-Proto", "https");
    shim_span_field(slot, "X-Forwarded-For", "198.51.100.9, 10.0.0.2");
    request = shim_span_end(slot);
    shim_span_assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "shop.example");
    shim_span_assert_text(request, WIRE_TEXT_NONE, "10.0.0.1");
    assert_null(shim_core_text(request, WIRE_TEXT_SERVER_ADDRESS, 1).bytes);
    shim_span_assert_text(request, WIRE_TEXT_CLIENT_ADDRESS, "198.51.100.9");
    assert_int_equal(request->server_port, 443);
    assert_int_equal(request->flags & WIRE_REQUEST_HTTPS, WIRE_REQUEST_HTTPS);
}

static void test_span_follows_a_parent(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    shim_span_field(slot, "traceparent", "00-" PARENT "-01");
    shim_span_field(slot, "tracestate", "a=1,b=2");
    request = shim_span_end(slot);
    assert_memory_equal(request->trace_id, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", 16);
    assert_memory_equal(request->parent_span_id, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
    assert_memory_not_equal(request->span_id, request->parent_span_id, 8);
    assert_int_equal(request->flags, WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED | WIRE_REQUEST_REMOTE_PARENT);
    assert_int_equal(request->trace_flags, 1);
    shim_span_assert_text(request, WIRE_TEXT_TRACESTATE, "a=1,b=2");

    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "traceparent", "00-" PARENT "-zz");
    shim_span_field(slot, "tracestate", "a=1");
    request = shim_span_end(slot);
    assert_int_equal(request->flags, WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED);
    shim_span_assert_no_text(request, WIRE_TEXT_TRACESTATE);
}

/* It costs no record, but has its place in the table while it is open. */
static void test_span_keeps_an_unsampled_request_in_its_slot(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    union shim_record record;
    size_t length;

    (void)state;
    shim_span_field(slot, "traceparent", "00-" PARENT "-00");
    span_head_end(slot, &shim_span_head);
    assert_int_equal(slot->open, WIRE_SLOT_OPEN);
    assert_int_equal(wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED, 0);
    assert_int_equal(shim_core_slots_used(shim_span_ring, 0), 1);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_slots_used(shim_span_ring, 0), 0);
    assert_int_equal(shim_core_take(shim_span_ring, 0, &record, &length), WIRE_RECORD_NONE);
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

    span_head_end(slot, &shim_span_head);
    assert_int_equal(slot->open, WIRE_SLOT_OPEN);
    assert_int_equal(wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED, 0);
    assert_int_equal(wire_slot_request(slot)->trace_flags & PROPAGATION_FLAG_SAMPLED, 0);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_take(shim_span_ring, 0, &record, &length), WIRE_RECORD_NONE);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_REQUESTS], requests + 1);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_UNSAMPLED], 0);
    assert_int_equal(*count, before + 1);
}

static void test_span_ignores_paths(void **state)
{
    struct wire_slot *slot;

    (void)state;
    assert_true(glob_list_read("/healthz,/static/*", &config.ignored_paths));
    assert_unrecorded(shim_span_begin("GET", "/healthz"), &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    assert_unrecorded(shim_span_begin("GET", "/static/a.css?v=3"), &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    assert_unrecorded(shim_span_begin("GET", "http://a.example/healthz"), &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    slot = shim_span_begin("GET", "/healthz"); /* though the caller records it */
    shim_span_field(slot, "traceparent", "00-" PARENT "-01");
    assert_unrecorded(slot, &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    shim_span_assert_text(shim_span_end(shim_span_begin("GET", "/Healthz")), WIRE_TEXT_PATH, "/Healthz");
    shim_span_assert_text(shim_span_end(shim_span_begin("GET", "/a?/healthz")), WIRE_TEXT_PATH, "/a");
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_IGNORED], 4);
}

static void test_span_ignores_user_agents(void **state)
{
    struct wire_slot *slot;

    (void)state;
    assert_true(glob_list_read("kube-probe/*", &config.ignored_user_agents));
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "User-Agent", "Kube-Probe/1.29");
    assert_unrecorded(slot, &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    assert_true(glob_list_read("/healthz", &config.ignored_paths));
    slot = shim_span_begin("GET", "/healthz"); /* another agent takes nothing back */
    shim_span_field(slot, "User-Agent", "curl/8");
    assert_unrecorded(slot, &ring_lane()->counted[WIRE_COUNT_IGNORED]);
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "User-Agent", "curl/8 kube-probe/");
    shim_span_assert_text(shim_span_end(slot), WIRE_TEXT_USER_AGENT, "curl/8 kube-probe/");
    (void)shim_span_end(shim_span_begin("GET", "/a"));
}

/* A request that the program makes, its head complete. */
static struct wire_slot *make(const struct wire_address *to, const char *host, const char *target)
{
    const struct span_ends client_ends = {
        .kind = WIRE_KIND_CLIENT, .peer = to, .local = shim_span_ends.local, .client = shim_span_ends.client};
    struct wire_slot *slot = span_open(&shim_span_head, 1000, &client_ends);

    assert_non_null(slot);
    span_request_line(slot, &shim_span_head, shim_span_slice("POST"), shim_span_slice(target), 1);
    shim_span_field(slot, "Host", host);
    span_head_end(slot, &shim_span_head);
    return slot;
}

/* Is it recorded, and does it get headers of ours? Both, or neither. */
static bool is_traced(const struct wire_address *to, const char *host, const char *target)
{
    struct wire_slot *slot = make(to, host, target);
    bool is_sampled = (wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED) != 0;

    assert_int_equal(span_wants_headers(&shim_span_head), is_sampled);
    span_end(slot, 5000, WIRE_ERROR_NONE);
    return is_sampled;
}

static void test_span_leaves_telemetry_alone(void **state)
{
    (void)state;
    assert_true(is_traced(shim_span_ends.peer, "collector.example:4318", "/orders"));
    assert_false(is_traced(shim_span_ends.peer, "collector.example:4318", "/in/v1/traces"));
    assert_false(is_traced(shim_span_ends.peer, "proxy", "http://collector.example:4318/in/v1/logs?x=y"));
    assert_true(is_traced(shim_span_ends.peer, "localhost:4318", "/v1/traces")); /* not where it goes */
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
    assert_false(is_traced(shim_span_ends.peer, "backend", "/"));
    assert_false(is_traced(&mapped, "backend", "/"));
    assert_true(is_traced(&unix_peer, "backend", "/"));
    assert_true(is_traced(shim_span_ends.local, "internal", "/"));
}

static void test_span_leaves_headers_alone_where_spans_are_all_that_is_wanted(void **state)
{
    struct wire_slot *slot;

    (void)state;
    config.client_mode = CLIENT_SPANS;
    slot = make(shim_span_ends.peer, "shop.example", "/");
    assert_false(span_wants_headers(&shim_span_head));
    assert_true(wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED);
    span_end(slot, 5000, WIRE_ERROR_NONE);
}

static void test_span_says_that_credentials_were_there(void **state)
{
    struct wire_slot *slot = make(shim_span_ends.peer, "proxy", "http://me:secret@shop.example/a");

    (void)state;
    assert_true(wire_slot_request(slot)->flags & WIRE_REQUEST_CREDENTIALS);
    shim_span_assert_text(wire_slot_request(slot), WIRE_TEXT_SERVER_ADDRESS, "shop.example");
    span_end(slot, 5000, WIRE_ERROR_NONE);
    slot = make(shim_span_ends.peer, "shop.example", "/@");
    assert_false(wire_slot_request(slot)->flags & WIRE_REQUEST_CREDENTIALS);
    span_end(slot, 5000, WIRE_ERROR_NONE);
}

static void test_span_keeps_to_the_limit(void **state)
{
    struct wire_slot *slot;

    (void)state;
    config.span_limit = 2;
    (void)shim_span_end(shim_span_begin("GET", "/a"));
    (void)shim_span_end(shim_span_begin("GET", "/a"));
    assert_unrecorded(shim_span_begin("GET", "/a"), &ring_lane()->dropped[WIRE_DROP_RATE_LIMITED]);
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "traceparent", "00-" PARENT "-01");
    assert_unrecorded(slot, &ring_lane()->dropped[WIRE_DROP_RATE_LIMITED]);
    slot = shim_span_begin("GET", "/a"); /* the sampler's are not counted twice */
    shim_span_field(slot, "traceparent", "00-" PARENT "-00");
    span_head_end(slot, &shim_span_head);
    span_discard(slot);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_UNSAMPLED], 1);
    assert_int_equal(ring_lane()->dropped[WIRE_DROP_RATE_LIMITED], 2);
}

static void test_span_ends_once(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    union shim_record record;
    size_t length;

    (void)state;
    span_head_end(slot, &shim_span_head);
    span_end(slot, 5000, WIRE_ERROR_TIMEOUT);
    span_end(slot, 6000, WIRE_ERROR_NONE);
    assert_int_equal(shim_core_take(shim_span_ring, 0, &record, &length), WIRE_RECORD_REQUEST);
    assert_int_equal(record.request.error, WIRE_ERROR_TIMEOUT);
    assert_int_equal(shim_core_take(shim_span_ring, 0, &record, &length), WIRE_RECORD_NONE);
    slot = shim_span_begin("GET", "/b");
    span_discard(slot);
    assert_int_equal(shim_core_slots_used(shim_span_ring, 0), 0);
    assert_int_equal(shim_core_take(shim_span_ring, 0, &record, &length), WIRE_RECORD_NONE);
    assert_int_equal(ring_lane()->counted[WIRE_COUNT_REQUESTS], 1);
}

static void test_span_captures_the_headers_asked_for(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    shim_span_field(slot, "X-ID", "17");
    shim_span_field(slot, "X-Other", "18");
    shim_span_field(slot, "x-id", "");
    span_response_field(slot, shim_span_slice("X-Out"), shim_span_slice("19"));
    span_response_field(slot, shim_span_slice("X-Id"), shim_span_slice("20"));
    span_response_field(slot, shim_span_slice(""), shim_span_slice("a continuation"));
    request = shim_span_end(slot);
    shim_span_assert_text(request, WIRE_TEXT_REQUEST_HEADER, "x-id: 17");
    assert_int_equal(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 1).length, strlen("x-id: "));
    assert_null(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 2).bytes);
    shim_span_assert_text(request, WIRE_TEXT_RESPONSE_HEADER, "x-out: 19");
    assert_null(shim_core_text(request, WIRE_TEXT_RESPONSE_HEADER, 1).bytes);
}

static void test_span_captures_by_pattern_but_no_credentials(void **state)
{
    struct glob_list asked = config.captured_request_headers;
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    assert_true(glob_list_read("*", &config.captured_request_headers));
    shim_span_field(slot, "Authorization", "1");
    shim_span_field(slot, "Cookie", "2");
    shim_span_field(slot, "X-Api-Key", "3");
    shim_span_field(slot, "X-Forwarded-For", "203.0.113.7");
    shim_span_field(slot, "X-A", "4");
    shim_span_field(slot, "X-A", "5");
    config.client_ip_mode = REDACT_IP_ANONYMIZE;
    shim_span_field(slot, "X-Forwarded-For", "203.0.113.8");
    request = shim_span_end(slot);
    shim_span_assert_text(request, WIRE_TEXT_REQUEST_HEADER, "x-forwarded-for: 203.0.113.7");
    assert_true(slice_equals(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 1), "x-a: 4", 6));
    assert_true(slice_equals(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 2), "x-a: 5", 6));
    assert_null(shim_core_text(request, WIRE_TEXT_REQUEST_HEADER, 3).bytes);
    config.captured_request_headers = asked;
}

static void test_span_notes_the_user(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    struct wire_request *request;

    (void)state;
    shim_span_field(slot, "X-Us", "1");
    shim_span_field(slot, "x-user", "");
    shim_span_field(slot, "x-user", "token=abc;u-7");
    shim_span_field(slot, "X-User", "8");
    request = shim_span_end(slot);
    shim_span_assert_text(request, WIRE_TEXT_USER, "token=REDACTED;u-7");
    assert_null(shim_core_text(request, WIRE_TEXT_USER, 1).bytes);
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "X-User", long_text('u', 300));
    request = shim_span_end(slot);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_USER, 0).length, 256);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
    assert_int_equal(span_unused_request_letters() >> ('x' & 31) & 1, 0);
}

/* However many are captured, what a span can't do without still fits. */
static void test_span_captures_no_more_than_leaves_room(void **state)
{
    struct wire_slot *slot = shim_span_begin("GET", "/a");
    struct wire_request *request = wire_slot_request(slot);

    (void)state;
    for (int i = 0; i < 20; i++)
        shim_span_field(slot, "X-Id", long_text('i', 200));
    assert_in_range(WIRE_SLOT_TEXT - request->text_length, 512, 560);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
    shim_span_field(slot, "Host", "shop.example");
    shim_span_field(slot, "User-Agent", long_text('u', 250));
    shim_span_field(slot, "traceparent", "00-" PARENT "-01");
    shim_span_field(slot, "tracestate", "a=1");
    request = shim_span_end(slot);
    shim_span_assert_text(request, WIRE_TEXT_SERVER_ADDRESS, "shop.example");
    assert_int_equal(shim_core_text(request, WIRE_TEXT_USER_AGENT, 0).length, 250);
    shim_span_assert_text(request, WIRE_TEXT_TRACESTATE, "a=1");
}

/* What is cut is flagged; the last text that has room for a part gets it; the slot after ours stays as it was. */
static void test_span_cuts_what_has_no_room(void **state)
{
    struct wire_slot *slot, *next = shim_core_slot(shim_span_ring, 0, 1);
    struct wire_request *request;
    char target[4096];

    (void)state;
    memset(next, 0x5a, sizeof(*next));
    snprintf(target, sizeof(target), "/%s", long_text('p', 1023));
    request = shim_span_end(shim_span_begin("GET", target));
    assert_int_equal(shim_core_text(request, WIRE_TEXT_PATH, 0).length, 1024);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, 0);

    snprintf(target, sizeof(target), "/%s?%s", long_text('p', 1024), "q=");
    strcat(target, long_text('q', 600));
    slot = shim_span_begin("GET", target);
    request = wire_slot_request(slot);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_PATH, 0).length, 1024);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_QUERY, 0).length, 512);
    assert_int_equal(request->flags & WIRE_REQUEST_TRUNCATED, WIRE_REQUEST_TRUNCATED);
    shim_span_field(slot, "User-Agent", long_text('u', 300));
    assert_int_equal(shim_core_text(request, WIRE_TEXT_USER_AGENT, 0).length, 256);
    for (int i = 0; i < 20; i++) {
        span_response_field(slot, shim_span_slice("X-Out"), shim_span_slice(long_text('o', 40)));
        assert_true(request->text_length <= WIRE_SLOT_TEXT);
    }
    assert_true(WIRE_SLOT_TEXT - request->text_length < 16); /* full */
    shim_span_field(slot, "Host", "late.example");
    request = shim_span_end(slot);
    assert_int_equal(shim_core_text(request, WIRE_TEXT_RESPONSE_HEADER, 0).length, strlen("x-out: ") + 40);
    for (size_t i = 0; i < sizeof(*next); i++)
        assert_int_equal(((uint8_t *)next)[i], 0x5a);
}

/* Wherever a secret may stand, no byte of it reaches what is shared. */
static void test_span_lets_no_secret_into_the_ring(void **state)
{
    struct wire_slot *slot =
        shim_span_begin("GET", "http://user:hunter2@example.com/a;jsessionid=hunter2?token=hunter2&a=b");

    (void)state;
    shim_span_field(slot, "Host", "user:hunter2@example.com");
    shim_span_field(slot, "Authorization", "Basic hunter2");
    shim_span_field(slot, "Cookie", "session=hunter2");
    shim_span_field(slot, "Proxy-Authorization", "hunter2");
    shim_span_field(slot, "X-Api-Key", "hunter2");
    shim_span_field(slot, "Referer", "http://a/?password=hunter2");
    span_response_field(slot, shim_span_slice("Set-Cookie"), shim_span_slice("session=hunter2"));
    span_response_field(slot, shim_span_slice("Location"), shim_span_slice("/?access_token=hunter2"));
    (void)shim_span_end(slot);
    assert_null(memmem(shim_span_ring, shim_span_ring->mapping_size, "hunter2", 7));
    assert_non_null(memmem(shim_span_ring, shim_span_ring->mapping_size, "token=REDACTED", 14));
    assert_non_null(memmem(shim_span_ring, shim_span_ring->mapping_size, "referer: ", 9));
    assert_non_null(memmem(shim_span_ring, shim_span_ring->mapping_size, "location: ", 10));
    assert_null(memmem(shim_span_ring, shim_span_ring->mapping_size, "cookie", 6));

    config.query_mode = REDACT_DROP;
    shim_span_assert_no_text(shim_span_end(shim_span_begin("GET", "/a?b=c")), WIRE_TEXT_QUERY);
}

static void test_span_notes_addresses_as_asked(void **state)
{
    static const uint8_t anonymous[4] = {203, 0, 113, 0};
    struct wire_slot *slot;
    struct wire_request *request;

    (void)state;
    config.client_ip_mode = REDACT_IP_ANONYMIZE;
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "X-Forwarded-For", "198.51.100.9");
    request = shim_span_end(slot);
    assert_memory_equal(request->peer.ip, anonymous, 4);
    assert_int_equal(request->peer.port, 40000);
    shim_span_assert_text(request, WIRE_TEXT_CLIENT_ADDRESS, "198.51.100.0");

    config.client_ip_mode = REDACT_IP_NONE;
    slot = shim_span_begin("GET", "/a");
    shim_span_field(slot, "X-Forwarded-For", "198.51.100.9");
    request = shim_span_end(slot);
    assert_int_equal(request->peer.family, WIRE_FAMILY_NONE);
    assert_int_equal(request->peer.port, 0);
    shim_span_assert_no_text(request, WIRE_TEXT_CLIENT_ADDRESS);
}

static void test_span_does_without_a_slot(void **state)
{
    (void)state;
    for (int i = 0; i < 64; i++)
        assert_non_null(ring_slot_take());
    assert_null(span_open(&shim_span_head, 1000, &shim_span_ends));
    assert_int_equal(ring_lane()->dropped[WIRE_DROP_NO_SLOT], 1);
}

int main(void)
{
    static char *environment[] = {
        (char *)(uintptr_t) "SPANSHIM_REQUEST_HEADERS=x-id,referer,authorization,cookie,proxy-authorization,x-api-key",
        (char *)(uintptr_t) "SPANSHIM_RESPONSE_HEADERS=x-out,set-cookie,location",
        (char *)(uintptr_t) "SPANSHIM_USER_HEADER=X-User",
        (char *)(uintptr_t) "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.example:4318/in/", NULL};
#define TEST(name) cmocka_unit_test_setup(name, shim_span_setup)
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
