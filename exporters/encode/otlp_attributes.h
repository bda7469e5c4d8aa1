/* SPDX-License-Identifier: Apache-2.0 */
/* A span's attributes by the HTTP semantic conventions, as protobuf-c messages in reused storage. Called by
 * otlp_trace.c only. */
#ifndef SPANSHIM_OTLP_ATTRIBUTES_H
#define SPANSHIM_OTLP_ATTRIBUTES_H

#include "exporters/agent/span.h"
#include "exporters/encode/utf8.h"
#include "otlp.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OTLP_ATTRIBUTES_MAX = 24 + 2 * SPAN_HEADERS_MAX,
    /* All texts of a record and a route, repaired, one of them used twice, with their NULs and the prefixes of headers'
       keys. */
    OTLP_TEXT_MAX = (2 * WIRE_RECORD_MAX + ROUTES_LENGTH_MAX) * UTF8_REPAIRED_MAX + OTLP_ATTRIBUTES_MAX * 32 + 256,
};

struct otlp_attributes {
    Otlp__KeyValue *list[OTLP_ATTRIBUTES_MAX];
    size_t count;
    uint32_t dropped_count;
    const char *trace_state; /* "": none */
    bool is_error;
    size_t packed_max; /* the attributes and the trace state take no more bytes than this */
    /* Private. */
    uint32_t max_count;
    uint32_t max_length;
    size_t text_length;
    Otlp__KeyValue pairs[OTLP_ATTRIBUTES_MAX];
    Otlp__AnyValue values[OTLP_ATTRIBUTES_MAX];
    Otlp__ArrayValue arrays[OTLP_ATTRIBUTES_MAX];
    Otlp__AnyValue items[2 * SPAN_HEADERS_MAX];
    Otlp__AnyValue *item_list[2 * SPAN_HEADERS_MAX];
    size_t item_count;
    char text[OTLP_TEXT_MAX];
};

/* Once, before the first fill. Context: loop. */
void otlp_attributes_init(struct otlp_attributes *attributes);

/* Replace the content by this span's. Borrows from the span. Context: loop. */
void otlp_attributes_fill(struct otlp_attributes *attributes, const struct span *span, uint32_t max_count,
                          uint32_t max_length);

#endif
