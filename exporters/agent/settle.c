/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle.h"

#include "exporters/agent/complaints.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/settle_aws.h"
#include "exporters/agent/settle_logs.h"
#include "exporters/agent/settle_otlp.h"
#include "exporters/agent/values.h"
#include "exporters/xray_address.h"
#include "preload/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_word(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncmp(text, word, length) == 0;
}

/* Is it one of these, which are no destinations of traces, or are added when they have what they want? */
static bool is_left_to_others(const char *name, size_t length)
{
    return is_word(name, length, "none") || is_word(name, length, "rollbar") || is_word(name, length, "xray") ||
           is_word(name, length, "cloudwatch");
}

/* Does the list name a destination of traces, or none at all? */
static bool has_traces(const char *list)
{
    size_t length;

    for (; list != NULL && *list != '\0'; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        if (!is_word(list, length, "rollbar") && !is_word(list, length, "cloudwatch"))
            return true;
    }
    return false;
}

/* Once, while there is room. */
static int add_exporter(struct settings *settings, const char *name, size_t length)
{
    for (size_t i = 0; i < settings->exporter_count; i++)
        if (is_word(name, length, settings->exporters[i]))
            return 0;
    if (settings->exporter_count == SETTINGS_EXPORTERS_MAX)
        return 0;
    char *copy = strndup(name, length);
    if (copy == NULL)
        return -ENOMEM;
    settings->exporters[settings->exporter_count++] = copy;
    return 0;
}

/* Without those that are added when they have what they want. */
static int add_exporters(struct settings *settings, const char *list)
{
    int r = 0;

    while (r == 0 && list != NULL && *list != '\0') {
        size_t length = strcspn(list, ",");

        if (!is_left_to_others(list, length))
            r = add_exporter(settings, list, length);
        list += length + (list[length] == ',');
    }
    return r;
}

/* Are traces meant to go by OTLP, or to what OTEL_TRACES_EXPORTER says? OTLP is the default of the specification, but
 * not beside destinations that were asked for in other ways alone. */
static bool is_otlp_meant(const struct settings *settings)
{
    if (settings_was_given(settings, "OTEL_TRACES_EXPORTER") ||
        settings_was_given(settings, "OTEL_EXPORTER_OTLP_ENDPOINT") || settings->otlp_traces_endpoint != NULL ||
        settings->honeycomb_api_key != NULL)
        return true;
    return settings->xray_mode == XRAY_OFF && !has_traces(settings->more_exporters);
}

static int settle_exporters(struct settings *settings)
{
    if (settings->sdk_disabled)
        return 0;
    if (is_otlp_meant(settings) && add_exporters(settings, settings->traces_exporters) < 0)
        return -ENOMEM;
    return add_exporters(settings, settings->more_exporters);
}

/* As it is given, or completed to where items are posted. NULL: Rollbar's own. */
static char *make_rollbar_url(const char *endpoint)
{
    if (endpoint == NULL)
        return strdup("https://api.rollbar.com/api/1/item/");

    size_t length = strlen(endpoint);
    const char *path = strchr(strstr(endpoint, "://") + 3, '/');

    while (path != NULL && length > 0 && endpoint[length - 1] == '/')
        length--;
    bool has_no_path = path == NULL || endpoint + length <= path;
    bool has_base = path != NULL && endpoint + length - path == (ptrdiff_t)strlen("/api/1") &&
                    strncmp(path, "/api/1", strlen("/api/1")) == 0;
    char *url;

    if (!has_no_path && !has_base)
        return strdup(endpoint);
    return asprintf(&url, "%.*s%s", (int)length, endpoint, has_base ? "/item/" : "/api/1/item/") < 0 ? NULL : url;
}

/* Rollbar takes no traces: it is beside what they go to, and changes nothing about that. */
static int settle_rollbar(struct settings *settings, const char *const *entries, size_t entry_count)
{
    const char *token = settings->rollbar_access_token;

    settings->rollbar_url = make_rollbar_url(settings->rollbar_endpoint);
    if (settings->rollbar_url == NULL)
        return -ENOMEM;
    if (token == NULL && values_has_word(settings->more_exporters, "rollbar"))
        complaints_add(settings, "SPANSHIM_EXPORTERS: rollbar is left out: it wants ROLLBAR_ACCESS_TOKEN");
    if (token != NULL && !values_is_header_value(token)) {
        complaints_add(settings, "ROLLBAR_ACCESS_TOKEN has a control character in it; rollbar is left out");
        token = NULL;
    }
    if (token != NULL && settings_is_refused(settings, entries, entry_count, "ROLLBAR_ENDPOINT")) {
        complaints_add(settings, "rollbar is left out: ROLLBAR_ENDPOINT can't be used");
        token = NULL;
    }
    return token == NULL || settings->sdk_disabled ? 0 : add_exporter(settings, "rollbar", strlen("rollbar"));
}

static bool has_xray_daemon(struct settings *settings)
{
    struct xray_address address;
    char problem[XRAY_ADDRESS_PROBLEM_SIZE];

    if (xray_address_parse(settings->xray_daemon_address, &address, problem) == 0)
        return true;
    complaints_add(settings, "AWS_XRAY_DAEMON_ADDRESS: %s; xray is left out", problem);
    return false;
}

/* Who has an endpoint of his own doesn't mean AWS's. */
static bool has_xray_endpoint(struct settings *settings, const char *const *entries, size_t entry_count)
{
    const char *refused = NULL;

    if (settings_is_refused(settings, entries, entry_count, "AWS_ENDPOINT_URL_XRAY"))
        refused = "AWS_ENDPOINT_URL_XRAY";
    else if (settings->aws_endpoint_url_xray == NULL &&
             settings_is_refused(settings, entries, entry_count, "AWS_ENDPOINT_URL"))
        refused = "AWS_ENDPOINT_URL";
    if (refused != NULL)
        complaints_add(settings, "xray is left out: %s can't be used", refused);
    return refused == NULL;
}

/* It is beside what traces go to else, and a wrong address changes nothing about that. */
static int settle_xray(struct settings *settings, const char *const *entries, size_t entry_count)
{
    if (settings->xray_mode == XRAY_OFF || settings->sdk_disabled)
        return 0;
    bool is_there = strcmp(settings->xray_via, "daemon") == 0 ? has_xray_daemon(settings)
                                                              : has_xray_endpoint(settings, entries, entry_count);
    return is_there ? add_exporter(settings, "xray", strlen("xray")) : 0;
}

/* The log's file is enough to have one, beside whatever else there is. */
static int settle_request_log(struct settings *settings)
{
    if (settings->request_log == NULL || settings->sdk_disabled)
        return 0;
    return add_exporter(settings, "request_log", strlen("request_log"));
}

/* A batch is no larger than the queue. `prefix`: of the variables' names. */
static void settle_batches(struct settings *settings, enum signal signal, const char *prefix,
                           const struct settings_batches *given)
{
    struct settings_batches *batches = &settings->batches[signal];

    *batches = *given;
    if (batches->queue_size == 0 || batches->size <= batches->queue_size)
        return;
    complaints_add(settings, "%s_MAX_EXPORT_BATCH_SIZE is above %s_MAX_QUEUE_SIZE; %u is used", prefix, prefix,
                   batches->queue_size);
    batches->size = batches->queue_size;
}

static void settle_all_batches(struct settings *settings)
{
    const struct settings_batches traces = {settings->batch_delay_ms, settings->batch_size, settings->queue_size};
    const struct settings_batches logs = {settings->log_batch_delay_ms, settings->log_batch_size,
                                          settings->log_queue_size};

    settle_batches(settings, SIGNAL_TRACES, "OTEL_BSP", &traces);
    settle_batches(settings, SIGNAL_LOGS, "OTEL_BLRP", &logs);
}

static void complain_of_config_file(struct settings *settings)
{
    const char *name = settings->config_file != NULL ? "OTEL_CONFIG_FILE" : "OTEL_EXPERIMENTAL_CONFIG_FILE";

    if (settings->config_file != NULL || settings->experimental_config_file != NULL)
        complaints_add(settings, "%s: not supported; the environment is used", name);
}

int settle(struct settings *settings, const char *const *entries, size_t entry_count)
{
    if (settle_exporters(settings) < 0 || settle_otlp(settings, entries, entry_count) < 0 ||
        settle_xray(settings, entries, entry_count) < 0 || settle_rollbar(settings, entries, entry_count) < 0 ||
        settle_request_log(settings) < 0 || settle_logs(settings, entries, entry_count) < 0 ||
        settle_aws(settings, entries, entry_count) < 0)
        return -ENOMEM;
    settle_all_batches(settings);
    complain_of_config_file(settings);
    return 0;
}
