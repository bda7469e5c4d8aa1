/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.x, one direction of one connection, as a pure push parser: no I/O, no allocation, no copies of bodies.
 * exchange_internal.h feeds it the bytes a hook saw; tests and the fuzzer feed it anything. Source of the rules: RFC
 * 9110, RFC 9112.
 *
 * What the RFC lets a recipient accept is accepted, for the program behind may accept it: line ends without CR, blank
 * lines between messages, odd blanks in start lines, continued fields. What it calls invalid is HTTP1_BAD.
 *
 * The parser looks at heads line by line. A line that lies whole in the caller's bytes is handed out in place; one that
 * is cut is collected in the caller's `stash` (the caller lends it; see http1_feed). Bodies are skipped by count.
 */
#ifndef SPANSHIM_HTTP1_H
#define SPANSHIM_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/slice.h"

enum { HTTP1_STASH_SIZE = 8192 }; /* the longest line reported whole; a longer one is cut and flagged */

enum http1_role { HTTP1_REQUESTS, HTTP1_RESPONSES };

enum http1_state {
    HTTP1_AT_START, /* before a message; blank lines are skipped */
    HTTP1_IN_START_LINE,
    HTTP1_IN_FIELDS,
    HTTP1_IN_BODY, /* `remaining` bytes to go */
    HTTP1_IN_CHUNK_SIZE,
    HTTP1_IN_CHUNK_DATA, /* `remaining` bytes to go */
    HTTP1_IN_CHUNK_END,  /* the line end after a chunk's data */
    HTTP1_IN_TRAILERS,
    HTTP1_UNTIL_CLOSE, /* a response body that ends with the connection */
    HTTP1_TUNNEL,      /* after 101 or a successful CONNECT: not HTTP any more */
    HTTP1_FAILED,      /* not HTTP, or in doubt */
};

/* How the message's body is framed (RFC 9112 6.3). */
enum http1_framing { HTTP1_NO_BODY, HTTP1_COUNTED, HTTP1_CHUNKED, HTTP1_CLOSE_DELIMITED };

/* All zero but for `role` is a valid parser at the start of a connection. Private but for the marked ones. */
struct http1 {
    uint8_t role;          /* enum http1_role: set by the owner */
    uint8_t state;         /* enum http1_state: read by the owner; not AT_START: a message has begun */
    uint8_t framing;       /* enum http1_framing of the message whose head was last completed: read by the owner */
    uint8_t version_minor; /* 0 or 1 */
    uint16_t status;       /* responses */
    uint16_t flags;        /* private: which framing fields were seen, and what was odd about them */
    uint8_t last_field;    /* private: what a continuation would belong to */
    bool answers_head;     /* set by the owner before a response's HEAD_END: the request was HEAD */
    bool answers_connect;  /* likewise: the request was CONNECT */
    bool keep_alive;       /* after HEAD_END: the connection may carry another message after this one */
    bool is_cgi;           /* set by the owner, of responses: no field frames the body, which goes on to the end */
    bool ambiguous;        /* after HEAD_END: others may read the framing in another way; RFC 9112's rule was applied */
    /* First letters of the names whose fields the owner doesn't want reported, a bit (letter & 31) each: set by the
     * owner. They are checked and, if they are of the framing, read all the same. */
    uint32_t unreported;
    uint32_t stash_length; /* bytes in the stash: non-zero means the owner must keep it for this parser */
    uint64_t remaining;    /* of the body or chunk */
    uint64_t body_length;  /* body bytes counted so far in this message, chunk framing and trailers not included */
    uint64_t content_length;
};

enum http1_event {
    HTTP1_NEED_MORE,   /* all bytes used; nothing to report */
    HTTP1_NEED_STASH,  /* the next line is cut: feed the rest again, and lend a stash */
    HTTP1_START_LINE,  /* out: a, b, c = method, target, version  or  version, status, reason */
    HTTP1_FIELD,       /* out: a, b = name, value without blanks around it; a continuation (obs-fold): empty name */
    HTTP1_HEAD_END,    /* the blank line: framing, keep_alive, status are set */
    HTTP1_MESSAGE_END, /* the message is complete (trailers aren't reported); the next call starts the next one. After
                        * 1xx the next one answers the same request; after 101 or a CONNECT's 2xx there is none */
    HTTP1_NOT_MINE,    /* the first bytes can't be HTTP/1 of this role; state is FAILED */
    HTTP1_BAD,         /* it was HTTP and then left the framing in doubt; state is FAILED */
};

struct http1_out {
    struct slice a, b, c; /* borrowed: valid until the next http1_feed, or until the fed bytes or the stash change */
    bool truncated;       /* the line was longer than the stash: a target, reason or value is cut */
};

/* Take bytes. Returns how many were used (0 .. len) and the event they led to; call again with the rest, also when
 * there is no rest, until the event is HTTP1_NEED_MORE. An event may come with 0 bytes used (MESSAGE_END of a message
 * without body). A tunnel or a failed parser uses all bytes and reports nothing more.
 *
 * stash: HTTP1_STASH_SIZE bytes; its content is the parser's while stash_length is not 0. NULL when stash_length is 0:
 * it is asked for by HTTP1_NEED_STASH when a line comes in pieces.
 *
 * The events and their texts don't depend on how the bytes were cut. Context: pure; signal-safe. */
size_t http1_feed(struct http1 *parser, const char *bytes, size_t len, char *stash, enum http1_event *ret_event,
                  struct http1_out *ret_out);

/* Count body bytes that nobody saw (sendfile, splice). Returns 0 and the event (NEED_MORE or MESSAGE_END), or -1 with
 * the parser FAILED when it isn't in a body that has room for them. Context: pure; signal-safe. */
int http1_skip(struct http1 *parser, uint64_t count, enum http1_event *ret_event);

/* The connection has ended in this direction: MESSAGE_END when that completes a close-delimited body; NEED_MORE when
 * nothing was open; BAD when a message was cut off. Context: pure; signal-safe. */
enum http1_event http1_end(struct http1 *parser);

/* Is the parser past a head and before the end of its message? Context: pure; signal-safe. */
static inline bool http1_is_in_body(const struct http1 *parser)
{
    return parser->state >= HTTP1_IN_BODY && parser->state <= HTTP1_UNTIL_CLOSE;
}

/* After HEAD_END: has the head a Content-Length, whether or not it counts? Context: pure; signal-safe. */
bool http1_has_length(const struct http1 *parser);

/* After a request's HEAD_END: has it no body? Then it is over, as after MESSAGE_END. Context: pure; signal-safe. */
static inline bool http1_ends_with_head(struct http1 *parser)
{
    if (parser->role != HTTP1_REQUESTS || parser->state != HTTP1_IN_BODY || parser->remaining > 0)
        return false;
    parser->state = HTTP1_AT_START;
    return true;
}

/* Could these first bytes (1 or more) begin a message of this role? Decided by as many bytes as there are.
 * After blank lines, requests: a token of at most 32 bytes, a blank; responses: "HTTP/1.".
 * Context: pure; signal-safe. */
bool http1_looks_like(enum http1_role role, const char *bytes, size_t len);

#endif
