/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BAD "\xef\xbf\xbd"

/* Unicode's own examples of how many U+FFFD an ill-formed sequence becomes (chapter 3, table 3-8 and after). */
static const struct {
    const char *bytes;
    size_t length;
    const char *repaired;
} cases[] = {
    {"", 0, ""},
    {"plain text, longer than a word", 30, "plain text, longer than a word"},
    {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"a\0b", 3, "a" BAD "b"},
    {"\x80", 1, BAD},
    {"\xc0\xaf", 2, BAD BAD},
    {"\xe0\x80\xaf", 3, BAD BAD BAD},
    {"\xed\xa0\x80", 3, BAD BAD BAD},
    {"\xf4\x90\x80\x80", 4, BAD BAD BAD BAD},
    {"\xf5", 1, BAD},
    {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, BAD BAD BAD BAD "A"},
    {"\xe2\x82", 2, BAD},
    {"12345678\xff"
     "12345678",
     17, "12345678" BAD "12345678"},
    {"1234567\0"
     "12345678",
     16, "1234567" BAD "12345678"},
};

static void test_utf8_repairs_what_is_not_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *in = malloc(cases[i].length + 1); /* exactly as long: a sanitizer sees what reads beyond */
        char *out = malloc(cases[i].length * UTF8_REPAIRED_MAX + 1);

        memcpy(in, cases[i].bytes, cases[i].length);
        in = realloc(in, cases[i].length > 0 ? cases[i].length : 1);
        size_t length = utf8_repair(in, cases[i].length, UINT32_MAX, out);
        assert_string_equal(out, cases[i].repaired);
        assert_int_equal(length, strlen(cases[i].repaired));
        free(in);
        free(out);
    }
}

static void test_utf8_counts_characters_not_bytes(void **state)
{
    char out[64];

    (void)state;
    assert_int_equal(utf8_repair("\xc3\xa4\xc3\xb6\xff"
                                 "b",
                                 6, 3, out),
                     7);
    assert_string_equal(out, "\xc3\xa4\xc3\xb6" BAD);
    assert_int_equal(utf8_repair("1234567890", 10, 9, out), 9);
    assert_int_equal(utf8_repair("1234567890", 10, 0, out), 0);
}

static void test_utf8_copies_what_fits(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *copied;
    } copies[] = {
        {"plain", 6, "plain"},
        {"plain", 5, "plai"},
        {"plain", 1, ""},
        {"a\xc3\xa4\xe2\x82\xac", 7, "a\xc3\xa4\xe2\x82\xac"},
        {"a\xc3\xa4\xe2\x82\xac", 6, "a\xc3\xa4"},
        {"a\xc3\xa4", 3, "a"},
        {"a\xff\xc3", 8, "a" BAD BAD},
        {"a\xff\xc3", 7, "a" BAD},
        {"\x80", 4, BAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
        char *out = malloc(copies[i].size); /* of this size, for sanitizers */

        assert_non_null(out);
        utf8_copy(copies[i].text, out, copies[i].size);
        assert_string_equal(out, copies[i].copied);
        free(out);
    }
}

static void test_utf8_decodes_characters(void **state)
{
    uint32_t character = 0;

    (void)state;
    assert_int_equal(utf8_decode("\xf0\x9f\x98\x80", 4, &character), 4);
    assert_int_equal(character, 0x1f600);
    assert_int_equal(utf8_decode("\xc2\x85", 2, &character), 2);
    assert_int_equal(character, 0x85);
    assert_int_equal(utf8_decode("\xc2", 1, &character), 0);
    assert_int_equal(utf8_decode("\xbf", 1, &character), 0);
    assert_int_equal(utf8_decode("", 0, &character), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_repairs_what_is_not_utf8),
        cmocka_unit_test(test_utf8_counts_characters_not_bytes),
        cmocka_unit_test(test_utf8_copies_what_fits),
        cmocka_unit_test(test_utf8_decodes_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
