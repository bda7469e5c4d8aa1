/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/otlp_answer.h"

#include "exporters/agent/http_client.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"
#include "exporters/encode/utf8.h"
#include "exporters/exporter.h"
#include "exporters/otlp_grpc.h"
#include "otlp.pb-c.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of an answer, at most: millions of tiny fields would take the loop a third of a second, after each batch. */
enum { READ_MAX = 64 << 10 };

/* How answers and people call it. */
static const struct words {
    const char *name, *items, *rejected, *path, *doubled, *batch_size;
} words_of[SIGNAL_COUNT] = {
    [SIGNAL_TRACES] = {"traces", "spans", "rejectedSpans", "v1/traces", "/v1/traces/v1/traces",
                       "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"},
    [SIGNAL_LOGS] = {"logs", "log records", "rejectedLogRecords", "v1/logs", "/v1/logs/v1/logs",
                     "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"},
};

/* A line for people; cut when it is too long. */
static void say(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(char *out, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(out, size, format, arguments);
    va_end(arguments);
}

void otlp_answer_words(const char *words, size_t length, char out[OTLP_WORDS_MAX])
{
    enum { TAKEN_MAX = 160 };
    char repaired[TAKEN_MAX * UTF8_REPAIRED_MAX + 1];

    if (length > TAKEN_MAX)
        length = TAKEN_MAX;
    (void)utf8_repair(words, length, UINT32_MAX, repaired);
    for (char *p = repaired; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    say(out, OTLP_WORDS_MAX, "%s", repaired);
}

static bool has_type(const struct http_response *response, const char *type)
{
    return response->content_type != NULL && strncasecmp(response->content_type, type, strlen(type)) == 0;
}

/* The answer's message: gRPC puts a frame around it. */
static const uint8_t *message_of(const struct http_response *response, size_t *ret_length)
{
    size_t frame = has_type(response, "application/grpc") ? GRPC_FRAME_SIZE : 0;

    if (response->body_length < frame)
        frame = response->body_length;
    *ret_length = response->body_length - frame;
    return (const uint8_t *)response->body + frame;
}

/* What a receiver says beside "accepted". */
struct remark {
    int64_t rejected;
    char words[OTLP_WORDS_MAX];
};

static void read_protobuf_remark(const struct http_response *response, struct remark *remark)
{
    size_t length;
    const uint8_t *bytes = message_of(response, &length);
    Otlp__ExportTraceServiceResponse *message = otlp__export_trace_service_response__unpack(NULL, length, bytes);

    if (message != NULL && message->partial_success != NULL) {
        const char *words = message->partial_success->error_message;
        remark->rejected = message->partial_success->rejected_spans;
        otlp_answer_words(words, strlen(words), remark->words);
    }
    otlp__export_trace_service_response__free_unpacked(message, NULL);
}

static void read_json_remark(enum signal signal, const struct http_response *response, struct remark *remark)
{
    json_t *message = json_loadb(response->body, response->body_length, 0, NULL);
    const json_t *partial = json_object_get(message, "partialSuccess");
    const json_t *rejected = json_object_get(partial, words_of[signal].rejected);
    const char *words = json_string_value(json_object_get(partial, "errorMessage"));

    remark->rejected = json_is_string(rejected) ? strtoll(json_string_value(rejected), NULL, 10)
                                                : (int64_t)json_integer_value(rejected);
    if (words != NULL)
        otlp_answer_words(words, strlen(words), remark->words);
    json_decref(message);
}

static void read_accepted(enum signal signal, const struct http_response *response, struct exporter_result *result)
{
    struct remark remark = {0};

    if (has_type(response, "application/x-protobuf") || has_type(response, "application/grpc"))
        read_protobuf_remark(response, &remark);
    else if (has_type(response, "application/json"))
        read_json_remark(signal, response, &remark);
    if (remark.rejected > 0)
        result->rejected_count = (uint64_t)remark.rejected;
    if (remark.rejected > 0 || remark.words[0] != '\0')
        say(result->error, sizeof(result->error), "the receiver %s%s: %s",
            remark.rejected > 0 ? "refused some " : "warns", remark.rejected > 0 ? words_of[signal].items : "",
            remark.words);
}

/* Servers and proxies that know nothing of OTLP say what is wrong in a page's title. */
static void read_title(const char *page, size_t length, char out[OTLP_WORDS_MAX])
{
    static const char tag[] = "<title>";
    const char *title = memmem(page, length, tag, strlen(tag));
    const char *end;

    if (title == NULL)
        return;
    title += strlen(tag);
    end = memchr(title, '<', (size_t)(page + length - title));
    if (end != NULL)
        otlp_answer_words(title, (size_t)(end - title), out);
}

/* The words of an error's body: of a google.rpc.Status in either form, or a text. */
static void read_error(const struct http_response *response, char out[OTLP_WORDS_MAX])
{
    out[0] = '\0';
    if (has_type(response, "application/x-protobuf")) {
        Otlp__RpcStatus *status = otlp__rpc_status__unpack(NULL, response->body_length, response->body);
        if (status != NULL)
            otlp_answer_words(status->message, strlen(status->message), out);
        otlp__rpc_status__free_unpacked(status, NULL);
    } else if (has_type(response, "application/json")) {
        json_t *status = json_loadb(response->body, response->body_length, 0, NULL);
        const char *words = json_string_value(json_object_get(status, "message"));
        if (words != NULL)
            otlp_answer_words(words, strlen(words), out);
        else
            otlp_answer_words(response->body, response->body_length, out);
        json_decref(status);
    } else if (has_type(response, "text/plain")) {
        otlp_answer_words(response->body, response->body_length, out);
    } else if (has_type(response, "text/html")) {
        read_title(response->body, response->body_length, out);
    }
}

/* What to do about a status. */
static void write_remedy(const struct settings *settings, enum signal signal, const char *shown_url, int status,
                         char *out, size_t size)
{
    const char *team = values_find_pair(&settings->otlp[signal].headers, "x-honeycomb-team");
    const struct words *words = &words_of[signal];

    if ((status == 401 || status == 403) && team != NULL && *team == '\0')
        say(out, size, "the header x-honeycomb-team is empty");
    else if (status == 401 || status == 403)
        say(out, size, "the receiver wants other credentials: %s",
            team != NULL ? "check HONEYCOMB_API_KEY" : "set OTEL_EXPORTER_OTLP_HEADERS");
    else if (status == 404 && strstr(shown_url, words->doubled) != NULL)
        say(out, size, "%s is added to OTEL_EXPORTER_OTLP_ENDPOINT: leave it out there", words->path);
    else if (status == 404)
        say(out, size, "nothing takes %s at %s: check OTEL_EXPORTER_OTLP_ENDPOINT", words->name, shown_url);
    else if (status == 413)
        say(out, size, "the batch is too large: lower %s", words->batch_size);
    else if (status == 415)
        say(out, size, "%s does not take OTLP as %s: see OTEL_EXPORTER_OTLP_PROTOCOL", shown_url,
            settings->otlp[signal].protocol);
    else if (status >= 300 && status < 400)
        say(out, size, "%s redirects elsewhere: set OTEL_EXPORTER_OTLP_ENDPOINT to the new place", shown_url);
    else if (status == 429)
        say(out, size, "the receiver asks for fewer %s", words->items);
    else if (status >= 500)
        say(out, size, "the receiver at %s has a problem of its own", shown_url);
    else if (status >= 200 && status < 300)
        say(out, size, "%s speaks no gRPC: see OTEL_EXPORTER_OTLP_PROTOCOL", shown_url);
    else
        say(out, size, "the receiver at %s refused the batch", shown_url);
}

static void write_refused(const struct settings *settings, enum signal signal, const char *shown_url,
                          const struct otlp_refusal *refusal, struct exporter_result *result)
{
    char remedy[192];
    char name[16];

    result->outcome = refusal->is_retryable ? EXPORTER_RETRY : EXPORTER_DROP;
    result->retry_after_ms = refusal->retry_after_ms;
    write_remedy(settings, signal, shown_url, refusal->status, remedy, sizeof(remedy));
    say(name, sizeof(name), "%d", refusal->status);
    say(result->error, sizeof(result->error), "%s: %s%s%.*s%s", refusal->name != NULL ? refusal->name : name, remedy,
        refusal->words[0] != '\0' ? " (" : "", OTLP_WORDS_MAX / 2, refusal->words,
        refusal->words[0] != '\0' ? ")" : "");
}

static void read_refused(const struct http_response *response, struct otlp_refusal *refusal)
{
    int status = response->status;

    refusal->status = status;
    refusal->is_retryable = status == 429 || status == 502 || status == 503 || status == 504;
    refusal->retry_after_ms = response->has_retry_after ? response->retry_after_ms : 0;
    read_error(response, refusal->words);
}

/* What to do where there is no answer at all. */
static const char *unanswered_remedy(const struct settings *settings, enum signal signal, enum http_cause cause)
{
    bool has_proxy = settings->http_proxy != NULL || settings->https_proxy != NULL;

    switch (cause) {
    case HTTP_CAUSE_UNREACHABLE:
        return has_proxy ? "; check the receiver, HTTP_PROXY and HTTPS_PROXY"
                         : ": is the collector running? See OTEL_EXPORTER_OTLP_ENDPOINT";
    case HTTP_CAUSE_UNKNOWN_HOST:
        return "; check OTEL_EXPORTER_OTLP_ENDPOINT";
    case HTTP_CAUSE_PROXY:
        return "; check HTTP_PROXY and HTTPS_PROXY";
    case HTTP_CAUSE_AUTHORITY:
        return "; OTEL_EXPORTER_OTLP_CERTIFICATE names the authority";
    case HTTP_CAUSE_TLS:
        return "; does it speak TLS (https://), in a version of today? Does it want a client's certificate?";
    case HTTP_CAUSE_OWN_CERTIFICATE:
        return "; check OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY (without a password)";
    case HTTP_CAUSE_OTHER_VERSION:
        return settings_is_grpc(settings, signal)
                   ? "; does it speak gRPC? OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf is for HTTP"
                   : "; does it speak TLS (https://) or gRPC? That needs OTEL_EXPORTER_OTLP_PROTOCOL=grpc";
    case HTTP_CAUSE_NOT_SIGNED:
    case HTTP_CAUSE_OTHER:
        break;
    }
    return "";
}

static void read_unanswered(const struct settings *settings, enum signal signal, const char *shown_url,
                            const struct http_response *response, struct exporter_result *result)
{
    const char *remedy = unanswered_remedy(settings, signal, response->cause);

    result->outcome = EXPORTER_RETRY;
    if (response->cause == HTTP_CAUSE_UNREACHABLE)
        say(result->error, sizeof(result->error), "nothing listens at %s%s", shown_url, remedy);
    else
        say(result->error, sizeof(result->error), "no answer from %s: %.80s%s", shown_url, response->failure, remedy);
}

void otlp_answer_read(const struct settings *settings, enum signal signal, const char *shown_url,
                      const struct http_response *answer, struct exporter_result *ret_result)
{
    struct otlp_refusal refusal = {0};
    struct http_response beginning = *answer;
    const struct http_response *response = &beginning;

    if (beginning.body_length > READ_MAX)
        beginning.body_length = READ_MAX;

    *ret_result = (struct exporter_result){.outcome = EXPORTER_SENT};
    if (response->status == 0) {
        read_unanswered(settings, signal, shown_url, response, ret_result);
        return;
    }
    if (settings_is_grpc(settings, signal)) {
        /* Without a status of its own, 200 is no success either. */
        if (!otlp_grpc_read(response, &refusal))
            read_refused(response, &refusal);
    } else if (response->status < 200 || response->status >= 300) {
        read_refused(response, &refusal);
    }
    if (refusal.status != 0)
        write_refused(settings, signal, shown_url, &refusal, ret_result);
    else
        read_accepted(signal, response, ret_result);
}
