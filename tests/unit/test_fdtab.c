/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/fdtab.h"

#include "preload/arena.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t generation(int fd)
{
    return (uint32_t)(fdtab_get(fd) >> 32);
}

static void test_fdtab_knows_nothing_at_first(void **state)
{
    (void)state;
    assert_int_equal(fdtab_get(0), 0);
    assert_int_equal(fdtab_get(FDTAB_LIMIT - 1), 0);
    assert_int_equal(fdtab_clear(77), 0);
    assert_null(fdtab_leaves[0]); /* looking and forgetting make no leaf */
    assert_int_equal(fdtab_next(0), -1);
}

static void test_fdtab_ignores_what_is_beyond_it(void **state)
{
    static const int beyond[] = {-1, -1000, FDTAB_LIMIT, INT32_MAX, INT32_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        uint64_t old = 99;

        assert_int_equal(fdtab_value(fdtab_get(beyond[i])), FDTAB_IGNORED);
        assert_false(fdtab_set(beyond[i], 5, &old));
        assert_int_equal(old, 0);
        assert_false(fdtab_replace(beyond[i], 0, 5));
        assert_int_equal(fdtab_clear(beyond[i]), 0);
    }
    assert_int_equal(fdtab_next(FDTAB_LIMIT), -1);
}

static void test_fdtab_changes_generation_with_meaning(void **state)
{
    uint64_t old;

    (void)state;
    assert_true(fdtab_set(5, 7, &old));
    assert_int_equal(old, 0);
    assert_int_equal(fdtab_value(fdtab_get(5)), 7);
    assert_int_equal(generation(5), 1);
    assert_true(fdtab_set(5, 7, &old)); /* the same value is another meaning too */
    assert_int_equal(old, UINT64_C(1) << 32 | 7);
    assert_int_equal(generation(5), 2);
    assert_int_equal(fdtab_clear(5), UINT64_C(2) << 32 | 7);
    assert_int_equal(fdtab_value(fdtab_get(5)), FDTAB_UNKNOWN);
    assert_int_equal(generation(5), 3);
    assert_int_equal(fdtab_get(6), 0);
}

static void test_fdtab_replaces_only_what_it_saw(void **state)
{
    uint64_t seen = fdtab_get(9), old;

    (void)state;
    assert_true(fdtab_replace(9, seen, FDTAB_IGNORED));
    assert_false(fdtab_replace(9, seen, 11));
    assert_int_equal(fdtab_value(fdtab_get(9)), FDTAB_IGNORED);
    seen = fdtab_get(9);
    (void)fdtab_clear(9);
    assert_true(fdtab_set(9, FDTAB_IGNORED, &old));
    assert_false(fdtab_replace(9, seen, 11)); /* closed and ignored again: the same value, not the same thing */
    assert_int_equal(fdtab_value(fdtab_get(9)), FDTAB_IGNORED);
}

static void test_fdtab_next_crosses_leaves(void **state)
{
    static const int noted[] = {100, FDTAB_LEAF - 1, FDTAB_LEAF, 5 * FDTAB_LEAF + 17, FDTAB_LIMIT - 1};
    int fd = 60;
    uint64_t old;

    (void)state;
    for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++)
        assert_true(fdtab_set(noted[i], FDTAB_IGNORED, &old));
    for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++) {
        fd = fdtab_next(fd);
        assert_int_equal(fd, noted[i]);
        fd++;
    }
    assert_int_equal(fdtab_next(fd), -1);
    assert_int_equal(fdtab_next(-5), fdtab_next(0));
    for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++)
        (void)fdtab_clear(noted[i]);
    assert_int_equal(fdtab_next(60), -1);
}

enum { THREADS = 4, TURNS = 20000, CONTENDED_FD = 300 * FDTAB_LEAF + 3 };

/* Values that each thread put in and took out; one thread's number is in the low bits of its own. */
static _Atomic unsigned char taken[THREADS][TURNS];
static pthread_barrier_t barrier;

static void note_taken(uint64_t entry)
{
    uint32_t value = fdtab_value(entry);

    if (value >= FDTAB_CONN)
        atomic_fetch_add(&taken[(value - FDTAB_CONN) % THREADS][(value - FDTAB_CONN) / THREADS], 1);
}

static void *set_and_clear(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;
    uint64_t old;

    pthread_barrier_wait(&barrier); /* all of them make the leaf at once */
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        if (!fdtab_set(CONTENDED_FD, FDTAB_CONN + turn * THREADS + self, &old))
            abort();
        note_taken(old);
        if (turn % 3 == 0)
            note_taken(fdtab_clear(CONTENDED_FD));
    }
    return NULL;
}

/* A connection is named by its descriptor: whoever replaces a value must be the only one that got it, or a reference
 * would be given back twice or never. */
static void test_fdtab_hands_each_value_to_one(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, set_and_clear, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    note_taken(fdtab_clear(CONTENDED_FD));
    for (int i = 0; i < THREADS; i++)
        for (int turn = 0; turn < TURNS; turn++)
            assert_int_equal(taken[i][turn], 1);
    pthread_barrier_destroy(&barrier);
}

/* The last one: no leaf can be made afterwards. */
static void test_fdtab_fails_when_the_arena_is_used_up(void **state)
{
    uint64_t old;

    (void)state;
    assert_true(fdtab_set(12, 21, &old));
    while (arena_alloc(4096))
        ;
    assert_false(fdtab_set(900 * FDTAB_LEAF, 21, &old));
    assert_int_equal(old, 0);
    assert_int_equal(fdtab_get(900 * FDTAB_LEAF), 0);
    assert_int_equal(fdtab_value(fdtab_get(12)), 21);
    assert_true(fdtab_set(12, 22, &old));
    assert_int_equal(fdtab_value(old), 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fdtab_knows_nothing_at_first),
        cmocka_unit_test(test_fdtab_ignores_what_is_beyond_it),
        cmocka_unit_test(test_fdtab_changes_generation_with_meaning),
        cmocka_unit_test(test_fdtab_replaces_only_what_it_saw),
        cmocka_unit_test(test_fdtab_next_crosses_leaves),
        cmocka_unit_test(test_fdtab_hands_each_value_to_one),
        cmocka_unit_test(test_fdtab_fails_when_the_arena_is_used_up),
    };

    return arena_init() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
