/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in and out of a socket by the family of calls that the program was told to use: servers differ in little
 * else. */
#ifndef TEST_APPS_HTTP_BYTES_H
#define TEST_APPS_HTTP_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum http_calls {
    HTTP_CALLS_PLAIN,   /* read, write */
    HTTP_CALLS_SOCKET,  /* recv, send */
    HTTP_CALLS_VECTOR,  /* readv, writev */
    HTTP_CALLS_MESSAGE, /* recvmsg, sendmsg */
};

/* The family by its name (plain, socket, vector, message), or -1. Context: any. */
int http_calls_by_name(const char *name);

/* Read once; waits when the socket has nothing and is non-blocking. Context: any thread. */
ssize_t http_bytes_in(int fd, enum http_calls calls, char *bytes, size_t len);

/* Write all of it, waiting where a non-blocking socket is full. Context: any thread. */
bool http_bytes_out(int fd, enum http_calls calls, const char *bytes, size_t len);

/* Send `len` bytes of filling from a file, by sendfile or through a pipe by splice. Context: any thread. */
bool http_bytes_sendfile(int fd, size_t len);
bool http_bytes_splice(int fd, size_t len);

#endif
