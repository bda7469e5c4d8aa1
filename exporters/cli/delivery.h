/* SPDX-License-Identifier: Apache-2.0 */
/* Having the agent deliver what it holds. */
#ifndef SPANSHIM_DELIVERY_H
#define SPANSHIM_DELIVERY_H

/* At the end of a container's first process: everything goes with it, so wait until the agent at `path` has delivered,
 * at most timeout_ms. What was not delivered is one warning. Context: main thread. */
void delivery_await(const char *path, int timeout_ms);

#endif
