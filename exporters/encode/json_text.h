/* SPDX-License-Identifier: Apache-2.0 */
/* What a request has as members of a JSON object. What is empty or none sets nothing. Used by whatever shows a span as
 * JSON. */
#ifndef SPANSHIM_JSON_TEXT_H
#define SPANSHIM_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Text from outside: made valid UTF-8. Context: loop. */
void json_set_text(json_t *object, const char *key, const char *bytes, size_t length);

/* An id of 8 or 16 bytes in hexadecimal; all zero is none. Context: loop. */
void json_set_id(json_t *object, const char *key, const uint8_t *id, size_t length);

#endif
