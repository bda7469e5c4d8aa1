/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/start_env.h"

#include "preload/arena.h"
#include "preload/carried.h"
#include "preload/config.h"
#include "preload/slice.h"

#include <string.h>

enum { ENTRY_MAX = CARRIED_BAGGAGE_MAX + 16 };

static const struct slice names[START_ENV_COUNT] = {
    [START_ENV_TRACEPARENT] = {"traceparent", 11},
    [START_ENV_TRACESTATE] = {"tracestate", 10},
    [START_ENV_BAGGAGE] = {"baggage", 7},
};

/* Written at start, then read-only. */
static struct {
    const char *entries[START_ENV_COUNT];
    bool is_preloaded; /* by LD_PRELOAD: children need it as well. Else by the system's list */
    struct start_env_parent parent;
    struct propagation propagation; /* that the parent was read with, and its tracestate stands in */
} got;

enum start_env_variable start_env_variable(const char *entry)
{
    for (unsigned i = 0; i < START_ENV_COUNT; i++) {
        size_t at = 0;

        while (at < names[i].length && (entry[at] | ' ') == names[i].bytes[at] && entry[at] < 'a')
            at++;
        if (at == names[i].length && entry[at] == '=')
            return (enum start_env_variable)i;
    }
    return START_ENV_COUNT;
}

static bool loads_us(const char *entry)
{
    static const char name[] = "LD_PRELOAD=";

    return strncmp(entry, name, sizeof(name) - 1) == 0 && strcasestr(entry, "libspanshim");
}

static bool is_in(char *const *envp)
{
    while (*envp && !loads_us(*envp))
        envp++;
    return *envp != NULL;
}

bool start_env_loads_us(char *const *envp)
{
    return !got.is_preloaded || is_in(envp);
}

size_t start_env_entries(const char *ret_entries[START_ENV_COUNT])
{
    size_t count = 0;

    for (unsigned i = 0; i < START_ENV_COUNT; i++)
        if (got.entries[i])
            ret_entries[count++] = got.entries[i];
    return count;
}

bool start_env_field(enum start_env_variable variable, struct slice *ret_name, struct slice *ret_value)
{
    const char *entry = got.entries[variable];

    if (!entry)
        return false;
    *ret_name = names[variable];
    *ret_value = (struct slice){entry + names[variable].length + 1, strlen(entry) - names[variable].length - 1};
    return true;
}

bool start_env_is_field(struct slice name)
{
    return slice_is_same(name, names[START_ENV_TRACEPARENT]) || slice_is_same(name, names[START_ENV_TRACESTATE]);
}

/* The first one of a name counts. */
static void keep(enum start_env_variable variable, const char *entry)
{
    size_t length = strnlen(entry, ENTRY_MAX);
    char *copy = got.entries[variable] || length == ENTRY_MAX ? NULL : arena_alloc(length + 1);

    if (!copy)
        return;
    memcpy(copy, entry, length);
    got.entries[variable] = copy;
}

static void read_parent(void)
{
    const unsigned w3c = 1u << PROPAGATION_TRACECONTEXT | 1u << PROPAGATION_BAGGAGE;
    struct propagation *propagation = &got.propagation;

    propagation_init(propagation, config.propagator_formats);
    propagation->formats &= w3c | ~((1u << PROPAGATION_FORMAT_COUNT) - 1);
    propagation->keeps = true;
    for (unsigned i = 0; i < START_ENV_COUNT; i++) {
        struct slice name, value;

        if (start_env_field(i, &name, &value))
            (void)propagation_field(propagation, name.bytes, name.length, value.bytes, value.length);
    }
    if (propagation_done(propagation))
        got.parent = (struct start_env_parent){.context = propagation->context,
                                               .tracestate = {propagation->tracestate, propagation->tracestate_length},
                                               .carried = propagation->carried};
}

void start_env_init(char *const *envp)
{
    got.is_preloaded = is_in(envp);
    for (; *envp; envp++) {
        enum start_env_variable variable = start_env_variable(*envp);

        if (variable != START_ENV_COUNT)
            keep(variable, *envp);
    }
    if (got.entries[START_ENV_TRACEPARENT] && (config.environment_mode & ENVIRONMENT_READ))
        read_parent();
}

const struct start_env_parent *start_env_parent(void)
{
    return got.parent.context.valid ? &got.parent : NULL;
}

const char *start_env_entry(enum start_env_variable variable)
{
    return got.entries[variable];
}
