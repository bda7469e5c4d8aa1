/* SPDX-License-Identifier: Apache-2.0 */
/* Plain files that are read whole: profiles, tokens. */
#ifndef SPANSHIM_AWS_SMALL_FILE_H
#define SPANSHIM_AWS_SMALL_FILE_H

enum { SMALL_FILE_MAX = 256 << 10 };

/* The file's text, to be freed; it ends at the first NUL. 0, -ENOMEM, -EFBIG, -EINVAL: no plain file (which could hold
 * up the loop), or -errno. Context: loop. */
int small_file_read(const char *path, char **ret_text);

/* Overwritten before it is freed: it may be a secret. NULL is accepted. Context: loop. */
void small_file_free(char *text);

#endif
