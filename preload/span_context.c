// SPDX-License-Identifier: Apache-2.0
/* Whose trace a request belongs to, whether it is recorded, and what of that goes out in header lines. */
#include "preload/span_internal.h"

#include "preload/carried.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/ids.h"
#include "preload/rate.h"
#include "preload/ring.h"
#include "preload/sampler.h"

#include <stdatomic.h>
#include <string.h>

/* The spans of this process; a fork's child goes on with a copy. */
static struct rate rate;

__attribute__((cold, noinline)) static bool is_within_limit(void)
{
    /* The time is read anew: the request's start may be long ago. */
    return rate_take(&rate, config.span_limit, clock_mono_ns());
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
    struct slice tracestate = span_text_of(request, WIRE_TEXT_TRACESTATE);

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
        span_text_add(request, WIRE_TEXT_TRACESTATE, origin.tracestate, PROPAGATION_TRACESTATE_SIZE);
    } else {
        ids_make_trace(step, request->trace_id, ring_wall_seconds(request->start_ns));
        request->trace_flags = PROPAGATION_FLAG_RANDOM;
    }
    if (decide(head, &origin.context, request->trace_id)) {
        request->flags |= WIRE_REQUEST_SAMPLED;
        request->trace_flags |= PROPAGATION_FLAG_SAMPLED;
    }
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

void span_context_settle(struct wire_slot *slot, struct span_head *head)
{
    struct wire_request *request = wire_slot_request(slot);

    set_context(request, head);
    if (request->kind == WIRE_KIND_SERVER && head->propagation.has_fields && has_to_keep(&head->propagation))
        keep(slot, &head->propagation);
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
    struct propagation_carried carried = {.tracestate = span_text_of(request, WIRE_TEXT_TRACESTATE)};
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
