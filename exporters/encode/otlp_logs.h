/* SPDX-License-Identifier: Apache-2.0 */
/* Events of logs, and reports of crashes -> an OTLP ExportLogsServiceRequest. Bytes only. What has no name in the
 * conventions has one that begins with `spanshim.`, see docs/manual/logs.md. */
#ifndef SPANSHIM_OTLP_LOGS_H
#define SPANSHIM_OTLP_LOGS_H

#include <stddef.h>
#include <stdint.h>

struct log_event;
struct otlp_limits;
struct otlp_logs;

/* Within these limits, which are borrowed. NULL when out of memory. Context: loop. */
struct otlp_logs *otlp_logs_new(const struct otlp_limits *limits);
/* NULL is accepted. Context: loop. */
void otlp_logs_free(struct otlp_logs *logs);

/* Encode a batch. The bytes are the encoder's, until the next batch. 0, -ENOMEM, or -EFBIG when it would exceed
 * OTLP_REQUEST_MAX. Context: loop. */
int otlp_logs_encode(struct otlp_logs *logs, const struct log_event *const *events, size_t event_count,
                     const uint8_t **ret_bytes, size_t *ret_length);

#endif
