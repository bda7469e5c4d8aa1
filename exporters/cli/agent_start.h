/* SPDX-License-Identifier: Apache-2.0 */
/* Making sure that an agent is there before the program starts. */
#ifndef SPANSHIM_AGENT_START_H
#define SPANSHIM_AGENT_START_H

struct environment;

/* Start an agent in the background unless one answers at `path`, and wait (10 s at most) until it does. It is nobody's
 * child afterwards and inherits no descriptor, and of `env` only what it needs itself: no preload and no token. 0, or
 * -errno after one warning: the program then runs without it. Context: main thread, while it has no other child. */
int agent_start_if_absent(const struct environment *env, const char *path);

#endif
