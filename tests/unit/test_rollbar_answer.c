/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/rollbar_answer.h"

#include "exporters/agent/http_client.h"
#include "exporters/exporter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN   "0123456789abcdef0123456789abcdef"
#define TAKEN   "{\"err\":0,\"result\":{\"id\":null,\"uuid\":\"u\"}}"
#define REFUSED "{\"err\":1,\"message\":\"no\\ngood\"}"
#define LEAKING "{\"err\":1,\"message\":\"the token " TOKEN " is no good\"}"

static struct exporter_result read_answer(int status, const char *body)
{
    const struct http_response response = {
        .status = status, .failure = status == 0 ? "it is gone" : NULL, .body = body, .body_length = strlen(body)};
    struct exporter_result result;

    rollbar_answer_read(&response, "https://r/api/1/item/", TOKEN, &result);
    return result;
}

/* The table of rollbar.md, but for 429, whose headers a response of its own must have. */
static void test_rollbar_answer_follows_the_table(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum exporter_outcome outcome;
        uint32_t hold_ms;
        const char *words;
    } cases[] = {
        {200, TAKEN, EXPORTER_SENT, 0, ""},
        {200, REFUSED, EXPORTER_DROP, 0, "refused the item: no good"},
        {200, "{\"err\":1}", EXPORTER_DROP, 0, "it does not say why"},
        {200, "{\"err\":\"0\"}", EXPORTER_RETRY, 0, "does not answer as Rollbar does"},
        {200, "<html>", EXPORTER_RETRY, 0, "does not answer as Rollbar does"},
        {200, "", EXPORTER_RETRY, 0, "does not answer as Rollbar does"},
        {400, REFUSED, EXPORTER_DROP, 0, "400: Rollbar refused the item: no good"},
        {422, REFUSED, EXPORTER_DROP, 0, "422: Rollbar refused the item: no good"},
        {413, REFUSED, EXPORTER_DROP, 0, "413: Rollbar refused the item"},
        {401, REFUSED, EXPORTER_RETRY, 60000, "ROLLBAR_ACCESS_TOKEN"},
        {403, REFUSED, EXPORTER_RETRY, 60000, "ROLLBAR_ACCESS_TOKEN"},
        {404, "<html>", EXPORTER_RETRY, 60000, "check ROLLBAR_ENDPOINT"},
        {405, "", EXPORTER_RETRY, 60000, "check ROLLBAR_ENDPOINT"},
        {301, "", EXPORTER_RETRY, 60000, "check ROLLBAR_ENDPOINT"},
        {408, "", EXPORTER_RETRY, 0, "has a problem of its own"},
        {500, REFUSED, EXPORTER_RETRY, 0, "500: https://r/api/1/item/ has a problem of its own"},
        {502, "<html>", EXPORTER_RETRY, 0, "502"},
        {503, "", EXPORTER_RETRY, 0, "503"},
        {0, "", EXPORTER_RETRY, 0, "no answer from https://r/api/1/item/: it is gone"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct exporter_result result = read_answer(cases[i].status, cases[i].body);

        if (result.outcome != cases[i].outcome || result.retry_after_ms != cases[i].hold_ms ||
            strstr(result.error, cases[i].words) == NULL || strchr(result.error, '\n') != NULL)
            fail_msg("%d %s: %d, held for %u ms: %s", cases[i].status, cases[i].body, (int)result.outcome,
                     result.retry_after_ms, result.error);
    }
}

static void test_rollbar_answer_never_repeats_the_token(void **state)
{
    static const int statuses[] = {200, 400, 401, 403, 404, 413, 422, 500};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        assert_null(strstr(read_answer(statuses[i], LEAKING).error, TOKEN));
}

static void test_rollbar_answer_holds_until_the_window_ends(void **state)
{
    static const struct {
        const char *remaining, *reset;
        uint32_t expected_ms;
    } cases[] = {
        {"7", NULL, 7000},
        {"7", "1000300", 7000},
        {NULL, "1000030", 30000},
        {"0", NULL, 1000},
        {NULL, "999000", 1000}, /* past: the clocks differ */
        {NULL, NULL, 60000},
        {"soon", "later", 60000},
        {"-5", NULL, 60000},
        {"7 s", NULL, 60000},
        {"", "", 60000},
        {"soon", "1000010", 10000},
        {"301", NULL, 300000},
        {"99999999999999999999999999", NULL, 300000},
        {NULL, "4102444800", 300000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(rollbar_answer_hold_ms(cases[i].remaining, cases[i].reset, 1000000), cases[i].expected_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollbar_answer_follows_the_table),
        cmocka_unit_test(test_rollbar_answer_never_repeats_the_token),
        cmocka_unit_test(test_rollbar_answer_holds_until_the_window_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
