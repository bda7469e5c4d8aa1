/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a crash (crash/report.h) as an OTLP log record, by the conventions for `app.crash`: a request of its
 * own, whose resource is the process that died. Bytes only. Called by otlp_logs.c and otlp_logs_file.c. */
#ifndef SPANSHIM_OTLP_CRASH_H
#define SPANSHIM_OTLP_CRASH_H

#include <jansson.h>
#include <stdint.h>

struct buffer;
struct otlp_limits; /* encode/otlp_limits.h */

/* Append the packed request. now_unix_ns: when the crash is known. 0; -ENOTSUP: it is no crash; -ENOMEM. Context:
 * loop. */
int otlp_crash_encode(const json_t *report, uint64_t now_unix_ns, const struct otlp_limits *limits, struct buffer *out);

#endif
