/* SPDX-License-Identifier: Apache-2.0 */
/* What the shim and the agent agree on: the mapping they share, the records in it, and the message that hands it over.
 *
 * Fixed width, little-endian, no pointers, padding explicit and zero. The agent treats all of it as hostile: it copies
 * a thing out once, then checks it. A change of layout raises WIRE_VERSION; an agent reads its own version and the one
 * before.
 *
 *   mapping:  wire_ring | lane 0 | lane 1 | ... | copies of stacks
 *             one per executed image, a memfd sealed against resizing
 *   lane:     wire_lane | slots[slot_count] | cells[cell_count] | wire_crash
 *             one per process, claimed by compare-and-swap
 *   control:  wire_control
 *             written by the agent, mapped read-only by the shim
 */
#ifndef SPANSHIM_WIRE_H
#define SPANSHIM_WIRE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC 0x4e415053u /* "SPAN" */

/* 2: lanes say that their owner can't wake the agent; a hand-over may be bequeathed. */
#ifndef WIRE_VERSION /* tests have shims of other versions */
#define WIRE_VERSION 2u
#endif

/* Does a reader of this version understand what a writer of that version made? */
static inline bool wire_version_is_readable(unsigned version)
{
    return version == WIRE_VERSION || version + 1 == WIRE_VERSION;
}

enum {
    WIRE_PAGE = 4096,
    WIRE_CELL_SIZE = 512,
    WIRE_CELL_PAYLOAD = WIRE_CELL_SIZE - 8,
    WIRE_SLOT_SIZE = 2048,
    WIRE_RECORD_CELLS_MAX = 5, /* the longest record: a slot's request and its header */
    WIRE_RECORD_MAX = WIRE_RECORD_CELLS_MAX * WIRE_CELL_PAYLOAD,
    WIRE_LANES_MAX = 32,
    WIRE_SLOTS_MAX = 4096,
    WIRE_CELLS_MAX = 8192, /* 4 MiB a lane */
    WIRE_SLOT_MAP_WORDS = WIRE_SLOTS_MAX / 64,
};

/* Why something was not recorded, counted per lane by the shim. X(NAME, name in status, what it means) */
#define WIRE_DROPS(X)                                                                                                  \
    X(RING_FULL, ring_full, "the ring was full: the agent did not keep up or was away")                                \
    X(NO_SLOT, no_slot, "more requests were open at once than the table holds")                                        \
    X(CONN_TABLE_FULL, conn_table_full, "more connections were open than the shim follows")                            \
    X(FD_LIMIT, fd_limit, "the descriptor's number is above the table")                                                \
    X(CONTENDED, contended, "two threads used one direction of a connection at once")                                  \
    X(PIPELINE_LIMIT, pipeline_limit, "more requests were pipelined on a connection than are followed")                \
    X(BAD_FRAMING, bad_framing, "the message framing was in doubt: the connection went passive")                       \
    X(CELL_LOST, cell_lost, "a record was given up because its cell was taken away")                                   \
    X(BLIND, blind, "bytes went by a way that is not seen (stdio on a socket, io_uring)")                              \
    X(RATE_LIMITED, rate_limited, "more spans in a second than SPANSHIM_MAX_SPANS_PER_SECOND allows")                  \
    X(BAGGAGE, baggage, "baggage was not passed on: requests brought too much of it at once")                          \
    X(LOG_LINES, log_lines, "lines of logs: the ring was full: the agent did not keep up or was away")

/* Why a request went out without our trace header, counted per lane by the shim; responses are counted as one, and
 * their span has the reason. X(NAME, name in status and in the span, what it means) */
#define WIRE_WITHHOLDS(X)                                                                                              \
    X(HEAD_TOO_LONG, head_too_long, "the head is near the length that servers refuse")                                 \
    X(TOO_MANY_FIELDS, too_many_fields, "the head is near the number of fields that servers refuse")                   \
    X(SIGNED, signed, "the request is signed, and the signature covers all its headers")                               \
    X(TOO_MANY_BUFFERS, too_many_buffers, "the call takes no more buffers")                                            \
    X(HEAD_CUT, head_cut, "the end of the head was on its way before all of it was seen")                              \
    X(PIPELINED, pipelined, "several requests went out in one call: only the first has the header")                    \
    X(UNSUITED_CALL, unsuited_call, "the call sends what must not be copied (MSG_ZEROCOPY, sendfile)")                 \
    X(NO_MEMORY, no_memory, "no room was left to put the head together")                                               \
    X(RESPONSE, response, "a response that was to have headers of ours, for one of the reasons above")                 \
    X(ENVIRONMENT, environment, "a program was started without the context: it has too many variables")

enum wire_withhold {
    WIRE_WITHHOLD_NONE,
#define X(NAME, name, help) WIRE_WITHHOLD_##NAME,
    WIRE_WITHHOLDS(X)
#undef X
        WIRE_WITHHOLD_COUNT
};

enum wire_drop {
#define X(NAME, name, help) WIRE_DROP_##NAME,
    WIRE_DROPS(X)
#undef X
        WIRE_DROP_COUNT
};

/* X-Ray's sampling rules */

enum {
    WIRE_XRAY_RULES_MAX = 64,
    WIRE_XRAY_TEXT_MAX = 12 * 1024,
    WIRE_XRAY_TALLIES_MAX = 64,
    WIRE_XRAY_TALLY_DEFAULT = WIRE_XRAY_TALLIES_MAX - 1, /* of the default rule, the shim's own and the agent's */
    WIRE_XRAY_NAME_MAX = 32,                             /* of a rule */
};

/* A pattern in a rule, or a rule's name: text in wire_xray_rules.text. Length 0: fits everything. */
struct wire_xray_text {
    uint16_t offset, length;
};

enum wire_xray_rule_flag {
    WIRE_XRAY_RULE_NAMES_SERVICE = 1 << 0, /* its ServiceName fits the service's fixed name */
    WIRE_XRAY_RULE_CENTRAL = 1 << 1,       /* X-Ray's own: the segment names it; else of a file, or the default */
};

/* One rule, made ready by the agent: rules that can't fit this service at all are left out, and so are patterns that
 * are
 * "*". Patterns are as preload/glob.h has them, any case of letters; a property that a request lacks fits, as with
 * X-Ray's SDKs. */
struct wire_xray_rule {
    uint8_t flags;           /* enum wire_xray_rule_flag */
    uint8_t tally;           /* whose reservoir and counts: an index into wire_ring.xray_tallies */
    uint16_t methods;        /* a bit for each enum wire_method that fits; OTHER's bit: to be looked at by `method` */
    uint32_t reservoir;      /* requests of a second that are taken before the rate counts; 0: none */
    uint64_t quota_until_ns; /* CLOCK_MONOTONIC; until then `reservoir` is a quota that X-Ray has granted; later, or 0,
                                one request of a second is borrowed where reservoir is above 0. UINT64_MAX: a local
                                rule's, which is its own for ever */
    uint64_t threshold;      /* of the rate, as struct sampler has it: 0 keeps all, 2^56 none */
    struct wire_xray_text name, service, host, method, path;
};
static_assert(sizeof(struct wire_xray_rule) == 48, "wire_xray_rule");

struct wire_xray_rules {
    uint32_t count; /* 0: none fits anything, and the shim's default counts */
    uint32_t text_length;
    uint64_t pad;
    struct wire_xray_rule rules[WIRE_XRAY_RULES_MAX]; /* the first that fits decides */
    char text[WIRE_XRAY_TEXT_MAX];
};
static_assert(sizeof(struct wire_xray_rules) <= 4 * WIRE_PAGE, "wire_xray_rules");

/* A rule's reservoir and counts, in wire_ring: written by all processes of the image, relaxed. */
struct wire_xray_tally {
    _Atomic uint64_t taken;    /* second of CLOCK_MONOTONIC << 32 | requests taken, or borrowed, in it */
    _Atomic uint32_t requests; /* that it fitted; these three only grow, and wrap around */
    _Atomic uint32_t sampled;  /* of these, borrowed ones too */
    _Atomic uint32_t borrowed;
    uint32_t pad;
};
static_assert(sizeof(struct wire_xray_tally) == 24, "wire_xray_tally");

/* the mapping */

/* Start of the mapping. Written by the shim before the hand-over, read-only afterwards but for `asleep`. */
struct wire_ring {
    uint32_t magic;
    uint16_t version;
    uint16_t header_size; /* WIRE_PAGE: where lane 0 starts */
    uint32_t lane_count;
    uint32_t slot_count; /* per lane */
    uint32_t cell_count; /* per lane, a power of two */
    uint32_t pad0;
    uint64_t lane_stride;  /* bytes from one lane to the next */
    uint64_t slots_offset; /* within a lane */
    uint64_t cells_offset; /* within a lane */
    uint64_t mapping_size;
    /* The same moment on both clocks; ns since the epoch, ns of CLOCK_MONOTONIC. */
    uint64_t anchor_wall_ns;
    uint64_t anchor_mono_ns;
    /* Room for a crash; all zero in a mapping that has none. */
    uint64_t crash_offset;          /* of the struct wire_crash within a lane */
    uint64_t copies_offset;         /* of the first copy area, in the mapping */
    uint32_t copy_count;            /* at most WIRE_CRASH_COPIES_MAX; each WIRE_CRASH_COPY_SIZE bytes */
    _Atomic uint32_t copy_owner[4]; /* 0: free, else a lane's number plus one. The shim claims, the agent frees */
    uint8_t pad1[20];
    /* 1 while the agent sleeps. A producer that sees 1 exchanges it for 0 and wakes one waiter (FUTEX_WAKE, shared).
     * Agent stores 1 (seq_cst), then looks at all heads again before it waits. */
    _Atomic uint32_t asleep;
    /* A dying process raises it by one and wakes a waiter (FUTEX_WAKE, shared) when it has stored READY or COPIED: the
     * agent waits for it at all times, for between two rounds it would hold the process too long. */
    _Atomic uint32_t crash_bell;
    uint8_t pad2[56];
    struct wire_xray_tally xray_tallies[WIRE_XRAY_TALLIES_MAX];
};
static_assert(sizeof(struct wire_ring) <= WIRE_PAGE, "wire_ring");
static_assert(offsetof(struct wire_ring, asleep) == 128, "wire_ring.asleep");

#define WIRE_PID_UNKNOWN 0x7fffffffu /* claimed by a process that may not ask for its own number (seccomp) */

/* One process's part. Lanes are claimed from the first up. */
struct wire_lane {
    /* generation << 32 | pid; pid 0 is free. The shim claims by compare-and-swap from (g, 0) to (g, pid); the agent,
     * when the process is gone and the lane is drained, clears slot_map and stores (g + 1, 0). */
    _Atomic uint64_t owner;
    uint64_t claimed_boot_ns;     /* CLOCK_BOOTTIME at the claim: a process that started later is not the owner */
    _Atomic uint32_t cannot_wake; /* 1: the owner may not make the system call that wakes the agent (seccomp) */
    uint8_t pad0[44];
    _Atomic uint64_t head; /* cells ever reserved; shim only (compare-and-swap) */
    uint8_t pad1[56];
    _Atomic uint64_t tail; /* cells ever given back; agent only (release; pairs with the shim's acquire) */
    uint8_t pad2[56];
    _Atomic uint64_t dropped[16];                   /* by enum wire_drop; shim only, relaxed */
    _Atomic uint64_t counted[8];                    /* by enum wire_count; shim only, relaxed */
    _Atomic uint64_t slot_map[WIRE_SLOT_MAP_WORDS]; /* bit set: the slot is in use */
    _Atomic uint64_t withheld[16];                  /* by enum wire_withhold; shim only, relaxed */
};
static_assert(WIRE_DROP_COUNT <= 16, "wire_lane.dropped");
static_assert(WIRE_WITHHOLD_COUNT <= 16, "wire_lane.withheld");
static_assert(sizeof(struct wire_lane) <= WIRE_PAGE, "wire_lane");

/* What was seen, whether or not it was recorded: totals for status. */
enum wire_count {
    WIRE_COUNT_REQUESTS, /* that were served */
    WIRE_COUNT_UNSAMPLED,
    WIRE_COUNT_CONNECTIONS,
    WIRE_COUNT_PASSIVE,
    WIRE_COUNT_IGNORED,         /* by the user's rules; not among the unsampled */
    WIRE_COUNT_CLIENT_REQUESTS, /* that were made; not among the served */
    WIRE_COUNT_INJECTED,        /* of these, with a trace header of ours */
    WIRE_COUNT_XRAY_SAMPLED,    /* of both, by X-Ray's own decision */
    WIRE_COUNT_COUNT
};

/* A cell's state is lap << 2 | enum wire_cell_state; lap = position / cell_count, position counts from lane start for
 * ever. A fresh mapping is all zero, and lap 0 is entered from FREE|0: laps are therefore stored plus one (position /
 * cell_count + 1), truncated to 30 bits.
 *
 *   shim:   reserve   head: h -> h + parts by compare-and-swap, when h + parts - tail <= cell_count
 *           begin     state -> WRITING|lap by compare-and-swap from a final state (FREE, CONSUMED or SKIPPED) of an
 *                     older lap; fails when the agent has SKIPPED|lap it, or somebody still holds it: CELL_LOST
 *           commit    continuation cells first, the first cell last: READY|lap (release)
 *   agent:  read      at tail..head, a READY cell (acquire) is copied, then set CONSUMED|lap, and tail moves; a
 *                     continuation cell (part > 0) met at the start of a record is stepped over
 *           skip      a cell not ready is waited for; after a time-out, or at once when the owner is dead, one not
 * begun is compare-and-swapped to SKIPPED|lap, one still WRITING is left (quarantined) and stepped over reclaim   cells
 * of a whole page that are CONSUMED of their last lap are held as if written, then the page is given back: all of it
 * reads as zero again, FREE of no lap
 */
enum wire_cell_state { WIRE_CELL_FREE = 0, WIRE_CELL_WRITING = 1, WIRE_CELL_READY = 2, WIRE_CELL_CONSUMED = 3 };
/* SKIPPED is FREE with a lap of its own: FREE|lap, lap > 0. */

struct wire_cell {
    _Atomic uint32_t state;
    uint8_t part;    /* 0 .. parts - 1 */
    uint8_t parts;   /* cells of the whole record */
    uint16_t length; /* payload bytes in this cell */
    uint8_t payload[WIRE_CELL_PAYLOAD];
};
static_assert(sizeof(struct wire_cell) == WIRE_CELL_SIZE, "wire_cell");

/* By shifts: the count is a power of two, and a division takes longer than all else about a cell. */
static inline uint32_t wire_cell_word(uint64_t position, uint32_t cell_count, enum wire_cell_state state)
{
    return (uint32_t)(((position >> __builtin_ctz(cell_count)) + 1) << 2) | (uint32_t)state;
}

/* records */

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

/* How far a slot is. The owner of the lane may die at any time, and what it left is the agent's then; a process that
 * shares the connection (a fork's child) may live on and end the request, into its own lane. */
enum wire_slot_open {
    WIRE_SLOT_CLOSED,        /* free, or not filled yet */
    WIRE_SLOT_OPEN,          /* filled (release) */
    WIRE_SLOT_ENDING,        /* claimed to be ended by the lane's owner, or after its death by the agent */
    WIRE_SLOT_ENDING_BY_KIN, /* claimed by another process: its record is none of this lane */
};

/* A slot of the in-flight table. */
struct wire_slot {
    /* Cells ever reserved plus one when the record was committed: set before the record is made ready, so that an agent
     * that finds the slot in use after the process's death can tell whether the record exists. 0: no record yet. */
    _Atomic uint64_t record_position;
    _Atomic uint32_t open;                            /* enum wire_slot_open; closed while it is free */
    uint32_t index;                                   /* of this slot in its lane; the shim's own note */
    _Alignas(8) uint8_t request[WIRE_SLOT_SIZE - 16]; /* a struct wire_request and its text */
};
static_assert(sizeof(struct wire_slot) == WIRE_SLOT_SIZE, "wire_slot");

enum { WIRE_SLOT_TEXT = WIRE_SLOT_SIZE - 16 - sizeof(struct wire_request) };

static inline struct wire_request *wire_slot_request(struct wire_slot *slot)
{
    return (struct wire_request *)(void *)slot->request;
}

/* a crash */

enum {
    WIRE_CRASH_STACK = 2048,
    WIRE_CRASH_TEXT = 512,
    WIRE_CRASH_REGISTERS = 23, /* as ucontext_t has them: gregs[], by REG_R8 and so on */
    WIRE_CRASH_SIGINFO = 128,
    WIRE_CRASH_COPIES_MAX = 4,
    WIRE_CRASH_COPY_SIZE = 256 * 1024,
};

/* Whose turn it is. The dying process waits on the word (FUTEX_WAIT, shared), bounded; the agent stores and wakes. Each
 * step is a compare-and-swap from the one before: who is late has lost.
 *
 *   shim:   NONE -> FILLING -> READY, then rings the crash bell
 *   agent:  READY -> READING; READING -> REFUSED when it may not read the process's memory; READING or COPIED -> DONE
 *   shim:   REFUSED -> COPIED, and rings again; READY, READING or COPIED -> ALONE when its time is over
 *   agent:  to NONE after the crash of a vfork's child: the parent, whose lane this is, lives on
 *
 * After the process's death whatever stands here is the agent's. */
enum wire_crash_state {
    WIRE_CRASH_NONE,
    WIRE_CRASH_FILLING, /* one thread writes; the others that crash wait for their end */
    WIRE_CRASH_READY,   /* complete: the process waits for the agent */
    WIRE_CRASH_READING, /* the agent has it */
    WIRE_CRASH_REFUSED, /* the agent asks for more of the stack */
    WIRE_CRASH_COPIED,  /* it is there, or there was no room: copy_number is 0 */
    WIRE_CRASH_DONE,    /* the agent needs the process no more */
    WIRE_CRASH_ALONE,   /* the process waits no more */
};

enum wire_crash_flag {
    WIRE_CRASH_HANDLED = 1 << 0,     /* the program's own handler ran, and did not help: `death` is what came of it */
    WIRE_CRASH_EXITED = 1 << 1,      /* that handler ended the process by exit: `death_signal` is 0 */
    WIRE_CRASH_VFORK_CHILD = 1 << 2, /* pid is a vfork child's, not the lane's owner's */
    WIRE_CRASH_TOLD = 1 << 3, /* by the agent: it is reported, so the owner's death is no news to the next worker */
};

/* In each lane, at crash_offset. One crash per process; hostile as all else. */
struct wire_crash {
    _Atomic uint32_t state; /* enum wire_crash_state */
    uint32_t flags;         /* enum wire_crash_flag */
    uint32_t pid, tid;      /* of the crashed thread, in its own namespace */
    int32_t death_signal;   /* that the process dies of */
    /* Of the text of /proc/self/maps, which is in the copy area behind the stack (rounded up to 8): who is refused the
     * memory is refused the maps, too. 0: none. */
    uint32_t maps_length;
    uint64_t mono_ns;        /* CLOCK_MONOTONIC of the fault */
    uint64_t thread_pointer; /* fs base */
    uint64_t handler;        /* the program's own that ran since the fault; 0: none */
    uint8_t trace_id[16];    /* of the request that the thread worked on; zero: none */
    uint8_t span_id[8];
    uint8_t siginfo[WIRE_CRASH_SIGINFO];      /* as the kernel gave it at the fault */
    uint64_t registers[WIRE_CRASH_REGISTERS]; /* at the fault */
    uint64_t stack_at;                        /* address of stack[0]; 0: none */
    uint64_t copy_at;                         /* address of the copy area's first byte */
    uint32_t stack_length;
    uint32_t copy_length;
    uint32_t copy_number; /* of the copy area plus one; 0: none */
    uint32_t text_length;
    char text[WIRE_CRASH_TEXT];      /* libc's last words: what it says when it aborts */
    uint8_t stack[WIRE_CRASH_STACK]; /* from the stack pointer (less the red zone) up */
};
static_assert(WIRE_CRASH_COPIES_MAX == sizeof(((struct wire_ring *)0)->copy_owner) / sizeof(uint32_t), "copies");
static_assert(sizeof(struct wire_crash) <= WIRE_PAGE, "wire_crash");

/* control page */

enum wire_want {
    WIRE_WANT_UNSAMPLED = 1 << 0,  /* records of requests that nobody samples, too */
    WIRE_WANT_XRAY_ALONE = 1 << 1, /* none of those that only OTEL_TRACES_SAMPLER keeps: nobody takes them */
};

/* Written by the agent, read-only in the target. All zero is valid and means "as started". A shim of an early release
 * has a page alone (WIRE_CONTROL_SMALL): it knows nothing of rules. */
struct wire_control {
    _Atomic uint32_t version;      /* WIRE_VERSION once an agent has taken the ring */
    _Atomic uint32_t disabled;     /* 1: hooks only forward */
    uint64_t agent_counts[8];      /* the agent's own notes, for the worker that comes after this one */
    _Atomic uint32_t crash_wanted; /* 1: a crash is read by the agent, so waiting for it makes sense */
    _Atomic uint32_t wanted;       /* enum wire_want */
    /* Rules published so far; 0: none yet. The newest are in xray[xray_generation & 1]; the agent fills the other one,
     * then raises this (release). Who has read them looks again (acquire): raised meanwhile, the place may be one that
     * the agent fills anew. */
    _Atomic uint32_t xray_generation;
    uint8_t pad[WIRE_PAGE - 20 - 8 * sizeof(uint64_t)];
    struct wire_xray_rules xray[2];
};
enum { WIRE_CONTROL_SMALL = WIRE_PAGE };
static_assert(offsetof(struct wire_control, xray) == WIRE_CONTROL_SMALL, "wire_control");

/* the agent's socket */

/* AF_UNIX, SOCK_SEQPACKET. A connection carries one message. The shim sends its hand-over without waiting and closes;
 * the command line waits for an answer (JSON text, then end of file). Both ends check SO_PEERCRED: the
 * shim trusts its own uid and root, the agent those too, and whom it is told to serve. */
enum wire_message_type {
    WIRE_MESSAGE_HANDOVER = 1, /* descriptors: ring memfd, control memfd */
    WIRE_MESSAGE_STATUS = 2,
    WIRE_MESSAGE_FLUSH = 3,
    WIRE_MESSAGE_CONSOLE = 4, /* descriptor: where to print; text: eSPANSHIM_SESSION=...; answered when it ends */
    WIRE_MESSAGE_STOP = 5,
    WIRE_MESSAGE_BEQUEST = 6, /* a hand-over passed on by another process: `pid`, of the same user, is whose it is */
    WIRE_MESSAGE_REPORT = 7,  /* a person's, to be sent on; text: lLEVEL, tTITLE, mMESSAGE, and e and w as below */
    WIRE_MESSAGE_BARRIER = 8, /* answered when what came before it, hand-overs too, was taken */
};

enum { WIRE_MESSAGE_MAX = 32768 };

/* Variables that a hand-over carries to describe a pod of Kubernetes, as manifests name what the downward API gives,
 * and the one that the kubelet sets in every container. X(attribute, VARIABLE) */
#define WIRE_POD_MARK "KUBERNETES_SERVICE_HOST"
#define WIRE_POD_VARIABLES(X)                                                                                          \
    X("k8s.pod.name", K8S_POD_NAME)                                                                                    \
    X("k8s.pod.name", OTEL_RESOURCE_ATTRIBUTES_POD_NAME)                                                               \
    X("k8s.pod.name", POD_NAME)                                                                                        \
    X("k8s.pod.uid", K8S_POD_UID)                                                                                      \
    X("k8s.pod.uid", OTEL_RESOURCE_ATTRIBUTES_POD_UID)                                                                 \
    X("k8s.pod.uid", POD_UID)                                                                                          \
    X("k8s.namespace.name", K8S_NAMESPACE_NAME)                                                                        \
    X("k8s.namespace.name", K8S_NAMESPACE)                                                                             \
    X("k8s.namespace.name", POD_NAMESPACE)                                                                             \
    X("k8s.node.name", K8S_NODE_NAME)                                                                                  \
    X("k8s.node.name", OTEL_RESOURCE_ATTRIBUTES_NODE_NAME)                                                             \
    X("k8s.node.name", NODE_NAME)                                                                                      \
    X("k8s.container.name", K8S_CONTAINER_NAME)                                                                        \
    X("k8s.container.name", CONTAINER_NAME)                                                                            \
    X("k8s.cluster.name", K8S_CLUSTER_NAME)

struct wire_message {
    uint32_t magic;
    uint16_t version;
    uint16_t type;        /* enum wire_message_type */
    uint32_t pid;         /* of the sender, in its own namespace: a hint */
    uint32_t text_length; /* bytes after this header */
    uint64_t boot_ns;     /* CLOCK_BOOTTIME when it was sent */
    /* Then text: NUL-terminated entries, told apart by their first byte:
     *   x<path of the executable>   a<argument> (argv in order, each)   w<working directory>   e<NAME=value> (settings)
     *   o<NAME> (the first setting that was left out: it or all of them are too long)
     *   f<number> (what is wrong with the system's file of settings: -errno, or the first line that is no assignment)
     */
};
static_assert(sizeof(struct wire_message) == 24, "wire_message");

#endif
