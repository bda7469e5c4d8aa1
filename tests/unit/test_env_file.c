/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/env_file.h"

#include "exporters/cli/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Load this text on top of GIVEN=before. */
static int load(const char *text, size_t len, struct environment *env)
{
    char path[] = "/tmp/spanshim-test-env-XXXXXX";
    const char *envp[] = {"GIVEN=before", NULL};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    environment_init(env, envp);
    int err = env_file_load(env, path);
    (void)close(fd);
    (void)unlink(path);
    return err;
}

static void assert_value(const char *text, const char *expected)
{
    struct environment env;

    assert_int_equal(load(text, strlen(text), &env), 0);
    if (expected)
        assert_string_equal(environment_get(&env, "A"), expected);
    else
        assert_null(environment_get(&env, "A"));
    environment_deinit(&env);
}

static void test_env_file_reads_values(void **state)
{
    (void)state;
    assert_value("A=1\n", "1");
    assert_value("A=1", "1");
    assert_value("\n\n  A = one two  \n", "one two");
    assert_value("A=\n", "");
    assert_value("A=x=y\n", "x=y");
    assert_value("A=1\r\n", "1");
    assert_value("export A=1\n", "1");
    assert_value("A=first\nA=second\n", "second");
}

static void test_env_file_skips_comments(void **state)
{
    (void)state;
    assert_value("# A=no\n; A=no\nA=yes\n", "yes");
    assert_value("# goes on \\\nA=no\n", NULL);
    assert_value("A=1 # kept as systemd keeps it\n", "1 # kept as systemd keeps it");
}

static void test_env_file_reads_quotes(void **state)
{
    (void)state;
    assert_value("A=\"one  two \"\n", "one  two ");
    assert_value("A='a \\ \"b\" '\n", "a \\ \"b\" ");
    assert_value("A=\"a \\\" \\\\ \\$ \\n\"\n", "a \" \\ $ \\n");
    assert_value("A=\"over\nlines\"\n", "over\nlines");
    assert_value("A=bare\"and quoted\"'both'\n", "bareand quotedboth");
}

static void test_env_file_continues_lines(void **state)
{
    (void)state;
    assert_value("A=one\\\ntwo\n", "onetwo");
    assert_value("A=\"one\\\ntwo\"\n", "onetwo");
    assert_value("A=a\\ b\\\\c\n", "a b\\c");
    assert_value("A=end\\", "end");
}

static void test_env_file_loses_to_the_environment(void **state)
{
    struct environment env;
    const char text[] = "GIVEN=file\nGIVEN=again\nA=1\n";

    (void)state;
    assert_int_equal(load(text, strlen(text), &env), 0);
    assert_string_equal(environment_get(&env, "GIVEN"), "before");
    assert_string_equal(environment_get(&env, "A"), "1");
    environment_deinit(&env);
}

static void test_env_file_refuses_what_it_cannot_read(void **state)
{
    static const char *const wrong[] = {"A\n", "=1\n", "1A=x\n", "A B=1\n", "A='open\n", "A=\"open\\\"\n"};
    struct environment env;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(load(wrong[i], strlen(wrong[i]), &env), -EINVAL);
        environment_deinit(&env);
    }
    assert_int_equal(load("A=1\0B=2\n", 8, &env), -EILSEQ);
    environment_deinit(&env);
    env = (struct environment){0};
    assert_int_equal(env_file_load(&env, "/nonexistent/file"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_file_reads_values),
        cmocka_unit_test(test_env_file_skips_comments),
        cmocka_unit_test(test_env_file_reads_quotes),
        cmocka_unit_test(test_env_file_continues_lines),
        cmocka_unit_test(test_env_file_loses_to_the_environment),
        cmocka_unit_test(test_env_file_refuses_what_it_cannot_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
