/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/log.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOG_SIZE_MAX = 5 << 20, LOG_TEXT_MAX = 1024 };

/* Written by log_open at start, then by the one thread that logs. */
static struct {
    int fd; /* valid when `path` is set */
    char path[PATH_MAX];
    off_t size;
} file;
static enum log_level max_level = LOG_LEVEL_INFO; /* written at start only */

int log_open(const char *path)
{
    struct stat status;
    int fd, error;

    if (!path) {
        log_close();
        return 0;
    }
    error = folders_make_for(path);
    if (error)
        return error;
    /* Not blocking: a FIFO would wait for a reader before it is refused. */
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    log_close();
    (void)fchmod(fd, 0600);
    file.fd = fd;
    file.size = status.st_size;
    memcpy(file.path, path, strlen(path) + 1);
    return 0;
}

void log_close(void)
{
    if (file.path[0])
        close(file.fd);
    file.path[0] = '\0';
}

enum log_level log_level_of(const char *word)
{
    static const char *const words[] = {"none", "error", "warn", "info", "debug"};
    size_t level = 0;

    while (level < LOG_LEVEL_DEBUG && strcmp(word, words[level]) != 0)
        level++;
    return (enum log_level)level;
}

void log_set_level(enum log_level level)
{
    max_level = level;
}

/* Keeper and worker write to one file: who finds it full renames it, the other sees that the name has moved on. */
static void rotate(void)
{
    char path[PATH_MAX], old[PATH_MAX + 2];
    struct stat ours, named;

    if (fstat(file.fd, &ours) == 0 && stat(file.path, &named) == 0 && ours.st_ino == named.st_ino) {
        if (ours.st_size < LOG_SIZE_MAX) {
            file.size = ours.st_size;
            return;
        }
        (void)snprintf(old, sizeof(old), "%s.1", file.path);
        (void)rename(file.path, old);
    }
    memcpy(path, file.path, sizeof(path));
    if (log_open(path))
        file.size = 0; /* goes on in the old file */
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_NONE:
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARN:
        return "warn";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    }
    return "?";
}

static size_t write_stamp(char *line, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    size_t length;
    int more;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    length = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    more = snprintf(line + length, size - length, ".%03ldZ %s [%d] ", now.tv_nsec / 1000000, level_name(level),
                    (int)getpid());
    return length + (more > 0 ? (size_t)more : 0);
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LOG_TEXT_MAX];
    size_t length;
    va_list args;
    ssize_t done;
    int more;

    if (level > max_level)
        return;
    length = write_stamp(line, sizeof(line), level);
    va_start(args, format);
    more = vsnprintf(line + length, sizeof(line) - length - 1, format, args);
    va_end(args);
    if (more > 0)
        length += (size_t)more;
    if (length > sizeof(line) - 2)
        length = sizeof(line) - 2;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[length++] = '\n';
    if (file.path[0] && file.size >= LOG_SIZE_MAX)
        rotate();
    done = write(file.path[0] ? file.fd : STDERR_FILENO, line, length);
    if (done > 0)
        file.size += done;
}

int log_limit_pass(struct log_limit *limit, uint64_t now_ns)
{
    if (limit->window_start_ns == 0 || now_ns - limit->window_start_ns >= limit->interval_s * NS_PER_S) {
        if (limit->suppressed_count)
            log_line(LOG_LEVEL_WARN, "%llu lines like the next were left out",
                     (unsigned long long)limit->suppressed_count);
        limit->window_start_ns = now_ns;
        limit->window_count = 0;
        limit->suppressed_count = 0;
    }
    if (limit->window_count < limit->burst) {
        limit->window_count++;
        return 1;
    }
    limit->suppressed_count++;
    return 0;
}
