/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of X-Ray's API: by the daemon, which signs what it passes on, or signed by us, as SPANSHIM_XRAY_VIA says. Used
 * by agent/xray_poller.c for sampling rules and targets. */
#ifndef SPANSHIM_XRAY_SERVICE_H
#define SPANSHIM_XRAY_SERVICE_H

#include "exporters/agent/http_client.h"

#include <stddef.h>

struct exporter_host; /* exporter.h */
struct settings;
struct xray_service;

enum { XRAY_SERVICE_ERROR_SIZE = 256 };

/* For these settings (borrowed; outlive it). NULL, with one line in `error`. Context: loop. */
struct xray_service *xray_service_new(const struct exporter_host *host, const struct settings *settings,
                                      char error[XRAY_SERVICE_ERROR_SIZE]);
/* A call under way is abandoned; its done is not called. NULL is accepted. Context: loop. */
void xray_service_free(struct xray_service *service);

/* Where it calls, for people. Borrowed. Context: pure. */
const char *xray_service_shown(const struct xray_service *service);

/* Post JSON (borrowed until done) to a path like "/GetSamplingRules". One call at a time: -EBUSY. done is called later,
 * from the loop. An answer that is not 200 comes without a status; `failure` says why. 0 or -errno. Context: loop. */
int xray_service_post(struct xray_service *service, const char *path, const void *body, size_t length, http_done *done,
                      void *arg);

#endif
