/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/logfile.h"

#include "preload/arena.h"
#include "preload/fdtab.h"
#include "preload/socket.h"
#include "preload/sys.h"
#include "preload/wire.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/* The last number stands for all files that found no free one: they have no path. */
enum { NUMBERS = WIRE_LOG_STREAMS - WIRE_LOG_FILE, PATHS_MAX = NUMBERS - 1, PATH_SIZE = 1024 };

struct path {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    uint32_t length;
    char bytes[PATH_SIZE];
};

bool logfile_is_on;
static const struct glob_list *wanted; /* written at start, then read-only */

/* By number: filled from the first one up by whoever needs it (compare-and-swap from NULL), never back. */
static _Atomic(const struct path *) paths[PATHS_MAX];

void logfile_init(const struct glob_list *patterns)
{
    wanted = patterns;
    logfile_is_on = patterns->count > 0;
}

/* The number of a path. It keeps the block, or not. */
static uint32_t number_of(const struct path *path, bool *ret_kept)
{
    for (uint32_t n = 0; n < PATHS_MAX; n++) {
        const struct path *there = NULL;

        *ret_kept = atomic_compare_exchange_strong_explicit(&paths[n], &there, path, memory_order_acq_rel,
                                                            memory_order_acquire);
        if (*ret_kept || slice_equals((struct slice){there->bytes, there->length}, path->bytes, path->length))
            return n;
    }
    return PATHS_MAX;
}

static char *put_number(char *to, unsigned number)
{
    if (number >= 10)
        to = put_number(to, number / 10);
    *to = (char)('0' + number % 10);
    return to + 1;
}

/* False: the kernel does not say, or it is longer than any that is looked at. */
static bool read_path(int fd, struct path *path)
{
    char link[32] = "/proc/self/fd/";
    long length;

    *put_number(link + strlen(link), (unsigned)fd) = '\0';
    length = sys_call4(SYS_readlinkat, AT_FDCWD, (long)link, (long)path->bytes, PATH_SIZE);
    path->length = (uint32_t)length;
    return length > 0 && length < PATH_SIZE;
}

/* The value in the table that fits a regular file. */
static uint32_t value_of_file(int fd)
{
    static struct arena_pool pool = {.block_size = sizeof(struct path)};
    struct path *path = arena_pool_get(&pool);
    uint32_t value = FDTAB_IGNORED;
    bool kept = false;

    if (!path)
        return FDTAB_IGNORED;
    if (read_path(fd, path) && glob_list_matches(wanted, (struct slice){path->bytes, path->length}, GLOB_SAME_CASE))
        value = FDTAB_LOG + WIRE_LOG_FILE - WIRE_LOG_STDOUT + number_of(path, &kept);
    if (!kept)
        arena_pool_put(&pool, path);
    return value;
}

bool logfile_classify(int fd)
{
    uint64_t entry = fdtab_get(fd);
    struct stat file;
    uint32_t value;

    if (!socket_may_ask() || sys_call2(SYS_fstat, fd, (long)&file) < 0 || S_ISSOCK(file.st_mode))
        return false;
    value = S_ISREG(file.st_mode) ? value_of_file(fd) : FDTAB_IGNORED;
    (void)fdtab_replace(fd, entry, value);
    return value != FDTAB_IGNORED;
}

struct slice logfile_path(uint32_t stream)
{
    const struct path *path = NULL;
    uint32_t skip;

    if (stream - WIRE_LOG_FILE < PATHS_MAX)
        path = atomic_load_explicit(&paths[stream - WIRE_LOG_FILE], memory_order_acquire);
    if (!path)
        return (struct slice){0};
    skip = path->length > WIRE_LOG_PATH_MAX ? path->length - WIRE_LOG_PATH_MAX : 0;
    return (struct slice){path->bytes + skip, path->length - skip};
}
