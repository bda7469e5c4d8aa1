// SPDX-License-Identifier: Apache-2.0
#include "preload/stdio.h"

#include "preload/applog.h"
#include "preload/real.h"
#include "preload/sys.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define PAGE ((uintptr_t)4096)

/* glibc's libioP.h: struct _IO_jump_t, of which these are the words; __write is what a stream's buffer goes out by. */
enum { JUMP_DUMMY = 0, JUMP_DUMMY2 = 1, JUMP_WRITE = 15 };

typedef ssize_t write_function(FILE *stream, const void *bytes, ssize_t length);

/* libc's own; written at start, then read-only. */
static write_function *original;

static ssize_t write_stream(FILE *stream, const void *bytes, ssize_t length)
{
    ssize_t n = original(stream, bytes, length);

    if (applog_takes(stream->_fileno))
        applog_written(stream->_fileno, bytes, n);
    return n;
}

bool stdio_init(void)
{
    /* Behind the public part of a stream. */
    void **table = real_stdout ? *(void ***)(void *)((char *)real_stdout + sizeof(FILE)) : NULL;
    uintptr_t page = (uintptr_t)&table[JUMP_WRITE] & ~(PAGE - 1);

    if (!table || table[JUMP_DUMMY] || table[JUMP_DUMMY2] || !table[JUMP_WRITE])
        return false;
    if (sys_call3(SYS_mprotect, (long)page, (long)PAGE, PROT_READ | PROT_WRITE) != 0)
        return false;
    original = (write_function *)table[JUMP_WRITE];
    table[JUMP_WRITE] = (void *)write_stream;
    (void)sys_call3(SYS_mprotect, (long)page, (long)PAGE, PROT_READ);
    return true;
}
