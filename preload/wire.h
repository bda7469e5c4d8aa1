/* SPDX-License-Identifier: Apache-2.0 */
/* What the shim and the agent agree on: here the mapping that they share and the control page; in parts that this
 * header includes, and nobody else does, the records in it (wire_record.h), a crash (wire_crash.h), X-Ray's sampling
 * rules (wire_xray.h), and the message that hands it over (wire_message.h).
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

#include "preload/wire_crash.h"
#include "preload/wire_message.h"
#include "preload/wire_record.h"
#include "preload/wire_xray.h"

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

/* Does a reader of this version understand what a writer of that version made? Context: pure. */
static inline bool wire_version_is_readable(unsigned version)
{
    return version == WIRE_VERSION || version + 1 == WIRE_VERSION;
}

enum {
    WIRE_PAGE = 4096,
    WIRE_SLOT_SIZE = 2048,
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
    uint64_t crash_offset;  /* of the struct wire_crash within a lane */
    uint64_t copies_offset; /* of the first copy area, in the mapping */
    uint32_t copy_count;    /* at most WIRE_CRASH_COPIES_MAX; each WIRE_CRASH_COPY_SIZE bytes */
    /* 0: free, else a lane's number plus one. The shim claims, the agent frees. */
    _Atomic uint32_t copy_owner[WIRE_CRASH_COPIES_MAX];
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
static_assert(sizeof(struct wire_crash) <= WIRE_PAGE, "wire_crash");

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
static_assert(WIRE_COUNT_COUNT <= 8, "wire_lane.counted");

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
 *                     begun is compare-and-swapped to SKIPPED|lap, one still WRITING is left (quarantined) and
 *                     stepped over
 *           reclaim   cells of a whole page that are CONSUMED of their last lap are held as if written, then the page
 *                     is given back: all of it reads as zero again, FREE of no lap
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

/* By shifts: the count is a power of two, and a division takes longer than all else about a cell. Context: pure. */
static inline uint32_t wire_cell_word(uint64_t position, uint32_t cell_count, enum wire_cell_state state)
{
    return (uint32_t)(((position >> __builtin_ctz(cell_count)) + 1) << 2) | (uint32_t)state;
}

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

/* Context: pure. */
static inline struct wire_request *wire_slot_request(struct wire_slot *slot)
{
    return (struct wire_request *)(void *)slot->request;
}

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
static_assert(sizeof(struct wire_xray_rules) <= 4 * WIRE_PAGE, "wire_xray_rules");
static_assert(offsetof(struct wire_control, xray) == WIRE_CONTROL_SMALL, "wire_control");

#endif
