/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/receivers.h"

#include "preload/target.h"

#include <assert.h>
#include <string.h>

/* Servers as in the variable: URLs, or host:port, with blanks between them. */
static const struct {
    const char *variable, *preset;
} rows[] = {
    {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/v1"},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", NULL},
    {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", NULL},
    {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", NULL},
    {"OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://localhost:9411/api/v2/spans"},
    {"HONEYCOMB_API_ENDPOINT",
     "https://api.honeycomb.io/v1 https://api.honeycomb.io/1/batch https://api.honeycomb.io/1/events"},
    {"HONEYCOMB_TRACES_ENDPOINT", NULL},
    {"HONEYCOMB_METRICS_ENDPOINT", NULL},
    {"AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000/GetSamplingRules 127.0.0.1:2000/SamplingTargets"},
    {"ROLLBAR_ENDPOINT", "https://api.rollbar.com/api/1/item"},
};
enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };
static_assert((int)ROW_COUNT <= RECEIVERS_ROWS_MAX, "is_given");

static bool take_prefix(struct slice *text, const char *prefix)
{
    size_t length = strlen(prefix);

    if (text->length < length || !slice_is_same((struct slice){text->bytes, length}, (struct slice){prefix, length}))
        return false;
    text->bytes += length;
    text->length -= length;
    return true;
}

/* "https://host:port/path", "host:port", "tcp:host:port"; what makes no sense is none. */
static void add_server(struct receivers *receivers, struct slice text)
{
    struct receiver *receiver = &receivers->list[receivers->count];
    size_t authority = 0;
    uint16_t port;

    if (receivers->count == RECEIVERS_MAX || take_prefix(&text, "udp:"))
        return;
    bool is_https = take_prefix(&text, "https://");
    if (!is_https && !take_prefix(&text, "http://"))
        (void)take_prefix(&text, "tcp:");
    while (authority < text.length && text.bytes[authority] != '/' && text.bytes[authority] != '?')
        authority++;
    if (!target_split_authority(text.bytes, authority, &receiver->host, &port))
        return;
    receiver->port = port ? port : is_https ? 443 : 80;
    receiver->path = (struct slice){text.bytes + authority, text.length - authority};
    const char *query = memchr(receiver->path.bytes, '?', receiver->path.length);
    if (query)
        receiver->path.length = (size_t)(query - receiver->path.bytes);
    while (receiver->path.length > 0 && receiver->path.bytes[receiver->path.length - 1] == '/')
        receiver->path.length--;
    receivers->count++;
}

static void add_servers(struct receivers *receivers, const char *list)
{
    struct slice rest = {list, strlen(list)};
    struct slice server;

    while (slice_next(&rest, ' ', &server))
        if (slice_trim(server).length > 0)
            add_server(receivers, slice_trim(server));
}

void receivers_add(struct receivers *receivers, const char *entry)
{
    for (size_t row = 0; row < ROW_COUNT; row++) {
        size_t length = strlen(rows[row].variable);

        if (strncmp(entry, rows[row].variable, length) != 0 || entry[length] != '=')
            continue;
        if (!receivers->is_given[row] && entry[length + 1] != '\0') {
            receivers->is_given[row] = true;
            add_servers(receivers, entry + length + 1);
        }
    }
}

void receivers_settle(struct receivers *receivers)
{
    for (size_t row = 0; row < ROW_COUNT; row++)
        if (!receivers->is_given[row] && rows[row].preset)
            add_servers(receivers, rows[row].preset);
}

static bool is_loopback(struct slice host)
{
    return slice_is(host, "localhost") || slice_equals(host, "127.0.0.1", 9) || slice_equals(host, "::1", 3);
}

static bool is_host(struct slice one, struct slice other)
{
    return slice_is_same(one, other) || (is_loopback(one) && is_loopback(other));
}

static bool is_under(struct slice path, struct slice beginning)
{
    return path.length >= beginning.length && slice_equals(beginning, path.bytes, beginning.length) &&
           (path.length == beginning.length || beginning.length == 0 || path.bytes[beginning.length] == '/');
}

bool receivers_use_port(const struct receivers *receivers, uint16_t port)
{
    for (uint32_t i = 0; i < receivers->count; i++)
        if (receivers->list[i].port == port)
            return true;
    return false;
}

bool receivers_match(const struct receivers *receivers, struct slice host, uint16_t port, struct slice path)
{
    for (uint32_t i = 0; i < receivers->count; i++) {
        const struct receiver *receiver = &receivers->list[i];

        if (receiver->port == port && is_host(receiver->host, host) && is_under(path, receiver->path))
            return true;
    }
    return false;
}
