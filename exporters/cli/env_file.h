/* SPDX-License-Identifier: Apache-2.0 */
/* --env-file: settings from a file, in the syntax of systemd's EnvironmentFile=, so that one file serves both. */
#ifndef SPANSHIM_ENV_FILE_H
#define SPANSHIM_ENV_FILE_H

struct environment;

/* Add the file's assignments to `env`. A name that `env` had before wins over the file: what is said closer to the
 * command counts more; of two lines with one name, the later. 0, or -errno after saying what is wrong with which line
 * (values are never printed: they may be tokens). Context: any. */
int env_file_load(struct environment *env, const char *path);

#endif
