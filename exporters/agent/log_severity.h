/* SPDX-License-Identifier: Apache-2.0 */
/* How severe a line of a log is, by what it says itself: a JSON object's level, "level=warn", or the word that loggers
 * write near the start: "[error]", "WARN:", "2026-11-21 02:53:00 INFO ...", "E1121 ...". Used by log_writer.c. */
#ifndef SPANSHIM_LOG_SEVERITY_H
#define SPANSHIM_LOG_SEVERITY_H

#include "preload/slice.h"

#include <stdint.h>

/* syslog's number plus one, as in struct wire_log: 1 emergency .. 8 debug; 0: it doesn't say. Context: pure. */
uint8_t log_severity_of(struct slice line);

#endif
