/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/glob.h"

#include <string.h>

/* Does the pattern's character at `at`, which is no '*', stand for c? Its length in the pattern, or 0. */
static inline size_t match_one(struct slice pattern, size_t at, char c, enum glob_case letters)
{
    size_t length = 1;

    if (at == pattern.length)
        return 0;
    if (pattern.bytes[at] == '?')
        return 1;
    if (pattern.bytes[at] == '\\' && at + 1 < pattern.length)
        length = 2;

    char wanted = pattern.bytes[at + length - 1];
    if (wanted == c || (letters == GLOB_ANY_CASE && slice_lower(wanted) == slice_lower(c)))
        return length;
    return 0;
}

/* How many characters the pattern from `at` on stands for; false when it has a '*'. */
static bool fixed_length(struct slice pattern, size_t at, size_t *ret_length)
{
    size_t length = 0;

    for (; at < pattern.length; at++, length++) {
        if (pattern.bytes[at] == '*')
            return false;
        if (pattern.bytes[at] == '\\' && at + 1 < pattern.length)
            at++;
    }
    *ret_length = length;
    return true;
}

bool glob_matches(struct slice pattern, struct slice text, enum glob_case letters)
{
    size_t in_pattern = 0, in_text = 0, length;
    /* Behind the last '*', and where the text goes on after what it stands for. An earlier '*' need never take more
     * than it has: the last one can take it as well. So there is one place to go back to, and no recursion. */
    size_t after_star = 0, after_run = 0;

    while (in_text < text.length) {
        if (in_pattern < pattern.length && pattern.bytes[in_pattern] == '*') {
            after_star = ++in_pattern;
            after_run = in_text;
            if (!fixed_length(pattern, in_pattern, &length))
                continue;
            if (length > text.length - in_text)
                return false;
            in_text = text.length - length; /* what is behind the very last '*' can stand in one place only */
            after_star = 0;
        } else if ((length = match_one(pattern, in_pattern, text.bytes[in_text], letters)) > 0) {
            in_pattern += length;
            in_text++;
        } else if (after_star > 0) {
            in_pattern = after_star;
            in_text = ++after_run;
        } else {
            return false;
        }
    }
    while (in_pattern < pattern.length && pattern.bytes[in_pattern] == '*')
        in_pattern++;
    return in_pattern == pattern.length;
}

/* Not inlined into callers that are called cold for want of rules: it is hot where there are some. */
__attribute__((noinline)) bool glob_list_matches(const struct glob_list *list, struct slice text,
                                                 enum glob_case letters)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (glob_matches(list->patterns[i], text, letters))
            return true;
    return false;
}

bool glob_list_read(const char *text, struct glob_list *ret_list)
{
    struct slice rest = {text, text ? strlen(text) : 0};
    struct slice pattern;

    ret_list->count = 0;
    while (slice_next(&rest, ',', &pattern)) {
        pattern = slice_trim(pattern);
        if (pattern.length == 0)
            continue;
        if (ret_list->count == GLOB_LIST_MAX)
            return false;
        ret_list->patterns[ret_list->count++] = pattern;
    }
    return true;
}
