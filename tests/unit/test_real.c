/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_real_name_is_the_symbols(void **state)
{
    (void)state;
    assert_string_equal(real_name(HOOK_close), "close");
    assert_string_equal(real_name(HOOK___ppoll_chk), "__ppoll_chk");
    assert_string_equal(real_name(HOOK_COUNT - 1), "curl_multi_cleanup");
    assert_ptr_equal(real_name(HOOK_read), real_name(HOOK_read));
}

static void test_real_stand_in_makes_the_call(void **state)
{
    int pipe_ends[2];
    ssize_t (*stand_in_read)(int, void *, size_t) = real_stand_in(HOOK_read);
    ssize_t (*stand_in_write)(int, const void *, size_t) = real_stand_in(HOOK_write);
    char bytes[8];

    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    errno = EDOM;
    assert_int_equal(stand_in_write(pipe_ends[1], "abc", 3), 3);
    assert_int_equal(stand_in_read(pipe_ends[0], bytes, sizeof(bytes)), 3);
    assert_memory_equal(bytes, "abc", 3);
    assert_int_equal(errno, EDOM);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_int_equal(stand_in_read(-1, bytes, sizeof(bytes)), -1);
    assert_int_equal(errno, EBADF);
}

/* All six arguments: splice() from one pipe to another. */
static void test_real_stand_in_passes_six_arguments(void **state)
{
    int from[2], to[2];
    ssize_t (*stand_in_splice)(int, off_t *, int, off_t *, size_t, unsigned) = real_stand_in(HOOK_splice);
    char bytes[8];

    (void)state;
    assert_int_equal(pipe(from), 0);
    assert_int_equal(pipe(to), 0);
    assert_int_equal(stand_in_splice(from[0], NULL, to[1], NULL, 8, SPLICE_F_NONBLOCK), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(write(from[1], "abcdef", 6), 6);
    assert_int_equal(stand_in_splice(from[0], NULL, to[1], NULL, 4, SPLICE_F_NONBLOCK), 4);
    assert_int_equal(read(to[0], bytes, sizeof(bytes)), 4);
    for (int i = 0; i < 2; i++) {
        close(from[i]);
        close(to[i]);
    }
}

static void test_real_stand_in_fails_without_a_call(void **state)
{
    int (*number)(void) = real_stand_in(HOOK_pthread_create);
    void *(*pointer)(void) = real_stand_in(HOOK_dlopen);

    (void)state;
    errno = 0;
    assert_int_equal(number(), -1);
    assert_int_equal(errno, ENOSYS);
    errno = 0;
    assert_null(pointer());
    assert_int_equal(errno, ENOSYS);
}

/* What libc defines is not looked for before it is called. */
static void test_real_early_finds_what_is_called(void **state)
{
    (void)state;
    assert_ptr_equal(real_early(HOOK_sendfile), dlsym(RTLD_NEXT, "sendfile")); /* before the start */
    assert_true(real_init());
    assert_null(real_table[HOOK_splice]);
    assert_ptr_equal(real_table[HOOK_syscall], dlsym(RTLD_NEXT, "syscall"));
    errno = EDOM;
    assert_ptr_equal(real_early(HOOK_splice), dlsym(RTLD_NEXT, "splice"));
    assert_int_equal(errno, EDOM);
    assert_ptr_equal(real_table[HOOK_splice], dlsym(RTLD_NEXT, "splice"));
    assert_ptr_equal(REAL(splice), real_table[HOOK_splice]);
    assert_ptr_equal(real_early(HOOK_curl_easy_perform), real_stand_in(HOOK_curl_easy_perform));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_name_is_the_symbols),
        cmocka_unit_test(test_real_stand_in_makes_the_call),
        cmocka_unit_test(test_real_stand_in_passes_six_arguments),
        cmocka_unit_test(test_real_stand_in_fails_without_a_call),
        cmocka_unit_test(test_real_early_finds_what_is_called),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
