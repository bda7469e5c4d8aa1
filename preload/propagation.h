/* SPDX-License-Identifier: Apache-2.0 */
/* The trace context that a request brings along: read from its header fields, written for the next hop. The formats are
 * the rows of propagators.def, one file each (propagation_<format>.c).
 *
 * Several formats at once follow OpenTelemetry's composite propagator (specification, context/api-propagators.md): they
 * are asked in the order of OTEL_PROPAGATORS, and one that finds a context replaces what was found before it. So the
 * last one in the list that finds a trace wins. All of them are written.
 */
#ifndef SPANSHIM_PROPAGATION_H
#define SPANSHIM_PROPAGATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/slice.h"

struct carried;

enum {
    PROPAGATION_TRACESTATE_SIZE = 512, /* W3C: carry at least this much */
    PROPAGATION_TRACEPARENT_SIZE = 56, /* version 00, with a NUL */
    PROPAGATION_FLAG_SAMPLED = 1 << 0, /* trace_context.flags: W3C's bits */
    PROPAGATION_FLAG_RANDOM = 1 << 1,
    PROPAGATION_FLAG_XRAY_SAMPLED = 1 << 6, /* no bits of W3C's: X-Ray's own decision; */
    PROPAGATION_FLAG_DEBUG = 1 << 7,        /* B3's: sampled with emphasis */
};

enum propagation_format {
#define PROPAGATOR(NAME, name, extract, write) PROPAGATION_##NAME,
#include "preload/propagators.def"
#undef PROPAGATOR
    PROPAGATION_FORMAT_COUNT
};

/* Formats as one number: a bit for each in the low byte, then their order, four bits each: the format plus one, the
 * first one of OTEL_PROPAGATORS lowest. Bits may be taken out; the order may then name more than there are. */
enum {
    PROPAGATION_ORDER_SHIFT = 8,
    PROPAGATION_ORDER_BITS = 4,
    PROPAGATION_DEFAULT_FORMATS = 1u << PROPAGATION_TRACECONTEXT | 1u << PROPAGATION_BAGGAGE |
                                  (PROPAGATION_TRACECONTEXT + 1u) << PROPAGATION_ORDER_SHIFT |
                                  (PROPAGATION_BAGGAGE + 1u) << (PROPAGATION_ORDER_SHIFT + PROPAGATION_ORDER_BITS),
};

/* What was left out of a tracestate that is too long: W3C wants members of over 128 bytes to go first. */
enum propagation_cut { PROPAGATION_CUT_NOTHING, PROPAGATION_CUT_LONG, PROPAGATION_CUT_END };

struct trace_context {
    uint8_t trace_id[16];
    uint8_t span_id[8]; /* zero, when read: the sender names a trace, but no span of it (X-Ray) */
    uint8_t flags;      /* PROPAGATION_FLAG_* */
    bool valid;         /* false: there is no parent, the ids mean nothing */
    bool decided;       /* the sender says whether the trace is recorded: the sampled flag. It may do so without ids */
    bool xray_decided;  /* it says so in X-Ray's header: the flag of X-Ray */
};

/* What one format found. */
struct propagation_found {
    struct trace_context context;
    uint8_t seen; /* the format's own note of which fields came; 0: none of its */
};

/* What the fields of one head said so far. The context is final after propagation_done. */
struct propagation {
    struct trace_context context;
    unsigned formats; /* those that are looked for */
    bool has_fields;  /* fields were offered: only then `found` and what is said of tracestate mean something */
    bool keeps; /* set by the owner after propagation_init: a server's request, whose baggage and the like is kept */
    bool xray_is_apart; /* likewise: what X-Ray's header says of recording is no decision for others */
    bool xray_asks;     /* the sender wants to be told whether it is recorded */
    struct propagation_found found[PROPAGATION_FORMAT_COUNT];
    uint8_t tracestate_members; /* seen, kept or not */
    bool tracestate_broken;     /* breaks a rule: dropped as a whole */
    uint8_t tracestate_cut;     /* enum propagation_cut */
    uint16_t tracestate_length; /* read by the owner, with the next, after propagation_done */
    char tracestate[PROPAGATION_TRACESTATE_SIZE];
    bool lost;               /* no memory was left to keep some of it */
    struct carried *carried; /* what is kept; NULL: nothing. The owner's to attach or to free, see carried.h */
};

/* What goes along from hop to hop beside the context. Borrowed; an empty slice: there is none. */
struct propagation_carried {
    struct slice tracestate;
    struct slice baggage;
    struct slice xray; /* further pieces of X-Amzn-Trace-Id, as they came: "Lineage=..." */
    bool b3_debug;
};

/* Read OTEL_PROPAGATORS' value ("tracecontext,baggage", "none") into formats. Names that are no format of ours are
 * skipped; *ret_unknown is how many, so that the setting can be complained about. Without any name that is known:
 * PROPAGATION_DEFAULT_FORMATS. Context: start; pure. */
unsigned propagation_parse_formats(const char *list, size_t len, unsigned *ret_unknown);

/* Begin a head. formats: as above, PROPAGATION_DEFAULT_FORMATS if nothing was set. Context: pure; signal-safe. */
void propagation_init(struct propagation *propagation, unsigned formats);

/* Offer a header field, blanks trimmed. True when it is a trace header, whatever its value was worth: of a trace
 * context, that is, and not baggage. The bytes are copied. Context: hook; signal-safe. */
bool propagation_field(struct propagation *propagation, const char *name, size_t name_len, const char *value,
                       size_t value_len);

/* The head is complete. Returns context.valid; without a valid context the tracestate is empty.
 * Context: pure; signal-safe. */
bool propagation_done(struct propagation *propagation);

/* Contexts of other traces than the adopted one that the head's other formats name, each once: for links. Returns how
 * many. After propagation_done has found one. Context: pure; signal-safe. */
size_t propagation_others(const struct propagation *propagation,
                          const struct trace_context *ret_others[PROPAGATION_FORMAT_COUNT]);

/* Has the head a field of this format, good or bad? Context: pure; signal-safe. */
static inline bool propagation_has(const struct propagation *propagation, enum propagation_format format)
{
    return propagation->has_fields && propagation->found[format].seen != 0;
}

/* Is an id none? Context: pure; signal-safe. */
bool propagation_is_zero(const uint8_t *bytes, size_t count);

/* Read one traceparent value (W3C trace-context level 2; blanks around it are ignored). Returns ret->valid.
 * Context: pure; signal-safe. */
bool propagation_read_traceparent(const char *value, size_t len, struct trace_context *ret);

/* Write version 00 with span_id as parent-id; flags other than sampled and random are sent as 0. NUL-terminated.
 * Context: pure; signal-safe. */
void propagation_write_traceparent(char buf[PROPAGATION_TRACEPARENT_SIZE], const struct trace_context *context);

/* Write the header lines for the next hop, "name: value" and CR LF each: those of every format in `formats`, one format
 * after the other. context->span_id is the span that makes the request; context->flags say whether it is recorded.
 * Their length may be 0: baggage alone, of which there is none. False: they don't fit; of baggage as many members are
 * written as do, but one at least where it is all. Context: pure; signal-safe. */
bool propagation_write(char *out, size_t room, unsigned formats, const struct trace_context *context,
                       const struct propagation_carried *carried, size_t *ret_length);

/* Lines of a response, bits. */
enum propagation_response {
    PROPAGATION_RESPONSE_TRACEPARENT = 1 << 0, /* Server-Timing: traceparent;desc="..." */
    PROPAGATION_RESPONSE_CORS = 1 << 1,        /* scripts of other origins may read it */
    PROPAGATION_RESPONSE_XRAY = 1 << 2,        /* X-Amzn-Trace-Id: Root=... */
    PROPAGATION_RESPONSE_SAMPLED = 1 << 3,     /* which also says whether the request is recorded: that was asked */
};

/* Which of them are needless because the response has this field: the program's own. Context: pure; signal-safe. */
unsigned propagation_response_lines(struct slice name, struct slice value);

/* Write these lines, each with CR LF, for the server's span in `context`. Returns their length, 0 when there are none
 * or they don't fit. Context: pure; signal-safe. */
size_t propagation_write_response(char *out, size_t room, unsigned lines, const struct trace_context *context);

#endif
