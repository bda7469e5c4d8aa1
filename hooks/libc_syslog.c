/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for the system's log. libc makes the text and sends it without passing our hooks, so the text is made a
 * second time here, only while logs are taken. */
#include "hooks/hook.h"

#include "preload/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

enum { MESSAGE_MAX = 2048 };

struct message {
    _Atomic uint32_t pool_link; /* the arena's while it is free */
    char text[MESSAGE_MAX];
};

void __syslog_chk(int priority, int flag, const char *format, ...);
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments);

/* Of which priorities libc sends messages: the program's last word, written by any thread, relaxed. */
static _Atomic int sent_mask = LOG_UPTO(LOG_DEBUG);

HOOK
int setlogmask(int mask)
{
    if (mask != 0)
        atomic_store_explicit(&sent_mask, mask, memory_order_relaxed);
    return REAL(setlogmask)(mask);
}

static bool is_sent(int priority)
{
    return atomic_load_explicit(&sent_mask, memory_order_relaxed) & LOG_MASK(LOG_PRI(priority));
}

/* With the caller's checks: a format that libc ends the program for must not be obeyed before. */
static int make_text(char *text, int flag, const char *format, va_list arguments)
{
    if (flag == 0)
        return real_vsnprintf(text, MESSAGE_MAX, format, arguments);
    return real_vsnprintf_chk ? real_vsnprintf_chk(text, MESSAGE_MAX, flag, MESSAGE_MAX, format, arguments) : -1;
}

/* Leaves the arguments as they are. %m is errno's text, so errno is what it was. */
__attribute__((noinline)) static void take(int priority, int flag, const char *format, va_list arguments)
{
    static struct arena_pool messages = {.block_size = sizeof(struct message)};
    struct message *message;
    int saved_errno = errno;
    va_list copy;

    if (!(applog_sources & APPLOG_SYSLOG) || !real_vsnprintf || process_in_vfork != 0 || !is_sent(priority))
        return;
    message = arena_pool_get(&messages);
    if (!message)
        return;
    va_copy(copy, arguments);
    int length = make_text(message->text, flag, format, copy);
    va_end(copy);
    if (length > 0) {
        size_t left_out = length < MESSAGE_MAX ? 0 : (size_t)length - (MESSAGE_MAX - 1);

        applog_syslog(priority, message->text, (size_t)length - left_out, left_out);
    }
    arena_pool_put(&messages, message);
    errno = saved_errno;
}

HOOK
void vsyslog(int priority, const char *format, va_list arguments)
{
    take(priority, 0, format, arguments);
    REAL(vsyslog)(priority, format, arguments);
}

HOOK
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
    take(priority, flag, format, arguments);
    REAL(__vsyslog_chk)(priority, flag, format, arguments);
}

HOOK
void syslog(int priority, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    take(priority, 0, format, arguments);
    REAL(vsyslog)(priority, format, arguments);
    va_end(arguments);
}

HOOK
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    take(priority, flag, format, arguments);
    REAL(__vsyslog_chk)(priority, flag, format, arguments);
    va_end(arguments);
}
