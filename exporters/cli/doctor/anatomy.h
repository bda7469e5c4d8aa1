/* SPDX-License-Identifier: Apache-2.0 */
/* What a program is made of, as far as files tell: its own, and those of its libraries. */
#ifndef SPANSHIM_DOCTOR_ANATOMY_H
#define SPANSHIM_DOCTOR_ANATOMY_H

#include "exporters/cli/doctor/names.h"
#include "exporters/cli/program.h"

#include <stdbool.h>
#include <stddef.h>

struct environment;

enum { ANATOMY_WAYS_MAX = 32, ANATOMY_VERSION_MAX = 16 };

/* The rows of hooks.def. */
enum anatomy_hook {
#define HOOK_ROW(symbol, library, raw, safe) ANATOMY_HOOK_##symbol,
#include "hooks/hooks.def"
#undef HOOK_ROW
    ANATOMY_HOOKS
};

struct language {
    const char *name;
    bool loads_sockets; /* by a library that isn't linked to it */
    const char *tls;    /* empty: none of its own */
};

struct way {
    const char *code, *text;
    bool is_doubtful; /* requests may go by unseen */
};

/* All zero is valid and empty. */
struct anatomy {
    struct program program;
    char loader[PATH_MAX]; /* empty: none */
    bool is_musl;
    char glibc[ANATOMY_VERSION_MAX]; /* the newest version whose symbols the program asks for, or empty */
    struct language language;        /* name NULL: nothing is known */
    struct names libraries;          /* paths */
    struct names missing;            /* libraries that weren't found */
    struct names tls;                /* by what it may speak TLS */
    bool hooked[ANATOMY_HOOKS];      /* by row of hooks.def: it or a library of it imports the function */
    const struct way *ways[ANATOMY_WAYS_MAX];
    size_t way_count;
};

/* Look at a program that was found (program_find) and judged (program_inspect). Context: any. */
void anatomy_of_program(struct anatomy *anatomy, const struct environment *env);

/* The same of a running process: its libraries are those it has mapped. 0, or -errno. Context: any. */
int anatomy_of_process(struct anatomy *anatomy, int pid);

/* The name of a row. Context: pure. */
const char *anatomy_hook_name(enum anatomy_hook hook);

/* Context: any. */
void anatomy_deinit(struct anatomy *anatomy);

#endif
