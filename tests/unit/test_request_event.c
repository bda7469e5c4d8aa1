/* SPDX-License-Identifier: Apache-2.0 */
/* A served request as an event of a log: text, ids, time, severity; and what makes none. */
#include "exporters/agent/request_event.h"

#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/encode/buffer.h"
#include "tests/support/sample_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

enum { WALL_OFFSET_NS = 1000000000 };

static struct {
    struct wire_record header;
    union sample_request request;
} record;
static const struct process process = {.pid = 1, .wall_offset_ns = WALL_OFFSET_NS};
static struct buffer buffer;

static int set_up(void **state)
{
    (void)state;
    buffer.length = 0;
    sample_fill(&record.request.request, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_deinit(&buffer);
    return 0;
}

static int append(enum request_lines form)
{
    record.header = (struct wire_record){
        .type = WIRE_RECORD_REQUEST,
        .length = (uint16_t)(sizeof(struct wire_request) + record.request.request.text_length),
    };
    return request_event_append(&buffer, &process, &record.header, form);
}

static struct log_event event_of(enum request_lines form)
{
    struct log_event event;

    buffer.length = 0;
    assert_int_equal(append(form), 1);
    assert_int_equal(log_event_parse(&process, buffer.bytes, buffer.length, &event), 0);
    return event;
}

static void assert_text(struct log_event event, const char *text)
{
    assert_int_equal(event.text.length, strlen(text));
    assert_memory_equal(event.text.bytes, text, event.text.length);
}

static void test_request_event_is_the_line_with_its_trace(void **state)
{
    (void)state;
    const struct wire_request *request = &record.request.request;
    struct log_event event = event_of(REQUEST_LINES_SHORT);

    assert_text(event, "[1970-Jan-01 00:00] 127.0.0.1 GET http /orders/4711?page=2&sort=date 200 OK");
    assert_memory_equal(event.record->trace_id, request->trace_id, sizeof(request->trace_id));
    assert_memory_equal(event.record->span_id, request->span_id, sizeof(request->span_id));
    assert_int_equal(event.record->stream, LOG_EVENT_STREAM_REQUEST);
    assert_int_equal(event.record->flags, 0);
    assert_int_equal(event.unix_ns, request->end_ns + WALL_OFFSET_NS);
}

static void test_request_event_has_the_form_that_is_asked_for(void **state)
{
    (void)state;
    assert_text(event_of(REQUEST_LINES_COMBINED),
                "127.0.0.1 - - [01/Jan/1970:00:00:01 +0000] \"GET /orders/4711?page=2&sort=date HTTP/1.1\" 200 612 "
                "\"-\" \"curl/8.5.0\"");
    assert_int_equal(event_of(REQUEST_LINES_JSON).text.bytes[0], '{');
}

static int level_with(uint16_t status, enum wire_error error)
{
    record.request.request.status = status;
    record.request.request.error = (uint8_t)error;
    return event_of(REQUEST_LINES_SHORT).record->severity - 1;
}

static void test_request_event_severity_is_the_status(void **state)
{
    (void)state;
    assert_int_equal(level_with(101, WIRE_ERROR_NONE), LOG_INFO);
    assert_int_equal(level_with(399, WIRE_ERROR_NONE), LOG_INFO);
    assert_int_equal(level_with(400, WIRE_ERROR_NONE), LOG_WARNING);
    assert_int_equal(level_with(499, WIRE_ERROR_NONE), LOG_WARNING);
    assert_int_equal(level_with(500, WIRE_ERROR_NONE), LOG_ERR);
    assert_int_equal(level_with(599, WIRE_ERROR_NONE), LOG_ERR);
    assert_int_equal(level_with(0, WIRE_ERROR_CLIENT_CLOSED), LOG_WARNING);
    assert_int_equal(level_with(0, WIRE_ERROR_PROCESS_EXITED), LOG_ERR);
}

static void test_request_event_of_others_is_none(void **state)
{
    (void)state;
    struct wire_request *request = &record.request.request;
    uint64_t end_ns = request->end_ns;

    request->kind = WIRE_KIND_CLIENT;
    assert_int_equal(append(REQUEST_LINES_SHORT), 0);
    request->kind = WIRE_KIND_SERVER;
    request->end_ns = 0;
    assert_int_equal(append(REQUEST_LINES_SHORT), 0);
    request->end_ns = end_ns;
    memset(request->trace_id, 0, sizeof(request->trace_id));
    assert_int_equal(append(REQUEST_LINES_SHORT), 0);
    assert_int_equal(buffer.length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_request_event_is_the_line_with_its_trace, set_up),
        cmocka_unit_test_setup(test_request_event_has_the_form_that_is_asked_for, set_up),
        cmocka_unit_test_setup(test_request_event_severity_is_the_status, set_up),
        cmocka_unit_test_setup(test_request_event_of_others_is_none, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
