/* SPDX-License-Identifier: Apache-2.0 */
/* What an executable's headers say about preloading: will its loader take our object, and would hooks see anything? */
#ifndef SPANSHIM_ELF_H
#define SPANSHIM_ELF_H

#include <stdbool.h>
#include <stddef.h>

enum { ELF_NAME_MAX = 64 };

struct elf_facts {
    bool is_elf;
    bool is_foreign; /* another word size, byte order or machine than ours */
    bool is_dynamic; /* names a program interpreter: a loader that reads LD_PRELOAD */
    bool is_go;
    char sanitizer[ELF_NAME_MAX]; /* the sanitizer's runtime it is linked to, or empty */
};

/* Read the headers of an open file; everything in it is checked before it is believed. What cannot be read counts as
 * not there. Context: any. */
void elf_inspect(int fd, struct elf_facts *ret_facts);

#endif
