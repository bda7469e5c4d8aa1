/* SPDX-License-Identifier: Apache-2.0 */
/* Logs to a receiver of OTLP. */
#include "exporters/encode/otlp_logs.h"
#include "exporters/agent/clock.h"
#include "exporters/agent/settings.h"
#include "exporters/encode/buffer.h"
#include "exporters/exporter.h"
#include "exporters/otlp_crash.h"
#include "exporters/otlp_sender.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct otlp_logs_exporter {
    struct otlp_logs *encoder;
    const struct otlp_limits *limits;
    struct otlp_sender *sender;
};

static void otlp_logs_describe(const struct settings *settings, char *text, size_t size)
{
    otlp_sender_describe(settings, SIGNAL_LOGS, text, size);
}

static void otlp_logs_describe_form(const struct settings *settings, char *text, size_t size)
{
    otlp_sender_describe_form(settings, SIGNAL_LOGS, text, size);
}

static void otlp_logs_close(void *instance)
{
    struct otlp_logs_exporter *exporter = instance;

    if (exporter == NULL)
        return;
    otlp_sender_free(exporter->sender);
    otlp_logs_free(exporter->encoder);
    free(exporter);
}

static int otlp_logs_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                          char error[256])
{
    struct otlp_logs_exporter *exporter = calloc(1, sizeof(*exporter));
    int r = -ENOMEM;

    (void)snprintf(error, 256, "can't be set up: %s", strerror(ENOMEM));
    if (exporter != NULL) {
        exporter->limits = &settings->otlp[SIGNAL_LOGS].limits;
        exporter->encoder = otlp_logs_new(exporter->limits);
    }
    if (exporter != NULL && exporter->encoder != NULL)
        r = otlp_sender_new(host, settings, SIGNAL_LOGS, &exporter->sender, error);
    if (r < 0) {
        otlp_logs_close(exporter);
        return r;
    }
    *ret_instance = exporter;
    return 0;
}

static int otlp_logs_encode_logs(void *instance, const struct log_event *const *events, size_t count,
                                 struct buffer *payload)
{
    struct otlp_logs_exporter *exporter = instance;
    const uint8_t *bytes;
    size_t length;
    int r = otlp_logs_encode(exporter->encoder, events, count, &bytes, &length);

    return r == 0 ? otlp_sender_pack(exporter->sender, &otlp__export_logs_service_request__descriptor, bytes, length,
                                     payload)
                  : r;
}

static int otlp_logs_encode_report(void *instance, const json_t *report, struct buffer *payload)
{
    struct otlp_logs_exporter *exporter = instance;
    struct buffer bytes = {0};
    int r = otlp_crash_encode(report, clock_now_ns(CLOCK_REALTIME), exporter->limits, &bytes);

    if (r == 0)
        r = otlp_sender_pack(exporter->sender, &otlp__export_logs_service_request__descriptor, bytes.bytes,
                             bytes.length, payload);
    buffer_deinit(&bytes);
    return r;
}

static void otlp_logs_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct otlp_logs_exporter *exporter = instance;

    otlp_sender_send(exporter->sender, payload, length, done, arg);
}

const struct exporter exporter_otlp_logs = {
    .name = "otlp_logs",
    .describe = otlp_logs_describe,
    .describe_form = otlp_logs_describe_form,
    .open = otlp_logs_open,
    .encode_logs = otlp_logs_encode_logs,
    .encode_report = otlp_logs_encode_report,
    .send = otlp_logs_send,
    .close = otlp_logs_close,
};
