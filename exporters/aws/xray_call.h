/* SPDX-License-Identifier: Apache-2.0 */
/* X-Ray's own API: where it is and how it is called, by the settings. Used by xray_api.c and xray_service.c. */
#ifndef SPANSHIM_AWS_XRAY_CALL_H
#define SPANSHIM_AWS_XRAY_CALL_H

#include "exporters/aws/aws_call.h"

/* As aws_service_describe. Context: pure. */
void xray_call_describe(const struct settings *settings, char *text, size_t size);

/* As aws_call_new. Context: loop. */
int xray_call_new(const struct exporter_host *host, const struct settings *settings, struct aws_call **ret_call);

/* Post JSON (borrowed until done) to a path like "/TraceSegments", as aws_call_post. Context: loop. */
int xray_call_post(struct aws_call *call, const char *path, const void *body, size_t length, http_done *done,
                   void *arg);

#endif
