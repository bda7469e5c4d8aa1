/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

bool cli_has_colour(int fd)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (no_colour && *no_colour)
        return false;
    return term && strcmp(term, "dumb") != 0 && isatty(fd);
}

void cli_hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
            return;
}

bool cli_has_stderr(void)
{
    int flags = fcntl(STDERR_FILENO, F_GETFD);

    return flags >= 0 && !(flags & FD_CLOEXEC); /* ours isn't inherited */
}

void cli_mask(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
}

/* A reader who has gone costs the message, not the launcher. */
static void write_quietly(const char *bytes, size_t len)
{
    sigset_t pipe_signal, former;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &pipe_signal, &former);
    if (write(STDERR_FILENO, bytes, len) < 0 && errno == EPIPE && !sigismember(&former, SIGPIPE))
        (void)sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
    (void)sigprocmask(SIG_SETMASK, &former, NULL);
}

/* One write, so that lines of several processes don't mix. */
__attribute__((format(printf, 3, 0))) static void print_line(const char *colour, const char *label, const char *format,
                                                             va_list args)
{
    char text[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES + 64];
    bool coloured = *colour && cli_has_colour(STDERR_FILENO);

    (void)vsnprintf(text, sizeof(text), format, args);
    cli_mask(text);
    int len = snprintf(line, sizeof(line), "%sspanshim:%s %s%s\n", coloured ? colour : "", coloured ? "\033[0m" : "",
                       label, text);
    if (len > 0)
        write_quietly(line, (size_t)len);
}

void cli_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("\033[31m", "", format, args);
    va_end(args);
}

void cli_warning(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("\033[33m", "warning: ", format, args);
    va_end(args);
}

void cli_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_line("", "", format, args);
    va_end(args);
}

bool cli_no_arguments(const char *command, int argc, char **argv)
{
    if (argc <= 1)
        return true;
    cli_error("'%s' takes no argument '%s'; see 'spanshim %s --help'", command, argv[1], command);
    return false;
}
