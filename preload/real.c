// SPDX-License-Identifier: Apache-2.0
#include "preload/real.h"

#include "preload/object.h"
#include "preload/sys.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void *real_table[HOOK_COUNT];
__typeof__(&clock_gettime) real_clock;
const void *real_abort_message;
uintptr_t real_abort;
size_t real_abort_size;
void *real_stdout;
real_vsnprintf_function *real_vsnprintf;
int real_startup_objects;

static const char soname[] = "libspanshim.so";

struct search {
    struct object object;
    bool after_ours;
    bool duplicate;
    int count;         /* of objects */
    enum hook_id only; /* HOOK_COUNT: all */
};

/* This object's own dynamic section; hidden, so it needs no relocation. */
extern const ElfW(Dyn) own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

const char *const real_names[HOOK_COUNT] = {
#define HOOK_ROW(symbol, library, raw, safe) [HOOK_##symbol] = #symbol,
#include "hooks/hooks.def"
#undef HOOK_ROW
};

enum library { libc, libcurl };

/* Those of libc are there from the start, once; others are looked for when they are called: provider.h. */
static bool is_of_libc(enum hook_id id)
{
    static const uint8_t libraries[HOOK_COUNT] = {
#define HOOK_ROW(symbol, library, raw, safe) [HOOK_##symbol] = library,
#include "hooks/hooks.def"
#undef HOOK_ROW
    };

    return libraries[id] == libc;
}

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;

    (void)size;
    search->count++;
    if (!object_read(&search->object, info))
        return 0;
    if (search->object.dynamic == own_dynamic) {
        search->after_ours = true;
        return 0;
    }
    if (!search->after_ours) {
        if (search->object.soname && strcmp(search->object.soname, soname) == 0)
            search->duplicate = true;
        return 0;
    }
    if (!real_clock && search->object.soname && strncmp(search->object.soname, "libc.", 5) == 0) {
        real_clock = (__typeof__(real_clock))object_find(&search->object, "clock_gettime", NULL);
        real_abort_message = object_find(&search->object, "__abort_msg", NULL);
        real_abort = (uintptr_t)object_find(&search->object, "abort", NULL);
        real_abort_size = object_size(&search->object, "abort");
        real_stdout = (void *)(uintptr_t)object_find(&search->object, "_IO_2_1_stdout_", NULL);
        real_vsnprintf = (real_vsnprintf_function *)object_find(&search->object, "vsnprintf", NULL);
    }
    for (int id = 0; id < HOOK_COUNT; id++)
        if (!real_table[id] && is_of_libc(id) && (search->only == HOOK_COUNT || search->only == (enum hook_id)id))
            real_table[id] = object_find(&search->object, real_names[id], NULL);
    return 0;
}

bool real_init(void)
{
    struct search search = {.only = HOOK_COUNT};

    (void)dl_iterate_phdr(object_visit, &search);
    real_startup_objects = search.count;
    return !search.duplicate;
}

/* Points to itself once our own relocations have been processed. */
static void *const volatile relocated = (void *)&relocated;

static bool is_relocated(void)
{
    return relocated == (void *)&relocated;
}

static long raw_result(long result)
{
    if (result < 0 && result > -4096) {
        if (is_relocated())
            errno = (int)-result;
        return -1;
    }
    return result;
}

enum { NONE = -1, NONE_NULL = -2 };

static long raw_failure(long raw)
{
    (void)raw_result(-ENOSYS);
    return raw == NONE ? -1 : 0;
}

/* For each hook a function that makes its system call, or fails with ENOSYS. */
#define HOOK_ROW(symbol, library, raw, safe)                                                                           \
    static long raw_##symbol(long a, long b, long c, long d, long e, long f)                                           \
    {                                                                                                                  \
        return (raw) < 0 ? raw_failure(raw) : raw_result(sys_call6((raw), a, b, c, d, e, f));                          \
    }
#include "hooks/hooks.def"
#undef HOOK_ROW

/* A chain of comparisons on purpose: a table of pointers would need relocations that may not have been made yet. */
void *real_stand_in(enum hook_id id)
{
#define HOOK_ROW(symbol, library, raw, safe)                                                                           \
    if (id == HOOK_##symbol)                                                                                           \
        return (void *)raw_##symbol;
#include "hooks/hooks.def"
#undef HOOK_ROW
    return (void *)raw_read;
}

void *real_early(enum hook_id id)
{
    struct search search = {.only = id};

    if (is_relocated())
        (void)dl_iterate_phdr(object_visit, &search);
    return real_table[id] ? real_table[id] : real_stand_in(id);
}
