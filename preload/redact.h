/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets are taken out here, before a byte reaches the ring: values of sensitive query keys, user and password of a
 * URL, client addresses, header fields that are never captured. Called by span.c, span_head.c and forwarded.c;
 * the agent takes secrets out of what it reports itself by the same rules. In doubt it hides. */
#ifndef SPANSHIM_REDACT_H
#define SPANSHIM_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SPANSHIM_QUERY. Zero is the default. */
enum redact_mode { REDACT_VALUES, REDACT_DROP, REDACT_KEEP };

/* SPANSHIM_CLIENT_IP. Zero is the default. */
enum redact_ip_mode { REDACT_IP_FULL, REDACT_IP_ANONYMIZE, REDACT_IP_NONE };

/* Write a query (without '?') to out: values of sensitive keys become REDACTED, the keys stay. Sensitive is a key that
 * holds a word of redact.c's lists (of some, if the value looks as if it was made by chance), in any case,
 * percent-encoded or not, in array or object form (user[password]), also inside another value (next=/cb%3Ftoken%3Dx);
 * what follows it is hidden up to the next '&'. User and password of a URL inside become REDACTED:REDACTED. The query
 * is redacted first and then cut, so no cut shows part of a secret. Returns the bytes written; *ret_truncated says
 * whether out was too small. Context: pure; signal-safe. */
size_t redact_query(const char *query, size_t len, char *out, size_t out_size, enum redact_mode mode,
                    bool *ret_truncated);

/* The same for a path, whose segments may have parameters (/a;jsessionid=x/b); one is hidden up to its end. A path is
 * never dropped. Context: pure; signal-safe. */
size_t redact_path(const char *path, size_t len, char *out, size_t out_size, enum redact_mode mode,
                   bool *ret_truncated);

/* The same for the value of a captured header field, which may be or hold a URL (Referer, Location).
 * Context: pure; signal-safe. */
size_t redact_header_value(const char *value, size_t len, char *out, size_t out_size, bool *ret_truncated);

/* The same for a whole URL or request target: path and query as above, and user and password before the host become
 * REDACTED:REDACTED@. With REDACT_DROP the '?' goes too. Context: pure; signal-safe. */
size_t redact_url(const char *url, size_t len, char *out, size_t out_size, enum redact_mode mode, bool *ret_truncated);

/* The same for what a program says: a message, an argument. Only '=' makes a key, since ':' stands in names of
 * functions (auth::check), and none over a blank; a value ends at a blank, ',', ';' or '&'. "a==b" is code. Context:
 * pure; signal-safe. */
size_t redact_prose(const char *text, size_t len, char *out, size_t out_size, bool *ret_truncated);

/* Is a value of this name (a key, an option) to be hidden? Context: pure; signal-safe. */
bool redact_name_is_sensitive(const char *name, size_t len);

/* Write a client address given as text. Anonymized: an IPv4 address loses its last 8 bits, an IPv6 address its last 80,
 * an RFC 7239 obfuscated identifier ("_x") stays, anything else is dropped. Returns the bytes written, 0 for "leave it
 * out" (also when it doesn't fit). Context: pure; signal-safe. */
size_t redact_client_ip(const char *text, size_t len, enum redact_ip_mode mode, char *out, size_t out_size);

/* The same for an address in network order, in place; length is 4 or 16. REDACT_IP_NONE zeroes it all.
 * Context: pure; signal-safe. */
void redact_ip_bytes(uint8_t *ip, size_t length, enum redact_ip_mode mode);

/* May this header field be captured at all? False for those that carry credentials, and for those that carry the
 * client's address unless that is shown in full. Context: pure; signal-safe. */
bool redact_header_allowed(const char *name, size_t len, enum redact_ip_mode mode);

#endif
