/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/symbols.h"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "exporters/crash/demangle.h"
#include "exporters/crash/modules.h"

struct symbols {
    Dwfl *dwfl;
    Dwfl_Callbacks callbacks;
    char *debug_path;
};

static int open_vdso(const void *bytes, size_t length)
{
    int fd = memfd_create("vdso", MFD_CLOEXEC);

    if (fd >= 0 && write(fd, bytes, length) != (ssize_t)length) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Debug information of a file that can't be opened any more may be installed. */
static int open_by_build_id(const struct module *module)
{
    char path[128] = "/usr/lib/debug/.build-id/";
    size_t at = strlen(path);

    for (size_t i = 0; i < module->build_id_length; i++)
        at += (size_t)snprintf(path + at, sizeof(path) - at, i ? "%02x" : "%02x/", module->build_id[i]);
    (void)snprintf(path + at, sizeof(path) - at, ".debug");
    return module->build_id_length ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* The file may have been written over in place since it was mapped. */
static bool is_same_build(int fd, const struct module *module)
{
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    const void *build_id;
    ssize_t length = elf ? dwelf_elf_gnu_build_id(elf, &build_id) : -1;
    bool same = !module->build_id_length ||
                (length == (ssize_t)module->build_id_length && !memcmp(build_id, module->build_id, (size_t)length));

    (void)elf_end(elf);
    return same;
}

/* Takes the descriptor. */
static bool report(struct symbols *symbols, const struct module *module, int fd)
{
    if (fd < 0)
        return false;
    if (is_same_build(fd, module) &&
        dwfl_report_elf(symbols->dwfl, module_name(module), module->path, fd, module->bias, true))
        return true;
    close(fd);
    return false;
}

static void report_all(struct symbols *symbols, const struct modules *modules, const void *vdso, size_t vdso_length)
{
    dwfl_report_begin(symbols->dwfl);
    for (size_t i = 0; i < modules->count; i++) {
        const struct module *module = &modules->list[i];
        int fd = module_is_vdso(module) ? open_vdso(vdso, vdso_length)
                 : module->fd >= 0      ? fcntl(module->fd, F_DUPFD_CLOEXEC, 3)
                                        : -1;

        if (!report(symbols, module, fd) && module->wanted)
            (void)report(symbols, module, open_by_build_id(module));
    }
    (void)dwfl_report_end(symbols->dwfl, NULL, NULL);
}

/* DEBUGINFOD_URLS is all that libdwfl needs to go to the network, where it waits 90 s for each file unless told. */
static void set_network(bool debuginfod)
{
    if (!debuginfod)
        (void)unsetenv("DEBUGINFOD_URLS");
    (void)setenv("DEBUGINFOD_TIMEOUT", "3", 0);
    (void)setenv("DEBUGINFOD_MAXTIME", "5", 0);
}

struct symbols *symbols_new(const struct modules *modules, const void *vdso, size_t vdso_length, bool debuginfod)
{
    struct symbols *symbols = calloc(1, sizeof(*symbols));

    if (!symbols)
        return NULL;
    set_network(debuginfod);
    (void)elf_version(EV_CURRENT);
    symbols->callbacks = (Dwfl_Callbacks){.find_elf = dwfl_build_id_find_elf,
                                          .find_debuginfo = dwfl_standard_find_debuginfo,
                                          .section_address = dwfl_offline_section_address,
                                          .debuginfo_path = &symbols->debug_path};
    symbols->dwfl = dwfl_begin(&symbols->callbacks);
    if (!symbols->dwfl) {
        free(symbols);
        return NULL;
    }
    report_all(symbols, modules, vdso, vdso_length);
    return symbols;
}

/* "/build/../src/./main.c" is "/src/main.c": where it was built may differ, and is not what people look for. */
static void remove_dots(char *path)
{
    char *out = path;
    const char *end;

    for (const char *in = path; path[0] == '/' && *in; in = end) {
        end = strchrnul(in + 1, '/');
        size_t length = (size_t)(end - in);

        if (length == 3 && memcmp(in, "/..", 3) == 0) {
            while (out > path && *--out != '/')
                ;
        } else if (length > 1 && !(length == 2 && in[1] == '.')) {
            memmove(out, in, length);
            out += length;
        }
    }
    if (path[0] == '/')
        *out = '\0';
}

/* Relative names count from the folder where the compiler ran. */
static void set_file(struct symbol *symbol, const char *file, const char *folder)
{
    if (file && file[0] != '/' && folder)
        (void)snprintf(symbol->file, sizeof(symbol->file), "%s/%s", folder, file);
    else if (file)
        (void)snprintf(symbol->file, sizeof(symbol->file), "%s", file);
    remove_dots(symbol->file);
}

static void set_line(struct symbol *symbol, Dwfl_Module *module, uint64_t address)
{
    Dwfl_Line *line = dwfl_module_getsrc(module, address);
    const char *file = line ? dwfl_lineinfo(line, NULL, &symbol->line, &symbol->column, NULL, NULL) : NULL;

    if (file)
        set_file(symbol, file, dwfl_line_comp_dir(line));
}

/* As the ELF file has it. A stripped file has but a few names: the nearest one would be wrong. */
static void set_function(struct symbol *symbol, Dwfl_Module *module, uint64_t address)
{
    GElf_Sym elf;
    GElf_Off offset = 0;
    const char *name = dwfl_module_addrinfo(module, address, &offset, &elf, NULL, NULL, NULL);

    if (!name || !name[0] || (elf.st_size && offset >= elf.st_size))
        return;
    demangle_symbol(name, symbol->function, sizeof(symbol->function));
    symbol->offset = offset;
}

static void set_name(struct symbol *symbol, Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));

    if (!name)
        name = dwarf_diename(die);
    if (name)
        demangle_symbol(name, symbol->function, sizeof(symbol->function));
}

static int number_of(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;

    return dwarf_formudata(dwarf_attr(die, name, &attribute), &value) ? 0 : (int)value;
}

/* Where an inlined call stands in the function around it. */
static void set_call(struct symbol *caller, Dwarf_Die *unit, Dwarf_Die *inlined)
{
    Dwarf_Files *files;
    size_t count;
    Dwarf_Attribute attribute;
    const char *file = NULL;

    if (!dwarf_getsrcfiles(unit, &files, &count))
        file = dwarf_filesrc(files, (size_t)number_of(inlined, DW_AT_call_file), NULL, NULL);
    caller->file[0] = '\0';
    set_file(caller, file, dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute)));
    caller->line = number_of(inlined, DW_AT_call_line);
    caller->column = number_of(inlined, DW_AT_call_column);
}

/* From the innermost scope out to the function; found[0] has the address's own line. The scopes of the innermost one
 * are asked for once more: else an inlined function's are those of its definition. */
static size_t find_inlined(Dwarf_Die *unit, Dwarf_Addr address, struct symbol *found)
{
    Dwarf_Die *inner = NULL, *scopes = NULL;
    size_t count = 0;
    int n = dwarf_getscopes(unit, address, &inner);

    n = n > 0 ? dwarf_getscopes_die(&inner[0], &scopes) : 0;
    for (int i = 0; i < n && count < SYMBOLS_INLINED_MAX - 1; i++) {
        int tag = dwarf_tag(&scopes[i]);

        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        set_name(&found[count], &scopes[i]);
        found[count++].inlined = tag == DW_TAG_inlined_subroutine;
        if (tag == DW_TAG_subprogram)
            break;
        memset(&found[count], 0, sizeof(found[count]));
        set_call(&found[count], unit, &scopes[i]);
    }
    free(inner);
    free(scopes);
    return count;
}

size_t symbols_find(struct symbols *symbols, uint64_t address, struct symbol found[SYMBOLS_INLINED_MAX])
{
    Dwfl_Module *module = dwfl_addrmodule(symbols->dwfl, address);
    struct symbol plain = {0};
    Dwarf_Die *unit;
    Dwarf_Addr bias = 0;
    size_t count = 0;

    if (!module)
        return 0;
    memset(&found[0], 0, sizeof(found[0]));
    set_line(&found[0], module, address);
    set_function(&plain, module, address);
    unit = dwfl_module_addrdie(module, address, &bias);
    if (unit)
        count = find_inlined(unit, address - bias, found);
    if (!count || found[count - 1].inlined) {
        /* no debug information that helps: the ELF file's name for it */
        memcpy(found[0].function, plain.function, sizeof(plain.function));
        found[0].inlined = false;
        count = 1;
    }
    found[count - 1].offset = plain.offset;
    return found[0].function[0] || found[0].file[0] ? count : 0;
}

void symbols_free(struct symbols *symbols)
{
    if (!symbols)
        return;
    dwfl_end(symbols->dwfl);
    free(symbols->debug_path);
    free(symbols);
}
