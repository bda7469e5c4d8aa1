/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/otlp_sender.h"

#include "exporters/agent/http_client.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"
#include "exporters/aws/aws_answer.h"
#include "exporters/aws/aws_call.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/gzip.h"
#include "exporters/encode/otlp_envelope.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/otlp_answer.h"
#include "exporters/otlp_grpc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct otlp_sender {
    const struct settings *settings;
    const struct settings_otlp *otlp; /* of the signal */
    enum signal signal;
    struct buffer json;             /* before it is compressed or framed */
    struct http_endpoint *endpoint; /* NULL: it is signed */
    struct aws_call *call;          /* NULL: it isn't */
    char said[AWS_SAID_SIZE];       /* of signing */
    bool is_json;
    bool is_grpc;
    bool is_gzip;
    exporter_done *done;
    void *arg;
    char shown_url[128];
};

void otlp_sender_describe(const struct settings *settings, enum signal signal, char *text, size_t size)
{
    values_show_url(settings->otlp[signal].url, text, size);
    /* gRPC's path is always the same, and long. */
    char *path = strstr(text, "/opentelemetry.proto.");
    if (path != NULL)
        *path = '\0';
}

void otlp_sender_describe_form(const struct settings *settings, enum signal signal, char *text, size_t size)
{
    const struct settings_otlp *otlp = &settings->otlp[signal];

    (void)snprintf(text, size, "%s, %s", otlp->protocol, otlp->compression);
}

void otlp_sender_free(struct otlp_sender *sender)
{
    if (sender == NULL)
        return;
    http_endpoint_close(sender->endpoint);
    aws_call_free(sender->call);
    buffer_deinit(&sender->json);
    free(sender);
}

static const char *content_type(const struct otlp_sender *sender)
{
    if (sender->is_grpc)
        return "application/grpc";
    return sender->is_json ? "application/json" : "application/x-protobuf";
}

/* The headers of the protocol; `timeout` is grpc-timeout's text. */
static void fill_headers(const struct otlp_sender *sender, const char *timeout, struct http_header *out)
{
    const char *encoding = sender->is_grpc ? "grpc-encoding" : "Content-Encoding";

    *out++ = (struct http_header){"Content-Type", content_type(sender)};
    if (sender->is_gzip)
        *out++ = (struct http_header){encoding, "gzip"};
    if (sender->is_grpc)
        *out++ = (struct http_header){"TE", "trailers"};
    if (sender->is_grpc && *timeout != '\0')
        *out++ = (struct http_header){"grpc-timeout", timeout};
}

static int open_call(struct otlp_sender *sender, const struct exporter_host *host, const struct http_options *http)
{
    const struct settings_otlp *otlp = sender->otlp;
    const struct aws_options options = {
        .service = sender->signal == SIGNAL_LOGS ? "logs" : "xray",
        .url = otlp->url,
        .region = otlp->region[0] != '\0' ? otlp->region : NULL,
        .http = http,
    };

    return aws_call_new(host, sender->settings, &options, &sender->call);
}

static int open_endpoint(struct otlp_sender *sender, const struct exporter_host *host)
{
    const struct settings *settings = sender->settings;
    const struct settings_otlp *otlp = sender->otlp;
    bool is_https = strncasecmp(otlp->url, "https:", 6) == 0;
    char timeout[GRPC_TIMEOUT_SIZE] = "";
    struct http_options options = {
        .url = otlp->url,
        .headers = &otlp->headers,
        .http2_only = sender->is_grpc,
        .timeout_ms = otlp->timeout_ms,
        .ca_certificate = *otlp->certificate,
        .client_certificate = *otlp->client_certificate,
        .client_key = *otlp->client_key,
        .proxy = is_https ? settings->https_proxy : settings->http_proxy,
        .no_proxy = settings->no_proxy,
    };

    if (options.timeout_ms != 0)
        otlp_grpc_timeout(options.timeout_ms, timeout);
    fill_headers(sender, timeout, options.own_headers);
    return otlp->is_signed ? open_call(sender, host, &options)
                           : http_endpoint_open(host->http, &options, &sender->endpoint);
}

/* A file that isn't there yet may come; a pipe or a device could hold up the loop for ever. */
static bool is_no_file(const char *path)
{
    struct stat status;

    return path != NULL && stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* Of the files that libcurl reads, one that it must not. NULL: none. */
static const char *find_no_file(const struct settings_otlp *otlp)
{
    const char *const paths[] = {*otlp->certificate, *otlp->client_certificate, *otlp->client_key};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (is_no_file(paths[i]))
            return paths[i];
    return NULL;
}

int otlp_sender_new(const struct exporter_host *host, const struct settings *settings, enum signal signal,
                    struct otlp_sender **ret_sender, char error[256])
{
    const struct settings_otlp *otlp = &settings->otlp[signal];
    const char *no_file = find_no_file(otlp);

    if (no_file != NULL) {
        (void)snprintf(error, 256, "can't be set up: %.200s is no plain file", no_file);
        return -EINVAL;
    }
    struct otlp_sender *sender = calloc(1, sizeof(*sender));
    int r = -ENOMEM;

    if (sender != NULL) {
        sender->settings = settings;
        sender->otlp = otlp;
        sender->signal = signal;
        sender->is_json = strcmp(otlp->protocol, "http/json") == 0;
        sender->is_grpc = settings_is_grpc(settings, signal);
        sender->is_gzip = strcmp(otlp->compression, "gzip") == 0;
        otlp_sender_describe(settings, signal, sender->shown_url, sizeof(sender->shown_url));
        r = open_endpoint(sender, host);
    }
    if (r < 0) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(-r));
        otlp_sender_free(sender);
        return r;
    }
    *ret_sender = sender;
    return 0;
}

/* AWS's own error, not one of OTLP's? */
static bool is_about_signing(const struct http_response *response)
{
    char code[AWS_CODE_MAX];

    if (response->status == 0)
        return response->cause == HTTP_CAUSE_NOT_SIGNED;
    aws_answer_code(response, code);
    return response->status >= 400 && code[0] != '\0';
}

static void on_response(void *arg, const struct http_response *response)
{
    struct otlp_sender *sender = arg;
    struct exporter_result result;

    if (sender->call != NULL && is_about_signing(response)) {
        aws_answer_read(response, aws_call_origin(sender->call),
                        sender->signal == SIGNAL_LOGS ? &aws_remedies_logs : &aws_remedies_xray, &result);
        aws_answer_say_once(sender->said, &result);
    } else {
        otlp_answer_read(sender->settings, sender->signal, sender->shown_url, response, &result);
        sender->said[0] = '\0';
    }
    sender->done(sender->arg, &result);
}

/* The request's body, made of the batch: compressed and framed, where that is wanted. */
static int pack(const struct otlp_sender *sender, const uint8_t *bytes, size_t length, struct buffer *body)
{
    static const uint8_t no_frame[GRPC_FRAME_SIZE];
    int r = sender->is_grpc ? buffer_append(body, no_frame, sizeof(no_frame)) : 0;

    if (r == 0)
        r = sender->is_gzip ? gzip_append(body, bytes, length) : buffer_append(body, bytes, length);
    if (r == 0 && sender->is_grpc)
        otlp_grpc_frame(body->bytes, sender->is_gzip, body->length - GRPC_FRAME_SIZE);
    return r;
}

int otlp_sender_pack(struct otlp_sender *sender, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                     size_t length, struct buffer *payload)
{
    if (!sender->is_json)
        return pack(sender, bytes, length, payload);
    sender->json.length = 0;
    int r = otlp_json_append(&sender->json, descriptor, bytes, length);
    if (r == 0 && sender->json.length > OTLP_REQUEST_MAX) /* limits count before compression */
        r = -EFBIG;
    return r == 0 ? pack(sender, sender->json.bytes, sender->json.length, payload) : r;
}

static int post(struct otlp_sender *sender, const void *body, size_t length)
{
    const struct aws_request request = {
        .path = "", .content_type = content_type(sender), .body = body, .length = length};

    return sender->call != NULL ? aws_call_post(sender->call, &request, on_response, sender)
                                : http_endpoint_post(sender->endpoint, body, length, on_response, sender);
}

void otlp_sender_send(struct otlp_sender *sender, const void *payload, size_t length, exporter_done *done, void *arg)
{
    sender->done = done;
    sender->arg = arg;
    int r = post(sender, payload, length);
    if (r == 0)
        return;

    struct exporter_result result = {.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP};
    (void)snprintf(result.error, sizeof(result.error), "the batch can't be sent: %s", strerror(-r));
    done(arg, &result);
}
