/* SPDX-License-Identifier: Apache-2.0 */
/* What interpreters print for errors (tests/data/tracebacks) is one event each, however it was written. */
#include "exporters/agent/log_join.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER SPANSHIM_TEST_DATA "/tracebacks/"

enum { TEXT_MAX = 64 * 1024 };

/* An event is under way; how many there were. */
struct events {
    enum log_join join;
    bool is_busy;
    unsigned count;
};

/* A line is written; an empty one that no event takes is none. behind: what its call writes behind it. */
static void add(struct events *events, struct slice line, bool is_same_call, struct slice behind)
{
    if (events->is_busy && log_join_takes(&events->join, line, is_same_call))
        return;
    events->is_busy = line.length > 0;
    events->count += events->is_busy;
    events->join = log_join_begin(line, behind);
}

/* Texts with messages of several lines, and forms that can't be told by their first line alone: who prints them does it
 * by one call. */
static bool is_always_one_call(const char *name)
{
    static const char *const names[] = {"python_during",   "ruby_sinatra", "ruby_rails",
                                        "ruby_puma_lines", "ruby_rack",    "node_lines"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* A text's lines, each by a call of its own, or all by one. */
static void add_text(struct events *events, const char *text, bool is_one_call)
{
    struct slice rest = {text, strlen(text)}, line;

    rest.length -= rest.length > 0 && text[rest.length - 1] == '\n';
    for (bool is_first = true; slice_next(&rest, '\n', &line); is_first = false)
        add(events, line, is_one_call && !is_first, is_one_call && rest.bytes ? rest : (struct slice){"", 0});
}

static unsigned count_events(const char *before, const char *text, const char *after, bool is_one_call)
{
    struct events events = {0};

    add_text(&events, before, false);
    add_text(&events, text, is_one_call);
    add_text(&events, after, false);
    return events.count;
}

static const char *read_text(const char *name)
{
    static char text[TEXT_MAX];
    char path[512];

    (void)snprintf(path, sizeof(path), FOLDER "%s", name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    return text;
}

static void test_log_join_takes_each_traceback_as_one(void **state)
{
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;
    unsigned count = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        const char *suffix = strstr(entry->d_name, ".txt");

        if (!suffix)
            continue;
        const char *text = read_text(entry->d_name);
        for (int is_one_call = is_always_one_call(entry->d_name); is_one_call <= 1; is_one_call++) {
            unsigned events = count_events("before it\n", text, "after it\n", is_one_call);

            if (events != 3)
                print_error("%s, %s: %u\n", entry->d_name, is_one_call ? "one call" : "a call for each line", events);
            assert_int_equal(events, 3);
        }
        count++;
    }
    closedir(folder);
    assert_true(count > 20);
}

/* What loggers write above a traceback comes with it in one call. */
static void test_log_join_takes_what_a_logger_writes_above(void **state)
{
    static const char *const texts[] = {
        "[2026-11-21 02:53:00,123] ERROR in app: Exception on / [GET]\nTraceback (most recent call last):\n"
        "  File \"app.py\", line 3, in index\n    return 1 / 0\nsqlalchemy.exc.OperationalError: no such table\n"
        "[SQL: SELECT 1]\n(Background on this error at: https://sqlalche.me/e/20/e3q8)\n",
        "02:53:00.123 [main] ERROR c.e.App - failed\njava.lang.IllegalStateException: no\n\tat "
        "c.e.App.main(App.java:3)\n"
        "Caused by: java.io.IOException: gone\n\t... 3 more\n",
        "2026/11/21 02:53:00 http: panic serving 127.0.0.1:1234: boom\ngoroutine 5 [running]:\n"
        "net/http.(*conn).serve.func1()\n\t/usr/lib/go/src/net/http/server.go:1868 +0xb9\n",
        "2026-11-21 02:53:00 +0000 Rack app (\"GET /\" - (127.0.0.1)): #<RuntimeError: boom>\n"
        "/srv/config.ru:3:in `block in <main>'\n/usr/lib/ruby/rack.rb:12:in `call'\n",
        "Error handling request { GET / }\n#<RuntimeError: boom>\n/srv/config.ru:3:in 'call'\n",
        "[21-Nov-2026 02:53:00 UTC] PHP Fatal error:  Uncaught Exception: boom in /srv/x.php:3\nStack trace:\n#0 "
        "{main}\n"
        "  thrown in /srv/x.php on line 3\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unsigned events = count_events("before it\n", texts[i], "after it\n", true);

        if (events != 3)
            print_error("%s", texts[i]);
        assert_int_equal(events, 3);
    }
}

static void test_log_join_takes_blocks(void **state)
{
    (void)state;
    assert_int_equal(count_events("", "{\n  a: 1,\n  b: [\n    2\n  ]\n}\n", "after\n", false), 2);
    assert_int_equal(
        count_events("", "Exception in thread \"main\" java.lang.Error: x\n\tat a.B.c(B.java:1)\n", "", false), 1);
    assert_int_equal(count_events("",
                                  "Exception in thread Thread-1 (f):\nTraceback (most recent call last):\n"
                                  "  File \"x.py\", line 1\nValueError: x\n",
                                  "", false),
                     1);
}

static void test_log_join_leaves_lines_alone(void **state)
{
    static const char *const texts[] = {
        "one\ntwo\n",
        "=====================\nTitle\n",
        "one\n}\n",
        "ValueError: one\nValueError: two\n",
        "Traceback (most recent call last):\n  f\nE: x\nTraceback (most recent call last):\n  f\nE: x\n",
        "app.rb:3:in `f': boom (RuntimeError)\napp.rb:3:in `f': boom (RuntimeError)\n",
        "{\"level\":\"info\"}\n{\"level\":\"info\"}\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(count_events("", texts[i], "", false), 2);
    assert_int_equal(count_events("", "one\ntwo\n\nthree\n", "", true), 3);
    /* What a program has collected: one error's title and lines that are none's, then another error. */
    assert_int_equal(count_events("", "KeyError: no b\none\nPriceError: no\n\ta.rb:3:in `f'\n", "", true), 3);
    assert_int_equal(count_events("", "No::B: one\ntwo\n\ta.rb:3:in `f'\nNo::C: three\n\ta.rb:4:in `f'\n", "", true),
                     2);
    assert_int_equal(count_events("", "Note: one\ntwo\n", "", true), 2);
    assert_int_equal(count_events("", "I, [x] INFO -- : one\nI, [x] INFO -- : two\na.rb:3:in `f'\n", "", true), 2);
    assert_int_equal(count_events("", "Traceback (most recent call last):\n  File \"x\"\nE: x\nINFO: next\n", "", true),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_join_takes_each_traceback_as_one),
        cmocka_unit_test(test_log_join_takes_what_a_logger_writes_above),
        cmocka_unit_test(test_log_join_takes_blocks),
        cmocka_unit_test(test_log_join_leaves_lines_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
