/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/metadata.h"

#include "exporters/agent/settings.h"
#include "exporters/exporter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ENDPOINT "http://169.254.169.254"
#define TOKEN_LIFE_S     "21600"

enum { TIMEOUT_MS = 2000, URL_MAX = 512, TOKEN_MAX = 256, UNAUTHORIZED = 401 };

struct metadata {
    const struct settings *settings;
    struct http_endpoint *endpoint;
    char token[TOKEN_MAX]; /* empty: there is none */
    char url[URL_MAX];     /* of what is asked for */
    bool has_new_token;
    http_done *done; /* NULL: nothing is under way */
    void *arg;
};

bool metadata_is_allowed(const struct settings *settings)
{
    return !settings->aws_metadata_disabled && (settings->aws_metadata || settings->aws_metadata_endpoint != NULL);
}

int metadata_new(const struct exporter_host *host, const struct settings *settings, struct metadata **ret_metadata)
{
    const struct http_options options = {.timeout_ms = TIMEOUT_MS};
    struct metadata *metadata = calloc(1, sizeof(*metadata));
    int r = metadata != NULL ? http_endpoint_open(host->http, &options, &metadata->endpoint) : -ENOMEM;

    if (r < 0) {
        free(metadata);
        return r;
    }
    metadata->settings = settings;
    *ret_metadata = metadata;
    return 0;
}

void metadata_free(struct metadata *metadata)
{
    if (metadata == NULL)
        return;
    http_endpoint_close(metadata->endpoint);
    free(metadata);
}

/* -ENAMETOOLONG: it doesn't fit. */
static int write_url(const struct metadata *metadata, const char *path, char out[URL_MAX])
{
    const char *endpoint = metadata->settings->aws_metadata_endpoint;
    size_t length;

    if (endpoint == NULL)
        endpoint = DEFAULT_ENDPOINT;
    length = strlen(endpoint);
    while (length > 0 && endpoint[length - 1] == '/')
        length--;
    return snprintf(out, URL_MAX, "%.*s%s", (int)length, endpoint, path) < URL_MAX ? 0 : -ENAMETOOLONG;
}

static void finish(struct metadata *metadata, const struct http_response *response)
{
    http_done *done = metadata->done;

    metadata->done = NULL;
    done(metadata->arg, response);
}

static void fail(struct metadata *metadata, int error)
{
    const struct http_response response = {.failure = strerror(-error)};

    finish(metadata, &response);
}

static int ask_for_token(struct metadata *metadata);

static void on_answer(void *arg, const struct http_response *response)
{
    struct metadata *metadata = arg;

    if (response->status != UNAUTHORIZED || metadata->has_new_token) {
        finish(metadata, response);
        return;
    }
    /* The token is too old, or the service has been restarted. */
    int r = ask_for_token(metadata);
    if (r < 0)
        fail(metadata, r);
}

static int ask(struct metadata *metadata)
{
    const struct http_header header = {"X-aws-ec2-metadata-token", metadata->token};
    const struct http_request request = {.method = "GET", .url = metadata->url, .headers = &header, .header_count = 1};

    return http_endpoint_send(metadata->endpoint, &request, on_answer, metadata);
}

/* False: it can't be one. */
static bool take_token(struct metadata *metadata, const struct http_response *response)
{
    const char *bytes = response->body;
    size_t length = response->body_length;

    if (length == 0 || length >= TOKEN_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] <= ' ' || bytes[i] > '~')
            return false;
    memcpy(metadata->token, bytes, length);
    metadata->token[length] = '\0';
    return true;
}

static void on_token(void *arg, const struct http_response *response)
{
    struct metadata *metadata = arg;

    if (response->status != 200) {
        finish(metadata, response);
        return;
    }
    int r = take_token(metadata, response) ? ask(metadata) : -EBADMSG;
    if (r < 0)
        fail(metadata, r);
}

static int ask_for_token(struct metadata *metadata)
{
    const struct http_header header = {"X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE_S};
    char url[URL_MAX];
    const struct http_request request = {.method = "PUT", .url = url, .headers = &header, .header_count = 1};
    int r = write_url(metadata, "/latest/api/token", url);

    metadata->token[0] = '\0';
    metadata->has_new_token = true;
    return r == 0 ? http_endpoint_send(metadata->endpoint, &request, on_token, metadata) : r;
}

int metadata_get(struct metadata *metadata, const char *path, http_done *done, void *arg)
{
    if (metadata->done != NULL)
        return -EBUSY;
    int r = write_url(metadata, path, metadata->url);
    if (r < 0)
        return r;
    metadata->has_new_token = false;
    r = metadata->token[0] != '\0' ? ask(metadata) : ask_for_token(metadata);
    if (r == 0) {
        metadata->done = done;
        metadata->arg = arg;
    }
    return r;
}
