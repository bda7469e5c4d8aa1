// SPDX-License-Identifier: Apache-2.0
#include "preload/current.h"

#include "preload/propagation.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static _Thread_local struct request_ref current;

struct wire_request *request_live(const struct request_ref *ref)
{
    if (!ref->slot || wire_slot_request(ref->slot)->start_ns != ref->start_ns ||
        atomic_load_explicit(&ref->slot->open, memory_order_acquire) != WIRE_SLOT_OPEN)
        return NULL;
    return wire_slot_request(ref->slot);
}

struct request_ref current_get(void)
{
    return request_live(&current) ? current : (struct request_ref){0};
}

void current_set(const struct request_ref *ref)
{
    current = *ref;
}

void current_clear(void)
{
    current = (struct request_ref){0};
}

struct request_ref request_find_passed_on(const struct trace_context *context)
{
    struct request_ref ref = current_get();
    const struct wire_request *request = request_live(&ref);

    if (request && memcmp(request->trace_id, context->trace_id, sizeof(context->trace_id)) == 0 &&
        memcmp(request->parent_span_id, context->span_id, sizeof(context->span_id)) == 0)
        return ref;
    return (struct request_ref){0};
}
