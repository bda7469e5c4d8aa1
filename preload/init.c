/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up, in order. What can't be set up leaves the program as if the shim were not there. */
#include "preload/applog.h"
#include "preload/arena.h"
#include "preload/cgi.h"
#include "preload/config.h"
#include "preload/conn.h"
#include "preload/crash.h"
#include "preload/crash_stack.h"
#include "preload/deepbind.h"
#include "preload/facts.h"
#include "preload/ids.h"
#include "preload/link.h"
#include "preload/process.h"
#include "preload/real.h"
#include "preload/start_env.h"
#include "preload/stdio.h"
#include "preload/uv_loop.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>

enum { AUXV_TYPES = 256, AUXV_DISTANCE = 4096 };

/* What the kernel puts on the stack, upwards: the count, the arguments, NULL, the environment, NULL, the auxiliary
 * vector, and after it the 16 random bytes that one entry of the vector points to. From there back down. */
static bool find_arguments(char ***ret_argv, char ***ret_envp)
{
    const uintptr_t random = getauxval(AT_RANDOM);
    uintptr_t *at = (uintptr_t *)(random & ~(sizeof(*at) - 1));
    uintptr_t *const lowest = at - AUXV_DISTANCE / sizeof(*at);
    uintptr_t count = 0;

    if (!random)
        return false;
    while (at > lowest && !(at[0] == AT_RANDOM && at[1] == random))
        at--;
    if (at == lowest)
        return false;
    while (at[-2] != 0 && at[-2] < AUXV_TYPES)
        at -= 2;
    for (at--; at[-1] != 0;)
        at--;
    *ret_envp = (char **)at;
    for (at--; at[-1] != count;) {
        at--;
        count++;
    }
    *ret_argv = (char **)at;
    return true;
}

/* ThreadSanitizer's, absent in other programs. clang links it into the executable, where it stands in for functions
 * that we call from here on, and jumps to address 0 until it has started, which is after us. A second call does
 * nothing. */
extern void tsan_init(void) __asm__("__tsan_init") __attribute__((weak));

/* glibc passes a constructor what main gets; musl passes nothing, so there the three are what registers held. Context:
 * start. */
static void __attribute__((constructor)) start(int argc, char **argv, char **envp)
{
    size_t length;

    if (tsan_init)
        tsan_init();
    if ((!argv || envp != argv + argc + 1) && !find_arguments(&argv, &envp))
        return;
    if (!real_init())
        return; /* an older copy of us is loaded before us and does the work */
    if (getauxval(AT_SECURE))
        return; /* setuid and the like: the environment is not to be trusted */
    if (arena_init() < 0 || facts_init(argv, envp) < 0)
        return;
    facts_add_system();
    facts_drop_credentials();
    const char *text = facts_text(&length);
    config_init(text, length);
    if (config.off || process_init() < 0)
        return;
    ids_init();
    start_env_init(envp);
    uv_loop_init(envp);
    deepbind_init(config.deepbind_mode);
    crash_stack_init();
    bool is_cgi = cgi_is_described(envp);
    if (is_cgi)
        config.log_sources &= ~(unsigned)APPLOG_STDOUT; /* it answers there */
    if (config.log_sources != 0 || config.taken_log_files.count > 0 || is_cgi) {
        (void)stdio_init(); /* without it what goes past stdio is seen */
        applog_init(config.log_sources, &config.taken_log_files);
    }
    link_init(envp); /* last but one: it may already tie us to the agent; else the first socket does */
    if (is_cgi)
        cgi_init(envp);
}

/* No memory is given back: other threads may be at work still. A vfork child that calls exit() is not the end of the
 * process whose memory this is. Context: destructor. */
static void __attribute__((destructor)) finish(void)
{
    if (crash_is_pending())
        crash_before_exit();
    if (atomic_load_explicit(&process_active, memory_order_relaxed) && process_in_vfork == 0)
        conn_at_exit();
    cgi_at_exit();
}
