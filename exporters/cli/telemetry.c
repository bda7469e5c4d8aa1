/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/telemetry.h"

#include "exporters/cli/environment.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Whether a comma separated list has this word, in any case. */
static bool list_has(const char *list, const char *word)
{
    size_t word_len = strlen(word);

    while (list && *list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");

        if (len == word_len && strncasecmp(list, word, len) == 0)
            return true;
        list += len;
    }
    return false;
}

/* Whether traces are spoken of: metrics and logs may be configured for a program's own SDK. */
static bool is_configured(const struct environment *env)
{
    static const char otlp[] = "OTEL_EXPORTER_OTLP_";

    if (environment_get_setting(env, "OTEL_TRACES_EXPORTER") || environment_get_setting(env, "SPANSHIM_EXPORTERS") ||
        environment_get(env, "HONEYCOMB_API_KEY"))
        return true;
    for (size_t i = 0; i < env->count; i++) {
        const char *rest = env->entries[i] + sizeof(otlp) - 1;

        if (strncmp(env->entries[i], otlp, sizeof(otlp) - 1) != 0 || strncmp(rest, "METRICS_", 8) == 0 ||
            strncmp(rest, "LOGS_", 5) == 0)
            continue;
        const char *value = strchr(rest, '=');
        if (value && value[1])
            return true;
    }
    return false;
}

enum telemetry telemetry_choose(struct environment *env)
{
    const char *disabled = environment_get(env, "OTEL_SDK_DISABLED");

    if (disabled && strcasecmp(disabled, "true") == 0)
        return TELEMETRY_NONE;
    if (!is_configured(env))
        environment_set(env, "SPANSHIM_EXPORTERS", "console");

    const char *traces = environment_get_setting(env, "OTEL_TRACES_EXPORTER");
    const char *more = environment_get_setting(env, "SPANSHIM_EXPORTERS");

    if (list_has(traces, "none") && !more)
        return TELEMETRY_NONE;
    if (!list_has(traces, "console") && !list_has(more, "console"))
        return TELEMETRY_EXPORTED;
    return environment_get_setting(env, "SPANSHIM_CONSOLE") ? TELEMETRY_EXPORTED : TELEMETRY_CONSOLE;
}
