/* SPDX-License-Identifier: Apache-2.0 */
/* What the process was given at start by its environment: the trace context of whoever started it (TRACEPARENT,
 * TRACESTATE, BAGGAGE: OpenTelemetry's environment variables as context propagation carriers). Copies: programs
 * overwrite the original. */
#ifndef SPANSHIM_START_ENV_H
#define SPANSHIM_START_ENV_H

#include "preload/propagation.h"
#include "preload/slice.h"

#include <stdbool.h>

enum start_env_variable { START_ENV_TRACEPARENT, START_ENV_TRACESTATE, START_ENV_BAGGAGE, START_ENV_COUNT };

/* Whose context it is. */
struct start_env_parent {
    struct trace_context context;
    struct slice tracestate;
    struct carried *carried; /* NULL: there is no baggage */
};

/* Read it. Context: start; after config_init(). */
void start_env_init(char *const *envp);

/* The parent that the environment names; NULL: it names none, or none is wanted. Context: hook; signal-safe. */
const struct start_env_parent *start_env_parent(void);

/* Which of them is this "NAME=value"? START_ENV_COUNT: none. Context: pure. */
enum start_env_variable start_env_variable(const char *entry);

/* The "NAME=value" that the process got; NULL: it got none, or one that is too long. Context: hook; signal-safe. */
const char *start_env_entry(enum start_env_variable variable);

/* All that it got; returns how many. Context: hook; signal-safe. */
size_t start_env_entries(const char *ret_entries[START_ENV_COUNT]);

/* The same as a header field; false: there is none. And: is this such a field's name, of the trace and not of baggage?
 * Context: hook; signal-safe. */
bool start_env_field(enum start_env_variable variable, struct slice *ret_name, struct slice *ret_value);
bool start_env_is_field(struct slice name);

/* Would a program with this environment be loaded with us in it? A caller may have taken us out on purpose. Context:
 * pure. */
bool start_env_loads_us(char *const *envp);

#endif
