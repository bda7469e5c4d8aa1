/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/xray_service.h"

#include "exporters/agent/settings.h"
#include "exporters/exporter.h"
#include "exporters/xray_address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 10000, PATHS_MAX = 4, SHOWN_SIZE = XRAY_ADDRESS_HOST_SIZE + 16 };

/* A path's endpoint, opened when it is called first. */
struct path {
    char *text;
    struct http_endpoint *endpoint;
};

struct xray_service {
    struct http_client *http;
    char shown[SHOWN_SIZE]; /* the daemon's host:port */
    struct path paths[PATHS_MAX];
    bool is_busy;
    http_done *done;
    void *arg;
};

struct xray_service *xray_service_new(const struct exporter_host *host, const struct settings *settings,
                                      char error[XRAY_SERVICE_ERROR_SIZE])
{
    struct xray_service *service;
    struct xray_address address;

    if (strcmp(settings->xray_via, "daemon") != 0) {
        (void)snprintf(error, XRAY_SERVICE_ERROR_SIZE, "SPANSHIM_XRAY_VIA: only the daemon can be asked");
        return NULL;
    }
    if (xray_address_parse(settings->xray_daemon_address, &address, error) != 0)
        return NULL;
    service = calloc(1, sizeof(*service));
    if (service == NULL) {
        (void)snprintf(error, XRAY_SERVICE_ERROR_SIZE, "%s", strerror(ENOMEM));
        return NULL;
    }
    service->http = host->http;
    xray_address_show(address.tcp_host, address.tcp_port, service->shown, sizeof(service->shown));
    return service;
}

void xray_service_free(struct xray_service *service)
{
    if (service == NULL)
        return;
    for (size_t i = 0; i < PATHS_MAX; i++) {
        http_endpoint_close(service->paths[i].endpoint);
        free(service->paths[i].text);
    }
    free(service);
}

const char *xray_service_shown(const struct xray_service *service)
{
    return service->shown;
}

static int open_path(struct xray_service *service, const char *text, struct path *path)
{
    char url[SHOWN_SIZE + 64];
    const struct http_options options = {
        .url = url,
        .own_headers = {{"Content-Type", "application/json"}},
        .timeout_ms = TIMEOUT_MS,
    };
    int r;

    (void)snprintf(url, sizeof(url), "http://%s%.40s", service->shown, text);
    path->text = strdup(text);
    if (path->text == NULL)
        return -ENOMEM;
    r = http_endpoint_open(service->http, &options, &path->endpoint);
    if (r != 0) {
        free(path->text);
        *path = (struct path){0};
    }
    return r;
}

static int endpoint_of(struct xray_service *service, const char *text, struct http_endpoint **ret_endpoint)
{
    for (size_t i = 0; i < PATHS_MAX; i++) {
        struct path *path = &service->paths[i];
        int r = path->text == NULL ? open_path(service, text, path) : 0;

        if (r != 0)
            return r;
        if (strcmp(path->text, text) != 0)
            continue;
        *ret_endpoint = path->endpoint;
        return 0;
    }
    return -ENOSPC;
}

static void on_response(void *arg, const struct http_response *response)
{
    struct xray_service *service = arg;

    service->is_busy = false;
    service->done(service->arg, response);
}

int xray_service_post(struct xray_service *service, const char *path, const void *body, size_t length, http_done *done,
                      void *arg)
{
    struct http_endpoint *endpoint;
    int r = service->is_busy ? -EBUSY : endpoint_of(service, path, &endpoint);

    if (r == 0)
        r = http_endpoint_post(endpoint, body, length, on_response, service);
    if (r != 0)
        return r;
    service->is_busy = true;
    service->done = done;
    service->arg = arg;
    return 0;
}
