/* SPDX-License-Identifier: Apache-2.0 */
/* An error that a program has printed becomes a report (crash/report.h) for its source's destinations, and the
 * exception of the span of its request. Called by intake.c. */
#ifndef SPANSHIM_TRACEBACK_REPORT_H
#define SPANSHIM_TRACEBACK_REPORT_H

struct source;

/* More errors of one source are counted, and no more than that. */
enum { TRACEBACK_REPORTS_PER_SECOND = 20 };

/* Look for errors in the events of its logs from now on, if its settings and its destinations ask for it. Context:
 * loop.
 */
void traceback_report_start(struct source *source);

#endif
