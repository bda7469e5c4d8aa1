/* SPDX-License-Identifier: Apache-2.0 */
/* AWS X-Ray: spans as its segment documents, by the daemon or by calls of our own. */
#include "exporters/agent/settings.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/xray_document.h"
#include "exporters/exporter.h"
#include "exporters/xray_instance.h"
#include "exporters/xray_way.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Segments are to be seen soon, but a request's calls that come in one batch with it are embedded in its segment. */
enum { DELAY_MS = 1000 };

struct xray {
    const struct xray_way *way;
    void *instance;              /* the way's */
    struct xray_instance *place; /* the machine; NULL: it isn't asked, or there was no memory to */
    struct xray_options options;
};

static const struct xray_way *way_of(const struct settings *settings)
{
    return strcmp(settings->xray_via, "api") == 0 ? &xray_api : &xray_daemon;
}

static void xray_describe(const struct settings *settings, char *text, size_t size)
{
    way_of(settings)->describe(settings, text, size);
}

static void xray_close(void *instance)
{
    struct xray *xray = instance;

    if (xray == NULL)
        return;
    xray_instance_free(xray->place);
    xray->way->close(xray->instance);
    free(xray);
}

static int xray_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                     char error[256])
{
    const struct xray_way *way = way_of(settings);
    struct xray *xray = calloc(1, sizeof(*xray));
    int r = -ENOMEM;

    (void)snprintf(error, 256, "can't be set up: %s", strerror(-r));
    if (xray != NULL)
        r = way->open(host, settings, &xray->instance, error);
    if (r < 0) {
        free(xray);
        return r;
    }
    xray->way = way;
    xray->options = (struct xray_options){.annotations = settings->xray_annotations,
                                          .has_metadata = settings->xray_metadata,
                                          .document_max = XRAY_DATAGRAM_DOCUMENT_MAX};
    (void)xray_instance_new(host, settings, &xray->place);
    *ret_instance = xray;
    return 0;
}

static int xray_encode_spans(void *instance, const struct span *const *spans, size_t count, struct buffer *payload)
{
    struct xray *xray = instance;
    size_t dropped;

    xray->options.plugins = xray_instance_facts(xray->place);
    return xray_documents_append(spans, count, &xray->options, payload, &dropped);
}

static void xray_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct xray *xray = instance;

    xray->way->send(xray->instance, payload, length, done, arg);
}

const struct exporter exporter_xray = {
    .name = "xray",
    .takes = EXPORTER_TAKES_XRAY,
    .takes_open = true,
    .max_delay_ms = DELAY_MS,
    .describe = xray_describe,
    .open = xray_open,
    .encode_spans = xray_encode_spans,
    .send = xray_send,
    .close = xray_close,
};
