/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP over HTTP, protobuf: which answers mean accepted, come again, or never; and what to do about it, in plain words.
 */
#include "exporters/agent/http_client.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"
#include "exporters/encode/otlp_trace.h"
#include "exporters/encode/utf8.h"
#include "exporters/exporter.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct otlp {
    const struct settings *settings;
    struct otlp_encoder *encoder;
    struct http_endpoint *endpoint;
    struct otlp_limits limits;
    size_t span_count; /* of the batch under way */
    exporter_done *done;
    void *arg;
    char shown_url[128];
};

static uint32_t request_timeout_ms(const struct settings *settings)
{
    uint32_t one = settings->otlp_timeout_ms;
    uint32_t batch = settings->batch_timeout_ms;

    if (one == 0 || batch == 0)
        return one | batch;
    return one < batch ? one : batch;
}

static void otlp_describe(const struct settings *settings, char *text, size_t size)
{
    values_show_url(settings->otlp_url, text, size);
}

static void otlp_close(void *instance)
{
    struct otlp *otlp = instance;

    if (otlp == NULL)
        return;
    http_endpoint_close(otlp->endpoint);
    otlp_encoder_free(otlp->encoder);
    free(otlp);
}

static int otlp_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                     char error[256])
{
    bool is_https = strncasecmp(settings->otlp_url, "https:", 6) == 0;
    struct http_options options = {
        .url = settings->otlp_url,
        .content_type = "application/x-protobuf",
        .headers = &settings->otlp_headers,
        .timeout_ms = request_timeout_ms(settings),
        .gzip = strcmp(settings->otlp_compression, "gzip") == 0,
        .ca_certificate = settings->otlp_certificate,
        .client_certificate = settings->otlp_client_certificate,
        .client_key = settings->otlp_client_key,
        .proxy = is_https ? settings->https_proxy : settings->http_proxy,
        .no_proxy = settings->no_proxy,
    };
    struct otlp *otlp = calloc(1, sizeof(*otlp));
    int r = -ENOMEM;

    if (otlp != NULL)
        otlp->encoder = otlp_encoder_new();
    if (otlp != NULL && otlp->encoder != NULL)
        r = http_endpoint_open(host->http, &options, &otlp->endpoint);
    if (r < 0) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(-r));
        otlp_close(otlp);
        return r;
    }
    otlp->settings = settings;
    otlp->limits = (struct otlp_limits){settings->attribute_count, settings->attribute_length};
    otlp_describe(settings, otlp->shown_url, sizeof(otlp->shown_url));
    *ret_instance = otlp;
    return 0;
}

/* Is the answer's content protobuf? Receivers also answer errors as JSON or plain text. */
static bool is_protobuf(const struct http_response *response)
{
    return response->content_type != NULL && strncasecmp(response->content_type, "application/x-protobuf", 22) == 0;
}

/* A line for people; cut when it is too long. */
static void say(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(char *out, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(out, size, format, arguments);
    va_end(arguments);
}

/* A receiver's words: one line, valid, bounded. */
static void copy_words(const char *words, size_t length, char *out, size_t size)
{
    char repaired[160 * UTF8_REPAIRED_MAX + 1];

    if (length > 160)
        length = 160;
    (void)utf8_repair(words, length, UINT32_MAX, repaired);
    for (char *p = repaired; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    say(out, size, "%s", repaired);
}

static void read_accepted(const struct http_response *response, size_t span_count, struct exporter_result *result)
{
    Otlp__ExportTraceServiceResponse *message =
        is_protobuf(response) ? otlp__export_trace_service_response__unpack(NULL, response->body_length, response->body)
                              : NULL;

    if (message == NULL)
        return;
    if (message->partial_success != NULL) {
        int64_t rejected = message->partial_success->rejected_spans;
        const char *words = message->partial_success->error_message;

        if (rejected > 0)
            result->rejected_count = (uint64_t)rejected < span_count ? (uint64_t)rejected : span_count;
        if (rejected > 0 || words[0] != '\0') {
            char shown[180];
            copy_words(words, strlen(words), shown, sizeof(shown));
            say(result->error, sizeof(result->error), "%s: %s",
                rejected > 0 ? "the receiver refused some spans" : "the receiver warns", shown);
        }
    }
    otlp__export_trace_service_response__free_unpacked(message, NULL);
}

/* What the receiver said about an error, or "". */
static void read_error(const struct http_response *response, char *out, size_t size)
{
    Otlp__RpcStatus *status =
        is_protobuf(response) ? otlp__rpc_status__unpack(NULL, response->body_length, response->body) : NULL;

    out[0] = '\0';
    if (status != NULL)
        copy_words(status->message, strlen(status->message), out, size);
    else if (response->content_type != NULL && (strncasecmp(response->content_type, "text/plain", 10) == 0 ||
                                                strncasecmp(response->content_type, "application/json", 16) == 0))
        copy_words(response->body, response->body_length, out, size);
    otlp__rpc_status__free_unpacked(status, NULL);
}

/* What to do about a status. */
static void write_remedy(const struct otlp *otlp, int status, char *out, size_t size)
{
    const char *team = values_find_pair(&otlp->settings->otlp_headers, "x-honeycomb-team");

    if ((status == 401 || status == 403) && team != NULL && *team == '\0')
        say(out, size, "the header x-honeycomb-team is empty");
    else if (status == 401 || status == 403)
        say(out, size, "the receiver wants other credentials: %s",
            team != NULL ? "check HONEYCOMB_API_KEY" : "set OTEL_EXPORTER_OTLP_HEADERS");
    else if (status == 404 && strstr(otlp->shown_url, "/v1/traces/v1/traces") != NULL)
        say(out, size, "v1/traces is added to OTEL_EXPORTER_OTLP_ENDPOINT: leave it out there");
    else if (status == 404)
        say(out, size, "nothing takes traces at %s: check OTEL_EXPORTER_OTLP_ENDPOINT", otlp->shown_url);
    else if (status == 413)
        say(out, size, "the batch is too large: lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
    else if (status == 415)
        say(out, size, "%s does not take OTLP as protobuf", otlp->shown_url);
    else if (status >= 300 && status < 400)
        say(out, size, "%s redirects elsewhere: set OTEL_EXPORTER_OTLP_ENDPOINT to the new place", otlp->shown_url);
    else if (status == 429)
        say(out, size, "the receiver asks for fewer spans");
    else if (status >= 500)
        say(out, size, "the receiver at %s has a problem of its own", otlp->shown_url);
    else
        say(out, size, "the receiver at %s refused the batch", otlp->shown_url);
}

static void read_refused(const struct otlp *otlp, const struct http_response *response, struct exporter_result *result)
{
    int status = response->status;
    char remedy[192];
    char words[180];

    result->outcome = status == 429 || status == 502 || status == 503 || status == 504 ? EXPORTER_RETRY : EXPORTER_DROP;
    if (response->has_retry_after)
        result->retry_after_ms = response->retry_after_ms;
    write_remedy(otlp, status, remedy, sizeof(remedy));
    read_error(response, words, sizeof(words));
    say(result->error, sizeof(result->error), "%d: %s%s%.*s%s", status, remedy, words[0] != '\0' ? " (" : "",
        (int)sizeof(words) / 2, words, words[0] != '\0' ? ")" : "");
}

/* What to do where there is no answer at all. */
static const char *unanswered_remedy(const struct otlp *otlp, enum http_cause cause)
{
    bool has_proxy = otlp->settings->http_proxy != NULL || otlp->settings->https_proxy != NULL;

    switch (cause) {
    case HTTP_CAUSE_UNREACHABLE:
        return has_proxy ? "; check the receiver, HTTP_PROXY and HTTPS_PROXY"
                         : ": is the collector running? See OTEL_EXPORTER_OTLP_ENDPOINT";
    case HTTP_CAUSE_UNKNOWN_HOST:
        return "; check OTEL_EXPORTER_OTLP_ENDPOINT";
    case HTTP_CAUSE_UNKNOWN_PROXY:
        return "; check HTTP_PROXY and HTTPS_PROXY";
    case HTTP_CAUSE_TLS:
        return "; OTEL_EXPORTER_OTLP_CERTIFICATE names the authority";
    case HTTP_CAUSE_OTHER:
        break;
    }
    return strstr(otlp->shown_url, ":4317/") != NULL ? "; port 4317 speaks gRPC, OTLP over HTTP is at 4318" : "";
}

static void read_unanswered(const struct otlp *otlp, const struct http_response *response,
                            struct exporter_result *result)
{
    const char *remedy = unanswered_remedy(otlp, response->cause);

    result->outcome = EXPORTER_RETRY;
    if (response->cause == HTTP_CAUSE_UNREACHABLE)
        say(result->error, sizeof(result->error), "nothing listens at %s%s", otlp->shown_url, remedy);
    else
        say(result->error, sizeof(result->error), "no answer from %s: %.80s%s", otlp->shown_url, response->failure,
            remedy);
}

static void on_response(void *arg, const struct http_response *response)
{
    struct otlp *otlp = arg;
    struct exporter_result result = {.outcome = EXPORTER_SENT};

    if (response->status == 0)
        read_unanswered(otlp, response, &result);
    else if (response->status >= 200 && response->status < 300)
        read_accepted(response, otlp->span_count, &result);
    else
        read_refused(otlp, response, &result);
    otlp->done(otlp->arg, &result);
}

static void otlp_send(void *instance, const struct span *const *spans, size_t span_count, exporter_done *done,
                      void *arg)
{
    struct otlp *otlp = instance;
    const uint8_t *bytes;
    size_t length;
    int r = otlp_trace_encode(otlp->encoder, spans, span_count, &otlp->limits, &bytes, &length);

    otlp->span_count = span_count;
    otlp->done = done;
    otlp->arg = arg;
    if (r == 0)
        r = http_endpoint_post(otlp->endpoint, bytes, length, on_response, otlp);
    if (r == 0)
        return;

    struct exporter_result result = {.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP};
    say(result.error, sizeof(result.error), "the batch can't be sent: %s", strerror(-r));
    done(arg, &result);
}

const struct exporter exporter_otlp = {
    .name = "otlp",
    .signals = EXPORTER_TRACES,
    .describe = otlp_describe,
    .open = otlp_open,
    .send = otlp_send,
    .close = otlp_close,
};
