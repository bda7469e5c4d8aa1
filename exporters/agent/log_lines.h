/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the lines of one process's logs together: from the pieces that it wrote, cut anywhere, to events. Each thread's
 * pieces are put together by themselves, so that no line has bytes of two. A line that is not at its end waits for the
 * rest; a whole one waits for a moment, since lines that belong to it may follow (log_join.h). Used by drain.c. */
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
/* What waits is emitted first. NULL is accepted. Context: loop. */
void log_lines_free(struct log_lines *lines);

/* A piece: a struct wire_log and its bytes, checked here. False: it can't be one. now_ns: any clock that does not go
 * back. Context: loop. */
bool log_lines_take(struct log_lines *lines, const struct log_lines_place *place, const void *piece, size_t length,
                    uint64_t now_ns);

/* Emit what has waited for long enough. Does anything wait still? Context: loop. */
bool log_lines_look(struct log_lines *lines, uint64_t now_ns);

#endif
