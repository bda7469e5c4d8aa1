/* SPDX-License-Identifier: Apache-2.0 */
/* Small files that tell about a process: of /proc, and of the file system as that process sees it. Everything read is
 * the process's own word or its container's: bounded, and never waited for. */
#ifndef SPANSHIM_PROC_H
#define SPANSHIM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A file as text, cut to what fits, ended by a NUL. Its length, or -errno. Context: loop. */
long proc_read_path(const char *path, char *text, size_t size);

/* The process's directory in /proc has another name than its number in our namespace where /proc was mounted outside
 * that (unshare --pid without --mount-proc); the pidfd (-1: none) tells it. Context: loop. */
pid_t proc_number(pid_t pid, int pidfd);

/* /proc/PID/NAME as text, as above. Context: loop. */
long proc_read(pid_t number, const char *name, char *text, size_t size);

/* The number of its parent, in the namespace of /proc; 0: not to be seen. Context: loop. */
pid_t proc_parent(pid_t number);

/* A file below this folder, which is taken for the root: links don't lead out of it. For reading; what it is the caller
 * must ask. A descriptor, or -errno. Never waits. Context: any. */
int proc_open_below(const char *folder, const char *path);

/* A regular file below the process's root; links don't lead out of it. -EACCES when it may not be seen, -EPERM when we
 * are root and the process has a user namespace of its own. Context: loop. */
long proc_read_in_root(pid_t number, const char *path, char *text, size_t size);

/* Does it share our namespace of this kind ("mnt", "uts", ...)? Also true when that may not be asked: most do.
 * Context: loop. */
bool proc_shares_namespace(pid_t number, const char *kind);

#endif
