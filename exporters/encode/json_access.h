/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON objects that may be missing. Used where reports and spans are turned into something else. */
#ifndef SPANSHIM_JSON_ACCESS_H
#define SPANSHIM_JSON_ACCESS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* The text of a member, borrowed; NULL: there is none, or it is empty. Context: pure. */
static inline const char *json_text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* Set a member (taken); NULL sets nothing. Context: pure. */
static inline void json_set(json_t *object, const char *key, json_t *value)
{
    if (value != NULL)
        (void)json_object_set_new(object, key, value);
}

/* Set a number; 0 sets nothing. Context: pure. */
static inline void json_set_number(json_t *object, const char *key, uint64_t number)
{
    if (number != 0)
        (void)json_object_set_new(object, key, json_integer((json_int_t)number));
}

/* As json_set() with an object or an array; an empty one sets nothing. Context: pure. */
static inline void json_set_unless_empty(json_t *object, const char *key, json_t *value)
{
    if (json_object_size(value) + json_array_size(value) > 0)
        (void)json_object_set_new(object, key, value);
    else
        json_decref(value);
}

#endif
