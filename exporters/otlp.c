/* SPDX-License-Identifier: Apache-2.0 */
/* Traces to a receiver of OTLP. */
#include "exporters/agent/settings.h"
#include "exporters/encode/otlp_trace.h"
#include "exporters/exporter.h"
#include "exporters/otlp_sender.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct otlp {
    struct otlp_encoder *encoder;
    struct otlp_sender *sender;
    const struct otlp_limits *limits;
};

static void otlp_describe(const struct settings *settings, char *text, size_t size)
{
    otlp_sender_describe(settings, SIGNAL_TRACES, text, size);
}

static void otlp_describe_form(const struct settings *settings, char *text, size_t size)
{
    otlp_sender_describe_form(settings, SIGNAL_TRACES, text, size);
}

static void otlp_close(void *instance)
{
    struct otlp *otlp = instance;

    if (otlp == NULL)
        return;
    otlp_sender_free(otlp->sender);
    otlp_encoder_free(otlp->encoder);
    free(otlp);
}

static int otlp_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                     char error[256])
{
    struct otlp *otlp = calloc(1, sizeof(*otlp));
    int r = -ENOMEM;

    (void)snprintf(error, 256, "can't be set up: %s", strerror(ENOMEM));
    if (otlp != NULL) {
        otlp->limits = &settings->otlp[SIGNAL_TRACES].limits;
        otlp->encoder = otlp_encoder_new();
    }
    if (otlp != NULL && otlp->encoder != NULL)
        r = otlp_sender_new(host, settings, SIGNAL_TRACES, &otlp->sender, error);
    if (r < 0) {
        otlp_close(otlp);
        return r;
    }
    *ret_instance = otlp;
    return 0;
}

static int otlp_encode_spans(void *instance, const struct span *const *spans, size_t count, struct buffer *payload)
{
    struct otlp *otlp = instance;
    const uint8_t *bytes;
    size_t length;
    int r = otlp_trace_encode(otlp->encoder, spans, count, otlp->limits, &bytes, &length);

    return r == 0
               ? otlp_sender_pack(otlp->sender, &otlp__export_trace_service_request__descriptor, bytes, length, payload)
               : r;
}

static void otlp_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct otlp *otlp = instance;

    otlp_sender_send(otlp->sender, payload, length, done, arg);
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
