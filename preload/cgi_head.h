/* SPDX-License-Identifier: Apache-2.0 */
/* What CGI (RFC 3875) makes of HTTP: a request's header fields are variables, and a program's answer begins with its
 * fields; there is no status line. For programs that are asked by FastCGI, SCGI and uwsgi, and for CGI programs. */
#ifndef SPANSHIM_CGI_HEAD_H
#define SPANSHIM_CGI_HEAD_H

#include "preload/http1.h"

/* The header field that a variable stands for: HTTP_USER_AGENT is user-agent. Written to `out`, which may be the place
 * of `variable` itself; it is never longer. Returns the length, 0: it stands for none. Context: pure; signal-safe. */
size_t cgi_field_name(struct slice variable, char *out);

/* First letters of fields that cgi_head_feed() has to see: not to be among the parser's `unreported`. */
#define CGI_LETTERS (1u << ('s' & 31) | 1u << ('l' & 31))

/* As http1_feed, of a program's answer: the parser's role is HTTP1_RESPONSES, and its `is_cgi` is set. HTTP1_START_LINE
 * comes with the first byte, and has no text. At HTTP1_HEAD_END the status is known (RFC 3875 6.3.3: 200 without one;
 * 302 with a Location). The body is all that follows: http1_end() says that it is complete. A status line is taken,
 * too: programs that are used to send one themselves (nph-) do so here. Context: pure; signal-safe. */
size_t cgi_head_feed(struct http1 *parser, const char *bytes, size_t len, char *stash, enum http1_event *ret_event,
                     struct http1_out *ret_out);

#endif
