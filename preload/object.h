/* SPDX-License-Identifier: Apache-2.0 */
/* A loaded object's own tables: which functions it defines, and which it wants of others. Read where they are mapped,
 * so without dlsym (it allocates on a miss, and waits for constructors that run) and without heap. */
#ifndef SPANSHIM_OBJECT_H
#define SPANSHIM_OBJECT_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed from the mapped object. */
struct object {
    const ElfW(Dyn) * dynamic;
    const char *strings;
    const ElfW(Sym) * symbols;
    const uint32_t *gnu_hash;
    const ElfW(Half) * versions;  /* of each symbol; NULL: unversioned */
    const ElfW(Verdef) * defined; /* names of the versions it defines; NULL: none */
    const ElfW(Verneed) * needed; /* of those it wants */
    const char *soname;           /* NULL: none */
    uintptr_t base;
};

/* Find libc's dl_iterate_phdr(). A program, or another preload, may stand in for it with a function that calls nothing
 * until a constructor of its own has run. The loader's list is read without its lock. Context: start, one thread. */
void object_init(void);

/* libc's dl_iterate_phdr(); before object_init() whatever stands for it. Context: as that function's. */
int object_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *arg), void *arg);

/* False when it has no such tables. Context: within object_iterate(); signal-safe. */
bool object_read(struct object *object, const struct dl_phdr_info *info);

/* Is the address in it? Context: the same. */
bool object_has_address(const struct dl_phdr_info *info, uintptr_t address);

/* What a reference to this function and version binds to here, NULL: nothing. Without a version that is the default
 * one. An object without versions fits any. Context: the same. */
void *object_find(const struct object *object, const char *name, const char *version);

/* How many bytes the default definition of it takes, 0: it defines none. Context: the same. */
size_t object_size(const struct object *object, const char *name);

/* Does it want this function of others? *ret_version is the version that it wants, NULL: none in particular.
 * Context: the same. */
bool object_wants(const struct object *object, const char *name, const char **ret_version);

/* Is it linked to a library of this name? Context: the same. */
bool object_needs(const struct object *object, const char *soname);

#endif
