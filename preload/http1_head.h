/* SPDX-License-Identifier: Apache-2.0 */
/* What the lines of an HTTP/1.x head say, and what follows from them for the body. Private to http1.c, which cuts the
 * bytes into lines and counts.
 */
#ifndef SPANSHIM_HTTP1_HEAD_H
#define SPANSHIM_HTTP1_HEAD_H

#include "preload/http1.h"
#include "preload/scan.h"

enum { HTTP1_LINE_TAIL = 16 }; /* kept of the end of a cut line: a request line's version stands there */

/* http1.flags */
enum {
    HTTP1_SEEN_CONTENT_LENGTH = 1 << 0,
    HTTP1_SEEN_LENGTH_TWICE = 1 << 1,
    HTTP1_SEEN_TRANSFER_ENCODING = 1 << 2,
    HTTP1_SEEN_CHUNKED = 1 << 3,
    HTTP1_CHUNKED_IS_LAST = 1 << 4,
    HTTP1_SEEN_CLOSE = 1 << 5,
    HTTP1_SEEN_KEEP_ALIVE = 1 << 6,
    HTTP1_FOLD_ALLOWED = 1 << 7, /* the last line was a field whose continuation can't change the framing */
    HTTP1_LINE_IS_CUT = 1 << 8,  /* more of this line has come than the stash holds */
    HTTP1_BLANK_BEGUN = 1 << 9,  /* a CR between messages waits for its LF */
    HTTP1_SPOKE_HTTP = 1 << 10,  /* a start line was understood once on this connection; outlives the message */
};

/* A line without its end. Cut alike whether it came whole or in pieces: what is reported can't depend on that. */
struct http1_line {
    const char *bytes;
    size_t length;
    const char *tail; /* of a cut line: its last HTTP1_LINE_TAIL bytes, a CR perhaps among them; else NULL */
};

/* How many of the first bytes may stand in a token (RFC 9110 5.6.2), such as a method. Context: pure; signal-safe. */
size_t http1_token_length(const char *bytes, size_t len);

/* Has the line no NUL, and no CR but at its end? Implementations differ in what they make of these (RFC 9112 2.2, RFC
 * 9110 5.5). Context: pure; signal-safe. */
bool http1_line_is_clean(const struct http1_line *line);

/* Read a start line. False when it isn't one of HTTP/1. Context: pure; signal-safe. */
bool http1_read_request_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out);
bool http1_read_status_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out);

/* The length of the name of a field line, not empty; 0 when it is no field. An illegal name is the server's to refuse
 * and puts no framing in doubt, but a blank or control byte does. Context: pure; signal-safe. */
static inline size_t http1_name_length(const char *line, size_t length)
{
    const char *stop = scan_name(line, line + length);

    return stop < line + length && *stop == ':' ? (size_t)(stop - line) : 0;
}

/* Its value. Context: pure; signal-safe. */
static inline struct slice http1_field_value(const struct http1_line *line, size_t name_length)
{
    return slice_trim((struct slice){line->bytes + name_length + 1, line->length - name_length - 1});
}

/* Has any field of the framing a name this long? Context: pure; signal-safe. */
static inline bool http1_may_frame(size_t name_length)
{
    const uint32_t lengths = 1u << (sizeof("connection") - 1) | 1u << (sizeof("content-length") - 1) |
                             1u << (sizeof("transfer-encoding") - 1);

    return name_length < 32 && lengths >> name_length & 1;
}

/* Note what a field says about the framing: then it may not be continued. False when that is in doubt.
 * Context: pure; signal-safe. */
bool http1_note_field(struct http1 *parser, const struct http1_line *line, size_t name_length);

/* The head is complete: set framing, keep_alive, ambiguous (RFC 9112 6.3). False when the body's length can't be told
 * for certain. Context: pure; signal-safe. */
bool http1_decide(struct http1 *parser);

/* Is it a response after which the connection is no HTTP any more? Context: pure; signal-safe. */
bool http1_opens_tunnel(const struct http1 *parser);

/* Read 1*HEXDIG, then blanks, then an extension or nothing (RFC 9112 7.1). Context: pure; signal-safe. */
bool http1_read_chunk_size(const struct http1_line *line, uint64_t *ret_size);

#endif
