/* SPDX-License-Identifier: Apache-2.0 */
/* Amazon CloudWatch Logs: events of logs, and crashes, by signed calls of PutLogEvents, one after another for what is
 * in a payload. A payload that comes again goes on where it was left. */
#include "exporters/agent/http_client.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/aws/aws_answer.h"
#include "exporters/aws/logs_call.h"
#include "exporters/aws/sigv4.h"
#include "exporters/cloudwatch_crash.h"
#include "exporters/cloudwatch_create.h"
#include "exporters/encode/cloudwatch_events.h"
#include "exporters/exporter.h"
#include "preload/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MINUTE UINT64_C(60000000000)

/* One call is under way at a time, so it has to carry much. */
enum { BATCH_SIZE = 2048 };

struct cloudwatch {
    struct loop *loop;
    struct aws_call *call;
    struct cloudwatch_create create;
    struct cloudwatch_options options;
    /* What may be sent in a minute. */
    uint64_t bytes_per_minute; /* 0: no limit */
    uint64_t minute;           /* whose room this is */
    struct cloudwatch_room room;
    /* The payload under way. */
    const char *payload;
    size_t length;
    uint8_t hash[SIGV4_HASH_SIZE]; /* which it is */
    size_t sent, next;             /* bytes of it that are done with, and will be after this call */
    const char *body;              /* of this call */
    size_t body_length;
    uint64_t event_count; /* in it */
    bool has_created;     /* its stream was made */
    uint64_t rejected_count, limited_count;
    char error[256]; /* what is to be said of the payload when it is sent */
    char said[AWS_SAID_SIZE];
    exporter_done *done;
    void *arg;
};

static void cloudwatch_describe(const struct settings *settings, char *text, size_t size)
{
    char url[128];

    logs_call_describe(settings, url, sizeof(url));
    (void)snprintf(text, size, "%s, log group %s", url,
                   settings->cloudwatch_group != NULL ? settings->cloudwatch_group : "");
}

static void cloudwatch_describe_form(const struct settings *settings, char *text, size_t size)
{
    (void)snprintf(text, size, "%s", settings->cloudwatch_format);
}

static void cloudwatch_close(void *instance)
{
    struct cloudwatch *cloudwatch = instance;

    if (cloudwatch == NULL)
        return;
    aws_call_free(cloudwatch->call);
    cloudwatch_create_deinit(&cloudwatch->create);
    free(cloudwatch);
}

static int cloudwatch_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                           char error[256])
{
    struct cloudwatch *cloudwatch = calloc(1, sizeof(*cloudwatch));
    int r = cloudwatch != NULL ? logs_call_new(host, settings, &cloudwatch->call) : -ENOMEM;

    if (r < 0) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(-r));
        cloudwatch_close(cloudwatch);
        return r;
    }
    cloudwatch->loop = host->loop;
    cloudwatch->create.call = cloudwatch->call;
    cloudwatch->create.retention_days = settings->cloudwatch_retention_days;
    cloudwatch->bytes_per_minute = settings->cloudwatch_bytes_per_minute;
    cloudwatch->options = (struct cloudwatch_options){.group = settings->cloudwatch_group,
                                                      .stream = settings->cloudwatch_stream,
                                                      .is_plain = strcmp(settings->cloudwatch_format, "plain") == 0,
                                                      .has_xray = settings->xray_mode != XRAY_OFF,
                                                      .is_cut = strcmp(settings->cloudwatch_long_events, "cut") == 0,
                                                      .event_max = settings->cloudwatch_event_bytes};
    *ret_instance = cloudwatch;
    return 0;
}

/* What may be sent in this minute is there. */
static void make_room(struct cloudwatch *cloudwatch)
{
    uint64_t minute = loop_now_ns(cloudwatch->loop) / NS_PER_MINUTE + 1;

    if (cloudwatch->bytes_per_minute == 0)
        cloudwatch->room.bytes = UINT64_MAX;
    else if (cloudwatch->minute != minute)
        cloudwatch->room = (struct cloudwatch_room){.bytes = cloudwatch->bytes_per_minute};
    cloudwatch->minute = minute;
}

static int cloudwatch_encode_logs(void *instance, const struct log_event *const *events, size_t count,
                                  struct buffer *payload)
{
    struct cloudwatch *cloudwatch = instance;

    make_room(cloudwatch);
    return cloudwatch_events_append(events, count, &cloudwatch->options, &cloudwatch->room, payload);
}

static int cloudwatch_encode_report(void *instance, const json_t *report, struct buffer *payload)
{
    struct cloudwatch *cloudwatch = instance;

    make_room(cloudwatch);
    return cloudwatch_crash_append(report, &cloudwatch->options, &cloudwatch->room, payload);
}

/* the end of a payload */

static void finish(struct cloudwatch *cloudwatch, struct exporter_result *result)
{
    if (result->outcome != EXPORTER_RETRY) {
        cloudwatch->sent = cloudwatch->length = 0; /* should the same come once more, it is a new one */
        result->rejected_count = cloudwatch->rejected_count;
        result->limited_count = cloudwatch->limited_count;
        memcpy(result->error, cloudwatch->error, sizeof(result->error));
    }
    aws_answer_say_once(cloudwatch->said, result);
    cloudwatch->done(cloudwatch->arg, result);
}

static void finish_locally(struct cloudwatch *cloudwatch, int error)
{
    struct exporter_result result = {.outcome = EXPORTER_RETRY};

    (void)snprintf(result.error, sizeof(result.error), "the batch can't be sent: %s", strerror(-error));
    finish(cloudwatch, &result);
}

/* answers */

static void send_next(struct cloudwatch *cloudwatch);
static void put(struct cloudwatch *cloudwatch);

static void go_on(struct cloudwatch *cloudwatch)
{
    cloudwatch->sent = cloudwatch->next;
    cloudwatch->has_created = false;
    send_next(cloudwatch);
}

/* How many of the call's events are named by an index of rejectedLogEventsInfo: those before it, or from it on. */
static uint64_t count_of(const struct cloudwatch *cloudwatch, const json_t *info, const char *key, bool is_start)
{
    const json_t *member = json_object_get(info, key);
    json_int_t index = json_integer_value(member);
    uint64_t bounded = index < 0                                   ? 0
                       : (uint64_t)index < cloudwatch->event_count ? (uint64_t)index
                                                                   : cloudwatch->event_count;

    if (!json_is_integer(member))
        return 0;
    return is_start ? cloudwatch->event_count - bounded : bounded;
}

/* Events that are too old or too new were left out; they are not sent again. */
static void read_rejected(struct cloudwatch *cloudwatch, const struct http_response *response)
{
    json_t *answer = json_loadb(response->body != NULL ? response->body : "", response->body_length, 0, NULL);
    const json_t *info = json_object_get(answer, "rejectedLogEventsInfo");
    uint64_t too_old = count_of(cloudwatch, info, "tooOldLogEventEndIndex", false);
    uint64_t expired = count_of(cloudwatch, info, "expiredLogEventEndIndex", false);
    uint64_t too_new = count_of(cloudwatch, info, "tooNewLogEventStartIndex", true);
    uint64_t old = too_old > expired ? too_old : expired;

    json_decref(answer);
    if (old + too_new == 0)
        return;
    cloudwatch->rejected_count += old + too_new;
    (void)snprintf(cloudwatch->error, sizeof(cloudwatch->error),
                   "CloudWatch Logs left out %llu events that are too old and %llu that are too new: check the clock",
                   (unsigned long long)old, (unsigned long long)too_new);
}

static void on_created(void *arg, const struct exporter_result *result)
{
    struct cloudwatch *cloudwatch = arg;
    struct exporter_result failed = *result;

    if (result->outcome != EXPORTER_SENT) {
        finish(cloudwatch, &failed);
        return;
    }
    if (result->error[0] != '\0')
        memcpy(cloudwatch->error, result->error, sizeof(cloudwatch->error));
    cloudwatch->has_created = true;
    put(cloudwatch);
}

static void create(struct cloudwatch *cloudwatch)
{
    int r =
        cloudwatch_create_start(&cloudwatch->create, cloudwatch->body, cloudwatch->body_length, on_created, cloudwatch);

    if (r < 0)
        finish_locally(cloudwatch, r);
}

static void read_refusal(struct cloudwatch *cloudwatch, const struct http_response *response)
{
    struct exporter_result result;
    char code[AWS_CODE_MAX];

    aws_answer_code(response, code);
    if (strcmp(code, "DataAlreadyAcceptedException") == 0) { /* its answer was lost */
        go_on(cloudwatch);
        return;
    }
    bool is_missing = strcmp(code, "ResourceNotFoundException") == 0;
    if (is_missing && !cloudwatch->has_created) {
        create(cloudwatch);
        return;
    }
    aws_answer_read(response, aws_call_origin(cloudwatch->call), &aws_remedies_logs, &result);
    if (result.outcome == EXPORTER_RETRY || is_missing) {
        result.outcome = EXPORTER_RETRY;
        finish(cloudwatch, &result);
        return;
    }
    cloudwatch->rejected_count += cloudwatch->event_count;
    memcpy(cloudwatch->error, result.error, sizeof(cloudwatch->error));
    go_on(cloudwatch);
}

static void on_put(void *arg, const struct http_response *response)
{
    struct cloudwatch *cloudwatch = arg;

    if (response->status != 200) {
        read_refusal(cloudwatch, response);
        return;
    }
    read_rejected(cloudwatch, response);
    go_on(cloudwatch);
}

/* calls */

static void put(struct cloudwatch *cloudwatch)
{
    int r = logs_call_post(cloudwatch->call, "Logs_20140328.PutLogEvents", cloudwatch->body, cloudwatch->body_length,
                           on_put, cloudwatch);

    if (r < 0)
        finish_locally(cloudwatch, r);
}

/* The next line of the payload. False: there is none. */
static bool take_line(struct cloudwatch *cloudwatch)
{
    size_t left = cloudwatch->length - cloudwatch->sent, digits = 0;
    const char *line = cloudwatch->payload + cloudwatch->sent;
    const char *end = left > 0 ? memchr(line, '\n', left) : NULL;

    if (end == NULL)
        return false;
    cloudwatch->event_count = 0;
    for (; line + digits < end && line[digits] >= '0' && line[digits] <= '9'; digits++)
        cloudwatch->event_count = cloudwatch->event_count * 10 + (uint64_t)(line[digits] - '0');
    if (line + digits < end)
        digits++; /* the blank */
    cloudwatch->body = line + digits;
    cloudwatch->body_length = (size_t)(end - cloudwatch->body);
    cloudwatch->next = cloudwatch->sent + (size_t)(end - line) + 1;
    return true;
}

static void send_next(struct cloudwatch *cloudwatch)
{
    struct exporter_result result = {.outcome = EXPORTER_SENT};

    while (take_line(cloudwatch)) {
        if (cloudwatch->body_length > 0) {
            put(cloudwatch);
            return;
        }
        cloudwatch->limited_count += cloudwatch->event_count;
        (void)snprintf(cloudwatch->error, sizeof(cloudwatch->error),
                       "events are left out: SPANSHIM_CLOUDWATCH_BYTES_PER_MINUTE is reached");
        cloudwatch->sent = cloudwatch->next;
    }
    finish(cloudwatch, &result);
}

static void cloudwatch_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct cloudwatch *cloudwatch = instance;
    uint8_t hash[SIGV4_HASH_SIZE];

    sigv4_hash(payload, length, hash);
    if (length != cloudwatch->length || memcmp(hash, cloudwatch->hash, sizeof(hash)) != 0) {
        memcpy(cloudwatch->hash, hash, sizeof(hash));
        cloudwatch->length = length;
        cloudwatch->sent = 0;
        cloudwatch->rejected_count = cloudwatch->limited_count = 0;
        cloudwatch->error[0] = '\0';
    }
    cloudwatch->payload = payload;
    cloudwatch->has_created = false;
    cloudwatch->done = done;
    cloudwatch->arg = arg;
    send_next(cloudwatch);
}

const struct exporter exporter_cloudwatch = {
    .name = "cloudwatch",
    .takes = EXPORTER_TAKES_SAMPLED,
    .batch_size = BATCH_SIZE,
    .describe = cloudwatch_describe,
    .describe_form = cloudwatch_describe_form,
    .open = cloudwatch_open,
    .encode_logs = cloudwatch_encode_logs,
    .encode_report = cloudwatch_encode_report,
    .send = cloudwatch_send,
    .close = cloudwatch_close,
};
