/* SPDX-License-Identifier: Apache-2.0 */
/* B3 in one header or in several (openzipkin/b3-propagation). Both are read wherever one of them is asked for, the
 * single header first, as OpenTelemetry wants it; of several headers by one name the first counts. */
#include "preload/propagation_internal.h"

#include <string.h>

/* Bits of propagation_found.seen: fields that came. */
enum {
    SEEN_SINGLE = 1, /* and it was good: the others don't count */
    SEEN_TRACE_ID = 2,
    SEEN_SPAN_ID = 4,
    SEEN_SAMPLED = 8,
    SEEN_OTHER = 16,
    SEEN_BAD_ID = 32,
};

/* 64 bits are the right half of the id. */
static bool read_trace_id(struct slice text, uint8_t ret_id[16])
{
    memset(ret_id, 0, 8);
    return propagation_read_id(text, ret_id, 16) || propagation_read_id(text, ret_id + 8, 8);
}

static void decide(struct trace_context *context, uint8_t flags)
{
    context->flags = flags;
    context->decided = true;
}

/* A sampling state of one character. */
static bool read_state(struct slice text, struct trace_context *context)
{
    if (text.length != 1 || (text.bytes[0] != '0' && text.bytes[0] != '1' && text.bytes[0] != 'd'))
        return false;
    if (text.bytes[0] == 'd')
        decide(context, PROPAGATION_FLAG_SAMPLED | PROPAGATION_FLAG_DEBUG);
    else
        decide(context, text.bytes[0] == '1' ? PROPAGATION_FLAG_SAMPLED : 0);
    return true;
}

/* "trace id-span id[-state[-parent's span id]]", or a state alone. */
static bool read_single(struct slice value, struct trace_context *ret)
{
    struct trace_context context = {0};
    struct slice part;
    uint8_t parent_id[8];

    if (read_state(value, &context)) {
        *ret = context;
        return true;
    }
    if (!slice_next(&value, '-', &part) || !read_trace_id(part, context.trace_id) || !slice_next(&value, '-', &part) ||
        !propagation_read_id(part, context.span_id, sizeof(context.span_id)))
        return false;
    if (slice_next(&value, '-', &part) && !read_state(part, &context))
        return false;
    if (value.bytes && !propagation_read_id(value, parent_id, sizeof(parent_id)))
        return false;
    context.valid = true;
    *ret = context;
    return true;
}

static void read_sampled(struct trace_context *context, struct slice value)
{
    if (context->flags & PROPAGATION_FLAG_DEBUG)
        return;
    if (slice_is(value, "1") || slice_is(value, "true"))
        decide(context, PROPAGATION_FLAG_SAMPLED);
    else if (slice_is(value, "0") || slice_is(value, "false"))
        decide(context, 0);
}

/* One of several headers; `name` is what comes after "x-b3-". */
static bool read_one(struct propagation_found *found, struct slice name, struct slice value)
{
    static const struct {
        char name[16];
        uint8_t bit;
    } names[] = {
        {"traceid", SEEN_TRACE_ID}, {"spanid", SEEN_SPAN_ID},     {"sampled", SEEN_SAMPLED},
        {"flags", SEEN_OTHER},      {"parentspanid", SEEN_OTHER},
    };
    struct trace_context *context = &found->context;
    uint8_t bit = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_is(name, names[i].name))
            bit = names[i].bit;
    if (bit == 0)
        return false;
    if ((found->seen & SEEN_SINGLE) || (bit != SEEN_OTHER && (found->seen & bit)))
        return true;
    found->seen |= bit;
    if (bit == SEEN_TRACE_ID && !read_trace_id(value, context->trace_id))
        found->seen |= SEEN_BAD_ID;
    if (bit == SEEN_SPAN_ID && !propagation_read_id(value, context->span_id, sizeof(context->span_id)))
        found->seen |= SEEN_BAD_ID;
    if (bit == SEEN_SAMPLED)
        read_sampled(context, value);
    if (slice_is(name, "flags") && slice_is(value, "1"))
        decide(context, PROPAGATION_FLAG_SAMPLED | PROPAGATION_FLAG_DEBUG);
    context->valid = (found->seen & (SEEN_TRACE_ID | SEEN_SPAN_ID | SEEN_BAD_ID)) == (SEEN_TRACE_ID | SEEN_SPAN_ID);
    return true;
}

bool propagation_extract_b3(struct propagation *propagation, struct propagation_found *found, struct slice field,
                            struct slice value)
{
    static const size_t prefix = sizeof("x-b3-") - 1;

    (void)propagation;
    if (slice_is(field, "b3")) {
        if (!(found->seen & SEEN_SINGLE) && read_single(value, &found->context))
            found->seen |= SEEN_SINGLE;
        found->seen |= SEEN_OTHER;
        return true;
    }
    return field.length > prefix && slice_is((struct slice){field.bytes, prefix}, "x-b3-") &&
           read_one(found, (struct slice){field.bytes + prefix, field.length - prefix}, value);
}

static bool is_debug(const struct trace_context *context, const struct propagation_carried *carried)
{
    return carried->b3_debug && (context->flags & PROPAGATION_FLAG_SAMPLED);
}

void propagation_write_b3(struct propagation_lines *lines, const struct trace_context *context,
                          const struct propagation_carried *carried)
{
    propagation_put_text(lines, "b3: ");
    propagation_put_hex(lines, context->trace_id, sizeof(context->trace_id));
    propagation_put_text(lines, "-");
    propagation_put_hex(lines, context->span_id, sizeof(context->span_id));
    if (is_debug(context, carried))
        propagation_put_text(lines, "-d\r\n");
    else
        propagation_put_text(lines, context->flags & PROPAGATION_FLAG_SAMPLED ? "-1\r\n" : "-0\r\n");
}

void propagation_write_b3multi(struct propagation_lines *lines, const struct trace_context *context,
                               const struct propagation_carried *carried)
{
    propagation_put_text(lines, "X-B3-TraceId: ");
    propagation_put_hex(lines, context->trace_id, sizeof(context->trace_id));
    propagation_put_text(lines, "\r\nX-B3-SpanId: ");
    propagation_put_hex(lines, context->span_id, sizeof(context->span_id));
    if (is_debug(context, carried)) /* it says that the trace is sampled, too */
        propagation_put_text(lines, "\r\nX-B3-Flags: 1\r\n");
    else
        propagation_put_text(lines, context->flags & PROPAGATION_FLAG_SAMPLED ? "\r\nX-B3-Sampled: 1\r\n"
                                                                              : "\r\nX-B3-Sampled: 0\r\n");
}
