/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/lookup.h"

#include "preload/clock.h"
#include "preload/wire.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_NS UINT64_C(1000000000)

/* What a look-up that began so long ago gives: 10.0.0.first and the ones after it, each for two types of socket. */
static void note(uint8_t first, unsigned count, uint64_t ago_ns)
{
    struct sockaddr_in sockets[16] = {0};
    struct addrinfo results[32] = {0};

    for (unsigned i = 0; i < 2 * count; i++) {
        sockets[i / 2].sin_family = AF_INET;
        sockets[i / 2].sin_addr.s_addr = htonl(0x0a000000u + first + i / 2);
        results[i].ai_addr = (struct sockaddr *)&sockets[i / 2];
        results[i].ai_addrlen = sizeof(sockets[0]);
        results[i].ai_next = i + 1 < 2 * count ? &results[i + 1] : NULL;
    }
    lookup_note(count > 0 ? results : NULL, clock_mono_ns() - ago_ns);
}

static uint64_t find(uint8_t last, struct lookup_ref *ret_ref)
{
    struct wire_address address = {.family = WIRE_FAMILY_INET, .port = 80, .ip = {10, 0, 0, last}};

    return lookup_find(&address, ret_ref);
}

static void test_lookup_is_told_by_each_of_its_addresses(void **state)
{
    struct lookup_ref ref;

    (void)state;
    note(1, 8, SECOND_NS);
    for (uint8_t last = 1; last <= 8; last++)
        assert_in_range(find(last, &ref), SECOND_NS, 60 * SECOND_NS);
    assert_int_equal(find(9, &ref), 0);
    assert_null(ref.lookup);
    assert_false(lookup_take(&ref));
}

static void test_lookup_is_taken_once(void **state)
{
    struct lookup_ref first, second;

    (void)state;
    note(20, 2, SECOND_NS);
    assert_int_not_equal(find(20, &first), 0);
    assert_int_not_equal(find(21, &second), 0); /* both are tried, one is used */
    assert_true(lookup_take(&second));
    assert_false(lookup_take(&first));
    assert_int_equal(find(20, &first), 0);
}

static void test_lookup_is_the_last_one(void **state)
{
    struct lookup_ref ref;

    (void)state;
    note(30, 1, 50 * SECOND_NS);
    note(30, 1, 2 * SECOND_NS);
    assert_in_range(find(30, &ref), 2 * SECOND_NS, 49 * SECOND_NS);
}

static void *note_elsewhere(void *unused)
{
    (void)unused;
    note(40, 1, 50 * SECOND_NS);
    return NULL;
}

static void test_lookup_of_this_thread_comes_first(void **state)
{
    struct lookup_ref ref;
    pthread_t thread;

    (void)state;
    note(40, 1, SECOND_NS);
    assert_int_equal(pthread_create(&thread, NULL, note_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(find(40, &ref), SECOND_NS, 49 * SECOND_NS);
    assert_true(lookup_take(&ref));
    assert_in_range(find(40, &ref), 50 * SECOND_NS, 99 * SECOND_NS);
}

static void test_lookup_is_forgotten(void **state)
{
    struct lookup_ref ref;

    (void)state;
    note(50, 1, SECOND_NS);
    assert_int_not_equal(find(50, &ref), 0);
    for (int i = 0; i < 32; i++)
        note(60, 1, SECOND_NS);
    assert_false(lookup_take(&ref));
    assert_int_equal(find(50, &ref), 0);
}

static void test_lookup_takes_any_list(void **state)
{
    struct wire_address unknown = {.family = WIRE_FAMILY_NONE}, path = {.family = WIRE_FAMILY_UNIX};
    struct lookup_ref ref;

    (void)state;
    note(0, 0, SECOND_NS);
    note(70, 16, SECOND_NS);
    assert_int_not_equal(find(77, &ref), 0);
    assert_int_equal(find(78, &ref), 0); /* more than are kept */
    assert_int_equal(lookup_find(&unknown, &ref), 0);
    assert_int_equal(lookup_find(&path, &ref), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup_is_told_by_each_of_its_addresses),
        cmocka_unit_test(test_lookup_is_taken_once),
        cmocka_unit_test(test_lookup_is_the_last_one),
        cmocka_unit_test(test_lookup_of_this_thread_comes_first),
        cmocka_unit_test(test_lookup_is_forgotten),
        cmocka_unit_test(test_lookup_takes_any_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
