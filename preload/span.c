// SPDX-License-Identifier: Apache-2.0
#include "preload/span.h"

#include "preload/carried.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/ids.h"
#include "preload/ip.h"
#include "preload/link.h"
#include "preload/rate.h"
#include "preload/redact.h"
#include "preload/ring.h"
#include "preload/sampler.h"
#include "preload/target.h"

#include <stdatomic.h>
#include <string.h>

enum {
    PATH_MAX_LENGTH = 1024,
    QUERY_MAX_LENGTH = 512,
    USER_AGENT_MAX_LENGTH = 256,
    METHOD_MAX_LENGTH = 32,
    HEADER_MAX_LENGTH = 256,
    TEXT_MAX_LENGTH = 256,
    /* Captured request headers leave this to what comes after them: server, user agent, client, trace state. */
    CAPTURE_LEAVES = 512,
    TEXT_HEADER = 4, /* id, pad, length */
};

/* The spans of this process; a fork's child goes on with a copy. */
static struct rate rate;

/* Room for one text of at most `want` bytes; what was cut is flagged. NULL when not even its header fits. */
static uint8_t *text_reserve(struct wire_request *request, size_t want, size_t *ret_room)
{
    size_t left = (size_t)WIRE_SLOT_TEXT - request->text_length;

    if (left <= TEXT_HEADER) {
        request->flags |= WIRE_REQUEST_TRUNCATED;
        return NULL;
    }
    left -= TEXT_HEADER;
    *ret_room = want < left ? want : left;
    return request->text + request->text_length + TEXT_HEADER;
}

/* Finish the text written at text_reserve's place. */
static void text_commit(struct wire_request *request, enum wire_text id, size_t length)
{
    uint8_t *header = request->text + request->text_length;

    header[0] = (uint8_t)id;
    header[1] = 0;
    header[2] = (uint8_t)length;
    header[3] = (uint8_t)(length >> 8);
    atomic_signal_fence(memory_order_release); /* killed now, the process leaves a whole text or none */
    request->text_length = (uint16_t)(request->text_length + TEXT_HEADER + length);
}

static void text_add(struct wire_request *request, enum wire_text id, struct slice text, size_t limit)
{
    size_t room;
    uint8_t *to = text.length > 0 ? text_reserve(request, limit, &room) : NULL;

    if (!to)
        return;
    if (text.length > room) {
        text.length = room;
        request->flags |= WIRE_REQUEST_TRUNCATED;
    }
    slice_copy(to, text.bytes, text.length);
    text_commit(request, id, text.length);
}

/* A client's address may be a person's. */
static void set_peer(struct wire_request *request, const struct span_ends *ends)
{
    request->peer = *ends->peer;
    if (ends->kind != WIRE_KIND_SERVER)
        return;
    redact_ip_bytes(request->peer.ip, request->peer.family == WIRE_FAMILY_INET ? 4 : 16, config.client_ip_mode);
    if (config.client_ip_mode == REDACT_IP_NONE)
        memset(&request->peer, 0, sizeof(request->peer));
}

struct wire_slot *span_open(struct span_head *head, uint64_t start_ns, const struct span_ends *ends)
{
    struct wire_slot *slot;

    if (!ring_lane())
        link_ensure(); /* a fork's child that found all lanes of its parent's ring taken */
    slot = ring_slot_take();
    if (!slot)
        return NULL;

    struct wire_request *request = wire_slot_request(slot);

    /* Another thread may be looking whether the slot is still the request that it was: these are stored whole. */
    memset(request, 0, offsetof(struct wire_request, start_ns));
    __atomic_store_n(&request->start_ns, start_ns, __ATOMIC_RELAXED);
    request_note_answer(slot, 0);
    memset(&request->end_ns, 0, sizeof(*request) - offsetof(struct wire_request, end_ns));
    request->kind = (uint8_t)ends->kind;
    request->local = *ends->local;
    set_peer(request, ends);

    head->host_port = 0;
    head->has_host = head->has_user_agent = head->has_user = head->is_complete = head->is_ignored = head->was_context =
        false;
    head->headers = SPAN_HEADERS_NONE;
    head->client = ends->client;
    head->parent = ends->parent;
    propagation_init(&head->propagation, config.propagator_formats);
    head->propagation.keeps = ends->kind == WIRE_KIND_SERVER;
    memset(&head->forwarded, 0, offsetof(struct forwarded, client));
    return slot;
}

static enum wire_method method_of(struct slice method)
{
    static const struct {
        char name[8];
        uint8_t length;
    } names[WIRE_METHOD_COUNT] = {
#define X(NAME) [WIRE_METHOD_##NAME] = {#NAME, sizeof(#NAME) - 1},
        WIRE_METHODS(X)
#undef X
    };

    for (int i = 1; i < WIRE_METHOD_COUNT; i++)
        if (slice_equals(method, names[i].name, names[i].length))
            return (enum wire_method)i;
    return WIRE_METHOD_OTHER;
}

typedef size_t redact_function(const char *text, size_t len, char *out, size_t out_size, enum redact_mode mode,
                               bool *ret_truncated);

__attribute__((always_inline)) static inline void add_redacted(struct wire_request *request, enum wire_text id,
                                                               struct slice text, size_t limit, redact_function *redact)
{
    size_t room;
    bool truncated = false;
    uint8_t *to = text.length > 0 ? text_reserve(request, limit, &room) : NULL;

    if (!to)
        return;
    size_t length = redact(text.bytes, text.length, (char *)to, room, config.query_mode, &truncated);
    if (truncated)
        request->flags |= WIRE_REQUEST_TRUNCATED;
    if (length > 0)
        text_commit(request, id, length);
}

/* The first to name the server wins: an absolute target before Host (RFC 9112 3.2.2), Forwarded before both (at the end
 * of the head). */
static void set_host(struct wire_request *request, struct span_head *head, struct slice host, uint16_t port)
{
    if (head->has_host || host.length == 0)
        return;
    head->has_host = true;
    head->host_port = port;
    text_add(request, WIRE_TEXT_SERVER_ADDRESS, host, FORWARDED_HOST_SIZE);
}

/* Out of line, like capture(): who has no such rules does not pay for their registers. */
__attribute__((cold, noinline)) static bool is_ignored_path(const struct target *target)
{
    return glob_list_matches(&config.ignored_paths, target->path, GLOB_SAME_CASE);
}

__attribute__((cold, noinline)) static bool is_ignored_user_agent(struct slice name)
{
    return glob_list_matches(&config.ignored_user_agents, name, GLOB_ANY_CASE);
}

__attribute__((cold, noinline)) static bool is_within_limit(void)
{
    /* The time is read anew: the request's start may be long ago. */
    return rate_take(&rate, config.span_limit, clock_mono_ns());
}

void span_request_line(struct wire_slot *slot, struct span_head *head, struct slice method, struct slice target,
                       unsigned version_minor)
{
    struct wire_request *request = wire_slot_request(slot);
    struct target parts;

    request->method = (uint8_t)method_of(method);
    request->version = (uint8_t)(10 + version_minor);
    if (request->method == WIRE_METHOD_OTHER)
        text_add(request, WIRE_TEXT_METHOD, method, METHOD_MAX_LENGTH);
    if (!target_split(target.bytes, target.length, request->method == WIRE_METHOD_CONNECT, &parts))
        parts = (struct target){.path = target}; /* of no known form: as it came */
    add_redacted(request, WIRE_TEXT_PATH, parts.path, PATH_MAX_LENGTH, redact_path);
    add_redacted(request, WIRE_TEXT_QUERY, parts.query, QUERY_MAX_LENGTH, redact_query);
    set_host(request, head, parts.host, parts.port);
    if (slice_is(parts.scheme, "https"))
        request->flags |= WIRE_REQUEST_HTTPS;
    if (parts.has_user)
        request->flags |= WIRE_REQUEST_CREDENTIALS;
    if (config.ignored_paths.count > 0 && request->kind == WIRE_KIND_SERVER)
        head->is_ignored = is_ignored_path(&parts);
}

/* "name: value" with the name in lower case, if the user asked for this header; the last `leave` bytes are not used. */
__attribute__((cold, noinline)) static void capture(struct wire_request *request, enum wire_text id,
                                                    const struct glob_list *list, struct slice name, struct slice value,
                                                    size_t leave)
{
    if (!glob_list_matches(list, name, GLOB_ANY_CASE) ||
        !redact_header_allowed(name.bytes, name.length, config.client_ip_mode))
        return;

    size_t room;
    uint8_t *to = text_reserve(request, name.length + 2 + HEADER_MAX_LENGTH + leave, &room);

    room = to && room > leave ? room - leave : 0;
    if (room < name.length + 2) {
        request->flags |= WIRE_REQUEST_TRUNCATED;
        return;
    }
    bool truncated = false;
    for (size_t i = 0; i < name.length; i++)
        to[i] = (uint8_t)slice_lower(name.bytes[i]);
    memcpy(to + name.length, ": ", 2);
    size_t length = name.length + 2;
    length += redact_header_value(value.bytes, value.length, (char *)to + length, room - length, &truncated);
    if (truncated)
        request->flags |= WIRE_REQUEST_TRUNCATED;
    text_commit(request, id, length);
}

/* The value of the header that names the user; the first one counts. */
__attribute__((cold, noinline)) static void take_user(struct wire_request *request, struct span_head *head,
                                                      struct slice name, struct slice value)
{
    bool truncated = false;
    size_t room;

    if (head->has_user || request->kind != WIRE_KIND_SERVER || !slice_is_same(name, config.user_header))
        return;
    uint8_t *to = value.length > 0 ? text_reserve(request, TEXT_MAX_LENGTH, &room) : NULL;
    if (!to)
        return;
    head->has_user = true;
    text_commit(request, WIRE_TEXT_USER, redact_header_value(value.bytes, value.length, (char *)to, room, &truncated));
    if (truncated)
        request->flags |= WIRE_REQUEST_TRUNCATED;
}

/* Those that span_request_field() looks for: host, user-agent, forwarded, x-forwarded-*, traceparent, tracestate, b3,
 * x-b3-*, x-amzn-trace-id, baggage. */
uint32_t span_unused_request_letters(void)
{
    const uint32_t used =
        1u << ('h' & 31) | 1u << ('u' & 31) | 1u << ('f' & 31) | 1u << ('x' & 31) | 1u << ('t' & 31) | 1u << ('b' & 31);

    const uint32_t user = config.user_header.length > 0 ? 1u << (slice_lower(config.user_header.bytes[0]) & 31) : 0;

    return config.captured_request_headers.count > 0 ? 0 : ~(used | user);
}

uint32_t span_unused_response_letters(void)
{
    return config.captured_response_headers.count > 0 ? 0 : UINT32_MAX;
}

void span_request_field(struct wire_slot *slot, struct span_head *head, struct slice name, struct slice value)
{
    struct wire_request *request = wire_slot_request(slot);
    struct slice host;
    uint16_t port;

    if (name.length == 0) /* what continues a trace header is part of it */
        return;
    head->was_context = false;
    switch (slice_lower(name.bytes[0])) {
    case 'h':
        if (slice_is(name, "host") && target_split_authority(value.bytes, value.length, &host, &port))
            set_host(request, head, host, port);
        break;
    case 'u':
        if (!head->has_user_agent && slice_is(name, "user-agent")) {
            head->has_user_agent = true;
            text_add(request, WIRE_TEXT_USER_AGENT, value, USER_AGENT_MAX_LENGTH);
            if (config.ignored_user_agents.count > 0 && request->kind == WIRE_KIND_SERVER)
                head->is_ignored |= is_ignored_user_agent(value);
        }
        break;
    case 'f':
    case 'x':
        if (request->kind == WIRE_KIND_SERVER &&
            forwarded_field(&head->forwarded, name.bytes, name.length, value.bytes, value.length))
            break;
        __attribute__((fallthrough));
    case 't':
    case 'b':
        head->was_context = propagation_field(&head->propagation, name.bytes, name.length, value.bytes, value.length);
        break;
    default:
        break;
    }
    if (config.captured_request_headers.count > 0)
        capture(request, WIRE_TEXT_REQUEST_HEADER, &config.captured_request_headers, name, value, CAPTURE_LEAVES);
    if (config.user_header.length > 0)
        take_user(request, head, name, value);
}

/* Is it recorded? What the user wants ignored is not, even if the caller records it; then the sampler has the word; the
 * limit is for what is left. What is not recorded is counted. */
static bool decide(const struct span_head *head, const struct trace_context *caller, const uint8_t trace_id[16])
{
    if (head->is_ignored) {
        ring_count(WIRE_COUNT_IGNORED);
        return false;
    }
    if (!sampler_decide(&config.sampler, caller, trace_id)) {
        ring_count(WIRE_COUNT_UNSAMPLED);
        return false;
    }
    if (config.span_limit > 0 && !is_within_limit()) {
        ring_drop(WIRE_DROP_RATE_LIMITED);
        return false;
    }
    return true;
}

/* The text of this id that stands in the slot; empty when there is none. */
static struct slice text_of(const struct wire_request *request, enum wire_text id)
{
    for (size_t at = 0; at + TEXT_HEADER <= request->text_length;) {
        size_t length = request->text[at + 2] | (size_t)request->text[at + 3] << 8;

        if (request->text[at] == id)
            return (struct slice){(const char *)request->text + at + TEXT_HEADER, length};
        at += TEXT_HEADER + length;
    }
    return (struct slice){0};
}

/* Where a request belongs. */
struct origin {
    struct trace_context context; /* of its parent, if it has one; else there may still be a decision in it */
    struct slice tracestate;
    bool is_remote;
};

/* What its head says. False: nothing. */
static bool origin_of_head(struct span_head *head, struct origin *ret)
{
    struct propagation *propagation = &head->propagation;
    bool is_valid = propagation_done(propagation);

    if (!is_valid && !propagation->context.decided)
        return false;
    ret->context = propagation->context;
    ret->is_remote = !propagation_is_zero(ret->context.span_id, sizeof(ret->context.span_id));
    ret->tracestate = (struct slice){propagation->tracestate, propagation->tracestate_length};
    return is_valid;
}

/* Keep the tracestate of another request, which may end at any moment. */
static struct slice copy_tracestate(struct propagation *propagation, const struct wire_request *request)
{
    struct slice tracestate = text_of(request, WIRE_TEXT_TRACESTATE);

    if (tracestate.length > sizeof(propagation->tracestate))
        return (struct slice){0}; /* the slot is another's, and being written */
    slice_copy(propagation->tracestate, tracestate.bytes, tracestate.length);
    return (struct slice){propagation->tracestate, tracestate.length};
}

/* The request of this process that it is made for. False: none that is known. */
static bool origin_of_parent(struct span_head *head, struct origin *ret)
{
    const struct wire_request *parent = request_live(&head->parent);

    if (!parent)
        return false;
    memcpy(ret->context.trace_id, parent->trace_id, sizeof(ret->context.trace_id));
    memcpy(ret->context.span_id, parent->span_id, sizeof(ret->context.span_id));
    ret->context.flags = parent->trace_flags;
    ret->context.valid = ret->context.decided = true;
    ret->is_remote = false;
    ret->tracestate = copy_tracestate(&head->propagation, parent);
    atomic_thread_fence(memory_order_acquire);
    return request_live(&head->parent) != NULL; /* it may have ended meanwhile, and the slot be another's */
}

/* A client's: trace headers that came in with a request and go out as they came name that request. Others are the
 * program's own, and have the last word. */
static bool origin_of_client(struct span_head *head, struct origin *ret)
{
    if (origin_of_head(head, ret)) {
        struct request_ref passed = request_find_passed_on(&ret->context);

        head->headers = passed.slot ? SPAN_HEADERS_PASSED : SPAN_HEADERS_PROGRAM;
        if (!passed.slot)
            return true;
        head->parent = passed;
    }
    return origin_of_parent(head, ret);
}

/* The ids: the parent's trace, or a new one; then whether it is recorded. */
static void set_context(struct wire_request *request, struct span_head *head)
{
    struct origin origin = {0};
    bool has_parent =
        request->kind == WIRE_KIND_SERVER ? origin_of_head(head, &origin) : origin_of_client(head, &origin);
    uint64_t step = ids_next();

    ids_make_span(step, request->span_id);
    if (has_parent) {
        memcpy(request->trace_id, origin.context.trace_id, sizeof(request->trace_id));
        memcpy(request->parent_span_id, origin.context.span_id, sizeof(request->parent_span_id));
        request->flags |= origin.is_remote ? WIRE_REQUEST_REMOTE_PARENT : 0;
        request->trace_flags = origin.context.flags & PROPAGATION_FLAG_RANDOM;
        text_add(request, WIRE_TEXT_TRACESTATE, origin.tracestate, PROPAGATION_TRACESTATE_SIZE);
    } else {
        ids_make_trace(step, request->trace_id, ring_wall_seconds(request->start_ns));
        request->trace_flags = PROPAGATION_FLAG_RANDOM;
    }
    if (decide(head, &origin.context, request->trace_id)) {
        request->flags |= WIRE_REQUEST_SAMPLED;
        request->trace_flags |= PROPAGATION_FLAG_SAMPLED;
    }
}

/* Whose request a proxy passes on. */
static void set_client(struct wire_request *request, const char *address, size_t length, uint16_t port)
{
    size_t room;
    uint8_t *to = text_reserve(request, FORWARDED_CLIENT_SIZE, &room);

    length = to ? redact_client_ip(address, length, config.client_ip_mode, (char *)to, room) : 0;
    if (length == 0)
        return;
    text_commit(request, WIRE_TEXT_CLIENT_ADDRESS, length);
    request->client_port = port;
}

/* As the connection's first bytes told it, by the PROXY protocol. */
__attribute__((cold)) static void set_proxied(struct wire_request *request, const struct wire_address *client)
{
    char text[IP_TEXT_SIZE];
    struct ip ip = {.length = client->family == WIRE_FAMILY_INET ? 4 : 16};

    memcpy(ip.bytes, client->ip, sizeof(ip.bytes));
    set_client(request, text, ip_format(&ip, text), client->port);
}

/* What proxies say of the request as the first of them saw it. The agent takes the first text of an id, so a forwarded
 * host replaces the id of the one already there. */
static void set_forwarded(struct wire_request *request, struct span_head *head)
{
    const struct forwarded *forwarded = &head->forwarded;

    if (forwarded->scheme == FORWARDED_HTTPS)
        request->flags |= WIRE_REQUEST_HTTPS;
    if (forwarded->scheme == FORWARDED_HTTP)
        request->flags &= (uint16_t)~WIRE_REQUEST_HTTPS;
    if (forwarded->host_length > 0) {
        for (size_t at = 0; at < request->text_length;
             at += TEXT_HEADER + (request->text[at + 2] | (size_t)request->text[at + 3] << 8))
            if (request->text[at] == WIRE_TEXT_SERVER_ADDRESS)
                request->text[at] = WIRE_TEXT_NONE;
        head->has_host = false;
        set_host(request, head, (struct slice){forwarded->host, forwarded->host_length}, forwarded->host_port);
    }
    if (forwarded->client_length > 0)
        set_client(request, forwarded->client, forwarded->client_length, forwarded->client_port);
    else if (head->client->family != WIRE_FAMILY_NONE)
        set_proxied(request, head->client);
}

/* Its name may be a name of many: then its address tells. */
__attribute__((cold, noinline)) static bool is_ignored_host(const struct wire_request *request, struct slice host)
{
    const struct wire_address *peer = &request->peer;
    bool is_mapped = peer->family == WIRE_FAMILY_INET6 && ip_is_mapped(peer->ip);
    struct ip ip = {.length = peer->family == WIRE_FAMILY_INET6 && !is_mapped ? 16 : 4};
    char text[IP_TEXT_SIZE];

    if (glob_list_matches(&config.ignored_hosts, host, GLOB_ANY_CASE))
        return true;
    if (peer->family != WIRE_FAMILY_INET && peer->family != WIRE_FAMILY_INET6)
        return false;
    memcpy(ip.bytes, peer->ip + (is_mapped ? 12 : 0), ip.length);
    return glob_list_matches(&config.ignored_hosts, (struct slice){text, ip_format(&ip, text)}, GLOB_ANY_CASE);
}

/* Is it the program's own telemetry? */
static bool is_telemetry(const struct wire_request *request)
{
    return receivers_use_port(&config.receivers, request->server_port) &&
           receivers_match(&config.receivers, text_of(request, WIRE_TEXT_SERVER_ADDRESS), request->server_port,
                           text_of(request, WIRE_TEXT_PATH));
}

/* Is a client's request none of ours? */
static bool is_left_alone(const struct wire_request *request)
{
    return is_telemetry(request) ||
           (config.ignored_hosts.count > 0 && is_ignored_host(request, text_of(request, WIRE_TEXT_SERVER_ADDRESS)));
}

static void set_server_port(struct wire_request *request, const struct span_head *head)
{
    if (head->has_host)
        request->server_port = head->host_port ? head->host_port : (request->flags & WIRE_REQUEST_HTTPS ? 443 : 80);
}

/* What is kept for the requests made on its behalf is its slot's from here on. */
__attribute__((cold, noinline)) static void keep(struct wire_slot *slot, struct propagation *propagation)
{
    bool is_debug = (propagation->context.flags & PROPAGATION_FLAG_DEBUG) != 0;

    if ((is_debug || propagation->xray_asks) && carried_reserve(&propagation->carried, 0)) {
        propagation->carried->b3_debug = is_debug;
        propagation->carried->xray_asked = propagation->xray_asks;
    }
    if (propagation->lost)
        ring_drop(WIRE_DROP_BAGGAGE);
    if (propagation->carried)
        carried_attach(slot, wire_slot_request(slot)->start_ns, propagation->carried);
    propagation->carried = NULL;
}

static inline bool has_to_keep(const struct propagation *propagation)
{
    bool is_debug = (propagation->context.flags & PROPAGATION_FLAG_DEBUG) != 0;

    return propagation->carried || propagation->lost || propagation->xray_asks || is_debug;
}

static void end_server_head(struct wire_slot *slot, struct span_head *head)
{
    struct wire_request *request = wire_slot_request(slot);

    set_context(request, head);
    if (head->propagation.has_fields && has_to_keep(&head->propagation))
        keep(slot, &head->propagation);
    set_forwarded(request, head);
    set_server_port(request, head);
    ring_count(WIRE_COUNT_REQUESTS);
}

static void end_client_head(struct wire_request *request, struct span_head *head)
{
    set_server_port(request, head);
    head->is_ignored = is_left_alone(request);
    set_context(request, head);
    if (head->is_ignored || config.client_mode != CLIENT_ON)
        head->headers = SPAN_HEADERS_UNWANTED;
    if ((request->flags & WIRE_REQUEST_NOT_CONNECTED) == 0)
        ring_count(WIRE_COUNT_CLIENT_REQUESTS);
}

void span_head_end(struct wire_slot *slot, struct span_head *head)
{
    struct wire_request *request = wire_slot_request(slot);

    if (request->kind == WIRE_KIND_SERVER)
        end_server_head(slot, head);
    else
        end_client_head(request, head);
    head->is_complete = true;
    if (request->flags & WIRE_REQUEST_SAMPLED)
        ring_prepare(sizeof(struct wire_cell) - WIRE_CELL_PAYLOAD + sizeof(struct wire_record) + sizeof(*request) +
                     request->text_length);
    atomic_store_explicit(&slot->open, WIRE_SLOT_OPEN, memory_order_release);
    if (request->kind == WIRE_KIND_SERVER)
        request_begun(slot);
}

bool span_wants_headers(const struct span_head *head)
{
    return head->headers <= SPAN_HEADERS_PASSED && config.propagator_formats != 0;
}

static struct trace_context context_of(const struct wire_request *request)
{
    struct trace_context context = {.flags = request->trace_flags, .valid = true, .decided = true};

    memcpy(context.trace_id, request->trace_id, sizeof(context.trace_id));
    memcpy(context.span_id, request->span_id, sizeof(context.span_id));
    return context;
}

bool span_context_lines(struct wire_slot *slot, struct span_head *head, char *out, size_t room, size_t *ret_length)
{
    const struct wire_request *request = wire_slot_request(slot);
    const struct carried *block = carried_of(&head->parent);
    struct propagation_carried carried = {.tracestate = text_of(request, WIRE_TEXT_TRACESTATE)};
    struct trace_context context = context_of(request);
    unsigned formats = config.propagator_formats;
    bool fits;

    if (propagation_has(&head->propagation, PROPAGATION_BAGGAGE))
        formats &= ~(1u << PROPAGATION_BAGGAGE); /* the program has its own */
    if (block) {
        carried.baggage = (struct slice){block->baggage, block->baggage_length};
        carried.xray = (struct slice){block->xray, block->xray_length};
        carried.b3_debug = block->b3_debug;
    }
    fits = propagation_write(out, room, formats, &context, &carried, ret_length);
    if (!block || carried_is_attached(block, &head->parent))
        return fits;
    carried = (struct propagation_carried){.tracestate = carried.tracestate}; /* the parent has just ended */
    return propagation_write(out, room, formats, &context, &carried, ret_length);
}

size_t span_response_lines(struct wire_slot *slot, unsigned except, char *out, size_t room)
{
    const struct wire_request *request = wire_slot_request(slot);
    struct request_ref ref = {slot, request->start_ns};
    const struct carried *block = carried_of(&ref);
    struct trace_context context = context_of(request);
    unsigned lines = config.response_lines & ~except;

    if (block && block->xray_asked)
        lines |= PROPAGATION_RESPONSE_SAMPLED;
    return propagation_write_response(out, room, lines, &context);
}

void span_head_release(struct span_head *head)
{
    if (__builtin_expect(head->propagation.carried != NULL, 0))
        carried_free(head->propagation.carried);
    head->propagation.carried = NULL;
}

void span_text(struct wire_slot *slot, enum wire_text id, struct slice text)
{
    text_add(wire_slot_request(slot), id, text, TEXT_MAX_LENGTH);
}

void span_response_field(struct wire_slot *slot, struct slice name, struct slice value)
{
    if (name.length > 0 && config.captured_response_headers.count > 0)
        capture(wire_slot_request(slot), WIRE_TEXT_RESPONSE_HEADER, &config.captured_response_headers, name, value, 0);
}

void span_client(struct wire_slot *slot, const struct wire_client *client)
{
    struct wire_request *request = wire_slot_request(slot);
    size_t room;
    uint8_t *to;

    if ((client->resend_count | client->resolve_ns | client->connect_ns | client->tls_ns | client->sent_ns) == 0)
        return;
    to = text_reserve(request, sizeof(*client), &room);
    if (!to || room < sizeof(*client))
        return;
    memcpy(to, client, sizeof(*client));
    text_commit(request, WIRE_TEXT_CLIENT, sizeof(*client));
}

void span_end(struct wire_slot *slot, uint64_t end_ns, enum wire_error error)
{
    struct wire_request *request = wire_slot_request(slot);
    uint32_t open = WIRE_SLOT_OPEN;
    uint32_t ending = ring_slot_is_own(slot) ? WIRE_SLOT_ENDING : WIRE_SLOT_ENDING_BY_KIN;

    /* Two processes may hold the connection after a fork: one of them ends the request. */
    if (!atomic_compare_exchange_strong_explicit(&slot->open, &open, ending, memory_order_acquire,
                                                 memory_order_relaxed))
        return;
    request->error = (uint8_t)error;
    atomic_signal_fence(memory_order_release); /* a request with an end is complete, whenever the process is killed */
    request->end_ns = end_ns;
    if (request->flags & WIRE_REQUEST_SAMPLED)
        (void)ring_write(WIRE_RECORD_REQUEST, request, sizeof(*request) + request->text_length, slot);
    request_ended(slot);
    carried_end(slot);
    ring_slot_release(slot);
}

void span_discard(struct wire_slot *slot)
{
    if (atomic_load_explicit(&slot->open, memory_order_relaxed) == WIRE_SLOT_OPEN)
        request_ended(slot);
    carried_end(slot);
    ring_slot_release(slot);
}

void span_reclaim(struct wire_slot *slot, uint64_t start_ns)
{
    uint32_t open = WIRE_SLOT_OPEN;
    bool is_sampled = (wire_slot_request(slot)->flags & WIRE_REQUEST_SAMPLED) != 0;

    if (!ring_slot_is_own(slot) || wire_slot_request(slot)->start_ns != start_ns ||
        !atomic_compare_exchange_strong_explicit(&slot->open, &open, WIRE_SLOT_ENDING, memory_order_acquire,
                                                 memory_order_relaxed))
        return;
    if (is_sampled)
        ring_drop(WIRE_DROP_BLIND);
    request_ended(slot);
    carried_end(slot);
    ring_slot_release(slot);
}
