/* SPDX-License-Identifier: Apache-2.0 */
/* Where the loader finds a library (ld.so(8)), without running anything of the program. */
#ifndef SPANSHIM_DOCTOR_LIBRARY_PATH_H
#define SPANSHIM_DOCTOR_LIBRARY_PATH_H

#include "exporters/cli/doctor/names.h"

#include <limits.h>
#include <stdbool.h>

/* All zero is valid and empty. */
struct library_path {
    struct names before;  /* DT_RPATH */
    struct names folders; /* LD_LIBRARY_PATH, then DT_RUNPATH */
    struct names cached;  /* paths of ldconfig's list */
    struct names usual;   /* folders that need no list */
};

/* Read ldconfig's list, and LD_LIBRARY_PATH (may be NULL). Context: any. */
void library_path_init(struct library_path *path, const char *ld_library_path);

/* Add a file's DT_RPATH or DT_RUNPATH; `origin` is that file. Context: any. */
void library_path_add(struct library_path *path, const char *list, const char *origin, bool is_rpath);

/* The library of this name, for our architecture. Context: any. */
bool library_path_find(const struct library_path *path, const char *name, char ret_path[PATH_MAX]);

/* Context: any. */
void library_path_deinit(struct library_path *path);

#endif
