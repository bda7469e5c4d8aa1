/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests are alive, and which of them go on where nobody sees it. */
#include "preload/request.h"

#include "preload/propagation.h"
#include "preload/ring.h"
#include "tests/support/shim_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct request_ref none;

static int setup(void **state)
{
    (void)state;
    return shim_core_ring(2, 256, 1024) ? 0 : -1;
}

/* It is adrift from its beginning; then held, left, awaited, given back; answered it concerns nobody any more. */
static void test_request_is_adrift_unless_it_is_placed(void **state)
{
    struct request_ref mine = shim_core_begin(0), other = shim_core_begin(0);

    (void)state;
    assert_false(request_others_are_placed(&mine));
    request_hold(&other);
    assert_true(request_others_are_placed(&mine));
    assert_true(request_leave(&other));
    assert_false(request_others_are_placed(&mine));
    request_wait(&other);
    assert_true(request_others_are_placed(&mine));
    request_hold(&other);
    request_go_on(&other);
    assert_true(request_others_are_placed(&mine));
    assert_true(request_leave(&other));
    assert_false(request_others_are_placed(&mine));
    request_note_answer(other.slot, 1);
    assert_true(request_others_are_placed(&mine));
    assert_false(request_others_are_placed(&other));
}

static void test_request_leaves_nothing_behind(void **state)
{
    struct request_ref mine = shim_core_begin(0), other = shim_core_begin(0), next;

    (void)state;
    shim_core_end(&other);
    assert_true(request_others_are_placed(&mine));
    request_hold(&other);
    next = shim_core_begin(0);
    assert_ptr_equal(next.slot, other.slot);
    assert_false(request_others_are_placed(&mine));
    request_hold(&other); /* who has the slot now is another one */
    assert_false(request_others_are_placed(&mine));
    assert_false(request_leave(&other));
    request_hold(&next);
    assert_true(request_others_are_placed(&mine));
}

/* Any of the slots, alone among others that are placed. */
static void test_request_is_found_in_every_slot(void **state)
{
    enum { COUNT = 200 };
    struct request_ref requests[COUNT];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        requests[i] = shim_core_begin(0);
        request_hold(&requests[i]);
    }
    assert_true(request_others_are_placed(&none));
    for (int i = 0; i < COUNT; i++) {
        assert_true(request_leave(&requests[i]));
        assert_false(request_others_are_placed(&requests[(i + 1) % COUNT]));
        assert_true(request_others_are_placed(&requests[i]));
        request_hold(&requests[i]);
        assert_true(request_others_are_placed(&none));
    }
}

static void test_request_is_alone_without_an_unanswered_one(void **state)
{
    struct request_ref mine = shim_core_begin(0), other = shim_core_begin(0);

    (void)state;
    request_hold(&other);
    assert_false(request_is_alone(&mine));
    request_note_answer(other.slot, 1);
    assert_true(request_is_alone(&mine));
    shim_core_end(&other);
    assert_true(request_is_alone(&mine));
}

static struct trace_context context_of(uint8_t header)
{
    struct trace_context context = {.valid = true};

    memset(context.trace_id, header, sizeof(context.trace_id));
    memset(context.span_id, header, sizeof(context.span_id));
    return context;
}

static bool finds(uint8_t header, const struct request_ref *preferred, const struct request_ref *expected)
{
    struct trace_context context = context_of(header);
    struct request_ref found = request_search(&context, preferred);

    return request_is_same(&found, expected);
}

static void test_request_tells_why_there_is_no_parent(void **state)
{
    struct request_ref one, two;

    (void)state;
    assert_int_equal(request_why_none(), WIRE_PARENT_NONE);
    one = shim_core_begin(0);
    assert_int_equal(request_why_none(), WIRE_PARENT_UNKNOWN);
    two = shim_core_begin(0);
    assert_int_equal(request_why_none(), WIRE_PARENT_AMBIGUOUS);
    shim_core_end(&one);
    shim_core_end(&two);
    assert_int_equal(request_why_none(), WIRE_PARENT_NONE);
}

/* The one that came with this header; of two alike the one that is asked for first. */
static void test_request_is_found_by_what_came_with_it(void **state)
{
    struct request_ref one = shim_core_begin(1), two = shim_core_begin(2), again;

    (void)state;
    assert_true(finds(1, &none, &one));
    assert_true(finds(2, &none, &two));
    assert_true(finds(3, &none, &none));
    again = shim_core_begin(2);
    assert_true(finds(2, &none, &none));
    assert_true(finds(2, &again, &again));
    shim_core_end(&two);
    assert_true(finds(2, &none, &again));
    shim_core_end(&again);
    assert_true(finds(2, &none, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_request_is_adrift_unless_it_is_placed, setup),
        cmocka_unit_test_setup(test_request_leaves_nothing_behind, setup),
        cmocka_unit_test_setup(test_request_is_found_in_every_slot, setup),
        cmocka_unit_test_setup(test_request_is_alone_without_an_unanswered_one, setup),
        cmocka_unit_test_setup(test_request_tells_why_there_is_no_parent, setup),
        cmocka_unit_test_setup(test_request_is_found_by_what_came_with_it, setup),
    };

    return shim_core_init((char *[]){NULL}) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
