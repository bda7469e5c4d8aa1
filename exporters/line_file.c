/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/line_file.h"

#include "exporters/exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LOCKED_WAIT_MS = 50 };

void line_file_close(struct line_file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = -1;
}

static bool has_the_name(const struct line_file *file)
{
    struct stat named;
    struct stat opened;

    return file->fd >= 0 && stat(file->path, &named) == 0 && fstat(file->fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* Open what has the name now. Only a plain file never blocks, and can be cut. */
static int reopen(struct line_file *file)
{
    struct stat status;

    line_file_close(file);
    file->fd = open(file->path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (file->fd < 0)
        return -errno;
    if (fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode))
        return 0;
    line_file_close(file);
    return -ENOTSUP;
}

/* With the lock held: one write, which is there whole or not at all. */
static int write_lines(const struct line_file *file, const void *lines, size_t length)
{
    struct iovec parts[] = {{.iov_base = (char *)"\n", .iov_len = 1},
                            {.iov_base = (void *)(uintptr_t)lines, .iov_len = length}};
    struct stat status;
    char last = '\n';

    if (fstat(file->fd, &status) < 0)
        return -errno;
    if (status.st_size > 0)
        (void)pread(file->fd, &last, 1, status.st_size - 1);
    /* A writer that was killed has left a cut line: ours begin behind it. */
    bool is_cut = last != '\n';
    ssize_t n = is_cut ? writev(file->fd, parts, 2) : write(file->fd, lines, length);
    if (n == (ssize_t)(length + is_cut))
        return 0;
    int r = n < 0 ? -errno : -ENOSPC;
    if (n > 0)
        (void)ftruncate(file->fd, status.st_size);
    return r;
}

void line_file_append(struct line_file *file, const void *lines, size_t length, struct exporter_result *result)
{
    int r = has_the_name(file) ? 0 : reopen(file);

    if (r < 0) {
        result->outcome = EXPORTER_RETRY;
        (void)snprintf(result->error, sizeof(result->error), "%.160s can't be opened: %s", file->path,
                       r == -ENOTSUP ? "it is no plain file" : strerror(-r));
        return;
    }
    /* Under a lock, so that what another agent writes isn't cut off with our rest. */
    if (flock(file->fd, LOCK_EX | LOCK_NB) < 0) {
        result->outcome = EXPORTER_RETRY;
        result->retry_after_ms = LOCKED_WAIT_MS;
        (void)snprintf(result->error, sizeof(result->error), "%.160s is locked by another program", file->path);
        return;
    }
    r = write_lines(file, lines, length);
    (void)flock(file->fd, LOCK_UN);
    if (r < 0) {
        result->outcome = EXPORTER_DROP;
        (void)snprintf(result->error, sizeof(result->error), "%.160s can't be written: %s", file->path, strerror(-r));
    }
}
