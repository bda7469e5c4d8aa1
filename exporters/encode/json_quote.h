/* SPDX-License-Identifier: Apache-2.0 */
/* Text as a JSON string, written straight into a buffer: for what is too much to be made of json_t. */
#ifndef SPANSHIM_JSON_QUOTE_H
#define SPANSHIM_JSON_QUOTE_H

#include <stddef.h>

struct buffer;

/* The text, which is valid UTF-8, in quotes, behind the content. 0 or as buffer_append. Context: loop. */
int json_quote_append(struct buffer *buffer, const char *text, size_t length);

/* How many bytes of the text, with whole characters, are `most` bytes or less within the quotes. Context: pure. */
size_t json_quote_fits(const char *text, size_t length, size_t most);

#endif
