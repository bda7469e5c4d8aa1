/* SPDX-License-Identifier: Apache-2.0 */
/* CloudWatch Logs' API: where it is and how it is called, by the settings. Used by cloudwatch.c and
 * cloudwatch_create.c. */
#ifndef SPANSHIM_AWS_LOGS_CALL_H
#define SPANSHIM_AWS_LOGS_CALL_H

#include "exporters/aws/aws_call.h"

/* As aws_service_describe. Context: pure. */
void logs_call_describe(const struct settings *settings, char *text, size_t size);

/* As aws_call_new. Context: loop. */
int logs_call_new(const struct exporter_host *host, const struct settings *settings, struct aws_call **ret_call);

/* Call an operation like "Logs_20140328.PutLogEvents" with JSON (both borrowed until done), as aws_call_post.
 * Context: loop. */
int logs_call_post(struct aws_call *call, const char *operation, const void *body, size_t length, http_done *done,
                   void *arg);

#endif
