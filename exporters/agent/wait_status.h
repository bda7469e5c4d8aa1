/* SPDX-License-Identifier: Apache-2.0 */
/* How a process ended that is not our child: kernels from 6.15 on tell it, once its parent has taken note. */
#ifndef SPANSHIM_WAIT_STATUS_H
#define SPANSHIM_WAIT_STATUS_H

/* The process's wait status as waitpid() has it: 0; -EAGAIN: not yet, ask again; another -errno: this kernel doesn't
 * tell. Context: loop. */
int wait_status_of(int pidfd, int *ret_status);

#endif
