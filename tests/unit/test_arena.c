/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/arena.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_arena_blocks_are_aligned_zeroed_and_apart(void **state)
{
    static const size_t sizes[] = {1, 63, 64, 65, 4096};
    char *last_end = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *block = arena_alloc(sizes[i]);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        assert_true(block >= last_end);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(block[at], 0);
        memset(block, 0xff, sizes[i]);
        last_end = block + sizes[i];
    }
}

static void test_arena_number_names_a_block(void **state)
{
    void *first = arena_alloc(200), *second = arena_alloc(200);

    (void)state;
    assert_true(arena_number(first) > 0);
    assert_int_not_equal(arena_number(first), arena_number(second));
    assert_ptr_equal(arena_at(arena_number(first)), first);
    assert_ptr_equal(arena_at(arena_number(second)), second);
}

static void test_arena_pool_reuses_blocks_as_they_were(void **state)
{
    struct arena_pool pool = {.block_size = 192};
    char *first = arena_pool_get(&pool), *second = arena_pool_get(&pool);

    (void)state;
    assert_ptr_not_equal(first, second);
    memset(first, 'a', 192);
    memset(second, 'b', 192);
    arena_pool_put(&pool, first);
    arena_pool_put(&pool, second);
    assert_ptr_equal(arena_pool_get(&pool), second);
    assert_ptr_equal(arena_pool_get(&pool), first);
    assert_int_equal(*(uint32_t *)(void *)first, 0);
    for (int at = 4; at < 192; at++)
        assert_int_equal(first[at], 'a');
    assert_ptr_not_equal(arena_pool_get(&pool), first);
}

enum { THREADS = 4, BLOCKS = 3, TURNS = 50000 };

struct block {
    _Atomic uint32_t link;
    _Atomic uint32_t user;
};

static struct arena_pool shared_pool = {.block_size = sizeof(struct block)};
static _Atomic unsigned doubles;

/* Whoever holds a block is its only user. Few blocks and quick turns: the same one comes back while others still look
 * at the link it had. */
static void *take_and_give(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;

    for (int turn = 0; turn < TURNS; turn++) {
        struct block *held[BLOCKS];

        for (int i = 0; i < BLOCKS; i++) {
            held[i] = arena_pool_get(&shared_pool);
            if (!held[i] || atomic_exchange(&held[i]->user, self) != 0)
                atomic_fetch_add(&doubles, 1);
        }
        for (int i = 0; i < BLOCKS; i++) {
            if (held[i] && atomic_exchange(&held[i]->user, 0) != self)
                atomic_fetch_add(&doubles, 1);
            if (held[i])
                arena_pool_put(&shared_pool, held[i]);
        }
    }
    return NULL;
}

static void test_arena_pool_gives_no_block_twice(void **state)
{
    pthread_t threads[THREADS];
    unsigned count = 0;

    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(doubles, 0);
    /* None was lost either: the list holds every block ever made. */
    for (; (uint32_t)atomic_load(&shared_pool.free) != 0; count++)
        (void)arena_pool_get(&shared_pool);
    assert_in_range(count, BLOCKS, THREADS * BLOCKS);
}

/* In a child, whose address space may be bounded. */
static int child_under_limit(rlim_t room)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%lu", &pages) != 1)
        return 10;
    fclose(file);
    rlim_t bytes = pages * 4096 + room;
    struct rlimit limit = {bytes, bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 11;
    if (arena_init() != 0)
        return 1;
    return arena_alloc(1 << 20) ? 0 : 2;
}

static int status_under_limit(rlim_t room)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(child_under_limit(room));
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_arena_takes_what_the_limits_allow(void **state)
{
    (void)state;
    assert_int_equal(status_under_limit(64 << 20), 0);
    assert_int_equal(status_under_limit(12 << 20), 0);
    assert_int_equal(status_under_limit(64 << 10), 1);
}

/* The last one: nothing is left afterwards. */
static void test_arena_ends_with_null(void **state)
{
    struct arena_pool pool = {.block_size = 64};
    void *kept = arena_pool_get(&pool);
    char *last = NULL, *block;

    (void)state;
    assert_null(arena_alloc(SIZE_MAX));
    assert_null(arena_alloc(SIZE_MAX - 63));
    assert_null(arena_alloc((size_t)1 << 30));
    while ((block = arena_alloc(1 << 20)) != NULL)
        last = block;
    assert_non_null(last);
    while ((block = arena_alloc(64)) != NULL)
        last = block;
    last[63] = 1; /* its last byte is there */
    assert_null(arena_alloc(1));
    assert_null(arena_pool_get(&pool));
    arena_pool_put(&pool, kept);
    assert_ptr_equal(arena_pool_get(&pool), kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_takes_what_the_limits_allow),
        cmocka_unit_test(test_arena_blocks_are_aligned_zeroed_and_apart),
        cmocka_unit_test(test_arena_number_names_a_block),
        cmocka_unit_test(test_arena_pool_reuses_blocks_as_they_were),
        cmocka_unit_test(test_arena_pool_gives_no_block_twice),
        cmocka_unit_test(test_arena_ends_with_null),
    };

    return arena_init() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
