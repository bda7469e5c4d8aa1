/* SPDX-License-Identifier: Apache-2.0 */
/* What users write as patterns against what peers send: globs and routes. Input: lines; the first one is a list of
 * patterns, every other one a path. Globs are compared with a matcher that is plainly right, and slow. */
#include "exporters/agent/routes.h"
#include "preload/glob.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { LENGTH_MAX = 256 };

/* One step of the pattern at `at`: which character it stands for, and where it goes on. */
static bool stands_for(struct slice pattern, size_t at, char c, size_t *ret_next)
{
    bool is_escaped = pattern.bytes[at] == '\\' && at + 1 < pattern.length;

    at += is_escaped;
    *ret_next = at + 1;
    return pattern.bytes[at] == c || (!is_escaped && pattern.bytes[at] == '?');
}

/* By a table: fits[p] says whether the pattern from p on fits the text from where we are, going backwards. */
static bool fits_slowly(struct slice pattern, struct slice text)
{
    bool fits[LENGTH_MAX + 1] = {false}, after[LENGTH_MAX + 1] = {false};

    for (size_t left = 0; left <= text.length; left++) {
        memcpy(after, fits, sizeof(after));
        fits[pattern.length] = left == 0;
        for (size_t p = pattern.length; p-- > 0;) {
            size_t next;
            bool is_one = left > 0 && stands_for(pattern, p, text.bytes[text.length - left], &next);

            if (pattern.bytes[p] == '*')
                fits[p] = fits[p + 1] || (left > 0 && after[p]);
            else
                fits[p] = is_one && after[next];
        }
    }
    return fits[0];
}

static void check_globs(const char *list, struct slice text)
{
    struct glob_list globs;

    (void)glob_list_read(list, &globs);
    FUZZ_CHECK(globs.count <= GLOB_LIST_MAX);
    (void)glob_list_matches(&globs, text, GLOB_ANY_CASE);
    for (uint32_t i = 0; i < globs.count; i++) {
        struct slice pattern = globs.patterns[i];
        bool is_fit = glob_matches(pattern, text, GLOB_SAME_CASE);

        FUZZ_CHECK(pattern.length > 0);
        FUZZ_CHECK(!is_fit || glob_matches(pattern, text, GLOB_ANY_CASE));
        if (pattern.length <= LENGTH_MAX && text.length <= LENGTH_MAX)
            FUZZ_CHECK(is_fit == fits_slowly(pattern, text));
    }
}

/* What is found is one of the patterns; and a path that is one, without anything special in it, finds one. */
static void check_routes(const char *list, struct slice path)
{
    struct routes *routes = routes_new();
    struct slice rest = {list, strlen(list)}, piece;
    bool is_plain = false;

    FUZZ_CHECK(routes);
    while (slice_next(&rest, ',', &piece)) {
        char *pattern = strndup(piece.bytes, piece.length);

        FUZZ_CHECK(pattern);
        if (routes_add(routes, pattern) == 0)
            is_plain |= strcspn(pattern, "{*") == piece.length && slice_equals(path, pattern, piece.length);
        free(pattern);
    }
    const char *route = routes_find(routes, path.bytes, path.length);
    FUZZ_CHECK(!route || strstr(list, route));
    FUZZ_CHECK(route || !is_plain);
    routes_free(routes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size}, line;
    char *list;

    if (!slice_next(&rest, '\n', &line))
        return 0;
    list = strndup(line.bytes, line.length);
    FUZZ_CHECK(list);
    while (slice_next(&rest, '\n', &line)) {
        char *text = malloc(line.length ? line.length : 1); /* a block of just its size */

        FUZZ_CHECK(text);
        memcpy(text, line.bytes, line.length);
        check_globs(list, (struct slice){text, line.length});
        check_routes(list, (struct slice){text, line.length});
        free(text);
    }
    free(list);
    return 0;
}
