// SPDX-License-Identifier: Apache-2.0
/* Start-up, in order. What can't be set up leaves the program as if the shim were not there. */
#include "preload/arena.h"
#include "preload/config.h"
#include "preload/facts.h"
#include "preload/ids.h"
#include "preload/link.h"
#include "preload/process.h"
#include "preload/real.h"

#include <sys/auxv.h>

/* glibc passes a constructor what main gets. Context: start. */
static void __attribute__((constructor)) start(int argc, char **argv, char **envp)
{
    (void)argc;
    if (!real_init())
        return; /* an older copy of us is loaded before us and does the work */
    if (getauxval(AT_SECURE))
        return; /* setuid and the like: the environment is not to be trusted */
    if (arena_init() < 0 || facts_init(argv, envp) < 0)
        return;
    config_init();
    if (config.off || process_init() < 0)
        return;
    ids_init();
    link_init(); /* last: it may already tie us to the agent; else the first socket does */
}
