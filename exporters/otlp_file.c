/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP as lines of JSON in a file, as the Collector's file receiver reads them: each batch is a line. */
#include "exporters/agent/settings.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/otlp_json.h"
#include "exporters/encode/otlp_trace.h"
#include "exporters/exporter.h"
#include "exporters/line_file.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct otlp_file {
    struct otlp_encoder *encoder;
    const struct otlp_limits *limits;
    struct line_file out;
};

static void otlp_file_describe(const struct settings *settings, char *text, size_t size)
{
    (void)snprintf(text, size, "%s", settings->otlp_file != NULL ? settings->otlp_file : "");
}

static void otlp_file_close(void *instance)
{
    struct otlp_file *file = instance;

    if (file == NULL)
        return;
    line_file_deinit(&file->out);
    otlp_encoder_free(file->encoder);
    free(file);
}

static int otlp_file_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                          char error[256])
{
    if (settings->otlp_file == NULL) {
        (void)snprintf(error, 256, "has no file: set SPANSHIM_OTLP_FILE");
        return -EINVAL;
    }
    struct otlp_file *file = calloc(1, sizeof(*file));
    if (file != NULL) {
        file->limits = &settings->otlp[SIGNAL_TRACES].limits;
        line_file_init(&file->out, host->loop, settings->otlp_file);
        file->encoder = otlp_encoder_new();
    }
    if (file == NULL || file->encoder == NULL) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(ENOMEM));
        otlp_file_close(file);
        return -ENOMEM;
    }
    *ret_instance = file;
    return 0;
}

static int encode(struct otlp_file *file, const struct span *const *spans, size_t span_count)
{
    const uint8_t *bytes;
    size_t length;
    int r = otlp_trace_encode(file->encoder, spans, span_count, file->limits, &bytes, &length);

    file->out.lines.length = 0;
    if (r == 0)
        r = otlp_json_append(&file->out.lines, &otlp__export_trace_service_request__descriptor, bytes, length);
    return r == 0 ? buffer_append(&file->out.lines, "\n", 1) : r;
}

static void otlp_file_send_spans(void *instance, const struct span *const *spans, size_t span_count,
                                 exporter_done *done, void *arg)
{
    struct otlp_file *file = instance;
    struct exporter_result result;
    int r = encode(file, spans, span_count);

    if (r == 0) {
        line_file_send(&file->out, done, arg);
        return;
    }
    result = (struct exporter_result){.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP};
    (void)snprintf(result.error, sizeof(result.error), "the batch can't be encoded: %s", strerror(-r));
    done(arg, &result);
}

const struct exporter exporter_otlp_file = {
    .name = "otlp_file",
    .describe = otlp_file_describe,
    .open = otlp_file_open,
    .send_spans = otlp_file_send_spans,
    .close = otlp_file_close,
};
