/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/values.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && is_blank((*text)[0])) {
        (*text)++;
        (*length)--;
    }
    while (*length > 0 && is_blank((*text)[*length - 1]))
        (*length)--;
}

char *values_trimmed(const char *text, size_t length)
{
    trim(&text, &length);
    errno = 0;
    return length > 0 ? strndup(text, length) : NULL;
}

bool values_parse_number(const char *text, const char *range, uint32_t *ret_number)
{
    char *end;
    unsigned long least = strtoul(range, &end, 10);
    unsigned long most = strtoul(end + strlen(".."), NULL, 10);

    /* strtoul takes a sign and blanks; a setting doesn't. */
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < least || number > most)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

bool values_is_word_of(const char *text, size_t length, const char *words)
{
    for (;;) {
        size_t word = strcspn(words, "|");

        if (word == length && strncasecmp(text, words, length) == 0)
            return true;
        if (words[word] == '\0')
            return false;
        words += word + 1;
    }
}

bool values_has_word(const char *list, const char *word)
{
    size_t length;

    for (; list != NULL && *list != '\0'; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        if (length == strlen(word) && strncmp(list, word, length) == 0)
            return true;
    }
    return false;
}

/* The host's place within a URL, or NULL. */
static const char *url_authority(const char *url)
{
    if (strncasecmp(url, "http://", 7) == 0)
        return url + 7;
    if (strncasecmp(url, "https://", 8) == 0)
        return url + 8;
    return NULL;
}

static bool is_port(const char *text, size_t length)
{
    unsigned number = 0;

    for (size_t i = 0; i < length && number <= UINT16_MAX; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    return length > 0 && number <= UINT16_MAX;
}

/* host, host:port, and either with an [address]. */
static bool is_host_and_port(const char *text, size_t length)
{
    bool is_address = length > 0 && text[0] == '[';
    const char *end = memchr(text, is_address ? ']' : ':', length);
    size_t host = end != NULL ? (size_t)(end - text) + is_address : is_address ? 0 : length;

    if (host == 0 || memchr(text, '@', host) != NULL)
        return false;
    return host == length || (text[host] == ':' && is_port(text + host + 1, length - host - 1));
}

bool values_is_url(const char *text)
{
    const char *host = url_authority(text);

    if (host == NULL)
        return false;
    for (const char *p = host; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    size_t length = strcspn(host, "/?#");
    const char *at = memchr(host, '@', length);
    size_t user = at != NULL ? (size_t)(at + 1 - host) : 0;
    return is_host_and_port(host + user, length - user);
}

bool values_is_authority(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || strchr("/?#\x7f", *p) != NULL)
            return false;
    return is_host_and_port(text, strlen(text));
}

static bool is_header_name(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
            return false;
    return true;
}

bool values_is_header_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* In place. False for a '%' that isn't followed by two digits, or a NUL. */
static bool percent_decode(char *text)
{
    char *out = text;

    for (const char *in = text; *in != '\0'; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        int high = hex_digit(in[1]);
        int low = high < 0 ? -1 : hex_digit(in[2]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *out++ = (char)(high << 4 | low);
        in += 2;
    }
    *out = '\0';
    return true;
}

int values_add_pair(struct settings_pairs *pairs, const char *name, const char *value)
{
    if (pairs->count == SETTINGS_PAIRS_MAX)
        return -E2BIG;
    struct settings_pair *grown = realloc(pairs->pairs, (pairs->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    pairs->pairs = grown;

    struct settings_pair pair = {.name = strdup(name), .value = strdup(value)};
    if (pair.name == NULL || pair.value == NULL) {
        free(pair.name);
        free(pair.value);
        return -ENOMEM;
    }
    grown[pairs->count++] = pair;
    return 0;
}

void values_free_pairs(struct settings_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->pairs[i].name);
        /* Headers hold tokens: don't leave them in freed memory. */
        explicit_bzero(pairs->pairs[i].value, strlen(pairs->pairs[i].value));
        free(pairs->pairs[i].value);
    }
    free(pairs->pairs);
    *pairs = (struct settings_pairs){0};
}

const char *values_find_pair(const struct settings_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (strcasecmp(pairs->pairs[i].name, name) == 0)
            return pairs->pairs[i].value;
    return NULL;
}

/* What is wrong with the item, or NULL and its parts decoded in place. */
static const char *split_item(char *item, enum values_pairs_kind kind, char **ret_name, char **ret_value)
{
    char *equals = strchr(item, '=');

    if (equals == NULL)
        return "has no \"=\"";
    char *name = item;
    char *value = equals + 1;
    *equals = '\0';
    while (equals > name && is_blank(equals[-1]))
        *--equals = '\0';
    while (is_blank(*value))
        value++;
    if (*name == '\0')
        return "has no name";
    if (!percent_decode(value) || (kind == VALUES_ATTRIBUTES && !percent_decode(name)))
        return "is not percent-encoded rightly";
    if (kind == VALUES_HEADERS && !is_header_name(name))
        return "has a name that is none of a header";
    if (kind == VALUES_HEADERS && !values_is_header_value(value))
        return "has a control character in its value";
    *ret_name = name;
    *ret_value = value;
    return NULL;
}

static int add_item(struct settings_pairs *pairs, char *item, enum values_pairs_kind kind, const char **ret_wrong)
{
    char *name;
    char *value;

    *ret_wrong = split_item(item, kind, &name, &value);
    if (*ret_wrong != NULL)
        return 0;
    int r = values_add_pair(pairs, name, value);
    if (r == -E2BIG) {
        *ret_wrong = "is one too many";
        r = 0;
    }
    return r;
}

int values_parse_pairs(const char *text, enum values_pairs_kind kind, struct settings_pairs *ret_pairs,
                       char problem[128])
{
    struct settings_pairs pairs = {0};
    unsigned number = 0;

    problem[0] = '\0';
    for (;;) {
        size_t length = strcspn(text, ",");
        char *item = values_trimmed(text, length);

        if (item == NULL && errno != 0)
            goto no_memory;
        number++;
        if (item != NULL) {
            const char *wrong;
            int r = add_item(&pairs, item, kind, &wrong);
            explicit_bzero(item, strlen(item));
            free(item);
            if (r < 0)
                goto no_memory;
            if (wrong != NULL && problem[0] == '\0')
                (void)snprintf(problem, 128, "item %u %s", number, wrong);
        }
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    if (problem[0] != '\0' && kind == VALUES_ATTRIBUTES)
        values_free_pairs(&pairs);
    *ret_pairs = pairs;
    return 0;

no_memory:
    values_free_pairs(&pairs);
    return -ENOMEM;
}

char *values_join_url(const char *base, const char *path)
{
    size_t length = strcspn(base, "?#");
    char *url;

    if (asprintf(&url, "%.*s%s%s", (int)length, base, base[length - 1] == '/' ? "" : "/", path) < 0)
        return NULL;
    return url;
}

char *values_complete_url(const char *url)
{
    const char *host = url_authority(url);
    size_t length = host != NULL ? (size_t)(host - url) + strcspn(host, "/?#") : strlen(url);
    char *complete;

    if (asprintf(&complete, "%.*s%s%s", (int)length, url, url[length] == '/' ? "" : "/", url + length) < 0)
        return NULL;
    return complete;
}

char *values_service_url(const char *endpoint, bool is_insecure, const char *service)
{
    const char *host = url_authority(endpoint);
    const char *scheme = host != NULL ? "" : is_insecure ? "http://" : "https://";
    size_t length = host != NULL ? (size_t)(host - endpoint) + strcspn(host, "/?#") : strlen(endpoint);
    char *url;

    if (asprintf(&url, "%s%.*s/%s", scheme, (int)length, endpoint, service) < 0)
        return NULL;
    return url;
}

void values_show_url(const char *url, char *out, size_t size)
{
    const char *mark = strstr(url, "://");
    size_t scheme = mark != NULL ? (size_t)(mark - url) + strlen("://") : 0;
    const char *host = url + scheme;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    if (at != NULL)
        host = at + 1;
    (void)snprintf(out, size, "%.*s%.*s", (int)scheme, url, (int)strcspn(host, "?#"), host);
}
