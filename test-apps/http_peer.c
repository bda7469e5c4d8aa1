/* SPDX-License-Identifier: Apache-2.0 */
#include "http_peer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A field's value when `line` is that field (name with colon, lower case), else NULL. */
static const char *field_value(const char *line, const char *name)
{
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0)
        return NULL;
    return line + len + strspn(line + len, " \t");
}

/* "00-", 32 hexadecimal digits, "-", 16 of them, "-" and 2. */
static bool is_traceparent(const char *value)
{
    static const char digits[] = "0123456789abcdef";

    return strlen(value) == 55 && strncmp(value, "00-", 3) == 0 && strspn(value + 3, digits) == 32 &&
           value[35] == '-' && strspn(value + 36, digits) == 16 && value[52] == '-' && strspn(value + 53, digits) == 2;
}

static void read_field(struct http_request *request, const char *line)
{
    const char *value;

    if ((value = field_value(line, "content-length:")) != NULL)
        request->content_length = strtoull(value, NULL, 10);
    else if ((value = field_value(line, "transfer-encoding:")) != NULL)
        request->chunked = strcasecmp(value, "chunked") == 0;
    else if ((value = field_value(line, "expect:")) != NULL)
        request->expects_continue = strcasecmp(value, "100-continue") == 0;
    else if ((value = field_value(line, "connection:")) != NULL)
        request->keep_alive = strcasecmp(value, "close") != 0;
    else if ((value = field_value(line, "traceparent:")) != NULL) {
        request->traceparents++;
        request->bad_traceparents += !is_traceparent(value);
    }
}

/* Cut the request line into method, path and version. */
static bool read_request_line(struct http_request *request, char *line)
{
    char *rest = NULL;
    const char *method = strtok_r(line, " ", &rest);
    const char *path = strtok_r(NULL, " ", &rest);
    const char *version = strtok_r(NULL, " ", &rest);

    if (!method || !path || !version || strlen(method) >= sizeof request->method ||
        strlen(path) >= sizeof request->path)
        return false;
    strcpy(request->method, method);
    strcpy(request->path, path);
    request->http10 = strcmp(version, "HTTP/1.0") == 0;
    request->keep_alive = !request->http10;
    return strncmp(version, "HTTP/1.", 7) == 0;
}

/* The buffer's next line without its end, or NULL when it isn't there yet; *ret_used counts the end too. */
static char *next_line(struct http_peer *peer, size_t *ret_used)
{
    char *end = memmem(peer->buffer, peer->used, "\r\n", 2);

    if (!end)
        return NULL;
    *end = '\0';
    *ret_used = (size_t)(end - peer->buffer) + 2;
    return peer->buffer;
}

static void take(struct http_peer *peer, size_t used)
{
    peer->used -= used;
    memmove(peer->buffer, peer->buffer + used, peer->used);
}

/* Read the head when all of it is there. 1: done, 0: more is needed, -1: not a request. */
static int read_head(struct http_peer *peer)
{
    char *end = memmem(peer->buffer, peer->used, "\r\n\r\n", 4);
    char *rest = NULL;

    if (!end)
        return peer->used == sizeof peer->buffer ? -1 : 0;
    *end = '\0';
    peer->request = (struct http_request){0};

    char *line = strtok_r(peer->buffer, "\r\n", &rest);
    if (!line || !read_request_line(&peer->request, line))
        return -1;
    while ((line = strtok_r(NULL, "\r\n", &rest)) != NULL)
        read_field(&peer->request, line);
    take(peer, (size_t)(end - peer->buffer) + 4);
    return 1;
}

/* What follows the head. */
static enum http_stage stage_after_head(struct http_peer *peer)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (peer->request.expects_continue)
        (void)http_bytes_out(peer->fd, peer->calls, go_on, sizeof go_on - 1);
    peer->left = peer->request.content_length;
    if (peer->request.chunked)
        return HTTP_STAGE_CHUNK_SIZE;
    return peer->left > 0 ? HTTP_STAGE_COUNTED : HTTP_STAGE_COMPLETE;
}

/* Skip body bytes that are in the buffer; true when `left` has come to nothing. */
static bool skip_body(struct http_peer *peer)
{
    size_t n = peer->used < peer->left ? peer->used : (size_t)peer->left;

    take(peer, n);
    peer->left -= n;
    return peer->left == 0;
}

static bool read_chunk_size(struct http_peer *peer)
{
    size_t used;
    const char *line = next_line(peer, &used);

    if (!line)
        return false;
    peer->left = strtoull(line, NULL, 16);
    peer->request.body_length += peer->left;
    peer->stage = peer->left == 0 ? HTTP_STAGE_TRAILERS : HTTP_STAGE_CHUNK_DATA;
    peer->left += 2;
    take(peer, used);
    return true;
}

static bool read_trailer(struct http_peer *peer)
{
    size_t used;
    const char *line = next_line(peer, &used);

    if (!line)
        return false;
    if (*line == '\0')
        peer->stage = HTTP_STAGE_COMPLETE;
    take(peer, used);
    return true;
}

/* One step through the buffered bytes. 1: something was done, 0: more bytes are needed, -1: broken. */
static int step(struct http_peer *peer)
{
    int got;

    switch (peer->stage) {
    case HTTP_STAGE_HEAD:
        got = read_head(peer);
        if (got > 0)
            peer->stage = stage_after_head(peer);
        return got;
    case HTTP_STAGE_COUNTED:
        if (!skip_body(peer))
            return 0;
        peer->request.body_length = peer->request.content_length;
        peer->stage = HTTP_STAGE_COMPLETE;
        return 1;
    case HTTP_STAGE_CHUNK_SIZE:
        return read_chunk_size(peer);
    case HTTP_STAGE_CHUNK_DATA:
        if (!skip_body(peer))
            return 0;
        peer->stage = HTTP_STAGE_CHUNK_SIZE;
        return 1;
    case HTTP_STAGE_TRAILERS:
        return read_trailer(peer);
    case HTTP_STAGE_COMPLETE:
        peer->stage = HTTP_STAGE_HEAD;
        return http_answer(peer) ? 1 : -1;
    }
    return -1;
}

bool http_peer_turn(struct http_peer *peer)
{
    int got;
    ssize_t n = http_bytes_in(peer->fd, peer->calls, peer->buffer + peer->used, sizeof peer->buffer - peer->used);

    if (n <= 0)
        return false;
    peer->used += (size_t)n;
    while ((got = step(peer)) > 0)
        ;
    return got == 0;
}

void http_peer_serve(int fd, enum http_calls calls)
{
    struct http_peer *peer = calloc(1, sizeof *peer);

    if (peer) {
        peer->fd = fd;
        peer->calls = calls;
        while (http_peer_turn(peer))
            ;
    }
    free(peer);
    (void)close(fd);
}
