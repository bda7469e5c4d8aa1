/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent knows of a crash beside what was read from the process: the service, the host, the requests. Called by
 * crash_desk.c, while the lane's slots are as the process left them. */
#ifndef SPANSHIM_CRASH_FACTS_H
#define SPANSHIM_CRASH_FACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct process;
struct resource;
struct source;
struct wire_crash;

/* Complete a report by what report.h says that only the agent knows. `crash` tells the request that the thread worked
 * on; NULL: a death of which nothing is known. Context: loop. */
void crash_facts_add(json_t *report, struct source *source, uint32_t lane, const struct wire_crash *crash);

/* Complete the report of an error that a program has printed and may go on after, but for the request. Context:
 * loop. */
void crash_facts_add_to_error(json_t *report, const struct source *source, uint32_t lane);

/* The request that it happened in; `request` is taken. Context: loop. */
void crash_facts_add_request(json_t *report, json_t *request, bool is_certain);

/* The service and the host, where `process` may be NULL. Context: loop. */
void crash_facts_add_service(json_t *report, const struct resource *resource, const struct process *process);

/* A report of what the process wrote itself, where it could not be read. A new object. Context: loop. */
json_t *crash_facts_alone(const struct wire_crash *crash);

/* One more text in "incomplete". Context: loop. */
void crash_facts_incomplete(json_t *report, const char *text);

#endif
