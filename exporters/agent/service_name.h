/* SPDX-License-Identifier: Apache-2.0 */
/* What a service is called. Used by resource.c. */
#ifndef SPANSHIM_SERVICE_NAME_H
#define SPANSHIM_SERVICE_NAME_H

#include <stddef.h>

struct resource_facts;
struct settings;

/* OTEL_SERVICE_NAME, service.name of OTEL_RESOURCE_ATTRIBUTES, HONEYCOMB_SERVICE_NAME, AWS_XRAY_TRACING_NAME, the
 * script, module or jar that an interpreter runs, the name that the program was started by, the executable's name;
 * "unknown_service" when there is nothing. Written to `name`, cut if need be. Context: pure. */
void service_name_choose(const struct resource_facts *facts, const struct settings *settings, char *name, size_t size);

/* The file's name alone. Context: pure. */
void service_name_of_executable(const char *executable, char *name, size_t size);

#endif
