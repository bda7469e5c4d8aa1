/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/spawn.h"

#include "preload/arena.h"
#include "preload/facts.h"
#include "preload/object.h"
#include "preload/sys.h"

#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    STACK_SIZE = 16384,
    VARIABLES_MAX = 64,
    FIRST_FD = 3,
    FD_COUNT = 3,
    WAIT_CLONE = 0x80000000u, /* __WCLONE: a child that sends no SIGCHLD */
};

/* Everything the two children need, made before them: they run on our memory. */
struct plan {
    const int *fds;
    char program[3][512]; /* where the agent may be, in order */
    const char *arguments[6];
    const char *variables[VARIABLES_MAX + 1];
    char *grandchild_stack; /* its end */
    bool failed;            /* no program could be executed */
};

/* spawn_clone.S: clone(CLONE_VM|CLONE_VFORK, no exit signal) running fn(arg) on a stack of its own. */
long spawn_clone(void (*fn)(void *), void *arg, char *stack_end) __attribute__((visibility("hidden")));

extern const ElfW(Dyn) own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

bool spawn_is_allowed(void)
{
    int is_subreaper = 0;
    size_t length;
    const char *entry = facts_text(&length);

    if (sys_call0(SYS_getpid) == 1)
        return false;
    if (sys_call2(SYS_prctl, PR_GET_CHILD_SUBREAPER, (long)&is_subreaper) != 0 || is_subreaper)
        return false;
    for (const char *end = entry + length; entry < end; entry += strlen(entry) + 1)
        if (strncmp(entry, "eINVOCATION_ID=", 15) == 0)
            return false;
    return true;
}

/* The folder of our own object, with the slash; 0 when it is not known. */
static int own_folder(struct dl_phdr_info *info, size_t size, void *arg)
{
    char *folder = arg;
    const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC &&
            (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr) == (const void *)own_dynamic && slash &&
            slash - info->dlpi_name < 400) {
            memcpy(folder, info->dlpi_name, (size_t)(slash - info->dlpi_name) + 1);
            return 1;
        }
    return 0;
}

static void join(char *to, const char *folder, const char *rest)
{
    size_t length = strlen(folder);

    memcpy(to, folder, length);
    memcpy(to + length, rest, strlen(rest) + 1);
}

/* Beside the object (a build tree), or in the bin folder of a prefix, with or without a folder for the architecture. */
static bool find_programs(struct plan *plan)
{
    char *folder = arena_alloc(512);

    if (!folder || object_iterate(own_folder, folder) == 0)
        return false;
    join(plan->program[0], folder, "spanshim-agent");
    join(plan->program[1], folder, "../../bin/spanshim-agent");
    join(plan->program[2], folder, "../bin/spanshim-agent");
    return true;
}

/* The program's handlers must not run in a child on its memory, so signals were blocked; an agent wants them as they
 * come by default. The kernel's struct sigaction: handler, flags, restorer, mask. */
static void signals_reset(void)
{
    const unsigned long by_default[4] = {0};
    const unsigned long none = 0;

    for (int signal = 1; signal <= 64; signal++)
        (void)sys_call4(SYS_rt_sigaction, signal, (long)by_default, 0, sizeof(unsigned long));
    (void)sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof(none));
}

static void run_agent(void *arg)
{
    struct plan *plan = arg;

    int aside = FIRST_FD + FD_COUNT;

    /* First out of the way of each other, then to their places: dup2 clears close-on-exec. The agent closes what else
     * there is. */
    for (int i = 0; i < FD_COUNT; i++)
        if (plan->fds[i] >= aside)
            aside = plan->fds[i] + 1;
    for (int i = 0; i < FD_COUNT; i++)
        (void)sys_call2(SYS_dup2, plan->fds[i], aside + i);
    for (int i = 0; i < FD_COUNT; i++)
        (void)sys_call2(SYS_dup2, aside + i, FIRST_FD + i);
    signals_reset();
    for (int i = 0; i < 3; i++) {
        plan->arguments[0] = plan->program[i];
        (void)sys_call3(SYS_execve, (long)plan->program[i], (long)plan->arguments, (long)plan->variables);
    }
    plan->failed = true;
    (void)sys_call1(SYS_exit_group, 127);
}

/* The child only makes the agent somebody else's child. */
static void run_child(void *arg)
{
    struct plan *plan = arg;

    if (spawn_clone(run_agent, plan, plan->grandchild_stack) < 0)
        plan->failed = true;
    (void)sys_call1(SYS_exit_group, 0);
}

bool spawn_agent(const int fds[3])
{
    static struct plan *plan; /* of link.c's one thread at a time */
    static char *stacks;
    size_t length;
    unsigned count = 0;

    if (!plan)
        plan = arena_alloc(sizeof(*plan));
    if (!stacks)
        stacks = arena_alloc(2 * (size_t)STACK_SIZE);
    if (!plan || !stacks || !find_programs(plan))
        return false;
    plan->fds = fds;
    plan->failed = false;
    plan->grandchild_stack = stacks + 2 * STACK_SIZE;
    plan->arguments[1] = "--background";
    plan->arguments[2] = "--if-absent";
    plan->arguments[3] = "--adopt";
    plan->arguments[4] = NULL;
    const char *entry = facts_text(&length);
    for (const char *end = entry + length; entry < end && count < VARIABLES_MAX; entry += strlen(entry) + 1)
        if (*entry == 'e')
            plan->variables[count++] = entry + 1;
    plan->variables[count] = NULL;

    unsigned long all = ~0ul;
    unsigned long before = 0;
    (void)sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof(all));
    long child = spawn_clone(run_child, plan, stacks + STACK_SIZE);
    if (child > 0)
        (void)sys_call4(SYS_wait4, child, 0, (long)WAIT_CLONE, 0);
    (void)sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before));
    return child > 0 && !plan->failed;
}
