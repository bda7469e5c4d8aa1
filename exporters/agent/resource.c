/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/resource.h"

#include "exporters/agent/values.h"
#include "exporters/encode/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* How an interpreter's command line is read. Lists of options are separated by blanks. */
static const struct interpreter {
    const char *name;    /* of the executable, without version digits */
    const char *valued;  /* options that take the next argument */
    const char *program; /* options whose next argument is the program */
    const char *code;    /* options that give code: no program */
} interpreters[] = {
    {"python", "-W -X --check-hash-based-pycs", "-m", "-c"},
    {"pypy", "-W -X", "-m", "-c"},
    {"node", "-r --require --import -C --conditions --loader --experimental-loader --title", "",
     "-e --eval -p --print -pe"},
    {"nodejs", "-r --require --import -C --conditions --loader --experimental-loader --title", "",
     "-e --eval -p --print -pe"},
    {"java",
     "-cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules --add-opens --add-exports "
     "--add-reads --limit-modules",
     "-jar -m --module", ""},
    {"ruby", "-I -r -C -E", "", "-e"},
    {"perl", "-I", "", "-e -E"},
    {"php", "-c -d -S -t -z", "-f --file", "-r -B -R"},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static bool is_in_list(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *p = list; (p = strstr(p, word)) != NULL; p += length)
        if ((p == list || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0'))
            return true;
    return false;
}

static const struct interpreter *find_interpreter(const char *executable)
{
    const char *name = base_name(executable);
    size_t length = strlen(name);

    while (length > 0 && strchr("0123456789.-", name[length - 1]) != NULL)
        length--;
    for (size_t i = 0; i < sizeof(interpreters) / sizeof(interpreters[0]); i++)
        if (strlen(interpreters[i].name) == length && strncmp(interpreters[i].name, name, length) == 0)
            return &interpreters[i];
    return NULL;
}

/* The script, module, jar or class among the arguments; NULL when there is none. */
static const char *find_program(const struct interpreter *interpreter, const struct resource_facts *facts)
{
    for (size_t i = 1; i < facts->argument_count; i++) {
        const char *argument = facts->arguments[i];

        if (argument[0] != '-')
            return argument;
        if (strcmp(argument, "-") == 0 || is_in_list(interpreter->code, argument))
            return NULL;
        if (strcmp(argument, "--") == 0 || is_in_list(interpreter->program, argument))
            return i + 1 < facts->argument_count ? facts->arguments[i + 1] : NULL;
        if (is_in_list(interpreter->valued, argument))
            i++;
    }
    return NULL;
}

/* shop.py -> shop, /srv/shop.jar -> shop; http.server stays. */
static void copy_program_name(const char *program, char *name, size_t size)
{
    static const char *const endings[] = {".py",  ".pyc", ".pyz", ".js", ".mjs", ".cjs", ".ts",
                                          ".jar", ".war", ".rb",  ".pl", ".php", ".ru"};
    const char *base = base_name(program);
    size_t length = strlen(base);

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(base + length - ending, endings[i]) == 0) {
            length -= ending;
            break;
        }
    }
    (void)snprintf(name, size, "%.*s", (int)length, base);
}

static void copy_executable_name(const char *executable, char *name, size_t size)
{
    (void)snprintf(name, size, "%s", base_name(executable));
    /* What the kernel appends to the path of a file that was replaced, as by an upgrade. */
    char *deleted = strstr(name, " (deleted)");
    if (deleted != NULL)
        *deleted = '\0';
}

static const char *configured_name(const struct settings *settings)
{
    const char *attribute = values_find_pair(&settings->resource_attributes, "service.name");

    if (settings->service_name != NULL)
        return settings->service_name;
    if (attribute != NULL && *attribute != '\0')
        return attribute;
    if (settings->honeycomb_service_name != NULL)
        return settings->honeycomb_service_name;
    return settings->xray_tracing_name;
}

void resource_choose_name(const struct resource_facts *facts, const struct settings *settings, char *name, size_t size)
{
    const char *configured = configured_name(settings);

    name[0] = '\0';
    if (configured != NULL) {
        (void)snprintf(name, size, "%s", configured);
        return;
    }
    if (facts->executable != NULL) {
        const struct interpreter *interpreter = find_interpreter(facts->executable);
        const char *program = interpreter != NULL ? find_program(interpreter, facts) : NULL;

        if (program != NULL)
            copy_program_name(program, name, size);
        if (name[0] == '\0')
            copy_executable_name(facts->executable, name, size);
    }
    if (name[0] == '\0')
        (void)snprintf(name, size, "unknown_service");
}

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

/* The first of a name stays. False when out of memory. */
static bool add_attribute(struct resource *resource, const char *name, const char *value)
{
    struct settings_pairs pairs = {resource->attributes, resource->attribute_count};
    size_t name_length = strlen(name);
    size_t value_length = strlen(value);

    for (size_t i = 0; i < pairs.count; i++)
        if (strcmp(pairs.pairs[i].name, name) == 0)
            return true;
    if (name_length == 0 || pairs.count == SETTINGS_PAIRS_MAX)
        return true;
    char *text = malloc((name_length + value_length) * UTF8_REPAIRED_MAX + 2);
    if (text == NULL)
        return false;
    char *value_text = text + utf8_repair(name, name_length, UINT32_MAX, text) + 1;
    (void)utf8_repair(value, value_length, UINT32_MAX, value_text);
    bool ok = values_add_pair(&pairs, text, value_text) == 0;
    free(text);
    resource->attributes = pairs.pairs;
    resource->attribute_count = pairs.count;
    return ok;
}

/* The user's own come before what was found out, so that they win. */
static bool add_attributes(struct resource *resource, const struct resource_facts *facts,
                           const struct settings *settings)
{
    const struct settings_pairs *own = &settings->resource_attributes;
    struct utsname host = {0};
    char executable[256] = "";
    bool ok = add_attribute(resource, "service.name", resource->service_name) &&
              add_attribute(resource, "telemetry.sdk.name", "spanshim") &&
              add_attribute(resource, "telemetry.sdk.language", "c") &&
              add_attribute(resource, "telemetry.sdk.version", SPANSHIM_VERSION);

    for (size_t i = 0; ok && i < own->count; i++)
        ok = add_attribute(resource, own->pairs[i].name, own->pairs[i].value);
    if (ok && facts->executable != NULL) {
        copy_executable_name(facts->executable, executable, sizeof(executable));
        ok = add_attribute(resource, "process.executable.name", executable) &&
             add_attribute(resource, "process.executable.path", facts->executable);
    }
    /* Never the arguments: they may hold secrets. */
    if (ok && facts->argument_count > 0)
        ok = add_attribute(resource, "process.command", facts->arguments[0]);
    if (ok && uname(&host) == 0)
        ok = add_attribute(resource, "host.name", host.nodename) &&
             add_attribute(resource, "host.arch", host_arch(host.machine));
    return ok && add_attribute(resource, "os.type", "linux");
}

struct resource *resource_new(const struct resource_facts *facts, const struct settings *settings)
{
    struct resource *resource = calloc(1, sizeof(*resource));
    char name[256];
    char repaired[sizeof(name) * UTF8_REPAIRED_MAX];

    if (resource == NULL)
        return NULL;
    resource_choose_name(facts, settings, name, sizeof(name));
    (void)utf8_repair(name, strlen(name), UINT32_MAX, repaired);
    resource->service_name = strdup(repaired);
    if (resource->service_name == NULL || !add_attributes(resource, facts, settings)) {
        resource_free(resource);
        return NULL;
    }
    return resource;
}

void resource_free(struct resource *resource)
{
    if (resource == NULL)
        return;
    struct settings_pairs pairs = {resource->attributes, resource->attribute_count};
    values_free_pairs(&pairs);
    free(resource->service_name);
    free(resource);
}
