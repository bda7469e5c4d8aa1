/* SPDX-License-Identifier: Apache-2.0 */
/* Spans -> an OTLP ExportTraceServiceRequest. Bytes only. The semantic conventions for HTTP spans are applied here;
 * what goes beyond them has names that begin with `spanshim.`, see docs/manual/spans.md. */
#ifndef SPANSHIM_OTLP_TRACE_H
#define SPANSHIM_OTLP_TRACE_H

#include <stddef.h>
#include <stdint.h>

struct otlp_encoder;
struct otlp_limits;
struct span;

/* NULL when out of memory. Context: loop. */
struct otlp_encoder *otlp_encoder_new(void);
void otlp_encoder_free(struct otlp_encoder *encoder);

/* Encode a batch. The bytes are the encoder's, until the next batch. 0, -ENOMEM, or -EFBIG when it would exceed
 * OTLP_REQUEST_MAX. Context: loop. */
int otlp_trace_encode(struct otlp_encoder *encoder, const struct span *const *spans, size_t span_count,
                      const struct otlp_limits *limits, const uint8_t **ret_bytes, size_t *ret_length);

#endif
