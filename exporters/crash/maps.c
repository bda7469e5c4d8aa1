/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/maps.h"

#include "exporters/agent/proc.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 16 << 20, MAPPINGS_MAX = 65536 };

static const char deleted_mark[] = " (deleted)";

static void cut_deleted(struct mapping *mapping, char *path)
{
    size_t length = strlen(path), mark = sizeof(deleted_mark) - 1;

    mapping->deleted = path[0] == '/' && length > mark && !strcmp(path + length - mark, deleted_mark);
    if (mapping->deleted)
        path[length - mark] = '\0';
}

/* "start-end rwxp offset major:minor inode    path" */
static bool parse_line(char *line, struct mapping *ret_mapping)
{
    char permissions[5];
    int path_at = 0;
    struct mapping mapping = {.fd = -1};

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*x:%*x %" SCNu64 " %n", &mapping.start, &mapping.end,
               permissions, &mapping.offset, &mapping.inode, &path_at) < 5 ||
        !path_at || mapping.start >= mapping.end)
        return false;
    mapping.readable = permissions[0] == 'r';
    mapping.writable = permissions[1] == 'w';
    mapping.executable = permissions[2] == 'x';
    mapping.path = line + path_at;
    cut_deleted(&mapping, line + path_at);
    *ret_mapping = mapping;
    return true;
}

static size_t count_lines(const char *text)
{
    size_t count = 1;

    while ((text = strchr(text, '\n'))) {
        count++;
        text++;
    }
    return count;
}

/* Takes the text. The kernel gives the lines in order; a line that is not in order is somebody's invention. */
static int parse(struct maps *maps, char *text)
{
    size_t room = count_lines(text);
    char *rest = NULL;

    maps->text = text;
    room = room < MAPPINGS_MAX ? room : MAPPINGS_MAX;
    maps->list = calloc(room, sizeof(*maps->list));
    if (!maps->list)
        return -ENOMEM;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct mapping *next = &maps->list[maps->count];

        if (maps->count == room) {
            maps->cut = true;
            break;
        }
        if (parse_line(line, next) && (!maps->count || next->start >= next[-1].end))
            maps->count++;
    }
    return 0;
}

static int read_text(int fd, char **ret_text)
{
    size_t length = 0, room = 1 << 18;
    char *text = malloc(room);
    ssize_t n = 1;

    while (text && n > 0 && length < TEXT_MAX) {
        n = read(fd, text + length, room - 1 - length);
        length += n > 0 ? (size_t)n : 0;
        if (room - length < 8192) {
            char *more = realloc(text, room *= 2);

            if (!more)
                free(text);
            text = more;
        }
    }
    if (!text)
        return -ENOMEM;
    text[length] = '\0';
    *ret_text = text;
    return length ? 0 : -EACCES;
}

int maps_read(struct maps *maps, pid_t number)
{
    char path[64], *text = NULL;
    int fd, err;

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)number);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    err = read_text(fd, &text);
    close(fd);
    if (err) {
        free(text);
        return err;
    }
    return parse(maps, text);
}

int maps_parse(struct maps *maps, const char *text, size_t length)
{
    char *copy = strndup(text, length);

    return copy ? parse(maps, copy) : -ENOMEM;
}

const struct mapping *maps_find(const struct maps *maps, uint64_t address)
{
    size_t low = 0, high = maps->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (maps->list[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < maps->count && maps->list[low].start <= address ? &maps->list[low] : NULL;
}

bool maps_is_executable(const struct maps *maps, uint64_t address)
{
    const struct mapping *mapping = maps_find(maps, address);

    return mapping && mapping->executable;
}

static int open_in_root(pid_t number, const char *path)
{
    char root[64] = "/";

    if (number)
        (void)snprintf(root, sizeof(root), "/proc/%d/root", (int)number);
    return proc_open_below(root, path);
}

/* The device isn't compared: overlay file systems show one number in maps and another in stat(). */
static int keep_if_same(int fd, const struct mapping *mapping)
{
    struct stat status;

    if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_ino != mapping->inode)) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

/* These links lead to the file itself, whatever became of its name. map_files wants a capability. */
static int open_by_link(const struct mapping *mapping, pid_t number)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)number, mapping->start,
                   mapping->end);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)number);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    }
    return fd < 0 ? -errno : fd;
}

int maps_open(const struct mapping *mapping, pid_t number)
{
    int fd = -ENOENT;

    if (mapping->path[0] != '/' || !mapping->inode)
        return -ENOENT;
    if (!mapping->deleted)
        fd = keep_if_same(open_in_root(number, mapping->path), mapping);
    return fd < 0 && number ? keep_if_same(open_by_link(mapping, number), mapping) : fd;
}

void maps_open_files(struct maps *maps)
{
    for (size_t i = 0; i < maps->count; i++) {
        struct mapping *mapping = &maps->list[i];

        if (i && mapping[-1].fd >= 0 && mapping[-1].inode == mapping->inode && !strcmp(mapping[-1].path, mapping->path))
            mapping->fd = fcntl(mapping[-1].fd, F_DUPFD_CLOEXEC, 3);
        else if (mapping->inode)
            mapping->fd = maps_open(mapping, 0);
    }
}

/* How much of the kernel's object we have ourselves; 0: none. */
static uint64_t vdso_size(uint64_t at)
{
    const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(uintptr_t)at;
    const Elf64_Phdr *headers = (const Elf64_Phdr *)(uintptr_t)(at + (at ? elf->e_phoff : 0));

    for (size_t i = 0; at && i < elf->e_phnum; i++) {
        if (headers[i].p_type == PT_LOAD)
            return (headers[i].p_memsz + 4095) & ~UINT64_C(4095);
    }
    return 0;
}

/* It is the same in all processes, at another address. */
static int read_vdso(const struct mapping *mapping, uint64_t address, void *out, size_t length)
{
    uint64_t ours = getauxval(AT_SYSINFO_EHDR), size = vdso_size(ours), offset = address - mapping->start;

    if (size != mapping->end - mapping->start || offset > size || length > size - offset)
        return -EFAULT;
    memcpy(out, (const void *)(uintptr_t)(ours + offset), length);
    return 0;
}

int maps_read_file(const struct maps *maps, uint64_t address, void *out, size_t length)
{
    const struct mapping *mapping = maps_find(maps, address);
    ssize_t n;

    if (mapping && !strcmp(mapping->path, "[vdso]"))
        return read_vdso(mapping, address, out, length);
    if (!mapping || mapping->fd < 0 || mapping->writable)
        return -EFAULT;
    n = pread(mapping->fd, out, length, (off_t)(mapping->offset + (address - mapping->start)));
    if (n <= 0)
        return -EFAULT;
    memset((uint8_t *)out + n, 0, length - (size_t)n); /* a file's last page */
    return 0;
}

void maps_deinit(struct maps *maps)
{
    for (size_t i = 0; i < maps->count; i++) {
        if (maps->list[i].fd >= 0)
            close(maps->list[i].fd);
    }
    free(maps->list);
    free(maps->text);
    *maps = (struct maps){0};
}
