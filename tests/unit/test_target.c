/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct row {
    const char *input;
    const char *expected; /* form scheme host port path ?query; NULL: none of the forms */
};

static void check(const struct row *row, bool is_connect)
{
    struct target target;
    char seen[512];
    bool fits = target_split(row->input, strlen(row->input), is_connect, &target);
    if (fits != (row->expected != NULL))
        fail_msg("%s: %d", row->input, fits);
    if (!fits)
        return;
    snprintf(seen, sizeof(seen), "%c %.*s %.*s %u %.*s %s%.*s", "oaA*"[target.form], (int)target.scheme.length,
             target.scheme.bytes, (int)target.host.length, target.host.bytes, target.port, (int)target.path.length,
             target.path.bytes, target.has_query ? "?" : "", (int)target.query.length, target.query.bytes);
    if (strcmp(seen, row->expected) != 0)
        fail_msg("%s: expected '%s', seen '%s'", row->input, row->expected, seen);
}

static void test_target_splits_every_form(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"/", "o   0 / "},
        {"/a/b", "o   0 /a/b "},
        {"/a?b=c", "o   0 /a ?b=c"},
        {"/a?", "o   0 /a ?"},
        {"/a?b?c", "o   0 /a ?b?c"},
        {"/a#f", "o   0 /a "},
        {"/a#f?x", "o   0 /a ?x"},
        {"/a?b#f", "o   0 /a ?b#f"},
        {"//h/p", "o   0 //h/p "},
        {"/http://h/p", "o   0 /http://h/p "},
        {"*", "*   0 * "},
        {"http://h", "a http h 0 / "},
        {"http://h/", "a http h 0 / "},
        {"http://h?q", "a http h 0 / ?q"},
        {"http://h#f", "a http h 0 / "},
        {"HTTPS://h:8443/p?q=http://x", "a HTTPS h 8443 /p ?q=http://x"},
        {"http://me:pw@h:1/p", "a http h 1 /p "},
        {"http://me@you@h/p", "a http h 0 /p "},
        {"http://[2001:db8::1]:80/p", "a http 2001:db8::1 80 /p "},
        {"x+y-z.1://h/", "a x+y-z.1 h 0 / "},
        {"http://h:/p", "a http h 0 /p "},
        {"", NULL},
        {"a", NULL},
        {"**", NULL},
        {"?a", NULL},
        {"http:/h", NULL},
        {"http:", NULL},
        {"://h", NULL},
        {"1http://h", NULL},
        {"http://", NULL},
        {"http:///p", NULL},
        {"http://h:65536/", NULL},
        {"http://h:8x/", NULL},
        {"http://[::1/", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], false);
}

static void test_target_splits_connect(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"h:443", "A  h 443  "},       {"[::1]:443", "A  ::1 443  "}, {"h", "A  h 0  "},
        {"me:pw@h:443", "A  h 443  "}, {"http://h/", NULL},           {"*:443", "A  * 443  "},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], true);
}

static void test_target_splits_authority(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        const char *host; /* NULL: none */
        unsigned port;
    } rows[] = {
        {"example.com", "example.com", 0},
        {"example.com:8080", "example.com", 8080},
        {"example.com:", "example.com", 0},
        {"example.com:0", "example.com", 0},
        {"example.com:65535", "example.com", 65535},
        {"example.com:00080", "example.com", 80},
        {"my_host-1", "my_host-1", 0},
        {"192.0.2.1:1", "192.0.2.1", 1},
        {"[::1]", "::1", 0},
        {"[::1]:1", "::1", 1},
        {"[fe80::1%25eth0]:1", "fe80::1", 1},
        {"b\xc3\xbc", "b\xc3\xbc", 0},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"h:65536", NULL, 0},
        {"h:99999999999999999999", NULL, 0},
        {"h:-1", NULL, 0},
        {"h:1:2", NULL, 0},
        {"::1", NULL, 0},
        {"[::1", NULL, 0},
        {"[::1]x", NULL, 0},
        {"[1.2.3.4]", NULL, 0},
        {"[]", NULL, 0},
        {"a b", NULL, 0},
        {"a/b", NULL, 0},
        {"a<b>", NULL, 0},
        {"me@", NULL, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice host;
        uint16_t port;
        bool fits = target_split_authority(rows[i].input, strlen(rows[i].input), &host, &port);
        if (fits != (rows[i].host != NULL))
            fail_msg("%s: %d", rows[i].input, fits);
        if (fits && (host.length != strlen(rows[i].host) || memcmp(host.bytes, rows[i].host, host.length) != 0 ||
                     port != rows[i].port))
            fail_msg("%s: seen %.*s %u", rows[i].input, (int)host.length, host.bytes, port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_splits_every_form),
        cmocka_unit_test(test_target_splits_connect),
        cmocka_unit_test(test_target_splits_authority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
