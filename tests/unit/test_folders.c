/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that are missing are made, private; what is there is left as it is. */
#include "exporters/agent/folders.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/spanshim-folders.XXXXXX";
static char path[PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    memcpy(strrchr(root, '.'), ".XXXXXX", 8);
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (const char *name = "/a/b\0/a\0"; *name; name += strlen(name) + 1) {
        (void)snprintf(path, sizeof(path), "%s%s", root, name);
        (void)remove(path);
    }
    return rmdir(root);
}

static const char *in_root(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

/* 0: there is none. */
static unsigned mode_of(const char *name)
{
    struct stat status;

    return stat(in_root(name), &status) == 0 && S_ISDIR(status.st_mode) ? status.st_mode & 0777 : 0;
}

static void test_folders_all_that_are_missing_are_made_private(void **state)
{
    (void)state;
    assert_int_equal(folders_make(in_root("a/b")), 0);
    assert_int_equal(mode_of("a"), 0700);
    assert_int_equal(mode_of("a/b"), 0700);
    assert_int_equal(folders_make(in_root("a/b")), 0);
}

static void test_folders_for_a_file_its_name_is_none_of_them(void **state)
{
    (void)state;
    assert_int_equal(folders_make_for(in_root("a/b")), 0);
    assert_int_equal(mode_of("a"), 0700);
    assert_int_equal(mode_of("a/b"), 0);
}

static void test_folders_what_is_there_stays_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_root("a"), 0755), 0);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(folders_make(in_root("a/b")), 0);
    assert_int_equal(mode_of("a"), 0755);
}

static void test_folders_that_cant_be_made_are_an_error(void **state)
{
    char longest[PATH_MAX + 1];
    FILE *file = fopen(in_root("a"), "w");

    (void)state;
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(folders_make(in_root("a/b")), -ENOTDIR);
    memset(longest, 'x', PATH_MAX);
    longest[0] = '/';
    longest[PATH_MAX] = '\0';
    assert_int_equal(folders_make(longest), -ENAMETOOLONG);
    assert_int_equal(folders_make_for(longest), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folders_all_that_are_missing_are_made_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders_for_a_file_its_name_is_none_of_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders_what_is_there_stays_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders_that_cant_be_made_are_an_error, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
