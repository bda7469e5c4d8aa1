/* SPDX-License-Identifier: Apache-2.0 */
/* What a request brings along: blocks that grow, that belong to a slot, and that are few. */
#include "preload/carried.h"

#include "preload/ring.h"
#include "tests/support/shim_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { LARGE_MAX = 256 }; /* as carried.c has it */

static struct wire_ring *ring;

static int setup(void **state)
{
    (void)state;
    ring = shim_core_ring(2, 64, 64);
    return ring ? 0 : -1;
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static void test_carried_grows_with_what_it_holds(void **state)
{
    static char filling[CARRIED_BAGGAGE_MAX];
    struct carried *carried = NULL, *small;

    (void)state;
    assert_true(carried_reserve(&carried, 7));
    small = carried;
    carried_add_baggage(carried, slice_of("a=1"));
    carried_add_baggage(carried, slice_of("b=2"));
    carried_add_xray(carried, slice_of("Lineage=1"));
    carried_add_xray(carried, slice_of("Other=2"));
    carried->b3_debug = true;
    memset(filling, 'f', sizeof(filling));
    assert_true(carried_reserve(&carried, CARRIED_BAGGAGE_MAX));
    assert_ptr_not_equal(carried, small);
    carried_add_baggage(carried, (struct slice){filling, CARRIED_BAGGAGE_MAX - 8});
    assert_int_equal(carried->baggage_length, CARRIED_BAGGAGE_MAX);
    assert_int_equal(carried->baggage_members, 3);
    assert_memory_equal(carried->baggage, "a=1,b=2,fff", 11);
    assert_int_equal(carried->xray_length, 17);
    assert_memory_equal(carried->xray, "Lineage=1;Other=2", 17);
    assert_true(carried->b3_debug && !carried->xray_asked);
    carried_free(carried);
    carried_free(NULL);
}

/* A piece that has no room is left out as a whole. */
static void test_carried_bounds_what_x_ray_brings(void **state)
{
    static char filling[CARRIED_XRAY_SIZE];
    struct carried *carried = NULL;

    (void)state;
    memset(filling, 'x', sizeof(filling));
    assert_true(carried_reserve(&carried, 0));
    carried_add_xray(carried, (struct slice){filling, 250});
    carried_add_xray(carried, slice_of("123456"));
    assert_int_equal(carried->xray_length, 250);
    carried_add_xray(carried, slice_of("12345"));
    assert_int_equal(carried->xray_length, CARRIED_XRAY_SIZE);
    carried_free(carried);
}

static struct carried *attached(struct wire_slot *slot, uint64_t start_ns)
{
    struct carried *carried = NULL;

    assert_true(carried_reserve(&carried, 3));
    carried_attach(slot, start_ns, carried);
    return carried;
}

static void test_carried_belongs_to_a_request(void **state)
{
    struct wire_slot *slot = shim_core_slot(ring, 0, 5), *kin = shim_core_slot(ring, 1, 5);
    const struct request_ref request = {slot, 10}, later = {slot, 11}, of_kin = {kin, 10}, none = {0};
    struct carried *carried = attached(slot, 10);

    (void)state;
    assert_ptr_equal(carried_of(&request), carried);
    assert_true(carried_is_attached(carried, &request));
    assert_null(carried_of(&later));
    assert_null(carried_of(&of_kin)); /* of the same number in another lane */
    assert_null(carried_of(&none));
    carried_end(kin); /* not its own */
    assert_ptr_equal(carried_of(&request), carried);
    carried_end(slot);
    assert_null(carried_of(&request));
    assert_false(carried_is_attached(carried, &request));
    carried_end(slot);
    assert_ptr_equal(attached(kin, 10), carried); /* it was given back */
    assert_ptr_equal(carried_of(&of_kin), carried);
    (void)attached(slot, 11); /* the later one takes the place */
    assert_null(carried_of(&of_kin));
    assert_non_null(carried_of(&later));
    carried_end(slot);
}

static void test_carried_has_few_large_blocks(void **state)
{
    struct carried *blocks[LARGE_MAX] = {0}, *more = NULL;

    (void)state;
    for (int i = 0; i < LARGE_MAX; i++)
        assert_true(carried_reserve(&blocks[i], CARRIED_BAGGAGE_MAX));
    assert_false(carried_reserve(&more, CARRIED_BAGGAGE_MAX));
    assert_true(carried_reserve(&more, 10));
    carried_add_baggage(more, slice_of("a=1"));
    assert_false(carried_reserve(&more, CARRIED_BAGGAGE_MAX));
    assert_int_equal(more->baggage_length, 3); /* as it was */
    carried_free(blocks[0]);
    assert_true(carried_reserve(&more, CARRIED_BAGGAGE_MAX));
    carried_free(more);
    for (int i = 1; i < LARGE_MAX; i++)
        carried_free(blocks[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_carried_grows_with_what_it_holds, setup),
        cmocka_unit_test_setup(test_carried_bounds_what_x_ray_brings, setup),
        cmocka_unit_test_setup(test_carried_belongs_to_a_request, setup),
        cmocka_unit_test_setup(test_carried_has_few_large_blocks, setup),
    };

    return shim_core_init((char *[]){NULL}) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
