/* SPDX-License-Identifier: Apache-2.0 */
/* What the lines of an HTTP/1.x head say, and what follows from them for the body. Private to http1.c, which cuts the
 * bytes into lines and counts, and to those that begin a head otherwise than by a start line.
 */
#ifndef SPANSHIM_HTTP1_HEAD_H
#define SPANSHIM_HTTP1_HEAD_H

#include "preload/http1.h"
#include "preload/scan.h"

enum {
    HTTP1_LINE_TAIL = 16,  /* kept of the end of a cut line: a request line's version stands there */
    HTTP1_METHOD_MAX = 32, /* the longest method: a longer token begins no request */
};

/* http1.flags */
enum {
    HTTP1_SEEN_CONTENT_LENGTH = 1 << 0, /* the field */
    HTTP1_HAS_LENGTH = 1 << 1,          /* a number in it */
    HTTP1_LENGTH_BAD = 1 << 2,
    HTTP1_SEEN_TRANSFER_ENCODING = 1 << 3,
    HTTP1_SEEN_CHUNKED = 1 << 4,
    HTTP1_CHUNKED_IS_LAST = 1 << 5,
    HTTP1_CODING_BAD = 1 << 6,
    HTTP1_SEEN_CLOSE = 1 << 7,
    HTTP1_SEEN_KEEP_ALIVE = 1 << 8,
    HTTP1_AFTER_COMMA = 1 << 9,  /* the last framing field ended with a comma, or is empty so far */
    HTTP1_LINE_IS_CUT = 1 << 10, /* more of this line has come than the stash holds */
    HTTP1_BLANK_BEGUN = 1 << 11, /* a CR between messages waits for its LF */
    HTTP1_SPOKE_HTTP = 1 << 12,  /* a start line was understood once on this connection; outlives the message */
    HTTP1_SEEN_STATUS = 1 << 13, /* of a CGI program's answer */
};

/* http1.last_field */
enum http1_last_field {
    HTTP1_AFTER_NONE,
    HTTP1_AFTER_OTHER,
    HTTP1_AFTER_LENGTH,
    HTTP1_AFTER_CODING,
    HTTP1_AFTER_CONNECTION
};

/* Does the body's length depend on such a field? Context: pure; signal-safe. */
static inline bool http1_is_framing(enum http1_last_field field)
{
    return field == HTTP1_AFTER_LENGTH || field == HTTP1_AFTER_CODING;
}

/* A line without its end. Cut alike whether it came whole or in pieces: what is reported can't depend on that. */
struct http1_line {
    const char *bytes;
    size_t length;
    const char *tail; /* of a cut line: its last HTTP1_LINE_TAIL bytes, a CR perhaps among them; else NULL */
    bool ends_in_crlf;
};

/* A message begins: its start line is next. Context: pure; signal-safe. */
void http1_begin(struct http1 *parser);

/* How many of the first bytes may stand in a token (RFC 9110 5.6.2), such as a method. Context: pure; signal-safe. */
size_t http1_token_length(const char *bytes, size_t len);

/* The blanks that may stand for the one between the parts of a start line (RFC 9112 3); CR is none here.
 * Context: pure; signal-safe. */
static inline bool http1_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* How many blanks and tabs the bytes begin with. Context: pure; signal-safe. */
static inline size_t http1_blanks(const char *bytes, size_t len)
{
    size_t n = 0;

    while (n < len && (bytes[n] == ' ' || bytes[n] == '\t'))
        n++;
    return n;
}

/* Has the line this byte elsewhere than in its end? Implementations differ in what they make of a NUL and of a CR alone
 * (RFC 9112 2.2, RFC 9110 5.5). Context: pure; signal-safe. */
bool http1_line_has(const struct http1_line *line, char byte);

/* Read a start line. Its parts may be separated by several blanks, tabs too (RFC 9112 3, 4), and a target may have
 * blanks in it, which servers answer by 400. False when it isn't one of HTTP/1. Context: pure; signal-safe. */
bool http1_read_request_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out);
bool http1_read_status_line(struct http1 *parser, const struct http1_line *line, struct http1_out *ret_out);

/* The length of the name of a field line, not empty; 0 when it is no field. An illegal name is the server's to refuse
 * and puts no framing in doubt, but a blank or control byte does. Context: pure; signal-safe. */
__attribute__((always_inline)) static inline size_t http1_name_length(const char *line, size_t length)
{
    const char *stop = scan_name(line, line + length);

    return stop < line + length && *stop == ':' ? (size_t)(stop - line) : 0;
}

/* What follows the colon at this place. Context: pure; signal-safe. */
static inline struct slice http1_field_value(const struct http1_line *line, size_t colon)
{
    return slice_trim((struct slice){line->bytes + colon + 1, line->length - colon - 1});
}

/* The same of a line with a CR alone in it: that is a blank, too (RFC 9112 2.2). Context: pure; signal-safe. */
struct slice http1_field_value_with_cr(const struct http1_line *line, size_t colon);

/* Has any field of the framing a name this long? Context: pure; signal-safe. */
static inline bool http1_may_frame(size_t name_length)
{
    const uint32_t lengths = 1u << (sizeof("connection") - 1) | 1u << (sizeof("content-length") - 1) |
                             1u << (sizeof("transfer-encoding") - 1);

    return name_length < 32 && lengths >> name_length & 1;
}

/* Note what a field says about the framing; a cut one says nothing certain. Context: pure; signal-safe. */
void http1_note_field(struct http1 *parser, struct slice name, struct slice value, bool is_cut);

/* The same for a continuation of the last field, without the blanks around it: it counts as if it stood in the field's
 * own line (RFC 9112 5.2). Context: pure; signal-safe. */
void http1_note_continuation(struct http1 *parser, struct slice value, bool is_cut);

/* The head is complete: set framing, keep_alive, ambiguous (RFC 9112 6.3). False when there is no rule for the body's
 * length. Context: pure; signal-safe. */
bool http1_decide(struct http1 *parser);

/* Is it a response after which the connection is no HTTP any more? Context: pure; signal-safe. */
bool http1_opens_tunnel(const struct http1 *parser);

/* Read 1*HEXDIG, then blanks, then an extension or nothing (RFC 9112 7.1). Context: pure; signal-safe. */
bool http1_read_chunk_size(const struct http1_line *line, uint64_t *ret_size);

#endif
