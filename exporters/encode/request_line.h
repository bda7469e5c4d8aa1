/* SPDX-License-Identifier: Apache-2.0 */
/* A served request as one line of a log, for people and for the tools that read access logs. No byte of the request can
 * end the line or make a field of its own. Used by request_log.c and
 * request_event.c. */
#ifndef SPANSHIM_REQUEST_LINE_H
#define SPANSHIM_REQUEST_LINE_H

struct buffer;
struct span;

enum request_line_format {
    /* [2026-Nov-21 02:53] 127.0.0.1 GET http /api/activities/home? 200 OK */
    REQUEST_LINE_SHORT,
    /* Combined Log Format as nginx writes it; what isn't known is "-". */
    REQUEST_LINE_COMBINED,
    /* One object; what isn't known is left out. */
    REQUEST_LINE_JSON,
};

/* The line, without an LF, behind the content of `buffer`; dated by the request's end, in the program's time zone
 * (JSON: UTC). In the first two forms all bytes are printable ASCII, others are \xHH. 0 or as buffer_append. Context:
 * loop. */
int request_line_append(struct buffer *buffer, const struct span *span, enum request_line_format format);

#endif
