/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/propagation.h"

#include <string.h>

#include "preload/slice.h"

enum {
    TRACEPARENT_LENGTH = PROPAGATION_TRACEPARENT_SIZE - 1,
    TRACESTATE_MEMBERS_MAX = 32,
    TRACESTATE_KEY_MAX = 256,
    TRACESTATE_VALUE_MAX = 256,
    TRACESTATE_LONG = 128,
};

/* traceparent */

/* Of a hex digit: its value plus one, lower case only, as W3C wants it; 0 for anything else. */
static const uint8_t hex_digits[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static bool read_hex(const char *text, uint8_t *ret_bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned high = hex_digits[(uint8_t)text[2 * i]], low = hex_digits[(uint8_t)text[2 * i + 1]];
        if (high == 0 || low == 0)
            return false;
        ret_bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

bool propagation_read_traceparent(const char *value, size_t len, struct trace_context *ret)
{
    struct slice text = slice_trim((struct slice){value, len});
    struct trace_context context = {.valid = true};
    uint8_t version, flags;

    *ret = (struct trace_context){0};
    if (text.length < TRACEPARENT_LENGTH || text.bytes[2] != '-' || text.bytes[35] != '-' || text.bytes[52] != '-')
        return false;
    if (!read_hex(text.bytes, &version, 1) || !read_hex(text.bytes + 3, context.trace_id, sizeof(context.trace_id)) ||
        !read_hex(text.bytes + 36, context.span_id, sizeof(context.span_id)) || !read_hex(text.bytes + 53, &flags, 1))
        return false;
    if (version == 0xff || is_zero(context.trace_id, sizeof(context.trace_id)) ||
        is_zero(context.span_id, sizeof(context.span_id)))
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

static char *write_hex(char *out, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

void propagation_write_traceparent(char buf[PROPAGATION_TRACEPARENT_SIZE], const struct trace_context *context)
{
    const uint8_t version = 0;
    uint8_t flags = context->flags & (PROPAGATION_FLAG_SAMPLED | PROPAGATION_FLAG_RANDOM);

    char *out = write_hex(buf, &version, 1);
    *out++ = '-';
    out = write_hex(out, context->trace_id, sizeof(context->trace_id));
    *out++ = '-';
    out = write_hex(out, context->span_id, sizeof(context->span_id));
    *out++ = '-';
    out = write_hex(out, &flags, 1);
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

/* Formats: each looks at one field, and says whether it was one of its own. */

static bool extract_tracecontext(struct propagation *propagation, struct slice name, struct slice value)
{
    if (slice_is(name, "traceparent")) {
        if (propagation->traceparent_count < UINT8_MAX)
            propagation->traceparent_count++;
        if (propagation->traceparent_count == 1)
            (void)propagation_read_traceparent(value.bytes, value.length, &propagation->context);
        else
            propagation->context.valid = false;
        return true;
    }
    if (slice_is(name, "tracestate")) {
        read_tracestate(propagation, value);
        return true;
    }
    return false;
}

static bool extract_nothing(struct propagation *propagation, struct slice name, struct slice value)
{
    (void)propagation;
    (void)name;
    (void)value;
    return false;
}

/* The other way round: each writes its lines. */

/* Lines on their way into the caller's bytes. */
struct lines {
    char *at, *end;
    bool is_cut; /* something did not fit */
};

static void put(struct lines *lines, struct slice text)
{
    if (lines->is_cut || text.length > (size_t)(lines->end - lines->at)) {
        lines->is_cut = true;
        return;
    }
    slice_copy(lines->at, text.bytes, text.length);
    lines->at += text.length;
}

static void put_text(struct lines *lines, const char *text)
{
    put(lines, (struct slice){text, strlen(text)});
}

static void write_tracecontext(struct lines *lines, const struct trace_context *context,
                               const struct propagation_carried *carried)
{
    char traceparent[PROPAGATION_TRACEPARENT_SIZE];

    propagation_write_traceparent(traceparent, context);
    put_text(lines, "traceparent: ");
    put(lines, (struct slice){traceparent, TRACEPARENT_LENGTH});
    put_text(lines, "\r\n");
    if (carried->tracestate.length == 0)
        return;
    put_text(lines, "tracestate: ");
    put(lines, carried->tracestate);
    put_text(lines, "\r\n");
}

static void write_nothing(struct lines *lines, const struct trace_context *context,
                          const struct propagation_carried *carried)
{
    (void)lines;
    (void)context;
    (void)carried;
}

static const struct {
    const char *name;
    bool (*extract)(struct propagation *propagation, struct slice name, struct slice value);
    void (*write)(struct lines *lines, const struct trace_context *context, const struct propagation_carried *carried);
} formats[] = {
#define PROPAGATOR(NAME, name, extract, write) [PROPAGATION_##NAME] = {name, extract, write},
#include "preload/propagators.def"
#undef PROPAGATOR
};

static unsigned format_bit(struct slice name)
{
    for (unsigned i = 0; i < PROPAGATION_FORMAT_COUNT; i++)
        if (slice_is(name, formats[i].name))
            return 1u << i;
    return 0;
}

unsigned propagation_parse_formats(const char *list, size_t len, unsigned *ret_unknown)
{
    struct slice rest = {list, len}, name;
    unsigned bits = 0, unknown = 0;
    bool has_none = false;

    while (slice_next(&rest, ',', &name)) {
        name = slice_trim(name);
        unsigned bit = format_bit(name);
        bits |= bit;
        if (slice_is(name, "none"))
            has_none = true;
        else if (bit == 0 && name.length > 0)
            unknown++;
    }
    *ret_unknown = unknown;
    if (has_none)
        return 0;
    return bits ? bits : PROPAGATION_DEFAULT_FORMATS;
}

void propagation_init(struct propagation *propagation, unsigned format_bits)
{
    propagation->context = (struct trace_context){0};
    propagation->formats = (uint8_t)format_bits;
    propagation->traceparent_count = 0;
    propagation->tracestate_members = 0;
    propagation->tracestate_broken = false;
    propagation->tracestate_cut = PROPAGATION_CUT_NOTHING;
    propagation->tracestate_length = 0;
}

bool propagation_field(struct propagation *propagation, const char *name, size_t name_len, const char *value,
                       size_t value_len)
{
    struct slice field_name = {name, name_len}, field_value = {value, value_len};
    bool is_known = false;
    for (unsigned i = 0; i < PROPAGATION_FORMAT_COUNT; i++)
        if ((propagation->formats & 1u << i) && formats[i].extract(propagation, field_name, field_value))
            is_known = true;
    return is_known;
}

bool propagation_done(struct propagation *propagation)
{
    if (!propagation->context.valid) {
        propagation->context = (struct trace_context){0};
        propagation->tracestate_length = 0;
    }
    if (propagation->tracestate_broken)
        propagation->tracestate_length = 0;
    return propagation->context.valid;
}

size_t propagation_write(char *out, size_t room, unsigned format_bits, const struct trace_context *context,
                         const struct propagation_carried *carried)
{
    struct lines lines = {.at = out, .end = out + room};

    for (unsigned i = 0; i < PROPAGATION_FORMAT_COUNT; i++)
        if (format_bits & 1u << i)
            formats[i].write(&lines, context, carried);
    return lines.is_cut ? 0 : (size_t)(lines.at - out);
}
