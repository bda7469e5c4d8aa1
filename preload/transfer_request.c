/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/transfer_request.h"

#include "preload/arena.h"
#include "preload/clock.h"
#include "preload/ip.h"
#include "preload/process.h"
#include "preload/provider.h"
#include "preload/ring.h"
#include "preload/span.h"

#include <errno.h>
#include <string.h>

enum { FIELDS_MAX = 256 }; /* of the program's headers that are looked at */

static struct arena_pool all_legs = {.block_size = sizeof(struct transfer_legs)};
static struct arena_pool heads = {.block_size = sizeof(struct span_head)};

typedef __typeof__(&curl_easy_getinfo) getinfo_function;

/* A transfer, and the library that can tell about it. */
struct source {
    CURL *handle;
    getinfo_function getinfo;
};

static bool source_open(struct source *source, const struct transfer *transfer)
{
    source->handle = transfer->handle;
    source->getinfo = provider_function("curl_easy_getinfo", transfer->legs->caller);
    return source->getinfo && transfer->legs->pid == process_pid();
}

static long ask_number(const struct source *source, CURLINFO what)
{
    long number = 0;

    return source->getinfo(source->handle, what, &number) == CURLE_OK ? number : 0;
}

static curl_off_t ask_count(const struct source *source, CURLINFO what)
{
    curl_off_t count = 0;

    return source->getinfo(source->handle, what, &count) == CURLE_OK && count > 0 ? count : 0;
}

/* Borrowed until the next request of the transfer. */
static struct slice ask_text(const struct source *source, CURLINFO what)
{
    const char *text = NULL;

    if (source->getinfo(source->handle, what, &text) != CURLE_OK || !text)
        return (struct slice){0};
    return (struct slice){text, strlen(text)};
}

struct transfer_legs *transfer_legs_new(const struct request_ref *parent, uint64_t now_ns, const void *caller)
{
    struct transfer_legs *legs = arena_pool_get(&all_legs);

    if (!legs)
        return NULL;
    memset(legs, 0, offsetof(struct transfer_legs, nodes));
    legs->pid = process_pid();
    legs->caller = caller;
    legs->parent = *parent;
    legs->start_ns = now_ns;
    return legs;
}

void transfer_legs_free(struct transfer_legs *legs)
{
    arena_pool_put(&all_legs, legs);
}

static uint64_t after(uint64_t start_ns, curl_off_t us)
{
    return start_ns + (uint64_t)us * 1000;
}

/* The URL, if it is one of HTTP, without what is never sent. */
static bool ask_url(const struct source *source, struct slice *ret_url)
{
    struct slice url = ask_text(source, CURLINFO_EFFECTIVE_URL);
    const char *fragment;

    if (url.length < 8 ||
        !(slice_is((struct slice){url.bytes, 7}, "http://") || slice_is((struct slice){url.bytes, 8}, "https://")))
        return false;
    fragment = memchr(url.bytes, '#', url.length);
    if (fragment)
        url.length = (size_t)(fragment - url.bytes);
    *ret_url = url;
    return true;
}

/* Mostly that of the request before. */
static const struct wire_address *address_of(struct transfer_end *end, const char *text, int port)
{
    struct ip ip;

    if (!text)
        text = "";
    if (port == end->port && strcmp(text, end->text) == 0)
        return &end->address;
    memset(end, 0, sizeof(*end));
    if (strlen(text) >= sizeof(end->text) || !ip_parse(text, strlen(text), &ip))
        return &end->address;
    memcpy(end->text, text, strlen(text));
    end->port = port;
    end->address.family = ip.length == 4 ? WIRE_FAMILY_INET : WIRE_FAMILY_INET6;
    end->address.port = (uint16_t)port;
    memcpy(end->address.ip, ip.bytes, ip.length);
    return &end->address;
}

/* What libcurl has counted until now, of a request that it is about to send or that failed before. Only where it made a
 * connection for it: on one that it kept the counters tell nothing. */
static void note_connection(struct transfer_legs *legs, const struct source *source, struct wire_client *client)
{
    curl_off_t resolved = ask_count(source, CURLINFO_NAMELOOKUP_TIME_T) - legs->resolved_us;
    curl_off_t connected = ask_count(source, CURLINFO_CONNECT_TIME_T) - legs->connected_us;
    curl_off_t agreed = ask_count(source, CURLINFO_APPCONNECT_TIME_T) - legs->agreed_us;

    client->resolve_ns = resolved > 0 ? after(0, resolved) : 0;
    client->connect_ns = connected > resolved ? after(0, connected - resolved) : 0;
    client->tls_ns = agreed > connected ? after(0, agreed - connected) : 0;
    legs->resolved_us += resolved;
    legs->connected_us += connected;
    legs->agreed_us += agreed;
}

static void note_client(struct transfer_legs *legs, const struct source *source)
{
    struct wire_client client = {.resend_count = legs->count};
    long connections = ask_number(source, CURLINFO_NUM_CONNECTS);

    if (connections != legs->connections)
        note_connection(legs, source, &client);
    else if (legs->count == 0)
        return; /* nothing to tell */
    legs->connections = connections;
    span_text(legs->slot, WIRE_TEXT_CLIENT, (struct slice){(const char *)&client, sizeof(client)});
}

/* A line of the program's list as a header field. False: libcurl sends no such field ("name:" takes one of its own
 * away). */
static bool read_field(const char *line, struct slice *ret_name, struct slice *ret_value)
{
    size_t length = 0;

    while (line[length] != '\0' && line[length] != ':' && line[length] != ';')
        length++;
    *ret_name = (struct slice){line, length};
    if (line[length] == '\0')
        return false;
    *ret_value = slice_trim((struct slice){line + length + 1, strlen(line + length + 1)});
    return line[length] == ';' || ret_value->length > 0;
}

/* Offer the program's own headers. Which of the first 64 are trace headers is a bit each. */
static uint64_t note_fields(const struct transfer *transfer, struct span_head *head)
{
    uint64_t contexts = 0;
    int at = 0;

    for (const struct curl_slist *node = transfer->headers; node && at < FIELDS_MAX; node = node->next, at++) {
        struct slice name, value;

        if (!node->data || !read_field(node->data, &name, &value))
            continue;
        span_request_field(transfer->legs->slot, head, name, value);
        if (head->was_context && at < 64)
            contexts |= UINT64_C(1) << at;
    }
    if (transfer->agent)
        span_request_field(transfer->legs->slot, head, (struct slice){"user-agent", sizeof("user-agent") - 1},
                           (struct slice){transfer->agent->text, transfer->agent->length});
    return contexts;
}

/* Cut header lines into nodes of a list; returns how many. */
static int cut_lines(struct transfer_legs *legs, size_t length)
{
    char *line = legs->lines;
    int count = 0;

    while (line < legs->lines + length && count < TRANSFER_NODES_MAX) {
        char *end = memchr(line, '\r', (size_t)(legs->lines + length - line));

        if (!end)
            break;
        *end = '\0';
        legs->nodes[count++].data = line;
        line = end + 2;
    }
    return count;
}

/* Of the program's list what lies before its last trace header is put into nodes of ours, without trace headers, so
 * that the rest of it can be the list's end. False: it has too many. */
static bool copy_without(struct transfer_legs *legs, struct curl_slist *node, uint64_t contexts, int *count,
                         struct curl_slist **ret_rest)
{
    for (; contexts != 0; contexts >>= 1, node = node->next) {
        if (contexts & 1)
            continue;
        if (*count == TRANSFER_NODES_MAX)
            return false;
        legs->nodes[(*count)++].data = node->data;
    }
    *ret_rest = node;
    return true;
}

/* The list that libcurl is to send, NULL for the program's own. */
static struct curl_slist *make_list(struct transfer *transfer, struct span_head *head, uint64_t contexts)
{
    struct transfer_legs *legs = transfer->legs;
    struct curl_slist *rest = transfer->headers;
    size_t length = 0;
    int count;

    if (!span_wants_headers(head) || !span_context_lines(legs->slot, head, legs->lines, sizeof(legs->lines), &length) ||
        length == 0)
        return NULL;
    count = cut_lines(legs, length);
    if (head->headers == SPAN_HEADERS_PASSED && !copy_without(legs, rest, contexts, &count, &rest))
        return NULL;
    for (int i = 0; i < count; i++)
        legs->nodes[i].next = i + 1 < count ? &legs->nodes[i + 1] : rest;
    return &legs->nodes[0];
}

/* Give libcurl our list, or NULL: the program's, if it has another now. */
static void set_list(struct transfer *transfer, struct curl_slist *list)
{
    __typeof__(&curl_easy_setopt) setopt;

    if (!list && !transfer->legs->has_list)
        return;
    setopt = provider_function("curl_easy_setopt", transfer->legs->caller);
    if (setopt)
        (void)setopt(transfer->handle, CURLOPT_HTTPHEADER, list ? list : transfer->headers);
    transfer->legs->has_list = list != NULL;
}

void transfer_list_restore(struct transfer *transfer)
{
    set_list(transfer, NULL);
}

/* A request begins, in a slot of the in-flight table; false: there is no room for it. */
static bool leg_open(struct transfer *transfer, const struct source *source, struct slice url, struct span_head *head,
                     const struct span_ends *ends)
{
    struct transfer_legs *legs = transfer->legs;
    struct slice method = ask_text(source, (CURLINFO)LIBCURL_INFO_EFFECTIVE_METHOD);

    legs->slot = span_open(head, legs->leg_ns, ends);
    if (!legs->slot)
        return false;
    span_request_line(legs->slot, head, method, url, 1);
    wire_slot_request(legs->slot)->version = 0;
    wire_slot_request(legs->slot)->flags |= WIRE_REQUEST_BY_CURL;
    note_client(legs, source);
    legs->count++;
    return true;
}

#define FAILURES(X)                                                                                                    \
    X(COULDNT_RESOLVE_PROXY)                                                                                           \
    X(COULDNT_RESOLVE_HOST)                                                                                            \
    X(COULDNT_CONNECT)                                                                                                 \
    X(WEIRD_SERVER_REPLY)                                                                                              \
    X(HTTP2)                                                                                                           \
    X(WRITE_ERROR)                                                                                                     \
    X(READ_ERROR)                                                                                                      \
    X(OUT_OF_MEMORY)                                                                                                   \
    X(RANGE_ERROR)                                                                                                     \
    X(SSL_CONNECT_ERROR)                                                                                               \
    X(ABORTED_BY_CALLBACK)                                                                                             \
    X(INTERFACE_FAILED)                                                                                                \
    X(TOO_MANY_REDIRECTS)                                                                                              \
    X(SSL_ENGINE_NOTFOUND)                                                                                             \
    X(SSL_ENGINE_SETFAILED)                                                                                            \
    X(SEND_ERROR)                                                                                                      \
    X(RECV_ERROR)                                                                                                      \
    X(SSL_CERTPROBLEM)                                                                                                 \
    X(SSL_CIPHER)                                                                                                      \
    X(PEER_FAILED_VERIFICATION)                                                                                        \
    X(BAD_CONTENT_ENCODING)                                                                                            \
    X(FILESIZE_EXCEEDED)                                                                                               \
    X(USE_SSL_FAILED)                                                                                                  \
    X(SEND_FAIL_REWIND)                                                                                                \
    X(SSL_CACERT_BADFILE)                                                                                              \
    X(SSL_CRL_BADFILE)                                                                                                 \
    X(SSL_ISSUER_ERROR)                                                                                                \
    X(NO_CONNECTION_AVAILABLE)                                                                                         \
    X(SSL_PINNEDPUBKEYNOTMATCH)                                                                                        \
    X(SSL_INVALIDCERTSTATUS)                                                                                           \
    X(HTTP2_STREAM)                                                                                                    \
    X(AUTH_ERROR)                                                                                                      \
    X(HTTP3)                                                                                                           \
    X(QUIC_CONNECT_ERROR)                                                                                              \
    X(PROXY)                                                                                                           \
    X(SSL_CLIENTCERT)

/* One after the other, each with its code in front. */
static const struct failures {
#define X(name)                                                                                                        \
    uint8_t code_of_##name;                                                                                            \
    char name[sizeof("CURLE_" #name)];
    FAILURES(X)
#undef X
} failures = {
#define X(name) CURLE_##name, "CURLE_" #name,
    FAILURES(X)
#undef X
};

/* The words for a failure that the wire has none for. */
static const char *failure_name(CURLcode result)
{
    const char *at = (const char *)&failures;

    for (; at < (const char *)(&failures + 1); at += 1 + strlen(at + 1) + 1)
        if ((uint8_t)*at == (unsigned)result)
            return at + 1;
    return "CURLE_OTHER";
}

/* A failure that has a name of its own, else OTHER. */
static enum wire_error error_of(const struct source *source, CURLcode result)
{
    long cause;

    if (result == CURLE_OK || result == CURLE_HTTP_RETURNED_ERROR) /* the status says it */
        return WIRE_ERROR_NONE;
    cause = ask_number(source, CURLINFO_OS_ERRNO);
    if (result == CURLE_OPERATION_TIMEDOUT)
        return WIRE_ERROR_TIMEOUT;
    if (result == CURLE_COULDNT_CONNECT && cause == ECONNREFUSED)
        return WIRE_ERROR_CONNECTION_REFUSED;
    if ((result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR) && cause == ECONNRESET)
        return WIRE_ERROR_CONNECTION_RESET;
    if (result == CURLE_GOT_NOTHING)
        return WIRE_ERROR_NO_RESPONSE;
    if (result == CURLE_PARTIAL_FILE)
        return WIRE_ERROR_RESPONSE_INCOMPLETE;
    return WIRE_ERROR_OTHER;
}

static struct slice text_slice(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static void note_failure(const struct transfer_legs *legs, enum wire_error error, CURLcode result)
{
    __typeof__(&curl_easy_strerror) strerror = provider_function("curl_easy_strerror", legs->caller);

    if (error == WIRE_ERROR_OTHER)
        span_text(legs->slot, WIRE_TEXT_ERROR_TYPE, text_slice(failure_name(result)));
    if (strerror)
        span_text(legs->slot, WIRE_TEXT_ERROR_MESSAGE, text_slice(strerror(result)));
}

static uint8_t version_of(long version)
{
    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return 10;
    case CURL_HTTP_VERSION_1_1:
        return 11;
    case CURL_HTTP_VERSION_2_0:
        return 20;
    case CURL_HTTP_VERSION_3:
        return 30;
    default:
        return 0;
    }
}

/* What came back, if anything did. */
static void note_response(struct transfer_legs *legs, const struct source *source)
{
    struct wire_request *request = wire_slot_request(legs->slot);
    curl_off_t first_byte = ask_count(source, CURLINFO_STARTTRANSFER_TIME_T);

    request->version = version_of(ask_number(source, CURLINFO_HTTP_VERSION));
    if (first_byte <= legs->first_byte_us)
        return;
    request->status = (uint16_t)ask_number(source, CURLINFO_RESPONSE_CODE);
    request->first_byte_ns = after(legs->leg_ns, first_byte - legs->first_byte_us);
    legs->first_byte_us = first_byte;
}

/* Does the answer say how long its body is? */
static bool has_length(const struct source *source)
{
    curl_off_t length = -1;

    return source->getinfo(source->handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK && length >= 0;
}

/* libcurl counts a request's bytes until the next one begins. */
static void note_sizes(struct wire_request *request, const struct source *source)
{
    request->request_body_size = (uint64_t)ask_count(source, CURLINFO_SIZE_UPLOAD_T);
    request->response_body_size = (uint64_t)ask_count(source, CURLINFO_SIZE_DOWNLOAD_T);
    request->flags |= WIRE_REQUEST_BODY_SEEN;
    if (request->status != 0)
        request->flags |= WIRE_REQUEST_RESPONSE_BODY_SEEN | (has_length(source) ? WIRE_REQUEST_RESPONSE_LENGTH : 0);
}

static void leg_end(struct transfer_legs *legs, enum wire_error error, uint64_t end_ns)
{
    struct wire_request *request = wire_slot_request(legs->slot);

    if (end_ns < request->first_byte_ns)
        end_ns = request->first_byte_ns;
    span_end(legs->slot, end_ns > legs->leg_ns ? end_ns : legs->leg_ns + 1, error);
    legs->slot = NULL;
}

/* When the request that follows the one that is on began; 0: there is none. */
static uint64_t next_leg_ns(const struct transfer_legs *legs, const struct source *source, curl_off_t *ret_redirect_us)
{
    *ret_redirect_us = ask_count(source, CURLINFO_REDIRECT_TIME_T);
    return *ret_redirect_us > legs->redirect_us ? after(legs->start_ns, *ret_redirect_us) : 0;
}

/* The end of the request that is on, by a further one, which begins at `next_ns`. */
static void leg_end_by_next(struct transfer_legs *legs, const struct source *source, uint64_t next_ns)
{
    if (!legs->slot)
        return;
    note_response(legs, source);
    leg_end(legs, WIRE_ERROR_NONE, next_ns);
}

static void head_put(struct span_head *head)
{
    if (!head)
        return;
    span_head_release(head);
    arena_pool_put(&heads, head);
}

static void leg_begin(struct transfer *transfer, const struct source *source, const struct span_ends *ends)
{
    struct span_head *head = arena_pool_get(&heads);
    struct curl_slist *list = NULL;
    struct slice url;

    if (head && ask_url(source, &url) && leg_open(transfer, source, url, head, ends)) {
        uint64_t contexts = note_fields(transfer, head);

        span_head_end(transfer->legs->slot, head);
        list = make_list(transfer, head, contexts);
        if (list)
            ring_count(WIRE_COUNT_INJECTED);
    }
    set_list(transfer, list);
    head_put(head);
}

/* The place in time of a request that is about to be sent. libcurl tells how long ago it began the transfer. */
static void place_leg(struct transfer_legs *legs, const struct source *source, uint64_t now_ns)
{
    curl_off_t redirect_us;
    uint64_t next_ns = next_leg_ns(legs, source, &redirect_us);

    if (legs->leg_ns == 0) {
        uint64_t begun_ns = now_ns - after(0, ask_count(source, CURLINFO_TOTAL_TIME_T));

        if (begun_ns > legs->start_ns && begun_ns < now_ns)
            legs->start_ns = begun_ns;
        next_ns = legs->start_ns;
    } else if (next_ns < legs->leg_ns || next_ns > now_ns) {
        next_ns = now_ns;
    }
    leg_end_by_next(legs, source, next_ns);
    legs->leg_ns = next_ns;
    legs->redirect_us = redirect_us;
}

void transfer_request_begin(struct transfer *transfer, const char *peer_ip, int peer_port, const char *local_ip,
                            int local_port)
{
    struct span_ends ends = {.kind = WIRE_KIND_CLIENT};
    struct source source;

    if (!source_open(&source, transfer))
        return;
    ends.peer = address_of(&transfer->peer, peer_ip, peer_port);
    ends.local = address_of(&transfer->local, local_ip, local_port);
    ends.parent = transfer->legs->parent;
    place_leg(transfer->legs, &source, clock_mono_ns());
    leg_begin(transfer, &source, &ends);
}

/* A request that failed before it could be sent. */
static void failed_leg(struct transfer *transfer, const struct source *source, CURLcode result)
{
    struct wire_address none = {0};
    struct span_ends ends = {.kind = WIRE_KIND_CLIENT, .peer = &none, .local = &none, .parent = transfer->legs->parent};
    struct span_head *head = arena_pool_get(&heads);
    struct slice url;

    if (head && ask_url(source, &url) && leg_open(transfer, source, url, head, &ends)) {
        enum wire_error error = error_of(source, result);

        (void)note_fields(transfer, head);
        span_head_end(transfer->legs->slot, head);
        note_failure(transfer->legs, error, result);
        leg_end(transfer->legs, error, clock_mono_ns());
    }
    head_put(head);
}

/* The program's mistake, or libcurl's own trouble: nothing was asked of any server. */
static bool is_of_network(CURLcode result)
{
    return result > CURLE_NOT_BUILT_IN && result != CURLE_OUT_OF_MEMORY && result != CURLE_FUNCTION_NOT_FOUND &&
           result != CURLE_ABORTED_BY_CALLBACK && result != CURLE_BAD_FUNCTION_ARGUMENT &&
           result != CURLE_UNKNOWN_OPTION && result != CURLE_RECURSIVE_API_CALL && result != CURLE_TOO_MANY_REDIRECTS;
}

/* The end of the request that is on, and of the transfer. The program may ask for it late: libcurl knows when it
 * was. */
static void last_leg_end(struct transfer *transfer, const struct source *source, CURLcode result)
{
    struct transfer_legs *legs = transfer->legs;
    uint64_t now_ns = clock_mono_ns(), end_ns = after(legs->start_ns, ask_count(source, CURLINFO_TOTAL_TIME_T));
    enum wire_error error = error_of(source, result);

    note_response(legs, source);
    note_sizes(wire_slot_request(legs->slot), source);
    if (error != WIRE_ERROR_NONE)
        note_failure(legs, error, result);
    leg_end(legs, error, end_ns > legs->leg_ns && end_ns < now_ns ? end_ns : now_ns);
}

void transfer_request_end(struct transfer *transfer, CURLcode result)
{
    struct transfer_legs *legs = transfer->legs;
    struct source source;
    curl_off_t redirect_us;

    if (!source_open(&source, transfer))
        return;

    uint64_t next_ns = next_leg_ns(legs, &source, &redirect_us);
    bool is_last = legs->slot && (next_ns == 0 || !is_of_network(result));

    if (is_last) {
        last_leg_end(transfer, &source, result);
        return;
    }
    leg_end_by_next(legs, &source, next_ns);
    legs->leg_ns = next_ns ? next_ns : legs->start_ns;
    if (is_of_network(result))
        failed_leg(transfer, &source, result);
}

void transfer_request_cancel(struct transfer *transfer)
{
    struct source source;

    if (source_open(&source, transfer) && transfer->legs->slot)
        last_leg_end(transfer, &source, CURLE_OK);
}
