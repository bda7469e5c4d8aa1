/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/aws_service.h"

#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"
#include "exporters/aws/aws_call.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_MS = 10000, URL_SHOWN = 128 };

/* NULL: AWS's own, in the region. */
static const char *url_of(const struct aws_service *service, const struct settings *settings)
{
    return service->url != NULL ? service->url : settings->aws_endpoint_url;
}

void aws_service_describe(const struct aws_service *service, const struct settings *settings, char *text, size_t size)
{
    const char *own = url_of(service, settings);
    char url[URL_SHOWN] = "";
    bool has_profile = strcmp(settings->aws_profile, "default") != 0;

    if (own != NULL)
        values_show_url(own, url, sizeof(url));
    else
        (void)aws_call_url(service->name, settings->aws_region != NULL ? settings->aws_region : "REGION", url,
                           sizeof(url));
    (void)snprintf(text, size, "%s%s%s", url, has_profile ? ", profile " : "",
                   has_profile ? settings->aws_profile : "");
}

int aws_service_call(const struct aws_service *service, const struct exporter_host *host,
                     const struct settings *settings, struct aws_call **ret_call)
{
    const char *url = url_of(service, settings);
    bool is_https = url == NULL || strncasecmp(url, "https:", 6) == 0;
    const struct http_options http = {
        .timeout_ms = TIMEOUT_MS,
        .ca_certificate = settings->aws_ca_bundle,
        .proxy = is_https ? settings->https_proxy : settings->http_proxy,
        .no_proxy = settings->no_proxy,
    };
    const struct aws_options options = {.service = service->name, .url = url, .http = &http};

    return aws_call_new(host, settings, &options, ret_call);
}
