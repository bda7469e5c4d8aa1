/* SPDX-License-Identifier: Apache-2.0 */
/* mlockall(MCL_CURRENT) counts all that is mapped against RLIMIT_MEMLOCK, and so what we have reserved and hardly use.
 * Where it fails for that, the program's mappings are locked one by one. Used by hooks/libc_memory.c. */
#ifndef SPANSHIM_MEMLOCK_H
#define SPANSHIM_MEMLOCK_H

/* mlockall(flags), with MCL_CURRENT among them, as if we had mapped nothing. 0 or -errno. Context: hook; system
 * calls. */
int memlock_without_us(int flags);

#endif
