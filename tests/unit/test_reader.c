/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that crash in all ways, read from outside while they wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exporters/crash/reader.h"
#include "tests/support/dying.h"

#define NOINLINE __attribute__((noinline, noclone))

static json_t *report_of(struct dying *dying, bool from_copy)
{
    struct capture *capture = NULL;
    struct wire_crash crash = dying->area->crash;
    struct reader_options options = {.pid = dying->pid, .pidfd = dying->pidfd, .crash = &crash};
    json_t *report;

    (void)from_copy;
    assert_int_equal(reader_capture(&options, &capture), 0);
    (void)dying_end(dying);
    report = reader_report(capture);
    reader_free(capture);
    return report;
}

static NOINLINE void write_null(void)
{
    *(volatile int *)NULL = 1;
}

static NOINLINE void outer(void)
{
    write_null();
    __asm__ volatile("");
}

static void test_reader_null_write(void **state)
{
    struct dying dying = dying_function(outer);
    json_t *report = report_of(&dying, false);

    (void)state;
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_null_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
