/* SPDX-License-Identifier: Apache-2.0 */
/* The last events of a process's logs, for the reports of its crash and of its errors. Noted by drain_logs.c, a few
 * facts and the text's start of each. */
#ifndef SPANSHIM_LAST_LINES_H
#define SPANSHIM_LAST_LINES_H

#include "preload/slice.h"

#include <jansson.h>
#include <stdint.h>

enum { LAST_LINES_MAX = 20, LAST_LINES_TEXT_MAX = 500 };

struct last_lines;
struct log_event_record;

/* *lines is made by the first one and freed by free(). Context: loop. */
void last_lines_note(struct last_lines **lines, const struct log_event_record *event, struct slice text);

/* As log_lines of crash/report.h: a new array, the oldest first; NULL accepted. `wall_offset_ns`: from the process's
 * clock to ours. Context: loop. */
json_t *last_lines_list(const struct last_lines *lines, int64_t wall_offset_ns);

#endif
