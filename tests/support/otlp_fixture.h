/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of one process, encoded as OTLP's spans and read back. */
#ifndef SPANSHIM_OTLP_FIXTURE_H
#define SPANSHIM_OTLP_FIXTURE_H

#include "exporters/agent/process.h"
#include "exporters/encode/otlp_limits.h"
#include "otlp.pb-c.h"
#include "tests/support/sample_request.h"

#include <stddef.h>
#include <stdint.h>

enum { OTLP_SPANS_MAX = 600 };

/* What a test may change before it encodes. */
extern struct process otlp_process;                       /* of /usr/sbin/nginx */
extern union sample_request otlp_records[OTLP_SPANS_MAX]; /* the first is a server's request that ended well */
extern struct otlp_limits otlp_limits;

/* What the last otlp_encode() made. */
extern Otlp__ExportTraceServiceRequest *otlp_message;

int otlp_set_up(void **state);
int otlp_tear_down(void **state);

/* The process's resource is made anew, with this entry in its environment; nothing is known of its executable.
 * Context: test. */
void otlp_set_resource(const char *entry);

/* Encode the first `count` records as spans of these processes (NULL: all of otlp_process), and read that back.
 * Context: test. */
void otlp_encode(size_t count, const struct process *const *owners);

/* Encode the first record only; valid until the next one. Context: test. */
const Otlp__Span *otlp_encode_one(void);

/* The only value of this name; NULL: there is none. Context: test. */
const Otlp__AnyValue *otlp_find(Otlp__KeyValue **pairs, size_t count, const char *key);

/* Is this the span's attribute? It isn't there: a text of NULL, a number below 0. Context: test. */
void otlp_assert_text(const Otlp__Span *span, const char *key, const char *expected);
void otlp_assert_number(const Otlp__Span *span, const char *key, int64_t expected);
void otlp_assert_seconds(const Otlp__Span *span, const char *key, double expected);

#endif
