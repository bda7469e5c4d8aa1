/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's one HTTP client: libcurl's multi interface on the agent's loop. Exporters open an endpoint and post to
 * it; connections are kept and reused. */
#ifndef SPANSHIM_HTTP_CLIENT_H
#define SPANSHIM_HTTP_CLIENT_H

#include "exporters/agent/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_client;
struct http_endpoint;
struct loop;

enum { HTTP_RESPONSE_MAX = 4 << 20 };

/* NULL when out of memory. Freeing abandons all requests. Context: loop. */
struct http_client *http_client_new(struct loop *loop);
void http_client_free(struct http_client *client);

/* Copied by http_endpoint_open; texts may be NULL. */
struct http_options {
    const char *url;
    const char *content_type;
    const struct settings_pairs *headers;
    uint32_t timeout_ms; /* 0: no limit */
    bool gzip;
    const char *ca_certificate, *client_certificate, *client_key; /* PEM files */
    const char *proxy;                                            /* NULL: none */
    const char *no_proxy;
};

enum http_cause {
    HTTP_CAUSE_OTHER,
    HTTP_CAUSE_UNREACHABLE, /* nobody takes connections there */
    HTTP_CAUSE_UNKNOWN_HOST,
    HTTP_CAUSE_UNKNOWN_PROXY,
    HTTP_CAUSE_TLS,
};

struct http_response {
    int status;            /* 0: no answer; `failure` says why */
    const char *failure;   /* one line for people; NULL when there is a status */
    enum http_cause cause; /* of the failure */
    bool has_retry_after;
    uint32_t retry_after_ms;
    const char *content_type; /* may be NULL */
    const void *body;         /* at most HTTP_RESPONSE_MAX bytes; more are cut */
    size_t body_length;
};

/* Everything in `response` is borrowed until it returns. */
typedef void http_done(void *arg, const struct http_response *response);

/* 0, or -errno. Context: loop. */
int http_endpoint_open(struct http_client *client, const struct http_options *options,
                       struct http_endpoint **ret_endpoint);
/* A request under way is abandoned; its done is not called. NULL is accepted. Context: loop. */
void http_endpoint_close(struct http_endpoint *endpoint);

/* Post a body (borrowed until done). One request at a time: -EBUSY. done is called later, from the loop. Context: loop.
 */
int http_endpoint_post(struct http_endpoint *endpoint, const void *body, size_t length, http_done *done, void *arg);

#endif
