/* SPDX-License-Identifier: Apache-2.0 */
/* The program to be run: found as a shell would find it, and looked at before it is executed. */
#ifndef SPANSHIM_PROGRAM_H
#define SPANSHIM_PROGRAM_H

#include "exporters/cli/elf.h"

#include <limits.h>
#include <stdbool.h>

struct environment;

/* Why the shim will not see anything in a program. */
enum program_blindness {
    PROGRAM_SEEN,
    PROGRAM_STATIC,     /* no loader, so nobody reads LD_PRELOAD */
    PROGRAM_FOREIGN,    /* of another architecture than the shim */
    PROGRAM_GO,         /* calls the kernel itself */
    PROGRAM_PRIVILEGED, /* set-user-id, set-group-id or file capabilities: its loader drops LD_PRELOAD */
};

struct program {
    char path[PATH_MAX];              /* what to execute */
    char image[PATH_MAX];             /* what will be loaded: the same, or the interpreter of a script */
    enum program_blindness blindness; /* of the image */
    char sanitizer[ELF_NAME_MAX];     /* runtime that has to be preloaded first, or empty */
};

/* Search PATH as execvp does. 0; -ENOENT: there is none; else why the one that is there cannot be executed.
 * Context: any. */
int program_find(struct program *program, const char *name, const struct environment *env);

/* Follow #! lines to what is loaded in the end, and judge that. What cannot be read counts as seen: a program may be
 * executable without being readable. Context: any. */
void program_inspect(struct program *program, const struct environment *env);

/* One line that says why there will be no traces and what could be done; NULL when there is nothing to say.
 * Context: pure. */
const char *program_blindness_text(enum program_blindness blindness);

#endif
