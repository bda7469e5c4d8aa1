/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle_aws.h"

#include "exporters/agent/complaints.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { URL_SHOWN = 256 };

/* AWS's own endpoints of OTLP: https://SERVICE.REGION.amazonaws.com/PATH, or China's. */
static const struct {
    const char *start, *path;
} endpoints[SIGNAL_COUNT] = {
    [SIGNAL_TRACES] = {"https://xray.", "/v1/traces"},
    [SIGNAL_LOGS] = {"https://logs.", "/v1/logs"},
};

/* The region of such a URL. False: it is another one. */
static bool find_region(enum signal signal, const char *url, char *region, size_t size)
{
    static const char *const domains[] = {".amazonaws.com", ".amazonaws.com.cn"};
    const char *start = endpoints[signal].start;
    char shown[URL_SHOWN];

    values_show_url(url, shown, sizeof(shown));
    if (strncasecmp(shown, start, strlen(start)) != 0)
        return false;
    const char *name = shown + strlen(start);
    size_t length = strcspn(name, "./:");
    if (length == 0 || length >= size)
        return false;
    for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
        char rest[64];

        (void)snprintf(rest, sizeof(rest), "%s%s", domains[i], endpoints[signal].path);
        if (strcasecmp(name + length, rest) != 0)
            continue;
        (void)snprintf(region, size, "%.*s", (int)length, name);
        return true;
    }
    return false;
}

static void settle_signing(struct settings *settings, enum signal signal)
{
    struct settings_otlp *otlp = &settings->otlp[signal];
    char region[sizeof(otlp->region)] = "";
    bool is_aws = find_region(signal, otlp->url, region, sizeof(region));
    bool is_wanted = strcmp(settings->otlp_sigv4, "on") == 0 || (strcmp(settings->otlp_sigv4, "auto") == 0 && is_aws);

    if (!is_wanted)
        return;
    if (settings_is_grpc(settings, signal)) {
        complaints_add(settings,
                       "OTLP by gRPC is not signed: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf for AWS's endpoints");
        return;
    }
    otlp->is_signed = true;
    memcpy(otlp->region, region, sizeof(region));
}

static bool has_exporter(char *const *exporters, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(exporters[i], name) == 0)
            return true;
    return false;
}

/* A file in ~/.aws, where none is set. */
static int default_file(char **field, const char *home, const char *name)
{
    if (*field != NULL || home == NULL || home[0] != '/')
        return 0;
    if (asprintf(field, "%s/.aws/%s", home, name) >= 0)
        return 0;
    *field = NULL;
    return -ENOMEM;
}

/* The files that AWS's tools share are looked into only where something is signed that needs them. They are the
 * program's user's: paths, so that settings_give_to() judges them like others. */
static int settle_files(struct settings *settings, const char *home)
{
    bool has_all =
        settings->aws_access_key_id != NULL && settings->aws_secret_access_key != NULL && settings->aws_region != NULL;
    int r = 0;

    if (!has_all)
        r = default_file(&settings->aws_credentials_file, home, "credentials");
    return r == 0 && !has_all ? default_file(&settings->aws_config_file, home, "config") : r;
}

int settle_aws(struct settings *settings, const char *const *entries, size_t entry_count)
{
    bool calls_xray =
        has_exporter(settings->exporters, settings->exporter_count, "xray") && strcmp(settings->xray_via, "api") == 0;
    bool calls_logs = has_exporter(settings->log_exporters, settings->log_exporter_count, "cloudwatch");

    if (has_exporter(settings->exporters, settings->exporter_count, "otlp"))
        settle_signing(settings, SIGNAL_TRACES);
    if (has_exporter(settings->log_exporters, settings->log_exporter_count, "otlp_logs"))
        settle_signing(settings, SIGNAL_LOGS);
    if (!calls_xray && !calls_logs && !settings->otlp[SIGNAL_TRACES].is_signed &&
        !settings->otlp[SIGNAL_LOGS].is_signed)
        return 0;
    return settle_files(settings, settings_find_entry(entries, entry_count, "HOME"));
}
