/* SPDX-License-Identifier: Apache-2.0 */
/* A served request as an event of a log: its line, its trace, and a severity by its status. So it goes where the
 * program's own lines go. Used by drain.c, whether or not a sampler keeps the request. */
#ifndef SPANSHIM_REQUEST_EVENT_H
#define SPANSHIM_REQUEST_EVENT_H

#include "preload/config.h"
#include "preload/wire.h"

struct buffer;
struct process;

/* Append the event (log_event.h) of a record and its payload to `entry`. Its time is the request's end. 1; 0 when the
 * record is of no request that the process has served and ended; or -errno. `form` isn't off. Context: loop. */
int request_event_append(struct buffer *entry, const struct process *process, const struct wire_record *record,
                         enum request_lines form);

#endif
