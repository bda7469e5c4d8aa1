/* SPDX-License-Identifier: Apache-2.0 */
/* What describes the executed image: a copy, made at start, of its arguments and of the settings in its environment, in
 * the form of a hand-over's text (wire.h). Programs overwrite both later, for process titles. */
#ifndef SPANSHIM_FACTS_H
#define SPANSHIM_FACTS_H

#include <stddef.h>

/* Copy argv ('a' entries) and the environment's settings ('e' entries). What is too long is left out; the
 * first setting of those is named in an 'o' entry. 0 or -errno. Context: start. */
int facts_init(char *const *argv, char *const *envp);

/* Add the settings of the system's file (env_file.h) that the environment doesn't have; what is wrong with the file is
 * an 'f' entry. One system call where there is none, else three. Context: start; after facts_init(). */
void facts_add_system(void);

/* Take what requests to AWS are signed with out again, unless the other settings say that some are signed: the daemon
 * of X-Ray has credentials of its own. Context: start; after the others. */
void facts_drop_credentials(void);

/* The entries, each NUL-terminated; *ret_length counts the NULs. Context: hook; signal-safe. */
const char *facts_text(size_t *ret_length);

#endif
