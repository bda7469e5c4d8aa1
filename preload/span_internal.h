/* SPDX-License-Identifier: Apache-2.0 */
/* What span.c (a request's life) shares with span_head.c (what its head says), span_context.c (whose trace it is in),
 * span_sampling.c (whether it is recorded), span_xray.c (what is only for X-Ray) and span_text.c (the texts in its
 * slot). Context of all: hook; signal-safe. */
#ifndef SPANSHIM_SPAN_INTERNAL_H
#define SPANSHIM_SPAN_INTERNAL_H

#include "preload/span.h"

/* Room for one text of at most `want` bytes; what was cut is flagged. NULL when not even its header fits. */
uint8_t *span_text_reserve(struct wire_request *request, size_t want, size_t *ret_room);

/* Finish the text written at span_text_reserve's place. */
void span_text_commit(struct wire_request *request, enum wire_text id, size_t length);

/* Add a text, cut to `limit`. */
void span_text_add(struct wire_request *request, enum wire_text id, struct slice text, size_t limit);

/* The text of this id that stands in the slot; empty when there is none. */
struct slice span_text_of(const struct wire_request *request, enum wire_text id);

/* Texts of this id mean nothing any more. */
void span_text_void(struct wire_request *request, enum wire_text id);

/* The head is complete: the server's and the client's name, as its fields and proxies' give them. */
void span_names_settle(struct wire_request *request, struct span_head *head);

/* Its print as echo.h has it: 0 when none is made. */
uint64_t span_print(const struct span_head *head);

/* Of a server's request: what X-Ray wants to know of Host and X-Forwarded-For. */
void span_xray_field(struct wire_request *request, struct slice name, struct slice value);

/* X-Ray's own decision: the caller's, if it has one, else that of the rules. */
bool span_xray_decide(struct wire_request *request, const struct trace_context *caller);

/* Its ids are known: is it recorded? `caller`: its parent's context, or what else the head says of recording. */
void span_decide(struct wire_request *request, const struct span_head *head, const struct trace_context *caller);

/* The head is complete: the ids, the parent, and whether it is recorded. */
void span_context_settle(struct wire_slot *slot, struct span_head *head);

#endif
