/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/ids.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAKERS = 4, IDS = 20000 };

/* Made by threads or by forked processes. */
static uint64_t (*made)[IDS];

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void assert_all_differ(uint64_t *ids, size_t count)
{
    qsort(ids, count, sizeof(*ids), compare);
    assert_int_not_equal(ids[0], 0);
    for (size_t i = 1; i < count; i++)
        assert_int_not_equal(ids[i], ids[i - 1]);
}

/* Span ids and the parts of trace ids that aren't time come from one well. */
static void make(uint64_t *ids)
{
    for (int i = 0; i < IDS; i += 2) {
        uint8_t trace[16];
        uint64_t step = ids_next();

        ids_make_span(step, (uint8_t *)&ids[i]);
        ids_make_trace(step, trace, 0);
        memcpy(&ids[i + 1], trace + 8, 8);
    }
}

static void *make_in_thread(void *arg)
{
    make(arg);
    return NULL;
}

static int setup(void **state)
{
    (void)state;
    made = mmap(NULL, MAKERS * sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return made == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    return munmap(made, MAKERS * sizeof(*made));
}

static void test_ids_differ_among_threads(void **state)
{
    pthread_t threads[MAKERS];

    (void)state;
    for (int i = 0; i < MAKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_in_thread, made[i]), 0);
    for (int i = 0; i < MAKERS; i++)
        pthread_join(threads[i], NULL);
    assert_all_differ(made[0], (size_t)MAKERS * IDS);
}

/* Each child begins where its parent was. */
static void test_ids_differ_among_forks(void **state)
{
    (void)state;
    for (int i = 0; i < MAKERS; i++) {
        int status;
        pid_t child = fork();

        if (child == 0) {
            ids_after_fork((uint32_t)getpid());
            make(made[i]);
            _exit(0);
        }
        waitpid(child, &status, 0);
        assert_int_equal(status, 0);
    }
    assert_all_differ(made[0], (size_t)MAKERS * IDS);
}

static void test_ids_differ_between_starts(void **state)
{
    uint64_t first, second;

    (void)state;
    ids_init();
    ids_make_span(1, (uint8_t *)&first);
    ids_init();
    ids_make_span(1, (uint8_t *)&second);
    assert_int_not_equal(first, second);
}

static void test_ids_begin_a_trace_with_its_second(void **state)
{
    static const uint8_t expected[4] = {0x69, 0x1f, 0xf0, 0x07};
    uint8_t first[16], second[16];

    (void)state;
    ids_make_trace(ids_next(), first, 0x691ff007);
    ids_make_trace(ids_next(), second, 0x691ff007);
    assert_memory_equal(first, expected, 4);
    assert_memory_equal(second, expected, 4);
    assert_memory_not_equal(first + 4, second + 4, 4);
    assert_memory_not_equal(first + 8, second + 8, 8);
}

/* A ratio sampler looks at the low bits only, others at the high ones: each bit of an id is set in about half of
 * them. */
static void test_ids_spread_over_all_bits(void **state)
{
    unsigned set[64] = {0};

    (void)state;
    make(made[0]);
    for (int i = 0; i < IDS; i++)
        for (int bit = 0; bit < 64; bit++)
            set[bit] += made[0][i] >> bit & 1;
    for (int bit = 0; bit < 64; bit++)
        assert_in_range(set[bit], IDS / 2 - IDS / 20, IDS / 2 + IDS / 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ids_differ_among_threads),  TEST(test_ids_differ_among_forks),
        TEST(test_ids_differ_between_starts), TEST(test_ids_begin_a_trace_with_its_second),
        TEST(test_ids_spread_over_all_bits),
    };

    ids_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
