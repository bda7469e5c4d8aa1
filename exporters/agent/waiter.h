/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeps on many rings' words at once (`asleep`, `crash_bell`), so that an idle agent makes no wake-up: futex_waitv
 * takes 128 words, so there is a thread for each 127. Kernels before 5.16 don't have it: then rounds.c polls. */
#ifndef SPANSHIM_WAITER_H
#define SPANSHIM_WAITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* An eventfd that becomes readable when a watched word has another value. -ENOSYS where the kernel can't wait so. 0 or
 * -errno. Context: start. */
int waiter_init(int *ret_eventfd);
void waiter_deinit(void);

/* Watch this word, once: told by the eventfd as soon as it isn't `value`. It may be watched again then. 0 or -errno.
 * Context: loop. */
int waiter_watch(_Atomic uint32_t *word, uint32_t value);

/* Forget it: after this the word may be unmapped. Context: loop. */
void waiter_forget(_Atomic uint32_t *word);

#endif
