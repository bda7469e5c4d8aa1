/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/aws_answer.h"

#include "exporters/agent/http_client.h"
#include "exporters/encode/json_access.h"
#include "exporters/encode/utf8.h"
#include "exporters/exporter.h"

#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MULTIPLE_CHOICES = 300,
    BAD_REQUEST = 400,
    UNAUTHORIZED = 401,
    FORBIDDEN = 403,
    NOT_FOUND = 404,
    PROXY_AUTHENTICATION = 407,
    TIMEOUT = 408,
    TOO_LARGE = 413,
    TOO_MANY = 429
};

const struct aws_remedies aws_remedies_xray = {
    .policy = "AWSXRayDaemonWriteAccess",
    .endpoint = "AWS_ENDPOINT_URL_XRAY",
    .smaller = "lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
};
const struct aws_remedies aws_remedies_logs = {
    .policy = "CloudWatchAgentServerPolicy",
    .endpoint = "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
    .smaller = "lower SPANSHIM_CLOUDWATCH_EVENT_BYTES",
};

void aws_answer_words(const char *text, char *out, size_t size)
{
    char repaired[AWS_WORDS_MAX * UTF8_REPAIRED_MAX + 1];
    size_t length = strnlen(text, size - 1 < AWS_WORDS_MAX ? size - 1 : AWS_WORDS_MAX);

    (void)utf8_repair(text, length, (uint32_t)(size - 1), repaired);
    for (char *p = repaired; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    (void)snprintf(out, size, "%.*s", (int)(size - 1), repaired);
}

static json_t *read_body(const struct http_response *response)
{
    return json_loadb(response->body != NULL ? response->body : "", response->body_length, 0, NULL);
}

void aws_answer_code(const struct http_response *response, char out[AWS_CODE_MAX])
{
    json_t *body = read_body(response);
    const char *code = http_response_header(response, "X-Amzn-ErrorType");

    if (code == NULL)
        code = json_text_of(body, "__type");
    if (code == NULL)
        code = json_text_of(body, "code");
    if (code == NULL)
        code = "";
    /* "com.amazon.coral.service#ExpiredTokenException:http://..." */
    const char *mark = strrchr(code, '#');
    aws_answer_words(mark != NULL ? mark + 1 : code, out, AWS_CODE_MAX);
    out[strcspn(out, ": ")] = '\0';
    json_decref(body);
}

static bool is_one_of(const char *code, const char *const *codes)
{
    for (; *codes != NULL; codes++)
        if (strcasecmp(code, *codes) == 0)
            return true;
    return false;
}

static bool is_expired(const char *code)
{
    static const char *const codes[] = {"ExpiredTokenException", "ExpiredToken", "TokenRefreshRequired", NULL};

    return is_one_of(code, codes);
}

bool aws_answer_is_about_credentials(const char *code)
{
    static const char *const codes[] = {"UnrecognizedClientException",
                                        "InvalidClientTokenId",
                                        "InvalidAccessKeyId",
                                        "InvalidToken",
                                        "MissingAuthenticationToken",
                                        "MissingAuthenticationTokenException",
                                        NULL};

    return is_expired(code) || is_one_of(code, codes);
}

static bool is_about_signature(const char *code)
{
    static const char *const codes[] = {
        "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature",     "IncompleteSignatureException",
        "RequestTimeTooSkewed",      "RequestExpired",        "RequestExpiredException", NULL};

    return is_one_of(code, codes);
}

static bool is_throttled(const struct http_response *response, const char *code)
{
    static const char *const codes[] = {
        "ThrottledException",   "ThrottlingException",    "Throttling", "TooManyRequestsException",
        "RequestLimitExceeded", "LimitExceededException", NULL};

    return response->status == TOO_MANY || is_one_of(code, codes);
}

/* CloudWatch Logs says it with 400. */
static bool is_denied(const struct http_response *response, const char *code)
{
    static const char *const codes[] = {"AccessDeniedException", "AccessDenied", NULL};

    return response->status == UNAUTHORIZED || response->status == FORBIDDEN || is_one_of(code, codes);
}

/* AWS could not do it now. */
static bool is_passing(const struct http_response *response, const char *code)
{
    static const char *const codes[] = {"RequestTimeout", "RequestTimeoutException", "OperationAbortedException", NULL};

    return response->status >= 500 || response->status == TIMEOUT || is_one_of(code, codes);
}

/* Does a proxy answer, or whatever is at the endpoint, in place of AWS, which always names an error? */
static bool is_anothers(const struct http_response *response, const char *code)
{
    bool is_redirect = response->status >= MULTIPLE_CHOICES && response->status < BAD_REQUEST;

    return code[0] == '\0' &&
           (is_redirect || response->status == NOT_FOUND || response->status == PROXY_AUTHENTICATION);
}

static void write_remedy(const struct http_response *response, const char *code, const char *origin,
                         const struct aws_remedies *remedies, char *out, size_t size)
{
    if (is_expired(code))
        (void)snprintf(out, size, "the credentials of %s have expired: renew them", origin);
    else if (aws_answer_is_about_credentials(code))
        (void)snprintf(out, size, "AWS doesn't know the credentials of %s: check them and the region", origin);
    else if (is_about_signature(code))
        (void)snprintf(out, size,
                       "the signature doesn't fit: check the secret key of %s, the region, and this machine's clock",
                       origin);
    else if (is_denied(response, code))
        (void)snprintf(out, size, "the credentials of %s may not do this: attach %s to them", origin, remedies->policy);
    else if (is_throttled(response, code))
        (void)snprintf(out, size, "AWS asks for fewer requests");
    else if (is_passing(response, code))
        (void)snprintf(out, size, "AWS has a problem of its own");
    else if (is_anothers(response, code))
        (void)snprintf(out, size, "this is no answer of AWS's: check %s and HTTPS_PROXY", remedies->endpoint);
    else if (response->status == TOO_LARGE)
        (void)snprintf(out, size, "the batch is too large: %s", remedies->smaller);
    else
        (void)snprintf(out, size, "AWS refused the batch: check AWS_REGION and %s", remedies->endpoint);
}

/* Credentials may be renewed, rights given, and settings of the network mended, while the batch waits. */
static bool is_retryable(const struct http_response *response, const char *code)
{
    return is_passing(response, code) || is_anothers(response, code) || is_denied(response, code) ||
           is_throttled(response, code) || aws_answer_is_about_credentials(code) || is_about_signature(code);
}

static void read_unanswered(const struct http_response *response, const struct aws_remedies *remedies,
                            struct exporter_result *result)
{
    result->outcome = EXPORTER_RETRY;
    if (response->cause == HTTP_CAUSE_NOT_SIGNED)
        (void)snprintf(result->error, sizeof(result->error), "%s", response->failure);
    else
        (void)snprintf(result->error, sizeof(result->error), "no answer from AWS: %.120s; see AWS_REGION, %s%s",
                       response->failure,
                       response->cause == HTTP_CAUSE_AUTHORITY ? "AWS_CA_BUNDLE" : remedies->endpoint,
                       response->cause == HTTP_CAUSE_AUTHORITY ? "" : ", HTTPS_PROXY");
}

void aws_answer_read(const struct http_response *response, const char *origin, const struct aws_remedies *remedies,
                     struct exporter_result *ret_result)
{
    char code[AWS_CODE_MAX], words[AWS_WORDS_MAX] = "", remedy[128];

    *ret_result = (struct exporter_result){0};
    if (response->status == 0) {
        read_unanswered(response, remedies, ret_result);
        return;
    }
    json_t *body = read_body(response);
    const char *message = json_text_of(body, "message");
    if (message == NULL)
        message = json_text_of(body, "Message");
    aws_answer_words(message != NULL ? message : "", words, sizeof(words));
    json_decref(body);
    aws_answer_code(response, code);
    write_remedy(response, code, origin, remedies, remedy, sizeof(remedy));
    ret_result->outcome = is_retryable(response, code) ? EXPORTER_RETRY : EXPORTER_DROP;
    ret_result->retry_after_ms = response->has_retry_after ? response->retry_after_ms : 0;
    (void)snprintf(ret_result->error, sizeof(ret_result->error), "%d%s%.40s: %s%s%.60s%s", response->status,
                   code[0] != '\0' ? " " : "", code, remedy, words[0] != '\0' ? " (" : "", words,
                   words[0] != '\0' ? ")" : "");
}

void aws_answer_say_once(char said[AWS_SAID_SIZE], struct exporter_result *result)
{
    static_assert(sizeof(result->error) == AWS_SAID_SIZE, "a line fits");

    if (strcmp(said, result->error) == 0)
        result->error[0] = '\0';
    else
        memcpy(said, result->error, AWS_SAID_SIZE);
}
