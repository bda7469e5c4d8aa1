/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/otlp_attributes.h"

#include "exporters/encode/address.h"
#include "exporters/encode/url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    PAIR_OVERHEAD = 32, /* tags and lengths of a pair, and a number's value */
    HEADER_KEY_MAX = 128,
};

static const char *const keys[OTLP_KEY_COUNT] = {
#define X(NAME, text) [OTLP_KEY_##NAME] = (text),
    OTLP_KEYS(X)
#undef X
};

void otlp_attributes_init(struct otlp_attributes *attributes)
{
    for (size_t i = 0; i < OTLP_ATTRIBUTES_MAX; i++) {
        otlp__key_value__init(&attributes->pairs[i]);
        otlp__any_value__init(&attributes->values[i]);
        otlp__array_value__init(&attributes->arrays[i]);
        attributes->pairs[i].value = &attributes->values[i];
        attributes->list[i] = &attributes->pairs[i];
    }
    for (size_t i = 0; i < 2 * SPAN_HEADERS_MAX; i++) {
        otlp__any_value__init(&attributes->items[i]);
        attributes->items[i].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
        attributes->item_list[i] = &attributes->items[i];
    }
}

/* A copy as valid UTF-8, ended by a NUL. */
static const char *copy_text(struct otlp_attributes *attributes, const char *bytes, size_t length,
                             uint32_t max_characters, size_t *ret_length)
{
    size_t room = OTLP_TEXT_MAX - attributes->text_length - 1;
    char *out = attributes->text + attributes->text_length;

    if (length > room / UTF8_REPAIRED_MAX)
        length = room / UTF8_REPAIRED_MAX;
    *ret_length = utf8_repair(bytes, length, max_characters, out);
    attributes->text_length += *ret_length + 1;
    return out;
}

static Otlp__AnyValue *add(struct otlp_attributes *attributes, const char *key, size_t key_length, size_t value_length)
{
    if (attributes->count >= attributes->max_count || attributes->count == OTLP_ATTRIBUTES_MAX) {
        attributes->dropped_count++;
        return NULL;
    }
    attributes->packed_max += key_length + value_length + PAIR_OVERHEAD;
    attributes->pairs[attributes->count].key = (char *)(uintptr_t)key;
    return &attributes->values[attributes->count++];
}

/* The next pair, with this key; NULL: there may be no more. */
static Otlp__AnyValue *add_known(struct otlp_attributes *attributes, enum otlp_key key, size_t value_length)
{
    return add(attributes, keys[key], strlen(keys[key]), value_length);
}

static void add_constant(struct otlp_attributes *attributes, enum otlp_key key, const char *value, size_t value_length)
{
    Otlp__AnyValue *any = add_known(attributes, key, value_length);

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
    any->string_value = (char *)(uintptr_t)value;
}

static void add_text(struct otlp_attributes *attributes, enum otlp_key key, struct slice text)
{
    size_t length;

    if (text.length == 0)
        return;
    const char *copy = copy_text(attributes, text.bytes, text.length, attributes->max_length, &length);
    add_constant(attributes, key, copy, length);
}

static void add_number(struct otlp_attributes *attributes, enum otlp_key key, int64_t number)
{
    Otlp__AnyValue *any = add_known(attributes, key, 0);

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
    any->int_value = number;
}

static void add_true(struct otlp_attributes *attributes, enum otlp_key key)
{
    Otlp__AnyValue *any = add_known(attributes, key, 0);

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
    any->bool_value = 1;
}

static void add_seconds(struct otlp_attributes *attributes, enum otlp_key key, uint64_t ns)
{
    Otlp__AnyValue *any = add_known(attributes, key, 0);

    if (any == NULL)
        return;
    any->value_case = OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
    any->double_value = (double)ns / 1e9;
}

/* A socket's address as text in the storage; length 0 when there is none. */
static struct slice address_text(struct otlp_attributes *attributes, const struct wire_address *address)
{
    struct slice text = {.bytes = attributes->text + attributes->text_length};

    if (OTLP_TEXT_MAX - attributes->text_length < ADDRESS_SIZE)
        return text;
    text.length = address_format(address, attributes->text + attributes->text_length);
    attributes->text_length += text.length + 1;
    return text;
}

static void add_url(struct otlp_attributes *attributes, const struct span *span)
{
    char url[URL_SIZE];

    add_text(attributes, OTLP_KEY_URL_FULL, (struct slice){url, url_write(span, URL_WHOLE, url)});
}

static void add_url_parts(struct otlp_attributes *attributes, const struct span *span)
{
    add_text(attributes, OTLP_KEY_URL_PATH, span->text[WIRE_TEXT_PATH]);
    if ((span->request->flags & WIRE_REQUEST_HTTPS) != 0)
        add_constant(attributes, OTLP_KEY_URL_SCHEME, "https", 5);
    else
        add_constant(attributes, OTLP_KEY_URL_SCHEME, "http", 4);
}

/* Servers know the parts of a URL, clients the whole. */
static void add_request(struct otlp_attributes *attributes, const struct span *span)
{
    bool is_client = span->request->kind == WIRE_KIND_CLIENT;

    if (span->method.length == 0)
        return; /* there was none */
    add_text(attributes, OTLP_KEY_HTTP_REQUEST_METHOD, span->method);
    add_text(attributes, OTLP_KEY_HTTP_ROUTE, span->route);
    if (is_client)
        add_url(attributes, span);
    else
        add_url_parts(attributes, span);
    add_text(attributes, OTLP_KEY_HTTP_REQUEST_METHOD_ORIGINAL, span->method_original);
    if (!is_client)
        add_text(attributes, OTLP_KEY_URL_QUERY, span->text[WIRE_TEXT_QUERY]);
}

static void add_outcome(struct otlp_attributes *attributes, const struct span *span)
{
    const struct wire_request *request = span->request;
    char code[8];
    struct slice error = span_error_type(span, code);

    if (request->status != 0)
        add_number(attributes, OTLP_KEY_HTTP_RESPONSE_STATUS_CODE, request->status);
    attributes->is_error = error.length > 0;
    add_text(attributes, OTLP_KEY_ERROR_TYPE, error);
}

static void add_server(struct otlp_attributes *attributes, struct slice host, uint16_t port)
{
    add_text(attributes, OTLP_KEY_SERVER_ADDRESS, host);
    if (host.length > 0 && port != 0)
        add_number(attributes, OTLP_KEY_SERVER_PORT, port);
}

static void add_peer(struct otlp_attributes *attributes, const struct wire_request *request, struct slice peer)
{
    add_text(attributes, OTLP_KEY_NETWORK_PEER_ADDRESS, peer);
    if (peer.length > 0 && request->peer.port != 0)
        add_number(attributes, OTLP_KEY_NETWORK_PEER_PORT, request->peer.port);
}

/* The client is whoever a proxy says it is. */
static void add_client(struct otlp_attributes *attributes, const struct span *span, struct slice peer)
{
    struct slice client = span->text[WIRE_TEXT_CLIENT_ADDRESS];

    add_text(attributes, OTLP_KEY_CLIENT_ADDRESS, client.length > 0 ? client : peer);
    if (client.length > 0 && span->request->client_port != 0)
        add_number(attributes, OTLP_KEY_CLIENT_PORT, span->request->client_port);
}

static void add_endpoints(struct otlp_attributes *attributes, const struct span *span)
{
    const struct wire_request *request = span->request;
    struct slice peer = request->peer.family == WIRE_FAMILY_UNIX ? span->text[WIRE_TEXT_PEER_PATH]
                                                                 : address_text(attributes, &request->peer);

    if (request->kind == WIRE_KIND_CLIENT) {
        struct url_server server;

        url_server(span, &server);
        add_server(attributes, server.host, server.port);
        if (span->client.resend_count != 0)
            add_number(attributes, OTLP_KEY_HTTP_REQUEST_RESEND_COUNT, span->client.resend_count);
    } else {
        add_server(attributes, span->text[WIRE_TEXT_SERVER_ADDRESS], request->server_port);
        add_client(attributes, span, peer);
    }
    add_peer(attributes, request, peer);
}

static void add_protocol(struct otlp_attributes *attributes, const struct wire_request *request)
{
    static const struct {
        uint8_t version;
        const char *text;
    } versions[] = {{11, "1.1"}, {10, "1.0"}, {20, "2"}, {30, "3"}};
    static const char *const names[WIRE_PROTOCOL_COUNT] = {
#define X(NAME, name) [WIRE_PROTOCOL_##NAME] = name,
        WIRE_PROTOCOLS(X)
#undef X
    };

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
        if (request->version == versions[i].version)
            add_constant(attributes, OTLP_KEY_NETWORK_PROTOCOL_VERSION, versions[i].text, strlen(versions[i].text));
    if (request->version < WIRE_PROTOCOL_COUNT && names[request->version])
        add_constant(attributes, OTLP_KEY_NETWORK_PROTOCOL_NAME, names[request->version],
                     strlen(names[request->version]));
    if (request->peer.family == WIRE_FAMILY_UNIX || request->local.family == WIRE_FAMILY_UNIX)
        add_constant(attributes, OTLP_KEY_NETWORK_TRANSPORT, "unix", 4);
}

static void add_sizes(struct otlp_attributes *attributes, const struct span *span)
{
    const struct wire_request *request = span->request;

    if ((request->flags & WIRE_REQUEST_BODY_SEEN) != 0)
        add_number(attributes, OTLP_KEY_HTTP_REQUEST_BODY_SIZE, (int64_t)request->request_body_size);
    if ((request->flags & WIRE_REQUEST_RESPONSE_BODY_SEEN) != 0)
        add_number(attributes, OTLP_KEY_HTTP_RESPONSE_BODY_SIZE, (int64_t)request->response_body_size);
}

/* 0: it is not known, or took no time that could be measured. */
static void add_known_seconds(struct otlp_attributes *attributes, enum otlp_key key, uint64_t ns)
{
    if (ns != 0)
        add_seconds(attributes, key, ns);
}

static void add_timings(struct otlp_attributes *attributes, const struct span *span)
{
    const struct wire_client *client = &span->client;

    if (span->first_byte_unix_ns != 0)
        add_seconds(attributes, OTLP_KEY_RESPONSE_TIME_TO_FIRST_BYTE, span->first_byte_unix_ns - span->start_unix_ns);
    add_known_seconds(attributes, OTLP_KEY_REQUEST_TIME_TO_LAST_BYTE, client->sent_ns);
    add_known_seconds(attributes, OTLP_KEY_DNS_DURATION, client->resolve_ns);
    add_known_seconds(attributes, OTLP_KEY_CONNECT_DURATION, client->connect_ns);
    add_known_seconds(attributes, OTLP_KEY_TLS_DURATION, client->tls_ns);
}

/* Why the trace does not go on in the server: its request has no trace header of ours. */
static void add_propagation(struct otlp_attributes *attributes, const struct wire_request *request)
{
    static const char *const reasons[WIRE_WITHHOLD_COUNT] = {
#define X(NAME, name, help) [WIRE_WITHHOLD_##NAME] = #name,
        WIRE_WITHHOLDS(X)
#undef X
    };
    const char *reason = request->kind == WIRE_KIND_CLIENT ? reasons[request->withheld] : NULL;

    if (reason != NULL)
        add_constant(attributes, OTLP_KEY_PROPAGATION_SKIPPED, reason, strlen(reason));
}

/* Why the span begins a trace of its own while requests were served. */
static void add_parent(struct otlp_attributes *attributes, const struct span *span)
{
    static const char *const reasons[WIRE_PARENT_COUNT] = {
#define X(NAME, name) [WIRE_PARENT_##NAME] = #name,
        WIRE_PARENTS(X)
#undef X
    };
    struct slice text = span->text[WIRE_TEXT_PARENT];
    uint8_t why = text.length == 1 ? (uint8_t)text.bytes[0] : WIRE_PARENT_NONE;

    if (why < WIRE_PARENT_COUNT && reasons[why] != NULL)
        add_constant(attributes, OTLP_KEY_PARENT, reasons[why], strlen(reasons[why]));
}

/* What is odd about the exchange, or about what was seen of it. */
static void add_oddities(struct otlp_attributes *attributes, const struct wire_request *request)
{
    if ((request->flags & WIRE_REQUEST_UPGRADED) != 0)
        add_true(attributes, OTLP_KEY_UPGRADED);
    if ((request->flags & WIRE_REQUEST_FRAMING_INVALID) != 0)
        add_constant(attributes, OTLP_KEY_FRAMING, "invalid", 7);
    else if ((request->flags & WIRE_REQUEST_FRAMING_AMBIGUOUS) != 0)
        add_constant(attributes, OTLP_KEY_FRAMING, "ambiguous", 9);
    else if ((request->flags & WIRE_REQUEST_FRAMING_UNSEEN) != 0)
        add_constant(attributes, OTLP_KEY_FRAMING, "unseen", 6);
    if ((request->flags & WIRE_REQUEST_TRUNCATED) != 0)
        add_true(attributes, OTLP_KEY_TRUNCATED);
}

/* A field name's bytes (RFC 9110 5.6.2): whatever else comes would be repaired, and two names could become one key. */
static bool is_token(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] <= ' ' || bytes[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", bytes[i]))
            return false;
    return length > 0;
}

/* "name: value" -> the attribute's key and the value. False when it isn't that. */
static bool split_header(const char *prefix, struct slice header, char key[HEADER_KEY_MAX], struct slice *ret_value)
{
    const char *end = header.bytes + header.length;
    const char *colon = memchr(header.bytes, ':', header.length);

    if (colon == NULL || !is_token(header.bytes, (size_t)(colon - header.bytes)))
        return false;
    int n = snprintf(key, HEADER_KEY_MAX, "%s%.*s", prefix, (int)(colon - header.bytes), header.bytes);
    if (n < 0 || n >= HEADER_KEY_MAX)
        return false;
    for (char *p = key; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    for (colon++; colon < end && *colon == ' ';)
        colon++;
    *ret_value = (struct slice){colon, (size_t)(end - colon)};
    return true;
}

/* The values of the lines named as line `first`, as items that follow each other; their count. Marks them as taken. */
static size_t collect_values(struct otlp_attributes *attributes, const char *prefix, const struct slice *headers,
                             uint32_t header_count, uint32_t first, const char *key, uint64_t *taken,
                             size_t *ret_length)
{
    Otlp__AnyValue **items = &attributes->item_list[attributes->item_count];
    size_t count = 0;

    *ret_length = 0;
    for (uint32_t i = first; i < header_count; i++) {
        char other[HEADER_KEY_MAX];
        struct slice value;
        size_t length;

        if ((*taken >> i & 1) != 0 || !split_header(prefix, headers[i], other, &value) || strcmp(other, key) != 0)
            continue;
        *taken |= (uint64_t)1 << i;
        const char *copy = copy_text(attributes, value.bytes, value.length, attributes->max_length, &length);
        items[count++]->string_value = (char *)(uintptr_t)copy;
        *ret_length += length + PAIR_OVERHEAD;
    }
    attributes->item_count += count;
    return count;
}

/* Lines of one name are items of one attribute: keys must be unique. */
static void add_headers(struct otlp_attributes *attributes, const char *prefix, const struct slice *headers,
                        uint32_t header_count)
{
    uint64_t taken = 0;

    static_assert(SPAN_HEADERS_MAX <= 64, "one bit a header");
    for (uint32_t i = 0; i < header_count; i++) {
        Otlp__AnyValue **items = &attributes->item_list[attributes->item_count];
        char name[HEADER_KEY_MAX];
        struct slice value;
        size_t key_length;
        size_t values_length;

        if ((taken >> i & 1) != 0 || !split_header(prefix, headers[i], name, &value))
            continue;
        const char *key = copy_text(attributes, name, strlen(name), UINT32_MAX, &key_length);
        size_t count = collect_values(attributes, prefix, headers, header_count, i, name, &taken, &values_length);
        Otlp__AnyValue *any = add(attributes, key, key_length, values_length);
        if (any == NULL)
            continue;
        Otlp__ArrayValue *array = &attributes->arrays[attributes->count - 1];
        array->values = items;
        array->n_values = count;
        any->value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
        any->array_value = array;
    }
}

/* A text that is no attribute. */
static const char *take_text(struct otlp_attributes *attributes, struct slice text)
{
    size_t length;

    if (text.length == 0)
        return "";
    const char *copy = copy_text(attributes, text.bytes, text.length, UINT32_MAX, &length);
    attributes->packed_max += length;
    return copy;
}

void otlp_attributes_fill(struct otlp_attributes *attributes, const struct span *span, uint32_t max_count,
                          uint32_t max_length)
{
    attributes->count = attributes->item_count = attributes->text_length = attributes->packed_max = 0;
    attributes->dropped_count = span->header_dropped_count;
    attributes->max_count = max_count;
    attributes->max_length = max_length;
    attributes->trace_state = take_text(attributes, span->text[WIRE_TEXT_TRACESTATE]);
    attributes->error_message = take_text(attributes, span->text[WIRE_TEXT_ERROR_MESSAGE]);
    /* The most important first: what a limit on their number cuts are the last. */
    add_request(attributes, span);
    add_outcome(attributes, span);
    add_endpoints(attributes, span);
    add_text(attributes, OTLP_KEY_USER_ID, span->text[WIRE_TEXT_USER]);
    add_protocol(attributes, span->request);
    add_text(attributes, OTLP_KEY_USER_AGENT_ORIGINAL, span->text[WIRE_TEXT_USER_AGENT]);
    add_sizes(attributes, span);
    add_timings(attributes, span);
    add_propagation(attributes, span->request);
    add_parent(attributes, span);
    add_oddities(attributes, span->request);
    add_headers(attributes, "http.request.header.", span->request_headers, span->request_header_count);
    add_headers(attributes, "http.response.header.", span->response_headers, span->response_header_count);
}
