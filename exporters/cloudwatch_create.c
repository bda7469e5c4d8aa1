/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cloudwatch_create.h"

#include "exporters/agent/http_client.h"
#include "exporters/aws/aws_answer.h"
#include "exporters/aws/logs_call.h"
#include "exporters/encode/json_access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_stream(struct cloudwatch_create *create);

void cloudwatch_create_deinit(struct cloudwatch_create *create)
{
    json_decref(create->names);
    create->names = NULL;
    buffer_deinit(&create->body);
}

static void finish(struct cloudwatch_create *create, const struct exporter_result *result)
{
    json_decref(create->names);
    create->names = NULL;
    create->done(create->arg, result);
}

static const char *group_of(const struct cloudwatch_create *create)
{
    const char *group = json_text_of(create->names, "logGroupName");

    return group != NULL ? group : "";
}

/* Nothing can be sent before this is mended: it waits, whatever it is. */
static void finish_failed(struct cloudwatch_create *create, const struct http_response *response, const char *what)
{
    struct exporter_result said, result = {.outcome = EXPORTER_RETRY};

    aws_answer_read(response, aws_call_origin(create->call), &aws_remedies_logs, &said);
    result.retry_after_ms = said.retry_after_ms;
    (void)snprintf(result.error, sizeof(result.error), "%s %.60s can't be made: %.150s", what, group_of(create),
                   said.error);
    finish(create, &result);
}

static void finish_locally(struct cloudwatch_create *create, int error)
{
    struct exporter_result result = {.outcome = EXPORTER_RETRY};

    (void)snprintf(result.error, sizeof(result.error), "the log stream can't be made: %s", strerror(-error));
    finish(create, &result);
}

/* Call it with the members of `body` (taken). */
static void call(struct cloudwatch_create *create, const char *operation, json_t *body, http_done *done)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    int r = -ENOMEM;

    create->body.length = 0;
    if (text != NULL)
        r = buffer_append(&create->body, text, strlen(text));
    if (r == 0)
        r = logs_call_post(create->call, operation, create->body.bytes, create->body.length, done, create);
    free(text);
    json_decref(body);
    if (r < 0)
        finish_locally(create, r);
}

static bool has_code(const struct http_response *response, const char *expected)
{
    char code[AWS_CODE_MAX];

    aws_answer_code(response, code);
    return strcmp(code, expected) == 0;
}

/* the group */

static void on_retention(void *arg, const struct http_response *response)
{
    struct cloudwatch_create *create = arg;
    struct exporter_result said;

    if (response->status != 200) {
        aws_answer_read(response, aws_call_origin(create->call), &aws_remedies_logs, &said);
        (void)snprintf(create->advice, sizeof(create->advice),
                       "log group %.60s was made and keeps its events for ever: %.140s", group_of(create), said.error);
    }
    make_stream(create);
}

static void set_retention(struct cloudwatch_create *create)
{
    if (create->retention_days != 0) {
        call(create, "Logs_20140328.PutRetentionPolicy",
             json_pack("{s:s, s:I}", "logGroupName", group_of(create), "retentionInDays",
                       (json_int_t)create->retention_days),
             on_retention);
        return;
    }
    (void)snprintf(create->advice, sizeof(create->advice),
                   "log group %.60s was made and keeps its events for ever: give it a retention, here by "
                   "SPANSHIM_CLOUDWATCH_RETENTION_DAYS for those that are made",
                   group_of(create));
    make_stream(create);
}

static void on_group(void *arg, const struct http_response *response)
{
    struct cloudwatch_create *create = arg;

    create->has_made_group = true;
    if (response->status == 200)
        set_retention(create);
    else if (has_code(response, "ResourceAlreadyExistsException"))
        make_stream(create);
    else
        finish_failed(create, response, "log group");
}

static void make_group(struct cloudwatch_create *create)
{
    call(create, "Logs_20140328.CreateLogGroup", json_pack("{s:s}", "logGroupName", group_of(create)), on_group);
}

/* the stream */

static void on_stream(void *arg, const struct http_response *response)
{
    struct cloudwatch_create *create = arg;
    struct exporter_result result = {.outcome = EXPORTER_SENT};

    if (response->status == 200 || has_code(response, "ResourceAlreadyExistsException")) {
        memcpy(result.error, create->advice, sizeof(result.error));
        finish(create, &result);
    } else if (!create->has_made_group && has_code(response, "ResourceNotFoundException")) {
        make_group(create);
    } else {
        finish_failed(create, response, "a log stream in");
    }
}

static void make_stream(struct cloudwatch_create *create)
{
    call(create, "Logs_20140328.CreateLogStream", json_incref(create->names), on_stream);
}

int cloudwatch_create_start(struct cloudwatch_create *create, const char *body, size_t length, exporter_done *done,
                            void *arg)
{
    json_t *call = json_loadb(body, length, 0, NULL);

    if (call == NULL)
        return -EBADMSG;
    create->names = json_pack("{s:O, s:O}", "logGroupName", json_object_get(call, "logGroupName"), "logStreamName",
                              json_object_get(call, "logStreamName"));
    json_decref(call);
    if (create->names == NULL)
        return -ENOMEM;
    create->has_made_group = false;
    create->advice[0] = '\0';
    create->done = done;
    create->arg = arg;
    make_stream(create);
    return 0;
}
