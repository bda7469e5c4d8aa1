/* SPDX-License-Identifier: Apache-2.0 */
/* A process as an OTLP Resource, in reused storage. Called by otlp_envelope.c only. */
#ifndef SPANSHIM_OTLP_RESOURCE_H
#define SPANSHIM_OTLP_RESOURCE_H

#include "exporters/agent/resource.h"
#include "otlp.pb-c.h"

struct process;

enum {
    OTLP_RESOURCE_PAIRS_MAX = RESOURCE_ATTRIBUTES_MAX + 6, /* of the image, and of the process */
    OTLP_RESOURCE_ARGUMENTS_MAX = 64,
};

struct otlp_resource {
    Otlp__Resource message; /* valid until the next fill */
    /* Private. */
    Otlp__KeyValue pairs[OTLP_RESOURCE_PAIRS_MAX];
    Otlp__AnyValue values[OTLP_RESOURCE_PAIRS_MAX];
    Otlp__KeyValue *list[OTLP_RESOURCE_PAIRS_MAX];
    Otlp__AnyValue argument_values[OTLP_RESOURCE_ARGUMENTS_MAX];
    Otlp__AnyValue *argument_list[OTLP_RESOURCE_ARGUMENTS_MAX];
    Otlp__ArrayValue arguments;
    char uuid[37];
    char created[32];
};

/* Once, before the first fill. Context: loop. */
void otlp_resource_init(struct otlp_resource *resource);

/* Replace the content by this process's; what the user set by OTEL_RESOURCE_ATTRIBUTES stays. Borrows from the process.
 * Context: loop. */
void otlp_resource_fill(struct otlp_resource *resource, const struct process *process);

#endif
