/* SPDX-License-Identifier: Apache-2.0 */
/* The name of the log stream in CloudWatch Logs that an event goes to. Used by cloudwatch_events.c. */
#ifndef SPANSHIM_CLOUDWATCH_STREAM_H
#define SPANSHIM_CLOUDWATCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>

struct log_event; /* agent/log_event.h */

enum { CLOUDWATCH_STREAM_SIZE = 513 }; /* AWS's limit, and the NUL */

/* By a template with {machine}, {program}, {service}, {pid} and {strftime:FORMAT} of the event's time in UTC; also by
 * the names {machine_name}, {program_name}, {process_id}. What AWS doesn't take becomes '-', and too long a name is
 * cut. Never empty. Context: pure. */
void cloudwatch_stream_write(const char *template, const struct log_event *event, char out[CLOUDWATCH_STREAM_SIZE]);

/* Does the name depend on the time? Context: pure. */
bool cloudwatch_stream_is_dated(const char *template);

#endif
