/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/complaints.h"

#include "exporters/agent/nearest.h"
#include "tests/support/read_settings.h"

#include <cmocka.h>

static unsigned offer_count;

/* In nearest.c's place, which takes most of the time of a hand-over where it is used. */
void nearest_offer(struct nearest *nearest, const char *name)
{
    (void)nearest;
    (void)name;
    offer_count++;
}

static void test_complaints_looks_for_what_was_meant_only_where_it_must(void **state)
{
    (void)state;
    assert_complaint(ENTRIES("SPANSHIM_QUERY=drop", "SPANSHIM_RUNTIME_DIR=/run/x", "SPANSHIM_LOGS=stdout"), NULL);
    assert_int_equal(0, offer_count);
    assert_complaint(ENTRIES("SPANSHIM_QEURY=drop"), "SPANSHIM_QEURY is no setting and ignored");
    assert_true(offer_count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complaints_looks_for_what_was_meant_only_where_it_must),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
