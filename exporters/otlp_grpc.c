/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/otlp_grpc.h"

#include "exporters/agent/http_client.h"
#include "otlp.pb-c.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RETRY_DELAY_MAX_S = 3600, TIMEOUT_NUMBER_MAX = 99999999, DETAILS_MAX = 8192, RESOURCE_EXHAUSTED = 8 };

/* gRPC's codes by number: which of them OTLP allows to be retried, and HTTP's status of the same sense. */
static const struct {
    const char *name;
    int status;
    bool is_retryable;
} codes[] = {
    {"OK", 200, false},
    {"CANCELLED", 503, true},
    {"UNKNOWN", 500, false},
    {"INVALID_ARGUMENT", 400, false},
    {"DEADLINE_EXCEEDED", 504, true},
    {"NOT_FOUND", 404, false},
    {"ALREADY_EXISTS", 409, false},
    {"PERMISSION_DENIED", 403, false},
    {"RESOURCE_EXHAUSTED", 413, false}, /* too large; with RetryInfo: too much just now */
    {"FAILED_PRECONDITION", 400, false},
    {"ABORTED", 503, true},
    {"OUT_OF_RANGE", 400, true},
    {"UNIMPLEMENTED", 404, false}, /* no such service there */
    {"INTERNAL", 500, false},
    {"UNAVAILABLE", 503, true},
    {"DATA_LOSS", 500, true},
    {"UNAUTHENTICATED", 401, false},
};
enum { CODE_COUNT = sizeof(codes) / sizeof(codes[0]), CODE_UNKNOWN = 2 };

void otlp_grpc_frame(uint8_t frame[GRPC_FRAME_SIZE], bool is_compressed, size_t length)
{
    frame[0] = is_compressed;
    for (unsigned i = 1; i < GRPC_FRAME_SIZE; i++)
        frame[i] = (uint8_t)(length >> 8 * (GRPC_FRAME_SIZE - 1 - i));
}

void otlp_grpc_timeout(uint32_t timeout_ms, char text[GRPC_TIMEOUT_SIZE])
{
    /* Eight digits at most. */
    if (timeout_ms <= TIMEOUT_NUMBER_MAX)
        (void)snprintf(text, GRPC_TIMEOUT_SIZE, "%um", timeout_ms);
    else
        (void)snprintf(text, GRPC_TIMEOUT_SIZE, "%uS", timeout_ms / 1000);
}

static unsigned hex_digit(char c)
{
    return isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(tolower((unsigned char)c) - 'a' + 10);
}

/* grpc-message is percent-encoded; what isn't encoded rightly stays as it is. */
static void read_message(const char *message, char out[OTLP_WORDS_MAX])
{
    char decoded[OTLP_WORDS_MAX];
    size_t length = 0;

    for (; *message != '\0' && length < sizeof(decoded); length++) {
        if (*message == '%' && isxdigit((unsigned char)message[1]) && isxdigit((unsigned char)message[2])) {
            decoded[length] = (char)(hex_digit(message[1]) << 4 | hex_digit(message[2]));
            message += 3;
        } else {
            decoded[length] = *message++;
        }
    }
    otlp_answer_words(decoded, length, out);
}

/* Base64 with or without padding, as binary headers have it. Bytes; 0 when it is something else. */
static size_t decode_base64(const char *text, uint8_t *out, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t length = 0;

    for (; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        if (digit == NULL || length == size)
            return 0;
        bits = bits << 6 | (uint32_t)(digit - digits);
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[length++] = (uint8_t)(bits >> bit_count);
        }
    }
    return length;
}

static uint32_t delay_ms(const Otlp__RpcDuration *delay)
{
    if (delay == NULL || delay->seconds < 0 || delay->nanos < 0)
        return 0;
    if (delay->seconds >= RETRY_DELAY_MAX_S)
        return RETRY_DELAY_MAX_S * 1000;
    return (uint32_t)delay->seconds * 1000 + (uint32_t)delay->nanos / 1000000;
}

/* Is there a RetryInfo among the details? Then it says after how long. */
static bool find_retry_info(const Otlp__RpcStatus *status, uint32_t *ret_delay_ms)
{
    static const char name[] = "/google.rpc.RetryInfo";

    for (size_t i = 0; i < status->n_details; i++) {
        const Otlp__RpcDetail *detail = status->details[i];
        size_t length = strlen(detail->type_url);

        if (length < strlen(name) || strcmp(detail->type_url + length - strlen(name), name) != 0)
            continue;
        Otlp__RpcRetryInfo *info = otlp__rpc_retry_info__unpack(NULL, detail->value.len, detail->value.data);
        if (info == NULL)
            continue;
        *ret_delay_ms = delay_ms(info->retry_delay);
        otlp__rpc_retry_info__free_unpacked(info, NULL);
        return true;
    }
    return false;
}

static bool read_retry_info(const char *details, uint32_t *ret_delay_ms)
{
    uint8_t bytes[DETAILS_MAX];
    Otlp__RpcStatus *status = otlp__rpc_status__unpack(NULL, decode_base64(details, bytes, sizeof(bytes)), bytes);
    bool found = status != NULL && find_retry_info(status, ret_delay_ms);

    otlp__rpc_status__free_unpacked(status, NULL);
    return found;
}

/* A message in its frame, whole. With a single answer it comes only when the call has succeeded. */
static bool has_message(const struct http_response *response)
{
    const uint8_t *frame = response->body;

    if (response->status != 200 || response->content_type == NULL || response->body_length < GRPC_FRAME_SIZE ||
        strncasecmp(response->content_type, "application/grpc", strlen("application/grpc")) != 0)
        return false;
    size_t length = (size_t)frame[1] << 24 | (size_t)frame[2] << 16 | (size_t)frame[3] << 8 | frame[4];
    return length == response->body_length - GRPC_FRAME_SIZE;
}

bool otlp_grpc_read(const struct http_response *response, struct otlp_refusal *ret_refusal)
{
    const char *text = http_response_header(response, "grpc-status");
    struct otlp_refusal refusal = {0};

    if (text == NULL) {
        /* libcurl (7.88 at least) loses the trailers when the receiver has sent GOAWAY: at each of its restarts. */
        *ret_refusal = refusal;
        return has_message(response);
    }
    unsigned long code = strtoul(text, NULL, 10);
    if (code >= CODE_COUNT || !isdigit((unsigned char)*text))
        code = CODE_UNKNOWN;
    if (code != 0) {
        refusal.status = codes[code].status;
        refusal.name = codes[code].name;
        refusal.is_retryable = codes[code].is_retryable;
        text = http_response_header(response, "grpc-message");
        read_message(text != NULL ? text : "", refusal.words);
        text = http_response_header(response, "grpc-status-details-bin");
        if (text != NULL && read_retry_info(text, &refusal.retry_after_ms) && code == RESOURCE_EXHAUSTED) {
            refusal.status = 429;
            refusal.is_retryable = true;
        }
    }
    *ret_refusal = refusal;
    return true;
}
