/* SPDX-License-Identifier: Apache-2.0 */
/* What a process has mapped where, as /proc/PID/maps says it. */
#ifndef SPANSHIM_CRASH_MAPS_H
#define SPANSHIM_CRASH_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mapping {
    uint64_t start, end;
    uint64_t offset; /* in the file */
    uint64_t inode;  /* 0: no file */
    bool readable, writable, executable;
    bool deleted;     /* the file has no name any more */
    const char *path; /* "" for none; "[stack]", "[vdso]" and the like */
    int fd;           /* of the file; -1: not open */
};

struct maps {
    struct mapping *list; /* by address */
    size_t count;
    char *text; /* what the paths point into */
    bool cut;   /* there are more */
};

/* Of a living process. 0 or -errno; -EACCES: may not be seen. Context: helper. */
int maps_read(struct maps *maps, pid_t number);

/* Of a text that somebody else read; copied. 0 or -ENOMEM. Context: helper. */
int maps_parse(struct maps *maps, const char *text, size_t length);

/* NULL where nothing is mapped. Context: helper. */
const struct mapping *maps_find(const struct maps *maps, uint64_t address);

/* Context: helper. */
bool maps_is_executable(const struct maps *maps, uint64_t address);

/* The mapping's file, if what has its name is still that file: a descriptor, or -errno. `number` in /proc tells where
 * the process's root is; 0: our own root. Never waits, opens nothing but regular files. Context: helper. */
int maps_open(const struct mapping *mapping, pid_t number);

/* Open the files behind executable and read-only mappings, for maps_read_file(). Context: helper. */
void maps_open_files(struct maps *maps);

/* A page that was never written, out of the file that is mapped there. 0 or -EFAULT. Context: helper. */
int maps_read_file(const struct maps *maps, uint64_t address, void *out, size_t length);

/* Context: helper. */
void maps_deinit(struct maps *maps);

#endif
