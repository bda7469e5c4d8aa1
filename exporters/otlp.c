/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP to a receiver: over HTTP as protobuf or JSON, or over gRPC. What goes to AWS is signed. */
#include "exporters/agent/http_client.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"
#include "exporters/aws/aws_answer.h"
#include "exporters/aws/aws_call.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/gzip.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_trace.h"
#include "exporters/exporter.h"
#include "exporters/otlp_answer.h"
#include "exporters/otlp_grpc.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct otlp {
    const struct settings *settings;
    struct otlp_encoder *encoder;
    struct buffer json;             /* before it is compressed or framed */
    struct http_endpoint *endpoint; /* NULL: it is signed */
    struct aws_call *call;          /* NULL: it isn't */
    char said[AWS_SAID_SIZE];       /* of signing */
    struct otlp_limits limits;
    bool is_json;
    bool is_grpc;
    bool is_gzip;
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
    /* gRPC's path is always the same, and long. */
    char *path = strstr(text, "/opentelemetry.proto.");
    if (path != NULL)
        *path = '\0';
}

static void otlp_describe_form(const struct settings *settings, char *text, size_t size)
{
    bool has_profile = settings->otlp_is_signed && strcmp(settings->aws_profile, "default") != 0;

    /* Another profile may be another account. */
    (void)snprintf(text, size, "%s, %s%s%s", settings->otlp_protocol, settings->otlp_compression,
                   has_profile ? ", profile " : "", has_profile ? settings->aws_profile : "");
}

static void otlp_close(void *instance)
{
    struct otlp *otlp = instance;

    if (otlp == NULL)
        return;
    http_endpoint_close(otlp->endpoint);
    aws_call_free(otlp->call);
    otlp_encoder_free(otlp->encoder);
    buffer_deinit(&otlp->json);
    free(otlp);
}

static const char *content_type(const struct otlp *otlp)
{
    if (otlp->is_grpc)
        return "application/grpc";
    return otlp->is_json ? "application/json" : "application/x-protobuf";
}

/* The headers of the protocol; `timeout` is grpc-timeout's text. */
static void fill_headers(const struct otlp *otlp, const char *timeout, struct http_header *out)
{
    const char *encoding = otlp->is_grpc ? "grpc-encoding" : "Content-Encoding";

    *out++ = (struct http_header){"Content-Type", content_type(otlp)};
    if (otlp->is_gzip)
        *out++ = (struct http_header){encoding, "gzip"};
    if (otlp->is_grpc)
        *out++ = (struct http_header){"TE", "trailers"};
    if (otlp->is_grpc && *timeout != '\0')
        *out++ = (struct http_header){"grpc-timeout", timeout};
}

static int open_call(struct otlp *otlp, const struct exporter_host *host, const struct http_options *http)
{
    const struct settings *settings = otlp->settings;
    const struct aws_options options = {
        .service = "xray",
        .url = settings->otlp_url,
        .region = settings->otlp_region[0] != '\0' ? settings->otlp_region : NULL,
        .http = http,
    };

    return aws_call_new(host, settings, &options, &otlp->call);
}

static int open_endpoint(struct otlp *otlp, const struct exporter_host *host)
{
    const struct settings *settings = otlp->settings;
    bool is_https = strncasecmp(settings->otlp_url, "https:", 6) == 0;
    char timeout[GRPC_TIMEOUT_SIZE] = "";
    struct http_options options = {
        .url = settings->otlp_url,
        .headers = &settings->otlp_headers,
        .http2_only = otlp->is_grpc,
        .timeout_ms = request_timeout_ms(settings),
        .ca_certificate = settings->otlp_certificate,
        .client_certificate = settings->otlp_client_certificate,
        .client_key = settings->otlp_client_key,
        .proxy = is_https ? settings->https_proxy : settings->http_proxy,
        .no_proxy = settings->no_proxy,
    };

    if (options.timeout_ms != 0)
        otlp_grpc_timeout(options.timeout_ms, timeout);
    fill_headers(otlp, timeout, options.own_headers);
    return settings->otlp_is_signed ? open_call(otlp, host, &options)
                                    : http_endpoint_open(host->http, &options, &otlp->endpoint);
}

/* A file that isn't there yet may come; a pipe or a device could hold up the loop for ever. */
static bool is_no_file(const char *path)
{
    struct stat status;

    return path != NULL && stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* Of the files that libcurl reads, one that it must not. NULL: none. */
static const char *find_no_file(const struct settings *settings)
{
    const char *const paths[] = {settings->otlp_certificate, settings->otlp_client_certificate,
                                 settings->otlp_client_key};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (is_no_file(paths[i]))
            return paths[i];
    return NULL;
}

static int otlp_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                     char error[256])
{
    const char *no_file = find_no_file(settings);

    if (no_file != NULL) {
        (void)snprintf(error, 256, "can't be set up: %.200s is no plain file", no_file);
        return -EINVAL;
    }
    struct otlp *otlp = calloc(1, sizeof(*otlp));
    int r = -ENOMEM;

    if (otlp != NULL) {
        otlp->settings = settings;
        otlp->limits = (struct otlp_limits){.attribute_count = settings->attribute_count,
                                            .attribute_length = settings->attribute_length,
                                            .link_count = settings->link_count};
        otlp->is_json = strcmp(settings->otlp_protocol, "http/json") == 0;
        otlp->is_grpc = settings_is_grpc(settings);
        otlp->is_gzip = strcmp(settings->otlp_compression, "gzip") == 0;
        otlp_describe(settings, otlp->shown_url, sizeof(otlp->shown_url));
        otlp->encoder = otlp_encoder_new();
    }
    if (otlp != NULL && otlp->encoder != NULL)
        r = open_endpoint(otlp, host);
    if (r < 0) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(-r));
        otlp_close(otlp);
        return r;
    }
    *ret_instance = otlp;
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
    struct otlp *otlp = arg;
    struct exporter_result result;

    if (otlp->call != NULL && is_about_signing(response)) {
        aws_answer_read(response, aws_call_origin(otlp->call), &aws_remedies_xray, &result);
        aws_answer_say_once(otlp->said, &result);
    } else {
        otlp_answer_read(otlp->settings, otlp->shown_url, response, &result);
        otlp->said[0] = '\0';
    }
    otlp->done(otlp->arg, &result);
}

/* The batch in the encoding that was asked for. Limits count before compression. */
static int encode(struct otlp *otlp, const struct span *const *spans, size_t count, const uint8_t **ret_bytes,
                  size_t *ret_length)
{
    int r = otlp_trace_encode(otlp->encoder, spans, count, &otlp->limits, ret_bytes, ret_length);

    if (r < 0 || !otlp->is_json)
        return r;
    otlp->json.length = 0;
    r = otlp_json_append(&otlp->json, &otlp__export_trace_service_request__descriptor, *ret_bytes, *ret_length);
    *ret_bytes = otlp->json.bytes;
    *ret_length = otlp->json.length;
    return r == 0 && otlp->json.length > OTLP_REQUEST_MAX ? -EFBIG : r;
}

/* The request's body, made of the batch: compressed and framed, where that is wanted. */
static int pack(const struct otlp *otlp, const uint8_t *bytes, size_t length, struct buffer *body)
{
    static const uint8_t no_frame[GRPC_FRAME_SIZE];
    int r = otlp->is_grpc ? buffer_append(body, no_frame, sizeof(no_frame)) : 0;

    if (r == 0)
        r = otlp->is_gzip ? gzip_append(body, bytes, length) : buffer_append(body, bytes, length);
    if (r == 0 && otlp->is_grpc)
        otlp_grpc_frame(body->bytes, otlp->is_gzip, body->length - GRPC_FRAME_SIZE);
    return r;
}

static int otlp_encode_spans(void *instance, const struct span *const *spans, size_t count, struct buffer *payload)
{
    const uint8_t *bytes;
    size_t length;
    int r = encode(instance, spans, count, &bytes, &length);

    return r == 0 ? pack(instance, bytes, length, payload) : r;
}

static int post(struct otlp *otlp, const void *body, size_t length)
{
    const struct aws_request request = {.path = "", .content_type = content_type(otlp), .body = body, .length = length};

    return otlp->call != NULL ? aws_call_post(otlp->call, &request, on_response, otlp)
                              : http_endpoint_post(otlp->endpoint, body, length, on_response, otlp);
}

static void otlp_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct otlp *otlp = instance;

    otlp->done = done;
    otlp->arg = arg;
    int r = post(otlp, payload, length);
    if (r == 0)
        return;

    struct exporter_result result = {.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP};
    (void)snprintf(result.error, sizeof(result.error), "the batch can't be sent: %s", strerror(-r));
    done(arg, &result);
}

const struct exporter exporter_otlp = {
    .name = "otlp",
    .describe = otlp_describe,
    .describe_form = otlp_describe_form,
    .open = otlp_open,
    .encode_spans = otlp_encode_spans,
    .send = otlp_send,
    .close = otlp_close,
};
