/* SPDX-License-Identifier: Apache-2.0 */
/* What conn.c (life and ownership of connections), conn_adopt.c (those that nobody accepted here) and exchange.c (the
 * messages on them) share. */
#ifndef SPANSHIM_CONN_INTERNAL_H
#define SPANSHIM_CONN_INTERNAL_H

#include "preload/conn.h"
#include "preload/http1.h"
#include "preload/proxy_header.h"
#include "preload/wire.h"

#include <stdatomic.h>
#include <stdint.h>

struct span_head;
struct stash;

enum { CONN_PIPELINE_MAX = 128 };

/* What the response's framing depends on. */
enum conn_open_flag { CONN_OPEN_HEAD = 1, CONN_OPEN_CONNECT = 2, CONN_OPEN_FLAGS = 3 };

enum conn_role { CONN_SERVER, CONN_LISTENER };

enum { CONN_PASSIVE = 1 };

/* One direction. Touched only by who holds `claimed`. */
struct conn_direction {
    _Atomic uint32_t claimed;
    struct http1 parser;
    uint64_t moment_ns;  /* CLOCK_MONOTONIC of the bytes being parsed; 0: not asked for yet */
    struct stash *stash; /* a pool's block while a line is cut, else NULL */
};

/* A request that waits for the end of its response. */
struct conn_open {
    uintptr_t slot;               /* or NULL, and enum conn_open_flag in the low bits */
    uint64_t start_ns;            /* of the request; another one in the slot: ours was ended by another process */
    _Atomic uint64_t body_length; /* request body bytes so far, or CONN_BODY_BAD: in stores, out reads; relaxed */
};

#define CONN_BODY_BAD (UINT64_C(1) << 63) /* added to the length: the framing got lost in the body */

struct conn {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    _Atomic uint32_t refs;      /* descriptors of this process that name it; 0 while it is free */
    _Atomic uint32_t generation;
    _Atomic uint8_t role;      /* enum conn_role */
    _Atomic uint8_t passive;   /* 0, or CONN_PASSIVE + the enum wire_drop that made it so */
    _Atomic uint8_t doomed;    /* the last descriptor is gone: whoever holds the claims frees it */
    _Atomic uint8_t peer_done; /* the peer will send no more */
    _Atomic uint8_t deaf;      /* the program wants no more: shutdown() */
    _Atomic uint8_t failure;   /* enum wire_error of the last failed call, if it ends the connection */
    _Atomic uint32_t pid;      /* process that last moved bytes on it */
    uint32_t forks;            /* of that process when the connection was made */
    struct wire_address peer;
    struct wire_address local;
    struct wire_address client; /* by the PROXY protocol, else of no family; held by the in direction */
    struct proxy_header proxy;  /* before the first request; held by the in direction */
    struct conn_direction in, out;
    uint64_t sent; /* bytes that hooks saw go out; held by the out direction */

    /* The request whose head is coming in; held by the in direction (release), looked at by the other (acquire). */
    struct span_head *head;  /* a pool's block until the head is complete, else NULL */
    _Atomic uint8_t in_over; /* no more requests will be understood: in stores, out reads; relaxed */
    bool asked_close;        /* a request was to be the last one; held by the in direction */
    uint64_t begun_ns;       /* when its first byte came, if its first line did not come whole; else 0 */
    /* The response's framing isn't seen: it ends with the next request or the connection. Stored with the out direction
     * claimed, 1 only with both; either reads; relaxed. */
    _Atomic uint8_t out_unseen;

    /* Requests waiting for the end of their response: number n stands at n % CONN_PIPELINE_MAX. The in direction adds
     * (release), the out direction takes (acquire). */
    _Atomic uint32_t opened;
    _Atomic uint32_t answered;
    struct conn_open open[CONN_PIPELINE_MAX];
};

/* A connection with one descriptor; NULL: there are too many, which is counted. Context: hook; signal-safe. */
struct conn *conn_new(enum conn_role role);

/* It has one descriptor less; with the last one it ends. Context: hook; signal-safe. */
void conn_unref(struct conn *conn);

/* Left as it is when there is none, or of a family that is not ours. Context: hook; signal-safe. */
void conn_address_set(struct wire_address *address, const struct sockaddr *from, size_t length);

/* The first bytes that came in on a descriptor of which nothing is known: a server's connection, which the reference
 * then names, or nothing of ours. Context: hook; signal-safe. */
void conn_classify(struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* Are these a response's first bytes? Context: pure. */
bool conn_begins_response(const struct iovec *iov, int count, ssize_t n);

enum exchange_result {
    EXCHANGE_ON,        /* go on */
    EXCHANGE_OVER,      /* not HTTP, or not any more: nothing was lost */
    EXCHANGE_DOUBT,     /* the framing is in doubt */
    EXCHANGE_TOO_DEEP,  /* too many requests in a pipeline */
    EXCHANGE_CONTENDED, /* the other direction is in another thread's hands */
};

/* Bytes of one direction, to be parsed or (bytes NULL) counted; the direction is claimed. Anything but EXCHANGE_ON: the
 * connection can't be followed any further. Context: hook; signal-safe. */
enum exchange_result exchange_in(struct conn *conn, const char *bytes, size_t length);
enum exchange_result exchange_out(struct conn *conn, const char *bytes, size_t length);

/* The out direction has ended: a response that ends with the connection is complete. Both directions, or the out one,
 * are claimed. Context: hook; signal-safe. */
void exchange_out_end(struct conn *conn);

/* After the end of the out direction: with no request open, whatever still comes in is drained by the program and
 * can't be answered any more, so it is no request. Both directions are claimed. Context: hook; signal-safe. */
void exchange_in_end(struct conn *conn);

/* The connection is gone: what is open on it ends with this error; NONE: with what can be told from how far the
 * response had come. Both directions are claimed. Context: hook; signal-safe. */
void exchange_abandon(struct conn *conn, enum wire_error error);

/* It is given up: what is open on it is no span, since its end can't be known. How many requests that were to be
 * recorded. The same. */
uint32_t exchange_discard(struct conn *conn);

/* Nothing of it is reported by this process: another one goes on with it. The same. */
void exchange_forget(struct conn *conn);

/* The process ends: requests that it left to others, which have not answered yet, are given up. Context: hook,
 * destructor; signal-safe. */
void exchange_at_exit(void);

/* Has the response to the oldest open request begun? The same. */
bool exchange_answering(const struct conn *conn);

#endif
