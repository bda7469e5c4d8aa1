/* SPDX-License-Identifier: Apache-2.0 */
/* What describes an image's processes in telemetry: the resource attributes they share, and the service's name.
 * Made by intake.c, one for a hand-over; what differs per process (pid, instance id) is added by the encoder. */
#ifndef SPANSHIM_RESOURCE_H
#define SPANSHIM_RESOURCE_H

#include "exporters/agent/settings.h"

#include <stddef.h>

/* The facts of a hand-over. Borrowed, any may be missing (NULL, 0). */
struct resource_facts {
    const char *executable; /* path */
    const char *const *arguments;
    size_t argument_count;
    const char *working_directory;
};

struct resource {
    char *service_name;
    struct settings_pair *attributes; /* service.name first; keys unique, valid UTF-8 */
    size_t attribute_count;
};

/* NULL when out of memory. Context: loop. */
struct resource *resource_new(const struct resource_facts *facts, const struct settings *settings);
void resource_free(struct resource *resource);

/* The service's name: OTEL_SERVICE_NAME, service.name of OTEL_RESOURCE_ATTRIBUTES, HONEYCOMB_SERVICE_NAME,
 * AWS_XRAY_TRACING_NAME, the script, module or jar that an interpreter runs, the executable's name; "unknown_service"
 * when there is nothing. Written to `name`, cut if need be. Context: pure. */
void resource_choose_name(const struct resource_facts *facts, const struct settings *settings, char *name, size_t size);

#endif
