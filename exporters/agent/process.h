/* SPDX-License-Identifier: Apache-2.0 */
/* An instrumented process as the agent knows it: whose record is this, what describes it, where does it go.
 * Made for each process that claims a lane of a ring; kept while records that name it are in a journal.
 * The identity comes from the kernel; the facts come from the hand-over and from nothing in the records. */
#ifndef SPANSHIM_PROCESS_H
#define SPANSHIM_PROCESS_H

#include "exporters/agent/user_name.h"
#include "exporters/exporter.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct destinations;
struct last_lines;
struct recent;
struct resource;
struct routes;
struct source;
struct journal_origin;
struct zone;

enum { PROCESS_FRAMES_MAX = 50, PROCESS_EXCEPTIONS_MAX = 32 };

/* What the process died of, or an error that it printed, for the span of the request that it worked on. Texts are
 * UTF-8, NULL only where that is said. */
struct process_exception {
    uint8_t span_id[8]; /* zero: no request is known */
    bool is_crash;
    uint64_t unix_ns;
    char *type, *message, *stacktrace;
    char *working_directory; /* NULL: not known */
    /* The calls as an array of { path, line, label }, the innermost first, at most PROCESS_FRAMES_MAX: the source file,
     * else the program or library; the line where it is known; the function, else the address. */
    json_t *frames;
    uint64_t frames_left_out;
};

struct process {
    struct process *next;     /* in its bucket of the table */
    struct source *from;      /* the ring it came by; outlives it */
    uint32_t source;          /* the keeper's number of the hand-over (ring) it came by */
    uint32_t lane;            /* lane in that ring */
    uint32_t generation;      /* of the lane */
    pid_t pid;                /* in the agent's namespace; 0: unknown */
    pid_t parent_pid;         /* the same; 0: unknown, or not there */
    uid_t uid;                /* effective */
    char user[USER_NAME_MAX]; /* its name, or number; empty: unknown */
    uint64_t refreshed_ns;    /* when these three were looked up; 0: not yet */
    uint64_t believed_ns;     /* how long they are believed from then on: not at first, and longer each time */
    uint64_t started_unix_ns;
    bool is_start_known;                /* else started_unix_ns is when it was met */
    bool ended;                         /* and gone from its lane: kept for its records only */
    uint64_t journal_end[SIGNAL_COUNT]; /* position after its newest record in the journal of each kind */
    uint8_t instance_id[16]; /* UUID of service.instance.id: one per process, the same after a restart of the worker */
    int64_t wall_offset_ns;  /* wall clock minus its CLOCK_MONOTONIC */
    const struct resource *resource;   /* owned by the source: shared by the image's processes */
    const struct routes *routes;       /* the same; NULL: none */
    const char *known_methods;         /* the same: comma separated; NULL: the wire's own */
    const struct zone *zone;           /* the same: its time zone; NULL: UTC */
    const char *xray_name;             /* the same: of segments whose Host gives them none */
    const json_t *xray_place;          /* the same: where it runs, as segments have it; NULL: not told */
    const char *xray_url;              /* the same: the Hosts that do, a pattern; NULL: none */
    struct destinations *destinations; /* where its records go */
    struct recent *recent;             /* its last requests; NULL: none yet */
    struct last_lines *last_lines;     /* of its logs; the same */
    /* The last ones, a ring; exception_count: ever. */
    struct process_exception *exceptions[PROCESS_EXCEPTIONS_MAX];
    size_t exception_count;
};

/* The process a journaled record came from; NULL when its ring is not known any more. Borrowed until the entry has been
 * acknowledged by all consumers. Context: loop. */
struct process *process_find(const struct journal_origin *origin);

/* Once, before any process is made: what tells the instance ids of this agent from another's. Context: start. */
void process_init(const uint8_t seed[16]);

/* A process that claimed a lane. NULL when out of memory. Context: loop. */
struct process *process_new(struct source *source, uint32_t lane, uint32_t generation, pid_t pid);

/* An id made of the process's identity and a number: the same after a restart of the worker. Context: loop. */
void process_derive_id(const struct process *process, uint64_t number, uint8_t id[16]);

/* It crashed, or printed an error: all is copied, but for the frames, which are shared. Context: loop. */
void process_add_exception(struct process *process, const struct process_exception *exception);

/* The newest of the request with this id, borrowed; NULL: none. Context: loop. */
const struct process_exception *process_find_exception(const struct process *process, const uint8_t span_id[8]);

/* Look up its user and its parent once more: a server changes its user after its start, before it serves. Cheap when it
 * was done lately.
 * `pidfd` is the process's. Context: loop. */
void process_refresh(struct process *process, int pidfd, uint64_t now_ns);

/* Forget those that ended and whose records are all delivered; those of one source, whatever they have. How many are
 * left that ended. Context: loop. */
size_t process_sweep(void);
void process_forget(const struct source *source);

/* The wall clock was set: processes whose clock is ours follow it. Context: loop. */
void process_set_wall_offset(int64_t wall_offset_ns);

/* All that have not ended, for status. Context: loop. */
void process_visit(void (*visit)(void *arg, const struct process *process), void *arg);

#endif
