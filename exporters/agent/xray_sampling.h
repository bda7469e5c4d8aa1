/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's half of X-Ray's sampling: which rules are in force for a program, published in its control page for the
 * shim, which decides (preload/xray_sampling.h). X-Ray's own rules while they are fresh, else those of
 * SPANSHIM_XRAY_SAMPLING_RULES, else one request of a second and 5 %. Called by intake.c and status.c. */
#ifndef SPANSHIM_XRAY_SAMPLING_H
#define SPANSHIM_XRAY_SAMPLING_H

#include <jansson.h>

struct exporter_host;
struct source;

/* Context: start. */
void xray_sampling_init(const struct exporter_host *host);
void xray_sampling_deinit(void);

/* A program was handed over, and is mapped: publish rules for it from now on, if X-Ray's decide there. What is wrong
 * with its file of rules is added to its settings' complaints. Context: loop. */
void xray_sampling_add(struct source *source);

/* It is unmapped now. What was never added is accepted. Context: loop. */
void xray_sampling_remove(struct source *source);

/* A new object: the rules in force, and what they have counted; NULL: X-Ray's rules don't decide there. Context:
 * loop. */
json_t *xray_sampling_status(const struct source *source);

#endif
