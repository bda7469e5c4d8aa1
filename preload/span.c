/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/span_internal.h"

#include "preload/carried.h"
#include "preload/config.h"
#include "preload/echo.h"
#include "preload/ip.h"
#include "preload/link.h"
#include "preload/redact.h"
#include "preload/ring.h"

#include <stdatomic.h>
#include <string.h>

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
        head->is_of_start = false;
    head->headers = SPAN_HEADERS_NONE;
    head->client = ends->client;
    head->parent = ends->parent;
    head->print = ends->parent.slot && !echo_decides() ? 0 : echo_begin();
    propagation_init(&head->propagation, config.propagator_formats);
    head->propagation.keeps = ends->kind == WIRE_KIND_SERVER;
    head->propagation.xray_is_apart = config.xray_mode == XRAY_SAMPLES;
    memset(&head->forwarded, 0, offsetof(struct forwarded, client));
    return slot;
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
           receivers_match(&config.receivers, span_text_of(request, WIRE_TEXT_SERVER_ADDRESS), request->server_port,
                           span_text_of(request, WIRE_TEXT_PATH));
}

/* Is a client's request none of ours? */
static bool is_left_alone(const struct wire_request *request)
{
    return is_telemetry(request) || (config.ignored_hosts.count > 0 &&
                                     is_ignored_host(request, span_text_of(request, WIRE_TEXT_SERVER_ADDRESS)));
}

static void end_server_head(struct wire_slot *slot, struct span_head *head)
{
    span_context_settle(slot, head);
    span_names_settle(wire_slot_request(slot), head);
    ring_count(WIRE_COUNT_REQUESTS);
}

static void end_client_head(struct wire_slot *slot, struct span_head *head)
{
    struct wire_request *request = wire_slot_request(slot);

    span_names_settle(request, head);
    head->is_ignored = is_left_alone(request);
    span_context_settle(slot, head);
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
        end_client_head(slot, head);
    echo_note(slot, request->kind == WIRE_KIND_SERVER ? span_print(head) : ECHO_NEVER);
    head->is_complete = true;
    atomic_store_explicit(&slot->open, WIRE_SLOT_OPEN, memory_order_release);
    if (request->kind == WIRE_KIND_SERVER)
        request_begun(slot);
}

void span_head_release(struct span_head *head)
{
    if (__builtin_expect(head->propagation.carried != NULL, 0))
        carried_free(head->propagation.carried);
    head->propagation.carried = NULL;
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
    echo_end(slot, end_ns);
    if (span_is_recorded(request))
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
    bool is_recorded = span_is_recorded(wire_slot_request(slot));

    if (!ring_slot_is_own(slot) || wire_slot_request(slot)->start_ns != start_ns ||
        !atomic_compare_exchange_strong_explicit(&slot->open, &open, WIRE_SLOT_ENDING, memory_order_acquire,
                                                 memory_order_relaxed))
        return;
    if (is_recorded)
        ring_drop(WIRE_DROP_BLIND);
    request_ended(slot);
    carried_end(slot);
    ring_slot_release(slot);
}
