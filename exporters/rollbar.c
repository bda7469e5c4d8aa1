/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as items of Rollbar. The token goes into a header, and nowhere else. */
#include "exporters/agent/http_client.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/rollbar_fingerprint.h"
#include "exporters/encode/rollbar_item.h"
#include "exporters/encode/rollbar_trim.h"
#include "exporters/exporter.h"
#include "exporters/rollbar_answer.h"
#include "exporters/rollbar_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_MS = 10000 };

/* What of an item is under way: it is made smaller when it is too large. */
enum size { SIZE_WHOLE, SIZE_TRIMMED, SIZE_MESSAGE };

struct rollbar {
    const struct settings *settings;
    struct loop *loop;
    struct rollbar_limit *limit;
    struct http_endpoint *endpoint;
    char shown_url[128];
    char said[256]; /* the last problem: said again only when it has changed */
    /* The item under way. */
    const void *payload; /* borrowed */
    size_t length;
    enum size size;
    char *smaller; /* sent in its place */
    exporter_done *done;
    void *arg;
};

static void rollbar_describe(const struct settings *settings, char *text, size_t size)
{
    values_show_url(settings->rollbar_url, text, size);
}

static void rollbar_close(void *instance)
{
    struct rollbar *rollbar = instance;

    if (rollbar == NULL)
        return;
    http_endpoint_close(rollbar->endpoint);
    rollbar_limit_free(rollbar->limit);
    free(rollbar->smaller);
    free(rollbar);
}

static int open_endpoint(struct rollbar *rollbar, struct http_client *client)
{
    const struct settings *settings = rollbar->settings;
    bool is_https = strncasecmp(settings->rollbar_url, "https:", 6) == 0;
    const struct http_options options = {
        .url = settings->rollbar_url,
        .own_headers = {{"Content-Type", "application/json"},
                        {"X-Rollbar-Access-Token", settings->rollbar_access_token}},
        .timeout_ms = TIMEOUT_MS,
        .proxy = is_https ? settings->https_proxy : settings->http_proxy,
        .no_proxy = settings->no_proxy,
    };

    return http_endpoint_open(client, &options, &rollbar->endpoint);
}

static int rollbar_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                        char error[256])
{
    struct rollbar *rollbar = calloc(1, sizeof(*rollbar));
    int r = -ENOMEM;

    if (rollbar != NULL) {
        rollbar->settings = settings;
        rollbar->loop = host->loop;
        rollbar->limit = rollbar_limit_new(settings->rollbar_items_per_minute, settings->rollbar_repeats_per_minute);
        rollbar_describe(settings, rollbar->shown_url, sizeof(rollbar->shown_url));
    }
    if (rollbar != NULL && rollbar->limit != NULL)
        r = open_endpoint(rollbar, host->http);
    if (r < 0) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(-r));
        rollbar_close(rollbar);
        return r;
    }
    *ret_instance = rollbar;
    return 0;
}

/* A message is grouped by its text, a printed error by its calls: Rollbar does both itself. */
static bool has_own_fingerprint(const struct settings *settings, const json_t *report)
{
    const char *kind = json_string_value(json_object_get(report, "kind"));

    return settings->rollbar_fingerprint &&
           (kind == NULL || (strcmp(kind, "message") != 0 && strcmp(kind, "error") != 0));
}

static int append_item(const struct settings *settings, const json_t *report, const char *fingerprint,
                       uint64_t suppressed, struct buffer *payload)
{
    const struct rollbar_options options = {
        .environment = settings->rollbar_environment,
        .code_version = settings->rollbar_code_version,
        .root = settings->rollbar_root,
        .fingerprint = has_own_fingerprint(settings, report) ? fingerprint : NULL,
        .has_arguments = settings->command_args,
        .suppressed = suppressed,
    };
    json_t *item = rollbar_item(report, &options);
    size_t length;
    char *text = item != NULL ? rollbar_trim(item, ROLLBAR_ITEM_MAX, &length) : NULL;
    int r = text != NULL ? buffer_append(payload, text, length) : -ENOMEM;

    free(text);
    json_decref(item);
    return r;
}

static int rollbar_encode_report(void *instance, const json_t *report, struct buffer *payload)
{
    struct rollbar *rollbar = instance;
    char fingerprint[ROLLBAR_FINGERPRINT_SIZE];
    uint64_t suppressed = 0;

    rollbar_fingerprint(report, fingerprint);
    if (!rollbar_limit_pass(rollbar->limit, fingerprint, loop_now_ns(rollbar->loop), &suppressed))
        return -ECANCELED;
    return append_item(rollbar->settings, report, fingerprint, suppressed, payload);
}

static void post(struct rollbar *rollbar, const void *body, size_t length);

static void finish(struct rollbar *rollbar, struct exporter_result *result)
{
    free(rollbar->smaller);
    rollbar->smaller = NULL;
    if (result->outcome == EXPORTER_SENT) {
        rollbar->said[0] = '\0';
        if (rollbar->size == SIZE_MESSAGE)
            (void)snprintf(result->error, sizeof(result->error),
                           "413: a report was too large even when trimmed; a message was sent in its place");
    } else if (strcmp(rollbar->said, result->error) == 0) {
        result->error[0] = '\0';
    } else {
        memcpy(rollbar->said, result->error, sizeof(rollbar->said));
    }
    rollbar->done(rollbar->arg, result);
}

/* The next smaller form of the item. NULL: there is none. */
static char *make_smaller(const struct rollbar *rollbar, size_t *ret_length)
{
    json_t *item = json_loadb(rollbar->payload, rollbar->length, 0, NULL);
    size_t half = rollbar->length / 2;
    char *text = NULL;

    if (rollbar->size == SIZE_TRIMMED) {
        text = rollbar_trim(item, half < ROLLBAR_ITEM_HARDER ? half : ROLLBAR_ITEM_HARDER, ret_length);
    } else {
        json_t *message = rollbar_item_of_lost(item);
        text = json_dumps(message, JSON_COMPACT);
        *ret_length = text != NULL ? strlen(text) : 0;
        json_decref(message);
    }
    json_decref(item);
    return text;
}

/* After a 413. False: the smallest was too large. */
static bool post_smaller(struct rollbar *rollbar)
{
    while (rollbar->size < SIZE_MESSAGE) {
        size_t length;

        rollbar->size++;
        free(rollbar->smaller);
        rollbar->smaller = make_smaller(rollbar, &length);
        if (rollbar->smaller == NULL)
            continue;
        post(rollbar, rollbar->smaller, length);
        return true;
    }
    return false;
}

static void on_response(void *arg, const struct http_response *response)
{
    struct rollbar *rollbar = arg;
    struct exporter_result result;

    if (response->status == ROLLBAR_TOO_LARGE && post_smaller(rollbar))
        return;
    rollbar_answer_read(response, rollbar->shown_url, rollbar->settings->rollbar_access_token, &result);
    finish(rollbar, &result);
}

static void post(struct rollbar *rollbar, const void *body, size_t length)
{
    int r = http_endpoint_post(rollbar->endpoint, body, length, on_response, rollbar);

    if (r == 0)
        return;
    struct exporter_result result = {.outcome = r == -ENOMEM ? EXPORTER_RETRY : EXPORTER_DROP};
    (void)snprintf(result.error, sizeof(result.error), "the item can't be sent: %s", strerror(-r));
    finish(rollbar, &result);
}

static void rollbar_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct rollbar *rollbar = instance;

    rollbar->payload = payload;
    rollbar->length = length;
    rollbar->size = SIZE_WHOLE;
    rollbar->done = done;
    rollbar->arg = arg;
    post(rollbar, payload, length);
}

const struct exporter exporter_rollbar = {
    .name = "rollbar",
    .describe = rollbar_describe,
    .open = rollbar_open,
    .encode_report = rollbar_encode_report,
    .send = rollbar_send,
    .close = rollbar_close,
};
