/* SPDX-License-Identifier: Apache-2.0 */
/* A program that finds no agent starts one and leaves it its mapping: the agent's starting half passes that on to
 * whichever agent listens then, its own other half or one that was faster. Used by main.c. */
#ifndef SPANSHIM_ADOPT_H
#define SPANSHIM_ADOPT_H

/* Send the hand-over in descriptors 3 (ring), 4 (control page) and 5 (message) to the agent at `socket_path` (NULL: the
 * usual place). An exit status: 0, or 1. Context: start. */
int adopt_hand_over(const char *socket_path);

/* Close all behind the three: what the program that starts us had open, and would be kept open by us. Context:
 * start. */
void adopt_close_others(void);

/* Close the three. Context: start. */
void adopt_close(void);

#endif
