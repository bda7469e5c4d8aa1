/* SPDX-License-Identifier: Apache-2.0 */
/* One hand-over: the mapped ring of an executed image, what is known of its lanes, and where its records go. Mapped and
 * checked here; made by intake.c, watched by rounds.c, read by lanes.c and drain.c. Everything in the mapping is
 * hostile. */
#ifndef SPANSHIM_SOURCE_H
#define SPANSHIM_SOURCE_H

#include "exporters/agent/loop.h"
#include "exporters/agent/user_name.h"
#include "exporters/exporter.h"
#include "preload/slice.h"
#include "preload/wire.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct destinations;
struct lane_log;
struct process;
struct resource;
struct settings;
struct journal;
struct put_off;
struct xray_sampled;
struct zone;

/* What the agent knows of a lane. Decisions are made by this copy, never by what the mapping says: that is hostile. */
struct source_lane {
    struct source *source;
    uint64_t owner;            /* the lane's owner word that the rest was filled for; pid 0: no owner */
    struct process *process;   /* its owner; NULL: none */
    int pidfd;                 /* of the process; -1: none */
    bool watched;              /* the loop watches `pidfd` for its death */
    bool dead;                 /* the process is gone, or executes another program now */
    bool dirty;                /* a writer died in the middle of a cell */
    uint64_t start_ticks;      /* field 22 of /proc/PID/stat; 0: unknown */
    uint64_t unclear_since_ns; /* since when a claim of the lane is not complete; 0: it is */
    uint64_t tail;
    uint64_t lined_end;      /* after a restart: records before it have their request lines, */
    uint64_t lined_slot;     /* and so has the open request of this slot, counted from 1; 0: none */
    uint64_t reclaimed;      /* the memory of cells before it was given back, or is left alone */
    uint64_t stuck_since_ns; /* since when the cell at the tail isn't ready; 0: it is */
    struct lane_log *log;    /* what its owner has logged and waits to be joined; NULL: nothing yet */
    struct put_off *errors;  /* errors that its owner has printed and that wait to be reported; NULL: none */
    char fate[16];           /* name of the signal that its owner crashed of; empty: none */
    uint64_t stuck_head;     /* the head at stuck_since_ns: cells before it have waited as long */
};

struct source_counts {
    uint64_t taken_count;       /* records */
    uint64_t corrupt_count;     /* records or lanes that made no sense */
    uint64_t quarantined_count; /* cells left in writing */
    uint64_t skipped_count;     /* cells reserved and never begun */
    uint64_t abandoned_count;   /* open requests of dead processes, exported as errors */
    uint64_t log_event_count;   /* events of logs */
    uint64_t log_cut_count;     /* of these, whose end was left out: they were too long */
};

/* Where a source's records of one kind go. */
struct source_outlet {
    struct destinations *destinations; /* NULL: nothing is exported */
    struct journal *journal;           /* of the destinations */
    uint64_t journal_end;              /* position after its newest record there */
    uint64_t journal_woken;            /* the journal's end when the destinations were last woken */
};

struct log_event_record;
struct source;
/* Called for each event of a lane's log. */
typedef void source_see_event(struct source *source, uint32_t lane, const struct log_event_record *event,
                              struct slice text);

struct source {
    struct source *next; /* in intake's list */
    uint32_t id;         /* the keeper's number */
    uint32_t lane_count, slot_count, cell_count;
    size_t lane_stride, slots_offset, cells_offset, size;
    size_t crash_offset, copies_offset; /* crash_offset 0: this mapping has no room for crashes */
    uint32_t copy_count;
    uint32_t crash_limit_ms; /* how long a crashing process of it waits for us */
    int ring_memfd;          /* valid while mapped */
    uint8_t *map;            /* NULL: unmapped; only what describes the source is kept */
    struct wire_control *control;
    size_t control_size; /* below sizeof(struct wire_control): an early shim's, without room for sampling rules */
    struct source_lane *lanes;

    pid_t pid; /* of the process that handed it over, in our namespace; 0: unknown */
    uid_t uid;
    char user[USER_NAME_MAX]; /* its name or number; empty: it was gone already */
    pid_t own_pid;            /* its number in its own namespace */
    int pidfd;                /* -1: none */
    uint64_t start_ticks;
    uint64_t stack_start;   /* where its stack starts: changes with each exec; 0: not visible */
    bool first_dead;        /* the process that handed it over is dead, or executes another program */
    uint64_t first_died_ns; /* CLOCK_MONOTONIC when its death was noticed; 0: it was dead when it was handed over */
    bool same_pids;         /* its pid namespace is ours */
    bool pids_visible;      /* its numbers can be looked up in /proc */
    bool same_clock;        /* its time namespace is ours */

    int64_t wall_offset_ns;
    uint64_t started_unix_ns;
    bool resumed; /* taken over from the worker before; cleared once it goes on */
    char *executable;
    struct settings *settings;
    struct resource *resource;
    struct zone *zone;  /* its programs' time zone; NULL: UTC */
    json_t *xray_place; /* where it runs, as X-Ray's documents say it; NULL: nothing */
    struct source_outlet outlets[SIGNAL_COUNT];
    int request_lines;            /* enum request_lines; off where logs go nowhere */
    bool wants_unsampled;         /* a destination takes requests that no sampler wants, too */
    uint32_t in_progress_ms;      /* a request that takes longer is exported once before it ends; 0: none is */
    uint64_t in_progress_seen_ns; /* when such requests were looked for last; 0: not yet */
    struct xray_sampled *sampled; /* X-Ray's sampling rules for it; NULL: none apply */
    struct source_counts *counts; /* in the control page: the next worker goes on with them; NULL: not mapped */

    bool pressed, pending;   /* struct lanes_look's, of the last look */
    uint32_t bell;           /* the crash bell's value when the lanes were last searched for crashes */
    bool is_unheard;         /* not all owners were known then: search again */
    bool listens;            /* the waiter watches the crash bell */
    uint64_t misheard_ns;    /* when the bell last rang without a crash; 0: the last time there was one */
    bool asleep;             /* `asleep` is set in the mapping and the waiter watches it */
    uint64_t last_active_ns; /* when something was last taken */
    uint64_t quiet_since_ns; /* since when no process of it is known to live; 0: one is */
    uint64_t check_at_ns;    /* when to look again whether it is mapped */
    bool over;               /* no process maps it any more */

    source_see_event *see_event; /* looks for errors in its logs; NULL: not wanted */
    uint64_t error_second;       /* the second of CLOCK_MONOTONIC in which its programs last printed an error */
    uint32_t error_count;        /* how many in that second */
};

/* Map what was handed over: seals, size and geometry are checked, everything copied once. Fills the mapping's fields.
 * 0, -EBADMSG when it can't be a ring, -ENOTSUP for an unknown version, or -errno. Context: loop. */
int source_map(struct source *source, int ring_memfd, int control_memfd);

/* The control page alone, as source_map does it. Context: loop. */
int source_map_control(struct source *source, int control_memfd);

/* Give back what is mapped of it, if anything is; the rest stays. Context: loop. */
void source_unmap(struct source *source);

/* Does nobody but us map the ring any more? 1, and then nobody ever will: it is ours alone; 0; -EPERM when it can't be
 * told; another -errno when the mapping was lost. Pointers into the mapping are void afterwards, and its pages are
 * given back. Context: loop. */
int source_is_abandoned(struct source *source);

/* The name of segments of its processes whose Host gives them none. Borrowed. Context: loop. */
const char *source_xray_name(const struct source *source);

/* Bounded by what source_map checked. Context: loop. */
static inline struct wire_ring *source_ring(const struct source *source)
{
    return (struct wire_ring *)(void *)source->map;
}

static inline struct wire_lane *source_lane(const struct source *source, uint32_t lane)
{
    return (struct wire_lane *)(void *)(source->map + WIRE_PAGE + lane * source->lane_stride);
}

static inline struct wire_slot *source_slot(const struct source *source, uint32_t lane, uint32_t slot)
{
    return (struct wire_slot *)(void *)((uint8_t *)source_lane(source, lane) + source->slots_offset) + slot;
}

static inline struct wire_cell *source_cell(const struct source *source, uint32_t lane, uint64_t position)
{
    return (struct wire_cell *)(void *)((uint8_t *)source_lane(source, lane) + source->cells_offset) +
           (position & (source->cell_count - 1));
}

/* NULL: this mapping has no room for crashes. Context: loop. */
static inline struct wire_crash *source_crash(const struct source *source, uint32_t lane)
{
    uint8_t *start = (uint8_t *)source_lane(source, lane);

    return source->crash_offset ? (struct wire_crash *)(void *)(start + source->crash_offset) : NULL;
}

#endif
