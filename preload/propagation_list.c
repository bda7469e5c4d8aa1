/* SPDX-License-Identifier: Apache-2.0 */
/* OTEL_PROPAGATORS: names and their order. The agent reads it as well, to say what is wrong with it. */
#include "preload/propagation.h"

static unsigned format_bit(struct slice name)
{
#define PROPAGATOR(NAME, text, extract, write)                                                                         \
    if (slice_is(name, text))                                                                                          \
        return 1u << PROPAGATION_##NAME;
#include "preload/propagators.def"
#undef PROPAGATOR
    return 0;
}

unsigned propagation_parse_formats(const char *list, size_t len, unsigned *ret_unknown)
{
    struct slice rest = {list, len}, name;
    unsigned formats = 0, unknown = 0, shift = PROPAGATION_ORDER_SHIFT;
    bool has_none = false;

    while (slice_next(&rest, ',', &name)) {
        name = slice_trim(name);
        unsigned bit = format_bit(name);
        if (slice_is(name, "none"))
            has_none = true;
        else if (bit == 0 && name.length > 0)
            unknown++;
        if (bit == 0 || (formats & bit))
            continue;
        formats |= bit | ((unsigned)__builtin_ctz(bit) + 1) << shift;
        shift += PROPAGATION_ORDER_BITS;
    }
    *ret_unknown = unknown;
    if (has_none)
        return 0;
    return formats ? formats : PROPAGATION_DEFAULT_FORMATS;
}
