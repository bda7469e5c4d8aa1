/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/service_name.h"

#include "exporters/agent/resource.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/values.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

void service_name_of_executable(const char *executable, char *name, size_t size)
{
    (void)snprintf(name, size, "%s", base_name(executable));
    /* What the kernel appends to the path of a file that was replaced, as by an upgrade. */
    char *deleted = strstr(name, " (deleted)");
    if (deleted != NULL)
        *deleted = '\0';
}

/* A link or a program of many names (redis-server, busybox) is told by what it was started as, unless that is no plain
 * name but a title ("nginx: worker process") or a login shell's ("-bash"). */
static bool is_plain_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-");

    return length > 0 && name[length] == '\0' && name[0] != '-' && name[0] != '.';
}

static const char *started_as(const struct resource_facts *facts)
{
    const char *name = facts->argument_count > 0 ? base_name(facts->arguments[0]) : "";

    return is_plain_name(name) ? name : NULL;
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

void service_name_choose(const struct resource_facts *facts, const struct settings *settings, char *name, size_t size)
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
        else if (interpreter == NULL && started_as(facts) != NULL)
            (void)snprintf(name, size, "%s", started_as(facts));
        if (name[0] == '\0')
            service_name_of_executable(facts->executable, name, size);
    }
    if (name[0] == '\0')
        (void)snprintf(name, size, "unknown_service");
}
