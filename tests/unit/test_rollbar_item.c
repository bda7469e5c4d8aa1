/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_item.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a crashed nginx-like server leaves: see crash/report.h. */
static const char crash[] =
    "{'version': 1, 'kind': 'crash', 'uuid': '0b8a5e5e-4d0f-4f43-9e7f-5a8d3c2b1a00',"
    " 'time_unix_ns': 1700000000999999999, 'level': 'critical',"
    " 'title': 'SIGSEGV in parse_header: read of 0x10 (null pointer)',"
    " 'signal': {'number': 11, 'name': 'SIGSEGV', 'code': 'SEGV_MAPERR', 'address': '0x10',"
    "            'cause': 'read of 0x10 (null pointer)'},"
    " 'exception': {'class': 'SIGSEGV', 'message': 'read of 0x10 (null pointer)'},"
    " 'process': {'pid': 4711, 'executable': '/usr/sbin/shop', 'build_id': 'abcd', 'argv': ['shop', '--token=x'],"
    "             'cwd': '/srv/app'},"
    " 'threads': [{'id': 4711, 'name': 'worker', 'crashed': true, 'registers': {'rip': '0x55d0'}, 'frames': ["
    "   {'address': '0x55d0', 'module': '/usr/sbin/shop', 'offset': '0x15d0', 'function': 'parse_header',"
    "    'function_offset': '0x12', 'file': 'src/http.c', 'line': 312, 'column': 9, 'found_by': 'context'},"
    "   {'address': '0x55e0', 'module': '/usr/lib/libx.so (deleted)', 'offset': '0x5e0', 'found_by': 'scan'},"
    "   {'address': '0x55f0', 'found_by': 'cfi'},"
    "   {'address': '0x5600', 'module': '/usr/sbin/shop', 'function': 'main', 'file': 'src/main.c', 'line': 88}]},"
    "  {'id': 4712, 'state': 'sleeping', 'frames': [{'address': '0x7f10', 'module': '/lib/libc.so.6', 'offset': '0x10',"
    "    'function': 'poll'}], 'frames_left_out': 3}],"
    " 'modules': [{'path': '/usr/sbin/shop', 'build_id': 'abcd', 'base': '0x5000', 'size': 4096}],"
    " 'service': {'name': 'shop', 'version': '1.4.2', 'environment': 'staging'},"
    " 'host': {'name': 'web1'},"
    " 'request': {'trace_id': '0af7651916cd43dd8448eb211c80319c', 'span_id': 'b7ad6b7169203331', 'method': 'GET',"
    "             'path': '/orders/7', 'query': 'a=1&token=abc', 'route': '/orders/{id}', 'scheme': 'https',"
    "             'server_address': 'web1', 'server_port': 8443, 'client_address': '10.0.0.0',"
    "             'user_agent': 'curl/8', 'headers': {'x-id': '7', 'authorization': 'Bearer abc'}, 'user_id': 'u-7',"
    "             'certain': true},"
    " 'recent_requests': [{'method': 'GET', 'url': '/health', 'status': 200, 'started_unix_ns': 1699999999000000000,"
    "                      'ended_unix_ns': 1699999999002000000},"
    "                     {'method': 'POST', 'url': '/pay?password=x', 'status': 503,"
    "                      'started_unix_ns': 1699999999100000000, 'ended_unix_ns': 1699999999200000000},"
    "                     {'method': 'GET', 'url': '/gone', 'status': 404, 'started_unix_ns': 1699999999300000000,"
    "                      'ended_unix_ns': 1699999999400000000}],"
    " 'held_ns': 4000000, 'incomplete': ['thread 4713 could not be read']}";

/* As rollbar.md's section 7 shapes it. */
static const char item_of_crash[] =
    "{'data': {'environment': 'staging', 'level': 'critical', 'timestamp': 1700000000, 'platform': 'linux',"
    " 'language': 'c', 'framework': 'shop', 'context': 'GET /orders/{id}', 'code_version': '1.4.2',"
    " 'uuid': '0b8a5e5e-4d0f-4f43-9e7f-5a8d3c2b1a00', 'fingerprint': '0123456789012345678901234567890123456789',"
    " 'title': 'SIGSEGV in parse_header: read of 0x10 (null pointer)',"
    " 'notifier': {'name': 'spanshim', 'version': '?'},"
    " 'server': {'host': 'web1', 'root': '/srv/app', 'pid': 4711},"
    " 'request': {'url': 'https://web1:8443/orders/7?a=1&token=REDACTED', 'method': 'GET',"
    "             'query_string': 'a=1&token=REDACTED', 'user_ip': '10.0.0.0',"
    "             'headers': {'x-id': '7', 'authorization': 'REDACTED', 'user-agent': 'curl/8'}},"
    " 'person': {'id': 'u-7'},"
    " 'body': {'trace': {'frames': [{'filename': 'src/main.c', 'lineno': 88, 'method': 'main'},"
    "                               {'filename': '[unknown]', 'method': '?\?'},"
    "                               {'filename': 'libx.so', 'method': '?\?'},"
    "                               {'filename': 'src/http.c', 'lineno': 312, 'colno': 9, 'method': 'parse_header'}],"
    "                    'exception': {'class': 'SIGSEGV', 'message': 'read of 0x10 (null pointer)'}},"
    "          'telemetry': ["
    "   {'level': 'info', 'type': 'network', 'source': 'server', 'timestamp_ms': 1699999999000, 'body': {"
    "     'method': 'GET', 'url': '/health', 'status_code': 200, 'subtype': 'http', 'start_time_ms': 1699999999000,"
    "     'end_time_ms': 1699999999002}},"
    "   {'level': 'critical', 'type': 'network', 'source': 'server', 'timestamp_ms': 1699999999100, 'body': {"
    "     'method': 'POST', 'url': '/pay?password=REDACTED', 'status_code': 503, 'subtype': 'http',"
    "     'start_time_ms': 1699999999100, 'end_time_ms': 1699999999200}},"
    "   {'level': 'error', 'type': 'network', 'source': 'server', 'timestamp_ms': 1699999999300, 'body': {"
    "     'method': 'GET', 'url': '/gone', 'status_code': 404, 'subtype': 'http', 'start_time_ms': 1699999999300,"
    "     'end_time_ms': 1699999999400}}]},"
    " 'custom': {'suppressed': 3, 'trace_id': '0af7651916cd43dd8448eb211c80319c', 'span_id': 'b7ad6b7169203331',"
    "   'request_is_certain': true, 'executable': '/usr/sbin/shop', 'build_id': 'abcd',"
    "   'registers': {'rip': '0x55d0'},"
    "   'signal': {'number': 11, 'name': 'SIGSEGV', 'code': 'SEGV_MAPERR', 'address': '0x10',"
    "              'cause': 'read of 0x10 (null pointer)'},"
    "   'threads': ['thread 4711 \\\"worker\\\", crashed\\n"
    "#0 0x55d0 parse_header+0x12 (shop+0x15d0) src/http.c:312\\n"
    "#1 0x55e0 ?? (libx.so (deleted)+0x5e0), guessed\\n"
    "#2 0x55f0 ??\\n"
    "#3 0x5600 main (shop) src/main.c:88\\n',"
    "               'thread 4712, sleeping\\n#0 0x7f10 poll (libc.so.6+0x10)\\n3 frames are left out\\n'],"
    "   'modules': [{'path': '/usr/sbin/shop', 'build_id': 'abcd', 'base': '0x5000', 'size': 4096}],"
    "   'service': {'name': 'shop', 'version': '1.4.2', 'environment': 'staging'},"
    "   'held_ns': 4000000, 'incomplete': ['thread 4713 could not be read']}}}";

/* JSON with ' for ", for the eye. */
static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_error_t error;

    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    json_t *value = json_loads(copy, 0, &error);
    if (value == NULL)
        fail_msg("%s at %d", error.text, error.position);
    free(copy);
    return value;
}

static void assert_same(const json_t *seen, const json_t *expected)
{
    char *seen_text = json_dumps(seen, JSON_SORT_KEYS | JSON_INDENT(1));
    char *expected_text = json_dumps(expected, JSON_SORT_KEYS | JSON_INDENT(1));

    assert_string_equal(seen_text, expected_text);
    free(seen_text);
    free(expected_text);
}

static const struct rollbar_options plain = {0};

/* The item's data; the report is given up. */
static json_t *data_of(json_t *report, const struct rollbar_options *options)
{
    json_t *item = rollbar_item(report, options);
    json_t *data = json_incref(json_object_get(item, "data"));

    json_decref(item);
    json_decref(report);
    return data;
}

static const char *text_at(const json_t *value, const char *key, const char *inner)
{
    value = json_object_get(value, key);
    return json_string_value(inner != NULL ? json_object_get(value, inner) : value);
}

static void test_rollbar_item_of_a_crash(void **state)
{
    (void)state;
    json_t *report = parse(crash);
    json_t *expected = parse(item_of_crash);
    const struct rollbar_options options = {.fingerprint = "0123456789012345678901234567890123456789", .suppressed = 3};
    json_t *item = rollbar_item(report, &options);
    json_t *notifier = json_object_get(json_object_get(item, "data"), "notifier");

    assert_non_null(json_object_get(notifier, "version"));
    (void)json_object_set_new(notifier, "version", json_string("?"));
    assert_same(item, expected);
    json_decref(item);
    json_decref(report);
    json_decref(expected);
}

static void test_rollbar_item_takes_what_the_settings_say(void **state)
{
    (void)state;
    const struct rollbar_options options = {
        .environment = "qa", .code_version = "2.0", .root = "/src", .has_arguments = true};
    json_t *data = data_of(parse(crash), &options);

    assert_string_equal(text_at(data, "environment", NULL), "qa");
    assert_string_equal(text_at(data, "code_version", NULL), "2.0");
    assert_string_equal(text_at(data, "server", "root"), "/src");
    assert_null(json_object_get(data, "fingerprint"));
    json_t *argv = parse("['shop', '--token=REDACTED']");
    assert_same(json_object_get(json_object_get(data, "server"), "argv"), argv);
    json_decref(argv);
    json_decref(data);
}

static void test_rollbar_item_of_nearly_nothing(void **state)
{
    (void)state;
    json_t *data = data_of(parse("{'kind': 'crash', 'time_unix_ns': 5000000000}"), &plain);
    json_t *body = parse("{'trace': {'frames': [{'filename': '[unknown]', 'method': '?\?'}],"
                         " 'exception': {'class': 'crash'}}}");

    assert_same(json_object_get(data, "body"), body);
    assert_string_equal(text_at(data, "environment", NULL), "production");
    assert_string_equal(text_at(data, "level", NULL), "critical");
    assert_int_equal(json_integer_value(json_object_get(data, "timestamp")), 5);
    assert_null(json_object_get(data, "request"));
    assert_null(json_object_get(data, "person"));
    assert_null(json_object_get(data, "server"));
    assert_null(json_object_get(data, "custom"));
    json_decref(body);
    json_decref(data);
}

static void test_rollbar_item_of_a_message_has_its_text(void **state)
{
    (void)state;
    json_t *data = data_of(parse("{'kind': 'message', 'level': 'warning', 'message': 'Hello World!', 'title': 'Hi',"
                                 " 'service': {'name': 'cron'}, 'uuid': 'u'}"),
                           &plain);
    json_t *body = parse("{'message': {'body': 'Hello World!'}}");

    assert_same(json_object_get(data, "body"), body);
    assert_string_equal(text_at(data, "level", NULL), "warning");
    assert_string_equal(text_at(data, "title", NULL), "Hi");
    assert_string_equal(text_at(data, "framework", NULL), "cron");
    assert_null(json_object_get(data, "language"));
    json_decref(body);
    json_decref(data);

    data = data_of(parse("{'kind': 'message', 'message': 'x'}"), &plain);
    assert_string_equal(text_at(data, "level", NULL), "info");
    json_decref(data);
}

static void test_rollbar_item_of_a_death_is_a_message(void **state)
{
    (void)state;
    json_t *data = data_of(parse("{'kind': 'death', 'title': 'shop was killed by SIGKILL'}"), &plain);
    json_t *body = parse("{'message': {'body': 'shop was killed by SIGKILL'}}");

    assert_same(json_object_get(data, "body"), body);
    assert_string_equal(text_at(data, "level", NULL), "critical");
    json_decref(body);
    json_decref(data);
}

static json_t *repeated(char c, size_t count)
{
    char *text = malloc(count + 1);

    memset(text, c, count);
    json_t *string = json_stringn(text, count);
    free(text);
    return string;
}

/* At the limit it is whole, one over it is cut. */
static void check_limit(const char *object, const char *key, const char *out_object, const char *out_key, size_t limit)
{
    for (size_t length = limit; length <= limit + 1; length++) {
        json_t *report = parse("{'kind': 'crash', 'service': {}, 'request': {}, 'exception': {}, 'process': {}}");
        json_t *in = object != NULL ? json_object_get(report, object) : report;

        (void)json_object_set_new(in, key, repeated('a', length));
        json_t *data = data_of(report, &plain);
        const char *text = text_at(data, out_object, out_key);
        assert_non_null(text);
        assert_int_equal(strlen(text), limit);
        json_decref(data);
    }
}

static void test_rollbar_item_keeps_to_the_limit_of_each_field(void **state)
{
    (void)state;
    check_limit("service", "environment", "environment", NULL, 255);
    check_limit("service", "version", "code_version", NULL, 40);
    check_limit("request", "user_id", "person", "id", 40);
    check_limit(NULL, "title", "title", NULL, 255);
    check_limit(NULL, "uuid", "uuid", NULL, 36);
    check_limit("service", "name", "context", NULL, 255);
    check_limit("service", "name", "framework", NULL, 255);
}

static void test_rollbar_item_cuts_no_character(void **state)
{
    (void)state;
    json_t *report = json_pack("{s:s, s:{s:s}}", "kind", "crash", "request", "user_id",
                               "123456789012345678901234567890123456789\xc3\xa4"); /* 39 and one of two bytes */
    json_t *data = data_of(report, &plain);

    assert_string_equal(text_at(data, "person", "id"), "123456789012345678901234567890123456789");
    json_decref(data);
}

static void test_rollbar_item_repairs_text(void **state)
{
    (void)state;
    json_t *report = json_pack("{s:s, s:{s:s}}", "kind", "crash", "exception", "class", "X");

    (void)json_object_set_new(report, "title",
                              json_string_nocheck("a\xff"
                                                  "b"));
    json_t *data = data_of(report, &plain);
    assert_string_equal(text_at(data, "title", NULL), "a\xef\xbf\xbd"
                                                      "b");
    json_decref(data);
}

static void test_rollbar_item_has_the_newest_50_requests(void **state)
{
    (void)state;
    for (json_int_t count = 50; count <= 51; count++) {
        json_t *report = json_pack("{s:s, s:[]}", "kind", "crash", "recent_requests");

        for (json_int_t i = 0; i < count; i++)
            (void)json_array_append_new(json_object_get(report, "recent_requests"),
                                        json_pack("{s:s, s:I}", "method", "GET", "started_unix_ns", i * 1000000));
        json_t *data = data_of(report, &plain);
        json_t *telemetry = json_object_get(json_object_get(data, "body"), "telemetry");
        assert_int_equal(json_array_size(telemetry), 50);
        json_t *first = json_array_get(telemetry, 0);
        json_t *last = json_array_get(telemetry, 49);
        assert_int_equal(json_integer_value(json_object_get(first, "timestamp_ms")), count - 50);
        assert_int_equal(json_integer_value(json_object_get(last, "timestamp_ms")), count - 1);
        json_decref(data);
    }
}

static void check_language(const char *process, const char *function, const char *file, const char *expected)
{
    json_t *report = json_pack("{s:s, s:{s:s*}, s:[{s:[{s:s*, s:s*}]}]}", "kind", "crash", "process", "interpreter",
                               process, "threads", "frames", "function", function, "file", file);
    json_t *data = data_of(report, &plain);

    assert_string_equal(text_at(data, "language", NULL), expected);
    json_decref(data);
}

static void test_rollbar_item_tells_the_language(void **state)
{
    (void)state;
    check_language(NULL, "main", "main.c", "c");
    check_language(NULL, NULL, NULL, "c");
    check_language(NULL, "_ZN4shop4mainEv", NULL, "c++");
    check_language(NULL, "shop::main(int)", NULL, "c++");
    check_language(NULL, "main", "src/main.cpp", "c++");
    check_language(NULL, "_ZN4shop4main17h0123456789abcdefE", NULL, "rust");
    check_language(NULL, "_RNvC6_123foo3bar", NULL, "rust");
    check_language(NULL, "core::ops::function::FnOnce::call_once", NULL, "rust");
    check_language(NULL, "<shop::Cart as core::fmt::Debug>::fmt", NULL, "rust");
    check_language(NULL, "shop::main", "src/main.rs", "rust");
    check_language("/usr/bin/python3.11", "PyEval_EvalFrame", "ceval.c", "python");
    check_language("/usr/sbin/nginx", "ngx_http_process_request", "ngx_http_request.c", "c");
    check_language("node", "v8::Script::Run()", NULL, "javascript");
}

static void test_rollbar_item_has_no_address_for_a_name(void **state)
{
    (void)state;
    json_t *report = parse("{'kind': 'crash', 'threads': [{'frames': [{'function': '0x55d0', 'module': '/a/b'}]}]}");
    json_t *data = data_of(report, &plain);
    json_t *trace = json_object_get(json_object_get(data, "body"), "trace");
    const json_t *frame = json_array_get(json_object_get(trace, "frames"), 0);

    assert_string_equal(json_string_value(json_object_get(frame, "method")), "??");
    assert_string_equal(json_string_value(json_object_get(frame, "filename")), "b");
    json_decref(data);
}

static void test_rollbar_item_of_lost_takes_its_place(void **state)
{
    (void)state;
    json_t *report = parse(crash);
    json_t *item = rollbar_item(report, &plain);
    json_t *lost = rollbar_item_of_lost(item);
    json_t *data = json_object_get(lost, "data");
    const char *text = text_at(json_object_get(data, "body"), "message", "body");

    assert_string_equal(text_at(data, "uuid", NULL), "0b8a5e5e-4d0f-4f43-9e7f-5a8d3c2b1a00");
    assert_non_null(strstr(text, "0b8a5e5e-4d0f-4f43-9e7f-5a8d3c2b1a00"));
    assert_non_null(strstr(text, "web1"));
    assert_string_equal(text_at(data, "environment", NULL), "staging");
    assert_null(json_object_get(json_object_get(data, "body"), "trace"));
    json_decref(lost);
    json_decref(item);
    json_decref(report);
}

/* A printed error with a cause, thrown between two lines of the log. */
static const char error_report[] =
    "{'kind': 'error', 'level': 'error', 'time_unix_ns': 1700000000000000000, 'title': 'PriceError: no price',"
    " 'language': 'python', 'framework': 'flask', 'exception': {'class': 'PriceError', 'message': 'no price'},"
    " 'threads': [{'frames': [{'function': 'price', 'file': 'shop.py', 'line': 10, 'code': 'raise PriceError'},"
    "                         {'function': 'main', 'file': 'shop.py', 'line': 13}]}],"
    " 'causes': [{'class': 'KeyError', 'message': 'token=abc',"
    "             'frames': [{'function': 'load', 'file': 'shop.py', 'line': 5}]}],"
    " 'recent_requests': [{'method': 'GET', 'url': '/', 'started_unix_ns': 2000000}],"
    " 'log_lines': [{'time_unix_ns': 1000000, 'text': 'first', 'severity': 4},"
    "               {'time_unix_ns': 3000000, 'text': 'last'}]}";

static void test_rollbar_item_of_an_error_has_its_causes(void **state)
{
    (void)state;
    json_t *data = data_of(parse(error_report), &plain);
    json_t *expected = parse("[{'exception': {'class': 'PriceError', 'message': 'no price'},"
                             "  'frames': [{'filename': 'shop.py', 'lineno': 13, 'method': 'main'},"
                             "             {'filename': 'shop.py', 'lineno': 10, 'method': 'price',"
                             "              'code': 'raise PriceError'}]},"
                             " {'exception': {'class': 'KeyError', 'message': 'token=REDACTED'},"
                             "  'frames': [{'filename': 'shop.py', 'lineno': 5, 'method': 'load'}]}]");

    assert_same(json_object_get(json_object_get(data, "body"), "trace_chain"), expected);
    assert_null(json_object_get(json_object_get(data, "body"), "trace"));
    assert_string_equal(text_at(data, "language", NULL), "python");
    assert_string_equal(text_at(data, "framework", NULL), "flask");
    assert_string_equal(text_at(data, "level", NULL), "error");
    assert_null(json_object_get(json_object_get(data, "custom"), "threads"));
    json_decref(expected);
    json_decref(data);
}

static void test_rollbar_item_has_requests_and_log_in_order(void **state)
{
    static const char *const types[] = {"log", "network", "log"};
    static const char *const levels[] = {"warning", "info", "info"};
    (void)state;
    json_t *data = data_of(parse(error_report), &plain);
    json_t *telemetry = json_object_get(json_object_get(data, "body"), "telemetry");

    assert_int_equal(json_array_size(telemetry), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(text_at(json_array_get(telemetry, i), "type", NULL), types[i]);
        assert_string_equal(text_at(json_array_get(telemetry, i), "level", NULL), levels[i]);
    }
    assert_string_equal(text_at(json_array_get(telemetry, 0), "body", "message"), "first");
    json_decref(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollbar_item_of_a_crash),
        cmocka_unit_test(test_rollbar_item_takes_what_the_settings_say),
        cmocka_unit_test(test_rollbar_item_of_nearly_nothing),
        cmocka_unit_test(test_rollbar_item_of_a_message_has_its_text),
        cmocka_unit_test(test_rollbar_item_of_a_death_is_a_message),
        cmocka_unit_test(test_rollbar_item_keeps_to_the_limit_of_each_field),
        cmocka_unit_test(test_rollbar_item_cuts_no_character),
        cmocka_unit_test(test_rollbar_item_repairs_text),
        cmocka_unit_test(test_rollbar_item_has_the_newest_50_requests),
        cmocka_unit_test(test_rollbar_item_of_an_error_has_its_causes),
        cmocka_unit_test(test_rollbar_item_has_requests_and_log_in_order),
        cmocka_unit_test(test_rollbar_item_tells_the_language),
        cmocka_unit_test(test_rollbar_item_has_no_address_for_a_name),
        cmocka_unit_test(test_rollbar_item_of_lost_takes_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
