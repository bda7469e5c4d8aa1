/* SPDX-License-Identifier: Apache-2.0 */
/* Whose work a thread does. A thread of its own is what a test begins with: what a thread has done stays with it. */
#include "preload/current.h"

#include "preload/propagation.h"
#include "preload/ring.h"
#include "tests/support/shim_core.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct wire_ring *ring;

static struct trace_context context_of(uint8_t header)
{
    struct trace_context context = {.valid = true};

    memset(context.trace_id, header, sizeof(context.trace_id));
    memset(context.span_id, header, sizeof(context.span_id));
    return context;
}

static bool is(struct request_ref got, const struct request_ref *expected)
{
    return request_is_same(&got, expected);
}

static const struct request_ref none;

static int setup(void **state)
{
    (void)state;
    ring = shim_core_ring(2, 256, 1024);
    return ring ? 0 : -1;
}

/* Run the test in a thread of its own: cmocka's assertions jump, so what it found is told by a flag. */
static bool passed;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                \
            return NULL;                                                                                               \
        }                                                                                                              \
    } while (0)

static void run(void *(*body)(void *argument))
{
    pthread_t thread;

    passed = false;
    assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(passed);
}

#define TEST(name)                                                                                                     \
    static void *name##_body(void *argument);                                                                          \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        run(name##_body);                                                                                              \
    }                                                                                                                  \
    static void *name##_body(void *argument)

TEST(test_current_ends_with_the_request_and_with_the_turn)
{
    struct request_ref a = shim_core_begin(0);

    current_set(&a);
    CHECK(is(current_get(), &a));
    shim_core_end(&a);
    CHECK(is(current_get(), &none));
    struct request_ref b = shim_core_begin(0); /* in the same slot */
    CHECK(b.slot == a.slot && is(current_get(), &none));
    current_set(&b);
    current_clear();
    CHECK(is(current_get(), &none));
    current_set(&b);
    current_turn();
    CHECK(is(current_get(), &none));
    passed = true;
    return argument;
}

TEST(test_current_follows_the_answer)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET};

    current_turn();
    current_set(&a);
    tie_write(&tie); /* b is adrift: it may be meant */
    CHECK(is((struct request_ref){tie.owner.slot, tie.owner.start_ns}, &none));
    tie_end(&tie);
    request_hold(&b);
    tie_write(&tie);
    current_set(&b);
    tie_read(&tie, TIE_OTHER);
    CHECK(is(current_get(), &a));
    passed = true;
    return argument;
}

TEST(test_current_is_none_after_mixed_answers)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET};

    current_set(&a);
    tie_write(&tie);
    request_hold(&b);
    current_set(&b);
    tie_write(&tie);
    tie_read(&tie, TIE_OTHER);
    CHECK(is(current_get(), &none));
    current_set(&b);
    tie_write(&tie); /* an answer may still be a's */
    tie_read(&tie, TIE_OTHER);
    CHECK(is(current_get(), &none));
    passed = true;
    return argument;
}

TEST(test_current_is_none_after_a_wakeup_of_nobodys)
{
    struct request_ref a = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET}, other = {.state = TIE_QUIET};

    current_set(&a);
    tie_read(&other, TIE_OTHER); /* who takes no turns goes on with its own */
    CHECK(is(current_get(), &a));
    tie_write(&tie);
    tie_read(&tie, TIE_WAKEUP);
    CHECK(is(current_certain(), &a));
    tie_read(&other, TIE_WAKEUP);
    CHECK(is(current_get(), &none));
    tie_write(&tie);
    tie_read(&tie, TIE_WAKEUP);
    CHECK(is(current_get(), &none));
    passed = true;
    return argument;
}

TEST(test_current_of_a_wakeup_is_certain_while_alone)
{
    struct request_ref a = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET};

    current_set(&a);
    tie_write(&tie);
    current_clear();
    tie_read(&tie, TIE_WAKEUP);
    CHECK(is(current_certain(), &a));
    struct request_ref b = shim_core_begin(0);
    request_hold(&b); /* though it is placed: one wakeup may stand for both */
    CHECK(is(current_certain(), &none) && is(current_get(), &a));
    wire_slot_request(b.slot)->first_byte_ns = 1; /* it is being answered */
    CHECK(is(current_certain(), &a));
    passed = true;
    return argument;
}

/* A thread of a pool: what it has left elsewhere before doesn't matter, it says itself which one it begins with. */
/* A loop that was told of a connection goes on with whom it was made for: it writes its greeting. */
TEST(test_current_follows_the_end_of_an_attempt_to_connect)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET}, nobodys = {.state = TIE_QUIET};

    request_hold(&b);
    current_turn();
    tie_make(&nobodys);
    current_set(&a);
    tie_make(&tie);
    current_turn();
    current_set(&b);
    tie_told(&tie);
    CHECK(is(current_certain(), &a));
    tie_write(&tie);
    tie_read(&tie, TIE_OTHER);
    CHECK(is(current_certain(), &a));
    tie_told(&nobodys);
    CHECK(is(current_get(), &none));
    passed = true;
    return argument;
}

/* A thread of a pool that has not read the request: with the answer in hand its job may be over, and the next begun. */
TEST(test_current_of_an_answer_to_a_pool_is_certain_while_alone)
{
    struct request_ref a = shim_core_begin(0), b;
    struct tie tie = {.state = TIE_QUIET};

    tie_ask(&tie, &a, false);
    tie_read(&tie, TIE_HTTP);
    CHECK(is(current_certain(), &a));
    b = shim_core_begin(0);
    request_hold(&b);
    CHECK(is(current_certain(), &none));
    current_set(&a); /* it reads more of its body */
    CHECK(is(current_certain(), &a));
    tie_ask(&tie, &a, false);
    tie_read(&tie, TIE_HTTP);
    CHECK(is(current_certain(), &a));
    passed = true;
    return argument;
}

TEST(test_current_is_certain_of_what_was_touched)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0), c = shim_core_begin(0);

    current_set(&a);
    current_answer(a.slot); /* no watcher does */
    current_touch(&b);      /* a is adrift, and so is c */
    CHECK(is(current_certain(), &b));
    current_set(&c); /* has it left this one too? */
    CHECK(is(current_certain(), &none));
    current_touch(&c);
    CHECK(is(current_certain(), &c));
    shim_core_end(&c);
    CHECK(is(current_get(), &none));
    passed = true;
    return argument;
}

/* Who asks about one after the other works on none. */
TEST(test_current_of_a_watcher_is_nobody)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);

    current_touch(&a);
    CHECK(is(current_certain(), &a));
    current_touch(&b);
    CHECK(is(current_certain(), &none));
    current_touch(&a);
    CHECK(is(current_certain(), &none));
    passed = true;
    return argument;
}

TEST(test_current_of_who_watches_one_connection_is_nobody)
{
    struct request_ref a = shim_core_begin(0), b;

    current_touch(&a);
    CHECK(is(current_certain(), &a));
    shim_core_end(&a); /* another thread has answered it */
    b = shim_core_begin(0);
    current_touch(&b);
    CHECK(is(current_certain(), &none));
    current_answer(b.slot);
    CHECK(is(current_certain(), &b));
    passed = true;
    return argument;
}

TEST(test_current_of_a_loop_is_what_it_has_read)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);

    request_hold(&b);
    current_turn();
    current_set(&a);
    current_touch(&b);
    CHECK(is(current_certain(), &a));
    passed = true;
    return argument;
}

TEST(test_current_parent_of_the_first_is_the_maker)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET}, early = {.state = TIE_QUIET};

    tie_make(&early);
    current_set(&a);
    tie_make(&tie);
    request_hold(&b);
    current_set(&b);
    CHECK(is(current_parent_for(&tie, true), &a));
    CHECK(is(current_parent_for(&tie, false), &b));
    CHECK(is(current_parent_for(&early, true), &none));
    shim_core_end(&a);
    CHECK(is(current_parent_for(&tie, true), &none));
    passed = true;
    return argument;
}

TEST(test_current_parent_is_not_who_left_the_connection)
{
    struct request_ref a = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET}, other = {.state = TIE_QUIET};

    current_set(&a);
    tie_make(&tie);
    tie_ask(&tie, &a, false);
    tie_read(&tie, TIE_HTTP);
    tie_answered(&tie);
    CHECK(is(current_parent_for(&tie, false), &a)); /* one thing after another */
    current_turn();
    current_set(&a);
    tie_ask(&tie, &a, false);
    current_turn();
    tie_read(&tie, TIE_HTTP);
    tie_answered(&tie);
    CHECK(is(current_parent_for(&other, false), &a));
    CHECK(is(current_parent_for(&tie, false), &none)); /* the queue's next */
    passed = true;
    return argument;
}

TEST(test_current_of_who_takes_turns_gives_way_to_who_is_adrift)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET};

    current_set(&b);
    CHECK(is(current_certain(), &b)); /* a is adrift: it is another thread's */
    current_set(&a);                  /* leaves b adrift */
    CHECK(is(current_certain(), &none));
    tie_ask(&tie, &b, false); /* b waits */
    CHECK(is(current_certain(), &a));
    tie_answered(&tie);
    CHECK(is(current_certain(), &none));
    wire_slot_request(b.slot)->first_byte_ns = 1;
    CHECK(is(current_certain(), &a));
    passed = true;
    return argument;
}

TEST(test_current_inherited_is_for_one_request)
{
    struct request_ref a = shim_core_begin(0);
    struct tie tie = {.state = TIE_QUIET}, next = {.state = TIE_QUIET};

    current_inherit(&a);
    tie_make(&tie);
    CHECK(is(current_parent_for(&tie, true), &a));
    tie_make(&next);
    CHECK(is(current_parent_for(&next, true), &none));
    passed = true;
    return argument;
}

TEST(test_current_inherited_is_certain_until_another_begins)
{
    struct request_ref b = shim_core_begin(0), a = shim_core_begin(0), c;

    request_hold(&b);
    current_inherit(&a);
    CHECK(is(current_certain(), &none));
    shim_core_end(&b);
    CHECK(is(current_certain(), &a));
    c = shim_core_begin(0);
    request_hold(&c);
    shim_core_end(&c);
    CHECK(is(current_certain(), &none));
    passed = true;
    return argument;
}

TEST(test_request_is_found_by_the_header_it_came_with)
{
    struct trace_context one = context_of(1), two = context_of(2);
    struct request_ref a = shim_core_begin(1), b = shim_core_begin(2), c;

    (void)shim_core_begin(0);
    CHECK(is(current_find_passed_on(&one), &a));
    CHECK(is(current_find_passed_on(&two), &b));
    c = shim_core_begin(1);
    CHECK(is(current_find_passed_on(&one), &none)); /* which of the two? */
    current_set(&c);
    CHECK(is(current_find_passed_on(&one), &c));
    current_clear();
    shim_core_end(&c);
    CHECK(is(current_find_passed_on(&one), &a));
    shim_core_end(&a);
    CHECK(is(current_find_passed_on(&one), &none));
    passed = true;
    return argument;
}

TEST(test_request_is_found_after_others_ended_unseen)
{
    struct trace_context one = context_of(1);
    struct request_ref a = shim_core_begin(1), b;

    for (int i = 0; i < 20; i++) {
        ring_slot_release(a.slot); /* by another process */
        CHECK(is(current_find_passed_on(&one), &none));
        a = shim_core_begin(1);
        b = shim_core_begin(1);
        shim_core_end(&b);
        CHECK(is(current_find_passed_on(&one), &a));
    }
    passed = true;
    return argument;
}

/* The last test: what it has shown of the process stays. */
TEST(test_current_of_who_hands_requests_over_is_nobody)
{
    struct request_ref a = shim_core_begin(0), b = shim_core_begin(0);

    request_hold(&a);
    request_hold(&b);
    current_set(&a);
    current_set(&b);
    CHECK(is(current_certain(), &b)); /* who answers them has not been seen */
    current_answer(a.slot);
    CHECK(is(current_certain(), &none));
    current_answer(b.slot);
    CHECK(is(current_certain(), &b));
    passed = true;
    return argument;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_current_ends_with_the_request_and_with_the_turn, setup),
        cmocka_unit_test_setup(test_current_follows_the_answer, setup),
        cmocka_unit_test_setup(test_current_is_none_after_mixed_answers, setup),
        cmocka_unit_test_setup(test_current_is_none_after_a_wakeup_of_nobodys, setup),
        cmocka_unit_test_setup(test_current_of_a_wakeup_is_certain_while_alone, setup),
        cmocka_unit_test_setup(test_current_follows_the_end_of_an_attempt_to_connect, setup),
        cmocka_unit_test_setup(test_current_of_an_answer_to_a_pool_is_certain_while_alone, setup),
        cmocka_unit_test_setup(test_current_is_certain_of_what_was_touched, setup),
        cmocka_unit_test_setup(test_current_of_a_watcher_is_nobody, setup),
        cmocka_unit_test_setup(test_current_of_who_watches_one_connection_is_nobody, setup),
        cmocka_unit_test_setup(test_current_of_a_loop_is_what_it_has_read, setup),
        cmocka_unit_test_setup(test_current_parent_of_the_first_is_the_maker, setup),
        cmocka_unit_test_setup(test_current_parent_is_not_who_left_the_connection, setup),
        cmocka_unit_test_setup(test_current_of_who_takes_turns_gives_way_to_who_is_adrift, setup),
        cmocka_unit_test_setup(test_current_inherited_is_for_one_request, setup),
        cmocka_unit_test_setup(test_current_inherited_is_certain_until_another_begins, setup),
        cmocka_unit_test_setup(test_request_is_found_by_the_header_it_came_with, setup),
        cmocka_unit_test_setup(test_request_is_found_after_others_ended_unseen, setup),
        cmocka_unit_test_setup(test_current_of_who_hands_requests_over_is_nobody, setup),
    };

    if (!shim_core_init(NULL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
