/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/stdio.h"

#include "preload/applog.h"
#include "preload/conn.h"
#include "preload/object.h"
#include "preload/process.h"
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
#include <sys/uio.h>
#include <unistd.h>

/* glibc's libioP.h: a struct _IO_jump_t is a row of words, the first two empty; __write is what a stream's buffer goes
 * out by, __close what its descriptor is closed by. Where the second table of a stream stands, for wide characters, in
 * its struct _IO_wide_data: since 2.32. */
enum { JUMP_DUMMY = 0, JUMP_DUMMY2 = 1, JUMP_WRITE = 15, JUMP_CLOSE = 17, WIDE_TABLE_OFFSET = 0xe0 };

enum { UNBUFFERED = 2 }; /* in a stream's flags */

typedef ssize_t write_function(FILE *stream, const void *bytes, ssize_t length);
typedef int close_function(FILE *stream);

/* libc's own; written at start, then read-only. */
static write_function *original_write;
static close_function *original_close;

/* Is this thread in perror()? It writes to a copy of standard error that libc makes inside, where it can. */
static _Thread_local bool is_in_perror;

static ssize_t write_stream(FILE *stream, const void *bytes, ssize_t length)
{
    ssize_t n = original_write(stream, bytes, length);
    int fd = is_in_perror ? STDERR_FILENO : stream->_fileno;

    if (!applog_takes(fd))
        return n;
    if (stream->_flags & UNBUFFERED)
        applog_written(fd, bytes, n);
    else
        applog_flushed(fd, bytes, n);
    return n;
}

/* The buffer is written out by now, and the number not free for others yet. freopen() does not come by: it puts another
 * file under the number. */
static int close_stream(FILE *stream)
{
    if (process_in_vfork == 0)
        conn_closing(stream->_fileno);
    return original_close(stream);
}

/* Behind the public part of a stream. */
static void **table_of(const FILE *stream)
{
    return *(void ***)(void *)(uintptr_t)(stream + 1);
}

bool stdio_sees_close(const FILE *stream)
{
    return original_close && table_of(stream)[JUMP_CLOSE] == (void *)close_stream;
}

void stdio_perror(bool is_inside)
{
    is_in_perror = is_inside;
}

bool stdio_pending(struct iovec *ret_bytes)
{
    const FILE *stream = real_stdout;

    if (!original_write || !stream || stream->_IO_write_ptr <= stream->_IO_write_base ||
        fdtab_value(fdtab_get(stream->_fileno)) != FDTAB_ANSWER)
        return false;
    *ret_bytes = (struct iovec){stream->_IO_write_base, (size_t)(stream->_IO_write_ptr - stream->_IO_write_base)};
    return true;
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

/* Put our two functions into a table. Only a page that is all read-only is made so again: another one may hold what
 * libc writes to. */
static bool replace(void **table)
{
    struct place place = {.address = (uintptr_t)&table[JUMP_WRITE]};
    const uintptr_t page = place.address & ~(uintptr_t)(WIRE_PAGE - 1);
    const size_t length = (uintptr_t)&table[JUMP_CLOSE + 1] - page;

    (void)object_iterate(find_place, &place);
    if (!place.is_known ||
        (place.is_protected && sys_call3(SYS_mprotect, (long)page, (long)length, PROT_READ | PROT_WRITE) != 0))
        return false;
    table[JUMP_WRITE] = (void *)write_stream;
    table[JUMP_CLOSE] = (void *)close_stream;
    if (place.is_protected)
        (void)sys_call3(SYS_mprotect, (long)page, (long)length, PROT_READ);
    return true;
}

static bool is_table(void *const *table)
{
    return table && !table[JUMP_DUMMY] && !table[JUMP_DUMMY2] && table[JUMP_WRITE] && table[JUMP_CLOSE];
}

/* A file's tables have the same two functions: else this is something else. */
static bool is_such_table(void *const *table)
{
    return is_table(table) && table[JUMP_WRITE] == (void *)original_write &&
           table[JUMP_CLOSE] == (void *)original_close;
}

bool stdio_init(void)
{
    FILE *stream = real_stdout;
    void **table = stream ? table_of(stream) : NULL;
    void **wide = stream && stream->_wide_data ? *(void ***)((char *)stream->_wide_data + WIDE_TABLE_OFFSET) : NULL;

    if (!is_table(table))
        return false;
    original_write = (write_function *)table[JUMP_WRITE];
    original_close = (close_function *)table[JUMP_CLOSE];
    if (is_such_table(wide))
        (void)replace(wide);
    return replace(table);
}
