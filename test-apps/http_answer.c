/* SPDX-License-Identifier: Apache-2.0 */
/* What the test servers answer: one function per path, a table at the end. */
#include "http_peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* One answer's way out. */
struct answer {
    struct http_peer *peer;
    unsigned long number; /* what stands behind the path */
    bool is_head;
};

static bool out(const struct answer *answer, const char *bytes, size_t len)
{
    return http_bytes_out(answer->peer->fd, answer->peer->calls, bytes, len);
}

/* Send the head of a counted answer. */
static bool head(const struct answer *answer, unsigned status, unsigned long length)
{
    char text[256];
    const struct http_request *request = &answer->peer->request;
    int n = snprintf(text, sizeof text, "HTTP/1.%c %u Test\r\nContent-Length: %lu\r\nConnection: %s\r\n\r\n",
                     request->http10 ? '0' : '1', status, length, request->keep_alive ? "keep-alive" : "close");

    return out(answer, text, (size_t)n);
}

static bool filling(const struct answer *answer, unsigned long length)
{
    char block[4096];

    memset(block, 'x', sizeof block);
    while (length > 0) {
        size_t n = length < sizeof block ? length : sizeof block;
        if (!out(answer, block, n))
            return false;
        length -= n;
    }
    return true;
}

/* A short text as the whole answer, head and body in one call as small servers do it. */
static bool text_answer(const struct answer *answer, unsigned status, const char *body)
{
    char text[512];
    const struct http_request *request = &answer->peer->request;
    int n = snprintf(text, sizeof text, "HTTP/1.%c %u Test\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n%s",
                     request->http10 ? '0' : '1', status, strlen(body), request->keep_alive ? "keep-alive" : "close",
                     answer->is_head ? "" : body);

    return out(answer, text, (size_t)n) && request->keep_alive;
}

static bool answer_size(const struct answer *answer)
{
    return head(answer, 200, answer->number) && (answer->is_head || filling(answer, answer->number)) &&
           answer->peer->request.keep_alive;
}

static bool answer_delay(const struct answer *answer)
{
    struct timespec left = {(time_t)(answer->number / 1000), (long)(answer->number % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0)
        ;
    return text_answer(answer, 200, "late\n");
}

static bool answer_echo(const struct answer *answer)
{
    char body[32];

    (void)snprintf(body, sizeof body, "%llu\n", (unsigned long long)answer->peer->request.body_length);
    return text_answer(answer, 200, body);
}

/* A hundred chunks at most, of 1000 bytes at least. */
static bool in_chunks(const struct answer *answer, const char *extension, const char *trailer)
{
    const char *start = answer->peer->request.keep_alive
                            ? "HTTP/1.1 200 Test\r\nTransfer-Encoding: chunked\r\n\r\n"
                            : "HTTP/1.1 200 Test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    unsigned long chunk = answer->number > 100000 ? answer->number / 100 : 1000;
    char line[64];

    if (!out(answer, start, strlen(start)))
        return false;
    if (answer->is_head)
        return answer->peer->request.keep_alive;
    for (unsigned long left = answer->number; left > 0;) {
        unsigned long n = left < chunk ? left : chunk;
        int len = snprintf(line, sizeof line, "%lx%s\r\n", n, left == answer->number ? extension : "");
        if (!out(answer, line, (size_t)len) || !filling(answer, n) || !out(answer, "\r\n", 2))
            return false;
        left -= n;
    }
    int len = snprintf(line, sizeof line, "0\r\n%s\r\n", trailer);
    return out(answer, line, (size_t)len) && answer->peer->request.keep_alive;
}

/* With all that chunks may have. */
static bool answer_chunked(const struct answer *answer)
{
    return in_chunks(answer, ";name=\"a;b\"", "X-Trailer: yes\r\n");
}

/* As nearly all servers send them. */
static bool answer_plain_chunks(const struct answer *answer)
{
    return in_chunks(answer, "", "");
}

/* No length: the body ends with the connection. */
static bool answer_close(const struct answer *answer)
{
    static const char start[] = "HTTP/1.1 200 Test\r\nConnection: close\r\n\r\n";

    if (out(answer, start, sizeof start - 1) && !answer->is_head)
        (void)filling(answer, answer->number);
    return false;
}

static bool answer_status(const struct answer *answer)
{
    char text[128];

    if (answer->number != 204 && answer->number != 304)
        return text_answer(answer, (unsigned)answer->number, "status\n");

    int n = snprintf(text, sizeof text, "HTTP/1.1 %lu Test\r\n\r\n", answer->number);
    return out(answer, text, (size_t)n) && answer->peer->request.keep_alive;
}

static bool answer_sendfile(const struct answer *answer)
{
    return head(answer, 200, answer->number) &&
           (answer->is_head || http_bytes_sendfile(answer->peer->fd, answer->number)) &&
           answer->peer->request.keep_alive;
}

static bool answer_splice(const struct answer *answer)
{
    return head(answer, 200, answer->number) &&
           (answer->is_head || http_bytes_splice(answer->peer->fd, answer->number)) && answer->peer->request.keep_alive;
}

/* An informational answer before the final one. */
static bool answer_hints(const struct answer *answer)
{
    static const char hints[] = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";

    return out(answer, hints, sizeof hints - 1) && text_answer(answer, 200, "hinted\n");
}

/* Promise `number` bytes, send half of them, hang up. */
static bool answer_partial(const struct answer *answer)
{
    if (head(answer, 200, answer->number))
        (void)filling(answer, answer->number / 2);
    return false;
}

static bool answer_drop(const struct answer *answer)
{
    (void)answer;
    return false;
}

static bool answer_reset(const struct answer *answer)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(answer->peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return false;
}

static bool answer_pid(const struct answer *answer)
{
    char body[32];

    (void)snprintf(body, sizeof body, "%d\n", (int)getpid());
    return text_answer(answer, 200, body);
}

/* Answer, and end the process in the moment after. */
static bool answer_exit(const struct answer *answer)
{
    (void)text_answer(answer, 200, "bye\n");
    _exit((int)answer->number);
}

static bool answer_kill(const struct answer *answer)
{
    (void)text_answer(answer, 200, "bye\n");
    (void)signal((int)answer->number, SIG_DFL);
    (void)raise((int)answer->number);
    return false;
}

static const struct route {
    const char *path; /* ends in '/' when a number follows */
    bool (*answer)(const struct answer *answer);
} routes[] = {
    {"/size/", answer_size},
    {"/delay/", answer_delay},
    {"/echo", answer_echo},
    {"/chunked/", answer_chunked},
    {"/chunks/", answer_plain_chunks},
    {"/close/", answer_close},
    {"/status/", answer_status},
    {"/sendfile/", answer_sendfile},
    {"/splice/", answer_splice},
    {"/hints", answer_hints},
    {"/partial/", answer_partial},
    {"/drop", answer_drop},
    {"/reset", answer_reset},
    {"/pid", answer_pid},
    {"/exit/", answer_exit},
    {"/kill/", answer_kill},
};

bool http_answer(struct http_peer *peer)
{
    struct answer answer = {.peer = peer, .is_head = strcmp(peer->request.method, "HEAD") == 0};

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        size_t len = strlen(routes[i].path);
        if (strncmp(peer->request.path, routes[i].path, len) != 0)
            continue;
        answer.number = strtoul(peer->request.path + len, NULL, 10);
        return routes[i].answer(&answer);
    }
    return text_answer(&answer, 404, "no such path\n");
}
