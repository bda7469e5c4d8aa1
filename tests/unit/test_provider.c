/* SPDX-License-Identifier: Apache-2.0 */
/* A function as each caller's reference is bound: in the program, in libc, in no library at all. */
#include "preload/provider.h"

#include "preload/libcurl.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

/* Not by RTLD_NEXT: a sanitizer stands before it. */
static void *libc_handle;

static const void *in_program(void)
{
    return (const void *)in_program;
}

/* Some bytes into one of libc's functions. */
static const void *in_libc(void)
{
    return (const char *)dlsym(libc_handle, "getpid") + 4;
}

static void test_provider_finds_a_library_s_function(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* looked up, and remembered */
        assert_ptr_equal(provider_function("getppid", in_program()), dlsym(libc_handle, "getppid"));
        assert_ptr_equal(provider_function("getppid", in_libc()), dlsym(libc_handle, "getppid"));
        assert_ptr_equal(provider_function("getppid", NULL), dlsym(libc_handle, "getppid"));
        assert_null(provider_function("no_such_function", in_program()));
    }
}

static void test_provider_knows_who_calls_itself(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_true(provider_is_caller("getppid", in_libc()));
        assert_false(provider_is_caller("getppid", in_program()));
        assert_false(provider_is_caller("getppid", NULL));
        assert_false(provider_is_caller("no_such_function", in_libc()));
    }
}

/* No libcurl is there: what the hook calls then fails. */
static void test_provider_has_a_stand_in(void **state)
{
    bool is_own = true;

    (void)state;
    assert_null(REAL_FOR(curl_easy_init, in_program())());
    assert_ptr_equal(provider_hook_or_own(HOOK_curl_easy_init, in_program(), &is_own),
                     provider_hook(HOOK_curl_easy_init, in_program()));
    assert_false(is_own);
    assert_ptr_equal(provider_hook_or_own(HOOK_read, in_libc(), &is_own), dlsym(libc_handle, "read"));
    assert_true(is_own);
}

/* More callers than are remembered, and again after all was forgotten. */
static void test_provider_answers_many_callers(void **state)
{
    const char *libc = in_libc(), *program = in_program();

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            assert_true(provider_is_caller("getppid", libc + i));
            assert_ptr_equal(provider_function("getppid", libc + i), dlsym(libc_handle, "getppid"));
            assert_ptr_equal(provider_function("getuid", program + i % 16), dlsym(libc_handle, "getuid"));
        }
        provider_forget();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_provider_finds_a_library_s_function),
        cmocka_unit_test(test_provider_knows_who_calls_itself),
        cmocka_unit_test(test_provider_has_a_stand_in),
        cmocka_unit_test(test_provider_answers_many_callers),
    };

    libc_handle = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
