/* SPDX-License-Identifier: Apache-2.0 */
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
real_vsnprintf_chk_function *real_vsnprintf_chk;
int real_startup_objects;

static const char soname[] = "libspanshim.so";

/* libc, when all of its functions are in it (glibc before 2.34 has a libpthread): they are looked up as they are
 * called, since most programs call few of them. Written by real_init, then read-only. */
static struct object whole_libc;

struct search {
    struct object object;
    bool after_ours;
    bool duplicate;
    bool done;
    int count;         /* of objects */
    enum hook_id only; /* HOOK_COUNT: all */
};

/* This object's own dynamic section; hidden, so it needs no relocation. */
extern const ElfW(Dyn) own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

/* One after the other, found by where they begin: pointers to them would be relocations at every start. */
static const struct names {
#define HOOK_ROW(symbol, library, raw, safe) char symbol[sizeof(#symbol)];
#include "hooks/hooks.def"
#undef HOOK_ROW
} names = {
#define HOOK_ROW(symbol, library, raw, safe) #symbol,
#include "hooks/hooks.def"
#undef HOOK_ROW
};

static const uint16_t name_offsets[HOOK_COUNT] = {
#define HOOK_ROW(symbol, library, raw, safe) offsetof(struct names, symbol),
#include "hooks/hooks.def"
#undef HOOK_ROW
};

const char *real_name(enum hook_id id)
{
    return (const char *)&names + name_offsets[id];
}

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

static bool is_libc(const struct object *object)
{
    return object->soname && strncmp(object->soname, "libc.", 5) == 0;
}

/* What is wanted of libc itself, whoever else defines it. */
static void take_libc(const struct object *object)
{
    if (real_clock)
        return;
    real_clock = (__typeof__(real_clock))object_find(object, "clock_gettime", NULL);
    real_abort_message = object_find(object, "__abort_msg", NULL);
    real_abort = (uintptr_t)object_find(object, "abort", NULL);
    real_abort_size = object_size(object, "abort");
    real_stdout = (void *)(uintptr_t)object_find(object, "_IO_2_1_stdout_", NULL);
    real_vsnprintf = (real_vsnprintf_function *)object_find(object, "vsnprintf", NULL);
    real_vsnprintf_chk = (real_vsnprintf_chk_function *)object_find(object, "__vsnprintf_chk", NULL);
    if (object_find(object, "pthread_create", NULL))
        whole_libc = *object;
}

/* Put the object's definition into the table; NULL: it has none. */
static void *take(const struct object *object, enum hook_id id)
{
    void *found = object_find(object, real_name(id), NULL);

    if (found)
        real_table[id] = found; /* the same in all threads */
    return found;
}

static int object_visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;

    (void)size;
    search->count++;
    if (search->done || !object_read(&search->object, info))
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
    if (is_libc(&search->object)) {
        take_libc(&search->object);
        search->done = whole_libc.dynamic && search->only == HOOK_COUNT;
    }
    if (search->done)
        return 0;
    for (int id = 0; id < HOOK_COUNT; id++)
        if (!real_table[id] && is_of_libc(id) && (search->only == HOOK_COUNT || search->only == (enum hook_id)id))
            (void)take(&search->object, id);
    return 0;
}

bool real_init(void)
{
    struct search search = {.only = HOOK_COUNT};

    object_init();
    (void)object_iterate(object_visit, &search);
    if (whole_libc.dynamic && !real_table[HOOK_syscall])
        (void)take(&whole_libc, HOOK_syscall); /* its hook has no frame to look it up from */
    real_startup_objects = search.count;
    return !search.duplicate;
}

/* Points to itself once our own relocations have been processed. */
static void *const volatile relocated = (void *)&relocated;

static bool is_relocated(void)
{
    return relocated == (void *)&relocated;
}

/* Where real_stubs.S goes when the kernel has refused, and when there is no such system call. */
long real_stub_failed(long result);
long real_stub_missing(long raw);

long real_stub_failed(long result)
{
    if (is_relocated())
        errno = (int)-result;
    return -1;
}

enum { NONE = -1, NONE_NULL = -2 };

long real_stub_missing(long raw)
{
    (void)real_stub_failed(-ENOSYS);
    return raw == NONE ? -1 : 0;
}

void *real_stand_in(enum hook_id id)
{
    extern const char real_stubs[][16] __attribute__((visibility("hidden")));

    return (void *)(uintptr_t)real_stubs[id];
}

void *real_early(enum hook_id id)
{
    struct search search = {.only = id};

    if (!(whole_libc.dynamic && take(&whole_libc, id)) && is_relocated())
        (void)object_iterate(object_visit, &search);
    return real_table[id] ? real_table[id] : real_stand_in(id);
}
