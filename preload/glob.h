/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that users write for paths, user agents and header names: '*' stands for any run of characters (also of
 * none, also with '/'), '?' for any one character, and a backslash takes the meaning from the character behind it. A
 * pattern has to fit the whole text. Lists are read by config.c and matched where the texts are. */
#ifndef SPANSHIM_GLOB_H
#define SPANSHIM_GLOB_H

#include "preload/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum { GLOB_LIST_MAX = 64 };

/* Of a comma-separated setting. All zero is the empty list, which nothing fits. */
struct glob_list {
    uint32_t count;
    struct slice patterns[GLOB_LIST_MAX]; /* borrowed from the setting's text; never empty */
};

enum glob_case { GLOB_SAME_CASE, GLOB_ANY_CASE };

/* Cut a setting into its patterns; blanks around them and empty ones don't count. NULL is the empty list. False when
 * there are more than GLOB_LIST_MAX: *ret_list has the first of them then. Context: start; pure. */
bool glob_list_read(const char *text, struct glob_list *ret_list);

/* Takes no more steps than the product of both lengths, whatever the pattern. Context: pure; signal-safe. */
bool glob_matches(struct slice pattern, struct slice text, enum glob_case letters);

/* Does one of the list fit? Context: pure; signal-safe. */
bool glob_list_matches(const struct glob_list *list, struct slice text, enum glob_case letters);

#endif
