/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/propagation_internal.h"

#include <emmintrin.h>
#include <string.h>

/* What formats share. */

/* Of a hex digit: its value plus one, lower case only, as W3C wants it; 0 for anything else. */
static const uint8_t hex_digits[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

bool propagation_read_hex(const char *text, uint8_t *ret_bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned high = hex_digits[(uint8_t)text[2 * i]], low = hex_digits[(uint8_t)text[2 * i + 1]];
        if (high == 0 || low == 0)
            return false;
        ret_bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

inline bool propagation_is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

bool propagation_read_id(struct slice text, uint8_t *ret_id, size_t count)
{
    return text.length == 2 * count && propagation_read_hex(text.bytes, ret_id, count) &&
           !propagation_is_zero(ret_id, count);
}

bool propagation_is_text(struct slice text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] < 0x20 || text.bytes[i] > 0x7e)
            return false;
    return true;
}

/* 8 bytes at once. */
static void put_hex_word(char *out, const uint8_t *bytes)
{
    const __m128i half = _mm_set1_epi8(15);
    __m128i word = _mm_loadl_epi64((const __m128i *)(const void *)bytes);
    __m128i high = _mm_and_si128(_mm_srli_epi16(word, 4), half);
    __m128i digits = _mm_unpacklo_epi8(high, _mm_and_si128(word, half));
    __m128i letters = _mm_cmpgt_epi8(digits, _mm_set1_epi8(9));

    digits = _mm_add_epi8(digits, _mm_set1_epi8('0'));
    digits = _mm_add_epi8(digits, _mm_and_si128(letters, _mm_set1_epi8('a' - '0' - 10)));
    _mm_storeu_si128((__m128i *)(void *)out, digits);
}

inline char *propagation_hex(char *out, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (; count >= 8; count -= 8, bytes += 8, out += 16)
        put_hex_word(out, bytes);
    for (; count > 0; count--, bytes++) {
        *out++ = digits[*bytes >> 4];
        *out++ = digits[*bytes & 15];
    }
    return out;
}

void propagation_put(struct propagation_lines *lines, struct slice text)
{
    if (lines->is_cut || text.length > (size_t)(lines->end - lines->at)) {
        lines->is_cut = true;
        return;
    }
    slice_copy(lines->at, text.bytes, text.length);
    lines->at += text.length;
}

void propagation_put_text(struct propagation_lines *lines, const char *text)
{
    propagation_put(lines, (struct slice){text, strlen(text)});
}

void propagation_put_hex(struct propagation_lines *lines, const uint8_t *bytes, size_t count)
{
    if (lines->is_cut || 2 * count > (size_t)(lines->end - lines->at)) {
        lines->is_cut = true;
        return;
    }
    lines->at = propagation_hex(lines->at, bytes, count);
}

/* A head is read. */

enum { FLAGS_DECIDED = PROPAGATION_FLAG_SAMPLED | PROPAGATION_FLAG_DEBUG };

/* Most heads have no such fields: what is only of use to those that have waits for the first one. */
__attribute__((noinline)) static void begin(struct propagation *propagation)
{
    for (unsigned i = 0; i < PROPAGATION_FORMAT_COUNT; i++)
        propagation->found[i] = (struct propagation_found){0};
    propagation->xray_asks = propagation->lost = false;
    propagation->tracestate_members = 0;
    propagation->tracestate_length = 0;
    propagation->tracestate_broken = false;
    propagation->tracestate_cut = PROPAGATION_CUT_NOTHING;
    propagation->has_fields = true;
}

void propagation_init(struct propagation *propagation, unsigned formats)
{
    propagation->formats = formats;
    propagation->has_fields = propagation->keeps = propagation->xray_is_apart = false;
    propagation->carried = NULL;
}

bool propagation_field(struct propagation *propagation, const char *name, size_t name_len, const char *value,
                       size_t value_len)
{
    struct slice field = {name, name_len}, text = {value, value_len};
    bool is_known = false;

    if (!propagation->has_fields)
        begin(propagation);
#define PROPAGATOR(NAME, name, extract, write)                                                                         \
    if ((propagation->formats & 1u << PROPAGATION_##NAME) &&                                                           \
        extract(propagation, &propagation->found[PROPAGATION_##NAME], field, text))                                    \
        is_known = true;
#include "preload/propagators.def"
#undef PROPAGATOR
    return is_known;
}

/* A trace counts for more than a decision that came without one. */
static bool is_better(const struct trace_context *found, const struct trace_context *adopted)
{
    return found->valid || (found->decided && !adopted->valid);
}

/* What the formats but for `except` say all together; returns whose context it is, PROPAGATION_FORMAT_COUNT for
 * none. */
__attribute__((always_inline)) static inline unsigned adopt(const struct propagation *propagation, unsigned except,
                                                            struct trace_context *context)
{
    unsigned adopted = PROPAGATION_FORMAT_COUNT;

    for (unsigned order = propagation->formats >> PROPAGATION_ORDER_SHIFT; order != 0;
         order >>= PROPAGATION_ORDER_BITS) {
        unsigned format = (order & ((1u << PROPAGATION_ORDER_BITS) - 1)) - 1;

        if (format == except || !is_better(&propagation->found[format].context, context))
            continue;
        *context = propagation->found[format].context;
        adopted = format;
    }
    return adopted;
}

/* Whatever trace is adopted, X-Ray's decision is the one in X-Ray's header; and it may be X-Ray's alone. */
__attribute__((cold, noinline)) static void settle_xray(const struct propagation *propagation,
                                                        struct trace_context *context)
{
    const struct trace_context *xray = &propagation->found[PROPAGATION_XRAY].context;
    struct trace_context others = {0};

    if (propagation->xray_is_apart) {
        (void)adopt(propagation, PROPAGATION_XRAY, &others);
        context->decided = others.decided;
        context->flags = (uint8_t)((context->flags & PROPAGATION_FLAG_RANDOM) | (others.flags & FLAGS_DECIDED));
    }
    context->xray_decided = xray->decided;
    context->flags &= (uint8_t)~PROPAGATION_FLAG_XRAY_SAMPLED;
    if (xray->flags & PROPAGATION_FLAG_SAMPLED)
        context->flags |= PROPAGATION_FLAG_XRAY_SAMPLED;
}

bool propagation_done(struct propagation *propagation)
{
    struct trace_context *context = &propagation->context;
    unsigned adopted;

    context->flags = 0;
    context->valid = context->decided = context->xray_decided = false;
    if (!propagation->has_fields) {
        propagation->tracestate_length = 0;
        return false;
    }
    adopted = adopt(propagation, PROPAGATION_FORMAT_COUNT, context);
    if (propagation->found[PROPAGATION_XRAY].seen)
        settle_xray(propagation, context);
    if (!context->valid) {
        memset(context->trace_id, 0, sizeof(context->trace_id));
        memset(context->span_id, 0, sizeof(context->span_id));
    }
    if (adopted != PROPAGATION_TRACECONTEXT || propagation->tracestate_broken)
        propagation->tracestate_length = 0;
    return context->valid;
}

static bool names_trace(const struct trace_context *context, const struct trace_context *other)
{
    return memcmp(context->trace_id, other->trace_id, sizeof(context->trace_id)) == 0;
}

size_t propagation_others(const struct propagation *propagation,
                          const struct trace_context *ret_others[PROPAGATION_FORMAT_COUNT])
{
    size_t count = 0;

    for (unsigned format = 0; format < PROPAGATION_FORMAT_COUNT; format++) {
        const struct trace_context *context = &propagation->found[format].context;
        bool is_known = !context->valid || names_trace(context, &propagation->context) ||
                        propagation_is_zero(context->span_id, sizeof(context->span_id));

        for (size_t i = 0; i < count && !is_known; i++)
            is_known = names_trace(context, ret_others[i]);
        if (!is_known)
            ret_others[count++] = context;
    }
    return count;
}

/* Lines are written. */

bool propagation_write(char *out, size_t room, unsigned formats, const struct trace_context *context,
                       const struct propagation_carried *carried, size_t *ret_length)
{
    struct propagation_lines lines = {.at = out, .end = out + room};
    bool has_lines = formats & (1u << PROPAGATION_BAGGAGE) && carried->baggage.length > 0;

#define PROPAGATOR(NAME, name, extract, write)                                                                         \
    if (formats & 1u << PROPAGATION_##NAME)                                                                            \
        write(&lines, context, carried);
#include "preload/propagators.def"
#undef PROPAGATOR
    if (lines.is_cut || (has_lines && lines.at == out))
        return false;
    *ret_length = (size_t)(lines.at - out);
    return true;
}

/* Server-Timing: a list of metrics, "name;desc=...;dur=...". */
static bool has_traceparent_metric(struct slice metrics)
{
    struct slice metric, name;

    while (slice_next(&metrics, ',', &metric))
        if (slice_next(&metric, ';', &name) && slice_is(slice_trim(name), "traceparent"))
            return true;
    return false;
}

unsigned propagation_response_lines(struct slice name, struct slice value)
{
    if (slice_is(name, "server-timing") && has_traceparent_metric(value))
        return PROPAGATION_RESPONSE_TRACEPARENT | PROPAGATION_RESPONSE_CORS;
    return slice_is(name, "x-amzn-trace-id") ? PROPAGATION_RESPONSE_XRAY : 0;
}

size_t propagation_write_response(char *out, size_t room, unsigned which, const struct trace_context *context)
{
    struct propagation_lines lines = {.at = out, .end = out + room};
    char traceparent[PROPAGATION_TRACEPARENT_SIZE];

    if (which & PROPAGATION_RESPONSE_TRACEPARENT) {
        propagation_write_traceparent(traceparent, context);
        propagation_put_text(&lines, "Server-Timing: traceparent;desc=\"");
        propagation_put_text(&lines, traceparent);
        propagation_put_text(&lines, "\"\r\n");
    }
    if (which & PROPAGATION_RESPONSE_CORS)
        propagation_put_text(&lines, "Access-Control-Expose-Headers: Server-Timing\r\n");
    if (which & PROPAGATION_RESPONSE_XRAY)
        propagation_write_xray_response(&lines, context, which & PROPAGATION_RESPONSE_SAMPLED);
    return lines.is_cut ? 0 : (size_t)(lines.at - out);
}
