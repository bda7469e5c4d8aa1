/* SPDX-License-Identifier: Apache-2.0 */
/* Greenlets that take turns on a thread: each works on its own request. This program plays CPython. */
#include "preload/current.h"
#include "preload/greenlet.h"
#include "tests/support/shim_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    PYTHON_3_11 = 0x030b02f0,
    PYTHON_3_12 = 0x030c01f0,
    PYTHON_3_10 = 0x030a0df0,
    CHUNK_SIZE = 16 * 1024,
    COUNT = 3000
};

/* Memory of greenlets, as CPython divides it. */
struct chunk {
    const struct chunk *previous;
    size_t size, top;
    const void *unused, *function;
    char frames[CHUNK_SIZE - 5 * sizeof(size_t)];
};
static struct chunk *chunks;

static const void *thread_state[64]; /* with the place of the chunk at 296 bytes in 3.11, at 232 in 3.12 */
unsigned long Py_Version;
static bool has_state;

void *PyGILState_GetThisThreadState(void)
{
    return has_state ? thread_state : NULL;
}

/* This greenlet goes on. */
static void switch_to(struct chunk *chunk)
{
    size_t place = (Py_Version == PYTHON_3_11 ? 296 : 232) / sizeof(thread_state[0]);

    chunk->size = CHUNK_SIZE;
    thread_state[place] = chunk;
    thread_state[place + 1] = chunk->frames;
    thread_state[place + 2] = (const char *)chunk + CHUNK_SIZE;
}

static int setup(void **state)
{
    (void)state;
    chunks = calloc(COUNT, sizeof(*chunks));
    return chunks && shim_core_ring(2, 256, 1024) ? 0 : -1;
}

static int start(void **state)
{
    (void)state;
    memset(chunks, 0, COUNT * sizeof(*chunks));
    memset(thread_state, 0, sizeof(thread_state));
    has_state = true;
    Py_Version = PYTHON_3_11;
    return 0;
}

static bool works_on(const struct request_ref *request)
{
    struct request_ref current = current_get();

    return request_is_same(&current, request);
}

static void test_greenlet_is_where_its_memory_is(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        Py_Version = i == 0 ? PYTHON_3_11 : PYTHON_3_12;
        chunks[1].function = &chunks;
        switch_to(&chunks[1]);
        assert_ptr_equal(greenlet_here().stack, &chunks[1]);
        assert_ptr_equal(greenlet_here().function, &chunks);
        chunks[2].previous = &chunks[1];
        switch_to(&chunks[2]);
        assert_ptr_equal(greenlet_here().stack, &chunks[1]);
    }
}

static void test_greenlet_is_unknown_in_other_pythons(void **state)
{
    (void)state;
    assert_null(greenlet_here().stack); /* no frame yet */
    switch_to(&chunks[1]);
    chunks[1].size--;
    assert_null(greenlet_here().stack);
    switch_to(&chunks[1]);
    chunks[1].previous = &chunks[1];
    assert_null(greenlet_here().stack);
    chunks[1].previous = NULL;
    assert_non_null(greenlet_here().stack);
    Py_Version = PYTHON_3_10;
    assert_null(greenlet_here().stack);
    Py_Version = PYTHON_3_11;
    has_state = false;
    assert_null(greenlet_here().stack);
}

/* Values that are no pointers are not followed. */
static void test_greenlet_is_unknown_in_other_layouts(void **state)
{
    static const uintptr_t others[][3] = {
        {8, 16, 24},                          /* small */
        {8, 16, 8 + CHUNK_SIZE + 8},          /* no chunk's size */
        {8, 16 + CHUNK_SIZE, 8 + CHUNK_SIZE}, /* above the limit */
        {1024, 1024, 1024 + CHUNK_SIZE},      /* nothing called */
        {1025, 1032, 1025 + CHUNK_SIZE},      /* not aligned */
        {4096 + CHUNK_SIZE, 4096, 4096},      /* upside down */
        {0, 16, CHUNK_SIZE},
        {UINTPTR_MAX - 7, UINTPTR_MAX, 8},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        memcpy(&thread_state[296 / sizeof(thread_state[0])], others[i], sizeof(others[i]));
        assert_null(greenlet_here().stack);
    }
}

static void test_greenlets_have_requests_of_their_own(void **state)
{
    struct request_ref none = {0}, a = shim_core_begin(0), b = shim_core_begin(0);

    (void)state;
    switch_to(&chunks[0]); /* the thread's own: a loop */
    current_turn();
    switch_to(&chunks[1]);
    current_set(&a);
    switch_to(&chunks[2]);
    assert_true(works_on(&none) && !current_is_loop());
    current_set(&b);
    switch_to(&chunks[0]);
    assert_true(works_on(&none) && current_is_loop());
    current_turn();
    switch_to(&chunks[1]);
    assert_true(works_on(&a));
    switch_to(&chunks[2]);
    assert_true(works_on(&b));
    chunks[2].function = &chunks; /* another one in the same memory */
    assert_true(works_on(&none));
    shim_core_end(&a);
    shim_core_end(&b);
}

/* The place of one that works on a request is not given away while there are others. */
static void test_greenlets_come_and_go(void **state)
{
    struct request_ref a = shim_core_begin(0);

    (void)state;
    switch_to(&chunks[1]);
    current_set(&a);
    for (int i = 2; i < COUNT; i++) {
        struct request_ref other = shim_core_begin(0);

        switch_to(&chunks[i]);
        current_set(&other);
        assert_true(works_on(&other));
        shim_core_end(&other);
    }
    switch_to(&chunks[1]);
    assert_true(works_on(&a));
    shim_core_end(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_greenlet_is_where_its_memory_is, start),
        cmocka_unit_test_setup(test_greenlet_is_unknown_in_other_pythons, start),
        cmocka_unit_test_setup(test_greenlet_is_unknown_in_other_layouts, start),
        cmocka_unit_test_setup(test_greenlets_have_requests_of_their_own, start),
        cmocka_unit_test_setup(test_greenlets_come_and_go, start),
    };

    return cmocka_run_group_tests_name("greenlet", tests, setup, NULL);
}
