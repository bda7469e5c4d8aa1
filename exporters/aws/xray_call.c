/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/xray_call.h"

#include "exporters/agent/settings.h"
#include "exporters/aws/aws_service.h"

static struct aws_service service_by(const struct settings *settings)
{
    return (struct aws_service){.name = "xray", .url = settings->aws_endpoint_url_xray};
}

void xray_call_describe(const struct settings *settings, char *text, size_t size)
{
    const struct aws_service service = service_by(settings);

    aws_service_describe(&service, settings, text, size);
}

int xray_call_new(const struct exporter_host *host, const struct settings *settings, struct aws_call **ret_call)
{
    const struct aws_service service = service_by(settings);

    return aws_service_call(&service, host, settings, ret_call);
}

int xray_call_post(struct aws_call *call, const char *path, const void *body, size_t length, http_done *done, void *arg)
{
    const struct aws_request request = {
        .path = path, .content_type = "application/json", .body = body, .length = length};

    return aws_call_post(call, &request, done, arg);
}
