/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/env_file.h"

#include "exporters/cli/cli.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "preload/env_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20 };

/* `given` is what was set before the file: it wins. The entry is changed. */
static void take_entry(const struct environment *given, struct environment *env, char *entry)
{
    char *equals = strchr(entry, '=');

    *equals = '\0';
    if (!environment_get(given, entry))
        environment_set(env, entry, equals + 1);
}

static void parse(char *text, const char *path, struct environment *env)
{
    struct env_file file = env_file_open(text);
    struct environment given;
    enum env_file_item item;
    char *entry;
    unsigned line;

    environment_init(&given, (const char *const *)env->entries);
    while ((item = env_file_next(&file, &entry, &line)) != ENV_FILE_END) {
        if (item == ENV_FILE_ENTRY)
            take_entry(&given, env, entry);
        else
            cli_warning("%s, line %u: not NAME=value; it is passed over", path, line);
    }
    environment_deinit(&given);
}

/* `flags` of open(2), beside the usual ones. */
static int read_file(const char *path, int flags, size_t size_max, char **ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | flags);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (!file) {
        int err = -errno;
        if (fd >= 0)
            (void)close(fd);
        return err;
    }
    char *text = memory_resize(NULL, size_max + 1);
    size_t len = fread(text, 1, size_max + 1, file);
    int err = ferror(file) ? -errno : len > size_max ? -EFBIG : memchr(text, '\0', len) ? -EILSEQ : 0;

    (void)fclose(file);
    if (err) {
        free(text);
        return err;
    }
    text[len] = '\0';
    *ret_text = text;
    return 0;
}

static int load(struct environment *env, const char *path, int flags, size_t size_max)
{
    char *text = NULL;
    int err = read_file(path, flags, size_max, &text);

    if (err)
        return err;
    parse(text, path, env);
    free(text);
    return 0;
}

int env_file_load(struct environment *env, const char *path)
{
    bool may_be_missing = *path == '-';
    int err = load(env, path + may_be_missing, 0, FILE_MAX_BYTES);

    if (err == -ENOENT && may_be_missing)
        return 0;
    if (err)
        cli_error("--env-file %s: %s", path + may_be_missing, strerror(-err));
    return err;
}

void env_file_load_system(struct environment *env)
{
    const char *chosen = environment_get_setting(env, ENV_FILE_SYSTEM_VARIABLE);
    char *path = memory_copy_text(chosen ? chosen : ENV_FILE_SYSTEM_PATH);

    if (*path == '/') {
        /* As the shim reads it: a pipe must not hold the program up. */
        int err = load(env, path, O_NONBLOCK, ENV_FILE_SYSTEM_MAX);

        if (err && err != -ENOENT)
            cli_warning("%s: %s; it is ignored", path, strerror(-err));
    }
    free(path);
}
