/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle_logs.h"

#include "exporters/agent/complaints.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { CLOUDWATCH_GROUP_MAX = 512 };

/* Once, while there is room. */
static int add_exporter(struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->log_exporter_count; i++)
        if (strcmp(settings->log_exporters[i], name) == 0)
            return 0;
    if (settings->log_exporter_count == SETTINGS_EXPORTERS_MAX)
        return 0;
    char *copy = strdup(name);
    if (copy == NULL)
        return -ENOMEM;
    settings->log_exporters[settings->log_exporter_count++] = copy;
    return 0;
}

/* Can a log group have this name? */
static bool is_group(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_/#";
    size_t length = strlen(name);

    return length > 0 && length <= CLOUDWATCH_GROUP_MAX && strspn(name, allowed) == length &&
           strncmp(name, "aws/", 4) != 0;
}

static bool is_retention(uint32_t days)
{
    static const uint32_t allowed[] = {1,   3,   5,   7,   14,   30,   60,   90,   120,  150,  180,
                                       365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653};

    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (allowed[i] == days)
            return true;
    return false;
}

/* Why it can't be had, or NULL. */
static const char *cloudwatch_problem(const struct settings *settings, const char *const *entries, size_t entry_count)
{
    static const char *const endpoints[] = {"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL_LOGS",
                                            "AWS_ENDPOINT_URL"};

    if (!is_group(settings->cloudwatch_group))
        return "SPANSHIM_CLOUDWATCH_LOG_GROUP";
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]) && settings->aws_endpoint_url_logs == NULL; i++)
        if (settings_is_refused(settings, entries, entry_count, endpoints[i]))
            return endpoints[i];
    return NULL;
}

static void check_retention(struct settings *settings)
{
    if (settings->cloudwatch_retention_days == 0 || is_retention(settings->cloudwatch_retention_days))
        return;
    complaints_add(settings, "SPANSHIM_CLOUDWATCH_RETENTION_DAYS: AWS has no retention of %u days; it is ignored",
                   settings->cloudwatch_retention_days);
    settings->cloudwatch_retention_days = 0;
}

/* It may be asked for by name, but it wants a group. */
static void check_group(struct settings *settings)
{
    const char *name = NULL;

    if (values_has_word(settings->logs_exporters, "cloudwatch"))
        name = "OTEL_LOGS_EXPORTER";
    else if (values_has_word(settings->more_exporters, "cloudwatch"))
        name = "SPANSHIM_EXPORTERS";
    if (name != NULL)
        complaints_add(settings, "%s: cloudwatch is left out: it wants SPANSHIM_CLOUDWATCH_LOG_GROUP", name);
}

/* Its group is what switches it on, beside whatever else logs go to. */
static int settle_cloudwatch(struct settings *settings, const char *const *entries, size_t entry_count)
{
    const char *problem;

    check_retention(settings);
    if (settings->cloudwatch_group == NULL) {
        check_group(settings);
        return 0;
    }
    problem = cloudwatch_problem(settings, entries, entry_count);
    if (problem != NULL)
        complaints_add(settings, "cloudwatch is left out: %s can't be used", problem);
    return problem == NULL ? add_exporter(settings, "cloudwatch") : 0;
}

/* A destination of logs is an exporter of its own, beside that of traces with the same name for users. */
static int settle_exporters(struct settings *settings)
{
    static const struct {
        const char *word, *exporter;
    } names[] = {{"otlp", "otlp_logs"}, {"otlp_file", "otlp_logs_file"}, {"console", "console_logs"}};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++)
        if (values_has_word(settings->logs_exporters, names[i].word))
            r = add_exporter(settings, names[i].exporter);
    return r;
}

int settle_logs(struct settings *settings, const char *const *entries, size_t entry_count)
{
    if (settings->sdk_disabled)
        return 0;
    int r = settle_exporters(settings);
    return r == 0 ? settle_cloudwatch(settings, entries, entry_count) : r;
}
