/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char home[] = "/tmp/test_crash_store.XXXXXX";
static char folder[sizeof(home) + 32];

static void name_of(int number, char uuid[40])
{
    (void)snprintf(uuid, 40, "00000000-0000-4000-8000-%012x", (unsigned)number);
}

static void path_of(int number, char path[128])
{
    char uuid[40];

    name_of(number, uuid);
    (void)snprintf(path, 128, "%s/%s.json", folder, uuid);
}

static void keep(int number)
{
    char uuid[40];
    json_t *report;

    name_of(number, uuid);
    report = json_pack("{s:s}", "uuid", uuid);
    crash_store_keep(report);
    json_decref(report);
}

/* As if it had been written so many seconds ago. */
static void make_older(int number, time_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    char path[128];

    path_of(number, path);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_kept(int number)
{
    char path[128];

    path_of(number, path);
    return access(path, F_OK) == 0;
}

static void test_crash_store_keeps_the_newest_by_number(void **state)
{
    (void)state;
    for (int i = 0; i < CRASH_STORE_FILES_MAX; i++) {
        keep(i);
        make_older(i, 1000 - i);
    }
    assert_true(is_kept(0));
    keep(CRASH_STORE_FILES_MAX);
    assert_false(is_kept(0));
    assert_true(is_kept(1));
    assert_true(is_kept(CRASH_STORE_FILES_MAX));
}

static void test_crash_store_forgets_by_age(void **state)
{
    (void)state;
    keep(100);
    make_older(100, (time_t)(CRASH_STORE_DAYS_MAX + 1) * 86400);
    keep(101);
    assert_false(is_kept(100));
    assert_true(is_kept(101));
}

static void test_crash_store_forgets_by_size(void **state)
{
    const off_t part = ((off_t)CRASH_STORE_MB_MAX << 20) / 3;

    (void)state;
    for (int i = 200; i < 204; i++) {
        char path[128];

        keep(i);
        path_of(i, path);
        assert_int_equal(truncate(path, part), 0);
        make_older(i, 300 - i);
    }
    keep(204);
    assert_true(is_kept(204) && is_kept(203) && is_kept(202));
    assert_false(is_kept(201) || is_kept(200));
}

static void test_crash_store_takes_no_path_for_a_uuid(void **state)
{
    json_t *report = json_pack("{s:s}", "uuid", "../../../../../../tmp/elsewhere-0000-00000000");

    (void)state;
    crash_store_keep(report);
    json_decref(report);
    assert_null(crash_store_load("../crashes/00000000-0000-4000-8000-0"));
}

/* Whatever has the name of a report: a pipe would be waited for, and a large file read for long. */
static void test_crash_store_loads_plain_files(void **state)
{
    char path[128], uuid[40];
    json_t *report;

    (void)state;
    name_of(300, uuid);
    path_of(300, path);
    keep(300);
    report = crash_store_load(uuid);
    assert_non_null(report);
    json_decref(report);
    assert_int_equal(truncate(path, (off_t)1 << 30), 0);
    assert_null(crash_store_load(uuid));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(crash_store_load(uuid));
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_store_keeps_the_newest_by_number),
        cmocka_unit_test(test_crash_store_loads_plain_files),
        cmocka_unit_test(test_crash_store_forgets_by_age),
        cmocka_unit_test(test_crash_store_forgets_by_size),
        cmocka_unit_test(test_crash_store_takes_no_path_for_a_uuid),
    };
    char command[64];
    int status;

    if (!mkdtemp(home) || setenv("XDG_STATE_HOME", home, 1))
        return EXIT_FAILURE;
    (void)snprintf(folder, sizeof(folder), "%s/spanshim/crashes", home);
    status = cmocka_run_group_tests(tests, NULL, NULL);
    (void)snprintf(command, sizeof(command), "rm -r %s", home);
    return system(command) || status; /* NOLINT: our own folder */
}
