/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Takes the descriptor. */
static long read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t n = 1;

    while (n > 0 && length < size - 1) {
        n = read(fd, text + length, size - 1 - length);
        if (n > 0)
            length += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    close(fd);
    if (n < 0)
        return -EIO;
    text[length] = '\0';
    return (long)length;
}

long proc_read_path(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    text[0] = '\0';
    return fd < 0 ? -errno : read_all(fd, text, size);
}

pid_t proc_number(pid_t pid, int pidfd)
{
    char path[64], text[1024];
    const char *line;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    if (pidfd < 0 || proc_read_path(path, text, sizeof(text)) < 0)
        return pid;
    line = strstr(text, "\nPid:");
    return line ? (pid_t)strtol(line + 5, NULL, 10) : pid;
}

long proc_read(pid_t number, const char *name, char *text, size_t size)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)number, name);
    return proc_read_path(path, text, size);
}

pid_t proc_parent(pid_t number)
{
    char text[2048];
    const char *parent;

    if (proc_read(number, "status", text, sizeof(text)) <= 0)
        return 0;
    parent = strstr(text, "\nPPid:");
    return parent ? (pid_t)strtol(parent + 6, NULL, 10) : 0;
}

static int open_folder(const char *folder)
{
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* Takes the folder's descriptor. */
static int open_below(int folder_fd, const char *path)
{
    /* Not blocking: it may be a FIFO by now. */
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));

    if (fd < 0)
        fd = -errno;
    close(folder_fd);
    return fd;
}

int proc_open_below(const char *folder, const char *path)
{
    int folder_fd = open_folder(folder);

    return folder_fd < 0 ? folder_fd : open_below(folder_fd, path);
}

bool proc_shares_namespace(pid_t number, const char *kind)
{
    char path[64];
    struct stat ours, theirs;

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)number, kind);
    if (stat(path, &theirs))
        return true;
    (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
    return stat(path, &ours) || ours.st_ino == theirs.st_ino;
}

/* In a user namespace of its own anybody can mount file systems that he answers for himself (FUSE), and never does: an
 * agent of root would wait for ever. Asked when its root is open already; a process that is gone by then is not
 * believed. */
static bool may_be_looked_into(pid_t number)
{
    char path[64];
    struct stat ours, theirs;

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)number);
    return geteuid() != 0 || stat("/proc/self/ns/user", &ours) != 0 ||
           (stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino);
}

static int open_in_root(pid_t number, const char *path)
{
    char root[64];
    int root_fd;

    (void)snprintf(root, sizeof(root), "/proc/%d/root", (int)number);
    root_fd = open_folder(root);
    if (root_fd < 0)
        return root_fd;
    if (may_be_looked_into(number))
        return open_below(root_fd, path);
    close(root_fd);
    return -EPERM;
}

long proc_read_in_root(pid_t number, const char *path, char *text, size_t size)
{
    struct stat status;
    int fd = open_in_root(number, path);

    text[0] = '\0';
    if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode))) {
        close(fd);
        return -EINVAL;
    }
    return fd < 0 ? fd : read_all(fd, text, size);
}
