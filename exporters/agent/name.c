/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/name.h"

#include "exporters/agent/loop.h"
#include "exporters/agent/runtime.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 3 }; /* at a name that goes again and again */

/* Loop only. */
static struct {
    struct loop *loop;
    const char *socket_path;
    void (*lost)(void);
    int inotify; /* -1: not watched */
} name = {.inotify = -1};

/* The folder may be a new one each time. */
static int watch_folder(void)
{
    char folder[RUNTIME_PATH_MAX];

    runtime_folder(name.socket_path, folder);
    return inotify_add_watch(name.inotify, folder,
                             IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0
               ? -errno
               : 0;
}

static bool is_gone(void)
{
    struct stat status;

    return lstat(name.socket_path, &status) && errno == ENOENT;
}

/* After the folder is watched: what was removed before made no event. */
static void look(void)
{
    for (int attempt = 0; attempt < ATTEMPTS && name.inotify >= 0 && is_gone(); attempt++) {
        name.lost();
        if (name.inotify >= 0)
            (void)watch_folder();
    }
}

static void on_change(void *arg, int fd, uint32_t events)
{
    _Alignas(struct inotify_event) char changes[4096];

    (void)arg;
    (void)events;
    while (read(fd, changes, sizeof(changes)) > 0) /* what changed doesn't matter */
        ;
    look();
}

int name_watch(struct loop *loop, const char *socket_path, void (*lost)(void))
{
    int error;

    name.loop = loop;
    name.socket_path = socket_path;
    name.lost = lost;
    name.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (name.inotify < 0)
        return -errno;
    error = watch_folder();
    if (error == -ENOENT) {
        lost();
        error = watch_folder();
    }
    if (!error)
        error = loop_fd_set(loop, name.inotify, EPOLLIN, on_change, NULL);
    if (error)
        name_unwatch();
    else
        look();
    return error;
}

void name_unwatch(void)
{
    if (name.inotify < 0)
        return;
    loop_fd_remove(name.loop, name.inotify);
    close(name.inotify);
    name.inotify = -1;
}
