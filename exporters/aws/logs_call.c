/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/logs_call.h"

#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"

#include <stdio.h>
#include <strings.h>

enum { TIMEOUT_MS = 10000 };

/* NULL: AWS's own, in the region. */
static const char *url_of(const struct settings *settings)
{
    return settings->aws_endpoint_url_logs != NULL ? settings->aws_endpoint_url_logs : settings->aws_endpoint_url;
}

void logs_call_describe(const struct settings *settings, char *text, size_t size)
{
    if (url_of(settings) != NULL)
        values_show_url(url_of(settings), text, size);
    else
        (void)snprintf(text, size, "https://logs.%s.amazonaws.com",
                       settings->aws_region != NULL ? settings->aws_region : "REGION");
}

int logs_call_new(const struct exporter_host *host, const struct settings *settings, struct aws_call **ret_call)
{
    const char *url = url_of(settings);
    bool is_https = url == NULL || strncasecmp(url, "https:", 6) == 0;
    const struct http_options http = {
        .timeout_ms = TIMEOUT_MS,
        .ca_certificate = settings->aws_ca_bundle,
        .proxy = is_https ? settings->https_proxy : settings->http_proxy,
        .no_proxy = settings->no_proxy,
    };
    const struct aws_options options = {.service = "logs", .url = url, .http = &http};

    return aws_call_new(host, settings, &options, ret_call);
}

int logs_call_post(struct aws_call *call, const char *operation, const void *body, size_t length, http_done *done,
                   void *arg)
{
    const struct aws_request request = {
        .path = "/", .target = operation, .content_type = "application/x-amz-json-1.1", .body = body, .length = length};

    return aws_call_post(call, &request, done, arg);
}
