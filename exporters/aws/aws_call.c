/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/aws_call.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"
#include "exporters/aws/aws_answer.h"
#include "exporters/aws/credentials.h"
#include "exporters/aws/identity.h"
#include "exporters/aws/sigv4.h"
#include "exporters/exporter.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    URL_MAX = 1024,
    SKEW_MIN_S = 240, /* AWS allows five minutes */
    BAD_REQUEST = 400,
    UNAUTHORIZED = 401,
    FORBIDDEN = 403
};

struct aws_call {
    struct loop *loop;
    struct loop_timer start; /* of the request: its end is never within aws_call_post */
    const char *service;
    const char *url;
    struct identity *identity;
    struct http_endpoint *endpoint;
    int64_t skew_s; /* the service's clock less ours */
    /* The request under way. */
    char path[URL_MAX];
    struct aws_request request;
    bool has_learned_time, has_reloaded;
    http_done *done; /* NULL: nothing is under way */
    void *arg;
};

int aws_call_new(const struct exporter_host *host, const struct settings *settings, const struct aws_options *options,
                 struct aws_call **ret_call)
{
    struct aws_call *call = calloc(1, sizeof(*call));
    struct http_options http = *options->http;
    int r = call != NULL ? 0 : -ENOMEM;

    http.url = NULL;
    if (r == 0)
        r = identity_new(host, settings, options->region, &call->identity);
    if (r == 0)
        r = http_endpoint_open(host->http, &http, &call->endpoint);
    if (r < 0) {
        aws_call_free(call);
        return r;
    }
    call->loop = host->loop;
    call->service = options->service;
    call->url = options->url;
    *ret_call = call;
    return 0;
}

void aws_call_free(struct aws_call *call)
{
    if (call == NULL)
        return;
    if (call->loop != NULL)
        loop_timer_clear(call->loop, &call->start);
    http_endpoint_close(call->endpoint);
    identity_free(call->identity);
    free(call);
}

const char *aws_call_origin(const struct aws_call *call)
{
    return identity_origin(call->identity);
}

static uint64_t now_s(const struct aws_call *call)
{
    return (uint64_t)((int64_t)(clock_now_ns(CLOCK_REALTIME) / NS_PER_S) + call->skew_s);
}

static void finish(struct aws_call *call, const struct http_response *response)
{
    http_done *done = call->done;

    call->done = NULL;
    done(call->arg, response);
}

static void fail(struct aws_call *call, enum http_cause cause, const char *failure)
{
    const struct http_response response = {.failure = failure, .cause = cause};

    finish(call, &response);
}

/* the request */

bool aws_call_url(const char *service, const char *region, char *out, size_t size)
{
    bool is_china = strncmp(region, "cn-", strlen("cn-")) == 0;
    int length = snprintf(out, size, "https://%s.%s.amazonaws.com%s", service, region, is_china ? ".cn" : "");

    return length >= 0 && (size_t)length < size;
}

/* The whole URL. -ENAMETOOLONG: it doesn't fit. */
static int write_url(const struct aws_call *call, const char *region, char out[URL_MAX])
{
    char base[URL_MAX];

    if (call->url == NULL && !aws_call_url(call->service, region, base, sizeof(base)))
        return -ENAMETOOLONG;
    const char *url = call->url != NULL ? call->url : base;
    size_t length = strlen(url);
    while (call->path[0] == '/' && length > 0 && url[length - 1] == '/')
        length--;
    return snprintf(out, URL_MAX, "%.*s%s", (int)length, url, call->path) < URL_MAX ? 0 : -ENAMETOOLONG;
}

/* As libcurl sends it. */
struct target {
    char *host, *port, *path, *query;
};

static void free_target(struct target *target)
{
    curl_free(target->host);
    curl_free(target->port);
    curl_free(target->path);
    curl_free(target->query);
}

static int split_url(const char *url, struct target *ret_target)
{
    CURLU *parts = curl_url();
    struct target target = {0};
    int r = parts != NULL ? 0 : -ENOMEM;

    if (r == 0 && (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
                   curl_url_get(parts, CURLUPART_HOST, &target.host, 0) != CURLUE_OK ||
                   curl_url_get(parts, CURLUPART_PATH, &target.path, 0) != CURLUE_OK))
        r = -EINVAL;
    if (r == 0) {
        (void)curl_url_get(parts, CURLUPART_PORT, &target.port, CURLU_NO_DEFAULT_PORT);
        (void)curl_url_get(parts, CURLUPART_QUERY, &target.query, 0);
        *ret_target = target;
    } else {
        free_target(&target);
    }
    curl_url_cleanup(parts);
    return r;
}

/* The headers of one request; the last one is the signature of the others. */
struct signed_headers {
    struct http_header headers[6];
    size_t count;
    char host[URL_MAX], time[SIGV4_TIME_SIZE];
    char *authorization;
};

static void add(struct signed_headers *out, const char *name, const char *value)
{
    out->headers[out->count++] = (struct http_header){name, value};
}

static int sign(const struct aws_call *call, const struct identity_answer *identity, const struct target *target,
                struct signed_headers *out)
{
    const struct credentials *credentials = identity->credentials;
    const struct sigv4_key key = {credentials->access_key_id, credentials->secret, identity->region, call->service,
                                  out->time};

    (void)snprintf(out->host, sizeof(out->host), "%s%s%s", target->host, target->port != NULL ? ":" : "",
                   target->port != NULL ? target->port : "");
    sigv4_time(now_s(call), out->time);
    add(out, "Host", out->host);
    add(out, "X-Amz-Date", out->time);
    add(out, "Content-Type", call->request.content_type);
    if (call->request.target != NULL)
        add(out, "X-Amz-Target", call->request.target);
    if (credentials->token != NULL)
        add(out, "X-Amz-Security-Token", credentials->token);
    const struct sigv4_request request = {
        .method = "POST",
        .path = target->path,
        .query = target->query,
        .headers = out->headers,
        .header_count = out->count,
        .body = call->request.body,
        .body_length = call->request.length,
    };
    int r = sigv4_authorize(&request, &key, &out->authorization);
    if (r == 0)
        add(out, "Authorization", out->authorization);
    return r;
}

static void on_response(void *arg, const struct http_response *response);

static int send_signed(struct aws_call *call, const struct identity_answer *identity)
{
    struct signed_headers headers = {0};
    struct target target = {0};
    char url[URL_MAX];
    int r = write_url(call, identity->region, url);

    if (r == 0)
        r = split_url(url, &target);
    if (r == 0)
        r = sign(call, identity, &target, &headers);
    if (r == 0) {
        const struct http_request request = {
            .url = url,
            .headers = headers.headers,
            .header_count = headers.count,
            .body = call->request.body,
            .length = call->request.length,
        };
        r = http_endpoint_send(call->endpoint, &request, on_response, call);
    }
    free(headers.authorization);
    free_target(&target);
    return r;
}

static void on_identity(void *arg, const struct identity_answer *answer)
{
    struct aws_call *call = arg;

    if (answer->error != NULL) {
        fail(call, HTTP_CAUSE_NOT_SIGNED, answer->error);
        return;
    }
    int r = send_signed(call, answer);
    if (r < 0)
        fail(call, HTTP_CAUSE_OTHER, strerror(-r));
}

/* the answer */

/* Does the service's clock say something else? Then it counts. */
static bool learn_time(struct aws_call *call, const struct http_response *response)
{
    const char *date = http_response_header(response, "Date");
    time_t theirs = date != NULL ? curl_getdate(date, NULL) : -1;

    if (theirs <= 0 || call->has_learned_time)
        return false;
    int64_t ahead_s = (int64_t)theirs - (int64_t)now_s(call);
    if (ahead_s > -SKEW_MIN_S && ahead_s < SKEW_MIN_S)
        return false;
    call->skew_s += ahead_s;
    call->has_learned_time = true;
    return true;
}

/* Are the credentials refused, and may there be others by now? */
static bool can_reload(struct aws_call *call, const struct http_response *response)
{
    char code[AWS_CODE_MAX];

    aws_answer_code(response, code);
    if (call->has_reloaded || !aws_answer_is_about_credentials(code) || !identity_may_change(call->identity))
        return false;
    identity_distrust(call->identity);
    call->has_reloaded = true;
    return true;
}

static void on_response(void *arg, const struct http_response *response)
{
    struct aws_call *call = arg;
    bool is_refused =
        response->status == BAD_REQUEST || response->status == UNAUTHORIZED || response->status == FORBIDDEN;

    if (is_refused && (learn_time(call, response) || can_reload(call, response)))
        identity_get(call->identity, now_s(call), on_identity, call);
    else
        finish(call, response);
}

static void on_start(void *arg)
{
    struct aws_call *call = arg;

    identity_get(call->identity, now_s(call), on_identity, call);
}

int aws_call_post(struct aws_call *call, const struct aws_request *request, http_done *done, void *arg)
{
    if (call->done != NULL)
        return -EBUSY;
    if (snprintf(call->path, sizeof(call->path), "%s", request->path) >= (int)sizeof(call->path))
        return -ENAMETOOLONG;
    call->start.fn = on_start;
    call->start.arg = call;
    if (loop_timer_set(call->loop, &call->start, 0) < 0)
        return -ENOMEM;
    call->request = *request;
    call->has_learned_time = call->has_reloaded = false;
    call->done = done;
    call->arg = arg;
    return 0;
}
