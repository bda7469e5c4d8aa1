/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request is recorded: for OpenTelemetry's destinations, and for X-Ray. */
#include "preload/span_internal.h"

#include "preload/clock.h"
#include "preload/config.h"
#include "preload/link.h"
#include "preload/rate.h"
#include "preload/ring.h"
#include "preload/sampler.h"

/* The spans of this process; a fork's child goes on with a copy. */
static struct rate rate;

__attribute__((cold, noinline)) static bool is_within_limit(void)
{
    /* The time is read anew: the request's start may be long ago. */
    return rate_take(&rate, config.span_limit, clock_mono_ns());
}

/* What the user wants ignored is not recorded, even if the caller records it; then the samplers have the word; the
 * limit is for what is left. What is not recorded is counted. */
void span_decide(struct wire_request *request, const struct span_head *head, const struct trace_context *caller)
{
    bool is_sampled, is_xray_sampled;

    if (head->is_ignored) {
        ring_count(WIRE_COUNT_IGNORED);
        request->trace_flags |= WIRE_TRACE_UNWANTED;
        return;
    }
    is_sampled = sampler_decide(&config.sampler, caller, request->trace_id);
    is_xray_sampled = config.xray_mode == XRAY_SAMPLES ? span_xray_decide(request, caller) : is_sampled;
    if (!is_sampled && !is_xray_sampled)
        ring_count(WIRE_COUNT_UNSAMPLED);
    if (config.span_limit > 0 && (is_sampled || is_xray_sampled || link_wants(WIRE_WANT_UNSAMPLED)) &&
        !is_within_limit()) {
        ring_drop(WIRE_DROP_RATE_LIMITED);
        request->trace_flags |= WIRE_TRACE_UNWANTED;
        return;
    }
    if (is_sampled) {
        request->flags |= WIRE_REQUEST_SAMPLED;
        request->trace_flags |= PROPAGATION_FLAG_SAMPLED;
    }
    if (is_xray_sampled)
        request->flags |= WIRE_REQUEST_XRAY_SAMPLED;
}

/* The agent may want them all, but for those that the user has ruled out; or X-Ray's alone. */
__attribute__((cold, noinline)) static bool is_wanted(const struct wire_request *request)
{
    if (request->trace_flags & WIRE_TRACE_UNWANTED)
        return false;
    return link_wants(WIRE_WANT_UNSAMPLED) ||
           ((request->flags & WIRE_REQUEST_SAMPLED) && !link_wants(WIRE_WANT_XRAY_ALONE));
}

inline bool span_is_recorded(const struct wire_request *request)
{
    return (request->flags & WIRE_REQUEST_XRAY_SAMPLED) || is_wanted(request); /* without X-Ray both flags are equal */
}
