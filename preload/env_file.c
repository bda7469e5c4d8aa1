/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/env_file.h"

#include <stdbool.h>
#include <stddef.h>

/* Where the value that is being read is written: in place, never ahead of what was read. */
struct output {
    char *at;
    char *kept; /* behind the last character that isn't a blank to be trimmed */
};

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || is_line_end(c);
}

struct env_file env_file_open(char *text)
{
    return (struct env_file){.at = text, .line = 1};
}

static char take(struct env_file *in)
{
    char c = *in->at++;

    in->line += c == '\n';
    return c;
}

static void skip_line(struct env_file *in)
{
    while (*in->at != '\0' && !is_line_end(take(in)))
        ;
}

/* To the first character of an assignment. */
static void skip_to_name(struct env_file *in)
{
    for (;;) {
        while (is_blank(*in->at))
            (void)take(in);
        if (*in->at != '#' && *in->at != ';')
            return;
        skip_line(in);
    }
}

static void put(struct output *out, char c)
{
    *out->at++ = c;
    out->kept = out->at;
}

/* The character behind a backslash. */
static void read_escape(struct env_file *in, struct output *out, bool quoted)
{
    if (*in->at == '\0')
        return;
    char c = take(in);
    bool is_special = c == '"' || c == '\\' || c == '`' || c == '$';

    if (quoted && !is_special && c != '\n')
        put(out, '\\');
    if (quoted ? c != '\n' : !is_line_end(c))
        put(out, c);
}

static void read_quoted(struct env_file *in, struct output *out, char quote)
{
    while (*in->at != '\0') {
        char c = take(in);

        if (c == quote)
            return;
        if (c == '\\' && quote == '"')
            read_escape(in, out, true);
        else
            put(out, c);
    }
}

/* To the line's end. */
static void read_bare(struct env_file *in, struct output *out)
{
    while (*in->at != '\0') {
        char c = take(in);

        if (is_line_end(c))
            return;
        if (c == '\\') {
            out->kept = out->at; /* blanks before it count */
            read_escape(in, out, false);
        } else if (is_blank(c)) {
            *out->at++ = c;
        } else {
            put(out, c);
        }
    }
}

/* Quoted parts, then bare text. */
static void read_value(struct env_file *in, struct output *out)
{
    while (*in->at != '\0' && !is_line_end(*in->at)) {
        if (*in->at == '"' || *in->at == '\'') {
            char quote = take(in);

            read_quoted(in, out, quote);
        } else if (is_blank(*in->at)) {
            (void)take(in);
        } else {
            read_bare(in, out);
            return;
        }
    }
    if (*in->at != '\0')
        (void)take(in);
}

/* Up to '=' or the line's end, without the blanks before it: where the name ends; NULL when there is no '='. */
static char *read_name(struct env_file *in)
{
    char *end = in->at;

    while (*in->at != '\0' && *in->at != '=' && !is_line_end(*in->at)) {
        if (!is_blank(*in->at))
            end = in->at + 1;
        in->at++;
    }
    if (*in->at != '=')
        return NULL;
    in->at++;
    return end;
}

static bool is_name(const char *name, const char *end)
{
    for (const char *p = name; p < end; p++) {
        bool is_letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
        bool is_digit = *p >= '0' && *p <= '9';

        if (!is_letter && !(is_digit && p > name))
            return false;
    }
    return name < end;
}

static bool is_value(const char *value)
{
    for (; *value != '\0'; value++)
        if (((unsigned char)*value < ' ' && *value != '\t' && *value != '\n') || *value == 0x7f)
            return false;
    return true;
}

enum env_file_item env_file_next(struct env_file *file, char **ret_entry, unsigned *ret_line)
{
    skip_to_name(file);
    if (*file->at == '\0')
        return ENV_FILE_END;
    *ret_line = file->line;

    char *name = file->at;
    char *name_end = read_name(file);
    if (name_end == NULL) {
        skip_line(file);
        return ENV_FILE_INVALID;
    }
    struct output out = {name_end, name_end};
    put(&out, '=');
    read_value(file, &out);
    *out.kept = '\0';
    if (!is_name(name, name_end) || !is_value(name_end + 1))
        return ENV_FILE_INVALID;
    *ret_entry = name;
    return ENV_FILE_ENTRY;
}
