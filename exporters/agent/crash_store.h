/* SPDX-License-Identifier: Apache-2.0 */
/* The crash reports on this machine: a folder beside the agent's log, one JSON file each, for this user alone, bounded
 * in number, size and age; the oldest go first. `spanshim crashes` reads it. */
#ifndef SPANSHIM_CRASH_STORE_H
#define SPANSHIM_CRASH_STORE_H

#include <jansson.h>

enum { CRASH_STORE_FILES_MAX = 50, CRASH_STORE_MB_MAX = 100, CRASH_STORE_DAYS_MAX = 30 };

/* Keep a report, in place of an earlier one of the same uuid. A failure is logged, once until one succeeds.
 * Context: loop. */
void crash_store_keep(const json_t *report);

/* The report with this uuid, a new object; NULL: there is none. Context: loop. */
json_t *crash_store_load(const char *uuid);

#endif
