/* SPDX-License-Identifier: Apache-2.0 */
/* Calls every hook before main: in .preinit_array, in a library's constructor, in our own; then once more in main. */
#include "early.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t preinit_wrote;
static struct early constructor;

/* Before any constructor runs, the preload's included. */
static void preinit(void)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return;
    preinit_wrote = write(ends[0], "early", 5);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

__attribute__((constructor)) static void start(void)
{
    early_converse(&constructor);
}

int main(void)
{
    struct early in_main;

    early_converse(&in_main);
    (void)printf("preinit %zd of 5\nlibrary %d of %d\nconstructor %d of %d\nmain %d of %d\n", preinit_wrote,
                 early_constructor.steps, EARLY_STEPS, constructor.steps, EARLY_STEPS, in_main.steps, EARLY_STEPS);
    return 0;
}
