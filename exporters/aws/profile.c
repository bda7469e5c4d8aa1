/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/aws/profile.h"

#include "exporters/agent/settings.h"
#include "exporters/aws/small_file.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\r"

/* In place. */
static char *trim(char *text)
{
    text += strspn(text, BLANKS);
    size_t length = strlen(text);
    while (length > 0 && strchr(BLANKS, text[length - 1]) != NULL)
        text[--length] = '\0';
    return text;
}

/* "[name]" of credentials, "[profile name]" of the configuration, where the default one may go without the word. */
static bool is_section(char *line, enum profile_file file, const char *name)
{
    static const char word[] = "profile";
    char *end = strchr(line, ']');

    if (end == NULL)
        return false;
    *end = '\0';
    char *title = trim(line + 1);
    if (file == PROFILE_OF_CREDENTIALS)
        return strcmp(title, name) == 0;
    if (strncmp(title, word, strlen(word)) == 0 && strchr(BLANKS, title[strlen(word)]) != NULL &&
        title[strlen(word)] != '\0')
        return strcmp(trim(title + strlen(word)), name) == 0;
    return strcmp(title, "default") == 0 && strcmp(name, "default") == 0;
}

/* A comment may stand behind a value, after a blank. */
static char *value_of(char *text)
{
    for (char *at = text; (at = strpbrk(at, "#;")) != NULL; at++)
        if (at > text && strchr(BLANKS, at[-1]) != NULL) {
            *at = '\0';
            break;
        }
    return trim(text);
}

/* NULL: the key is none of ours. */
static char **field_of(struct profile *profile, const char *key)
{
    const struct {
        const char *key;
        char **field;
    } fields[] = {
        {"aws_access_key_id", &profile->access_key_id},
        {"aws_secret_access_key", &profile->secret},
        {"aws_session_token", &profile->token},
        {"region", &profile->region},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcasecmp(key, fields[i].key) == 0)
            return fields[i].field;
    return NULL;
}

static bool is_unsupported(const char *key)
{
    static const char *const keys[] = {"role_arn",      "web_identity_token_file", "sso_session",
                                       "sso_start_url", "credential_process",      "login_session"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcasecmp(key, keys[i]) == 0)
            return true;
    return false;
}

static int take(char **field, const char *value)
{
    char *copy = *value != '\0' ? strdup(value) : NULL;

    if (*value == '\0')
        return 0;
    if (copy == NULL)
        return -ENOMEM;
    small_file_free(*field);
    *field = copy;
    return 0;
}

static int take_line(struct profile *profile, char *line)
{
    char *equals = strchr(line, '=');

    if (equals == NULL)
        return 0;
    *equals = '\0';
    char *key = trim(line);
    char **field = field_of(profile, key);
    if (field != NULL)
        return take(field, value_of(equals + 1));
    return is_unsupported(key) ? take(&profile->unsupported, key) : 0;
}

static void move(char **to, char **from)
{
    if (*to != NULL)
        return;
    *to = *from;
    *from = NULL;
}

/* Key, secret and token belong together: they come from one file. */
static void add(struct profile *profile, struct profile *found)
{
    if (profile->access_key_id == NULL) {
        move(&profile->access_key_id, &found->access_key_id);
        move(&profile->secret, &found->secret);
        move(&profile->token, &found->token);
    }
    move(&profile->region, &found->region);
    move(&profile->unsupported, &found->unsupported);
}

int profile_add(struct profile *profile, enum profile_file file, const char *name, char *text)
{
    struct profile found = {0};
    bool is_ours = false;
    char *rest;
    int r = 0;

    for (char *line = strtok_r(text, "\n", &rest); r == 0 && line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (*line == '[')
            is_ours = is_section(line, file, name);
        else if (is_ours && strchr(BLANKS "#;", *line) == NULL) /* what is indented belongs to a nested setting */
            r = take_line(&found, line);
    }
    add(profile, &found);
    profile_deinit(&found);
    return r;
}

static int add_file(struct profile *profile, enum profile_file file, const char *name, const char *path)
{
    char *text = NULL;

    if (path == NULL)
        return 0;
    int r = small_file_read(path, &text);
    if (r == 0)
        r = profile_add(profile, file, name, text);
    small_file_free(text);
    return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

int profile_read(const struct settings *settings, struct profile *ret_profile)
{
    struct profile profile = {0};
    const char *name = settings->aws_profile;

    int r = add_file(&profile, PROFILE_OF_CREDENTIALS, name, settings->aws_credentials_file);
    if (r == 0)
        r = add_file(&profile, PROFILE_OF_CONFIG, name, settings->aws_config_file);
    if (r < 0)
        profile_deinit(&profile);
    else
        *ret_profile = profile;
    return r;
}

void profile_deinit(struct profile *profile)
{
    small_file_free(profile->access_key_id);
    small_file_free(profile->secret);
    small_file_free(profile->token);
    free(profile->region);
    free(profile->unsupported);
    *profile = (struct profile){0};
}
