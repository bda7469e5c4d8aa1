/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/library_path.h"

#include "exporters/cli/elf.h"
#include "exporters/cli/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines of "ldconfig -p" are "<tab>NAME (KIND) => PATH". */
static void read_cache(struct names *cached)
{
    FILE *list =
        popen("PATH=/sbin:/usr/sbin:$PATH ldconfig -p 2>/dev/null", "re"); /* ld.so.cache has no other reader */
    char *line = NULL;
    size_t size = 0;

    if (!list)
        return;
    while (getline(&line, &size, list) > 0) {
        char *path = strstr(line, " => ");

        if (!path)
            continue;
        path[strcspn(path, "\n")] = '\0';
        (void)names_add(cached, path + 4);
    }
    free(line);
    (void)pclose(list);
}

/* "$ORIGIN" or "${ORIGIN}" at the start is the folder of the file that says so. */
static char *expand(const char *folder, size_t len, const char *origin)
{
    static const char *const forms[] = {"$ORIGIN", "${ORIGIN}"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t form_len = strlen(forms[i]);
        const char *slash = strrchr(origin, '/');

        if (slash && len >= form_len && strncmp(folder, forms[i], form_len) == 0)
            return memory_format("%.*s%.*s", (int)(slash - origin), origin, (int)(len - form_len), folder + form_len);
    }
    return memory_format("%.*s", (int)len, folder);
}

static void add_folders(struct names *folders, const char *list, const char *origin)
{
    for (const char *at = list;; at++) {
        size_t len = strcspn(at, ":;");

        if (len) {
            char *folder = expand(at, len, origin);

            (void)names_add(folders, folder);
            free(folder);
        }
        at += len;
        if (*at == '\0')
            return;
    }
}

void library_path_init(struct library_path *path, const char *ld_library_path)
{
    *path = (struct library_path){0};
    read_cache(&path->cached);
    add_folders(&path->usual, "/lib64:/usr/lib64:/lib:/usr/lib", "");
    if (ld_library_path)
        add_folders(&path->folders, ld_library_path, "");
}

void library_path_add(struct library_path *path, const char *list, const char *origin, bool is_rpath)
{
    add_folders(is_rpath ? &path->before : &path->folders, list, origin);
}

static bool is_loadable(const char *path)
{
    struct elf_facts facts = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    elf_inspect(fd, &facts);
    (void)close(fd);
    return facts.is_elf && !facts.is_broken && !facts.is_foreign;
}

static bool find_in(const struct names *folders, const char *name, char ret_path[PATH_MAX])
{
    for (size_t i = 0; i < folders->count; i++) {
        int len = snprintf(ret_path, PATH_MAX, "%s/%s", folders->texts[i], name);

        if (len < PATH_MAX && is_loadable(ret_path))
            return true;
    }
    return false;
}

static bool find_cached(const struct names *cached, const char *name, char ret_path[PATH_MAX])
{
    for (size_t i = 0; i < cached->count; i++) {
        const char *slash = strrchr(cached->texts[i], '/');

        if (!slash || strcmp(slash + 1, name) != 0)
            continue;
        (void)snprintf(ret_path, PATH_MAX, "%s", cached->texts[i]);
        if (is_loadable(ret_path))
            return true;
    }
    return false;
}

bool library_path_find(const struct library_path *path, const char *name, char ret_path[PATH_MAX])
{
    if (strchr(name, '/')) {
        (void)snprintf(ret_path, PATH_MAX, "%s", name);
        return is_loadable(ret_path);
    }
    return find_in(&path->before, name, ret_path) || find_in(&path->folders, name, ret_path) ||
           find_cached(&path->cached, name, ret_path) || find_in(&path->usual, name, ret_path);
}

void library_path_deinit(struct library_path *path)
{
    names_deinit(&path->before);
    names_deinit(&path->folders);
    names_deinit(&path->cached);
    names_deinit(&path->usual);
}
