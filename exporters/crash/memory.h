/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a process that crashed, read from outside: of the process itself, or, where that is refused, of what
 * the process copied before it died and of the files it had mapped. Whatever is read is the process's own word. */
#ifndef SPANSHIM_CRASH_MEMORY_H
#define SPANSHIM_CRASH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct maps;
struct memory_page;

enum { MEMORY_PIECES_MAX = 2 };

struct memory {
    pid_t pid;                /* of whom it is read; 0: only pieces and files */
    const struct maps *files; /* where read-only pages are read when there is no process */
    struct {
        uint64_t address;
        const uint8_t *bytes; /* the caller's */
        size_t length;
    } pieces[MEMORY_PIECES_MAX];
    struct memory_page *pages; /* a cache: an unwinder reads the same few pages word by word */
};

/* May the process's memory be read? 0, else -errno. Context: helper. */
int memory_probe(pid_t pid, uint64_t address);

/* Bytes that the process had at this address. Context: helper. */
void memory_add(struct memory *memory, uint64_t address, const void *bytes, size_t length);

/* All of it, or -EFAULT. Context: helper. */
int memory_read(struct memory *memory, uint64_t address, void *out, size_t length);

/* 0 where it can't be read. Context: helper. */
uint64_t memory_word(struct memory *memory, uint64_t address);

/* Up to its NUL, or what fits, or what is readable; ends with a NUL. The length, or -EFAULT when not even the first
 * byte can be read. Context: helper. */
long memory_text(struct memory *memory, uint64_t address, char *out, size_t size);

/* Forget what was read: the process may have gone on. Context: helper. */
void memory_deinit(struct memory *memory);

#endif
