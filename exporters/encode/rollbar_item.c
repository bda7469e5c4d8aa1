/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/rollbar_item.h"

#include "exporters/encode/json_access.h"
#include "exporters/encode/rollbar_body.h"
#include "exporters/encode/rollbar_custom.h"
#include "exporters/encode/rollbar_language.h"
#include "exporters/encode/rollbar_scrub.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

/* The executable, or what a message says that it is of. */
static const char *program_of(const json_t *report)
{
    const char *path = json_text_of(json_object_get(report, "process"), "executable");
    const char *service = json_text_of(json_object_get(report, "service"), "name");

    if (path == NULL)
        return service != NULL && strncmp(service, "unknown_service", strlen("unknown_service")) == 0 ? NULL : service;
    return basename(path);
}

/* "GET /orders/{id}", or the program. */
static json_t *make_context(const json_t *report)
{
    const json_t *request = json_object_get(report, "request");
    const char *method = json_text_of(request, "method");
    const char *route = json_text_of(request, "route");
    const char *path = route != NULL ? route : json_text_of(request, "path");

    if (method == NULL || path == NULL)
        return rollbar_scrub_name(program_of(report), ROLLBAR_TEXT_MAX);
    json_t *whole = json_sprintf("%s %s", method, path);
    json_t *context = rollbar_scrub_prose(json_string_value(whole), ROLLBAR_TEXT_MAX);
    json_decref(whole);
    return context;
}

/* The whole URL as the report has it, else what its parts make of it. */
static json_t *make_url(const json_t *request)
{
    const char *url = json_text_of(request, "url");
    const char *scheme = json_text_of(request, "scheme");
    const char *server = json_text_of(request, "server_address");
    const char *path = json_text_of(request, "path");
    const char *query = json_text_of(request, "query");
    json_int_t port = json_integer_value(json_object_get(request, "server_port"));
    char port_text[16] = "";

    if (url != NULL || path == NULL)
        return rollbar_scrub_url(url);
    if (port > 0 && port <= UINT16_MAX)
        (void)snprintf(port_text, sizeof(port_text), ":%d", (int)port);
    json_t *whole =
        json_sprintf("%s%s%s%s%s%s%s",
                     server == NULL   ? ""
                     : scheme != NULL ? scheme
                                      : "http",
                     server != NULL ? "://" : "", server != NULL ? server : "", server != NULL ? port_text : "", path,
                     query != NULL ? "?" : "", query != NULL ? query : "");
    json_t *scrubbed = rollbar_scrub_url(json_string_value(whole));
    json_decref(whole);
    return scrubbed;
}

static json_t *make_request(const json_t *report)
{
    const json_t *request = json_object_get(report, "request");
    json_t *headers = rollbar_scrub_headers(json_object_get(request, "headers"));
    json_t *out = json_object();

    if (headers == NULL)
        headers = json_object();
    if (json_object_get(headers, "user-agent") == NULL)
        json_set(headers, "user-agent", rollbar_scrub_prose(json_text_of(request, "user_agent"), ROLLBAR_NO_LIMIT));
    json_set(out, "url", make_url(request));
    json_set(out, "method", rollbar_scrub_name(json_text_of(request, "method"), ROLLBAR_TEXT_MAX));
    json_set_unless_empty(out, "headers", headers);
    json_set(out, "query_string", rollbar_scrub_query(json_text_of(request, "query")));
    json_set(out, "user_ip", rollbar_scrub_name(json_text_of(request, "client_address"), ROLLBAR_TEXT_MAX));
    return out;
}

static json_t *make_person(const json_t *report)
{
    const char *user = json_text_of(json_object_get(report, "request"), "user_id");
    json_t *out = json_object();

    json_set(out, "id", rollbar_scrub_name(user, ROLLBAR_PERSON_ID_MAX));
    return out;
}

static json_t *make_server(const json_t *report, const struct rollbar_options *options)
{
    const json_t *process = json_object_get(report, "process");
    const json_t *pid = json_object_get(process, "pid");
    json_t *out = json_object();

    json_set(out, "host", rollbar_scrub_name(json_text_of(json_object_get(report, "host"), "name"), ROLLBAR_TEXT_MAX));
    json_set(
        out, "root",
        rollbar_scrub_name(options->root != NULL ? options->root : json_text_of(process, "cwd"), ROLLBAR_NO_LIMIT));
    if (json_is_integer(pid))
        json_set(out, "pid", json_integer(json_integer_value(pid)));
    if (options->has_arguments)
        json_set(out, "argv", rollbar_scrub_arguments(json_object_get(process, "argv")));
    return out;
}

static bool is_level(const char *text)
{
    static const char *const levels[] = {"critical", "error", "warning", "info", "debug"};

    for (size_t i = 0; text != NULL && i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(text, levels[i]) == 0)
            return true;
    return false;
}

static const char *level_of(const json_t *report)
{
    const char *level = json_text_of(report, "level");
    const char *kind = json_text_of(report, "kind");

    if (is_level(level))
        return level;
    return kind != NULL && strcmp(kind, "message") == 0 ? "info" : "critical";
}

static const char *either(const char *first, const char *second)
{
    return first != NULL ? first : second;
}

/* Who sends. */
static json_t *notifier(void)
{
    return json_pack("{s:s, s:s}", "name", "spanshim", "version", SPANSHIM_VERSION);
}

/* What it is about. */
static void set_description(json_t *data, const json_t *report, const struct rollbar_options *options)
{
    const json_t *service = json_object_get(report, "service");
    const char *environment = either(options->environment, json_text_of(service, "environment"));
    const char *version = either(options->code_version, json_text_of(service, "version"));

    json_set(data, "environment", rollbar_scrub_name(either(environment, "production"), ROLLBAR_TEXT_MAX));
    json_set(data, "level", json_string(level_of(report)));
    json_set(data, "timestamp", json_integer(json_integer_value(json_object_get(report, "time_unix_ns")) / NS_PER_S));
    json_set(data, "code_version", rollbar_scrub_name(version, ROLLBAR_CODE_VERSION_MAX));
    json_set(data, "platform", json_string("linux"));
    json_set(data, "language", rollbar_scrub_name(rollbar_language(report), ROLLBAR_TEXT_MAX));
    json_set(data, "framework",
             rollbar_scrub_name(either(json_text_of(report, "framework"), program_of(report)), ROLLBAR_TEXT_MAX));
    json_set(data, "context", make_context(report));
    json_set(data, "title", rollbar_scrub_prose(json_text_of(report, "title"), ROLLBAR_TEXT_MAX));
    json_set(data, "uuid", rollbar_scrub_name(json_text_of(report, "uuid"), ROLLBAR_UUID_MAX));
    json_set(data, "fingerprint", rollbar_scrub_name(options->fingerprint, ROLLBAR_TEXT_MAX));
    json_set(data, "notifier", notifier());
}

json_t *rollbar_item(const json_t *report, const struct rollbar_options *options)
{
    json_t *data = json_object();

    set_description(data, report, options);
    json_set_unless_empty(data, "request", make_request(report));
    json_set_unless_empty(data, "person", make_person(report));
    json_set_unless_empty(data, "server", make_server(report, options));
    json_set(data, "body", rollbar_body(report));
    json_set_unless_empty(data, "custom", rollbar_custom(report, options->suppressed));
    return json_pack("{s:o}", "data", data);
}

json_t *rollbar_item_of_lost(const json_t *item)
{
    static const char *const kept[] = {"environment", "level", "timestamp",   "platform", "language",
                                       "framework",   "uuid",  "fingerprint", "context",  "code_version"};
    const json_t *lost = json_object_get(item, "data");
    const char *host = json_text_of(json_object_get(lost, "server"), "host");
    const char *uuid = json_text_of(lost, "uuid");
    const char *title = json_text_of(lost, "title");
    json_t *data = json_object();

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        (void)json_object_set(data, kept[i], json_object_get(lost, kept[i]));
    json_t *text = json_sprintf("The report %s of %s was too large to be taken: %s", uuid != NULL ? uuid : "?",
                                host != NULL ? host : "an unknown host", title != NULL ? title : "without a title");
    json_set(data, "title", rollbar_scrub_name(json_string_value(text), ROLLBAR_TEXT_MAX));
    json_set(data, "body", json_pack("{s:{s:o}}", "message", "body", text));
    json_set(data, "notifier", notifier());
    return json_pack("{s:o}", "data", data);
}
