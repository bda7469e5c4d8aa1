/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as items. Input: a report as JSON; or, when it is none, the bytes of names and messages in one. */
#include "exporters/encode/rollbar_fingerprint.h"
#include "exporters/encode/rollbar_item.h"
#include "exporters/encode/rollbar_trim.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static json_t *make_report(const uint8_t *data, size_t size)
{
    json_t *report = json_loadb((const char *)data, size, 0, NULL);
    char *text = strndup((const char *)data, size);

    FUZZ_CHECK(text);
    if (!report) {
        json_t *string = json_string_nocheck(text);
        report = json_pack("{s:s, s:O, s:O, s:{s:O}, s:{s:[O, O], s:O}, s:[{s:[{s:O, s:O}, {s:O}]}]}", "kind", "crash",
                           "title", string, "abort_message", string, "request", "url", string, "process", "argv",
                           string, string, "executable", string, "threads", "frames", "function", string, "module",
                           string, "function", string);
        json_decref(string);
    }
    free(text);
    return report;
}

static void check_length(const json_t *data, const char *key, size_t max)
{
    FUZZ_CHECK(json_string_length(json_object_get(data, key)) <= max);
}

static void check_item(const json_t *item)
{
    const json_t *data = json_object_get(item, "data");

    FUZZ_CHECK(json_object_get(data, "body"));
    check_length(data, "environment", ROLLBAR_TEXT_MAX);
    check_length(data, "title", ROLLBAR_TEXT_MAX);
    check_length(data, "context", ROLLBAR_TEXT_MAX);
    check_length(data, "code_version", ROLLBAR_CODE_VERSION_MAX);
    check_length(data, "uuid", ROLLBAR_UUID_MAX);
    check_length(json_object_get(data, "person"), "id", ROLLBAR_PERSON_ID_MAX);
}

/* What is left is JSON within the limit. */
static void check_trimmed(json_t *item, size_t limit)
{
    size_t length = 0;
    char *text = rollbar_trim(item, limit, &length);
    json_t *again = text ? json_loadb(text, length, 0, NULL) : NULL;

    FUZZ_CHECK(!text || (length <= limit && again));
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char fingerprint[ROLLBAR_FINGERPRINT_SIZE], again[ROLLBAR_FINGERPRINT_SIZE];
    json_t *report = make_report(data, size);

    FUZZ_CHECK(report);
    rollbar_fingerprint(report, fingerprint);
    rollbar_fingerprint(report, again);
    FUZZ_CHECK(strcmp(fingerprint, again) == 0 && strspn(fingerprint, "0123456789abcdef") == 40);

    const struct rollbar_options options = {.fingerprint = fingerprint, .has_arguments = true, .suppressed = size};
    json_t *item = rollbar_item(report, &options);
    FUZZ_CHECK(item);
    check_item(item);
    json_t *lost = rollbar_item_of_lost(item);
    FUZZ_CHECK(lost);
    check_trimmed(item, ROLLBAR_ITEM_MAX);
    check_trimmed(item, 2000);
    check_trimmed(item, 700);
    json_decref(lost);
    json_decref(item);
    json_decref(report);
    return 0;
}
