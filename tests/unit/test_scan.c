/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/scan.h"

#include "preload/slice.h"
#include "tests/support/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

enum { LENGTH_MAX = 70 };

static const char *scan_line_at(const char *from, const char *end)
{
    return scan_line(from, from, end);
}

static const char *scan_target_at(const char *from, const char *end)
{
    return scan_target(from, from, end);
}

static const struct scanner {
    const char *(*scan)(const char *from, const char *end);
    bool (*stops)(char c);
} scanners[] = {
    {scan_line_at, scan_ends_line}, {scan_name, scan_ends_name},           {scan_target_at, scan_ends_target},
    {scan_path, scan_ends_path},    {scan_authority, scan_ends_authority}, {scan_key, scan_marks_key},
};

/* The end of a page, behind which nothing may be read. */
static char *page_end(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return guarded_new(page) + page;
}

static void test_scan_stops_at_each_byte_of_its_set_and_no_other(void **state)
{
    char *end = page_end();

    (void)state;
    for (size_t i = 0; i < sizeof(scanners) / sizeof(scanners[0]); i++)
        for (int c = 0; c < 256; c++)
            for (size_t length = 1; length <= LENGTH_MAX; length++)
                for (size_t at = 0; at<length; at += length> 20 ? 7 : 1) {
                    char *from = end - length;

                    memset(from, 'x', length);
                    from[at] = (char)c;
                    assert_ptr_equal(scanners[i].scan(from, end), scanners[i].stops((char)c) ? from + at : end);
                }
}

/* The last bytes are looked at together with some before them, which must not count. */
static void test_scan_ignores_what_stands_before(void **state)
{
    char *end = page_end();

    (void)state;
    for (size_t before = 0; before <= 40; before++)
        for (size_t length = 0; length <= 40; length++) {
            char *from = end - length;

            memset(from - before, '\n', before);
            memset(from, 'x', length);
            assert_ptr_equal(scan_line(from - before, from, end), end);
        }
}

static void test_slice_is_tells_each_byte_from_every_other(void **state)
{
    static const char *const words[] = {"a", "for", "host", "close", "x-id_9", "tracestate", "transfer-encoding"};
    char text[32];

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t length = strlen(words[i]);

        for (size_t at = 0; at < length; at++)
            for (int c = 0; c < 256; c++) {
                memcpy(text, words[i], length);
                text[at] = (char)c;
                assert_int_equal(slice_is((struct slice){text, length}, words[i]),
                                 slice_lower((char)c) == words[i][at]);
            }
        assert_false(slice_is((struct slice){words[i], length - 1}, words[i]));
    }
}

static void test_slice_copies_so_many_bytes_and_no_more(void **state)
{
    char from[LENGTH_MAX], to[LENGTH_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (char)(i + 1);
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        memset(to, 0, sizeof(to));
        slice_copy(to, from, length);
        assert_memory_equal(to, from, length);
        assert_int_equal(to[length], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_stops_at_each_byte_of_its_set_and_no_other),
        cmocka_unit_test(test_scan_ignores_what_stands_before),
        cmocka_unit_test(test_slice_is_tells_each_byte_from_every_other),
        cmocka_unit_test(test_slice_copies_so_many_bytes_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
