/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/sampler.h"

#include <stddef.h>
#include <string.h>

#include "preload/propagation.h"
#include "preload/slice.h"

/* A number in 0..1: digits, a point, an exponent; not strtod, which heeds the locale of the program. */
static bool read_ratio(struct slice text, double *ret_ratio)
{
    double value = 0, scale = 1;
    size_t i = 0, digits = 0;
    bool after_point = false;

    for (; i < text.length && digits < 64; i++) {
        if (text.bytes[i] == '.' && !after_point) {
            after_point = true;
            continue;
        }
        if (text.bytes[i] < '0' || text.bytes[i] > '9')
            break;
        digits++;
        if (after_point)
            scale /= 10;
        value = after_point ? value + scale * (text.bytes[i] - '0') : value * 10 + (text.bytes[i] - '0');
    }
    if (digits == 0)
        return false;
    if (i < text.length && slice_lower(text.bytes[i]) == 'e') {
        unsigned exponent = 0;
        if (text.length - i < 3 || text.length - i > 4 || text.bytes[i + 1] != '-')
            return false;
        for (i += 2; i < text.length && text.bytes[i] >= '0' && text.bytes[i] <= '9'; i++)
            exponent = exponent * 10 + (unsigned)(text.bytes[i] - '0');
        while (exponent-- > 0)
            value /= 10;
    }
    *ret_ratio = value;
    return i == text.length && value <= 1;
}

uint64_t sampler_threshold(double ratio)
{
    uint64_t kept = (uint64_t)(ratio * (double)SAMPLER_THRESHOLD_NONE + 0.5);
    if (kept == 0 && ratio > 0)
        kept = 1;
    return SAMPLER_THRESHOLD_NONE - kept;
}

enum sampler_problem sampler_parse(const char *name, const char *arg, struct sampler *ret_sampler)
{
    static const char parent_based[] = "parentbased_";
    struct slice text = slice_trim((struct slice){name ? name : "", name ? strlen(name) : 0});
    struct slice number = slice_trim((struct slice){arg ? arg : "", arg ? strlen(arg) : 0});
    struct sampler sampler = {0};
    size_t prefix = sizeof(parent_based) - 1;

    *ret_sampler = SAMPLER_DEFAULT;
    if (text.length == 0)
        return SAMPLER_OK;
    if (text.length > prefix && slice_is((struct slice){text.bytes, prefix}, parent_based)) {
        sampler.parent_based = true;
        text = (struct slice){text.bytes + prefix, text.length - prefix};
    }
    if (slice_is(text, "always_off")) {
        sampler.threshold = SAMPLER_THRESHOLD_NONE;
    } else if (slice_is(text, "traceidratio")) {
        double ratio = 1;
        bool is_bad = number.length > 0 && !read_ratio(number, &ratio);
        sampler.threshold = sampler_threshold(is_bad ? 1 : ratio);
        *ret_sampler = sampler;
        return is_bad ? SAMPLER_BAD_ARG : SAMPLER_OK;
    } else if (!slice_is(text, "always_on")) {
        return SAMPLER_BAD_NAME;
    }
    *ret_sampler = sampler;
    return SAMPLER_OK;
}

bool sampler_keeps(uint64_t threshold, const uint8_t trace_id[16])
{
    uint64_t randomness = 0;

    if (threshold == 0)
        return true;
    for (size_t i = 9; i < 16; i++)
        randomness = randomness << 8 | trace_id[i];
    return randomness >= threshold;
}

bool sampler_decide(const struct sampler *sampler, const struct trace_context *parent, const uint8_t trace_id[16])
{
    if (sampler->parent_based && parent && parent->decided)
        return parent->flags & PROPAGATION_FLAG_SAMPLED;
    return sampler_keeps(sampler->threshold, trace_id);
}
