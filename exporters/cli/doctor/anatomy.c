/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/anatomy.h"

#include "exporters/cli/doctor/library_path.h"
#include "exporters/cli/elf.h"
#include "exporters/cli/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIBRARIES_MAX = 1000, TRAIT_TEXT = -1 };
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* The items of traits.def. */
#define ITEM_NOTE    ELF_NOTE
#define ITEM_SECTION ELF_SECTION
#define ITEM_NEEDED  ELF_NEEDED
#define ITEM_IMPORT  ELF_IMPORT
#define ITEM_EXPORT  ELF_EXPORT
#define ITEM_TEXT    TRAIT_TEXT

struct trait {
    int item; /* enum elf_item or TRAIT_TEXT */
    const char *pattern;
};

static const struct {
    struct trait trait;
    struct language language;
} languages[] = {
#define LANGUAGE_ROW(name, item, pattern, later, tls) {{ITEM_##item, pattern}, {name, later, tls}},
#define TLS_ROW(...)
#define WAY_ROW(...)
#include "exporters/cli/doctor/traits.def"
#undef LANGUAGE_ROW
#undef TLS_ROW
#undef WAY_ROW
};

static const struct {
    struct trait trait;
    const char *name;
} tls_libraries[] = {
#define LANGUAGE_ROW(...)
#define TLS_ROW(name, item, pattern) {{ITEM_##item, pattern}, name},
#define WAY_ROW(...)
#include "exporters/cli/doctor/traits.def"
#undef LANGUAGE_ROW
#undef TLS_ROW
#undef WAY_ROW
};

static const struct {
    struct trait trait;
    struct way way;
} ways[] = {
#define LANGUAGE_ROW(...)
#define TLS_ROW(...)
#define WAY_ROW(code, item, pattern, is_doubtful, text) {{ITEM_##item, pattern}, {code, text, is_doubtful}},
#include "exporters/cli/doctor/traits.def"
#undef LANGUAGE_ROW
#undef TLS_ROW
#undef WAY_ROW
};

const char *anatomy_hook_name(enum anatomy_hook hook)
{
    static const char *const names[] = {
#define HOOK_ROW(symbol, library, raw, safe) #symbol,
#include "hooks/hooks.def"
#undef HOOK_ROW
    };

    return names[hook];
}

/* One file of those that make a program. */
struct look {
    struct anatomy *anatomy;
    const char *path; /* as the program knows it */
    bool is_program;
    size_t language;             /* the first row that fits so far */
    struct names *needed;        /* names of libraries, to be looked for; NULL: what is mapped is known */
    struct library_path *search; /* with them */
};

static bool fits(const struct trait *trait, int item, const char *text)
{
    if (trait->item != item)
        return false;
    if (item == ELF_NEEDED || item == ELF_SECTION)
        return strncmp(text, trait->pattern, strlen(trait->pattern)) == 0;
    return strcmp(text, trait->pattern) == 0;
}

static void add_way(struct anatomy *anatomy, const struct way *way)
{
    for (size_t i = 0; i < anatomy->way_count; i++)
        if (strcmp(anatomy->ways[i]->code, way->code) == 0)
            return;
    if (anatomy->way_count < ANATOMY_WAYS_MAX)
        anatomy->ways[anatomy->way_count++] = way;
}

static void match_traits(struct look *look, int item, const char *text)
{
    for (size_t i = 0; look->is_program && i < look->language; i++)
        if (fits(&languages[i].trait, item, text))
            look->language = i;
    for (size_t i = 0; i < COUNT(tls_libraries); i++)
        if (fits(&tls_libraries[i].trait, item, text))
            (void)names_add(&look->anatomy->tls, tls_libraries[i].name);
    for (size_t i = 0; i < COUNT(ways); i++)
        if (fits(&ways[i].trait, item, text))
            add_way(look->anatomy, &ways[i].way);
}

/* GLIBC_2.9 is older than GLIBC_2.34. */
static void note_version(struct anatomy *anatomy, const char *text)
{
    static const char prefix[] = "GLIBC_2.";

    if (strncmp(text, prefix, sizeof(prefix) - 1) != 0 || strlen(text) - 6 >= sizeof(anatomy->glibc))
        return;
    const char *version = text + 6;
    if (!*anatomy->glibc || atoi(version + 2) > atoi(anatomy->glibc + 2))
        memcpy(anatomy->glibc, version, strlen(version) + 1);
}

static void note_import(struct anatomy *anatomy, const char *function)
{
    for (int hook = 0; hook < ANATOMY_HOOKS; hook++)
        if (strcmp(anatomy_hook_name((enum anatomy_hook)hook), function) == 0)
            anatomy->hooked[hook] = true;
}

static void note_item(void *arg, enum elf_item item, const char *text)
{
    struct look *look = arg;
    struct anatomy *anatomy = look->anatomy;

    match_traits(look, (int)item, text);
    if (item == ELF_IMPORT)
        note_import(anatomy, text);
    else if (item == ELF_NEEDED && look->needed)
        (void)names_add(look->needed, text);
    else if ((item == ELF_RPATH || item == ELF_RUNPATH) && look->search)
        library_path_add(look->search, text, look->path, item == ELF_RPATH);
    else if (item == ELF_INTERPRETER && look->is_program && strlen(text) < sizeof(anatomy->loader))
        memcpy(anatomy->loader, text, strlen(text) + 1);
    else if (item == ELF_VERSION && look->is_program)
        note_version(anatomy, text);
}

/* What only bytes anywhere in the file tell. */
static void search_texts(struct look *look, int fd)
{
    struct stat status;

    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0)
        return;
    size_t len = (size_t)status.st_size;
    void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return;
    for (size_t i = 0; i < look->language; i++)
        if (languages[i].trait.item == TRAIT_TEXT &&
            memmem(bytes, len, languages[i].trait.pattern, strlen(languages[i].trait.pattern)))
            look->language = i;
    for (size_t i = 0; i < COUNT(tls_libraries); i++)
        if (tls_libraries[i].trait.item == TRAIT_TEXT &&
            memmem(bytes, len, tls_libraries[i].trait.pattern, strlen(tls_libraries[i].trait.pattern)))
            (void)names_add(&look->anatomy->tls, tls_libraries[i].name);
    (void)munmap(bytes, len);
}

static void look_at_program(struct look *look, int fd)
{
    struct anatomy *anatomy = look->anatomy;

    look->is_program = true;
    look->language = COUNT(languages);
    elf_visit(fd, note_item, look);
    search_texts(look, fd);
    if (look->language < COUNT(languages))
        anatomy->language = languages[look->language].language;
    else if (anatomy->program.facts.is_elf)
        anatomy->language.name = "C";
    if (anatomy->tls.count == 0 && anatomy->language.tls && *anatomy->language.tls)
        (void)names_add(&anatomy->tls, anatomy->language.tls);
    anatomy->is_musl = strstr(anatomy->loader, "ld-musl");
}

/* What libc takes from itself says nothing about the program. */
static bool is_of_libc(const char *path)
{
    static const char *const names[] = {"libc.so",  "libpthread.so", "libdl.so", "libresolv.so", "librt.so",
                                        "libm.so.", "ld-",           "libnss_",  "libspanshim"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    for (size_t i = 0; i < COUNT(names); i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* `path` is the name of a library for the program, `file` for us. */
static void look_at_library(struct look *look, const char *path, const char *file)
{
    int fd;

    if (!names_add(&look->anatomy->libraries, path) || is_of_libc(path))
        return;
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    look->path = path;
    look->is_program = false;
    elf_visit(fd, note_item, look);
    (void)close(fd);
}

void anatomy_of_program(struct anatomy *anatomy, const struct environment *env)
{
    struct library_path search;
    struct names needed = {0};
    struct look look = {.anatomy = anatomy, .path = anatomy->program.image, .needed = &needed, .search = &search};
    char path[PATH_MAX], image[PATH_MAX];
    int fd = open(anatomy->program.image, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return;
    if (realpath(anatomy->program.image, image)) /* $ORIGIN is where the file is, not a link to it */
        look.path = image;
    library_path_init(&search, environment_get(env, "LD_LIBRARY_PATH"));
    look_at_program(&look, fd);
    (void)close(fd);
    for (size_t i = 0; i < needed.count && i < LIBRARIES_MAX; i++) { /* what it needs grows while libraries are read */
        if (library_path_find(&search, needed.texts[i], path))
            look_at_library(&look, path, path);
        else if (!anatomy->is_musl)
            (void)names_add(&anatomy->missing, needed.texts[i]);
    }
    names_deinit(&needed);
    library_path_deinit(&search);
}

/* The path of a line of /proc/PID/maps that is a mapped file's code; NULL for others. */
static char *mapped_file(char *line)
{
    char *path = strchr(line, '/');

    if (!path)
        return NULL;
    path[strcspn(path, "\n")] = '\0';
    char *deleted = strstr(path, " (deleted)");
    if (deleted)
        *deleted = '\0';
    return strstr(path, ".so") ? path : NULL;
}

int anatomy_of_process(struct anatomy *anatomy, int pid)
{
    struct look look = {.anatomy = anatomy, .path = anatomy->program.image};
    char path[PATH_MAX];
    char *line = NULL;
    size_t size = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    elf_inspect(fd, &anatomy->program.facts);
    look_at_program(&look, fd);
    (void)close(fd);

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return -errno;
    while (getline(&line, &size, maps) > 0) {
        const char *library = mapped_file(line);

        if (!library)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/root%s", pid, library);
        match_traits(&look, ELF_NEEDED, strrchr(library, '/') + 1);
        look_at_library(&look, library, path);
    }
    free(line);
    (void)fclose(maps);
    return 0;
}

void anatomy_deinit(struct anatomy *anatomy)
{
    names_deinit(&anatomy->libraries);
    names_deinit(&anatomy->missing);
    names_deinit(&anatomy->tls);
}
