/* SPDX-License-Identifier: Apache-2.0 */
/* Signal dispositions and alternate stacks: the program's own are told and changed, not ours. sigaction() is done anew
 * for the signals of a crash; the others are libc's, which sets the kernel's action by itself and keeps notes of its
 * own (siginterrupt), and what it has set is taken over afterwards. Until then it stands in the kernel as it is. */
#include "hooks/hook.h"

#include "preload/crash_actions.h"
#include "preload/crash_stack.h"

#include <signal.h>

/* No header has these any more; programs may still be linked to them. */
int __sigaction(int signal, const struct sigaction *action, struct sigaction *before) __attribute__((nothrow, leaf));
__sighandler_t bsd_signal(int number, __sighandler_t handler) __attribute__((nothrow, leaf));

/* Others have been declared unwise to use, not to intercept. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

HOOK
int sigaction(int signal, const struct sigaction *restrict action, struct sigaction *restrict before)
{
    return crash_owns(signal) ? crash_sigaction(signal, action, before) : REAL(sigaction)(signal, action, before);
}

HOOK
int __sigaction(int signal, const struct sigaction *action, struct sigaction *before) SAME_AS(sigaction);

/* What libc has set for the signal, and answers. */
static __sighandler_t adopted(int number, __sighandler_t before)
{
    if (!crash_owns(number))
        return before;
    crash_adopt(number);
    return crash_seen_handler(before);
}

/* All that set a handler and answer the one before. They differ in the flags, which are libc's choice. */
#define SETS_HANDLER(symbol)                                                                                           \
    HOOK                                                                                                               \
    __sighandler_t symbol(int number, __sighandler_t handler)                                                          \
    {                                                                                                                  \
        return adopted(number, REAL(symbol)(number, handler));                                                         \
    }

SETS_HANDLER(signal)
SETS_HANDLER(__sysv_signal)
SETS_HANDLER(sigset)

HOOK
__sighandler_t bsd_signal(int number, __sighandler_t handler) SAME_AS(signal);

HOOK
__sighandler_t ssignal(int number, __sighandler_t handler) SAME_AS(signal);

HOOK
__sighandler_t sysv_signal(int number, __sighandler_t handler) SAME_AS(__sysv_signal);

HOOK
int siginterrupt(int number, int interrupts)
{
    int result = REAL(siginterrupt)(number, interrupts);

    if (crash_owns(number))
        crash_adopt(number);
    return result;
}

HOOK
int sigaltstack(const stack_t *restrict stack, stack_t *restrict before)
{
    return crash_sigaltstack(stack, before);
}
