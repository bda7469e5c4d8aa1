/* SPDX-License-Identifier: Apache-2.0 */
/* A log of the requests that were served, a line each, in a file: all of them, whatever the samplers decide. */
#include "exporters/agent/settings.h"
#include "exporters/agent/span.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/request_line.h"
#include "exporters/exporter.h"
#include "exporters/line_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DELAY_MS = 1000 }; /* people watch it grow */

struct request_log {
    enum request_line_format format;
    struct line_file out;
};

static void request_log_describe(const struct settings *settings, char *text, size_t size)
{
    (void)snprintf(text, size, "%s", settings->request_log != NULL ? settings->request_log : "");
}

static void request_log_close(void *instance)
{
    struct request_log *log = instance;

    if (log == NULL)
        return;
    line_file_deinit(&log->out);
    free(log);
}

static enum request_line_format format_of(const char *word)
{
    if (strcmp(word, "json") == 0)
        return REQUEST_LINE_JSON;
    return strcmp(word, "combined") == 0 ? REQUEST_LINE_COMBINED : REQUEST_LINE_SHORT;
}

static int request_log_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                            char error[256])
{
    if (settings->request_log == NULL) {
        (void)snprintf(error, 256, "has no file: set SPANSHIM_REQUEST_LOG");
        return -EINVAL;
    }
    struct request_log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    log->format = format_of(settings->request_log_format);
    line_file_init(&log->out, host->loop, settings->request_log);
    *ret_instance = log;
    return 0;
}

/* What the program asked of others is no request of its own. */
static int encode(struct request_log *log, const struct span *const *spans, size_t span_count)
{
    int r = 0;

    log->out.lines.length = 0;
    for (size_t i = 0; i < span_count && r == 0; i++) {
        if (spans[i]->request->kind != WIRE_KIND_SERVER)
            continue;
        r = request_line_append(&log->out.lines, spans[i], log->format);
        if (r == 0)
            r = buffer_append(&log->out.lines, "\n", 1);
    }
    return r;
}

static void request_log_send_spans(void *instance, const struct span *const *spans, size_t span_count,
                                   exporter_done *done, void *arg)
{
    struct request_log *log = instance;
    struct exporter_result result = {.outcome = EXPORTER_SENT};
    int r = encode(log, spans, span_count);

    if (r < 0) {
        result.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP;
        (void)snprintf(result.error, sizeof(result.error), "the batch can't be written down: %s", strerror(-r));
    } else if (log->out.lines.length > 0) {
        line_file_send(&log->out, done, arg);
        return;
    }
    done(arg, &result);
}

const struct exporter exporter_request_log = {
    .name = "request_log",
    .takes = EXPORTER_TAKES_ALL,
    .max_delay_ms = DELAY_MS,
    .describe = request_log_describe,
    .open = request_log_open,
    .send_spans = request_log_send_spans,
    .close = request_log_close,
};
