/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/preload_list.h"

#include "exporters/cli/memory.h"

#include <stdlib.h>
#include <string.h>

static const char separators[] = " :";

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

bool preload_list_can_hold(const char *path)
{
    return strpbrk(path, " :\t\n$") == NULL;
}

bool preload_list_is_sanitizer(const char *path)
{
    static const char *const prefixes[] = {"libasan.so",       "libtsan.so",        "libubsan.so",
                                           "liblsan.so",       "libhwasan.so",      "libclang_rt.asan",
                                           "libclang_rt.tsan", "libclang_rt.ubsan", "libclang_rt.hwasan",
                                           "libclang_rt.lsan", "libclang_rt.msan"};
    const char *name = base_name(path);

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static void append(char *list, const char *entry)
{
    if (*list)
        strcat(list, ":");
    strcat(list, entry);
}

/* Append the entries of `old` that are sanitizers' runtimes, or those that are not. */
static void append_kind(char *list, const char *old, bool sanitizers)
{
    char *copy = memory_copy_text(old);
    char *rest = NULL;

    for (char *entry = strtok_r(copy, separators, &rest); entry; entry = strtok_r(NULL, separators, &rest)) {
        if (strcmp(base_name(entry), "libspanshim.so") == 0)
            continue;
        if (preload_list_is_sanitizer(entry) == sanitizers)
            append(list, entry);
    }
    free(copy);
}

static bool names_runtime(const char *list, const char *runtime)
{
    return strstr(list, base_name(runtime)) != NULL;
}

char *preload_list_compose(const char *old, const char *library, const char *runtime)
{
    if (!old)
        old = "";

    char *list = memory_resize(NULL, strlen(old) + strlen(library) + (runtime ? strlen(runtime) : 0) + 4);

    *list = '\0';
    append_kind(list, old, true);
    if (runtime && !names_runtime(list, runtime))
        append(list, runtime);
    append(list, library);
    append_kind(list, old, false);
    return list;
}
