/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the requests that are being served a head is an echo of. */
#include "preload/echo.h"

#include "tests/support/shim_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct slice text(const char *bytes)
{
    return (struct slice){bytes, strlen(bytes)};
}

static uint64_t print_of(uint32_t method, const char *path, const char *user_agent)
{
    return echo_add(echo_add(echo_begin(), ECHO_USER_AGENT, text(user_agent), 0), ECHO_PATH, text(path), method);
}

static struct request_ref begin(uint64_t print)
{
    struct request_ref ref = shim_core_begin(0);

    echo_note(ref.slot, print);
    return ref;
}

static uint64_t now_ns = UINT64_C(1000000000000);
static struct wire_address server = {.family = WIRE_FAMILY_INET, .port = 80};

static bool finds(uint64_t print, const struct request_ref *expected)
{
    struct request_ref found = echo_find(print, &server, now_ns);

    return request_is_same(&found, expected);
}

static const struct request_ref none;

static int setup(void **state)
{
    (void)state;
    echo_expect();
    return shim_core_ring(2, 256, 1024) ? 0 : -1;
}

static void test_echo_prints_differ_by_every_part(void **state)
{
    uint64_t print = print_of(1, "/a/long/path/1", "agent");

    (void)state;
    assert_true(print > ECHO_NEVER);
    assert_int_equal(print, print_of(1, "/a/long/path/1", "agent"));
    assert_int_not_equal(print, print_of(2, "/a/long/path/1", "agent"));
    assert_int_not_equal(print, print_of(1, "/a/long/path/2", "agent"));
    assert_int_not_equal(print, print_of(1, "/a/long/path/", "agent"));
    assert_int_not_equal(print, print_of(1, "agent", "/a/long/path/1"));
    assert_int_equal(echo_add(echo_add(2, ECHO_HOST, text("h"), 80), ECHO_PATH, text("/"), 1),
                     echo_add(echo_add(2, ECHO_PATH, text("/"), 1), ECHO_HOST, text("h"), 80));
    assert_int_not_equal(echo_add(2, ECHO_HOST, text("h"), 80), echo_add(2, ECHO_HOST, text("h"), 81));
    assert_int_not_equal(echo_add(2, ECHO_PATH, text("a"), 0), echo_add(2, ECHO_PATH, (struct slice){"\0a", 2}, 0));
    for (size_t length = 1; length < 40; length++) { /* each byte counts */
        char path[40], other[40];

        memset(path, 'a', sizeof(path));
        for (size_t i = 0; i < length; i++) {
            memcpy(other, path, sizeof(other));
            other[i] = 'b';
            assert_int_not_equal(echo_add(2, ECHO_PATH, (struct slice){path, length}, 0),
                                 echo_add(2, ECHO_PATH, (struct slice){other, length}, 0));
        }
    }
}

static void test_echo_is_of_the_only_one_alike(void **state)
{
    uint64_t print = print_of(1, "/1", "agent");
    struct request_ref a = begin(print), b = begin(print_of(1, "/2", "agent")), c = begin(ECHO_NEVER);

    (void)state;
    assert_true(finds(print, &a));
    assert_true(finds(print, &a)); /* sent again after a failure */
    assert_true(finds(print_of(1, "/2", "agent"), &b));
    shim_core_end(&b);
    shim_core_end(&a);
    assert_true(finds(print, &none));
    shim_core_end(&c);
}

static void test_echo_of_two_is_of_none(void **state)
{
    uint64_t print = print_of(1, "/1", "agent");
    struct request_ref a = begin(print), b = begin(print);

    (void)state;
    assert_true(finds(print, &none));
    request_note_answer(a.slot, 1); /* its answer may be an old one, and a new one be fetched for it */
    assert_true(finds(print, &none));
    shim_core_end(&a);
    assert_true(finds(print, &b));
    request_note_answer(b.slot, 1);
    assert_true(finds(print, &none));
    shim_core_end(&b);
}

/* One that came before prints were made may be like any other. */
static void test_echo_waits_for_those_without_a_print(void **state)
{
    uint64_t print = print_of(1, "/1", "agent");
    struct request_ref early = begin(0), a = begin(print);

    (void)state;
    assert_true(finds(print, &none));
    shim_core_end(&early);
    assert_true(finds(print, &a));
    shim_core_end(&a);
    early = begin(0);
    assert_true(finds(print, &none));
    shim_core_end(&early);
}

/* A head that is like none may be a changed one, unless nobody asks under this name: then it is the program's own. */
static void test_echo_is_none_where_heads_are_changed(void **state)
{
    uint64_t print = print_of(1, "/1", "agent");
    struct request_ref a = begin(print);

    (void)state;
    assert_true(finds(print_of(1, "/1", "own"), &none));
    assert_true(finds(print, &a));
    assert_true(finds(print_of(1, "/2", "agent"), &none));
    for (int i = 0; i < 1000; i++) {
        server.port = 81;
        assert_true(finds(print, &a));
        server.port = 80;
        assert_true(finds(print, &none));
    }
    assert_true(finds(print, &a));
    shim_core_end(&a);
}

/* A cache has answered and fetches then, while the same is asked for again. */
static void test_echo_may_be_of_one_that_has_ended(void **state)
{
    uint64_t print = print_of(1, "/1", "agent");
    struct request_ref a = begin(print);

    (void)state;
    echo_was_passed_on(&a);
    echo_end(a.slot, now_ns);
    assert_true(finds(print, &a));
    echo_note(a.slot, print);
    echo_end(a.slot, now_ns);
    assert_true(finds(print, &none));
    now_ns += UINT64_C(2000000000);
    assert_true(finds(print, &none));
    now_ns += UINT64_C(1000000000);
    assert_true(finds(print, &a));
    shim_core_end(&a);
}

static void test_echo_is_none_while_requests_may_be_unseen(void **state)
{
    uint64_t print = print_of(1, "/1", "agent");
    struct request_ref a = begin(print);

    (void)state;
    echo_hide(1);
    assert_true(finds(print, &none));
    echo_hide(-1);
    assert_true(finds(print, &a));
    shim_core_end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_prints_differ_by_every_part),
        cmocka_unit_test_setup(test_echo_is_of_the_only_one_alike, setup),
        cmocka_unit_test_setup(test_echo_of_two_is_of_none, setup),
        cmocka_unit_test_setup(test_echo_waits_for_those_without_a_print, setup),
        cmocka_unit_test_setup(test_echo_is_none_where_heads_are_changed, setup),
        cmocka_unit_test_setup(test_echo_may_be_of_one_that_has_ended, setup),
        cmocka_unit_test_setup(test_echo_is_none_while_requests_may_be_unseen, setup),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests_name("echo", tests, NULL, NULL) : EXIT_FAILURE;
}
