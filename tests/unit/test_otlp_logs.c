/* SPDX-License-Identifier: Apache-2.0 */
/* What a log record says of an event, and of a crash. How records get to a receiver is test_logs_otlp.py's. */
#include "exporters/encode/otlp_logs.h"

#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/otlp_limits.h"
#include "exporters/otlp_crash.h"
#include "otlp.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct settings *settings;
static struct resource *resource;
static struct process process;
static struct otlp_limits limits;
static struct otlp_logs *encoder;
static struct log_event_record record;
static struct log_event event;
static Otlp__ExportLogsServiceRequest *message;

static int set_up(void **state)
{
    (void)state;
    settings = settings_new(NULL, 0, NULL);
    resource = resource_new(&(struct resource_facts){.executable = "/usr/sbin/nginx"}, settings);
    process = (struct process){.pid = 4711, .resource = resource};
    record = (struct log_event_record){.stream = WIRE_LOG_STDERR};
    event = (struct log_event){.process = &process, .unix_ns = 17, .record = &record, .text = {"hello", 5}};
    limits = (struct otlp_limits){.attribute_count = 128, .attribute_length = UINT32_MAX};
    encoder = otlp_logs_new(&limits);
    return encoder == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    otlp__export_logs_service_request__free_unpacked(message, NULL);
    message = NULL;
    otlp_logs_free(encoder);
    resource_free(resource);
    settings_unref(settings);
    return 0;
}

static const Otlp__LogRecord *unpack(const uint8_t *bytes, size_t length)
{
    otlp__export_logs_service_request__free_unpacked(message, NULL);
    message = otlp__export_logs_service_request__unpack(NULL, length, bytes);
    assert_non_null(message);
    assert_int_equal(otlp__export_logs_service_request__get_packed_size(message), length);
    return message->resource_logs[0]->scope_logs[0]->log_records[0];
}

static const Otlp__LogRecord *encode_one(void)
{
    const struct log_event *list[] = {&event};
    const uint8_t *bytes;
    size_t length;

    assert_int_equal(otlp_logs_encode(encoder, list, 1, &bytes, &length), 0);
    return unpack(bytes, length);
}

/* NULL: there is none. */
static const Otlp__AnyValue *find(const Otlp__LogRecord *found, const char *key)
{
    for (size_t i = 0; i < found->n_attributes; i++)
        if (strcmp(found->attributes[i]->key, key) == 0)
            return found->attributes[i]->value;
    return NULL;
}

static void test_otlp_logs_has_text_time_and_stream(void **state)
{
    (void)state;
    const Otlp__LogRecord *found = encode_one();

    assert_string_equal(found->body->string_value, "hello");
    assert_int_equal(found->time_unix_nano, 17);
    assert_int_equal(found->observed_time_unix_nano, 17);
    assert_int_equal(found->severity_number, 0);
    assert_int_equal(found->trace_id.len, 0);
    assert_int_equal(found->n_attributes, 1);
    assert_string_equal(find(found, "log.iostream")->string_value, "stderr");
    assert_string_equal(message->resource_logs[0]->scope_logs[0]->scope->name, "spanshim.logs");
}

static void test_otlp_logs_has_ids_only_together(void **state)
{
    (void)state;
    record.span_id[7] = 1;
    assert_int_equal(encode_one()->span_id.len, 0);
    record.trace_id[15] = 2;
    const Otlp__LogRecord *found = encode_one();
    assert_int_equal(found->trace_id.len, 16);
    assert_memory_equal(found->span_id.data, record.span_id, 8);
}

static void test_otlp_logs_maps_syslogs_levels(void **state)
{
    static const unsigned numbers[] = {0, 21, 19, 18, 17, 13, 10, 9, 5, 0};

    (void)state;
    for (record.severity = 0; record.severity < sizeof(numbers) / sizeof(numbers[0]); record.severity++)
        assert_int_equal(encode_one()->severity_number, numbers[record.severity]);
}

static void test_otlp_logs_says_what_is_not_whole(void **state)
{
    (void)state;
    record.stream = WIRE_LOG_FILE;
    record.flags = LOG_EVENT_CUT | LOG_EVENT_GAP | LOG_EVENT_NO_END | LOG_EVENT_BINARY;
    record.left_out = 99;
    event.path = (struct slice){"/var/log/a\xff.log", 15};
    event.text = (struct slice){"\xff\0", 2};
    const Otlp__LogRecord *found = encode_one();

    assert_string_equal(found->body->string_value, "\xef\xbf\xbd\xef\xbf\xbd");
    assert_int_equal(found->n_attributes, 6);
    assert_int_equal(find(found, "spanshim.log.left_out")->int_value, 99);
    assert_true(find(found, "spanshim.log.gap")->bool_value);
    assert_string_equal(find(found, "log.file.name")->string_value, "a\xef\xbf\xbd.log");
}

/* As only a program says it that writes to its ring by itself. */
static void test_otlp_logs_has_room_for_all_at_once(void **state)
{
    (void)state;
    record.flags = LOG_EVENT_CUT | LOG_EVENT_GAP | LOG_EVENT_NO_END | LOG_EVENT_BINARY;
    event.path = (struct slice){"/a", 2};
    assert_int_equal(encode_one()->n_attributes, 7);
}

static void test_otlp_logs_keeps_to_limits_and_counts(void **state)
{
    (void)state;
    record.stream = WIRE_LOG_FILE;
    record.flags = LOG_EVENT_GAP;
    event.path = (struct slice){"/l\xc3\xb6g/app", 9};
    limits = (struct otlp_limits){.attribute_count = 2, .attribute_length = 3};
    const Otlp__LogRecord *found = encode_one();

    assert_string_equal(found->body->string_value, "hello");
    assert_int_equal(found->n_attributes, 2);
    assert_int_equal(found->dropped_attributes_count, 1);
    assert_string_equal(find(found, "log.file.path")->string_value, "/l\xc3\xb6");
    assert_string_equal(find(found, "log.file.name")->string_value, "app");
    limits.attribute_count = 0;
    found = encode_one();
    assert_int_equal(found->n_attributes, 0);
    assert_int_equal(found->dropped_attributes_count, 3);
}

static void test_otlp_logs_groups_by_process(void **state)
{
    struct process other = process;
    struct log_event others = event;
    const struct log_event *list[] = {&event, &others, &event};
    const uint8_t *bytes;
    size_t length;

    (void)state;
    others.process = &other;
    assert_int_equal(otlp_logs_encode(encoder, list, 3, &bytes, &length), 0);
    (void)unpack(bytes, length);
    assert_int_equal(message->n_resource_logs, 2);
    assert_int_equal(message->resource_logs[0]->scope_logs[0]->n_log_records, 2);
}

static void test_otlp_logs_has_a_crash(void **state)
{
    struct buffer out = {0};
    json_t *report = json_pack("{s:s, s:s, s:s, s:I, s:{s:s}, s:{s:s}, s:{s:i}, s:{s:s, s:s}}", "kind", "crash", "uuid",
                               "u-1", "title", "SIGSEGV in f", "time_unix_ns", (json_int_t)5, "signal", "name",
                               "SIGSEGV", "service", "name", "shop", "process", "pid", 7, "request", "trace_id",
                               "000102030405060708090a0b0c0d0e0f", "span_id", "bad");

    (void)state;
    assert_int_equal(otlp_crash_encode(report, 6, &limits, &out), 0);
    const Otlp__LogRecord *found = unpack(out.bytes, out.length);
    assert_string_equal(found->event_name, "app.crash");
    assert_int_equal(found->severity_number, 21);
    assert_int_equal(found->time_unix_nano, 5);
    assert_int_equal(found->observed_time_unix_nano, 6);
    assert_int_equal(found->trace_id.data[15], 15);
    assert_int_equal(found->span_id.len, 0);
    assert_string_equal(find(found, "exception.type")->string_value, "SIGSEGV");
    assert_string_equal(find(found, "exception.message")->string_value, "SIGSEGV in f");
    assert_string_equal(find(found, "app.crash.id")->string_value, "u-1");
    assert_int_equal(message->resource_logs[0]->resource->n_attributes, 2);
    limits = (struct otlp_limits){.attribute_count = 2, .attribute_length = 5};
    out.length = 0;
    assert_int_equal(otlp_crash_encode(report, 6, &limits, &out), 0);
    found = unpack(out.bytes, out.length);
    assert_int_equal(found->n_attributes, 2);
    assert_int_equal(found->dropped_attributes_count, 1);
    assert_string_equal(find(found, "exception.message")->string_value, "SIGSE");
    assert_string_equal(found->body->string_value, "SIGSEGV in f");
    assert_int_equal(message->resource_logs[0]->resource->n_attributes, 2);
    assert_int_equal(json_object_set_new(report, "kind", json_string("message")), 0);
    assert_int_equal(otlp_crash_encode(report, 6, &limits, &out), -ENOTSUP);
    json_decref(report);
    buffer_deinit(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_otlp_logs_has_text_time_and_stream),   TEST(test_otlp_logs_has_ids_only_together),
        TEST(test_otlp_logs_maps_syslogs_levels),        TEST(test_otlp_logs_says_what_is_not_whole),
        TEST(test_otlp_logs_groups_by_process),          TEST(test_otlp_logs_has_room_for_all_at_once),
        TEST(test_otlp_logs_keeps_to_limits_and_counts), TEST(test_otlp_logs_has_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
