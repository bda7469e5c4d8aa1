/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of ours below a user's own: made where they are missing, for nobody else to read (0700). What is there
 * already stays as it is. Called by whatever keeps files: the log, the crash reports, the spool. */
#ifndef SPANSHIM_FOLDERS_H
#define SPANSHIM_FOLDERS_H

/* The folder of this path, and those that it is in. 0, -ENAMETOOLONG or what mkdir() said. Context: any. */
int folders_make(const char *folder);

/* Those that the file of this path is in. Likewise. Context: any. */
int folders_make_for(const char *file);

#endif
