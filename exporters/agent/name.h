/* SPDX-License-Identifier: Apache-2.0 */
/* The socket's name in its folder, by which clients find the agent. Cleaners of /tmp remove what looks old to them; an
 * agent that nobody finds would never hear of it, so the folder is watched. */
#ifndef SPANSHIM_NAME_H
#define SPANSHIM_NAME_H

struct loop;

/* Call `lost` whenever the name is found missing, now or later; it is to put the name back, and may fail. 0 or -errno.
 * Context: start. */
int name_watch(struct loop *loop, const char *socket_path, void (*lost)(void));

/* Stop watching. Context: loop. */
void name_unwatch(void);

#endif
