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
#include <time.h>

#include <cmocka.h>

#define FOLDER SPANSHIM_TEST_DATA "/tracebacks/"

enum { LINE_LENGTH = 256 << 10 };

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

/* Nor in one that ends amid what points at a part of a line. */
static void test_traceback_reads_nothing_behind_a_pointer(void **state)
{
    static const char text[] = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    ^^^^";
    char *exact = malloc(sizeof(text) - 1);

    (void)state;
    assert_non_null(exact);
    memcpy(exact, text, sizeof(text) - 1);
    assert_null(traceback_read((struct slice){exact, sizeof(text) - 1}));
    free(exact);
}

static void fill(char *text, const char *start, const char *line)
{
    size_t length = strlen(line);

    for (size_t i = 0; i < LINE_LENGTH; i++)
        text[i] = line[i % length];
    memcpy(text, start, strlen(start));
}

/* Many lines, each of which may begin a message that ends far behind it, or is a call of an error that has no name. */
static void test_traceback_looks_behind_a_line_not_far(void **state)
{
    char *text = malloc(LINE_LENGTH);
    clock_t start = clock();

    (void)state;
    assert_non_null(text);
    fill(text, ":in \n", "Ab (\n");
    assert_null(traceback_read((struct slice){text, LINE_LENGTH}));
    fill(text, "E, [] -- : \n", "a:1:in 'b'\n");
    memset(text + 20, '-', LINE_LENGTH / 2);
    assert_null(traceback_read((struct slice){text, LINE_LENGTH}));
    assert_true((clock() - start) / (double)CLOCKS_PER_SEC < 2);
    free(text);
}

/* A line of 256 KiB, each word of which may be a class with a code behind it, is not searched from each word on: that
 * took as long as hundreds of other events. */
static void test_traceback_looks_at_the_start_of_a_line(void **state)
{
    char *text = malloc(LINE_LENGTH);
    clock_t start = clock();
    json_t *found;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < LINE_LENGTH; i += 4)
        memcpy(text + i, i == 0 ? ":in " : "b [ ", 4);
    for (int i = 0; i < 20; i++)
        assert_null(traceback_read((struct slice){text, LINE_LENGTH}));
    assert_true((clock() - start) / (double)CLOCKS_PER_SEC < 1);
    (void)strcpy(text, "Rack app (\"GET /\" - (::1)): a [b] TypeError [E_X]: no >");
    found = traceback_read((struct slice){text, strlen(text)});
    assert_string_equal(text_of(json_array_get(json_object_get(found, "errors"), 0), "class"), "TypeError");
    json_decref(found);
    free(text);
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
        "  File \"a.py\", line 3\nSyntaxError",
        "  File \"a.py\", line 3, in f\n    f()\nKeyError: 'b'",
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
        cmocka_unit_test(test_traceback_reads_nothing_behind_a_pointer),
        cmocka_unit_test(test_traceback_looks_behind_a_line_not_far),
        cmocka_unit_test(test_traceback_looks_at_the_start_of_a_line),
        cmocka_unit_test(test_traceback_takes_no_other_line),
        cmocka_unit_test(test_traceback_leaves_out_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
