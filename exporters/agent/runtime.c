/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/runtime.h"

#include "exporters/agent/socket_path.h"
#include "exporters/agent/users.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, LOCK_ATTEMPTS = 500, FIRST_PASSED_FD = 3 };
static const long lock_wait_ns = 20000000;

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* the path */

int runtime_socket_path(const char *option, char path[RUNTIME_PATH_MAX], char error[RUNTIME_ERROR_MAX])
{
    const struct socket_path_settings settings = {
        .agent = option ? option : setting("SPANSHIM_AGENT"),
        .runtime_dir = setting("SPANSHIM_RUNTIME_DIR"),
        .xdg_runtime_dir = setting("XDG_RUNTIME_DIR"),
    };

    if (socket_path_choose(&settings, path)) {
        (void)snprintf(error, RUNTIME_ERROR_MAX,
                       "the socket's path is longer than the %d bytes that unix sockets allow", RUNTIME_PATH_MAX - 1);
        return -ENAMETOOLONG;
    }
    if (path[0] != '/') {
        (void)snprintf(error, RUNTIME_ERROR_MAX, "the socket's path must be absolute: %s", path);
        return -EINVAL;
    }
    return 0;
}

void runtime_folder(const char *path, char folder[RUNTIME_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash && slash != path ? (size_t)(slash - path) : 1;

    memcpy(folder, path, length);
    folder[length] = '\0';
}

/* Nobody else may have put it there, or may put things into it. */
static int check_folder(int fd, const char *folder, char error[RUNTIME_ERROR_MAX])
{
    struct stat status;

    if (fstat(fd, &status))
        return -errno;
    int result = socket_folder_judge(&status);

    if (result == -EPERM) {
        (void)snprintf(error, RUNTIME_ERROR_MAX,
                       "%s belongs to user %u: refused. Remove it, or set SPANSHIM_RUNTIME_DIR to a folder of your own",
                       folder, (unsigned)status.st_uid);
    } else if (result == -EACCES) {
        (void)snprintf(error, RUNTIME_ERROR_MAX, "others may write to %s: refused. Do: chmod go-w %s", folder, folder);
    }
    return result;
}

/* Other users must get at the socket; a shared folder (/tmp) lets them already. */
static int open_folder(int fd, const char *folder, char error[RUNTIME_ERROR_MAX])
{
    char path[32];
    struct stat status;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fstat(fd, &status) == 0 && (status.st_mode & S_IXOTH || chmod(path, 0755) == 0))
        return 0;
    (void)snprintf(error, RUNTIME_ERROR_MAX, "%s can't be opened to the users of --serve-uid: %s", folder,
                   strerror(errno));
    return -EPERM;
}

int runtime_claim_folder(const char *socket_path, char error[RUNTIME_ERROR_MAX])
{
    char folder[RUNTIME_PATH_MAX];
    int fd, result;

    runtime_folder(socket_path, folder);
    if (mkdir(folder, users_are_many() ? 0755 : 0700) && errno != EEXIST) {
        result = -errno;
        (void)snprintf(error, RUNTIME_ERROR_MAX, "%s can't be made: %s", folder, strerror(-result));
        return result;
    }
    fd = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        result = -errno;
        (void)snprintf(error, RUNTIME_ERROR_MAX, "%s is no folder, or a link to one: refused (%s)", folder,
                       strerror(-result));
        return result;
    }
    result = check_folder(fd, folder, error);
    if (!result && users_are_many())
        result = open_folder(fd, folder, error);
    close(fd);
    return result;
}

/* the lock */

static bool agent_answers(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answers;

    if (fd < 0)
        return false;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    answers = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
    close(fd);
    return answers;
}

static void lock_path_of(const char *socket_path, char path[RUNTIME_PATH_MAX + 8])
{
    size_t length = strlen(socket_path);

    if (length > 5 && strcmp(socket_path + length - 5, ".sock") == 0)
        length -= 5;
    (void)snprintf(path, RUNTIME_PATH_MAX + 8, "%.*s.lock", (int)length, socket_path);
}

int runtime_lock(const char *socket_path, int *ret_lock, char error[RUNTIME_ERROR_MAX])
{
    const struct timespec pause = {.tv_nsec = lock_wait_ns};
    char path[RUNTIME_PATH_MAX + 8];
    int fd;

    lock_path_of(socket_path, path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        int result = -errno;

        (void)snprintf(error, RUNTIME_ERROR_MAX, "%s can't be opened: %s", path, strerror(-result));
        return result;
    }
    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            *ret_lock = fd;
            return 1;
        }
        if (agent_answers(socket_path)) {
            close(fd);
            return 0;
        }
        (void)nanosleep(&pause, NULL);
    }
    close(fd);
    (void)snprintf(error, RUNTIME_ERROR_MAX, "another agent holds %s, but nothing answers at %s", path, socket_path);
    return -EBUSY;
}

bool runtime_lock_stands(const char *socket_path, int lock)
{
    char path[RUNTIME_PATH_MAX + 8];
    struct stat ours, named;

    lock_path_of(socket_path, path);
    return fstat(lock, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

/* the socket */

/* We hold the lock: a socket of ours at this place is a dead agent's. */
static int remove_stale(const char *path, char error[RUNTIME_ERROR_MAX])
{
    struct stat status;

    if (lstat(path, &status))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode) || status.st_uid != geteuid()) {
        (void)snprintf(error, RUNTIME_ERROR_MAX, "%s is there already and is not a socket of ours: refused. Remove it",
                       path);
        return -EEXIST;
    }
    return unlink(path) && errno != ENOENT ? -errno : 0;
}

int runtime_listen(const char *socket_path, int *ret_listener, char error[RUNTIME_ERROR_MAX])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, result;

    error[0] = '\0';
    result = remove_stale(socket_path, error);
    if (result)
        goto failed;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        result = -errno;
        goto failed;
    }
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) || users_admit_to(socket_path) ||
        listen(fd, BACKLOG)) {
        result = -errno;
        close(fd);
        goto failed;
    }
    *ret_listener = fd;
    return 0;
failed:
    if (!error[0])
        (void)snprintf(error, RUNTIME_ERROR_MAX, "can't listen at %s: %s", socket_path, strerror(-result));
    return result;
}

int runtime_activated_socket(void)
{
    const char *pid = setting("LISTEN_PID"), *count = setting("LISTEN_FDS");
    bool ours = pid && count && strtol(pid, NULL, 10) == getpid() && strtol(count, NULL, 10) >= 1;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!ours)
        return -1;
    (void)fcntl(FIRST_PASSED_FD, F_SETFD, FD_CLOEXEC);
    (void)fcntl(FIRST_PASSED_FD, F_SETFL, O_RDWR | O_NONBLOCK);
    return FIRST_PASSED_FD;
}
