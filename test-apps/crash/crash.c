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
    return rows->name ? rows : NULL;
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

static void find_fault(const char *name)
{
    fault = crash_find(crash_faults, name);
    if (!fault)
        errx(2, "no such fault");
}

static const struct crash_row *find_place(const char *name)
{
    const struct crash_row *place = crash_find(crash_places, name);

    return place ? place : crash_find(crash_conditions, name);
}

/* Libraries crash before main as well: libc gives constructors the arguments. */
__attribute__((constructor)) static void before_main(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[2], "constructor") != 0)
        return;
    find_fault(argv[1]);
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

/* Until the test says so: it has something to do meanwhile. */
static void wait_to_be_told(void)
{
    char byte;

    crash_say("ready");
    if (read(STDIN_FILENO, &byte, 1) != 1)
        errx(1, "not told");
}

int main(int argc, char **argv)
{
    const struct crash_row *place, *handler;

    if (argc > 1 && strcmp(argv[1], "-w") == 0) {
        wait_to_be_told();
        argc--;
        argv++;
    }
    if (argc < 2)
        errx(2, "usage: crasher [-w] FAULT [PLACE [HANDLER]]");
    find_fault(argv[1]);
    place = find_place(argc > 2 ? argv[2] : "main");
    handler = argc > 3 ? crash_find(crash_handlers, argv[3]) : NULL;
    if (!place || (argc > 3 && !handler))
        errx(2, "no such place or handler");
    (void)printf("left in the buffer: written by those who end in order\n");
    if (atexit(at_exit) != 0)
        err(1, "atexit");
    if (handler)
        handler->run();
    place->run();
    crash_say("survived");
    return 0;
}
