/* SPDX-License-Identifier: Apache-2.0 */
/* What gateway.c (heads, SCGI and uwsgi) shares with fastcgi.c (records). Context of all: pure; signal-safe. */
#ifndef SPANSHIM_GATEWAY_INTERNAL_H
#define SPANSHIM_GATEWAY_INTERNAL_H

#include "preload/gateway.h"

/* Not a request. One that comes before any other was never of this protocol. */
enum http1_event gateway_bad(const struct gateway *gateway, struct http1 *parser);

/* A request begins: its variables are next. */
void gateway_begin_head(struct gateway *gateway, struct http1 *parser);

/* All variables have come; the byte that said so is taken with HTTP1_HEAD_END. Returns HTTP1_START_LINE, or
 * HTTP1_BAD. */
enum http1_event gateway_end_head(struct gateway *gateway, struct http1 *parser, struct http1_out *ret_out);

/* As gateway_feed, of FastCGI. */
size_t fastcgi_feed_requests(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len,
                             enum http1_event *ret_event, struct http1_out *ret_out);
size_t fastcgi_feed_responses(struct gateway *gateway, struct http1 *parser, const char *bytes, size_t len, char *stash,
                              enum http1_event *ret_event, struct http1_out *ret_out);

/* Could they begin a connection in FastCGI? */
bool fastcgi_begins(const char *bytes, size_t len);

#endif
