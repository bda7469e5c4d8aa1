/* SPDX-License-Identifier: Apache-2.0 */
/* Where the spool is: used by the agent, and by `spanshim purge`, which removes it. */
#ifndef SPANSHIM_SPOOL_PATH_H
#define SPANSHIM_SPOOL_PATH_H

#include <stddef.h>

/* Names in its folder. SQLite adds two files of its own to the first, -wal and -shm; a damaged one gets another
 * name. */
#define SPOOL_NAME         "spool.db"
#define SPOOL_NAME_WAL     SPOOL_NAME "-wal"
#define SPOOL_NAME_SHM     SPOOL_NAME "-shm"
#define SPOOL_NAME_DAMAGED SPOOL_NAME ".damaged"
#define SPOOL_NAME_LOCK    "spool.lock"

/* The folder: what SPANSHIM_SPOOL_DIR says (`given`, may be NULL), else XDG_STATE_HOME/spanshim, /var/lib/spanshim
 * (root) or ~/.local/state/spanshim. 0; -ENOENT: there is to be none, or nowhere; -EINVAL: what was given is no
 * absolute path; -ENAMETOOLONG. Context: any. */
int spool_path_choose(const char *given, char *folder, size_t size);

#endif
