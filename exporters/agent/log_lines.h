/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the lines of one process's logs together: from the pieces that it wrote, cut anywhere, to events. Each thread's
 * pieces are put together by themselves, so that no line has bytes of two. A line that is not at its end waits for the
 * rest; a whole one waits for a moment, since lines that belong to it may follow (log_join.h). Used by drain_logs.c. */
#ifndef SPANSHIM_LOG_LINES_H
#define SPANSHIM_LOG_LINES_H

#include "exporters/agent/log_event.h"
#include "preload/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_lines;

/* Where a piece came from: the first of its cells in the lane, and how many. */
struct log_lines_place {
    uint64_t position;
    uint32_t cells;
};

/* Takes an event; its path and text are borrowed until it returns. `place`: of its last piece. */
typedef void log_lines_emit(void *arg, const struct log_lines_place *place, const struct log_event_record *record,
                            const char *path, const char *text);

/* NULL when out of memory. Context: loop. */
struct log_lines *log_lines_new(log_lines_emit *emit, void *arg);
/* What waits is forgotten. NULL is accepted. Context: loop. */
void log_lines_free(struct log_lines *lines);

/* A piece: a struct wire_log and its bytes, checked here. False: it can't be one. now_ns: any clock that does not go
 * back. Context: loop. */
bool log_lines_take(struct log_lines *lines, const struct log_lines_place *place, const void *piece, size_t length,
                    uint64_t now_ns);

/* Emit what has waited for long enough. Context: loop. */
void log_lines_look(struct log_lines *lines, uint64_t now_ns);

/* Would log_lines_look emit anything? Context: loop. */
bool log_lines_is_due(const struct log_lines *lines, uint64_t now_ns);

/* How many bytes a save of what waits takes (log_lines_save); 0: nothing waits. Context: loop. */
size_t log_lines_waiting(const struct log_lines *lines);

/* Takes what waits of one writer; the bytes are borrowed until it returns. */
typedef void log_lines_keep(void *arg, const void *bytes, size_t length);

/* Save what waits: one call of `keep` for each writer. Lines into which all of that is loaded, in the same order,
 * behave like these from then on. Context: loop. */
void log_lines_save(struct log_lines *lines, log_lines_keep *keep, void *arg);

/* Load what log_lines_save gave for one writer. Returns false when it can't be that, or out of memory. Context:
 * loop. */
bool log_lines_load(struct log_lines *lines, const void *bytes, size_t length);

#endif
