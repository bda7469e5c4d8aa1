/* SPDX-License-Identifier: Apache-2.0 */
/* How segments get to X-Ray: by the daemon (xray_daemon.c) or by calls of our own (xray_api.c). Chosen and called by
 * xray.c; each does for it what struct exporter (exporter.h) says of the function of that name. A payload is complete
 * documents, each ended by a line feed. */
#ifndef SPANSHIM_XRAY_WAY_H
#define SPANSHIM_XRAY_WAY_H

#include "exporters/exporter.h"

struct xray_way {
    void (*describe)(const struct settings *settings, char *text, size_t size);
    int (*open)(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                char error[256]);
    void (*send)(void *instance, const void *payload, size_t length, exporter_done *done, void *arg);
    void (*close)(void *instance);
};

extern const struct xray_way xray_daemon, xray_api;

#endif
