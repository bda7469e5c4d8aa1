/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/memlock.h"

#include "preload/arena.h"
#include "preload/crash_stack.h"
#include "preload/ring.h"
#include "preload/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

struct range {
    uintptr_t from, to;
};

/* /proc/self/maps, as it is read. */
struct maps {
    long file;
    size_t at, length;
    char bytes[128];
};

enum { END = -1 };

static int take(struct maps *maps)
{
    if (maps->at == maps->length) {
        long length = sys_call3(SYS_read, maps->file, (long)maps->bytes, sizeof(maps->bytes));

        if (length <= 0)
            return END;
        maps->at = 0;
        maps->length = (size_t)length;
    }
    return (unsigned char)maps->bytes[maps->at++];
}

static uintptr_t take_number(struct maps *maps, int *ret_next)
{
    uintptr_t number = 0;
    int c;

    for (;;) {
        c = take(maps);
        if (c >= '0' && c <= '9')
            number = number * 16 + (uintptr_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number * 16 + (uintptr_t)(c - 'a' + 10);
        else
            break;
    }
    *ret_next = c;
    return number;
}

/* A line is "FROM-TO ...". */
static bool take_range(struct maps *maps, struct range *ret_range)
{
    int next;

    ret_range->from = take_number(maps, &next);
    if (next != '-')
        return false;
    ret_range->to = take_number(maps, &next);
    while (next != '\n' && next != END)
        next = take(maps);
    return true;
}

static bool is_ours(uintptr_t address)
{
    return arena_has(address) || crash_stack_has(address) || ring_has(address);
}

/* Visit each mapping of the program's. False when they can't be told. */
static bool visit_all(void (*visit)(const struct range *range, void *arg), void *arg)
{
    struct maps maps = {.file = sys_call4(SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY | O_CLOEXEC, 0)};
    struct range range;

    if (maps.file < 0)
        return false;
    while (take_range(&maps, &range))
        if (!is_ours(range.from))
            visit(&range, arg);
    (void)sys_call1(SYS_close, maps.file);
    return true;
}

static void add_size(const struct range *range, void *arg)
{
    size_t *total = arg;

    *total += range->to - range->from;
}

/* Some can't be locked (the kernel's own, memory without access): mlockall() passes them over, too. */
static void lock(const struct range *range, void *arg)
{
    const int *flags = arg;

    (void)sys_call3(SYS_mlock2, (long)range->from, (long)(range->to - range->from),
                    *flags & MCL_ONFAULT ? MLOCK_ONFAULT : 0);
}

int memlock_without_us(int flags)
{
    struct rlimit limit;
    size_t total = 0;

    if (sys_call4(SYS_prlimit64, 0, RLIMIT_MEMLOCK, 0, (long)&limit) != 0 || !visit_all(add_size, &total) ||
        total > limit.rlim_cur)
        return -ENOMEM;
    if (flags & MCL_FUTURE) {
        long result = sys_call1(SYS_mlockall, flags & ~MCL_CURRENT);

        if (result != 0)
            return (int)result;
    }
    (void)visit_all(lock, &flags);
    return 0;
}
