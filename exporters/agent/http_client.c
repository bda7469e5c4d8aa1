/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/http_client.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#define USER_AGENT "spanshim/" SPANSHIM_VERSION " OTel-OTLP-Exporter-C/" SPANSHIM_VERSION

enum { CONNECTIONS_KEPT = 32, RETRY_AFTER_MAX_S = 3600 };

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer timer;
};

struct http_endpoint {
    struct http_client *client;
    CURL *easy;
    char *url;                          /* may be NULL */
    struct curl_slist *headers;         /* of all requests */
    struct curl_slist *request_headers; /* of the one under way; those of all among them */
    char error[CURL_ERROR_SIZE];
    bool http2_only;
    bool has_answered; /* ever */
    char *answer;
    size_t answer_length;
    bool is_busy;
    http_done *done;
    void *arg;
};

static bool answer_is_cut(const struct http_endpoint *endpoint)
{
    return endpoint->answer_length == HTTP_RESPONSE_MAX;
}

/* To CONNECT a proxy has answered that it won't, or can't. */
static bool proxy_refused(const struct http_endpoint *endpoint)
{
    long status = 0;

    (void)curl_easy_getinfo(endpoint->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    return status >= 300;
}

static enum http_cause cause_of(const struct http_endpoint *endpoint, CURLcode code)
{
    if (proxy_refused(endpoint))
        return HTTP_CAUSE_PROXY;
    switch ((int)code) { /* a few of many */
    case CURLE_COULDNT_CONNECT:
        return HTTP_CAUSE_UNREACHABLE;
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTP_CAUSE_UNKNOWN_HOST;
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_CAUSE_PROXY;
    case CURLE_SSL_CERTPROBLEM:
        return HTTP_CAUSE_OWN_CERTIFICATE;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTP_CAUSE_AUTHORITY;
    case CURLE_SSL_CONNECT_ERROR:
        return HTTP_CAUSE_TLS;
    /* An HTTP/2 server's first bytes are no status line to HTTP/1. */
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return HTTP_CAUSE_OTHER_VERSION;
    /* What an HTTP/1 server makes of HTTP/2's differs: it answers, closes or resets. */
    case CURLE_HTTP2:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return endpoint->http2_only && !endpoint->has_answered ? HTTP_CAUSE_OTHER_VERSION : HTTP_CAUSE_OTHER;
    default:
        return HTTP_CAUSE_OTHER;
    }
}

/* libcurl's own words, but where they may quote a URL: a proxy's has a password in it. */
static const char *failure_text(const struct http_endpoint *endpoint, CURLcode code)
{
    bool has_url = strchr(endpoint->error, '@') != NULL || strstr(endpoint->error, "://") != NULL;

    return endpoint->error[0] != '\0' && !has_url ? endpoint->error : curl_easy_strerror(code);
}

static void fill_response(struct http_endpoint *endpoint, CURLcode code, struct http_response *response)
{
    long status = 0;
    char *content_type = NULL;
    curl_off_t retry_after_s = 0;

    (void)curl_easy_getinfo(endpoint->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(endpoint->easy, CURLINFO_CONTENT_TYPE, &content_type);
    (void)curl_easy_getinfo(endpoint->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    *response = (struct http_response){.content_type = content_type,
                                       .body = endpoint->answer,
                                       .body_length = endpoint->answer_length,
                                       .endpoint = endpoint};
    /* An answer that is longer than we read was stopped by us. */
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && answer_is_cut(endpoint))) {
        response->status = (int)status;
        endpoint->has_answered = true;
    } else {
        response->cause = cause_of(endpoint, code);
        response->failure = failure_text(endpoint, code);
    }
    if (retry_after_s > 0) {
        if (retry_after_s > RETRY_AFTER_MAX_S)
            retry_after_s = RETRY_AFTER_MAX_S;
        response->has_retry_after = true;
        response->retry_after_ms = (uint32_t)retry_after_s * 1000;
    }
}

static void finish(struct http_endpoint *endpoint, CURLcode code)
{
    struct http_response response;

    fill_response(endpoint, code, &response);
    endpoint->is_busy = false;
    char *answer = endpoint->answer;
    endpoint->answer = NULL; /* done may post again, or close the endpoint */
    endpoint->answer_length = 0;
    endpoint->done(endpoint->arg, &response);
    free(answer);
}

static void finish_completed(struct http_client *client)
{
    CURLMsg *message;
    int queued;

    while ((message = curl_multi_info_read(client->multi, &queued)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct http_endpoint *endpoint = NULL;
        CURLcode code = message->data.result; /* gone with the handle */
        CURL *easy = message->easy_handle;

        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&endpoint);
        (void)curl_multi_remove_handle(client->multi, easy);
        finish(endpoint, code);
    }
}

static void on_socket(void *arg, int fd, uint32_t events)
{
    struct http_client *client = arg;
    int flags = 0;
    int running;

    if ((events & (EPOLLIN | EPOLLHUP)) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & EPOLLOUT) != 0)
        flags |= CURL_CSELECT_OUT;
    if ((events & EPOLLERR) != 0)
        flags |= CURL_CSELECT_ERR;
    (void)curl_multi_socket_action(client->multi, fd, flags, &running);
    finish_completed(client);
}

static void on_timer(void *arg)
{
    struct http_client *client = arg;
    int running;

    (void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_completed(client);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client *client = arg;
    uint32_t events = 0;

    (void)easy;
    (void)socket_arg;
    if (what == CURL_POLL_REMOVE) {
        loop_fd_remove(client->loop, fd);
        return 0;
    }
    if ((what & CURL_POLL_IN) != 0)
        events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0)
        events |= EPOLLOUT;
    return loop_fd_set(client->loop, fd, events, on_socket, client) == 0 ? 0 : -1;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *client = arg;

    (void)multi;
    if (timeout_ms < 0) {
        loop_timer_clear(client->loop, &client->timer);
        return 0;
    }
    return loop_timer_set(client->loop, &client->timer, (uint64_t)timeout_ms * NS_PER_MS) == 0 ? 0 : -1;
}

struct http_client *http_client_new(struct loop *loop)
{
    struct http_client *client = calloc(1, sizeof(*client));

    if (client == NULL)
        return NULL;
    client->loop = loop;
    client->timer.fn = on_timer;
    client->timer.arg = client;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        client->multi = curl_multi_init();
    if (client->multi == NULL) {
        free(client);
        return NULL;
    }
    (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    (void)curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    (void)curl_multi_cleanup(client->multi);
    loop_timer_clear(client->loop, &client->timer);
    curl_global_cleanup();
    free(client);
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_endpoint *endpoint = arg;
    size_t length = size * count;
    size_t room = HTTP_RESPONSE_MAX - endpoint->answer_length;
    size_t taken = length < room ? length : room;

    char *grown = realloc(endpoint->answer, endpoint->answer_length + taken + 1);
    if (grown == NULL)
        return 0;
    memcpy(grown + endpoint->answer_length, bytes, taken);
    endpoint->answer = grown;
    endpoint->answer_length += taken;
    return taken;
}

static int add_line(struct curl_slist **headers, const char *line)
{
    struct curl_slist *grown = curl_slist_append(*headers, line);

    if (grown == NULL)
        return -ENOMEM;
    *headers = grown;
    return 0;
}

static int add_header(struct curl_slist **headers, const char *name, const char *value)
{
    char *line;
    /* "name;" is how libcurl is told of a header without a value. */
    int n = *value != '\0' ? asprintf(&line, "%s: %s", name, value) : asprintf(&line, "%s;", name);

    if (n < 0)
        return -ENOMEM;
    int r = add_line(headers, line);
    explicit_bzero(line, (size_t)n);
    free(line);
    return r;
}

/* Headers that say what the request is: a user's would be a second one, or a lie. */
static bool is_ours(const struct http_options *options, const char *name)
{
    static const char *const framing[] = {"Connection", "Content-Encoding", "Content-Length", "Expect",
                                          "TE",         "Transfer-Encoding"};

    for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++)
        if (strcasecmp(framing[i], name) == 0)
            return true;
    for (size_t i = 0; i < HTTP_OWN_HEADERS_MAX && options->own_headers[i].name != NULL; i++)
        if (strcasecmp(options->own_headers[i].name, name) == 0)
            return true;
    return false;
}

static int add_headers(struct http_endpoint *endpoint, const struct http_options *options)
{
    /* "Expect:" takes out libcurl's waiting for 100 Continue with large bodies. */
    int r = add_line(&endpoint->headers, "Expect:");

    for (size_t i = 0; r == 0 && options->headers != NULL && i < options->headers->count; i++)
        if (!is_ours(options, options->headers->pairs[i].name))
            r = add_header(&endpoint->headers, options->headers->pairs[i].name, options->headers->pairs[i].value);
    for (size_t i = 0; r == 0 && i < HTTP_OWN_HEADERS_MAX && options->own_headers[i].name != NULL; i++)
        r = add_header(&endpoint->headers, options->own_headers[i].name, options->own_headers[i].value);
    return r;
}

/* libcurl 7.88 begins HTTP/2 anew on a kept connection without TLS, which fails (curl's issue 10634). */
static bool can_reuse_cleartext_http2(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num >= 0x080000;
}

/* The first error stays. */
#define SET(option, value) code = code == CURLE_OK ? curl_easy_setopt(easy, option, value) : code

static CURLcode set_options(struct http_endpoint *endpoint, const struct http_options *options)
{
    CURL *easy = endpoint->easy;
    CURLcode code = CURLE_OK;

    SET(CURLOPT_PRIVATE, endpoint);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* the headers are meant for this host only */
    SET(CURLOPT_USERAGENT, USER_AGENT);
    SET(CURLOPT_ERRORBUFFER, endpoint->error);
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, endpoint);
    SET(CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    SET(CURLOPT_QUICK_EXIT, 1L); /* when time is over, the loop does not wait for the thread that resolves the name */
    /* "" keeps libcurl from reading the agent's own environment: the program's counts. */
    SET(CURLOPT_PROXY, options->proxy != NULL ? options->proxy : "");
    SET(CURLOPT_NOPROXY, options->no_proxy != NULL ? options->no_proxy : "");
    if (options->http2_only) {
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
        SET(CURLOPT_HTTPPROXYTUNNEL, 1L);
        if (!can_reuse_cleartext_http2() && strncasecmp(options->url, "http:", 5) == 0)
            SET(CURLOPT_FORBID_REUSE, 1L);
    }
    if (options->ca_certificate != NULL)
        SET(CURLOPT_CAINFO, options->ca_certificate);
    if (options->client_certificate != NULL)
        SET(CURLOPT_SSLCERT, options->client_certificate);
    if (options->client_key != NULL)
        SET(CURLOPT_SSLKEY, options->client_key);
    SET(CURLOPT_KEYPASSWD, ""); /* or OpenSSL would ask for one at the terminal, and wait */
    return code;
}

int http_endpoint_open(struct http_client *client, const struct http_options *options,
                       struct http_endpoint **ret_endpoint)
{
    struct http_endpoint *endpoint = calloc(1, sizeof(*endpoint));
    int r = -ENOMEM;

    if (endpoint == NULL)
        return r;
    endpoint->client = client;
    endpoint->http2_only = options->http2_only;
    endpoint->easy = curl_easy_init();
    endpoint->url = options->url != NULL ? strdup(options->url) : NULL;
    if (endpoint->easy == NULL || (options->url != NULL && endpoint->url == NULL) || add_headers(endpoint, options) < 0)
        goto fail;
    if (set_options(endpoint, options) != CURLE_OK) {
        r = -EINVAL;
        goto fail;
    }
    *ret_endpoint = endpoint;
    return 0;

fail:
    http_endpoint_close(endpoint);
    return r;
}

void http_endpoint_close(struct http_endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    if (endpoint->is_busy)
        (void)curl_multi_remove_handle(endpoint->client->multi, endpoint->easy);
    curl_easy_cleanup(endpoint->easy);
    curl_slist_free_all(endpoint->headers);
    curl_slist_free_all(endpoint->request_headers);
    free(endpoint->url);
    free(endpoint->answer);
    free(endpoint);
}

static bool has_name(const char *line, const char *name)
{
    size_t length = strlen(name);

    return strncasecmp(line, name, length) == 0 && (line[length] == ':' || line[length] == ';');
}

/* Does the request have its own header of this name? */
static bool is_overridden(const struct http_request *request, const char *line)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (has_name(line, request->headers[i].name))
            return true;
    return false;
}

/* The endpoint's headers and the request's, which win. */
static int join_headers(struct http_endpoint *endpoint, const struct http_request *request)
{
    int r = 0;

    curl_slist_free_all(endpoint->request_headers);
    endpoint->request_headers = NULL;
    for (struct curl_slist *one = endpoint->headers; r == 0 && one != NULL; one = one->next)
        if (!is_overridden(request, one->data))
            r = add_line(&endpoint->request_headers, one->data);
    for (size_t i = 0; r == 0 && i < request->header_count; i++)
        r = add_header(&endpoint->request_headers, request->headers[i].name, request->headers[i].value);
    return r;
}

static CURLcode set_request(struct http_endpoint *endpoint, const struct http_request *request)
{
    const char *method = request->method != NULL ? request->method : "POST";
    CURL *easy = endpoint->easy;
    CURLcode code = CURLE_OK;

    SET(CURLOPT_URL, request->url != NULL ? request->url : endpoint->url);
    SET(CURLOPT_HTTPHEADER, endpoint->request_headers);
    if (strcmp(method, "GET") == 0) {
        SET(CURLOPT_HTTPGET, 1L);
    } else {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
        SET(CURLOPT_POSTFIELDS, request->length > 0 ? request->body : "");
    }
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    return code;
}
#undef SET

int http_endpoint_send(struct http_endpoint *endpoint, const struct http_request *request, http_done *done, void *arg)
{
    if (endpoint->is_busy)
        return -EBUSY;
    endpoint->error[0] = '\0';
    endpoint->done = done;
    endpoint->arg = arg;
    if (join_headers(endpoint, request) < 0 || set_request(endpoint, request) != CURLE_OK ||
        curl_multi_add_handle(endpoint->client->multi, endpoint->easy) != CURLM_OK)
        return -ENOMEM;
    endpoint->is_busy = true;
    return 0;
}

int http_endpoint_post(struct http_endpoint *endpoint, const void *body, size_t length, http_done *done, void *arg)
{
    const struct http_request request = {.body = body, .length = length};

    return http_endpoint_send(endpoint, &request, done, arg);
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    static const unsigned kinds[] = {CURLH_TRAILER, CURLH_HEADER};
    struct curl_header *header;

    for (size_t i = 0; response->endpoint != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (curl_easy_header(response->endpoint->easy, name, 0, kinds[i], -1, &header) == CURLHE_OK)
            return header->value;
    return NULL;
}
