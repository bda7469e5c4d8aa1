/* SPDX-License-Identifier: Apache-2.0 */
/* Files of settings, in the syntax of systemd's EnvironmentFile= (systemd.exec(5), as of systemd 254): pure, no heap.
 * Read by the launcher (--env-file) and, for the system's defaults, by the shim too.
 *
 * A line is NAME=value. Blanks around name and value don't count. Lines that begin with '#' or ';' are comments. A
 * value may be quoted, or in several quoted parts: within '...' everything is literal; within "..." a backslash makes
 * \, ", $ and ` literal and takes a line's end away; outside of quotes it does so with any character, and quotes within
 * bare text are literal. A quote may go on over lines; one that is never closed ends with the file. Nothing is
 * expanded. */
#ifndef SPANSHIM_ENV_FILE_H
#define SPANSHIM_ENV_FILE_H

#define ENV_FILE_SYSTEM_PATH     "/etc/spanshim/env"
#define ENV_FILE_SYSTEM_VARIABLE "SPANSHIM_SYSTEM_ENV" /* another path; "none": no such file is read */

enum { ENV_FILE_SYSTEM_MAX = 16384 }; /* bytes; a larger file is not read */

struct env_file {
    char *at;      /* what is unread */
    unsigned line; /* the line that `at` is in */
};

enum env_file_item {
    ENV_FILE_END,
    ENV_FILE_ENTRY,
    ENV_FILE_INVALID, /* something else than NAME=value, or a control character in the value: passed over */
};

/* Read a NUL-terminated text, which env_file_next() changes. Context: pure. */
struct env_file env_file_open(char *text);

/* The next assignment as "NAME=value", which lives in the text; *ret_line is where it begins, also of what is invalid.
 * Of two lines with one name the later counts, which is the caller's business. Context: pure. */
enum env_file_item env_file_next(struct env_file *file, char **ret_entry, unsigned *ret_line);

#endif
