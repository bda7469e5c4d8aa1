/* SPDX-License-Identifier: Apache-2.0 */
/* Segments to X-Ray itself, by signed calls of PutTraceSegments: several for one payload, where it has more documents
 * than a call may have. A payload that comes again goes on where it was left. */
#include "exporters/agent/http_client.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"
#include "exporters/aws/aws_answer.h"
#include "exporters/aws/sigv4.h"
#include "exporters/aws/xray_call.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/json_access.h"
#include "exporters/xray_way.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DOCUMENTS_MAX = 50, /* a call; X-Ray takes no more */
    CALL_BYTES_MAX = 1 << 20,
    CODES_MAX = 4
};

struct api {
    struct aws_call *call;
    struct buffer body;
    /* The payload under way. */
    const char *payload;
    size_t length;
    uint8_t hash[SIGV4_HASH_SIZE]; /* which it is */
    size_t sent, next;             /* bytes of it that X-Ray has, and will have after this call */
    uint64_t rejected_count;
    char error[256]; /* what X-Ray said of those */
    char said[AWS_SAID_SIZE];
    exporter_done *done;
    void *arg;
};

static void api_describe(const struct settings *settings, char *text, size_t size)
{
    xray_call_describe(settings, text, size);
}

static void api_close(void *instance)
{
    struct api *api = instance;

    if (api == NULL)
        return;
    aws_call_free(api->call);
    buffer_deinit(&api->body);
    free(api);
}

static int api_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                    char error[256])
{
    struct api *api = calloc(1, sizeof(*api));
    int r = api != NULL ? xray_call_new(host, settings, &api->call) : -ENOMEM;

    if (r < 0) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(-r));
        api_close(api);
        return r;
    }
    *ret_instance = api;
    return 0;
}

/* the body of a call */

/* A document as a JSON string. -EILSEQ: what waited on the disk is damaged. */
static int append_quoted(struct buffer *body, const char *document, size_t length)
{
    json_t *text = json_stringn(document, length);
    if (text == NULL)
        return -EILSEQ;
    char *quoted = json_dumps(text, JSON_ENCODE_ANY | JSON_COMPACT);
    int r = quoted != NULL ? buffer_append(body, quoted, strlen(quoted)) : -ENOMEM;

    free(quoted);
    json_decref(text);
    return r;
}

static int append_text(struct buffer *body, const char *text)
{
    return buffer_append(body, text, strlen(text));
}

/* As many of the documents that are left as a call takes, at least one. */
static int make_body(struct api *api)
{
    size_t count = 0;
    int r;

    api->body.length = 0;
    api->next = api->sent;
    r = append_text(&api->body, "{\"TraceSegmentDocuments\":[");
    while (r == 0 && api->next < api->length && count < DOCUMENTS_MAX) {
        const char *document = api->payload + api->next;
        const char *end = memchr(document, '\n', api->length - api->next);
        size_t length = end != NULL ? (size_t)(end - document) : api->length - api->next;

        if (count > 0 && api->body.length + length > CALL_BYTES_MAX)
            break;
        if (count > 0)
            r = append_text(&api->body, ",");
        if (r == 0)
            r = append_quoted(&api->body, document, length);
        api->next += length + (end != NULL);
        count++;
    }
    return r == 0 ? append_text(&api->body, "]}") : r;
}

/* answers */

static void finish(struct api *api, struct exporter_result *result)
{
    if (result->outcome != EXPORTER_RETRY) {
        api->sent = api->length = 0; /* should the same come once more, it is a new one */
        result->rejected_count = api->rejected_count;
        if (result->error[0] == '\0')
            memcpy(result->error, api->error, sizeof(result->error));
    }
    aws_answer_say_once(api->said, result);
    api->done(api->arg, result);
}

struct refused {
    const char *code;
    size_t count;
};

static void count_code(struct refused codes[CODES_MAX], const char *code)
{
    for (size_t i = 0; i < CODES_MAX; i++) {
        if (codes[i].code != NULL && strcmp(codes[i].code, code) != 0)
            continue;
        codes[i].code = code;
        codes[i].count++;
        return;
    }
}

static void write_refused(struct api *api, const struct refused codes[CODES_MAX], const char *words)
{
    size_t length = (size_t)snprintf(api->error, sizeof(api->error),
                                     "X-Ray refused %llu segments:", (unsigned long long)api->rejected_count);

    for (size_t i = 0; i < CODES_MAX && codes[i].code != NULL; i++)
        length += (size_t)snprintf(api->error + length, sizeof(api->error) - length, "%s %.30s (%zu)", i > 0 ? "," : "",
                                   codes[i].code, codes[i].count);
    (void)snprintf(api->error + length, sizeof(api->error) - length, ": ");
    length += length + 2 < sizeof(api->error) ? 2 : 0;
    aws_answer_words(words, api->error + length, sizeof(api->error) - length);
}

/* Those that X-Ray will never take. They are not sent again. */
static void read_unprocessed(struct api *api, const struct http_response *response)
{
    json_t *answer = json_loadb(response->body != NULL ? response->body : "", response->body_length, 0, NULL);
    const json_t *list = json_object_get(answer, "UnprocessedTraceSegments");
    struct refused codes[CODES_MAX] = {0};
    const char *words = "";
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        const char *code = json_text_of(one, "ErrorCode");
        const char *message = json_text_of(one, "Message");

        count_code(codes, code != NULL ? code : "without a reason");
        if (*words == '\0' && message != NULL)
            words = message;
    }
    api->rejected_count += json_array_size(list);
    if (json_array_size(list) > 0)
        write_refused(api, codes, words);
    json_decref(answer);
}

static void call_next(struct api *api);

static void on_response(void *arg, const struct http_response *response)
{
    struct api *api = arg;
    struct exporter_result result;

    if (response->status != 200) {
        aws_answer_read(response, aws_call_origin(api->call), &aws_remedies_xray, &result);
        finish(api, &result);
        return;
    }
    read_unprocessed(api, response);
    api->sent = api->next;
    call_next(api);
}

static void call_next(struct api *api)
{
    struct exporter_result result = {.outcome = EXPORTER_SENT};

    if (api->sent == api->length) {
        finish(api, &result);
        return;
    }
    int r = make_body(api);
    if (r == 0)
        r = xray_call_post(api->call, "/TraceSegments", api->body.bytes, api->body.length, on_response, api);
    if (r == 0)
        return;
    result.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP;
    (void)snprintf(result.error, sizeof(result.error), "the batch can't be sent: %s", strerror(-r));
    finish(api, &result);
}

static void api_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct api *api = instance;
    uint8_t hash[SIGV4_HASH_SIZE];

    sigv4_hash(payload, length, hash);
    if (length != api->length || memcmp(hash, api->hash, sizeof(hash)) != 0) {
        memcpy(api->hash, hash, sizeof(hash));
        api->length = length;
        api->sent = 0;
        api->rejected_count = 0;
        api->error[0] = '\0';
    }
    api->payload = payload;
    api->done = done;
    api->arg = arg;
    call_next(api);
}

const struct xray_way xray_api = {
    .describe = api_describe,
    .open = api_open,
    .send = api_send,
    .close = api_close,
};
