/* SPDX-License-Identifier: Apache-2.0 */
/* What the interpreters here print (tests/data/tracebacks/NAME.txt), and what is read from it (NAME.expected: with
 * WRITE_EXPECTED set it is written anew). */
#include "exporters/traceback/traceback.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER SPANSHIM_TEST_DATA "/tracebacks/"

static char *read_file(const char *name, const char *ending, size_t *ret_length)
{
    char path[512], *text = calloc(1, 64 << 10);
    FILE *file;

    (void)snprintf(path, sizeof(path), FOLDER "%s%s", name, ending);
    file = fopen(path, "re");
    assert_non_null(text);
    if (!file)
        fail_msg("no %s", path);
    *ret_length = fread(text, 1, (64 << 10) - 1, file);
    (void)fclose(file);
    return text;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void print_frame(FILE *out, const json_t *frame)
{
    json_int_t line = json_integer_value(json_object_get(frame, "line"));
    json_int_t column = json_integer_value(json_object_get(frame, "column"));

    (void)fprintf(out, "  %s [%s%s:%d:%d] %s\n", text_of(frame, "function"), text_of(frame, "module"),
                  text_of(frame, "file"), (int)line, (int)column, text_of(frame, "code"));
}

static char *print(const json_t *found)
{
    const json_t *error, *frame, *errors = json_object_get(found, "errors");
    char *text = NULL;
    size_t length, i, n;
    FILE *out = open_memstream(&text, &length);

    (void)fprintf(out, "%s %s\n", text_of(found, "language"), text_of(found, "framework"));
    json_array_foreach(errors, i, error)
    {
        (void)fprintf(out, "%s | %s\n", text_of(error, "class"), text_of(error, "message"));
        json_array_foreach(json_object_get(error, "frames"), n, frame)
        {
            print_frame(out, frame);
        }
    }
    (void)fclose(out);
    return text;
}

static void write_expected(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), FOLDER "%s.expected", name);
    file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void check(const char *name)
{
    size_t length;
    char *text = read_file(name, ".txt", &length), *expected, *printed;
    json_t *found = traceback_read((struct slice){text, length});

    printed = print(found);
    if (getenv("WRITE_EXPECTED"))
        write_expected(name, printed);
    expected = read_file(name, ".expected", &length);
    if (strcmp(printed, expected) != 0)
        fail_msg("%s: found\n%s", name, printed);
    free(text);
    free(expected);
    free(printed);
    json_decref(found);
}

static void test_traceback_reads_what_interpreters_print(void **state)
{
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;
    size_t count = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char *ending = strstr(entry->d_name, ".txt");

        if (ending) {
            *ending = '\0';
            check(entry->d_name);
            count++;
        }
    }
    (void)closedir(folder);
    assert_true(count >= 20);
}

/* Cut anywhere, at an end that can't be read over. */
static void test_traceback_reads_nothing_behind_the_end(void **state)
{
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char *ending = strstr(entry->d_name, ".txt"), *text;
        size_t length;

        if (!ending)
            continue;
        *ending = '\0';
        text = read_file(entry->d_name, ".txt", &length);
        for (size_t cut = 0; cut < length; cut += 7) {
            char *exact = malloc(cut + 1);

            assert_non_null(exact);
            memcpy(exact, text, cut);
            json_decref(traceback_read((struct slice){exact, cut}));
            free(exact);
        }
        free(text);
    }
    (void)closedir(folder);
}

static void test_traceback_takes_no_other_line(void **state)
{
    static const char *const lines[] = {
        "",
        "listening at 127.0.0.1 line 3",
        "Use of uninitialized value $x in addition (+) at app.pl line 3.",
        "    at rest\n    at work",
        "PHP Warning:  Undefined variable $x in /srv/a.php on line 2",
        "started goroutine 5",
        "config.c:10:in order",
        "Traceback (most recent call last):",
        "Stack trace:\n#0 ",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        json_t *found = traceback_read((struct slice){lines[i], strlen(lines[i])});

        if (found)
            fail_msg("%s", lines[i]);
    }
}

static void test_traceback_leaves_out_the_middle(void **state)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    json_t *found, *frames, *error;

    (void)state;
    (void)fputs("TypeError: deep\n", out);
    for (int i = 1; i <= 300; i++)
        (void)fprintf(out, "    at f%d (/srv/app.js:%d:1)\n", i, i);
    (void)fclose(out);
    found = traceback_read((struct slice){text, length});
    error = json_array_get(json_object_get(found, "errors"), 0);
    frames = json_object_get(error, "frames");
    assert_int_equal(json_array_size(frames), TRACEBACK_FRAMES_MAX);
    assert_int_equal(json_integer_value(json_object_get(error, "frames_left_out")), 200);
    assert_string_equal(text_of(json_array_get(frames, 0), "function"), "f1");
    assert_string_equal(text_of(json_array_get(frames, TRACEBACK_FRAMES_MAX - 1), "function"), "f300");
    json_decref(found);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceback_reads_what_interpreters_print),
        cmocka_unit_test(test_traceback_reads_nothing_behind_the_end),
        cmocka_unit_test(test_traceback_takes_no_other_line),
        cmocka_unit_test(test_traceback_leaves_out_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
