/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/console_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
/* 2023-11-14 22:13:20.125 UTC */
#define BASE (UINT64_C(1700000000125) * MS)

static const uint8_t trace_id[16] = {0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6,
                                     0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36};

static struct console_span span(uint8_t id, uint8_t parent, uint64_t start_ms, uint64_t end_ms, const char *service,
                                const char *name)
{
    return (struct console_span){
        .span_id = {id},
        .parent_id = {parent},
        .start_ns = BASE + start_ms * MS,
        .end_ns = BASE + end_ms * MS,
        .status = 200,
        .service = (char *)(uintptr_t)service,
        .name = (char *)(uintptr_t)name,
        .name_length = strlen(name),
    };
}

static char *print(struct console_span *spans, size_t count, unsigned width, bool colours,
                   struct console_columns *columns)
{
    struct console_columns fresh = {0};
    struct console_style style = {.width = width, .colours = colours};
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    console_tree_print(out, trace_id, spans, count, &style, columns != NULL ? columns : &fresh);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void check(struct console_span *spans, size_t count, unsigned width, const char *expected)
{
    char *text = print(spans, count, width, false, NULL);

    assert_string_equal(text, expected);
    free(text);
}

static void test_console_tree_puts_children_under_parents_with_bars_in_time(void **state)
{
    struct console_span spans[] = {
        span(3, 2, 30, 40, "stock", "GET /stock/1"),
        span(1, 0, 0, 100, "nginx", "GET /orders?page=2"),
        span(4, 1, 80, 90, "orders", "POST /log"),
        span(2, 1, 20, 70, "orders", "GET /orders?page=2"),
    };

    (void)state;
    spans[0].status = 503;
    check(spans, 4, 90,
          "trace 4bf92f3577b34da6a3ce929d0e0e4736  22:13:20.125  4 spans  100 ms\n"
          "  nginx   GET /orders?page=2                200    100 ms  ███████████████████████████████\n"
          "  orders  └ GET /orders?page=2              200   50.0 ms        ████████████████\n"
          "  stock     └ GET /stock/1                  503   10.0 ms           ███\n"
          "  orders  └ POST /log                       200   10.0 ms                          ████\n");
}

static void test_console_tree_marks_remote_parents_and_errors(void **state)
{
    struct console_span spans[] = {span(1, 9, 0, 1, "shop", "GET /"), span(2, 8, 1, 2, "shop", "GET /x")};

    (void)state;
    spans[1].error = (char *)(uintptr_t) "client_closed";
    spans[0].status = 0;
    check(spans, 2, 90,
          "trace 4bf92f3577b34da6a3ce929d0e0e4736  22:13:20.125  2 spans  2.0 ms\n"
          "  shop  GET / (remote parent)             -                    1.0 ms  ██████████\n"
          "  shop  GET /x (remote parent)            200 client_closed    1.0 ms           ██████████\n");
}

/* What the program asks of others stands under what it was asked; a parent of its own that has not come is no remote
 * one. */
static void test_console_tree_shows_requests_that_are_made(void **state)
{
    struct console_span spans[] = {
        span(4, 1, 60, 90, "shop", "→ GET stock:8000/items/2"),
        span(1, 9, 0, 100, "shop", "GET /orders"),
        span(3, 2, 15, 45, "stock", "GET /items/1"),
        span(2, 1, 10, 50, "shop", "→ GET stock:8000/items/1"),
        span(5, 8, 95, 98, "shop", "→ GET mail:25/"),
    };

    (void)state;
    spans[0].is_parent_local = spans[3].is_parent_local = spans[4].is_parent_local = true;
    spans[0].status = 0;
    spans[0].error = (char *)(uintptr_t) "connection_\x1brefused";
    check(spans, 5, 90,
          "trace 4bf92f3577b34da6a3ce929d0e0e4736  22:13:20.125  5 spans  100 ms\n"
          "  shop   GET /orders (remote parent)       200                       100 ms  █████████████\n"
          "  shop   └ → GET stock:8000/items/1        200                      40.0 ms   ██████\n"
          "  stock    └ GET /items/1                  200                      30.0 ms   █████\n"
          "  shop   └ → GET stock:8000/items/2        connection_\\x1brefused   30.0 ms         █████\n"
          "  shop   → GET mail:25/ (parent not seen)  200                       3.0 ms              █\n");
}

static void test_console_tree_knows_when_it_is_whole(void **state)
{
    struct console_span spans[] = {span(1, 9, 0, 1, "shop", "GET /"), span(2, 1, 0, 1, "shop", "→ GET a/"),
                                   span(3, 0, 0, 1, "shop", "→ GET a/")};

    (void)state;
    spans[1].is_parent_local = spans[2].is_parent_local = true;
    assert_true(console_tree_is_whole(spans, 3));
    assert_false(console_tree_is_whole(spans + 1, 2)); /* what it was made for goes on */
    assert_true(console_tree_is_whole(spans + 2, 1));
}

static void test_console_tree_escapes_what_steers_terminals(void **state)
{
    static const char name[] = "GET /\x1b[2J\n\x7f\xc2\x9b\xe2\x80\xae\xff\xc3\xa4\0x";
    struct console_span spans[] = {span(1, 0, 0, 0, "a\rb", name)};

    (void)state;
    spans[0].name_length = sizeof(name) - 1;
    char *text = print(spans, 1, 120, false, NULL);
    assert_non_null(strstr(text, "a\\x0db"));
    assert_non_null(strstr(text, "GET /\\x1b[2J\\x0a\\x7f\\x9b\\u202e\\xff\xc3\xa4\\x00x"));
    for (const char *p = text; *p != '\0'; p++)
        assert_true((unsigned char)*p >= 0x20 || *p == '\n');
    free(text);
}

static void test_console_tree_fits_the_width(void **state)
{
    char name[400];

    (void)state;
    (void)memcpy(name, "GET /", 5);
    memset(name + 5, 'x', sizeof(name) - 5);
    name[sizeof(name) - 1] = '\0';
    for (unsigned width = 80; width <= 200; width += 7) {
        struct console_span spans[] = {span(1, 0, 0, 100, "shop", name), span(2, 1, 10, 20, "shop", name)};
        char *text = print(spans, 2, width, false, NULL);
        unsigned columns = 0;

        assert_non_null(strstr(text, "xxx…  200"));
        for (const char *p = strchr(text, '\n') + 1; *p != '\0'; p++) {
            columns = *p == '\n' ? 0 : columns + (((unsigned char)*p & 0xc0) != 0x80);
            assert_true(columns <= width);
        }
        free(text);
    }
}

static void test_console_tree_aligns_with_the_trace_before(void **state)
{
    struct console_span first[] = {span(1, 0, 0, 9, "a-long-service", "GET /a/long/path/of/thirty-six/chars")};
    struct console_span second[] = {span(1, 0, 0, 9, "shop", "GET /")};
    struct console_columns columns = {0};

    (void)state;
    char *one = print(first, 1, 100, false, &columns);
    char *other = print(second, 1, 100, false, &columns);
    assert_int_equal(strstr(one, "  200 ") - strchr(one, '\n'), strstr(other, "  200 ") - strchr(other, '\n'));
    free(one);
    free(other);
}

static void test_console_tree_colours_only_when_asked(void **state)
{
    struct console_span spans[] = {span(1, 0, 0, 9, "shop", "GET /")};

    (void)state;
    char *text = print(spans, 1, 100, true, NULL);
    assert_non_null(strstr(text, "\033[32m"));
    free(text);
    text = print(spans, 1, 100, false, NULL);
    assert_null(strchr(text, '\033'));
    free(text);
}

static void test_console_tree_writes_durations_for_people(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {{0, "0 µs"},          {999999, "999 µs"},    {12300000, "12.3 ms"}, {99960000, "100 ms"},
                 {850 * MS, "850 ms"}, {1234 * MS, "1.23 s"}, {250000 * MS, "250 s"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct console_span one = span(1, 0, 0, 0, "shop", "GET /");
        one.end_ns = one.start_ns + cases[i].ns;
        char *text = print(&one, 1, 100, false, NULL);
        char *wanted;
        assert_true(asprintf(&wanted, " %s  ", cases[i].text) > 0);
        if (strstr(text, wanted) == NULL)
            fail_msg("%s is not in: %s", wanted, text);
        free(wanted);
        free(text);
    }
}

/* Ids in a ring, a span that is its own parent, ids that repeat: each span is shown once. */
static void test_console_tree_survives_hostile_ids(void **state)
{
    struct console_span spans[] = {
        span(1, 2, 0, 1, "a", "GET /1"), span(2, 1, 0, 1, "a", "GET /2"), span(3, 3, 0, 1, "a", "GET /3"),
        span(4, 0, 0, 1, "a", "GET /4"), span(4, 0, 0, 1, "a", "GET /5"),
    };

    (void)state;
    char *text = print(spans, 5, 100, false, NULL);
    for (char n = '1'; n <= '5'; n++) {
        char wanted[] = {'/', n, ' ', '\0'};
        char *found = strstr(text, wanted);
        assert_non_null(found);
        assert_null(strstr(found + 1, wanted));
    }
    free(text);
}

static int use_utc(void **state)
{
    (void)state;
    return setenv("TZ", "UTC", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_console_tree_puts_children_under_parents_with_bars_in_time),
        cmocka_unit_test(test_console_tree_marks_remote_parents_and_errors),
        cmocka_unit_test(test_console_tree_shows_requests_that_are_made),
        cmocka_unit_test(test_console_tree_knows_when_it_is_whole),
        cmocka_unit_test(test_console_tree_escapes_what_steers_terminals),
        cmocka_unit_test(test_console_tree_fits_the_width),
        cmocka_unit_test(test_console_tree_aligns_with_the_trace_before),
        cmocka_unit_test(test_console_tree_colours_only_when_asked),
        cmocka_unit_test(test_console_tree_writes_durations_for_people),
        cmocka_unit_test(test_console_tree_survives_hostile_ids),
    };

    return cmocka_run_group_tests(tests, use_utc, NULL);
}
