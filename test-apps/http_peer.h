/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of one HTTP/1 connection, as simple as a real program might have it: no parser beyond its needs, no
 * framework. Used by every test program that serves; paths and answers are in the README's table. */
#ifndef TEST_APPS_HTTP_PEER_H
#define TEST_APPS_HTTP_PEER_H

#include "http_bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_PEER_BUFFER = 16384 };

enum http_stage {
    HTTP_STAGE_HEAD,
    HTTP_STAGE_COUNTED,    /* `left` body bytes to go */
    HTTP_STAGE_CHUNK_SIZE, /* a chunk's size line */
    HTTP_STAGE_CHUNK_DATA, /* `left` bytes to go, the line end included */
    HTTP_STAGE_TRAILERS,   /* lines up to a blank one */
    HTTP_STAGE_COMPLETE,
};

struct http_request {
    char method[16];
    char path[1024]; /* as sent, query included */
    bool http10;
    bool keep_alive;
    bool chunked;
    bool expects_continue;
    unsigned traceparents;     /* fields of that name */
    unsigned bad_traceparents; /* those of another form than version 00's */
    uint64_t content_length;
    uint64_t body_length; /* body bytes counted */
};

/* All zero but for `fd` and `calls` is a fresh connection. */
struct http_peer {
    int fd;
    enum http_calls calls;
    enum http_stage stage;
    struct http_request request;
    uint64_t left;
    size_t used;
    char buffer[HTTP_PEER_BUFFER];
};

/* Read once and answer every request that is complete by then. False when the connection is over: the caller closes it.
 * Context: any thread; blocks in writes. */
bool http_peer_turn(struct http_peer *peer);

/* Serve the connection to its end and close it. Context: any thread. */
void http_peer_serve(int fd, enum http_calls calls);

/* Answer the request just read (http_answer.c). False when the connection must end. Context: any thread. */
bool http_answer(struct http_peer *peer);

#endif
