/* SPDX-License-Identifier: Apache-2.0 */
/* What the conn_*.c (life, bytes, sending and leaving of connections, those that nobody accepted here) and the
 * exchange*.c (the messages on them) share. */
#ifndef SPANSHIM_CONN_INTERNAL_H
#define SPANSHIM_CONN_INTERNAL_H

#include "preload/conn.h"
#include "preload/current.h"
#include "preload/http1.h"
#include "preload/lookup.h"
#include "preload/proxy_header.h"
#include "preload/wire.h"

#include <stdatomic.h>
#include <stdint.h>

struct outgoing;
struct span_head;
struct stash;

enum { CONN_PIPELINE_MAX = 128 };

/* What the response's framing depends on. */
enum conn_open_flag { CONN_OPEN_HEAD = 1, CONN_OPEN_CONNECT = 2, CONN_OPEN_FLAGS = 3 };

enum conn_role { CONN_SERVER, CONN_CLIENT, CONN_LISTENER, CONN_WAKEUP /* a pipe, an eventfd */ };

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
    _Atomic uint64_t body_length; /* request body bytes so far, or CONN_BODY_BAD: the requests' side stores, the other
                                   * reads; relaxed */
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
    _Atomic uint8_t waited;    /* the program has waited for bytes until its time was up; until some come */
    _Atomic uint8_t deaf;      /* the program wants no more: shutdown() */
    _Atomic uint8_t failure;   /* enum wire_error of the last failed call, if it ends the connection */
    _Atomic uint32_t pid;      /* process that last moved bytes on it */
    uint32_t forks;            /* of that process when the connection was made */
    bool looks_ahead;          /* lines of ours may be added to the heads that it sends; set when it is made */
    struct wire_address peer;
    struct wire_address local;
    struct wire_address client; /* by the PROXY protocol, else of no family; held with the requests */
    struct proxy_header proxy;  /* before the first request; held with the requests */
    struct conn_direction requests, responses;
    uint64_t sent; /* bytes that hooks saw go out; held with what goes out */

    /* The request whose head is on its way; held with the requests (release), looked at by the other (acquire). */
    struct span_head *head;        /* a pool's block until the head is complete, else NULL */
    _Atomic uint8_t requests_over; /* no more requests will be understood: the requests' side stores; relaxed */
    bool asked_close;              /* a request was to be the last one; held with the requests */
    uint64_t begun_ns;             /* when its first byte came, if its first line did not come whole; else 0 */
    /* The response's framing isn't seen: it ends with the next request or the connection. Stored with the responses
     * claimed, 1 only with both; either reads; relaxed. */
    _Atomic uint8_t response_unseen;

    struct tie tie; /* a client's or a wakeup's: whom it works for */

    /* A client's. */
    uint64_t connect_start_ns; /* 0: not known */
    uint64_t connect_end_ns;   /* 0: not known before the first request is sent */
    uint64_t resolve_ns;       /* looking up the name; 0: none is known of */
    struct lookup_ref lookup;  /* that look-up, until a request is made */
    _Atomic uint32_t sent_number;
    _Atomic uint64_t sent_ns; /* when all of that request was sent */

    /* The head that goes out: of a client's request, or of a server's response. First of all the generation and,
     * in the lowest bit, whether a call of the program's is under way: who makes it holds what
     * follows. By the generation, a call that outlives its connection can't take another's. */
    _Atomic uint64_t sending;
    _Atomic uintptr_t sender;  /* whose call it is: a thread; relaxed */
    _Atomic uintptr_t frame;   /* where its stack stood; relaxed */
    struct outgoing *outgoing; /* a pool's block: what goes out in place of the program's bytes, else NULL */
    uint64_t ahead;            /* bytes the program still has to send that were parsed already */
    uint64_t planned_to;       /* `sent`, when all that had gone out of the head was planned */
    struct http1 before;       /* the parser before the call that begins a head */
    uint32_t opened_before;    /* likewise */
    uint16_t text_before;      /* likewise: the texts of the request that is answered */
    bool is_fresh;             /* that is the call under way */
    bool is_settled;           /* what is added to it was decided */
    bool is_signed;            /* it has a signature that may cover all fields */
    bool is_cut;               /* part of it went out unseen, or a trace header did in an earlier call than its end */
    uint8_t program_lines;     /* enum propagation_response: those that the program sends itself */
    uint16_t head_fields;      /* so far */
    uint32_t head_length;      /* the same, in bytes */

    /* Requests waiting for the end of their response: number n stands at n % CONN_PIPELINE_MAX. The requests' side adds
     * (release), the responses' takes (acquire). */
    _Atomic uint32_t opened;
    _Atomic uint32_t answered;
    struct conn_open open[CONN_PIPELINE_MAX];
};

static inline bool conn_is_client(const struct conn *conn)
{
    return atomic_load_explicit(&conn->role, memory_order_relaxed) == CONN_CLIENT;
}

/* What goes out. */
static inline struct conn_direction *conn_outward(struct conn *conn)
{
    return conn_is_client(conn) ? &conn->requests : &conn->responses;
}

static inline bool conn_claim(struct conn_direction *direction)
{
    return atomic_exchange_explicit(&direction->claimed, 1, memory_order_acquire) == 0;
}

static inline void conn_unclaim(struct conn_direction *direction)
{
    atomic_store_explicit(&direction->claimed, 0, memory_order_seq_cst);
}

/* What `sending` is between calls. Context: pure. */
static inline uint64_t conn_idle(uint32_t generation)
{
    return (uint64_t)generation << 1;
}

static inline bool conn_has_role(const struct conn *conn, enum conn_role role)
{
    return atomic_load_explicit(&conn->role, memory_order_relaxed) == role;
}

/* Is its traffic read as HTTP? */
static inline bool conn_is_followed(const struct conn *conn)
{
    return (conn_has_role(conn, CONN_SERVER) || conn_has_role(conn, CONN_CLIENT)) &&
           !atomic_load_explicit(&conn->passive, memory_order_relaxed);
}

/* Does a request wait for its answer? Only a look: by the next moment it may be answered. */
static inline bool conn_is_busy(const struct conn *conn)
{
    return atomic_load_explicit(&conn->opened, memory_order_relaxed) !=
           atomic_load_explicit(&conn->answered, memory_order_relaxed);
}

/* Another process goes on with the connection: one that moved bytes on it after us, or a child that it was left to
 * (made since, while nobody had given the request up and no answer had begun). Context: hook; signal-safe. */
bool conn_left_to_other(const struct conn *conn);

/* What is open on it ends with it. Context: hook; signal-safe. */
void conn_end_requests(struct conn *conn);

/* Is what the hook found before its call still there? Context: hook; signal-safe. */
static inline bool conn_is_current(const struct conn_ref *ref)
{
    return atomic_load_explicit(&ref->conn->generation, memory_order_acquire) == ref->generation;
}

/* Its traffic is no longer looked at; WIRE_DROP_COUNT: nothing is lost by that. To be followed by conn_settle() when no
 * direction is claimed. Context: hook; signal-safe. */
__attribute__((cold)) void conn_turn_passive(struct conn *conn, enum wire_drop cause);

/* Do what waited for the claims to be given back. Context: hook; signal-safe. */
__attribute__((cold)) void conn_settle_now(struct conn *conn);

static inline void conn_settle(struct conn *conn)
{
    bool doomed = atomic_load_explicit(&conn->doomed, memory_order_seq_cst) != 0;
    bool passive = atomic_load_explicit(&conn->passive, memory_order_seq_cst) != 0;

    if (__builtin_expect(doomed || passive, 0))
        conn_settle_now(conn);
}

/* A call failed, in a way that ends the connection or not. Context: hook; signal-safe. */
__attribute__((cold)) void conn_note_failure(const struct conn_ref *ref);

/* The connection is about to end: nothing more goes out on it. Both directions are claimed. Context: hook; signal-safe.
 */
void conn_send_end(struct conn *conn);

/* Bytes went out that are no HTTP: n as the call returned it. Context: hook; signal-safe. */
void conn_written(const struct conn_ref *ref, ssize_t n);

/* What an entry of the descriptor table names; NULL: no connection. Context: hook; signal-safe. */
struct conn *conn_of(uint64_t entry);

/* The descriptor names this connection from now on. False: it can't be noted, and the connection is gone. Context:
 * hook; signal-safe. */
bool conn_name(int fd, struct conn *conn);

/* A client's first request begins. The requests are claimed. Context: hook; signal-safe. */
void conn_first_request(struct conn *conn);

/* A client's connection has been answered in HTTP, which is recorded. Context: hook; signal-safe. */
void conn_answered(const struct conn *conn);

/* Add what is known of the way to request `number` of a client's connection. The same. */
void conn_add_way(struct conn *conn, uint32_t number, struct wire_slot *slot);

/* A connection with one descriptor; NULL: there are too many, which is counted. Context: hook; signal-safe. */
struct conn *conn_new(enum conn_role role);

/* It has one descriptor less; with the last one it ends. Context: hook; signal-safe. */
void conn_unref(struct conn *conn);

/* Left as it is when there is none, or of a family that is not ours. Context: hook; signal-safe. */
void conn_address_set(struct wire_address *address, const struct sockaddr *from, size_t length);

/* The first bytes that came in on a descriptor of which nothing is known: a server's connection, which the reference
 * then names, or nothing of ours. Context: hook; signal-safe. */
void conn_classify(struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* The first bytes that went out on such a descriptor: true if it is a client's connection, which the reference then
 * names. Context: hook; signal-safe. */
bool conn_classify_out(struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* Do the first bytes of a client look like a request's? Context: pure. */
bool conn_begins_request(const struct iovec *iov, int count);

/* Are these a response's first bytes? Context: pure. */
bool conn_begins_response(const struct iovec *iov, int count, ssize_t n);

enum exchange_result {
    EXCHANGE_ON,        /* go on */
    EXCHANGE_OVER,      /* not HTTP, or not any more: nothing was lost */
    EXCHANGE_DOUBT,     /* the framing is in doubt */
    EXCHANGE_TOO_DEEP,  /* too many requests in a pipeline */
    EXCHANGE_CONTENDED, /* the other direction is in another thread's hands */
};

/* Why the connection can't be followed after such a result; WIRE_DROP_COUNT: nothing was lost. Context: pure. */
enum wire_drop exchange_drop(enum exchange_result result);

/* Bytes of one direction, to be parsed or (bytes NULL) counted; the direction is claimed. Anything but EXCHANGE_ON: the
 * connection can't be followed any further. Context: hook; signal-safe. */
enum exchange_result exchange_requests(struct conn *conn, const char *bytes, size_t length);
enum exchange_result exchange_responses(struct conn *conn, const char *bytes, size_t length);

/* Bytes of the outward direction that went out. The same. */
enum exchange_result exchange_sent(struct conn *conn, const char *bytes, size_t length);

/* One event of a head that is about to go out: for who has to know where each line stands. At HTTP1_HEAD_END a client's
 * head is kept until exchange_head_release(). *ret_out is valid until the next step. The outward direction is claimed.
 * Context: hook; signal-safe. */
enum exchange_result exchange_step(struct conn *conn, const char *bytes, size_t length, size_t *ret_used,
                                   enum http1_event *ret_event, struct http1_out *ret_out);

/* All fields were seen, only the line feed of the blank line is missing: as at HTTP1_HEAD_END. The same. */
bool exchange_is_all_but_over(struct conn *conn);
void exchange_head_end(struct conn *conn);

/* The request that goes out, or whose answer does; NULL when there is none, or it has no slot. The same. */
struct wire_slot *exchange_sending(struct conn *conn);

/* The request whose head is on its way; NULL when there is none, or it has no slot. The same. */
struct wire_slot *exchange_arriving(struct conn *conn);

/* Its head is done with. The same. */
void exchange_head_release(struct conn *conn);

/* It, or its answer, has no trace header of ours, for this reason. The same. */
void exchange_withhold(struct wire_slot *slot, enum wire_withhold reason);

/* Nothing of the head went out: the program may send another in its place. The same. */
void exchange_undo(struct conn *conn);

/* It could not be connected, which the request that it was for waited for: a span of that. Context: hook; signal-safe.
 */
void exchange_not_connected(const struct wire_address *peer, const struct request_ref *cause, uint64_t start_ns,
                            enum wire_error error);

/* No more responses come: one that ends with the connection is complete. Both directions, or the responses', are
 * claimed. Context: hook; signal-safe. */
void exchange_responses_end(struct conn *conn);

/* After the end of the responses: with no request open, whatever still comes in is drained by the program and
 * can't be answered any more, so it is no request. Both directions are claimed. Context: hook; signal-safe. */
void exchange_requests_end(struct conn *conn);

/* The connection is gone: what is open on it ends with this error; NONE: with what can be told from how far the
 * response had come. Both directions are claimed. Context: hook; signal-safe. */
void exchange_abandon(struct conn *conn, enum wire_error error);

/* The program closes it, and wants no more: an answer that has begun is complete for it. One that has not is an error,
 * and so are both after a wait in vain. The same. */
void exchange_give_up(struct conn *conn, bool waited);

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
