/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/telemetry.h"

#include "exporters/agent/settings.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "preload/config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_word(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncasecmp(text, word, length) == 0;
}

/* Does the list have a word that is no destination of reports or logs alone? */
static bool names_receiver_of_traces(const char *list)
{
    static const char separators[] = ", \t";

    for (list += strspn(list, separators); *list; list += strspn(list, separators)) {
        size_t length = strcspn(list, separators);

        if (!is_word(list, length, "rollbar") && !is_word(list, length, "cloudwatch"))
            return true;
        list += length;
    }
    return false;
}

/* As the shim reads it: AWS_XRAY_DAEMON_ADDRESS is enough. */
static bool goes_to_xray(const struct environment *env)
{
    struct config read = {0};

    for (size_t i = 0; i < env->count; i++)
        config_add(&read, env->entries[i]);
    config_settle(&read);
    return read.xray_mode != XRAY_OFF;
}

/* Is it said where traces go? Metrics and logs may be configured for a program's own SDK. */
static bool is_configured(const struct environment *env)
{
    static const char otlp[] = "OTEL_EXPORTER_OTLP_";
    const char *exporters = environment_get_setting(env, "SPANSHIM_EXPORTERS");

    if (environment_get_setting(env, "OTEL_TRACES_EXPORTER") || environment_get(env, "HONEYCOMB_API_KEY") ||
        (exporters && names_receiver_of_traces(exporters)) || goes_to_xray(env))
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

bool telemetry_choose_terminal(struct environment *env)
{
    if (is_configured(env))
        return false;

    const char *others = environment_get_setting(env, "SPANSHIM_EXPORTERS");
    char *exporters = memory_format("console%s%s", others ? "," : "", others ? others : "");

    environment_set(env, "SPANSHIM_EXPORTERS", exporters);
    free(exporters);
    return true;
}

enum telemetry telemetry_of(const struct settings *settings)
{
    bool has_console = false;

    for (size_t i = 0; i < settings->exporter_count; i++)
        has_console |= strcmp(settings->exporters[i], "console") == 0;
    for (size_t i = 0; i < settings->log_exporter_count; i++)
        has_console |= strcmp(settings->log_exporters[i], "console_logs") == 0;
    if (settings->exporter_count + settings->log_exporter_count == 0)
        return TELEMETRY_NONE;
    return has_console && !settings->console_path ? TELEMETRY_CONSOLE : TELEMETRY_EXPORTED;
}
