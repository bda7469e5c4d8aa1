/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver's answer is taken for, however long it is. Real receivers are in test_export.py and
 * test_protocols.py. */
#include "exporters/otlp_answer.h"

#include "exporters/agent/http_client.h"
#include "exporters/agent/settings.h"
#include "exporters/exporter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char url[] = "http://collector:4318/v1/traces";
static const char remark[] = "\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"too old\"}}";

static struct exporter_result read_answer(int status, const char *type, const void *body, size_t length)
{
    struct settings *settings = settings_new(NULL, 0, NULL);
    struct http_response response = {.status = status, .content_type = type, .body = body, .body_length = length};
    struct exporter_result result;

    otlp_answer_read(settings, SIGNAL_TRACES, url, &response, &result);
    settings_unref(settings);
    return result;
}

/* A remark behind so many bytes of small things. */
static struct exporter_result read_padded(size_t padding)
{
    static const char start[] = "{\"a\":[0";
    size_t length = strlen(start) + padding / 2 * 2 + 2 + strlen(remark);
    char *body = malloc(length + 1);
    struct exporter_result result;

    assert_non_null(body);
    char *p = stpcpy(body, start);
    for (size_t i = 0; i < padding / 2; i++)
        p = stpcpy(p, ",0");
    (void)stpcpy(stpcpy(p, "],"), remark);
    result = read_answer(200, "application/json", body, length);
    free(body);
    return result;
}

static void test_otlp_answer_has_a_remark(void **state)
{
    struct exporter_result result = read_padded(60 << 10);

    (void)state;
    assert_int_equal(result.outcome, EXPORTER_SENT);
    assert_int_equal(result.rejected_count, 2);
    assert_string_equal(result.error, "the receiver refused some spans: too old");
}

static void test_otlp_answer_is_about_its_signal(void **state)
{
    static const char body[] = "{\"partialSuccess\":{\"rejectedLogRecords\":\"2\",\"errorMessage\":\"too old\"}}";
    struct settings *settings = settings_new(NULL, 0, NULL);
    struct http_response response = {
        .status = 200, .content_type = "application/json", .body = body, .body_length = strlen(body)};
    struct exporter_result result;

    (void)state;
    otlp_answer_read(settings, SIGNAL_LOGS, "http://c/v1/logs", &response, &result);
    assert_int_equal(result.rejected_count, 2);
    assert_string_equal(result.error, "the receiver refused some log records: too old");
    response = (struct http_response){.status = 413};
    otlp_answer_read(settings, SIGNAL_LOGS, "http://c/v1/logs", &response, &result);
    assert_string_equal(result.error, "413: the batch is too large: lower OTEL_BLRP_MAX_EXPORT_BATCH_SIZE");
    settings_unref(settings);
}

static void test_otlp_answer_is_read_at_its_beginning(void **state)
{
    struct exporter_result result = read_padded(HTTP_RESPONSE_MAX - 200);

    (void)state;
    assert_int_equal(result.outcome, EXPORTER_SENT);
    assert_int_equal(result.rejected_count, 0);
    assert_string_equal(result.error, "");
}

static void test_otlp_answer_of_a_server_that_knows_no_otlp(void **state)
{
    static const char page[] = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head>";
    struct exporter_result result = read_answer(400, "text/html", page, strlen(page));

    (void)state;
    assert_int_equal(result.outcome, EXPORTER_DROP);
    assert_non_null(strstr(result.error, "(400 The plain HTTP request was sent to HTTPS port)"));
    for (size_t length = 0; length < strlen(page); length++) { /* wherever it is cut */
        char *cut = malloc(length ? length : 1);

        assert_non_null(cut);
        memcpy(cut, page, length);
        result = read_answer(400, "text/html", cut, length);
        assert_int_equal(result.outcome, EXPORTER_DROP);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_otlp_answer_has_a_remark),
        cmocka_unit_test(test_otlp_answer_is_about_its_signal),
        cmocka_unit_test(test_otlp_answer_is_read_at_its_beginning),
        cmocka_unit_test(test_otlp_answer_of_a_server_that_knows_no_otlp),
    };

    return cmocka_run_group_tests_name("otlp_answer", tests, NULL, NULL);
}
