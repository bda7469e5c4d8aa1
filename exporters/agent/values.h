/* SPDX-License-Identifier: Apache-2.0 */
/* How the text of a setting is read: numbers, words, pairs, URLs. The rules are those of the OpenTelemetry
 * specification for environment variables. Called by settings.c. */
#ifndef SPANSHIM_VALUES_H
#define SPANSHIM_VALUES_H

#include "exporters/agent/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A copy without blanks at the ends; NULL when nothing is left (errno 0) or when out of memory (ENOMEM). Context:
 * loop. */
char *values_trimmed(const char *text, size_t length);

/* A whole number within range ("least..most"). Context: pure. */
bool values_parse_number(const char *text, const char *range, uint32_t *ret_number);

/* Is it one of the words ("a|b|c"), in any case? Context: pure. */
bool values_is_word_of(const char *text, size_t length, const char *words);

/* Is this word in the list ("a,b,c", without blanks)? A list that is NULL has none. Context: pure. */
bool values_has_word(const char *list, const char *word);

/* An absolute http or https URL with a host, and a port or none. Context: pure. */
bool values_is_url(const char *text);

/* host or host:port, without a scheme. Context: pure. */
bool values_is_authority(const char *text);

/* A header's value: no control characters, so that none can end the line. Context: pure. */
bool values_is_header_value(const char *text);

enum values_pairs_kind {
    VALUES_ATTRIBUTES, /* keys are decoded too; any error discards all */
    VALUES_HEADERS,    /* a bad item alone is passed over */
};

/* "key=value,key=value". `problem` (may come with some pairs) is empty or says what is wrong with which item, never
 * showing a value. 0 or -ENOMEM. Context: loop. */
int values_parse_pairs(const char *text, enum values_pairs_kind kind, struct settings_pairs *ret_pairs,
                       char problem[128]);

/* Add a pair (copied). 0, -ENOMEM, -E2BIG. Context: loop. */
int values_add_pair(struct settings_pairs *pairs, const char *name, const char *value);
void values_free_pairs(struct settings_pairs *pairs);

/* The value of a name; header names are compared in any case. NULL: not there. Context: pure. */
const char *values_find_pair(const struct settings_pairs *pairs, const char *name);

/* The base URL with v1/traces joined to its path; a URL of one signal, whose absent path becomes "/". NULL when out of
 * memory. Context: loop. */
char *values_join_url(const char *base, const char *path);
char *values_complete_url(const char *url);

/* A gRPC service at an endpoint (URL or host:port): scheme, host and port count, a path doesn't. is_insecure: http
 * where there is no scheme. NULL when out of memory. Context: loop. */
char *values_service_url(const char *endpoint, bool is_insecure, const char *service);

/* Scheme, host, port and path: what may be shown of a URL. Context: pure. */
void values_show_url(const char *url, char *out, size_t size);

#endif
