/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/redact.h"

#include <string.h>

#include "preload/byte_class.h"
#include "preload/ip.h"
#include "preload/scan.h"
#include "preload/slice.h"

enum {
    WORD_MAX = 48,
    /* The shortest of the names that are looked for within words: nothing else fits into a shorter one. */
    PART_MIN = 5,
    HEADER_PART_MIN = 3,
    CLIENT_PART_MIN = 6,
    RANDOM_MIN = 20, /* bytes of a value that was made by chance: GitHub's codes have so many */
};

static const struct slice mask = {"REDACTED", 8};
static const struct slice userinfo_mask = {"REDACTED:REDACTED", 17};

/* No pointer, which would be a relocation at every start. */
struct name {
    uint8_t length;
    char text[19];
};

#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        sizeof(text) - 1, text                                                                                         \
    }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Names are compared without case, '-', '_' and blanks: apikey is also api_key and X-Api-Key. A name that has one of
 * these anywhere within is sensitive ... */
static const struct name sensitive_parts[] = {
    NAME("accesskey"), NAME("apikey"),    NAME("authorization"), NAME("credential"), NAME("passphrase"),
    NAME("passwd"),    NAME("password"),  NAME("privatekey"),    NAME("secret"),     NAME("sessid"),
    NAME("sessionid"), NAME("signature"), NAME("token"),
};

/* ... or a query key that is one of these. From OpenTelemetry's URL conventions, Rollbar's scrub list, and use. */
static const struct name sensitive_keys[] = {
    NAME("assertion"), NAME("auth"),        NAME("authentication"), NAME("bearer"),
    NAME("csrf"),      NAME("jwt"),         NAME("pass"),           NAME("pw"),
    NAME("pwd"),       NAME("samlrequest"), NAME("samlresponse"),   NAME("session"),
    NAME("sid"),       NAME("sig"),         NAME("xsrf"),
};

/* Of these only what looks as if it was made by chance: OAuth's code and Google's key, not a country's code. */
static const struct name ambiguous_keys[] = {NAME("code"), NAME("key")};

/* Header fields are an open world, and capturing one too few costs little: any of these anywhere hides it. */
static const struct name sensitive_header_parts[] = {
    NAME("auth"), NAME("cookie"), NAME("csrf"), NAME("jwt"), NAME("session"), NAME("xsrf"),
};
static const struct name sensitive_headers[] = {NAME("dpop"), NAME("xamznoidcdata"), NAME("xmsclientprincipal")};

/* Header fields in which proxies name the client. */
static const struct name client_header_parts[] = {
    NAME("clientaddr"), NAME("clientip"),   NAME("connectingip"), NAME("externaladdress"), NAME("forwardedfor"),
    NAME("realip"),     NAME("remoteaddr"), NAME("remoteip"),     NAME("userip"),
};
static const struct name client_headers[] = {NAME("forwarded")};

/* Output that counts on when it is full: what is written later may still replace what was written before. */
struct writer {
    char *out;
    size_t size;
    size_t used; /* may be more than size */
};

static void put(struct writer *writer, const char *bytes, size_t len)
{
    if (writer->used < writer->size) {
        size_t room = writer->size - writer->used;
        slice_copy(writer->out + writer->used, bytes, len < room ? len : room);
    }
    writer->used += len;
}

static size_t written(const struct writer *writer, bool *ret_truncated)
{
    *ret_truncated = writer->used > writer->size;
    return *ret_truncated ? writer->size : writer->used;
}

/* Words */

/* A name as it is compared. */
struct word {
    uint8_t length; /* above WORD_MAX: too long to be judged */
    char text[WORD_MAX];
};

/* Add a character; false when it is none of a word's. */
static inline bool word_add(struct word *word, char c)
{
    unsigned class = byte_is(c, BYTE_JOINS | BYTE_OF_KEY | BYTE_CAPITAL);
    if (!(class & BYTE_OF_KEY))
        return class;
    if (word->length < WORD_MAX)
        word->text[word->length] = (char)(class & BYTE_CAPITAL ? c | 0x20 : c);
    if (word->length <= WORD_MAX)
        word->length++;
    return true;
}

static bool word_has_at(const struct word *word, size_t at, const struct name *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (word->text[at] == parts[i].text[0] && parts[i].length <= word->length - at &&
            memcmp(word->text + at, parts[i].text, parts[i].length) == 0)
            return true;
    return false;
}

static bool word_contains(const struct word *word, const struct name *parts, size_t count, size_t shortest)
{
    for (size_t at = 0; at + shortest <= word->length; at++)
        if (word_has_at(word, at, parts, count))
            return true;
    return false;
}

static bool word_is_one_of(const struct word *word, const struct name *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].length == word->length && names[i].text[0] == word->text[0] &&
            memcmp(names[i].text, word->text, word->length) == 0)
            return true;
    return false;
}

static bool word_is_sensitive(const struct word *word)
{
    if (word->length > WORD_MAX)
        return true;
    return word_is_one_of(word, sensitive_keys, COUNT(sensitive_keys)) ||
           word_contains(word, sensitive_parts, COUNT(sensitive_parts), PART_MIN);
}

/* Text with keys and values in it */

/* The bytes that matter between words, a bit each. */
enum { EQUALS = 1, COLON = 2, AMPERSAND = 4, SEMICOLON = 8, MARK = 16, COMMA = 32, SLASH = 64, BLANK = 128 };
static const uint8_t separator[256] = {
    ['='] = EQUALS, [':'] = COLON, ['&'] = AMPERSAND, [';'] = SEMICOLON, ['?'] = MARK,
    ['#'] = MARK,   [','] = COMMA, ['/'] = SLASH,     [' '] = BLANK,
};

/* How a kind of text is read, as sets of these. */
struct grammar {
    uint8_t assigns; /* a key stands before these */
    uint8_t breaks;  /* what was before these is no part of a key */
    uint8_t ends;    /* a hidden value ends here, unless encoded: in a query at '&' alone, since programs disagree about
                      * ';' */
};

static const struct grammar query_grammar = {EQUALS | COLON, AMPERSAND | SEMICOLON | MARK | COMMA | SLASH, AMPERSAND};
static const struct grammar path_grammar = {EQUALS, SEMICOLON | COMMA | SLASH, SEMICOLON | SLASH};
static const struct grammar header_grammar = {EQUALS | COLON, AMPERSAND | SEMICOLON | MARK | COMMA | SLASH,
                                              AMPERSAND | SEMICOLON | COMMA | BLANK};

static const struct grammar prose_grammar = {EQUALS, AMPERSAND | SEMICOLON | MARK | COMMA | SLASH,
                                             AMPERSAND | SEMICOLON | COMMA | BLANK};

struct scan {
    const struct grammar *grammar;
    struct word word;
    bool is_sensitive;   /* an earlier word of this key was, as in token[value] */
    bool is_ambiguous;   /* an ambiguous key was just assigned to */
    uint8_t scheme_mark; /* how much of "://" was just read */
    bool in_authority;
    size_t authority; /* where in the output it starts */
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = slice_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The two hex digits at `at`, or -1. */
static int hex_pair(struct slice text, size_t at)
{
    if (at + 2 > text.length || hex_value(text.bytes[at]) < 0 || hex_value(text.bytes[at + 1]) < 0)
        return -1;
    return hex_value(text.bytes[at]) << 4 | hex_value(text.bytes[at + 1]);
}

/* The character behind the '%' at `at`, however often it was encoded (%253D is '='). */
static char decode(struct slice text, size_t at, size_t *ret_width)
{
    *ret_width = 1;
    size_t pair = at + 1;
    while (hex_pair(text, pair) == '%' && hex_pair(text, pair + 2) >= 0)
        pair += 2;
    int value = hex_pair(text, pair);
    if (value < 0)
        return '%';
    *ret_width = pair + 2 - at;
    return (char)value;
}

static bool is_one_of(char c, uint8_t set)
{
    return separator[(uint8_t)c] & set;
}

static void word_end(struct scan *scan)
{
    if (scan->word.length > 0 && word_is_sensitive(&scan->word))
        scan->is_sensitive = true;
    scan->word.length = 0;
}

static void key_end(struct scan *scan)
{
    scan->word.length = 0;
    scan->is_sensitive = false;
}

/* Follow "://user:password@"; start and end: where the character will stand in the output. Returns whether this is the
 * '@', with something to hide before it. */
static bool follow_authority(struct scan *scan, char c, size_t start, size_t end)
{
    bool is_end = scan->in_authority && c == '@' && start > scan->authority;
    if (scan->in_authority && is_one_of(c, SLASH | MARK | AMPERSAND))
        scan->in_authority = false;
    if (c == '/' && scan->scheme_mark > 0)
        scan->scheme_mark++;
    else
        scan->scheme_mark = c == ':';
    if (scan->scheme_mark == 3) {
        scan->in_authority = true;
        scan->authority = end;
        scan->scheme_mark = 0;
    }
    return is_end;
}

/* Returns whether a sensitive value begins after this character, which is none of a word's. */
static bool follow_key(struct scan *scan, char c)
{
    if (is_one_of(c, scan->grammar->assigns)) {
        scan->is_ambiguous = word_is_one_of(&scan->word, ambiguous_keys, COUNT(ambiguous_keys));
        word_end(scan);
        bool is_sensitive = scan->is_sensitive || scan->is_ambiguous;
        scan->is_ambiguous &= !scan->is_sensitive;
        key_end(scan);
        return is_sensitive;
    }
    if (is_one_of(c, scan->grammar->breaks))
        key_end(scan);
    else
        word_end(scan);
    return false;
}

static size_t skip_value(struct slice text, size_t at, uint8_t ends)
{
    while (at < text.length && !is_one_of(text.bytes[at], ends))
        at++;
    return at;
}

/* Long, with both digits and letters in it. */
static bool looks_random(struct slice value)
{
    bool has_digit = false, has_letter = false;

    for (size_t i = 0; i < value.length; i++) {
        bool is_digit = value.bytes[i] >= '0' && value.bytes[i] <= '9';
        has_digit |= is_digit;
        has_letter |= !is_digit && byte_is(value.bytes[i], BYTE_OF_KEY);
    }
    return value.length >= RANDOM_MIN && has_digit && has_letter;
}

static void redact_text(struct writer *writer, struct slice text, const struct grammar *grammar)
{
    struct scan scan = {.grammar = grammar};
    size_t at = 0, from = 0; /* what stands from `from` on is still to be written */
    while (at < text.length) {
        size_t width = 1;
        char c = text.bytes[at] == '%' ? decode(text, at, &width) : text.bytes[at];
        if (word_add(&scan.word, c)) {
            scan.scheme_mark = 0;
            at += width;
            continue;
        }
        if (scan.scheme_mark > 0 || scan.in_authority || c == ':') {
            put(writer, text.bytes + from, at - from);
            from = at;
            if (follow_authority(&scan, c, writer->used, writer->used + width)) {
                writer->used = scan.authority; /* over what was written of user and password */
                put(writer, userinfo_mask.bytes, userinfo_mask.length);
            }
        }
        at += width;
        if (!follow_key(&scan, c))
            continue;
        size_t end = skip_value(text, at, grammar->ends);
        if (scan.is_ambiguous && !looks_random((struct slice){text.bytes + at, end - at}))
            continue;
        put(writer, text.bytes + from, at - from);
        from = end;
        if (from > at)
            put(writer, mask.bytes, mask.length);
        at = from;
        scan.in_authority = false;
        scan.scheme_mark = 0;
    }
    put(writer, text.bytes + from, at - from);
}

/* Nothing that could be a key or a URL in it. */
static bool is_plain(struct slice text)
{
    return scan_key(text.bytes, text.bytes + text.length) == text.bytes + text.length;
}

static void put_text(struct writer *writer, struct slice text, const struct grammar *grammar, enum redact_mode mode)
{
    if (mode == REDACT_KEEP || is_plain(text))
        put(writer, text.bytes, text.length);
    else
        redact_text(writer, text, grammar);
}

size_t redact_query(const char *query, size_t len, char *out, size_t out_size, enum redact_mode mode,
                    bool *ret_truncated)
{
    struct writer writer = {out, out_size, 0};
    if (mode != REDACT_DROP)
        put_text(&writer, (struct slice){query, len}, &query_grammar, mode);
    return written(&writer, ret_truncated);
}

size_t redact_path(const char *path, size_t len, char *out, size_t out_size, enum redact_mode mode, bool *ret_truncated)
{
    struct writer writer = {out, out_size, 0};
    put_text(&writer, (struct slice){path, len}, &path_grammar, mode);
    return written(&writer, ret_truncated);
}

size_t redact_header_value(const char *value, size_t len, char *out, size_t out_size, bool *ret_truncated)
{
    struct writer writer = {out, out_size, 0};
    redact_text(&writer, (struct slice){value, len}, &header_grammar);
    return written(&writer, ret_truncated);
}

/* "a==b", "a<=b": code, as assertions have it; no key and its value. */
static bool is_comparison(struct slice word)
{
    const char *equals = memchr(word.bytes, '=', word.length);
    const char *end = word.bytes + word.length;

    return equals && !memchr(word.bytes, '&', word.length) && !memchr(word.bytes, '?', word.length) &&
           ((equals + 1 < end && equals[1] == '=') || (equals > word.bytes && memchr("!<>", equals[-1], 3)));
}

size_t redact_prose(const char *text, size_t len, char *out, size_t out_size, bool *ret_truncated)
{
    struct writer writer = {out, out_size, 0};

    for (size_t at = 0, end; at < len; at = end) {
        size_t start = at;
        while (start < len && text[start] == ' ')
            start++;
        end = skip_value((struct slice){text, len}, start, BLANK);
        struct slice word = {text + start, end - start};
        put(&writer, text + at, start - at);
        if (is_comparison(word))
            put(&writer, word.bytes, word.length);
        else
            redact_text(&writer, word, &prose_grammar);
    }
    return written(&writer, ret_truncated);
}

bool redact_name_is_sensitive(const char *name, size_t len)
{
    struct word word = {0};
    for (size_t i = 0; i < len; i++)
        (void)word_add(&word, name[i]);
    return word_is_sensitive(&word);
}

/* Write scheme and authority of a URL, or the authority of a CONNECT target. Returns the input bytes that were used. */
static size_t put_authority(struct writer *writer, struct slice url)
{
    const char *scheme_end = memmem(url.bytes, url.length, "://", 3);
    size_t start = 0, end = 0, userinfo = 0;

    if (url.length == 0 || url.bytes[0] == '/')
        return 0;
    if (scheme_end && skip_value(url, 0, SLASH | MARK) == (size_t)(scheme_end - url.bytes) + 1)
        start = (size_t)(scheme_end - url.bytes) + 3;
    end = skip_value(url, start, SLASH | MARK);
    for (size_t i = start; i < end; i++)
        if (url.bytes[i] == '@')
            userinfo = i;
    put(writer, url.bytes, start);
    if (userinfo == 0) {
        put(writer, url.bytes + start, end - start);
    } else {
        put(writer, userinfo_mask.bytes, userinfo_mask.length);
        put(writer, url.bytes + userinfo, end - userinfo);
    }
    return end;
}

size_t redact_url(const char *url, size_t len, char *out, size_t out_size, enum redact_mode mode, bool *ret_truncated)
{
    struct writer writer = {out, out_size, 0};
    struct slice rest = {url, len};
    size_t authority = put_authority(&writer, rest);
    const char *mark = memchr(url + authority, '?', len - authority);
    size_t path_end = mark ? (size_t)(mark - url) : len;

    put_text(&writer, (struct slice){url + authority, path_end - authority}, &path_grammar, mode);
    if (path_end < len && mode != REDACT_DROP) {
        put(&writer, "?", 1);
        put_text(&writer, (struct slice){url + path_end + 1, len - path_end - 1}, &query_grammar, mode);
    }
    return written(&writer, ret_truncated);
}

/* Addresses and header fields */

void redact_ip_bytes(uint8_t *ip, size_t length, enum redact_ip_mode mode)
{
    switch (mode) {
    case REDACT_IP_FULL:
        break;
    case REDACT_IP_ANONYMIZE:
        if (length == 16 && !ip_is_mapped(ip))
            memset(ip + 6, 0, 10);
        else
            ip[length - 1] = 0;
        break;
    case REDACT_IP_NONE:
        memset(ip, 0, length);
        break;
    }
}

size_t redact_client_ip(const char *text, size_t len, enum redact_ip_mode mode, char *out, size_t out_size)
{
    char anonymous[IP_TEXT_SIZE];
    struct slice kept = {text, len};
    struct ip ip;

    if (mode == REDACT_IP_NONE)
        return 0;
    if (mode == REDACT_IP_ANONYMIZE && ip_parse(text, len, &ip)) {
        redact_ip_bytes(ip.bytes, ip.length, mode);
        kept = (struct slice){anonymous, ip_format(&ip, anonymous)};
    } else if (mode == REDACT_IP_ANONYMIZE && (len == 0 || text[0] != '_')) {
        return 0;
    }
    if (kept.length > out_size)
        return 0;
    memcpy(out, kept.bytes, kept.length);
    return kept.length;
}

static bool names_client(const struct word *word)
{
    return word_is_one_of(word, client_headers, COUNT(client_headers)) ||
           word_contains(word, client_header_parts, COUNT(client_header_parts), CLIENT_PART_MIN);
}

bool redact_header_allowed(const char *name, size_t len, enum redact_ip_mode mode)
{
    struct word word = {0};
    for (size_t i = 0; i < len; i++)
        (void)word_add(&word, name[i]);
    if (word.length > WORD_MAX)
        return false;
    bool is_key = word.length >= 3 && memcmp(word.text + word.length - 3, "key", 3) == 0;
    return !is_key && !word_is_one_of(&word, sensitive_headers, COUNT(sensitive_headers)) &&
           !word_contains(&word, sensitive_header_parts, COUNT(sensitive_header_parts), HEADER_PART_MIN) &&
           !word_contains(&word, sensitive_parts, COUNT(sensitive_parts), PART_MIN) &&
           (mode == REDACT_IP_FULL || !names_client(&word));
}
