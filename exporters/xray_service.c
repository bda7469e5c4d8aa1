/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/xray_service.h"

#include "exporters/agent/settings.h"
#include "exporters/aws/aws_answer.h"
#include "exporters/aws/xray_call.h"
#include "exporters/exporter.h"
#include "exporters/xray_address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 10000, SHOWN_SIZE = XRAY_ADDRESS_HOST_SIZE + 64 };

struct xray_service {
    char shown[SHOWN_SIZE];
    struct http_endpoint *daemon; /* NULL: X-Ray itself is called */
    struct aws_call *call;        /* NULL: the daemon is */
    bool is_busy;
    http_done *done;
    void *arg;
};

static int open_daemon(struct xray_service *service, const struct exporter_host *host, const struct settings *settings,
                       char error[XRAY_SERVICE_ERROR_SIZE])
{
    const struct http_options options = {
        .own_headers = {{"Content-Type", "application/json"}},
        .timeout_ms = TIMEOUT_MS,
    };
    struct xray_address address;

    if (xray_address_parse(settings->xray_daemon_address, &address, error) != 0)
        return -EINVAL;
    xray_address_show(address.tcp_host, address.tcp_port, service->shown, sizeof(service->shown));
    return http_endpoint_open(host->http, &options, &service->daemon);
}

static int open_call(struct xray_service *service, const struct exporter_host *host, const struct settings *settings)
{
    xray_call_describe(settings, service->shown, sizeof(service->shown));
    return xray_call_new(host, settings, &service->call);
}

struct xray_service *xray_service_new(const struct exporter_host *host, const struct settings *settings,
                                      char error[XRAY_SERVICE_ERROR_SIZE])
{
    struct xray_service *service = calloc(1, sizeof(*service));
    int r = -ENOMEM;

    error[0] = '\0';
    if (service != NULL)
        r = strcmp(settings->xray_via, "daemon") == 0 ? open_daemon(service, host, settings, error)
                                                      : open_call(service, host, settings);
    if (r == 0)
        return service;
    if (error[0] == '\0')
        (void)snprintf(error, XRAY_SERVICE_ERROR_SIZE, "%s", strerror(-r));
    xray_service_free(service);
    return NULL;
}

void xray_service_free(struct xray_service *service)
{
    if (service == NULL)
        return;
    http_endpoint_close(service->daemon);
    aws_call_free(service->call);
    free(service);
}

const char *xray_service_shown(const struct xray_service *service)
{
    return service->shown;
}

/* The daemon passes on what X-Ray says to it. */
static void describe_refusal(const struct http_response *response, char error[XRAY_SERVICE_ERROR_SIZE])
{
    char code[AWS_CODE_MAX];

    aws_answer_code(response, code);
    (void)snprintf(error, XRAY_SERVICE_ERROR_SIZE, "it answers %d%s%s", response->status, code[0] != '\0' ? ", " : "",
                   code);
}

static void on_response(void *arg, const struct http_response *response)
{
    struct xray_service *service = arg;
    struct exporter_result result = {0};
    struct http_response refused = {.failure = result.error};

    service->is_busy = false;
    if (service->call != NULL && response->status != 200)
        aws_answer_read(response, aws_call_origin(service->call), &aws_remedies_xray, &result);
    else if (response->status != 200 && response->status != 0)
        describe_refusal(response, result.error);
    service->done(service->arg, result.error[0] != '\0' ? &refused : response);
}

static int post_to_daemon(struct xray_service *service, const char *path, const void *body, size_t length)
{
    char url[SHOWN_SIZE + 64];
    const struct http_request request = {.url = url, .body = body, .length = length};

    (void)snprintf(url, sizeof(url), "http://%s%.40s", service->shown, path);
    return http_endpoint_send(service->daemon, &request, on_response, service);
}

int xray_service_post(struct xray_service *service, const char *path, const void *body, size_t length, http_done *done,
                      void *arg)
{
    int r = -EBUSY;

    if (!service->is_busy)
        r = service->call != NULL ? xray_call_post(service->call, path, body, length, on_response, service)
                                  : post_to_daemon(service, path, body, length);
    if (r != 0)
        return r;
    service->is_busy = true;
    service->done = done;
    service->arg = arg;
    return 0;
}
