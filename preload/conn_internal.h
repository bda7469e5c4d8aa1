/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of connections share: conn_*.c (their life, their bytes, what is sent on them and how they end) and
 * exchange*.c (the messages on them).
 *
 * "The requests" and "the responses" below are the connection's two directions; each has a claim, which a thread holds
 * while it works on that direction. */
#ifndef SPANSHIM_CONN_INTERNAL_H
#define SPANSHIM_CONN_INTERNAL_H

#include "preload/answers.h"
#include "preload/conn.h"
#include "preload/current.h"
#include "preload/http1.h"
#include "preload/lookup.h"
#include "preload/proxy_header.h"
#include "preload/wire.h"

#include <stdatomic.h>
#include <stdint.h>

struct gateway;
struct outgoing;
struct span_head;
struct stash;

enum { CONN_PIPELINE_MAX = 128 };

/* What has to be known of a request to find the end of its response. LAST: the server closes the connection after this
 * answer; some clients (nginx with FastCGI) wait for that before they go on. */
enum conn_open_flag { CONN_OPEN_HEAD = 1, CONN_OPEN_CONNECT = 2, CONN_OPEN_LAST = 4, CONN_OPEN_FLAGS = 7 };

enum conn_role { CONN_SERVER, CONN_CLIENT, CONN_LISTENER, CONN_WAKEUP /* a pipe, an eventfd */ };

enum { CONN_PASSIVE = 1 };

/* One direction. Only the thread that holds `claimed` touches it. */
struct conn_direction {
    _Atomic uint32_t claimed;
    struct http1 parser;
    uint64_t moment_ns;      /* CLOCK_MONOTONIC of the bytes being parsed; 0: the clock was not read yet */
    struct stash *stash;     /* a pool's block while a line is cut, else NULL */
    struct gateway *gateway; /* a pool's block: FastCGI, SCGI or uwsgi, else NULL (HTTP). Both directions share it, but
                              * for uwsgi, whose responses are HTTP */
};

/* A request that waits for the end of its response. */
struct conn_open {
    uintptr_t slot;               /* pointer to the slot, or NULL; enum conn_open_flag in the low bits */
    uint64_t start_ns;            /* of the request. If the slot has another one, another process has ended ours */
    _Atomic uint64_t body_length; /* request body bytes so far, or CONN_BODY_BAD: the requests' side stores, the other
                                   * reads; relaxed */
};

#define CONN_BODY_BAD (UINT64_C(1) << 63) /* a bit in body_length: the body's framing was broken */

/* What each call touches comes first, in few cache lines: the kernel's work between two calls leaves little of them. */
struct conn {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    _Atomic uint32_t refs;      /* descriptors of this process that name it; 0 while it is free */
    _Atomic uint32_t generation;
    _Atomic uint8_t role;      /* enum conn_role */
    _Atomic uint8_t passive;   /* 0, or CONN_PASSIVE + the enum wire_drop that made it so */
    _Atomic uint8_t doomed;    /* the last descriptor is closed: the last thread that gives a claim back frees it */
    _Atomic uint8_t peer_done; /* the peer will send no more */
    _Atomic uint8_t waited;    /* the program's last wait for bytes timed out; reset when some come */
    _Atomic uint8_t deaf;      /* the program has shut down its receiving side */
    _Atomic uint8_t failure;   /* enum wire_error of the last failed call, if it ends the connection */
    _Atomic uint32_t pid;      /* process that last moved bytes on it */
    uint32_t forks;            /* of that process when the connection was made */
    bool looks_ahead;          /* we may add lines to the heads sent on it; decided when it is made */
    struct conn_direction requests, responses;
    /* FastCGI's several requests at once: exchange_stream.c. The requests' side adds streams, for as long as the
     * connection lives. */
    struct conn *connection;            /* that this is a stream of: it has the claims, and the tie; else itself */
    _Atomic(struct conn *) next_stream; /* release; pairs with acquire on the responses' side */
    _Atomic uint16_t stream_id;         /* of its last request; 0: there was none. Likewise */
    struct conn *sends;                 /* the stream that the last record of a request is of; held with the requests */
    uint64_t sent;                      /* bytes that hooks saw go out; held with what goes out */

    /* The request whose head is arriving; held with the requests (release), looked at by the responses (acquire). */
    struct span_head *head;        /* a pool's block until the head is complete, else NULL */
    _Atomic uint8_t requests_over; /* no more requests will be understood: the requests' side stores; relaxed */
    bool asked_close;              /* a request asked to be the last (Connection: close); held with the requests */
    uint64_t begun_ns;             /* when its first byte came, if its first line did not come whole; else 0 */
    /* The response's framing isn't seen: it ends with the next request or the connection. Stored with the responses
     * claimed, 1 only with both; either reads; relaxed. */
    _Atomic uint8_t response_unseen;

    struct wire_address peer;
    struct wire_address local;
    struct wire_address client; /* by the PROXY protocol, else of no family; held with the requests */
    struct tie tie;             /* of a client's connection or a wakeup: the request that it works for */

    /* A client's. */
    _Atomic uint32_t sent_number;
    _Atomic uint64_t sent_ns; /* when all of that request was sent */

    /* The head that is being sent: a client's request's or a server's response's. `sending` is the generation and, in
     * the lowest bit, whether a thread of the program is in such a call; that thread holds what follows. The generation
     * keeps a call that outlives its connection from claiming the next one in the same place. */
    _Atomic uint64_t sending;
    _Atomic uintptr_t sender;  /* the thread that makes the call; relaxed */
    _Atomic uintptr_t frame;   /* its stack pointer at the call; relaxed */
    struct outgoing *outgoing; /* a pool's block: what goes out in place of the program's bytes, else NULL */
    uint64_t ahead;            /* bytes that were parsed already and that the program still has to send */
    uint64_t planned_to;       /* `sent` as of the last planned call: a larger value now means that bytes went unseen */
    struct http1 before;       /* the parser before the call that begins a head */
    uint32_t opened_before;    /* likewise */
    uint16_t text_before;      /* likewise: the texts of the request that is answered */
    bool is_fresh;             /* the call under way begins the head */
    bool is_settled;           /* it was decided what is added to the head */
    bool is_signed;            /* the head has a signature that may cover all fields */
    bool is_cut;               /* part of it went out unseen, or a trace header did in an earlier call than its end */
    uint8_t program_lines;     /* enum propagation_response: lines of ours that the program sends itself */
    uint16_t head_fields;      /* fields of the head so far */
    uint32_t head_length;      /* its bytes so far */

    struct proxy_header proxy; /* before the first request; held with the requests */

    /* Requests waiting for the end of their response: number n stands at n % CONN_PIPELINE_MAX. The requests' side adds
     * (release), the responses' takes (acquire). */
    _Atomic uint32_t opened;
    _Atomic uint32_t answered;
    struct conn_open open[CONN_PIPELINE_MAX];

    /* Rarely touched. */
    struct answers database; /* of a client's connection to redis or PostgreSQL; each stream held with its direction */
    /* A client's. */
    uint64_t connect_start_ns; /* 0: not known */
    uint64_t connect_end_ns;   /* 0: not known before the first request is sent */
    uint64_t resolve_ns;       /* looking up the name; 0: none is known of */
    struct lookup_ref lookup;  /* that look-up, until a request is made */
};

/* Context: pure; signal-safe. */
static inline bool conn_is_client(const struct conn *conn)
{
    return atomic_load_explicit(&conn->role, memory_order_relaxed) == CONN_CLIENT;
}

/* The direction that this program sends. Context: pure. */
static inline struct conn_direction *conn_outward(struct conn *conn)
{
    return conn_is_client(conn) ? &conn->requests : &conn->responses;
}

/* Take the direction for this thread. False: another one has it. seq_cst in conn_unclaim(), because conn_settle() looks
 * at `doomed` and `passive` after it. Context: hook; signal-safe. */
static inline bool conn_claim(struct conn_direction *direction)
{
    return atomic_exchange_explicit(&direction->claimed, 1, memory_order_acquire) == 0;
}

static inline void conn_unclaim(struct conn_direction *direction)
{
    atomic_store_explicit(&direction->claimed, 0, memory_order_seq_cst);
}

/* The value of `sending` between calls. Context: pure. */
static inline uint64_t conn_idle(uint32_t generation)
{
    return (uint64_t)generation << 1;
}

/* Context: pure; signal-safe. */
static inline bool conn_has_role(const struct conn *conn, enum conn_role role)
{
    return atomic_load_explicit(&conn->role, memory_order_relaxed) == role;
}

/* Are its requests and answers followed? Context: pure. */
static inline bool conn_is_followed(const struct conn *conn)
{
    return (conn_has_role(conn, CONN_SERVER) || conn_has_role(conn, CONN_CLIENT)) &&
           !atomic_load_explicit(&conn->passive, memory_order_relaxed);
}

static inline struct conn *conn_next_stream(const struct conn *stream)
{
    return atomic_load_explicit(&stream->next_stream, memory_order_acquire);
}

/* How many requests wait for their answers, on all streams? At the moment of the call only. Context: hook;
 * signal-safe. */
uint32_t conn_waiting(const struct conn *conn);

/* Does a request wait for its answer? True or false at the moment of the call only. Context: hook; signal-safe. */
static inline bool conn_is_busy(const struct conn *conn)
{
    return conn_waiting(conn) != 0;
}

/* Does another process go on with the connection? One that moved bytes on it after us; or a child of ours, made after
 * the connection, while no answer has begun and the request was not given up. Context: hook; signal-safe. */
bool conn_left_to_other(const struct conn *conn);

/* The connection ends: so do the requests that are open on it. Context: hook; signal-safe. */
__attribute__((cold)) void conn_end_requests(struct conn *conn);

/* Does the reference still name the connection that the hook found before its call? Context: hook; signal-safe. */
static inline bool conn_is_current(const struct conn_ref *ref)
{
    return atomic_load_explicit(&ref->conn->generation, memory_order_acquire) == ref->generation;
}

/* Stop looking at the connection's traffic, and count the loss under this cause (WIRE_DROP_COUNT: nothing is lost). The
 * caller has to call conn_settle() when it holds no claim any more. Context: hook; signal-safe. */
__attribute__((cold)) void conn_turn_passive(struct conn *conn, enum wire_drop cause);

/* Free a connection that is closed, or end the requests of a passive one, once no direction is claimed. conn_settle()
 * is the same, and cheap where there is nothing to do. Context: hook; signal-safe. */
__attribute__((cold)) void conn_settle_now(struct conn *conn);

static inline void conn_settle(struct conn *conn)
{
    bool doomed = atomic_load_explicit(&conn->doomed, memory_order_seq_cst) != 0;
    bool passive = atomic_load_explicit(&conn->passive, memory_order_seq_cst) != 0;

    if (__builtin_expect(doomed || passive, 0))
        conn_settle_now(conn);
}

/* A call on it failed: remember errno's reason if it ends the connection. Context: hook; signal-safe. */
__attribute__((cold)) void conn_note_failure(const struct conn_ref *ref);

/* The connection is about to end: nothing more goes out on it. Both directions are claimed. Context: hook;
 * signal-safe. */
void conn_send_end(struct conn *conn);

/* Bytes other than HTTP were sent on it: n as the call returned it. Context: hook; signal-safe. */
void conn_written(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* The connection that an entry of the descriptor table names; NULL: none. Context: hook; signal-safe. */
struct conn *conn_of(uint64_t entry);

/* Make the descriptor name this connection. False: the table has no room, and the connection was freed. Context: hook;
 * signal-safe. */
bool conn_name(int fd, struct conn *conn);

/* A client's first request begins. The requests are claimed. Context: hook; signal-safe. */
void conn_first_request(struct conn *conn);

/* A client's connection has been answered in HTTP, which is recorded. Context: hook; signal-safe. */
void conn_answered(const struct conn *conn);

/* Add to request `number` of a client's connection how long looking up the name and connecting took. Context: hook;
 * signal-safe. */
void conn_add_way(struct conn *conn, uint32_t number, struct wire_slot *slot);

/* A connection with one descriptor; NULL: there are too many, which is counted. Context: hook; signal-safe. */
struct conn *conn_new(enum conn_role role);

/* One descriptor of the connection was closed; it ends with the last. Context: hook; signal-safe. */
void conn_unref(struct conn *conn);

/* Copy a socket address. *address stays as it is when `from` is NULL or of another family than IPv4, IPv6 and unix.
 * Context: hook; signal-safe. */
void conn_address_set(struct wire_address *address, const struct sockaddr *from, size_t length);

/* Note that a descriptor of which nothing was known is no connection; it may be a log file. Context: hook;
 * signal-safe. */
void conn_rule_out(const struct conn_ref *ref);

/* Decide by the first bytes that came in on a descriptor of which nothing was known: a server's connection, which *ref
 * names afterwards, or nothing that is followed. Context: hook; signal-safe. */
void conn_classify(struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* The same by the first bytes that went out. True: it is a client's connection, which *ref names afterwards. Context:
 * hook; signal-safe. */
bool conn_classify_out(struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* Do the first bytes that a client sends look like a request, of HTTP or of another protocol that is followed?
 * Context: pure. */
bool conn_begins_request(const struct iovec *iov, int count);

/* Do these bytes begin like a response? Context: pure. */
bool conn_begins_response(const struct iovec *iov, int count, ssize_t n);

enum exchange_result {
    EXCHANGE_ON,        /* go on */
    EXCHANGE_OVER,      /* this is not HTTP, or no longer: nothing was lost */
    EXCHANGE_DOUBT,     /* the framing is in doubt */
    EXCHANGE_TOO_DEEP,  /* too many requests in a pipeline */
    EXCHANGE_CONTENDED, /* another thread holds the other direction */
};

/* Why the connection can't be followed after such a result; WIRE_DROP_COUNT: nothing was lost. Context: pure. */
enum wire_drop exchange_drop(enum exchange_result result);

/* Parse the next bytes of one direction, or count them (bytes NULL: they moved unseen). The caller has claimed the
 * direction. With any result but EXCHANGE_ON the connection can't be followed any further. Context: hook;
 * signal-safe. */
enum exchange_result exchange_requests(struct conn *conn, const char *bytes, size_t length);
enum exchange_result exchange_responses(struct conn *conn, const char *bytes, size_t length);

/* A connection begins with these bytes: if they are FastCGI, SCGI or uwsgi, it is parsed as that from now on. The
 * caller has claimed the requests; no response has begun. Context: hook; signal-safe. */
__attribute__((cold)) void exchange_recognise(struct conn *conn, const char *bytes, size_t length);

/* These bytes were sent: parse them as requests (of a client) or responses. The caller has claimed that direction.
 * Context: hook; signal-safe. */
enum exchange_result exchange_sent(struct conn *conn, const char *bytes, size_t length);

/* Parse bytes that are about to be sent, one event at a time: for conn_send.c, which has to know where each line of the
 * head stands. At HTTP1_HEAD_END a client's head is kept until exchange_head_release(). *ret_out is valid until the
 * next step. The caller has claimed the outward direction, here and in the seven functions that follow. Context: hook;
 * signal-safe. */
enum exchange_result exchange_step(struct conn *conn, const char *bytes, size_t length, size_t *ret_used,
                                   enum http1_event *ret_event, struct http1_out *ret_out);

/* Have all fields been seen, so that only the line feed of the blank line is missing? Context: hook; signal-safe. */
bool exchange_is_all_but_over(struct conn *conn);

/* Do then what HTTP1_HEAD_END does: settle a request's ids, parent and sampling. Context: hook; signal-safe. */
void exchange_head_end(struct conn *conn);

/* The request that is being sent, or whose response is; NULL: there is none, or it has no slot. Context: hook;
 * signal-safe. */
struct wire_slot *exchange_sending(struct conn *conn);

/* The request whose head is not complete yet; NULL: there is none, or it has no slot. Context: hook; signal-safe. */
struct wire_slot *exchange_arriving(struct conn *conn);

/* Free the head that was kept at HTTP1_HEAD_END. Context: hook; signal-safe. */
void exchange_head_release(struct conn *conn);

/* Note and count why the request or its response goes without our trace header. Context: hook; signal-safe. */
void exchange_withhold(struct wire_slot *slot, enum wire_withhold reason);

/* Forget a head of which nothing was sent: the program may send another one instead. Context: hook; signal-safe. */
void exchange_undo(struct conn *conn);

/* The program has asked the kernel about a server's connection. If exactly one request waits for its answer there, the
 * thread is taken to turn to that one. The caller needs no claim. Context: hook; signal-safe. */
void exchange_touched(const struct conn *conn);

/* Make a span of a connect() that failed, for the request `cause`, which waited for it. Context: hook; signal-safe. */
void exchange_not_connected(const struct wire_address *peer, const struct request_ref *cause, uint64_t start_ns,
                            enum wire_error error);

/* No more response bytes come: a response that ends with the connection is complete. The caller has claimed the
 * responses. Context: hook; signal-safe. */
void exchange_responses_end(struct conn *conn);

/* No more responses will be sent. If no request is open, what still comes in can't be answered any more, so it is not
 * taken for a request. The caller has claimed both directions. Context: hook; signal-safe. */
void exchange_requests_end(struct conn *conn);

/* The connection is gone: end its open requests with this error (NONE: the error follows from how far the response had
 * come). The caller has claimed both directions. Context: hook; signal-safe. */
void exchange_abandon(struct conn *conn, enum wire_error error);

/* A client closes its connection before the answer is complete. An answer whose head has come counts as complete: the
 * program wanted no more of it. It is an error if its head has not, or if the program's last wait timed out (`waited`).
 * The caller has claimed both directions. Context: hook; signal-safe. */
void exchange_give_up(struct conn *conn, bool waited);

/* The connection is not followed any more: its open requests become no spans, for their ends can't be known. Returns
 * how many of them were to be recorded. The caller has claimed both directions. Context: hook; signal-safe. */
uint32_t exchange_discard(struct conn *conn);

/* Another process goes on with the connection: this one reports nothing of it. The caller has claimed both directions.
 * Context: hook; signal-safe. */
void exchange_forget(struct conn *conn);

/* The process ends: give up the requests that it left to other processes and that are not answered yet. Context: hook,
 * destructor; signal-safe. */
void exchange_at_exit(void);

/* Has the response to the oldest open request begun? Context: hook; signal-safe. */
bool exchange_answering(const struct conn *conn);

#endif
