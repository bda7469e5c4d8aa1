/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/glob.h"

#include "preload/glob_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static bool fits(const char *pattern, const char *text)
{
    return glob_matches(slice_of(pattern), slice_of(text), GLOB_SAME_CASE);
}

static void test_glob_fits_the_whole_text(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"/healthz", "/healthz", true},
        {"/healthz", "/healthz/", false},
        {"/healthz", "/health", false},
        {"/healthz", "/Healthz", false},
        {"/health*", "/healthz", true},
        {"/health*", "/health", true},
        {"/static/*", "/static/a/b.css", true},
        {"/static/*", "/static/", true},
        {"/static/*", "/static", false},
        {"*.css", "/a/b.css", true},
        {"*.css", "/a/b.css/", false},
        {"*.css", "/a.css.css", true},
        {"/?", "/a", true},
        {"/?", "/", false},
        {"/?", "/ab", false},
        {"/*/b/*/d", "/a/b/c/d", true},
        {"/*/b/*/d", "/a/b/b/c/d", true},
        {"/*/b/*/d", "/a/c/d", false},
        {"*a*b", "aab", true},
        {"*a*b", "aba", false},
        {"a?*c", "abc", true},
        {"a?*c", "ac", false},
        {"a*?c", "abbc", true},
        {"*", "", true},
        {"**", "", true},
        {"**", "any", true},
        {"?", "", false},
        {"", "", true},
        {"", "a", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\?a", "?a", true},
        {"\\?a", "ba", false},
        {"\\\\", "\\", true},
        {"*\\*", "a*", true},
        {"*\\*", "ab", false},
        {"a\\", "a\\", true},
        {"/a%20b", "/a%20b", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (fits(rows[i].pattern, rows[i].text) != rows[i].fits)
            fail_msg("%s %s", rows[i].pattern, rows[i].text);
}

static void test_glob_passes_over_case_when_asked(void **state)
{
    (void)state;
    assert_true(glob_matches(slice_of("kube-Probe/*"), slice_of("Kube-probe/1.29"), GLOB_ANY_CASE));
    assert_true(glob_matches(slice_of("\\KUBE*"), slice_of("kube"), GLOB_ANY_CASE));
    assert_false(glob_matches(slice_of("kube-probe/*"), slice_of("Kube-Probe/1.29"), GLOB_SAME_CASE));
    assert_false(glob_matches(slice_of("a@"), slice_of("a`"), GLOB_ANY_CASE)); /* letters only */
}

/* What would take an exponential time if every '*' were tried again. */
static void test_glob_does_not_blow_up(void **state)
{
    char pattern[129], text[8193];

    (void)state;
    for (size_t i = 0; i < 128; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[127] = 'b';
    pattern[128] = '\0';
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(fits(pattern, text));
    text[sizeof(text) - 2] = 'b';
    assert_true(fits(pattern, text));
}

/* Characters of this alphabet by chance; what is behind them is none of the text's. */
static struct slice by_chance(uint64_t *random, const char *alphabet, char bytes[64])
{
    size_t length;

    for (size_t i = 0; i < 64; i++) {
        *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        bytes[i] = alphabet[(*random >> 33) % strlen(alphabet)];
    }
    length = (*random >> 40) % 24;
    return (struct slice){bytes, length};
}

/* The look at the beginning never excludes what fits, and it does exclude what differs there. */
static void test_glob_head_excludes_nothing_that_fits(void **state)
{
    char pattern_bytes[64], text_bytes[64];
    unsigned excluded = 0, fitting = 0;
    uint64_t random = 1;
    struct glob_head head;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        struct slice pattern = by_chance(&random, i & 1 ? "aAaa*" : "aA*?\\b", pattern_bytes);
        struct slice text = by_chance(&random, i & 1 ? "aA" : "aA*\\b", text_bytes);
        bool is_fitting = glob_matches(pattern, text, GLOB_ANY_CASE);

        head = glob_head_of(text);
        assert_false(is_fitting && glob_head_excludes(&head, pattern));
        excluded += glob_head_excludes(&head, pattern);
        fitting += is_fitting;
    }
    assert_true(excluded > 1000 && fitting > 1000);
    head = glob_head_of(slice_of("/api/v1/orders"));
    assert_true(glob_head_excludes(&head, (struct slice){"/api/v1/users/*________", 15}));
    assert_true(glob_head_excludes(&head, (struct slice){"/api/v1/orders/________", 15}));
    assert_false(glob_head_excludes(&head, (struct slice){"/API/v1/*______________", 9}));
    assert_false(glob_head_excludes(&head, (struct slice){"/api/v1xxxxxxxxxxxxxxxx", 7}));
}

static void test_glob_list_is_cut_at_commas(void **state)
{
    struct glob_list list;

    (void)state;
    assert_true(glob_list_read(NULL, &list));
    assert_int_equal(list.count, 0);
    assert_false(glob_list_matches(&list, slice_of(""), GLOB_SAME_CASE));
    assert_true(glob_list_read(" ,, /a ,\t/b/*,", &list));
    assert_int_equal(list.count, 2);
    assert_true(glob_list_matches(&list, slice_of("/a"), GLOB_SAME_CASE));
    assert_true(glob_list_matches(&list, slice_of("/b/c"), GLOB_SAME_CASE));
    assert_false(glob_list_matches(&list, slice_of("/c"), GLOB_SAME_CASE));
    assert_false(glob_list_matches(&list, slice_of(""), GLOB_SAME_CASE));
}

static void test_glob_list_has_an_end(void **state)
{
    struct glob_list list;
    char text[GLOB_LIST_MAX * 5 + 8] = "";

    (void)state;
    for (int i = 0; i < GLOB_LIST_MAX; i++)
        snprintf(text + strlen(text), 8, "/%02d,", i);
    assert_true(glob_list_read(text, &list));
    strcat(text, "/x");
    assert_false(glob_list_read(text, &list));
    assert_int_equal(list.count, GLOB_LIST_MAX);
    assert_true(glob_list_matches(&list, slice_of("/63"), GLOB_SAME_CASE));
    assert_false(glob_list_matches(&list, slice_of("/x"), GLOB_SAME_CASE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob_fits_the_whole_text),   cmocka_unit_test(test_glob_passes_over_case_when_asked),
        cmocka_unit_test(test_glob_does_not_blow_up),      cmocka_unit_test(test_glob_head_excludes_nothing_that_fits),
        cmocka_unit_test(test_glob_list_is_cut_at_commas), cmocka_unit_test(test_glob_list_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
