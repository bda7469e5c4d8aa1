/* SPDX-License-Identifier: Apache-2.0 */
/* W3C trace context, level 2: traceparent and tracestate. */
#include "preload/propagation_internal.h"

#include <string.h>

enum {
    TRACEPARENT_LENGTH = PROPAGATION_TRACEPARENT_SIZE - 1,
    TRACESTATE_MEMBERS_MAX = 32,
    TRACESTATE_KEY_MAX = 256,
    TRACESTATE_VALUE_MAX = 256,
    TRACESTATE_LONG = 128,
};

/* Bits of propagation_found.seen. */
enum { SEEN_TRACEPARENT = 1, SEEN_SEVERAL = 2, SEEN_TRACESTATE = 4 };

bool propagation_read_traceparent(const char *value, size_t len, struct trace_context *ret)
{
    struct slice text = slice_trim((struct slice){value, len});
    struct trace_context context = {.valid = true, .decided = true};
    uint8_t version, flags;

    *ret = (struct trace_context){0};
    if (text.length < TRACEPARENT_LENGTH || text.bytes[2] != '-' || text.bytes[35] != '-' || text.bytes[52] != '-')
        return false;
    if (!propagation_read_hex(text.bytes, &version, 1) ||
        !propagation_read_hex(text.bytes + 3, context.trace_id, sizeof(context.trace_id)) ||
        !propagation_read_hex(text.bytes + 36, context.span_id, sizeof(context.span_id)) ||
        !propagation_read_hex(text.bytes + 53, &flags, 1))
        return false;
    if (version == 0xff || propagation_is_zero(context.trace_id, sizeof(context.trace_id)) ||
        propagation_is_zero(context.span_id, sizeof(context.span_id)))
        return false;
    /* A later version may append fields; of its flags only the sampled bit means what it meant. */
    if (text.length > TRACEPARENT_LENGTH && (version == 0 || text.bytes[TRACEPARENT_LENGTH] != '-'))
        return false;
    context.flags = flags & PROPAGATION_FLAG_SAMPLED;
    if (version == 0)
        context.flags |= flags & PROPAGATION_FLAG_RANDOM;
    *ret = context;
    return true;
}

void propagation_write_traceparent(char buf[PROPAGATION_TRACEPARENT_SIZE], const struct trace_context *context)
{
    const uint8_t version = 0;
    uint8_t flags = context->flags & (PROPAGATION_FLAG_SAMPLED | PROPAGATION_FLAG_RANDOM);

    char *out = propagation_hex(buf, &version, 1);
    *out++ = '-';
    out = propagation_hex(out, context->trace_id, sizeof(context->trace_id));
    *out++ = '-';
    out = propagation_hex(out, context->span_id, sizeof(context->span_id));
    *out++ = '-';
    out = propagation_hex(out, &flags, 1);
    *out = '\0';
}

/* tracestate */

static bool is_key_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_key(struct slice key)
{
    if (key.length == 0 || key.length > TRACESTATE_KEY_MAX || !is_key_start(key.bytes[0]))
        return false;
    for (size_t i = 1; i < key.length; i++)
        if (!is_key_start(key.bytes[i]) && (key.bytes[i] == '\0' || !strchr("_-*/@", key.bytes[i])))
            return false;
    return true;
}

/* Trimmed with its member, so it doesn't end in a blank; those at its front are part of it. */
static bool is_value(struct slice value)
{
    if (value.length == 0 || value.length > TRACESTATE_VALUE_MAX)
        return false;
    for (size_t i = 0; i < value.length; i++)
        if (value.bytes[i] < 0x20 || value.bytes[i] > 0x7e || value.bytes[i] == '=')
            return false;
    return true;
}

static bool is_member(struct slice member)
{
    struct slice key;
    return slice_next(&member, '=', &key) && member.bytes && is_key(key) && is_value(member);
}

static bool has_room(const struct propagation *propagation, size_t length)
{
    size_t comma = propagation->tracestate_length > 0;
    return propagation->tracestate_length + comma + length <= PROPAGATION_TRACESTATE_SIZE;
}

static void append_member(struct propagation *propagation, struct slice member)
{
    if (propagation->tracestate_length > 0)
        propagation->tracestate[propagation->tracestate_length++] = ',';
    memmove(propagation->tracestate + propagation->tracestate_length, member.bytes, member.length);
    propagation->tracestate_length += (uint16_t)member.length;
}

/* Keep only short members. They move to the front within the same bytes. */
static void drop_long_members(struct propagation *propagation)
{
    struct slice rest = {propagation->tracestate, propagation->tracestate_length}, member;
    propagation->tracestate_length = 0;
    while (slice_next(&rest, ',', &member))
        if (member.length > 0 && member.length <= TRACESTATE_LONG)
            append_member(propagation, member);
}

static void keep_member(struct propagation *propagation, struct slice member)
{
    bool is_long = member.length > TRACESTATE_LONG;
    if (propagation->tracestate_cut == PROPAGATION_CUT_END ||
        (propagation->tracestate_cut == PROPAGATION_CUT_LONG && is_long))
        return;
    if (!has_room(propagation, member.length)) {
        propagation->tracestate_cut = PROPAGATION_CUT_LONG;
        if (is_long)
            return;
        drop_long_members(propagation);
        if (!has_room(propagation, member.length)) {
            propagation->tracestate_cut = PROPAGATION_CUT_END;
            return;
        }
    }
    append_member(propagation, member);
}

/* One field's worth of the list; several fields are one list (RFC 9110 5.3). */
static void read_tracestate(struct propagation *propagation, struct slice list)
{
    struct slice member;
    while (!propagation->tracestate_broken && slice_next(&list, ',', &member)) {
        member = slice_trim(member);
        if (member.length == 0)
            continue;
        if (propagation->tracestate_members == TRACESTATE_MEMBERS_MAX || !is_member(member)) {
            propagation->tracestate_broken = true;
            return;
        }
        propagation->tracestate_members++;
        keep_member(propagation, member);
    }
}

bool propagation_extract_tracecontext(struct propagation *propagation, struct propagation_found *found,
                                      struct slice field, struct slice value)
{
    if (slice_is_literal(field, "traceparent")) {
        if (found->seen & SEEN_TRACEPARENT)
            found->seen |= SEEN_SEVERAL;
        found->seen |= SEEN_TRACEPARENT;
        if (found->seen & SEEN_SEVERAL)
            found->context = (struct trace_context){0};
        else
            (void)propagation_read_traceparent(value.bytes, value.length, &found->context);
        return true;
    }
    if (slice_is_literal(field, "tracestate")) {
        found->seen |= SEEN_TRACESTATE;
        read_tracestate(propagation, value);
        return true;
    }
    return false;
}

void propagation_write_tracecontext(struct propagation_lines *lines, const struct trace_context *context,
                                    const struct propagation_carried *carried)
{
    char traceparent[PROPAGATION_TRACEPARENT_SIZE];

    propagation_write_traceparent(traceparent, context);
    propagation_put_text(lines, "traceparent: ");
    propagation_put(lines, (struct slice){traceparent, TRACEPARENT_LENGTH});
    propagation_put_text(lines, "\r\n");
    if (carried->tracestate.length == 0)
        return;
    propagation_put_text(lines, "tracestate: ");
    propagation_put(lines, carried->tracestate);
    propagation_put_text(lines, "\r\n");
}
