/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/process_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "exporters/agent/clock.h"
#include "exporters/agent/proc.h"

static void read_link(pid_t number, const char *name, char out[PATH_MAX])
{
    static const char deleted[] = " (deleted)";
    char path[64];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)number, name);
    n = readlink(path, out, PATH_MAX - 1);
    n = n < 0 ? 0 : n;
    out[n] = '\0';
    if (n > (ssize_t)sizeof(deleted) && !strcmp(out + n - sizeof(deleted) + 1, deleted))
        out[(size_t)n - sizeof(deleted) + 1] = '\0';
}

/* Field 22 of /proc/PID/stat, counted behind the name, which may hold anything: clock ticks since the machine's
 * boot. */
static uint64_t started_unix_ns(pid_t number)
{
    char text[1024];
    const char *field;
    unsigned long long ticks = 0;
    uint64_t booted = clock_now_ns(CLOCK_REALTIME) - clock_now_ns(CLOCK_BOOTTIME);

    if (proc_read(number, "stat", text, sizeof(text)) < 0 || !(field = strrchr(text, ')')))
        return 0;
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    if (!field || sscanf(field, "%llu", &ticks) != 1)
        return 0;
    return booted + ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void read_arguments(struct process_facts *facts, pid_t number)
{
    long n;

    facts->arguments = malloc(FACTS_ARGUMENTS_MAX);
    if (!facts->arguments)
        return;
    n = proc_read(number, "cmdline", facts->arguments, FACTS_ARGUMENTS_MAX);
    facts->arguments_length = n > 0 ? (size_t)n : 0;
}

void process_facts_read(struct process_facts *facts, pid_t number)
{
    char path[64];
    struct stat status;

    read_link(number, "exe", facts->executable);
    read_link(number, "cwd", facts->cwd);
    if (proc_read(number, "comm", facts->command, sizeof(facts->command)) > 0)
        facts->command[strcspn(facts->command, "\n")] = '\0';
    read_arguments(facts, number);
    facts->started_unix_ns = started_unix_ns(number);
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)number, (int)number);
    facts->uid = stat(path, &status) ? (uid_t)-1 : status.st_uid;
}

void process_facts_deinit(struct process_facts *facts)
{
    free(facts->arguments);
    *facts = (struct process_facts){0};
}
