/* SPDX-License-Identifier: Apache-2.0 */
/* Whose trace a request belongs to, and what of that goes out in header lines. */
#include "preload/span_internal.h"

#include "preload/carried.h"
#include "preload/config.h"
#include "preload/echo.h"
#include "preload/ids.h"
#include "preload/ring.h"
#include "preload/start_env.h"

#include <stdatomic.h>
#include <string.h>

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

    if (!is_valid && !propagation->context.decided && !propagation->context.xray_decided)
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

static uint8_t flags_of(const struct wire_request *request)
{
    uint8_t flags = request->trace_flags & (PROPAGATION_FLAG_SAMPLED | PROPAGATION_FLAG_RANDOM);

    return request->flags & WIRE_REQUEST_XRAY_SAMPLED ? flags | PROPAGATION_FLAG_XRAY_SAMPLED : flags;
}

/* The request of this process that it is made for. False: none that is known. */
static bool origin_of_parent(struct span_head *head, struct origin *ret)
{
    const struct wire_request *parent = request_live(&head->parent);

    if (!parent)
        return false;
    memcpy(ret->context.trace_id, parent->trace_id, sizeof(ret->context.trace_id));
    memcpy(ret->context.span_id, parent->span_id, sizeof(ret->context.span_id));
    ret->context.flags = flags_of(parent);
    ret->context.valid = ret->context.decided = ret->context.xray_decided = true;
    ret->is_remote = false;
    ret->tracestate = copy_tracestate(&head->propagation, parent);
    atomic_thread_fence(memory_order_acquire);
    echo_was_passed_on(&head->parent);
    return request_live(&head->parent) != NULL; /* it may have ended meanwhile, and the slot be another's */
}

/* A trace of the program's own making: X-Ray's decision is still the one of the request that it is made for. */
static void follow_xray(const struct request_ref *ref, struct trace_context *context)
{
    const struct wire_request *parent = context->xray_decided ? NULL : request_live(ref);
    uint8_t flags = parent ? flags_of(parent) & PROPAGATION_FLAG_XRAY_SAMPLED : 0;

    atomic_thread_fence(memory_order_acquire);
    if (!parent || !request_live(ref))
        return;
    context->flags |= flags;
    context->xray_decided = true;
}

/* Whoever started the process, when nobody is served here: else it may just as well be made for one of those. */
static bool origin_of_start(struct span_head *head, struct origin *ret)
{
    const struct start_env_parent *parent = start_env_parent();

    if (!parent || !request_none_is_open())
        return false;
    ret->context = parent->context;
    ret->tracestate = parent->tracestate;
    ret->is_remote = true;
    head->is_of_start = true;
    return true;
}

/* A client's: trace headers that came in with a request and go out as they came name that request. Others are the
 * program's own, and have the last word. */
static bool origin_of_client(const struct wire_request *request, struct span_head *head, struct origin *ret)
{
    struct request_ref passed = {0};

    if (origin_of_head(head, ret)) {
        passed = current_find_passed_on(&ret->context);
        head->headers = passed.slot ? SPAN_HEADERS_PASSED : SPAN_HEADERS_PROGRAM;
        if (!passed.slot) {
            follow_xray(&head->parent, &ret->context);
            return true;
        }
        head->parent = passed;
    }
    if (!passed.slot && head->print)
        head->parent =
            span_print(head) > ECHO_NEVER ? echo_find(span_print(head), &request->peer, request->start_ns) : passed;
    return origin_of_parent(head, ret) || origin_of_start(head, ret);
}

/* A client's request begins a trace of its own. */
static void say_why(struct wire_request *request)
{
    char why = (char)request_why_none();

    if (why != WIRE_PARENT_NONE)
        span_text_add(request, WIRE_TEXT_PARENT, (struct slice){&why, 1}, 1);
}

/* The ids: the parent's trace, or a new one; then whether it is recorded. */
static void set_context(struct wire_request *request, struct span_head *head)
{
    struct origin origin = {0};
    bool has_parent =
        request->kind == WIRE_KIND_SERVER ? origin_of_head(head, &origin) : origin_of_client(request, head, &origin);
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
        if (request->kind == WIRE_KIND_CLIENT)
            say_why(request);
    }
    span_decide(request, head, &origin.context);
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

/* Can the head name several traces? */
static inline bool names_several(const struct propagation *propagation)
{
    unsigned formats = propagation->formats & ((1u << PROPAGATION_BAGGAGE) - 1);

    return propagation->context.valid && (formats & (formats - 1)) != 0;
}

/* Traces that the head names and that are not adopted. */
__attribute__((cold, noinline)) static void link_others(struct wire_request *request,
                                                        const struct propagation *propagation)
{
    const struct trace_context *others[PROPAGATION_FORMAT_COUNT];
    size_t count = propagation_others(propagation, others);

    for (size_t i = 0; i < count; i++) {
        struct wire_link link;
        size_t room;
        uint8_t *to = span_text_reserve(request, sizeof(link), &room);

        if (!to || room < sizeof(link))
            return;
        memcpy(link.trace_id, others[i]->trace_id, sizeof(link.trace_id));
        memcpy(link.span_id, others[i]->span_id, sizeof(link.span_id));
        memcpy(to, &link, sizeof(link));
        span_text_commit(request, WIRE_TEXT_LINK, sizeof(link));
    }
}

void span_context_settle(struct wire_slot *slot, struct span_head *head)
{
    struct wire_request *request = wire_slot_request(slot);

    set_context(request, head);
    if (request->kind != WIRE_KIND_SERVER || !head->propagation.has_fields)
        return;
    if (names_several(&head->propagation))
        link_others(request, &head->propagation);
    if (has_to_keep(&head->propagation))
        keep(slot, &head->propagation);
}

bool span_wants_headers(const struct span_head *head)
{
    return head->headers <= SPAN_HEADERS_PASSED && config.propagator_formats != 0;
}

static struct trace_context context_of(const struct wire_request *request)
{
    struct trace_context context = {.flags = flags_of(request), .valid = true, .decided = true, .xray_decided = true};

    memcpy(context.trace_id, request->trace_id, sizeof(context.trace_id));
    memcpy(context.span_id, request->span_id, sizeof(context.span_id));
    return context;
}

bool span_context_lines(struct wire_slot *slot, struct span_head *head, char *out, size_t room, size_t *ret_length)
{
    const struct wire_request *request = wire_slot_request(slot);
    const struct carried *block = head->is_of_start ? start_env_parent()->carried : carried_of(&head->parent);
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
    if (!block || head->is_of_start || carried_is_attached(block, &head->parent))
        return fits;
    carried = (struct propagation_carried){.tracestate = carried.tracestate}; /* the parent has just ended */
    return propagation_write(out, room, formats, &context, &carried, ret_length);
}

bool span_context_of(const struct request_ref *ref, char *out, size_t room, size_t *ret_length)
{
    const unsigned formats = config.propagator_formats & (1u << PROPAGATION_TRACECONTEXT | 1u << PROPAGATION_BAGGAGE);
    const struct wire_request *request = request_live(ref);
    const struct carried *block = carried_of(ref);
    struct propagation_carried carried = {0};
    struct trace_context context;
    bool fits;

    if (!request || (formats & 1u << PROPAGATION_TRACECONTEXT) == 0)
        return false;
    context = context_of(request);
    carried.tracestate = span_text_of(request, WIRE_TEXT_TRACESTATE);
    if (block)
        carried.baggage = (struct slice){block->baggage, block->baggage_length};
    fits = propagation_write(out, room, formats, &context, &carried, ret_length);
    atomic_thread_fence(memory_order_acquire);
    return fits && request_live(ref) && (!block || carried_is_attached(block, ref));
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
