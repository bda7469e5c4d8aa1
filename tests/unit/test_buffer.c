/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/buffer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_buffer_keeps_what_is_appended(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buffer_append(&buffer, "abc", 3), 0);
    assert_int_equal(buffer.length, 300000);
    assert_memory_equal(buffer.bytes + buffer.length - 4, "cabc", 4);
    buffer_deinit(&buffer);
    assert_null(buffer.bytes);
    assert_int_equal(buffer.capacity, 0);
}

static void test_buffer_ends_at_its_limit(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    assert_int_equal(buffer_append(&buffer, "a", 1), 0);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), -EFBIG);
    assert_int_equal(buffer_reserve(&buffer, BUFFER_MAX), -EFBIG);
    assert_int_equal(buffer_reserve(&buffer, BUFFER_MAX - 1), 0);
    assert_int_equal(buffer.capacity, BUFFER_MAX);
    assert_int_equal(buffer.bytes[0], 'a');
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_keeps_what_is_appended),
        cmocka_unit_test(test_buffer_ends_at_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
