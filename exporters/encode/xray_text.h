/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and ids as X-Ray's documents have them. Used by all that makes them. */
#ifndef SPANSHIM_XRAY_TEXT_H
#define SPANSHIM_XRAY_TEXT_H

#include "preload/slice.h"

#include <jansson.h>
#include <stdint.h>

/* Characters that X-Ray's schema allows. */
enum {
    XRAY_STRING_MAX = 250,      /* of a request's fields, and the user */
    XRAY_ANNOTATION_MAX = 1000, /* of an annotation's value, and of any text here */
};

/* A new string, valid UTF-8, cut to so many characters (at most XRAY_ANNOTATION_MAX). NULL: the text is empty.
 * Context: pure. */
json_t *xray_text(struct slice text, uint32_t max_characters);

/* New strings: the id of a trace ("1-", 8 hex digits, "-", 24), of a span. Context: pure. */
json_t *xray_text_trace_id(const uint8_t trace_id[16]);
json_t *xray_text_id(const uint8_t span_id[8]);

/* What else of a span has an id; it is made of the span's. */
enum xray_part {
    XRAY_PART_CALLER = 1, /* the segment around a call */
    XRAY_PART_EXCEPTION,
};

/* Never that of the span, and the same whenever the span is encoded. Context: pure. */
void xray_derive_id(const uint8_t span_id[8], enum xray_part part, uint8_t id[8]);

#endif
