/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/detect.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/resource.h"
#include "exporters/agent/service_name.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Interpreters by the beginning of their executable's name; what follows it is their version. */
static const struct runtime {
    const char *executable;
    const char *name; /* as the OpenTelemetry SDK of that language says it */
} runtimes[] = {{"python", "cpython"}, {"pypy", "pypy"}, {"nodejs", "nodejs"}, {"node", "nodejs"},
                {"ruby", "ruby"},      {"php", "php"},   {"perl", "perl"}};

/* "python3.11" -> the runtime and "3.11"; NULL when it is another program, as "node_exporter" is. */
static const struct runtime *find_runtime(const char *executable, const char **ret_version)
{
    for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
        size_t length = strlen(runtimes[i].executable);
        const char *rest = executable + length;

        if (strncmp(executable, runtimes[i].executable, length) != 0 || rest[strspn(rest, "0123456789.")] != '\0')
            continue;
        *ret_version = rest;
        return &runtimes[i];
    }
    return NULL;
}

/* A JDK says what it is in the file "release" beside its folder of programs. */
static void add_java(struct resource *resource, const struct resource_facts *facts)
{
    char path[PATH_MAX], text[4096], value[128];
    const char *folder = strstr(facts->executable, "/bin/java");

    if (folder == NULL || facts->number == 0)
        return;
    (void)snprintf(path, sizeof(path), "%.*s/release", (int)(folder - facts->executable), facts->executable);
    if (proc_read_in_root(facts->number, path, text, sizeof(text)) <= 0)
        return;
    if (detect_variable(text, "IMPLEMENTOR", value, sizeof(value)) && strncmp(value, "Oracle", 6) != 0)
        resource_add(resource, "process.runtime.name", "OpenJDK Runtime Environment");
    if (detect_variable(text, "JAVA_RUNTIME_VERSION", value, sizeof(value)) ||
        detect_variable(text, "JAVA_VERSION", value, sizeof(value)))
        resource_add(resource, "process.runtime.version", value);
}

static void add_runtime(struct resource *resource, const struct resource_facts *facts, const char *name)
{
    const char *version;
    const struct runtime *runtime = find_runtime(name, &version);

    if (runtime != NULL)
        resource_add(resource, "process.runtime.name", runtime->name);
    if (runtime != NULL && strchr(version, '.') != NULL)
        resource_add(resource, "process.runtime.version", version);
    if (strcmp(name, "java") == 0)
        add_java(resource, facts);
}

void detect_process(struct resource *resource, const struct resource_facts *facts)
{
    char name[256];

    if (facts->executable != NULL) {
        service_name_of_executable(facts->executable, name, sizeof(name));
        resource_add(resource, "process.executable.name", name);
        resource_add(resource, "process.executable.path", facts->executable);
        add_runtime(resource, facts, name);
    }
    /* The other arguments may hold secrets. */
    if (facts->argument_count > 0)
        resource_add(resource, "process.command", facts->arguments[0]);
}
