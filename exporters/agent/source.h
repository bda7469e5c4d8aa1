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
struct log_lines;
struct process;
struct resource;
struct settings;
struct journal;
struct put_off;
struct xray_sampled;
struct zone;

/* What the agent knows of a lane; the truth is here, what stands in the mapping is only published. */
struct source_lane {
    struct source *source;
    uint64_t owner;            /* the word this was filled for; pid 0: nobody */
    struct process *process;   /* NULL: nobody */
    int pidfd;                 /* of the process; -1: none */
    bool watched;              /* its death will be told by `pidfd` */
    bool dead;                 /* the process is gone, or is another image now */
    bool dirty;                /* cells were left in writing */
    uint64_t start_ticks;      /* field 22 of /proc/PID/stat; 0: unknown */
    uint64_t unclear_since_ns; /* since when the claim isn't complete; 0: it is */
    uint64_t tail;
    uint64_t reclaimed;      /* cells before it were given back, or are left alone */
    uint64_t stuck_since_ns; /* since when the cell at the tail isn't ready; 0: it is */
    struct log_lines *lines; /* what its owner has logged and is no whole line yet; NULL: nothing */
    struct put_off *errors;  /* that it has printed and that wait to be reported; NULL: none */
    char fate[16];           /* the signal that its owner crashed of; empty: none */
    uint64_t stuck_head;     /* head at that time: cells before it have waited as long */
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

/* Where its records of one kind go. */
struct source_outlet {
    struct destinations *destinations; /* NULL: nothing is exported */
    struct journal *journal;           /* of the destinations */
    uint64_t journal_end;              /* position after its newest record there */
    uint64_t journal_woken;            /* the journal's end when the destinations were told */
};

struct log_event_record;
struct source;
/* Is told of each event of a lane's log. */
typedef void source_see_event(struct source *source, uint32_t lane, const struct log_event_record *event,
                              struct slice text);

struct source {
    struct source *next; /* in intake's list */
    uint32_t id;         /* the keeper's number */
    uint32_t lane_count, slot_count, cell_count;
    size_t lane_stride, slots_offset, cells_offset, size;
    size_t crash_offset, copies_offset; /* crash_offset 0: this mapping has no room for crashes */
    uint32_t copy_count;
    uint32_t crash_limit_ms; /* its processes wait so long when they crash */
    int ring_memfd;          /* valid while mapped */
    uint8_t *map;            /* NULL: finished, only what describes it is kept */
    struct wire_control *control;
    size_t control_size; /* below sizeof(struct wire_control): one of an early shim, without room for rules */
    struct source_lane *lanes;

    pid_t pid; /* of the process that handed it over, in our namespace; 0: unknown */
    uid_t uid;
    char user[USER_NAME_MAX]; /* its name or number; empty: it was gone already */
    pid_t own_pid;            /* the same in its own namespace */
    int pidfd;                /* -1: none */
    uint64_t start_ticks;
    uint64_t stack_start; /* of its image: another one has another; 0: not to be seen */
    bool first_dead;
    uint64_t first_died_ns; /* CLOCK_MONOTONIC when that was noticed; 0: it was dead already */
    bool same_pids;         /* its pid namespace is ours */
    bool pids_visible;      /* its numbers can be looked up in /proc */
    bool same_clock;        /* its time namespace is ours */

    int64_t wall_offset_ns;
    uint64_t started_unix_ns;
    bool resumed; /* of the worker before, and not gone on with yet */
    char *executable;
    struct settings *settings;
    struct resource *resource;
    struct zone *zone;  /* its programs' time zone; NULL: UTC */
    json_t *xray_place; /* what X-Ray is told of where it runs; NULL: nothing */
    struct source_outlet outlets[SIGNAL_COUNT];
    int request_lines;            /* enum request_lines; off where logs go nowhere */
    bool wants_unsampled;         /* the shim is asked for requests that nobody samples, too */
    uint32_t in_progress_ms;      /* a request that takes longer is told of while it is open; 0: none is */
    uint64_t in_progress_seen_ns; /* when such requests were looked for last; 0: not yet */
    struct xray_sampled *sampled; /* its sampling rules of X-Ray; NULL: none decide there */
    struct source_counts *counts; /* in the control page: the next worker goes on with them; NULL: not mapped */

    bool pressed, pending;   /* what the last look came to */
    uint32_t bell;           /* the crash bell when the lanes were looked at for crashes */
    bool is_unheard;         /* and not all owners were known then */
    bool listens;            /* the waiter watches the crash bell */
    uint64_t misheard_ns;    /* when it rang last and no crash was found; 0: it wasn't the last time */
    bool asleep;             /* `asleep` is set in the mapping and the waiter watches it */
    uint64_t last_active_ns; /* something was taken */
    uint64_t quiet_since_ns; /* since when nobody is known to be left; 0: somebody is */
    uint64_t check_at_ns;    /* when to look again whether it is mapped */
    bool over;               /* nobody maps it any more */

    source_see_event *see_event; /* NULL: nobody looks for errors in its logs */
    uint64_t error_second;       /* in which its programs printed one last (CLOCK_MONOTONIC), */
    uint32_t error_count;        /* and how many then */
};

/* Map what was handed over: seals, size and geometry are checked, everything copied once. Fills the mapping's fields.
 * 0, -EBADMSG when it can't be a ring, -ENOTSUP for an unknown version, or -errno. Context: loop. */
int source_map(struct source *source, int ring_memfd, int control_memfd);

/* The control page alone, as source_map does it. Context: loop. */
int source_map_control(struct source *source, int control_memfd);

/* Give the mapping back; the rest stays. Context: loop. */
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
