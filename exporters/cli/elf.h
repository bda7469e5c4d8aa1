/* SPDX-License-Identifier: Apache-2.0 */
/* What an executable or a library says about itself, read by libelf. The launcher asks whether preloading works
 * (elf_inspect); `spanshim doctor` asks for everything (elf_visit). */
#ifndef SPANSHIM_ELF_H
#define SPANSHIM_ELF_H

#include <stdbool.h>
#include <stddef.h>

enum { ELF_NAME_MAX = 64 };

struct elf_facts {
    bool is_elf;
    bool is_broken;   /* no headers that could be read; nothing below is known */
    bool is_foreign;  /* another word size, byte order or machine than ours */
    unsigned machine; /* EM_ numbers of <elf.h> */
    unsigned bits;    /* 32 or 64 */
    bool is_dynamic;  /* names a program interpreter: a loader that reads LD_PRELOAD */
    bool is_go;
    char sanitizer[ELF_NAME_MAX]; /* the sanitizer's runtime it is linked to, or empty */
};

/* Read the headers of an open file; everything in it is checked before it is believed. What cannot be read counts as
 * not there. Context: any. */
void elf_inspect(int fd, struct elf_facts *ret_facts);

enum elf_item {
    ELF_INTERPRETER, /* the loader's path */
    ELF_NOTE,        /* whose note it is */
    ELF_SECTION,     /* a section's name */
    ELF_NEEDED,      /* a library it is linked to */
    ELF_RPATH,       /* where these are looked for, before and */
    ELF_RUNPATH,     /* after LD_LIBRARY_PATH; between colons */
    ELF_IMPORT,      /* a symbol it takes from elsewhere */
    ELF_EXPORT,      /* a symbol it has for others */
    ELF_VERSION,     /* a version of another's symbols that it needs: GLIBC_2.34 */
};

/* `text` is valid until it returns. */
typedef void elf_found(void *arg, enum elf_item item, const char *text);

/* Tell all of these. Context: any. */
void elf_visit(int fd, elf_found *found, void *arg);

/* The name of a machine, as uname has it; "machine N" for one that isn't known. `buffer` may hold it. Context: pure. */
const char *elf_machine_name(unsigned machine, unsigned bits, char buffer[ELF_NAME_MAX]);

#endif
