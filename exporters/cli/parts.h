/* SPDX-License-Identifier: Apache-2.0 */
/* Where the other parts of this installation are: beside the launcher in a build tree, by the prefix's layout
 * otherwise. Nothing is looked up in PATH or the library path: a launcher starts the parts it was built with. */
#ifndef SPANSHIM_PARTS_H
#define SPANSHIM_PARTS_H

#include <limits.h>
#include <stddef.h>

/* Absolute path of libspanshim.so without links. 0, or -errno. Context: any. */
int parts_find_library(char ret_path[PATH_MAX]);

/* Absolute path of spanshim-agent. 0, or -errno. Context: any. */
int parts_find_agent(char ret_path[PATH_MAX]);

#endif
