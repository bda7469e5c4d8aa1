/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's one HTTP client: libcurl's multi interface on the agent's loop. Exporters open an endpoint and post to
 * it, or send it requests of other kinds; connections are kept and reused. */
#ifndef SPANSHIM_HTTP_CLIENT_H
#define SPANSHIM_HTTP_CLIENT_H

#include "exporters/agent/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_client;
struct http_endpoint;
struct loop;

enum { HTTP_RESPONSE_MAX = 4 << 20, HTTP_OWN_HEADERS_MAX = 4 };

/* NULL when out of memory. Freeing abandons all requests. Context: loop. */
struct http_client *http_client_new(struct loop *loop);
void http_client_free(struct http_client *client);

struct http_header {
    const char *name;
    const char *value;
};

/* Copied by http_endpoint_open; texts may be NULL. */
struct http_options {
    const char *url;                                      /* NULL: each request has its own */
    struct http_header own_headers[HTTP_OWN_HEADERS_MAX]; /* of the protocol; no name: none */
    const struct settings_pairs *headers; /* the user's; those that say what the request is are left out */
    bool http2_only;                      /* nothing older will do, also without TLS; a proxy is asked for a tunnel */
    uint32_t timeout_ms;                  /* 0: no limit */
    const char *ca_certificate, *client_certificate, *client_key; /* PEM files */
    const char *proxy;                                            /* NULL: none */
    const char *no_proxy;
};

enum http_cause {
    HTTP_CAUSE_OTHER,
    HTTP_CAUSE_UNREACHABLE, /* nobody takes connections there */
    HTTP_CAUSE_UNKNOWN_HOST,
    HTTP_CAUSE_PROXY,           /* it can't be found, or does not connect to the receiver */
    HTTP_CAUSE_AUTHORITY,       /* its certificate is of nobody whom we trust */
    HTTP_CAUSE_TLS,             /* or no TLS was agreed upon for another reason */
    HTTP_CAUSE_OWN_CERTIFICATE, /* it, or its key, can't be used */
    HTTP_CAUSE_OTHER_VERSION,   /* it seems to speak another version of HTTP */
    HTTP_CAUSE_NOT_SIGNED,      /* nothing was sent: aws/aws_call.c has no credentials, or no region */
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
    struct http_endpoint *endpoint; /* whose answer it is; NULL: of none */
};

/* Everything in `response` is borrowed until it returns. */
typedef void http_done(void *arg, const struct http_response *response);

/* 0, or -errno. Context: loop. */
int http_endpoint_open(struct http_client *client, const struct http_options *options,
                       struct http_endpoint **ret_endpoint);
/* A request under way is abandoned; its done is not called. NULL is accepted. Context: loop. */
void http_endpoint_close(struct http_endpoint *endpoint);

struct http_request {
    const char *method; /* NULL: POST */
    const char *url;    /* NULL: the endpoint's */
    const struct http_header *headers;
    size_t header_count; /* of this request alone; they win over the endpoint's */
    const void *body;    /* borrowed until done; the rest is copied */
    size_t length;
};

/* One request at a time: -EBUSY; -ENOMEM. done is called later, from the loop. Context: loop. */
int http_endpoint_send(struct http_endpoint *endpoint, const struct http_request *request, http_done *done, void *arg);

/* Post a body to the endpoint's URL, likewise. Context: loop. */
int http_endpoint_post(struct http_endpoint *endpoint, const void *body, size_t length, http_done *done, void *arg);

/* A header of the answer, or a trailer: that counts where both are there. NULL: neither. Borrowed until the next call
 * or the end of done. Context: loop, within done. */
const char *http_response_header(const struct http_response *response, const char *name);

#endif
