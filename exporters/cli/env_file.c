/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/env_file.h"

#include "exporters/cli/cli.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 1 << 20 };

struct reader {
    const char *at; /* NUL-terminated text of the file */
    unsigned line;
};

static bool at_line_end(const struct reader *in)
{
    return *in->at == '\n' || *in->at == '\0';
}

static void skip_line(struct reader *in)
{
    while (!at_line_end(in)) {
        if (in->at[0] == '\\' && in->at[1] == '\n') { /* a comment may be continued as well */
            in->at++;
            in->line++;
        }
        in->at++;
    }
}

static void skip_blanks(struct reader *in)
{
    while (*in->at == ' ' || *in->at == '\t' || *in->at == '\r')
        in->at++;
}

/* A name as the shell knows it, then '='. */
static int read_name(struct reader *in, char **ret_name)
{
    const char *start = in->at;

    if (isalpha((unsigned char)*in->at) || *in->at == '_')
        while (isalnum((unsigned char)*in->at) || *in->at == '_')
            in->at++;
    size_t len = (size_t)(in->at - start);
    skip_blanks(in);
    if (len == 0 || *in->at != '=')
        return -EINVAL;
    in->at++;
    *ret_name = memory_format("%.*s", (int)len, start);
    return 0;
}

/* The character after a backslash: within double quotes only these are special, a line's end vanishes. */
static void read_escape(struct reader *in, bool quoted, char **out)
{
    char next = *++in->at;

    if (next == '\0')
        return;
    if (next == '\n') {
        in->line++;
    } else {
        if (quoted && !strchr("\"\\`$", next))
            *(*out)++ = '\\';
        *(*out)++ = next;
    }
    in->at++;
}

static int read_quoted(struct reader *in, char quote, char **out)
{
    in->at++;
    while (*in->at != quote) {
        if (*in->at == '\0')
            return -EINVAL;
        if (*in->at == '\\' && quote == '"') {
            read_escape(in, true, out);
            continue;
        }
        if (*in->at == '\n')
            in->line++;
        *(*out)++ = *in->at++;
    }
    in->at++;
    return 0;
}

/* Quoted parts and bare text may follow each other; blanks at the end of bare text don't count. */
static int read_value(struct reader *in, char *value)
{
    char *out = value;
    char *end = value; /* behind the last character that counts */

    skip_blanks(in);
    while (!at_line_end(in)) {
        if (*in->at == '"' || *in->at == '\'') {
            if (read_quoted(in, *in->at, &out) != 0)
                return -EINVAL;
            end = out;
        } else if (*in->at == '\\') {
            read_escape(in, false, &out);
            end = out;
        } else {
            char c = *in->at++;

            *out++ = c;
            if (c != ' ' && c != '\t' && c != '\r')
                end = out;
        }
    }
    *end = '\0';
    return 0;
}

/* `given` is what was set before the file: it wins. */
static int read_assignment(struct reader *in, const struct environment *given, struct environment *env)
{
    char *name = NULL;
    char *value = NULL;
    int err;

    if (strncmp(in->at, "export ", 7) == 0) { /* files written for a shell */
        in->at += 7;
        skip_blanks(in);
    }
    err = read_name(in, &name);
    if (err)
        goto out;
    value = memory_resize(NULL, strlen(in->at) + 1);
    err = read_value(in, value);
    if (!err && !environment_get(given, name))
        environment_set(env, name, value);
out:
    free(value);
    free(name);
    return err;
}

static int parse(const char *text, const char *path, struct environment *env)
{
    struct reader in = {.at = text, .line = 1};
    struct environment given;
    int err = 0;

    environment_init(&given, env->entries ? (const char *const *)env->entries : (const char *const[]){NULL});
    while (*in.at && !err) {
        skip_blanks(&in);
        if (*in.at == '\n') {
            in.at++;
            in.line++;
        } else if (*in.at == '#' || *in.at == ';') {
            skip_line(&in);
        } else if (*in.at) {
            unsigned line = in.line;

            err = read_assignment(&in, &given, env);
            if (err)
                cli_error("--env-file %s, line %u: not NAME=value, or a quote is not closed", path, line);
        }
    }
    environment_deinit(&given);
    return err;
}

static int read_file(const char *path, char **ret_text)
{
    FILE *file = fopen(path, "re");

    if (!file)
        return -errno;
    char *text = memory_resize(NULL, FILE_MAX_BYTES + 1);
    size_t len = fread(text, 1, FILE_MAX_BYTES + 1, file);
    int err = ferror(file) ? -EIO : len > FILE_MAX_BYTES ? -EFBIG : memchr(text, '\0', len) ? -EILSEQ : 0;

    (void)fclose(file);
    if (err) {
        free(text);
        return err;
    }
    text[len] = '\0';
    *ret_text = text;
    return 0;
}

int env_file_load(struct environment *env, const char *path)
{
    char *text = NULL;
    int err = read_file(path, &text);

    if (err) {
        cli_error("--env-file %s: %s", path, strerror(-err));
        return err;
    }
    err = parse(text, path, env);
    free(text);
    return err;
}
