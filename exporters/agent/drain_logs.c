/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/drain_logs.h"

#include "exporters/agent/drain_internal.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/last_lines.h"
#include "exporters/agent/log.h"
#include "exporters/agent/log_lines.h"
#include "exporters/agent/log_wal.h"
#include "exporters/agent/process.h"
#include "exporters/agent/reading.h"
#include "exporters/agent/source.h"
#include "exporters/encode/buffer.h"
#include "preload/wire.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAITING_MAX = 4 << 20, /* bytes that may wait, of all processes' lines */
    ATTEMPTS_MAX = 5,      /* so many workers may crash while they read the write-ahead log */
};
static_assert((int)WAITING_MAX < (int)LOG_WAL_SAVED_MAX, "what waits can be saved");

/* What the owner of a lane has logged. */
struct lane_log {
    struct lane_log *next;
    struct source *source;
    struct journal_origin origin; /* the lane, and the latest piece that was taken from it */
    struct log_lines *lines;
    size_t waiting;      /* its part of `total` */
    unsigned skip_count; /* so many of its next events are in the journal already */
};

/* Loop only. */
static struct {
    drain_logs_hold *hold; /* NULL: nobody holds it, or it was tried already */
    struct log_wal *wal;   /* NULL: there is none */
    struct lane_log *list;
    size_t total; /* bytes that wait, of all */
} logs;

/* The state of the log's lane. NULL: another process has the lane now, or its ring is gone. */
static struct source_lane *lane_of(const struct lane_log *log)
{
    struct source_lane *state = log->source->map ? &log->source->lanes[log->origin.lane] : NULL;

    return state && state->log == log ? state : NULL;
}

/* events */

static void count_event(struct source *source, const struct log_event_record *event)
{
    source->counts->log_event_count++;
    source->counts->log_cut_count += (event->flags & LOG_EVENT_CUT) != 0;
}

/* The agent's own uses of an event: counts, errors that are reported, the last lines for crash reports. */
static void note_event(struct source_lane *state, const struct log_event_record *event, struct slice text)
{
    struct source *source = state->source;

    count_event(source, event);
    if (source->see_event)
        source->see_event(source, (uint32_t)(state - source->lanes), event, text);
    if (state->process)
        last_lines_note(&state->process->last_lines, event, text);
}

/* An event is whole: add it to the journal. */
static void append_event(void *arg, const struct log_lines_place *place, const struct log_event_record *event,
                         const char *path, const char *text)
{
    static struct buffer entry; /* loop only */
    struct lane_log *log = arg;
    struct source_lane *state = lane_of(log);
    struct journal_origin origin = log->origin;

    if (log->skip_count > 0) {
        log->skip_count--;
        return;
    }
    if (state)
        note_event(state, event, (struct slice){text, event->header.pad});
    origin.position = place->position;
    origin.cells = place->cells;
    entry.length = 0;
    if (buffer_append(&entry, event, sizeof(*event)) == 0 && buffer_append(&entry, path, event->path_length) == 0 &&
        buffer_append(&entry, text, event->header.pad) == 0)
        drain_put(log->source, SIGNAL_LOGS, &origin, state ? state->process : NULL, entry.bytes, entry.length);
}

/* what waits */

static void count_waiting(struct lane_log *log)
{
    size_t waiting = log_lines_waiting(log->lines);

    logs.total += waiting - log->waiting;
    log->waiting = waiting;
}

static struct lane_log *new_log(struct source *source, const struct journal_origin *origin)
{
    struct lane_log *log = calloc(1, sizeof(*log));
    struct log_lines *lines = log ? log_lines_new(append_event, log) : NULL;

    if (!lines) {
        free(log);
        return NULL;
    }
    *log = (struct lane_log){.next = logs.list, .source = source, .origin = *origin, .lines = lines};
    logs.list = log;
    return log;
}

static void free_log(struct lane_log *log)
{
    struct lane_log **link = &logs.list;

    while (*link != log)
        link = &(*link)->next;
    *link = log->next;
    logs.total -= log->waiting;
    log_lines_free(log->lines);
    free(log);
}

/* the write-ahead log */

static void save_writer(void *arg, const void *bytes, size_t length)
{
    const struct lane_log *log = arg;

    log_wal_save(logs.wal, &(struct log_wal_entry){
                               .kind = LOG_WAL_WRITER, .origin = log->origin, .bytes = bytes, .length = length});
}

static void save_all(void)
{
    log_wal_save_begin(logs.wal);
    for (struct lane_log *log = logs.list; log; log = log->next)
        log_lines_save(log->lines, save_writer, log);
    log_wal_save_end(logs.wal);
}

/* It is made when the first piece comes. If that fails, lines that wait are lost when the worker is killed. */
static void ensure_wal(void)
{
    int memfd, error;

    if (logs.wal || !logs.hold)
        return;
    error = log_wal_create(&memfd);
    if (!error) {
        error = logs.hold(memfd);
        if (!error)
            error = log_wal_open(memfd, &logs.wal);
        close(memfd);
    }
    if (error)
        log_line(LOG_LEVEL_WARN, "lines of logs that wait will not outlive the worker: %s", strerror(-error));
    logs.hold = NULL; /* once */
}

/* Make room for an entry. Everything before it is done. The lane's origin must not say yet that a piece was taken which
 * this entry will hold: if the worker is killed after the save, the next one takes that piece from the ring. */
static void prepare(size_t length)
{
    ensure_wal();
    if (logs.wal && log_wal_is_full(logs.wal, length))
        save_all();
}

/* Write down what is about to be done. */
static void begin(struct lane_log *log, enum log_wal_kind kind, struct slice bytes, uint64_t now_ns)
{
    const struct journal *journal = log->source->outlets[SIGNAL_LOGS].journal;

    if (!logs.wal)
        return;
    log_wal_append(logs.wal, &(struct log_wal_entry){.kind = kind,
                                                     .origin = log->origin,
                                                     .now_ns = now_ns,
                                                     .journal_end = journal ? journal_end(journal) : 0,
                                                     .bytes = bytes.bytes,
                                                     .length = bytes.length});
}

static void end(struct lane_log *log)
{
    if (logs.wal)
        log_wal_done(logs.wal);
    count_waiting(log);
}

static void look(struct lane_log *log, uint64_t now_ns)
{
    if (!log_lines_is_due(log->lines, now_ns))
        return;
    prepare(0);
    begin(log, LOG_WAL_LOOK, (struct slice){NULL, 0}, now_ns);
    log_lines_look(log->lines, now_ns);
    end(log);
}

/* What waits of all processes is bounded. If it is too much, the lines of the process with the most wait no longer. */
static void make_room(void)
{
    struct lane_log *most = logs.list;

    if (logs.total <= WAITING_MAX)
        return;
    for (struct lane_log *log = logs.list; log; log = log->next)
        if (log->waiting > most->waiting)
            most = log;
    look(most, UINT64_MAX);
}

/* taking */

static struct lane_log *log_of(struct source_lane *state)
{
    const struct journal_origin origin = drain_origin(state);

    if (!state->log)
        state->log = new_log(state->source, &origin);
    return state->log;
}

bool drain_take_log(struct source_lane *state, const struct log_lines_place *place, const void *piece, size_t length,
                    uint64_t now_ns)
{
    struct lane_log *log = log_of(state);
    bool is_piece;

    if (!log)
        return false;
    prepare(length);
    log->origin.position = place->position;
    log->origin.cells = place->cells;
    begin(log, LOG_WAL_PIECE, (struct slice){piece, length}, now_ns);
    is_piece = log_lines_take(log->lines, place, piece, length, now_ns);
    end(log);
    make_room();
    return is_piece;
}

bool drain_look_at_logs(struct source *source, uint32_t lane, uint64_t now_ns)
{
    struct lane_log *log = source->lanes[lane].log;

    if (!log)
        return false;
    look(log, now_ns);
    return log->waiting > 0;
}

void drain_end_logs(struct source *source, uint32_t lane)
{
    struct lane_log *log = source->lanes[lane].log;

    if (!log)
        return;
    look(log, UINT64_MAX);
    source->lanes[lane].log = NULL;
    free_log(log);
}

/* after a restart */

int drain_logs_restore(int memfd)
{
    int error = log_wal_open(memfd, &logs.wal);

    if (!error && *reading_replays() >= ATTEMPTS_MAX) {
        log_line(LOG_LEVEL_ERROR, "lines of logs that waited are lost: workers ended of them");
        save_all(); /* nothing waits: this empties it */
        *reading_replays() = 0;
    }
    return error;
}

static struct lane_log *find_log(const struct journal_origin *origin)
{
    struct lane_log *log = logs.list;

    while (log && (log->origin.source != origin->source || log->origin.lane != origin->lane ||
                   log->origin.generation != origin->generation))
        log = log->next;
    return log;
}

/* The log of this lane, which is made if there is none yet. A process that still has the lane goes on with it. */
static struct lane_log *found_again(struct source *source, const struct journal_origin *origin)
{
    struct lane_log *log = find_log(origin);

    if (!log) {
        log = new_log(source, origin);
        if (log && drain_is_owner(source, origin))
            source->lanes[origin->lane].log = log;
    }
    return log;
}

/* How many events of this entry are in the journal? Nothing else has been added since the entry was written. */
static unsigned count_journaled(const struct journal *journal, const struct log_wal_entry *entry)
{
    struct journal_entry event;
    unsigned count = 0;

    for (uint64_t position = entry->journal_end; journal && journal_read(journal, position, &event);
         position = event.next)
        count++;
    return count;
}

static void do_again(struct lane_log *log, const struct log_wal_entry *entry)
{
    const struct log_lines_place place = {entry->origin.position, entry->origin.cells};

    switch (entry->kind) {
    case LOG_WAL_PIECE:
        (void)log_lines_take(log->lines, &place, entry->bytes, entry->length, entry->now_ns);
        break;
    case LOG_WAL_LOOK:
        log_lines_look(log->lines, entry->now_ns);
        break;
    case LOG_WAL_WRITER:
        (void)log_lines_load(log->lines, entry->bytes, entry->length);
        break;
    }
}

void drain_replay_logs(struct source *source)
{
    struct log_wal_entry entry;
    size_t position = 0;
    bool is_done;

    if (!logs.wal)
        return;
    uint32_t before = reading_begin(source->id);
    ++*reading_replays();
    while (log_wal_read(logs.wal, &position, &entry, &is_done)) {
        struct lane_log *log = entry.origin.source == source->id ? found_again(source, &entry.origin) : NULL;

        if (!log)
            continue;
        log->origin = entry.origin;
        log->skip_count = is_done ? UINT_MAX : count_journaled(source->outlets[SIGNAL_LOGS].journal, &entry);
        do_again(log, &entry);
        log->skip_count = 0;
        count_waiting(log);
        drain_has_taken(source, &entry.origin);
    }
    *reading_replays() = 0;
    reading_end(before);
}

void drain_logs_start(void)
{
    struct lane_log *next;

    if (!logs.wal)
        return;
    log_wal_done(logs.wal);
    save_all();
    for (struct lane_log *log = logs.list; log; log = next) {
        next = log->next;
        if (lane_of(log))
            continue;
        look(log, UINT64_MAX);
        free_log(log);
    }
}

void drain_logs_init(drain_logs_hold *hold)
{
    logs.hold = hold;
}

void drain_logs_deinit(void)
{
    while (logs.list) {
        struct source_lane *state = lane_of(logs.list);

        if (state)
            state->log = NULL;
        free_log(logs.list);
    }
    log_wal_close(logs.wal);
    logs.wal = NULL;
    logs.hold = NULL;
}
