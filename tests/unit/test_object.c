/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the objects that the test itself is made of, as the loader reads them. */
#include "preload/object.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Not by RTLD_NEXT: a sanitizer stands before it. */
static void *libc_handle;

struct search {
    uintptr_t address;
    struct object object;
};

static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;

    (void)size;
    return object_has_address(info, search->address) && object_read(&search->object, info);
}

/* The object in which this stands. */
static struct object object_of(const void *address)
{
    struct search search = {.address = (uintptr_t)address};

    assert_int_equal(dl_iterate_phdr(visit, &search), 1);
    return search.object;
}

static void test_object_is_told_by_an_address(void **state)
{
    struct object program = object_of((const void *)test_object_is_told_by_an_address),
                  libc = object_of(dlsym(libc_handle, "getpid"));
    struct search nowhere = {.address = 8};

    (void)state;
    assert_ptr_not_equal(program.dynamic, libc.dynamic);
    assert_string_equal(libc.soname, "libc.so.6");
    assert_null(program.soname);
    assert_int_equal(dl_iterate_phdr(visit, &nowhere), 0);
}

static void test_object_finds_what_it_defines(void **state)
{
    struct object program = object_of((const void *)test_object_finds_what_it_defines),
                  libc = object_of(dlsym(libc_handle, "getpid"));

    (void)state;
    assert_ptr_equal(object_find(&libc, "getpid", NULL), dlsym(libc_handle, "getpid"));
    assert_ptr_equal(object_find(&libc, "strlen", NULL), dlsym(libc_handle, "strlen")); /* chosen for this processor */
    assert_null(object_find(&libc, "getpi", NULL));
    assert_in_range(object_size(&libc, "getpid"), 1, 64);
    assert_int_equal(object_size(&libc, "no_such_function"), 0);
    assert_null(object_find(&libc, "no_such_function", NULL));
    assert_null(object_find(&program, "getpid", NULL)); /* wanted, not defined */
}

/* Several definitions of one name. */
static void test_object_finds_the_version(void **state)
{
    struct object libc = object_of(dlsym(libc_handle, "getpid"));
    void *old = object_find(&libc, "pthread_cond_signal", "GLIBC_2.2.5");
    void *new = object_find(&libc, "pthread_cond_signal", "GLIBC_2.3.2");

    (void)state;
    assert_ptr_equal(old, dlvsym(libc_handle, "pthread_cond_signal", "GLIBC_2.2.5"));
    assert_ptr_equal(new, dlvsym(libc_handle, "pthread_cond_signal", "GLIBC_2.3.2"));
    assert_ptr_not_equal(old, new);
    assert_ptr_equal(object_find(&libc, "pthread_cond_signal", NULL), new);
    assert_null(object_find(&libc, "getpid", "GLIBC_9.9"));
}

static void test_object_says_what_it_wants(void **state)
{
    struct object program = object_of((const void *)test_object_says_what_it_wants);
    const char *version = NULL;

    (void)state;
    assert_true(object_wants(&program, "getpid", &version));
    assert_string_equal(version, "GLIBC_2.2.5");
    assert_true(getpid() > 0); /* which makes it so */
    assert_false(object_wants(&program, "no_such_function", &version));
    assert_true(object_needs(&program, "libc.so.6"));
    assert_false(object_needs(&program, "libcurl.so.4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object_is_told_by_an_address),
        cmocka_unit_test(test_object_finds_what_it_defines),
        cmocka_unit_test(test_object_finds_the_version),
        cmocka_unit_test(test_object_says_what_it_wants),
    };

    libc_handle = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
