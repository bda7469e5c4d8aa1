/* SPDX-License-Identifier: Apache-2.0 */
/* The trace context a request brings along: read from its header fields, written for the next hop.
 * conn.c offers every field of a request head. The formats are the rows of propagators.def.
 */
#ifndef SPANSHIM_PROPAGATION_H
#define SPANSHIM_PROPAGATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/slice.h"

enum {
    PROPAGATION_TRACESTATE_SIZE = 512, /* W3C: carry at least this much */
    PROPAGATION_TRACEPARENT_SIZE = 56, /* version 00, with a NUL */
    PROPAGATION_FLAG_SAMPLED = 1 << 0, /* trace_context.flags: W3C's bits */
    PROPAGATION_FLAG_RANDOM = 1 << 1,
};

enum propagation_format {
#define PROPAGATOR(NAME, name, extract, write) PROPAGATION_##NAME,
#include "preload/propagators.def"
#undef PROPAGATOR
    PROPAGATION_FORMAT_COUNT
};

enum { PROPAGATION_DEFAULT_FORMATS = 1u << PROPAGATION_TRACECONTEXT };

/* What was left out of a tracestate that is too long: W3C wants members of over 128 bytes to go first. */
enum propagation_cut { PROPAGATION_CUT_NOTHING, PROPAGATION_CUT_LONG, PROPAGATION_CUT_END };

struct trace_context {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags; /* PROPAGATION_FLAG_* */
    bool valid;    /* false: there is no parent, the rest means nothing */
};

/* What the fields of one head said so far. The context is final after propagation_done. */
struct propagation {
    struct trace_context context;
    uint8_t formats;            /* bits of enum propagation_format that are looked for */
    uint8_t traceparent_count;  /* more than one is none */
    uint8_t tracestate_members; /* seen, kept or not */
    bool tracestate_broken;     /* breaks a rule: dropped as a whole */
    uint8_t tracestate_cut;     /* enum propagation_cut */
    uint16_t tracestate_length; /* read by the owner, with the next, after propagation_done */
    char tracestate[PROPAGATION_TRACESTATE_SIZE];
};

/* What goes along from hop to hop beside the context. Borrowed; an empty slice: there is none. */
struct propagation_carried {
    struct slice tracestate;
};

/* Read OTEL_PROPAGATORS' value ("tracecontext,baggage", "none") into format bits. Names that are no format of ours are
 * skipped; *ret_unknown is how many, so that the setting can be complained about. Without any name that is known:
 * PROPAGATION_DEFAULT_FORMATS. Context: start; pure. */
unsigned propagation_parse_formats(const char *list, size_t len, unsigned *ret_unknown);

/* Begin a head. formats: bits as above, PROPAGATION_DEFAULT_FORMATS if nothing was set. Context: pure; signal-safe. */
void propagation_init(struct propagation *propagation, unsigned formats);

/* Offer a header field, blanks trimmed. True when it belongs to one of the formats, whatever its value was worth.
 * The bytes are copied. Context: pure; signal-safe. */
bool propagation_field(struct propagation *propagation, const char *name, size_t name_len, const char *value,
                       size_t value_len);

/* The head is complete. Returns context.valid; without a valid context the tracestate is empty.
 * Context: pure; signal-safe. */
bool propagation_done(struct propagation *propagation);

/* Read one traceparent value (W3C trace-context level 2; blanks around it are ignored). Returns ret->valid.
 * Context: pure; signal-safe. */
bool propagation_read_traceparent(const char *value, size_t len, struct trace_context *ret);

/* Write version 00 with span_id as parent-id; flags other than sampled and random are sent as 0. NUL-terminated.
 * Context: pure; signal-safe. */
void propagation_write_traceparent(char buf[PROPAGATION_TRACEPARENT_SIZE], const struct trace_context *context);

/* Write the header lines for the next hop, "name: value" and CR LF each: those of every format in `formats`, one format
 * after the other. context->span_id is the span that makes the request; context->flags say whether it is recorded.
 * Returns their length, 0 when there are none or they don't fit: never a part of them. Context: pure; signal-safe. */
size_t propagation_write(char *out, size_t room, unsigned formats, const struct trace_context *context,
                         const struct propagation_carried *carried);

#endif
