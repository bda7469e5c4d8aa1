/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a span or a log record is exported; what is more is left out, and counted where OTLP has a count for it.
 * A resource's attributes have no limits. Made by settle_otlp.c. */
#ifndef SPANSHIM_OTLP_LIMITS_H
#define SPANSHIM_OTLP_LIMITS_H

#include <stdint.h>

struct otlp_limits {
    uint32_t attribute_count;         /* of a span, or of a log record */
    uint32_t attribute_length;        /* characters of an attribute's text */
    uint32_t link_count, event_count; /* of a span */
    uint32_t event_attribute_count;   /* of such an event */
};

/* The text, or as much of it as there may be: *ret_cut then, to be freed, else NULL. "" where memory for it is lacking.
 * Context: loop. */
const char *otlp_limits_cut(const struct otlp_limits *limits, const char *text, char **ret_cut);

#endif
