/* SPDX-License-Identifier: Apache-2.0 */
/* Spans -> an OTLP ExportTraceServiceRequest. Bytes only. The semantic conventions for HTTP server spans are applied
 * here. */
#ifndef SPANSHIM_OTLP_TRACE_H
#define SPANSHIM_OTLP_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct span;

/* The output, kept by the caller and reused from batch to batch. All zero is empty. */
struct otlp_buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

/* 0 attribute_count or UINT32_MAX: as the settings say it. */
struct otlp_limits {
    uint32_t attribute_count;
    uint32_t attribute_length; /* characters of a text; UINT32_MAX: no limit */
};

enum { OTLP_REQUEST_MAX = 64 << 20 };

/* Encode a batch into `buffer` (emptied first). 0, -ENOMEM, or -EFBIG when it would exceed OTLP_REQUEST_MAX.
 * Context: loop. */
int otlp_trace_encode(const struct span *const *spans, size_t span_count, const struct otlp_limits *limits,
                      struct otlp_buffer *buffer);

/* Context: loop. */
void otlp_buffer_deinit(struct otlp_buffer *buffer);

#endif
