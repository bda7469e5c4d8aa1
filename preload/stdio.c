// SPDX-License-Identifier: Apache-2.0
#include "preload/stdio.h"

#include "preload/applog.h"
#include "preload/object.h"
#include "preload/real.h"
#include "preload/sys.h"
#include "preload/wire.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* glibc's libioP.h: a struct _IO_jump_t is a row of words, the first two empty; __write is what a stream's buffer goes
 * out by. Where the second table of a stream stands, for wide characters, in its struct _IO_wide_data: since 2.32. */
enum { JUMP_DUMMY = 0, JUMP_DUMMY2 = 1, JUMP_WRITE = 15, WIDE_TABLE_OFFSET = 0xe0 };

enum { UNBUFFERED = 2 }; /* in a stream's flags */

typedef ssize_t write_function(FILE *stream, const void *bytes, ssize_t length);

/* libc's own; written at start, then read-only. */
static write_function *original;

static ssize_t write_stream(FILE *stream, const void *bytes, ssize_t length)
{
    ssize_t n = original(stream, bytes, length);

    if (!applog_takes(stream->_fileno))
        return n;
    if (stream->_flags & UNBUFFERED)
        applog_written(stream->_fileno, bytes, n);
    else
        applog_flushed(stream->_fileno, bytes, n);
    return n;
}

struct place {
    uintptr_t address;
    bool is_known, is_protected; /* which object it is in; read-only since that was relocated */
};

/* As ld.so protects it: whole pages. */
static int find_place(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct place *place = arg;

    (void)size;
    if (!object_has_address(info, place->address))
        return 0;
    place->is_known = true;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = (info->dlpi_addr + part->p_vaddr) & ~(uintptr_t)(WIRE_PAGE - 1);
        uintptr_t end = (info->dlpi_addr + part->p_vaddr + part->p_memsz) & ~(uintptr_t)(WIRE_PAGE - 1);

        if (part->p_type == PT_GNU_RELRO && place->address >= start && place->address < end)
            place->is_protected = true;
    }
    return 1;
}

/* Only a page that is all read-only is made so again: another one may hold what libc writes to. */
static bool replace(void **entry)
{
    struct place place = {.address = (uintptr_t)entry};
    const long page = (long)((uintptr_t)entry & ~(uintptr_t)(WIRE_PAGE - 1));

    (void)dl_iterate_phdr(find_place, &place);
    if (!place.is_known)
        return false;
    if (place.is_protected && sys_call3(SYS_mprotect, page, WIRE_PAGE, PROT_READ | PROT_WRITE) != 0)
        return false;
    *entry = (void *)write_stream;
    if (place.is_protected)
        (void)sys_call3(SYS_mprotect, page, WIRE_PAGE, PROT_READ);
    return true;
}

static bool is_table(void *const *table)
{
    return table && !table[JUMP_DUMMY] && !table[JUMP_DUMMY2] && table[JUMP_WRITE];
}

bool stdio_init(void)
{
    FILE *stream = real_stdout;
    /* Behind the public part of a stream. */
    void **table = stream ? *(void ***)(void *)(stream + 1) : NULL;
    void **wide = stream && stream->_wide_data ? *(void ***)((char *)stream->_wide_data + WIDE_TABLE_OFFSET) : NULL;

    if (!is_table(table))
        return false;
    original = (write_function *)table[JUMP_WRITE];
    if (!replace(&table[JUMP_WRITE]))
        return false;
    /* Both tables have the same function there: else this one is something else. */
    if (is_table(wide) && wide[JUMP_WRITE] == (void *)original)
        (void)replace(&wide[JUMP_WRITE]);
    return true;
}
