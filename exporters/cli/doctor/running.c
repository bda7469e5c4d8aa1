/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/running.h"

#include "exporters/cli/agent_client.h"
#include "exporters/cli/doctor/anatomy.h"
#include "preload/wire.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_TIMEOUT_MS = 5000 };

static void read_process_status(struct running *running)
{
    char path[64];
    char *line = NULL;
    size_t size = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", running->pid);
    FILE *status = fopen(path, "re");
    if (!status)
        return;
    while (getline(&line, &size, status) > 0) {
        if (strncmp(line, "Seccomp:", 8) == 0)
            running->is_confined = atoi(line + 8) != 0;
        else if (strncmp(line, "Threads:", 8) == 0)
            running->thread_count = (unsigned)atoi(line + 8);
    }
    free(line);
    (void)fclose(status);
}

static void find_object(struct running *running)
{
    char path[64];
    char *line = NULL;
    size_t size = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", running->pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return;
    while (getline(&line, &size, maps) > 0) {
        const char *name = strstr(line, "/libspanshim.so");

        if (!name)
            continue;
        running->is_preloaded = true;
        running->is_replaced |= strstr(name, "(deleted)") != NULL;
    }
    free(line);
    (void)fclose(maps);
}

/* Is it among the processes of the agent's answer? */
static bool is_listed(const char *answer, int pid)
{
    json_t *status = json_loads(answer, 0, NULL);
    bool listed = false;
    size_t i;
    json_t *process;

    json_array_foreach(json_object_get(status, "processes"), i, process)
    {
        listed = listed || json_integer_value(json_object_get(process, "pid")) == pid;
    }
    json_decref(status);
    return listed;
}

static enum handover ask_agent(int pid)
{
    char *answer = NULL;
    int err = agent_client_ask(WIRE_MESSAGE_STATUS, STATUS_TIMEOUT_MS, NULL, &answer);

    if (err)
        return err == -ENOENT ? HANDOVER_NO : HANDOVER_UNKNOWN;
    enum handover handover = is_listed(answer, pid) ? HANDOVER_YES : HANDOVER_NO;
    free(answer);
    return handover;
}

int running_look(struct running *running, struct anatomy *anatomy, int pid)
{
    char path[64];

    *running = (struct running){.pid = pid};
    (void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    ssize_t len = readlink(path, anatomy->program.image, sizeof(anatomy->program.image) - 1);
    if (len < 0)
        return -errno;
    anatomy->program.image[len] = '\0';
    memcpy(anatomy->program.path, anatomy->program.image, sizeof(anatomy->program.path));
    int err = anatomy_of_process(anatomy, pid);
    if (err)
        return err;
    anatomy->program.blindness = program_judge(&anatomy->program.facts);
    read_process_status(running);
    find_object(running);
    if (running->is_preloaded)
        running->handover = ask_agent(pid);
    return 0;
}
