/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/container.h"

#include "exporters/agent/settings.h"
#include "exporters/aws/small_file.h"
#include "exporters/exporter.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ECS_HOST "http://169.254.170.2"

enum { TIMEOUT_MS = 5000, URL_MAX = 1024 };

struct container {
    const struct settings *settings;
    struct http_endpoint *endpoint;
};

bool container_is_set(const struct settings *settings)
{
    return settings->aws_container_relative_uri != NULL || settings->aws_container_full_uri != NULL;
}

static bool is_own_address(const char *host)
{
    static const char *const known[] = {"localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "[::1]"};
    struct in_addr address;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcasecmp(host, known[i]) == 0)
            return true;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool container_may_ask(const char *url)
{
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL;
    bool may = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
               (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && is_own_address(host)));

    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parts);
    return may;
}

int container_new(const struct exporter_host *host, const struct settings *settings, struct container **ret_container)
{
    const struct http_options options = {.timeout_ms = TIMEOUT_MS};
    struct container *container = calloc(1, sizeof(*container));
    int r = container != NULL ? http_endpoint_open(host->http, &options, &container->endpoint) : -ENOMEM;

    if (r < 0) {
        free(container);
        return r;
    }
    container->settings = settings;
    *ret_container = container;
    return 0;
}

void container_free(struct container *container)
{
    if (container == NULL)
        return;
    http_endpoint_close(container->endpoint);
    free(container);
}

/* The token that goes along, to be freed; NULL: none. It is read each time: it changes. */
static int read_token(const struct settings *settings, char **ret_token)
{
    const char *path = settings->aws_container_token_file;
    const char *token = settings->aws_container_token;
    int r = 0;

    *ret_token = NULL;
    if (path != NULL)
        r = small_file_read(path, ret_token);
    else if (token != NULL && (*ret_token = strdup(token)) == NULL)
        r = -ENOMEM;
    if (r == 0 && *ret_token != NULL)
        (*ret_token)[strcspn(*ret_token, "\r\n")] = '\0';
    return r;
}

static int write_url(const struct settings *settings, char out[URL_MAX])
{
    const char *relative = settings->aws_container_relative_uri;
    const char *base = relative != NULL ? ECS_HOST : settings->aws_container_full_uri;
    const char *slash = relative != NULL && *relative != '/' ? "/" : "";

    return snprintf(out, URL_MAX, "%s%s%s", base, slash, relative != NULL ? relative : "") < URL_MAX ? 0
                                                                                                     : -ENAMETOOLONG;
}

int container_get(struct container *container, char error[256], http_done *done, void *arg)
{
    char url[URL_MAX];
    char *token = NULL;

    if (write_url(container->settings, url) < 0 || !container_may_ask(url)) {
        (void)snprintf(error, 256,
                       "no credentials: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or at this machine, "
                       "169.254.170.2 or 169.254.170.23");
        return -EINVAL;
    }
    int r = read_token(container->settings, &token);
    if (r < 0) {
        (void)snprintf(error, 256, "no credentials: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE can't be read: %s",
                       strerror(-r));
        return r;
    }
    const struct http_header header = {"Authorization", token};
    const struct http_request request = {
        .method = "GET", .url = url, .headers = &header, .header_count = token != NULL ? 1 : 0};
    r = http_endpoint_send(container->endpoint, &request, done, arg);
    small_file_free(token);
    if (r < 0)
        (void)snprintf(error, 256, "no credentials: the container's endpoint can't be asked: %s", strerror(-r));
    return r;
}
