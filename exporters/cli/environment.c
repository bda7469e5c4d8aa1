/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/environment.h"

#include "exporters/cli/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool entry_is(const char *entry, const char *name, size_t name_len)
{
    return strncmp(entry, name, name_len) == 0 && entry[name_len] == '=';
}

static char **find_entry(const struct environment *env, const char *name)
{
    size_t name_len = strlen(name);

    for (size_t i = 0; i < env->count; i++)
        if (entry_is(env->entries[i], name, name_len))
            return &env->entries[i];
    return NULL;
}

static void append_entry(struct environment *env, char *entry)
{
    if (env->count + 1 >= env->capacity) {
        env->capacity = env->capacity ? env->capacity * 2 : 64;
        env->entries = memory_resize(env->entries, env->capacity * sizeof(*env->entries));
    }
    env->entries[env->count++] = entry;
    env->entries[env->count] = NULL;
}

void environment_init(struct environment *env, const char *const *envp)
{
    *env = (struct environment){0};
    for (; envp && *envp; envp++)
        append_entry(env, memory_copy_text(*envp));
}

void environment_deinit(struct environment *env)
{
    if (!env)
        return;
    for (size_t i = 0; i < env->count; i++)
        free(env->entries[i]);
    free(env->entries);
    *env = (struct environment){0};
}

const char *environment_get(const struct environment *env, const char *name)
{
    char **entry = find_entry(env, name);

    return entry ? *entry + strlen(name) + 1 : NULL;
}

const char *environment_get_setting(const struct environment *env, const char *name)
{
    const char *value = environment_get(env, name);

    return value && *value ? value : NULL;
}

bool environment_is_on(const struct environment *env, const char *name)
{
    const char *value = environment_get(env, name);

    return value && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
}

void environment_set(struct environment *env, const char *name, const char *value)
{
    char *entry = memory_format("%s=%s", name, value);
    char **old = find_entry(env, name);

    if (!old) {
        append_entry(env, entry);
        return;
    }
    free(*old);
    *old = entry;
}

void environment_unset(struct environment *env, const char *name)
{
    size_t name_len = strlen(name);
    size_t kept = 0;

    for (size_t i = 0; i < env->count; i++) {
        if (entry_is(env->entries[i], name, name_len))
            free(env->entries[i]);
        else
            env->entries[kept++] = env->entries[i];
    }
    env->count = kept;
    if (env->entries)
        env->entries[kept] = NULL;
}
