/* SPDX-License-Identifier: Apache-2.0 */
#include "crash.h"

#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, 0};

static const struct crash_row *fault;

void crash_fault(void)
{
    crash_say("now");
    fault->run();
}

const struct crash_row *crash_find(const struct crash_row *rows, const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    if (!rows->name)
        errx(2, "no such row: %s", name);
    return rows;
}

void crash_say(const char *line)
{
    char text[128];
    size_t length = strlen(line);

    if (length > sizeof text - 1)
        length = sizeof text - 1;
    memcpy(text, line, length);
    text[length] = '\n';
    if (write(STDOUT_FILENO, text, length + 1) < 0)
        return; /* a closed descriptor is a condition that the tests make */
}

/* Libraries crash before main as well: libc gives constructors the arguments. */
__attribute__((constructor)) static void before_main(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[2], "constructor") != 0)
        return;
    fault = crash_find(crash_faults, argv[1]);
    crash_fault();
}

__attribute__((destructor)) static void after_main(void)
{
    if (crash_moment == CRASH_IN_DESTRUCTOR)
        crash_fault();
}

static void at_exit(void)
{
    if (crash_moment == CRASH_IN_ATEXIT)
        crash_fault();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        errx(2, "usage: crasher FAULT [PLACE [HANDLER]]");
    fault = crash_find(crash_faults, argv[1]);
    (void)printf("left in the buffer: written by those who end in order\n");
    if (atexit(at_exit) != 0)
        err(1, "atexit");
    if (argc > 3)
        crash_find(crash_handlers, argv[3])->run();
    crash_find(crash_places, argc > 2 ? argv[2] : "main")->run();
    crash_say("survived");
    return 0;
}
