/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log_severity.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
    JSON_MAX = 4096,  /* bytes of an object that are read */
    PAIRS_MAX = 512,  /* of a line that is searched for level=... */
    PREFIX_MAX = 128, /* of a line that may stand before its level, and the level */
    WORDS_MAX = 20,   /* likewise; a time has several */
};

/* syslog's numbers plus one. */
enum { FATAL = 1, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG };

static const struct {
    char word[16];
    uint8_t severity;
} words[] = {
    {"info", INFO},          {"error", ERROR},  {"warning", WARNING},   {"warn", WARNING},  {"debug", DEBUG},
    {"notice", NOTICE},      {"err", ERROR},    {"critical", CRITICAL}, {"crit", CRITICAL}, {"fatal", FATAL},
    {"trace", DEBUG},        {"severe", ERROR}, {"alert", ALERT},       {"emerg", FATAL},   {"emergency", FATAL},
    {"panic", FATAL},        {"note", NOTICE},  {"verbose", DEBUG},     {"fine", DEBUG},    {"finer", DEBUG},
    {"finest", DEBUG},       {"config", INFO},  {"fail", ERROR},        {"failure", ERROR}, {"information", INFO},
    {"informational", INFO}, {"inf", INFO},     {"wrn", WARNING},       {"ftl", FATAL},     {"dbg", DEBUG},
    {"vrb", DEBUG},          {"dbug", DEBUG},   {"trce", DEBUG},        {"silly", DEBUG},
};

static uint8_t severity_of_word(struct slice word)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (word.length > 0 && slice_lower(word.bytes[0]) == words[i].word[0] && slice_is(word, words[i].word))
            return words[i].severity;
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z');
}

static struct slice first_bytes(struct slice line, size_t most)
{
    return (struct slice){line.bytes, line.length < most ? line.length : most};
}

/* Bytes at the start, as `pattern` has them: 9 stands for a digit. */
static bool fits(struct slice line, const char *pattern)
{
    for (size_t i = 0; pattern[i] != '\0'; i++)
        if (i == line.length || (pattern[i] == '9' ? !is_digit(line.bytes[i]) : line.bytes[i] != pattern[i]))
            return false;
    return true;
}

/* JSON */

/* Of a number: as pino and bunyan count (10, 20 .. 60), or syslog's. */
static uint8_t severity_of_number(struct slice text)
{
    static const uint8_t tens[] = {DEBUG, DEBUG, INFO, WARNING, ERROR, FATAL};

    if (text.length == 1 && text.bytes[0] >= '0' && text.bytes[0] <= '7')
        return (uint8_t)(text.bytes[0] - '0' + FATAL);
    if (text.length == 2 && text.bytes[0] >= '1' && text.bytes[0] <= '6' && text.bytes[1] == '0')
        return tens[text.bytes[0] - '1'];
    return 0;
}

static bool is_level_key(struct slice key)
{
    static const char *const keys[] = {"level", "severity",  "levelname", "log.level",    "loglevel",
                                       "lvl",   "log_level", "@level",    "severitytext", "severity_text"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (key.length == strlen(keys[i]) && slice_is_same(key, (struct slice){keys[i], key.length}))
            return true;
    return false;
}

/* The string whose quote stands at *at, as it is written; *at: behind it. */
static struct slice read_string(struct slice json, size_t *at)
{
    size_t start = ++*at;

    while (*at < json.length && json.bytes[*at] != '"')
        *at += json.bytes[*at] == '\\' ? 2 : 1;
    size_t end = *at < json.length ? *at : json.length;
    *at = end + 1;
    return (struct slice){json.bytes + start, end - start};
}

static size_t skip_blanks(struct slice json, size_t at)
{
    while (at < json.length && (json.bytes[at] == ' ' || json.bytes[at] == '\t'))
        at++;
    return at;
}

/* A string, or a number. */
static uint8_t severity_of_value(struct slice json, size_t at)
{
    size_t end = at;

    if (at < json.length && json.bytes[at] == '"') {
        struct slice text = read_string(json, &at);
        uint8_t severity = severity_of_word(text);

        return severity ? severity : severity_of_number(text);
    }
    while (end < json.length && is_digit(json.bytes[end]))
        end++;
    return severity_of_number((struct slice){json.bytes + at, end - at});
}

/* Of an object: its own keys, not those of what is in it. */
static uint8_t severity_of_json(struct slice json)
{
    unsigned depth = 0;

    for (size_t at = 0; at < json.length;) {
        char c = json.bytes[at];

        if (c != '"') {
            depth += (c == '{' || c == '[');
            depth -= (c == '}' || c == ']') && depth > 0;
            at++;
            continue;
        }
        struct slice key = read_string(json, &at);
        at = skip_blanks(json, at);
        if (depth != 1 || at >= json.length || json.bytes[at] != ':' || !is_level_key(key))
            continue;
        uint8_t severity = severity_of_value(json, skip_blanks(json, at + 1));
        if (severity)
            return severity;
    }
    return 0;
}

/* text */

/* level=warn, or level="warn", anywhere. */
static uint8_t severity_of_pair(struct slice line)
{
    static const char *const keys[] = {"level=", "lvl=", "severity="};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *found = memmem(line.bytes, line.length, keys[i], strlen(keys[i]));
        const char *start = found ? found + strlen(keys[i]) : NULL, *limit = line.bytes + line.length;

        if (!found || (found > line.bytes && found[-1] != ' ' && found[-1] != '\t'))
            continue;
        start += start < limit && *start == '"';
        const char *end = start;
        while (end < limit && is_letter(*end))
            end++;
        return severity_of_word((struct slice){start, (size_t)(end - start)});
    }
    return 0;
}

/* <30>: facility times 8, plus syslog's number. */
static uint8_t severity_of_priority(struct slice line)
{
    unsigned priority = 0;
    size_t at = 1;

    for (; at < 4 && at < line.length && is_digit(line.bytes[at]); at++)
        priority = priority * 10 + (unsigned)(line.bytes[at] - '0');
    return at > 1 && at < line.length && line.bytes[at] == '>' ? (uint8_t)(priority % DEBUG + FATAL) : 0;
}

/* What stands at the very start: <3> of the kernel and systemd, "E1121 02:53" of glog, "E, [" of Ruby. */
static uint8_t severity_of_mark(struct slice line)
{
    static const struct {
        char letter;
        uint8_t severity;
    } letters[] = {{'D', DEBUG}, {'I', INFO}, {'W', WARNING}, {'E', ERROR}, {'F', FATAL}};
    struct slice rest = {line.bytes + 1, line.length - 1};

    if (line.bytes[0] == '<')
        return severity_of_priority(line);
    if (!fits(rest, "9999 99:") && !fits(rest, ", ["))
        return 0;
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (line.bytes[0] == letters[i].letter)
            return letters[i].severity;
    return 0;
}

/* "ValueError: ...", "java.lang.IllegalStateException: ...", and Python's traceback. */
static bool is_exception(struct slice line)
{
    static const char *const suffixes[] = {"Error", "Exception"};
    const char *colon = memchr(line.bytes, ':', line.length);
    size_t length = colon ? (size_t)(colon - line.bytes) : 0;

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t suffix = strlen(suffixes[i]);

        if (length >= suffix && memcmp(colon - suffix, suffixes[i], suffix) == 0 && !memchr(line.bytes, ' ', length))
            return true;
    }
    return fits(line, "Traceback (most recent");
}

/* Where a line is looked through for its level. */
struct scan {
    struct slice line;
    size_t at;
    unsigned word_count; /* before `at` */
    bool is_stamped;     /* it begins with a time, or what is in brackets */
    bool follows_name;   /* the word before ended with a colon, or is "PHP" or a part of its level */
};

/* Colours, and what is in quotes or no letter. False: nothing is left that may be a level. */
static bool skip_to_word(struct scan *scan)
{
    struct slice line = scan->line;

    while (scan->at < line.length) {
        char c = line.bytes[scan->at];

        if (c == '\x1b')
            while (scan->at < line.length && line.bytes[scan->at] != 'm')
                scan->at++;
        else if (is_letter(c) || is_digit(c))
            return true;
        else if (c == '"' || c == '\'')
            return false;
        scan->at += scan->at < line.length;
    }
    return false;
}

static char char_at(struct slice line, size_t at)
{
    return at < line.length ? line.bytes[at] : ' ';
}

/* Does the level between these two characters stand where loggers put it? */
static bool is_level(const struct scan *scan, struct slice word, char before, char after)
{
    bool is_first = scan->word_count == 0;

    if (!strchr(" \t[(<|:-m", before) || !strchr(" \t])>|:,-\x1b", after))
        return false;
    if (strchr("[(<|:", before) && strchr("])>|", after))
        return true;
    if (after == ':' && (is_first || scan->is_stamped || scan->follows_name))
        return true;
    if (before == '\t' && after == '\t')
        return true;
    return is_upper(word.bytes[0]) && is_upper(word.bytes[1]) && (is_first || scan->is_stamped);
}

static uint8_t severity_of_prefix(struct slice line)
{
    struct scan scan = {.line = line, .is_stamped = is_digit(line.bytes[0]) || line.bytes[0] == '['};

    for (; scan.word_count < WORDS_MAX && skip_to_word(&scan); scan.word_count++) {
        size_t start = scan.at;

        while (scan.at < line.length &&
               (is_letter(line.bytes[scan.at]) || is_digit(line.bytes[scan.at]) || line.bytes[scan.at] == '_'))
            scan.at++;
        struct slice word = {line.bytes + start, scan.at - start};
        char before = start > 0 ? line.bytes[start - 1] : ' ', after = char_at(line, scan.at);
        uint8_t severity = word.length >= 3 ? severity_of_word(word) : 0;

        if (severity && is_level(&scan, word, before, after))
            return severity;
        if (slice_equals(word, "LOG", 3) && after == ':' && scan.is_stamped)
            return INFO; /* PostgreSQL's */
        scan.follows_name = after == ':' || slice_equals(word, "PHP", 3) || (severity && scan.follows_name);
    }
    return 0;
}

uint8_t log_severity_of(struct slice line)
{
    uint8_t severity;

    line = slice_trim(line);
    if (line.length == 0)
        return 0;
    if (line.bytes[0] == '{')
        return severity_of_json(first_bytes(line, JSON_MAX));
    severity = severity_of_mark(line);
    if (!severity)
        severity = severity_of_pair(first_bytes(line, PAIRS_MAX));
    if (!severity)
        severity = severity_of_prefix(first_bytes(line, PREFIX_MAX));
    return severity || !is_exception(first_bytes(line, PREFIX_MAX)) ? severity : ERROR;
}
