/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/xray_call.h"

#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_MS = 10000, URL_SHOWN = 128 };

/* NULL: AWS's own, in the region. */
static const char *url_of(const struct settings *settings)
{
    return settings->aws_endpoint_url_xray != NULL ? settings->aws_endpoint_url_xray : settings->aws_endpoint_url;
}

void xray_call_describe(const struct settings *settings, char *text, size_t size)
{
    char url[URL_SHOWN];
    bool has_profile = strcmp(settings->aws_profile, "default") != 0;

    if (url_of(settings) != NULL)
        values_show_url(url_of(settings), url, sizeof(url));
    else
        aws_call_url("xray", settings->aws_region != NULL ? settings->aws_region : "REGION", url, sizeof(url));
    (void)snprintf(text, size, "%s%s%s", url, has_profile ? ", profile " : "",
                   has_profile ? settings->aws_profile : "");
}

int xray_call_new(const struct exporter_host *host, const struct settings *settings, struct aws_call **ret_call)
{
    const char *url = url_of(settings);
    bool is_https = url == NULL || strncasecmp(url, "https:", 6) == 0;
    const struct http_options http = {
        .timeout_ms = TIMEOUT_MS,
        .ca_certificate = settings->aws_ca_bundle,
        .proxy = is_https ? settings->https_proxy : settings->http_proxy,
        .no_proxy = settings->no_proxy,
    };
    const struct aws_options options = {.service = "xray", .url = url, .http = &http};

    return aws_call_new(host, settings, &options, ret_call);
}

int xray_call_post(struct aws_call *call, const char *path, const void *body, size_t length, http_done *done, void *arg)
{
    const struct aws_request request = {
        .path = path, .content_type = "application/json", .body = body, .length = length};

    return aws_call_post(call, &request, done, arg);
}
