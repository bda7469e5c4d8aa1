/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/routes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *find(const struct routes *routes, const char *path)
{
    const char *route = routes_find(routes, path, strlen(path));

    return route != NULL ? route : "-";
}

static void test_routes_fits_segment_by_segment(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool fits;
    } rows[] = {
        {"/", "/", true},
        {"/", "/a", false},
        {"/users", "/users", true},
        {"/users", "/users/", false},
        {"/users", "/Users", false},
        {"/users", "/users2", false},
        {"/users", "/user", false},
        {"/users/", "/users/", true},
        {"/users/", "/users", false},
        {"/users/{id}", "/users/7", true},
        {"/users/{id}", "/users/a%2Fb", true},
        {"/users/{id}", "/users/", false},
        {"/users/{id}", "/users", false},
        {"/users/{id}", "/users/7/", false},
        {"/users/{id}", "/users/7/x", false},
        {"/orders/{id}/items/{item}", "/orders/1/items/2", true},
        {"/orders/{id}/items/{item}", "/orders/1/lines/2", false},
        {"/orders/*/items", "/orders/1/items", true},
        {"/orders/*/items", "/orders//items", false},
        {"/files/{path...}", "/files/a/b/c", true},
        {"/files/{path...}", "/files/", true},
        {"/files/{path...}", "/files", false},
        {"/static/*", "/static/css/a.css", true},
        {"/static/*", "/static/", true},
        {"/*", "/", true},
        {"/*", "*", false},
        {"/caf\xc3\xa9", "/caf%C3%a9", true},
        {"/caf%c3%A9", "/caf\xc3\xa9", true},
        {"/a b", "/a%20b", false}, /* no pattern */
        {"/a%20b", "/a%20b", true},
        {"/a", "/%61", true},
        {"/a%2Fb", "/a/b", false},
        {"/a/b", "/a%2Fb", false},
        {"/a%", "/a%", true},
        {"/a%4", "/a%4", true},
        {"/a", "/a%", false},
        {"/ab", "/a", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct routes *routes = routes_new();

        assert_non_null(routes);
        (void)routes_add(routes, rows[i].pattern);
        if ((routes_find(routes, rows[i].path, strlen(rows[i].path)) != NULL) != rows[i].fits)
            fail_msg("%s %s", rows[i].pattern, rows[i].path);
        routes_free(routes);
    }
}

/* Whatever the order in which they are given. */
static void test_routes_prefers_the_more_specific(void **state)
{
    static const char *const patterns[] = {
        "/*", "/users", "/users/*", "/users/{id}", "/users/me", "/users/{id}/posts", "/users/me/*", "/{a}/{b}/posts",
    };
    static const char *const paths[][2] = {
        {"/", "/*"},
        {"/x", "/*"},
        {"/users", "/users"},
        {"/users/", "/users/*"},
        {"/users/7", "/users/{id}"},
        {"/users/me", "/users/me"},
        {"/users/7/posts", "/users/{id}/posts"},
        {"/users/me/posts", "/users/me/*"},
        {"/users/7/x", "/users/*"},
        {"/teams/7/posts", "/{a}/{b}/posts"},
        {"/teams/7/x", "/*"},
    };

    (void)state;
    for (size_t first = 0; first < COUNT(patterns); first++)
        for (size_t step = 1; step < COUNT(patterns); step += 2) { /* coprime with their number: all come */
            struct routes *routes = routes_new();

            for (size_t i = 0; i < COUNT(patterns); i++)
                assert_int_equal(routes_add(routes, patterns[(first + i * step) % COUNT(patterns)]), 0);
            for (size_t i = 0; i < COUNT(paths); i++)
                assert_string_equal(find(routes, paths[i][0]), paths[i][1]);
            routes_free(routes);
        }
}

static void test_routes_takes_the_first_of_equals(void **state)
{
    struct routes *routes = routes_new();

    (void)state;
    assert_int_equal(routes_add(routes, "/users/{id}"), 0);
    assert_int_equal(routes_add(routes, "/users/{name}"), 0);
    assert_int_equal(routes_add(routes, "/users/{id}"), 0);
    assert_string_equal(find(routes, "/users/7"), "/users/{id}");
    assert_string_equal(find(routes, ""), "-");
    routes_free(routes);
    routes_free(NULL);
}

static void test_routes_refuses_what_is_no_pattern(void **state)
{
    static const char *const bad[] = {
        "",       "users",     "*",       "/a b",       "/{",      "/}",    "/{}",    "/{id",
        "/{...}", "/{a...}/b", "/{a}{b}", "/v{id}",     "/{id}.x", "/a*",   "/**",    "/a?b",
        "/a#b",   "/\xff",     "/a\tb",   "http://a/b", "/{a{b}}", "/{a*}", "/{a/b}", "GET /a",
    };
    struct routes *routes = routes_new();
    char text[ROUTES_LENGTH_MAX + 2];

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (routes_add(routes, bad[i]) != -EINVAL)
            fail_msg("%s", bad[i]);
    memset(text, '/', sizeof(text));
    text[ROUTES_LENGTH_MAX + 1] = '\0';
    assert_int_equal(routes_add(routes, text), -EINVAL);
    text[ROUTES_LENGTH_MAX] = '\0';
    assert_int_equal(routes_add(routes, text), 0);
    routes_free(routes);
}

static void test_routes_has_an_end(void **state)
{
    struct routes *routes = routes_new();
    char text[16];

    (void)state;
    for (int i = 0; i < ROUTES_MAX; i++) {
        snprintf(text, sizeof(text), "/%d", i);
        assert_int_equal(routes_add(routes, text), 0);
    }
    assert_int_equal(routes_add(routes, "/x"), -E2BIG);
    assert_string_equal(find(routes, "/255"), "/255");
    assert_string_equal(find(routes, "/x"), "-");
    routes_free(routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes_fits_segment_by_segment),
        cmocka_unit_test(test_routes_prefers_the_more_specific),
        cmocka_unit_test(test_routes_takes_the_first_of_equals),
        cmocka_unit_test(test_routes_refuses_what_is_no_pattern),
        cmocka_unit_test(test_routes_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
