// SPDX-License-Identifier: Apache-2.0
/* Messages for the system's log. libc makes the text inside and sends it by its inside: it is made once more here, only
 * while it is wanted. */
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

/* Leaves the arguments as they are. %m is errno's text, so errno is what it was. */
__attribute__((noinline)) static void take(int priority, const char *format, va_list arguments)
{
    static struct arena_pool messages = {.block_size = sizeof(struct message)};
    struct message *message;
    int saved_errno = errno;
    va_list copy;

    if (!(applog_sources & APPLOG_SYSLOG) || !real_vsnprintf || process_in_vfork != 0)
        return;
    message = arena_pool_get(&messages);
    if (!message)
        return;
    va_copy(copy, arguments);
    int length = real_vsnprintf(message->text, sizeof(message->text), format, copy);
    va_end(copy);
    if (length > 0)
        applog_syslog(priority, message->text, (size_t)length < MESSAGE_MAX ? (size_t)length : MESSAGE_MAX - 1);
    arena_pool_put(&messages, message);
    errno = saved_errno;
}

HOOK
void vsyslog(int priority, const char *format, va_list arguments)
{
    take(priority, format, arguments);
    REAL(vsyslog)(priority, format, arguments);
}

HOOK
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
    take(priority, format, arguments);
    REAL(__vsyslog_chk)(priority, flag, format, arguments);
}

HOOK
void syslog(int priority, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    take(priority, format, arguments);
    REAL(vsyslog)(priority, format, arguments);
    va_end(arguments);
}

HOOK
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    take(priority, format, arguments);
    REAL(__vsyslog_chk)(priority, flag, format, arguments);
    va_end(arguments);
}
