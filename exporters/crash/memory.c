/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "exporters/crash/maps.h"

enum { PAGE = 4096, PAGES = 1024 };

struct memory_page {
    uint64_t address; /* of its first byte; 0: empty, as page 0 is never kept */
    bool readable;
    uint8_t bytes[PAGE];
};

static int read_process(pid_t pid, uint64_t address, void *out, size_t length)
{
    struct iovec here = {.iov_base = out, .iov_len = length};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = length};
    ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);

    if (n < 0)
        return -errno;
    return (size_t)n == length ? 0 : -EFAULT;
}

int memory_probe(pid_t pid, uint64_t address)
{
    uint8_t byte;
    int err = read_process(pid, address, &byte, 1);

    return err == -EFAULT ? 0 : err;
}

void memory_add(struct memory *memory, uint64_t address, const void *bytes, size_t length)
{
    for (size_t i = 0; i < MEMORY_PIECES_MAX; i++) {
        if (memory->pieces[i].length || !length)
            continue;
        memory->pieces[i].address = address;
        memory->pieces[i].bytes = bytes;
        memory->pieces[i].length = length;
        return;
    }
}

static const struct memory_page *page_at(struct memory *memory, uint64_t address)
{
    struct memory_page *page;

    if (!memory->pages && !(memory->pages = calloc(PAGES, sizeof(*memory->pages))))
        return NULL;
    page = &memory->pages[address / PAGE % PAGES];
    if (page->address == address)
        return page;
    page->address = address;
    page->readable = memory->pid     ? !read_process(memory->pid, address, page->bytes, PAGE)
                     : memory->files ? !maps_read_file(memory->files, address, page->bytes, PAGE)
                                     : false;
    return page;
}

/* How many bytes at this address are in one of the pieces; they begin at *ret_bytes. */
static size_t piece_at(const struct memory *memory, uint64_t address, const uint8_t **ret_bytes)
{
    for (size_t i = 0; i < MEMORY_PIECES_MAX; i++) {
        uint64_t offset = address - memory->pieces[i].address;

        if (address < memory->pieces[i].address || offset >= memory->pieces[i].length)
            continue;
        *ret_bytes = memory->pieces[i].bytes + offset;
        return memory->pieces[i].length - (size_t)offset;
    }
    return 0;
}

/* As many bytes as come from one place, at most `length`; 0: none. */
static size_t read_some(struct memory *memory, uint64_t address, void *out, size_t length)
{
    const uint8_t *bytes;
    size_t n = piece_at(memory, address, &bytes);

    if (!n) {
        const struct memory_page *page = address >= PAGE ? page_at(memory, address & ~(uint64_t)(PAGE - 1)) : NULL;

        if (!page || !page->readable)
            return 0;
        bytes = page->bytes + address % PAGE;
        n = PAGE - address % PAGE;
    }
    n = n < length ? n : length;
    memcpy(out, bytes, n);
    return n;
}

int memory_read(struct memory *memory, uint64_t address, void *out, size_t length)
{
    size_t done = 0;

    while (done < length) {
        size_t n = read_some(memory, address + done, (uint8_t *)out + done, length - done);

        if (!n)
            return -EFAULT;
        done += n;
    }
    return 0;
}

uint64_t memory_word(struct memory *memory, uint64_t address)
{
    uint64_t word;

    return memory_read(memory, address, &word, sizeof(word)) ? 0 : word;
}

long memory_text(struct memory *memory, uint64_t address, char *out, size_t size)
{
    size_t done = 0;

    out[0] = '\0';
    while (done < size - 1) {
        size_t n = read_some(memory, address + done, out + done, size - 1 - done);
        const char *end = memchr(out + done, '\0', n);

        if (!n)
            break;
        if (end)
            return end - out;
        done += n;
    }
    out[done] = '\0';
    return done ? (long)done : -EFAULT;
}

void memory_deinit(struct memory *memory)
{
    free(memory->pages);
    memory->pages = NULL;
}
