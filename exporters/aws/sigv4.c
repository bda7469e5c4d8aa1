/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/sigv4.h"

#include "exporters/agent/http_client.h"
#include "exporters/encode/buffer.h"
#include "exporters/encode/hex.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { DATE_LENGTH = 8, HEX_SIZE = 2 * SIGV4_HASH_SIZE + 1 };

/* The last second of the year 9999: later ones have five digits. */
static const uint64_t latest_s = UINT64_C(253402300799);

/* Sorts before all that an encoded parameter may contain, so that names are compared before values. */
static const char name_end = '\1';

void sigv4_time(uint64_t unix_s, char out[SIGV4_TIME_SIZE])
{
    time_t seconds = (time_t)(unix_s < latest_s ? unix_s : latest_s);
    struct tm utc;

    (void)gmtime_r(&seconds, &utc);
    (void)strftime(out, SIGV4_TIME_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

void sigv4_hash(const void *bytes, size_t length, uint8_t out[SIGV4_HASH_SIZE])
{
    (void)EVP_Digest(length > 0 ? bytes : "", length, out, NULL, EVP_sha256(), NULL);
}

/* Text that is put together; the first error stays, and what follows it is left out. */
struct text {
    struct buffer bytes;
    int error;
};

static void add_bytes(struct text *text, const char *bytes, size_t length)
{
    if (text->error == 0)
        text->error = buffer_append(&text->bytes, bytes, length);
}

static void add(struct text *text, const char *more)
{
    add_bytes(text, more, strlen(more));
}

static void add_hash(struct text *text, const void *bytes, size_t length)
{
    uint8_t hash[SIGV4_HASH_SIZE];
    char hex[HEX_SIZE];

    sigv4_hash(bytes, length, hash);
    hex_write(hash, sizeof(hash), hex);
    add(text, hex);
}

/* Percent-encodes all but what is unreserved. */
static void add_encoded(struct text *text, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        bool is_plain = (byte < 0x80 && isalnum(byte)) || byte == '-' || byte == '.' || byte == '_' || byte == '~';
        char escape[4];

        (void)snprintf(escape, sizeof(escape), is_plain ? "%c" : "%%%02X", byte);
        add(text, escape);
    }
}

/* path */

static void drop_last_part(struct text *text, size_t start)
{
    while (text->bytes.length > start && text->bytes.bytes[--text->bytes.length] != '/')
        continue;
}

/* Without empty parts, "." and "..". What is percent-encoded already is encoded once more: so AWS wants it. */
static void add_path(struct text *text, const char *path)
{
    const size_t start = text->bytes.length;
    bool is_folder = true;

    while (*path != '\0') {
        size_t length = strcspn(path, "/");
        bool is_up = length == 2 && strncmp(path, "..", 2) == 0;
        bool is_part = length > 0 && !is_up && !(length == 1 && *path == '.');

        if (is_up)
            drop_last_part(text, start);
        if (is_part) {
            add(text, "/");
            add_encoded(text, path, length);
        }
        is_folder = !is_part || path[length] == '/';
        path += length + (path[length] == '/');
    }
    if (is_folder)
        add(text, "/");
}

/* query */

/* In place; the new length. */
static size_t decode(char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        char digits[3] = "";

        if (text[i] == '%' && i + 2 < length && isxdigit((unsigned char)text[i + 1]) &&
            isxdigit((unsigned char)text[i + 2])) {
            memcpy(digits, &text[i + 1], 2);
            text[n++] = (char)strtoul(digits, NULL, 16);
            i += 2;
        } else {
            text[n++] = text[i];
        }
    }
    return n;
}

/* "name=value" as name, name_end, value, NUL; both encoded anew. */
static void add_parameter(struct text *text, char *parameter, size_t length)
{
    char *equals = memchr(parameter, '=', length);
    size_t name_length = equals != NULL ? (size_t)(equals - parameter) : length;
    char *value = parameter + name_length + (equals != NULL);
    size_t value_length = length - name_length - (equals != NULL);

    add_encoded(text, parameter, decode(parameter, name_length));
    add_bytes(text, &name_end, 1);
    add_encoded(text, value, decode(value, value_length));
    add_bytes(text, "", 1);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void add_sorted(struct text *text, const struct text *parameters)
{
    char *sorted[SIGV4_PARAMETERS_MAX];
    size_t count = 0;
    char *end = (char *)parameters->bytes.bytes + parameters->bytes.length;

    for (char *at = (char *)parameters->bytes.bytes; at < end; at += strlen(at) + 1) {
        if (count == SIGV4_PARAMETERS_MAX) {
            text->error = -E2BIG;
            return;
        }
        sorted[count++] = at;
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_texts);
    for (size_t i = 0; i < count; i++) {
        *strchr(sorted[i], name_end) = '=';
        add(text, i > 0 ? "&" : "");
        add(text, sorted[i]);
    }
}

static void add_query(struct text *text, const char *query)
{
    struct text parameters = {0};
    char *copy = strdup(query);

    if (copy == NULL) {
        text->error = -ENOMEM;
        return;
    }
    for (char *at = copy; *at != '\0';) {
        size_t length = strcspn(at, "&");
        bool is_last = at[length] == '\0';

        if (length > 0)
            add_parameter(&parameters, at, length);
        at += length + !is_last;
    }
    if (parameters.error != 0)
        text->error = parameters.error;
    else
        add_sorted(text, &parameters);
    buffer_deinit(&parameters.bytes);
    free(copy);
}

/* headers */

static int compare_headers(const void *left, const void *right)
{
    const struct http_header *const *a = left, *const *b = right;
    int order = strcasecmp((*a)->name, (*b)->name);

    /* Of one name: in the order in which they are sent. */
    return order != 0 ? order : (*a > *b) - (*a < *b);
}

static void add_lower(struct text *text, const char *name)
{
    for (; *name != '\0'; name++) {
        char letter = (char)tolower((unsigned char)*name);
        add_bytes(text, &letter, 1);
    }
}

/* Without blanks at the ends; several in a row as one. */
static void add_value(struct text *text, const char *value)
{
    const char *between = "";

    for (value += strspn(value, " \t"); *value != '\0'; value += strspn(value, " \t")) {
        size_t length = strcspn(value, " \t");

        add(text, between);
        add_bytes(text, value, length);
        value += length;
        between = " ";
    }
}

/* The headers in the order of their names. */
struct sorted {
    const struct http_header *headers[SIGV4_HEADERS_MAX];
    size_t count;
};

/* Does it have the name of the one before? */
static bool is_repeated(const struct sorted *sorted, size_t i)
{
    return i > 0 && i < sorted->count && strcasecmp(sorted->headers[i - 1]->name, sorted->headers[i]->name) == 0;
}

static void add_headers(struct text *text, const struct sorted *sorted)
{
    for (size_t i = 0; i < sorted->count; i++) {
        if (!is_repeated(sorted, i))
            add_lower(text, sorted->headers[i]->name);
        add(text, is_repeated(sorted, i) ? "," : ":");
        add_value(text, sorted->headers[i]->value);
        add(text, is_repeated(sorted, i + 1) ? "" : "\n");
    }
}

static void add_names(struct text *text, const struct sorted *sorted)
{
    for (size_t i = 0; i < sorted->count; i++) {
        if (is_repeated(sorted, i))
            continue;
        add(text, i > 0 ? ";" : "");
        add_lower(text, sorted->headers[i]->name);
    }
}

/* signature */

/* What both sides agree that the request is. */
static void add_canonical(struct text *text, const struct sigv4_request *request, const struct sorted *sorted)
{
    add(text, request->method);
    add(text, "\n");
    add_path(text, request->path);
    add(text, "\n");
    if (request->query != NULL)
        add_query(text, request->query);
    add(text, "\n");
    add_headers(text, sorted);
    add(text, "\n");
    add_names(text, sorted);
    add(text, "\n");
    add_hash(text, request->body, request->body_length);
}

static void add_scope(struct text *text, const struct sigv4_key *key)
{
    add_bytes(text, key->time, DATE_LENGTH);
    add(text, "/");
    add(text, key->region);
    add(text, "/");
    add(text, key->service);
    add(text, "/aws4_request");
}

static void add_string_to_sign(struct text *text, const struct text *canonical, const struct sigv4_key *key)
{
    add(text, ALGORITHM "\n");
    add(text, key->time);
    add(text, "\n");
    add_scope(text, key);
    add(text, "\n");
    add_hash(text, canonical->bytes.bytes, canonical->bytes.length);
}

static void derive(uint8_t key[SIGV4_HASH_SIZE], const void *bytes, size_t length)
{
    uint8_t made[SIGV4_HASH_SIZE];

    (void)HMAC(EVP_sha256(), key, SIGV4_HASH_SIZE, bytes, length, made, NULL);
    memcpy(key, made, sizeof(made));
    explicit_bzero(made, sizeof(made));
}

static int sign(const struct text *text, const struct sigv4_key *key, char hex[HEX_SIZE])
{
    char *secret;
    uint8_t made[SIGV4_HASH_SIZE];
    int length = asprintf(&secret, "AWS4%s", key->secret);

    if (length < 0)
        return -ENOMEM;
    (void)HMAC(EVP_sha256(), secret, length, (const uint8_t *)key->time, DATE_LENGTH, made, NULL);
    explicit_bzero(secret, (size_t)length);
    free(secret);
    derive(made, key->region, strlen(key->region));
    derive(made, key->service, strlen(key->service));
    derive(made, "aws4_request", strlen("aws4_request"));
    derive(made, text->bytes.bytes, text->bytes.length);
    hex_write(made, sizeof(made), hex);
    return 0;
}

static void add_authorization(struct text *text, const struct sigv4_key *key, const struct sorted *sorted,
                              const char *signature)
{
    add(text, ALGORITHM " Credential=");
    add(text, key->access_key_id);
    add(text, "/");
    add_scope(text, key);
    add(text, ", SignedHeaders=");
    add_names(text, sorted);
    add(text, ", Signature=");
    add(text, signature);
}

int sigv4_authorize(const struct sigv4_request *request, const struct sigv4_key *key, char **ret_authorization)
{
    struct sorted sorted = {.count = request->header_count};
    struct text canonical = {0}, to_sign = {0}, authorization = {0};
    char signature[HEX_SIZE] = "";

    if (request->header_count > SIGV4_HEADERS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < sorted.count; i++)
        sorted.headers[i] = &request->headers[i];
    qsort(sorted.headers, sorted.count, sizeof(sorted.headers[0]), compare_headers);

    add_canonical(&canonical, request, &sorted);
    add_string_to_sign(&to_sign, &canonical, key);
    int r = canonical.error != 0 ? canonical.error : to_sign.error;
    if (r == 0)
        r = sign(&to_sign, key, signature);
    if (r == 0) {
        add_authorization(&authorization, key, &sorted, signature);
        add_bytes(&authorization, "", 1);
        r = authorization.error;
    }
    buffer_deinit(&canonical.bytes);
    buffer_deinit(&to_sign.bytes);
    if (r == 0)
        *ret_authorization = (char *)authorization.bytes.bytes;
    else
        buffer_deinit(&authorization.bytes);
    return r;
}
