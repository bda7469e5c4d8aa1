/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that came from another process. Closing one may wait as long as that process likes: for a socket with
 * SO_LINGER, for a file of a FUSE server, and for those that lie unread in a connection's queue. We must not wait. */
#ifndef SPANSHIM_FOREIGN_H
#define SPANSHIM_FOREIGN_H

/* Close it, now or, where that might wait, soon in another thread. Context: loop. */
void foreign_close(int fd);

/* Close a connection that we accepted. Its other end is told at once, also when no thread can be had to close it: it
 * may wait for the answer's end. Context: loop. */
void foreign_hang_up(int connection);

/* In a fork's child, which has none of those threads. Context: loop. */
void foreign_after_fork(void);

#endif
