/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/line_file.h"
#include "exporters/agent/clock.h"

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

/* Another agent holds the lock for the time of a write: long, when its disk is slow. */
enum { LOOK_MS = 10, LOOKS_MAX = 100, LOCKED_WAIT_MS = 50 };

static void close_it(struct line_file *file)
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

    close_it(file);
    file->fd = open(file->path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (file->fd < 0)
        return -errno;
    if (fstat(file->fd, &status) == 0 && S_ISREG(status.st_mode))
        return 0;
    close_it(file);
    return -ENOTSUP;
}

/* 1: nobody else writes now. 0: locks are not to be had there (some network file systems). -EWOULDBLOCK: somebody
 * does. */
static int lock(const struct line_file *file)
{
    if (flock(file->fd, LOCK_EX | LOCK_NB) == 0)
        return 1;
    return errno == EWOULDBLOCK ? -EWOULDBLOCK : 0;
}

/* One write, which is there whole or, where we are alone, not at all. */
static int write_lines(const struct line_file *file, bool is_alone)
{
    size_t length = file->lines.length;
    struct iovec parts[] = {{.iov_base = (char *)"\n", .iov_len = 1},
                            {.iov_base = file->lines.bytes, .iov_len = length}};
    struct stat status;
    char last = '\n';

    if (fstat(file->fd, &status) < 0)
        return -errno;
    if (status.st_size > 0)
        (void)pread(file->fd, &last, 1, status.st_size - 1);
    /* A writer that was killed has left a cut line: ours begin behind it. */
    bool is_cut = last != '\n';
    ssize_t n = is_cut ? writev(file->fd, parts, 2) : write(file->fd, file->lines.bytes, length);
    if (n == (ssize_t)(length + is_cut))
        return 0;
    int r = n < 0 ? -errno : -ENOSPC;
    if (n > 0 && is_alone)
        (void)ftruncate(file->fd, status.st_size);
    return r;
}

/* Append under a lock, so that what another agent writes isn't cut off with our rest. */
static struct exporter_result append(struct line_file *file)
{
    struct exporter_result result = {.outcome = EXPORTER_SENT};
    int r = has_the_name(file) ? 0 : reopen(file);

    if (r < 0) {
        result.outcome = EXPORTER_RETRY;
        (void)snprintf(result.error, sizeof(result.error), "%.160s can't be opened: %s", file->path,
                       r == -ENOTSUP ? "it is no plain file" : strerror(-r));
        return result;
    }
    int locked = lock(file);
    if (locked < 0) {
        result.outcome = EXPORTER_RETRY;
        result.retry_after_ms = LOCKED_WAIT_MS;
        (void)snprintf(result.error, sizeof(result.error), "%.160s is locked by another program", file->path);
        return result;
    }
    r = write_lines(file, locked > 0);
    (void)flock(file->fd, LOCK_UN);
    if (r < 0) {
        result.outcome = EXPORTER_DROP;
        (void)snprintf(result.error, sizeof(result.error), "%.160s can't be written: %s", file->path, strerror(-r));
    }
    return result;
}

/* A lock is waited for first. */
static void try_to_append(void *arg)
{
    struct line_file *file = arg;
    struct exporter_result result = append(file);
    bool is_locked = result.retry_after_ms != 0;

    if (is_locked && ++file->looks < LOOKS_MAX && loop_timer_set(file->loop, &file->timer, LOOK_MS * NS_PER_MS) == 0)
        return;
    file->done(file->arg, &result);
}

void line_file_send(struct line_file *file, exporter_done *done, void *arg)
{
    file->done = done;
    file->arg = arg;
    file->looks = 0;
    try_to_append(file);
}

void line_file_init(struct line_file *file, struct loop *loop, const char *path)
{
    *file = (struct line_file){.path = path, .loop = loop, .fd = -1};
    file->timer = (struct loop_timer){.fn = try_to_append, .arg = file};
}

void line_file_deinit(struct line_file *file)
{
    if (file->loop == NULL)
        return;
    loop_timer_clear(file->loop, &file->timer);
    close_it(file);
    buffer_deinit(&file->lines);
}
