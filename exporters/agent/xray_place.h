/* SPDX-License-Identifier: Apache-2.0 */
/* What X-Ray is told of where a program runs, by the words of SPANSHIM_XRAY_PLUGINS: nothing is looked for that isn't
 * named there. What an EC2 instance says of itself is not here (exporters/xray_instance.h): it takes time. Called by
 * intake.c, once for a hand-over. */
#ifndef SPANSHIM_XRAY_PLACE_H
#define SPANSHIM_XRAY_PLACE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct resource;
struct settings;

/* Is this one of the words? Context: pure. */
bool xray_place_names(const struct settings *settings, const char *plugin);

/* The origin of segments, which rules know as ServiceType: that of the most specific word. NULL: there is none.
 * Context: pure. */
const char *xray_place_origin(const struct settings *settings);

/* A new object {"origin": ..., "aws": {"ecs": {...}, ...}}; NULL when no word is there. What a word asks for and can't
 * be found is a complaint. `number` is the process's in /proc (0: unknown); a file of its is read for one whose user is
 * trusted. Context: loop. */
json_t *xray_place_new(struct settings *settings, const struct resource *resource, pid_t number, bool is_trusted);

#endif
