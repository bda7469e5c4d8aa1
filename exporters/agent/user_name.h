/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users. Read from the file alone: a directory service could make the agent wait. */
#ifndef SPANSHIM_USER_NAME_H
#define SPANSHIM_USER_NAME_H

#include <stddef.h>
#include <sys/types.h>

enum { USER_NAME_MAX = 64 };

/* What a process calls the user: by /etc/passwd as it sees it, its number where that says nothing. `number` is its own
 * in /proc. Context: loop. */
void user_name_find(pid_t number, uid_t uid, char name[USER_NAME_MAX]);

#endif
