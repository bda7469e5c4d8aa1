/* SPDX-License-Identifier: Apache-2.0 */
/* An error that a program has printed becomes a report (crash/report.h) for its source's destinations, and the
 * exception of the span of its request. Called by intake.c and lanes.c. */
#ifndef SPANSHIM_TRACEBACK_REPORT_H
#define SPANSHIM_TRACEBACK_REPORT_H

#include <stdbool.h>
#include <stdint.h>

struct source;

/* More errors of one source are counted, and no more than that. */
enum { TRACEBACK_REPORTS_PER_SECOND = 20 };

/* Look for errors in the events of its logs from now on, if its settings and its destinations ask for it. Context:
 * loop. */
void traceback_report_start(struct source *source);

/* The lane was drained: send what was found in its logs. Does any of it wait for the record of its request? Context:
 * loop. */
bool traceback_report_send(struct source *source, uint32_t lane, uint64_t now_ns);

/* The lane's owner is gone: nothing waits any more. Context: loop. */
void traceback_report_end(struct source *source, uint32_t lane);

#endif
