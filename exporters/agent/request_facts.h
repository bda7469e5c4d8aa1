/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as a report (crash/report.h) has them: the ones that a process serves, and one that it has served. Called by
 * crash_facts.c and traceback_report.c. */
#ifndef SPANSHIM_REQUEST_FACTS_H
#define SPANSHIM_REQUEST_FACTS_H

#include <jansson.h>
#include <stdint.h>

struct source;

/* A new array of those that the lane's owner serves now, or served when it died, at most 32. Context: loop. */
json_t *request_facts_list_open(const struct source *source, uint32_t lane);

/* A new object: the request with this id that the lane's owner serves or has just served. Of one whose record is
 * delivered already only the method, the path's start and the status may be left. NULL: it isn't known. Context:
 * loop. */
json_t *request_facts_find(const struct source *source, uint32_t lane, const uint8_t span_id[8]);

#endif
