/* SPDX-License-Identifier: Apache-2.0 */
/* Logs as lines of OTLP JSON in a file of their own: each batch is a line. */
#include "exporters/agent/clock.h"
#include "exporters/agent/settings.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_logs.h"
#include "exporters/exporter.h"
#include "exporters/line_file.h"
#include "exporters/otlp_crash.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct otlp_logs_file {
    struct otlp_logs *encoder;
    const struct otlp_limits *limits;
    struct line_file out;
};

static void otlp_logs_file_describe(const struct settings *settings, char *text, size_t size)
{
    (void)snprintf(text, size, "%s", settings->otlp_logs_file != NULL ? settings->otlp_logs_file : "");
}

static void otlp_logs_file_close(void *instance)
{
    struct otlp_logs_file *file = instance;

    if (file == NULL)
        return;
    line_file_deinit(&file->out);
    otlp_logs_free(file->encoder);
    free(file);
}

static int otlp_logs_file_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                               char error[256])
{
    if (settings->otlp_logs_file == NULL) {
        (void)snprintf(error, 256, "has no file: set SPANSHIM_OTLP_LOGS_FILE");
        return -EINVAL;
    }
    struct otlp_logs_file *file = calloc(1, sizeof(*file));
    if (file != NULL) {
        line_file_init(&file->out, host->loop, settings->otlp_logs_file);
        file->limits = &settings->otlp[SIGNAL_LOGS].limits;
        file->encoder = otlp_logs_new(file->limits);
    }
    if (file == NULL || file->encoder == NULL) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(ENOMEM));
        otlp_logs_file_close(file);
        return -ENOMEM;
    }
    *ret_instance = file;
    return 0;
}

/* A request as a line. */
static int append_line(const uint8_t *bytes, size_t length, struct buffer *payload)
{
    int r = otlp_json_append(payload, &otlp__export_logs_service_request__descriptor, bytes, length);

    return r == 0 ? buffer_append(payload, "\n", 1) : r;
}

static int otlp_logs_file_encode_logs(void *instance, const struct log_event *const *events, size_t count,
                                      struct buffer *payload)
{
    struct otlp_logs_file *file = instance;
    const uint8_t *bytes;
    size_t length;
    int r = otlp_logs_encode(file->encoder, events, count, &bytes, &length);

    return r == 0 ? append_line(bytes, length, payload) : r;
}

static int otlp_logs_file_encode_report(void *instance, const json_t *report, struct buffer *payload)
{
    const struct otlp_logs_file *file = instance;
    struct buffer bytes = {0};
    int r = otlp_crash_encode(report, clock_now_ns(CLOCK_REALTIME), file->limits, &bytes);

    if (r == 0)
        r = append_line(bytes.bytes, bytes.length, payload);
    buffer_deinit(&bytes);
    return r;
}

static void otlp_logs_file_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct otlp_logs_file *file = instance;

    file->out.lines.length = 0;
    if (buffer_append(&file->out.lines, payload, length) < 0) {
        done(arg, &(struct exporter_result){.outcome = EXPORTER_RETRY, .error = "out of memory"});
        return;
    }
    line_file_send(&file->out, done, arg);
}

const struct exporter exporter_otlp_logs_file = {
    .name = "otlp_logs_file",
    .describe = otlp_logs_file_describe,
    .open = otlp_logs_file_open,
    .encode_logs = otlp_logs_file_encode_logs,
    .encode_report = otlp_logs_file_encode_report,
    .send = otlp_logs_file_send,
    .close = otlp_logs_file_close,
};
