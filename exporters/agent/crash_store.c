/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_store.h"

#include "exporters/agent/folders.h"
#include "exporters/agent/log.h"
#include "exporters/agent/log_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SIZE = 64, UUID_LENGTH = 36, DAY_S = 86400 };
enum { READ_MAX = 16 << 20 }; /* more than a report can be */

static bool has_failed; /* and said so; loop only */

struct kept {
    char name[NAME_SIZE];
    time_t time;
    off_t size;
};

static bool is_uuid(const char *text)
{
    return strlen(text) == UUID_LENGTH && strspn(text, "0123456789abcdef-") == UUID_LENGTH;
}

/* The folder, made if need be: a descriptor or -errno. */
static int open_folder(char path[PATH_MAX])
{
    int error = log_path_choose_crashes(path, PATH_MAX), folder;

    if (!error)
        error = folders_make(path);
    if (error)
        return error;
    folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return folder < 0 ? -errno : folder;
}

/* bounds */

static int newest_first(const void *a, const void *b)
{
    const struct kept *left = a, *right = b;

    return (left->time < right->time) - (left->time > right->time);
}

/* The files of the folder; how many. */
static size_t list_files(int folder, struct kept **ret_list)
{
    int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct kept *list = NULL;
    const struct dirent *entry;
    size_t count = 0;

    while (dir && (entry = readdir(dir))) {
        struct kept *grown;
        struct stat status;

        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= NAME_SIZE ||
            fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
            continue;
        grown = realloc(list, (count + 1) * sizeof(*list));
        if (!grown)
            break;
        list = grown;
        list[count] = (struct kept){.time = status.st_mtime, .size = status.st_size};
        memcpy(list[count++].name, entry->d_name, strlen(entry->d_name) + 1);
    }
    if (dir)
        (void)closedir(dir);
    *ret_list = list;
    return count;
}

static void remove_surplus(int folder)
{
    const off_t size_max = (off_t)CRASH_STORE_MB_MAX << 20;
    time_t oldest = time(NULL) - (time_t)CRASH_STORE_DAYS_MAX * DAY_S;
    struct kept *list;
    size_t count = list_files(folder, &list);
    off_t size = 0;

    if (count)
        qsort(list, count, sizeof(*list), newest_first);
    for (size_t i = 0; i < count; i++) {
        size += list[i].size;
        if (i >= CRASH_STORE_FILES_MAX || size > size_max || list[i].time < oldest)
            (void)unlinkat(folder, list[i].name, 0);
    }
    free(list);
}

/* files */

static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, bytes, length);

        if (done < 0 && errno != EINTR)
            return -errno;
        bytes += done < 0 ? 0 : done;
        length -= done < 0 ? 0 : (size_t)done;
    }
    return 0;
}

static int write_draft(int folder, const char *draft, const json_t *report)
{
    char *text = json_dumps(report, JSON_INDENT(1));
    int error, fd;

    if (!text)
        return -ENOMEM;
    fd = openat(folder, draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    error = fd < 0 ? -errno : write_all(fd, text, strlen(text));
    if (fd >= 0 && close(fd) && !error)
        error = -errno;
    free(text);
    return error;
}

static int write_file(int folder, const char *name, const json_t *report)
{
    static const char draft[] = "draft"; /* one writer: the loop */
    int error = write_draft(folder, draft, report);

    if (!error && renameat(folder, draft, folder, name))
        error = -errno;
    if (error)
        (void)unlinkat(folder, draft, 0);
    return error;
}

static int keep(const json_t *report, const char *uuid, char path[PATH_MAX])
{
    char name[NAME_SIZE];
    int folder = open_folder(path), error;

    if (folder < 0)
        return folder;
    (void)snprintf(name, sizeof(name), "%s.json", uuid);
    error = write_file(folder, name, report);
    remove_surplus(folder);
    close(folder);
    return error;
}

void crash_store_keep(const json_t *report)
{
    const char *uuid = json_string_value(json_object_get(report, "uuid"));
    char path[PATH_MAX] = "no folder: HOME and XDG_STATE_HOME are not set";
    int error = uuid && is_uuid(uuid) ? keep(report, uuid, path) : -EINVAL;

    if (error && !has_failed)
        log_line(LOG_LEVEL_ERROR, "crash reports can't be kept on this machine (%s): %s", path, strerror(-error));
    has_failed = error != 0;
}

json_t *crash_store_load(const char *uuid)
{
    char path[PATH_MAX], name[NAME_SIZE];
    json_t *report = NULL;
    struct stat status;
    int folder, fd;

    if (!is_uuid(uuid) || log_path_choose_crashes(path, sizeof(path)))
        return NULL;
    folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return NULL;
    (void)snprintf(name, sizeof(name), "%s.json", uuid);
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(folder);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= READ_MAX)
        report = json_loadfd(fd, 0, NULL);
    close(fd);
    return report;
}
