/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of a Rollbar item: valid UTF-8, within their limits, and without secrets, by the rules that hold for spans
 * too (preload/redact.h). Called by rollbar_item.c and its parts. */
#ifndef SPANSHIM_ROLLBAR_SCRUB_H
#define SPANSHIM_ROLLBAR_SCRUB_H

#include <jansson.h>
#include <stddef.h>

enum { ROLLBAR_NO_LIMIT = 0 };

/* New strings, of at most `max` bytes, never cut within a character. NULL where `text` is NULL or memory is out.
 * Context: pure. */
json_t *rollbar_scrub_name(const char *text, size_t max);  /* a name: nothing in it is secret */
json_t *rollbar_scrub_prose(const char *text, size_t max); /* a message: key=value, user and password of a URL */
json_t *rollbar_scrub_url(const char *text);
json_t *rollbar_scrub_query(const char *text); /* without '?' */

/* A new object of name and value; what carries credentials has a mask for its value. NULL: there is none. Context:
 * pure. */
json_t *rollbar_scrub_headers(const json_t *headers);

/* A new array. "--password x", "--password=x" and "Authorization: x" lose their x. NULL: there is none. Context:
 * pure. */
json_t *rollbar_scrub_arguments(const json_t *arguments);

#endif
