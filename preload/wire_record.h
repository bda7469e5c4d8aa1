/* SPDX-License-Identifier: Apache-2.0 */
/* Part of wire.h: the records that a lane's cells carry, requests and pieces of logs. A request has the same form in
 * its slot, while it is open. */
#ifndef SPANSHIM_WIRE_RECORD_H
#define SPANSHIM_WIRE_RECORD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_CELL_SIZE = 512,
    WIRE_CELL_PAYLOAD = WIRE_CELL_SIZE - 8,
    WIRE_RECORD_CELLS_MAX = 5, /* the longest record: a slot's request and its header */
    WIRE_RECORD_MAX = WIRE_RECORD_CELLS_MAX * WIRE_CELL_PAYLOAD,
};

/* X(NAME, minimum size). A record is its header and, by its type, one struct with what follows it, copied whole. */
#define WIRE_RECORDS(X)                                                                                                \
    X(REQUEST, sizeof(struct wire_request))                                                                            \
    X(DIAGNOSTIC, 0) /* a line of text that early shims of this version write: stepped over */                         \
    X(LOG, sizeof(struct wire_log))

enum wire_record_type {
    WIRE_RECORD_NONE,
#define X(NAME, min) WIRE_RECORD_##NAME,
    WIRE_RECORDS(X)
#undef X
        WIRE_RECORD_TYPE_COUNT
};

/* At the start of the first cell's payload. */
struct wire_record {
    uint16_t type;   /* enum wire_record_type */
    uint16_t length; /* bytes after this header, all parts together */
    uint32_t pad;
};
static_assert(sizeof(struct wire_record) == 8, "wire_record");

enum wire_family { WIRE_FAMILY_NONE, WIRE_FAMILY_INET, WIRE_FAMILY_INET6, WIRE_FAMILY_UNIX };

struct wire_address {
    uint8_t family; /* enum wire_family */
    uint8_t pad;
    uint16_t port;  /* host order */
    uint8_t ip[16]; /* network order; the first 4 bytes for INET */
};
static_assert(sizeof(struct wire_address) == 20, "wire_address");

enum wire_span_kind { WIRE_KIND_SERVER = 2, WIRE_KIND_CLIENT = 3 }; /* OTLP's numbers */

/* What went wrong. X(NAME, error.type). HTTP 5xx is no error here: the agent derives that from the status. */
#define WIRE_ERRORS(X)                                                                                                 \
    X(NONE, "")                                                                                                        \
    X(CLIENT_CLOSED, "client_closed")                                                                                  \
    X(CONNECTION_RESET, "connection_reset")                                                                            \
    X(NO_RESPONSE, "no_response")                                                                                      \
    X(RESPONSE_INCOMPLETE, "response_incomplete")                                                                      \
    X(TIMEOUT, "timeout")                                                                                              \
    X(PROCESS_EXITED, "process_exited")                                                                                \
    X(BAD_FRAMING, "bad_framing")                                                                                      \
    X(CONNECTION_REFUSED, "connection_refused")                                                                        \
    X(OTHER, "_OTHER")                                                                                                 \
    X(HOST_UNREACHABLE, "host_unreachable")

enum wire_error {
#define X(NAME, text) WIRE_ERROR_##NAME,
    WIRE_ERRORS(X)
#undef X
        WIRE_ERROR_COUNT
};

/* Methods known by name; the order is the wire's. OTHER carries WIRE_TEXT_METHOD. */
#define WIRE_METHODS(X) X(CONNECT) X(DELETE) X(GET) X(HEAD) X(OPTIONS) X(PATCH) X(POST) X(PUT) X(TRACE) X(QUERY)
enum wire_method {
    WIRE_METHOD_OTHER,
#define X(NAME) WIRE_METHOD_##NAME,
    WIRE_METHODS(X)
#undef X
        WIRE_METHOD_COUNT
};

/* In the place of HTTP's version: by what else than HTTP it was asked. X(NAME, network.protocol.name) */
#define WIRE_PROTOCOLS(X) X(FASTCGI, "fastcgi") X(SCGI, "scgi") X(UWSGI, "uwsgi") X(CGI, "cgi")
enum wire_protocol {
    WIRE_PROTOCOL_NONE,
#define X(NAME, name) WIRE_PROTOCOL_##NAME,
    WIRE_PROTOCOLS(X)
#undef X
        WIRE_PROTOCOL_COUNT
};

enum wire_request_flag {
    WIRE_REQUEST_SAMPLED = 1 << 0,
    WIRE_REQUEST_REMOTE_PARENT = 1 << 1, /* parent_span_id came by a header */
    WIRE_REQUEST_TRUNCATED = 1 << 2,     /* some text was cut */
    WIRE_REQUEST_HTTPS = 1 << 3,         /* url.scheme is https */
    WIRE_REQUEST_UPGRADED = 1 << 4,      /* 101, or a CONNECT tunnel */
    WIRE_REQUEST_BODY_SEEN = 1 << 5,     /* request_body_size is known */
    WIRE_REQUEST_RESPONSE_BODY_SEEN = 1 << 6,
    WIRE_REQUEST_FRAMING_AMBIGUOUS = 1 << 7, /* of a message: others may read it in another way */
    WIRE_REQUEST_FRAMING_INVALID = 1 << 8,   /* of a message: there is no rule for where it ends */
    WIRE_REQUEST_FRAMING_UNSEEN = 1 << 9,    /* of the response: it went by a way that is not seen */
    WIRE_REQUEST_AFTER_CLOSE = 1 << 10,      /* the client had asked to close before it: none unless it is answered */
    WIRE_REQUEST_BY_CURL = 1 << 11,          /* seen by libcurl's interface, not by its bytes */
    WIRE_REQUEST_CREDENTIALS = 1 << 12,      /* the target had a user or a password: they are left out */
    WIRE_REQUEST_NOT_CONNECTED = 1 << 13,    /* a client's: it could not connect, so there was no request */
    WIRE_REQUEST_XRAY_SAMPLED = 1 << 14,     /* by X-Ray's decision; SAMPLED is OTEL_TRACES_SAMPLER's */
    WIRE_REQUEST_RESPONSE_LENGTH = 1 << 15,  /* the response's head has a Content-Length */
};

/* In trace_flags: no record is made of it, even if all requests are wanted (it is ignored, or beyond the limit). */
#define WIRE_TRACE_UNWANTED 0x80u

/* Texts of a request: bytes already redacted, cut and bounded by the shim. Not NUL-terminated, not checked as UTF-8. */
enum wire_text {
    WIRE_TEXT_NONE,           /* taken back: to be passed over */
    WIRE_TEXT_METHOD,         /* as sent, when it is not a known one */
    WIRE_TEXT_PATH,           /* without query */
    WIRE_TEXT_QUERY,          /* without '?' */
    WIRE_TEXT_SERVER_ADDRESS, /* host only */
    WIRE_TEXT_CLIENT_ADDRESS, /* from Forwarded, X-Forwarded-For or the PROXY protocol; else the peer is it */
    WIRE_TEXT_USER_AGENT,
    WIRE_TEXT_TRACESTATE,
    WIRE_TEXT_PEER_PATH,       /* unix socket path of the peer; usually none */
    WIRE_TEXT_LOCAL_PATH,      /* unix socket path of the listener */
    WIRE_TEXT_REQUEST_HEADER,  /* "name: value", name in lower case */
    WIRE_TEXT_RESPONSE_HEADER, /* the same */
    WIRE_TEXT_CLIENT,          /* a struct wire_client */
    WIRE_TEXT_ERROR_TYPE,      /* instead of the words for enum wire_error */
    WIRE_TEXT_ERROR_MESSAGE,   /* in words; becomes the status's description */
    WIRE_TEXT_USER,            /* who sent it, by the header that SPANSHIM_USER_HEADER names */
    WIRE_TEXT_HOST,            /* the Host field as sent; only while X-Ray is on, as the next two */
    WIRE_TEXT_FORWARDED_FOR,   /* the X-Forwarded-For field, each address as SPANSHIM_CLIENT_IP says */
    WIRE_TEXT_XRAY_RULE,       /* name of the central rule that sampled it */
    WIRE_TEXT_LINK,            /* a struct wire_link: a trace that another of its headers names */
    WIRE_TEXT_PARENT,          /* one byte, enum wire_parent: a client's has none although requests are served */
    WIRE_TEXT_COUNT
};

/* Why it is not known for which request a client's is made: it may be several, or nothing leads from the only one to
 * it. */
#define WIRE_PARENTS(X) X(AMBIGUOUS, ambiguous) X(UNKNOWN, unknown)

enum wire_parent {
    WIRE_PARENT_NONE,
#define X(NAME, name) WIRE_PARENT_##NAME,
    WIRE_PARENTS(X)
#undef X
        WIRE_PARENT_COUNT
};

/* A context that came along beside the parent's. Copied out before use: not aligned. */
struct wire_link {
    uint8_t trace_id[16];
    uint8_t span_id[8];
};
static_assert(sizeof(struct wire_link) == 24, "wire_link");

/* More about a client's request. Durations in ns, 0: unknown or none. Copied out before use: not aligned. */
struct wire_client {
    uint32_t resend_count; /* 0: the first time */
    uint32_t pad;
    uint64_t resolve_ns; /* looking the name up; on a connection's first request, as the next two */
    uint64_t connect_ns; /* connecting */
    uint64_t tls_ns;     /* agreeing on keys */
    uint64_t sent_ns;    /* from the span's start until all of the request was sent */
};
static_assert(sizeof(struct wire_client) == 40, "wire_client");

/* One HTTP request: in its slot while it is open, copied into a record when it has ended. */
struct wire_request {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_span_id[8]; /* zero: a root */
    uint64_t start_ns;         /* CLOCK_MONOTONIC: first byte of the head seen, or about to be sent */
    uint64_t first_byte_ns;    /* first byte of the final response's head; 0: none */
    uint64_t end_ns;           /* 0 while open; in a record: the agent's own, made of a request that still is */
    uint64_t request_body_size;
    uint64_t response_body_size;
    uint16_t status;      /* 0: no response */
    uint16_t flags;       /* enum wire_request_flag */
    uint16_t server_port; /* from Host and the like; 0: unknown */
    uint8_t trace_flags;  /* W3C: 1 sampled, 2 random; and WIRE_TRACE_UNWANTED */
    uint8_t kind;         /* enum wire_span_kind */
    uint8_t method;       /* enum wire_method */
    uint8_t version;      /* 10, 11, 20, 30; enum wire_protocol; 0 unknown */
    uint8_t error;        /* enum wire_error */
    uint8_t withheld;     /* enum wire_withhold: why a client's request, or a response, has no trace header of ours */
    struct wire_address peer;
    struct wire_address local;
    uint16_t text_length; /* bytes used of text[] */
    uint16_t client_port; /* that goes with WIRE_TEXT_CLIENT_ADDRESS; 0: unknown */
    /* Entries of { uint8_t id; uint8_t pad; uint16_t length; uint8_t bytes[length]; }, packed, unaligned. */
    uint8_t text[];
};
static_assert(offsetof(struct wire_request, text) == 128, "wire_request");

/* Where a log comes from. */
enum wire_log_stream {
    WIRE_LOG_NONE,
    WIRE_LOG_STDOUT,
    WIRE_LOG_STDERR,
    WIRE_LOG_SYSLOG,
    WIRE_LOG_FILE, /* and above: files, by the shim's own numbers */
    WIRE_LOG_STREAMS = 64,
};

enum wire_log_flag {
    WIRE_LOG_CONTINUES = 1 << 0, /* the writer's next record of this stream goes on with the same call's bytes */
    WIRE_LOG_WHOLE = 1 << 1,     /* the call's bytes are a whole message: its last line ends with them */
    WIRE_LOG_SHARED = 1 << 2,    /* they are a buffer's that threads share */
};

enum { WIRE_LOG_PATH_MAX = 128 };

/* Some of what one call wrote to a log: bytes as they were written, cut anywhere. They follow this.
 *
 * Several threads may each write a line in pieces, by turns: pieces of one writer belong together. But programs also
 * have buffers that threads share and that are written when they are full, by any of them, wherever that cuts a line:
 * then whoever has no line of its own open goes on with that one. */
struct wire_log {
    uint64_t mono_ns;     /* CLOCK_MONOTONIC of the call */
    uint8_t trace_id[16]; /* of the request that the thread worked on; zero: none that is certain */
    uint8_t span_id[8];
    uint32_t lost_lines; /* ends of lines that were dropped before it, 1 if less was: there is a gap; 0: nothing was */
    uint32_t left_out;   /* bytes of the call's end that were not taken: it was too long */
    uint8_t stream;      /* enum wire_log_stream */
    uint8_t flags;       /* enum wire_log_flag */
    uint8_t severity;    /* of syslog's, plus one; 0: unknown */
    uint8_t path_length; /* of a file's path (its end, where it is longer), which stands in front of the bytes */
    uint32_t writer;     /* a number for the thread, odd */
};
static_assert(sizeof(struct wire_log) == 48, "wire_log");

/* Of a record, path and all. */
enum { WIRE_LOG_BYTES = WIRE_RECORD_MAX - sizeof(struct wire_record) - sizeof(struct wire_log) };

#endif
