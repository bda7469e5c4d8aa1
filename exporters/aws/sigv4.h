/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Signature Version 4: the Authorization header of a request to one of AWS's services (not S3, whose rules for
 * paths differ). Called by aws_call.c. */
#ifndef SPANSHIM_SIGV4_H
#define SPANSHIM_SIGV4_H

#include <stddef.h>
#include <stdint.h>

struct http_header; /* agent/http_client.h */

enum {
    SIGV4_TIME_SIZE = 17, /* "20150830T123600Z" */
    SIGV4_HEADERS_MAX = 16,
    SIGV4_PARAMETERS_MAX = 64,
    SIGV4_HASH_SIZE = 32
};

struct sigv4_request {
    const char *method;
    const char *path;  /* as it is sent; "" counts as "/" */
    const char *query; /* as it is sent, without '?'; NULL: none */
    const struct http_header *headers;
    size_t header_count; /* all are signed; Host and X-Amz-Date have to be among them */
    const void *body;
    size_t body_length;
};

struct sigv4_key {
    const char *access_key_id, *secret;
    const char *region, *service;
    const char *time; /* as X-Amz-Date says it */
};

/* The time as X-Amz-Date has it; of what is beyond the year 9999 the last that it can have. Context: pure. */
void sigv4_time(uint64_t unix_s, char out[SIGV4_TIME_SIZE]);

/* SHA-256. Context: pure. */
void sigv4_hash(const void *bytes, size_t length, uint8_t out[SIGV4_HASH_SIZE]);

/* The value of Authorization, to be freed. 0, -ENOMEM, or -E2BIG: too many headers or parameters. Context: loop. */
int sigv4_authorize(const struct sigv4_request *request, const struct sigv4_key *key, char **ret_authorization);

#endif
