/* SPDX-License-Identifier: Apache-2.0 */
/* FastCGI, SCGI and uwsgi: how web servers ask the programs behind them. The requests, and the answers of the first
 * two, as events of http1.h, so that all that follows from those is as for HTTP. A pure push parser; exchange.c feeds
 * it.
 *
 * Sources: the FastCGI specification 1.0, "SCGI: A Simple Common Gateway Interface alternative", uWSGI's "The uwsgi
 * Protocol". One request at a time: of FastCGI's several at once each has a struct gateway (exchange_stream.c).
 */
#ifndef SPANSHIM_GATEWAY_H
#define SPANSHIM_GATEWAY_H

#include "preload/http1.h"
#include "preload/params.h"
#include "preload/wire.h"

#include <stdatomic.h>

struct conn;

enum {
    GATEWAY_FIRST_BYTES = 8, /* tell certainly which protocol it is */
    GATEWAY_CONTEXTS_MAX = 12,
    GATEWAY_RECORD_HEADER = 7, /* what is read of it: its last byte means nothing */
};

/* FastCGI's records, of one direction. */
struct fastcgi {
    uint8_t header_length, body_length;
    uint8_t header[8];
    uint8_t body[8];  /* the first bytes of the record's content */
    uint16_t content; /* to come */
    uint8_t padding;  /* to come */
};

/* How far FastCGI's records of a connection's direction are told apart: exchange_stream.c's. */
struct gateway_records {
    struct conn *stream; /* the one that the record belongs to; NULL: there is no room for it */
    uint32_t left;       /* of the record */
    uint8_t header_length;
    uint8_t header[GATEWAY_RECORD_HEADER];
};

/* What a connection in such a protocol has beside its parsers. Private but for the marked ones. */
struct gateway {
    _Atomic uint32_t pool_link; /* arena.h's while it is free */
    uint8_t protocol;           /* enum wire_protocol: read by the owner */
    bool is_client;             /* set by the owner: the program asks, it does not answer */
    uint8_t emitted;            /* how much of a complete head was reported */
    bool aborted;               /* read by the owner: the web server wants no answer any more */
    bool is_https;              /* read by the owner, with the next, at HTTP1_START_LINE */
    struct wire_address client;
    uint16_t server_port; /* 0: it is not known */
    struct param param;   /* read by the owner, at HTTP1_FIELD: where it stands */
    uint16_t id;          /* of the request that FastCGI's records belong to; 0: there was none of any protocol yet.
                           * Set by the owner for one that is not its connection's first */
    uint8_t answer_end;   /* read by the owner, at the answer's HTTP1_MESSAGE_END: FastCGI's protocolStatus */
    uint32_t at;          /* bytes of the head so far; read by the owner */
    bool in_block;        /* past the header of SCGI or uwsgi: */
    uint32_t block;       /* bytes of the block to come; before: its length so far */
    uint32_t cursor;
    uint32_t context_count; /* gateway_out.h's */
    struct param contexts[GATEWAY_CONTEXTS_MAX];
    struct fastcgi requests, responses;
    struct slice errors; /* read and emptied by the owner: what the last bytes fed had of a server's error stream */
    struct gateway_records asked, answered;
    struct params params;
};

/* What protocol begins with these bytes (1 or more)? Decided by as many as there are, GATEWAY_FIRST_BYTES are enough.
 * Context: pure; signal-safe. */
enum wire_protocol gateway_begins(const char *bytes, size_t len);

/* Set it up for a connection that begins so, and the parsers' marks. Context: pure; signal-safe. */
void gateway_begin(struct gateway *gateway, enum wire_protocol protocol, struct http1 *requests,
                   struct http1 *responses);

/* As http1_feed, of the direction of this parser. At a request's HTTP1_FIELD the names are HTTP's. HTTP1_MESSAGE_END of
 * an answer whose head did not come leaves the parser's status 0. Context: pure; signal-safe. */
size_t gateway_feed(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len, char *stash,
                    enum http1_event *ret_event, struct http1_out *ret_out);

/* The request that a CGI program is started for, as its environment tells it: HTTP1_START_LINE, or HTTP1_NOT_MINE. The
 * parser's role is HTTP1_REQUESTS. Then gateway_feed() of any one byte, again and again, gives the fields and
 * HTTP1_HEAD_END. Context: pure. */
enum http1_event gateway_read_environment(struct gateway *gateway, struct http1 *parser, char *const *envp,
                                          struct http1_out *ret_out);

/* As http1_skip. Context: pure; signal-safe. */
int gateway_skip(struct gateway *gateway, struct http1 *parser, uint64_t count, enum http1_event *ret_event);

/* Is the connection between two records of requests, so that one may be begun anew? Context: pure; signal-safe. */
bool gateway_is_between(const struct gateway *gateway);

/* The request that is on its way was none. Context: pure; signal-safe. */
void gateway_forget_request(struct gateway *gateway);

#endif
