/* SPDX-License-Identifier: Apache-2.0 */
/* The environment a program will get: a copy that is edited, in order, without touching the launcher's own. */
#ifndef SPANSHIM_ENVIRONMENT_H
#define SPANSHIM_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is valid and empty. */
struct environment {
    char **entries; /* NULL-terminated "NAME=value", as execve wants it; NULL while empty */
    size_t count;
    size_t capacity;
};

/* Take over every entry of `envp` (copied; NULL: none). Context: any. */
void environment_init(struct environment *env, const char *const *envp);

/* Context: any. */
void environment_deinit(struct environment *env);

/* The value of the first such entry; NULL: unset. Valid until the entry is set again. Context: any. */
const char *environment_get(const struct environment *env, const char *name);

/* As environment_get, but an empty value counts as unset, as for all settings. Context: any. */
const char *environment_get_setting(const struct environment *env, const char *name);

/* Whether this switch is on: 1 or true, in any case. Context: any. */
bool environment_is_on(const struct environment *env, const char *name);

/* Set or replace. Context: any. */
void environment_set(struct environment *env, const char *name, const char *value);

/* Remove all entries of this name. Context: any. */
void environment_unset(struct environment *env, const char *name);

#endif
