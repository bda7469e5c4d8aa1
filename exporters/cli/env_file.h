/* SPDX-License-Identifier: Apache-2.0 */
/* Settings from files: --env-file, and the system's defaults. The syntax is in preload/env_file.h. */
#ifndef SPANSHIM_CLI_ENV_FILE_H
#define SPANSHIM_CLI_ENV_FILE_H

struct environment;

/* Add the file's assignments to `env`. A name that `env` had before wins over the file: what is said closer to the
 * command counts more; of two lines with one name, the later. A '-' before the path: the file may be missing. What is
 * no assignment is passed over after saying which line (values are never printed: they may be tokens). 0, or -errno
 * after saying why the file can't be read. Context: any. */
int env_file_load(struct environment *env, const char *path);

/* Add the system's defaults (/etc/spanshim/env, or what SPANSHIM_SYSTEM_ENV in `env` says), under the same rules. What
 * can't be read is passed over after a warning; a missing file is no mistake. Context: any. */
void env_file_load_system(struct environment *env);

#endif
