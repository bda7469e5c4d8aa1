/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/resource.h"

#include "exporters/agent/detect.h"
#include "exporters/agent/service_name.h"
#include "exporters/encode/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct detector {
    const char *name; /* in SPANSHIM_RESOURCE_DETECTORS */
    void (*detect)(struct resource *resource, const struct resource_facts *facts);
} detectors[] = {
    {"process", detect_process}, {"container", detect_container}, {"k8s", detect_kubernetes}, {"host", detect_host},
    {"os", detect_os},
};

/* A copy as valid UTF-8; NULL when out of memory. */
static char *copy_repaired(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length * UTF8_REPAIRED_MAX + 1);

    if (copy != NULL)
        (void)utf8_repair(text, length, UINT32_MAX, copy);
    return copy;
}

const char *resource_find(const struct resource *resource, const char *name)
{
    for (size_t i = 0; i < resource->attribute_count; i++)
        if (strcmp(resource->attributes[i].name, name) == 0)
            return resource->attributes[i].value;
    return NULL;
}

void resource_add(struct resource *resource, const char *name, const char *value)
{
    struct settings_pair pair = {copy_repaired(name), copy_repaired(value)};

    resource->no_memory |= pair.name == NULL || pair.value == NULL;
    if (resource->no_memory || *pair.name == '\0' || resource->attribute_count == RESOURCE_ATTRIBUTES_MAX ||
        resource_find(resource, pair.name) != NULL) {
        free(pair.name);
        free(pair.value);
        return;
    }
    resource->attributes[resource->attribute_count++] = pair;
}

static void add_arguments(struct resource *resource, const struct resource_facts *facts)
{
    resource->command_args = calloc(facts->argument_count + 1, sizeof(*resource->command_args));
    if (resource->command_args == NULL) {
        resource->no_memory = true;
        return;
    }
    for (size_t i = 0; i < facts->argument_count; i++) {
        char *argument = copy_repaired(facts->arguments[i]);

        resource->no_memory |= argument == NULL;
        resource->command_args[resource->command_arg_count++] = argument;
    }
}

/* Is it a word of this list, which is comma separated? */
static bool is_in_list(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (; list != NULL && *list != '\0'; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == length && memcmp(list, word, length) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct settings *settings, const char *detector)
{
    return is_in_list(settings->resource_detectors, "all") || is_in_list(settings->resource_detectors, detector);
}

/* The group that its logs go to: X-Ray's console shows a trace's logs by it. */
static void add_log_group(struct resource *resource, const struct settings *settings)
{
    for (size_t i = 0; i < settings->log_exporter_count; i++)
        if (strcmp(settings->log_exporters[i], "cloudwatch") == 0)
            resource_add(resource, "aws.log.group.names", settings->cloudwatch_group);
}

/* Ours cannot be changed; the user's own come before what is found out, so that they win. */
static void add_attributes(struct resource *resource, const struct resource_facts *facts,
                           const struct settings *settings)
{
    const struct settings_pairs *own = &settings->resource_attributes;

    resource_add(resource, "service.name", resource->service_name);
    resource_add(resource, "telemetry.sdk.name", "spanshim");
    resource_add(resource, "telemetry.sdk.language", "c");
    resource_add(resource, "telemetry.sdk.version", SPANSHIM_VERSION);
    resource_add(resource, "telemetry.distro.name", "spanshim");
    resource_add(resource, "telemetry.distro.version", SPANSHIM_VERSION);
    for (size_t i = 0; i < own->count; i++)
        resource_add(resource, own->pairs[i].name, own->pairs[i].value);
    add_log_group(resource, settings);
    for (size_t i = 0; i < sizeof(detectors) / sizeof(detectors[0]); i++)
        if (is_wanted(settings, detectors[i].name))
            detectors[i].detect(resource, facts);
    resource->describes_process = is_wanted(settings, "process");
    if (resource->describes_process && settings->command_args)
        add_arguments(resource, facts);
}

struct resource *resource_new(const struct resource_facts *facts, const struct settings *settings)
{
    struct resource *resource = calloc(1, sizeof(*resource));
    char name[256];

    if (resource == NULL)
        return NULL;
    service_name_choose(facts, settings, name, sizeof(name));
    resource->service_name = copy_repaired(name);
    resource->attributes = calloc(RESOURCE_ATTRIBUTES_MAX, sizeof(*resource->attributes));
    if (resource->service_name != NULL && resource->attributes != NULL)
        add_attributes(resource, facts, settings);
    else
        resource->no_memory = true;
    if (resource->no_memory) {
        resource_free(resource);
        return NULL;
    }
    return resource;
}

void resource_free(struct resource *resource)
{
    if (resource == NULL)
        return;
    for (size_t i = 0; i < resource->attribute_count; i++) {
        free(resource->attributes[i].name);
        free(resource->attributes[i].value);
    }
    for (size_t i = 0; i < resource->command_arg_count; i++)
        free(resource->command_args[i]);
    free(resource->command_args);
    free(resource->attributes);
    free(resource->service_name);
    free(resource);
}
