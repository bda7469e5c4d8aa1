/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/rollbar_answer.h"

#include "exporters/agent/http_client.h"
#include "exporters/encode/utf8.h"
#include "exporters/exporter.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORDS_SIZE = 128, MS_PER_S = 1000 };

/* A line for people; cut when it is too long. */
static void say(struct exporter_result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct exporter_result *result, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(result->error, sizeof(result->error), format, arguments);
    va_end(arguments);
}

/* A whole number of seconds; false when it is none. */
static bool read_seconds(const char *text, int64_t *ret_seconds)
{
    char *end;

    if (text == NULL || !isdigit((unsigned char)text[0]))
        return false;
    *ret_seconds = strtoll(text, &end, 10);
    return *end == '\0';
}

uint32_t rollbar_answer_hold_ms(const char *remaining_s, const char *reset_unix_s, int64_t now_unix_s)
{
    int64_t seconds;

    if (!read_seconds(remaining_s, &seconds)) {
        if (!read_seconds(reset_unix_s, &seconds))
            return ROLLBAR_HOLD_MS;
        seconds = seconds > now_unix_s ? seconds - now_unix_s : 0;
    }
    if (seconds >= ROLLBAR_HOLD_MAX_MS / MS_PER_S)
        return ROLLBAR_HOLD_MAX_MS;
    return seconds < 1 ? MS_PER_S : (uint32_t)seconds * MS_PER_S;
}

/* The `message` of an answer; "" when it has none, or one that repeats the token. */
static void read_words(const json_t *answer, const char *token, char out[WORDS_SIZE])
{
    const char *message = json_string_value(json_object_get(answer, "message"));

    out[0] = '\0';
    if (message == NULL || (token != NULL && strcasestr(message, token) != NULL))
        return;
    utf8_copy(message, out, WORDS_SIZE);
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
}

static void read_accepted(const json_t *answer, const char *words, const char *shown_url,
                          struct exporter_result *result)
{
    const json_t *err = json_object_get(answer, "err");

    if (json_is_integer(err) && json_integer_value(err) == 0)
        return;
    if (json_is_integer(err)) {
        result->outcome = EXPORTER_DROP;
        say(result, "Rollbar refused the item: %s", words[0] != '\0' ? words : "it does not say why");
        return;
    }
    result->outcome = EXPORTER_RETRY;
    say(result, "%s does not answer as Rollbar does: check ROLLBAR_ENDPOINT, and proxies", shown_url);
}

static void read_limited(const struct http_response *response, struct exporter_result *result)
{
    result->outcome = EXPORTER_RETRY;
    result->retry_after_ms = rollbar_answer_hold_ms(http_response_header(response, "X-Rate-Limit-Remaining-Seconds"),
                                                    http_response_header(response, "X-Rate-Limit-Reset"), time(NULL));
    say(result, "429: Rollbar's limit of items is reached; the next attempt is in %u s",
        result->retry_after_ms / MS_PER_S);
}

/* Nothing can be sent before somebody changes a setting. */
static void read_misdirected(int status, const char *shown_url, struct exporter_result *result)
{
    result->outcome = EXPORTER_RETRY;
    result->retry_after_ms = ROLLBAR_HOLD_MS;
    if (status == 401 || status == 403)
        say(result,
            "%d: the token is not accepted: ROLLBAR_ACCESS_TOKEN wants a project's token with the scope "
            "post_server_item",
            status);
    else
        say(result, "%d: nothing takes items at %s: check ROLLBAR_ENDPOINT", status, shown_url);
}

static void read_refused(const struct http_response *response, const char *words, const char *shown_url,
                         struct exporter_result *result)
{
    int status = response->status;

    if (status == 429) {
        read_limited(response, result);
    } else if (status == 400 || status == 422 || status == ROLLBAR_TOO_LARGE) {
        result->outcome = EXPORTER_DROP;
        say(result, "%d: Rollbar refused the item: %s", status, words[0] != '\0' ? words : "it does not say why");
    } else if (status >= 500 || status == 408) {
        result->outcome = EXPORTER_RETRY;
        say(result, "%d: %s has a problem of its own", status, shown_url);
    } else {
        read_misdirected(status, shown_url, result);
    }
}

static void read_unanswered(const struct http_response *response, const char *shown_url, struct exporter_result *result)
{
    bool is_proxy = response->cause == HTTP_CAUSE_PROXY;

    result->outcome = EXPORTER_RETRY;
    say(result, "no answer from %s: %.80s%s", shown_url, response->failure,
        is_proxy ? "; check HTTP_PROXY and HTTPS_PROXY" : "");
}

void rollbar_answer_read(const struct http_response *response, const char *shown_url, const char *token,
                         struct exporter_result *ret_result)
{
    char words[WORDS_SIZE];

    *ret_result = (struct exporter_result){.outcome = EXPORTER_SENT};
    if (response->status == 0) {
        read_unanswered(response, shown_url, ret_result);
        return;
    }
    json_t *answer = json_loadb(response->body, response->body_length, 0, NULL);
    read_words(answer, token, words);
    if (response->status >= 200 && response->status < 300)
        read_accepted(answer, words, shown_url, ret_result);
    else
        read_refused(response, words, shown_url, ret_result);
    json_decref(answer);
}
