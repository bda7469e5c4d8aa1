/* SPDX-License-Identifier: Apache-2.0 */
/* A request on its way: opened in a slot of the in-flight table when its first line is complete, filled while its head
 * comes in, committed as a record when its response has ended. Secrets are taken out before a byte reaches the slot. */
#ifndef SPANSHIM_SPAN_H
#define SPANSHIM_SPAN_H

#include "preload/current.h"
#include "preload/forwarded.h"
#include "preload/propagation.h"
#include "preload/slice.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* What a client's request has of trace headers before ours. */
enum span_headers {
    SPAN_HEADERS_NONE,    /* none, or none that means anything: ours take their place */
    SPAN_HEADERS_PASSED,  /* those of a request that is being served here, passed on as they came: ours take their place
                           */
    SPAN_HEADERS_PROGRAM, /* the program's own: left alone */
    SPAN_HEADERS_UNWANTED, /* the user wants none of ours there: left alone too */
};

/* What is known of a request only while its head is read. From a pool: not zeroed, see span_open. */
struct span_head {
    _Atomic uint32_t pool_link; /* arena.h's while it is free */
    uint16_t host_port;
    bool has_host;
    bool has_user_agent;
    bool has_user;
    bool is_complete;
    bool is_ignored;  /* by SPANSHIM_IGNORE_PATHS and the like */
    bool is_of_start; /* a client's: its parent is the one that the process was started with */
    bool was_context; /* the last field was a trace header */
    uint8_t headers;  /* enum span_headers, of a client's request: when its head is complete */
    const struct wire_address *client;
    struct request_ref parent; /* of a client's request: the one that it is made for */
    uint64_t print;            /* echo.h; 0: none is made */
    struct propagation propagation;
    struct forwarded forwarded;
};

/* Who is at which end. All borrowed until the head is complete. */
struct span_ends {
    enum wire_span_kind kind;
    const struct wire_address *peer, *local;
    const struct wire_address *client; /* of a server's request: the one that a proxy passes on, if known */
    struct request_ref parent;         /* of a client's request: the one that it is made for, if known */
};

/* Begin a request. NULL when no slot is free; counted. `head` is reset. Context: hook; signal-safe. */
struct wire_slot *span_open(struct span_head *head, uint64_t start_ns, const struct span_ends *ends);

/* First letters of names whose fields are of no use, as struct http1's `unreported`. Context: hook; signal-safe. */
uint32_t span_unused_request_letters(void);
uint32_t span_unused_response_letters(void);

/* The request line, and each header field. Context: hook; signal-safe. */
void span_request_line(struct wire_slot *slot, struct span_head *head, struct slice method, struct slice target,
                       unsigned version_minor);
void span_request_field(struct wire_slot *slot, struct span_head *head, struct slice name, struct slice value);

/* It did not come in HTTP, but in this protocol; after its request line. `server_port`: if the Host has none; 0: it is
 * not known. Context: hook; signal-safe. */
void span_protocol(struct wire_slot *slot, enum wire_protocol protocol, bool is_https, uint16_t server_port,
                   bool is_truncated);

/* The head is complete: context, names and addresses are settled, and it is decided whether it is recorded. From here
 * on the request is in the in-flight table for others to see. Context: hook; signal-safe. */
void span_head_end(struct wire_slot *slot, struct span_head *head);

/* After it: is a client's request to be given trace headers of ours? Context: hook; signal-safe. */
bool span_wants_headers(const struct span_head *head);

/* After it, while the head is still there: the header lines that tell a client's request's context to the next hop,
 * each with its end; none at all is of no length. False: there is no room for them. Context: hook; signal-safe. */
bool span_context_lines(struct wire_slot *slot, struct span_head *head, char *out, size_t room, size_t *ret_length);

/* The header lines of W3C's formats that tell the context of this request, which may end at any moment, to a program
 * that is started for it. False: it has ended, or there is no room for them. Context: hook; signal-safe. */
bool span_context_of(const struct request_ref *request, char *out, size_t room, size_t *ret_length);

/* The header lines that the settings want in the response to a server's request, `except` those of enum
 * propagation_response that it has already, each with its end: after its head is complete. Returns their length, 0:
 * there are none, or no room for them. Context: hook; signal-safe. */
size_t span_response_lines(struct wire_slot *slot, unsigned except, char *out, size_t room);

/* The head is done with, or given up: what it holds is given back. Context: hook; signal-safe. */
void span_head_release(struct span_head *head);

/* Any other text of it, cut to what there is room for. Context: hook; signal-safe. */
void span_text(struct wire_slot *slot, enum wire_text id, struct slice text);

/* A header field of its response. Context: hook; signal-safe. */
void span_response_field(struct wire_slot *slot, struct slice name, struct slice value);

/* What else is known of a client's request, before it is over; nothing, if all are 0. Context: hook; signal-safe. */
void span_client(struct wire_slot *slot, const struct wire_client *client);

/* Is a record made of it when it is over? After the head's end. Context: hook; signal-safe. */
bool span_is_recorded(const struct wire_request *request);

/* It is over: write the record if it is to be recorded, and free the slot. Does nothing when another process that
 * shares the request has ended it. Context: hook; signal-safe. */
void span_end(struct wire_slot *slot, uint64_t end_ns, enum wire_error error);

/* It was none: free the slot. Context: hook; signal-safe. */
void span_discard(struct wire_slot *slot);

/* The same for a request that was left to other processes, unless one of them has ended it: counted as blind. Context:
 * hook; signal-safe. */
void span_reclaim(struct wire_slot *slot, uint64_t start_ns);

#endif
