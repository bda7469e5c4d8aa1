/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/env_file.h"

#include "exporters/cli/environment.h"
#include "preload/env_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
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
    assert_value("\tA\t=\t1\t\n", "1");
    assert_value("A=\n", "");
    assert_value("A=", "");
    assert_value("A=   \nB=1\n", "");
    assert_value("A=x=y\n", "x=y");
    assert_value("A=1\r\nB=2\r\n", "1");
    assert_value("A=first\nA=second\n", "second");
    assert_value("A=$HOME ${B} `id` %h\n", "$HOME ${B} `id` %h");
    assert_value("_a1=x\nA=\xc3\xa9\n", "\xc3\xa9");
}

static void test_env_file_skips_comments(void **state)
{
    (void)state;
    assert_value("# A=no\n; A=no\nA=yes\n", "yes");
    assert_value("  # A=no\n\t; A=no\nA=yes\n", "yes");
    assert_value("# does not go on \\\nA=yes\n", "yes"); /* as of systemd 254 */
    assert_value("A=1 # kept ; too\n", "1 # kept ; too");
    assert_value("A=#1\n", "#1");
    assert_value("#", NULL);
}

static void test_env_file_reads_quotes(void **state)
{
    (void)state;
    assert_value("A=\"one  two \"\n", "one  two ");
    assert_value("A='a \\ \"b\" '\n", "a \\ \"b\" ");
    assert_value("A=\"a \\\" \\\\ \\$ \\` \\n 'x'\"\n", "a \" \\ $ ` \\n 'x'");
    assert_value("A=\"over\nlines\"\n", "over\nlines");
    assert_value("A='over\nlines \\\n'\n", "over\nlines \\\n");
    assert_value("A='a'\"b\"  'c' \n", "abc");
    assert_value("A='quoted ' then bare \n", "quoted then bare");
    assert_value("A=bare\"and'literal\n", "bare\"and'literal");
    assert_value("A='never closed\nB=1\n", "never closed\nB=1\n");
    assert_value("A=\"\"\n", "");
}

static void test_env_file_continues_lines(void **state)
{
    (void)state;
    assert_value("A=one\\\ntwo\n", "onetwo");
    assert_value("A=one \\\n  two\n", "one   two");
    assert_value("A=\"one\\\ntwo\"\n", "onetwo");
    assert_value("A=\\\n'one'\n", "'one'");
    assert_value("A=a\\ b\\\\c\\n\\ \n", "a b\\cn ");
    assert_value("A=end\\", "end");
    assert_value("A=\"end\\", "end");
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

/* As systemd does: the rest of the file counts. */
static void test_env_file_passes_over_what_is_no_assignment(void **state)
{
    static const char *const wrong[] = {"B", "=1", "1B=x", "B C=1", "export B=1", "B-C=1", "B=\x01", "B='\x7f'"};
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct environment env;
        size_t len = (size_t)snprintf(text, sizeof(text), "%s\nA=1\n", wrong[i]);

        assert_int_equal(load(text, len, &env), 0);
        assert_int_equal(env.count, 2); /* GIVEN and A */
        assert_string_equal(environment_get(&env, "A"), "1");
        environment_deinit(&env);
    }
}

static void test_env_file_counts_lines(void **state)
{
    char text[] = "# 1\nA='2\n3'\n\nwrong\n\nB=\\\n8\nwrong";
    static const unsigned lines[] = {2, 5, 7, 9};
    struct env_file file = env_file_open(text);
    char *entry;
    unsigned line;

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(env_file_next(&file, &entry, &line), i % 2 ? ENV_FILE_INVALID : ENV_FILE_ENTRY);
        assert_int_equal(line, lines[i]);
    }
    assert_int_equal(env_file_next(&file, &entry, &line), ENV_FILE_END);
    assert_int_equal(env_file_next(&file, &entry, &line), ENV_FILE_END);
}

static void test_env_file_refuses_what_it_cannot_read(void **state)
{
    struct environment env;

    (void)state;
    assert_int_equal(load("A=1\0B=2\n", 8, &env), -EILSEQ);
    environment_deinit(&env);
    env = (struct environment){0};
    assert_int_equal(env_file_load(&env, "/nonexistent/file"), -ENOENT);
    assert_int_equal(env_file_load(&env, "-/nonexistent/file"), 0);
    assert_int_equal(env_file_load(&env, "-/"), -EISDIR);
}

static void test_env_file_adds_the_systems_defaults(void **state)
{
    char path[] = "/tmp/spanshim-test-env-XXXXXX";
    char *large = calloc(1, ENV_FILE_SYSTEM_MAX + 1);
    int fd = mkstemp(path);
    struct environment env = {0};

    (void)state;
    assert_int_equal(write(fd, "A=system\nB=system\n", 18), 18);
    environment_set(&env, ENV_FILE_SYSTEM_VARIABLE, path);
    environment_set(&env, "B", "");
    env_file_load_system(&env);
    assert_string_equal(environment_get(&env, "A"), "system");
    assert_string_equal(environment_get(&env, "B"), "");

    memset(large, '\n', ENV_FILE_SYSTEM_MAX + 1); /* too large with what is there */
    assert_int_equal(write(fd, large, ENV_FILE_SYSTEM_MAX + 1), ENV_FILE_SYSTEM_MAX + 1);
    environment_unset(&env, "A");
    env_file_load_system(&env);
    assert_null(environment_get(&env, "A"));
    environment_set(&env, ENV_FILE_SYSTEM_VARIABLE, "none");
    env_file_load_system(&env);
    assert_int_equal(env.count, 2);

    environment_deinit(&env);
    free(large);
    (void)close(fd);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_file_reads_values),
        cmocka_unit_test(test_env_file_skips_comments),
        cmocka_unit_test(test_env_file_reads_quotes),
        cmocka_unit_test(test_env_file_continues_lines),
        cmocka_unit_test(test_env_file_loses_to_the_environment),
        cmocka_unit_test(test_env_file_passes_over_what_is_no_assignment),
        cmocka_unit_test(test_env_file_counts_lines),
        cmocka_unit_test(test_env_file_refuses_what_it_cannot_read),
        cmocka_unit_test(test_env_file_adds_the_systems_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
