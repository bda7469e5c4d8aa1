/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_resource.h"

#include "exporters/agent/process.h"

#include <stdio.h>
#include <time.h>

void otlp_resource_init(struct otlp_resource *resource)
{
    for (size_t i = 0; i < OTLP_RESOURCE_PAIRS_MAX; i++) {
        otlp__key_value__init(&resource->pairs[i]);
        otlp__any_value__init(&resource->values[i]);
        resource->pairs[i].value = &resource->values[i];
        resource->list[i] = &resource->pairs[i];
    }
    otlp__array_value__init(&resource->arguments);
    resource->arguments.values = resource->argument_list;
    for (size_t i = 0; i < OTLP_RESOURCE_ARGUMENTS_MAX; i++) {
        otlp__any_value__init(&resource->argument_values[i]);
        resource->argument_values[i].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
        resource->argument_list[i] = &resource->argument_values[i];
    }
}

/* The next attribute's value; NULL when the user has set one of that name (`own`) himself. */
static Otlp__AnyValue *add(struct otlp_resource *resource, const struct resource *own, const char *name)
{
    if (own != NULL && resource_find(own, name) != NULL)
        return NULL;
    resource->pairs[resource->message.n_attributes].key = (char *)(uintptr_t)name;
    return &resource->values[resource->message.n_attributes++];
}

static void add_text(struct otlp_resource *resource, const struct resource *own, const char *name, const char *value)
{
    Otlp__AnyValue *any = add(resource, own, name);

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    any->string_value = (char *)(uintptr_t)value;
}

static void add_number(struct otlp_resource *resource, const struct resource *own, const char *name, int64_t number)
{
    Otlp__AnyValue *any = number != 0 ? add(resource, own, name) : NULL;

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    any->int_value = number;
}

static void add_arguments(struct otlp_resource *resource, const struct resource *own)
{
    size_t count =
        own->command_arg_count < OTLP_RESOURCE_ARGUMENTS_MAX ? own->command_arg_count : OTLP_RESOURCE_ARGUMENTS_MAX;
    Otlp__AnyValue *any = count > 0 ? add(resource, own, "process.command_args") : NULL;

    if (any == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        resource->argument_values[i].string_value = own->command_args[i];
    resource->arguments.n_values = count;
    any->value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
    any->array_value = &resource->arguments;
}

static void format_uuid(const uint8_t id[16], char out[37])
{
    for (size_t i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        at += (size_t)sprintf(out + at, "%02x", id[i]);
    }
}

/* ISO 8601, to the millisecond. */
static void format_time(uint64_t unix_ns, char out[32])
{
    time_t seconds = (time_t)(unix_ns / 1000000000u);
    struct tm utc;
    size_t length;

    gmtime_r(&seconds, &utc);
    length = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out + length, 32 - length, ".%03uZ", (unsigned)(unix_ns / 1000000u % 1000u));
}

void otlp_resource_fill(struct otlp_resource *resource, const struct process *process)
{
    const struct resource *own = process->resource;

    otlp__resource__init(&resource->message);
    resource->message.attributes = resource->list;
    for (size_t i = 0; i < own->attribute_count; i++)
        add_text(resource, NULL, own->attributes[i].name, own->attributes[i].value);
    format_uuid(process->instance_id, resource->uuid);
    add_text(resource, own, "service.instance.id", resource->uuid);
    if (!own->describes_process)
        return;
    add_number(resource, own, "process.pid", process->pid);
    add_number(resource, own, "process.parent_pid", process->parent_pid);
    if (process->user[0] != '\0')
        add_text(resource, own, "process.owner", process->user);
    add_arguments(resource, own);
    if (!process->is_start_known)
        return;
    format_time(process->started_unix_ns, resource->created);
    add_text(resource, own, "process.creation.time", resource->created);
}
