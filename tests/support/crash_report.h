/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a process that waits to be read, and what tests expect of one. */
#ifndef SPANSHIM_TEST_CRASH_REPORT_H
#define SPANSHIM_TEST_CRASH_REPORT_H

#include <jansson.h>
#include <stdint.h>

struct dying;

extern uint64_t crash_limit_ns; /* for a capture */
extern uint64_t crash_held_ns;  /* by the last capture */

/* Read as the agent is allowed to, or by its copy where it isn't; the process is let die before names are looked
 * for. */
json_t *crash_report(struct dying *dying);

/* "" where there is none. */
const char *crash_text(const json_t *object, const char *key);

json_t *crash_frames(const json_t *report);

/* Fails, with the crashed thread's frames. */
void crash_fail(const json_t *report, const char *what);

/* The crashed thread has these functions, in this order, each ended by a space; others may stand between them. */
void crash_expect(const json_t *report, const char *functions);

#endif
