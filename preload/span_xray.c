/* SPDX-License-Identifier: Apache-2.0 */
/* What X-Ray wants of a request beyond what other destinations do: two fields of its head, and its own decision. */
#include "preload/span_internal.h"

#include "preload/config.h"
#include "preload/link.h"
#include "preload/ring.h"
#include "preload/xray_sampling.h"

#include <string.h>

enum {
    HOST_MAX_LENGTH = 262, /* a name of 253, a port */
    FORWARDED_FOR_MAX_LENGTH = 250,
};

static void take_host(struct wire_request *request, struct slice value)
{
    if (memchr(value.bytes, '@', value.length) == NULL) /* a user and a password before it */
        span_text_add(request, WIRE_TEXT_HOST, value, HOST_MAX_LENGTH);
}

static void take_forwarded_for(struct wire_request *request, struct slice value)
{
    bool is_truncated = false;
    size_t room;
    uint8_t *to = span_text_reserve(request, FORWARDED_FOR_MAX_LENGTH, &room);
    size_t length = to ? forwarded_copy_for(value, config.client_ip_mode, (char *)to, room, &is_truncated) : 0;

    if (is_truncated)
        request->flags |= WIRE_REQUEST_TRUNCATED;
    if (length > 0)
        span_text_commit(request, WIRE_TEXT_FORWARDED_FOR, length);
}

__attribute__((noinline)) void span_xray_field(struct wire_request *request, struct slice name, struct slice value)
{
    if (request->kind != WIRE_KIND_SERVER)
        return;
    if (slice_is(name, "host") && span_text_of(request, WIRE_TEXT_HOST).length == 0)
        take_host(request, value);
    if (slice_is(name, "x-forwarded-for") && span_text_of(request, WIRE_TEXT_FORWARDED_FOR).length == 0)
        take_forwarded_for(request, value);
}

/* Does its Host give the segment its name? */
static bool is_named_by(struct slice host)
{
    struct slice pattern = {config.xray_url, config.xray_url ? strlen(config.xray_url) : 0};

    return pattern.length > 0 && host.length > 0 && glob_matches(slice_trim(pattern), host, GLOB_ANY_CASE);
}

/* Of a client's request without a parent, rules look at nothing but the service's name. */
static bool decide_by_rules(struct wire_request *request)
{
    struct xray_request subject = {.now_ns = request->start_ns, .trace_id = request->trace_id, .methods = UINT16_MAX};
    struct xray_decision decision;

    if (request->kind == WIRE_KIND_SERVER) {
        subject.methods = (uint16_t)(1u << request->method);
        subject.method = span_text_of(request, WIRE_TEXT_METHOD);
        subject.host = span_text_of(request, WIRE_TEXT_HOST);
        subject.path = span_text_of(request, WIRE_TEXT_PATH);
        subject.is_named_by_host = is_named_by(subject.host);
    }
    xray_sampling_decide(link_control(), ring_xray_tallies(), &subject, &decision);
    span_text_add(request, WIRE_TEXT_XRAY_RULE, (struct slice){decision.name, decision.name_length},
                  WIRE_XRAY_NAME_MAX);
    return decision.is_sampled;
}

__attribute__((noinline)) bool span_xray_decide(struct wire_request *request, const struct trace_context *caller)
{
    bool is_sampled =
        caller->xray_decided ? (caller->flags & PROPAGATION_FLAG_XRAY_SAMPLED) != 0 : decide_by_rules(request);

    if (is_sampled)
        ring_count(WIRE_COUNT_XRAY_SAMPLED);
    return is_sampled;
}
