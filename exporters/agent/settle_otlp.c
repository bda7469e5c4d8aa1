/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/settle_otlp.h"

#include "exporters/agent/complaints.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define HONEYCOMB_ENDPOINT "https://api.honeycomb.io"
#define HONEYCOMB_HEADER   "x-honeycomb-team"

/* The rows of one signal. */
struct own {
    const char *endpoint, *protocol, *compression;
    char *const *certificate, *const *client_certificate, *const *client_key;
    const struct settings_pairs *headers;
    const char *insecure_name, *timeout_name;
    bool insecure;
    uint32_t timeout_ms, batch_timeout_ms;
    const char *http_path, *grpc_path;
};

static struct own own_of(const struct settings *settings, enum signal signal)
{
    if (signal == SIGNAL_LOGS)
        return (struct own){.endpoint = settings->otlp_logs_endpoint,
                            .protocol = settings->otlp_logs_protocol,
                            .compression = settings->otlp_logs_compression,
                            .certificate = &settings->otlp_logs_certificate,
                            .client_certificate = &settings->otlp_logs_client_certificate,
                            .client_key = &settings->otlp_logs_client_key,
                            .headers = &settings->otlp_logs_headers,
                            .insecure_name = "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
                            .timeout_name = "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
                            .insecure = settings->otlp_logs_insecure,
                            .timeout_ms = settings->otlp_logs_timeout_ms,
                            .batch_timeout_ms = settings->log_batch_timeout_ms,
                            .http_path = "v1/logs",
                            .grpc_path = "opentelemetry.proto.collector.logs.v1.LogsService/Export"};
    return (struct own){.endpoint = settings->otlp_traces_endpoint,
                        .protocol = settings->otlp_traces_protocol,
                        .compression = settings->otlp_traces_compression,
                        .certificate = &settings->otlp_traces_certificate,
                        .client_certificate = &settings->otlp_traces_client_certificate,
                        .client_key = &settings->otlp_traces_client_key,
                        .headers = &settings->otlp_traces_headers,
                        .insecure_name = "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
                        .timeout_name = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                        .insecure = settings->otlp_traces_insecure,
                        .timeout_ms = settings->otlp_traces_timeout_ms,
                        .batch_timeout_ms = settings->batch_timeout_ms,
                        .http_path = "v1/traces",
                        .grpc_path = "opentelemetry.proto.collector.trace.v1.TraceService/Export"};
}

/* The endpoint for all signals: as given, or what the other settings make of it. */
static const char *base_endpoint(const struct settings *settings, enum signal signal)
{
    if (settings_was_given(settings, "OTEL_EXPORTER_OTLP_ENDPOINT"))
        return settings->otlp_endpoint;
    if (settings->honeycomb_api_key != NULL)
        return HONEYCOMB_ENDPOINT;
    return settings_is_grpc(settings, signal) ? SETTINGS_GRPC_ENDPOINT : settings->otlp_endpoint;
}

static char *make_url(const struct settings *settings, enum signal signal, const struct own *own)
{
    const char *base = base_endpoint(settings, signal);
    bool insecure = settings_was_given(settings, own->insecure_name) ? own->insecure : settings->otlp_insecure;

    if (settings_is_grpc(settings, signal))
        return values_service_url(own->endpoint != NULL ? own->endpoint : base, insecure, own->grpc_path);
    return own->endpoint != NULL ? values_complete_url(own->endpoint) : values_join_url(base, own->http_path);
}

/* Of one request: the shorter of its own limit and that of a batch. */
static uint32_t make_timeout(const struct settings *settings, const struct own *own)
{
    uint32_t one = settings_was_given(settings, own->timeout_name) ? own->timeout_ms : settings->otlp_timeout_ms;
    uint32_t batch = own->batch_timeout_ms;

    if (one == 0 || batch == 0)
        return one | batch;
    return one < batch ? one : batch;
}

static int copy_pairs(const struct settings_pairs *from, struct settings_pairs *to)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < from->count; i++)
        r = values_add_pair(to, from->pairs[i].name, from->pairs[i].value);
    return r;
}

static char *const *either(char *const *own, char *const *of_all)
{
    return *own != NULL ? own : of_all;
}

static int settle_signal(struct settings *settings, enum signal signal)
{
    const struct own own = own_of(settings, signal);
    struct settings_otlp *otlp = &settings->otlp[signal];

    otlp->protocol = own.protocol != NULL ? own.protocol : settings->otlp_protocol;
    otlp->compression = own.compression != NULL ? own.compression : settings->otlp_compression;
    otlp->certificate = either(own.certificate, &settings->otlp_certificate);
    otlp->client_certificate = either(own.client_certificate, &settings->otlp_client_certificate);
    otlp->client_key = either(own.client_key, &settings->otlp_client_key);
    otlp->timeout_ms = make_timeout(settings, &own);
    otlp->url = make_url(settings, signal, &own);
    if (otlp->url == NULL)
        return -ENOMEM;
    return copy_pairs(own.headers->count > 0 ? own.headers : &settings->otlp_headers, &otlp->headers);
}

static bool is_honeycomb(const char *url)
{
    char shown[256];

    values_show_url(url, shown, sizeof(shown));
    char *host = strstr(shown, "://");
    if (host == NULL)
        return false;
    host += strlen("://");
    size_t length = strcspn(host, ":/");
    size_t suffix = strlen(".honeycomb.io");
    bool is_cut = host + length == shown + sizeof(shown) - 1;
    host[length] = '\0';
    return !is_cut && length > suffix && strcasecmp(host + length - suffix, ".honeycomb.io") == 0;
}

/* The team's key as a header can carry it; NULL: none. */
static const char *honeycomb_key(struct settings *settings, const char *const *entries, size_t entry_count)
{
    const char *key = settings->honeycomb_api_key;

    if (key == NULL && settings_find_entry(entries, entry_count, "HONEYCOMB_API_KEY") != NULL)
        complaints_add(settings,
                       "HONEYCOMB_API_KEY is empty: set it to a key of your Honeycomb environment, or unset it");
    if (key == NULL || values_is_header_value(key))
        return key;
    complaints_add(settings, "HONEYCOMB_API_KEY has a control character in it; the key is not sent");
    return NULL;
}

/* The key goes to Honeycomb and nowhere else: another receiver has its own, or none. */
static int add_honeycomb_key(struct settings *settings, enum signal signal, const char *key)
{
    struct settings_otlp *otlp = &settings->otlp[signal];

    if (values_find_pair(&otlp->headers, HONEYCOMB_HEADER) != NULL || !is_honeycomb(otlp->url))
        return 0;
    return key != NULL && values_add_pair(&otlp->headers, HONEYCOMB_HEADER, key) == -ENOMEM ? -ENOMEM : 0;
}

static bool has_empty_team(const struct settings *settings, enum signal signal)
{
    const char *team = values_find_pair(&settings->otlp[signal].headers, HONEYCOMB_HEADER);

    return team != NULL && *team == '\0';
}

static bool misses_key(const struct settings *settings, enum signal signal)
{
    const struct settings_otlp *otlp = &settings->otlp[signal];

    return settings->honeycomb_api_key == NULL && values_find_pair(&otlp->headers, HONEYCOMB_HEADER) == NULL &&
           is_honeycomb(otlp->url);
}

static int settle_honeycomb(struct settings *settings, const char *const *entries, size_t entry_count)
{
    const char *key = honeycomb_key(settings, entries, entry_count);

    if (has_empty_team(settings, SIGNAL_TRACES) || has_empty_team(settings, SIGNAL_LOGS))
        complaints_add(settings, "OTEL_EXPORTER_OTLP_HEADERS: the header " HONEYCOMB_HEADER " is empty");
    if (misses_key(settings, SIGNAL_TRACES) || misses_key(settings, SIGNAL_LOGS))
        complaints_add(settings, "the header " HONEYCOMB_HEADER " is missing: set HONEYCOMB_API_KEY");
    return add_honeycomb_key(settings, SIGNAL_TRACES, key) < 0 || add_honeycomb_key(settings, SIGNAL_LOGS, key) < 0
               ? -ENOMEM
               : 0;
}

/* A signal's own limit, else that of all; its range ends below SETTINGS_NO_LIMIT. */
static uint32_t limit_of(uint32_t own, uint32_t general)
{
    return own != SETTINGS_NO_LIMIT ? own : general;
}

static void settle_limits(struct settings *settings)
{
    settings->otlp[SIGNAL_TRACES].limits =
        (struct otlp_limits){.attribute_count = limit_of(settings->span_attribute_count, settings->attribute_count),
                             .attribute_length = limit_of(settings->span_attribute_length, settings->attribute_length),
                             .link_count = settings->link_count,
                             .event_count = settings->event_count,
                             .event_attribute_count = settings->event_attribute_count};
    settings->otlp[SIGNAL_LOGS].limits =
        (struct otlp_limits){.attribute_count = limit_of(settings->log_attribute_count, settings->attribute_count),
                             .attribute_length = limit_of(settings->log_attribute_length, settings->attribute_length)};
}

int settle_otlp(struct settings *settings, const char *const *entries, size_t entry_count)
{
    settle_limits(settings);
    if (settle_signal(settings, SIGNAL_TRACES) == -ENOMEM || settle_signal(settings, SIGNAL_LOGS) == -ENOMEM)
        return -ENOMEM;
    return settle_honeycomb(settings, entries, entry_count);
}
