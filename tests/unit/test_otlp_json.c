/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_json.h"

#include "exporters/encode/buffer.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The message as JSON, to be freed. */
static char *json_of(const ProtobufCMessage *message)
{
    struct buffer out = {0};
    uint8_t bytes[4096];

    assert_true(protobuf_c_message_get_packed_size(message) <= sizeof(bytes));
    size_t length = protobuf_c_message_pack(message, bytes);
    assert_int_equal(otlp_json_append(&out, message->descriptor, bytes, length), 0);
    assert_int_equal(buffer_append(&out, "", 1), 0);
    return (char *)out.bytes;
}

static void check(const ProtobufCMessage *message, const char *expected)
{
    char *json = json_of(message);

    assert_string_equal(json, expected);
    free(json);
}

static void check_text(const char *text, const char *expected)
{
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

    value.value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    value.string_value = (char *)(uintptr_t)text;
    check(&value.base, expected);
}

static void check_number(int64_t number, const char *expected)
{
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

    value.value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    value.int_value = number;
    check(&value.base, expected);
}

static void check_double(double number, const char *expected)
{
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

    value.value_case = OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
    value.double_value = number;
    check(&value.base, expected);
}

static void check_bytes(const char *bytes, const char *expected)
{
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

    value.value_case = OTLP__ANY_VALUE__VALUE_BYTES_VALUE;
    value.bytes_value = (ProtobufCBinaryData){strlen(bytes), (uint8_t *)(uintptr_t)bytes};
    check(&value.base, expected);
}

static void test_otlp_json_escapes_texts(void **state)
{
    (void)state;
    check_text("", "{\"stringValue\":\"\"}");
    check_text("a/b \xc3\xa9 \x7f", "{\"stringValue\":\"a/b \xc3\xa9 \x7f\"}");
    check_text("\"\\\n\x01\x1f", "{\"stringValue\":\"\\\"\\\\\\u000a\\u0001\\u001f\"}");
}

static void test_otlp_json_writes_64_bits_as_strings(void **state)
{
    (void)state;
    check_number(0, "{\"intValue\":\"0\"}");
    check_number(-1, "{\"intValue\":\"-1\"}");
    check_number(INT64_MAX, "{\"intValue\":\"9223372036854775807\"}");
    check_number(INT64_MIN, "{\"intValue\":\"-9223372036854775808\"}");
}

static void test_otlp_json_writes_doubles_that_read_back(void **state)
{
    (void)state;
    check_double(0.000123, "{\"doubleValue\":0.000123}");
    check_double(0.1 + 0.2, "{\"doubleValue\":0.30000000000000004}");
    check_double(-0.0, "{\"doubleValue\":-0}");
    check_double(1e300, "{\"doubleValue\":1e+300}");
    check_double((double)NAN, "{\"doubleValue\":\"NaN\"}");
    check_double((double)INFINITY, "{\"doubleValue\":\"Infinity\"}");
    check_double(-(double)INFINITY, "{\"doubleValue\":\"-Infinity\"}");
}

static void test_otlp_json_writes_bytes_as_base64(void **state)
{
    (void)state;
    check_bytes("", "{\"bytesValue\":\"\"}");
    check_bytes("f", "{\"bytesValue\":\"Zg==\"}");
    check_bytes("fo", "{\"bytesValue\":\"Zm8=\"}");
    check_bytes("foo", "{\"bytesValue\":\"Zm9v\"}");
    check_bytes("\xfb\xff\xfe\x01", "{\"bytesValue\":\"+//+AQ==\"}");
}

static void test_otlp_json_nests_lists_and_maps(void **state)
{
    Otlp__AnyValue yes = OTLP__ANY_VALUE__INIT;
    Otlp__AnyValue no = OTLP__ANY_VALUE__INIT;
    Otlp__AnyValue *items[] = {&yes, &no};
    Otlp__ArrayValue array = OTLP__ARRAY_VALUE__INIT;
    Otlp__AnyValue list = OTLP__ANY_VALUE__INIT;
    Otlp__KeyValue pair = OTLP__KEY_VALUE__INIT;
    Otlp__KeyValue *pairs[] = {&pair, &pair};
    Otlp__KeyValueList map = OTLP__KEY_VALUE_LIST__INIT;
    Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

    (void)state;
    yes.value_case = no.value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
    yes.bool_value = 1;
    array.values = items;
    array.n_values = 2;
    list.value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
    list.array_value = &array;
    pair.key = (char *)(uintptr_t) "k";
    pair.value = &list;
    map.values = pairs;
    map.n_values = 2;
    value.value_case = OTLP__ANY_VALUE__VALUE_KVLIST_VALUE;
    value.kvlist_value = &map;
#define PAIR "{\"key\":\"k\",\"value\":{\"arrayValue\":{\"values\":[{\"boolValue\":true},{\"boolValue\":false}]}}}"
    check(&value.base, "{\"kvlistValue\":{\"values\":[" PAIR "," PAIR "]}}");
}

static void test_otlp_json_has_ids_in_hex_and_enums_as_numbers(void **state)
{
    static uint8_t id[16] = {0x01, 0xab, [15] = 0xff};
    Otlp__Span span = OTLP__SPAN__INIT;
    Otlp__Status status = OTLP__STATUS__INIT;

    (void)state;
    span.trace_id = (ProtobufCBinaryData){16, id};
    span.span_id = span.parent_span_id = (ProtobufCBinaryData){8, id};
    span.kind = OTLP__SPAN__SPAN_KIND__SPAN_KIND_SERVER;
    span.start_time_unix_nano = UINT64_MAX;
    span.dropped_attributes_count = UINT32_MAX;
    span.flags = 0x301;
    status.code = OTLP__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
    span.status = &status;
    check(&span.base, "{\"traceId\":\"01ab00000000000000000000000000ff\",\"spanId\":\"01ab000000000000\","
                      "\"parentSpanId\":\"01ab000000000000\",\"kind\":2,\"startTimeUnixNano\":\"18446744073709551615\","
                      "\"droppedAttributesCount\":4294967295,\"status\":{\"code\":2},\"flags\":769}");
}

static void test_otlp_json_refuses_what_is_no_such_message(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } bad[] = {
        {"\x0a", 1},             /* no length */
        {"\x0a\x05x", 3},        /* cut */
        {"\x08\x01", 2},         /* a number where a text belongs */
        {"\x7a\x00", 2},         /* a field that isn't there */
        {"\x0b", 1},             /* a group */
        {"\x18\xff\xff", 3},     /* a number without its end */
        {"\x21\x00\x00\x00", 4}, /* a double cut off */
    };
    struct buffer out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(
            otlp_json_append(&out, &otlp__any_value__descriptor, (const uint8_t *)bad[i].bytes, bad[i].length),
            -EBADMSG);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_otlp_json_escapes_texts),
        cmocka_unit_test(test_otlp_json_writes_64_bits_as_strings),
        cmocka_unit_test(test_otlp_json_writes_doubles_that_read_back),
        cmocka_unit_test(test_otlp_json_writes_bytes_as_base64),
        cmocka_unit_test(test_otlp_json_nests_lists_and_maps),
        cmocka_unit_test(test_otlp_json_has_ids_in_hex_and_enums_as_numbers),
        cmocka_unit_test(test_otlp_json_refuses_what_is_no_such_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
