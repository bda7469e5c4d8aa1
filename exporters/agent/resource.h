/* SPDX-License-Identifier: Apache-2.0 */
/* What describes an image's processes in telemetry: the resource attributes they share, and the service's name.
 * Made by intake.c, one for a hand-over; what differs per process (pid, owner, instance id) is in process.h. */
#ifndef SPANSHIM_RESOURCE_H
#define SPANSHIM_RESOURCE_H

#include "exporters/agent/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { RESOURCE_ATTRIBUTES_MAX = 128 };

/* The facts of a hand-over. Borrowed, any may be missing (NULL, 0). */
struct resource_facts {
    pid_t number;           /* of the process, in /proc */
    const char *executable; /* path */
    const char *const *arguments;
    size_t argument_count;
    const char *const *variables; /* NAME=value, as wire.h says which */
    size_t variable_count;
};

struct resource {
    char *service_name;
    struct settings_pair *attributes; /* service.name first; keys unique, valid UTF-8 */
    size_t attribute_count;
    char **command_args; /* valid UTF-8; none unless the settings ask for them */
    size_t command_arg_count;
    bool describes_process; /* the attributes that differ per process are wanted too */
    bool no_memory;         /* something is missing; while it is made */
};

/* NULL when out of memory. Context: loop. */
struct resource *resource_new(const struct resource_facts *facts, const struct settings *settings);
void resource_free(struct resource *resource);

/* Add an attribute (copied) unless one of that name is there. For the detectors, while it is made. Context: loop. */
void resource_add(struct resource *resource, const char *name, const char *value);

/* NULL: there is none of that name. Context: pure. */
const char *resource_find(const struct resource *resource, const char *name);

#endif
