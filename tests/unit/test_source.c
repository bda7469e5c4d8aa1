/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/source.h"

#include "tests/support/wire_writer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { LANES = 1, SLOTS = 64, CELLS = 64 };

static bool is_mapped(void *page)
{
    return msync(page, WIRE_PAGE, MS_ASYNC) == 0 || errno != ENOMEM;
}

static void test_source_gives_all_mappings_back(void **state)
{
    struct wire_writer writer;
    struct source source = {0};

    (void)state;
    assert_int_equal(wire_writer_open(&writer, LANES, SLOTS, CELLS), 0);
    assert_int_equal(source_map(&source, writer.ring_memfd, writer.control_memfd), 0);

    void *ring = source.map, *control = source.control;
    assert_true(is_mapped(ring) && is_mapped(control));
    source_unmap(&source);
    assert_false(is_mapped(ring) || is_mapped(control));
    wire_writer_close(&writer);
}

/* As for a shim of a version that the agent can't read: it is only told to stop. */
static void test_source_gives_a_control_page_alone_back(void **state)
{
    struct wire_writer writer;
    struct source source = {0};

    (void)state;
    assert_int_equal(wire_writer_open(&writer, LANES, SLOTS, CELLS), 0);
    assert_int_equal(source_map_control(&source, writer.control_memfd), 0);

    void *control = source.control;
    assert_true(is_mapped(control));
    source_unmap(&source);
    assert_false(is_mapped(control));
    wire_writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_gives_all_mappings_back),
        cmocka_unit_test(test_source_gives_a_control_page_alone_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
