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
    PROGRAM_BROKEN,     /* no headers that could be read */
    PROGRAM_GO,         /* calls the kernel itself */
    PROGRAM_PRIVILEGED, /* set-user-id, set-group-id or file capabilities: its loader drops LD_PRELOAD */
};

struct program {
    char path[PATH_MAX];              /* what to execute */
    char image[PATH_MAX];             /* what will be loaded: the same, or the interpreter of a script */
    bool is_script;                   /* these two are not the same */
    enum program_blindness blindness; /* of the image */
    struct elf_facts facts;           /* of the image */
};

/* Search PATH as execvp does. 0; -ENOENT: there is none; else why the one that is there cannot be executed.
 * Context: any. */
int program_find(struct program *program, const char *name, const struct environment *env);

/* What makes a file's process another's than its caller's. */
enum program_mark { PROGRAM_SETUID = 1, PROGRAM_SETGID = 2, PROGRAM_CAPABILITIES = 4 };

/* The marks on a file, or'ed, whether or not they change anything for this user. Context: any. */
unsigned program_marks(const char *path);

/* Follow #! lines to what is loaded in the end, and judge that. What cannot be read counts as seen: a program may be
 * executable without being readable. Context: any. */
void program_inspect(struct program *program, const struct environment *env);

/* What a file's own headers say about it: PROGRAM_PRIVILEGED is not among the answers. Context: pure. */
enum program_blindness program_judge(const struct elf_facts *facts);

/* One line that says why there will be no traces and what could be done; NULL when there is nothing to say.
 * Context: pure. */
const char *program_blindness_text(enum program_blindness blindness);

#endif
