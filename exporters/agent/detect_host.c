/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/detect.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/resource.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum { LINE_MAX_BYTES = 256, FILE_MAX = 4096 };

/* By the conventions' spelling. */
static const char *host_arch(const char *machine)
{
    static const char *const names[][2] = {{"x86_64", "amd64"},  {"aarch64", "arm64"}, {"armv7l", "arm32"},
                                           {"armv6l", "arm32"},  {"i686", "x86"},      {"i386", "x86"},
                                           {"ppc64le", "ppc64"}, {"ppc", "ppc32"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(machine, names[i][0]) == 0)
            return names[i][1];
    return machine;
}

/* The name where the process runs: in a container it is the container's. */
static void add_name(struct resource *resource, const struct resource_facts *facts, const char *ours)
{
    char name[LINE_MAX_BYTES];

    if (facts->number == 0 || proc_shares_namespace(facts->number, "uts"))
        resource_add(resource, "host.name", ours);
    else if (proc_read_in_root(facts->number, "etc/hostname", name, sizeof(name)) > 0 && name[strcspn(name, "\n")])
        resource_add(resource, "host.name", (name[strcspn(name, "\n")] = '\0', name));
}

/* In Amazon's cloud the board carries the instance's id. */
static bool read_cloud_id(char *id, size_t size)
{
    return proc_read_path("/sys/devices/virtual/dmi/id/board_asset_tag", id, size) > 0 && strncmp(id, "i-", 2) == 0 &&
           strspn(id + 2, "0123456789abcdef") >= 8;
}

static void add_id(struct resource *resource)
{
    char id[LINE_MAX_BYTES];

    if (!read_cloud_id(id, sizeof(id)) && proc_read_path("/etc/machine-id", id, sizeof(id)) <= 0 &&
        proc_read_path("/var/lib/dbus/machine-id", id, sizeof(id)) <= 0)
        return;
    id[strcspn(id, "\n")] = '\0';
    if (id[0] != '\0' && strcmp(id, "uninitialized") != 0)
        resource_add(resource, "host.id", id);
}

void detect_host(struct resource *resource, const struct resource_facts *facts)
{
    struct utsname host;

    if (uname(&host) == 0) {
        add_name(resource, facts, host.nodename);
        resource_add(resource, "host.arch", host_arch(host.machine));
    }
    add_id(resource);
}

bool detect_variable(const char *text, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);

    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
        const char *start = text + length + 1;
        char quote;

        if (strncmp(text, name, length) != 0 || text[length] != '=')
            continue;
        quote = *start == '"' || *start == '\'' ? *start++ : '\n';
        const char end[] = {quote, '\n', '\0'};
        (void)snprintf(value, size, "%.*s", (int)strcspn(start, end), start);
        return value[0] != '\0';
    }
    return false;
}

void detect_os(struct resource *resource, const struct resource_facts *facts)
{
    static const char *const names[][2] = {{"NAME", "os.name"},
                                           {"VERSION_ID", "os.version"},
                                           {"BUILD_ID", "os.build_id"},
                                           {"PRETTY_NAME", "os.description"}};
    char text[FILE_MAX], value[LINE_MAX_BYTES];

    resource_add(resource, "os.type", "linux");
    if (facts->number == 0 || (proc_read_in_root(facts->number, "etc/os-release", text, sizeof(text)) <= 0 &&
                               proc_read_in_root(facts->number, "usr/lib/os-release", text, sizeof(text)) <= 0))
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (detect_variable(text, names[i][0], value, sizeof(value)))
            resource_add(resource, names[i][1], value);
}
