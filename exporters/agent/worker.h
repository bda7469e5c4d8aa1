/* SPDX-License-Identifier: Apache-2.0 */
/* The half of the agent that does everything but hold descriptors: reads rings, delivers, answers. Forked by the
 * keeper, and again when it dies. */
#ifndef SPANSHIM_WORKER_H
#define SPANSHIM_WORKER_H

/* Serve until the keeper says so, or is gone. The exit status. Context: start. */
int worker_run(int link);

#endif
